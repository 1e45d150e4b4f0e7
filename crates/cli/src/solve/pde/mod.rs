//! Differential equations: from a problem file to a run's outcome.
//!
//! - [`drawings`]: the solution, its course and its spectrum, drawn;
//! - [`frequencies`]: the truth for the learned spectrum;
//! - [`samples`]: the solution on a fine grid.

mod drawings;
mod frequencies;
mod samples;

use mathesis_solvers::Status;
use mathesis_solvers::pde::{
    Certificate, Condition, MethodChoice, Problem, Side, Solution, SolveError, Statement,
};
use serde::Serialize;
use serde_json::{Map, Value};

use self::samples::Samples;
use super::{Request, csv, npy};
use crate::failure::Failure;
use crate::outcome::{Artefact, Fact, Outcome, ResultRecord, StatementRow, Tone, Verdict};
use crate::record::{figure, status_text};

/// Errors above this are not called good.
const GOOD_ERROR: f64 = 1e-2;

/// Solve the differential equation that a file states.
///
/// # Errors
/// [`Failure::Input`] if it is not well stated or the method does not apply, else [`Failure::Work`].
pub fn solve(request: &Request<'_>) -> Result<Option<Outcome>, Failure> {
    let statement = match request.method(MethodChoice::NAMES)? {
        None => Statement::parse(&request.text),
        Some(method) => Statement::parse_for_method(&request.text, method),
    }
    .map_err(|error| request.refuse(error))?;
    for warning in &statement.warnings {
        request.warn(warning);
    }
    let mut monitor = request.monitor(statement.method.name());
    let solved = statement.method.method().solve(&statement.problem, &mut monitor);
    monitor.finish();
    let solution = solved.map_err(|error| refusal(error, &statement, request))?;
    request.say("checking the solution and writing the report");
    let certificate = solution.certify(&statement.problem).map_err(Failure::work)?;
    outcome(&statement, &solution, certificate, request.seed.unwrap_or(0)).map(Some)
}

fn refusal(error: SolveError, statement: &Statement, request: &Request<'_>) -> Failure {
    match statement.locate(&error) {
        Some(located) => request.refuse(located),
        None => Failure::work(error),
    }
}

fn outcome(
    statement: &Statement,
    solution: &Solution,
    certificate: Certificate,
    seed: u64,
) -> Result<Outcome, Failure> {
    let problem = &statement.problem;
    let samples = Samples::of_box(problem, solution).map_err(Failure::work)?;
    let done = is_done(&statement.method, solution, &certificate);
    Ok(Outcome {
        title: statement.title.clone(),
        problem: serde_json::to_value(ProblemRecord::new(statement)).map_err(Failure::work)?,
        method: serde_json::to_value(&statement.method).map_err(Failure::work)?,
        seed,
        verdict: verdict(solution, &certificate, done),
        statement: statement_rows(statement),
        facts: facts(problem, solution, &certificate),
        figures: drawings::figures(problem, solution, &samples)?,
        tables: Vec::new(),
        notes: statement.warnings.iter().chain(&solution.notes).cloned().collect(),
        files: files(problem, solution, &samples)?,
        result: ResultRecord {
            method: solution.method.clone(),
            status: solution.status.clone(),
            done,
            iterations: Some(solution.iterations),
            seconds: solution.elapsed.as_secs_f64(),
            details: details(solution, &certificate)?,
            notes: solution.notes.clone(),
        },
    })
}

fn details(solution: &Solution, certificate: &Certificate) -> Result<Map<String, Value>, Failure> {
    let figures: Map<String, Value> =
        solution.figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    let mut details = Map::new();
    details.insert("error_estimate".into(), solution.error_estimate.into());
    details.insert("certificate".into(), serde_json::to_value(certificate).map_err(Failure::work)?);
    details.insert("figures".into(), figures.into());
    details.insert("spectra".into(), serde_json::to_value(&solution.spectra).map_err(Failure::work)?);
    Ok(details)
}

