//! `mathesis eval`: a benchmark on a model, or on replies that are there; a run folder with every transcript out.

mod arqmath;
pub mod asking;
mod countermath;
pub mod figures;
mod misconceptions;
pub mod page;
mod programs;
mod recording;
mod remediation;

pub use page::{options, percent, share, stages, typeset};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_reasoning::models::calls::{Calls, Estimate, Spending};
use mathesis_reasoning::models::{Identity, Model, Prompt, Sampling};
use mathesis_reasoning::suites::aggregate::{Score, votes};
use mathesis_reasoning::suites::generate::{Item, generate, items};
use mathesis_reasoning::suites::index::Timing;
use mathesis_reasoning::suites::languages::{Languages, languages};
use mathesis_reasoning::suites::lm_eval::{Measured, TaskTally};
use mathesis_reasoning::suites::replies::{Replies, RepliesError};
use mathesis_reasoning::suites::{
    Data, DataFile, Grader, Metrics, Procedure, Prompter, Record, Settings, Strategy, Suite, SuiteError,
    aops_live,
};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use self::asking::{Calling, Line};
use self::programs::Programs;
use self::recording::Recorded;
use crate::failure::Failure;
use crate::local_model::open;
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
  mathesis eval mmlu-stem --model local:MODEL-FOLDER --strategy log-likelihood    the likeliest option
  mathesis eval path/to/task.yaml --model openai:MODEL@http://localhost:8000/v1   a task of lm-evaluation-harness
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
    /// A published suite, a file that describes one, or a task file of lm-evaluation-harness; without it the suites are listed.
    suite: Option<String>,
    /// The model: openai:MODEL or openai:MODEL@URL, local:FOLDER, scripted:FILE, replay:FILE or record:FILE,NAME.
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Judge these replies instead of asking a model: the records of a run, JSON lines with `id` and `replies`, a table
    /// (CSV), the samples of lm-eval or a log of inspect.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    replies: Option<PathBuf>,
    /// The folder with the data of suites [default: MATHESIS_DATA].
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Ask only so many problems, evenly spread over the suite.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Samples of each problem [default: 1, or what an imported task says].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=1000))]
    samples: Option<u16>,
    /// How problems are asked; a wrong name shows the ways of the suite.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// A setting of the suite, of its prompts or of sampling; a wrong key shows all.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The seed that the model is given: sample i has seed N + i.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    calling: Calling,
    /// The run folder [default: runs/SUITE-MODEL, with a number if that is there].
    #[arg(short, long, value_name = "FOLDER")]
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
    /// Samples of each problem.
    samples: usize,
}

impl Plan {
    /// How the model writes: as it is set, and where nothing is as an imported task says.
    fn sampling(&self, seed: Option<u64>) -> Sampling {
        let set = self.settings.sampling(seed);
        self.data.task.as_ref().map_or(set.clone(), |task| task.sampling(set))
    }

