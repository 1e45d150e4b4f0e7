//! `mathesis judge`: models judge replies, or pairs of them, and are judged themselves: by swapped orders, repeats, each
//! other and gold labels.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mathesis_reasoning::models::calls::{Estimate, Spending};
use mathesis_reasoning::models::{Identity, Model};
use mathesis_reasoning::suites::aggregate::Score;
use mathesis_reasoning::suites::judge::{
    Agreement, Alpha, Calibration, Item, Items, JudgeMetrics, Judgement, Kind, Metrics, Tally, Task, judge,
};
use serde::Serialize;
use serde_json::Value;

use crate::eval::asking::{self, Calling, Line, Watch, spent_json};
use crate::eval::figures::{Bar, Page, Part, Section, Table, bars};
use crate::eval::{json_text, percent, run_name, share};
use crate::failure::Failure;
use crate::local_model::open;
use crate::progress::listen_for_interrupts;
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::run_folder::{RunFolder, check_output};

const EXAMPLES: &str = "\
Examples:
  mathesis judge examples/judging/equal.toml --judge scripted:examples/judging/lenient.toml
  mathesis judge correctness runs/gsm8k-A --judge openai:MODEL              the final answers of a run
  mathesis judge preference runs/gsm8k-A runs/gsm8k-B --judge openai:MODEL  two runs, reply by reply, in both orders
  mathesis judge task.toml --judge openai:ONE --judge openai:OTHER --repeats 3
  mathesis judge task.toml --judge openai:MODEL --dry-run                   the first prompt, and what it would take

Every reply of a judge is kept under runs/calls as soon as it is there: the same command goes on where it was interrupted,
and asks nothing twice.";

/// Arguments of `judge`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What is judged: a file that says so, or one of preference, score, correctness.
    task: String,
    /// The items, instead of those that the task names: a file of JSON lines, or the folders of one run or (for
    /// preferences) two.
    sources: Vec<PathBuf>,
    /// A judge, by its name as a model: openai:MODEL, local:FOLDER, scripted:FILE ...; several with one --judge each.
    #[arg(short, long = "judge", value_name = "MODEL", required = true)]
    judges: Vec<String>,
    /// How often each judge is asked each question, as samples of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeats: u16,
    /// The seed that judges are given: sample i has seed N + i.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    calling: Calling,
    /// The run folder [default: runs/TASK-judged, with a number if that is there].
    #[arg(short, long, visible_alias = "run", value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print the result as JSON on standard output instead of tables.
    #[arg(long)]
    json: bool,
    /// Show no progress and no tables.
    #[arg(short, long)]
    quiet: bool,
}

/// What `run.json` holds.
#[derive(Serialize)]
struct RunRecord<'a> {
    name: &'a str,
    task: &'a str,
    kind: Kind,
    sources: Vec<Value>,
    judges: Vec<&'a Identity>,
    repeats: usize,
    tries: usize,
    sampling: &'a mathesis_reasoning::models::Sampling,
    command: Vec<String>,
    finished: String,
    seconds: f64,
    /// Calls, tokens and cost of all replies of each judge, whenever they were made.
    spent: Vec<Value>,
    versions: Versions,
    machine: Machine,
    result: &'a Metrics,
    files: Vec<FileRecord>,
}

/// A line of `verdicts.jsonl`.
#[derive(Serialize)]
struct Verdict<'a> {
    judge: &'a str,
    id: &'a str,
    verdict: Option<&'a str>,
    /// Whether repeats were tied.
    tied: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    gold: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checker: Option<&'a str>,
    repeats: Vec<Repeat<'a>>,
}

#[derive(Serialize)]
struct Repeat<'a> {
    verdict: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent: Option<bool>,
    /// For each order, as the replies were shown.
    said: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    label: Option<&'a str>,
    malformed: usize,
    reply: &'a str,
}

/// A judge that can be asked.
struct Judge {
    name: String,
    model: Arc<dyn Model>,
}

