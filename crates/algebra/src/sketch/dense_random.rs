//! Dense sketches with independent entries: N(0, 1/m), the reference for quality, and ±1/√m (Alon, Matias, Szegedy 1996).
//!
//! Their entries are made where they are used, a panel at a time, and multiplied as full matrices.

use faer::linalg::matmul::matmul;
use faer::sparse::SparseRowMatRef;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::{DenseRows, Sketch, check_block};
use crate::operator::LinearOperator;
use crate::random::Stream;

/// A sketch with independent entries N(0, 1/m).
#[derive(Clone, Debug)]
pub struct GaussianSketch(Independent);

/// A sketch with independent entries ±1/√m.
#[derive(Clone, Debug)]
pub struct SignSketch(Independent);

impl GaussianSketch {
    /// `rows` (m) by `columns` (n), drawn from a seed.
    pub fn new(rows: usize, columns: usize, seed: u64) -> Self {
        GaussianSketch(Independent { rows, columns, law: Law::Normal, stream: Stream::new(seed, 1) })
    }
}

impl SignSketch {
    /// `rows` (m) by `columns` (n), drawn from a seed.
    pub fn new(rows: usize, columns: usize, seed: u64) -> Self {
        SignSketch(Independent { rows, columns, law: Law::Sign, stream: Stream::new(seed, 1) })
    }
}

#[derive(Clone, Copy, Debug)]
enum Law {
    Normal,
    Sign,
}

#[derive(Clone, Debug)]
struct Independent {
    rows: usize,
    columns: usize,
    law: Law,
    stream: Stream,
}

/// Rows of the sketch that a thread makes at a time; even, as normal numbers come in pairs.
const ROWS: usize = 256;
/// Columns of a panel.
const PANEL: usize = 512;

impl Independent {
    /// Rows `start..start + target.len()` of a column; `start` is even.
    fn column(&self, column: usize, start: usize, target: &mut [f64]) {
        let scale = 1.0 / (self.rows as f64).sqrt();
        // Every column owns an even number of normal numbers, and a whole number of words of signs.
        match self.law {
            Law::Normal => {
                let offset = (column * self.rows.div_ceil(2) + start / 2) as u64;
                for (k, pair) in target.chunks_mut(2).enumerate() {
                    let (first, second) = self.stream.normal_pair(offset + k as u64);
                    pair[0] = scale * first;
                    if let Some(entry) = pair.get_mut(1) {
                        *entry = scale * second;
                    }
                }
            }
            Law::Sign => {
                let offset = (column * self.rows.next_multiple_of(64) + start) as u64;
                for (k, entry) in target.iter_mut().enumerate() {
                    *entry = scale * self.stream.sign(offset + k as u64);
                }
            }
        }
    }

    fn accumulate(&self, first: usize, block: DenseRows<'_>, sum: &mut [f64]) {
        let columns = block.columns();
        if columns == 0 {
            return;
        }
        sum.par_chunks_mut(ROWS * columns).enumerate().for_each(|(chunk, sum)| {
            let rows = sum.len() / columns;
            let mut panel = vec![0.0; rows * PANEL];
            let mut data = vec![0.0; PANEL * columns];
            for start in (0..block.rows()).step_by(PANEL) {
                let count = PANEL.min(block.rows() - start);
                for (k, entries) in panel.chunks_exact_mut(rows).take(count).enumerate() {
                    self.column(first + start + k, chunk * ROWS, entries);
                }
                for (k, row) in data.chunks_exact_mut(columns).take(count).enumerate() {
                    block.copy_scaled(start + k, 0..columns, 1.0, row);
                }
                matmul(
                    MatMut::from_row_major_slice_mut(&mut sum[..], rows, columns),
                    Accum::Add,
                    MatRef::from_column_major_slice(&panel[..rows * count], rows, count),
                    MatRef::from_row_major_slice(&data[..count * columns], count, columns),
                    1.0,
                    Par::Seq,
                );
            }
        });
    }

    fn apply_sparse(&self, matrix: SparseRowMatRef<'_, usize, f64>) -> Vec<f64> {
        assert_eq!(matrix.nrows(), self.columns);
        let columns = matrix.ncols();
        let mut sum = vec![0.0; self.rows * columns];
        if columns == 0 {
            return sum;
        }
        sum.par_chunks_mut(ROWS * columns).enumerate().for_each(|(chunk, sum)| {
            let mut entries = vec![0.0; sum.len() / columns];
            for i in 0..matrix.nrows() {
                let (places, values) = (matrix.col_idx_of_row_raw(i), matrix.val_of_row(i));
                if values.is_empty() {
                    continue;
                }
                self.column(i, chunk * ROWS, &mut entries);
                for (entry, row) in entries.iter().zip(sum.chunks_exact_mut(columns)) {
                    for (j, x) in places.iter().zip(values) {
                        row[*j] += entry * x;
                    }
                }
            }
        });
        sum
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.rows);
        let mut entries = vec![0.0; self.rows];
        (0..self.columns)
            .map(|column| {
                self.column(column, 0, &mut entries);
                entries.iter().zip(vector).map(|(s, x)| s * x).sum()
            })
            .collect()
    }
}

macro_rules! is_sketch {
    ($name:ident) => {
        impl LinearOperator for $name {
            fn shape(&self) -> (usize, usize) {
                (self.0.rows, self.0.columns)
            }

            fn apply(&self, vector: &[f64]) -> Vec<f64> {
                assert_eq!(vector.len(), self.0.columns);
                self.apply_rows(DenseRows::new(vector, vector.len(), 1))
            }

            fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
                self.0.apply_transpose(vector)
            }
        }

        impl Sketch for $name {
            fn accumulate(&self, first: usize, block: DenseRows<'_>, sum: &mut [f64]) {
                check_block(self, first, &block, sum);
                self.0.accumulate(first, block, sum);
            }

            fn apply_sparse(&self, matrix: SparseRowMatRef<'_, usize, f64>) -> Option<Vec<f64>> {
                Some(self.0.apply_sparse(matrix))
            }
        }
    };
}

is_sketch!(GaussianSketch);
is_sketch!(SignSketch);
