//! Linear gated recurrent units: a mixer with a forget gate for every channel and no product of matrices along the sequence.
//!
//! Qin et al., "Hierarchically Gated Recurrent Neural Network for Sequence Modeling" (NeurIPS 2023), simplified by Zhu et al., "Scalable
//! MatMul-free Language Modeling" (2024), whose linear layers are ternary. For inputs x, with σ the logistic function and SiLU(z) = z σ(z),
//! the [`Variant::Paper`] has
//! ```text
//! f = σ(x W_f)    c = SiLU(x W_c)    g = σ(x W_g)    h_t = f_t ∘ h_{t−1} + (1 − f_t) ∘ c_t    y = (g ∘ h) W_o
//! ```
//! and the [`Variant::Released`], as the public code computes it, a lower bound b of the forget gate that grows with depth, and the
//! projection for the gate normed where the state passes SiLU:
//! ```text
//! f ← b + (1 − b) f    y = (RMSNorm(x W_g) ∘ SiLU(h)) W_o
//! ```

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::activation::{sigmoid, silu, softmax};
use burn::tensor::{Device, IndexingUpdateOp, Tensor, TensorData};
use mathesis_algebra::linear_recurrence::{self as kernel, Form, Recurrence};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::Real;
use serde::{Deserialize, Serialize};

use super::Documents;
use super::blocks::indices;
use super::gated_linear_attention::{document_lengths, select_rows};
use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind};
use super::rms_norm::RmsNorm;
use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_three};

/// Step by step, so that rows that are read at once have the states, bit by bit, of rows that are read token by token: ternary layers round
/// them to 8 bits, where the last bit of a state may decide. Chunks would pass over the memory twice, which is what the time goes into.
const FORM: Form = Form::Stepwise;

/// `h_t = f_t h_{t−1} + i_t` for decays and inputs `[batch, time, channels]`, from the states before the documents `[documents, channels]`,
/// zero if there are none; all three can be differentiated.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn linear_recurrence(
    decays: Tensor<3>,
    inputs: Tensor<3>,
    state: Option<Tensor<2>>,
    documents: &Documents,
) -> Tensor<3> {
    let [batch, time, channels] = inputs.dims();
    assert_eq!(decays.dims(), [batch, time, channels], "decays of a recurrence");
    assert_eq!(documents.shape(), [batch, time], "documents of a recurrence");
    let lengths = document_lengths(documents);
    let states = [lengths.len(), channels];
    let state = state.unwrap_or_else(|| Tensor::zeros(states, (&inputs.device(), inputs.dtype())));
    assert_eq!(state.dims(), states, "states of a recurrence");
    let operands = [decays.into_dispatch(), inputs.into_dispatch(), state.into_dispatch()];
    apply_to_three(Scan { lengths }, operands)
}

#[derive(Clone, Debug)]
struct Scan {
    lengths: Vec<usize>,
}

