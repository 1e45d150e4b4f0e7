//! The method chosen by the machine, with the reasons in the solution's notes.
//!
//! Smooth data on a box: [`Collocation`], whose error falls faster than any power of the number of points. Data with kinks or
//! jumps (their Chebyshev coefficients fall like a small power): [`FiniteDifference`] on grids that are refined until
//! the estimated error meets the tolerance. Where the conditions are not as many as the equations take, neither applies and
//! [`GpHm`], which fits all of them at once, remains. A solution is accepted if its error estimate meets the tolerance
//! and its residual, measured on points of its own ([`Solution::certify`]), does not contradict it; otherwise the next
//! method has its turn, and the best solution seen is returned.

use mathesis_symbolic::Expr;

use super::layout::Layout;
use super::options::{self, Inference, PerAxis};
use super::{
    Collocation, FiniteDifference, GpHm, Method, Observer, Problem, Side, Solution, SolveError, Status,
    evaluate_on_grid,
};

/// The method, with its options.
#[derive(Clone, Debug, Default)]
pub struct Auto {
    /// The options.
    pub options: options::Auto,
}

const NAME: &str = "auto";
/// A relative residual above this on the checking points contradicts any error estimate that auto accepts.
const SUSPICIOUS: f64 = 1e-2;
/// Finite-difference grids tried in turn, by dimension.
const GRIDS: [&[usize]; 3] = [&[2001, 8001, 32001], &[65, 129, 257], &[17, 33]];

impl Method for Auto {
    fn name(&self) -> &'static str {
        NAME
    }

    fn solve(&self, problem: &Problem, observer: &mut dyn Observer) -> Result<Solution, SolveError> {
        let tolerance = self.options.tolerance;
        if !(tolerance.is_finite() && tolerance > 0.0) {
            let message = format!("{tolerance} is not a positive number");
            return Err(SolveError::Option { key: "tolerance", message });
        }
        let mut choice =
            Choice { problem, tolerance, observer, notes: Vec::new(), best: None, failure: None };
        match Layout::new(problem, NAME) {
            Ok(_) => {}
            Err(SolveError::NotApplicable { reason, .. }) => {
                choice.say(format!(
                    "grids do not apply: {reason}; trying gp-hm, which fits any number of conditions"
                ));
                choice.process();
                return choice.finish();
            }
            Err(error) => return Err(error),
        }
        let roughness = roughest(problem)?;
        let collocation =
            Collocation { options: options::Collocation { tolerance, ..options::Collocation::default() } };
        match roughness {
            Some(Roughness { what, decay }) => {
                let order = if decay < 1.5 { 2 } else { 4 };
                choice.say(format!(
                    "{what} is not smooth (its Chebyshev coefficients fall like 1/n^{decay:.1}): finite differences of \
                     order {order}"
                ));
                if !choice.differences(order) {
                    choice.say("trying collocation".to_string());
                    choice.attempt(&collocation);
                }
            }
            None => {
                choice.say(format!(
                    "the data are smooth and the box has {} dimension{}: collocation",
                    problem.dimension(),
                    if problem.dimension() == 1 { "" } else { "s" }
                ));
                if !choice.attempt(&collocation) {
                    choice.say("trying finite differences of order 4".to_string());
                    choice.differences(4);
                }
            }
        }
        choice.finish()
    }
}

struct Choice<'a> {
    problem: &'a Problem,
    tolerance: f64,
    observer: &'a mut dyn Observer,
    notes: Vec<String>,
    best: Option<Solution>,
    failure: Option<SolveError>,
}

