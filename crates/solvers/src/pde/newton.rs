//! Newton's method for discretised problems, damped by the natural monotonicity test.
//!
//! Deuflhard: Newton Methods for Nonlinear Problems, section 3.3: a step `λ d`, `d = −J(x)⁻¹ F(x)`, is accepted if the
//! simplified correction `d̄ = −J(x)⁻¹ F(x + λ d)` satisfies `‖d̄‖ ≤ (1 − λ/4) ‖d‖`. The test does not depend on how the
//! rows of `F` are scaled, so equations and conditions of different units can stand side by side. Once corrections are
//! small the Jacobian is frozen and corrections are added until they stop falling; for a linear problem that is iterative
//! refinement. The size of the correction that no longer helps measures the rounding error.
//!
//! Where no constant is a good enough start, as with a steep wall between two states, the derivatives of highest order are
//! first taken many times over: what is left is nearly linear, and its solution joins the boundary values smoothly. The
//! factor is then brought down to 1, each solution being the start for the next. Where that path turns back, as with strongly
//! nonlinear oscillations, the damping itself is in the way, since it never leaves a valley that has no solution: steps
//! of bounded length that need not reduce anything then look for one.

use std::ops::ControlFlow;
use std::time::Instant;

use super::{Field, HistoryPoint, Observer, Problem, Progress, Residual, Solution, SolveError, Status};

/// Residuals and their partial derivatives at a state.
pub struct Evaluation {
    /// All rows.
    pub residual: Vec<f64>,
    /// Root mean square of the rows that belong to equations.
    pub equation_rms: f64,
    /// For each block of rows, for each of its derivatives, the partial derivatives at the block's points.
    pub partials: Vec<Vec<Vec<f64>>>,
}

impl Evaluation {
    fn is_finite(&self) -> bool {
        self.residual.iter().all(|r| r.is_finite())
            && self.partials.iter().flatten().flatten().all(|p| p.is_finite())
    }
}

/// A discretised problem `F(state) = 0`.
pub trait Discretised {
    /// The number of entries of a state.
    fn len(&self) -> usize;
    /// Whether `F` is affine.
    fn is_linear(&self) -> bool;
    /// Take the derivatives of highest order in each equation `factor` times from now on; 1 is the problem itself.
    fn stretch(&mut self, factor: f64);
    /// The state of the constant function.
    fn constant(&self, value: f64) -> Vec<f64>;
    /// `F` and what the Jacobian is made of.
    fn evaluate(&self, state: &[f64]) -> Evaluation;
    /// Make the Jacobian ready for [`Discretised::solve`].
    ///
    /// # Errors
    /// If it is singular.
    fn factorise(&mut self, evaluation: &Evaluation) -> Result<(), SolveError>;
    /// `J⁻¹ right_side`.
    ///
    /// # Errors
    /// If the solution is not finite or an inner iteration fails.
    fn solve(&self, right_side: &[f64]) -> Result<Vec<f64>, SolveError>;
    /// The size of the function that a state (or a difference of states) stands for.
    fn norm(&self, difference: &[f64]) -> f64;
    /// The size of the function that a state stands for.
    fn state_norm(&self, state: &[f64]) -> f64 {
        self.norm(state)
    }
    /// The solution's fields.
    fn fields(&self, state: &[f64]) -> Vec<Field>;
    /// What rounding does to the rows at a state; see [`rounding_noise`].
    fn noise(&self, state: &[f64]) -> Vec<f64>;
    /// The first row whose data are not finite, as an error.
    fn not_finite(&self, evaluation: &Evaluation) -> SolveError;
}