impl Scan {
    fn recurrence<'a, T>(&'a self, [decays, inputs, state]: [Array<'a, T>; 3]) -> Recurrence<'a, T> {
        Recurrence {
            channels: inputs.shape[2],
            lengths: &self.lengths,
            decays: decays.values,
            inputs: inputs.values,
            initial_state: Some(state.values),
        }
    }
}

impl SliceOperation<3> for Scan {
    fn forward<T: Real>(&self, operands: [Array<'_, T>; 3]) -> (Vec<T>, Vec<usize>) {
        let states = kernel::forward(&self.recurrence(operands), FORM);
        (states.expect("operands of the shapes that were asserted"), operands[1].shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; 3],
        states: Array<'_, T>,
        gradient: &[T],
        _: [bool; 3],
    ) -> ArrayGradients<T, 3> {
        let recurrence = self.recurrence(operands);
        let of = kernel::backward(&recurrence, states.values, gradient, FORM)
            .expect("operands of the shapes that were asserted");
        [of.decays, of.inputs, of.initial_state].map(Some)
    }

    fn composition<const D: usize>(&self, [decays, inputs, state]: [DispatchTensor; 3]) -> Tensor<D> {
        let inputs = Tensor::<3>::from_dispatch(inputs);
        let (shape, channels) = (inputs.dims(), inputs.dims()[2]);
        let rows = |rows: Tensor<3>| rows.reshape([shape[0] * shape[1], channels, 1]);
        let decays = rows(Tensor::from_dispatch(decays));
        let state = Tensor::<2>::from_dispatch(state).unsqueeze_dim(2);
        let states = composed_recurrence(decays, rows(inputs), state, &self.lengths);
        Tensor::from_dispatch(states.reshape(shape).into_dispatch())
    }
}

/// `h_t = f_t h_{t−1} + i_t` in burn's operations, for decays `[tokens, channels, 1]` and inputs `[tokens, channels, width]` of documents
/// that follow each other, and the states before each, `[documents, channels, width]`.
///
/// A step is the pair `(f, i)`, two that follow each other are one, `(f₂ f₁, i₂ + f₂ i₁)`, and the pairs of 1, 2, 4, … steps are
/// made one from the other: Hillis and Steele, "Data Parallel Algorithms" (1986).
pub(super) fn composed_recurrence(
    decays: Tensor<3>,
    inputs: Tensor<3>,
    state: Tensor<3>,
    lengths: &[usize],
) -> Tensor<3> {
    let (tokens, device) = (inputs.dims()[0], inputs.device());
    if tokens == 0 {
        return inputs;
    }
    // A document's first step takes its state in and nothing of what is before.
    let (mut documents, mut starts, mut start) = (Vec::new(), Vec::new(), 0);
    for (document, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        documents.push(document);
        starts.push(start);
        start += length;
    }
    let mut going_on = vec![1.0_f32; tokens];
    starts.iter().for_each(|&start| going_on[start] = 0.0);
    let going_on = TensorData::new(going_on, [tokens, 1, 1]);
    let going_on = Tensor::<3>::from_data(going_on, (&device, decays.dtype()));
    let (documents, starts) = (indices(&documents, &device), indices(&starts, &device));
    let first = decays.clone().select(0, starts.clone()) * state.select(0, documents);
    let mut inputs = inputs.select_assign(0, starts, first, IndexingUpdateOp::Add);
    let mut decays = decays * going_on;

    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut steps = 1;
    while steps < longest {
        inputs = inputs.clone() + decays.clone() * delayed(inputs, steps);
        // Those of the last round are of no use.
        if 2 * steps < longest {
            decays = decays.clone() * delayed(decays, steps);
        }
        steps *= 2;
    }
    inputs
}

/// What was so many times before, zeros where nothing was.
fn delayed(times: Tensor<3>, by: usize) -> Tensor<3> {
    let [count, channels, width] = times.dims();
    let nothing = Tensor::zeros([by, channels, width], (&times.device(), times.dtype()));
    Tensor::cat(vec![nothing, times.narrow(0, 0, count - by)], 0)
}

/// Which equations the layer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Those of the public code.
    #[default]
    Released,
    /// Those of the paper.
    Paper,
}

/// The layer's shape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LinearGatedRecurrentUnitConfig {
    /// Which equations.
    pub variant: Variant,
    /// The ε of the norm of the gate's projection (1e-6).
    pub norm_epsilon: f64,
    /// The standard deviation of the output layer's random weights, if it is another than that of the others; the published program
    /// divides it by `√(2 layers)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_deviation: Option<f64>,
}

impl Default for LinearGatedRecurrentUnitConfig {
    fn default() -> Self {
        LinearGatedRecurrentUnitConfig {
            variant: Variant::Released,
            norm_epsilon: 1e-6,
            output_deviation: None,
        }
    }
}

impl LinearGatedRecurrentUnitConfig {
    /// The four linear layers, all alike: input, forget gate, gate and output.
    pub fn linears(&self, width: usize, kind: LinearKind) -> [LinearConfig; 4] {
        [LinearConfig { inputs: width, outputs: width, bias: false, kind }; 4]
    }

    /// The number of weights and gains.
    pub fn parameters(&self, width: usize, kind: LinearKind) -> usize {
        let gains = if self.variant == Variant::Released { width } else { 0 };
        gains + self.linears(width, kind).iter().map(LinearConfig::parameters).sum::<usize>()
    }

