//! Products of a few rows with a large matrix, `Y = X Wᵀ`: what a language model does for each token that it writes.
//!
//! Every entry of the matrix is needed once, so that the product takes as long as the matrix takes to read. General products of
//! matrices rearrange it first; here it is read once, in its order, by all threads. Some rows of `X` and some of `W` are multiplied
//! together, so that each number that is read from the cache is used for several sums, all of them in registers. A matrix kept in
//! bfloat16 or 8-bit integers has half or a quarter of the bytes to read; its numbers become single precision in registers, exactly.

use half::bf16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::memory::prefetch;

/// Entries of the matrix below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 16;
/// Rows of `X` that share what is read of `W` in registers.
const ROWS: usize = 4;
/// Rows of `W` that share what is read of `X`.
const OUTPUTS: usize = 4;

/// Bytes between what is read of the matrix and what is asked for. Without asking, the narrow formats are read at half the speed of memory.
const PREFETCH: usize = 1 << 13;

/// A number format of the matrix.
pub trait Weight: Copy + Send + Sync {
    /// The number in single precision, exactly.
    fn single(self) -> f32;
}

impl Weight for f32 {
    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
}

impl Weight for bf16 {
    #[inline(always)]
    fn single(self) -> f32 {
        // It is the upper half of the number in single precision.
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Weight for i8 {
    #[inline(always)]
    fn single(self) -> f32 {
        f32::from(self)
    }
}

/// The most lanes of a vector.
const MOST_LANES: usize = 16;

/// A vector of the machine with the numbers, and zeros where there are fewer. For whole vectors the array never leaves the registers: its
/// conversion is a few vector instructions.
#[inline(always)]
fn vector<S: Simd, W: Weight>(_: S, numbers: &[W]) -> S::f32s {
    let mut single = [0.0_f32; MOST_LANES];
    for (single, number) in single.iter_mut().zip(numbers) {
        *single = number.single();
    }
    pulp::cast_lossy(single)
}

/// `Y = X Wᵀ` for rows `X` of the given width, `[rows][width]`, and `W` `[outputs][width]`; `Y` is `[rows][outputs]`.
///
/// Sums are in another order than in a loop over the width, the same for any number of threads and rows.
///
/// # Panics
/// If the lengths do not fit.
pub fn product_with_transposed<W: Weight>(rows: &[f32], width: usize, matrix: &[W], output: &mut [f32]) {
    if width == 0 || rows.is_empty() || matrix.is_empty() {
        output.fill(0.0);
        return;
    }
    let (count, outputs) = (rows.len() / width, matrix.len() / width);
    assert_eq!([rows.len(), matrix.len()], [count * width, outputs * width], "whole rows of the width");
    assert_eq!(output.len(), count * outputs, "entries of the product");
    if count == 1 {
        in_parts(rows, width, matrix, output);
        return;
    }
    // The sums for one row of the matrix are made together, and put in their order at the end.
    let mut sums = vec![0.0; count * outputs];
    in_parts(rows, width, matrix, &mut sums);
    for (place, sums) in sums.chunks(count).enumerate() {
        for (row, &sum) in sums.iter().enumerate() {
            output[row * outputs + place] = sum;
        }
    }
}

/// `W Xᵀ` by this thread alone, `[outputs][rows]`, for whole rows of the width.
pub(crate) fn transposed_product<W: Weight>(rows: &[f32], width: usize, matrix: &[W], sums: &mut [f32]) {
    Arch::new().dispatch(Part { rows, width, matrix, sums });
}

/// `W Xᵀ`, `[outputs][rows]`.
fn in_parts<W: Weight>(rows: &[f32], width: usize, matrix: &[W], sums: &mut [f32]) {
    let (arch, count) = (Arch::new(), rows.len() / width);
    let part = if matrix.len() < PARALLEL_FROM {
        matrix.len() / width
    } else {
        // Some parts for each thread, so that none waits long for the others.
        (matrix.len() / width).div_ceil(8 * rayon::current_num_threads()).next_multiple_of(OUTPUTS)
    };
    sums.par_chunks_mut(part * count)
        .zip(matrix.par_chunks(part * width))
        .for_each(|(sums, matrix)| arch.dispatch(Part { rows, width, matrix, sums }));
}

/// Some rows of the matrix.
struct Part<'a, W> {
    rows: &'a [f32],
    width: usize,
    matrix: &'a [W],
    /// `[outputs][rows]`.
    sums: &'a mut [f32],
}

impl<W: Weight> WithSimd for Part<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Part { rows, width, matrix, sums } = self;
        let count = rows.len() / width;
        for (weights, sums) in matrix.chunks(OUTPUTS * width).zip(sums.chunks_mut(OUTPUTS * count)) {
            for (group, rows) in rows.chunks(ROWS * width).enumerate() {
                let sums = &mut sums[group * ROWS..];
                if weights.len() == OUTPUTS * width {
                    match rows.len() / width {
                        1 => tile::<S, W, 1, OUTPUTS>(simd, rows, weights, width, sums, count),
                        2 => tile::<S, W, 2, OUTPUTS>(simd, rows, weights, width, sums, count),
                        3 => tile::<S, W, 3, OUTPUTS>(simd, rows, weights, width, sums, count),
                        _ => tile::<S, W, ROWS, OUTPUTS>(simd, rows, weights, width, sums, count),
                    }
                    continue;
                }
                for (output, weights) in weights.chunks(width).enumerate() {
                    for (row, values) in rows.chunks(width).enumerate() {
                        let sums = &mut sums[output * count + row..];
                        tile::<S, W, 1, 1>(simd, values, weights, width, sums, count);
                    }
                }
            }
        }
    }
}

