//! The 8-bit floating-point formats E4M3 and E5M2 of the Open Compute Project (OFP8, 2023).
//!
//! | | exponent, mantissa, bias | largest | smallest normal, subnormal | infinities | NaN |
//! |---|---|---|---|---|---|
//! | [`E4M3`] | 4, 3, 7 | 448 | 2⁻⁶, 2⁻⁹ | none | S.1111.111 |
//! | [`E5M2`] | 5, 2, 15 | 57344 | 2⁻¹⁴, 2⁻¹⁶ | S.11111.00 | the rest of S.11111 |
//!
//! Conversions from f32 round to nearest, ties to even, in one step. What rounds above the largest finite number follows
//! [`Overflow`]. The crate `float8` (0.7) is not used: it turns infinities into the largest finite number, always saturates,
//! and its conversion is not branch-free, so that loops with it do not vectorise. 16-bit floats are those of the crate `half`.

/// What a result above the largest finite number becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Infinity; NaN in E4M3, which has none.
    #[default]
    Infinity,
    /// The largest finite number of the same sign.
    Saturate,
}

/// A binary floating-point format in the layout sign, exponent, mantissa.
pub trait BinaryFloat: Copy + PartialEq + std::fmt::Debug + Send + Sync {
    /// Bits of the exponent field.
    const EXPONENT_BITS: u32;
    /// Stored bits of the mantissa.
    const MANTISSA_BITS: u32;
    /// The magnitude field of the largest finite number.
    const LARGEST: u32;
    /// The magnitude field of what overflows: infinity, or NaN in a format without infinities.
    const OVERFLOWED: u32;
    /// The magnitude field of a NaN.
    const NAN: u32;

    /// The bit pattern, in the low bits.
    fn pattern(self) -> u32;

    /// The number with the bit pattern in the low bits; higher bits are ignored.
    fn from_pattern(pattern: u32) -> Self;

    /// The value.
    fn real(self) -> f64;
}

/// The 8-bit float with four exponent and three mantissa bits, without infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct E4M3(pub u8);

/// The 8-bit float with five exponent and two mantissa bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct E5M2(pub u8);

macro_rules! float8 {
    ($float:ident, $exponent:literal, $mantissa:literal, $largest:literal, $overflowed:literal, $nan:literal) => {
        impl $float {
            /// The values of all 256 bit patterns.
            pub const VALUES: [f32; 256] = {
                let (mut values, mut pattern) = ([0.0; 256], 0);
                while pattern < 256 {
                    values[pattern] =
                        decode(pattern as u32, $exponent, $mantissa, $largest, $nan == $overflowed);
                    pattern += 1;
                }
                values
            };

            /// The nearest number, ties to even.
            pub fn from_f32(value: f32, overflow: Overflow) -> Self {
                let rounded = Self::round(value, overflow);
                let magnitude = rounded.abs();
                let code = if rounded.is_nan() {
                    $nan
                } else if magnitude == f32::INFINITY {
                    $overflowed
                } else if magnitude < SMALLEST_NORMAL {
                    (magnitude / (SMALLEST_NORMAL / (1 << $mantissa) as f32)) as u32
                } else {
                    (magnitude.to_bits() - (SMALLEST_NORMAL.to_bits() - (1 << 23))) >> (23 - $mantissa)
                };
                const SMALLEST_NORMAL: f32 = smallest_normal($exponent);
                $float((code | (value.to_bits() >> 31) << 7) as u8)
            }

            /// The value.
            pub fn to_f32(self) -> f32 {
                Self::VALUES[self.0 as usize]
            }

            /// The value of the nearest number, ties to even: what a conversion there and back gives.
            #[inline(always)]
            pub fn round(value: f32, overflow: Overflow) -> f32 {
                const LARGEST: f32 = decode($largest, $exponent, $mantissa, $largest, $nan == $overflowed);
                const OVERFLOWED: f32 = if $nan == $overflowed { f32::NAN } else { f32::INFINITY };
                let beyond = if overflow == Overflow::Saturate { LARGEST } else { OVERFLOWED };
                round(value, smallest_normal($exponent), $mantissa, LARGEST, beyond)
            }
        }

        impl BinaryFloat for $float {
            const EXPONENT_BITS: u32 = $exponent;
            const MANTISSA_BITS: u32 = $mantissa;
            const LARGEST: u32 = $largest;
            const OVERFLOWED: u32 = $overflowed;
            const NAN: u32 = $nan;

            #[inline(always)]
            fn pattern(self) -> u32 {
                self.0.into()
            }

            #[inline(always)]
            fn from_pattern(pattern: u32) -> Self {
                $float(pattern as u8)
            }

            fn real(self) -> f64 {
                self.to_f32().into()
            }
        }
    };
}

