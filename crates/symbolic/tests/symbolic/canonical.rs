use mathesis_symbolic::{Expr, parse};
use proptest::prelude::*;

use crate::tree::*;

/// Both texts give the same expression.
fn same(left: &str, right: &str) {
    assert_eq!(parse(left).unwrap(), parse(right).unwrap(), "{left} and {right}");
}

#[test]
fn sums_and_products_are_collected() {
    same("x - x", "0");
    same("x*x", "x^2");
    same("x^0", "1");
    same("2*x + 3*x", "5*x");
    same("y + x + 1 + x", "1 + 2*x + y");
    same("(x*y)^3", "y^3*x^3");
    same("(x^2)^3", "x^6");
    same("x^y*x^2/x^y", "x^2");
    same("-(x - y)", "y - x");
    same("2*(x + 1) - 2*x", "2");
    same("(x - y)*(y - x)", "-(x - y)^2");
    same("(2*x + 2)*y", "2*y*(1 + x)");
    same("1/(x - y) + 1/(y - x)", "0");
    same("0.1 + 1e-3", "101/1000");
}

#[test]
fn roots_are_exact() {
    same("sqrt(4)", "2");
    same("sqrt(8)", "2*sqrt(2)");
    same("sqrt(6)", "sqrt(2)*sqrt(3)");
    same("1/sqrt(2)", "sqrt(2)/2");
    same("8^(2/3)", "4");
    same("(1/4)^(3/2)", "1/8");
    same("sqrt(10^40 + 2*10^20 + 1)", "10^20 + 1");
    same("sqrt(2)*2^(1/3)", "2^(5/6)");
    same("2^(x + 1/2)", "sqrt(2)*2^x");
    same("12^(1000000 + 1/2)*sqrt(3)", "6*12^1000000");
    same("10^1000000*10^(-1000000)", "1");
    same("sqrt(x^2)", "abs(x)");
    same("abs(x)^2", "x^2");
    same("sqrt(x)^2", "x");
    same("sqrt(4*x)", "2*sqrt(x)");
    assert_ne!(parse("sqrt(x*y)").unwrap(), parse("sqrt(x)*sqrt(y)").unwrap());
}

#[test]
fn functions_have_exact_values_and_symmetries() {
    same("sin(200*pi)", "0");
    same("cos(pi/6)", "sqrt(3)/2");
    same("tan(pi/4)", "1");
    same("tan(-pi/3)", "-sqrt(3)");
    same("sin(7*pi/6)", "-1/2");
    same("cos(100*pi + pi/4)", "sqrt(2)/2");
    same("sin(x + pi)", "-sin(x)");
    same("cos(pi/2 - x)", "sin(x)");
    same("sin(-x)", "-sin(x)");
    same("cos(y - x)", "cos(x - y)");
    same("exp(0)", "1");
    same("log(1)", "0");
    same("e^x*e^y", "exp(x + y)");
    same("exp(log(x))", "x");
    same("exp(2*log(x) + y)", "x^2*exp(y)");
    same("log(exp(x))", "x");
    same("asin(1/2)", "pi/6");
    same("acos(-1)", "pi");
    same("atan(-1)", "-pi/4");
    same("sin(asin(x))", "x");
    same("abs(-2*x*y^2)", "2*y^2*abs(x)");
    same("sign(-3*x)", "-sign(x)");
    same("sign(exp(x))", "1");
    same("tanh(0) + sinh(0) + cosh(0)", "1");
}

#[test]
fn what_has_no_value_stays_without() {
    let zero = Expr::integer(0);
    assert!((Expr::integer(1) / &zero).is_undefined());
    assert!((&zero * (Expr::symbol("x") / &zero)).is_undefined());
    assert!(zero.log().is_undefined());
    assert!((Expr::pi() / 2).tan().is_undefined());
    assert!(Expr::rational(1, 0).is_undefined());
}

proptest! {
    #[test]
    fn canonical_form_keeps_exact_values(tree in rational_trees(), point in exact_point()) {
        if let Some(value) = tree.exact(&point) {
            let found = tree.build().evaluate_exact(&rationals(&point));
            prop_assert_eq!(found.map(|v| to_exact(&v)), Ok(value), "{}", tree.text());
        }
    }

    #[test]
    fn canonical_form_keeps_values(tree in elementary_trees(), point in float_point()) {
        let (value, largest) = tree.float(&point);
        if let Some(tolerance) = tolerance(largest) {
            let expression = tree.build();
            let found = expression.evaluate_f64(&floats(&point)).unwrap();
            prop_assert!((found - value).abs() <= tolerance, "{} is {expression}: {value} {found}", tree.text());
        }
    }

    #[test]
    fn order_of_building_does_not_matter(tree in polynomials()) {
        prop_assert_eq!(parse(&tree.text()), Ok(tree.build()));
    }

    #[test]
    fn equal_expressions_hash_and_order_alike(a in rational_trees(), b in rational_trees()) {
        let (a, b) = (a.build(), b.build());
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&a * &b, &b * &a);
        prop_assert_eq!(&a - &a, if a.is_undefined() { a.clone() } else { Expr::integer(0) });
    }
}
