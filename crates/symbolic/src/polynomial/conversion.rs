//! Between polynomials and expressions.

use crate::expression::Kind;
use crate::{Expr, Polynomial, Rational};

/// Polynomials of expressions are multiplied out up to about this many terms.
const LONGEST: u64 = 1_000_000;

/// Why an expression is no polynomial.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotPolynomial {
    /// It contains something other than rational numbers, symbols, sums, products and powers to non-negative integers.
    #[error("`{0}` is no polynomial with rational coefficients")]
    Part(Expr),
    /// It would have too many terms when multiplied out.
    #[error("`{0}` has too many terms when multiplied out")]
    TooLong(Expr),
}

impl Polynomial {
    /// The polynomial that an expression is, multiplied out.
    ///
    /// # Errors
    /// [`NotPolynomial`] names the part that is none, or the one that would have more than about a million terms.
    pub fn from_expr(expression: &Expr) -> Result<Self, NotPolynomial> {
        match expression.kind() {
            Kind::Number(value) => Ok(Polynomial::constant(value.clone())),
            Kind::Symbol(symbol) => Ok(Polynomial::variable(symbol.clone())),
            Kind::Power(base, exponent) => power(base, exponent, expression),
            Kind::Product(coefficient, factors) => {
                let mut result = Polynomial::constant(coefficient.clone());
                for (base, exponent) in factors {
                    let factor = power(base, exponent, expression)?;
                    if (result.len() as u64).saturating_mul(factor.len() as u64) > 100 * LONGEST {
                        return Err(NotPolynomial::TooLong(expression.clone()));
                    }
                    result = &result * &factor;
                }
                Ok(result)
            }
            Kind::Sum(constant, terms) => {
                let mut summands = vec![Polynomial::constant(constant.clone())];
                for (term, coefficient) in terms {
                    summands.push(Polynomial::from_expr(term)?.scale(coefficient));
                }
                Ok(Polynomial::sum(summands))
            }
            _ => Err(NotPolynomial::Part(expression.clone())),
        }
    }

    /// This as an expression.
    pub fn to_expr(&self) -> Expr {
        Expr::sum(self.terms().map(|(exponents, coefficient)| {
            let powers = self.variables.iter().zip(exponents).filter(|(_, exponent)| **exponent > 0);
            let factors = powers.map(|(variable, exponent)| Expr::symbol(variable).pow(i64::from(*exponent)));
            Expr::product(std::iter::once(Expr::number(coefficient.clone())).chain(factors))
        }))
    }
}

fn power(base: &Expr, exponent: &Expr, whole: &Expr) -> Result<Polynomial, NotPolynomial> {
    let count = exponent.as_number().and_then(Rational::to_i64).filter(|count| *count >= 0);
    let Some(count) = count else { return Err(NotPolynomial::Part(whole.clone())) };
    let base = Polynomial::from_expr(base)?;
    let too_long = || NotPolynomial::TooLong(whole.clone());
    let count = u32::try_from(count).map_err(|_| too_long())?;
    if base.degree().unwrap_or(0).checked_mul(count).is_none() || !is_short(base.len() as u64, count) {
        return Err(too_long());
    }
    Ok(base.pow(count))
}

/// Whether a sum of so many terms to the power of `count` has at most [`LONGEST`] terms: the number of multisets.
fn is_short(terms: u64, count: u32) -> bool {
    let mut size = 1_u64;
    // The binomial coefficient of `terms - 1 + count` over the smaller of both.
    let (k, n) = (terms.saturating_sub(1).min(u64::from(count)), terms.saturating_sub(1) + u64::from(count));
    for i in 0..k {
        size = match size.checked_mul(n - i) {
            Some(product) => product / (i + 1),
            None => return false,
        };
        if size > LONGEST {
            return false;
        }
    }
    true
}
