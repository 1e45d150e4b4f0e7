//! The cross-entropy of a linear layer's outputs, with automatic derivatives, some rows at a time.
//!
//! For hidden states `x` and the matrix `W` of a model's head the logits are `z = W x`. They are as many as tokens times vocabulary, the
//! largest array of a training step, and each is needed three times only: for the loss, and its gradient `g` for those of `x` and `W`, `Wᵀ g` and
//! `Σ g xᵀ`. So the loss and all gradients are formed together for some rows while their logits are in the cache, and no logits
//! are kept. On the processor (`Flex`, `f32`); on every other device, and for other number formats, all rows are taken at once, by
//! their logits. See [`cross_entropy`](super::cross_entropy) for the loss itself.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Int, Tensor, TensorData};
use mathesis_algebra::product::{Threads, View, product_into};
use mathesis_algebra::real::vectorised;
use mathesis_networks::few_rows::rows_times_transposed;
use mathesis_networks::operation::has_kernels;
use rayon::prelude::*;

use super::cross_entropy::{CrossEntropyKernels, cross_entropy};
use super::cross_entropy::{row_loss, row_loss_and_gradient, total, values, whole_numbers};

/// The weighted sum, `[1]`, of the cross-entropies of the logits `x Wᵀ` with `targets` `[rows]`, in nats, for `x` `[rows, width]` and `W`
/// `[vocabulary, width]`. A row of weight 0 counts for nothing, whatever its target is; its hidden state must be finite.
///
/// # Panics
/// If the shapes do not fit each other, or, where a kernel computes, the target of a row that counts is not below the vocabulary's size.
pub fn linear_cross_entropy(
    hidden: Tensor<2>,
    matrix: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
) -> Tensor<1> {
    let ([rows, width], [vocabulary, inputs]) = (hidden.dims(), matrix.dims());
    assert_eq!((targets.dims(), weights.dims()), ([rows], [rows]), "targets and weights of a cross-entropy");
    assert_eq!(width, inputs, "the width of hidden states");
    assert!(vocabulary > 0, "an empty vocabulary");
    if [hidden.dtype(), matrix.dtype()] != [DType::F32; 2] || !has_kernels(&hidden.device()) {
        return cross_entropy(rows_times_transposed(hidden, matrix), targets, weights);
    }
    Tensor::from_dispatch(<Dispatch as LinearCrossEntropyBackend>::linear_cross_entropy(
        hidden.into_dispatch(),
        matrix.into_dispatch(),
        targets.into_dispatch(),
        weights.into_dispatch(),
    ))
}