impl Evaluation {
    /// From each block's outputs (its residuals, then their partial derivatives) and whether it is one of the equations'.
    pub fn gather(total: usize, blocks: impl Iterator<Item = (bool, Vec<Vec<f64>>)>) -> Self {
        let (mut residual, mut partials) = (Vec::with_capacity(total), Vec::new());
        let (mut square, mut count) = (0.0, 0usize);
        for (equation, mut outputs) in blocks {
            let values = outputs.remove(0);
            if equation {
                square += values.iter().map(|r| r * r).sum::<f64>();
                count += values.len();
            }
            residual.extend(values);
            partials.push(outputs);
        }
        Evaluation { residual, equation_rms: (square / count.max(1) as f64).sqrt(), partials }
    }
}

/// Refuses a tolerance that is not positive, and no iterations.
///
/// # Errors
/// [`SolveError::Option`] with the option's key.
pub fn require_limits(tolerance: f64, iterations: usize) -> Result<(), SolveError> {
    if !(tolerance.is_finite() && tolerance > 0.0) {
        let message = format!("{tolerance} is not a positive number");
        return Err(SolveError::Option { key: "tolerance", message });
    }
    if iterations == 0 {
        return Err(SolveError::Option { key: "iterations", message: "0; at least 1 is needed".to_string() });
    }
    Ok(())
}

/// The first point of a block at which values are not finite, as an error.
pub fn not_finite_at(names: &[String], label: &str, coordinates: &[Vec<f64>], point: usize) -> SolveError {
    let place: Vec<String> =
        names.iter().zip(coordinates).map(|(name, c)| format!("{name} = {}", c[point])).collect();
    SolveError::NotFinite { what: label.to_string(), place: place.join(", ") }
}

/// How Newton ended.
pub struct Outcome {
    /// The last accepted state.
    pub state: Vec<f64>,
    /// How it ended.
    pub status: Status,
    /// Steps taken.
    pub iterations: usize,
    /// Relative size of the last correction.
    pub correction: f64,
    /// Relative size of the solution's change when every row changes as much as rounding may change it.
    pub noise: f64,
}

/// A sample of what rounding does to a residual: its change when the coordinates change in their last digit (which is also
/// what a product such as `100 x` inside a sine suffers), and the last digit of its largest term.
pub fn rounding_noise(residual: &Residual, coordinates: &[Vec<f64>], jets: &[&[f64]]) -> Vec<f64> {
    let sign = |i: usize, k: usize| ((i * 7 + k * 13 + 1) as f64 * 78.233).sin().signum();
    let moved: Vec<Vec<f64>> = coordinates
        .iter()
        .enumerate()
        .map(|(k, c)| c.iter().enumerate().map(|(i, x)| x * (1.0 + f64::EPSILON * sign(i, k))).collect())
        .collect();
    let slices = |c: &'_ [Vec<f64>]| -> Vec<Vec<f64>> {
        residual.evaluate(&c.iter().map(Vec::as_slice).collect::<Vec<_>>(), jets)
    };
    let (at, beside) = (slices(coordinates), slices(&moved));
    (0..at[0].len())
        .map(|i| {
            let largest = at[1..].iter().zip(jets).map(|(p, j)| (p[i] * j[i]).abs()).fold(0.0, f64::max);
            beside[0][i] - at[0][i] + 0.5 * f64::EPSILON * largest * sign(i, 3)
        })
        .collect()
}

/// The record that one or several Newton runs of a solve leave.
pub struct Journal<'a> {
    problem: &'a Problem,
    observer: &'a mut dyn Observer,
    start: Instant,
    /// Steps at most, those of the run in progress added to the steps so far.
    planned: usize,
    /// Steps so far.
    pub iterations: usize,
    /// Recorded moments.
    pub history: Vec<HistoryPoint>,
}

impl<'a> Journal<'a> {
    /// An empty record that starts now.
    pub fn new(problem: &'a Problem, observer: &'a mut dyn Observer) -> Self {
        Journal { problem, observer, start: Instant::now(), planned: 0, iterations: 0, history: Vec::new() }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.start.elapsed()
    }

