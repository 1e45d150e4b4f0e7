//! Numeric multilinear algebra over plain slices: linear operators with declared structure, tensor contraction, convolution.
//!
//! - [`awake`]: threads that stay awake between many short parallel computations;
//! - [`convolution`]: three-dimensional convolution layers, forwards and backwards;
//! - [`few_rows`]: products of a few rows with a large matrix;
//! - [`gated_linear_attention`]: attention whose state decays by gates, recurrent, parallel and by chunks, forwards and backwards;
//! - [`hadamard`]: the fast Walsh–Hadamard transform;
//! - [`linear_recurrence`]: gated recurrences along sequences, step by step and by chunks;
//! - [`long_convolution`]: convolutions as long as the sequence, through the FFT;
//! - [`memory`]: keeping memory that was freed;
//! - [`monarch`]: products of block-diagonal matrices and digit permutations;
//! - [`number_format`]: numbers of few bits (bipolar and ternary integers, 8-bit floats, multiplication by addition) and their products;
//! - [`operator`]: matrices that are more than their entries (Toeplitz, Kronecker, ...), with products, solves and log-determinants;
//! - [`product`]: products of dense matrices;
//! - [`random`]: random numbers that are addressed instead of drawn;
//! - [`real`]: the number types that kernels are generic over;
//! - [`sketch`]: random sketches, applied without being written out;
//! - [`softmax_attention`]: softmax attention to stretches of tokens, such as what came before, forwards and backwards;
//! - [`tensor`]: dense row-major tensors and products along one of their modes;
//! - [`tensor_attention`]: attention to all pairs and longer tuples of tokens, exact and by polynomials, forwards and backwards.

pub mod awake;
pub mod convolution;
pub mod few_rows;
pub mod gated_linear_attention;
pub mod hadamard;
pub mod linear_recurrence;
pub mod long_convolution;
pub mod memory;
pub mod monarch;
pub mod number_format;
pub mod operator;
pub mod product;
pub mod random;
pub mod real;
pub mod sketch;
pub mod softmax_attention;
pub mod tensor;
pub mod tensor_attention;
