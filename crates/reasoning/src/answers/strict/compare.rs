//! Whether two values are equal, kind by kind.

use mathesis_symbolic::formula::{Budget, Formula, Relation, Sign};

use super::super::{Equality, Verdict};
use super::read::{Scalar, Value};
use super::sets::{self, RealSet};
use super::units::{self, Unit};
use super::{read, scalar};

/// The longest lists that are compared without order.
const LONGEST_LIST: usize = 200;

/// Compare two values; `None` if their kinds cannot be compared.
pub(super) fn values(left: &Value, right: &Value, budget: &Budget) -> Option<Verdict> {
    if budget.is_spent() {
        return Some(Verdict::unknown("time budget"));
    }
    ordered(left, right, budget).or_else(|| ordered(right, left, budget))
}

fn ordered(left: &Value, right: &Value, budget: &Budget) -> Option<Verdict> {
    use Value::{
        Assignment, Based, Choice, Conditions, Group, List, Matrix, Ratio, Relation, Scalar, Set, Sets, Text,
        Truth,
    };
    let truth = |is_equal: bool, equal: &'static str, different: &'static str| {
        Some(if is_equal { Verdict::equal(equal) } else { Verdict::different(different) })
    };
    match (left, right) {
        (Truth(a), Truth(b)) => truth(a == b, "same truth value", "different truth values"),
        (Choice(a, _), Choice(b, _)) => truth(a == b, "same choice", "different choices"),
        (Choice(_, Some(value)), other) => values(value, other, budget),
        (Based(a, base), Based(b, other)) => {
            let is_equal = base == other && a.trim_start_matches('0') == b.trim_start_matches('0');
            truth(is_equal, "same numeral in the same base", "different numerals or bases")
        }
        (Based(..), _) => Some(Verdict::different("a numeral with a base equals only such a numeral")),
        (Text(a), Text(b)) => truth(a == b, "same text", "different text"),
        (Text(text), Set(items)) if items.is_empty() => {
            truth(is_no_solution(text), "no solution is the empty set", "text against a set")
        }
        (Text(text), Sets(Formula::NamedSet('R'))) => {
            let is_all = matches!(text.as_str(), "all real numbers" | "all reals" | "real numbers");
            truth(is_all, "all real numbers", "text against a set")
        }
        (Scalar(a), Scalar(b)) => scalars(a, b, budget),
        // A name for the answer alone.
        (Assignment(a, x), Assignment(b, y)) => {
            if a == b {
                return values(x, y, budget);
            }
            match (x.as_ref(), y.as_ref()) {
                (Scalar(x), Scalar(y)) => equations(&equation(a, x), &equation(b, y), budget),
                _ => Some(Verdict::different("different names")),
            }
        }
        (Assignment(name, value), Relation(relation)) => match value.as_ref() {
            Scalar(value) => relations(&equation(name, value), relation, budget),
            _ => Some(Verdict::different("different relations")),
        },
        (Assignment(..), Conditions(..)) => Some(Verdict::different("a value against conditions")),
        (Assignment(_, value), other) => values(value, other, budget),
        (List(a), List(b)) => {
            if let (Some(a), Some(b)) = (names(a), names(b)) {
                // Assignments belong to their names.
                let mut paired = Vec::new();
                for (name, value) in &a {
                    let Some((_, other)) = b.iter().find(|(other, _)| other == name) else {
                        return Some(Verdict::different("different names"));
                    };
                    paired.push(values(value, other, budget));
                }
                return all(a.len() == b.len(), paired, "same values of the same names");
            }
            unordered(a, b, false, budget)
        }
        (List(a), Group('(', b, ')')) => in_order(a, b, "same elements in the same order", budget),
        (List(a), Set(b)) | (Set(a), Set(b)) => unordered(a, b, true, budget),
        (Set(a), Scalar(_) | Group(..) | Matrix(_)) if a.len() == 1 => values(&a[0], right, budget),
        (Set(_), Group(_, items, _)) if items.len() != 2 => Some(Verdict::different("a set against a tuple")),
        (Group(open, a, close), Group(other_open, b, other_close)) => {
            if a.len() == 2 && (open != other_open || close != other_close) {
                return Some(Verdict::different("different ends of an interval"));
            }
            in_order(a, b, "same elements in the same order", budget)
        }
        (Matrix(a), Matrix(b)) => {
            let is_same_shape = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.len() == b.len());
            if !is_same_shape {
                return Some(Verdict::different("matrices of different shapes"));
            }
            let pairs = a.iter().flatten().zip(b.iter().flatten());
            all(true, pairs.map(|(a, b)| values(a, b, budget)).collect(), "same matrix")
        }
        (Ratio(a), Ratio(b)) => {
            if a.len() != b.len() {
                return Some(Verdict::different("ratios of different lengths"));
            }
            let cross = (1..a.len()).map(|at| {
                let product = |x: &Formula, y: &Formula| Formula::Product(vec![x.clone(), y.clone()]);
                scalar::compare(&product(&a[0], &b[at]), &product(&a[at], &b[0]), budget)
            });
            all(true, cross.collect(), "same ratio")
        }
        (Sets(Formula::NamedSet(a)), Sets(Formula::NamedSet(b))) => {
            truth(a == b, "same set", "different sets")
        }
        (Relation(a), Relation(b)) => relations(a, b, budget),
        (Conditions(a, either), Conditions(b, other)) if either == other && a.len() == b.len() => {
            let (a, b): (Vec<Value>, Vec<Value>) =
                (a.iter().map(read::from_formula).collect(), b.iter().map(read::from_formula).collect());
            unordered(&a, &b, false, budget)
                .filter(|verdict| verdict.equality == Equality::Equal)
                .or_else(|| real_sets(left, right, budget))
        }
        (
            Sets(_) | Relation(_) | Conditions(..),
            Sets(_) | Relation(_) | Conditions(..) | Group(..) | Set(_),
        ) => real_sets(left, right, budget),
        _ => None,
    }
}

