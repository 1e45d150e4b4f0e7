//! Answers as a client gets them: one object, or one after another as the answers grow.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mathesis_language::generation::{Completion, Finish, LogProbability, TokenLogProbability};
use mathesis_language::serving::Piece;
use mathesis_language::text::Tokenizer;
use serde_json::{Map, Value, json};

use super::Served;
use super::question::{Question, Style};

/// The answers to a request, as far as they are known.
pub struct Reply {
    id: String,
    created: u64,
    model: String,
    style: Style,
    samples: usize,
    with_log_probabilities: bool,
    include_usage: bool,
    tokenizer: Arc<Tokenizer>,
    prompt_tokens: usize,
    completion_tokens: usize,
    choices: Vec<Choice>,
}

/// An answer.
struct Choice {
    index: usize,
    /// The first token of a prompt whose tokens are told with their probabilities.
    first: Option<u32>,
    /// What stands before the answer, and what has come of it.
    text: Text,
    completion: Option<Completion>,
}

/// A text with a place in it, which is told in characters.
struct Text {
    text: String,
    /// Bytes before the answer.
    before: usize,
    bytes: usize,
    characters: usize,
}

impl Reply {
    pub fn new(question: &Question, served: &Served) -> Self {
        let random = RandomState::new();
        let kind = if question.style == Style::Chat { "chatcmpl" } else { "cmpl" };
        let samples = question.request.samples;
        let choice = |index: usize| {
            let prompt = index / samples;
            let echo = question.echo.as_ref().map(|texts| texts[prompt].clone());
            let first = question.request.of_prompt.then(|| question.prompts[prompt][0]);
            Choice { index, first, text: Text::new(echo.unwrap_or_default()), completion: None }
        };
        Reply {
            id: format!("{kind}-{:016x}{:016x}", random.hash_one(0), random.hash_one(1)),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            model: served.name.clone(),
            style: question.style,
            samples,
            with_log_probabilities: question.request.log_probabilities.is_some(),
            include_usage: question.include_usage,
            tokenizer: served.tokenizer.clone(),
            prompt_tokens: question.prompts.iter().map(Vec::len).sum(),
            completion_tokens: 0,
            choices: (0..question.prompts.len() * samples).map(choice).collect(),
        }
    }

    /// What a stream begins with.
    pub fn opening(&self) -> Vec<Value> {
        let opens = |choice: &Choice| match self.style {
            Style::Chat => {
                Some(self.chunk(choice.index, json!({"role": "assistant", "content": ""}), None, None))
            }
            Style::Text if choice.text.before > 0 => {
                Some(self.chunk(choice.index, choice.text.text.clone().into(), None, None))
            }
            Style::Text => None,
        };
        self.choices.iter().filter_map(opens).collect()
    }

    /// Take something new, whose text is to go out piece by piece; returns what goes out.
    pub fn grow(&mut self, piece: Piece) -> Vec<Value> {
        let index = piece.prompt * self.samples + piece.sample;
        let Some(choice) = self.choices.get_mut(index) else { return Vec::new() };
        choice.text.text.push_str(&piece.text);
        let log_probabilities =
            (self.with_log_probabilities && !piece.log_probabilities.is_empty()).then(|| {
                let told = Told { tokens: &piece.log_probabilities, ..Told::default() };
                log_probabilities(self.style, told, &mut choice.text, &self.tokenizer)
            });
        let mut chunks = Vec::new();
        if !piece.text.is_empty() || log_probabilities.is_some() {
            let content = match self.style {
                Style::Chat => json!({"content": piece.text}),
                Style::Text => piece.text.into(),
            };
            chunks.push(self.chunk(index, content, log_probabilities, None));
        }
        if let Some(completion) = piece.completion {
            let content = match self.style {
                Style::Chat => json!({}),
                Style::Text => "".into(),
            };
            chunks.push(self.chunk(index, content, None, Some(completion.finish)));
            self.end(index, Completion { text: String::new(), log_probabilities: Vec::new(), ..completion });
        }
        chunks
    }

    /// Take something new, of which only whole answers are wanted.
    pub fn collect(&mut self, piece: Piece) {
        if let Some(completion) = piece.completion {
            self.end(piece.prompt * self.samples + piece.sample, completion);
        }
    }

    /// Whether all answers are whole.
    pub fn is_whole(&self) -> bool {
        self.choices.iter().all(|choice| choice.completion.is_some())
    }

    /// Tokens of all answers that are whole.
    pub fn completion_tokens(&self) -> usize {
        self.completion_tokens
    }

    /// What a stream ends with.
    pub fn closing(&self) -> Option<Value> {
        self.include_usage.then(|| {
            let mut chunk = self.head("chunk");
            chunk.insert("choices".into(), json!([]));
            chunk.insert("usage".into(), self.usage());
            Value::Object(chunk)
        })
    }

