//! Reasoning about mathematics: the judge of answers, and models to ask.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.
//! - [`models`]: ask a language model, with every reply kept, limits obeyed and money counted.
//! - [`statistics`]: how sure a score is, and whether two models differ.
//! - [`suites`]: benchmarks: problems, prompts, replies, grades, reports.

pub mod answers;
pub mod models;
pub mod statistics;
pub mod suites;
