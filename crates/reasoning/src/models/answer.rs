//! What a model answers, or why it does not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The samples of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The samples, in order. A server may return fewer than were asked for, never more.
    pub samples: Vec<Sample>,
    /// The tokens read and written, where the model says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that answered, as it names itself.
    #[serde(default)]
    pub model: String,
}

/// One text that a model wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The text.
    pub text: String,
    /// Why it ends.
    #[serde(default)]
    pub finish: Finish,
    /// The tokens of the text with their log-probabilities, where asked for and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<Token>>,
}

impl Sample {
    /// A text that ends of itself.
    pub fn of(text: impl Into<String>) -> Self {
        Sample { text: text.into(), finish: Finish::Stop, tokens: None }
    }

    /// The natural logarithm of the probability of the whole text, where those of its tokens are known.
    pub fn log_likelihood(&self) -> Option<f64> {
        let tokens = self.tokens.as_ref()?;
        Some(tokens.iter().map(|token| token.log_probability).sum())
    }

    /// Whether each token is the likeliest one at its place, where alternatives are known.
    pub fn is_likeliest(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| {
            tokens.iter().all(|token| {
                let mut others = token.alternatives.iter();
                !token.alternatives.is_empty() && others.all(|(_, other)| *other <= token.log_probability)
            })
        })
    }
}

/// Why a sample ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model ended it, or a stop text came.
    #[default]
    Stop,
    /// The token limit was reached.
    Length,
    /// The provider or the model refused.
    ContentFilter,
    /// Another reason, by the server's own name.
    Other(String),
}

/// A token that a model wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its text.
    pub text: String,
    /// The natural logarithm of its probability.
    pub log_probability: f64,
    /// The likeliest tokens at its place with their log-probabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<(String, f64)>,
}

/// Tokens read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, counted once a request.
    pub input_tokens: u64,
    /// Tokens of all samples together.
    pub output_tokens: u64,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize)]
#[error("{kind}: {message}")]
pub struct Failure {
    /// The kind, which decides what is done about it.
    pub kind: FailureKind,
    /// What happened, in the server's or our words. Holds no key.
    pub message: String,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a time to wait.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), retry_after: None }
    }
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Too many requests (status 429).
    RateLimited,
    /// The server failed (status 5xx).
    Server,
    /// No complete reply in time.
    Timeout,
    /// No connection could be made.
    Unreachable,
    /// The connection broke off before the reply was complete.
    Connection,
    /// A complete reply that cannot be read: half a JSON, no JSON, no UTF-8, an unexpected form.
    Unreadable,
    /// The prompt and the token limit together exceed what the model can take.
    ContextOverflow,
    /// The provider refused the prompt.
    ContentFilter,
    /// The reply exceeds the limit on its size.
    TooLarge,
    /// The key is missing or not accepted (status 401 or 403).
    Unauthorized,
    /// The money or quota of the account is used up.
    Quota,
    /// The request is wrong in another way (other status 4xx).
    Rejected,
    /// The model is a record that does not hold the request.
    NotRecorded,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [FailureKind; 13] = {
        use FailureKind::*;
        [
            RateLimited,
            Server,
            Timeout,
            Unreachable,
            Connection,
            Unreadable,
            ContextOverflow,
            ContentFilter,
            TooLarge,
            Unauthorized,
            Quota,
            Rejected,
            NotRecorded,
        ]
    };

    /// What the failure calls for.
    pub fn remedy(self) -> Remedy {
        use FailureKind::*;
        match self {
            RateLimited | Server | Timeout | Unreachable | Connection | Unreadable => Remedy::Retry,
            ContextOverflow => Remedy::Adapt,
            ContentFilter | TooLarge | Unauthorized | Quota | Rejected | NotRecorded => Remedy::GiveUp,
        }
    }

    /// The kind with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        FailureKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the provider may have done the work, and charged for it.
    pub fn may_be_paid(self) -> bool {
        use FailureKind::*;
        matches!(self, Timeout | Connection | Unreadable | TooLarge)
    }

    /// The name in logs, reports and scripts.
    pub fn name(self) -> &'static str {
        use FailureKind::*;
        match self {
            RateLimited => "rate-limited",
            Server => "server",
            Timeout => "timeout",
            Unreachable => "unreachable",
            Connection => "connection",
            Unreadable => "unreadable",
            ContextOverflow => "context-overflow",
            ContentFilter => "content-filter",
            TooLarge => "too-large",
            Unauthorized => "unauthorized",
            Quota => "quota",
            Rejected => "rejected",
            NotRecorded => "not-recorded",
        }
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same request again, later.
    Retry,
    /// A smaller request, once.
    Adapt,
    /// Nothing.
    GiveUp,
}