/// Judge.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    let mut task = Task::open(&arguments.task).map_err(Failure::input)?;
    task.sampling.seed = arguments.seed;
    let judges = open_judges(&arguments.judges)?;
    let items = Items::open(&task, &arguments.sources).map_err(Failure::input)?;
    if arguments.calling.dry_run {
        return preview(arguments, &task, &items, &judges);
    }
    listen_for_interrupts();
    let repeats = usize::from(arguments.repeats);
    let mut tally = Tally::new(&task, repeats);
    let mut lines = BufWriter::new(tempfile::tempfile().map_err(Failure::work)?);
    let (mut spent, mut paid) = (Vec::new(), 0.0);
    for judge in &judges {
        tally.begin(&judge.name);
        let line = line(&arguments.calling, &task, &items, judge, paid)?;
        spent.push(ask(arguments, (&task, &items), judge, &line, &mut tally, &mut lines)?);
        paid += line.calls.status().spent.money();
    }
    let metrics = tally.metrics();
    let mut verdicts = lines.into_inner().map_err(|error| Failure::work(error.error()))?;
    let name = format!("{}-judged", task.name);
    let folder = RunFolder::begin(&name, arguments.output.as_deref())?;
    let copied = verdicts.rewind().and_then(|()| {
        let mut file = File::create(folder.path("verdicts.jsonl"))?;
        std::io::copy(&mut verdicts, &mut file)
    });
    copied.map_err(|error| Failure::file("write", &folder.path("verdicts.jsonl"), &error))?;
    folder.write("metrics.json", json_text(&metrics)?)?;
    folder.write("report.html", page(&task, &metrics).html())?;
    let source = |(path, digest): &(PathBuf, String)| serde_json::json!({"file": path.display().to_string(), "blake3": digest});
    let run = RunRecord {
        name: &name,
        task: &arguments.task,
        kind: task.kind,
        sources: items.files.iter().map(source).collect(),
        judges: judges.iter().map(|judge| judge.model.identity()).collect(),
        repeats,
        tries: task.tries,
        sampling: &task.sampling,
        command: std::env::args().collect(),
        finished: now(),
        seconds: start.elapsed().as_secs_f64(),
        spent,
        versions: Versions::current(),
        machine: Machine::current(),
        result: &metrics,
        files: vec![
            FileRecord::new("report.html", "tables and bars"),
            FileRecord::new("metrics.json", "the figures: the same for the same verdicts"),
            FileRecord::new(
                "verdicts.jsonl",
                "a line for each judge and item: what was said, and what that makes",
            ),
        ],
    };
    folder.write("run.json", json_text(&run)?)?;
    let folder = folder.finish()?;
    asking::print((arguments.json, arguments.quiet), &run, &folder, || {
        let mut rows = rows(&metrics, items.unpaired);
        rows.push(("time".into(), seconds(run.seconds)));
        rows.push(("report".into(), folder.join("report.html").display().to_string()));
        asking::table(rows.into_iter().map(|(name, value)| vec![name, value]))
    })
}

/// Opens the judges. Two of one model at different places are told apart by what they are called here.
fn open_judges(names: &[String]) -> Result<Vec<Judge>, Failure> {
    let mut judges: Vec<(Judge, &str)> = Vec::new();
    for name in names {
        let model = open(name).map_err(Failure::input)?;
        if let Some((_, other)) = judges.iter().find(|(judge, _)| judge.model.identity() == model.identity())
        {
            return Err(Failure::input(format!(
                "--judge {name}: the same judge as {other}; --repeats asks a judge several times"
            )));
        }
        judges.push((Judge { name: model.identity().model.clone(), model }, name));
    }
    let taken: Vec<String> = judges.iter().map(|(judge, _)| judge.name.clone()).collect();
    let judges = judges.into_iter().map(|(judge, given)| {
        let is_shared = taken.iter().filter(|name| **name == judge.name).count() > 1;
        let name = if is_shared { given.to_string() } else { judge.name };
        Judge { name, ..judge }
    });
    Ok(judges.collect())
}

/// The line to a judge. Judges keep their replies apart, and for all tasks together; what is spent is told apart by task and items. `spent` is
/// what the other judges have spent of the budget.
fn line(calling: &Calling, task: &Task, items: &Items, judge: &Judge, spent: f64) -> Result<Line, Failure> {
    let own = run_name("judge", &judge.model.identity().model);
    let folder = calling.calls.clone().unwrap_or_else(|| PathBuf::from("runs/calls")).join(&own);
    let mut digest = blake3::Hasher::new();
    items.files.iter().for_each(|(_, of_file)| _ = digest.update(of_file.as_bytes()));
    let account = format!("{} {} by {own}", task.name, &digest.finalize().to_hex()[..16]);
    let budget = calling.budget.map(|budget| (budget - spent).max(0.0));
    let calling = Calling { budget, ..calling.clone() };
    asking::line_with_log(&calling, &account, judge.model.clone(), &folder)
}