/// The inner products of `R` rows with `C` rows of the matrix; that of `r` and `c` goes to `c * stride + r`. Each is one vector of sums
/// whatever `R` and `C` are.
#[inline(always)]
fn tile<S: Simd, W: Weight, const R: usize, const C: usize>(
    simd: S,
    rows: &[f32],
    weights: &[W],
    width: usize,
    sums: &mut [f32],
    stride: usize,
) {
    let zero = simd.splat_f32s(0.0);
    let (mut lanes, blocks) = ([[zero; C]; R], width / S::F32_LANES);
    // In whole tiles, so that what is asked for is what will be read.
    let ahead = (PREFETCH / size_of::<W>()).next_multiple_of(C * width);
    let mut x: [(&[S::f32s], &[f32]); R] = [(&[], &[]); R];
    let mut w: [(&[W], &[W]); C] = [(&[], &[]); C];
    for r in 0..R {
        let (whole, rest) = S::as_simd_f32s(&rows[r * width..][..width]);
        x[r] = (&whole[..blocks], rest);
    }
    for c in 0..C {
        w[c] = weights[c * width..][..width].split_at(blocks * S::F32_LANES);
    }
    for block in 0..blocks {
        let mut shared = [zero; C];
        for c in 0..C {
            let numbers = &w[c].0[block * S::F32_LANES..][..S::F32_LANES];
            prefetch(numbers.as_ptr().wrapping_add(ahead));
            shared[c] = vector(simd, numbers);
        }
        for r in 0..R {
            let x = x[r].0[block];
            for c in 0..C {
                lanes[r][c] = simd.mul_add_f32s(x, shared[c], lanes[r][c]);
            }
        }
    }
    let mut last = [zero; C];
    for c in 0..C {
        last[c] = vector(simd, w[c].1);
    }
    for r in 0..R {
        let x = simd.partial_load_f32s(x[r].1);
        for c in 0..C {
            let sum = simd.mul_add_f32s(x, last[c], lanes[r][c]);
            sums[c * stride + r] = simd.reduce_sum_f32s(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Sequence;

    #[test]
    fn the_product_is_that_of_plain_sums() {
        let mut random = Sequence::new(1);
        for (count, width, outputs) in [
            (1, 1, 1),
            (1, 31, 3),
            (1, 1000, 300),
            (2, 64, 5),
            (3, 33, 700),
            (5, 100, 9),
            (16, 257, 300),
            (7, 0, 4),
        ] {
            let mut draw =
                |length: usize| -> Vec<f32> { (0..length).map(|_| random.symmetric() as f32).collect() };
            let (rows, matrix) = (draw(count * width), draw(outputs * width));
            let mut output = vec![7.0; count * outputs];
            product_with_transposed(&rows, width, &matrix, &mut output);
            for row in 0..count {
                for place in 0..outputs {
                    let expected: f64 = (0..width)
                        .map(|k| f64::from(rows[row * width + k]) * f64::from(matrix[place * width + k]))
                        .sum();
                    let given = f64::from(output[row * outputs + place]);
                    assert!((given - expected).abs() < 1e-4, "{given} for {expected}");
                }
            }
            // Numbers that are kept in half the bytes are multiplied exactly as they are.
            let halves: Vec<bf16> = matrix.iter().map(|&w| bf16::from_f32(w)).collect();
            let widened: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
            let [mut of_halves, mut of_widened] = [(); 2].map(|()| vec![7.0; count * outputs]);
            product_with_transposed(&rows, width, &halves, &mut of_halves);
            product_with_transposed(&rows, width, &widened, &mut of_widened);
            assert_eq!(of_halves, of_widened);
            // A row alone has the same sums.
            if width > 0 {
                let mut alone = vec![0.0; outputs];
                product_with_transposed(&rows[..width], width, &matrix, &mut alone);
                assert_eq!(alone, output[..outputs]);
            }
        }
    }
}
