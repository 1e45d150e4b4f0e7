//! Factorisation of polynomials over the rational numbers.
//!
//! Content, monomial factors and square-free parts (Yun 1976) come first, by greatest common divisors. What remains is
//! irreducible if it is linear and primitive in some variable; in one variable it is factored by Zassenhaus' algorithm
//! (Cantor and Zassenhaus 1981 modulo a 31-bit prime, linear Hensel lifting to Mignotte's bound, recombination by trial
//! division); a form is factored with one variable set to one; in several variables Kronecker's substitution
//! vᵢ → t^((d₁+1)⋯(dᵢ₋₁+1)) leads to one variable, and products of factors there are tried as divisors.
//!
//! Everything is exact, and every factor found divides; only the time is bounded.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, Zero};

use crate::formula::Budget;
use crate::modular::PrimeField;
use crate::{Polynomial, Rational, Symbol};

/// The largest degree that is factored, after Kronecker's substitution too.
const LARGEST_DEGREE: u32 = 240;
/// The largest number of modular factors that are recombined.
const MOST_FACTORS: usize = 18;

/// A polynomial as a rational number times powers of distinct irreducible polynomials.
#[derive(Clone, Debug, PartialEq)]
pub struct Factorisation {
    /// The number; zero for the zero polynomial.
    pub content: Rational,
    /// Irreducible factors with coprime integer coefficients and a positive leading one, and their multiplicities.
    pub factors: Vec<(Polynomial, u32)>,
}

impl Factorisation {
    /// The product.
    pub fn expand(&self) -> Polynomial {
        let content = Polynomial::constant(self.content.clone());
        self.factors.iter().fold(content, |product, (factor, count)| &product * &factor.pow(*count))
    }
}

impl Polynomial {
    /// The irreducible factors over the rational numbers; `None` if they were not found within the budget.
    pub fn factor(&self, budget: &Budget) -> Option<Factorisation> {
        if self.is_zero() {
            return Some(Factorisation { content: Rational::ZERO, factors: Vec::new() });
        }
        if self.degree()? > LARGEST_DEGREE {
            // Still simple: a monomial has no factors but its variables.
            if self.len() > 1 {
                return None;
            }
        }
        let this = self.in_order_of_names();
        let mut factors = Vec::new();
        let mut rest = this.primitive_part();
        for variable in this.variables().to_vec() {
            let least = rest.terms().map(|(exponents, _)| exponent(&rest, &variable, exponents)).min()?;
            if least > 0 {
                let factor = Polynomial::variable(variable.clone());
                rest = rest.divide_exactly(&factor.pow(least))?;
                factors.push((factor, least));
            }
        }
        primitive_factors(&rest, budget, &mut factors)?;
        let leading = factors.iter().fold(Rational::ONE, |product, (factor, count)| {
            (0..*count).fold(product, |product, _| &product * &factor.leading_coefficient())
        });
        let content = &this.leading_coefficient() * &leading.reciprocal()?;
        factors.sort_by_key(|(factor, count)| (factor.degree(), factor.len(), *count, factor.to_string()));
        Some(Factorisation { content, factors })
    }

    /// The coefficients when this is seen as a polynomial in one variable, from exponent zero upwards.
    pub fn coefficients(&self, variable: &Symbol) -> Vec<Polynomial> {
        let degree = self.degree_in(variable) as usize;
        let mut collected: Vec<Vec<(Vec<u32>, Rational)>> = vec![Vec::new(); degree + 1];
        let index = self.variables().iter().position(|v| v == variable);
        for (exponents, coefficient) in self.terms() {
            let mut others = exponents.to_vec();
            let exponent = index.map_or(0, |index| std::mem::take(&mut others[index]));
            collected[exponent as usize].push((others, coefficient.clone()));
        }
        let variables = self.variables();
        collected.into_iter().map(|terms| Polynomial::from_terms(variables, terms)).collect()
    }
}

fn exponent(polynomial: &Polynomial, variable: &Symbol, exponents: &[u32]) -> u32 {
    polynomial.variables().iter().position(|v| v == variable).map_or(0, |index| exponents[index])
}

