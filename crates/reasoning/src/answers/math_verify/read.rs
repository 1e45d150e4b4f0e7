//! Values as Math-Verify's LaTeX parser makes them: letters in small, subscripts of numerals and degrees dropped,
//! lists as sets, brackets as intervals or tuples.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use mathesis_symbolic::formula::{
    Budget, Formula, NamedConstant, Operation, Reading, Relation, Separator, Sign,
};
use regex::Regex;

use crate::answers::pattern;

/// What a text states.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number or an expression.
    Scalar(Formula),
    /// A scalar over a hundred.
    Percent(Formula),
    /// A word or a text, in small letters.
    Name(String),
    /// Elements in the order in which they are written.
    Set(Vec<Value>),
    Tuple(Vec<Value>),
    /// The ends, each with whether it is open.
    Interval(Box<Value>, bool, Box<Value>, bool),
    /// A union, intersection or difference of sets, or a set by its letter.
    Sets(Formula),
    Matrix(Vec<Vec<Formula>>),
    /// One more side than relations.
    Relation(Vec<Value>, Vec<Relation>),
}

/// The time for one text or comparison.
pub(super) fn budget() -> Budget {
    Budget::new(Duration::from_secs(1))
}

/// The value of a rewritten text; of a chain of equations that is not read, its last part.
pub(super) fn value(text: &str) -> Option<Value> {
    whole(text).or_else(|| {
        let last = text.rsplit('=').next()?;
        (!text.contains([',', ';']) && text.matches('=').count() > 1).then(|| whole(last))?
    })
}

fn whole(text: &str) -> Option<Value> {
    static BLANKS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d)(?:\s|\\[,;: ])+(\d)"));
    static UNREAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"[^\x00-\x7f−]|\\overline|\d[eE][+-]?\d"));
    if UNREAD.is_match(text) || text.trim().is_empty() {
        return None;
    }
    // A blank between digits multiplies.
    let text = BLANKS.replace_all(text, r"$1 \cdot $2");
    let groups = top_level(&text, ';');
    let mut values = Vec::new();
    for group in &groups {
        let items = list(group)?;
        values.push(if items.len() == 1 || groups.len() == 1 { items } else { vec![Value::Tuple(items)] });
    }
    let mut values: Vec<Value> = values.into_iter().flatten().collect();
    Some(if values.len() == 1 { values.remove(0) } else { Value::Set(values) })
}

/// The parts between separators outside of all brackets.
fn top_level(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i64, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The values of a list with commas.
fn list(text: &str) -> Option<Vec<Value>> {
    // A numeral that begins with 0 has a decimal comma.
    let decimal =
        text.trim().strip_prefix("0,").filter(|d| d.len() > 1 && d.bytes().all(|b| b.is_ascii_digit()));
    let plain = decimal.map(|digits| format!("0.{digits}"));
    let reading = Reading { mixed_numbers: true, imaginary_unit: false };
    let formula = Formula::read(plain.as_deref().unwrap_or(text), reading).ok()?;
    let Formula::List(items, Separator::Comma) = &formula else {
        return choices(&formula);
    };
    let mut values = Vec::new();
    for item in items {
        values.extend(choices(item)?);
    }
    // `n = 1, 2, 3`: the name of a set.
    let is_bare = |value: &Value| !matches!(value, Value::Relation(..));
    if values.len() > 1
        && values[1..].iter().all(is_bare)
        && let Value::Relation(sides, relations) = &mut values[0]
        && relations.as_slice() == [Relation::Equal]
        && let Some(first) = sides.pop()
    {
        let (mut sides, relations) = (std::mem::take(sides), std::mem::take(relations));
        values[0] = first;
        sides.push(Value::Set(values));
        return Some(vec![Value::Relation(sides, relations)]);
    }
    Some(values)
}

/// One value, or two for `±`.
fn choices(formula: &Formula) -> Option<Vec<Value>> {
    if let Formula::Sum(_) = formula {
        return formula.sign_choices().iter().map(one).collect();
    }
    // `x = 1 ± 2` is a name and two values.
    if let Formula::Chain(sides, relations) = formula
        && let Some(last @ Formula::Sum(_)) = sides.last()
    {
        let values: Vec<Value> = last.sign_choices().iter().map(one).collect::<Option<_>>()?;
        if values.len() == 2 {
            let mut chain: Vec<Value> = sides[..sides.len() - 1].iter().map(one).collect::<Option<_>>()?;
            chain.push(Value::Set(values));
            return Some(vec![Value::Relation(chain, relations.clone())]);
        }
    }
    Some(vec![one(formula)?])
}

fn many(items: &[Formula]) -> Option<Vec<Value>> {
    let nested: Vec<Vec<Value>> = items.iter().map(choices).collect::<Option<_>>()?;
    Some(nested.into_iter().flatten().collect())
}

fn one(formula: &Formula) -> Option<Value> {
    Some(match formula {
        Formula::List(items, _) => Value::Set(many(items)?),
        Formula::Set(items) => Value::Set(many(items)?),
        Formula::Group(open, items, close) => {
            let mut values = many(items)?;
            if values.len() == 2 && !is_turned(items, *open == '(' && *close == ')') {
                let high = Box::new(values.remove(1));
                Value::Interval(Box::new(values.remove(0)), *open == '(', high, *close == ')')
            } else {
                Value::Tuple(values)
            }
        }
        Formula::NamedSet(_) | Formula::Sets(..) => Value::Sets(formula.clone()),
        Formula::Matrix(rows) => {
            Value::Matrix(rows.iter().map(|row| row.iter().map(scalar).collect()).collect::<Option<_>>()?)
        }
        Formula::Chain(sides, relations) => chain(sides, relations)?,
        Formula::Percent(inner) => Value::Percent(scalar(inner)?),
        Formula::Text(text) => name(text),
        _ => match matrix(formula) {
            Some(rows) => Value::Matrix(rows),
            None => Value::Scalar(scalar(formula)?),
        },
    })
}

fn name(text: &str) -> Value {
    let kept: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')')).collect();
    Value::Name(kept.to_lowercase())
}

