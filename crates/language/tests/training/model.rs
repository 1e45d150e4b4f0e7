//! Small models, to train in seconds.

use burn::tensor::{Device, TensorData};
use mathesis_language::model::{BlockConfig, ChannelConfig, LanguageModel, LanguageModelConfig, MixerConfig};
use mathesis_language::training::parameters;
use mathesis_networks::sequence::arithmetic::Arithmetic;
use mathesis_networks::sequence::attention::AttentionConfig;
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::swiglu::SwiGluConfig;

/// Two blocks of attention with two heads.
pub fn small(vocabulary: usize, width: usize, seed: u64) -> LanguageModel {
    let block = BlockConfig {
        repeat: 2,
        mixer: MixerConfig::Attention(AttentionConfig::new(2)),
        channel: ChannelConfig::SwiGlu(SwiGluConfig { hidden: 2 * width, bias: false }),
        linear: LinearKind::Dense,
        arithmetic: Arithmetic::F32,
    };
    let config = LanguageModelConfig {
        vocabulary,
        width,
        context: 64,
        norm_epsilon: 1e-5,
        tied: false,
        deviation: 0.1,
        blocks: vec![block],
    };
    config.init(seed, &Device::flex()).expect("a model")
}

/// The model with these parameters so many times as large.
pub fn scaled(model: LanguageModel, names: &[&str], factor: f32) -> LanguageModel {
    let mut values = parameters::values(&model);
    for name in names {
        let data = values.get(*name).unwrap_or_else(|| panic!("no {name} among {:?}", values.keys()));
        let numbers: Vec<f32> = data.iter::<f32>().map(|value| factor * value).collect();
        let shape = data.shape().clone();
        values.insert(name.to_string(), TensorData::new(numbers, shape));
    }
    parameters::with_values(model, values).expect("the same parameters")
}
