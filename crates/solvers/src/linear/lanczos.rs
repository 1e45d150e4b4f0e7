//! The Lanczos process with full re-orthogonalisation (Golub & Van Loan, Matrix Computations, section 10.3).

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd};
use faer::{Mat, MatMut, MatRef, Par, Spec};
use rayon::prelude::*;

use super::LinearError;
use super::operator::SymmetricOperator;
use super::vector::{add_scaled, dot_chunk, norm};

/// Entries of a vector that a task orthogonalises at a time: they stay in the first-level cache while the basis passes by.
const BLOCK: usize = 1 << 10;

/// Orthonormal vectors `W` (columns) and the tridiagonal `T = Wᵀ A W`.
pub(super) struct Lanczos {
    dimension: usize,
    /// The vectors, one after another.
    basis: Vec<f64>,
    diagonal: Vec<f64>,
    /// Beside the diagonal, one entry fewer.
    beside: Vec<f64>,
}

impl Lanczos {
    /// At most `steps` steps from a start; fewer if the space that the start generates is exhausted, none from zero.
    pub(super) fn run(operator: &dyn SymmetricOperator, start: &[f64], steps: usize) -> Self {
        let n = operator.dimension();
        let mut lanczos =
            Lanczos { dimension: n, basis: Vec::new(), diagonal: Vec::new(), beside: Vec::new() };
        let mut v = start.to_vec();
        let mut product = vec![0.0; n];
        let mut scale = 0.0_f64;
        let mut length = norm(&v);
        lanczos.basis.reserve_exact(steps.min(n) * n);
        while lanczos.len() < steps.min(n) && length.is_finite() && length > 1e-13 * scale {
            if lanczos.len() > 0 {
                lanczos.beside.push(length);
            }
            lanczos.basis.extend(v.iter().map(|v| v / length));
            let newest = &lanczos.basis[lanczos.basis.len() - n..];
            let alpha = operator.apply_and_dot(newest, &mut product);
            lanczos.diagonal.push(alpha);
            std::mem::swap(&mut v, &mut product);
            scale = scale.max(norm(&v));
            // Classical Gram-Schmidt against all vectors, twice, is orthogonal to rounding.
            for _ in 0..2 {
                lanczos.orthogonalise(&mut v);
            }
            length = norm(&v);
        }
        lanczos
    }

    /// The number of vectors.
    pub(super) fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// The vectors as columns.
    pub(super) fn vectors(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.basis, self.dimension, self.len())
    }

    /// The Ritz values, ascending, and the eigenvectors of `T` as columns.
    pub(super) fn eigenpairs(&self) -> Result<(Vec<f64>, Mat<f64>), LinearError> {
        let mut vectors = Mat::zeros(self.len(), self.len());
        let values = tridiagonal_eigenvalues(&self.diagonal, &self.beside, Some(vectors.as_mut()))
            .ok_or_else(|| {
                LinearError::Breakdown("the eigenvalues of the Lanczos matrix are not finite".into())
            })?;
        Ok((values, vectors))
    }

    /// `v ← v - W Wᵀ v`.
    fn orthogonalise(&self, v: &mut [f64]) {
        let n = self.dimension;
        let arch = pulp::Arch::new();
        let partial: Vec<Vec<f64>> = v
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(block, v)| {
                let project = |w: &[f64]| {
                    let w = &w[block * BLOCK..][..v.len()];
                    arch.dispatch(
                        #[inline(always)]
                        || dot_chunk(w, v),
                    )
                };
                self.basis.chunks_exact(n).map(project).collect()
            })
            .collect();
        let mut coefficients = vec![0.0; self.len()];
        for block in &partial {
            coefficients.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
        }
        v.par_chunks_mut(BLOCK).enumerate().for_each(|(block, v)| {
            for (w, &coefficient) in self.basis.chunks_exact(n).zip(&coefficients) {
                let w = &w[block * BLOCK..][..v.len()];
                arch.dispatch(
                    #[inline(always)]
                    || v.iter_mut().zip(w).for_each(|(v, w)| *v -= coefficient * w),
                );
            }
        });
    }
}

/// The least and the largest eigenvalue of a symmetric tridiagonal matrix.
pub(super) fn tridiagonal_extremes(diagonal: &[f64], beside: &[f64]) -> Option<(f64, f64)> {
    let values = tridiagonal_eigenvalues(diagonal, beside, None)?;
    Some((*values.first()?, *values.last()?))
}

/// The eigenvalues of a symmetric tridiagonal matrix, ascending, and its eigenvectors as columns if they are wanted.
fn tridiagonal_eigenvalues(
    diagonal: &[f64],
    beside: &[f64],
    vectors: Option<MatMut<'_, f64>>,
) -> Option<Vec<f64>> {
    let m = diagonal.len();
    if m == 0 {
        return Some(Vec::new());
    }
    let (mut on, mut off, mut values) = (Diag::<f64>::zeros(m), Diag::<f64>::zeros(m), Diag::<f64>::zeros(m));
    for i in 0..m {
        on[i] = diagonal[i];
        off[i] = beside.get(i).copied().unwrap_or(0.0);
    }
    let parallelism = Par::rayon(0);
    let params = Spec::default();
    let scratch = self_adjoint_evd_scratch::<f64>(m, ComputeEigenvectors::Yes, parallelism, params);
    tridiagonal_self_adjoint_evd(
        on.as_ref(),
        off.as_ref(),
        values.as_mut(),
        vectors,
        parallelism,
        MemStack::new(&mut MemBuffer::new(scratch)),
        params,
    )
    .ok()?;
    Some((0..m).map(|i| values[i]).collect())
}

/// The Ritz vectors of a Krylov space: `A`'s restriction to them is diagonal.
pub(super) struct RitzVectors {
    /// Ritz values, ascending.
    pub(super) values: Vec<f64>,
    /// The vectors.
    pub(super) vectors: Vec<Vec<f64>>,
}

impl Lanczos {
    /// The first (lowest) Ritz vectors with values above 1e-12 of the largest.
    pub(super) fn lowest_ritz_vectors(&self, count: usize) -> Result<RitzVectors, LinearError> {
        let (values, q) = self.eigenpairs()?;
        let least = 1e-12 * values.last().copied().unwrap_or(0.0);
        let kept: Vec<usize> = (0..values.len()).filter(|&j| values[j] > least).take(count).collect();
        let vectors = kept
            .iter()
            .map(|&j| {
                let mut vector = vec![0.0; self.dimension];
                for (i, w) in self.basis.chunks_exact(self.dimension).enumerate() {
                    add_scaled(&mut vector, q[(i, j)], w);
                }
                vector
            })
            .collect();
        Ok(RitzVectors { values: kept.iter().map(|&j| values[j]).collect(), vectors })
    }
}
