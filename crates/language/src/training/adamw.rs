//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019), each parameter in one pass.
//!
//! With the gradient `g`, times a factor that averages and clips it, at step `t`:
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `p ← p (1 − η λ) − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
//! On the processor (`Flex`, `f32`) all three are updated in place; on every other device, and for other number formats, by a
//! [`composition`] of burn's own operations.

use std::collections::BTreeMap;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use mathesis_algebra::real::vectorised;
use mathesis_networks::operation::has_kernels;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::parameters::Path;

/// The constants of AdamW besides the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdamwOptions {
    /// Decay of the mean of the gradients, β₁.
    pub beta_1: f64,
    /// Decay of the mean of their squares, β₂.
    pub beta_2: f64,
    /// What keeps the denominator from zero, ε.
    pub epsilon: f64,
    /// The part of a parameter that a step of learning rate 1 takes away, λ.
    pub weight_decay: f64,
    /// Whether vectors (gains of norms, biases) decay too, not matrices alone.
    pub decay_vectors: bool,
}

impl Default for AdamwOptions {
    fn default() -> Self {
        AdamwOptions { beta_1: 0.9, beta_2: 0.95, epsilon: 1e-8, weight_decay: 0.1, decay_vectors: false }
    }
}

/// Parameters that are trained in another way than the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ParameterGroup {
    /// Which: those whose path, such as `blocks.0.mixer_norm.weight`, has this text in it.
    pub parameters: String,
    /// The multiple of the learning rate that they have; 0 keeps them as they are.
    #[serde(default = "one")]
    pub rate: f64,
    /// Their decay λ, vectors' too; that of [`AdamwOptions`] if it is not given.
    #[serde(default)]
    pub weight_decay: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// The means of a parameter's gradients and of their squares, flat.
#[derive(Clone, Debug)]
pub struct Moments {
    /// `m`.
    pub first: Tensor<1>,
    /// `v`.
    pub second: Tensor<1>,
}

/// AdamW with its state.
#[derive(Clone, Debug)]
pub struct Adamw {
    /// Its constants.
    pub options: AdamwOptions,
    /// Parameters for which they are others; a parameter is of the first group that it fits.
    pub groups: Vec<ParameterGroup>,
    /// Steps done.
    pub steps: u64,
    /// The state of every parameter that has had a gradient, by its path in the module.
    pub moments: BTreeMap<String, Moments>,
}

impl Adamw {
    /// Before the first step, with no groups.
    pub fn new(options: AdamwOptions) -> Self {
        Adamw { options, groups: Vec::new(), steps: 0, moments: BTreeMap::new() }
    }

    /// One step with `factor` times the gradients. A parameter without a gradient stays as it is.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: GradientsParams,
        learning_rate: f64,
        factor: f64,
    ) -> M {
        self.steps += 1;
        let AdamwOptions { beta_1, beta_2, epsilon, .. } = self.options;
        let time = self.steps as f64;
        let constants = Constants {
            factor: factor as f32,
            beta_1: beta_1 as f32,
            beta_2: beta_2 as f32,
            epsilon: epsilon as f32,
            rate: (learning_rate / (1.0 - beta_1.powf(time))) as f32,
            spread: (1.0 / (1.0 - beta_2.powf(time))) as f32,
            keep: 1.0,
        };
        module.map(&mut Stepper { adamw: self, gradients, learning_rate, constants, path: Path::default() })
    }

    /// The multiple of the learning rate and the decay of the parameter of a path.
    fn rate_and_decay(&self, path: &str, vector: bool) -> (f64, f64) {
        let AdamwOptions { weight_decay, decay_vectors, .. } = self.options;
        let of_all = if vector && !decay_vectors { 0.0 } else { weight_decay };
        match self.groups.iter().find(|group| path.contains(&group.parameters)) {
            Some(group) => (group.rate, group.weight_decay.unwrap_or(of_all)),
            None => (1.0, of_all),
        }
    }
}

/// The Euclidean norm of all gradients of a module together.
pub fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut norms = gradient_norms(module, gradients);
    norms.drain(..).map(|(_, norm)| norm * norm).sum::<f64>().sqrt()
}

/// The Euclidean norm of the gradient of every parameter that has one, with the parameter's path, in the module's order.
pub fn gradient_norms<M: Module>(module: &M, gradients: &GradientsParams) -> Vec<(String, f64)> {
    let mut visitor = Norms { gradients, path: Path::default(), norms: Vec::new() };
    module.visit(&mut visitor);
    visitor.norms
}

struct Norms<'a> {
    gradients: &'a GradientsParams,
    path: Path,
    norms: Vec<(String, f64)>,
}

impl ModuleVisitor for Norms<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            let square = sum_of_squares(flat(gradient));
            self.norms.push((self.path.name(), square.into_scalar::<f64>().sqrt()));
        }
    }
}

struct Stepper<'a> {
    adamw: &'a mut Adamw,
    gradients: GradientsParams,
    learning_rate: f64,
    /// Those of a parameter with the whole learning rate and no decay.
    constants: Constants,
    path: Path,
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(parameter.id) else { return parameter };
        let name = self.path.name();
        let (multiple, decay) = self.adamw.rate_and_decay(&name, D < 2);
        let constants = Constants {
            rate: (multiple * f64::from(self.constants.rate)) as f32,
            keep: (1.0 - multiple * self.learning_rate * decay) as f32,
            ..self.constants
        };
        let gradient = flat(gradient);
        let moments = self
            .adamw
            .moments
            .remove(&name)
            .unwrap_or_else(|| Moments { first: gradient.zeros_like(), second: gradient.zeros_like() });
        let (id, value, mapper) = parameter.consume();
        let shape = value.shape();
        let (strategy, tracked) = (value.gradient_checkpointing_strategy(), value.is_require_grad());
        let (value, moments) = updated(flat(value.inner()), gradient, moments, constants);
        self.adamw.moments.insert(name, moments);
        let mut value = value.reshape(shape);
        if let Some(strategy) = strategy {
            value = value.autodiff().with_gradient_checkpointing_strategy(strategy).set_require_grad(tracked);
        }
        Param::from_mapped_value(id, value, mapper)
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.shape().num_elements();
    tensor.reshape([count])
}

/// What is the same for all entries of a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// Of the gradient.
    pub factor: f32,
    /// β₁.
    pub beta_1: f32,
    /// β₂.
    pub beta_2: f32,
    /// ε.
    pub epsilon: f32,
    /// `η / (1 − β₁ᵗ)`.
    pub rate: f32,
    /// `1 / (1 − β₂ᵗ)`.
    pub spread: f32,
    /// `1 − η λ`.
    pub keep: f32,
}

/// What a backend adds to burn's operations.
#[backend_extension(Flex, Autodiff)]
pub trait AdamwBackend: Backend {
    /// The parameter and its moments after a step, all flat.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        constants: Constants,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The sum `[1]` of the squares of a flat tensor.
    fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The parameter and its moments after a step.
fn updated(
    parameter: Tensor<1>,
    gradient: Tensor<1>,
    moments: Moments,
    constants: Constants,
) -> (Tensor<1>, Moments) {
    if !(is_for_kernels(&parameter) && is_for_kernels(&gradient)) {
        return composition::adamw(parameter, gradient, moments, constants);
    }
    let Moments { first, second } = moments;
    let [parameter, gradient, first, second] =
        [parameter, gradient, first, second].map(Tensor::into_dispatch);
    let (parameter, first, second) =
        <Dispatch as AdamwBackend>::adamw(parameter, gradient, first, second, constants);
    let moments = Moments { first: Tensor::from_dispatch(first), second: Tensor::from_dispatch(second) };
    (Tensor::from_dispatch(parameter), moments)
}

/// The sum `[1]` of the squares.
fn sum_of_squares(tensor: Tensor<1>) -> Tensor<1> {
    if !is_for_kernels(&tensor) {
        return composition::sum_of_squares(tensor);
    }
    Tensor::from_dispatch(<Dispatch as AdamwBackend>::sum_of_squares(tensor.into_dispatch()))
}

fn is_for_kernels(tensor: &Tensor<1>) -> bool {
    tensor.dtype() == DType::F32 && has_kernels(&tensor.device())
}

/// The same operations in terms of burn's own.
pub mod composition {
    use burn::tensor::Tensor;

    use super::{Constants, Moments};

    /// The parameter and its moments after a step.
    pub fn adamw(
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        moments: Moments,
        constants: Constants,
    ) -> (Tensor<1>, Moments) {
        let Constants { factor, beta_1, beta_2, epsilon, rate, spread, keep } = constants;
        let gradient = gradient * factor;
        let first = moments.first * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = moments.second * beta_2 + gradient.square() * (1.0 - beta_2);
        let step = first.clone() / ((second.clone() * spread).sqrt() + epsilon) * rate;
        (parameter * keep - step, Moments { first, second })
    }

    /// The sum `[1]` of the squares of a flat tensor.
    pub fn sum_of_squares(tensor: Tensor<1>) -> Tensor<1> {
        tensor.square().sum()
    }
}

/// Entries a task works on; sums are taken task by task and added in order, so that they do not depend on the number of threads.
const CHUNK: usize = 1 << 14;

impl AdamwBackend for Flex {
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        constants: Constants,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (mut parameter, mut first, mut second) = (whole(parameter), whole(first), whole(second));
        let gradient = whole(gradient);
        let entries = parameter
            .storage_mut::<f32>()
            .par_chunks_mut(CHUNK)
            .zip(gradient.storage::<f32>().par_chunks(CHUNK))
            .zip(first.storage_mut::<f32>().par_chunks_mut(CHUNK))
            .zip(second.storage_mut::<f32>().par_chunks_mut(CHUNK));
        entries.for_each(|(((parameter, gradient), first), second)| {
            vectorised(
                #[inline(always)]
                || update(parameter, gradient, first, second, constants),
            );
        });
        (parameter, first, second)
    }

    fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        let tensor = whole(tensor);
        let sums: Vec<f64> = tensor
            .storage::<f32>()
            .par_chunks(CHUNK)
            .map(|chunk| {
                vectorised(
                    #[inline(always)]
                    || squares(chunk),
                )
            })
            .collect();
        let sum = sums.iter().sum::<f64>() as f32;
        Self::float_from_data(TensorData::new(vec![sum], [1]), &Default::default())
    }
}

/// The tensor with storage that holds its values and nothing else.
fn whole(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let entries = tensor.layout().num_elements();
    if tensor.layout().contiguous_offsets() == Some((0, entries)) && tensor.bytes().len() == 4 * entries {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

#[inline(always)]
fn update(parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], with: Constants) {
    let (new_1, new_2) = (1.0 - with.beta_1, 1.0 - with.beta_2);
    for (((p, g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = with.factor * g;
        *m = with.beta_1 * *m + new_1 * g;
        *v = with.beta_2 * *v + new_2 * (g * g);
        *p = with.keep * *p - with.rate * (*m / ((with.spread * *v).sqrt() + with.epsilon));
    }
}

#[inline(always)]
fn squares(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (blocks, rest) = values.as_chunks::<8>();
    for block in blocks {
        for lane in 0..8 {
            sums[lane] += f64::from(block[lane]) * f64::from(block[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}

impl<B: AdamwBackend, C: CheckpointStrategy> AdamwBackend for Autodiff<B, C> {
    /// An update is no function to differentiate: what comes in is taken as constant.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        constants: Constants,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let plain = |tensor: FloatTensor<Self>| tensor.into_parts().0;
        let (parameter, first, second) =
            B::adamw(plain(parameter), plain(gradient), plain(first), plain(second), constants);
        (Self::from_inner(parameter), Self::from_inner(first), Self::from_inner(second))
    }

    fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::sum_of_squares(tensor.into_parts().0))
    }
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use burn::optim::AdamWConfig;
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;

    use super::*;

    fn draw(random: &mut Sequence, count: usize, square: bool) -> Tensor<1> {
        let value = |x: f64| if square { (x * x) as f32 } else { x as f32 };
        let values: Vec<f32> = (0..count).map(|_| value(random.normal())).collect();
        Tensor::from_data(TensorData::new(values, [count]), &Device::flex())
    }

    fn values(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().iter::<f32>().collect()
    }

    fn close(a: &Tensor<1>, b: &Tensor<1>, tolerance: f32) {
        let (a, b) = (values(a), values(b));
        assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= tolerance));
    }

    #[test]
    fn the_kernel_is_the_composition_of_burn() {
        let mut random = Sequence::new(3);
        for count in [0, 1, 7, 1000, CHUNK + 3] {
            let [parameter, gradient, first] = [false; 3].map(|square| draw(&mut random, count, square));
            let moments = Moments { first, second: draw(&mut random, count, true) };
            let constants = Constants {
                factor: 0.7,
                beta_1: 0.9,
                beta_2: 0.95,
                epsilon: 1e-8,
                rate: 0.02,
                spread: 1.3,
                keep: 0.99,
            };
            let before = values(&parameter);
            let (ours, our_moments) =
                updated(parameter.clone(), gradient.clone(), moments.clone(), constants);
            // What came in is as it was, for it is still in use.
            assert!(values(&parameter) == before && (count == 0 || values(&ours) != before));
            let (theirs, their_moments) = composition::adamw(parameter, gradient.clone(), moments, constants);
            close(&ours, &theirs, 2e-5);
            close(&our_moments.first, &their_moments.first, 1e-6);
            close(&our_moments.second, &their_moments.second, 1e-6);
            let exact: f64 = values(&gradient).iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            for sum in [sum_of_squares(gradient.clone()), composition::sum_of_squares(gradient)] {
                assert!((sum.into_scalar::<f64>() - exact).abs() <= 2e-6 * exact);
            }
        }
    }

    #[derive(Module, Debug)]
    struct Pair {
        matrix: Param<Tensor<2>>,
        gain: Param<Tensor<1>>,
    }

    #[test]
    fn steps_are_those_of_the_framework() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(5);
        let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal() as f32).collect() };
        let pair = Pair {
            matrix: Param::initialized(
                ParamId::new(),
                Tensor::from_data(TensorData::new(numbers(12), [3, 4]), &device).require_grad(),
            ),
            gain: Param::initialized(
                ParamId::new(),
                Tensor::from_data(TensorData::new(numbers(4), [4]), &device).require_grad(),
            ),
        };
        let input: Tensor<2> = Tensor::from_data(TensorData::new(numbers(15), [5, 3]), &device);
        let loss = |pair: &Pair| {
            (input.clone().matmul(pair.matrix.val()) * pair.gain.val().unsqueeze()).tanh().sum()
        };
        let options = AdamwOptions { decay_vectors: true, ..AdamwOptions::default() };
        let AdamwOptions { beta_1, beta_2, epsilon, weight_decay, .. } = options;
        let mut theirs = AdamWConfig::new()
            .with_beta_1(beta_1 as f32)
            .with_beta_2(beta_2 as f32)
            .with_epsilon(epsilon as f32)
            .with_weight_decay(weight_decay as f32)
            .init();
        let mut ours = Adamw::new(options);
        let (mut a, mut b) = (pair.clone(), pair);
        for step in 1..=20 {
            let rate = 0.01 * f64::from(step);
            let gradients = GradientsParams::from_grads(loss(&a).backward(), &a);
            let norm = gradient_norm(&a, &gradients);
            let norms = gradient_norms(&a, &gradients);
            assert_eq!(norms.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["matrix", "gain"]);
            assert!((norm.powi(2) - norms.iter().map(|(_, n)| n.powi(2)).sum::<f64>()).abs() < 1e-9 * norm);
            a = ours.step(a, gradients, rate, 1.0);
            let gradients = GradientsParams::from_grads(loss(&b).backward(), &b);
            b = theirs.step(rate, b, gradients);
        }
        let values = |pair: &Pair| super::super::parameters::values(pair);
        for (name, ours) in values(&a) {
            let theirs = &values(&b)[&name];
            for (x, y) in ours.iter::<f64>().zip(theirs.iter::<f64>()) {
                assert!((x - y).abs() < 1e-5, "{name}: {x} {y}");
            }
        }
    }
}
