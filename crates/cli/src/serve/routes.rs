//! Which requests are answered, and how a request becomes a reply.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use mathesis_language::serving::{Heard, Piece, Ticket};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Served;
use super::error::ApiError;
use super::metrics::Observed;
use super::question::{Question, Style};
use super::reply::Reply;

/// The time in which the body of a request must come.
const BODY: Duration = Duration::from_secs(30);
/// Bytes of a body that is too long which are read and dropped, so that the client gets to read why.
const DROPPED: usize = 16 << 20;
/// While nothing is said on a stream, this often a sign of life goes out.
const ALIVE: Duration = Duration::from_secs(15);
/// What ends a stream.
const DONE: &str = "[DONE]";

pub fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(|served, request| answer(Style::Chat, served, request)))
        .route("/v1/completions", post(|served, request| answer(Style::Text, served, request)))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(unknown_address)
        .method_not_allowed_fallback(unknown_method)
        .with_state(served)
}

async fn models(State(served): State<Arc<Served>>) -> Response {
    json_response(&json!({"object": "list", "data": [described(&served)]}))
}

async fn model(State(served): State<Arc<Served>>, Path(name): Path<String>) -> Response {
    if name == served.name {
        json_response(&described(&served))
    } else {
        super::question::no_such_model(&name, &served).into_response()
    }
}

fn described(served: &Served) -> Value {
    json!({
        "id": served.name, "object": "model", "created": served.since, "owned_by": "mathesis",
        "context_length": served.limits.total,
    })
}

