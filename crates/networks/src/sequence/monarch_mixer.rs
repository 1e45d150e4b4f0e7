//! The mixer of Monarch Mixer: gated convolutions as long as the sequence, whose filters are given implicitly. Fu et al., "Monarch Mixer: A
//! Simple Sub-Quadratic GEMM-Based Architecture" (NeurIPS 2023), the layer of its public M2-BERT:
//! ```text
//! [x₁ x₂ v] = short(u W_in + b)                 depthwise, causal, three taps and a bias
//! y = conv(v ∘ x₁; filter 1) ∘ x₂
//! out = (y + conv(u; filter 2)) W_out + b       the second convolution is of the input
//! ```
//! Each convolution adds its input times a number D for each channel. There is no residual connection around the mixer there. A causal
//! mixer has filters of the past only; one over both sides has filters of the future too.
//!
//! The filter, for lags t = 0, ..., L − 1 over the longest length L: a network of sines of the position features
//! `[t/(L−1), cos(2π f_i t/L), −sin(2π f_i t/L)]`, times the window `exp(−|δ_c| t/(L−1))`. Shorter sequences use its first lags; longer ones
//! are refused. What the text of the paper shows differs: a learned kernel in the transformed domain without gates.

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use mathesis_algebra::long_convolution::LongConvolution;
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::Real;
use serde::{Deserialize, Serialize};

use super::Documents;
use super::blocks::{Blocks, indices};
use super::gated_linear_attention::document_lengths;
use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind, constant, normal};
use super::short_convolution::short_convolution;
use super::sine::{decayed, sine};
use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_three};

/// `y_t = Σ_{s≤t} k_{t−s} w_s + Σ_{s>t} k′_{s−t−1} w_s` for inputs w `[batch, time, channels]`, with kernels `[length, channels]` of the past
/// and, if it is not causal, of the future.
///
/// # Panics
/// If the shapes do not fit each other, or a document is longer than the kernels.
pub fn long_convolution(
    input: Tensor<3>,
    past: Tensor<2>,
    future: Option<Tensor<2>>,
    documents: &Documents,
) -> Tensor<3> {
    let [batch, time, channels] = input.dims();
    assert_eq!(documents.shape(), [batch, time], "documents of a long convolution");
    assert_eq!(past.dims()[1], channels, "channels of a long convolution");
    let (lengths, longest) = (document_lengths(documents), documents.longest());
    assert!(longest <= past.dims()[0], "a document of {longest} tokens, a kernel of {}", past.dims()[0]);
    let causal = future.is_none();
    let future = future.unwrap_or_else(|| Tensor::zeros([0, channels], (&input.device(), input.dtype())));
    assert!(causal || future.dims() == past.dims(), "both kernels of a long convolution are alike");
    let operands = [input.into_dispatch(), past.into_dispatch(), future.into_dispatch()];
    apply_to_three(Convolve { lengths, causal }, operands)
}

#[derive(Clone, Debug)]
struct Convolve {
    lengths: Vec<usize>,
    causal: bool,
}

