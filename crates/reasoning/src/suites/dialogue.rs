//! Strategies that ask a model several times for one problem, each time with what came before.
//!
//! A [`Dialogue`] goes through the call layer with every call: a run that was stopped plays what it knows from the log and
//! goes on where it was, so that it pays for nothing twice and comes to the same records.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use super::generate::Item;
use super::{Problem, Reply};
use crate::models::calls::{Calls, Outcome, Spending, Stop};
use crate::models::{Failure, FailureKind, Message, Request, Sampling};

/// A strategy that asks several times for one problem.
pub trait Dialogue: Send + Sync {
    /// The messages of the first call for a problem whose prompt is this.
    fn opening(&self, problem: &Problem, prompt: &str) -> Vec<Message>;

    /// The most calls for one sample of one problem.
    fn most_calls(&self) -> usize;

    /// Solves a problem once. Samples of other numbers are independent of each other.
    ///
    /// # Errors
    /// If the calls have stopped.
    fn solve<'a>(&'a self, calls: &'a Calls, item: &'a Item<'a>, sample: usize) -> Solving<'a>;
}

/// A reply under way, and what its calls cost.
pub type Solving<'a> = Pin<Box<dyn Future<Output = Result<(Reply, Spending), Stop>> + 'a>>;

/// Asks for one sample of one problem, and counts.
pub struct Asker<'a> {
    calls: &'a Calls,
    sampling: &'a Sampling,
    system: &'a [Message],
    /// The number of the sample, by which its calls are told from those of others.
    pub sample: usize,
    /// Calls so far.
    pub asked: usize,
    /// Their cost; that of a call that was made before in the same sample counts once.
    pub spent: Spending,
    made: HashSet<blake3::Hash>,
}

/// Why there is no text.
#[derive(Debug)]
pub enum Interruption {
    /// The calls have stopped: the run ends, to be gone on with later.
    Stopped(Stop),
    /// The conversation has become longer than the model can take.
    ContextOverflow,
    /// The model or its provider refused.
    Refused,
    /// No reply after all tries.
    Failed(Failure),
}

impl<'a> Asker<'a> {
    /// For a sample; the system messages of the item stand before every call.
    pub fn new(calls: &'a Calls, item: &'a Item<'a>, sample: usize) -> Self {
        Asker {
            calls,
            sampling: &item.request.sampling,
            system: &item.system,
            sample,
            asked: 0,
            spent: Spending::default(),
            made: HashSet::new(),
        }
    }

    /// The text with which the model continues a conversation, up to the stop text. A text that is cut at the token limit
    /// counts as one.
    ///
    /// # Errors
    /// If there is none.
    pub async fn ask(&mut self, messages: Vec<Message>, stop: Option<&str>) -> Result<String, Interruption> {
        let mut sampling = self.sampling.clone();
        sampling.stop.extend(stop.map(str::to_string));
        let messages: Vec<Message> = self.system.iter().cloned().chain(messages).collect();
        let mut request = Request::chat(messages).sampled(sampling);
        request.first_sample = self.sample;
        let mut answers = self.calls.ask(&request).await;
        self.asked += 1;
        let name = serde_json::to_vec(&request).expect("a request has no maps with odd keys");
        if self.made.insert(blake3::hash(&name)) {
            self.spent = self.spent.plus(answers.spent);
        }
        match answers.outcomes.pop() {
            Some(Outcome::Answered(sample) | Outcome::Truncated(sample) | Outcome::Empty(sample)) => {
                Ok(sample.text.trim().to_string())
            }
            Some(Outcome::Refused(_)) => Err(Interruption::Refused),
            Some(Outcome::Failed(failure)) => Err(match failure.kind {
                FailureKind::ContextOverflow => Interruption::ContextOverflow,
                FailureKind::ContentFilter => Interruption::Refused,
                _ => Interruption::Failed(failure),
            }),
            Some(Outcome::Unasked(stop)) => Err(Interruption::Stopped(stop)),
            None => Err(Interruption::Failed(Failure::new(FailureKind::Unreadable, "no sample"))),
        }
    }
}
