//! Training: Adam on the self-supervised loss, with vectors set aside to choose the best weights by.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{DirectionNetwork, DirectionNetworkConfig, VoxelSystem, Weights};
use mathesis_algebra::random::Sequence;

/// How to train. The published program: a learning rate of 1e-4, batches of 10.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainingOptions {
    /// Passes over the training vectors.
    pub epochs: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// Vectors in a step.
    pub batch: usize,
    /// The part of the vectors that is set aside to choose the best weights by.
    pub validation: f64,
    /// Seed of the first weights, the split and the order.
    pub seed: u64,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self { epochs: 4, learning_rate: 1e-3, batch: 10, validation: 0.1, seed: 1 }
    }
}

/// Where training is.
#[derive(Clone, Debug)]
pub struct TrainingProgress<'a> {
    /// The epoch under way, from 1.
    pub epoch: usize,
    /// Steps done, of `steps`.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean loss of the epoch so far.
    pub loss: f64,
    /// The epochs that are complete.
    pub epochs: &'a [Epoch],
    /// Since the start.
    pub elapsed: Duration,
}

/// The figures of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Mean loss while training.
    pub loss: f64,
    /// Mean loss of the vectors set aside, at its end.
    pub validation_loss: f64,
    /// Seconds since the start at its end.
    pub seconds: f64,
}

/// What training led to.
#[derive(Clone, Debug)]
pub struct Training {
    /// The weights with the least validation loss.
    pub weights: Weights,
    /// That loss.
    pub validation_loss: f64,
    /// All epochs; the last one may be cut short.
    pub epochs: Vec<Epoch>,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

/// Why there are no weights.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrainingError {
    /// A number among the options is out of range.
    #[error("the option `{option}` is {found}, expected {expected}")]
    Option {
        /// Its name in a file.
        option: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Too few vectors, or vectors of another grid.
    #[error("{0}")]
    Vectors(String),
    /// The loss is not finite or has grown out of all bounds.
    #[error(
        "the loss is {loss} at step {step} (epoch {epoch}); a smaller learning rate than {learning_rate} may help"
    )]
    Exploded {
        /// The step, from 1.
        step: usize,
        /// Its epoch, from 1.
        epoch: usize,
        /// The loss there.
        loss: f64,
        /// The learning rate that was used.
        learning_rate: f64,
    },
}

/// A loss above this is an explosion; that of a useless direction is about 1.
const EXPLOSION: f64 = 1e6;

