//! The mixture covariances of GP-HM along one axis, with derivatives in space and gradients in their parameters.
//!
//! `κ(r) = Σ_q w_q γ(ρ_q r) cos(m_q r)` with `w = exp(w̄)`, `m = 2πμ`, and the envelope `γ(z)`
//! - Matérn-5/2: `(1 + z + z²/3) e^{−z}`, `ρ = √5 exp(s̄)` (Student-t mixture spectrum),
//! - Gaussian: `e^{−z²}`, `ρ = exp(s̄/2)` (Gaussian mixture spectrum);
//!
//! the baselines are the same sums with `m = 0`. For `r ≥ 0` the n-th derivative in `r` is
//! `κ⁽ⁿ⁾ = Σ_q w_q Σ_k C(n,k) ρ^{n−k} γ^{(n−k)}(ρr) ∂_r^k cos(m r)`; in `x` it carries `sign(x − x')ⁿ`. With `g_n = ρⁿ γ⁽ⁿ⁾(ρr)`,
//! `∂g_n/∂s̄ = h (n g_n + r g_{n+1})`, `h = 1` (Matérn) or `½` (Gaussian): the same formula for every order.

use std::f64::consts::TAU;

use faer::Mat;
use pulp::Arch;
use rayon::prelude::*;

use crate::pde::{Basis, Component, options::Kernel};

/// Highest derivative in space that the covariances have here.
pub const HIGHEST_ORDER: usize = 4;

/// Lags between two exact evaluations of the exponential and the trigonometric functions; between them they are continued by
/// their recurrences, whose rounding error grows at most with the square of this number.
const BLOCK: usize = 16;

const BINOMIAL: [[f64; 5]; 5] = [
    [1.0, 0.0, 0.0, 0.0, 0.0],
    [1.0, 1.0, 0.0, 0.0, 0.0],
    [1.0, 2.0, 1.0, 0.0, 0.0],
    [1.0, 3.0, 3.0, 1.0, 0.0],
    [1.0, 4.0, 6.0, 4.0, 1.0],
];

/// A covariance with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureKernel {
    /// Which family.
    pub family: Kernel,
    /// `w̄_q = log w_q`.
    pub log_weights: Vec<f64>,
    /// `s̄_q`.
    pub log_inverse_scales: Vec<f64>,
    /// `μ_q`, cycles per unit length.
    pub frequencies: Vec<f64>,
}

/// Gradient of a scalar in a kernel's parameters, in the order of [`MixtureKernel`]'s fields.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelGradient {
    /// By `w̄`.
    pub log_weights: Vec<f64>,
    /// By `s̄`.
    pub log_inverse_scales: Vec<f64>,
    /// By `μ` (zero for the families without cosines).
    pub frequencies: Vec<f64>,
}

impl MixtureKernel {
    /// The paper's initial state: equal weights 1/Q, unit scales, frequencies equally spaced over `[0, frequency_scale]`.
    pub fn initial(family: Kernel, components: usize, frequency_scale: f64) -> Self {
        let spacing = if components > 1 { frequency_scale / (components - 1) as f64 } else { 0.0 };
        MixtureKernel {
            family,
            log_weights: vec![(1.0 / components as f64).ln(); components],
            log_inverse_scales: vec![0.0; components],
            frequencies: (0..components).map(|q| q as f64 * spacing).collect(),
        }
    }

    /// The number of components Q.
    pub fn components(&self) -> usize {
        self.log_weights.len()
    }

    /// The components in plain units, for reports.
    pub fn spectrum(&self) -> Vec<Component> {
        (0..self.components())
            .map(|q| Component {
                weight: self.log_weights[q].exp(),
                frequency: if self.oscillates() { self.frequencies[q].abs() } else { 0.0 },
                inverse_scale: self.log_inverse_scales[q].exp(),
            })
            .collect()
    }

    /// Whether the family has cosines.
    pub fn oscillates(&self) -> bool {
        matches!(self.family, Kernel::StudentMixture | Kernel::GaussianMixture)
    }

    /// Whether the envelope is Gaussian (Matérn-5/2 otherwise).
    pub fn gaussian(&self) -> bool {
        matches!(self.family, Kernel::GaussianMixture | Kernel::SquaredExponential)
    }

