//! Equations in one unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::expression::Kind;
use crate::formula::Budget;
use crate::interval::Precision;
use crate::simplify::Kernels;
use crate::{Expr, Function, Polynomial, Rational, RationalFunction, Symbol};

use super::Unsolved;
use super::roots::real_roots;

/// How deep absolute values, exponents and roots inside each other are taken apart.
const DEPTH: usize = 6;

/// The solutions of an equation.
#[derive(Clone, Debug, PartialEq)]
pub enum Solutions {
    /// Infinitely many: an identity, perhaps only on a part of the line.
    Infinite,
    /// These and no others, in the order in which they were found.
    Finite(Vec<Expr>),
}

/// The real values of `unknown` at which `difference`, left side less right side, is zero.
///
/// Other symbols are parameters: the solutions hold for all their values for which both sides are defined and real and
/// coefficients do not vanish; where roots or absolute values hold the unknown, for some values.
///
/// # Errors
/// [`Unsolved`] if the solutions have no closed form here or the budget is spent.
pub fn solve_equation(difference: &Expr, unknown: &Symbol, budget: &Budget) -> Result<Solutions, Unsolved> {
    let found = match candidates(difference, unknown, budget, DEPTH)? {
        Solutions::Infinite => return Ok(Solutions::Infinite),
        Solutions::Finite(found) => found,
    };
    let is_rational = is_rational_in(difference, unknown);
    let mut solutions: Vec<Expr> = Vec::new();
    for value in found {
        if !solutions.contains(&value) && fulfils(difference, unknown, &value, is_rational, budget)? {
            solutions.push(value);
        }
    }
    Ok(Solutions::Finite(solutions))
}

impl Expr {
    /// The argument, if this is an absolute value.
    pub(super) fn absolute_argument(&self) -> Option<&Expr> {
        match self.kind() {
            Kind::Function(Function::Abs, argument) => Some(argument),
            _ => None,
        }
    }
}

/// An absolute value of something that holds the unknown.
pub(super) fn find_absolute(expression: &Expr, unknown: &Symbol) -> Option<Expr> {
    if let Some(argument) = expression.absolute_argument()
        && argument.contains(unknown)
    {
        return find_absolute(argument, unknown).or_else(|| Some(argument.clone()));
    }
    let mut found = None;
    expression.for_each_child(|child| found = found.take().or_else(|| find_absolute(child, unknown)));
    found
}

fn is_rational_in(expression: &Expr, unknown: &Symbol) -> bool {
    if !expression.contains(unknown) {
        return true;
    }
    let is_integer = |e: &Expr| e.as_number().is_some_and(Rational::is_integer);
    match expression.kind() {
        Kind::Power(base, exponent) => is_integer(exponent) && is_rational_in(base, unknown),
        Kind::Product(_, factors) => factors.iter().all(|(b, e)| {
            (is_integer(e) || !b.contains(unknown) && !e.contains(unknown)) && is_rational_in(b, unknown)
        }),
        Kind::Sum(_, terms) => terms.iter().all(|(term, _)| is_rational_in(term, unknown)),
        Kind::Function(..) => false,
        _ => true,
    }
}

/// Values among which all solutions are.
fn candidates(
    difference: &Expr,
    unknown: &Symbol,
    budget: &Budget,
    depth: usize,
) -> Result<Solutions, Unsolved> {
    if budget.is_spent() || depth == 0 {
        return Err(Unsolved::Budget);
    }
    // |u| is u or −u.
    if let Some(argument) = find_absolute(difference, unknown) {
        let absolute = Function::Abs.apply(&argument);
        let mut found = Vec::new();
        for sign in [1, -1] {
            let value = &argument * sign;
            let case = difference.replace_parts(&mut |part| (*part == absolute).then(|| value.clone()));
            match candidates(&case, unknown, budget, depth - 1)? {
                Solutions::Finite(more) => found.extend(more),
                Solutions::Infinite if holds_somewhere(difference, unknown, &argument, budget) => {
                    return Ok(Solutions::Infinite);
                }
                Solutions::Infinite => {}
            }
        }
        return Ok(Solutions::Finite(found));
    }
    let mut kernels = Kernels::new(budget);
    let value = kernels.convert(difference).ok_or(Unsolved::Budget)?;
    if value.is_zero() {
        return Ok(Solutions::Infinite);
    }
    let mut polynomial = value.numerator().clone();
    let holding: Vec<usize> =
        (0..kernels.list.len()).filter(|k| kernels.list[*k].value.contains(unknown)).collect();
    for &index in holding.iter().rev() {
        let kernel = &kernels.list[index];
        if polynomial.degree_in(&kernel.symbol) == 0 {
            continue;
        }
        match &kernel.root {
            Some((degree, radicand)) => {
                // kⁿ D − N = 0 for the radicand N/D.
                let power = Polynomial::variable(kernel.symbol.clone()).pow(*degree);
                let relation = &(&power * radicand.denominator()) - radicand.numerator();
                polynomial = resultant(&polynomial, &relation, &kernel.symbol, budget)?;
            }
            None => return exponential(&kernels, &polynomial, index, unknown, budget, depth),
        }
    }
    if polynomial.is_zero() {
        return Err(Unsolved::NoClosedForm);
    }
    Ok(Solutions::Finite(roots_of(&kernels, &polynomial, unknown, budget)?))
}

