//! Linear operators with declared structure, apart from how systems with them are solved.
//!
//! An operator multiplies ([`LinearOperator::apply`]); what can be factorised also solves and has a log-determinant
//! ([`Factorise`]). Structure is never expanded: a Toeplitz matrix keeps its first row and column, a Kronecker product or
//! sum its factors. [`LinearOperator::to_dense`] writes an operator out entry by entry; it is the reference of the tests.
//!
//! | operator | stored | product | factorisation |
//! |---|---|---|---|
//! | [`Dense`] | n² | n² | n³ (Cholesky) |
//! | [`Diagonal`] | n | n | n |
//! | [`Toeplitz`] | 2n | n log n (FFT) | n³ (LU); [`SymmetricToeplitz`]: n² (Schur) |
//! | [`KroneckerProduct`] | its factors | a mode product for each factor | that of the factors |
//! | [`KroneckerSum`] | its factors | a mode product for each factor | eigenvalues of the factors |

mod dense;
mod kronecker;
mod toeplitz;

use std::fmt::Debug;

use faer::Mat;

pub use dense::{Dense, Diagonal};
pub use kronecker::{KroneckerProduct, KroneckerSum};
pub use toeplitz::{SymmetricToeplitz, Toeplitz, ToeplitzCholesky, ToeplitzProduct, lag_sums};

/// A linear map between spaces of `f64` vectors.
pub trait LinearOperator: Debug + Send + Sync {
    /// Rows and columns.
    fn shape(&self) -> (usize, usize);

    /// The product with a vector of as many entries as there are columns.
    ///
    /// # Panics
    /// If the vector has another length.
    fn apply(&self, vector: &[f64]) -> Vec<f64>;

    /// The product of the transpose with a vector of as many entries as there are rows.
    ///
    /// # Panics
    /// If the vector has another length.
    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64>;

    /// The matrix, entry by entry.
    fn to_dense(&self) -> Mat<f64> {
        let (rows, columns) = self.shape();
        let mut matrix = Mat::zeros(rows, columns);
        let mut unit = vec![0.0; columns];
        for j in 0..columns {
            unit[j] = 1.0;
            for (i, entry) in self.apply(&unit).into_iter().enumerate() {
                matrix[(i, j)] = entry;
            }
            unit[j] = 0.0;
        }
        matrix
    }
}

/// A square operator that can be factorised once and then solved with many times.
pub trait Factorise: LinearOperator {
    /// Factorise.
    ///
    /// # Errors
    /// [`FactorisationError`] if the operator is not square, singular, or not positive definite where that is required.
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError>;
}

/// A factorised square operator.
pub trait Factorisation: Debug + Send + Sync {
    /// The number of rows (and columns).
    fn dimension(&self) -> usize;

    /// The solution `x` of `A x = right_side`.
    ///
    /// # Panics
    /// If the right side has another length than the dimension.
    fn solve(&self, right_side: &[f64]) -> Vec<f64>;

    /// `log |det A|`.
    fn log_determinant(&self) -> f64;
}

/// Why an operator could not be factorised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FactorisationError {
    /// The operator is not square.
    #[error("a {rows} by {columns} operator has no inverse")]
    NotSquare {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// A pivot is not positive.
    #[error("the operator is not positive definite: pivot {pivot} of {dimension}")]
    NotPositiveDefinite {
        /// Index of the pivot that failed.
        pivot: usize,
        /// Dimension of the operator.
        dimension: usize,
    },
    /// The operator is singular.
    #[error("the operator is singular")]
    Singular,
}
