//! What a request asks for: the body of a request as prompts and a request to the decoder.

use std::hash::{BuildHasher, RandomState};

use mathesis_language::generation::{Request, Sampling};
use mathesis_language::text::Message;
use serde_json::Value;

use super::Served;
use super::error::ApiError;
use super::parameters::{Parameters, missing, wrong};

/// The two ways to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Messages of a chat, `/v1/chat/completions`.
    Chat,
    /// A text to go on from, `/v1/completions`.
    Text,
}

/// What is asked for.
pub struct Question {
    pub style: Style,
    pub prompts: Vec<Vec<u32>>,
    pub request: Request,
    /// For each prompt the text that stands before its answers.
    pub echo: Option<Vec<String>>,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub include_usage: bool,
}

/// The most answers to one request.
const CHOICES: usize = 128;
/// The most likeliest tokens beside a token.
const TOP: usize = 20;
/// The most stop texts, and their longest, in bytes.
const STOP: (usize, usize) = (16, 256);
/// Tokens of an answer to a text if nobody says how many.
const TEXT_TOKENS: usize = 16;

impl Style {
    /// The parameter with the prompt.
    pub fn prompt(self) -> &'static str {
        match self {
            Style::Chat => "messages",
            Style::Text => "prompt",
        }
    }
}

impl Question {
    /// What a body asks for. Takes the time that it takes to make tokens of texts.
    ///
    /// # Errors
    /// What a client is told if it cannot be asked for.
    pub fn read(style: Style, body: &[u8], served: &Served) -> Result<Self, ApiError> {
        let mut parameters = Parameters::parse(body)?;
        let model = parameters.optional("model", "a text", |value| value.as_str().map(String::from))?;
        match model {
            None => return Err(missing("model", &format!("the name of a model: `{}`", served.name))),
            Some(model) if model != served.name => return Err(no_such_model(&model, served)),
            Some(_) => {}
        }
        let settings = Settings::take(style, &mut parameters, served)?;
        let prompt = parameters.take(style.prompt());
        parameters.finish()?;
        let (prompts, texts) = match (style, &prompt) {
            (Style::Chat, Some(messages)) => (vec![chat(messages, served)?], None),
            (Style::Text, Some(prompt)) => texts(prompt, settings.echo, served)?,
            (Style::Chat, None) => return Err(missing("messages", "a list of messages")),
            (Style::Text, None) => return Err(missing("prompt", "a text, tokens, or a list of these")),
        };
        if prompts.len() * settings.request.samples > CHOICES {
            let (prompts, samples) = (prompts.len(), settings.request.samples);
            let message =
                format!("`n` is {samples} for {prompts} prompts, expected at most {CHOICES} answers in all");
            return Err(ApiError::parameter("n", "invalid_value", message));
        }
        let mut request = settings.request;
        request.max_tokens = settings.length.of(&prompts, style, served)?;
        let Settings { stream, include_usage, .. } = settings;
        Ok(Question { style, prompts, request, echo: texts, stream, include_usage })
    }
}

/// All that is neither model nor prompt.
struct Settings {
    request: Request,
    length: Length,
    echo: bool,
    stream: bool,
    include_usage: bool,
}

