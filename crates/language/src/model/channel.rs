//! The axis of channel layers, which work on each time by itself.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_networks::sequence::linear::{LinearConfig, LinearKind};
use mathesis_networks::sequence::swiglu::{SwiGlu, SwiGluConfig};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Which channel layer, and its shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ChannelConfig {
    /// Gated by a sigmoid linear unit.
    #[serde(rename = "swiglu")]
    SwiGlu(SwiGluConfig),
}

impl ChannelConfig {
    /// What is wrong with it; keys are named with this beginning.
    pub(super) fn check(&self, place: &str) -> Result<(), ConfigError> {
        match self {
            ChannelConfig::SwiGlu(config) => {
                ConfigError::unless(config.hidden > 0, place, "hidden", config.hidden, "at least 1")
            }
        }
    }

    /// All its linear layers.
    pub(super) fn linears(&self, width: usize, kind: LinearKind) -> Vec<LinearConfig> {
        match self {
            ChannelConfig::SwiGlu(config) => config.linears(width, kind).to_vec(),
        }
    }

    /// The number of weights and biases.
    pub(super) fn parameters(&self, width: usize, kind: LinearKind) -> usize {
        self.linears(width, kind).iter().map(LinearConfig::parameters).sum()
    }
}

/// A channel layer.
#[derive(Module, Debug)]
pub(super) enum ChannelLayer {
    SwiGlu(SwiGlu),
}

impl ChannelLayer {
    pub fn new(
        config: &ChannelConfig,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> Self {
        match config {
            ChannelConfig::SwiGlu(config) => {
                ChannelLayer::SwiGlu(config.init(width, kind, deviation, random, device))
            }
        }
    }

    /// With packed weights where they are of few bits.
    pub fn packed(self) -> Result<Self, FormatError> {
        match self {
            ChannelLayer::SwiGlu(layer) => Ok(ChannelLayer::SwiGlu(layer.packed()?)),
        }
    }

    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        match self {
            ChannelLayer::SwiGlu(layer) => layer.forward(input),
        }
    }
}
