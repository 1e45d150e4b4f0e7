//! Our inference: the solution values are eliminated, and only the few kernel parameters are optimised.
//!
//! For given kernels the objective is quadratic in the values (for linear equations; Gauss-Newton otherwise) and is minimised in
//! one structured solve in the processes' own modes ([`super::modes`]). What remains is a function of three numbers for each
//! component, minimised by L-BFGS with the exact gradient. It starts from what the data show: a component at each line of the
//! spectrum of the source terms and face data, and one slow component.
//!
//! Departures from the paper: the precisions τ1, τ2 are not iterated with the rest but raised between stages to what the
//! residuals allow; the jitter is relative to the variance and six orders smaller, which the modes permit and which is what
//! limits the accuracy of the paper's way; of the states after each stage the one whose equations hold best *between* the
//! grid points is returned.

use std::ops::ControlFlow;
use std::time::Instant;

use super::adam::{self, Scorer};
use super::grid::Grid;
use super::kernel::{KernelGradient, MixtureKernel};
use super::lbfgs::{self, Evaluated, Outcome};
use super::modes::{Fit, ModalProcess, Precisions};
use super::spectrum;
use crate::pde::options::{GpHm, Kernel};
use crate::pde::{Field, HistoryPoint, Observer, Problem, Progress, Solution, SolveError, Spectrum, Status};

/// Jitter relative to the covariance's variance: a little above the rounding error of its eigenvalues.
const RELATIVE_JITTER: f64 = 1e-12;

/// Modes of all unknowns together with several axes: their normal matrix is factorised.
const MOST_MODES: usize = 4500;

/// Lines of the data's spectrum that become components along one axis, at most.
const MOST_LINES: usize = 8;

/// Noise of the equations and conditions relative to the size of their terms: at first, and at the least.
const NOISE: (f64, f64) = (1e-6, 1e-10);

/// Kernels, flattened for the optimiser: log-weights, log inverse scales and, for oscillating families, frequencies in cycles per
/// length of the axis.
struct Parametrisation {
    lengths: Vec<f64>,
    steps: Vec<f64>,
    start: Vec<Vec<MixtureKernel>>,
}

impl Parametrisation {
    fn flatten(&self, kernels: &[Vec<MixtureKernel>]) -> Vec<f64> {
        let mut flat = Vec::new();
        for (kernel, length) in kernels.iter().flat_map(|axes| axes.iter().zip(&self.lengths)) {
            flat.extend(&kernel.log_weights);
            flat.extend(&kernel.log_inverse_scales);
            if kernel.oscillates() {
                flat.extend(kernel.frequencies.iter().map(|f| f * length));
            }
        }
        flat
    }

    fn gradient(&self, gradients: &[Vec<KernelGradient>]) -> Vec<f64> {
        let mut flat = Vec::new();
        for (unknown, axes) in gradients.iter().enumerate() {
            for (axis, gradient) in axes.iter().enumerate() {
                flat.extend(&gradient.log_weights);
                flat.extend(&gradient.log_inverse_scales);
                if self.start[unknown][axis].oscillates() {
                    flat.extend(gradient.frequencies.iter().map(|f| f / self.lengths[axis]));
                }
            }
        }
        flat
    }

    /// The kernels, or `None` outside the range in which they mean something: envelopes from four grid steps to thirty times the
    /// box, weights that neither overflow nor (all) vanish.
    fn unflatten(&self, flat: &[f64]) -> Option<Vec<Vec<MixtureKernel>>> {
        let mut rest = flat;
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at(count);
            rest = tail;
            head.to_vec()
        };
        let mut kernels = self.start.clone();
        for kernel in
            kernels.iter_mut().flat_map(|axes| axes.iter_mut().zip(self.lengths.iter().zip(&self.steps)))
        {
            let (kernel, (length, step)) = kernel;
            let q = kernel.components();
            kernel.log_weights = take(q);
            kernel.log_inverse_scales = take(q);
            if kernel.oscillates() {
                kernel.frequencies = take(q).iter().map(|f| f / length).collect();
            }
            let envelope = |s: f64| if kernel.gaussian() { (-0.5 * s).exp() } else { (-s).exp() };
            let lengths_fit = kernel
                .log_inverse_scales
                .iter()
                .all(|&s| envelope(s) > 4.0 * step && envelope(s) < 30.0 * length);
            let weights_fit = kernel.log_weights.iter().all(|w| w.abs() < 60.0);
            let frequencies_fit = kernel.frequencies.iter().all(|f| f.abs() * step < 0.5);
            if !(lengths_fit && weights_fit && frequencies_fit) {
                return None;
            }
        }
        Some(kernels)
    }
}

