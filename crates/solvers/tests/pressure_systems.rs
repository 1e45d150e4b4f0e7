//! Pressure systems of Kaneda et al. (ICML 2023) and other sparse systems, solved by every method.
//!
//! The iteration counts asked for here were measured with SciPy's conjugate gradients and ilupp's IC(0) on the same systems.

use std::path::PathBuf;

use mathesis_solvers::linear::{
    Cell, Csr, DirectionProposal, IdentityProposal, InverseProposal, LinearError, Load, Matrix, Method,
    Outside, PressureGrid, Solution, SymmetricMatrix, System, solve,
};
use mathesis_solvers::{Silent, Status};
use proptest::prelude::*;

fn with_tolerance(name: &str, tolerance: f64) -> Method {
    let mut method = Method::from_name(name).unwrap();
    match &mut method {
        Method::Auto(o) => o.tolerance = tolerance,
        Method::ConjugateGradient(o) | Method::Jacobi(o) => o.tolerance = tolerance,
        Method::IncompleteCholesky(o) => o.tolerance = tolerance,
        Method::ModifiedIncompleteCholesky(o) => o.tolerance = tolerance,
        Method::Multigrid(o) | Method::AlgebraicMultigrid(o) => o.tolerance = tolerance,
        Method::Deflated(o) => o.tolerance = tolerance,
        Method::Cholesky(o) => o.tolerance = tolerance,
        Method::DeepConjugateDirections(o) => o.tolerance = tolerance,
    }
    method
}

fn run(system: &System, name: &str, tolerance: f64) -> Solution {
    solve(system, &with_tolerance(name, tolerance), None, &mut Silent).unwrap()
}

fn grid_system(grid: PressureGrid, load: Load) -> System {
    let b = grid.right_side(load, 5);
    System::new(Matrix::Grid(grid), b, false).unwrap()
}

/// The first iteration whose residual is at most the tolerance.
fn iterations_to(solution: &Solution, tolerance: f64) -> usize {
    solution.history.iter().find(|point| point.residual <= tolerance).unwrap().iteration
}

fn assert_within(count: usize, asked: usize, what: &str) {
    let allowed = (0.02 * asked as f64).max(1.0);
    assert!((count as f64 - asked as f64).abs() <= allowed, "{what}: {count} iterations, asked {asked}");
}

/// Iterations of conjugate gradients to 1e-4 and 1e-6 and of IC(0) to 1e-4.
fn check_counts(system: &System, cg: [usize; 2], incomplete_cholesky: Option<usize>, what: &str) {
    let plain = run(system, "conjugate-gradient", 1e-6);
    assert_eq!(plain.status, Status::Converged);
    assert_within(iterations_to(&plain, 1e-4), cg[0], what);
    assert_within(plain.iterations, cg[1], what);
    if let Some(asked) = incomplete_cholesky {
        let solution = run(system, "incomplete-cholesky", 1e-4);
        assert_eq!(solution.status, Status::Converged);
        assert_within(solution.iterations, asked, what);
    }
}

#[test]
fn iteration_counts_at_32() {
    let shape = [32; 3];
    let empty = PressureGrid::empty(&shape, Outside::Open).unwrap();
    check_counts(&grid_system(empty, Load::PointSource), [71, 92], None, "empty");
    let ball = PressureGrid::around_ball(&shape, Outside::Open).unwrap();
    check_counts(&grid_system(ball, Load::FlowPastObstacle), [56, 73], None, "ball");
}

#[test]
#[ignore = "seconds in release: cargo nextest run --release --run-ignored all"]
fn iteration_counts_at_64() {
    let shape = [64; 3];
    let open = grid_system(PressureGrid::empty(&shape, Outside::Open).unwrap(), Load::PointSource);
    check_counts(&open, [131, 177], Some(42), "64 empty, open");
    let closed = grid_system(PressureGrid::empty(&shape, Outside::Closed).unwrap(), Load::PointSource);
    check_counts(&closed, [202, 298], Some(64), "64 empty, closed");
}

#[test]
#[ignore = "half a minute in release: cargo nextest run --release --run-ignored all"]
fn iteration_counts_at_128() {
    let open = grid_system(PressureGrid::empty(&[128; 3], Outside::Open).unwrap(), Load::PointSource);
    check_counts(&open, [244, 339], Some(78), "128 empty, open");
}

