//! Exact rational numbers: machine words as long as they fit, arbitrary precision beyond.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

/// Powers of numbers are written out only while they stay below this many bits; longer ones stay powers.
pub(crate) const POWER_BITS: u64 = 4096;

/// A rational number in lowest terms.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Rational(Representation);

// Each number has one representation: `Large` only holds what does not fit `Small`. Neither part of a `Small` is
// `i64::MIN`, so both can be negated; the denominator is positive.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Representation {
    Small(i64, i64),
    Large(Arc<(BigInt, BigInt)>),
}

use Representation::{Large, Small};

impl Rational {
    pub(crate) const ZERO: Rational = Rational(Small(0, 1));
    pub(crate) const ONE: Rational = Rational(Small(1, 1));

    /// `numerator / denominator`, or `None` if the denominator is zero.
    pub fn new(numerator: impl Into<BigInt>, denominator: impl Into<BigInt>) -> Option<Self> {
        let denominator = denominator.into();
        let numerator = numerator.into();
        match denominator.sign() {
            Sign::NoSign => None,
            Sign::Plus => Some(Self::from_parts(numerator, denominator)),
            Sign::Minus => Some(Self::from_parts(-numerator, -denominator)),
        }
    }

    /// The integer `value`.
    pub fn integer(value: impl Into<BigInt>) -> Self {
        Self::from_lowest_terms(value.into(), BigInt::one())
    }

    pub(crate) const fn small(value: i32) -> Self {
        Rational(Small(value as i64, 1))
    }

    /// One half.
    pub(crate) fn half() -> Self {
        Rational(Small(1, 2))
    }

    /// `numerator / denominator` in lowest terms with a positive denominator.
    fn from_lowest_terms(numerator: BigInt, denominator: BigInt) -> Self {
        match (numerator.to_i64(), denominator.to_i64()) {
            (Some(n), Some(d)) if n != i64::MIN => Rational(Small(n, d)),
            _ => Rational(Large(Arc::new((numerator, denominator)))),
        }
    }

    /// `numerator / denominator` with a positive denominator.
    fn from_parts(numerator: BigInt, denominator: BigInt) -> Self {
        if denominator.is_one() {
            return Self::from_lowest_terms(numerator, denominator);
        }
        let divisor = greatest_common_divisor(&numerator, &denominator);
        Self::from_lowest_terms(numerator / &divisor, denominator / divisor)
    }

    fn from_wide_parts(numerator: i128, denominator: i128) -> Self {
        let word = |n: i128| i64::try_from(n).ok().filter(|&n| n != i64::MIN);
        if let (Some(n), Some(d)) = (word(numerator), word(denominator)) {
            let divisor = if d == 1 { 1 } else { n.gcd(&d) };
            return Rational(Small(n / divisor, d / divisor));
        }
        let divisor = if denominator == 1 { 1 } else { numerator.gcd(&denominator) };
        Self::from_lowest_terms((numerator / divisor).into(), (denominator / divisor).into())
    }

    /// The numerator; it carries the sign.
    pub fn numerator(&self) -> BigInt {
        match &self.0 {
            Small(n, _) => (*n).into(),
            Large(parts) => parts.0.clone(),
        }
    }

