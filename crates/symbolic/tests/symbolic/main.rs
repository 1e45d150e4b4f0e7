//! What holds for all expressions, checked on random ones against a naive tree, and what holds for hostile texts.

mod calculus;
mod canonical;
mod expansion;
mod hostile;
mod notation;
mod program;
mod tree;
