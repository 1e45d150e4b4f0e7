//! Attention: Vaswani et al., "Attention Is All You Need" (2017), equation 1, with rotary position codes, with keys and values
//! that groups of heads share (Ainslie et al., "GQA", 2023), and with a window (Jiang et al., "Mistral 7B", 2023, section 2).
//!
//! ```text
//! q, k, v = W_q x, W_k x, W_v x                       split into heads; q and k rotated by their positions
//! y       = W_o [softmax(q_h k_g / √d) v_g]_h          g is the group of the head h
//! ```
//!
//! A token sees itself and what is before it in its document, with a window of `n` the `n - 1` tokens before it; in attention that is not
//! causal it sees its whole document, as in BERT. Whole rows are read, forwards and backwards, by one operation on the projections as
//! they stand ([`mathesis_algebra::softmax_attention`]), which keeps no weights. Without kernels the weights of all tokens for each other are
//! kept for the derivative.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::DispatchTensor;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Device, Int, Tensor, s};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::Real;
use mathesis_algebra::softmax_attention::{self as kernel, Kept, Setting};
use serde::{Deserialize, Serialize};

use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_three};

use super::Documents;
use super::arithmetic::Arithmetic;
use super::blocks::indices;
use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind};
use super::rotary::{RotaryConfig, Rotation};

/// The shape of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AttentionConfig {
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values, a divisor of `heads`; as many as those if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<usize>,
    /// The width of a head, even; the model's width over the number of heads if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// Which linear layers have biases.
    #[serde(default)]
    pub bias: AttentionBias,
    /// How many tokens a token sees, itself among them; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Whether a token sees nothing that comes after it.
    #[serde(default = "causal")]
    pub causal: bool,
    /// The position codes.
    #[serde(default)]
    pub rotary: RotaryConfig,
}

fn causal() -> bool {
    true
}

/// Which linear layers of attention have biases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionBias {
    /// None.
    #[default]
    None,
    /// Those of queries, keys and values (Qwen2).
    Input,
    /// All four.
    All,
}

impl AttentionConfig {
    /// Attention of all heads to all that is before.
    pub fn new(heads: usize) -> Self {
        AttentionConfig {
            heads,
            key_value_heads: None,
            head_width: None,
            bias: AttentionBias::None,
            window: None,
            causal: true,
            rotary: RotaryConfig::default(),
        }
    }

    /// Heads of keys and values.
    pub fn groups(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    /// The width of a head in a model of the given width.
    pub fn width_of_head(&self, width: usize) -> usize {
        self.head_width.unwrap_or(width / self.heads.max(1))
    }

    /// The four linear layers: query, key, value and output.
    pub fn linears(&self, width: usize, kind: LinearKind) -> [LinearConfig; 4] {
        let head = self.width_of_head(width);
        let inward = |heads: usize| LinearConfig {
            inputs: width,
            outputs: heads * head,
            bias: self.bias != AttentionBias::None,
            kind,
        };
        let output = LinearConfig {
            inputs: self.heads * head,
            outputs: width,
            bias: self.bias == AttentionBias::All,
            kind,
        };
        [inward(self.heads), inward(self.groups()), inward(self.groups()), output]
    }

    /// A layer for inputs of the given width, with random weights of the given standard deviation.
    ///
    /// # Panics
    /// If the numbers of heads do not divide as stated, the width of a head is odd, or there is a window over both sides.
    pub fn init(
        &self,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> Attention {
        let head_width = self.width_of_head(width);
        assert!(
            self.groups() > 0 && self.heads.is_multiple_of(self.groups()),
            "heads of attention: {self:?}"
        );
        assert!(head_width > 0 && head_width.is_multiple_of(2), "an even width of heads: {self:?}");
        assert!(self.causal || self.window.is_none(), "a window is of what came before: {self:?}");
        let [query, key, value, output] =
            self.linears(width, kind).map(|linear| linear.init(deviation, random, device));
        Attention {
            query,
            key,
            value,
            output,
            heads: self.heads,
            groups: self.groups(),
            head_width,
            window: self.window,
            causal: self.causal,
            rotary: self.rotary,
            arithmetic: kind.arithmetic(),
        }
    }
}

/// The layer.
#[derive(Module, Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    groups: usize,
    head_width: usize,
    window: Option<usize>,
    causal: bool,
    #[module(skip)]
    rotary: RotaryConfig,
    #[module(skip)]
    arithmetic: Arithmetic,
}

/// Where the tokens of a batch stand and which they see: the same for all layers of one shape, and made once for them.
#[derive(Clone, Debug)]
pub struct Surroundings(Arc<Places>);

/// For each token of a row, of all rows or of one that is like all.
#[derive(Debug)]
struct Places {
    time: usize,
    /// The position of each token in its document.
    positions: Vec<usize>,
    /// The tokens of the row that it sees.
    seen: Vec<Range<usize>>,
    /// The codes of its position.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

/// Keys and values of what has been read, row by row; rows may be of different lengths.
#[derive(Clone, Debug, Default)]
pub struct AttentionState {
    rows: Vec<Row>,
}

impl AttentionState {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// These rows of the state, in this order; a row may be taken more than once. Nothing is copied until a row grows.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        AttentionState { rows: rows.iter().map(|&row| self.rows[row].clone()).collect() }
    }

