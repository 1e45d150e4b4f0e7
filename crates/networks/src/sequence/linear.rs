//! Linear layers, `y = W x + b`, with the kind of `W` as a choice.
//!
//! Weights are stored as `[out, in]`, as in the ecosystem's checkpoints, and start as independent normal numbers; biases start
//! at zero.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use serde::{Deserialize, Serialize};

use super::arithmetic::{Arithmetic, ArithmeticLinear};
use super::bit_linear::{BitLinear, RELEASED_EPSILON};
use super::block_diagonal::BlockDiagonalLinear;
use super::int8_linear::Int8Linear;
use crate::few_rows::rows_times_transposed;

/// What kind of matrix a linear layer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinearKind {
    /// Any matrix.
    #[default]
    Dense,
    /// Weights −1, 0 and 1 with one scale, behind a norm of its own.
    Ternary,
    /// Blocks along the diagonal; others are zero.
    BlockDiagonal {
        /// Their number, a divisor of both widths.
        blocks: usize,
    },
    /// Any matrix, with products in an arithmetic. In files this is an axis of its own.
    #[serde(skip)]
    In(Arithmetic),
}

impl LinearKind {
    /// The arithmetic of products.
    pub fn arithmetic(self) -> Arithmetic {
        match self {
            LinearKind::In(arithmetic) => arithmetic,
            _ => Arithmetic::F32,
        }
    }
}

/// How layers for inference keep dense matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenseStorage {
    /// As they are.
    #[default]
    Kept,
    /// In 8 bits, with a scale for each row.
    Int8,
}

/// The shape of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinearConfig {
    /// The width of inputs.
    pub inputs: usize,
    /// The width of outputs.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// What kind of matrix.
    pub kind: LinearKind,
}

impl LinearConfig {
    /// A layer with random weights of the given standard deviation; those of blocks are larger by the square root of their number,
    /// so that the outputs are not.
    ///
    /// # Panics
    /// If a number of blocks does not divide both widths.
    pub fn init(&self, deviation: f64, random: &mut Sequence, device: &Device) -> Linear {
        let bias = self.bias.then(|| constant(self.outputs, 0.0, device));
        match self.kind {
            LinearKind::Dense => Linear::Dense(DenseLinear {
                weight: normal([self.outputs, self.inputs], deviation, random, device),
                bias,
            }),
            LinearKind::In(arithmetic) => {
                let weight = normal([self.outputs, self.inputs], deviation, random, device);
                match arithmetic.of_linears() {
                    Arithmetic::F32 => Linear::Dense(DenseLinear { weight, bias }),
                    other => Linear::In(ArithmeticLinear::new(weight, bias, other)),
                }
            }
            LinearKind::Ternary => {
                let weight = normal([self.outputs, self.inputs], deviation, random, device);
                Linear::Ternary(BitLinear::new(weight, bias, RELEASED_EPSILON, device))
            }
            LinearKind::BlockDiagonal { blocks } => {
                assert!(
                    blocks > 0 && self.inputs.is_multiple_of(blocks) && self.outputs.is_multiple_of(blocks),
                    "{blocks} blocks of a layer from {} to {}",
                    self.inputs,
                    self.outputs
                );
                let shape = [blocks, self.outputs / blocks, self.inputs / blocks];
                let deviation = deviation * (blocks as f64).sqrt();
                Linear::BlockDiagonal(BlockDiagonalLinear::new(
                    normal(shape, deviation, random, device),
                    bias,
                ))
            }
        }
    }

    /// The number of weights alone: no biases, no gains of norms.
    pub fn weights(&self) -> usize {
        match self.kind {
            LinearKind::Dense | LinearKind::Ternary | LinearKind::In(_) => self.outputs * self.inputs,
            LinearKind::BlockDiagonal { blocks } => self.outputs * (self.inputs / blocks.max(1)),
        }
    }

