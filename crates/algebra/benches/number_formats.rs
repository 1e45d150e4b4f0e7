//! Products in number formats of few bits, against the f32 product of the crate `gemm` and against what the machine can do.
//!
//! ```text
//! cargo bench -p mathesis-algebra --bench number_formats -- [machine] [bipolar] [scaling] [ternary] [l-mul] [memory]
//! ```
//! Contestants of a row take turns, so that all see the same machine, on which nothing else should run. Times are the best and the
//! median of the turns; ratios and shares of bounds are of medians. Threads stay awake, as they do when a model writes. At one token,
//! weights come from memory: each contestant walks over copies of its matrix that together exceed the caches.
//! A plain program rather than a benchmark framework, because its figures are ratios of interleaved runs and shares of bounds
//! that it measures itself.

use std::hint::black_box;
use std::time::Instant;

use mathesis_algebra::awake::awake;
use mathesis_algebra::number_format::InstructionSet;
use mathesis_algebra::number_format::bipolar::{Activations, BitWidth, Quantiser, ScaleRule, Weights};
use mathesis_algebra::number_format::float8::Overflow;
use mathesis_algebra::number_format::l_mul::{self, Accumulation, Form, LMul, Scratch, Side};
use mathesis_algebra::number_format::ternary::{ByteRows, TernaryMatrix};

/// A name and what it measures.
type Section = (&'static str, fn(&Machine));

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let sections: [Section; 5] = [
        ("bipolar", bipolar),
        ("scaling", scaling),
        ("ternary", ternary),
        ("l-mul", l_mul),
        ("memory", memory),
    ];
    let machine = Machine::measure();
    println!("{machine:#.2?}");
    for (name, section) in sections {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            println!("\n## {name}");
            section(&machine);
        }
    }
}

/// What the machine can do, measured with all its threads at work.
#[derive(Debug)]
#[allow(dead_code, reason = "some fields are only printed")]
struct Machine {
    threads: usize,
    instruction_set: String,
    /// Clock of one thread, by a chain of multiplications of three cycles each.
    gigahertz: f64,
    /// Reading 512 MiB.
    read_gigabytes_per_second: f64,
    /// 10⁹ 512-bit steps of exclusive or, population count and addition in registers, all threads.
    popcount_giga_steps: f64,
    /// 10⁹ 512-bit steps of 64 byte products (VNNI) in registers, all threads.
    byte_product_giga_steps: f64,
}

impl Machine {
    fn measure() -> Self {
        let threads = rayon::current_num_threads();
        let chain = || {
            let mut x = black_box(3u64);
            for _ in 0..3_000_000u64 {
                x = x.wrapping_mul(black_box(0x9E37_79B9_7F4A_7C15));
            }
            black_box(x);
        };
        let memory = vec![1u64; 64 << 20];
        let read = || {
            use rayon::prelude::*;
            let sum: u64 =
                memory.par_chunks(1 << 17).map(|c| c.iter().fold(0u64, |s, &v| s.wrapping_add(v))).sum();
            black_box(sum);
        };
        let best = |threads: usize, work: &dyn Fn()| {
            (0..9).map(|_| processor_time(work)).fold(f64::INFINITY, f64::min) / threads as f64
        };
        let steps = 1u64 << 22;
        let everywhere = |kernel: fn(u64)| {
            let seconds = best(threads, &|| drop(rayon::broadcast(|_| kernel(steps))));
            16.0 * steps as f64 * threads as f64 / seconds / 1e9
        };
        Machine {
            threads,
            instruction_set: InstructionSet::best().to_string(),
            gigahertz: 3.0 * 3e6 / best(1, &chain) / 1e9,
            read_gigabytes_per_second: (512u64 << 20) as f64 / best(threads, &read) / 1e9,
            popcount_giga_steps: everywhere(roof::popcount),
            byte_product_giga_steps: everywhere(roof::byte_products),
        }
    }
}