/// A fitted state that may become the answer.
struct Candidate {
    fields: Vec<Field>,
    kernels: Vec<Vec<MixtureKernel>>,
    /// The equations' residual between the grid points, relative to their largest term.
    held_out: f64,
    criterion: f64,
    ranks: Vec<Vec<usize>>,
    cut: f64,
    converged: bool,
}

/// Where the optimisation starts: what the spectra of the data show.
fn initial_kernels(grid: &Grid, unknowns: usize, options: &GpHm, lengths: &[f64]) -> Vec<Vec<MixtureKernel>> {
    let axes: Vec<MixtureKernel> = lengths
        .iter()
        .enumerate()
        .map(|(axis, length)| {
            let gaussian = matches!(options.kernel, Kernel::GaussianMixture | Kernel::SquaredExponential);
            let scale = if gaussian { -2.0 * (0.7 * length).ln() } else { -length.ln() };
            let oscillating = matches!(options.kernel, Kernel::StudentMixture | Kernel::GaussianMixture);
            let lines = if oscillating { spectrum::lines(grid, axis) } else { Vec::new() };
            let nyquist = 0.5 / grid.steps[axis];
            let mut weights = vec![0.0];
            let mut frequencies = vec![0.0];
            let most = MOST_LINES.min(options.components.saturating_sub(1));
            for line in lines.into_iter().filter(|line| line.frequency < 0.95 * nyquist).take(most) {
                weights.push(2.0 * line.amplitude.max(0.1).ln());
                frequencies.push(line.frequency);
            }
            MixtureKernel {
                family: options.kernel,
                log_inverse_scales: vec![scale; weights.len()],
                log_weights: weights,
                frequencies,
            }
        })
        .collect();
    vec![axes; unknowns]
}

