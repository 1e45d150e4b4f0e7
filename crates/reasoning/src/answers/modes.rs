//! The modes by name.

use super::{
    Extracted, Options, Verdict, carp, gsm8k, hendrycks, math_octopus, math_verify, mgsm, minerva, prm800k,
    qwen25, strict,
};

/// A pair of rules: how an answer is found, and when two answers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Equal as mathematics.
    Strict,
    /// The normaliser of the MATH data set (Hendrycks et al. 2021): equal after rewriting as text.
    Hendrycks,
    /// The grader of PRM800K (Lightman et al. 2023): rewritten text, then algebra element by element.
    Prm800k,
    /// The evaluation of Qwen2.5-Math: rewritten text, numbers to 1e-4, then algebra.
    Qwen25,
    /// Minerva's rules as in lm-eval 0.4.13.
    Minerva,
    /// Math-Verify 0.9.0: formulae and numbers found by patterns, then sets, relations and values compared.
    MathVerify,
    /// The comparison of CARP (Zhang et al. 2023).
    Carp,
    /// The official rule of GSM8K: `#### number`, equal as text without commas.
    Gsm8k,
    /// MGSM as in simple-evals: the number after the answer prefix of the language, equal as text.
    Mgsm,
    /// MathOctopus: the last number without its sign, to 0.001.
    MathOctopus,
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 10] = [
        Mode::Strict,
        Mode::Hendrycks,
        Mode::Prm800k,
        Mode::Qwen25,
        Mode::Minerva,
        Mode::MathVerify,
        Mode::Carp,
        Mode::Gsm8k,
        Mode::Mgsm,
        Mode::MathOctopus,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Hendrycks => "hendrycks",
            Mode::Prm800k => "prm800k",
            Mode::Qwen25 => "qwen25",
            Mode::Minerva => "minerva",
            Mode::MathVerify => "math-verify",
            Mode::Carp => "carp",
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

/// The longest answers, in bytes, that are compared otherwise than as they stand.
const LONGEST_ANSWER: usize = 10_000;

pub(super) fn equal(gold: &str, answer: &str, options: &Options) -> Verdict {
    if gold.len().max(answer.len()) > LONGEST_ANSWER {
        return if gold.trim() == answer.trim() && !gold.trim().is_empty() {
            Verdict::equal("identical text")
        } else {
            Verdict::unknown("too long to read")
        };
    }
    match options.mode {
        Mode::Strict => strict::equal(gold, answer, options),
        Mode::Hendrycks => hendrycks::equal(gold, answer),
        Mode::Prm800k => prm800k::equal(gold, answer),
        Mode::Qwen25 => qwen25::equal(gold, answer),
        Mode::Minerva => minerva::equal(gold, answer),
        Mode::MathVerify => math_verify::equal(gold, answer),
        Mode::Carp => carp::equal(gold, answer),
        Mode::Gsm8k => gsm8k::equal(gold, answer),
        Mode::Mgsm => mgsm::equal(gold, answer),
        Mode::MathOctopus => math_octopus::equal(gold, answer),
    }
}

pub(super) fn extract(response: &str, options: &Options) -> Option<Extracted> {
    match options.mode {
        Mode::Strict => strict::extract(response, options.language),
        Mode::Hendrycks => hendrycks::extract(response),
        Mode::Prm800k => hendrycks::extract(response),
        Mode::Qwen25 => qwen25::extract(response),
        Mode::Minerva => minerva::extract(response),
        Mode::MathVerify => math_verify::extract(response),
        Mode::Carp => carp::extract(response),
        Mode::Gsm8k => gsm8k::extract(response),
        Mode::Mgsm => mgsm::extract(response, options.language),
        Mode::MathOctopus => math_octopus::extract(response),
    }
}
