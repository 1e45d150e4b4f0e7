//! Linear layers with ternary weights behind a norm of their own: BitLinear of Zhu et al., "Scalable MatMul-free Language Modeling"
//! (2024). The equations of both passes are in [`mathesis_algebra::number_format::bit_linear`].
//!
//! In training the full-precision weights are kept and quantised anew in every pass. [`BitLinear::packed`] drops them for two bits a
//! weight; the results stay the same, bit by bit. A packed layer computes on the processor: on another device its inputs are taken from
//! there, and its results, which are the same to rounding then, brought back.

use std::sync::Arc;

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::number_format::bit_linear::{self as kernel, forward_packed};
use mathesis_algebra::number_format::ternary::{SMALLEST_RANGE, TernaryMatrix};
use mathesis_algebra::real::Real;

use super::linear::constant;
use super::rms_norm::composition;
use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_three};

/// The ε that the fused layer of the public code is called with; its unfused layer has 1e-8.
pub const RELEASED_EPSILON: f64 = 1e-6;

/// A linear layer with ternary weights.
#[derive(Module, Debug)]
pub struct BitLinear {
    /// `[in]`, the gain of the norm; starts at one.
    pub gain: Param<Tensor<1>>,
    /// `[out, in]` in full precision; none once packed.
    pub weight: Option<Param<Tensor<2>>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    epsilon: f64,
    #[module(skip)]
    packed: Option<Arc<TernaryMatrix>>,
}

impl BitLinear {
    /// A layer with these full-precision weights `[out, in]`.
    pub fn new(
        weight: Param<Tensor<2>>,
        bias: Option<Param<Tensor<1>>>,
        epsilon: f64,
        device: &Device,
    ) -> Self {
        let inputs = weight.shape().dims::<2>()[1];
        BitLinear { gain: constant(inputs, 1.0, device), weight: Some(weight), bias, epsilon, packed: None }
    }

    /// The layer with ternary weights of two bits each instead of full-precision ones: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(mut self) -> Result<Self, FormatError> {
        if let Some(weight) = self.weight.take() {
            let weight = weight.val();
            let [rows, columns] = weight.dims();
            let values: Vec<f32> = weight.into_data().iter::<f32>().collect();
            self.packed = Some(Arc::new(TernaryMatrix::quantised(&values, rows, columns)?));
        }
        Ok(self)
    }

    /// The packed weights.
    pub fn ternary(&self) -> Option<&TernaryMatrix> {
        self.packed.as_deref()
    }

    /// `[.., in]` to `[.., out]`. Where a number is not finite, everything becomes NaN.
    ///
    /// # Panics
    /// If the last extent is not that of the weights.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        assert_eq!(input.dims()[D - 1], self.gain.shape().dims::<1>()[0], "inputs of a ternary layer");
        let output = match (&self.weight, &self.packed) {
            (Some(weight), _) => {
                let operands =
                    [input.into_dispatch(), self.gain.val().into_dispatch(), weight.val().into_dispatch()];
                apply_to_three(Ternary { epsilon: self.epsilon }, operands)
            }
            (None, Some(packed)) => self.infer(packed, input),
            (None, None) => unreachable!("a layer has weights of one of the two kinds"),
        };
        match &self.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    }

    fn infer<const D: usize>(&self, packed: &TernaryMatrix, input: Tensor<D>) -> Tensor<D> {
        let (device, dtype) = (input.device(), input.dtype());
        let mut shape = input.dims();
        let single = |tensor: TensorData| tensor.convert::<f32>();
        let (input, gain) = (single(input.into_data()), single(self.gain.val().into_data()));
        let rows = shape[..D - 1].iter().product::<usize>();
        shape[D - 1] = packed.shape().0;
        let values = match (input.as_slice(), gain.as_slice()) {
            (Ok(input), Ok(gain)) => forward_packed(packed, gain, self.epsilon, input),
            _ => unreachable!("the numbers were converted"),
        };
        let values = values.unwrap_or_else(|_| vec![f32::NAN; rows * packed.shape().0]);
        Tensor::from_data(TensorData::new(values, shape), (&device, dtype))
    }
}

/// The layer with its straight-through derivative: rows, gain and weights.
#[derive(Clone, Debug)]
struct Ternary {
    epsilon: f64,
}

