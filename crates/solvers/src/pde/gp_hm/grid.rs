//! A problem laid out on a uniform tensor grid: its equations at all grid points and its conditions on the faces, as
//! functions of the solution's derivatives there.

use std::borrow::Cow;

use mathesis_symbolic::{Expr, Symbol};

use crate::pde::{Derivative, Face, Problem, Residual, Side, SolveError, evaluate_on_grid, grid_coordinates};

/// The grid and what is asked of the solution on it.
#[derive(Debug)]
pub struct Grid {
    /// The points along each axis.
    pub axes: Vec<Vec<f64>>,
    /// The distance between neighbours along each axis.
    pub steps: Vec<f64>,
    /// Points along each axis.
    pub shape: Vec<usize>,
    /// Every derivative that occurs in an equation or a condition, each once.
    pub derivatives: Vec<Derivative>,
    /// The equations, at every grid point.
    pub equations: Vec<Block>,
    /// The conditions, each at the points of its face.
    pub conditions: Vec<Block>,
}

/// One equation or condition at a set of grid points: `R(x, ∂u) = source(x) + S(x, ∂u)` with `S(x, 0) = 0`.
#[derive(Debug)]
pub struct Block {
    /// The face it holds on; `None`: every point.
    pub face: Option<Face>,
    /// Which of the grid's derivatives it takes, in the order of its partial derivatives.
    pub jets: Vec<usize>,
    /// Row-major indices of its points; empty: every point.
    points: Vec<usize>,
    coordinates: Vec<Vec<f64>>,
    /// The part without the unknowns: what is computed once.
    pub source: Vec<f64>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Coefficients of the derivatives at each point.
    Linear(Vec<Vec<f64>>),
    Nonlinear(Residual),
}

/// A block's residuals and their partial derivatives by the block's derivatives, at each of its points.
pub struct Evaluation<'a> {
    /// `R` at each point.
    pub residual: Vec<f64>,
    /// `∂R/∂jet` for each of the block's jets.
    pub partials: Cow<'a, [Vec<f64>]>,
}

impl Grid {
    /// Lay the problem out on `shape` equally spaced points, both ends included.
    ///
    /// # Errors
    /// [`SolveError`] if an expression has an unknown symbol, or data are not finite at a grid point.
    pub fn new(problem: &Problem, shape: &[usize]) -> Result<Self, SolveError> {
        let axes: Vec<Vec<f64>> =
            problem.axes.iter().zip(shape).map(|(axis, &n)| axis.uniform_points(n)).collect();
        let steps = problem.axes.iter().zip(shape).map(|(axis, &n)| axis.length() / (n - 1) as f64).collect();
        let mut derivatives = Vec::new();
        let all = grid_coordinates(&axes);
        let mut equations = Vec::new();
        for (k, (left, right)) in problem.equations.iter().enumerate() {
            let expression = left.clone() - right.clone();
            let name = format!("equation {}", k + 1);
            equations.push(Block::new(
                problem,
                &expression,
                None,
                Vec::new(),
                all.clone(),
                &mut derivatives,
                &name,
            )?);
        }
        let mut conditions = Vec::new();
        for condition in &problem.conditions {
            let face = condition.face;
            let inner: usize = shape[face.axis + 1..].iter().product();
            let end = if face.side == Side::Lower { 0 } else { shape[face.axis] - 1 };
            let points: Vec<usize> =
                (0..all[0].len()).filter(|p| p / inner % shape[face.axis] == end).collect();
            let coordinates = all.iter().map(|c| points.iter().map(|&p| c[p]).collect()).collect();
            let name = format!("the condition {} = 0", condition.residual);
            conditions.push(Block::new(
                problem,
                &condition.residual,
                Some(face),
                points,
                coordinates,
                &mut derivatives,
                &name,
            )?);
        }
        Ok(Grid { axes, steps, shape: shape.to_vec(), derivatives, equations, conditions })
    }

    /// The number of grid points.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether every equation and condition is affine in the unknowns.
    pub fn is_linear(&self) -> bool {
        self.equations.iter().chain(&self.conditions).all(|block| matches!(block.form, Form::Linear(_)))
    }

    /// Orders of differentiation along `axis` that occur for `unknown`, in increasing order, always with 0.
    pub fn orders(&self, unknown: usize, axis: usize) -> Vec<usize> {
        let mut orders: Vec<usize> = self
            .derivatives
            .iter()
            .filter(|d| d.unknown == unknown)
            .map(|d| d.orders[axis])
            .chain([0])
            .collect();
        orders.sort_unstable();
        orders.dedup();
        orders
    }
}