/// The mask of a bunny, if the data folder has it.
fn bunny(n: usize) -> Option<Vec<Cell>> {
    let Some(folder) = std::env::var_os("MATHESIS_DATA") else {
        println!("skipped: MATHESIS_DATA is not set");
        return None;
    };
    let bits = std::fs::read(PathBuf::from(folder).join(format!("bunny-voxels/bunny{n}.bits"))).unwrap();
    let solid = |cell: usize| bits[cell / 8] >> (cell % 8) & 1 == 1;
    Some((0..n * n * n).map(|cell| if solid(cell) { Cell::Solid } else { Cell::Fluid }).collect())
}

#[test]
#[ignore = "a minute in release, with MATHESIS_DATA set: cargo nextest run --release --run-ignored all"]
fn iteration_counts_around_the_bunny() {
    let counts = [
        (64, Outside::Open, [167, 231], 55, 255_565),
        (64, Outside::Closed, [285, 391], 92, 255_565),
        (128, Outside::Open, [332, 458], 109, 2_044_888),
        (128, Outside::Closed, [569, 782], 187, 2_044_888),
    ];
    for (n, outside, cg, incomplete_cholesky, unknowns) in counts {
        let Some(cells) = bunny(n) else { return };
        let grid = PressureGrid::new(&[n; 3], cells, &[[outside; 2]; 3]).unwrap();
        assert_eq!(grid.fluid_cells(), unknowns);
        let system = grid_system(grid, Load::FlowPastObstacle);
        check_counts(&system, cg, Some(incomplete_cholesky), &format!("{n} bunny, {outside:?}"));
    }
}

/// Solids and air scattered in a plane or in space.
fn scattered(shape: &[usize], seed: u64, outside: Outside) -> Option<PressureGrid> {
    let mut state = seed;
    let cells = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match state >> 60 {
                0..3 => Cell::Solid,
                3 => Cell::Air,
                _ => Cell::Fluid,
            }
        })
        .collect();
    PressureGrid::new(shape, cells, &vec![[outside; 2]; shape.len()]).ok()
}

const METHODS: &[&str] = &[
    "auto",
    "conjugate-gradient",
    "jacobi",
    "incomplete-cholesky",
    "modified-incomplete-cholesky",
    "multigrid",
    "algebraic-multigrid",
    "deflated",
    "cholesky",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn all_methods_agree_on_any_grid(
        shape in prop::collection::vec(1usize..12, 2..=3), seed in 0..10_000u64, closed in any::<bool>()
    ) {
        let outside = if closed { Outside::Closed } else { Outside::Open };
        let Some(grid) = scattered(&shape, seed, outside) else { return Ok(()) };
        let system = grid_system(grid.clone(), Load::WhiteNoise);
        let (matrix, cells) = grid.compressed();
        let short: Vec<f64> = cells.iter().map(|&cell| system.right_side()[cell as usize]).collect();
        let sparse = Matrix::Sparse(SymmetricMatrix::new(matrix).unwrap());
        let sparse = System::new(sparse, short, false).unwrap();
        let reference = run(&system, "cholesky", 1e-6);
        let scale = reference.values.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        for name in METHODS {
            let solution = run(&system, name, 1e-9);
            prop_assert_eq!(&solution.status, &Status::Converged, "{} on the grid {:?}", name, shape);
            for (value, expected) in solution.values.iter().zip(&reference.values) {
                prop_assert!((value - expected).abs() < 1e-5 * scale, "{}", name);
            }
            let solution = run(&sparse, name, 1e-9);
            prop_assert_eq!(&solution.status, &Status::Converged, "{} on the matrix {:?}", name, shape);
            for (value, &cell) in solution.values.iter().zip(&cells) {
                prop_assert!((value - reference.values[cell as usize]).abs() < 1e-5 * scale, "{}", name);
            }
        }
    }
}

#[test]
fn the_identity_as_proposal_gives_the_iterates_of_conjugate_gradients() {
    let system = grid_system(PressureGrid::empty(&[32; 3], Outside::Open).unwrap(), Load::WhiteNoise);
    let capped = |mut method: Method| {
        match &mut method {
            Method::ConjugateGradient(o) => (o.iterations, o.tolerance) = (30, 0.0),
            Method::DeepConjugateDirections(o) => (o.iterations, o.tolerance) = (30, 0.0),
            _ => unreachable!(),
        }
        method
    };
    let cg = capped(Method::from_name("conjugate-gradient").unwrap());
    let dcdm = capped(Method::from_name("deep-conjugate-directions").unwrap());
    let expected = solve(&system, &cg, None, &mut Silent).unwrap();
    let found = solve(&system, &dcdm, Some(&mut IdentityProposal), &mut Silent).unwrap();
    assert_eq!(found.iterations, 30);
    let scale = expected.values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (a, b) in found.values.iter().zip(&expected.values) {
        assert!((a - b).abs() < 1e-10 * scale);
    }
    for (a, b) in found.history.iter().zip(&expected.history) {
        assert!((a.residual / b.residual - 1.0).abs() < 1e-10);
    }
}

