//! Suites: benchmarks of mathematical problems.
//!
//! A [`Suite`] is a value that says where its problems come from, how they may be asked, and how answers are judged. A
//! run of it has three stages on stored data, each a function:
//!
//! 1. [`generate`](mod@generate): problems and a model make [`Record`]s with prompts and replies;
//! 2. [`grade`](mod@grade): records and a [`Grader`] make grades, without any model;
//! 3. [`aggregate`](mod@aggregate): graded records make [`Metrics`].
//!
//! A strategy that asks several times for a problem is a [`Dialogue`], and one that asks for programs has a stage between the
//! first two, `program`; both leave a [`Trajectory`] in the reply.
//!
//! [`compare`](mod@compare) sets two graded runs side by side, [`languages`](mod@languages) the languages of one run, and
//! [`audit`](mod@audit) two graders of one with the rules by which they find answers. [`index`](mod@index) finds records of a
//! large run, and [`replies`] reads those of other programs. Every published suite is a file of its own,
//! [`from_file`](mod@from_file) makes a suite of a file that a user writes, and [`lm_eval`] of a task of lm-evaluation-harness.
//! Where nothing is written, [`options`] has the likelihoods of what could be.
//!
//! [`judge`](mod@judge) has the protocol for models as judges, of replies or of pairs of them.
//!
//! [`carp`] and [`arqmath`] have scores of their own kind, [`misconceptions`] and [`countermath`] prompts and records, too.

pub mod aggregate;
pub mod aops_live;
pub mod arqmath;
pub mod audit;
pub mod carp;
pub mod compare;
pub mod countermath;
mod dialogue;
pub mod from_file;
pub mod generate;
pub mod grade;
pub mod index;
pub(crate) mod json;
pub mod judge;
pub mod languages;
pub mod lm_eval;
pub mod misconceptions;
pub mod options;
mod problem;
#[cfg(target_os = "linux")]
pub mod program;
mod prompt;
mod record;
pub mod replies;
mod settings;
mod source;
mod trajectory;

mod aqua;
mod asdiv;
mod gsm8k;
mod math;
mod mgsm;
mod mmlu_stem;
mod msvamp;
mod multiarith;
mod svamp;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use aggregate::{Metrics, aggregate};
pub use dialogue::{Asker, Dialogue, Interruption, Solving};
pub use grade::{Grade, Grader, Verdict};
pub use options::OptionScore;
pub use problem::{Choice, Exemplar, Origin, Problem};
pub use prompt::{Procedure, Prompter, ReplyLanguage, Strategy};
pub(crate) use prompt::{TEMPLATE, Template, language_name, template, tokens};
pub use record::{Ending, Record, RecordError, Reply};
pub use settings::{Kind, Setting, SettingError, Settings};
pub use source::{BadRow, DataFile, Row, Source};
pub use trajectory::{EndCount, Form, Stage, ToolUse, Trajectories, Trajectory, Turn};

/// A benchmark.
pub struct Suite {
    /// Its name on the command line.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
    /// The folders that may hold the data, below the data folder.
    pub folders: Vec<String>,
    /// Which files to fetch from where, for people.
    pub fetch: String,
    /// Whether a data folder is needed, or the suite names its files itself.
    pub needs_data: bool,
    /// What can be set for this suite alone.
    pub settings: Vec<Setting>,
    /// The ways to ask; the first is the default.
    pub strategies: Vec<Strategy>,
    /// The form in which the final answer is asked for, which prompts can use.
    pub answer_form: &'static str,
    /// Reads the problems, and exemplars as far as they are there.
    pub load: Load,
}

/// Reads the problems of a suite.
pub type Load = Box<dyn Fn(&mut Source, &Settings) -> Result<Data, SuiteError> + Send + Sync>;

/// What a suite reads.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// The problems, in the order of the files.
    pub problems: Vec<Problem>,
    /// Solved problems for few-shot prompts, apart from those asked.
    pub exemplars: Vec<Exemplar>,
    /// The rules of an imported task, by which its replies are made and judged.
    pub task: Option<Arc<lm_eval::Task>>,
}

impl Data {
    /// All the rest of it.
    pub fn without_problems(&self) -> Self {
        Data { problems: Vec::new(), exemplars: self.exemplars.clone(), task: self.task.clone() }
    }
}

/// A line in which the answer stands alone.
const ANSWER_LINE: &str = "a last line of the form \"Answer: ...\" that holds nothing but the final answer";
/// The same for problems of multiple choice.
const OPTION_LINE: &str = "a last line of the form \"Answer: X\", where X is the letter of the right option";
/// A box.
const BOX: &str = "the final answer in \\boxed{}";

