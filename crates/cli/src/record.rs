//! What `run.json` holds: the problem, the method with all options, the machine, and the result with its certificate.

use std::time::SystemTime;

use mathesis_solvers::Status;
use mathesis_solvers::pde::{
    Certificate, Condition, MethodChoice, Problem, Side, Solution, Spectrum, Statement,
};
use serde::Serialize;

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
    pub problem: ProblemRecord,
    /// The method with all its options, defaults included.
    pub method: MethodChoice,
    /// The seed that was asked for. (The methods for differential equations draw no random numbers.)
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

/// The problem as text that can be parsed again.
#[derive(Debug, Serialize)]
pub struct ProblemRecord {
    /// Name, lower bound, upper bound, periodic.
    pub axes: Vec<AxisRecord>,
    /// The unknowns.
    pub unknowns: Vec<String>,
    /// The equations.
    pub equations: Vec<String>,
    /// The conditions.
    pub conditions: Vec<ConditionRecord>,
    /// The exact solution, where known.
    pub exact: Option<Vec<String>>,
    /// The parameters (their values stand in the equations already).
    pub parameters: Vec<(String, String)>,
}

/// One axis.
#[derive(Debug, Serialize)]
pub struct AxisRecord {
    name: String,
    lower: String,
    upper: String,
    periodic: bool,
}

/// One condition.
#[derive(Debug, Serialize)]
pub struct ConditionRecord {
    face: String,
    condition: String,
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

/// The result.
#[derive(Debug, Serialize)]
pub struct ResultRecord {
    /// The method as it calls itself, with its variant.
    pub method: String,
    /// How it ended.
    pub status: Status,
    /// Whether that counts as done.
    pub done: bool,
    /// Iterations done.
    pub iterations: usize,
    /// Seconds spent in solving.
    pub seconds: f64,
    /// The method's own estimate of the relative L2 error.
    pub error_estimate: Option<f64>,
    /// Residuals and errors measured afterwards, on points of their own.
    pub certificate: Certificate,
    /// Named figures of the method.
    pub figures: serde_json::Map<String, serde_json::Value>,
    /// Learned spectra.
    pub spectra: Vec<Spectrum>,
    /// Remarks.
    pub notes: Vec<String>,
}

/// One file of the folder.
#[derive(Clone, Debug, Serialize)]
pub struct FileRecord {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: String,
}

impl ProblemRecord {
    /// The problem of a statement.
    pub fn new(statement: &Statement) -> Self {
        let problem = &statement.problem;
        ProblemRecord {
            axes: problem
                .axes
                .iter()
                .map(|axis| AxisRecord {
                    name: axis.name.to_string(),
                    lower: axis.lower.0.to_string(),
                    upper: axis.upper.0.to_string(),
                    periodic: axis.periodic,
                })
                .collect(),
            unknowns: problem.unknowns.iter().map(ToString::to_string).collect(),
            equations: problem.equations.iter().map(|(left, right)| format!("{left} = {right}")).collect(),
            conditions: problem
                .conditions
                .iter()
                .zip(&statement.conditions)
                .map(|(condition, (left, right))| ConditionRecord {
                    face: face_name(problem, condition),
                    condition: format!("{left} = {right}"),
                })
                .collect(),
            exact: problem.exact.as_ref().map(|exact| exact.iter().map(ToString::to_string).collect()),
            parameters: statement
                .parameters
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }
}

fn face_name(problem: &Problem, condition: &Condition) -> String {
    let axis = &problem.axes[condition.face.axis];
    let bound = if condition.face.side == Side::Lower { &axis.lower.0 } else { &axis.upper.0 };
    format!("{} = {bound}", axis.name)
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

impl ResultRecord {
    /// A solution with its certificate; `choice` says whose solution it is.
    pub fn new(choice: &MethodChoice, solution: &Solution, certificate: Certificate) -> Self {
        ResultRecord {
            method: solution.method.clone(),
            status: solution.status.clone(),
            done: is_done(choice, solution, &certificate),
            iterations: solution.iterations,
            seconds: solution.elapsed.as_secs_f64(),
            error_estimate: solution.error_estimate,
            certificate,
            figures: solution.figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect(),
            spectra: solution.spectra.clone(),
            notes: solution.notes.clone(),
        }
    }
}

/// Whether a solve counts as done. GP-HM has no criterion of its own by default: using up its planned steps is its way to end.
fn is_done(choice: &MethodChoice, solution: &Solution, certificate: &Certificate) -> bool {
    let planned_end = matches!(choice, MethodChoice::GpHm(_)) && solution.status == Status::IterationLimit;
    let finite = certificate.equation_rms.is_finite() && certificate.condition_max.is_finite();
    finite && (solution.status == Status::Converged || planned_end)
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
