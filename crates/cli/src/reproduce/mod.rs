//! `mathesis reproduce`: a published experiment, its figures beside those measured here.
//!
//! An experiment is a set of cells, such as problem by method. Each finished cell is appended to `cells.jsonl` at once, so a run that
//! was stopped goes on where it stood ([`CellLog`]). In the end its tables are written as `table.md`, `table.json` and drawings.

mod dcdm;
mod gp_hm;
mod linf_regression;
mod masha;
mod one_connection;

use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::experiments;
use crate::failure::Failure;
use crate::progress::{interrupted, listen_for_interrupts};
use crate::record::{Machine, now};
use crate::run::use_threads;

const EXAMPLES: &str = "\
Examples:
  mathesis reproduce gp-hm --quick
  mathesis reproduce masha --runs eg,masha1-rand10
  mathesis reproduce gp-hm --problems u1,u3 --methods adam-gm,profiled-gm --adam-steps 20000

Cells that are finished with the same options are taken from cells.jsonl in the output folder (see --fresh);
table.md and table.json are written there. The folder is experiments/<paper> in a checkout, else
runs/reproduce-<paper>; --quick runs go to runs/reproduce-<paper>-quick.";

/// Arguments of `reproduce`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    paper: Paper,
}

#[derive(Debug, clap::Subcommand)]
enum Paper {
    /// Deep conjugate directions for pressure systems: four scenes on three grids.
    Dcdm(dcdm::Arguments),
    /// Gaussian processes for high-frequency differential equations: eleven problems.
    GpHm(gp_hm::Arguments),
    /// Saddle points with compressed communication: numbers sent until the solution is reached.
    Masha(masha::Arguments),
    /// Constraints of structural equation models: fourteen graphs, and the census of simple graphs.
    OneConnection(one_connection::Arguments),
    /// Sketched regression with coordinate-wise accuracy: seven tables.
    LinfRegression(linf_regression::Arguments),
}

/// Arguments that every experiment has.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// A small part of the experiment, in about two minutes.
    #[arg(long)]
    quick: bool,
    /// Stop each cell after this time with what it has reached (30s, 10min, 2h).
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    time_limit: Option<Duration>,
    /// Where the cells and the tables are written.
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Run all cells anew.
    #[arg(long)]
    fresh: bool,
    /// Threads to use [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Run an experiment.
///
/// # Errors
/// [`Failure::Input`] for cells that do not exist, [`Failure::Work`] if cells fail or the folder cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let common = match &arguments.paper {
        Paper::Dcdm(arguments) => &arguments.common,
        Paper::GpHm(arguments) => &arguments.common,
        Paper::Masha(arguments) => &arguments.common,
        Paper::OneConnection(arguments) => &arguments.common,
        Paper::LinfRegression(arguments) => &arguments.common,
    };
    use_threads(common.threads)?;
    listen_for_interrupts();
    match &arguments.paper {
        Paper::Dcdm(arguments) => dcdm::run(arguments),
        Paper::GpHm(arguments) => gp_hm::run(arguments),
        Paper::Masha(arguments) => masha::run(arguments),
        Paper::OneConnection(arguments) => one_connection::run(arguments),
        Paper::LinfRegression(arguments) => linf_regression::run(arguments),
    }
}

/// Where an experiment's cells and tables go; the folder is made.
fn output_folder(paper: &str, common: &Common) -> Result<PathBuf, Failure> {
    let checkout = Path::new("experiments").join(paper);
    let folder = if let Some(folder) = &common.output {
        folder.clone()
    } else if common.quick {
        PathBuf::from(format!("runs/reproduce-{paper}-quick"))
    } else if checkout.join("experiment.toml").is_file() {
        checkout
    } else {
        PathBuf::from(format!("runs/reproduce-{paper}"))
    };
    fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
    Ok(folder)
}

