//! Square Monarch matrices of any order, and the discrete Fourier transform among them.
//!
//! An index of n = b^p has p digits to the base b. A Monarch matrix of order p replaces them one after the other, the highest first:
//! its factor i is a dense b by b map of one digit whose entries depend on all the others. Written with permutations it is
//! `M = P' (B_p P) ... (B_1 P)`, where P brings the next digit to the end and P' reverses the order of the new ones; for p = 2 both
//! are the transposition of the b by b index, `M = P L P R P`.

use rayon::prelude::*;
use rustfft::num_complex::Complex;

use super::{BlockDiagonal, MonarchError, Scalar};

/// A square Monarch matrix of order p and dimension b^p.
#[derive(Clone, Debug, PartialEq)]
pub struct Monarch<T> {
    base: usize,
    factors: Vec<BlockDiagonal<T>>,
}

impl<T: Scalar> Monarch<T> {
    /// From its factors, in the order in which they act: for order 2, `[R, L]` of `M = P L P R P`. Each has b^(p-1) blocks of b by b.
    ///
    /// Block `k` of factor `i` maps the digit `j_{p-1-i}` of the input to the digit `c_i` of the output; `k` has the digits
    /// (slowest first) `j_{p-2-i}, ..., j_0, c_0, ..., c_{i-1}`.
    ///
    /// # Errors
    /// If there is no factor, or their blocks are not of the shape that the order asks for.
    pub fn new(factors: Vec<BlockDiagonal<T>>) -> Result<Self, MonarchError> {
        let Some(first) = factors.first() else {
            return Err(MonarchError::Shape("a Monarch matrix has at least one factor".to_string()));
        };
        let (_, base, _) = first.extents();
        let exponent = u32::try_from(factors.len() - 1).unwrap_or(u32::MAX);
        for (index, factor) in factors.iter().enumerate() {
            let (blocks, rows, columns) = factor.extents();
            if base.checked_pow(exponent) != Some(blocks) || rows != base || columns != base {
                return Err(MonarchError::Shape(format!(
                    "factor {index} has {blocks} blocks of {rows} by {columns}; order {} with base {base} asks for {base}^{exponent} \
                     blocks of {base} by {base}",
                    factors.len()
                )));
            }
        }
        Ok(Monarch { base, factors })
    }

    /// The number b of values of a digit.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The number p of factors.
    pub fn order(&self) -> usize {
        self.factors.len()
    }

    /// The dimension b^p.
    pub fn dimension(&self) -> usize {
        self.factors[0].shape().0
    }

    /// The factors, in the order in which they act.
    pub fn factors(&self) -> &[BlockDiagonal<T>] {
        &self.factors
    }

    /// The product with a panel of `width` vectors.
    ///
    /// # Errors
    /// If the panel has another length than dimension times width.
    pub fn apply(&self, input: &[T], width: usize) -> Result<Vec<T>, MonarchError> {
        let dimension = self.dimension();
        super::expect_length("the input panel", input.len(), dimension * width)?;
        let blocks = dimension / self.base;
        let [mut now, mut next] = [(); 2].map(|()| vec![T::zero(); input.len()]);
        for (number, factor) in self.factors.iter().enumerate() {
            let source = if number == 0 { input } else { &now };
            // P: the slowest digit becomes the fastest.
            factor.apply_from(&|block, column| column * blocks + block, source, width, &mut next);
            std::mem::swap(&mut now, &mut next);
        }
        // Reversing the digits twice leaves them.
        next.par_chunks_mut(width.max(1)).with_min_len(256).enumerate().for_each(|(target, row)| {
            row.copy_from_slice(&now[self.reversed(target) * width..][..width]);
        });
        Ok(next)
    }

