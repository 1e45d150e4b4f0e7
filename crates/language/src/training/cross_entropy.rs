//! Softmax and cross-entropy in one pass, with automatic derivatives.
//!
//! For rows of logits `z`, targets `t` and weights `w` the loss is `Σ_i w_i (log Σ_v exp z_iv − z_it)`, and its gradient
//! `w_i (softmax(z_i) − e_t)`. On the processor (`Flex`, `f32`) the gradient is formed while a row of logits is in the cache,
//! and kept until the backward pass, so that no probabilities are ever stored beside it, with derivatives of first order; on every other
//! device, and for other number formats, the loss is a [`composition`] of burn's own operations.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Int, Tensor, TensorData};
use mathesis_algebra::real::vectorised;
use mathesis_networks::operation::has_kernels;
use rayon::prelude::*;

/// The weighted sum, `[1]`, of the cross-entropies of `logits` `[rows, vocabulary]` with `targets` `[rows]`, in nats. A row of
/// weight 0 counts for nothing, whatever its logits and its target are.
///
/// # Panics
/// If the shapes do not fit each other, or, where a kernel computes, the target of a row that counts is not below the vocabulary's size.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, weights: Tensor<1>) -> Tensor<1> {
    let [rows, vocabulary] = logits.dims();
    assert_eq!((targets.dims(), weights.dims()), ([rows], [rows]), "targets and weights of a cross-entropy");
    assert!(vocabulary > 0, "an empty vocabulary");
    if logits.dtype() != DType::F32 || !has_kernels(&logits.device()) {
        return composition(logits, targets, weights);
    }
    Tensor::from_dispatch(<Dispatch as CrossEntropyBackend>::cross_entropy(
        logits.into_dispatch(),
        targets.into_dispatch(),
        weights.into_dispatch(),
    ))
}

/// The same in burn's operations.
pub fn composition(logits: Tensor<2>, targets: Tensor<1, Int>, weights: Tensor<1>) -> Tensor<1> {
    // Rows that count for nothing may hold anything.
    let idle = weights.clone().equal_elem(0.0);
    let targets = targets.mask_fill(idle.clone(), 0).unsqueeze_dim::<2>(1);
    let idle = idle.unsqueeze_dim::<2>(1).expand(logits.dims());
    let logarithms = log_softmax(logits.mask_fill(idle, 0.0), 1);
    (logarithms.gather(1, targets).squeeze_dim::<1>(1) * weights.detach()).sum().neg()
}

/// What a backend adds to burn's operations, with derivatives on a backend that has them.
#[backend_extension(Flex, Autodiff)]
pub trait CrossEntropyBackend: Backend {
    /// See [`cross_entropy`]. The weights have no gradient.
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The operation and its gradient, in single precision, on a backend without derivatives.
pub trait CrossEntropyKernels: Backend {
    /// The loss `[1]`.
    fn loss(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The loss `[1]` and its gradient with respect to the logits.
    fn loss_and_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// `factor` `[1]` times a gradient.
    fn multiple(gradient: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl CrossEntropyBackend for Flex {
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::loss(logits, targets, weights)
    }
}

impl CrossEntropyKernels for Flex {
    fn loss(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let vocabulary = logits.shape()[1];
        let (targets, weights) = (whole_numbers(targets), values(&weights).to_vec());
        let logits = logits.to_contiguous();
        let losses: Vec<f64> = values(&logits)
            .par_chunks(vocabulary)
            .zip(targets.par_iter().zip(&weights))
            .map(|(row, (&target, &weight))| {
                if weight == 0.0 {
                    return 0.0;
                }
                vectorised(
                    #[inline(always)]
                    || row_loss(row, target, weight),
                )
            })
            .collect();
        total(&losses)
    }

    fn loss_and_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shape = logits.shape();
        let (targets, weights) = (whole_numbers(targets), values(&weights).to_vec());
        let logits = logits.to_contiguous();
        let mut gradient = vec![0.0_f32; shape.num_elements()];
        let losses: Vec<f64> = values(&logits)
            .par_chunks(shape[1])
            .zip(gradient.par_chunks_mut(shape[1]))
            .zip(targets.par_iter().zip(&weights))
            .map(|((row, gradient), (&target, &weight))| {
                if weight == 0.0 {
                    return 0.0;
                }
                gradient.copy_from_slice(row);
                vectorised(
                    #[inline(always)]
                    || row_loss_and_gradient(gradient, target, weight),
                )
            })
            .collect();
        let gradient = Self::float_from_data(TensorData::new(gradient, shape), &Default::default());
        (total(&losses), gradient)
    }

    fn multiple(gradient: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        // A loss that is not scaled afterwards has the factor 1, and its gradient is what it is.
        match factor.as_slice::<f32>() {
            Some([1.0]) => gradient,
            Some([factor]) => Self::float_mul_scalar(gradient, (*factor).into()),
            _ => {
                let factor = Self::float_reshape(factor, [1, 1].into());
                let factor = Self::float_expand(factor, gradient.shape());
                Self::float_mul(gradient, factor)
            }
        }
    }
}

/// The values of a contiguous tensor in row-major order.
pub(super) fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice::<f32>().expect("values of a contiguous f32 tensor")
}

pub(super) fn whole_numbers(tensor: IntTensor<Flex>) -> Vec<usize> {
    let data = tensor.to_contiguous().into_data().convert::<i64>();
    data.as_slice::<i64>().expect("whole numbers").iter().map(|&number| number as usize).collect()
}

/// The sum in the order of the rows, which does not depend on the number of threads.
pub(super) fn total(losses: &[f64]) -> FloatTensor<Flex> {
    let sum = losses.iter().sum::<f64>() as f32;
    Flex::float_from_data(TensorData::new(vec![sum], [1]), &Default::default())
}

#[inline(always)]
pub(super) fn row_loss(row: &[f32], target: usize, weight: f32) -> f64 {
    let largest = maximum(row);
    let mut sums = [0.0_f32; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += exponential(block[lane] - largest);
        }
    }
    let rest: f32 = rest.iter().map(|z| exponential(z - largest)).sum();
    let normaliser = f64::from(sums.iter().sum::<f32>() + rest).ln() + f64::from(largest);
    f64::from(weight) * (normaliser - f64::from(row[target]))
}

