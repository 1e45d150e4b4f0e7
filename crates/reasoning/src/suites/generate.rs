//! The first stage: ask every problem.

use crate::models::calls::{Calls, Spending, Stop};
use crate::models::{Message, Request, Sampling};

use super::{Data, Problem, Prompter, Record, Reply, SuiteError};

/// A problem with the request that asks it.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// The text of the prompt.
    pub prompt: String,
    /// What the model is sent.
    pub request: Request,
}

/// The items of a run, in the order of the problems: every prompt is made before anything is asked, so that a template
/// that fails at the last problem fails now.
pub fn items<'a>(
    data: &'a Data,
    prompter: &Prompter,
    system: &str,
    sampling: &Sampling,
    samples: usize,
) -> Result<Vec<Item<'a>>, SuiteError> {
    (data.problems.iter())
        .map(|problem| {
            let prompt = prompter.render(problem, &data.exemplars)?;
            let mut messages = Vec::new();
            if !system.is_empty() {
                messages.push(Message::system(system));
            }
            messages.push(Message::user(&prompt));
            let request = Request::chat(messages).sampled(sampling.clone()).times(samples);
            Ok(Item { problem, prompt, request })
        })
        .collect()
}

/// Asks the items, and hands each record to `each` in their order, with what its calls cost. Records have no grades yet.
///
/// # Errors
/// If the calls stop before the end. What was answered by then is in the log of the calls, so that the same run goes on
/// from there.
pub fn generate(
    calls: &Calls,
    items: &[Item<'_>],
    prompter: &Prompter,
    mut each: impl FnMut(usize, Record, Spending),
) -> Result<(), Stop> {
    let mut stop = None;
    calls.run(
        items,
        async |item: &Item<'_>| calls.ask(&item.request).await,
        |number, answers| {
            let replies: Option<Vec<Reply>> = answers.outcomes.iter().map(Reply::of).collect();
            let item = &items[number];
            match replies {
                Some(replies) => {
                    let language = prompter.reply_language(item.problem);
                    let record = Record::new(item.problem, item.prompt.clone(), language, replies);
                    each(number, record, answers.spent);
                }
                None => stop = calls.status().stop.or(stop.take()),
            }
        },
    );
    stop.map_or(Ok(()), Err)
}
