//! The normal distribution, Student's t with whole degrees of freedom, and the fair binomial.

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

/// P(Z <= z) of the standard normal distribution.
pub(super) fn normal_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// The z with P(Z <= z) = `probability`; infinite at 0 and 1.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    if probability <= 0.0 || probability >= 1.0 {
        return if probability <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if probability > 0.5 {
        return -normal_quantile(1.0 - probability);
    }
    // To 4.5e-4 (Abramowitz and Stegun 26.2.23), then by Halley's method, which triples the digits in every step.
    let t = (-2.0 * probability.ln()).sqrt();
    let numerator = 2.515517 + t * (0.802853 + t * 0.010328);
    let denominator = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    let mut z = numerator / denominator - t;
    for _ in 0..3 {
        let density = (-0.5 * z * z).exp() / TAU.sqrt();
        let step = (normal_below(z) - probability) / density;
        z -= step / (1.0 + 0.5 * z * step);
    }
    z
}

/// P(T > t) for t >= 0 of Student's distribution: half of I_x(v/2, 1/2) with x = v / (v + t²).
pub(super) fn student_above(t: f64, freedom: usize) -> f64 {
    let v = freedom as f64;
    let (x, rest) = (v / (v + t * t), t * t / (v + t * t));
    // x^a (1 - x)^b / B(a, b) with a = v/2 and b = 1/2; B = sqrt(pi) / (Γ(a + 1/2) / Γ(a)).
    let factor = (-0.5 * v * (t * t / v).ln_1p()).exp() * rest.sqrt() * gamma_ratio(freedom) / PI.sqrt();
    let (a, b) = (0.5 * v, 0.5);
    if x < (a + 1.0) / (a + b + 2.0) {
        0.5 * factor / a * beta_fraction(x, a, b)
    } else {
        0.5 - 0.5 * factor / b * beta_fraction(rest, b, a)
    }
}

/// The t with P(T <= t) = `probability` >= 1/2 of Student's distribution.
pub(super) fn student_quantile(probability: f64, freedom: usize) -> f64 {
    let tail = 1.0 - probability;
    if tail >= 0.5 || freedom == 0 {
        return if freedom == 0 { f64::INFINITY } else { 0.0 };
    }
    let v = freedom as f64;
    let density = gamma_ratio(freedom) / (v * PI).sqrt();
    let density = |t: f64| density * (-0.5 * (v + 1.0) * (t * t / v).ln_1p()).exp();
    // The tail is convex, so that Newton's method, started left of the root, comes up from the left; the normal quantile
    // lies left of it because t has the heavier tails.
    let mut t = normal_quantile(probability);
    for _ in 0..200 {
        let step = (student_above(t, freedom) - tail) / density(t);
        t += step;
        if step.abs() <= 1e-15 * t.abs() {
            break;
        }
    }
    t
}

/// Γ((v + 1)/2) / Γ(v/2).
fn gamma_ratio(freedom: usize) -> f64 {
    if freedom > 1000 {
        // The asymptotic series in 1 / v.
        let (v, w) = (freedom as f64, 1.0 / freedom as f64);
        let series = 1.0 + w * (-0.25 + w * (0.03125 + w * (5.0 / 128.0 - w * 21.0 / 2048.0)));
        return (0.5 * v).sqrt() * series;
    }
    // The product of two neighbouring ratios is v/2.
    (1..freedom).fold(1.0 / PI.sqrt(), |ratio, v| 0.5 * v as f64 / ratio)
}

/// The continued fraction of the incomplete beta function (NIST 8.17.22), by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let tiny = 1e-300;
    let nonzero = |value: f64| if value.abs() < tiny { tiny } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=1000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / nonzero(1.0 + even * d);
        c = nonzero(1.0 + even / c);
        value *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / nonzero(1.0 + odd * d);
        c = nonzero(1.0 + odd / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// P(X = k) and P(X <= k) of the number of heads among `n` tosses of a fair coin.
pub(super) fn fair_binomial(k: usize, n: usize) -> (f64, f64) {
    if k >= n {
        return (if k == n { 0.5_f64.powi(n.min(1 << 20) as i32) } else { 0.0 }, 1.0);
    }
    // C(n, k) / 2^n with the halvings spread over the product, so that nothing overflows.
    let (mut at, mut halvings) = (1.0_f64, n);
    for i in 1..=k {
        at *= (n - k + i) as f64 / i as f64;
        while at > 1.0 && halvings > 0 {
            at *= 0.5;
            halvings -= 1;
        }
    }
    for _ in 0..halvings.min(2200) {
        at *= 0.5;
    }
    let (mut below, mut term) = (at, at);
    for i in (1..=k).rev() {
        term *= i as f64 / (n - i + 1) as f64;
        below += term;
    }
    (at, below.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-13 * right.abs().max(1e-3), "{left} {right}");
    }

    #[test]
    fn normal_quantiles_invert_probabilities() {
        close(normal_quantile(0.975), 1.959963984540054);
        close(normal_quantile(0.5), 0.0);
        for step in 1..2000 {
            let probability = f64::from(step) / 2000.0;
            close(normal_below(normal_quantile(probability)), probability);
        }
        close(normal_below(normal_quantile(1e-200)) / 1e-200, 1.0);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[test]
    fn student_has_closed_forms_at_one_two_and_four_degrees() {
        for step in 0..200 {
            let t = f64::from(step) * 0.37;
            close(student_above(t, 1), (1.0 / t).atan() / PI);
            // Written without the cancellation of 1 - t / sqrt(2 + t²).
            let root = (2.0 + t * t).sqrt();
            close(student_above(t, 2), 1.0 / (root * (root + t)));
            let s = t / (4.0 + t * t).sqrt();
            assert!((student_above(t, 4) - (0.5 - 0.75 * (s - s * s * s / 3.0))).abs() < 1e-15);
        }
        close(student_quantile(0.975, 1), (PI * 0.475).tan());
        for freedom in [1, 2, 3, 4, 5, 9, 29, 99, 100, 999, 1000, 1001, 1318, 100_000] {
            for probability in [0.6, 0.95, 0.975, 0.995, 1.0 - 1e-6] {
                let tail: f64 = 1.0 - probability;
                close(student_above(student_quantile(probability, freedom), freedom) / tail, 1.0);
            }
        }
        // The series goes on where the product ends.
        close(gamma_ratio(1001) * gamma_ratio(1000), 500.0);
        assert_eq!(student_quantile(0.975, 0), f64::INFINITY);
    }

    #[test]
    fn binomials_are_sums_of_pascals_triangle() {
        let mut row = vec![1.0];
        for n in 0..40 {
            let mut below = 0.0;
            for (k, at) in row.iter().enumerate() {
                below += at;
                let (point, total) = fair_binomial(k, n);
                close(point, *at);
                close(total, below);
            }
            row = (0..=n + 1)
                .map(|k| 0.5 * (if k > 0 { row[k - 1] } else { 0.0 } + row.get(k).unwrap_or(&0.0)))
                .collect();
        }
        // Large ones neither overflow nor vanish in the middle.
        let (point, below) = fair_binomial(500_000, 1_000_000);
        close(below, 0.5 + 0.5 * point);
        assert_eq!(fair_binomial(3, 1_000_000).0, 0.0);
    }
}
