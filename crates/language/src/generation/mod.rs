//! Text from a model: prompts are read, tokens chosen one after another, and text given out as it comes.
//!
//! [`generate`] answers a list of prompts; [`Decoder`] is the machine under it, to which prompts can be added while others are being
//! answered. Each prompt is read once, whatever the number of its samples, and by itself; then all rows go on together, each from
//! its own place, so that prompts need not be of equal length. What a sample becomes depends on the seed, the number of the prompt
//! and that of the sample, not on what else is answered beside it, but for rounding: sums of products in batches of different size
//! may differ in their last digit. [`log_likelihoods`] chooses nothing: it says how likely continuations are that are there already.

mod decoder;
mod likelihood;
mod sampling;
mod stop;

use std::ops::ControlFlow;

use burn::tensor::Device;
use serde::Serialize;

pub(crate) use decoder::check;
pub use decoder::{Decoder, Event};
pub use likelihood::log_likelihoods;
pub use sampling::{LogProbability, Sampling};

use crate::model::LanguageModel;
use crate::text::{Tokenizer, TokenizerError};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts at which an answer ends; they are not part of it.
    pub stop: Vec<String>,
    /// Tokens at which an answer ends; they are not part of it.
    pub end: Vec<u32>,
    /// What random numbers come from.
    pub seed: u64,
    /// Answers to each prompt.
    pub samples: usize,
    /// For each token the logarithm of its probability, and those of this many of the likeliest tokens.
    pub log_probabilities: Option<usize>,
    /// Whether those are wanted for the prompt's tokens too.
    pub of_prompt: bool,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            max_tokens: 256,
            sampling: Sampling::default(),
            stop: Vec::new(),
            end: Vec::new(),
            seed: 0,
            samples: 1,
            log_probabilities: None,
            of_prompt: false,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Completion {
    /// Its text.
    pub text: String,
    /// Its tokens, without one at which it ended. The last ones may be of a text at which it ended.
    pub tokens: Vec<u32>,
    /// For each token that begins in the text, if they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_probabilities: Vec<TokenLogProbability>,
    /// For each token of the prompt but the first, if those were asked for too; their offsets are in the prompt's text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub of_prompt: Vec<TokenLogProbability>,
    /// Why it is no longer.
    pub finish: Finish,
}

/// The logarithms for a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenLogProbability {
    /// The token that was chosen.
    pub chosen: LogProbability,
    /// The likeliest ones, the likeliest first.
    pub top: Vec<LogProbability>,
    /// Bytes of the answer's text that were certain before the token came: where its own text begins. 0 where tokens were given, and no text is
    /// made.
    pub offset: usize,
}

/// Why an answer is no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// A token or a text came at which it ends.
    Stop,
    /// It has as many tokens as were asked for, or as the model's context has room for.
    Length,
    /// It was broken off.
    Interrupted,
}

/// Why nothing is generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// The model sees both sides of a token.
    #[error(
        "the model sees tokens on both sides of a place, so it has no next one: expected one whose mixers are all causal"
    )]
    NotCausal,
    /// There is nothing to go on from.
    #[error("the prompt has no tokens; give at least one, such as the token that begins a text")]
    Empty,
    /// A token is not one of the model's.
    #[error("the token {token} is not among the {vocabulary} of the model")]
    Token {
        /// The token.
        token: u32,
        /// The model's number of tokens.
        vocabulary: usize,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens; the model's context of {context} has no room for an answer")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// A setting has an impossible value.
    #[error("{0}")]
    Setting(String),
    /// Tokens have no text.
    #[error("{0}")]
    Text(#[from] TokenizerError),
    /// The model's numbers overflow.
    #[error("a logit is {0}, not a finite number: the weights are damaged or the model has not learned")]
    NotFinite(f32),
}

/// Answer prompts, all of them together; returns the answers of each.
///
/// `heard` gets the number of the prompt and of the sample with each new piece of text, and tells whether to go on; broken off,
/// what there is is returned.
///
/// # Errors
/// If a prompt or a setting is impossible, before anything is answered.
pub fn generate(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    prompts: &[Vec<u32>],
    request: &Request,
    device: &Device,
    heard: &mut dyn FnMut(usize, usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Vec<Completion>>, GenerationError> {
    let mut decoder = Decoder::new(model, tokenizer, device);
    for prompt in prompts {
        decoder.check(prompt, request)?;
    }
    for (number, prompt) in (0..).zip(prompts) {
        decoder.begin(prompt, number, request)?;
    }
    let mut answers: Vec<Vec<Option<Completion>>> = vec![vec![None; request.samples]; prompts.len()];
    let place = |sequence: usize| (sequence / request.samples, sequence % request.samples);
    let mut stopping = false;
    while !decoder.is_idle() {
        let events = if stopping { decoder.interrupt(|_| true)? } else { decoder.step()? };
        for event in events {
            let (prompt, sample) = place(event.sequence);
            if !event.text.is_empty() && heard(prompt, sample, &event.text).is_break() {
                stopping = true;
            }
            if let Some(completion) = event.completion {
                answers[prompt][sample] = Some(completion);
            }
        }
    }
    Ok(answers.into_iter().map(|samples| samples.into_iter().flatten().collect()).collect())
}

#[cfg(test)]
mod tests;
