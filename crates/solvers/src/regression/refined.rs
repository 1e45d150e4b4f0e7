//! Full accuracy: LSQR (Paige, Saunders 1982) on `A R⁻¹`, where `R` is the triangle of a sketch of `A` (Rokhlin, Tygert 2008; Avron,
//! Maymounkov, Toledo 2010). Not in the paper on coordinate-wise accuracy; its sketched solution is where the iteration begins.
//!
//! As `S` embeds the range of `A`, the condition number of `A R⁻¹` is near `(1 + √(d/m)) / (1 − √(d/m))` whatever that of `A`, so the error falls
//! by `√(d/m)` an iteration. Each iteration passes the data once: `u ← A p − (α/β) u` and `Aᵀ u` are taken together, a block of rows at a
//! time, so data in files need memory for one block, the sketch, and `u` (8 bytes a row).

use std::time::Instant;

use super::certificate::{block_rows, exact, radii, row_norms, standard_errors};
use super::passes::{bidiagonalise, residual};
use super::sketched::{self, admissible_rows, check_probability, fall_back};
use super::triangle::Triangle;
use super::{HistoryPoint, Refined, Rows, Solution, SolveError};
use crate::{Observer, Progress, Status};

/// Fresh starts of LSQR from its own solution, at most.
const STARTS: usize = 4;

pub(super) fn solve(
    rows: &mut dyn Rows,
    options: &Refined,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    check_probability(options.delta)?;
    if !(options.tolerance >= 0.0 && options.tolerance < 1.0) {
        let message = format!("{} is out of range, expected a number from 0 to 1", options.tolerance);
        return Err(SolveError::Option { key: "tolerance", message });
    }
    let (n, d) = (rows.rows_at_most(), rows.names().len());
    if n < d {
        return Err(SolveError::Underdetermined { rows: n, columns: d });
    }
    let m = admissible_rows(options.sketch, options.rows.unwrap_or_else(|| (4 * d).max(d + 32)), d)?;
    if m >= n {
        return fall_back(rows, m, options.block_rows, options.memory_limit, observer);
    }
    let mut memory = options.memory_limit.0;
    if !rows.in_memory() {
        // LSQR's left vector takes 8 bytes a row.
        memory = memory.checked_sub(8 * n).ok_or_else(|| SolveError::Option {
            key: "memory-limit",
            message: format!("LSQR's left vector alone takes {}", super::Bytes(8 * n)),
        })?;
    }
    let request = sketched::Request {
        kind: options.sketch,
        rows: m,
        seed: options.seed,
        delta: options.delta,
        block_rows: options.block_rows,
        memory,
        least_norm: false,
    };
    let sketch = sketched::sketch(rows, &request, observer)?;
    let block = block_rows(options.block_rows, memory, d, 1)?;
    let mut run = Run {
        rows,
        block,
        triangle: &sketch.triangle,
        observer,
        start,
        history: Vec::new(),
        planned: options.max_iterations,
    };

    let mut x = sketch.triangle.solution();
    let mut u = Vec::new();
    let mut previous = f64::INFINITY;
    let mut interrupted = false;
    let mut starts = 0;
    let (pass, status) = loop {
        let pass = residual(run.rows, block, &x, Some(&mut u))?;
        let gradient = sketch.triangle.solve_transpose(&pass.product);
        let (norm, rest) = (euclidean(&gradient), pass.square.sqrt());
        // Below this the gradient is rounding of the residual.
        let floor = 4.0 * f64::EPSILON * (pass.response_square.sqrt() + sketch.values[0] * euclidean(&x));
        let aim = (options.tolerance * rest).max(floor);
        let status = if norm <= aim {
            Some(Status::Converged)
        } else if interrupted {
            Some(Status::Interrupted)
        } else if run.history.len() >= options.max_iterations {
            Some(Status::IterationLimit)
        } else if starts == STARTS || norm > 0.5 * previous {
            Some(Status::Stalled(format!("rounding keeps the relative gradient at {:.1e}", norm / rest)))
        } else {
            None
        };
        if let Some(status) = status {
            break (pass, status);
        }
        previous = norm;
        starts += 1;
        let (correction, stopped) = run.lsqr(&mut u, rest, &pass.product, 0.5 * aim / rest)?;
        interrupted = stopped;
        x.iter_mut().zip(correction).for_each(|(x, c)| *x += c);
    };

    // (AᵀA)⁻¹ ≤ (1 + η)² (RᵀR)⁻¹ for an embedding with distortion η, of which this is the Gaussian bound.
    let stretch = 1.0 + (d as f64 / m as f64).sqrt() + (2.0 * (2.0 / options.delta).ln() / m as f64).sqrt();
    let w = sketch.triangle.inverse();
    let norms = row_norms(&w);
    let mut certificate = exact(
        &pass,
        &w,
        &sketch.values,
        d,
        "radii from the gradient measured at the returned coefficients; they rest on the sketch embedding the columns' span (its \
         distortion taken from the Gaussian bound), not on the coordinate-wise bound",
    );
    certificate.failure_probability = options.delta;
    let radius = radii(&norms, certificate.optimality.unwrap_or(0.0) * pass.square.sqrt(), stretch);
    let mut notes = sketch.notes;
    if !run.rows.in_memory() {
        notes.push(format!(
            "each iteration is one pass over the file; LSQR's left vector takes {}",
            super::Bytes(8 * sketch.rows)
        ));
    }
    let history = run.history;
    Ok(Solution {
        method: format!("refined: LSQR preconditioned by {} of {m} rows", options.sketch),
        names: rows.names(),
        radius_linf: radius.iter().copied().fold(0.0, f64::max),
        radius_coordinate: radius,
        deviation: Vec::new(),
        standard_error: standard_errors(&norms, pass.square.sqrt(), sketch.rows, d),
        coefficients: x,
        rows: sketch.rows,
        certificate,
        figures: vec![("lsqr-starts".to_string(), starts as f64)],
        sketch: Some(sketch.facts),
        status,
        iterations: history.len(),
        history,
        notes,
        elapsed: start.elapsed(),
    })
}

