//! A training from its first step to its last.

use std::ops::ControlFlow;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use mathesis_algebra::random::Stream;
use mathesis_language::data::masking::{MaskedRows, Masking};
use mathesis_language::data::synthetic::{Copying, Recall, Task};
use mathesis_language::data::{Batch, Side, Source, Targets};
use mathesis_language::model::LanguageModel;
use mathesis_language::training::{
    AdamwOptions, CausalModel, Culprit, ParameterGroup, Schedule, Storage, Trained, TrainingError,
    TrainingOptions, TrainingProgress, gradient_norms, train, train_on,
};
use mathesis_networks::sequence::Documents;

use crate::model::{both_sides, four_mixers, scaled, small};

const KEY: &str = "blocks.1.mixer.Attention.key.Dense.weight";
const QUERY: &str = "blocks.1.mixer.Attention.query.Dense.weight";

fn options(steps: u64, peak: f64) -> TrainingOptions {
    TrainingOptions {
        steps,
        schedule: Schedule { peak, ..Schedule::default() },
        validation_every: 0,
        ..TrainingOptions::default()
    }
}

fn run(
    model: LanguageModel,
    options: &TrainingOptions,
    source: &dyn Source,
) -> Result<Trained<LanguageModel>, TrainingError> {
    train(model, options, source, None, None, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn a_small_model_learns_to_copy() {
    let task = Task::Copying(Copying { length: 5, vocabulary: 10 });
    let training = task.rows(Side::Training, 24, 1).unwrap();
    let test = task.rows(Side::Test, 24, 1).unwrap();
    let model = small(10, 32, 1);
    let options = TrainingOptions { validation_batches: 8, ..options(200, 5e-3) };
    let trained =
        train(model, &options, &training, Some(&test), None, &mut |_| ControlFlow::Continue(())).unwrap();
    let [last] = trained.evaluations[..] else { panic!("{:?}", trained.evaluations) };
    assert_eq!((last.step, last.places), (200, 8 * 24 * 5));
    assert!(last.accuracy > 0.99 && last.loss < 0.05, "{last:?}");
    // Guessing has the loss ln 10.
    assert!((trained.records[0].loss - 10_f64.ln()).abs() < 0.3);
    assert_eq!((trained.records.len(), trained.records[199].tokens), (200, 200 * 24 * 10));
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let task = Task::Recall(Recall { length: 16, pairs: 2, vocabulary: 16, ..Recall::default() });
    let model = small(16, 16, 3);
    let losses = |batch, accumulation| -> Vec<f64> {
        let source = task.rows(Side::Training, batch, 1).unwrap();
        let options = TrainingOptions { accumulation, ..options(12, 3e-3) };
        run(model.clone(), &options, &source).unwrap().records.iter().map(|record| record.loss).collect()
    };
    for (one, many) in losses(12, 1).iter().zip(losses(3, 4)) {
        assert!((one - many).abs() < 2e-4 * one, "{one} {many}");
    }
}

#[test]
fn replicas_change_no_bit() {
    let task = Task::Recall(Recall { length: 16, pairs: 2, vocabulary: 16, ..Recall::default() });
    let source = task.rows(Side::Training, 3, 1).unwrap();
    let trained = |replicas| {
        let options = TrainingOptions { accumulation: 5, replicas, ..options(4, 3e-3) };
        let trained = run(small(16, 16, 3), &options, &source).unwrap();
        let records: Vec<[u64; 2]> = trained
            .records
            .iter()
            .map(|record| [record.loss.to_bits(), record.gradient_norm.to_bits()])
            .collect();
        (records, mathesis_language::training::parameters::values(&trained.model))
    };
    let alone = trained(1);
    for replicas in [2, 3, 5] {
        assert_eq!(trained(replicas), alone);
    }
    // Copies as other devices have them, on the same one.
    let options = TrainingOptions { accumulation: 5, replicas: 3, ..options(4, 3e-3) };
    let train_on = |others: &[Device], options: &TrainingOptions| {
        let observe = &mut |_: &TrainingProgress<'_>| ControlFlow::Continue(());
        train_on(small(16, 16, 3), others, options, &source, None, None, observe)
    };
    let model = train_on(&[Device::flex()], &options).unwrap().model;
    assert_eq!(mathesis_language::training::parameters::values(&model), alone.1);
    let error = train_on(&[Device::flex()], &TrainingOptions { replicas: 1, ..options }).unwrap_err();
    assert!(error.to_string().starts_with("2 devices, but `replicas` is 1"), "{error}");
}

#[test]
fn groups_have_rates_and_decays_of_their_own() {
    let still = batch(&[&[1, 2, 3]], vec![vec![0]], &[0.0; 3]);
    let seen = batch(&[&[1, 2, 3]], vec![vec![0]], &[1.0; 3]);
    let group = |parameters: &str, rate, weight_decay| ParameterGroup {
        parameters: parameters.to_string(),
        rate,
        weight_decay,
    };
    let groups =
        vec![group("embedding", 0.0, None), group("norm", 1.0, Some(0.2)), group("blocks.1", 0.5, None)];
    let adamw = AdamwOptions { weight_decay: 0.5, ..AdamwOptions::default() };
    let schedule = Schedule { peak: 0.1, warmup: 0, final_part: 1.0, ..Schedule::default() };
    let options = TrainingOptions { adamw, schedule, groups, ..options(1, 0.1) };
    let values = |model: &LanguageModel| mathesis_language::training::parameters::values(model);
    let before = values(&small(10, 16, 5));
    let first = |data: &burn::tensor::TensorData| data.iter::<f64>().next().unwrap();
    let after = values(&run(small(10, 16, 5), &options, &Same(still)).unwrap().model);
    for (name, kept) in [
        ("embedding.weight", 1.0),
        ("blocks.1.mixer_norm.weight", 0.98),
        ("blocks.0.mixer.Attention.key.Dense.weight", 0.95),
        (KEY, 0.975),
    ] {
        let ratio = first(&after[name]) / first(&before[name]);
        assert!((ratio - kept).abs() < 1e-6, "{name}: {ratio}");
    }
    // A first step is as long as the learning rate wherever there is a gradient.
    let adamw = AdamwOptions { weight_decay: 0.0, ..adamw };
    let options = TrainingOptions { adamw, ..options };
    let after = values(&run(small(10, 16, 5), &options, &Same(seen)).unwrap().model);
    assert_eq!(after["embedding.weight"], before["embedding.weight"]);
    let moved = |name: &str| {
        let pairs = after[name].iter::<f64>().zip(before[name].iter::<f64>());
        pairs.map(|(after, before)| (after - before).abs()).fold(0.0, f64::max)
    };
    assert!((moved("head.Dense.weight") - 0.1).abs() < 1e-4);
    assert!((moved(KEY) - 0.05).abs() < 1e-4);
}

#[test]
fn places_that_do_not_count_need_no_logits() {
    // The same loss with a fifth of the places left out of the head as with all of them in it.
    let rows: [&[u32]; 2] = [&[1, 5, 2, 7, 7], &[3, 4, 9, 0, 2]];
    let mut weights = [0.0; 10];
    weights[1] = 0.5;
    weights[7] = 2.0;
    let few = batch(&rows, vec![vec![0], vec![0, 2]], &weights);
    let device = Device::flex().autodiff();
    let scored = few.scored(&device);
    assert_eq!(scored.places.as_ref().map(|places| places.dims()), Some([2]));
    let all = Targets { places: None, tokens: few.flat_targets(&device), weights: few.flat_weights(&device) };
    // A head that is a matrix alone, and one with a transform before it.
    for model in [small(10, 16, 5), both_sides(10, 16, 5, 2)] {
        let model = mathesis_language::training::parameters::trainable(model, false);
        let [few, all] = [scored.clone(), all.clone()].map(|targets| {
            let loss = model.loss(few.inputs(&device), &few.documents, targets);
            let value = loss.clone().into_scalar::<f64>();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            (value, gradient_norms(&model, &gradients))
        });
        assert!((few.0 - all.0).abs() < 1e-6 * all.0 && few.0 > 0.0, "{} {}", few.0, all.0);
        assert_eq!(few.1.len(), all.1.len());
        for ((name, few), (_, all)) in few.1.iter().zip(&all.1) {
            assert!((few - all).abs() < 1e-5 * (1.0 + all), "{name}: {few} {all}");
        }
    }
    assert!(batch(&rows, vec![vec![0], vec![0]], &[1.0; 10]).scored(&device).places.is_none());
}

#[test]
fn recomputing_activations_changes_nothing() {
    let source = Task::Copying(Copying::default()).rows(Side::Training, 4, 1).unwrap();
    let model = small(16, 16, 3);
    let losses = |gradient_checkpointing| -> Vec<u64> {
        let options = TrainingOptions { gradient_checkpointing, ..options(6, 3e-3) };
        let trained = run(model.clone(), &options, &source).unwrap();
        trained.records.iter().map(|record| record.loss.to_bits()).collect()
    };
    assert_eq!(losses(false), losses(true));
}

/// The same batch again and again.
struct Same(Batch);

impl Source for Same {
    fn batch(&self, _: u64) -> Batch {
        self.0.clone()
    }

    fn batches(&self) -> Option<u64> {
        Some(1)
    }

    fn vocabulary(&self) -> usize {
        10
    }

    fn digest(&self) -> String {
        "the same".to_string()
    }
}

fn batch(rows: &[&[u32]], starts: Vec<Vec<usize>>, weights: &[f32]) -> Batch {
    let time = rows[0].len();
    let tokens: Vec<u32> = rows.concat();
    let targets = tokens.iter().map(|token| (token + 1) % 10).collect();
    let documents = Documents::new(time, starts).unwrap();
    Batch { tokens, targets, weights: weights.to_vec(), documents, origin: "a test".to_string() }
}

/// The loss of the first step, and the gradient's length.
fn first_step(batch: Batch) -> (f64, f64) {
    first_step_of(small(10, 16, 5), batch)
}

fn first_step_of(model: LanguageModel, batch: Batch) -> (f64, f64) {
    let trained = run(model, &options(1, 1e-3), &Same(batch)).unwrap();
    (trained.records[0].loss, trained.records[0].gradient_norm)
}

#[test]
fn documents_packed_in_a_row_are_documents_apart() {
    let packed = batch(&[&[1, 5, 2, 7, 7, 3, 4, 9]], vec![vec![0, 3, 4]], &[1.0; 8]);
    let apart = batch(
        &[&[1, 5, 2, 0], &[7, 0, 0, 0], &[7, 3, 4, 9]],
        vec![vec![0, 3], vec![0, 1], vec![0]],
        &[1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
    );
    let as_one = batch(&[&[1, 5, 2, 7, 7, 3, 4, 9]], vec![vec![0]], &[1.0; 8]);
    for model in [small(10, 16, 5), four_mixers(10, 16, 5)] {
        let (loss, norm) = first_step_of(model.clone(), packed.clone());
        let (same_loss, same_norm) = first_step_of(model.clone(), apart.clone());
        assert!((loss - same_loss).abs() < 1e-6 * loss && (norm - same_norm).abs() < 1e-5 * norm);
        assert!((first_step_of(model, as_one.clone()).0 - loss).abs() > 1e-4);
    }
}

#[test]
fn a_model_of_four_mixers_learns_and_goes_on_bit_by_bit() {
    let same = Same(batch(&[&[1, 5, 2, 7, 7, 3, 4, 9, 1, 0]], vec![vec![0, 6]], &[1.0; 10]));
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage { path: folder.path().join("checkpoint.safetensors"), model: "four".to_string() };
    let losses = |steps: u64, storage: Option<&Storage>| -> Vec<f64> {
        let options = TrainingOptions {
            schedule: Schedule { warmup: 0, final_part: 1.0, ..options(steps, 1e-2).schedule },
            ..options(steps, 1e-2)
        };
        let observe = &mut |_: &TrainingProgress<'_>| ControlFlow::Continue(());
        let trained = train(four_mixers(10, 16, 5), &options, &same, None, storage, observe).unwrap();
        trained.records.iter().map(|record| record.loss).collect()
    };
    let whole = losses(20, None);
    assert!(whole[19] < 0.2 * whole[0], "{whole:?}");
    losses(9, Some(&storage));
    let bits = |losses: Vec<f64>| -> Vec<u64> { losses.into_iter().map(f64::to_bits).collect() };
    assert_eq!(bits(losses(20, Some(&storage))), bits(whole));
}

/// Rows that count on from a random number.
struct Counting;

impl Source for Counting {
    fn batch(&self, number: u64) -> Batch {
        let stream = Stream::new(3, number);
        let first = |row: u64| stream.below(row, 10) as u32;
        let tokens: Vec<u32> = (0..8).flat_map(|row| (0..12).map(move |k| (first(row) + k) % 10)).collect();
        let documents = Documents::whole(8, 12);
        Batch { targets: tokens.clone(), weights: vec![1.0; 96], tokens, documents, origin: String::new() }
    }

    fn batches(&self) -> Option<u64> {
        None
    }

    fn vocabulary(&self) -> usize {
        11
    }

    fn digest(&self) -> String {
        "counting".to_string()
    }
}

#[test]
fn hidden_tokens_are_found_from_both_sides() {
    let hidden = MaskedRows::new(Counting, Masking { part: 0.3, token: 10, seed: 1 }).unwrap();
    let trained = run(both_sides(11, 32, 12, 2), &options(120, 3e-3), &hidden).unwrap();
    // Every token can be told from those beside it; guessing has the loss ln 11.
    let last = mathesis_language::training::evaluate(&trained.model, &hidden, 20, 0);
    assert!(last.accuracy > 0.9, "{last:?}");
    assert!((trained.records[0].loss - 11_f64.ln()).abs() < 0.4, "{:?}", trained.records[0]);
}

#[test]
fn what_is_masked_has_no_gradient() {
    // With one place that counts, tokens after it and tokens of other documents change neither loss nor gradient.
    let with =
        |tokens: &[u32; 6]| first_step(batch(&[tokens], vec![vec![0, 2]], &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]));
    let (loss, norm) = with(&[1, 2, 3, 4, 5, 6]);
    for changed in [[8, 2, 3, 4, 5, 6], [1, 9, 3, 4, 5, 6], [1, 2, 3, 4, 9, 6], [1, 2, 3, 4, 5, 1]] {
        let (same_loss, same_norm) = with(&changed);
        assert_eq!((loss, norm), (same_loss, same_norm), "{changed:?}");
    }
    assert_ne!(with(&[1, 2, 8, 4, 5, 6]).0, loss);
    // Nothing that counts leaves nothing to follow.
    assert_eq!(first_step(batch(&[&[1, 2, 3]], vec![vec![0]], &[0.0; 3])), (0.0, 0.0));
}

#[test]
fn decay_acts_on_matrices_and_on_vectors_only_if_asked() {
    let still = batch(&[&[1, 2, 3]], vec![vec![0]], &[0.0; 3]);
    let decayed = |decay_vectors| {
        let adamw = AdamwOptions { weight_decay: 0.5, decay_vectors, ..AdamwOptions::default() };
        let schedule = Schedule { peak: 0.1, warmup: 0, final_part: 1.0, ..Schedule::default() };
        let options = TrainingOptions { adamw, schedule, ..options(1, 0.1) };
        let model = small(10, 16, 5);
        let before = mathesis_language::training::parameters::values(&model);
        let after = run(model, &options, &Same(still.clone())).unwrap().model;
        let after = mathesis_language::training::parameters::values(&after);
        let ratio = |name: &str| {
            let first = |data: &burn::tensor::TensorData| data.iter::<f64>().next().unwrap();
            first(&after[name]) / first(&before[name])
        };
        [ratio("head.Dense.weight"), ratio("norm.weight")].map(|ratio| (1e4 * ratio).round() / 1e4)
    };
    assert_eq!(decayed(false), [0.95, 1.0]);
    assert_eq!(decayed(true), [0.95, 0.95]);
}

#[test]
fn an_explosion_is_told_with_its_place() {
    let same = Same(batch(&[&[1, 5, 2, 7, 7, 3, 4, 9]], vec![vec![0]], &[1.0; 8]));
    let explode = |model: LanguageModel, options: &TrainingOptions| match run(model, options, &same) {
        Err(TrainingError::Exploded { step, batch, culprit, .. }) => (step, batch, culprit),
        other => panic!("{other:?}"),
    };
    let model = || small(10, 16, 5);
    let (step, batch, culprit) = explode(scaled(model(), &[KEY], f32::NAN), &options(5, 1e-3));
    assert_eq!((step, batch.as_str()), (1, "a test"));
    assert_eq!(culprit, Culprit::Parameter(KEY.to_string()));
    let (_, _, culprit) = explode(scaled(model(), &[KEY, QUERY], 1e21), &options(5, 1e-3));
    assert_eq!(culprit, Culprit::Layer("blocks.1.mixer".to_string()));
    // A learning rate that is far too large.
    let rate =
        TrainingOptions { schedule: Schedule { warmup: 0, ..options(50, 1.0).schedule }, ..options(50, 1.0) };
    let (step, _, culprit) = explode(model(), &rate);
    assert!(step > 1 && matches!(culprit, Culprit::Largest(..)), "{step} {culprit:?}");
    let message = run(scaled(model(), &[KEY], f32::NAN), &options(5, 1e-3), &same).unwrap_err().to_string();
    assert!(message.contains("step 1") && message.contains("a test") && message.contains(KEY));
}

#[test]
fn wrong_options_are_refused() {
    let source = Task::Copying(Copying::default()).rows(Side::Training, 4, 1).unwrap();
    let model = small(16, 8, 3);
    let refuse = |options: TrainingOptions| run(model.clone(), &options, &source).unwrap_err().to_string();
    let good = options(2, 1e-3);
    assert!(refuse(TrainingOptions { steps: 0, ..good.clone() }).contains("`steps` is 0"));
    assert!(refuse(TrainingOptions { clip: -1.0, ..good.clone() }).contains("`clip` is -1"));
    assert!(refuse(TrainingOptions { replicas: 2, ..good.clone() }).contains("`replicas` is 2"));
    let schedule = Schedule { peak: f64::NAN, ..good.schedule };
    assert!(refuse(TrainingOptions { schedule, ..good.clone() }).contains("`peak` is NaN"));
    let adamw = AdamwOptions { beta_2: 1.0, ..good.adamw };
    assert!(refuse(TrainingOptions { adamw, ..good.clone() }).contains("`beta-2` is 1"));
    let group = |parameters: &str, rate| {
        let group = ParameterGroup { parameters: parameters.to_string(), rate, weight_decay: None };
        TrainingOptions { groups: vec![group], ..good.clone() }
    };
    assert!(refuse(group("norm", -1.0)).contains("`groups.rate` is -1"));
    assert!(refuse(group("embeding", 1.0)).contains("`embedding`"));
    let small = small(15, 8, 3);
    let error = run(small, &good, &source).unwrap_err().to_string();
    assert_eq!(error, "the data have a vocabulary of 16 tokens, the model of 15");
}

#[test]
fn progress_tells_losses_and_a_stop_is_heard() {
    let source = Task::Copying(Copying::default()).rows(Side::Training, 4, 1).unwrap();
    let mut steps = Vec::new();
    let mut observe = |progress: &TrainingProgress<'_>| {
        steps.push((progress.record.step, progress.evaluation.is_some(), progress.recent_loss.is_finite()));
        if progress.record.step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = TrainingOptions { validation_every: 2, validation_batches: 1, ..options(9, 1e-3) };
    let model = small(16, 8, 3);
    let trained = train(model, &options, &source, Some(&source), None, &mut observe).unwrap();
    assert_eq!(steps, [(1, false, true), (2, true, true), (3, false, true)]);
    assert!(trained.interrupted && trained.records.len() == 3 && trained.evaluations.len() == 1);
    assert_eq!(trained.model.devices(), [Device::flex()]);
    assert_eq!(trained.model.vocabulary(), 16);
}