fn preview(arguments: &Arguments, task: &Task, items: &Items, judges: &[Judge]) -> Result<(), Failure> {
    let requests = |item: &Item| task.requests(item, usize::from(arguments.repeats)).map_err(Failure::input);
    let mut first = None;
    println!("items     {}, {} with gold labels", items.count, items.labelled);
    for judge in judges {
        let line = line(&arguments.calling, task, items, judge, 0.0)?;
        let mut total = Estimate::default();
        for item in items.each().map_err(Failure::input)? {
            let (_, item) = item.map_err(Failure::input)?;
            let requests = requests(&item)?;
            total = total.plus(line.calls.estimate(&requests));
            first = first.or_else(|| Some((item.id, requests.first()?.prompt.last_text())));
        }
        let cost = match line.currency.as_str() {
            "" => String::new(),
            currency => format!(", at most {:.4} {currency}", total.cost),
        };
        println!(
            "judge     {}: {} calls, {} replies are there already; about {} tokens to read, at most {} to write{cost}",
            judge.name, total.calls, total.reused, total.input_tokens, total.output_tokens
        );
    }
    if let Some((id, prompt)) = first {
        println!("\nthe first prompt ({id}):\n\n{prompt}");
    }
    Ok(())
}

/// Asks a judge about everything, and writes its verdicts; returns what its replies cost.
fn ask(
    arguments: &Arguments,
    (task, items): (&Task, &Items),
    by: &Judge,
    line: &Line,
    tally: &mut Tally<'_>,
    lines: &mut impl Write,
) -> Result<Value, Failure> {
    let mut watch = Watch::new(&by.name, "item", arguments.quiet || arguments.json, items.count);
    let mut given = vec![0usize; task.labels.len()];
    let mut spent = Spending::default();
    let (mut done, mut written) = (0, Ok(()));
    let asked = judge(&line.calls, task, items, usize::from(arguments.repeats), |item, judgement, cost| {
        spent = spent.plus(cost);
        done += 1;
        tally.add(item, &judgement);
        if let Some(label) = judgement.verdict {
            given[usize::from(label)] += 1;
        }
        if written.is_ok() {
            written = write_verdict(lines, task, &by.name, item, &judgement);
        }
        let counts = task.labels.names.iter().zip(&given).filter(|(_, count)| **count > 0);
        let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
        watch.show(done, &counts.join(", "));
    });
    watch.finish();
    asked.map_err(|error| {
        Failure::work(format!("{error}; what was answered is kept, the same command goes on from there"))
    })?;
    written.map_err(|error| Failure::work(format!("cannot write verdicts: {error}")))?;
    Ok(spent_json(spent, &line.currency))
}

fn write_verdict(
    lines: &mut impl Write,
    task: &Task,
    judge: &str,
    item: &Item,
    judgement: &Judgement,
) -> std::io::Result<()> {
    let name = |label: Option<u8>| label.map(|label| task.labels.name(label));
    let repeats = judgement.repeats.iter().map(|repeat| Repeat {
        verdict: name(repeat.verdict),
        consistent: repeat.is_consistent(),
        said: (repeat.said.iter())
            .map(|said| Said { label: name(said.label), malformed: said.malformed, reply: &said.text })
            .collect(),
    });
    let verdict = Verdict {
        judge,
        id: &item.id,
        verdict: name(judgement.verdict),
        tied: judgement.is_tied,
        gold: name(item.gold),
        checker: name(item.checker),
        repeats: repeats.collect(),
    };
    serde_json::to_writer(&mut *lines, &verdict)?;
    lines.write_all(b"\n")
}

type Rows = Vec<(String, String)>;

/// What is printed, and what the page says of every judge.
fn rows(metrics: &Metrics, unpaired: usize) -> Rows {
    let mut rows = vec![("items".to_string(), items_text(metrics))];
    if unpaired > 0 {
        rows.push(("not paired".into(), format!("{unpaired} problems of only one of the runs")));
    }
    for judge in metrics.judges.iter().chain(&metrics.together) {
        rows.push(("judge".into(), judge.name.clone()));
        rows.extend(judge_rows(metrics, judge).into_iter().map(|(name, value)| (format!("  {name}"), value)));
    }
    if let Some(agreement) = &metrics.agreement {
        rows.push(("agreement".into(), alpha_text(&agreement.alpha)));
        rows.extend(pair_rows(agreement));
    }
    rows
}

