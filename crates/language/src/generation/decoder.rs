//! The machine that chooses tokens: sequences in all states of completion, which go on together.
//!
//! Prompts are read in parts of a fixed length, one after another, between the steps of the sequences that are being answered: a
//! long prompt holds none of them up for longer than such a part takes.

use std::collections::VecDeque;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_algebra::random::Stream;

use super::sampling::log_probabilities;
use super::stop::{Passed, StopTexts};
use super::{Completion, Finish, GenerationError, Request, TokenLogProbability};
use crate::model::{LanguageModel, LanguageModelConfig, State};
use crate::text::{TextStream, Tokenizer};

/// Tokens of a prompt that are read at a time: enough for large matrix products, and few enough for the memory that they take.
pub(super) const CHUNK: usize = 512;

/// Sequences that are being generated.
pub struct Decoder<'a> {
    model: &'a LanguageModel,
    tokenizer: &'a Tokenizer,
    device: Device,
    /// Prompts that are not read to their end yet, the first to be read first.
    reading: VecDeque<Reading>,
    sequences: Vec<Sequence>,
    /// What the sequences have read, row by row.
    state: Option<State>,
    begun: usize,
}

/// What a step has brought a sequence.
#[derive(Clone, Debug)]
pub struct Event {
    /// The sequence.
    pub sequence: usize,
    /// Text that is now certain; it may be empty.
    pub text: String,
    /// For the tokens that begin in it, if they were asked for.
    pub log_probabilities: Vec<TokenLogProbability>,
    /// The whole answer, if this is its end.
    pub completion: Option<Completion>,
}

/// A prompt that is being read, and the sequences that will go on from it.
struct Reading {
    prompt: Vec<u32>,
    /// Tokens that have been read.
    read: usize,
    state: State,
    /// For the tokens after the first that have been read, if they were asked for, with the text before them.
    log_probabilities: Vec<TokenLogProbability>,
    stream: TextStream,
    /// Bytes of that text.
    length: usize,
    sequences: Vec<Sequence>,
}

/// One sequence.
struct Sequence {
    number: usize,
    request: Request,
    random: Stream,
    /// Prompt and answer.
    history: Vec<u32>,
    answered: usize,
    /// The logits of the next token.
    logits: Vec<f32>,
    stream: TextStream,
    stop: StopTexts,
    text: String,
    log_probabilities: Vec<TokenLogProbability>,
    /// How many of them have been given out.
    given: usize,
    of_prompt: Vec<TokenLogProbability>,
    /// Bytes of the text of all tokens, with what is held back of it.
    length: usize,
}

/// Whether a model of this configuration could answer a prompt.
pub(crate) fn check(
    config: &LanguageModelConfig,
    prompt: &[u32],
    request: &Request,
) -> Result<(), GenerationError> {
    request.sampling.check().map_err(GenerationError::Setting)?;
    if request.samples == 0 {
        return Err(GenerationError::Setting("the number of samples is 0, expected at least 1".into()));
    }
    if prompt.is_empty() {
        return Err(GenerationError::Empty);
    }
    if !config.is_causal() {
        return Err(GenerationError::NotCausal);
    }
    if let Some(&token) = prompt.iter().find(|&&token| token as usize >= config.vocabulary) {
        return Err(GenerationError::Token { token, vocabulary: config.vocabulary });
    }
    if prompt.len() >= config.context {
        return Err(GenerationError::TooLong { tokens: prompt.len(), context: config.context });
    }
    Ok(())
}

impl<'a> Decoder<'a> {
    /// A decoder with no sequences. The model is best one without derivatives (`valid`).
    pub fn new(model: &'a LanguageModel, tokenizer: &'a Tokenizer, device: &Device) -> Self {
        Decoder {
            model,
            tokenizer,
            device: device.clone(),
            reading: VecDeque::new(),
            sequences: Vec::new(),
            state: None,
            begun: 0,
        }
    }

    /// Whether a prompt could be answered.
    ///
    /// # Errors
    /// If the prompt or a setting is impossible.
    pub fn check(&self, prompt: &[u32], request: &Request) -> Result<(), GenerationError> {
        check(self.model.config(), prompt, request)
    }

    /// Add a prompt; returns the number of its first sample, after which those of the others follow. It is read by the next steps.
    ///
    /// `number` is that of the prompt among all that share a seed: its random choices depend on both.
    ///
    /// # Errors
    /// If the prompt or a setting is impossible.
    pub fn begin(
        &mut self,
        prompt: &[u32],
        number: u64,
        request: &Request,
    ) -> Result<usize, GenerationError> {
        self.check(prompt, request)?;
        let first = self.begun;
        let sequence = |sample: usize| Sequence {
            number: first + sample,
            random: Stream::new(Stream::new(request.seed, number).bits(0), sample as u64),
            request: request.clone(),
            history: prompt.to_vec(),
            answered: 0,
            logits: Vec::new(),
            stream: TextStream::new(),
            stop: StopTexts::new(&request.stop),
            text: String::new(),
            log_probabilities: Vec::new(),
            given: 0,
            of_prompt: Vec::new(),
            length: 0,
        };
        self.reading.push_back(Reading {
            prompt: prompt.to_vec(),
            read: 0,
            state: self.model.state(1, &self.device),
            log_probabilities: Vec::new(),
            stream: TextStream::new(),
            length: 0,
            sequences: (0..request.samples).map(sequence).collect(),
        });
        self.begun += request.samples;
        Ok(first)
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty() && self.reading.is_empty()
    }

