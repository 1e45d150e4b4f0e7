//! The methods against each other and against laws, on small problems.

use std::io::Write as _;
use std::ops::ControlFlow;

use faer::Mat;
use faer::sparse::{SparseRowMat, Triplet};
use mathesis_algebra::random::Stream;
use mathesis_algebra::sketch::DenseRows;

use super::input::{Column, Selection, open};
use super::synthetic::{Kind, Synthetic, SyntheticKronecker};
use super::*;
use crate::{Observer, Progress, Silent, Status};

fn synthetic(kind: Kind, rows: usize, columns: usize, noise: f64) -> Table {
    Synthetic { kind, rows, columns, noise, spikes: None, seed: 5 }.table()
}

fn solve(method: &Method, table: &Table) -> Result<Solution, SolveError> {
    method.solve(&mut table.clone(), &mut Silent)
}

fn sketched(sketch: SketchKind, rows: usize, seed: u64) -> Method {
    Method::SketchAndSolve(SketchAndSolve { sketch, rows: Some(rows), seed, ..SketchAndSolve::default() })
}

const HOUSEHOLDER: Method = Method::Householder(Direct { block_rows: None, memory_limit: Bytes(1 << 30) });
const SKETCHES: [SketchKind; 6] = [
    SketchKind::Srht,
    SketchKind::GaussianPooling,
    SketchKind::Gaussian,
    SketchKind::Sign,
    SketchKind::CountSketch,
    SketchKind::Osnap(4),
];

