//! Is the problem well stated? The number of conditions along each axis, data that disagree where faces meet, and an exact
//! solution that is none.

use std::ops::Range;

use super::{
    Derivative, MethodChoice, Problem, Side, SolveError, StatedConditions, Statement, StatementError,
    counted, evaluate_on_grid,
};
use crate::pde::{Condition, Residual};

/// Disagreements below this, relative to the data, are rounding.
const TOLERANCE: f64 = 1e-6;
/// Data below this are rounding noise around zero.
const NOISE: f64 = 1e-10;

impl Statement {
    /// The statement with its warnings, if it is well stated.
    pub(super) fn checked(
        mut self,
        stated: &StatedConditions,
        exact_place: Option<&Range<usize>>,
    ) -> Result<Statement, StatementError> {
        self.count_conditions(stated)?;
        self.compare_faces(stated)?;
        if let Some(place) = exact_place {
            self.compare_exact_with_conditions(stated)?;
            self.compare_exact_with_equations(place)?;
        }
        Ok(self)
    }

    /// Along every axis there must be as many conditions as the highest orders of the unknowns' derivatives sum up to.
    fn count_conditions(&self, stated: &StatedConditions) -> Result<(), StatementError> {
        let problem = &self.problem;
        for (k, axis) in problem.axes.iter().enumerate() {
            let name = axis.name.name();
            let place = || match stated.axis_places[k].clone() {
                absent if absent.is_empty() => self.places.equation.clone(),
                place => place,
            };
            if axis.periodic {
                continue;
            }
            let highest = |unknown: usize| {
                equation_derivatives(problem)
                    .filter(|d| d.unknown == unknown)
                    .map(|d| d.orders[k])
                    .max()
                    .unwrap_or(0)
            };
            let needed: usize = (0..problem.unknowns.len()).map(highest).sum();
            let given = stated.conditions.iter().filter(|condition| condition.axis == k).count();
            let message = format!(
                "{} along `{name}` where the equation needs {needed}",
                if given == 0 { "no condition".to_string() } else { counted(given, "condition") }
            );
            if given < needed {
                return Err(StatementError::new(message, place())
                    .expected(format!("{} on the faces of `{name}`", counted(needed, "condition")))
                    .help(format!(
                        "each unknown needs as many as the highest order of its derivatives along `{name}`, \
                         such as `{name} = {{ lower = \"u = 0\", upper = \"u = 0\" }}`, or `{name} = \"periodic\"`"
                    )));
            }
            // GP-HM weighs the conditions against each other, so it can be given more than determine the solution; auto
            // then chooses it.
            if given > needed && !matches!(self.method, MethodChoice::GpHm(_) | MethodChoice::Auto(_)) {
                let surplus = stated
                    .conditions
                    .iter()
                    .filter(|condition| condition.axis == k)
                    .nth(needed)
                    .map_or_else(place, |condition| condition.located.span.clone());
                return Err(StatementError::new(message, surplus)
                    .expected(format!("{} on the faces of `{name}`", counted(needed, "condition")))
                    .help(
                        "only the methods gp-hm and auto take more conditions than determine the solution",
                    ));
            }
        }
        Ok(())
    }