    /// The rows of several states.
    pub fn join(states: Vec<Self>) -> Self {
        AttentionState { rows: states.into_iter().flat_map(|state| state.rows).collect() }
    }
}

/// What one row has read.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Keys and values, `[groups, capacity, head width]`, of which the times from `begin` to `end` are in use.
    buffers: Option<[Tensor<3>; 2]>,
    begin: usize,
    end: usize,
    /// The number of tokens read; those in use are the last of them.
    read: usize,
}

impl Attention {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(Attention {
            query: self.query.packed(dense)?,
            key: self.key.packed(dense)?,
            value: self.value.packed(dense)?,
            output: self.output.packed(dense)?,
            ..self
        })
    }

    /// All times at once, `[batch, time, width]` to the same shape; no document sees another.
    pub fn forward(&self, input: Tensor<3>, documents: &Documents) -> Tensor<3> {
        self.forward_among(input, &self.surroundings(documents))
    }

    /// What [`forward_among`](Self::forward_among) needs for such documents.
    pub fn surroundings(&self, documents: &Documents) -> Surroundings {
        let [batch, time] = documents.shape();
        let whole = documents.are_whole();
        let rows = if whole { 1 } else { batch };
        let (mut positions, mut seen) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let starts = if whole { &[0][..] } else { documents.starts(row) };
            let ends = starts.iter().skip(1).copied().chain([time]);
            for (&start, end) in starts.iter().zip(ends) {
                positions.extend(0..end - start);
                seen.extend((start..end).map(|token| {
                    let last = if self.causal { token + 1 } else { end };
                    self.first_seen(token).max(start)..last
                }));
            }
        }
        let (cosines, sines) = self.rotary.codes(self.head_width, &positions);
        Surroundings(Arc::new(Places { time, positions, seen, cosines, sines }))
    }

    /// Whether [`surroundings`](Self::surroundings) of another layer are this layer's too.
    pub fn has_surroundings_of(&self, other: &Attention) -> bool {
        let shape = |layer: &Attention| (layer.head_width, layer.window, layer.causal, layer.rotary);
        shape(self) == shape(other)
    }

    /// The same with [`surroundings`](Self::surroundings) that were made before.
    pub fn forward_among(&self, input: Tensor<3>, surroundings: &Surroundings) -> Tensor<3> {
        if let Arithmetic::LMul { .. } = self.arithmetic {
            return self.forward_in_arithmetic(input, &surroundings.0);
        }
        let projected = [&self.query, &self.key, &self.value].map(|layer| layer.forward(input.clone()));
        let operation = WholeRows {
            heads: self.heads,
            groups: self.groups,
            width: self.head_width,
            places: surroundings.0.clone(),
        };
        let seen: Tensor<3> = apply_to_three(operation, projected.map(Tensor::into_dispatch));
        self.output.forward(seen)
    }

    /// With products between tokens in the layer's arithmetic.
    fn forward_in_arithmetic(&self, input: Tensor<3>, places: &Places) -> Tensor<3> {
        let Places { time, ref positions, ref seen, .. } = *places;
        let (device, dtype) = (input.device(), input.dtype());
        let rotation = Rotation::new(&self.rotary, self.head_width, positions, time, &device, dtype);
        let (query, key, value) = self.projections(input, &rotation);
        let seen = self.attend(query, key, value, hidden(seen, time, time, &device));
        self.output.forward(self.merge(seen))
    }

    /// A state of rows that have read nothing.
    pub fn state(&self, batch: usize, _device: &Device) -> AttentionState {
        AttentionState { rows: vec![Row::default(); batch] }
    }

    /// The next times of the rows, `[batch, time, width]` to the same shape.
    ///
    /// # Panics
    /// If the attention is not causal, or the state is one of another number of rows.
    pub fn extend(&self, input: Tensor<3>, state: &mut AttentionState) -> Tensor<3> {
        assert!(self.causal, "attention over both sides has no next tokens");
        let [batch, time, _] = input.dims();
        assert_eq!(batch, state.rows.len(), "rows of the state");
        let positions: Vec<usize> = state.rows.iter().flat_map(|row| row.read..row.read + time).collect();
        let (device, dtype) = (input.device(), input.dtype());
        let rotation = Rotation::new(&self.rotary, self.head_width, &positions, time, &device, dtype);
        let (query, key, value) = self.projections(input, &rotation);
        let rows = state.rows.iter_mut().enumerate().map(|(number, row)| {
            let of_row = |tensor: &Tensor<4>| tensor.clone().narrow(0, number, 1);
            let new = [&key, &value].map(|tensor| of_row(tensor).squeeze_dim(0));
            row.push(new, self.window);
            self.attend_next(of_row(&query), row)
        });
        let seen = rows.collect::<Vec<_>>();
        let seen = if batch == 1 { seen.into_iter().next() } else { Some(Tensor::cat(seen, 0)) };
        match seen {
            Some(seen) => self.output.forward(self.merge(seen)),
            None => unreachable!("a batch has rows"),
        }
    }

    /// The first time that a token sees.
    fn first_seen(&self, time: usize) -> usize {
        self.window.map_or(0, |window| (time + 1).saturating_sub(window))
    }

    /// Queries `[batch, heads, time, head width]`, keys and values `[batch, groups, time, head width]`.
    fn projections(&self, input: Tensor<3>, rotation: &Rotation) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let [batch, time, _] = input.dims();
        let split = |layer: &Linear, heads: usize| {
            layer.forward(input.clone()).reshape([batch, time, heads, self.head_width]).swap_dims(1, 2)
        };
        let query = rotation.apply(split(&self.query, self.heads));
        let key = rotation.apply(split(&self.key, self.groups));
        (query, key, split(&self.value, self.groups))
    }

    /// `[batch, heads, time, head width]` to `[batch, time, heads * head width]`.
    fn merge(&self, seen: Tensor<4>) -> Tensor<3> {
        let [batch, heads, time, width] = seen.dims();
        seen.swap_dims(1, 2).reshape([batch, time, heads * width])
    }

    /// What queries see of all keys but hidden ones, `[batch or 1, 1, time, keys]`; with L-Mul both products are in that arithmetic, and the
    /// softmax is in the ordinary one.
    fn attend(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        hidden: Tensor<4, Bool>,
    ) -> Tensor<4> {
        let [batch, _, time, width] = query.dims();
        let hidden = hidden.expand([batch, self.heads, time, key.dims()[2]]);
        let [key, value] = [key, value].map(|shared| for_all_heads(shared, self.heads));
        if let Arithmetic::LMul { .. } = self.arithmetic {
            let product = |a, b| self.arithmetic.product_between_tokens(a, b);
            let scores = product(query, key.swap_dims(2, 3)).mul_scalar(1.0 / (width as f64).sqrt());
            return product(softmax(scores.mask_fill(hidden, f64::NEG_INFINITY), 3), value);
        }
        attention(query, key, value, Some(hidden), None, AttentionModuleOptions::default())
    }

    /// The last tokens of a row: keys and values are read where they are kept, if they can be.
    fn attend_next(&self, query: Tensor<4>, row: &Row) -> Tensor<4> {
        let (time, used) = (query.dims()[2], row.end - row.begin);
        let plain = matches!(query.dtype(), DType::F32 | DType::F64)
            && !query.is_autodiff()
            && !matches!(self.arithmetic, Arithmetic::LMul { .. });
        match &row.buffers {
            Some([keys, values]) if plain => {
                let of_token = |place| row.begin + self.first_seen(place)..row.begin + place + 1;
                let seen = (used - time..used).map(of_token).collect();
                let operation = NextTokens { groups: self.groups, seen };
                let [keys, values] = [keys, values].map(|kept| kept.clone().into_dispatch());
                apply_to_three(operation, [query.into_dispatch(), keys, values])
            }
            _ => {
                let [keys, values] = row.seen();
                let seen: Vec<_> = (used - time..used).map(|at| self.first_seen(at)..at + 1).collect();
                let hidden = hidden(&seen, time, used, &query.device());
                self.attend(query, keys, values, hidden)
            }
        }
    }
}

