//! Passes over the rows that need only vectors: residual with gradient, and LSQR's two products fused into one.

use std::ops::Range;

use mathesis_algebra::sketch::DenseRows;
use pulp::Arch;
use rayon::prelude::*;

use super::{Matrix, Rows, SolveError};

/// What comes out of a pass.
pub(super) struct Pass {
    /// `‖u‖²` of the new vector u.
    pub(super) square: f64,
    /// `Aᵀ u`.
    pub(super) product: Vec<f64>,
    /// `‖b‖²`.
    pub(super) response_square: f64,
    /// Rows seen.
    pub(super) rows: usize,
}

/// Rows that are read at a time where the method does not say.
pub(super) const BLOCK_ROWS: usize = 1 << 16;

/// `u = b − A x`, with `Aᵀ u`; u is kept if `keep` is given.
pub(super) fn residual(
    rows: &mut dyn Rows,
    block_rows: usize,
    x: &[f64],
    mut keep: Option<&mut Vec<f64>>,
) -> Result<Pass, SolveError> {
    let mut pass = Pass { square: 0.0, product: vec![0.0; x.len()], response_square: 0.0, rows: 0 };
    let mut values = Vec::new();
    if let Some(kept) = keep.as_deref_mut() {
        kept.clear();
    }
    rows.visit(block_rows, &mut |block| {
        values.clear();
        values.extend_from_slice(block.response);
        pass.response_square += values.iter().map(|b| b * b).sum::<f64>();
        pass.square += block_pass(block.matrix, x, -1.0, 1.0, &mut values, &mut pass.product);
        pass.rows += values.len();
        if let Some(kept) = keep.as_deref_mut() {
            kept.extend_from_slice(&values);
        }
        Ok(())
    })?;
    Ok(pass)
}

/// `u ← A p + coefficient · u`, with `Aᵀ u`.
pub(super) fn bidiagonalise(
    rows: &mut dyn Rows,
    block_rows: usize,
    p: &[f64],
    coefficient: f64,
    u: &mut [f64],
) -> Result<Pass, SolveError> {
    let mut pass = Pass { square: 0.0, product: vec![0.0; p.len()], response_square: 0.0, rows: 0 };
    rows.visit(block_rows, &mut |block| {
        let place = block.first..block.first + block.response.len();
        let Some(values) = u.get_mut(place) else {
            return Err(SolveError::Breakdown("the data have grown between two passes".to_string()));
        };
        pass.square += block_pass(block.matrix, p, 1.0, coefficient, values, &mut pass.product);
        pass.rows += block.response.len();
        Ok(())
    })?;
    Ok(pass)
}

/// `values ← scale A p + coefficient · values`, `product += Aᵀ values`; returns `‖values‖²`. How the rows are divided among
/// threads depends on their number only.
fn block_pass(
    matrix: Matrix<'_>,
    p: &[f64],
    scale: f64,
    coefficient: f64,
    values: &mut [f64],
    product: &mut [f64],
) -> f64 {
    let stretch = values.len().div_ceil(32).max(256);
    let parts: Vec<(f64, Vec<f64>)> = values
        .par_chunks_mut(stretch)
        .enumerate()
        .map(|(k, values)| {
            let rows = k * stretch..k * stretch + values.len();
            let mut product = vec![0.0; p.len()];
            let square = match matrix {
                Matrix::Dense(matrix) => Arch::new().dispatch(DensePass {
                    matrix,
                    rows,
                    p,
                    scale,
                    coefficient,
                    values,
                    product: &mut product,
                }),
                Matrix::Sparse(matrix) => {
                    let mut square = 0.0;
                    for (i, value) in rows.zip(values) {
                        let entries = || matrix.col_idx_of_row_raw(i).iter().zip(matrix.val_of_row(i));
                        let dot: f64 = entries().map(|(j, a)| a * p[*j]).sum();
                        *value = scale * dot + coefficient * *value;
                        square += *value * *value;
                        entries().for_each(|(j, a)| product[*j] += a * *value);
                    }
                    square
                }
            };
            (square, product)
        })
        .collect();
    let mut square = 0.0;
    for (part, sums) in parts {
        square += part;
        product.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
    }
    square
}

/// The pass over some rows of a dense matrix, on one thread.
struct DensePass<'a> {
    matrix: DenseRows<'a>,
    rows: Range<usize>,
    p: &'a [f64],
    scale: f64,
    coefficient: f64,
    values: &'a mut [f64],
    product: &'a mut [f64],
}

impl pulp::NullaryFnOnce for DensePass<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        const LANES: usize = 16;
        let mut row = vec![0.0; self.p.len()];
        let mut square = 0.0;
        for (i, value) in self.rows.zip(self.values) {
            self.matrix.copy_scaled(i, 0..row.len(), 1.0, &mut row);
            let (chunks, p_chunks) = (row.chunks_exact(LANES), self.p.chunks_exact(LANES));
            let mut dot: f64 = chunks.remainder().iter().zip(p_chunks.remainder()).map(|(a, x)| a * x).sum();
            let mut lanes = [0.0; LANES];
            for (a, x) in chunks.zip(p_chunks) {
                for k in 0..LANES {
                    lanes[k] += a[k] * x[k];
                }
            }
            dot += lanes.iter().sum::<f64>();
            *value = self.scale * dot + self.coefficient * *value;
            square += *value * *value;
            for (t, a) in self.product.iter_mut().zip(&row) {
                *t += *value * a;
            }
        }
        square
    }
}
