//! Gated linear attention: the function on tensors, and the layer. Yang et al. (ICML 2024), section 4; the kernel and its equations are
//! in [`mathesis_algebra::gated_linear_attention`].
//!
//! The layer, for inputs x of width d and H heads with K key and V value channels each:
//! ```text
//! q = x W_q    k = x W_k    v = x W_v    g = ln σ(x W_α1 W_α2 + b_α) / 16
//! o' = RMSNorm(attention(q, k, v, g)) ∘ SiLU(x W_r)      y = o' W_o
//! ```
//! as its public code has it; the paper writes LayerNorm and a bias in the output gate. Optionally queries, keys and values pass a
//! [short convolution](super::short_convolution) and SiLU, as an option of that code has it. With another [`Gate`] it is a relative that is
//! compared with it: one gate for a head, the fixed decay of a retention network (Sun et al. 2023, without its rotation of queries and
//! keys), or no gate at all.

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::activation::{log_sigmoid, relu, silu};
use burn::tensor::{Device, Tensor, TensorData, s};
use mathesis_algebra::gated_linear_attention::{self as kernel, Form, Operands};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::Real;
use serde::{Deserialize, Serialize};

use super::Documents;
use super::blocks::{Blocks, indices};
use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind, normal};
use super::linear_gated_recurrent_unit::composed_recurrence;
use super::rms_norm::RmsNorm;
use super::short_convolution::{extend_short_convolution, short_convolution};
use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_five};

/// Gated linear attention on tensors: queries, keys and log gates `[batch, time, heads, K]`, values `[batch, time, heads, V]`, and the
/// state before each document `[documents, heads, K, V]`, zero if there is none. Gives the output `[batch, time, heads, V]` and the
/// state after each document; both can be differentiated.
///
/// Where a gate is above one (its log above zero), or a number is not finite, everything becomes NaN; the composition does not refuse
/// gates above one.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn gated_linear_attention(
    [queries, keys, log_gates]: [Tensor<4>; 3],
    values: Tensor<4>,
    state: Option<Tensor<4>>,
    documents: &Documents,
    scale: f64,
) -> (Tensor<4>, Tensor<4>) {
    let [batch, time, heads, key] = queries.dims();
    let value = values.dims()[3];
    assert_eq!(keys.dims(), [batch, time, heads, key], "keys of gated linear attention");
    assert_eq!(log_gates.dims(), [batch, time, heads, key], "log gates of gated linear attention");
    assert_eq!(values.dims(), [batch, time, heads, value], "values of gated linear attention");
    assert_eq!(documents.shape(), [batch, time], "documents of gated linear attention");
    let lengths = document_lengths(documents);
    let states = [lengths.len(), heads, key, value];
    let state = state.unwrap_or_else(|| Tensor::zeros(states, (&queries.device(), queries.dtype())));
    assert_eq!(state.dims(), states, "states of gated linear attention");
    let operation = Attention { lengths, scale };
    let operands = [queries, keys, values, log_gates, state].map(Tensor::into_dispatch);
    let packed: Tensor<1> = apply_to_five(operation, operands);
    let outputs = batch * time * heads * value;
    let all = packed.dims()[0];
    let output = packed.clone().slice(s![0..outputs]).reshape([batch, time, heads, value]);
    (output, packed.slice(s![outputs..all]).reshape(states))
}

/// The tokens of every document, row after row.
pub(super) fn document_lengths(documents: &Documents) -> Vec<usize> {
    let [batch, time] = documents.shape();
    let mut lengths = Vec::with_capacity(batch);
    for row in 0..batch {
        let starts = documents.starts(row);
        let ends = starts[1..].iter().copied().chain([time]);
        lengths.extend(starts.iter().zip(ends).map(|(start, end)| end - start));
    }
    lengths
}

/// Output and final states in one array, so that both have their place in one step of the derivative.
#[derive(Clone, Debug)]
struct Attention {
    lengths: Vec<usize>,
    scale: f64,
}

