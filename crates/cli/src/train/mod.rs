//! `mathesis train`: a file that says what to train on what; weights and a run folder with a report out.

mod corpus;
mod direction_network;
mod language_model;

use std::ops::Range;
use std::path::{Path, PathBuf};

use mathesis_solvers::statement::{self, StatementError};
use serde::Deserialize;
use toml::Spanned;

use crate::device::DevicesArgument;
use crate::failure::Failure;
use crate::run::RunArguments;

const EXAMPLES: &str = "\
Examples:
  mathesis train examples/language/copying.toml            a small language model, in a minute
  mathesis train examples/language/word-problems.toml --steps 50
  mathesis train words.toml --resume                       go on from the last checkpoint
  mathesis train experiments/dcdm/training.toml            a network that proposes directions for pressure systems

The file has a table [language-model] or [direction-network]. What is trained goes where the table says, losses and
report.html into the run folder. Ctrl-C stops the training and saves what it has reached.";

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Train a direction network for so many epochs instead of the file's.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Train a language model for so many steps instead of the file's.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Go on from the checkpoint of a language model.
    #[arg(long)]
    resume: bool,
    /// Begin anew, though there is a checkpoint of a language model.
    #[arg(long, conflicts_with = "resume")]
    restart: bool,
    #[command(flatten)]
    devices: DevicesArgument,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    title: Option<String>,
    direction_network: Option<Spanned<direction_network::Plan>>,
    language_model: Option<Spanned<language_model::Plan>>,
}

/// A file that has been read.
struct Stated<'a> {
    run: &'a RunArguments,
    title: Option<String>,
    name: String,
    text: String,
}

impl Stated<'_> {
    /// A complaint about a place in the file.
    fn refuse(&self, message: impl Into<String>, span: &Range<usize>) -> Failure {
        Failure::statement(StatementError::new(message, span.clone()), &self.name, &self.text)
    }

    /// A path as the file means it: from its own folder on.
    fn beside(&self, path: &Path) -> PathBuf {
        self.run.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// Train.
///
/// # Errors
/// [`Failure::Input`] if the file or an argument is wrong, and then nothing is written; else [`Failure::Work`].
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let run = &arguments.run;
    let (name, text) = run.read()?;
    let file: File = statement::read(&text).map_err(|error| Failure::statement(error, &name, &text))?;
    let stated = Stated { run, title: file.title, name, text };
    match (file.direction_network, file.language_model) {
        (Some(plan), None) => direction_network::run(&stated, plan, arguments.epochs),
        (None, Some(plan)) => {
            let begin = match (arguments.resume, arguments.restart) {
                (true, _) => language_model::Begin::Resume,
                (_, true) => language_model::Begin::Restart,
                _ => language_model::Begin::Fresh,
            };
            let (device, others) = arguments.devices.open()?;
            language_model::run(&stated, plan, arguments.steps, begin, (&device, &others))
        }
        (Some(_), Some(plan)) => {
            Err(stated.refuse("two tables that say what to train: expected one", &plan.span()))
        }
        (None, None) => {
            let message = "no table says what to train: expected [language-model] or [direction-network]";
            Err(stated.refuse(message, &(0..0)))
        }
    }
}
