//! Plain notation, which parses back to an equal expression, and the layout that it shares with LaTeX.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use crate::expression::{Constant, Kind};
use crate::{Expr, Function, Rational};

/// A product as it is written: a sign, a fraction.
pub(crate) struct Fraction {
    pub(crate) is_negative: bool,
    pub(crate) numerator: Vec<Factor>,
    pub(crate) denominator: Vec<Factor>,
}

/// `base ^ exponent`; numbers in it are positive.
pub(crate) type Factor = (Expr, Expr);

impl Fraction {
    /// How `expression`, no sum, is written.
    pub(crate) fn of(expression: &Expr) -> Fraction {
        let single;
        let (coefficient, factors) = match expression.kind() {
            Kind::Number(value) => (value, &[][..]),
            Kind::Product(coefficient, factors) => (coefficient, &factors[..]),
            Kind::Power(base, exponent) => {
                single = [(base.clone(), exponent.clone())];
                (&Rational::ONE, &single[..])
            }
            _ => {
                single = [(expression.clone(), Expr::one())];
                (&Rational::ONE, &single[..])
            }
        };
        let mut fraction = Fraction {
            is_negative: coefficient.is_negative(),
            numerator: Vec::new(),
            denominator: Vec::new(),
        };
        let coefficient = coefficient.abs();
        let integer = |value| (Expr::integer(value), Expr::one());
        if !coefficient.is_integer() {
            fraction.denominator.push(integer(coefficient.denominator()));
        }
        for (base, exponent) in factors {
            let is_exponential = matches!(base.kind(), Kind::Constant(Constant::E));
            match exponent.as_number() {
                Some(value) if value.is_negative() && !is_exponential => {
                    fraction.denominator.push((base.clone(), Expr::number(-value)));
                }
                _ => fraction.numerator.push((base.clone(), exponent.clone())),
            }
        }
        // `x*exp(y)` reads better than `exp(y)*x`.
        fraction.numerator.sort_by_key(|(base, exponent)| {
            matches!(base.kind(), Kind::Constant(Constant::E)) && exponent.as_number().is_none()
        });
        let numerator = Rational::integer(coefficient.numerator());
        if !numerator.is_one() || fraction.numerator.is_empty() {
            fraction.numerator.insert(0, (Expr::number(numerator), Expr::one()));
        }
        fraction
    }
}

/// The terms of a sum in the order of writing: by falling degree, then by name, numbers last.
pub(crate) fn written_terms(constant: &Rational, terms: &[(Expr, Rational)]) -> Vec<Expr> {
    let mut keyed: Vec<(Rational, Vec<Factor>, Expr)> = terms
        .iter()
        .map(|(term, coefficient)| {
            let factors = match term.kind() {
                Kind::Product(_, factors) => factors.clone(),
                Kind::Power(base, exponent) => vec![(base.clone(), exponent.clone())],
                _ => vec![(term.clone(), Expr::one())],
            };
            let degrees = factors
                .iter()
                .filter(|(base, _)| base.as_symbol().is_some())
                .filter_map(|(_, exponent)| exponent.as_number().cloned());
            (Rational::sum(degrees.collect()), factors, crate::canonical::scaled(coefficient, term))
        })
        .collect();
    let by_factor = |(base, exponent): &Factor, (other, power): &Factor| {
        base.cmp(other).then_with(|| match (exponent.as_number(), power.as_number()) {
            (Some(a), Some(b)) => b.cmp(a),
            _ => exponent.cmp(power),
        })
    };
    keyed.sort_by(|(degree, factors, _), (other_degree, others, _)| {
        other_degree.cmp(degree).then_with(|| {
            factors
                .iter()
                .zip(others)
                .map(|(factor, other)| by_factor(factor, other))
                .find(|ordering| ordering.is_ne())
                .unwrap_or(Ordering::Equal)
                .then(factors.len().cmp(&others.len()))
        })
    });
    let mut written: Vec<Expr> = keyed.into_iter().map(|(_, _, term)| term).collect();
    if !constant.is_zero() {
        written.push(Expr::number(constant.clone()));
    }
    written
}

pub(crate) fn is_half(exponent: &Expr) -> bool {
    exponent.as_number() == Some(&Rational::half())
}

/// Whether `base ^ exponent` is written without an operator: `x`, `sin(x)`, `exp(x)`, `sqrt(x)`, `12`.
fn is_single(base: &Expr, exponent: &Expr) -> bool {
    if matches!(base.kind(), Kind::Constant(Constant::E)) || is_half(exponent) {
        return true;
    }
    exponent.is_one()
        && match base.kind() {
            Kind::Number(value) => value.is_integer() && !value.is_negative(),
            Kind::Constant(_) | Kind::Symbol(_) | Kind::Function(..) | Kind::Undefined => true,
            Kind::Power(base, exponent) => is_single(base, exponent),
            Kind::Product(..) | Kind::Sum(..) => false,
        }
}

fn write_operand(f: &mut fmt::Formatter<'_>, operand: &Expr) -> fmt::Result {
    if is_single(operand, &Expr::one()) { write!(f, "{operand}") } else { write!(f, "({operand})") }
}

fn write_factor(f: &mut fmt::Formatter<'_>, (base, exponent): &Factor) -> fmt::Result {
    if exponent.is_one() {
        write_operand(f, base)
    } else if matches!(base.kind(), Kind::Constant(Constant::E)) {
        write!(f, "exp({exponent})")
    } else if is_half(exponent) {
        write!(f, "sqrt({base})")
    } else {
        write_operand(f, base)?;
        f.write_char('^')?;
        match exponent.kind() {
            // `^` binds from the right.
            Kind::Power(_, inner) if !inner.as_number().is_some_and(Rational::is_negative) => {
                write!(f, "{exponent}")
            }
            _ => write_operand(f, exponent),
        }
    }
}

fn write_factors(f: &mut fmt::Formatter<'_>, factors: &[Factor]) -> fmt::Result {
    for (index, factor) in factors.iter().enumerate() {
        if index > 0 {
            f.write_char('*')?;
        }
        write_factor(f, factor)?;
    }
    Ok(())
}

fn write_fraction(f: &mut fmt::Formatter<'_>, fraction: &Fraction) -> fmt::Result {
    write_factors(f, &fraction.numerator)?;
    match &fraction.denominator[..] {
        [] => Ok(()),
        [factor] => {
            f.write_char('/')?;
            write_factor(f, factor)
        }
        factors => {
            f.write_str("/(")?;
            write_factors(f, factors)?;
            f.write_char(')')
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Constant(Constant::E) => f.write_char('e'),
            Kind::Constant(Constant::Pi) => f.write_str("pi"),
            Kind::Symbol(symbol) => f.write_str(symbol.name()),
            Kind::Function(function, argument) => write!(f, "{function}({argument})"),
            Kind::Undefined => f.write_str("undefined"),
            Kind::Sum(constant, terms) => {
                for (index, term) in written_terms(constant, terms).iter().enumerate() {
                    let fraction = Fraction::of(term);
                    f.write_str(match (index, fraction.is_negative) {
                        (0, false) => "",
                        (0, true) => "-",
                        (_, false) => " + ",
                        (_, true) => " - ",
                    })?;
                    write_fraction(f, &fraction)?;
                }
                Ok(())
            }
            Kind::Number(value) => write!(f, "{value}"),
            Kind::Power(..) | Kind::Product(..) => {
                let fraction = Fraction::of(self);
                if fraction.is_negative {
                    f.write_char('-')?;
                }
                write_fraction(f, &fraction)
            }
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
