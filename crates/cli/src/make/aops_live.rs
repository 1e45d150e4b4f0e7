//! The recipe `aops-live`: question-solution pairs and a dated benchmark from an archive of discussions.
//!
//! ```toml
//! recipe = "aops-live"
//! name = "forum"                  # default: the name of the file
//! threads = ["threads.jsonl"]     # or dump = "Posts.xml"; paths are beside this file
//!
//! [models]                        # default: --model for all
//! questions = "openai:SMALL@http://localhost:8000/v1"
//! answers = "openai:LARGE@http://localhost:8000/v1"
//! rewriting = ["openai:FIRST@http://localhost:8000/v1", "openai:SECOND@http://localhost:8001/v1"]
//!
//! [calls]
//! concurrency = 64
//! prices = "prices.toml"
//! budget = 20.0                   # for each model
//!
//! [options]                       # these are the defaults
//! keep-undecided = false
//! drop-links = false
//! max-tokens = 4096
//! validation-from = "2024-01-01"
//! test-from = "2024-03-01"
//! benchmark-from = "2024-01-01"
//! mode = "qwen25"
//!
//! [training]
//! ngram = 10
//! against = [{ set = "gsm8k", file = "gsm8k/test.jsonl", fields = ["question"] }]
//!
//! [benchmark]
//! ngram = 8
//! against = [{ set = "gsm8k_train", file = "gsm8k/train.jsonl" }]
//!
//! [prompts]                       # templates instead of ours
//! questions = "questions.jinja"
//! ```

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use mathesis_reasoning::decontamination::{Contents, Decontaminator, TextSet, read_set};
use mathesis_reasoning::models::Identity;
use mathesis_reasoning::models::calls::{self, Calls, Caps, Limits, Log, PriceTable};
use mathesis_reasoning::recipes::aops_live::{
    Archive, Benchmarks, Item, Made, Models, Options, Split, TemplateFiles, Templates, preview, run as make,
};
use mathesis_reasoning::recipes::runner::{RunError, Runner, StageReport};
use serde::{Deserialize, Serialize};

