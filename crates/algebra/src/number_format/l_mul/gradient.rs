//! Backward rules of L-Mul.
//!
//! The paper fine-tunes through L-Mul and gives no backward rule. Three are offered.

use super::super::{FormatError, InstructionSet, expect_length};
use super::product::{Accumulation, Scratch, Side, matrix_product};
use super::{Form, LMul, round_mantissa};

/// The derivative that is taken for that of z = L-Mul(x, y), with g = ∂/∂z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GradientRule {
    /// That of the exact product, by ordinary multiplication: (g y, g x).
    #[default]
    Exact,
    /// That of the exact product, by L-Mul: (g · y, g · x).
    LMul,
    /// The derivative of L-Mul itself, which is piecewise constant in x: ±2^{y_e}, and with [`Form::Integer`] twice that
    /// after one carry and four times after two. Zero where the product is flushed to zero or overflows. For analysis.
    Piecewise,
}

/// The gradients (∂/∂x, ∂/∂y) of one product for the gradient g of its result.
pub fn gradients(multiplication: &LMul<f32>, rule: GradientRule, x: f32, y: f32, g: f32) -> (f32, f32) {
    match rule {
        GradientRule::Exact => (g * y, g * x),
        GradientRule::LMul => (multiplication.multiply(g, y), multiplication.multiply(g, x)),
        GradientRule::Piecewise => (g * slope(multiplication, x, y), g * slope(multiplication, y, x)),
    }
}

/// The gradients of `C = A B` (row-major m × k, k × n, m × n) for the gradient `dc` of C: `da` and `db` are overwritten.
///
/// # Errors
/// [`FormatError::Length`] if a slice does not fit the shape.
#[allow(
    clippy::too_many_arguments,
    reason = "the operands, the shape and the arithmetic of a matrix product"
)]
pub fn product_gradients(
    multiplication: &LMul<f32>,
    rule: GradientRule,
    (a, b, dc): (&[f32], &[f32], &[f32]),
    (m, k, n): (usize, usize, usize),
    (da, db): (&mut [f32], &mut [f32]),
    scratch: &mut Scratch,
    set: InstructionSet,
) -> Result<(), FormatError> {
    expect_length("the left factor", a, m * k)?;
    expect_length("the right factor", b, k * n)?;
    expect_length("the gradient of the product", dc, m * n)?;
    expect_length("the gradient of the left factor", da, m * k)?;
    expect_length("the gradient of the right factor", db, k * n)?;
    if rule == GradientRule::LMul {
        let sums = Accumulation::F32;
        let (a, b, dc) = (Side::transposed(a), Side::transposed(b), Side::plain(dc));
        matrix_product(multiplication, sums, dc, b, (m, n, k), da, scratch, set)?;
        return matrix_product(multiplication, sums, a, dc, (k, m, n), db, scratch, set);
    }
    db.fill(0.0);
    for i in 0..m {
        for p in 0..k {
            let mut sum = 0.0;
            for j in 0..n {
                let (dx, dy) = gradients(multiplication, rule, a[i * k + p], b[p * n + j], dc[i * n + j]);
                sum += dx;
                db[p * n + j] += dy;
            }
            da[i * k + p] = sum;
        }
    }
    Ok(())
}