    /// The number of weights and biases.
    pub fn parameters(&self) -> usize {
        match self.kind {
            LinearKind::Dense | LinearKind::In(_) => self.outputs * (self.inputs + usize::from(self.bias)),
            LinearKind::Ternary => self.inputs + self.outputs * (self.inputs + usize::from(self.bias)),
            LinearKind::BlockDiagonal { blocks } => {
                self.outputs * (self.inputs / blocks.max(1) + usize::from(self.bias))
            }
        }
    }
}

/// A linear layer.
#[derive(Module, Debug)]
pub enum Linear {
    /// With any matrix.
    Dense(DenseLinear),
    /// With ternary weights.
    Ternary(BitLinear),
    /// With blocks along the diagonal.
    BlockDiagonal(BlockDiagonalLinear),
    /// With any matrix, in an arithmetic.
    In(ArithmeticLinear),
    /// With any matrix, kept in 8 bits.
    Int8(Int8Linear),
}

impl Linear {
    /// The layer with packed weights if they are of few bits, and a dense matrix as stated; itself otherwise: for inference.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        match self {
            Linear::Dense(DenseLinear { weight, bias }) if dense == DenseStorage::Int8 => {
                Ok(Linear::Int8(Int8Linear::new(weight.val(), bias)?))
            }
            Linear::Ternary(layer) => Ok(Linear::Ternary(layer.packed()?)),
            Linear::In(layer) => Ok(Linear::In(layer.packed()?)),
            other => Ok(other),
        }
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Linear::Dense(layer) => layer.forward(input),
            Linear::Ternary(layer) => layer.forward(input),
            Linear::BlockDiagonal(layer) => layer.forward(input),
            Linear::In(layer) => layer.forward(input),
            Linear::Int8(layer) => layer.forward(input),
        }
    }
}

/// A linear layer with any matrix.
#[derive(Module, Debug)]
pub struct DenseLinear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl DenseLinear {
    /// `[.., in]` to `[.., out]`.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let product = rows_times_transposed(input, self.weight.val());
        match &self.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        }
    }
}

/// Independent normal numbers with mean zero, drawn when they are first needed: a layer that is filled from a file never draws
/// them. One number of `random` is used.
pub fn normal<const D: usize>(
    shape: [usize; D],
    deviation: f64,
    random: &mut Sequence,
    device: &Device,
) -> Param<Tensor<D>> {
    let seed = random.bits();
    let draw = move |device: &Device, require_grad: bool| {
        let mut sequence = Sequence::new(seed);
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| (deviation * sequence.normal()) as f32).collect();
        let tensor = Tensor::from_data(TensorData::new(values, shape), device);
        if require_grad { tensor.require_grad() } else { tensor }
    };
    Param::uninitialized(ParamId::new(), draw, device.clone(), true, Shape::new(shape))
}

/// A vector of equal numbers.
pub(super) fn constant(width: usize, value: f32, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::full([width], value, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(linear: Linear) -> DenseLinear {
        let Linear::Dense(layer) = linear else { panic!("a dense layer: {linear:?}") };
        layer
    }

    #[test]
    fn weights_depend_on_the_seed_only() {
        let device = Device::flex();
        let config = LinearConfig { inputs: 40, outputs: 50, bias: true, kind: LinearKind::Dense };
        let weights = |seed: u64| {
            let mut random = Sequence::new(seed);
            let first = dense(config.init(0.02, &mut random, &device));
            let second = dense(config.init(0.02, &mut random, &device));
            assert_eq!(first.num_params(), config.parameters());
            // The order in which they are asked for does not matter.
            let second: Vec<f32> = second.weight.val().into_data().iter::<f32>().collect();
            let first: Vec<f32> = first.weight.val().into_data().iter::<f32>().collect();
            (first, second)
        };
        let (first, second) = weights(1);
        assert_eq!((&first, &second), (&weights(1).0, &weights(1).1));
        assert_ne!(first, second);
        assert_ne!(first, weights(2).0);
        let variance = first.iter().map(|w| f64::from(w * w)).sum::<f64>() / first.len() as f64;
        assert!((variance.sqrt() / 0.02 - 1.0).abs() < 0.1, "{variance}");
    }
}