fn is_no_solution(text: &str) -> bool {
    matches!(
        text,
        "no solution"
            | "no solutions"
            | "no real solution"
            | "no real solutions"
            | "none"
            | "empty set"
            | "无解"
    )
}

fn equation(name: &str, value: &Scalar) -> Formula {
    Formula::Chain(vec![Formula::Symbol(name.to_string()), value.formula.clone()], vec![Relation::Equal])
}

/// The names and values of a list of assignments to distinct names.
fn names(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut names: Vec<(&str, &Value)> = Vec::with_capacity(items.len());
    for item in items {
        let Value::Assignment(name, value) = item else { return None };
        if names.iter().any(|(known, _)| known == name) {
            return None;
        }
        names.push((name, value));
    }
    Some(names)
}

/// All parts equal; the first that is not decides.
fn all(is_same_length: bool, parts: Vec<Option<Verdict>>, reason: &'static str) -> Option<Verdict> {
    if !is_same_length {
        return Some(Verdict::different("different numbers of elements"));
    }
    let mut unknown = None;
    for part in parts {
        match part {
            None => return Some(Verdict::different("elements of different kinds")),
            Some(verdict) if verdict.equality == Equality::Different => return Some(verdict),
            Some(verdict) if verdict.equality == Equality::Unknown => unknown = Some(verdict),
            Some(_) => {}
        }
    }
    unknown.or(Some(Verdict::equal(reason)))
}

fn in_order(left: &[Value], right: &[Value], reason: &'static str, budget: &Budget) -> Option<Verdict> {
    if left.len() != right.len() {
        return Some(Verdict::different("different numbers of elements"));
    }
    all(true, left.iter().zip(right).map(|(a, b)| values(a, b, budget)).collect(), reason)
}

