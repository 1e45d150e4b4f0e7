//! How the time and memory of tensor attention grow with the number of tokens: one head of order 3, d = 4, entries in [−1, 1].
//!
//! ```text
//! cargo run --release -p mathesis-algebra --example tensor_attention [-- TOKENS ...]
//! ```
//! prints for every length (1024, 4096, 16384, 65536) the wall-clock and processor time of both passes of the polynomial form of degree 6,
//! whole and causal, with the bound of its error; then for 256, 512 and 1024 tokens those of the exact form, the slope of their
//! logarithms, the length from which on the polynomial is faster, and the most memory that the process has had.

use std::time::{Duration, Instant};

use mathesis_algebra::random::Sequence;
use mathesis_algebra::tensor_attention::{Expansion, Form, Operands, backward, forward};

const CHANNELS: usize = 4;

struct Arrays {
    queries: Vec<f64>,
    keys: [Vec<f64>; 2],
    values: [Vec<f64>; 2],
}

impl Arrays {
    fn draw(tokens: usize) -> Self {
        let mut random = Sequence::new(tokens as u64);
        let mut array = || (0..tokens * CHANNELS).map(|_| random.symmetric()).collect();
        Arrays { queries: array(), keys: [array(), array()], values: [array(), array()] }
    }

    fn operands(&self, causal: bool) -> Operands<'_> {
        Operands {
            channels: CHANNELS,
            value_channels: CHANNELS,
            queries: &self.queries,
            keys: self.keys.iter().map(Vec::as_slice).collect(),
            values: self.values.iter().map(Vec::as_slice).collect(),
            causal,
            blank: None,
        }
    }
}

/// Processor time of all threads of this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this function.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The least wall-clock and processor seconds of some runs.
fn timed(runs: usize, mut work: impl FnMut()) -> (f64, f64) {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..runs {
        let (wall, processor) = (Instant::now(), processor_time());
        work();
        best.0 = best.0.min(wall.elapsed().as_secs_f64());
        best.1 = best.1.min((processor_time() - processor).as_secs_f64());
    }
    best
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut lengths: Vec<usize> =
        std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    if lengths.is_empty() {
        lengths = vec![1 << 10, 1 << 12, 1 << 14, 1 << 16];
    }
    let expansion = Expansion::of_degree(CHANNELS, 6, 1.0, 1000)?;
    let form = Form::Expansion(&expansion);
    println!(
        "polynomial of degree 6, {} monomials; seconds on the clock and of processor time",
        expansion.rank()
    );
    let mut per_token = f64::INFINITY;
    for causal in [false, true] {
        for &tokens in &lengths {
            let arrays = Arrays::draw(tokens);
            let operands = arrays.operands(causal);
            let outputs = forward(&operands, form)?;
            let runs = if tokens > 10_000 { 3 } else { 7 };
            let (wall, processor) = timed(runs, || drop(forward(&operands, form)));
            let gradient = vec![1.0; outputs.output.len()];
            let (back_wall, back) = timed(runs, || drop(backward(&operands, &outputs, &gradient, form)));
            if !causal {
                per_token = per_token.min(processor / tokens as f64);
            }
            let kind = if causal { "causal" } else { "whole" };
            println!(
                "{kind:6} n {tokens:6}: forward {wall:.4} {processor:.4}, backward {back_wall:.4} {back:.4}, error below {:.1e}",
                outputs.error_bound
            );
        }
    }
    println!("most memory after the polynomial form: {}", peak());
    println!("exact form");
    let mut points = Vec::new();
    for tokens in [256_usize, 512, 1024] {
        let arrays = Arrays::draw(tokens);
        let operands = arrays.operands(false);
        let (wall, processor) = timed(2, || drop(forward(&operands, Form::Exact)));
        println!("       n {tokens:6}: forward {wall:.4} {processor:.4}");
        points.push(((tokens as f64).ln(), processor.ln()));
    }
    let slope = (points[2].1 - points[0].1) / (points[2].0 - points[0].0);
    // From n³ times the constant of the longest run.
    let constant = (points[2].1 - 3.0 * points[2].0).exp();
    println!(
        "slope {slope:.2}; the polynomial form is faster from about {:.0} tokens on",
        (per_token / constant).sqrt()
    );
    println!("most memory: {}", peak());
    Ok(())
}

/// The most memory that the process has had, as Linux tells it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("not known".into(), |line| line.trim().to_string())
}
