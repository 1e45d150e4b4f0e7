//! Regressions: from a problem file to a run's outcome.

use mathesis_algebra::sketch::DenseRows;
use mathesis_solvers::regression::{
    Data, KroneckerProblem, Method, Rows, SketchAndSolve, Solution, SolveError, Statement, Table,
    solve_kronecker,
};
use mathesis_solvers::{Observer, Status};
use serde_json::{Map, Value, json};

use super::{Request, csv};
use crate::failure::Failure;
use crate::outcome::{
    Artefact, Fact, Figure, Outcome, ResultRecord, StatementRow, TableRecord, Tone, Verdict,
};
use crate::record::{figure, seconds, status_text};
use crate::report::plots::{self, Curve, Ink, Panel};

const COEFFICIENTS: &str = "Coefficients";
const COURSE: &str = "Course of the solve";
/// Coefficients that a drawing or a table shows, at most.
const SHOWN: usize = 60;

/// Solve the regression that a file states.
///
/// # Errors
/// [`Failure::Input`] if the file or its data are wrong, else [`Failure::Work`].
pub fn solve(request: &Request<'_>) -> Result<Option<Outcome>, Failure> {
    let wanted = request.method(Method::NAMES)?;
    let mut statement =
        Statement::parse(&request.text, request.folder(), wanted).map_err(|error| request.refuse(error))?;
    if let Some(seed) = request.seed {
        statement.method = statement.method.with_seed(seed);
    }
    let mut monitor = request.monitor(statement.method.name());
    let solved = solve_data(&statement, request, &mut monitor);
    monitor.finish();
    let solution = solved.map_err(|error| match statement.locate(&error) {
        Some(located) => request.refuse(located),
        None => Failure::work(error),
    })?;
    outcome(&statement, &solution).map(Some)
}

fn solve_data(
    statement: &Statement,
    request: &Request<'_>,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let method = &statement.method;
    match &statement.data {
        Data::Synthetic(synthetic) => method.solve(&mut synthetic.table(), observer),
        Data::Kronecker(made) => {
            let ([first, second], response) = made.factors();
            let problem = KroneckerProblem {
                first: DenseRows::new(&first, made.rows[0], made.columns[0]),
                second: DenseRows::new(&second, made.rows[1], made.columns[1]),
                response: &response,
            };
            let options = match method {
                Method::SketchAndSolve(options) => options.clone(),
                _ => SketchAndSolve { seed: method.seed().unwrap_or(0), ..SketchAndSolve::default() },
            };
            solve_kronecker(problem, &options, observer)
        }
        Data::File { path, .. } => {
            let Some(mut rows) = statement.data.open()? else {
                return Err(SolveError::Empty { rows: 0, columns: 0 });
            };
            // In memory, methods make a copy at most.
            if rows.bytes_at_most() <= method.memory_limit() / 2 {
                request.say(&format!("reading {}", path.display()));
                let mut table: Table = rows.load()?;
                method.solve(&mut table, observer)
            } else {
                request.say(&format!(
                    "{} may take {:.1} GB in memory: its {} columns are read in blocks",
                    path.display(),
                    rows.bytes_at_most() as f64 / 1e9,
                    rows.names().len()
                ));
                method.solve(&mut rows, observer)
            }
        }
    }
}

fn outcome(statement: &Statement, solution: &Solution) -> Result<Outcome, Failure> {
    let done = solution.status == Status::Converged;
    Ok(Outcome {
        title: statement.title.clone(),
        problem: problem(statement, solution)?,
        method: serde_json::to_value(&statement.method).map_err(Failure::work)?,
        seed: statement.method.seed().unwrap_or(0),
        verdict: verdict(solution, done),
        statement: statement_rows(statement, solution),
        facts: facts(solution),
        figures: figures(solution)?,
        tables: vec![table(solution)],
        notes: solution.notes.clone(),
        files: files(solution),
        result: ResultRecord {
            method: solution.method.clone(),
            status: solution.status.clone(),
            done,
            iterations: (!solution.history.is_empty()).then_some(solution.iterations),
            seconds: solution.elapsed.as_secs_f64(),
            details: details(solution)?,
            notes: solution.notes.clone(),
        },
    })
}

fn problem(statement: &Statement, solution: &Solution) -> Result<Value, Failure> {
    let data = match &statement.data {
        Data::File { path, selection } => json!({
            "data": path.display().to_string(),
            "response": selection.response,
            "columns": selection.columns,
            "intercept": selection.intercept,
        }),
        Data::Synthetic(synthetic) => json!({ "synthetic": synthetic }),
        Data::Kronecker(kronecker) => json!({ "kronecker": kronecker }),
    };
    Ok(json!({ "regression": data, "rows": solution.rows, "coefficients": solution.names.len() }))
}

