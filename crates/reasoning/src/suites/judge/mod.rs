//! Models as judges: a protocol that says how far what they say can be believed.
//!
//! A [`Task`] says what is judged and on which scale, [`Items`] what there is to be judged, and [`judge()`] asks one judge:
//!
//! - *preference*: which of two replies is better. Each case is asked in both orders, and what is said is mapped back. Where
//!   the orders contradict each other the verdict is a tie, and the item is kept as inconsistent;
//! - *score*: a reply on a scale of numbers or of named categories;
//! - *correctness*: whether the final answer of a reply equals the reference, yes or no.
//!
//! A judge replies with one JSON object. What is malformed is counted and asked for again as a further sample; it never becomes
//! a verdict, and the denominators stay all items. Repeats are samples of the same request. Their verdicts are put
//! together by [`Task::together`], and so are those of several judges.
//!
//! [`Tally`] counts what judges say into [`Metrics`]: shares with intervals, the bias towards a place, agreement over repeats and
//! judges by Krippendorff's alpha, and, where gold labels are known, how far a judge is right and what that makes of the
//! share that it gives to the rest.

mod items;
mod protocol;
mod scores;
mod task;
#[cfg(test)]
mod tests;

pub use items::{Item, Items, Numbered};
pub use protocol::{Judgement, MOST_REPEATS, Repeat, Said, judge};
pub use scores::{
    Agreement, Alpha, Calibration, Errors, JudgeMetrics, LabelShare, Mean, Metrics, Pair, Position,
    Preference, Tally, Verdicts, Yes,
};
pub use task::{Checker, Kind, Labels, Task};

use std::path::PathBuf;

use super::SuiteError;
use crate::models::calls::Stop;

/// The place of a label on the scale of a task.
pub type Label = u8;

/// Why nothing can be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// No kind of task has this name, and it is no file.
    #[error("no task is called `{name}`; {hint}, and files that end in .toml")]
    Name {
        /// The name.
        name: String,
        /// The nearest name, and all names.
        hint: String,
    },
    /// A file cannot be read, or does not fit.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A line is not as it should be.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// So many repeats cannot be asked for.
    #[error("{0} repeats: expected 1 to {MOST_REPEATS}")]
    Repeats(usize),
    /// The template is wrong.
    #[error(transparent)]
    Template(#[from] SuiteError),
    /// The calls have stopped; what was answered is kept.
    #[error(transparent)]
    Stop(#[from] Stop),
}
