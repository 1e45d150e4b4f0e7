//! The linear layer of networks with ternary weights: norm, 8-bit activations and a product with −1, 0 and 1, forwards and backwards.
//!
//! Zhu et al., "Scalable MatMul-free Language Modeling" (2024), the fused BitLinear of its public code. For rows x, gain γ and weights W
//! `[out, in]`, with the quantisers of [`ternary`](super::ternary):
//! ```text
//! r = 1 / sqrt(mean x² + ε)      u = x r ∘ γ      y = quantised(u) · quantised(W)ᵀ, exact in integers, times β / s
//! ```
//! Backwards both quantisers count as the identity (straight through, without a mask for what was clipped), and the quantised
//! activations are computed again instead of kept:
//! ```text
//! dU = dY W̃      dW = dYᵀ Ỹ      dγ = Σ dU ∘ x̂      g = dU ∘ γ      dx = (g − x̂ mean(g ∘ x̂)) r      with x̂ = x r
//! ```
//! In single precision the product is done by the integer kernels; in double precision by a product of matrices of integers, which is
//! exact too.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use rustfft::num_traits::Float;

use super::ternary::{ByteRows, SMALLEST_RANGE, TernaryMatrix};
use super::{FormatError, InstructionSet, expect_length};
use crate::real::Real;

/// A layer: its full-precision weights and the gain of its norm.
#[derive(Clone, Copy, Debug)]
pub struct BitLinear<'a, T> {
    /// W, row-major `[out, in]`.
    pub weights: &'a [T],
    /// γ, `[in]`.
    pub gain: &'a [T],
    /// ε under the root of the norm (the released path: 1e-6).
    pub epsilon: f64,
}

/// Gradients in the shapes of the operands.
#[derive(Clone, Debug, PartialEq)]
pub struct BitLinearGradients<T> {
    /// Of the rows x.
    pub input: Vec<T>,
    /// Of the gain γ.
    pub gain: Vec<T>,
    /// Of the full-precision weights W.
    pub weights: Vec<T>,
}

