//! Small models, to train in seconds.

use burn::tensor::{Device, TensorData};
use mathesis_language::model::{
    BlockConfig, ChannelConfig, Frame, LanguageModel, LanguageModelConfig, MixerConfig, Size,
};
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
        channel: ChannelConfig::SwiGlu(SwiGluConfig::new(2 * width)),
        linear: LinearKind::Dense,
        channel_linear: None,
        arithmetic: Arithmetic::F32,
    };
    let config = LanguageModelConfig {
        vocabulary,
        width,
        context: 64,
        norm_epsilon: 1e-5,
        tied: false,
        head: LinearKind::Dense,
        frame: Frame::PreNorm,
        deviation: 0.1,
        blocks: vec![block],
    };
    config.init(seed, &Device::flex()).expect("a model")
}

/// A block of each of the four mixers, and a fifth that shares the lower bounds of the first; dense and block-diagonal layers.
pub fn four_mixers(vocabulary: usize, width: usize, seed: u64) -> LanguageModel {
    let size =
        Size { vocabulary, width, hidden: 2 * width, layers: 1, heads: 2, key_value_heads: 2, context: 64 };
    let unit =
        BlockConfig { linear: LinearKind::Dense, ..LanguageModelConfig::matmul_free(size).blocks[0].clone() };
    let mut config = LanguageModelConfig::llama(size);
    config.blocks.insert(0, unit.clone());
    config.blocks.extend(LanguageModelConfig::monarch_mixer(size, 2).blocks);
    config.blocks.extend(LanguageModelConfig::gated_linear_attention(size).blocks);
    config.blocks.push(unit);
    LanguageModelConfig { deviation: 0.1, ..config }.init(seed, &Device::flex()).expect("a model")
}

/// A small model in the manner of M2-BERT.
pub fn both_sides(vocabulary: usize, width: usize, context: usize, seed: u64) -> LanguageModel {
    let size =
        Size { vocabulary, width, hidden: 2 * width, layers: 2, heads: 1, key_value_heads: 1, context };
    let config = LanguageModelConfig::monarch_mixer_bert(size);
    LanguageModelConfig { deviation: 0.1, ..config }.init(seed, &Device::flex()).expect("a model")
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