use super::Arguments;
use crate::failure::{Failure, absent};
use crate::local_model::open;
use crate::progress::{Monitor, listen_for_interrupts};
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::report::page::{STYLE, escape};
use crate::run_folder::RunFolder;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "recipe")]
    _recipe: String,
    name: Option<String>,
    #[serde(default)]
    threads: Vec<PathBuf>,
    dump: Option<PathBuf>,
    #[serde(default)]
    models: ModelNames,
    #[serde(default)]
    calls: CallOptions,
    #[serde(default)]
    options: Options,
    #[serde(default)]
    training: Against,
    #[serde(default)]
    benchmark: Against,
    #[serde(default)]
    prompts: TemplateFiles,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ModelNames {
    questions: Option<String>,
    answers: Option<String>,
    rewriting: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CallOptions {
    concurrency: usize,
    prices: Option<PathBuf>,
    budget: Option<f64>,
}

impl Default for CallOptions {
    fn default() -> Self {
        CallOptions { concurrency: 64, prices: None, budget: None }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Against {
    ngram: Option<usize>,
    against: Vec<SetFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFile {
    set: String,
    file: PathBuf,
    #[serde(default)]
    fields: Vec<String>,
}

/// What `run.json` holds.
#[derive(Serialize)]
struct RunRecord<'a> {
    name: &'a str,
    recipe: &'static str,
    file: String,
    options: &'a Options,
    models: [&'a Identity; 4],
    stages: &'a [StageReport],
    results: Results,
    command: Vec<String>,
    finished: String,
    seconds: f64,
    versions: Versions,
    machine: Machine,
    files: Vec<FileRecord>,
}

/// What came out.
#[derive(Default, Serialize)]
struct Results {
    training: usize,
    validation: usize,
    test: usize,
    benchmark: usize,
    /// Questions of the benchmark by month, level and type of answer.
    months: std::collections::BTreeMap<String, usize>,
    levels: std::collections::BTreeMap<String, usize>,
    answer_types: std::collections::BTreeMap<String, usize>,
}

/// Runs the recipe that a file states.
pub fn run(text: &str, arguments: &Arguments) -> Result<(), Failure> {
    let path = &arguments.file;
    let file: File =
        toml::from_str(text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let wrong = |message: String| Failure::input(format!("{}: {message}", path.display()));
    let archive = match (&file.dump, file.threads.is_empty()) {
        (Some(dump), true) => Archive::Xml(folder.join(dump)),
        (None, false) => Archive::JsonLines(file.threads.iter().map(|path| folder.join(path)).collect()),
        _ => return Err(wrong("expected either `threads` (JSON lines) or `dump` (XML)".into())),
    };
    for path in match &archive {
        Archive::Xml(path) => std::slice::from_ref(path),
        Archive::JsonLines(paths) => paths,
    } {
        if !path.is_file() {
            return Err(wrong(absent("file", path)));
        }
    }
    let templates = Templates::read(&beside(&file.prompts, folder)).map_err(Failure::input)?;
    let benchmarks = Benchmarks {
        training: engine(&file.training, 10, folder)?,
        benchmark: engine(&file.benchmark, 8, folder)?,
    };
    let stem = path.file_stem().map_or("aops-live".into(), |stem| stem.to_string_lossy().into_owned());
    let name = file.name.clone().unwrap_or(stem);
    if name.is_empty() || name.contains(['/', '\\']) {
        return Err(wrong(format!("name = \"{name}\" cannot be the name of a folder")));
    }
    let names = model_names(&file.models, arguments.model.as_deref()).map_err(wrong)?;
    if names[2] == names[3] {
        tracing::warn!(
            "the cross-check of the benchmark needs two models in `rewriting`: one agrees with itself"
        );
    }
    let work = PathBuf::from("runs/stages").join(&name);
    // A dry run leaves nothing behind.
    let empty = match arguments.dry_run && !work.join("calls").exists() {
        true => Some(tempfile::tempdir().map_err(Failure::work)?),
        false => None,
    };
    let log = empty.as_ref().map_or(work.join("calls"), |folder| folder.path().into());
    let calls = asked(&names, &file.calls, &name, &log, folder)?;
    if arguments.dry_run {
        return show(&archive, &templates, &file.options, &calls, &benchmarks);
    }

    listen_for_interrupts();
    let start = Instant::now();
    let quiet = arguments.quiet || arguments.json;
    let monitor = std::sync::Mutex::new(Monitor::new(&name, quiet).counting("record"));
    let mut seen = 0usize;
    let mut runner = Runner::open(&work, |progress| {
        seen += 1;
        if !seen.is_multiple_of(256) {
            return ControlFlow::Continue(());
        }
        let report = progress.report;
        let planned =
            progress.share.map_or(report.records, |share| (report.records as f64 / share.max(1e-9)) as usize);
        let figures = format!("{}, {} kept", report.stage, report.kept);
        monitor.lock().expect("no panic while showing").show(report.records, planned, &figures)
    })
    .map_err(failure)?;
    let [questions, answers, first, second] = &calls;
    let models = Models { questions, answers, rewriting: [first, second] };
    let made = make(&mut runner, &archive, &models, &templates, &benchmarks, &file.options);
    monitor.lock().expect("no panic while showing").finish();
    let made = made.map_err(failure)?;
    let stages = runner.reports().to_vec();
    conclude(arguments, &name, &file.options, &calls, &made, &stages, start)
}

fn failure(error: RunError) -> Failure {
    match error {
        RunError::Stopped(_) | RunError::Interrupted => {
            Failure::work(format!("{error}; what was reached is kept, the same command goes on from there"))
        }
        other => Failure::work(other),
    }
}

fn beside(files: &TemplateFiles, folder: &Path) -> TemplateFiles {
    let place = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
    TemplateFiles {
        questions: place(&files.questions),
        answers: place(&files.answers),
        question: place(&files.question),
        solution: place(&files.solution),
    }
}

/// The sets of texts that results may not hold; none if there are none.
fn engine(against: &Against, ngram: usize, folder: &Path) -> Result<Option<Decontaminator>, Failure> {
    let mut sets: Vec<TextSet> = Vec::new();
    for SetFile { set, file, fields } in &against.against {
        let contents = Contents { fields: fields.clone() };
        let read = read_set(set, &folder.join(file), &contents).map_err(Failure::input)?;
        match sets.iter_mut().find(|known| known.name == read.name) {
            Some(known) => known.texts.extend(read.texts),
            None => sets.push(read),
        }
    }
    if sets.is_empty() {
        return Ok(None);
    }
    Decontaminator::new(&sets, against.ngram.unwrap_or(ngram)).map(Some).map_err(Failure::input)
}

/// The models of the stages: questions, answers, and two to rewrite.
fn model_names(names: &ModelNames, model: Option<&str>) -> Result<[String; 4], String> {
    let need = |name: Option<&str>, key: &str| {
        name.or(model).map(str::to_string).ok_or(format!("no model for `{key}` in [models], and no --model"))
    };
    if names.rewriting.len() > 2 {
        return Err("`rewriting` takes one model or two".into());
    }
    let first = names.rewriting.first().map(String::as_str);
    Ok([
        need(names.questions.as_deref(), "questions")?,
        need(names.answers.as_deref(), "answers")?,
        need(first, "rewriting")?,
        need(names.rewriting.get(1).map(String::as_str).or(first), "rewriting")?,
    ])
}

fn asked(
    names: &[String; 4],
    options: &CallOptions,
    run: &str,
    log: &Path,
    folder: &Path,
) -> Result<[Calls; 4], Failure> {
    let prices = match &options.prices {
        Some(path) => Some(PriceTable::from_file(&folder.join(path)).map_err(Failure::input)?),
        None => None,
    };
    let log = Arc::new(Log::open(log).map_err(Failure::work)?);
    let mut made = Vec::with_capacity(4);
    for (number, name) in names.iter().enumerate() {
        let options = calls::Options {
            run: format!("{run}-{number}"),
            limits: Limits { concurrency: options.concurrency, ..Limits::default() },
            caps: Caps { cost: options.budget, ..Caps::default() },
            prices: prices.clone(),
            ..calls::Options::default()
        };
        let model = open(name).map_err(Failure::input)?;
        made.push(Calls::new(model, log.clone(), options).map_err(Failure::input)?);
    }
    <[Calls; 4]>::try_from(made).map_err(|_| Failure::work("four models"))
}

/// Shows what a run would begin with.
fn show(
    archive: &Archive,
    templates: &Templates,
    options: &Options,
    calls: &[Calls; 4],
    benchmarks: &Benchmarks,
) -> Result<(), Failure> {
    const SAMPLE: usize = 100;
    let (threads, requests) = preview(archive, templates, options, SAMPLE).map_err(Failure::input)?;
    println!("threads    {threads}");
    for (calls, stage) in calls.iter().zip(["questions", "answers", "rewriting", "benchmark"]) {
        println!("model      {} for {stage}", calls.model().identity().model);
    }
    for (engine, stage) in [(&benchmarks.training, "training"), (&benchmarks.benchmark, "benchmark")] {
        for set in engine.iter().flat_map(Decontaminator::sets) {
            println!("set        {} for {stage}: {} texts, {} n-grams", set.name, set.texts, set.ngrams);
        }
    }
    let looked_at = threads.min(SAMPLE);
    let factor = threads as f64 / looked_at.max(1) as f64;
    let estimate = calls[0].estimate(&requests).times(factor);
    println!(
        "questions  about {:.0} calls, {:.0} tokens to read, by {looked_at} threads; the later stages depend on the replies",
        estimate.calls + estimate.reused,
        estimate.input_tokens
    );
    if let Some(first) = requests.first() {
        println!("\nthe first prompt:\n\n{}", first.prompt.last_text());
    }
    Ok(())
}

/// Writes the run folder and prints the losses.
fn conclude(
    arguments: &Arguments,
    name: &str,
    options: &Options,
    calls: &[Calls; 4],
    made: &Made,
    stages: &[StageReport],
    start: Instant,
) -> Result<(), Failure> {
    let folder = RunFolder::begin(name, arguments.output.as_deref())?;
    let mut results = Results::default();
    let mut files = Vec::new();
    for split in Split::ALL {
        files.push(BufWriter::new(folder.create(&format!("{}.jsonl", split.name()))?));
    }
    #[derive(Deserialize)]
    struct OfSplit {
        split: Split,
    }
    each_line(made.pairs.path(), |line| {
        let OfSplit { split } = serde_json::from_str(line).map_err(Failure::work)?;
        let (count, file) = match split {
            Split::Training => (&mut results.training, &mut files[0]),
            Split::Validation => (&mut results.validation, &mut files[1]),
            Split::Test => (&mut results.test, &mut files[2]),
        };
        *count += 1;
        writeln!(file, "{line}").map_err(Failure::work)
    })?;
    let mut file = BufWriter::new(folder.create("benchmark.jsonl")?);
    each_line(made.benchmark.path(), |line| {
        let item: Item = serde_json::from_str(line).map_err(Failure::work)?;
        results.benchmark += 1;
        *results.months.entry(item.month).or_default() += 1;
        *results.levels.entry(item.level).or_default() += 1;
        *results.answer_types.entry(item.answer_type.name()).or_default() += 1;
        writeln!(file, "{line}").map_err(Failure::work)
    })?;
    for file in files.iter_mut().chain([&mut file]) {
        file.flush().map_err(Failure::work)?;
    }
    let contents = [
        ("training.jsonl", "pairs of threads before the validation data"),
        ("validation.jsonl", "pairs of threads before the test data"),
        ("test.jsonl", "the newest pairs"),
        ("benchmark.jsonl", "dated questions with answers, for `mathesis eval aops-live`"),
        ("report.html", "the losses of every stage"),
    ];
    let record = RunRecord {
        name,
        recipe: "aops-live",
        file: arguments.file.display().to_string(),
        options,
        models: [0, 1, 2, 3].map(|at| calls[at].model().identity()),
        stages,
        results,
        command: std::env::args().collect(),
        finished: now(),
        seconds: start.elapsed().as_secs_f64(),
        versions: Versions::current(),
        machine: Machine::current(),
        files: contents.iter().map(|(name, content)| FileRecord::new(name, content)).collect(),
    };
    folder.write("report.html", page(&record))?;
    let mut value = serde_json::to_value(&record).map_err(Failure::work)?;
    folder.write("run.json", serde_json::to_string_pretty(&value).map_err(Failure::work)? + "\n")?;
    let folder = folder.finish()?;
    if arguments.json {
        value["folder"] = folder.display().to_string().into();
        println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    } else if !arguments.quiet {
        let Results { training, validation, test, benchmark, .. } = &record.results;
        println!("{}", losses(stages));
        println!("\npairs      {training} training, {validation} validation, {test} test");
        println!("benchmark  {benchmark} questions");
        println!("time       {}", seconds(record.seconds));
        println!("written    {}", folder.display());
    }
    std::io::stdout().flush().map_err(Failure::work)
}

fn each_line(path: &Path, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("read", path, &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    for line in BufReader::new(file).lines() {
        each(&line.map_err(failed)?)?;
    }
    Ok(())
}

/// What every stage lost, and why.
fn losses(stages: &[StageReport]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["stage", "read", "kept", "dropped", "quarantined", "made", ""]);
    for stage in stages {
        let counts = [stage.records, stage.kept, stage.dropped, stage.quarantined, stage.made];
        let mut row = vec![stage.stage.clone()];
        row.extend(counts.map(|count| count.to_string()));
        row.push(reasons(stage));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn reasons(stage: &StageReport) -> String {
    let list = |counts: &std::collections::BTreeMap<String, usize>| {
        counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
    };
    match (stage.reasons.is_empty(), stage.parts.is_empty()) {
        (_, true) => list(&stage.reasons),
        (true, false) => format!("parts: {}", list(&stage.parts)),
        (false, false) => format!("{}; parts: {}", list(&stage.reasons), list(&stage.parts)),
    }
}

/// The report.
fn page(record: &RunRecord<'_>) -> String {
    let title = escape(record.name);
    let Results { training, validation, test, benchmark, months, levels, answer_types } = &record.results;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p class=\"verdict\">{training} training pairs, {validation} for validation, {test} for test; {benchmark} questions in \
         the benchmark</p>\n<h2>Losses</h2>\n<table>\n<tr><th>stage</th><th>read</th><th>kept</th><th>dropped</th>\
         <th>quarantined</th><th>made</th><th>why</th></tr>\n"
    );
    for stage in record.stages {
        let StageReport { stage: name, records, kept, dropped, quarantined, made, .. } = stage;
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{records}</td><td>{kept}</td><td>{dropped}</td><td>{quarantined}</td><td>{made}</td>\
             <td class=\"note\">{}</td></tr>",
            escape(name),
            escape(&reasons(stage))
        );
    }
    page.push_str("</table>\n");
    for (heading, counts) in [("Months", months), ("Levels", levels), ("Types of answers", answer_types)] {
        let _ = writeln!(page, "<h2>{heading} of the benchmark</h2>\n<table>");
        for (value, count) in counts {
            let _ = writeln!(page, "<tr><th>{}</th><td>{count}</td></tr>", escape(value));
        }
        page.push_str("</table>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}