fn items_text(metrics: &Metrics) -> String {
    let mut text = format!("{}, {} with gold labels", metrics.items, metrics.labelled);
    if metrics.problems != metrics.items {
        text = format!(
            "{} of {} problems, {} with gold labels",
            metrics.items, metrics.problems, metrics.labelled
        );
    }
    if metrics.not_asked > 0 {
        text += &format!("; {} not asked about, since a reply is missing", metrics.not_asked);
    }
    text
}

fn judge_rows(metrics: &Metrics, judge: &JudgeMetrics) -> Rows {
    let mut rows = Rows::new();
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    let verdicts = &judge.verdicts;
    for label in &verdicts.shares {
        row(&label.label, share(&label.share));
    }
    if verdicts.none > 0 || judge.malformed > 0 {
        let text = format!(
            "{} items; {} malformed replies, {} questions without any other",
            verdicts.none, judge.malformed, judge.unread
        );
        row("no verdict", text);
    }
    if verdicts.tied > 0 {
        row("tied", format!("{} items, decided by the rule of the kind", verdicts.tied));
    }
    if let Some(mean) = &verdicts.mean {
        let interval = format!("95 %: {:.3} to {:.3}", mean.interval.low, mean.interval.high);
        row("mean", format!("{:.3} ({interval}) over {} items", mean.value, mean.items));
    }
    if let Some(preference) = &verdicts.preference {
        if let Some(paired) = &preference.difference {
            let text = format!(
                "{:+.3} for the first (95 %: {:+.3} to {:+.3}); p = {:.4} by sign permutation",
                paired.difference, paired.interval.low, paired.interval.high, paired.permutation
            );
            row("wins less losses", text);
        }
        let sign = &preference.sign;
        let text = format!(
            "{} problems for the first, {} for the second: p = {:.4}",
            sign.only_first, sign.only_second, sign.exact
        );
        row("sign test", text);
    }
    if let Some(position) = &judge.position {
        let shared = position.consistent as f64 / position.in_both_orders.max(1) as f64;
        let text = format!(
            "{} of {} cases say the same in both orders ({})",
            position.consistent,
            position.in_both_orders,
            percent(shared)
        );
        row("consistent", text);
        let text = format!(
            "the first in {} of {} decided replies; p = {:.4}",
            share(&position.first),
            position.decided,
            position.test.exact
        );
        row("place", text);
    }
    if let Some(alpha) = &judge.repeats {
        row("repeats agree", alpha_text(alpha));
    }
    match &judge.calibration {
        Some(calibration) => rows.extend(calibration_rows(metrics, calibration)),
        None => row("gold", "no item has a label: how far this can be believed is not known".into()),
    }
    rows
}

fn calibration_rows(metrics: &Metrics, calibration: &Calibration) -> Rows {
    let mut rows = Rows::new();
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    let text = format!(
        "{} of {} items; balanced {}; kappa {}",
        share(&calibration.accuracy),
        calibration.items,
        percent(calibration.balanced_accuracy),
        figure(calibration.kappa)
    );
    row("agrees with gold", text);
    row("with gold", alpha_text(&calibration.alpha));
    let Some(yes) = &calibration.yes else {
        if let Some(errors) = &calibration.errors {
            let text = format!(
                "mean {:+.3}, absolute {:.3}; rank correlation {}, quadratic kappa {}",
                errors.mean,
                errors.absolute,
                figure(errors.spearman),
                figure(errors.quadratic_kappa)
            );
            row("errors", text);
        }
        return rows;
    };
    let rate = |rate: &Option<Score>| rate.as_ref().map_or("not known".into(), share);
    row("sensitivity", rate(&yes.sensitivity));
    row("specificity", rate(&yes.specificity));
    if yes.rest > 0 {
        row("yes, as said", format!("{} of the {} items without a label", share(&yes.said), yes.rest));
        let corrected = match (&yes.corrected, &yes.uncorrected) {
            (Some(corrected), _) => format!(
                "{} (95 %: {:.1} to {:.1})",
                percent(corrected.share),
                100.0 * corrected.interval.low,
                100.0 * corrected.interval.high
            ),
            (None, why) => format!("not possible: {}", why.as_deref().unwrap_or("not known")),
        };
        row("yes, corrected", corrected);
    } else if metrics.items > 0 {
        row("yes, corrected", "every item has a label: nothing is left to estimate".into());
    }
    rows
}

