//! Tensor attention: the function on tensors, and the layer. Alman and Song (ICLR 2024); the kernels and their equations are in
//! [`mathesis_algebra::tensor_attention`].
//!
//! The layer, for inputs x, with heads of few channels each; a token sees all pairs (for order 3) of itself and what is before it in its
//! document:
//! ```text
//! q = b(x W_q)    k₁, k₂ = b(x W_k)    v₁, v₂ = x W_v    b(z) = B tanh(z / B)
//! y = W_o [Σ_{j,k} P_jk v₁_j ∘ v₂_k]_h
//! ```
//! The paper has no layer; the projections are those of attention, and b keeps scores within the range of the polynomial. It has no
//! position codes: what order there is comes from what tokens can see.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::DispatchTensor;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::Real;
use mathesis_algebra::tensor_attention::{
    self as kernel, Expansion, Form, Operands, State, TensorAttentionError,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Documents;
use super::attention::{HIDDEN, hidden};
use super::gated_linear_attention::document_lengths;
use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind};
use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_three};

/// Monomials of a polynomial, at most; a head of order 3 and width 8 then keeps 2.9 MB.
const LARGEST_RANK: usize = 20_000;
/// A bound of the order, which is the exponent of the time that the exact form takes.
const LARGEST_ORDER: usize = 8;

/// How the layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TensorAttentionForm {
    /// All tuples: time that grows with the length to the power of the order.
    Exact,
    /// By a polynomial: linear time, and a state that does not grow.
    Polynomial {
        /// The largest error of an output, over the largest product of values.
        accuracy: f64,
    },
}

/// The shape of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TensorAttentionConfig {
    /// Heads (8).
    pub heads: usize,
    /// Channels of a head (4): the polynomial's size grows fast with them.
    pub head_width: usize,
    /// Tokens that a score is of, the asking one among them (3); 2 is the attention of matrices.
    pub order: usize,
    /// How it computes (by a polynomial, accuracy 10⁻³).
    pub form: TensorAttentionForm,
    /// The bound B of queries and keys (1); any size if there is none, which only the exact form can take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

impl Default for TensorAttentionConfig {
    fn default() -> Self {
        TensorAttentionConfig {
            heads: 8,
            head_width: 4,
            order: 3,
            form: TensorAttentionForm::Polynomial { accuracy: 1e-3 },
            bound: Some(1.0),
        }
    }
}

/// Why a configuration is none of a layer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TensorAttentionConfigError {
    /// A number that is not one of the layer's.
    #[error("{key} = {value}: expected {expected}")]
    Number {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// What must stand there.
        expected: String,
    },
    /// A polynomial for scores of any size.
    #[error(
        "a polynomial needs a bound of queries and keys: expected bound = a number above 0, or form = exact"
    )]
    Unbounded,
    /// No such polynomial.
    #[error(transparent)]
    Expansion(#[from] TensorAttentionError),
}

impl TensorAttentionConfig {
    /// That the shape is one of a layer.
    ///
    /// # Errors
    /// If a number is out of its range, or the polynomial would be too large.
    pub fn check(&self) -> Result<(), TensorAttentionConfigError> {
        self.computation().map(drop)
    }