    /// `ρ_q`.
    fn rates(&self) -> Vec<f64> {
        self.log_inverse_scales
            .iter()
            .map(|s| if self.gaussian() { (0.5 * s).exp() } else { 5.0_f64.sqrt() * s.exp() })
            .collect()
    }

    fn angular(&self) -> Vec<f64> {
        if self.oscillates() {
            self.frequencies.iter().map(|mu| TAU * mu).collect()
        } else {
            vec![0.0; self.components()]
        }
    }

    /// `κ⁽ⁿ⁾(r)` for one `r ≥ 0`, without recurrences: the reference for [`MixtureKernel::lags`] and the kernel sections.
    pub fn derivative_at(&self, r: f64, order: usize) -> f64 {
        let (rates, angular) = (self.rates(), self.angular());
        (0..self.components())
            .map(|q| {
                let (sine, cosine) = (angular[q] * r).sin_cos();
                self.log_weights[q].exp()
                    * component(self.gaussian(), rates[q], angular[q], r, cosine, sine, order)
            })
            .sum()
    }

    /// `κ⁽ⁿ⁾(l·step)` for `l = 0..count` and every `n` in `orders`: one vector for each order.
    pub fn lags(&self, step: f64, count: usize, orders: &[usize]) -> Vec<Vec<f64>> {
        let highest = orders.iter().copied().max().unwrap_or(0);
        let weights: Vec<f64> = self.log_weights.iter().map(|w| w.exp()).collect();
        let mut values = vec![vec![0.0; count]; orders.len()];
        let mut sweep = LagSweep::new(self, step, highest);
        for lag in 0..count {
            sweep.advance_to(lag);
            for (value, &order) in values.iter_mut().zip(orders) {
                value[lag] = sweep.weighted_sum(&weights, order);
            }
        }
        values
    }

    /// The gradient in the parameters of `Σ_n Σ_l cotangents[n][l] κ^{(orders[n])}(l·step)`.
    pub fn lag_gradient(&self, step: f64, orders: &[usize], cotangents: &[Vec<f64>]) -> KernelGradient {
        let count = cotangents.first().map_or(0, Vec::len);
        let highest = orders.iter().copied().max().unwrap_or(0);
        let components = self.components();
        let mut gradient = KernelGradient {
            log_weights: vec![0.0; components],
            log_inverse_scales: vec![0.0; components],
            frequencies: vec![0.0; components],
        };
        let half = if self.gaussian() { 0.5 } else { 1.0 };
        let mut sweep = LagSweep::new(self, step, highest + 1);
        for lag in 0..count {
            sweep.advance_to(lag);
            for (cotangent, &order) in cotangents.iter().zip(orders) {
                sweep.accumulate(cotangent[lag], order, half, &mut gradient);
            }
        }
        for q in 0..components {
            let weight = self.log_weights[q].exp();
            gradient.log_weights[q] *= weight;
            gradient.log_inverse_scales[q] *= weight;
            gradient.frequencies[q] *= if self.oscillates() { TAU * weight } else { 0.0 };
        }
        gradient
    }
}

/// `P_n(z)` in `γ⁽ⁿ⁾(z) = P_n(z) e^{−z}` or `P_n(z) e^{−z²}`.
#[inline(always)]
fn envelope_polynomial(gaussian: bool, z: f64, order: usize) -> f64 {
    if gaussian {
        let y = z * z;
        match order {
            0 => 1.0,
            1 => -2.0 * z,
            2 => 4.0 * y - 2.0,
            3 => (12.0 - 8.0 * y) * z,
            4 => (16.0 * y - 48.0) * y + 12.0,
            _ => (-32.0 * y + 160.0) * y * z - 120.0 * z,
        }
    } else {
        match order {
            0 => 1.0 + z + z * z / 3.0,
            1 => -z * (1.0 + z) / 3.0,
            2 => -(1.0 + z - z * z) / 3.0,
            3 => z * (3.0 - z) / 3.0,
            4 => (3.0 - 5.0 * z + z * z) / 3.0,
            _ => (-8.0 + 7.0 * z - z * z) / 3.0,
        }
    }
}

