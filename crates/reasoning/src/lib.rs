//! Reasoning about mathematics: the judge of answers, and the tools that a model may use.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.
//! - [`tools`]: programs and algebra on behalf of a model.

pub mod answers;
//! Reasoning about mathematics: judging answers, tools for models, benchmarks.
//! - [`tools`]: what a model may call while it solves a problem.
//! - [`suites`]: benchmarks, each with its records and its scores.

pub mod suites;
pub mod tools;
//! Reasoning about mathematics: the judge of answers, and models to ask.
//! - [`models`]: ask a language model, with every reply kept, limits obeyed and money counted.

pub mod models;
