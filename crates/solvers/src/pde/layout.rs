//! Which conditions an equation of given order takes, and at which points equations and conditions are asked for.
//!
//! An unknown `u` whose highest derivative along axis `k` is of order `m_{u,k}` takes `m_{u,k}` conditions on that axis'
//! two faces (on one of them or spread over both); a periodic axis takes none. The discrete unknowns outnumber the points
//! at which the equations are asked for by exactly the conditions:
//! `Π_k (n_k + m_{u,k}) = Π_k n_k + Σ_k m_{u,k} Π_{j before k} n_j Π_{j after k} (n_j + m_{u,j})`,
//! where "before" and "after" refer to an order of precedence of the axes. This is also the rule for edges and corners:
//! the conditions of an axis hold on the whole face, edges included, up to where an axis of higher precedence has
//! already said what happens. Axes whose conditions have derivatives of lower order come first (Dirichlet before
//! Neumann, so that a corner takes the prescribed value), and among equals the one declared first.
//! In systems an axis comes last if one unknown has more conditions on it than its order and another fewer (a first-order
//! wave system with `u` given at both ends and `v` at none): at its edges `u` would otherwise be given too often.
//! Conditions that contradict each other at a corner are thus resolved in favour of the axis of higher precedence.

use super::{Derivative, Face, Problem, Residual, SolveError};

/// The highest order of differentiation that grids handle.
pub const HIGHEST_ORDER: usize = 4;

/// One condition, compiled and given to an unknown.
#[derive(Clone, Debug)]
pub struct OwnedCondition {
    /// Where it holds.
    pub face: Face,
    /// The unknown whose order along the face's axis it makes up for.
    pub unknown: usize,
    /// Left minus right side.
    pub residual: Residual,
    /// For messages.
    pub label: String,
}

/// One equation, compiled and given to an unknown.
#[derive(Clone, Debug)]
pub struct OwnedEquation {
    /// The unknown it determines; each equation has another one.
    pub unknown: usize,
    /// Left minus right side.
    pub residual: Residual,
    /// For messages.
    pub label: String,
}

/// The equations and conditions of a problem, counted and assigned.
#[derive(Clone, Debug)]
pub struct Layout {
    /// `orders[u][k]`: the highest derivative of unknown `u` along axis `k`; 0 along periodic axes.
    pub orders: Vec<Vec<usize>>,
    /// For each axis its place in the order of precedence, 0 being the highest.
    pub precedence: Vec<usize>,
    /// The equations.
    pub equations: Vec<OwnedEquation>,
    /// The conditions.
    pub conditions: Vec<OwnedCondition>,
}

impl Layout {
    /// Count and assign; `method` is the name that refusals carry.
    ///
    /// # Errors
    /// [`SolveError::NotApplicable`] if the dimension, an order or a number of conditions does not fit,
    /// [`SolveError::Breakdown`] if an unknown is determined up to a constant only.
    pub fn new(problem: &Problem, method: &'static str) -> Result<Self, SolveError> {
        let refuse = |reason: String| SolveError::NotApplicable { method, reason };
        let (dimension, unknowns) = (problem.dimension(), problem.unknowns.len());
        if !(1..=3).contains(&dimension) {
            return Err(refuse(format!("the box has {dimension} dimensions; expected 1, 2 or 3")));
        }
        if unknowns == 0 || problem.equations.len() != unknowns {
            return Err(refuse(format!(
                "{} equations for {unknowns} unknowns; expected as many equations as unknowns",
                problem.equations.len()
            )));
        }
        for axis in &problem.axes {
            let length = axis.length();
            if !(length.is_finite() && length > 0.0) {
                return Err(refuse(format!("axis `{}` has the length {length}", axis.name.name())));
            }
        }
        let equations: Vec<Residual> = problem
            .equations
            .iter()
            .map(|(left, right)| Residual::new(problem, &(left.clone() - right.clone())))
            .collect::<Result<_, _>>()?;
        let conditions: Vec<Residual> = problem
            .conditions
            .iter()
            .map(|condition| Residual::new(problem, &condition.residual))
            .collect::<Result<_, _>>()?;
        for derivative in equations.iter().chain(&conditions).flat_map(Residual::derivatives) {
            if derivative.orders.iter().any(|order| *order > HIGHEST_ORDER) {
                let symbol = problem.derivative_symbol(*derivative);
                return Err(refuse(format!("`{}` is of higher order than {HIGHEST_ORDER}", symbol.name())));
            }
        }
        refuse_undetermined(problem, &equations, &conditions)?;

        let orders: Vec<Vec<usize>> = (0..unknowns)
            .map(|unknown| {
                (0..dimension)
                    .map(|k| if problem.axes[k].periodic { 0 } else { highest_order(&equations, unknown, k) })
                    .collect()
            })
            .collect();
        for (k, axis) in problem.axes.iter().enumerate() {
            let given = problem.conditions.iter().filter(|c| c.face.axis == k).count();
            let needed: usize = orders.iter().map(|order| order[k]).sum();
            let name = axis.name.name();
            if axis.periodic && given > 0 {
                return Err(refuse(format!(
                    "axis `{name}` is periodic; its faces take no conditions, {given} given"
                )));
            }
            if given != needed {
                return Err(refuse(format!(
                    "the faces of axis `{name}` carry {given} conditions; the equations, whose orders along `{name}` \
                     add up to {needed}, take {needed}"
                )));
            }
        }

        let mut owners = vec![0; conditions.len()];
        let mut unbalanced = vec![false; dimension];
        for k in 0..dimension {
            let on_axis: Vec<usize> =
                (0..conditions.len()).filter(|&c| problem.conditions[c].face.axis == k).collect();
            let slots: Vec<usize> =
                (0..unknowns).flat_map(|unknown| std::iter::repeat_n(unknown, orders[unknown][k])).collect();
            let mentions = |c: usize, s: usize| {
                conditions[on_axis[c]].derivatives().iter().any(|d| d.unknown == slots[s])
            };
            for (c, slot) in match_up(on_axis.len(), mentions).into_iter().enumerate() {
                owners[on_axis[c]] = slots[slot];
                unbalanced[k] |= !mentions(c, slot);
            }
        }
        let leads = |e: usize, unknown: usize| {
            (0..dimension).any(|k| {
                orders[unknown][k] > 0
                    && equations[e]
                        .derivatives()
                        .iter()
                        .any(|d| d.unknown == unknown && d.orders[k] == orders[unknown][k])
            }) || (orders[unknown].iter().all(|order| *order == 0)
                && equations[e].derivatives().iter().any(|d| d.unknown == unknown))
        };
        let equation_owners = match_up(unknowns, leads);

        let mut by_precedence: Vec<usize> = (0..dimension).collect();
        by_precedence.sort_by_key(|&k| {
            let on_axis = conditions.iter().zip(&problem.conditions).filter(|(_, c)| c.face.axis == k);
            let orders = on_axis.flat_map(|(r, _)| r.derivatives()).map(|d| d.orders.iter().sum::<usize>());
            (unbalanced[k], orders.max().unwrap_or(0))
        });
        let mut precedence = vec![0; dimension];
        for (place, &k) in by_precedence.iter().enumerate() {
            precedence[k] = place;
        }
        Ok(Layout {
            orders,
            precedence,
            equations: equations
                .into_iter()
                .zip(equation_owners)
                .enumerate()
                .map(|(e, (residual, unknown))| OwnedEquation {
                    unknown,
                    residual,
                    label: format!("equation {}", e + 1),
                })
                .collect(),
            conditions: conditions
                .into_iter()
                .zip(&problem.conditions)
                .zip(owners)
                .map(|((residual, condition), unknown)| OwnedCondition {
                    face: condition.face,
                    unknown,
                    residual,
                    label: format!("the condition {} = 0", condition.residual),
                })
                .collect(),
        })
    }

