//! A problem in, a solution and its certificate out.
//!
//! Every room states what a problem *is* apart from how it is solved, reads both from a problem file, and returns a solution with
//! its [`Status`] and figures that were measured afterwards, so that failing to converge is a value to look at.
//!
//! - [`linear`]: sparse symmetric systems with millions of unknowns;
//! - [`pde`]: differential equations on boxes;
//! - [`regression`]: linear least squares, by random sketches and directly;
//! - [`saddle`]: variational inequalities and saddle points, with compressed communication;
//! - [`structural`]: linear structural equation models of mixed graphs;
//! - [`statement`]: what all problem files share.

pub mod linear;
pub mod pde;
mod progress;
pub mod regression;
pub mod saddle;
pub mod statement;
pub mod structural;

pub use progress::{Observer, Progress, Silent, Status};