/// The loss; the logits become its gradient.
#[inline(always)]
pub(super) fn row_loss_and_gradient(row: &mut [f32], target: usize, weight: f32) -> f64 {
    let (largest, of_target) = (maximum(row), row[target]);
    let mut sums = [0.0_f32; LANES];
    let (blocks, rest) = row.as_chunks_mut::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            block[lane] = exponential(block[lane] - largest);
            sums[lane] += block[lane];
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for z in rest {
        *z = exponential(*z - largest);
        sum += *z;
    }
    let factor = weight / sum;
    row.iter_mut().for_each(|value| *value *= factor);
    row[target] -= weight;
    f64::from(weight) * (f64::from(sum).ln() + f64::from(largest) - f64::from(of_target))
}

/// Independent sums, so that the compiler may use vectors.
const LANES: usize = 16;

/// The largest value; any one if a value is not a number, which the sum of the exponentials then shows.
#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            largest[lane] = if block[lane] > largest[lane] { block[lane] } else { largest[lane] };
        }
    }
    largest.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// `exp x` for `x ≤ 0`, to two units in the last place; below −87, where it is no normal number, that of −87. With
/// `x = n ln 2 + r` it is `2ⁿ` times the Taylor polynomial of degree 7, whose remainder is below 6e-9 for `|r| ≤ ln 2 / 2`.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    /// Adding it to a small number rounds the number to the nearest whole one, in the lowest bits.
    const ROUNDING: f32 = 12_582_912.0;
    /// `ln 2` in two parts, the first with so few digits that its product with `n` is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // The comparison is written such that what is not a number passes.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + coefficient;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_add(127) << 23;
    sum * f32::from_bits(exponent)
}

impl<B: CrossEntropyKernels, C: CheckpointStrategy> CrossEntropyBackend for Autodiff<B, C> {
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        let (weights, _) = weights.into_parts();
        match CrossEntropyStep.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (loss, gradient) = B::loss_and_gradient(logits, targets, weights);
                step.finish(gradient, loss)
            }
            OpsKind::UnTracked(step) => step.finish(B::loss(logits, targets, weights)),
        }
    }
}

#[derive(Debug)]
struct CrossEntropyStep;

impl<B: CrossEntropyKernels> Backward<B, 1> for CrossEntropyStep {
    /// The gradient with respect to the logits.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::multiple(ops.state, upstream));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;
    use proptest::prelude::*;

    use super::*;

    struct Example {
        rows: usize,
        vocabulary: usize,
        logits: Vec<f32>,
        targets: Vec<i64>,
        weights: Vec<f32>,
    }

    fn example(rows: usize, vocabulary: usize, scale: f64, seed: u64) -> Example {
        let mut random = Sequence::new(seed);
        Example {
            rows,
            vocabulary,
            logits: (0..rows * vocabulary).map(|_| (scale * random.normal()) as f32).collect(),
            targets: (0..rows).map(|_| (random.bits() % vocabulary as u64) as i64).collect(),
            weights: (0..rows).map(|k| if k % 3 == 2 { 0.0 } else { random.uniform() as f32 }).collect(),
        }
    }

