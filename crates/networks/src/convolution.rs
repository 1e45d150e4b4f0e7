//! Three-dimensional convolution on channels-last tensors, with automatic derivatives.
//!
//! Tensors are `[batch, x, y, z, channel]`, weights `[3, 3, 3, in, out]`; the padding is with zeros, the stride is 1. On the processor
//! (`Flex`, `f32`) the work is done by [`mathesis_algebra::convolution`], with bias and rectifier in the same pass and derivatives of first
//! order; on every other device, and for other number formats, by a [`composition`] of burn's own operations.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor, TensorData};
use mathesis_algebra::convolution::{Convolution, Epilogue, Instructions, Volume};

use crate::operation::has_kernels;

/// The convolution of `input` `[batch, x, y, z, in]` with `weights` `[3, 3, 3, in, out]` plus `bias` `[out]`; negative
/// values are replaced by zero if `rectify`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn convolve(input: Tensor<5>, weights: Tensor<5>, bias: Tensor<1>, rectify: bool) -> Tensor<5> {
    let [.., channels] = input.dims();
    let [a, b, c, channels_in, channels_out] = weights.dims();
    assert_eq!([a, b, c, channels_in], [3, 3, 3, channels], "weights of a convolution");
    assert_eq!(bias.dims(), [channels_out], "bias of a convolution");
    if !is_for_kernels(&input) {
        return composition::convolve(input, weights, bias, rectify);
    }
    let (input, weights, bias) = (input.into_dispatch(), weights.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ConvolutionBackend>::convolve(input, weights, bias, rectify))
}

/// The mean over blocks of 2×2×2 cells of `[batch, x, y, z, channel]`.
///
/// # Panics
/// If a number of cells is odd.
pub fn average_pool(input: Tensor<5>) -> Tensor<5> {
    assert!(input.dims()[1..4].iter().all(|n| n % 2 == 0), "an even number of cells: {:?}", input.dims());
    if !is_for_kernels(&input) {
        return composition::average_pool(input);
    }
    Tensor::from_dispatch(<Dispatch as ConvolutionBackend>::average_pool(input.into_dispatch()))
}

/// Every cell of `[batch, x, y, z, channel]` repeated in a block of 2×2×2 cells.
pub fn upsample(input: Tensor<5>) -> Tensor<5> {
    if !is_for_kernels(&input) {
        return composition::upsample(input);
    }
    Tensor::from_dispatch(<Dispatch as ConvolutionBackend>::upsample(input.into_dispatch()))
}

fn is_for_kernels(input: &Tensor<5>) -> bool {
    input.dtype() == DType::F32 && has_kernels(&input.device())
}

/// The same operations in terms of burn's own.
pub mod composition {
    use burn::tensor::Tensor;
    use burn::tensor::activation::relu;
    use burn::tensor::module::conv3d;
    use burn::tensor::ops::ConvOptions;

    /// See [`convolve`](super::convolve).
    pub fn convolve(input: Tensor<5>, weights: Tensor<5>, bias: Tensor<1>, rectify: bool) -> Tensor<5> {
        let channels_first = input.permute([0, 4, 1, 2, 3]);
        let outputs_first = weights.permute([4, 3, 0, 1, 2]);
        let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
        let output = conv3d(channels_first, outputs_first, Some(bias), options).permute([0, 2, 3, 4, 1]);
        if rectify { relu(output) } else { output }
    }

    /// See [`average_pool`](super::average_pool).
    pub fn average_pool(input: Tensor<5>) -> Tensor<5> {
        let shape = input.dims();
        let mut mean = input;
        // One axis after another: [.., n, rest] as [before, n/2, 2, after].
        let mut before = shape[0];
        for axis in 1..4 {
            let after: usize = shape[axis + 1..].iter().product();
            let halved = mean.reshape([before, shape[axis] / 2, 2, after]).mean_dim(2);
            before *= shape[axis] / 2;
            mean = halved.reshape([before, after, 1, 1, 1]);
        }
        mean.reshape([shape[0], shape[1] / 2, shape[2] / 2, shape[3] / 2, shape[4]])
    }

    /// See [`upsample`](super::upsample).
    pub fn upsample(input: Tensor<5>) -> Tensor<5> {
        let shape = input.dims();
        let mut repeated = input;
        let mut before = shape[0];
        for axis in 1..4 {
            before *= shape[axis];
            let after: usize = shape[axis + 1..].iter().product();
            let doubled = repeated.reshape([before, 1, after]).expand([before, 2, after]);
            before *= 2;
            repeated = doubled.reshape([before, after, 1, 1, 1]);
        }
        repeated.reshape([shape[0], 2 * shape[1], 2 * shape[2], 2 * shape[3], shape[4]])
    }
}

