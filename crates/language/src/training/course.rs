//! The course of a training: batches, steps, validations, checkpoints.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use mathesis_algebra::random::Stream;
use serde::{Deserialize, Serialize};

use super::cross_entropy::cross_entropy;
use super::replicas::Replicas;
use super::{
    Adamw, AdamwOptions, CausalModel, Checkpoint, CheckpointError, Culprit, Moments, ParameterGroup,
    Schedule, gradient_norm, parameters,
};
use crate::data::{Batch, Source};

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainingOptions {
    /// Steps of the optimiser.
    pub steps: u64,
    /// Batches whose gradients are added up for a step.
    pub accumulation: u64,
    /// Batches of a step that are taken at the same time, each by a copy of the model with its share of the threads; at most
    /// [`accumulation`](Self::accumulation). Gradients are added up in the order of the batches, so that it changes no bit of the result.
    pub replicas: u64,
    /// The learning rate.
    pub schedule: Schedule,
    /// The other constants of AdamW.
    pub adamw: AdamwOptions,
    /// Parameters that have another learning rate or decay.
    pub groups: Vec<ParameterGroup>,
    /// The longest that the gradient of all parameters together may be; a longer one is scaled down to it. 0: any.
    pub clip: f64,
    /// Whether burn recomputes what is cheap in the backward pass instead of keeping it: less memory, more time.
    pub gradient_checkpointing: bool,
    /// Steps between validations; there is one at the end in any case.
    pub validation_every: u64,
    /// The most batches of a validation.
    pub validation_batches: u64,
    /// Steps between checkpoints; there is one at the end in any case.
    pub checkpoint_every: u64,
    /// Seed of whatever a model draws at random while it is trained.
    pub seed: u64,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        TrainingOptions {
            steps: 1000,
            accumulation: 1,
            replicas: 1,
            schedule: Schedule::default(),
            adamw: AdamwOptions::default(),
            groups: Vec::new(),
            clip: 1.0,
            gradient_checkpointing: false,
            validation_every: 100,
            validation_batches: 16,
            checkpoint_every: 100,
            seed: 1,
        }
    }
}

/// Where checkpoints go.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// The file. If there is one, the training goes on from it.
    pub path: PathBuf,
    /// What the model is, in words; another model does not go on from the file.
    pub model: String,
}

/// The figures of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1.
    pub step: u64,
    /// Mean loss of a predicted token, in nats, before the step.
    pub loss: f64,
    /// Length of the gradient, before it was clipped.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Tokens that the model has seen in all steps so far.
    pub tokens: u64,
}

impl StepRecord {
    pub(super) fn row(&self) -> [f64; 5] {
        [self.step as f64, self.loss, self.gradient_norm, self.learning_rate, self.tokens as f64]
    }

    pub(super) fn of_row(&[step, loss, gradient_norm, learning_rate, tokens]: &[f64; 5]) -> Self {
        StepRecord { step: step as u64, loss, gradient_norm, learning_rate, tokens: tokens as u64 }
    }
}

/// The figures of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done before it.
    pub step: u64,
    /// Mean loss of a predicted token, in nats.
    pub loss: f64,
    /// The part of tokens that the model thinks the likeliest and that are right.
    pub accuracy: f64,
    /// Predicted tokens.
    pub places: u64,
}

impl Evaluation {
    /// That of several parts together; loss and accuracy are NaN if nothing is predicted in them.
    pub fn of_all(parts: &[Self]) -> Self {
        let places = parts.iter().map(|part| part.places).sum();
        let mean = |value: fn(&Self) -> f64| {
            let parts = parts.iter().filter(|part| part.places > 0);
            parts.map(|part| value(part) * part.places as f64).sum::<f64>() / places as f64
        };
        Evaluation {
            step: parts.first().map_or(0, |part| part.step),
            loss: mean(|part| part.loss),
            accuracy: mean(|part| part.accuracy),
            places,
        }
    }

    pub(super) fn row(&self) -> [f64; 4] {
        [self.step as f64, self.loss, self.accuracy, self.places as f64]
    }

    pub(super) fn of_row(&[step, loss, accuracy, places]: &[f64; 4]) -> Self {
        Evaluation { step: step as u64, loss, accuracy, places: places as u64 }
    }
}

