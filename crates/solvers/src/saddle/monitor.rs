//! What the server sees of a solve: it measures, records, and decides how to go on.

use std::time::Instant;

use super::method::Target;
use super::plan::Plan;
use super::solution::{Certificate, HistoryPoint, Solution};
use super::transport::{Tag, Traffic};
use super::{Algorithm, Problem};
use crate::{Observer, Progress, Status};

/// The distance to the solution may grow by this before the solve counts as divergent.
const DISTANCE_GROWTH: f64 = 1e3;
/// Likewise the residual where no solution is known; more, for it grows with L/μ on the way to a solution that is far.
const RESIDUAL_GROWTH: f64 = 1e6;
/// Steps are halved no more often than this.
const MOST_HALVINGS: usize = 30;

pub(super) struct Monitor<'a> {
    problem: &'a Problem,
    plan: &'a Plan,
    observer: &'a mut dyn Observer,
    begun: Instant,
    first: Option<Certificate>,
    best: Vec<f64>,
    best_measure: f64,
    is_average: bool,
    sum: Vec<f64>,
    visited: usize,
    history: Vec<HistoryPoint>,
    status: Status,
    iterations: usize,
    step: f64,
    halvings: usize,
    notes: Vec<String>,
}

impl<'a> Monitor<'a> {
    pub fn new(problem: &'a Problem, plan: &'a Plan, observer: &'a mut dyn Observer) -> Self {
        for note in &plan.notes {
            observer.note(note);
        }
        Monitor {
            problem,
            plan,
            observer,
            begun: Instant::now(),
            first: None,
            best: problem.start.clone(),
            best_measure: f64::INFINITY,
            is_average: false,
            sum: vec![0.0; problem.start.len()],
            visited: 0,
            history: Vec::new(),
            status: Status::IterationLimit,
            iterations: 0,
            step: plan.step,
            halvings: 0,
            notes: plan.notes.clone(),
        }
    }

    pub fn visit(&mut self, point: &[f64]) {
        self.sum.iter_mut().zip(point).for_each(|(sum, p)| *sum += p);
        self.visited += 1;
    }

    pub fn check(&mut self, iteration: usize, z: &[f64], step: f64, traffic: Traffic) -> Tag {
        self.iterations = iteration;
        self.step = step;
        let now = Certificate::of(self.problem, z);
        // Averages count for the gap alone: elsewhere the last iterate converges faster.
        let average = (self.plan.target == Target::Gap && self.visited > 0).then(|| {
            let average: Vec<f64> = self.sum.iter().map(|sum| sum / self.visited as f64).collect();
            let gap = Certificate::of(self.problem, &average).gap;
            (average, gap.unwrap_or(f64::INFINITY))
        });
        self.history.push(HistoryPoint {
            iteration,
            seconds: self.begun.elapsed().as_secs_f64(),
            distance: now.distance,
            residual: now.residual,
            gap: now.gap,
            gap_of_average: average.as_ref().map(|average| average.1),
            bytes_up: traffic.bytes_up,
            bytes_down: traffic.bytes_down,
            numbers_up: traffic.numbers_up,
        });
        let first = self.first.get_or_insert_with(|| now.clone()).clone();
        let measure = now.measure(self.plan.target, &first);
        let diverges = match (now.distance, first.distance) {
            (Some(distance), Some(start)) if start > 0.0 => {
                distance.is_nan() || distance > DISTANCE_GROWTH * start
            }
            _ => now.residual.is_nan() || now.residual > RESIDUAL_GROWTH * first.residual,
        } || !now.residual.is_finite();
        if diverges {
            return self.diverged(iteration, step);
        }
        let improves = measure < self.best_measure;
        if improves {
            (self.best_measure, self.best, self.is_average) = (measure, z.to_vec(), false);
        }
        if let Some((average, gap)) = average.filter(|average| average.1 < self.best_measure) {
            (self.best_measure, self.best, self.is_average) = (gap, average, true);
        }
        let progress = Progress {
            iteration,
            planned: self.plan.method.iterations,
            residual: Some(now.gap.unwrap_or(now.residual)),
            error: now.distance,
        };
        if self.best_measure <= self.plan.method.tolerance || first.residual == 0.0 {
            self.status = Status::Converged;
            return Tag::Stop;
        }
        if self.observer.progress(progress).is_break() {
            self.status = Status::Interrupted;
            return Tag::Stop;
        }
        if iteration >= self.plan.method.iterations {
            return Tag::Stop;
        }
        if improves { Tag::Keep } else { Tag::Continue }
    }

    fn diverged(&mut self, iteration: usize, step: f64) -> Tag {
        let rival = matches!(
            self.plan.method.name,
            Algorithm::CompressedExtragradient | Algorithm::ErrorFeedbackDescentAscent
        );
        if rival || self.halvings == MOST_HALVINGS {
            self.status = Status::Stalled(format!("diverged by iteration {iteration} with step {step:.3e}"));
            return Tag::Stop;
        }
        if iteration >= self.plan.method.iterations {
            return Tag::Stop;
        }
        self.halvings += 1;
        self.sum.fill(0.0);
        self.visited = 0;
        let note = format!(
            "diverged by iteration {iteration}: the step is halved from {step:.3e} to {:.3e}, and the best point so far taken up again",
            step / 2.0
        );
        self.observer.note(&note);
        self.notes.push(note);
        Tag::Halve
    }

    pub fn finish(self, traffic: Traffic) -> Solution {
        let certificate = Certificate::of(self.problem, &self.best);
        Solution {
            method: self.plan.method.name.name().to_string(),
            certificate,
            value: self.best,
            is_average: self.is_average,
            status: self.status,
            iterations: self.iterations,
            measure: self.best_measure,
            target: self.plan.target,
            step: self.step,
            tau: self.plan.method.name.has_reference_point().then_some(self.plan.tau),
            traffic,
            workers: self.problem.operator.workers(),
            history: self.history,
            notes: self.notes,
            elapsed: self.begun.elapsed(),
        }
    }
}
