//! The experiment on GP-HM: eleven differential equations by both inferences, with collocation beside them.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_solvers::Status;
use mathesis_solvers::pde::options::{Collocation, Inference, Kernel};
use mathesis_solvers::pde::{Certificate, MethodChoice, Solution, Statement};
use serde::{Deserialize, Serialize};

use super::{CellLog, Common, Finished, Stamp, chosen, description, output_folder, write_tables};
use crate::experiments;
use crate::failure::Failure;
use crate::progress::Monitor;
use crate::record::{Machine, figure, now, seconds, status_text};

const PAPER: &str = "gp-hm";

const EXAMPLES: &str = "\
Examples:
  mathesis reproduce gp-hm --quick
  mathesis reproduce gp-hm --problems u1,u3 --methods adam-gm,profiled-gm --adam-steps 20000
  mathesis reproduce gp-hm --time-limit 10min";

/// Arguments of `reproduce gp-hm`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Only these problems [default: all].
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    problems: Vec<String>,
    /// Only these methods [default: all but the baselines adam-matern and adam-se].
    #[arg(long, value_delimiter = ',', value_enum, value_name = "NAME,...")]
    methods: Vec<CellMethod>,
    /// At most so many Adam steps for each cell; the published numbers are 1e5 to 3e6.
    #[arg(long, value_name = "N")]
    adam_steps: Option<usize>,
}

/// What solves a cell's problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CellMethod {
    AdamStm,
    AdamGm,
    AdamMatern,
    AdamSe,
    ProfiledStm,
    ProfiledGm,
    Collocation,
}

impl CellMethod {
    /// What runs when no methods are asked for.
    const USUAL: [CellMethod; 5] = [
        CellMethod::AdamStm,
        CellMethod::AdamGm,
        CellMethod::ProfiledStm,
        CellMethod::ProfiledGm,
        CellMethod::Collocation,
    ];

    fn gp_hm(self) -> Option<(Inference, Kernel)> {
        Some(match self {
            CellMethod::AdamStm => (Inference::Adam, Kernel::StudentMixture),
            CellMethod::AdamGm => (Inference::Adam, Kernel::GaussianMixture),
            CellMethod::AdamMatern => (Inference::Adam, Kernel::Matern),
            CellMethod::AdamSe => (Inference::Adam, Kernel::SquaredExponential),
            CellMethod::ProfiledStm => (Inference::Profiled, Kernel::StudentMixture),
            CellMethod::ProfiledGm => (Inference::Profiled, Kernel::GaussianMixture),
            CellMethod::Collocation => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            CellMethod::AdamStm => "adam-stm",
            CellMethod::AdamGm => "adam-gm",
            CellMethod::AdamMatern => "adam-matern",
            CellMethod::AdamSe => "adam-se",
            CellMethod::ProfiledStm => "profiled-stm",
            CellMethod::ProfiledGm => "profiled-gm",
            CellMethod::Collocation => "collocation",
        }
    }
}

/// The parts of `experiment.toml` that an experiment on differential equations has.
#[derive(Deserialize)]
struct Experiment {
    problem: Vec<ProblemEntry>,
    quick: Quick,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProblemEntry {
    id: String,
    equation: String,
    statement: String,
    peer_statement: Option<String>,
    #[serde(default)]
    published: Published,
}

/// Published relative L2 errors, by kernel.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Published {
    student_mixture: Option<f64>,
    gaussian_mixture: Option<f64>,
    matern: Option<f64>,
    squared_exponential: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Quick {
    problems: Vec<String>,
    methods: Vec<CellMethod>,
    adam_steps: usize,
}

/// A finished cell: one line of `cells.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    problem: String,
    method: CellMethod,
    /// The method with all options.
    choice: serde_json::Value,
    /// The time limit in seconds.
    time_limit: Option<f64>,
    /// Whether the time limit ended it.
    out_of_time: bool,
    status: String,
    /// Why there is no result.
    failure: Option<String>,
    /// Iterations done: Adam steps for the Adam methods.
    iterations: usize,
    seconds: f64,
    /// Relative L2 error of the returned solution.
    error: Option<f64>,
    /// That of the last state, and the least over the checkpoints (the published scorer's choice).
    error_final: Option<f64>,
    error_best_checkpoint: Option<f64>,
    equation_relative: Option<f64>,
    notes: Vec<String>,
    #[serde(flatten)]
    stamp: Stamp,
}

/// Run an experiment.
///
/// # Errors
/// [`Failure::Input`] for a problem that does not exist, [`Failure::Work`] if cells fail or the folder cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let experiment: Experiment = description(PAPER)?;
    let problems = chosen_problems(arguments, &experiment)?;
    let methods = match (arguments.methods.as_slice(), arguments.common.quick) {
        ([], true) => experiment.quick.methods.clone(),
        ([], false) => CellMethod::USUAL.to_vec(),
        (chosen, _) => chosen.to_vec(),
    };
    let steps = arguments.adam_steps.or(arguments.common.quick.then_some(experiment.quick.adam_steps));
    if steps == Some(0) {
        return Err(Failure::input("--adam-steps 0; expected at least 1"));
    }
    let folder = output_folder(PAPER, &arguments.common)?;
    let mut log: CellLog<Cell> = CellLog::open(&folder, arguments.common.fresh)?;