impl<T: Real> BitLinear<'_, T> {
    /// Rows and columns of the weights.
    ///
    /// # Errors
    /// [`FormatError::Length`] if there are no columns, or the weights are not whole rows.
    fn shape(&self) -> Result<(usize, usize), FormatError> {
        let columns = self.gain.len();
        let rows = self.weights.len().checked_div(columns).unwrap_or(0);
        expect_length("the weights", self.weights, rows * columns.max(1))?;
        Ok((rows, columns))
    }

    /// The results `[rows, out]` for rows x `[rows, in]`.
    ///
    /// # Errors
    /// [`FormatError::Length`] if arrays do not fit, [`FormatError::NotFinite`].
    pub fn forward(&self, input: &[T]) -> Result<Vec<T>, FormatError> {
        let (outputs, columns) = self.shape()?;
        let rows = input.len().checked_div(columns).unwrap_or(0);
        expect_length("the input", input, rows * columns)?;
        if let (Some(weights), Some(input), Some(gain)) =
            (T::as_single(self.weights), T::as_single(input), T::as_single(self.gain))
        {
            let matrix = TernaryMatrix::quantised(weights, outputs, columns)?;
            return Ok(T::from_single(forward_packed(&matrix, gain, self.epsilon, input)?));
        }
        let (codes, scale) = quantised_weights(self.weights)?;
        let (activations, scales) = self.activations(input)?;
        let mut result = vec![T::zero(); rows * outputs];
        matmul(
            MatMut::from_row_major_slice_mut(&mut result, rows, outputs),
            Accum::Replace,
            MatRef::from_row_major_slice(&activations, rows, columns),
            MatRef::from_row_major_slice(&codes, outputs, columns).transpose(),
            T::one(),
            Par::rayon(0),
        );
        for (row, s) in result.chunks_mut(outputs.max(1)).zip(&scales) {
            row.iter_mut().for_each(|y| *y *= scale / *s);
        }
        Ok(result)
    }

    /// The gradients, from that of the result, `[rows, out]`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn backward(&self, input: &[T], gradient: &[T]) -> Result<BitLinearGradients<T>, FormatError> {
        let (outputs, columns) = self.shape()?;
        let rows = input.len().checked_div(columns).unwrap_or(0);
        expect_length("the input", input, rows * columns)?;
        expect_length("the result's gradient", gradient, rows * outputs)?;
        let (mut weights, scale) = quantised_weights(self.weights)?;
        weights.iter_mut().for_each(|w| *w *= scale);
        let (mut activations, scales) = self.activations(input)?;
        for (row, s) in activations.chunks_mut(columns.max(1)).zip(&scales) {
            row.iter_mut().for_each(|x| *x /= *s);
        }
        let gradient = MatRef::from_row_major_slice(gradient, rows, outputs);
        let mut of_weights = vec![T::zero(); self.weights.len()];
        matmul(
            MatMut::from_row_major_slice_mut(&mut of_weights, outputs, columns),
            Accum::Replace,
            gradient.transpose(),
            MatRef::from_row_major_slice(&activations, rows, columns),
            T::one(),
            Par::rayon(0),
        );
        let mut of_normed = activations;
        matmul(
            MatMut::from_row_major_slice_mut(&mut of_normed, rows, columns),
            Accum::Replace,
            gradient,
            MatRef::from_row_major_slice(&weights, outputs, columns),
            T::one(),
            Par::rayon(0),
        );
        let mut of_gain = vec![T::zero(); columns];
        for (of_normed, x) in of_normed.chunks_mut(columns.max(1)).zip(input.chunks(columns.max(1))) {
            let r = self.inverse_norm(x);
            let mut mean = T::zero();
            for c in 0..columns {
                let normed = x[c] * r;
                of_gain[c] += of_normed[c] * normed;
                of_normed[c] *= self.gain[c];
                mean += of_normed[c] * normed;
            }
            mean /= T::literal(columns as f64);
            for c in 0..columns {
                of_normed[c] = (of_normed[c] - x[c] * r * mean) * r;
            }
        }
        Ok(BitLinearGradients { input: of_normed, gain: of_gain, weights: of_weights })
    }

    fn inverse_norm(&self, row: &[T]) -> T {
        let squares: T = row.iter().map(|x| *x * *x).sum();
        T::one() / Float::sqrt(squares / T::literal(row.len() as f64) + T::literal(self.epsilon))
    }

    /// The 8-bit integers of the normed rows, and the scale s of each row.
    fn activations(&self, input: &[T]) -> Result<(Vec<T>, Vec<T>), FormatError> {
        let columns = self.gain.len().max(1);
        let mut codes = input.to_vec();
        let scales = codes
            .par_chunks_mut(columns)
            .map(|row| {
                let r = self.inverse_norm(row);
                row.iter_mut().zip(self.gain).for_each(|(x, gain)| *x = *x * r * *gain);
                let largest = largest("the values", row)?;
                let scale = T::literal(127.0) / Float::max(largest, T::literal(SMALLEST_RANGE.into()));
                row.iter_mut().for_each(|x| *x = rounded(*x * scale, -128.0, 127.0));
                Ok(scale)
            })
            .collect::<Result<_, _>>()?;
        Ok((codes, scales))
    }
}

/// The results `[rows, out]` of a layer whose weights are packed, for rows x `[rows, in]`.
///
/// # Errors
/// [`FormatError::Length`] if gain or input do not fit the matrix, [`FormatError::NotFinite`].
pub fn forward_packed(
    weights: &TernaryMatrix,
    gain: &[f32],
    epsilon: f64,
    input: &[f32],
) -> Result<Vec<f32>, FormatError> {
    let (outputs, columns) = weights.shape();
    expect_length("the gain", gain, columns)?;
    let rows = input.len().checked_div(columns).unwrap_or(0);
    expect_length("the input", input, rows * columns)?;
    let layer = BitLinear { weights: &[], gain, epsilon };
    let set = InstructionSet::best();
    let mut activations = ByteRows::empty();
    activations.quantise_rows(rows, columns, set, |row, buffer| {
        let x = &input[row * columns..][..columns];
        let r = layer.inverse_norm(x);
        for ((u, x), gain) in buffer.iter_mut().zip(x).zip(gain) {
            *u = x * r * gain;
        }
    })?;
    let mut result = vec![0.0; rows * outputs];
    weights.product_f32(&activations, &mut result, set)?;
    Ok(result)
}

