//! The tools that the benchmark has for the competition problems of MATH alone.

use mathesis_symbolic::formula::Budget;
use mathesis_symbolic::{Expr, Polynomial, Rational};
use num_bigint::BigUint;

use super::{
    Called, LONGEST_TEXT, Output, TOO_LARGE, ToolError, error, expression, parse, relations, simplified,
    written_out,
};

const NO_SQUARE: &str = "无法配方：需要只含一个未知数的二次式";
const NO_REMAINDER: &str = "无法求余数：需要两个数，除数不为零";
const NO_NUMERAL: &str = "无法转换进制：需要形如 204_5 的数和 2 到 36 的进制";

/// a x² + b x + c as a (x + b/2a)² + c − b²/4a.
/// The benchmark's tool has a square such as (2 x + 1)² as it is, here it becomes 4 (x + 1/2)².
pub(super) fn complete_the_square(text: &str, budget: &Budget) -> Called {
    let simple = simplified(&expression(&parse(text)?, budget)?, budget)?;
    let symbols = simple.symbols();
    let (Some(symbol), 1) = (symbols.first(), symbols.len()) else { return error(NO_SQUARE) };
    let Ok(polynomial) = Polynomial::from_expr(&simple) else { return error(NO_SQUARE) };
    let coefficients: Option<Vec<Rational>> =
        polynomial.coefficients(symbol).iter().map(Polynomial::as_constant).collect();
    let Some([c, b, a]) = coefficients.and_then(|found| <[Rational; 3]>::try_from(found).ok()) else {
        return error(NO_SQUARE);
    };
    let [a, b, c] = [a, b, c].map(Expr::number);
    let shift = &b / (&a * Expr::integer(2));
    let square = (Expr::symbol(symbol) + &shift).pow(2);
    Ok(Output::Text(written_out(&(&a * square + (c - a * shift.pow(2))))))
}

/// What is left of a number after division by another, with the sign of the divisor.
pub(super) fn remainder(dividend: &str, divisor: &str, budget: &Budget) -> Called {
    let number = |text: &str| -> Result<Rational, ToolError> {
        let simple = simplified(&expression(&parse(text)?, budget)?, budget)?;
        simple.as_number().cloned().ok_or_else(|| ToolError(NO_REMAINDER.to_string()))
    };
    let (dividend, divisor) = (number(dividend)?, number(divisor)?);
    let Some(inverse) = divisor.reciprocal() else { return error(NO_REMAINDER) };
    if budget.is_spent() {
        return error(TOO_LARGE);
    }
    let whole = (&dividend * &inverse).floor();
    Ok(Output::Text(written_out(&Expr::number(&dividend - &(&divisor * &whole)))))
}

/// A natural number written as `204_5` or `204_{5}` in another base; bases of two digits stand in braces.
pub(super) fn base_conversion(number: &str, base: &str) -> Called {
    let written = number.split_once('_').filter(|_| number.len() <= LONGEST_TEXT);
    let value =
        written.and_then(|(digits, base)| natural_number(digits, base.trim().trim_matches(['{', '}'])));
    match (value, radix(base)) {
        (Some(value), Some(base)) => {
            let digits = value.to_str_radix(base).to_uppercase();
            Ok(Output::Text(if base < 10 {
                format!("{digits}_{base}")
            } else {
                format!("{digits}_{{{base}}}")
            }))
        }
        _ => error(NO_NUMERAL),
    }
}

/// Whether two expressions are equal, or two relations the same up to their direction: `True` or `False`, as the
/// benchmark's tool says it.
pub(super) fn is_equal(left: &str, right: &str, budget: &Budget) -> Called {
    let (left, right) = (parse(left)?, parse(right)?);
    let is_zero = |a: &Expr, b: &Expr| -> Result<bool, ToolError> {
        let difference = simplified(&(a - b), budget)?;
        Ok(difference.is_zero() || difference.sign_of_constant(budget) == Some(0))
    };
    let is_same = match (relations(&left, budget)?, relations(&right, budget)?) {
        (None, None) => is_zero(&expression(&left, budget)?, &expression(&right, budget)?)?,
        (Some(left), Some(right)) if left.len() == right.len() => {
            let mut is_same = true;
            for (a, b) in left.iter().zip(&right) {
                let is_as_it_stands =
                    a.relation == b.relation && is_zero(&a.left, &b.left)? && is_zero(&a.right, &b.right)?;
                let is_turned = Some(a.relation) == b.relation.mirrored()
                    && is_zero(&a.left, &b.right)?
                    && is_zero(&a.right, &b.left)?;
                is_same &= is_as_it_stands || is_turned;
            }
            is_same
        }
        _ => false,
    };
    Ok(Output::Text(if is_same { "True" } else { "False" }.into()))
}

/// The value of digits in a base.
pub(super) fn natural_number(digits: &str, base: &str) -> Option<BigUint> {
    let digits: String = digits.split_whitespace().collect();
    // Signs and underscores are no digits.
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    BigUint::parse_bytes(digits.as_bytes(), radix(base)?)
}

fn radix(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|base| (2..=36).contains(base))
}
