//! Pairs of a question and a solution: whether it is a proof, what kind of answer it has, and the split by its date.

use serde::{Deserialize, Serialize};

use super::tags::{AnswerType, Category};
use super::{Options, Rewritten, Time};
use crate::decontamination::Decontaminator;
use crate::recipes::replies::boxed;
use crate::recipes::runner::{Fate, Loss, Record};
use crate::suites::Origin;

/// A question with one solution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The thread and the number of the post: `17#3`.
    pub id: String,
    /// Where the thread stands.
    pub origin: Origin,
    /// The thread.
    pub thread: String,
    /// The number of the post.
    pub post: u64,
    /// The date of the thread.
    pub date: Time,
    /// By its date.
    pub split: Split,
    /// The question, rewritten.
    pub question: String,
    /// The first post as it stands.
    pub original: String,
    /// The solution, rewritten.
    pub solution: String,
    /// The content of its last box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether it is a proof.
    pub proof: bool,
    /// What kind of answer it is; none without a box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
}

/// What a pair is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Before the validation data.
    Training,
    /// Between training and test.
    Validation,
    /// The newest.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 3] = [Split::Training, Split::Validation, Split::Test];

    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Split::Training => "training",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The split of a date. A moment at which a split begins belongs to it.
    pub fn of(date: Time, options: &Options) -> Split {
        if date >= options.test_from {
            Split::Test
        } else if date >= options.validation_from {
            Split::Validation
        } else {
            Split::Training
        }
    }
}

impl Record for Pair {
    fn id(&self) -> &str {
        &self.id
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// What is compared with benchmarks: the rewritten question and the original post, a line break between them.
pub(super) fn content(question: &str, original: &str) -> String {
    format!("{question}\n{original}")
}

/// A pair for each solution of the first model, unless `engine` finds the question.
pub fn pairs_of(rewritten: Rewritten, engine: Option<&Decontaminator>, options: &Options) -> Fate<Pair> {
    let content = content(&rewritten.question, &rewritten.original);
    if let Some(finding) = engine.and_then(|engine| engine.find(&content)) {
        return Fate::dropped(finding.reason, finding.evidence);
    }
    let (mut kept, mut losses) = (Vec::new(), Vec::new());
    let asks_proof = asks_proof(&rewritten.question);
    for solution in rewritten.solutions {
        let part = format!("post {}", solution.post);
        let Some(text) = solution.rewrites.into_iter().next().flatten() else {
            losses.push(Loss::part(part, "not rewritten by the first model", ""));
            continue;
        };
        if options.drop_links && (has_link(&text) || has_link(&solution.original)) {
            losses.push(Loss::part(part, "link", ""));
            continue;
        }
        let answer = boxed(&text).map(str::to_string);
        kept.push(Pair {
            id: format!("{}#{}", rewritten.id, solution.post),
            origin: rewritten.origin.clone(),
            thread: rewritten.id.clone(),
            post: solution.post,
            date: rewritten.date,
            split: Split::of(rewritten.date, options),
            question: rewritten.question.clone(),
            original: rewritten.original.clone(),
            proof: asks_proof || ends_proof(&text),
            category: answer.as_deref().map(|answer| AnswerType::of(answer).category()),
            solution: text,
            answer,
        });
    }
    match kept.is_empty() {
        true => Fate::dropped("no solution", "").after(losses),
        false => Fate { kept, losses },
    }
}

/// Whether a question asks for a proof.
pub(super) fn asks_proof(question: &str) -> bool {
    let lower = question.to_lowercase();
    lower.contains("prove ") || lower.contains("show that")
}

/// Whether a solution holds the mark that ends proofs.
pub(super) fn ends_proof(solution: &str) -> bool {
    const MARKS: [&str; 9] = ["\\blacksquare", "\\square", "\\qed", "\\Box", "Q.E.D", "QED", "∎", "■", "□"];
    MARKS.iter().any(|mark| solution.contains(mark))
}

fn has_link(text: &str) -> bool {
    ["http://", "https://", "www.", "[url", "\\href"].iter().any(|sign| text.contains(sign))
}
