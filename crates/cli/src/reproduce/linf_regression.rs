//! The experiment on sketched regression with coordinate-wise accuracy: seven parts, each a table.
//!
//! The ratio of a draw is `√d ‖x' − x*‖_∞ / (‖Ax* − b‖ ‖A†‖)`: the ε that the paper's bound would have to allow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use mathesis_algebra::sketch::{
    DenseRows, EmbeddingConstant, GaussianPooling, GaussianSketch, SignSketch, Sketch, SparseSketch, Srht,
    oce_constant,
};
use mathesis_solvers::Silent;
use mathesis_solvers::regression::synthetic::{Kind, Synthetic, SyntheticKronecker};
use mathesis_solvers::regression::{
    Direct, KroneckerProblem, MatrixProblem, Method, Refined, Rows, SketchAndSolve, SketchKind, Solution,
    Table, solve_kronecker,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{CellLog, Common, Finished, Stamp, output_folder, write_tables};
use crate::failure::Failure;
use crate::record::{Machine, now};

const PAPER: &str = "linf-regression";

const EXAMPLES: &str = "\
Examples:
  mathesis reproduce linf-regression --quick
  mathesis reproduce linf-regression --parts speed --fresh";

/// Arguments of `reproduce linf-regression`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Only these parts [default: all].
    #[arg(long, value_delimiter = ',', value_enum, value_name = "NAME,...")]
    parts: Vec<Part>,
    /// At most so many draws of each sketch.
    #[arg(long, value_name = "N")]
    draws: Option<u64>,
}

/// A part of the experiment, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// Two instances by seven sketches.
    Sketches,
    /// The instance on which sparse sketches fail, at full size.
    Adversarial,
    /// The ratio over the rows of the sketch.
    Scaling,
    /// The counterexample's instance with real sketches.
    Counterexample,
    /// Time, beside QR and normal equations.
    Speed,
    /// A Kronecker product from its factors.
    Kronecker,
    /// Constants of the coordinate-wise embedding.
    Embedding,
}

impl Part {
    const ALL: [Part; 7] = [
        Part::Embedding,
        Part::Counterexample,
        Part::Sketches,
        Part::Scaling,
        Part::Kronecker,
        Part::Speed,
        Part::Adversarial,
    ];

    fn name(self) -> &'static str {
        match self {
            Part::Sketches => "sketches",
            Part::Adversarial => "adversarial",
            Part::Scaling => "scaling",
            Part::Counterexample => "counterexample",
            Part::Speed => "speed",
            Part::Kronecker => "kronecker",
            Part::Embedding => "embedding",
        }
    }
}

/// One draw of one sketch on one instance: one line of `cells.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cell {
    #[serde(flatten)]
    job: Job,
    /// What was measured, by name.
    values: BTreeMap<String, f64>,
    #[serde(flatten)]
    stamp: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    part: Part,
    instance: String,
    /// A sketch, or a method of the speed comparison.
    sketch: String,
    /// Rows m of the sketch.
    rows: usize,
    draw: u64,
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} m={} #{}", self.instance, self.sketch, self.rows, self.draw)
    }
}

impl Finished for Cell {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn short(&self) -> String {
        let shown: Vec<String> =
            self.values.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        shown.join(", ")
    }
}

/// An instance that is made once for many draws.
struct Instance {
    name: String,
    table: Table,
    /// `x*`, `‖Ax* − b‖` and `1/‖A†‖`.
    exact: Vec<f64>,
    residual: f64,
    smallest: f64,
}