    /// Tell the observer.
    pub fn note(&mut self, message: &str) {
        self.observer.note(message);
    }

    fn record(&mut self, residual: f64, fields: &[Field]) -> Result<ControlFlow<()>, SolveError> {
        self.iterations += 1;
        let error = Solution::errors(self.problem, fields)?
            .and_then(|errors| errors.relative.into_iter().reduce(f64::max));
        self.history.push(HistoryPoint {
            iteration: self.iterations,
            seconds: self.start.elapsed().as_secs_f64(),
            objective: None,
            residual: Some(residual),
            error,
        });
        Ok(self.observer.progress(Progress {
            iteration: self.iterations,
            planned: self.planned,
            residual: Some(residual),
            error,
        }))
    }
}

/// Corrections below this, relative to the state, are added with the Jacobian frozen.
const FREEZE: f64 = 1e-5;
/// The smallest damping factor.
const SMALLEST_STEP: f64 = 1e-5;

/// The factors of the highest derivatives from which a continuation starts, the smallest that works.
const STRETCHES: [f64; 3] = [1e3, 1e6, 1e9];
/// The ratio of a factor to the next, at first, and at least.
const LARGEST_RATIO: f64 = 8.0;
const SMALLEST_RATIO: f64 = 1.1;
/// The accuracy of the solutions on the way.
const ON_THE_WAY: f64 = 1e-2;

