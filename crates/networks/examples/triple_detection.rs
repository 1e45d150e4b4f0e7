//! One layer of tensor attention beside one of ordinary attention, trained to tell for every number of a sequence whether it adds up with
//! two others (any two places) to a multiple of M.
//!
//! ```text
//! cargo run -p mathesis-networks --example triple_detection -- 11 10 2000
//! ```
//! takes the modulus, the length of sequences and the number of steps. Both models are an embedding of 32 channels, one layer of four
//! heads of eight channels that sees all places, and a perceptron of 64 units on each place; orders 2 and 3 differ in the arrays of keys
//! and values. It prints the accuracy on 4,000 sequences that were not trained on, beside that of always giving the commoner answer.

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_sigmoid, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_algebra::random::Sequence;
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::linear::{Linear, LinearConfig, LinearKind, normal};
use mathesis_networks::sequence::tensor_attention::{Computation, tensor_attention};

const HEADS: usize = 4;
const HEAD_WIDTH: usize = 8;
const WIDTH: usize = HEADS * HEAD_WIDTH;
const HIDDEN: usize = 64;
const BATCH: usize = 64;

#[derive(Module, Debug)]
struct Detector {
    embedding: Param<Tensor<2>>,
    query: Linear,
    keys: Linear,
    values: Linear,
    output: Linear,
    hidden: Linear,
    answer: Linear,
    order: usize,
}

impl Detector {
    fn new(modulus: usize, order: usize, seed: u64, device: &Device) -> Self {
        let mut random = Sequence::new(seed);
        let embedding = normal([modulus, WIDTH], 1.0, &mut random, device);
        let mut linear = |inputs: usize, outputs, bias| {
            let deviation = (inputs as f64).powf(-0.5);
            LinearConfig { inputs, outputs, bias, kind: LinearKind::Dense }.init(
                deviation,
                &mut random,
                device,
            )
        };
        Detector {
            embedding,
            query: linear(WIDTH, WIDTH, false),
            keys: linear(WIDTH, (order - 1) * WIDTH, false),
            values: linear(WIDTH, (order - 1) * WIDTH, false),
            output: linear(WIDTH, WIDTH, false),
            hidden: linear(WIDTH, HIDDEN, true),
            answer: linear(HIDDEN, 1, true),
            order,
        }
    }

    /// The logits `[batch, time]` of "is part of a triple".
    fn forward(&self, numbers: &[i64], time: usize, device: &Device) -> Tensor<2> {
        let batch = numbers.len() / time;
        let numbers = Tensor::<1, Int>::from_data(TensorData::new(numbers.to_vec(), [numbers.len()]), device);
        let x = self.embedding.val().select(0, numbers).reshape([batch, time, WIDTH]);
        let arrays = [batch, time, self.order - 1, HEADS, HEAD_WIDTH];
        // Scores are divided by the width of heads, and start small: made as large as those of ordinary attention.
        let queries = self.query.forward(x.clone()).mul_scalar((HEAD_WIDTH as f64).sqrt());
        let mixed = tensor_attention(
            queries.reshape([batch, time, HEADS, HEAD_WIDTH]),
            self.keys.forward(x.clone()).reshape(arrays),
            self.values.forward(x.clone()).reshape(arrays),
            &Documents::whole(batch, time),
            false,
            &Computation::Exact,
        );
        let x = x + self.output.forward(mixed.reshape([batch, time, WIDTH]));
        self.answer.forward(relu(self.hidden.forward(x))).reshape([batch, time])
    }
}

/// Sequences, and which of their numbers are part of a triple.
fn draw(sequences: usize, time: usize, modulus: i64, random: &mut Sequence) -> (Vec<i64>, Vec<f32>) {
    let (mut numbers, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..sequences {
        let sequence: Vec<i64> = (0..time).map(|_| (random.bits() % modulus as u64) as i64).collect();
        let completes = |x: i64, y: i64| sequence.iter().any(|z| (x + y + z) % modulus == 0);
        answers
            .extend(sequence.iter().map(|&x| f32::from(u8::from(sequence.iter().any(|&y| completes(x, y))))));
        numbers.extend(sequence);
    }
    (numbers, answers)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [modulus, time, steps] = arguments[..] else { return Err("expected: modulus, length, steps".into()) };
    let device = Device::flex();
    let (numbers, answers) = draw(4000, time, modulus as i64, &mut Sequence::new(1 << 40));
    let positive = answers.iter().sum::<f32>() / answers.len() as f32;
    println!("modulus {modulus}, {time} numbers, {steps} steps of {BATCH} sequences");
    println!("commoner answer: {:.2} %", 100.0 * positive.max(1.0 - positive));
    for order in [2, 3] {
        for seed in [1, 2, 3] {
            let tracked = device.clone().autodiff();
            let mut model = Detector::new(modulus, order, seed, &tracked);
            let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
            let mut random = Sequence::new(seed);
            for step in 0..steps {
                let (numbers, answers) = draw(BATCH, time, modulus as i64, &mut random);
                let targets = Tensor::<2>::from_data(TensorData::new(answers, [BATCH, time]), &tracked);
                let signs = targets.mul_scalar(2.0).sub_scalar(1.0);
                let loss = log_sigmoid(model.forward(&numbers, time, &tracked) * signs).mean().neg();
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                let rate = 3e-3 * (1.0 - step as f64 / steps as f64).max(0.02);
                model = adam.step(rate, model, gradients);
            }
            let model = model.valid();
            let logits: Vec<f32> = numbers
                .chunks(500 * time)
                .flat_map(|part| {
                    model.forward(part, time, &device).into_data().iter::<f32>().collect::<Vec<_>>()
                })
                .collect();
            let right =
                logits.iter().zip(&answers).filter(|(logit, answer)| (**logit > 0.0) == (**answer > 0.5));
            println!(
                "order {order}, seed {seed}, {} parameters: {:.2} % right",
                model.num_params(),
                100.0 * right.count() as f64 / answers.len() as f64
            );
        }
    }
    Ok(())
}
