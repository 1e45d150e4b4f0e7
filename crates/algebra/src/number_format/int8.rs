//! Matrices of 8-bit integers with a scale for each row, multiplied with rows of single precision.
//!
//! `w ≈ s q` with `s = max |w| / 127` over a row and `q = round(w / s)`, so that no weight is off by more than `s / 2` (the vector-wise
//! form of Dettmers et al., "LLM.int8()", 2022, section 2.1, of the weights alone). A quarter of the bytes of single precision is
//! read; products and sums are in single precision.

use rayon::prelude::*;

use super::FormatError;
use crate::few_rows::product_with_transposed;

/// The largest code; −128 is not used, so that the codes are symmetric.
const LARGEST: f32 = 127.0;

/// The matrix, `[rows][columns]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Matrix {
    codes: Vec<i8>,
    scales: Vec<f32>,
    columns: usize,
}

impl Int8Matrix {
    /// The nearest of these weights `[rows][columns]`.
    ///
    /// # Errors
    /// [`FormatError`] if the length does not fit, or a weight is not finite.
    pub fn quantised(weights: &[f32], rows: usize, columns: usize) -> Result<Self, FormatError> {
        let expected = rows.saturating_mul(columns);
        if weights.len() != expected {
            return Err(FormatError::Length { what: "the weights", expected, found: weights.len() });
        }
        if let Some(index) = weights.iter().position(|weight| !weight.is_finite()) {
            return Err(FormatError::NotFinite { what: "the weights", index });
        }
        let (mut codes, mut scales) = (vec![0; expected], vec![0.0; rows]);
        let width = columns.max(1);
        codes.par_chunks_mut(width).zip(weights.par_chunks(width)).zip(&mut scales).for_each(
            |((codes, weights), scale)| {
                let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
                // A quotient of tiny numbers that underflows would make codes infinite.
                *scale = (largest / LARGEST).max(f32::MIN_POSITIVE);
                for (code, weight) in codes.iter_mut().zip(weights) {
                    *code = (weight / *scale).round_ties_even() as i8;
                }
            },
        );
        Ok(Int8Matrix { codes, scales, columns })
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.scales.len(), self.columns]
    }

    /// The bytes that codes and scales take.
    pub fn bytes(&self) -> usize {
        self.codes.len() + size_of_val(self.scales.as_slice())
    }

    /// The weights that the codes stand for, `[rows][columns]`.
    pub fn weights(&self) -> Vec<f32> {
        let mut weights = vec![0.0; self.codes.len()];
        let width = self.columns.max(1);
        weights.par_chunks_mut(width).zip(self.codes.par_chunks(width)).zip(&self.scales).for_each(
            |((weights, codes), scale)| {
                for (weight, &code) in weights.iter_mut().zip(codes) {
                    *weight = scale * f32::from(code);
                }
            },
        );
        weights
    }

    /// `Y = X Wᵀ` for a few rows `X` `[count][columns]`: `[count][rows]`. The matrix is read once. The scales are multiplied to the sums.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn product_with_few(&self, rows: &[f32], output: &mut [f32]) {
        product_with_transposed(rows, self.columns, &self.codes, output);
        for output in output.chunks_exact_mut(self.scales.len().max(1)) {
            output.iter_mut().zip(&self.scales).for_each(|(sum, scale)| *sum *= scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Sequence;

    #[test]
    fn weights_are_off_by_half_a_scale_at_most_and_stay_when_rounded_again() {
        let mut random = Sequence::new(1);
        for (rows, columns) in [(1, 1), (3, 31), (40, 257), (0, 4), (4, 0)] {
            let mut weights: Vec<f32> = (0..rows * columns).map(|_| random.normal() as f32).collect();
            // One row of zeros, one of tiny numbers.
            weights.iter_mut().take(columns).for_each(|weight| *weight = 0.0);
            weights.iter_mut().skip(columns).take(columns).for_each(|weight| *weight *= 1e-44);
            let matrix = Int8Matrix::quantised(&weights, rows, columns).unwrap();
            assert_eq!(matrix.shape(), [rows, columns]);
            assert_eq!(matrix.bytes(), rows * columns + 4 * rows);
            let rounded = matrix.weights();
            for ((row, rounded), scale) in
                weights.chunks(columns.max(1)).zip(rounded.chunks(columns.max(1))).zip(&matrix.scales)
            {
                for (weight, rounded) in row.iter().zip(rounded) {
                    assert!((weight - rounded).abs() <= 0.5001 * scale, "{weight} {rounded} {scale}");
                }
            }
            assert_eq!(Int8Matrix::quantised(&rounded, rows, columns).unwrap().codes, matrix.codes);
        }
    }

    #[test]
    fn products_are_those_of_the_weights() {
        let mut random = Sequence::new(2);
        for (count, columns, rows) in [(1, 1, 1), (1, 100, 33), (3, 65, 700), (16, 257, 40), (2, 0, 3)] {
            let mut draw =
                |length: usize| -> Vec<f32> { (0..length).map(|_| random.normal() as f32).collect() };
            let (x, weights) = (draw(count * columns), draw(rows * columns));
            let matrix = Int8Matrix::quantised(&weights, rows, columns).unwrap();
            let weights = matrix.weights();
            let mut output = vec![7.0; count * rows];
            matrix.product_with_few(&x, &mut output);
            for (place, given) in output.iter().enumerate() {
                let (row, column) = (place / rows, place % rows);
                let pair =
                    |k: usize| f64::from(x[row * columns + k]) * f64::from(weights[column * columns + k]);
                let expected: f64 = (0..columns).map(pair).sum();
                assert!((f64::from(*given) - expected).abs() < 1e-4, "{given} for {expected}");
            }
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        assert!(matches!(
            Int8Matrix::quantised(&[1.0; 5], 2, 3),
            Err(FormatError::Length { expected: 6, .. })
        ));
        let error = Int8Matrix::quantised(&[1.0, f32::NAN], 1, 2).unwrap_err();
        assert_eq!(error.to_string(), "the weights: element 1 is not finite");
    }
}
