//! Linear regression: the coefficients `x` that minimise `‖A x − b‖₂` for a matrix `A` of many rows, with a radius for each of them.
//!
//! Data are anything that shows its [`Rows`], once or several times: matrices in memory (dense in double or single precision,
//! sparse) or files that are larger than it. How they are solved is a [`Method`]:
//!
//! | method | what it does | passes over the data |
//! |---|---|---|
//! | `sketch-and-solve` | solves the regression of a random sketch, a few rows per coefficient (Song, Ye, Yin, Zhang 2023) | 1, and 1 to measure the residual |
//! | `refined` | the same, then LSQR with the sketch's triangle as preconditioner, to full accuracy | 2 + iterations |
//! | `householder` | QR of the whole matrix | 2 |
//! | `normal-equations` | Cholesky of `AᵀA` | 2 |
//! | `svd` | least norm by singular values; for deficient rank | 2 |
//! | `auto` | one of them, with the reason in the notes | |
//!
//! A regression on a Kronecker product is solved from its factors by [`solve_kronecker`]. [`Statement`] reads problem files.

mod certificate;
mod direct;
pub mod input;
mod kronecker;
mod method;
mod options;
mod passes;
mod refined;
mod rows;
mod sketched;
mod solution;
mod statement;
pub mod synthetic;
mod triangle;

#[cfg(test)]
mod tests;

pub use kronecker::{KroneckerProblem, solve_kronecker};
pub use method::{Method, SolveError};
pub use options::{Auto, Bytes, Direct, Refined, SketchAndSolve, SketchKind, Svd};
pub use rows::{Block, Matrix, MatrixProblem, Rows, Table};
pub use solution::{Certificate, HistoryPoint, SketchFacts, Solution};
pub use statement::{Data, Statement};
