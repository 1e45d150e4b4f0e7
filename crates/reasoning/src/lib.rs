//! Reasoning about mathematics: so far the judge of answers.
//!
//! - [`answers`]: find the final answer in a text, decide whether it equals the reference, and count.

pub mod answers;