async fn health(State(served): State<Arc<Served>>) -> Response {
    let load = served.service.load();
    let (status, word) = match load.open {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let body = json!({"status": word, "running": load.running, "waiting": load.waiting});
    (status, json_response(&body)).into_response()
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let load = served.service.load();
    match served.metrics.text(load.running, load.waiting) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn unknown_address(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!(
        "{method} {path} is not known, expected /v1/chat/completions, /v1/completions, /v1/models, /health or /metrics"
    );
    ApiError::new(StatusCode::NOT_FOUND, message).code("unknown_url")
}

async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    let other = if method == Method::POST { "GET" } else { "POST" };
    let message = format!("{method} is not known for {}, expected {other}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed")
}

fn json_response(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A question that has been accepted, and what is heard of it.
struct Asked {
    reply: Reply,
    heard: UnboundedReceiver<Heard>,
    /// With it the interest in the answers ends.
    _ticket: Ticket,
    observed: Observed,
}

/// An answer to a request. When the client goes away this is dropped, and with it the interest in the answer.
async fn answer(style: Style, State(served): State<Arc<Served>>, request: Request) -> Response {
    let mut observed = served.metrics.arrived(style);
    let question = match question(style, &served, request).await {
        Ok(question) => question,
        Err(error) => {
            observed.fails(error.status);
            return error.into_response();
        }
    };
    let stream = question.stream;
    let asked = match ask(question, &served, observed).await {
        Ok(asked) => asked,
        Err(error) => return error.into_response(),
    };
    if stream { streamed(asked) } else { whole(asked).await.unwrap_or_else(ApiError::into_response) }
}

async fn question(style: Style, served: &Arc<Served>, request: Request) -> Result<Question, ApiError> {
    let body = body(request, served.limits.body).await?;
    let served = served.clone();
    // Making tokens of a long text takes a while.
    let read = tokio::task::spawn_blocking(move || Question::read(style, &body, &served)).await;
    read.unwrap_or_else(|error| Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
}

/// The body of a request, if it is JSON and not too long.
async fn body(request: Request, most: usize) -> Result<Bytes, ApiError> {
    if !is_json(request.headers()) {
        let message = "the body must be JSON, expected the header Content-Type: application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let late = |_| {
        let message = format!("the body has not come within {} s", BODY.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
    };
    let body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut pieces = body.into_data_stream();
    let read = async {
        let (mut whole, mut length) = (Vec::with_capacity(announced.min(most)), 0_usize);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                ApiError::new(StatusCode::BAD_REQUEST, format!("the body breaks off: {error}"))
            })?;
            length = length.saturating_add(piece.len());
            if length > most.saturating_add(DROPPED) {
                break;
            }
            if length <= most {
                whole.extend_from_slice(&piece);
            }
        }
        if length > most {
            let message = format!("the body is too long, expected at most {most} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        Ok(Bytes::from(whole))
    };
    tokio::time::timeout(BODY, read).await.map_err(late)?
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Ask, and wait for the turn: who is not answered at all is told so by the status.
async fn ask(question: Question, served: &Served, mut observed: Observed) -> Result<Asked, ApiError> {
    let reply = Reply::new(&question, served);
    let tokens = question.prompts.iter().map(Vec::len).sum();
    // What has not gone out yet is at most the answers that were asked for.
    let (sender, heard) = unbounded_channel();
    let asked = served.service.ask(question.prompts, &question.request, move |heard| {
        // Who does not listen any more has dropped the ticket too.
        let _ = sender.send(heard);
    });
    let ticket = asked.map_err(|refusal| {
        let error = ApiError::refused(&refusal, question.style.prompt());
        observed.fails(error.status);
        error
    })?;
    observed.accepted(tokens);
    let mut asked = Asked { reply, heard, _ticket: ticket, observed };
    match asked.heard.recv().await {
        Some(Heard::Begun(_)) => {
            asked.observed.begins();
            Ok(asked)
        }
        Some(Heard::Failed(failure)) => Err(asked.fails(ApiError::failed(&failure))),
        Some(Heard::Piece(_)) | None => Err(asked.fails(ApiError::broken())),
    }
}

impl Asked {
    /// What is heard next; nothing when all is answered.
    async fn next(&mut self) -> Result<Option<Piece>, ApiError> {
        loop {
            match self.heard.recv().await {
                Some(Heard::Begun(_)) => {}
                Some(Heard::Piece(piece)) => {
                    self.observed.hears();
                    return Ok(Some(piece));
                }
                Some(Heard::Failed(failure)) => return Err(self.fails(ApiError::failed(&failure))),
                None if self.reply.is_whole() => {
                    self.observed.answered(self.reply.completion_tokens());
                    return Ok(None);
                }
                None => return Err(self.fails(ApiError::broken())),
            }
        }
    }

    fn fails(&mut self, error: ApiError) -> ApiError {
        self.observed.fails(error.status);
        error
    }
}

/// All in one object.
async fn whole(mut asked: Asked) -> Result<Response, ApiError> {
    while let Some(piece) = asked.next().await? {
        asked.reply.collect(piece);
    }
    Ok(json_response(&asked.reply.whole()))
}

/// Piece by piece, as server-sent events.
fn streamed(asked: Asked) -> Response {
    /// What goes out next, and what it is made of while there is more to hear.
    type Sending = (VecDeque<String>, Option<Asked>);
    let texts = |values: Vec<Value>| values.into_iter().map(|value| value.to_string());
    let opening: VecDeque<String> = texts(asked.reply.opening()).collect();
    let next = move |(mut ready, mut asked): Sending| async move {
        loop {
            if let Some(data) = ready.pop_front() {
                return Some((Ok::<_, Infallible>(Event::default().data(data)), (ready, asked)));
            }
            let mut open = asked.take()?;
            match open.next().await {
                Ok(Some(piece)) => {
                    ready.extend(texts(open.reply.grow(piece)));
                    asked = Some(open);
                }
                Ok(None) => {
                    ready.extend(open.reply.closing().map(|value| value.to_string()));
                    ready.push_back(DONE.into());
                }
                Err(error) => ready.push_back(error.body().to_string()),
            }
        }
    };
    let events = futures_util::stream::unfold((opening, Some(asked)), next);
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}
