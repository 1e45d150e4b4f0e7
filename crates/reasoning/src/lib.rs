//! Reasoning about mathematics: judging answers, asking models, the tools they may use, and benchmarks.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.
//! - [`models`]: ask a language model, with every reply kept, limits obeyed and money counted.
//! - [`tools`]: what a model may call while it solves a problem: algebra, and Python in a sandbox.
//! - [`decontamination`]: find records that hold text of a benchmark.
//! - [`retrieval`]: search texts, and score rankings against human judgements.
//! - [`statistics`]: how sure a score is, and whether two models differ.
//! - [`suites`]: benchmarks: problems, prompts, replies, grades, reports.
//! - [`recipes`]: data sets made from other data and from what models write.

pub mod answers;
pub mod decontamination;
mod lines;
pub mod models;
mod random;
pub mod recipes;
pub mod retrieval;
pub mod statistics;
pub mod suites;
pub mod tools;
