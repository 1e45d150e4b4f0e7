//! Conjugate gradients, preconditioned (Hestenes & Stiefel 1952; Saad, Iterative Methods for Sparse Linear Systems, algorithm 9.1).
//!
//! Departures: when the recursive residual meets the tolerance the true one is computed; if that misses it, the iteration starts
//! again from it, and ends as stalled when this no longer helps (the limit that rounding sets).

use super::lanczos::tridiagonal_extremes;
use super::operator::SymmetricOperator;
use super::solution::{Iterate, Watch};
use super::vector::{advance, dot, norm, scale_and_add};
use crate::Status;

/// Iterations whose coefficients are kept to estimate the condition number.
const KEPT: usize = 1000;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    /// Relative residual to reach.
    pub(super) tolerance: f64,
    /// Iterations at most.
    pub(super) iterations: usize,
}

/// An approximate inverse, symmetric and positive definite on the operator's range.
pub(super) trait Preconditioner {
    /// `z ≈ A⁻¹ r`.
    fn apply(&mut self, r: &[f64], z: &mut [f64]);
}

/// The inverse of the diagonal; zero where that is zero.
pub(super) struct Jacobi(Vec<f64>);

impl Jacobi {
    pub(super) fn new(operator: &dyn SymmetricOperator) -> Self {
        Jacobi(operator.diagonal().iter().map(|&d| if d == 0.0 { 0.0 } else { 1.0 / d }).collect())
    }
}

impl Preconditioner for Jacobi {
    fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        super::vector::multiply_entries(z, &self.0, r);
    }
}

/// Solves `A x = b` for a nonzero `b` in the range.
pub(super) fn conjugate_gradient(
    operator: &dyn SymmetricOperator,
    b: &[f64],
    mut preconditioner: Option<&mut dyn Preconditioner>,
    stopping: Stopping,
    watch: &mut Watch<'_>,
) -> Iterate {
    let n = b.len();
    let scale = norm(b);
    let mut x = vec![0.0; n];
    let mut r = b.to_vec();
    let mut z = if preconditioner.is_some() { vec![0.0; n] } else { Vec::new() };
    let mut p = vec![0.0; n];
    let mut ap = vec![0.0; n];
    let mut spectrum = Coefficients::default();
    let mut iterations = 0;
    let mut squared = scale * scale;
    let mut last_restart = f64::INFINITY;

    let status = 'restarts: loop {
        let mut previous_rz = f64::INFINITY;
        // One run of the recursion, from the true residual.
        let status = loop {
            let residual = squared.sqrt() / scale;
            if watch.record(iterations, residual) {
                break Status::Interrupted;
            }
            if residual <= stopping.tolerance {
                break Status::Converged;
            }
            if iterations >= stopping.iterations {
                break Status::IterationLimit;
            }
            let rz = match &mut preconditioner {
                Some(preconditioner) => {
                    preconditioner.apply(&r, &mut z);
                    dot(&r, &z)
                }
                None => squared,
            };
            if !(rz > 0.0 && rz.is_finite()) {
                break Status::Stalled(format!(
                    "the preconditioner is not positive definite: rᵀ z = {rz:.3e} in iteration {}",
                    iterations + 1
                ));
            }
            let direction = if preconditioner.is_some() { &z } else { &r };
            let beta = rz / previous_rz;
            scale_and_add(&mut p, beta, direction);
            let curvature = operator.apply_and_dot(&p, &mut ap);
            if !(curvature > 0.0 && curvature.is_finite()) {
                break Status::Stalled(format!(
                    "the matrix is not positive definite: pᵀ A p = {curvature:.3e} in iteration {}",
                    iterations + 1
                ));
            }
            let alpha = rz / curvature;
            squared = advance(&mut x, &mut r, alpha, &p, &ap);
            spectrum.push(alpha, beta);
            previous_rz = rz;
            iterations += 1;
        };
        if status != Status::Converged {
            break 'restarts status;
        }
        operator.apply(&x, &mut r);
        scale_and_add(&mut r, -1.0, b);
        squared = dot(&r, &r);
        let residual = squared.sqrt() / scale;
        if residual <= stopping.tolerance {
            break Status::Converged;
        }
        // Each restart must gain something; at the limit of rounding none does.
        if residual > 0.5 * last_restart {
            break Status::Stalled(format!(
                "rounding allows no relative residual below {residual:.1e} on this system"
            ));
        }
        last_restart = residual;
        p.fill(0.0);
    };
    let figures = spectrum
        .condition()
        .map(|condition| {
            let of = if preconditioner.is_some() { " of the preconditioned matrix" } else { "" };
            vec![(format!("condition number{of} (estimate from below)"), condition)]
        })
        .unwrap_or_default();
    Iterate { values: x, status, iterations, notes: Vec::new(), figures }
}

/// The coefficients of the iteration: those of the Lanczos matrix in disguise (Saad, section 6.7.3).
#[derive(Default)]
struct Coefficients {
    alpha: Vec<f64>,
    beta: Vec<f64>,
}

impl Coefficients {
    fn push(&mut self, alpha: f64, beta: f64) {
        if self.alpha.len() < KEPT {
            self.alpha.push(alpha);
            self.beta.push(beta);
        }
    }

    /// The quotient of the extreme eigenvalues of `T`: `T_jj = 1/α_j + β_j/α_{j-1}`, `T_{j,j+1} = √β_{j+1}/α_j`.
    fn condition(&self) -> Option<f64> {
        // Where a restart has made β zero, T falls into parts; the first is the longest.
        let m = (1..self.alpha.len()).find(|&j| self.beta[j] == 0.0).unwrap_or(self.alpha.len());
        let diagonal: Vec<f64> = (0..m)
            .map(|j| 1.0 / self.alpha[j] + if j > 0 { self.beta[j] / self.alpha[j - 1] } else { 0.0 })
            .collect();
        let beside: Vec<f64> = (1..m).map(|j| self.beta[j].sqrt() / self.alpha[j - 1]).collect();
        let (least, largest) = tridiagonal_extremes(&diagonal, &beside)?;
        (least > 0.0).then_some(largest / least)
    }
}
