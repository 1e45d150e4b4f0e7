//! Quotients of polynomials, in lowest terms.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

use crate::expression::Kind;
use crate::{Expr, NotPolynomial, Polynomial, Rational, Symbol};

/// A quotient of polynomials with rational coefficients, in lowest terms.
///
/// The denominator has coprime integer coefficients and, with its variables in the order of names, a positive leading one, so equal functions are equal in the
/// sense of `==`.
#[derive(Clone, PartialEq, Eq)]
pub struct RationalFunction {
    numerator: Polynomial,
    denominator: Polynomial,
}

impl RationalFunction {
    /// `numerator / denominator`; `None` if the denominator is zero.
    pub fn new(numerator: Polynomial, denominator: Polynomial) -> Option<Self> {
        if denominator.is_zero() {
            return None;
        }
        let divisor = numerator.gcd(&denominator);
        let over = |p: &Polynomial| p.divide_exactly(&divisor);
        let (numerator, denominator) =
            over(&numerator).zip(over(&denominator)).unwrap_or((numerator, denominator));
        Some(Self::normalised(numerator, denominator))
    }

    /// Of coprime polynomials.
    fn normalised(numerator: Polynomial, denominator: Polynomial) -> Self {
        let denominator = denominator.in_order_of_names();
        let mut factor = denominator.content();
        if denominator.leading_coefficient().is_negative() {
            factor = -&factor;
        }
        let factor = factor.reciprocal().unwrap_or(Rational::ONE);
        let numerator = numerator.in_order_of_names().scale(&factor);
        RationalFunction { numerator, denominator: denominator.scale(&factor) }
    }

    /// The numerator.
    pub fn numerator(&self) -> &Polynomial {
        &self.numerator
    }

    /// The denominator, not zero.
    pub fn denominator(&self) -> &Polynomial {
        &self.denominator
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        self.numerator.is_zero()
    }

    /// The polynomial, if the denominator is one.
    pub fn as_polynomial(&self) -> Option<&Polynomial> {
        (self.denominator == Polynomial::one()).then_some(&self.numerator)
    }

    /// One over this; `None` for zero.
    pub fn reciprocal(&self) -> Option<Self> {
        (!self.is_zero()).then(|| Self::normalised(self.denominator.clone(), self.numerator.clone()))
    }

    /// This divided by `divisor`; `None` for division by zero.
    pub fn divide(&self, divisor: &RationalFunction) -> Option<Self> {
        Some(self * &divisor.reciprocal()?)
    }

    /// This to an integer power; `None` for zero to a negative one.
    pub fn pow(&self, exponent: i32) -> Option<Self> {
        let base = if exponent < 0 { self.reciprocal()? } else { self.clone() };
        let count = exponent.unsigned_abs();
        Some(RationalFunction {
            numerator: base.numerator.pow(count),
            denominator: base.denominator.pow(count),
        })
    }

    /// The partial derivative.
    pub fn differentiate(&self, variable: &Symbol) -> Self {
        let (n, d) = (&self.numerator, &self.denominator);
        let numerator = &(&n.differentiate(variable) * d) - &(n * &d.differentiate(variable));
        Self::new(numerator, d * d).unwrap_or_else(|| Polynomial::zero().into())
    }

    /// The value at a point; `None` where the denominator vanishes or if a variable has no value.
    pub fn evaluate(&self, values: &BTreeMap<Symbol, Rational>) -> Option<Rational> {
        let denominator = self.denominator.evaluate(values).as_constant()?.reciprocal()?;
        Some(&self.numerator.evaluate(values).as_constant()? * &denominator)
    }

    /// The rational function that an expression is.
    ///
    /// # Errors
    /// [`NotPolynomial`] names a part that is neither a number, a symbol, a sum, a product nor an integer power, or that
    /// would be too long; the undefined expression is refused too.
    pub fn from_expr(expression: &Expr) -> Result<Self, NotPolynomial> {
        let refusal = || NotPolynomial::Part(expression.clone());
        match expression.kind() {
            Kind::Power(base, exponent) => power(base, exponent, expression),
            Kind::Product(coefficient, factors) => {
                let mut result = RationalFunction::from(Polynomial::constant(coefficient.clone()));
                for (base, exponent) in factors {
                    result = &result * &power(base, exponent, expression)?;
                }
                Ok(result)
            }
            Kind::Sum(constant, terms) => {
                let mut result = RationalFunction::from(Polynomial::constant(constant.clone()));
                for (term, coefficient) in terms {
                    let factor = RationalFunction::from(Polynomial::constant(coefficient.clone()));
                    result = &result + &(&Self::from_expr(term)? * &factor);
                }
                Ok(result)
            }
            Kind::Undefined => Err(refusal()),
            _ => Polynomial::from_expr(expression).map(Self::from),
        }
    }

