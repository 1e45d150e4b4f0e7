//! Limited-memory BFGS with backtracking (Nocedal & Wright, Numerical Optimization, algorithms 7.4 and 3.1), for a handful of
//! parameters and an objective that is expensive and may be undefined at some points.

use std::collections::VecDeque;

/// How a minimisation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The relative decrease of the objective fell below the tolerance.
    Converged,
    /// The evaluations were used up.
    Limit,
    /// The objective asked to stop.
    Stopped,
}

/// What an evaluation returns: the objective and its gradient, `Undefined` outside the domain, or a request to stop.
pub enum Evaluated {
    /// Objective and gradient.
    At(f64, Vec<f64>),
    /// The objective is not defined here.
    Undefined,
    /// Stop with the best point so far.
    Stop,
}

/// Minimise from `start`, changing it in place to the best point found.
///
/// `longest_step` bounds the largest change of any single parameter in one iteration; `evaluations` bounds the calls of
/// `objective`; the iteration ends when an accepted step lowers the objective by less than `tolerance` times its size.
pub fn minimise(
    start: &mut Vec<f64>,
    longest_step: f64,
    evaluations: usize,
    tolerance: f64,
    mut objective: impl FnMut(&[f64]) -> Evaluated,
) -> Outcome {
    const MEMORY: usize = 8;
    let (mut value, mut gradient) = match objective(start) {
        Evaluated::At(value, gradient) => (value, gradient),
        Evaluated::Undefined => return Outcome::Limit,
        Evaluated::Stop => return Outcome::Stopped,
    };
    let mut used = 1;
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    loop {
        let mut direction = two_loop(&memory, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope.is_nan() || slope >= 0.0 {
            memory.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        let largest = direction.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        if largest == 0.0 || !largest.is_finite() {
            return Outcome::Converged;
        }
        // Without curvature the first step is a short one along the gradient.
        let mut length =
            (longest_step / largest).min(if memory.is_empty() { 0.2 * longest_step / largest } else { 1.0 });
        let accepted = loop {
            if used >= evaluations {
                return Outcome::Limit;
            }
            let trial: Vec<f64> = start.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            used += 1;
            match objective(&trial) {
                Evaluated::Stop => return Outcome::Stopped,
                Evaluated::At(new_value, new_gradient)
                    if new_value.is_finite() && new_value <= value + 1e-4 * length * slope =>
                {
                    break Some((trial, new_value, new_gradient));
                }
                _ => length *= 0.3,
            }
            if length * largest < 1e-8 * longest_step {
                break None;
            }
        };
        let Some((point, new_value, new_gradient)) = accepted else { return Outcome::Converged };
        let s: Vec<f64> = point.iter().zip(start.iter()).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = new_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &y);
        if curvature > 1e-12 * dot(&y, &y).sqrt() * dot(&s, &s).sqrt() {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back((s, y, 1.0 / curvature));
        }
        let decrease = value - new_value;
        *start = point;
        (value, gradient) = (new_value, new_gradient);
        if decrease <= tolerance * value.abs().max(1.0) {
            return Outcome::Converged;
        }
    }
}

/// `−H g` with the inverse Hessian approximation of the remembered steps.
fn two_loop(memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>, gradient: &[f64]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut alphas = Vec::with_capacity(memory.len());
    for (s, y, rho) in memory.iter().rev() {
        let alpha = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((s, y, _)) = memory.back() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, rho), alpha) in memory.iter().zip(alphas.iter().rev()) {
        let beta = rho * dot(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_curved_valley() {
        let mut point = vec![-1.2, 1.0];
        let outcome = minimise(&mut point, 1.0, 300, 1e-14, |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            Evaluated::At(a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        });
        assert_eq!(outcome, Outcome::Converged);
        assert!((point[0] - 1.0).abs() < 1e-5 && (point[1] - 1.0).abs() < 1e-5, "{point:?}");
    }

    #[test]
    fn steps_back_from_where_the_objective_is_undefined() {
        let mut point = vec![3.0];
        minimise(&mut point, 10.0, 100, 1e-14, |x| {
            if x[0] <= 0.0 {
                Evaluated::Undefined
            } else {
                Evaluated::At(x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]])
            }
        });
        assert!((point[0] - 1.0).abs() < 1e-5, "{point:?}");
    }
}
