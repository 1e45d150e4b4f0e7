//! Saddle points and variational inequalities: from a problem file to a run's outcome, over threads or MPI.

use mathesis_solvers::saddle::{
    self, Algorithm, HistoryPoint, Solution, SolveError, Statement, Target, Transport,
};
use mathesis_solvers::{Observer, Silent, Status};
use serde_json::{Map, Value};

use super::{Request, csv, npy};
use crate::failure::Failure;
use crate::outcome::{Artefact, Fact, Figure, Outcome, ResultRecord, StatementRow, Tone, Verdict};
use crate::record::{figure, status_text};
use crate::report::plots::{self, Curve, Ink, Panel};

const COURSE: &str = "Course of the solve";

/// Solve the saddle point that a file states. Over MPI every process calls this; all but rank 0 return `None`, or fail in silence.
///
/// # Errors
/// [`Failure::Input`] if it is not well stated or the method does not apply, else [`Failure::Work`].
pub fn solve(request: &Request<'_>) -> Result<Option<Outcome>, Failure> {
    let (rank, ranks) = started_as();
    let told = |failure: Failure| if rank == 0 { failure } else { Failure::Told };
    let algorithm = request.method(Algorithm::NAMES).map_err(told)?.and_then(Algorithm::from_name);
    let statement = Statement::parse_with(&request.text, request.folder(), algorithm, request.seed)
        .map_err(|error| told(request.refuse(error)))?;
    let mut monitor = request.monitor(statement.method.name.name());
    let usual = if ranks > 1 { Transport::Mpi } else { Transport::Threads };
    let solved = match statement.method.transport.unwrap_or(usual) {
        Transport::Threads if ranks > 1 => {
            return Err(told(Failure::input(format!(
                "{}: started as {ranks} processes, but [method] asks for threads; expected transport = \"mpi\"",
                request.file
            ))));
        }
        Transport::Threads => saddle::solve(&statement.problem, &statement.method, &mut monitor).map(Some),
        Transport::Mpi if rank == 0 => solve_over_mpi(&statement, &mut monitor)?,
        Transport::Mpi => solve_over_mpi(&statement, &mut Silent)?,
    };
    monitor.finish();
    match solved {
        Ok(Some(solution)) => outcome(&statement, &solution).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(told(refusal(error, &statement, request))),
    }
}

/// Rank and number of processes by the environment that `mpirun` (of Open MPI or MPICH) sets; 0 of 1 without it.
fn started_as() -> (usize, usize) {
    let number = |names: [&str; 2]| {
        names.iter().find_map(|name| std::env::var(name).ok()).and_then(|value| value.parse().ok())
    };
    (
        number(["OMPI_COMM_WORLD_RANK", "PMI_RANK"]).unwrap_or(0),
        number(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]).unwrap_or(1),
    )
}

type Solved = Result<Option<Solution>, SolveError>;

#[cfg(feature = "mpi")]
fn solve_over_mpi(statement: &Statement, observer: &mut dyn Observer) -> Result<Solved, Failure> {
    let mut link = mathesis_solvers::saddle::transport::message_passing::MessagePassing::start()
        .ok_or_else(|| Failure::work("MPI cannot be started a second time"))?;
    Ok(saddle::solve_as_rank(&statement.problem, &statement.method, &mut link, observer))
}

#[cfg(not(feature = "mpi"))]
fn solve_over_mpi(_: &Statement, _: &mut dyn Observer) -> Result<Solved, Failure> {
    if started_as().0 > 0 {
        return Err(Failure::Told);
    }
    Err(Failure::input(
        "the workers are to be processes over MPI, but this program was built without MPI; install libopenmpi-dev, openmpi-bin and libclang-dev \
         (Debian's names) and build with `cargo build --release --features mpi`, or start one process with transport = \"threads\"",
    ))
}

