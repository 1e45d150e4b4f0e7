//! Differentiation.

use std::collections::HashMap;

use crate::canonical::{power, product, scaled, sum};
use crate::expression::Kind;
use crate::{Expr, Symbol};

impl Expr {
    /// The partial derivative by `symbol`, all other symbols held fixed.
    ///
    /// Where an expression is not differentiable (`abs` and `sign` at zero) the derivative is that of either side.
    pub fn differentiate(&self, symbol: &Symbol) -> Expr {
        derivative(self, symbol, &mut HashMap::new())
    }
}

fn derivative(expression: &Expr, symbol: &Symbol, known: &mut HashMap<usize, Expr>) -> Expr {
    let address = expression.address();
    if let Some(result) = known.get(&address) {
        return result.clone();
    }
    let result = match expression.kind() {
        Kind::Number(_) | Kind::Constant(_) => return Expr::zero(),
        Kind::Undefined => return expression.clone(),
        Kind::Symbol(own) => return if own == symbol { Expr::one() } else { Expr::zero() },
        Kind::Power(base, exponent) => of_power(expression, base, exponent, symbol, known),
        Kind::Function(function, argument) => {
            let inner = derivative(argument, symbol, known);
            if inner.is_zero() { inner } else { product([function.derivative(argument), inner]) }
        }
        Kind::Product(coefficient, factors) => {
            let powers: Vec<Expr> = factors.iter().map(|(base, exponent)| power(base, exponent)).collect();
            let mut terms = Vec::new();
            for (index, (base, exponent)) in factors.iter().enumerate() {
                let inner = of_power(&powers[index], base, exponent, symbol, known);
                if !inner.is_zero() {
                    let others = powers.iter().enumerate().filter(|(other, _)| *other != index);
                    let coefficient = Expr::number(coefficient.clone());
                    terms.push(product(others.map(|(_, factor)| factor.clone()).chain([inner, coefficient])));
                }
            }
            sum(terms)
        }
        Kind::Sum(_, terms) => sum(terms
            .iter()
            .map(|(term, coefficient)| scaled(coefficient, &derivative(term, symbol, known)))
            .collect::<Vec<_>>()),
    };
    // The expression outlives the map, so its address stays its own. Powers made above do not and are not entered.
    known.insert(address, result.clone());
    result
}

/// The derivative of `whole = base ^ exponent`.
fn of_power(
    whole: &Expr,
    base: &Expr,
    exponent: &Expr,
    symbol: &Symbol,
    known: &mut HashMap<usize, Expr>,
) -> Expr {
    let base_derivative = derivative(base, symbol, known);
    let exponent_derivative = derivative(exponent, symbol, known);
    let mut terms = Vec::new();
    if !base_derivative.is_zero() {
        let lowered = power(base, &sum([exponent.clone(), Expr::integer(-1)]));
        terms.push(product([exponent.clone(), lowered, base_derivative]));
    }
    if !exponent_derivative.is_zero() {
        terms.push(product([whole.clone(), base.log(), exponent_derivative]));
    }
    sum(terms)
}