    fn computation(&self) -> Result<Computation, TensorAttentionConfigError> {
        let unless = |fine, key, value: String, expected: String| match fine {
            true => Ok(()),
            false => Err(TensorAttentionConfigError::Number { key, value, expected }),
        };
        unless(self.heads > 0, "heads", self.heads.to_string(), "at least 1".into())?;
        unless(self.head_width > 0, "head-width", self.head_width.to_string(), "at least 1".into())?;
        let expected = format!("2 to {LARGEST_ORDER}");
        unless((2..=LARGEST_ORDER).contains(&self.order), "order", self.order.to_string(), expected)?;
        if let Some(bound) = self.bound {
            let fine = bound.is_finite() && bound > 0.0;
            unless(fine, "bound", bound.to_string(), "a number above 0".into())?;
        }
        match (self.form, self.bound) {
            (TensorAttentionForm::Exact, _) => Ok(Computation::Exact),
            (TensorAttentionForm::Polynomial { .. }, None) => Err(TensorAttentionConfigError::Unbounded),
            (TensorAttentionForm::Polynomial { accuracy }, Some(bound)) => {
                // In single precision a bounded number may be above the bound by rounding.
                let range = (bound * (1.0 + 1e-6)).powi(self.order as i32);
                let expansion = Expansion::of_accuracy(self.head_width, range, accuracy, LARGEST_RANK)?;
                Ok(Computation::Expansion(Arc::new(expansion)))
            }
        }
    }

    /// The four linear layers: query, keys, values and output.
    pub fn linears(&self, width: usize, kind: LinearKind) -> [LinearConfig; 4] {
        let inner = self.heads * self.head_width;
        let linear = |inputs, outputs| LinearConfig { inputs, outputs, bias: false, kind };
        let arrays = self.order.saturating_sub(1);
        [
            linear(width, inner),
            linear(width, arrays * inner),
            linear(width, arrays * inner),
            linear(inner, width),
        ]
    }

    /// A layer for inputs of the given width, with random weights of the given standard deviation.
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
    ) -> TensorAttention {
        let computation = self.computation().unwrap_or_else(|error| panic!("tensor attention: {error}"));
        let [query, key, value, output] =
            self.linears(width, kind).map(|linear| linear.init(deviation, random, device));
        TensorAttention { query, key, value, output, computation, config: *self }
    }
}

/// How the kernel computes.
#[derive(Clone, Debug)]
pub enum Computation {
    /// All tuples.
    Exact,
    /// By a polynomial.
    Expansion(Arc<Expansion>),
}

impl Computation {
    fn form(&self) -> Form<'_> {
        match self {
            Computation::Exact => Form::Exact,
            Computation::Expansion(expansion) => Form::Expansion(expansion),
        }
    }
}

/// Tensor attention on tensors, causal or with every token of a document seen: queries `[batch, time, heads, d]`, keys `[batch, time, order − 1, heads, d]` and values
/// `[batch, time, order − 1, heads, v]` give `[batch, time, heads, v]`.
///
/// Where a number is not finite, or scores are too large for the polynomial, everything becomes NaN. It is computed in double precision. The
/// composition is computed in the precision of its operands, does not notice scores that are too large, and holds the weights of all
/// tuples in the exact form.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn tensor_attention(
    queries: Tensor<4>,
    keys: Tensor<5>,
    values: Tensor<5>,
    documents: &Documents,
    causal: bool,
    computation: &Computation,
) -> Tensor<4> {
    let [batch, time, heads, d] = queries.dims();
    let [_, _, arrays, _, v] = values.dims();
    assert_eq!(keys.dims(), [batch, time, arrays, heads, d], "keys of tensor attention");
    assert_eq!(values.dims(), [batch, time, arrays, heads, v], "values of tensor attention");
    assert_eq!(documents.shape(), [batch, time], "documents of tensor attention");
    let (lengths, computation) = (document_lengths(documents), computation.clone());
    let operation = Attention { lengths, causal, computation };
    apply_to_three(operation, [queries.into_dispatch(), keys.into_dispatch(), values.into_dispatch()])
}

#[derive(Clone, Debug)]
struct Attention {
    lengths: Vec<usize>,
    causal: bool,
    computation: Computation,
}

