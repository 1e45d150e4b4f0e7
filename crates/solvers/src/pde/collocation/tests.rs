use super::*;
use crate::pde::options::PerAxis;
use crate::pde::test_problems::{axis, box_of, paper_problem, periodic, stalling, wall};
use crate::pde::{Method, Silent};

fn collocation(points: Option<PerAxis<usize>>, tolerance: f64) -> Collocation {
    Collocation { options: options::Collocation { points, tolerance, ..options::Collocation::default() } }
}

/// Prints, for each problem, points, error, estimate and seconds: `cargo test --release measure -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn measure() {
    let all = |n| Some(PerAxis::All(n));
    let each = |a, b| Some(PerAxis::Each(vec![a, b]));
    for (name, points) in [
        ("u1", all(400)),
        ("u2", all(400)),
        ("u3", all(400)),
        ("u4", all(700)),
        ("u5", all(400)),
        ("u7", all(140)),
        ("ac1", all(400)),
        ("ac2", all(400)),
        ("u6", all(400)),
        ("ac3", all(200)),
        ("adv", each(24, 160)),
        ("adv", all(200)),
        ("adv2", each(32, 160)),
        ("u1", None),
        ("u4", None),
        ("u5", None),
        ("ac1", None),
        ("u6", None),
        ("u7", None),
        ("adv", None),
        ("ac3", None),
    ] {
        let problem = paper_problem(name);
        let wanted = format!("{points:?}");
        match collocation(points, 1e-10).solve(&problem, &mut Silent) {
            Ok(solution) => {
                let certificate = solution.certify(&problem).unwrap();
                println!(
                    "{name} {wanted}: {} error {:.2e} estimate {:.2e} {:.3} s {:?} its {} {:?} {:?}",
                    solution.notes[0],
                    certificate.error.unwrap()[0],
                    solution.error_estimate.unwrap(),
                    solution.elapsed.as_secs_f64(),
                    solution.status,
                    solution.iterations,
                    solution.figures.iter().map(|(k, v)| format!("{} {v:.1e}", &k[..8])).collect::<Vec<_>>(),
                    solution.history.iter().map(|h| format!("{:.1e}", h.error.unwrap())).collect::<Vec<_>>(),
                );
            }
            Err(error) => println!("{name} {wanted}: {error}"),
        }
    }
}

/// Solves, and checks the error and that the estimate is honest: at most 30 times smaller than the error.
fn check(problem: &Problem, points: Option<PerAxis<usize>>, bound: f64) -> Solution {
    let solution = collocation(points, 1e-9).solve(problem, &mut Silent).unwrap();
    let errors = Solution::errors(problem, &solution.fields).unwrap().unwrap().relative;
    let error = errors.into_iter().fold(0.0, f64::max);
    let estimate = solution.error_estimate.unwrap();
    println!(
        "error {error:.2e} estimate {estimate:.2e} {:?} {:?} {:?}",
        solution.status, solution.notes, solution.figures
    );
    assert!(error <= bound, "error {error:e}, {:?}", solution.notes);
    assert!(error <= 30.0 * estimate, "error {error:e}, estimate {estimate:e}");
    solution
}

fn converged(problem: &Problem, points: Option<PerAxis<usize>>, bound: f64) {
    let solution = check(problem, points, bound);
    assert_eq!(solution.status, Status::Converged);
    let estimate = solution.error_estimate.unwrap();
    assert!(estimate <= 300.0 * bound, "estimate {estimate:e}");
}

#[test]
fn the_papers_problems_in_one_dimension() {
    for (name, points) in
        [("u1", 400), ("u2", 400), ("u3", 400), ("u4", 700), ("u5", 400), ("ac1", 400), ("ac2", 400)]
    {
        converged(&paper_problem(name), Some(PerAxis::All(points)), 3e-10);
    }
}

#[test]
fn points_are_doubled_until_the_tolerance_is_met() {
    for name in ["u1", "u5", "ac1", "adv", "u7"] {
        converged(&paper_problem(name), None, 1e-9);
    }
}

#[test]
fn too_few_points_are_owned_up_to() {
    let solution =
        collocation(Some(PerAxis::All(200)), 1e-9).solve(&paper_problem("u1"), &mut Silent).unwrap();
    assert!(solution.error_estimate.unwrap() > 0.03);
}

#[test]
fn advection_at_high_speed_on_both_boxes() {
    converged(&paper_problem("adv"), Some(PerAxis::Each(vec![24, 160])), 1e-11);
    converged(&paper_problem("adv-wide"), Some(PerAxis::Each(vec![32, 160])), 1e-11);
}

