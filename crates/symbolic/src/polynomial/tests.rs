use proptest::prelude::*;

use super::*;
use crate::parse;

/// The polynomial that a text spells.
pub(super) fn read(text: &str) -> Polynomial {
    Polynomial::from_expr(&parse(text).unwrap()).unwrap()
}

/// Small polynomials in up to so many variables, with fractions and repeated terms.
pub(super) fn polynomial(variables: usize) -> impl Strategy<Value = Polynomial> {
    let term = (prop::collection::vec(0..4_u32, variables), -6..7_i64, 1..4_i64);
    prop::collection::vec(term, 0..6).prop_map(move |terms| {
        let names: Arc<[Symbol]> =
            ["x", "y", "z"][..variables].iter().map(|name| Symbol::new(name)).collect();
        Polynomial::from_terms(
            &names,
            terms.into_iter().map(|(exponents, n, d)| (exponents, Rational::new(n, d).unwrap())),
        )
    })
}

#[test]
fn writing() {
    let p = read("x_1^2*2 - y/3 + 1 - z^3*x_1");
    assert_eq!(p.to_string(), "-x_1*z^3 + 2*x_1^2 - 1/3*y + 1");
    assert_eq!(p.to_latex(), "-x_{1} z^{3} + 2 x_{1}^{2} - \\frac{1}{3} y + 1");
    assert_eq!(p.write(Notation::Macaulay2), "-x_1*z^3 + 2*x_1^2 - 1/3*y + 1");
    let s = read("sigma_1_12^2 - sigma_1_1");
    assert_eq!(s.write(Notation::Macaulay2), "sigma_(1,12)^2 - sigma_(1,1)");
    assert_eq!(s.write(Notation::Singular), "sigma(1)(12)^2 - sigma(1)(1)");
    assert_eq!(Notation::Singular.name(&Symbol::new("mass_of")), "massof");
    assert_eq!(Polynomial::zero().to_string(), "0");
    assert_eq!((-Polynomial::one()).to_string(), "-1");
}

#[test]
fn what_is_no_polynomial() {
    for text in ["sin(x)", "x^(1/2)", "1/x", "x^y", "pi*x"] {
        assert!(
            matches!(Polynomial::from_expr(&parse(text).unwrap()), Err(NotPolynomial::Part(_))),
            "{text}"
        );
    }
    for text in ["(x + y + z)^100000", "(x^1000000000*y)^1000000000"] {
        let refused = Polynomial::from_expr(&parse(text).unwrap());
        assert!(matches!(refused, Err(NotPolynomial::TooLong(_))), "{text}");
    }
}

#[test]
fn contents_and_constants() {
    assert_eq!(read("4*x/3 - 2*y/9").content(), Rational::new(2, 9).unwrap());
    assert_eq!(read("-4*x/3 + 2*y/9").primitive_part(), read("6*x - y"));
    assert_eq!(Polynomial::zero().content(), Rational::ZERO);
    assert_eq!(read("3").as_constant(), Some(Rational::from(3)));
    assert_eq!((read("x") - read("x")).as_constant(), Some(Rational::ZERO));
    assert_eq!(read("x").as_constant(), None);
    assert_eq!((read("x + y") - read("y")), read("x"), "idle variables do not matter");
    assert_eq!(read("x^2*y + y^5").degree(), Some(5));
    assert_eq!(read("x^2*y + y^5").degree_in(&Symbol::new("x")), 2);
    assert!(read("x").divide_exactly(&Polynomial::zero()).is_none());
    assert!(read("x^2 + 1").divide_exactly(&read("x + 1")).is_none());
}

#[test]
fn long_coefficients() {
    let power = read("(3*x - 7)^90");
    assert_eq!(power.divide_exactly(&read("(3*x - 7)^45")), Some(read("(3*x - 7)^45")));
    let wide = read("4611686018427387905*x + 4611686018427387903");
    let square = &wide * &wide;
    assert_eq!(square.divide_exactly(&wide), Some(wide));
}

proptest! {
    #[test]
    fn ring_laws(a in polynomial(3), b in polynomial(2), c in polynomial(1)) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
        prop_assert_eq!(&a * &b, &b * &a);
        prop_assert_eq!(&(&a * &b) * &c, &a * &(&b * &c));
        prop_assert_eq!(&a * &(&b + &c), &(&a * &b) + &(&a * &c));
        prop_assert_eq!(&(&a - &b) + &b, a.clone());
        prop_assert_eq!(&a * &Polynomial::one(), a.clone());
        prop_assert!((&a - &a).is_zero());
        prop_assert_eq!(a.pow(3), &(&a * &a) * &a);
        prop_assert_eq!(Polynomial::sum([a.clone(), b.clone(), c.clone()]), &(&a + &b) + &c);
    }

    #[test]
    fn products_divide(a in polynomial(3), b in polynomial(3)) {
        prop_assume!(!b.is_zero());
        prop_assert_eq!((&a * &b).divide_exactly(&b), Some(a));
    }

    #[test]
    fn expressions_there_and_back(a in polynomial(3), b in polynomial(2)) {
        prop_assert_eq!(Polynomial::from_expr(&a.to_expr()), Ok(a.clone()));
        prop_assert_eq!(Polynomial::from_expr(&(a.to_expr() * b.to_expr())), Ok(&a * &b));
        prop_assert_eq!(read(&a.to_string()), a);
    }

    #[test]
    fn derivatives_obey_the_product_rule(a in polynomial(2), b in polynomial(2)) {
        let x = Symbol::new("x");
        let rule = &(&a.differentiate(&x) * &b) + &(&a * &b.differentiate(&x));
        prop_assert_eq!((&a * &b).differentiate(&x), rule);
        let through_expression = Polynomial::from_expr(&a.to_expr().differentiate(&x).expand());
        prop_assert_eq!(through_expression, Ok(a.differentiate(&x)));
    }

    #[test]
    fn substitution_commutes_with_evaluation(
        a in polynomial(3), b in polynomial(2), x in -5..6_i64, y in -5..6_i64, z in -5..6_i64,
    ) {
        let numbers: BTreeMap<Symbol, Rational> =
            [("x", x), ("y", y), ("z", z)].map(|(name, v)| (Symbol::new(name), v.into())).into();
        let inner = b.evaluate(&numbers).as_constant().unwrap();
        let direct = a.substitute(&[(Symbol::new("z"), b)].into()).evaluate(&numbers);
        let mut replaced = numbers.clone();
        replaced.insert(Symbol::new("z"), inner);
        let value = a.evaluate(&replaced);
        prop_assert_eq!(&direct, &value);

        let exact = a.evaluate(&numbers).as_constant().unwrap();
        let point = [x as f64, y as f64, z as f64];
        let approximate = a.evaluate_f64(&point[..a.variables().len()]);
        prop_assert!((approximate - exact.to_f64()).abs() <= 1e-9 * (1.0 + exact.to_f64().abs()));
        let field = PrimeField::new(2_147_483_647).unwrap();
        let residues = [x, y, z].map(|v| v.rem_euclid(2_147_483_647) as u32);
        prop_assert_eq!(
            a.evaluate_modular(field, &residues[..a.variables().len()]), field.reduce_rational(&exact)
        );
    }
}