/// `∂_r^k cos(m r)`.
#[inline(always)]
fn cosine_derivative(m: f64, cosine: f64, sine: f64, k: usize) -> f64 {
    match k {
        0 => cosine,
        1 => -m * sine,
        2 => -m * m * cosine,
        3 => m * m * m * sine,
        _ => m * m * m * m * cosine,
    }
}

/// `∂_m ∂_r^k cos(m r)`.
#[inline(always)]
fn cosine_derivative_by_frequency(m: f64, r: f64, cosine: f64, sine: f64, k: usize) -> f64 {
    match k {
        0 => -r * sine,
        1 => -sine - m * r * cosine,
        2 => -2.0 * m * cosine + m * m * r * sine,
        3 => 3.0 * m * m * sine + m * m * m * r * cosine,
        _ => 4.0 * m * m * m * cosine - m * m * m * m * r * sine,
    }
}

/// Leibniz' rule for the product of an envelope (its scaled derivatives given) and the cosine.
#[inline(always)]
fn product_derivative(envelope: &[f64; 6], m: f64, cosine: f64, sine: f64, order: usize) -> f64 {
    let mut sum = 0.0;
    for k in 0..=order {
        sum += BINOMIAL[order][k] * envelope[order - k] * cosine_derivative(m, cosine, sine, k);
    }
    sum
}

/// `∂_r^n γ(ρ r) cos(m r)`, the cosine and sine of `m r` given.
#[inline(always)]
fn component(gaussian: bool, rate: f64, m: f64, r: f64, cosine: f64, sine: f64, order: usize) -> f64 {
    let z = rate * r;
    let exponential = if gaussian { (-z * z).exp() } else { (-z).exp() };
    let envelope: [f64; 6] = std::array::from_fn(|n| {
        if n > order { 0.0 } else { rate.powi(n as i32) * envelope_polynomial(gaussian, z, n) * exponential }
    });
    product_derivative(&envelope, m, cosine, sine, order)
}

/// Walks over the lags `0, h, 2h, ...` holding, for every component, the scaled envelope derivatives and the cosine's.
struct LagSweep {
    gaussian: bool,
    step: f64,
    highest: usize,
    lag: usize,
    arch: Arch,
    rates: Vec<f64>,
    angular: Vec<f64>,
    exponential: Vec<f64>,
    /// What `exponential` is multiplied with on the next step (for the Gaussian it changes itself by `ratio`).
    factor: Vec<f64>,
    ratio: Vec<f64>,
    cosine: Vec<f64>,
    sine: Vec<f64>,
    step_cosine: Vec<f64>,
    step_sine: Vec<f64>,
    /// `envelope[n][q] = ρⁿ γ⁽ⁿ⁾(ρ r)`.
    envelope: Vec<Vec<f64>>,
}

impl LagSweep {
    fn new(kernel: &MixtureKernel, step: f64, highest: usize) -> Self {
        let components = kernel.components();
        let (rates, angular) = (kernel.rates(), kernel.angular());
        LagSweep {
            gaussian: kernel.gaussian(),
            step,
            highest,
            lag: 0,
            arch: Arch::new(),
            ratio: rates
                .iter()
                .map(|rho| if kernel.gaussian() { (-2.0 * (rho * step).powi(2)).exp() } else { 1.0 })
                .collect(),
            step_cosine: angular.iter().map(|m| (m * step).cos()).collect(),
            step_sine: angular.iter().map(|m| (m * step).sin()).collect(),
            rates,
            angular,
            exponential: vec![0.0; components],
            factor: vec![0.0; components],
            cosine: vec![0.0; components],
            sine: vec![0.0; components],
            envelope: vec![vec![0.0; components]; highest + 1],
        }
    }

    /// Lags are visited in order, starting from 0.
    fn advance_to(&mut self, lag: usize) {
        self.lag = lag;
        if lag.is_multiple_of(BLOCK) {
            self.restart()
        } else {
            self.step_once()
        }
        self.fill_envelope();
    }

    fn restart(&mut self) {
        let r = self.lag as f64 * self.step;
        for q in 0..self.rates.len() {
            let (rho, h) = (self.rates[q], self.step);
            (self.exponential[q], self.factor[q]) = if self.gaussian {
                ((-(rho * r).powi(2)).exp(), (-rho * rho * h * (2.0 * r + h)).exp())
            } else {
                ((-rho * r).exp(), (-rho * h).exp())
            };
            (self.sine[q], self.cosine[q]) = (self.angular[q] * r).sin_cos();
        }
    }

