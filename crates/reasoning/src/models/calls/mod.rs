//! The call layer: ask a model many times, pay for nothing twice, and stay within limits.
//!
//! [`Calls`] stands between a program and a [`Model`]. It looks every sample up in the [`Log`] by its [`Key`]; what is
//! missing it sends at the pace that the [`Limits`] allow, with the worst cost set aside under the [`Caps`], tries again
//! what may succeed later, and keeps every reply before it is used. Each sample has an [`Outcome`]: an answer, a
//! truncated or empty or refused one, a failure, or not asked for a [`Stop`].

mod budget;
mod key;
mod limits;
mod log;
mod runner;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex as Claim;

pub use budget::{Cap, Caps, PriceError, PriceTable, Spending};
pub use key::Key;
pub use limits::Limits;
pub use log::{DeadLetter, Log, LogError};

use budget::{Budget, Price};
use key::Question;
use limits::{End, Limiter};
use log::Entry;

use super::canonical::composed;
use super::{Answer, Failure, FailureKind, Finish, Model, Part, Prompt, Remedy, Request, Sample};
use crate::random::Stream;

/// Calls to one model by one run.
pub struct Calls {
    model: Arc<dyn Model>,
    log: Arc<Log>,
    options: Options,
    run: Arc<str>,
    price: Option<Price>,
    budget: Budget,
    limiter: Limiter,
    /// The questions that are being asked: a second asker of the same question waits for the reply to the first.
    claims: Mutex<HashMap<Key, Arc<Claim<()>>>>,
    next_reservation: AtomicI64,
    counts: Mutex<Counts>,
    stop: OnceLock<Stop>,
}

/// How calls are made. The defaults of its parts hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The name under which spending is added up over interruptions.
    pub run: String,
    /// How much is asked at once and in a minute.
    pub limits: Limits,
    /// What may be spent.
    pub caps: Caps,
    /// What tokens cost. Default: nothing is known, and costs count as 0.
    pub prices: Option<PriceTable>,
    /// What is done about failures.
    pub failures: FailurePolicy,
}

/// What is done about failures.
#[derive(Clone, Debug, PartialEq)]
pub struct FailurePolicy {
    /// How often a request is sent at most, at least 1. Default: 8.
    pub tries: u32,
    /// The longest wait before the second try; it doubles with every further one. The wait is uniform between nothing and
    /// this (full jitter), and at least what the server asks for. Default: 0.5 s.
    pub first_wait: Duration,
    /// The largest of these longest waits. Default: 60 s.
    pub most_wait: Duration,
    /// A server that asks to wait longer than this is not waited for: the request fails. Default: 10 min.
    pub patience: Duration,
    /// Whether a request that exceeds the context of the model is sent again with half the token limit. Default: yes.
    pub halve_after_overflow: bool,
    /// The token limit with which truncated samples are asked for once more, if it is larger than theirs.
    /// Default: none, truncated samples stay so.
    pub limit_after_truncation: Option<u64>,
    /// The share of failed requests among the last `window` above which the run stops. Default: 0.5.
    pub most_failed: f64,
    /// How many requests are looked back at for that; not before there are so many. Default: 100.
    pub window: usize,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        FailurePolicy {
            tries: 8,
            first_wait: Duration::from_millis(500),
            most_wait: Duration::from_secs(60),
            patience: Duration::from_secs(600),
            halve_after_overflow: true,
            limit_after_truncation: None,
            most_failed: 0.5,
            window: 100,
        }
    }
}

/// What became of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A text that ends of itself, or for a reason that the server has its own word for.
    Answered(Sample),
    /// A text that was cut at the token limit.
    Truncated(Sample),
    /// A text without any character but white space.
    Empty(Sample),
    /// The model or the provider refused. The text may be what there was up to there.
    Refused(Sample),
    /// No reply that can be read, after all tries.
    Failed(Failure),
    /// Not asked, because the run had stopped.
    Unasked(Stop),
}

