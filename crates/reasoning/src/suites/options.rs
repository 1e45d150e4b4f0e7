//! Multiple choice by likelihood: each option is read behind the prompt, and the likeliest one is the model's answer.
//!
//! With `l` the log-likelihood of an option behind the prompt, three scores are in use, which lm-evaluation-harness calls
//! `acc`, `acc_norm` and `acc_bytes`: the largest `l`; the largest `l` divided by the number of characters (Unicode code points) of
//! the option; and by that of its bytes in UTF-8. What stands between prompt and option (a blank) is read but not counted. Of equal scores the first
//! option is taken.

use serde::{Deserialize, Serialize};

use super::aggregate::{Score, score};
use super::{Ending, Problem, Record, Reply};
use crate::models::calls::Outcome;
use crate::statistics::interval::Share;

/// How likely an option is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptionScore {
    /// Its name.
    pub label: String,
    /// Its text, without the white space before it.
    pub text: String,
    /// The natural logarithm of its probability behind the prompt.
    pub log_likelihood: f64,
    /// Whether each of its tokens is the likeliest one at its place.
    #[serde(default)]
    pub is_likeliest_text: bool,
    /// Whether it is a right answer.
    #[serde(default)]
    pub is_right: bool,
}

/// What log-likelihoods are divided by before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Nothing: `acc`.
    One,
    /// The number of characters: `acc_norm`.
    Characters,
    /// The number of bytes: `acc_bytes`.
    Bytes,
}

impl Length {
    /// All three.
    pub const ALL: [Length; 3] = [Length::One, Length::Characters, Length::Bytes];

    fn of(self, text: &str) -> f64 {
        match self {
            Length::One => 1.0,
            Length::Characters => text.chars().count() as f64,
            Length::Bytes => text.len() as f64,
        }
    }
}

/// The option with the largest log-likelihood for its length, the first of equal ones; `None` of none.
pub fn likeliest(options: &[OptionScore], length: Length) -> Option<&OptionScore> {
    let value = |option: &OptionScore| option.log_likelihood / length.of(&option.text);
    options.iter().reduce(|best, other| if value(other) > value(best) { other } else { best })
}

/// Whether the answer by likelihood is right. A text alone is right if it is what the model would write.
pub fn is_right(options: &[OptionScore], length: Length) -> bool {
    match options {
        [only] => only.is_right && only.is_likeliest_text,
        _ => likeliest(options, length).is_some_and(|option| option.is_right),
    }
}

/// The reply that the likelihoods of the options of a problem are; `None` if one was not asked for because the run had stopped. Where one has failed the
/// reply has.
pub(super) fn reply(problem: &Problem, outcomes: &[Outcome]) -> Option<Reply> {
    let mut options = Vec::with_capacity(outcomes.len());
    let mut failure = None;
    for (choice, outcome) in problem.options.iter().zip(outcomes) {
        let Some(sample) = outcome.sample() else {
            let reply = Reply::of(outcome)?;
            failure.get_or_insert(reply);
            continue;
        };
        let Some(log_likelihood) = sample.log_likelihood() else {
            let message = "rejected: the model gives no log-probabilities".to_string();
            failure.get_or_insert(Reply {
                ending: Ending::Failed,
                failure: Some(message),
                ..Reply::complete("")
            });
            continue;
        };
        options.push(OptionScore {
            label: choice.label.clone(),
            text: choice.text.clone(),
            log_likelihood,
            is_likeliest_text: sample.is_likeliest(),
            is_right: choice.is_right,
        });
    }
    if let Some(failure) = failure {
        return Some(failure);
    }
    let label = likeliest(&options, Length::One).map_or(String::new(), |option| option.label.clone());
    Some(Reply { options, ..Reply::complete(label) })
}

/// The scores by likelihood of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptionScores {
    /// By log-likelihood: `acc` of lm-evaluation-harness.
    pub plain: Score,
    /// By log-likelihood for each character: `acc_norm`.
    pub by_character: Score,
    /// By log-likelihood for each byte: `acc_bytes`.
    pub by_byte: Score,
}