    /// The gradients of a function of the product with a panel, from that of the product: that of the panel, and those of the
    /// factors' entries, factor by factor. For complex matrices a gradient is `g` with `dℓ = Re Σ conj(g) dz`.
    ///
    /// # Errors
    /// If a panel has another length than dimension times width.
    pub fn backward(
        &self,
        input: &[T],
        output_gradient: &[T],
        width: usize,
    ) -> Result<(Vec<T>, Vec<Vec<T>>), MonarchError> {
        let dimension = self.dimension();
        super::expect_length("the input panel", input.len(), dimension * width)?;
        super::expect_length("the output's gradient", output_gradient.len(), dimension * width)?;
        let blocks = dimension / self.base;
        let rotated = |panel: &[T]| {
            let mut result = Vec::with_capacity(panel.len());
            for row in 0..dimension {
                let source = row % self.base * blocks + row / self.base;
                result.extend_from_slice(&panel[source * width..][..width]);
            }
            result
        };
        let mut inputs = vec![rotated(input)];
        for factor in &self.factors[..self.factors.len() - 1] {
            let mut product = vec![T::zero(); input.len()];
            factor.apply(&inputs[inputs.len() - 1], width, &mut product)?;
            inputs.push(rotated(&product));
        }
        let mut gradient = vec![T::zero(); input.len()];
        for index in 0..dimension {
            let source = self.reversed(index);
            gradient[index * width..][..width].copy_from_slice(&output_gradient[source * width..][..width]);
        }
        let mut factor_gradients = Vec::with_capacity(self.factors.len());
        let mut before = vec![T::zero(); input.len()];
        for (factor, input) in self.factors.iter().zip(&inputs).rev() {
            let mut entries = vec![T::zero(); factor.entries().len()];
            factor.accumulate_gradient(input, &gradient, width, &mut entries)?;
            factor_gradients.push(entries);
            factor.adjoint().apply(&gradient, width, &mut before)?;
            for row in 0..dimension {
                let target = row % self.base * blocks + row / self.base;
                gradient[target * width..][..width].copy_from_slice(&before[row * width..][..width]);
            }
        }
        factor_gradients.reverse();
        Ok((gradient, factor_gradients))
    }

    /// The index with its digits in reverse order.
    fn reversed(&self, mut index: usize) -> usize {
        let mut reversed = 0;
        for _ in 0..self.factors.len() {
            reversed = reversed * self.base + index % self.base;
            index /= self.base;
        }
        reversed
    }

    /// The matrix entry by entry, row-major: the reference of the tests, from products over digits without any permutation.
    pub fn to_dense(&self) -> Vec<T> {
        let (base, order, dimension) = (self.base, self.factors.len(), self.dimension());
        let digits = |mut index: usize| -> Vec<usize> {
            (0..order)
                .map(|_| {
                    let digit = index % base;
                    index /= base;
                    digit
                })
                .collect()
        };
        let mut entries = vec![T::one(); dimension * dimension];
        for row in 0..dimension {
            let new = digits(row);
            for column in 0..dimension {
                let old = digits(column);
                for (i, factor) in self.factors.iter().enumerate() {
                    let rest = (0..order - 1 - i).rev().map(|d| old[d]).chain((0..i).map(|d| new[d]));
                    let block = rest.fold(0, |block, digit| block * base + digit);
                    entries[row * dimension + column] *=
                        factor.block(block)[new[i] * base + old[order - 1 - i]];
                }
            }
        }
        entries
    }
}

/// The discrete Fourier transform of dimension b^p (`X_k = Σ_n x_n exp(-2πi nk / b^p)`) as a Monarch matrix of order p.
///
/// With digits `n = Σ j_i b^i` and `k = Σ c_i b^i`, factor i holds `exp(-2πi j (c_0 + b c_1 + ... + b^i c_i) / b^{i+1})` where
/// `j = j_{p-1-i}`: a b-point transform times twiddle factors.
///
/// # Errors
/// If base or order is zero, or the dimension is too large.
pub fn fourier_monarch(base: usize, order: u32) -> Result<Monarch<Complex<f64>>, MonarchError> {
    let dimension = base.checked_pow(order).filter(|dimension| *dimension > 0 && order > 0);
    let Some(dimension) = dimension else {
        return Err(MonarchError::Shape(format!("no Fourier transform has dimension {base}^{order}")));
    };
    let blocks = dimension / base;
    let factors = (0..order)
        .map(|i| {
            let period = base.pow(i + 1);
            let fixed = base.pow(i);
            let mut entries = Vec::with_capacity(dimension * base);
            for block in 0..blocks {
                // The last i digits of the block are c_0, ..., c_{i-1}, slowest first.
                let low = (0..i).rev().fold((0, block % fixed), |(sum, rest), d| {
                    (sum + rest % base * base.pow(d), rest / base)
                });
                for c in 0..base {
                    let frequency = low.0 + c * fixed;
                    entries.extend((0..base).map(|j| {
                        let turns = (j * frequency % period) as f64 / period as f64;
                        Complex::from_polar(1.0, -2.0 * std::f64::consts::PI * turns)
                    }));
                }
            }
            BlockDiagonal::new(blocks, base, base, entries)
        })
        .collect::<Result<_, _>>()?;
    Monarch::new(factors)
}