/// What a backend adds to burn's operations, with derivatives on a backend that has them.
#[backend_extension(Flex, Autodiff)]
pub trait LinearCrossEntropyBackend: Backend {
    /// See [`linear_cross_entropy`]. The weights have no gradient.
    fn linear_cross_entropy(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The operation and its gradients, in single precision, on a backend without derivatives.
pub trait LinearCrossEntropyKernels: CrossEntropyKernels {
    /// The loss `[1]`.
    fn linear_loss(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The loss `[1]` and its gradients with respect to hidden states and matrix.
    fn linear_loss_and_gradients(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]);
}

impl LinearCrossEntropyBackend for Flex {
    fn linear_cross_entropy(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::linear_loss(hidden, matrix, targets, weights)
    }
}

/// Logits that are formed at once, a few megabytes.
const LOGITS: usize = 1 << 19;

/// Some rows, with room for their logits.
struct Rows<'a> {
    hidden: &'a [f32],
    targets: &'a [usize],
    weights: &'a [f32],
    logits: &'a mut [f32],
}

/// Takes some rows after the other, with their logits, and adds up what their losses are.
fn by_rows(
    hidden: &FloatTensor<Flex>,
    matrix: &FloatTensor<Flex>,
    targets: &[usize],
    weights: &[f32],
    mut take: impl FnMut(Rows<'_>, usize) -> Vec<f64>,
) -> FloatTensor<Flex> {
    let [vocabulary, width] = [matrix.shape()[0], matrix.shape()[1]];
    let at_once = (LOGITS / vocabulary).clamp(1, targets.len().max(1));
    let mut logits = vec![0.0; at_once * vocabulary];
    let mut losses = Vec::with_capacity(targets.len());
    let matrix = View::new(values(matrix), [vocabulary, width]).transposed();
    let rows = targets.chunks(at_once).zip(weights.chunks(at_once)).enumerate();
    for (number, (targets, weights)) in rows {
        let first = number * at_once;
        let hidden = &values(hidden)[first * width..][..targets.len() * width];
        let logits = &mut logits[..targets.len() * vocabulary];
        let left = View::new(hidden, [targets.len(), width]);
        product_into(left, matrix, 1.0, false, logits, vocabulary, Threads::All);
        losses.extend(take(Rows { hidden, targets, weights, logits }, first));
    }
    total(&losses)
}

impl LinearCrossEntropyKernels for Flex {
    fn linear_loss(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (hidden, matrix) = (hidden.to_contiguous(), matrix.to_contiguous());
        let vocabulary = matrix.shape()[0];
        let (targets, weights) = (whole_numbers(targets), values(&weights).to_vec());
        by_rows(&hidden, &matrix, &targets, &weights, |rows, _| {
            let places = rows.targets.par_iter().zip(rows.weights);
            let losses = rows.logits.par_chunks(vocabulary).zip(places).map(|(row, (&target, &weight))| {
                if weight == 0.0 {
                    return 0.0;
                }
                vectorised(
                    #[inline(always)]
                    || row_loss(row, target, weight),
                )
            });
            losses.collect()
        })
    }

    fn linear_loss_and_gradients(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]) {
        let (hidden, matrix) = (hidden.to_contiguous(), matrix.to_contiguous());
        let [vocabulary, width] = [matrix.shape()[0], matrix.shape()[1]];
        let (targets, weights) = (whole_numbers(targets), values(&weights).to_vec());
        let [mut of_hidden, mut of_matrix] =
            [targets.len(), vocabulary].map(|rows| vec![0.0_f32; rows * width]);
        let loss = by_rows(&hidden, &matrix, &targets, &weights, |rows, first| {
            let count = rows.targets.len();
            let places = rows.targets.par_iter().zip(rows.weights);
            let losses = rows.logits.par_chunks_mut(vocabulary).zip(places);
            let losses = losses.map(|(row, (&target, &weight))| {
                if weight == 0.0 {
                    row.fill(0.0);
                    return 0.0;
                }
                vectorised(
                    #[inline(always)]
                    || row_loss_and_gradient(row, target, weight),
                )
            });
            let losses = losses.collect();
            let gradient = View::new(&*rows.logits, [count, vocabulary]);
            let right = View::new(values(&matrix), [vocabulary, width]);
            let here = &mut of_hidden[first * width..][..count * width];
            product_into(gradient, right, 1.0, false, here, width, Threads::All);
            let right = View::new(rows.hidden, [count, width]);
            product_into(gradient.transposed(), right, 1.0, true, &mut of_matrix, width, Threads::All);
            losses
        });
        let tensor =
            |values, rows| Self::float_from_data(TensorData::new(values, [rows, width]), &Default::default());
        (loss, [tensor(of_hidden, targets.len()), tensor(of_matrix, vocabulary)])
    }
}

impl<B: LinearCrossEntropyKernels, C: CheckpointStrategy> LinearCrossEntropyBackend for Autodiff<B, C> {
    fn linear_cross_entropy(
        hidden: FloatTensor<Self>,
        matrix: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let ((hidden, of_hidden), (matrix, of_matrix)) = (hidden.into_parts(), matrix.into_parts());
        let (weights, _) = weights.into_parts();
        match LinearCrossEntropyStep.prepare::<C>([of_hidden, of_matrix]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (loss, gradients) = B::linear_loss_and_gradients(hidden, matrix, targets, weights);
                step.finish(gradients, loss)
            }
            OpsKind::UnTracked(step) => step.finish(B::linear_loss(hidden, matrix, targets, weights)),
        }
    }
}