    /// A layer for inputs of the given width, with random weights of the given standard deviation (0.02).
    pub fn init(
        &self,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> LinearGatedRecurrentUnit {
        let [input, forget, gate, output] = self.linears(width, kind);
        let mut layer = |config: LinearConfig, deviation| config.init(deviation, random, device);
        let [input, forget, gate] = [input, forget, gate].map(|config| layer(config, deviation));
        let output = layer(output, self.output_deviation.unwrap_or(deviation));
        let norm =
            (self.variant == Variant::Released).then(|| RmsNorm::new(width, self.norm_epsilon, device));
        LinearGatedRecurrentUnit { input, forget, gate, output, norm, width }
    }
}

/// The layer.
#[derive(Module, Debug)]
pub struct LinearGatedRecurrentUnit {
    input: Linear,
    forget: Linear,
    gate: Linear,
    output: Linear,
    /// Of the gate's projection, in the released variant only.
    norm: Option<RmsNorm>,
    width: usize,
}

/// What the layer remembers of the tokens so far, `[batch, width]`: its size does not depend on their number.
#[derive(Clone, Debug)]
pub struct LinearGatedRecurrentUnitState {
    /// The states of the channels.
    pub channels: Tensor<2>,
}

impl LinearGatedRecurrentUnitState {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.channels.dims()[0]
    }

    /// These rows of the state, in this order; a row may be taken more than once.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        LinearGatedRecurrentUnitState { channels: select_rows(&self.channels, rows) }
    }

    /// The rows of several states.
    pub fn join(states: Vec<Self>) -> Self {
        let channels = Tensor::cat(states.into_iter().map(|state| state.channels).collect(), 0);
        LinearGatedRecurrentUnitState { channels }
    }

    /// The same state, through which no gradient flows back.
    pub fn detached(self) -> Self {
        LinearGatedRecurrentUnitState { channels: self.channels.detach() }
    }
}

impl LinearGatedRecurrentUnit {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(LinearGatedRecurrentUnit {
            input: self.input.packed(dense)?,
            forget: self.forget.packed(dense)?,
            gate: self.gate.packed(dense)?,
            output: self.output.packed(dense)?,
            ..self
        })
    }

    /// All times at once, `[batch, time, width]` to the same shape; no document sees another. `lower_bound` is that of this layer's
    /// forget gates, `[width]`, from [`LowerBounds`].
    ///
    /// # Panics
    /// If `documents` are of another shape than the input, or there is a lower bound in the paper's variant.
    pub fn forward(
        &self,
        input: Tensor<3>,
        lower_bound: Option<Tensor<1>>,
        documents: &Documents,
    ) -> Tensor<3> {
        self.mix(input, lower_bound, None, documents).0
    }

    /// The state before the first token.
    pub fn state(&self, batch: usize, device: &Device) -> LinearGatedRecurrentUnitState {
        LinearGatedRecurrentUnitState { channels: Tensor::zeros([batch, self.width], device) }
    }

    /// The next times of the rows, `[batch, time, width]` to the same shape.
    ///
    /// # Panics
    /// If the state is one of another number of rows, or there is a lower bound in the paper's variant.
    pub fn extend(
        &self,
        input: Tensor<3>,
        lower_bound: Option<Tensor<1>>,
        state: &mut LinearGatedRecurrentUnitState,
    ) -> Tensor<3> {
        let [batch, time, width] = input.dims();
        if time == 0 {
            return input;
        }
        let before = state.channels.clone().cast(input.dtype());
        let (output, states) = self.mix(input, lower_bound, Some(before), &Documents::whole(batch, time));
        state.channels = states.slice([0..batch, time - 1..time]).reshape([batch, width]);
        output
    }

    /// The output and the states of all times.
    fn mix(
        &self,
        input: Tensor<3>,
        lower_bound: Option<Tensor<1>>,
        state: Option<Tensor<2>>,
        documents: &Documents,
    ) -> (Tensor<3>, Tensor<3>) {
        assert!(lower_bound.is_none() || self.norm.is_some(), "the paper's variant has no lower bound");
        // 1 − f is computed as the logistic function of the other side, which does not cancel.
        let forget = self.forget.forward(input.clone());
        let (mut keep, mut renew) = (sigmoid(forget.clone()), sigmoid(forget.neg()));
        if let Some(bound) = lower_bound {
            let bound: Tensor<3> = bound.unsqueeze();
            renew = renew * (bound.neg() + 1.0);
            keep = renew.clone().neg() + 1.0;
        }
        let candidate = silu(self.input.forward(input.clone()));
        let states = linear_recurrence(keep, renew * candidate, state, documents);
        let gate = self.gate.forward(input);
        let gated = match &self.norm {
            Some(norm) => norm.forward(gate) * silu(states.clone()),
            None => sigmoid(gate) * states.clone(),
        };
        (self.output.forward(gated), states)
    }
}