    let mut cells = Vec::new();
    let total = problems.len() * methods.len();
    'all: for problem in &problems {
        for &method in &methods {
            let number = cells.len() + 1;
            let label = format!("[{number}/{total}] {} {}", problem.id, method.name());
            let (statement, choice) = prepare(problem, method, steps)?;
            let key = serde_json::to_value(&choice).map_err(Failure::work)?;
            let answers = |cell: &Cell| cell.answers(problem, method, &key, arguments);
            let measure =
                || Ok(solve_cell(problem, method, &statement, &choice, key.clone(), arguments, &label));
            let Some(cell) = log.cell(&label, answers, measure)? else { break 'all };
            cells.push(cell);
        }
    }
    let report = Report { paper: PAPER, problems: &problems, methods: &methods, cells: &cells };
    println!("{}", report.table());
    write_tables(&folder, &report.markdown(), &report.json()?)?;
    if cells.len() < total || cells.iter().any(|cell| cell.failure.is_some()) {
        return Err(Failure::Told);
    }
    Ok(())
}

fn chosen_problems<'a>(
    arguments: &Arguments,
    experiment: &'a Experiment,
) -> Result<Vec<&'a ProblemEntry>, Failure> {
    let wanted = match (arguments.problems.as_slice(), arguments.common.quick) {
        ([], true) => &experiment.quick.problems,
        ([], false) => return Ok(experiment.problem.iter().collect()),
        (wanted, _) => wanted,
    };
    chosen("problems", wanted, &experiment.problem, |problem| &problem.id)
}

/// The cell's statement and its method with all options.
fn prepare(
    problem: &ProblemEntry,
    method: CellMethod,
    steps: Option<usize>,
) -> Result<(Statement, MethodChoice), Failure> {
    let peer = problem.peer_statement.as_ref().filter(|_| method.gp_hm().is_none());
    let name = format!("{PAPER}/problems/{}.toml", peer.unwrap_or(&problem.statement));
    let text =
        experiments::file(&name).ok_or_else(|| Failure::work(format!("this build holds no {name}")))?;
    let asked = if method.gp_hm().is_some() { "gp-hm" } else { "collocation" };
    let statement =
        Statement::parse_for_method(text, asked).map_err(|error| Failure::statement(error, &name, text))?;
    let choice = match (method.gp_hm(), &statement.method) {
        (Some((inference, kernel)), MethodChoice::GpHm(options)) => {
            let mut options = options.clone();
            (options.inference, options.kernel) = (inference, kernel);
            match inference {
                Inference::Adam => options.steps = options.steps.min(steps.unwrap_or(usize::MAX)),
                // Steps and the second stage are Adam's.
                Inference::Profiled => {
                    options.change_point = None;
                    options.steps = mathesis_solvers::pde::options::GpHm::default().steps;
                }
            }
            MethodChoice::GpHm(options)
        }
        _ => MethodChoice::Collocation(Collocation::default()),
    };
    Ok((statement, choice))
}

