//! Published architectures, as configurations of a chosen size.

use mathesis_networks::sequence::arithmetic::Arithmetic;
use mathesis_networks::sequence::attention::{AttentionBias, AttentionConfig};
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::rotary::RotaryConfig;
use mathesis_networks::sequence::swiglu::SwiGluConfig;

use super::{BlockConfig, ChannelConfig, LanguageModelConfig, MixerConfig};

/// The numbers that models of one architecture differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of tokens.
    pub vocabulary: usize,
    /// The width of hidden states.
    pub width: usize,
    /// The hidden width of channel layers.
    pub hidden: usize,
    /// The number of blocks.
    pub layers: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub key_value_heads: usize,
    /// The longest row, in tokens.
    pub context: usize,
}

impl LanguageModelConfig {
    /// Llama: Touvron et al. (2023); with groups of heads as in Llama 2 and 3.
    pub fn llama(size: Size) -> Self {
        let attention = AttentionConfig {
            key_value_heads: Some(size.key_value_heads),
            ..AttentionConfig::new(size.heads)
        };
        LanguageModelConfig {
            vocabulary: size.vocabulary,
            width: size.width,
            context: size.context,
            norm_epsilon: 1e-5,
            tied: false,
            deviation: 0.02,
            blocks: vec![BlockConfig {
                repeat: size.layers,
                mixer: MixerConfig::Attention(attention),
                channel: ChannelConfig::SwiGlu(SwiGluConfig { hidden: size.hidden, bias: false }),
                linear: LinearKind::Dense,
                arithmetic: Arithmetic::F32,
            }],
        }
    }

    /// Qwen2: Yang et al. (2024): Llama with biases for queries, keys and values and slow rotations; small ones have tied heads.
    pub fn qwen2(size: Size) -> Self {
        let rotary = RotaryConfig { theta: 1e6, ..RotaryConfig::default() };
        let mut config = Self::llama(size).with_attention(|attention| AttentionConfig {
            bias: AttentionBias::Input,
            rotary,
            ..attention
        });
        config.norm_epsilon = 1e-6;
        config
    }

    /// Mistral 7B: Jiang et al. (2023): Llama with a window of tokens that are seen.
    pub fn mistral(size: Size, window: Option<usize>) -> Self {
        Self::llama(size).with_attention(|attention| AttentionConfig { window, ..attention })
    }

    fn with_attention(mut self, change: impl Fn(AttentionConfig) -> AttentionConfig) -> Self {
        for block in &mut self.blocks {
            if let MixerConfig::Attention(attention) = &mut block.mixer {
                *attention = change(*attention);
            }
        }
        self
    }
}
