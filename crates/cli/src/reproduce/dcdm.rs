//! The experiment on deep conjugate directions: iterations and seconds beside other methods, the number of previous
//! directions, grids and obstacles that the network has not seen, and the speed of its convolutions.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mathesis_algebra::convolution::{Convolution, Epilogue, Volume};
use mathesis_networks::direction_network::{InferenceNetwork, Weights};
use mathesis_solvers::Status;
use mathesis_solvers::linear::{DirectionProposal, Matrix, Method, Solution, Statement, options, solve};
use serde::{Deserialize, Serialize};

use super::{CellLog, Common, Finished, Stamp, output_folder, write_tables};
use crate::direction_network::{self, NetworkProposal};
use crate::failure::Failure;
use crate::progress::Monitor;
use crate::record::{figure, now, seconds, status_text};

const PAPER: &str = "dcdm";

const EXAMPLES: &str = "\
Examples:
  mathesis reproduce dcdm --quick
  MATHESIS_DATA=data mathesis reproduce dcdm
  mathesis reproduce dcdm --network my-network.safetensors --output runs/my-network

The scene `bunny` needs the folder bunny-voxels in the folder that MATHESIS_DATA names; without it, it is left out.";

/// Arguments of `reproduce dcdm`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// A network [default: the one that comes with the program].
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
}

/// All solves run until this relative residual.
const TOLERANCE: f64 = 1e-10;

/// A system: grid, obstacle and right side, open outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Scene {
    cells: usize,
    obstacle: Obstacle,
    right_side: RightSide,
}

impl std::fmt::Display for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.cells;
        write!(f, "{n}³ {} {}", self.obstacle.name(), self.right_side.name())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Obstacle {
    None,
    Sphere,
    Bunny,
}

impl Obstacle {
    fn name(self) -> &'static str {
        match self {
            Obstacle::None => "none",
            Obstacle::Sphere => "sphere",
            Obstacle::Bunny => "bunny",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RightSide {
    PointSource,
    WhiteNoise,
    FlowPastObstacle,
}

impl RightSide {
    fn name(self) -> &'static str {
        match self {
            RightSide::PointSource => "point-source",
            RightSide::WhiteNoise => "white-noise",
            RightSide::FlowPastObstacle => "flow-past-obstacle",
        }
    }
}

/// What solves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CellMethod {
    /// Directions of the network, with so many previous ones.
    DeepConjugateDirections(usize),
    ConjugateGradient,
    IncompleteCholesky,
    Deflated,
    Multigrid,
}

impl CellMethod {
    const PEERS: [CellMethod; 4] = [
        CellMethod::ConjugateGradient,
        CellMethod::IncompleteCholesky,
        CellMethod::Deflated,
        CellMethod::Multigrid,
    ];

    fn method(self) -> Method {
        let (tolerance, iterations) = (TOLERANCE, 5000);
        match self {
            CellMethod::DeepConjugateDirections(previous_directions) => {
                Method::DeepConjugateDirections(options::DeepConjugateDirections {
                    tolerance,
                    iterations,
                    network: None,
                    previous_directions,
                })
            }
            CellMethod::ConjugateGradient => {
                Method::ConjugateGradient(options::ConjugateGradient { tolerance, iterations })
            }
            CellMethod::IncompleteCholesky => Method::IncompleteCholesky(options::IncompleteCholesky {
                tolerance,
                iterations,
                ..Default::default()
            }),
            CellMethod::Deflated => {
                Method::Deflated(options::Deflated { tolerance, iterations, ..Default::default() })
            }
            CellMethod::Multigrid => {
                Method::Multigrid(options::Multigrid { tolerance, iterations, ..Default::default() })
            }
        }
    }

    fn name(self) -> String {
        match self {
            CellMethod::DeepConjugateDirections(k) => format!("deep conjugate directions, k = {k}"),
            method => method.method().name().to_string(),
        }
    }
}

/// A finished cell: one line of `cells.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    scene: Scene,
    method: CellMethod,
    /// A mark of the network's weights, for cells that use it.
    network: Option<u64>,
    unknowns: usize,
    status: String,
    /// Iterations and seconds, preparation included, to relative residuals of 1e-4, 1e-6 and 1e-10.
    reached: [Option<(usize, f64)>; 3],
    /// The true relative residual at the end.
    residual: f64,
    notes: Vec<String>,
    stamp: Stamp,
}

impl Finished for Cell {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn short(&self) -> String {
        match self.reached[2] {
            Some((iterations, time)) => format!("{iterations} iterations, {}", seconds(time)),
            None => format!("residual {} ({})", figure(self.residual), self.status),
        }
    }
}

/// The speed of the network on a grid.
#[derive(Clone, Debug, Serialize)]
struct Speed {
    cells: usize,
    /// Billions of operations per second of one layer of sixteen channels.
    layer: f64,
    /// Seconds for one application of the network.
    application: f64,
    /// Billions of operations per second of it.
    network: f64,
}

