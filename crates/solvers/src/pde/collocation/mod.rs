//! Spectral collocation: the solution as a series of Chebyshev polynomials (along periodic axes, of trigonometric functions)
//! whose coefficients make the equations hold at as many points as there are coefficients left by the conditions.
//!
//! - [`basis`]: the one-dimensional functions, integrated so that the highest derivative is well conditioned;
//! - [`bordered`]: any problem of moderate size, by a dense matrix with the conditions as further rows;
//! - [`kronecker`]: one unknown in two or three dimensions, by tensor structure;
//! - [`schur`]: the complex Schur form that the tensor solver needs for operators without good eigenvectors.
//!
//! Equations are asked for at the roots of a Chebyshev polynomial inside the box and conditions on the faces (Driscoll, Hale
//! 2016, Rectangular spectral collocation); which conditions meet at edges is stated in [`super::layout`]. Equations that
//! are not linear go through [`super::newton`].

mod basis;
mod bordered;
mod kronecker;
mod schur;

use std::sync::Arc;

use mathesis_algebra::tensor::Tensor;

use super::layout::Layout;
use super::newton::{self, Discretised, Journal};
use super::options::{self};
use super::{Field, Method, Observer, Problem, Residual, Solution, SolveError, Status, grid_coordinates};
#[cfg(test)]
mod tests;

use basis::Spectral;
use bordered::Bordered;
use kronecker::Reduced;

/// The method, with its options.
#[derive(Clone, Debug, Default)]
pub struct Collocation {
    /// The options.
    pub options: options::Collocation,
}

const NAME: &str = "collocation";
/// The largest dense system in one dimension, and in more.
const LARGEST_DENSE: [usize; 3] = [4096, 6000, 6000];
/// The most points along an axis of a tensor-structured solve, by dimension.
const LARGEST_STRUCTURED: [usize; 3] = [4096, 1024, 128];
/// Systems up to this size are solved by a dense matrix even where tensor structure would do.
const SMALL: usize = 700;
/// Points along an axis from which an adaptive solve starts, by dimension.
const FIRST: [usize; 3] = [32, 24, 12];
/// The most points along an axis that an adaptive solve goes to, by dimension.
const LAST: [usize; 3] = [4096, 512, 64];

/// Newton steps at most on each grid of an adaptive solve.
const COARSE_STEPS: usize = 20;
/// A level whose unresolved part is below this is worth starting the next one from.
const RESOLVED: f64 = 0.05;

impl Method for Collocation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn solve(&self, problem: &Problem, observer: &mut dyn Observer) -> Result<Solution, SolveError> {
        let options = &self.options;
        newton::require_limits(options.tolerance, options.iterations)?;
        let layout = Layout::new(problem, NAME)?;
        let mut journal = Journal::new(problem, observer);
        match &options.points {
            Some(points) => {
                let points = points.resolve(problem.dimension()).ok_or_else(|| SolveError::Option {
                    key: "points",
                    message: format!("expected one value or {}, one for each axis", problem.dimension()),
                })?;
                let inner = inner_points(problem, &layout, &points)?;
                let level = solve_level(problem, &layout, &inner, None, options, &mut journal)?;
                Ok(report(level, None, journal))
            }
            None => self.refine(problem, &layout, journal),
        }
    }
}

