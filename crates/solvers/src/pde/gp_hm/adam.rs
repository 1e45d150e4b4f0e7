//! The paper's inference: Adam (β 0.9/0.999, ε 1e-8, no schedule) on all parameters and solution values together, in one stage
//! or two, scored at equally spaced checkpoints.
//!
//! Departures: of all states seen the one with the smallest criterion (mean condition square + mean equation square) is
//! returned, because the error spikes late in a run; the oracle's choice of the paper's scorer (the least error over the
//! checkpoints) and the last state's error are reported beside it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use mathesis_algebra::tensor::Tensor;

use super::grid::Grid;
use super::kernel::{KernelGradient, KernelSections, MixtureKernel};
use super::process::{Gradient, Objective, Parameters, Process};
use crate::pde::options::{GpHm, Kernel};
use crate::pde::{
    Basis, Field, HistoryPoint, Observer, Problem, Progress, Solution, SolveError, Spectrum, Status,
    evaluate_on_grid, test_points,
};

/// The jitter of the paper's code.
const PAPER_JITTER: f64 = 1e-6;

/// Adam's state for all parameters.
struct Adam {
    rate: f64,
    step: i32,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Adam {
    fn new(rate: f64, length: usize) -> Self {
        Adam { rate, step: 0, first: vec![0.0; length], second: vec![0.0; length] }
    }

    /// One update. The groups are the parameters and their gradient, always in the same order.
    fn update<'a>(&mut self, groups: impl Iterator<Item = (&'a mut [f64], &'a [f64])>) {
        let (beta1, beta2, epsilon) = (0.9_f64, 0.999_f64, 1e-8);
        self.step += 1;
        let (correction1, correction2) = (1.0 - beta1.powi(self.step), 1.0 - beta2.powi(self.step));
        let mut start = 0;
        for (parameters, gradient) in groups {
            let end = start + parameters.len();
            let (first, second) = (&mut self.first[start..end], &mut self.second[start..end]);
            for k in 0..parameters.len() {
                first[k] = beta1 * first[k] + (1.0 - beta1) * gradient[k];
                second[k] = beta2 * second[k] + (1.0 - beta2) * gradient[k] * gradient[k];
                let (m, v) = (first[k] / correction1, second[k] / correction2);
                parameters[k] -= self.rate * m / (v.sqrt() + epsilon);
            }
            start = end;
        }
    }
}

fn parameter_groups<'a>(
    parameters: &'a mut Parameters,
    gradient: &'a Gradient,
) -> impl Iterator<Item = (&'a mut [f64], &'a [f64])> {
    let kernel_groups = |(kernel, gradient): (&'a mut MixtureKernel, &'a KernelGradient)| {
        [
            (kernel.log_weights.as_mut_slice(), gradient.log_weights.as_slice()),
            (kernel.log_inverse_scales.as_mut_slice(), gradient.log_inverse_scales.as_slice()),
            (kernel.frequencies.as_mut_slice(), gradient.frequencies.as_slice()),
        ]
    };
    let precisions = [
        (std::slice::from_mut(&mut parameters.log_tau), std::slice::from_ref(&gradient.log_tau)),
        (std::slice::from_mut(&mut parameters.log_v), std::slice::from_ref(&gradient.log_v)),
    ];
    let kernels = parameters
        .kernels
        .iter_mut()
        .flatten()
        .zip(gradient.kernels.iter().flatten())
        .flat_map(kernel_groups);
    let values =
        parameters.values.iter_mut().zip(&gradient.values).map(|(v, g)| (v.values_mut(), g.values()));
    precisions.into_iter().chain(kernels).chain(values)
}

/// What one stage of training leaves behind.
struct Stage {
    best: Parameters,
    last: Parameters,
    best_objective: Objective,
    status: Status,
}

/// Scores predictions on the paper's test grid.
pub struct Scorer {
    /// The test points along each axis.
    pub axes: Vec<Vec<f64>>,
    truth: Option<Vec<Vec<f64>>>,
}

impl Scorer {
    /// The test grid, with the exact solution on it if it is known.
    ///
    /// # Errors
    /// If the exact solution cannot be evaluated.
    pub fn new(problem: &Problem) -> Result<Self, SolveError> {
        let axes: Vec<Vec<f64>> =
            problem.axes.iter().map(|axis| axis.uniform_points(test_points(problem.dimension()))).collect();
        let truth =
            problem.exact.as_ref().map(|exact| evaluate_on_grid(problem, exact, &axes)).transpose()?;
        Ok(Scorer { axes, truth })
    }

    /// Relative L2 error over all unknowns together.
    pub fn error(&self, fields: &[Field]) -> Option<f64> {
        let truth = self.truth.as_ref()?;
        let orders = vec![0; self.axes.len()];
        let (mut difference, mut norm) = (0.0, 0.0);
        for (field, truth) in fields.iter().zip(truth) {
            for (value, truth) in field.on_grid(&orders, &self.axes).values().iter().zip(truth) {
                difference += (value - truth) * (value - truth);
                norm += truth * truth;
            }
        }
        Some(if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() })
    }
}

