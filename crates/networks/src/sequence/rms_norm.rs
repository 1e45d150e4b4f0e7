//! Root mean square layer normalisation: Zhang and Sennrich, "Root Mean Square Layer Normalization" (NeurIPS 2019), equation 4.
//!
//! `y = w ∘ x / √(mean(x²) + ε)` over the last axis. Numbers in half precision are normalised in single precision and rounded
//! before they are multiplied by `w`, as the programs of published models do.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

use super::linear::constant;

/// Normalisation to a root mean square of one, with a weight for each channel.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[width]`; starts at one.
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    /// A layer whose weights are one; `epsilon` is added to the mean square.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        RmsNorm { weight: constant(width, 1.0, device), epsilon }
    }

    /// `[.., width]` to the same shape.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let dtype = input.dtype();
        let half = matches!(dtype, DType::F16 | DType::BF16);
        let input = if half { input.cast(DType::F32) } else { input };
        let mean_square = input.clone().square().mean_dim(D - 1);
        let normal = input * mean_square.add_scalar(self.epsilon).sqrt().recip();
        let normal = if half { normal.cast(dtype) } else { normal };
        normal * self.weight.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_close, assert_gradients, double, draw, values};

    #[test]
    fn rows_are_divided_by_their_root_mean_square() {
        let device = Device::flex();
        let mut random = Sequence::new(1);
        for width in [1, 3, 8] {
            let mut norm = double(RmsNorm::new(width, 1e-5, &device));
            let weight: Tensor<1> = draw([width], &mut random, &device);
            norm.weight = Param::from_tensor(weight.clone());
            let input: Tensor<3> = draw([2, 3, width], &mut random, &device);
            let (x, w) = (values(input.clone()), values(weight));
            let reference: Vec<f64> = x
                .chunks(width)
                .flat_map(|row| {
                    let square = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
                    row.iter().zip(&w).map(move |(x, w)| w * x / (square + 1e-5).sqrt())
                })
                .collect();
            assert_close(&values(norm.forward(input)), &reference, 1e-12);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut random = Sequence::new(2);
        let device = Device::flex().autodiff();
        let norm = double(RmsNorm::new(5, 1e-3, &device));
        let input: Tensor<3> = draw([2, 2, 5], &mut random, &device);
        assert_gradients(&norm, input, |norm, input| norm.forward(input));
    }
}