/// The three shares of a run, added up record by record.
#[derive(Clone, Debug, Default)]
pub(super) struct OptionTally {
    shares: [Vec<Share>; 3],
}

impl OptionTally {
    /// Adds a record, if options were scored in it or could not be.
    pub(super) fn add(&mut self, record: &Record) {
        let is_scored = record.replies.iter().any(|reply| !reply.options.is_empty());
        if !is_scored && self.shares[0].is_empty() {
            return;
        }
        for (shares, length) in self.shares.iter_mut().zip(Length::ALL) {
            let right = record.replies.iter().filter(|reply| is_right(&reply.options, length)).count();
            shares.push(Share { right: right as u32, samples: record.replies.len() as u32 });
        }
    }

    /// The scores, if any options were scored; `problems` is the number of all records.
    pub(super) fn scores(&self, problems: usize) -> Option<OptionScores> {
        if self.shares[0].is_empty() {
            return None;
        }
        // Those that failed before the first one was scored count as well.
        let padded = |shares: &[Share]| {
            let missing = problems.saturating_sub(shares.len());
            let mut all = vec![Share { right: 0, samples: 1 }; missing];
            all.extend_from_slice(shares);
            score(&all)
        };
        let [plain, by_character, by_byte] = &self.shares;
        Some(OptionScores {
            plain: padded(plain),
            by_character: padded(by_character),
            by_byte: padded(by_byte),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Failure, FailureKind, Sample, Token};

    fn option(text: &str, log_likelihood: f64, is_right: bool) -> OptionScore {
        OptionScore {
            label: text.into(),
            text: text.into(),
            log_likelihood,
            is_likeliest_text: false,
            is_right,
        }
    }

    #[test]
    fn three_lengths_choose_three_options() {
        // l: -4, -6, -7; by characters -4, -1.5, -1.75; by bytes -4, -1.5, -7/8.
        let options = [option("x", -4.0, true), option("abcd", -6.0, false), option("éééé", -7.0, false)];
        let chosen = Length::ALL.map(|length| likeliest(&options, length).unwrap().text.clone());
        assert_eq!(chosen, ["x", "abcd", "éééé"]);
        assert_eq!(Length::ALL.map(|length| is_right(&options, length)), [true, false, false]);
        let equal = [option("a", -1.0, false), option("b", -1.0, true)];
        assert_eq!(likeliest(&equal, Length::One).unwrap().text, "a");
        assert!(likeliest(&[], Length::One).is_none());
        let mut alone = option("a", -1.0, true);
        assert!(!is_right(std::slice::from_ref(&alone), Length::One));
        alone.is_likeliest_text = true;
        assert!(is_right(&[alone], Length::One));
    }

    #[test]
    fn a_reply_has_all_options_or_the_failure_of_one() {
        let choice = |label: &str, is_right| super::super::Choice {
            label: label.into(),
            text: label.into(),
            continuation: format!(" {label}"),
            is_right,
        };
        let problem = Problem { options: vec![choice("A", false), choice("B", true)], ..Problem::default() };
        let scored = |text: &str, value| {
            let token =
                Token { text: text.into(), log_probability: value, alternatives: vec![(text.into(), value)] };
            Outcome::Answered(Sample { tokens: Some(vec![token]), ..Sample::of(text) })
        };
        let replied = reply(&problem, &[scored(" A", -2.0), scored(" B", -1.0)]).unwrap();
        assert_eq!((replied.text.as_str(), replied.options[1].log_likelihood), ("B", -1.0));
        assert!(replied.options[1].is_likeliest_text && replied.options[1].is_right);
        let failed = Outcome::Failed(Failure::new(FailureKind::Server, "down"));
        let replied = reply(&problem, &[scored(" A", -2.0), failed]).unwrap();
        assert_eq!((replied.ending, replied.options.len()), (Ending::Failed, 0));
        let unknown = reply(&problem, &[scored(" A", -2.0), Outcome::Answered(Sample::of(" B"))]).unwrap();
        assert_eq!(unknown.ending, Ending::Failed);
        let stop = crate::models::calls::Stop::Log("full".into());
        assert!(reply(&problem, &[scored(" A", -2.0), Outcome::Unasked(stop)]).is_none());
    }
}