impl SliceOperation<3> for Ternary {
    fn forward<T: Real>(&self, [input, gain, weights]: [Array<'_, T>; 3]) -> (Vec<T>, Vec<usize>) {
        let mut shape = input.shape.to_vec();
        if let Some(last) = shape.last_mut() {
            *last = weights.shape[0];
        }
        let layer = kernel::BitLinear { weights: weights.values, gain: gain.values, epsilon: self.epsilon };
        let output = layer.forward(input.values);
        (output.unwrap_or_else(|_| vec![T::nan(); shape.iter().product()]), shape)
    }

    fn backward<T: Real>(
        &self,
        operands: [Array<'_, T>; 3],
        _: Array<'_, T>,
        gradient: &[T],
        _: [bool; 3],
    ) -> ArrayGradients<T, 3> {
        let [input, gain, weights] = operands;
        let layer = kernel::BitLinear { weights: weights.values, gain: gain.values, epsilon: self.epsilon };
        match layer.backward(input.values, gradient) {
            Ok(of) => [of.input, of.gain, of.weights].map(Some),
            Err(_) => operands.map(|operand| Some(vec![T::nan(); operand.values.len()])),
        }
    }

    /// Quantisers have the derivative of the identity.
    fn composition<const D: usize>(&self, [input, gain, weights]: [DispatchTensor; 3]) -> Tensor<D> {
        fn passing<const D: usize>(exact: Tensor<D>, quantised: Tensor<D>) -> Tensor<D> {
            exact.clone() + (quantised - exact).detach()
        }
        let input = Tensor::<D>::from_dispatch(input);
        let (gain, weights) = (Tensor::<1>::from_dispatch(gain), Tensor::<2>::from_dispatch(weights));
        let smallest = f64::from(SMALLEST_RANGE);
        let mut shape = input.dims();
        let columns = shape[D - 1];
        let rows = input.reshape([shape[..D - 1].iter().product(), columns]);
        let normed = composition(rows, gain, self.epsilon);
        let scale = normed.clone().abs().max_dim(1).clamp_min(smallest).recip() * 127.0;
        let codes = (normed.clone() * scale.clone()).round().clamp(-128.0, 127.0);
        let mean = weights.clone().abs().mean().clamp_min(smallest).unsqueeze();
        let ternary = (weights.clone() / mean.clone()).round().clamp(-1.0, 1.0) * mean;
        let product = passing(normed, codes / scale).matmul(passing(weights, ternary).transpose());
        shape[D - 1] = product.dims()[1];
        product.reshape(shape)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, s};
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_composition, draw, shaken, values};

    fn layer(random: &mut Sequence, device: &Device) -> BitLinear {
        let weight = Param::from_tensor(draw([5, 7], random, device));
        shaken(BitLinear::new(weight, None, 1e-6, device), random)
    }

    #[test]
    fn the_composition_is_the_operation() {
        let (device, mut random) = (Device::flex(), Sequence::new(3));
        for [rows, inputs, outputs] in [[1, 1, 1], [1, 7, 5], [6, 40, 9]] {
            let input: Tensor<3> = draw([1, rows, inputs], &mut random, &device);
            let gain: Tensor<1> = draw([inputs], &mut random, &device);
            let weights: Tensor<2> = draw([outputs, inputs], &mut random, &device);
            let operands = [input.into_dispatch(), gain.into_dispatch(), weights.into_dispatch()];
            assert_composition::<3, 3>(&Ternary { epsilon: 1e-6 }, operands, 1e-12);
        }
    }

    #[test]
    fn a_packed_layer_gives_the_same_bits() {
        let device = Device::flex();
        let mut random = Sequence::new(4);
        let mut layer = layer(&mut random, &device);
        layer.weight = layer.weight.map(|weight| Param::from_tensor(weight.val().cast(DType::F32)));
        layer.gain = Param::from_tensor(layer.gain.val().cast(DType::F32));
        layer.bias = Some(constant(5, 0.25, &device));
        let input = draw([2, 3, 7], &mut random, &device).cast(DType::F32);
        let expected = layer.forward(input.clone());
        let packed = layer.packed().expect("finite");
        assert_eq!(packed.num_params(), 7 + 5);
        let ternary = packed.ternary().expect("packed");
        assert_eq!((ternary.shape(), ternary.bytes()), ((5, 7), 5 * 64));
        assert_eq!(values(packed.forward(input.clone())), values(expected.clone()));
        let row = packed.forward(input.slice(s![1..2, 2..3, ..]));
        assert_eq!(values(row), values(expected.slice(s![1..2, 2..3, ..])));
    }

    #[test]
    fn numbers_that_are_not_finite_spread() {
        let device = Device::flex();
        let layer = layer(&mut Sequence::new(5), &device);
        let mut numbers = vec![1.0; 7];
        numbers[2] = f64::NAN;
        let input: Tensor<2> = crate::sequence::testing::tensor(numbers, [1, 7], &device);
        assert!(values(layer.forward(input)).iter().all(|y| y.is_nan()));
    }
}
