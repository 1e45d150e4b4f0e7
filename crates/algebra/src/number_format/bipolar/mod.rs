//! Bipolar integers of 1 to 8 bits, and exact matrix products of them by bit planes.
//!
//! Ma, Fang, Shao and Wang, "Efficient Arbitrary Precision Acceleration for Large Language Models on GPU Tensor Cores"
//! (ASP-DAC 2025). A pattern of n bits with the unsigned reading X has the value
//! ```text
//! val = Σ_i (2 x_i − 1) 2^i = 2 X − (2^n − 1)
//! ```
//! an odd integer: all bits alike have a weight ±2^i, no bit is a sign, and zero has no pattern. A matrix is stored as its
//! bit planes ([`PlaneMatrix`]), and a product is a sum of products of planes, each an exclusive or and a population count.
//!
//! Departures from the paper. The kernels are for CPUs (the paper's are for GPU tensor cores). The quantiser ([`Quantiser`])
//! is our own: the paper takes its codes from others. The same kernels also serve planes that are read as 0 and 1 ([`Encoding`]).

mod kernel;
mod planes;
mod product;
mod quantise;

pub use planes::{Activations, Encoding, PlaneMatrix, Weights};
pub use quantise::{Quantiser, ScaleRule, dequantise, quantise, scale};

use super::FormatError;

/// The number of bits of a format, 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitWidth(u32);

impl BitWidth {
    /// The width of `bits` bits.
    ///
    /// # Errors
    /// [`FormatError::Bits`] outside 1 to 8.
    pub fn new(bits: u32) -> Result<Self, FormatError> {
        match bits {
            1..=8 => Ok(BitWidth(bits)),
            _ => Err(FormatError::Bits { found: bits, largest: 8 }),
        }
    }

    /// The number of bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The largest code, 2ⁿ − 1, which is also the largest bipolar value.
    pub fn largest(self) -> i32 {
        (1 << self.0) - 1
    }

    /// The bipolar value of a code: 2X − (2ⁿ − 1). Bits of the code above the width are ignored.
    pub fn value(self, code: u8) -> i32 {
        2 * (i32::from(code) & self.largest()) - self.largest()
    }

    /// The code whose bipolar value is 2x̂ + 1, for a signed integer x̂ of the same width: two's complement with the top
    /// bit flipped.
    ///
    /// # Errors
    /// [`FormatError::Code`] if the integer is outside −2ⁿ⁻¹ to 2ⁿ⁻¹ − 1.
    pub fn code_of_signed(self, integer: i8) -> Result<u8, FormatError> {
        let half = 1 << (self.0 - 1);
        match i32::from(integer) + half {
            code @ 0.. if code <= self.largest() => Ok(code as u8),
            _ => Err(FormatError::Code {
                what: "a signed integer",
                index: 0,
                found: integer.into(),
                expected: format!("{} to {}", -half, half - 1),
            }),
        }
    }
}

/// How a real number is read from an integer: `scale · integer + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The step between neighbouring integers.
    pub scale: f64,
    /// What zero stands for.
    pub offset: f64,
}

impl Affine {
    /// The real number that an integer stands for.
    pub fn real(self, integer: i32) -> f64 {
        self.scale * f64::from(integer) + self.offset
    }

    /// The reading of bipolar codes that gives the same reals as this reading of signed integers: since
    /// x̂' = 2x̂ + 1, `s x̂ + z = (s/2) x̂' + (z − s/2)`.
    pub fn signed_to_bipolar(self) -> Self {
        Affine { scale: self.scale / 2.0, offset: self.offset - self.scale / 2.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn width(bits: u32) -> BitWidth {
        BitWidth::new(bits).unwrap()
    }

    #[test]
    fn values_are_the_odd_integers_and_the_complement_negates() {
        for bits in 1..=8 {
            let n = width(bits);
            let values: Vec<i32> = (0..=n.largest()).map(|code| n.value(code as u8)).collect();
            assert_eq!(values, (-n.largest()..=n.largest()).step_by(2).collect::<Vec<_>>());
            for code in 0..=n.largest() as u8 {
                let by_bits: i32 = (0..bits).map(|i| (2 * i32::from(code >> i & 1) - 1) << i).sum();
                assert_eq!(n.value(code), by_bits);
                assert_eq!(n.value(!code), -n.value(code));
            }
        }
    }

    #[test]
    fn widths_outside_one_to_eight_are_errors() {
        assert_eq!(BitWidth::new(0), Err(FormatError::Bits { found: 0, largest: 8 }));
        assert!(BitWidth::new(9).is_err());
    }

    #[test]
    fn signed_integers_convert_without_loss() {
        for bits in 1..=8 {
            let (n, half) = (width(bits), 1i32 << (bits - 1));
            for integer in -half..half {
                let code = n.code_of_signed(integer as i8).unwrap();
                assert_eq!(n.value(code), 2 * integer + 1);
                let twos_complement = integer as u8 & n.largest() as u8;
                assert_eq!(code, twos_complement ^ half as u8);
            }
            if bits < 8 {
                assert!(n.code_of_signed(half as i8).is_err());
                assert!(n.code_of_signed((-half - 1) as i8).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn a_signed_reading_and_its_bipolar_reading_agree(
            scale in 1e-3..10.0f64, offset in -5.0..5.0f64, integer in -128i32..128,
        ) {
            let signed = Affine { scale, offset };
            let (a, b) = (signed.real(integer), signed.signed_to_bipolar().real(2 * integer + 1));
            // One unit in the last place of the largest term: a sum of them may cancel.
            let size = (scale * f64::from(2 * integer.abs() + 1)).abs() + offset.abs();
            prop_assert!((a - b).abs() <= size * f64::EPSILON, "{a} {b}");
        }
    }
}
