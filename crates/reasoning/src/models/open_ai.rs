//! A client of servers that speak OpenAI's HTTP interface: OpenAI itself, vLLM, llama.cpp, Ollama, and others.
//!
//! Conversations go to `BASE/chat/completions`, texts to be continued to `BASE/completions`
//! (<https://platform.openai.com/docs/api-reference>). Replies are read whole, not streamed. Nothing that the server sends
//! is trusted: sizes and times are bounded, and what cannot be read is a [`Failure`]. The key is read from an environment
//! variable, sent to this server only (redirects are not followed), and cut out of everything that comes back.

use std::time::Duration;

use base64::Engine;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, Failure, FailureKind, Finish, Identity, Message, Model, Part, Prompt, Request, Sample, Sending,
    Token, Usage,
};

pub(super) const PROVIDER: &str = "openai";

/// A model behind an OpenAI-compatible server.
pub struct OpenAiModel {
    identity: Identity,
    client: reqwest::Client,
    key: Option<Key>,
    options: OpenAiOptions,
}

/// How to reach a model behind an OpenAI-compatible server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAiOptions {
    /// The URL before `/chat/completions`, such as `http://localhost:8000/v1`, without user name, password, query or
    /// fragment.
    pub base_url: String,
    /// The model's name on the server.
    pub model: String,
    /// The version of its weights, to keep answers of another version apart. Default: none.
    pub revision: Option<String>,
    /// The environment variable that holds the key. Default: none, no key is sent.
    pub key_variable: Option<String>,
    /// The time for a whole reply. Default: 10 min.
    pub timeout: Duration,
    /// The time for a connection. Default: 10 s.
    pub connect_timeout: Duration,
    /// The most bytes of a reply. Default: 64 MiB.
    pub most_bytes: usize,
    /// The most samples that the server gives for one request. Default: no limit.
    pub most_samples: usize,
}

