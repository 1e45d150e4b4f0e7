//! What a client is told when it gets no answer: a status, and an object in the shape of OpenAI's errors.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mathesis_language::generation::GenerationError;
use mathesis_language::serving::{Failure, Refusal};
use serde_json::{Value, json};

/// Why there is no answer.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    message: String,
    /// The parameter to blame.
    parameter: Option<String>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
}

/// Who is turned away is asked to wait this long.
const WAIT: Duration = Duration::from_secs(1);

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        ApiError { status, message: message.into(), parameter: None, code: None, retry_after: None }
    }

    /// A parameter whose value cannot be used.
    pub fn parameter(name: &str, code: &'static str, message: impl Into<String>) -> Self {
        let error = ApiError::new(StatusCode::BAD_REQUEST, message).code(code);
        ApiError { parameter: Some(name.to_string()), ..error }
    }

    pub fn code(self, code: &'static str) -> Self {
        ApiError { code: Some(code), ..self }
    }

    pub fn status(self, status: StatusCode) -> Self {
        ApiError { status, ..self }
    }

    /// A question that was not accepted; `prompt` is the name of the parameter with the prompts.
    pub fn refused(refusal: &Refusal, prompt: &str) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Impossible(GenerationError::Setting(_)) => {
                ApiError::new(StatusCode::BAD_REQUEST, message).code("invalid_value")
            }
            Refusal::Impossible(GenerationError::TooLong { .. }) => {
                ApiError::parameter(prompt, "context_length_exceeded", message)
            }
            Refusal::Impossible(_) | Refusal::Prompts { .. } => {
                ApiError::parameter(prompt, "invalid_value", message)
            }
            Refusal::Samples { .. } => ApiError::parameter("n", "invalid_value", message),
            Refusal::Full(_) => {
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, format!("{message}; ask again in a moment"))
                    .code("queue_full")
                    .later()
            }
            Refusal::Stopping => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).code("stopping").later()
            }
        }
    }

    /// A question that was accepted and has no answer.
    pub fn failed(failure: &Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Late(_) => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).code("timed_out").later()
            }
            Failure::Stopped => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).code("stopping").later()
            }
            Failure::Generation(_) => {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message).code("generation_failed")
            }
        }
    }

    /// The thread that decodes is gone.
    pub fn broken() -> Self {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the decoding thread has ended")
    }

    /// The object that a client gets.
    pub fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {
            "message": self.message, "type": kind, "param": self.parameter, "code": self.code,
        }})
    }

    fn later(self) -> Self {
        ApiError { retry_after: Some(WAIT), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let json = [(CONTENT_TYPE, "application/json")];
        let mut response = (self.status, json, self.body().to_string()).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}