fn largest_difference(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn direct_methods_agree_and_are_least_squares() {
    for (n, d) in [(1, 1), (5, 5), (40, 3), (300, 17), (513, 64)] {
        let table = synthetic(Kind::Gaussian, n, d, 0.5);
        let qr = solve(&HOUSEHOLDER, &table).unwrap();
        let cholesky = solve(&Method::NormalEquations(Direct::default()), &table).unwrap();
        let svd = solve(&Method::Svd(Svd::default()), &table).unwrap();
        assert!(largest_difference(&qr.coefficients, &svd.coefficients) < 1e-9);
        assert!(largest_difference(&qr.coefficients, &cholesky.coefficients) < 1e-6);
        // The gradient vanishes, and the residual is that of the definition.
        let a = Mat::from_fn(n, d, |i, j| table.matrix[i * d + j]);
        let x = Mat::from_fn(d, 1, |j, _| qr.coefficients[j]);
        let r = Mat::from_fn(n, 1, |i, _| table.response[i]) - &a * &x;
        let scale = a.norm_l2() * table.response.iter().map(|b| b * b).sum::<f64>().sqrt();
        assert!((a.transpose() * &r).norm_l2() < 1e-12 * scale);
        assert!((r.norm_l2() - qr.certificate.residual.unwrap()).abs() < 1e-11 * scale);
        assert_eq!(qr.certificate.rank, d);
    }
}

#[test]
fn every_sketch_is_within_its_radii() {
    let table = synthetic(Kind::Gaussian, 2000, 12, 1.0);
    let exact = solve(&HOUSEHOLDER, &table).unwrap();
    for sketch in SKETCHES {
        let mut outside = 0;
        for seed in 0..10 {
            let solution = solve(&sketched(sketch, 256, seed), &table).unwrap();
            let errors = solution.coefficients.iter().zip(&exact.coefficients).map(|(a, b)| (a - b).abs());
            outside += usize::from(errors.zip(&solution.radius_coordinate).any(|(e, r)| e > *r));
            let facts = solution.sketch.unwrap();
            assert_eq!((facts.rows, facts.sketch.clone()), (256, sketch.to_string()));
            let truth = exact.certificate.smallest_singular_value;
            assert!((facts.singular_values.0 / truth - 1.0).abs() < 0.6, "{sketch}: {facts:?}");
            // The measured residual is hardly above the least one: (1 + d/m) on average.
            let ratio = solution.certificate.residual.unwrap() / exact.certificate.residual.unwrap();
            assert!((1.0..1.2).contains(&ratio), "{sketch}: {ratio}");
        }
        assert!(
            outside <= 1,
            "{sketch}: {outside} of 10 draws outside the radii that fail one time in a hundred"
        );
    }
}

#[test]
fn radii_of_the_gaussian_sketch_are_calibrated() {
    // The errors over their deviations follow Student's law: mean square ν/(ν − 2) with ν = m − d.
    let table = synthetic(Kind::Gaussian, 600, 6, 1.0);
    let exact = solve(&HOUSEHOLDER, &table).unwrap();
    let mut square = 0.0;
    let draws = 200;
    for seed in 0..draws {
        let solution = solve(&sketched(SketchKind::Gaussian, 40, seed), &table).unwrap();
        for j in 0..6 {
            square += ((solution.coefficients[j] - exact.coefficients[j]) / solution.deviation[j]).powi(2);
        }
    }
    let mean = square / (6 * draws) as f64;
    assert!((mean - 34.0 / 32.0).abs() < 0.25, "{mean}");
}

#[test]
fn refinement_reaches_the_least_squares_solution() {
    for kind in [Kind::Gaussian, Kind::Coherent] {
        let table = synthetic(kind, 3000, 20, 1.0);
        let exact = solve(&HOUSEHOLDER, &table).unwrap();
        for sketch in SKETCHES {
            let options = Refined { sketch, rows: Some(200), ..Refined::default() };
            let solution = solve(&Method::Refined(options), &table).unwrap();
            assert_eq!(solution.status, Status::Converged, "{kind:?} {sketch}");
            let scale = exact.coefficients.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            let error = largest_difference(&solution.coefficients, &exact.coefficients);
            let rounding = 1e-13 * exact.certificate.condition * scale;
            assert!(error < 1e-10 * scale + rounding, "{kind:?} {sketch}: {error}");
            assert!(solution.iterations > 2 && solution.iterations < 60, "{sketch}: {}", solution.iterations);
            let errors = solution.coefficients.iter().zip(&exact.coefficients).map(|(a, b)| (a - b).abs());
            for ((error, radius), exact) in
                errors.zip(&solution.radius_coordinate).zip(&exact.radius_coordinate)
            {
                assert!(error <= radius + exact + rounding, "{kind:?} {sketch}: {error} {radius}");
            }
        }
    }
}

#[test]
fn refinement_is_stopped_and_limited() {
    struct Stop;
    impl Observer for Stop {
        fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
            // The first call is that of the sketch; those of LSQR carry a residual.
            if progress.residual.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let table = synthetic(Kind::Gaussian, 2000, 10, 1.0);
    let stopped = Method::Refined(Refined::default()).solve(&mut table.clone(), &mut Stop).unwrap();
    assert_eq!((stopped.status, stopped.iterations), (Status::Interrupted, 1));
    let limited = Refined { max_iterations: 3, ..Refined::default() };
    let limited = solve(&Method::Refined(limited), &table).unwrap();
    assert_eq!((limited.status, limited.iterations), (Status::IterationLimit, 3));
    assert!(limited.certificate.optimality.unwrap() > 1e-12);
}

#[test]
fn equal_seeds_give_equal_bits_whatever_the_threads() {
    let table = synthetic(Kind::Gaussian, 5000, 30, 1.0);
    for sketch in SKETCHES {
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| solve(&sketched(sketch, 256, 3), &table)).unwrap()
        };
        let (one, three) = (in_pool(1), in_pool(3));
        assert_eq!(one.coefficients, three.coefficients, "{sketch}");
        assert_eq!(one.radius_coordinate, three.radius_coordinate, "{sketch}");
        let other = solve(&sketched(sketch, 256, 4), &table).unwrap();
        assert_ne!(one.coefficients, other.coefficients, "{sketch}");
    }
}