impl Collocation {
    /// Double the points along the axes whose series have not decayed until the estimated error is small enough.
    fn refine(
        &self,
        problem: &Problem,
        layout: &Layout,
        mut journal: Journal<'_>,
    ) -> Result<Solution, SolveError> {
        let dimension = problem.dimension();
        let last = LAST[dimension - 1];
        let tolerance = self.options.tolerance;
        let mut inner = vec![FIRST[dimension - 1]; dimension];
        let mut best: Option<Level> = None;
        // On a grid that does not resolve the data Newton may wander; it is not worth many steps there.
        let options = options::Collocation {
            iterations: self.options.iterations.min(COARSE_STEPS),
            ..self.options.clone()
        };
        let missed = loop {
            let start = best.as_ref().filter(|level| level.converged() && level.unresolved() < RESOLVED);
            let attempt = solve_level(problem, layout, &inner, start, &options, &mut journal);
            let (tails, why) = match attempt {
                Ok(level) => {
                    let tails = level.tails.clone();
                    let interrupted = level.status == Status::Interrupted;
                    let met = level.converged() && level.estimate() <= tolerance;
                    let noisy = level.converged() && level.rounding > tolerance.max(level.unresolved());
                    if best.as_ref().is_none_or(|b| !b.converged() || level.estimate() <= b.estimate()) {
                        best = Some(level);
                    }
                    if interrupted || met {
                        break None;
                    }
                    if noisy {
                        break Some("rounding errors are larger".to_string());
                    }
                    (tails, format!("no grid finer than {} fits", describe(&inner)))
                }
                // A grid that does not resolve the data may be singular by chance.
                Err(SolveError::Breakdown(reason))
                    if inner.iter().all(|n| 8 * n <= last) || best.is_some() =>
                {
                    (vec![1.0; dimension], reason)
                }
                Err(error) => return Err(error),
            };
            let mut next = inner.clone();
            for (n, tail) in next.iter_mut().zip(&tails) {
                if tail.is_nan() || *tail > 0.1 * tolerance {
                    *n = (2 * *n).min(last);
                }
            }
            if next == inner {
                next.iter_mut().for_each(|n| *n = (2 * *n).min(last));
            }
            if next == inner || choose_engine(problem, layout, &next).is_none() {
                break Some(why);
            }
            inner = next;
        };
        match best {
            Some(best) => Ok(report(best, missed.map(|reason| (tolerance, reason)), journal)),
            None => {
                Err(SolveError::Breakdown(missed.unwrap_or_else(|| "no grid gave a solution".to_string())))
            }
        }
    }
}