impl Choice<'_> {
    fn say(&mut self, message: String) {
        self.observer.note(&message);
        self.notes.push(message);
    }

    /// Run `method`, keep its solution if it is the best so far, and say whether the search is over.
    fn attempt(&mut self, method: &dyn Method) -> bool {
        let solution = match method.solve(self.problem, self.observer) {
            Ok(solution) => solution,
            Err(error) => {
                self.say(format!("{} failed: {error}", method.name()));
                self.failure.get_or_insert(error);
                return false;
            }
        };
        let relative = match solution.certify(self.problem) {
            Ok(certificate) => certificate.equation_relative,
            Err(error) => {
                self.failure.get_or_insert(error);
                return false;
            }
        };
        let estimate = solution.error_estimate.unwrap_or(f64::INFINITY);
        let trusted = relative.is_finite() && relative <= SUSPICIOUS;
        let interrupted = solution.status == Status::Interrupted;
        let accepted = estimate <= self.tolerance && solution.status == Status::Converged;
        self.say(format!(
            "{}: estimated error {estimate:.1e}, relative residual on other points {relative:.1e}{}",
            solution.method,
            if accepted && !trusted { "; the residual contradicts the estimate" } else { "" }
        ));
        // Not converged counts as worse than converged, whatever the estimates.
        let rank = |s: &Solution| {
            (
                s.status != Status::Converged,
                s.error_estimate.filter(|e| e.is_finite()).unwrap_or(f64::INFINITY),
            )
        };
        if self.best.as_ref().is_none_or(|best| rank(&solution) < rank(best)) {
            self.best = Some(solution);
        }
        interrupted || (accepted && trusted)
    }

    /// Finite differences on finer and finer grids. At kinks the residual itself stays large, so only the estimate counts.
    fn differences(&mut self, order: usize) -> bool {
        for &points in GRIDS[self.problem.dimension() - 1] {
            let method = FiniteDifference {
                options: options::FiniteDifference {
                    points: Some(PerAxis::All(points)),
                    order,
                    ..options::FiniteDifference::default()
                },
            };
            let before = self.failure.is_some();
            if self.attempt(&method) {
                return true;
            }
            let met = self.best.as_ref().is_some_and(|best| {
                best.status == Status::Converged && best.error_estimate.is_some_and(|e| e <= self.tolerance)
            });
            if met {
                return true;
            }
            if self.failure.is_some() && !before {
                return false;
            }
        }
        false
    }

    fn process(&mut self) -> bool {
        let options = options::GpHm { inference: Inference::Profiled, ..options::GpHm::default() };
        self.attempt(&GpHm { options })
    }

    fn finish(self) -> Result<Solution, SolveError> {
        let Some(mut solution) = self.best else {
            return Err(self.failure.unwrap_or_else(|| SolveError::NotApplicable {
                method: NAME,
                reason: "no method applies".to_string(),
            }));
        };
        let mut notes = self.notes;
        let estimate = solution.error_estimate;
        if solution.status == Status::Converged && !estimate.is_some_and(|e| e <= self.tolerance) {
            let message = match estimate {
                Some(e) => {
                    format!("the estimated error {e:.1e} does not meet the tolerance {:.1e}", self.tolerance)
                }
                None => "no error estimate".to_string(),
            };
            notes.push(message.clone());
            solution.status = Status::Stalled(message);
        }
        notes.append(&mut solution.notes);
        solution.notes = notes;
        solution.method = format!("{NAME}: {}", solution.method);
        Ok(solution)
    }
}

/// Data that are not smooth.
struct Roughness {
    what: String,
    /// The power with which the Chebyshev coefficients fall.
    decay: f64,
}

/// The roughest of the equations' and conditions' data: each expression with the unknowns set to zero, and the coefficients of
/// each derivative where they depend on the coordinates only, along lines through the box.
fn roughest(problem: &Problem) -> Result<Option<Roughness>, SolveError> {
    let mut worst: Option<Roughness> = None;
    let equations = problem.equations.iter().enumerate().map(|(e, (left, right))| {
        (format!("the data of equation {}", e + 1), left.clone() - right.clone(), None)
    });
    let conditions = problem.conditions.iter().map(|condition| {
        (
            format!("the data of `{} = 0`", condition.residual),
            condition.residual.clone(),
            Some(condition.face),
        )
    });
    for (what, expression, face) in equations.chain(conditions) {
        for data in data_of(problem, &expression) {
            for k in 0..problem.dimension() {
                if face.is_some_and(|face| face.axis == k) {
                    continue;
                }
                for place in [0.31, 0.5, 0.77] {
                    let line = |points: &[f64]| -> Result<Vec<f64>, SolveError> {
                        let axes: Vec<Vec<f64>> = problem
                            .axes
                            .iter()
                            .enumerate()
                            .map(|(j, axis)| match face {
                                _ if j == k => {
                                    points.iter().map(|s| axis.lower.1 + axis.length() * s).collect()
                                }
                                Some(face) if face.axis == j => {
                                    vec![if face.side == Side::Lower { axis.lower.1 } else { axis.upper.1 }]
                                }
                                _ => vec![axis.lower.1 + place * axis.length()],
                            })
                            .collect();
                        Ok(evaluate_on_grid(problem, std::slice::from_ref(&data), &axes)?.remove(0))
                    };
                    if let Some(decay) = algebraic_decay(line)?
                        && worst.as_ref().is_none_or(|w| decay < w.decay)
                    {
                        worst = Some(Roughness { what: what.clone(), decay });
                    }
                    if problem.dimension() == 1 {
                        break;
                    }
                }
            }
        }
    }
    Ok(worst)
}

/// The parts of an expression that depend on coordinates only.
fn data_of(problem: &Problem, expression: &Expr) -> Vec<Expr> {
    let unknowns: Vec<_> =
        expression.symbols().into_iter().filter(|s| problem.derivative(s).is_some()).collect();
    let zeros = unknowns.iter().map(|s| (s.clone(), Expr::integer(0))).collect();
    let mut data = vec![expression.substitute(&zeros)];
    for symbol in &unknowns {
        let coefficient = expression.differentiate(symbol);
        let known = coefficient.symbols().iter().all(|s| problem.derivative(s).is_none());
        if known {
            data.push(coefficient);
        }
    }
    data
}

