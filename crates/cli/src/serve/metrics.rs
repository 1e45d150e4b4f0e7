//! What happens, in numbers, as Prometheus reads them.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use super::question::Style;

/// The numbers.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    prompt_tokens: IntCounter,
    completion_tokens: IntCounter,
    running: IntGauge,
    waiting: IntGauge,
    waited: Histogram,
    first: Histogram,
    whole: Histogram,
}

/// What is measured of one request, from its arrival on; counted when it is dropped.
pub struct Observed {
    metrics: Arc<Metrics>,
    style: Style,
    start: Instant,
    begun: bool,
    heard: bool,
    outcome: &'static str,
}

/// Seconds: from what a small model takes for a token to the longest that a request may take.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

impl Metrics {
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let histogram = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
        };
        let metrics = Metrics {
            requests: IntCounterVec::new(
                Opts::new(
                    "mathesis_requests_total",
                    "Requests by endpoint and outcome: answered, refused (a wrong request), turned_away (no room or \
                     stopping), failed, cancelled (the client went away).",
                ),
                &["endpoint", "outcome"],
            )?,
            prompt_tokens: IntCounter::new("mathesis_prompt_tokens_total", "Tokens of accepted prompts.")?,
            completion_tokens: IntCounter::new(
                "mathesis_completion_tokens_total",
                "Tokens of answers that came to their end.",
            )?,
            running: IntGauge::new("mathesis_running", "Answers that are being written.")?,
            waiting: IntGauge::new("mathesis_waiting", "Prompts that wait for their turn.")?,
            waited: histogram(
                "mathesis_wait_seconds",
                "From a request's arrival to the turn of its prompt.",
            )?,
            first: histogram("mathesis_first_token_seconds", "From a request's arrival to its first token.")?,
            whole: histogram(
                "mathesis_request_seconds",
                "From a request's arrival to the end of its answer.",
            )?,
            registry,
        };
        let all: [Box<dyn prometheus::core::Collector>; 8] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.prompt_tokens.clone()),
            Box::new(metrics.completion_tokens.clone()),
            Box::new(metrics.running.clone()),
            Box::new(metrics.waiting.clone()),
            Box::new(metrics.waited.clone()),
            Box::new(metrics.first.clone()),
            Box::new(metrics.whole.clone()),
        ];
        for collector in all {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// All numbers as text.
    pub fn text(&self, running: usize, waiting: usize) -> prometheus::Result<String> {
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// A request has arrived.
    pub fn arrived(self: &Arc<Self>, style: Style) -> Observed {
        // Whoever goes away before anything else becomes of the request has cancelled it.
        Observed {
            metrics: self.clone(),
            style,
            start: Instant::now(),
            begun: false,
            heard: false,
            outcome: "cancelled",
        }
    }
}

impl Observed {
    /// Prompts of so many tokens have been accepted.
    pub fn accepted(&self, tokens: usize) {
        self.metrics.prompt_tokens.inc_by(tokens as u64);
    }

    /// A prompt has its turn.
    pub fn begins(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.metrics.waited.observe(self.start.elapsed().as_secs_f64());
        }
    }

    /// Something of an answer has been heard.
    pub fn hears(&mut self) {
        if !std::mem::replace(&mut self.heard, true) {
            self.metrics.first.observe(self.start.elapsed().as_secs_f64());
        }
    }

    /// All is answered, in so many tokens.
    pub fn answered(&mut self, tokens: usize) {
        self.metrics.completion_tokens.inc_by(tokens as u64);
        self.metrics.whole.observe(self.start.elapsed().as_secs_f64());
        self.outcome = "answered";
    }

    /// It ends with an error of this status.
    pub fn fails(&mut self, status: StatusCode) {
        self.outcome = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "turned_away",
            status if status.is_client_error() => "refused",
            _ => "failed",
        };
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let endpoint = match self.style {
            Style::Chat => "chat",
            Style::Text => "completions",
        };
        self.metrics.requests.with_label_values(&[endpoint, self.outcome]).inc();
    }
}
