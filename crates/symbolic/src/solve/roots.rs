//! Real roots of polynomials in closed form, and how many there are.

use crate::expression::Kind;
use crate::formula::Budget;
use crate::{Expr, Rational};

use super::Unsolved;

/// The real roots of Σ cₖ xᵏ with coefficients free of x, the last one not zero.
///
/// Degrees one and two, those in a power of x, and cubics with rational coefficients and one real root (Cardano).
/// Discriminants with symbols are taken to be non-negative. Polynomials with rational coefficients that have no real root are
/// recognised by Sturm's theorem in any degree.
pub(super) fn real_roots(coefficients: &[Expr], budget: &Budget) -> Result<Vec<Expr>, Unsolved> {
    let simple = |e: Expr| e.simplify(budget).ok_or(Unsolved::Budget);
    let step = (1..coefficients.len())
        .rev()
        .find(|step| (0..coefficients.len()).all(|k| k % step == 0 || coefficients[k].is_zero()))
        .unwrap_or(1);
    if step > 1 && coefficients.len() > 3 || (step == 2 && coefficients[0].is_zero()) {
        let reduced: Vec<Expr> = coefficients.iter().step_by(step).cloned().collect();
        let mut roots = Vec::new();
        for power in real_roots(&reduced, budget)? {
            roots.extend(inverse_power(&power, step as i64, budget)?);
        }
        return Ok(roots);
    }
    match coefficients {
        [] | [_] => Ok(Vec::new()),
        [b, a] => Ok(vec![simple(-b / a)?]),
        [c, b, a] => {
            let discriminant = simple(b * b - a * c * 4)?;
            if discriminant.symbols().is_empty() {
                match discriminant.sign_of_constant(budget) {
                    Some(-1) => return Ok(Vec::new()),
                    Some(0) => return Ok(vec![simple(-b / (a * 2))?]),
                    Some(_) => {}
                    None => return Err(Unsolved::NoClosedForm),
                }
            } else if discriminant.is_zero() {
                return Ok(vec![simple(-b / (a * 2))?]);
            }
            let root = simple(discriminant.sqrt())?;
            if has_root_of_negative(&root) {
                return Err(Unsolved::NoClosedForm);
            }
            // Of √|p|² either sign will do.
            let root = root.replace_parts(&mut |part| match part.absolute_argument() {
                Some(inner) if !discriminant.symbols().is_empty() => Some(inner.clone()),
                _ => None,
            });
            Ok(vec![simple((-b - &root) / (a * 2))?, simple((root - b) / (a * 2))?])
        }
        _ => {
            let rational: Option<Vec<Rational>> =
                coefficients.iter().map(|c| c.as_number().cloned()).collect();
            let rational = rational.ok_or(Unsolved::NoClosedForm)?;
            match (count_real_roots(&rational), rational.as_slice()) {
                (0, _) => Ok(Vec::new()),
                (1, [d, c, b, a]) => Ok(vec![cardano(a, b, c, d, budget).ok_or(Unsolved::NoClosedForm)?]),
                _ => Err(Unsolved::NoClosedForm),
            }
        }
    }
}

/// Whether a square root of a negative number is a factor somewhere, as in √(−p²): real for isolated p at most.
fn has_root_of_negative(expression: &Expr) -> bool {
    let mut found = false;
    expression.replace_parts(&mut |part| {
        if let Kind::Power(base, exponent) = part.kind() {
            let is_root = exponent.as_number().is_some_and(|e| !e.is_integer());
            found = found || (is_root && base.as_number().is_some_and(Rational::is_negative));
        }
        None
    });
    let factors = |e: &Expr| match e.kind() {
        Kind::Product(_, factors) => factors.clone(),
        _ => Vec::new(),
    };
    let is_negative_root = |(base, exponent): &(Expr, Expr)| {
        base.as_number().is_some_and(Rational::is_negative)
            && exponent.as_number().is_some_and(|e| !e.is_integer())
    };
    found || expression.terms().iter().any(|term| factors(term).iter().any(is_negative_root))
}