fn details(solution: &Solution) -> Result<Map<String, Value>, Failure> {
    let figures: Map<String, Value> =
        solution.figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    let mut details = Map::new();
    let mut insert = |name: &str, value: Value| details.insert(name.to_string(), value);
    insert("certificate", serde_json::to_value(&solution.certificate).map_err(Failure::work)?);
    insert("sketch", serde_json::to_value(&solution.sketch).map_err(Failure::work)?);
    insert("radius_linf", solution.radius_linf.into());
    insert("figures", figures.into());
    insert("peak_memory_bytes", peak_memory().into());
    Ok(details)
}

/// The most memory that this process has had, as the system counts it; absent where it does not say.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(1024 * kilobytes)
}

fn verdict(solution: &Solution, done: bool) -> Verdict {
    let largest = solution.coefficients.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let radius = solution.radius_coordinate.iter().copied().fold(0.0, f64::max);
    let relative = if largest > 0.0 { radius / largest } else { radius };
    let text = if solution.certificate.failure_probability > 0.0 {
        format!(
            "every coefficient within {} of the least-squares one ({} of the largest), with probability {}",
            figure(radius),
            figure(relative),
            1.0 - solution.certificate.failure_probability
        )
    } else {
        format!("coefficients exact to rounding, within {}", figure(radius))
    };
    match (done, relative <= 0.1) {
        (false, _) => {
            Verdict { tone: Tone::Bad, text: format!("Not done ({}): {text}", status_text(&solution.status)) }
        }
        (true, true) => Verdict { tone: Tone::Good, text: format!("Solved: {text}") },
        (true, false) => Verdict {
            tone: Tone::Doubtful,
            text: format!("Rough: {text}; more rows, or method refined, make it smaller"),
        },
    }
}

fn statement_rows(statement: &Statement, solution: &Solution) -> Vec<StatementRow> {
    let mut rows = vec![StatementRow::latex("problem", r"\min_x \lVert A x - b \rVert_2")];
    let shape = format!("{} rows, {} coefficients", solution.rows, solution.names.len());
    let data = match &statement.data {
        Data::File { path, selection } => format!(
            "{}, response {}{}",
            path.display(),
            serde_json::to_string(&selection.response).unwrap_or_default(),
            if selection.intercept { ", with an intercept" } else { "" }
        ),
        Data::Synthetic(made) => format!("synthetic, {:?}, seed {}", made.kind, made.seed).to_lowercase(),
        Data::Kronecker(made) => format!(
            "synthetic Kronecker product of {} by {} and {} by {}, seed {}",
            made.rows[0], made.columns[0], made.rows[1], made.columns[1], made.seed
        ),
    };
    rows.push(StatementRow::text("data", data));
    rows.push(StatementRow::text("size", shape));
    rows.push(StatementRow::text("guarantee", solution.certificate.guarantee.clone()));
    rows
}

fn facts(solution: &Solution) -> Vec<Fact> {
    let certificate = &solution.certificate;
    let mut facts = vec![Fact::brief(
        "rows, coefficients",
        format!("{}, {}", solution.rows, solution.names.len()),
        "of the data",
    )];
    if let Some(sketch) = &solution.sketch {
        facts.push(Fact::brief(
            "sketch",
            format!("{}, {} rows", sketch.sketch, sketch.rows),
            format!("seed {}, data padded to {}", sketch.seed, sketch.order),
        ));
        facts.push(Fact::full("ε of that many rows", figure(sketch.epsilon), "√(2 ln(2d/δ) d/m)"));
        facts.push(Fact::full("time to sketch", seconds(sketch.seconds_sketch), "one pass over the data"));
        facts.push(Fact::full("time to solve the sketch", seconds(sketch.seconds_solve), ""));
    }
    let radius = solution.radius_coordinate.iter().copied().fold(0.0, f64::max);
    facts.push(Fact::brief("largest radius", figure(radius), certificate.guarantee.clone()));
    facts.push(Fact::full(
        "radius by the norm-wise formula",
        figure(solution.radius_linf),
        "ε ‖Ax − b‖ / (√d σ_min), the same for all coefficients",
    ));
    facts.push(Fact::brief(
        "probability that a radius fails",
        figure(certificate.failure_probability),
        "for all coefficients together",
    ));
    if let Some(residual) = certificate.residual {
        facts.push(Fact::brief("residual", figure(residual), "‖Ax − b‖ over all rows, recomputed"));
    }
    if let Some(relative) = certificate.relative_residual {
        facts.push(Fact::full("residual, relative", figure(relative), "of ‖b‖"));
    }
    if let Some(optimality) = certificate.optimality {
        facts.push(Fact::brief(
            "gradient, relative",
            figure(optimality),
            "‖R⁻ᵀAᵀ(b − Ax)‖ / ‖b − Ax‖: zero at the least-squares solution",
        ));
    }
    facts.push(Fact::full("condition number", figure(certificate.condition), "of the matrix or its sketch"));
    facts.push(Fact::full("rank", certificate.rank.to_string(), "numerical"));
    if let Some(bytes) = peak_memory() {
        facts.push(Fact::full(
            "peak memory",
            format!("{:.2} GB", bytes as f64 / 1e9),
            "of the whole process",
        ));
    }
    for (name, value) in &solution.figures {
        facts.push(Fact::full(name.replace('-', " "), figure(*value), "figure of the method"));
    }
    facts
}

