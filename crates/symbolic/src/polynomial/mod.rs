//! Sparse polynomials in several variables with rational coefficients.
//!
//! A [`Polynomial`] is a sum of terms, each a rational coefficient and exponents of named variables, stored in
//! falling graded lexicographic order of the variables' own order. Operators between polynomials in different
//! variables work in the union of both, so nothing has to be declared before.
//!
//! The inside: `packed` multiplies and divides, on exponents packed into machine words; `gcd` finds greatest common
//! divisors; `notation` writes; `conversion` leads from and to expressions.

mod conversion;
mod gcd;
mod notation;
mod packed;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Add, Mul, Neg, Sub};
use std::sync::Arc;

pub use conversion::NotPolynomial;
pub use notation::Notation;

use crate::modular::PrimeField;
use crate::{Rational, Symbol};

/// A polynomial with rational coefficients in named variables.
///
/// Equal polynomials are equal in the sense of `==` whatever the order of their variables and whether or not
/// variables that do not occur are listed. Exponents are at most `u32::MAX`; operators whose result would have a
/// larger one panic.
#[derive(Clone)]
pub struct Polynomial {
    variables: Arc<[Symbol]>,
    /// One after the other, as many for each term as there are variables; terms fall in graded lexicographic order.
    exponents: Vec<u32>,
    /// None of them is zero.
    coefficients: Vec<Rational>,
}

impl Polynomial {
    /// The zero polynomial.
    pub fn zero() -> Self {
        Self::zero_in(&Arc::from([]))
    }

    /// A constant.
    pub fn constant(value: impl Into<Rational>) -> Self {
        let value = value.into();
        if value.is_zero() {
            return Self::zero();
        }
        Polynomial { variables: Arc::from([]), exponents: Vec::new(), coefficients: vec![value] }
    }

    /// One.
    pub fn one() -> Self {
        Self::constant(Rational::ONE)
    }

    /// A variable.
    pub fn variable(symbol: impl Into<Symbol>) -> Self {
        Polynomial {
            variables: Arc::from([symbol.into()]),
            exponents: vec![1],
            coefficients: vec![Rational::ONE],
        }
    }

    /// The sum of the given terms: for each a coefficient and one exponent for each variable. Terms may come in any
    /// order and repeat.
    ///
    /// # Panics
    /// If a term has another number of exponents than there are variables, or a variable is listed twice.
    pub fn from_terms(
        variables: &Arc<[Symbol]>,
        terms: impl IntoIterator<Item = (Vec<u32>, Rational)>,
    ) -> Self {
        let repeated = variables.iter().enumerate().any(|(k, v)| variables[..k].contains(v));
        assert!(!repeated, "the variables of a polynomial are distinct");
        let mut collected: HashMap<Vec<u32>, Rational> = HashMap::new();
        for (exponents, coefficient) in terms {
            assert_eq!(exponents.len(), variables.len(), "one exponent for each variable");
            let entry = collected.entry(exponents).or_insert(Rational::ZERO);
            *entry = &*entry + &coefficient;
        }
        Self::from_distinct_terms(variables, collected.into_iter().collect())
    }

    /// Of terms with distinct exponents, in any order; zeros are left out.
    fn from_distinct_terms(variables: &Arc<[Symbol]>, mut terms: Vec<(Vec<u32>, Rational)>) -> Self {
        terms.retain(|(_, coefficient)| !coefficient.is_zero());
        terms.sort_by_cached_key(|(exponents, _)| {
            std::cmp::Reverse((degree_of(exponents), exponents.clone()))
        });
        let mut result = Self::zero_in(variables);
        for (exponents, coefficient) in terms {
            result.push(&exponents, coefficient);
        }
        result
    }

    fn zero_in(variables: &Arc<[Symbol]>) -> Self {
        Polynomial { variables: variables.clone(), exponents: Vec::new(), coefficients: Vec::new() }
    }

