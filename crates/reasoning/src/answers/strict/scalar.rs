//! Whether two scalar formulae have the same value: by rational arithmetic, by rigorous enclosures, by canonical form.

use std::collections::BTreeMap;

use mathesis_symbolic::formula::{Budget, Formula, NamedConstant, Numeral, Sign, ValueError};
use mathesis_symbolic::interval::{ComplexInterval, Interval, Precision};
use mathesis_symbolic::{Expr, Rational};

use super::super::{Equality, Verdict};

/// The precisions of the enclosures, in decimal digits.
const DIGITS: [u32; 3] = [30, 60, 120];
/// The most further bits that large values may ask for.
const LARGEST_EXTRA: i64 = 8192;
/// How many random points expressions with variables are compared at.
const POINTS: usize = 8;
/// How many products of terms the canonical form may take: a few milliseconds.
const EXPANSION_WORK: u64 = 1 << 12;

type Point = BTreeMap<String, Rational>;

/// Compare two scalars: `None` if one of them is no scalar.
pub(super) fn compare(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    if left == right {
        return Some(Verdict::equal("same formula"));
    }
    match (infinity(left), infinity(right)) {
        (Some(a), Some(b)) if a == b => return Some(Verdict::equal("same infinity")),
        (None, None) => {}
        _ => return Some(Verdict::different("infinity")),
    }
    if let Some(verdict) = decimal(left, right, budget).or_else(|| decimal(right, left, budget)) {
        return Some(verdict);
    }
    compare_exactly(left, right, budget)
}

/// [`compare`] without the rule for rounded decimals and without infinities.
pub(in super::super) fn compare_exactly(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    let symbols = symbols(left, right);
    if symbols.is_empty() {
        constants(left, right, budget)
    } else {
        expressions(left, right, symbols, budget)
    }
}

/// Plus or minus one for an infinity, perhaps with a sign.
pub(in super::super) fn infinity(formula: &Formula) -> Option<i32> {
    match formula {
        Formula::Constant(NamedConstant::Infinity) => Some(1),
        Formula::Sum(terms) => match terms.as_slice() {
            [(Sign::Plus, inner)] => infinity(inner),
            [(Sign::Minus, inner)] => infinity(inner).map(|sign| -sign),
            _ => None,
        },
        _ => None,
    }
}

/// A decimal number, perhaps with a sign.
fn as_decimal(formula: &Formula) -> Option<(bool, &Numeral)> {
    match formula {
        Formula::Number(number) if number.decimals.is_some() => Some((false, number)),
        Formula::Sum(terms) => match terms.as_slice() {
            [(Sign::Minus, Formula::Number(number))] if number.decimals.is_some() => Some((true, number)),
            [(Sign::Plus, Formula::Number(number))] if number.decimals.is_some() => Some((false, number)),
            _ => None,
        },
        _ => None,
    }
}

/// A decimal of six or more significant digits against a value that it rounds or truncates.
fn decimal(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    let (is_negative, number) = as_decimal(left)?;
    if as_decimal(right).is_some() {
        return None;
    }
    let mantissa = number.text.split('e').next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if digits.trim_start_matches('0').len() < 6 || !right.symbols().is_empty() {
        return None;
    }
    // One unit in the last place: 10^exponent / 10^decimals.
    let exponent: i64 = number.text.split('e').nth(1).map_or(Ok(0), str::parse).ok()?;
    let places = exponent - i64::from(number.decimals.unwrap_or(0));
    let unit = Rational::from(10).checked_power(&Rational::from(places))?;
    let none = Point::new();
    let precision = Precision::bits(200 + number.value.numerator().bits());
    let exact = right.exact(&none, budget).and_then(|value| Interval::rational(&value, precision));
    let value = match exact {
        Some(value) => value,
        None => right.enclose(&none, precision, budget).ok()?.as_real()?.clone(),
    };
    let value = if is_negative { value.negate() } else { value };
    let decimal = Interval::rational(&number.value, precision)?;
    let difference = value.subtract(&decimal, precision)?;
    let unit = Interval::rational(&unit, precision)?;
    let half = unit.divide(&Interval::integer(2), precision)?;
    // Rounded: within half a unit. Truncated: the value is less than a unit above.
    let is_near = !difference.is_below(&half.negate()) && difference.is_below(&unit);
    Some(if is_near {
        Verdict::equal("decimal of six or more digits, rounded or truncated")
    } else {
        Verdict::different("decimal is not the rounded value")
    })
}

