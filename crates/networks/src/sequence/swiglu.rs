//! The gated channel layer: Shazeer, "GLU Variants Improve Transformer" (2020), equation 6, `FFN_SwiGLU`.
//!
//! `y = W_down (silu(W_gate x) ∘ W_up x)` with `silu(z) = z / (1 + e⁻ᶻ)`; biases are none in the paper and a choice here.

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use serde::{Deserialize, Serialize};

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
    /// The layer with packed weights where they are of few bits: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self) -> Result<Self, FormatError> {
        Ok(SwiGlu { gate: self.gate.packed()?, up: self.up.packed()?, down: self.down.packed()? })
    }

    /// `[batch, time, width]` to the same shape.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let gate = silu(self.gate.forward(input.clone()));
        self.down.forward(gate * self.up.forward(input))
    }
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
}