    /// The number of sequences that are being generated, those among them whose prompts are still being read.
    pub fn running(&self) -> usize {
        let reading: usize = self.reading.iter().map(|reading| reading.sequences.len()).sum();
        self.sequences.len() + reading
    }

    /// Read the next part of prompts, and choose the next token of every sequence whose prompt has been read.
    ///
    /// # Errors
    /// If tokens have no text, or the model's numbers overflow.
    pub fn step(&mut self) -> Result<Vec<Event>, GenerationError> {
        self.read()?;
        let (vocabulary, context) = (self.model.config().vocabulary, self.model.config().context);
        let mut events = Vec::with_capacity(self.sequences.len());
        for sequence in &mut self.sequences {
            debug_assert_eq!(sequence.logits.len(), vocabulary);
            events.push(sequence.next(context, self.tokenizer)?);
        }
        self.leave(&events.iter().map(|event| event.completion.is_some()).collect::<Vec<_>>());
        if let Some(state) = &mut self.state {
            let last: Vec<[u32; 1]> = self
                .sequences
                .iter()
                .filter_map(|sequence| sequence.history.last().map(|&last| [last]))
                .collect();
            let rows: Vec<&[u32]> = last.iter().map(<[u32; 1]>::as_slice).collect();
            let tokens = rows_of_tokens(&rows, &self.device);
            let hidden = self.model.extend(tokens, state);
            let logits = self.logits(hidden)?;
            for (sequence, logits) in self.sequences.iter_mut().zip(logits) {
                sequence.logits = logits;
            }
        }
        Ok(events)
    }

    /// End sequences as they are, those whose number is chosen.
    ///
    /// # Errors
    /// If tokens have no text.
    pub fn interrupt(&mut self, chosen: impl Fn(usize) -> bool) -> Result<Vec<Event>, GenerationError> {
        let tokenizer = self.tokenizer;
        let mut events = Vec::new();
        for reading in &mut self.reading {
            for mut sequence in reading.sequences.extract_if(.., |sequence| chosen(sequence.number)) {
                events.push(sequence.end(Finish::Interrupted, String::new(), tokenizer)?);
            }
        }
        self.reading.retain(|reading| !reading.sequences.is_empty());
        let mut ended = vec![false; self.sequences.len()];
        for (sequence, ended) in self.sequences.iter_mut().zip(&mut ended) {
            if chosen(sequence.number) {
                *ended = true;
                events.push(sequence.end(Finish::Interrupted, String::new(), tokenizer)?);
            }
        }
        self.leave(&ended);
        Ok(events)
    }

    /// Read about [`CHUNK`] tokens of prompts. Parts begin at multiples of it, whatever else is read: rounding does not depend on
    /// that.
    fn read(&mut self) -> Result<(), GenerationError> {
        let mut spent = 0;
        while spent < CHUNK {
            let Some(mut reading) = self.reading.pop_front() else { return Ok(()) };
            let left = &reading.prompt[reading.read..];
            let part = &left[..left.len().min(CHUNK)];
            let hidden = self.model.extend(rows_of_tokens(&[part], &self.device), &mut reading.state);
            let count = part.len();
            spent += count;
            if let Some(top) = of_prompt(&reading.sequences) {
                let logits = self.all_logits(hidden.clone())?;
                reading.hear(&logits, top, self.tokenizer)?;
            }
            reading.read += count;
            if reading.read < reading.prompt.len() {
                self.reading.push_front(reading);
                continue;
            }
            let logits = self.logits(hidden)?.concat();
            let state = reading.state.select(&vec![0; reading.sequences.len()]);
            self.state = Some(match self.state.take() {
                None => state,
                Some(others) => State::join(vec![others, state]),
            });
            self.sequences.extend(reading.sequences.into_iter().map(|mut sequence| {
                sequence.logits.clone_from(&logits);
                sequence.of_prompt.clone_from(&reading.log_probabilities);
                sequence
            }));
        }
        Ok(())
    }

    /// Drop the sequences that have ended.
    fn leave(&mut self, ended: &[bool]) {
        let going: Vec<usize> = (0..ended.len()).filter(|&row| !ended[row]).collect();
        if going.len() == ended.len() {
            return;
        }
        self.state = self.state.take().filter(|_| !going.is_empty()).map(|state| state.select(&going));
        let mut ended = ended.iter();
        self.sequences.retain(|_| !ended.next().is_some_and(|&ended| ended));
    }