    /// Add a term behind all others; it must come after them in the order.
    fn push(&mut self, exponents: &[u32], coefficient: Rational) {
        self.exponents.extend_from_slice(exponents);
        self.coefficients.push(coefficient);
    }

    /// The variables, also those that do not occur, in their order.
    pub fn variables(&self) -> &Arc<[Symbol]> {
        &self.variables
    }

    /// The terms in falling graded lexicographic order: one exponent for each variable, and the coefficient.
    pub fn terms(&self) -> impl DoubleEndedIterator<Item = (&[u32], &Rational)> + ExactSizeIterator {
        self.coefficients.iter().enumerate().map(|(k, coefficient)| (self.exponents_of(k), coefficient))
    }

    fn exponents_of(&self, term: usize) -> &[u32] {
        let width = self.variables.len();
        &self.exponents[term * width..(term + 1) * width]
    }

    /// The number of terms.
    pub fn len(&self) -> usize {
        self.coefficients.len()
    }

    /// Whether there are no terms; the same as [`Self::is_zero`].
    pub fn is_empty(&self) -> bool {
        self.is_zero()
    }

    /// Whether this is the zero polynomial.
    pub fn is_zero(&self) -> bool {
        self.coefficients.is_empty()
    }

    /// The value, if this is a constant.
    pub fn as_constant(&self) -> Option<Rational> {
        match self.coefficients.as_slice() {
            [] => Some(Rational::ZERO),
            [value] if self.exponents.iter().all(|exponent| *exponent == 0) => Some(value.clone()),
            _ => None,
        }
    }

    /// The total degree; `None` for zero.
    pub fn degree(&self) -> Option<u32> {
        (!self.is_zero()).then(|| degree_of(self.exponents_of(0)) as u32)
    }

    /// The degree in one variable; zero if it does not occur.
    pub fn degree_in(&self, variable: &Symbol) -> u32 {
        self.index_of(variable).map_or(0, |index| self.degree_at(index))
    }

    fn degree_at(&self, index: usize) -> u32 {
        self.terms().map(|(exponents, _)| exponents[index]).max().unwrap_or(0)
    }

    fn index_of(&self, variable: &Symbol) -> Option<usize> {
        self.variables.iter().position(|v| v == variable)
    }

    /// The coefficient of the first term in graded lexicographic order; zero for the zero polynomial.
    pub fn leading_coefficient(&self) -> Rational {
        self.coefficients.first().cloned().unwrap_or(Rational::ZERO)
    }

    /// The positive rational number whose quotient has integer coefficients without a common divisor; zero for zero.
    pub fn content(&self) -> Rational {
        if self.coefficients.iter().any(|c| c.is_one() || *c == Rational::small(-1))
            && self.coefficients.iter().all(Rational::is_integer)
        {
            return Rational::ONE;
        }
        Rational::common_content(self.coefficients.clone()).unwrap_or(Rational::ZERO)
    }

    /// This divided by its content and, if that is negative, by the sign of its leading coefficient.
    pub fn primitive_part(&self) -> Self {
        let mut content = self.content();
        if self.leading_coefficient().is_negative() {
            content = -&content;
        }
        content.reciprocal().map_or_else(|| self.clone(), |factor| self.scale(&factor))
    }

    /// This times a number.
    pub fn scale(&self, factor: &Rational) -> Self {
        if factor.is_zero() {
            return Self::zero_in(&self.variables);
        }
        if factor.is_one() {
            return self.clone();
        }
        let coefficients = self.coefficients.iter().map(|c| c * factor).collect();
        Polynomial { variables: self.variables.clone(), exponents: self.exponents.clone(), coefficients }
    }

    /// This to the power of `exponent`; one for exponent zero.
    pub fn pow(&self, exponent: u32) -> Self {
        let mut result = Self::one();
        // Sparse powers grow least when they are multiplied by the base again and again; single terms are squared.
        if self.len() <= 1 {
            let mut square = self.clone();
            let mut left = exponent;
            while left > 0 {
                if left % 2 == 1 {
                    result = &result * &square;
                }
                left /= 2;
                if left > 0 {
                    square = &square * &square;
                }
            }
            return result;
        }
        for _ in 0..exponent {
            result = &result * self;
        }
        result
    }