impl Convolve {
    fn convolution<'a, T>(&'a self, [input, past, future]: [Array<'a, T>; 3]) -> LongConvolution<'a, T> {
        LongConvolution {
            channels: input.shape[2],
            lengths: &self.lengths,
            past: past.values,
            future: (!self.causal).then_some(future.values),
        }
    }
}

impl SliceOperation<3> for Convolve {
    fn forward<T: Real>(&self, operands: [Array<'_, T>; 3]) -> (Vec<T>, Vec<usize>) {
        let output = self.convolution(operands).forward(operands[0].values);
        (output.expect("operands of the shapes that were asserted"), operands[0].shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; 3],
        _: Array<'_, T>,
        gradient: &[T],
        _: [bool; 3],
    ) -> ArrayGradients<T, 3> {
        let of = self.convolution(operands).backward(operands[0].values, gradient);
        let of = of.expect("operands of the shapes that were asserted");
        [Some(of.input), Some(of.past), Some(of.future.unwrap_or_default())]
    }

    /// One product for each channel, of the Toeplitz matrices of all lags between two blocks with the blocks that are so far apart.
    fn composition<const D: usize>(&self, [input, past, future]: [DispatchTensor; 3]) -> Tensor<D> {
        let input = Tensor::<3>::from_dispatch(input);
        let (past, future) = (Tensor::<2>::from_dispatch(past), Tensor::<2>::from_dispatch(future));
        let (shape, [length, channels]) = (input.dims(), past.dims());
        let (device, dtype) = (input.device(), input.dtype());
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Tensor::from_dispatch(input.into_dispatch());
        }
        let size = longest.min(BLOCK);
        let blocks = Blocks::new(&self.lengths, size);
        // A block that comes so many later than what it sees; earlier, if it sees what comes.
        let most = longest.div_ceil(size) as isize - 1;
        let least = if self.causal { 0 } else { -most };
        let distances = (most - least + 1) as usize;

        let lags = (0..size as isize).flat_map(|to| {
            (least..=most).flat_map(move |distance| {
                (0..size as isize).map(move |from| distance * size as isize + to - from)
            })
        });
        let nothing = if self.causal { length } else { 2 * length };
        let place = |lag: isize| match usize::try_from(lag) {
            Ok(lag) if lag < length => lag,
            Err(_) if !self.causal && lag.unsigned_abs() <= length => length + lag.unsigned_abs() - 1,
            _ => nothing,
        };
        let lags: Vec<usize> = lags.map(place).collect();
        let zeros = Tensor::zeros([1, channels], (&device, dtype));
        let kernels = if self.causal { vec![past, zeros] } else { vec![past, future, zeros] };
        let matrices = Tensor::cat(kernels, 0).select(0, indices(&lags, &device)).transpose();
        let matrices = matrices.reshape([channels, size, distances * size]);

        let count = blocks.count();
        let mut seen = vec![count; distances * count];
        let mut first = 0;
        for &of_document in blocks.of_documents() {
            let own = first..first + of_document;
            for (place, distance) in (least..=most).enumerate() {
                for block in own.clone() {
                    let from = block.checked_add_signed(-distance).filter(|from| own.contains(from));
                    seen[place * count + block] = from.unwrap_or(count);
                }
            }
            first = own.end;
        }
        let cut = blocks.cut(input.reshape([shape[0] * shape[1], channels]));
        let zeros = Tensor::zeros([1, size, channels], (&device, dtype));
        let seen = Tensor::cat(vec![cut, zeros], 0).select(0, indices(&seen, &device));
        let seen = seen.reshape([distances, count, size, channels]).permute([3, 0, 2, 1]);
        let seen = seen.reshape([channels, distances * size, count]);
        let output = blocks.join(matrices.matmul(seen).permute([2, 1, 0]));
        Tensor::from_dispatch(output.reshape(shape).into_dispatch())
    }
}

/// Tokens of a block of the composition: with kernels of a thousand lags the matrices and the blocks that they are multiplied with are then
/// of like size.
const BLOCK: usize = 64;

/// The shape of the mixer. The defaults beside the length are those of the public code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MonarchMixerConfig {
    /// The longest sequence.
    pub longest: usize,
    /// Whether a token sees those before it only.
    #[serde(default = "causal")]
    pub causal: bool,
    /// Whether the input passes a convolution beside the gated one.
    #[serde(default = "residual")]
    pub residual: bool,
    /// The filters.
    #[serde(default)]
    pub filter: ImplicitFilterConfig,
}

fn causal() -> bool {
    true
}

fn residual() -> bool {
    true
}

/// The shape of an implicit filter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ImplicitFilterConfig {
    /// Bands of the position features (2: five features).
    pub bands: usize,
    /// Width of the network (128).
    pub order: usize,
    /// The factor in the sines at the start (10).
    pub frequency: f64,
}

impl Default for ImplicitFilterConfig {
    fn default() -> Self {
        ImplicitFilterConfig { bands: 2, order: 128, frequency: 10.0 }
    }
}

