//! What a solve returns: the solution as a field, how the solve ended, and the figures that say how far to trust it.

use std::time::Duration;

use mathesis_symbolic::Program;
use serde::Serialize;

use super::{Field, Problem, Residual, Side, SolveError};
use crate::Status;

/// One recorded moment of a solve.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HistoryPoint {
    /// Iteration number.
    pub iteration: usize,
    /// Seconds since the start.
    pub seconds: f64,
    /// The objective, where the method has one.
    pub objective: Option<f64>,
    /// Root mean square of the equation's residual at the method's own points.
    pub residual: Option<f64>,
    /// Relative L2 error against the exact solution, where known.
    pub error: Option<f64>,
}

/// One component of a learned spectrum.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Component {
    /// Weight in the covariance.
    pub weight: f64,
    /// Frequency in cycles per unit length.
    pub frequency: f64,
    /// Inverse length scale of the envelope.
    pub inverse_scale: f64,
}

/// The learned spectrum along one axis, for methods that have one.
#[derive(Clone, Debug, Serialize)]
pub struct Spectrum {
    /// The unknown it belongs to.
    pub unknown: usize,
    /// The axis it belongs to.
    pub axis: usize,
    /// Its components, in the order of the method's parameters.
    pub components: Vec<Component>,
}

/// Residuals of a solution, measured afterwards on points of their own, and the error where the truth is known.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// Root mean square over all equations of the residual on the checking grid (interior included faces).
    pub equation_rms: f64,
    /// The same, divided by the root mean square of the largest term of the equations: a scale-free figure.
    pub equation_relative: f64,
    /// Largest absolute residual of the equations.
    pub equation_max: f64,
    /// Largest absolute residual of the conditions on the faces.
    pub condition_max: f64,
    /// Relative L2 error against the exact solution for each unknown, on a uniform grid (300 points an axis in one and
    /// two dimensions, 60 in three).
    pub error: Option<Vec<f64>>,
    /// Largest absolute error for each unknown on the same grid.
    pub error_max: Option<Vec<f64>>,
}

/// A solved problem.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The method that found it, with its variant.
    pub method: String,
    /// One field for each unknown.
    pub fields: Vec<Field>,
    /// How the solve ended.
    pub status: Status,
    /// Iterations done.
    pub iterations: usize,
    /// An a-posteriori estimate of the relative L2 error, where the method has one.
    pub error_estimate: Option<f64>,
    /// Recorded moments.
    pub history: Vec<HistoryPoint>,
    /// Learned spectra, for kernel methods.
    pub spectra: Vec<Spectrum>,
    /// Remarks for the user: choices made, warnings.
    pub notes: Vec<String>,
    /// Named figures of the method, such as the error of the last state beside the best.
    pub figures: Vec<(String, f64)>,
    /// Time spent.
    pub elapsed: Duration,
}

/// Errors against the exact solution, one for each unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Errors {
    /// Relative L2 errors.
    pub relative: Vec<f64>,
    /// Largest absolute errors.
    pub largest: Vec<f64>,
}

/// Points an axis of the grid on which errors are measured.
pub fn test_points(dimension: usize) -> usize {
    if dimension <= 2 { 300 } else { 60 }
}

impl Solution {
    /// Relative L2 errors of `fields` against the exact solution, and the largest absolute ones, if it is known.
    ///
    /// # Errors
    /// If the exact solution cannot be evaluated.
    pub fn errors(problem: &Problem, fields: &[Field]) -> Result<Option<Errors>, SolveError> {
        let Some(exact) = &problem.exact else { return Ok(None) };
        let axes: Vec<Vec<f64>> =
            problem.axes.iter().map(|axis| axis.uniform_points(test_points(problem.dimension()))).collect();
        let truth = evaluate_on_grid(problem, exact, &axes)?;
        let mut relative = Vec::new();
        let mut largest = Vec::new();
        for (field, truth) in fields.iter().zip(&truth) {
            let value = field.on_grid(&[0; 3][..problem.dimension()], &axes);
            let (mut difference, mut norm, mut max) = (0.0, 0.0, 0.0_f64);
            for (v, t) in value.values().iter().zip(truth) {
                difference += (v - t) * (v - t);
                norm += t * t;
                max = max.max((v - t).abs());
            }
            relative.push(if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() });
            largest.push(max);
        }
        Ok(Some(Errors { relative, largest }))
    }

    /// Measure residuals and errors on points that are not the method's own.
    ///
    /// # Errors
    /// If an expression of the problem cannot be evaluated.
    pub fn certify(&self, problem: &Problem) -> Result<Certificate, SolveError> {
        let axes = checking_grid(problem);
        let equations = check_equations(problem, &self.fields, &axes)?;
        let mut condition_max = 0.0_f64;
        for condition in &problem.conditions {
            let residual = Residual::new(problem, &condition.residual)?;
            let mut face = axes.clone();
            let axis = &problem.axes[condition.face.axis];
            face[condition.face.axis] =
                vec![if condition.face.side == Side::Lower { axis.lower.1 } else { axis.upper.1 }];
            let outcome = residual_on_grid(&self.fields, &residual, &face);
            condition_max = outcome.values.iter().fold(condition_max, |m, r| m.max(r.abs()));
        }
        let errors = Solution::errors(problem, &self.fields)?;
        let (error, error_max) = errors.map(|e| (e.relative, e.largest)).unzip();
        Ok(Certificate {
            equation_rms: equations.rms,
            equation_relative: equations.relative(),
            equation_max: equations.max,
            condition_max,
            error,
            error_max,
        })
    }
}