/// The real roots of a polynomial in the unknown whose coefficients hold kernels and parameters.
pub(super) fn roots_of(
    kernels: &Kernels<'_>,
    polynomial: &Polynomial,
    unknown: &Symbol,
    budget: &Budget,
) -> Result<Vec<Expr>, Unsolved> {
    let mut roots = Vec::new();
    for (factor, _) in polynomial.factor(budget).ok_or(Unsolved::Budget)?.factors {
        if factor.degree_in(unknown) == 0 {
            continue;
        }
        let coefficients: Vec<Expr> =
            factor.coefficients(unknown).iter().map(|c| kernels.polynomial_to_expr(c)).collect();
        roots.extend(real_roots(&coefficients, budget)?);
    }
    Ok(roots)
}

/// A polynomial in one power b^t(x) of a positive number: t(x) = log(root)/log(b) for its positive roots.
fn exponential(
    kernels: &Kernels<'_>,
    polynomial: &Polynomial,
    index: usize,
    unknown: &Symbol,
    budget: &Budget,
    depth: usize,
) -> Result<Solutions, Unsolved> {
    let kernel = &kernels.list[index];
    let others = kernels.list.iter().filter(|k| k.symbol != kernel.symbol && k.value.contains(unknown));
    let is_alone = polynomial.degree_in(unknown) == 0
        && others.into_iter().all(|k| polynomial.degree_in(&k.symbol) == 0);
    let (base, exponent) = match kernel.value.kind() {
        Kind::Power(base, exponent) if is_alone => (base, exponent),
        _ => return Err(Unsolved::NoClosedForm),
    };
    if base.as_number().is_none_or(|b| *b <= Rational::ONE) {
        return Err(Unsolved::NoClosedForm);
    }
    let mut found = Vec::new();
    for root in roots_of(kernels, polynomial, &kernel.symbol, budget)? {
        if root.symbols().is_empty() && root.sign_of_constant(budget).ok_or(Unsolved::NoClosedForm)? <= 0 {
            continue;
        }
        let logarithm = exact_logarithm(base, &root).unwrap_or_else(|| root.log() / base.log());
        match candidates(&(exponent - logarithm), unknown, budget, depth - 1)? {
            Solutions::Infinite => return Ok(Solutions::Infinite),
            Solutions::Finite(more) => found.extend(more),
        }
    }
    Ok(Solutions::Finite(found))
}

/// The integer n with bⁿ = value, for a prime b.
fn exact_logarithm(base: &Expr, value: &Expr) -> Option<Expr> {
    let (base, value) = (base.as_number()?, value.as_number()?);
    let (mut up, inverse) =
        if *value < Rational::ONE { (value.reciprocal()?, -1) } else { (value.clone(), 1) };
    let step = base.reciprocal()?;
    let mut count = 0_i64;
    while up > Rational::ONE && count < 4096 {
        up = &up * &step;
        count += 1;
    }
    up.is_one().then(|| Expr::integer(count * inverse))
}

/// The resultant with respect to a variable, the determinant of Sylvester's matrix, by Bareiss' fraction-free elimination.
pub(super) fn resultant(
    a: &Polynomial,
    b: &Polynomial,
    variable: &Symbol,
    budget: &Budget,
) -> Result<Polynomial, Unsolved> {
    let (p, q) = (a.coefficients(variable), b.coefficients(variable));
    let (m, n) = (p.len() - 1, q.len() - 1);
    let size = m + n;
    if size > 12 {
        return Err(Unsolved::Budget);
    }
    let mut matrix = vec![vec![Polynomial::zero(); size]; size];
    for row in 0..n {
        for (k, c) in p.iter().rev().enumerate() {
            matrix[row][row + k] = c.clone();
        }
    }
    for row in 0..m {
        for (k, c) in q.iter().rev().enumerate() {
            matrix[n + row][row + k] = c.clone();
        }
    }
    let mut previous = Polynomial::one();
    let mut is_negative = false;
    for k in 0..size {
        let Some(pivot) = (k..size).find(|row| !matrix[*row][k].is_zero()) else {
            return Ok(Polynomial::zero());
        };
        if pivot != k {
            matrix.swap(pivot, k);
            is_negative = !is_negative;
        }
        for row in k + 1..size {
            for column in k + 1..size {
                let longest = matrix[k][k].len() * matrix[row][column].len()
                    + matrix[row][k].len() * matrix[k][column].len();
                if longest > 20_000 || budget.is_spent() {
                    return Err(Unsolved::Budget);
                }
                let difference =
                    &(&matrix[k][k] * &matrix[row][column]) - &(&matrix[row][k] * &matrix[k][column]);
                matrix[row][column] = difference.divide_exactly(&previous).ok_or(Unsolved::Budget)?;
            }
        }
        previous = matrix[k][k].clone();
    }
    Ok(if is_negative { -previous } else { previous })
}

