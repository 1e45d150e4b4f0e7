//! The fast Walsh–Hadamard transform of the columns of a row-major matrix.
//!
//! `H[i, j] = (−1)^popcount(i & j)` of order `n = 2^p`, unnormalised: `H Hᵀ = n I`. As `H` is the Kronecker product of `p`
//! matrices `[1 1; 1 −1]`, its levels commute, and any `k` of them together are a transform of order `2^k` across rows of equal
//! distance. [`transform`] uses this to read and write the matrix only `⌈p/9⌉` times or so instead of `p` times: it gathers
//! `2^9` rows of equal distance, a few columns of them at a time, into a piece of cache, does nine levels there and puts them
//! back. Inside the cache the levels go by threes (radix 8), depth first.

use pulp::Arch;
use rayon::prelude::*;

/// `H[row, column]`: 1 or −1.
pub fn entry(row: usize, column: usize) -> f64 {
    if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// Most `f64` in a piece that is transformed inside the cache (half a megabyte).
const CACHED: usize = 1 << 16;
/// Most rows of equal distance that are gathered at once.
const GATHERED: usize = 1 << 9;

/// Replaces every column of a row-major matrix by its Walsh–Hadamard transform, in place and on all threads. The result does
/// not depend on the number of threads.
///
/// # Panics
/// If the number of rows, `values.len() / columns`, is not a power of two (an empty matrix is left as it is).
pub fn transform(values: &mut [f64], columns: usize) {
    if values.is_empty() {
        return;
    }
    assert!(columns > 0 && values.len().is_multiple_of(columns), "a matrix has whole rows");
    let rows = values.len() / columns;
    assert!(rows.is_power_of_two(), "a Walsh–Hadamard transform has a power of two of rows");
    if values.len() <= CACHED || rows <= 2 {
        return transform_cached(values, rows);
    }
    // The highest levels: a transform of order `high` across rows that lie `rows / high` apart.
    let high = GATHERED.min(rows);
    let stride = values.len() / high;
    let width = (CACHED / high).min(stride);
    let mut pieces: Vec<Vec<&mut [f64]>> =
        (0..stride.div_ceil(width)).map(|_| Vec::with_capacity(high)).collect();
    for row in values.chunks_exact_mut(stride) {
        for (piece, part) in pieces.iter_mut().zip(row.chunks_mut(width)) {
            piece.push(part);
        }
    }
    pieces.into_par_iter().for_each_init(
        || vec![0.0; high * width],
        |buffer, mut piece| {
            let width = piece[0].len();
            let buffer = &mut buffer[..high * width];
            for (cached, part) in buffer.chunks_exact_mut(width).zip(&piece) {
                cached.copy_from_slice(part);
            }
            transform_cached(buffer, high);
            for (cached, part) in buffer.chunks_exact(width).zip(&mut piece) {
                part.copy_from_slice(cached);
            }
        },
    );
    if rows > high {
        values.par_chunks_exact_mut(stride).for_each(|block| transform(block, columns));
    }
}

/// The transform of `rows` rows that lie one after the other, on this thread: made for pieces that fit the cache, right for all.
///
/// # Panics
/// If `rows` is not a power of two or the values are not that many whole rows.
pub fn transform_cached(values: &mut [f64], rows: usize) {
    assert!(rows.is_power_of_two() && values.len().is_multiple_of(rows));
    depth_first(Arch::new(), values, rows);
}

fn depth_first(arch: Arch, values: &mut [f64], rows: usize) {
    let radix = match rows {
        1 => return,
        2 => 2,
        4 => 4,
        // Powers of 8 are left to the end of the recursion, which is the cheapest place for radix 8.
        _ => match rows.trailing_zeros() % 3 {
            0 => 8,
            1 => 2,
            _ => 4,
        },
    };
    let length = values.len() / radix;
    match radix {
        2 => arch.dispatch(Radix2(values)),
        4 => arch.dispatch(Radix4(values)),
        _ => arch.dispatch(Radix8(values)),
    }
    if rows > radix {
        for part in values.chunks_exact_mut(length) {
            depth_first(arch, part, rows / radix);
        }
    }
}

/// One level across the two halves.
struct Radix2<'a>(&'a mut [f64]);
/// Two levels across the four quarters.
struct Radix4<'a>(&'a mut [f64]);
/// Three levels across the eight eighths.
struct Radix8<'a>(&'a mut [f64]);