impl Attention {
    /// What `work` gives for the operands of every head of every document, one document after the other.
    fn for_each_head<R: Send>(
        &self,
        heads: usize,
        work: impl Fn(Range<usize>, usize) -> Result<R, TensorAttentionError> + Sync,
    ) -> Result<Vec<(Range<usize>, usize, R)>, TensorAttentionError> {
        let mut pieces = Vec::with_capacity(self.lengths.len() * heads);
        let mut start = 0;
        for length in &self.lengths {
            pieces.extend((0..heads).map(|head| (start..start + length, head)));
            start += length;
        }
        let piece = |(tokens, head): (Range<usize>, usize)| {
            work(tokens.clone(), head).map(|found| (tokens, head, found))
        };
        pieces.into_par_iter().map(piece).collect()
    }
}

/// One head of one document, in double precision.
struct Pieces {
    channels: usize,
    value_channels: usize,
    queries: Vec<f64>,
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl Pieces {
    fn new<T: Real>(
        queries: Array<'_, T>,
        keys: Array<'_, T>,
        values: Array<'_, T>,
        tokens: Range<usize>,
        head: usize,
    ) -> Self {
        let all = |array: Array<'_, T>| {
            (0..array.shape[2]).map(|number| gathered(array, tokens.clone(), number, head)).collect()
        };
        Pieces {
            channels: queries.shape[3],
            value_channels: values.shape[4],
            queries: gathered(queries, tokens.clone(), 0, head),
            keys: all(keys),
            values: all(values),
        }
    }

    fn operands(&self, causal: bool) -> Operands<'_> {
        Operands {
            channels: self.channels,
            value_channels: self.value_channels,
            queries: &self.queries,
            keys: self.keys.iter().map(Vec::as_slice).collect(),
            values: self.values.iter().map(Vec::as_slice).collect(),
            causal,
            blank: None,
        }
    }
}

/// Where the rows of one head begin in `[.., heads, channels]` or `[.., arrays, heads, channels]`, and how long they are.
fn rows(
    shape: &[usize],
    tokens: Range<usize>,
    number: usize,
    head: usize,
) -> (impl Iterator<Item = usize>, usize) {
    let (heads, channels) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let arrays = if shape.len() == 5 { shape[2] } else { 1 };
    (tokens.map(move |token| ((token * arrays + number) * heads + head) * channels), channels)
}

fn gathered<T: Real>(array: Array<'_, T>, tokens: Range<usize>, number: usize, head: usize) -> Vec<f64> {
    let (starts, channels) = rows(array.shape, tokens, number, head);
    starts.flat_map(|start| array.values[start..start + channels].iter().map(|x| x.widened())).collect()
}

fn scatter<T: Real>(
    from: &[f64],
    to: &mut [T],
    shape: &[usize],
    tokens: Range<usize>,
    number: usize,
    head: usize,
) {
    let (starts, channels) = rows(shape, tokens, number, head);
    for (start, from) in starts.zip(from.chunks_exact(channels)) {
        to[start..start + channels].iter_mut().zip(from).for_each(|(to, from)| *to = T::literal(*from));
    }
}

