//! Linear systems: from a problem file to a run's outcome.

use mathesis_solvers::Status;
use mathesis_solvers::linear::files::matrix_market;
use mathesis_solvers::linear::{
    DirectionProposal, LinearError, Matrix, Method, Outside, PressureGrid, Solution, Statement,
    SymmetricOperator, solve as solve_system,
};
use serde_json::{Map, Value};

use super::{Request, csv, npy};
use crate::direction_network::{self, NetworkProposal};
use crate::failure::Failure;
use crate::outcome::{Artefact, Fact, Figure, Outcome, ResultRecord, StatementRow, Tone, Verdict};
use crate::record::{figure, seconds, status_text};
use crate::report::plots::{self, Curve, HeatMap, Ink, Panel};

/// Solve the linear system that a file states.
///
/// # Errors
/// [`Failure::Input`] if it is not well stated or the method does not apply, else [`Failure::Work`].
pub fn solve(request: &Request<'_>) -> Result<Option<Outcome>, Failure> {
    let method = request.method(Method::NAMES)?;
    let statement = Statement::parse(&request.text, request.folder(), method, request.seed)
        .map_err(|error| request.refuse(error))?;
    let mut proposal = proposal(&statement)?;
    let directions = proposal.as_mut().map(|proposal| proposal.as_mut() as &mut dyn DirectionProposal);
    let mut monitor = request.monitor(statement.method.name());
    let solved = solve_system(&statement.system, &statement.method, directions, &mut monitor);
    monitor.finish();
    let solution = solved.map_err(|error| refusal(&error, &statement, request))?;
    request.say("writing the report");
    outcome(&statement, &solution).map(Some)
}

/// What proposes directions to `deep-conjugate-directions`; the other methods need nothing.
fn proposal(statement: &Statement) -> Result<Option<Box<dyn DirectionProposal>>, Failure> {
    let Method::DeepConjugateDirections(options) = &statement.method else { return Ok(None) };
    let Matrix::Grid(grid) = statement.system.matrix() else {
        return Err(Failure::input(
            "deep-conjugate-directions needs a grid: its networks know nothing of other matrices; try `auto`",
        ));
    };
    let file = options.network.as_deref();
    let name = file
        .and_then(std::path::Path::file_name)
        .map_or("embedded network".into(), |name| name.to_string_lossy());
    let weights = direction_network::load(file)?;
    Ok(Some(Box::new(NetworkProposal::new(name, &weights, grid))))
}

fn refusal(error: &LinearError, statement: &Statement, request: &Request<'_>) -> Failure {
    match statement.locate(error) {
        Some(located) => request.refuse(located),
        None => Failure::work(error),
    }
}

fn outcome(statement: &Statement, solution: &Solution) -> Result<Outcome, Failure> {
    Ok(Outcome {
        title: statement.title.clone(),
        problem: serde_json::to_value(&statement.origin).map_err(Failure::work)?,
        method: serde_json::to_value(&statement.method).map_err(Failure::work)?,
        seed: statement.origin.seed,
        verdict: verdict(solution),
        statement: statement_rows(statement),
        facts: facts(statement, solution),
        figures: figures(statement, solution)?,
        tables: Vec::new(),
        notes: solution.notes.clone(),
        files: files(statement, solution)?,
        result: ResultRecord {
            method: solution.method.clone(),
            status: solution.status.clone(),
            done: solution.status == Status::Converged,
            iterations: Some(solution.iterations),
            seconds: solution.elapsed.as_secs_f64(),
            details: details(statement, solution),
            notes: solution.notes.clone(),
        },
    })
}

fn details(statement: &Statement, solution: &Solution) -> Map<String, Value> {
    let matrix = statement.system.matrix();
    let figures: Map<String, Value> =
        solution.figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    [
        ("unknowns", matrix.unknowns().into()),
        ("components", matrix.components().into()),
        ("singular_components", matrix.null_space().dimension().into()),
        ("relative_residual", solution.residual.into()),
        ("residual_norm", solution.residual_norm.into()),
        ("energy", solution.energy.into()),
        ("setup_seconds", solution.setup.as_secs_f64().into()),
        ("figures", figures.into()),
    ]
    .map(|(name, value): (&str, Value)| (name.to_string(), value))
    .into_iter()
    .collect()
}

fn verdict(solution: &Solution) -> Verdict {
    let judged = format!("relative residual {}, computed anew from the solution", figure(solution.residual));
    if solution.status == Status::Converged {
        Verdict { tone: Tone::Good, text: format!("Solved: {judged}") }
    } else {
        let text = format!("Not done ({}): {judged}", status_text(&solution.status));
        Verdict { tone: Tone::Bad, text }
    }
}

fn statement_rows(statement: &Statement) -> Vec<StatementRow> {
    let origin = &statement.origin;
    let matrix = statement.system.matrix();
    let mut rows = vec![StatementRow::latex("system", "A x = b")];
    match matrix {
        Matrix::Grid(grid) => {
            let shape: Vec<String> = grid.shape().iter().map(usize::to_string).collect();
            let obstacle = match origin.obstacle.as_deref() {
                None | Some("none") => String::new(),
                Some(obstacle) => format!(", obstacle: {obstacle}"),
            };
            rows.push(StatementRow::text("grid", format!("{} cells{obstacle}", shape.join(" × "))));
            rows.push(StatementRow::text("outside", outside(grid)));
        }
        Matrix::Sparse(sparse) => {
            let file = origin.matrix.as_deref().unwrap_or("a sparse matrix");
            rows.push(StatementRow::text(
                "matrix",
                format!("{file}: {} rows, {} entries", sparse.dimension(), sparse.csr().stored()),
            ));
        }
    }
    rows.push(StatementRow::text("unknowns", matrix.unknowns().to_string()));
    let projected = if origin.project { ", projected onto the range" } else { "" };
    rows.push(StatementRow::text("right side", format!("{}{projected}", origin.right_side)));
    rows
}

