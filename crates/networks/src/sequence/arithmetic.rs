//! The arithmetic of a network's products of matrices: in 32 bits, with 16-bit operands, with additions in the place of multiplications
//! (Luo and Sun, "Addition is All You Need for Energy-efficient Language Models", 2024), or with few bits a weight and an activation
//! (Ma et al., "Efficient Arbitrary Precision Acceleration for Large Language Models on GPU Tensor Cores", 2025). The kernels are in
//! [`mathesis_algebra::number_format`].
//!
//! What is computed is what hardware of that kind would give; on a processor it takes longer than 32 bits, but for packed bit planes. On
//! any device numbers are rounded, and products by L-Mul and of integers with scales taken, on the processor; the results are brought back to
//! the device, where the other products are computed.
//! Derivatives are straight-through: roundings count as the identity, and L-Mul as the exact product, with ordinary multiplications (the
//! papers give no rule). Parameters stay in full precision while they are trained.
//!
//! | arithmetic | product `x Wᵀ` |
//! |---|---|
//! | `f32` | as it is |
//! | `bf16` | operands rounded to bfloat16, sums in 32 bits, the result rounded to bfloat16 |
//! | `l-mul:K` | operands rounded to K bits of mantissa, each product by one integer addition, sums in 32 bits; attention's two products too |
//! | `l-mul:K:attention` | only attention's two products, which is what the paper's main experiments replace |
//! | `wNaM` | N-bit bipolar weights with a scale for each row, M-bit activations with a scale for each token, sums of integers |

use std::str::FromStr;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use half::bf16;
use mathesis_algebra::number_format::bipolar::{self, Activations, BitWidth, Quantiser, ScaleRule, Weights};
use mathesis_algebra::number_format::float8::Overflow;
use mathesis_algebra::number_format::l_mul::{self, Accumulation, Form, LMul, Side};
use mathesis_algebra::number_format::{FormatError, InstructionSet};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::few_rows::rows_times_transposed;
use crate::operation::has_kernels;

/// The arithmetic of products of matrices; in files a word as in the table of this module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Arithmetic {
    /// 32 bits.
    #[default]
    F32,
    /// Operands and results of 16 bits, with the exponents of 32.
    Bf16,
    /// Multiplications replaced by additions, of numbers with so many bits of mantissa.
    LMul {
        /// Bits of the mantissas, 1 to 23.
        bits: u32,
        /// Which products.
        scope: Scope,
    },
    /// Bipolar integers.
    BitPlanes {
        /// The width of weights.
        weights: BitWidth,
        /// The width of activations.
        activations: BitWidth,
    },
}

/// Which products of matrices are computed in an arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    Everywhere,
    /// Those of queries with keys and of weights with values.
    Attention,
}

/// A word that names no arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "arithmetic `{0}`: expected f32, bf16, l-mul:K or l-mul:K:attention with K from 1 to 23, or wNaM with N and M from 1 to 8, such as w4a8"
)]
pub struct ArithmeticError(String);

impl FromStr for Arithmetic {
    type Err = ArithmeticError;

    fn from_str(word: &str) -> Result<Self, ArithmeticError> {
        let l_mul = |word: &str| {
            let (bits, scope) = match word.split_once(':') {
                Some((bits, "attention")) => (bits, Scope::Attention),
                Some(_) => return None,
                None => (word, Scope::Everywhere),
            };
            let bits = bits.parse().ok().filter(|bits| (1..=23).contains(bits))?;
            Some(Arithmetic::LMul { bits, scope })
        };
        let bit_planes = |word: &str| {
            let (weights, activations) = word.split_once('a')?;
            let width = |bits: &str| BitWidth::new(bits.parse().ok()?).ok();
            Some(Arithmetic::BitPlanes { weights: width(weights)?, activations: width(activations)? })
        };
        let known = match word {
            "f32" => Some(Arithmetic::F32),
            "bf16" => Some(Arithmetic::Bf16),
            _ => match (word.strip_prefix("l-mul:"), word.strip_prefix('w')) {
                (Some(rest), _) => l_mul(rest),
                (_, Some(rest)) => bit_planes(rest),
                _ => None,
            },
        };
        known.ok_or_else(|| ArithmeticError(word.to_string()))
    }
}