/// Where a training is.
#[derive(Clone, Debug)]
pub struct TrainingProgress<'a> {
    /// The step that was just done.
    pub record: StepRecord,
    /// Steps in all.
    pub steps: u64,
    /// Mean loss of the last 20 steps.
    pub recent_loss: f64,
    /// Tokens seen in a second since the start of this process.
    pub tokens_per_second: f64,
    /// The validation of which the step is the last before.
    pub evaluation: Option<&'a Evaluation>,
}

/// What a training led to.
#[derive(Clone, Debug)]
pub struct Trained<M> {
    /// The model after the last step, without derivatives.
    pub model: M,
    /// All steps, those before an interruption among them.
    pub records: Vec<StepRecord>,
    /// All validations.
    pub evaluations: Vec<Evaluation>,
    /// The step after which this process went on; 0 if it began.
    pub resumed_at: u64,
    /// Whether it was stopped before its last step.
    pub interrupted: bool,
    /// Time of this process.
    pub elapsed: Duration,
}

/// Why a training ended without a model.
#[derive(Debug, thiserror::Error)]
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
    /// A group of parameters is empty.
    #[error(
        "the group of parameters `{parameters}` is empty: no path has this text in it, the nearest name in one is `{nearest}`"
    )]
    Group {
        /// What their paths were to have in them.
        parameters: String,
        /// A name that paths have.
        nearest: String,
    },
    /// Devices on which nothing would be computed.
    #[error(
        "{devices} devices, but `replicas` is {replicas}: at least one replica for each device is expected"
    )]
    Devices {
        /// The model's device and the others.
        devices: usize,
        /// Those of the options.
        replicas: u64,
    },
    /// The threads of replicas cannot be started.
    #[error("the threads of replicas cannot be started: {0}")]
    Threads(rayon::ThreadPoolBuildError),
    /// The data have more tokens than the model knows.
    #[error("the data have a vocabulary of {data} tokens, the model of {model}")]
    Vocabulary {
        /// That of the data.
        data: usize,
        /// That of the model.
        model: usize,
    },
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another training.
    #[error("{path} is of another training: {reason}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Loss or gradient are not finite, or the loss has grown out of all bounds.
    #[error(
        "step {step}: the loss is {loss:.4} and the gradient's length {gradient_norm:.4}, at the learning rate \
         {learning_rate:.3e}, on {batch}; {culprit}"
    )]
    Exploded {
        /// The step, from 1.
        step: u64,
        /// The loss there.
        loss: f64,
        /// The gradient's length there, not a number if it was not formed.
        gradient_norm: f64,
        /// The learning rate that the step would have had.
        learning_rate: f64,
        /// What the model was trained on in that step.
        batch: String,
        /// Where it shows first.
        culprit: Culprit,
    },
}

/// A loss above this multiple of that of guessing, and of the first step's, is an explosion.
const EXPLOSION: f64 = 4.0;