type Factors = Vec<(Polynomial, u32)>;

/// Add the factors of a polynomial without monomial factors and with content one.
fn primitive_factors(polynomial: &Polynomial, budget: &Budget, factors: &mut Factors) -> Option<()> {
    if budget.is_spent() {
        return None;
    }
    let polynomial = polynomial.in_order_of_names().primitive_part();
    let Some(variable) = polynomial.variables().first().cloned() else { return Some(()) };
    let content =
        polynomial.coefficients(&variable).iter().fold(Polynomial::zero(), |divisor, c| divisor.gcd(c));
    let polynomial = polynomial.divide_exactly(&content)?;
    primitive_factors(&content, budget, factors)?;
    for (part, count) in square_free_parts(&polynomial, &variable)? {
        for factor in square_free_factors(&part, budget)? {
            factors.push((factor.in_order_of_names().primitive_part(), count));
        }
    }
    Some(())
}

/// Yun's algorithm: square-free coprime polynomials with the powers in which they divide one that is primitive in the
/// variable.
pub(crate) fn square_free_parts(polynomial: &Polynomial, variable: &Symbol) -> Option<Factors> {
    let derivative = polynomial.differentiate(variable);
    let divisor = polynomial.gcd(&derivative);
    let mut parts = Vec::new();
    let mut product = polynomial.divide_exactly(&divisor)?;
    let mut cofactor = derivative.divide_exactly(&divisor)?;
    let mut count = 1;
    loop {
        let difference = &cofactor - &product.differentiate(variable);
        if difference.is_zero() {
            break;
        }
        let part = product.gcd(&difference);
        product = product.divide_exactly(&part)?;
        cofactor = difference.divide_exactly(&part)?;
        if part.as_constant().is_none() {
            parts.push((part, count));
        }
        count += 1;
    }
    if product.as_constant().is_none() {
        parts.push((product.primitive_part(), count));
    }
    Some(parts)
}

/// The irreducible factors of a square-free polynomial that is primitive in its first variable.
fn square_free_factors(polynomial: &Polynomial, budget: &Budget) -> Option<Vec<Polynomial>> {
    let polynomial = polynomial.in_order_of_names().primitive_part();
    let variables = polynomial.variables().clone();
    if let [variable] = &*variables {
        let coefficients: Vec<BigInt> =
            polynomial.coefficients(variable).iter().map(|c| c.leading_coefficient().numerator()).collect();
        let factors = zassenhaus(&coefficients, budget)?;
        return Some(factors.iter().map(|factor| univariate(&variables, factor)).collect());
    }
    for variable in variables.iter() {
        let coefficients = polynomial.coefficients(variable);
        let content = coefficients.iter().fold(Polynomial::zero(), |divisor, c| divisor.gcd(c));
        if content.as_constant().is_none() {
            let mut factors = square_free_factors(&content, budget)?;
            factors.extend(square_free_factors(&polynomial.divide_exactly(&content)?, budget)?);
            return Some(factors);
        }
        if coefficients.len() == 2 {
            return Some(vec![polynomial]);
        }
    }
    let degree = polynomial.degree()?;
    let is_form = polynomial.terms().all(|(exponents, _)| exponents.iter().sum::<u32>() == degree);
    if is_form {
        return form_factors(&polynomial, budget);
    }
    kronecker(&polynomial, budget)
}

fn univariate(variables: &std::sync::Arc<[Symbol]>, coefficients: &[BigInt]) -> Polynomial {
    let terms = coefficients.iter().enumerate();
    Polynomial::from_terms(variables, terms.map(|(k, c)| (vec![k as u32], Rational::integer(c.clone()))))
}