#[test]
fn neumann_robin_and_higher_orders_in_one_dimension() {
    let x = || box_of(vec![axis("x", "-1/2", "2")], &["u"]);
    let robin = x().solved_by(&["exp(x)*sin(3*x)"]).manufactured("(1 + x^2)*u_xx - x*u_x + u");
    converged(&robin.exact_on(&["x-"], "u_x").exact_on(&["x+"], "u_x + 2*u"), None, 1e-11);
    let beam = x().solved_by(&["sin(4*x)"]).manufactured("u_xxxx + u").exact_on(&["x-", "x+"], "u");
    converged(&beam.exact_on(&["x-"], "u_x").exact_on(&["x+"], "u_xx"), None, 1e-11);
    let initial = x().solved_by(&["cos(20*x)"]).manufactured("u_xx + 400*u");
    converged(&initial.exact_on(&["x-"], "u").exact_on(&["x-"], "u_x"), None, 1e-9);
    let nonlinear = x().solved_by(&["1/(1 + x^2)"]).manufactured("u_x + u^2");
    converged(&nonlinear.exact_on(&["x-"], "u"), None, 1e-10);
    let condition =
        x().solved_by(&["2 + sin(x)"]).manufactured("u_xx - exp(u)").exact_on(&["x-"], "u^2 + u_x");
    converged(&condition.exact_on(&["x+"], "u"), None, 1e-10);
}

#[test]
fn periodic_axes_take_no_conditions() {
    let ring = box_of(vec![periodic("x", "0", "3")], &["u"])
        .solved_by(&["exp(cos(2*pi*x/3))"])
        .manufactured("u_xx - u");
    converged(&ring, None, 1e-10);
    let cylinder = box_of(vec![periodic("x", "0", "1"), axis("t", "0", "1/2")], &["u"])
        .solved_by(&["sin(2*pi*(x - 3*t))"])
        .manufactured("3*u_x + u_t")
        .exact_on(&["t-"], "u");
    converged(&cylinder, None, 1e-10);
}

#[test]
fn two_dimensions_with_every_kind_of_condition() {
    let plane =
        |exact: &str| box_of(vec![axis("x", "0", "1"), axis("y", "-1", "1")], &["u"]).solved_by(&[exact]);
    let wavy = "sin(2*x + y)*exp(y)";
    let mixed = plane(wavy).manufactured("u_xx + u_yy + 3*u").exact_on(&["x-", "y+"], "u");
    converged(&mixed.exact_on(&["x+"], "u_x").exact_on(&["y-"], "u_y - u"), None, 1e-10);
    let variable = plane(wavy).manufactured("(2 + x*y)*u_xx + u_yy + u_xy/2 + sin(x*y)*u");
    converged(&variable.exact_on(&["x-", "x+", "y-", "y+"], "u"), Some(PerAxis::All(40)), 1e-10);
    let oblique = plane(wavy).manufactured("u_xx + u_yy").exact_on(&["x-", "y-", "y+"], "u");
    converged(&oblique.exact_on(&["x+"], "u_x + y*u_y"), Some(PerAxis::All(24)), 1e-10);
    let biharmonic = plane(wavy).manufactured("u_xxxx + 2*u_xxyy + u_yyyy");
    let biharmonic = biharmonic.exact_on(&["x-", "x+", "y-", "y+"], "u");
    converged(
        &biharmonic.exact_on(&["x-", "x+"], "u_x").exact_on(&["y-", "y+"], "u_y"),
        Some(PerAxis::All(20)),
        1e-9,
    );
    let minimal = plane("x*y + x^2").manufactured("(1 + u_x^2)*u_yy - 2*u_x*u_y*u_xy + (1 + u_y^2)*u_xx");
    converged(&minimal.exact_on(&["x-", "x+", "y-", "y+"], "u"), Some(PerAxis::All(20)), 1e-10);
}

#[test]
fn evolution_in_time() {
    let strip =
        |exact: &str| box_of(vec![axis("x", "0", "1"), axis("t", "0", "1")], &["u"]).solved_by(&[exact]);
    let heat = strip("exp(-t)*sin(3*x + t)").manufactured("u_t - u_xx").exact_on(&["x-", "x+", "t-"], "u");
    converged(&heat, None, 1e-10);
    let wave = strip("sin(5*(x - 2*t))").manufactured("u_tt - 4*u_xx").exact_on(&["x-", "x+", "t-"], "u");
    converged(&wave.exact_on(&["t-"], "u_t"), None, 1e-10);
    let burgers =
        strip("1 + sin(x - t)/2").manufactured("u_t + u*u_x - u_xx/10").exact_on(&["x-", "x+", "t-"], "u");
    converged(&burgers, None, 1e-9);
}

#[test]
fn systems() {
    let first_order = box_of(vec![axis("x", "0", "1"), axis("t", "0", "1")], &["u", "v"])
        .solved_by(&["sin(3*(x - t))", "-sin(3*(x - t))"])
        .manufactured("u_t - v_x")
        .manufactured("v_t - u_x")
        .exact_on(&["x-", "x+", "t-"], "u")
        .exact_on(&["t-"], "v");
    converged(&first_order, Some(PerAxis::All(24)), 1e-10);
    let mixed_orders = box_of(vec![axis("x", "0", "2")], &["u", "v"])
        .solved_by(&["sin(3*x)", "cos(x)"])
        .manufactured("u_xx + v")
        .manufactured("v*(2 + u) + u_x")
        .exact_on(&["x-", "x+"], "u");
    converged(&mixed_orders, None, 1e-10);
}

