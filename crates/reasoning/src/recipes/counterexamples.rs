//! Training data for proofs by counterexample (Li et al., 2025): from a corpus of theorem-proof pairs, those that work by an
//! example or a counterexample.
//!
//! 1. [`find`]: a rule stage, points for phrases; no model.
//! 2. [`select`]: a model says whether the proof works so, and writes statement and rationale out in full. Optional.
//! 3. [`export`]: conversations for supervised fine-tuning, with token counts; what exceeds the limit is flagged.
//!
//! The published corpus, labelling model and prompts are not known; phrases and prompt are this project's own.

use std::sync::LazyLock;

use minijinja::context;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::answers::pattern;
use crate::models::calls::{Calls, Spending, Stop};
use crate::models::{Message, Request, Sampling};
use crate::suites::json;
use crate::suites::{SuiteError, Template, tokens};

/// A theorem with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its name.
    pub id: String,
    /// The theorem.
    pub statement: String,
    /// The proof.
    pub proof: String,
}

/// What the rules find in a proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The points; a proof with [`THRESHOLD`] or more is taken.
    pub points: i32,
    /// The names of the rules that gave or took points.
    pub rules: Vec<&'static str>,
}

/// The points from which a proof is taken.
pub const THRESHOLD: i32 = 3;

/// A rule: its name, the points that it gives once however often it applies, and the phrase.
struct Rule {
    name: &'static str,
    points: i32,
    phrase: Regex,
}

/// Rules that read the proof. A named example (1) and a property that fails (2) make a counterexample; the word itself
/// (3) does, unless it is a minimal one, or none exists.
static OF_PROOF: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        ("the word counterexample", 3, r"counter[- ]?examples?|反例"),
        (
            "minimal counterexample",
            -4,
            r"(?:minimal|minimum|smallest|least|first) (?:possible )?counter[- ]?example|最小反例",
        ),
        (
            "no counterexample",
            -4,
            r"(?:\bno|cannot be (?:a|any)|without|there (?:is|are) no|rules? out (?:any|every|a)|excludes?) (?:such )?counter[- ]?example|不存在反例|没有反例",
        ),
        (
            "an assumed counterexample",
            -4,
            r"(?:suppose|assume|assuming|let)\b[^.]{0,60}\bcounter[- ]?example|(?:if|were) (?:there )?(?:were |was |is )?(?:a|any) counter[- ]?example",
        ),
        (
            "refutes",
            2,
            r"\b(?:disproves?|refutes?|disproved|refuted|contradicts? the (?:claim|statement|converse))\b|与命题矛盾",
        ),
        (
            "a named example",
            1,
            r"\b(?:consider|take|let|define|put|set)\b[^.]{0,40}\b(?:the )?(?:function|sequence|series|set|space|subspace|matrix|matrices|ring|group|field|ideal|map|operator|graph|metric|topology|measure|random variable|polynomial|numbers?|integers?|interval|points?)\b|\b(?:take|let|consider|choose|put)\b[^.]{0,25}=|(?:^|[.:] )(?:take|consider) (?:an?|the|two|three)\b|\bfor (?:example|instance)\b|例如|考虑|取",
        ),
        (
            "fails for it",
            2,
            r"\b(?:does|do|did) not hold (?:for|in|at|here)|\bfails? (?:for|at|in|here|to (?:be|converge|hold|have|commute|satisfy))|\bbut\b[^.]{0,50}\b(?:not|no|neither|fails?|never|diverges|cannot)\b|\b(?:yet|whereas|while|although|though|however)\b[^.]{0,50}\b(?:is|are|does|do|has|have|can) (?:not|no)\b|\bis not (?:even )?(?:continuous|differentiable|closed|open|compact|connected|complete|normal|prime|maximal|cyclic|abelian|commutative|integrable|bounded|convergent|uniform|measurable|invertible|symmetric|transitive|injective|surjective|a (?:ring|group|field|subspace|basis|norm|metric|topology))|\b(?:so|hence|thus|therefore)\b[^.]{0,60}\b(?:is|are) not\b|不成立|但不|却不|而不",
        ),
        (
            "the claim is false",
            2,
            r"\b(?:statement|claim|converse|implication|assertion|conjecture|proposition)\b[^.]{0,30}\b(?:is|are) (?:false|not true|wrong|not valid)|\b(?:statement|claim|converse|implication|assertion|conjecture|proposition) (?:itself )?fails?\b|\bso (?:it is|this is) (?:false|not true)|\bnot true in general|\bfalse in general|命题(?:为假|不成立|错误)",
        ),
        (
            "a contradiction",
            -2,
            r"\b(?:a contradiction|contradicting|this contradicts|which contradicts|absurd|which is impossible|by contradiction)\b|矛盾",
        ),
        (
            "for all",
            -1,
            r"\b(?:arbitrary|by induction|induction hypothesis|for every|for all|let [^.]{1,20} be (?:an? )?(?:any|arbitrary))\b|归纳",
        ),
    ])
});