/// All terms have the same degree: the last variable set to one and brought back.
fn form_factors(polynomial: &Polynomial, budget: &Budget) -> Option<Vec<Polynomial>> {
    let variables = polynomial.variables().clone();
    let (last, rest) = variables.split_last()?;
    let rest: std::sync::Arc<[Symbol]> = rest.into();
    let affine = polynomial.terms().map(|(e, c)| (e[..rest.len()].to_vec(), c.clone()));
    let affine = Polynomial::from_terms(&rest, affine);
    let factors = square_free_factors(&affine, budget)?;
    let homogeneous = factors.iter().map(|factor| {
        let degree = factor.degree().unwrap_or(0);
        let mut variables = factor.variables().to_vec();
        variables.push(last.clone());
        let terms = factor.terms().map(|(e, c)| {
            let missing = degree - e.iter().sum::<u32>();
            (e.iter().copied().chain([missing]).collect(), c.clone())
        });
        Polynomial::from_terms(&variables.into(), terms)
    });
    Some(homogeneous.collect())
}

/// Factors of the image in one variable, and products of them that divide when carried back.
fn kronecker(polynomial: &Polynomial, budget: &Budget) -> Option<Vec<Polynomial>> {
    let variables = polynomial.variables().clone();
    let mut weights = Vec::new();
    let mut weight = 1_u32;
    for variable in variables.iter() {
        weights.push(weight);
        weight = weight.checked_mul(polynomial.degree_in(variable) + 1).filter(|w| *w <= LARGEST_DEGREE)?;
    }
    let image_variables: std::sync::Arc<[Symbol]> = [Symbol::new("t")].into();
    let image = polynomial.terms().map(|(e, c)| {
        let exponent = e.iter().zip(&weights).map(|(e, w)| e * w).sum();
        (vec![exponent], c.clone())
    });
    let image = Polynomial::from_terms(&image_variables, image).factor(budget)?;
    let mut pieces: Vec<Polynomial> = Vec::new();
    for (factor, count) in image.factors {
        pieces.extend(std::iter::repeat_n(factor, count as usize));
    }
    let carry_back = |factor: &Polynomial| -> Option<Polynomial> {
        let terms: Option<Vec<_>> = factor
            .terms()
            .map(|(e, c)| {
                let mut left = e.first().copied().unwrap_or(0);
                let mut exponents = vec![0; variables.len()];
                for (index, weight) in weights.iter().enumerate().rev() {
                    exponents[index] = left / weight;
                    left %= weight;
                    if exponents[index] > polynomial.degree_in(&variables[index]) {
                        return None;
                    }
                }
                Some((exponents, c.clone()))
            })
            .collect();
        Some(Polynomial::from_terms(&variables, terms?).primitive_part())
    };
    recombine(polynomial.clone(), pieces, budget, |rest, chosen| {
        let product = chosen.iter().fold(Polynomial::one(), |product, piece| &product * *piece);
        let candidate = carry_back(&product)?;
        let cofactor = rest.divide_exactly(&candidate)?;
        Some((candidate, cofactor))
    })
}

/// Factors of `rest` among products of pieces, the smallest sets first; what is left at the end is irreducible.
fn recombine<T: Clone, P>(
    mut rest: T,
    mut pieces: Vec<P>,
    budget: &Budget,
    divide: impl Fn(&T, &[&P]) -> Option<(T, T)>,
) -> Option<Vec<T>> {
    if pieces.len() > MOST_FACTORS {
        return None;
    }
    let mut factors = Vec::new();
    let mut size = 1;
    'sizes: while 2 * size <= pieces.len() {
        let mut chosen: Vec<usize> = (0..size).collect();
        loop {
            if budget.is_spent() {
                return None;
            }
            let set: Vec<&P> = chosen.iter().map(|index| &pieces[*index]).collect();
            if let Some((factor, cofactor)) = divide(&rest, &set) {
                factors.push(factor);
                rest = cofactor;
                for index in chosen.iter().rev() {
                    pieces.remove(*index);
                }
                continue 'sizes;
            }
            // The next set in lexicographic order.
            let last = (0..size).rev().find(|k| chosen[*k] < pieces.len() - size + *k);
            let Some(place) = last else { break };
            chosen[place] += 1;
            for k in place + 1..size {
                chosen[k] = chosen[k - 1] + 1;
            }
        }
        size += 1;
    }
    if !pieces.is_empty() {
        factors.push(rest);
    }
    Some(factors)
}

