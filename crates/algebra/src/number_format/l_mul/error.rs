//! The error of L-Mul for uniform mantissas, in closed form and by enumeration, in units of 2^{x_e + y_e}.
//!
//! Operands of m bits are truncated to k bits, x = x_k + x_r. The errors are exact product minus approximation:
//! ```text
//! f1 = 2 E[x_r] (1 + E[x_k]) + E[x_r]²      of the exact product of the truncated operands
//! f2 = (1 − 2^{−k})² / 4 − 2^{−l(k)}        what the formula adds to it
//! E[x_r] = (2^{−k} − 2^{−m}) / 2,           E[x_k] = (1 − 2^{−k}) / 2
//! ```

use super::correction_exponent;

/// f1: the mean error of the exact product of operands truncated from `m` to `k` bits.
pub fn truncation_error(k: u32, m: u32) -> f64 {
    let rest = (power(k) - power(m)) / 2.0;
    let kept = (1.0 - power(k)) / 2.0;
    2.0 * rest * (1.0 + kept) + rest * rest
}

/// f2: what [`super::Form::Formula`] adds to the mean error for `k`-bit mantissas.
pub fn formula_error(k: u32) -> f64 {
    (1.0 - power(k)).powi(2) / 4.0 - power(correction_exponent(k))
}

/// Moments of an error over a set of operand pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ErrorMoments {
    /// Mean of exact minus approximate, in units of 2^{x_e + y_e}.
    pub mean: f64,
    /// Mean of its square.
    pub mean_square: f64,
    /// Mean of |exact − approximate| / exact.
    pub mean_relative: f64,
    /// Maximum of |exact − approximate| / exact.
    pub largest_relative: f64,
}

/// Errors over all pairs of `m`-bit mantissas truncated to `k` bits: of the exact product of the truncated operands, of the
/// formula, and of the integer form.
pub fn enumerate(k: u32, m: u32) -> [ErrorMoments; 3] {
    let count = 1u32 << m;
    let unit = power(correction_exponent(k));
    let truncate = |i: u32| f64::from(i >> (m - k.min(m)) << (m - k.min(m))) * power(m);
    moments(
        count,
        |i| f64::from(i) * power(m),
        |i, j| {
            let (x, y) = (truncate(i), truncate(j));
            [(1.0 + x) * (1.0 + y), 1.0 + x + y + unit, integer_form(x + y + unit)]
        },
    )
}

/// The error of the integer form with the correction 2^{−l} (none for `None`) for continuous mantissas, over the midpoints of
/// 2^`m` intervals.
pub fn offset_sweep(l: Option<u32>, m: u32) -> ErrorMoments {
    let midpoint = |i: u32| (f64::from(i) + 0.5) * power(m);
    let unit = l.map_or(0.0, power);
    moments(1 << m, midpoint, |i, j| [integer_form(midpoint(i) + midpoint(j) + unit)])[0]
}

/// The significand that the integer form gives for the sum s of mantissas and correction: 1 + s, and where s carries into the
/// exponent, 2 s and 4 (s − 1).
fn integer_form(s: f64) -> f64 {
    if s < 1.0 {
        1.0 + s
    } else if s < 2.0 {
        2.0 * s
    } else {
        4.0 * (s - 1.0)
    }
}

fn moments<const N: usize>(
    count: u32,
    mantissa: impl Fn(u32) -> f64,
    approximations: impl Fn(u32, u32) -> [f64; N],
) -> [ErrorMoments; N] {
    let mut moments = [ErrorMoments::default(); N];
    for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
        let exact = (1.0 + mantissa(i)) * (1.0 + mantissa(j));
        for (moments, approximation) in moments.iter_mut().zip(approximations(i, j)) {
            let error = exact - approximation;
            moments.mean += error;
            moments.mean_square += error * error;
            moments.mean_relative += error.abs() / exact;
            moments.largest_relative = moments.largest_relative.max(error.abs() / exact);
        }
    }
    let pairs = f64::from(count) * f64::from(count);
    for moments in &mut moments {
        moments.mean /= pairs;
        moments.mean_square /= pairs;
        moments.mean_relative /= pairs;
    }
    moments
}

/// 2^{−exponent}.
fn power(exponent: u32) -> f64 {
    0.5f64.powi(exponent as i32)
}

