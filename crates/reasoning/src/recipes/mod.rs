//! Recipes: problems and data sets made from other data and from what models write.
//!
//! - [`multilingual`]: word problems in many languages, for training (MathOctopus).

pub mod multilingual;