/// The irreducible factors of a primitive square-free polynomial; coefficients from exponent zero upwards.
fn zassenhaus(polynomial: &[BigInt], budget: &Budget) -> Option<Vec<Vec<BigInt>>> {
    let degree = polynomial.len() - 1;
    if degree <= 1 {
        return Some(vec![polynomial.to_vec()]);
    }
    let leading = &polynomial[degree];
    // Among three good primes the one with the fewest factors.
    let mut best: Option<(PrimeField, Vec<Modular>)> = None;
    let mut tried = 0;
    for field in PrimeField::largest().take(20) {
        let image: Modular = polynomial.iter().map(|c| field.reduce_integer(c)).collect();
        let Some(inverse) = field.inverse(image[degree]) else { continue };
        let image = scaled(field, &image, inverse);
        if gcd(field, &image, &derivative(field, &image)).len() > 1 {
            continue;
        }
        let factors = modular_factors(field, &image, budget)?;
        tried += 1;
        if best.as_ref().is_none_or(|(_, found)| factors.len() < found.len()) {
            best = Some((field, factors));
        }
        if tried == 3 || best.as_ref().is_some_and(|(_, found)| found.len() <= 3) {
            break;
        }
    }
    let (field, factors) = best?;
    if factors.len() == 1 {
        return Some(vec![polynomial.to_vec()]);
    }
    // Mignotte's bound for the coefficients of factors, times the leading coefficient.
    let largest = polynomial.iter().map(|c| c.bits()).max()? + leading.bits() + degree as u64;
    let bits = largest + u64::from((degree as u32 + 1).ilog2()) + 2;
    let (lifted, modulus) = hensel(field, polynomial, factors, bits)?;
    let half: BigInt = &modulus / 2;
    recombine(polynomial.to_vec(), lifted, budget, |rest, chosen| {
        let mut product = vec![rest.last()?.clone()];
        for factor in chosen {
            product = multiply(&product, factor);
            product.iter_mut().for_each(|c| *c = c.mod_floor(&modulus));
        }
        product.iter_mut().filter(|c| **c > half).for_each(|c| *c -= &modulus);
        let content = product.iter().fold(BigInt::zero(), |divisor, c| divisor.gcd(c));
        product.iter_mut().for_each(|c| *c /= &content);
        let cofactor = divide_exactly(rest, &product)?;
        Some((product, cofactor))
    })
}

fn multiply(a: &[BigInt], b: &[BigInt]) -> Vec<BigInt> {
    let mut result = vec![BigInt::zero(); a.len() + b.len() - 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            result[i + j] += x * y;
        }
    }
    result
}

fn divide_exactly(a: &[BigInt], b: &[BigInt]) -> Option<Vec<BigInt>> {
    let mut rest = a.to_vec();
    let leading = b.last()?;
    let count = (a.len() + 1).checked_sub(b.len())?;
    let mut quotient = vec![BigInt::zero(); count];
    for k in (0..count).rev() {
        let (factor, remainder) = rest[k + b.len() - 1].div_rem(leading);
        if !remainder.is_zero() {
            return None;
        }
        for (j, y) in b.iter().enumerate() {
            rest[k + j] -= &factor * y;
        }
        quotient[k] = factor;
    }
    rest.iter().all(Zero::is_zero).then_some(quotient)
}

