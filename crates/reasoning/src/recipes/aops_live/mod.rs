//! AoPS-Instruct and LiveAoPSBench (Mahdavi et al. 2025): question-solution pairs and a dated benchmark from a forum.
//!
//! An archive of [threads](super::threads) goes through stages, each a file:
//!
//! | stage | what passes | section of the method |
//! |---|---|---|
//! | `import` | threads, of repeated crawls the newest | 2.1 |
//! | `questions` | threads whose first post is a mathematical question and has replies | 2.2 |
//! | `answers` | threads with posts that answer it | 2.3 |
//! | `rewriting` | the question and its solutions in a form of their own | 2.4 |
//! | `pairs` | a pair for each solution of a question that no benchmark holds, with its split by date | 2.5, 2.6 |
//! | `candidates` | dated questions with one short answer | 2.7, filters |
//! | `benchmark` | those whose answer the solutions agree on | 2.7, cross-check and vote |
//!
//! Departures from the public scripts: replies are parsed and never evaluated; a first post without a verdict is asked
//! about again and then goes to quarantine (`keep-undecided` keeps it, as the scripts do); texts are looked for by an
//! automaton. The prompts are our own. Where the description leaves room, the choice is stated with the stage.

mod answers;
mod filters;
mod pairs;
mod questions;
mod rewriting;
pub mod tags;
mod templates;
pub mod votes;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use filters::candidate;
pub use pairs::{Pair, Split, pairs_of};
pub use questions::preview;
pub use rewriting::{Rewritten, Solution};
pub use templates::{TemplateError, TemplateFiles, Templates};
pub use votes::Item;

use super::runner::{RunError, Runner, Stage, Stored};
use super::threads::json_lines::{Crawls, thread};
use super::threads::{Thread, posts_xml};
use super::time::Time;
use crate::answers::Mode;
use crate::decontamination::Decontaminator;
use crate::models::Sampling;
use crate::models::calls::Calls;

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Options {
    /// Whether a first post about which two replies hold no verdict counts as a question, as in the public scripts.
    /// Default: no, it goes to quarantine.
    pub keep_undecided: bool,
    /// Whether solutions with addresses of pages in them are left out of the pairs. Default: no.
    pub drop_links: bool,
    /// The longest replies, in tokens. Default: 4,096.
    pub max_tokens: u64,
    /// Threads from here on are no training data, but validation. Default: 2024.
    pub validation_from: Time,
    /// Threads from here on are test data. Default: March 2024.
    pub test_from: Time,
    /// The benchmark begins here. Default: 2024.
    pub benchmark_from: Time,
    /// The benchmark ends before this. Default: never.
    pub benchmark_until: Option<Time>,
    /// By which rules answers of the benchmark are compared. Default: those of Qwen2.5-Math.
    pub mode: Mode,
}

impl Default for Options {
    fn default() -> Self {
        let date = |text| Time::parse(text).expect("a date");
        Options {
            keep_undecided: false,
            drop_links: false,
            max_tokens: 4096,
            validation_from: date("2024-01-01"),
            test_from: date("2024-03-01"),
            benchmark_from: date("2024-01-01"),
            benchmark_until: None,
            mode: Mode::Qwen25,
        }
    }
}

impl Options {
    /// Whether a thread of this date is for the benchmark. The first moment of the window belongs to it, the last one does
    /// not.
    pub fn is_for_benchmark(&self, date: Time) -> bool {
        self.benchmark_from <= date && self.benchmark_until.is_none_or(|until| date < until)
    }

    fn sampling(&self) -> Sampling {
        Sampling { temperature: Some(0.0), max_tokens: Some(self.max_tokens), ..Sampling::default() }
    }
}

/// Where the threads are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archive {
    /// Files of JSON lines.
    JsonLines(Vec<PathBuf>),
    /// A dump in XML.
    Xml(PathBuf),
}

/// Who is asked.
pub struct Models<'a> {
    /// Whether a first post is a question.
    pub questions: &'a Calls,
    /// Which posts answer it.
    pub answers: &'a Calls,
    /// To rewrite: the first for all, the second for the benchmark too, where its answers must agree with the first's.
    pub rewriting: [&'a Calls; 2],
}

/// What must not be in the results.
pub struct Benchmarks {
    /// For the training pairs, by 10-grams as published.
    pub training: Option<Decontaminator>,
    /// For the benchmark, by 8-grams as published.
    pub benchmark: Option<Decontaminator>,
}

/// The results.
pub struct Made {
    /// Pairs of all splits.
    pub pairs: Stored<Pair>,
    /// The benchmark.
    pub benchmark: Stored<Item>,
}

/// Runs the recipe. The reports of its stages are those of the runner.
///
/// # Errors
/// If files cannot be used, calls cannot go on, or the work is stopped: the same call goes on from there.
pub fn run(
    runner: &mut Runner<'_>,
    archive: &Archive,
    models: &Models<'_>,
    templates: &Templates,
    benchmarks: &Benchmarks,
    options: &Options,
) -> Result<Made, RunError> {
    let threads = import(runner, archive)?;
    let questions = questions::stage(runner, &threads, models.questions, templates, options)?;
    let answered = answers::stage(runner, &questions, models.answers, templates, options)?;
    let rewritten = rewriting::stage(runner, &answered, models.rewriting, templates, options)?;
    finish(runner, &rewritten, benchmarks, options)
}

/// The first stage.
///
/// # Errors
/// If files cannot be used, or the work is stopped.
pub fn import(runner: &mut Runner<'_>, archive: &Archive) -> Result<Stored<Thread>, RunError> {
    let stage = |form: &str| Stage { name: "import", version: 1, settings: json!({"form": form}) };
    match archive {
        Archive::JsonLines(files) => {
            let crawls = Crawls::read(files)?;
            runner.read(&stage("json lines"), files, |origin, line| thread(&crawls, origin, line))
        }
        Archive::Xml(path) => {
            let threads = posts_xml::Threads::open(path)?;
            runner.collect(&stage("xml"), std::slice::from_ref(path), threads)
        }
    }
}

/// The stages behind the last model.
///
/// # Errors
/// If files cannot be used, or the work is stopped.
pub fn finish(
    runner: &mut Runner<'_>,
    rewritten: &Stored<Rewritten>,
    benchmarks: &Benchmarks,
    options: &Options,
) -> Result<Made, RunError> {
    let sets = |engine: &Option<Decontaminator>| {
        engine.as_ref().map(|engine| json!([engine.sets(), engine.n(), engine.digest()]))
    };
    let (drop_links, validation, test) = (options.drop_links, options.validation_from, options.test_from);
    let settings = json!({
        "drop links": drop_links,
        "validation": validation,
        "test": test,
        "sets": sets(&benchmarks.training),
    });
    let stage = Stage { name: "pairs", version: 1, settings };
    let pairs = runner
        .map(&stage, rewritten, |rewritten| pairs_of(rewritten, benchmarks.training.as_ref(), options))?;

    let window = (options.benchmark_from, options.benchmark_until);
    let stage =
        Stage { name: "candidates", version: 1, settings: json!([sets(&benchmarks.benchmark), window]) };
    let candidates = runner
        .map(&stage, rewritten, |rewritten| candidate(rewritten, benchmarks.benchmark.as_ref(), options))?;

    let stage = Stage { name: "benchmark", version: 1, settings: json!(options.mode) };
    let benchmark = runner.map(&stage, &candidates, |candidate| votes::item(candidate, options.mode))?;
    Ok(Made { pairs, benchmark })
}
