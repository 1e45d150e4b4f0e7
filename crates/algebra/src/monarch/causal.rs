//! The learnable Monarch transform whose products are causal: `y = IDFT(M k ∘ M u)`, where output t depends on the inputs up to t only,
//! without any n by n mask.
//!
//! For N = b² and sequences of length n = N/2, index `j = j0 + b j1`, M evaluates `Σ_j u_j ℓ_{j0}(z) r_{j0,j1}(z^b)` at the N-th roots of
//! unity z. If ℓ_{j0} has only powers from j0 to b-1 and r_{j0,j1} only powers from j1 to b/2-1, the polynomial of u_j starts at z^j
//! and ends below z^n: the product of two such sums never wraps around, and its coefficient of z^t holds nothing of u_j with j > t.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use super::{BlockDiagonal, Monarch, MonarchError, expect_length};

/// The causal transform of base b, for sequences of b²/2 numbers.
#[derive(Clone, Debug)]
pub struct CausalMonarch {
    base: usize,
    /// ℓ: for each j0 the coefficients of its powers, b by b.
    left: Vec<f64>,
    /// r: for each j0 and j1 the coefficients of its powers, b by b/2 by b/2.
    right: Vec<f64>,
    transform: Monarch<Complex<f64>>,
}

/// Gradients of a function of [`CausalMonarch::convolve`].
#[derive(Clone, Debug)]
pub struct CausalGradients {
    /// Of the kernels.
    pub kernel: Vec<f64>,
    /// Of the inputs.
    pub input: Vec<f64>,
    /// Of the coefficients ℓ; zero for powers that are not allowed.
    pub left: Vec<f64>,
    /// Of the coefficients r; zero for powers that are not allowed.
    pub right: Vec<f64>,
}

impl CausalMonarch {
    /// From the coefficients `left[j0, power]` (b by b) and `right[j0, j1, power]` (b by b/2 by b/2). Those of powers below j0, or
    /// below j1, are not used and count as zero.
    ///
    /// # Errors
    /// If `base` is not even and positive, or there is another number of coefficients.
    pub fn new(base: usize, mut left: Vec<f64>, mut right: Vec<f64>) -> Result<Self, MonarchError> {
        if base == 0 || !base.is_multiple_of(2) {
            return Err(MonarchError::Shape(format!("the base is {base}, expected an even number")));
        }
        let half = base / 2;
        expect_length("the left coefficients", left.len(), base * base)?;
        expect_length("the right coefficients", right.len(), base * half * half)?;
        mask(&mut left, base);
        right.chunks_mut(half * half).for_each(|table| mask(table, half));
        let transform = transform(base, &left, &right)?;
        Ok(CausalMonarch { base, left, right, transform })
    }

    /// The plain causal convolution: ℓ_{j0} = z^{j0}, r_{j0,j1} = z^{j1}.
    ///
    /// # Errors
    /// As [`CausalMonarch::new`].
    pub fn convolution(base: usize) -> Result<Self, MonarchError> {
        let half = base / 2;
        let identity = |n: usize| (0..n * n).map(move |i| if i / n == i % n { 1.0 } else { 0.0 });
        Self::new(base, identity(base).collect(), (0..base).flat_map(|_| identity(half)).collect())
    }

    /// The length n = b²/2 of the sequences.
    pub fn length(&self) -> usize {
        self.base * self.base / 2
    }

    /// `IDFT(M kernel ∘ M input)` for `width` pairs of sequences, in panels with a row for each time.
    ///
    /// # Errors
    /// If a panel has another length than length times width.
    pub fn convolve(&self, kernel: &[f64], input: &[f64], width: usize) -> Result<Vec<f64>, MonarchError> {
        let mut product = self.evaluate("the kernel panel", kernel, width)?;
        for (product, other) in product.iter_mut().zip(self.evaluate("the input panel", input, width)?) {
            *product *= other;
        }
        let scale = 1.0 / (2 * self.length()) as f64;
        Ok(along_time(&product, width, Direction::Inverse)[..self.length() * width]
            .iter()
            .map(|value| value.re * scale)
            .collect())
    }

