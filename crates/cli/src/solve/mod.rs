//! `mathesis solve`: a problem file in, a run folder with a report out.
//!
//! Which room of the solvers a file is for, the file tells by a table of its own ([`ROOMS`]). A room is one module here with a
//! function `solve` from a [`Request`] to an [`Outcome`]; arguments, run folder, report, summary and exit code are the same for all.

mod linear;
mod pde;
mod regression;
mod saddle;
mod structural;

use std::path::Path;

use mathesis_solvers::statement::{self, StatementError, entries, nearest, one_of};

use crate::failure::Failure;
use crate::outcome::Outcome;
use crate::progress::Monitor;
use crate::run::RunArguments;

const EXAMPLES: &str = "\
Examples:
  mathesis solve examples/poisson-high-frequency.toml
  mathesis solve examples/heat.toml --method finite-difference --output runs/heat-differences
  mathesis solve examples/poisson-2d.toml --json --quiet
  mathesis solve examples/pressure-sphere.toml --method conjugate-gradient

The run folder (runs/<file name>, numbered if that exists) holds report.html, run.json, the solution
(CSV, NumPy arrays or Matrix Market), the course of the solve and the drawings.
Ctrl-C stops the method and saves the best state that it has reached.";

/// Arguments of `solve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Solve by this method instead of the file's.
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
}

/// One room of the solvers, seen from the command line.
struct Room {
    /// The table by which a file shows that it is for this room.
    table: &'static str,
    /// What its problems are called.
    problems: &'static str,
    /// Solves; `None` if another process of the same run does the writing.
    solve: fn(&Request<'_>) -> Result<Option<Outcome>, Failure>,
}

const ROOMS: &[Room] = &[
    Room { table: "equation", problems: "a differential equation", solve: pde::solve },
    Room { table: "saddle-point", problems: "a saddle point", solve: saddle::solve },
    Room { table: "structural-model", problems: "a structural equation model", solve: structural::solve },
    Room { table: "regression", problems: "a regression", solve: regression::solve },
    Room { table: "linear-system", problems: "a linear system", solve: linear::solve },
];

/// What a room is given.
pub struct Request<'a> {
    /// The problem file; paths in it are relative to its folder.
    pub path: &'a Path,
    /// Its name as it was given.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The seed to use instead of the file's.
    pub seed: Option<u64>,
    method: Option<&'a str>,
    quiet: bool,
    json: bool,
}

impl Request<'_> {
    /// The method to use instead of the file's, one of `names`.
    ///
    /// # Errors
    /// [`Failure::Input`] if it is another.
    pub fn method(&self, names: &[&str]) -> Result<Option<&str>, Failure> {
        match self.method {
            Some(name) if !names.contains(&name) => {
                let near = nearest(name, names.iter().copied())
                    .map_or(String::new(), |word| format!("; did you mean `{word}`?"));
                Err(Failure::input(format!("--method {name}: expected {}{near}", one_of(names))))
            }
            method => Ok(method),
        }
    }

    /// A complaint about the problem file.
    pub fn refuse(&self, error: StatementError) -> Failure {
        Failure::statement(error, &self.file, &self.text)
    }

    /// The folder that paths in the problem file start from.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Shows the progress of a method.
    pub fn monitor(&self, label: &str) -> Monitor {
        Monitor::new(label, self.quiet)
    }

    /// Tell the user of something doubtful in the statement.
    pub fn warn(&self, warning: &str) {
        if !self.quiet {
            eprintln!("warning: {warning}");
        }
    }

    /// Tell the user what happens now.
    pub fn say(&self, message: &str) {
        if !self.quiet && !self.json {
            eprintln!("{message}");
        }
    }
}

/// Solve.
///
/// # Errors
/// [`Failure::Input`] if the file, its problem or an argument is wrong, and then nothing is written; else [`Failure::Work`].
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let run = &arguments.run;
    let (file, text) = run.read()?;
    let room = room(&text).map_err(|error| Failure::statement(error, &file, &text))?;
    run.begin()?;
    let request = Request {
        path: &run.file,
        file,
        text,
        seed: run.seed,
        method: arguments.method.as_deref(),
        quiet: run.quiet,
        json: run.json,
    };
    let Some(outcome) = (room.solve)(&request)? else { return Ok(()) };
    run.conclude(&outcome)
}

/// The room that a problem file is for.
fn room(text: &str) -> Result<&'static Room, StatementError> {
    let document = statement::document(text)?;
    let document = document.get_ref();
    let mut found = ROOMS.iter().filter(|room| document.contains_key(room.table));
    if let Some(room) = found.next() {
        if let Some(other) = found.next() {
            let place = document.get_key_value(other.table).map_or(0..0, |(key, _)| key.span());
            return Err(StatementError::new(
                format!("the file states {} and {}", room.problems, other.problems),
                place,
            )
            .expected("one problem to a file"));
        }
        return Ok(room);
    }
    let tables: Vec<&str> = ROOMS.iter().map(|room| room.table).collect();
    let expected = ROOMS
        .iter()
        .map(|room| format!("[{}] for {}", room.table, room.problems))
        .collect::<Vec<_>>()
        .join(", ");
    // A table that is nearly a room's is what was meant; else the file is read as a differential equation's, whose
    // reader names what is missing.
    for (key, _) in entries(document) {
        if let Some(word) = nearest(&key.text, tables.iter().copied()) {
            return Err(StatementError::new(format!("there is no table `{}`", key.text), key.span)
                .expected(expected)
                .suggest(Some(word)));
        }
    }
    if document.contains_key("domain") {
        return Ok(&ROOMS[0]);
    }
    Err(StatementError::new("the file does not say what is to be solved", 0..0).expected(expected))
}

/// An array in NumPy's format, from parts that follow each other.
///
/// # Errors
/// If the parts do not fill the shape.
pub fn npy(shape: &[u64], parts: &[Vec<f64>]) -> Result<Vec<u8>, Failure> {
    use npyz::WriterBuilder;
    let mut file = Vec::new();
    let written = (|| {
        let mut writer =
            npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut file).begin_nd()?;
        writer.extend(parts.iter().flatten())?;
        writer.finish()
    })();
    written.map_err(|error| Failure::work(format!("cannot write an array: {error}")))?;
    Ok(file)
}

/// A table as comma-separated values; numbers and names need no quotes.
pub fn csv(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = header.join(",") + "\n";
    for row in rows {
        text.push_str(&row.join(","));
        text.push('\n');
    }
    text
}
