//! Published architectures, as configurations of a chosen size.

use mathesis_networks::sequence::arithmetic::Arithmetic;
use mathesis_networks::sequence::attention::{AttentionBias, AttentionConfig};
use mathesis_networks::sequence::gated_linear_attention::GatedLinearAttentionConfig;
use mathesis_networks::sequence::geglu::GeGluConfig;
use mathesis_networks::sequence::linear::LinearKind;
use mathesis_networks::sequence::linear_gated_recurrent_unit::LinearGatedRecurrentUnitConfig;
use mathesis_networks::sequence::monarch_mixer::MonarchMixerConfig;
use mathesis_networks::sequence::rotary::RotaryConfig;
use mathesis_networks::sequence::swiglu::SwiGluConfig;

use super::{BlockConfig, ChannelConfig, Frame, LanguageModelConfig, MixerConfig};

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
            head: LinearKind::Dense,
            frame: Frame::PreNorm,
            deviation: 0.02,
            blocks: vec![BlockConfig {
                repeat: size.layers,
                mixer: MixerConfig::Attention(attention),
                channel: ChannelConfig::SwiGlu(SwiGluConfig::new(size.hidden)),
                linear: LinearKind::Dense,
                channel_linear: None,
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

    /// Gated linear attention: Yang et al. (2024), as the public library has it, whose small model has a tied head. Its heads of keys
    /// are not the size's.
    pub fn gated_linear_attention(size: Size) -> Self {
        let mixer = GatedLinearAttentionConfig { heads: size.heads, ..GatedLinearAttentionConfig::default() };
        let mut config = Self::llama(size).with_mixer(MixerConfig::GatedLinearAttention(mixer));
        config.norm_epsilon = 1e-6;
        config
    }

    /// The language model without products of matrices: Zhu et al. (2024), as the public code has it: linear gated recurrent units,
    /// and ternary weights in all linear layers, the head among them. It has no heads of attention.
    pub fn matmul_free(size: Size) -> Self {
        let mut config = Self::llama(size);
        // What layers add to the hidden state starts smaller, by the number of additions.
        let output_deviation = Some(config.deviation / (2.0 * size.layers.max(1) as f64).sqrt());
        let unit = LinearGatedRecurrentUnitConfig { output_deviation, ..Default::default() };
        let channel = SwiGluConfig { joined: true, output_deviation, ..SwiGluConfig::new(size.hidden) };
        config = config.with_mixer(MixerConfig::LinearGatedRecurrentUnit(unit));
        config.norm_epsilon = 1e-6;
        config.head = LinearKind::Ternary;
        for block in &mut config.blocks {
            block.channel = ChannelConfig::SwiGlu(channel);
            block.linear = LinearKind::Ternary;
        }
        config
    }

    /// A causal Monarch mixer: Fu et al. (2023): gated long convolutions, and channel layers of so many diagonal blocks. How the authors'
    /// causal models are built has not been published; here they stand in the blocks of the other presets.
    pub fn monarch_mixer(size: Size, diagonal_blocks: usize) -> Self {
        let mixer = MonarchMixerConfig::new(size.context.max(2));
        let mut config = Self::llama(size).with_mixer(MixerConfig::Monarch(mixer));
        for block in &mut config.blocks {
            block.channel = ChannelConfig::GeGlu(GeGluConfig { hidden: size.hidden, bias: true });
            block.channel_linear = Some(LinearKind::BlockDiagonal { blocks: diagonal_blocks });
        }
        config
    }

    /// M2-BERT: Fu et al. (2023), as the public code has it, but for vectors of token types; with the published four diagonal blocks.
    /// The model sees both sides of a token.
    pub fn monarch_mixer_bert(size: Size) -> Self {
        let mut config = Self::monarch_mixer(size, 4);
        config.frame = Frame::MonarchBert;
        config.tied = true;
        config.norm_epsilon = 1e-12;
        let mixer = MonarchMixerConfig { causal: false, ..MonarchMixerConfig::new(size.context.max(2)) };
        config.with_mixer(MixerConfig::Monarch(mixer))
    }

    fn with_mixer(mut self, mixer: MixerConfig) -> Self {
        for block in &mut self.blocks {
            block.mixer = mixer.clone();
        }
        self
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
