//! How fast a few rows are multiplied with matrices that do not fit in the caches, in bytes of the matrix a second.

use std::time::Instant;

use half::bf16;
use mathesis_algebra::awake::awake;
use mathesis_algebra::few_rows::{Weight, product_with_transposed};
use mathesis_algebra::random::Sequence;

/// Of the matrices, `[OUTPUTS, width]`.
const OUTPUTS: usize = 2048;
/// As many matrices as have so many entries.
const ENTRIES: usize = 75_000_000;

fn main() {
    let mut random = Sequence::new(1);
    let weights: Vec<f32> = (0..ENTRIES).map(|_| random.symmetric() as f32).collect();
    let halves: Vec<bf16> = weights.iter().map(|&weight| bf16::from_f32(weight)).collect();
    let bytes: Vec<i8> = weights.iter().map(|&weight| (127.0 * weight) as i8).collect();
    for width in [768, 2048] {
        for rows in [1, 2, 4, 16] {
            measure("f32", rows, width, &weights);
            measure("bf16", rows, width, &halves);
            measure("int8", rows, width, &bytes);
        }
    }
}

fn measure<W: Weight>(name: &str, count: usize, width: usize, weights: &[W]) {
    let rows = vec![0.5; count * width];
    let mut output = vec![0.0; count * OUTPUTS];
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let start = Instant::now();
        awake(|| {
            for matrix in weights.chunks_exact(OUTPUTS * width) {
                product_with_transposed(&rows, width, matrix, &mut output);
            }
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    let entries = weights.len() as f64;
    println!(
        "{name:4} {count:2} rows of {width:4}: {:6.2} ms, {:5.1} GB/s, {:5.1} GFLOP/s",
        1e3 * best,
        entries * size_of::<W>() as f64 / best / 1e9,
        2.0 * entries * count as f64 / best / 1e9
    );
}
