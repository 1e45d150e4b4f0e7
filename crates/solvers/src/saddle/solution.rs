//! What a solve returns: the point, how the solve ended, its cost, and the figures that say how far to trust it.

use std::time::Duration;

use serde::Serialize;

use super::Problem;
use super::method::Target;
use super::transport::Traffic;
use crate::Status;

/// Figures of one point, each computed from the whole operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// ‖z − z*‖/‖z*‖ (or ‖z‖ where z* = 0), where the solution is known.
    pub distance: Option<f64>,
    /// The natural residual ‖z − prox_h(z − F(z))‖; it is zero at solutions alone.
    pub residual: f64,
    /// max over the set of ⟨F(z), z − u⟩, where the set is bounded; for a bilinear game this is the duality gap.
    pub gap: Option<f64>,
}

impl Certificate {
    /// The figures of a point.
    pub fn of(problem: &Problem, z: &[f64]) -> Certificate {
        let mut value = vec![0.0; z.len()];
        problem.operator.mean(z, &mut value);
        let mut projected: Vec<f64> = z.iter().zip(&value).map(|(z, f)| z - f).collect();
        problem.constraint.proximal(1.0, &mut projected);
        let negative: Vec<f64> = value.iter().map(|f| -f).collect();
        let product: f64 = value.iter().zip(z).map(|(f, z)| f * z).sum();
        Certificate {
            distance: problem.solution.as_ref().map(|solution| {
                let size = norm(solution.iter().copied());
                let distance = norm(solution.iter().zip(z).map(|(s, z)| s - z));
                if size > 0.0 { distance / size } else { distance }
            }),
            residual: norm(z.iter().zip(&projected).map(|(z, p)| z - p)),
            gap: problem.constraint.support(&negative).map(|support| product + support),
        }
    }

    /// What a target looks at.
    pub(super) fn measure(&self, target: Target, first: &Certificate) -> f64 {
        match target {
            Target::Distance => self.distance.unwrap_or(f64::INFINITY),
            Target::Gap => self.gap.unwrap_or(f64::INFINITY),
            Target::Residual if first.residual > 0.0 => self.residual / first.residual,
            Target::Residual => self.residual,
        }
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// One measured moment of a solve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HistoryPoint {
    /// Iterations done.
    pub iteration: usize,
    /// Seconds since the start.
    pub seconds: f64,
    /// As [`Certificate::distance`].
    pub distance: Option<f64>,
    /// As [`Certificate::residual`].
    pub residual: f64,
    /// As [`Certificate::gap`].
    pub gap: Option<f64>,
    /// The gap of the average of the extrapolated points z^{k+1/2}, where the gap is the target.
    pub gap_of_average: Option<f64>,
    /// Bytes that all workers together have sent.
    pub bytes_up: u64,
    /// Bytes that the server has sent, each copy counted.
    pub bytes_down: u64,
    /// Encoded numbers that all workers together have sent, norms, indices and seeds not counted.
    pub numbers_up: u64,
}

/// A solved problem.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The method that found it.
    pub method: String,
    /// The best point seen, by the target; D entries.
    pub value: Vec<f64>,
    /// Whether it is the average of the extrapolated points rather than an iterate.
    pub is_average: bool,
    /// How the solve ended.
    pub status: Status,
    /// Iterations done.
    pub iterations: usize,
    /// The target's figure at the point.
    pub measure: f64,
    /// What was driven below the tolerance.
    pub target: Target,
    /// The point's figures, computed anew at the end.
    pub certificate: Certificate,
    /// The step at the end.
    pub step: f64,
    /// τ, for methods that have it.
    pub tau: Option<f64>,
    /// What was sent.
    pub traffic: Traffic,
    /// M.
    pub workers: usize,
    /// Measured moments.
    pub history: Vec<HistoryPoint>,
    /// Remarks for the user: halved steps, estimated constants.
    pub notes: Vec<String>,
    /// Time spent.
    pub elapsed: Duration,
}
