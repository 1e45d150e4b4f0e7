//! Benchmarks: their records, how they are scored, what the published scores are.

pub mod carp;