#[test]
fn an_exact_fit_is_found_exactly() {
    let table = synthetic(Kind::Gaussian, 1500, 9, 0.0);
    let exact = solve(&HOUSEHOLDER, &table).unwrap();
    for sketch in SKETCHES {
        let solution = solve(&sketched(sketch, 128, 1), &table).unwrap();
        assert!(largest_difference(&solution.coefficients, &exact.coefficients) < 1e-10, "{sketch}");
    }
    let refined = solve(&Method::Refined(Refined::default()), &table).unwrap();
    assert_eq!(refined.status, Status::Converged);
    assert!(largest_difference(&refined.coefficients, &exact.coefficients) < 1e-10);
}

#[test]
fn sparse_sketches_miss_single_coefficients() {
    // n = 2048, d = 256, m = 1024, k = 12 spikes: a collision has probability 1 − e⁻³ and costs √(d/k) = 4.6.
    let (n, d, m, k) = (2048, 256, 1024, 12);
    let table =
        Synthetic { kind: Kind::Adversarial, rows: n, columns: d, noise: 0.0, spikes: Some(k), seed: 0 }
            .table();
    // Columns that collide with each other make its sketch deficient: refused, unless least norm is asked for.
    let refused = solve(&sketched(SketchKind::CountSketch, m, 0), &table);
    assert!(matches!(refused, Err(SolveError::RankDeficient { .. })));
    let ratio = |sketch, seed| {
        let options =
            SketchAndSolve { sketch, rows: Some(m), seed, least_norm: true, ..SketchAndSolve::default() };
        let solution = solve(&Method::SketchAndSolve(options), &table).unwrap();
        (d as f64).sqrt() * solution.coefficients.iter().fold(0.0_f64, |m, x| m.max(x.abs()))
    };
    let collisions = (0..10).filter(|seed| ratio(SketchKind::CountSketch, *seed) > 4.0).count();
    assert!(collisions >= 7, "{collisions} of 10 draws");
    // Dense: about √(d/m) √(2 ln 2d) = 1.77.
    for sketch in [SketchKind::Srht, SketchKind::GaussianPooling] {
        for seed in 0..3 {
            let ratio = ratio(sketch, seed);
            assert!(ratio < 2.5, "{sketch}: {ratio}");
        }
    }
}

/// The instance for which a sketch that embeds perfectly well, and every fixed pair of vectors too, misses one coefficient by a
/// constant (section 2.4 of the note): S = M^{1/2}.
#[test]
fn the_counterexample_has_a_constant_error() {
    let (rho, alpha) = (0.05, 0.05);
    for d in [10, 100] {
        let stream = Stream::new(d as u64, 0);
        let mut v: Vec<f64> = (0..d).map(|j| if j == 0 { 0.0 } else { stream.normal(j as u64) }).collect();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
        let m = Mat::from_fn(d + 1, d + 1, |i, j| {
            let v = |i: usize| v.get(i).copied().unwrap_or(0.0);
            let unit = f64::from(u8::from(i == j));
            match (i == d, j == d) {
                (false, false) => {
                    let first = |i: usize| f64::from(u8::from(i == 0));
                    unit - rho * (first(i) * v(j) + v(i) * first(j))
                }
                (true, true) => 1.0,
                _ => alpha * (v(i) + v(j)),
            }
        });
        // The square root by the eigendecomposition; its first d columns are SA, its last S b.
        let eigen = m.self_adjoint_eigen(faer::Side::Lower).unwrap();
        let root = Mat::from_fn(d + 1, d + 1, |i, j| {
            (0..=d).map(|k| eigen.U()[(i, k)] * eigen.S().column_vector()[k].sqrt() * eigen.U()[(j, k)]).sum()
        });
        let table = Table {
            names: (0..d).map(|j| j.to_string()).collect(),
            matrix: (0..(d + 1) * d).map(|k| root[(k / d, k % d)]).collect(),
            response: (0..=d).map(|i| root[(i, d)]).collect(),
        };
        let x = solve(&HOUSEHOLDER, &table).unwrap().coefficients;
        assert!((x[0].abs() - alpha * rho / (1.0 - rho * rho)).abs() < 1e-9, "{d}: {}", x[0]);
    }
}

