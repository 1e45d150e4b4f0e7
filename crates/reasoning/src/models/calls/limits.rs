//! Limits: how many calls are in flight, and how many requests and tokens go out in a minute.
//!
//! Requests and tokens come out of token buckets that hold one second's worth; what a call will use is estimated when it
//! is sent and put right when it has ended, so that a bucket may be in debt. The number of calls in flight follows
//! additive increase and multiplicative decrease (Chiu and Jain, 1989): an answer adds 1/window to the window, a sign of
//! congestion (status 429, a server error that says when to come back, a timeout, a latency above the target) halves it, at
//! most once for the calls that were sent before the last halving. All times are monotonic.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Mutex as Turn, Notify};
use tokio::time::Instant;

use super::super::{Request, Usage};

/// How much a model may be asked at once and in a minute. Default: 64 calls in flight, and no other limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The most calls in flight, at least 1.
    pub concurrency: usize,
    /// Requests a minute.
    pub requests_per_minute: Option<f64>,
    /// Tokens a minute, read and written together.
    pub tokens_per_minute: Option<f64>,
    /// Tokens read a minute.
    pub input_tokens_per_minute: Option<f64>,
    /// Tokens written a minute.
    pub output_tokens_per_minute: Option<f64>,
    /// A latency above which fewer calls are kept in flight.
    pub latency_target: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            concurrency: 64,
            requests_per_minute: None,
            tokens_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            latency_target: None,
        }
    }
}

/// Admits calls at the pace that the limits allow, in the order in which they come.
pub(super) struct Limiter {
    limits: Limits,
    /// Held by the call whose turn it is to wait for admission.
    turn: Turn<()>,
    state: Mutex<State>,
    ended: Notify,
}

struct State {
    in_flight: usize,
    window: f64,
    halved: Option<Instant>,
    /// No call is admitted before.
    paused_until: Option<Instant>,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    input_tokens: Option<Bucket>,
    output_tokens: Option<Bucket>,
    forecast: Forecast,
}

/// A call that was admitted.
pub(super) struct Admission<'a> {
    limiter: &'a Limiter,
    sent: Instant,
    bytes: u64,
    samples: u64,
    estimate: Usage,
}

/// How a call ended, as far as limits are concerned.
pub(super) enum End {
    /// Answered; `None`, if the server does not count tokens.
    Answered(Option<Usage>),
    /// The server is congested, and perhaps says when to come back.
    Congested(Option<Duration>),
    /// Something else went wrong.
    Failed,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let bucket = |rate: Option<f64>| rate.map(|rate| Bucket::new(rate, now));
        let state = State {
            in_flight: 0,
            window: limits.concurrency.max(1) as f64,
            halved: None,
            paused_until: None,
            requests: bucket(limits.requests_per_minute),
            tokens: bucket(limits.tokens_per_minute),
            input_tokens: bucket(limits.input_tokens_per_minute),
            output_tokens: bucket(limits.output_tokens_per_minute),
            forecast: Forecast::default(),
        };
        Limiter { limits, turn: Turn::new(()), state: Mutex::new(state), ended: Notify::new() }
    }

    /// Waits until a request may be sent.
    pub(super) async fn admit(&self, request: &Request) -> Admission<'_> {
        let bytes = request.prompt.texts().map(|text| text.len() as u64).sum();
        let samples = request.samples as u64;
        let _turn = self.turn.lock().await;
        loop {
            let ended = self.ended.notified();
            let wait = {
                let mut state = self.state.lock().expect("no panic while counting");
                let now = Instant::now();
                let estimate = state.forecast.usage(bytes, samples, request.sampling.max_tokens);
                match state.take(estimate, now) {
                    Ok(()) => return Admission { limiter: self, sent: now, bytes, samples, estimate },
                    Err(wait) => wait,
                }
            };
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => ended.await,
            }
        }
    }

    /// The calls in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.state.lock().expect("no panic while counting").in_flight
    }
}

impl State {
    /// Admits a call, or says how long to wait: `None` until another call ends.
    fn take(&mut self, estimate: Usage, now: Instant) -> Result<(), Option<Duration>> {
        if self.in_flight >= (self.window as usize).max(1) {
            return Err(None);
        }
        if let Some(pause) = self.paused_until.filter(|pause| *pause > now) {
            return Err(Some(pause - now));
        }
        let Usage { input_tokens, output_tokens } = estimate;
        let mut needs = [
            (&mut self.requests, 1.0),
            (&mut self.tokens, (input_tokens + output_tokens) as f64),
            (&mut self.input_tokens, input_tokens as f64),
            (&mut self.output_tokens, output_tokens as f64),
        ];
        let waits = needs.iter_mut().filter_map(|(bucket, need)| bucket.as_mut().map(|b| b.wait(*need, now)));
        match waits.max().filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(Some(wait)),
            None => {
                for (bucket, need) in needs {
                    if let Some(bucket) = bucket {
                        bucket.level -= need;
                    }
                }
                self.in_flight += 1;
                Ok(())
            }
        }
    }
}

