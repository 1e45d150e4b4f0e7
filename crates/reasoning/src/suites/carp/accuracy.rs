//! Expression accuracy: the share of the target expressions that a solution reaches.
//!
//! A right answer counts one. Otherwise the targets before the answer are looked for among the expressions of the
//! solution, the last first; a target that is found brings all its ancestors in the graph with it, given expressions
//! excepted. Edges of the label 提取因式参考 (a hint which factor to take) do not lead back. Candidates that repeat what is
//! given, or cannot be read, do not count.
//!
//! The public scorer returns a pair where its callers expect a number, and compares floating-point numbers to tell the
//! last failure; here the counts are integers.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use mathesis_symbolic::formula::{Formula, NamedConstant};
use regex::Regex;

use super::{ExpressionFlow, Link, Record};
use crate::answers::carp::{is_same, read};
use crate::answers::pattern;
use crate::answers::{Mode, Options, check};

/// A solution to be scored.
#[derive(Clone, Copy, Debug)]
pub enum Solution<'a> {
    /// Prose with expressions between dollar signs.
    Text(&'a str),
    /// The lines of a transcript: `Action: tool("...")`, `Output: ...`, `Final Answer: ...`.
    Transcript(&'a [String]),
}

/// How far a solution comes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Accuracy {
    /// Whether the answer is right.
    pub is_right: bool,
    /// How many expressions are reached, the given ones not counted.
    pub reached: usize,
    /// How many there are.
    pub targets: usize,
}

/// Where a wrong solution fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Before the first expression.
    First,
    /// In between.
    Middle,
    /// At the answer alone.
    Last,
}

impl Accuracy {
    /// The share that is reached; one for a right answer.
    pub fn value(&self) -> f64 {
        if self.is_right { 1.0 } else { self.reached as f64 / self.targets.max(1) as f64 }
    }

    /// Where it fails; `None` for a right answer.
    pub fn failure(&self) -> Option<Failure> {
        match self.reached {
            _ if self.is_right => None,
            0 => Some(Failure::First),
            reached if reached + 1 == self.targets => Some(Failure::Last),
            _ => Some(Failure::Middle),
        }
    }
}

/// How many solutions are right, and where the others fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failures {
    /// Right answers.
    pub right: usize,
    /// [`Failure::First`].
    pub first: usize,
    /// [`Failure::Middle`].
    pub middle: usize,
    /// [`Failure::Last`].
    pub last: usize,
}

impl Failures {
    /// Counted over solutions.
    pub fn of<'a>(scores: impl IntoIterator<Item = &'a Accuracy>) -> Self {
        let mut counts = Failures::default();
        for score in scores {
            *match score.failure() {
                None => &mut counts.right,
                Some(Failure::First) => &mut counts.first,
                Some(Failure::Middle) => &mut counts.middle,
                Some(Failure::Last) => &mut counts.last,
            } += 1;
        }
        counts
    }
}

/// Score a solution with its answer.
pub fn expression_accuracy(record: &Record, solution: Solution<'_>, answer: &str) -> Accuracy {
    let is_right = check(&record.answer, answer, &Options::of(Mode::Carp)).is_equal();
    record.flow().accuracy(solution, is_right)
}

/// Scores over graded replies.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ExpressionScores {
    /// The mean expression accuracy.
    pub accuracy: f64,
    /// Right answers, and where the others fail.
    pub failures: Failures,
}

impl ExpressionScores {
    /// Over the replies that have such a score; `None` where none has.
    pub fn of(scores: &[Accuracy]) -> Option<Self> {
        let total: f64 = scores.iter().map(|score| score.value()).sum();
        (!scores.is_empty()).then(|| ExpressionScores {
            accuracy: total / scores.len() as f64,
            failures: Failures::of(scores),
        })
    }
}

impl Failures {
    /// The shares of the first, middle and last failures among wrong answers; zero where there is none.
    pub fn shares(&self) -> [f64; 3] {
        let wrong = (self.first + self.middle + self.last).max(1) as f64;
        [self.first, self.middle, self.last].map(|count| count as f64 / wrong)
    }
}

impl ExpressionFlow {
    /// Scores a solution whose answer has been judged.
    pub fn accuracy(&self, solution: Solution<'_>, is_right: bool) -> Accuracy {
        let targets = self.targets.len();
        match is_right {
            true => Accuracy { is_right, reached: targets, targets },
            false => Accuracy { is_right, reached: self.reached(solution), targets },
        }
    }