float8!(E4M3, 4, 3, 0x7E, 0x7F, 0x7F);
float8!(E5M2, 5, 2, 0x7B, 0x7C, 0x7E);

macro_rules! binary_float {
    ($float:ty, $bits:ty, $exponent:literal, $mantissa:literal, $to_f64:expr) => {
        impl BinaryFloat for $float {
            const EXPONENT_BITS: u32 = $exponent;
            const MANTISSA_BITS: u32 = $mantissa;
            const LARGEST: u32 = (((1 << $exponent) - 1) << $mantissa) - 1;
            const OVERFLOWED: u32 = ((1 << $exponent) - 1) << $mantissa;
            const NAN: u32 = Self::OVERFLOWED | 1 << ($mantissa - 1);

            #[inline(always)]
            fn pattern(self) -> u32 {
                self.to_bits().into()
            }

            #[inline(always)]
            fn from_pattern(pattern: u32) -> Self {
                <$float>::from_bits(pattern as $bits)
            }

            fn real(self) -> f64 {
                $to_f64(self)
            }
        }
    };
}

binary_float!(f32, u32, 8, 23, f64::from);
binary_float!(half::bf16, u16, 8, 7, half::bf16::to_f64);
binary_float!(half::f16, u16, 5, 10, half::f16::to_f64);

/// 2^(1 − bias).
const fn smallest_normal(exponent_bits: u32) -> f32 {
    f32::from_bits((127 + 1 - ((1 << (exponent_bits - 1)) - 1)) << 23)
}

/// Rounds to the nearest multiple of the unit in the last place that a format has at the value.
#[inline(always)]
fn round(value: f32, smallest_normal: f32, mantissa_bits: u32, largest: f32, beyond: f32) -> f32 {
    let magnitude = value.abs();
    // A power of two whose own unit in the last place is the format's: adding it rounds there.
    let exponent = (magnitude.to_bits() & 0x7F80_0000).clamp(smallest_normal.to_bits(), 0x6000_0000);
    let aligner = f32::from_bits(exponent + ((23 - mantissa_bits) << 23));
    let rounded = (magnitude + aligner) - aligner;
    let rounded = if rounded > largest { beyond } else { rounded };
    // An infinity stays one, but for formats without (beyond is NaN) and for saturation.
    let rounded = if magnitude == f32::INFINITY { beyond } else { rounded };
    rounded.copysign(value)
}