    /// The gradients of a function of [`CausalMonarch::convolve`], from that of its result.
    ///
    /// # Errors
    /// If a panel has another length than length times width.
    pub fn backward(
        &self,
        kernel: &[f64],
        input: &[f64],
        output_gradient: &[f64],
        width: usize,
    ) -> Result<CausalGradients, MonarchError> {
        expect_length("the output's gradient", output_gradient.len(), self.length() * width)?;
        let kernel_values = self.evaluate("the kernel panel", kernel, width)?;
        let input_values = self.evaluate("the input panel", input, width)?;
        // The adjoint of the scaled inverse transform, restricted to the first half, is the scaled transform of the padded.
        let scale = 1.0 / (2 * self.length()) as f64;
        let padded = self.padded(output_gradient, width);
        let product_gradient = along_time(&padded, width, Direction::Forward);
        let times = |values: &[Complex<f64>]| -> Vec<Complex<f64>> {
            product_gradient.iter().zip(values).map(|(g, v)| g * v.conj() * scale).collect()
        };
        let (mut input_gradient, mut factors) =
            self.transform.backward(&self.padded(input, width), &times(&kernel_values), width)?;
        let (kernel_gradient, more) =
            self.transform.backward(&self.padded(kernel, width), &times(&input_values), width)?;
        for (sum, more) in factors.iter_mut().flatten().zip(more.iter().flatten()) {
            *sum += more;
        }
        let kept = self.length() * width;
        input_gradient.truncate(kept);
        let (left, right) = self.coefficient_gradients(&factors[1], &factors[0]);
        Ok(CausalGradients {
            kernel: kernel_gradient[..kept].iter().map(|value| value.re).collect(),
            input: input_gradient.iter().map(|value| value.re).collect(),
            left,
            right,
        })
    }

    /// `M` times a panel that is padded to twice its length.
    fn evaluate(
        &self,
        what: &'static str,
        panel: &[f64],
        width: usize,
    ) -> Result<Vec<Complex<f64>>, MonarchError> {
        expect_length(what, panel.len(), self.length() * width)?;
        self.transform.apply(&self.padded(panel, width), width)
    }

    fn padded(&self, panel: &[f64], width: usize) -> Vec<Complex<f64>> {
        let mut padded: Vec<Complex<f64>> = panel.iter().map(|&value| value.into()).collect();
        padded.resize(2 * self.length() * width, Complex::default());
        padded
    }

    /// From the gradients of L and R to those of the coefficients: the conjugate Vandermonde products.
    fn coefficient_gradients(&self, left: &[Complex<f64>], right: &[Complex<f64>]) -> (Vec<f64>, Vec<f64>) {
        let (base, half) = (self.base, self.base / 2);
        let roots = roots_of_unity(base * base);
        let mut left_gradient = vec![0.0; base * base];
        for c in 0..base {
            for a in 0..base {
                for j0 in 0..base {
                    let gradient = left[(c * base + a) * base + j0];
                    for power in j0..base {
                        let z = roots[(c + base * a) * power % (base * base)];
                        left_gradient[j0 * base + power] += (z.conj() * gradient).re;
                    }
                }
            }
        }
        let mut right_gradient = vec![0.0; base * half * half];
        for j0 in 0..base {
            for c in 0..base {
                for j1 in 0..half {
                    let gradient = right[(j0 * base + c) * base + j1];
                    for power in j1..half {
                        let y = roots[base * c * power % (base * base)];
                        right_gradient[(j0 * half + j1) * half + power] += (y.conj() * gradient).re;
                    }
                }
            }
        }
        (left_gradient, right_gradient)
    }

