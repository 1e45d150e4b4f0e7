//! The files of linear systems: matrices, right sides and voxel grids.
//!
//! - [`matrix_market`]: the exchange format of NIST, text;
//! - [`released`]: the binary files of the released program of deep conjugate directions;
//! - [`arrays`]: vectors and voxels as NumPy arrays or as bits.

pub mod arrays;
pub mod matrix_market;
pub mod released;

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct ReadError {
    /// The line, from 1, where the file is text.
    pub line: Option<usize>,
    /// What is wrong, what was expected.
    pub message: String,
}

impl ReadError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        ReadError { line: None, message: message.into() }
    }

    fn at(line: usize, message: impl Into<String>) -> Self {
        ReadError { line: Some(line), message: message.into() }
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
