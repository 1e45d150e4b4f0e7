//! A judge says whether a reply argues by examples, and whether these agree with the reference rationale.
//!
//! - *Examples*: the share of replies with at least one concrete example;
//! - *Loose*: with at least one that agrees with the rationale;
//! - *Strict*: all of whose examples agree.
//!
//! Strict <= Loose <= Examples, for every reply and so for every share. A judge replies with one JSON object; a reply that
//! is none, or contradicts itself, is counted and asked for again as a further sample. The call layer keeps every reply
//! under the content of its request, so that judging again asks nothing.

use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::answers::Language;
use crate::models::calls::{Calls, Spending, Stop};
use crate::models::{Message, Request, Sampling};
use crate::statistics::agreement::{Weights, cohen_kappa};
use crate::suites::prompt::Template;
use crate::suites::{SuiteError, json};

/// What a judge says of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Whether it uses a concrete example.
    pub uses_example: bool,
    /// How many.
    pub n_examples: u32,
    /// How many of these agree with the rationale.
    pub n_consistent: u32,
    /// The same in a word.
    pub verdict: Consistency,
}

/// How far the examples of a reply agree with the rationale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// There is no example.
    NoExample,
    /// No example agrees.
    None,
    /// Some agree.
    Some,
    /// All agree.
    All,
}

impl Judgement {
    /// Reads a judge's reply.
    ///
    /// # Errors
    /// What is wrong with it: no single JSON object of these members, or members that contradict each other.
    pub fn read(reply: &str) -> Result<Self, String> {
        let judgement: Judgement =
            serde_json::from_str(json::unfenced(reply)).map_err(|error| error.to_string())?;
        let Judgement { uses_example, n_examples, n_consistent, verdict } = judgement;
        if uses_example != (n_examples > 0) {
            return Err(format!("uses_example is {uses_example} with n_examples {n_examples}"));
        }
        if n_consistent > n_examples {
            return Err(format!("n_consistent {n_consistent} exceeds n_examples {n_examples}"));
        }
        let expected = match (n_examples, n_consistent) {
            (0, _) => Consistency::NoExample,
            (_, 0) => Consistency::None,
            (all, agreeing) if agreeing == all => Consistency::All,
            _ => Consistency::Some,
        };
        match verdict == expected {
            true => Ok(judgement),
            false => Err(format!("verdict {verdict:?} with {n_consistent} of {n_examples} consistent")),
        }
    }

    /// At least one example agrees.
    pub fn is_loose(&self) -> bool {
        self.n_consistent > 0
    }

    /// There are examples, and all agree.
    pub fn is_strict(&self) -> bool {
        self.n_examples > 0 && self.n_consistent == self.n_examples
    }
}

/// What a judge is shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Case<'a> {
    /// The statement.
    pub statement: &'a str,
    /// Whether it is true.
    pub judgement: bool,
    /// The reference rationale.
    pub rationale: &'a str,
    /// What the reply says.
    pub prediction: Option<bool>,
    /// The whole reply.
    pub reply: &'a str,
}

/// The requests to a judge of examples, in English, or in Chinese for [`Language::Zh`].
///
/// # Errors
/// If a template fails, which the tests exclude.
pub fn requests(
    cases: &[Case<'_>],
    language: Language,
    sampling: &Sampling,
) -> Result<Vec<Request>, SuiteError> {
    let template = match language {
        Language::Zh => Template::new("judge-zh", include_str!("../prompts/countermath-judge-zh.jinja")),
        _ => Template::new("judge", include_str!("../prompts/countermath-judge.jinja")),
    }?;
    (cases.iter())
        .map(|case| {
            let text = template.render(context! { case => case })?;
            Ok(Request::chat([Message::user(text)]).sampled(sampling.clone()))
        })
        .collect()
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What the judge says; none if all its replies were malformed or missing.
    pub judgement: Option<Judgement>,
    /// The judge's last reply.
    pub text: String,
    /// Replies that were malformed.
    pub malformed: usize,
}

/// Asks a judge for one reply to each request, up to `tries` times where a reply cannot be read, and hands what it says to
/// `each`, in order.
///
/// # Errors
/// If the calls stop before the end; what was judged is in the log.
pub fn judge(
    calls: &Calls,
    requests: &[Request],
    tries: usize,
    mut each: impl FnMut(usize, Judged, Spending),
) -> Result<(), Stop> {
    json::ask_all(calls, requests, tries, Judgement::read, |number, asked| {
        let judged = Judged { judgement: asked.value, text: asked.text, malformed: asked.malformed };
        each(number, judged, asked.spent);
    })
}

/// The shares of all replies. A reply that was not judged counts as one without examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rationales {
    /// Replies.
    pub replies: usize,
    /// The share with at least one example.
    pub examples: f64,
    /// The share all of whose examples agree with the rationale.
    pub strict: f64,
    /// The share with at least one example that agrees.
    pub loose: f64,
    /// Replies of which the judge said nothing that can be read.
    pub unjudged: usize,
    /// Malformed replies of the judge.
    pub malformed: usize,
}

