//! The second stage: judge the replies of a record. No model is asked.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::carp::{Accuracy, Solution};
use super::lm_eval::Task;
use super::options::{self, Length};
use super::trajectory::Form;
use super::{Ending, Record, Reply};
use crate::answers::{self, Language, Mode, Options};

/// The version of the graders: it goes up when any of them may judge a reply differently.
pub const VERSION: u32 = 4;

/// How replies are judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grader {
    /// The rules by which answers are found and compared.
    pub mode: Mode,
    /// The time for one comparison in the strict mode.
    pub budget: Duration,
    /// The rules of an imported task, which take the place of these.
    #[serde(skip)]
    pub task: Option<Arc<Task>>,
}

/// What became of a reply. The denominator of every score is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The answer equals the reference.
    Right,
    /// It does not, or that could not be decided.
    Wrong,
    /// The reply is complete and holds no answer that the rules find.
    NoAnswer,
    /// The reply was cut at the token limit. It does not count as right, whatever it holds.
    Truncated,
    /// The model or its provider refused.
    Refused,
    /// There is no reply.
    Error,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Verdict; 6] = [
        Verdict::Right,
        Verdict::Wrong,
        Verdict::NoAnswer,
        Verdict::Truncated,
        Verdict::Refused,
        Verdict::Error,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Right => "right",
            Verdict::Wrong => "wrong",
            Verdict::NoAnswer => "no-answer",
            Verdict::Truncated => "truncated",
            Verdict::Refused => "refused",
            Verdict::Error => "error",
        }
    }
}

/// The judgement of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grade {
    /// What became of the reply.
    pub verdict: Verdict,
    /// The answer that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The rule that found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where the reply holds these words last, in bytes; none if the rule wrote the answer in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Range<usize>>,
    /// The rule that decided, or why there was nothing to decide.
    pub reason: String,
    /// How far the solution comes, where the expressions of the worked one are annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expressions: Option<Accuracy>,
}

impl Grader {
    /// The rules of a mode, with a second for a comparison: time enough for the verdict not to depend on how busy the
    /// machine is.
    pub fn new(mode: Mode) -> Self {
        Grader { mode, budget: Duration::from_secs(1), task: None }
    }

    /// Which grader this is: grades of one name are reproducible.
    pub fn name(&self) -> String {
        match &self.task {
            Some(task) => format!("lm-eval {} {VERSION}", task.name),
            None => format!("{} {VERSION}", self.mode.name()),
        }
    }

    fn options(&self, language: Option<Language>) -> Options {
        Options { mode: self.mode, budget: self.budget, language }
    }

    /// Judges a reply.
    pub fn grade(&self, reference: &str, language: Option<Language>, reply: &Reply) -> Grade {
        if !reply.options.is_empty() {
            return likeliest_option(reply);
        }
        if let Some(task) = &self.task {
            return task.grade(reference, reply);
        }
        let options = self.options(language);
        // Where a strategy came to its answer by other ways than a text, the text is not looked at.
        let found = match (reply.ending, &reply.trajectory) {
            (Ending::Failed, _) => None,
            (_, Some(trajectory)) => {
                trajectory.answer.clone().map(|answer| (answer, trajectory.rule.clone()))
            }
            _ => answers::extract(&reply.text, &options).map(|found| (found.answer, found.rule.to_string())),
        };
        let (verdict, reason) = match (reply.ending, &found) {
            (Ending::Failed, _) => (Verdict::Error, reply.failure.clone().unwrap_or("no reply".into())),
            (Ending::Refused, _) => (Verdict::Refused, "the model or its provider refused".into()),
            (Ending::Truncated, _) => (Verdict::Truncated, "cut at the token limit".into()),
            (Ending::Complete, None) => {
                let ended = reply.trajectory.as_ref().map(|trajectory| trajectory.end());
                (Verdict::NoAnswer, ended.unwrap_or("no rule finds an answer".into()))
            }
            (Ending::Complete, Some((answer, _))) => {
                let verdict = answers::check(reference, answer, &options);
                (if verdict.is_equal() { Verdict::Right } else { Verdict::Wrong }, verdict.reason.into())
            }
        };
        let span = found.as_ref().filter(|(answer, _)| !answer.is_empty()).and_then(|(answer, _)| {
            let start = reply.text.rfind(answer)?;
            Some(start..start + answer.len())
        });
        let (answer, rule) = found.unzip();
        Grade { verdict, answer, rule, span, reason, expressions: None }
    }

