//! Layer normalisation: Ba, Kiros and Hinton, "Layer Normalization" (2016), section 3.
//!
//! `y = w ∘ (x − mean(x)) / √(var(x) + ε) + b` over the last axis, with the variance of all its numbers. Numbers in half precision
//! are normalised in single precision and rounded before they are multiplied by `w`.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use super::linear::constant;

/// Normalisation to a mean of zero and a variance of one, with a weight and a bias for each channel.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]`; starts at one.
    pub weight: Param<Tensor<1>>,
    /// `[width]`; starts at zero.
    pub bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// A layer whose weights are one and biases zero; `epsilon` is added to the variance.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        LayerNorm { weight: constant(width, 1.0, device), bias: constant(width, 0.0, device), epsilon }
    }

    /// `[.., width]` to the same shape.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let dtype = input.dtype();
        let half = matches!(dtype, DType::F16 | DType::BF16);
        let input = if half { input.cast(DType::F32) } else { input };
        let centred = input.clone() - input.mean_dim(D - 1);
        let variance = centred.clone().square().mean_dim(D - 1);
        let normal = centred * variance.add_scalar(self.epsilon).sqrt().recip();
        let normal = if half { normal.cast(dtype) } else { normal };
        normal * self.weight.val().unsqueeze() + self.bias.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_close, assert_gradients, double, draw, shaken, values};

    #[test]
    fn rows_have_mean_zero_and_variance_one_with_their_gradients() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(1);
        for width in [2, 3, 8] {
            let norm = shaken(double(LayerNorm::new(width, 1e-3, &device)), &mut random);
            let input: Tensor<3> = draw([2, 3, width], &mut random, &device);
            let (x, w, b) = (values(input.clone()), values(norm.weight.val()), values(norm.bias.val()));
            let reference: Vec<f64> = x
                .chunks(width)
                .flat_map(|row| {
                    let mean = row.iter().sum::<f64>() / width as f64;
                    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                    let (w, b) = (&w, &b);
                    row.iter()
                        .enumerate()
                        .map(move |(k, x)| w[k] * (x - mean) / (variance + 1e-3).sqrt() + b[k])
                })
                .collect();
            assert_close(&values(norm.forward(input.clone())), &reference, 1e-12);
            assert_gradients(&norm, input, |norm, input| norm.forward(input));
        }
    }
}