    /// The coefficients ℓ and r.
    pub fn coefficients(&self) -> (&[f64], &[f64]) {
        (&self.left, &self.right)
    }
}

/// Zeroes the coefficients of powers that are too low: `table[j, power]` with `power < j`.
fn mask(table: &mut [f64], extent: usize) {
    for (j, row) in table.chunks_mut(extent).enumerate() {
        row[..j].fill(0.0);
    }
}

fn roots_of_unity(count: usize) -> Vec<Complex<f64>> {
    let angle = |k: usize| -2.0 * std::f64::consts::PI * k as f64 / count as f64;
    (0..count).map(|k| Complex::from_polar(1.0, angle(k))).collect()
}

/// `R_{j0}[c, j1] = r_{j0,j1}(y_c)` and `L_c[a, j0] = ℓ_{j0}(z_{c + b a})`.
fn transform(base: usize, left: &[f64], right: &[f64]) -> Result<Monarch<Complex<f64>>, MonarchError> {
    let half = base / 2;
    let order = base * base;
    let roots = roots_of_unity(order);
    let polynomial = |coefficients: &[f64], root: usize| -> Complex<f64> {
        coefficients.iter().enumerate().map(|(power, &value)| roots[root * power % order] * value).sum()
    };
    let mut first = Vec::with_capacity(order * base);
    for j0 in 0..base {
        for c in 0..base {
            for j1 in 0..base {
                first.push(if j1 < half {
                    polynomial(&right[(j0 * half + j1) * half..][..half], base * c)
                } else {
                    Complex::default()
                });
            }
        }
    }
    let mut second = Vec::with_capacity(order * base);
    for c in 0..base {
        for a in 0..base {
            second.extend((0..base).map(|j0| polynomial(&left[j0 * base..][..base], c + base * a)));
        }
    }
    Monarch::new(vec![
        BlockDiagonal::new(base, base, base, first)?,
        BlockDiagonal::new(base, base, base, second)?,
    ])
}

enum Direction {
    Forward,
    Inverse,
}