fn constants(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    let none = Point::new();
    if let (Some(a), Some(b)) = (left.exact(&none, budget), right.exact(&none, budget)) {
        return Some(if a == b {
            Verdict::equal("same rational number")
        } else {
            Verdict::different("different rational numbers")
        });
    }
    let mut extra = 0;
    for digits in DIGITS {
        let precision = Precision::bits(u64::from(digits) * 10 / 3 + 32 + extra);
        let a = left.enclose(&none, precision, budget);
        let b = right.enclose(&none, precision, budget);
        let (a, b) = match (a, b) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(ValueError::NotScalar), _) | (_, Err(ValueError::NotScalar)) => return None,
            (Err(ValueError::Budget), _) | (_, Err(ValueError::Budget)) => {
                return Some(Verdict::unknown("time budget"));
            }
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => return Some(Verdict::unknown("one side has no value")),
            (Err(_), Err(_)) => return canonical(left, right, budget).or(Some(Verdict::unknown("no value"))),
        };
        if !a.overlaps(&b) {
            return Some(Verdict::different("disjoint enclosures"));
        }
        if digits == DIGITS[0] {
            if let Some(verdict) = canonical(left, right, budget) {
                return Some(verdict);
            }
            // Large values need digits before the point as well.
            extra = a.magnitude().max(b.magnitude()).clamp(0, LARGEST_EXTRA) as u64;
        }
        if digits == DIGITS[2] {
            return Some(if is_narrow(&a) && is_narrow(&b) {
                Verdict::equal("numeric: enclosures agree to 120 digits")
            } else {
                Verdict::unknown("enclosures are too wide")
            });
        }
    }
    None
}

/// Whether an enclosure determines about a hundred digits, both absolutely and relatively to its size.
fn is_narrow(value: &ComplexInterval) -> bool {
    let size = value.magnitude();
    let is_zero_inside = value.contains_zero();
    value.width() < -330 && (is_zero_inside || value.width() < size - 330)
}

fn canonical(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    let (left, right): (Expr, Expr) = (left.to_expr_within(budget)?, right.to_expr_within(budget)?);
    if left.is_undefined() || right.is_undefined() {
        return None;
    }
    let is_equal = left == right || (left - right).expand_in_time(EXPANSION_WORK, budget).is_zero();
    is_equal.then(|| Verdict::equal("same canonical form"))
}