impl Attention {
    fn operands<'a, T: Real>(&'a self, [q, k, v, g, state]: [Array<'a, T>; 5]) -> Operands<'a, T> {
        Operands {
            heads: q.shape[2],
            key_channels: q.shape[3],
            value_channels: v.shape[3],
            lengths: &self.lengths,
            queries: q.values,
            keys: k.values,
            values: v.values,
            log_gates: g.values,
            scale: T::literal(self.scale),
            initial_state: Some(state.values),
        }
    }

    fn form(&self) -> Form {
        Form::fast(self.lengths.iter().copied().max().unwrap_or(0))
    }
}

impl SliceOperation<5> for Attention {
    fn forward<T: Real>(&self, operands: [Array<'_, T>; 5]) -> (Vec<T>, Vec<usize>) {
        let [_, _, v, _, state] = operands;
        let length = v.values.len() + state.values.len();
        let packed = match kernel::forward(&self.operands(operands), self.form()) {
            Ok(mut outputs) => {
                outputs.output.extend_from_slice(&outputs.final_state);
                outputs.output
            }
            Err(_) => vec![T::nan(); length],
        };
        (packed, vec![length])
    }

    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; 5],
        _: Array<'_, T>,
        gradient: &[T],
        _: [bool; 5],
    ) -> ArrayGradients<T, 5> {
        let (output, state) = gradient.split_at(operands[2].values.len());
        let state = state.iter().any(|x| *x != T::zero()).then_some(state);
        match kernel::backward(&self.operands(operands), output, state, self.form()) {
            Ok(g) => [g.queries, g.keys, g.values, g.log_gates, g.initial_state].map(Some),
            Err(_) => operands.map(|operand| Some(vec![T::nan(); operand.values.len()])),
        }
    }

    /// By blocks: pairs of tokens within one, and between them the recurrence of the states. Log gates are summed anew from every token
    /// on, so that no exponential is of a difference, and none is above one.
    fn composition<const D: usize>(&self, [q, k, v, g, state]: [DispatchTensor; 5]) -> Tensor<D> {
        let [q, k, v, g, state] = [q, k, v, g, state].map(Tensor::<4>::from_dispatch);
        let [batch, time, heads, key] = q.dims();
        let (value, device, dtype) = (v.dims()[3], v.device(), v.dtype());
        let documents = self.lengths.len();
        let blocks = Blocks::new(&self.lengths, BLOCK);
        let count = blocks.count();
        if count == 0 {
            return Tensor::from_dispatch(state.reshape([documents * heads * key * value]).into_dispatch());
        }
        let cut = |tokens: Tensor<4>| {
            let channels = tokens.dims()[3];
            let cut = blocks.cut(tokens.reshape([batch * time, heads * channels]));
            cut.reshape([count, BLOCK, heads, channels])
        };
        let [q, k, v, g] = [q, k, v, g.clamp_min(FORGOTTEN)].map(cut);
        let constant = |numbers: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(numbers, shape), (&device, dtype))
        };
        let heads_first = |tensor: Tensor<4>| tensor.swap_dims(1, 2);

        // [blocks, from, to, channels]: what is left, at a token, of the block's start, and of each token before.
        let places = (0..=BLOCK).flat_map(|from| (0..BLOCK).map(move |to| f32::from(u8::from(to >= from))));
        let summed = constant(places.collect(), [1, BLOCK + 1, BLOCK, 1]);
        let g = g.reshape([count, 1, BLOCK, heads * key]);
        let left = (g * summed).cumsum(2).exp();
        let at_end = left.clone().narrow(2, BLOCK - 1, 1);
        let from_start = left.clone().narrow(1, 0, 1).reshape([count, BLOCK, heads, key]);
        let to_end = at_end.clone().narrow(1, 1, BLOCK).reshape([count, BLOCK, heads, key]);
        let between = left.narrow(1, 1, BLOCK).reshape([count, BLOCK, BLOCK, heads, key]);

        let pairs = q.clone().unsqueeze_dim::<5>(1) * k.clone().unsqueeze_dim(2) * between;
        // The axes are put in order before the sum: after it, burn's wgpu backend (0.22.1) gets the derivative wrong.
        let scores = pairs.permute([0, 3, 2, 1, 4]).sum_dim(4).reshape([count, heads, BLOCK, BLOCK]);
        let seen = (0..BLOCK).flat_map(|to| (0..BLOCK).map(move |from| f32::from(u8::from(from <= to))));
        let scores = scores * constant(seen.collect(), [1, 1, BLOCK, BLOCK]);
        let within = scores.matmul(heads_first(v.clone()));

        let added = heads_first(k * to_end).swap_dims(2, 3).matmul(heads_first(v));
        let decays = at_end.narrow(1, 0, 1).reshape([count, heads * key, 1]);
        let [state, added] = [(state, documents), (added, count)]
            .map(|(states, count)| states.reshape([count, heads * key, value]));
        let states = composed_recurrence(decays, added, state.clone(), blocks.of_documents());
        let states = Tensor::cat(vec![state, states], 0);
        // Where among these, those before documents and those after blocks, are those before each block and after each document.
        let (mut before, mut after, mut next) = (Vec::new(), Vec::new(), documents);
        for (document, &count) in blocks.of_documents().iter().enumerate() {
            before.extend((0..count).map(|block| if block == 0 { document } else { next + block - 1 }));
            after.push(if count == 0 { document } else { next + count - 1 });
            next += count;
        }
        let before = states.clone().select(0, indices(&before, &device)).reshape([count, heads, key, value]);
        let after = states.select(0, indices(&after, &device)).reshape([documents * heads * key * value]);
        let output = (within + heads_first(q * from_start).matmul(before)) * self.scale;
        let output = blocks.join(heads_first(output).reshape([count, BLOCK, heads * value]));
        let output = output.reshape([batch * time * heads * value]);
        Tensor::from_dispatch(Tensor::cat(vec![output, after], 0).into_dispatch())
    }
}

