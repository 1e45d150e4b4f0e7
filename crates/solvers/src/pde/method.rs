//! The one shape of all methods: a problem in, a [`Solution`] out, progress on the way.

use super::{Problem, Solution};
use crate::Observer;

/// Why a problem could not be solved at all. (Not converging is a [`super::Status`] of the solution, not an error.)
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// A symbol that is neither a coordinate nor an unknown or a derivative of one.
    #[error("`{0}` is neither a coordinate nor an unknown or one of its derivatives")]
    UnknownSymbol(String),
    /// An expression that cannot be evaluated numerically.
    #[error("{0}")]
    Expression(String),
    /// An option that is out of range or does not fit the problem.
    #[error("option `{key}`: {message}")]
    Option {
        /// The option's name as in the `[method]` table.
        key: &'static str,
        /// What is wrong, what is expected.
        message: String,
    },
    /// The method does not apply to this problem.
    #[error("{method} does not apply: {reason}")]
    NotApplicable {
        /// The method's name.
        method: &'static str,
        /// Why.
        reason: String,
    },
    /// The data are not finite somewhere in the box.
    #[error("{what} is not finite at {place}")]
    NotFinite {
        /// Which expression.
        what: String,
        /// The coordinates, written out.
        place: String,
    },
    /// The linear algebra broke down and no finite solution exists to return.
    #[error("{0}")]
    Breakdown(String),
}

/// A way to solve a [`Problem`].
pub trait Method: Send + Sync {
    /// The name under which the `[method]` table asks for it.
    fn name(&self) -> &'static str;

    /// Solve.
    ///
    /// # Errors
    /// [`SolveError`] if the method does not apply to the problem, an option is out of range or the data are not finite.
    fn solve(&self, problem: &Problem, observer: &mut dyn Observer) -> Result<Solution, SolveError>;
}
