//! The experiment on the one-connection rule: minimal generators of vanishing ideals, and the census of simple graphs.

use std::fmt::Write as _;
use std::time::Instant;

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_solvers::Status;
use mathesis_solvers::structural::vanishing_ideal::search;
use mathesis_solvers::structural::{MixedGraph, Vertices, census_of_simple_graphs};
use serde::{Deserialize, Serialize};

use super::{CellLog, Common, Finished, Stamp, chosen, description, output_folder, write_tables};
use crate::failure::Failure;
use crate::progress::Monitor;
use crate::record::{Machine, now, seconds};

const PAPER: &str = "one-connection";

/// Unknowns of one linear system at most; no graph of the experiment needs as many.
const BLOCK_LIMIT: usize = 5000;

const EXAMPLES: &str = "\
Examples:
  mathesis reproduce one-connection --quick
  mathesis reproduce one-connection --graphs cycle6,two3cycles --fresh";

/// Arguments of `reproduce one-connection`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Only these graphs, and no census [default: all, and the census].
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    graphs: Vec<String>,
}

/// The experiment's own part of `experiment.toml`.
#[derive(Deserialize)]
struct Experiment {
    graph: Vec<GraphEntry>,
    census: Vec<CensusEntry>,
    quick: Quick,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct GraphEntry {
    id: String,
    vertices: usize,
    edges: String,
    codimension: usize,
    /// Minimal generators in degree one, two, ...
    generators: Vec<usize>,
    macaulay2_seconds: Option<f64>,
}

#[derive(Clone, Deserialize, Serialize)]
struct CensusEntry {
    vertices: usize,
    graphs: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Quick {
    graphs: Vec<String>,
    largest_census: usize,
}

/// A finished cell: one line of `cells.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    id: String,
    /// What was asked: edges and degree, or the number of vertices.
    question: String,
    /// The time limit ended it.
    out_of_time: bool,
    failure: Option<String>,
    seconds: f64,
    #[serde(flatten)]
    measured: Measured,
    #[serde(flatten)]
    stamp: Stamp,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Measured {
    parameters: usize,
    codimension: usize,
    /// Minimal generators by degree, as far as the search went; every one verified exactly.
    generators: Vec<usize>,
    independent_constraints: usize,
    largest_block: usize,
    /// Of a census: all graphs, and those that are finite-to-one.
    graphs: u64,
    finite_to_one: u64,
}

/// Run the experiment.
///
/// # Errors
/// [`Failure::Input`] for a graph that does not exist, [`Failure::Work`] if cells fail or the folder cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let experiment: Experiment = description(PAPER)?;
    let quick = arguments.common.quick;
    let graphs = chosen_graphs(arguments, &experiment)?;
    let census: Vec<&CensusEntry> = experiment
        .census
        .iter()
        .filter(|entry| {
            arguments.graphs.is_empty() && (!quick || entry.vertices <= experiment.quick.largest_census)
        })
        .collect();
    let folder = output_folder(PAPER, &arguments.common)?;
    let mut log: CellLog<Cell> = CellLog::open(&folder, arguments.common.fresh)?;
    let total = graphs.len() + census.len();
    let mut cells = Vec::new();
    for (number, work) in graphs
        .iter()
        .map(|entry| Work::Graph(entry))
        .chain(census.iter().map(|entry| Work::Census(entry)))
        .enumerate()
    {
        let label = format!("[{}/{total}] {}", number + 1, work.id());
        let question = work.question();
        let answers = |cell: &Cell| cell.question == question && cell.failure.is_none() && !cell.out_of_time;
        let Some(cell) = log.cell(&label, answers, || Ok(work.run(arguments, &label)))? else { break };
        cells.push(cell);
    }
    let report = Report { graphs: &graphs, census: &census, cells: &cells };
    println!("{}", report.table());
    write_tables(&folder, &report.markdown(), &report.json()?)?;
    let agree =
        graphs.iter().all(|entry| report.graph_cell(entry).is_some_and(|cell| cell.agrees_with(entry)))
            && census.iter().all(|entry| report.census_cell(entry).is_some_and(|cell| cell.is_full(entry)));
    if agree { Ok(()) } else { Err(Failure::Told) }
}

fn chosen_graphs<'a>(
    arguments: &Arguments,
    experiment: &'a Experiment,
) -> Result<Vec<&'a GraphEntry>, Failure> {
    let wanted = match (arguments.graphs.as_slice(), arguments.common.quick) {
        ([], true) => &experiment.quick.graphs,
        ([], false) => return Ok(experiment.graph.iter().collect()),
        (wanted, _) => wanted,
    };
    chosen("graphs", wanted, &experiment.graph, |entry| &entry.id)
}

