//! Language models: data and training.

pub mod data;
mod files;
pub mod training;