#[cfg(test)]
mod tests {
    use super::super::super::float8::Overflow;
    use super::super::super::random::Random;
    use super::super::{Form, LMul};
    use super::*;

    #[test]
    fn closed_forms_equal_the_enumeration() {
        for k in 1..=8 {
            let [truncated, formula, _] = enumerate(k, 10);
            assert!((truncated.mean - truncation_error(k, 10)).abs() < 1e-12);
            assert!((formula.mean - truncated.mean - formula_error(k)).abs() < 1e-12);
            let limit = 0.25 + power(k) - power(correction_exponent(k));
            assert!((truncation_error(k, 60) + formula_error(k) - limit).abs() < 1e-12);
        }
        assert!(
            (truncation_error(3, 60) - 0.184).abs() < 5e-4 && (truncation_error(2, 60) - 0.359).abs() < 5e-4
        );
    }

    /// Equal to the printed value, half a unit of its last digit allowed.
    fn printed(value: f64, expected: f64, digits: i32) -> bool {
        (value - expected).abs() <= 0.5 * 10f64.powi(-digits) * (1.0 + 1e-6)
    }

    #[test]
    fn the_error_table_is_reproduced() {
        // k; mean and mean square of exact, formula, integer; mean and largest relative error (in percent) of the integer form.
        // The figures are those of a separate program that evaluates the piecewise definition with arrays.
        let rows = [
            (2, [0.35791, 0.15479], [0.24854, 0.13112], [0.09229, 0.03693], [6.892, 25.0]),
            (3, [0.18213, 0.03987], [0.24854, 0.11551], [0.08447, 0.01737], [4.793, 17.846]),
            (4, [0.09131, 0.01001], [0.18604, 0.08444], [-0.01318, 0.00652], [2.972, 12.5]),
            (6, [0.02191, 0.00058], [0.20166, 0.08928], [0.01048, 0.00475], [2.548, 9.110]),
            (10, [0.0, 0.0], [0.18701, 0.0835], [-0.01235, 0.00497], [2.655, 7.288]),
        ];
        for (k, exact, formula, integer, relative) in rows {
            let found = enumerate(k, 10);
            for (moments, expected) in found.iter().zip([exact, formula, integer]) {
                assert!(printed(moments.mean, expected[0], 5), "k = {k}: {moments:?}");
                assert!(printed(moments.mean_square, expected[1], 5), "k = {k}: {moments:?}");
            }
            assert!(printed(100.0 * found[2].mean_relative, relative[0], 3), "k = {k}: {:?}", found[2]);
            assert!(printed(100.0 * found[2].largest_relative, relative[1], 3), "k = {k}: {:?}", found[2]);
        }
    }

    #[test]
    fn the_offset_sweep_is_reproduced() {
        let rows = [
            (None, 0.083, 3.85, 11.1),
            (Some(5), 0.036, 2.65, 9.2),
            (Some(4), -0.012, 2.65, 7.3),
            (Some(3), -0.112, 5.1, 12.5),
        ];
        for (l, mean, relative, largest) in rows {
            let found = offset_sweep(l, 11);
            assert!(printed(found.mean, mean, 3), "{l:?}: {found:?}");
            assert!(
                printed(100.0 * found.mean_relative, relative, if relative == 5.1 { 1 } else { 2 }),
                "{l:?}: {found:?}"
            );
            assert!(printed(100.0 * found.largest_relative, largest, 1), "{l:?}: {found:?}");
        }
    }

    #[test]
    fn gaussian_operands_have_the_stated_error() {
        let multiplication = LMul::new(Form::Integer, Overflow::Infinity);
        let mut random = Random::new(51);
        let (mut bias, mut relative, mut largest) = (0.0, 0.0, 0.0f64);
        let count = 400_000;
        for _ in 0..count {
            let (x, y) = (random.normal() as f32, random.normal() as f32);
            let error = f64::from(multiplication.multiply(x, y)) / (f64::from(x) * f64::from(y)) - 1.0;
            bias += error;
            relative += error.abs();
            largest = largest.max(error.abs());
        }
        let mean = |sum: f64| 100.0 * sum / f64::from(count);
        assert!((mean(bias) - 0.44).abs() < 0.03, "{}", mean(bias));
        assert!((mean(relative) - 2.69).abs() < 0.03, "{}", mean(relative));
        assert!(largest < 0.0730, "{largest}");
    }
}