    fn step_once(&mut self) {
        let arch = self.arch;
        let (exponential, factor, ratio) = (&mut self.exponential, &mut self.factor, &self.ratio);
        let (cosine, sine) = (&mut self.cosine, &mut self.sine);
        let (step_cosine, step_sine) = (&self.step_cosine, &self.step_sine);
        arch.dispatch(
            #[inline(always)]
            || {
                let n = exponential.len();
                let (e, f, d) = (&mut exponential[..n], &mut factor[..n], &ratio[..n]);
                let (c, s, a, b) = (&mut cosine[..n], &mut sine[..n], &step_cosine[..n], &step_sine[..n]);
                for q in 0..n {
                    e[q] *= f[q];
                    f[q] *= d[q];
                    let rotated = c[q] * a[q] - s[q] * b[q];
                    s[q] = s[q] * a[q] + c[q] * b[q];
                    c[q] = rotated;
                }
            },
        );
    }

    fn fill_envelope(&mut self) {
        let r = self.lag as f64 * self.step;
        let (rates, exponential, gaussian) = (&self.rates, &self.exponential, self.gaussian);
        for (order, envelope) in self.envelope.iter_mut().enumerate() {
            self.arch.dispatch(
                #[inline(always)]
                || match (order, gaussian) {
                    (0, true) => fill::<true, 0>(envelope, rates, exponential, r),
                    (1, true) => fill::<true, 1>(envelope, rates, exponential, r),
                    (2, true) => fill::<true, 2>(envelope, rates, exponential, r),
                    (3, true) => fill::<true, 3>(envelope, rates, exponential, r),
                    (4, true) => fill::<true, 4>(envelope, rates, exponential, r),
                    (_, true) => fill::<true, 5>(envelope, rates, exponential, r),
                    (0, false) => fill::<false, 0>(envelope, rates, exponential, r),
                    (1, false) => fill::<false, 1>(envelope, rates, exponential, r),
                    (2, false) => fill::<false, 2>(envelope, rates, exponential, r),
                    (3, false) => fill::<false, 3>(envelope, rates, exponential, r),
                    (4, false) => fill::<false, 4>(envelope, rates, exponential, r),
                    (_, false) => fill::<false, 5>(envelope, rates, exponential, r),
                },
            );
        }
    }

    /// `Σ_q weights[q] κ_q⁽ⁿ⁾` at the present lag.
    fn weighted_sum(&self, weights: &[f64], order: usize) -> f64 {
        self.arch.dispatch(
            #[inline(always)]
            || match order {
                0 => self.sum::<0>(weights),
                1 => self.sum::<1>(weights),
                2 => self.sum::<2>(weights),
                3 => self.sum::<3>(weights),
                _ => self.sum::<4>(weights),
            },
        )
    }

    #[inline(always)]
    fn sum<const ORDER: usize>(&self, weights: &[f64]) -> f64 {
        let n = weights.len();
        let (c, s, m) = (&self.cosine[..n], &self.sine[..n], &self.angular[..n]);
        let g: [&[f64]; 5] = std::array::from_fn(|k| &self.envelope[k.min(self.highest)][..n]);
        // Four partial sums, so that the reduction vectorises.
        let mut sums = [0.0; 4];
        for q in 0..n {
            let mut value = 0.0;
            for k in 0..=ORDER {
                value += BINOMIAL[ORDER][k] * g[ORDER - k][q] * cosine_derivative(m[q], c[q], s[q], k);
            }
            sums[q % 4] += weights[q] * value;
        }
        sums.iter().sum()
    }

    fn accumulate(&self, cotangent: f64, order: usize, half: f64, gradient: &mut KernelGradient) {
        self.arch.dispatch(
            #[inline(always)]
            || match order {
                0 => self.gradient::<0>(cotangent, half, gradient),
                1 => self.gradient::<1>(cotangent, half, gradient),
                2 => self.gradient::<2>(cotangent, half, gradient),
                3 => self.gradient::<3>(cotangent, half, gradient),
                _ => self.gradient::<4>(cotangent, half, gradient),
            },
        );
    }