    /// Whether equations and conditions are all affine in the unknowns.
    pub fn is_linear(&self) -> bool {
        self.equations.iter().all(|e| e.residual.is_linear())
            && self.conditions.iter().all(|c| c.residual.is_linear())
    }

    /// Whether a condition on a face of `axis` is asked for along `other` up to the ends of the box, rather than only
    /// where the conditions of `other` leave room.
    pub fn reaches_edges(&self, axis: usize, other: usize) -> bool {
        self.precedence[axis] < self.precedence[other]
    }
}

fn highest_order(equations: &[Residual], unknown: usize, axis: usize) -> usize {
    let derivatives = equations.iter().flat_map(Residual::derivatives);
    derivatives.filter(|d| d.unknown == unknown).map(|d| d.orders[axis]).max().unwrap_or(0)
}

/// An unknown that nowhere appears without being differentiated can be shifted by a constant.
fn refuse_undetermined(
    problem: &Problem,
    equations: &[Residual],
    conditions: &[Residual],
) -> Result<(), SolveError> {
    for (unknown, symbol) in problem.unknowns.iter().enumerate() {
        let itself = Derivative { unknown, orders: [0; 3] };
        if !equations.iter().chain(conditions).any(|r| r.derivatives().contains(&itself)) {
            return Err(SolveError::Breakdown(format!(
                "`{0}` is determined up to a constant only: no equation and no condition contains `{0}` itself, only \
                 derivatives of it (as with Neumann conditions on all faces)",
                symbol.name()
            )));
        }
    }
    Ok(())
}

/// A one-to-one assignment of `count` items to `count` places that uses as many `wanted` pairs as possible.
fn match_up(count: usize, wanted: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    fn augment(
        item: usize,
        holders: &mut [Option<usize>],
        seen: &mut [bool],
        wanted: &impl Fn(usize, usize) -> bool,
    ) -> bool {
        for place in 0..holders.len() {
            if wanted(item, place) && !seen[place] {
                seen[place] = true;
                let free = match holders[place] {
                    None => true,
                    Some(other) => augment(other, holders, seen, wanted),
                };
                if free {
                    holders[place] = Some(item);
                    return true;
                }
            }
        }
        false
    }
    let mut holders = vec![None; count];
    for item in 0..count {
        augment(item, &mut holders, &mut vec![false; count], &wanted);
    }
    let mut places = vec![None; count];
    for (place, holder) in holders.iter().enumerate() {
        if let Some(item) = holder {
            places[*item] = Some(place);
        }
    }
    let mut free = (0..count).filter(|&place| holders[place].is_none());
    places.into_iter().map(|place| place.or_else(|| free.next()).unwrap_or(0)).collect()
}