    /// Runs the programs of a record, if programs were asked for, and grades it; returns its votes.
    fn judge(&self, record: &mut Record) -> Vec<f64> {
        if let Some(programs) = &self.programs {
            programs.run(record);
        }
        self.grader.grade_record(record);
        votes(record, &self.grader)
    }
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
        (None, None) if arguments.calling.dry_run => {
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
    let folder = match !suite.needs_data && !arguments.names_data() {
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
    if arguments.model.is_some() {
        prepare(&mut data, &prompter)?;
    }
    let grader = Grader { mode: settings.mode(), budget: settings.budget(), task: data.task.clone() };
    let programs = Programs::of(&strategy, &settings, arguments.quiet || arguments.json)?;
    let of_task = data.task.as_ref().map_or(1, |task| task.repeats);
    let samples = arguments.samples.map_or(of_task, usize::from);
    if let Procedure::Options = strategy.procedure {
        if samples > 1 {
            return Err(Failure::input(
                "--samples: likelihoods are not drawn, there is one answer to each problem",
            ));
        }
        if let Some(problem) = data.problems.iter().find(|problem| problem.options.is_empty()) {
            return Err(Failure::input(format!("{}: the problem has no options", problem.origin)));
        }
    }
    Ok(Plan { suite, strategy, settings, data, files, prompter, programs, grader, samples })
}

/// The most bytes of prompts that are kept between being checked and being asked.
const MOST_KEPT: usize = 128 << 20;

/// Makes every prompt before anything is asked, so that a template that fails at the last problem fails now. The first ones are kept, as far as there
/// is room, so that they need not be made again.
fn prepare(data: &mut Data, prompter: &Prompter) -> Result<(), Failure> {
    let exemplars = std::mem::take(&mut data.exemplars);
    let mut kept = 0;
    for block in data.problems.chunks_mut(BLOCK) {
        let prompts: Vec<String> = (block.par_iter())
            .map(|problem| prompter.render(problem, &exemplars))
            .collect::<Result<_, _>>()
            .map_err(Failure::input)?;
        for (problem, prompt) in block.iter_mut().zip(prompts) {
            kept += prompt.len();
            if kept <= MOST_KEPT {
                problem.prompt = Some(prompt);
            }
        }
    }
    data.exemplars = exemplars;
    Ok(())
}

/// The name of a run of this model.
pub fn run_name(suite: &str, model: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    format!("{suite}-{}", model.chars().map(plain).collect::<String>())
}

/// Ask a model.
fn ask(arguments: &Arguments, plan: &Plan, model: &str) -> Result<(), Failure> {
    let model = open(model).map_err(Failure::input)?;
    let name = run_name(&plan.suite.name, &model.identity().model);
    let samples = plan.samples;
    let blocks = Blocks { plan, samples, seed: arguments.seed };
    let Line { calls, currency, .. } = &asking::line(&arguments.calling, &name, model.clone())?;
    if arguments.calling.dry_run {
        return preview(plan, &blocks, calls, currency);
    }

    listen_for_interrupts();
    let start = Instant::now();
    let run = Asking { plan, currency, samples, quiet: arguments.quiet || arguments.json, calls };
    let recorded = Recorded::new(arguments.output.as_deref()).map_err(Failure::work)?;
    let (recorded, spent) = run.all(&blocks, recorded)?;
    let conclusion = Conclusion {
        arguments,
        plan,
        name: &name,
        model: Some(&*model),
        recorded,
        spent: Some((spent, currency)),
        seconds: start.elapsed().as_secs_f64(),
    };
    conclusion.write()
}

/// The items of a run, some at a time: the prompts of a million problems would not fit into memory.
struct Blocks<'a> {
    plan: &'a Plan,
    samples: usize,
    seed: Option<u64>,
}

/// How many problems are prepared together.
const BLOCK: usize = 8192;

impl Blocks<'_> {
    /// Hands over the items with the number of the first of them.
    fn each(&self, mut with: impl FnMut(usize, &[Item<'_>]) -> Result<(), Failure>) -> Result<(), Failure> {
        let Blocks { plan, samples, seed } = self;
        let sampling = plan.sampling(*seed);
        for (number, problems) in plan.data.problems.chunks(BLOCK).enumerate() {
            let data = Data { problems: problems.to_vec(), ..plan.data.without_problems() };
            let items = items(&data, &plan.prompter, plan.settings.get("system"), &sampling, *samples)
                .map_err(Failure::input)?;
            with(number * BLOCK, &items)?;
        }
        Ok(())
    }
}

/// Show what a run would ask and take.
fn preview(plan: &Plan, blocks: &Blocks<'_>, calls: &Calls, currency: &str) -> Result<(), Failure> {
    let (mut total, mut first) = (Estimate::default(), String::new());
    blocks.each(|number, items| {
        total = total.plus(calls.estimate(items.iter().map(|item| &item.request)));
        if number == 0 {
            first = first_prompt(plan, &items[0]);
        }
        Ok(())
    })?;
    println!("suite     {}: {}", plan.suite.name, plan.suite.about);
    for file in &plan.files {
        println!("data      {} ({} rows, BLAKE3 {})", file.name, file.rows, &file.blake3[..16]);
    }
    println!("model     {}", calls.model().identity().model);
    println!("strategy  {}, judged by {}", plan.strategy.name, plan.grader.name());
    for (key, value) in plan.settings.values().iter().filter(|(_, value)| !value.is_empty()) {
        println!("          {key} = {value:?}");
    }
    println!(
        "problems  {}, {} samples of each: {} calls, {} samples are there already",
        plan.data.problems.len(),
        blocks.samples,
        total.calls,
        total.reused
    );
    println!("tokens    about {} to read, at most {} to write", total.input_tokens, total.output_tokens);
    if !currency.is_empty() {
        println!("cost      at most {:.4} {currency}", total.cost);
    }
    println!("\n{first}");
    Ok(())
}

/// What a problem is asked first.
fn first_prompt(plan: &Plan, item: &Item<'_>) -> String {
    let Some(dialogue) = plan.prompter.dialogue() else {
        let mut text = format!("the first prompt ({}):\n\n{}", item.problem.id, item.prompt);
        if let Prompt::Continuations { continuations, .. } = &item.request.prompt {
            text += "\n\nand what is scored behind it:\n";
            continuations.iter().for_each(|continuation| text += &format!("\n{continuation:?}"));
        }
        return text;
    };
    let mut text = format!(
        "these are the first calls; a sample takes at most {}\n\nthe first conversation ({}):\n",
        dialogue.most_calls(),
        item.problem.id
    );
    for message in dialogue.opening(item.problem, &item.prompt) {
        text += &format!("\n[{}]\n{}\n", message.role.name(), message.text());
    }
    text
}

/// A run that asks.
struct Asking<'a> {
    plan: &'a Plan,
    currency: &'a str,
    samples: usize,
    quiet: bool,
    calls: &'a Calls,
}

impl Asking<'_> {
    /// Asks all items, and judges and writes the replies while others are under way.
    fn all(&self, blocks: &Blocks<'_>, recorded: Recorded) -> Result<(Recorded, Spending), Failure> {
        let all = self.plan.data.problems.len();
        let mut monitor = Monitor::new(&self.plan.suite.name, self.quiet).counting("problem");
        let mut spent = Spending::default();
        let mut times = Vec::new();
        let mut shown: Option<Instant> = None;
        let (asked, recorded) = recorded.with(|record| self.plan.judge(record), self.samples, |keep, tally| {
            blocks.each(|first, items| {
                let each = |number: usize, record: Record, cost: Spending| {
                    spent = spent.plus(cost);
                    let timing = Timing { id: record.id.clone(), seconds: cost.microseconds as f64 * 1e-6 };
                    times.extend(serde_json::to_vec(&timing).unwrap_or_default());
                    times.push(b'\n');
                    keep(record);
                    if shown.is_some_and(|last| last.elapsed() <= Duration::from_millis(250)) {
                        return;
                    }
                    shown = Some(Instant::now());
                    let done = first + number + 1;
                    let accuracy = recording::accuracy(tally);
                    if monitor.show(done, all, &self.figures(accuracy, done, spent)).is_break() {
                        monitor.finish();
                        eprintln!(
                            "{done} of {all} problems are answered and kept; the same command goes on from there"
                        );
                        std::process::exit(130);
                    }
                };
                generate(self.calls, items, &self.plan.prompter, each).map_err(|stop| {
                    let kept = "what was answered is kept, the same command goes on from there";
                    Failure::work(format!("{stop}; {kept}"))
                })
            })
        });
        monitor.finish();
        asked?;
        let recorded = recorded.map_err(|error| Failure::work(format!("cannot write records: {error}")))?;
        Ok((recorded.timed(times), spent))
    }