impl pulp::NullaryFnOnce for Radix2<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let (first, second) = self.0.split_at_mut(self.0.len() / 2);
        for (a, b) in first.iter_mut().zip(second) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

impl pulp::NullaryFnOnce for Radix4<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let length = self.0.len() / 4;
        let [a, b, c, d] = parts(self.0, length);
        for i in 0..length {
            let (s, t) = (a[i] + b[i], a[i] - b[i]);
            let (u, v) = (c[i] + d[i], c[i] - d[i]);
            (a[i], b[i], c[i], d[i]) = (s + u, t + v, s - u, t - v);
        }
    }
}

impl pulp::NullaryFnOnce for Radix8<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        let length = self.0.len() / 8;
        let parts = parts::<8>(self.0, length);
        let [p0, p1, p2, p3, p4, p5, p6, p7] = parts;
        for i in 0..length {
            let (a0, a1) = (p0[i] + p1[i], p0[i] - p1[i]);
            let (a2, a3) = (p2[i] + p3[i], p2[i] - p3[i]);
            let (a4, a5) = (p4[i] + p5[i], p4[i] - p5[i]);
            let (a6, a7) = (p6[i] + p7[i], p6[i] - p7[i]);
            let (b0, b1, b2, b3) = (a0 + a2, a1 + a3, a0 - a2, a1 - a3);
            let (b4, b5, b6, b7) = (a4 + a6, a5 + a7, a4 - a6, a5 - a7);
            (p0[i], p1[i], p2[i], p3[i]) = (b0 + b4, b1 + b5, b2 + b6, b3 + b7);
            (p4[i], p5[i], p6[i], p7[i]) = (b0 - b4, b1 - b5, b2 - b6, b3 - b7);
        }
    }
}

/// Parts of equal length that follow each other.
#[inline(always)]
fn parts<const COUNT: usize>(values: &mut [f64], length: usize) -> [&mut [f64]; COUNT] {
    let mut rest = values;
    std::array::from_fn(|_| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(length);
        rest = others;
        part
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn matrix(rows: usize, columns: usize) -> Vec<f64> {
        let stream = Stream::new(7, 1);
        (0..rows * columns).map(|k| stream.uniform(k as u64) - 0.5).collect()
    }

    /// The product with the written-out matrix.
    fn product(values: &[f64], columns: usize) -> Vec<f64> {
        let rows = values.len() / columns;
        (0..rows * columns)
            .map(|k| (0..rows).map(|i| entry(k / columns, i) * values[i * columns + k % columns]).sum())
            .collect()
    }

    #[test]
    fn transform_is_the_product_with_the_matrix() {
        for p in 0..=10 {
            for columns in [1, 2, 3, 17] {
                let values = matrix(1 << p, columns);
                let mut fast = values.clone();
                transform(&mut fast, columns);
                let mut cached = values.clone();
                transform_cached(&mut cached, 1 << p);
                for ((a, b), c) in fast.iter().zip(&cached).zip(product(&values, columns)) {
                    assert!((a - c).abs() < 1e-12 && (b - c).abs() < 1e-12, "2^{p} rows: {a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn large_transforms_agree_with_one_piece() {
        for (p, columns) in [(9, 300), (12, 65), (13, 33), (17, 3), (19, 1)] {
            let values = matrix(1 << p, columns);
            let (mut fast, mut plain) = (values.clone(), values);
            transform(&mut fast, columns);
            transform_cached(&mut plain, 1 << p);
            let worst = fast.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-10, "2^{p} rows, {columns} columns: {worst}");
        }
    }

    #[test]
    fn nothing_is_transformed_to_nothing() {
        transform(&mut [], 0);
        transform(&mut [], 3);
    }

    proptest! {
        #[test]
        fn twice_is_a_multiple(p in 0usize..8, columns in 1usize..9) {
            let values = matrix(1 << p, columns);
            let mut twice = values.clone();
            transform(&mut twice, columns);
            transform(&mut twice, columns);
            for (a, b) in twice.iter().zip(&values) {
                prop_assert!((a - (1 << p) as f64 * b).abs() < 1e-11);
            }
        }
    }
}