#[test]
fn the_inverse_as_proposal_ends_after_one_step() {
    for outside in [Outside::Open, Outside::Closed] {
        let grid = PressureGrid::around_ball(&[12; 3], outside).unwrap();
        let system = grid_system(grid.clone(), Load::WhiteNoise);
        let mut inverse = InverseProposal(|r: &[f64]| {
            let system = System::new(Matrix::Grid(grid.clone()), r.to_vec(), true).unwrap();
            run(&system, "cholesky", 1e-6).values
        });
        let method = with_tolerance("deep-conjugate-directions", 1e-10);
        let solution = solve(&system, &method, Some(&mut inverse), &mut Silent).unwrap();
        assert_eq!((solution.status, solution.iterations), (Status::Converged, 1));
    }
}

/// A proposal that is useless in one way or another.
struct Useless(f64);

impl DirectionProposal for Useless {
    fn name(&self) -> String {
        format!("{}", self.0)
    }

    fn propose(&mut self, _: &[f64], direction: &mut [f64]) -> Result<(), String> {
        direction.fill(self.0);
        Ok(())
    }
}

#[test]
fn useless_proposals_are_replaced_by_the_residual() {
    // On a closed grid a constant is in the null space; NaN is no direction anywhere.
    let system =
        grid_system(PressureGrid::around_ball(&[10; 3], Outside::Closed).unwrap(), Load::FlowPastObstacle);
    let expected = run(&system, "conjugate-gradient", 1e-6).iterations;
    for useless in [f64::NAN, f64::INFINITY, 0.0, 1.0] {
        let method = with_tolerance("deep-conjugate-directions", 1e-6);
        let solution = solve(&system, &method, Some(&mut Useless(useless)), &mut Silent).unwrap();
        assert_eq!(solution.status, Status::Converged);
        assert!(solution.iterations.abs_diff(expected) <= 1, "{} {expected}", solution.iterations);
        assert!(solution.notes.iter().any(|note| note.contains("proposals were no good directions")));
    }
    let method = with_tolerance("deep-conjugate-directions", 1e-6);
    let error = solve(&system, &method, None, &mut Silent).unwrap_err();
    assert!(matches!(error, LinearError::Option { key: "network", .. }));
}

fn sparse(rows: &[&[f64]]) -> Result<Matrix, LinearError> {
    let entry = |i: usize, j: usize| (i as u32, j as u32, rows[i][j]);
    let entries = (0..rows.len()).flat_map(|i| (0..rows[i].len()).map(move |j| entry(i, j)));
    let columns = rows.first().map_or(0, |row| row.len());
    let csr = Csr::from_entries(rows.len(), columns, entries.filter(|e| e.2 != 0.0).collect())?;
    SymmetricMatrix::new(csr).map(Matrix::Sparse)
}

#[test]
fn wrong_systems_are_refused_by_name() {
    let unsymmetric = sparse(&[&[2.0, 1.0], &[0.5, 2.0]]).unwrap_err();
    assert!(matches!(unsymmetric, LinearError::NotSymmetric { row: 1, column: 2, .. }), "{unsymmetric}");
    assert!(matches!(sparse(&[&[2.0, 1.0]]).unwrap_err(), LinearError::NotSquare { rows: 1, columns: 2 }));
    assert!(matches!(sparse(&[]).unwrap_err(), LinearError::Empty(_)));
    assert!(matches!(sparse(&[&[f64::NAN]]).unwrap_err(), LinearError::NotFinite { .. }));

    let good = || sparse(&[&[2.0, -1.0], &[-1.0, 2.0]]).unwrap();
    let length = System::new(good(), vec![1.0; 3], false).unwrap_err();
    assert!(matches!(length, LinearError::Length { expected: 2, found: 3, .. }));
    let infinite = System::new(good(), vec![1.0, f64::INFINITY], false).unwrap_err();
    assert!(infinite.to_string().contains("entry 2"), "{infinite}");
    let negative =
        System::new(sparse(&[&[-2.0, 1.0], &[1.0, 2.0]]).unwrap(), vec![1.0; 2], false).unwrap_err();
    assert!(matches!(negative, LinearError::NotPositiveDefinite(_)));
    let saddle = System::new(sparse(&[&[0.0, 1.0], &[1.0, 2.0]]).unwrap(), vec![1.0; 2], false).unwrap_err();
    assert!(matches!(saddle, LinearError::NotPositiveDefinite(_)));

    // Two paths, the second one without any fixed end.
    let rows: [&[f64]; 4] =
        [&[2.0, -1.0, 0.0, 0.0], &[-1.0, 1.0, 0.0, 0.0], &[0.0, 0.0, 1.0, -1.0], &[0.0, 0.0, -1.0, 1.0]];
    let outside = System::new(sparse(&rows).unwrap(), vec![1.0, 0.0, 3.0, 1.0], false).unwrap_err();
    assert!(outside.to_string().contains("connected component 2 (2 unknowns)"), "{outside}");
    let projected = System::new(sparse(&rows).unwrap(), vec![1.0, 0.0, 3.0, 1.0], true).unwrap();
    assert!(projected.notes()[0].contains("projected"));
    for name in METHODS {
        let solution = run(&projected, name, 1e-12);
        assert_eq!(solution.status, Status::Converged, "{name}");
        for (value, expected) in solution.values.iter().zip([1.0, 1.0, 0.5, -0.5]) {
            assert!((value - expected).abs() < 1e-10, "{name}");
        }
    }
}

