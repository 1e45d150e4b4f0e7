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
    /// The kind of the head, where it is not the embedding.
    #[serde(default, skip_serializing_if = "is_default")]
    pub head: LinearKind,
    /// What stands around the layers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub frame: Frame,
    /// The standard deviation of random weights.
    #[serde(default = "deviation")]
    pub deviation: f64,
    /// The blocks, from the first to the last.
    pub blocks: Vec<BlockConfig>,
}

/// What stands around the layers of a model: norms, connections past the layers, position codes, and what is before the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// Every layer reads the norm of the hidden state and is added to it; another norm before the head.
    #[default]
    PreNorm,
    /// That of M2-BERT: learnt positions, nothing that passes the mixer by, a norm after the channel layer, and a transform
    /// before the head. For models over both sides.
    MonarchBert,
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
    /// The kind of those in the channel layer, if it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_linear: Option<LinearKind>,
    /// What products of matrices are computed in; other than 32 bits only where linear layers are dense.
    #[serde(default, skip_serializing_if = "Arithmetic::is_f32")]
    pub arithmetic: Arithmetic,
}

impl BlockConfig {
    /// The kind of the linear layers in the channel layer, with their arithmetic.
    pub fn linear_of_channel(&self) -> LinearKind {
        match self.arithmetic {
            Arithmetic::F32 => self.channel_linear.unwrap_or(self.linear),
            other => LinearKind::In(other),
        }
    }

    /// The kind of linear layers in the mixer, with their arithmetic.
    pub(super) fn kind(&self) -> LinearKind {
        match self.arithmetic {
            Arithmetic::F32 => self.linear,
            other => LinearKind::In(other),
        }
    }

    fn check_arithmetic(&self, place: &str) -> Result<(), ConfigError> {
        let (arithmetic, attention) = (self.arithmetic, matches!(self.mixer, MixerConfig::Attention(_)));
        let fine = arithmetic == Arithmetic::F32
            || self.linear == LinearKind::Dense
                && self.channel_linear.is_none_or(|linear| linear == LinearKind::Dense);
        let expected = "f32, as linear layers are not dense";
        ConfigError::unless(fine, place, "arithmetic", arithmetic, expected)?;
        let fine = attention || !matches!(arithmetic, Arithmetic::LMul { scope: Scope::Attention, .. });
        ConfigError::unless(fine, place, "arithmetic", arithmetic, "another, as the mixer is no attention")
    }
}

/// How many parameters a model has, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterCounts {
    /// In the embedding, with positions and the norm of the two where there are positions.
    pub embedding: usize,
    /// In the blocks, with what they share, and in the norm after them.
    pub blocks: usize,
    /// In the head and what is before it; without the embedding, if that is the head.
    pub head: usize,
    /// Of all these, those in the embedding's vectors and in matrices of linear layers: without gains, biases, positions, filters and
    /// lower bounds. It is what published sizes of models without products of matrices count.
    pub weights: usize,
}

impl ParameterCounts {
    /// All of them.
    pub fn total(&self) -> usize {
        self.embedding + self.blocks + self.head
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
            block.mixer.check(&format!("{place}.mixer"), width, context)?;
            block.channel.check(&format!("{place}.channel"))?;
            block.check_arithmetic(&place)?;
            for (key, kind, linears) in [
                ("linear", block.kind(), block.mixer.linears(width, block.kind())),
                (
                    if block.channel_linear.is_some() { "channel-linear" } else { "linear" },
                    block.linear_of_channel(),
                    block.channel.linears(width, block.linear_of_channel()),
                ),
            ] {
                check_divides(&format!("{place}.{key}"), kind, &linears)?;
            }
            let fine = self.frame == Frame::PreNorm || !block.mixer.is_causal();
            ConfigError::unless(fine, "", "frame", "monarch-bert", "mixers over both sides in all blocks")?;
        }
        let head = match self.head {
            LinearKind::Dense | LinearKind::In(_) => "dense",
            LinearKind::Ternary => "ternary",
            LinearKind::BlockDiagonal { .. } => "block-diagonal",
        };
        let fine = !self.tied || self.head == LinearKind::Dense;
        ConfigError::unless(fine, "", "head", head, "dense, as the tied head is the embedding")?;
        check_divides("head", self.head, &[self.head()])
    }

    /// Whether what the model says at a time depends on no later one, so that it can write texts.
    pub fn is_causal(&self) -> bool {
        self.blocks.iter().all(|block| block.repeat == 0 || block.mixer.is_causal())
    }

    /// The number of layers whose forget gates share lower bounds; one alone has none.
    pub(super) fn bounded_layers(&self) -> usize {
        let count = self.layers().filter(|block| block.mixer.has_lower_bound()).count();
        if count > 1 { count } else { 0 }
    }

    /// The number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.parameter_counts().total()
    }

    /// The number of weights and biases by their places.
    pub fn parameter_counts(&self) -> ParameterCounts {
        let width = self.width;
        let bert = self.frame == Frame::MonarchBert;
        let tokens = self.vocabulary * width;
        let positions = if bert { self.context * width + 2 * width } else { 0 };
        let mut counts = ParameterCounts {
            embedding: tokens + positions,
            blocks: self.bounded_layers() * width + if bert { 0 } else { width },
            head: if self.tied { 0 } else { self.head().parameters() },
            weights: tokens + if self.tied { 0 } else { self.head().weights() },
        };
        if bert {
            let dense = self.transform();
            counts.head += dense.parameters() + 2 * width + self.vocabulary;
            counts.weights += dense.weights();
        }
        for block in &self.blocks {
            let (mixer, channel) = (block.kind(), block.linear_of_channel());
            counts.blocks += block.repeat
                * (block.mixer.parameters(width, mixer)
                    + block.channel.parameters(width, channel)
                    + 2 * width);
            let linears = block.mixer.linears(width, mixer).into_iter();
            let linears = linears.chain(block.channel.linears(width, channel));
            counts.weights += block.repeat * linears.map(|linear| linear.weights()).sum::<usize>();
        }
        counts
    }
}

/// That the number of blocks divides the widths of linear layers of block-diagonal kind.
fn check_divides(place: &str, kind: LinearKind, linears: &[LinearConfig]) -> Result<(), ConfigError> {
    let LinearKind::BlockDiagonal { blocks } = kind else { return Ok(()) };
    let divides = |extent: usize| blocks > 0 && extent.is_multiple_of(blocks);
    for linear in linears.iter().filter(|linear| linear.kind == kind) {
        let expected = format!("a divisor of the widths {} and {}", linear.inputs, linear.outputs);
        let fine = divides(linear.inputs) && divides(linear.outputs);
        ConfigError::unless(fine, place, "block-diagonal.blocks", blocks, &expected)?;
    }
    Ok(())
}