impl SliceOperation<3> for Attention {
    fn forward<T: Real>(&self, [queries, keys, values]: [Array<'_, T>; 3]) -> (Vec<T>, Vec<usize>) {
        let mut shape = queries.shape.to_vec();
        shape[3] = values.shape[4];
        let mut output = vec![T::nan(); shape.iter().product()];
        let heads = self.for_each_head(shape[2], |tokens, head| {
            let pieces = Pieces::new(queries, keys, values, tokens, head);
            kernel::forward(&pieces.operands(self.causal), self.computation.form())
        });
        for (tokens, head, outputs) in heads.into_iter().flatten() {
            scatter(&outputs.output, &mut output, &shape, tokens, 0, head);
        }
        (output, shape)
    }

    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; 3],
        result: Array<'_, T>,
        gradient: &[T],
        _: [bool; 3],
    ) -> ArrayGradients<T, 3> {
        let gradient = Array { values: gradient, shape: result.shape };
        let heads = self.for_each_head(result.shape[2], |tokens, head| {
            let gradient = gathered(gradient, tokens.clone(), 0, head);
            let [queries, keys, values] = operands;
            let (pieces, form) = (Pieces::new(queries, keys, values, tokens, head), self.computation.form());
            // In double precision, which the result is not always in.
            let operands = pieces.operands(self.causal);
            kernel::backward(&operands, &kernel::forward(&operands, form)?, &gradient, form)
        });
        let mut gradients = operands.map(|operand| vec![T::nan(); operand.values.len()]);
        for (tokens, head, found) in heads.into_iter().flatten() {
            scatter(&found.queries, &mut gradients[0], operands[0].shape, tokens.clone(), 0, head);
            for (place, arrays) in [(1, &found.keys), (2, &found.values)] {
                for (number, array) in arrays.iter().enumerate() {
                    let shape = operands[place].shape;
                    scatter(array, &mut gradients[place], shape, tokens.clone(), number, head);
                }
            }
        }
        gradients.map(Some)
    }

    fn composition<const D: usize>(&self, [queries, keys, values]: [DispatchTensor; 3]) -> Tensor<D> {
        let queries = Tensor::<4>::from_dispatch(queries).swap_dims(1, 2);
        let apart = |arrays: Tensor<5>| -> Vec<Tensor<4>> {
            arrays.split(1, 2).into_iter().map(|array| array.squeeze_dim::<4>(2).swap_dims(1, 2)).collect()
        };
        let [keys, values] = [keys, values].map(Tensor::<5>::from_dispatch).map(apart);
        let time = queries.dims()[2];
        let hidden = hidden(&self.seen(time), time, time, &queries.device());
        let seen = hidden.bool_not().float().cast(queries.dtype());
        let mixed = match &self.computation {
            Computation::Exact => over_all_tuples(queries, keys, values, seen),
            Computation::Expansion(expansion) => by_monomials(expansion, queries, keys, values, seen),
        };
        Tensor::from_dispatch(mixed.swap_dims(1, 2).into_dispatch())
    }
}

impl Attention {
    /// The tokens of its row that each token sees, in rows of `time`.
    fn seen(&self, time: usize) -> Vec<Range<usize>> {
        let mut seen: Vec<Range<usize>> = Vec::new();
        for length in &self.lengths {
            // A document does not reach from one row into the next.
            let start = if time == 0 { 0 } else { seen.len() % time };
            let end = start + length;
            seen.extend((start..end).map(|token| start..if self.causal { token + 1 } else { end }));
        }
        seen
    }
}

/// The exact form in burn's operations: the softmax over the scores of all tuples, for queries `[batch, heads, time, d]`, keys and values of the
/// same ranks, and what is seen, `[batch, 1, time, time]`.
fn over_all_tuples(
    queries: Tensor<4>,
    keys: Vec<Tensor<4>>,
    values: Vec<Tensor<4>>,
    seen: Tensor<4>,
) -> Tensor<4> {
    /// `[.., tuples, n]` and `[.., time, n]` as `[.., tuples · time, n]`.
    fn with_each(tuples: Tensor<4>, array: Tensor<4>) -> Tensor<4> {
        let ([batch, heads, count, channels], time) = (tuples.dims(), array.dims()[2]);
        let products = tuples.unsqueeze_dim::<5>(3) * array.unsqueeze_dim(2);
        products.reshape([batch, heads, count * time, channels])
    }
    let of_tuples =
        |arrays: Vec<Tensor<4>>| arrays.into_iter().reduce(with_each).expect("at least one array");
    let [batch, heads, time, d] = queries.dims();
    let by_key = vec![seen.swap_dims(2, 3); keys.len()];
    let unseen = of_tuples(by_key).swap_dims(2, 3).equal_elem(0.0);
    let (keys, values) = (of_tuples(keys), of_tuples(values));
    // Not a quotient, whose derivative burn takes in single precision.
    let scores = (queries * (d as f64).recip()).matmul(keys.swap_dims(2, 3));
    let tuples = scores.dims()[3];
    let unseen = unseen.expand([batch, heads, time, tuples]);
    softmax(scores.mask_fill(unseen, HIDDEN), 3).matmul(values)
}