impl Outcome {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Answered(_) => "answered",
            Outcome::Truncated(_) => "truncated",
            Outcome::Empty(_) => "empty",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
            Outcome::Unasked(_) => "unasked",
        }
    }

    /// What the model wrote, if it wrote anything: also truncated and refused texts.
    pub fn sample(&self) -> Option<&Sample> {
        match self {
            Outcome::Answered(sample)
            | Outcome::Truncated(sample)
            | Outcome::Empty(sample)
            | Outcome::Refused(sample) => Some(sample),
            Outcome::Failed(_) | Outcome::Unasked(_) => None,
        }
    }

    /// The text that the model wrote; empty, if it did not.
    pub fn text(&self) -> &str {
        self.sample().map_or("", |sample| &sample.text)
    }

    fn of(sample: Sample) -> Self {
        match sample.finish {
            Finish::Length => Outcome::Truncated(sample),
            Finish::ContentFilter => Outcome::Refused(sample),
            Finish::Stop | Finish::Other(_) if sample.text.trim().is_empty() => Outcome::Empty(sample),
            Finish::Stop | Finish::Other(_) => Outcome::Answered(sample),
        }
    }
}

/// Why a run asks nothing any more. What is in flight is finished.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Stop {
    /// The budget is used up.
    #[error("the budget is used up: {0}")]
    Budget(Cap),
    /// Too many requests failed.
    #[error("{failed} of the last {window} requests failed, the last one with: {last}")]
    Failures {
        /// How many failed.
        failed: usize,
        /// Among how many.
        window: usize,
        /// The last failure.
        last: Failure,
    },
    /// The provider accepts no request of this account.
    #[error("the provider accepts no more requests: {0}")]
    Refused(Failure),
    /// Replies cannot be kept.
    #[error("{0}")]
    Log(String),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// One outcome for each sample.
    pub outcomes: Vec<Outcome>,
    /// What the replies to them cost when they were made, in this run or an earlier one.
    pub spent: Spending,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Samples that were in the log.
    pub reused: u64,
    /// Requests sent, every try counted.
    pub sent: u64,
    /// Requests turned away for their rate (status 429).
    pub rate_limited: u64,
    /// Requests that failed after all tries.
    pub failed: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// What the run has spent, earlier sittings included.
    pub spent: Spending,
    /// The time since the call layer was made.
    pub elapsed: Duration,
    /// Why nothing is asked any more.
    pub stop: Option<Stop>,
}

/// What requests would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Samples that are in the log.
    pub reused: f64,
    /// Calls to be made.
    pub calls: f64,
    /// Tokens to be read, at four bytes each.
    pub input_tokens: f64,
    /// The most tokens to be written; those of requests without a token limit are not counted.
    pub output_tokens: f64,
    /// The cost of these, in the currency of the price table.
    pub cost: f64,
}

impl Estimate {
    /// Both together.
    pub fn plus(self, other: Estimate) -> Self {
        Estimate {
            reused: self.reused + other.reused,
            calls: self.calls + other.calls,
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cost: self.cost + other.cost,
        }
    }

    /// The estimate for so many times as many requests, when only some of them were looked at.
    pub fn times(self, factor: f64) -> Self {
        Estimate {
            reused: self.reused * factor,
            calls: self.calls * factor,
            input_tokens: self.input_tokens * factor,
            output_tokens: self.output_tokens * factor,
            cost: self.cost * factor,
        }
    }
}

/// Why calls cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CallsError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A cap on money, and no price for the model.
    #[error("a cap on money needs a price for {0}")]
    NoPrice(String),
    /// An option is out of its range.
    #[error("{name} = {value} {range}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: &'static str,
    },
}

#[derive(Default)]
struct Counts {
    reused: u64,
    sent: u64,
    rate_limited: u64,
    failed: u64,
    /// Whether each of the last requests failed.
    recent: VecDeque<bool>,
}

impl Calls {
    /// Calls to a model, with a log. Several models may share a log.
    pub fn new(model: Arc<dyn Model>, log: Arc<Log>, options: Options) -> Result<Self, CallsError> {
        validate(&options)?;
        let price = options.prices.as_ref().and_then(|prices| prices.price(model.identity()));
        if options.caps.cost.is_some() && price.is_none() {
            return Err(CallsError::NoPrice(model.identity().model.clone()));
        }
        Ok(Calls {
            budget: Budget::new(options.caps.clone(), log.spent(&options.run)?),
            limiter: Limiter::new(options.limits.clone()),
            next_reservation: AtomicI64::new(log.last_reservation()? + 1),
            run: options.run.as_str().into(),
            claims: Mutex::default(),
            counts: Mutex::default(),
            stop: OnceLock::new(),
            model,
            log,
            options,
            price,
        })
    }

