//! Partial fractions of rational functions in one variable.
//!
//! With the denominator D = Π fᵢ^eᵢ over the rational numbers, N/D = polynomial + Σᵢ Σⱼ Aᵢⱼ / fᵢʲ with deg Aᵢⱼ < deg fᵢ: the
//! part over fᵢ^eᵢ is N · (D/fᵢ^eᵢ)⁻¹ modulo fᵢ^eᵢ by Euclid's algorithm, and its digits to the base fᵢ are the Aᵢⱼ.

use crate::formula::Budget;
use crate::{Polynomial, Rational, RationalFunction, Symbol};

/// Coefficients from exponent zero upwards; the last one is not zero.
type Dense = Vec<Rational>;

impl RationalFunction {
    /// The summands of the partial fraction decomposition in one variable: the polynomial part, if it is not zero, then
    /// the fractions. `None` if other variables occur or the denominator is not factored within the budget.
    pub fn partial_fractions(&self, variable: &Symbol, budget: &Budget) -> Option<Vec<RationalFunction>> {
        let is_other = |p: &Polynomial| p.variables().iter().any(|v| v != variable && p.degree_in(v) > 0);
        if is_other(self.numerator()) || is_other(self.denominator()) {
            return None;
        }
        let dense = |p: &Polynomial| -> Dense {
            trimmed(p.coefficients(variable).iter().map(Polynomial::leading_coefficient).collect())
        };
        let sparse = |p: &Dense| {
            let terms = p.iter().enumerate().map(|(k, c)| (vec![k as u32], c.clone()));
            Polynomial::from_terms(&[variable.clone()].into(), terms)
        };
        let denominator = dense(self.denominator());
        let (whole, numerator) = divide(&dense(self.numerator()), &denominator);
        let mut summands = Vec::new();
        if !whole.is_empty() {
            summands.push(sparse(&whole).into());
        }
        for (factor, count) in self.denominator().factor(budget)?.factors {
            let power = dense(&factor.pow(count));
            let (cofactor, _) = divide(&denominator, &power);
            let inverse = inverse(&cofactor, &power)?;
            let mut part = divide(&times(&numerator, &inverse), &power).1;
            for exponent in (1..=count).rev() {
                let (quotient, digit) = divide(&part, &dense(&factor));
                if !digit.is_empty() {
                    summands.push(RationalFunction::new(sparse(&digit), factor.pow(exponent))?);
                }
                part = quotient;
            }
        }
        Some(summands)
    }
}

fn trimmed(mut polynomial: Dense) -> Dense {
    while polynomial.last().is_some_and(Rational::is_zero) {
        polynomial.pop();
    }
    polynomial
}

fn times(a: &Dense, b: &Dense) -> Dense {
    let mut result = vec![Rational::ZERO; (a.len() + b.len()).saturating_sub(1)];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            result[i + j] = &result[i + j] + &(x * y);
        }
    }
    trimmed(result)
}

/// Quotient and remainder; the divisor is not zero.
fn divide(a: &Dense, b: &Dense) -> (Dense, Dense) {
    let inverse = b.last().and_then(Rational::reciprocal).unwrap_or(Rational::ONE);
    let mut rest = a.clone();
    let mut quotient = vec![Rational::ZERO; (a.len() + 1).saturating_sub(b.len())];
    for k in (0..quotient.len()).rev() {
        let factor = &rest[k + b.len() - 1] * &inverse;
        for (j, y) in b.iter().enumerate() {
            rest[k + j] = &rest[k + j] - &(&factor * y);
        }
        quotient[k] = factor;
    }
    (trimmed(quotient), trimmed(rest))
}

/// The inverse modulo a polynomial, if both are coprime.
fn inverse(polynomial: &Dense, modulus: &Dense) -> Option<Dense> {
    let (mut r, mut next) = (modulus.clone(), divide(polynomial, modulus).1);
    let (mut s, mut next_s): (Dense, Dense) = (Vec::new(), vec![Rational::ONE]);
    while !next.is_empty() {
        let (quotient, rest) = divide(&r, &next);
        let product = times(&quotient, &next_s);
        let at = |p: &Dense, k: usize| p.get(k).cloned().unwrap_or(Rational::ZERO);
        let length = s.len().max(product.len());
        let new = trimmed((0..length).map(|k| &at(&s, k) - &at(&product, k)).collect());
        (r, next) = (next, rest);
        (s, next_s) = (next_s, new);
    }
    let [constant] = r.as_slice() else { return None };
    let factor = constant.reciprocal()?;
    Some(s.iter().map(|c| c * &factor).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::parse;

    fn parts(text: &str) -> Option<Vec<String>> {
        let value = RationalFunction::from_expr(&parse(text).unwrap()).unwrap();
        let budget = Budget::new(Duration::from_secs(5));
        let parts = value.partial_fractions(&Symbol::new("x"), &budget)?;
        let sum = parts.iter().fold(RationalFunction::from(Polynomial::zero()), |sum, part| &sum + part);
        assert_eq!(sum, value);
        Some(parts.iter().map(|part| part.to_expr().to_string()).collect())
    }

    #[test]
    fn decompositions_that_are_known() {
        assert_eq!(parts("x^2 + 1").unwrap(), ["x^2 + 1"]);
        assert_eq!(parts("0").unwrap().len(), 0);
        assert_eq!(parts("1/(x^2 - 1)").unwrap().len(), 2);
        assert_eq!(parts("(x^3 + 2)/(x*(x - 1)^2*(x^2 + 1))").unwrap().len(), 4);
        assert_eq!(parts("x^4/(x - 1)^2").unwrap().len(), 3);
        assert!(parts("1/(x + y)").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn summands_add_up(n in prop::collection::vec(-5..6_i64, 1..5), roots in prop::collection::vec(-3..4_i64, 1..4)) {
            let x = Polynomial::variable("x");
            let number = |c: i64| Polynomial::constant(Rational::from(c));
            let numerator = n.iter().fold(Polynomial::zero(), |p, c| &(&p * &x) + &number(*c));
            let denominator = roots.iter().fold(Polynomial::one(), |p, c| &p * &(&x - &number(*c)));
            let value = RationalFunction::new(numerator, denominator).unwrap();
            let parts = value.partial_fractions(&Symbol::new("x"), &Budget::new(Duration::from_secs(5))).unwrap();
            let sum = parts.iter().fold(RationalFunction::from(Polynomial::zero()), |sum, part| &sum + part);
            prop_assert_eq!(sum, value);
        }
    }
}