/// The polynomial form in burn's operations, for the same operands; see [`Expansion`].
fn by_monomials(
    expansion: &Expansion,
    queries: Tensor<4>,
    keys: Vec<Tensor<4>>,
    values: Vec<Tensor<4>>,
    seen: Tensor<4>,
) -> Tensor<4> {
    let ([batch, heads, time, _], channels) = (queries.dims(), values[0].dims()[3]);
    let (device, dtype) = (queries.device(), queries.dtype());
    let rank = expansion.rank();
    let coefficients = TensorData::new(expansion.coefficients().to_vec(), [1, 1, 1, rank]);
    let coefficients = Tensor::<4>::from_data(coefficients, (&device, dtype));
    let ones = Tensor::ones([batch, heads, time, 1], (&device, dtype));
    let seen = seen.expand([batch, heads, time, time]);
    // For every token and monomial the sums over what it sees of the monomial of the keys with each channel of the values and with 1.
    let sums = keys.into_iter().zip(values).map(|(keys, values)| {
        let values = Tensor::cat(vec![values, ones.clone()], 3).unsqueeze_dim::<5>(3);
        let products = monomials(expansion, keys).unsqueeze_dim::<5>(4) * values;
        seen.clone().matmul(products.reshape([batch, heads, time, rank * (channels + 1)]))
    });
    let sums = sums.reduce(|product, sums| product * sums).expect("at least one array");
    let sums = sums.reshape([batch, heads, time, rank, channels + 1]);
    let weights = (monomials(expansion, queries) * coefficients).unsqueeze_dim::<5>(3);
    let totals = weights.matmul(sums).squeeze_dim::<4>(3);
    totals.clone().narrow(3, 0, channels) / totals.narrow(3, channels, 1)
}

/// All monomials of `[batch, heads, time, d]`, `[batch, heads, time, rank]`, in the order of [`Expansion`]: those of a degree whose last variable
/// is l are its products with those of the degree before whose last variable is at most l.
fn monomials(expansion: &Expansion, variables: Tensor<4>) -> Tensor<4> {
    let [batch, heads, time, d] = variables.dims();
    let mut of_degree = Tensor::ones([batch, heads, time, 1], (&variables.device(), variables.dtype()));
    let mut all = vec![of_degree.clone()];
    let mut counts = vec![1; d];
    for _ in 0..expansion.degree() {
        let products =
            (0..d).map(|l| variables.clone().narrow(3, l, 1) * of_degree.clone().narrow(3, 0, counts[l]));
        of_degree = Tensor::cat(products.collect(), 3);
        all.push(of_degree.clone());
        let mut sum = 0;
        counts.iter_mut().for_each(|count| {
            sum += *count;
            *count = sum;
        });
    }
    Tensor::cat(all, 3)
}

/// Causal tensor attention.
#[derive(Module, Debug)]
pub struct TensorAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    #[module(skip)]
    computation: Computation,
    #[module(skip)]
    config: TensorAttentionConfig,
}

/// What the layer remembers of the tokens so far, for every row and head: sums of a fixed size with a polynomial, keys and values of all
/// tokens otherwise.
#[derive(Clone, Debug)]
pub struct TensorAttentionState {
    rows: Vec<Vec<State>>,
}

impl TensorAttentionState {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// These rows of the state, in this order; a row may be taken more than once.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        TensorAttentionState { rows: rows.iter().map(|&row| self.rows[row].clone()).collect() }
    }

    /// The rows of several states.
    pub fn join(states: Vec<Self>) -> Self {
        TensorAttentionState { rows: states.into_iter().flat_map(|state| state.rows).collect() }
    }
}

