//! Rigorous real numbers: an interval with dyadic ends that is certain to contain the exact value.
//!
//! Every operation rounds outwards to a working precision, so that two disjoint intervals prove two values different.
//! `None` stands for what cannot be enclosed: division by an interval around zero, a function outside its domain, or
//! a number whose binary exponent has more than 40 bits. [`ComplexInterval`] is the same for complex numbers.
//!
//! The elementary functions are in `elementary`: argument reduction and Taylor series in fixed point, with an error
//! that is bounded in the comments and added to the interval.

mod complex;
mod elementary;
mod float;

use std::cmp::Ordering;

pub use complex::ComplexInterval;
use float::{Direction, Float};

use crate::Rational;

/// A working precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    bits: u64,
}

impl Precision {
    /// Enough bits for about this many decimal digits.
    pub fn digits(digits: u32) -> Self {
        Precision { bits: u64::from(digits) * 10 / 3 + 16 }
    }

    /// This many bits.
    pub fn bits(bits: u64) -> Self {
        Precision { bits: bits.max(16) }
    }
}

/// A closed interval of real numbers with finite ends.
#[derive(Clone, Debug)]
pub struct Interval {
    lower: Float,
    upper: Float,
}

impl Interval {
    fn from_pair((lower, upper): (Float, Float)) -> Self {
        Interval { lower, upper }
    }

    fn point(value: Float) -> Self {
        Interval { lower: value.clone(), upper: value }
    }

    /// Zero, exactly.
    pub fn zero() -> Self {
        Self::point(Float::zero())
    }

    /// An integer, exactly.
    pub fn integer(value: i64) -> Self {
        Self::point(Float::integer(value))
    }

    /// An enclosure of a rational number.
    pub fn rational(value: &Rational, precision: Precision) -> Option<Self> {
        Float::to_directions(|direction| Float::rational(value, precision.bits, direction))
            .map(Self::from_pair)
    }

    /// Whether this is the number zero and nothing else.
    pub fn is_exactly_zero(&self) -> bool {
        self.lower.sign() == 0 && self.upper.sign() == 0
    }

    /// Whether zero lies inside.
    pub fn contains_zero(&self) -> bool {
        self.lower.sign() <= 0 && self.upper.sign() >= 0
    }

    /// Whether all of it is above zero.
    pub fn is_positive(&self) -> bool {
        self.lower.sign() > 0
    }

    /// Whether all of it is below zero.
    pub fn is_negative(&self) -> bool {
        self.upper.sign() < 0
    }

    /// Whether the two have a point in common.
    pub fn overlaps(&self, other: &Interval) -> bool {
        self.lower.compare(&other.upper) != Ordering::Greater
            && other.lower.compare(&self.upper) != Ordering::Greater
    }

    /// Whether all of this lies below all of `other`.
    pub fn is_below(&self, other: &Interval) -> bool {
        self.upper.compare(&other.lower) == Ordering::Less
    }

    /// The binary exponent of the largest absolute value in it; very small for zero.
    pub fn magnitude(&self) -> i64 {
        self.lower.top().max(self.upper.top())
    }

    /// The binary exponent of an upper bound of the width; very small for a point.
    pub fn width(&self) -> i64 {
        let width = self.upper.add(&self.lower.negated(), 16, Direction::Up);
        width.map_or(i64::MAX, |width| width.top())
    }

    /// `-self`.
    pub fn negate(&self) -> Self {
        Interval { lower: self.upper.negated(), upper: self.lower.negated() }
    }

    /// `self + other`.
    pub fn add(&self, other: &Interval, precision: Precision) -> Option<Self> {
        let lower = self.lower.add(&other.lower, precision.bits, Direction::Down);
        Float::pair(lower, self.upper.add(&other.upper, precision.bits, Direction::Up)).map(Self::from_pair)
    }

    /// `self - other`.
    pub fn subtract(&self, other: &Interval, precision: Precision) -> Option<Self> {
        self.add(&other.negate(), precision)
    }