impl OpenAiOptions {
    /// The defaults for a model of a server.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        OpenAiOptions {
            base_url: base_url.into(),
            model: model.into(),
            revision: None,
            key_variable: None,
            timeout: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            most_bytes: 64 << 20,
            most_samples: usize::MAX,
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenAiError {
    /// The base URL is none, or holds what it must not.
    #[error("{url} is not usable as a base URL: {reason}")]
    Url {
        /// The URL, without user name and password.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The environment variable for the key is not set, or not usable.
    #[error("the environment variable {variable}, which should hold the key, {reason}")]
    Key {
        /// Its name.
        variable: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The system gives no client: its certificates cannot be read, say.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

impl OpenAiModel {
    /// A client.
    pub fn new(options: OpenAiOptions) -> Result<Self, OpenAiError> {
        let url = base_url(&options.base_url)?;
        let key = options.key_variable.as_deref().map(Key::from_environment).transpose()?;
        // Only the first call installs it; another provider that the program has chosen is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(usize::MAX)
            .user_agent(concat!("mathesis/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| OpenAiError::Client(error.to_string()))?;
        let identity = Identity {
            provider: PROVIDER.into(),
            endpoint: url.as_str().trim_end_matches('/').into(),
            model: options.model.clone(),
            revision: options.revision.clone(),
        };
        Ok(OpenAiModel { identity, client, key, options })
    }

    async fn exchange(&self, request: &Request) -> Result<Vec<u8>, Failure> {
        let path = match request.prompt {
            Prompt::Chat(_) => "chat/completions",
            Prompt::Completion(_) | Prompt::Continuations { .. } => "completions",
        };
        let mut message = self.client.post(format!("{}/{path}", self.identity.endpoint));
        if let Some(key) = &self.key {
            message = message.header(AUTHORIZATION, key.header.clone());
        }
        let body = serde_json::to_vec(&body(&self.identity, request)).expect("a request has text keys only");
        let sent = message.header(CONTENT_TYPE, "application/json").body(body).send().await;
        let mut response = sent.map_err(|error| self.transport_failure(error))?;

        let (status, headers) = (response.status(), response.headers().clone());
        // An error page is wanted for its message only.
        let most = if status.is_success() { self.options.most_bytes } else { 64 << 10 };
        let mut reply = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(self.transport_failure(error)),
            };
            if reply.len() + chunk.len() > most {
                if !status.is_success() {
                    break;
                }
                return Err(Failure::new(FailureKind::TooLarge, format!("the reply exceeds {most} bytes")));
            }
            reply.extend_from_slice(&chunk);
        }
        if let Some(key) = &self.key {
            key.cut_out(&mut reply);
        }
        match status.is_success() {
            true => Ok(reply),
            false => Err(status_failure(status, &headers, &reply)),
        }
    }

    fn transport_failure(&self, error: reqwest::Error) -> Failure {
        let kind = if error.is_connect() {
            FailureKind::Unreachable
        } else if error.is_timeout() {
            FailureKind::Timeout
        } else {
            FailureKind::Connection
        };
        // The causes say what happened; the outermost error only that something did.
        let error = error.without_url();
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        if let Some(key) = &self.key {
            message = message.replace(&key.secret, Key::REPLACEMENT);
        }
        Failure::new(kind, message)
    }
}

impl Model for OpenAiModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        Box::pin(self.exchange(request))
    }

    fn read(&self, request: &Request, reply: &[u8]) -> Result<Answer, Failure> {
        read(request, reply)
    }

    fn most_samples(&self) -> usize {
        self.options.most_samples
    }
}

/// A secret. It has no way to be printed.
struct Key {
    secret: String,
    header: HeaderValue,
}

impl Key {
    const REPLACEMENT: &str = "[key]";

    fn from_environment(variable: &str) -> Result<Self, OpenAiError> {
        let wrong = |reason| OpenAiError::Key { variable: variable.into(), reason };
        let secret = match std::env::var(variable) {
            Ok(secret) => secret.trim().to_string(),
            Err(std::env::VarError::NotPresent) => return Err(wrong("is not set")),
            Err(std::env::VarError::NotUnicode(_)) => return Err(wrong("is not text")),
        };
        if secret.is_empty() {
            return Err(wrong("is empty"));
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {secret}"))
            .map_err(|_| wrong("holds characters that cannot be sent"))?;
        header.set_sensitive(true);
        Ok(Key { secret, header })
    }

    /// Replaces the key in what a server sent: some repeat it in their error messages.
    fn cut_out(&self, reply: &mut Vec<u8>) {
        let secret = self.secret.as_bytes();
        let mut from = 0;
        while let Some(at) = reply[from..].windows(secret.len()).position(|window| window == secret) {
            let at = from + at;
            reply.splice(at..at + secret.len(), Key::REPLACEMENT.bytes());
            from = at + Key::REPLACEMENT.len();
        }
    }
}

fn base_url(text: &str) -> Result<Url, OpenAiError> {
    let wrong = |url: &str, reason: &str| OpenAiError::Url { url: url.into(), reason: reason.into() };
    // What does not parse may hold a password anywhere; it is not repeated.
    let mut url = Url::parse(text).map_err(|error| wrong("the text", &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        let _ = (url.set_username(""), url.set_password(None));
        return Err(wrong(url.as_str(), "it holds a user name or password; keys come from the environment"));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(url.as_str(), "it starts with neither http:// nor https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        url.set_query(None);
        url.set_fragment(None);
        return Err(wrong(url.as_str(), "it holds a query or a fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The body of a request.
fn body(model: &Identity, request: &Request) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    };
    put("model", Some(model.model.as_str().into()));
    let sampling = &request.sampling;
    match &request.prompt {
        Prompt::Chat(messages) => {
            put("messages", Some(messages.iter().map(message).collect()));
            put("logprobs", request.log_probabilities.map(|_| true.into()));
            put("top_logprobs", request.log_probabilities.filter(|count| *count > 0).map(Value::from));
            // OpenAI's own models that reason accept only the new name, most other servers only the old one.
            let limit = match model.endpoint.starts_with("https://api.openai.com/") {
                true => "max_completion_tokens",
                false => "max_tokens",
            };
            put(limit, sampling.max_tokens.map(Value::from));
        }
        Prompt::Completion(text) => {
            put("prompt", Some(text.as_str().into()));
            put("logprobs", request.log_probabilities.map(Value::from));
            put("max_tokens", sampling.max_tokens.map(Value::from));
        }
        Prompt::Continuations { context, .. } => {
            let texts: Vec<String> =
                asked_continuations(request).iter().map(|text| format!("{context}{text}")).collect();
            put(
                "prompt",
                Some(if let [only] = texts.as_slice() { only.as_str().into() } else { texts.into() }),
            );
            put("echo", Some(true.into()));
            put("logprobs", Some(request.log_probabilities.unwrap_or(1).into()));
            put("max_tokens", sampling.max_tokens.map(Value::from));
        }
    }
    let is_written = !matches!(request.prompt, Prompt::Continuations { .. });
    put("n", (is_written && request.samples > 1).then(|| request.samples.into()));
    put("temperature", sampling.temperature.map(Value::from));
    put("top_p", sampling.top_p.map(Value::from));
    put("stop", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()));
    // Servers read the seed as a signed number of 64 bits.
    let seed = sampling.seed.map(|seed| seed.wrapping_add(request.first_sample as u64) & i64::MAX as u64);
    put("seed", seed.map(Value::from));
    put("presence_penalty", sampling.presence_penalty.map(Value::from));
    put("frequency_penalty", sampling.frequency_penalty.map(Value::from));
    for (name, value) in &sampling.more {
        put(name, Some(value.clone()));
    }
    Value::Object(body)
}

fn message(message: &Message) -> Value {
    let content: Value = match message.content.as_slice() {
        [Part::Text(text)] => text.as_str().into(),
        parts => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => json!({"type": "text", "text": text}),
                Part::Image(image) => {
                    let data = base64::engine::general_purpose::STANDARD.encode(&image.bytes);
                    let url = format!("data:{};base64,{data}", image.media_type);
                    json!({"type": "image_url", "image_url": {"url": url}})
                }
            })
            .collect(),
    };
    json!({"role": message.role.name(), "content": content})
}

/// What a response with an error status means.
fn status_failure(status: StatusCode, headers: &HeaderMap, page: &[u8]) -> Failure {
    let page = String::from_utf8_lossy(page);
    let error = serde_json::from_str::<Value>(&page).ok().map(|mut page| match page.get_mut("error") {
        Some(error) => error.take(),
        None => page,
    });
    let field = |name: &str| error.as_ref().and_then(|error| error.get(name)?.as_str()).unwrap_or_default();
    let message = match (field("message"), &error) {
        ("", Some(Value::String(text))) => text.as_str(),
        ("", _) => page.trim(),
        (message, _) => message,
    };
    let (code, lower) = (format!("{} {}", field("code"), field("type")), message.to_lowercase());
    let says = |texts: &[&str]| texts.iter().any(|text| code.contains(text) || lower.contains(text));
    let kind = match status.as_u16() {
        429 if says(&["insufficient_quota"]) => FailureKind::Quota,
        429 => FailureKind::RateLimited,
        401 | 403 => FailureKind::Unauthorized,
        402 => FailureKind::Quota,
        408 | 409 | 425 | 500.. => FailureKind::Server,
        400 | 413 | 422
            if says(&["context_length_exceeded", "context length", "context size", "context window"]) =>
        {
            FailureKind::ContextOverflow
        }
        400 | 422 if says(&["content_filter", "content_policy_violation", "content management policy"]) => {
            FailureKind::ContentFilter
        }
        _ => FailureKind::Rejected,
    };
    const MOST: usize = 500;
    let shown: String = message.chars().take(MOST).collect();
    Failure {
        kind,
        message: format!("status {}: {shown}", status.as_u16()),
        retry_after: retry_after(headers),
    }
}

/// How long the server asks to wait: in seconds or milliseconds. A date is not followed, since clocks may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds =
        number("retry-after-ms").map(|milliseconds| milliseconds / 1000.0).or(number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<ReplyUsage>,
}

#[derive(Deserialize)]
struct ReplyUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    message: Option<ReplyMessage>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<LogProbabilities>,
}

#[derive(Deserialize)]
struct ReplyMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// Of a chat (`content`), or of a continued text (lists beside each other).
#[derive(Deserialize)]
struct LogProbabilities {
    #[serde(default)]
    content: Option<Vec<ChatToken>>,
    #[serde(default)]
    tokens: Option<Vec<String>>,
    #[serde(default)]
    token_logprobs: Option<Vec<Option<f64>>>,
    #[serde(default)]
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
    /// Where each token begins, in characters.
    #[serde(default)]
    text_offset: Option<Vec<usize>>,
}

#[derive(Deserialize)]
struct ChatToken {
    token: String,
    logprob: f64,
    #[serde(default)]
    top_logprobs: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    token: String,
    logprob: f64,
}

/// The continuations that a request asks for: those with the numbers of its samples.
fn asked_continuations(request: &Request) -> &[String] {
    let Prompt::Continuations { continuations, .. } = &request.prompt else { return &[] };
    let first = request.first_sample.min(continuations.len());
    let end = first.saturating_add(request.samples).min(continuations.len());
    &continuations[first..end]
}

/// Reads a reply to `request`, samples in the order of their indices, and no more than were asked for.
pub(super) fn read(request: &Request, reply: &[u8]) -> Result<Answer, Failure> {
    let unreadable = |message: String| Failure::new(FailureKind::Unreadable, message);
    let reply: Reply = serde_json::from_slice(reply).map_err(|error| {
        let start: String = String::from_utf8_lossy(&reply[..reply.len().min(80)]).into();
        unreadable(format!("{error}; the reply starts with {start:?}"))
    })?;
    let mut choices = reply.choices;
    choices.sort_by_key(|choice| choice.index);
    choices.truncate(request.samples);
    let samples = match &request.prompt {
        Prompt::Continuations { context, .. } => (choices.into_iter().zip(asked_continuations(request)))
            .map(|(choice, text)| continuation(choice, context, text))
            .collect::<Result<_, _>>()
            // The same server would say the same again.
            .map_err(|message| Failure::new(FailureKind::Rejected, message))?,
        Prompt::Chat(_) | Prompt::Completion(_) => {
            choices.into_iter().map(sample).collect::<Result<_, _>>().map_err(unreadable)?
        }
    };
    let usage = reply
        .usage
        .map(|usage| Usage { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens });
    Ok(Answer { samples, usage, model: reply.model.unwrap_or_default() })
}

fn sample(choice: Choice) -> Result<Sample, String> {
    let finish = match choice.finish_reason.as_deref() {
        None | Some("stop" | "eos" | "end_turn") => Finish::Stop,
        Some("length" | "max_tokens") => Finish::Length,
        Some("content_filter") => Finish::ContentFilter,
        Some(other) => Finish::Other(other.into()),
    };
    let (text, finish) = match (choice.message, choice.text) {
        (Some(ReplyMessage { content, refusal: Some(refusal) }), _) => {
            (content.filter(|content| !content.is_empty()).unwrap_or(refusal), Finish::ContentFilter)
        }
        (Some(message), _) => (message.content.unwrap_or_default(), finish),
        (None, Some(text)) => (text, finish),
        (None, None) => return Err("a choice has neither a message nor a text".into()),
    };
    Ok(Sample { text, finish, tokens: choice.logprobs.and_then(tokens) })
}

/// The tokens, or `None` if the server left some of their log-probabilities out.
fn tokens(given: LogProbabilities) -> Option<Vec<Token>> {
    if let Some(content) = given.content {
        let token = |token: ChatToken| Token {
            text: token.token,
            log_probability: token.logprob,
            alternatives: token.top_logprobs.into_iter().map(|other| (other.token, other.logprob)).collect(),
        };
        return Some(content.into_iter().map(token).collect());
    }
    let (texts, log_probabilities) = (given.tokens?, given.token_logprobs?);
    let mut alternatives = given.top_logprobs.unwrap_or_default().into_iter();
    if texts.len() != log_probabilities.len() {
        return None;
    }
    let pairs = texts.into_iter().zip(log_probabilities);
    pairs
        .map(|(text, log_probability)| {
            let others = alternatives.next().flatten().unwrap_or_default();
            let mut others: Vec<(String, f64)> =
                others.into_iter().filter_map(|(text, value)| Some((text, value.as_f64()?))).collect();
            others.sort_by(|left, right| right.1.total_cmp(&left.1));
            Some(Token { text, log_probability: log_probability?, alternatives: others })
        })
        .collect()
}

/// A continuation in the echo of a prompt: its tokens are those that end behind the context, white space at whose end counts as
/// the continuation's. Special tokens may stand before the context, and a token that had to be written behind it.
fn continuation(choice: Choice, context: &str, text: &str) -> Result<Sample, String> {
    const NO_ECHO: &str = "the server does not give log-probabilities of the prompt: completions with `echo` and \
        `logprobs` are needed";
    let given = choice.logprobs.ok_or(NO_ECHO)?;
    let (texts, values) = given.tokens.zip(given.token_logprobs).ok_or(NO_ECHO)?;
    if texts.len() != values.len() {
        return Err("there are not as many log-probabilities as tokens".into());
    }
    let prompt = format!("{context}{text}");
    let kept = prompt.len() - context.trim_end().len();
    let tokens = match echoed(&texts, &prompt, kept) {
        Some(range) => range,
        None => {
            // Tokens that hold a part of a character are not written as text: only their places tell.
            let starts = given.text_offset.filter(|starts| starts.len() == texts.len()).ok_or(NO_ECHO)?;
            let (begin, end) = (context.trim_end().chars().count(), prompt.chars().count());
            let first = starts.partition_point(|start| *start <= begin).saturating_sub(1);
            let exact = starts.get(first).is_some_and(|start| *start == begin);
            let first = if exact { starts.partition_point(|start| *start < begin) } else { first };
            first..starts.partition_point(|start| *start < end)
        }
    };
    if tokens.is_empty() {
        return Err(NO_ECHO.into());
    }
    let others = given.top_logprobs.unwrap_or_default();
    let token = |at: usize| {
        let alternatives = others.get(at).cloned().flatten().unwrap_or_default();
        let mut alternatives: Vec<(String, f64)> =
            alternatives.into_iter().filter_map(|(text, value)| Some((text, value.as_f64()?))).collect();
        alternatives.sort_by(|left, right| right.1.total_cmp(&left.1));
        let log_probability = values[at].ok_or("a token of the continuation has no log-probability")?;
        Ok::<_, String>(Token { text: texts[at].clone(), log_probability, alternatives })
    };
    let tokens = tokens.map(token).collect::<Result<_, _>>()?;
    Ok(Sample { text: text.into(), finish: Finish::Stop, tokens: Some(tokens) })
}

/// The tokens that hold the last `kept` bytes of the prompt, if the tokens without some last ones spell it out.
fn echoed(texts: &[String], prompt: &str, kept: usize) -> Option<std::ops::Range<usize>> {
    let spelled: String = texts.concat();
    let mut end = spelled.len();
    let mut written = texts.len();
    // The one token that was written, and perhaps one that ends the text.
    for _ in 0..3 {
        if spelled[..end].ends_with(prompt) && texts[..written].last().is_some_and(|last| !last.is_empty()) {
            let mut left = kept;
            let mut first = written;
            while left > 0 && first > 0 {
                first -= 1;
                left = left.saturating_sub(texts[first].len());
            }
            return Some(first..written);
        }
        written = written.checked_sub(1)?;
        end -= texts[written].len();
    }
    None
}