/// The solution as kernel sections centred at the grid points.
fn fields(grid: &Grid, parameters: &Parameters, coefficients: Vec<Tensor>) -> Vec<Field> {
    sections(grid, &parameters.kernels, coefficients)
}

/// The functions with the given kernels (`[unknown][axis]`), centres at the grid points and coefficients.
pub fn sections(grid: &Grid, kernels: &[Vec<MixtureKernel>], coefficients: Vec<Tensor>) -> Vec<Field> {
    kernels
        .iter()
        .zip(coefficients)
        .map(|(kernels, coefficients)| {
            let bases = kernels
                .iter()
                .zip(&grid.axes)
                .map(|(kernel, axis)| {
                    Arc::new(KernelSections { kernel: kernel.clone(), centres: axis.clone() })
                        as Arc<dyn Basis>
                })
                .collect();
            Field::new(bases, coefficients)
        })
        .collect()
}

/// The learned spectra of all kernels.
fn spectra(parameters: &Parameters) -> Vec<Spectrum> {
    let mut spectra = Vec::new();
    for (unknown, kernels) in parameters.kernels.iter().enumerate() {
        for (axis, kernel) in kernels.iter().enumerate() {
            spectra.push(Spectrum { unknown, axis, components: kernel.spectrum() });
        }
    }
    spectra
}

/// The paper's starting point: values 0, equal weights, unit scales, frequencies spread over `[0, F]`, precisions 1.
fn initial_parameters(
    grid: &Grid,
    unknowns: usize,
    kernel: Kernel,
    components: usize,
    frequency_scale: &[f64],
) -> Parameters {
    Parameters {
        log_tau: 0.0,
        log_v: 0.0,
        kernels: (0..unknowns)
            .map(|_| frequency_scale.iter().map(|&f| MixtureKernel::initial(kernel, components, f)).collect())
            .collect(),
        values: (0..unknowns).map(|_| Tensor::zeros(grid.shape.clone())).collect(),
    }
}

/// Train and return the best-criterion state's solution.
///
/// # Errors
/// If the objective cannot be evaluated even once.
pub fn solve(
    problem: &Problem,
    grid: &Grid,
    options: &GpHm,
    frequency_scale: &[f64],
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    let scorer = Scorer::new(problem)?;
    let unknowns = problem.unknowns.len();
    let mut training = Training {
        grid,
        options,
        scorer,
        start,
        history: Vec::new(),
        checkpoint_errors: Vec::new(),
        frozen: vec![Field::default(); unknowns],
        done: 0,
    };
    let first_steps = match options.change_point {
        Some(fraction) => ((options.steps as f64 * fraction) as usize).max(1),
        None => options.steps,
    };
    let mut notes = Vec::new();
    let mut process =
        Process::new(grid, unknowns, options.boundary_weight, options.jitter.unwrap_or(PAPER_JITTER));
    let initial = initial_parameters(grid, unknowns, options.kernel, options.components, frequency_scale);
    let mut stage = training.run(&mut process, initial, first_steps, observer)?;
    let mut learned = spectra(&stage.best);
    let mut condition_raised = process.jitter_raised;
    let mut all_fields = fields(grid, &stage.best, breakdown(process.coefficients(&stage.best))?);
    let mut final_fields = fields(grid, &stage.last, breakdown(process.coefficients(&stage.last))?);

    if options.change_point.is_some() && stage.status == Status::IterationLimit && first_steps < options.steps
    {
        // Stage two: the last state of stage one is frozen, as in the released code, and a Matérn process is added to it.
        let (_, _, offset) = breakdown(process.evaluate(&stage.last))?;
        let mut second = initial_parameters(grid, unknowns, Kernel::Matern, 1, &vec![0.0; grid.shape.len()]);
        second.log_tau = stage.last.log_tau;
        let mut process =
            Process::new(grid, unknowns, options.boundary_weight, options.jitter.unwrap_or(PAPER_JITTER));
        process.set_offset(offset);
        training.frozen = final_fields.clone();
        learned = spectra(&stage.last);
        stage = training.run(&mut process, second, options.steps - first_steps, observer)?;
        condition_raised += process.jitter_raised;
        let with_frozen = |added: Vec<Field>| -> Vec<Field> {
            final_fields
                .iter()
                .zip(added)
                .map(|(frozen, added)| Field {
                    terms: frozen.terms.iter().cloned().chain(added.terms).collect(),
                })
                .collect()
        };
        all_fields = with_frozen(fields(grid, &stage.best, breakdown(process.coefficients(&stage.best))?));
        let last = with_frozen(fields(grid, &stage.last, breakdown(process.coefficients(&stage.last))?));
        final_fields = last;
        notes.push(format!(
            "two stages: {first_steps} steps, then a second process (Matérn-5/2) on top of the frozen first"
        ));
    }
    if condition_raised > 0 {
        notes.push(format!("a covariance was not positive definite {condition_raised} times; its jitter was raised tenfold each time"));
    }
    let mut figures = vec![
        ("criterion".to_string(), stage.best_objective.criterion()),
        ("log-tau".to_string(), stage.best.log_tau),
        ("log-v".to_string(), stage.best.log_v),
    ];
    if let Some(error) = training.scorer.error(&final_fields) {
        figures.push(("error-final".to_string(), error));
    }
    if let Some(best) = training.checkpoint_errors.iter().copied().reduce(f64::min) {
        figures.push(("error-best-checkpoint".to_string(), best));
    }
    let components = spectra(&stage.last).into_iter().flat_map(|spectrum| spectrum.components);
    let pruned = components.filter(|component| component.weight < 1e-3).count();
    figures.push(("weights-below-1e-3-last".to_string(), pruned as f64));
    figures
        .push(("seconds-per-step".to_string(), start.elapsed().as_secs_f64() / training.done.max(1) as f64));
    Ok(Solution {
        method: format!("gp-hm ({}, adam)", super::kernel_name(options.kernel)),
        fields: all_fields,
        status: stage.status,
        iterations: training.done,
        error_estimate: None,
        history: training.history,
        spectra: learned,
        notes,
        figures,
        elapsed: start.elapsed(),
    })
}