    /// This as an expression.
    pub fn to_expr(&self) -> Expr {
        self.numerator.to_expr() / self.denominator.to_expr()
    }

    /// This in LaTeX, for mathematics mode.
    pub fn to_latex(&self) -> String {
        match self.as_polynomial() {
            Some(polynomial) => polynomial.to_latex(),
            None => format!("\\frac{{{}}}{{{}}}", self.numerator.to_latex(), self.denominator.to_latex()),
        }
    }
}

fn power(base: &Expr, exponent: &Expr, whole: &Expr) -> Result<RationalFunction, NotPolynomial> {
    let refusal = || NotPolynomial::Part(whole.clone());
    let exponent = exponent.as_number().and_then(Rational::to_i64).ok_or_else(refusal)?;
    if exponent >= 0 || base.as_symbol().is_none() {
        let magnitude = Expr::integer(exponent.unsigned_abs());
        if let Ok(polynomial) = Polynomial::from_expr(&base.pow(magnitude)) {
            let result = RationalFunction::from(polynomial);
            return if exponent < 0 { result.reciprocal().ok_or_else(refusal) } else { Ok(result) };
        }
    }
    let base = RationalFunction::from_expr(base)?;
    let largest = base.numerator.len().max(base.denominator.len());
    // Beyond a few terms a high power is refused as a polynomial's is.
    let exponent = i32::try_from(exponent).ok().filter(|e| largest <= 1 || e.unsigned_abs() <= 100);
    let exponent = exponent.ok_or_else(|| NotPolynomial::TooLong(whole.clone()))?;
    let degree = |p: &Polynomial| p.degree().unwrap_or(0).checked_mul(exponent.unsigned_abs());
    if degree(&base.numerator).is_none() || degree(&base.denominator).is_none() {
        return Err(NotPolynomial::TooLong(whole.clone()));
    }
    base.pow(exponent).ok_or_else(refusal)
}

impl From<Polynomial> for RationalFunction {
    fn from(numerator: Polynomial) -> Self {
        RationalFunction { numerator: numerator.in_order_of_names(), denominator: Polynomial::one() }
    }
}

impl Neg for &RationalFunction {
    type Output = RationalFunction;

    fn neg(self) -> RationalFunction {
        RationalFunction { numerator: -&self.numerator, denominator: self.denominator.clone() }
    }
}

impl Add for &RationalFunction {
    type Output = RationalFunction;

    /// With the common divisor d of the denominators: (a·q/d + c·b/d) / (b·q/d), where only d can still cancel.
    fn add(self, other: &RationalFunction) -> RationalFunction {
        let divisor = self.denominator.gcd(&other.denominator);
        let cofactor = |p: &Polynomial| p.divide_exactly(&divisor).unwrap_or_else(|| p.clone());
        let (b, q) = (cofactor(&self.denominator), cofactor(&other.denominator));
        let numerator = &(&self.numerator * &q) + &(&other.numerator * &b);
        let rest = numerator.gcd(&divisor);
        let over = |p: &Polynomial| p.divide_exactly(&rest).unwrap_or_else(|| p.clone());
        if numerator.is_zero() {
            return Polynomial::zero().into();
        }
        RationalFunction::normalised(over(&numerator), &(&b * &q) * &over(&divisor))
    }
}

impl Sub for &RationalFunction {
    type Output = RationalFunction;

    fn sub(self, other: &RationalFunction) -> RationalFunction {
        self + &-other
    }
}

impl Mul for &RationalFunction {
    type Output = RationalFunction;

