//! Models on a device without kernels, where every operation of layers, loss and optimiser is a composition of burn's operations: they are
//! those of the processor, with every mixer, channel layer and kind of linear layer.
//!
//! For the backends that cargo features add: `cargo test -p mathesis-language --features ndarray --test backends`, or `wgpu`.
#![cfg(any(feature = "ndarray", feature = "wgpu"))]

use std::ops::ControlFlow;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_language::data::synthetic::{Recall, Task};
use mathesis_language::data::{Batch, Side};
use mathesis_language::model::{LanguageModel, LanguageModelConfig};
use mathesis_language::training::{
    Adamw, AdamwOptions, CausalModel, TrainingOptions, TrainingProgress, parameters, train_on,
};
use mathesis_networks::operation::has_kernels;
use mathesis_networks::sequence::Documents;

const VOCABULARY: usize = 29;
const TIME: usize = 21;

/// Devices of all backends that are built.
#[allow(clippy::vec_init_then_push)]
fn others() -> Vec<Device> {
    let mut devices = Vec::new();
    #[cfg(feature = "ndarray")]
    #[allow(deprecated)]
    devices.push(Device::ndarray());
    #[cfg(feature = "wgpu")]
    devices.push(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice));
    assert!(devices.iter().all(|device| !has_kernels(device)) && has_kernels(&Device::flex()));
    devices
}

/// What stands above the blocks of each model, and its blocks.
const SMOOTH: [(&str, &str); 7] = [
    (
        "tied = true",
        r#"
        [[blocks]]
        mixer = { kind = "attention", heads = 4, key-value-heads = 2, window = 5, bias = "all" }
        channel = { kind = "swiglu", hidden = 24, bias = true }
        [[blocks]]
        mixer = { kind = "attention", heads = 2 }
        channel = { kind = "geglu", hidden = 24 }
        linear = { block-diagonal = { blocks = 2 } }
        "#,
    ),
    (
        "",
        r#"
        [[blocks]]
        mixer = { kind = "attention", heads = 2, causal = false }
        channel = { kind = "swiglu", hidden = 24, joined = true }
        "#,
    ),
    (
        "",
        r#"
        [[blocks]]
        mixer = { kind = "gated-linear-attention", heads = 2, gate = { channel = { rank = 3, normaliser = 2.0 } }, short-convolution = 4 }
        channel = { kind = "swiglu", hidden = 24 }
        [[blocks]]
        mixer = { kind = "gated-linear-attention", heads = 4, key-heads = 2, gate = { head = { normaliser = 1.0 } } }
        channel = { kind = "swiglu", hidden = 24 }
        [[blocks]]
        mixer = { kind = "gated-linear-attention", heads = 2, gate = "fixed", feature-map = "rectifier", output-gate = false }
        channel = { kind = "swiglu", hidden = 24 }
        "#,
    ),
    (
        "",
        r#"
        [[blocks]]
        repeat = 2
        mixer = { kind = "linear-gated-recurrent-unit" }
        channel = { kind = "swiglu", hidden = 24 }
        [[blocks]]
        mixer = { kind = "linear-gated-recurrent-unit", variant = "paper" }
        channel = { kind = "swiglu", hidden = 24 }
        "#,
    ),
    (
        "",
        r#"
        [[blocks]]
        mixer = { kind = "monarch", longest = 24, filter = { order = 8, frequency = 1.5 } }
        channel = { kind = "geglu", hidden = 24 }
        channel-linear = { block-diagonal = { blocks = 4 } }
        "#,
    ),
    (
        "tied = true\nframe = \"monarch-bert\"",
        r#"
        [[blocks]]
        mixer = { kind = "monarch", longest = 24, causal = false, filter = { order = 8, frequency = 1.5 } }
        channel = { kind = "geglu", hidden = 24 }
        "#,
    ),
    (
        "",
        r#"
        [[blocks]]
        mixer = { kind = "tensor-attention", heads = 2, head-width = 3 }
        channel = { kind = "swiglu", hidden = 24 }
        [[blocks]]
        mixer = { kind = "tensor-attention", heads = 2, head-width = 3, form = "exact" }
        channel = { kind = "swiglu", hidden = 24 }
        "#,
    ),
];

