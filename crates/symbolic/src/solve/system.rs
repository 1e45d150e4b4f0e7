//! Systems of equations, by branching over factors, substitution and resultants.

use std::collections::BTreeMap;

use crate::formula::Budget;
use crate::simplify::Kernels;
use crate::{Expr, Polynomial, RationalFunction, Symbol};

use super::Unsolved;
use super::equation::{Solutions, convert, denominators, resultant, roots_of, solve_equation};

/// How many substitutions, branches and resultants may follow each other.
const DEPTH: usize = 16;
/// How many solutions and branches are followed.
const MOST_SOLUTIONS: usize = 64;

/// Values of unknowns. Unknowns without one are free, and the values may depend on them.
pub type Assignment = BTreeMap<Symbol, Expr>;

/// The real solutions of a system of equations, each given as left side less right side.
///
/// Where there are fewer independent equations than unknowns, the first unknowns in the given order are expressed by the
/// later ones, generically: what holds only where a coefficient in the free unknowns vanishes is left out.
///
/// # Errors
/// [`Unsolved`] if the solutions have no closed form here or the budget is spent.
pub fn solve_system(
    differences: &[Expr],
    unknowns: &[Symbol],
    budget: &Budget,
) -> Result<Vec<Assignment>, Unsolved> {
    let mut solutions = Vec::new();
    for solution in solve(differences, unknowns, budget, DEPTH)? {
        if !solutions.contains(&solution) && fulfils(differences, &solution, budget)? {
            solutions.push(solution);
        }
    }
    Ok(solutions)
}

fn fulfils(differences: &[Expr], solution: &Assignment, budget: &Budget) -> Result<bool, Unsolved> {
    for difference in differences {
        for denominator in denominators(difference) {
            if denominator.substitute(solution).simplify(budget).is_none_or(|d| d.is_zero()) {
                return Ok(false);
            }
        }
        let residual = difference.substitute(solution).simplify(budget).ok_or(Unsolved::Budget)?;
        if !residual.is_zero() {
            match residual.sign_of_constant(budget) {
                Some(0) => {}
                Some(_) => return Ok(false),
                None => return Err(Unsolved::NoClosedForm),
            }
        }
    }
    Ok(true)
}

/// An equation as a polynomial, the unknowns in it, and those inside its roots and other kernels.
struct Equation {
    polynomial: Polynomial,
    unknowns: Vec<Symbol>,
    inside_kernels: Vec<Symbol>,
}