    impl Example {
        fn tensors(&self, device: &Device) -> (Tensor<2>, Tensor<1, Int>, Tensor<1>) {
            (
                Tensor::from_data(TensorData::new(self.logits.clone(), [self.rows, self.vocabulary]), device),
                Tensor::from_data(TensorData::new(self.targets.clone(), [self.rows]), device),
                Tensor::from_data(TensorData::new(self.weights.clone(), [self.rows]), device),
            )
        }

        /// The loss in double precision.
        fn exact(&self, logits: &[f32]) -> f64 {
            logits
                .chunks(self.vocabulary)
                .zip(&self.targets)
                .zip(&self.weights)
                .map(|((row, &target), &weight)| {
                    let largest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
                    let sum: f64 = row.iter().map(|&z| (f64::from(z) - largest).exp()).sum();
                    f64::from(weight) * (sum.ln() + largest - f64::from(row[target as usize]))
                })
                .sum()
        }

        fn fused(&self) -> (f32, Vec<f32>) {
            self.derived(cross_entropy)
        }

        /// The loss and its gradient.
        fn derived(&self, of: fn(Tensor<2>, Tensor<1, Int>, Tensor<1>) -> Tensor<1>) -> (f32, Vec<f32>) {
            let (logits, targets, weights) = self.tensors(&Device::flex().autodiff());
            let logits = logits.require_grad();
            let loss = of(logits.clone(), targets, weights);
            let gradients = loss.backward();
            (loss.into_scalar(), logits.grad(&gradients).unwrap().into_data().try_to_vec().unwrap())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_kernel_is_the_composition_and_the_exact_loss(
            rows in 1_usize..9, vocabulary in 1_usize..70, scale in 0.1_f64..30.0, seed: u64,
        ) {
            let example = example(rows, vocabulary, scale, seed);
            let (loss, gradient) = example.fused();
            let exact = example.exact(&example.logits);
            prop_assert!((f64::from(loss) - exact).abs() <= 2e-6 * (1.0 + exact.abs()), "{loss} {exact}");

            let plain = {
                let (logits, targets, weights) = example.tensors(&Device::flex());
                cross_entropy(logits, targets, weights).into_scalar::<f32>()
            };
            prop_assert!((plain - loss).abs() <= 2e-6 * (1.0 + loss.abs()));
            let (composed, theirs) = example.derived(composition);
            prop_assert!((f64::from(composed) - exact).abs() <= 2e-6 * (1.0 + exact.abs()), "{composed} {exact}");
            for (a, b) in gradient.iter().zip(&theirs) {
                prop_assert!((a - b).abs() <= 2e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let example = example(5, 23, 2.0, 4);
        let (_, gradient) = example.fused();
        // The differences are of the loss in double precision, at neighbours that single precision can tell apart.
        for (index, slope) in gradient.iter().enumerate() {
            let mut moved = example.logits.clone();
            moved[index] = example.logits[index] + 1e-3;
            let above = f64::from(moved[index]);
            let higher = example.exact(&moved);
            moved[index] = example.logits[index] - 1e-3;
            let below = f64::from(moved[index]);
            let difference = (higher - example.exact(&moved)) / (above - below);
            assert!((f64::from(*slope) - difference).abs() < 1e-6, "{index}: {slope} {difference}");
        }
    }

    #[test]
    fn the_gradient_of_a_multiple_is_the_multiple() {
        let example = example(4, 20, 1.0, 9);
        let (_, gradient) = example.fused();
        let (logits, targets, weights) = example.tensors(&Device::flex().autodiff());
        let logits = logits.require_grad();
        let gradients = (cross_entropy(logits.clone(), targets, weights) * 0.25).backward();
        let quarter: Vec<f32> = logits.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        assert!(gradient.iter().zip(&quarter).all(|(a, b)| (0.25 * a - b).abs() < 1e-8));
    }

    #[test]
    fn rows_of_weight_zero_count_for_nothing() {
        for function in [cross_entropy, composition] {
            let mut example = example(3, 20, 1.0, 2);
            let (loss, gradient) = example.derived(function);
            assert!(gradient[40..].iter().all(|&value| value == 0.0));
            example.logits[45] = f32::NAN;
            example.targets[2] = 20;
            let (same, gradient) = example.derived(function);
            assert_eq!(loss.to_bits(), same.to_bits());
            assert!(gradient[40..].iter().all(|&value| value == 0.0));
            example.logits[5] = f32::NAN;
            assert!(example.derived(function).0.is_nan());
            example.logits[5] = f32::INFINITY;
            assert!(!example.derived(function).0.is_finite());
        }
    }

    #[test]
    fn the_exponential_is_that_of_double_precision() {
        let mut worst = 0.0_f64;
        for k in 0..=200_000 {
            let x = -87.0 * k as f32 / 200_000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exponential(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.4e-7, "{worst}");
        assert_eq!(exponential(0.0), 1.0);
        assert!(exponential(f32::NEG_INFINITY) < 2e-38 && exponential(f32::NAN).is_nan());
    }
}
