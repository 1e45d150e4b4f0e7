//! What is certain about the sign of an expression, its symbols being real.
//!
//! `false` means "not known". The search is bounded in depth, so that it costs little on large expressions.

use crate::expression::Kind;
use crate::{Expr, Function, Rational};

const DEPTH: u32 = 6;

/// Whether the expression is real and above zero wherever its parts are defined.
pub(crate) fn is_positive(expression: &Expr) -> bool {
    positive(expression, DEPTH)
}

/// Whether the expression is real and not below zero wherever its parts are defined.
pub(crate) fn is_nonnegative(expression: &Expr) -> bool {
    nonnegative(expression, DEPTH)
}

/// Whether the expression is defined for all values of its symbols, up to poles.
pub(crate) fn is_real(expression: &Expr) -> bool {
    real(expression, DEPTH)
}

fn positive(expression: &Expr, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match expression.kind() {
        Kind::Number(value) => !value.is_negative() && !value.is_zero(),
        Kind::Constant(_) => true,
        Kind::Power(base, exponent) => positive(base, depth) && real(exponent, depth),
        Kind::Function(Function::Cosh, argument) => real(argument, depth),
        Kind::Product(coefficient, factors) => {
            !coefficient.is_negative()
                && factors.iter().all(|(base, exponent)| positive(base, depth) && real(exponent, depth))
        }
        Kind::Sum(constant, terms) => {
            let some = !constant.is_zero() || terms.iter().any(|(term, _)| positive(term, depth));
            some && !constant.is_negative()
                && terms.iter().all(|(term, c)| !c.is_negative() && nonnegative(term, depth))
        }
        _ => false,
    }
}

fn nonnegative(expression: &Expr, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let power = |base: &Expr, exponent: &Expr| match exponent.as_number() {
        Some(value) if value.is_even_integer() => real(base, depth),
        Some(value) if value.is_integer() => nonnegative(base, depth),
        // An even root is not negative where it is defined, but whether it is defined is not known here.
        _ => nonnegative(base, depth) && real(exponent, depth),
    };
    match expression.kind() {
        Kind::Power(base, exponent) => power(base, exponent),
        Kind::Function(Function::Abs, argument) => real(argument, depth),
        Kind::Product(coefficient, factors) => {
            !coefficient.is_negative() && factors.iter().all(|(base, exponent)| power(base, exponent))
        }
        Kind::Sum(constant, terms) => {
            !constant.is_negative()
                && terms.iter().all(|(term, c)| !c.is_negative() && nonnegative(term, depth))
        }
        Kind::Number(value) => !value.is_negative(),
        _ => positive(expression, depth),
    }
}

fn real(expression: &Expr, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let power = |base: &Expr, exponent: &Expr| {
        real(exponent, depth)
            && if exponent.as_number().is_some_and(Rational::is_integer) {
                real(base, depth)
            } else {
                nonnegative(base, depth)
            }
    };
    match expression.kind() {
        Kind::Number(_) | Kind::Constant(_) | Kind::Symbol(_) => true,
        Kind::Power(base, exponent) => power(base, exponent),
        Kind::Function(Function::Log, argument) => positive(argument, depth),
        Kind::Function(Function::Asin | Function::Acos, _) | Kind::Undefined => false,
        Kind::Function(_, argument) => real(argument, depth),
        Kind::Product(_, factors) => factors.iter().all(|(base, exponent)| power(base, exponent)),
        Kind::Sum(_, terms) => terms.iter().all(|(term, _)| real(term, depth)),
    }
}
