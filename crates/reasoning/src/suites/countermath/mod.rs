//! CounterMATH (Li et al., 2025): is a statement of university mathematics true, and does the reply argue by examples?
//!
//! - [`records`]: the statements, with or without labels and rationales;
//! - [`prompt`]: what is asked, in English and Chinese;
//! - [`extract`]: the verdict of a reply, by the two published rules and by a robust one;
//! - [`scores`]: accuracy and macro F1 as scikit-learn counts it;
//! - [`judge`] and [`steps`]: a model says whether the examples and the steps of a reply hold.
//!
//! The prompts are this project's own words; the published judge prompt is not known.

pub mod extract;
pub mod judge;
pub mod prompt;
pub mod records;
pub mod scores;
pub mod steps;
