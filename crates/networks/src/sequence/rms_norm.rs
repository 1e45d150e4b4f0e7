//! Root mean square layer normalisation: Zhang and Sennrich, "Root Mean Square Layer Normalization" (NeurIPS 2019), equation 4.
//!
//! `y = w ∘ x / √(mean(x²) + ε)` over the last axis. Numbers in half precision are normalised in single precision and rounded
//! before they are multiplied by `w`, as the programs of published models do; other numbers in one operation ([`normalised`]). With
//! `r = 1 / √(mean(x²) + ε)` and the gradient `g` of `y` those of `x` and `w` are `r (w ∘ g) − x r³ mean(x ∘ w ∘ g)` and `Σ r g ∘ x` over all rows.

use burn::backend::DispatchTensor;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use mathesis_algebra::real::{Real, inner_product, vectorised};
use rayon::prelude::*;

use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_two};

use super::linear::constant;

/// Normalisation to a root mean square of one, with a weight for each channel.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[width]`; starts at one.
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    /// A layer whose weights are one; `epsilon` is added to the mean square.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        RmsNorm { weight: constant(width, 1.0, device), epsilon }
    }

    /// `[.., width]` to the same shape.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        match input.dtype() {
            DType::F16 | DType::BF16 => composition(input, self.weight.val(), self.epsilon),
            _ => normalised(input, self.weight.val(), self.epsilon),
        }
    }
}

/// `w ∘ x / √(mean(x²) + ε)` for `x` `[.., width]` and `w` `[width]`.
///
/// # Panics
/// If the widths differ.
pub fn normalised<const D: usize>(input: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    assert_eq!(weight.dims(), [input.dims()[D - 1]], "a weight for each channel");
    apply_to_two(Normalise { epsilon }, [input.into_dispatch(), weight.into_dispatch()])
}

/// The same in terms of burn's operations; half precision is rounded where it is said above.
pub fn composition<const D: usize>(input: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let dtype = input.dtype();
    let half = matches!(dtype, DType::F16 | DType::BF16);
    let input = if half { input.cast(DType::F32) } else { input };
    let mean_square = input.clone().square().mean_dim(D - 1);
    let normal = input * mean_square.add_scalar(epsilon).sqrt().recip();
    let normal = if half { normal.cast(dtype) } else { normal };
    normal * weight.unsqueeze()
}

/// See [`normalised`].
#[derive(Clone, Debug)]
struct Normalise {
    epsilon: f64,
}

/// Numbers of the input that a task works on, at least a row.
const CHUNK: usize = 1 << 14;

impl Normalise {
    /// `1 / √(mean(x²) + ε)`.
    #[inline(always)]
    fn factor<T: Real>(&self, row: &[T]) -> T {
        let mean = inner_product(row, row) / T::literal(row.len() as f64);
        T::one() / (mean + T::literal(self.epsilon)).sqrt()
    }
}

impl SliceOperation<2> for Normalise {
    const NEEDS_RESULT: bool = false;

