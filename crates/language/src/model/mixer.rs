//! The axis of mixers, through which times see each other.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::attention::{Attention, AttentionConfig, AttentionState, Surroundings};
use mathesis_networks::sequence::gated_linear_attention::{
    GatedLinearAttention, GatedLinearAttentionConfig, GatedLinearAttentionState,
};
use mathesis_networks::sequence::linear::{DenseStorage, LinearConfig, LinearKind};
use mathesis_networks::sequence::linear_gated_recurrent_unit::{
    LinearGatedRecurrentUnit, LinearGatedRecurrentUnitConfig, LinearGatedRecurrentUnitState, Variant,
};
use mathesis_networks::sequence::monarch_mixer::{MonarchMixer, MonarchMixerConfig, MonarchMixerState};
use mathesis_networks::sequence::rotary::{RotaryConfig, RotaryScaling};
use mathesis_networks::sequence::tensor_attention::{
    TensorAttention, TensorAttentionConfig, TensorAttentionState,
};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::channel::check_output_deviation;

/// Which mixer, and its shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MixerConfig {
    /// Attention with rotary position codes, causal or over both sides.
    Attention(AttentionConfig),
    /// Linear attention whose state decays by gates, and its relatives.
    GatedLinearAttention(GatedLinearAttentionConfig),
    /// A recurrence of each channel by itself, with a forget gate.
    LinearGatedRecurrentUnit(LinearGatedRecurrentUnitConfig),
    /// Gated convolutions as long as the row, causal or over both sides.
    Monarch(MonarchMixerConfig),
    /// Attention to pairs and longer tuples of tokens.
    TensorAttention(TensorAttentionConfig),
}

impl MixerConfig {
    /// Whether what it gives at a time depends on no later one.
    pub fn is_causal(&self) -> bool {
        match self {
            MixerConfig::Attention(config) => config.causal,
            MixerConfig::Monarch(config) => config.causal,
            _ => true,
        }
    }

    /// Whether its forget gates have a lower bound that grows with depth.
    pub(super) fn has_lower_bound(&self) -> bool {
        let released = |config: &LinearGatedRecurrentUnitConfig| config.variant == Variant::Released;
        matches!(self, MixerConfig::LinearGatedRecurrentUnit(config) if released(config))
    }

    /// What is wrong with it in a model for rows of `context` tokens; keys are named with this beginning.
    pub(super) fn check(&self, place: &str, width: usize, context: usize) -> Result<(), ConfigError> {
        match self {
            MixerConfig::Attention(config) => check_attention(config, place, width),
            MixerConfig::GatedLinearAttention(config) => config.check(width).map_err(|error| ConfigError {
                key: place.into(),
                value: "gated-linear-attention".into(),
                expected: format!("a shape that fits the width ({error})"),
            }),
            MixerConfig::LinearGatedRecurrentUnit(config) => {
                let epsilon = config.norm_epsilon;
                let fine = epsilon.is_finite() && epsilon >= 0.0;
                ConfigError::unless(fine, place, "norm-epsilon", epsilon, "a number of at least 0")?;
                check_output_deviation(config.output_deviation, place)
            }
            MixerConfig::Monarch(config) => check_monarch(config, place, context),
            MixerConfig::TensorAttention(config) => config.check().map_err(|error| ConfigError {
                key: place.into(),
                value: "tensor-attention".into(),
                expected: format!("a shape that can be computed ({error})"),
            }),
        }
    }

    /// All its linear layers.
    pub(super) fn linears(&self, width: usize, kind: LinearKind) -> Vec<LinearConfig> {
        match self {
            MixerConfig::Attention(config) => config.linears(width, kind).to_vec(),
            MixerConfig::GatedLinearAttention(config) => {
                let linears = config.linears(width, kind);
                let mut all = vec![linears.query, linears.key, linears.value, linears.output];
                all.extend(linears.gate);
                all.extend(linears.output_gate);
                all
            }
            MixerConfig::LinearGatedRecurrentUnit(config) => config.linears(width, kind).to_vec(),
            MixerConfig::Monarch(config) => config.linears(width, kind).to_vec(),
            MixerConfig::TensorAttention(config) => config.linears(width, kind).to_vec(),
        }
    }

