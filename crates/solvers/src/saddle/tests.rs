//! The methods on small problems: convergence, equality with the pseudo-code, counted bytes, failures.

use std::ops::ControlFlow;
use std::time::Duration;

use faer::Mat;

use super::random::{Purpose, Stream};
use super::*;
use crate::{Progress, Silent, Status};

/// P* in small.
fn reference(dimension: usize, workers: usize) -> Problem {
    let operator = Bilinear::regularised(dimension, workers, 1.0, 30.0, 3.0, 2);
    Problem::new(Arc::new(operator), Constraint::None).unwrap()
}

fn method(name: Algorithm, iterations: usize, tolerance: f64) -> Method {
    Method { iterations, tolerance, timeout: 20.0, ..Method::new(name) }
}

fn run(problem: &Problem, method: &Method) -> Solution {
    solve(problem, method, &mut Silent).unwrap()
}

#[test]
fn every_exact_method_reaches_the_solution() {
    let problem = reference(10, 4);
    for name in [
        Algorithm::Extragradient,
        Algorithm::Optimistic,
        Algorithm::MirrorProx,
        Algorithm::DistributedExtragradient,
        Algorithm::Masha1,
        Algorithm::Masha2,
    ] {
        let mut method = method(name, 60_000, 1e-10);
        match name.unbiased() {
            Some(true) => {
                method.worker_compressor = Some(Compressor::rand_fraction(0.2));
                method.step_factor = Some(1.0);
            }
            Some(false) => method.worker_compressor = Some(Compressor::top_fraction(0.2)),
            None => {}
        }
        let solution = run(&problem, &method);
        assert_eq!(solution.status, Status::Converged, "{name:?} {:?}", solution.history.last());
        assert!(solution.certificate.distance.unwrap() <= 1e-10, "{name:?}");
        assert!(solution.certificate.residual < 1e-7, "{name:?}");
    }
}

#[test]
fn masha1_converges_with_every_unbiased_compressor_both_ways() {
    let problem = reference(6, 3);
    for compressor in [
        Compressor::Identity,
        Compressor::Bernoulli { probability: 0.5 },
        Compressor::Dithering { levels: 4 },
        Compressor::Natural,
        Compressor::rand_fraction(0.5),
    ] {
        let mut method = method(Algorithm::Masha1, 60_000, 1e-10);
        method.worker_compressor = Some(compressor.clone());
        method.server_compressor = Some(compressor.clone());
        let solution = run(&problem, &method);
        assert_eq!(solution.status, Status::Converged, "{compressor:?} {:?}", solution.history.last());
    }
}

#[test]
fn masha2_converges_with_contractive_compressors_both_ways() {
    let problem = reference(6, 3);
    for compressor in [
        Compressor::top_fraction(0.5),
        Compressor::ScaledSign,
        Compressor::Scaled { of: Box::new(Compressor::rand_fraction(0.5)) },
    ] {
        let mut method = method(Algorithm::Masha2, 100_000, 1e-9);
        method.worker_compressor = Some(compressor.clone());
        method.server_compressor = Some(compressor.clone());
        let solution = run(&problem, &method);
        assert_eq!(solution.status, Status::Converged, "{compressor:?} {:?}", solution.history.last());
    }
}

#[test]
fn rivals_without_variance_reduction_stall() {
    let problem = reference(10, 4);
    let mut stalls = method(Algorithm::CompressedExtragradient, 20_000, 1e-10);
    stalls.worker_compressor = Some(Compressor::rand_fraction(0.2));
    let solution = run(&problem, &stalls);
    assert_ne!(solution.status, Status::Converged);
    assert!(solution.certificate.distance.unwrap() > 1e-4);
    let mut feedback = method(Algorithm::ErrorFeedbackDescentAscent, 20_000, 1e-10);
    feedback.worker_compressor = Some(Compressor::top_fraction(0.2));
    assert_ne!(run(&problem, &feedback).status, Status::Converged);
}