/// Points of the checking grid, which no method uses as its own.
fn checking_grid(problem: &Problem) -> Vec<Vec<f64>> {
    let count = [997, 211, 41][problem.dimension() - 1];
    problem.axes.iter().map(|axis| axis.uniform_points(count)).collect()
}

/// How well the equations hold on a grid.
struct EquationCheck {
    rms: f64,
    max: f64,
    scale: f64,
}

impl EquationCheck {
    fn relative(&self) -> f64 {
        if self.scale > 0.0 { self.rms / self.scale } else { self.rms }
    }
}

fn check_equations(
    problem: &Problem,
    fields: &[Field],
    axes: &[Vec<f64>],
) -> Result<EquationCheck, SolveError> {
    let (mut square, mut scale, mut points, mut max) = (0.0, 0.0_f64, 0usize, 0.0_f64);
    for (left, right) in &problem.equations {
        let residual = Residual::new(problem, &(left.clone() - right.clone()))?;
        let outcome = residual_on_grid(fields, &residual, axes);
        square += outcome.values.iter().map(|r| r * r).sum::<f64>();
        max = outcome.values.iter().fold(max, |m, r| m.max(r.abs()));
        points += outcome.values.len();
        scale = scale.max(outcome.largest_term);
    }
    Ok(EquationCheck { rms: (square / points.max(1) as f64).sqrt(), max, scale })
}

/// Root mean square of the equations' residual on the checking grid, relative to their largest term.
///
/// # Errors
/// If an equation cannot be evaluated.
pub(super) fn equation_residual(problem: &Problem, fields: &[Field]) -> Result<f64, SolveError> {
    Ok(check_equations(problem, fields, &checking_grid(problem))?.relative())
}

fn residual_on_grid(fields: &[Field], residual: &Residual, axes: &[Vec<f64>]) -> ResidualOnGrid {
    let dimension = axes.len();
    let jets: Vec<Vec<f64>> = residual
        .derivatives()
        .iter()
        .map(|d| fields[d.unknown].on_grid(&d.orders[..dimension], axes).into_values())
        .collect();
    let coordinates = grid_coordinates(axes);
    let coordinates: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
    let jet_slices: Vec<&[f64]> = jets.iter().map(Vec::as_slice).collect();
    let mut outputs = residual.evaluate(&coordinates, &jet_slices);
    let values = outputs.remove(0);
    // The size of a term is that of (∂R/∂jet)·jet: exact for linear equations, the right scale for others.
    let largest_term = outputs
        .iter()
        .zip(&jets)
        .map(|(partial, jet)| {
            let square: f64 = partial.iter().zip(jet).map(|(p, j)| (p * j) * (p * j)).sum();
            (square / values.len().max(1) as f64).sqrt()
        })
        .fold(0.0, f64::max);
    ResidualOnGrid { values, largest_term }
}

struct ResidualOnGrid {
    values: Vec<f64>,
    largest_term: f64,
}

/// The coordinates of all points of a tensor grid, row-major: one vector for each axis.
pub fn grid_coordinates(axes: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let total: usize = axes.iter().map(Vec::len).product();
    (0..axes.len())
        .map(|k| {
            let inner: usize = axes[k + 1..].iter().map(Vec::len).product();
            (0..total).map(|p| axes[k][p / inner % axes[k].len()]).collect()
        })
        .collect()
}

/// Expressions of the coordinates alone, evaluated on a tensor grid, row-major.
///
/// # Errors
/// If an expression has another symbol than the coordinates or cannot be evaluated.
pub fn evaluate_on_grid(
    problem: &Problem,
    expressions: &[mathesis_symbolic::Expr],
    axes: &[Vec<f64>],
) -> Result<Vec<Vec<f64>>, SolveError> {
    let variables: Vec<_> = problem.axes.iter().map(|axis| axis.name.clone()).collect();
    let program =
        Program::compile(expressions, &variables).map_err(|e| SolveError::Expression(e.to_string()))?;
    let coordinates = grid_coordinates(axes);
    let inputs: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
    let mut outputs = vec![vec![0.0; inputs[0].len()]; expressions.len()];
    let mut targets: Vec<&mut [f64]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    program.evaluate(&inputs, &mut targets);
    Ok(outputs)
}
