//! The two functions of implicit filters that are not products, on all threads and in vectors: sines of scaled inputs, and the window that
//! decays along the lags. Number by number through the system's library they would take longer than everything else in a filter.

use burn::backend::DispatchTensor;
use burn::tensor::{Tensor, TensorData};
use mathesis_algebra::real::{Real, vectorised};
use rayon::prelude::*;

use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_two};

/// Rows that a task takes.
const ROWS: usize = 32;

/// `sin(ω ∘ x)` for rows x `[rows, width]` and factors ω `[width]`.
///
/// # Panics
/// If the widths differ.
pub fn sine(rows: Tensor<2>, factors: Tensor<1>) -> Tensor<2> {
    assert_eq!(rows.dims()[1], factors.dims()[0], "factors in sines");
    apply_to_two(Sine, [rows.into_dispatch(), factors.into_dispatch()])
}

/// `x ∘ exp(−t δ)` for rows x `[rows, width]`, of which row t is at that multiple of `step`, and decays δ ≥ 0 `[width]`, which have no
/// derivative here.
///
/// # Panics
/// If the widths differ.
pub fn decayed(rows: Tensor<2>, decays: Tensor<1>, step: f64) -> Tensor<2> {
    assert_eq!(rows.dims()[1], decays.dims()[0], "decays of a window");
    apply_to_two(Decay { step }, [rows.into_dispatch(), decays.detach().into_dispatch()])
}

#[derive(Clone, Debug)]
struct Sine;

impl Sine {
    /// A function of `ω ∘ x` for every number of the rows; `exact` is the same one where angles are large.
    fn each<T: Real>(
        rows: &[T],
        factors: &[T],
        function: impl Fn(T) -> T + Sync,
        exact: impl Fn(T) -> T + Sync,
    ) -> Vec<T> {
        let width = factors.len();
        let mut values = vec![T::zero(); rows.len()];
        values.par_chunks_mut(ROWS * width).zip(rows.par_chunks(ROWS * width)).for_each(|(values, rows)| {
            let mut large = false;
            vectorised(
                #[inline(always)]
                || {
                    for (values, row) in values.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
                        for ((value, &x), &factor) in values.iter_mut().zip(row).zip(factors) {
                            let angle = factor * x;
                            large |= angle > T::SINES_TO || angle < -T::SINES_TO;
                            *value = function(angle);
                        }
                    }
                },
            );
            if large {
                for (values, row) in values.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
                    for ((value, &x), &factor) in values.iter_mut().zip(row).zip(factors) {
                        *value = exact(factor * x);
                    }
                }
            }
        });
        values
    }
}

impl SliceOperation<2> for Sine {
    const NEEDS_RESULT: bool = false;