#[test]
fn kronecker_products_are_solved_from_their_factors() {
    let made = SyntheticKronecker { rows: [40, 33], columns: [4, 3], noise: 1.0, seed: 2 };
    let ([one, two], response) = made.factors();
    let problem = KroneckerProblem {
        first: DenseRows::new(&one, 40, 4),
        second: DenseRows::new(&two, 33, 3),
        response: &response,
    };
    let (n, d) = (40 * 33, 12);
    let product = Table {
        names: (0..d).map(|j| j.to_string()).collect(),
        matrix: (0..n * d)
            .map(|k| {
                let (i, j) = (k / d, k % d);
                one[i / 33 * 4 + j / 3] * two[i % 33 * 3 + j % 3]
            })
            .collect(),
        response: response.clone(),
    };
    let exact = solve(&HOUSEHOLDER, &product).unwrap();
    for seed in 0..5 {
        let options = SketchAndSolve { rows: Some(400), seed, ..SketchAndSolve::default() };
        let solution = solve_kronecker(problem, &options, &mut Silent).unwrap();
        for j in 0..d {
            let error = (solution.coefficients[j] - exact.coefficients[j]).abs();
            assert!(error <= solution.radius_coordinate[j], "{seed}: {error}");
        }
        let ratio = solution.certificate.residual.unwrap() / exact.certificate.residual.unwrap();
        assert!((1.0..1.1).contains(&ratio), "{ratio}");
    }
    let mut broken = response.clone();
    broken[7] = f64::NAN;
    let broken = KroneckerProblem { response: &broken, ..problem };
    let error = solve_kronecker(broken, &SketchAndSolve::default(), &mut Silent).unwrap_err();
    assert_eq!(error.to_string(), "row 8, the response: not a finite number");
}

#[test]
fn sparse_and_single_precision_matrices() {
    let (n, d) = (800, 6);
    let stream = Stream::new(1, 1);
    let entries: Vec<_> = (0..n)
        .flat_map(|i| {
            [Triplet::new(i, i % d, stream.normal(2 * i as u64)), Triplet::new(i, (i + 2) % d, 0.5)]
        })
        .collect();
    let sparse = SparseRowMat::try_new_from_triplets(n, d, &entries).unwrap();
    let response: Vec<f64> = (0..n).map(|i| stream.normal(2 * i as u64 + 1)).collect();
    let full = sparse.to_dense();
    let table = Table {
        names: (0..d).map(|j| j.to_string()).collect(),
        matrix: (0..n * d).map(|k| full[(k / d, k % d)]).collect(),
        response: response.clone(),
    };
    for method in [
        HOUSEHOLDER,
        Method::NormalEquations(Direct::default()),
        Method::Svd(Svd::default()),
        Method::Refined(Refined { rows: Some(100), ..Refined::default() }),
        sketched(SketchKind::CountSketch, 100, 0),
        sketched(SketchKind::Gaussian, 100, 0),
        sketched(SketchKind::Srht, 100, 0),
    ] {
        let mut problem = MatrixProblem::sparse(sparse.as_ref(), &response).unwrap();
        let from_sparse = method.solve(&mut problem, &mut Silent).unwrap();
        let from_full = solve(&method, &table).unwrap();
        let difference = largest_difference(&from_sparse.coefficients, &from_full.coefficients);
        assert!(difference < 1e-10, "{}: {difference}", method.name());
    }
    let single: Vec<f32> = table.matrix.iter().map(|x| *x as f32).collect();
    let mut problem = MatrixProblem::dense(DenseRows::single(&single, n, d), &response).unwrap();
    for method in
        [HOUSEHOLDER, Method::NormalEquations(Direct::default()), sketched(SketchKind::Srht, 100, 0)]
    {
        let solution = method.solve(&mut problem, &mut Silent).unwrap();
        let difference =
            largest_difference(&solution.coefficients, &solve(&method, &table).unwrap().coefficients);
        assert!(difference < 1e-5, "{}: {difference}", method.name());
    }
    assert!(matches!(
        MatrixProblem::dense(DenseRows::new(&[1.0, 2.0], 2, 1), &[1.0]),
        Err(SolveError::Lengths { rows: 2, response: 1 })
    ));
}

