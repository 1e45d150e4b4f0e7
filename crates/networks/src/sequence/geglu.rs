//! The channel layer of M2-BERT: Shazeer, "GLU Variants Improve Transformer" (2020), equation 6, `FFN_GEGLU`, whose gate and values are
//! one linear layer, as in the public code of Fu et al., "Monarch Mixer" (NeurIPS 2023), where both linear layers are block-diagonal.
//!
//! `[g | u] = W_in x`, `y = W_out (gelu(g) ∘ u) + b` with the Gaussian distribution's `gelu(z) = z Φ(z)`.

use burn::module::Module;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use serde::{Deserialize, Serialize};

use super::linear::{DenseStorage, Linear, LinearConfig, LinearKind};
use super::swiglu::halves;

/// The shape of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GeGluConfig {
    /// The hidden width (the published models: four times the model's).
    pub hidden: usize,
    /// Whether the second linear layer has a bias (it has).
    #[serde(default = "bias")]
    pub bias: bool,
}

fn bias() -> bool {
    true
}

impl GeGluConfig {
    /// The two linear layers: to gates and values, and to the output.
    pub fn linears(&self, width: usize, kind: LinearKind) -> [LinearConfig; 2] {
        [
            LinearConfig { inputs: width, outputs: 2 * self.hidden, bias: false, kind },
            LinearConfig { inputs: self.hidden, outputs: width, bias: self.bias, kind },
        ]
    }

    /// A layer for inputs of the given width, with random weights of the given standard deviation.
    pub fn init(
        &self,
        width: usize,
        kind: LinearKind,
        deviation: f64,
        random: &mut Sequence,
        device: &Device,
    ) -> GeGlu {
        let [inward, outward] =
            self.linears(width, kind).map(|linear| linear.init(deviation, random, device));
        GeGlu { inward, outward, hidden: self.hidden }
    }
}

/// The gated channel layer.
#[derive(Module, Debug)]
pub struct GeGlu {
    /// Gates, then values.
    inward: Linear,
    outward: Linear,
    hidden: usize,
}

impl GeGlu {
    /// The layer with packed weights where they are of few bits, and dense matrices as stated: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(GeGlu { inward: self.inward.packed(dense)?, outward: self.outward.packed(dense)?, ..self })
    }

    /// `[batch, time, width]` to the same shape.
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [gate, up] = halves(self.inward.forward(input), self.hidden);
        self.outward.forward(gelu(gate) * up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::testing::{affine, assert_close, assert_gradients, double, draw, shaken, values};

    /// The Gaussian distribution function: its density, summed by Simpson's rule.
    fn distribution(z: f64) -> f64 {
        let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let step = z / 2000.0;
        let sum: f64 = (0..1000)
            .map(|k| {
                let x = 2.0 * f64::from(k) * step;
                density(x) + 4.0 * density(x + step) + density(x + 2.0 * step)
            })
            .sum();
        0.5 + sum * step / 3.0
    }

    #[test]
    fn the_layer_is_its_equation_and_its_gradients_are_right() {
        let mut random = Sequence::new(3);
        let device = Device::flex().autodiff();
        let config = GeGluConfig { hidden: 7, bias: true };
        let layer = config.init(5, LinearKind::Dense, 0.4, &mut random, &device);
        assert_eq!(layer.num_params(), 14 * 5 + 5 * 7 + 5);
        let layer = shaken(double(layer), &mut random);
        let input: Tensor<3> = draw([2, 3, 5], &mut random, &device);
        let reference: Vec<f64> = values(input.clone())
            .chunks(5)
            .flat_map(|x| {
                let both = affine(&layer.inward, x);
                let hidden: Vec<f64> =
                    (0..7).map(|k| both[k] * distribution(both[k]) * both[7 + k]).collect();
                affine(&layer.outward, &hidden)
            })
            .collect();
        assert_close(&values(layer.forward(input.clone())), &reference, 1e-12);
        assert_gradients(&layer, input, |layer, input| layer.forward(input));
    }
}
