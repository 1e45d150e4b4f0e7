//! The balanced Gaussian-pooled Hadamard transform `S = B D_γ Π F_N D_σ J` (Song, Zhang 2026, "Hadamard Flattening and Gaussian
//! Pooling Sketch"): `J` pads to `N = m s` rows, `D_σ` random signs, `F_N = H_N / √N`, `Π` a random permutation, `D_γ` independent
//! standard normal weights, `B` sums consecutive blocks of `s` rows. `E[SᵀS] = I` without a further factor.
//!
//! It is the sketch for which the coordinate-wise bound of sketched regression is proved. All `N` outputs are needed, so
//! nothing can be left out of the transform, and a matrix that arrives in chunks gets an independent transform for each chunk of
//! `chunk` rows: `S = [S₁ S₂ ...]`, of which `E[SᵀS] = I` still holds, but no theorem is claimed.

use rayon::prelude::*;

use super::{DenseRows, Sketch, check_block};
use crate::hadamard;
use crate::operator::LinearOperator;
use crate::random::Stream;

/// A drawn Gaussian-pooled transform.
#[derive(Clone, Debug)]
pub struct GaussianPooling {
    rows: usize,
    columns: usize,
    chunk: usize,
    order: usize,
    seed: u64,
}

/// The random parts for one chunk.
struct Draw {
    signs: Stream,
    /// Of each output of the transform: the row of the sketch that it is summed into, and its weight (with 1/√N).
    pools: Vec<(usize, f64)>,
}

impl GaussianPooling {
    /// The least number of outputs that are pooled into a row by default.
    pub const POOL: usize = 8;

    /// `rows` (m, a power of two) by `columns` (n), one transform for all columns, with pools of `max(⌈n/m⌉, least_pool)`
    /// outputs, rounded up to a power of two.
    ///
    /// # Panics
    /// If `rows` is not a power of two or the pool is empty.
    pub fn new(rows: usize, columns: usize, least_pool: usize, seed: u64) -> Self {
        Self::chunked(rows, columns, columns.max(1), least_pool, seed)
    }

    /// As [`GaussianPooling::new`], with an independent transform for each `chunk` columns.
    ///
    /// # Panics
    /// If `rows` is not a power of two, or the pool or the chunk is empty.
    pub fn chunked(rows: usize, columns: usize, chunk: usize, least_pool: usize, seed: u64) -> Self {
        assert!(rows.is_power_of_two(), "Gaussian pooling has a power of two of rows");
        assert!(least_pool > 0 && chunk > 0, "pools and chunks are not empty");
        let pool = chunk.div_ceil(rows).max(least_pool).next_power_of_two();
        GaussianPooling { rows, columns, chunk, order: rows * pool, seed }
    }

    /// The order `N` of the Hadamard matrix.
    pub fn order(&self) -> usize {
        self.order
    }

    fn draw(&self, chunk: usize) -> Draw {
        let stream = |part| Stream::new(self.seed, 4 * chunk as u64 + part);
        let (order, pool) = (self.order, self.order / self.rows);
        let weights = stream(2);
        let scale = 1.0 / (order as f64).sqrt();
        let pools = stream(1)
            .permutation(order)
            .into_iter()
            .map(|place| (place / pool, scale * weights.normal(place as u64)))
            .collect();
        Draw { signs: stream(0), pools }
    }

    /// The chunks that rows `first..first + count` lie in, with their rows counted from `first`.
    fn chunks(&self, first: usize, count: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let chunk = self.chunk;
        (0..count).step_by(chunk).map(move |start| ((first + start) / chunk, start..count.min(start + chunk)))
    }
}

impl LinearOperator for GaussianPooling {
    fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.columns);
        self.apply_rows(DenseRows::new(vector, vector.len(), 1))
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.rows);
        let mut result = Vec::with_capacity(self.columns);
        for (chunk, rows) in self.chunks(0, self.columns) {
            let draw = self.draw(chunk);
            let mut values: Vec<f64> =
                draw.pools.iter().map(|(pool, weight)| weight * vector[*pool]).collect();
            hadamard::transform(&mut values, 1);
            result
                .extend(values[..rows.len()].iter().enumerate().map(|(i, x)| draw.signs.sign(i as u64) * x));
        }
        result
    }
}

impl Sketch for GaussianPooling {
    fn alignment(&self) -> usize {
        self.chunk
    }

    fn accumulate(&self, first: usize, block: DenseRows<'_>, sum: &mut [f64]) {
        check_block(self, first, &block, sum);
        let columns = block.columns();
        if block.rows() == 0 || columns == 0 {
            return;
        }
        // Groups of columns are independent; each has a copy of its own of `N` rows.
        let width = ((1 << 21) / self.order).clamp(8, 16);
        for (chunk, rows) in self.chunks(first, block.rows()) {
            let draw = self.draw(chunk);
            let pooled: Vec<Vec<f64>> = (0..columns.div_ceil(width))
                .into_par_iter()
                .map_init(Vec::new, |buffer: &mut Vec<f64>, group| {
                    let columns = group * width..columns.min((group + 1) * width);
                    let width = columns.len();
                    buffer.resize(self.order * width, 0.0);
                    for (i, target) in buffer.chunks_exact_mut(width).take(rows.len()).enumerate() {
                        let sign = draw.signs.sign(i as u64);
                        block.copy_scaled(rows.start + i, columns.clone(), sign, target);
                    }
                    buffer[rows.len() * width..].fill(0.0);
                    hadamard::transform_cached(buffer, self.order);
                    let mut own = vec![0.0; self.rows * width];
                    for ((pool, weight), source) in draw.pools.iter().zip(buffer.chunks_exact(width)) {
                        let target = &mut own[pool * width..][..width];
                        target.iter_mut().zip(source).for_each(|(t, x)| *t += weight * x);
                    }
                    own
                })
                .collect();
            sum.par_chunks_exact_mut(columns).enumerate().with_min_len(64).for_each(|(i, row)| {
                for (own, target) in pooled.iter().zip(row.chunks_mut(width)) {
                    let length = target.len();
                    target.iter_mut().zip(&own[i * length..]).for_each(|(t, x)| *t += x);
                }
            });
        }
    }
}