impl TryFrom<String> for Arithmetic {
    type Error = ArithmeticError;

    fn try_from(word: String) -> Result<Self, ArithmeticError> {
        word.parse()
    }
}

impl From<Arithmetic> for String {
    fn from(arithmetic: Arithmetic) -> String {
        arithmetic.to_string()
    }
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Arithmetic::F32 => write!(f, "f32"),
            Arithmetic::Bf16 => write!(f, "bf16"),
            Arithmetic::LMul { bits, scope: Scope::Everywhere } => write!(f, "l-mul:{bits}"),
            Arithmetic::LMul { bits, scope: Scope::Attention } => write!(f, "l-mul:{bits}:attention"),
            Arithmetic::BitPlanes { weights, activations } => {
                write!(f, "w{}a{}", weights.bits(), activations.bits())
            }
        }
    }
}

impl Arithmetic {
    /// Whether it is the ordinary one.
    pub fn is_f32(&self) -> bool {
        *self == Arithmetic::F32
    }

    /// What linear layers compute in.
    pub fn of_linears(self) -> Self {
        match self {
            Arithmetic::LMul { scope: Scope::Attention, .. } => Arithmetic::F32,
            other => other,
        }
    }

    /// `x Wᵀ` for rows `[.., in]` and `W` `[out, in]`. Where a number is not finite, everything becomes NaN in bit planes.
    ///
    /// # Panics
    /// If the widths differ.
    pub fn rows_times_transposed<const D: usize>(self, rows: Tensor<D>, matrix: Tensor<2>) -> Tensor<D> {
        match self.of_linears() {
            Arithmetic::F32 => rows_times_transposed(rows, matrix),
            Arithmetic::Bf16 => passing_bf16(rows_times_transposed(passing_bf16(rows), passing_bf16(matrix))),
            Arithmetic::LMul { bits, .. } => {
                let shape = rows.dims();
                let count: usize = shape[..D - 1].iter().product();
                let [out, inner] = matrix.dims();
                assert_eq!(shape[D - 1], inner, "the width of rows");
                let mut result = shape;
                result[D - 1] = out;
                let (x, w) = (numbers(&rows), numbers(&matrix));
                let sides = (Side::plain(&x), Side::transposed(&w));
                let computed = Tensor::from_data(
                    TensorData::new(product_by_l_mul(bits, sides, (count, inner, out)), result),
                    (&rows.device(), rows.dtype()),
                );
                with_derivative(
                    computed,
                    || (rows, matrix),
                    |(rows, matrix)| rows_times_transposed(rows, matrix),
                )
            }
            Arithmetic::BitPlanes { weights, activations } => {
                if rows.is_autodiff() {
                    let rows = passing_quantised(rows, activations);
                    return rows_times_transposed(rows, passing_quantised(matrix, weights));
                }
                quantised_product(rows, activations, matrix, weights)
            }
        }
    }

    /// The product of every pair of matrices, `[.., m, k]` and `[.., k, n]`, if it is not the ordinary one.
    pub(super) fn product_between_tokens(self, left: Tensor<4>, right: Tensor<4>) -> Tensor<4> {
        let Arithmetic::LMul { bits, .. } = self else { return left.matmul(right) };
        let ([batch, heads, m, k], n) = (left.dims(), right.dims()[3]);
        let (a, b) = (numbers(&left), numbers(&right));
        // Each is spread over the threads by its rows.
        let mut products = Vec::with_capacity(batch * heads * m * n);
        for (a, b) in a.chunks_exact((m * k).max(1)).zip(b.chunks_exact((k * n).max(1))) {
            products.extend(product_by_l_mul(bits, (Side::plain(a), Side::plain(b)), (m, k, n)));
        }
        let data = TensorData::new(products, [batch, heads, m, n]);
        let computed = Tensor::from_data(data, (&left.device(), left.dtype()));
        with_derivative(computed, || (left, right), |(left, right)| left.matmul(right))
    }
}

