//! `mathesis solve`: a problem file in, a run folder with a report out.

use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_solvers::pde::{MethodChoice, Problem, Solution, SolveError, Statement};

use crate::failure::Failure;
use crate::progress::{Monitor, listen_for_interrupts};
use crate::record::{
    FileRecord, Machine, ProblemRecord, ResultRecord, RunRecord, Versions, figure, now, seconds, status_text,
};
use crate::report;
use crate::run_folder::{RunFolder, check_output};
use crate::samples::Samples;

const EXAMPLES: &str = "\
Examples:
  mathesis solve examples/poisson-high-frequency.toml
  mathesis solve examples/heat.toml --method finite-difference --output runs/heat-differences
  mathesis solve examples/poisson-2d.toml --json --quiet

The run folder (runs/<file name>, numbered if that exists) holds report.html, run.json, the solution
on a fine grid (CSV in one dimension, NumPy arrays in more), history.csv, spectrum.csv and the drawings.
Ctrl-C stops the method and saves the best state that it has reached.";

/// Arguments of `solve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The problem file.
    file: PathBuf,
    /// The run folder; one of an earlier run is replaced, a folder with anything else in it is refused.
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print the result as JSON on standard output instead of a table.
    #[arg(long)]
    json: bool,
    /// Threads to use [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    /// Recorded with the run; the methods for differential equations draw no random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Solve by this method instead of the file's.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(MethodChoice::NAMES))]
    method: Option<String>,
    /// Show no progress, notes or table.
    #[arg(short, long)]
    quiet: bool,
}

/// Solve.
///
/// # Errors
/// [`Failure::Input`] if the file, its problem or an argument is wrong, and then nothing is written; else [`Failure::Work`].
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.display().to_string();
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::input(format!("cannot read {file}: {error}")))?;
    if let Some(folder) = &arguments.output {
        check_output(folder)?;
    }
    let statement = match &arguments.method {
        None => Statement::parse(&text),
        Some(method) => Statement::parse_for_method(&text, method),
    }
    .map_err(|error| Failure::statement(error, &file, &text))?;
    use_threads(arguments.threads)?;
    listen_for_interrupts();

    if !arguments.quiet {
        for warning in &statement.warnings {
            eprintln!("warning: {warning}");
        }
    }
    let mut monitor = Monitor::new(statement.method.name(), arguments.quiet);
    let solved = statement.method.method().solve(&statement.problem, &mut monitor);
    monitor.finish();
    let solution = solved.map_err(|error| refusal(error, &statement, &file, &text))?;
    if !arguments.quiet && !arguments.json {
        eprintln!("checking the solution and writing the report");
    }

    let name = arguments.file.file_stem().map_or("run".into(), |stem| stem.to_string_lossy());
    let (record, folder) = write(&statement, &solution, &name, arguments)?;
    if arguments.json {
        print_json(&record, &folder)?;
    } else if !arguments.quiet {
        println!("{}", summary(&record, &folder, &statement.problem));
    }
    if record.result.done { Ok(()) } else { Err(Failure::Told) }
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

fn refusal(error: SolveError, statement: &Statement, file: &str, text: &str) -> Failure {
    match statement.locate(&error) {
        Some(located) => Failure::statement(located, file, text),
        None => Failure::work(error),
    }
}

fn write(
    statement: &Statement,
    solution: &Solution,
    name: &str,
    arguments: &Arguments,
) -> Result<(RunRecord, PathBuf), Failure> {
    let problem = &statement.problem;
    let certificate = solution.certify(problem).map_err(Failure::work)?;
    let samples = Samples::of_box(problem, solution).map_err(Failure::work)?;
    let figures = report::figures(problem, solution, &samples)?;

    let folder = RunFolder::begin(name, arguments.output.as_deref())?;
    let mut files = vec![FileRecord::new("report.html", "this report")];
    write_solution(&folder, problem, &samples, &mut files)?;
    if !solution.history.is_empty() {
        folder.write("history.csv", history(solution))?;
        files.push(FileRecord::new("history.csv", "the course of the solve"));
    }
    if !solution.spectra.is_empty() {
        folder.write("spectrum.csv", spectrum(problem, solution))?;
        files.push(FileRecord::new("spectrum.csv", "the learned frequencies and weights"));
    }
    for figure in &figures {
        for (k, drawing) in figure.drawings.iter().enumerate() {
            let number = if figure.drawings.len() > 1 { format!("-{}", k + 1) } else { String::new() };
            folder.write(&format!("plots/{}{number}.svg", figure.name), drawing)?;
        }
    }
    let record = RunRecord {
        name: name.to_string(),
        title: statement.title.clone(),
        finished: now(),
        problem: ProblemRecord::new(statement),
        method: statement.method.clone(),
        seed: arguments.seed,
        versions: Versions::current(),
        machine: Machine::current(),
        result: ResultRecord::new(&statement.method, solution, certificate),
        files,
    };
    folder.write("report.html", report::page(statement, &record, solution, &figures))?;
    folder.write("run.json", serde_json::to_string_pretty(&record).map_err(Failure::work)?)?;
    Ok((record, folder.finish()?))
}

