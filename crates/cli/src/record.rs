//! What `run.json` holds: the problem, the method with all options, the machine, and the result with its certificate; and how
//! figures are written for people.

use std::time::SystemTime;

use mathesis_solvers::Status;
use serde::Serialize;
use serde_json::Value;

use crate::outcome::{Outcome, ResultRecord};

/// A run from its input to its result.
#[derive(Debug, Serialize)]
pub struct RunRecord {
    /// The run's name, from the problem file's.
    pub name: String,
    /// The problem's title.
    pub title: Option<String>,
    /// When the run ended, in UTC.
    pub finished: String,
    /// The problem.
    pub problem: Value,
    /// The method with all its options, defaults included.
    pub method: Value,
    /// The seed that the run has used.
    pub seed: u64,
    /// What ran.
    pub versions: Versions,
    /// Where it ran.
    pub machine: Machine,
    /// What came out.
    pub result: ResultRecord,
    /// The folder's files and what they hold.
    pub files: Vec<FileRecord>,
}

impl RunRecord {
    /// The record of an outcome.
    pub fn new(name: &str, outcome: &Outcome) -> Self {
        let mut files = vec![FileRecord::new("report.html", "this report")];
        files.extend(outcome.files.iter().map(|file| FileRecord::new(&file.name, &file.description)));
        RunRecord {
            name: name.to_string(),
            title: outcome.title.clone(),
            finished: now(),
            problem: outcome.problem.clone(),
            method: outcome.method.clone(),
            seed: outcome.seed,
            versions: Versions::current(),
            machine: Machine::current(),
            result: outcome.result.clone(),
            files,
        }
    }
}

/// Versions of the parts.
#[derive(Debug, Serialize)]
pub struct Versions {
    /// This program.
    pub mathesis: &'static str,
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Operating system and processor architecture.
    pub system: String,
    /// The processor's name, where the system tells it.
    pub processor: Option<String>,
    /// Threads used.
    pub threads: usize,
}

/// One file of the folder.
#[derive(Clone, Debug, Serialize)]
pub struct FileRecord {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: String,
}

impl Versions {
    /// Of this program.
    pub fn current() -> Self {
        Versions { mathesis: env!("CARGO_PKG_VERSION") }
    }
}

impl Machine {
    /// This machine.
    pub fn current() -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        });
        Machine {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor,
            threads: rayon::current_num_threads(),
        }
    }
}

/// How a solve ended, in words.
pub fn status_text(status: &Status) -> String {
    match status {
        Status::Converged => "converged".to_string(),
        Status::IterationLimit => "iterations used up".to_string(),
        Status::Interrupted => "interrupted".to_string(),
        Status::Stalled(reason) => format!("stalled: {reason}"),
    }
}

/// The present moment, in UTC.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A figure for tables: short, in scientific notation where that is shorter.
pub fn figure(value: f64) -> String {
    if value == 0.0 {
        "0".to_string()
    } else if (1e-2..1e4).contains(&value.abs()) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        format!("{value:.2e}")
    }
}

/// A time span for tables.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 0.001 => "< 1 ms".to_string(),
        v if v < 1.0 => format!("{:.0} ms", v * 1e3),
        v if v < 120.0 => format!("{v:.1} s"),
        v if v < 7200.0 => format!("{:.1} min", v / 60.0),
        v => format!("{:.1} h", v / 3600.0),
    }
}

impl FileRecord {
    /// A file and what it holds.
    pub fn new(name: &str, content: &str) -> Self {
        FileRecord { name: name.to_string(), content: content.to_string() }
    }
}