impl TensorAttention {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(TensorAttention {
            query: self.query.packed(dense)?,
            key: self.key.packed(dense)?,
            value: self.value.packed(dense)?,
            output: self.output.packed(dense)?,
            ..self
        })
    }

    /// The configuration.
    pub fn config(&self) -> &TensorAttentionConfig {
        &self.config
    }

    /// The output for all tokens, `[batch, time, width]` for the same.
    ///
    /// # Panics
    /// If `documents` are of another shape than the input.
    pub fn forward(&self, input: Tensor<3>, documents: &Documents) -> Tensor<3> {
        let [batch, time, _] = input.dims();
        let (queries, keys, values) = self.projections(input);
        let mixed = tensor_attention(queries, keys, values, documents, true, &self.computation);
        self.output.forward(mixed.reshape([batch, time, self.config.heads * self.config.head_width]))
    }

    /// The state before the first token.
    pub fn state(&self, batch: usize, _device: &Device) -> TensorAttentionState {
        TensorAttentionState { rows: vec![vec![State::default(); self.config.heads]; batch] }
    }

    /// The output for the next tokens of one document for each row, one or many, computed on the processor. No derivative passes through it.
    ///
    /// # Panics
    /// If the state is one of another number of rows.
    pub fn extend(&self, input: Tensor<3>, state: &mut TensorAttentionState) -> Tensor<3> {
        let [batch, time, _] = input.dims();
        assert_eq!(batch, state.rows(), "rows of the state");
        let (device, dtype) = (input.device(), input.dtype());
        let (heads, width) = (self.config.heads, self.config.head_width);
        let (queries, keys, values) = self.projections(input);
        let shapes = [queries.dims().to_vec(), keys.dims().to_vec(), values.dims().to_vec()];
        let numbers = [queries.into_data(), keys.into_data(), values.into_data()]
            .map(|data| data.iter::<f64>().collect::<Vec<f64>>());
        let array = |place: usize| Array { values: &numbers[place], shape: &shapes[place] };
        let (shape, mut output) = ([batch, time, heads, width], vec![f64::NAN; batch * time * heads * width]);
        let places = state.rows.par_iter_mut().enumerate();
        let found: Vec<_> = places
            .flat_map(|(row, states)| states.par_iter_mut().enumerate().map(move |place| (row, place)))
            .map(|(row, (head, state))| {
                let tokens = row * time..(row + 1) * time;
                let pieces = Pieces::new(array(0), array(1), array(2), tokens.clone(), head);
                (tokens, head, state.extend(&pieces.operands(true), self.computation.form()))
            })
            .collect();
        for (tokens, head, outputs) in found {
            if let Ok(outputs) = outputs {
                scatter(&outputs.output, &mut output, &shape, tokens, 0, head);
            }
        }
        let mixed =
            Tensor::from_data(TensorData::new(output, [batch, time, heads * width]), (&device, dtype));
        self.output.forward(mixed)
    }

    fn projections(&self, input: Tensor<3>) -> (Tensor<4>, Tensor<5>, Tensor<5>) {
        let [batch, time, _] = input.dims();
        let TensorAttentionConfig { heads, head_width, order, bound, .. } = self.config;
        let bounded = |x: Tensor<3>| match bound {
            Some(bound) => x.div_scalar(bound).tanh().mul_scalar(bound),
            None => x,
        };
        let arrays = [batch, time, order - 1, heads, head_width];
        let queries = bounded(self.query.forward(input.clone())).reshape([batch, time, heads, head_width]);
        let keys = bounded(self.key.forward(input.clone())).reshape(arrays);
        (queries, keys, self.value.forward(input).reshape(arrays))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::testing::{
        affine, assert_close, assert_composition, assert_gradients, double, draw, shaken, values,
    };

    const WIDTH: usize = 6;

    fn configs() -> Vec<TensorAttentionConfig> {
        let plain = TensorAttentionConfig { heads: 2, head_width: 3, ..TensorAttentionConfig::default() };
        let form = TensorAttentionForm::Polynomial { accuracy: 1e-11 };
        vec![
            TensorAttentionConfig { form: TensorAttentionForm::Exact, bound: None, ..plain },
            TensorAttentionConfig { form: TensorAttentionForm::Exact, bound: Some(0.8), order: 4, ..plain },
            TensorAttentionConfig { form, bound: Some(0.8), ..plain },
            TensorAttentionConfig { form, bound: Some(0.5), order: 2, heads: 3, head_width: 2 },
        ]
    }

    fn layer(config: &TensorAttentionConfig, device: &Device) -> TensorAttention {
        let mut random = Sequence::new(7);
        let layer = config.init(WIDTH, LinearKind::Dense, 0.5, &mut random, device);
        shaken(double(layer), &mut random)
    }

    /// The layer for one document, tuple by tuple.
    fn reference(layer: &TensorAttention, input: &[f64]) -> Vec<f64> {
        let TensorAttentionConfig { heads, head_width: d, order, bound, .. } = layer.config;
        let tokens: Vec<&[f64]> = input.chunks(WIDTH).collect();
        let bounded = |x: f64| bound.map_or(x, |bound| bound * (x / bound).tanh());
        let project =
            |linear: &Linear| -> Vec<Vec<f64>> { tokens.iter().map(|x| affine(linear, x)).collect() };
        let (queries, keys, given) = (project(&layer.query), project(&layer.key), project(&layer.value));
        let mut output = Vec::new();
        for time in 0..tokens.len() {
            let mut mixed = vec![0.0; heads * d];
            for head in 0..heads {
                let (mut total, seen) = (0.0, time + 1);
                for number in 0..seen.pow(order as u32 - 1) {
                    let member = |m: usize| number / seen.pow(m as u32) % seen;
                    let place = |m: usize, l: usize| (m * heads + head) * d + l;
                    let score: f64 = (0..d)
                        .map(|l| {
                            let keys = (0..order - 1).map(|m| bounded(keys[member(m)][place(m, l)]));
                            bounded(queries[time][head * d + l]) * keys.product::<f64>()
                        })
                        .sum();
                    let weight = (score / d as f64).exp();
                    total += weight;
                    for l in 0..d {
                        let value: f64 = (0..order - 1).map(|m| given[member(m)][place(m, l)]).product();
                        mixed[head * d + l] += weight * value;
                    }
                }
                mixed[head * d..][..d].iter_mut().for_each(|x| *x /= total);
            }
            output.extend(affine(&layer.output, &mixed));
        }
        output
    }

    #[test]
    fn packed_documents_are_the_reference_of_each() {
        let mut random = Sequence::new(1);
        let documents = Documents::new(7, vec![vec![0, 3, 4], vec![0]]).unwrap();
        let device = Device::flex();
        for config in configs() {
            let layer = layer(&config, &device);
            let input: Tensor<3> = draw([2, 7, WIDTH], &mut random, &device);
            let x = values(input.clone());
            let mut expected = Vec::new();
            for [from, to] in [[0, 3], [3, 4], [4, 7], [7, 14]] {
                expected.extend(reference(&layer, &x[from * WIDTH..to * WIDTH]));
            }
            assert_close(&values(layer.forward(input, &documents)), &expected, 1e-9);
        }
    }

    #[test]
    fn extending_gives_the_same_as_all_times_at_once() {
        let mut random = Sequence::new(2);
        let device = Device::flex();
        for config in configs() {
            let layer = layer(&config, &device);
            let time = 14;
            let input: Tensor<3> = draw([2, time, WIDTH], &mut random, &device);
            let expected = values(layer.forward(input.clone(), &Documents::whole(2, time)));
            for pieces in [vec![1; time], vec![5, 1, 8], vec![time]] {
                let (mut state, mut from, mut parts) = (layer.state(2, &device), 0, Vec::new());
                for piece in pieces {
                    parts.push(layer.extend(input.clone().narrow(1, from, piece), &mut state));
                    from += piece;
                }
                assert_close(&values(Tensor::cat(parts, 1)), &expected, 1e-10);
            }
            // Rows that are taken apart and put together.
            let mut state = layer.state(2, &device);
            layer.extend(input.clone().narrow(1, 0, 5), &mut state);
            let mut swapped = TensorAttentionState::join(vec![state.select(&[1]), state.select(&[0])]);
            let next = input.clone().narrow(1, 5, 1);
            let given = values(layer.extend(
                Tensor::cat(vec![next.clone().narrow(0, 1, 1), next.narrow(0, 0, 1)], 0),
                &mut swapped,
            ));
            let of_row = |row: usize| &expected[(row * time + 5) * WIDTH..][..WIDTH];
            assert_close(&given, &[of_row(1), of_row(0)].concat(), 1e-10);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut random = Sequence::new(3);
        let device = Device::flex().autodiff();
        let documents = Documents::new(4, vec![vec![0, 3], vec![0]]).unwrap();
        for config in configs() {
            let layer = layer(&config, &device);
            let input: Tensor<3> = draw([2, 4, WIDTH], &mut random, &device);
            assert_gradients(&layer, input, |layer, input| layer.forward(input, &documents));
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let good = TensorAttentionConfig::default();
        assert_eq!(good.check(), Ok(()));
        let polynomial = |accuracy| TensorAttentionForm::Polynomial { accuracy };
        for (config, word) in [
            (TensorAttentionConfig { heads: 0, ..good }, "heads = 0"),
            (TensorAttentionConfig { head_width: 0, ..good }, "head-width = 0"),
            (TensorAttentionConfig { order: 1, ..good }, "order = 1"),
            (TensorAttentionConfig { bound: Some(f64::NAN), ..good }, "bound = NaN"),
            (TensorAttentionConfig { bound: None, ..good }, "needs a bound"),
            (TensorAttentionConfig { form: polynomial(0.0), ..good }, "accuracy is 0"),
            (TensorAttentionConfig { head_width: 64, ..good }, "monomials"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_spread() {
        let device = Device::flex();
        for config in configs() {
            let layer = layer(&config, &device);
            let input: Tensor<3> = draw([1, 2, WIDTH], &mut Sequence::new(5), &device) * f64::NAN;
            let output = layer.forward(input.clone(), &Documents::whole(1, 2));
            assert!(values(output).iter().all(|y| y.is_nan()));
            let mut state = layer.state(1, &device);
            assert!(values(layer.extend(input, &mut state)).iter().all(|y| y.is_nan()));
        }
    }

    #[test]
    fn the_compositions_are_the_operations() {
        let (device, mut random) = (Device::flex(), Sequence::new(8));
        for config in configs() {
            for (rows, lengths) in [(1, vec![1]), (2, vec![2, 3, 5])] {
                for causal in [true, false] {
                    let TensorAttentionConfig { heads, head_width: d, order, .. } = config;
                    let time = lengths.iter().sum::<usize>() / rows;
                    let queries: Tensor<4> = draw([rows, time, heads, d], &mut random, &device);
                    let keys: Tensor<5> = draw([rows, time, order - 1, heads, d], &mut random, &device);
                    let values: Tensor<5> = draw([rows, time, order - 1, heads, 2], &mut random, &device);
                    let bound = config.bound.unwrap_or(1.0);
                    let (queries, keys) = (queries.tanh() * bound, keys.tanh() * bound);
                    let computation = config.computation().unwrap();
                    let operation = Attention { lengths: lengths.clone(), causal, computation };
                    let operands = [queries.into_dispatch(), keys.into_dispatch(), values.into_dispatch()];
                    assert_composition::<3, 4>(&operation, operands, 1e-11);
                }
            }
        }
    }
}