#[cfg(test)]
pub(super) mod tests {
    use rustfft::FftPlanner;

    use super::*;

    /// Numbers in [-1, 1) from a linear congruence, the same everywhere.
    pub fn random(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
            })
            .collect()
    }

    fn random_monarch(base: usize, order: usize, seed: u64) -> Monarch<f64> {
        let blocks = base.pow(order as u32 - 1);
        let factor = |i| {
            BlockDiagonal::new(blocks, base, base, random(blocks * base * base, seed + i as u64))
                .expect("fits")
        };
        Monarch::new((0..order).map(factor).collect()).expect("fits")
    }

    #[test]
    fn products_are_those_of_the_written_out_matrix() {
        for (base, order) in [(1, 1), (5, 1), (2, 2), (3, 2), (8, 2), (2, 3), (4, 3), (3, 4)] {
            for width in [0, 1, 3, 33] {
                let monarch = random_monarch(base, order, 17);
                let dense = monarch.to_dense();
                let n = monarch.dimension();
                let input = random(n * width, 5);
                let output = monarch.apply(&input, width).expect("fits");
                for row in 0..n {
                    for k in 0..width {
                        let expected: f64 = (0..n).map(|c| dense[row * n + c] * input[c * width + k]).sum();
                        assert!(
                            (output[row * width + k] - expected).abs() <= 1e-13 * (n as f64),
                            "{base}^{order}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn order_two_is_the_paper_s_product_of_permutations_and_blocks() {
        let base = 4;
        let monarch = random_monarch(base, 2, 3);
        let input = random(16, 9);
        let transposed = |x: &[f64]| -> Vec<f64> { (0..16).map(|i| x[i % base * base + i / base]).collect() };
        let mut now = transposed(&input);
        for factor in monarch.factors() {
            let mut next = vec![0.0; 16];
            factor.apply(&now, 1, &mut next).expect("fits");
            now = transposed(&next);
        }
        assert_eq!(monarch.apply(&input, 1).expect("fits"), now);
    }

    #[test]
    fn the_fourier_transform_is_a_monarch_matrix() {
        for (base, order) in [(8, 2), (32, 2), (64, 2), (4, 3), (16, 3), (256, 2), (2, 6)] {
            let monarch = fourier_monarch(base, order).expect("exists");
            let n = monarch.dimension();
            let input: Vec<Complex<f64>> =
                random(n, 1).into_iter().zip(random(n, 2)).map(|(re, im)| Complex::new(re, im)).collect();
            let output = monarch.apply(&input, 1).expect("fits");
            let mut expected = input;
            FftPlanner::new().plan_fft_forward(n).process(&mut expected);
            let worst = output.iter().zip(&expected).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max);
            assert!(worst < 1e-10 * (n as f64).sqrt(), "{base}^{order}: {worst}");
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        let (base, order, width) = (3, 3, 2);
        let monarch = random_monarch(base, order, 4);
        let n = monarch.dimension();
        let (input, weights) = (random(n * width, 1), random(n * width, 2));
        let objective = |monarch: &Monarch<f64>, input: &[f64]| -> f64 {
            monarch.apply(input, width).expect("fits").iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        let (input_gradient, factor_gradients) = monarch.backward(&input, &weights, width).expect("fits");
        // The objective is linear in each of them, so a difference of any step is exact up to rounding.
        for i in (0..n * width).step_by(5) {
            let mut moved = input.clone();
            moved[i] += 1.0;
            let difference = objective(&monarch, &moved) - objective(&monarch, &input);
            assert!((difference - input_gradient[i]).abs() < 1e-11, "input {i}");
        }
        for f in 0..order {
            for i in (0..monarch.factors[f].entries().len()).step_by(7) {
                let mut moved = monarch.clone();
                moved.factors[f].entries_mut()[i] += 1.0;
                let difference = objective(&moved, &input) - objective(&monarch, &input);
                assert!((difference - factor_gradients[f][i]).abs() < 1e-11, "factor {f}, entry {i}");
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(Monarch::<f64>::new(vec![]).is_err());
        let wrong = BlockDiagonal::new(3, 2, 2, vec![0.0; 12]).expect("fits");
        assert!(Monarch::new(vec![wrong.clone(), wrong]).is_err());
        assert!(fourier_monarch(0, 2).is_err() && fourier_monarch(3, 0).is_err());
        assert!(random_monarch(3, 2, 1).apply(&[0.0; 10], 1).is_err());
    }
}
