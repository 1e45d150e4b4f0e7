//! Recipes: data sets made of other data by models and rules.
//!
//! A recipe is a list of stages over records ([`runner`]); every record says where it came from, and what does not pass a
//! stage is written down with its reason. [`threads`] reads archives of discussions, [`time`] is their calendar.
//!
//! - [`aops_live`]: question-solution pairs and a dated benchmark from a forum.

pub mod aops_live;
mod replies;
pub mod runner;
pub mod threads;
pub mod time;