    /// `self * other`.
    pub fn multiply(&self, other: &Interval, precision: Precision) -> Option<Self> {
        let corners = [
            (&self.lower, &other.lower),
            (&self.lower, &other.upper),
            (&self.upper, &other.lower),
            (&self.upper, &other.upper),
        ];
        let mut ends: Option<(Float, Float)> = None;
        for (left, right) in corners {
            let lower = left.multiply(right, precision.bits, Direction::Down)?;
            let upper = left.multiply(right, precision.bits, Direction::Up)?;
            ends = Some(match ends {
                None => (lower, upper),
                Some((least, greatest)) => (least.minimum(lower), greatest.maximum(upper)),
            });
        }
        ends.map(Self::from_pair)
    }

    /// `self / other`, or `None` if `other` contains zero.
    pub fn divide(&self, other: &Interval, precision: Precision) -> Option<Self> {
        if other.contains_zero() {
            return None;
        }
        let one = Float::integer(1);
        let lower = one.divide(&other.upper, precision.bits + 8, Direction::Down);
        let upper = one.divide(&other.lower, precision.bits + 8, Direction::Up);
        let reciprocal = Self::from_pair(Float::pair(lower, upper)?);
        self.multiply(&reciprocal, precision)
    }

    /// `self ^ exponent`.
    pub fn power(&self, exponent: i64, precision: Precision) -> Option<Self> {
        let mut result = Self::integer(1);
        let mut square = self.clone();
        let mut rest = exponent.unsigned_abs();
        let inside = Precision::bits(precision.bits + 64);
        while rest > 0 {
            if rest & 1 == 1 {
                result = result.multiply(&square, inside)?;
            }
            rest >>= 1;
            if rest > 0 {
                square = square.multiply(&square, inside)?;
                // A square is not negative, which the product of an interval with itself does not know.
                if square.lower.sign() < 0 {
                    square.lower = Float::zero();
                }
            }
        }
        if exponent < 0 { Self::integer(1).divide(&result, precision) } else { Some(result) }
    }

    /// The absolute value.
    pub fn absolute(&self) -> Self {
        if self.lower.sign() >= 0 {
            self.clone()
        } else if self.upper.sign() <= 0 {
            self.negate()
        } else {
            let upper = self.lower.negated().maximum(self.upper.clone());
            Interval { lower: Float::zero(), upper }
        }
    }

    /// The real `degree`-th root; of negative numbers for odd degrees only.
    pub fn root(&self, degree: u32, precision: Precision) -> Option<Self> {
        if self.lower.sign() < 0 {
            return if self.upper.sign() > 0 || degree.is_multiple_of(2) {
                None
            } else {
                Some(self.negate().root(degree, precision)?.negate())
            };
        }
        let lower = self.lower.root(degree, precision.bits, Direction::Down);
        Float::pair(lower, self.upper.root(degree, precision.bits, Direction::Up)).map(Self::from_pair)
    }

    /// The largest integer below, if it is the same for all of the interval.
    pub fn floor(&self) -> Option<Self> {
        if self.magnitude() > 4096 {
            return None;
        }
        let (lower, upper) = (self.lower.fixed(0), self.upper.fixed(0));
        (lower == upper).then(|| Self::point(Float { mantissa: lower, exponent: 0 }))
    }

