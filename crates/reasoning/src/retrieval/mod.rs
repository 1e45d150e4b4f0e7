//! Retrieval: find texts for a topic, and score what was found against human judgements.
//!
//! - files: relevance judgements and runs as TREC writes them; [`measures`]: trec_eval's measures;
//!   evaluation: a run scored topic by topic and printed as trec_eval prints it

mod evaluation;
mod files;
pub mod measures;

pub use evaluation::{Evaluation, Options, TopicFigures, evaluate, judge};
pub use files::{FileError, Judgements, Repeated, Run};