/// Tokens of a block of the composition: as many as make the pairs within blocks and the states between them about equally many numbers.
const BLOCK: usize = 16;
/// A log gate whose exponential is zero in double precision.
const FORGOTTEN: f64 = -1000.0;

/// What decays the state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Gate {
    /// A gate for every key channel, from the input through a bottleneck: `ln σ(x W_α1 W_α2 + b) / normaliser`.
    Channel {
        /// Width of the bottleneck.
        rank: usize,
        /// The normaliser τ.
        normaliser: f64,
    },
    /// A gate for every head, from the input: `ln σ(x W + b) / normaliser`.
    Head {
        /// The normaliser τ.
        normaliser: f64,
    },
    /// The decay `1 − 2^{−5−h}` of head h = 0, 1, ..., whatever the input.
    Fixed,
    /// No decay.
    None,
}

/// What is done to queries and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureMap {
    /// Nothing.
    #[default]
    Identity,
    /// Negative numbers become zero.
    Rectifier,
}

/// The layer's shape. The defaults are those of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GatedLinearAttentionConfig {
    /// Heads (4).
    pub heads: usize,
    /// Heads of keys, values and gates, a divisor of `heads`; as many as those if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_heads: Option<usize>,
    /// Key channels of all heads together, over the width (1/2).
    pub expand_key: f64,
    /// Value channels of all heads together, over the width (1).
    pub expand_value: f64,
    /// What decays the state (a gate for each channel, rank 16, τ = 16).
    pub gate: Gate,
    /// Taps of a convolution that queries, keys and values pass, each its own, before SiLU; none if not given, as in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_convolution: Option<usize>,
    /// What is done to queries and keys (nothing).
    pub feature_map: FeatureMap,
    /// Whether the output passes a gate (it does).
    pub output_gate: bool,
    /// The ε of the norm of each head's output (1e-5).
    pub norm_epsilon: f64,
}

impl Default for GatedLinearAttentionConfig {
    fn default() -> Self {
        GatedLinearAttentionConfig {
            heads: 4,
            key_heads: None,
            expand_key: 0.5,
            expand_value: 1.0,
            gate: Gate::Channel { rank: 16, normaliser: 16.0 },
            short_convolution: None,
            feature_map: FeatureMap::Identity,
            output_gate: true,
            norm_epsilon: 1e-5,
        }
    }
}

/// More taps than this are no short convolution.
const MOST_TAPS: usize = 64;

/// Why a configuration is none of a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gated linear attention: {0}")]
pub struct GatedLinearAttentionError(String);

/// All linear layers of gated linear attention.
#[derive(Clone, Debug, PartialEq)]
pub struct GatedLinearAttentionLinears {
    /// Of the queries.
    pub query: LinearConfig,
    /// Of the keys.
    pub key: LinearConfig,
    /// Of the values.
    pub value: LinearConfig,
    /// Of the gates, one after the other; the last has a bias.
    pub gate: Vec<LinearConfig>,
    /// Of the output's gate.
    pub output_gate: Option<LinearConfig>,
    /// Of the output.
    pub output: LinearConfig,
}

