//! The subsampled randomised Hadamard transform `S = P H D / √m` (Ailon, Chazelle 2006; Tropp 2011): `D` random signs, `H` the
//! unnormalised Walsh–Hadamard matrix of order `N`, the next power of two, `P` picks `m` rows uniformly with replacement.
//!
//! Only the `m` sampled outputs are computed, and the matrix is read once. With `N = (N/T) T` and `H_N = H_{N/T} ⊗ H_T`,
//!
//! `(H D X)[(r₁, r₂)] = Σ_{i₁} (−1)^{r₁ · i₁} (H_T (D X)_{i₁})[r₂]`,
//!
//! so each block `i₁` of `T` rows is transformed in the cache and its rows `r₂` are added, with their signs, to the sampled
//! outputs: `N c (log₂ T + m/T)` additions with `T` near `m`. The blocks may arrive one after the other, so a pass over a stream
//! gives the same sketch as a matrix in memory, and blocks of nothing but padding cost nothing.

use super::{DenseRows, Sketch, check_block, in_parts};
use crate::hadamard;
use crate::operator::LinearOperator;
use crate::random::Stream;

/// A drawn subsampled randomised Hadamard transform.
#[derive(Clone, Debug)]
pub struct Srht {
    columns: usize,
    order: usize,
    pub(super) samples: Vec<usize>,
    pub(super) signs: Stream,
}

/// Most rows of a block that is transformed in the cache.
const MOST_ROWS: usize = 1 << 12;
/// Entries of such a block (half a megabyte).
const CACHED: usize = 1 << 16;

impl Srht {
    /// `rows` (m) by `columns` (n), drawn from a seed. A larger `columns` than there are rows of data is harmless: missing rows
    /// count as zeros.
    ///
    /// # Panics
    /// If there are columns and no rows, or the reverse.
    pub fn new(rows: usize, columns: usize, seed: u64) -> Self {
        assert_eq!(rows == 0, columns == 0, "a sketch has rows and columns or neither");
        let order = columns.next_power_of_two();
        let picks = Stream::new(seed, 1);
        let samples = (0..rows).map(|k| picks.below(k as u64, order as u64) as usize).collect();
        Srht { columns, order, samples, signs: Stream::new(seed, 2) }
    }

    /// The order `N` of the Hadamard matrix.
    pub fn order(&self) -> usize {
        self.order
    }

    fn scale(&self) -> f64 {
        1.0 / (self.samples.len() as f64).sqrt()
    }

    fn block_rows(&self) -> usize {
        // Of blocks and order only m decides, so that a stream of unknown length has the same blocks.
        self.samples.len().next_power_of_two().clamp(16, MOST_ROWS)
    }
}

impl LinearOperator for Srht {
    fn shape(&self) -> (usize, usize) {
        (self.samples.len(), self.columns)
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.columns);
        self.apply_rows(DenseRows::new(vector, vector.len(), 1))
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.samples.len());
        let mut values = vec![0.0; self.order];
        for (row, x) in self.samples.iter().zip(vector) {
            values[*row] += x * self.scale();
        }
        hadamard::transform(&mut values, 1);
        values.truncate(self.columns);
        values.iter_mut().enumerate().for_each(|(i, x)| *x *= self.signs.sign(i as u64));
        values
    }
}

impl Sketch for Srht {
    fn alignment(&self) -> usize {
        self.block_rows()
    }

    fn accumulate(&self, first: usize, block: DenseRows<'_>, sum: &mut [f64]) {
        check_block(self, first, &block, sum);
        let tile = self.block_rows();
        let scale = self.scale();
        let width = (CACHED / tile).clamp(16, 64);
        in_parts(block.rows(), tile, block.columns(), width, sum, |rows, columns, sum| {
            let width = columns.len();
            let mut buffer = vec![0.0; tile * width];
            for start in rows.clone().step_by(tile) {
                let filled = tile.min(rows.end - start);
                for (i, target) in buffer.chunks_exact_mut(width).take(filled).enumerate() {
                    let sign = self.signs.sign((first + start + i) as u64);
                    block.copy_scaled(start + i, columns.clone(), sign * scale, target);
                }
                buffer[filled * width..].fill(0.0);
                hadamard::transform_cached(&mut buffer, tile);
                let place = (first + start) / tile;
                for (sample, target) in self.samples.iter().zip(sum.chunks_exact_mut(width)) {
                    let (outer, inner) = (sample / tile, sample % tile);
                    let source = &buffer[inner * width..][..width];
                    if (outer & place).count_ones().is_multiple_of(2) {
                        target.iter_mut().zip(source).for_each(|(t, x)| *t += x);
                    } else {
                        target.iter_mut().zip(source).for_each(|(t, x)| *t -= x);
                    }
                }
            }
        });
    }
}
