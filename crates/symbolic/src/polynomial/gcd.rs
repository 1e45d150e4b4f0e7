//! Greatest common divisors of polynomials over the integers.
//!
//! First what is cheap: monomial factors, variables that only one of both has, bounds on the degrees of the divisor
//! from images modulo a prime, one dividing the other. What remains is done by the heuristic algorithm (Char, Geddes and
//! Gonnet 1989): evaluate at a large integer, one variable after the other, take the divisor of integers, read its
//! digits back as coefficients, and accept what divides both. Where numbers would become too long, or six points fail,
//! Euclid's algorithm with primitive remainders, which is also what the tests compare with, decides.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, Zero};

use super::{Polynomial, unify, union};
use crate::modular::PrimeField;
use crate::{Rational, Symbol};

/// Evaluations of the heuristic algorithm are given up beyond this many bits.
const LONGEST_EVALUATION: u64 = 1 << 21;

/// With a positive leading coefficient in the order of the variables of `a`, then those of `b`.
pub(super) fn greatest_common_divisor(a: &Polynomial, b: &Polynomial) -> Polynomial {
    common_divisor(a, b).embed(&union(a, b)).primitive_part()
}

fn common_divisor(a: &Polynomial, b: &Polynomial) -> Polynomial {
    if a.is_zero() || b.is_zero() {
        return if a.is_zero() { b.primitive_part() } else { a.primitive_part() };
    }
    let (monomial, a, b) = split_monomials(a, b);
    let (mut a, mut b) = (a.primitive_part(), b.primitive_part());
    // The divisor is free of a variable that only one of both has, or in which its degree is bounded by zero: it divides all
    // coefficients.
    while let Some(variable) = variable_to_drop(&a, &b) {
        a = content_in(&a, &variable);
        b = content_in(&b, &variable);
    }
    let core =
        if a.as_constant().is_some() || b.as_constant().is_some() { Polynomial::one() } else { core(&a, &b) };
    &monomial * &core
}

/// Of two polynomials with the same variables and without monomial factors.
fn core(a: &Polynomial, b: &Polynomial) -> Polynomial {
    let (shorter, longer) = if a.degree() <= b.degree() { (a, b) } else { (b, a) };
    if longer.divide_exactly(shorter).is_some() {
        return shorter.clone();
    }
    let (a, b) = unify(a, b);
    heuristic(&a, &b, 0).unwrap_or_else(|| euclid(&a, &b)).primitive_part()
}

/// The common monomial factor, and both without their monomial factors and idle variables.
fn split_monomials(a: &Polynomial, b: &Polynomial) -> (Polynomial, Polynomial, Polynomial) {
    let (a, b) = unify(a, b);
    let (mut a, mut b) = (a.into_owned(), b.into_owned());
    let mut common = vec![0; a.variables.len()];
    for (index, common) in common.iter_mut().enumerate() {
        let least = |p: &Polynomial| p.terms().map(|(exponents, _)| exponents[index]).min().unwrap_or(0);
        let (in_a, in_b) = (least(&a), least(&b));
        *common = in_a.min(in_b);
        for (polynomial, exponent) in [(&mut a, in_a), (&mut b, in_b)] {
            let width = polynomial.variables.len();
            polynomial.exponents.iter_mut().skip(index).step_by(width).for_each(|e| *e -= exponent);
        }
    }
    let monomial = Polynomial::from_terms(&a.variables, [(common, Rational::ONE)]);
    (monomial.without_idle_variables(), a.without_idle_variables(), b.without_idle_variables())
}

fn variable_to_drop(a: &Polynomial, b: &Polynomial) -> Option<Symbol> {
    let occurs = |p: &Polynomial, v: &Symbol| p.degree_in(v) > 0;
    let variables: Vec<&Symbol> = a.variables.iter().chain(b.variables.iter()).collect();
    let lonely = variables.iter().find(|v| occurs(a, v) != occurs(b, v));
    lonely
        .or_else(|| variables.iter().find(|v| occurs(a, v) && degree_bound(a, b, v) == 0))
        .map(|v| (*v).clone())
}

