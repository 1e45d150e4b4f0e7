//! The axis of channel layers, which work on each time by itself.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_networks::sequence::geglu::{GeGlu, GeGluConfig};
use mathesis_networks::sequence::linear::{DenseStorage, LinearConfig, LinearKind};
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
    /// Gated by a Gaussian error linear unit.
    #[serde(rename = "geglu")]
    GeGlu(GeGluConfig),
}

impl ChannelConfig {
    /// What is wrong with it; keys are named with this beginning.
    pub(super) fn check(&self, place: &str) -> Result<(), ConfigError> {
        let hidden = |hidden: usize| ConfigError::unless(hidden > 0, place, "hidden", hidden, "at least 1");
        match self {
            ChannelConfig::SwiGlu(config) => {
                hidden(config.hidden)?;
                check_output_deviation(config.output_deviation, place)
            }
            ChannelConfig::GeGlu(config) => hidden(config.hidden),
        }
    }

    /// All its linear layers.
    pub(super) fn linears(&self, width: usize, kind: LinearKind) -> Vec<LinearConfig> {
        match self {
            ChannelConfig::SwiGlu(config) => config.linears(width, kind),
            ChannelConfig::GeGlu(config) => config.linears(width, kind).to_vec(),
        }
    }

    /// The number of weights and biases.
    pub(super) fn parameters(&self, width: usize, kind: LinearKind) -> usize {
        self.linears(width, kind).iter().map(LinearConfig::parameters).sum()
    }
}

/// A deviation of its own for the last layer must be one.
pub(super) fn check_output_deviation(deviation: Option<f64>, place: &str) -> Result<(), ConfigError> {
    match deviation {
        Some(deviation) => {
            let fine = deviation.is_finite() && deviation >= 0.0;
            ConfigError::unless(fine, place, "output-deviation", deviation, "a number of at least 0")
        }
        None => Ok(()),
    }
}

/// A channel layer.
// A model has few of these, and each holds matrices: boxes would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub(super) enum ChannelLayer {
    SwiGlu(SwiGlu),
    GeGlu(GeGlu),
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
            ChannelConfig::GeGlu(config) => {
                ChannelLayer::GeGlu(config.init(width, kind, deviation, random, device))
            }
        }
    }

    /// With packed weights where they are of few bits, and dense matrices as stated.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        match self {
            ChannelLayer::SwiGlu(layer) => Ok(ChannelLayer::SwiGlu(layer.packed(dense)?)),
            ChannelLayer::GeGlu(layer) => Ok(ChannelLayer::GeGlu(layer.packed(dense)?)),
        }
    }

    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        match self {
            ChannelLayer::SwiGlu(layer) => layer.forward(input),
            ChannelLayer::GeGlu(layer) => layer.forward(input),
        }
    }
}