    #[inline(always)]
    fn gradient<const ORDER: usize>(&self, cotangent: f64, half: f64, gradient: &mut KernelGradient) {
        let n = self.rates.len();
        let r = self.lag as f64 * self.step;
        let (c, s, m) = (&self.cosine[..n], &self.sine[..n], &self.angular[..n]);
        let g: [&[f64]; 6] = std::array::from_fn(|k| &self.envelope[k.min(self.highest)][..n]);
        let by_weight = &mut gradient.log_weights[..n];
        let by_scale = &mut gradient.log_inverse_scales[..n];
        let by_frequency = &mut gradient.frequencies[..n];
        for q in 0..n {
            let (mut value, mut scale, mut frequency) = (0.0, 0.0, 0.0);
            for k in 0..=ORDER {
                let power = ORDER - k;
                let wave = cosine_derivative(m[q], c[q], s[q], k);
                value += BINOMIAL[ORDER][k] * g[power][q] * wave;
                scale += BINOMIAL[ORDER][k] * (power as f64 * g[power][q] + r * g[power + 1][q]) * wave;
                frequency +=
                    BINOMIAL[ORDER][k] * g[power][q] * cosine_derivative_by_frequency(m[q], r, c[q], s[q], k);
            }
            by_weight[q] += cotangent * value;
            by_scale[q] += cotangent * half * scale;
            by_frequency[q] += cotangent * frequency;
        }
    }
}

#[inline(always)]
fn fill<const GAUSSIAN: bool, const ORDER: usize>(
    envelope: &mut [f64],
    rates: &[f64],
    exponential: &[f64],
    r: f64,
) {
    let n = envelope.len();
    let (rates, exponential) = (&rates[..n], &exponential[..n]);
    for q in 0..n {
        let rho = rates[q];
        let mut power = 1.0;
        for _ in 0..ORDER {
            power *= rho;
        }
        envelope[q] = power * envelope_polynomial(GAUSSIAN, rho * r, ORDER) * exponential[q];
    }
}

/// The functions `x ↦ κ(x − c_j)`: what the solution is a combination of.
#[derive(Clone, Debug)]
pub struct KernelSections {
    /// The covariance.
    pub kernel: MixtureKernel,
    /// The points `c_j`.
    pub centres: Vec<f64>,
}

impl Basis for KernelSections {
    fn len(&self) -> usize {
        self.centres.len()
    }

    /// By the addition theorem from the sines and cosines at points and centres: one exponential an entry and component.
    fn matrix(&self, points: &[f64], order: usize) -> Mat<f64> {
        let kernel = &self.kernel;
        let (rates, angular, gaussian) = (kernel.rates(), kernel.angular(), kernel.gaussian());
        let weights: Vec<f64> = kernel.log_weights.iter().map(|w| w.exp()).collect();
        let waves = |x: f64| -> Vec<(f64, f64)> { angular.iter().map(|m| (m * x).sin_cos()).collect() };
        let at_points: Vec<Vec<(f64, f64)>> = points.iter().map(|&x| waves(x)).collect();
        let columns: Vec<Vec<f64>> = self
            .centres
            .par_iter()
            .map(|&centre| {
                let at_centre = waves(centre);
                let section = |(&x, at_point): (&f64, &Vec<(f64, f64)>)| {
                    let difference = x - centre;
                    let r = difference.abs();
                    let mut sum = 0.0;
                    for q in 0..weights.len() {
                        let ((sx, cx), (sc, cc)) = (at_point[q], at_centre[q]);
                        let cosine = cx * cc + sx * sc;
                        let sine = difference.signum() * (sx * cc - cx * sc);
                        sum += weights[q] * component(gaussian, rates[q], angular[q], r, cosine, sine, order);
                    }
                    if order % 2 == 1 { sum * sign(difference) } else { sum }
                };
                points.iter().zip(&at_points).map(section).collect()
            })
            .collect();
        Mat::from_fn(points.len(), self.centres.len(), |i, j| columns[j][i])
    }
}

