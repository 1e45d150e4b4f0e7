//! Talking to models.
//!
//! A [`Model`] takes a [`Request`] and gives an [`Answer`] or a [`Failure`]. There is a client of OpenAI-compatible
//! servers, a scripted model for tests, and a recorder with its replay; [`open`] makes them from the names of the command
//! line. Programs ask through [`calls`], which keeps every reply, obeys limits and counts money.
//!
//! A model is asynchronous, because hundreds of calls wait at once; [`block_on`] and the runner of the call layer are
//! for synchronous programs.

pub mod calls;

mod answer;
mod canonical;
mod name;
mod open_ai;
mod replay;
mod request;
mod scripted;

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, Failure, FailureKind, Finish, Remedy, Sample, Token, Usage};
pub use name::{OpenError, open};
pub use open_ai::{OpenAiError, OpenAiModel, OpenAiOptions};
pub use replay::{RecordError, RecordModel, ReplayModel};
pub use request::{Image, Message, Part, Prompt, Request, Role, Sampling};
pub use scripted::{Behaviour, ScriptError, ScriptedModel};

/// What answers requests.
///
/// A model without a wire format of its own needs [`identity`](Model::identity) and [`send`](Model::send), whose reply is
/// an [`Answer`] as JSON ([`Answer::to_reply`]).
pub trait Model: Send + Sync {
    /// Which model this is. Two models with one identity give interchangeable answers.
    fn identity(&self) -> &Identity;

    /// Sends a request, once, and returns the reply unread, so that it can be stored before anything is made of it.
    /// Dropping the future gives the request up.
    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a>;

    /// Reads a reply to `request`. Default: an [`Answer`] as JSON.
    fn read(&self, request: &Request, reply: &[u8]) -> Result<Answer, Failure> {
        let _ = request;
        serde_json::from_slice(reply)
            .map_err(|error| Failure::new(FailureKind::Unreadable, error.to_string()))
    }

    /// The most samples that one request may ask for. Default: no limit.
    fn most_samples(&self) -> usize {
        usize::MAX
    }
}

/// A reply under way: its bytes, or why there are none.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send + 'a>>;

/// Which model it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The kind of back end: `openai`, `scripted`.
    pub provider: String,
    /// Where it is: the base URL, without any secret. Empty for a model in this process.
    pub endpoint: String,
    /// The name of the model.
    pub model: String,
    /// The version of the weights or of the script, where known.
    pub revision: Option<String>,
}

impl Answer {
    /// The bytes that the default [`Model::read`] reads.
    pub fn to_reply(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an answer has no maps with odd keys")
    }
}

/// Reads an answer that was written by [`Answer::to_reply`].
fn read_answer(reply: &[u8]) -> Result<Answer, Failure> {
    serde_json::from_slice(reply).map_err(|error| Failure::new(FailureKind::Unreadable, error.to_string()))
}

/// Asks a model once, with no log, limit or second try.
pub async fn ask(model: &dyn Model, request: &Request) -> Result<Answer, Failure> {
    let reply = model.send(request).await?;
    model.read(request, &reply)
}

/// Waits for a future on the threads that all models of this process share. Not to be called from within a future.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started")
    });
    RUNTIME.block_on(future)
}