    /// The number of weights and biases.
    pub(super) fn parameters(&self, width: usize, kind: LinearKind) -> usize {
        let beside = match self {
            MixerConfig::Attention(_) | MixerConfig::TensorAttention(_) => 0,
            MixerConfig::GatedLinearAttention(config) => config.parameters_beside_linears(width),
            MixerConfig::LinearGatedRecurrentUnit(config) => return config.parameters(width, kind),
            MixerConfig::Monarch(config) => return config.parameters(width, kind),
        };
        beside + self.linears(width, kind).iter().map(LinearConfig::parameters).sum::<usize>()
    }
}

fn check_attention(config: &AttentionConfig, place: &str, width: usize) -> Result<(), ConfigError> {
    let AttentionConfig { heads, window, causal, .. } = *config;
    let (groups, head_width) = (config.groups(), config.width_of_head(width));
    let unless = |fine, key: &str, value: String, expected: &str| {
        ConfigError::unless(fine, place, key, value, expected)
    };
    let divides = config.head_width.is_some() || heads > 0 && width.is_multiple_of(heads);
    unless(heads > 0 && divides, "heads", heads.to_string(), &format!("a divisor of the width, {width}"))?;
    let expected = format!("a divisor of the number of heads, {heads}");
    let divides = groups > 0 && heads.is_multiple_of(groups);
    unless(divides, "key-value-heads", groups.to_string(), &expected)?;
    let even = head_width > 0 && head_width.is_multiple_of(2);
    unless(even, "head-width", head_width.to_string(), "an even number")?;
    unless(window != Some(0), "window", "0".into(), "at least 1")?;
    let fine = causal || window.is_none();
    unless(fine, "window", window.unwrap_or(0).to_string(), "none, as attention is over both sides")?;
    check_rotary(&config.rotary, &format!("{place}.rotary"), head_width)
}

fn check_monarch(config: &MonarchMixerConfig, place: &str, context: usize) -> Result<(), ConfigError> {
    let MonarchMixerConfig { longest, filter, .. } = *config;
    let expected = format!("at least 2, and at least the context, {context}");
    ConfigError::unless(longest >= context.max(2), place, "longest", longest, &expected)?;
    let place = &format!("{place}.filter");
    ConfigError::unless(filter.bands > 0, place, "bands", filter.bands, "at least 1")?;
    ConfigError::unless(filter.order > 0, place, "order", filter.order, "at least 1")?;
    let fine = filter.frequency.is_finite();
    ConfigError::unless(fine, place, "frequency", filter.frequency, "a number")
}

fn check_rotary(rotary: &RotaryConfig, place: &str, head_width: usize) -> Result<(), ConfigError> {
    let RotaryConfig { theta, scaling } = *rotary;
    let positive = |key: &str, value: f64| {
        ConfigError::unless(value.is_finite() && value > 0.0, place, key, value, "a number above 0")
    };
    let whole =
        |context: usize| ConfigError::unless(context > 0, place, "scaling.context", context, "at least 1");
    ConfigError::unless(theta.is_finite() && theta > 1.0, place, "theta", theta, "a number above 1")?;
    match scaling {
        RotaryScaling::None => Ok(()),
        RotaryScaling::Linear { factor } => positive("scaling.factor", factor),
        RotaryScaling::Dynamic { factor, context } => {
            positive("scaling.factor", factor)?;
            whole(context)?;
            let expected = "of use for heads of width 4 and more";
            ConfigError::unless(head_width > 2, place, "scaling.kind", "dynamic", expected)
        }
        RotaryScaling::Llama3 { factor, low_turns, high_turns, context } => {
            positive("scaling.factor", factor)?;
            positive("scaling.low-turns", low_turns)?;
            let expected = format!("a number above low-turns, {low_turns}");
            let rises = high_turns.is_finite() && high_turns > low_turns;
            ConfigError::unless(rises, place, "scaling.high-turns", high_turns, &expected)?;
            whole(context)
        }
        RotaryScaling::Yarn { factor, context, fast_turns, slow_turns, attention_factor, .. } => {
            positive("scaling.factor", factor)?;
            positive("scaling.slow-turns", slow_turns)?;
            let expected = format!("a number of at least slow-turns, {slow_turns}");
            let rises = fast_turns.is_finite() && fast_turns >= slow_turns;
            ConfigError::unless(rises, place, "scaling.fast-turns", fast_turns, &expected)?;
            positive("scaling.attention-factor", attention_factor)?;
            whole(context)
        }
    }
}

