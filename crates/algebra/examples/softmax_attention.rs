//! How fast the next token of a long row is attended to, in bytes of keys and values a second.

use std::time::Instant;

use mathesis_algebra::awake::awake;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::softmax_attention::{Kept, next};

/// Layers, each with keys and values of its own.
const LAYERS: usize = 8;
const WIDTH: usize = 64;

fn main() {
    for (groups, shared) in [(4, 1), (4, 3), (4, 8)] {
        for tokens in [512, 8192] {
            let mut random = Sequence::new(1);
            let mut draw =
                |length: usize| -> Vec<f32> { (0..length).map(|_| random.symmetric() as f32).collect() };
            let queries = draw(groups * shared * WIDTH);
            let layers: Vec<[Vec<f32>; 2]> =
                (0..LAYERS).map(|_| [(); 2].map(|()| draw(groups * tokens * WIDTH))).collect();
            let mut best = f64::INFINITY;
            for _ in 0..12 {
                let start = Instant::now();
                awake(|| {
                    for [keys, values] in &layers {
                        let _ = next(&queries, Kept { keys, values, groups, width: WIDTH }, 0..tokens);
                    }
                });
                best = best.min(start.elapsed().as_secs_f64());
            }
            let bytes = 8 * LAYERS * groups * tokens * WIDTH;
            println!(
                "{groups} groups of {shared} heads, {tokens:4} tokens: {:.2} ms, {:.1} GB/s",
                1e3 * best,
                bytes as f64 / best / 1e9
            );
        }
    }
}
