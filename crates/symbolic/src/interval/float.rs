//! Dyadic numbers `mantissa * 2^exponent` of any length, and rounding them outwards.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, Zero};

use crate::Rational;

/// Exponents beyond this are refused: what needs them is too large or too small to be enclosed.
const LARGEST_EXPONENT: i64 = 1 << 40;

/// Where a result that is too long goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Down,
    Up,
}

use Direction::{Down, Up};

/// `mantissa * 2^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Float {
    pub(super) mantissa: BigInt,
    pub(super) exponent: i64,
}

impl Float {
    pub(super) fn zero() -> Self {
        Float { mantissa: BigInt::zero(), exponent: 0 }
    }

    pub(super) fn integer(value: i64) -> Self {
        Float { mantissa: value.into(), exponent: 0 }
    }

    pub(super) fn sign(&self) -> i32 {
        if self.mantissa.is_zero() {
            0
        } else if self.mantissa.is_negative() {
            -1
        } else {
            1
        }
    }

    /// The exponent of the power of two above the absolute value; the smallest number for zero.
    pub(super) fn top(&self) -> i64 {
        if self.mantissa.is_zero() { i64::MIN / 4 } else { self.mantissa.bits() as i64 + self.exponent }
    }

    /// This with at most `bits` bits.
    pub(super) fn rounded(mut self, bits: u64, direction: Direction) -> Option<Self> {
        let length = self.mantissa.bits();
        if length > bits {
            let shift = length - bits;
            // The shift of a `BigInt` rounds towards minus infinity.
            let mut shortened = &self.mantissa >> shift;
            if direction == Up && self.mantissa.trailing_zeros().is_some_and(|zeros| zeros < shift) {
                shortened += 1;
            }
            self.mantissa = shortened;
            self.exponent += shift as i64;
        }
        (self.mantissa.is_zero() || self.top().abs() <= LARGEST_EXPONENT).then_some(self)
    }

    pub(super) fn negated(&self) -> Self {
        Float { mantissa: -&self.mantissa, exponent: self.exponent }
    }

    pub(super) fn add(&self, other: &Float, bits: u64, direction: Direction) -> Option<Self> {
        let (large, small) = if self.top() >= other.top() { (self, other) } else { (other, self) };
        if small.sign() == 0 {
            return large.clone().rounded(bits, direction);
        }
        let gap = large.top() - small.top();
        let stand_in;
        let small = if gap > bits as i64 + 64 {
            // Too small to matter but for the direction: nothing at all, or something a little larger.
            let away = (small.sign() > 0) == (direction == Up);
            let mantissa = if away { BigInt::from(small.sign()) } else { BigInt::zero() };
            stand_in = Float { mantissa, exponent: large.top() - bits as i64 - 32 };
            &stand_in
        } else {
            small
        };
        let exponent = large.exponent.min(small.exponent);
        let mantissa = (&large.mantissa << (large.exponent - exponent) as u64)
            + (&small.mantissa << (small.exponent - exponent) as u64);
        Float { mantissa, exponent }.rounded(bits, direction)
    }

    pub(super) fn multiply(&self, other: &Float, bits: u64, direction: Direction) -> Option<Self> {
        Float { mantissa: &self.mantissa * &other.mantissa, exponent: self.exponent + other.exponent }
            .rounded(bits, direction)
    }

    /// The quotient; `None` by zero.
    pub(super) fn divide(&self, other: &Float, bits: u64, direction: Direction) -> Option<Self> {
        if other.mantissa.is_zero() {
            return None;
        }
        let shift = (bits + 2 + other.mantissa.bits()).saturating_sub(self.mantissa.bits());
        let numerator = &self.mantissa << shift;
        let mut quotient = numerator.div_floor(&other.mantissa);
        if direction == Up && !numerator.is_multiple_of(&other.mantissa) {
            quotient += 1;
        }
        Float { mantissa: quotient, exponent: self.exponent - other.exponent - shift as i64 }
            .rounded(bits, direction)
    }

    /// The `degree`-th root of a number that is not negative.
    pub(super) fn root(&self, degree: u32, bits: u64, direction: Direction) -> Option<Self> {
        if self.sign() < 0 || degree == 0 {
            return None;
        }
        let degree_wide = i64::from(degree);
        // Enough bits below for the root to have `bits`, and an exponent that the degree divides.
        let wanted = (bits as i64 + 2) * degree_wide - self.mantissa.bits() as i64;
        let mut shift = wanted.max(0);
        shift += (self.exponent - shift).rem_euclid(degree_wide);
        let shifted = &self.mantissa << shift as u64;
        let mut root = shifted.nth_root(degree);
        if direction == Up && root.pow(degree) != shifted {
            root += 1;
        }
        Float { mantissa: root, exponent: (self.exponent - shift).div_euclid(degree_wide) }
            .rounded(bits, direction)
    }

    pub(super) fn rational(value: &Rational, bits: u64, direction: Direction) -> Option<Self> {
        let numerator = Float { mantissa: value.numerator(), exponent: 0 };
        let denominator = value.denominator();
        if denominator.is_one() {
            return numerator.rounded(bits, direction);
        }
        numerator.divide(&Float { mantissa: denominator, exponent: 0 }, bits, direction)
    }

    /// `⌊self * 2^scale⌋`, for numbers that are not too large for that.
    pub(super) fn fixed(&self, scale: u64) -> BigInt {
        let shift = self.exponent + scale as i64;
        if shift >= 0 { &self.mantissa << shift as u64 } else { &self.mantissa >> shift.unsigned_abs() }
    }

    pub(super) fn compare(&self, other: &Float) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs != Ordering::Equal || self.sign() == 0 {
            return signs;
        }
        if self.top() != other.top() {
            let sizes = self.top().cmp(&other.top());
            return if self.sign() > 0 { sizes } else { sizes.reverse() };
        }
        // Equal tops: the exponents differ by no more than the lengths of the mantissas.
        let exponent = self.exponent.min(other.exponent);
        let left = &self.mantissa << (self.exponent - exponent) as u64;
        left.cmp(&(&other.mantissa << (other.exponent - exponent) as u64))
    }

    pub(super) fn minimum(self, other: Float) -> Float {
        if self.compare(&other) == Ordering::Greater { other } else { self }
    }

    pub(super) fn maximum(self, other: Float) -> Float {
        if self.compare(&other) == Ordering::Less { other } else { self }
    }

    pub(super) fn pair(lower: Option<Float>, upper: Option<Float>) -> Option<(Float, Float)> {
        Some((lower?, upper?))
    }

    pub(super) fn to_directions(f: impl Fn(Direction) -> Option<Float>) -> Option<(Float, Float)> {
        Self::pair(f(Down), f(Up))
    }
}