/// Run the experiment.
///
/// # Errors
/// [`Failure::Work`] if a draw fails or the folder cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let quick = arguments.common.quick;
    let parts: Vec<Part> =
        if arguments.parts.is_empty() { Part::ALL.to_vec() } else { arguments.parts.clone() };
    let folder = output_folder(PAPER, &arguments.common)?;
    let mut log: CellLog<Cell> = CellLog::open(&folder, arguments.common.fresh)?;
    let draws = |usual: u64| usual.min(arguments.draws.unwrap_or(if quick { 3 } else { u64::MAX }));
    let mut cells: Vec<Cell> = Vec::new();
    let mut complete = true;
    'all: for part in Part::ALL.into_iter().filter(|part| parts.contains(part)) {
        let mut instance: Option<Instance> = None;
        let jobs = jobs(part, quick, draws);
        for (number, job) in jobs.iter().enumerate() {
            let label = format!("[{} {}/{}] {job}", part.name(), number + 1, jobs.len());
            let measure = || {
                let values = perform(job, &mut instance)?;
                Ok(Cell { job: job.clone(), values, stamp: Stamp::now() })
            };
            let Some(cell) = log.cell(&label, |cell| cell.job == *job, measure)? else {
                complete = false;
                break 'all;
            };
            cells.push(cell);
        }
    }
    let markdown = markdown(&cells);
    println!("{markdown}");
    let json = serde_json::json!({
        "paper": PAPER,
        "written": now(),
        "machine": Machine::current(),
        "cells": cells,
    });
    write_tables(&folder, &markdown, &serde_json::to_string_pretty(&json).map_err(Failure::work)?)?;
    if complete { Ok(()) } else { Err(Failure::Told) }
}

/// What a part measures, in order.
fn jobs(part: Part, quick: bool, draws: impl Fn(u64) -> u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut add = |instance: &str, sketches: &[&str], rows: &[usize], count: u64| {
        for m in rows {
            for sketch in sketches {
                for draw in 0..count {
                    jobs.push(Job {
                        part,
                        instance: instance.to_string(),
                        sketch: (*sketch).to_string(),
                        rows: *m,
                        draw,
                    });
                }
            }
        }
    };
    const DENSE: [&str; 3] = ["srht", "balanced-gaussian-pooling", "gaussian"];
    let all = [DENSE.as_slice(), &["count-sketch", "osnap(4)", "osnap(16)", "osnap(64)"]].concat();
    match part {
        Part::Sketches => {
            add("adversarial 8192x128", &all, &[4096], draws(10));
            add("gaussian 8192x128", &all, &[1024], draws(10));
        }
        Part::Adversarial if quick => {
            add(
                "adversarial 4096x256",
                &["count-sketch", "srht", "balanced-gaussian-pooling", "gaussian"],
                &[2048],
                draws(50),
            );
        }
        Part::Adversarial => {
            let instance = "adversarial 32768x1024";
            add(instance, &["count-sketch", "srht", "balanced-gaussian-pooling"], &[16384], draws(50));
            // The reference, whose draws take longer than all the others together.
            add(instance, &["gaussian"], &[16384], draws(20));
        }
        Part::Scaling => {
            let rows: &[usize] = if quick { &[1024, 2048] } else { &[1024, 2048, 4096, 8192, 16384] };
            add("gaussian 32768x128", &DENSE, rows, draws(10));
        }
        Part::Counterexample => {
            for d in [10, 100, 1000] {
                add(&format!("counterexample {d}"), &["square root of M"], &[d + 1], 1);
            }
            let rows: &[usize] = &[512, 1024, 2048, 4096, 8192];
            add("spike 16384x100", &DENSE[..2], rows, draws(20));
        }
        Part::Speed => {
            let (instance, m) =
                if quick { ("gaussian 16384x128", 1024) } else { ("gaussian 131072x512", 4096) };
            let methods =
                ["srht", "balanced-gaussian-pooling", "householder", "normal-equations", "refined", "copy"];
            for draw in 0..draws(3) {
                for method in methods {
                    jobs.push(Job {
                        part,
                        instance: instance.to_string(),
                        sketch: method.to_string(),
                        rows: m,
                        draw,
                    });
                }
            }
        }
        Part::Kronecker => {
            let (instance, m) = if quick { ("kronecker 64x6", 576) } else { ("kronecker 512x24", 4608) };
            add(instance, &["tensor-srht", "srht"], &[m], draws(10));
        }
        Part::Embedding => {
            let sketches = [
                "gaussian",
                "sign",
                "srht",
                "balanced-gaussian-pooling",
                "count-sketch",
                "osnap(8)",
                "osnap(64)",
            ];
            add("two coordinates", &sketches, &[256], 1);
            add("two halves", &sketches, &[256], 1);
        }
    }
    jobs
}

