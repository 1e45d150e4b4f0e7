//! How fast a model of about 100 million parameters writes, against the memory's own speed.
//!
//! `decode_speed` prints tokens a second for 1, 4 and 16 rows, what of the weights is read for it in bytes a second, and how fast
//! memory is copied.

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_language::model::{LanguageModelConfig, Size};
use rayon::prelude::*;

fn main() {
    let size = Size {
        vocabulary: 32_000,
        width: 768,
        hidden: 2048,
        layers: 8,
        heads: 12,
        key_value_heads: 4,
        context: 2048,
    };
    let config = LanguageModelConfig::llama(size);
    let device = Device::flex();
    let model = match config.init(0, &device) {
        Ok(model) => model,
        Err(error) => panic!("a possible configuration: {error}"),
    };
    // All but the embedding, of which a row is read for each token.
    let read = 4.0 * (config.parameters() - size.vocabulary * size.width) as f64;
    println!(
        "{:.1} million parameters, {:.0} MB read for a token",
        config.parameters() as f64 / 1e6,
        read / 1e6
    );
    println!("memory is copied at {:.1} GB/s (bytes read and written)", copied() / 1e9);
    for rows in [1, 4, 16] {
        let tokens: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(vec![1_i64; rows * 64], [rows, 64]), &device);
        let mut state = model.state(rows, &device);
        let _ = model.extend(tokens.clone(), &mut state).into_data();
        let next = tokens.slice([0..rows, 0..1]);
        let mut best = f64::INFINITY;
        for _ in 0..24 {
            let start = Instant::now();
            let _ = model.logits(model.extend(next.clone(), &mut state)).into_data();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "{rows:2} rows: {:.1} tokens/s, {:.1} ms a step, weights at {:.1} GB/s (best of 24 steps)",
            rows as f64 / best,
            1e3 * best,
            read / best / 1e9
        );
    }
}

/// Bytes a second, read and written, of the best of some copies of 256 MB by all threads.
fn copied() -> f64 {
    let from = vec![1.0_f32; 1 << 26];
    let mut to = vec![0.0_f32; 1 << 26];
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let start = Instant::now();
        to.par_chunks_mut(1 << 20)
            .zip(from.par_chunks(1 << 20))
            .for_each(|(to, from)| to.copy_from_slice(from));
        best = best.min(start.elapsed().as_secs_f64());
    }
    8.0 * from.len() as f64 / best
}