#[derive(Debug)]
struct LinearCrossEntropyStep;

impl<B: LinearCrossEntropyKernels> Backward<B, 2> for LinearCrossEntropyStep {
    /// The gradients with respect to hidden states and matrix.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        for (node, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, B::multiple(gradient, upstream.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;

    use super::*;

    /// Loss and gradients of half the loss, by way of logits or without.
    fn both(rows: usize, width: usize, vocabulary: usize, dtype: DType) -> [[Vec<f64>; 3]; 2] {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new((rows * vocabulary) as u64);
        let mut draw = |shape: [usize; 2]| -> Tensor<2> {
            let numbers: Vec<f64> = (0..shape[0] * shape[1]).map(|_| random.normal()).collect();
            Tensor::from_data(TensorData::new(numbers, shape), (&device, dtype))
        };
        let (hidden, matrix) = (draw([rows, width]), draw([vocabulary, width]));
        let targets: Vec<i64> = (0..rows).map(|row| (7 * row % vocabulary) as i64).collect();
        let weights: Vec<f64> =
            (0..rows).map(|row| if row % 4 == 3 { 0.0 } else { 0.1 + row as f64 / 90.0 }).collect();
        let targets: Tensor<1, Int> = Tensor::from_data(TensorData::new(targets, [rows]), &device);
        let weights: Tensor<1> = Tensor::from_data(TensorData::new(weights, [rows]), (&device, dtype));
        [false, true].map(|fused| {
            let (hidden, matrix) = (hidden.clone().require_grad(), matrix.clone().require_grad());
            let loss = if fused {
                linear_cross_entropy(hidden.clone(), matrix.clone(), targets.clone(), weights.clone())
            } else {
                let logits = hidden.clone().matmul(matrix.clone().transpose());
                cross_entropy(logits, targets.clone(), weights.clone())
            };
            let gradients = (loss.clone() * 0.5).backward();
            let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f64>().collect();
            let of = |operand: Tensor<2>| numbers(operand.grad(&gradients).expect("a derivative"));
            [loss.into_data().iter::<f64>().collect(), of(hidden), of(matrix)]
        })
    }

    #[test]
    fn loss_and_gradients_are_those_by_way_of_logits() {
        // The last has more logits than are formed at once.
        for (rows, width, vocabulary) in [(1, 3, 2), (5, 1, 40), (9, 20, 33), (150, 8, 4500)] {
            for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 1e-12)] {
                let [expected, given] = both(rows, width, vocabulary, dtype);
                for (given, expected) in given.iter().zip(&expected) {
                    assert_eq!(given.len(), expected.len());
                    for (a, b) in given.iter().zip(expected) {
                        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} for {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_loss_without_derivatives_is_the_same() {
        let device = Device::flex();
        let mut random = Sequence::new(3);
        let mut draw = |shape: [usize; 2]| -> Tensor<2> {
            let numbers: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.normal() as f32).collect();
            Tensor::from_data(TensorData::new(numbers, shape), &device)
        };
        let (hidden, matrix) = (draw([200, 5]), draw([3000, 5]));
        let targets: Tensor<1, Int> = Tensor::arange(0..200, &device);
        let weights: Tensor<1> = Tensor::full([200], 0.01, &device);
        let logits = hidden.clone().matmul(matrix.clone().transpose());
        let expected = cross_entropy(logits, targets.clone(), weights.clone()).into_scalar::<f32>();
        let given = linear_cross_entropy(hidden, matrix, targets, weights).into_scalar::<f32>();
        assert!((given - expected).abs() < 1e-5, "{given} for {expected}");
    }
}