    fn forward<T: Real>(&self, [rows, factors]: [Array<'_, T>; 2]) -> (Vec<T>, Vec<usize>) {
        (Sine::each(rows.values, factors.values, T::sine, T::sin), rows.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        [rows, factors]: [Array<'_, T>; 2],
        _: Array<'_, T>,
        gradient: &[T],
        [of_rows, of_factors]: [bool; 2],
    ) -> ArrayGradients<T, 2> {
        let width = factors.values.len();
        let mut of_angles = Sine::each(rows.values, factors.values, T::cosine, T::cos);
        of_angles
            .par_iter_mut()
            .zip(gradient)
            .with_min_len(1 << 14)
            .for_each(|(of_angle, &g)| *of_angle *= g);
        let sums = || {
            let mut sums = vec![T::zero(); width];
            for (row, of_row) in rows.values.chunks_exact(width).zip(of_angles.chunks_exact(width)) {
                sums.iter_mut().zip(row).zip(of_row).for_each(|((sum, &x), &g)| *sum += x * g);
            }
            sums
        };
        let of_factors = of_factors.then(sums);
        let of_rows = of_rows.then(|| {
            for of_row in of_angles.chunks_exact_mut(width) {
                of_row.iter_mut().zip(factors.values).for_each(|(g, &factor)| *g *= factor);
            }
            of_angles
        });
        [of_rows, of_factors]
    }

    fn composition<const D: usize>(&self, [rows, factors]: [DispatchTensor; 2]) -> Tensor<D> {
        (Tensor::from_dispatch(rows) * Tensor::<1>::from_dispatch(factors).unsqueeze()).sin()
    }
}

#[derive(Clone, Debug)]
struct Decay {
    step: f64,
}

impl Decay {
    fn of<T: Real>(&self, rows: &[T], decays: &[T]) -> Vec<T> {
        let width = decays.len();
        let mut values = vec![T::zero(); rows.len()];
        let tasks = values.par_chunks_mut(ROWS * width).zip(rows.par_chunks(ROWS * width));
        tasks.enumerate().for_each(|(task, (values, rows))| {
            let mut lag = task * ROWS;
            vectorised(
                #[inline(always)]
                || {
                    for (values, row) in values.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
                        let time = T::literal(-self.step * lag as f64);
                        for ((value, &x), &decay) in values.iter_mut().zip(row).zip(decays) {
                            *value = x * (time * decay).decay();
                        }
                        lag += 1;
                    }
                },
            );
        });
        values
    }
}

impl SliceOperation<2> for Decay {
    const NEEDS_RESULT: bool = false;

    fn forward<T: Real>(&self, [rows, decays]: [Array<'_, T>; 2]) -> (Vec<T>, Vec<usize>) {
        (self.of(rows.values, decays.values), rows.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        [_, decays]: [Array<'_, T>; 2],
        _: Array<'_, T>,
        gradient: &[T],
        [of_rows, _]: [bool; 2],
    ) -> ArrayGradients<T, 2> {
        [of_rows.then(|| self.of(gradient, decays.values)), None]
    }

    fn composition<const D: usize>(&self, [rows, decays]: [DispatchTensor; 2]) -> Tensor<D> {
        let (rows, decays) = (Tensor::<2>::from_dispatch(rows), Tensor::<1>::from_dispatch(decays));
        let lags = rows.dims()[0];
        let times = (0..lags).map(|lag| -self.step * lag as f64).collect::<Vec<f64>>();
        let times = TensorData::new(times, [lags, 1]);
        let times = Tensor::<2>::from_data(times, (&rows.device(), rows.dtype()));
        Tensor::from_dispatch((rows * (times * decays.unsqueeze()).exp()).into_dispatch())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::assert_composition;

    fn normals(random: &mut Sequence, shape: [usize; 2], scale: f64, device: &Device) -> Tensor<2> {
        let numbers: Vec<f64> = (0..shape[0] * shape[1]).map(|_| scale * random.normal()).collect();
        Tensor::from_data(TensorData::new(numbers, shape), (device, DType::F64))
    }

    /// Values and derivatives in double precision against burn's own operations, and values in single precision.
    #[test]
    fn they_are_the_plain_functions() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(1);
        for (rows, width) in [(1, 1), (70, 5), (33, 128)] {
            let x = normals(&mut random, [rows, width], 3.0, &device);
            let factors = normals(&mut random, [1, width], 10.0, &device).reshape([width]);
            let direction = normals(&mut random, [rows, width], 1.0, &device);
            let step = 0.3;
            let plain_sine = |x: Tensor<2>, factors: Tensor<1>| (x * factors.unsqueeze()).sin();
            let plain_decay = |x: Tensor<2>, factors: Tensor<1>| {
                let times: Vec<f64> = (0..rows).map(|t| -step * t as f64).collect();
                let times = Tensor::<2>::from_data(TensorData::new(times, [rows, 1]), (&device, x.dtype()));
                x * (times * factors.abs().detach().unsqueeze()).exp()
            };
            let fast_decay = |x: Tensor<2>, factors: Tensor<1>| decayed(x, factors.abs(), step);
            type Function<'a> = &'a dyn Fn(Tensor<2>, Tensor<1>) -> Tensor<2>;
            let cases: [(Function<'_>, Function<'_>); 2] =
                [(&sine, &plain_sine), (&fast_decay, &plain_decay)];
            for (fast, plain) in cases {
                let all = |function: Function<'_>| {
                    let (x, factors) = (x.clone().require_grad(), factors.clone().require_grad());
                    let result = function(x.clone(), factors.clone());
                    let gradients = (result.clone() * direction.clone()).sum().backward();
                    let of_factors = factors.grad(&gradients).map(|of| of.into_data());
                    let of_x = x.grad(&gradients).expect("a derivative").into_data();
                    [Some(result.into_data()), Some(of_x), of_factors]
                };
                for (given, expected) in all(fast).into_iter().zip(all(plain)) {
                    let (Some(given), Some(expected)) = (given, expected) else { continue };
                    for (a, b) in given.iter::<f64>().zip(expected.iter::<f64>()) {
                        assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{a} for {b}");
                    }
                }
                let single = fast(x.clone().cast(DType::F32), factors.clone().cast(DType::F32));
                let expected = plain(x.clone().cast(DType::F32), factors.clone().cast(DType::F32));
                let difference = (single - expected).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-6, "{difference}");
            }
        }
    }

    #[test]
    fn large_angles_are_exact_too() {
        let device = Device::flex();
        let angles: Vec<f32> = (0..200).map(|k| 1000.0 * k as f32).collect();
        let given = sine(
            Tensor::<1>::from_floats(&angles[..], &device).reshape([100, 2]),
            Tensor::ones([2], &device),
        );
        for (given, angle) in given.into_data().iter::<f32>().zip(&angles) {
            assert!((f64::from(given) - f64::from(*angle).sin()).abs() < 2e-7, "{given} at {angle}");
        }
    }

    #[test]
    fn the_compositions_are_the_operations() {
        let (device, mut random) = (Device::flex(), Sequence::new(2));
        for [rows, width] in [[1, 1], [70, 5]] {
            let operands = |random: &mut Sequence| {
                let factors = normals(random, [1, width], 2.0, &device).abs().reshape([width]);
                [normals(random, [rows, width], 1.0, &device).into_dispatch(), factors.into_dispatch()]
            };
            assert_composition::<2, 2>(&Sine, operands(&mut random), 1e-11);
            assert_composition::<2, 2>(&Decay { step: 0.3 }, operands(&mut random), 1e-11);
        }
    }
}
