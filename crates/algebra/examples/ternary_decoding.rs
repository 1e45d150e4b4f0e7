//! Times decoding of a language model with ternary weights, one token after the other: random weights in the shape of the 1.3B model of Zhu
//! et al., "Scalable MatMul-free Language Modeling" (2024): 24 layers of width 2048, channel layers of 5632, 32,000 tokens. All of a step is
//! computed: norms, 8-bit activations, products, recurrence, gates and the head.
//!
//! `ternary_decoding [TOKENS]`, by default 20.

use std::time::Instant;

use mathesis_algebra::awake::awake;
use mathesis_algebra::number_format::bit_linear::forward_packed;
use mathesis_algebra::number_format::ternary::TernaryMatrix;
use mathesis_algebra::random::Stream;

const LAYERS: usize = 24;
const WIDTH: usize = 2048;
const HIDDEN: usize = 5632;
const VOCABULARY: usize = 32_000;
const EPSILON: f64 = 1e-6;

/// A ternary layer, the gain of whose norm is one.
struct Layer {
    weights: TernaryMatrix,
    gain: Vec<f32>,
}

impl Layer {
    fn random(outputs: usize, inputs: usize, stream: Stream) -> Self {
        // Two random bits a weight: three zeros of four would be too many, so 3, which stands for no weight, becomes 1 or 2 in turn.
        let bytes: Vec<u8> = (0..outputs * inputs.div_ceil(256) * 64)
            .map(|k| {
                let byte = stream.bits(k as u64) as u8;
                let none = byte & byte >> 1 & 0b01_01_01_01;
                if k % 2 == 0 { byte & !none } else { byte & !(none << 1) }
            })
            .collect();
        let weights = TernaryMatrix::from_packed(&bytes, outputs, inputs, 0.02).expect("valid codes");
        Layer { weights, gain: vec![1.0; inputs] }
    }

    fn apply(&self, input: &[f32]) -> Vec<f32> {
        forward_packed(&self.weights, &self.gain, EPSILON, input).expect("finite activations")
    }
}

struct Block {
    input: Layer,
    forget: Layer,
    gate: Layer,
    output: Layer,
    up: Layer,
    down: Layer,
    state: Vec<f32>,
}

impl Block {
    fn step(&mut self, x: &mut [f32]) {
        let normed = normed(x);
        let forget: Vec<f32> = self.forget.apply(&normed).into_iter().map(logistic).collect();
        let input = self.input.apply(&normed);
        for ((h, f), i) in self.state.iter_mut().zip(&forget).zip(&input) {
            *h = f * *h + (1.0 - f) * i * logistic(*i);
        }
        let mut gated = self::normed(&self.gate.apply(&normed));
        for (g, h) in gated.iter_mut().zip(&self.state) {
            *g *= h * logistic(*h);
        }
        add(x, &self.output.apply(&gated));
        let both = self.up.apply(&self::normed(x));
        let (gate, up) = both.split_at(HIDDEN);
        let product: Vec<f32> = gate.iter().zip(up).map(|(g, u)| g * logistic(*g) * u).collect();
        add(x, &self.down.apply(&product));
    }

    fn layers(&self) -> [&Layer; 6] {
        [&self.input, &self.forget, &self.gate, &self.output, &self.up, &self.down]
    }
}

fn main() {
    let tokens: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20);
    let mut blocks: Vec<Block> = (0..LAYERS)
        .map(|layer| {
            let mut number = 10 * layer as u64;
            let mut random = |outputs, inputs| {
                number += 1;
                Layer::random(outputs, inputs, Stream::new(1, number))
            };
            Block {
                input: random(WIDTH, WIDTH),
                forget: random(WIDTH, WIDTH),
                gate: random(WIDTH, WIDTH),
                output: random(WIDTH, WIDTH),
                up: random(2 * HIDDEN, WIDTH),
                down: random(WIDTH, HIDDEN),
                state: vec![0.0; WIDTH],
            }
        })
        .collect();
    let head = Layer::random(VOCABULARY, WIDTH, Stream::new(1, 1000));
    let matrices = blocks.iter().flat_map(Block::layers).chain([&head]);
    let (mut weights, mut bytes) = (0, 0);
    for layer in matrices {
        let (rows, columns) = layer.weights.shape();
        (weights, bytes) = (weights + rows * columns, bytes + layer.weights.bytes());
    }
    let bits = 8.0 * bytes as f64 / weights as f64;
    println!("{weights} ternary weights in {} MiB, {bits:.3} bits each", bytes >> 20);
    let mut times = Vec::new();
    let mut token = 0;
    for step in 0..=tokens {
        let start = Instant::now();
        let embedding = Stream::new(2, token as u64);
        let mut x: Vec<f32> = (0..WIDTH).map(|k| 0.02 * embedding.normal(k as u64) as f32).collect();
        let logits = awake(|| {
            for block in &mut blocks {
                block.step(&mut x);
            }
            head.apply(&normed(&x))
        });
        token = (0..VOCABULARY).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
        if step > 0 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "{:.1} ms a token, {:.1} tokens/s (median of {tokens}), {} threads",
        1e3 * median,
        1.0 / median,
        rayon::current_num_threads()
    );
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn normed(x: &[f32]) -> Vec<f32> {
    let square = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
    let scale = 1.0 / (square + EPSILON as f32).sqrt();
    x.iter().map(|x| x * scale).collect()
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