/// `kind rows x columns` of an instance's name.
fn shape(name: &str) -> Option<(&str, usize, usize)> {
    let (kind, shape) = name.split_once(' ')?;
    let (rows, columns) = shape.split_once('x')?;
    Some((kind, rows.parse().ok()?, columns.parse().ok()?))
}

fn perform(job: &Job, instance: &mut Option<Instance>) -> Result<BTreeMap<String, f64>, Failure> {
    match job.part {
        Part::Embedding => return Ok(embedding(job)),
        Part::Counterexample if job.sketch == "square root of M" => return counterexample(job.rows - 1),
        Part::Kronecker => return kronecker(job, instance),
        Part::Adversarial if job.sketch == "gaussian" || job.sketch == "count-sketch" => {
            return sparse_adversarial(job);
        }
        Part::Speed if job.sketch == "copy" => return Ok(copy_bandwidth()),
        _ => {}
    }
    if instance.as_ref().is_none_or(|known| known.name != job.instance) {
        *instance = None;
        *instance = Some(Instance::new(&job.instance, job.rows)?);
    }
    let Some(known) = instance else { return Err(Failure::work("no instance")) };
    if job.part == Part::Speed {
        return speed(job, known);
    }
    let solution = sketch_and_solve(job).solve(&mut known.table, &mut Silent).map_err(Failure::work)?;
    let mut values = known.ratios(&solution.coefficients);
    if job.part == Part::Counterexample {
        values.insert("first coefficient".to_string(), solution.coefficients[0].abs());
    }
    Ok(values)
}

fn sketch_and_solve(job: &Job) -> Method {
    Method::SketchAndSolve(SketchAndSolve {
        sketch: job.sketch.parse().unwrap_or(SketchKind::Srht),
        rows: Some(job.rows),
        seed: job.draw,
        // Columns of the identity collide in sparse sketches.
        least_norm: true,
        ..SketchAndSolve::default()
    })
}

impl Instance {
    fn new(name: &str, m: usize) -> Result<Self, Failure> {
        let (kind, rows, columns) =
            shape(name).ok_or_else(|| Failure::work(format!("no instance {name}")))?;
        let (kind, spikes) = match kind {
            "adversarial" => (Kind::Adversarial, Some((3 * m).div_ceil(columns))),
            // The instance of the counterexample: b is one unit vector beyond the range of A = [I; 0].
            "spike" => (Kind::Adversarial, Some(1)),
            _ => (Kind::Gaussian, None),
        };
        let mut table = Synthetic { kind, rows, columns, noise: 1.0, spikes, seed: 1 }.table();
        if kind == Kind::Adversarial {
            let exact = vec![0.0; columns];
            return Ok(Instance { name: name.to_string(), table, exact, residual: 1.0, smallest: 1.0 });
        }
        let solution =
            Method::Householder(Direct::default()).solve(&mut table, &mut Silent).map_err(Failure::work)?;
        Ok(Instance::solved(name, table, solution))
    }

    fn solved(name: &str, table: Table, solution: Solution) -> Self {
        Instance {
            name: name.to_string(),
            table,
            residual: solution.certificate.residual.unwrap_or(f64::NAN),
            smallest: solution.certificate.smallest_singular_value,
            exact: solution.coefficients,
        }
    }

    fn ratios(&self, x: &[f64]) -> BTreeMap<String, f64> {
        ratios(x, &self.exact, self.residual, self.smallest)
    }
}

/// The ratios of the errors in the maximum norm and the 2-norm.
fn ratios(x: &[f64], exact: &[f64], residual: f64, smallest: f64) -> BTreeMap<String, f64> {
    let error = || x.iter().zip(exact).map(|(x, y)| (x - y).abs());
    let scale = smallest / residual;
    let largest = error().fold(0.0, f64::max) * (x.len() as f64).sqrt() * scale;
    let square = error().map(|e| e * e).sum::<f64>().sqrt() * scale;
    BTreeMap::from([("ratio".to_string(), largest), ("ratio of 2-norms".to_string(), square)])
}

