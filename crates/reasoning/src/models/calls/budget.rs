//! Money: what a call may cost at worst is set aside before it is sent, and settled afterwards.
//!
//! Costs are whole numbers of 10⁻¹² of the currency, so that sums are exact. A cap is never exceeded as long as a call
//! costs no more than its worst case: the tokens of a text are at most its bytes, plus what a chat template adds, and a
//! sample has at most `max_tokens` tokens.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::{Identity, Prompt, Request, Usage};

/// What a run may spend. Default: no cap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caps {
    /// Money, in the currency of the price table. Needs a price for the model.
    pub cost: Option<f64>,
    /// Tokens read and written together.
    pub tokens: Option<u64>,
    /// Calls that were answered.
    pub calls: Option<u64>,
    /// Time since the call layer was made; calls in flight at its end are waited for.
    pub time: Option<Duration>,
}

/// The cap that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cap {
    /// Money.
    Cost,
    /// Tokens.
    Tokens,
    /// Calls.
    Calls,
    /// Time.
    Time,
}

impl std::fmt::Display for Cap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Cap::Cost => "money",
            Cap::Tokens => "tokens",
            Cap::Calls => "calls",
            Cap::Time => "time",
        })
    }
}

/// Calls with their tokens and their cost.
#[derive(Clone, Copy, Debug, Default, Eq, serde::Serialize)]
pub struct Spending {
    /// Calls.
    pub calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// The cost in 10⁻¹² of the currency. 0 where the model has no price.
    pub cost: u64,
    /// The time from sending to the whole reply, of all calls together, in microseconds. Not part of what runs are compared by.
    #[serde(skip)]
    pub microseconds: u64,
}

/// Equal are calls that read, write and cost the same, whatever time they took.
impl PartialEq for Spending {
    fn eq(&self, other: &Self) -> bool {
        let counted = |spent: &Spending| (spent.calls, spent.input_tokens, spent.output_tokens, spent.cost);
        counted(self) == counted(other)
    }
}

impl Spending {
    /// The cost in the currency.
    pub fn money(&self) -> f64 {
        self.cost as f64 * 1e-12
    }

    /// Both together.
    pub fn plus(self, other: Spending) -> Spending {
        Spending {
            calls: self.calls.saturating_add(other.calls),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: self.cost.saturating_add(other.cost),
            microseconds: self.microseconds.saturating_add(other.microseconds),
        }
    }

    fn minus(self, other: Spending) -> Spending {
        Spending {
            calls: self.calls.saturating_sub(other.calls),
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cost: self.cost.saturating_sub(other.cost),
            microseconds: self.microseconds.saturating_sub(other.microseconds),
        }
    }
}

/// What models cost. There is no built-in table: prices change, and a cap that counts with old ones is none.
///
/// ```toml
/// version = "2026-11-25"
/// currency = "USD"
///
/// [[model]]
/// name = "gpt-4o-mini"                      # as in the name of the model
/// endpoint = "https://api.openai.com/v1"    # default: any
/// input = 0.15                              # for a million tokens
/// output = 0.60
/// image_tokens = 25_500                     # the most tokens that one image is charged for; default: 65,536
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// Which table this is: recorded with the run.
    pub version: String,
    /// The currency of all prices.
    pub currency: String,
    #[serde(default)]
    model: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    endpoint: Option<String>,
    input: f64,
    output: f64,
    #[serde(default = "most_image_tokens")]
    image_tokens: u64,
}

fn most_image_tokens() -> u64 {
    65_536
}

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct PriceError {
    path: PathBuf,
    message: String,
}

impl PriceTable {
    /// Reads a table.
    pub fn from_file(path: &Path) -> Result<Self, PriceError> {
        let failed = |message: String| PriceError { path: path.into(), message };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        PriceTable::parse(&text).map_err(failed)
    }

    /// Reads the text of a table, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: PriceTable = toml::from_str(text).map_err(|error| error.to_string())?;
        for row in &table.model {
            for price in [row.input, row.output] {
                // Up to a million for a million tokens, so that no product overflows.
                if !(0.0..=1e6).contains(&price) {
                    return Err(format!("{}: {price} is no price of a million tokens", row.name));
                }
            }
        }
        Ok(table)
    }

    /// The prices of a model, or `None` if the table does not have it.
    pub(super) fn price(&self, model: &Identity) -> Option<Price> {
        let fits = |row: &&Row| {
            row.name == model.model
                && row
                    .endpoint
                    .as_ref()
                    .is_none_or(|endpoint| endpoint.trim_end_matches('/') == model.endpoint)
        };
        let row = self.model.iter().find(fits)?;
        // A millionth of 1.0 is 10⁶ units of 10⁻¹²; rounded up, so that nothing is too cheap. The product is first
        // rounded to six more digits, since 0.15 · 10⁶ must not become 150001.
        let units = |price: f64| ((price * 1e6 * 1e6).round() / 1e6).ceil() as u64;
        Some(Price { input: units(row.input), output: units(row.output), image_tokens: row.image_tokens })
    }
}

/// What a token costs, in 10⁻¹² of the currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Price {
    input: u64,
    output: u64,
    image_tokens: u64,
}