impl Block {
    fn new(
        problem: &Problem,
        expression: &Expr,
        face: Option<Face>,
        points: Vec<usize>,
        coordinates: Vec<Vec<f64>>,
        derivatives: &mut Vec<Derivative>,
        name: &str,
    ) -> Result<Self, SolveError> {
        let axes: Vec<Symbol> = problem.axes.iter().map(|axis| axis.name.clone()).collect();
        let zeros = expression
            .symbols()
            .into_iter()
            .filter(|s| !axes.contains(s))
            .map(|s| (s, Expr::integer(0)))
            .collect();
        let free = expression.substitute(&zeros);
        let slices: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
        let evaluate_free = |free: &Expr| -> Result<Vec<f64>, SolveError> {
            let program = mathesis_symbolic::Program::compile(std::slice::from_ref(free), &axes)
                .map_err(|e| SolveError::Expression(e.to_string()))?;
            let mut values = vec![0.0; coordinates[0].len()];
            program.evaluate(&slices, &mut [&mut values]);
            Ok(values)
        };
        // An expression that is not defined where the unknowns vanish (1/u) keeps its source inside.
        let split = evaluate_free(&free).ok().filter(|values| values.iter().all(|v| v.is_finite()));
        let (source, rest) = match split {
            Some(source) => (source, expression.clone() - free),
            None => (vec![0.0; coordinates[0].len()], expression.clone()),
        };
        let residual = Residual::new(problem, &rest)?;
        let jets = residual
            .derivatives()
            .iter()
            .map(|d| {
                derivatives.iter().position(|known| known == d).unwrap_or_else(|| {
                    derivatives.push(*d);
                    derivatives.len() - 1
                })
            })
            .collect();
        let form = if residual.is_linear() {
            let probe = vec![vec![0.0; coordinates[0].len()]; residual.derivatives().len()];
            let probe: Vec<&[f64]> = probe.iter().map(Vec::as_slice).collect();
            let mut outputs = residual.evaluate(&slices, &probe);
            let remainder = outputs.remove(0);
            for (what, values) in std::iter::once(&remainder).chain(&outputs).map(|v| (name, v)) {
                if let Some(p) = values.iter().position(|v| !v.is_finite()) {
                    return Err(not_finite(problem, what, &coordinates, p));
                }
            }
            // Where the source could not be split off symbolically, it is the value at zero.
            let source = source.iter().zip(&remainder).map(|(s, r)| s + r).collect();
            return Ok(Block { face, jets, points, coordinates, source, form: Form::Linear(outputs) });
        } else {
            // A probe away from zero, where terms such as 1/u are finite: what is not finite there is the data.
            let probe = vec![vec![0.5; coordinates[0].len()]; residual.derivatives().len()];
            let probe: Vec<&[f64]> = probe.iter().map(Vec::as_slice).collect();
            if let Some(p) = residual.evaluate(&slices, &probe)[0].iter().position(|v| !v.is_finite()) {
                return Err(not_finite(problem, name, &coordinates, p));
            }
            Form::Nonlinear(residual)
        };
        Ok(Block { face, jets, points, coordinates, source, form })
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Residuals and partial derivatives for the given values of the grid's derivatives at all grid points.
    pub fn evaluate(&self, jets: &[impl AsRef<[f64]>]) -> Evaluation<'_> {
        let gathered: Vec<Vec<f64>> = self.jets.iter().map(|&j| self.gather(jets[j].as_ref())).collect();
        let mut evaluation = match &self.form {
            Form::Linear(coefficients) => {
                let mut residual = vec![0.0; self.len()];
                for (c, jet) in coefficients.iter().zip(&gathered) {
                    for ((r, c), j) in residual.iter_mut().zip(c).zip(jet) {
                        *r += c * j;
                    }
                }
                Evaluation { residual, partials: Cow::Borrowed(coefficients) }
            }
            Form::Nonlinear(residual) => {
                let coordinates: Vec<&[f64]> = self.coordinates.iter().map(Vec::as_slice).collect();
                let slices: Vec<&[f64]> = gathered.iter().map(Vec::as_slice).collect();
                let mut partials = residual.evaluate(&coordinates, &slices);
                let residual = partials.remove(0);
                Evaluation { residual, partials: Cow::Owned(partials) }
            }
        };
        evaluation.residual.iter_mut().zip(&self.source).for_each(|(r, s)| *r += s);
        evaluation
    }

    /// The values at this block's points, out of the values at all grid points.
    pub fn gather(&self, values: &[f64]) -> Vec<f64> {
        if self.face.is_none() { values.to_vec() } else { self.points.iter().map(|&p| values[p]).collect() }
    }

    /// Adds values at this block's points to the values at all grid points.
    pub fn scatter_add(&self, values: &[f64], target: &mut [f64]) {
        if self.face.is_none() {
            target.iter_mut().zip(values).for_each(|(t, v)| *t += v);
        } else {
            self.points.iter().zip(values).for_each(|(&p, v)| target[p] += v);
        }
    }
}

fn not_finite(problem: &Problem, what: &str, coordinates: &[Vec<f64>], point: usize) -> SolveError {
    let place: Vec<String> = problem
        .axes
        .iter()
        .zip(coordinates)
        .map(|(axis, c)| format!("{} = {}", axis.name.name(), c[point]))
        .collect();
    SolveError::NotFinite { what: what.to_string(), place: place.join(", ") }
}

/// Refuses data that are not finite: the exact solution where it is given.
///
/// # Errors
/// [`SolveError::NotFinite`] with the first such grid point.
pub fn require_finite_exact(problem: &Problem, grid: &Grid) -> Result<(), SolveError> {
    let Some(exact) = &problem.exact else { return Ok(()) };
    let coordinates = grid_coordinates(&grid.axes);
    for values in evaluate_on_grid(problem, exact, &grid.axes)? {
        if let Some(p) = values.iter().position(|v| !v.is_finite()) {
            return Err(not_finite(problem, "the exact solution", &coordinates, p));
        }
    }
    Ok(())
}
