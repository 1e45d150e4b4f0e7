//! The elementary functions of intervals.
//!
//! Each is computed at a point in fixed point with `scale` bits after the point, of which about 60 are spare. One step
//! of a series errs by at most two units in the last place, and a series has fewer than 2^16 steps, so the error is
//! below 2^18 units; what the argument reductions multiply it with is stated at each. The error is added on both sides.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::float::{Direction, Float};
use super::{Interval, Precision};

/// The longest binary exponent of an argument of `exp`.
const LONGEST_EXPONENT: i64 = 40;
/// The longest binary exponent of an argument of a trigonometric function.
const LONGEST_ANGLE: i64 = 4096;
/// The largest error of a series, as a power of two of the last place.
const SERIES_ERROR: u64 = 18;

impl Interval {
    /// The circle's constant.
    pub fn pi(precision: Precision) -> Option<Self> {
        let scale = precision.bits + 32;
        from_fixed(&fixed_pi(scale), scale, SERIES_ERROR + 6, precision)
    }

    /// `e ^ self`.
    pub fn exp(&self, precision: Precision) -> Option<Self> {
        let (lower, upper) = (point_exp(&self.lower, precision)?, point_exp(&self.upper, precision)?);
        Some(Interval { lower: lower.lower, upper: upper.upper })
    }

    /// The natural logarithm; `None` unless all of the interval is positive.
    pub fn log(&self, precision: Precision) -> Option<Self> {
        let (lower, upper) = (point_log(&self.lower, precision)?, point_log(&self.upper, precision)?);
        Some(Interval { lower: lower.lower, upper: upper.upper })
    }

    /// The sine.
    pub fn sin(&self, precision: Precision) -> Option<Self> {
        self.sine_and_cosine(precision).map(|(sine, _)| sine)
    }

    /// The cosine.
    pub fn cos(&self, precision: Precision) -> Option<Self> {
        self.sine_and_cosine(precision).map(|(_, cosine)| cosine)
    }

    /// Sine and cosine at the lower end, widened by the width: neither changes faster than its argument.
    pub fn sine_and_cosine(&self, precision: Precision) -> Option<(Self, Self)> {
        if self.is_exactly_zero() {
            return Some((Self::zero(), Self::integer(1)));
        }
        let (sine, cosine) = point_sine_and_cosine(&self.lower, precision)?;
        let width = self.upper.add(&self.lower.negated(), 32, Direction::Up)?;
        let around = Interval { lower: width.negated(), upper: width };
        let within = |value: Interval| -> Option<Interval> {
            let wide = value.add(&around, precision)?;
            let (lower, upper) =
                (wide.lower.maximum(Float::integer(-1)), wide.upper.minimum(Float::integer(1)));
            Some(Interval { lower, upper })
        };
        Some((within(sine)?, within(cosine)?))
    }

    /// The inverse tangent, in (-π/2, π/2).
    pub fn atan(&self, precision: Precision) -> Option<Self> {
        let (lower, upper) = (point_atan(&self.lower, precision)?, point_atan(&self.upper, precision)?);
        Some(Interval { lower: lower.lower, upper: upper.upper })
    }

    /// The inverse sine, in [-π/2, π/2], of what of the interval lies in [-1, 1]; `None` if nothing does.
    pub fn asin(&self, precision: Precision) -> Option<Self> {
        let one = Float::integer(1);
        if self.lower.compare(&one) == Ordering::Greater
            || self.upper.compare(&one.negated()) == Ordering::Less
        {
            return None;
        }
        let lower = point_asin(&self.lower.clone().maximum(one.negated()), precision)?;
        let upper = point_asin(&self.upper.clone().minimum(one), precision)?;
        Some(Interval { lower: lower.lower, upper: upper.upper })
    }
}

/// `value / 2^scale` with an error of at most `2^error` units in the last place.
fn from_fixed(value: &BigInt, scale: u64, error: u64, precision: Precision) -> Option<Interval> {
    let error = BigInt::one() << error;
    let exponent = -(scale as i64);
    let lower = Float { mantissa: value - &error, exponent }.rounded(precision.bits, Direction::Down);
    let upper = Float { mantissa: value + error, exponent }.rounded(precision.bits, Direction::Up);
    Float::pair(lower, upper).map(Interval::from_pair)
}

