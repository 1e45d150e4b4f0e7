//! Reasoning about mathematics: judging answers, asking models, the tools they may use, and benchmarks.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.
//! - [`models`]: ask a language model, with every reply kept, limits obeyed and money counted.
//! - [`tools`]: what a model may call while it solves a problem: algebra, and Python in a sandbox.
//! - [`suites`]: published benchmarks, each with its records and its scores.

pub mod answers;
pub mod models;
pub mod suites;
pub mod tools;
//! - [`retrieval`]: search texts, and score rankings against human judgements.
//! - [`suites`]: published benchmarks.

pub mod retrieval;
//! - [`statistics`]: how sure a score is, and whether two models differ.
//! - [`suites`]: benchmarks: problems, prompts, replies, grades, reports.

pub mod statistics;
