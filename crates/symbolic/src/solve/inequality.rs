//! Inequalities in one unknown, by sign charts.
//!
//! Between two neighbouring zeros, poles, ends of the domain and zeros of the arguments of absolute values the sign of a
//! side is constant, so one rational point in each interval decides it; the ends themselves are decided exactly.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;

use crate::expression::Kind;
use crate::formula::{Budget, Relation};
use crate::interval::Precision;
use crate::{Expr, Function, Rational, Symbol};

use super::Unsolved;
use super::equation::{Solutions, solve_equation};

/// An end of an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Where.
    pub at: Expr,
    /// Whether it belongs to the interval.
    pub closed: bool,
}

/// An interval or a point; `None` for an end at infinity.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The lower end.
    pub lower: Option<End>,
    /// The upper end.
    pub upper: Option<End>,
}

/// A finite union of disjoint intervals and points, from below.
#[derive(Clone, Debug, PartialEq)]
pub struct RealSet(Vec<Piece>);

/// The real values of `unknown` for which `difference`, left side less right side, has the relation to zero.
///
/// # Errors
/// [`Unsolved::Parameters`] if other symbols occur, otherwise as [`solve_equation`].
pub fn solve_inequality(
    difference: &Expr,
    relation: Relation,
    unknown: &Symbol,
    budget: &Budget,
) -> Result<RealSet, Unsolved> {
    if difference.symbols().iter().any(|symbol| symbol != unknown) {
        return Err(Unsolved::Parameters);
    }
    let is_wanted = |sign: i32| match relation {
        Relation::Less => sign < 0,
        Relation::LessOrEqual => sign <= 0,
        Relation::Greater => sign > 0,
        Relation::GreaterOrEqual => sign >= 0,
        Relation::NotEqual => sign != 0,
        _ => sign == 0,
    };
    let mut breaks = Vec::new();
    let mut absolutes = BTreeSet::new();
    for part in breaking_parts(difference, &mut absolutes) {
        if part.contains(unknown)
            && let Solutions::Finite(values) = solve_equation(&part, unknown, budget)?
        {
            breaks.extend(values);
        }
    }
    sort(&mut breaks, budget)?;
    // The zeros, interval by interval, where every absolute value is one of ±u.
    let mut points = breaks.clone();
    if absolutes.is_empty() {
        points.extend(zeros(difference, unknown, budget)?);
    } else {
        for sample in samples(&breaks, budget)? {
            let at = BTreeMap::from([(unknown.clone(), Expr::number(sample))]);
            let case = difference.replace_parts(&mut |part| {
                let argument = part.absolute_argument().filter(|argument| argument.contains(unknown))?;
                let sign = argument.substitute(&at).sign_of_constant(budget)?;
                Some(argument * i64::from(sign))
            });
            points.extend(zeros(&case, unknown, budget)?);
        }
    }
    sort(&mut points, budget)?;
    let value_at = |value: &Expr| difference.substitute(&BTreeMap::from([(unknown.clone(), value.clone())]));
    // Whether each open interval and each point between them belongs to the set, in turn.
    let intervals = samples(&points, budget)?.into_iter().map(|sample| {
        let value = value_at(&Expr::number(sample));
        Ok(value.sign_of_constant(budget).is_some_and(is_wanted))
    });
    let intervals: Vec<bool> = intervals.collect::<Result<_, Unsolved>>()?;
    let members: Vec<bool> = points
        .iter()
        .map(|point| match value_at(point).simplify(budget) {
            Some(value) => value.sign_of_constant(budget).is_some_and(is_wanted),
            None => false,
        })
        .collect();
    Ok(RealSet::from_chart(&points, &intervals, &members))
}

/// Where a piecewise case vanishes identically there are no isolated zeros, and none are needed.
fn zeros(difference: &Expr, unknown: &Symbol, budget: &Budget) -> Result<Vec<Expr>, Unsolved> {
    Ok(match solve_equation(difference, unknown, budget)? {
        Solutions::Finite(values) => values,
        Solutions::Infinite => Vec::new(),
    })
}

/// Denominators, radicands, arguments of logarithms and of absolute values; the latter are also put into `absolutes`.
fn breaking_parts(expression: &Expr, absolutes: &mut BTreeSet<Expr>) -> BTreeSet<Expr> {
    fn collect(expression: &Expr, parts: &mut BTreeSet<Expr>, absolutes: &mut BTreeSet<Expr>) {
        let mut power = |base: &Expr, exponent: &Expr| {
            if exponent.as_number().is_none_or(|e| e.is_negative() || !e.is_integer()) {
                parts.insert(base.clone());
            }
        };
        match expression.kind() {
            Kind::Power(base, exponent) => power(base, exponent),
            Kind::Product(_, factors) => factors.iter().for_each(|(base, exponent)| power(base, exponent)),
            Kind::Function(function, argument) => {
                parts.insert(argument.clone());
                if *function == Function::Abs {
                    absolutes.insert(argument.clone());
                }
            }
            _ => {}
        }
        expression.for_each_child(|child| collect(child, parts, absolutes));
    }
    let mut parts = BTreeSet::new();
    collect(expression, &mut parts, absolutes);
    parts
}

