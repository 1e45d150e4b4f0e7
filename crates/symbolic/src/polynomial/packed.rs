//! Multiplication and exact division, on exponents packed into machine words.
//!
//! The exponents of a term, and before them its total degree, stand side by side as the digits of one number, wide enough for
//! the result: products of monomials are sums of numbers, and the graded lexicographic order is the order of numbers. Where
//! 128 bits are too few, the same algorithms run on lists of exponents.

use std::collections::BTreeMap;
use std::sync::Arc;

use num_bigint::BigInt;

use super::{Polynomial, degree_of};
use crate::{Rational, Symbol};

/// The product of two polynomials in the same variables.
pub(super) fn multiply(left: &Polynomial, right: &Polynomial) -> Polynomial {
    if left.is_zero() || right.is_zero() {
        return Polynomial::zero_in(&left.variables);
    }
    let degree = degree_of(left.exponents_of(0)) + degree_of(right.exponents_of(0));
    assert!(degree <= u64::from(u32::MAX), "the degree of a product is at most 2^32 - 1");
    match layout(left.variables.len(), degree) {
        Layout::Word(packing) => multiply_packed::<u64>(left, right, &packing),
        Layout::DoubleWord(packing) => multiply_packed::<u128>(left, right, &packing),
        Layout::List => multiply_packed::<Vec<u32>>(left, right, &Packing { width: 0 }),
    }
}

/// The quotient of two polynomials in the same variables, if there is no remainder.
pub(super) fn divide_exactly(dividend: &Polynomial, divisor: &Polynomial) -> Option<Polynomial> {
    if divisor.is_zero() {
        return None;
    }
    if dividend.is_zero() {
        return Some(dividend.clone());
    }
    let degree = degree_of(dividend.exponents_of(0));
    if degree_of(divisor.exponents_of(0)) > degree {
        return None;
    }
    match layout(dividend.variables.len(), degree) {
        Layout::Word(packing) => divide_packed::<u64>(dividend, divisor, &packing),
        Layout::DoubleWord(packing) => divide_packed::<u128>(dividend, divisor, &packing),
        Layout::List => divide_packed::<Vec<u32>>(dividend, divisor, &Packing { width: 0 }),
    }
}

enum Layout {
    Word(Packing),
    DoubleWord(Packing),
    List,
}

/// How exponents stand in a number: fields of `width` bits, the highest bit of each unused, the total degree on top.
struct Packing {
    width: u32,
}

fn layout(variables: usize, largest_degree: u64) -> Layout {
    let width = 64 - largest_degree.leading_zeros() + 1;
    let bits = u64::from(width) * (variables as u64 + 1);
    // One number, all ones, is left for empty places of the table below.
    match bits {
        0..=64 => Layout::Word(Packing { width }),
        65..=128 => Layout::DoubleWord(Packing { width }),
        _ => Layout::List,
    }
}

/// The exponents of a term with its total degree, ordered by graded lexicographic order.
trait Monomial: Clone + Ord {
    fn pack(exponents: &[u32], packing: &Packing) -> Self;
    fn unpack(&self, variables: usize, packing: &Packing, exponents: &mut Vec<u32>);
    fn times(&self, other: &Self) -> Self;
    /// The quotient, if no exponent becomes negative; `guards` are the unused bits of all fields.
    fn over(&self, other: &Self, guards: &Self) -> Option<Self>;
    fn guards(variables: usize, packing: &Packing) -> Self;
    fn hash(&self) -> u64;
}

macro_rules! packed_monomial {
    ($word:ty, |$value:ident| $hash:expr) => {
        impl Monomial for $word {
            fn pack(exponents: &[u32], packing: &Packing) -> Self {
                let degree = degree_of(exponents) as $word;
                exponents.iter().fold(degree, |word, e| word << packing.width | <$word>::from(*e))
            }

            fn unpack(&self, variables: usize, packing: &Packing, exponents: &mut Vec<u32>) {
                let mask = (1 << packing.width) - 1;
                exponents
                    .extend((0..variables as u32).rev().map(|k| (self >> (k * packing.width) & mask) as u32));
            }

            fn times(&self, other: &Self) -> Self {
                self + other
            }

            fn over(&self, other: &Self, guards: &Self) -> Option<Self> {
                // A field that borrows takes its guard away.
                let difference = (self | guards) - other;
                (difference & guards == *guards).then(|| difference ^ guards)
            }

            fn guards(variables: usize, packing: &Packing) -> Self {
                (0..=variables as u32).map(|k| 1 << (k * packing.width + packing.width - 1)).sum()
            }

            fn hash(&self) -> u64 {
                let $value = *self;
                $hash
            }
        }
    };
}

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

packed_monomial!(u64, |value| {
    let product = u128::from(value) * u128::from(MIX);
    product as u64 ^ (product >> 64) as u64
});
packed_monomial!(u128, |value| {
    let product = u128::from(value as u64 ^ ((value >> 64) as u64).wrapping_mul(MIX)) * u128::from(MIX);
    product as u64 ^ (product >> 64) as u64
});