fn breakdown<T>(result: Result<T, String>) -> Result<T, SolveError> {
    result.map_err(SolveError::Breakdown)
}

/// One run over both stages: what does not change between steps, and what is recorded.
struct Training<'a> {
    grid: &'a Grid,
    options: &'a GpHm,
    scorer: Scorer,
    start: Instant,
    history: Vec<HistoryPoint>,
    checkpoint_errors: Vec<f64>,
    /// The first stage's solution while the second is trained.
    frozen: Vec<Field>,
    done: usize,
}

impl Training<'_> {
    fn run(
        &mut self,
        process: &mut Process<'_>,
        initial: Parameters,
        steps: usize,
        observer: &mut dyn Observer,
    ) -> Result<Stage, SolveError> {
        let mut parameters = initial;
        let count: usize = 2
            + parameters.kernels.iter().flatten().map(|k| 3 * k.components()).sum::<usize>()
            + parameters.values.iter().map(|v| v.values().len()).sum::<usize>();
        let mut adam = Adam::new(self.options.learning_rate, count);
        let mut best: Option<(f64, Objective, Parameters)> = None;
        let interval = (self.options.steps / self.options.checkpoints).max(1);
        let mut last_report = Instant::now();
        let mut status = Status::IterationLimit;
        let mut error = None;
        for step in 0..steps {
            let (objective, gradient, _) = match process.evaluate(&parameters) {
                Ok(evaluated) => evaluated,
                Err(reason) => {
                    status = Status::Stalled(reason);
                    break;
                }
            };
            let criterion = objective.criterion();
            if best.as_ref().is_none_or(|(least, _, _)| criterion < *least) {
                match &mut best {
                    Some((least, at, kept)) => {
                        (*least, *at) = (criterion, objective);
                        copy_into(kept, &parameters);
                    }
                    None => best = Some((criterion, objective, parameters.clone())),
                }
            }
            if self.options.tolerance > 0.0 && criterion < self.options.tolerance {
                status = Status::Converged;
                break;
            }
            adam.update(parameter_groups(&mut parameters, &gradient));
            self.done += 1;
            if step % interval == 0 {
                error = match process.coefficients(&parameters) {
                    Ok(coefficients) => {
                        let own = fields(self.grid, &parameters, coefficients);
                        let sum: Vec<Field> = self
                            .frozen
                            .iter()
                            .zip(own)
                            .map(|(a, b)| Field { terms: a.terms.iter().cloned().chain(b.terms).collect() })
                            .collect();
                        self.scorer.error(&sum)
                    }
                    Err(_) => None,
                };
                self.checkpoint_errors.extend(error.filter(|e| e.is_finite()));
                self.history.push(HistoryPoint {
                    iteration: self.done,
                    seconds: self.start.elapsed().as_secs_f64(),
                    objective: Some(objective.value),
                    residual: Some(objective.equation_rms()),
                    error,
                });
            }
            if step % interval == 0 || last_report.elapsed().as_millis() >= 100 {
                last_report = Instant::now();
                let progress = Progress {
                    iteration: self.done,
                    planned: self.options.steps,
                    residual: Some(objective.equation_rms()),
                    error,
                };
                if let ControlFlow::Break(()) = observer.progress(progress) {
                    status = Status::Interrupted;
                    break;
                }
            }
        }
        let Some((_, best_objective, best)) = best else {
            let reason = if let Status::Stalled(reason) = &status {
                reason.clone()
            } else {
                "no step was made".to_string()
            };
            return Err(SolveError::Breakdown(reason));
        };
        // A state that cannot be evaluated is never returned.
        let last = if matches!(status, Status::Stalled(_)) { best.clone() } else { parameters };
        Ok(Stage { best, last, best_objective, status })
    }
}

fn copy_into(target: &mut Parameters, source: &Parameters) {
    target.log_tau = source.log_tau;
    target.log_v = source.log_v;
    target.kernels.clone_from(&source.kernels);
    for (t, s) in target.values.iter_mut().zip(&source.values) {
        t.values_mut().copy_from_slice(s.values());
    }
}
