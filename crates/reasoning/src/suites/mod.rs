//! Suites: published benchmarks, one readable file each.

pub mod arqmath;