    /// The model that is asked.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// How far the run is.
    pub fn status(&self) -> Status {
        let counts = self.counts.lock().expect("no panic while counting");
        Status {
            reused: counts.reused,
            sent: counts.sent,
            rate_limited: counts.rate_limited,
            failed: counts.failed,
            in_flight: self.limiter.in_flight(),
            spent: self.budget.spent(),
            elapsed: self.budget.elapsed(),
            stop: self.stop.get().cloned(),
        }
    }

    /// What asking these requests would take, without asking.
    pub fn estimate<'a>(&self, requests: impl IntoIterator<Item = &'a Request>) -> Estimate {
        let mut total = Estimate::default();
        for request in requests {
            let question = Question::new(self.model.identity(), request);
            let numbers = request.first_sample..request.first_sample + request.samples;
            let missing = numbers.filter(|number| self.log.find(&question.sample(*number)).is_none()).count();
            total.reused += (request.samples - missing) as f64;
            let calls = missing.div_ceil(self.model.most_samples().max(1));
            let bytes: usize = request.prompt.texts().map(str::len).sum();
            let usage = super::Usage {
                input_tokens: (calls * bytes.div_ceil(4)) as u64,
                output_tokens: request.sampling.max_tokens.unwrap_or(0).saturating_mul(missing as u64),
            };
            total.calls += calls as f64;
            total.input_tokens += usage.input_tokens as f64;
            total.output_tokens += usage.output_tokens as f64;
            total.cost += Price::charge(self.price, usage).money();
        }
        total
    }

    /// Asks a request: what the log holds comes from there, the rest from the model.
    pub async fn ask(&self, request: &Request) -> Answers {
        let request = in_composed_form(request);
        if let Err(message) = check(&request) {
            let failed = Outcome::Failed(Failure::new(FailureKind::Rejected, message));
            return Answers { outcomes: vec![failed; request.samples], spent: Spending::default() };
        }
        let mut answers = self.ask_as_it_is(&request).await;
        for number in 0..answers.outcomes.len() {
            let Some(limit) = self.other_limit(&request, &answers.outcomes[number]) else { continue };
            let mut again = request.clone().times(1);
            again.first_sample += number;
            again.sampling.max_tokens = Some(limit);
            let Answers { mut outcomes, spent } = self.ask_as_it_is(&again).await;
            // A failure of the second request says less than the first outcome.
            if let Some(outcome) = outcomes.pop().filter(|outcome| !matches!(outcome, Outcome::Failed(_))) {
                answers.outcomes[number] = outcome;
            }
            answers.spent = answers.spent.plus(spent);
        }
        self.keep_dead_letters(&request, &answers.outcomes).await;
        answers
    }

    /// The token limit with which a sample is asked for a second time.
    fn other_limit(&self, request: &Request, outcome: &Outcome) -> Option<u64> {
        let policy = &self.options.failures;
        let limit = request.sampling.max_tokens?;
        match outcome {
            Outcome::Truncated(_) => policy.limit_after_truncation.filter(|larger| *larger > limit),
            Outcome::Failed(Failure { kind: FailureKind::ContextOverflow, .. }) => {
                Some(limit / 2).filter(|smaller| policy.halve_after_overflow && *smaller > 0)
            }
            _ => None,
        }
    }

    /// Asks a request without changing it.
    async fn ask_as_it_is(&self, request: &Request) -> Answers {
        let question = Question::new(self.model.identity(), request);
        let name = question.sample(0);
        let claim = self.claims.lock().expect("no panic while claiming").entry(name).or_default().clone();
        let answers = {
            let _held = claim.lock().await;
            self.ask_claimed(&question, request).await
        };
        let mut claims = self.claims.lock().expect("no panic while claiming");
        // One is ours, one is the map's; another asker would hold a third.
        if Arc::strong_count(&claim) == 2 {
            claims.remove(&name);
        }
        answers
    }

    async fn ask_claimed(&self, question: &Question, request: &Request) -> Answers {
        let (mut outcomes, mut spent) = match self.known(question, request) {
            Ok(known) => known,
            Err(error) => {
                let stop = self.stop(Stop::Log(error.to_string()));
                return Answers {
                    outcomes: vec![Outcome::Unasked(stop); request.samples],
                    spent: Spending::default(),
                };
            }
        };
        let reused = outcomes.iter().flatten().count() as u64;
        self.counts.lock().expect("no panic while counting").reused += reused;
        while let Some(first) = outcomes.iter().position(Option::is_none) {
            let missing = outcomes[first..].iter().take_while(|outcome| outcome.is_none()).count();
            let mut part = request.clone().times(missing.min(self.model.most_samples().max(1)));
            part.first_sample += first;
            let places = &mut outcomes[first..first + part.samples];
            match self.call(question, &part).await {
                // A server may return fewer samples than asked for: the rest is asked for again.
                Ok((answer, cost)) => {
                    for (place, sample) in places.iter_mut().zip(answer.samples) {
                        *place = Some(Outcome::of(sample));
                    }
                    spent = spent.plus(cost);
                }
                Err(outcome) => places.fill(Some(outcome)),
            }
        }
        Answers { outcomes: outcomes.into_iter().flatten().collect(), spent }
    }

    /// The samples of a request that the log holds, and what they cost.
    fn known(
        &self,
        question: &Question,
        request: &Request,
    ) -> Result<(Vec<Option<Outcome>>, Spending), LogError> {
        let mut outcomes = vec![None; request.samples];
        let mut spent = Spending::default();
        let mut replies: HashMap<i64, Option<Answer>> = HashMap::new();
        let mut whole = request.clone().times(usize::MAX);
        for (number, outcome) in outcomes.iter_mut().enumerate() {
            let Some(place) = self.log.find(&question.sample(request.first_sample + number)) else {
                continue;
            };
            let answer = match replies.entry(place.reply) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let (reply, cost) = self.log.reply(place)?;
                    spent = spent.plus(cost);
                    // The samples of a reply follow each other, so that its first one is known.
                    whole.first_sample =
                        (request.first_sample + number).saturating_sub(place.sample as usize);
                    // What could not be read when it came is tried again with the present reader.
                    entry.insert(self.model.read(&whole, &reply).ok())
                }
            };
            let sample = answer.as_ref().and_then(|answer| answer.samples.get(place.sample as usize));
            *outcome = sample.cloned().map(Outcome::of);
        }
        Ok((outcomes, spent))
    }

    /// Sends a request until it is answered, or there is a reason to give up.
    async fn call(&self, question: &Question, request: &Request) -> Result<(Answer, Spending), Outcome> {
        let keys: Vec<Key> =
            (0..request.samples).map(|n| question.sample(request.first_sample + n)).collect();
        let worst = match Price::worst(self.price, request) {
            Some(worst) => worst,
            None if self.budget.counts_tokens() => {
                let message = "a cap on money or tokens needs a token limit (`max_tokens`) in the request";
                return Err(Outcome::Failed(Failure::new(FailureKind::Rejected, message)));
            }
            None => Spending { calls: 1, ..Spending::default() },
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.try_once(question, request, &keys, worst).await? {
                Ok(answered) => {
                    self.count_end(None);
                    return Ok(answered);
                }
                Err(failure) => failure,
            };
            let impatient = failure.retry_after.is_some_and(|wait| wait > self.options.failures.patience);
            if failure.kind.remedy() != Remedy::Retry || tries >= self.options.failures.tries || impatient {
                self.count_end(Some(&failure));
                return Err(Outcome::Failed(failure));
            }
            tokio::time::sleep(self.wait(&keys[0], tries, failure.retry_after)).await;
        }
    }

    /// Sends a request once. The outer error ends the request, the inner one may call for another try.
    async fn try_once(
        &self,
        question: &Question,
        request: &Request,
        keys: &[Key],
        worst: Spending,
    ) -> Result<Result<(Answer, Spending), Failure>, Outcome> {
        self.running()?;
        let admission = self.limiter.admit(request).await;
        self.running()?;
        let mut reservation = match self.budget.reserve(worst).await {
            Ok(reservation) => reservation,
            Err(cap) => return Err(Outcome::Unasked(self.stop(Stop::Budget(cap)))),
        };
        self.running()?;
        let id = self.budget.is_capped().then(|| self.next_reservation.fetch_add(1, Ordering::Relaxed));
        if let Some(id) = id {
            self.keep(Entry::Reservation { id, run: self.run.clone(), worst }).await?;
        }
        self.counts.lock().expect("no panic while counting").sent += 1;
        reservation.send();

        let sent = Instant::now();
        match self.model.send(request).await {
            Ok(reply) => {
                let microseconds = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                let read =
                    self.model.read(request, &reply).and_then(|answer| match answer.samples.is_empty() {
                        true => Err(Failure::new(FailureKind::Unreadable, "the reply holds no sample")),
                        false => Ok(answer),
                    });
                let usage = read.as_ref().ok().and_then(|answer| answer.usage);
                let spent = usage.map_or(worst, |usage| Price::charge(self.price, usage));
                let spent = Spending { microseconds, ..spent };
                // Kept whether or not it can be read: it is paid for, and a better reader may come.
                let (keys, question) = (keys.to_vec(), question.text.as_str().into());
                let run = self.run.clone();
                self.keep(Entry::Reply { keys, question, reply, run, spent, reservation: id }).await?;
                reservation.settle(spent);
                admission.end(if read.is_ok() { End::Answered(usage) } else { End::Failed });
                Ok(read.map(|answer| (answer, spent)))
            }
            Err(failure) => {
                use FailureKind::{RateLimited, Server, Timeout};
                // Where the provider may have done the work, the worst is taken to be spent.
                if failure.kind.may_be_paid() {
                    drop(reservation);
                } else {
                    if let Some(id) = id {
                        self.keep(Entry::Release { id }).await?;
                    }
                    reservation.settle(Spending::default());
                }
                let congested = matches!(failure.kind, RateLimited | Timeout)
                    || failure.kind == Server && failure.retry_after.is_some();
                let retry_after = failure.retry_after.filter(|wait| *wait <= self.options.failures.patience);
                admission.end(if congested { End::Congested(retry_after) } else { End::Failed });
                if failure.kind == RateLimited {
                    self.counts.lock().expect("no panic while counting").rate_limited += 1;
                }
                Ok(Err(failure))
            }
        }
    }

    /// Writes an entry to the log. Where that fails nothing may be sent any more: it would be paid again.
    async fn keep(&self, entry: Entry) -> Result<(), Outcome> {
        self.log.write(entry).await.map_err(|error| Outcome::Unasked(self.stop(Stop::Log(error.to_string()))))
    }

    async fn keep_dead_letters(&self, request: &Request, outcomes: &[Outcome]) {
        let failed = outcomes.iter().enumerate().find_map(|(number, outcome)| match outcome {
            Outcome::Failed(failure) => Some((number, failure)),
            _ => None,
        });
        let question = || Question::new(self.model.identity(), request);
        let entry = match failed {
            Some((_, failure)) => {
                let question = question();
                Entry::Dead(DeadLetter {
                    key: question.sample(request.first_sample),
                    reason: failure.kind.name().into(),
                    message: failure.message.clone(),
                    question: question.text,
                })
            }
            None if self.log.has_dead_letters()
                && outcomes.iter().all(|outcome| outcome.sample().is_some()) =>
            {
                let key = question().sample(request.first_sample);
                if !self.log.is_dead(&key) {
                    return;
                }
                Entry::Revived { key }
            }
            None => return,
        };
        // The dead letters are a report; the run has stopped already if they cannot be written.
        let _ = self.keep(entry).await;
    }

    /// The wait before the next try: uniform up to `first_wait · 2ᵏ`, at most up to `most_wait` (exponential back-off with
    /// full jitter), drawn for this request and try alone.
    fn wait(&self, key: &Key, tries: u32, retry_after: Option<Duration>) -> Duration {
        let policy = &self.options.failures;
        let doubled = policy.first_wait.as_secs_f64() * 2f64.powi(tries as i32 - 1);
        let longest = doubled.min(policy.most_wait.as_secs_f64());
        let word = u64::from_le_bytes(key.0[..8].try_into().expect("eight bytes"));
        let drawn = Duration::from_secs_f64(longest * Stream::new(&[word, u64::from(tries)]).uniform());
        retry_after.map_or(drawn, |wait| wait.saturating_add(drawn))
    }

    /// Counts the end of a request, and stops the run if too many fail.
    fn count_end(&self, failure: Option<&Failure>) {
        let mut counts = self.counts.lock().expect("no panic while counting");
        let policy = &self.options.failures;
        counts.recent.push_back(failure.is_some());
        if counts.recent.len() > policy.window {
            counts.recent.pop_front();
        }
        let Some(failure) = failure else { return };
        counts.failed += 1;
        let failed = counts.recent.iter().filter(|failed| **failed).count();
        if matches!(failure.kind, FailureKind::Unauthorized | FailureKind::Quota) {
            self.stop(Stop::Refused(failure.clone()));
        } else if counts.recent.len() == policy.window
            && failed as f64 > policy.most_failed * policy.window as f64
        {
            self.stop(Stop::Failures { failed, window: policy.window, last: failure.clone() });
        }
    }

    fn running(&self) -> Result<(), Outcome> {
        match self.stop.get() {
            Some(stop) => Err(Outcome::Unasked(stop.clone())),
            None => Ok(()),
        }
    }

    /// Stops the run for the first reason that is given.
    fn stop(&self, reason: Stop) -> Stop {
        self.stop.get_or_init(|| reason).clone()
    }
}