/// Monic factors modulo a power of the prime with more than `bits` bits, from those modulo the prime, and that power.
///
/// With Σ sᵢ Πⱼ≠ᵢ gⱼ ≡ 1, the step from pᵏ to pᵏ⁺¹ is gᵢ += pᵏ (e sᵢ mod gᵢ), where e = (f/lc − Π gᵢ) / pᵏ.
fn hensel(
    field: PrimeField,
    polynomial: &[BigInt],
    factors: Vec<Modular>,
    bits: u64,
) -> Option<(Vec<Vec<BigInt>>, BigInt)> {
    let prime = BigInt::from(field.prime());
    let leading = polynomial.last()?;
    let inverse = field.inverse(field.reduce_integer(leading))?;
    let cofactors: Vec<Modular> = (0..factors.len())
        .map(|i| {
            let mut product = vec![1];
            for (_, other) in factors.iter().enumerate().filter(|(j, _)| *j != i) {
                product = remainder(field, &times(field, &product, other), &factors[i]);
            }
            modular_inverse(field, &product, &factors[i])
        })
        .collect::<Option<_>>()?;
    let mut lifted: Vec<Vec<BigInt>> =
        factors.iter().map(|factor| factor.iter().map(|c| BigInt::from(*c)).collect()).collect();
    let mut modulus = prime.clone();
    while modulus.bits() <= bits + 1 {
        let product = lifted.iter().fold(vec![leading.clone()], |product, factor| multiply(&product, factor));
        let error: Modular = polynomial
            .iter()
            .zip(&product)
            .map(|(a, b)| field.multiply(field.reduce_integer(&((a - b) / &modulus)), inverse))
            .collect();
        for ((factor, image), cofactor) in lifted.iter_mut().zip(&factors).zip(&cofactors) {
            let error = remainder(field, &error, image);
            let step = remainder(field, &times(field, &error, cofactor), image);
            for (c, s) in factor.iter_mut().zip(&step) {
                *c += &modulus * *s;
            }
        }
        modulus *= &prime;
    }
    Some((lifted, modulus))
}

/// A polynomial over a prime field, from exponent zero upwards; its last coefficient is not zero.
type Modular = Vec<u32>;

fn trimmed(mut polynomial: Modular) -> Modular {
    while polynomial.last() == Some(&0) {
        polynomial.pop();
    }
    polynomial
}

fn scaled(field: PrimeField, polynomial: &[u32], factor: u32) -> Modular {
    polynomial.iter().map(|c| field.multiply(*c, factor)).collect()
}

fn times(field: PrimeField, a: &[u32], b: &[u32]) -> Modular {
    if a.is_empty() || b.is_empty() {
        return Vec::new();
    }
    let mut result = vec![0; a.len() + b.len() - 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            result[i + j] = field.add(result[i + j], field.multiply(*x, *y));
        }
    }
    trimmed(result)
}

/// Quotient and remainder; the divisor is not zero.
fn divide(field: PrimeField, a: &[u32], b: &[u32]) -> (Modular, Modular) {
    let inverse = b.last().and_then(|leading| field.inverse(*leading)).unwrap_or(1);
    let mut rest = a.to_vec();
    let mut quotient = vec![0; (a.len() + 1).saturating_sub(b.len())];
    for k in (0..quotient.len()).rev() {
        let factor = field.multiply(rest[k + b.len() - 1], inverse);
        quotient[k] = factor;
        if factor != 0 {
            for (j, y) in b.iter().enumerate() {
                rest[k + j] = field.subtract(rest[k + j], field.multiply(factor, *y));
            }
        }
    }
    (trimmed(quotient), trimmed(rest))
}

fn remainder(field: PrimeField, a: &[u32], b: &[u32]) -> Modular {
    divide(field, a, b).1
}

fn derivative(field: PrimeField, polynomial: &[u32]) -> Modular {
    let terms = polynomial.iter().enumerate().skip(1);
    trimmed(terms.map(|(k, c)| field.multiply(*c, field.reduce(k as u64))).collect())
}

/// The monic greatest common divisor.
fn gcd(field: PrimeField, a: &[u32], b: &[u32]) -> Modular {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    while !b.is_empty() {
        (a, b) = (b.clone(), remainder(field, &a, &b));
    }
    let inverse = a.last().and_then(|leading| field.inverse(*leading)).unwrap_or(1);
    scaled(field, &a, inverse)
}