#[test]
fn partial_participation_and_batches_converge() {
    let operator = Bilinear::positive_semidefinite(6, 4, 5, 1.0, 10.0, 3);
    let problem = Problem::new(Arc::new(operator), Constraint::None).unwrap();
    for (participants, batch) in [(Some(1), None), (Some(3), Some(2)), (None, Some(1))] {
        let mut method = method(Algorithm::Masha1, 100_000, 1e-9);
        method.worker_compressor = Some(Compressor::rand_fraction(0.5));
        (method.participants, method.batch) = (participants, batch);
        let solution = run(&problem, &method);
        assert_eq!(
            solution.status,
            Status::Converged,
            "{participants:?} {batch:?} {:?}",
            solution.history.last()
        );
        assert!(solution.notes.is_empty());
    }
}

/// The pseudo-code of MASHA1 line by line, without ranks, links or encodings, for Rand-k drawn from the same streams.
#[test]
fn masha1_follows_the_pseudo_code() {
    let (d, workers, iterations) = (8, 3, 60);
    let operator = Bilinear::regularised(4, workers, 1.0, 10.0, 2.0, 5);
    let set = Constraint::Box { lower: -0.8, upper: 0.3 };
    let problem = Problem::new(Arc::new(operator.clone()), set.clone()).unwrap();
    let mut method = method(Algorithm::Masha1, iterations, 0.0);
    method.worker_compressor = Some(Compressor::RandK { fraction: None, count: Some(3) });
    method.target = Some(Target::Residual);
    (method.step, method.tau, method.seed, method.record_every) =
        (Some(0.02), Some(0.7), 77, Some(iterations));
    let solution = run(&problem, &method);

    let (step, tau) = (0.02, 0.7);
    let each = |z: &[f64]| -> Vec<Vec<f64>> {
        (0..workers)
            .map(|m| {
                let mut value = vec![0.0; d];
                operator.evaluate(m, z, &mut value);
                value
            })
            .collect()
    };
    let mean = |values: &[Vec<f64>], i: usize| values.iter().map(|v| v[i]).sum::<f64>() / workers as f64;
    let mut z = problem.start.clone();
    let mut w = z.clone();
    for k in 1..=iterations as u64 {
        let at_w = each(&w);
        let anchor: Vec<f64> = (0..d).map(|i| tau * z[i] + (1.0 - tau) * w[i]).collect();
        let mut half: Vec<f64> = (0..d).map(|i| anchor[i] - step * mean(&at_w, i)).collect();
        set.proximal(step, &mut half);
        let at_half = each(&half);
        let compressed: Vec<Vec<f64>> = (0..workers)
            .map(|m| {
                let seed = Stream::new(77, Purpose::Compression, m + 1, k).long();
                let places = Stream::new(seed, Purpose::Indices, 0, 0).subset(3, d);
                let mut q = vec![0.0; d];
                places.iter().for_each(|&i| q[i] = (at_half[m][i] - at_w[m][i]) * d as f64 / 3.0);
                q
            })
            .collect();
        z = (0..d).map(|i| anchor[i] - step * (mean(&compressed, i) + mean(&at_w, i))).collect();
        set.proximal(step, &mut z);
        if Stream::new(77, Purpose::Coin, 0, k).uniform() < 1.0 - tau {
            w.clone_from(&z);
        }
    }
    // The solution is the better of the two recorded points, hence the last; 32-bit floats make the difference.
    let difference = z.iter().zip(&solution.value).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference < 1e-6, "{difference}");
    assert!(z.iter().zip(&problem.start).any(|(a, b)| (a - b).abs() > 1e-2));
}

