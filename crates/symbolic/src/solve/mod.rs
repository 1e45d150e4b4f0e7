//! Solving equations, inequalities and their systems over the real numbers, exactly.
//!
//! - [`solve_equation`]: polynomial, rational, radical, absolute-value and simple exponential equations in one unknown;
//!   other symbols are parameters.
//! - [`solve_inequality`]: relations in one unknown by sign charts, as a union of intervals with exact ends.
//! - [`solve_system`]: systems of equations, by substitution and resultants.
//!
//! What has no closed form here, or would take longer than the budget, is refused by name ([`Unsolved`]); what is
//! returned has been checked against the equation, exactly or by rigorous intervals.

mod equation;
mod inequality;
mod roots;
mod system;
#[cfg(test)]
mod tests;

pub use equation::{Solutions, solve_equation};
pub use inequality::{End, Piece, RealSet, solve_inequality};
pub use system::solve_system;

/// Why a problem is not solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsolved {
    /// A polynomial without roots in radicals that are found here, or an equation of a kind that is not covered.
    #[error("no closed form is found for the solutions")]
    NoClosedForm,
    /// More unknowns than one in an inequality.
    #[error("an inequality is solved for one unknown, without parameters")]
    Parameters,
    /// It takes more time or space than allowed.
    #[error("this takes more than the budget")]
    Budget,
}