/// `Σ ±x^(2k+1)/(2k+1)` for `x = 1/n`: the inverse tangent (alternating) or inverse hyperbolic tangent.
fn fixed_inverse(n: u32, alternating: bool, scale: u64) -> BigInt {
    let square = BigInt::from(u64::from(n) * u64::from(n));
    let mut power = (BigInt::one() << scale) / n;
    let mut sum = power.clone();
    let mut k = 1u32;
    while !power.is_zero() {
        power /= &square;
        let term = &power / (2 * k + 1);
        if alternating && k % 2 == 1 {
            sum -= term;
        } else {
            sum += term;
        }
        k += 1;
    }
    sum
}

/// π = 16 atan(1/5) - 4 atan(1/239) (Machin); the error of the series is multiplied by at most 20.
fn fixed_pi(scale: u64) -> BigInt {
    fixed_inverse(5, true, scale) * 16 - fixed_inverse(239, true, scale) * 4
}

/// log 2 = 18 artanh(1/26) - 2 artanh(1/4801) + 8 artanh(1/8749); the error is multiplied by at most 28.
fn fixed_log_two(scale: u64) -> BigInt {
    fixed_inverse(26, false, scale) * 18 - fixed_inverse(4801, false, scale) * 2
        + fixed_inverse(8749, false, scale) * 8
}

/// `exp(x) = 2^k exp(r / 2^8)^(2^8)` with `x = k log 2 + r`.
fn point_exp(x: &Float, precision: Precision) -> Option<Interval> {
    if x.sign() == 0 {
        return Some(Interval::integer(1));
    }
    if x.top() > LONGEST_EXPONENT {
        return None;
    }
    const HALVINGS: u64 = 8;
    let size = x.top().max(0) as u64;
    // The error of log 2, 2^23 units, counts |k| < 2^(size + 1) times.
    let scale = precision.bits + 64 + size;
    let fixed = x.fixed(scale);
    let log_two = fixed_log_two(scale);
    let halves: BigInt = ((&fixed << 1u32) + &log_two).div_floor_by(&(&log_two << 1u32));
    let k = halves.to_i64()?;
    let reduced = (fixed - halves * log_two) >> HALVINGS;
    let mut term = BigInt::one() << scale;
    let mut sum = term.clone();
    for n in 1u32.. {
        term = ((term * &reduced) >> scale) / n;
        if term.is_zero() || term == -BigInt::one() {
            break;
        }
        sum += &term;
    }
    // The value lies in [0.7, 1.5] all the way; a squaring at most triples the error.
    for _ in 0..HALVINGS {
        sum = (&sum * &sum) >> scale;
    }
    let error = SERIES_ERROR + 24 + size;
    let mut result = from_fixed(&sum, scale, error, precision)?;
    result.lower.exponent += k;
    result.upper.exponent += k;
    Some(result)
}

/// `log(m 2^e) = e log 2 + 2 artanh((m - 1) / (m + 1))` with m in [1/2, 1).
fn point_log(x: &Float, precision: Precision) -> Option<Interval> {
    if x.sign() <= 0 {
        return None;
    }
    if x.compare(&Float::integer(1)) == Ordering::Equal {
        return Some(Interval::zero());
    }
    let size = 64 - x.top().unsigned_abs().leading_zeros();
    let scale = precision.bits + 48 + u64::from(size);
    let mut exponent = x.top();
    let mut mantissa = Float { mantissa: x.mantissa.clone(), exponent: x.exponent - exponent }.fixed(scale);
    let one = BigInt::one() << scale;
    // From [1/2, 1) to [3/4, 3/2).
    if &mantissa * 4 < &one * 3 {
        mantissa <<= 1u32;
        exponent -= 1;
    }
    let ratio = ((&mantissa - &one) << scale) / (&mantissa + &one);
    let square = (&ratio * &ratio) >> scale;
    let mut power = ratio.clone();
    let mut sum = ratio;
    for k in 1u32.. {
        power = (power * &square) >> scale;
        let term = &power / (2 * k + 1);
        if term.is_zero() {
            break;
        }
        sum += term;
    }
    let value = (sum << 1u32) + fixed_log_two(scale) * exponent;
    from_fixed(&value, scale, SERIES_ERROR + 8 + u64::from(size), precision)
}

