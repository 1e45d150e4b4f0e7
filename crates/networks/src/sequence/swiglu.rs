//! The gated channel layer: Shazeer, "GLU Variants Improve Transformer" (2020), equation 6, `FFN_SwiGLU`.
//!
//! `y = W_down (silu(W_gate x) ∘ W_up x)` with `silu(z) = z σ(z) = z / (1 + e⁻ᶻ)`; biases are none in the paper and a choice here.
//!
//! [`gated`], the product in the middle, is one operation in one pass. With `s = σ(g)` its derivatives are `u s (1 + g (1 − s))` by the gate
//! `g` and `g s` by the other factor `u`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::random::Sequence;
use mathesis_algebra::real::{Real, vectorised};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_two};

use super::linear::{Linear, LinearConfig, LinearKind};

/// The shape of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SwiGluConfig {
    /// The hidden width; two thirds of four times the model's keeps the size of an ungated layer.
    pub hidden: usize,
    /// Whether the three linear layers have biases.
    #[serde(default)]
    pub bias: bool,
}

impl SwiGluConfig {
    /// The three linear layers: gate, up and down.
    pub fn linears(&self, width: usize, kind: LinearKind) -> [LinearConfig; 3] {
        let inward = LinearConfig { inputs: width, outputs: self.hidden, bias: self.bias, kind };
        [inward, inward, LinearConfig { inputs: self.hidden, outputs: width, ..inward }]
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
        let [gate, up, down] = self.linears(width, kind).map(|linear| linear.init(deviation, random, device));
        SwiGlu { gate, up, down }
    }
}

/// The gated channel layer.
#[derive(Module, Debug)]
pub struct SwiGlu {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl SwiGlu {
    /// `[batch, time, width]` to the same shape.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let gate = self.gate.forward(input.clone());
        self.down.forward(gated(gate, self.up.forward(input)))
    }
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
    use crate::sequence::testing::{affine, assert_close, assert_gradients, double, draw, shaken, values};

    #[test]
    fn the_layer_is_its_equation_and_its_gradients_are_right() {
        let mut random = Sequence::new(3);
        let device = Device::flex().autodiff();
        for bias in [false, true] {
            let config = SwiGluConfig { hidden: 7, bias };
            let layer = config.init(5, LinearKind::Dense, 0.4, &mut random, &device);
            let layer = shaken(double(layer), &mut random);
            let input: Tensor<3> = draw([2, 3, 5], &mut random, &device);
            let reference: Vec<f64> = values(input.clone())
                .chunks(5)
                .flat_map(|x| {
                    let (gate, up) = (affine(&layer.gate, x), affine(&layer.up, x));
                    let hidden: Vec<f64> =
                        gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                    affine(&layer.down, &hidden)
                })
                .collect();
            assert_close(&values(layer.forward(input.clone())), &reference, 1e-12);
            assert_gradients(&layer, input, |layer, input| layer.forward(input));
        }
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
}
