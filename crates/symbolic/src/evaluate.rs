//! Values at one point: in `f64`, or exactly where the value is rational.

use std::collections::BTreeMap;

use crate::expression::{Constant, Kind};
use crate::{Expr, Rational, Symbol};

/// Why an expression has no value at a point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// A symbol that was given no value.
    #[error("`{}` has no value", .0.name())]
    UnknownSymbol(Symbol),
    /// Division by zero or a function outside its domain.
    #[error("the expression is not defined at this point")]
    Undefined,
    /// The value is irrational, or is not found by rational arithmetic.
    #[error("`{0}` has no rational value")]
    NotRational(Expr),
    /// A power with too many digits to write out.
    #[error("`{0}` has too many digits")]
    TooLong(Expr),
}

impl Expr {
    /// The value in `f64` where the symbols have these values; NaN where it is undefined.
    ///
    /// For more than a few points compile a [`Program`](crate::Program).
    ///
    /// # Errors
    /// [`EvaluateError::UnknownSymbol`] if a symbol has no value.
    pub fn evaluate_f64(&self, values: &BTreeMap<Symbol, f64>) -> Result<f64, EvaluateError> {
        let power = |base: &Expr, exponent: &Expr| -> Result<f64, EvaluateError> {
            let x = exponent.evaluate_f64(values)?;
            if let Kind::Constant(Constant::E) = base.kind() {
                return Ok(x.exp());
            }
            let base = base.evaluate_f64(values)?;
            Ok(match exponent.as_number().and_then(Rational::to_i64).map(i32::try_from) {
                Some(Ok(n)) if n.abs() <= 64 => base.powi(n),
                _ if x == 0.5 => base.sqrt(),
                _ => base.powf(x),
            })
        };
        Ok(match self.kind() {
            Kind::Number(value) => value.to_f64(),
            Kind::Constant(constant) => constant.value(),
            Kind::Symbol(symbol) => {
                *values.get(symbol).ok_or_else(|| EvaluateError::UnknownSymbol(symbol.clone()))?
            }
            Kind::Power(base, exponent) => power(base, exponent)?,
            Kind::Function(function, argument) => function.value(argument.evaluate_f64(values)?),
            Kind::Product(coefficient, factors) => {
                let mut value = coefficient.to_f64();
                for (base, exponent) in factors {
                    value *= power(base, exponent)?;
                }
                value
            }
            Kind::Sum(constant, terms) => {
                let mut value = constant.to_f64();
                for (term, coefficient) in terms {
                    value += coefficient.to_f64() * term.evaluate_f64(values)?;
                }
                value
            }
            Kind::Undefined => f64::NAN,
        })
    }

    /// The exact value where the symbols have these values.
    ///
    /// # Errors
    /// If a symbol has no value, if the value is not rational or not defined, or if it has too many digits.
    pub fn evaluate_exact(&self, values: &BTreeMap<Symbol, Rational>) -> Result<Rational, EvaluateError> {
        let point =
            values.iter().map(|(symbol, value)| (symbol.clone(), Expr::number(value.clone()))).collect();
        let value = self.substitute(&point);
        match value.kind() {
            Kind::Number(number) => Ok(number.clone()),
            Kind::Undefined => Err(EvaluateError::Undefined),
            Kind::Power(base, exponent)
                if base.as_number().is_some() && exponent.as_number().is_some_and(Rational::is_integer) =>
            {
                Err(EvaluateError::TooLong(value))
            }
            _ => match value.symbols().pop_first() {
                Some(symbol) => Err(EvaluateError::UnknownSymbol(symbol)),
                None => Err(EvaluateError::NotRational(value)),
            },
        }
    }
}