/// The plain form, and what the packed ones are compared with in tests: the degree, then the exponents.
impl Monomial for Vec<u32> {
    fn pack(exponents: &[u32], _: &Packing) -> Self {
        std::iter::once(degree_of(exponents) as u32).chain(exponents.iter().copied()).collect()
    }

    fn unpack(&self, _: usize, _: &Packing, exponents: &mut Vec<u32>) {
        exponents.extend_from_slice(&self[1..]);
    }

    fn times(&self, other: &Self) -> Self {
        self.iter().zip(other).map(|(a, b)| a + b).collect()
    }

    fn over(&self, other: &Self, _: &Self) -> Option<Self> {
        self.iter().zip(other).map(|(a, b)| a.checked_sub(*b)).collect()
    }

    fn guards(_: usize, _: &Packing) -> Self {
        Vec::new()
    }

    fn hash(&self) -> u64 {
        self.iter().fold(0, |hash, e| (hash ^ u64::from(*e)).wrapping_mul(MIX).rotate_left(29))
    }
}

/// Coefficients of a product: machine words where they fit.
trait Coefficient: Clone {
    fn zero() -> Self;
    fn add_product(&mut self, a: &Self, b: &Self);
    fn to_rational(self) -> Rational;
}

impl Coefficient for i128 {
    fn zero() -> Self {
        0
    }

    fn add_product(&mut self, a: &Self, b: &Self) {
        // Both are 64-bit numbers, which the compiler need not widen.
        *self += i128::from(*a as i64) * i128::from(*b as i64);
    }

    fn to_rational(self) -> Rational {
        i64::try_from(self).map_or_else(|_| Rational::integer(BigInt::from(self)), Rational::from)
    }
}

impl Coefficient for Rational {
    fn zero() -> Self {
        Rational::ZERO
    }

    fn add_product(&mut self, a: &Self, b: &Self) {
        *self = &*self + &(a * b);
    }

    fn to_rational(self) -> Rational {
        self
    }
}

fn multiply_packed<M: Monomial>(left: &Polynomial, right: &Polynomial, packing: &Packing) -> Polynomial {
    let word = |c: &Rational| c.to_i64().map(i128::from);
    let words = |p: &Polynomial| p.coefficients.iter().map(word).collect::<Option<Vec<i128>>>();
    if let (Some(a), Some(b)) = (words(left), words(right)) {
        // A coefficient of the product sums at most as many products as the shorter factor has terms.
        let bits = |values: &[i128]| 128 - values.iter().fold(0, |m, v| m | v.unsigned_abs()).leading_zeros();
        if bits(&a) + bits(&b) + usize::BITS - left.len().min(right.len()).leading_zeros() < 127 {
            return collect_products::<M, i128>(left, &a, right, &b, packing);
        }
    }
    collect_products::<M, Rational>(left, &left.coefficients, right, &right.coefficients, packing)
}

fn collect_products<M: Monomial, C: Coefficient>(
    left: &Polynomial,
    left_coefficients: &[C],
    right: &Polynomial,
    right_coefficients: &[C],
    packing: &Packing,
) -> Polynomial {
    let pack = |p: &Polynomial| (0..p.len()).map(|k| M::pack(p.exponents_of(k), packing)).collect::<Vec<M>>();
    let (left_monomials, right_monomials) = (pack(left), pack(right));
    let mut table = Table::<M, C>::with_room_for(left.len().max(right.len()) * 2);
    for (a, x) in left_monomials.iter().zip(left_coefficients) {
        for (b, y) in right_monomials.iter().zip(right_coefficients) {
            table.entry(a.times(b)).add_product(x, y);
        }
    }
    let terms: Vec<(M, Rational)> = table.into_terms().map(|(m, c)| (m, c.to_rational())).collect();
    from_packed(&left.variables, terms, packing)
}

fn from_packed<M: Monomial>(
    variables: &Arc<[Symbol]>,
    mut terms: Vec<(M, Rational)>,
    packing: &Packing,
) -> Polynomial {
    terms.retain(|(_, coefficient)| !coefficient.is_zero());
    terms.sort_unstable_by(|a, b| b.0.cmp(&a.0));
    let mut result = Polynomial::zero_in(variables);
    result.exponents.reserve(terms.len() * variables.len());
    result.coefficients.reserve(terms.len());
    for (monomial, coefficient) in terms {
        monomial.unpack(variables.len(), packing, &mut result.exponents);
        result.coefficients.push(coefficient);
    }
    result
}

/// A hash table from monomials to coefficients with open addressing: entries stand in one list, in the order of arrival.
struct Table<M, C> {
    entries: Vec<(M, C)>,
    /// Places in `entries` plus one; zero is empty. The length is a power of two, at most half full.
    places: Vec<u32>,
}