/// A random rational point of small numbers, the same in every run; positive for the first half of the rounds.
fn point(symbols: &[String], round: usize) -> Point {
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ ((round as u64 + 1) << 32);
    symbols
        .iter()
        .map(|name| {
            for byte in name.bytes() {
                state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            state ^= state >> 29;
            state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state ^= state >> 32;
            let numerator = 100 + (state % 900) as i64;
            let denominator = 101 + 2 * ((state >> 20) % 200) as i64;
            let is_negative = round >= POINTS / 2 && (state >> 40) & 1 == 1;
            let value = Rational::new(if is_negative { -numerator } else { numerator }, denominator);
            (name.clone(), value.unwrap_or(Rational::from(1)))
        })
        .collect()
}

fn expressions(left: &Formula, right: &Formula, symbols: Vec<String>, budget: &Budget) -> Option<Verdict> {
    let is_complex =
        |formula: &Formula| formula.any(&|part| matches!(part, Formula::Constant(NamedConstant::I)));
    let is_complex = is_complex(left) || is_complex(right);
    let mut agreed = Vec::new();
    let mut all_exact = true;
    for round in 0..2 * POINTS {
        if budget.is_spent() {
            return Some(Verdict::unknown("time budget"));
        }
        let point = point(&symbols, round);
        if let (Some(a), Some(b)) = (left.exact(&point, budget), right.exact(&point, budget)) {
            if a != b {
                return Some(Verdict::different("different rational values at a point"));
            }
            agreed.push(point);
        } else {
            all_exact = false;
            let precision = Precision::digits(DIGITS[0]);
            let a = left.enclose(&point, precision, budget);
            let b = right.enclose(&point, precision, budget);
            match (a, b) {
                (Ok(a), Ok(b)) => {
                    if !is_complex && (a.as_real().is_none() || b.as_real().is_none()) {
                        continue;
                    }
                    if !a.overlaps(&b) {
                        return Some(Verdict::different("disjoint enclosures at a point"));
                    }
                    agreed.push(point);
                }
                (Err(ValueError::NotScalar), _) | (_, Err(ValueError::NotScalar)) => return None,
                (Err(ValueError::Budget), _) | (_, Err(ValueError::Budget)) => {
                    return Some(Verdict::unknown("time budget"));
                }
                _ => {}
            }
        }
        if agreed.len() == POINTS {
            break;
        }
    }
    if let Some(verdict) = canonical(left, right, budget) {
        return Some(verdict);
    }
    if budget.is_spent() {
        return Some(Verdict::unknown("time budget"));
    }
    if agreed.len() < POINTS / 2 {
        return Some(Verdict::unknown("no values at most points"));
    }
    if all_exact {
        return Some(Verdict::equal("same rational values at random points"));
    }
    let precision = Precision::digits(DIGITS[2]);
    for point in agreed.iter().take(3) {
        match (left.enclose(point, precision, budget), right.enclose(point, precision, budget)) {
            (Ok(a), Ok(b)) if a.overlaps(&b) && is_narrow_enough(&a) && is_narrow_enough(&b) => {}
            (Ok(a), Ok(b)) if !a.overlaps(&b) => {
                return Some(Verdict::different("disjoint enclosures at a point"));
            }
            _ => return Some(Verdict::unknown("enclosures are too wide")),
        }
    }
    Some(Verdict::equal("numeric: enclosures agree to 120 digits at random points"))
}

fn is_narrow_enough(value: &ComplexInterval) -> bool {
    value.width() < value.magnitude().max(0) - 300
}

/// The symbols of both, each once and in an order that does not depend on which comes first.
fn symbols(left: &Formula, right: &Formula) -> Vec<String> {
    left.symbols().union(&right.symbols()).cloned().collect()
}

/// The order of two real constants; `None` if they are not real or cannot be told apart and are not equal.
pub(super) fn order(left: &Formula, right: &Formula, budget: &Budget) -> Option<std::cmp::Ordering> {
    use std::cmp::Ordering;
    let position = |formula: &Formula| infinity(formula).unwrap_or(0);
    if position(left) != 0 || position(right) != 0 {
        return Some(position(left).cmp(&position(right)));
    }
    let none = Point::new();
    if let (Some(a), Some(b)) = (left.exact(&none, budget), right.exact(&none, budget))
        && a == b
    {
        return Some(Ordering::Equal);
    }
    let verdict = compare(left, right, budget)?;
    if verdict.equality == Equality::Equal {
        return Some(Ordering::Equal);
    }
    let precision = Precision::digits(DIGITS[1]);
    let a = left.enclose(&none, precision, budget).ok()?;
    let b = right.enclose(&none, precision, budget).ok()?;
    let (a, b) = (a.as_real()?, b.as_real()?);
    if a.is_below(b) {
        Some(Ordering::Less)
    } else if b.is_below(a) {
        Some(Ordering::Greater)
    } else {
        None
    }
}

/// The constant `c` with `left = c * right` at random points: its sign, if there is such a constant other than zero.
pub(in super::super) fn proportion(
    left: &Formula,
    right: &Formula,
    budget: &Budget,
) -> Result<i32, &'static str> {
    let symbols = symbols(left, right);
    let precision = Precision::digits(DIGITS[1]);
    let mut first: Option<(ComplexInterval, ComplexInterval)> = None;
    let mut compared = 0;
    let mut sign = 0;
    for round in 0..2 * POINTS {
        if budget.is_spent() {
            return Err("time budget");
        }
        let point = point(&symbols, round);
        let (Ok(a), Ok(b)) =
            (left.enclose(&point, precision, budget), right.enclose(&point, precision, budget))
        else {
            continue;
        };
        if a.contains_zero() || b.contains_zero() {
            if a.contains_zero() != b.contains_zero() {
                return Err("one side vanishes where the other does not");
            }
            continue;
        }
        match &first {
            None => {
                let ratio = a.divide(&b, precision).ok_or("no ratio")?;
                let real = ratio.as_real().ok_or("no real ratio")?;
                sign = if real.is_positive() { 1 } else { -1 };
                first = Some((a, b));
            }
            Some((c, d)) => {
                let left = a.multiply(d, precision).ok_or("too large")?;
                let right = b.multiply(c, precision).ok_or("too large")?;
                if !left.overlaps(&right) {
                    return Err("not a constant multiple");
                }
                compared += 1;
            }
        }
        if compared == POINTS {
            break;
        }
    }
    if compared >= POINTS / 2 || (symbols.is_empty() && sign != 0) { Ok(sign) } else { Err("no values") }
}