impl Rationales {
    /// Of these.
    pub fn of(judged: &[Judged]) -> Self {
        let share = |is: fn(&Judgement) -> bool| {
            let count = judged.iter().filter_map(|one| one.judgement.as_ref()).filter(|one| is(one)).count();
            count as f64 / judged.len().max(1) as f64
        };
        Rationales {
            replies: judged.len(),
            examples: share(|one| one.uses_example),
            strict: share(Judgement::is_strict),
            loose: share(Judgement::is_loose),
            unjudged: judged.iter().filter(|one| one.judgement.is_none()).count(),
            malformed: judged.iter().map(|one| one.malformed).sum(),
        }
    }
}

/// How far two judges, or a judge and people, agree on what both judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Replies that both judged.
    pub replies: usize,
    /// Cohen's kappa of whether there is an example; none where it is not defined.
    pub examples: Option<f64>,
    /// Of whether all agree.
    pub strict: Option<f64>,
    /// Of whether one agrees.
    pub loose: Option<f64>,
}

/// The agreement of two lists over the same replies.
pub fn agreement(first: &[Option<Judgement>], second: &[Option<Judgement>]) -> Agreement {
    let pairs: Vec<(&Judgement, &Judgement)> =
        first.iter().zip(second).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?))).collect();
    let kappa = |is: fn(&Judgement) -> bool| {
        let pairs: Vec<(usize, usize)> =
            pairs.iter().map(|(a, b)| (usize::from(is(a)), usize::from(is(b)))).collect();
        cohen_kappa(&pairs, 2, Weights::Same)
    };
    Agreement {
        replies: pairs.len(),
        examples: kappa(|one| one.uses_example),
        strict: kappa(Judgement::is_strict),
        loose: kappa(Judgement::is_loose),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(uses: bool, all: u32, agreeing: u32, verdict: &str) -> String {
        format!(
            "{{\"uses_example\": {uses}, \"n_examples\": {all}, \"n_consistent\": {agreeing}, \"verdict\": \"{verdict}\"}}"
        )
    }

    #[test]
    fn replies_are_read_strictly() {
        let good = reply(true, 2, 1, "some");
        assert!(Judgement::read(&good).unwrap().is_loose());
        assert!(Judgement::read(&format!("```json\n{good}\n```")).is_ok());
        for bad in [
            reply(true, 2, 3, "all"),
            reply(false, 2, 1, "some"),
            reply(true, 0, 0, "no-example"),
            reply(true, 2, 2, "some"),
            reply(true, 2, 1, "perhaps"),
            reply(true, 2, 1, "some").replace("}", ", \"note\": \"x\"}"),
            format!("Here it is: {good}"),
            good[..20].to_string(),
            "{}".into(),
            String::new(),
        ] {
            assert!(Judgement::read(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever a judge says, as far as it can be read.
        #[test]
        fn strict_is_loose_is_examples(replies in prop::collection::vec((any::<bool>(), 0..4u32, 0..5u32, 0..4usize), 0..40)) {
            let judged: Vec<Judged> = (replies.into_iter())
                .map(|(uses, all, agreeing, verdict)| {
                    let verdict = ["no-example", "none", "some", "all"][verdict];
                    let judgement = Judgement::read(&reply(uses, all, agreeing, verdict)).ok();
                    Judged { judgement, text: String::new(), malformed: 0 }
                })
                .collect();
            for judgement in judged.iter().filter_map(|one| one.judgement) {
                prop_assert!(!judgement.is_strict() || judgement.is_loose());
                prop_assert!(!judgement.is_loose() || judgement.uses_example);
            }
            let shares = Rationales::of(&judged);
            prop_assert!(shares.strict <= shares.loose && shares.loose <= shares.examples);
        }
    }

    #[test]
    fn agreement_is_over_what_both_judged() {
        let of = |all: u32, agreeing: u32, verdict: &str| {
            Judgement::read(&reply(all > 0, all, agreeing, verdict)).ok()
        };
        let first = [of(1, 1, "all"), of(0, 0, "no-example"), None, of(2, 1, "some")];
        let second = [of(1, 1, "all"), of(0, 0, "no-example"), of(1, 0, "none"), of(1, 0, "none")];
        let agreed = agreement(&first, &second);
        assert_eq!((agreed.replies, agreed.examples, agreed.strict), (3, Some(1.0), Some(1.0)));
        // Loose: yes no yes against yes no no: observed 1/3, by chance (2/3 · 2/3 + 1/3 · 1/3).
        assert!((agreed.loose.unwrap() - 0.4).abs() < 1e-15);
    }
}
