//! The steps of the comparison, in their order.

use mathesis_symbolic::Rational;
use mathesis_symbolic::formula::{Formula, NamedConstant, Relation, Sign};

use super::super::computer_algebra::{is_zero_difference, number};
use super::super::strict::scalar::proportion;
use super::super::strict::sets::{self, RealSet};
use super::read::{Value, budget, is_name, literal, rational};

/// The deepest nesting of sets and tuples that is compared.
const DEEPEST: usize = 12;

/// Whether an answer equals the reference.
pub(super) fn equal(gold: &Value, answer: &Value, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    // Assignments: the first side and the last; with one on one side only, its value counts.
    let (mut gold, mut answer) = (shortened(gold), shortened(answer));
    if is_equation(&answer) && !is_equation(&gold) {
        answer = last_side(answer);
    } else if is_assignment(&gold) && !is_equation(&answer) {
        gold = last_side(gold);
    }
    // A relation against a set: the set of its solutions.
    if let Value::Relation(..) = gold
        && is_set(&answer)
    {
        return match (solutions(&gold), real_set(&answer)) {
            (Some(solutions), Some(set)) => sets::equal(&solutions, &set, &budget()) == Some(true),
            _ => false,
        };
    }
    if gold == answer {
        return true;
    }
    match (&gold, &answer) {
        (Value::Relation(..), Value::Relation(..)) => relations(&gold, &answer, depth),
        _ if is_set(&gold) || is_set(&answer) => collections(gold, answer, depth),
        _ if matches!(gold, Value::Tuple(_)) || matches!(answer, Value::Tuple(_)) => {
            collections(gold, answer, depth)
        }
        _ => names(&gold, &answer).unwrap_or_else(|| scalars(&gold, &answer)),
    }
}

fn is_set(value: &Value) -> bool {
    matches!(value, Value::Set(_) | Value::Interval(..) | Value::Sets(_))
}

fn is_equation(value: &Value) -> bool {
    matches!(value, Value::Relation(_, relations) if relations.iter().all(|r| *r == Relation::Equal))
}