/// The ternary weights, and their scale β.
fn quantised_weights<T: Real>(weights: &[T]) -> Result<(Vec<T>, T), FormatError> {
    largest("the weights", weights)?;
    let sum: f64 = weights.iter().map(|w| w.widened().abs()).sum();
    let mean = T::literal(sum / weights.len().max(1) as f64);
    let scale = Float::max(mean, T::literal(SMALLEST_RANGE.into()));
    Ok((weights.iter().map(|w| rounded(*w / scale, -1.0, 1.0)).collect(), scale))
}

fn rounded<T: Real>(value: T, least: f64, largest: f64) -> T {
    T::literal(value.widened().round_ties_even().clamp(least, largest))
}

fn largest<T: Real>(what: &'static str, values: &[T]) -> Result<T, FormatError> {
    match values.iter().position(|value| !Float::is_finite(*value)) {
        Some(index) => Err(FormatError::NotFinite { what, index }),
        None => Ok(values.iter().fold(T::zero(), |largest, value| Float::max(largest, Float::abs(*value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    fn example(rows: usize, columns: usize, outputs: usize) -> [Vec<f64>; 4] {
        let mut random = Random::new((rows * columns * outputs) as u64);
        let mut normals = |count: usize| -> Vec<f64> { (0..count).map(|_| random.normal()).collect() };
        let gain = normals(columns).iter().map(|x| 1.0 + 0.2 * x).collect();
        [normals(rows * columns), gain, normals(outputs * columns), normals(rows * outputs)]
    }

    /// The definitions, one number after the other.
    fn reference([x, gain, w, dy]: &[Vec<f64>; 4], epsilon: f64) -> (Vec<f64>, BitLinearGradients<f64>) {
        let columns = gain.len();
        let (rows, outputs) = (x.len() / columns, w.len() / columns);
        let beta = (w.iter().map(|w| w.abs()).sum::<f64>() / w.len() as f64).max(1e-5);
        let w: Vec<f64> = w.iter().map(|w| beta * (w / beta).round_ties_even().clamp(-1.0, 1.0)).collect();
        let mut y = vec![0.0; rows * outputs];
        let mut of = BitLinearGradients {
            input: vec![0.0; x.len()],
            gain: vec![0.0; columns],
            weights: vec![0.0; w.len()],
        };
        for n in 0..rows {
            let x = &x[n * columns..][..columns];
            let r = (x.iter().map(|x| x * x).sum::<f64>() / columns as f64 + epsilon).sqrt().recip();
            let u: Vec<f64> = x.iter().zip(gain).map(|(x, g)| x * r * g).collect();
            let s = 127.0 / u.iter().fold(1e-5_f64, |a, u| a.max(u.abs()));
            let q: Vec<f64> = u.iter().map(|u| (s * u).round_ties_even().clamp(-128.0, 127.0) / s).collect();
            let mut du = vec![0.0; columns];
            for o in 0..outputs {
                for c in 0..columns {
                    y[n * outputs + o] += q[c] * w[o * columns + c];
                    du[c] += dy[n * outputs + o] * w[o * columns + c];
                    of.weights[o * columns + c] += dy[n * outputs + o] * q[c];
                }
            }
            let g: Vec<f64> = du.iter().zip(gain).map(|(d, g)| d * g).collect();
            let mean = (0..columns).map(|c| g[c] * x[c] * r).sum::<f64>() / columns as f64;
            for c in 0..columns {
                of.gain[c] += du[c] * x[c] * r;
                of.input[n * columns + c] = (g[c] - x[c] * r * mean) * r;
            }
        }
        (y, of)
    }

    fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(f64::MIN_POSITIVE, |s, x| s.max(x.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance * scale, "{found} for {expected}");
        }
    }

    #[test]
    fn both_passes_are_their_definitions() {
        for (rows, columns, outputs) in [(1, 1, 1), (5, 77, 13), (3, 300, 260), (33, 64, 8), (0, 4, 2)] {
            let arrays = example(rows, columns, outputs);
            let (y, gradients) = reference(&arrays, 1e-6);
            let [x, gain, weights, dy] = &arrays;
            let layer = BitLinear { weights, gain, epsilon: 1e-6 };
            assert_close(&layer.forward(x).expect("fits"), &y, 1e-12);
            let found = layer.backward(x, dy).expect("fits");
            assert_close(&found.input, &gradients.input, 1e-12);
            assert_close(&found.gain, &gradients.gain, 1e-12);
            assert_close(&found.weights, &gradients.weights, 1e-12);
        }
    }

    #[test]
    fn single_precision_runs_on_the_integer_kernels() {
        for (rows, columns, outputs) in [(4, 768, 768), (2, 77, 31)] {
            let arrays = example(rows, columns, outputs);
            let [x, gain, w, dy] =
                arrays.each_ref().map(|a| a.iter().map(|x| *x as f32).collect::<Vec<f32>>());
            let widened = [&x, &gain, &w, &dy].map(|a| a.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>());
            let (y, gradients) = reference(&widened, 1e-6);
            let layer = BitLinear { weights: &w, gain: &gain, epsilon: 1e-6 };
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
            // An activation next to a tie may fall to its other side in single precision, which moves a sum by one unit of 127.
            let found = wide(layer.forward(&x).expect("fits"));
            assert_close(&found, &y, 2e-3);
            let off = found.iter().zip(&y).filter(|(a, b)| (*a - *b).abs() > 1e-5 * b.abs().max(1.0)).count();
            assert!(off * 4 <= found.len(), "{off} of {}", found.len());
            let found = layer.backward(&x, &dy).expect("fits");
            assert_close(&wide(found.input), &gradients.input, 1e-5);
            assert_close(&wide(found.gain), &gradients.gain, 1e-5);
            assert_close(&wide(found.weights), &gradients.weights, 1e-2);
            let matrix = TernaryMatrix::quantised(&w, outputs, columns).expect("finite");
            let packed = forward_packed(&matrix, &gain, 1e-6, &x).expect("fits");
            assert_eq!(packed, layer.forward(&x).expect("fits"));
            for row in 0..rows {
                let alone =
                    forward_packed(&matrix, &gain, 1e-6, &x[row * columns..][..columns]).expect("fits");
                assert_eq!(alone, packed[row * outputs..][..outputs]);
            }
        }
    }

    #[test]
    fn ties_go_to_the_even_integer_and_zeros_have_a_scale() {
        // β = 1, so that ±0.5 and ±1.5 are ties; then β has its floor.
        let (codes, scale) = quantised_weights(&[0.5, -0.5, 1.5, -1.5]).expect("finite");
        assert_eq!((codes, scale), (vec![0.0, 0.0, 1.0, -1.0], 1.0));
        let (codes, scale) = quantised_weights(&[0.0_f64; 3]).expect("finite");
        assert_eq!((codes, scale), (vec![0.0; 3], f64::from(1e-5_f32)));
        let layer = BitLinear { weights: &[0.0; 6], gain: &[1.0; 3], epsilon: 1e-6 };
        assert_eq!(layer.forward(&[0.0_f32; 3]).expect("finite"), [0.0; 2]);
        assert!(layer.forward(&[0.0; 4]).is_err() && layer.forward(&[f32::NAN; 3]).is_err());
        assert!(BitLinear { weights: &[0.0; 5], ..layer }.forward(&[0.0; 3]).is_err());
    }
}