fn write_solution(
    folder: &RunFolder,
    problem: &Problem,
    samples: &Samples,
    files: &mut Vec<FileRecord>,
) -> Result<(), Failure> {
    let truth = samples.truth.is_some();
    if problem.dimension() == 1 {
        folder.write("solution.csv", solution_csv(problem, samples))?;
        let content = if truth {
            "the solution and the exact one on a uniform grid"
        } else {
            "the solution on a uniform grid"
        };
        files.push(FileRecord::new("solution.csv", content));
        return Ok(());
    }
    let mut shape: Vec<u64> = samples.shape().iter().map(|count| *count as u64).collect();
    let axes: Vec<&str> = problem.axes.iter().map(|axis| axis.name.name()).collect();
    let mut content = format!("values on a uniform grid, indexed by {}", axes.join(", "));
    if problem.unknowns.len() > 1 {
        shape.insert(0, problem.unknowns.len() as u64);
        let names: Vec<&str> = problem.unknowns.iter().map(|unknown| unknown.name()).collect();
        content = format!("{content}; first index: {}", names.join(", "));
    }
    folder.write("solution.npy", npy(&shape, &samples.values)?)?;
    files.push(FileRecord::new("solution.npy", &format!("the solution: {content}")));
    if let Some(truth) = &samples.truth {
        folder.write("exact.npy", npy(&shape, truth)?)?;
        files.push(FileRecord::new("exact.npy", &format!("the exact solution: {content}")));
    }
    for (axis, points) in problem.axes.iter().zip(&samples.axes) {
        let name = format!("axis-{}.npy", axis.name);
        folder.write(&name, npy(&[points.len() as u64], std::slice::from_ref(points))?)?;
        files.push(FileRecord::new(&name, &format!("the grid's coordinates along {}", axis.name)));
    }
    Ok(())
}

fn npy(shape: &[u64], parts: &[Vec<f64>]) -> Result<Vec<u8>, Failure> {
    use npyz::WriterBuilder;
    let mut file = Vec::new();
    let written = (|| {
        let mut writer =
            npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut file).begin_nd()?;
        writer.extend(parts.iter().flatten())?;
        writer.finish()
    })();
    written.map_err(|error| Failure::work(format!("cannot write an array: {error}")))?;
    Ok(file)
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

fn csv(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = header.join(",") + "\n";
    for row in rows {
        text.push_str(&row.join(","));
        text.push('\n');
    }
    text
}

fn print_json(record: &RunRecord, folder: &Path) -> Result<(), Failure> {
    let mut value = serde_json::to_value(record).map_err(Failure::work)?;
    value["folder"] = folder.display().to_string().into();
    println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    Ok(())
}

fn summary(record: &RunRecord, folder: &Path, problem: &Problem) -> Table {
    let result = &record.result;
    let certificate = &result.certificate;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some((terminal_size::Width(width), _)) = terminal_size::terminal_size() {
        table.set_width(width);
    }
    table.add_row(["method", &result.method]);
    table.add_row(["status", &status_text(&result.status)]);
    table.add_row(["iterations", &result.iterations.to_string()]);
    for (k, error) in certificate.error.iter().flatten().enumerate() {
        let of =
            if problem.unknowns.len() > 1 { format!(" of {}", problem.unknowns[k]) } else { String::new() };
        table.add_row([format!("relative L2 error{of}"), figure(*error)]);
    }
    if let (None, Some(estimate)) = (&certificate.error, result.error_estimate) {
        table.add_row(["relative L2 error, estimated", &figure(estimate)]);
    }
    table.add_row(["equation residual, relative", &figure(certificate.equation_relative)]);
    table.add_row(["condition residual, largest", &figure(certificate.condition_max)]);
    table.add_row(["time", &seconds(result.seconds)]);
    table.add_row(["report", &folder.join("report.html").display().to_string()]);
    table
}