/// Rules that read the statement.
static OF_STATEMENT: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (
            "denies a general claim",
            1,
            r"\bnot (?:every|all|each|necessarily|always|in general)\b|\bneed not\b|\bdoes not (?:imply|follow|have to)|\bmay fail\b|\bconverse\b|未必|不一定|反之",
        ),
        (
            "an exception exists",
            1,
            r"\bthere (?:exists?|is|are) (?:an? |some )?[^.]{0,80}\b(?:not|no|neither|without|but)\b|存在[^。]*(?:不|非)",
        ),
    ])
});

fn rules(rules: &[(&'static str, i32, &str)]) -> Vec<Rule> {
    let rule = |(name, points, phrase): &(&'static str, i32, &str)| Rule {
        name,
        points: *points,
        phrase: pattern(&format!("(?i){phrase}")),
    };
    rules.iter().map(rule).collect()
}

/// The rule stage.
pub fn find(proof: &Proof) -> Finding {
    let mut finding = Finding::default();
    for (rules, text) in [(&*OF_STATEMENT, &proof.statement), (&*OF_PROOF, &proof.proof)] {
        for rule in rules.iter().filter(|rule| rule.phrase.is_match(text)) {
            finding.points += rule.points;
            finding.rules.push(rule.name);
        }
    }
    finding
}

/// What a model makes of a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Whether the proof works by an example or a counterexample.
    pub by_counterexample: bool,
    /// The statement, complete and self-contained; empty if the proof is not taken.
    pub statement: String,
    /// The rationale, complete and self-contained; empty if the proof is not taken.
    pub rationale: String,
}

impl Selection {
    /// Reads a model's reply.
    ///
    /// # Errors
    /// If it is no single JSON object of these members, or takes a proof without writing it out.
    pub fn read(reply: &str) -> Result<Self, String> {
        let selection: Selection =
            serde_json::from_str(json::unfenced(reply)).map_err(|error| error.to_string())?;
        let is_empty = selection.statement.trim().is_empty() || selection.rationale.trim().is_empty();
        match selection.by_counterexample && is_empty {
            true => Err("statement or rationale is empty".into()),
            false => Ok(selection),
        }
    }
}

/// What became of a proof in the model stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// What the model makes of it; none if no reply could be read.
    pub selection: Option<Selection>,
    /// Replies that were malformed.
    pub malformed: usize,
}

/// The requests of the model stage.
///
/// # Errors
/// If the template fails, which the tests exclude.
pub fn requests(proofs: &[Proof], sampling: &Sampling) -> Result<Vec<Request>, SuiteError> {
    let template = Template::new("counterexamples", include_str!("../suites/prompts/counterexamples.jinja"))?;
    (proofs.iter())
        .map(|proof| {
            let text = template.render(context! { statement => proof.statement, proof => proof.proof })?;
            Ok(Request::chat([Message::user(text)]).sampled(sampling.clone()))
        })
        .collect()
}

/// The model stage: one reply to each request, asked for again up to `tries` times where it cannot be read; what comes out
/// is handed to `each` in order.
///
/// # Errors
/// If the calls stop before the end; what was answered is in the log.
pub fn select(
    calls: &Calls,
    requests: &[Request],
    tries: usize,
    mut each: impl FnMut(usize, Selected, Spending),
) -> Result<(), Stop> {
    json::ask_all(calls, requests, tries, Selection::read, |number, asked| {
        let selected = Selected { selection: asked.value, malformed: asked.malformed };
        each(number, selected, asked.spent);
    })
}