/// Whether the ends of an interval stand in the wrong order, so that it would be empty.
fn is_turned(items: &[Formula], is_open: bool) -> bool {
    let value = |item: &Formula| super::super::computer_algebra::number(item);
    let (Some(low), Some(high)) = (items.first().and_then(value), items.get(1).and_then(value)) else {
        return false;
    };
    high < low || (is_open && high == low)
}

/// A chain of relations. What stands behind `≈` is dropped, or what stands before, if that is only a name.
fn chain(sides: &[Formula], relations: &[Relation]) -> Option<Value> {
    let mut values: Vec<Value> = vec![one(sides.first()?)?];
    let mut kept: Vec<Relation> = Vec::new();
    for (side, relation) in sides.iter().skip(1).zip(relations) {
        match relation {
            Relation::Approximate if values.len() == 1 && is_name(&values[0]) => values = vec![one(side)?],
            Relation::Approximate => {}
            Relation::Tends | Relation::Congruent => return None,
            _ => {
                values.push(one(side)?);
                kept.push(if *relation == Relation::In { Relation::Equal } else { *relation });
            }
        }
    }
    Some(if kept.is_empty() { values.remove(0) } else { Value::Relation(values, kept) })
}

/// Whether something consists of symbols alone.
pub(super) fn is_name(value: &Value) -> bool {
    fn is_symbols(formula: &Formula) -> bool {
        match formula {
            Formula::Symbol(_) | Formula::Word(_) => true,
            Formula::Power(..) => false,
            _ => {
                let children = formula.children();
                !children.is_empty() && children.into_iter().all(is_symbols)
            }
        }
    }
    match value {
        Value::Name(_) => true,
        Value::Scalar(formula) => is_symbols(formula),
        Value::Tuple(items) | Value::Set(items) => !items.is_empty() && items.iter().all(is_name),
        Value::Interval(low, _, high, _) => is_name(low) && is_name(high),
        _ => false,
    }
}

