//! The product of a linear layer, `x Wᵀ`, with its derivatives: at the speed of memory where there are few rows, as when a language
//! model writes, and by matrix products that transpose nothing where there are many.
//!
//! For the gradient `g` of the product those of `x` and `W` are `g W` and `gᵀ x`. Few rows of single precision are multiplied by
//! [`mathesis_algebra::few_rows`].
//!
//! A matrix may be kept in bfloat16 beside rows of single precision: then half the bytes are read, and the numbers are multiplied and
//! added in single precision. On devices without kernels it is cast first.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensor, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use half::bf16;
use mathesis_algebra::few_rows::product_with_transposed;
use mathesis_algebra::product::{View, product};
use mathesis_algebra::real::Real;

use crate::operation::{
    Array, ArrayGradients, SliceBackend, SliceKernels, SliceOperation, apply_to_two, has_kernels,
};

/// Rows up to which a matrix is read once; beyond them general products are faster.
pub(crate) const FEW: usize = 16;

/// `x Wᵀ` for rows `[.., in]` and `W` `[out, in]`, of one number format or `W` in bfloat16 and the rows in single precision.
///
/// # Panics
/// If the widths differ, or the number formats in another way.
pub fn rows_times_transposed<const D: usize>(rows: Tensor<D>, matrix: Tensor<2>) -> Tensor<D> {
    let mut dimensions = rows.dims();
    let [outputs, width] = matrix.dims();
    assert_eq!(dimensions[D - 1], width, "the width of rows");
    let count: usize = dimensions[..D - 1].iter().product();
    dimensions[D - 1] = outputs;
    let mixed = rows.dtype() == DType::F32 && matrix.dtype() == DType::BF16;
    let kernels = has_kernels(&rows.device());
    let matrix = if mixed && !kernels { matrix.cast(DType::F32) } else { matrix };
    let (rows, matrix) = (rows.reshape([count, width]).into_dispatch(), matrix.into_dispatch());
    let product: Tensor<2> = if mixed && kernels {
        Tensor::from_dispatch(<Dispatch as HalfMatrixBackend>::product_with_half(rows, matrix))
    } else {
        apply_to_two(LinearProduct, [rows, matrix])
    };
    product.reshape(dimensions)
}

