//! Sets of real numbers: equal if the same points and the same gaps between all their ends belong to both.

use mathesis_symbolic::formula::{Budget, Formula, NamedConstant, Relation, SetOperation, Sign};

use super::scalar::{infinity, order};

/// A set of real numbers as it is written.
pub(in super::super) enum RealSet {
    All,
    Points(Vec<Formula>),
    /// The ends, and whether they belong to it.
    Interval(Formula, bool, Formula, bool),
    Combined(Box<RealSet>, SetOperation, Box<RealSet>),
}

fn infinite(sign: i32) -> Formula {
    let infinity = Formula::Constant(NamedConstant::Infinity);
    if sign > 0 { infinity } else { Formula::Sum(vec![(Sign::Minus, infinity)]) }
}

fn is_constant(formula: &Formula) -> bool {
    formula.symbols().is_empty()
}

impl RealSet {
    /// The set that a formula writes out; `None` for anything else than real sets with constant ends.
    pub(in super::super) fn from_formula(formula: &Formula) -> Option<RealSet> {
        match formula {
            Formula::NamedSet('R') => Some(RealSet::All),
            Formula::Set(items) => {
                let points: Vec<Formula> = items.iter().flat_map(Formula::sign_choices).collect();
                points.iter().all(is_constant).then_some(RealSet::Points(points))
            }
            Formula::Group(open, items, close) => match items.as_slice() {
                [low, high] if is_constant(low) && is_constant(high) => {
                    Some(RealSet::Interval(low.clone(), *open == '[', high.clone(), *close == ']'))
                }
                _ => None,
            },
            Formula::Sets(operands, operations) if operands.len() <= 64 => {
                let mut set = Self::from_formula(operands.first()?)?;
                for (operand, operation) in operands.iter().skip(1).zip(operations) {
                    let right = Self::from_formula(operand)?;
                    set = RealSet::Combined(Box::new(set), *operation, Box::new(right));
                }
                Some(set)
            }
            Formula::Chain(..) => Self::from_condition(formula).map(|(_, set)| set),
            _ => None,
        }
    }

    /// The symbol and its values for `2 < x <= 7`, `x >= 3` or `x \ne 3`.
    pub(in super::super) fn from_condition(formula: &Formula) -> Option<(String, RealSet)> {
        let Formula::Chain(sides, relations) = formula else { return None };
        let mut name = None;
        let mut set: Option<RealSet> = None;
        for (pair, relation) in sides.windows(2).zip(relations) {
            let (symbol, bound, relation) = match pair {
                [Formula::Symbol(symbol), bound] if is_constant(bound) => (symbol, bound, *relation),
                [bound, Formula::Symbol(symbol)] if is_constant(bound) => {
                    (symbol, bound, relation.mirrored()?)
                }
                _ => return None,
            };
            if name.get_or_insert_with(|| symbol.clone()) != symbol {
                return None;
            }
            let bound = bound.clone();
            let part = match relation {
                Relation::Less => RealSet::Interval(infinite(-1), false, bound, false),
                Relation::LessOrEqual => RealSet::Interval(infinite(-1), false, bound, true),
                Relation::Greater => RealSet::Interval(bound, false, infinite(1), false),
                Relation::GreaterOrEqual => RealSet::Interval(bound, true, infinite(1), false),
                Relation::Equal => RealSet::Points(vec![bound]),
                Relation::NotEqual => RealSet::Combined(
                    Box::new(RealSet::All),
                    SetOperation::Difference,
                    Box::new(RealSet::Points(vec![bound])),
                ),
                _ => return None,
            };
            set = Some(match set {
                None => part,
                Some(set) => RealSet::Combined(Box::new(set), SetOperation::Intersection, Box::new(part)),
            });
        }
        Some((name?, set?))
    }

    /// The union or the intersection of conditions on the same symbol.
    pub(in super::super) fn from_conditions(
        conditions: &[Formula],
        alternatives: bool,
    ) -> Option<(String, RealSet)> {
        let mut result: Option<(String, RealSet)> = None;
        let operation = if alternatives { SetOperation::Union } else { SetOperation::Intersection };
        for condition in conditions {
            let (name, set) = Self::from_condition(condition)?;
            result = Some(match result {
                None => (name, set),
                Some((known, _)) if known != name => return None,
                Some((known, left)) => (known, RealSet::Combined(Box::new(left), operation, Box::new(set))),
            });
        }
        result
    }

    fn ends<'a>(&'a self, ends: &mut Vec<&'a Formula>) {
        match self {
            RealSet::All => {}
            RealSet::Points(points) => ends.extend(points),
            RealSet::Interval(low, _, high, _) => {
                ends.extend([low, high].into_iter().filter(|end| infinity(end).is_none()))
            }
            RealSet::Combined(left, _, right) => {
                left.ends(ends);
                right.ends(ends);
            }
        }
    }

    /// Whether a cell belongs to the set: cell `2k + 1` is the `k`-th end, cell `2k` the gap before it.
    fn contains(&self, cell: usize, position: &impl Fn(&Formula) -> usize) -> bool {
        match self {
            RealSet::All => true,
            RealSet::Points(points) => points.iter().any(|point| position(point) == cell),
            RealSet::Interval(low, has_low, high, has_high) => {
                let above = match infinity(low) {
                    Some(sign) => sign < 0,
                    None => cell > position(low) || (*has_low && cell == position(low)),
                };
                let below = match infinity(high) {
                    Some(sign) => sign > 0,
                    None => cell < position(high) || (*has_high && cell == position(high)),
                };
                above && below
            }
            RealSet::Combined(left, operation, right) => {
                let (left, right) = (left.contains(cell, position), right.contains(cell, position));
                match operation {
                    SetOperation::Union => left || right,
                    SetOperation::Intersection => left && right,
                    SetOperation::Difference => left && !right,
                }
            }
        }
    }
}

/// Whether two sets have the same elements; `None` if their ends cannot be put in order.
pub(in super::super) fn equal(left: &RealSet, right: &RealSet, budget: &Budget) -> Option<bool> {
    let mut ends = Vec::new();
    left.ends(&mut ends);
    right.ends(&mut ends);
    if ends.len() > 64 {
        return None;
    }
    // Insertion, as comparing may fail.
    let mut sorted: Vec<&Formula> = Vec::new();
    let mut positions: Vec<(&Formula, usize)> = Vec::new();
    for end in &ends {
        let mut place = sorted.len();
        let mut is_new = true;
        for (at, known) in sorted.iter().enumerate() {
            match order(end, known, budget)? {
                std::cmp::Ordering::Less => {
                    place = at;
                    break;
                }
                std::cmp::Ordering::Equal => {
                    (place, is_new) = (at, false);
                    break;
                }
                std::cmp::Ordering::Greater => {}
            }
        }
        if is_new {
            sorted.insert(place, end);
            positions.iter_mut().filter(|(_, at)| *at >= place).for_each(|(_, at)| *at += 1);
        }
        positions.push((end, place));
    }
    let position = |formula: &Formula| {
        let found = positions.iter().find(|(end, _)| std::ptr::eq(*end, formula));
        found.map_or(usize::MAX, |(_, at)| 2 * at + 1)
    };
    Some((0..=2 * sorted.len()).all(|cell| left.contains(cell, &position) == right.contains(cell, &position)))
}