impl GatedLinearAttentionConfig {
    /// Heads of keys, values and gates.
    pub fn groups(&self) -> usize {
        self.key_heads.unwrap_or(self.heads)
    }

    /// Channels of a key and of a value of one head, in a model of the given width.
    pub fn channels(&self, width: usize) -> [usize; 2] {
        let heads = self.heads.max(1) as f64;
        [self.expand_key, self.expand_value].map(|expand| (width as f64 * expand / heads) as usize)
    }

    /// That the shape is one of a layer for inputs of the given width.
    ///
    /// # Errors
    /// If channels cannot be shared out evenly to heads, an extent is zero, a convolution has none or more than 64 taps, or a normaliser is
    /// not positive.
    pub fn check(&self, width: usize) -> Result<(), GatedLinearAttentionError> {
        let fail = |message: String| Err(GatedLinearAttentionError(message));
        if width == 0 || self.heads == 0 {
            return fail(format!("width {width} and {} heads: at least 1 is expected", self.heads));
        }
        for (what, expand) in [("expand-key", self.expand_key), ("expand-value", self.expand_value)] {
            let channels = width as f64 * expand;
            let whole = channels >= 1.0 && channels.fract() == 0.0;
            if !whole || !(channels as usize).is_multiple_of(self.heads) {
                return fail(format!(
                    "{what} {expand} of the width {width} is no multiple of {} heads",
                    self.heads
                ));
            }
        }
        if self.groups() == 0 || !self.heads.is_multiple_of(self.groups()) {
            return fail(format!("{} key heads do not divide {} heads", self.groups(), self.heads));
        }
        if let Some(taps) = self.short_convolution.filter(|taps| !(1..=MOST_TAPS).contains(taps)) {
            return fail(format!("a short convolution of {taps} taps: 1 to {MOST_TAPS} are expected"));
        }
        match self.gate {
            Gate::Channel { rank: 0, .. } => fail("a gate of rank 0: at least 1 is expected".into()),
            Gate::Channel { normaliser, .. } | Gate::Head { normaliser }
                if normaliser.is_nan() || normaliser <= 0.0 =>
            {
                fail(format!("the gate's normaliser is {normaliser}: a positive number is expected"))
            }
            _ => Ok(()),
        }
    }

    /// The linear layers for inputs of the given width. Those of the gates are dense whatever the kind: they are a hundredth of
    /// the weights.
    pub fn linears(&self, width: usize, kind: LinearKind) -> GatedLinearAttentionLinears {
        let [key, value] = self.channels(width);
        let (heads, groups) = (self.heads, self.groups());
        let linear = |inputs, outputs| LinearConfig { inputs, outputs, bias: false, kind };
        let gate = |inputs, outputs, bias| LinearConfig { inputs, outputs, bias, kind: LinearKind::Dense };
        GatedLinearAttentionLinears {
            query: linear(width, heads * key),
            key: linear(width, groups * key),
            value: linear(width, groups * value),
            gate: match self.gate {
                Gate::Channel { rank, .. } => {
                    vec![gate(width, rank, false), gate(rank, groups * key, true)]
                }
                Gate::Head { .. } => vec![gate(width, groups, true)],
                Gate::Fixed | Gate::None => vec![],
            },
            output_gate: self.output_gate.then(|| linear(width, heads * value)),
            output: linear(heads * value, width),
        }
    }

    /// The number of weights that are not those of [linear layers](Self::linears): gains of the norm and taps of the short convolution.
    pub fn parameters_beside_linears(&self, width: usize) -> usize {
        let ([key, value], groups) = (self.channels(width), self.groups());
        let convolved = self.heads * key + groups * (key + value);
        value + self.short_convolution.map_or(0, |taps| taps * convolved)
    }