impl ImplicitFilterConfig {
    /// Filters of so many channels, for sequences up to the longest: of the past, and of the future if it is not causal. The weights of
    /// their networks are drawn with the standard deviation `1/√(3 fan-in)` of the published uniform ones.
    ///
    /// # Panics
    /// If an extent is zero, or the longest sequence is shorter than two tokens.
    pub fn init(
        &self,
        channels: usize,
        longest: usize,
        causal: bool,
        random: &mut Sequence,
        device: &Device,
    ) -> ImplicitFilter {
        assert!(self.bands > 0 && self.order > 0 && channels > 0 && longest > 1, "a filter: {self:?}");
        let mut layer = |inputs: usize, outputs: usize, bias: bool| {
            let config = LinearConfig { inputs, outputs, bias, kind: LinearKind::Dense };
            config.init((3.0 * inputs as f64).sqrt().recip(), random, device)
        };
        let features = 2 * self.bands + 1;
        let mut positions = Vec::with_capacity(longest * features);
        for t in 0..longest {
            let band = |i: usize| {
                let last = (self.bands - 1).max(1) as f64;
                let frequency = 1e-4 + (self.bands as f64 - 1.0 - 1e-4) * i as f64 / last;
                frequency * std::f64::consts::TAU * t as f64 / longest as f64
            };
            positions.push(t as f64 / (longest - 1) as f64);
            positions.extend((0..self.bands).map(|i| band(i).cos()));
            positions.extend((0..self.bands).map(|i| -band(i).sin()));
        }
        let mut network = || SineNetwork {
            hidden: vec![
                layer(features, self.order, true),
                layer(self.order, self.order, true),
                layer(self.order, self.order, true),
            ],
            output: layer(self.order, channels, false),
        };
        ImplicitFilter {
            past: network(),
            future: (!causal).then(network),
            positions: Param::from_data(TensorData::new(positions, [longest, features]), device),
            frequency: constant(self.order, self.frequency as f32, device),
            channels,
        }
    }

    /// The number of weights, biases and position features of the filters that [`Self::init`] makes.
    fn parameters(&self, channels: usize, longest: usize, causal: bool) -> usize {
        let features = 2 * self.bands + 1;
        let hidden = self.order * (features + 1) + 2 * self.order * (self.order + 1);
        let networks = if causal { 1 } else { 2 };
        networks * (hidden + self.order * channels) + longest * features + self.order
    }
}

/// Filters that networks of sines make of position features: of the past, and perhaps of the future. The features and the factors in
/// the sines are the same for both, as in the public code.
#[derive(Module, Debug)]
pub struct ImplicitFilter {
    /// The features, `[longest, features]`; they are learnt too (the published rate: 1e-5).
    pub positions: Param<Tensor<2>>,
    /// The factor in the sines for every unit, shared by all layers.
    frequency: Param<Tensor<1>>,
    past: SineNetwork,
    future: Option<SineNetwork>,
    channels: usize,
}

/// Lags that are computed at least: products of fewer rows are summed in another order, and the sines enlarge differences in the last bit.
const LEAST: usize = 32;

/// Layers with sines between them.
#[derive(Module, Debug)]
struct SineNetwork {
    hidden: Vec<Linear>,
    output: Linear,
}

impl ImplicitFilter {
    /// The filter of the past at the first `length` lags, `[length, channels]`.
    ///
    /// # Panics
    /// If the length is above the longest.
    pub fn past(&self, length: usize) -> Tensor<2> {
        self.of(&self.past, length)
    }

    /// The filter of the future, if there is one, in the same form.
    ///
    /// # Panics
    /// If the length is above the longest.
    pub fn future(&self, length: usize) -> Option<Tensor<2>> {
        self.future.as_ref().map(|network| self.of(network, length))
    }

    fn of(&self, network: &SineNetwork, length: usize) -> Tensor<2> {
        let [longest, features] = self.positions.shape().dims();
        assert!(length <= longest, "a filter of {length} lags, at most {longest}");
        let computed = length.max(LEAST).min(longest);
        let positions = self.positions.val().slice([0..computed, 0..features]);
        let (device, dtype) = (positions.device(), positions.dtype());
        let hidden = network
            .hidden
            .iter()
            .fold(positions, |input, layer| sine(layer.forward(input), self.frequency.val()));
        // |δ| from slow to fast: what is left at the longest lag goes from 5 % to 2e-7.
        let (slow, fast) = (-0.01_f64.ln() / 1.5, -0.01_f64.ln() / 0.3);
        let decay =
            |channel: usize| slow + (fast - slow) * channel as f64 / (self.channels - 1).max(1) as f64;
        let decays: Vec<f64> = (0..self.channels).map(decay).collect();
        let decays = Tensor::from_data(TensorData::new(decays, [self.channels]), (&device, dtype));
        let step = 1.0 / (longest - 1) as f64;
        decayed(network.output.forward(hidden), decays, step).slice([0..length, 0..self.channels])
    }
}