fn solve_cell(
    problem: &ProblemEntry,
    method: CellMethod,
    statement: &Statement,
    choice: &MethodChoice,
    key: serde_json::Value,
    arguments: &Arguments,
    label: &str,
) -> Cell {
    let mut monitor = Monitor::new(label, false).with_time_limit(arguments.common.time_limit);
    let outcome: Result<(Solution, Certificate), String> = choice
        .method()
        .solve(&statement.problem, &mut monitor)
        .and_then(|solution| solution.certify(&statement.problem).map(|certificate| (solution, certificate)))
        .map_err(|error| error.to_string());
    monitor.finish();
    let mut cell = Cell {
        problem: problem.id.clone(),
        method,
        choice: key,
        time_limit: arguments.common.time_limit.map(|limit| limit.as_secs_f64()),
        out_of_time: monitor.out_of_time,
        status: "refused".to_string(),
        failure: None,
        iterations: 0,
        seconds: 0.0,
        error: None,
        error_final: None,
        error_best_checkpoint: None,
        equation_relative: None,
        notes: Vec::new(),
        stamp: Stamp::now(),
    };
    match outcome {
        Err(reason) => cell.failure = Some(reason),
        Ok((solution, certificate)) => {
            let named = |name: &str| {
                solution.figures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
            };
            cell.status = status_text(&solution.status);
            if let Status::Stalled(reason) = &solution.status {
                cell.notes.push(reason.clone());
            }
            cell.iterations = solution.iterations;
            cell.seconds = solution.elapsed.as_secs_f64();
            cell.error = certificate.error.and_then(|errors| errors.into_iter().reduce(f64::max));
            cell.error_final = named("error-final");
            cell.error_best_checkpoint = named("error-best-checkpoint");
            cell.equation_relative = Some(certificate.equation_relative);
            cell.notes.extend(solution.notes);
        }
    }
    cell
}

impl Cell {
    /// Whether this cell answers what is asked. One that the time limit has ended does so only for the same limit or less.
    fn answers(
        &self,
        problem: &ProblemEntry,
        method: CellMethod,
        choice: &serde_json::Value,
        arguments: &Arguments,
    ) -> bool {
        let asked = arguments.common.time_limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
        let long_enough = !self.out_of_time || self.time_limit.is_some_and(|limit| asked <= limit);
        self.problem == problem.id
            && self.method == method
            && self.choice == *choice
            && self.failure.is_none()
            && long_enough
    }
}

impl Finished for Cell {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn short(&self) -> String {
        match (&self.failure, self.error) {
            (Some(reason), _) => format!("failed: {reason}"),
            (None, error) => format!(
                "error {}, {} iterations, {}",
                error.map_or("unknown".to_string(), figure),
                self.iterations,
                seconds(self.seconds)
            ),
        }
    }
}

/// The experiment's outcome.
struct Report<'a> {
    paper: &'a str,
    problems: &'a [&'a ProblemEntry],
    methods: &'a [CellMethod],
    cells: &'a [Cell],
}

const RECOLLECTED: &str =
    "Published figures are recollected, not read off the paper: they are good for the order of magnitude.";