fn is_assignment(value: &Value) -> bool {
    is_equation(value) && matches!(value, Value::Relation(sides, _) if sides.first().is_some_and(is_name))
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::Relation(sides, _) if is_assignment(value) => match (sides.first(), sides.last()) {
            (Some(first), Some(last)) => {
                Value::Relation(vec![first.clone(), last.clone()], vec![Relation::Equal])
            }
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

fn last_side(value: Value) -> Value {
    match value {
        Value::Relation(mut sides, relations) => sides.pop().unwrap_or(Value::Relation(sides, relations)),
        other => other,
    }
}

fn formula(value: &Value) -> Option<Formula> {
    match value {
        Value::Scalar(formula) => Some(formula.clone()),
        _ => None,
    }
}

/// The real solutions of relations between constants and one name.
fn solutions(value: &Value) -> Option<RealSet> {
    let Value::Relation(sides, relations) = value else { return None };
    let mut unknown: Option<Formula> = None;
    let mut formulas = Vec::new();
    for side in sides {
        let side = formula(side)?;
        if side.symbols().is_empty() {
            formulas.push(side);
        } else if is_name(&Value::Scalar(side.clone())) && unknown.as_ref().is_none_or(|known| *known == side)
        {
            unknown = Some(side);
            formulas.push(Formula::Symbol("x".into()));
        } else {
            return None;
        }
    }
    RealSet::from_condition(&Formula::Chain(formulas, relations.clone())).map(|(_, set)| set)
}

fn real_set(value: &Value) -> Option<RealSet> {
    match value {
        Value::Sets(formula) => RealSet::from_formula(formula),
        Value::Interval(low, low_is_open, high, high_is_open) => {
            let (open, close) = (if *low_is_open { '(' } else { '[' }, if *high_is_open { ')' } else { ']' });
            RealSet::from_formula(&Formula::Group(open, vec![formula(low)?, formula(high)?], close))
        }
        Value::Set(items) => {
            RealSet::from_formula(&Formula::Set(items.iter().map(formula).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn relations(gold: &Value, answer: &Value, depth: usize) -> bool {
    let (Value::Relation(sides, first), Value::Relation(others, second)) = (gold, answer) else {
        return false;
    };
    if first.len() != second.len() {
        return false;
    }
    if first.len() > 1 {
        // Link by link, in the order in which they are written.
        let link = |sides: &[Value], relations: &[Relation], at: usize| {
            Value::Relation(sides[at..at + 2].to_vec(), vec![relations[at]])
        };
        return (0..first.len())
            .all(|at| relations(&link(sides, first, at), &link(others, second, at), depth + 1));
    }
    let difference = |sides: &[Value]| match sides {
        [left, right] => {
            Some(Formula::Sum(vec![(Sign::Plus, formula(left)?), (Sign::Minus, formula(right)?)]))
        }
        _ => None,
    };
    let (Some(a), Some(b)) = (difference(sides), difference(others)) else {
        // Sets or tuples of the same name.
        return first == second
            && sides.len() == others.len()
            && sides.iter().zip(others).all(|(a, b)| equal(a, b, depth + 1));
    };
    if a.symbols() != b.symbols() {
        return false;
    }
    match proportion(&a, &b, &budget()) {
        Ok(sign) if first[0] == Relation::Equal || first[0] == Relation::NotEqual => {
            sign != 0 && first == second
        }
        Ok(sign) if sign > 0 => first == second,
        Ok(_) => first[0].mirrored() == Some(second[0]),
        Err(_) => false,
    }
}

/// Sets, tuples and intervals; a scalar counts as a set of one.
fn collections(gold: Value, answer: Value, depth: usize) -> bool {
    if let (Value::Interval(a, left, b, right), Value::Interval(c, other_left, d, other_right)) =
        (&gold, &answer)
    {
        return left == other_left
            && right == other_right
            && equal(a, c, depth + 1)
            && equal(b, d, depth + 1);
    }
    if is_set(&gold)
        && is_set(&answer)
        && let (Some(a), Some(b)) = (real_set(&gold), real_set(&answer))
        && sets::equal(&a, &b, &budget()) == Some(true)
    {
        return true;
    }
    // An open interval may be meant as a pair.
    let pair = |value: Value| match value {
        Value::Interval(low, true, high, true) => Value::Tuple(vec![*low, *high]),
        Value::Set(_) | Value::Tuple(_) | Value::Interval(..) | Value::Sets(_) => value,
        single => Value::Set(vec![single]),
    };
    let same = |a: &Value, b: &Value| equal(a, b, depth + 1);
    match (pair(gold), pair(answer)) {
        (Value::Tuple(a), Value::Tuple(b) | Value::Set(b)) => {
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b))
        }
        (Value::Set(a), Value::Tuple(b)) => matched(&a, &b, &same),
        (Value::Set(a), Value::Set(b)) => matched(&distinct(a), &distinct(b), &same),
        _ => false,
    }
}

fn distinct(items: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items.into_iter().take(200) {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

/// The same elements in any order.
fn matched(gold: &[Value], answer: &[Value], same: &impl Fn(&Value, &Value) -> bool) -> bool {
    let mut is_used = vec![false; answer.len()];
    gold.len() == answer.len()
        && gold.iter().all(|item| {
            let found = (0..answer.len()).find(|at| !is_used[*at] && same(item, &answer[*at]));
            found.inspect(|at| is_used[*at] = true).is_some()
        })
}

/// Words against words and against the product of their letters; `None` where no name takes part.
fn names(gold: &Value, answer: &Value) -> Option<bool> {
    let letters = |value: &Value| -> Option<String> {
        match value {
            Value::Name(name) => Some(name.clone()),
            Value::Scalar(formula) => letters(formula),
            _ => None,
        }
    };
    let is_symbol = |value: &Value| match value {
        Value::Name(_) => true,
        Value::Scalar(formula) => matches!(formula, Formula::Symbol(_)),
        _ => false,
    };
    if !is_symbol(gold) && !is_symbol(answer) {
        return None;
    }
    Some(matches!((letters(gold), letters(answer)), (Some(a), Some(b)) if a == b))
}

fn letters(formula: &Formula) -> Option<String> {
    match formula {
        Formula::Symbol(name) => Some(name.clone()),
        Formula::Word(word) => Some(word.clone()),
        Formula::Constant(NamedConstant::E) => Some("e".into()),
        Formula::Product(factors) => factors.iter().map(letters).collect(),
        _ => None,
    }
}

fn hundredth(formula: &Formula) -> Option<Rational> {
    Some(&rational(formula)? * &Rational::new(1, 100)?)
}

fn scalars(gold: &Value, answer: &Value) -> bool {
    if let (Value::Matrix(a), Value::Matrix(b)) = (gold, answer) {
        return a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| scalars(&Value::Scalar(a.clone()), &Value::Scalar(b.clone())))
            });
    }
    let (a, b) = match (gold, answer) {
        (Value::Scalar(a) | Value::Percent(a), Value::Scalar(b) | Value::Percent(b)) => (a, b),
        _ => return false,
    };
    if matches!(a, Formula::Constant(NamedConstant::Infinity))
        || matches!(b, Formula::Constant(NamedConstant::Infinity))
    {
        return super::super::strict::scalar::infinity(a) == super::super::strict::scalar::infinity(b);
    }
    let exact = |value: &Value| match value {
        Value::Scalar(formula) => rational(formula),
        Value::Percent(formula) => hundredth(formula),
        _ => None,
    };
    let floating = |value: &Value| match value {
        Value::Scalar(formula) => number(formula),
        Value::Percent(formula) => number(formula).map(|value| value / 100.0),
        _ => None,
    };
    let is_float = literal(a) == Some(true) || literal(b) == Some(true);
    if (literal(a).is_some() || literal(b).is_some()) && is_float {
        // Both rounded to six places.
        let rounded = |value: &Rational| {
            let half = Rational::new(1, 2).unwrap_or(Rational::from(0));
            (&(value * &Rational::from(1_000_000)) + &half).floor()
        };
        return match (exact(gold), exact(answer)) {
            (Some(a), Some(b)) => rounded(&a) == rounded(&b),
            _ => {
                matches!((floating(gold), floating(answer)), (Some(a), Some(b)) if (a * 1e6).round() == (b * 1e6).round())
            }
        };
    }
    if literal(a).is_some() && literal(b).is_some() {
        let is_whole = |formula: &Formula| rational(formula).is_some_and(|value| value.is_integer());
        let is_percent = matches!(gold, Value::Percent(_)) || matches!(answer, Value::Percent(_));
        // Of whole numbers the percent sign does not count.
        if is_percent && is_whole(a) && is_whole(b) {
            return rational(a) == rational(b);
        }
        return exact(gold).is_some() && exact(gold) == exact(answer);
    }
    let over = |value: &Value, formula: &Formula| match value {
        Value::Percent(_) => Formula::Percent(Box::new(formula.clone())),
        _ => formula.clone(),
    };
    let (a, b) = (over(gold, a), over(answer, b));
    if literal(&a).is_none() && literal(&b).is_none() {
        // The difference to fifteen digits.
        let difference = Formula::Sum(vec![(Sign::Plus, a.clone()), (Sign::Minus, b.clone())]);
        if number(&difference).is_some_and(|value| value.abs() < 1e-15) {
            return true;
        }
    }
    is_zero_difference(&a, &b)
}
