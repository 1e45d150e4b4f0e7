//! Differentiable operations that are written over slices: a forward pass and its gradients, for `f32` and `f64`.
//!
//! The kernels of a [`SliceOperation`] know nothing of tensors and backends; [`apply_to_two`], [`apply_to_three`] and [`apply_to_five`] make them
//! one operation of burn with automatic derivatives of first order, on the processor (`Flex`). On every other device ([`has_kernels`]) they
//! compute its [`composition`](SliceOperation::composition) of burn's operations instead, which burn can differentiate. Half precision is
//! computed in `f32` in both.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, DispatchTensor, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, Device, Element, FloatDType, Tensor, TensorData};
use mathesis_algebra::real::Real;

/// An operand: values in row-major order.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a, T> {
    /// The values.
    pub values: &'a [T],
    /// The extents.
    pub shape: &'a [usize],
}

/// The gradients of those operands that were asked for.
pub type ArrayGradients<T, const N: usize> = [Option<Vec<T>>; N];

/// A function of `N` arrays and its derivative.
pub trait SliceOperation<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// The result and its shape.
    fn forward<T: Real>(&self, operands: [Array<'_, T>; N]) -> (Vec<T>, Vec<usize>);

    /// Whether the derivative needs the result. Where it does not, the result is not kept for it and is empty there.
    const NEEDS_RESULT: bool = true;

    /// The gradients of the operands, of those `asked` for at least, from the result and its gradient.
    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; N],
        result: Array<'_, T>,
        gradient: &[T],
        asked: [bool; N],
    ) -> ArrayGradients<T, N>;

    /// The same function in burn's operations: the result, of rank `D`, of float tensors in single or double precision on any device.
    fn composition<const D: usize>(&self, operands: [DispatchTensor; N]) -> Tensor<D>;
}

/// Whether the operations of this crate are kernels on a device, with derivatives or without; on others they are compositions of burn's
/// operations.
pub fn has_kernels(device: &Device) -> bool {
    fn is_flex(device: &DispatchDevice) -> bool {
        match device {
            DispatchDevice::Flex(_) => true,
            DispatchDevice::Autodiff(device) => is_flex(device),
            // Others are there with cargo features alone.
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
    is_flex(device.as_dispatch())
}

/// The operation on two tensors.
pub fn apply_to_two<const D: usize>(
    operation: impl SliceOperation<2>,
    operands: [DispatchTensor; 2],
) -> Tensor<D> {
    if !are_on_kernels(&operands) {
        return composed(&operation, operands);
    }
    let [a, b] = operands;
    Tensor::from_dispatch(<Dispatch as SliceBackend>::apply_to_two(a, b, operation))
}

/// The operation on three tensors.
pub fn apply_to_three<const D: usize>(
    operation: impl SliceOperation<3>,
    operands: [DispatchTensor; 3],
) -> Tensor<D> {
    if !are_on_kernels(&operands) {
        return composed(&operation, operands);
    }
    let [a, b, c] = operands;
    Tensor::from_dispatch(<Dispatch as SliceBackend>::apply_to_three(a, b, c, operation))
}

/// The operation on five tensors.
pub fn apply_to_five<const D: usize>(
    operation: impl SliceOperation<5>,
    operands: [DispatchTensor; 5],
) -> Tensor<D> {
    if !are_on_kernels(&operands) {
        return composed(&operation, operands);
    }
    let [a, b, c, d, e] = operands;
    Tensor::from_dispatch(<Dispatch as SliceBackend>::apply_to_five(a, b, c, d, e, operation))
}

fn are_on_kernels(operands: &[DispatchTensor]) -> bool {
    operands.first().is_some_and(|first| has_kernels(&Device::new(first.device())))
}

/// The composition, in single precision for what is in half.
fn composed<const N: usize, const D: usize>(
    operation: &impl SliceOperation<N>,
    operands: [DispatchTensor; N],
) -> Tensor<D> {
    match operands[0].dtype() {
        DType::F32 | DType::F64 => operation.composition(operands),
        half => {
            let wide = operands.map(|operand| Dispatch::float_cast(operand, FloatDType::F32));
            operation.composition::<D>(wide).cast(half)
        }
    }
}

/// What a backend adds to burn's operations.
#[backend_extension(Flex, Autodiff)]
pub trait SliceBackend: Backend {
    /// See [`apply_to_two`].
    fn apply_to_two<O: SliceOperation<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;

    /// See [`apply_to_three`].
    fn apply_to_three<O: SliceOperation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;

    /// See [`apply_to_five`].
    fn apply_to_five<O: SliceOperation<5>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;
}

/// Both passes on a backend without derivatives.
pub trait SliceKernels: Backend {
    /// The result.
    fn result<const N: usize, O: SliceOperation<N>>(
        operation: &O,
        operands: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self>;

    /// The gradients that are asked for; the result is given if they need it.
    fn gradients<const N: usize, O: SliceOperation<N>>(
        operation: &O,
        operands: [FloatTensor<Self>; N],
        result: Option<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
        asked: [bool; N],
    ) -> [Option<FloatTensor<Self>>; N];
}

impl SliceBackend for Flex {
    fn apply_to_two<O: SliceOperation<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        Self::result(&operation, [a, b])
    }

    fn apply_to_three<O: SliceOperation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        Self::result(&operation, [a, b, c])
    }

    fn apply_to_five<O: SliceOperation<5>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        Self::result(&operation, [a, b, c, d, e])
    }
}

