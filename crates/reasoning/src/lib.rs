//! Reasoning about mathematics: so far the judge of answers.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.
//! - [`retrieval`]: search texts, and score rankings against human judgements.
//! - [`suites`]: published benchmarks.

pub mod answers;
pub mod retrieval;
pub mod suites;