impl Price {
    /// What a call is charged for that used so many tokens.
    pub(super) fn charge(price: Option<Price>, usage: Usage) -> Spending {
        let Usage { input_tokens, output_tokens } = usage;
        let cost = price.map_or(0, |price| {
            let input = price.input.saturating_mul(input_tokens);
            input.saturating_add(price.output.saturating_mul(output_tokens))
        });
        Spending { calls: 1, input_tokens, output_tokens, cost, microseconds: 0 }
    }

    /// The most that a request can cost; `None` where it has no token limit and so no most.
    pub(super) fn worst(price: Option<Price>, request: &Request) -> Option<Spending> {
        let image_tokens = price.map_or_else(most_image_tokens, |price| price.image_tokens);
        let usage = Usage {
            input_tokens: most_input_tokens(request, image_tokens),
            output_tokens: request.sampling.max_tokens?.saturating_mul(request.samples as u64),
        };
        Some(Price::charge(price, usage))
    }
}

/// No tokenizer makes more tokens of a text than it has bytes. A chat template adds a few to each message, and some add
/// a system prompt of their own.
fn most_input_tokens(request: &Request, image_tokens: u64) -> u64 {
    const TEMPLATE: u64 = 128;
    const MESSAGE: u64 = 32;
    let bytes: u64 = request.prompt.texts().map(|text| text.len() as u64 + MESSAGE).sum();
    // Each continuation is sent behind the whole context.
    let again = match &request.prompt {
        Prompt::Continuations { context, .. } => {
            (context.len() as u64).saturating_mul(request.samples.saturating_sub(1) as u64)
        }
        Prompt::Chat(_) | Prompt::Completion(_) => 0,
    };
    let images = (request.prompt.images() as u64).saturating_mul(image_tokens + MESSAGE);
    images.saturating_add(TEMPLATE + bytes).saturating_add(again)
}

/// The account of a run.
pub(super) struct Budget {
    caps: Caps,
    /// The money cap in 10⁻¹².
    cost: Option<u64>,
    started: Instant,
    account: Mutex<Account>,
    settled: Notify,
}

#[derive(Clone, Copy)]
struct Account {
    spent: Spending,
    reserved: Spending,
}

impl Budget {
    /// An account that begins with what the run has spent before.
    pub(super) fn new(caps: Caps, spent: Spending) -> Self {
        let cost = caps.cost.map(|cost| (cost * 1e12).floor().max(0.0) as u64);
        let account = Mutex::new(Account { spent, reserved: Spending::default() });
        Budget { caps, cost, started: Instant::now(), account, settled: Notify::new() }
    }

    /// Whether what is spent must survive this process, reservations too.
    pub(super) fn is_capped(&self) -> bool {
        self.caps.cost.is_some() || self.caps.tokens.is_some() || self.caps.calls.is_some()
    }

    /// Sets aside the worst case of a call, or says which cap it might exceed. If it might exceed the cap only together
    /// with the calls in flight, their ends are waited for, since they may turn out cheaper.
    pub(super) async fn reserve(&self, worst: Spending) -> Result<Reservation<'_>, Cap> {
        loop {
            // Registered before the account is looked at, so that no settlement in between is missed.
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.caps.time.is_some_and(|time| self.started.elapsed() >= time) {
                return Err(Cap::Time);
            }
            {
                let mut account = self.account.lock().expect("no panic while adding");
                let with = account.reserved.plus(worst);
                if self.exceeded(account.spent.plus(with)).is_none() {
                    account.reserved = with;
                    return Ok(Reservation { budget: self, worst, spent: Spending::default() });
                }
                if let Some(cap) = self.exceeded(account.spent.plus(worst)) {
                    return Err(cap);
                }
            }
            settled.await;
        }
    }

    /// Whether a cap needs to know how many tokens a call may take.
    pub(super) fn counts_tokens(&self) -> bool {
        self.caps.cost.is_some() || self.caps.tokens.is_some()
    }

    /// The time since the account was opened.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What was spent so far.
    pub(super) fn spent(&self) -> Spending {
        self.account.lock().expect("no panic while adding").spent
    }

    fn exceeded(&self, spending: Spending) -> Option<Cap> {
        let tokens = spending.input_tokens.saturating_add(spending.output_tokens);
        let above = |value: u64, cap: Option<u64>| cap.is_some_and(|cap| value > cap);
        if above(spending.cost, self.cost) {
            Some(Cap::Cost)
        } else if above(tokens, self.caps.tokens) {
            Some(Cap::Tokens)
        } else if above(spending.calls, self.caps.calls) {
            Some(Cap::Calls)
        } else {
            None
        }
    }
}

/// The worst case of a call, set aside until the call ends or is given up.
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    worst: Spending,
    spent: Spending,
}

impl Reservation<'_> {
    /// The call goes out: if it is given up from now on, it may have been paid, and counts in full.
    pub(super) fn send(&mut self) {
        self.spent = self.worst;
    }

    /// Gives the reservation back for what was really spent: nothing, if the call was not paid.
    pub(super) fn settle(mut self, spent: Spending) {
        self.spent = spent;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut account = self.budget.account.lock().expect("no panic while adding");
        account.reserved = account.reserved.minus(self.worst);
        account.spent = account.spent.plus(self.spent);
        drop(account);
        self.budget.settled.notify_waiters();
    }
}
