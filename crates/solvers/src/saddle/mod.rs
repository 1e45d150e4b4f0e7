//! Variational inequalities and saddle points, solved by methods whose workers exchange compressed vectors.
//!
//! Find z* ∈ R^D with ⟨F(z*), z − z*⟩ + h(z) − h(z*) ≥ 0 for all z, where F = (1/M) Σ_m F_m and worker m owns F_m ([`Operator`]), and h is
//! simple ([`Constraint`]). The methods ([`Algorithm`]) are those of Beznosikov, Richtárik, Diskin, Ryabinin and Gasnikov, "Distributed
//! methods with compressed communication for solving variational inequalities, with theoretical guarantees" (NeurIPS 2022): MASHA1 and
//! MASHA2, with their rivals and the classical methods beside them.
//!
//! Every method is written once, as the program that all ranks run; the ranks are threads ([`solve`]) or processes over MPI
//! ([`solve_as_rank`]), with the same iterates bit for bit.

mod algorithms;
mod compressor;
mod constraint;
mod method;
mod monitor;
mod operator;
mod plan;
pub mod random;
mod rank;
mod solution;
mod statement;
pub mod transport;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use compressor::{Codec, Compressor, CompressorError, Message};
pub use constraint::{Block, Constraint};
pub use method::{Algorithm, Method, StepRule, Target, Transport};
pub use operator::{Bilinear, Constants, Minty, Operator, RobustRegression};
pub use solution::{Certificate, HistoryPoint, Solution};
pub use statement::{Family, Statement};
pub use transport::{Link, LinkError, Tag, Traffic};

use crate::{Observer, Silent};
use monitor::Monitor;
use plan::Plan;
use rank::Rank;
use transport::Star;

/// A variational inequality.
#[derive(Clone)]
pub struct Problem {
    /// F.
    pub operator: Arc<dyn Operator>,
    /// h.
    pub constraint: Constraint,
    /// z⁰, D entries within the set.
    pub start: Vec<f64>,
    /// The solution, if it is known.
    pub solution: Option<Vec<f64>>,
}

impl Problem {
    /// A problem that starts at the set's centre; without constraints, the operator's root is the known solution.
    ///
    /// # Errors
    /// [`SolveError::Problem`] if the operator has no entries or no workers or the constraint does not fit it.
    pub fn new(operator: Arc<dyn Operator>, constraint: Constraint) -> Result<Self, SolveError> {
        let dimension = operator.dimension();
        if dimension == 0 || operator.workers() == 0 {
            let workers = operator.workers();
            return Err(SolveError::Problem(format!(
                "dimension {dimension} and {workers} workers; expected at least one of each"
            )));
        }
        constraint.check(dimension).map_err(SolveError::Problem)?;
        let solution = if constraint.is_none() { operator.root() } else { None };
        let start = constraint.start(dimension);
        Ok(Problem { operator, constraint, start, solution })
    }

    fn check(&self) -> Result<(), SolveError> {
        let dimension = self.operator.dimension();
        self.constraint.check(dimension).map_err(SolveError::Problem)?;
        for (what, vector) in [("start", Some(&self.start)), ("solution", self.solution.as_ref())] {
            let Some(vector) = vector else { continue };
            if vector.len() != dimension || vector.iter().any(|v| !v.is_finite()) {
                return Err(SolveError::Problem(format!("the {what} is not {dimension} finite numbers")));
            }
        }
        Ok(())
    }
}