    /// The denominator, positive.
    pub fn denominator(&self) -> BigInt {
        match &self.0 {
            Small(_, d) => (*d).into(),
            Large(parts) => parts.1.clone(),
        }
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Small(0, _))
    }

    /// Whether this is one.
    pub fn is_one(&self) -> bool {
        matches!(self.0, Small(1, 1))
    }

    /// Whether the denominator is one.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Small(_, d) => *d == 1,
            Large(parts) => parts.1.is_one(),
        }
    }

    /// Whether this is below zero.
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Small(n, _) => *n < 0,
            Large(parts) => parts.0.is_negative(),
        }
    }

    pub(crate) fn is_even_integer(&self) -> bool {
        match &self.0 {
            Small(n, d) => *d == 1 && n % 2 == 0,
            Large(parts) => parts.1.is_one() && parts.0.is_even(),
        }
    }

    /// The integer value, if it is one and fits.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Small(n, 1) => Some(*n),
            _ => None,
        }
    }

    /// The absolute value.
    pub fn abs(&self) -> Self {
        if self.is_negative() { -self } else { self.clone() }
    }

    /// One over this, or `None` for zero.
    pub fn reciprocal(&self) -> Option<Self> {
        match &self.0 {
            Small(0, _) => None,
            Small(n, d) => Some(Rational(Small(d * n.signum(), n.abs()))),
            Large(parts) => Rational::new(parts.1.clone(), parts.0.clone()),
        }
    }

    /// The largest integer that is not greater.
    pub fn floor(&self) -> Self {
        match &self.0 {
            Small(n, d) => Rational(Small(n.div_euclid(*d), 1)),
            Large(parts) => Self::integer(parts.0.div_floor(&parts.1)),
        }
    }

    /// The length in bits of the longer of numerator and denominator.
    pub(crate) fn bits(&self) -> u64 {
        match &self.0 {
            Small(n, d) => u64::from(64 - n.unsigned_abs().max(d.unsigned_abs()).leading_zeros()),
            Large(parts) => parts.0.bits().max(parts.1.bits()),
        }
    }

    /// This to an integer power, or `None` if that is undefined (`0^-1`), too long to write out, or `exponent` is not
    /// an integer.
    pub fn checked_power(&self, exponent: &Rational) -> Option<Self> {
        if !exponent.is_integer() || (self.is_zero() && exponent.is_negative()) {
            return None;
        }
        if self.is_one() || exponent.is_zero() {
            return Some(Self::ONE);
        }
        if self.is_zero() {
            return Some(Self::ZERO);
        }
        if self == &Self::small(-1) {
            return Some(if exponent.is_even_integer() { Self::ONE } else { Self::small(-1) });
        }
        let exponent = exponent.to_i64()?;
        let count = u32::try_from(exponent.unsigned_abs()).ok()?;
        if count == 1 {
            return if exponent < 0 { self.reciprocal() } else { Some(self.clone()) };
        }
        // A power of a b-bit number has more than (b - 1) n bits, so this refuses before any work is done.
        if (self.bits() - 1) * u64::from(count) > POWER_BITS {
            return None;
        }
        let base = if exponent < 0 { self.reciprocal()? } else { self.clone() };
        let (n, d) = (base.numerator(), base.denominator());
        Some(Self::from_lowest_terms(Pow::pow(n, count), Pow::pow(d, count)))
    }

    /// The sum of many numbers, added in pairs so that long denominators meet only near the end.
    pub(crate) fn sum(numbers: Vec<Rational>) -> Rational {
        reduce_in_pairs(numbers, |a, b| a + b).unwrap_or(Self::ZERO)
    }

    /// The product of many numbers, multiplied in pairs.
    pub(crate) fn product(numbers: Vec<Rational>) -> Rational {
        reduce_in_pairs(numbers, |a, b| a * b).unwrap_or(Self::ONE)
    }

    /// The largest positive number of which all these are integer multiples; `None` if there are none.
    pub(crate) fn common_content(numbers: Vec<Rational>) -> Option<Rational> {
        let content = |a: &Rational, b: &Rational| match (&a.0, &b.0) {
            (Small(n, 1), Small(m, 1)) => Rational(Small(n.gcd(m), 1)),
            _ => {
                let numerator = greatest_common_divisor(&a.numerator(), &b.numerator());
                let (c, d) = (a.denominator(), b.denominator());
                let common = greatest_common_divisor(&c, &d);
                Self::from_lowest_terms(numerator, c / common * d)
            }
        };
        reduce_in_pairs(numbers, content).map(|c| c.abs())
    }

    /// The nearest `f64`; infinite or zero where it is out of range.
    pub fn to_f64(&self) -> f64 {
        const EXACT: i64 = 1 << 53;
        if let Small(n, d) = self.0
            && n.abs() <= EXACT
            && d <= EXACT
        {
            return n as f64 / d as f64;
        }
        let (n, d) = (self.numerator(), self.denominator());
        // The quotient to 64 or 65 bits, its last bit set if anything remains, rounds as the exact one does.
        let shift = 64 - (n.bits() as i64 - d.bits() as i64);
        let magnitude = n.magnitude();
        let (quotient, remainder) = if shift >= 0 {
            (magnitude << shift as u64).div_rem(d.magnitude())
        } else {
            magnitude.div_rem(&(d.magnitude() << shift.unsigned_abs()))
        };
        let sticky = u128::from(!remainder.is_zero());
        let rounded = (quotient.to_u128().unwrap_or(u128::MAX) | sticky) as f64;
        // In two steps, as a single factor may overflow where the result does not.
        let exponent = (-shift).clamp(-2200, 2200) as i32;
        let value = rounded * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
        if n.is_negative() { -value } else { value }
    }
}

