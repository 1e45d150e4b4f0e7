//! `mathesis eval`: a benchmark on a model, or on replies that are there; a run folder with every transcript out.

mod arqmath;
mod asking;
mod countermath;
mod figures;
mod misconceptions;
pub mod page;
mod programs;
mod remediation;

pub use page::percent;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_reasoning::models::calls::{Calls, Spending};
use mathesis_reasoning::models::{Identity, Model, open};
use mathesis_reasoning::statistics::interval::{student_t, wilson};
use mathesis_reasoning::suites::generate::{Item, generate, items};
use mathesis_reasoning::suites::languages::{Languages, languages};
use mathesis_reasoning::suites::{
    Data, DataFile, Grader, Metrics, Prompter, Record, Reply, Settings, Strategy, Suite, SuiteError, Verdict,
    aggregate, aops_live, grade,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::asking::Line;
use self::programs::Programs;
use crate::failure::Failure;
use crate::progress::{Monitor, listen_for_interrupts};
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::run_folder::{RunFolder, check_output};

const EXAMPLES: &str = "\
Examples:
  mathesis eval                                             the suites
  mathesis eval examples/word-problems/suite.toml --model scripted:examples/word-problems/pupil.toml
  mathesis eval gsm8k --model openai:MODEL@http://localhost:8000/v1 --dry-run
  mathesis eval gsm8k --model openai:MODEL --samples 8 --set temperature=0.7
  mathesis eval gsm8k --replies runs/gsm8k-MODEL/records.jsonl --set mode=gsm8k      judge again, ask nothing
  mathesis eval gsm8k --model openai:MODEL --strategy program                the model writes programs
  mathesis eval carp --model openai:MODEL --strategy deli                    algebra tools and text in turns
  mathesis eval arqmath --qrels qrels.txt --run my.run      a ranking, scored as trec_eval does
  mathesis eval math-misconceptions --model lexical:characters --set experiment=cross-topic
  mathesis compare runs/gsm8k-A runs/gsm8k-B                paired tests of two runs

Published suites read their data below --data or MATHESIS_DATA. Every reply is kept under runs/calls as soon as it is
there: the same command goes on where a run was interrupted, and asks nothing twice.";

/// Suites that score rankings instead of answers.
#[derive(Debug, clap::Subcommand)]
enum Ranking {
    /// Score a retrieval run against relevance judgements, as trec_eval prints it.
    Arqmath(arqmath::Arguments),
}

/// Suites whose prompts and scores are of their own kind: name, what it is, and what runs it.
type OwnKind = (&'static str, &'static str, fn(&Arguments) -> Result<(), Failure>);
const OF_THEIR_OWN_KIND: &[OwnKind] = &[
    (misconceptions::NAME, "55 misconceptions of algebra behind wrong answers", misconceptions::run),
    (
        countermath::NAME,
        "1,216 statements of university mathematics: true or false, and argued by examples?",
        countermath::run,
    ),
    (remediation::NAME, "help against these misconceptions, rated by people", remediation::run),
];

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    ranking: Option<Ranking>,
    /// A published suite, or a file that describes one; without it the suites are listed.
    suite: Option<String>,
    /// The model: openai:MODEL or openai:MODEL@URL, scripted:FILE, replay:FILE or record:FILE,NAME.
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Judge these replies instead of asking a model: the records of a run, or JSON lines with `id` and `replies`.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    replies: Option<PathBuf>,
    /// The folder with the data of suites [default: MATHESIS_DATA].
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Ask only so many problems, evenly spread over the suite.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Samples of each problem.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    samples: u16,
    /// How problems are asked; a wrong name shows the ways of the suite.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// A setting of the suite, of its prompts or of sampling; a wrong key shows all.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The seed that the model is given: sample i has seed N + i.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Calls in flight at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
    /// What tokens cost: a TOML file, see the page on models.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Stop before the run has cost more than this, in the currency of the prices.
    #[arg(long, value_name = "MONEY", requires = "prices")]
    budget: Option<f64>,
    /// Where replies are kept [default: runs/calls/SUITE-MODEL].
    #[arg(long, value_name = "FOLDER")]
    calls: Option<PathBuf>,
    /// The run folder [default: runs/SUITE-MODEL, with a number if that is there].
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Check everything, show the first prompt and what the run would take, and ask nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON on standard output instead of tables.
    #[arg(long)]
    json: bool,
    /// Show no progress and no tables.
    #[arg(short, long)]
    quiet: bool,
}