/// A record for supervised fine-tuning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The proof that it comes from.
    pub id: String,
    /// The statement.
    pub statement: String,
    /// Why it holds or not.
    pub rationale: String,
    /// The tokens of both.
    pub tokens: usize,
    /// Whether these exceed the limit, so that training would cut them.
    pub too_long: bool,
}

impl Example {
    /// The conversation that is trained on: the statement is asked, the rationale is the reply.
    pub fn conversation(&self) -> serde_json::Value {
        serde_json::json!({"messages": [
            {"role": "user", "content": format!("{INSTRUCTION}\n\n{}", self.statement)},
            {"role": "assistant", "content": self.rationale},
        ]})
    }
}

const INSTRUCTION: &str = "Settle the following statement by an example or a counterexample.";

/// Records with token counts by `count`, flagged where these exceed `limit`.
pub fn export(
    records: impl IntoIterator<Item = (String, String, String)>,
    limit: usize,
    count: impl Fn(&str) -> usize,
) -> Vec<Example> {
    (records.into_iter())
        .map(|(id, statement, rationale)| {
            let tokens = count(INSTRUCTION) + count(&statement) + count(&rationale);
            Example { id, statement, rationale, tokens, too_long: tokens > limit }
        })
        .collect()
}

/// About how many tokens a text has: an estimate for byte-pair vocabularies of 100,000 entries. Where the limit decides,
/// count with the tokenizer of the model.
pub fn estimated_tokens(text: &str) -> usize {
    usize::try_from(tokens(text)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(statement: &str, proof: &str) -> i32 {
        find(&Proof { id: "p".into(), statement: statement.into(), proof: proof.into() }).points
    }

    #[test]
    fn an_example_with_a_failure_is_taken_and_a_minimal_counterexample_is_not() {
        assert!(
            points(
                "Not every continuous function is differentiable.",
                "Consider the function f(x) = |x|. It is continuous, but not differentiable at 0."
            ) >= THRESHOLD
        );
        assert!(points("The converse is false.", "A counterexample is the harmonic series.") >= THRESHOLD);
        assert!(
            points(
                "Every n > 1 has a prime factor.",
                "Let n be the smallest counterexample. Then n is not prime, so n = ab, a contradiction."
            ) < THRESHOLD
        );
        assert!(
            points(
                "f has a zero.",
                "Consider the function g(x) = f(x) - x. It is continuous, so it has a zero."
            ) < THRESHOLD
        );
        assert!(points("连续函数未必可导。", "考虑 f(x)=|x|，它在 0 处连续但不可导。") >= THRESHOLD);
        assert_eq!(
            find(&Proof { id: String::new(), statement: String::new(), proof: String::new() }),
            Finding::default()
        );
    }

    #[test]
    fn records_are_counted_and_flagged() {
        let record = |id: &str, words: usize| (id.to_string(), "S".to_string(), "word ".repeat(words));
        let examples = export([record("a", 10), record("b", 2000)], 1024, estimated_tokens);
        assert_eq!(examples.iter().map(|example| example.too_long).collect::<Vec<_>>(), [false, true]);
        assert_eq!(examples[0].tokens, estimated_tokens(INSTRUCTION) + 1 + 10);
        assert_eq!(examples[0].conversation()["messages"][1]["role"], "assistant");
    }

    #[test]
    fn selections_are_read_strictly() {
        let reply = |taken: bool, statement: &str| {
            format!(
                "{{\"by_counterexample\": {taken}, \"statement\": \"{statement}\", \"rationale\": \"r\"}}"
            )
        };
        assert!(Selection::read(&reply(true, "s")).unwrap().by_counterexample);
        assert!(!Selection::read(&reply(false, "")).unwrap().by_counterexample);
        assert!(Selection::read(&reply(true, " ")).is_err());
        assert!(Selection::read("yes").is_err());
    }
}