/// The sketches that spare zeros, on the instance without its zeros.
fn sparse_adversarial(job: &Job) -> Result<BTreeMap<String, f64>, Failure> {
    let (_, rows, columns) =
        shape(&job.instance).ok_or_else(|| Failure::work(format!("no instance {}", job.instance)))?;
    let spikes = Some((3 * job.rows).div_ceil(columns));
    let made = Synthetic { kind: Kind::Adversarial, rows, columns, noise: 0.0, spikes, seed: 1 };
    let (matrix, response) = made.adversarial_sparse();
    let mut problem = MatrixProblem::sparse(matrix.as_ref(), &response).map_err(Failure::work)?;
    let solution = sketch_and_solve(job).solve(&mut problem, &mut Silent).map_err(Failure::work)?;
    Ok(ratios(&solution.coefficients, &vec![0.0; columns], 1.0, 1.0))
}

/// The sketch of the note's proposition 2.2, `S = M^{1/2}` of order d + 1, on `A = [e_1..e_d]`, `b = e_{d+1}`.
///
/// As `SᵀS = M`, the sketched solution solves `M[:d, :d] x = M[:d, d]`: conjugate gradients need no square root, and the matrix
/// differs from the identity by a matrix of rank two.
fn counterexample(d: usize) -> Result<BTreeMap<String, f64>, Failure> {
    let (rho, alpha) = (0.05, 0.05);
    let stream = mathesis_algebra::random::Stream::new(d as u64, 0);
    let mut v: Vec<f64> = (0..d).map(|j| if j == 0 { 0.0 } else { stream.normal(j as u64) }).collect();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.iter_mut().for_each(|x| *x /= norm);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let product = |x: &[f64]| -> Vec<f64> {
        let (first, along) = (x[0], dot(&v, x));
        x.iter()
            .enumerate()
            .map(|(i, x)| x - rho * (v[i] * first + if i == 0 { along } else { 0.0 }))
            .collect()
    };
    let mut x = vec![0.0; d];
    let mut residual: Vec<f64> = v.iter().map(|v| alpha * v).collect();
    let mut direction = residual.clone();
    let mut square = dot(&residual, &residual);
    while square > 1e-40 {
        let image = product(&direction);
        let step = square / dot(&direction, &image);
        x.iter_mut().zip(&direction).for_each(|(x, p)| *x += step * p);
        residual.iter_mut().zip(&image).for_each(|(r, q)| *r -= step * q);
        let next = dot(&residual, &residual);
        direction.iter_mut().zip(&residual).for_each(|(p, r)| *p = r + next / square * *p);
        square = next;
    }
    Ok(BTreeMap::from([("first coefficient".to_string(), x[0].abs())]))
}

fn kronecker(job: &Job, instance: &mut Option<Instance>) -> Result<BTreeMap<String, f64>, Failure> {
    let (_, n, d) =
        shape(&job.instance).ok_or_else(|| Failure::work(format!("no instance {}", job.instance)))?;
    let ([first, second], response) =
        SyntheticKronecker { rows: [n, n], columns: [d, d], noise: 1.0, seed: 1 }.factors();
    if instance.is_none() {
        // The product written out, for the plain SRHT and for x*.
        let matrix = (0..n * n * d * d)
            .into_par_iter()
            .map(|k| {
                let (i, j) = (k / (d * d), k % (d * d));
                first[i / n * d + j / d] * second[i % n * d + j % d]
            })
            .collect();
        let names = (0..d * d).map(|j| format!("x{j}")).collect();
        let mut table = Table { names, matrix, response: response.clone() };
        // LSQR to 1e-12: QR of the product would take as much memory again.
        let exact =
            Method::Refined(Refined::default()).solve(&mut table, &mut Silent).map_err(Failure::work)?;
        // σ_min of a product is the product of the factors'.
        let mut smallest = 1.0;
        for factor in [&first, &second] {
            let names = (0..d).map(|j| format!("x{j}")).collect();
            let mut factor = Table { names, matrix: factor.clone(), response: vec![1.0; n] };
            let solved = Method::Householder(Direct::default()).solve(&mut factor, &mut Silent);
            smallest *= solved.map_err(Failure::work)?.certificate.smallest_singular_value;
        }
        let mut solved = Instance::solved(&job.instance, table, exact);
        solved.smallest = smallest;
        *instance = Some(solved);
    }
    let Some(known) = instance else { return Err(Failure::work("no instance")) };
    let start = Instant::now();
    let solution = if job.sketch == "srht" {
        sketch_and_solve(job).solve(&mut known.table, &mut Silent)
    } else {
        let problem = KroneckerProblem {
            first: DenseRows::new(&first, n, d),
            second: DenseRows::new(&second, n, d),
            response: &response,
        };
        let options = SketchAndSolve { rows: Some(job.rows), seed: job.draw, ..SketchAndSolve::default() };
        solve_kronecker(problem, &options, &mut Silent)
    }
    .map_err(Failure::work)?;
    let mut values = known.ratios(&solution.coefficients);
    values.insert("seconds".to_string(), start.elapsed().as_secs_f64());
    if let Some(sketch) = &solution.sketch {
        values.insert("seconds sketch".to_string(), sketch.seconds_sketch);
    }
    Ok(values)
}

