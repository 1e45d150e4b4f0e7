//! The experiment on MASHA: bilinear saddle points by compressed and uncompressed methods, in numbers sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_solvers::Status;
use mathesis_solvers::saddle::{self, Method, Solution, Statement};
use serde::{Deserialize, Serialize};

use super::{
    CellLog, Common, Finished, Stamp, chosen, description, output_folder, write_tables, write_whole,
};
use crate::failure::Failure;
use crate::progress::Monitor;
use crate::record::{figure, seconds, status_text};
use crate::report::plots::{self, Curve, Ink, Panel};

const PAPER: &str = "masha";

const EXAMPLES: &str = "\
Examples:
  mathesis reproduce masha --quick
  mathesis reproduce masha --runs eg,masha1-rand10";

/// Relative distances at which the numbers sent are compared.
const MARKS: [f64; 3] = [1e-4, 1e-8, 1e-10];

/// Points of a cell's course that are kept.
const KEPT_POINTS: usize = 150;

/// Arguments of `reproduce masha`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Only these runs [default: all].
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    runs: Vec<String>,
}

#[derive(Deserialize)]
struct Experiment {
    problem: BTreeMap<String, toml::Table>,
    run: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    id: String,
    problem: String,
    label: String,
    /// Numbers sent by a worker until 1e-4, by an independent computation.
    expected: Option<f64>,
    #[serde(default)]
    quick: bool,
    method: Method,
}

/// A finished cell: one line of `cells.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    run: String,
    problem: String,
    description: serde_json::Value,
    choice: serde_json::Value,
    status: String,
    iterations: usize,
    seconds: f64,
    /// The step at the end, and how often it was halved.
    step: f64,
    notes: Vec<String>,
    /// The distance that was reached.
    distance: f64,
    /// For each of [`MARKS`], what a worker had sent when it was first reached: numbers and bytes.
    numbers: [Option<f64>; 3],
    bytes: [Option<f64>; 3],
    /// Numbers sent by a worker, and the relative distance then.
    course: Vec<(f64, f64)>,
    #[serde(flatten)]
    stamp: Stamp,
}

/// Run the experiment.
///
/// # Errors
/// [`Failure::Input`] for a run that does not exist, [`Failure::Work`] if one fails or the folder cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let experiment: Experiment = description(PAPER)?;
    let chosen: Vec<&Run> = match arguments.runs.as_slice() {
        [] => experiment.run.iter().filter(|run| run.quick || !arguments.common.quick).collect(),
        ids => chosen("runs", ids, &experiment.run, |run| &run.id)?,
    };
    let folder = output_folder(PAPER, &arguments.common)?;
    let mut log: CellLog<Cell> = CellLog::open(&folder, arguments.common.fresh)?;
    let mut cells = Vec::new();
    for (number, run) in chosen.iter().enumerate() {
        let label = format!("[{}/{}] {}", number + 1, chosen.len(), run.id);
        let table = experiment
            .problem
            .get(&run.problem)
            .ok_or_else(|| Failure::work(format!("{PAPER}: there is no problem {}", run.problem)))?;
        let problem = serde_json::to_value(table).map_err(Failure::work)?;
        let choice = serde_json::to_value(&run.method).map_err(Failure::work)?;
        // What the time limit has cut is run again.
        let cut = status_text(&Status::Interrupted);
        let answers = |cell: &Cell| {
            cell.run == run.id && cell.description == problem && cell.choice == choice && cell.status != cut
        };
        let measure = || {
            let solution = solve(table, run, arguments, &label)?;
            Ok(Cell::new(run, problem.clone(), choice.clone(), &solution))
        };
        let Some(cell) = log.cell(&label, answers, measure)? else { break };
        cells.push(cell);
    }
    let header = [
        "problem",
        "method",
        "expected to 1e-4",
        "numbers to 1e-4",
        "to 1e-8",
        "to 1e-10",
        "kB to 1e-4",
        "distance",
        "iterations",
        "time",
        "ended",
    ];
    let rows: Vec<Vec<String>> = cells.iter().map(|cell| cell.row(&experiment)).collect();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    rows.iter().for_each(|row| {
        table.add_row(row);
    });
    println!("{table}");
    write_whole(&folder.join("course.svg"), &drawing(&experiment, &cells)?)?;
    let json = serde_json::to_string_pretty(&cells).map_err(Failure::work)? + "\n";
    write_tables(&folder, &markdown(&header, &rows, &cells), &json)?;
    if cells.len() < chosen.len() { Err(Failure::Told) } else { Ok(()) }
}

fn solve(table: &toml::Table, run: &Run, arguments: &Arguments, label: &str) -> Result<Solution, Failure> {
    // The problem is stated as in any problem file.
    let mut file = toml::Table::new();
    file.insert("saddle-point".to_string(), table.clone().into());
    let method = toml::Value::try_from(&run.method).map_err(Failure::work)?;
    file.insert("method".to_string(), method);
    let statement = Statement::parse(&file.to_string(), std::path::Path::new("."))
        .map_err(|error| Failure::work(format!("{}: {error}", run.id)))?;
    let mut monitor = Monitor::new(label, false).with_time_limit(arguments.common.time_limit);
    let solved = saddle::solve(&statement.problem, &statement.method, &mut monitor);
    monitor.finish();
    solved.map_err(|error| Failure::work(format!("{}: {error}", run.id)))
}