    /// The logits after the last time of each row.
    fn logits(&self, hidden: Tensor<3>) -> Result<Vec<Vec<f32>>, GenerationError> {
        let [rows, time, width] = hidden.dims();
        self.all_logits(hidden.slice([0..rows, time - 1..time, 0..width]))
    }

    /// Those after every time, row by row.
    fn all_logits(&self, hidden: Tensor<3>) -> Result<Vec<Vec<f32>>, GenerationError> {
        let logits: Vec<f32> = self.model.logits(hidden).into_data().iter::<f32>().collect();
        if let Some(&wrong) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(GenerationError::NotFinite(wrong));
        }
        Ok(logits.chunks(self.model.config().vocabulary).map(<[f32]>::to_vec).collect())
    }
}

/// How many likeliest tokens are wanted beside those of a prompt, if any of its samples wants them.
fn of_prompt(sequences: &[Sequence]) -> Option<usize> {
    let request = &sequences.first()?.request;
    request.log_probabilities.filter(|_| request.of_prompt)
}

impl Reading {
    /// Note what the logits after the next tokens say of those that follow.
    fn hear(
        &mut self,
        logits: &[Vec<f32>],
        top: usize,
        tokenizer: &Tokenizer,
    ) -> Result<(), GenerationError> {
        let tokens = &self.prompt[self.read..];
        for (place, logits) in logits.iter().enumerate() {
            self.length += self.stream.push(tokens[place], tokenizer)?.len();
            if let Some(&next) = tokens.get(place + 1) {
                let (chosen, top) = log_probabilities(logits, next, top);
                self.log_probabilities.push(TokenLogProbability { chosen, top, offset: self.length });
            }
        }
        Ok(())
    }
}

pub(super) fn rows_of_tokens(rows: &[&[u32]], device: &Device) -> Tensor<2, Int> {
    let time = rows.first().map_or(0, |row| row.len());
    let tokens: Vec<i64> = rows.iter().flat_map(|row| row.iter().map(|&token| i64::from(token))).collect();
    Tensor::from_data(TensorData::new(tokens, [rows.len(), time]), device)
}

impl Sequence {
    /// Choose the next token.
    fn next(&mut self, context: usize, tokenizer: &Tokenizer) -> Result<Event, GenerationError> {
        if self.answered == self.request.max_tokens || self.history.len() >= context {
            return self.end(Finish::Length, String::new(), tokenizer);
        }
        let place = self.answered as u64;
        let token = self.request.sampling.choose(&self.logits, &self.history, self.random, place);
        if self.request.end.contains(&token) {
            return self.end(Finish::Stop, String::new(), tokenizer);
        }
        if let Some(top) = self.request.log_probabilities {
            let (chosen, top) = log_probabilities(&self.logits, token, top);
            self.log_probabilities.push(TokenLogProbability { chosen, top, offset: self.length });
        }
        self.history.push(token);
        self.answered += 1;
        let piece = self.stream.push(token, tokenizer)?;
        self.length += piece.len();
        match self.stop.push(&piece) {
            Passed::Last(text) => self.stopped(text),
            Passed::Text(text) => {
                if self.answered == self.request.max_tokens || self.history.len() >= context {
                    return self.end(Finish::Length, text, tokenizer);
                }
                Ok(self.event(text))
            }
        }
    }

    /// The end, with what was held back.
    fn end(
        &mut self,
        finish: Finish,
        mut text: String,
        tokenizer: &Tokenizer,
    ) -> Result<Event, GenerationError> {
        let rest = self.stream.finish(tokenizer)?;
        match self.stop.push(&rest) {
            Passed::Last(last) => return self.stopped(text + &last),
            Passed::Text(more) => text.push_str(&more),
        }
        text.push_str(&self.stop.rest());
        let mut event = self.event(text);
        // Tokens without text at the end begin after all of it.
        event.log_probabilities.extend_from_slice(&self.log_probabilities[self.given..]);
        self.given = self.log_probabilities.len();
        Ok(self.completed(event, finish))
    }

    /// The end at a text that is not part of the answer.
    fn stopped(&mut self, text: String) -> Result<Event, GenerationError> {
        let event = self.event(text);
        Ok(self.completed(event, Finish::Stop))
    }

    /// What is certain now: text, and the tokens that begin in it.
    fn event(&mut self, text: String) -> Event {
        self.text.push_str(&text);
        let waiting = &self.log_probabilities[self.given..];
        let certain = waiting.iter().take_while(|token| token.offset < self.text.len()).count();
        let log_probabilities = waiting[..certain].to_vec();
        self.given += certain;
        Event { sequence: self.number, text, log_probabilities, completion: None }
    }

    fn completed(&mut self, mut event: Event, finish: Finish) -> Event {
        self.log_probabilities.truncate(self.given);
        event.completion = Some(Completion {
            text: std::mem::take(&mut self.text),
            tokens: self.stream.tokens().to_vec(),
            log_probabilities: std::mem::take(&mut self.log_probabilities),
            of_prompt: std::mem::take(&mut self.of_prompt),
            finish,
        });
        event
    }
}
