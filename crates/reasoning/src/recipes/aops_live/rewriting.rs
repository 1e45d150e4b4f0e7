//! Rewrite the question, with the longest solution as context, and every solution: by the first model for all threads, by
//! the second too for threads of the benchmark. A rewritten solution ends in a box or in the end-of-proof mark; one that
//! does not after a second try is dropped, and so is one that was cut or refused.

use minijinja::context;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answers::Answered;
use super::pairs::ends_proof;
use super::templates::{Template, Templates};
use super::{Options, Time};
use crate::models::Sampling;
use crate::models::calls::{Calls, Stop};
use crate::recipes::replies::{Fault, ask, boxed};
use crate::recipes::runner::{Fate, Loss, Record, RunError, Runner, Stage, Stored};
use crate::suites::Origin;

/// A question with its solutions, rewritten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rewritten {
    /// The thread.
    pub id: String,
    /// Where the thread stands.
    pub origin: Origin,
    /// The date of the thread.
    pub date: Time,
    /// The part of the archive.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// How difficult it is, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<f64>,
    /// The first post as it stands.
    pub original: String,
    /// The question, rewritten.
    pub question: String,
    /// The solutions, at least one.
    pub solutions: Vec<Solution>,
}

/// A solution, rewritten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Solution {
    /// The number of its post.
    pub post: u64,
    /// The post as it stands.
    pub original: String,
    /// What each model made of it; none where it failed. One or two.
    pub rewrites: Vec<Option<String>>,
}

impl Record for Rewritten {
    fn id(&self) -> &str {
        &self.id
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }
}

const REMINDER_QUESTION: &str = "Your reply is empty. Reply with the rewritten question.";
const REMINDER_SOLUTION: &str = "Your reply does not end as it should. Reply with the whole rewritten solution, and end with the \
                                 final answer in \\boxed{}, or for a proof with $\\blacksquare$.";

pub(super) fn stage(
    runner: &mut Runner<'_>,
    answered: &Stored<Answered>,
    calls: [&Calls; 2],
    templates: &Templates,
    options: &Options,
) -> Result<Stored<Rewritten>, RunError> {
    let settings = json!({
        "models": calls.map(|calls| calls.model().identity()),
        "templates": [templates.text(Template::Question), templates.text(Template::Solution)],
        "max tokens": options.max_tokens,
        "second model": [options.benchmark_from.to_string(), options.benchmark_until.map_or(String::new(), |t| t.to_string())],
    });
    let stage = Stage { name: "rewriting", version: 1, settings };
    let work = Rewriting { calls, templates, sampling: options.sampling() };
    runner.ask(&stage, answered, calls[0], async |answered: Answered| {
        let models = if options.is_for_benchmark(answered.thread.date()) { 2 } else { 1 };
        work.rewrite(answered, models).await
    })
}

struct Rewriting<'a> {
    calls: [&'a Calls; 2],
    templates: &'a Templates,
    sampling: Sampling,
}

impl Rewriting<'_> {
    async fn rewrite(
        &self,
        Answered { thread, answers }: Answered,
        models: usize,
    ) -> Result<Fate<Rewritten>, Stop> {
        let posts: Vec<_> = answers.iter().filter_map(|number| thread.post(*number)).collect();
        let Some(original) = thread.posts.first() else { return Ok(Fate::dropped("no answer", "")) };
        // Of equally long ones the first.
        let longest = posts.iter().rev().max_by_key(|post| post.text.chars().count());
        let context = context! { post => original.text, solution => longest.map_or("", |post| &post.text) };
        let not_empty = |reply: &str| match reply.trim() {
            "" => Err("empty".to_string()),
            text => Ok(text.to_string()),
        };
        let question = match self.ask(0, Template::Question, context, REMINDER_QUESTION, not_empty).await? {
            Ok(question) => question,
            Err(fault) => return Ok(Fate::quarantined(fault.reason, fault.detail)),
        };
        let (mut solutions, mut losses) = (Vec::new(), Vec::new());
        for post in posts {
            let mut rewrites = Vec::with_capacity(models);
            for model in 0..models {
                let context = context! { question => question, solution => post.text };
                let reply = self.ask(model, Template::Solution, context, REMINDER_SOLUTION, ended).await?;
                rewrites.push(match reply {
                    Ok(text) => Some(text),
                    Err(fault) => {
                        let part = format!("post {}, model {}", post.post_number, model + 1);
                        let reason = match fault.reason {
                            "unreadable reply" => "no ending",
                            other => other,
                        };
                        losses.push(Loss::part(part, reason, fault.detail));
                        None
                    }
                });
            }
            if rewrites.iter().any(Option::is_some) {
                solutions.push(Solution { post: post.post_number, original: post.text.clone(), rewrites });
            }
        }
        if solutions.is_empty() {
            return Ok(Fate::dropped("no solution", "").after(losses));
        }
        let rewritten = Rewritten {
            date: thread.date(),
            original: original.text.clone(),
            id: thread.id,
            origin: thread.origin,
            category: thread.category,
            difficulty: thread.difficulty,
            question,
            solutions,
        };
        Ok(Fate { losses, ..Fate::kept(rewritten) })
    }

    async fn ask(
        &self,
        model: usize,
        template: Template,
        context: minijinja::Value,
        reminder: &str,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Result<String, Fault>, Stop> {
        match self.templates.request(template, context, &self.sampling) {
            Ok(request) => ask(self.calls[model], &request, reminder, read).await,
            Err(detail) => Ok(Err(Fault { reason: "template", detail })),
        }
    }
}

/// A solution with an end.
fn ended(reply: &str) -> Result<String, String> {
    let text = reply.trim();
    match boxed(text).is_some() || ends_proof(text) {
        true => Ok(text.to_string()),
        false => Err("neither a closed box nor an end-of-proof mark".into()),
    }
}