fn compare(a: &Expr, b: &Expr, budget: &Budget) -> Result<Ordering, Unsolved> {
    let sign = (a - b).sign_of_constant(budget).ok_or(Unsolved::NoClosedForm)?;
    Ok(sign.cmp(&0))
}

/// Sort numbers and drop those that are equal to others.
fn sort(values: &mut Vec<Expr>, budget: &Budget) -> Result<(), Unsolved> {
    let mut sorted: Vec<Expr> = Vec::new();
    for value in values.drain(..) {
        let mut place = sorted.len();
        let mut is_known = false;
        for (k, other) in sorted.iter().enumerate() {
            match compare(&value, other, budget)? {
                Ordering::Greater => {}
                Ordering::Equal => is_known = true,
                Ordering::Less => {
                    place = k;
                    break;
                }
            }
        }
        if !is_known {
            sorted.insert(place, value);
        }
    }
    *values = sorted;
    Ok(())
}

/// A rational number in each open interval between sorted points, and outside of them.
fn samples(points: &[Expr], budget: &Budget) -> Result<Vec<Rational>, Unsolved> {
    let near = |point: &Expr, bits: u32| -> Option<Rational> {
        let enclosure = point.enclose(Precision::digits(40))?.to_f64();
        let scaled = enclosure * 2_f64.powi(bits as i32);
        (scaled.abs() < 9e15)
            .then(|| Rational::new(scaled.floor() as i64, BigInt::from(1_u64 << bits)))
            .flatten()
    };
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(vec![Rational::ZERO]) };
    let whole = |point: &Expr| near(point, 0).ok_or(Unsolved::NoClosedForm);
    let mut result = vec![&whole(first)? - &Rational::ONE];
    for pair in points.windows(2) {
        let middle = (&pair[0] + &pair[1]) * Expr::rational(1, 2);
        let inside = [0, 4, 10, 20, 30].iter().find_map(|bits| {
            let candidate = near(&middle, *bits)?;
            let value = Expr::number(candidate.clone());
            let is_inside = compare(&pair[0], &value, budget) == Ok(Ordering::Less)
                && compare(&value, &pair[1], budget) == Ok(Ordering::Less);
            is_inside.then_some(candidate)
        });
        result.push(inside.ok_or(Unsolved::NoClosedForm)?);
    }
    result.push(&whole(last)? + &Rational::from(2));
    Ok(result)
}

impl RealSet {
    /// All real numbers.
    pub fn line() -> Self {
        RealSet(vec![Piece { lower: None, upper: None }])
    }

    /// The intervals and points, from below.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is all real numbers.
    pub fn is_line(&self) -> bool {
        matches!(self.0.as_slice(), [Piece { lower: None, upper: None }])
    }

    fn from_chart(points: &[Expr], intervals: &[bool], members: &[bool]) -> Self {
        let mut pieces = Vec::new();
        let mut open: Option<Piece> = intervals[0].then_some(Piece { lower: None, upper: None });
        for (k, point) in points.iter().enumerate() {
            let end = Some(End { at: point.clone(), closed: members[k] });
            let (before, after) = (intervals[k], intervals[k + 1]);
            if before && after && members[k] {
                continue;
            }
            if let Some(piece) = open.take() {
                pieces.push(Piece { upper: end.clone(), ..piece });
            } else if members[k] && !after {
                pieces.push(Piece { lower: end.clone(), upper: end.clone() });
            }
            if after {
                // The point belongs to the piece before it if there is one.
                let closed = members[k] && !before;
                open = Some(Piece { lower: Some(End { at: point.clone(), closed }), upper: None });
            }
        }
        pieces.extend(open);
        RealSet(pieces)
    }

    /// Whether a constant is in the set.
    ///
    /// # Errors
    /// [`Unsolved::NoClosedForm`] if its order to an end is not decided.
    pub fn contains(&self, value: &Expr, budget: &Budget) -> Result<bool, Unsolved> {
        for piece in &self.0 {
            let is_above = match &piece.lower {
                None => true,
                Some(end) => match compare(value, &end.at, budget)? {
                    Ordering::Greater => true,
                    Ordering::Equal => end.closed,
                    Ordering::Less => false,
                },
            };
            let is_below = match &piece.upper {
                None => true,
                Some(end) => match compare(value, &end.at, budget)? {
                    Ordering::Less => true,
                    Ordering::Equal => end.closed,
                    Ordering::Greater => false,
                },
            };
            if is_above && is_below {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What both have in common.
    ///
    /// # Errors
    /// [`Unsolved::NoClosedForm`] if the order of two ends is not decided.
    pub fn intersection(&self, other: &RealSet, budget: &Budget) -> Result<RealSet, Unsolved> {
        let ends = self.0.iter().chain(&other.0).flat_map(|piece| [&piece.lower, &piece.upper]);
        let mut points: Vec<Expr> = ends.flatten().map(|end| end.at.clone()).collect();
        sort(&mut points, budget)?;
        let is_in = |value: &Expr| Ok(self.contains(value, budget)? && other.contains(value, budget)?);
        let intervals: Vec<bool> = samples(&points, budget)?
            .into_iter()
            .map(|sample| is_in(&Expr::number(sample)))
            .collect::<Result<_, Unsolved>>()?;
        let members: Vec<bool> = points.iter().map(is_in).collect::<Result<_, Unsolved>>()?;
        Ok(RealSet::from_chart(&points, &intervals, &members))
    }
}