/// Trains a model on batches of `training`; the loss is the mean of the cross-entropies of the predicted tokens of a step. With
/// the same arguments, on one machine and with one number of threads, every bit of the result is the same, also if the
/// training is interrupted anywhere and goes on from its [`Storage`]. `observe` is called after every step and may stop it.
///
/// # Errors
/// [`TrainingError`]; checkpoints that were written before stay.
pub fn train<M: CausalModel>(
    model: M,
    options: &TrainingOptions,
    training: &dyn Source,
    validation: Option<&dyn Source>,
    storage: Option<&Storage>,
    observe: &mut dyn FnMut(&TrainingProgress<'_>) -> ControlFlow<()>,
) -> Result<Trained<M>, TrainingError> {
    train_on(model, &[], options, training, validation, storage, observe)
}

/// The same with [`replicas`](TrainingOptions::replicas) on further devices, in turn: the first is on the model's device, the next on the first of `others`,
/// and so on, from the beginning again if there are more. Devices of different kinds round differently, so that the number of replicas is felt then.
///
/// # Errors
/// [`TrainingError`]; also if there are more devices than replicas.
pub fn train_on<M: CausalModel>(
    model: M,
    others: &[Device],
    options: &TrainingOptions,
    training: &dyn Source,
    validation: Option<&dyn Source>,
    storage: Option<&Storage>,
    observe: &mut dyn FnMut(&TrainingProgress<'_>) -> ControlFlow<()>,
) -> Result<Trained<M>, TrainingError> {
    check(options, &model, training, validation)?;
    if others.len() as u64 >= options.replicas {
        return Err(TrainingError::Devices { devices: others.len() + 1, replicas: options.replicas });
    }
    let identity = storage.map_or(String::new(), |storage| identity(storage, options, training));
    let mut course = Course {
        model: parameters::trainable(model, options.gradient_checkpointing),
        adamw: Adamw { groups: options.groups.clone(), ..Adamw::new(options.adamw) },
        replicas: Replicas::new(options.replicas, others).map_err(TrainingError::Threads)?,
        records: Vec::new(),
        evaluations: Vec::new(),
    };
    if let Some(storage) = storage {
        let folder = storage.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        crate::files::remove_unfinished(folder.unwrap_or(Path::new(".")))
            .map_err(|error| CheckpointError::File { path: storage.path.clone(), error })?;
        if storage.path.exists() {
            course.resume(storage, &identity, options)?;
        }
    }
    let start = Instant::now();
    let device = course.model.devices().first().map_or_else(Device::flex, |device| device.clone().inner());
    let resumed_at = course.step();
    let tokens_before = course.tokens();
    let save = |course: &Course<M>| match storage {
        Some(storage) => course.checkpoint(&identity).save(&storage.path),
        None => Ok(()),
    };
    let mut interrupted = false;
    while course.step() < options.steps && !interrupted {
        device.seed(Stream::new(options.seed, course.step()).bits(0));
        course = course.advance(options, training, &device)?;
        let step = course.step();
        let due = |every: u64| step == options.steps || (every > 0 && step.is_multiple_of(every));
        if let Some(validation) = validation.filter(|_| due(options.validation_every)) {
            let evaluation = evaluate(&course.model, validation, options.validation_batches, step);
            course.evaluations.push(evaluation);
        }
        let seconds = start.elapsed().as_secs_f64();
        let recent = &course.records[course.records.len().saturating_sub(20)..];
        let progress = TrainingProgress {
            record: recent[recent.len() - 1],
            steps: options.steps,
            recent_loss: recent.iter().map(|record| record.loss).sum::<f64>() / recent.len() as f64,
            tokens_per_second: (course.tokens() - tokens_before) as f64 / seconds,
            evaluation: course.evaluations.last().filter(|evaluation| evaluation.step == step),
        };
        interrupted = observe(&progress).is_break() && step < options.steps;
        if interrupted || due(options.checkpoint_every) {
            save(&course)?;
        }
    }
    Ok(Trained {
        model: course.model.valid(),
        records: course.records,
        evaluations: course.evaluations,
        resumed_at,
        interrupted,
        elapsed: start.elapsed(),
    })
}

/// Loss and accuracy of a model on at most so many batches from the first on.
pub fn evaluate<M: CausalModel>(model: &M, source: &dyn Source, batches: u64, step: u64) -> Evaluation {
    let whole = evaluate_by_position(model, source, batches, NonZeroUsize::MAX, step).pop();
    whole.unwrap_or(Evaluation { step, loss: f64::NAN, accuracy: f64::NAN, places: 0 })
}

/// The same by the position in the row: of the first so many positions, of the next, and so on to the end of the longest row. It tells what a
/// model makes of a long text.
pub fn evaluate_by_position<M: CausalModel>(
    model: &M,
    source: &dyn Source,
    batches: u64,
    positions: NonZeroUsize,
    step: u64,
) -> Vec<Evaluation> {
    let model = model.valid();
    let device = model.devices().first().map_or_else(Device::flex, |device| device.clone().inner());
    // Sums of losses, of right places, and of weights.
    let mut sums: Vec<[f64; 3]> = Vec::new();
    for number in 0..source.batches().map_or(batches, |all| all.min(batches)) {
        let batch = source.batch(number);
        let [rows, time] = batch.documents.shape();
        let targets = batch.flat_targets(&device).reshape([rows, time]);
        let weights = batch.flat_weights(&device).reshape([rows, time]);
        let logits = model.forward(batch.inputs(&device), &batch.documents);
        let length = positions.get().min(time.max(1));
        for (bucket, from) in (0..time).step_by(length).enumerate() {
            let count = length.min(time - from);
            let places = [rows * count];
            let logits = logits.clone().narrow(1, from, count).reshape([rows * count, model.vocabulary()]);
            let targets = targets.clone().narrow(1, from, count).reshape(places);
            let weights = weights.clone().narrow(1, from, count).reshape(places);
            let hits =
                logits.clone().argmax(1).reshape(places).equal(targets.clone()).float() * weights.clone();
            let weight = weights.clone().sum().into_scalar::<f64>();
            let loss = cross_entropy(logits, targets, weights).into_scalar::<f64>();
            if bucket == sums.len() {
                sums.push([0.0; 3]);
            }
            let found = [loss, hits.sum().into_scalar::<f64>(), weight];
            sums[bucket].iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
        }
    }
    let evaluation = |[loss, right, weight]: [f64; 3]| Evaluation {
        step,
        loss: loss / weight,
        accuracy: right / weight,
        places: weight as u64,
    };
    sums.into_iter().map(evaluation).collect()
}

/// The parts of a training that change.
struct Course<M> {
    model: M,
    adamw: Adamw,
    replicas: Replicas,
    records: Vec<StepRecord>,
    evaluations: Vec<Evaluation>,
}

impl<M: CausalModel> Course<M> {
    fn step(&self) -> u64 {
        self.adamw.steps
    }

    fn tokens(&self) -> u64 {
        self.records.last().map_or(0, |record| record.tokens)
    }

    /// One more step.
    fn advance(
        self,
        options: &TrainingOptions,
        training: &dyn Source,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        let Course { model, mut adamw, replicas, mut records, evaluations } = self;
        let step = adamw.steps + 1;
        let first = adamw.steps * options.accumulation;
        let batches: Vec<Batch> =
            (first..first + options.accumulation).map(|number| training.batch(number)).collect();
        // A step in which nothing is to be predicted has the loss 0 and leaves the model to its decay.
        let weight = batches.iter().map(Batch::weight).sum::<f64>().max(1.0);
        let learning_rate = options.schedule.rate(step, options.steps);
        let mut gradients = GradientsAccumulator::new();
        let mut loss = 0.0;
        let bound = EXPLOSION * (model.vocabulary() as f64).ln().max(records.first().map_or(0.0, |r| r.loss));
        let exploded = |loss, gradient_norm, batches: &[Batch], gradients: Option<&GradientsParams>| {
            let culprit = Culprit::find(&model, batches, gradients, device);
            let origins: Vec<&str> = batches.iter().map(|batch| batch.origin.as_str()).collect();
            let batch = origins.join("; ");
            TrainingError::Exploded { step, loss, gradient_norm, learning_rate, batch, culprit }
        };
        let mut taken = 0;
        for together in batches.chunks(options.replicas as usize) {
            for part in replicas.parts(&model, together, weight, device) {
                loss += part.loss;
                if !part.loss.is_finite() || loss > bound {
                    return Err(exploded(loss, f64::NAN, &batches[taken..=taken], None));
                }
                if let Some(of_batch) = part.gradients {
                    gradients.accumulate(&model, of_batch);
                }
                taken += 1;
            }
        }
        let gradients = gradients.grads();
        let norm = gradient_norm(&model, &gradients);
        if !norm.is_finite() {
            return Err(exploded(loss, norm, &batches, Some(&gradients)));
        }
        let factor = if options.clip > 0.0 && norm > options.clip { options.clip / norm } else { 1.0 };
        let model = adamw.step(model, gradients, learning_rate, factor);
        let seen = batches.iter().map(|batch| batch.tokens.len() as u64).sum::<u64>();
        let tokens = records.last().map_or(0, |record| record.tokens) + seen;
        records.push(StepRecord { step, loss, gradient_norm: norm, learning_rate, tokens });
        Ok(Course { model, adamw, replicas, records, evaluations })
    }

    fn checkpoint(&self, identity: &str) -> Checkpoint {
        let moments = self.adamw.moments.iter().map(|(name, Moments { first, second })| {
            (name.clone(), [first.clone().into_data(), second.clone().into_data()])
        });
        Checkpoint {
            identity: identity.to_string(),
            step: self.step(),
            parameters: parameters::values(&self.model),
            moments: moments.collect(),
            records: self.records.clone(),
            evaluations: self.evaluations.clone(),
        }
    }

    fn resume(
        &mut self,
        storage: &Storage,
        identity: &str,
        options: &TrainingOptions,
    ) -> Result<(), TrainingError> {
        let checkpoint = Checkpoint::load(&storage.path)?;
        let other = |reason: String| TrainingError::Other { path: storage.path.clone(), reason };
        if checkpoint.identity != identity {
            return Err(other(difference(&checkpoint.identity, identity)));
        }
        if checkpoint.step > options.steps {
            return Err(other(format!("it has {} steps, more than {}", checkpoint.step, options.steps)));
        }
        let device = self.model.devices().first().map_or_else(Device::flex, |device| device.clone().inner());
        self.model = parameters::with_values(self.model.clone(), checkpoint.parameters).map_err(other)?;
        self.adamw.steps = checkpoint.step;
        self.adamw.moments = checkpoint
            .moments
            .into_iter()
            .map(|(name, [first, second])| {
                let tensor = |data| Tensor::from_data(data, &device);
                (name, Moments { first: tensor(first), second: tensor(second) })
            })
            .collect();
        self.records = checkpoint.records;
        self.evaluations = checkpoint.evaluations;
        Ok(())
    }
}

fn check<M: CausalModel>(
    options: &TrainingOptions,
    model: &M,
    training: &dyn Source,
    validation: Option<&dyn Source>,
) -> Result<(), TrainingError> {
    let part = |x: f64| (0.0..1.0).contains(&x);
    let AdamwOptions { beta_1, beta_2, epsilon, weight_decay, .. } = options.adamw;
    let wrong = match options {
        _ if options.steps == 0 => Some(("steps", "0".to_string(), "at least 1")),
        _ if options.accumulation == 0 => Some(("accumulation", "0".to_string(), "at least 1")),
        _ if !(1..=options.accumulation).contains(&options.replicas) => Some((
            "replicas",
            options.replicas.to_string(),
            "at least 1, and at most the batches of a step, `accumulation`",
        )),
        _ if options.clip.is_nan() || options.clip < 0.0 => {
            Some(("clip", options.clip.to_string(), "a length above 0, or 0 for any"))
        }
        _ if options.validation_batches == 0 => Some(("validation-batches", "0".to_string(), "at least 1")),
        _ if !part(beta_1) => Some(("beta-1", beta_1.to_string(), "a number from 0 to below 1")),
        _ if !part(beta_2) => Some(("beta-2", beta_2.to_string(), "a number from 0 to below 1")),
        _ if !(epsilon > 0.0 && epsilon < 1.0) => {
            Some(("epsilon", epsilon.to_string(), "a small number above 0"))
        }
        _ if !(0.0..=10.0).contains(&weight_decay) => {
            Some(("weight-decay", weight_decay.to_string(), "a number from 0 to 10"))
        }
        _ => options.schedule.wrong(),
    };
    if let Some((option, found, expected)) = wrong {
        return Err(TrainingError::Option { option, found, expected });
    }
    let paths = parameters::paths(model);
    for ParameterGroup { parameters, rate, weight_decay } in &options.groups {
        if !paths.iter().any(|path| path.contains(parameters)) {
            let names = paths.iter().flat_map(|path| path.split('.'));
            let likeness = |name: &str| strsim::jaro_winkler(name, parameters);
            let nearest = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let nearest = nearest.unwrap_or_default().to_string();
            return Err(TrainingError::Group { parameters: parameters.clone(), nearest });
        }
        let wrong = match weight_decay {
            _ if !(0.0..=1e6).contains(rate) => {
                Some(("groups.rate", rate.to_string(), "a number from 0 to a million"))
            }
            Some(decay) if !(0.0..=10.0).contains(decay) => {
                Some(("groups.weight-decay", decay.to_string(), "a number from 0 to 10"))
            }
            _ => None,
        };
        if let Some((option, found, expected)) = wrong {
            return Err(TrainingError::Option { option, found, expected });
        }
    }
    for source in [Some(training), validation].into_iter().flatten() {
        let (data, model) = (source.vocabulary(), model.vocabulary());
        if data > model {
            return Err(TrainingError::Vocabulary { data, model });
        }
    }
    Ok(())
}

/// What must be the same for a training to go on: all but how long it is and how often it is looked at.
fn identity(storage: &Storage, options: &TrainingOptions, training: &dyn Source) -> String {
    let TrainingOptions { accumulation, schedule, adamw, groups, clip, seed, .. } = options;
    let groups = if groups.is_empty() { String::new() } else { format!(", groups {groups:?}") };
    format!(
        "model: {}\ndata: {}\noptions: accumulation {accumulation}, {schedule:?}, {adamw:?}, clip {clip}, seed {seed}{groups}",
        storage.model,
        training.digest()
    )
}

/// The first line in which two identities differ.
fn difference(there: &str, here: &str) -> String {
    match there.lines().zip(here.lines()).find(|(there, here)| there != here) {
        Some((there, here)) => format!("it says `{there}`, this one is `{here}`"),
        None => "it says something else about itself".to_string(),
    }
}
