//! What can be wrong with a linear system or with what is asked of it.

/// Why a linear system could not be solved at all. (Not converging is a [`crate::Status`] of the solution, not an error.)
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinearError {
    /// A vector or a list has the wrong length.
    #[error("{what} has {found} entries, expected {expected}")]
    Length {
        /// Which.
        what: &'static str,
        /// Entries it should have.
        expected: usize,
        /// Entries it has.
        found: usize,
    },
    /// An entry is infinite or not a number.
    #[error("{what} is {value} at {place}")]
    NotFinite {
        /// Of what.
        what: &'static str,
        /// Where, such as "entry 7" or "cell (1, 2, 3)".
        place: String,
        /// The value.
        value: f64,
    },
    /// A grid whose extents make no grid.
    #[error("the grid {found}: expected two or three extents, each at least 1, with fewer than 2^31 cells")]
    Extents {
        /// The extents as given.
        found: String,
    },
    /// There is nothing to solve for.
    #[error("the system has no unknowns{0}")]
    Empty(&'static str),
    /// The matrix is not square.
    #[error("the matrix is {rows} by {columns}; a linear system needs a square one")]
    NotSquare {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// The matrix differs from its transpose.
    #[error(
        "the matrix is not symmetric: entry ({row}, {column}) is {value}, entry ({column}, {row}) is {mirrored} (counted from 1)"
    )]
    NotSymmetric {
        /// Row, from 1.
        row: usize,
        /// Column, from 1.
        column: usize,
        /// The entry.
        value: f64,
        /// The entry mirrored at the diagonal.
        mirrored: f64,
    },
    /// The matrix has a negative diagonal entry or another proof that it is not positive semi-definite.
    #[error("the matrix is not positive definite: {0}")]
    NotPositiveDefinite(String),
    /// A singular system whose right side is not in the range of its matrix.
    #[error(
        "no solution exists: the matrix is singular on {component}, where the right side must sum to zero; \
         {relative:.2e} of its norm lies outside the range. `project = true` takes the nearest right side that has a solution"
    )]
    OutsideRange {
        /// Which component.
        component: String,
        /// Norm of the part outside the range over the norm of the right side.
        relative: f64,
    },
    /// An option is out of range or does not fit the system.
    #[error("option `{key}`: {message}")]
    Option {
        /// The option's name as in the `[method]` table.
        key: &'static str,
        /// What is wrong, what is expected.
        message: String,
    },
    /// The method does not apply to this system.
    #[error("{method} does not apply: {reason}")]
    NotApplicable {
        /// The method's name.
        method: &'static str,
        /// Why.
        reason: String,
    },
    /// More memory would be needed than is allowed.
    #[error("{what} needs {:.1} GB of memory, more than the allowed {:.1} GB", *.needed as f64 / 1e9, *.allowed as f64 / 1e9)]
    Memory {
        /// What.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// The factorisation or another step failed on this matrix.
    #[error("{0}")]
    Breakdown(String),
}