/// A mixer.
// A model has few of these, and each holds matrices: boxes would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub(super) enum Mixer {
    Attention(Attention),
    GatedLinearAttention(GatedLinearAttention),
    LinearGatedRecurrentUnit(LinearGatedRecurrentUnit),
    Monarch(MonarchMixer),
    TensorAttention(TensorAttention),
}

/// The state of a mixer.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub(super) enum MixerState {
    Attention(AttentionState),
    GatedLinearAttention(GatedLinearAttentionState),
    LinearGatedRecurrentUnit(LinearGatedRecurrentUnitState),
    Monarch(MonarchMixerState),
    TensorAttention(TensorAttentionState),
}

/// What mixers of one pass have made that later ones use again.
#[derive(Default)]
pub(super) struct Prepared<'a> {
    surroundings: Vec<(&'a Attention, Surroundings)>,
}

impl Mixer {
    pub fn new(
        config: &MixerConfig,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> Self {
        match config {
            MixerConfig::Attention(config) => {
                Mixer::Attention(config.init(width, kind, deviation, random, device))
            }
            MixerConfig::GatedLinearAttention(config) => {
                Mixer::GatedLinearAttention(config.init(width, kind, deviation, random, device))
            }
            MixerConfig::LinearGatedRecurrentUnit(config) => {
                Mixer::LinearGatedRecurrentUnit(config.init(width, kind, deviation, random, device))
            }
            MixerConfig::Monarch(config) => {
                Mixer::Monarch(config.init(width, kind, deviation, random, device))
            }
            MixerConfig::TensorAttention(config) => {
                Mixer::TensorAttention(config.init(width, kind, deviation, random, device))
            }
        }
    }

    /// With packed weights where they are of few bits, and dense matrices as stated.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(match self {
            Mixer::Attention(layer) => Mixer::Attention(layer.packed(dense)?),
            Mixer::GatedLinearAttention(layer) => Mixer::GatedLinearAttention(layer.packed(dense)?),
            Mixer::LinearGatedRecurrentUnit(layer) => Mixer::LinearGatedRecurrentUnit(layer.packed(dense)?),
            Mixer::Monarch(layer) => Mixer::Monarch(layer.packed(dense)?),
            Mixer::TensorAttention(layer) => Mixer::TensorAttention(layer.packed(dense)?),
        })
    }

    /// `lower_bound` is that of the forget gates in this layer.
    pub fn forward<'a>(
        &'a self,
        input: Tensor<3>,
        lower_bound: Option<Tensor<1>>,
        documents: &Documents,
        prepared: &mut Prepared<'a>,
    ) -> Tensor<3> {
        match self {
            Mixer::Attention(layer) => {
                layer.forward_among(input, prepared.surroundings(layer, || layer.surroundings(documents)))
            }
            Mixer::GatedLinearAttention(layer) => layer.forward(input, documents),
            Mixer::LinearGatedRecurrentUnit(layer) => layer.forward(input, lower_bound, documents),
            Mixer::Monarch(layer) => layer.forward(input, documents),
            Mixer::TensorAttention(layer) => layer.forward(input, documents),
        }
    }

    pub fn state(&self, rows: usize, device: &Device) -> MixerState {
        match self {
            Mixer::Attention(layer) => MixerState::Attention(layer.state(rows, device)),
            Mixer::GatedLinearAttention(layer) => MixerState::GatedLinearAttention(layer.state(rows, device)),
            Mixer::LinearGatedRecurrentUnit(layer) => {
                MixerState::LinearGatedRecurrentUnit(layer.state(rows, device))
            }
            Mixer::Monarch(layer) => MixerState::Monarch(layer.state(rows, device)),
            Mixer::TensorAttention(layer) => MixerState::TensorAttention(layer.state(rows, device)),
        }
    }

    /// # Panics
    /// If the state is one of another kind of mixer.
    pub fn extend(
        &self,
        input: Tensor<3>,
        lower_bound: Option<Tensor<1>>,
        state: &mut MixerState,
    ) -> Tensor<3> {
        match (self, state) {
            (Mixer::Attention(layer), MixerState::Attention(state)) => layer.extend(input, state),
            (Mixer::GatedLinearAttention(layer), MixerState::GatedLinearAttention(state)) => {
                layer.extend(input, state)
            }
            (Mixer::LinearGatedRecurrentUnit(layer), MixerState::LinearGatedRecurrentUnit(state)) => {
                layer.extend(input, lower_bound, state)
            }
            (Mixer::Monarch(layer), MixerState::Monarch(state)) => layer.extend(input, state),
            (Mixer::TensorAttention(layer), MixerState::TensorAttention(state)) => layer.extend(input, state),
            _ => panic!("the state is that of another kind of mixer"),
        }
    }
}

