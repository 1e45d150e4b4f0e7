//! L-Mul: a floating-point multiplication replaced by one integer addition.
//!
//! Luo and Sun, "Addition is All You Need for Energy-efficient Language Models" (2024). For x = (1 + x_m) 2^{x_e} and y likewise
//! ```text
//! L-Mul(x, y) = (1 + x_m + y_m + 2^{−l}) 2^{x_e + y_e},   l = M for M ≤ 3, 3 for M = 4, 4 for M > 4 mantissa bits,
//! ```
//! the sign by exclusive or. [`Form::Formula`] is that. [`Form::Integer`] adds the magnitude fields of the bit patterns and
//! subtracts a constant, `X + Y − ((β << M) − (1 << (M − l)))`: what hardware would do, and the more accurate one, since the
//! carry of x_m + y_m + 2^{−l} ≥ 1 runs into the exponent. One is not neutral (1 · 1 = 1.0625 in f32).
//!
//! On a processor with a multiplier this is a simulation: it is slower than multiplication, not faster.
//!
//! The paper says nothing about the edges of the formats. Here:
//!
//! | operands or result | product |
//! |---|---|
//! | NaN, or infinity with zero or a subnormal | NaN |
//! | infinity with another number | infinity |
//! | zero or a subnormal with a finite number | zero |
//! | below the smallest normal number | zero |
//! | above the largest number | by [`Overflow`] |
//!
//! each with the exclusive or of the signs. Where the formula needs one bit more than the mantissa has (after its carry), it is
//! rounded to nearest, ties to even.

mod cost;
mod error;
mod gradient;
mod product;

use std::marker::PhantomData;

pub use cost::{CostReport, Energy, GateCount, LayerCost, MatrixProduct};
pub use error::{ErrorMoments, enumerate, formula_error, offset_sweep, truncation_error};
pub use gradient::{GradientRule, gradients, product_gradients};
pub use product::{Accumulation, Scratch, Side, attention, matrix_product};

use super::float8::{BinaryFloat, Overflow};
use super::instruction_set::multiversion;
use super::{FormatError, InstructionSet, expect_length};

/// Which of the two definitions is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The paper's formula, where 1 + x_m + y_m + 2^{−l} is an ordinary number.
    Formula,
    /// One addition of the bit patterns.
    #[default]
    Integer,
}

/// The exponent l of the correction 2^{−l} for mantissas of `bits` bits.
pub const fn correction_exponent(bits: u32) -> u32 {
    match bits {
        0..=3 => bits,
        4 => 3,
        _ => 4,
    }
}

/// The multiplication of one format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LMul<T> {
    form: Form,
    /// Mantissa bits kept of an f32 operand.
    kept: u32,
    fields: Fields,
    format: PhantomData<T>,
}

/// What the bit arithmetic needs to know of a format. "Field" is a bit pattern without the sign.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fields {
    sign: u32,
    mantissa_bits: u32,
    /// What is subtracted from the sum of two fields.
    offset: u32,
    /// 2^{−l} in units of the last place.
    correction: u32,
    /// The smallest field that is not treated as zero.
    smallest: u32,
    largest: u32,
    /// What a result above the largest becomes.
    beyond: u32,
    /// Infinity, or the NaN of a format without infinities: fields from here on are special.
    special: u32,
    /// Fields above are NaN.
    infinity: u32,
    nan: u32,
}

impl<T: BinaryFloat> LMul<T> {
    /// The multiplication of the format T.
    pub fn new(form: Form, overflow: Overflow) -> Self {
        let (e, m) = (T::EXPONENT_BITS, T::MANTISSA_BITS);
        let bias = (1u32 << (e - 1)) - 1;
        let correction = 1 << (m - correction_exponent(m));
        let fields = Fields {
            sign: 1 << (e + m),
            mantissa_bits: m,
            offset: offset(form, bias << m, correction),
            correction,
            smallest: 1 << m,
            largest: T::LARGEST,
            beyond: if overflow == Overflow::Saturate { T::LARGEST } else { T::OVERFLOWED },
            special: T::OVERFLOWED,
            infinity: if T::OVERFLOWED == T::NAN { T::LARGEST } else { T::OVERFLOWED },
            nan: T::NAN,
        };
        LMul { form, kept: m, fields, format: PhantomData }
    }

