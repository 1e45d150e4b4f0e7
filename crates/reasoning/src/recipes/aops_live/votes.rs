//! What is the answer? The two rewrites of each solution are compared with the box of the original post and with each
//! other, and the posts vote.
//!
//! Post by post: if the original post has a box (the last, closed), every rewrite must have a box whose content is equal
//! to it, or a part of its text; else the post is rejected. The first post of this kind that passes decides alone. A post
//! without a box of its own votes for the answer of its first rewrite if there are two rewrites and their boxes are equal.
//! Votes are counted by classes of equal answers, each by its first member; a tie decides nothing. An answer with
//! `\text{` in it is not used.
//!
//! Equality is that of a [`Mode`]. Answers go through its extraction inside a box first: raw ones may be read as something
//! else, such as `2^{2022}` as 2 by a rule that looks for the last number.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tags::{AnswerType, level};
use super::{Rewritten, Solution, Time};
use crate::answers::{Mode, Options, check, extract};
use crate::recipes::replies::boxed;
use crate::recipes::runner::{Fate, Loss, Record};
use crate::suites::Origin;

/// A question of the benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The thread.
    pub id: String,
    /// Where the thread stands.
    pub origin: Origin,
    /// The date of the thread.
    pub date: Time,
    /// Its month: `2024-01`.
    pub month: String,
    /// The question.
    pub question: String,
    /// The answer, as it stands in a box.
    pub answer: String,
    /// By its form.
    pub answer_type: AnswerType,
    /// Whether the answer is 0 or 1, which is easily guessed.
    pub zero_or_one: bool,
    /// How difficult it is; -1: unknown.
    pub difficulty: f64,
    /// By the forum: Middle School, High School, High School Olympiad, College, Others.
    pub level: String,
    /// What decided.
    pub decided_by: Decider,
    /// The posts that agree with the answer.
    pub posts: Vec<u64>,
}

/// What decided on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// The box of an original post.
    OriginalBox,
    /// The vote of posts.
    Vote,
}

impl Record for Item {
    fn id(&self) -> &str {
        &self.id
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// The answer of a question, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer with what decided and the posts that agree, or the reason why there is none.
    pub answer: Result<(String, Decider, Vec<u64>), &'static str>,
    /// The posts that were rejected, with the reason.
    pub rejected: Vec<(u64, &'static str)>,
}

/// Long enough for verdicts not to depend on how busy the machine is.
const BUDGET: Duration = Duration::from_secs(2);

/// Decides on the answer by the solutions of a question.
pub fn decide(solutions: &[Solution], mode: Mode) -> Decision {
    let options = Options { budget: BUDGET, ..Options::of(mode) };
    // Each answer goes through the extraction once; most answers are compared with the same text.
    let wrapped = RefCell::new(HashMap::new());
    let is_equal = |a: &str, b: &str| {
        let read = |text: &str| {
            let mut known = wrapped.borrow_mut();
            known.entry(text.to_string()).or_insert_with(|| in_box(text, &options)).clone()
        };
        a == b || check(&read(a), &read(b), &options).is_equal()
    };
    let mut rejected = Vec::new();
    // Classes: the answer, and the posts that vote for it.
    let mut classes: Vec<(&str, Vec<u64>)> = Vec::new();
    for solution in solutions {
        let answers: Vec<Option<&str>> =
            solution.rewrites.iter().map(|rewrite| boxed(rewrite.as_deref().unwrap_or_default())).collect();
        if let Some(original) = boxed(&solution.original) {
            let agrees = |answer: &Option<&str>| {
                answer.is_some_and(|answer| original.contains(answer) || is_equal(original, answer))
            };
            if answers.is_empty() || !answers.iter().all(agrees) {
                rejected.push((solution.post, "against the original box"));
                continue;
            }
            return Decision { answer: used(original, Decider::OriginalBox, vec![solution.post]), rejected };
        }
        match answers.as_slice() {
            [Some(first), Some(second)] if is_equal(first, second) => {
                match classes.iter_mut().find(|(known, _)| is_equal(known, first)) {
                    Some((_, posts)) => posts.push(solution.post),
                    None => classes.push((first, vec![solution.post])),
                }
            }
            [Some(_), Some(_)] => rejected.push((solution.post, "rewrites disagree")),
            _ => rejected.push((solution.post, "fewer than two boxes")),
        }
    }
    let most = classes.iter().map(|(_, posts)| posts.len()).max().unwrap_or(0);
    let mut best = classes.into_iter().filter(|(_, posts)| posts.len() == most);
    let answer = match (best.next(), best.next()) {
        (None, _) => Err("no vote"),
        (Some(_), Some(_)) => Err("tie"),
        (Some((answer, posts)), None) => used(answer, Decider::Vote, posts),
    };
    Decision { answer, rejected }
}

fn used(
    answer: &str,
    decider: Decider,
    posts: Vec<u64>,
) -> Result<(String, Decider, Vec<u64>), &'static str> {
    match answer.contains("\\text{") {
        true => Err("text in the answer"),
        false => Ok((answer.to_string(), decider, posts)),
    }
}

/// An answer as the rules of a mode find it in a box; as it is, if they find nothing.
pub(crate) fn in_box(answer: &str, options: &Options) -> String {
    extract(&format!("\\boxed{{{answer}}}"), options).map_or(answer.to_string(), |found| found.answer)
}

/// The question with its answer and tags.
pub(super) fn item(candidate: Rewritten, mode: Mode) -> Fate<Item> {
    let Decision { answer, rejected } = decide(&candidate.solutions, mode);
    let losses =
        rejected.into_iter().map(|(post, reason)| Loss::part(format!("post {post}"), reason, "")).collect();
    let (answer, decided_by, posts) = match answer {
        Ok(decided) => decided,
        Err(reason) => return Fate::dropped(reason, "").after(losses),
    };
    let item = Item {
        month: candidate.date.month(),
        answer_type: AnswerType::of(&answer),
        zero_or_one: matches!(answer.trim_matches(['$', ' ']), "0" | "1"),
        difficulty: candidate.difficulty.unwrap_or(-1.0),
        level: level(&candidate.category).into(),
        id: candidate.id,
        origin: candidate.origin,
        date: candidate.date,
        question: candidate.question,
        answer,
        decided_by,
        posts,
    };
    Fate { losses, ..Fate::kept(item) }
}
