//! Times Monarch products beside dense ones, and the Monarch mixer beside attention; figures in `experiments/monarch-mixer/table.md`.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use mathesis_algebra::monarch::{BlockDiagonal, Monarch};
use mathesis_algebra::product::{Threads, View, product_into};
use mathesis_algebra::random::Sequence;
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::attention::AttentionConfig;
use mathesis_networks::sequence::linear::{DenseStorage, LinearKind};
use mathesis_networks::sequence::monarch_mixer::MonarchMixerConfig;

/// Vectors that are multiplied at once.
const PANEL: usize = 64;
/// Width of the mixers.
const WIDTH: usize = 256;
/// Rows of a batch; its rows share the filters of a mixer.
const ROWS: [usize; 2] = [1, 8];
/// Their tokens.
const TIMES: [usize; 5] = [512, 1024, 2048, 4096, 8192];

fn main() {
    mathesis_algebra::memory::keep_freed();
    let mut random = Sequence::new(1);
    println!("{} threads; the best of several runs", rayon::current_num_threads());
    println!("\nproducts with {PANEL} vectors in single precision");
    println!("{:>6} {:>12} {:>12} {:>7}", "N", "dense", "Monarch", "ratio");
    for base in [16_usize, 32, 64] {
        let size = base * base;
        let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal() as f32).collect() };
        let factors =
            (0..2).map(|_| BlockDiagonal::new(base, base, base, numbers(size * base)).expect("blocks"));
        let monarch = Monarch::new(factors.collect()).expect("two factors of one size");
        let (matrix, panel) = (numbers(size * size), numbers(size * PANEL));
        let mut output = vec![0.0; size * PANEL];
        let dense = best(|| {
            let (matrix, panel) = (View::new(&matrix, [size, size]), View::new(&panel, [size, PANEL]));
            product_into(matrix, panel, 1.0, false, &mut output, PANEL, Threads::All);
            black_box(&output);
        });
        let structured = best(|| drop(black_box(monarch.apply(&panel, PANEL).expect("a panel"))));
        let ratio = dense / structured;
        println!("{size:>6} {:>9.3} ms {:>9.3} ms {ratio:>6.1}x", 1e3 * dense, 1e3 * structured);
    }

    let device = Device::flex();
    println!("\nlayers of width {WIDTH}, forwards");
    println!(
        "{:>6} {:>6} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "rows", "tokens", "attention", "both sides", "Monarch", "causal", "kept", "causal"
    );
    for (rows, time) in ROWS.into_iter().flat_map(|rows| TIMES.map(|time| (rows, time))) {
        let numbers: Vec<f32> = (0..rows * time * WIDTH).map(|_| random.normal() as f32).collect();
        let input = Tensor::<3>::from_data(TensorData::new(numbers, [rows, time, WIDTH]), &device);
        let documents = Documents::whole(rows, time);
        let attentions = [true, false].map(|causal| {
            let config = AttentionConfig { causal, ..AttentionConfig::new(4) };
            let layer = config.init(WIDTH, LinearKind::Dense, 0.02, &mut random, &device);
            best(|| drop(black_box(layer.forward(input.clone(), &documents).into_data())))
        });
        // As they learn, with filters made in every pass, and as they are used, with filters kept.
        let mixers = [(false, false), (true, false), (false, true), (true, true)].map(|(causal, kept)| {
            let config = MonarchMixerConfig { causal, ..MonarchMixerConfig::new(time) };
            let mut layer = config.init(WIDTH, LinearKind::Dense, 0.02, &mut random, &device);
            if kept {
                layer = layer.packed(DenseStorage::Kept).expect("finite weights");
            }
            best(|| drop(black_box(layer.forward(input.clone(), &documents).into_data())))
        });
        print!("{rows:>6} {time:>6}");
        for seconds in attentions.into_iter().chain(mixers) {
            print!(" {:>9.2} ms", 1e3 * seconds);
        }
        println!();
    }
}

fn best(mut run: impl FnMut()) -> f64 {
    run();
    let (begin, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 5 || (runs < 200 && begin.elapsed().as_secs_f64() < 1.0) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}
