//! Benchmarks: their records, how they are scored, what the published scores are.

pub mod carp;
//! Suites: published benchmarks, one readable file each.

pub mod arqmath;