/// One line that says how far to trust the result.
fn verdict(solution: &Solution, certificate: &Certificate, done: bool) -> Verdict {
    let error = certificate.error.as_ref().map(|errors| errors.iter().copied().fold(0.0, f64::max));
    let judged = match (error, solution.error_estimate) {
        (Some(error), _) => format!("relative error {} against the exact solution", figure(error)),
        (None, Some(estimate)) => format!("estimated relative error {}", figure(estimate)),
        (None, None) => {
            format!("the equation is met to {} of its terms", figure(certificate.equation_relative))
        }
    };
    if !done {
        let text = format!("Not done ({}): {judged}", status_text(&solution.status));
        return Verdict { tone: Tone::Bad, text };
    }
    let size = error.or(solution.error_estimate).unwrap_or(certificate.equation_relative);
    if size <= GOOD_ERROR {
        Verdict { tone: Tone::Good, text: format!("Solved: {judged}") }
    } else {
        Verdict { tone: Tone::Doubtful, text: format!("Doubtful: {judged}") }
    }
}

fn facts(problem: &Problem, solution: &Solution, certificate: &Certificate) -> Vec<Fact> {
    let mut facts = Vec::new();
    let unknowns = &problem.unknowns;
    let of = |k: usize| if unknowns.len() > 1 { format!(" of {}", unknowns[k]) } else { String::new() };
    for (k, error) in certificate.error.iter().flatten().enumerate() {
        let note = "against the exact solution, on a uniform grid";
        facts.push(Fact::brief(format!("relative L2 error{}", of(k)), figure(*error), note));
    }
    for (k, error) in certificate.error_max.iter().flatten().enumerate() {
        facts.push(Fact::full(format!("largest error{}", of(k)), figure(*error), "on the same grid"));
    }
    if let Some(estimate) = solution.error_estimate {
        let note = "by the method itself, without the exact solution";
        let brief = certificate.error.is_none();
        facts.push(Fact { brief, ..Fact::full("relative L2 error, estimated", figure(estimate), note) });
    }
    facts.push(Fact::brief(
        "equation residual, relative",
        figure(certificate.equation_relative),
        "root mean square, against the equation's largest term",
    ));
    facts.push(Fact::full("equation residual, largest", figure(certificate.equation_max), "absolute"));
    facts.push(Fact::brief(
        "condition residual, largest",
        figure(certificate.condition_max),
        "absolute, on the faces",
    ));
    for (name, value) in &solution.figures {
        facts.push(Fact::full(name.replace('-', " "), figure(*value), "figure of the method"));
    }
    facts
}

fn statement_rows(statement: &Statement) -> Vec<StatementRow> {
    let problem = &statement.problem;
    let axes: Vec<String> = problem.axes.iter().map(|axis| symbol_latex(axis.name.name())).collect();
    let intervals: Vec<String> = problem
        .axes
        .iter()
        .map(|axis| format!("[{},\\, {}]", axis.lower.0.to_latex(), axis.upper.0.to_latex()))
        .collect();
    let tuple = if axes.len() == 1 { axes[0].clone() } else { format!("({})", axes.join(", ")) };
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (k, (left, right)) in problem.equations.iter().enumerate() {
        let label = if k > 0 {
            ""
        } else if problem.equations.len() > 1 {
            "equations"
        } else {
            "equation"
        };
        rows.push((label, format!("{} = {}", left.to_latex(), right.to_latex())));
    }
    rows.push(("domain", format!("{tuple} \\in {}", intervals.join(" \\times "))));
    for (k, (condition, (left, right))) in problem.conditions.iter().zip(&statement.conditions).enumerate() {
        let axis = &problem.axes[condition.face.axis];
        let bound = if condition.face.side == Side::Lower { &axis.lower.0 } else { &axis.upper.0 };
        rows.push((
            if k == 0 { "conditions" } else { "" },
            format!(
                "{} = {} \\quad \\text{{at}} \\quad {} = {}",
                left.to_latex(),
                right.to_latex(),
                symbol_latex(axis.name.name()),
                bound.to_latex()
            ),
        ));
    }
    for axis in problem.axes.iter().filter(|axis| axis.periodic) {
        rows.push(("periodic", format!("\\text{{along}} \\quad {}", symbol_latex(axis.name.name()))));
    }
    for (k, (unknown, exact)) in problem.unknowns.iter().zip(problem.exact.iter().flatten()).enumerate() {
        let label = if k == 0 { "exact" } else { "" };
        rows.push((label, format!("{} = {}", symbol_latex(unknown.name()), exact.to_latex())));
    }
    rows.into_iter().map(|(label, latex)| StatementRow::latex(label, latex)).collect()
}

/// A name as LaTeX, by the rules of the expression printer.
fn symbol_latex(name: &str) -> String {
    mathesis_symbolic::Expr::symbol(name).to_latex()
}