/// Solve by the profiled objective.
///
/// # Errors
/// If no kernel can be fitted at all.
pub fn solve(
    problem: &Problem,
    grid: &Grid,
    options: &GpHm,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    let lengths: Vec<f64> = problem.axes.iter().map(|axis| axis.length()).collect();
    let unknowns = problem.unknowns.len();
    let mut inference = Profiled {
        problem,
        grid,
        options,
        scorer: Scorer::new(problem)?,
        history: Vec::new(),
        start,
        evaluations: 0,
    };
    let mut kernels = initial_kernels(grid, unknowns, options, &lengths);

    // A first fit tells the size of the solution and of the equations' terms, to which weights and precisions are then set.
    let source = grid
        .equations
        .iter()
        .chain(&grid.conditions)
        .flat_map(|b| &b.source)
        .fold(0.0_f64, |m, s| m.max(s.abs()));
    let unit = Precisions {
        condition: (1e3 / source.max(1e-100)).powi(2),
        equation: (1e3 / source.max(1e-100)).powi(2),
    };
    let jitter = inference.jitter(&kernels);
    let (_, first) = inference.fit(&kernels, &jitter, unit).ok_or_else(breakdown)?;
    let mut scales = (first.value_scale.max(1e-100), first.equation_scale.max(1e-100));
    for kernel in kernels.iter_mut().filter_map(|axes| axes.first_mut()) {
        kernel.log_weights.iter_mut().for_each(|w| *w += 2.0 * scales.0.ln());
    }
    let mut noise = (NOISE.0, NOISE.0);
    let mut status = Status::Converged;
    let mut candidates: Vec<Candidate> = Vec::new();
    let stages = 3;
    for stage in 0..=stages {
        let jitter = inference.jitter(&kernels);
        if stage > 0 {
            let precisions = inference.precisions(noise, scales);
            let parametrisation = Parametrisation {
                lengths: lengths.clone(),
                steps: grid.steps.clone(),
                start: kernels.clone(),
            };
            let mut flat = parametrisation.flatten(&kernels);
            let budget = (options.evaluations / stages).max(2);
            let outcome = lbfgs::minimise(&mut flat, 1.0, budget, 1e-5, |flat| {
                inference.evaluate(&parametrisation, flat, &jitter, precisions, observer)
            });
            if let Some(optimised) = parametrisation.unflatten(&flat) {
                kernels = optimised;
            }
            if outcome == Outcome::Stopped {
                status = Status::Interrupted;
            }
        }
        // Raise the precisions to what the residuals allow, and refit.
        let Some((process, fit)) = inference.settle(&kernels, &jitter, &mut noise, &mut scales) else {
            continue;
        };
        candidates.push(inference.candidate(&kernels, &process, &fit)?);
        if status == Status::Interrupted {
            break;
        }
    }
    let count = candidates.len();
    candidates.retain(|c| c.held_out.is_finite());
    let best = candidates
        .iter()
        .enumerate()
        .min_by(|a, b| a.1.held_out.total_cmp(&b.1.held_out))
        .map(|(k, _)| k)
        .ok_or_else(breakdown)?;

    // The error that remains is of two kinds: one falls with the jitter, of which a tenfold one shows what is left; the other is
    // noise, in which the states after each stage differ.
    let best = candidates.swap_remove(best);
    let axes = &inference.scorer.axes;
    let mut estimate = candidates
        .iter()
        .filter(|other| other.held_out <= 10.0 * best.held_out)
        .map(|other| relative_difference(axes, &best.fields, &other.fields))
        .fold(0.0, f64::max);
    let raised: Vec<Vec<f64>> =
        inference.jitter(&best.kernels).iter().map(|axes| axes.iter().map(|j| 10.0 * j).collect()).collect();
    if let Some((process, fit)) = inference.settle(&best.kernels, &raised, &mut noise, &mut scales) {
        let other = inference.fields(&best.kernels, &process, &fit);
        estimate = estimate.max(relative_difference(axes, &best.fields, &other));
    }

    let mut notes = Vec::new();
    if best.cut > 1.0 {
        notes.push(format!(
            "the processes were cut to {MOST_MODES} modes in all: those with less than {:.1e} of the jitter's variance were dropped",
            best.cut
        ));
    }
    if !best.converged && status == Status::Converged {
        status = Status::Stalled("Gauss-Newton used up its iterations".to_string());
    }
    let mut figures =
        vec![("criterion".to_string(), best.criterion), ("held-out-residual".to_string(), best.held_out)];
    figures.push(("kernel-evaluations".to_string(), inference.evaluations as f64));
    figures.push((
        "modes".to_string(),
        best.ranks.iter().map(|r| r.iter().product::<usize>()).sum::<usize>() as f64,
    ));
    figures.push(("stages".to_string(), count as f64));
    let mut spectra = Vec::new();
    for (unknown, axes) in best.kernels.iter().enumerate() {
        for (axis, kernel) in axes.iter().enumerate() {
            spectra.push(Spectrum { unknown, axis, components: kernel.spectrum() });
        }
    }
    Ok(Solution {
        method: format!("gp-hm ({}, profiled)", super::kernel_name(options.kernel)),
        fields: best.fields,
        status,
        iterations: inference.evaluations,
        error_estimate: (estimate > 0.0 && estimate.is_finite()).then_some(estimate),
        history: inference.history,
        spectra,
        notes,
        figures,
        elapsed: start.elapsed(),
    })
}

fn breakdown() -> SolveError {
    SolveError::Breakdown("the solution could not be fitted with any kernel that was tried".to_string())
}

/// `‖a − b‖ / ‖a‖` on a grid, over all unknowns.
fn relative_difference(axes: &[Vec<f64>], a: &[Field], b: &[Field]) -> f64 {
    let orders = vec![0; axes.len()];
    let (mut difference, mut norm) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        for (x, y) in a.on_grid(&orders, axes).values().iter().zip(b.on_grid(&orders, axes).values()) {
            difference += (x - y) * (x - y);
            norm += x * x;
        }
    }
    if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() }
}

struct Profiled<'a> {
    problem: &'a Problem,
    grid: &'a Grid,
    options: &'a GpHm,
    scorer: Scorer,
    history: Vec<HistoryPoint>,
    start: Instant,
    evaluations: usize,
}

impl<'a> Profiled<'a> {
    /// The jitter of every covariance: the asked one, or relative to its variance.
    fn jitter(&self, kernels: &[Vec<MixtureKernel>]) -> Vec<Vec<f64>> {
        let of = |kernel: &MixtureKernel| {
            self.options.jitter.unwrap_or_else(|| RELATIVE_JITTER * kernel.derivative_at(0.0, 0))
        };
        kernels.iter().map(|axes| axes.iter().map(of).collect()).collect()
    }

