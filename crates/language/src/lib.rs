//! Language models whose layers are choices on axes.
//!
//! - [`data`]: what models are trained on;
//! - [`model`]: a configuration, and the model that it describes;
//! - [`training`]: its course, with checkpoints.

pub mod data;
mod files;
pub mod model;
pub mod training;
