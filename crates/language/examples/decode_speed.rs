//! How fast a model of about 100 million parameters writes, against the memory's own speed.
//!
//! `decode_speed` prints tokens a second for 1, 4 and 16 rows with weights in single precision, in bfloat16 and in 8 bits, what of the weights is
//! read for it in bytes a second, and how fast memory is read and copied.

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_algebra::real::vectorised;
use mathesis_language::model::{LanguageModel, LanguageModelConfig, Size};
use rayon::prelude::*;

/// Tokens of a long text: keys and values of so many are 134 MB.
const LONG: usize = 8192;

fn main() {
    mathesis_algebra::memory::keep_freed();
    let size = Size {
        vocabulary: 32_000,
        width: 768,
        hidden: 2048,
        layers: 8,
        heads: 12,
        key_value_heads: 4,
        context: 16_384,
    };
    let config = LanguageModelConfig::llama(size);
    let device = Device::flex();
    let model = match config.init(0, &device) {
        Ok(model) => model,
        Err(error) => panic!("a possible configuration: {error}"),
    };
    // All but the embedding, of which a row is read for each token.
    let weights = (config.parameters() - size.vocabulary * size.width) as f64;
    println!(
        "{:.1} million parameters, {:.1} of them for a token",
        config.parameters() as f64 / 1e6,
        weights / 1e6
    );
    let (read, copied) = memory();
    println!(
        "memory is read at {:.1} GB/s, copied at {:.1} (bytes read and written)",
        read / 1e9,
        copied / 1e9
    );
    let half = model.clone().with_bfloat16_weights();
    let quarter = match model.clone().with_int8_weights() {
        Ok(model) => model,
        Err(error) => panic!("finite weights: {error}"),
    };
    for (name, model, bytes) in [("f32", model, 4.0), ("bf16", half, 2.0), ("int8", quarter, 1.0)] {
        for rows in [1, 4, 16] {
            let best = step(&model, rows, 64, &device);
            println!(
                "{name:4} {rows:2} rows: {:.1} tokens/s, {:.1} ms a step, weights at {:.1} GB/s, {:.0} GFLOP/s (best of 24 steps)",
                rows as f64 / best,
                1e3 * best,
                bytes * weights / best / 1e9,
                2.0 * weights * rows as f64 / best / 1e9,
            );
        }
        let best = step(&model, 1, LONG, &device);
        println!(
            "{name:4}  1 row after {LONG} tokens: {:.1} tokens/s, {:.1} ms a step",
            1.0 / best,
            1e3 * best
        );
    }
}

/// Seconds of a step after so many tokens.
fn step(model: &LanguageModel, rows: usize, read: usize, device: &Device) -> f64 {
    let tokens: Tensor<2, Int> =
        Tensor::from_data(TensorData::new(vec![1_i64; rows * read], [rows, read]), device);
    let mut state = model.state(rows, device);
    let _ = model.extend(tokens.clone(), &mut state).into_data();
    let next = tokens.slice([0..rows, 0..1]);
    let mut best = f64::INFINITY;
    for _ in 0..24 {
        let start = Instant::now();
        let _ = model.logits(model.extend(next.clone(), &mut state)).into_data();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// Bytes a second, read, and read and written, of the best of some passes over 256 MB by all threads.
fn memory() -> (f64, f64) {
    let from = vec![1.0_f32; 1 << 26];
    let mut to = vec![0.0_f32; 1 << 26];
    let (mut reads, mut copies) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..6 {
        let start = Instant::now();
        let sums = from.par_chunks(1 << 20).map(|part| {
            let mut sums = [0.0_f32; 64];
            vectorised(
                #[inline(always)]
                || {
                    for block in part.as_chunks::<64>().0 {
                        for lane in 0..64 {
                            sums[lane] += block[lane];
                        }
                    }
                },
            );
            sums.iter().sum::<f32>()
        });
        assert!(sums.sum::<f32>() > 0.0);
        reads = reads.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        to.par_chunks_mut(1 << 20)
            .zip(from.par_chunks(1 << 20))
            .for_each(|(to, from)| to.copy_from_slice(from));
        copies = copies.min(start.elapsed().as_secs_f64());
    }
    let bytes = 4.0 * from.len() as f64;
    (bytes / reads, 2.0 * bytes / copies)
}
