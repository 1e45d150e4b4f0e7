//! Real numbers to bipolar codes: `w ≈ S · val(X)` with one scale S for a row or a group of a row.
//!
//! ```text
//! X = clamp(round((w/S + 2^n − 1) / 2), 0, 2^n − 1)
//! ```
//! rounds to the nearest odd multiple of S, ties to the even code, with an error of at most S where nothing is clipped.

use super::super::instruction_set::multiversion;
use super::super::{FormatError, InstructionSet, expect_length, largest_magnitude};
use super::BitWidth;

/// How the scale of a group is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleRule {
    /// S = max|w| / (2ⁿ − 1): nothing is clipped. Poor for one and two bits.
    #[default]
    Maximum,
    /// S = mean|w| / 2ⁿ⁻¹: the mean magnitude of all codes is that of the group. For one bit, the classic mean|w|.
    Mean,
    /// The scale with the least mean squared error among 64 fractions of the maximum's scale, refined by alternating least squares.
    LeastSquares,
}

/// A direct symmetric quantiser: width, scale rule and extent of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiser {
    /// Bits of a code.
    pub width: BitWidth,
    /// How a scale is chosen.
    pub rule: ScaleRule,
    /// Consecutive elements of a row that share a scale (a multiple of 64; multiples of 512 are faster); `None` for whole rows.
    pub group: Option<usize>,
}

impl Quantiser {
    /// One scale for each row, by the maximum.
    pub fn rows(width: BitWidth) -> Self {
        Quantiser { width, rule: ScaleRule::Maximum, group: None }
    }
}

/// The smallest scale. A group of zeros gets it, and its codes then stand for ±1.2e-38.
const SMALLEST_SCALE: f32 = f32::MIN_POSITIVE;

/// The scale of a group by a rule; 1.2e-38 at least.
///
/// # Errors
/// [`FormatError::NotFinite`] on NaN or an infinity.
pub fn scale(values: &[f32], width: BitWidth, rule: ScaleRule) -> Result<f32, FormatError> {
    scale_with(values, width, rule, InstructionSet::best())
}

/// Writes the codes of the values for a given scale.
///
/// # Errors
/// [`FormatError::Length`] if there are not as many codes as values; [`FormatError::NotFinite`] on NaN or an infinity, also
/// for a scale that is not a positive normal number.
pub fn quantise(values: &[f32], width: BitWidth, scale: f32, codes: &mut [u8]) -> Result<(), FormatError> {
    expect_length("the codes", codes, values.len())?;
    if !(scale.is_normal() && scale > 0.0) {
        return Err(FormatError::NotFinite { what: "the scale", index: 0 });
    }
    largest_magnitude(values, InstructionSet::best())?;
    write_codes(values, width, scale, codes, InstructionSet::best());
    Ok(())
}

/// Writes `scale · val(code)` for each code.
///
/// # Errors
/// [`FormatError::Length`] if there are not as many values as codes.
pub fn dequantise(codes: &[u8], width: BitWidth, scale: f32, values: &mut [f32]) -> Result<(), FormatError> {
    expect_length("the values", values, codes.len())?;
    values.iter_mut().zip(codes).for_each(|(value, &code)| *value = scale * width.value(code) as f32);
    Ok(())
}

/// [`scale`] with chosen instructions.
pub(super) fn scale_with(
    values: &[f32],
    width: BitWidth,
    rule: ScaleRule,
    set: InstructionSet,
) -> Result<f32, FormatError> {
    let largest = largest_magnitude(values, set)?;
    let maximum = largest / width.largest() as f32;
    let scale = match rule {
        ScaleRule::Maximum => maximum,
        ScaleRule::Mean => (mean_magnitude(values) / f64::from(1 << (width.bits() - 1))) as f32,
        ScaleRule::LeastSquares => least_squares_scale(values, width, maximum),
    };
    Ok(scale.max(SMALLEST_SCALE))
}