/// The real solutions of xⁿ = value.
fn inverse_power(value: &Expr, degree: i64, budget: &Budget) -> Result<Vec<Expr>, Unsolved> {
    let root = |value: &Expr| value.pow(Expr::rational(1, degree)).simplify(budget).ok_or(Unsolved::Budget);
    let sign = if value.symbols().is_empty() {
        value.sign_of_constant(budget).ok_or(Unsolved::NoClosedForm)?
    } else {
        1
    };
    match (sign, degree % 2) {
        (0, _) => Ok(vec![Expr::zero()]),
        (-1, 0) => Ok(Vec::new()),
        (-1, _) => Ok(vec![-root(&-value)?]),
        (_, 0) => {
            let root = root(value)?;
            if has_root_of_negative(&root) {
                return Err(Unsolved::NoClosedForm);
            }
            Ok(vec![-&root, root])
        }
        _ => Ok(vec![root(value)?]),
    }
}

/// The only real root of a cubic: with x = t − b/3a, t³ + pt + q = 0, t = ∛(−q/2 + √D) + ∛(−q/2 − √D), where
/// D = q²/4 + p³/27 > 0.
fn cardano(a: &Rational, b: &Rational, c: &Rational, d: &Rational, budget: &Budget) -> Option<Expr> {
    let inverse = a.reciprocal()?;
    let (b, c, d) = (b * &inverse, c * &inverse, d * &inverse);
    let number = |value: &Rational| Expr::number(value.clone());
    let shift = &b * &Rational::new(1, 3)?;
    let p = &c - &(&shift * &b);
    let q = &(&d - &(&shift * &c)) + &(&(&shift * &(&shift * &shift)) * &Rational::from(2));
    let half = &q * &Rational::new(-1, 2)?;
    let discriminant = &(&half * &half) + &(&p * &(&p * &(&p * &Rational::new(1, 27)?)));
    let root = number(&discriminant).sqrt();
    let cube_root = |value: Expr| {
        let value = value.simplify(budget)?;
        match value.sign_of_constant(budget)? {
            -1 => Some(-((-value).pow(Expr::rational(1, 3)))),
            _ => Some(value.pow(Expr::rational(1, 3))),
        }
    };
    Some(cube_root(number(&half) + &root)? + cube_root(number(&half) - &root)? - number(&shift))
}

/// The number of distinct real roots of a polynomial with the coefficients from exponent zero upwards, by Sturm's chain.
pub(super) fn count_real_roots(coefficients: &[Rational]) -> usize {
    let trim = |mut p: Vec<Rational>| {
        while p.last().is_some_and(Rational::is_zero) {
            p.pop();
        }
        p
    };
    let derivative = coefficients.iter().enumerate().skip(1).map(|(k, c)| c * &Rational::from(k as i64));
    let mut chain = vec![trim(coefficients.to_vec()), trim(derivative.collect())];
    while let [.., a, b] = chain.as_slice() {
        let Some(inverse) = b.last().and_then(Rational::reciprocal) else { break };
        let mut rest = a.clone();
        while rest.len() >= b.len() {
            let shift = rest.len() - b.len();
            let Some(leading) = rest.pop() else { break };
            let factor = &leading * &inverse;
            for (k, c) in b[..b.len() - 1].iter().enumerate() {
                rest[shift + k] = &rest[shift + k] - &(&factor * c);
            }
            rest = trim(rest);
        }
        // Only signs matter, so the numbers may be kept short.
        let content = Rational::common_content(rest.clone()).and_then(|c| c.reciprocal());
        chain.push(rest.iter().map(|c| -&(c * content.as_ref().unwrap_or(&Rational::ONE))).collect());
    }
    let changes = |at_minus_infinity: bool| {
        let signs: Vec<bool> = chain
            .iter()
            .filter_map(|p| {
                let is_odd = p.len().is_multiple_of(2);
                p.last().map(|leading| leading.is_negative() ^ (at_minus_infinity && is_odd))
            })
            .collect();
        signs.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    changes(true).saturating_sub(changes(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sturm_counts() {
        let count = |c: &[i64]| count_real_roots(&c.iter().map(|c| Rational::from(*c)).collect::<Vec<_>>());
        assert_eq!(count(&[1, 1, 0, 0, 1]), 0);
        assert_eq!(count(&[-2, 0, 1]), 2);
        assert_eq!(count(&[1, -3, 0, 1]), 3);
        assert_eq!(count(&[1, -2, 1]), 1);
        assert_eq!(count(&[0, -1, 0, 0, 0, 1]), 3);
    }
}
