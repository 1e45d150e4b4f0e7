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

use super::Arguments;
use crate::failure::Failure;
use crate::progress::Monitor;

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
pub fn line(arguments: &Arguments, name: &str, model: Arc<dyn Model>) -> Result<Line, Failure> {
    let folder = arguments.calls.clone().unwrap_or_else(|| PathBuf::from("runs/calls").join(name));
    line_with_log(arguments, name, model, &folder)
}

/// The same, with the log in a folder of its own.
///
/// # Errors
/// As [`line()`].
pub fn line_with_log(
    arguments: &Arguments,
    name: &str,
    model: Arc<dyn Model>,
    folder: &Path,
) -> Result<Line, Failure> {
    let prices = match &arguments.prices {
        Some(path) => Some(PriceTable::from_file(path).map_err(Failure::input)?),
        None => None,
    };
    let currency = prices.as_ref().map_or(String::new(), |prices| prices.currency.clone());
    // A dry run leaves nothing behind: without a log of an earlier run it looks into an empty one.
    let empty = match arguments.dry_run && !folder.exists() {
        true => Some(tempfile::tempdir().map_err(Failure::work)?),
        false => None,
    };
    let log = Log::open(empty.as_ref().map_or(folder, |folder| folder.path())).map_err(Failure::work)?;
    let options = Options {
        run: name.into(),
        limits: Limits { concurrency: usize::from(arguments.concurrency), ..Limits::default() },
        caps: Caps { cost: arguments.budget, ..Caps::default() },
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

/// Prints a finished run: as JSON or as a table, as the arguments say.
///
/// # Errors
/// If standard output is closed.
pub fn print(
    arguments: &Arguments,
    run: &impl Serialize,
    folder: &Path,
    summary: impl FnOnce() -> Table,
) -> Result<(), Failure> {
    use std::io::Write as _;
    if arguments.json {
        let mut value = serde_json::to_value(run).map_err(Failure::work)?;
        value["folder"] = folder.display().to_string().into();
        println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    } else if !arguments.quiet {
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
