//! Numeric multilinear algebra over plain floating-point numbers: linear operators with declared structure, tensor contraction,
//! convolution.
//!
//! - [`convolution`]: three-dimensional convolution layers, forwards and backwards;
//! - [`monarch`]: products of block-diagonal matrices and digit permutations;
//! - [`operator`]: matrices that are more than their entries (Toeplitz, Kronecker, ...), with products, solves and log-determinants;
//! - [`tensor`]: dense row-major tensors and products along one of their modes.

pub mod convolution;
pub mod monarch;
pub mod operator;
pub mod tensor;