/// How many tokens an answer may have at most.
struct Length {
    /// The parameter that says so, and what it says.
    given: Option<(&'static str, usize)>,
}

impl Settings {
    fn take(style: Style, parameters: &mut Parameters, served: &Served) -> Result<Self, ApiError> {
        let known = served.defaults.sampling;
        let sampling = Sampling {
            temperature: parameters.number("temperature", 0.0, 2.0)?.unwrap_or(known.temperature),
            top_k: match parameters.optional("top_k", "a whole number; 0 or -1 for all", Value::as_i64)? {
                None => known.top_k,
                Some(-1 | 0) => None,
                Some(most) => Some(
                    usize::try_from(most)
                        .map_err(|_| wrong("top_k", &most.into(), "a whole number of at least -1"))?,
                ),
            },
            top_p: parameters
                .optional("top_p", "a number above 0 and up to 1", |value| {
                    value.as_f64().filter(|&part| part > 0.0 && part <= 1.0)
                })?
                .or(known.top_p),
            min_p: parameters.number("min_p", 0.0, 1.0)?.or(known.min_p),
            repetition_penalty: parameters
                .optional("repetition_penalty", "a number above 0", |value| {
                    value.as_f64().filter(|&penalty| penalty > 0.0 && penalty.is_finite())
                })?
                .unwrap_or(known.repetition_penalty),
        };
        let seed = parameters.optional("seed", "a whole number of 64 bits", |value| {
            // Signed ones are other names of unsigned ones.
            value.as_u64().or(value.as_i64().map(i64::cast_unsigned))
        })?;
        let most = served.limits.samples.min(CHOICES);
        let samples = parameters.whole("n", 1, most)?.unwrap_or(1);
        let stop = parameters.optional("stop", &stop_form(), stop)?.unwrap_or_default();
        let stream = parameters.flag("stream")?;
        let include_usage = match parameters.take("stream_options") {
            None => false,
            Some(_) if !stream => {
                let message = "`stream_options` is there without `stream`, expected `stream` to be true";
                return Err(ApiError::parameter("stream_options", "invalid_value", message));
            }
            Some(options) => usage_wanted(&options)?,
        };
        let mut echo = false;
        let log_probabilities = match style {
            Style::Chat => {
                let wanted = parameters.flag("logprobs")?;
                let top = parameters.whole("top_logprobs", 0, TOP)?;
                if top.is_some_and(|top| top > 0) && !wanted {
                    let message =
                        "`top_logprobs` is there without `logprobs`, expected `logprobs` to be true";
                    return Err(ApiError::parameter("top_logprobs", "invalid_value", message));
                }
                wanted.then(|| top.unwrap_or(0))
            }
            Style::Text => {
                echo = parameters.flag("echo")?;
                let top = parameters.whole("logprobs", 0, TOP)?;
                if echo && top.is_some() && stream {
                    let message =
                        "`echo` together with `logprobs` is supported by this server only without `stream`";
                    return Err(ApiError::parameter("echo", "unsupported_parameter", message));
                }
                top
            }
        };
        let length = Length::take(style, parameters)?;
        refuse_the_unsupported(style, parameters, samples)?;
        let request = Request {
            max_tokens: 0,
            sampling,
            stop,
            end: served.defaults.end.clone(),
            seed: seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
            samples,
            log_probabilities,
            of_prompt: echo && log_probabilities.is_some(),
        };
        Ok(Settings { request, length, echo, stream, include_usage })
    }
}

impl Length {
    fn take(style: Style, parameters: &mut Parameters) -> Result<Self, ApiError> {
        let least = if style == Style::Chat { 1 } else { 0 };
        let old = parameters.whole("max_tokens", least, usize::MAX)?;
        let new = match style {
            Style::Chat => parameters.whole("max_completion_tokens", least, usize::MAX)?,
            Style::Text => None,
        };
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let message = format!("`max_tokens` is {old}, expected the same as max_completion_tokens, {new}");
            return Err(ApiError::parameter("max_tokens", "invalid_value", message));
        }
        let given = new.map(|most| ("max_completion_tokens", most));
        Ok(Length { given: given.or(old.map(|most| ("max_tokens", most))) })
    }

    /// The most tokens of the answers to these prompts.
    ///
    /// # Errors
    /// If a prompt is too long, or leaves no room for what was asked for.
    fn of(&self, prompts: &[Vec<u32>], style: Style, served: &Served) -> Result<usize, ApiError> {
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let (limit, total) = (served.limits.prompt, served.limits.total);
        let exceeded = |parameter: &str, message: String| {
            ApiError::parameter(parameter, "context_length_exceeded", message)
        };
        if longest > limit {
            let message = format!("the prompt has {longest} tokens, expected at most {limit}");
            return Err(exceeded(style.prompt(), message));
        }
        let room = total - longest;
        match self.given {
            Some((name, most)) if most > room => {
                let message = format!(
                    "`{name}` is {most} after {longest} tokens of the prompt, expected at most {total} tokens together \
                     (the context length)"
                );
                Err(exceeded(name, message))
            }
            Some((_, most)) => Ok(most),
            None => {
                let usual = served.defaults.max_tokens;
                let usual = usual.unwrap_or(if style == Style::Text { TEXT_TOKENS } else { usize::MAX });
                Ok(usual.min(room))
            }
        }
    }
}