/// The inverse of `a` modulo `modulus`, if they are coprime.
fn modular_inverse(field: PrimeField, a: &[u32], modulus: &[u32]) -> Option<Modular> {
    let (mut r, mut next) = (modulus.to_vec(), a.to_vec());
    let (mut s, mut next_s): (Modular, Modular) = (Vec::new(), vec![1]);
    while !next.is_empty() {
        let (quotient, rest) = divide(field, &r, &next);
        let product = times(field, &quotient, &next_s);
        let length = s.len().max(product.len());
        let at = |p: &[u32], k: usize| p.get(k).copied().unwrap_or(0);
        let new = trimmed((0..length).map(|k| field.subtract(at(&s, k), at(&product, k))).collect());
        (r, next) = (next, rest);
        (s, next_s) = (next_s, new);
    }
    let [constant] = r[..] else { return None };
    Some(remainder(field, &scaled(field, &s, field.inverse(constant)?), modulus))
}

/// `base ^ exponent` modulo a polynomial.
fn power(field: PrimeField, base: &[u32], exponent: &BigInt, modulus: &[u32]) -> Modular {
    let mut result = vec![1];
    for k in (0..exponent.bits()).rev() {
        result = remainder(field, &times(field, &result, &result), modulus);
        if exponent.bit(k) {
            result = remainder(field, &times(field, &result, base), modulus);
        }
    }
    result
}

/// The monic irreducible factors of a monic square-free polynomial.
fn modular_factors(field: PrimeField, polynomial: &[u32], budget: &Budget) -> Option<Vec<Modular>> {
    let prime = BigInt::from(field.prime());
    let mut factors = Vec::new();
    let mut rest = polynomial.to_vec();
    // x^(p^d) - x holds the irreducible polynomials of degrees that divide d.
    let mut frobenius = vec![0, 1];
    let mut degree = 1;
    while rest.len() > 2 * degree {
        if budget.is_spent() {
            return None;
        }
        frobenius = power(field, &frobenius, &prime, &rest);
        let mut difference = frobenius.clone();
        difference.resize(difference.len().max(2), 0);
        difference[1] = field.subtract(difference[1], 1);
        let part = gcd(field, &rest, &trimmed(difference));
        if part.len() > 1 {
            rest = divide(field, &rest, &part).0;
            frobenius = remainder(field, &frobenius, &rest);
            split(field, part, degree, &mut factors, budget)?;
        }
        degree += 1;
    }
    if rest.len() > 1 {
        factors.push(rest);
    }
    Some(factors)
}

/// Add the irreducible factors, all of one degree d, of a product of them: a random polynomial to the power of
/// (pᵈ − 1)/2 is one modulo about half of them.
fn split(
    field: PrimeField,
    product: Modular,
    degree: usize,
    factors: &mut Vec<Modular>,
    budget: &Budget,
) -> Option<()> {
    let mut stack = vec![product];
    let exponent: BigInt = (num_traits::pow(BigInt::from(field.prime()), degree) - BigInt::one()) / 2;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while let Some(part) = stack.pop() {
        if part.len() == degree + 1 {
            factors.push(part);
            continue;
        }
        if budget.is_spent() {
            return None;
        }
        let random: Modular = (1..part.len())
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                field.reduce(state >> 33)
            })
            .collect();
        let mut image = power(field, &trimmed(random), &exponent, &part);
        image.resize(image.len().max(1), 0);
        image[0] = field.subtract(image[0], 1);
        let divisor = gcd(field, &part, &trimmed(image));
        if divisor.len() > 1 && divisor.len() < part.len() {
            stack.push(divide(field, &part, &divisor).0);
            stack.push(divisor);
        } else {
            stack.push(part);
        }
    }
    Some(())
}