/// Sixteen independent chains of the kernels' instructions, in registers.
#[cfg(target_arch = "x86_64")]
mod roof {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    pub fn popcount(steps: u64) {
        if is_x86_feature_detected!("avx512vpopcntdq") {
            // SAFETY: detected.
            unsafe { popcount_avx512(steps) }
        }
    }

    pub fn byte_products(steps: u64) {
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: detected.
            unsafe { byte_products_avx512(steps) }
        }
    }

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn popcount_avx512(steps: u64) {
        let mut sums = [_mm512_set1_epi64(black_box(5)); 16];
        let x = _mm512_set1_epi64(black_box(0x0123_4567_89AB_CDEF));
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(_mm512_xor_si512(*sum, x)));
            }
        }
        black_box(sums.map(|s| _mm512_reduce_add_epi64(s)));
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn byte_products_avx512(steps: u64) {
        let mut sums = [_mm512_set1_epi32(black_box(5)); 16];
        let (x, y) = (_mm512_set1_epi8(black_box(1)), _mm512_set1_epi8(black_box(3)));
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, x, y);
            }
        }
        black_box(sums.map(|s| _mm512_reduce_add_epi32(s)));
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod roof {
    pub fn popcount(_steps: u64) {}
    pub fn byte_products(_steps: u64) {}
}

