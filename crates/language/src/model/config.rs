//! What a model is made of, as a value that stands in TOML or JSON.

use mathesis_networks::sequence::arithmetic::{Arithmetic, Scope};
use mathesis_networks::sequence::linear::{LinearConfig, LinearKind};
use serde::{Deserialize, Serialize};

use super::{ChannelConfig, MixerConfig};

/// What a language model is made of.
///
/// ```toml
/// vocabulary = 4096
/// width = 256
/// context = 512
/// tied = true
///
/// [[blocks]]
/// repeat = 4
/// mixer = { kind = "attention", heads = 4 }
/// channel = { kind = "swiglu", hidden = 688 }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LanguageModelConfig {
    /// The number of tokens.
    pub vocabulary: usize,
    /// The width of hidden states.
    pub width: usize,
    /// The longest row that the model is meant for, in tokens.
    pub context: usize,
    /// What is added to mean squares in norms.
    #[serde(default = "norm_epsilon")]
    pub norm_epsilon: f64,
    /// Whether the head is the embedding.
    #[serde(default)]
    pub tied: bool,
    /// The standard deviation of random weights.
    #[serde(default = "deviation")]
    pub deviation: f64,
    /// The blocks, from the first to the last.
    pub blocks: Vec<BlockConfig>,
}

/// Equal blocks that follow each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BlockConfig {
    /// How many.
    #[serde(default = "one")]
    pub repeat: usize,
    /// What sees other times.
    pub mixer: MixerConfig,
    /// What works on each time by itself.
    pub channel: ChannelConfig,
    /// The kind of the linear layers in both.
    #[serde(default)]
    pub linear: LinearKind,
    /// What products of matrices are computed in; other than 32 bits only where linear layers are dense.
    #[serde(default, skip_serializing_if = "Arithmetic::is_f32")]
    pub arithmetic: Arithmetic,
}

impl BlockConfig {
    /// The kind of linear layers with their arithmetic.
    pub(super) fn kind(&self) -> LinearKind {
        match self.arithmetic {
            Arithmetic::F32 => self.linear,
            other => LinearKind::In(other),
        }
    }

    fn check_arithmetic(&self, place: &str) -> Result<(), ConfigError> {
        let (arithmetic, attention) = (self.arithmetic, matches!(self.mixer, MixerConfig::Attention(_)));
        let fine = arithmetic == Arithmetic::F32 || self.linear == LinearKind::Dense;
        let expected = "f32, as linear layers are not dense";
        ConfigError::unless(fine, place, "arithmetic", arithmetic, expected)?;
        let fine = attention || !matches!(arithmetic, Arithmetic::LMul { scope: Scope::Attention, .. });
        ConfigError::unless(fine, place, "arithmetic", arithmetic, "another, as the mixer is no attention")
    }
}

fn norm_epsilon() -> f64 {
    1e-5
}

fn deviation() -> f64 {
    0.02
}

fn one() -> usize {
    1
}

/// More numbers than this in one tensor are taken for a mistake.
const LARGEST: usize = 1 << 40;
/// More blocks than this are taken for a mistake.
const MOST_BLOCKS: usize = 10_000;

/// Why a configuration describes no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: expected {expected}")]
pub struct ConfigError {
    /// The key, with the keys of the tables that it is in.
    pub key: String,
    /// What stands there.
    pub value: String,
    /// What must stand there.
    pub expected: String,
}

impl ConfigError {
    /// An error unless all is fine.
    pub(super) fn unless(
        fine: bool,
        place: &str,
        key: &str,
        value: impl ToString,
        expected: &str,
    ) -> Result<(), Self> {
        if fine {
            return Ok(());
        }
        let key = if place.is_empty() { key.to_string() } else { format!("{place}.{key}") };
        Err(ConfigError { key, value: value.to_string(), expected: expected.to_string() })
    }
}

impl LanguageModelConfig {
    /// The blocks one by one.
    pub fn layers(&self) -> impl Iterator<Item = &BlockConfig> {
        self.blocks.iter().flat_map(|block| std::iter::repeat_n(block, block.repeat))
    }

    /// The same with all blocks in this arithmetic.
    pub fn in_arithmetic(mut self, arithmetic: Arithmetic) -> Self {
        self.blocks.iter_mut().for_each(|block| block.arithmetic = arithmetic);
        self
    }

    /// Whether this describes a model.
    ///
    /// # Errors
    /// The first key with an impossible value.
    pub fn check(&self) -> Result<(), ConfigError> {
        let LanguageModelConfig { vocabulary, width, context, norm_epsilon, deviation, .. } = *self;
        for (key, value) in [("vocabulary", vocabulary), ("width", width), ("context", context)] {
            ConfigError::unless(value > 0, "", key, value, "at least 1")?;
        }
        let size = vocabulary.checked_mul(width).filter(|&size| size <= LARGEST);
        ConfigError::unless(
            size.is_some(),
            "",
            "vocabulary",
            vocabulary,
            "an embedding that fits in memory",
        )?;
        let fine = norm_epsilon.is_finite() && norm_epsilon >= 0.0;
        ConfigError::unless(fine, "", "norm-epsilon", norm_epsilon, "a number of at least 0")?;
        let fine = deviation.is_finite() && deviation >= 0.0;
        ConfigError::unless(fine, "", "deviation", deviation, "a number of at least 0")?;
        for (number, block) in self.blocks.iter().enumerate() {
            let place = format!("blocks[{number}]");
            let fine = block.repeat <= MOST_BLOCKS;
            ConfigError::unless(fine, &place, "repeat", block.repeat, &format!("at most {MOST_BLOCKS}"))?;
            block.mixer.check(&format!("{place}.mixer"), width)?;
            block.channel.check(&format!("{place}.channel"))?;
            block.check_arithmetic(&place)?;
            if let LinearKind::BlockDiagonal { blocks } = block.linear {
                let (mixer, channel) =
                    (block.mixer.linears(width, block.linear), block.channel.linears(width, block.linear));
                let divides = |extent: usize| blocks > 0 && extent.is_multiple_of(blocks);
                for linear in mixer.iter().chain(&channel).filter(|linear| linear.kind == block.linear) {
                    let expected =
                        format!("a divisor of the widths {} and {}", linear.inputs, linear.outputs);
                    let fine = divides(linear.inputs) && divides(linear.outputs);
                    ConfigError::unless(fine, &place, "linear.block-diagonal.blocks", blocks, &expected)?;
                }
            }
        }
        Ok(())
    }

    /// The number of weights and biases.
    pub fn parameters(&self) -> usize {
        let blocks: usize = self
            .blocks
            .iter()
            .map(|block| {
                let layers = block.mixer.parameters(self.width, block.kind())
                    + block.channel.parameters(self.width, block.kind());
                block.repeat * (layers + 2 * self.width)
            })
            .sum();
        let embedding = self.vocabulary * self.width;
        let head = if self.tied { 0 } else { LinearConfig::parameters(&self.head()) };
        embedding + blocks + self.width + head
    }
}