/// What a backend adds to burn's operations, with derivatives on a backend that has them.
#[backend_extension(Flex, Autodiff)]
pub trait ConvolutionBackend: Backend {
    /// See [`convolve`].
    fn convolve(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectify: bool,
    ) -> FloatTensor<Self>;

    /// See [`average_pool`].
    fn average_pool(input: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`upsample`].
    fn upsample(input: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Gradients of the loss with respect to input (if asked for), weights and bias.
type ConvolutionGradients<B> = (Option<FloatTensor<B>>, FloatTensor<B>, FloatTensor<B>);

/// The operations and their gradients, in single precision, on a backend without derivatives.
pub trait ConvolutionKernels: Backend {
    /// See [`convolve`].
    fn forward(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectify: bool,
    ) -> FloatTensor<Self>;

    /// The gradients, given that with respect to the output. `output` is what `forward` returned, if it rectified.
    fn gradients(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        output: Option<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
        of_input: bool,
    ) -> ConvolutionGradients<Self>;

    /// See [`average_pool`].
    fn pool(input: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`upsample`].
    fn repeat(input: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl ConvolutionBackend for Flex {
    fn convolve(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectify: bool,
    ) -> FloatTensor<Self> {
        Self::forward(input, weights, bias, rectify)
    }

    fn average_pool(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::pool(input)
    }

    fn upsample(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::repeat(input)
    }
}

impl ConvolutionKernels for Flex {
    fn forward(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectify: bool,
    ) -> FloatTensor<Self> {
        let (batch, cells, channels) = grids(&input);
        let volume = values(&input, |v| Volume::surrounded(batch, cells, channels, v));
        let layer = values(&weights, |w| values(&bias, |b| Convolution::new(channels, w, b)));
        let mut output = Volume::zeros(batch, cells, layer.channels_out(), 0);
        layer.apply(&volume, &mut output, Epilogue { rectify, residual: None });
        tensor_of(output)
    }

    fn gradients(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        output: Option<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
        of_input: bool,
    ) -> ConvolutionGradients<Self> {
        let (batch, cells, channels_in) = grids(&input);
        let channels_out = weights.shape()[4];
        let passed = match &output {
            Some(output) => values(output, |o| {
                let keep = |(g, o): (&f32, &f32)| if *o > 0.0 { *g } else { 0.0 };
                let masked: Vec<f32> = values(&gradient, |g| g.iter().zip(o).map(keep).collect());
                Volume::surrounded(batch, cells, channels_out, &masked)
            }),
            None => values(&gradient, |g| Volume::surrounded(batch, cells, channels_out, g)),
        };
        let surrounded = values(&input, |v| Volume::surrounded(batch, cells, channels_in, v));
        let (of_weights, of_bias) =
            Convolution::parameter_gradients(&surrounded, &passed, Instructions::detect());
        let of_input = of_input.then(|| {
            let adjoint = values(&weights, |w| Convolution::adjoint(channels_in, channels_out, w));
            let mut target = Volume::zeros(batch, cells, channels_in, 0);
            adjoint.apply(&passed, &mut target, Epilogue::default());
            tensor_of(target)
        });
        let of_weights = TensorData::new(of_weights, [3, 3, 3, channels_in, channels_out]);
        let device = Default::default();
        let of_bias = TensorData::new(of_bias, [channels_out]);
        (of_input, Self::float_from_data(of_weights, &device), Self::float_from_data(of_bias, &device))
    }

    fn pool(input: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor_of(mathesis_algebra::convolution::average_pool(&volume(&input)))
    }

    fn repeat(input: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor_of(mathesis_algebra::convolution::upsample(&volume(&input)))
    }
}

/// Batch, cells and channels of a tensor.
fn grids(tensor: &FloatTensor<Flex>) -> (usize, [usize; 3], usize) {
    let shape = tensor.shape();
    (shape[0], [shape[1], shape[2], shape[3]], shape[4])
}

/// What `read` makes of the values in row-major order.
fn values<T>(tensor: &FloatTensor<Flex>, read: impl FnOnce(&[f32]) -> T) -> T {
    match tensor.as_slice::<f32>() {
        Some(values) => read(values),
        None => read(tensor.to_contiguous().as_slice::<f32>().expect("values of a contiguous f32 tensor")),
    }
}

fn volume(tensor: &FloatTensor<Flex>) -> Volume {
    let (batch, cells, channels) = grids(tensor);
    values(tensor, |values| Volume::from_values(batch, cells, channels, values.to_vec()))
}

fn tensor_of(volume: Volume) -> FloatTensor<Flex> {
    let [x, y, z] = volume.cells();
    let shape = [volume.batch(), x, y, z, volume.channels()];
    Flex::float_from_data(TensorData::new(volume.into_values(), shape), &Default::default())
}

impl<B: ConvolutionKernels, C: CheckpointStrategy> ConvolutionBackend for Autodiff<B, C> {
    fn convolve(
        input: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectify: bool,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (weights, weights_node) = weights.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let prepared =
            ConvolutionStep.prepare::<C>([input_node, weights_node, bias_node]).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(step) => {
                let output = B::forward(input.clone(), weights.clone(), bias, rectify);
                step.finish((input, weights, rectify.then(|| output.clone())), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::forward(input, weights, bias, rectify)),
        }
    }

    fn average_pool(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        PoolStep.prepare::<C>([node]).compute_bound().stateless(B::pool(input))
    }

    fn upsample(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        RepeatStep.prepare::<C>([node]).compute_bound().stateless(B::repeat(input))
    }
}

#[derive(Debug)]
struct ConvolutionStep;

impl<B: ConvolutionKernels> Backward<B, 3> for ConvolutionStep {
    /// Input, weights and, if it was rectified, output.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [of_input, of_weights, of_bias] = ops.parents;
        let (input, weights, output) = ops.state;
        let (input, weights, bias) = B::gradients(input, weights, output, gradient, of_input.is_some());
        for (node, gradient) in [(of_input, input), (of_weights, Some(weights)), (of_bias, Some(bias))] {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct PoolStep;

impl<B: ConvolutionKernels> Backward<B, 1> for PoolStep {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::float_mul_scalar(B::repeat(gradient), 0.125.into()));
        }
    }
}

#[derive(Debug)]
struct RepeatStep;

impl<B: ConvolutionKernels> Backward<B, 1> for RepeatStep {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::float_mul_scalar(B::pool(gradient), 8.0.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;
    use proptest::prelude::*;

    use super::*;

    fn draw<const D: usize>(random: &mut Sequence, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> =
            (0..shape.iter().product::<usize>()).map(|_| random.symmetric() as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff()).require_grad()
    }

    fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>, tolerance: f32) {
        assert_eq!(a.dims(), b.dims());
        for (a, b) in a.into_data().iter::<f32>().zip(b.into_data().iter::<f32>()) {
            assert!((a - b).abs() <= tolerance, "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_kernels_are_the_compositions_of_burn(
            batch in 1_usize..3, x in 1_usize..4, y in 1_usize..4, z in 1_usize..4,
            channels_in in 1_usize..18, channels_out in 1_usize..18, rectify: bool, seed: u64,
        ) {
            let mut random = Sequence::new(seed);
            let cells = [2 * x, 2 * y, 2 * z];
            let input = draw(&mut random, [batch, cells[0], cells[1], cells[2], channels_in]);
            let weights = draw(&mut random, [3, 3, 3, channels_in, channels_out]);
            let bias = draw(&mut random, [channels_out]);
            let direction = draw(&mut random, [batch, cells[0], cells[1], cells[2], channels_out]);
            let derived = |function: fn(Tensor<5>, Tensor<5>, Tensor<1>, bool) -> Tensor<5>| {
                let output = function(input.clone(), weights.clone(), bias.clone(), rectify);
                let gradients = (output.clone() * direction.clone()).sum().backward();
                let of_bias = bias.grad(&gradients).expect("a derivative");
                let of = |operand: &Tensor<5>| operand.grad(&gradients).expect("a derivative");
                (output, of(&input), of(&weights), of_bias)
            };
            let (ours, theirs) = (derived(convolve), derived(composition::convolve));
            assert_close(ours.0, theirs.0, 1e-4);
            assert_close(ours.1, theirs.1, 1e-4);
            assert_close(ours.2, theirs.2, 1e-3);
            assert_close(ours.3, theirs.3, 1e-3);

            let derived = |function: fn(Tensor<5>) -> Tensor<5>| {
                let output = function(input.clone());
                let gradients = output.clone().square().sum().backward();
                (output, input.grad(&gradients).expect("a derivative"))
            };
            let (ours, theirs) = (derived(average_pool), derived(composition::average_pool));
            assert_close(ours.0, theirs.0, 1e-6);
            assert_close(ours.1, theirs.1, 1e-6);
            let (ours, theirs) = (derived(upsample), derived(composition::upsample));
            assert_close(ours.0, theirs.0, 0.0);
            assert_close(ours.1, theirs.1, 1e-5);
        }
    }
}