/// One cell's work.
enum Work<'a> {
    Graph(&'a GraphEntry),
    Census(&'a CensusEntry),
}

impl Work<'_> {
    fn id(&self) -> String {
        match self {
            Work::Graph(entry) => entry.id.clone(),
            Work::Census(entry) => format!("census of {} vertices", entry.vertices),
        }
    }

    fn question(&self) -> String {
        match self {
            Work::Graph(entry) => {
                format!("{}; {}; degree {}", entry.vertices, entry.edges, entry.generators.len())
            }
            Work::Census(entry) => format!("census of {} vertices", entry.vertices),
        }
    }

    fn run(&self, arguments: &Arguments, label: &str) -> Cell {
        let start = Instant::now();
        let mut monitor = Monitor::new(label, false).with_time_limit(arguments.common.time_limit);
        let measured = match self {
            Work::Graph(entry) => search_graph(entry, &mut monitor),
            Work::Census(entry) => {
                let (graphs, finite_to_one) = census_of_simple_graphs(entry.vertices);
                Ok(Measured { graphs, finite_to_one, ..Measured::default() })
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        monitor.finish();
        let (measured, failure) = match measured {
            Ok(measured) => (measured, None),
            Err(reason) => (Measured::default(), Some(reason)),
        };
        Cell {
            id: self.id(),
            question: self.question(),
            out_of_time: monitor.out_of_time,
            failure,
            seconds,
            measured,
            stamp: Stamp::now(),
        }
    }
}

fn search_graph(entry: &GraphEntry, monitor: &mut Monitor) -> Result<Measured, String> {
    let graph =
        MixedGraph::parse(&entry.edges, Some(&Vertices::Count(entry.vertices))).map_err(|e| e.to_string())?;
    let ideal =
        search(&graph, entry.generators.len(), BLOCK_LIMIT, monitor).map_err(|error| error.to_string())?;
    let measured = Measured {
        parameters: ideal.dimension.parameters,
        codimension: ideal.dimension.codimension,
        generators: ideal.degrees.iter().map(|report| report.new_generators).collect(),
        independent_constraints: ideal.independent_constraints,
        largest_block: ideal.degrees.iter().map(|report| report.largest_block).max().unwrap_or(0),
        ..Measured::default()
    };
    debug_assert!(ideal.status == Status::Converged || ideal.status == Status::Interrupted);
    Ok(measured)
}

impl Cell {
    fn agrees_with(&self, entry: &GraphEntry) -> bool {
        self.failure.is_none()
            && self.measured.codimension == entry.codimension
            && self.measured.generators == entry.generators
    }

    fn is_full(&self, entry: &CensusEntry) -> bool {
        self.measured.graphs == entry.graphs && self.measured.finite_to_one == entry.graphs
    }
}

impl Finished for Cell {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn short(&self) -> String {
        match &self.failure {
            Some(reason) => format!("failed: {reason}"),
            None if self.measured.graphs > 0 => format!(
                "{} of {} finite-to-one, {}",
                self.measured.finite_to_one,
                self.measured.graphs,
                seconds(self.seconds)
            ),
            None => format!("{}, {}", counts_text(&self.measured.generators), seconds(self.seconds)),
        }
    }
}

/// "2 of degree 3, 1 of degree 4".
fn counts_text(counts: &[usize]) -> String {
    let parts: Vec<String> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(k, count)| format!("{count} of degree {}", k + 1))
        .collect();
    if parts.is_empty() { "none".to_string() } else { parts.join(", ") }
}

/// The experiment's outcome.
struct Report<'a> {
    graphs: &'a [&'a GraphEntry],
    census: &'a [&'a CensusEntry],
    cells: &'a [Cell],
}

const SOURCE: &str = "The paper's own figures could not be read. Reference counts were computed independently; those with a time of \
                      Macaulay2 were confirmed to be complete by elimination there.";