/// Trains a network from random weights on `vectors`, unit vectors on the system's grid one after another. `observe` is
/// called after every step and may stop the training. The result is the same for the same seed on one machine.
///
/// # Errors
/// [`TrainingError`] if the options or vectors are wrong or the loss explodes.
pub fn train(
    config: DirectionNetworkConfig,
    system: &VoxelSystem,
    vectors: &[f32],
    options: &TrainingOptions,
    device: &Device,
    observe: &mut dyn FnMut(&TrainingProgress<'_>) -> ControlFlow<()>,
) -> Result<Training, TrainingError> {
    let dimension: usize = system.cells.iter().product();
    let (training, validation) = split(vectors, dimension, system, options)?;
    let start = Instant::now();
    let device = device.clone().autodiff();
    let tensors = system.to(&device);
    let plain = system.to(&device.clone().inner());
    let batch_of = |indices: &[usize], device: &Device| -> Tensor<5> {
        let [x, y, z] = system.cells;
        let mut values = Vec::with_capacity(indices.len() * dimension);
        for &index in indices {
            values.extend_from_slice(&vectors[index * dimension..][..dimension]);
        }
        Tensor::from_data(TensorData::new(values, [indices.len(), x, y, z, 1]), device)
    };
    let validate = |network: &DirectionNetwork| -> f64 {
        let network = network.valid();
        let sum: f64 = validation
            .chunks(options.batch)
            .map(|indices| {
                let batch = batch_of(indices, &device.clone().inner());
                f64::from(plain.loss(&network, batch).into_scalar::<f32>()) * indices.len() as f64
            })
            .sum();
        sum / validation.len() as f64
    };

    let mut random = Sequence::new(options.seed ^ 0x5eed);
    let mut network = config.init(options.seed, &device);
    let mut adam = AdamConfig::new().with_epsilon(1e-7).init();
    let steps_each = training.len().div_ceil(options.batch);
    let steps = steps_each * options.epochs;
    let mut best: Option<(f64, Weights)> = None;
    let mut epochs: Vec<Epoch> = Vec::new();
    let mut interrupted = false;
    let mut step = 0;
    for epoch in 1..=options.epochs {
        let order: Vec<usize> = random.permutation(training.len()).into_iter().map(|k| training[k]).collect();
        let (mut sum, mut count) = (0.0, 0);
        for indices in order.chunks(options.batch) {
            step += 1;
            let value = tensors.loss(&network, batch_of(indices, &device));
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            let loss = f64::from(value.into_scalar::<f32>());
            if !loss.is_finite() || loss > EXPLOSION {
                let learning_rate = options.learning_rate;
                return Err(TrainingError::Exploded { step, epoch, loss, learning_rate });
            }
            network = adam.step(options.learning_rate, network, gradients);
            sum += loss * indices.len() as f64;
            count += indices.len();
            let progress = TrainingProgress {
                epoch,
                step,
                steps,
                loss: sum / count as f64,
                epochs: &epochs,
                elapsed: start.elapsed(),
            };
            if observe(&progress).is_break() {
                interrupted = true;
                break;
            }
        }
        let validation_loss = validate(&network);
        let seconds = start.elapsed().as_secs_f64();
        epochs.push(Epoch { epoch, loss: sum / count.max(1) as f64, validation_loss, seconds });
        if validation_loss.is_finite() && best.as_ref().is_none_or(|(least, _)| validation_loss < *least) {
            best = Some((validation_loss, network.weights()));
        }
        if interrupted {
            break;
        }
    }
    match best {
        Some((validation_loss, weights)) => Ok(Training { weights, validation_loss, epochs, interrupted }),
        None => Err(TrainingError::Exploded {
            step,
            epoch: epochs.len(),
            loss: f64::NAN,
            learning_rate: options.learning_rate,
        }),
    }
}

/// Checks everything, and draws the vectors to train on and those to validate on.
fn split(
    vectors: &[f32],
    dimension: usize,
    system: &VoxelSystem,
    options: &TrainingOptions,
) -> Result<(Vec<usize>, Vec<usize>), TrainingError> {
    let refuse = |option, found: String, expected| Err(TrainingError::Option { option, found, expected });
    if options.epochs == 0 {
        return refuse("epochs", "0".into(), "at least 1");
    }
    if options.batch == 0 {
        return refuse("batch", "0".into(), "at least 1");
    }
    if !(options.learning_rate > 0.0 && options.learning_rate < 1.0) {
        return refuse("learning-rate", options.learning_rate.to_string(), "a number between 0 and 1");
    }
    if !(options.validation > 0.0 && options.validation <= 0.5) {
        return refuse("validation", options.validation.to_string(), "a part above 0 and up to 0.5");
    }
    if dimension == 0 || system.diagonal.len() != dimension || !vectors.len().is_multiple_of(dimension) {
        return Err(TrainingError::Vectors(format!(
            "{} values and a diagonal of {} do not fit a grid of {:?} cells",
            vectors.len(),
            system.diagonal.len(),
            system.cells
        )));
    }
    let count = vectors.len() / dimension;
    if count < 2 {
        return Err(TrainingError::Vectors(format!("{count} training vectors, expected at least 2")));
    }
    if let Some(index) = vectors.iter().position(|value| !value.is_finite()) {
        return Err(TrainingError::Vectors(format!(
            "training vector {} has an entry {}",
            index / dimension,
            vectors[index]
        )));
    }
    let aside = ((count as f64 * options.validation).round() as usize).clamp(1, count - 1);
    let mut order = Sequence::new(options.seed).permutation(count);
    let training = order.split_off(aside);
    Ok((training, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: DirectionNetworkConfig =
        DirectionNetworkConfig { channels: 4, pairs_before: 1, pairs_half: 1, pairs_after: 1 };

    /// An open box of 4³ cells with smooth vectors on it.
    fn example() -> (VoxelSystem, Vec<f32>) {
        let system = VoxelSystem { cells: [4; 3], diagonal: vec![6.0; 64], singular: false };
        let mut random = Sequence::new(3);
        let mut vectors = Vec::new();
        for _ in 0..40 {
            let c: Vec<f64> = (0..8).map(|_| random.symmetric()).collect();
            let wave = |i: usize, k: usize| (std::f64::consts::PI * ((i + 1) * (k + 1)) as f64 / 5.0).sin();
            let values: Vec<f64> = (0..64)
                .map(|i| {
                    (0..8)
                        .map(|k| c[k] * wave(i / 16, k / 4) * wave(i / 4 % 4, k / 2 % 2) * wave(i % 4, k % 2))
                        .sum()
                })
                .collect();
            let length = values.iter().map(|v| v * v).sum::<f64>().sqrt();
            vectors.extend(values.iter().map(|v| (v / length) as f32));
        }
        (system, vectors)
    }

    #[test]
    fn training_lowers_the_loss_and_repeats_itself() {
        let (system, vectors) = example();
        let options = TrainingOptions { epochs: 40, learning_rate: 3e-3, ..Default::default() };
        let run = |options: &TrainingOptions| {
            train(SMALL, &system, &vectors, options, &Device::flex(), &mut |_| ControlFlow::Continue(()))
                .expect("trained")
        };
        let first = run(&options);
        let (start, end) = (first.epochs[0].validation_loss, first.validation_loss);
        assert!(end < 0.1 && end < 0.5 * start, "{start} to {end}");
        let least = first.epochs.iter().map(|epoch| epoch.validation_loss).fold(f64::INFINITY, f64::min);
        assert_eq!(least, end);
        let short = TrainingOptions { epochs: 3, ..options };
        assert_eq!(run(&short).weights, run(&short).weights);
        assert_ne!(run(&short).weights, run(&TrainingOptions { seed: 2, ..short }).weights);
    }

    #[test]
    fn an_interrupted_training_keeps_its_best() {
        let (system, vectors) = example();
        let mut seen = 0;
        let mut observe = |progress: &TrainingProgress<'_>| {
            seen = progress.step;
            if progress.step == 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let training =
            train(SMALL, &system, &vectors, &TrainingOptions::default(), &Device::flex(), &mut observe)
                .expect("trained");
        assert!(training.interrupted);
        assert_eq!((seen, training.epochs.len()), (6, 2));
    }

    #[test]
    fn wrong_input_is_refused() {
        let (system, mut vectors) = example();
        let run = |options: &TrainingOptions, vectors: &[f32]| {
            let observe = &mut |_: &TrainingProgress<'_>| ControlFlow::Continue(());
            train(SMALL, &system, vectors, options, &Device::flex(), observe)
                .expect_err("refused")
                .to_string()
        };
        let good = TrainingOptions { epochs: 1, ..Default::default() };
        assert!(run(&TrainingOptions { batch: 0, ..good.clone() }, &vectors).contains("`batch`"));
        assert!(run(&TrainingOptions { learning_rate: -1.0, ..good.clone() }, &vectors).contains("-1"));
        assert!(run(&TrainingOptions { validation: 0.0, ..good.clone() }, &vectors).contains("`validation`"));
        assert!(run(&good, &vectors[1..]).contains("[4, 4, 4]"));
        assert!(run(&good, &vectors[..64]).contains("at least 2"));
        vectors[70] = f32::NAN;
        assert!(run(&good, &vectors).contains("training vector 1"));
        // Zero vectors leave no direction: 0/0.
        let zeros = vec![0.0; 64 * 20];
        assert!(run(&good, &zeros).contains("step 1"));
    }
}