/// A convolution with filters of the past and perhaps of the future, and its input times a number for each channel.
#[derive(Module, Debug)]
struct FilteredConvolution {
    filter: ImplicitFilter,
    direct: Param<Tensor<1>>,
    /// For inference.
    #[module(skip)]
    made: Option<Kernels>,
}

/// The kernels of a convolution at all lags, `[longest, channels]`: of the past with the direct connection, and perhaps of the future.
#[derive(Clone, Debug)]
struct Kernels {
    past: Tensor<2>,
    future: Option<Tensor<2>>,
}

impl FilteredConvolution {
    /// With kernels that are made once instead of in every pass.
    fn with_kernels(self, longest: usize) -> Self {
        let kernels = Kernels { past: self.kernel(longest), future: self.filter.future(longest) };
        FilteredConvolution { made: Some(kernels), ..self }
    }

    /// The kernel of the past at the first lags, with the direct connection at lag zero.
    fn kernel(&self, length: usize) -> Tensor<2> {
        if let Some(kernels) = &self.made {
            return first_lags(&kernels.past, length);
        }
        let kernel = self.filter.past(length);
        let [length, channels] = kernel.dims();
        let direct: Tensor<2> = self.direct.val().unsqueeze();
        if length < 2 {
            return kernel + direct;
        }
        let first = kernel.clone().slice([0..1, 0..channels]) + direct;
        Tensor::cat(vec![first, kernel.slice([1..length, 0..channels])], 0)
    }

    fn forward(&self, input: Tensor<3>, documents: &Documents) -> Tensor<3> {
        let longest = documents.longest();
        let future = match &self.made {
            Some(kernels) => kernels.future.as_ref().map(|kernel| first_lags(kernel, longest)),
            None => self.filter.future(longest),
        };
        long_convolution(input, self.kernel(longest), future, documents)
    }
}

fn first_lags(kernel: &Tensor<2>, length: usize) -> Tensor<2> {
    let [longest, channels] = kernel.dims();
    assert!(length <= longest, "a filter of {length} lags, at most {longest}");
    if length == longest { kernel.clone() } else { kernel.clone().slice([0..length, 0..channels]) }
}

impl MonarchMixerConfig {
    /// A causal mixer for sequences up to the longest.
    pub fn new(longest: usize) -> Self {
        MonarchMixerConfig { longest, causal: true, residual: true, filter: ImplicitFilterConfig::default() }
    }

    /// The two linear layers: to both gates and the values, and from the output.
    pub fn linears(&self, width: usize, kind: LinearKind) -> [LinearConfig; 2] {
        [
            LinearConfig { inputs: width, outputs: 3 * width, bias: true, kind },
            LinearConfig { inputs: width, outputs: width, bias: true, kind },
        ]
    }

    /// The number of weights, biases and position features for inputs of the given width.
    pub fn parameters(&self, width: usize, kind: LinearKind) -> usize {
        let linears: usize = self.linears(width, kind).iter().map(LinearConfig::parameters).sum();
        let short = (TAPS + 1) * 3 * width;
        let convolutions = if self.residual { 2 } else { 1 };
        let convolution = self.filter.parameters(width, self.longest, self.causal) + width;
        linears + short + convolutions * convolution
    }