/// The rational square root of a rational number, if there is one.
pub(crate) fn rational_square_root(value: &Rational) -> Option<Rational> {
    let root = |n: &BigInt| {
        let root = n.sqrt();
        (&root * &root == *n).then_some(root)
    };
    let (n, d) = (value.numerator(), value.denominator());
    if n.is_negative() {
        return None;
    }
    Rational::new(root(&n)?, root(&d)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::parse;

    fn polynomial(text: &str) -> Polynomial {
        Polynomial::from_expr(&parse(text).unwrap()).unwrap()
    }

    fn factors(text: &str) -> Vec<String> {
        let factorisation = polynomial(text).factor(&Budget::new(Duration::from_secs(10))).unwrap();
        assert_eq!(factorisation.expand(), polynomial(text));
        let mut texts = vec![factorisation.content.to_string()];
        texts.extend(factorisation.factors.iter().map(|(factor, count)| format!("({factor})^{count}")));
        texts
    }

    #[test]
    fn factors_that_are_known() {
        assert_eq!(factors("0"), ["0"]);
        assert_eq!(factors("-6"), ["-6"]);
        assert_eq!(factors("3*a - 3*b"), ["3", "(a - b)^1"]);
        assert_eq!(factors("b^2 - 9*a^2"), ["-1", "(3*a + b)^1", "(3*a - b)^1"]);
        assert_eq!(factors("x^4 - y^4").len(), 4);
        assert_eq!(factors("a^6 - 64").len(), 5);
        assert_eq!(factors("x^16 - 1").len(), 6);
        assert_eq!(factors("x^2*y - 2*x*y + y"), ["1", "(y)^1", "(x - 1)^2"]);
        assert_eq!(factors("m*x^4 + (1 - 2*m)*x^3 + (m - 5)*x^2 + 7*x - 3").len(), 3);
        assert_eq!(factors("x^2/2 - 2"), ["1/2", "(x + 2)^1", "(x - 2)^1"]);
        // Irreducible, but a product modulo every prime.
        assert_eq!(factors("x^4 + 1").len(), 2);
        assert_eq!(factors("x^4 - 10*x^2 + 1").len(), 2);
        assert_eq!(factors("(x^2 + y^2 - 1)*(x*y + 2)^2").len(), 3);
    }

    #[test]
    fn beyond_the_budget_there_is_no_answer() {
        let spent = Budget::new(Duration::ZERO);
        assert!(polynomial("x^8 - 7*x + 3").factor(&spent).is_none());
        assert!(polynomial("x^1000 - 1").factor(&Budget::new(Duration::from_secs(1))).is_none());
        assert!(polynomial("3*x^1000").factor(&Budget::new(Duration::from_secs(1))).is_some());
    }

    fn small_polynomial() -> impl Strategy<Value = Polynomial> {
        let variables: std::sync::Arc<[Symbol]> = [Symbol::new("x"), Symbol::new("y")].into();
        prop::collection::vec((0..4_u32, 0..2_u32, -6..7_i64), 1..5).prop_map(move |terms| {
            let terms = terms.into_iter().map(|(i, j, c)| (vec![i, j], Rational::from(c)));
            Polynomial::from_terms(&variables, terms)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_come_back_with_at_least_their_factors(a in small_polynomial(), b in small_polynomial()) {
            let product = &a * &b;
            let budget = Budget::new(Duration::from_secs(10));
            let found = product.factor(&budget).unwrap();
            prop_assert_eq!(found.expand(), product);
            let count = |f: &Factorisation| f.factors.iter().map(|(_, c)| c).sum::<u32>();
            if !a.is_zero() && !b.is_zero() {
                let (a, b) = (a.factor(&budget).unwrap(), b.factor(&budget).unwrap());
                prop_assert_eq!(count(&found), count(&a) + count(&b));
            }
            for (factor, _) in &found.factors {
                prop_assert_eq!(factor.factor(&budget).unwrap().factors.len(), 1);
            }
        }

        #[test]
        fn large_coefficients_are_lifted(roots in prop::collection::vec((-1000..1000_i64, 1..1000_i64), 1..6)) {
            let x = Polynomial::variable("x");
            let product = roots.iter().fold(Polynomial::one(), |product, (n, d)| {
                &product * &(&x.scale(&Rational::from(*d)) - &Polynomial::constant(Rational::from(*n)))
            });
            let found = product.factor(&Budget::new(Duration::from_secs(10))).unwrap();
            prop_assert!(found.factors.iter().all(|(factor, _)| factor.degree() == Some(1)));
            prop_assert_eq!(found.expand(), product);
        }
    }
}
