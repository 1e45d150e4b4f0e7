//! What a solve returns: the unknowns, how the solve ended, and figures measured afterwards.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{Observer, Progress, Status};

/// One recorded moment of a solve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HistoryPoint {
    /// Iteration number; 0 is before the first.
    pub iteration: usize,
    /// Seconds since the solve began, the preparation of the method included.
    pub seconds: f64,
    /// Relative residual as the iteration carries it.
    pub residual: f64,
}

/// A solved system.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The method that found it.
    pub method: String,
    /// The unknowns: on a grid one value for each cell, zero on cells that are not fluid. Where constants are undetermined the
    /// mean is zero.
    pub values: Vec<f64>,
    /// How the solve ended.
    pub status: Status,
    /// Iterations done.
    pub iterations: usize,
    /// `‖b - A x‖ / ‖b‖`, computed anew from the values (0 if b is zero).
    pub residual: f64,
    /// `‖b - A x‖`.
    pub residual_norm: f64,
    /// `xᵀ A x / 2 - bᵀ x`, which the solution minimises.
    pub energy: f64,
    /// The relative residual in the course of the solve.
    pub history: Vec<HistoryPoint>,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Named figures of the method, such as an estimate of the condition number.
    pub figures: Vec<(String, f64)>,
    /// Time for preparing: factorising, coarsening.
    pub setup: Duration,
    /// Time in all.
    pub elapsed: Duration,
}

/// Records the course of an iteration and shows it to the observer.
pub(super) struct Watch<'a> {
    observer: &'a mut dyn Observer,
    start: Instant,
    planned: usize,
    pub(super) history: Vec<HistoryPoint>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(observer: &'a mut dyn Observer, planned: usize) -> Self {
        Watch { observer, start: Instant::now(), planned, history: Vec::new() }
    }

    /// Records a relative residual; true if the solve is to stop.
    pub(super) fn record(&mut self, iteration: usize, residual: f64) -> bool {
        self.history.push(HistoryPoint { iteration, seconds: self.elapsed().as_secs_f64(), residual });
        let progress = Progress { iteration, planned: self.planned, residual: Some(residual), error: None };
        self.observer.progress(progress).is_break()
    }

    pub(super) fn note(&mut self, message: &str) {
        self.observer.note(message);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// What an iteration hands over.
#[derive(Debug)]
pub(super) struct Iterate {
    pub(super) values: Vec<f64>,
    pub(super) status: Status,
    pub(super) iterations: usize,
    pub(super) notes: Vec<String>,
    pub(super) figures: Vec<(String, f64)>,
}
