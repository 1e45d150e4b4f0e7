//! How likely continuations of a text are: nothing is chosen, everything is read.

use burn::tensor::{Device, Tensor};

use super::decoder::{CHUNK, rows_of_tokens};
use super::sampling::log_probabilities;
use super::{GenerationError, TokenLogProbability};
use crate::model::LanguageModel;

/// Tokens of the continuations that are read at a time: their logits are all kept until then.
const STEP: usize = 16;

/// The logarithms of the probabilities of the tokens of each continuation behind `prompt`, with the `top` likeliest tokens at each place.
///
/// The prompt is read once. The continuations are then read beside each other, the longest first, and each leaves when it has ended; so
/// what is computed depends on the others only by rounding: sums of products in batches of different size may differ in their last digits.
///
/// # Errors
/// If the prompt is empty, a token is none of the model's, or prompt and continuation together exceed its context.
pub fn log_likelihoods(
    model: &LanguageModel,
    prompt: &[u32],
    continuations: &[Vec<u32>],
    top: usize,
    device: &Device,
) -> Result<Vec<Vec<TokenLogProbability>>, GenerationError> {
    let (vocabulary, context) = (model.config().vocabulary, model.config().context);
    if prompt.is_empty() {
        return Err(GenerationError::Empty);
    }
    let mut tokens = prompt.iter().chain(continuations.iter().flatten());
    if let Some(&token) = tokens.find(|&&token| token as usize >= vocabulary) {
        return Err(GenerationError::Token { token, vocabulary });
    }
    // The last token is not read, as nothing follows it.
    let longest = continuations.iter().map(Vec::len).max().unwrap_or(0);
    if prompt.len() + longest > context + 1 {
        return Err(GenerationError::TooLong { tokens: prompt.len() + longest, context });
    }
    let mut found: Vec<Vec<TokenLogProbability>> = vec![Vec::new(); continuations.len()];
    let mut state = model.state(1, device);
    let mut hidden = None;
    for chunk in prompt.chunks(CHUNK) {
        hidden = Some(model.extend(rows_of_tokens(&[chunk], device), &mut state));
    }
    let Some(hidden) = hidden else { return Err(GenerationError::Empty) };
    let [_, time, width] = hidden.dims();
    let first = logits(model, hidden.slice([0..1, time - 1..time, 0..width]))?;
    let of = |logits: &[f32], token: u32| {
        let (chosen, top) = log_probabilities(logits, token, top);
        TokenLogProbability { chosen, top, offset: 0 }
    };
    for (continuation, found) in continuations.iter().zip(&mut found) {
        found.extend(continuation.first().map(|&token| of(&first, token)));
    }
    // Rows of tokens to be read, the longest first; what a shorter one is filled up with comes behind its end and changes nothing before.
    let mut rows: Vec<usize> = (0..continuations.len()).filter(|&at| continuations[at].len() > 1).collect();
    rows.sort_by_key(|&at| std::cmp::Reverse(continuations[at].len()));
    let mut state = state.select(&vec![0; rows.len()]);
    let mut read = 0;
    while let Some(&longest) = rows.first() {
        let steps = STEP.min(continuations[longest].len() - 1 - read);
        let padded: Vec<Vec<u32>> = (rows.iter())
            .map(|&at| {
                (read..read + steps).map(|place| continuations[at].get(place).copied().unwrap_or(0)).collect()
            })
            .collect();
        let padded: Vec<&[u32]> = padded.iter().map(Vec::as_slice).collect();
        let hidden = model.extend(rows_of_tokens(&padded, device), &mut state);
        let all = logits(model, hidden)?;
        for (row, &at) in rows.iter().enumerate() {
            let next = (read + 1..=read + steps).map_while(|place| continuations[at].get(place));
            for (step, &token) in next.enumerate() {
                let start = (row * steps + step) * vocabulary;
                found[at].push(of(&all[start..start + vocabulary], token));
            }
        }
        read += steps;
        let going: Vec<usize> =
            (0..rows.len()).filter(|&row| continuations[rows[row]].len() > read + 1).collect();
        if going.len() < rows.len() {
            if going.is_empty() {
                break;
            }
            state = state.select(&going);
            rows.truncate(going.len());
        }
    }
    Ok(found)
}

/// The logits of hidden states, row by row and time by time.
fn logits(model: &LanguageModel, hidden: Tensor<3>) -> Result<Vec<f32>, GenerationError> {
    let logits: Vec<f32> = model.logits(hidden).into_data().iter::<f32>().collect();
    match logits.iter().find(|logit| !logit.is_finite()) {
        Some(&wrong) => Err(GenerationError::NotFinite(wrong)),
        None => Ok(logits),
    }
}
