//! Recipes: problems and data sets made from other data and from what models write.
//!
//! - [`aops_live`]: question-solution pairs and a dated benchmark from a forum;
//! - [`counterexamples`]: proofs that work by an example, for training (CounterMATH);
//! - [`multilingual`]: word problems in many languages, for training (MathOctopus).
//!
//! A recipe may be a list of stages over records ([`runner`]): every record says where it came from, and what does not pass a
//! stage is written down with its reason. [`threads`] reads archives of discussions, [`time`] is their calendar.

pub mod aops_live;
pub mod counterexamples;
pub mod multilingual;
mod replies;
pub mod runner;
pub mod threads;
pub mod time;
