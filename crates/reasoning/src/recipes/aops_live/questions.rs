//! Is the first post a concrete mathematical question? A reply ends with `\boxed{1}` or `\boxed{0}`; of several boxes the
//! last decides, and an empty reply is a no. Threads of one post are dropped unasked.

use minijinja::context;
use serde_json::json;

use super::templates::{Template, Templates};
use super::{Archive, Options, Thread};
use crate::models::calls::Calls;
use crate::models::{Request, Sampling};
use crate::recipes::replies::{Boxed, ask, last_box};
use crate::recipes::runner::{Fate, RunError, Runner, Stage, Stored};
use crate::recipes::threads::json_lines::{self, Crawls};
use crate::recipes::threads::posts_xml;

const REMINDER: &str = "Your reply has no verdict. End with \\boxed{1} if the post states a concrete mathematical question, \
                        or with \\boxed{0} if it does not.";

pub(super) fn stage(
    runner: &mut Runner<'_>,
    threads: &Stored<Thread>,
    calls: &Calls,
    templates: &Templates,
    options: &Options,
) -> Result<Stored<Thread>, RunError> {
    let settings = json!({
        "model": calls.model().identity(),
        "template": templates.text(Template::Questions),
        "keep undecided": options.keep_undecided,
        "max tokens": options.max_tokens,
    });
    let stage = Stage { name: "questions", version: 1, settings };
    let sampling = options.sampling();
    runner.ask(&stage, threads, calls, async |thread: Thread| {
        let Some(first) = thread.posts.first().filter(|_| thread.posts.len() > 1) else {
            return Ok(Fate::dropped("no reply to the post", ""));
        };
        let values =
            context! { title => thread.title, post => first.text, examples => templates.examples.question };
        let request = match templates.request(Template::Questions, values, &sampling) {
            Ok(request) => request,
            Err(message) => return Ok(Fate::quarantined("template", message)),
        };
        Ok(match ask(calls, &request, REMINDER, verdict).await? {
            Ok(true) => Fate::kept(thread),
            Ok(false) => Fate::dropped("not a question", ""),
            Err(fault) if options.keep_undecided && fault.reason == "unreadable reply" => Fate::kept(thread),
            Err(fault) => Fate::quarantined(fault.reason, fault.detail),
        })
    })
}

/// What is asked about a thread; none if it has but one post.
fn request(thread: &Thread, templates: &Templates, sampling: &Sampling) -> Option<Result<Request, String>> {
    let first = thread.posts.first().filter(|_| thread.posts.len() > 1)?;
    let values =
        context! { title => thread.title, post => first.text, examples => templates.examples.question };
    Some(templates.request(Template::Questions, values, sampling))
}

/// The number of threads in an archive, and what is asked about the first of them.
///
/// # Errors
/// If the archive cannot be read.
pub fn preview(
    archive: &Archive,
    templates: &Templates,
    options: &Options,
    first: usize,
) -> Result<(usize, Vec<Request>), RunError> {
    let (count, threads): (usize, Vec<Thread>) = match archive {
        Archive::JsonLines(files) => {
            let crawls = Crawls::read(files)?;
            (crawls.threads(), json_lines::first(&crawls, files, first)?)
        }
        Archive::Xml(path) => {
            let threads = posts_xml::Threads::open(path)?;
            let count = threads.left();
            let fates: Vec<_> = threads.take(first).collect::<Result<_, _>>()?;
            (count, fates.into_iter().flat_map(|(_, fate)| fate.kept).collect())
        }
    };
    let sampling = options.sampling();
    let requests = threads.iter().filter_map(|thread| request(thread, templates, &sampling)?.ok()).collect();
    Ok((count, requests))
}

fn verdict(reply: &str) -> Result<bool, String> {
    if reply.trim().is_empty() {
        return Ok(false);
    }
    match last_box(reply) {
        Boxed::Closed("1") => Ok(true),
        Boxed::Closed("0") => Ok(false),
        Boxed::Closed(other) => Err(format!("the box holds `{other}`, neither 0 nor 1")),
        Boxed::Open => Err("the box is not closed".into()),
        Boxed::Missing => Err("no box".into()),
    }
}