    fn precisions(&self, noise: (f64, f64), scales: (f64, f64)) -> Precisions {
        Precisions {
            condition: self.options.boundary_weight / (noise.0 * scales.0).powi(2),
            equation: 1.0 / (noise.1 * scales.1).powi(2),
        }
    }

    fn fit(
        &self,
        kernels: &[Vec<MixtureKernel>],
        jitter: &[Vec<f64>],
        precisions: Precisions,
    ) -> Option<(ModalProcess<'a>, Fit)> {
        let process = ModalProcess::new(self.grid, kernels, jitter, MOST_MODES)?;
        let fit = process.fit(None, precisions)?;
        Some((process, fit))
    }

    fn evaluate(
        &mut self,
        parametrisation: &Parametrisation,
        flat: &[f64],
        jitter: &[Vec<f64>],
        precisions: Precisions,
        observer: &mut dyn Observer,
    ) -> Evaluated {
        let Some(kernels) = parametrisation.unflatten(flat) else { return Evaluated::Undefined };
        let Some((process, fit)) = self.fit(&kernels, jitter, precisions) else {
            return Evaluated::Undefined;
        };
        self.evaluations += 1;
        let objective = process.objective(&fit);
        let residual = (fit.equations.0 / fit.equations.1.max(1) as f64).sqrt();
        self.history.push(HistoryPoint {
            iteration: self.evaluations,
            seconds: self.start.elapsed().as_secs_f64(),
            objective: Some(objective),
            residual: Some(residual),
            error: None,
        });
        let progress = Progress {
            iteration: self.evaluations,
            planned: self.options.evaluations,
            residual: Some(residual),
            error: self.history.iter().rev().find_map(|point| point.error),
        };
        if let ControlFlow::Break(()) = observer.progress(progress) {
            return Evaluated::Stop;
        }
        Evaluated::At(objective, parametrisation.gradient(&process.kernel_gradient(&fit, &kernels)))
    }

    /// Fit, and raise the precisions to what the residuals allow until they settle.
    fn settle(
        &self,
        kernels: &[Vec<MixtureKernel>],
        jitter: &[Vec<f64>],
        noise: &mut (f64, f64),
        scales: &mut (f64, f64),
    ) -> Option<(ModalProcess<'a>, Fit)> {
        let process = ModalProcess::new(self.grid, kernels, jitter, MOST_MODES)?;
        let mut fit = process.fit(None, self.precisions(*noise, *scales))?;
        for _ in 0..4 {
            *scales = (fit.value_scale.max(1e-100), fit.equation_scale.max(1e-100));
            let level = |(square, count): (f64, usize), scale: f64| {
                ((square / count.max(1) as f64).sqrt() / scale).clamp(NOISE.1, NOISE.0)
            };
            let next = (level(fit.conditions, scales.0), level(fit.equations, scales.1));
            let change = (next.0 / noise.0).ln().abs().max((next.1 / noise.1).ln().abs());
            *noise = next;
            if change < 0.5 {
                break;
            }
            let start = Some(fit.coordinates.clone());
            fit = process.fit(start, self.precisions(*noise, *scales)).unwrap_or(fit);
        }
        Some((process, fit))
    }

    fn fields(&self, kernels: &[Vec<MixtureKernel>], process: &ModalProcess<'_>, fit: &Fit) -> Vec<Field> {
        adam::sections(self.grid, kernels, process.coefficients(fit))
    }

    fn candidate(
        &mut self,
        kernels: &[Vec<MixtureKernel>],
        process: &ModalProcess<'_>,
        fit: &Fit,
    ) -> Result<Candidate, SolveError> {
        let fields = self.fields(kernels, process, fit);
        let error = self.scorer.error(&fields);
        let held_out = crate::pde::solution::equation_residual(self.problem, &fields)?;
        let mean = |(square, count): (f64, usize)| square / count.max(1) as f64;
        self.history.push(HistoryPoint {
            iteration: self.evaluations,
            seconds: self.start.elapsed().as_secs_f64(),
            objective: Some(process.objective(fit)),
            residual: Some(mean(fit.equations).sqrt()),
            error,
        });
        Ok(Candidate {
            fields,
            kernels: kernels.to_vec(),
            held_out,
            criterion: mean(fit.conditions) + mean(fit.equations),
            ranks: process.ranks(),
            cut: process.cut,
            converged: fit.converged,
        })
    }
}