fn refusal(error: SolveError, statement: &Statement, request: &Request<'_>) -> Failure {
    match (&error, statement.locate(&error)) {
        (SolveError::Ranks { .. }, _) => Failure::input(format!("{}: {error}", request.file)),
        (_, Some(located)) => request.refuse(located),
        (_, None) => Failure::work(error),
    }
}

fn outcome(statement: &Statement, solution: &Solution) -> Result<Outcome, Failure> {
    let done = solution.status == Status::Converged;
    Ok(Outcome {
        title: statement.title.clone(),
        problem: serde_json::to_value(&statement.description).map_err(Failure::work)?,
        method: serde_json::to_value(&statement.method).map_err(Failure::work)?,
        seed: statement.method.seed,
        verdict: verdict(statement, solution, done),
        statement: statement_rows(statement),
        facts: facts(solution),
        figures: figures(solution)?,
        tables: Vec::new(),
        notes: solution.notes.clone(),
        files: files(solution)?,
        result: ResultRecord {
            method: solution.method.clone(),
            status: solution.status.clone(),
            done,
            iterations: Some(solution.iterations),
            seconds: solution.elapsed.as_secs_f64(),
            details: details(solution)?,
            notes: solution.notes.clone(),
        },
    })
}

fn details(solution: &Solution) -> Result<Map<String, Value>, Failure> {
    let mut details = Map::new();
    details.insert("certificate".into(), serde_json::to_value(&solution.certificate).map_err(Failure::work)?);
    details.insert("average".into(), solution.is_average.into());
    details.insert("step".into(), solution.step.into());
    details.insert("tau".into(), solution.tau.into());
    details.insert("workers".into(), solution.workers.into());
    details.insert("bytes_up".into(), solution.traffic.bytes_up.into());
    details.insert("bytes_down".into(), solution.traffic.bytes_down.into());
    details.insert("numbers_up".into(), solution.traffic.numbers_up.into());
    Ok(details)
}

/// What the target is called.
fn target_name(target: Target) -> &'static str {
    match target {
        Target::Distance => "relative distance to the solution",
        Target::Residual => "residual relative to the start's",
        Target::Gap => "gap",
    }
}

fn verdict(statement: &Statement, solution: &Solution, done: bool) -> Verdict {
    let judged = format!("{} {}", target_name(solution.target), figure(solution.measure));
    let asked = figure(statement.method.tolerance);
    if done {
        Verdict { tone: Tone::Good, text: format!("Solved: {judged}, asked for {asked}") }
    } else {
        let text = format!("Not done ({}): {judged}, asked for {asked}", status_text(&solution.status));
        Verdict { tone: Tone::Bad, text }
    }
}

fn statement_rows(statement: &Statement) -> Vec<StatementRow> {
    let operator = &statement.problem.operator;
    let family = serde_json::to_value(statement.description.operator).unwrap_or_default();
    let mut rows = vec![
        StatementRow::latex(
            "find",
            r"z^* : \langle F(z^*), z - z^* \rangle + h(z) - h(z^*) \ge 0 \quad \forall z, \quad F = \frac{1}{M} \sum_{m=1}^{M} F_m",
        ),
        StatementRow::text("operator", family.as_str().unwrap_or_default()),
        StatementRow::text(
            "size",
            format!("{} entries, {} workers", operator.dimension(), operator.workers()),
        ),
    ];
    for (label, compressor) in [
        ("workers send through", &statement.method.worker_compressor),
        ("the server sends through", &statement.method.server_compressor),
    ] {
        if let Some(compressor) = compressor {
            let text = serde_json::to_string(compressor).unwrap_or_default().replace('"', "");
            rows.push(StatementRow::text(label, text));
        }
    }
    rows
}