/// The same for MASHA2 with Top-k both ways.
#[test]
fn masha2_follows_the_pseudo_code() {
    let (d, workers, iterations) = (8, 3, 60);
    let operator = Bilinear::regularised(4, workers, 1.0, 10.0, 2.0, 6);
    let problem = Problem::new(Arc::new(operator.clone()), Constraint::None).unwrap();
    let mut method = method(Algorithm::Masha2, iterations, 0.0);
    let top = Compressor::TopK { fraction: None, count: Some(3) };
    (method.worker_compressor, method.server_compressor) = (Some(top.clone()), Some(top));
    (method.step, method.tau, method.seed, method.record_every) =
        (Some(0.02), Some(0.7), 78, Some(iterations));
    let solution = run(&problem, &method);

    let (step, tau) = (0.02, 0.7);
    let compress = |v: &mut Vec<f64>| -> Vec<f64> {
        let mut order: Vec<usize> = (0..d).collect();
        order.sort_by(|a, b| v[*b].abs().total_cmp(&v[*a].abs()).then(a.cmp(b)));
        let mut c = vec![0.0; d];
        order[..3].iter().for_each(|&i| c[i] = f64::from(v[i] as f32));
        (0..d).for_each(|i| v[i] -= c[i]);
        c
    };
    let mut z = problem.start.clone();
    let mut w = z.clone();
    let mut memories = vec![vec![0.0; d]; workers];
    let mut memory = vec![0.0; d];
    let value = |m: usize, z: &[f64]| {
        let mut value = vec![0.0; d];
        operator.evaluate(m, z, &mut value);
        value
    };
    for k in 1..=iterations as u64 {
        let at_w: Vec<Vec<f64>> = (0..workers).map(|m| value(m, &w)).collect();
        let half: Vec<f64> = (0..d)
            .map(|i| {
                tau * z[i] + (1.0 - tau) * w[i]
                    - step * at_w.iter().map(|f| f[i]).sum::<f64>() / workers as f64
            })
            .collect();
        for m in 0..workers {
            let at_half = value(m, &half);
            (0..d).for_each(|i| memories[m][i] += step * (at_half[i] - at_w[m][i]));
            let c = compress(&mut memories[m]);
            (0..d).for_each(|i| memory[i] += c[i] / workers as f64);
        }
        let g = compress(&mut memory);
        z = (0..d).map(|i| half[i] - g[i]).collect();
        if Stream::new(78, Purpose::Coin, 0, k).uniform() < 1.0 - tau {
            w.clone_from(&z);
        }
    }
    let difference = z.iter().zip(&solution.value).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn the_same_seed_gives_the_same_iterates_and_another_seed_others() {
    let problem = reference(5, 3);
    let mut method = method(Algorithm::Masha1, 300, 0.0);
    method.worker_compressor = Some(Compressor::rand_fraction(0.3));
    method.record_every = Some(50);
    let bits = |method: &Method| -> Vec<u64> {
        run(&problem, method).history.iter().map(|point| point.residual.to_bits()).collect()
    };
    let first = bits(&method);
    assert_eq!(first, bits(&method));
    method.seed = 1;
    assert_ne!(first, bits(&method));
}

/// Bytes are those of the formulas: a dense exchange is 4D each way and worker; a compressed one as its codec's.
#[test]
fn counted_bytes_are_the_formulas() {
    let (workers, d, iterations) = (3u64, 14u64, 200usize);
    let problem = reference(7, 3);
    let mut method = method(Algorithm::Masha1, iterations, 0.0);
    method.worker_compressor = Some(Compressor::RandK { fraction: None, count: Some(4) });
    method.server_compressor = Some(Compressor::Natural);
    method.tau = Some(0.75);
    let coins = |method: &Method| {
        // The coin of the last iteration is not tossed: the solve is over.
        (1..iterations as u64)
            .filter(|k| Stream::new(method.seed, Purpose::Coin, 0, *k).uniform() < 0.25)
            .count() as u64
    };
    let dense = 1 + coins(&method);
    let k = iterations as u64;
    let traffic = run(&problem, &method).traffic;
    assert_eq!(traffic.bytes_up, workers * (dense * 4 * d + k * (4 * 4 + 8)));
    assert_eq!(traffic.bytes_down, workers * (dense * 4 * d + k * (9 * d).div_ceil(8)));
    assert_eq!(traffic.numbers_up, workers * (dense * d + 4 * k));
    assert_eq!(traffic.messages_up, workers * (dense + k));

    method.name = Algorithm::Masha2;
    method.worker_compressor = Some(Compressor::TopK { fraction: None, count: Some(4) });
    method.server_compressor = Some(Compressor::ScaledSign);
    let traffic = run(&problem, &method).traffic;
    assert_eq!(traffic.bytes_up, workers * (dense * 4 * d + k * 4 * (32 + 4) / 8));
    assert_eq!(traffic.bytes_down, workers * (dense * 4 * d + k * (32 + d).div_ceil(8)));

    method = self::method(Algorithm::DistributedExtragradient, iterations, 0.0);
    let traffic = run(&problem, &method).traffic;
    assert_eq!((traffic.bytes_up, traffic.bytes_down), (workers * k * 8 * d, workers * k * 8 * d));
}

#[test]
fn divergence_halves_the_step_and_says_so() {
    let problem = reference(6, 3);
    for name in [Algorithm::Masha1, Algorithm::Masha2, Algorithm::Extragradient] {
        let mut method = method(name, 60_000, 1e-8);
        method.worker_compressor = match name.unbiased() {
            Some(true) => Some(Compressor::rand_fraction(0.5)),
            Some(false) => Some(Compressor::top_fraction(0.5)),
            None => None,
        };
        method.step = Some(5.0);
        let solution = run(&problem, &method);
        assert_eq!(solution.status, Status::Converged, "{name:?}");
        assert!(solution.step < 0.2 && solution.notes.iter().all(|note| note.contains("halved")));
        assert_eq!(solution.step, 5.0 / 2f64.powi(solution.notes.len() as i32));
    }
    let mut rival = method(Algorithm::CompressedExtragradient, 1000, 1e-8);
    rival.worker_compressor = Some(Compressor::rand_fraction(0.5));
    rival.step = Some(5.0);
    let solution = run(&problem, &rival);
    assert!(matches!(&solution.status, Status::Stalled(why) if why.contains("diverged")));
    assert!(solution.value.iter().all(|v| v.is_finite()));
}

/// The value of a matrix game whose columns minimise, by the simplex method (Bland's rule): with payoffs above 0, max Σu subject to Au ≤ 1, u ≥ 0 is 1/value.
fn game_value(a: &Mat<f64>) -> f64 {
    let (rows, columns) = (a.nrows(), a.ncols());
    let shift = 1.0
        - (0..rows)
            .flat_map(|i| (0..columns).map(move |j| (i, j)))
            .map(|(i, j)| a[(i, j)])
            .fold(f64::MAX, f64::min);
    let width = columns + rows + 1;
    let mut tableau = vec![vec![0.0; width]; rows + 1];
    for i in 0..rows {
        for j in 0..columns {
            tableau[i][j] = a[(i, j)] + shift;
        }
        tableau[i][columns + i] = 1.0;
        tableau[i][width - 1] = 1.0;
    }
    (0..columns).for_each(|j| tableau[rows][j] = -1.0);
    let mut basis: Vec<usize> = (columns..columns + rows).collect();
    while let Some(entering) = (0..width - 1).find(|j| tableau[rows][*j] < -1e-10) {
        let ratio = |i: &usize| tableau[*i][width - 1] / tableau[*i][entering];
        let leaving = (0..rows)
            .filter(|i| tableau[*i][entering] > 1e-10)
            .min_by(|i, j| ratio(i).total_cmp(&ratio(j)).then(basis[*i].cmp(&basis[*j])))
            .unwrap();
        let pivot = tableau[leaving][entering];
        tableau[leaving].iter_mut().for_each(|v| *v /= pivot);
        for i in 0..=rows {
            if i != leaving {
                let factor = tableau[i][entering];
                for j in 0..width {
                    let change = factor * tableau[leaving][j];
                    tableau[i][j] -= change;
                }
            }
        }
        basis[leaving] = entering;
    }
    1.0 / tableau[rows][width - 1] - shift
}

#[test]
fn matrix_games_reach_the_value_of_the_linear_program() {
    assert!((game_value(&Mat::from_fn(1, 2, |_, j| if j == 0 { 2.0 } else { -1.0 })) + 1.0).abs() < 1e-12);
    let game = Bilinear::random_game(12, 9, 3, 4).centred_for_simplices();
    let original = Bilinear::random_game(12, 9, 3, 4).matrix();
    // Here the rows minimise.
    let value = game_value(&original.transpose().to_owned());
    let set = Constraint::pair((12, Constraint::Simplex), (9, Constraint::Simplex));
    let problem = Problem::new(Arc::new(game.clone()), set).unwrap();
    for name in [Algorithm::Masha1, Algorithm::MirrorProx, Algorithm::Extragradient, Algorithm::Optimistic] {
        let mut method = method(name, 200_000, 1e-4);
        if name == Algorithm::Masha1 {
            method.worker_compressor = Some(Compressor::rand_fraction(0.3));
            method.step_factor = Some(1.0);
        }
        let solution = run(&problem, &method);
        assert_eq!(solution.status, Status::Converged, "{name:?} {:?}", solution.history.last());
        let gap = solution.certificate.gap.unwrap();
        assert!((-1e-12..=1e-4).contains(&gap));
        // The best replies bracket the value, and the point's own value lies within the gap of it.
        let (x, y) = solution.value.split_at(12);
        let best_of_y =
            (0..9).map(|j| (0..12).map(|i| x[i] * original[(i, j)]).sum::<f64>()).fold(f64::MIN, f64::max);
        let best_of_x =
            (0..12).map(|i| (0..9).map(|j| original[(i, j)] * y[j]).sum::<f64>()).fold(f64::MAX, f64::min);
        assert!((best_of_y - best_of_x - gap).abs() < 1e-10, "{name:?}: the gap is not the duality gap");
        assert!(
            best_of_x <= value + 1e-9 && value <= best_of_y + 1e-9,
            "{name:?} {best_of_x} {value} {best_of_y}"
        );
    }
}

#[test]
fn robust_regression_and_the_minty_example_are_solved() {
    let regression = RobustRegression::generated(5, 3, 20, (0.1, 2.0), (1.0, 0.2), 1).unwrap();
    let ball = |radius| (5, Constraint::Ball { radius });
    let problem = Problem::new(Arc::new(regression), Constraint::pair(ball(1.0), ball(0.2))).unwrap();
    for (name, batch) in
        [(Algorithm::Extragradient, None), (Algorithm::Masha1, None), (Algorithm::Masha1, Some(4))]
    {
        let mut method = method(name, 300_000, 1e-8);
        method.target = Some(Target::Residual);
        method.batch = batch;
        method.worker_compressor = (name == Algorithm::Masha1).then(|| Compressor::rand_fraction(0.5));
        let solution = run(&problem, &method);
        assert_eq!(solution.status, Status::Converged, "{name:?} {:?}", solution.history.last());
    }
    let minty = Minty::generated(3, 3, 0.3, 2).unwrap();
    let problem = Problem::new(Arc::new(minty), Constraint::None).unwrap();
    for name in [Algorithm::Extragradient, Algorithm::Masha1] {
        let mut method = method(name, 100_000, 1e-8);
        method.worker_compressor = (name == Algorithm::Masha1).then(|| Compressor::rand_fraction(0.5));
        assert_eq!(run(&problem, &method).status, Status::Converged, "{name:?}");
    }
}

/// An operator that misbehaves in one worker after some evaluations.
struct Troubled {
    inner: Bilinear,
    trouble: fn(&mut [f64]),
    worker: usize,
    evaluations: std::sync::atomic::AtomicUsize,
}

impl Operator for Troubled {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }
    fn workers(&self) -> usize {
        self.inner.workers()
    }
    fn evaluate(&self, worker: usize, z: &[f64], value: &mut [f64]) {
        self.inner.evaluate(worker, z, value);
        // The server's own evaluations for measuring are on the calling thread, which has the test's name.
        let measuring = std::thread::current().name().is_some();
        let count = || self.evaluations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if worker == self.worker && !measuring && count() >= 10 {
            (self.trouble)(value);
        }
    }
    fn constants(&self) -> Constants {
        self.inner.constants()
    }
}

