//! The pace against a server that enforces limits by its own clock, over HTTP.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mathesis_reasoning::models::calls::{Calls, Limits, Log, Options, Outcome};
use mathesis_reasoning::models::{Message, Request, Sampling, open};
use serde_json::json;

use super::server::{Reaction, Server};

/// Seconds' worth of requests and tokens that the server lets through at once.
const BURST: f64 = 10.0;

struct Allowance {
    requests: f64,
    tokens: f64,
    at: Instant,
}

/// A server that allows so many requests and tokens a minute, and answers after 50 ms.
fn enforcing(requests_per_minute: f64, tokens_per_minute: f64) -> Server {
    let rates = (requests_per_minute / 60.0, tokens_per_minute / 60.0);
    let full = Allowance { requests: rates.0 * BURST, tokens: rates.1 * BURST, at: Instant::now() };
    let allowance = Mutex::new(full);
    Server::new(move |received, _| {
        let text = received.body["messages"][0]["content"].as_str().unwrap();
        let number: usize = text.split(' ').next().unwrap().parse().unwrap();
        let (input, output) = (text.len().div_ceil(4), 20 + number * 7919 % 260);
        {
            let mut left = allowance.lock().unwrap();
            let seconds = left.at.elapsed().as_secs_f64();
            left.at = Instant::now();
            left.requests = (left.requests + rates.0 * seconds).min(rates.0 * BURST);
            left.tokens = (left.tokens + rates.1 * seconds).min(rates.1 * BURST);
            if left.requests < 1.0 || left.tokens < (input + output) as f64 {
                return Reaction::json("429 Too Many Requests", "Retry-After: 1\r\n", "{}");
            }
            left.requests -= 1.0;
            left.tokens -= (input + output) as f64;
        }
        std::thread::sleep(Duration::from_millis(50));
        let body = json!({
            "choices": [{"message": {"content": "4"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output},
        });
        Reaction::json("200 OK", "", &body.to_string())
    })
}

/// The limits kept to, as shares: of what was allowed, and of requests that were turned away.
fn paced(requests_per_minute: f64, tokens_per_minute: f64, bytes: usize, seconds: f64) -> (f64, f64) {
    let server = enforcing(requests_per_minute, tokens_per_minute);
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Log::open(folder.path()).unwrap());
    let limits = Limits {
        requests_per_minute: Some(requests_per_minute),
        tokens_per_minute: Some(tokens_per_minute),
        ..Limits::default()
    };
    let model = open(&format!("openai:m@{}", server.url())).unwrap();
    let calls = Calls::new(model, log, Options { limits, ..Options::default() }).unwrap();
    // Tokens of a request on average: its bytes in fours, and the middle of 20 to 279.
    let tokens = bytes as f64 / 4.0 + 149.5;
    let rate = (requests_per_minute / 60.0).min(tokens_per_minute / 60.0 / tokens);
    let sampling = Sampling { max_tokens: Some(400), ..Sampling::default() };
    let begin = Instant::now();
    let mut spent = 0;
    let count = (rate * seconds) as usize;
    calls.run(
        0..count,
        async |number| {
            let text = format!("{:<bytes$}", format!("{number} "));
            calls.ask(&Request::chat([Message::user(text)]).sampled(sampling.clone())).await
        },
        |number, answers| {
            assert!(matches!(answers.outcomes[0], Outcome::Answered(_)), "{number}: {answers:?}");
            spent += answers.spent.input_tokens + answers.spent.output_tokens;
        },
    );
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    let status = calls.status();
    let used = (count as f64 / minutes / requests_per_minute).max(spent as f64 / minutes / tokens_per_minute);
    (used, status.rate_limited as f64 / status.sent as f64)
}

/// Sixteen times 600 requests and 100,000 tokens a minute, for a moment. That the pace is kept is measured in the full
/// form; here, that every request is answered.
#[test]
fn requests_to_a_strict_server_are_all_answered() {
    let (used, turned_away) = paced(9600.0, 1_600_000.0, 400, 1.5);
    println!("used {used:.3} of what was allowed, {turned_away:.4} turned away");
}

/// 600 requests and 100,000 tokens a minute: `cargo test --release -p mathesis-reasoning --test models the_pace -- --ignored
/// --nocapture`.
#[test]
#[ignore = "a measurement of several minutes"]
fn the_pace_of_a_strict_server() {
    let seconds = std::env::var("MATHESIS_PACE_SECONDS").map_or(70.0, |seconds| seconds.parse().unwrap());
    for (what, bytes) in [("tokens", 400), ("requests", 40)] {
        let (used, turned_away) =
            paced(600.0, if bytes == 400 { 100_000.0 } else { 200_000.0 }, bytes, seconds);
        println!("limited by {what}: used {used:.4} of what was allowed, {turned_away:.4} turned away");
    }
}
