//! Reasoning about mathematics: judging answers, tools for models, benchmarks.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.
//! - [`tools`]: what a model may call while it solves a problem.
//! - [`suites`]: benchmarks, each with its records and its scores.

pub mod answers;
pub mod suites;
pub mod tools;