#[test]
fn three_dimensions() {
    let cube = box_of(vec![axis("x", "0", "1"), axis("y", "0", "1"), axis("z", "0", "2")], &["u"])
        .solved_by(&["sin(3*x + y)*exp(z/2)"])
        .manufactured("u_xx + u_yy + u_zz - u")
        .exact_on(&["x-", "x+", "y-", "y+", "z-", "z+"], "u");
    converged(&cube, None, 1e-9);
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let refuse = |problem: &Problem, points: Option<PerAxis<usize>>| {
        collocation(points, 1e-8).solve(problem, &mut Silent).unwrap_err()
    };
    let plane =
        || box_of(vec![axis("x", "0", "1"), axis("y", "0", "1")], &["u"]).solved_by(&["cos(x)*cos(y)"]);
    let neumann =
        plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+"], "u_x").exact_on(&["y-", "y+"], "u_y");
    assert!(matches!(refuse(&neumann, None), SolveError::Breakdown(_)));
    let resonant = plane()
        .manufactured("u_xx + u_yy + 2*pi^2*u")
        .on("x-", "u")
        .on("x+", "u")
        .on("y-", "u")
        .on("y+", "u");
    assert!(matches!(refuse(&resonant, Some(PerAxis::All(60))), SolveError::Breakdown(_)));
    let resonant =
        box_of(vec![axis("x", "0", "pi")], &["u"]).equation("u_xx + u", "1").on("x-", "u").on("x+", "u");
    assert!(matches!(refuse(&resonant, Some(PerAxis::All(40))), SolveError::Breakdown(_)));
    let missing = plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+", "y-"], "u");
    assert!(refuse(&missing, None).to_string().contains("carry 1 conditions"));
    let full = plane().manufactured("u_xx + u_yy").exact_on(&["x-", "x+", "y-", "y+"], "u");
    assert!(matches!(refuse(&full, Some(PerAxis::All(5000))), SolveError::Option { key: "points", .. }));
    assert!(matches!(refuse(&full, Some(PerAxis::All(2))), SolveError::Option { key: "points", .. }));
    assert!(matches!(refuse(&full, Some(PerAxis::Each(vec![9]))), SolveError::Option { key: "points", .. }));
    let pole =
        box_of(vec![axis("x", "0", "1")], &["u"]).equation("u_xx", "log(x - 2)").on("x-", "u").on("x+", "u");
    assert!(matches!(refuse(&pole, None), SolveError::NotFinite { .. }));
}

struct Stop;

impl Observer for Stop {
    fn progress(&mut self, _: crate::pde::Progress) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Break(())
    }
}

#[test]
fn an_observer_can_stop_the_solve() {
    let solution =
        collocation(Some(PerAxis::All(100)), 1e-9).solve(&paper_problem("ac1"), &mut Stop).unwrap();
    assert_eq!(solution.status, Status::Interrupted);
    assert_eq!(solution.history.len(), 1);
}
#[test]
fn newton_reaches_a_solution_far_from_constant() {
    let solution = collocation(None, 1e-9).solve(&stalling(), &mut Silent).unwrap();
    let certificate = solution.certify(&stalling()).unwrap();
    println!("{:?} {} {certificate:?}", solution.status, solution.iterations);
    assert_eq!(solution.status, Status::Converged);
    assert!(certificate.equation_relative < 1e-5);
}

/// The iterations never exceed what the observer was told is planned.
struct Plan;

impl Observer for Plan {
    fn progress(&mut self, progress: crate::pde::Progress) -> std::ops::ControlFlow<()> {
        assert!(progress.iteration <= progress.planned, "{} of {}", progress.iteration, progress.planned);
        std::ops::ControlFlow::Continue(())
    }
}

#[test]
fn newton_reaches_a_steep_wall() {
    converged(&wall(), None, 1e-7);
    converged(&wall(), Some(PerAxis::All(200)), 1e-7);
    let plane = box_of(vec![axis("x", "-1", "1"), axis("y", "0", "1")], &["u"])
        .solved_by(&["tanh(5*(x + y/2)*sqrt(2/5))"])
        .manufactured("(u_xx + u_yy)/25 - u^3 + u")
        .exact_on(&["x-", "x+", "y-", "y+"], "u");
    converged(&plane, Some(PerAxis::All(40)), 1e-5);
}

#[test]
fn the_plan_covers_the_steps_on_all_grids() {
    let options = options::Collocation { iterations: 15, ..options::Collocation::default() };
    let solution = Collocation { options }.solve(&wall(), &mut Plan).unwrap();
    println!("{} iterations", solution.iterations);
    assert!(solution.iterations > 15);
}