#[test]
fn a_worker_with_nan_that_dies_or_hangs_ends_the_solve() {
    type Trouble = (fn(&mut [f64]), f64, &'static str);
    let troubles: [Trouble; 3] = [
        (|value| value[2] = f64::NAN, 30.0, "worker 1 failed: F of worker 1 has the entry NaN at index 2"),
        (|_| std::panic::resume_unwind(Box::new("a dying worker")), 30.0, "worker 1 (rank 2) has ended"),
        (|_| std::thread::sleep(Duration::from_secs(8)), 1.5, "worker 1 (rank 2) sent nothing for 1.5 s"),
    ];
    for (trouble, timeout, message) in troubles {
        let inner = Bilinear::regularised(4, 3, 1.0, 10.0, 1.0, 1);
        let operator = Troubled { inner, trouble, worker: 1, evaluations: Default::default() };
        let problem = Problem::new(Arc::new(operator), Constraint::None).unwrap();
        let mut method = method(Algorithm::Masha1, 1000, 0.0);
        method.timeout = timeout;
        let error = solve(&problem, &method, &mut Silent).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn an_observer_may_stop_the_solve() {
    struct Impatient(usize);
    impl Observer for Impatient {
        fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
            self.0 = progress.iteration;
            if progress.iteration >= 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut method = method(Algorithm::Masha1, 100_000, 0.0);
    method.record_every = Some(10);
    let solution = solve(&reference(4, 2), &method, &mut Impatient(0)).unwrap();
    assert_eq!((solution.status, solution.iterations), (Status::Interrupted, 30));
}

#[test]
fn one_worker_one_entry_and_a_start_at_the_solution_are_no_trouble() {
    let one = Bilinear::new(vec![Mat::from_fn(1, 1, |_, _| 2.0)], vec![vec![1.0, -1.0]], 0.5).unwrap();
    let problem = Problem::new(Arc::new(one), Constraint::None).unwrap();
    let mut masha = method(Algorithm::Masha1, 20_000, 1e-10);
    masha.worker_compressor = Some(Compressor::RandK { fraction: None, count: Some(1) });
    assert_eq!(run(&problem, &masha).status, Status::Converged);
    let solved = Problem { start: problem.solution.clone().unwrap(), ..problem };
    let solution = run(&solved, &masha);
    assert_eq!((solution.status, solution.iterations, solution.traffic.bytes_up), (Status::Converged, 0, 0));
}

#[test]
fn options_out_of_range_are_refused() {
    let problem = reference(4, 3);
    let refused = |change: &dyn Fn(&mut Method)| {
        let mut method = Method::new(Algorithm::Masha1);
        change(&mut method);
        match solve(&problem, &method, &mut Silent) {
            Err(SolveError::Option { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|m| m.tau = Some(1.0)), "tau");
    assert_eq!(refused(&|m| m.tau = Some(0.0)), "tau");
    assert_eq!(refused(&|m| m.tau = Some(f64::NAN)), "tau");
    assert_eq!(refused(&|m| m.participants = Some(0)), "participants");
    assert_eq!(refused(&|m| m.participants = Some(4)), "participants");
    assert_eq!(refused(&|m| m.batch = Some(0)), "batch");
    assert_eq!(refused(&|m| m.step = Some(-1.0)), "step");
    assert_eq!(refused(&|m| m.step_factor = Some(0.0)), "step-factor");
    assert_eq!(refused(&|m| (m.step, m.step_factor) = (Some(0.1), Some(0.5))), "step-factor");
    assert_eq!(refused(&|m| m.iterations = 0), "iterations");
    assert_eq!(refused(&|m| m.timeout = 0.0), "timeout");
    assert_eq!(refused(&|m| m.record_every = Some(0)), "record-every");
    assert_eq!(refused(&|m| m.target = Some(Target::Gap)), "target");
    assert_eq!(refused(&|m| m.step_rule = Some(StepRule::Theory)), "step-rule");
    assert_eq!(refused(&|m| m.worker_compressor = Some(Compressor::top_fraction(0.1))), "worker-compressor");
    let zero = Compressor::RandK { fraction: None, count: Some(0) };
    assert_eq!(refused(&|m| m.worker_compressor = Some(zero.clone())), "worker-compressor");
    let many = Compressor::RandK { fraction: None, count: Some(9) };
    assert_eq!(refused(&|m| m.server_compressor = Some(many.clone())), "server-compressor");
    assert_eq!(
        refused(&|m| {
            m.name = Algorithm::Masha2;
            m.worker_compressor = Some(Compressor::rand_fraction(0.5));
        }),
        "worker-compressor"
    );
    assert_eq!(
        refused(&|m| {
            m.name = Algorithm::Extragradient;
            m.tau = Some(0.5);
        }),
        "tau"
    );
    let boxed = Problem { constraint: Constraint::Box { lower: 0.0, upper: 1.0 }, ..problem.clone() };
    assert!(matches!(
        solve(&boxed, &Method::new(Algorithm::Masha2), &mut Silent),
        Err(SolveError::Option { key: "name", .. })
    ));
    let (mut server, _) = transport::threads::star(2);
    assert_eq!(
        solve_as_rank(&problem, &Method::new(Algorithm::Masha1), &mut server, &mut Silent).unwrap_err(),
        SolveError::Ranks { workers: 3, found: 3 }
    );
}

#[test]
fn problem_files_are_read_and_complaints_have_places() {
    let folder = std::path::Path::new(".");
    let text = "[saddle-point]\noperator = \"regularised-bilinear\"\ndimension = 5\nworkers = 2\n\n\
                [method]\nname = \"masha1\"\nworker-compressor = { name = \"rand-k\", fraction = 0.5 }\ntolerance = 1e-3\n";
    let statement = Statement::parse(text, folder).unwrap();
    assert_eq!(statement.method.worker_compressor, Some(Compressor::rand_fraction(0.5)));
    assert_eq!(statement.problem.operator.dimension(), 10);
    assert_eq!(run(&statement.problem, &statement.method).status, Status::Converged);
    let other = Statement::parse_with(text, folder, Some(Algorithm::Extragradient), Some(9)).unwrap();
    assert_eq!((other.method.name, other.method.seed), (Algorithm::Extragradient, 9));

    let place = |wrong: &str, by: &str| {
        let text = text.replace(wrong, by);
        let error = match Statement::parse(&text, folder) {
            Err(error) => error,
            Ok(statement) => {
                let error = solve(&statement.problem, &statement.method, &mut Silent).unwrap_err();
                statement.locate(&error).unwrap()
            }
        };
        (text.get(error.span.clone()).unwrap_or("").to_string(), error)
    };
    assert_eq!(place("dimension = 5", "dimension = 0").0, "0");
    assert_eq!(place("dimension = 5", "samples = 5").0, "5");
    let (_, error) = place("dimension = 5", "dimensoin = 5");
    assert_eq!(error.help.as_deref(), Some("did you mean `dimension`?"));
    assert_eq!(place("tolerance = 1e-3", "tau = 1.5").0, "1.5");
    assert!(place("fraction = 0.5", "fraction = 0.0").1.message.contains("fraction"));
    assert!(place("rand-k", "rand").1.message.contains("rand"));
    assert!(
        place("workers = 2", "constraint = { name = \"ball\", radius = -1.0 }").1.message.contains("radius")
    );
}
