//! The sparse Cholesky factorisation of faer (fill-reducing ordering, supernodes): the reference for small systems.
//!
//! On each singular component the first unknown is set to zero, which determines the others; the mean is subtracted afterwards.

use faer::sparse::{SparseColMat, Triplet};
use faer::{Mat, Side, linalg::solvers::Solve};

use super::LinearError;
use super::csr::Csr;
use super::operator::NullSpace;

/// The solution of `A x = b`.
///
/// # Errors
/// [`LinearError::NotPositiveDefinite`] at a pivot that is not positive, [`LinearError::Breakdown`] if the memory does not suffice.
pub(super) fn solve(matrix: &Csr, null_space: &NullSpace, b: &[f64]) -> Result<Vec<f64>, LinearError> {
    let n = matrix.shape().0;
    let mut grounded = vec![false; n];
    null_space.first_unknowns().into_iter().for_each(|i| grounded[i] = true);
    let mut entries = Vec::with_capacity(matrix.stored() / 2 + n);
    for i in 0..n {
        if grounded[i] {
            entries.push(Triplet::new(i, i, 1.0));
            continue;
        }
        let (columns, values) = matrix.row(i);
        for (&j, &value) in columns.iter().zip(values) {
            let j = j as usize;
            if j <= i && !grounded[j] {
                entries.push(Triplet::new(i, j, value));
            }
        }
    }
    let lower = SparseColMat::<usize, f64>::try_new_from_triplets(n, n, &entries)
        .map_err(|error| LinearError::Breakdown(format!("the matrix cannot be built: {error:?}")))?;
    let factor = lower.sp_cholesky(Side::Lower).map_err(|error| match error {
        faer::sparse::linalg::LltError::Numeric(_) => LinearError::NotPositiveDefinite(
            "its Cholesky factorisation meets a pivot that is not positive".into(),
        ),
        faer::sparse::linalg::LltError::Generic(error) => {
            LinearError::Breakdown(format!("the Cholesky factorisation failed: {error:?}"))
        }
    })?;
    let x = factor.solve(Mat::from_fn(n, 1, |i, _| if grounded[i] { 0.0 } else { b[i] }));
    let mut x: Vec<f64> = x.col(0).iter().copied().collect();
    null_space.project(&mut x);
    Ok(x)
}