impl Report<'_> {
    fn graph_cell(&self, entry: &GraphEntry) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.id == entry.id)
    }

    fn census_cell(&self, entry: &CensusEntry) -> Option<&Cell> {
        let id = Work::Census(entry).id();
        self.cells.iter().find(|cell| cell.id == id)
    }

    /// Graph, edges, parameters, codimension, degree, reference, measured, independent, largest block, time, Macaulay2.
    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for entry in self.graphs {
            let Some(cell) = self.graph_cell(entry) else { continue };
            let measured = match &cell.failure {
                Some(reason) => format!("failed: {reason}"),
                None if cell.out_of_time => "time limit".to_string(),
                None if cell.agrees_with(entry) => counts_text(&cell.measured.generators),
                None => format!("DIFFERS: {}", counts_text(&cell.measured.generators)),
            };
            rows.push(vec![
                entry.id.clone(),
                entry.edges.clone(),
                cell.measured.parameters.to_string(),
                format!("{} / {}", entry.codimension, cell.measured.codimension),
                entry.generators.len().to_string(),
                counts_text(&entry.generators),
                measured,
                cell.measured.independent_constraints.to_string(),
                cell.measured.largest_block.to_string(),
                seconds(cell.seconds),
                entry.macaulay2_seconds.map_or("–".to_string(), |time| format!("{time} s")),
            ]);
        }
        rows
    }

    fn census_rows(&self) -> Vec<Vec<String>> {
        let row = |entry: &&CensusEntry| {
            let cell = self.census_cell(entry)?;
            Some(vec![
                entry.vertices.to_string(),
                entry.graphs.to_string(),
                cell.measured.finite_to_one.to_string(),
                seconds(cell.seconds),
            ])
        };
        self.census.iter().filter_map(row).collect()
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some((terminal_size::Width(width), _)) = terminal_size::terminal_size() {
            table.set_width(width);
        }
        table.set_header(["graph", "codimension", "to degree", "reference", "measured", "time"]);
        for row in self.rows() {
            table.add_row([&row[0], &row[3], &row[4], &row[5], &row[6], &row[9]]);
        }
        let mut text = table.to_string();
        for row in self.census_rows() {
            let _ = write!(
                text,
                "\n{} vertices: {} of {} simple mixed graphs are finite-to-one, {}",
                row[0], row[2], row[1], row[3]
            );
        }
        format!("{text}\n{SOURCE}")
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# {PAPER}: reference and measured\n\nMinimal generators of the vanishing ideals of linear structural equation models, \
             complete up to the stated degree; every generator is verified exactly. {SOURCE}\n\n\
             Codimension: reference / measured. Independent: constraints among those found that are independent near a general \
             covariance matrix; below the codimension, generators of higher degree are missing.\n\n\
             | graph | edges | parameters | codimension | to degree | reference | measured | independent | largest block | time | \
             Macaulay2, elimination |\n|---|---|---:|---|---:|---|---|---:|---:|---:|---:|\n"
        );
        for row in self.rows() {
            let _ = writeln!(
                text,
                "| {} |",
                row.iter().map(|c| c.replace('|', "\\|")).collect::<Vec<_>>().join(" | ")
            );
        }
        text.push_str(
            "\nTimes of Macaulay2 are those of the reference run, on another machine state; bench/structural runs both side by side.\n\n\
             ## Census\n\n| vertices | simple mixed graphs | finite-to-one | time |\n|---:|---:|---:|---:|\n",
        );
        for row in self.census_rows() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        let machine = Machine::current();
        let _ = writeln!(
            text,
            "\nMeasured until {} on {}, {} threads, {}. Every cell's machine and date: cells.jsonl.",
            now(),
            machine.processor.as_deref().unwrap_or("an unnamed processor"),
            machine.threads,
            machine.system
        );
        text
    }

    fn json(&self) -> Result<String, Failure> {
        let graphs: Vec<serde_json::Value> = self
            .graphs
            .iter()
            .map(|entry| {
                let cell = self.graph_cell(entry);
                let agrees = cell.is_some_and(|cell| cell.agrees_with(entry));
                serde_json::json!({ "reference": entry, "cell": cell, "agrees": agrees })
            })
            .collect();
        let census: Vec<serde_json::Value> = self
            .census
            .iter()
            .map(|entry| serde_json::json!({ "reference": entry, "cell": self.census_cell(entry) }))
            .collect();
        serde_json::to_string_pretty(&serde_json::json!({ "graphs": graphs, "census": census }))
            .map_err(Failure::work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_graph_of_the_experiment_is_well_stated() {
        let experiment = description::<Experiment>(PAPER).expect("embedded and well formed");
        assert_eq!(experiment.graph.len(), 14);
        for entry in &experiment.graph {
            let graph = MixedGraph::parse(&entry.edges, Some(&Vertices::Count(entry.vertices)));
            assert!(graph.is_ok(), "{}", entry.id);
        }
        for id in &experiment.quick.graphs {
            assert!(experiment.graph.iter().any(|entry| entry.id == *id), "{id}");
        }
        assert_eq!(counts_text(&[0, 3, 2, 0]), "3 of degree 2, 2 of degree 3");
        assert_eq!(counts_text(&[0]), "none");
    }
}