    /// The product of two numbers.
    pub fn multiply(&self, x: T, y: T) -> T {
        T::from_pattern(match self.form {
            Form::Formula => {
                self.fields.multiply::<true, true>(self.round(x.pattern()), self.round(y.pattern()))
            }
            Form::Integer => {
                self.fields.multiply::<false, true>(self.round(x.pattern()), self.round(y.pattern()))
            }
        })
    }

    /// The products of two slices, element by element.
    ///
    /// # Errors
    /// [`FormatError::Length`] if the lengths differ.
    pub fn multiply_slices(
        &self,
        x: &[T],
        y: &[T],
        product: &mut [T],
        set: InstructionSet,
    ) -> Result<(), FormatError> {
        expect_length("the second factor", y, x.len())?;
        expect_length("the product", product, x.len())?;
        let this = *self;
        match self.form {
            Form::Formula => multiversion!(
                set, [T: BinaryFloat, const F: bool] [T, true], multiply_loop,
                (this: LMul<T>, x: &[T], y: &[T], product: &mut [T])
            ),
            Form::Integer => multiversion!(
                set, [T: BinaryFloat, const F: bool] [T, false], multiply_loop,
                (this: LMul<T>, x: &[T], y: &[T], product: &mut [T])
            ),
        }
        Ok(())
    }

    /// The same multiplication of numbers that are kept as f32: operands are numbers of T, results stay inside the range
    /// of T. With [`Form::Integer`] results are those of T; with [`Form::Formula`] they keep the bit that T would round away.
    pub fn in_f32(&self) -> LMul<f32> {
        let shift = 23 - T::MANTISSA_BITS;
        // A field of T becomes a field of f32 by moving the mantissa up and the bias from T's to 127.
        let rebias = (127 + 1 - (1u32 << (T::EXPONENT_BITS - 1))) << 23;
        let single = LMul::<f32>::new(self.form, Overflow::Infinity).fields;
        let saturates = self.fields.beyond == self.fields.largest;
        let largest = (self.fields.largest << shift) + rebias;
        let finite_only = self.fields.infinity == self.fields.largest;
        let fields = Fields {
            offset: offset(self.form, 127 << 23, self.fields.correction << shift),
            correction: self.fields.correction << shift,
            smallest: (self.fields.smallest << shift) + rebias,
            largest,
            beyond: match (saturates, finite_only) {
                (true, _) => largest,
                (false, true) => single.nan,
                (false, false) => single.special,
            },
            ..single
        };
        LMul { form: self.form, kept: self.kept.min(23), fields, format: PhantomData }
    }

    #[inline(always)]
    fn round(&self, pattern: u32) -> u32 {
        if T::MANTISSA_BITS == 23 && self.kept < 23 { round_mantissa(pattern, self.kept) } else { pattern }
    }
}

impl LMul<f32> {
    /// The multiplication of f32 numbers whose mantissas are rounded to `bits` bits (nearest, ties to even) and multiplied
    /// with the correction of that many bits.
    ///
    /// # Errors
    /// [`FormatError::Bits`] outside 1 to 23.
    pub fn rounded(bits: u32, form: Form, overflow: Overflow) -> Result<Self, FormatError> {
        if !(1..=23).contains(&bits) {
            return Err(FormatError::Bits { found: bits, largest: 23 });
        }
        let mut this = LMul::new(form, overflow);
        this.kept = bits;
        this.fields.correction = 1 << (23 - correction_exponent(bits));
        this.fields.offset = offset(form, 127 << 23, this.fields.correction);
        Ok(this)
    }
}

/// The formula adds its correction with the mantissas, the integer form subtracts less.
const fn offset(form: Form, bias: u32, correction: u32) -> u32 {
    match form {
        Form::Formula => bias,
        Form::Integer => bias - correction,
    }
}

impl Fields {
    /// The pattern of the product. `SPECIAL = false` may be chosen for operands that are all finite.
    #[inline(always)]
    fn multiply<const FORMULA: bool, const SPECIAL: bool>(&self, x: u32, y: u32) -> u32 {
        let sign = (x ^ y) & self.sign;
        let (x, y) = (x & (self.sign - 1), y & (self.sign - 1));
        // Below 2^32 for f32, since each field is below 2^31.
        let sum = if FORMULA { self.formula_sum(x, y) } else { x + y };
        let zero = (x < self.smallest) | (y < self.smallest);
        let field =
            if sum > self.offset + self.largest { self.beyond } else { sum.wrapping_sub(self.offset) };
        let field = if zero | (sum < self.offset + self.smallest) { 0 } else { field };
        if !SPECIAL {
            return sign | field;
        }
        let larger = x.max(y);
        let special = if (larger > self.infinity) | zero { self.nan } else { self.infinity };
        sign | if larger >= self.special { special } else { field }
    }