    /// Values given on faces must agree where the faces meet.
    fn compare_faces(&self, stated: &StatedConditions) -> Result<(), StatementError> {
        let problem = &self.problem;
        let mut data = Vec::new();
        for (condition, stated) in problem.conditions.iter().zip(&stated.conditions) {
            let span = &stated.located.span;
            if let Some(values) = FaceValues::new(problem, condition).map_err(|e| refused(&e, span))? {
                data.push((condition, values, span));
            }
        }
        for (i, (second, second_values, span)) in data.iter().enumerate() {
            for (first, first_values, _) in &data[..i] {
                let meet = first.face == second.face || first.face.axis != second.face.axis;
                if first_values.unknown != second_values.unknown || !meet {
                    continue;
                }
                let mut axes = sample_axes(problem, 9);
                for face in [first.face, second.face] {
                    axes[face.axis] = vec![face_coordinate(problem, face.axis, face.side)];
                }
                let compared = || -> Result<_, SolveError> {
                    let scale = first_values.scale(problem)?.max(second_values.scale(problem)?);
                    Ok((first_values.at(&axes)?, second_values.at(&axes)?, scale))
                };
                let (left, right, scale) = compared().map_err(|error| refused(&error, span))?;
                let worst = left
                    .iter()
                    .zip(&right)
                    .filter(|(a, b)| a.is_finite() && b.is_finite())
                    .max_by(|a, b| (a.0 - a.1).abs().total_cmp(&(b.0 - b.1).abs()));
                let Some((a, b)) = worst else { continue };
                if (a - b).abs() > TOLERANCE * scale + NOISE {
                    let name = &problem.unknowns[first_values.unknown];
                    return Err(StatementError::new(
                        format!(
                            "the conditions disagree where {} and {} meet: {name} = {} there, and {}",
                            face_name(problem, first),
                            face_name(problem, second),
                            short(*a),
                            short(*b)
                        ),
                        (*span).clone(),
                    )
                    .expected("values that agree on the common edge"));
                }
            }
        }
        Ok(())
    }

    fn compare_exact_with_conditions(&self, stated: &StatedConditions) -> Result<(), StatementError> {
        let problem = &self.problem;
        for (condition, stated) in problem.conditions.iter().zip(&stated.conditions) {
            let span = &stated.located.span;
            let mut axes = sample_axes(problem, 19);
            axes[condition.face.axis] =
                vec![face_coordinate(problem, condition.face.axis, condition.face.side)];
            let miss = Residual::new(problem, &condition.residual)
                .and_then(|residual| Miss::measure(problem, &residual, &axes))
                .map_err(|error| refused(&error, span))?;
            if miss.largest > TOLERANCE * miss.scale + NOISE {
                return Err(StatementError::new(
                    format!(
                        "the exact solution misses this condition by {} at {}",
                        short(miss.largest),
                        face_name(problem, condition)
                    ),
                    span.clone(),
                )
                .expected("a condition that the solution in [exact] meets"));
            }
        }
        Ok(())
    }

    fn compare_exact_with_equations(&mut self, exact_place: &Range<usize>) -> Result<(), StatementError> {
        let problem = &self.problem;
        let count = [257, 37, 13][problem.dimension() - 1];
        let axes = sample_axes(problem, count);
        for (k, (left, right)) in problem.equations.iter().enumerate() {
            let miss = Residual::new(problem, &(left.clone() - right.clone()))
                .and_then(|residual| Miss::measure(problem, &residual, &axes))
                .map_err(|error| refused(&error, exact_place))?;
            if miss.largest > TOLERANCE * miss.scale + NOISE {
                let which = if problem.equations.len() > 1 {
                    format!("equation {}", k + 1)
                } else {
                    "the equation".into()
                };
                self.warnings.push(format!(
                    "the exact solution misses {which} by {} where its terms are of size {}: errors against it say little",
                    short(miss.largest),
                    short(miss.scale)
                ));
            }
        }
        Ok(())
    }
}

fn refused(error: &SolveError, span: &Range<usize>) -> StatementError {
    StatementError::new(error.to_string(), span.clone())
}

/// The derivatives that occur in the equations.
fn equation_derivatives(problem: &Problem) -> impl Iterator<Item = Derivative> + '_ {
    problem
        .equations
        .iter()
        .flat_map(|(left, right)| [left, right])
        .flat_map(|side| side.symbols())
        .filter_map(|symbol| problem.derivative(&symbol))
}

/// Points inside the box, off its middle, so that no simple oscillation hides between them.
fn sample_axes(problem: &Problem, count: usize) -> Vec<Vec<f64>> {
    problem
        .axes
        .iter()
        .map(|axis| {
            (0..count)
                .map(|i| axis.lower.1 + axis.length() * (0.0137 + 0.9592 * i as f64 / (count - 1) as f64))
                .collect()
        })
        .collect()
}