/// The coefficients by size, largest first.
fn by_size(solution: &Solution) -> Vec<usize> {
    let mut order: Vec<usize> = (0..solution.names.len()).collect();
    order.sort_by(|a, b| solution.coefficients[*b].abs().total_cmp(&solution.coefficients[*a].abs()));
    order
}

fn table(solution: &Solution) -> TableRecord {
    let order = by_size(solution);
    let caption = if order.len() > SHOWN {
        format!("The {SHOWN} largest of {} coefficients; all stand in coefficients.csv.", order.len())
    } else {
        "The coefficients, largest first.".to_string()
    };
    let rows = order.into_iter().take(SHOWN).map(|j| {
        vec![
            solution.names[j].clone(),
            figure(solution.coefficients[j]),
            figure(solution.radius_coordinate[j]),
            solution.standard_error.get(j).map_or(String::new(), |error| figure(*error)),
        ]
    });
    TableRecord {
        section: COEFFICIENTS,
        caption,
        header: ["name", "value", "radius", "standard error"].map(String::from).to_vec(),
        rows: rows.collect(),
    }
}

fn figures(solution: &Solution) -> Result<Vec<Figure>, Failure> {
    let d = solution.names.len();
    let bars: Vec<(f64, f64, f64)> = (0..d.min(4 * SHOWN))
        .map(|j| ((j + 1) as f64, solution.coefficients[j], solution.radius_coordinate[j]))
        .collect();
    let mut figures = vec![Figure {
        name: "coefficients".to_string(),
        section: COEFFICIENTS,
        caption: format!(
            "The coefficients{} in the order of the columns; the bars are the radii within which the least-squares coefficients lie.",
            if d > bars.len() { format!(" 1 to {} of {d}", bars.len()) } else { String::new() }
        ),
        drawings: vec![plots::error_bars(
            "coefficients and their radii",
            "number of the coefficient",
            &bars,
        )?],
    }];
    if solution.history.len() > 1 {
        let curve = |name: &str, ink, value: fn(&mathesis_solvers::regression::HistoryPoint) -> f64| Curve {
            name: name.to_string(),
            ink,
            points: solution.history.iter().map(|point| (point.iteration as f64, value(point))).collect(),
        };
        let gradient = Panel {
            title: "relative gradient ‖R⁻ᵀAᵀr‖ / ‖r‖".to_string(),
            horizontal: "LSQR iteration".to_string(),
            logarithmic: true,
            curves: vec![curve("gradient", Ink::Error, |point| point.optimality)],
        };
        figures.push(Figure {
            name: "history".to_string(),
            section: COURSE,
            caption: "Each iteration is one pass over the data.".to_string(),
            drawings: vec![plots::panels(&[gradient])?],
        });
    }
    Ok(figures)
}

fn files(solution: &Solution) -> Vec<Artefact> {
    let optional =
        |values: &[f64], j: usize| values.get(j).map_or(String::new(), |value| format!("{value:?}"));
    let header = ["name", "value", "radius", "deviation", "standard_error"].map(String::from);
    let rows = (0..solution.names.len()).map(|j| {
        // Names may hold anything.
        let name = &solution.names[j];
        let quoted = name.contains([',', '"', '\n']);
        vec![
            if quoted { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.clone() },
            format!("{:?}", solution.coefficients[j]),
            format!("{:?}", solution.radius_coordinate[j]),
            optional(&solution.deviation, j),
            optional(&solution.standard_error, j),
        ]
    });
    let content = "the coefficients with their radii and standard errors";
    let mut files = vec![Artefact::new("coefficients.csv", content, csv(&header, rows))];
    if !solution.history.is_empty() {
        let header = ["iteration", "seconds", "residual", "relative_gradient"].map(String::from);
        let rows = solution.history.iter().map(|point| {
            vec![
                point.iteration.to_string(),
                format!("{:?}", point.seconds),
                format!("{:?}", point.residual),
                format!("{:?}", point.optimality),
            ]
        });
        files.push(Artefact::new("history.csv", "the course of LSQR", csv(&header, rows)));
    }
    files
}
