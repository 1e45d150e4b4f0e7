//! Rigorous complex numbers: a rectangle that is certain to contain the exact value.

use super::{Interval, Precision};
use crate::Rational;

/// A rectangle in the complex plane. Real numbers have an imaginary part that is exactly zero, and functions of them
/// are the real functions wherever these are defined. Branches are the principal ones.
#[derive(Clone, Debug)]
pub struct ComplexInterval {
    /// The real part.
    pub real: Interval,
    /// The imaginary part.
    pub imaginary: Interval,
}

impl ComplexInterval {
    /// A real number.
    pub fn from_real(real: Interval) -> Self {
        ComplexInterval { real, imaginary: Interval::zero() }
    }

    /// A rational number.
    pub fn rational(value: &Rational, precision: Precision) -> Option<Self> {
        Interval::rational(value, precision).map(Self::from_real)
    }

    /// The imaginary unit.
    pub fn imaginary_unit() -> Self {
        ComplexInterval { real: Interval::zero(), imaginary: Interval::integer(1) }
    }

    /// The real number, if the imaginary part is exactly zero.
    pub fn as_real(&self) -> Option<&Interval> {
        self.imaginary.is_exactly_zero().then_some(&self.real)
    }

    /// Whether zero lies inside.
    pub fn contains_zero(&self) -> bool {
        self.real.contains_zero() && self.imaginary.contains_zero()
    }

