//! Random sketches: wide matrices `S` of `m` rows and `n ≥ m` columns with `E[Sᵀ S] = I`, applied without being written out.
//!
//! | sketch | entries | cost of `S X` for `X` of n by c |
//! |---|---|---|
//! | [`Srht`] | sampled rows of a Hadamard matrix with random signs | n c log₂ m |
//! | [`GaussianPooling`] | a Hadamard transform, permuted, weighted by Gaussians, summed in blocks | n c log₂ n |
//! | [`GaussianSketch`] | independent N(0, 1/m) | m n c |
//! | [`SignSketch`] | independent ±1/√m | m n c |
//! | [`SparseSketch`] | s entries ±1/√s in a column: CountSketch for s = 1, OSNAP for more | s n c |
//! | [`TensorSrht`] | an SRHT of Kronecker products, applied factor by factor | see there |
//!
//! A sketch is drawn from a seed; all its random numbers are addressed ([`crate::random`]), so equal seeds give results that are
//! equal to the last bit whatever the number of threads. Rows of `X` may arrive in blocks ([`Sketch::accumulate`]), so a
//! matrix that does not fit the memory is sketched in one pass.

mod dense_random;
mod gaussian_pooling;
mod sparse;
mod srht;
mod tensor_srht;

use std::ops::Range;

use faer::sparse::SparseRowMatRef;
use rayon::prelude::*;

pub use dense_random::{GaussianSketch, SignSketch};
pub use gaussian_pooling::GaussianPooling;
pub use sparse::SparseSketch;
pub use srht::Srht;
pub use tensor_srht::TensorSrht;

use crate::operator::LinearOperator;

/// A drawn sketch.
pub trait Sketch: LinearOperator {
    /// Adds `S[:, first..first + k] X` to `sum` for a block `X` of `k` rows, which are rows `first..first + k` of the whole
    /// matrix; `sum` is row-major with as many rows as the sketch.
    ///
    /// # Panics
    /// If `first` is not a multiple of [`Sketch::alignment`], if the rows reach over the last column of `S`, or if `sum` has
    /// another size.
    fn accumulate(&self, first: usize, block: DenseRows<'_>, sum: &mut [f64]);

    /// Blocks of rows must begin at multiples of this.
    fn alignment(&self) -> usize {
        1
    }

    /// `S X` for a sparse matrix, row-major; `None` if the sketch has no way that spares the zeros.
    ///
    /// # Panics
    /// If the matrix has not as many rows as `S` has columns.
    fn apply_sparse(&self, matrix: SparseRowMatRef<'_, usize, f64>) -> Option<Vec<f64>> {
        let _ = matrix;
        None
    }

    /// `S X` for all rows at once, row-major.
    ///
    /// # Panics
    /// If the matrix has more rows than `S` has columns; missing rows count as zero.
    fn apply_rows(&self, matrix: DenseRows<'_>) -> Vec<f64> {
        let mut sum = vec![0.0; self.shape().0 * matrix.columns];
        self.accumulate(0, matrix, &mut sum);
        sum
    }
}

/// A dense row-major matrix that is only read.
#[derive(Clone, Copy, Debug)]
pub struct DenseRows<'a> {
    entries: Entries<'a>,
    rows: usize,
    columns: usize,
}

#[derive(Clone, Copy, Debug)]
enum Entries<'a> {
    Double(&'a [f64]),
    Single(&'a [f32]),
}

impl<'a> DenseRows<'a> {
    /// A matrix of double precision.
    ///
    /// # Panics
    /// If the entries are not `rows` by `columns`.
    pub fn new(entries: &'a [f64], rows: usize, columns: usize) -> Self {
        assert_eq!(entries.len(), rows * columns, "a matrix has rows times columns entries");
        DenseRows { entries: Entries::Double(entries), rows, columns }
    }

    /// A matrix of single precision; it is computed with in double precision.
    ///
    /// # Panics
    /// If the entries are not `rows` by `columns`.
    pub fn single(entries: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(entries.len(), rows * columns, "a matrix has rows times columns entries");
        DenseRows { entries: Entries::Single(entries), rows, columns }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The entries, row-major, if they are of double precision.
    pub fn as_double(&self) -> Option<&'a [f64]> {
        match self.entries {
            Entries::Double(entries) => Some(entries),
            Entries::Single(_) => None,
        }
    }

    /// An entry.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        assert!(column < self.columns);
        match self.entries {
            Entries::Double(entries) => entries[row * self.columns + column],
            Entries::Single(entries) => f64::from(entries[row * self.columns + column]),
        }
    }

    /// Some rows of it.
    ///
    /// # Panics
    /// If there are none such.
    pub fn part(&self, rows: Range<usize>) -> DenseRows<'a> {
        let place = rows.start * self.columns..rows.end * self.columns;
        let entries = match self.entries {
            Entries::Double(entries) => Entries::Double(&entries[place]),
            Entries::Single(entries) => Entries::Single(&entries[place]),
        };
        DenseRows { entries, rows: rows.len(), columns: self.columns }
    }

    /// `target = scale · row[columns]`.
    ///
    /// # Panics
    /// If the target has another length than the range or the range does not exist.
    pub fn copy_scaled(&self, row: usize, columns: Range<usize>, scale: f64, target: &mut [f64]) {
        assert_eq!(columns.len(), target.len());
        let place = row * self.columns + columns.start..row * self.columns + columns.end;
        match self.entries {
            Entries::Double(entries) => {
                target.iter_mut().zip(&entries[place]).for_each(|(t, x)| *t = scale * x);
            }
            Entries::Single(entries) => {
                target.iter_mut().zip(&entries[place]).for_each(|(t, x)| *t = scale * f64::from(*x));
            }
        }
    }

    /// `target += scale · row[columns]`.
    ///
    /// # Panics
    /// If the target has another length than the range or the range does not exist.
    pub fn add_scaled(&self, row: usize, columns: Range<usize>, scale: f64, target: &mut [f64]) {
        assert_eq!(columns.len(), target.len());
        let place = row * self.columns + columns.start..row * self.columns + columns.end;
        match self.entries {
            Entries::Double(entries) => {
                target.iter_mut().zip(&entries[place]).for_each(|(t, x)| *t += scale * x);
            }
            Entries::Single(entries) => {
                target.iter_mut().zip(&entries[place]).for_each(|(t, x)| *t += scale * f64::from(*x));
            }
        }
    }
}