impl SliceKernels for Flex {
    fn result<const N: usize, O: SliceOperation<N>>(
        operation: &O,
        operands: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self> {
        match operands[0].dtype() {
            DType::F64 => result_in::<f64, N, O>(operation, operands),
            DType::F32 => result_in::<f32, N, O>(operation, operands),
            other => {
                let operands = operands.map(|operand| Self::float_cast(operand, FloatDType::F32));
                Self::float_cast(result_in::<f32, N, O>(operation, operands), other.into())
            }
        }
    }

    fn gradients<const N: usize, O: SliceOperation<N>>(
        operation: &O,
        operands: [FloatTensor<Self>; N],
        result: Option<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
        asked: [bool; N],
    ) -> [Option<FloatTensor<Self>>; N] {
        match operands[0].dtype() {
            DType::F64 => gradients_in::<f64, N, O>(operation, operands, result, gradient, asked),
            DType::F32 => gradients_in::<f32, N, O>(operation, operands, result, gradient, asked),
            other => {
                let wide = |tensor| Self::float_cast(tensor, FloatDType::F32);
                let operands = operands.map(wide);
                gradients_in::<f32, N, O>(operation, operands, result.map(wide), wide(gradient), asked)
                    .map(|gradient| gradient.map(|gradient| Self::float_cast(gradient, other.into())))
            }
        }
    }
}

/// Numbers that a tensor of this backend can hold.
trait Stored: Real + Element {
    /// The values of a contiguous tensor.
    fn values(tensor: &FloatTensor<Flex>) -> &[Self];
}

macro_rules! stored {
    ($($kind:ty)*) => {$(
        impl Stored for $kind {
            fn values(tensor: &FloatTensor<Flex>) -> &[Self] {
                tensor.as_slice::<$kind>().expect("values of a contiguous tensor of this type")
            }
        }
    )*};
}
stored!(f32 f64);

fn result_in<T: Stored, const N: usize, O: SliceOperation<N>>(
    operation: &O,
    operands: [FloatTensor<Flex>; N],
) -> FloatTensor<Flex> {
    let operands = operands.map(|operand| operand.to_contiguous());
    let shapes: [Vec<usize>; N] = std::array::from_fn(|n| operands[n].shape().to_vec());
    let arrays = std::array::from_fn(|n| Array { values: T::values(&operands[n]), shape: &shapes[n] });
    let (values, shape) = operation.forward::<T>(arrays);
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}

fn gradients_in<T: Stored, const N: usize, O: SliceOperation<N>>(
    operation: &O,
    operands: [FloatTensor<Flex>; N],
    result: Option<FloatTensor<Flex>>,
    gradient: FloatTensor<Flex>,
    asked: [bool; N],
) -> [Option<FloatTensor<Flex>>; N] {
    let operands = operands.map(|operand| operand.to_contiguous());
    let (result, gradient) = (result.map(|result| result.to_contiguous()), gradient.to_contiguous());
    let shapes: [Vec<usize>; N] = std::array::from_fn(|n| operands[n].shape().to_vec());
    let arrays = std::array::from_fn(|n| Array { values: T::values(&operands[n]), shape: &shapes[n] });
    let result_shape = gradient.shape().to_vec();
    let result = Array { values: result.as_ref().map_or(&[], T::values), shape: &result_shape };
    let mut gradients = operation.backward::<T>(arrays, result, T::values(&gradient), asked);
    std::array::from_fn(|n| {
        let values = gradients[n].take()?;
        let data = TensorData::new(values, shapes[n].clone());
        Some(Flex::float_from_data(data, &Default::default()))
    })
}

impl<B: SliceKernels, C: CheckpointStrategy> SliceBackend for Autodiff<B, C> {
    fn apply_to_two<O: SliceOperation<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        tracked::<B, C, 2, O>(operation, [a, b])
    }

    fn apply_to_three<O: SliceOperation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        tracked::<B, C, 3, O>(operation, [a, b, c])
    }

    fn apply_to_five<O: SliceOperation<5>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        tracked::<B, C, 5, O>(operation, [a, b, c, d, e])
    }
}

fn tracked<B: SliceKernels, C: CheckpointStrategy, const N: usize, O: SliceOperation<N>>(
    operation: O,
    operands: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let mut tensors = Vec::with_capacity(N);
    let nodes = operands.map(|operand| {
        let (tensor, node) = operand.into_parts();
        tensors.push(tensor);
        node
    });
    let tensors: [FloatTensor<B>; N] = match tensors.try_into() {
        Ok(tensors) => tensors,
        Err(_) => unreachable!("a tensor for every operand"),
    };
    match Differentiated(operation.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let result = B::result(&operation, tensors.clone());
            step.finish((tensors, O::NEEDS_RESULT.then(|| result.clone())), result)
        }
        OpsKind::UnTracked(step) => step.finish(B::result(&operation, tensors)),
    }
}

#[derive(Debug)]
struct Differentiated<O>(O);

impl<B: SliceKernels, O: SliceOperation<N>, const N: usize> Backward<B, N> for Differentiated<O> {
    /// Operands and, if it is needed, the result.
    type State = ([FloatTensor<B>; N], Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (operands, result) = ops.state;
        let asked = std::array::from_fn(|n| ops.parents[n].is_some());
        let found = B::gradients(&self.0, operands, result, gradient, asked);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}