fn speed(job: &Job, known: &mut Instance) -> Result<BTreeMap<String, f64>, Failure> {
    let method = match job.sketch.as_str() {
        "householder" => Method::Householder(Direct::default()),
        "normal-equations" => Method::NormalEquations(Direct::default()),
        "refined" => Method::Refined(Refined { seed: job.draw, ..Refined::default() }),
        _ => sketch_and_solve(job),
    };
    let solution = method.solve(&mut known.table, &mut Silent).map_err(Failure::work)?;
    let (n, d, m) = (known.table.rows_at_most() as f64, known.exact.len() as f64, job.rows as f64);
    let mut values = known.ratios(&solution.coefficients);
    let mut insert = |name: &str, value: f64| values.insert(name.to_string(), value);
    insert("seconds", solution.elapsed.as_secs_f64());
    for (name, value) in &solution.figures {
        match name.as_str() {
            "seconds-qr" => {
                insert("seconds of QR", *value);
                insert("GFLOP/s of QR", (2.0 * n * d * d - 2.0 / 3.0 * d * d * d) / value / 1e9);
            }
            "seconds-gram" => {
                insert("seconds of AᵀA", *value);
                insert("GFLOP/s of AᵀA", n * d * d / value / 1e9);
            }
            _ => {}
        }
    }
    if let Some(sketch) = &solution.sketch {
        insert("seconds sketch", sketch.seconds_sketch);
        insert("seconds sketched QR", sketch.seconds_solve);
        insert("GB/s of the sketch", 8.0 * n * (d + 1.0) / sketch.seconds_sketch / 1e9);
        insert("GFLOP/s of the sketch", n * (d + 1.0) * (m.log2() + 1.0) / sketch.seconds_sketch / 1e9);
    }
    Ok(values)
}

/// The rate at which all threads read one array and write another: what any pass over memory is bounded by.
fn copy_bandwidth() -> BTreeMap<String, f64> {
    let source = vec![1.0_f64; 1 << 26];
    let mut target = vec![0.0_f64; 1 << 26];
    let mut best = f64::INFINITY;
    let mut read = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        target
            .par_chunks_mut(1 << 18)
            .zip(source.par_chunks(1 << 18))
            .for_each(|(t, s)| t.copy_from_slice(s));
        best = best.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let sum: f64 = source
            .par_chunks(1 << 18)
            .map(|chunk| {
                let mut lanes = [0.0; 16];
                for part in chunk.chunks_exact(16) {
                    (0..16).for_each(|k| lanes[k] += part[k]);
                }
                lanes.iter().sum::<f64>()
            })
            .sum();
        std::hint::black_box(sum);
        read = read.min(start.elapsed().as_secs_f64());
    }
    let bytes = 8.0 * (1u64 << 26) as f64;
    BTreeMap::from([
        ("GB/s copied (read + written)".to_string(), 2.0 * bytes / best / 1e9),
        ("GB/s read".to_string(), bytes / read / 1e9),
    ])
}

