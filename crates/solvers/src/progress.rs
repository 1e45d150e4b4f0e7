//! What every solve shows while it runs, and how it says that it ended.

use std::ops::ControlFlow;

use serde::Serialize;

/// How a solve ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "detail")]
pub enum Status {
    /// The method's own criterion was met.
    Converged,
    /// The planned iterations were used up; the best state seen is returned.
    IterationLimit,
    /// Stopped from outside; the best state seen is returned.
    Interrupted,
    /// The iteration could not go on, for the stated reason; the best state seen is returned.
    Stalled(String),
}

/// Where a running solve stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Iterations done.
    pub iteration: usize,
    /// Iterations planned at most.
    pub planned: usize,
    /// The residual that the method drives down, now, if known.
    pub residual: Option<f64>,
    /// Relative error against the known solution now, if there is one.
    pub error: Option<f64>,
}

/// Sees a solve while it runs, and may stop it.
pub trait Observer {
    /// Called now and then; `Break` ends the solve early with what has been reached.
    fn progress(&mut self, progress: Progress) -> ControlFlow<()>;
    /// A remark of the method for the user, such as a chosen fall-back.
    fn note(&mut self, message: &str) {
        let _ = message;
    }
}

/// An observer that looks away.
pub struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
