//! Tools that a model may call while it solves a problem: text in, text out, with a budget.

pub mod algebra;