    /// How many expressions a solution with a wrong answer reaches.
    fn reached(&self, solution: Solution<'_>) -> usize {
        let graph = Ancestry::of(&self.links);
        let given: Vec<Expression> = graph.given.iter().map(|text| Expression::of(text)).collect();
        let candidates: Vec<Expression> = expressions(solution)
            .iter()
            .map(|text| Expression::of(text))
            .filter(|candidate| {
                candidate.formula.is_some()
                    && !given.iter().any(|g| g.text == candidate.text || g.formula == candidate.formula)
            })
            .collect();
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        if let Some((_, before)) = self.targets.split_last() {
            for target in before.iter().rev().filter(|target| !target.is_empty()) {
                if reached.contains(target.as_str()) {
                    continue;
                }
                let wanted = Expression::of(target);
                if candidates.iter().any(|candidate| candidate.is_same(&wanted)) {
                    reached.insert(target);
                    graph.add_ancestors(target, &mut reached);
                }
            }
        }
        reached.len()
    }
}

/// An expression as text without blanks and, if it can be read, as a formula.
struct Expression {
    text: String,
    formula: Option<Formula>,
}

impl Expression {
    fn of(text: &str) -> Self {
        let formula = read(text).map(|formula| {
            formula.replace(&|part| match part {
                Formula::Symbol(name) if name == "i" => Some(Formula::Constant(NamedConstant::I)),
                Formula::Symbol(name) if name == "pi" && text.contains("\\pi") => {
                    Some(Formula::Constant(NamedConstant::Pi))
                }
                _ => None,
            })
        });
        Expression { text: text.replace(' ', ""), formula }
    }

    fn is_same(&self, other: &Expression) -> bool {
        self.text == other.text
            || match (&self.formula, &other.formula) {
                (Some(a), Some(b)) => is_same(a, b),
                _ => false,
            }
    }
}

/// What leads to what, without hints and given nodes.
struct Ancestry<'a> {
    links: Vec<(&'a str, &'a str)>,
    /// Given nodes that are expressions.
    given: Vec<&'a str>,
}

impl<'a> Ancestry<'a> {
    fn of(links: &'a [Link]) -> Self {
        const HINT: &str = "提取因式参考";
        let links: Vec<_> = links.iter().filter(|link| link.rel != HINT).collect();
        let targets: BTreeSet<&str> = links.iter().map(|link| link.target.as_str()).collect();
        let sources: BTreeSet<&str> = links.iter().map(|link| link.source.as_str()).collect();
        let given: BTreeSet<&str> = sources.difference(&targets).copied().collect();
        let descriptions: BTreeSet<&str> = links
            .iter()
            .filter(|link| link.rel.contains("描述") && link.rel != "被描述")
            .map(|link| link.source.as_str())
            .collect();
        Ancestry {
            links: links
                .iter()
                .map(|link| (link.source.as_str(), link.target.as_str()))
                .filter(|(source, _)| !given.contains(source))
                .collect(),
            given: given.difference(&descriptions).copied().collect(),
        }
    }

    fn add_ancestors(&self, node: &str, found: &mut BTreeSet<&'a str>) {
        for (source, target) in &self.links {
            if *target == node && found.insert(source) {
                self.add_ancestors(source, found);
            }
        }
    }
}

/// The expressions in a solution.
fn expressions(solution: Solution<'_>) -> Vec<String> {
    match solution {
        Solution::Text(text) => between_dollars(text),
        Solution::Transcript(lines) => {
            let mut found: Vec<String> = Vec::new();
            for line in lines {
                let pieces = match line.strip_prefix("Action:") {
                    Some(action) => quoted(action),
                    None => {
                        let text = line.replace("Output: ", "").replace("Final Answer: ", "");
                        let text = text.trim();
                        if text.starts_with(['[', '{']) {
                            quoted(text)
                        } else if text.contains('$') {
                            between_dollars(text)
                        } else {
                            vec![text.to_string()]
                        }
                    }
                };
                for piece in pieces {
                    let parts = piece.split(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c));
                    let parts = parts.map(|part| part.replace('"', "").trim().to_string());
                    found.extend(parts.filter(|part| !part.is_empty()));
                }
            }
            found
        }
    }
}

/// What stands between dollar signs; of a chain of more than two equals signs its first and last sides.
fn between_dollars(text: &str) -> Vec<String> {
    let inside = text.split('$').collect::<Vec<_>>();
    // Every second piece, as long as it is closed by another sign.
    let count = (inside.len() - 1) / 2;
    let pieces = inside.iter().skip(1).step_by(2).take(count);
    pieces
        .filter(|piece| !piece.contains('\n'))
        .map(|piece| {
            let sides: Vec<&str> = piece.split('=').collect();
            let text = match sides.as_slice() {
                [first, _, .., last] => format!("{first} = {last}"),
                _ => (*piece).to_string(),
            };
            text.trim_matches([' ', '=', '，', '。']).to_string()
        })
        .collect()
}

/// The quoted texts of a literal; keys of dictionaries are left out.
fn quoted(text: &str) -> Vec<String> {
    static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#""([^"]*)"(\s*:)?|'([^']*)'(\s*:)?"#));
    let found = QUOTED.captures_iter(text).filter(|c| c.get(2).is_none() && c.get(4).is_none());
    found.filter_map(|c| c.get(1).or(c.get(3)).map(|text| text.as_str().to_string())).collect()
}
