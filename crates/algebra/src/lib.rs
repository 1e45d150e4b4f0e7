//! Numeric multilinear algebra over plain `f64`: linear operators with declared structure, and tensor contraction.
//!
//! - [`monarch`]: products of block-diagonal matrices and digit permutations;
//! - [`operator`]: matrices that are more than their entries (Toeplitz, Kronecker, ...), with products, solves and log-determinants;
//! - [`tensor`]: dense row-major tensors and products along one of their modes.

pub mod monarch;
pub mod operator;
pub mod tensor;