/// The values of a tensor in single precision.
fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    let data = tensor.clone().inner().into_data().convert::<f32>();
    data.try_into_vec().unwrap_or_else(|_| unreachable!("the numbers were converted"))
}

/// The values `computed`, which know no derivative, with that of the exact function of the operands.
fn with_derivative<const D: usize, O>(
    computed: Tensor<D>,
    operands: impl FnOnce() -> O,
    exact: impl FnOnce(O) -> Tensor<D>,
) -> Tensor<D> {
    if !computed.is_autodiff() {
        return computed;
    }
    let exact = exact(operands());
    exact.clone() + (computed - exact.detach())
}

/// Rounded to bfloat16, with the derivative of the identity.
fn passing_bf16<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let rounded = if has_kernels(&tensor.device()) {
        tensor.clone().detach().cast(DType::BF16).cast(tensor.dtype())
    } else {
        // Not every device has the format.
        let values = numbers(&tensor).into_iter().map(|value| bf16::from_f32(value).to_f32());
        let values = TensorData::new(values.collect::<Vec<f32>>(), tensor.dims());
        Tensor::from_data(values, (&tensor.device(), tensor.dtype()))
    };
    with_derivative(rounded, || tensor, |tensor| tensor)
}

/// Rounded to multiples of a scale for each row, with the derivative of the identity.
fn passing_quantised<const D: usize>(tensor: Tensor<D>, width: BitWidth) -> Tensor<D> {
    let shape = tensor.dims();
    let columns = shape[D - 1];
    let mut values = numbers(&tensor);
    let rows = values.par_chunks_mut(columns.max(1));
    rows.for_each_init(
        || vec![0; columns],
        |codes, row| {
            let rounded = quantise_row(row, width, codes)
                .and_then(|scale| bipolar::dequantise(codes, width, scale, row));
            if rounded.is_err() {
                row.fill(f32::NAN);
            }
        },
    );
    let rounded = Tensor::from_data(TensorData::new(values, shape), (&tensor.device(), tensor.dtype()));
    with_derivative(rounded, || tensor, |tensor| tensor)
}

/// Few bits cannot show a whole range and small numbers too, and are given the scale of the least error.
fn quantiser(width: BitWidth) -> Quantiser {
    let rule = if width.bits() <= 4 { ScaleRule::LeastSquares } else { ScaleRule::Maximum };
    Quantiser { rule, ..Quantiser::rows(width) }
}

fn quantise_row(row: &[f32], width: BitWidth, codes: &mut [u8]) -> Result<f32, FormatError> {
    let scale = bipolar::scale(row, width, quantiser(width).rule)?;
    bipolar::quantise(row, width, scale, codes)?;
    Ok(scale)
}

/// The integers of every row, as 32-bit floats, and the scales; NaN where a row has no finite ones.
fn integers(values: &[f32], rows: usize, columns: usize, width: BitWidth) -> (Vec<f32>, Vec<f32>) {
    let (mut integers, mut scales) = (vec![0.0; rows * columns], vec![f32::NAN; rows]);
    let parts = integers.par_chunks_mut(columns.max(1)).zip(values.par_chunks(columns.max(1)));
    parts.zip(&mut scales).for_each_init(
        || vec![0; columns],
        |codes, ((integers, row), scale)| {
            if let Ok(found) = quantise_row(row, width, codes) {
                *scale = found;
                integers.iter_mut().zip(codes.iter()).for_each(|(to, &code)| *to = width.value(code) as f32);
            }
        },
    );
    (integers, scales)
}

