use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::formula::{Budget, Relation};
use crate::{Expr, Rational, Symbol, parse};

fn budget() -> Budget {
    Budget::new(Duration::from_secs(10))
}

fn equation(text: &str, unknown: &str) -> String {
    match solve_equation(&parse(text).unwrap(), &Symbol::new(unknown), &budget()) {
        Ok(Solutions::Infinite) => "infinite".into(),
        Ok(Solutions::Finite(values)) => {
            let mut texts: Vec<String> = values.iter().map(|v| v.to_string()).collect();
            texts.sort();
            texts.join(", ")
        }
        Err(error) => error.to_string(),
    }
}

fn inequality(text: &str, relation: Relation) -> String {
    match solve_inequality(&parse(text).unwrap(), relation, &Symbol::new("x"), &budget()) {
        Ok(set) => {
            let end = |end: &Option<End>, left: bool| match end {
                None => if left { "(-oo" } else { "oo)" }.to_string(),
                Some(end) if left => format!("{}{}", if end.closed { "[" } else { "(" }, end.at),
                Some(end) => format!("{}{}", end.at, if end.closed { "]" } else { ")" }),
            };
            let pieces = set.pieces().iter();
            pieces
                .map(|p| format!("{},{}", end(&p.lower, true), end(&p.upper, false)))
                .collect::<Vec<_>>()
                .join(" ")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn polynomial_equations() {
    assert_eq!(equation("x^2 - 3*x - 4", "x"), "-1, 4");
    assert_eq!(equation("x^2 - 2", "x"), "-sqrt(2), sqrt(2)");
    assert_eq!(equation("x^2 + 1", "x"), "");
    assert_eq!(equation("x^3 - 2", "x"), "2^(1/3)");
    assert_eq!(equation("x^3 + 2", "x"), "-2^(1/3)");
    assert_eq!(equation("x^4 - 5*x^2 + 6", "x"), "-sqrt(2), -sqrt(3), sqrt(2), sqrt(3)");
    assert_eq!(equation("x^4 + x + 1", "x"), "");
    assert_eq!(equation("x^5 - x - 1", "x"), Unsolved::NoClosedForm.to_string());
    assert_eq!(equation("2*sqrt(3)*x + sqrt(24)", "x"), "-sqrt(2)");
    assert_eq!(equation("2*x - 2*x", "x"), "infinite");
    assert_eq!(equation("3*x - 3*x - 1", "x"), "");
    assert!(equation("x^3 + x - 1", "x").contains("1/3"));
}

#[test]
fn rational_radical_and_absolute_value_equations() {
    assert_eq!(equation("3/(2*x) - 1/(x - 1)", "x"), "3");
    assert_eq!(equation("1/(x - 5) - 10/(x^2 - 10*x + 25)", "x"), "15");
    assert_eq!(equation("(x^2 - 1)/(x - 1)", "x"), "-1");
    assert_eq!(equation("sqrt(x - 11) - 5", "x"), "36");
    assert_eq!(equation("sqrt(x - 11) + 5", "x"), "");
    assert_eq!(equation("sqrt(x + 1) + sqrt(x - 2) - 3", "x"), "3");
    assert_eq!(equation("x - sqrt(x) - 2", "x"), "4");
    assert_eq!(equation("abs(2*m - 5) - 1", "m"), "2, 3");
    assert_eq!(equation("abs(x) - sqrt(2)", "x"), "-sqrt(2), sqrt(2)");
    assert_eq!(equation("abs(x - 1) + abs(x + 2) - 3", "x"), "infinite");
    assert_eq!(equation("abs(x) + x^2 + 1", "x"), "");
    assert_eq!(equation("sqrt(x^2) + x", "x"), "infinite");
    assert_eq!(equation("27^x - 3^12", "x"), "4");
    assert_eq!(equation("4^x - 2^(x + 1) - 8", "x"), "2");
}

#[test]
fn equations_with_parameters() {
    assert_eq!(equation("3*x + a - (x + 2)", "a"), "-2*x + 2");
    assert_eq!(equation("y - 3*(x - 4)^2", "x").matches("sqrt").count(), 4);
    assert_eq!(equation("y - sqrt(3 - x)", "x"), "-y^2 + 3");
    assert_eq!(equation("sqrt(m - 20) + sqrt(n + 15)", "m"), "");
    assert_eq!(equation("3^n - a", "a"), "3^n");
}

#[test]
fn inequalities_by_sign_charts() {
    assert_eq!(inequality("x - 2", Relation::Less), "(-oo,2)");
    assert_eq!(inequality("x^2 - 2", Relation::LessOrEqual), "[-sqrt(2),sqrt(2)]");
    assert_eq!(inequality("x^2 - 2*x + 1", Relation::Greater), "(-oo,1) (1,oo)");
    assert_eq!(inequality("x^2 - 2*x + 1", Relation::LessOrEqual), "[1,1]");
    assert_eq!(inequality("x^2 + 1", Relation::Less), "");
    assert_eq!(inequality("(x - 1)/(x + 2)", Relation::GreaterOrEqual), "(-oo,-2) [1,oo)");
    assert_eq!(inequality("abs(x - 1) - 2", Relation::Less), "(-1,3)");
    assert_eq!(inequality("abs(x - 1) + abs(x + 2) - 3", Relation::LessOrEqual), "[-2,1]");
    assert_eq!(inequality("sqrt(7 - 2*x)", Relation::GreaterOrEqual), "(-oo,7/2]");
    assert_eq!(inequality("abs(x - 1)", Relation::GreaterOrEqual), "(-oo,oo)");
    assert_eq!(inequality("x - a", Relation::Less), Unsolved::Parameters.to_string());
    assert_eq!(inequality("1/x - 1", Relation::NotEqual), "(-oo,0) (0,1) (1,oo)");
}

fn system(texts: &[&str], unknowns: &[&str]) -> String {
    let differences: Vec<Expr> = texts.iter().map(|text| parse(text).unwrap()).collect();
    let unknowns: Vec<Symbol> = unknowns.iter().map(|u| Symbol::new(u)).collect();
    match solve_system(&differences, &unknowns, &budget()) {
        Ok(solutions) => {
            let mut texts: Vec<String> = solutions.iter().map(|s| format!("{s:?}")).collect();
            texts.sort();
            texts.join(" ")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn systems() {
    assert_eq!(system(&["2*a + b - 1", "a + 2*b"], &["a", "b"]), "{a: 2/3, b: -1/3}");
    assert_eq!(system(&["m + n - 3", "m*n + 4"], &["m", "n"]), "{m: -1, n: 4} {m: 4, n: -1}");
    assert_eq!(system(&["y - 2*x - 3", "y - 2*x + 1"], &["x", "y"]), "");
    assert_eq!(system(&["x + 3*y - 3", "x + 3*y - 3"], &["x", "y"]), "{x: -3*y + 3}");
    assert_eq!(system(&["x^2 + y^2 - 5", "x*y - 2"], &["x", "y"]).matches('x').count(), 4);
    assert_eq!(system(&["x^2 + y^2 - 1", "x^2 - y^2 - 1"], &["x", "y"]), "{x: -1, y: 0} {x: 1, y: 0}");
    assert_eq!(system(&["x^2 + y^2 - 4", "x^2 + x*y + y^2 - 5"], &["x", "y"]).matches('x').count(), 4);
    assert_eq!(
        system(&["x + y + z - 6", "x*y + y*z + z*x - 11", "x*y*z - 6"], &["x", "y", "z"])
            .matches('x')
            .count(),
        6
    );
    assert_eq!(system(&["x*(k + 2)"], &["k", "x"]), "{k: -2} {x: 0}");
    assert_eq!(system(&["1/x - 1/y - 2"], &["x", "y"]), "{x: y/(2*y + 1)}");
}

fn coefficient() -> impl Strategy<Value = i64> {
    -5..6_i64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn roots_of_quadratics_are_zeros(a in 1..5_i64, b in coefficient(), c in coefficient()) {
        let x = Expr::symbol("x");
        let quadratic = &x * &x * a + &x * b + c;
        let Solutions::Finite(values) = solve_equation(&quadratic, &Symbol::new("x"), &budget()).unwrap() else {
            return Err(TestCaseError::fail("infinite"));
        };
        let discriminant = b * b - 4 * a * c;
        prop_assert_eq!(values.len() as i64, 1 + discriminant.signum());
        for value in values {
            let at = quadratic.substitute(&BTreeMap::from([(Symbol::new("x"), value)]));
            prop_assert_eq!(at.sign_of_constant(&budget()), Some(0));
        }
    }

    #[test]
    fn sign_charts_agree_with_the_sign_at_points(
        c in prop::collection::vec(coefficient(), 3), d in prop::collection::vec(coefficient(), 2), point in -40..40_i64,
        strict in any::<bool>(), absolute in any::<bool>(),
    ) {
        let x = Expr::symbol("x");
        let above = &x * &x * c[2] + &x * c[1] + c[0];
        let above = if absolute { above.abs() - 2 } else { above };
        let side = above / (&x * d[1] + d[0]);
        prop_assume!(!side.is_undefined());
        let relation = if strict { Relation::Less } else { Relation::LessOrEqual };
        let set = solve_inequality(&side, relation, &Symbol::new("x"), &budget()).unwrap();
        let point = Rational::new(point, 4).unwrap();
        let value = side.evaluate_exact(&BTreeMap::from([(Symbol::new("x"), point.clone())]));
        let expected = value.is_ok_and(|v| v.is_negative() || (!strict && v.is_zero()));
        prop_assert_eq!(set.contains(&Expr::number(point), &budget()), Ok(expected));
    }

    #[test]
    fn solutions_of_systems_are_zeros(c in prop::collection::vec(coefficient(), 6), d in prop::collection::vec(coefficient(), 3)) {
        let (x, y) = (Expr::symbol("x"), Expr::symbol("y"));
        let line = &x * d[0] + &y * d[1] + d[2];
        let conic = &x * &x * c[0] + &x * &y * c[1] + &y * &y * c[2] + &x * c[3] + &y * c[4] + c[5];
        let unknowns = [Symbol::new("x"), Symbol::new("y")];
        for solution in solve_system(&[line.clone(), conic.clone()], &unknowns, &budget()).unwrap() {
            for side in [&line, &conic] {
                let value = side.substitute(&solution).simplify(&budget()).unwrap();
                prop_assert!(value.is_zero(), "{} at {:?}", value, solution);
            }
        }
    }
}
