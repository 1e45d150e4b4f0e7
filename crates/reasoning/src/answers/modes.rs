//! The modes by name.

use super::{Extracted, Options, Verdict, gsm8k, hendrycks, math_octopus, mgsm, strict};

/// A pair of rules: how an answer is found, and when two answers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Equal as mathematics.
    Strict,
    /// The normaliser of the MATH data set (Hendrycks et al. 2021): equal after rewriting as text.
    Hendrycks,
    /// The official rule of GSM8K: `#### number`, equal as text without commas.
    Gsm8k,
    /// MGSM as in simple-evals: the number after the answer prefix of the language, equal as text.
    Mgsm,
    /// MathOctopus: the last number without its sign, to 0.001.
    MathOctopus,
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 5] = [Mode::Strict, Mode::Hendrycks, Mode::Gsm8k, Mode::Mgsm, Mode::MathOctopus];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Hendrycks => "hendrycks",
            Mode::Gsm8k => "gsm8k",
            Mode::Mgsm => "mgsm",
            Mode::MathOctopus => "mathoctopus",
        }
    }

    /// The mode of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

pub(super) fn equal(gold: &str, answer: &str, options: &Options) -> Verdict {
    match options.mode {
        Mode::Strict => strict::equal(gold, answer, options),
        Mode::Hendrycks => hendrycks::equal(gold, answer),
        Mode::Gsm8k => gsm8k::equal(gold, answer),
        Mode::Mgsm => mgsm::equal(gold, answer),
        Mode::MathOctopus => math_octopus::equal(gold, answer),
    }
}

pub(super) fn extract(response: &str, options: &Options) -> Option<Extracted> {
    match options.mode {
        Mode::Strict => strict::extract(response, options.language),
        Mode::Hendrycks => hendrycks::extract(response),
        Mode::Gsm8k => gsm8k::extract(response),
        Mode::Mgsm => mgsm::extract(response, options.language),
        Mode::MathOctopus => math_octopus::extract(response),
    }
}