/// By Euclid's steps while the lengths differ, where the binary algorithm is quadratic in the longer one.
fn greatest_common_divisor(a: &BigInt, b: &BigInt) -> BigInt {
    let (mut longer, mut shorter) =
        if a.bits() >= b.bits() { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
    while longer.bits() > shorter.bits() + 64 && !shorter.is_zero() {
        let remainder = &longer % &shorter;
        longer = std::mem::replace(&mut shorter, remainder);
    }
    longer.gcd(&shorter)
}

fn reduce_in_pairs(
    mut numbers: Vec<Rational>,
    combine: impl Fn(&Rational, &Rational) -> Rational,
) -> Option<Rational> {
    while numbers.len() > 1 {
        numbers = numbers
            .chunks(2)
            .map(|pair| if let [a, b] = pair { combine(a, b) } else { pair[0].clone() })
            .collect();
    }
    numbers.pop()
}

impl Add for &Rational {
    type Output = Rational;

    fn add(self, other: &Rational) -> Rational {
        match (&self.0, &other.0) {
            (Small(a, b), Small(c, d)) => {
                let (a, b, c, d) = (i128::from(*a), i128::from(*b), i128::from(*c), i128::from(*d));
                Rational::from_wide_parts(a * d + c * b, b * d)
            }
            _ => {
                let (b, d) = (self.denominator(), other.denominator());
                if b.is_one() && d.is_one() {
                    return Rational::integer(self.numerator() + other.numerator());
                }
                Rational::from_parts(self.numerator() * &d + other.numerator() * &b, b * d)
            }
        }
    }
}

impl Sub for &Rational {
    type Output = Rational;

    fn sub(self, other: &Rational) -> Rational {
        self + &-other
    }
}

impl Mul for &Rational {
    type Output = Rational;

    fn mul(self, other: &Rational) -> Rational {
        match (&self.0, &other.0) {
            (Small(a, b), Small(c, d)) => {
                Rational::from_wide_parts(i128::from(*a) * i128::from(*c), i128::from(*b) * i128::from(*d))
            }
            _ => Rational::from_parts(
                self.numerator() * other.numerator(),
                self.denominator() * other.denominator(),
            ),
        }
    }
}

impl Neg for &Rational {
    type Output = Rational;

    fn neg(self) -> Rational {
        match &self.0 {
            Small(n, d) => Rational(Small(-n, *d)),
            Large(parts) => Rational::from_lowest_terms(-&parts.0, parts.1.clone()),
        }
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Small(a, b), Small(c, d)) => {
                (i128::from(*a) * i128::from(*d)).cmp(&(i128::from(*c) * i128::from(*b)))
            }
            _ => (self.numerator() * other.denominator()).cmp(&(other.numerator() * self.denominator())),
        }
    }
}

impl From<i64> for Rational {
    fn from(value: i64) -> Self {
        Rational::integer(value)
    }
}

impl From<i32> for Rational {
    fn from(value: i32) -> Self {
        Rational::small(value)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Small(n, 1) => write!(f, "{n}"),
            Small(n, d) => write!(f, "{n}/{d}"),
            Large(parts) if parts.1.is_one() => parts.0.fmt(f),
            Large(parts) => write!(f, "{}/{}", parts.0, parts.1),
        }
    }
}

impl fmt::Debug for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
