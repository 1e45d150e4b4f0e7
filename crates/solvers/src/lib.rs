//! A problem in, a solution and its certificate out.
//!
//! Every room states what a problem *is* apart from how it is solved, reads both from a problem file, and returns a solution with
//! its [`Status`] and figures that were measured afterwards, so that failing to converge is a value to look at.
//!
//! - [`pde`]: differential equations on boxes;
//! - [`regression`]: linear least squares, by random sketches and directly;
//! - [`statement`]: what all problem files share.

pub mod pde;
mod progress;
pub mod regression;
pub mod statement;

pub use progress::{Observer, Progress, Silent, Status};