/// Lower bounds of the forget gates of all layers of a model: zero in the first one, and growing with depth. With parameters Λ
/// `[layers, width]` and `p = softmax` of them over the layers, that of layer l is `p_1 + … + p_l`.
#[derive(Module, Debug)]
pub struct LowerBounds {
    /// Λ; starts at zero.
    pub logits: Param<Tensor<2>>,
}

impl LowerBounds {
    /// For so many layers of the given width.
    pub fn new(layers: usize, width: usize, device: &Device) -> Self {
        LowerBounds { logits: Param::from_tensor(Tensor::zeros([layers, width], device)) }
    }

    /// The bounds, `[layers, width]`.
    pub fn bounds(&self) -> Tensor<2> {
        let shares = softmax(self.logits.val(), 0);
        let [_, width] = shares.dims();
        let first = shares.clone().slice([0..1, 0..width]);
        shares.cumsum(0) - first
    }

    /// The bound of one layer, `[width]`; none for the first, which has none.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn of_layer(&self, layer: usize) -> Option<Tensor<1>> {
        let [_, width] = self.logits.shape().dims();
        (layer > 0).then(|| self.bounds().slice([layer..layer + 1, 0..width]).reshape([width]))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::s;

    use super::*;
    use crate::sequence::testing::{
        affine, assert_close, assert_composition, assert_gradients, double, draw, shaken, values,
    };

    fn layer(
        variant: Variant,
        kind: LinearKind,
        random: &mut Sequence,
        device: &Device,
    ) -> LinearGatedRecurrentUnit {
        let config = LinearGatedRecurrentUnitConfig { variant, ..Default::default() };
        shaken(double(config.init(4, kind, 0.5, random, device)), random)
    }

    fn bound(variant: Variant, device: &Device) -> Option<Tensor<1>> {
        let bound = crate::sequence::testing::tensor(vec![0.0, 0.2, 0.5, 0.9], [4], device);
        (variant == Variant::Released).then_some(bound)
    }

    /// One sequence, number by number.
    fn reference(layer: &LinearGatedRecurrentUnit, input: &[f64], bound: &[f64]) -> Vec<f64> {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut h = [0.0; 4];
        let mut outputs = Vec::new();
        for x in input.chunks(4) {
            let [i, f, g] = [&layer.input, &layer.forget, &layer.gate].map(|linear| affine(linear, x));
            for c in 0..4 {
                let forget = bound[c] + (1.0 - bound[c]) * logistic(f[c]);
                h[c] = forget * h[c] + (1.0 - forget) * i[c] * logistic(i[c]);
            }
            let gated: Vec<f64> = match &layer.norm {
                Some(norm) => {
                    let gain = values(norm.weight.val());
                    let root = (g.iter().map(|g| g * g).sum::<f64>() / 4.0 + 1e-6).sqrt();
                    (0..4).map(|c| g[c] / root * gain[c] * h[c] * logistic(h[c])).collect()
                }
                None => (0..4).map(|c| logistic(g[c]) * h[c]).collect(),
            };
            outputs.extend(affine(&layer.output, &gated));
        }
        outputs
    }