fn describe(points: &[usize]) -> String {
    points.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// The number of inner points along each axis for the asked numbers of coefficients.
fn inner_points(problem: &Problem, layout: &Layout, points: &[usize]) -> Result<Vec<usize>, SolveError> {
    let refuse = |message: String| Err(SolveError::Option { key: "points", message });
    let mut inner = Vec::new();
    for (k, &n) in points.iter().enumerate() {
        let order = layout.orders.iter().map(|orders| orders[k]).max().unwrap_or(0);
        let least = order + 2;
        if n < least {
            return refuse(format!(
                "{n} points along `{}`; at least {least} are needed for derivatives of order {order}",
                problem.axes[k].name.name()
            ));
        }
        inner.push(n - order);
    }
    if choose_engine(problem, layout, &inner).is_none() {
        let total = bordered::unknown_count(layout, &inner);
        let dimension = problem.dimension();
        let most = LARGEST_DENSE[dimension - 1];
        let per_axis =
            (most as f64 / layout.orders.len() as f64).powf(1.0 / dimension as f64).floor() as usize;
        let structured = if layout.orders.len() == 1 && dimension > 1 {
            format!(
                "; for an unknown whose conditions are of constant coefficients and normal to their faces, at most {} an axis",
                LARGEST_STRUCTURED[dimension - 1]
            )
        } else {
            String::new()
        };
        return refuse(format!(
            "{} points make {total} coefficients, a matrix of {:.1} GB; at most {most} coefficients, that is about {per_axis} \
             points along each axis{structured}",
            describe(points),
            (total as f64).powi(2) * 8e-9
        ));
    }
    Ok(inner)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Dense,
    Structured,
}

/// The engine to try first, or `None` if neither can hold the problem.
fn choose_engine(problem: &Problem, layout: &Layout, inner: &[usize]) -> Option<Engine> {
    let dimension = problem.dimension();
    let total = bordered::unknown_count(layout, inner);
    let structured = dimension > 1
        && problem.unknowns.len() == 1
        && inner.iter().all(|n| *n <= LARGEST_STRUCTURED[dimension - 1])
        && inner.iter().product::<usize>() <= 1_500_000
        && kronecker::applies(problem, layout);
    let dense = total <= LARGEST_DENSE[dimension - 1];
    match (structured, dense) {
        (true, true) => Some(if total <= SMALL { Engine::Dense } else { Engine::Structured }),
        (true, false) => Some(Engine::Structured),
        (false, true) => Some(Engine::Dense),
        (false, false) => None,
    }
}

/// The solution on one grid.
struct Level {
    points: Vec<usize>,
    fields: Vec<Field>,
    coefficients: Vec<Tensor>,
    status: Status,
    iterations: usize,
    /// For each axis the part of the series that lies in its last coefficients.
    tails: Vec<f64>,
    rounding: f64,
    /// Root mean square of the residual between the points, relative to the largest term.
    residual: f64,
    engine: Engine,
}

impl Level {
    fn unresolved(&self) -> f64 {
        self.tails.iter().fold(self.residual, |m, t| m.max(*t))
    }

    fn converged(&self) -> bool {
        self.status == Status::Converged
    }

    fn estimate(&self) -> f64 {
        self.unresolved().max(self.rounding)
    }
}

fn solve_level(
    problem: &Problem,
    layout: &Layout,
    inner: &[usize],
    coarse: Option<&Level>,
    options: &options::Collocation,
    journal: &mut Journal<'_>,
) -> Result<Level, SolveError> {
    let tolerance = options.tolerance.max(1e-9);
    let engine = choose_engine(problem, layout, inner).unwrap_or(Engine::Dense);
    if engine == Engine::Structured
        && let Some(mut system) = Reduced::new(problem, layout, inner)?
    {
        let initial = coarse
            .filter(|_| !layout.is_linear())
            .map(|level| system.restrict(&padded(&level.coefficients[0], &shape(&system.bases))));
        match newton::solve(&mut system, initial, options.iterations, tolerance, journal) {
            Ok(outcome) => {
                let coefficients = vec![system.coefficients(&outcome.state)];
                let bases = vec![system.bases.clone()];
                let fields = system.fields(&outcome.state);
                return finish(problem, layout, inner, engine, &bases, fields, coefficients, outcome);
            }
            Err(SolveError::Breakdown(reason)) => {
                if bordered::unknown_count(layout, inner) > LARGEST_DENSE[problem.dimension() - 1] {
                    return Err(SolveError::Breakdown(reason));
                }
                journal.note(&format!("collocation: {reason}; solving with a dense matrix instead"));
            }
            Err(error) => return Err(error),
        }
    }
    let total = bordered::unknown_count(layout, inner);
    if total > LARGEST_DENSE[problem.dimension() - 1] {
        return Err(SolveError::Breakdown(format!(
            "the conditions do not allow the tensor-product solver, and a dense matrix for {total} coefficients is too large"
        )));
    }
    let mut system = Bordered::new(problem, layout, inner);
    let initial = coarse.filter(|_| !layout.is_linear()).map(|level| {
        let padded = level.coefficients.iter().zip(&system.bases).map(|(c, bases)| padded(c, &shape(bases)));
        padded.flat_map(Tensor::into_values).collect()
    });
    let outcome = newton::solve(&mut system, initial, options.iterations, tolerance, journal)?;
    let coefficients = system.tensors(&outcome.state);
    let fields = system.fields(&outcome.state);
    finish(problem, layout, inner, Engine::Dense, &system.bases, fields, coefficients, outcome)
}

fn shape(bases: &[Arc<Spectral>]) -> Vec<usize> {
    use super::Basis;
    bases.iter().map(|b| b.len()).collect()
}

/// The same coefficients with zeros behind them (or without those that do not fit).
fn padded(coefficients: &Tensor, shape: &[usize]) -> Tensor {
    let mut result = Tensor::zeros(shape.to_vec());
    let old = coefficients.shape();
    for (p, value) in coefficients.values().iter().enumerate() {
        let (mut rest, mut target, mut stride, mut fits) = (p, 0, 1, true);
        for k in (0..shape.len()).rev() {
            let place = rest % old[k];
            rest /= old[k];
            fits &= place < shape[k];
            target += place * stride;
            stride *= shape[k];
        }
        if fits {
            result.values_mut()[target] = *value;
        }
    }
    result
}

#[expect(clippy::too_many_arguments, reason = "the parts of one finished level")]
fn finish(
    problem: &Problem,
    layout: &Layout,
    inner: &[usize],
    engine: Engine,
    bases: &[Vec<Arc<Spectral>>],
    fields: Vec<Field>,
    coefficients: Vec<Tensor>,
    outcome: newton::Outcome,
) -> Result<Level, SolveError> {
    let dimension = problem.dimension();
    let points = (0..dimension)
        .map(|k| inner[k] + layout.orders.iter().map(|orders| orders[k]).max().unwrap_or(0))
        .collect::<Vec<_>>();
    let mut tails = vec![0.0_f64; dimension];
    for (bases, coefficients) in bases.iter().zip(&coefficients) {
        let series = bordered::series(bases, coefficients);
        let total: f64 = series.values().iter().map(|c| c * c).sum();
        if total == 0.0 {
            continue;
        }
        for (k, tail) in tails.iter_mut().enumerate() {
            let (_, extent, inner) = series.strides_around(k);
            // Two coefficients at least: even and odd functions have every other one zero.
            let width = (2 + extent / 128).min(extent);
            let last: f64 = series
                .values()
                .iter()
                .enumerate()
                .filter(|(p, _)| p / inner % extent >= extent - width)
                .map(|(_, c)| c * c)
                .sum();
            *tail = tail.max((last / total).sqrt());
        }
    }
    let largest = points.iter().max().copied().unwrap_or(1) as f64;
    let rounding = outcome.correction.max(outcome.noise).max(f64::EPSILON * largest.sqrt());
    let residual = residual_between(problem, layout, &fields);
    Ok(Level {
        points,
        fields,
        coefficients,
        status: outcome.status,
        iterations: outcome.iterations,
        tails,
        rounding,
        residual,
        engine,
    })
}

/// The equations' residual at points that the solve has not seen, relative to the largest term: it finds what the
/// coefficients alone cannot show, data that alias on the grid.
fn residual_between(problem: &Problem, layout: &Layout, fields: &[Field]) -> f64 {
    let dimension = problem.dimension();
    let count = [211, 31, 11][dimension - 1];
    let golden = 0.618_033_988_749_894_9;
    let axes: Vec<Vec<f64>> = problem
        .axes
        .iter()
        .enumerate()
        .map(|(k, axis)| {
            let start = 0.37 + 0.29 * k as f64;
            (0..count).map(|i| axis.lower.1 + axis.length() * (start + golden * i as f64).fract()).collect()
        })
        .collect();
    let coordinates = grid_coordinates(&axes);
    let slices: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
    let mut worst = 0.0_f64;
    for equation in &layout.equations {
        worst = worst.max(relative_residual(&equation.residual, fields, &axes, &slices));
    }
    worst
}

fn relative_residual(
    residual: &Residual,
    fields: &[Field],
    axes: &[Vec<f64>],
    coordinates: &[&[f64]],
) -> f64 {
    let size = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let jets: Vec<Vec<f64>> = residual
        .derivatives()
        .iter()
        .map(|d| fields[d.unknown].on_grid(&d.orders[..axes.len()], axes).into_values())
        .collect();
    let jet_slices: Vec<&[f64]> = jets.iter().map(Vec::as_slice).collect();
    let mut outputs = residual.evaluate(coordinates, &jet_slices);
    let values = outputs.remove(0);
    let scale = outputs
        .iter()
        .zip(&jets)
        .map(|(partial, jet)| size(&mut partial.iter().zip(jet).map(|(p, j)| p * j)))
        .fold(0.0, f64::max);
    let found = size(&mut values.into_iter());
    if scale > 0.0 { found / scale } else { found }
}

fn report(level: Level, missed: Option<(f64, String)>, journal: Journal<'_>) -> Solution {
    let mut notes = vec![format!(
        "{} points; {}",
        describe(&level.points),
        match level.engine {
            Engine::Dense => "dense matrix",
            Engine::Structured => "tensor-product solver",
        }
    )];
    let estimate = level.estimate();
    let mut status = level.status.clone();
    if let Some((tolerance, reason)) = missed {
        let message = format!(
            "the estimated error {estimate:.1e} does not meet the tolerance {tolerance:.1e}: {reason}"
        );
        notes.push(message.clone());
        if status == Status::Converged {
            status = Status::Stalled(message);
        }
    }
    let mut figures = vec![
        ("rounding".to_string(), level.rounding),
        ("residual between points".to_string(), level.residual),
    ];
    figures.extend(
        level.tails.iter().enumerate().map(|(k, tail)| (format!("series tail along axis {}", k + 1), *tail)),
    );
    Solution {
        method: NAME.to_string(),
        fields: level.fields,
        status,
        iterations: journal.iterations.max(level.iterations),
        error_estimate: estimate.is_finite().then_some(estimate),
        elapsed: journal.elapsed(),
        history: journal.history,
        spectra: Vec::new(),
        notes,
        figures,
    }
}