/// What `run.json` holds.
#[derive(Serialize)]
struct RunRecord<'a, R> {
    name: &'a str,
    suite: &'a str,
    about: &'a str,
    strategy: &'a str,
    settings: &'a std::collections::BTreeMap<&'static str, String>,
    data: &'a [DataFile],
    model: Option<&'a Identity>,
    replies: Option<String>,
    limit: Option<usize>,
    samples: usize,
    seed: Option<u64>,
    command: Vec<String>,
    finished: String,
    seconds: f64,
    /// Calls, tokens and cost of all replies, whenever they were made.
    spent: Value,
    versions: Versions,
    machine: Machine,
    result: &'a R,
    files: Vec<FileRecord>,
}

/// A run that has been checked and can begin.
struct Plan {
    suite: Suite,
    strategy: Strategy,
    settings: Settings,
    data: Data,
    files: Vec<DataFile>,
    prompter: Prompter,
    programs: Option<Programs>,
    grader: Grader,
}

/// Run a benchmark.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Ranking::Arqmath(arguments)) = &arguments.ranking {
        return arqmath::run(arguments);
    }
    let Some(name) = &arguments.suite else { return list() };
    if let Some((_, _, run)) = OF_THEIR_OWN_KIND.iter().find(|(known, _, _)| known == name) {
        return run(arguments);
    }
    let plan = plan(arguments, name)?;
    match (&arguments.model, &arguments.replies) {
        (Some(model), _) => ask(arguments, &plan, model),
        (None, Some(replies)) => judge(arguments, &plan, replies),
        (None, None) if arguments.dry_run => {
            let first =
                plan.prompter.render(&plan.data.problems[0], &plan.data.exemplars).map_err(Failure::input)?;
            println!("{} problems; the first prompt:\n\n{first}", plan.data.problems.len());
            Ok(())
        }
        (None, None) => Err(Failure::input("--model says what is asked (or --replies what is judged)")),
    }
}

impl Arguments {
    /// The settings as keys and values.
    fn given_settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_string(), value.to_string())),
            None => Err(Failure::input(format!("--set {text}: expected KEY=VALUE"))),
        };
        self.settings.iter().map(pair).collect()
    }

    /// Whether a data folder is named.
    fn names_data(&self) -> bool {
        self.data.is_some() || std::env::var_os("MATHESIS_DATA").is_some_and(|folder| !folder.is_empty())
    }

    /// The data folder that a suite needs.
    fn data_folder(&self, suite: &str, fetch: &str) -> Result<PathBuf, Failure> {
        match (&self.data, std::env::var_os("MATHESIS_DATA")) {
            (Some(folder), _) => Ok(folder.clone()),
            (None, Some(folder)) if !folder.is_empty() => Ok(folder.into()),
            _ => Err(Failure::input(format!(
                "{suite} needs its data: fetch {fetch} of a folder that --data or MATHESIS_DATA names"
            ))),
        }
    }
}

fn list() -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["suite", "problems", "strategies", "settings of its own"]);
    for suite in Suite::all() {
        let strategies: Vec<&str> = suite.strategies.iter().map(|strategy| strategy.name).collect();
        let settings: Vec<&str> = suite.settings.iter().map(|setting| setting.key).collect();
        table.add_row([&suite.name, &suite.about, &strategies.join(", "), &settings.join(", ")]);
    }
    for (name, about, _) in OF_THEIR_OWN_KIND {
        table.add_row([name, about, "", "a wrong key shows all"]);
    }
    table.add_row([
        "arqmath",
        "rankings of ARQMath-3 or of any TREC collection",
        "",
        "see `mathesis eval arqmath --help`",
    ]);
    println!("{table}");
    Ok(())
}