    /// A mixer for inputs of the given width, with random weights of the given standard deviation in its linear layers. Numbers D of
    /// the direct connections are standard normal, taps of the short convolution have the deviation 1/3.
    ///
    /// # Panics
    /// If the longest sequence is shorter than two tokens, or an extent of the filter is zero.
    pub fn init(
        &self,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> MonarchMixer {
        let [input, output] = self.linears(width, kind).map(|linear| linear.init(deviation, random, device));
        let taps = normal([TAPS, 3 * width], 1.0 / 3.0, random, device);
        let mut filtered = || FilteredConvolution {
            filter: self.filter.init(width, self.longest, self.causal, random, device),
            direct: normal([width], 1.0, random, device),
            made: None,
        };
        MonarchMixer {
            input,
            taps,
            tap_bias: constant(3 * width, 0.0, device),
            gated: filtered(),
            residual: self.residual.then(&mut filtered),
            output,
            width,
            longest: self.longest,
            causal: self.causal,
        }
    }
}

/// Taps of the short convolution.
const TAPS: usize = 3;

/// The mixer.
#[derive(Module, Debug)]
pub struct MonarchMixer {
    input: Linear,
    /// `[3, 3 width]`, lag by lag.
    taps: Param<Tensor<2>>,
    tap_bias: Param<Tensor<1>>,
    gated: FilteredConvolution,
    residual: Option<FilteredConvolution>,
    output: Linear,
    width: usize,
    longest: usize,
    causal: bool,
}

/// What a causal mixer remembers: all tokens so far, for a filter reaches over all of them. Rows may have read unequally many.
#[derive(Clone, Debug)]
pub struct MonarchMixerState {
    rows: Vec<Row>,
    /// The kernels of the gated convolution and, if there is one, of the residual one, `[longest, width]`, the largest lag first: they are
    /// the same at every step, and made once.
    kernels: Vec<Tensor<2>>,
}

/// What one row has read.
#[derive(Clone, Debug)]
struct Row {
    /// Inputs of these convolutions, `[time, width]`.
    inputs: Vec<Tensor<2>>,
    /// The last inputs of the short convolution, `[2, 3 width]`.
    recent: Tensor<2>,
    /// The number of tokens read.
    read: usize,
}

impl MonarchMixerState {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// These rows of the state, in this order; a row may be taken more than once.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        let rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
        MonarchMixerState { rows, kernels: self.kernels.clone() }
    }

    /// The rows of several states of one mixer.
    ///
    /// # Panics
    /// If there is none.
    pub fn join(states: Vec<Self>) -> Self {
        let mut states = states.into_iter();
        let mut joined = states.next().expect("at least one state");
        joined.rows.extend(states.flat_map(|state| state.rows));
        joined
    }
}

impl MonarchMixer {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference. Its filters are made once,
    /// for the longest sequence, and kept: what learns must make them anew in every pass.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(MonarchMixer {
            input: self.input.packed(dense)?,
            output: self.output.packed(dense)?,
            gated: self.gated.with_kernels(self.longest),
            residual: self.residual.map(|residual| residual.with_kernels(self.longest)),
            ..self
        })
    }

    /// The longest sequence.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// All times at once, `[batch, time, width]` to the same shape; no document sees another.
    ///
    /// # Panics
    /// If a document is longer than the longest of the configuration.
    pub fn forward(&self, input: Tensor<3>, documents: &Documents) -> Tensor<3> {
        let projected = self.input.forward(input.clone());
        let [first, second, values] = self.split(self.short(projected, documents));
        let mut mixed = self.gated.forward(values * first, documents) * second;
        if let Some(residual) = &self.residual {
            mixed = mixed + residual.forward(input, documents);
        }
        self.output.forward(mixed)
    }

    /// The state before the first token.
    pub fn state(&self, batch: usize, device: &Device) -> MonarchMixerState {
        let zeros = |time, width| Tensor::zeros([time, width], (device, self.tap_bias.val().dtype()));
        let convolutions = std::iter::once(&self.gated).chain(&self.residual);
        let kernels: Vec<Tensor<2>> =
            convolutions.map(|convolution| convolution.kernel(self.longest).flip([0])).collect();
        let inputs = vec![zeros(0, self.width); kernels.len()];
        let row = Row { inputs, recent: zeros(TAPS - 1, 3 * self.width), read: 0 };
        MonarchMixerState { rows: vec![row; batch], kernels }
    }

    /// The next times of the rows, `[batch, time, width]` to the same shape. One token costs as much as there are tokens before it.
    ///
    /// # Panics
    /// If the mixer is not causal, a row would be longer than the longest sequence, or the state is one of another number of rows.
    pub fn extend(&self, input: Tensor<3>, state: &mut MonarchMixerState) -> Tensor<3> {
        assert!(self.causal, "a mixer over both sides has no next tokens");
        let [batch, time, width] = input.dims();
        assert_eq!(state.rows.len(), batch, "rows of the state");
        if time == 0 || batch == 0 {
            return input;
        }
        let recent = Tensor::stack(state.rows.iter().map(|row| row.recent.clone()).collect(), 0);
        let joined = Tensor::cat(vec![recent, self.input.forward(input.clone())], 1);
        let all = time + TAPS - 1;
        let short = self.short(joined.clone(), &Documents::whole(batch, all));
        let [first, second, values] = self.split(short.slice([0..batch, TAPS - 1..all, 0..3 * width]));
        let gated = values * first;
        for (number, row) in state.rows.iter_mut().enumerate() {
            row.read += time;
            assert!(row.read <= self.longest, "{} tokens, at most {}", row.read, self.longest);
            row.recent = joined
                .clone()
                .slice([number..number + 1, time..all, 0..3 * width])
                .reshape([TAPS - 1, 3 * width]);
            let of_row = |tensor: &Tensor<3>| {
                tensor.clone().slice([number..number + 1, 0..time, 0..width]).reshape([time, width])
            };
            // Without a residual convolution the input itself need not be kept.
            for (read, new) in row.inputs.iter_mut().zip([&gated, &input]) {
                *read = Tensor::cat(vec![read.clone(), of_row(new)], 0);
            }
        }
        let convolved = |place: usize| {
            let inputs: Vec<&Tensor<2>> = state.rows.iter().map(|row| &row.inputs[place]).collect();
            last(&state.kernels[place], &inputs, time)
        };
        let mut mixed = convolved(0) * second;
        if self.residual.is_some() {
            mixed = mixed + convolved(1);
        }
        self.output.forward(mixed)
    }

    /// The short convolution.
    fn short(&self, input: Tensor<3>, documents: &Documents) -> Tensor<3> {
        short_convolution(input, self.taps.val(), documents) + self.tap_bias.val().unsqueeze()
    }

    fn split(&self, projected: Tensor<3>) -> [Tensor<3>; 3] {
        let [batch, time, _] = projected.dims();
        let part =
            |k: usize| projected.clone().slice([0..batch, 0..time, k * self.width..(k + 1) * self.width]);
        [part(0), part(1), part(2)]
    }
}