/// Models that round: what another order of sums moves by a bit may be rounded to another number.
const ROUNDING: [(&str, &str); 2] = [
    (
        "head = \"ternary\"",
        r#"
        [[blocks]]
        mixer = { kind = "linear-gated-recurrent-unit" }
        channel = { kind = "swiglu", hidden = 24, joined = true }
        linear = "ternary"
        "#,
    ),
    (
        "",
        r#"
        [[blocks]]
        mixer = { kind = "attention", heads = 2 }
        channel = { kind = "swiglu", hidden = 24 }
        arithmetic = "bf16"
        [[blocks]]
        mixer = { kind = "attention", heads = 2 }
        channel = { kind = "swiglu", hidden = 24 }
        arithmetic = "l-mul:5"
        [[blocks]]
        mixer = { kind = "attention", heads = 2 }
        channel = { kind = "swiglu", hidden = 24 }
        arithmetic = "w4a8"
        "#,
    ),
];

/// Configurations, each with how near numbers must be to those of the kernels.
fn configs() -> Vec<(LanguageModelConfig, f64)> {
    let smooth = SMOOTH.iter().map(|model| (model, 1e-4));
    let rounding = ROUNDING.iter().map(|model| (model, 2e-2));
    let config = |((above, blocks), tolerance): (&(&str, &str), f64)| {
        let text = format!(
            "vocabulary = {VOCABULARY}\nwidth = 16\ncontext = 24\ndeviation = 0.2\n{above}\n{blocks}"
        );
        (toml::from_str(&text).expect("a configuration"), tolerance)
    };
    smooth.chain(rounding).map(config).collect()
}

/// What a function gives of the same model on the processor and on another device.
fn on_both<R>(
    config: &LanguageModelConfig,
    other: &Device,
    of: impl Fn(LanguageModel, &Device) -> R,
) -> [R; 2] {
    let flex = if other.is_autodiff() { Device::flex().autodiff() } else { Device::flex() };
    [flex, other.clone()].map(|device| of(config.init(7, &device).expect("a model"), &device))
}

/// Two rows of tokens.
fn tokens(device: &Device) -> Tensor<2, Int> {
    let tokens: Vec<i64> = (0..2 * TIME).map(|place| (place * place * 7 % VOCABULARY) as i64).collect();
    Tensor::from_data(TensorData::new(tokens, [2, TIME]), device)
}

fn packed_documents() -> Documents {
    Documents::new(TIME, vec![vec![0, 1, 18], vec![0]]).expect("documents")
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[track_caller]
fn assert_close(given: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(given.len(), expected.len(), "{what}");
    for (place, (a, b)) in given.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: {a} for {b} at {place}");
    }
}

#[test]
fn logits_are_those_of_the_kernels() {
    for other in others() {
        for (config, tolerance) in configs() {
            let [expected, given] = on_both(&config, &other, |model, device| {
                numbers(model.forward(tokens(device), &packed_documents()))
            });
            assert_close(&given, &expected, tolerance, &format!("{:?}", config.blocks[0].mixer));
        }
    }
}