    /// The nearest `f64` of the middle, for messages.
    pub fn to_f64(&self) -> f64 {
        let exponent = self.upper.exponent;
        let value = Rational::integer(self.upper.mantissa.clone()).to_f64();
        value * 2f64.powi(exponent.clamp(-4000, 4000) as i32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(value: &Interval, expected: f64) -> bool {
        (value.to_f64() - expected).abs() <= 1e-13 * expected.abs().max(1.0) && value.width() < -90
    }

    fn at(numerator: i64, denominator: i64, precision: Precision) -> Interval {
        Interval::rational(&Rational::new(numerator, denominator).unwrap(), precision).unwrap()
    }

    #[test]
    fn elementary_functions_agree_with_doubles() {
        let precision = Precision::digits(40);
        for (n, d) in [(1, 3), (-7, 5), (22, 7), (100, 1), (-1, 1000), (5, 1), (-12, 1)] {
            let (x, value) = (at(n, d, precision), n as f64 / d as f64);
            assert!(near(&x.sin(precision).unwrap(), value.sin()), "sin {value}");
            assert!(near(&x.cos(precision).unwrap(), value.cos()), "cos {value}");
            assert!(near(&x.atan(precision).unwrap(), value.atan()), "atan {value}");
            let exponential = x.exp(precision).unwrap();
            assert!((exponential.to_f64() / value.exp() - 1.0).abs() < 1e-13, "exp {value}");
            let size = x.absolute();
            assert!(near(&size.log(precision).unwrap(), value.abs().ln()), "log {value}");
            assert!(near(&size.root(3, precision).unwrap(), value.abs().cbrt()), "root {value}");
        }
        assert!(near(&Interval::pi(precision).unwrap(), std::f64::consts::PI));
        assert!(near(&at(1, 2, precision).asin(precision).unwrap(), 0.5f64.asin()));
    }

    #[test]
    fn known_digits_of_pi_and_e_lie_inside() {
        let precision = Precision::digits(50);
        // The digits after these are 9 and 7.
        let scale = format!("1{}", "0".repeat(30));
        for (enclosure, digits) in [
            (Interval::pi(precision).unwrap(), "3141592653589793238462643383279"),
            (Interval::integer(1).exp(precision).unwrap(), "2718281828459045235360287471352"),
        ] {
            let digits: num_bigint::BigInt = digits.parse().unwrap();
            let scale: num_bigint::BigInt = scale.parse().unwrap();
            let lower = Rational::new(digits.clone(), scale.clone()).unwrap();
            let upper = Rational::new(digits + 1, scale).unwrap();
            assert!(Interval::rational(&lower, precision).unwrap().is_below(&enclosure));
            assert!(enclosure.is_below(&Interval::rational(&upper, precision).unwrap()));
        }
    }

    #[test]
    fn what_cannot_be_enclosed_is_none() {
        let precision = Precision::digits(30);
        assert!(Interval::integer(1).divide(&Interval::zero(), precision).is_none());
        assert!(Interval::integer(-2).root(2, precision).is_none());
        assert!(Interval::zero().log(precision).is_none());
        let huge = Interval::integer(10).power(1_000_000_000, precision).unwrap();
        assert!(huge.magnitude() > 3_000_000_000 && huge.exp(precision).is_none());
        assert!(huge.power(1_000_000_000, precision).is_none());
    }

    proptest! {
        // Rational operations enclose the exact value, at a precision so low that everything is rounded.
        #[test]
        fn rational_values_lie_inside(a in -1000i64..1000, b in 1i64..1000, c in -1000i64..1000, d in 1i64..1000) {
            let (low, high) = (Precision::bits(16), Precision::bits(400));
            let (x, y) = (Rational::new(a, b).unwrap(), Rational::new(c, d).unwrap());
            let (left, right) = (at(a, b, low), at(c, d, low));
            let inside = |enclosure: Interval, exact: &Rational| {
                let exact = Interval::rational(exact, high).unwrap();
                !exact.is_below(&enclosure) && !enclosure.is_below(&exact)
            };
            prop_assert!(inside(left.add(&right, low).unwrap(), &(&x + &y)));
            prop_assert!(inside(left.multiply(&right, low).unwrap(), &(&x * &y)));
            if let Some(reciprocal) = y.reciprocal() {
                prop_assert!(inside(left.divide(&right, low).unwrap(), &(&x * &reciprocal)));
            }
        }

        // Identities hold between enclosures, and the enclosures are narrow.
        #[test]
        fn identities_hold(a in -3000i64..3000, b in 1i64..1000) {
            let precision = Precision::digits(30);
            let x = at(a, b, precision);
            let (sine, cosine) = (x.sin(precision).unwrap(), x.cos(precision).unwrap());
            let one = sine.power(2, precision).unwrap().add(&cosine.power(2, precision).unwrap(), precision).unwrap();
            prop_assert!(one.overlaps(&Interval::integer(1)) && one.width() < -90);
            let same = x.exp(precision).and_then(|e| e.log(precision));
            prop_assert!(same.is_none_or(|same| same.overlaps(&x) && same.width() < -80));
            let square = x.absolute().root(2, precision).unwrap().power(2, precision).unwrap();
            prop_assert!(square.overlaps(&x.absolute()));
            if a.abs() < b {
                let same = x.asin(precision).unwrap().sin(precision).unwrap();
                prop_assert!(same.overlaps(&x));
            }
        }
    }
}
