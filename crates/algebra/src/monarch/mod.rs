//! Monarch matrices: products of block-diagonal matrices and digit permutations, with n^{3/2} entries where a dense matrix has n².
//!
//! Fu et al., "Monarch Mixer: A Simple Sub-Quadratic GEMM-Based Architecture" (NeurIPS 2023), and Dao et al., "Monarch: Expressive
//! Structured Matrices for Efficient and Accurate Training" (ICML 2022).
//!
//! - [`BlockDiagonal`]: dense blocks along the diagonal, the factor of all the others;
//! - [`Monarch`]: square, of any order: one block-diagonal factor for each digit of the index;
//! - [`RectangularMonarch`]: two factors between spaces of different dimensions, and the nearest one to a dense matrix;
//! - [`fourier_monarch`]: the discrete Fourier transform as a Monarch matrix;
//! - [`CausalMonarch`]: the learnable transform whose products are causal.
//!
//! All products are of many vectors at once, held as *panels*: row-major with one row for each coordinate and one column for each
//! vector, so that every inner loop runs along contiguous vectors.

mod block_diagonal;
mod causal;
mod rectangular;
mod square;

use rustfft::num_complex::Complex;
use rustfft::num_traits::NumAssign;

pub use block_diagonal::BlockDiagonal;
pub use causal::CausalMonarch;
pub use rectangular::RectangularMonarch;
pub use square::{Monarch, fourier_monarch};

/// The numbers that Monarch matrices are made of: `f32`, `f64` and complex ones.
pub trait Scalar: NumAssign + Copy + Send + Sync + std::fmt::Debug {
    /// The complex conjugate; a real number itself.
    fn conjugate(self) -> Self;

    /// The numbers themselves if they are of single precision, for kernels that exist for these only.
    fn as_single(_: &[Self]) -> Option<&[f32]> {
        None
    }

    /// The same where they are to be written.
    fn as_single_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

impl Scalar for f32 {
    fn conjugate(self) -> Self {
        self
    }

    fn as_single(numbers: &[Self]) -> Option<&[f32]> {
        Some(numbers)
    }

    fn as_single_mut(numbers: &mut [Self]) -> Option<&mut [f32]> {
        Some(numbers)
    }
}

impl Scalar for f64 {
    fn conjugate(self) -> Self {
        self
    }
}

impl Scalar for Complex<f64> {
    fn conjugate(self) -> Self {
        self.conj()
    }
}

/// Why a Monarch matrix could not be made or applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonarchError {
    /// A slice has another length than its shape asks for.
    #[error("{what} has {found} entries, expected {expected}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// Shapes that do not fit each other.
    #[error("{0}")]
    Shape(String),
}

fn expect_length(what: &'static str, found: usize, expected: usize) -> Result<(), MonarchError> {
    if found == expected { Ok(()) } else { Err(MonarchError::Length { what, found, expected }) }
}