/// ∂ L-Mul(x, y) / ∂x.
fn slope(multiplication: &LMul<f32>, x: f32, y: f32) -> f32 {
    let product = multiplication.multiply(x, y);
    if product.is_nan() {
        return f32::NAN;
    }
    let largest = f32::from_bits(multiplication.fields.largest);
    if product == 0.0 || product.abs() >= largest {
        return 0.0;
    }
    let fraction = |value: f32| round_mantissa(value.to_bits(), multiplication.kept) & 0x7F_FFFF;
    let power = f32::from_bits(round_mantissa(y.to_bits(), multiplication.kept) & 0xFF80_0000);
    let carries = (fraction(x) + fraction(y) + multiplication.fields.correction) >> 23;
    match multiplication.form {
        Form::Formula => power,
        Form::Integer => power * (1 << carries) as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::float8::Overflow;
    use super::super::super::random::Random;
    use super::*;

    const RULES: [GradientRule; 3] = [GradientRule::Exact, GradientRule::LMul, GradientRule::Piecewise];

    #[test]
    fn the_piecewise_rule_is_the_finite_difference() {
        let mut random = Random::new(41);
        for form in [Form::Formula, Form::Integer] {
            let multiplication = LMul::new(form, Overflow::Infinity);
            let mut compared = 0;
            for _ in 0..2000 {
                let (x, y) = (random.normal() as f32, random.normal() as f32);
                // A step of one sixteenth of the mantissa's range inside the same piece, where the product is linear.
                let step = f32::from_bits(x.to_bits() & 0xFF80_0000) / 16.0;
                let pieces = [x, x + step / 2.0, x + step].map(|x| slope(&multiplication, x, y));
                let same_binade = (x.to_bits() ^ (x + step).to_bits()) & 0x7F80_0000 == 0;
                if pieces[0] == pieces[1] && pieces[1] == pieces[2] && same_binade {
                    let difference = multiplication.multiply(x + step, y) - multiplication.multiply(x, y);
                    assert!((difference / step / pieces[0] - 1.0).abs() < 1e-4, "{x} {y} {form:?}");
                    compared += 1;
                }
            }
            assert!(compared > 1000);
        }
    }

    #[test]
    fn gradients_of_a_product_are_sums_of_those_of_its_terms() {
        let mut random = Random::new(42);
        for (m, k, n) in [(1, 1, 1), (3, 5, 4), (7, 2, 40), (0, 3, 2)] {
            let (a, b, dc) = (random.normals(m * k), random.normals(k * n), random.normals(m * n));
            let multiplication = LMul::rounded(6, Form::Integer, Overflow::Infinity).unwrap();
            for rule in RULES {
                let (mut da, mut db) = (vec![f32::NAN; m * k], vec![f32::NAN; k * n]);
                let (mut scratch, set) = (Scratch::default(), InstructionSet::best());
                let (operands, results) = ((&a[..], &b[..], &dc[..]), (&mut da[..], &mut db[..]));
                product_gradients(&multiplication, rule, operands, (m, k, n), results, &mut scratch, set)
                    .unwrap();
                let term = |i: usize, p: usize, j: usize| {
                    gradients(&multiplication, rule, a[i * k + p], b[p * n + j], dc[i * n + j])
                };
                for (i, p) in (0..m).flat_map(|i| (0..k).map(move |p| (i, p))) {
                    let sum: f32 = (0..n).map(|j| term(i, p, j).0).sum();
                    assert!((da[i * k + p] - sum).abs() <= 1e-5 * (1.0 + sum.abs()));
                }
                for (p, j) in (0..k).flat_map(|p| (0..n).map(move |j| (p, j))) {
                    let sum: f32 = (0..m).map(|i| term(i, p, j).1).sum();
                    assert!((db[p * n + j] - sum).abs() <= 1e-5 * (1.0 + sum.abs()));
                }
            }
        }
    }

    #[test]
    fn golden_gradients() {
        let multiplication = LMul::new(Form::Integer, Overflow::Infinity);
        assert_eq!(gradients(&multiplication, GradientRule::Exact, 3.0, -2.0, 0.5), (-1.0, 1.5));
        assert_eq!(gradients(&multiplication, GradientRule::LMul, 3.0, -2.0, 1.0), (-2.125, 3.125));
        // 3 = 1.5 · 2 and 2 = 1 · 2: no carry. 3 and 3: one carry.
        assert_eq!(gradients(&multiplication, GradientRule::Piecewise, 3.0, -2.0, 1.0), (-2.0, 2.0));
        assert_eq!(gradients(&multiplication, GradientRule::Piecewise, 3.0, 3.0, 1.0), (4.0, 4.0));
        assert_eq!(gradients(&multiplication, GradientRule::Piecewise, 0.0, 3.0, 1.0), (0.0, 0.0));
    }
}