fn point_sine_and_cosine(x: &Float, precision: Precision) -> Option<(Interval, Interval)> {
    if x.top() > LONGEST_ANGLE {
        return None;
    }
    let size = x.top().max(0) as u64;
    // The error of π, 2^23 units, counts for every quarter turn: fewer than 2^size of them.
    let scale = precision.bits + 48 + size;
    let fixed = x.fixed(scale);
    let quarter = fixed_pi(scale) >> 1u32;
    let turns: BigInt = ((&fixed << 1u32) + &quarter).div_floor_by(&(&quarter << 1u32));
    let reduced = fixed - &turns * quarter;
    let square = (&reduced * &reduced) >> scale;
    // The two series step by step: 1, r, -r²/2!, -r³/3!, ...
    let series = |first: BigInt, start: u32| {
        let mut term = first;
        let mut sum = term.clone();
        let mut n = start;
        loop {
            term = -(((term * &square) >> scale) / (u64::from(n) * u64::from(n + 1)));
            if term.abs() <= BigInt::one() {
                break sum;
            }
            sum += &term;
            n += 2;
        }
    };
    let cosine = series(BigInt::one() << scale, 1);
    let sine = series(reduced, 2);
    let quadrant = (((&turns % 4i32) + 4i32) % 4i32).to_u8()?;
    let (sine, cosine) = match quadrant {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    };
    let enclosed = |value: &BigInt| from_fixed(value, scale, SERIES_ERROR + 8 + size, precision);
    Some((enclosed(&sine)?, enclosed(&cosine)?))
}

/// `atan(x) = π/2 - atan(1/x)` for large x, and `atan(x) = 2 atan(x / (1 + √(1 + x²)))` twice.
fn point_atan(x: &Float, precision: Precision) -> Option<Interval> {
    match x.sign() {
        0 => return Some(Interval::zero()),
        -1 => return Some(point_atan(&x.negated(), precision)?.negate()),
        _ => {}
    }
    let scale = precision.bits + 48;
    let one = BigInt::one() << scale;
    let is_large = x.compare(&Float::integer(1)) == Ordering::Greater;
    let mut fixed = if is_large {
        Float::integer(1).divide(x, scale + 8, Direction::Down)?.fixed(scale)
    } else {
        x.fixed(scale)
    };
    for _ in 0..2 {
        let root = ((&one << scale) + &fixed * &fixed).sqrt();
        fixed = (fixed << scale) / (&one + root);
    }
    let square = (&fixed * &fixed) >> scale;
    let mut power = fixed.clone();
    let mut sum = fixed;
    for k in 1u32.. {
        power = -((power * &square) >> scale);
        let term = &power / (2 * k + 1);
        if term.is_zero() {
            break;
        }
        sum += term;
    }
    sum <<= 2u32;
    if is_large {
        sum = (fixed_pi(scale) >> 1u32) - sum;
    }
    from_fixed(&sum, scale, SERIES_ERROR + 8, precision)
}

/// `asin(x) = atan(x / √(1 - x²))`, with the ends exactly.
fn point_asin(x: &Float, precision: Precision) -> Option<Interval> {
    let one = Interval::integer(1);
    let value = Interval::point(x.clone());
    let inside = Precision::bits(precision.bits * 2);
    let rest = one.subtract(&value.multiply(&value, inside)?, inside)?;
    if rest.is_exactly_zero() {
        let quarter = Interval::pi(precision)?.divide(&Interval::integer(2), precision)?;
        return Some(if x.sign() < 0 { quarter.negate() } else { quarter });
    }
    value.divide(&rest.root(2, inside)?, inside)?.atan(precision)
}

trait DivideDown {
    /// The quotient rounded towards minus infinity.
    fn div_floor_by(&self, divisor: &BigInt) -> BigInt;
}

impl DivideDown for BigInt {
    fn div_floor_by(&self, divisor: &BigInt) -> BigInt {
        num_integer::Integer::div_floor(self, divisor)
    }
}