    /// Judges all replies of a record, whatever grades it has.
    pub fn grade_record(&self, record: &mut Record) {
        let grade = |reply: &Reply| {
            let mut grade = self.grade(&record.reference, record.language, reply);
            grade.expressions = record.expressions.as_ref().map(|flow| {
                let lines: Vec<String> = reply.text.lines().map(str::to_string).collect();
                let solution = match &reply.trajectory {
                    Some(trajectory) if trajectory.form == Form::Transcript => Solution::Transcript(&lines),
                    _ => Solution::Text(&reply.text),
                };
                flow.accuracy(solution, grade.verdict == Verdict::Right)
            });
            grade
        };
        record.grades = record.replies.iter().map(grade).collect();
    }

    /// Whether two answers found in replies to one problem are equal, for votes.
    pub(super) fn agree(&self, first: &str, second: &str, language: Option<Language>) -> bool {
        match &self.task {
            Some(_) => first == second,
            None => answers::check(first, second, &self.options(language)).is_equal(),
        }
    }
}

/// The judgement where the likeliest option is the answer.
fn likeliest_option(reply: &Reply) -> Grade {
    let is_right = options::is_right(&reply.options, Length::One);
    let (rule, reason) = match (reply.options.len(), is_right) {
        (1, true) => ("likeliest text", "each token is the likeliest one"),
        (1, false) => ("likeliest text", "another token is likelier"),
        (_, true) => ("likeliest option", "a right option is the likeliest one"),
        (_, false) => ("likeliest option", "a wrong option is the likeliest one"),
    };
    Grade {
        verdict: if is_right { Verdict::Right } else { Verdict::Wrong },
        answer: options::likeliest(&reply.options, Length::One).map(|option| option.label.clone()),
        rule: Some(rule.into()),
        span: None,
        reason: reason.into(),
        expressions: None,
    }
}

/// Judges all records on all cores.
pub fn grade(records: &mut [Record], grader: &Grader) {
    records.par_iter_mut().for_each(|record| grader.grade_record(record));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(reply: &Reply) -> Grade {
        Grader::new(Mode::Strict).grade("1/2", None, reply)
    }

    #[test]
    fn six_things_may_become_of_a_reply() {
        let with = |text: &str, ending| Reply { ending, ..Reply::complete(text) };
        let verdict = |text: &str, ending| judged(&with(text, ending)).verdict;
        assert_eq!(verdict("\\boxed{0.5}", Ending::Complete), Verdict::Right);
        assert_eq!(verdict("\\boxed{0.6}", Ending::Complete), Verdict::Wrong);
        assert_eq!(verdict("I do not know.", Ending::Complete), Verdict::NoAnswer);
        assert_eq!(verdict("", Ending::Complete), Verdict::NoAnswer);
        assert_eq!(verdict("\\boxed{0.5}", Ending::Truncated), Verdict::Truncated);
        assert_eq!(verdict("", Ending::Refused), Verdict::Refused);
        let failed = judged(&Reply { failure: Some("server: why".into()), ..with("", Ending::Failed) });
        assert_eq!((failed.verdict, failed.reason.as_str()), (Verdict::Error, "server: why"));
        // What a truncated reply holds is kept all the same.
        assert_eq!(judged(&with("\\boxed{0.5}", Ending::Truncated)).answer.unwrap(), "0.5");
    }

    #[test]
    fn the_span_is_where_the_answer_stands() {
        let reply = Reply::complete("0.5 is wrong: \\boxed{0.50} no, \\boxed{ 0.5 }.");
        let grade = judged(&reply);
        assert_eq!(&reply.text[grade.span.unwrap()], "0.5");
        assert_eq!(grade.rule.as_deref(), Some("box"));
        // The rule rewrites 1.250 as 1250, which the text does not hold.
        let grade = Grader::new(Mode::Strict).grade(
            "1250",
            Some(Language::De),
            &Reply::complete("Die Antwort lautet 1.250."),
        );
        assert_eq!((grade.verdict, grade.span), (Verdict::Right, None));
    }
}