#[test]
fn an_indefinite_matrix_stalls_by_name() {
    // Positive on the diagonal, with eigenvalues 3 and -1.
    let system = System::new(sparse(&[&[1.0, 2.0], &[2.0, 1.0]]).unwrap(), vec![1.0, 0.0], false).unwrap();
    for name in ["conjugate-gradient", "jacobi", "deflated"] {
        let solution = run(&system, name, 1e-8);
        let Status::Stalled(reason) = &solution.status else { panic!("{name}: {:?}", solution.status) };
        assert!(reason.contains("not positive definite"), "{reason}");
    }
    let method = with_tolerance("deep-conjugate-directions", 1e-8);
    let solution = solve(&system, &method, Some(&mut IdentityProposal), &mut Silent).unwrap();
    assert!(matches!(solution.status, Status::Stalled(_)));
    let error = solve(&system, &with_tolerance("cholesky", 1e-8), None, &mut Silent).unwrap_err();
    assert!(matches!(error, LinearError::NotPositiveDefinite(_)));
}

#[test]
fn zero_right_sides_and_limits() {
    let grid = PressureGrid::empty(&[8; 3], Outside::Open).unwrap();
    let zero = System::new(Matrix::Grid(grid.clone()), vec![0.0; 512], false).unwrap();
    for name in METHODS {
        let solution = run(&zero, name, 1e-6);
        assert_eq!((solution.status, solution.iterations, solution.residual), (Status::Converged, 0, 0.0));
        assert!(solution.values.iter().all(|&x| x == 0.0));
    }
    let system = grid_system(grid, Load::WhiteNoise);
    let mut method = with_tolerance("conjugate-gradient", 1e-12);
    if let Method::ConjugateGradient(o) = &mut method {
        o.iterations = 3;
    }
    let limited = solve(&system, &method, None, &mut Silent).unwrap();
    assert_eq!((limited.status, limited.iterations), (Status::IterationLimit, 3));
    // A tolerance that rounding does not allow is named as such.
    let stalled = run(&system, "conjugate-gradient", 1e-18);
    assert!(matches!(stalled.status, Status::Stalled(reason) if reason.contains("rounding")));
    let refused = solve(&system, &with_tolerance("multigrid", 1.5), None, &mut Silent).unwrap_err();
    assert!(matches!(refused, LinearError::Option { key: "tolerance", .. }));
}

#[test]
fn multigrid_needs_few_iterations_of_any_grid() {
    for outside in [Outside::Open, Outside::Closed] {
        for (shape, load) in [
            (vec![40, 40, 40], Load::FlowPastObstacle),
            (vec![33, 40, 27], Load::WhiteNoise),
            (vec![150, 131], Load::PointSource),
        ] {
            let grid = PressureGrid::around_ball(&shape, outside).unwrap();
            let system = grid_system(grid, load);
            for (name, allowed) in [("multigrid", 14), ("algebraic-multigrid", 20)] {
                let solution = run(&system, name, 1e-8);
                assert_eq!(solution.status, Status::Converged);
                println!("{name} {shape:?} {outside:?}: {} iterations", solution.iterations);
                assert!(
                    solution.iterations <= allowed,
                    "{name} {shape:?} {outside:?}: {}",
                    solution.iterations
                );
            }
        }
    }
}
