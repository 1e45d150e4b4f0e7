//! What all suites share: the line to a model, asking over it, and what is printed at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_reasoning::models::calls::{Calls, Caps, Limits, Log, Options, PriceTable, Spending, Stop};
use mathesis_reasoning::models::{Model, Request};
use mathesis_reasoning::suites::Reply;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::failure::Failure;
use crate::progress::Monitor;

/// How models are called.
#[derive(Clone, Debug, clap::Args)]
pub struct Calling {
    /// Calls in flight at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,
    /// What tokens cost: a TOML file, see the page on models.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Stop before the run has cost more than this, in the currency of the prices.
    #[arg(long, value_name = "MONEY", requires = "prices")]
    pub budget: Option<f64>,
    /// Where replies are kept [default: a folder of the run's name in runs/calls].
    #[arg(long, value_name = "FOLDER")]
    pub calls: Option<PathBuf>,
    /// Check everything, show the first prompt and what the run would take, and ask nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// A line to a model: what was asked over it before is known.
pub struct Line {
    pub calls: Calls,
    /// The currency of the prices; empty without.
    pub currency: String,
    /// The log of a dry run, which leaves nothing behind.
    _empty: Option<TempDir>,
}

/// The line to a model that the arguments describe, for a run of this name.
///
/// # Errors
/// Wrong prices or limits; [`Failure::Work`] if the log cannot be opened.
pub fn line(calling: &Calling, name: &str, model: Arc<dyn Model>) -> Result<Line, Failure> {
    let folder = calling.calls.clone().unwrap_or_else(|| PathBuf::from("runs/calls").join(name));
    line_with_log(calling, name, model, &folder)
}

/// The same, with the log in a folder of its own.
///
/// # Errors
/// As [`line()`].
pub fn line_with_log(
    calling: &Calling,
    name: &str,
    model: Arc<dyn Model>,
    folder: &Path,
) -> Result<Line, Failure> {
    let prices = match &calling.prices {
        Some(path) => Some(PriceTable::from_file(path).map_err(Failure::input)?),
        None => None,
    };
    let currency = prices.as_ref().map_or(String::new(), |prices| prices.currency.clone());
    // A dry run leaves nothing behind: without a log of an earlier run it looks into an empty one.
    let empty = match calling.dry_run && !folder.exists() {
        true => Some(tempfile::tempdir().map_err(Failure::work)?),
        false => None,
    };
    let log = Log::open(empty.as_ref().map_or(folder, |folder| folder.path())).map_err(Failure::work)?;
    let options = Options {
        run: name.into(),
        limits: Limits { concurrency: usize::from(calling.concurrency), ..Limits::default() },
        caps: Caps { cost: calling.budget, ..Caps::default() },
        prices,
        ..Options::default()
    };
    let calls = Calls::new(model, Arc::new(log), options).map_err(Failure::input)?;
    Ok(Line { calls, currency, _empty: empty })
}

/// Asks every request for one sample, and returns the replies in their order with what they cost. `figures` is given
/// every reply with its number, and says what is shown beside the progress.
///
/// # Errors
/// If the calls stop before the end; what was answered is in the log. Ctrl-C ends the program, with the same promise.
pub fn replies(
    calls: &Calls,
    requests: &[Request],
    (label, unit): (&str, &'static str),
    quiet: bool,
    mut figures: impl FnMut(usize, &Reply) -> String,
) -> Result<(Vec<Reply>, Spending), Failure> {
    let mut watch = Watch::new(label, unit, quiet, requests.len());
    let mut replies = Vec::with_capacity(requests.len());
    let mut spent = Spending::default();
    calls.run(
        requests,
        async |request: &Request| calls.ask(request).await,
        |number, answers| {
            spent = spent.plus(answers.spent);
            let Some(reply) = answers.outcomes.first().and_then(Reply::of) else { return };
            let figures = figures(number, &reply);
            replies.push(reply);
            watch.show(number + 1, &figures);
        },
    );
    watch.finish();
    match calls.status().stop {
        Some(stop) => Err(stopped(&stop)),
        None => Ok((replies, spent)),
    }
}

/// Calls that stopped before the end.
pub fn stopped(stop: &Stop) -> Failure {
    Failure::work(format!("{stop}; what was answered is kept, the same command goes on from there"))
}

/// The progress of calls. Ctrl-C ends the program, since what was answered is kept.
pub struct Watch {
    monitor: Monitor,
    planned: usize,
    shown: Option<Instant>,
}

impl Watch {
    /// Of so many calls; `unit` is one of them.
    pub fn new(label: &str, unit: &'static str, quiet: bool, planned: usize) -> Self {
        Watch { monitor: Monitor::new(label, quiet).counting(unit), planned, shown: None }
    }

    /// So many are done.
    pub fn show(&mut self, done: usize, figures: &str) {
        if self.shown.is_some_and(|last| last.elapsed() <= Duration::from_millis(250)) {
            return;
        }
        self.shown = Some(Instant::now());
        if self.monitor.show(done, self.planned, figures).is_break() {
            self.monitor.finish();
            let planned = self.planned;
            eprintln!("{done} of {planned} are answered and kept; the same command goes on from there");
            std::process::exit(130);
        }
    }

    /// All are done.
    pub fn finish(&self) {
        self.monitor.finish();
    }
}

/// What replies cost, for `run.json`.
pub fn spent_json(spent: Spending, currency: &str) -> Value {
    serde_json::json!({
        "calls": spent.calls,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost": spent.money(),
        "currency": currency,
    })
}

/// Prints a finished run: as JSON or, unless it is to be quiet, as a table.
///
/// # Errors
/// If standard output is closed.
pub fn print(
    (json, quiet): (bool, bool),
    run: &impl Serialize,
    folder: &Path,
    summary: impl FnOnce() -> Table,
) -> Result<(), Failure> {
    use std::io::Write as _;
    if json {
        let mut value = serde_json::to_value(run).map_err(Failure::work)?;
        value["folder"] = folder.display().to_string().into();
        println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    } else if !quiet {
        println!("{}", summary());
    }
    std::io::stdout().flush().map_err(Failure::work)
}

/// A table without lines, of rows of cells.
pub fn table(rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for row in rows {
        table.add_row(row);
    }
    table
}
