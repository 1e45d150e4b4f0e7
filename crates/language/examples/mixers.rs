//! Models of every mixer with random weights, their tokens, their logits and their gradients, for another program to compare with.
//!
//! `mixers FOLDER` writes FOLDER/NAME/{config.json, model.safetensors, tokens.json, logits.f32, decoded.f32} for each model: the
//! logits `[tokens, vocabulary]` of all tokens at once, and, if the model is causal, of one after the other; and FOLDER/NAME/moved, the
//! same model after a step of `RATE` down the gradient of the mean cross-entropy of the token that comes next.

use std::path::Path;
use std::process::ExitCode;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use mathesis_algebra::random::Sequence;
use mathesis_language::folder::{NumberFormat, write_model};
use mathesis_language::model::{BlockConfig, LanguageModel, LanguageModelConfig, MixerConfig, Size};
use mathesis_language::training::cross_entropy::cross_entropy;
use mathesis_language::training::parameters::trainable;
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::linear_gated_recurrent_unit::{LinearGatedRecurrentUnitConfig, Variant};

const TOKENS: usize = 300;
const RATE: f64 = 100.0;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("mixers FOLDER");
        return ExitCode::from(2);
    };
    for (name, config) in models() {
        if let Err(error) = write(Path::new(&folder).join(name).as_path(), &config) {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn models() -> Vec<(&'static str, LanguageModelConfig)> {
    let size = Size {
        vocabulary: 211,
        width: 64,
        hidden: 160,
        layers: 3,
        heads: 4,
        key_value_heads: 4,
        context: 320,
    };
    let matmul_free = LanguageModelConfig::matmul_free(size);
    let dense = LanguageModelConfig {
        head: LinearKind::Dense,
        blocks: vec![BlockConfig { linear: LinearKind::Dense, ..matmul_free.blocks[0].clone() }],
        ..matmul_free.clone()
    };
    let mut paper = dense.clone();
    paper.blocks[0].mixer = MixerConfig::LinearGatedRecurrentUnit(LinearGatedRecurrentUnitConfig {
        variant: Variant::Paper,
        ..LinearGatedRecurrentUnitConfig::default()
    });
    vec![
        ("unit-dense", dense),
        ("unit-paper", paper),
        ("unit-ternary", matmul_free),
        ("gated-linear-attention", LanguageModelConfig::gated_linear_attention(size)),
        ("monarch", LanguageModelConfig::monarch_mixer(size, 4)),
        ("monarch-bert", LanguageModelConfig::monarch_mixer_bert(size)),
    ]
}

fn write(folder: &Path, config: &LanguageModelConfig) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let device = Device::flex();
    let config = LanguageModelConfig { deviation: 0.15, ..config.clone() };
    let mut random = Sequence::new(7);
    // What begins as zeros or ones is moved, so that it counts.
    let model = config.init(5, &device)?.map(&mut Shake(&mut random));
    write_model(&model, folder, NumberFormat::F32)?;
    let tokens: Vec<i64> = (0..TOKENS).map(|_| (random.bits() % config.vocabulary as u64) as i64).collect();
    std::fs::write(folder.join("tokens.json"), serde_json::to_string(&tokens)?)?;
    std::fs::create_dir_all(folder.join("moved"))?;
    write_model(&moved(&model, &tokens), &folder.join("moved"), NumberFormat::F32)?;
    let tokens: Tensor<2, Int> = Tensor::from_data(TensorData::new(tokens, [1, TOKENS]), &device);
    let save = |name: &str, logits: Tensor<3>| {
        let bytes: Vec<u8> = logits.into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
        std::fs::write(folder.join(name), bytes)
    };
    save("logits.f32", model.forward(tokens.clone(), &Documents::whole(1, TOKENS)))?;
    if config.is_causal() {
        let mut state = model.state(1, &device);
        let steps = (0..TOKENS).map(|time| {
            let next = tokens.clone().slice([0..1, time..time + 1]);
            model.logits(model.extend(next, &mut state))
        });
        save("decoded.f32", Tensor::cat(steps.collect(), 1))?;
    }
    Ok(())
}

/// The model after a step down the gradient.
fn moved(model: &LanguageModel, tokens: &[i64]) -> LanguageModel {
    let device = Device::flex();
    let model = trainable(model.clone(), false);
    let [input, target] = [&tokens[..TOKENS - 1], &tokens[1..]]
        .map(|tokens| Tensor::<1, Int>::from_data(TensorData::new(tokens.to_vec(), [TOKENS - 1]), &device));
    let logits = model.forward(input.unsqueeze(), &Documents::whole(1, TOKENS - 1));
    let logits = logits.reshape([TOKENS - 1, model.config().vocabulary]);
    let weights = Tensor::full([TOKENS - 1], 1.0 / (TOKENS - 1) as f64, &device);
    let gradients = cross_entropy(logits, target, weights).backward();
    model.map(&mut Step(&gradients))
}

struct Step<'a>(&'a Gradients);

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = parameter.val();
        let gradient = value.grad(self.0);
        let value = value.inner();
        Param::from_tensor(match gradient {
            Some(gradient) => value - gradient * RATE,
            None => value,
        })
    }
}

/// Moves vectors and small matrices.
struct Shake<'a>(&'a mut Sequence);

impl ModuleMapper for Shake<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = parameter.val();
        let (shape, device) = (value.dims(), value.device());
        let numbers: Vec<f32> =
            value.into_data().iter::<f32>().map(|x| x + 0.05 * self.0.normal() as f32).collect();
        Param::from_data(TensorData::new(numbers, shape), &device)
    }
}