fn alpha_text(alpha: &Alpha) -> String {
    let interval = alpha
        .interval
        .map_or(String::new(), |interval| format!(" (95 %: {:.3} to {:.3})", interval.low, interval.high));
    format!("alpha {}{interval}, {}, over {} items", figure(alpha.alpha), alpha.scale.name(), alpha.items)
}

fn figure(value: Option<f64>) -> String {
    value.map_or("not defined".into(), |value| format!("{value:.3}"))
}

fn pair_rows(agreement: &Agreement) -> Rows {
    let text = |pair: &mathesis_reasoning::suites::judge::Pair| {
        let quadratic = pair.quadratic_kappa.map_or(String::new(), |kappa| format!(", quadratic {kappa:.3}"));
        let same = match pair.same {
            Some(same) => format!("the same on {} of {} items", percent(same), pair.items),
            None => "no item that both rated".into(),
        };
        (
            format!("  {}, {}", pair.first, pair.second),
            format!("{same}, kappa {}{quadratic}", figure(pair.kappa)),
        )
    };
    agreement.pairs.iter().map(text).collect()
}

fn page(task: &Task, metrics: &Metrics) -> Page {
    let table = |rows: Rows| {
        let mut table = Table::new(["figure", "value"]);
        rows.into_iter().for_each(|(name, value)| table.row([name, value]));
        Part::Table(table)
    };
    let mut sections = Vec::new();
    for judge in metrics.judges.iter().chain(&metrics.together) {
        let drawn: Vec<Bar> = (judge.verdicts.shares.iter())
            .map(|label| Bar {
                name: label.label.clone(),
                value: label.share.value,
                low: label.share.interval.low,
                high: label.share.interval.high,
            })
            .collect();
        let mut parts = vec![
            Part::Drawing(bars(&drawn), "shares of the verdicts among all items, with 95 % intervals".into()),
            table(judge_rows(metrics, judge)),
        ];
        if let Some(calibration) = &judge.calibration {
            let head = ["gold".to_string()].into_iter().chain(metrics.labels.iter().cloned());
            let mut confusion = Table::new(head.chain(["no verdict".into()]));
            for (label, counts) in metrics.labels.iter().zip(&calibration.confusion) {
                confusion.row([label.clone()].into_iter().chain(counts.iter().map(usize::to_string)));
            }
            parts.push(Part::Words("Gold labels (rows) and verdicts (columns):".into()));
            parts.push(Part::Table(confusion));
        }
        sections.push(Section { heading: judge.name.clone(), parts });
    }
    if let Some(agreement) = &metrics.agreement {
        let mut rows = vec![("all".to_string(), alpha_text(&agreement.alpha))];
        rows.extend(pair_rows(agreement));
        sections.push(Section { heading: "agreement".into(), parts: vec![table(rows)] });
    }
    let names: Vec<&str> = metrics.judges.iter().map(|judge| judge.name.as_str()).collect();
    Page {
        title: format!("{} · {}", task.name, names.join(", ")),
        verdict: headline(metrics),
        about: format!("{}; {}, {} repeats", metrics.kind.name(), items_text(metrics), metrics.repeats),
        sections,
    }
}

/// The figure that matters, in a line: what can be believed if that is known.
fn headline(metrics: &Metrics) -> String {
    let Some(judge) = metrics.together.as_ref().or(metrics.judges.first()) else { return String::new() };
    let corrected = judge.calibration.as_ref().and_then(|calibration| calibration.yes.as_ref()?.corrected);
    match (corrected, &judge.verdicts.mean) {
        (Some(corrected), _) => format!(
            "{} of the items without a label are right (95 %: {:.1} to {:.1}), corrected for the errors of the judge",
            percent(corrected.share),
            100.0 * corrected.interval.low,
            100.0 * corrected.interval.high
        ),
        (None, Some(mean)) => format!("mean {:.3} over {} items, by {}", mean.value, mean.items, judge.name),
        (None, None) => {
            let shares = judge.verdicts.shares.iter();
            let shares: Vec<String> =
                shares.map(|label| format!("{} {}", label.label, share(&label.share))).collect();
            let corrected = if metrics.kind == Kind::Correctness { ", not corrected" } else { "" };
            format!("{}, by {}{corrected}", shares.join(", "), judge.name)
        }
    }
}
