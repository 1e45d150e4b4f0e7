use super::*;
use crate::pde::Silent;
use crate::pde::options::PerAxis;
use crate::pde::test_problems::{axis, box_of, paper_problem, periodic, stalling, wall};

fn differences(points: usize, order: usize) -> FiniteDifference {
    let points = Some(PerAxis::All(points));
    FiniteDifference {
        options: options::FiniteDifference { points, order, ..options::FiniteDifference::default() },
    }
}

/// Solves and returns the error; the estimate is within a factor 30 of it.
fn error(problem: &Problem, points: usize, order: usize) -> f64 {
    let solution = differences(points, order).solve(problem, &mut Silent).unwrap();
    assert_eq!(solution.status, Status::Converged);
    let errors = Solution::errors(problem, &solution.fields).unwrap().unwrap().relative;
    let error = errors.into_iter().fold(0.0, f64::max);
    let estimate = solution.error_estimate.unwrap();
    println!("{points} points, order {order}: error {error:.2e} estimate {estimate:.2e}");
    assert!(
        error <= 30.0 * estimate && estimate <= 30.0 * error + 1e-12,
        "error {error:e} estimate {estimate:e}"
    );
    error
}

/// Doubling the grid reduces the error by the order's power of two.
fn converges(problem: &Problem, points: usize) {
    for order in [2, 4] {
        let (coarse, fine) = (error(problem, points, order), error(problem, 2 * points - 1, order));
        let rate = (coarse / fine).log2();
        println!("order {order}: rate {rate:.2}");
        assert!(rate > order as f64 - 0.4, "order {order}: {coarse:e} -> {fine:e}");
    }
}

#[test]
fn orders_in_one_dimension() {
    let x = || box_of(vec![axis("x", "0", "2")], &["u"]).solved_by(&["sin(3*x)*exp(x/2)"]);
    converges(&x().manufactured("u_xx - u").exact_on(&["x-", "x+"], "u"), 65);
    converges(&x().manufactured("u_xx - u").exact_on(&["x-"], "u_x").exact_on(&["x+"], "u_x + u"), 65);
    converges(&x().manufactured("u_x + x*u").exact_on(&["x-"], "u"), 65);
    converges(
        &x().manufactured("u_xxxx + u").exact_on(&["x-", "x+"], "u").exact_on(&["x-", "x+"], "u_x"),
        33,
    );
    converges(&x().manufactured("u_xxx + u").exact_on(&["x-", "x+"], "u").exact_on(&["x-"], "u_x"), 65);
    converges(&x().manufactured("u_xx - u^3 + u_x*u").exact_on(&["x-", "x+"], "u"), 65);
    let ring = box_of(vec![periodic("x", "0", "1")], &["u"]).solved_by(&["exp(sin(2*pi*x))"]);
    converges(&ring.manufactured("u_xx - u + u_x"), 65);
}