    /// A layer for inputs of the given width, with random weights of the given standard deviation (the paper: 0.02).
    ///
    /// # Panics
    /// If [`Self::check`] fails.
    pub fn init(
        &self,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> GatedLinearAttention {
        if let Err(error) = self.check(width) {
            panic!("{error}");
        }
        let [key_channels, value_channels] = self.channels(width);
        let linears = self.linears(width, kind);
        let short = self.short_convolution.map_or(vec![], |taps| {
            let channels = [&linears.query, &linears.key, &linears.value].map(|linear| linear.outputs);
            // The standard deviation of uniform numbers up to 1/√taps, as usual for convolutions.
            let deviation = (3.0 * taps as f64).sqrt().recip();
            channels.map(|channels| normal([taps, channels], deviation, random, device)).to_vec()
        });
        let mut linear = |config: &LinearConfig| config.init(deviation, random, device);
        GatedLinearAttention {
            short,
            query: linear(&linears.query),
            key: linear(&linears.key),
            value: linear(&linears.value),
            gate: linears.gate.iter().map(&mut linear).collect(),
            norm: RmsNorm::new(value_channels, self.norm_epsilon, device),
            output_gate: linears.output_gate.as_ref().map(&mut linear),
            output: linear(&linears.output),
            key_channels,
            value_channels,
            config: *self,
        }
    }
}

/// The layer.
#[derive(Module, Debug)]
pub struct GatedLinearAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    gate: Vec<Linear>,
    /// Taps `[K, channels]` of queries, keys and values, if there is a short convolution.
    short: Vec<Param<Tensor<2>>>,
    norm: RmsNorm,
    output_gate: Option<Linear>,
    output: Linear,
    key_channels: usize,
    value_channels: usize,
    #[module(skip)]
    config: GatedLinearAttentionConfig,
}

/// What the layer remembers of the tokens so far: its size does not depend on their number.
#[derive(Clone, Debug)]
pub struct GatedLinearAttentionState {
    /// The states of the heads, `[batch, heads, K, V]`.
    pub heads: Tensor<4>,
    /// With a short convolution the last queries, keys and values before it, `[batch, taps - 1, channels]`.
    recent: Vec<Tensor<3>>,
}

impl GatedLinearAttentionState {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.heads.dims()[0]
    }

    /// These rows of the state, in this order; a row may be taken more than once.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        let recent = self.recent.iter().map(|recent| select_rows(recent, rows)).collect();
        GatedLinearAttentionState { heads: select_rows(&self.heads, rows), recent }
    }

    /// The rows of several states.
    pub fn join(states: Vec<Self>) -> Self {
        let count = states.first().map_or(0, |state| state.recent.len());
        let recent = |k: usize| Tensor::cat(states.iter().map(|state| state.recent[k].clone()).collect(), 0);
        GatedLinearAttentionState {
            recent: (0..count).map(recent).collect(),
            heads: Tensor::cat(states.into_iter().map(|state| state.heads).collect(), 0),
        }
    }

    /// The same state, through which no gradient flows back: for training on segments of long documents.
    pub fn detached(self) -> Self {
        let recent = self.recent.into_iter().map(Tensor::detach).collect();
        GatedLinearAttentionState { heads: self.heads.detach(), recent }
    }
}