fn face_coordinate(problem: &Problem, axis: usize, side: Side) -> f64 {
    match side {
        Side::Lower => problem.axes[axis].lower.1,
        Side::Upper => problem.axes[axis].upper.1,
    }
}

fn face_name(problem: &Problem, condition: &Condition) -> String {
    let axis = &problem.axes[condition.face.axis];
    let bound = if condition.face.side == Side::Lower { &axis.lower.0 } else { &axis.upper.0 };
    format!("{} = {bound}", axis.name)
}

/// A figure in a message.
fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
        rounded.to_string()
    } else {
        format!("{value:.3e}")
    }
}

/// The values that a condition prescribes for one unknown itself (a Dirichlet or initial condition).
struct FaceValues {
    unknown: usize,
    residual: Residual,
    face: (usize, f64),
}

impl FaceValues {
    /// `None` if the condition is of another kind.
    fn new(problem: &Problem, condition: &Condition) -> Result<Option<Self>, SolveError> {
        let residual = Residual::new(problem, &condition.residual)?;
        let face = (condition.face.axis, face_coordinate(problem, condition.face.axis, condition.face.side));
        Ok(match residual.derivatives() {
            [Derivative { unknown, orders: [0, 0, 0] }] if residual.is_linear() => {
                Some(FaceValues { unknown: *unknown, residual, face })
            }
            _ => None,
        })
    }

    fn at(&self, axes: &[Vec<f64>]) -> Result<Vec<f64>, SolveError> {
        let coordinates = crate::pde::grid_coordinates(axes);
        let slices: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
        let zeros = vec![0.0; slices[0].len()];
        let outputs = self.residual.evaluate(&slices, &[&zeros]);
        Ok(outputs[0].iter().zip(&outputs[1]).map(|(constant, slope)| -constant / slope).collect())
    }

    /// The largest value on the face.
    fn scale(&self, problem: &Problem) -> Result<f64, SolveError> {
        let mut axes = sample_axes(problem, 19);
        axes[self.face.0] = vec![self.face.1];
        Ok(largest(&self.at(&axes)?))
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().filter(|value| value.is_finite()).fold(0.0, |largest, value| largest.max(value.abs()))
}

/// By how much the exact solution misses a residual, and the size of what is compared.
struct Miss {
    largest: f64,
    scale: f64,
}

impl Miss {
    fn measure(problem: &Problem, residual: &Residual, axes: &[Vec<f64>]) -> Result<Miss, SolveError> {
        let Some(exact) = &problem.exact else { return Ok(Miss { largest: 0.0, scale: 0.0 }) };
        let expressions: Vec<_> = residual
            .derivatives()
            .iter()
            .map(|derivative| {
                problem.axes.iter().zip(derivative.orders).fold(
                    exact[derivative.unknown].clone(),
                    |expression, (axis, order)| {
                        (0..order).fold(expression, |expression, _| expression.differentiate(&axis.name))
                    },
                )
            })
            .collect();
        let jets = evaluate_on_grid(problem, &expressions, axes)?;
        // The scale of a derivative is that in the whole box: on a face it may be zero.
        let inside = evaluate_on_grid(problem, &expressions, &sample_axes(problem, 19))?;
        let coordinates = crate::pde::grid_coordinates(axes);
        let coordinates: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
        let slices: Vec<&[f64]> = jets.iter().map(Vec::as_slice).collect();
        let outputs = residual.evaluate(&coordinates, &slices);
        let scale = outputs[1..]
            .iter()
            .zip(jets.iter().zip(&inside))
            .map(|(slope, (here, inside))| largest(slope) * largest(here).max(largest(inside)))
            .sum();
        Ok(Miss { largest: largest(&outputs[0]), scale })
    }
}
