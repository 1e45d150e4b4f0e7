//! A problem in, a solution and its certificate out.
//!
//! - [`pde`]: differential equations on boxes.

pub mod pde;