fn solve(
    differences: &[Expr],
    unknowns: &[Symbol],
    budget: &Budget,
    depth: usize,
) -> Result<Vec<Assignment>, Unsolved> {
    if depth == 0 || budget.is_spent() {
        return Err(Unsolved::Budget);
    }
    let mut kernels = Kernels::new(budget);
    let mut polynomials: Vec<Polynomial> = Vec::new();
    for difference in differences {
        let numerator = convert(difference, &mut kernels)?.numerator().primitive_part();
        if !numerator.is_zero() && !polynomials.contains(&numerator) {
            polynomials.push(numerator);
        }
    }
    let mut equations = Vec::new();
    for polynomial in polynomials {
        let inside: Vec<Symbol> = unknowns
            .iter()
            .filter(|u| {
                kernels.list.iter().any(|k| polynomial.degree_in(&k.symbol) > 0 && k.value.contains(u))
            })
            .cloned()
            .collect();
        let all: Vec<Symbol> =
            unknowns.iter().filter(|u| polynomial.degree_in(u) > 0 || inside.contains(u)).cloned().collect();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        equations.push(Equation { polynomial, unknowns: all, inside_kernels: inside });
    }
    if equations.is_empty() {
        return Ok(vec![Assignment::new()]);
    }
    let expressions: Vec<Expr> =
        equations.iter().map(|e| kernels.polynomial_to_expr(&e.polynomial)).collect();
    let with = |index: usize, replacement: &Expr| {
        let mut all = expressions.clone();
        all[index] = replacement.clone();
        all
    };

    // A product is zero if one of its factors is.
    for (index, equation) in equations.iter().enumerate().filter(|(_, e)| e.inside_kernels.is_empty()) {
        let factors = equation.polynomial.factor(budget).ok_or(Unsolved::Budget)?.factors;
        let factors: Vec<_> =
            factors.iter().filter(|(f, _)| unknowns.iter().any(|u| f.degree_in(u) > 0)).collect();
        if factors.len() > 1 || factors.iter().any(|(_, count)| *count > 1) {
            let mut solutions = Vec::new();
            for (factor, _) in factors {
                let branch = with(index, &kernels.polynomial_to_expr(factor));
                solutions.extend(solve(&branch, unknowns, budget, depth - 1)?);
            }
            return bounded(solutions);
        }
    }

    let linear = |equation: &Equation, unknown: &Symbol| {
        (equation.polynomial.degree_in(unknown) == 1 && !equation.inside_kernels.contains(unknown))
            .then(|| equation.polynomial.coefficients(unknown))
    };
    let is_free = |p: &Polynomial| unknowns.iter().all(|u| p.degree_in(u) == 0);
    let value_of = |coefficients: &[Polynomial]| -> Result<Expr, Unsolved> {
        let value = RationalFunction::new(-&coefficients[0], coefficients[1].clone());
        Ok(kernels.to_expr(&value.ok_or(Unsolved::NoClosedForm)?))
    };
    let substituted = |index: usize, unknown: &Symbol, value: &Expr| -> Vec<Expr> {
        let point = Assignment::from([(unknown.clone(), value.clone())]);
        let others = expressions.iter().enumerate().filter(|(k, _)| *k != index);
        others.map(|(_, expression)| expression.substitute(&point)).collect()
    };
    let finish = |index: usize, unknown: &Symbol, value: &Expr| -> Result<Vec<Assignment>, Unsolved> {
        let rest: Vec<Symbol> = unknowns.iter().filter(|u| *u != unknown).cloned().collect();
        let mut solutions = Vec::new();
        for mut solution in solve(&substituted(index, unknown, value), &rest, budget, depth - 1)? {
            let denominators = denominators(value);
            let mut vanishing = denominators.iter().map(|d| d.substitute(&solution).simplify(budget));
            if vanishing.any(|d| d.is_none_or(|d| d.is_zero())) {
                continue;
            }
            let value = value.substitute(&solution).simplify(budget).ok_or(Unsolved::Budget)?;
            solution.insert(unknown.clone(), value);
            solutions.push(solution);
        }
        Ok(solutions)
    };

    // An unknown that is linear with a coefficient that cannot vanish.
    for unknown in unknowns {
        for (index, equation) in equations.iter().enumerate() {
            if let Some(coefficients) = linear(equation, unknown)
                && is_free(&coefficients[1])
            {
                return finish(index, unknown, &value_of(&coefficients)?);
            }
        }
    }

    // An equation in one unknown.
    for (index, equation) in equations.iter().enumerate() {
        if let [unknown] = equation.unknowns.as_slice() {
            let values = match solve_equation(&expressions[index], unknown, budget)? {
                Solutions::Finite(values) => values,
                Solutions::Infinite => return Err(Unsolved::NoClosedForm),
            };
            let mut solutions = Vec::new();
            for value in values {
                solutions.extend(finish(index, unknown, &value)?);
            }
            return bounded(solutions);
        }
    }

    // An unknown that is linear with a coefficient that may vanish.
    let is_alone = equations.len() == 1;
    for unknown in unknowns {
        for (index, equation) in equations.iter().enumerate() {
            let Some(coefficients) = linear(equation, unknown) else { continue };
            let mut solutions = finish(index, unknown, &value_of(&coefficients)?)?;
            if !is_alone {
                let mut branch = with(index, &kernels.polynomial_to_expr(&coefficients[0]));
                branch.push(kernels.polynomial_to_expr(&coefficients[1]));
                solutions.extend(solve(&branch, unknowns, budget, depth - 1)?);
            }
            return bounded(solutions);
        }
    }

    if equations.iter().any(|e| !e.inside_kernels.is_empty()) {
        return Err(Unsolved::NoClosedForm);
    }
    if let [equation] = equations.as_slice() {
        let unknown = equation.unknowns.first().ok_or(Unsolved::NoClosedForm)?;
        let roots = roots_of(&kernels, &equation.polynomial, unknown, budget)?;
        return Ok(roots.into_iter().map(|root| Assignment::from([(unknown.clone(), root)])).collect());
    }

    // One unknown eliminated from the two equations that hold the fewest.
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for i in 0..equations.len() {
        for j in i + 1..equations.len() {
            let common = equations[i].unknowns.iter().any(|u| equations[j].unknowns.contains(u));
            let new = equations[j].unknowns.iter().filter(|u| !equations[i].unknowns.contains(u)).count();
            if common {
                pairs.push((equations[i].unknowns.len() + new, i, j));
            }
        }
    }
    pairs.sort_unstable();
    for (_, i, j) in pairs {
        for unknown in equations[i].unknowns.iter().rev().filter(|u| equations[j].unknowns.contains(u)) {
            let (p, q) = (&equations[i].polynomial, &equations[j].polynomial);
            let eliminant = resultant(p, q, unknown, budget)?;
            let expression = kernels.polynomial_to_expr(&eliminant.primitive_part());
            if !eliminant.is_zero() && !expressions.contains(&expression) {
                let mut more = expressions.clone();
                more.push(expression);
                return solve(&more, unknowns, budget, depth - 1);
            }
        }
    }
    Err(Unsolved::NoClosedForm)
}

fn bounded(mut solutions: Vec<Assignment>) -> Result<Vec<Assignment>, Unsolved> {
    let mut distinct = Vec::new();
    for solution in solutions.drain(..) {
        if !distinct.contains(&solution) {
            distinct.push(solution);
        }
    }
    if distinct.len() > MOST_SOLUTIONS { Err(Unsolved::Budget) } else { Ok(distinct) }
}