/// The power with which the Chebyshev coefficients of a function on [0, 1] fall, if they do so like a power only.
///
/// Coefficients of functions with a kink or jump fall on average like a fixed power from the start; those of smooth functions,
/// however oscillatory, drop to rounding once they are resolved.
fn algebraic_decay(line: impl Fn(&[f64]) -> Result<Vec<f64>, SolveError>) -> Result<Option<f64>, SolveError> {
    const COUNT: usize = 1024;
    let angles: Vec<f64> =
        (0..COUNT).map(|i| std::f64::consts::PI * (i as f64 + 0.5) / COUNT as f64).collect();
    let points: Vec<f64> = angles.iter().map(|angle| 0.5 + 0.5 * angle.cos()).collect();
    let values = line(&points)?;
    let size = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if !size.is_finite() || size == 0.0 {
        return Ok(None);
    }
    // Root mean squares over octaves of coefficients; the last octave carries aliases and is left out.
    let octave = |low: usize, high: usize| -> f64 {
        let step = (high - low).div_ceil(24).max(1) | 1;
        let degrees: Vec<usize> = (low..high).step_by(step).collect();
        let square: f64 = degrees
            .iter()
            .map(|&n| {
                let sum: f64 = values.iter().zip(&angles).map(|(v, a)| v * (n as f64 * a).cos()).sum();
                (2.0 * sum / COUNT as f64).powi(2)
            })
            .sum();
        (square / degrees.len() as f64).sqrt() / size
    };
    let (early, middle, late) = (octave(48, 96), octave(150, 300), octave(450, 700));
    if late < 1e-12 || early <= late {
        return Ok(None);
    }
    let slope = |a: f64, b: f64, ratio: f64| (a / b).ln() / ratio.ln();
    let (first, second) = (slope(early, middle, 3.13), slope(middle, late, 2.54));
    // An accelerating fall is that of a smooth function.
    Ok((second < 6.0 && first < 6.0 && second < first + 1.5).then_some(second.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pde::test_problems::{axis, box_of, paper_problem, wall};
    use crate::pde::{Silent, Statement};

    fn solve(problem: &Problem, tolerance: f64) -> Solution {
        let solution = Auto { options: options::Auto { tolerance } }.solve(problem, &mut Silent).unwrap();
        let errors = Solution::errors(problem, &solution.fields).unwrap().unwrap().relative;
        println!("{} {:?} {errors:?} {:?}", solution.method, solution.notes, solution.status);
        assert_eq!(solution.status, Status::Converged);
        assert!(errors.iter().all(|e| *e <= 30.0 * tolerance));
        solution
    }

    #[test]
    fn smooth_data_get_collocation() {
        for name in ["u1", "u5", "ac1", "u7", "adv"] {
            let solution = solve(&paper_problem(name), 1e-6);
            assert!(solution.method.contains("collocation"), "{name}");
            assert!(solution.notes[0].contains("smooth"));
        }
    }

    #[test]
    fn data_with_kinks_get_finite_differences() {
        let kink = box_of(vec![axis("x", "-1", "2")], &["u"]).solved_by(&["abs(x)^3/6"]);
        let kink = kink.equation("u_xx", "abs(x)").exact_on(&["x-", "x+"], "u");
        let solution = solve(&kink, 1e-5);
        assert!(solution.method.contains("finite-difference"));
        assert!(solution.notes[0].contains("not smooth"));
    }

    #[test]
    fn more_conditions_than_needed_get_gp_hm() {
        let text = "[domain]\nx = [0, 1]\n[equation]\nunknown = \"u\"\nequation = \"u_x = cos(x)\"\n\
                    [conditions]\nx = { lower = \"u = 0\", upper = \"u = sin(1)\" }\n[exact]\nu = \"sin(x)\"\n";
        let problem = Statement::parse(text).unwrap().problem;
        let solution = Auto::default().solve(&problem, &mut Silent).unwrap();
        let errors = Solution::errors(&problem, &solution.fields).unwrap().unwrap().relative;
        println!("{} {:?} {errors:?} {:?}", solution.method, solution.notes, solution.status);
        assert!(solution.method.contains("gp-hm"));
        assert!(solution.notes[0].contains("grids do not apply"));
        assert!(errors[0] < 1e-4, "{errors:?}");
    }

    #[test]
    fn a_steep_wall_is_reached() {
        let solution = solve(&wall(), 1e-8);
        assert!(solution.method.contains("collocation"));
    }

    #[test]
    fn a_problem_without_a_unique_solution_is_an_error() {
        let line =
            box_of(vec![axis("x", "0", "1")], &["u"]).equation("u_xx", "0").on("x-", "u_x").on("x+", "u_x");
        let error = Auto::default().solve(&line, &mut Silent).unwrap_err();
        assert!(matches!(error, SolveError::Breakdown(_)), "{error}");
    }
}
