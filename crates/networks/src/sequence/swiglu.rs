//! The gated channel layer: Shazeer, "GLU Variants Improve Transformer" (2020), equation 6, `FFN_SwiGLU`.
//!
//! `y = W_down (silu(W_gate x) ∘ W_up x)` with `silu(z) = z σ(z) = z / (1 + e⁻ᶻ)`; biases are none in the paper and a choice here.
//!
//! Gate and up are two linear layers, or one with twice the outputs, as Zhu et al., "Scalable MatMul-free Language Modeling" (2024), have
//! it. For dense layers that is the same function; ternary ones have one scale and one norm for each layer, so it is another.
//!
//! [`gated`], the product in the middle, is one operation in one pass. With `s = σ(g)` its derivatives are `u s (1 + g (1 − s))` by the gate
//! `g` and `g s` by the other factor `u`.

use burn::backend::DispatchTensor;
use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::{Real, vectorised};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_two};

use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind};

/// The shape of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SwiGluConfig {
    /// The hidden width; two thirds of four times the model's keeps the size of an ungated layer.
    pub hidden: usize,
    /// Whether the linear layers have biases.
    #[serde(default)]
    pub bias: bool,
    /// Whether gate and up are one linear layer, the gate first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// The standard deviation of the last layer's random weights, if it is another than that of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_deviation: Option<f64>,
}

impl SwiGluConfig {
    /// A layer without biases, of three linear layers.
    pub fn new(hidden: usize) -> Self {
        SwiGluConfig { hidden, bias: false, joined: false, output_deviation: None }
    }

    /// The linear layers: gate, up and down, or the first two as one, and down.
    pub fn linears(&self, width: usize, kind: LinearKind) -> Vec<LinearConfig> {
        let inward = LinearConfig { inputs: width, outputs: self.hidden, bias: self.bias, kind };
        let down = LinearConfig { inputs: self.hidden, outputs: width, ..inward };
        match self.joined {
            true => vec![LinearConfig { outputs: 2 * self.hidden, ..inward }, down],
            false => vec![inward, inward, down],
        }
    }

    /// A layer for inputs of the given width, with random weights of the given standard deviation.
    pub fn init(
        &self,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> SwiGlu {
        let inward = LinearConfig { inputs: width, outputs: self.hidden, bias: self.bias, kind };
        let mut layer = |config: LinearConfig, deviation| config.init(deviation, random, device);
        let (gate, up) = match self.joined {
            true => (layer(LinearConfig { outputs: 2 * self.hidden, ..inward }, deviation), None),
            false => (layer(inward, deviation), Some(layer(inward, deviation))),
        };
        let down = LinearConfig { inputs: self.hidden, outputs: width, ..inward };
        let down = layer(down, self.output_deviation.unwrap_or(deviation));
        SwiGlu { gate, up, down, hidden: self.hidden }
    }
}

/// The gated channel layer.
#[derive(Module, Debug)]
pub struct SwiGlu {
    /// The gate's, or both, the gate first.
    gate: Linear,
    /// None if it is a part of the gate's.
    up: Option<Linear>,
    down: Linear,
    hidden: usize,
}

impl SwiGlu {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(SwiGlu {
            gate: self.gate.packed(dense)?,
            up: self.up.map(|linear| linear.packed(dense)).transpose()?,
            down: self.down.packed(dense)?,
            ..self
        })
    }

    /// `[batch, time, width]` to the same shape.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let (gate, up) = match &self.up {
            Some(up) => (self.gate.forward(input.clone()), up.forward(input)),
            None => {
                let [gate, up] = halves(self.gate.forward(input), self.hidden);
                (gate, up)
            }
        };
        self.down.forward(gated(gate, up))
    }
}

/// `[batch, time, 2 hidden]` as its first and its second half.
pub(super) fn halves(both: Tensor<3>, hidden: usize) -> [Tensor<3>; 2] {
    let [batch, time, _] = both.dims();
    [0, 1].map(|half| both.clone().slice([0..batch, 0..time, half * hidden..(half + 1) * hidden]))
}

/// `silu(gate) ∘ factor` for tensors of one shape.
///
/// # Panics
/// If the shapes differ.
pub fn gated<const D: usize>(gate: Tensor<D>, factor: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), factor.dims(), "a gate and what it is for");
    apply_to_two(Gated, [gate.into_dispatch(), factor.into_dispatch()])
}

/// See [`gated`].
#[derive(Clone, Debug)]
struct Gated;

/// Numbers that a task works on.
const CHUNK: usize = 1 << 14;

impl SliceOperation<2> for Gated {
    const NEEDS_RESULT: bool = false;