const fn decode(
    pattern: u32,
    exponent_bits: u32,
    mantissa_bits: u32,
    largest: u32,
    finite_only: bool,
) -> f32 {
    let (sign, magnitude) = ((pattern >> 7) << 31, pattern & 0x7F);
    let (exponent, mantissa) = (magnitude >> mantissa_bits, magnitude & ((1 << mantissa_bits) - 1));
    let unit = smallest_normal(exponent_bits) / (1 << mantissa_bits) as f32;
    let absolute = if magnitude > largest {
        if magnitude == largest + 1 && !finite_only { f32::INFINITY } else { f32::NAN }
    } else if exponent == 0 {
        mantissa as f32 * unit
    } else {
        let bits = smallest_normal(exponent_bits).to_bits() + ((exponent - 1) << 23);
        f32::from_bits(bits | mantissa << (23 - mantissa_bits))
    };
    f32::from_bits(absolute.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The magnitudes of all finite numbers by the textbook formula, in the order of their codes.
    fn magnitudes(exponent_bits: i32, mantissa_bits: i32, largest: usize) -> Vec<f64> {
        let bias = (1 << (exponent_bits - 1)) - 1;
        let value = |code: usize| {
            let (e, m) = ((code >> mantissa_bits) as i32, code % (1 << mantissa_bits));
            let fraction = m as f64 / f64::from(1 << mantissa_bits);
            match e {
                0 => fraction * 2f64.powi(1 - bias),
                _ => (1.0 + fraction) * 2f64.powi(e - bias),
            }
        };
        (0..=largest).map(value).collect()
    }

    /// The code of the nearest magnitude, ties to the even code; one above the largest for what is beyond it by half a unit.
    fn nearest(value: f64, magnitudes: &[f64]) -> usize {
        let last = magnitudes.len() - 1;
        let next = 2.0 * magnitudes[last] - magnitudes[last - 1];
        if value >= next {
            return last + 1;
        }
        let grid = |code: usize| if code > last { next } else { magnitudes[code] };
        let above = magnitudes.partition_point(|&m| m < value).min(last + 1);
        let below = above.saturating_sub(1);
        match ((value - grid(below)).abs(), (grid(above) - value).abs()) {
            (a, b) if a < b => below,
            (a, b) if a > b => above,
            _ if below % 2 == 0 => below,
            _ => above,
        }
    }

    fn check_one(value: f32, e4m3: &[f64], e5m2: &[f64]) {
        let sign = if value.is_sign_negative() { 0x80 } else { 0 };
        let near = |grid: &[f64]| nearest(f64::from(value.abs()), grid) as u8;
        let (a, b) = if value.is_nan() { (0x7F, 0x7E) } else { (near(e4m3), near(e5m2)) };
        assert_eq!(E4M3::from_f32(value, Overflow::Infinity).0, a | sign, "{value:e}");
        assert_eq!(E5M2::from_f32(value, Overflow::Infinity).0, b | sign, "{value:e}");
        if !value.is_nan() {
            assert_eq!(E4M3::from_f32(value, Overflow::Saturate).0, a.min(0x7E) | sign, "{value:e}");
            assert_eq!(E5M2::from_f32(value, Overflow::Saturate).0, b.min(0x7B) | sign, "{value:e}");
        }
        let (round, there_and_back) =
            (E4M3::round(value, Overflow::Infinity), E4M3::from_f32(value, Overflow::Infinity).to_f32());
        assert!(round.to_bits() == there_and_back.to_bits() || round.is_nan() && there_and_back.is_nan());
    }

    #[test]
    fn tables_hold_the_textbook_values() {
        let (e4m3, e5m2) = (magnitudes(4, 3, 0x7E), magnitudes(5, 2, 0x7B));
        for (code, &magnitude) in e4m3.iter().enumerate() {
            assert_eq!(f64::from(E4M3::VALUES[code]), magnitude);
            assert_eq!(f64::from(E4M3::VALUES[code + 128]), -magnitude);
        }
        for (code, &magnitude) in e5m2.iter().enumerate() {
            assert_eq!(f64::from(E5M2::VALUES[code]), magnitude);
        }
        assert_eq!((E4M3(0x7E).to_f32(), E5M2(0x7B).to_f32()), (448.0, 57344.0));
        assert!(E4M3(0x7F).to_f32().is_nan() && E4M3(0xFF).to_f32().is_nan());
        assert_eq!((E5M2(0x7C).to_f32(), E5M2(0xFC).to_f32()), (f32::INFINITY, f32::NEG_INFINITY));
        assert!((0x7D..=0x7F).all(|code| E5M2(code).to_f32().is_nan()));
    }

    #[test]
    fn every_number_converts_to_itself() {
        for code in 0..=255u8 {
            for overflow in [Overflow::Infinity, Overflow::Saturate] {
                if E4M3(code).to_f32().is_finite() {
                    assert_eq!(E4M3::from_f32(E4M3(code).to_f32(), overflow), E4M3(code));
                }
                if E5M2(code).to_f32().is_finite() {
                    assert_eq!(E5M2::from_f32(E5M2(code).to_f32(), overflow), E5M2(code));
                }
            }
        }
    }

    #[test]
    fn conversions_round_to_the_nearest_number() {
        // All upper halves of an f32, with lower halves around zero, half and the end: all ties and their neighbours.
        let (e4m3, e5m2) = (magnitudes(4, 3, 0x7E), magnitudes(5, 2, 0x7B));
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
                check_one(f32::from_bits(u32::from(upper) << 16 | lower), &e4m3, &e5m2);
            }
        }
    }

    #[test]
    #[ignore = "minutes: all 2^32 values"]
    fn all_conversions_round_to_the_nearest_number() {
        let (e4m3, e5m2) = (magnitudes(4, 3, 0x7E), magnitudes(5, 2, 0x7B));
        for bits in 0..=u32::MAX {
            check_one(f32::from_bits(bits), &e4m3, &e5m2);
        }
    }

    #[test]
    fn the_16_bit_floats_of_half_round_to_the_nearest_number() {
        let (f16, bf16) = (magnitudes(5, 10, 0x7BFF), magnitudes(8, 7, 0x7F7F));
        for (code, &magnitude) in f16.iter().enumerate() {
            assert_eq!(half::f16::from_bits(code as u16).to_f64(), magnitude);
        }
        for upper in 0..=0x7F7Fu32 {
            for lower in
                [0, 1, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001, 0x7FFF, 0x8000, 0x8001, 0xFFFF]
            {
                let value = f32::from_bits(upper << 16 | lower);
                assert_eq!(
                    half::f16::from_f32(value).to_bits() as usize,
                    nearest(value.into(), &f16),
                    "{value:e}"
                );
                assert_eq!(half::bf16::from_f32(value).to_bits() as usize, nearest(value.into(), &bf16));
            }
        }
    }
}