impl Suite {
    /// The published suites.
    pub fn all() -> Vec<Suite> {
        vec![
            gsm8k::suite(),
            math::suite(),
            mgsm::suite(),
            msvamp::suite(),
            asdiv::suite(),
            svamp::suite(),
            multiarith::suite(),
            aqua::suite(),
            mmlu_stem::suite(),
            carp::suite(),
            aops_live::suite(),
        ]
    }

    /// The suite of a name, or of a file that ends in `.toml`.
    pub fn open(name: &str) -> Result<Suite, SuiteError> {
        if name.ends_with(".toml") {
            return from_file::read(Path::new(name));
        }
        if name.ends_with(".yaml") || name.ends_with(".yml") {
            return lm_eval::read(Path::new(name));
        }
        let mut suites = Suite::all();
        match suites.iter().position(|suite| suite.name == name) {
            Some(at) => Ok(suites.swap_remove(at)),
            None => {
                let known: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
                Err(SuiteError::Name { name: name.into(), hint: settings::hint(name, &known) })
            }
        }
    }

    /// The ways to ask by name.
    pub fn strategy(&self, name: Option<&str>) -> Result<&Strategy, SuiteError> {
        let Some(name) = name else { return Ok(&self.strategies[0]) };
        self.strategies.iter().find(|strategy| strategy.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.strategies.iter().map(|strategy| strategy.name).collect();
            SuiteError::Strategy { name: name.into(), hint: settings::hint(name, &known) }
        })
    }

    /// The settings of this suite, from those given and the defaults. Those of all suites are among them, perhaps with
    /// defaults of this one.
    pub fn settings(&self, given: &[(String, String)]) -> Result<Settings, SuiteError> {
        let known = settings::of(&self.settings, &self.strategies);
        Ok(Settings::new(&known, given)?)
    }

    /// Reads the problems below a data folder, or in a folder that holds them itself.
    ///
    /// # Errors
    /// If files are missing, or rows of them cannot be read: then all of these are named.
    pub fn load(&self, data: &Path, settings: &Settings) -> Result<(Data, Vec<DataFile>), SuiteError> {
        let folder = self.folders.iter().map(|folder| data.join(folder)).find(|folder| folder.is_dir());
        let mut source = Source::new(folder.unwrap_or_else(|| data.to_path_buf()));
        let loaded = (self.load)(&mut source, settings);
        let (files, bad) = source.finish();
        if !bad.is_empty() {
            return Err(SuiteError::BadRows(bad));
        }
        let data = loaded.map_err(|error| match error {
            SuiteError::NoFile { folder, wanted, .. } => {
                SuiteError::NoFile { folder, wanted, fetch: self.fetch.clone() }
            }
            other => other,
        })?;
        if data.problems.is_empty() {
            return Err(SuiteError::Empty);
        }
        let mut ids = std::collections::HashSet::new();
        match data.problems.iter().find(|problem| !ids.insert(problem.id.as_str())) {
            Some(problem) => Err(SuiteError::SameId(problem.id.clone())),
            None => Ok((data, files)),
        }
    }
}

/// Why a suite cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// No suite has this name.
    #[error("no suite is called `{name}`; {hint}, and files that end in .toml or .yaml")]
    Name {
        /// The name.
        name: String,
        /// The nearest name, and all names.
        hint: String,
    },
    /// The suite cannot be asked in this way.
    #[error("the suite has no strategy `{name}`; {hint}")]
    Strategy {
        /// The name.
        name: String,
        /// The nearest name, and all names.
        hint: String,
    },
    /// A setting is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The data are not there.
    #[error("no {wanted} in {}\nfetch: {fetch}", folder.display())]
    NoFile {
        /// Where they were looked for.
        folder: PathBuf,
        /// What was looked for.
        wanted: String,
        /// What to fetch, and from where.
        fetch: String,
    },
    /// A file cannot be read at all.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Rows cannot be read.
    #[error("{} {} cannot be read:\n{}", .0.len(), if .0.len() == 1 { "row" } else { "rows" }, list(.0))]
    BadRows(Vec<BadRow>),
    /// A task of lm-evaluation-harness is wrong, or asks for what is not followed.
    #[error("{}:{line}: {}{message}", file.display(), if key.is_empty() { String::new() } else { format!("{key}: ") })]
    Task {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, with those above it.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A template is wrong.
    #[error("template {name}: {message}")]
    Template {
        /// Its name or file.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// There is nothing to ask.
    #[error("the data hold no problem")]
    Empty,
    /// Two problems have the same name.
    #[error("two problems have the id `{0}`")]
    SameId(String),
}

fn list(bad: &[BadRow]) -> String {
    let mut lines: Vec<String> = bad.iter().take(20).map(|row| format!("  {row}")).collect();
    if bad.len() > lines.len() {
        lines.push(format!("  and {} more", bad.len() - lines.len()));
    }
    lines.join("\n")
}
