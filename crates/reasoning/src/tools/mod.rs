//! Tools that a model may call while it answers.
//!
//! - [`python`]: run a program in a sandboxed Python interpreter.

#[cfg(target_os = "linux")]
pub mod python;
//! Tools that a model may call while it solves a problem: text in, text out, with a budget.

pub mod algebra;