/// Keys or values of groups, repeated for each head.
fn for_all_heads(shared: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, groups, time, width] = shared.dims();
    if groups == heads {
        return shared;
    }
    shared
        .unsqueeze_dim::<5>(2)
        .expand([batch, groups, heads / groups, time, width])
        .reshape([batch, heads, time, width])
}

/// The keys that are not among those that each query sees, `[rows, 1, time, keys]`, for ranges of all rows or of one that is like all.
pub(super) fn hidden(seen: &[Range<usize>], time: usize, keys: usize, device: &Device) -> Tensor<4, Bool> {
    let shape = [seen.len() / time.max(1), 1, time, keys];
    let of_queries = |bound: fn(&Range<usize>) -> usize| {
        let bounds: Vec<usize> = seen.iter().map(bound).collect();
        indices(&bounds, device).reshape([shape[0], 1, time, 1]).expand(shape)
    };
    let keys = Tensor::<1, Int>::arange(0..keys as i64, device).reshape([1, 1, 1, keys]).expand(shape);
    let before = keys.clone().lower(of_queries(|seen| seen.start));
    before.bool_or(keys.greater_equal(of_queries(|seen| seen.end)))
}

/// What queries `[batch, heads, time, width]` see of keys and values of groups, `[batch, groups, keys, width]`, all but hidden ones: the
/// composition of both operations.
fn masked_attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    hidden: Tensor<4, Bool>,
) -> Tensor<4> {
    let [batch, heads, time, width] = query.dims();
    let hidden = hidden.expand([batch, heads, time, key.dims()[2]]);
    let [key, value] = [key, value].map(|shared| for_all_heads(shared, heads));
    let scores = (query * (width as f64).sqrt().recip()).matmul(key.swap_dims(2, 3));
    softmax(scores.mask_fill(hidden, HIDDEN), 3).matmul(value)
}