#[test]
fn deficient_rank_is_refused_or_solved_with_least_norm() {
    let mut table = synthetic(Kind::Gaussian, 500, 6, 1.0);
    for row in table.matrix.chunks_exact_mut(6) {
        row[5] = row[0] - 2.0 * row[1];
    }
    for method in [HOUSEHOLDER, sketched(SketchKind::Srht, 64, 0), Method::Refined(Refined::default())] {
        let error = solve(&method, &table).unwrap_err();
        assert!(matches!(error, SolveError::RankDeficient { rank: 5, columns: 6, .. }), "{error}");
    }
    let error = solve(&Method::NormalEquations(Direct::default()), &table);
    assert!(error.is_err() || error.unwrap().notes.iter().any(|note| note.contains("condition number")));
    let least = solve(&Method::Svd(Svd::default()), &table).unwrap();
    assert_eq!(least.certificate.rank, 5);
    // Least norm: no part along the null vector (1, −2, 0, 0, 0, −1).
    let x = &least.coefficients;
    assert!((x[0] - 2.0 * x[1] - x[5]).abs() < 1e-10);
    let auto = solve(&Method::Auto(Auto::default()), &table).unwrap();
    assert!(auto.notes[0].contains("svd") && largest_difference(&auto.coefficients, x) == 0.0);

    // Zero columns, and fewer rows than coefficients.
    let nothing = Table { names: vec!["a".into()], matrix: vec![0.0; 5], response: vec![1.0; 5] };
    assert!(matches!(solve(&HOUSEHOLDER, &nothing), Err(SolveError::RankDeficient { rank: 0, .. })));
    assert!(matches!(
        solve(&Method::Svd(Svd::default()), &nothing),
        Err(SolveError::RankDeficient { rank: 0, .. })
    ));
    let wide = synthetic(Kind::Gaussian, 4, 7, 1.0);
    for method in [
        HOUSEHOLDER,
        Method::NormalEquations(Direct::default()),
        sketched(SketchKind::Srht, 64, 0),
        Method::Refined(Refined::default()),
    ] {
        let error = solve(&method, &wide).unwrap_err();
        assert!(matches!(error, SolveError::Underdetermined { rows: 4, columns: 7 }), "{error}");
    }
    for method in [Method::Svd(Svd::default()), Method::Auto(Auto::default())] {
        let solution = solve(&method, &wide).unwrap();
        assert_eq!(solution.certificate.rank, 4);
        assert!(solution.certificate.residual.unwrap() < 1e-12 && solution.standard_error.is_empty());
    }
}

#[test]
fn wrong_input_is_named() {
    let mut table = synthetic(Kind::Gaussian, 300, 4, 1.0);
    let message = |method: &Method, table: &Table| solve(method, table).unwrap_err().to_string();
    let few = message(&sketched(SketchKind::Srht, 4, 0), &table);
    assert!(few.contains("`rows`") && few.contains("at least 5"), "{few}");
    let many = solve(&sketched(SketchKind::Srht, 400, 0), &table).unwrap();
    assert!(many.notes[0].contains("householder") && many.sketch.is_none());
    let osnap = message(&sketched(SketchKind::Osnap(70), 64, 0), &table);
    assert!(osnap.contains("`sketch`"), "{osnap}");
    for (epsilon, delta, key) in [(0.0, 0.1, "epsilon"), (f64::NAN, 0.1, "epsilon"), (0.5, 1.0, "delta")] {
        let options = SketchAndSolve { epsilon, delta, ..SketchAndSolve::default() };
        let complaint = message(&Method::SketchAndSolve(options), &table);
        assert!(complaint.contains(key), "{complaint}");
    }
    let empty = Table::default();
    assert!(matches!(solve(&HOUSEHOLDER, &empty), Err(SolveError::Empty { .. })));

    table.matrix[4 * 20 + 2] = f64::NAN;
    let mut methods = vec![
        HOUSEHOLDER,
        Method::NormalEquations(Direct::default()),
        Method::Svd(Svd::default()),
        Method::Refined(Refined::default()),
    ];
    methods.extend(SKETCHES.map(|sketch| sketched(sketch, 64, 0)));
    for method in methods {
        assert_eq!(message(&method, &table), "row 21, column `x3`: not a finite number", "{method:?}");
    }
    table.matrix[4 * 20 + 2] = 0.0;
    table.response[8] = f64::INFINITY;
    assert_eq!(
        message(&sketched(SketchKind::Srht, 64, 0), &table),
        "row 9, the response: not a finite number"
    );
}

