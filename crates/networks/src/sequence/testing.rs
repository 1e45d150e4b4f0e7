//! What the tests of layers share: double precision, plain references, derivatives by finite differences, and the comparison of kernels with
//! their compositions.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use mathesis_algebra::random::Sequence;

use super::linear::Linear;
use crate::operation::{Array, SliceOperation};

/// Standard normal numbers in double precision.
pub fn draw<const D: usize>(shape: [usize; D], random: &mut Sequence, device: &Device) -> Tensor<D> {
    let numbers: Vec<f64> = (0..shape.iter().product()).map(|_| random.normal()).collect();
    tensor(numbers, shape, device)
}

pub fn tensor<const D: usize>(numbers: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, shape), (device, DType::F64))
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[track_caller]
pub fn assert_close(given: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(given.len(), expected.len());
    for (place, (a, b)) in given.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} for {b} at {place}");
    }
}

/// The module with its parameters in double precision.
pub fn double<M: Module>(module: M) -> M {
    map(module, &mut |values| values)
}

/// The module with all parameters moved, so that biases are not zero.
pub fn shaken<M: Module>(module: M, random: &mut Sequence) -> M {
    map(module, &mut |values| values.into_iter().map(|value| value + 0.3 * random.normal()).collect())
}

fn map<M: Module>(module: M, change: &mut dyn FnMut(Vec<f64>) -> Vec<f64>) -> M {
    struct Change<'a>(&'a mut dyn FnMut(Vec<f64>) -> Vec<f64>);
    impl ModuleMapper for Change<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let before = param.val();
            let (shape, device) = (before.dims(), before.device());
            Param::from_tensor(tensor((self.0)(values(before)), shape, &device))
        }
    }
    module.map(&mut Change(change))
}

/// `W x + b`, number by number.
pub fn affine(layer: &Linear, x: &[f64]) -> Vec<f64> {
    let Linear::Dense(layer) = layer else { panic!("a dense layer: {layer:?}") };
    let weight = values(layer.weight.val());
    let bias = layer.bias.as_ref().map(|bias| values(bias.val()));
    let row = |(k, row): (usize, &[f64])| {
        row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias.as_ref().map_or(0.0, |bias| bias[k])
    };
    weight.chunks(x.len()).enumerate().map(row).collect()
}

/// Compare the derivatives of a random linear function of the output, with respect to the input and to every parameter, with
/// central differences.
#[track_caller]
pub fn assert_gradients<M: Module>(
    module: &M,
    input: Tensor<3>,
    forward: impl Fn(&M, Tensor<3>) -> Tensor<3>,
) {
    struct Collect<'a>(&'a Gradients, Vec<Vec<f64>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0).expect("a derivative for every parameter");
            self.1.push(values(gradient));
        }
    }
    let device = input.device();
    let shape = input.dims();
    let input = input.require_grad();
    let output = forward(module, input.clone());
    let direction = draw(output.dims(), &mut Sequence::new(99), &device);
    let loss = |module: &M, input: Tensor<3>| values((forward(module, input) * direction.clone()).sum())[0];
    let gradients = (output * direction.clone()).sum().backward();
    let of_input = values(input.grad(&gradients).expect("a derivative for the input"));
    let mut collect = Collect(&gradients, Vec::new());
    module.visit(&mut collect);

    let step = 1e-5;
    let check = |analytic: f64, up: f64, down: f64, what: String| {
        let numeric = (up - down) / (2.0 * step);
        let error = (analytic - numeric).abs() / (1.0 + numeric.abs());
        assert!(error < 1e-7, "{what}: {analytic} for {numeric}");
    };
    let at = values(input);
    for place in (0..at.len()).step_by((at.len() / 16).max(1)) {
        let moved = |by: f64| {
            let mut at = at.clone();
            at[place] += by;
            loss(module, tensor(at, shape, &device))
        };
        check(of_input[place], moved(step), moved(-step), format!("input {place}"));
    }
    for (number, gradient) in collect.1.iter().enumerate() {
        assert!(gradient.iter().any(|g| *g != 0.0), "parameter {number} has a derivative");
        for place in (0..gradient.len()).step_by((gradient.len() / 8).max(1)) {
            let moved = |by: f64| {
                let mut count = 0;
                let module = map(module.clone(), &mut |mut values| {
                    if count == number {
                        values[place] += by;
                    }
                    count += 1;
                    values
                });
                loss(&module, tensor(at.clone(), shape, &device))
            };
            check(gradient[place], moved(step), moved(-step), format!("parameter {number}, {place}"));
        }
    }
}

/// Compare the composition of an operation with its kernel, in double precision: the results, and the gradients of a random linear function
/// of them where the kernel has them.
#[track_caller]
pub fn assert_composition<const N: usize, const D: usize>(
    operation: &impl SliceOperation<N>,
    operands: [DispatchTensor; N],
    tolerance: f64,
) {
    let device = Device::flex().autodiff();
    let shapes = operands.each_ref().map(|operand| operand.shape().to_vec());
    let numbers = operands.map(flat);
    let arrays = std::array::from_fn(|n| Array { values: &numbers[n][..], shape: &shapes[n] });
    let (result, shape) = operation.forward::<f64>(arrays);
    let direction: Vec<f64> = values(draw([result.len()], &mut Sequence::new(98), &device));
    let expected =
        operation.backward::<f64>(arrays, Array { values: &result, shape: &shape }, &direction, [true; N]);

    let leaves =
        numbers.each_ref().map(|numbers| tensor(numbers.clone(), [numbers.len()], &device).require_grad());
    let operands = std::array::from_fn(|n| {
        Dispatch::float_reshape(leaves[n].clone().into_dispatch(), shapes[n].clone().into())
    });
    let composed: Tensor<D> = operation.composition(operands);
    assert_eq!(composed.dims().to_vec(), shape);
    assert_close(&values(composed.clone()), &result, tolerance);
    let gradients =
        (composed.reshape([result.len()]) * tensor(direction, [result.len()], &device)).sum().backward();
    for (leaf, expected) in leaves.iter().zip(expected) {
        let Some(expected) = expected else { continue };
        let given = leaf.grad(&gradients).map_or(vec![0.0; expected.len()], values);
        assert_close(&given, &expected, tolerance);
    }
}

/// The same of an operation without gradients.
#[track_caller]
pub fn assert_composed_result<const N: usize, const D: usize>(
    operation: &impl SliceOperation<N>,
    operands: [DispatchTensor; N],
    tolerance: f64,
) {
    let composed: Tensor<D> = operation.composition(operands.clone());
    let shapes = operands.each_ref().map(|operand| operand.shape().to_vec());
    let numbers = operands.map(flat);
    let arrays = std::array::from_fn(|n| Array { values: &numbers[n][..], shape: &shapes[n] });
    let (result, shape) = operation.forward::<f64>(arrays);
    assert_eq!(composed.dims().to_vec(), shape);
    assert_close(&values(composed), &result, tolerance);
}

fn flat(operand: DispatchTensor) -> Vec<f64> {
    let count = operand.shape().num_elements();
    values(Tensor::<1>::from_dispatch(Dispatch::float_reshape(operand, [count].into())))
}
