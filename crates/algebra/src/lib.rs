//! Numeric multilinear algebra over plain `f64`: linear operators with declared structure, and tensor contraction.
//!
//! - [`operator`]: matrices that are more than their entries (Toeplitz, Kronecker, ...), with products, solves and log-determinants;
//! - [`tensor`]: dense row-major tensors and products along one of their modes.

pub mod operator;
pub mod tensor;