    fn figures(&self, accuracy: Option<Score>, done: usize, spent: Spending) -> String {
        let status = self.calls.status();
        let rate = (done * self.samples) as f64 / status.elapsed.as_secs_f64().max(1e-3);
        let mut figures = match accuracy {
            Some(accuracy) => format!("accuracy {}, {rate:.1} replies/s", page::share(&accuracy)),
            None => format!("{rate:.1} replies/s"),
        };
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

/// Judge replies that are there.
fn judge(arguments: &Arguments, plan: &Plan, path: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let replies = Replies::open(path).map_err(Failure::input)?;
    let matched = replies.of(&plan.data.problems);
    let file = path.display();
    if let Some(first) = matched.missing.first() {
        return Err(Failure::input(format!(
            "{file} has no replies to {} of {} problems, such as `{first}`",
            matched.missing.len(),
            plan.data.problems.len()
        )));
    }
    if arguments.limit.is_none()
        && let Some(name) = &matched.strange
    {
        return Err(Failure::input(format!("{file}: the suite has no problem {name}")));
    }
    if arguments.calling.dry_run {
        println!("{} problems with replies", plan.data.problems.len());
        return Ok(());
    }
    let recorded = Recorded::new(arguments.output.as_deref()).map_err(Failure::work)?;
    let (read, recorded) = recorded.with(
        |record| plan.judge(record),
        1,
        |keep, _| {
            (plan.data.problems.iter().zip(&matched.places)).try_for_each(|(problem, places)| {
                let (prompt, replies) = replies.read(places)?;
                keep(Record::new(problem, prompt, plan.prompter.reply_language(problem), replies));
                Ok(())
            })
        },
    );
    read.map_err(|error: RepliesError| Failure::input(error))?;
    let recorded = recorded.map_err(|error| Failure::work(format!("cannot write records: {error}")))?;
    let stem = path.parent().and_then(Path::file_name).or(path.file_stem());
    let stem = stem.map_or("replies".into(), |stem| stem.to_string_lossy().into_owned());
    let stem = stem.strip_prefix(&format!("{}-", plan.suite.name)).unwrap_or(&stem).to_string();
    let conclusion = Conclusion {
        arguments,
        plan,
        name: &run_name(&plan.suite.name, &format!("{stem}-{}", plan.grader.mode.name())),
        model: None,
        recorded,
        spent: None,
        seconds: start.elapsed().as_secs_f64(),
    };
    conclusion.write()
}

/// What is written and printed at the end.
struct Conclusion<'a> {
    arguments: &'a Arguments,
    plan: &'a Plan,
    name: &'a str,
    model: Option<&'a dyn Model>,
    recorded: Recorded,
    spent: Option<(Spending, &'a str)>,
    seconds: f64,
}

impl Conclusion<'_> {
    fn write(self) -> Result<(), Failure> {
        let Conclusion { arguments, plan, recorded, .. } = &self;
        let metrics = recorded.tally.metrics(&plan.grader);
        let folder = RunFolder::begin(self.name, arguments.output.as_deref())?;
        let records = folder.path("records.jsonl");
        let index = recorded.copy_to(&records).map_err(|error| Failure::file("write", &records, &error))?;
        let languages = match metrics.categories.get("language") {
            Some(category) if category.values.len() > 1 => {
                languages(&Record::read(&records).map_err(Failure::work)?)
            }
            _ => None,
        };
        let figures = self.figures(&records)?;
        let mut files = vec![
            ("report.html", "tables and every transcript"),
            ("metrics.json", "the scores: the same for the same replies"),
            ("records.jsonl", "a line for each problem: prompt, replies, what was found in them, verdicts"),
        ];
        if recorded.is_timed() {
            files.push((
                "timings.jsonl",
                "how long the calls for each problem took; not the same in every run",
            ));
        }
        if languages.is_some() {
            files.extend([
                ("languages.json", "scores by language: gaps to English, paired tests, languages of replies"),
                ("languages.csv", "the table of these"),
                ("languages.tex", "the same for LaTeX"),
            ]);
        }
        if figures.is_some() {
            files.push(("lm_eval.json", "the figures of the task as lm-evaluation-harness defines them"));
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
            samples: plan.samples,
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
        folder.write("metrics.json", json_text(&metrics)?)?;
        if let Some(figures) = &figures {
            folder.write("lm_eval.json", json_text(figures)?)?;
        }
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
        let report = folder.path("report.html");
        page::write(&report, &head, &metrics, &index)
            .map_err(|error| Failure::file("write", &report, &error))?;
        folder.write("run.json", json_text(&run)?)?;
        let folder = folder.finish()?;
        asking::print((arguments.json, arguments.quiet), &run, &folder, || {
            self.summary(&metrics, figures.as_deref(), languages.as_ref(), &folder)
        })
    }

    /// The figures of an imported task.
    fn figures(&self, records: &Path) -> Result<Option<Vec<Measured>>, Failure> {
        let Some(task) = &self.plan.data.task else { return Ok(None) };
        let mut tally = TaskTally::new(task);
        for record in Record::each(records).map_err(Failure::work)? {
            tally.add(&record.map_err(Failure::work)?);
        }
        Ok(Some(tally.measured()))
    }

    fn summary(
        &self,
        metrics: &Metrics,
        figures: Option<&[Measured]>,
        languages: Option<&Languages>,
        folder: &Path,
    ) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_string(), value]);
        };
        row("problems", format!("{}, {} replies", metrics.problems, metrics.replies));
        row("accuracy", page::share(&metrics.accuracy));
        for figure in figures.unwrap_or_default() {
            let error = figure.standard_error.map_or(String::new(), |error| format!(" ± {error:.4}"));
            row(&format!("{},{}", figure.metric, figure.filter), format!("{:.4}{error}", figure.value));
        }
        if let Some(options) = &metrics.options {
            row("by character", page::share(&options.by_character));
            row("by byte", page::share(&options.by_byte));
        }
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

pub fn json_text(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value).map_err(Failure::work)? + "\n")
}