/// A CSV file with names, and the same numbers as a NumPy array.
fn files(folder: &std::path::Path, table: &Table) -> [std::path::PathBuf; 2] {
    use npyz::WriterBuilder as _;
    let (n, d) = (table.response.len(), table.names.len());
    let csv = folder.join("data.csv");
    let mut file = std::fs::File::create(&csv).unwrap();
    writeln!(file, "y,{}", table.names.join(",")).unwrap();
    for (b, row) in table.response.iter().zip(table.matrix.chunks_exact(d)) {
        let row: Vec<String> = row.iter().map(|x| format!("{x:?}")).collect();
        writeln!(file, "{b:?},{}", row.join(",")).unwrap();
    }
    let npy = folder.join("data.npy");
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[n as u64, d as u64 + 1])
        .writer(std::fs::File::create(&npy).unwrap())
        .begin_nd()
        .unwrap();
    for (b, row) in table.response.iter().zip(table.matrix.chunks_exact(d)) {
        writer.push(b).unwrap();
        writer.extend(row.iter().copied()).unwrap();
    }
    writer.finish().unwrap();
    [csv, npy]
}

fn selection(response: Column) -> Selection {
    Selection { response, columns: None, intercept: false, header: true, separator: b',' }
}

#[test]
fn files_give_what_memory_gives_block_by_block() {
    let folder = tempfile::tempdir().unwrap();
    let table = synthetic(Kind::Gaussian, 3001, 5, 1.0);
    for path in files(folder.path(), &table) {
        let opened = || open(&path, &selection(Column::Number(1))).unwrap();
        let loaded = opened().load().unwrap();
        assert_eq!((&loaded.matrix, &loaded.response), (&table.matrix, &table.response));
        let block_rows = Some(700);
        let memory_limit = Bytes(1 << 30);
        for method in [
            Method::Householder(Direct { block_rows, memory_limit }),
            Method::NormalEquations(Direct { block_rows, memory_limit }),
            Method::Svd(Svd { block_rows, ..Svd::default() }),
            Method::Refined(Refined { block_rows, rows: Some(64), ..Refined::default() }),
        ] {
            let streamed = method.solve(&mut opened(), &mut Silent).unwrap();
            let whole = solve(&method, &table).unwrap();
            assert_eq!(streamed.rows, 3001);
            let difference = largest_difference(&streamed.coefficients, &whole.coefficients);
            assert!(difference < 1e-10, "{}: {difference}", method.name());
        }
        for sketch in SKETCHES {
            let options = SketchAndSolve { sketch, rows: Some(128), block_rows, ..SketchAndSolve::default() };
            let method = Method::SketchAndSolve(options);
            let streamed = method.solve(&mut opened(), &mut Silent).unwrap();
            let whole = solve(&method, &table).unwrap();
            let difference = largest_difference(&streamed.coefficients, &whole.coefficients);
            // Pooling draws a transform for each block. A CSV file's rows are known by a bound only, which changes the order
            // of the Hadamard matrix and with it the SRHT's sample.
            let same = match sketch {
                SketchKind::GaussianPooling => false,
                SketchKind::Srht => path.extension().is_some_and(|ending| ending == "npy"),
                _ => true,
            };
            if same {
                assert!(difference < 1e-10, "{sketch}: {difference}");
            } else {
                let bound = 2.0 * streamed.radius_coordinate.iter().fold(0.0_f64, |m, r| m.max(*r));
                assert!(difference > 0.0 && difference < bound, "{sketch}: {difference} {bound}");
            }
        }
    }
}