/// A scalar with its letters in small; `None` for anything else.
fn scalar(formula: &Formula) -> Option<Formula> {
    let plain = formula.replace(&|part| match part {
        Formula::Symbol(name) if name.chars().any(char::is_uppercase) => {
            Some(Formula::Symbol(name.to_lowercase()))
        }
        Formula::Word(word) if word.chars().any(char::is_uppercase) => {
            Some(Formula::Word(word.to_lowercase()))
        }
        Formula::Text(text) => {
            let Value::Name(name) = name(text) else { return None };
            Some(if name == "e" { Formula::Constant(NamedConstant::E) } else { Formula::Symbol(name) })
        }
        Formula::Based(digits, _) => Formula::read(digits, Reading::default()).ok(),
        Formula::Degrees(inner) => scalar(inner),
        Formula::Ratio(parts) => {
            let mut parts = parts.iter().map(scalar).collect::<Option<Vec<_>>>()?.into_iter();
            let first = parts.next()?;
            Some(parts.fold(first, |a, b| Formula::Quotient(Box::new(a), Box::new(b))))
        }
        Formula::Set(items) if items.len() == 1 => scalar(&items[0]),
        _ => None,
    });
    let is_foreign = |part: &Formula| {
        matches!(
            part,
            Formula::List(..)
                | Formula::Group(..)
                | Formula::Set(_)
                | Formula::NamedSet(_)
                | Formula::Sets(..)
                | Formula::Matrix(_)
                | Formula::Chain(..)
                | Formula::Percent(_)
                | Formula::Currency(..)
                | Formula::Degrees(_)
                | Formula::Ratio(_)
                | Formula::Apply(Operation::Maximum | Operation::Minimum, _)
        )
    };
    (!plain.any(&is_foreign)).then_some(plain)
}

/// The matrix that sums and products of matrices are.
fn matrix(formula: &Formula) -> Option<Vec<Vec<Formula>>> {
    match formula {
        Formula::Matrix(rows) => rows.iter().map(|row| row.iter().map(scalar).collect()).collect(),
        Formula::Sum(terms) => {
            let mut sum: Option<Vec<Vec<Formula>>> = None;
            for (sign, term) in terms {
                let rows = matrix(term)?;
                let before = match sum.take() {
                    Some(before) => before,
                    None => rows
                        .iter()
                        .map(|row| row.iter().map(|_| Formula::Sum(Vec::new())).collect())
                        .collect(),
                };
                if before.len() != rows.len() || before.first()?.len() != rows.first()?.len() {
                    return None;
                }
                let add = |a: Formula, b: Formula| match a {
                    Formula::Sum(mut terms) => {
                        terms.push((*sign, b));
                        Formula::Sum(terms)
                    }
                    other => Formula::Sum(vec![(Sign::Plus, other), (*sign, b)]),
                };
                let rows = before.into_iter().zip(rows);
                sum =
                    Some(rows.map(|(a, b)| a.into_iter().zip(b).map(|(a, b)| add(a, b)).collect()).collect());
            }
            sum
        }
        Formula::Product(factors) => {
            let mut product = matrix(factors.first()?)?;
            for factor in factors.iter().skip(1) {
                let right = matrix(factor)?;
                if product.first()?.len() != right.len() {
                    return None;
                }
                let entry = |row: &Vec<Formula>, column: usize| {
                    let terms = row
                        .iter()
                        .zip(&right)
                        .map(|(a, b)| (Sign::Plus, Formula::Product(vec![a.clone(), b[column].clone()])));
                    Formula::Sum(terms.collect())
                };
                let width = right.first()?.len();
                product = product.iter().map(|row| (0..width).map(|c| entry(row, c)).collect()).collect();
            }
            Some(product)
        }
        _ => None,
    }
}

/// The rational value of a number that is written out, perhaps with a sign, and whether it is a decimal.
pub(super) fn literal(formula: &Formula) -> Option<bool> {
    match formula {
        Formula::Number(number) => Some(number.decimals.is_some()),
        Formula::Sum(terms) => match terms.as_slice() {
            [(Sign::Plus | Sign::Minus, inner)] => literal(inner),
            _ => None,
        },
        Formula::Quotient(above, below) => {
            let whole = literal(above) == Some(false) && literal(below) == Some(false);
            whole.then_some(false)
        }
        Formula::Mixed(..) => Some(false),
        Formula::Product(factors) => match factors.as_slice() {
            [above, Formula::Inverse(below)] => {
                (literal(above) == Some(false) && literal(below) == Some(false)).then_some(false)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The exact value of a constant.
pub(super) fn rational(formula: &Formula) -> Option<mathesis_symbolic::Rational> {
    formula.exact(&BTreeMap::new(), &budget())
}