impl Admission<'_> {
    /// Ends the call.
    pub(super) fn end(self, end: End) {
        let now = Instant::now();
        let mut state = self.limiter.state.lock().expect("no panic while counting");
        let latency = now - self.sent;
        let slow = self.limiter.limits.latency_target.is_some_and(|target| latency > target);
        let mut congested = slow;
        match end {
            End::Answered(usage) => {
                if let Some(usage) = usage {
                    state.correct(self.estimate, usage);
                    state.forecast.learn(self.bytes, self.samples, usage);
                }
                if !slow {
                    state.window = (state.window + 1.0 / state.window)
                        .min(self.limiter.limits.concurrency.max(1) as f64);
                }
            }
            End::Congested(retry_after) => {
                congested = true;
                // A server that turns a call away has not counted its tokens.
                state.correct(self.estimate, Usage::default());
                if let Some(wait) = retry_after {
                    let until = now + wait;
                    state.paused_until = Some(state.paused_until.map_or(until, |pause| pause.max(until)));
                }
            }
            End::Failed => {}
        }
        if congested && state.halved.is_none_or(|halved| self.sent > halved) {
            state.window = (state.window / 2.0).max(1.0);
            state.halved = Some(now);
        }
    }
}

impl Drop for Admission<'_> {
    /// The place is free again, also when the call is given up.
    fn drop(&mut self) {
        self.limiter.state.lock().expect("no panic while counting").in_flight -= 1;
        self.limiter.ended.notify_one();
    }
}

impl State {
    /// Puts the buckets right by what a call really used.
    fn correct(&mut self, estimate: Usage, real: Usage) {
        let input = estimate.input_tokens as f64 - real.input_tokens as f64;
        let output = estimate.output_tokens as f64 - real.output_tokens as f64;
        for (bucket, refund) in [
            (&mut self.tokens, input + output),
            (&mut self.input_tokens, input),
            (&mut self.output_tokens, output),
        ] {
            if let Some(bucket) = bucket {
                bucket.level = (bucket.level + refund).min(bucket.capacity);
            }
        }
    }
}

/// A token bucket.
struct Bucket {
    /// A second.
    rate: f64,
    capacity: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    /// A bucket that starts with what one call needs, so that a run does not begin with a burst.
    fn new(per_minute: f64, now: Instant) -> Self {
        let rate = (per_minute / 60.0).max(f64::MIN_POSITIVE);
        Bucket { rate, capacity: rate.max(1.0), level: rate.clamp(0.0, 1.0), filled: now }
    }

    /// How long until so much can be taken. More than the bucket holds can be taken when it is full, as a debt.
    fn wait(&mut self, need: f64, now: Instant) -> Duration {
        self.level = (self.level + self.rate * (now - self.filled).as_secs_f64()).min(self.capacity);
        self.filled = now;
        // Rounding must not leave a wait of less than the clock can tell.
        let missing = need.min(self.capacity) - self.level;
        if missing <= 1e-9 * self.capacity {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.rate)
            .unwrap_or(Duration::MAX)
            .max(Duration::from_micros(1))
    }
}

/// What a call is expected to use, from running means over about a hundred calls.
#[derive(Default)]
struct Forecast {
    calls: u64,
    input_tokens_per_byte: f64,
    output_tokens_per_sample: f64,
}

impl Forecast {
    /// Before anything is known: a token for four bytes, and the token limit or 512.
    fn usage(&self, bytes: u64, samples: u64, max_tokens: Option<u64>) -> Usage {
        let most = max_tokens.unwrap_or(u64::MAX);
        let (input, output) = match self.calls {
            0 => (0.25 * bytes as f64, most.min(512) as f64),
            _ => (self.input_tokens_per_byte * bytes as f64, self.output_tokens_per_sample.min(most as f64)),
        };
        Usage { input_tokens: input.ceil() as u64, output_tokens: (output * samples as f64).ceil() as u64 }
    }

