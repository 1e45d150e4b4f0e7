//! The convolution and its gradients as plain loops: what the fast ones are compared with.
//!
//! Arrays are `[batch][x][y][z][channel]` and weights `[x][y][z][in][out]`, without any halo.

use std::ops::{AddAssign, Mul};

/// A number of the reference: `f32` or `f64`.
pub trait Number: Copy + Default + AddAssign + Mul<Output = Self> {}
impl<T: Copy + Default + AddAssign + Mul<Output = T>> Number for T {}

/// The shape of a convolution: grids, cells of each along x, y, z, channels in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of grids.
    pub batch: usize,
    /// Cells along x, y and z.
    pub cells: [usize; 3],
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
}

impl Shape {
    /// Calls `product(input index, weight index, output index)` for every product of the sum.
    fn for_each_product(self, mut product: impl FnMut(usize, usize, usize)) {
        let [nx, ny, nz] = self.cells;
        let cell = |b: usize, [x, y, z]: [usize; 3]| ((b * nx + x) * ny + y) * nz + z;
        for b in 0..self.batch {
            for (x, y, z) in (0..nx).flat_map(|x| (0..ny).flat_map(move |y| (0..nz).map(move |z| (x, y, z))))
            {
                for tap in 0..27 {
                    let source = [x + tap / 9, y + tap / 3 % 3, z + tap % 3].map(|n| n.wrapping_sub(1));
                    if source[0] >= nx || source[1] >= ny || source[2] >= nz {
                        continue;
                    }
                    for i in 0..self.channels_in {
                        for o in 0..self.channels_out {
                            product(
                                cell(b, source) * self.channels_in + i,
                                (tap * self.channels_in + i) * self.channels_out + o,
                                cell(b, [x, y, z]) * self.channels_out + o,
                            );
                        }
                    }
                }
            }
        }
    }

    fn voxels(self) -> usize {
        self.batch * self.cells.iter().product::<usize>()
    }
}

/// The convolution of `input` with `weights`, plus `bias`.
///
/// # Panics
/// If an array has not the length that the shape tells.
pub fn convolve<T: Number>(shape: Shape, input: &[T], weights: &[T], bias: &[T]) -> Vec<T> {
    assert_eq!(bias.len(), shape.channels_out);
    let mut output: Vec<T> = (0..shape.voxels()).flat_map(|_| bias.iter().copied()).collect();
    shape.for_each_product(|i, w, o| output[o] += input[i] * weights[w]);
    output
}

/// The gradient with respect to the input, given that with respect to the output.
///
/// # Panics
/// If an array has not the length that the shape tells.
pub fn input_gradient<T: Number>(shape: Shape, weights: &[T], output_gradient: &[T]) -> Vec<T> {
    let mut gradient = vec![T::default(); shape.voxels() * shape.channels_in];
    shape.for_each_product(|i, w, o| gradient[i] += output_gradient[o] * weights[w]);
    gradient
}

/// The gradients with respect to weights and bias, given that with respect to the output.
///
/// # Panics
/// If an array has not the length that the shape tells.
pub fn parameter_gradients<T: Number>(shape: Shape, input: &[T], output_gradient: &[T]) -> (Vec<T>, Vec<T>) {
    let mut weights = vec![T::default(); 27 * shape.channels_in * shape.channels_out];
    shape.for_each_product(|i, w, o| weights[w] += output_gradient[o] * input[i]);
    let mut bias = vec![T::default(); shape.channels_out];
    for (index, &value) in output_gradient.iter().enumerate() {
        bias[index % shape.channels_out] += value;
    }
    (weights, bias)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loss Σ target·output is linear in the input and in the parameters, so its differences are exact but for rounding.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let shape = Shape { batch: 2, cells: [3, 1, 4], channels_in: 2, channels_out: 3 };
        let draw = |n: usize, seed: usize| -> Vec<f64> {
            (0..n).map(|i| ((i * 37 + seed * 11 + 5) % 23) as f64 / 11.0 - 1.0).collect()
        };
        let input = draw(24 * 2, 1);
        let weights = draw(27 * 6, 2);
        let bias = draw(3, 3);
        let target = draw(24 * 3, 4);
        let loss = |input: &[f64], weights: &[f64], bias: &[f64]| -> f64 {
            convolve(shape, input, weights, bias).iter().zip(&target).map(|(a, b)| a * b).sum()
        };
        let differences = |at: &[f64], loss: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            (0..at.len())
                .map(|k| {
                    let mut moved = at.to_vec();
                    moved[k] += 0.5;
                    let above = loss(&moved);
                    moved[k] -= 1.0;
                    above - loss(&moved)
                })
                .collect()
        };
        let close = |a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + a.abs())), "{a:?} {b:?}");
        };
        close(&input_gradient(shape, &weights, &target), &differences(&input, &|v| loss(v, &weights, &bias)));
        let (weight_gradient, bias_gradient) = parameter_gradients(shape, &input, &target);
        close(&weight_gradient, &differences(&weights, &|v| loss(&input, v, &bias)));
        close(&bias_gradient, &differences(&bias, &|v| loss(&input, &weights, v)));
    }
}