fn euclidean(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

struct Run<'a> {
    rows: &'a mut dyn Rows,
    block: usize,
    triangle: &'a Triangle,
    observer: &'a mut dyn Observer,
    start: Instant,
    history: Vec<HistoryPoint>,
    planned: usize,
}

impl Run<'_> {
    /// LSQR for `min ‖A R⁻¹ y − u‖` with `‖u‖ = β` and `Aᵀu` at hand, in the notation of Paige and Saunders; returns `R⁻¹ y` and whether the
    /// observer stopped it. `u` is kept unnormalised: `u / β` is the vector of the recurrence.
    fn lsqr(
        &mut self,
        u: &mut [f64],
        norm: f64,
        product: &[f64],
        tolerance: f64,
    ) -> Result<(Vec<f64>, bool), SolveError> {
        let mut beta = norm;
        let mut v: Vec<f64> = self.triangle.solve_transpose(product).iter().map(|x| x / beta).collect();
        let mut alpha = euclidean(&v);
        let mut y = vec![0.0; v.len()];
        if alpha == 0.0 {
            return Ok((y, false));
        }
        v.iter_mut().for_each(|x| *x /= alpha);
        let mut w = v.clone();
        let (mut phi_bar, mut rho_bar) = (beta, alpha);
        let mut stopped = false;
        while self.history.len() < self.planned {
            let p = self.triangle.solve(&v);
            let pass = bidiagonalise(self.rows, self.block, &p, -alpha / beta, u)?;
            beta = pass.square.sqrt();
            let (rho, c, s) = {
                let rho = rho_bar.hypot(beta);
                (rho, rho_bar / rho, beta / rho)
            };
            // v ← Āᵀu/β − β v; a vanishing β ends the process with the exact solution.
            if beta > 0.0 {
                let next = self.triangle.solve_transpose(&pass.product);
                v.iter_mut().zip(next).for_each(|(v, t)| *v = t / beta - beta * *v);
                alpha = euclidean(&v);
                if alpha > 0.0 {
                    v.iter_mut().for_each(|x| *x /= alpha);
                }
            } else {
                alpha = 0.0;
            }
            let phi = c * phi_bar;
            phi_bar *= s;
            y.iter_mut().zip(&w).for_each(|(y, w)| *y += phi / rho * w);
            let theta = s * alpha;
            rho_bar = -c * alpha;
            w.iter_mut().zip(&v).for_each(|(w, v)| *w = v - theta / rho * *w);

            let optimality = alpha * c.abs();
            let iteration = self.history.len() + 1;
            self.history.push(HistoryPoint {
                iteration,
                seconds: self.start.elapsed().as_secs_f64(),
                residual: phi_bar,
                optimality,
            });
            let progress =
                Progress { iteration, planned: self.planned, residual: Some(optimality), error: None };
            stopped = self.observer.progress(progress).is_break();
            // ‖Āᵀr‖ = φ̄ α |c|, against the norm that the residual began with.
            if stopped || phi_bar * optimality <= tolerance * norm || alpha == 0.0 || beta == 0.0 {
                break;
            }
        }
        Ok((self.triangle.solve(&y), stopped))
    }
}