/// Seconds that all threads of this process have run.
fn processor_clock() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to a valid `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

fn processor_time(work: &dyn Fn()) -> f64 {
    let start = processor_clock();
    work();
    processor_clock() - start
}

/// Milliseconds of a turn.
#[derive(Clone, Copy)]
struct Timing {
    best: f64,
    median: f64,
}

impl Timing {
    /// Billions in a second for a count of things that a turn does.
    fn rate(self, count: f64) -> f64 {
        1e-6 * count / self.median
    }
}

impl std::fmt::Display for Timing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:8.3} / {:8.3} ms", self.best, self.median)
    }
}

/// Runs the contestants in turns for about `budget` seconds.
fn race(budget: f64, contestants: &mut [Box<dyn FnMut() + Send + '_>]) -> Vec<Timing> {
    let mut times = vec![Vec::new(); contestants.len()];
    for contestant in contestants.iter_mut() {
        contestant();
    }
    let start = Instant::now();
    while times[0].len() < 5 || start.elapsed().as_secs_f64() < budget {
        for (contestant, times) in contestants.iter_mut().zip(&mut times) {
            times.push(awake(|| {
                let start = Instant::now();
                contestant();
                start.elapsed().as_secs_f64()
            }));
        }
    }
    let summary = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let [best, median] = [times[0], times[times.len() / 2]].map(|t| 1e3 * t);
        Timing { best, median }
    };
    times.into_iter().map(summary).collect()
}

/// Normal-like values: sums of uniform ones (the kernels' times do not depend on the values).
fn values(count: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes().chunks(2).map(|c| f32::from(c[0]) + f32::from(c[1])).sum::<f32>() / 1020.0
                - 1.0
        })
        .collect()
}

/// `y = x Wᵀ` by `gemm`, for x of tokens × columns, W of rows × columns.
fn gemm_f32(w: &[f32], x: &[f32], y: &mut [f32], rows: usize, tokens: usize, columns: usize) {
    assert!(w.len() == rows * columns && x.len() == tokens * columns && y.len() == tokens * rows);
    let (rows_i, columns_i) = (rows as isize, columns as isize);
    // SAFETY: the strides and extents stay inside the slices, whose lengths are asserted.
    unsafe {
        gemm::gemm(
            rows,
            tokens,
            columns,
            y.as_mut_ptr(),
            rows_i,
            1,
            false,
            w.as_ptr(),
            1,
            columns_i,
            x.as_ptr(),
            columns_i,
            1,
            0.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}

/// Copies of a matrix of `bytes` bytes such that together they do not fit a cache; one where weights are used many times.
fn copies(bytes: usize, tokens: usize) -> usize {
    if tokens > 1 { 1 } else { (256usize << 20).div_ceil(bytes).max(2) }
}

fn width(bits: u32) -> BitWidth {
    BitWidth::new(bits).unwrap()
}

const LLAMA_2_7B: [(usize, usize); 3] = [(4096, 4096), (11008, 4096), (4096, 11008)];

fn bipolar(machine: &Machine) {
    println!("out x in, tokens: best / median ms (share of bound); ratio to f32");
    for (rows, columns) in LLAMA_2_7B {
        let values_w = values(rows * columns);
        for tokens in [1, 128] {
            let x = values(tokens * columns);
            let dense = vec![values_w.clone(); copies(4 * rows * columns, tokens)];
            let packed: Vec<(String, u32, u32, InstructionSet, Vec<Weights>)> = [(1, 2), (2, 2)]
                .into_iter()
                .flat_map(|(n, m)| {
                    InstructionSet::available().into_iter().skip(1).map(move |set| (n, m, set))
                })
                .map(|(n, m, set)| {
                    let quantiser = Quantiser { rule: ScaleRule::Mean, ..Quantiser::rows(width(n)) };
                    let w = Weights::quantised(quantiser, &values_w, rows, columns).unwrap();
                    let count = copies(w.plane_bytes(), tokens);
                    (format!("W{n}A{m} {set}"), n, m, set, vec![w; count])
                })
                .collect();
            let mut turn = 0;
            let mut y = vec![0.0; rows * tokens];
            let mut contestants: Vec<Box<dyn FnMut() + Send + '_>> = vec![Box::new(|| {
                turn += 1;
                gemm_f32(&dense[turn % dense.len()], &x, &mut y, rows, tokens, columns);
            })];
            for (_, _, m, set, weights) in &packed {
                let (x, mut turn) = (&x, 0);
                let mut y = vec![0.0; rows * tokens];
                let mut activations = Activations::empty();
                contestants.push(Box::new(move || {
                    turn += 1;
                    activations.quantise_with(Quantiser::rows(width(*m)), x, tokens, columns, *set).unwrap();
                    weights[turn % weights.len()].product_f32(&activations, &mut y, *set).unwrap();
                }));
            }
            let times = race(if tokens == 1 { 3.0 } else { 2.0 }, &mut contestants);
            println!(
                "{rows:5} x {columns:5}, {tokens:3}: f32 gemm     {}  {:5.1} GB/s {:6.1} GMAC/s",
                times[0],
                times[0].rate((4 * rows * columns) as f64),
                times[0].rate((rows * columns * tokens) as f64)
            );
            for ((name, n, m, set, weights), timing) in packed.iter().zip(&times[1..]) {
                let bytes = timing.rate(weights[0].plane_bytes() as f64);
                let steps = timing.rate(f64::from(n * m) * (rows * columns * tokens) as f64 / 512.0);
                let share = if tokens == 1 {
                    format!(
                        "{bytes:5.1} GB/s = {:3.0}% of read rate",
                        1e2 * bytes / machine.read_gigabytes_per_second
                    )
                } else if *set == InstructionSet::best() {
                    format!("{:3.0}% of popcount rate", 1e2 * steps / machine.popcount_giga_steps)
                } else {
                    String::new()
                };
                let ratio = times[0].median / timing.median;
                println!("                   {name:12} {timing} {ratio:6.2}x  {share}");
            }
        }
    }
}

fn scaling(machine: &Machine) {
    let (rows, columns, tokens) = (4096, 4096, 128);
    let (values_w, x) = (values(rows * columns), values(tokens * columns));
    println!(
        "{rows} x {columns}, {tokens} tokens: time by plane pairs, against f32 and against 8-bit products (ternary kernel)"
    );
    let pairs = [(1, 1), (1, 2), (2, 2), (1, 4), (2, 4), (3, 4), (4, 4), (2, 8), (4, 8), (8, 8)];
    let set = InstructionSet::best();
    let ternary = TernaryMatrix::quantised(&values_w, rows, columns).unwrap();
    let weights: Vec<Weights> = pairs
        .iter()
        .map(|&(n, _)| Weights::quantised(Quantiser::rows(width(n)), &values_w, rows, columns).unwrap())
        .collect();
    let (mut dense_y, mut ternary_y) = (vec![0.0; rows * tokens], vec![0.0; rows * tokens]);
    let mut bytes = ByteRows::empty();
    let mut contestants: Vec<Box<dyn FnMut() + Send + '_>> = vec![
        Box::new(|| gemm_f32(&values_w, &x, &mut dense_y, rows, tokens, columns)),
        Box::new(|| {
            bytes.quantise(&x, tokens, columns, set).unwrap();
            ternary.product_f32(&bytes, &mut ternary_y, set).unwrap();
        }),
    ];
    for (weights, &(_, m)) in weights.iter().zip(&pairs) {
        let x = &x;
        let (mut y, mut activations) = (vec![0.0; rows * tokens], Activations::empty());
        contestants.push(Box::new(move || {
            activations.quantise_with(Quantiser::rows(width(m)), x, tokens, columns, set).unwrap();
            weights.product_f32(&activations, &mut y, set).unwrap();
        }));
    }
    let times = race(8.0, &mut contestants);
    println!("f32 gemm {}; ternary x int8 {}", times[0], times[1]);
    for (&(n, m), timing) in pairs.iter().zip(&times[2..]) {
        let steps = timing.rate(f64::from(n * m) * (rows * columns * tokens) as f64 / 512.0);
        println!(
            "W{n}A{m} {:3} pairs {timing}, {:7.3} ms a pair, {:3.0}% of popcount rate, {:6.2}x f32, {:5.2}x int8",
            n * m,
            timing.median / f64::from(n * m),
            1e2 * steps / machine.popcount_giga_steps,
            times[0].median / timing.median,
            times[1].median / timing.median
        );
    }
}

fn ternary(machine: &Machine) {
    println!("out x in, tokens: best / median ms; ratio to f32");
    for (rows, columns) in [(6912, 2560), (32000, 2560), (4096, 4096)] {
        let values_w = values(rows * columns);
        for tokens in [1, 128] {
            let x = values(tokens * columns);
            let dense = vec![values_w.clone(); copies(4 * rows * columns, tokens)];
            let packed = TernaryMatrix::quantised(&values_w, rows, columns).unwrap();
            let packed = vec![packed.clone(); copies(packed.bytes(), tokens)];
            let mut turn = 0;
            let mut y = vec![0.0; rows * tokens];
            let mut contestants: Vec<Box<dyn FnMut() + Send + '_>> = vec![Box::new(|| {
                turn += 1;
                gemm_f32(&dense[turn % dense.len()], &x, &mut y, rows, tokens, columns);
            })];
            for set in InstructionSet::available().into_iter().skip(1) {
                let (x, packed, mut turn) = (&x, &packed, 0);
                let mut y = vec![0.0; rows * tokens];
                let mut activations = ByteRows::empty();
                contestants.push(Box::new(move || {
                    turn += 1;
                    activations.quantise(x, tokens, columns, set).unwrap();
                    packed[turn % packed.len()].product_f32(&activations, &mut y, set).unwrap();
                }));
            }
            let times = race(if tokens == 1 { 3.0 } else { 2.0 }, &mut contestants);
            println!(
                "{rows:5} x {columns:5}, {tokens:3}: f32 gemm {} {:5.1} GB/s {:6.1} GMAC/s",
                times[0],
                times[0].rate((4 * rows * columns) as f64),
                times[0].rate((rows * columns * tokens) as f64)
            );
            for (set, timing) in InstructionSet::available().into_iter().skip(1).zip(&times[1..]) {
                let bytes = timing.rate(packed[0].bytes() as f64);
                let steps = timing.rate((rows * columns * tokens) as f64 / 64.0);
                println!(
                    "                   {:8} {timing} {:6.2}x  {bytes:5.1} GB/s = {:3.0}% of read rate, {:3.0}% of byte-product rate",
                    set.to_string(),
                    times[0].median / timing.median,
                    1e2 * bytes / machine.read_gigabytes_per_second,
                    1e2 * steps / machine.byte_product_giga_steps,
                );
            }
        }
    }
}

fn l_mul(machine: &Machine) {
    let n = 512;
    let (a, b) = (values(n * n), values(n * n));
    println!(
        "{n} x {n} x {n}: best / median ms; times slower than f32 gemm; cycles of a thread for 16 products"
    );
    let single = |form| LMul::<f32>::new(form, Overflow::Infinity);
    let six = LMul::rounded(6, Form::Integer, Overflow::Infinity).unwrap();
    let e4m3 = LMul::<mathesis_algebra::number_format::float8::E4M3>::new(Form::Integer, Overflow::Saturate)
        .in_f32();
    let rows = [
        ("integer", single(Form::Integer), Accumulation::F32),
        ("formula", single(Form::Formula), Accumulation::F32),
        ("integer, 6 bits", six, Accumulation::F32),
        ("E4M3, sums in E4M3", e4m3, Accumulation::E4M3),
    ];
    let mut dense = vec![0.0; n * n];
    let mut contestants: Vec<Box<dyn FnMut() + Send + '_>> =
        vec![Box::new(|| gemm_f32(&b, &a, &mut dense, n, n, n))];
    let mut names = Vec::new();
    for (name, multiplication, accumulation) in rows {
        for set in InstructionSet::available() {
            let (a, b) = (&a, &b);
            let (mut c, mut scratch) = (vec![0.0; n * n], Scratch::default());
            names.push(format!("{name}, {set}"));
            contestants.push(Box::new(move || {
                let (a, b) = (Side::plain(a), Side::transposed(b));
                l_mul::matrix_product(
                    &multiplication,
                    accumulation,
                    a,
                    b,
                    (n, n, n),
                    &mut c,
                    &mut scratch,
                    set,
                )
                .unwrap();
            }));
        }
    }
    let times = race(10.0, &mut contestants);
    println!("{:32} {}", "f32 gemm", times[0]);
    for (name, timing) in names.iter().zip(&times[1..]) {
        let vectors = timing.rate((n * n * n) as f64 / 16.0 / machine.threads as f64);
        println!(
            "{name:32} {timing} {:7.1}x slower, {:5.1} cycles",
            timing.median / times[0].median,
            machine.gigahertz / vectors
        );
    }
    let product = |name: &str, m, k, n, times| l_mul::MatrixProduct { name: name.into(), m, k, n, times };
    let layers = [
        product("scores Q K^T", 2048, 128, 2048, 32 * 32),
        product("values A V", 2048, 2048, 128, 32 * 32),
        product("projections", 2048, 4096, 4096, 4 * 32),
        product("gate, up, down", 2048, 4096, 11008, 3 * 32),
    ];
    println!("\nLLaMA-2-7B, 2048 tokens:\n{}", l_mul::CostReport::new(l_mul::Energy::F32, &layers));
    for (format, e, m) in [("E4M3", 4, 3), ("E5M2", 5, 2), ("bf16", 8, 7), ("f16", 5, 10), ("f32", 8, 23)] {
        println!("{format:5} {:?}", l_mul::GateCount::of(e, m));
    }
}

fn memory(_: &Machine) {
    let (mut planes, mut side, mut weights) = (0, 0, 0);
    for (rows, columns, times) in [(4096, 4096, 4), (11008, 4096, 2), (4096, 11008, 1)] {
        let w =
            Weights::quantised(Quantiser::rows(width(2)), &values(rows * columns), rows, columns).unwrap();
        planes += times * w.plane_bytes();
        side += times * w.side_bytes();
        weights += times * rows * columns;
    }
    let gibibytes = |bytes: usize| 32.0 * bytes as f64 / f64::from(1 << 30);
    println!(
        "32 layers of LLaMA-2-7B, {:.3}e9 weights at two bits: planes {:.3} GiB ({:.4} bits a weight), scales and sums {:.4} GiB",
        32.0 * weights as f64 / 1e9,
        gibibytes(planes),
        8.0 * planes as f64 / weights as f64,
        gibibytes(side)
    );
}