    fn forward<T: Real>(&self, [input, weight]: [Array<'_, T>; 2]) -> (Vec<T>, Vec<usize>) {
        let (width, mut output) = (weight.values.len(), vec![T::zero(); input.values.len()]);
        let chunk = (CHUNK / width).max(1) * width;
        output.par_chunks_mut(chunk).zip(input.values.par_chunks(chunk)).for_each(|(output, input)| {
            vectorised(
                #[inline(always)]
                || {
                    for (y, x) in output.chunks_exact_mut(width).zip(input.chunks_exact(width)) {
                        let r = self.factor(x);
                        for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight.values) {
                            *y = x * r * w;
                        }
                    }
                },
            );
        });
        (output, input.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        [input, weight]: [Array<'_, T>; 2],
        _: Array<'_, T>,
        gradient: &[T],
        _: [bool; 2],
    ) -> ArrayGradients<T, 2> {
        let (width, mut of_input) = (weight.values.len(), vec![T::zero(); input.values.len()]);
        let chunk = (CHUNK / width).max(1) * width;
        // Sums over rows are taken task by task and added in order, so that they do not depend on the number of threads.
        let of_weight: Vec<Vec<T>> = of_input
            .par_chunks_mut(chunk)
            .zip(input.values.par_chunks(chunk).zip(gradient.par_chunks(chunk)))
            .map(|(of_input, (input, gradient))| {
                let (mut of_weight, mut weighted) = (vec![T::zero(); width], vec![T::zero(); width]);
                let rows = input.chunks_exact(width).zip(gradient.chunks_exact(width));
                vectorised(
                    #[inline(always)]
                    || {
                        for (of_x, (x, g)) in of_input.chunks_exact_mut(width).zip(rows.clone()) {
                            let r = self.factor(x);
                            for (((weighted, &g), &w), (of_weight, &x)) in
                                weighted.iter_mut().zip(g).zip(weight.values).zip(of_weight.iter_mut().zip(x))
                            {
                                *weighted = w * g;
                                *of_weight += r * g * x;
                            }
                            let back = r * r * r * inner_product(x, &weighted) / T::literal(width as f64);
                            for ((of_x, &weighted), &x) in of_x.iter_mut().zip(&weighted).zip(x) {
                                *of_x = r * weighted - x * back;
                            }
                        }
                    },
                );
                of_weight
            })
            .collect();
        let mut total = vec![T::zero(); width];
        for part in of_weight {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
        [Some(of_input), Some(total)]
    }

    fn composition<const D: usize>(&self, [input, weight]: [DispatchTensor; 2]) -> Tensor<D> {
        composition(Tensor::from_dispatch(input), Tensor::from_dispatch(weight), self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{
        assert_close, assert_composition, assert_gradients, double, draw, values,
    };

    #[test]
    fn rows_are_divided_by_their_root_mean_square() {
        let device = Device::flex();
        let mut random = Sequence::new(1);
        for width in [1, 3, 8] {
            let mut norm = double(RmsNorm::new(width, 1e-5, &device));
            let weight: Tensor<1> = draw([width], &mut random, &device);
            norm.weight = Param::from_tensor(weight.clone());
            let input: Tensor<3> = draw([2, 3, width], &mut random, &device);
            let (x, w) = (values(input.clone()), values(weight));
            let reference: Vec<f64> = x
                .chunks(width)
                .flat_map(|row| {
                    let square = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
                    row.iter().zip(&w).map(move |(x, w)| w * x / (square + 1e-5).sqrt())
                })
                .collect();
            assert_close(&values(norm.forward(input)), &reference, 1e-12);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut random = Sequence::new(2);
        let device = Device::flex().autodiff();
        let norm = double(RmsNorm::new(5, 1e-3, &device));
        let input: Tensor<3> = draw([2, 2, 5], &mut random, &device);
        assert_gradients(&norm, input, |norm, input| norm.forward(input));
    }

    /// In single precision and over more rows than one task has.
    #[test]
    fn the_operation_is_its_composition() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(3);
        let mut draw = |shape: [usize; 2]| -> Tensor<2> {
            let numbers: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.normal() as f32).collect();
            Tensor::<1>::from_data(numbers.as_slice(), &device).reshape(shape)
        };
        for width in [1, 50, 300] {
            let (input, direction) = (draw([400, width]), draw([400, width]));
            let weight: Tensor<1> = draw([1, width]).reshape([width]);
            let derived = |function: fn(Tensor<2>, Tensor<1>, f64) -> Tensor<2>| {
                let (input, weight) = (input.clone().require_grad(), weight.clone().require_grad());
                let output = function(input.clone(), weight.clone(), 1e-3);
                let gradients = (output.clone() * direction.clone()).sum().backward();
                let of_input = values(input.grad(&gradients).expect("a derivative"));
                [values(output), of_input, values(weight.grad(&gradients).expect("a derivative"))]
            };
            for (given, expected) in derived(normalised).iter().zip(&derived(composition)) {
                assert_close(given, expected, 1e-4);
            }
        }
    }

    #[test]
    fn the_composition_is_the_operation_in_double_precision() {
        let (device, mut random) = (Device::flex(), Sequence::new(4));
        for [batch, time, width] in [[1, 1, 1], [2, 3, 5]] {
            let input: Tensor<3> = draw([batch, time, width], &mut random, &device);
            let weight: Tensor<1> = draw([width], &mut random, &device);
            let operands = [input.into_dispatch(), weight.into_dispatch()];
            assert_composition::<2, 3>(&Normalise { epsilon: 1e-3 }, operands, 1e-13);
        }
    }
}
