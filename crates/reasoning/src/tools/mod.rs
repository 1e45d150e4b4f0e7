//! What a model may call while it solves a problem.
//!
//! - [`algebra`]: the algebra tools of CARP: text in, text out, with a budget.
//! - [`python`]: a program in a sandboxed Python interpreter; on Linux.

pub mod algebra;
#[cfg(target_os = "linux")]
pub mod python;