impl GatedLinearAttention {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(GatedLinearAttention {
            query: self.query.packed(dense)?,
            key: self.key.packed(dense)?,
            value: self.value.packed(dense)?,
            output_gate: self.output_gate.map(|linear| linear.packed(dense)).transpose()?,
            output: self.output.packed(dense)?,
            ..self
        })
    }

    /// The configuration.
    pub fn config(&self) -> &GatedLinearAttentionConfig {
        &self.config
    }

    /// The output for all tokens, `[batch, time, width]` for the same.
    ///
    /// # Panics
    /// If `documents` are of another shape than the input.
    pub fn forward(&self, input: Tensor<3>, documents: &Documents) -> Tensor<3> {
        let projected = self.projections(&input);
        let convolved =
            self.convolved(projected, |_, channels, taps| short_convolution(channels, taps, documents));
        self.mix(input, convolved, None, documents).0
    }

    /// The state before the first token.
    pub fn state(&self, batch: usize, device: &Device) -> GatedLinearAttentionState {
        let shape = [batch, self.config.heads, self.key_channels, self.value_channels];
        let dtype = self.norm.weight.val().dtype();
        let recent = self.short.iter().map(|taps| {
            let [taps, channels] = taps.shape().dims();
            Tensor::zeros([batch, taps - 1, channels], (device, dtype))
        });
        GatedLinearAttentionState { heads: Tensor::zeros(shape, (device, dtype)), recent: recent.collect() }
    }

    /// The output for the next tokens of one document for each row, one or many.
    pub fn extend(&self, input: Tensor<3>, state: &mut GatedLinearAttentionState) -> Tensor<3> {
        let [batch, time, _] = input.dims();
        if time == 0 {
            return input;
        }
        let projected = self.projections(&input);
        let convolved = self.convolved(projected, |number, channels, taps| {
            let recent = state.recent[number].clone();
            let (output, recent) = extend_short_convolution(channels, taps, recent);
            state.recent[number] = recent;
            output
        });
        let documents = Documents::whole(batch, time);
        let (output, heads) = self.mix(input, convolved, Some(state.heads.clone()), &documents);
        state.heads = heads;
        output
    }

    /// Queries, keys and values before anything is done to them.
    fn projections(&self, input: &Tensor<3>) -> [Tensor<3>; 3] {
        [&self.query, &self.key, &self.value].map(|linear| linear.forward(input.clone()))
    }

    /// The same after a convolution of each, by its number, and SiLU, if the layer has one.
    fn convolved(
        &self,
        projected: [Tensor<3>; 3],
        mut convolution: impl FnMut(usize, Tensor<3>, Tensor<2>) -> Tensor<3>,
    ) -> [Tensor<3>; 3] {
        if self.short.is_empty() {
            return projected;
        }
        let [queries, keys, values] = projected;
        [(0, queries), (1, keys), (2, values)]
            .map(|(number, channels)| silu(convolution(number, channels, self.short[number].val())))
    }

    fn mix(
        &self,
        input: Tensor<3>,
        [queries, keys, values]: [Tensor<3>; 3],
        state: Option<Tensor<4>>,
        documents: &Documents,
    ) -> (Tensor<3>, Tensor<4>) {
        let [batch, time, _] = input.dims();
        let (heads, key, value) = (self.config.heads, self.key_channels, self.value_channels);
        let map = |features: Tensor<4>| match self.config.feature_map {
            FeatureMap::Identity => features,
            FeatureMap::Rectifier => relu(features),
        };
        let queries = map(queries.reshape([batch, time, heads, key]));
        let keys = map(self.shared(keys, key));
        let values = self.shared(values, value);
        let log_gates = self.log_gates(input.clone(), key);
        let scale = (key as f64).powf(-0.5);
        let (mixed, state) =
            gated_linear_attention([queries, keys, log_gates], values, state, documents, scale);
        let mut output = self.norm.forward(mixed).reshape([batch, time, heads * value]);
        if let Some(gate) = &self.output_gate {
            output = output * silu(gate.forward(input));
        }
        (self.output.forward(output), state)
    }

    /// `[batch, time, key heads · channels]` as `[batch, time, heads, channels]`: each key head serves as many heads as follow each
    /// other.
    fn shared(&self, projected: Tensor<3>, channels: usize) -> Tensor<4> {
        let [batch, time, _] = projected.dims();
        let heads = self.config.heads;
        let groups = self.config.groups();
        if groups == heads {
            return projected.reshape([batch, time, heads, channels]);
        }
        let group = heads / groups;
        let apart = projected.reshape([batch, time, groups, 1, channels]);
        apart.expand([batch, time, groups, group, channels]).reshape([batch, time, heads, channels])
    }

    fn log_gates(&self, input: Tensor<3>, key: usize) -> Tensor<4> {
        let [batch, time, _] = input.dims();
        let heads = self.config.heads;
        let shape = [batch, time, heads, key];
        let (device, dtype) = (input.device(), input.dtype());
        let fixed = |decays: Vec<f64>| {
            let decays = Tensor::<4>::from_data(TensorData::new(decays, [1, 1, heads, 1]), (&device, dtype));
            decays.expand(shape)
        };
        let raw = self.gate.iter().fold(input, |input, linear| linear.forward(input));
        match self.config.gate {
            Gate::Channel { normaliser, .. } => self.shared(log_sigmoid(raw) / normaliser, key),
            Gate::Head { normaliser } => self.shared(log_sigmoid(raw) / normaliser, 1).expand(shape),
            Gate::Fixed => fixed((0..heads).map(|head| (-(2_f64.powi(-5 - head as i32))).ln_1p()).collect()),
            Gate::None => fixed(vec![0.0; heads]),
        }
    }
}

/// These rows of a state.
pub(super) fn select_rows<const D: usize>(state: &Tensor<D>, rows: &[usize]) -> Tensor<D> {
    state.clone().select(0, indices(rows, &state.device()))
}

#[cfg(test)]
mod tests;
