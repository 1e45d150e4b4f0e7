use mathesis_symbolic::{Expr, parse};
use proptest::prelude::*;

use crate::tree::*;

fn expanded(text: &str) -> Expr {
    parse(text).unwrap().expand()
}

#[test]
fn identities_expand_to_zero() {
    for text in [
        "(x+y)^2 - x^2 - 2*x*y - y^2",
        "((x+y)*(x-y))^2 - (x^2-y^2)^2",
        "(sqrt(2)+x)^3 - x^3 - 3*sqrt(2)*x^2 - 6*x - 2*sqrt(2)",
        "(2^x+1)^2 - 2^(2*x) - 2*2^x - 1",
        "exp(x)*(exp(x)+exp(-x)) - exp(2*x) - 1",
        "(abs(x)+1)^2 - x^2 - 2*abs(x) - 1",
        "(sqrt(x+1)+1)^2*x - x^2 - 2*x - 2*x*sqrt(x+1)",
        "sin(x*(y+1)) - sin(x*y+x)",
        "1/((x+1)^2*y) - 1/(y*(x+1)^2)",
        "(1/x+x)^4 - x^4 - 4*x^2 - 6 - 4/x^2 - 1/x^4",
        "((x+1)^20+1)^3 - (x+1)^60 - 3*(x+1)^40 - 3*(x+1)^20 - 1",
    ] {
        assert!(expanded(text).is_zero(), "{text}");
    }
}

#[test]
fn large_powers_stay_as_they_are() {
    for text in ["(x+y+1)^2000", "(x+1)^100000", "(x+y)^1000000000000"] {
        assert_eq!(expanded(text), parse(text).unwrap());
    }
}

#[test]
fn many_variables_are_no_trouble() {
    let names: Vec<String> = (0..60).map(|k| format!("a{k}")).collect();
    let squares = names.iter().map(|name| format!("{name}^2"));
    let products = (0..60).flat_map(|i| (0..i).map(move |j| format!("2*a{i}*a{j}")));
    let text = squares.chain(products).collect::<Vec<_>>().join("+");
    assert_eq!(expanded(&format!("({})^2", names.join("+"))), parse(&text).unwrap());
}

proptest! {
    #[test]
    fn expanding_keeps_exact_values(tree in rational_trees(), point in exact_point()) {
        if let Some(value) = tree.exact(&point) {
            let found = tree.build().expand().evaluate_exact(&rationals(&point));
            prop_assert_eq!(found.map(|v| to_exact(&v)), Ok(value), "{}", tree.text());
        }
    }

    #[test]
    fn polynomials_have_one_expanded_form(p in polynomials(), q in polynomials(), r in polynomials()) {
        let (p, q, r) = (p.build(), q.build(), r.build());
        prop_assert_eq!((&p * (&q + &r)).expand(), (&p * &q + &p * &r).expand());
        prop_assert!(((&p + &q).pow(2) - p.pow(2) - &p * &q * 2 - q.pow(2)).expand().is_zero());
        prop_assert_eq!(p.expand().expand(), p.expand());
    }
}