/// Writes codes of values that are known to be finite, with a scale known to be normal.
pub(super) fn write_codes(
    values: &[f32],
    width: BitWidth,
    scale: f32,
    codes: &mut [u8],
    set: InstructionSet,
) {
    let (inverse, largest) = (1.0 / scale, width.largest() as f32);
    multiversion!(set, code_loop, (values: &[f32], inverse: f32, largest: f32, codes: &mut [u8]));
}

#[inline(always)]
fn code_loop(values: &[f32], inverse: f32, largest: f32, codes: &mut [u8]) {
    for (code, &value) in codes.iter_mut().zip(values) {
        *code = code_of(value, inverse, largest);
    }
}

#[inline(always)]
fn code_of(value: f32, inverse: f32, largest: f32) -> u8 {
    // Added to 2^23, the unit in the last place is one: the addition rounds (ties to even) and the low bits are the integer.
    let code = ((value * inverse + largest) * 0.5).clamp(0.0, largest);
    (code + 8_388_608.0).to_bits() as u8
}

fn mean_magnitude(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|value| f64::from(value.abs())).sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += f64::from(value.abs()));
    }
    (lanes.iter().sum::<f64>() + rest) / values.len().max(1) as f64
}

fn least_squares_scale(values: &[f32], width: BitWidth, maximum: f32) -> f32 {
    let largest = width.largest() as f32;
    // Σ w v, Σ v² and Σ w² of the codes' values v for a scale; the error is Σ w² − 2 S Σ w v + S² Σ v².
    let moments = |scale: f32| {
        let inverse = 1.0 / scale;
        values.iter().fold((0.0f64, 0.0f64), |(cross, square), &value| {
            let quantised = f64::from(width.value(code_of(value, inverse, largest)));
            (cross + f64::from(value) * quantised, square + quantised * quantised)
        })
    };
    let error = |scale: f32| {
        let ((cross, square), scale) = (moments(scale), f64::from(scale));
        scale * (scale * square - 2.0 * cross)
    };
    let candidates = (1..=64).map(|step| {
        // A one-bit code has one magnitude, whose best scale can be as small as the mean of many zeros.
        (maximum * step as f32 / 64.0).max(SMALLEST_SCALE)
    });
    let mut best = candidates.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(SMALLEST_SCALE);
    for _ in 0..8 {
        let (cross, square) = moments(best);
        let refined = (cross / square.max(f64::MIN_POSITIVE)) as f32;
        if !(refined >= SMALLEST_SCALE && error(refined) < error(best)) {
            break;
        }
        best = refined;
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::random::Random;
    use super::*;

    const RULES: [ScaleRule; 3] = [ScaleRule::Maximum, ScaleRule::Mean, ScaleRule::LeastSquares];

    fn round_trip(values: &[f32], width: BitWidth, scale: f32) -> (Vec<u8>, Vec<f32>) {
        let (mut codes, mut reals) = (vec![0; values.len()], vec![0.0; values.len()]);
        quantise(values, width, scale, &mut codes).unwrap();
        dequantise(&codes, width, scale, &mut reals).unwrap();
        (codes, reals)
    }

    fn relative_error(values: &[f32], reals: &[f32]) -> f64 {
        let square = |x: f32| f64::from(x) * f64::from(x);
        let error: f64 = values.iter().zip(reals).map(|(a, b)| square(a - b)).sum();
        (error / values.iter().map(|&v| square(v)).sum::<f64>()).sqrt()
    }

    proptest! {
        #[test]
        fn the_error_is_at_most_the_scale_and_no_code_is_zero(
            values in prop::collection::vec(-1e3f32..1e3, 0..200), bits in 1u32..9,
        ) {
            let width = BitWidth::new(bits).unwrap();
            let s = scale(&values, width, ScaleRule::Maximum).unwrap();
            let (codes, reals) = round_trip(&values, width, s);
            for (value, real) in values.iter().zip(&reals) {
                prop_assert!((value - real).abs() <= s * (1.0 + 1e-4), "{value} {real} {s}");
                prop_assert!(*real != 0.0);
            }
            // Idempotent: what was quantised quantises to the same codes, also with the scale found again.
            prop_assert_eq!(&round_trip(&reals, width, s).0, &codes);
            let again = scale(&reals, width, ScaleRule::Maximum).unwrap();
            prop_assert_eq!(&round_trip(&reals, width, again).0, &codes);
        }

        #[test]
        fn all_instruction_sets_give_the_same_codes(
            values in prop::collection::vec(-4f32..4.0, 0..300), bits in 1u32..9, s in 1e-3f32..2.0,
        ) {
            let width = BitWidth::new(bits).unwrap();
            let expected: Vec<u8> = values.iter().map(|v| {
                let level = ((v * (1.0 / s) + width.largest() as f32) * 0.5).round_ties_even();
                level.clamp(0.0, width.largest() as f32) as u8
            }).collect();
            for set in InstructionSet::available() {
                let mut codes = vec![0; values.len()];
                write_codes(&values, width, s, &mut codes, set);
                prop_assert_eq!(&codes, &expected, "{}", set);
            }
        }
    }

    #[test]
    fn ties_go_to_the_even_code() {
        // Two bits, scale 1: values -3 -1 1 3; 0 lies between codes 1 and 2, ±2 between 0 and 1, 2 and 3.
        let (codes, _) = round_trip(&[0.0, -2.0, 2.0, 9.0, -9.0], BitWidth::new(2).unwrap(), 1.0);
        assert_eq!(codes, [2, 0, 2, 3, 0]);
    }

    #[test]
    fn a_group_of_zeros_has_the_smallest_scale() {
        for bits in 1..=8 {
            for rule in RULES {
                let width = BitWidth::new(bits).unwrap();
                let s = scale(&[0.0; 5], width, rule).unwrap();
                assert_eq!(s, SMALLEST_SCALE);
                let (_, reals) = round_trip(&[0.0; 5], width, s);
                assert!(reals.iter().all(|real| real.abs() == SMALLEST_SCALE));
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_an_error() {
        let width = BitWidth::new(4).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let expected = FormatError::NotFinite { what: "the values", index: 2 };
            assert_eq!(scale(&[1.0, 2.0, bad], width, ScaleRule::Mean), Err(expected.clone()));
            assert_eq!(quantise(&[1.0, 2.0, bad], width, 1.0, &mut [0; 3]), Err(expected));
        }
        assert!(quantise(&[1.0], width, 0.0, &mut [0]).is_err());
        assert!(quantise(&[1.0], width, 1.0, &mut [0; 2]).is_err());
    }

    #[test]
    fn one_bit_with_the_mean_is_the_binary_case() {
        // For normal values the relative error is √(1 − 2/π) = 0.6028.
        let values = Random::new(1).normals(100_000);
        let one = BitWidth::new(1).unwrap();
        for rule in [ScaleRule::Mean, ScaleRule::LeastSquares] {
            let (_, reals) = round_trip(&values, one, scale(&values, one, rule).unwrap());
            let expected = (1.0 - 2.0 / std::f64::consts::PI).sqrt();
            assert!((relative_error(&values, &reals) - expected).abs() < 3e-3);
        }
    }

    #[test]
    fn least_squares_is_never_worse_than_the_other_rules() {
        for seed in 0..5 {
            let values = Random::new(seed).normals(2000);
            for bits in 1..=8 {
                let width = BitWidth::new(bits).unwrap();
                let [maximum, mean, least] = RULES.map(|rule| {
                    relative_error(
                        &values,
                        &round_trip(&values, width, scale(&values, width, rule).unwrap()).1,
                    )
                });
                assert!(least <= maximum * (1.0 + 1e-6), "{bits} bits: {least} {maximum}");
                assert!(least <= mean * 1.01, "{bits} bits: {least} {mean}");
            }
        }
    }
}
