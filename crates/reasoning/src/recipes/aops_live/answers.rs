//! Which posts answer the question? A reply ends with JSON that names users and numbers of posts. A named post that is not
//! there, or that another user wrote, is dropped; a thread of which no answer is left, too.

use minijinja::context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::templates::{Template, Templates};
use super::{Options, Thread};
use crate::models::calls::Calls;
use crate::recipes::replies::{ask, object};
use crate::recipes::runner::{Fate, Loss, Record, RunError, Runner, Stage, Stored};
use crate::recipes::threads::Post;
use crate::suites::Origin;

const REMINDER: &str = "Your reply cannot be read. Give the answers as JSON between fences, in the form \
                        {\"answers\": [{\"user\": \"...\", \"post_number\": 3}]}, and nothing behind it.";

/// A thread and the posts that answer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) thread: Thread,
    /// Numbers of posts, in the order of the reply.
    pub(super) answers: Vec<u64>,
}

impl Record for Answered {
    fn id(&self) -> &str {
        &self.thread.id
    }

    fn origin(&self) -> &Origin {
        &self.thread.origin
    }
}

pub(super) fn stage(
    runner: &mut Runner<'_>,
    questions: &Stored<Thread>,
    calls: &Calls,
    templates: &Templates,
    options: &Options,
) -> Result<Stored<Answered>, RunError> {
    let settings = json!({
        "model": calls.model().identity(),
        "template": templates.text(Template::Answers),
        "max tokens": options.max_tokens,
    });
    let stage = Stage { name: "answers", version: 1, settings };
    let sampling = options.sampling();
    runner.ask(&stage, questions, calls, async |thread: Thread| {
        // A user who is gone is there as none: what is left out, a template does not know.
        let post =
            |post: &Post| context! { post_number => post.post_number, user => post.user, text => post.text };
        let posts: Vec<_> = thread.posts.iter().map(post).collect();
        let values = context! { posts => posts, examples => templates.examples.topic };
        let request = match templates.request(Template::Answers, values, &sampling) {
            Ok(request) => request,
            Err(message) => return Ok(Fate::quarantined("template", message)),
        };
        Ok(match ask(calls, &request, REMINDER, named).await? {
            Ok(named) => checked(thread, named),
            Err(fault) => Fate::quarantined(fault.reason, fault.detail),
        })
    })
}

/// A post as the model names it; none where it names no user or no number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    user: Option<String>,
    post_number: Option<u64>,
}

fn named(reply: &str) -> Result<Vec<Named>, String> {
    let object = object(reply)?;
    let Some(Value::Array(answers)) = object.get("answers") else {
        return Err("no list `answers`".into());
    };
    let answer = |answer: &Value| {
        let fields = answer.as_object().ok_or("an answer is no object")?;
        let post_number = match fields.get("post_number") {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let user = match fields.get("user") {
            Some(Value::String(user)) if !user.is_empty() => Some(user.clone()),
            Some(Value::Number(user)) => Some(user.to_string()),
            _ => None,
        };
        Ok(Named { user, post_number })
    };
    answers.iter().map(answer).collect()
}

fn checked(thread: Thread, named: Vec<Named>) -> Fate<Answered> {
    let mut losses = Vec::new();
    let mut answers = Vec::new();
    for Named { user, post_number } in named {
        let part = post_number.map_or("an answer".to_string(), |number| format!("post {number}"));
        let Some(post) = post_number.and_then(|number| thread.post(number)) else {
            losses.push(Loss::part(part, "no such post", format!("named with user {user:?}")));
            continue;
        };
        if post.user != user {
            losses.push(Loss::part(part, "wrong user", format!("{user:?} named, {:?} wrote it", post.user)));
        } else if answers.contains(&post.post_number) {
            losses.push(Loss::part(part, "named twice", ""));
        } else {
            answers.push(post.post_number);
        }
    }
    if answers.is_empty() {
        return Fate::dropped("no answer", "").after(losses);
    }
    Fate { losses, ..Fate::kept(Answered { thread, answers }) }
}