fn validate(options: &Options) -> Result<(), CallsError> {
    let Options { limits, caps, failures, .. } = options;
    let wrong = |name, value: String, range| Err(CallsError::Option { name, value, range });
    let rates = [
        ("requests_per_minute", limits.requests_per_minute),
        ("tokens_per_minute", limits.tokens_per_minute),
        ("input_tokens_per_minute", limits.input_tokens_per_minute),
        ("output_tokens_per_minute", limits.output_tokens_per_minute),
    ];
    for (name, rate) in rates {
        if let Some(rate) = rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return wrong(name, rate.to_string(), "is not above 0");
        }
    }
    if let Some(cost) = caps.cost.filter(|cost| !(0.0..=1e6).contains(cost)) {
        return wrong("cost", cost.to_string(), "is not between 0 and a million");
    }
    if limits.concurrency == 0 {
        return wrong("concurrency", "0".into(), "is not above 0");
    }
    if failures.tries == 0 {
        return wrong("tries", "0".into(), "is not above 0");
    }
    if failures.window == 0 {
        return wrong("window", "0".into(), "is not above 0");
    }
    if !(0.0..=1.0).contains(&failures.most_failed) {
        return wrong("most_failed", failures.most_failed.to_string(), "is not between 0 and 1");
    }
    Ok(())
}