    /// Divisors are taken crosswise, as the factors are in lowest terms themselves.
    fn mul(self, other: &RationalFunction) -> RationalFunction {
        if self.is_zero() || other.is_zero() {
            return Polynomial::zero().into();
        }
        let cancel = |n: &Polynomial, d: &Polynomial| {
            let divisor = n.gcd(d);
            n.divide_exactly(&divisor).zip(d.divide_exactly(&divisor)).unwrap_or((n.clone(), d.clone()))
        };
        let (a, d) = cancel(&self.numerator, &other.denominator);
        let (c, b) = cancel(&other.numerator, &self.denominator);
        RationalFunction::normalised(&a * &c, &b * &d)
    }
}

impl fmt::Display for RationalFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouped = |p: &Polynomial, alone: bool| {
            if p.len() > 1 || !alone { format!("({p})") } else { p.to_string() }
        };
        match self.as_polynomial() {
            Some(polynomial) => polynomial.fmt(f),
            None => {
                let (n, d) = (&self.numerator, &self.denominator);
                let is_power = d.len() == 1
                    && d.leading_coefficient().is_one()
                    && d.variables().iter().filter(|v| d.degree_in(v) > 0).count() == 1;
                write!(f, "{}/{}", grouped(n, true), grouped(d, is_power || d.as_constant().is_some()))
            }
        }
    }
}

impl fmt::Debug for RationalFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::parse;

    fn read(text: &str) -> RationalFunction {
        RationalFunction::from_expr(&parse(text).unwrap()).unwrap()
    }

    #[test]
    fn lowest_terms() {
        assert_eq!(read("(x^2 - 1)/(x - 1)").to_string(), "x + 1");
        assert_eq!(read("1/(2*x) + 1/(3*y)").to_string(), "(1/3*x + 1/2*y)/(x*y)");
        assert_eq!(read("x/(y - x)/2").to_string(), "-1/2*x/(x - y)");
        assert_eq!(read("1/x - 1/x"), Polynomial::zero().into());
        assert_eq!(read("(1/(1 - l*m))^2*(1 - l*m)"), read("1/(1 - l*m)"));
        assert_eq!(read("x^-2").to_string(), "1/x^2");
        assert_eq!(read("a/(1 + x)").to_latex(), "\\frac{a}{x + 1}");
        assert!(RationalFunction::from_expr(&parse("sin(x)/x").unwrap()).is_err());
        assert!(RationalFunction::from_expr(&Expr::undefined()).is_err());
        assert!(RationalFunction::new(Polynomial::one(), Polynomial::zero()).is_none());
    }

    fn function() -> impl Strategy<Value = RationalFunction> {
        let term = || (prop::collection::vec(0..3_u32, 2), -4..5_i64);
        let terms = || prop::collection::vec(term(), 0..4);
        (terms(), terms()).prop_filter_map("a denominator other than zero", |(n, d)| {
            let names: Arc<[Symbol]> = ["x", "y"].map(Symbol::new).into();
            let build = |terms: Vec<(Vec<u32>, i64)>| {
                Polynomial::from_terms(&names, terms.into_iter().map(|(e, c)| (e, c.into())))
            };
            RationalFunction::new(build(n), build(d))
        })
    }

    proptest! {
        #[test]
        fn field_laws(a in function(), b in function(), c in function()) {
            prop_assert_eq!(&a + &b, &b + &a);
            prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
            prop_assert_eq!(&(&a * &b) * &c, &a * &(&b * &c));
            prop_assert_eq!(&a * &(&b + &c), &(&a * &b) + &(&a * &c));
            prop_assert_eq!(&(&a - &b) + &b, a.clone());
            if let Some(inverse) = a.reciprocal() {
                prop_assert_eq!(&a * &inverse, Polynomial::one().into());
                prop_assert_eq!(a.pow(-2).unwrap(), &inverse * &inverse);
            }
            prop_assert_eq!(a.numerator().gcd(a.denominator()), Polynomial::one());
            prop_assert_eq!(RationalFunction::from_expr(&a.to_expr()), Ok(a.clone()));
            prop_assert_eq!(read(&a.to_string()), a);
        }

        #[test]
        fn derivatives_obey_the_product_rule(a in function(), b in function()) {
            let x = Symbol::new("x");
            let rule = &(&a.differentiate(&x) * &b) + &(&a * &b.differentiate(&x));
            prop_assert_eq!((&a * &b).differentiate(&x), rule);
        }
    }
}