/// Whether the difference is zero at some rational point around the zeros of `argument`.
fn holds_somewhere(difference: &Expr, unknown: &Symbol, argument: &Expr, budget: &Budget) -> bool {
    let mut points: Vec<Rational> = [-1000, -7, -1, 0, 1, 7, 1000].map(Rational::from).into();
    if let Ok(Solutions::Finite(zeros)) = candidates(argument, unknown, budget, 2) {
        let near =
            zeros.iter().filter_map(|zero| zero.enclose(Precision::digits(20))).map(|zero| zero.to_f64());
        for zero in near.filter(|zero| zero.abs() < 1e9) {
            let zero = (zero * 1024.0) as i64;
            points.extend([-64, 64].map(|step| Rational::new(zero + step, 1024).unwrap_or(Rational::ZERO)));
        }
    }
    points.into_iter().any(|point| {
        let point = BTreeMap::from([(unknown.clone(), Expr::number(point))]);
        difference.substitute(&point).sign_of_constant(budget) == Some(0)
    })
}

/// Whether a candidate is a solution. Candidates of rational equations are roots of the numerator already.
fn fulfils(
    difference: &Expr,
    unknown: &Symbol,
    value: &Expr,
    is_rational: bool,
    budget: &Budget,
) -> Result<bool, Unsolved> {
    for denominator in denominators(difference) {
        if denominator.contains(unknown) {
            let at = denominator.substitute(&BTreeMap::from([(unknown.clone(), value.clone())]));
            if at.simplify(budget).is_none_or(|d| d.is_zero()) {
                return Ok(false);
            }
        }
    }
    if is_rational {
        return Ok(true);
    }
    let residual = difference.substitute(&BTreeMap::from([(unknown.clone(), value.clone())]));
    if residual.symbols().is_empty() {
        if let Some(sign) = residual.sign_of_constant(budget) {
            return Ok(sign == 0);
        }
        // Not real, or zero without a proof.
        return match residual.simplify(budget) {
            Some(simple) if simple.is_zero() => Ok(true),
            Some(simple) if simple.enclose(Precision::digits(60)).is_none() => Ok(false),
            _ => Err(Unsolved::NoClosedForm),
        };
    }
    Ok(holds_at_samples(&residual, budget))
}

/// Whether the residual vanishes at some of the sample values of the parameters.
fn holds_at_samples(residual: &Expr, budget: &Budget) -> bool {
    let symbols: Vec<Symbol> = residual.symbols().into_iter().collect();
    let values = [(3, 2), (-5, 3), (17, 4), (-29, 7), (1, 3), (101, 1), (-2, 9), (-97, 1)];
    (0..values.len()).any(|shift| {
        let point = symbols.iter().enumerate().map(|(k, symbol)| {
            let (n, d) = values[(shift + 3 * k) % values.len()];
            (symbol.clone(), Expr::rational(n, d))
        });
        residual.substitute(&point.collect()).sign_of_constant(budget) == Some(0)
    })
}

/// The bases of all powers with negative exponents.
pub(super) fn denominators(expression: &Expr) -> BTreeSet<Expr> {
    fn collect(expression: &Expr, found: &mut BTreeSet<Expr>) {
        let mut power = |base: &Expr, exponent: &Expr| {
            if exponent.as_number().is_some_and(Rational::is_negative) {
                found.insert(base.clone());
            }
        };
        match expression.kind() {
            Kind::Power(base, exponent) => power(base, exponent),
            Kind::Product(_, factors) => factors.iter().for_each(|(base, exponent)| power(base, exponent)),
            _ => {}
        }
        expression.for_each_child(|child| collect(child, found));
    }
    let mut found = BTreeSet::new();
    collect(expression, &mut found);
    found
}

/// The value as a quotient of polynomials in symbols and kernels.
pub(super) fn convert(expression: &Expr, kernels: &mut Kernels<'_>) -> Result<RationalFunction, Unsolved> {
    kernels.convert(expression).ok_or(Unsolved::Budget)
}