/// The product of the integers, exact while its sums are below 2²⁴, times the scales in double precision: what packed weights give.
fn quantised_product<const D: usize>(
    rows: Tensor<D>,
    activations: BitWidth,
    matrix: Tensor<2>,
    weights: BitWidth,
) -> Tensor<D> {
    let (device, dtype, mut shape) = (rows.device(), rows.dtype(), rows.dims());
    let count: usize = shape[..D - 1].iter().product();
    let [out, inner] = matrix.dims();
    assert_eq!(shape[D - 1], inner, "the width of rows");
    shape[D - 1] = out;
    let (x, row_scales) = integers(&numbers(&rows), count, inner, activations);
    let (w, column_scales) = integers(&numbers(&matrix), out, inner, weights);
    let tensor = |values, shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F32))
    };
    let sums = numbers(&rows_times_transposed(tensor(x, [count, inner]), tensor(w, [out, inner])));
    let scaled = sums.iter().enumerate().map(|(place, sum)| {
        let scale = f64::from(row_scales[place / out]) * f64::from(column_scales[place % out]);
        (scale * f64::from(*sum)) as f32
    });
    Tensor::from_data(TensorData::new(scaled.collect::<Vec<f32>>(), shape), (&device, dtype))
}

fn product_by_l_mul(bits: u32, (a, b): (Side<'_>, Side<'_>), shape: (usize, usize, usize)) -> Vec<f32> {
    let mut product = vec![0.0; shape.0 * shape.2];
    let computed = LMul::rounded(bits, Form::Integer, Overflow::Infinity).and_then(|multiplication| {
        let (sums, scratch) = (Accumulation::F32, &mut l_mul::Scratch::default());
        l_mul::matrix_product(
            &multiplication,
            sums,
            a,
            b,
            shape,
            &mut product,
            scratch,
            InstructionSet::best(),
        )
    });
    computed.unwrap_or_else(|error| panic!("operands of a product by L-Mul: {error}"));
    product
}

/// A linear layer with any matrix, whose product is in an arithmetic of its own.
#[derive(Module, Debug)]
pub struct ArithmeticLinear {
    /// `[out, in]` in full precision; none once packed.
    pub weight: Option<Param<Tensor<2>>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    arithmetic: Arithmetic,
    #[module(skip)]
    packed: Option<Arc<Weights>>,
}

impl ArithmeticLinear {
    /// A layer with these weights `[out, in]`.
    pub fn new(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>, arithmetic: Arithmetic) -> Self {
        ArithmeticLinear { weight: Some(weight), bias, arithmetic, packed: None }
    }

    /// The layer with bit planes instead of full-precision weights, if its weights are of few bits: for inference. The results are the
    /// same, bit by bit, while sums of integers stay below 2²⁴, and to rounding beyond.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(mut self) -> Result<Self, FormatError> {
        if let Arithmetic::BitPlanes { weights, .. } = self.arithmetic
            && let Some(weight) = self.weight.take()
        {
            let weight = weight.val();
            let [rows, columns] = weight.dims();
            let packed = Weights::quantised(quantiser(weights), &numbers(&weight), rows, columns)?;
            self.packed = Some(Arc::new(packed));
        }
        Ok(self)
    }

    /// The packed weights.
    pub fn bit_planes(&self) -> Option<&Weights> {
        self.packed.as_deref()
    }

    /// `[.., in]` to `[.., out]`.
    ///
    /// # Panics
    /// If the last extent is not that of the weights.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let product = match (&self.weight, &self.packed, self.arithmetic) {
            (Some(weight), ..) => self.arithmetic.rows_times_transposed(input, weight.val()),
            (None, Some(packed), Arithmetic::BitPlanes { activations, .. }) => {
                packed_product(packed, activations, input)
            }
            _ => unreachable!("a layer has weights of one of the two kinds"),
        };
        match &self.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        }
    }
}