    /// The sum of many polynomials; faster than adding one by one.
    pub fn sum(summands: impl IntoIterator<Item = Polynomial>) -> Self {
        let mut summands: Vec<Polynomial> = summands.into_iter().collect();
        while summands.len() > 1 {
            summands = summands
                .chunks(2)
                .map(|pair| if let [a, b] = pair { a + b } else { pair[0].clone() })
                .collect();
        }
        summands.pop().unwrap_or_else(Self::zero)
    }

    /// The quotient, if `divisor` divides this without a remainder; `None` also for division by zero.
    pub fn divide_exactly(&self, divisor: &Polynomial) -> Option<Self> {
        let (dividend, divisor) = unify(self, divisor);
        packed::divide_exactly(&dividend, &divisor)
    }

    /// The greatest common divisor, with coprime integer coefficients and a positive leading one; zero if both are zero.
    pub fn gcd(&self, other: &Polynomial) -> Self {
        gcd::greatest_common_divisor(self, other)
    }

    /// The least common multiple, with coprime integer coefficients and a positive leading one; zero if one of both is.
    pub fn lcm(&self, other: &Polynomial) -> Self {
        if self.is_zero() || other.is_zero() {
            return Self::zero();
        }
        let cofactor = other.divide_exactly(&self.gcd(other)).unwrap_or_else(|| other.clone());
        (self * &cofactor).primitive_part()
    }

    /// The partial derivative.
    pub fn differentiate(&self, variable: &Symbol) -> Self {
        let Some(index) = self.index_of(variable) else { return Self::zero() };
        let terms = self.terms().filter(|(exponents, _)| exponents[index] > 0).map(|(exponents, c)| {
            let mut lowered = exponents.to_vec();
            lowered[index] -= 1;
            (lowered, c * &Rational::from(i64::from(exponents[index])))
        });
        Self::from_distinct_terms(&self.variables, terms.collect())
    }

    /// This with variables replaced by polynomials, all at once.
    ///
    /// Terms are collected variable by variable (Horner's scheme), so that common factors are multiplied once.
    pub fn substitute(&self, replacements: &BTreeMap<Symbol, Polynomial>) -> Self {
        let values: Vec<Polynomial> = self
            .variables
            .iter()
            .map(|variable| {
                replacements.get(variable).cloned().unwrap_or_else(|| Self::variable(variable.clone()))
            })
            .collect();
        let mut terms: Vec<(&[u32], &Rational)> = self.terms().collect();
        terms.sort_by(|a, b| b.0.cmp(a.0));
        horner(&terms, 0, &values)
    }

    /// The value where each variable has the given one; variables without a value stay.
    pub fn evaluate(&self, values: &BTreeMap<Symbol, Rational>) -> Self {
        let constants = values.iter().map(|(symbol, value)| (symbol.clone(), Self::constant(value.clone())));
        self.substitute(&constants.collect())
    }

    /// The value at a floating-point point with one coordinate for each of [`Self::variables`].
    ///
    /// # Panics
    /// If the point has another number of coordinates.
    pub fn evaluate_f64(&self, point: &[f64]) -> f64 {
        assert_eq!(point.len(), self.variables.len(), "one coordinate for each variable");
        self.terms()
            .map(|(exponents, coefficient)| {
                let powers = exponents.iter().zip(point).filter(|(e, _)| **e > 0);
                powers.fold(coefficient.to_f64(), |product, (e, x)| match i32::try_from(*e) {
                    Ok(exponent) => product * x.powi(exponent),
                    Err(_) => product * x.powf(f64::from(*e)),
                })
            })
            .sum()
    }