/// The sign with `sign(0) = 0`: odd derivatives of an even function vanish at the origin.
pub fn sign(difference: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [Kernel; 4] =
        [Kernel::StudentMixture, Kernel::GaussianMixture, Kernel::Matern, Kernel::SquaredExponential];

    fn example(family: Kernel) -> MixtureKernel {
        MixtureKernel {
            family,
            log_weights: vec![-0.3, 0.2, -1.1],
            log_inverse_scales: vec![0.4, -0.7, 1.1],
            frequencies: vec![0.3, 1.7, 4.1],
        }
    }

    #[test]
    fn recurrences_equal_direct_evaluation() {
        for family in FAMILIES {
            let kernel = example(family);
            let orders = [0, 1, 2, 3, 4];
            let lags = kernel.lags(0.013, 150, &orders);
            for (n, values) in lags.iter().enumerate() {
                let scale = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                for (l, value) in values.iter().enumerate() {
                    let direct = kernel.derivative_at(l as f64 * 0.013, n);
                    assert!((value - direct).abs() < 1e-12 * scale, "{family:?} order {n} lag {l}");
                }
            }
        }
    }

    #[test]
    fn kernel_sections_equal_direct_evaluation() {
        for family in FAMILIES {
            let kernel = example(family);
            let sections = KernelSections { kernel: kernel.clone(), centres: vec![-0.4, 0.0, 0.3, 2.0] };
            let points = [-1.0, 0.0, 0.3, 0.31, 1.7];
            for order in 0..=HIGHEST_ORDER {
                let matrix = sections.matrix(&points, order);
                for (i, x) in points.iter().enumerate() {
                    for (j, c) in sections.centres.iter().enumerate() {
                        let odd = if order % 2 == 1 { sign(x - c) } else { 1.0 };
                        let direct = odd * kernel.derivative_at((x - c).abs(), order);
                        let scale = kernel.derivative_at(0.0, order - order % 2).abs();
                        assert!(
                            (matrix[(i, j)] - direct).abs() < 1e-12 * scale * 30.0,
                            "{family:?} {order} {i} {j}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn each_derivative_is_the_slope_of_the_one_before() {
        for family in FAMILIES {
            let kernel = example(family);
            for order in 0..HIGHEST_ORDER {
                for r in [0.11, 0.5, 1.3] {
                    let h = 1e-5;
                    let slope =
                        (kernel.derivative_at(r + h, order) - kernel.derivative_at(r - h, order)) / (2.0 * h);
                    let derivative = kernel.derivative_at(r, order + 1);
                    assert!(
                        (slope - derivative).abs() < 1e-6 * (1.0 + derivative.abs()),
                        "{family:?} {order} {r}"
                    );
                }
            }
        }
    }

    #[test]
    fn parameter_gradients_equal_finite_differences() {
        for family in FAMILIES {
            let kernel = example(family);
            let orders = [0, 1, 2, 3, 4];
            let (step, count) = (0.05, 20);
            let cotangents: Vec<Vec<f64>> = orders
                .iter()
                .map(|n| (0..count).map(|l| ((l * 7 + n) as f64).sin() / 30f64.powi(*n as i32)).collect())
                .collect();
            let scalar = |kernel: &MixtureKernel| -> f64 {
                kernel
                    .lags(step, count, &orders)
                    .iter()
                    .flatten()
                    .zip(cotangents.iter().flatten())
                    .map(|(a, b)| a * b)
                    .sum()
            };
            let gradient = kernel.lag_gradient(step, &orders, &cotangents);
            let h = 1e-6;
            for q in 0..3 {
                type Field = fn(&mut MixtureKernel) -> &mut Vec<f64>;
                let fields: [(Field, f64); 3] = [
                    (|k| &mut k.log_weights, gradient.log_weights[q]),
                    (|k| &mut k.log_inverse_scales, gradient.log_inverse_scales[q]),
                    (|k| &mut k.frequencies, gradient.frequencies[q]),
                ];
                for (field, analytic) in fields {
                    let (mut up, mut down) = (kernel.clone(), kernel.clone());
                    field(&mut up)[q] += h;
                    field(&mut down)[q] -= h;
                    let numeric = (scalar(&up) - scalar(&down)) / (2.0 * h);
                    assert!(
                        (numeric - analytic).abs() < 1e-5 * (1.0 + analytic.abs()),
                        "{family:?} {q}: {numeric} {analytic}"
                    );
                }
            }
        }
    }
}