/// What a backend adds to burn's operations.
#[backend_extension(Flex, Autodiff)]
pub trait HalfMatrixBackend: Backend {
    /// `x Wᵀ` for rows of single precision and a matrix in bfloat16.
    fn product_with_half(rows: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl HalfMatrixBackend for Flex {
    fn product_with_half(rows: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        let (count, outputs, width) = (rows.shape()[0], matrix.shape()[0], matrix.shape()[1]);
        let (rows, matrix) = (rows.to_contiguous(), matrix.to_contiguous());
        match (rows.as_slice::<f32>(), matrix.as_slice::<bf16>()) {
            (Some(x), Some(w)) if count <= FEW => {
                let mut product = vec![0.0; count * outputs];
                product_with_transposed(x, width, w, &mut product);
                Self::float_from_data(TensorData::new(product, [count, outputs]), &Default::default())
            }
            _ => Self::result(&LinearProduct, [rows, Self::float_cast(matrix, FloatDType::F32)]),
        }
    }
}

impl<B: SliceKernels, C: CheckpointStrategy> HalfMatrixBackend for Autodiff<B, C> {
    fn product_with_half(rows: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::apply_to_two(rows, Self::float_cast(matrix, FloatDType::F32), LinearProduct)
    }
}

/// Of rows and a matrix.
#[derive(Clone, Debug)]
struct LinearProduct;

impl SliceOperation<2> for LinearProduct {
    const NEEDS_RESULT: bool = false;

    fn forward<T: Real>(&self, [rows, matrix]: [Array<'_, T>; 2]) -> (Vec<T>, Vec<usize>) {
        let (count, outputs) = (rows.shape[0], matrix.shape[0]);
        let product = match (T::as_single(rows.values), T::as_single(matrix.values)) {
            (Some(x), Some(w)) if count <= FEW => {
                let mut sums = vec![0.0; count * outputs];
                product_with_transposed(x, matrix.shape[1], w, &mut sums);
                T::from_single(sums)
            }
            _ => product(view(rows), view(matrix).transposed()),
        };
        (product, vec![count, outputs])
    }

    fn backward<T: Real>(
        &self,
        [rows, matrix]: [Array<'_, T>; 2],
        result: Array<'_, T>,
        gradient: &[T],
        [of_rows, of_matrix]: [bool; 2],
    ) -> ArrayGradients<T, 2> {
        let gradient = View::new(gradient, [result.shape[0], result.shape[1]]);
        [
            of_rows.then(|| product(gradient, view(matrix))),
            of_matrix.then(|| product(gradient.transposed(), view(rows))),
        ]
    }

    fn composition<const D: usize>(&self, [rows, matrix]: [DispatchTensor; 2]) -> Tensor<D> {
        let (rows, matrix) = (Tensor::<2>::from_dispatch(rows), Tensor::<2>::from_dispatch(matrix));
        Tensor::from_dispatch(rows.matmul(matrix.transpose()).into_dispatch())
    }
}

fn view<T: Real>(array: Array<'_, T>) -> View<'_, T> {
    View::new(array.values, [array.shape[0], array.shape[1]])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_composition, draw};

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

    #[test]
    fn derivatives_are_those_of_burn() {
        let device = Device::flex().autodiff();
        for count in [1, 16, 40] {
            let mut random = Sequence::new(count as u64);
            let mut draw = |shape: [usize; 2]| -> Tensor<2> {
                let numbers: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.symmetric() as f32).collect();
                Tensor::from_data(TensorData::new(numbers, shape), &device)
            };
            let (rows, matrix, direction) = (draw([count, 23]), draw([31, 23]), draw([count, 31]));
            let gradients = |product: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
                let (rows, matrix) = (rows.clone().require_grad(), matrix.clone().require_grad());
                let gradients = (product(rows.clone(), matrix.clone()) * direction.clone()).sum().backward();
                [rows, matrix].map(|operand| operand.grad(&gradients).expect("a derivative"))
            };
            let given = gradients(rows_times_transposed);
            let expected = gradients(|rows, matrix| rows.matmul(matrix.transpose()));
            for (given, expected) in given.into_iter().zip(expected) {
                let difference = (given - expected).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-4, "{difference}");
            }
        }
    }

    #[test]
    fn a_matrix_in_half_the_bytes_is_multiplied_in_single_precision() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            for count in [1, 5, 17] {
                let mut random = Sequence::new(count as u64);
                let mut draw = |shape: [usize; 2]| -> Tensor<2> {
                    let numbers: Vec<f32> =
                        (0..shape[0] * shape[1]).map(|_| random.symmetric() as f32).collect();
                    Tensor::from_data(TensorData::new(numbers, shape), &device)
                };
                let (rows, matrix) = (draw([count, 70]), draw([33, 70]).cast(DType::BF16));
                let expected = rows.clone().matmul(matrix.clone().cast(DType::F32).transpose());
                let given = rows_times_transposed(rows, matrix);
                assert_eq!(given.dtype(), DType::F32);
                let difference = (given - expected).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-5, "{difference}");
            }
        }
    }

    #[test]
    fn the_composition_is_the_product() {
        let (device, mut random) = (Device::flex(), Sequence::new(1));
        for [count, width, outputs] in [[1, 1, 1], [1, 7, 3], [17, 5, 4]] {
            let rows: Tensor<2> = draw([count, width], &mut random, &device);
            let matrix: Tensor<2> = draw([outputs, width], &mut random, &device);
            let operands = [rows.into_dispatch(), matrix.into_dispatch()];
            assert_composition::<2, 2>(&LinearProduct, operands, 1e-13);
        }
    }
}
