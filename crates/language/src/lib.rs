//! Language models whose layers are choices on axes: configurations, training, checkpoints in the ecosystem's formats, and text
//! from them.
//!
//! - [`data`]: what models are trained on;
//! - [`model`]: a configuration, and the model that it describes;
//! - [`training`]: the course of a training, with checkpoints;
//! - [`folder`]: models in folders, with all that belongs to them;
//! - [`gguf`]: models as files for llama.cpp;
//! - [`text`]: tokenizers, and chats as text;
//! - [`generation`]: text from a model;
//! - [`serving`]: a model that many ask at once;
//! - [`built_in`]: a small model that is always there.

pub mod built_in;
pub mod data;
mod files;
pub mod folder;
pub mod generation;
pub mod gguf;
pub mod model;
pub mod serving;
pub mod text;
pub mod training;
