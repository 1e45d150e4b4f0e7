//! GP-HM: Gaussian processes with mixture spectra for high-frequency and multi-scale equations.
//!
//! Fang, Cooley, Long, Li, Kirby, Zhe: Solving High Frequency and Multi-Scale PDEs with Gaussian Processes, ICLR 2024.
//! The solution is a Gaussian process whose covariance is a mixture of oscillating envelopes; its values on a uniform tensor
//! grid are free, and the equation and the conditions enter as likelihoods. The frequencies are learned.
//!
//! - [`kernel`]: the covariances, their derivatives and parameter gradients;
//! - [`grid`]: the problem on the grid;
//! - [`process`]: the paper's objective and its gradient, on Toeplitz and Kronecker structure;
//! - [`adam`]: the paper's inference;
//! - [`profiled`]: ours, with the solution values eliminated, on
//! - [`modes`]: the processes in their eigenvectors, from
//! - [`spectrum`]: the frequencies that the data show, by
//! - [`lbfgs`]: the optimiser.

mod adam;
mod grid;
mod kernel;
mod lbfgs;
mod modes;
mod process;
mod profiled;
mod spectrum;

use super::options::{self, Inference, Kernel};
use super::{Method, Observer, Problem, Solution, SolveError};

/// Points along an axis for profiled inference, which diagonalises a matrix of this size at each evaluation.
const MOST_PROFILED_POINTS: usize = 4000;

/// The method, with its options.
#[derive(Clone, Debug, Default)]
pub struct GpHm {
    /// The options.
    pub options: options::GpHm,
}

fn kernel_name(kernel: Kernel) -> &'static str {
    match kernel {
        Kernel::StudentMixture => "student-mixture",
        Kernel::GaussianMixture => "gaussian-mixture",
        Kernel::Matern => "matern",
        Kernel::SquaredExponential => "squared-exponential",
    }
}

impl Method for GpHm {
    fn name(&self) -> &'static str {
        "gp-hm"
    }

    fn solve(&self, problem: &Problem, observer: &mut dyn Observer) -> Result<Solution, SolveError> {
        let layout = self.validate(problem)?;
        let grid = grid::Grid::new(problem, &layout.shape)?;
        grid::require_finite_exact(problem, &grid)?;
        for warning in &layout.warnings {
            observer.note(warning);
        }
        let mut solution = match self.options.inference {
            Inference::Adam => adam::solve(problem, &grid, &self.options, &layout.frequency_scale, observer)?,
            Inference::Profiled => profiled::solve(problem, &grid, &self.options, observer)?,
        };
        solution.notes.splice(0..0, layout.warnings);
        Ok(solution)
    }
}

/// Options resolved for a problem.
struct Layout {
    shape: Vec<usize>,
    frequency_scale: Vec<f64>,
    warnings: Vec<String>,
}

impl GpHm {
    fn validate(&self, problem: &Problem) -> Result<Layout, SolveError> {
        let options = &self.options;
        let dimension = problem.dimension();
        let fail = |key: &'static str, message: String| Err(SolveError::Option { key, message });
        let per_axis = || format!("expected one value or {dimension}, one for each axis");
        let Some(shape) = options.points.resolve(dimension) else { return fail("points", per_axis()) };
        let Some(frequency_scale) = options.frequency_scale.resolve(dimension) else {
            return fail("frequency-scale", per_axis());
        };
        if let Some(n) = shape.iter().find(|n| **n < 3) {
            return fail("points", format!("{n} points along an axis; at least 3 are needed"));
        }
        let total = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).unwrap_or(usize::MAX);
        if total > 4_000_000 || shape.iter().any(|n| *n > 20_000) {
            return fail(
                "points",
                format!("a grid of {total} points; at most 4000000 in all and 20000 along an axis"),
            );
        }
        if options.components == 0 {
            return fail("components", "0 components; at least 1 is needed".to_string());
        }
        if let Some(f) = frequency_scale.iter().find(|f| !(f.is_finite() && **f >= 0.0)) {
            return fail(
                "frequency-scale",
                format!("{f} is not a frequency; expected a number of at least 0"),
            );
        }
        for (key, value) in [
            ("boundary-weight", options.boundary_weight),
            ("learning-rate", options.learning_rate),
            ("jitter", options.jitter.unwrap_or(1.0)),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return fail(key, format!("{value} is not a positive number"));
            }
        }
        for (key, value) in [
            ("steps", options.steps),
            ("checkpoints", options.checkpoints),
            ("evaluations", options.evaluations),
        ] {
            if value == 0 {
                return fail(key, "0; at least 1 is needed".to_string());
            }
        }
        if options.inference == Inference::Profiled {
            if let Some(n) = shape.iter().find(|n| **n > MOST_PROFILED_POINTS) {
                return fail(
                    "points",
                    format!(
                        "{n} points along an axis; profiled inference takes at most {MOST_PROFILED_POINTS}"
                    ),
                );
            }
            if options.change_point.is_some() {
                return fail("change-point", "two stages belong to `inference = \"adam\"`".to_string());
            }
        }
        if !(options.tolerance.is_finite() && options.tolerance >= 0.0) {
            return fail("tolerance", format!("{}; expected a number of at least 0", options.tolerance));
        }
        if let Some(fraction) = options.change_point {
            if !(fraction > 0.0 && fraction < 1.0) {
                return fail("change-point", format!("{fraction}; expected a fraction between 0 and 1"));
            }
            if dimension != 1 {
                return fail("change-point", "two stages are for one-dimensional problems".to_string());
            }
        }
        if let Some(axis) = problem.axes.iter().find(|axis| axis.periodic) {
            return Err(SolveError::NotApplicable {
                method: "gp-hm",
                reason: format!(
                    "axis `{}` is periodic; collocation solves periodic problems",
                    axis.name.name()
                ),
            });
        }
        for symbol in problem.equations.iter().flat_map(|(l, r)| [l, r]).flat_map(|e| e.symbols()) {
            if problem
                .derivative(&symbol)
                .is_some_and(|d| d.orders.iter().any(|o| *o > kernel::HIGHEST_ORDER))
            {
                return Err(SolveError::NotApplicable {
                    method: "gp-hm",
                    reason: format!("`{}` is of higher order than 4", symbol.name()),
                });
            }
        }
        let mut warnings = Vec::new();
        for (axis, (&n, &f)) in problem.axes.iter().zip(shape.iter().zip(&frequency_scale)) {
            let step = axis.length() / (n - 1) as f64;
            let nyquist = 0.5 / step;
            let oscillating = matches!(options.kernel, Kernel::StudentMixture | Kernel::GaussianMixture);
            if oscillating && options.inference == Inference::Adam && f > nyquist {
                warnings.push(format!(
                    "frequency-scale {f} along `{}` is above the grid's Nyquist frequency {nyquist:.4}: frequencies above it alias; \
                     use at least {} points",
                    axis.name.name(),
                    (2.0 * f * axis.length()).ceil() as usize + 1
                ));
            }
        }
        Ok(Layout { shape, frequency_scale, warnings })
    }
}