/// The unscaled Fourier transform of every column of a panel.
fn along_time(panel: &[Complex<f64>], width: usize, direction: Direction) -> Vec<Complex<f64>> {
    if width == 0 {
        return Vec::new();
    }
    let length = panel.len() / width;
    let mut planner = FftPlanner::new();
    let fft = match direction {
        Direction::Forward => planner.plan_fft_forward(length),
        Direction::Inverse => planner.plan_fft_inverse(length),
    };
    let mut result = vec![Complex::default(); panel.len()];
    let mut column = vec![Complex::default(); length];
    for k in 0..width {
        for (value, row) in column.iter_mut().zip(panel.chunks(width)) {
            *value = row[k];
        }
        fft.process(&mut column);
        for (value, row) in column.iter().zip(result.chunks_mut(width)) {
            row[k] = *value;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monarch::square::tests::random;

    fn random_transform(base: usize, seed: u64) -> CausalMonarch {
        let half = base / 2;
        CausalMonarch::new(base, random(base * base, seed), random(base * half * half, seed + 1))
            .expect("fits")
    }

    #[test]
    fn with_monomials_it_is_the_causal_convolution() {
        for base in [2, 4, 8, 16] {
            let transform = CausalMonarch::convolution(base).expect("fits");
            let n = transform.length();
            let (kernel, input) = (random(n, 1), random(n, 2));
            let output = transform.convolve(&kernel, &input, 1).expect("fits");
            for t in 0..n {
                let expected: f64 = (0..=t).map(|s| kernel[t - s] * input[s]).sum();
                assert!((output[t] - expected).abs() < 1e-12 * n as f64, "base {base}, time {t}");
            }
        }
    }

    #[test]
    fn products_are_those_of_the_written_out_polynomials() {
        let base = 4;
        let transform = random_transform(base, 6);
        let n = transform.length();
        // The polynomial of a sequence in powers of z, by explicit multiplication.
        let polynomial = |sequence: &[f64]| -> Vec<f64> {
            let mut sum = vec![0.0; 2 * n];
            for (j, &value) in sequence.iter().enumerate() {
                let (j0, j1) = (j % base, j / base);
                for p in 0..base {
                    for q in 0..base / 2 {
                        sum[p + base * q] += value
                            * transform.left[j0 * base + p]
                            * transform.right[(j0 * (base / 2) + j1) * (base / 2) + q];
                    }
                }
            }
            sum
        };
        let (kernel, input) = (random(n, 1), random(n, 2));
        let (k, u) = (polynomial(&kernel), polynomial(&input));
        let output = transform.convolve(&kernel, &input, 1).expect("fits");
        for t in 0..n {
            let expected: f64 = (0..=t).map(|s| k[s] * u[t - s]).sum();
            assert!((output[t] - expected).abs() < 1e-12, "time {t}");
        }
    }

    #[test]
    fn no_output_depends_on_a_later_input() {
        for base in [4, 8, 16, 32] {
            let transform = random_transform(base, 3);
            let n = transform.length();
            let (kernel, input) = (random(n, 1), random(n, 2));
            let before = transform.convolve(&kernel, &input, 1).expect("fits");
            let scale = before.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
            for t in [1, n / 3, n / 2, n - 1] {
                let mut moved = input.clone();
                moved[t] += 1.0;
                let after = transform.convolve(&kernel, &moved, 1).expect("fits");
                let earlier =
                    before.iter().zip(&after).take(t).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(earlier <= 1e-12 * scale, "base {base}, input {t}: {earlier} of {scale}");
                assert!(before[t..] != after[t..], "the input counts from its own time on");
            }
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        let (base, width) = (4, 2);
        let transform = random_transform(base, 5);
        let n = transform.length();
        let (kernel, input, weights) = (random(n * width, 1), random(n * width, 2), random(n * width, 3));
        let objective = |transform: &CausalMonarch, kernel: &[f64], input: &[f64]| -> f64 {
            transform
                .convolve(kernel, input, width)
                .expect("fits")
                .iter()
                .zip(&weights)
                .map(|(y, w)| y * w)
                .sum()
        };
        let gradients = transform.backward(&kernel, &input, &weights, width).expect("fits");
        let step = 1e-6;
        let check = |name: &str, gradient: &[f64], at: &dyn Fn(usize, f64) -> f64| {
            for (i, &gradient) in gradient.iter().enumerate() {
                let difference = (at(i, step) - at(i, -step)) / (2.0 * step);
                assert!((difference - gradient).abs() < 1e-6 * (1.0 + gradient.abs()), "{name} {i}");
            }
        };
        let moved = |values: &[f64], i: usize, by: f64| {
            let mut moved = values.to_vec();
            moved[i] += by;
            moved
        };
        check("kernel", &gradients.kernel, &|i, by| objective(&transform, &moved(&kernel, i, by), &input));
        check("input", &gradients.input, &|i, by| objective(&transform, &kernel, &moved(&input, i, by)));
        let rebuilt = |left: Vec<f64>, right: Vec<f64>| CausalMonarch::new(base, left, right).expect("fits");
        check("left", &gradients.left, &|i, by| {
            objective(&rebuilt(moved(&transform.left, i, by), transform.right.clone()), &kernel, &input)
        });
        check("right", &gradients.right, &|i, by| {
            objective(&rebuilt(transform.left.clone(), moved(&transform.right, i, by)), &kernel, &input)
        });
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(CausalMonarch::convolution(3).is_err() && CausalMonarch::convolution(0).is_err());
        assert!(CausalMonarch::new(4, vec![0.0; 15], vec![0.0; 16]).is_err());
        assert!(CausalMonarch::convolution(4).expect("fits").convolve(&[0.0; 8], &[0.0; 7], 1).is_err());
    }
}