/// An upper bound for the degree in one variable of the greatest common divisor: the degree of the divisor of images
/// modulo a prime with all other variables at random numbers, where no leading coefficient vanishes.
fn degree_bound(a: &Polynomial, b: &Polynomial, variable: &Symbol) -> u32 {
    let trivial = a.degree_in(variable).min(b.degree_in(variable));
    let Some(field) = PrimeField::new(2_147_483_629) else { return trivial };
    let image = |p: &Polynomial| -> Option<Vec<u32>> {
        let mut image = vec![0; p.degree_in(variable) as usize + 1];
        let index = p.index_of(variable)?;
        let points: Vec<u32> = p.variables.iter().map(|v| random_element(field, v)).collect();
        for (exponents, coefficient) in p.terms() {
            let mut value = field.reduce_rational(coefficient)?;
            for (k, exponent) in exponents.iter().enumerate().filter(|(k, _)| *k != index) {
                value = field.multiply(value, field.power(points[k], *exponent));
            }
            let place = &mut image[exponents[index] as usize];
            *place = field.add(*place, value);
        }
        (image.last() != Some(&0)).then_some(image)
    };
    match (image(a), image(b)) {
        (Some(a), Some(b)) => univariate_gcd_degree(field, a, b).min(trivial),
        _ => trivial,
    }
}