impl Cell {
    fn new(
        run: &Run,
        description: serde_json::Value,
        choice: serde_json::Value,
        solution: &Solution,
    ) -> Self {
        let workers = solution.workers as f64;
        let first = |mark: f64, of: &dyn Fn(&saddle::HistoryPoint) -> u64| {
            let point = solution.history.iter().find(|point| point.distance.is_some_and(|d| d <= mark));
            point.map(|point| of(point) as f64 / workers)
        };
        let every = solution.history.len().div_ceil(KEPT_POINTS).max(1);
        let course = solution
            .history
            .iter()
            .step_by(every)
            .chain(solution.history.last())
            .filter_map(|point| Some((point.numbers_up as f64 / workers, point.distance?)))
            .filter(|point| point.1.is_finite())
            .collect();
        Cell {
            run: run.id.clone(),
            problem: run.problem.clone(),
            description,
            choice,
            status: status_text(&solution.status),
            iterations: solution.iterations,
            seconds: solution.elapsed.as_secs_f64(),
            step: solution.step,
            notes: solution.notes.clone(),
            distance: solution.certificate.distance.unwrap_or(f64::NAN),
            numbers: MARKS.map(|mark| first(mark, &|point| point.numbers_up)),
            bytes: MARKS.map(|mark| first(mark, &|point| point.bytes_up)),
            course,
            stamp: Stamp::now(),
        }
    }

    fn row(&self, experiment: &Experiment) -> Vec<String> {
        let run = experiment.run.iter().find(|run| run.id == self.run);
        let millions =
            |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{:.3} M", value / 1e6));
        let halved = match self.notes.len() {
            0 => String::new(),
            count => format!("; step halved {count}×"),
        };
        vec![
            self.problem.clone(),
            run.map_or(self.run.clone(), |run| run.label.clone()),
            millions(run.and_then(|run| run.expected)),
            millions(self.numbers[0]),
            millions(self.numbers[1]),
            millions(self.numbers[2]),
            self.bytes[0].map_or("–".to_string(), |bytes| format!("{:.0}", bytes / 1e3)),
            figure(self.distance),
            self.iterations.to_string(),
            seconds(self.seconds),
            format!("{}{halved}", self.status),
        ]
    }
}

impl Finished for Cell {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn short(&self) -> String {
        format!("distance {} after {} ({})", figure(self.distance), seconds(self.seconds), self.status)
    }
}

fn markdown(header: &[&str], rows: &[Vec<String>], cells: &[Cell]) -> String {
    let mut text = String::from("# masha: numbers sent\n\n");
    text.push_str(
        "Numbers (32-bit floats) that one worker has sent until the relative distance ‖z − z*‖/‖z*‖ to the solution is first \
         recorded below 1e-4, 1e-8 and 1e-10; norms, indices and seeds are not counted among the numbers but are among the kilobytes. \
         *expected*: by an independent computation on another random draw of the same problem (the paper prints curves without \
         their constants). *distance*: of the best point.\n\n",
    );
    let _ = writeln!(text, "| {} |", header.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(header.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    if let Some(cell) = cells.last() {
        let machine = &cell.stamp.machine;
        let of = |key: &str| machine[key].as_str().unwrap_or("unknown").to_string();
        let _ = writeln!(
            text,
            "\nMeasured until {} on {} ({}), workers as threads. The distances over the numbers sent are drawn in course.svg.",
            cell.stamp.finished,
            of("processor"),
            of("system")
        );
    }
    text
}

/// Distances over numbers sent, for the methods side by side: MASHA1 and MASHA2, each with extragradient and the rivals.
fn drawing(experiment: &Experiment, cells: &[Cell]) -> Result<String, Failure> {
    let label = |cell: &Cell| {
        experiment.run.iter().find(|run| run.id == cell.run).map_or(cell.run.clone(), |run| run.label.clone())
    };
    let panel = |title: &str, wanted: &[&str]| Panel {
        title: title.to_string(),
        horizontal: "millions of numbers sent by a worker".to_string(),
        logarithmic: true,
        curves: wanted
            .iter()
            .filter_map(|id| cells.iter().find(|cell| cell.run == *id))
            .enumerate()
            .map(|(number, cell)| Curve {
                name: label(cell),
                ink: Ink::Series(number),
                points: cell.course.iter().map(|(x, y)| (x / 1e6, *y)).collect(),
            })
            .collect(),
    };
    plots::panels(&[
        panel(
            "P*, unbiased compressors: relative distance",
            &["eg", "masha1-rand30", "masha1-rand10", "masha1-rand5", "compressed-eg", "compressed-eg-small"],
        ),
        panel(
            "P*, contractive compressors: relative distance",
            &["eg", "masha2-top30-both", "masha2-top10-both", "masha2-top10-large", "ef-da"],
        ),
    ])
}