/// Check everything that can be checked before anything is asked.
fn plan(arguments: &Arguments, name: &str) -> Result<Plan, Failure> {
    let suite = Suite::open(name).map_err(Failure::input)?;
    let strategy = suite.strategy(arguments.strategy.as_deref()).map_err(Failure::input)?.clone();
    let given = arguments.given_settings()?;
    let settings = suite.settings(&given).map_err(Failure::input)?;
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    if arguments.limit == Some(0) {
        return Err(Failure::input("--limit 0 leaves no problem"));
    }
    let prompter = Prompter::new(&suite, &strategy, &settings).map_err(Failure::input)?;
    let folder = match suite.folders.is_empty() && !arguments.names_data() {
        true => PathBuf::new(),
        false => arguments.data_folder(&suite.name, &suite.fetch)?,
    };
    let (mut data, files) = suite.load(&folder, &settings).map_err(Failure::input)?;
    if prompter.shows_exemplars() && settings.shots() > 0 && data.exemplars.is_empty() {
        let fetch = SuiteError::NoFile { folder, wanted: "exemplars".into(), fetch: suite.fetch.clone() };
        return Err(Failure::input(fetch));
    }
    if let Some(limit) = arguments.limit {
        let all = data.problems.len();
        let kept = (0..limit.min(all)).map(|number| data.problems[number * all / limit.min(all)].clone());
        data.problems = kept.collect();
    }
    let grader = Grader { mode: settings.mode(), budget: settings.budget() };
    let programs = Programs::of(&strategy, &settings, arguments.quiet || arguments.json)?;
    Ok(Plan { suite, strategy, settings, data, files, prompter, programs, grader })
}

/// The name of a run of this model.
fn run_name(suite: &str, model: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    format!("{suite}-{}", model.chars().map(plain).collect::<String>())
}

/// Ask a model.
fn ask(arguments: &Arguments, plan: &Plan, model: &str) -> Result<(), Failure> {
    let model = open(model).map_err(Failure::input)?;
    let name = run_name(&plan.suite.name, &model.identity().model);
    let samples = usize::from(arguments.samples);
    let sampling = plan.settings.sampling(arguments.seed);
    let items = items(&plan.data, &plan.prompter, plan.settings.get("system"), &sampling, samples)
        .map_err(Failure::input)?;

    let Line { calls, currency, .. } = &asking::line(arguments, &name, model.clone())?;
    if arguments.dry_run {
        preview(plan, &items, calls, currency);
        return Ok(());
    }

    listen_for_interrupts();
    let start = Instant::now();
    let run = Asking { plan, currency, samples, quiet: arguments.quiet || arguments.json, calls };
    let (records, spent) = run.all(&items)?;
    let conclusion = Conclusion {
        arguments,
        plan,
        name: &name,
        model: Some(&*model),
        records: &records,
        spent: Some((spent, currency)),
        seconds: start.elapsed().as_secs_f64(),
    };
    conclusion.write()
}

/// Show what a run would ask and take.
fn preview(plan: &Plan, items: &[Item<'_>], calls: &Calls, currency: &str) {
    let request = &items[0].request;
    println!("suite     {}: {}", plan.suite.name, plan.suite.about);
    for file in &plan.files {
        println!("data      {} ({} rows, BLAKE3 {})", file.name, file.rows, &file.blake3[..16]);
    }
    println!("model     {}", calls.model().identity().model);
    println!("strategy  {}, judged by {}", plan.strategy.name, plan.grader.name());
    for (key, value) in plan.settings.values().iter().filter(|(_, value)| !value.is_empty()) {
        println!("          {key} = {value:?}");
    }
    let estimate = calls.estimate(items.iter().map(|item| &item.request));
    println!(
        "problems  {}, {} samples of each: {} calls, {} samples are there already",
        items.len(),
        request.samples,
        estimate.calls,
        estimate.reused
    );
    println!(
        "tokens    about {} to read, at most {} to write",
        estimate.input_tokens, estimate.output_tokens
    );
    if !currency.is_empty() {
        println!("cost      at most {:.4} {currency}", estimate.cost);
    }
    let Some(dialogue) = plan.prompter.dialogue() else {
        println!("\nthe first prompt ({}):\n\n{}", items[0].problem.id, items[0].prompt);
        return;
    };
    println!("          these are the first calls; a sample takes at most {}", dialogue.most_calls());
    println!("\nthe first conversation ({}):", items[0].problem.id);
    for message in dialogue.opening(items[0].problem, &items[0].prompt) {
        println!("\n[{}]\n{}", message.role.name(), message.text());
    }
}

/// A run that asks.
struct Asking<'a> {
    plan: &'a Plan,
    currency: &'a str,
    samples: usize,
    quiet: bool,
    calls: &'a Calls,
}