/// The same elements in any order: as often each, or, for sets, however often.
fn unordered(left: &[Value], right: &[Value], as_sets: bool, budget: &Budget) -> Option<Verdict> {
    if left.len().max(right.len()) > LONGEST_LIST {
        return Some(Verdict::unknown("too many elements"));
    }
    if !as_sets && left.len() != right.len() {
        return Some(Verdict::different("different numbers of elements"));
    }
    let mut used = vec![false; right.len()];
    let mut is_unknown = false;
    for item in left {
        let found = right.iter().enumerate().find(|(at, other)| {
            if used[*at] && !as_sets {
                return false;
            }
            let verdict = values(item, other, budget);
            is_unknown |= verdict.as_ref().is_some_and(|verdict| verdict.equality == Equality::Unknown);
            verdict.is_some_and(|verdict| verdict.equality == Equality::Equal)
        });
        match found {
            Some((at, _)) => used[at] = true,
            None if is_unknown => return Some(Verdict::unknown("an element could not be decided")),
            None => return Some(Verdict::different("an element without a match")),
        }
    }
    if as_sets {
        for (other, _) in right.iter().zip(&used).filter(|(_, used)| !**used) {
            let is_there = left
                .iter()
                .any(|item| values(item, other, budget).is_some_and(|v| v.equality == Equality::Equal));
            if !is_there {
                return Some(Verdict::different("an element without a match"));
            }
        }
    }
    Some(Verdict::equal(if as_sets { "same set" } else { "same elements in any order" }))
}

fn scalars(left: &Scalar, right: &Scalar, budget: &Budget) -> Option<Verdict> {
    if left.percent || right.percent {
        return percentages(left, right, budget);
    }
    match (&left.unit, &right.unit) {
        (Some(a), Some(b)) => {
            if a.dimension != b.dimension {
                return Some(Verdict::different("different units"));
            }
            scalar::compare(&scaled(&left.formula, a), &scaled(&right.formula, b), budget)
        }
        (None, None) => scalar::compare(&left.formula, &right.formula, budget),
        // A lone letter is a unit only beside an explicit one.
        (Some(unit), None) => with_letter(&left.formula, unit, &right.formula, budget),
        (None, Some(unit)) => with_letter(&right.formula, unit, &left.formula, budget),
    }
}

fn with_letter(number: &Formula, unit: &Unit, other: &Formula, budget: &Budget) -> Option<Verdict> {
    if let Formula::Product(factors) = other
        && let Some((Formula::Symbol(letter), rest)) = factors.split_last()
        && let Some(letter) = units::letter(letter)
        && !rest.is_empty()
    {
        if letter.dimension != unit.dimension {
            return Some(Verdict::different("different units"));
        }
        let rest = if rest.len() == 1 { rest[0].clone() } else { Formula::Product(rest.to_vec()) };
        return scalar::compare(&scaled(number, unit), &scaled(&rest, &letter), budget);
    }
    scalar::compare(number, other, budget)
}

fn scaled(formula: &Formula, unit: &Unit) -> Formula {
    if unit.factor == 1.into() {
        return formula.clone();
    }
    let number = |value: num_bigint::BigInt| {
        let text = value.to_string();
        let value = mathesis_symbolic::Rational::integer(value);
        Formula::Number(mathesis_symbolic::formula::Numeral { value, text, decimals: None })
    };
    let factor = Formula::Quotient(
        Box::new(number(unit.factor.numerator())),
        Box::new(number(unit.factor.denominator())),
    );
    Formula::Product(vec![formula.clone(), factor])
}

/// With a percent sign on one side both readings of it are allowed: 20 % is 20 or 0.2.
fn percentages(left: &Scalar, right: &Scalar, budget: &Budget) -> Option<Verdict> {
    let plain = scalar::compare(&left.formula, &right.formula, budget)?;
    if plain.equality != Equality::Different || left.percent == right.percent {
        return Some(plain);
    }
    let (percent, other) = if left.percent { (left, right) } else { (right, left) };
    let hundred = read::value("100", None);
    let Value::Scalar(hundred) = hundred else { return Some(plain) };
    let product = Formula::Product(vec![other.formula.clone(), hundred.formula]);
    scalar::compare(&percent.formula, &product, budget)
}

/// The two sides of a relation brought to one.
fn difference(sides: &[Formula]) -> Option<Formula> {
    match sides {
        [left, right] => Some(Formula::Sum(vec![(Sign::Plus, left.clone()), (Sign::Minus, right.clone())])),
        _ => None,
    }
}

fn equations(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    let (Formula::Chain(a, _), Formula::Chain(b, _)) = (left, right) else { return None };
    let (a, b) = (difference(a)?, difference(b)?);
    if a.symbols() != b.symbols() {
        return Some(Verdict::different("equations in different symbols"));
    }
    Some(match scalar::proportion(&a, &b, budget) {
        Ok(_) => Verdict::equal("same equation up to a factor"),
        Err(reason @ ("no values" | "time budget")) => Verdict::unknown(reason),
        Err(reason) => Verdict::different(reason),
    })
}

