//! What a model is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// One question to a model: a prompt, how to sample, and how many samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// What the model reads.
    pub prompt: Prompt,
    /// How it writes.
    pub sampling: Sampling,
    /// How many samples are wanted, at least 1. Default: 1.
    pub samples: usize,
    /// The number of the first sample, where samples of one question are asked for in several requests. Default: 0.
    pub first_sample: usize,
    /// `Some(k)`: also the log-probabilities of the tokens written, with the `k` likeliest alternatives of each.
    /// A model that cannot give them leaves them out. Default: `None`.
    pub log_probabilities: Option<u32>,
}

impl Request {
    /// One sample of the reply to a conversation, with the sampling left to the model.
    pub fn chat(messages: impl Into<Vec<Message>>) -> Self {
        Request::of(Prompt::Chat(messages.into()))
    }

    /// One sample of the continuation of a text, with the sampling left to the model.
    pub fn completion(text: impl Into<String>) -> Self {
        Request::of(Prompt::Completion(text.into()))
    }

    /// How likely these continuations of a text are: sample `i` is continuation `i` with the log-probabilities of its tokens.
    /// Nothing is written.
    pub fn continuations(context: impl Into<String>, continuations: impl Into<Vec<String>>) -> Self {
        let continuations = continuations.into();
        let samples = continuations.len();
        let prompt = Prompt::Continuations { context: context.into(), continuations };
        // Most servers insist on writing a token; it is not looked at.
        let sampling = Sampling { temperature: Some(0.0), max_tokens: Some(1), ..Sampling::default() };
        // The likeliest token at each place tells whether a continuation is what the model would write.
        Request { samples, sampling, log_probabilities: Some(1), ..Request::of(prompt) }
    }

    fn of(prompt: Prompt) -> Self {
        Request {
            prompt,
            sampling: Sampling::default(),
            samples: 1,
            first_sample: 0,
            log_probabilities: None,
        }
    }

    /// The request with other sampling parameters.
    pub fn sampled(self, sampling: Sampling) -> Self {
        Request { sampling, ..self }
    }

    /// The request for another number of samples.
    pub fn times(self, samples: usize) -> Self {
        Request { samples, ..self }
    }
}

/// What a model reads.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompt {
    /// A conversation, to be continued by the assistant.
    Chat(Vec<Message>),
    /// A text, to be continued.
    Completion(String),
    /// A text with continuations that are there already, to be read and not written: see [`Request::continuations`].
    Continuations {
        /// The text.
        context: String,
        /// What may follow it, each with the white space before it.
        continuations: Vec<String>,
    },
}

impl Prompt {
    /// The texts of the prompt, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (messages, text, continuations) = match self {
            Prompt::Chat(messages) => (messages.as_slice(), None, &[][..]),
            Prompt::Completion(text) => (&[][..], Some(text.as_str()), &[][..]),
            Prompt::Continuations { context, continuations } => {
                (&[][..], Some(context.as_str()), continuations.as_slice())
            }
        };
        let parts = messages.iter().flat_map(|message| &message.content).filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image(_) => None,
        });
        parts.chain(text).chain(continuations.iter().map(String::as_str))
    }

    /// The number of images in the prompt.
    pub fn images(&self) -> usize {
        match self {
            Prompt::Chat(messages) => messages
                .iter()
                .flat_map(|message| &message.content)
                .filter(|part| matches!(part, Part::Image(_)))
                .count(),
            Prompt::Completion(_) | Prompt::Continuations { .. } => 0,
        }
    }

    /// The text of the last message, or the text to be continued.
    pub fn last_text(&self) -> String {
        match self {
            Prompt::Chat(messages) => messages.last().map(Message::text).unwrap_or_default(),
            Prompt::Completion(text) | Prompt::Continuations { context: text, .. } => text.clone(),
        }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said and shown, in order.
    pub content: Vec<Part>,
}

impl Message {
    /// Instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Message { role: Role::System, content: vec![Part::Text(text.into())] }
    }

    /// A question.
    pub fn user(text: impl Into<String>) -> Self {
        Message { role: Role::User, content: vec![Part::Text(text.into())] }
    }

    /// An earlier reply of the model, or one put into its mouth.
    pub fn assistant(text: impl Into<String>) -> Self {
        Message { role: Role::Assistant, content: vec![Part::Text(text.into())] }
    }

    /// The texts of the message, one after the other.
    pub fn text(&self) -> String {
        self.content
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Image(_) => None,
            })
            .collect()
    }
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Text.
    Text(String),
    /// A picture.
    Image(Image),
}

/// A picture as it stands in a file. Serialised as its media type and BLAKE3 digest, without the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The media type, such as `image/png`.
    pub media_type: String,
    /// The bytes of the file.
    pub bytes: Arc<[u8]>,
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Digest<'a> {
            media_type: &'a str,
            blake3: String,
        }
        Digest { media_type: &self.media_type, blake3: blake3::hash(&self.bytes).to_hex().to_string() }
            .serialize(serializer)
    }
}

/// How a model writes. What is `None` is left to the model's own default and not sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sampling {
    /// 0 for the likeliest token, larger for more variety.
    pub temperature: Option<f64>,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: Option<f64>,
    /// The most tokens that a sample may have.
    pub max_tokens: Option<u64>,
    /// Texts at which a sample ends; they are not part of it.
    pub stop: Vec<String>,
    /// The seed of sample 0; sample `i` of a question has `seed + i`.
    pub seed: Option<u64>,
    /// What is taken off the logit of a token that occurred.
    pub presence_penalty: Option<f64>,
    /// What is taken off the logit of a token for each time that it occurred.
    pub frequency_penalty: Option<f64>,
    /// Further parameters by the server's own names, such as `top_k`.
    pub more: BTreeMap<String, serde_json::Value>,
}
