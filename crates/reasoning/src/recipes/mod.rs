//! Recipes: problems and data sets made from other data and from what models write.
//!
//! - [`counterexamples`]: proofs that work by an example, for training (CounterMATH);
//! - [`multilingual`]: word problems in many languages, for training (MathOctopus).

pub mod counterexamples;
pub mod multilingual;