fn embedding(job: &Job) -> BTreeMap<String, f64> {
    const ORDER: usize = 1024;
    const DRAWS: u64 = 1000;
    let m = job.rows;
    let (mut g, mut h) = (vec![0.0; ORDER], vec![0.0; ORDER]);
    if job.instance == "two coordinates" {
        (g[0], h[1]) = (1.0, 1.0);
    } else {
        g[..ORDER / 2].fill(1.0);
        h[ORDER / 2..].fill(1.0);
    }
    let draw = |seed: u64| -> Box<dyn Sketch> {
        match job.sketch.as_str() {
            "srht" => Box::new(Srht::new(m, ORDER, seed)),
            "balanced-gaussian-pooling" => {
                Box::new(GaussianPooling::new(m, ORDER, GaussianPooling::POOL, seed))
            }
            "gaussian" => Box::new(GaussianSketch::new(m, ORDER, seed)),
            "sign" => Box::new(SignSketch::new(m, ORDER, seed)),
            "count-sketch" => Box::new(SparseSketch::count_sketch(m, ORDER, seed)),
            "osnap(8)" => Box::new(SparseSketch::osnap(m, ORDER, 8, seed)),
            _ => Box::new(SparseSketch::osnap(m, ORDER, 64, seed)),
        }
    };
    let EmbeddingConstant { median, ninth_decile, maximum } = oce_constant(draw, &g, &h, DRAWS);
    BTreeMap::from([
        ("median".to_string(), median),
        ("ninth decile".to_string(), ninth_decile),
        ("maximum".to_string(), maximum),
    ])
}

/// The tables of all parts that have cells.
fn markdown(cells: &[Cell]) -> String {
    let mut text = format!(
        "# {PAPER}: measured\n\nThe paper has no experiments; figures beside these are predictions or those of a prototype (10 \
         draws). The ratio of a draw is √d ‖x' − x*‖∞ / (‖Ax* − b‖ ‖A†‖).\n"
    );
    for part in Part::ALL {
        let own: Vec<&Cell> = cells.iter().filter(|cell| cell.job.part == part).collect();
        if own.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {}\n\n{}\n", part.name(), explanation(part));
        // Draws of one instance, sketch and m, in the order of their first.
        let mut groups: Vec<(&Job, Vec<&Cell>)> = Vec::new();
        for cell in own {
            let same = |job: &Job| {
                (&job.instance, &job.sketch, job.rows)
                    == (&cell.job.instance, &cell.job.sketch, cell.job.rows)
            };
            match groups.iter_mut().find(|(job, _)| same(job)) {
                Some((_, members)) => members.push(cell),
                None => groups.push((&cell.job, vec![cell])),
            }
        }
        text.push_str(&part_table(part, &groups));
    }
    text
}

fn explanation(part: Part) -> &'static str {
    match part {
        Part::Sketches => {
            "Seven sketches on two instances. Prototype, median/maximum of the ratio: adversarial 0.50/0.64 gaussian, 0.46/0.62 srht, \
             0.53/0.65 pooled, 1.155/1.155 count-sketch, 0.63/0.99 osnap(4), 0.55/0.69 osnap(16), 0.52/0.67 osnap(64); gaussian \
             0.95/1.10, 0.93/1.28, 1.00/1.52, 0.88/1.03, 0.90/1.21, 1.03/1.34, 0.88/1.05."
        }
        Part::Adversarial => {
            "A = [I; 0], b spread over ⌈3m/d⌉ rows below. One collision of count-sketch costs √(d/k) (4.62 for k = 48), and happens with \
             probability 1 − e⁻³ = 95%; dense sketches: prediction √(d/m) √(2 ln 2d) = 0.98 at full size."
        }
        Part::Scaling => "The median ratio against √(2 ln(2d) d/m).",
        Part::Counterexample => {
            "The sketch of the note's proposition 2.2 has all singular values in [0.9, 1.1] and embeds every fixed pair of vectors, and its \
             error in the first coefficient stays αρ/(1 − ρ²) = 0.0025063 whatever d. On the same kind of instance (b one unit vector \
             beyond the range of [I; 0]) the error of real sketches falls like 1/√m."
        }
        Part::Speed => {
            "Seconds on all threads, median of the draws; the methods take turns. `seconds` is the whole solve with its certificate (one \
             more pass over the matrix); QR without copying the row-major matrix stands in its own column."
        }
        Part::Kronecker => {
            "TensorSRHT from the factors against a plain SRHT of the product written out, at equal m."
        }
        Part::Embedding => {
            "√m |gᵀ(SᵀS − I)h| / (‖g‖‖h‖) over 1000 draws, n = 1024: g, h two unit vectors, or the indicators of the two halves."
        }
    }
}

