use std::collections::BTreeMap;

use mathesis_symbolic::{Expr, Symbol, parse};
use proptest::prelude::*;

use crate::tree::*;

#[test]
fn derivatives_by_the_rules() {
    for (text, derivative) in [
        ("x^3", "3*x^2"),
        ("x^y", "y*x^(y-1)"),
        ("y^x", "y^x*log(y)"),
        ("x^x", "x^x*log(x) + x^x"),
        ("sin(100*x)", "100*cos(100*x)"),
        ("exp(-x^2)", "-2*x*exp(-x^2)"),
        ("log(x)*x", "1 + log(x)"),
        ("sqrt(x)", "1/(2*sqrt(x))"),
        ("abs(x)", "sign(x)"),
        ("sign(x)", "0"),
        ("tan(x)", "1 + tan(x)^2"),
        ("asin(x) + acos(x)", "0"),
        ("atan(x)", "1/(1+x^2)"),
        ("tanh(x)", "1 - tanh(x)^2"),
        ("u_xx*u", "0"),
        ("pi^2 + e", "0"),
    ] {
        let found = parse(text).unwrap().differentiate(&Symbol::new("x"));
        assert_eq!(found, parse(derivative).unwrap(), "{text}");
    }
}

#[test]
fn substitution_is_simultaneous() {
    let swap = BTreeMap::from([(Symbol::new("x"), Expr::symbol("y")), (Symbol::new("y"), Expr::symbol("x"))]);
    assert_eq!(parse("x - 2*y^x").unwrap().substitute(&swap), parse("y - 2*x^y").unwrap());
    let zero = BTreeMap::from([(Symbol::new("u"), Expr::integer(0))]);
    assert!(parse("1/u + x").unwrap().substitute(&zero).is_undefined());
    assert_eq!(parse("x^2 + u*sin(x)").unwrap().substitute(&zero), parse("x^2").unwrap());
}

proptest! {
    /// `p(x + h) = Σ p⁽ᵏ⁾(x) hᵏ / k!` holds exactly for polynomials.
    #[test]
    fn taylor_series_of_polynomials_are_exact(tree in polynomials(), point in exact_point(), step in 1..5i64) {
        let x = Symbol::new(NAMES[0]);
        let mut derivative = tree.build();
        let mut series = Exact::from_integer(0.into());
        let mut weight = Exact::from_integer(1.into());
        for order in 1.. {
            series += to_exact(&derivative.evaluate_exact(&rationals(&point)).unwrap()) * &weight;
            derivative = derivative.differentiate(&x).expand();
            if derivative.is_zero() {
                break;
            }
            weight *= Exact::new(step.into(), order.into());
        }
        let mut moved = point.clone();
        moved[0] += Exact::from_integer(step.into());
        prop_assert_eq!(series, tree.exact(&moved).unwrap());
    }

    #[test]
    fn derivatives_agree_with_differences(tree in elementary_trees(), point in float_point()) {
        let expression = tree.build();
        let derivative = expression.differentiate(&Symbol::new(NAMES[0]));
        let difference = |step: f64| {
            let at = |offset: f64| tree.float(&[point[0] + offset, point[1], point[2]]).0;
            (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step)
        };
        // Where two steps disagree, a kink, a pole or the edge of the domain is near.
        let (coarse, fine) = (difference(2e-3), difference(1e-3));
        let scale = tree.float(&point).1.max(1.0);
        if scale < 1e3 && (coarse - fine).abs() <= 1e-8 * scale {
            let found = derivative.evaluate_f64(&floats(&point)).unwrap();
            prop_assert!((found - fine).abs() <= 1e-6 * scale, "{expression}: {found} and {fine}");
        }
    }
}