    /// Whether the two have a point in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.real.overlaps(&other.real) && self.imaginary.overlaps(&other.imaginary)
    }

    /// The binary exponent of the larger side.
    pub fn width(&self) -> i64 {
        self.real.width().max(self.imaginary.width())
    }

    /// The binary exponent of the larger part.
    pub fn magnitude(&self) -> i64 {
        self.real.magnitude().max(self.imaginary.magnitude())
    }

    /// `-self`.
    pub fn negate(&self) -> Self {
        ComplexInterval { real: self.real.negate(), imaginary: self.imaginary.negate() }
    }

    /// `self + other`.
    pub fn add(&self, other: &Self, precision: Precision) -> Option<Self> {
        let real = self.real.add(&other.real, precision)?;
        Some(ComplexInterval { real, imaginary: self.imaginary.add(&other.imaginary, precision)? })
    }

    /// `self * other`.
    pub fn multiply(&self, other: &Self, precision: Precision) -> Option<Self> {
        if let (Some(left), Some(right)) = (self.as_real(), other.as_real()) {
            return left.multiply(right, precision).map(Self::from_real);
        }
        let product = |a: &Interval, b: &Interval| a.multiply(b, precision);
        let real = product(&self.real, &other.real)?
            .subtract(&product(&self.imaginary, &other.imaginary)?, precision)?;
        let imaginary =
            product(&self.real, &other.imaginary)?.add(&product(&self.imaginary, &other.real)?, precision)?;
        Some(ComplexInterval { real, imaginary })
    }

    /// `self / other`, or `None` if `other` contains zero.
    pub fn divide(&self, other: &Self, precision: Precision) -> Option<Self> {
        if let Some(real) = other.as_real() {
            let imaginary = if self.imaginary.is_exactly_zero() {
                if real.contains_zero() {
                    return None;
                }
                Interval::zero()
            } else {
                self.imaginary.divide(real, precision)?
            };
            return Some(ComplexInterval { real: self.real.divide(real, precision)?, imaginary });
        }
        let conjugate = ComplexInterval { real: other.real.clone(), imaginary: other.imaginary.negate() };
        let product = self.multiply(&conjugate, precision)?;
        let square = other.square_of_absolute(precision)?;
        let real = product.real.divide(&square, precision)?;
        Some(ComplexInterval { real, imaginary: product.imaginary.divide(&square, precision)? })
    }

    fn square_of_absolute(&self, precision: Precision) -> Option<Interval> {
        self.real.power(2, precision)?.add(&self.imaginary.power(2, precision)?, precision)
    }

    /// The absolute value.
    pub fn absolute(&self, precision: Precision) -> Option<Self> {
        if let Some(real) = self.as_real() {
            return Some(Self::from_real(real.absolute()));
        }
        self.square_of_absolute(precision)?.root(2, precision).map(Self::from_real)
    }

    /// `self ^ exponent` for an integer.
    pub fn integer_power(&self, exponent: i64, precision: Precision) -> Option<Self> {
        if let Some(real) = self.as_real() {
            return real.power(exponent, precision).map(Self::from_real);
        }
        let mut result = Self::from_real(Interval::integer(1));
        let mut square = self.clone();
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                result = result.multiply(&square, precision)?;
            }
            rest >>= 1;
            if rest > 0 {
                square = square.multiply(&square, precision)?;
            }
        }
        if exponent < 0 {
            Self::from_real(Interval::integer(1)).divide(&result, precision)
        } else {
            Some(result)
        }
    }

    /// The principal square root; exact signs are needed on the negative axis.
    pub fn square_root(&self, precision: Precision) -> Option<Self> {
        if let Some(real) = self.as_real() {
            if real.is_negative() {
                let imaginary = real.negate().root(2, precision)?;
                return Some(ComplexInterval { real: Interval::zero(), imaginary });
            }
            return real.root(2, precision).map(Self::from_real);
        }
        self.power(&Self::rational(&Rational::half(), precision)?, precision)
    }

    /// `e ^ self`.
    pub fn exp(&self, precision: Precision) -> Option<Self> {
        let size = self.real.exp(precision)?;
        if self.imaginary.is_exactly_zero() {
            return Some(Self::from_real(size));
        }
        let (sine, cosine) = self.imaginary.sine_and_cosine(precision)?;
        let real = size.multiply(&cosine, precision)?;
        Some(ComplexInterval { real, imaginary: size.multiply(&sine, precision)? })
    }

    /// The principal logarithm.
    pub fn log(&self, precision: Precision) -> Option<Self> {
        if let Some(real) = self.as_real()
            && real.is_positive()
        {
            return real.log(precision).map(Self::from_real);
        }
        let real = self.absolute(precision)?.real.log(precision)?;
        Some(ComplexInterval { real, imaginary: self.argument(precision)? })
    }

    /// The angle in (-π, π], if the rectangle does not lie across the negative axis.
    fn argument(&self, precision: Precision) -> Option<Interval> {
        let ratio = |a: &Interval, b: &Interval| a.divide(b, precision)?.atan(precision);
        if self.real.is_positive() {
            return ratio(&self.imaginary, &self.real);
        }
        let pi = Interval::pi(precision)?;
        let quarter = pi.divide(&Interval::integer(2), precision)?;
        if self.imaginary.is_positive() {
            return quarter.subtract(&ratio(&self.real, &self.imaginary)?, precision);
        }
        if self.imaginary.is_negative() {
            return quarter.negate().subtract(&ratio(&self.real, &self.imaginary)?, precision);
        }
        (self.imaginary.is_exactly_zero() && self.real.is_negative()).then_some(pi)
    }

    /// `self ^ exponent`, the principal value.
    pub fn power(&self, exponent: &Self, precision: Precision) -> Option<Self> {
        if self.real.is_exactly_zero() && self.imaginary.is_exactly_zero() {
            return exponent.as_real()?.is_positive().then(|| Self::from_real(Interval::zero()));
        }
        self.log(precision)?.multiply(exponent, precision)?.exp(precision)
    }

    /// The sine and the cosine, from exponentials off the real axis.
    pub fn sine_and_cosine(&self, precision: Precision) -> Option<(Self, Self)> {
        if let Some(real) = self.as_real() {
            let (sine, cosine) = real.sine_and_cosine(precision)?;
            return Some((Self::from_real(sine), Self::from_real(cosine)));
        }
        let turned = self.multiply(&Self::imaginary_unit(), precision)?;
        let (forth, back) = (turned.exp(precision)?, turned.negate().exp(precision)?);
        let two = Self::from_real(Interval::integer(2));
        let cosine = forth.add(&back, precision)?.divide(&two, precision)?;
        let two_i = two.multiply(&Self::imaginary_unit(), precision)?;
        Some((forth.add(&back.negate(), precision)?.divide(&two_i, precision)?, cosine))
    }
}
