//! Judging answers: find the final answer in a response, and decide whether it equals the reference.
//!
//! A [`Mode`] is an extraction rule and an equality rule. [`Mode::Strict`] is meant to be right; the others give the
//! verdicts of published checkers, mistakes included, because published scores depend on them. Every [`Verdict`] says
//! which rule decided it. `metrics` counts.

mod identification;
mod language;
pub mod metrics;
mod strict;

pub(crate) mod carp;
mod computer_algebra;
mod gsm8k;
mod hendrycks;
mod math_octopus;
mod math_verify;
pub mod mgsm;
mod minerva;
mod modes;
mod prm800k;
mod qwen25;

use std::time::Duration;

pub use identification::{identify, is_in_script};
pub use language::Language;
pub(crate) use language::{ascii_digits, digit};
pub use modes::Mode;
use regex::Regex;

/// A pattern that stands in this program.
pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant")
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Equality {
    /// The answers are equal.
    Equal,
    /// The answers are different.
    Different,
    /// Not decided within the budget. Counts as wrong.
    Unknown,
}

/// Whether two answers are equal, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// The outcome.
    pub equality: Equality,
    /// The rule that decided.
    pub reason: &'static str,
}

impl Verdict {
    pub(crate) fn equal(reason: &'static str) -> Self {
        Verdict { equality: Equality::Equal, reason }
    }

    pub(crate) fn different(reason: &'static str) -> Self {
        Verdict { equality: Equality::Different, reason }
    }

    pub(crate) fn unknown(reason: &'static str) -> Self {
        Verdict { equality: Equality::Unknown, reason }
    }

    /// Whether the answers are equal.
    pub fn is_equal(&self) -> bool {
        self.equality == Equality::Equal
    }
}

/// An answer found in a response, and the rule that found it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Extracted {
    /// The answer as it stands in the response, numbers perhaps rewritten.
    pub answer: String,
    /// The rule that found it.
    pub rule: &'static str,
}

/// How to judge.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rules. Default: strict.
    pub mode: Mode,
    /// The time for one comparison in the strict mode. Default: 50 ms.
    pub budget: Duration,
    /// What decides ambiguous number formats and answer sentences. Default: none.
    pub language: Option<Language>,
}

impl Default for Options {
    fn default() -> Self {
        Options { mode: Mode::Strict, budget: Duration::from_millis(50), language: None }
    }
}

impl Options {
    /// The defaults with another mode.
    pub fn of(mode: Mode) -> Self {
        Options { mode, ..Options::default() }
    }
}

/// Whether `answer` equals `gold` by the rules of a mode. Defined for all texts.
pub fn check(gold: &str, answer: &str, options: &Options) -> Verdict {
    modes::equal(gold, answer, options)
}

/// The final answer of a response by the rules of a mode, or `None` if it holds none.
pub fn extract(response: &str, options: &Options) -> Option<Extracted> {
    modes::extract(response, options)
}