fn part_table(part: Part, groups: &[(&Job, Vec<&Cell>)]) -> String {
    let mut text = String::new();
    let quantile = |cells: &[&Cell], name: &str, q: f64| -> Option<f64> {
        let mut values: Vec<f64> = cells.iter().filter_map(|cell| cell.values.get(name).copied()).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let place = q * last as f64;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        Some(low + (high - low) * place.fract())
    };
    let shown = |value: Option<f64>| match value {
        None => "–".to_string(),
        Some(value) if value != 0.0 && value.abs() < 1e-2 => format!("{value:.4e}"),
        Some(value) => format!("{value:.3}"),
    };
    match part {
        Part::Speed | Part::Embedding => {
            let mut names: Vec<&String> = groups
                .iter()
                .flat_map(|(_, cells)| cells.iter().flat_map(|cell| cell.values.keys()))
                .collect();
            names.sort();
            names.dedup();
            let header: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let _ = writeln!(text, "| instance | method | m | {} |", header.join(" | "));
            let _ = writeln!(text, "|---|---|---|{}", "---|".repeat(names.len()));
            for (job, cells) in groups {
                let values: Vec<String> =
                    names.iter().map(|name| shown(quantile(cells, name, 0.5))).collect();
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} |",
                    job.instance,
                    job.sketch,
                    job.rows,
                    values.join(" | ")
                );
            }
        }
        _ => {
            let name = if part == Part::Counterexample { "first coefficient" } else { "ratio" };
            let _ = writeln!(
                text,
                "| instance | sketch | m | draws | median {name} | maximum | 2-norm ratio | prediction | median / prediction |{}",
                if part == Part::Adversarial { " draws ≥ 4.5 | draws ≤ 1.3 |" } else { "" }
            );
            let _ = writeln!(
                text,
                "|---|---|---|---|---|---|---|---|---|{}",
                if part == Part::Adversarial { "---|---|" } else { "" }
            );
            for (job, cells) in groups {
                let d = match part {
                    Part::Kronecker => shape(&job.instance).map(|(_, _, d)| d * d),
                    _ => shape(&job.instance).map(|(_, _, d)| d),
                };
                let prediction = match (part, d) {
                    // One coefficient of a dense sketch is N(0, 1/m): its median absolute value.
                    (Part::Counterexample, Some(_)) => Some(0.6745 / (job.rows as f64).sqrt()),
                    (Part::Counterexample, None) => Some(0.0025 / (1.0 - 0.0025)),
                    (_, Some(d)) => Some((2.0 * (2.0 * d as f64).ln() * d as f64 / job.rows as f64).sqrt()),
                    _ => None,
                };
                let median = quantile(cells, name, 0.5);
                let _ = write!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                    job.instance,
                    job.sketch,
                    job.rows,
                    cells.len(),
                    if part == Part::Counterexample {
                        median.map_or("–".to_string(), |value| format!("{value:.7}"))
                    } else {
                        shown(median)
                    },
                    shown(quantile(cells, name, 1.0)),
                    shown(quantile(cells, "ratio of 2-norms", 0.5)),
                    shown(prediction),
                    shown(median.zip(prediction).map(|(m, p)| m / p)),
                );
                if part == Part::Adversarial {
                    let ratios = || cells.iter().filter_map(|cell| cell.values.get("ratio"));
                    let _ = write!(
                        text,
                        " {} | {} |",
                        ratios().filter(|ratio| **ratio >= 4.5).count(),
                        ratios().filter(|ratio| **ratio <= 1.3).count()
                    );
                }
                text.push('\n');
            }
        }
    }
    text
}
