//! Sketches with few entries in a column: CountSketch (Charikar, Chen, Farach-Colton 2002; Clarkson, Woodruff 2013), one ±1, and
//! OSNAP (Nelson, Nguyen 2013), `s` entries ±1/√s, one in each of `s` blocks of `m/s` rows.
//!
//! They embed subspaces, but two rows of data that fall into one bucket mix with full weight: no coordinate-wise guarantee.

use faer::sparse::SparseRowMatRef;

use super::{DenseRows, Sketch, check_block, in_parts};
use crate::operator::LinearOperator;
use crate::random::Stream;

/// A drawn sparse sketch.
#[derive(Clone, Debug)]
pub struct SparseSketch {
    rows: usize,
    columns: usize,
    nonzeros: usize,
    buckets: Stream,
    signs: Stream,
}

impl SparseSketch {
    /// CountSketch: `rows` (m) by `columns` (n), drawn from a seed.
    ///
    /// # Panics
    /// If there are no rows.
    pub fn count_sketch(rows: usize, columns: usize, seed: u64) -> Self {
        Self::osnap(rows, columns, 1, seed)
    }

    /// OSNAP with `nonzeros` (s) entries in a column. Where `s` does not divide `m`, the blocks differ by one row.
    ///
    /// # Panics
    /// Unless `1 ≤ nonzeros ≤ rows`.
    pub fn osnap(rows: usize, columns: usize, nonzeros: usize, seed: u64) -> Self {
        assert!((1..=rows).contains(&nonzeros), "a column has between one entry and as many as rows");
        SparseSketch { rows, columns, nonzeros, buckets: Stream::new(seed, 1), signs: Stream::new(seed, 2) }
    }

    /// The rows and entries of a column.
    fn column(&self, column: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let value = 1.0 / (self.nonzeros as f64).sqrt();
        (0..self.nonzeros).map(move |k| {
            let (start, end) = (k * self.rows / self.nonzeros, (k + 1) * self.rows / self.nonzeros);
            let number = (column * self.nonzeros + k) as u64;
            let row = start + self.buckets.below(number, (end - start) as u64) as usize;
            (row, value * self.signs.sign(number))
        })
    }
}

impl LinearOperator for SparseSketch {
    fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.columns);
        self.apply_rows(DenseRows::new(vector, vector.len(), 1))
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.rows);
        (0..self.columns).map(|i| self.column(i).map(|(row, value)| value * vector[row]).sum()).collect()
    }
}

impl Sketch for SparseSketch {
    fn accumulate(&self, first: usize, block: DenseRows<'_>, sum: &mut [f64]) {
        check_block(self, first, &block, sum);
        in_parts(block.rows(), self.rows.max(4096), block.columns(), 64, sum, |rows, columns, sum| {
            for i in rows {
                for (row, value) in self.column(first + i) {
                    let target = &mut sum[row * columns.len()..][..columns.len()];
                    block.add_scaled(i, columns.clone(), value, target);
                }
            }
        });
    }

    fn apply_sparse(&self, matrix: SparseRowMatRef<'_, usize, f64>) -> Option<Vec<f64>> {
        assert_eq!(matrix.nrows(), self.columns);
        let mut sum = vec![0.0; self.rows * matrix.ncols()];
        for i in 0..matrix.nrows() {
            let (places, values) = (matrix.col_idx_of_row_raw(i), matrix.val_of_row(i));
            if values.is_empty() {
                continue;
            }
            for (row, value) in self.column(i) {
                let target = &mut sum[row * matrix.ncols()..][..matrix.ncols()];
                for (j, x) in places.iter().zip(values) {
                    target[*j] += value * x;
                }
            }
        }
        Some(sum)
    }
}