/// Whether a request can be asked at all.
fn check(request: &Request) -> Result<(), String> {
    let sampling = &request.sampling;
    for (name, value) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ] {
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(format!("{name} is no finite number"));
        }
    }
    if sampling.max_tokens == Some(0) {
        return Err("a token limit (`max_tokens`) of 0 asks for nothing".into());
    }
    match &request.prompt {
        Prompt::Chat(messages) if messages.is_empty() => Err("the conversation is empty".into()),
        Prompt::Continuations { context, .. } if context.is_empty() => {
            Err("the first token of a text has no probability: the context is empty".into())
        }
        Prompt::Continuations { continuations, .. } => {
            match (continuations.iter().any(String::is_empty), request.first_sample + request.samples) {
                (true, _) => Err("a continuation is empty".into()),
                (_, end) if end > continuations.len() => {
                    Err(format!("there are {} continuations, and {end} are asked for", continuations.len()))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The request with all text in the normalisation form that its key is made of, so that the model sees what is keyed.
fn in_composed_form(request: &Request) -> Request {
    let mut request = request.clone();
    let compose = |text: &mut String| {
        if let std::borrow::Cow::Owned(other) = composed(text) {
            *text = other;
        }
    };
    match &mut request.prompt {
        Prompt::Completion(text) => compose(text),
        Prompt::Continuations { context, continuations } => {
            compose(context);
            continuations.iter_mut().for_each(compose);
        }
        Prompt::Chat(messages) => {
            for part in messages.iter_mut().flat_map(|message| &mut message.content) {
                if let Part::Text(text) = part {
                    compose(text);
                }
            }
        }
    }
    request.sampling.stop.iter_mut().for_each(compose);
    request
}