/// A score whose weight is zero beside that of any other: a number, as not every device computes with infinities.
pub(super) const HIDDEN: f64 = -1e30;

/// What the queries see, of queries `[batch, time, heads · width]`, and keys and values `[batch, time, groups · width]`, all not rotated yet.
#[derive(Clone, Debug)]
struct WholeRows {
    heads: usize,
    groups: usize,
    width: usize,
    places: Arc<Places>,
}

impl WholeRows {
    fn among<T: Real, R>(&self, act: impl FnOnce(&Setting<'_, T>) -> R) -> R {
        let WholeRows { heads, groups, width, ref places } = *self;
        let wide = |codes: &[f32]| -> Vec<T> { codes.iter().map(|&code| T::literal(code.into())).collect() };
        let (cosines, sines) = (wide(&places.cosines), wide(&places.sines));
        let (time, seen) = (places.time, &places.seen);
        act(&Setting { time, heads, groups, width, seen, cosines: &cosines, sines: &sines })
    }
}

impl SliceOperation<3> for WholeRows {
    fn forward<T: Real>(&self, [queries, keys, values]: [Array<'_, T>; 3]) -> (Vec<T>, Vec<usize>) {
        let seen = self.among(|setting| kernel::forward(setting, queries.values, keys.values, values.values));
        (seen, queries.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; 3],
        seen: Array<'_, T>,
        gradient: &[T],
        _: [bool; 3],
    ) -> ArrayGradients<T, 3> {
        let operands = operands.map(|operand| operand.values);
        let gradients = self.among(|setting| kernel::backward(setting, operands, seen.values, gradient));
        [gradients.queries, gradients.keys, gradients.values].map(Some)
    }

    fn composition<const D: usize>(&self, operands: [DispatchTensor; 3]) -> Tensor<D> {
        let [queries, keys, values] = operands.map(Tensor::<3>::from_dispatch);
        let ([batch, time, wide], device) = (queries.dims(), queries.device());
        let codes = [self.places.cosines.clone(), self.places.sines.clone()];
        let rotation = Rotation::of_codes(codes, self.width, time, &device, queries.dtype());
        let split = |rows: Tensor<3>, heads| rows.reshape([batch, time, heads, self.width]).swap_dims(1, 2);
        let queries = rotation.apply(split(queries, self.heads));
        let keys = rotation.apply(split(keys, self.groups));
        let hidden = hidden(&self.places.seen, time, time, &device);
        let seen = masked_attention(queries, keys, split(values, self.groups), hidden);
        Tensor::from_dispatch(seen.swap_dims(1, 2).reshape([batch, time, wide]).into_dispatch())
    }
}

/// What the next tokens see: queries `[1, heads, time, width]` of what is kept, `[groups, capacity, width]`, each of its range.
#[derive(Clone, Debug)]
struct NextTokens {
    groups: usize,
    seen: Vec<Range<usize>>,
}

impl SliceOperation<3> for NextTokens {
    fn forward<T: Real>(&self, [queries, keys, values]: [Array<'_, T>; 3]) -> (Vec<T>, Vec<usize>) {
        let (groups, width) = (self.groups, keys.shape[2]);
        let kept = Kept { keys: keys.values, values: values.values, groups, width };
        let seen = match &self.seen[..] {
            [seen] => kernel::next(queries.values, kept, seen.clone()),
            seen => kernel::following(queries.values, kept, seen),
        };
        (seen, queries.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        _: [Array<'_, T>; 3],
        _: Array<'_, T>,
        _: &[T],
        _: [bool; 3],
    ) -> ArrayGradients<T, 3> {
        unreachable!("it is taken on devices without derivatives alone")
    }

    fn composition<const D: usize>(&self, [queries, keys, values]: [DispatchTensor; 3]) -> Tensor<D> {
        let queries = Tensor::<4>::from_dispatch(queries);
        let first = self.seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        let end = self.seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let [keys, values] = [keys, values]
            .map(|kept| Tensor::<3>::from_dispatch(kept).narrow(1, first, end - first).unsqueeze_dim::<4>(0));
        let seen: Vec<_> = self.seen.iter().map(|seen| seen.start - first..seen.end - first).collect();
        let hidden = hidden(&seen, seen.len(), end - first, &queries.device());
        Tensor::from_dispatch(masked_attention(queries, keys, values, hidden).into_dispatch())
    }
}

impl Row {
    /// Add keys and values `[groups, time, head width]`.
    fn push(&mut self, new: [Tensor<3>; 2], window: Option<usize>) {
        let time = new[0].dims()[1];
        let before = self.end - self.begin;
        let before = window.map_or(before, |window| before.min(window - 1));
        self.begin = self.end - before;
        let buffers = match self.buffers.take() {
            None => new,
            Some(buffers) if self.end + time <= buffers[0].dims()[1] => {
                let place = self.end..self.end + time;
                both(buffers, new, |buffer, new| buffer.slice_assign(s![.., place.clone(), ..], new))
            }
            Some(buffers) => {
                let begin = std::mem::take(&mut self.begin);
                self.end = before;
                both(buffers, new, |buffer, new| {
                    let [groups, _, width] = new.dims();
                    let spare = [groups, (before + time).max(SPARE), width];
                    let spare = Tensor::zeros(spare, (&new.device(), new.dtype()));
                    // A part of no times is none.
                    let before = (before > 0).then(|| buffer.narrow(1, begin, before));
                    Tensor::cat(before.into_iter().chain([new, spare]).collect(), 1)
                })
            }
        };
        self.end += time;
        self.read += time;
        self.buffers = Some(buffers);
    }

    /// Keys and values that the last tokens see, `[1, groups, time, head width]`: a copy.
    ///
    /// # Panics
    /// If nothing has been added.
    fn seen(&self) -> [Tensor<4>; 2] {
        let buffers = self.buffers.clone().expect("something has been added");
        buffers.map(|buffer| buffer.narrow(1, self.begin, self.end - self.begin).unsqueeze_dim(0))
    }
}

/// The least number of times for which room is made when a row has grown out of its own.
const SPARE: usize = 32;

fn both(
    buffers: [Tensor<3>; 2],
    new: [Tensor<3>; 2],
    change: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>,
) -> [Tensor<3>; 2] {
    let ([keys, values], [key, value]) = (buffers, new);
    [change(keys, key), change(values, value)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::testing::{
        affine, assert_close, assert_composed_result, assert_composition, assert_gradients, double, draw,
        shaken, values,
    };

    const WIDTH: usize = 12;

    fn layer(config: &AttentionConfig, device: &Device) -> Attention {
        let mut random = Sequence::new(7);
        let layer = config.init(WIDTH, LinearKind::Dense, 0.4, &mut random, device);
        shaken(double(layer), &mut random)
    }

    /// Grouped, with biases and windows, of all kinds.
    fn configs() -> Vec<AttentionConfig> {
        let rotary = RotaryConfig { theta: 50.0, ..RotaryConfig::default() };
        let plain = AttentionConfig { rotary, ..AttentionConfig::new(3) };
        vec![
            plain,
            AttentionConfig { heads: 4, key_value_heads: Some(2), head_width: Some(2), ..plain },
            AttentionConfig { heads: 6, key_value_heads: Some(1), bias: AttentionBias::Input, ..plain },
            AttentionConfig { bias: AttentionBias::All, window: Some(3), ..plain },
            AttentionConfig { heads: 2, key_value_heads: Some(1), window: Some(1), ..plain },
        ]
    }

    /// Over both sides.
    fn over_both_sides() -> AttentionConfig {
        AttentionConfig { causal: false, ..configs()[1] }
    }

    /// The layer for one document `[time][width]`, token by token and head by head.
    fn reference(layer: &Attention, input: &[f64]) -> Vec<f64> {
        let tokens: Vec<&[f64]> = input.chunks(WIDTH).collect();
        let (width, half) = (layer.head_width, layer.head_width / 2);
        let rotated = |mut heads: Vec<f64>, position: usize| {
            for head in heads.chunks_mut(width) {
                for pair in 0..half {
                    let frequency = layer.rotary.theta.powf(-2.0 * pair as f64 / width as f64);
                    let (sine, cosine) = (position as f64 * frequency).sin_cos();
                    let (a, b) = (head[pair], head[pair + half]);
                    (head[pair], head[pair + half]) = (a * cosine - b * sine, b * cosine + a * sine);
                }
            }
            heads
        };
        let turned = |linear: &Linear| -> Vec<Vec<f64>> {
            let token = |(position, x): (usize, &&[f64])| rotated(affine(linear, x), position);
            tokens.iter().enumerate().map(token).collect()
        };
        let (queries, keys) = (turned(&layer.query), turned(&layer.key));
        let given: Vec<Vec<f64>> = tokens.iter().map(|x| affine(&layer.value, x)).collect();
        let mut output = Vec::new();
        for time in 0..tokens.len() {
            let first = layer.window.map_or(0, |window| (time + 1).saturating_sub(window));
            let end = if layer.causal { time + 1 } else { tokens.len() };
            let mut seen = vec![0.0; layer.heads * width];
            for head in 0..layer.heads {
                let group = head / (layer.heads / layer.groups);
                let query = &queries[time][head * width..][..width];
                let weight = |key: &Vec<f64>| {
                    let key = &key[group * width..][..width];
                    (query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() / (width as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = keys[first..end].iter().map(weight).collect();
                let total: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(&given[first..end]) {
                    for k in 0..width {
                        seen[head * width + k] += weight / total * value[group * width + k];
                    }
                }
            }
            output.extend(affine(&layer.output, &seen));
        }
        output
    }

    #[test]
    fn packed_documents_are_the_reference_of_each() {
        let mut random = Sequence::new(1);
        let documents = Documents::new(7, vec![vec![0, 3, 4], vec![0]]).unwrap();
        for device in [Device::flex(), Device::flex().autodiff()] {
            for config in configs().into_iter().chain([over_both_sides()]) {
                let layer = layer(&config, &device);
                let input: Tensor<3> = draw([2, 7, WIDTH], &mut random, &device);
                let x = values(input.clone());
                let mut expected = Vec::new();
                for [from, to] in [[0, 3], [3, 4], [4, 7], [7, 14]] {
                    expected.extend(reference(&layer, &x[from * WIDTH..to * WIDTH]));
                }
                assert_close(&values(layer.forward(input.clone(), &documents)), &expected, 1e-6);
                let whole = values(layer.forward(input, &Documents::whole(2, 7)));
                assert_close(&whole[..7 * WIDTH], &reference(&layer, &x[..7 * WIDTH]), 1e-6);
            }
        }
    }

    #[test]
    fn extending_gives_the_same_as_all_times_at_once() {
        let mut random = Sequence::new(2);
        let device = Device::flex();
        for config in configs() {
            let layer = layer(&config, &device);
            let time = 90;
            let input: Tensor<3> = draw([2, time, WIDTH], &mut random, &device);
            let expected = values(layer.forward(input.clone(), &Documents::whole(2, time)));
            for pieces in [vec![1; time], vec![5, 1, 1, 40, 3, 2, 38], vec![time]] {
                let (mut state, mut from, mut parts) = (layer.state(2, &device), 0, Vec::new());
                for piece in pieces {
                    parts.push(layer.extend(input.clone().narrow(1, from, piece), &mut state));
                    from += piece;
                }
                assert_close(&values(Tensor::cat(parts, 1)), &expected, 1e-9);
            }
        }
    }

    #[test]
    fn rows_of_different_lengths_go_on_together() {
        let mut random = Sequence::new(3);
        let device = Device::flex();
        for config in configs() {
            let layer = layer(&config, &device);
            let rows: Vec<Tensor<3>> =
                [4, 9].map(|time| draw([1, time, WIDTH], &mut random, &device)).to_vec();
            let next: Tensor<3> = draw([3, 2, WIDTH], &mut random, &device);
            let states = rows.iter().map(|row| {
                let mut state = layer.state(1, &device);
                layer.extend(row.clone(), &mut state);
                state
            });
            // The first row twice: two continuations of one beginning.
            let both = AttentionState::join(states.collect());
            let mut state = both.select(&[0, 1, 0]);
            let given = values(layer.extend(next.clone(), &mut state));
            assert_eq!((both.rows(), state.rows()), (2, 3));
            for (row, beginning) in [0, 1, 0].into_iter().enumerate() {
                let whole = Tensor::cat(vec![rows[beginning].clone(), next.clone().narrow(0, row, 1)], 1);
                let expected = reference(&layer, &values(whole));
                let last = &expected[expected.len() - 2 * WIDTH..];
                assert_close(&given[row * 2 * WIDTH..][..2 * WIDTH], last, 1e-6);
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut random = Sequence::new(4);
        let device = Device::flex().autodiff();
        let documents = Documents::new(4, vec![vec![0, 3], vec![0]]).unwrap();
        for config in configs().into_iter().take(4).chain([over_both_sides()]) {
            let layer = layer(&config, &device);
            let input: Tensor<3> = draw([2, 4, WIDTH], &mut random, &device);
            assert_gradients(&layer, input, |layer, input| layer.forward(input, &documents));
        }
    }

    /// In single precision over several tiles of queries, against the layer read token by token in double precision.
    #[test]
    fn long_rows_are_read_in_tiles() {
        let mut random = Sequence::new(5);
        let device = Device::flex();
        let (time, starts) = (150, vec![vec![0, 70, 71], vec![0, 149]]);
        let documents = Documents::new(time, starts.clone()).unwrap();
        for config in [configs()[1], AttentionConfig { window: Some(40), ..configs()[1] }, over_both_sides()]
        {
            let layer = layer(&config, &device);
            let input: Tensor<3> = draw([2, time, WIDTH], &mut random, &device);
            let x = values(input.clone());
            let mut expected = Vec::new();
            for (row, starts) in starts.iter().enumerate() {
                let ends = starts.iter().skip(1).copied().chain([time]);
                for (&from, to) in starts.iter().zip(ends) {
                    let at = |token: usize| (row * time + token) * WIDTH;
                    expected.extend(reference(&layer, &x[at(from)..at(to)]));
                }
            }
            assert_close(&values(layer.forward(input.clone(), &documents)), &expected, 1e-5);
            let single = layer.map(&mut Single);
            let given = single.forward(input.cast(burn::tensor::DType::F32), &documents);
            assert_close(&values(given), &expected, 1e-4);
        }
    }

    struct Single;

    impl burn::module::ModuleMapper for Single {
        fn map_float<const D: usize>(
            &mut self,
            parameter: burn::module::Param<Tensor<D>>,
        ) -> burn::module::Param<Tensor<D>> {
            parameter.map(|value| value.cast(burn::tensor::DType::F32))
        }
    }

    /// Over a border of tiles.
    #[test]
    fn gradients_of_long_rows_are_those_of_finite_differences() {
        let mut random = Sequence::new(6);
        let device = Device::flex().autodiff();
        let documents = Documents::new(70, vec![vec![0, 50]]).unwrap();
        for config in [AttentionConfig { window: Some(30), ..configs()[1] }, over_both_sides()] {
            let layer = layer(&config, &device);
            let input: Tensor<3> = draw([1, 70, WIDTH], &mut random, &device);
            assert_gradients(&layer, input, |layer, input| layer.forward(input, &documents));
        }
    }

    #[test]
    fn the_compositions_are_the_operations() {
        let (device, mut random) = (Device::flex(), Sequence::new(9));
        let cases = [
            Documents::whole(1, 1),
            Documents::whole(2, 7),
            Documents::new(5, vec![vec![0, 1, 3], vec![0]]).unwrap(),
        ];
        for config in configs() {
            let layer = layer(&config, &device);
            let Attention { heads, groups, head_width: width, .. } = layer;
            for documents in &cases {
                let [batch, time] = documents.shape();
                let mut rows =
                    |heads| -> Tensor<3> { draw([batch, time, heads * width], &mut random, &device) };
                let operands = [heads, groups, groups].map(&mut rows).map(Tensor::into_dispatch);
                let operation = WholeRows { heads, groups, width, places: layer.surroundings(documents).0 };
                assert_composition::<3, 3>(&operation, operands, 1e-11);
            }
            for seen in [&[(4, 5)][..], &[(0, 9)], &[(2, 5), (2, 6), (4, 7)]] {
                let seen: Vec<Range<usize>> = seen.iter().map(|&(start, end)| start..end).collect();
                let queries: Tensor<4> = draw([1, heads, seen.len(), width], &mut random, &device);
                let kept = [(); 2].map(|()| -> Tensor<3> { draw([groups, 11, width], &mut random, &device) });
                let [keys, values] = kept.map(Tensor::into_dispatch);
                let operands = [queries.into_dispatch(), keys, values];
                assert_composed_result::<3, 4>(&NextTokens { groups, seen }, operands, 1e-12);
            }
        }
    }
}