/// What is shown while a run asks: scores by problem.
#[derive(Default)]
struct Tally {
    scores: Vec<Vec<f64>>,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        let score = |verdict| f64::from(u8::from(verdict == Verdict::Right));
        self.scores.push(record.grades.iter().map(|grade| score(grade.verdict)).collect());
    }

    fn figures(&self, samples: usize) -> String {
        let all: Vec<f64> = self.scores.iter().flatten().copied().collect();
        if all.is_empty() {
            return String::new();
        }
        let right = all.iter().sum::<f64>();
        let interval = if samples == 1 {
            wilson(right as usize, all.len(), 0.95)
        } else {
            student_t(&self.scores, 0.95)
        };
        let percent = |share: f64| 100.0 * share.clamp(0.0, 1.0);
        format!(
            "accuracy {:.1} % ({:.1} to {:.1})",
            percent(right / all.len() as f64),
            percent(interval.low),
            percent(interval.high)
        )
    }
}

impl Asking<'_> {
    /// Asks all items and judges the replies while others are under way.
    fn all(&self, items: &[Item<'_>]) -> Result<(Vec<Record>, Spending), Failure> {
        let mut monitor = Monitor::new(&self.plan.suite.name, self.quiet).counting("problem");
        let records: Mutex<Vec<Option<Record>>> = Mutex::new(vec![None; items.len()]);
        let tally = Mutex::new(Tally::default());
        let mut spent = Spending::default();
        let mut shown: Option<Instant> = None;
        let stopped = rayon::in_place_scope(|scope| {
            generate(self.calls, items, &self.plan.prompter, |number, mut record, cost| {
                spent = spent.plus(cost);
                let (records, tally, plan) = (&records, &tally, self.plan);
                scope.spawn(move |_| {
                    if let Some(programs) = &plan.programs {
                        programs.run(&mut record);
                    }
                    plan.grader.grade_record(&mut record);
                    tally.lock().expect("no panic while counting").add(&record);
                    records.lock().expect("no panic while storing")[number] = Some(record);
                });
                if shown.is_none_or(|last| last.elapsed() > Duration::from_millis(250)) {
                    shown = Some(Instant::now());
                    let figures =
                        self.figures(&tally.lock().expect("no panic while counting"), number + 1, spent);
                    if monitor.show(number + 1, items.len(), &figures).is_break() {
                        monitor.finish();
                        eprintln!(
                            "{} of {} problems are answered and kept; the same command goes on from there",
                            number + 1,
                            items.len()
                        );
                        std::process::exit(130);
                    }
                }
            })
        });
        monitor.finish();
        if let Err(stop) = stopped {
            return Err(Failure::work(format!(
                "{stop}; what was answered is kept, the same command goes on from there"
            )));
        }
        let records = records.into_inner().expect("no panic while storing").into_iter().flatten().collect();
        Ok((records, spent))
    }

    fn figures(&self, tally: &Tally, done: usize, spent: Spending) -> String {
        let status = self.calls.status();
        let rate = (done * self.samples) as f64 / status.elapsed.as_secs_f64().max(1e-3);
        let mut figures = format!("{}, {rate:.1} replies/s", tally.figures(self.samples));
        if !self.currency.is_empty() {
            figures += &format!(", {:.4} {}", spent.money(), self.currency);
        }
        if status.reused > 0 {
            figures += &format!(", {} from the log", status.reused);
        }
        if status.failed > 0 {
            figures += &format!(", {} failed", status.failed);
        }
        figures
    }
}

/// A line of replies that did not come from a run of ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign {
    id: String,
    replies: Vec<String>,
}