pub fn no_such_model(model: &str, served: &Served) -> ApiError {
    let shown: String = model.chars().take(200).collect();
    let message = format!("there is no model `{shown}` here, expected `{}`", served.name);
    ApiError::parameter("model", "model_not_found", message).status(axum::http::StatusCode::NOT_FOUND)
}

/// Parameters of the interface that nothing here fulfils.
fn refuse_the_unsupported(style: Style, parameters: &mut Parameters, samples: usize) -> Result<(), ApiError> {
    let zero = |value: &Value| value.as_f64() == Some(0.0);
    let empty = |value: &Value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    let off = |value: &Value| *value == Value::Bool(false);
    let never = |_: &Value| false;
    parameters.ignore(&["user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier"]);
    parameters.unsupported("frequency_penalty", zero)?;
    parameters.unsupported("presence_penalty", zero)?;
    parameters.unsupported("logit_bias", empty)?;
    match style {
        Style::Chat => {
            parameters.unsupported("tools", empty)?;
            parameters.unsupported("tool_choice", |value| *value == "none" || *value == "auto")?;
            parameters.unsupported("parallel_tool_calls", Value::is_boolean)?;
            parameters.unsupported("functions", empty)?;
            parameters.unsupported("function_call", |value| *value == "none" || *value == "auto")?;
            parameters.unsupported("response_format", |value| value["type"] == "text")?;
            parameters.unsupported("modalities", |value| *value == serde_json::json!(["text"]))?;
            parameters.unsupported("store", off)?;
            for name in ["audio", "prediction", "reasoning_effort", "verbosity", "web_search_options"] {
                parameters.unsupported(name, never)?;
            }
        }
        Style::Text => {
            parameters.unsupported("best_of", |value| value.as_u64() == Some(samples as u64))?;
            parameters.unsupported("suffix", |value| *value == "")?;
        }
    }
    Ok(())
}

fn stop_form() -> String {
    format!("a text or a list of at most {} texts, each with 1 to {} bytes", STOP.0, STOP.1)
}

