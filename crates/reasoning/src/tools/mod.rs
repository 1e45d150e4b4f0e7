//! Tools that a model may call while it answers.
//!
//! - [`python`]: run a program in a sandboxed Python interpreter.

#[cfg(target_os = "linux")]
pub mod python;