/// Judge replies that are there.
fn judge(arguments: &Arguments, plan: &Plan, path: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let mut replies = read_replies(path)?;
    let mut records = Vec::with_capacity(plan.data.problems.len());
    let mut missing = Vec::new();
    for problem in &plan.data.problems {
        match replies.remove(&problem.id) {
            Some((prompt, replies)) => {
                let language = plan.prompter.reply_language(problem);
                records.push(Record::new(problem, prompt, language, replies));
            }
            None => missing.push(problem.id.as_str()),
        }
    }
    let file = path.display();
    if let Some(first) = missing.first() {
        return Err(Failure::input(format!(
            "{file} has no replies to {} of {} problems, such as `{first}`",
            missing.len(),
            plan.data.problems.len()
        )));
    }
    if arguments.limit.is_none()
        && let Some(id) = replies.keys().min()
    {
        return Err(Failure::input(format!("{file}: the suite has no problem `{id}`")));
    }
    if arguments.dry_run {
        println!("{} problems with replies", records.len());
        return Ok(());
    }
    if let Some(programs) = &plan.programs {
        records.par_iter_mut().for_each(|record| programs.run(record));
    }
    grade::grade(&mut records, &plan.grader);
    let stem = path.parent().and_then(Path::file_name).or(path.file_stem());
    let stem = stem.map_or("replies".into(), |stem| stem.to_string_lossy().into_owned());
    let stem = stem.strip_prefix(&format!("{}-", plan.suite.name)).unwrap_or(&stem).to_string();
    let conclusion = Conclusion {
        arguments,
        plan,
        name: &run_name(&plan.suite.name, &format!("{stem}-{}", plan.grader.mode.name())),
        model: None,
        records: &records,
        spent: None,
        seconds: start.elapsed().as_secs_f64(),
    };
    conclusion.write()
}

/// Replies by the names of problems, with the prompts where they are known.
type Replies = std::collections::HashMap<String, (String, Vec<Reply>)>;

fn read_replies(path: &Path) -> Result<Replies, Failure> {
    let mut found = Replies::new();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", path.display())))?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| Failure::input(format!("{}:{}: {message}", path.display(), number + 1));
        let (id, prompt, replies) = match serde_json::from_str::<Foreign>(line) {
            Ok(line) => (line.id, String::new(), line.replies.into_iter().map(Reply::complete).collect()),
            Err(foreign) => match serde_json::from_str::<Record>(line) {
                Ok(record) => (record.id, record.prompt, record.replies),
                Err(record) => {
                    let message =
                        format!("neither `id` and `replies` ({foreign}) nor a record of a run ({record})");
                    return Err(wrong(message));
                }
            },
        };
        if found.insert(id.clone(), (prompt, replies)).is_some() {
            return Err(wrong(format!("`{id}` is there twice")));
        }
    }
    Ok(found)
}

/// What is written and printed at the end.
struct Conclusion<'a> {
    arguments: &'a Arguments,
    plan: &'a Plan,
    name: &'a str,
    model: Option<&'a dyn Model>,
    records: &'a [Record],
    spent: Option<(Spending, &'a str)>,
    seconds: f64,
}