/// How far `gᵀ Sᵀ S h` is from `gᵀ h` over many sketches: the constants of an oblivious coordinate-wise embedding
/// `|gᵀ(SᵀS − I)h| ≤ (β/√m) ‖g‖ ‖h‖` (Song, Ye, Yin, Zhang 2023, section 2.3 of the project's notes on it).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingConstant {
    /// Half of the draws lie below.
    pub median: f64,
    /// Nine of ten draws lie below.
    pub ninth_decile: f64,
    /// The largest draw.
    pub maximum: f64,
}

/// The values `√m |gᵀ(SᵀS − I)h| / (‖g‖ ‖h‖)` over `draws` sketches, summarised; `draw(k)` makes sketch `k`.
///
/// # Panics
/// If there are no draws or a sketch has another number of columns than the vectors have entries.
pub fn oce_constant(
    draw: impl Fn(u64) -> Box<dyn Sketch>,
    g: &[f64],
    h: &[f64],
    draws: u64,
) -> EmbeddingConstant {
    assert!(draws > 0, "a constant is measured on at least one draw");
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let norms = (dot(g, g) * dot(h, h)).sqrt();
    let mut values: Vec<f64> = (0..draws)
        .map(|k| {
            let sketch = draw(k);
            let difference = dot(&sketch.apply(g), &sketch.apply(h)) - dot(g, h);
            (sketch.shape().0 as f64).sqrt() * difference.abs() / norms
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let quantile = |q: f64| values[((q * draws as f64) as usize).min(values.len() - 1)];
    EmbeddingConstant { median: quantile(0.5), ninth_decile: quantile(0.9), maximum: quantile(1.0) }
}

/// Checks of [`Sketch::accumulate`].
fn check_block(sketch: &dyn Sketch, first: usize, block: &DenseRows<'_>, sum: &[f64]) {
    let (m, n) = sketch.shape();
    assert!(first.is_multiple_of(sketch.alignment()), "a block begins at a multiple of the alignment");
    assert!(first + block.rows <= n, "the rows reach over the sketch's last column");
    assert_eq!(sum.len(), m * block.columns, "the sum has the sketch's rows and the block's columns");
}

/// Adds to the row-major `sum` (of `columns` columns) what `part(rows, columns, sum)` puts into sums of its own for ranges of
/// rows and of at most `width` columns, in parallel; ranges of rows begin at multiples of `grain`.
///
/// The division depends on the shape only, and the parts are added in order: so the result does not depend on the threads.
fn in_parts(
    rows: usize,
    grain: usize,
    columns: usize,
    width: usize,
    sum: &mut [f64],
    part: impl Fn(Range<usize>, Range<usize>, &mut [f64]) + Sync,
) {
    /// Enough parts to keep the cores of one machine busy, unless their sums took more entries than this (256 MB).
    const PARTS: usize = 32;
    const ENTRIES: usize = 1 << 25;
    if rows == 0 || columns == 0 {
        return;
    }
    let m = sum.len() / columns;
    let groups = columns.div_ceil(width);
    let most = PARTS.div_ceil(groups).min(ENTRIES / sum.len().max(1)).max(1);
    let share = rows.div_ceil(most).next_multiple_of(grain);
    let stretches = rows.div_ceil(share);
    let sums: Vec<Vec<f64>> = (0..stretches * groups)
        .into_par_iter()
        .map(|k| {
            let (stretch, group) = (k / groups, k % groups);
            let rows = stretch * share..rows.min((stretch + 1) * share);
            let columns = group * width..columns.min((group + 1) * width);
            let mut own = vec![0.0; m * columns.len()];
            part(rows, columns, &mut own);
            own
        })
        .collect();
    sum.par_chunks_exact_mut(columns).enumerate().with_min_len(64).for_each(|(i, row)| {
        for (k, own) in sums.iter().enumerate() {
            let group = k % groups;
            let target = &mut row[group * width..columns.min((group + 1) * width)];
            let length = target.len();
            target.iter_mut().zip(&own[i * length..]).for_each(|(t, x)| *t += x);
        }
    });
}

#[cfg(test)]
mod tests;