/// The solution, its course and its spectrum, as files.
fn files(problem: &Problem, solution: &Solution, samples: &Samples) -> Result<Vec<Artefact>, Failure> {
    let mut files = Vec::new();
    let truth = samples.truth.is_some();
    if problem.dimension() == 1 {
        let content = if truth {
            "the solution and the exact one on a uniform grid"
        } else {
            "the solution on a uniform grid"
        };
        files.push(Artefact::new("solution.csv", content, solution_csv(problem, samples)));
    } else {
        arrays(problem, samples, &mut files)?;
    }
    if !solution.history.is_empty() {
        files.push(Artefact::new("history.csv", "the course of the solve", history(solution)));
    }
    if !solution.spectra.is_empty() {
        let content = "the learned frequencies and weights";
        files.push(Artefact::new("spectrum.csv", content, spectrum(problem, solution)));
    }
    Ok(files)
}

fn arrays(problem: &Problem, samples: &Samples, files: &mut Vec<Artefact>) -> Result<(), Failure> {
    let mut shape: Vec<u64> = samples.shape().iter().map(|count| *count as u64).collect();
    let axes: Vec<&str> = problem.axes.iter().map(|axis| axis.name.name()).collect();
    let mut content = format!("values on a uniform grid, indexed by {}", axes.join(", "));
    if problem.unknowns.len() > 1 {
        shape.insert(0, problem.unknowns.len() as u64);
        let names: Vec<&str> = problem.unknowns.iter().map(|unknown| unknown.name()).collect();
        content = format!("{content}; first index: {}", names.join(", "));
    }
    let solution = npy(&shape, &samples.values)?;
    files.push(Artefact::new("solution.npy", format!("the solution: {content}"), solution));
    if let Some(truth) = &samples.truth {
        let exact = npy(&shape, truth)?;
        files.push(Artefact::new("exact.npy", format!("the exact solution: {content}"), exact));
    }
    for (axis, points) in problem.axes.iter().zip(&samples.axes) {
        let description = format!("the grid's coordinates along {}", axis.name);
        let content = npy(&[points.len() as u64], std::slice::from_ref(points))?;
        files.push(Artefact::new(format!("axis-{}.npy", axis.name), description, content));
    }
    Ok(())
}

fn solution_csv(problem: &Problem, samples: &Samples) -> String {
    let mut header = vec![problem.axes[0].name.to_string()];
    header.extend(problem.unknowns.iter().map(ToString::to_string));
    if samples.truth.is_some() {
        header.extend(problem.unknowns.iter().map(|unknown| format!("{unknown}_exact")));
    }
    let mut columns: Vec<&[f64]> = vec![&samples.axes[0]];
    columns.extend(samples.values.iter().map(Vec::as_slice));
    columns.extend(samples.truth.iter().flatten().map(Vec::as_slice));
    let rows =
        (0..samples.axes[0].len()).map(|i| columns.iter().map(|column| format!("{:?}", column[i])).collect());
    csv(&header, rows)
}

fn history(solution: &Solution) -> String {
    let header = ["iteration", "seconds", "objective", "residual", "error"].map(String::from);
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:?}"));
    let rows = solution.history.iter().map(|point| {
        vec![
            point.iteration.to_string(),
            format!("{:?}", point.seconds),
            optional(point.objective),
            optional(point.residual),
            optional(point.error),
        ]
    });
    csv(&header, rows)
}

fn spectrum(problem: &Problem, solution: &Solution) -> String {
    let header = ["unknown", "axis", "weight", "frequency", "inverse_scale"].map(String::from);
    let rows = solution.spectra.iter().flat_map(|spectrum| {
        spectrum.components.iter().map(|component| {
            vec![
                problem.unknowns[spectrum.unknown].to_string(),
                problem.axes[spectrum.axis].name.to_string(),
                format!("{:?}", component.weight),
                format!("{:?}", component.frequency),
                format!("{:?}", component.inverse_scale),
            ]
        })
    });
    csv(&header, rows)
}

/// The problem as text that can be parsed again, for `run.json`.
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

/// Whether a solve counts as done. GP-HM has no criterion of its own by default: using up its planned steps is its way to end.
fn is_done(choice: &MethodChoice, solution: &Solution, certificate: &Certificate) -> bool {
    let planned_end = matches!(choice, MethodChoice::GpHm(_)) && solution.status == Status::IterationLimit;
    let finite = certificate.equation_rms.is_finite() && certificate.condition_max.is_finite();
    finite && (solution.status == Status::Converged || planned_end)
}
