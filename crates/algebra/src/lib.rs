//! Numeric multilinear algebra over plain slices: linear operators with declared structure, and tensor contraction.
//!
//! - [`operator`]: matrices that are more than their entries (Toeplitz, Kronecker, ...), with products, solves and log-determinants;
//! - [`number_format`]: numbers of few bits (bipolar and ternary integers, 8-bit floats, multiplication by addition) and their products;
//! - [`tensor`]: dense row-major tensors and products along one of their modes.

pub mod number_format;
pub mod operator;
pub mod tensor;
