//! Language models whose layers are choices on axes: configurations, checkpoints in the ecosystem's formats, and text from them.
//!
//! - [`model`]: a configuration, and the model that it describes;
//! - [`folder`]: models in folders, with all that belongs to them;
//! - [`text`]: tokenizers, and chats as text;
//! - [`generation`]: text from a model.

pub mod folder;
pub mod generation;
pub mod model;
pub mod text;