    /// The value in a prime field at a point with one coordinate for each of [`Self::variables`]; `None` if the prime
    /// divides a denominator.
    ///
    /// # Panics
    /// If the point has another number of coordinates.
    pub fn evaluate_modular(&self, field: PrimeField, point: &[u32]) -> Option<u32> {
        assert_eq!(point.len(), self.variables.len(), "one coordinate for each variable");
        self.terms().try_fold(0, |sum, (exponents, coefficient)| {
            let coefficient = field.reduce_rational(coefficient)?;
            let value = exponents
                .iter()
                .zip(point)
                .filter(|(e, _)| **e > 0)
                .fold(coefficient, |product, (e, x)| field.multiply(product, field.power(*x, *e)));
            Some(field.add(sum, value))
        })
    }

    /// The coefficients when this is seen as a polynomial in the variable at `index` alone, from exponent zero upwards.
    fn coefficients_in(&self, index: usize) -> Vec<Polynomial> {
        let mut collected: Vec<Vec<(Vec<u32>, Rational)>> =
            vec![Vec::new(); self.degree_at(index) as usize + 1];
        for (exponents, coefficient) in self.terms() {
            let mut others = exponents.to_vec();
            let exponent = std::mem::take(&mut others[index]);
            collected[exponent as usize].push((others, coefficient.clone()));
        }
        collected.into_iter().map(|terms| Self::from_distinct_terms(&self.variables, terms)).collect()
    }

    /// The same polynomial with its variables in another order or among others; all that occur must be listed.
    fn embed(&self, variables: &Arc<[Symbol]>) -> Self {
        if self.variables == *variables {
            return Polynomial { variables: variables.clone(), ..self.clone() };
        }
        let places: Vec<Option<usize>> =
            self.variables.iter().map(|v| variables.iter().position(|w| w == v)).collect();
        let terms = self.terms().map(|(exponents, coefficient)| {
            let mut moved = vec![0; variables.len()];
            for (place, exponent) in places.iter().zip(exponents) {
                if let Some(place) = place {
                    moved[*place] = *exponent;
                }
            }
            (moved, coefficient.clone())
        });
        Self::from_distinct_terms(variables, terms.collect())
    }

    /// This among the variables that occur only, in the order of their names, which does not depend on how it was made.
    pub(crate) fn in_order_of_names(&self) -> Self {
        let result = self.without_idle_variables();
        let mut variables = result.variables.to_vec();
        variables.sort();
        result.embed(&Arc::from(variables))
    }

    /// This among the variables that occur only.
    fn without_idle_variables(&self) -> Self {
        let occurring: Arc<[Symbol]> = (0..self.variables.len())
            .filter(|index| self.terms().any(|(exponents, _)| exponents[*index] > 0))
            .map(|index| self.variables[index].clone())
            .collect();
        self.embed(&occurring)
    }
}

/// Both in the same variables: those of the first, then what the second has besides.
fn unify<'a>(left: &'a Polynomial, right: &'a Polynomial) -> (Cow<'a, Polynomial>, Cow<'a, Polynomial>) {
    let variables = union(left, right);
    let among = |p: &'a Polynomial| {
        if p.variables == variables { Cow::Borrowed(p) } else { Cow::Owned(p.embed(&variables)) }
    };
    (among(left), among(right))
}

fn union(left: &Polynomial, right: &Polynomial) -> Arc<[Symbol]> {
    if Arc::ptr_eq(&left.variables, &right.variables) || left.variables == right.variables {
        return left.variables.clone();
    }
    let new = right.variables.iter().filter(|v| !left.variables.contains(v));
    if new.clone().next().is_none() {
        return left.variables.clone();
    }
    left.variables.iter().chain(new).cloned().collect()
}

fn degree_of(exponents: &[u32]) -> u64 {
    exponents.iter().map(|exponent| u64::from(*exponent)).sum()
}