/// What the embedded `experiment.toml` of a paper says.
fn description<T: DeserializeOwned>(paper: &str) -> Result<T, Failure> {
    let name = format!("{paper}/experiment.toml");
    let text =
        experiments::file(&name).ok_or_else(|| Failure::input(format!("this build holds no {name}")))?;
    toml::from_str(text).map_err(|error| Failure::work(format!("{name}: {error}")))
}

/// The entries that a list option names, in its order.
fn chosen<'a, T>(
    option: &str,
    wanted: &[String],
    entries: &'a [T],
    id: impl Fn(&T) -> &str,
) -> Result<Vec<&'a T>, Failure> {
    let find = |wanted: &String| {
        entries.iter().find(|entry| id(entry).eq_ignore_ascii_case(wanted)).ok_or_else(|| {
            let ids: Vec<&str> = entries.iter().map(&id).collect();
            Failure::input(format!("--{option}: there is no `{wanted}`; expected some of {}", ids.join(", ")))
        })
    };
    wanted.iter().map(find).collect()
}

/// Write the tables of an experiment.
fn write_tables(folder: &Path, markdown: &str, json: &str) -> Result<(), Failure> {
    write_whole(&folder.join("table.md"), markdown)?;
    write_whole(&folder.join("table.json"), json)?;
    println!("written to {}", folder.join("table.md").display());
    Ok(())
}

/// When, by what and where a cell was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stamp {
    /// In UTC.
    finished: String,
    /// The program's version.
    program: String,
    machine: serde_json::Value,
}

impl Stamp {
    fn now() -> Self {
        Stamp {
            finished: now(),
            program: env!("CARGO_PKG_VERSION").to_string(),
            machine: serde_json::to_value(Machine::current()).unwrap_or_default(),
        }
    }
}

/// One finished piece of an experiment.
trait Finished: Clone + Serialize + DeserializeOwned {
    /// When it was measured.
    fn stamp(&self) -> &Stamp;
    /// What came out, in a few words.
    fn short(&self) -> String;
}

/// The finished cells of an experiment: `cells.jsonl` in its folder.
struct CellLog<Cell> {
    path: PathBuf,
    known: Vec<Cell>,
}

impl<Cell: Finished> CellLog<Cell> {
    /// The log in a folder; with `fresh`, the cells that stand in it do not count.
    fn open(folder: &Path, fresh: bool) -> Result<Self, Failure> {
        let path = folder.join("cells.jsonl");
        let mut known = Vec::new();
        if !fresh && path.exists() {
            let text = fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
            // A line that was cut off by a crash, or written by another version, is no cell of ours: it is run again.
            known = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        }
        Ok(CellLog { path, known })
    }

    /// A cell under a label: the latest in the log that answers, else the one that `measure` gives, which is recorded. `None` if
    /// Ctrl-C has ended the measurement.
    fn cell(
        &mut self,
        label: &str,
        answers: impl Fn(&Cell) -> bool,
        measure: impl FnOnce() -> Result<Cell, Failure>,
    ) -> Result<Option<Cell>, Failure> {
        if let Some(cell) = self.known.iter().rev().find(|cell| answers(cell)) {
            eprintln!("{label}: {} (kept from {})", cell.short(), cell.stamp().finished);
            return Ok(Some(cell.clone()));
        }
        let cell = measure()?;
        if interrupted() {
            eprintln!("{label}: interrupted, not recorded");
            return Ok(None);
        }
        eprintln!("{label}: {}", cell.short());
        self.append(&cell)?;
        Ok(Some(cell))
    }

    /// Record a finished cell.
    fn append(&mut self, cell: &Cell) -> Result<(), Failure> {
        let line = serde_json::to_string(cell).map_err(Failure::work)?;
        let written = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| writeln!(file, "{line}"));
        written.map_err(|error| Failure::file("write", &self.path, &error))?;
        self.known.push(cell.clone());
        Ok(())
    }
}

/// Write a file under a temporary name, then give it its own.
fn write_whole(path: &Path, content: &str) -> Result<(), Failure> {
    let temporary = path.with_extension("unfinished");
    fs::write(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| Failure::file("write", path, &error))
}