fn stop(value: &Value) -> Option<Vec<String>> {
    let texts: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => {
            texts.iter().map(|text| text.as_str().map(String::from)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let fine = texts.len() <= STOP.0 && texts.iter().all(|text| (1..=STOP.1).contains(&text.len()));
    fine.then_some(texts)
}

fn usage_wanted(options: &Value) -> Result<bool, ApiError> {
    let Value::Object(object) = options else {
        return Err(wrong("stream_options", options, "an object with `include_usage`"));
    };
    for (name, value) in object {
        // Padding against listeners on the line; what it asks for is nothing in the text.
        let known = name == "include_usage" || name == "include_obfuscation";
        if !known || !(value.is_boolean() || value.is_null()) {
            let name = format!("stream_options.{name}");
            return Err(wrong(&name, value, "`include_usage` to be true or false"));
        }
    }
    Ok(object.get("include_usage") == Some(&Value::Bool(true)))
}

/// The tokens of a chat.
fn chat(messages: &Value, served: &Served) -> Result<Vec<u32>, ApiError> {
    let Some(template) = &served.chat else {
        let message = format!("`{}` has no chat template; ask /v1/completions", served.name);
        return Err(ApiError::new(axum::http::StatusCode::BAD_REQUEST, message).code("no_chat_template"));
    };
    let list = match messages.as_array() {
        Some(list) if !list.is_empty() => list,
        _ => return Err(wrong("messages", messages, "a list of messages, at least one")),
    };
    let messages: Vec<Message> =
        list.iter().enumerate().map(|(number, value)| message(number, value)).collect::<Result<_, _>>()?;
    let text = template
        .render(&messages, true)
        .map_err(|error| ApiError::parameter("messages", "invalid_value", error.to_string()))?;
    // The template writes the special tokens itself.
    encoded(&text, false, "messages", served)
}

fn message(number: usize, value: &Value) -> Result<Message, ApiError> {
    let place = format!("messages[{number}]");
    let Some(object) = value.as_object() else {
        return Err(wrong(&place, value, "an object with `role` and `content`"));
    };
    let inner = |key: &str| format!("{place}.{key}");
    for (key, value) in object {
        // Replies come back as they were, with the names of all that was not in them.
        let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !matches!(key.as_str(), "role" | "content") && !nothing {
            let name = inner(key);
            let message = format!("`{name}` is not supported by this server");
            return Err(ApiError::parameter(&name, "unsupported_parameter", message));
        }
    }
    let role = match object.get("role") {
        Some(Value::String(role)) => role.clone(),
        Some(other) => return Err(wrong(&inner("role"), other, "a text")),
        None => return Err(missing(&inner("role"), "a text")),
    };
    let content = match object.get("content") {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().enumerate().map(|(part, value)| {
                let name = format!("{place}.content[{part}]");
                match (value["type"].as_str(), value["text"].as_str()) {
                    (Some("text"), Some(text)) => Ok(text),
                    (Some("text") | None, _) => Err(wrong(&name, value, "`type` and `text`, both texts")),
                    (Some(kind), _) => {
                        let shown: String = kind.chars().take(60).collect();
                        let message = format!("`{name}` is of the type `{shown}`, expected `text`");
                        Err(ApiError::parameter(&name, "unsupported_parameter", message))
                    }
                }
            });
            texts.collect::<Result<Vec<_>, _>>()?.join("\n")
        }
        Some(Value::Null) | None => return Err(missing(&inner("content"), "a text or a list of parts")),
        Some(other) => return Err(wrong(&inner("content"), other, "a text or a list of parts")),
    };
    Ok(Message { role, content })
}

type PromptsAndTexts = (Vec<Vec<u32>>, Option<Vec<String>>);

/// The tokens of texts, or tokens as they are given; with their texts if `echo`.
fn texts(prompt: &Value, echo: bool, served: &Served) -> Result<PromptsAndTexts, ApiError> {
    let expected = "a text, a list of texts, a list of tokens, or a list of lists of tokens";
    let token = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let tokens = |value: &Value| value.as_array()?.iter().map(token).collect::<Option<Vec<u32>>>();
    let each: Vec<&Value> = match prompt {
        Value::Array(list) if list.is_empty() => return Err(wrong("prompt", prompt, expected)),
        Value::Array(list) if !list[0].is_number() => list.iter().collect(),
        one => vec![one],
    };
    if each.len() > CHOICES {
        let message = format!("`prompt` is a list of {}, expected at most {CHOICES}", each.len());
        return Err(ApiError::parameter("prompt", "invalid_value", message));
    }
    let (mut prompts, mut texts) = (Vec::new(), Vec::new());
    for value in each {
        let tokens = match value {
            Value::String(text) => {
                texts.push(text.clone());
                encoded(text, true, "prompt", served)?
            }
            value => {
                let tokens = tokens(value).ok_or_else(|| wrong("prompt", value, expected))?;
                if echo {
                    let text = served.tokenizer.decode(&tokens);
                    let text = text.map_err(|error| wrong_text("prompt", &error))?;
                    texts.push(text);
                }
                tokens
            }
        };
        if tokens.is_empty() {
            let message = "`prompt` has no tokens, expected at least one";
            return Err(ApiError::parameter("prompt", "invalid_value", message));
        }
        prompts.push(tokens);
    }
    Ok((prompts, echo.then_some(texts)))
}

fn encoded(text: &str, special: bool, name: &str, served: &Served) -> Result<Vec<u32>, ApiError> {
    served.tokenizer.encode(text, special).map_err(|error| wrong_text(name, &error))
}

fn wrong_text(name: &str, error: &mathesis_language::text::TokenizerError) -> ApiError {
    ApiError::parameter(name, "invalid_value", format!("`{name}` has no tokens: {error}"))
}