fn packed_product<const D: usize>(packed: &Weights, width: BitWidth, input: Tensor<D>) -> Tensor<D> {
    let (device, dtype, mut shape) = (input.device(), input.dtype(), input.dims());
    let (out, inner) = packed.shape();
    assert_eq!(shape[D - 1], inner, "the width of rows");
    let count: usize = shape[..D - 1].iter().product();
    shape[D - 1] = out;
    let mut product = vec![0.0; count * out];
    let computed = Activations::quantised(quantiser(width), &numbers(&input), count, inner)
        .and_then(|activations| packed.product_f32(&activations, &mut product, InstructionSet::best()));
    if computed.is_err() {
        product.fill(f32::NAN);
    }
    Tensor::from_data(TensorData::new(product, shape), (&device, dtype))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_close, draw, values};

    fn single<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
        tensor.cast(DType::F32)
    }

    fn words() -> [&'static str; 7] {
        ["f32", "bf16", "l-mul:6", "l-mul:3", "l-mul:4:attention", "w2a8", "w4a4"]
    }

    #[test]
    fn words_name_arithmetics() {
        for word in words() {
            let arithmetic: Arithmetic = word.parse().unwrap();
            assert_eq!(arithmetic.to_string(), word);
            assert_eq!(serde_json::to_value(arithmetic).unwrap(), word);
            assert_eq!(serde_json::from_value::<Arithmetic>(word.into()).unwrap(), arithmetic);
        }
        for word in [
            "",
            "f16",
            "l-mul",
            "l-mul:0",
            "l-mul:24",
            "l-mul:6:mlp",
            "w0a8",
            "w9a1",
            "w4",
            "a4",
            "w4a",
            "w-1a4",
        ] {
            let error = word.parse::<Arithmetic>().unwrap_err().to_string();
            assert!(error.contains("w4a8") && error.contains(&format!("`{word}`")), "{error}");
        }
    }

    /// Every product by its definition, number by number.
    #[test]
    fn products_are_their_definitions() {
        let device = Device::flex();
        let mut random = Sequence::new(1);
        let (rows, inner, out) = (5, 33, 7);
        let x = single(draw([rows, inner], &mut random, &device));
        let w = single(draw([out, inner], &mut random, &device));
        let (a, b) = (numbers(&x), numbers(&w));
        let bf16 = |value: f32| {
            let bits = value.to_bits();
            f32::from_bits((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
        };
        for word in words() {
            let arithmetic: Arithmetic = word.parse().unwrap();
            let dot = |r: usize, o: usize| -> f64 {
                let (a, b) = (&a[r * inner..][..inner], &b[o * inner..][..inner]);
                let sum = |term: &dyn Fn(f32, f32) -> f64| -> f64 {
                    a.iter().zip(b).map(|(&a, &b)| term(a, b)).sum()
                };
                match arithmetic.of_linears() {
                    Arithmetic::F32 => sum(&|a, b| f64::from(a) * f64::from(b)),
                    Arithmetic::Bf16 => {
                        bf16(sum(&|a, b| f64::from(bf16(a)) * f64::from(bf16(b))) as f32).into()
                    }
                    Arithmetic::LMul { bits, .. } => {
                        let by = LMul::rounded(bits, Form::Integer, Overflow::Infinity).unwrap();
                        sum(&|a, b| by.multiply(a, b).into())
                    }
                    Arithmetic::BitPlanes { weights, activations } => {
                        let real = |row: &[f32], width| {
                            let mut codes = vec![0; inner];
                            let scale = quantise_row(row, width, &mut codes).unwrap();
                            let value = |&code: &u8| f64::from(scale) * f64::from(width.value(code));
                            codes.iter().map(value).collect::<Vec<f64>>()
                        };
                        real(a, activations).iter().zip(real(b, weights)).map(|(a, b)| a * b).sum()
                    }
                }
            };
            let expected: Vec<f64> =
                (0..rows).flat_map(|r| (0..out).map(move |o| (r, o))).map(|(r, o)| dot(r, o)).collect();
            // A bfloat16 result may round to the other side where sums are in 32 bits.
            let tolerance = if arithmetic == Arithmetic::Bf16 { 8e-3 } else { 1e-5 };
            assert_close(
                &values(arithmetic.rows_times_transposed(x.clone(), w.clone())),
                &expected,
                tolerance,
            );
            // With derivatives the values are the same.
            let tracked =
                arithmetic.rows_times_transposed(x.clone().autodiff().require_grad(), w.clone().autodiff());
            assert_close(&values(tracked), &expected, tolerance);
        }
    }

    #[test]
    fn derivatives_pass_straight_through() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(2);
        let x: Tensor<2> = single(draw([4, 9], &mut random, &device)).require_grad();
        let w: Tensor<2> = single(draw([3, 9], &mut random, &device)).require_grad();
        let direction: Tensor<2> = single(draw([4, 3], &mut random, &device));
        for word in words() {
            let arithmetic: Arithmetic = word.parse().unwrap();
            let loss = (arithmetic.rows_times_transposed(x.clone(), w.clone()) * direction.clone()).sum();
            let gradients = loss.backward();
            let found = [x.grad(&gradients).unwrap(), w.grad(&gradients).unwrap()].map(values);
            // dY W and dYᵀ X with the numbers that were multiplied; L-Mul's exact product is that of the plain ones.
            let multiplied = |tensor: &Tensor<2>, of_weights: bool| match arithmetic {
                Arithmetic::Bf16 => passing_bf16(tensor.clone().inner()),
                Arithmetic::BitPlanes { weights, activations } => {
                    passing_quantised(tensor.clone().inner(), if of_weights { weights } else { activations })
                }
                _ => tensor.clone().inner(),
            };
            let slope = direction.clone().inner();
            let expected = [
                values(slope.clone().matmul(multiplied(&w, true))),
                values(slope.transpose().matmul(multiplied(&x, false))),
            ];
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(found, expected, 1e-5);
            }
        }
    }

    #[test]
    fn packed_layers_give_the_same_bits() {
        let device = Device::flex();
        let mut random = Sequence::new(3);
        for word in ["w1a1", "w2a8", "w3a4", "w4a4", "w8a8"] {
            let weight = Param::from_tensor(single(draw([16, 512], &mut random, &device)));
            let bias = Param::from_tensor(single(draw([16], &mut random, &device)));
            let arithmetic: Arithmetic = word.parse().unwrap();
            let layer = ArithmeticLinear::new(weight, Some(bias), arithmetic);
            let input: Tensor<3> = single(draw([2, 3, 512], &mut random, &device));
            let expected = values(layer.forward(input.clone()));
            let packed = layer.packed().unwrap();
            assert_eq!(packed.num_params(), 16);
            let Arithmetic::BitPlanes { weights, .. } = arithmetic else { unreachable!("bit planes") };
            let planes = packed.bit_planes().unwrap();
            assert_eq!(
                (planes.shape(), planes.plane_bytes()),
                ((16, 512), 16 * 512 * weights.bits() as usize / 8)
            );
            let found = values(packed.forward(input.clone()));
            // Eight by eight bits: sums of 512 terms may be above 2²⁴.
            if word == "w8a8" {
                assert_close(&found, &expected, 1e-5)
            } else {
                assert_eq!(found, expected)
            }
            let nan = packed.forward(input.clone() * f32::NAN);
            assert!(values(nan).iter().all(|y| y.is_nan()));
        }
    }

    #[test]
    fn products_between_tokens_are_those_of_each_head() {
        let mut random = Sequence::new(4);
        let arithmetic: Arithmetic = "l-mul:6:attention".parse().unwrap();
        for device in [Device::flex(), Device::flex().autodiff()] {
            let a: Tensor<4> = single(draw([2, 3, 4, 5], &mut random, &device));
            let b: Tensor<4> = single(draw([2, 3, 5, 6], &mut random, &device));
            let found = values(arithmetic.product_between_tokens(a.clone(), b.clone()));
            let exact = values(a.clone().matmul(b.clone()));
            let everywhere: Arithmetic = "l-mul:6".parse().unwrap();
            let mut expected = Vec::new();
            for (batch, head) in (0..2).flat_map(|batch| (0..3).map(move |head| (batch, head))) {
                let of = |tensor: &Tensor<4>| {
                    tensor
                        .clone()
                        .narrow(0, batch, 1)
                        .narrow(1, head, 1)
                        .squeeze_dim::<3>(0)
                        .squeeze_dim::<2>(0)
                };
                expected.extend(values(everywhere.rows_times_transposed(of(&a), of(&b).transpose())));
            }
            assert_close(&found, &expected, 1e-6);
            assert_ne!(found, exact);
            assert_close(&found, &exact, 0.2);
        }
    }
}