fn facts(solution: &Solution) -> Vec<Fact> {
    let certificate = &solution.certificate;
    let mut facts = Vec::new();
    if let Some(distance) = certificate.distance {
        facts.push(Fact::brief(
            "relative distance",
            figure(distance),
            "to the solution, found by a direct solve",
        ));
    }
    facts.push(Fact::brief(
        "natural residual",
        figure(certificate.residual),
        "‖z − prox(z − F(z))‖, zero at solutions alone",
    ));
    if let Some(gap) = certificate.gap {
        let note = "max over the set of ⟨F(z), z − u⟩; for a matrix game the duality gap";
        facts.push(Fact::brief("gap", figure(gap), note));
    }
    let point = if solution.is_average { "average of the extrapolated points" } else { "iterate" };
    facts.push(Fact::full("point", point, "whichever came nearer to the target"));
    facts.push(Fact::full("step γ", figure(solution.step), "at the end"));
    if let Some(tau) = solution.tau {
        facts.push(Fact::full("τ", figure(tau), "the reference point moves with probability 1 − τ"));
    }
    if solution.traffic.messages_up > 0 {
        let traffic = &solution.traffic;
        facts.push(Fact::brief("sent up", bytes(traffic.bytes_up), "by all workers together"));
        facts.push(Fact::brief("sent down", bytes(traffic.bytes_down), "by the server, each copy counted"));
        let share = traffic.numbers_up as f64 / solution.workers as f64;
        facts.push(Fact::full(
            "numbers sent by a worker",
            figure(share),
            "norms, indices and seeds not counted",
        ));
    }
    facts
}

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// What the target looks at, at one moment.
fn measured(point: &HistoryPoint, target: Target) -> f64 {
    match target {
        Target::Distance => point.distance.unwrap_or(f64::NAN),
        Target::Residual => point.residual,
        Target::Gap => {
            let last = point.gap.unwrap_or(f64::INFINITY);
            point.gap_of_average.map_or(last, |average| average.min(last))
        }
    }
}

fn figures(solution: &Solution) -> Result<Vec<Figure>, Failure> {
    let (name, ink) = match solution.target {
        Target::Distance => ("relative distance to the solution", Ink::Error),
        Target::Residual => ("natural residual", Ink::Residual),
        Target::Gap => ("gap", Ink::Error),
    };
    let panel = |horizontal: &str, position: &dyn Fn(&HistoryPoint) -> f64| Panel {
        title: name.to_string(),
        horizontal: horizontal.to_string(),
        logarithmic: true,
        curves: vec![Curve {
            name: name.to_string(),
            ink,
            points: solution.history.iter().map(|p| (position(p), measured(p, solution.target))).collect(),
        }],
    };
    let mut all = vec![panel("iterations", &|point| point.iteration as f64)];
    if solution.traffic.messages_up > 0 {
        let share = 8e-6 / solution.workers as f64;
        all.push(panel("megabits sent by a worker", &|point| point.bytes_up as f64 * share));
    }
    Ok(vec![Figure {
        name: "course".to_string(),
        section: COURSE,
        caption: format!("{name}, against iterations and against what the workers have sent."),
        drawings: vec![plots::panels(&all)?],
    }])
}

fn files(solution: &Solution) -> Result<Vec<Artefact>, Failure> {
    let header = [
        "iteration",
        "seconds",
        "distance",
        "residual",
        "gap",
        "gap_of_average",
        "bytes_up",
        "bytes_down",
        "numbers_up",
    ]
    .map(String::from);
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:?}"));
    let rows = solution.history.iter().map(|point| {
        vec![
            point.iteration.to_string(),
            format!("{:?}", point.seconds),
            optional(point.distance),
            format!("{:?}", point.residual),
            optional(point.gap),
            optional(point.gap_of_average),
            point.bytes_up.to_string(),
            point.bytes_down.to_string(),
            point.numbers_up.to_string(),
        ]
    });
    let array = npy(&[solution.value.len() as u64], std::slice::from_ref(&solution.value))?;
    Ok(vec![
        Artefact::new("solution.npy", "the solution z = (x, y)", array),
        Artefact::new("history.csv", "the course of the solve", csv(&header, rows)),
    ])
}