#[test]
fn files_are_selected_from_and_complained_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("a, b,kind,y\n1,2,red,3\n4,5,blue,6\n-1e2,0.5,red,7\n");
    let chosen = Selection {
        columns: Some(vec![Column::Name("b".into()), Column::Number(1)]),
        intercept: true,
        ..selection(Column::Name("y".into()))
    };
    let table = open(&path, &chosen).unwrap().load().unwrap();
    assert_eq!(table.names, ["b", "a", "intercept"]);
    assert_eq!(table.matrix, [2.0, 1.0, 1.0, 5.0, 4.0, 1.0, 0.5, -100.0, 1.0]);
    assert_eq!(table.response, [3.0, 6.0, 7.0]);

    let complaint = |selection: &Selection| match open(&path, selection) {
        Err(error) => error.to_string(),
        Ok(file) => file.load().unwrap_err().to_string(),
    };
    let all = selection(Column::Name("y".into()));
    assert!(complaint(&all).ends_with("line 2, column `kind`: `red` is not a number"), "{}", complaint(&all));
    let wrong = selection(Column::Name("kinds".into()));
    assert!(
        complaint(&wrong).ends_with("has no column `kinds`; did you mean `kind`?"),
        "{}",
        complaint(&wrong)
    );
    assert!(complaint(&selection(Column::Number(9))).contains("expected 1 to 4"));
    write("a,y\n1,2\n3,\n");
    assert!(complaint(&all).contains("line 3, column `y`: the value is missing"), "{}", complaint(&all));
    write("a,y\n1,2\n3\n");
    assert!(complaint(&all).contains("cannot read"), "{}", complaint(&all));
    let missing = folder.path().join("none.csv");
    assert!(open(&missing, &all).is_err());
    assert!(matches!(open(&folder.path().join("data.txt"), &all), Err(input::InputError::Format { .. })));

    // Without a header line the first row counts.
    write("1;2\n3;5\n4;4\n");
    let plain = Selection { header: false, separator: b';', ..selection(Column::Number(2)) };
    let table = open(&path, &plain).unwrap().load().unwrap();
    assert_eq!(
        (table.names, table.matrix, table.response),
        (vec!["x1".to_string()], vec![1.0, 3.0, 4.0], vec![2.0, 5.0, 4.0])
    );
}

