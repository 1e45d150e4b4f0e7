//! CARP (Zhang et al. 2023): algebra problems of middle school whose worked solutions are graphs of expressions.
//!
//! - [`Record`] and [`read_records`]: the published files, with [`Statistics`] as the paper's table has them.
//! - [`expression_accuracy`]: how many of the target expressions a solution reaches, and where it fails first.
//! - [`replay`]: published calls of the algebra tools against [`crate::tools::algebra`].
//! - The suite for [`Suite::open`](super::Suite::open), asked by chain of thought, by a tool loop, or by deliberation between
//!   tools and text (DELI); its files: action, words, tool_loop, deliberation, suite.

mod accuracy;
mod action;
mod deliberation;
mod records;
pub mod replay;
mod suite;
mod tool_loop;
mod words;

pub use accuracy::{Accuracy, ExpressionScores, Failure, Failures, Solution, expression_accuracy};
pub use records::{BadRecord, ExpressionFlow, Graph, Link, Record, Statistics, read_records};
pub(super) use suite::suite;