    /// The exponent fields and the mantissa of (1 + x_m + y_m + 2^{−l}), normalised, still with twice the bias.
    #[inline(always)]
    fn formula_sum(&self, x: u32, y: u32) -> u32 {
        let one = 1 << self.mantissa_bits;
        let mantissa = one - 1;
        let exponents = (x & !mantissa) + (y & !mantissa);
        let significand = one + (x & mantissa) + (y & mantissa) + self.correction;
        let half = significand >> 1;
        let rounded = half + (significand & half & 1);
        // From 2 on: halve, and add one to the exponent, whose unit is the hidden bit that is not subtracted then.
        exponents + if significand >= 2 * one { rounded } else { significand - one }
    }
}

#[inline(always)]
fn multiply_loop<T: BinaryFloat, const FORMULA: bool>(this: LMul<T>, x: &[T], y: &[T], product: &mut [T]) {
    for ((product, x), y) in product.iter_mut().zip(x).zip(y) {
        let (x, y) = (this.round(x.pattern()), this.round(y.pattern()));
        *product = T::from_pattern(this.fields.multiply::<FORMULA, true>(x, y));
    }
}

/// The f32 pattern with its mantissa rounded to `bits` (1 to 23) bits, ties to even. NaN stays NaN.
#[inline(always)]
fn round_mantissa(pattern: u32, bits: u32) -> u32 {
    let dropped = (1u32 << (23 - bits)) - 1;
    let last = pattern >> (23 - bits) & 1;
    // Adding half a unit less one, and one more if the last bit is odd, carries exactly when the nearest is above.
    let rounded =
        (pattern & 0x7FFF_FFFF).wrapping_add((dropped >> 1) + if dropped > 0 { last } else { 0 }) & !dropped;
    let field = if pattern & 0x7FFF_FFFF > 0x7F80_0000 { 0x7FC0_0000 } else { rounded };
    field | pattern & 0x8000_0000
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::super::float8::{E4M3, E5M2};
    use super::super::random::Random;
    use super::*;

    /// The product by definition: operands are taken apart into numbers, the two forms are written as real functions of the
    /// mantissas, and the result is rounded to the format's grid of values.
    fn oracle<T: BinaryFloat>(x: T, y: T, form: Form, overflow: Overflow) -> Option<f64> {
        let smallest = 2f64.powi(2 - (1 << (T::EXPONENT_BITS - 1)));
        let (a, b) = (x.real(), y.real());
        let sign = if a.is_sign_negative() == b.is_sign_negative() { 1.0 } else { -1.0 };
        let (a, b) = (a.abs(), b.abs());
        if a.is_nan() || b.is_nan() {
            return None;
        }
        let zero = a < smallest || b < smallest;
        if a.is_infinite() || b.is_infinite() {
            return if zero { None } else { Some(sign * f64::INFINITY) };
        }
        if zero {
            return Some(sign * 0.0);
        }
        let parts = |v: f64| {
            let exponent = (v.to_bits() >> 52) as i32 - 1023;
            (v / 2f64.powi(exponent) - 1.0, exponent)
        };
        let ((x_m, x_e), (y_m, y_e)) = (parts(a), parts(b));
        let unit = 2f64.powi(-(correction_exponent(T::MANTISSA_BITS) as i32));
        let s = x_m + y_m + unit;
        let significand = match form {
            Form::Formula => 1.0 + s,
            Form::Integer if s < 1.0 => 1.0 + s,
            Form::Integer if s < 2.0 => 2.0 * s,
            Form::Integer => 4.0 * (s - 1.0),
        };
        // At most one bit is too many; halving it and rounding with the unit in the last place at the result.
        let exponent = x_e + y_e + i32::from(significand >= 2.0) + i32::from(significand >= 4.0);
        let last = 2f64.powi(exponent - T::MANTISSA_BITS as i32);
        let value = significand * 2f64.powi(x_e + y_e);
        let rounded = (value / last).round_ties_even() * last;
        let largest = T::from_pattern(T::LARGEST).real();
        if rounded < smallest {
            Some(sign * 0.0)
        } else if rounded <= largest {
            Some(sign * rounded)
        } else if overflow == Overflow::Saturate {
            Some(sign * largest)
        } else if T::OVERFLOWED == T::NAN {
            None
        } else {
            Some(sign * f64::INFINITY)
        }
    }

    fn agrees<T: BinaryFloat>(product: T, expected: Option<f64>) -> bool {
        match expected {
            None => product.real().is_nan(),
            Some(value) => {
                product.real() == value && product.real().is_sign_negative() == value.is_sign_negative()
            }
        }
    }

    /// All instruction sets and the single product against the oracle.
    fn check<T: BinaryFloat + Default>(x: &[T], y: &[T]) {
        for form in [Form::Formula, Form::Integer] {
            for overflow in [Overflow::Infinity, Overflow::Saturate] {
                let multiplication = LMul::<T>::new(form, overflow);
                let expected: Vec<Option<f64>> =
                    x.iter().zip(y).map(|(&x, &y)| oracle(x, y, form, overflow)).collect();
                for ((&x, &y), &expected) in x.iter().zip(y).zip(&expected) {
                    let product = multiplication.multiply(x, y);
                    assert!(agrees(product, expected), "{x:?} {y:?} {product:?} {expected:?} {form:?}");
                }
                for set in InstructionSet::available() {
                    let mut product = vec![T::default(); x.len()];
                    multiplication.multiply_slices(x, y, &mut product, set).unwrap();
                    let wrong = product.iter().zip(&expected).position(|(&p, &e)| !agrees(p, e));
                    assert_eq!(wrong.map(|i| (x[i], y[i], product[i])), None, "{form:?} {set}");
                }
            }
        }
    }

    #[test]
    fn all_pairs_of_8_bit_floats_agree_with_the_oracle() {
        let pairs = || (0..=255u32).flat_map(|x| (0..=255).map(move |y| (x, y)));
        fn floats<T: BinaryFloat>(patterns: impl Iterator<Item = u32>) -> Vec<T> {
            patterns.map(T::from_pattern).collect()
        }
        check::<E4M3>(&floats(pairs().map(|p| p.0)), &floats(pairs().map(|p| p.1)));
        check::<E5M2>(&floats(pairs().map(|p| p.0)), &floats(pairs().map(|p| p.1)));
    }

    #[test]
    fn random_pairs_of_wider_floats_agree_with_the_oracle() {
        let mut random = Random::new(21);
        let mut draw =
            |count: usize| -> Vec<u32> { (0..count).map(|_| (random.bits() >> 32) as u32).collect() };
        let (a, b) = (draw(100_000), draw(100_000));
        let to = |patterns: &[u32]| -> (Vec<f32>, Vec<bf16>, Vec<f16>) {
            (
                patterns.iter().map(|&p| f32::from_bits(p)).collect(),
                patterns.iter().map(|&p| bf16::from_bits(p as u16)).collect(),
                patterns.iter().map(|&p| f16::from_bits(p as u16)).collect(),
            )
        };
        let (a, b) = (to(&a), to(&b));
        check(&a.0, &b.0);
        check(&a.1, &b.1);
        check(&a.2, &b.2);
    }

    #[test]
    fn edges_are_as_documented() {
        let edges =
            [0, 1, 0x7F_FFFF, 0x80_0000, 0x3F80_0000, 0x7F7F_FFFF, 0x7F80_0000, 0x7FC0_0000, 0x7F80_0001];
        let both = edges.map(|e| [e, e | 0x8000_0000]).concat();
        let pairs: Vec<(u32, u32)> = both.iter().flat_map(|&x| both.iter().map(move |&y| (x, y))).collect();
        let (x, y): (Vec<f32>, Vec<f32>) =
            pairs.iter().map(|&(x, y)| (f32::from_bits(x), f32::from_bits(y))).unzip();
        check(&x, &y);
        let multiply = |x: f32, y: f32| LMul::new(Form::Integer, Overflow::Infinity).multiply(x, y);
        assert_eq!(multiply(-0.0, 3.0).to_bits(), 0x8000_0000);
        assert_eq!(multiply(-1e-40, -3.0).to_bits(), 0);
        assert!(multiply(f32::INFINITY, 1e-40).is_nan());
        assert_eq!(multiply(f32::INFINITY, -2.0), f32::NEG_INFINITY);
        assert_eq!(multiply(1e30, 1e30), f32::INFINITY);
        assert_eq!(multiply(1e-30, -1e-30).to_bits(), 0x8000_0000);
        assert_eq!(LMul::new(Form::Integer, Overflow::Saturate).multiply(1e30, -1e30), f32::MIN);
    }

    #[test]
    #[ignore = "a minute: 10^8 pairs of bf16, both forms, both overflows, all instruction sets"]
    fn a_hundred_million_pairs_of_bf16_agree_with_the_oracle() {
        use rayon::prelude::*;
        // Every 40th pattern, among them zero, infinity and NaN, with all patterns.
        let y: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let x: Vec<u16> = (0..=u16::MAX).step_by(40).collect();
        assert!(x.len() * y.len() > 100_000_000);
        x.into_par_iter().for_each(|x| check(&vec![bf16::from_bits(x); y.len()], &y));
    }

    #[test]
    fn offsets_are_those_of_the_formats() {
        fn offset<T: BinaryFloat>() -> u32 {
            LMul::<T>::new(Form::Integer, Overflow::Infinity).fields.offset
        }
        assert_eq!(offset::<f32>(), 0x3F78_0000);
        assert_eq!(offset::<bf16>(), 0x3F78);
        assert_eq!(offset::<f16>(), 0x3BC0);
        assert_eq!((offset::<E4M3>(), offset::<E5M2>()), (0x37, 0x3B));
        let exponents: Vec<u32> = (1..=7).map(correction_exponent).collect();
        assert_eq!(exponents, [1, 2, 3, 3, 4, 4, 4]);
        for (bits, l) in (1..=7).zip(exponents) {
            let rounded = LMul::rounded(bits, Form::Integer, Overflow::Infinity).unwrap();
            assert_eq!(rounded.fields.offset, 0x3F80_0000 - (1 << (23 - l)));
        }
    }

    #[test]
    fn golden_values() {
        let integer = LMul::new(Form::Integer, Overflow::Infinity);
        let pairs = [
            (1.0, 1.0, 1.0625),
            (2.0, 3.0, 6.25),
            (1.5, 1.5, 2.125),
            (1.75, 1.75, 3.125),
            (-1.5, 2.0, -3.125),
        ];
        for (x, y, product) in pairs {
            assert_eq!(integer.multiply(x, y), product);
            assert_eq!(integer.multiply(y, x), product);
        }
        assert_eq!(LMul::new(Form::Formula, Overflow::Infinity).multiply(1.75, 1.75), 2.5625f32);
    }

    #[test]
    fn a_format_kept_in_f32_multiplies_alike() {
        fn check<T: BinaryFloat>(overflow: Overflow) {
            let native = LMul::<T>::new(Form::Integer, overflow);
            let single = native.in_f32();
            let patterns = 1 << (1 + T::EXPONENT_BITS + T::MANTISSA_BITS);
            let step = if patterns > 256 { 251 } else { 1 };
            for x in (0..patterns).step_by(step).map(T::from_pattern) {
                for y in (0..patterns).step_by(step).map(T::from_pattern) {
                    let (a, b) =
                        (native.multiply(x, y).real(), single.multiply(x.real() as f32, y.real() as f32));
                    assert!(a == f64::from(b) || a.is_nan() && b.is_nan(), "{x:?} {y:?} {a} {b}");
                }
            }
        }
        for overflow in [Overflow::Infinity, Overflow::Saturate] {
            check::<E4M3>(overflow);
            check::<E5M2>(overflow);
            check::<bf16>(overflow);
            check::<f16>(overflow);
        }
    }

    #[test]
    fn mantissas_round_to_the_nearest_even() {
        let mut random = Random::new(22);
        for bits in 1..=23 {
            for _ in 0..2000 {
                let value = f32::from_bits((random.bits() >> 32) as u32);
                let rounded = f32::from_bits(round_mantissa(value.to_bits(), bits));
                if !value.is_normal() {
                    assert_eq!(rounded.is_nan(), value.is_nan());
                    continue;
                }
                let last = 2f64.powi((value.to_bits() >> 23 & 0xFF) as i32 - 127 - bits as i32);
                let expected = (f64::from(value) / last).round_ties_even() * last;
                assert!(
                    f64::from(rounded) == expected
                        || rounded.is_infinite() && expected.abs() > f32::MAX.into()
                );
            }
        }
        // Rounded to 7 bits, f32 operands are bf16 ones.
        let seven = LMul::rounded(7, Form::Integer, Overflow::Infinity).unwrap();
        let native = LMul::<bf16>::new(Form::Integer, Overflow::Infinity);
        for _ in 0..10_000 {
            let (x, y) = (random.normal() as f32, random.normal() as f32);
            let expected = native.multiply(bf16::from_f32(x), bf16::from_f32(y)).to_f32();
            assert_eq!(seven.multiply(x, y), expected);
        }
    }
}
