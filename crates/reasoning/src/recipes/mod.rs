//! Recipes: how data sets are made, as stages over records.

pub mod counterexamples;
