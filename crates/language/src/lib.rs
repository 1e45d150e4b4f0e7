//! Language models whose layers are choices on axes.
//!
//! - [`model`]: a configuration, and the model that it describes.

pub mod model;