    fn forward<T: Real>(&self, [gate, factor]: [Array<'_, T>; 2]) -> (Vec<T>, Vec<usize>) {
        let mut product = vec![T::zero(); gate.values.len()];
        let operands = gate.values.par_chunks(CHUNK).zip(factor.values.par_chunks(CHUNK));
        product.par_chunks_mut(CHUNK).zip(operands).for_each(|(product, (gate, factor))| {
            vectorised(
                #[inline(always)]
                || {
                    for ((product, &g), &u) in product.iter_mut().zip(gate).zip(factor) {
                        *product = g * sigmoid(g) * u;
                    }
                },
            );
        });
        (product, gate.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        [gate, factor]: [Array<'_, T>; 2],
        _: Array<'_, T>,
        gradient: &[T],
        _: [bool; 2],
    ) -> ArrayGradients<T, 2> {
        let [mut of_gate, mut of_factor] = [(); 2].map(|()| vec![T::zero(); gradient.len()]);
        let targets = of_gate.par_chunks_mut(CHUNK).zip(of_factor.par_chunks_mut(CHUNK));
        let operands = gate.values.par_chunks(CHUNK).zip(factor.values.par_chunks(CHUNK));
        targets.zip(operands).zip(gradient.par_chunks(CHUNK)).for_each(
            |(((of_gate, of_factor), (gate, factor)), gradient)| {
                let count = gradient.len();
                vectorised(
                    #[inline(always)]
                    || {
                        let (gate, factor) = (&gate[..count], &factor[..count]);
                        let (of_gate, of_factor) = (&mut of_gate[..count], &mut of_factor[..count]);
                        for place in 0..count {
                            let (g, u, d) = (gate[place], factor[place], gradient[place]);
                            let s = sigmoid(g);
                            of_factor[place] = d * (g * s);
                            of_gate[place] = d * u * s * (T::one() + g * (T::one() - s));
                        }
                    },
                );
            },
        );
        [Some(of_gate), Some(of_factor)]
    }

    fn composition<const D: usize>(&self, operands: [DispatchTensor; 2]) -> Tensor<D> {
        let [gate, factor] = operands.map(Tensor::from_dispatch);
        silu(gate) * factor
    }
}

/// Of the number of smaller exponential, so that nothing overflows.
#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    let small = (if x > T::zero() { -x } else { x }).decay();
    (if x > T::zero() { T::one() } else { small }) / (T::one() + small)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::testing::{
        affine, assert_close, assert_composition, assert_gradients, double, draw, shaken, values,
    };

    #[test]
    fn the_layer_is_its_equation_and_its_gradients_are_right() {
        let mut random = Sequence::new(3);
        let device = Device::flex().autodiff();
        for (bias, joined) in [(false, false), (true, false), (false, true), (true, true)] {
            let config = SwiGluConfig { bias, joined, ..SwiGluConfig::new(7) };
            let layer = config.init(5, LinearKind::Dense, 0.4, &mut random, &device);
            let counted: usize =
                config.linears(5, LinearKind::Dense).iter().map(LinearConfig::parameters).sum();
            assert_eq!(layer.num_params(), counted);
            let layer = shaken(double(layer), &mut random);
            let input: Tensor<3> = draw([2, 3, 5], &mut random, &device);
            let reference: Vec<f64> = values(input.clone())
                .chunks(5)
                .flat_map(|x| {
                    let mut gate = affine(&layer.gate, x);
                    let up = match &layer.up {
                        Some(up) => affine(up, x),
                        None => gate.split_off(7),
                    };
                    let hidden: Vec<f64> =
                        gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                    affine(&layer.down, &hidden)
                })
                .collect();
            assert_close(&values(layer.forward(input.clone())), &reference, 1e-12);
            assert_gradients(&layer, input, |layer, input| layer.forward(input));
        }
    }

    /// The joined ternary layer is three products with two scales and two norms, those of gate and up being the same.
    #[test]
    fn joined_ternary_layers_have_one_scale() {
        let device = Device::flex();
        let mut random = Sequence::new(4);
        let config = SwiGluConfig { joined: true, ..SwiGluConfig::new(6) };
        let layer = config.init(4, LinearKind::Ternary, 0.5, &mut random, &device);
        assert_eq!(layer.num_params(), 4 + 2 * 6 * 4 + 6 + 6 * 4);
        let Linear::Ternary(gate) = layer.gate.clone().packed(DenseStorage::Kept).expect("finite") else {
            panic!("ternary")
        };
        let ternary = gate.ternary().expect("packed");
        assert_eq!(ternary.shape(), (12, 4));
        let input: Tensor<3> = draw([1, 2, 4], &mut random, &device).cast(burn::tensor::DType::F32);
        let both = values(gate.forward(input.clone()));
        let silu = |z: f64| z / (1.0 + (-z).exp());
        let hidden: Vec<f64> =
            both.chunks(12).flat_map(|row| (0..6).map(|k| silu(row[k]) * row[6 + k])).collect();
        let hidden: Tensor<3> = Tensor::from_data(burn::tensor::TensorData::new(hidden, [1, 2, 6]), &device);
        assert_close(&values(layer.forward(input)), &values(layer.down.forward(hidden)), 1e-6);
    }

    /// In single precision, over more numbers than one task has, and far out.
    #[test]
    fn the_gate_is_that_of_burn() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(4);
        let mut draw = |scale: f64| -> Tensor<2> {
            let numbers: Vec<f32> = (0..150 * 131).map(|_| (scale * random.normal()) as f32).collect();
            Tensor::<1>::from_data(numbers.as_slice(), &device).reshape([150, 131])
        };
        let (gate, factor, direction) = (draw(20.0), draw(1.0), draw(1.0));
        let derived = |function: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let (gate, factor) = (gate.clone().require_grad(), factor.clone().require_grad());
            let output = function(gate.clone(), factor.clone());
            let gradients = (output.clone() * direction.clone()).sum().backward();
            let of = |operand: Tensor<2>| values(operand.grad(&gradients).expect("a derivative"));
            [values(output), of(gate), of(factor)]
        };
        let expected = derived(|gate, factor| burn::tensor::activation::silu(gate) * factor);
        for (given, expected) in derived(gated).iter().zip(&expected) {
            assert_close(given, expected, 1e-5);
        }
    }

    #[test]
    fn the_composition_is_the_operation() {
        let mut random = Sequence::new(5);
        for shape in [[1, 1], [3, 7]] {
            let operands = [(); 2].map(|()| draw(shape, &mut random, &Device::flex()) * 3.0);
            assert_composition::<2, 2>(&Gated, operands.map(Tensor::into_dispatch), 1e-13);
        }
    }
}
