//! What the published checkers ask a computer algebra system: does a difference simplify to zero?
//!
//! They ask sympy; here it is exact and rigorous comparison of what sympy's parsers would make of the same text. Where
//! sympy gives up on a true identity, or its floating-point zero is not exact, the two may differ.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use mathesis_symbolic::formula::{Budget, Formula, NamedConstant, Operation, Reading, Relation, Separator};
use mathesis_symbolic::interval::Precision;

use regex::Regex;

use super::strict::scalar::compare_exactly;
use crate::answers::pattern;

/// What a parser of a checker reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// sympy's LaTeX parser: `e`, `i` and `pi` are symbols, a letter before parentheses is a function, numerals are
    /// plain, and what follows a comma or a numeral's subscript is dropped.
    Latex,
    /// The same, read again by sympy's own parser, so that letters before parentheses multiply.
    LatexTwice,
    /// sympy's own parser of plain text.
    Plain,
}

/// The time for one comparison.
pub(super) fn budget() -> Budget {
    Budget::new(Duration::from_secs(1))
}

/// The formula that the parser would read; `None` where it fails.
pub(super) fn parse(text: &str, notation: Notation) -> Option<Formula> {
    let reading =
        Reading { mixed_numbers: false, imaginary_unit: notation == Notation::Plain && text.contains('I') };
    static NUMERALS: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?:^|[^\d])\.\d|\d\.(?:$|[^\d])|(?:^|[^\d.])0\d"));
    static EXPONENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d[eE]\d"));
    static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:^|[^a-zA-Z\\])[a-zA-Z]\("));
    let is_latex = notation != Notation::Plain;
    if text.trim().is_empty()
        || text.contains(['−', '\u{a0}'])
        || text.contains("{,}")
        || (is_latex && !text.is_ascii())
        || (!is_latex && text.contains('\\'))
    {
        return None;
    }
    if is_latex {
        let is_found = |pattern: &LazyLock<Regex>| pattern.is_match(text);
        let is_unknown =
            ["\\cfrac", "\\overline", "\\boxed", "\\gt", "\\lt", "{,}"].iter().any(|c| text.contains(c));
        if is_unknown || is_found(&NUMERALS) {
            return None;
        }
        // A product with the letter e, a function of its own: neither equals anything else.
        if is_found(&EXPONENT) || (notation == Notation::Latex && is_found(&CALL)) {
            return Some(Formula::Symbol(text.to_string()));
        }
    }
    let mut formula = Formula::read(text, reading).ok()?;
    if is_latex {
        formula = as_latex(formula);
    }
    let is_foreign = |part: &Formula| match part {
        Formula::List(..)
        | Formula::Group(..)
        | Formula::Set(_)
        | Formula::NamedSet(_)
        | Formula::Sets(..)
        | Formula::Matrix(_)
        | Formula::Based(..)
        | Formula::Text(_)
        | Formula::Percent(_)
        | Formula::Degrees(_)
        | Formula::Currency(..) => true,
        Formula::Apply(operation, _) => {
            matches!(operation, Operation::Maximum | Operation::Minimum)
                || (notation == Notation::Plain && *operation == Operation::Absolute)
        }
        Formula::Sum(terms) => terms.iter().any(|(sign, _)| {
            matches!(
                sign,
                mathesis_symbolic::formula::Sign::PlusMinus | mathesis_symbolic::formula::Sign::MinusPlus
            )
        }),
        _ => false,
    };
    if formula.any(&is_foreign) {
        return None;
    }
    Some(if is_latex { letters(&formula) } else { formula })
}

/// What sympy's LaTeX parser makes of lists, ratios, braces and subscripts of numerals.
fn as_latex(formula: Formula) -> Formula {
    let formula = match formula {
        Formula::List(mut items, Separator::Comma) if !items.is_empty() => items.remove(0),
        other => other,
    };
    formula.replace(&|part| match part {
        Formula::Set(items) if items.len() == 1 => items.first().cloned(),
        Formula::Based(digits, _) => Formula::read(digits, Reading::default()).ok(),
        Formula::Ratio(parts) if parts.len() == 2 => {
            Some(Formula::Quotient(Box::new(parts[0].clone()), Box::new(parts[1].clone())))
        }
        _ => None,
    })
}

/// `e` and `pi` as symbols, as sympy's LaTeX parser has them.
fn letters(formula: &Formula) -> Formula {
    formula.replace(&|part| match part {
        Formula::Constant(NamedConstant::E) => Some(Formula::Symbol("e".into())),
        Formula::Constant(NamedConstant::Pi) => Some(Formula::Symbol("pi".into())),
        _ => None,
    })
}

/// Whether the difference of two scalars is zero.
pub(super) fn is_zero_difference(left: &Formula, right: &Formula) -> bool {
    let is_relation = |formula: &Formula| matches!(formula, Formula::Chain(..) | Formula::Ratio(_));
    if is_relation(left) || is_relation(right) {
        return false;
    }
    // The floating-point difference of irrational values is hardly ever exactly zero.
    let is_decimal = |part: &Formula| matches!(part, Formula::Number(number) if number.decimals.is_some());
    let is_float = (left.any(&is_decimal) || right.any(&is_decimal)) && left.symbols().is_empty();
    let exact = |formula: &Formula| formula.exact(&BTreeMap::new(), &budget());
    if is_float && (exact(left).is_none() || exact(right).is_none()) {
        return left == right;
    }
    left == right || compare_exactly(left, right, &budget()).is_some_and(|verdict| verdict.is_equal())
}

/// `left - right` of a relation with one sign.
pub(super) fn sides(formula: &Formula) -> Option<(&Formula, &Formula, Relation)> {
    match formula {
        Formula::Chain(sides, relations) => match (sides.as_slice(), relations.as_slice()) {
            ([left, right], [relation]) => Some((left, right, *relation)),
            _ => None,
        },
        _ => None,
    }
}

/// The value of a real constant, if a floating-point number can hold it.
pub(super) fn number(formula: &Formula) -> Option<f64> {
    let value = formula.enclose(&BTreeMap::new(), Precision::digits(30), &budget()).ok()?;
    value.as_real().map(|real| real.to_f64()).filter(|value| value.is_finite())
}

/// Whether `a` and `b` differ by at most a relative tolerance of the larger. Nothing finite is close to infinity.
pub(super) fn is_close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_finite() && b.is_finite() && (a - b).abs() <= tolerance * a.abs().max(b.abs()))
}

/// `float(text)` of Python: ASCII forms, digits of all scripts, underscores left aside.
pub(super) fn python_float(text: &str) -> Option<f64> {
    let text = super::language::ascii_digits(text.trim());
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let is_special = matches!(text.to_lowercase().trim_start_matches(['+', '-']), "inf" | "nan" | "infinity");
    if is_plain || is_special { text.parse().ok() } else { None }
}