#[test]
fn orders_in_two_dimensions() {
    let plane = || {
        box_of(vec![axis("x", "0", "1"), axis("y", "-1", "1")], &["u"]).solved_by(&["sin(3*x + y)*exp(y)"])
    };
    converges(&plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+", "y-", "y+"], "u"), 25);
    let mixed = plane().manufactured("u_xx + u_yy + u_xy/2 - u").exact_on(&["x-", "y+"], "u");
    converges(&mixed.exact_on(&["x+"], "u_x").exact_on(&["y-"], "u_y"), 25);
    let strip =
        |exact: &str| box_of(vec![axis("x", "0", "1"), axis("t", "0", "1/2")], &["u"]).solved_by(&[exact]);
    converges(&strip("sin(4*(x - 2*t))").manufactured("u_t + 2*u_x").exact_on(&["x-", "t-"], "u"), 33);
    converges(
        &strip("exp(-t)*sin(3*x + t)").manufactured("u_t - u_xx").exact_on(&["x-", "x+", "t-"], "u"),
        25,
    );
    let wave = strip("sin(4*(x - t))").manufactured("u_tt - u_xx").exact_on(&["x-", "x+", "t-"], "u");
    converges(&wave.exact_on(&["t-"], "u_t"), 33);
    let burgers =
        strip("1 + sin(2*x - t)/2").manufactured("u_t + u*u_x - u_xx/5").exact_on(&["x-", "x+", "t-"], "u");
    converges(&burgers, 25);
}

#[test]
fn systems_and_three_dimensions() {
    let maxwell = box_of(vec![axis("x", "0", "1"), axis("t", "0", "1")], &["u", "v"])
        .solved_by(&["sin(3*(x - t))", "-sin(3*(x - t))"])
        .manufactured("u_t - v_x")
        .manufactured("v_t - u_x")
        .exact_on(&["x-", "x+", "t-"], "u")
        .exact_on(&["t-"], "v");
    assert!(error(&maxwell, 41, 2) < 5e-3);
    let cube = box_of(vec![axis("x", "0", "1"), axis("y", "0", "1"), axis("z", "0", "1")], &["u"])
        .solved_by(&["sin(3*x + y)*exp(z/2)"])
        .manufactured("u_xx + u_yy + u_zz")
        .exact_on(&["x-", "x+", "y-", "y+", "z-", "z+"], "u");
    assert!(error(&cube, 17, 4) < 1e-4);
}

#[test]
fn rough_data_are_no_obstacle() {
    let kink = box_of(vec![axis("x", "-1", "1")], &["u"])
        .solved_by(&["x*abs(x)/2"])
        .equation("u_xx", "sign(x)")
        .exact_on(&["x-", "x+"], "u");
    assert!(error(&kink, 400, 2) < 1e-4);
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let plane =
        || box_of(vec![axis("x", "0", "1"), axis("y", "0", "1")], &["u"]).solved_by(&["cos(x)*cos(y)"]);
    let refuse = |problem: &Problem, points: usize, order: usize| {
        differences(points, order).solve(problem, &mut Silent).unwrap_err()
    };
    let neumann =
        plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+"], "u_x").exact_on(&["y-", "y+"], "u_y");
    assert!(matches!(refuse(&neumann, 20, 2), SolveError::Breakdown(_)));
    let full = plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+", "y-", "y+"], "u");
    assert!(matches!(refuse(&full, 20, 3), SolveError::Option { key: "order", .. }));
    assert!(matches!(refuse(&full, 5, 4), SolveError::Option { key: "points", .. }));
    assert!(matches!(refuse(&full, 5000, 4), SolveError::Option { key: "points", .. }));
    let missing = plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+", "y-"], "u");
    assert!(matches!(refuse(&missing, 20, 2), SolveError::NotApplicable { .. }));
}

#[test]
fn newton_reaches_a_steep_wall() {
    assert!(error(&wall(), 2001, 4) <= 1e-6);
}

#[test]
fn newton_reaches_a_solution_far_from_constant() {
    let solution = differences(2001, 4).solve(&stalling(), &mut Silent).unwrap();
    let certificate = solution.certify(&stalling()).unwrap();
    println!("{:?} {} {certificate:?}", solution.status, solution.iterations);
    assert_eq!(solution.status, Status::Converged);
    assert!(certificate.equation_relative < 1e-5);
}

#[test]
fn too_long_a_time_step_at_order_4_is_named() {
    let wave = box_of(vec![axis("x", "0", "pi"), axis("t", "0", "8*pi")], &["u"])
        .solved_by(&["sin(x)*cos(t)"])
        .manufactured("u_tt - u_xx")
        .exact_on(&["x-", "x+", "t-"], "u")
        .exact_on(&["t-"], "u_t");
    let options = options::FiniteDifference {
        points: Some(PerAxis::Each(vec![65, 129])),
        ..options::FiniteDifference::default()
    };
    let error = FiniteDifference { options }.solve(&wave, &mut Silent).unwrap_err();
    println!("{error}");
    assert!(matches!(error, SolveError::Breakdown(_)));
    assert!(error.to_string().contains("unstable with 129 points along `t`"));
}

/// Prints error, estimate and seconds: `cargo test --release measure -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn measure() {
    let cube = box_of(vec![axis("x", "0", "1"), axis("y", "0", "1"), axis("z", "0", "1")], &["u"])
        .solved_by(&["sin(3*x + y)*exp(z/2)"])
        .manufactured("u_xx + u_yy + u_zz")
        .exact_on(&["x-", "x+", "y-", "y+", "z-", "z+"], "u");
    for (name, problem, points) in [
        ("u1", paper_problem("u1"), 10_001),
        ("u1", paper_problem("u1"), 100_001),
        ("u5", paper_problem("u5"), 10_001),
        ("ac1", paper_problem("ac1"), 10_001),
        ("u7", paper_problem("u7"), 151),
        ("u7", paper_problem("u7"), 301),
        ("ac3", paper_problem("ac3"), 201),
        ("adv", paper_problem("adv"), 301),
        ("cube", cube.clone(), 25),
        ("cube", cube, 33),
    ] {
        match differences(points, 4).solve(&problem, &mut Silent) {
            Ok(solution) => println!(
                "{name} {}: error {:.2e} estimate {:?} {:.2} s {:?} {:?}",
                solution.notes[0],
                Solution::errors(&problem, &solution.fields).unwrap().unwrap().relative[0],
                solution.error_estimate,
                solution.elapsed.as_secs_f64(),
                solution.status,
                solution.figures,
            ),
            Err(error) => println!("{name} {points}: {error}"),
        }
    }
}
