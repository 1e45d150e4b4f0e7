//! The training step of a small dense language model, timed on demand: 4 blocks of width 256, 4 heads, 8 rows of 128 tokens, a
//! vocabulary of 4,096.
//!
//! Reads parameters (raw `f32`, in the module's order), tokens and targets (raw `i32`, `[8][128]`) from the standard input, then lines: `losses N`
//! answers the losses before each of the first N steps, `step N` and `forward N` the milliseconds of each of N training steps, or forward passes with
//! the loss, as a JSON list in a line. See `bench/training-step`. With the argument `alone` random numbers are taken, and
//! the best and median times of 30 are printed.

use std::io::{BufRead, Read};
use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_algebra::random::Sequence;
use mathesis_language::data::Targets;
use mathesis_language::model::{LanguageModel, LanguageModelConfig, Size};
use mathesis_language::training::{Adamw, AdamwOptions, CausalModel, gradient_norm, parameters};
use mathesis_networks::sequence::Documents;

const SIZE: Size =
    Size { vocabulary: 4096, width: 256, hidden: 688, layers: 4, heads: 4, key_value_heads: 4, context: 128 };
const ROWS: usize = 8;
const TIME: usize = 128;
const RATE: f64 = 1e-3;
const CLIP: f64 = 1.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    mathesis_algebra::memory::keep_freed();
    let device = Device::flex();
    let model = LanguageModelConfig::llama(SIZE).init(1, &device)?;
    if std::env::args().nth(1).as_deref() == Some("alone") {
        let mut random = Sequence::new(1);
        let mut drawn =
            || (0..ROWS * TIME).map(|_| (random.bits() % SIZE.vocabulary as u64) as i32).collect();
        let mut course = Course::new(model, drawn(), drawn());
        for (name, work) in
            [("training step", Course::step as fn(&mut Course) -> f32), ("forward", Course::loss)]
        {
            let mut times = course.times(33, work).split_off(3);
            times.sort_by(f64::total_cmp);
            println!("{name}: {:.1} ms, median {:.1} ms", times[0], times[times.len() / 2]);
        }
        return Ok(());
    }
    let mut input = std::io::stdin().lock();
    let model = model.map(&mut Given(&mut input));
    let mut whole_numbers = || -> Result<Vec<i32>, std::io::Error> {
        Ok(words(&mut input, ROWS * TIME)?.into_iter().map(i32::from_le_bytes).collect())
    };
    let (tokens, targets) = (whole_numbers()?, whole_numbers()?);
    let mut course = Course::new(model, tokens, targets);
    for line in input.lines() {
        let line = line?;
        let (what, count) = line.split_once(' ').ok_or("a word and a number")?;
        let count: usize = count.parse()?;
        match what {
            "losses" => println!("{:?}", (0..count).map(|_| course.step()).collect::<Vec<f32>>()),
            "step" => println!("{:?}", course.times(count, Course::step)),
            "forward" => println!("{:?}", course.times(count, Course::loss)),
            other => return Err(format!("`{other}`: losses, step or forward").into()),
        }
    }
    Ok(())
}

/// The model in its training, always on the same batch.
struct Course {
    model: LanguageModel,
    adamw: Adamw,
    documents: Documents,
    tokens: Vec<i32>,
    targets: Vec<i32>,
}

impl Course {
    fn new(model: LanguageModel, tokens: Vec<i32>, targets: Vec<i32>) -> Self {
        let model = parameters::trainable(model, false);
        let adamw = Adamw::new(AdamwOptions::default());
        Course { model, adamw, documents: Documents::whole(ROWS, TIME), tokens, targets }
    }

    fn loss_of(&self, model: &LanguageModel, device: &Device) -> Tensor<1> {
        let tokens: Tensor<2, Int> =
            Tensor::from_data(TensorData::new(self.tokens.clone(), [ROWS, TIME]), device);
        let targets = Targets {
            places: None,
            tokens: Tensor::from_data(TensorData::new(self.targets.clone(), [ROWS * TIME]), device),
            weights: Tensor::full([ROWS * TIME], 1.0 / (ROWS * TIME) as f32, device),
        };
        model.loss(tokens, &self.documents, targets)
    }

    /// A step as the training takes it; the loss before.
    fn step(&mut self) -> f32 {
        let loss = self.loss_of(&self.model, &Device::flex().autodiff());
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        let norm = gradient_norm(&self.model, &gradients);
        let factor = if norm > CLIP { CLIP / norm } else { 1.0 };
        self.model = self.adamw.step(self.model.clone(), gradients, RATE, factor);
        value
    }

    fn loss(&mut self) -> f32 {
        self.loss_of(&self.model.valid(), &Device::flex()).into_scalar::<f32>()
    }

    /// Milliseconds.
    fn times(&mut self, count: usize, work: impl Fn(&mut Self) -> f32) -> Vec<f64> {
        let time = |_| {
            let start = Instant::now();
            work(self);
            1e3 * start.elapsed().as_secs_f64()
        };
        (0..count).map(time).collect()
    }
}

fn words(input: &mut impl Read, count: usize) -> Result<Vec<[u8; 4]>, std::io::Error> {
    let mut bytes = vec![0; 4 * count];
    input.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks().0.to_vec())
}

/// Parameters that are read one after the other.
struct Given<'a, R>(&'a mut R);

impl<R: Read> ModuleMapper for Given<'_, R> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|value| {
            let shape = value.shape();
            let words =
                words(self.0, shape.num_elements()).unwrap_or_else(|error| panic!("parameters: {error}"));
            let numbers: Vec<f32> = words.into_iter().map(f32::from_le_bytes).collect();
            Tensor::from_data(TensorData::new(numbers, shape), &value.device())
        })
    }
}