/// A number that depends on the name alone, so that all results are reproducible.
fn random_element(field: PrimeField, variable: &Symbol) -> u32 {
    let hash = variable.name().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    field.reduce(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
}

/// Coefficients from exponent zero upwards, the last ones non-zero.
fn univariate_gcd_degree(field: PrimeField, mut a: Vec<u32>, mut b: Vec<u32>) -> u32 {
    let trim = |p: &mut Vec<u32>| {
        while p.last() == Some(&0) {
            p.pop();
        }
    };
    while let Some(inverse) = b.last().and_then(|leading| field.inverse(*leading)) {
        while a.len() >= b.len() {
            let factor = field.multiply(a[a.len() - 1], inverse);
            let shift = a.len() - b.len();
            for (k, value) in b.iter().enumerate() {
                a[shift + k] = field.subtract(a[shift + k], field.multiply(factor, *value));
            }
            trim(&mut a);
        }
        std::mem::swap(&mut a, &mut b);
    }
    a.len().saturating_sub(1) as u32
}

/// The greatest common divisor of the coefficients when seen as a polynomial in one variable.
fn content_in(polynomial: &Polynomial, variable: &Symbol) -> Polynomial {
    let Some(index) = polynomial.index_of(variable).filter(|_| polynomial.degree_in(variable) > 0) else {
        return polynomial.clone();
    };
    let mut coefficients = polynomial.coefficients_in(index);
    coefficients.retain(|c| !c.is_zero());
    coefficients.sort_by_key(Polynomial::len);
    let mut content = Polynomial::zero();
    for coefficient in coefficients {
        content = greatest_common_divisor(&content, &coefficient.without_idle_variables());
        if content.as_constant().is_some() {
            break;
        }
    }
    content
}

/// Over the integers, content included, for polynomials in the same variables of which only those from `index` on occur.
fn heuristic(a: &Polynomial, b: &Polynomial, index: usize) -> Option<Polynomial> {
    let variables = &a.variables;
    if a.is_zero() || b.is_zero() || index == variables.len() {
        let content = Rational::integer(a.content().numerator().gcd(&b.content().numerator()));
        let part = if a.is_zero() { b } else { a };
        return Some(if index == variables.len() {
            Polynomial::constant(content).embed(variables)
        } else {
            part.primitive_part().scale(&content)
        });
    }
    let content = Rational::integer(a.content().numerator().gcd(&b.content().numerator()));
    let inverse = content.reciprocal()?;
    let (a, b) = (a.scale(&inverse), b.scale(&inverse));
    let norm = |p: &Polynomial| p.coefficients.iter().map(|c| c.numerator().abs()).max().unwrap_or_default();
    let (norm_a, norm_b) = (norm(&a), norm(&b));
    let bound: BigInt = BigInt::from(2) * norm_a.clone().min(norm_b.clone()) + 29;
    let leading = |p: &Polynomial| p.leading_coefficient().numerator().abs();
    let ratio = (norm_a / leading(&a)).min(norm_b / leading(&b));
    let mut point = bound.clone().min(BigInt::from(99) * bound.sqrt()).max(BigInt::from(2) * ratio + 4);
    for _ in 0..6 {
        let degrees: u64 = (index..variables.len())
            .map(|k| u64::from(a.degree_at(k).max(b.degree_at(k))) + 1)
            .fold(1, u64::saturating_mul);
        if degrees.saturating_mul(point.bits()) > LONGEST_EVALUATION {
            return None;
        }
        let (value_a, value_b) = (evaluate_at(&a, index, &point), evaluate_at(&b, index, &point));
        if !value_a.is_zero() && !value_b.is_zero() {
            let value = heuristic(&value_a, &value_b, index + 1)?;
            let candidate = digits(value, index, &point).primitive_part();
            if a.divide_exactly(&candidate).is_some() && b.divide_exactly(&candidate).is_some() {
                return Some(candidate.scale(&content));
            }
        }
        // The growth that Char, Geddes and Gonnet chose so that points have few common divisors.
        point = BigInt::from(73_794) * &point * point.sqrt().sqrt() / BigInt::from(27_011);
    }
    None
}

fn evaluate_at(polynomial: &Polynomial, index: usize, point: &BigInt) -> Polynomial {
    let mut result = Polynomial::zero_in(&polynomial.variables);
    let point = Polynomial::constant(Rational::integer(point.clone()));
    for coefficient in polynomial.coefficients_in(index).iter().rev() {
        result = &(&result * &point) + coefficient;
    }
    result.embed(&polynomial.variables)
}

/// The polynomial in the variable at `index` whose coefficients are the digits of `value` to the base `point`, each between
/// minus and plus half the base.
fn digits(mut value: Polynomial, index: usize, point: &BigInt) -> Polynomial {
    let half = point / BigInt::from(2);
    let mut terms = Vec::new();
    let mut exponent = 0;
    while !value.is_zero() {
        let mut rest = Polynomial::zero_in(&value.variables);
        for (exponents, coefficient) in value.terms() {
            let number = coefficient.numerator();
            let mut digit = number.mod_floor(point);
            if digit > half {
                digit -= point;
            }
            let quotient = (number - &digit) / point;
            if !digit.is_zero() {
                let mut exponents = exponents.to_vec();
                exponents[index] = exponent;
                terms.push((exponents, Rational::integer(digit)));
            }
            if !quotient.is_zero() {
                rest.push(exponents, Rational::integer(quotient));
            }
        }
        value = rest;
        exponent += 1;
    }
    Polynomial::from_distinct_terms(&value.variables, terms)
}

/// Euclid's algorithm in the variable of least degree, with remainders made primitive; both have the same variables.
fn euclid(a: &Polynomial, b: &Polynomial) -> Polynomial {
    let shared = (0..a.variables.len()).filter(|k| a.degree_at(*k) > 0 && b.degree_at(*k) > 0);
    let Some(main) = shared.min_by_key(|k| a.degree_at(*k).max(b.degree_at(*k))) else {
        return Polynomial::one();
    };
    let variable = a.variables[main].clone();
    let split = |p: &Polynomial| {
        let content = content_in(p, &variable);
        let part = p.divide_exactly(&content).unwrap_or_else(|| p.clone());
        (content, part.embed(&a.variables))
    };
    let ((content_a, mut a), (content_b, mut b)) = (split(a), split(b));
    let content = greatest_common_divisor(&content_a, &content_b);
    if a.degree_at(main) < b.degree_at(main) {
        std::mem::swap(&mut a, &mut b);
    }
    while !b.is_zero() {
        if b.degree_at(main) == 0 {
            a = Polynomial::one();
            break;
        }
        let remainder = pseudo_remainder(&a, &b, main);
        a = b;
        b = if remainder.is_zero() { remainder } else { split(&remainder).1.primitive_part() };
    }
    &a.primitive_part() * &content
}

/// What is left of `a`, multiplied by leading coefficients of `b` as needed, after division by `b` in one variable.
fn pseudo_remainder(a: &Polynomial, b: &Polynomial, main: usize) -> Polynomial {
    let degree = b.degree_at(main);
    let leading = |p: &Polynomial, degree: u32| p.coefficients_in(main)[degree as usize].clone();
    let factor = leading(b, degree);
    let mut rest = a.clone();
    while !rest.is_zero() && rest.degree_at(main) >= degree {
        let top = rest.degree_at(main);
        let mut shift = vec![0; rest.variables.len()];
        shift[main] = top - degree;
        let shift = Polynomial::from_terms(&rest.variables, [(shift, Rational::ONE)]);
        let subtrahend = &(&leading(&rest, top) * &shift) * b;
        rest = (&(&factor * &rest) - &subtrahend).embed(&a.variables);
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{polynomial, read};
    use super::*;

    #[test]
    fn known_divisors() {
        for (a, b, wanted) in [
            ("0", "0", "0"),
            ("0", "-2*x", "x"),
            ("6", "4*x", "1"),
            ("x^2 - 1", "x^2 + 2*x + 1", "x + 1"),
            ("x^2*y - y^3", "x^2*y + 2*x*y^2 + y^3", "x*y + y^2"),
            ("x/2 + y/3", "9*x^2 + 12*x*y + 4*y^2", "3*x + 2*y"),
            ("x*y + z", "x*z + y", "1"),
            ("x^5*y^2", "x^3*y^4*z", "x^3*y^2"),
            ("a*b - b*c", "a^2 - c^2", "a - c"),
        ] {
            let divisor = read(a).gcd(&read(b));
            assert!(divisor == read(wanted) || divisor == -read(wanted), "gcd({a}, {b}) = {divisor}");
        }
    }

    proptest! {
        #[test]
        fn the_divisor_divides_and_is_greatest(a in polynomial(3), b in polynomial(3), c in polynomial(3)) {
            let (left, right) = (&a * &c, &b * &c);
            let divisor = left.gcd(&right);
            if left.is_zero() && right.is_zero() {
                prop_assert!(divisor.is_zero());
                return Ok(());
            }
            prop_assert!(left.divide_exactly(&divisor).is_some());
            prop_assert!(right.divide_exactly(&divisor).is_some());
            prop_assert!(divisor.divide_exactly(&c).is_some(), "the common factor divides the divisor");
            prop_assert_eq!(divisor.primitive_part(), divisor.clone());
            let cofactors = left.divide_exactly(&divisor).zip(right.divide_exactly(&divisor));
            let (p, q) = cofactors.unwrap();
            prop_assert_eq!(p.gcd(&q), Polynomial::one());
        }

        #[test]
        fn the_heuristic_agrees_with_euclid(a in polynomial(2), b in polynomial(2), c in polynomial(2)) {
            let (left, right) = (&a * &c, &b * &c);
            let (left, right) = unify(&left, &right);
            let (left, right) = (left.primitive_part(), right.primitive_part());
            if let Some(divisor) = heuristic(&left, &right, 0)
                && !left.is_zero() && !right.is_zero()
            {
                let monomial = split_monomials(&left, &right);
                let plain = &monomial.0 * &euclid_of(&monomial.1, &monomial.2);
                let canonical = |p: &Polynomial| p.in_order_of_names().primitive_part();
                prop_assert_eq!(canonical(&divisor), canonical(&plain));
            }
        }
    }

    fn euclid_of(a: &Polynomial, b: &Polynomial) -> Polynomial {
        let (a, b) = unify(a, b);
        let mut variables = (0..a.variables.len()).filter(|k| (a.degree_at(*k) > 0) != (b.degree_at(*k) > 0));
        match variables.next() {
            None => euclid(&a, &b),
            Some(lonely) => {
                let variable = a.variables[lonely].clone();
                euclid_of(&content_in(&a, &variable), &content_in(&b, &variable))
            }
        }
    }
}
