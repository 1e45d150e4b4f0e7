//! The triangle of a QR decomposition of `[A | b]`: all that least squares needs of its rows.
//!
//! With `[A | b] = Q [R z; 0 ρ]` the solution is `x = R⁻¹ z`, its residual has the norm `|ρ|`, and `Q` is not needed. A taller matrix is
//! reduced block by block: the triangle of `[R z; 0 ρ]` on top of further rows is the triangle of all of them.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::qr::no_pivoting::factor;
use faer::linalg::triangular_solve;
use faer::{Mat, Par};
use rayon::prelude::*;

use super::{Matrix, SolveError};

/// `R`, `z` and `ρ`.
#[derive(Clone, Debug)]
pub(super) struct Triangle {
    /// `R`: min(rows, d) by d.
    pub(super) factor: Mat<f64>,
    /// `z`, as long as `R` has rows.
    pub(super) right: Vec<f64>,
    /// `|ρ|`, the norm of the residual.
    pub(super) rest: f64,
}

/// A solution of least norm.
pub(super) struct LeastNorm {
    pub(super) x: Vec<f64>,
    pub(super) w: Mat<f64>,
    pub(super) values: Vec<f64>,
    pub(super) rank: usize,
}

impl Triangle {
    /// The triangle of a full matrix `[A | b]`, to the last bit the same whatever the number of threads.
    pub(super) fn of(augmented: Mat<f64>) -> Self {
        let d = augmented.ncols() - 1;
        let upper = reduce_evenly(&augmented);
        let rows = upper.nrows().min(d);
        Triangle {
            factor: upper.get(..rows, ..d).to_owned(),
            right: (0..rows).map(|i| upper[(i, d)]).collect(),
            rest: if upper.nrows() > d { upper[(d, d)].abs() } else { 0.0 },
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.rest.is_finite()
            && self.right.iter().all(|z| z.is_finite())
            && self.factor.col_iter().all(|column| column.iter().all(|r| r.is_finite()))
    }

    /// Singular values of `R`, falling.
    pub(super) fn singular_values(&self) -> Result<Vec<f64>, SolveError> {
        self.factor
            .singular_values()
            .map_err(|_| SolveError::Breakdown("the singular values did not converge".to_string()))
    }

    /// `x = R⁻¹ z`.
    pub(super) fn solution(&self) -> Vec<f64> {
        self.solve(&self.right)
    }

    /// The solution of least norm, `W` with `(RᵀR)⁺ = W Wᵀ`, the singular values (falling), and the rank: singular values below
    /// `cutoff` times the largest, or below machine precision for so many rows, count as zero.
    pub(super) fn least_norm(&self, rows: usize, cutoff: Option<f64>) -> Result<LeastNorm, SolveError> {
        let d = self.factor.ncols();
        let svd = self
            .factor
            .thin_svd()
            .map_err(|_| SolveError::Breakdown("the singular values did not converge".to_string()))?;
        let values: Vec<f64> = svd.S().column_vector().iter().copied().collect();
        let rank = super::certificate::rank(&values, rows, cutoff);
        if rank == 0 {
            return Err(SolveError::RankDeficient { rank, columns: d, smallest: 0.0 });
        }
        // x = V Σ⁺ Uᵀ z = W (Uᵀ z) over the singular values that count.
        let w = Mat::from_fn(d, rank, |j, k| svd.V()[(j, k)] / values[k]);
        let mut x = vec![0.0; d];
        for k in 0..rank {
            let component: f64 = self.right.iter().enumerate().map(|(i, z)| svd.U()[(i, k)] * z).sum();
            x.iter_mut().zip(w.col(k).iter()).for_each(|(x, w)| *x += component * w);
        }
        Ok(LeastNorm { x, w, values, rank })
    }

    /// `R⁻¹ v`.
    pub(super) fn solve(&self, vector: &[f64]) -> Vec<f64> {
        let mut x = Mat::from_fn(vector.len(), 1, |i, _| vector[i]);
        triangular_solve::solve_upper_triangular_in_place(self.factor.as_ref(), x.as_mut(), Par::Seq);
        x.col(0).iter().copied().collect()
    }

    /// `R⁻ᵀ v`.
    pub(super) fn solve_transpose(&self, vector: &[f64]) -> Vec<f64> {
        let mut x = Mat::from_fn(vector.len(), 1, |i, _| vector[i]);
        triangular_solve::solve_lower_triangular_in_place(self.factor.transpose(), x.as_mut(), Par::Seq);
        x.col(0).iter().copied().collect()
    }

    /// `W = R⁻¹`, with which `(RᵀR)⁻¹ = W Wᵀ`.
    pub(super) fn inverse(&self) -> Mat<f64> {
        let d = self.factor.ncols();
        let mut inverse = Mat::<f64>::identity(d, d);
        triangular_solve::solve_upper_triangular_in_place(self.factor.as_ref(), inverse.as_mut(), Par::Seq);
        inverse
    }
}

/// The upper triangle of the QR decomposition: as many rows as the matrix has rows or columns, whichever is less.
pub(super) fn reduce(mut matrix: Mat<f64>, parallel: Par) -> Mat<f64> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let size = rows.min(columns);
    if size == 0 {
        return Mat::zeros(size, columns);
    }
    let block = factor::recommended_block_size::<f64>(rows, columns);
    let mut coefficients = Mat::zeros(block, size);
    let mut memory = MemBuffer::new(factor::qr_in_place_scratch::<f64>(
        rows,
        columns,
        block,
        parallel,
        Default::default(),
    ));
    factor::qr_in_place(
        matrix.as_mut(),
        coefficients.as_mut(),
        parallel,
        MemStack::new(&mut memory),
        Default::default(),
    );
    Mat::from_fn(size, columns, |i, j| if i <= j { matrix[(i, j)] } else { 0.0 })
}