#[test]
fn losses_gradients_and_steps_are_those_of_the_kernels() {
    // A large ε: where a gradient is rounding alone, its direction is none.
    let options = AdamwOptions { epsilon: 1e-2, ..AdamwOptions::default() };
    for other in others() {
        for (config, tolerance) in configs() {
            let mixer = format!("{:?}", config.blocks[0].mixer);
            let [expected, given] = on_both(&config, &other.clone().autodiff(), |model, device| {
                let ids: Vec<u32> = tokens(device).into_data().iter::<u32>().collect();
                let weights = (0..2 * TIME).map(|place| 0.01 * (place % 4) as f32).collect();
                let documents = packed_documents();
                let targets = ids.iter().rev().copied().collect();
                let batch = Batch { tokens: ids, targets, weights, documents, origin: String::new() };
                let targets = batch.scored(device);
                assert!(targets.places.is_some());
                let loss = model.loss(batch.inputs(device), &batch.documents, targets);
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                let mut adamw = Adamw::new(options);
                let model = adamw.step(model, gradients, 1e-2, 0.5);
                // The first moments are the gradients, times 1 − β₁ and the factor.
                let factor = 0.5 * (1.0 - options.beta_1);
                let moments = adamw.moments.into_iter();
                let gradients: Vec<(String, Vec<f64>)> =
                    moments.map(|(name, moments)| (name, numbers(moments.first / factor))).collect();
                (numbers(loss), gradients, parameters::values(&model))
            });
            assert_close(&given.0, &expected.0, tolerance, &mixer);
            assert!(expected.1.len() > 5 && expected.1.len() == given.1.len(), "{mixer}");
            // Sines enlarge what is rounded, and those of graphics cards have fewer digits.
            let tolerance = tolerance.max(1e-3);
            for ((name, given), (same, expected)) in given.1.iter().zip(&expected.1) {
                assert_eq!(name, same);
                assert_close(given, expected, tolerance, &format!("{mixer}, the gradient of {name}"));
            }
            assert_eq!(given.2.len(), expected.2.len());
            for (name, expected) in &expected.2 {
                let [given, expected] =
                    [&given.2[name], expected].map(|data| data.iter::<f64>().collect::<Vec<_>>());
                assert_close(&given, &expected, tolerance, &format!("{mixer}, {name}"));
            }
        }
    }
}

/// Token by token and in pieces, with rows that are taken apart on the way, as they are and with packed weights.
#[test]
fn decoding_is_that_of_the_kernels() {
    let decoded = |model: &LanguageModel, device: &Device| {
        let (mut state, mut from, mut all) = (model.state(2, device), 0, Vec::new());
        for piece in [1, 1, 6, 1, 4, 1] {
            let next = tokens(device).narrow(1, from, piece);
            all.extend(numbers(model.logits(model.extend(next, &mut state))));
            from += piece;
            state = state.select(&[1, 0]);
        }
        all
    };
    for other in others() {
        for (config, tolerance) in configs().into_iter().filter(|(config, _)| config.is_causal()) {
            let mixer = format!("{:?}", config.blocks[0].mixer);
            let [expected, given] = on_both(&config, &other, |model, device| decoded(&model, device));
            assert_close(&given, &expected, tolerance, &mixer);
            let [expected, given] = on_both(&config, &other, |model, device| {
                decoded(&model.packed().expect("finite weights"), device)
            });
            assert_close(&given, &expected, tolerance, &format!("packed, {mixer}"));
            let [expected, given] = on_both(&config, &other, |model, device| {
                decoded(&model.with_int8_weights().expect("finite weights"), device)
            });
            assert_close(&given, &expected, tolerance, &format!("8 bits, {mixer}"));
        }
    }
}

/// Replicas on both devices are those of one.
#[test]
fn replicas_on_other_devices_train_the_same_model() {
    let rows = Task::Recall(Recall { length: 16, pairs: 2, vocabulary: VOCABULARY - 1, ..Recall::default() });
    let source = rows.rows(Side::Training, 3, 1).expect("rows");
    let options = TrainingOptions { steps: 3, accumulation: 4, replicas: 2, ..TrainingOptions::default() };
    for other in others() {
        let (config, _) = configs().swap_remove(0);
        let losses = |others: &[Device]| -> Vec<f64> {
            let model = config.init(7, &Device::flex()).expect("a model");
            let observe = &mut |_: &TrainingProgress<'_>| ControlFlow::Continue(());
            let trained = train_on(model, others, &options, &source, None, None, observe).expect("trained");
            trained.records.iter().flat_map(|record| [record.loss, record.gradient_norm]).collect()
        };
        assert_close(&losses(&[other]), &losses(&[]), 1e-4, "losses and gradients");
    }
}
