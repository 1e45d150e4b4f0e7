//! Products of a few rows with a large matrix, `Y = X Wᵀ`: what a language model does for each token that it writes.
//!
//! Every entry of the matrix is needed once, so that the product takes as long as the matrix takes to read. General products of
//! matrices rearrange it first, or use one thread; here it is read once, in its order, by all threads.

use pulp::Arch;
use rayon::prelude::*;

/// Entries of the matrix below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 16;
/// Sums that are kept beside each other, a few vectors of the widest instructions.
const LANES: usize = 32;
/// Rows that share what is read of the matrix in registers.
const GROUP: usize = 4;

/// `Y = X Wᵀ` for rows `X` of the given width, `[rows][width]`, and `W` `[outputs][width]`; `Y` is `[rows][outputs]`.
///
/// Sums are in another order than in a loop over the width, the same for any number of threads and rows.
///
/// # Panics
/// If the lengths do not fit.
pub fn product_with_transposed(rows: &[f32], width: usize, matrix: &[f32], output: &mut [f32]) {
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

/// `W Xᵀ`, `[outputs][rows]`.
fn in_parts(rows: &[f32], width: usize, matrix: &[f32], sums: &mut [f32]) {
    let (arch, count) = (Arch::new(), rows.len() / width);
    let part = if matrix.len() < PARALLEL_FROM {
        matrix.len() / width
    } else {
        // Some parts for each thread, so that none waits long for the others.
        (matrix.len() / width).div_ceil(8 * rayon::current_num_threads()).max(1)
    };
    sums.par_chunks_mut(part * count)
        .zip(matrix.par_chunks(part * width))
        .for_each(|(sums, matrix)| arch.dispatch(Part { rows, width, matrix, sums }));
}

/// Some rows of the matrix.
struct Part<'a> {
    rows: &'a [f32],
    width: usize,
    matrix: &'a [f32],
    sums: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Part<'_> {
    type Output = ();

    // The loops are plain; inlined into the dispatch they are compiled for the vector instructions of the machine.
    #[inline(always)]
    fn call(self) {
        let Part { rows, width, matrix, sums } = self;
        for (weights, sums) in matrix.chunks_exact(width).zip(sums.chunks_exact_mut(rows.len() / width)) {
            for (rows, sums) in rows.chunks(GROUP * width).zip(sums.chunks_mut(GROUP)) {
                match sums.len() {
                    1 => dots::<1>(rows, weights, sums),
                    2 => dots::<2>(rows, weights, sums),
                    3 => dots::<3>(rows, weights, sums),
                    _ => dots::<GROUP>(rows, weights, sums),
                }
            }
        }
    }
}

/// The products of some rows with one.
#[inline(always)]
fn dots<const COUNT: usize>(rows: &[f32], weights: &[f32], sums: &mut [f32]) {
    let width = weights.len();
    let mut lanes = [[0.0_f32; LANES]; COUNT];
    let (blocks, rest) = weights.as_chunks::<LANES>();
    for (block, weights) in blocks.iter().enumerate() {
        for (row, lanes) in lanes.iter_mut().enumerate() {
            let row = &rows[row * width + block * LANES..][..LANES];
            for lane in 0..LANES {
                lanes[lane] += weights[lane] * row[lane];
            }
        }
    }
    for (row, (lanes, sum)) in lanes.iter().zip(sums).enumerate() {
        let row = &rows[row * width..][..width];
        let end: f32 = rest.iter().zip(&row[width - rest.len()..]).map(|(w, x)| w * x).sum();
        *sum = lanes.iter().sum::<f32>() + end;
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
            // A row alone has the same sums.
            if width > 0 {
                let mut alone = vec![0.0; outputs];
                product_with_transposed(&rows[..width], width, &matrix, &mut alone);
                assert_eq!(alone, output[..outputs]);
            }
        }
    }
}