    fn learn(&mut self, bytes: u64, samples: u64, usage: Usage) {
        self.calls += 1;
        let weight = 1.0 / self.calls.min(100) as f64;
        let input = usage.input_tokens as f64 / bytes.max(1) as f64;
        let output = usage.output_tokens as f64 / samples.max(1) as f64;
        self.input_tokens_per_byte += weight * (input - self.input_tokens_per_byte);
        self.output_tokens_per_sample += weight * (output - self.output_tokens_per_sample);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::super::super::Sampling;
    use super::*;

    /// A runtime whose clock runs only when everybody waits.
    fn virtually<F: Future>(future: F) -> F::Output {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(future)
    }

    fn request(bytes: usize) -> Request {
        let sampling = Sampling { max_tokens: Some(400), ..Sampling::default() };
        Request::completion("x".repeat(bytes)).sampled(sampling)
    }

    /// A server that turns calls away above its limits, of which it lets ten seconds' worth through at once.
    struct Strict {
        requests: Bucket,
        tokens: Bucket,
    }

    impl Strict {
        fn new(requests_per_minute: f64, tokens_per_minute: f64) -> Self {
            let bucket = |per_minute: f64| {
                let bucket = Bucket::new(per_minute, Instant::now());
                Bucket { capacity: 10.0 * bucket.rate, level: 10.0 * bucket.rate, ..bucket }
            };
            Strict { requests: bucket(requests_per_minute), tokens: bucket(tokens_per_minute) }
        }

        fn accepts(&mut self, tokens: f64) -> bool {
            let now = Instant::now();
            let free = self.requests.wait(1.0, now).is_zero() && self.tokens.wait(tokens, now).is_zero();
            if free {
                self.requests.level -= 1.0;
                self.tokens.level -= tokens;
            }
            free
        }
    }

    /// The share of the allowance that was used, and of the calls that were turned away, over some minutes.
    fn pace(bytes: usize, limits: Limits, server_share: f64, calls: usize) -> (f64, f64) {
        virtually(async {
            let (requests, tokens) = (limits.requests_per_minute.unwrap(), limits.tokens_per_minute.unwrap());
            let server = Mutex::new(Strict::new(requests * server_share, tokens * server_share));
            let limiter = Limiter::new(limits);
            let (used, turned_away) = (Mutex::new(0), Mutex::new(0));
            let begin = Instant::now();
            join_all((0..calls).map(|number| {
                let (server, limiter, used, turned_away) = (&server, &limiter, &used, &turned_away);
                async move {
                    let usage = Usage {
                        input_tokens: bytes as u64 / 3,
                        output_tokens: 20 + number as u64 * 7919 % 260,
                    };
                    loop {
                        let admission = limiter.admit(&request(bytes)).await;
                        let tokens = usage.input_tokens + usage.output_tokens;
                        if server.lock().unwrap().accepts(tokens as f64) {
                            tokio::time::sleep(Duration::from_millis(200 + usage.output_tokens * 10)).await;
                            admission.end(End::Answered(Some(usage)));
                            *used.lock().unwrap() += tokens;
                            break;
                        }
                        admission.end(End::Congested(Some(Duration::from_secs(1))));
                        *turned_away.lock().unwrap() += 1;
                    }
                }
            }))
            .await;
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            let used = *used.lock().unwrap() as f64 / minutes / (tokens * server_share);
            let used = used.max(calls as f64 / minutes / (requests * server_share));
            let turned_away = *turned_away.lock().unwrap() as f64;
            (used, turned_away / (turned_away + calls as f64))
        })
    }

    #[test]
    fn a_strict_server_is_used_to_its_limits_and_hardly_ever_turns_calls_away() {
        for (bytes, tokens) in [(400, 100_000.0), (30, 200_000.0), (30, 1e9)] {
            let limits = Limits {
                requests_per_minute: Some(600.0),
                tokens_per_minute: Some(tokens),
                ..Limits::default()
            };
            let (used, turned_away) = pace(bytes, limits, 1.0, 2000);
            assert!(used >= 0.95, "{used} of {tokens} used");
            assert!(used <= 1.05 && turned_away < 0.01, "{turned_away} of {tokens} turned away, {used} used");
        }
    }

    /// Where the server allows less than it was said to, the calls in flight adapt, and its pauses are kept to.
    #[test]
    fn a_server_that_is_stricter_than_known_is_still_used() {
        let limits = Limits {
            requests_per_minute: Some(1200.0),
            tokens_per_minute: Some(200_000.0),
            ..Limits::default()
        };
        let (used, turned_away) = pace(30, limits, 0.5, 2000);
        assert!(used > 0.5, "{used} used");
        assert!(turned_away < 0.3, "{turned_away} turned away");
    }

    #[test]
    fn the_window_halves_once_for_calls_in_flight_together_and_grows_back() {
        virtually(async {
            let limiter = Limiter::new(Limits { concurrency: 16, ..Limits::default() });
            let window = || limiter.state.lock().unwrap().window;
            let admissions = join_all((0..16).map(|_| async { limiter.admit(&request(1)).await })).await;
            assert_eq!(limiter.in_flight(), 16);
            tokio::time::advance(Duration::from_secs(1)).await;
            for admission in admissions {
                admission.end(End::Congested(None));
            }
            assert_eq!((window(), limiter.in_flight()), (8.0, 0));
            tokio::time::advance(Duration::from_secs(1)).await;
            for _ in 0..1000 {
                limiter.admit(&request(1)).await.end(End::Answered(None));
            }
            assert_eq!(window(), 16.0);
            // A call that is given up gives its place back.
            drop(limiter.admit(&request(1)).await);
            assert_eq!(limiter.in_flight(), 0);
        });
    }

    #[test]
    fn a_pause_holds_for_all_and_latencies_above_the_target_count() {
        virtually(async {
            let target = Some(Duration::from_secs(2));
            let limiter = Limiter::new(Limits { latency_target: target, ..Limits::default() });
            limiter.admit(&request(1)).await.end(End::Congested(Some(Duration::from_secs(7))));
            let begin = Instant::now();
            let admission = limiter.admit(&request(1)).await;
            assert_eq!(begin.elapsed().as_secs(), 7);
            assert_eq!(limiter.state.lock().unwrap().window, 32.0);
            tokio::time::advance(Duration::from_secs(3)).await;
            admission.end(End::Answered(None));
            assert_eq!(limiter.state.lock().unwrap().window, 16.0);
        });
    }
}
