//! A linear layer whose matrix is kept in 8 bits with a scale for each row, for inference; see
//! [`mathesis_algebra::number_format::int8`]. It is kept on the processor, and few rows are multiplied there whatever their device is; for
//! many it is brought to the device in single precision.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::number_format::int8::Int8Matrix;

use crate::few_rows::{FEW, rows_times_transposed};

/// The layer. It has no derivative.
#[derive(Module, Debug)]
pub struct Int8Linear {
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    matrix: Arc<Int8Matrix>,
}

impl Int8Linear {
    /// The layer nearest to one with these weights `[out, in]`.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn new(weight: Tensor<2>, bias: Option<Param<Tensor<1>>>) -> Result<Self, FormatError> {
        let [rows, columns] = weight.dims();
        let weights: Vec<f32> = weight.into_data().iter::<f32>().collect();
        Ok(Int8Linear { bias, matrix: Arc::new(Int8Matrix::quantised(&weights, rows, columns)?) })
    }

    /// The matrix, `[out, in]`.
    pub fn matrix(&self) -> &Int8Matrix {
        &self.matrix
    }

    /// `[.., in]` to `[.., out]`.
    ///
    /// # Panics
    /// If the last extent is not that of the weights.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let (device, dtype, mut shape) = (input.device(), input.dtype(), input.dims());
        let [outputs, inputs] = self.matrix.shape();
        assert_eq!(shape[D - 1], inputs, "the width of rows");
        let count: usize = shape[..D - 1].iter().product();
        let product = if count <= FEW {
            let rows: Vec<f32> = input.into_data().iter::<f32>().collect();
            let mut product = vec![0.0; count * outputs];
            self.matrix.product_with_few(&rows, &mut product);
            shape[D - 1] = outputs;
            Tensor::from_data(TensorData::new(product, shape), (&device, dtype))
        } else {
            // For many rows it pays to make the matrix in single precision once.
            let weights = TensorData::new(self.matrix.weights(), [outputs, inputs]);
            let weights = Tensor::<2>::from_data(weights, (&device, DType::F32));
            rows_times_transposed(input.cast(DType::F32), weights).cast(dtype)
        };
        match &self.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::linear::{DenseStorage, LinearConfig, LinearKind};
    use crate::sequence::testing::{assert_close, draw, values};

    #[test]
    fn the_layer_is_one_with_the_rounded_weights() {
        let (device, mut random) = (Device::flex(), Sequence::new(1));
        let config = LinearConfig { inputs: 37, outputs: 50, bias: true, kind: LinearKind::Dense };
        let layer = config.init(0.5, &mut random, &device).packed(DenseStorage::Int8).unwrap();
        let crate::sequence::linear::Linear::Int8(mut layer) = layer else { panic!("{layer:?}") };
        layer.bias = Some(Param::from_tensor(draw([50], &mut random, &device).cast(DType::F32)));
        assert_eq!(layer.matrix().bytes(), 50 * 37 + 50 * 4);
        let weights = TensorData::new(layer.matrix().weights(), [50, 37]);
        let weights = Tensor::<2>::from_data(weights, (&device, DType::F32));
        for count in [1, 16, 17] {
            let input: Tensor<3> = draw([1, count, 37], &mut random, &device).cast(DType::F32);
            let expected = input.clone().reshape([count, 37]).matmul(weights.clone().transpose());
            let bias: Tensor<2> = layer.bias.as_ref().unwrap().val().unsqueeze();
            let expected = values(expected + bias);
            assert_close(&values(layer.forward(input)), &expected, 1e-5);
        }
    }
}
