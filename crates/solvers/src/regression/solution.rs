//! What a regression returns: the coefficients, how far each may be from the least-squares ones, and what that rests on.

use std::time::Duration;

use serde::Serialize;

use crate::Status;

/// One iteration of LSQR.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HistoryPoint {
    /// Iteration number.
    pub iteration: usize,
    /// Seconds since the start.
    pub seconds: f64,
    /// `‖A x − b‖` by the recurrence.
    pub residual: f64,
    /// `‖R⁻ᵀ Aᵀ (b − A x)‖ / ‖b − A x‖` by the recurrence, R the preconditioner: zero at the least-squares solution.
    pub optimality: f64,
}

/// The sketch that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct SketchFacts {
    /// Which.
    pub sketch: String,
    /// Its rows m.
    pub rows: usize,
    /// The order that the data were padded to, for Hadamard transforms; else their number of rows or its bound.
    pub order: usize,
    /// Its seed.
    pub seed: u64,
    /// `√(2 ln(2d/δ) d/m)`: the ε that this many rows stand for.
    pub epsilon: f64,
    /// Smallest and largest singular value of the sketched matrix.
    pub singular_values: (f64, f64),
    /// Seconds for sketching.
    pub seconds_sketch: f64,
    /// Seconds for the factorisation and the solve of the sketched problem.
    pub seconds_solve: f64,
}

/// How far to trust the coefficients.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// What the radii rest on, in words: what is proved, what is empirical.
    pub guarantee: String,
    /// The probability with which some coefficient may be outside its radius; 0 where nothing is random.
    pub failure_probability: f64,
    /// `‖A x − b‖`, recomputed over all rows; absent if they were not passed again.
    pub residual: Option<f64>,
    /// `‖A x − b‖ / ‖b‖`.
    pub relative_residual: Option<f64>,
    /// `‖R⁻ᵀ Aᵀ (b − A x)‖ / ‖b − A x‖`: zero at the least-squares solution.
    pub optimality: Option<f64>,
    /// Smallest singular value of the matrix, or of its sketch.
    pub smallest_singular_value: f64,
    /// The largest singular value over the smallest.
    pub condition: f64,
    /// Numerical rank.
    pub rank: usize,
}

/// A solved regression.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The method that found it, with its variant.
    pub method: String,
    /// The names of the coefficients.
    pub names: Vec<String>,
    /// The coefficients x.
    pub coefficients: Vec<f64>,
    /// `|x_j − x*_j|` is below this for all j at once, `x*` the least-squares solution (see [`Certificate::guarantee`]).
    pub radius_coordinate: Vec<f64>,
    /// One bound for all coefficients by the norm-wise formula `ε ‖Ax−b‖ / (√d σ_min)`; for methods without a sketch, the largest
    /// of the radii.
    pub radius_linf: f64,
    /// ẑ_j: the deviation of `x_j − x*_j` that a Gaussian sketch has; empty for methods that do not return a sketched solution.
    pub deviation: Vec<f64>,
    /// The standard error of each coefficient as an estimate of a linear model with independent errors of equal variance;
    /// empty without spare rows.
    pub standard_error: Vec<f64>,
    /// Rows of the data.
    pub rows: usize,
    /// How far to trust it.
    pub certificate: Certificate,
    /// The sketch, if one was taken.
    pub sketch: Option<SketchFacts>,
    /// How the solve ended.
    pub status: Status,
    /// Iterations done.
    pub iterations: usize,
    /// The course of LSQR.
    pub history: Vec<HistoryPoint>,
    /// Named figures of the method.
    pub figures: Vec<(String, f64)>,
    /// Remarks for the user: choices made, warnings.
    pub notes: Vec<String>,
    /// Time spent.
    pub elapsed: Duration,
}

impl Solution {
    pub(super) fn with_note(mut self, note: String) -> Self {
        self.notes.insert(0, note);
        self
    }
}
