//! The product of a linear layer, `x Wᵀ`, at the speed of memory where there are few rows: when a language model writes.
//!
//! On the processor without derivatives, in single precision and for few rows, the work is done by
//! [`mathesis_algebra::few_rows`]; otherwise by burn.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor, TensorData};
use mathesis_algebra::few_rows::product_with_transposed;

/// Rows up to which a matrix is read once; beyond them general products are faster.
const FEW: usize = 16;

/// `x Wᵀ` for rows `[.., in]` and `W` `[out, in]`.
///
/// # Panics
/// If the widths differ.
pub fn rows_times_transposed<const D: usize>(rows: Tensor<D>, matrix: Tensor<2>) -> Tensor<D> {
    let mut dimensions = rows.dims();
    let [outputs, width] = matrix.dims();
    assert_eq!(dimensions[D - 1], width, "the width of rows");
    let count: usize = dimensions[..D - 1].iter().product();
    let flat = rows.reshape([count, width]);
    dimensions[D - 1] = outputs;
    let product: Tensor<2> = if count <= FEW && flat.dtype() == DType::F32 {
        Tensor::from_dispatch(<Dispatch as FewRowsBackend>::product(
            flat.into_dispatch(),
            matrix.into_dispatch(),
        ))
    } else {
        flat.matmul(matrix.transpose())
    };
    product.reshape(dimensions)
}

/// What a backend adds to burn's operations.
#[backend_extension(Flex, Autodiff)]
pub trait FewRowsBackend: Backend {
    /// See [`rows_times_transposed`].
    fn product(rows: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FewRowsBackend for Flex {
    fn product(rows: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        let (count, outputs) = (rows.shape()[0], matrix.shape()[0]);
        let (rows, matrix) = (rows.to_contiguous(), matrix.to_contiguous());
        let (Some(x), Some(w)) = (rows.as_slice::<f32>(), matrix.as_slice::<f32>()) else {
            return Self::float_matmul(rows, Self::float_transpose(matrix));
        };
        let mut product = vec![0.0; count * outputs];
        product_with_transposed(x, matrix.shape()[1], w, &mut product);
        Self::float_from_data(TensorData::new(product, [count, outputs]), &Default::default())
    }
}

impl<B: Backend, C: CheckpointStrategy> FewRowsBackend for Autodiff<B, C> {
    fn product(rows: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(rows, Self::float_transpose(matrix))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;

    use super::*;

    #[test]
    fn few_and_many_rows_are_the_products_of_burn() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            for count in [1, 2, 16, 17] {
                let mut random = Sequence::new(count as u64);
                let mut draw = |shape: [usize; 2]| -> Tensor<2> {
                    let numbers: Vec<f32> =
                        (0..shape[0] * shape[1]).map(|_| random.symmetric() as f32).collect();
                    Tensor::from_data(TensorData::new(numbers, shape), &device)
                };
                let (rows, matrix) = (draw([count, 70]), draw([300, 70]));
                let expected = rows.clone().matmul(matrix.clone().transpose());
                let given = rows_times_transposed(rows.clone().reshape([1, count, 70]), matrix.clone());
                assert_eq!(given.dims(), [1, count, 300]);
                let difference = (given.reshape([count, 300]) - expected).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-4, "{difference}");
                // A matrix that is not stored row by row, as a view of another.
                let turned = matrix.transpose().reshape([70, 300]).transpose();
                let given = rows_times_transposed(rows.clone(), turned.clone());
                let difference = (given - rows.matmul(turned.transpose())).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-4, "{difference}");
            }
        }
    }
}
