//! Numeric multilinear algebra over plain slices: linear operators with declared structure, tensor contraction, convolution.
//!
//! - [`convolution`]: three-dimensional convolution layers, forwards and backwards;
//! - [`few_rows`]: products of a few rows with a large matrix;
//! - [`hadamard`]: the fast Walsh–Hadamard transform;
//! - [`monarch`]: products of block-diagonal matrices and digit permutations;
//! - [`number_format`]: numbers of few bits (bipolar and ternary integers, 8-bit floats, multiplication by addition) and their products;
//! - [`operator`]: matrices that are more than their entries (Toeplitz, Kronecker, ...), with products, solves and log-determinants;
//! - [`random`]: random numbers that are addressed instead of drawn;
//! - [`sketch`]: random sketches, applied without being written out;
//! - [`tensor`]: dense row-major tensors and products along one of their modes.

pub mod convolution;
pub mod few_rows;
pub mod hadamard;
pub mod monarch;
pub mod number_format;
pub mod operator;
pub mod random;
pub mod sketch;
pub mod tensor;
