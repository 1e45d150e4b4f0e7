//! A run: a file goes in, a run folder with a report comes out. What all commands that make one share.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};

use crate::failure::{Failure, unreadable};
use crate::outcome::Outcome;
use crate::progress::listen_for_interrupts;
use crate::record::{RunRecord, seconds, status_text};
use crate::report;
use crate::run_folder::{RunFolder, check_output};

/// Arguments of every command that makes a run folder from a file.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// The file that states what is to be done.
    pub file: PathBuf,
    /// The run folder; one of an earlier run is replaced, a folder with anything else in it is refused.
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print the result as JSON on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Threads to use [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Draw random numbers from this seed instead of the file's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Show no progress, notes or table.
    #[arg(short, long)]
    pub quiet: bool,
}

impl RunArguments {
    /// The file's name as it was given, and its text.
    ///
    /// # Errors
    /// [`Failure::Input`] if it cannot be read, or the run folder cannot be what is asked for.
    pub fn read(&self) -> Result<(String, String), Failure> {
        let file = self.file.display().to_string();
        let text =
            std::fs::read_to_string(&self.file).map_err(|error| Failure::input(unreadable(&file, &error)))?;
        if let Some(folder) = &self.output {
            check_output(folder)?;
        }
        Ok((file, text))
    }

    /// Start the threads, and listen for Ctrl-C from now on.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn begin(&self) -> Result<(), Failure> {
        use_threads(self.threads)?;
        listen_for_interrupts();
        Ok(())
    }

    /// Write the run folder of an outcome and print what came out.
    ///
    /// # Errors
    /// [`Failure::Told`] if the outcome is not done, [`Failure::Work`] if the folder cannot be written.
    pub fn conclude(&self, outcome: &Outcome) -> Result<(), Failure> {
        let name = self.file.file_stem().map_or("run".into(), |stem| stem.to_string_lossy());
        let record = RunRecord::new(&name, outcome);
        let folder = write(&record, outcome, self.output.as_deref())?;
        if self.json {
            print_json(&record, &folder)?;
        } else if !self.quiet {
            println!("{}", summary(outcome, &folder));
        }
        if outcome.result.done { Ok(()) } else { Err(Failure::Told) }
    }
}

/// Set the number of threads of all parallel loops.
///
/// # Errors
/// If they cannot be started.
pub fn use_threads(threads: Option<std::num::NonZeroUsize>) -> Result<(), Failure> {
    let Some(threads) = threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build_global()
        .map_err(|error| Failure::work(format!("cannot start {threads} threads: {error}")))
}

/// Write the run folder; returns its name.
fn write(record: &RunRecord, outcome: &Outcome, output: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = RunFolder::begin(&record.name, output)?;
    for file in &outcome.files {
        folder.write(&file.name, &file.content)?;
    }
    for figure in &outcome.figures {
        for (k, drawing) in figure.drawings.iter().enumerate() {
            let number = if figure.drawings.len() > 1 { format!("-{}", k + 1) } else { String::new() };
            folder.write(&format!("plots/{}{number}.svg", figure.name), drawing)?;
        }
    }
    folder.write("report.html", report::page(record, outcome))?;
    folder.write("run.json", serde_json::to_string_pretty(record).map_err(Failure::work)?)?;
    folder.finish()
}

fn print_json(record: &RunRecord, folder: &Path) -> Result<(), Failure> {
    let mut value = serde_json::to_value(record).map_err(Failure::work)?;
    value["folder"] = folder.display().to_string().into();
    println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    Ok(())
}

fn summary(outcome: &Outcome, folder: &Path) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some((terminal_size::Width(width), _)) = terminal_size::terminal_size() {
        table.set_width(width);
    }
    table.add_row(["method", &outcome.result.method]);
    table.add_row(["status", &status_text(&outcome.result.status)]);
    if let Some(iterations) = outcome.result.iterations {
        table.add_row(["iterations", &iterations.to_string()]);
    }
    for fact in outcome.facts.iter().filter(|fact| fact.brief) {
        table.add_row([&fact.name, &fact.value]);
    }
    table.add_row(["time", &seconds(outcome.result.seconds)]);
    table.add_row(["report", &folder.join("report.html").display().to_string()]);
    table
}
