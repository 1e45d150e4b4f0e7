//! Deep conjugate directions: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023),
//! algorithm 1, for any source of directions.
//!
//! ```text
//! q = f(r/‖r‖)                                  the proposal, for the residual scaled to unit length
//! q ← q - Σ_i p_i (qᵀ A p_i) / (p_iᵀ A p_i)      the k previous directions; all products with the unmodified q
//! β = qᵀ r / qᵀ A q;  x ← x + β q;  r = b - A x  the true residual
//! ```
//!
//! The proposal decides nothing: the step is exact along whatever direction it gives. Departures from the released program: a
//! proposal is cleared off the fluid and projected onto the range first; where it is not finite, has `qᵀ A q ≤ 0`, or its step lowers
//! the energy by less than a hundredth of what a step along the residual does at least, `‖r‖² / ‖A‖`, the residual takes its place (a step
//! of conjugate gradients), and these steps are counted. So the worst of networks costs time, not convergence.

use std::collections::VecDeque;

use super::LinearError;
use super::conjugate_gradient::Stopping;
use super::direction_proposal::DirectionProposal;
use super::operator::SymmetricOperator;
use super::solution::{Iterate, Watch};
use super::vector::{add_scaled, dot, norm, scale_and_add};
use crate::Status;

/// The name under which the method is asked for.
pub(super) const NAME: &str = "deep-conjugate-directions";

/// The part of the guaranteed gain of a step along the residual that a proposal must reach.
const LEAST_GAIN: f64 = 0.01;

/// A previous direction with its image and its curvature.
struct Direction {
    p: Vec<f64>,
    ap: Vec<f64>,
    curvature: f64,
}

/// Solves `A x = b` for a nonzero `b` in the range; `clear` sets vectors to zero where the operator has no unknowns.
pub(super) fn conjugate_directions(
    operator: &dyn SymmetricOperator,
    clear: &dyn Fn(&mut [f64]),
    b: &[f64],
    proposal: &mut dyn DirectionProposal,
    previous_directions: usize,
    stopping: Stopping,
    watch: &mut Watch<'_>,
) -> Result<Iterate, LinearError> {
    let n = b.len();
    let scale = norm(b);
    // Of a pressure grid the rows are weakly diagonally dominant, so that no eigenvalue is above twice the largest diagonal entry;
    // elsewhere this is an estimate, and an error in it replaces a few proposals more or less.
    let largest_eigenvalue = 2.0 * operator.diagonal().into_iter().fold(0.0, f64::max);
    let mut x = vec![0.0; n];
    let mut r = b.to_vec();
    let mut unit = vec![0.0; n];
    let mut previous: VecDeque<Direction> = VecDeque::new();
    let mut spare = None;
    let (mut iterations, mut replaced) = (0, 0);
    let mut best = f64::INFINITY;
    let mut since_best = 0;
    let status = loop {
        let length = norm(&r);
        let residual = length / scale;
        if watch.record(iterations, residual) {
            break Status::Interrupted;
        }
        if residual <= stopping.tolerance {
            break Status::Converged;
        }
        if iterations >= stopping.iterations {
            break Status::IterationLimit;
        }
        // The energy falls in every step, so the residual does in the long run, until rounding stops it.
        (best, since_best) = if residual < best { (residual, 0) } else { (best, since_best + 1) };
        if since_best >= 200 && best < 1e-10 {
            break Status::Stalled(format!(
                "rounding allows no relative residual below {best:.1e} on this system"
            ));
        }
        let (mut q, mut aq) = spare.take().unwrap_or_else(|| (vec![0.0; n], vec![0.0; n]));
        unit.iter_mut().zip(&r).for_each(|(u, r)| *u = r / length);
        proposal
            .propose(&unit, &mut q)
            .map_err(|reason| LinearError::NotApplicable { method: NAME, reason })?;
        clear(&mut q);
        operator.null_space().project(&mut q);
        let least_gain = LEAST_GAIN * length * length / largest_eigenvalue;
        let curvature = match conjugate(operator, &previous, &r, &mut q, &mut aq) {
            Some((curvature, gain)) if gain >= least_gain => curvature,
            _ => {
                replaced += 1;
                q.copy_from_slice(&r);
                match conjugate(operator, &previous, &r, &mut q, &mut aq) {
                    Some((curvature, _)) => curvature,
                    None => {
                        break Status::Stalled(format!(
                            "the matrix is not positive definite along the residual in iteration {}",
                            iterations + 1
                        ));
                    }
                }
            }
        };
        add_scaled(&mut x, dot(&q, &r) / curvature, &q);
        operator.apply(&x, &mut r);
        scale_and_add(&mut r, -1.0, b);
        previous.push_back(Direction { p: q, ap: aq, curvature });
        if previous.len() > previous_directions {
            spare = previous.pop_front().map(|direction| (direction.p, direction.ap));
        }
        iterations += 1;
    };
    let mut notes = Vec::new();
    if replaced > 0 {
        notes.push(format!(
            "{replaced} of {iterations} proposals were no good directions (not finite, not curved upwards or nearly \
             perpendicular to the residual); the residual took their place"
        ));
    }
    let figures = vec![("proposals replaced by the residual".to_string(), f64::from(replaced))];
    Ok(Iterate { values: x, status, iterations, notes, figures })
}

/// Makes `q` conjugate to the previous directions; its curvature `qᵀ A q`, with `aq = A q`, and twice the energy that a step along it
/// gains, `(qᵀ r)² / qᵀ A q`, if it is a direction to go along.
fn conjugate(
    operator: &dyn SymmetricOperator,
    previous: &VecDeque<Direction>,
    r: &[f64],
    q: &mut [f64],
    aq: &mut [f64],
) -> Option<(f64, f64)> {
    let products: Vec<f64> = previous.iter().map(|direction| dot(q, &direction.ap)).collect();
    for (direction, product) in previous.iter().zip(products) {
        add_scaled(q, -product / direction.curvature, &direction.p);
    }
    let curvature = operator.apply_and_dot(q, aq);
    let descent = dot(q, r).abs();
    let usable = curvature > 0.0 && curvature.is_finite() && descent >= 1e-14 * norm(q) * norm(r);
    usable.then_some((curvature, descent * descent / curvature))
}