    #[test]
    fn both_variants_are_their_equations_with_their_gradients() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(1);
        for variant in [Variant::Released, Variant::Paper] {
            let layer = layer(variant, LinearKind::Dense, &mut random, &device);
            let bound = bound(variant, &device);
            let documents = Documents::new(9, vec![vec![0], vec![0, 4, 5]]).expect("valid");
            let input: Tensor<3> = draw([2, 9, 4], &mut random, &device);
            let x = values(input.clone());
            let numbers = bound.clone().map_or(vec![0.0; 4], values);
            let parts = [0..36, 36..52, 52..56, 56..72].map(|part| reference(&layer, &x[part], &numbers));
            let output = layer.forward(input.clone(), bound.clone(), &documents);
            assert_close(&values(output), &parts.concat(), 1e-12);
            assert_gradients(&layer, input, |layer, input| layer.forward(input, bound.clone(), &documents));
        }
    }

    #[test]
    fn decoding_is_the_forward_pass() {
        let device = Device::flex();
        let mut random = Sequence::new(2);
        for variant in [Variant::Released, Variant::Paper] {
            for kind in [LinearKind::Dense, LinearKind::Ternary] {
                let layer = layer(variant, kind, &mut random, &device);
                let bound = bound(variant, &device);
                let input: Tensor<3> = draw([2, 300, 4], &mut random, &device);
                let whole = layer.forward(input.clone(), bound.clone(), &Documents::whole(2, 300));
                let mut state = LinearGatedRecurrentUnitState::join(vec![layer.state(1, &device); 2]);
                let mut parts = Vec::new();
                let mut start = 0;
                for length in std::iter::repeat_n(1, 20).chain([0, 130, 150]) {
                    let part = input.clone().slice(s![.., start..start + length, ..]);
                    parts.push(layer.extend(part, bound.clone(), &mut state));
                    start += length;
                }
                assert_close(&values(Tensor::cat(parts, 1)), &values(whole), 1e-12);
                assert_eq!(state.select(&[1, 0, 1]).rows(), 3);
            }
        }
    }

    #[test]
    fn packed_weights_decode_to_the_same_numbers() {
        let device = Device::flex();
        let mut random = Sequence::new(3);
        let config = LinearGatedRecurrentUnitConfig::default();
        let layer = config.init(32, LinearKind::Ternary, 0.02, &mut random, &device);
        let input = draw([1, 40, 32], &mut random, &device).cast(burn::tensor::DType::F32);
        let whole = layer.forward(input.clone(), None, &Documents::whole(1, 40));
        let packed = layer.packed(DenseStorage::Kept).expect("finite");
        let mut state = packed.state(1, &device);
        let steps =
            (0..40).map(|t| packed.extend(input.clone().slice(s![.., t..t + 1, ..]), None, &mut state));
        let steps = Tensor::cat(steps.collect(), 1);
        // A sum that is rounded otherwise may move an 8-bit activation by one.
        assert_close(&values(steps), &values(whole), 1e-4);
    }

    #[test]
    fn lower_bounds_grow_with_depth_and_are_learnt() {
        let device = Device::flex().autodiff();
        let bounds = LowerBounds::new(4, 3, &device);
        assert_close(&values(bounds.bounds()), &[0.0, 0.25, 0.5, 0.75].map(|b| [b; 3]).concat(), 1e-6);
        assert!(bounds.of_layer(0).is_none());
        let bounds = shaken(double(bounds), &mut Sequence::new(4));
        assert_gradients(
            &bounds,
            Tensor::ones([1, 4, 3], (&device, burn::tensor::DType::F64)),
            |bounds, input| input * bounds.bounds().unsqueeze(),
        );
        let gradients = bounds.of_layer(2).expect("a bound").sum().backward();
        assert!(bounds.logits.val().grad(&gradients).is_some());
    }

    #[test]
    fn the_composition_is_the_operation() {
        let (device, mut random) = (Device::flex(), Sequence::new(7));
        for (rows, lengths) in
            [(1, vec![1]), (2, vec![1, 6, 2, 5]), (1, vec![3]), (1, vec![16]), (2, vec![1; 4])]
        {
            let time = lengths.iter().sum::<usize>() / rows;
            let decays: Tensor<3> = sigmoid(draw([rows, time, 3], &mut random, &device));
            let inputs: Tensor<3> = draw([rows, time, 3], &mut random, &device);
            let state: Tensor<2> = draw([lengths.len(), 3], &mut random, &device);
            let operands = [decays.into_dispatch(), inputs.into_dispatch(), state.into_dispatch()];
            assert_composition::<3, 3>(&Scan { lengths }, operands, 1e-12);
        }
    }
}