/// Solve `F(state) = 0` from `initial`; where that is absent or does not converge, from the constants 0, 1, -1 and 1/2 in
/// turn, as long as steps are left. Where these do not converge either, by continuation and by undamped steps, with as many steps
/// again for each.
///
/// # Errors
/// If data are not finite or the Jacobian is singular at the start.
pub fn solve(
    system: &mut dyn Discretised,
    initial: Option<Vec<f64>>,
    iterations: usize,
    tolerance: f64,
    journal: &mut Journal<'_>,
) -> Result<Outcome, SolveError> {
    let constants = [0.0, 1.0, -1.0, 0.5].map(|value| system.constant(value));
    let mut failure = None;
    let mut reached: Option<Outcome> = None;
    let mut used = 0;
    let before = journal.iterations;
    journal.planned = before + iterations;
    for state in initial.into_iter().chain(constants) {
        if used >= iterations {
            break;
        }
        let evaluation = system.evaluate(&state);
        if evaluation.is_finite() {
            match descend(system, state, evaluation, iterations - used, tolerance, journal) {
                Ok(outcome) => {
                    used += outcome.iterations.max(1);
                    let over = matches!(outcome.status, Status::Converged | Status::Interrupted);
                    if over || reached.is_none() {
                        reached = Some(Outcome { iterations: used, ..outcome });
                    }
                    if over {
                        break;
                    }
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        } else {
            failure.get_or_insert_with(|| system.not_finite(&evaluation));
        }
        if system.is_linear() {
            break;
        }
    }
    let over = |o: &Outcome| matches!(o.status, Status::Converged | Status::Interrupted);
    if !system.is_linear() && !reached.as_ref().is_some_and(over) {
        let budget = if used == 0 { 0 } else { iterations };
        journal.planned = journal.iterations + budget;
        let continued = continuation(system, budget, tolerance, journal);
        system.stretch(1.0);
        journal.planned = journal.iterations + budget;
        if let Some(outcome) = continued.or_else(|| undamped(system, budget, tolerance, journal)) {
            reached = Some(Outcome { iterations: journal.iterations - before, ..outcome });
        }
    }
    let nothing = || SolveError::Breakdown("no unknowns to solve for".to_string());
    reached.ok_or_else(|| failure.unwrap_or_else(nothing))
}

/// Solve with the highest derivatives taken many times over, and bring the factor down to 1.
///
/// `None` if that leads nowhere. The caller sets the factor back.
fn continuation(
    system: &mut dyn Discretised,
    iterations: usize,
    tolerance: f64,
    journal: &mut Journal<'_>,
) -> Option<Outcome> {
    let mut used = 0;
    let mut attempt = |system: &mut dyn Discretised, state: Vec<f64>, factor: f64| {
        system.stretch(factor);
        let evaluation = system.evaluate(&state);
        let left = iterations - used.min(iterations);
        if left == 0 || !evaluation.is_finite() {
            return None;
        }
        let tolerance = if factor == 1.0 { tolerance } else { ON_THE_WAY };
        let outcome = descend(system, state, evaluation, left, tolerance, journal).ok()?;
        used += outcome.iterations.max(1);
        matches!(outcome.status, Status::Converged | Status::Interrupted)
            .then_some(Outcome { iterations: used, ..outcome })
    };
    let zero = system.constant(0.0);
    let mut found = None;
    for factor in STRETCHES {
        if let Some(outcome) = attempt(system, zero.clone(), factor) {
            found = Some((factor, outcome));
            break;
        }
    }
    let (mut factor, mut outcome) = found?;
    let mut ratio = LARGEST_RATIO;
    while factor > 1.0 && outcome.status == Status::Converged {
        let next = (factor / ratio).max(1.0);
        match attempt(system, outcome.state.clone(), next) {
            Some(reached) => {
                (factor, outcome) = (next, reached);
                ratio = (ratio * ratio).min(LARGEST_RATIO);
            }
            None if ratio < SMALLEST_RATIO => return None,
            None => ratio = ratio.sqrt(),
        }
    }
    Some(outcome)
}

/// Newton steps that are no longer than the state, or than the constant 1, and need not reduce anything, from each constant in
/// turn; once corrections are small, the damped method takes over.
fn undamped(
    system: &mut dyn Discretised,
    iterations: usize,
    tolerance: f64,
    journal: &mut Journal<'_>,
) -> Option<Outcome> {
    let unit = system.state_norm(&system.constant(1.0));
    let mut used = 0;
    for value in [0.0, 1.0, -1.0, 0.5] {
        let mut state = system.constant(value);
        while used < iterations {
            let evaluation = system.evaluate(&state);
            if !evaluation.is_finite() || system.factorise(&evaluation).is_err() {
                break;
            }
            let negated: Vec<f64> = evaluation.residual.iter().map(|r| -r).collect();
            let Ok(correction) = system.solve(&negated) else { break };
            let (size, scale) = (system.norm(&correction), system.state_norm(&state).max(unit));
            if size <= 0.03 * scale {
                let outcome = descend(system, state, evaluation, iterations - used, tolerance, journal).ok();
                if let Some(outcome) = &outcome {
                    used += outcome.iterations.max(1);
                }
                match outcome {
                    Some(o) if matches!(o.status, Status::Converged | Status::Interrupted) => return Some(o),
                    _ => break,
                }
            }
            let step = (scale / size).min(1.0);
            state.iter_mut().zip(&correction).for_each(|(x, d)| *x += step * d);
            used += 1;
            if journal.record(evaluation.equation_rms, &system.fields(&state)).ok()?.is_break() {
                let status = Status::Interrupted;
                return Some(Outcome {
                    state,
                    status,
                    iterations: used,
                    correction: size / scale,
                    noise: 0.0,
                });
            }
        }
    }
    None
}

/// Newton's method from one state.
fn descend(
    system: &mut dyn Discretised,
    mut state: Vec<f64>,
    mut evaluation: Evaluation,
    iterations: usize,
    tolerance: f64,
    journal: &mut Journal<'_>,
) -> Result<Outcome, SolveError> {
    let negated = |evaluation: &Evaluation| -> Vec<f64> { evaluation.residual.iter().map(|r| -r).collect() };
    let moved = |state: &[f64], step: f64, correction: &[f64]| -> Vec<f64> {
        state.iter().zip(correction).map(|(x, d)| x + step * d).collect()
    };
    let relative = |size: f64, scale: f64| if scale > 0.0 { size / scale } else { size };
    let mut last = f64::INFINITY;
    let mut step = 1.0_f64;
    for iteration in 1..=iterations {
        let correction =
            match system.factorise(&evaluation).and_then(|()| system.solve(&negated(&evaluation))) {
                Ok(correction) => correction,
                Err(error) if iteration == 1 => return Err(error),
                Err(error) => {
                    let status = Status::Stalled(error.to_string());
                    return Ok(Outcome {
                        state,
                        status,
                        iterations: iteration - 1,
                        correction: last,
                        noise: 0.0,
                    });
                }
            };
        let size = system.norm(&correction);
        step = (2.0 * step).min(1.0);
        let (next, next_evaluation, simplified, simplified_size) = loop {
            let next = moved(&state, step, &correction);
            let trial = system.evaluate(&next);
            if trial.is_finite() {
                // An inner iteration may fail far from the solution: a shorter step is then tried.
                if let Ok(simplified) = system.solve(&negated(&trial)) {
                    let simplified_size = system.norm(&simplified);
                    let tiny = size <= 1e-14 * system.state_norm(&next);
                    if system.is_linear() || tiny || simplified_size <= (1.0 - step / 4.0) * size {
                        break (next, trial, simplified, simplified_size);
                    }
                }
            }
            step /= 2.0;
            if step < SMALLEST_STEP || system.is_linear() {
                let reason = format!("no step along the Newton direction reduces the correction {size:.3e}");
                return Ok(Outcome {
                    state,
                    status: Status::Stalled(reason),
                    iterations: iteration - 1,
                    correction: last,
                    noise: 0.0,
                });
            }
        };
        state = next;
        evaluation = next_evaluation;
        let scale = system.state_norm(&state);
        last = relative(simplified_size, scale);
        let flow = journal.record(evaluation.equation_rms, &system.fields(&state))?;
        if flow.is_break() {
            return Ok(Outcome {
                state,
                status: Status::Interrupted,
                iterations: iteration,
                correction: last,
                noise: 0.0,
            });
        }
        if step == 1.0 && (last <= FREEZE || system.is_linear()) {
            let (state, correction) = polish(system, state, simplified, simplified_size);
            let correction = relative(correction, system.state_norm(&state));
            // For a linear problem the corrections measure rounding only, which the error estimate reports.
            let status = if correction <= if system.is_linear() { 1e-3 } else { tolerance } {
                Status::Converged
            } else {
                Status::Stalled(format!("corrections of relative size {correction:.3e} do not get smaller"))
            };
            let noise = system.solve(&system.noise(&state)).map_or(0.0, |change| system.norm(&change));
            let noise = relative(noise, system.state_norm(&state));
            return Ok(Outcome { state, status, iterations: iteration, correction, noise });
        }
    }
    Ok(Outcome { state, status: Status::IterationLimit, iterations, correction: last, noise: 0.0 })
}

/// Add corrections with the Jacobian as it is while each is much smaller than the one before.
fn polish(
    system: &dyn Discretised,
    mut state: Vec<f64>,
    mut correction: Vec<f64>,
    mut size: f64,
) -> (Vec<f64>, f64) {
    for _ in 0..6 {
        let next: Vec<f64> = state.iter().zip(&correction).map(|(x, d)| x + d).collect();
        let evaluation = system.evaluate(&next);
        if !evaluation.is_finite() {
            break;
        }
        let negated: Vec<f64> = evaluation.residual.iter().map(|r| -r).collect();
        let Ok(following) = system.solve(&negated) else { break };
        let following_size = system.norm(&following);
        if following_size.is_nan() || following_size > size {
            break;
        }
        let stagnates = following_size > 0.3 * size;
        (state, correction, size) = (next, following, following_size);
        if stagnates || size == 0.0 {
            break;
        }
    }
    (state, size)
}
