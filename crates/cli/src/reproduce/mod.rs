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

use crate::failure::Failure;
use crate::progress::listen_for_interrupts;
use crate::record::{Machine, now};
use crate::solve::use_threads;

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

/// The finished cells of an experiment: `cells.jsonl` in its folder.
struct CellLog<Cell> {
    path: PathBuf,
    known: Vec<Cell>,
}

impl<Cell: Clone + Serialize + DeserializeOwned> CellLog<Cell> {
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

    /// The latest cell that answers.
    fn find(&self, answers: impl Fn(&Cell) -> bool) -> Option<&Cell> {
        self.known.iter().rev().find(|cell| answers(cell))
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