/// Run.
///
/// # Errors
/// [`Failure::Input`] if the network cannot be read, [`Failure::Work`] if the folder cannot be written or Ctrl-C was pressed.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let common = &arguments.common;
    let weights = direction_network::load(arguments.network.as_deref())?;
    let mark = mark(&weights)?;
    let folder = output_folder(PAPER, common)?;
    let mut log: CellLog<Cell> = CellLog::open(&folder, common.fresh)?;
    let data = std::env::var_os("MATHESIS_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("the scene `bunny` is left out: MATHESIS_DATA is not set");
    }
    let plan = plan(common.quick, data.is_some());
    let mut cells = Vec::new();
    for (index, &(scene, method)) in plan.iter().enumerate() {
        let network = matches!(method, CellMethod::DeepConjugateDirections(_)).then_some(mark);
        let label = format!("[{}/{}] {} {}", index + 1, plan.len(), scene, method.name());
        // What the time limit has cut is run again.
        let cut = status_text(&Status::Interrupted);
        let answers = |cell: &Cell| {
            cell.scene == scene && cell.method == method && cell.network == network && cell.status != cut
        };
        let measure = || {
            let mut monitor = Monitor::new(&label, false).with_time_limit(common.time_limit);
            let cell = measure(scene, method, network, &weights, data.as_deref(), &mut monitor);
            monitor.finish();
            cell
        };
        let Some(cell) = log.cell(&label, answers, measure)? else {
            return Err(Failure::work("stopped; the finished cells are kept"));
        };
        cells.push(cell);
    }
    let grids: &[usize] = if common.quick { &[16, 32] } else { &[16, 32, 64, 128] };
    let speeds: Vec<Speed> = grids.iter().map(|&n| speed(n, &weights)).collect();
    let table = table(&cells, &speeds);
    let json = serde_json::json!({ "finished": now(), "cells": cells, "speeds": speeds });
    println!("{table}");
    write_tables(&folder, &table, &serde_json::to_string_pretty(&json).map_err(Failure::work)?)
}

/// What is measured: every scene by every method, and other numbers of previous directions at 16³.
fn plan(quick: bool, bunny: bool) -> Vec<(Scene, CellMethod)> {
    use Obstacle::{Bunny, None, Sphere};
    use RightSide::{FlowPastObstacle, PointSource, WhiteNoise};
    let mut cells = Vec::new();
    let grids: &[usize] = if quick { &[16, 32] } else { &[16, 32, 64] };
    for &n in grids {
        let mut scenes =
            vec![(None, PointSource), (None, WhiteNoise), (Sphere, FlowPastObstacle), (Sphere, WhiteNoise)];
        if bunny && n == 64 {
            scenes.push((Bunny, FlowPastObstacle));
        }
        for (obstacle, right_side) in scenes {
            let scene = Scene { cells: n, obstacle, right_side };
            let ks: &[usize] = if n == 16 { &[2, 0, 1, 5] } else { &[2] };
            cells.extend(ks.iter().map(|&k| (scene, CellMethod::DeepConjugateDirections(k))));
            cells.extend(CellMethod::PEERS.map(|peer| (scene, peer)));
        }
    }
    cells
}

fn measure(
    scene: Scene,
    method: CellMethod,
    network: Option<u64>,
    weights: &Weights,
    data: Option<&Path>,
    monitor: &mut Monitor,
) -> Result<Cell, Failure> {
    let Scene { cells: n, obstacle, right_side } = scene;
    let obstacle = match obstacle {
        Obstacle::Bunny => format!("bunny-voxels/bunny{n}.bits"),
        obstacle => obstacle.name().to_string(),
    };
    let text = format!(
        "[linear-system]\nright-side = \"{}\"\nseed = 1\n\
         [linear-system.grid]\ncells = [{n}, {n}, {n}]\nobstacle = \"{obstacle}\"\noutside = \"open\"\n",
        right_side.name()
    );
    let statement = Statement::parse(&text, data.unwrap_or(Path::new(".")), None, None)
        .map_err(|error| Failure::statement(error, "the experiment's system", &text))?;
    let Matrix::Grid(grid) = statement.system.matrix() else {
        return Err(Failure::work("the experiment's system is not a grid"));
    };
    let mut proposal = network.map(|_| NetworkProposal::new("network", weights, grid));
    if let Some(proposal) = &mut proposal {
        // Its buffers are made in the first application.
        let unit = vec![1.0 / (statement.system.right_side().len() as f64).sqrt(); grid.cells().len()];
        proposal.propose(&unit, &mut vec![0.0; unit.len()]).map_err(Failure::work)?;
    }
    let directions = proposal.as_mut().map(|proposal| proposal as &mut dyn DirectionProposal);
    let solution = solve(&statement.system, &method.method(), directions, monitor).map_err(Failure::work)?;
    Ok(Cell {
        scene,
        method,
        network,
        unknowns: statement.system.matrix().unknowns(),
        status: status_text(&solution.status),
        reached: [1e-4, 1e-6, TOLERANCE].map(|tolerance| reached(&solution, tolerance)),
        residual: solution.residual,
        notes: solution.notes,
        stamp: Stamp::now(),
    })
}

