//! Differential equations on boxes of one, two or three dimensions; time is a dimension like any other.
//!
//! What the problem *is* ([`Problem`]) is apart from how it is solved ([`Method`]); every method returns a [`Solution`]:
//! a field that can be evaluated, with its derivatives, anywhere in the box, and the figures that say how far to trust it.

mod auto;
mod collocation;
mod field;
mod finite_difference;
mod gp_hm;
mod layout;
mod method;
mod newton;
pub mod options;
mod problem;
mod residual;
mod solution;
mod statement;

pub use auto::Auto;
pub use collocation::Collocation;
pub use field::{Basis, Field, Term};
pub use finite_difference::FiniteDifference;
pub use gp_hm::GpHm;
pub use method::{Method, SolveError};
pub use problem::{Axis, Condition, Derivative, Face, Problem, Side};
pub use residual::Residual;
pub use solution::{
    Certificate, Component, Errors, HistoryPoint, Solution, Spectrum, evaluate_on_grid, grid_coordinates,
    test_points,
};
pub use statement::{MethodChoice, Statement};

#[cfg(test)]
use crate::Silent;
use crate::{Observer, Progress, Status};

#[cfg(test)]
mod test_problems;
