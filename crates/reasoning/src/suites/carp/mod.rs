//! CARP (Zhang et al. 2023): algebra problems of middle school whose worked solutions are graphs of expressions.
//!
//! - [`Record`] and [`read_records`]: the published files, with [`Statistics`] as the paper's table has them.
//! - [`expression_accuracy`]: how many of the target expressions a solution reaches, and where it fails first.
//! - [`replay`]: published calls of the algebra tools against [`crate::tools::algebra`].

mod accuracy;
mod records;
pub mod replay;

pub use accuracy::{Accuracy, Failure, Failures, Solution, expression_accuracy};
pub use records::{BadRecord, Graph, Link, Record, Statistics, read_records};
