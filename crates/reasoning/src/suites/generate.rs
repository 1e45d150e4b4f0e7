//! The first stage: ask every problem.

use crate::models::calls::{Calls, Spending, Stop};
use crate::models::{Message, Request, Sampling};

use super::{Data, Problem, Procedure, Prompter, Record, Reply, SuiteError, options};

/// The replies to an item and their cost; no replies where the calls have stopped.
type Replied = (Option<Vec<Reply>>, Spending);

/// A problem with the request that asks it.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// The text of the prompt.
    pub prompt: String,
    /// Instructions that stand before all messages.
    pub system: Vec<Message>,
    /// What the model is sent, first.
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
            let system: Vec<Message> =
                if system.is_empty() { Vec::new() } else { vec![Message::system(system)] };
            let opening = match prompter.dialogue() {
                Some(dialogue) => dialogue.opening(problem, &prompt),
                None => vec![Message::user(&prompt)],
            };
            let request = match prompter.procedure() {
                Procedure::Options => {
                    let texts = problem.options.iter().map(|option| option.continuation.clone());
                    Request::continuations(&prompt, texts.collect::<Vec<_>>())
                }
                Procedure::Completion => {
                    Request::completion(&prompt).sampled(sampling.clone()).times(samples)
                }
                Procedure::Reply | Procedure::Program | Procedure::Dialogue(_) => {
                    let messages = [system.clone(), opening].concat();
                    Request::chat(messages).sampled(sampling.clone()).times(samples)
                }
            };
            Ok(Item { problem, prompt, system, request })
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
        async |item: &Item<'_>| replies(calls, item, prompter).await,
        |number, (replies, spent)| {
            let item = &items[number];
            match replies {
                Some(replies) => {
                    let language = prompter.reply_language(item.problem);
                    let record = Record::new(item.problem, item.prompt.clone(), language, replies);
                    each(number, record, spent);
                }
                None => stop = calls.status().stop.or(stop.take()),
            }
        },
    );
    stop.map_or(Ok(()), Err)
}

async fn replies(calls: &Calls, item: &Item<'_>, prompter: &Prompter) -> Replied {
    let Some(dialogue) = prompter.dialogue() else {
        let answers = calls.ask(&item.request).await;
        if let Procedure::Options = prompter.procedure() {
            let reply = options::reply(item.problem, &answers.outcomes);
            return (reply.map(|reply| vec![reply]), answers.spent);
        }
        return (answers.outcomes.iter().map(Reply::of).collect(), answers.spent);
    };
    let samples = (0..item.request.samples).map(|sample| dialogue.solve(calls, item, sample));
    let mut replies = Vec::with_capacity(item.request.samples);
    let mut total = Spending::default();
    for solved in futures_util::future::join_all(samples).await {
        let Ok((reply, spent)) = solved else { return (None, total) };
        replies.push(reply);
        total = total.plus(spent);
    }
    (Some(replies), total)
}