/// Iterations and seconds until the residual first was at most the tolerance.
fn reached(solution: &Solution, tolerance: f64) -> Option<(usize, f64)> {
    let point = solution.history.iter().find(|point| point.residual <= tolerance)?;
    Some((point.iteration, point.seconds))
}

/// A number that another set of weights does not have (FNV-1a of its file).
fn mark(weights: &Weights) -> Result<u64, Failure> {
    let bytes = weights.to_bytes().map_err(Failure::work)?;
    let mark = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    Ok(mark >> 12) // So many bits survive every reader of JSON.
}

/// The best of several runs each.
fn speed(n: usize, weights: &Weights) -> Speed {
    let repeats = if n > 64 { 3 } else { 15 };
    let best = |run: &mut dyn FnMut()| {
        run();
        (0..repeats)
            .map(|_| {
                let start = Instant::now();
                run();
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min)
    };
    let cells = [n; 3];
    let voxels = n * n * n;
    let pattern: Vec<f32> = (0..27 * 256).map(|i| (i % 13) as f32 / 13.0 - 0.5).collect();
    let layer = Convolution::new(16, &pattern, &[0.1; 16]);
    let input = Volume::surrounded(1, cells, 16, &vec![0.25; 16 * voxels]);
    let mut output = Volume::zeros(1, cells, 16, 1);
    let layer_time =
        best(&mut || layer.apply(&input, &mut output, Epilogue { rectify: true, residual: None }));
    let mut network = InferenceNetwork::new(weights);
    let residual = vec![1.0 / (voxels as f32).sqrt(); voxels];
    let mut direction = vec![0.0; voxels];
    let application = best(&mut || network.apply(cells, &residual, &mut direction));
    Speed {
        cells: n,
        layer: layer.operations(voxels) / layer_time / 1e9,
        application,
        network: weights.config().operations(voxels) / application / 1e9,
    }
}

fn table(cells: &[Cell], speeds: &[Speed]) -> String {
    let mut text = String::from(
        "# dcdm: measured\n\n\
         The paper's tables could not be read; what it claims is four orders of magnitude in few iterations, nearly independently \
         of the grid. The network was trained on an empty box of 16³ cells (`training.toml`) and is applied unchanged. All faces \
         are open. Iterations and seconds (preparation included) until the relative residual was first at most 1e-4, 1e-6 and \
         1e-10; *of CG*: iterations to 1e-4 as a part of those of conjugate gradients.\n\n\
         | cells | obstacle | right side | method | 1e-4 | 1e-6 | 1e-10 | of CG | ended |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        let Scene { cells: n, obstacle, right_side } = cell.scene;
        let show = |reached: Option<(usize, f64)>| {
            reached
                .map_or("–".to_string(), |(iterations, time)| format!("{iterations} ({})", seconds(time)))
        };
        let first = |cell: &Cell| cell.reached[0].map(|(iterations, _)| iterations as f64);
        let gradient =
            cells.iter().find(|c| c.scene == cell.scene && c.method == CellMethod::ConjugateGradient);
        let part = match (first(cell), gradient.and_then(first)) {
            (Some(ours), Some(gradient)) => format!("{:.2}", ours / gradient),
            _ => "–".into(),
        };
        let obstacle = obstacle.name();
        let [a, b, c] = cell.reached.map(show);
        let _ = writeln!(
            text,
            "| {n}³ | {obstacle} | {} | {} | {a} | {b} | {c} | {part} | {} |",
            right_side.name(),
            cell.method.name(),
            cell.status
        );
    }
    text.push_str("\n## Growth of the iterations to 1e-4 from 32³ to 64³\n\n| obstacle | right side | network | CG |\n|---|---|---|---|\n");
    for cell in cells.iter().filter(|cell| cell.scene.cells == 64) {
        let CellMethod::DeepConjugateDirections(_) = cell.method else { continue };
        let at = |n: usize, method: CellMethod| {
            let scene = Scene { cells: n, ..cell.scene };
            let cell = cells.iter().find(|c| c.scene == scene && c.method == method)?;
            cell.reached[0].map(|(iterations, _)| iterations as f64)
        };
        let growth = |method: CellMethod| match (at(32, method), at(64, method)) {
            (Some(small), Some(large)) => format!("{:.2}", large / small),
            _ => "–".into(),
        };
        let (ours, gradient) = (growth(cell.method), growth(CellMethod::ConjugateGradient));
        let obstacle = cell.scene.obstacle.name();
        let _ = writeln!(text, "| {obstacle} | {} | {ours} | {gradient} |", cell.scene.right_side.name());
    }
    text.push_str(
        "\n## Speed of the network\n\nThe best of 15 runs (128³: 3); multiplications and additions count separately.\n\n\
         | cells | one layer 16 → 16, GFLOP/s | one application | GFLOP/s of it |\n|---|---|---|---|\n",
    );
    for Speed { cells, layer, application, network } in speeds {
        let time = figure(*application);
        let _ = writeln!(text, "| {cells}³ | {layer:.0} | {time} s | {network:.0} |");
    }
    if let Some(cell) = cells.last() {
        let machine = &cell.stamp.machine;
        let _ = writeln!(text, "\nMeasured {} on {machine}.", cell.stamp.finished);
    }
    text
}