/// The same by halves: the halves' triangles on top of each other have the triangle of all. The division depends on the shape
/// only, and each part is computed on one thread, which the library's own parallel QR does not keep to the last bit.
fn reduce_evenly(matrix: &Mat<f64>) -> Mat<f64> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    if rows < 8 * columns {
        return reduce(matrix.clone(), Par::Seq);
    }
    let half = rows / 2;
    let (top, bottom) = rayon::join(
        || reduce_evenly(&matrix.get(..half, ..).to_owned()),
        || reduce_evenly(&matrix.get(half.., ..).to_owned()),
    );
    let both =
        Mat::from_fn(
            2 * columns,
            columns,
            |i, j| {
                if i < columns { top[(i, j)] } else { bottom[(i - columns, j)] }
            },
        );
    reduce(both, Par::Seq)
}

/// `[top; A | b]` as a full column-major matrix.
pub(super) fn stacked(top: &Mat<f64>, matrix: Matrix<'_>, response: &[f64]) -> Mat<f64> {
    /// Columns that are moved together: a row's share of them is a cache line.
    const GROUP: usize = 8;
    let (above, rows, d) = (top.nrows(), matrix.rows(), matrix.columns());
    let mut full = Mat::<f64>::zeros(above + rows, d + 1);
    for j in 0..top.ncols() {
        for i in 0..above {
            full[(i, j)] = top[(i, j)];
        }
    }
    for (i, b) in response.iter().enumerate() {
        full[(above + i, d)] = *b;
    }
    match matrix {
        Matrix::Sparse(sparse) => {
            for i in 0..rows {
                for (j, x) in sparse.col_idx_of_row_raw(i).iter().zip(sparse.val_of_row(i)) {
                    full[(above + i, *j)] += x;
                }
            }
        }
        Matrix::Dense(dense) => {
            let mut columns: Vec<&mut [f64]> = full
                .as_mut()
                .subcols_mut(0, d)
                .col_iter_mut()
                .filter_map(|column| column.try_as_col_major_mut())
                .map(|column| &mut column.as_slice_mut()[above..])
                .collect();
            columns.par_chunks_mut(GROUP).enumerate().for_each(|(k, group)| {
                let mut line = [0.0; GROUP];
                let line = &mut line[..group.len()];
                for i in 0..rows {
                    dense.copy_scaled(i, k * GROUP..k * GROUP + line.len(), 1.0, line);
                    for (column, x) in group.iter_mut().zip(line.iter()) {
                        column[i] = *x;
                    }
                }
            });
        }
    }
    full
}