fn outside(grid: &PressureGrid) -> String {
    let word = |outside: Outside| if outside == Outside::Open { "open" } else { "closed" };
    let faces = grid.outside();
    if faces.iter().flatten().all(|face| *face == faces[0][0]) {
        return format!("{} on all faces", word(faces[0][0]));
    }
    let axes = faces.iter().zip(["x", "y", "z"]);
    axes.map(|([lower, upper], axis)| format!("{axis}: {}, {}", word(*lower), word(*upper)))
        .collect::<Vec<_>>()
        .join("; ")
}

fn facts(statement: &Statement, solution: &Solution) -> Vec<Fact> {
    let mut facts = vec![
        Fact::brief("unknowns", statement.system.matrix().unknowns().to_string(), "fluid cells, or rows"),
        Fact::brief(
            "relative residual",
            figure(solution.residual),
            "‖b − A x‖ / ‖b‖, computed anew at the end",
        ),
        Fact::full("residual norm", figure(solution.residual_norm), "‖b − A x‖"),
        Fact::full("energy", figure(solution.energy), "xᵀ A x / 2 − bᵀ x, least at the solution"),
        Fact::full(
            "setup",
            seconds(solution.setup.as_secs_f64()),
            "factorising or coarsening, part of the time",
        ),
    ];
    for (name, value) in &solution.figures {
        facts.push(Fact::full(name.clone(), figure(*value), "figure of the method"));
    }
    facts
}

fn figures(statement: &Statement, solution: &Solution) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    if let Matrix::Grid(grid) = statement.system.matrix() {
        figures.push(Figure {
            name: "solution".into(),
            section: "Solution",
            caption: if grid.shape().len() == 3 {
                "The pressure on the middle slices; cells that are not fluid are grey.".into()
            } else {
                "The pressure; cells that are not fluid are grey.".into()
            },
            drawings: slices(grid, &solution.values)?,
        });
    }
    if solution.history.len() > 1 {
        let panel = |horizontal: &str, points: Vec<(f64, f64)>| Panel {
            title: format!("against {horizontal}"),
            horizontal: horizontal.into(),
            logarithmic: true,
            curves: vec![Curve { name: "relative residual".into(), ink: Ink::Residual, points }],
        };
        let history = &solution.history;
        let by_iteration = history.iter().map(|point| (point.iteration as f64, point.residual)).collect();
        let by_time = history.iter().map(|point| (point.seconds, point.residual)).collect();
        figures.push(Figure {
            name: "history".into(),
            section: "Course of the solve",
            caption: "The relative residual while the method worked; its preparation counts as time.".into(),
            drawings: vec![plots::panels(&[panel("iterations", by_iteration), panel("seconds", by_time)])?],
        });
    }
    Ok(figures)
}

/// The middle slices across each axis of a grid in space, or the whole of one in the plane.
fn slices(grid: &PressureGrid, values: &[f64]) -> Result<Vec<String>, Failure> {
    let shape = grid.shape();
    let names = ["x", "y", "z"];
    let across: Vec<Option<usize>> =
        if shape.len() == 2 { vec![None] } else { vec![Some(0), Some(1), Some(2)] };
    across
        .into_iter()
        .map(|across| {
            let shown: Vec<usize> = (0..shape.len()).filter(|axis| Some(*axis) != across).collect();
            let axes: Vec<Vec<f64>> = shown
                .iter()
                .map(|&axis| (0..shape[axis]).map(|i| (i as f64 + 0.5) / shape[axis] as f64).collect())
                .collect();
            let mut slice = Vec::with_capacity(axes[0].len() * axes[1].len());
            for i in 0..axes[0].len() {
                for j in 0..axes[1].len() {
                    let mut place: Vec<usize> = shape.iter().map(|n| n / 2).collect();
                    (place[shown[0]], place[shown[1]]) = (i, j);
                    let cell = place.iter().zip(shape).fold(0, |index, (i, n)| index * n + i);
                    slice.push(if grid.is_fluid(cell) { values[cell] } else { f64::NAN });
                }
            }
            let title =
                across.map_or("pressure".into(), |axis| format!("pressure, middle of {}", names[axis]));
            HeatMap {
                title,
                names: [names[shown[0]].into(), names[shown[1]].into()],
                axes: [&axes[0], &axes[1]],
                values: slice,
                logarithmic: false,
                range: None,
            }
            .draw()
        })
        .collect()
}

fn files(statement: &Statement, solution: &Solution) -> Result<Vec<Artefact>, Failure> {
    let mut files = Vec::new();
    match statement.system.matrix() {
        Matrix::Grid(grid) => {
            let shape: Vec<u64> = grid.shape().iter().map(|&n| n as u64).collect();
            let array = npy(&shape, std::slice::from_ref(&solution.values))?;
            files.push(Artefact::new("solution.npy", "the pressure in the cells of the grid", array));
        }
        Matrix::Sparse(_) => {
            let text = matrix_market::write_vector(&solution.values);
            files.push(Artefact::new("solution.mtx", "the solution, in Matrix Market form", text));
        }
    }
    if !solution.history.is_empty() {
        let header = ["iteration", "seconds", "relative_residual"].map(String::from);
        let rows = solution.history.iter().map(|point| {
            vec![
                point.iteration.to_string(),
                format!("{:.6}", point.seconds),
                format!("{:e}", point.residual),
            ]
        });
        files.push(Artefact::new("history.csv", "the course of the solve", csv(&header, rows)));
    }
    Ok(files)
}