#[test]
fn parquet_files_are_read_by_row_groups() {
    use std::sync::Arc;

    use parquet::data_type::{DoubleType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let schema = "message data { required double a; optional int32 b; required double y; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let write = |groups: &[usize], missing: Option<usize>| {
        let file = std::fs::File::create(&path).unwrap();
        let mut writer =
            SerializedFileWriter::new(file, schema.clone(), Arc::new(WriterProperties::default())).unwrap();
        let mut first = 0;
        for count in groups {
            let rows = first..first + count;
            let mut group = writer.next_row_group().unwrap();
            let a: Vec<f64> = rows.clone().map(|i| i as f64 / 2.0).collect();
            let b: Vec<i32> =
                rows.clone().filter(|i| Some(*i) != missing).map(|i| (i * i % 7) as i32).collect();
            let levels: Vec<i16> = rows.clone().map(|i| i16::from(Some(i) != missing)).collect();
            let y: Vec<f64> = rows.clone().map(|i| (i as f64).sqrt()).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&a, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int32Type>().write_batch(&b, Some(&levels), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&y, None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
            first += count;
        }
        writer.close().unwrap();
    };
    write(&[10, 1, 25], None);
    let opened = || open(&path, &selection(Column::Name("y".into()))).unwrap();
    let table = opened().load().unwrap();
    assert_eq!(table.names, ["a", "b"]);
    for i in 0..36 {
        assert_eq!(table.matrix[2 * i..2 * i + 2], [i as f64 / 2.0, (i * i % 7) as f64]);
        assert_eq!(table.response[i], (i as f64).sqrt());
    }
    // Blocks are filled across row groups.
    let mut sizes = Vec::new();
    opened()
        .visit(8, &mut |block| {
            assert_eq!(block.first, 8 * sizes.len());
            sizes.push(block.response.len());
            Ok(())
        })
        .unwrap();
    assert_eq!(sizes, [8, 8, 8, 8, 4]);
    write(&[10, 5], Some(12));
    let error = opened().load().unwrap_err().to_string();
    assert!(error.ends_with("line 13, column `b`: the value is missing, expected a number"), "{error}");
}

#[test]
fn statements_are_read_with_their_places() {
    let folder = std::path::Path::new("there");
    let parse = |text: &str| Statement::parse(text, folder, None);
    let statement = parse(
        "title = \"t\"\n[regression]\ndata = \"a.csv\"\nresponse = \"y\"\ncolumns = [\"p\", 3]\nintercept = true\n\
         [method]\nname = \"sketch-and-solve\"\nsketch = \"osnap(16)\"\nrows = 99\nmemory-limit = \"1.5 GB\"\n",
    )
    .unwrap();
    let Data::File { path, selection } = &statement.data else { panic!("a file") };
    assert_eq!(path, &folder.join("a.csv"));
    assert_eq!(selection.columns, Some(vec![Column::Name("p".into()), Column::Number(3)]));
    let Method::SketchAndSolve(options) = &statement.method else { panic!("sketch-and-solve") };
    assert_eq!((options.sketch, options.rows), (SketchKind::Osnap(16), Some(99)));
    assert_eq!(options.memory_limit, Bytes(1_500_000_000));
    let error = SolveError::Option { key: "rows", message: "few".into() };
    let place = statement.locate(&error).unwrap().span;
    assert_eq!(place.len(), 2);

    let synthetic = parse("[regression.synthetic]\nrows = 10\ncolumns = 2\nkind = \"coherent\"\n").unwrap();
    assert!(matches!(synthetic.data, Data::Synthetic(Synthetic { kind: Kind::Coherent, rows: 10, .. })));
    assert_eq!(synthetic.method.name(), "auto");
    let kronecker = "[regression.kronecker]\nrows = [8, 9]\ncolumns = [2, 3]\n[method]\nname = \"svd\"";
    assert!(parse(kronecker).unwrap_err().message.contains("does not apply to a Kronecker product"));
    assert!(Statement::parse(kronecker, folder, Some("sketch-and-solve")).is_ok());

    for (text, part) in [
        ("", "no table [regression]"),
        ("[regression]\nresponse = 1", "not at all or twice"),
        ("[regression]\ndata = \"a.csv\"", "no response"),
        (
            "[regression]\ndata = \"a.csv\"\nresponse = 1\n[regression.synthetic]\nrows = 1\ncolumns = 1",
            "twice",
        ),
        ("[regression.synthetic]\nrows = 0\ncolumns = 1", "0 rows"),
        ("[regression]\ndata = \"a.csv\"\nrespons = 1", "respons"),
        ("[regression.synthetic]\nrows = 9\ncolumns = 1\n[method]\nname = \"qr\"", "no method `qr`"),
        (
            "[regression.synthetic]\nrows = 9\ncolumns = 1\n[method]\nname = \"svd\"\nsketch = \"srht\"",
            "sketch",
        ),
        (
            "[regression.synthetic]\nrows = 9\ncolumns = 1\n[method]\nname = \"refined\"\nsketch = \"srth\"",
            "no sketch srth",
        ),
        (
            "[regression.synthetic]\nrows = 9\ncolumns = 1\n[method]\nname = \"refined\"\nmemory-limit = \"much\"",
            "no amount of memory",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.message.contains(part), "{text}: {error:?}");
    }
}

#[test]
fn little_memory_is_refused_with_the_amount_needed() {
    let folder = tempfile::tempdir().unwrap();
    let table = synthetic(Kind::Gaussian, 2000, 5, 1.0);
    let [_, npy] = files(folder.path(), &table);
    let options =
        SketchAndSolve { rows: Some(500), memory_limit: Bytes(50_000), ..SketchAndSolve::default() };
    let mut rows = open(&npy, &selection(Column::Number(1))).unwrap();
    let error = Method::SketchAndSolve(options).solve(&mut rows, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("`memory-limit`"), "{error}");
}