fn relations(left: &Formula, right: &Formula, budget: &Budget) -> Option<Verdict> {
    let (Formula::Chain(a, left_relations), Formula::Chain(b, right_relations)) = (left, right) else {
        return None;
    };
    if left == right {
        return Some(Verdict::equal("same relation"));
    }
    if let ([first], [second]) = (left_relations.as_slice(), right_relations.as_slice()) {
        let is_equation = |relation: &Relation| matches!(relation, Relation::Equal | Relation::Approximate);
        if is_equation(first) && is_equation(second) {
            return equations(left, right, budget);
        }
        let (a, b) = (difference(a)?, difference(b)?);
        if a.symbols() != b.symbols() {
            return Some(Verdict::different("relations in different symbols"));
        }
        return Some(match scalar::proportion(&a, &b, budget) {
            Ok(sign) if sign > 0 && first == second => Verdict::equal("same relation up to a factor"),
            Ok(sign) if sign < 0 && first.mirrored() == Some(*second) => {
                Verdict::equal("same relation up to a factor")
            }
            Ok(_) => Verdict::different("different relations between the same sides"),
            Err(reason @ ("no values" | "time budget")) => Verdict::unknown(reason),
            Err(reason) => Verdict::different(reason),
        });
    }
    if let (Some((name, a)), Some((other, b))) =
        (RealSet::from_condition(left), RealSet::from_condition(right))
    {
        if name != other {
            return Some(Verdict::different("relations in different symbols"));
        }
        return Some(set_verdict(sets::equal(&a, &b, budget)));
    }
    // The same chain, perhaps from the other end.
    let same = |a: &[Formula], first: &[Relation]| {
        a.len() == b.len()
            && first == right_relations.as_slice()
            && a.iter().zip(b).all(|(a, b)| {
                scalar::compare(a, b, budget).is_some_and(|verdict| verdict.equality == Equality::Equal)
            })
    };
    let reversed: Vec<Formula> = a.iter().rev().cloned().collect();
    let turned: Option<Vec<Relation>> =
        left_relations.iter().rev().map(|relation| relation.mirrored()).collect();
    let is_same = same(a, left_relations) || turned.is_some_and(|turned| same(&reversed, &turned));
    Some(if is_same { Verdict::equal("same relations") } else { Verdict::different("different relations") })
}

fn set_verdict(is_equal: Option<bool>) -> Verdict {
    match is_equal {
        Some(true) => Verdict::equal("same set of real numbers"),
        Some(false) => Verdict::different("different sets of real numbers"),
        None => Verdict::unknown("the ends of the sets cannot be put in order"),
    }
}

fn real_sets(left: &Value, right: &Value, budget: &Budget) -> Option<Verdict> {
    let read = |value: &Value| -> Option<(Option<String>, RealSet)> {
        match value {
            Value::Sets(formula) => Some((None, RealSet::from_formula(formula)?)),
            Value::Relation(formula) => RealSet::from_condition(formula).map(|(name, set)| (Some(name), set)),
            Value::Conditions(items, either) => {
                RealSet::from_conditions(items, *either).map(|(name, set)| (Some(name), set))
            }
            Value::Group(open, items, close) => {
                let formulas = scalars_of(items)?;
                Some((None, RealSet::from_formula(&Formula::Group(*open, formulas, *close))?))
            }
            Value::Set(items) => Some((None, RealSet::from_formula(&Formula::Set(scalars_of(items)?))?)),
            _ => None,
        }
    };
    let ((name, a), (other, b)) = (read(left)?, read(right)?);
    if let (Some(name), Some(other)) = (name, other)
        && name != other
    {
        return Some(Verdict::different("conditions on different symbols"));
    }
    Some(set_verdict(sets::equal(&a, &b, budget)))
}

fn scalars_of(items: &[Value]) -> Option<Vec<Formula>> {
    items
        .iter()
        .map(|item| match item {
            Value::Scalar(scalar) if scalar.unit.is_none() && !scalar.percent => Some(scalar.formula.clone()),
            _ => None,
        })
        .collect()
}
