//! The machine that chooses tokens: sequences in all states of completion, which go on together.

use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_algebra::random::Stream;

use super::sampling::log_probabilities;
use super::stop::{Passed, StopTexts};
use super::{Completion, Finish, GenerationError, Request, TokenLogProbability};
use crate::model::{LanguageModel, State};
use crate::text::{TextStream, Tokenizer};

/// Tokens of a prompt that are read at a time: enough for large matrix products, and few enough for the memory that they take.
pub(super) const CHUNK: usize = 512;

/// Sequences that are being generated.
pub struct Decoder<'a> {
    model: &'a LanguageModel,
    tokenizer: &'a Tokenizer,
    device: Device,
    sequences: Vec<Sequence>,
    /// What the sequences have read, row by row.
    state: Option<State>,
    prompts: u64,
    begun: usize,
}

/// What a step has brought a sequence.
#[derive(Clone, Debug)]
pub struct Event {
    /// The sequence.
    pub sequence: usize,
    /// Text that is now certain; it may be empty.
    pub text: String,
    /// The whole answer, if this is its end.
    pub completion: Option<Completion>,
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
}

impl<'a> Decoder<'a> {
    /// A decoder with no sequences. The model is best one without derivatives (`valid`).
    pub fn new(model: &'a LanguageModel, tokenizer: &'a Tokenizer, device: &Device) -> Self {
        Decoder {
            model,
            tokenizer,
            device: device.clone(),
            sequences: Vec::new(),
            state: None,
            prompts: 0,
            begun: 0,
        }
    }

    /// Whether a prompt could be answered.
    ///
    /// # Errors
    /// If the prompt or a setting is impossible.
    pub fn check(&self, prompt: &[u32], request: &Request) -> Result<(), GenerationError> {
        request.sampling.check().map_err(GenerationError::Setting)?;
        if request.samples == 0 {
            return Err(GenerationError::Setting("the number of samples is 0, expected at least 1".into()));
        }
        if prompt.is_empty() {
            return Err(GenerationError::Empty);
        }
        let config = self.model.config();
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

    /// Read a prompt; returns the number of its first sample, after which those of the others follow.
    ///
    /// # Errors
    /// If the prompt or a setting is impossible.
    pub fn begin(&mut self, prompt: &[u32], request: &Request) -> Result<usize, GenerationError> {
        self.check(prompt, request)?;
        let mut state = self.model.state(1, &self.device);
        let mut hidden = None;
        for chunk in prompt.chunks(CHUNK) {
            hidden = Some(self.model.extend(self.tokens(&[chunk]), &mut state));
        }
        let Some(hidden) = hidden else { return Err(GenerationError::Empty) };
        let logits = self.logits(hidden)?.concat();
        let first = self.begun;
        for sample in 0..request.samples {
            self.sequences.push(Sequence {
                number: first + sample,
                random: Stream::new(Stream::new(request.seed, self.prompts).bits(0), sample as u64),
                request: request.clone(),
                history: prompt.to_vec(),
                answered: 0,
                logits: logits.clone(),
                stream: TextStream::new(),
                stop: StopTexts::new(&request.stop),
                text: String::new(),
                log_probabilities: Vec::new(),
            });
        }
        self.prompts += 1;
        self.begun += request.samples;
        let state = state.select(&vec![0; request.samples]);
        self.state = Some(match self.state.take() {
            None => state,
            Some(others) => State::join(vec![others, state]),
        });
        Ok(first)
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// The number of sequences that are being generated.
    pub fn running(&self) -> usize {
        self.sequences.len()
    }

    /// Choose the next token of every sequence.
    ///
    /// # Errors
    /// If tokens have no text, or the model's numbers overflow.
    pub fn step(&mut self) -> Result<Vec<Event>, GenerationError> {
        let (vocabulary, context) = (self.model.config().vocabulary, self.model.config().context);
        let mut events = Vec::with_capacity(self.sequences.len());
        for sequence in &mut self.sequences {
            debug_assert_eq!(sequence.logits.len(), vocabulary);
            events.push(sequence.next(context, self.tokenizer)?);
        }
        self.leave(&events);
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

    /// End all sequences as they are.
    ///
    /// # Errors
    /// If tokens have no text.
    pub fn interrupt(&mut self) -> Result<Vec<Event>, GenerationError> {
        let tokenizer = self.tokenizer;
        let sequences = self.sequences.iter_mut();
        let events = sequences.map(|sequence| sequence.end(Finish::Interrupted, String::new(), tokenizer));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        self.leave(&events);
        Ok(events)
    }

    /// Drop the sequences that have ended.
    fn leave(&mut self, events: &[Event]) {
        let going: Vec<usize> = (0..events.len()).filter(|&row| events[row].completion.is_none()).collect();
        if going.len() == events.len() {
            return;
        }
        self.state = self.state.take().filter(|_| !going.is_empty()).map(|state| state.select(&going));
        let mut row = 0;
        self.sequences.retain(|_| {
            row += 1;
            events[row - 1].completion.is_none()
        });
    }

    fn tokens(&self, rows: &[&[u32]]) -> Tensor<2, Int> {
        rows_of_tokens(rows, &self.device)
    }

    /// The logits after the last time of each row.
    fn logits(&self, hidden: Tensor<3>) -> Result<Vec<Vec<f32>>, GenerationError> {
        let [rows, time, width] = hidden.dims();
        let last = hidden.slice([0..rows, time - 1..time, 0..width]);
        let logits: Vec<f32> = self.model.logits(last).into_data().iter::<f32>().collect();
        if let Some(&wrong) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(GenerationError::NotFinite(wrong));
        }
        Ok(logits.chunks(logits.len() / rows.max(1)).map(<[f32]>::to_vec).collect())
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
            self.log_probabilities.push(TokenLogProbability { chosen, top });
        }
        self.history.push(token);
        self.answered += 1;
        let piece = self.stream.push(token, tokenizer)?;
        match self.stop.push(&piece) {
            Passed::Last(text) => self.stopped(text),
            Passed::Text(text) => {
                if self.answered == self.request.max_tokens || self.history.len() >= context {
                    return self.end(Finish::Length, text, tokenizer);
                }
                self.text.push_str(&text);
                Ok(Event { sequence: self.number, text, completion: None })
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
        Ok(self.event(finish, text))
    }

    fn stopped(&mut self, text: String) -> Result<Event, GenerationError> {
        Ok(self.event(Finish::Stop, text))
    }

    fn event(&mut self, finish: Finish, text: String) -> Event {
        self.text.push_str(&text);
        let completion = Completion {
            text: std::mem::take(&mut self.text),
            tokens: self.stream.tokens().to_vec(),
            log_probabilities: std::mem::take(&mut self.log_probabilities),
            finish,
        };
        Event { sequence: self.number, text, completion: Some(completion) }
    }
}