impl Report<'_> {
    fn cell(&self, problem: &ProblemEntry, method: CellMethod) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.problem == problem.id && cell.method == method)
    }

    fn published(problem: &ProblemEntry) -> [String; 2] {
        [problem.published.student_mixture, problem.published.gaussian_mixture]
            .map(|value| value.map_or("–".to_string(), |value| format!("{value:.0e}")))
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some((terminal_size::Width(width), _)) = terminal_size::terminal_size() {
            table.set_width(width);
        }
        let mut header = vec!["problem".to_string(), "published\nStM / GM".to_string()];
        header.extend(self.methods.iter().map(|method| method.name().replacen('-', "\n", 1)));
        table.set_header(header);
        for problem in self.problems {
            let [student, gaussian] = Report::published(problem);
            let mut row =
                vec![format!("{}\n{}", problem.id, problem.equation), format!("{student}\n{gaussian}")];
            row.extend(self.methods.iter().map(|method| match self.cell(problem, *method) {
                None => String::new(),
                Some(Cell { failure: Some(_), .. }) => "failed".to_string(),
                Some(cell) => {
                    let error = cell.error.map_or("–".to_string(), |error| format!("{error:.1e}"));
                    let best =
                        cell.error_best_checkpoint.map_or(String::new(), |best| format!("\nbest {best:.1e}"));
                    format!("{error}{best}\n{}", seconds(cell.seconds))
                }
            }));
            table.add_row(row);
        }
        format!(
            "{table}\nRelative L2 errors; best: the least over the checkpoints, as the published scorer has it.\n{RECOLLECTED}"
        )
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# {}: published and measured\n\nRelative L2 errors on the published test grid. {RECOLLECTED}\n\n\
             - *error*: of the solution that is returned (Adam: the state with the least criterion);\n\
             - *best*: the least over 20 checkpoints, the published scorer's (oracle) choice;\n\
             - *last*: of the last state.\n\n\
             | problem | equation | published StM | published GM | method | error | best | last | iterations | time | ended |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
            self.paper
        );
        let optional = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.2e}"));
        for problem in self.problems {
            let [student, gaussian] = Report::published(problem);
            for method in self.methods {
                let Some(cell) = self.cell(problem, *method) else { continue };
                let ended = match &cell.failure {
                    Some(reason) => format!("failed: {reason}"),
                    None if cell.out_of_time => "time limit".to_string(),
                    None => cell.status.clone(),
                };
                let _ = writeln!(
                    text,
                    "| {} | {} | {student} | {gaussian} | {} | {} | {} | {} | {} | {} | {} |",
                    problem.id,
                    problem.equation,
                    method.name(),
                    optional(cell.error),
                    optional(cell.error_best_checkpoint),
                    optional(cell.error_final),
                    cell.iterations,
                    seconds(cell.seconds),
                    ended.replace('|', "\\|")
                );
            }
        }
        let machine = Machine::current();
        let _ = writeln!(
            text,
            "\nMeasured until {} on {}, {} threads, {}. Every cell's options, machine and date: cells.jsonl.",
            now(),
            machine.processor.as_deref().unwrap_or("an unnamed processor"),
            machine.threads,
            machine.system
        );
        text
    }

    fn json(&self) -> Result<String, Failure> {
        let rows: Vec<serde_json::Value> = self
            .problems
            .iter()
            .map(|problem| {
                let cells: Vec<&Cell> = self.cells.iter().filter(|cell| cell.problem == problem.id).collect();
                serde_json::json!({
                    "problem": problem.id,
                    "equation": problem.equation,
                    "published": problem.published,
                    "published-source": "recollected",
                    "cells": cells,
                })
            })
            .collect();
        serde_json::to_string_pretty(&rows).map_err(Failure::work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_every_experiment_is_well_stated() {
        let text = experiments::file("gp-hm/experiment.toml").expect("embedded");
        let experiment: Experiment = toml::from_str(text).expect("well formed");
        assert_eq!(experiment.problem.len(), 11);
        for problem in &experiment.problem {
            for (name, method) in
                [(Some(&problem.statement), "gp-hm"), (problem.peer_statement.as_ref(), "collocation")]
            {
                let Some(name) = name else { continue };
                let text = experiments::file(&format!("gp-hm/problems/{name}.toml")).expect("embedded");
                let statement =
                    Statement::parse_for_method(text, method).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(statement.warnings, Vec::<String>::new(), "{name}");
            }
        }
        for id in &experiment.quick.problems {
            assert!(experiment.problem.iter().any(|problem| problem.id == *id), "{id}");
        }
    }
}