/// The value of terms, sorted by exponents in falling order and equal in all variables before `index`.
fn horner(terms: &[(&[u32], &Rational)], index: usize, values: &[Polynomial]) -> Polynomial {
    if index == values.len() {
        return Polynomial::sum(
            terms.iter().map(|(_, coefficient)| Polynomial::constant((*coefficient).clone())),
        );
    }
    let mut result = Polynomial::zero();
    let mut exponent = 0;
    for group in terms.chunk_by(|a, b| a.0[index] == b.0[index]) {
        let next = group[0].0[index];
        for _ in next..exponent {
            result = &result * &values[index];
        }
        exponent = next;
        result = &result + &horner(group, index + 1, values);
    }
    for _ in 0..exponent {
        result = &result * &values[index];
    }
    result
}

/// The sum of `left` and `factor * right`, merged.
fn add_scaled(left: &Polynomial, right: &Polynomial, negate: bool) -> Polynomial {
    let (left, right) = unify(left, right);
    let mut result = Polynomial::zero_in(&left.variables);
    result.exponents.reserve(left.exponents.len() + right.exponents.len());
    result.coefficients.reserve(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    let signed = |coefficient: &Rational| if negate { -coefficient } else { coefficient.clone() };
    while i < left.len() || j < right.len() {
        let order = if j == right.len() {
            std::cmp::Ordering::Greater
        } else if i == left.len() {
            std::cmp::Ordering::Less
        } else {
            let (a, b) = (left.exponents_of(i), right.exponents_of(j));
            degree_of(a).cmp(&degree_of(b)).then_with(|| a.cmp(b))
        };
        match order {
            std::cmp::Ordering::Greater => {
                result.push(left.exponents_of(i), left.coefficients[i].clone());
                i += 1;
            }
            std::cmp::Ordering::Less => {
                result.push(right.exponents_of(j), signed(&right.coefficients[j]));
                j += 1;
            }
            std::cmp::Ordering::Equal => {
                let total = &left.coefficients[i] + &signed(&right.coefficients[j]);
                if !total.is_zero() {
                    result.push(left.exponents_of(i), total);
                }
                i += 1;
                j += 1;
            }
        }
    }
    result
}

impl PartialEq for Polynomial {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |a: &Polynomial, b: &Polynomial| a.exponents == b.exponents && a.coefficients == b.coefficients;
        if self.len() != other.len() {
            return false;
        }
        if self.variables == other.variables {
            return same(self, other);
        }
        let (left, right) = unify(self, other);
        same(&left, &right)
    }
}

impl Eq for Polynomial {}

impl Neg for &Polynomial {
    type Output = Polynomial;

    fn neg(self) -> Polynomial {
        self.scale(&Rational::small(-1))
    }
}

impl Add for &Polynomial {
    type Output = Polynomial;

    fn add(self, other: &Polynomial) -> Polynomial {
        add_scaled(self, other, false)
    }
}

impl Sub for &Polynomial {
    type Output = Polynomial;

    fn sub(self, other: &Polynomial) -> Polynomial {
        add_scaled(self, other, true)
    }
}

impl Mul for &Polynomial {
    type Output = Polynomial;

    fn mul(self, other: &Polynomial) -> Polynomial {
        if let (Some(value), _) | (_, Some(value)) = (self.as_constant(), other.as_constant()) {
            return if self.as_constant().is_some() { other.scale(&value) } else { self.scale(&value) };
        }
        let (left, right) = unify(self, other);
        packed::multiply(&left, &right)
    }
}

macro_rules! owned_operator {
    ($trait:ident, $method:ident) => {
        impl $trait for Polynomial {
            type Output = Polynomial;

            fn $method(self, other: Polynomial) -> Polynomial {
                (&self).$method(&other)
            }
        }
    };
}

owned_operator!(Add, add);
owned_operator!(Sub, sub);
owned_operator!(Mul, mul);

impl Neg for Polynomial {
    type Output = Polynomial;

    fn neg(self) -> Polynomial {
        -&self
    }
}