impl MixerState {
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            MixerState::Attention(state) => MixerState::Attention(state.select(rows)),
            MixerState::GatedLinearAttention(state) => MixerState::GatedLinearAttention(state.select(rows)),
            MixerState::LinearGatedRecurrentUnit(state) => {
                MixerState::LinearGatedRecurrentUnit(state.select(rows))
            }
            MixerState::Monarch(state) => MixerState::Monarch(state.select(rows)),
            MixerState::TensorAttention(state) => MixerState::TensorAttention(state.select(rows)),
        }
    }

    /// States of one mixer.
    ///
    /// # Panics
    /// If there is none, or they are of different kinds.
    pub fn join(states: Vec<Self>) -> Self {
        /// All states as ones of the kind that the first one has.
        macro_rules! joined {
            ($kind:ident, $state:ident) => {{
                let of_kind = |state| match state {
                    MixerState::$kind(state) => state,
                    _ => panic!("states of different kinds of mixers"),
                };
                MixerState::$kind($state::join(states.into_iter().map(of_kind).collect()))
            }};
        }
        match states.first() {
            Some(MixerState::Attention(_)) => joined!(Attention, AttentionState),
            Some(MixerState::GatedLinearAttention(_)) => {
                joined!(GatedLinearAttention, GatedLinearAttentionState)
            }
            Some(MixerState::LinearGatedRecurrentUnit(_)) => {
                joined!(LinearGatedRecurrentUnit, LinearGatedRecurrentUnitState)
            }
            Some(MixerState::Monarch(_)) => joined!(Monarch, MonarchMixerState),
            Some(MixerState::TensorAttention(_)) => joined!(TensorAttention, TensorAttentionState),
            None => panic!("no states to join"),
        }
    }
}

impl<'a> Prepared<'a> {
    fn surroundings(&mut self, layer: &'a Attention, make: impl FnOnce() -> Surroundings) -> &Surroundings {
        let known = self.surroundings.iter().position(|(other, _)| layer.has_surroundings_of(other));
        let place = known.unwrap_or_else(|| {
            self.surroundings.push((layer, make()));
            self.surroundings.len() - 1
        });
        &self.surroundings[place].1
    }
}