impl Conclusion<'_> {
    fn write(&self) -> Result<(), Failure> {
        let Conclusion { arguments, plan, records, .. } = self;
        let metrics = aggregate::aggregate(records, &plan.grader);
        let languages = languages(records);
        let mut files = vec![
            ("report.html", "tables and every transcript"),
            ("metrics.json", "the scores: the same for the same replies"),
            ("records.jsonl", "a line for each problem: prompt, replies, what was found in them, verdicts"),
        ];
        if languages.is_some() {
            files.extend([
                ("languages.json", "scores by language: gaps to English, paired tests, languages of replies"),
                ("languages.csv", "the table of these"),
                ("languages.tex", "the same for LaTeX"),
            ]);
        }
        let run = RunRecord {
            name: self.name,
            suite: &plan.suite.name,
            about: &plan.suite.about,
            strategy: plan.strategy.name,
            settings: plan.settings.values(),
            data: &plan.files,
            model: self.model.map(|model| model.identity()),
            replies: arguments.replies.as_ref().map(|path| path.display().to_string()),
            limit: arguments.limit,
            samples: usize::from(arguments.samples),
            seed: arguments.seed,
            command: std::env::args().collect(),
            finished: now(),
            seconds: self.seconds,
            spent: self.spent.map_or(Value::Null, |(spent, currency)| asking::spent_json(spent, currency)),
            versions: Versions::current(),
            machine: Machine::current(),
            result: &metrics,
            files: files.iter().map(|(name, content)| FileRecord::new(name, content)).collect(),
        };
        let folder = RunFolder::begin(self.name, arguments.output.as_deref())?;
        let mut lines = Vec::new();
        Record::write(records, &mut lines).map_err(Failure::work)?;
        folder.write("records.jsonl", lines)?;
        folder.write("metrics.json", json_text(&metrics)?)?;
        if let Some(languages) = &languages {
            folder.write("languages.json", json_text(languages)?)?;
            folder.write("languages.csv", languages.csv())?;
            folder.write("languages.tex", languages.latex())?;
        }
        let model = self.model.map(|model| model.identity().model.clone());
        let head = page::Head {
            title: format!("{} · {}", plan.suite.name, model.as_deref().unwrap_or("recorded replies")),
            about: &plan.suite.about,
            strategy: plan.strategy.name,
            settings: plan.settings.values(),
            files: &plan.files,
            spent: self.spent,
            languages: languages.as_ref(),
        };
        folder.write("report.html", page::page(&head, &metrics, records))?;
        folder.write("run.json", json_text(&run)?)?;
        let folder = folder.finish()?;
        asking::print(arguments, &run, &folder, || self.summary(&metrics, languages.as_ref(), &folder))
    }

    fn summary(&self, metrics: &Metrics, languages: Option<&Languages>, folder: &Path) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_string(), value]);
        };
        row("problems", format!("{}, {} replies", metrics.problems, metrics.replies));
        row("accuracy", page::share(&metrics.accuracy));
        if let Some(last) = metrics.at.last() {
            row(&format!("pass@{}", last.k), page::percent(last.pass));
            if let Some(majority) = last.majority {
                row(&format!("maj@{}", last.k), page::percent(majority));
            }
        }
        let counts: Vec<String> = (metrics.verdicts.iter().filter(|(_, count)| **count > 0))
            .map(|(verdict, count)| format!("{} {count}", verdict.name()))
            .collect();
        row("verdicts", counts.join(", "));
        if let Some(scores) = &metrics.expressions {
            row("ExprAcc", page::percent(scores.accuracy));
            let [first, middle, last] = scores.failures.shares().map(page::percent);
            if scores.failures.right < metrics.replies {
                let places = format!("at the first expression {first}, between {middle}, at the last {last}");
                row("wrong ones fail", places);
            }
        }
        if let Some(ways) = &metrics.trajectories {
            let ended: Vec<String> =
                ways.ended.iter().map(|(ended, count)| format!("{ended} {}", count.replies)).collect();
            row("ended", ended.join(", "));
            let mean = ways.calls as f64 / ways.replies as f64;
            row("calls", format!("{} in all, {mean:.1} a reply, at most {}", ways.calls, ways.most_calls));
        }
        row("judged by", metrics.grader.clone());
        for (category, scores) in metrics.categories.iter().filter(|(_, scores)| scores.values.len() <= 12) {
            let values: Vec<String> = (scores.values.iter())
                .map(|(value, score)| format!("{value} {}", page::percent(score.accuracy.value)))
                .collect();
            row(category, values.join(", "));
        }
        for (name, score, drop) in aops_live::windows(metrics).into_iter().skip(1) {
            let value = page::percent(score.accuracy.value);
            row(name, format!("{value}, {drop:.2} % below the first window"));
        }
        if let Some(languages) = languages {
            row("mean of languages", page::percent(languages.mean));
            if let Some(mean) = languages.mean_without_english {
                row("without English", page::percent(mean));
            }
            let gaps: Vec<String> = (languages.languages.iter())
                .filter_map(|score| Some((score.language, score.gap?)))
                .map(|(language, gap)| format!("{} {:+.1}", language.code(), 100.0 * gap.difference))
                .collect();
            if !gaps.is_empty() {
                row("points below English", gaps.join(", "));
            }
        }
        if let Some((spent, currency)) = self.spent.filter(|(_, currency)| !currency.is_empty()) {
            row("cost", format!("{:.4} {currency}", spent.money()));
        }
        row("time", seconds(self.seconds));
        row("report", folder.join("report.html").display().to_string());
        table
    }
}

fn json_text(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value).map_err(Failure::work)? + "\n")
}