/// Why a problem could not be solved at all. (Not converging is a [`crate::Status`] of the solution, not an error.)
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The problem is not well stated.
    #[error("{0}")]
    Problem(String),
    /// An option that is out of range, or that the method does not have.
    #[error("option `{key}`: {message}")]
    Option {
        /// The option's name as in the `[method]` table.
        key: &'static str,
        /// What is wrong, what is expected.
        message: String,
    },
    /// An operator that gives NaN or infinity.
    #[error("F of worker {worker} has the entry {value} at index {index}, at a finite point")]
    NotFinite {
        /// Whose.
        worker: usize,
        /// Where.
        index: usize,
        /// What.
        value: f64,
    },
    /// A vector of a worker that cannot be encoded, or a message that cannot be decoded.
    #[error("worker {worker}: {error}")]
    Encoding {
        /// Whose.
        worker: usize,
        /// Why.
        error: CompressorError,
    },
    /// A vector of the server that cannot be encoded.
    #[error("the server: {0}")]
    ServerEncoding(CompressorError),
    /// A worker that reported a failure of its own.
    #[error("worker {worker} failed: {message}")]
    Worker {
        /// Which.
        worker: usize,
        /// What it said.
        message: String,
    },
    /// A message that did not come.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Another number of processes than the problem has workers, plus one.
    #[error(
        "{found} processes for {workers} workers; expected {} (a server and the workers): mpirun -n {}",
        workers + 1, workers + 1
    )]
    Ranks {
        /// M.
        workers: usize,
        /// The processes.
        found: usize,
    },
    /// The server has ended the run because of a failure that it knows of.
    #[error("the run was ended by the server")]
    ToldToEnd,
}

/// Solve, with the workers as threads of this process.
///
/// # Errors
/// [`SolveError`] if the problem or an option is wrong or a worker fails, hangs or dies. A thread that hangs is left to itself.
pub fn solve(
    problem: &Problem,
    method: &Method,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    problem.check()?;
    let plan = Plan::new(problem, method)?;
    if method.name.is_local() {
        let mut rank = Rank::alone(problem, &plan, Monitor::new(problem, &plan, observer));
        algorithms::run(&mut rank)?;
        return rank.finish().ok_or(SolveError::ToldToEnd);
    }
    let (mut server, workers) = transport::threads::star(problem.operator.workers());
    for mut link in workers {
        let (problem, plan) = (problem.clone(), plan.clone());
        // Not scoped: were a worker to hang, a scope would wait for it for ever.
        let started = std::thread::Builder::new().spawn(move || {
            let _ = participate(&problem, &plan, &mut link, &mut Silent);
        });
        started
            .map_err(|error| SolveError::Problem(format!("cannot start a thread for a worker: {error}")))?;
    }
    participate(problem, &plan, &mut server, observer)?.ok_or(SolveError::ToldToEnd)
}

/// Solve as one rank of several: every process calls this with its own end of the star and the same problem and method. The server
/// (rank 0) gets the solution, and needs the whole operator to certify it; a worker evaluates its own part alone.
///
/// # Errors
/// As [`solve`], on all ranks; on ranks that only heard of a failure, [`SolveError::ToldToEnd`].
pub fn solve_as_rank(
    problem: &Problem,
    method: &Method,
    link: &mut dyn Link,
    observer: &mut dyn Observer,
) -> Result<Option<Solution>, SolveError> {
    problem.check()?;
    let plan = Plan::new(problem, method)?;
    let workers = problem.operator.workers();
    if method.name.is_local() {
        let message = format!("{} runs in one process; expected a distributed method", method.name.name());
        return Err(SolveError::Option { key: "transport", message });
    }
    if link.ranks() != workers + 1 {
        return Err(SolveError::Ranks { workers, found: link.ranks() });
    }
    participate(problem, &plan, link, observer)
}

fn participate(
    problem: &Problem,
    plan: &Plan,
    link: &mut dyn Link,
    observer: &mut dyn Observer,
) -> Result<Option<Solution>, SolveError> {
    let timeout = Duration::from_secs_f64(plan.method.timeout);
    let star = Star::new(link, timeout, problem.operator.dimension());
    let monitor = star.worker().is_none().then(|| Monitor::new(problem, plan, observer));
    let mut rank = Rank::of_star(problem, plan, star, monitor);
    match algorithms::run(&mut rank) {
        Ok(()) => Ok(rank.finish()),
        Err(error) => {
            rank.fail(&error);
            Err(error)
        }
    }
}