    /// All answers in one object.
    pub fn whole(mut self) -> Value {
        let mut reply = self.head("");
        let (style, with, tokenizer) = (self.style, self.with_log_probabilities, &self.tokenizer);
        let choices = self.choices.iter_mut().map(|choice| {
            let (mut given, mut finish) = (Value::Null, Finish::Stop);
            if let Some(completion) = &choice.completion {
                finish = completion.finish;
                choice.text.text.push_str(&completion.text);
                if with {
                    let Completion { log_probabilities: tokens, of_prompt, .. } = completion;
                    let told = Told { first: choice.first, of_prompt, tokens };
                    given = log_probabilities(style, told, &mut choice.text, tokenizer);
                }
            }
            let mut object = json!({
                "index": choice.index, "logprobs": given, "finish_reason": finish_reason(finish),
            });
            let text = std::mem::take(&mut choice.text.text);
            match style {
                Style::Chat => {
                    object["message"] = json!({"role": "assistant", "content": text, "refusal": null});
                }
                Style::Text => object["text"] = text.into(),
            }
            object
        });
        reply.insert("choices".into(), choices.collect());
        reply.insert("usage".into(), self.usage());
        Value::Object(reply)
    }

    fn end(&mut self, index: usize, completion: Completion) {
        self.completion_tokens += completion.tokens.len();
        if let Some(choice) = self.choices.get_mut(index) {
            choice.completion = Some(completion);
        }
    }

    fn chunk(
        &self,
        index: usize,
        content: Value,
        log_probabilities: Option<Value>,
        finish: Option<Finish>,
    ) -> Value {
        let key = if self.style == Style::Chat { "delta" } else { "text" };
        let mut chunk = self.head("chunk");
        let choice = json!({
            "index": index, key: content, "logprobs": log_probabilities, "finish_reason": finish.map(finish_reason),
        });
        chunk.insert("choices".into(), json!([choice]));
        if self.include_usage {
            chunk.insert("usage".into(), Value::Null);
        }
        Value::Object(chunk)
    }

    /// What all objects have in common; those of a stream of a chat have a kind of their own.
    fn head(&self, part: &str) -> Map<String, Value> {
        let kind = match (self.style, part) {
            (Style::Chat, "chunk") => "chat.completion.chunk",
            (Style::Chat, _) => "chat.completion",
            (Style::Text, _) => "text_completion",
        };
        let mut head = Map::new();
        head.insert("id".into(), self.id.clone().into());
        head.insert("object".into(), kind.into());
        head.insert("created".into(), self.created.into());
        head.insert("model".into(), self.model.clone().into());
        head
    }

    fn usage(&self) -> Value {
        let (prompt, completion) = (self.prompt_tokens, self.completion_tokens);
        json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        })
    }
}

impl Text {
    fn new(before: String) -> Self {
        Text { before: before.len(), text: before, bytes: 0, characters: 0 }
    }

    /// The number of characters before a byte, which is not before the last one that was asked for.
    fn characters_before(&mut self, bytes: usize) -> usize {
        if let Some(between) = self.text.get(self.bytes..bytes) {
            self.characters += between.chars().count();
            self.bytes = bytes;
        }
        self.characters
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        // What the time limit has broken off is too short as well.
        Finish::Length | Finish::Interrupted => "length",
    }
}

/// Tokens whose probabilities are told.
#[derive(Default)]
struct Told<'a> {
    /// The first of the prompt, which has none.
    first: Option<u32>,
    /// Those of the prompt that follow.
    of_prompt: &'a [TokenLogProbability],
    /// Those of the answer.
    tokens: &'a [TokenLogProbability],
}

fn log_probabilities(
    style: Style,
    Told { first, of_prompt, tokens }: Told<'_>,
    text: &mut Text,
    tokenizer: &Tokenizer,
) -> Value {
    let written = |token: u32| written(&tokenizer.bytes(token));
    match style {
        Style::Chat => {
            let one = |LogProbability { token, value }: LogProbability| {
                let bytes = tokenizer.bytes(token);
                json!({"token": self::written(&bytes), "logprob": value, "bytes": bytes})
            };
            let entry = |token: &TokenLogProbability| {
                let mut entry = one(token.chosen);
                entry["top_logprobs"] = token.top.iter().map(|&top| one(top)).collect();
                entry
            };
            json!({"content": tokens.iter().map(entry).collect::<Vec<_>>(), "refusal": null})
        }
        Style::Text => {
            let top = |token: &TokenLogProbability| -> Value {
                // The likeliest of several that are written alike.
                let top = token.top.iter().rev();
                Value::Object(top.map(|top| (written(top.token), top.value.into())).collect())
            };
            let first_token = first.map(|token| (written(token), Value::Null, Value::Null, 0));
            let before = text.before;
            let all = of_prompt
                .iter()
                .map(|token| (token, token.offset.min(before)))
                .chain(tokens.iter().map(|token| (token, before + token.offset)));
            let all = all.map(|(token, bytes)| {
                (written(token.chosen.token), token.chosen.value.into(), top(token), bytes)
            });
            let mut columns = [(); 4].map(|()| Vec::new());
            for (token, value, top, bytes) in first_token.into_iter().chain(all) {
                let row = [token.into(), value, top, text.characters_before(bytes).into()];
                columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
            }
            let [tokens, values, tops, offsets] = columns;
            json!({
                "tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets,
            })
        }
    }
}

/// A token as text; bytes that are no whole characters are written as such.
fn written(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_string(),
        Err(_) => {
            let bytes = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
            format!("bytes:{}", bytes.collect::<String>())
        }
    }
}