impl<M: Monomial, C: Coefficient> Table<M, C> {
    fn with_room_for(count: usize) -> Self {
        let places = (2 * count).next_power_of_two().max(16);
        Table { entries: Vec::with_capacity(count), places: vec![0; places] }
    }

    fn entry(&mut self, monomial: M) -> &mut C {
        let mask = self.places.len() - 1;
        let mut place = monomial.hash() as usize & mask;
        loop {
            match self.places[place] {
                0 => break,
                index if self.entries[index as usize - 1].0 == monomial => {
                    return &mut self.entries[index as usize - 1].1;
                }
                _ => place = (place + 1) & mask,
            }
        }
        self.entries.push((monomial, C::zero()));
        self.places[place] = u32::try_from(self.entries.len()).expect("memory ends before 2^32 terms");
        if self.entries.len() * 2 > self.places.len() {
            self.grow();
        }
        let last = self.entries.len() - 1;
        &mut self.entries[last].1
    }

    fn grow(&mut self) {
        let mask = self.places.len() * 4 - 1;
        self.places = vec![0; mask + 1];
        for (index, (monomial, _)) in self.entries.iter().enumerate() {
            let mut place = monomial.hash() as usize & mask;
            while self.places[place] != 0 {
                place = (place + 1) & mask;
            }
            self.places[place] = index as u32 + 1;
        }
    }

    fn into_terms(self) -> impl Iterator<Item = (M, C)> {
        self.entries.into_iter()
    }
}

/// Long division that gives up at the first leading term that the divisor's does not divide.
fn divide_packed<M: Monomial>(
    dividend: &Polynomial,
    divisor: &Polynomial,
    packing: &Packing,
) -> Option<Polynomial> {
    let variables = dividend.variables.len();
    let guards = M::guards(variables, packing);
    let pack = |p: &Polynomial, k: usize| M::pack(p.exponents_of(k), packing);
    let mut remainder: BTreeMap<M, Rational> =
        dividend.coefficients.iter().enumerate().map(|(k, c)| (pack(dividend, k), c.clone())).collect();
    let leading = pack(divisor, 0);
    let inverse = divisor.coefficients[0].reciprocal()?;
    let rest: Vec<(M, Rational)> =
        (1..divisor.len()).map(|k| (pack(divisor, k), -&divisor.coefficients[k])).collect();
    let mut quotient = Vec::new();
    while let Some((monomial, coefficient)) = remainder.pop_last() {
        let factor = monomial.over(&leading, &guards)?;
        let coefficient = &coefficient * &inverse;
        for (other, negated) in &rest {
            use std::collections::btree_map::Entry;
            let product = negated * &coefficient;
            match remainder.entry(factor.times(other)) {
                Entry::Vacant(entry) => {
                    entry.insert(product);
                }
                Entry::Occupied(mut entry) => {
                    let total = entry.get() + &product;
                    if total.is_zero() {
                        entry.remove();
                    } else {
                        entry.insert(total);
                    }
                }
            }
        }
        quotient.push((factor, coefficient));
    }
    Some(from_packed(&dividend.variables, quotient, packing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::polynomial;
    use super::*;

    #[test]
    fn long_lists_of_variables_leave_the_words() {
        let names: Arc<[Symbol]> = (0..40).map(|k| Symbol::new(&format!("x{k}"))).collect();
        let term = |k: usize, c: i64| {
            let mut exponents = vec![0; 40];
            exponents[k] = 3;
            (exponents, Rational::from(c))
        };
        let sum = Polynomial::from_terms(&names, (0..40).map(|k| term(k, k as i64 - 7)));
        let square = &sum * &sum;
        assert!(matches!(layout(40, 6), Layout::List));
        assert_eq!(square.len(), 39 * 40 / 2);
        assert_eq!(square.divide_exactly(&sum), Some(sum));
    }

    proptest! {
        #[test]
        fn packed_and_plain_monomials_agree(a in polynomial(3), b in polynomial(3)) {
            let (a, b) = super::super::unify(&a, &b);
            let (a, b) = (a.into_owned(), b.into_owned());
            let plain = Packing { width: 0 };
            let product = multiply(&a, &b);
            prop_assert_eq!(&multiply_packed::<Vec<u32>>(&a, &b, &plain), &product);
            prop_assert_eq!(&multiply_packed::<u128>(&a, &b, &Packing { width: 20 }), &product);
            prop_assert_eq!(
                &collect_products::<u64, Rational>(&a, &a.coefficients, &b, &b.coefficients, &Packing { width: 12 }),
                &product
            );
            if !a.is_zero() && !b.is_zero() {
                prop_assert_eq!(divide_packed::<Vec<u32>>(&product, &a, &plain), Some(b.clone()));
                prop_assert_eq!(divide_exactly(&product, &a), Some(b));
            }
        }
    }
}