/// The last outputs `[rows, count, width]` of a causal convolution of everything that rows have read, `[time, width]` each, with a
/// kernel `[longest, width]` whose largest lag comes first.
fn last(kernel: &Tensor<2>, inputs: &[&Tensor<2>], count: usize) -> Tensor<3> {
    let [longest, width] = kernel.dims();
    let of_lags = |lags: usize| kernel.clone().slice([longest - lags..longest, 0..width]);
    if count == 1 {
        // One sum a row: no transform.
        let sums = inputs.iter().map(|&input| (input.clone() * of_lags(input.dims()[0])).sum_dim(0));
        return Tensor::stack(sums.collect(), 0);
    }
    // The rows are documents of one row.
    let lengths: Vec<usize> = inputs.iter().map(|input| input.dims()[0]).collect();
    let all = lengths.iter().sum();
    let starts: Vec<usize> = lengths
        .iter()
        .scan(0, |end, length| {
            *end += length;
            Some(*end - length)
        })
        .collect();
    let documents = Documents::new(all, vec![starts.clone()]).expect("rows that have read something");
    let packed = Tensor::cat(inputs.iter().map(|&input| input.clone()).collect(), 0);
    let past = of_lags(lengths.iter().copied().max().unwrap_or(0)).flip([0]);
    let outputs = long_convolution(packed.unsqueeze(), past, None, &documents).reshape([all, width]);
    let of_row = |(start, length): (&usize, &usize)| {
        let end = start + length;
        outputs.clone().slice([end - count..end, 0..width])
    };
    Tensor::stack(starts.iter().zip(&lengths).map(of_row).collect(), 0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::s;

    use super::*;
    use crate::sequence::testing::{
        affine, assert_close, assert_composition, assert_gradients, double, draw, shaken, values,
    };

    const WIDTH: usize = 3;

    fn mixer(causal: bool, random: &mut Sequence, device: &Device) -> MonarchMixer {
        let filter = ImplicitFilterConfig { bands: 2, order: 4, frequency: 1.5 };
        let config = MonarchMixerConfig { longest: 12, causal, residual: true, filter };
        let mut mixer = double(config.init(WIDTH, LinearKind::Dense, 0.5, random, device));
        assert_eq!(mixer.num_params(), config.parameters(WIDTH, LinearKind::Dense));
        let mut change = |linear: Linear| shaken(linear, random);
        mixer.input = change(mixer.input);
        mixer.output = change(mixer.output);
        mixer.tap_bias = Param::from_tensor(draw([3 * WIDTH], random, device));
        mixer
    }

    /// The filter by its definition, `[length][channels]`.
    fn filter_reference(
        filter: &ImplicitFilter,
        network: &SineNetwork,
        length: usize,
        longest: usize,
    ) -> Vec<Vec<f64>> {
        let frequency = values(filter.frequency.val());
        let positions = values(filter.positions.val());
        (0..length)
            .map(|t| {
                let features = &positions[t * 5..][..5];
                let hidden = network.hidden.iter().fold(features.to_vec(), |x, layer| {
                    affine(layer, &x).iter().zip(&frequency).map(|(y, w)| (y * w).sin()).collect()
                });
                let decay = |c: usize| {
                    let from = 0.01_f64.ln() / 1.5;
                    (from + (0.01_f64.ln() / 0.3 - from) * c as f64 / (WIDTH - 1) as f64).abs()
                };
                let time = t as f64 / (longest - 1) as f64;
                let output = affine(&network.output, &hidden);
                output.iter().enumerate().map(|(c, y)| y * (-time * decay(c)).exp()).collect()
            })
            .collect()
    }

    fn convolution_reference(convolution: &FilteredConvolution, w: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let filter = &convolution.filter;
        let past = filter_reference(filter, &filter.past, w.len(), 12);
        let future = filter.future.as_ref().map(|network| filter_reference(filter, network, w.len(), 12));
        let direct = values(convolution.direct.val());
        (0..w.len())
            .map(|t| {
                (0..WIDTH)
                    .map(|c| {
                        let before: f64 = (0..=t).map(|s| past[t - s][c] * w[s][c]).sum();
                        let after: f64 = future
                            .iter()
                            .flat_map(|future| (t + 1..w.len()).map(move |s| future[s - t - 1][c] * w[s][c]))
                            .sum();
                        before + after + direct[c] * w[t][c]
                    })
                    .collect()
            })
            .collect()
    }

    /// One sequence, number by number.
    fn reference(mixer: &MonarchMixer, input: &[f64]) -> Vec<f64> {
        let u: Vec<Vec<f64>> = input.chunks(WIDTH).map(<[f64]>::to_vec).collect();
        let (taps, bias) = (values(mixer.taps.val()), values(mixer.tap_bias.val()));
        let projected: Vec<Vec<f64>> = u.iter().map(|u| affine(&mixer.input, u)).collect();
        let short = |t: usize, c: usize| {
            bias[c]
                + (0..3.min(t + 1)).map(|lag| taps[lag * 3 * WIDTH + c] * projected[t - lag][c]).sum::<f64>()
        };
        let w: Vec<Vec<f64>> = (0..u.len())
            .map(|t| (0..WIDTH).map(|c| short(t, 2 * WIDTH + c) * short(t, c)).collect())
            .collect();
        let y = convolution_reference(&mixer.gated, &w);
        let residual = convolution_reference(mixer.residual.as_ref().expect("a residual"), &u);
        (0..u.len())
            .flat_map(|t| {
                let mixed: Vec<f64> =
                    (0..WIDTH).map(|c| y[t][c] * short(t, WIDTH + c) + residual[t][c]).collect();
                affine(&mixer.output, &mixed)
            })
            .collect()
    }

    #[test]
    fn the_mixer_is_its_equations_with_its_gradients() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(1);
        for causal in [true, false] {
            let mixer = mixer(causal, &mut random, &device);
            let documents = Documents::new(9, vec![vec![0], vec![0, 1, 6]]).expect("valid");
            let input: Tensor<3> = draw([2, 9, WIDTH], &mut random, &device);
            let x = values(input.clone());
            let parts = [0..9, 9..10, 10..15, 15..18]
                .map(|part| reference(&mixer, &x[part.start * WIDTH..part.end * WIDTH]));
            assert_close(&values(mixer.forward(input.clone(), &documents)), &parts.concat(), 1e-11);
            assert_gradients(&mixer, input, |mixer, input| mixer.forward(input, &documents));
        }
    }

    #[test]
    fn no_token_of_a_causal_mixer_sees_a_later_one() {
        let device = Device::flex();
        let mut random = Sequence::new(2);
        for causal in [true, false] {
            let mixer = mixer(causal, &mut random, &device);
            let input: Tensor<3> = draw([1, 12, WIDTH], &mut random, &device);
            let documents = Documents::whole(1, 12);
            let before = values(mixer.forward(input.clone(), &documents));
            let moved = input.slice_assign(s![.., 7..8, ..], draw([1, 1, WIDTH], &mut random, &device));
            let after = values(mixer.forward(moved, &documents));
            let seen = before.iter().zip(&after).take(7 * WIDTH).any(|(a, b)| (a - b).abs() > 1e-12);
            assert_eq!(seen, !causal);
        }
    }

    #[test]
    fn decoding_is_the_forward_pass() {
        let device = Device::flex();
        let mut random = Sequence::new(3);
        let mixer = mixer(true, &mut random, &device);
        let input: Tensor<3> = draw([2, 12, WIDTH], &mut random, &device);
        let whole = values(mixer.forward(input.clone(), &Documents::whole(2, 12)));
        let mut state = MonarchMixerState::join(vec![mixer.state(1, &device); 2]);
        let mut start = 0;
        let mut parts = Vec::new();
        for length in [1, 1, 1, 0, 4, 1, 2, 1, 1] {
            parts.push(mixer.extend(input.clone().slice(s![.., start..start + length, ..]), &mut state));
            start += length;
        }
        assert_close(&values(Tensor::cat(parts, 1)), &whole, 1e-12);
        assert_eq!(state.select(&[1, 1, 0]).rows(), 3);
    }

    #[test]
    fn kernels_made_once_are_those_of_every_pass() {
        let device = Device::flex();
        let mut random = Sequence::new(5);
        for causal in [true, false] {
            let mixer = mixer(causal, &mut random, &device);
            let kept = mixer.clone().packed(DenseStorage::Kept).expect("finite weights");
            for time in [1, 5, 12] {
                let input: Tensor<3> = draw([2, time, WIDTH], &mut random, &device);
                let documents = Documents::whole(2, time);
                let given = values(kept.forward(input.clone(), &documents));
                assert_close(&given, &values(mixer.forward(input.clone(), &documents)), 1e-12);
                if causal {
                    let mut state = kept.state(2, &device);
                    assert_close(&values(kept.extend(input, &mut state)), &given, 1e-12);
                }
            }
        }
    }

    #[test]
    fn rows_that_have_read_unequally_many_tokens_go_on_together() {
        let device = Device::flex();
        let mut random = Sequence::new(4);
        let mixer = mixer(true, &mut random, &device);
        let rows: [Tensor<3>; 2] = [3, 8].map(|time| draw([1, time, WIDTH], &mut random, &device));
        let states = rows.clone().map(|row| {
            let mut state = mixer.state(1, &device);
            mixer.extend(row, &mut state);
            state
        });
        let mut state = MonarchMixerState::join(states.to_vec()).select(&[1, 0]);
        let next: Tensor<3> = draw([2, 3, WIDTH], &mut random, &device);
        let given = [0..2, 2..3].map(|times| mixer.extend(next.clone().slice(s![.., times, ..]), &mut state));
        let given = Tensor::cat(given.to_vec(), 1);
        for (place, row) in [1, 0].into_iter().enumerate() {
            let own = next.clone().slice(s![place..place + 1, .., ..]);
            let time = rows[row].dims()[1];
            let whole =
                mixer.forward(Tensor::cat(vec![rows[row].clone(), own], 1), &Documents::whole(1, time + 3));
            let expected = values(whole.slice(s![.., time.., ..]));
            assert_close(&values(given.clone().slice(s![place..place + 1, .., ..])), &expected, 1e-12);
        }
    }

    #[test]
    fn the_composition_is_the_operation() {
        let (device, mut random) = (Device::flex(), Sequence::new(5));
        for (rows, lengths) in [(1, vec![1]), (2, vec![2, 5, 1, 6]), (1, vec![150, 20, 64]), (1, vec![65])] {
            for causal in [true, false] {
                let all = lengths.iter().sum::<usize>();
                let longest = lengths.iter().copied().max().unwrap() + 1;
                let input: Tensor<3> = draw([rows, all / rows, 2], &mut random, &device);
                let past: Tensor<2> = draw([longest, 2], &mut random, &device);
                let future: Tensor<2> = draw([if causal { 0 } else { longest }, 2], &mut random, &device);
                let operands = [input.into_dispatch(), past.into_dispatch(), future.into_dispatch()];
                assert_composition::<3, 3>(&Convolve { lengths: lengths.clone(), causal }, operands, 1e-11);
            }
        }
    }
}
