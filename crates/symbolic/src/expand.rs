//! Multiplying out products and integer powers of sums.
//!
//! A product of sums is carried over into polynomials in "generators", whatever is not taken apart further (`x`,
//! `sin(x)`, `2^y`), multiplied there on packed exponents, and carried back.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::canonical::{from_factors, power, product, scaled, sum};
use crate::expression::Kind;
use crate::formula::Budget;
use crate::{Expr, Function, Rational};

/// How many products of terms one call may form. What would take more stays as it is.
const LARGEST_WORK: u64 = 1 << 20;
/// The longest coefficients, in bits, that a power may bring about.
const LONGEST_COEFFICIENT: u64 = 1 << 14;

impl Expr {
    /// This with products and positive integer powers of sums multiplied out, everywhere inside. Two polynomials are
    /// equal exactly if their difference expands to zero.
    ///
    /// The work is bounded: what has more than about a million terms stays a product or a power. Denominators are
    /// multiplied out inside, but not split.
    pub fn expand(&self) -> Expr {
        self.expand_within(LARGEST_WORK)
    }

    /// [`Expr::expand`] that forms at most `work` products of terms; what would take more stays as it is.
    pub fn expand_within(&self, work: u64) -> Expr {
        Expansion { work_left: work.min(LARGEST_WORK), budget: None, known: HashMap::new() }.expand(self)
    }

    /// [`Expr::expand_within`] that also leaves as it is what is met after the budget is spent.
    pub fn expand_in_time(&self, work: u64, budget: &Budget) -> Expr {
        let work_left = work.min(LARGEST_WORK);
        Expansion { work_left, budget: Some(budget), known: HashMap::new() }.expand(self)
    }
}

struct Expansion<'a> {
    work_left: u64,
    budget: Option<&'a Budget>,
    known: HashMap<Expr, Expr>,
}

impl Expansion<'_> {
    fn is_spent(&self) -> bool {
        self.budget.is_some_and(Budget::is_spent)
    }

    fn expand(&mut self, expression: &Expr) -> Expr {
        if let Some(result) = self.known.get(expression) {
            return result.clone();
        }
        if self.is_spent() {
            return expression.clone();
        }
        let result = match expression.kind() {
            Kind::Number(_) | Kind::Constant(_) | Kind::Symbol(_) | Kind::Undefined => {
                return expression.clone();
            }
            Kind::Function(function, argument) => function.apply(&self.expand(argument)),
            Kind::Power(base, exponent) => {
                let whole = power(&self.expand(base), &self.expand(exponent));
                self.multiply_out(whole)
            }
            Kind::Product(coefficient, factors) => {
                let mut expanded = vec![Expr::number(coefficient.clone())];
                for (base, exponent) in factors {
                    expanded.push(power(&self.expand(base), &self.expand(exponent)));
                }
                self.multiply_out(product(expanded))
            }
            Kind::Sum(constant, terms) => {
                let mut expanded = vec![Expr::number(constant.clone())];
                for (term, coefficient) in terms {
                    expanded.push(scaled(coefficient, &self.expand(term)));
                }
                sum(expanded)
            }
        };
        self.known.insert(expression.clone(), result.clone());
        result
    }

    /// `whole` multiplied out, its parts being so already.
    fn multiply_out(&mut self, whole: Expr) -> Expr {
        let (coefficient, factors) = match whole.kind() {
            Kind::Product(coefficient, factors) => (coefficient.clone(), factors.clone()),
            Kind::Power(base, exponent) => (Rational::ONE, vec![(base.clone(), exponent.clone())]),
            _ => return whole,
        };
        let mut generators = Generators::default();
        let mut others = Vec::new();
        let mut sums = Vec::new();
        for (base, exponent) in &factors {
            let count = exponent.as_number().and_then(Rational::to_i64).and_then(|n| u32::try_from(n).ok());
            match (base.kind(), count) {
                (Kind::Sum(constant, terms), Some(count)) => sums.push((constant, terms, count)),
                _ => others.push(generators.exponent(base, exponent)),
            }
        }
        if sums.is_empty() {
            return whole;
        }
        let sums: Vec<Sum> = sums
            .into_iter()
            .map(|(constant, terms, count)| {
                let mut parts: Vec<(Exponents, Rational)> = terms
                    .iter()
                    .map(|(term, coefficient)| (generators.exponents(term), coefficient.clone()))
                    .collect();
                if !constant.is_zero() {
                    parts.push((Vec::new(), constant.clone()));
                }
                Sum { parts, count }
            })
            .collect();
        let count = generators.list.len();
        let Some(largest) = largest_exponent(&sums, &others, count) else { return whole };
        // A field of this width holds exponents from -largest to largest, and their sign.
        let width = 65 - largest.leading_zeros();
        let terms = if width as usize * count < 127 {
            let pack = |exponents: &Exponents| {
                exponents.iter().map(|(index, e)| i128::from(*e) << (width as usize * index)).sum()
            };
            let unpack = |mut packed: i128| {
                (0..count)
                    .map(|_| {
                        // The lowest field, sign-extended; what it borrowed goes back with the subtraction.
                        let exponent = packed << (128 - width) >> (128 - width);
                        packed = (packed - exponent) >> width;
                        exponent as i64
                    })
                    .collect()
            };
            self.terms(&sums, &others, pack)
                .map(|terms| terms.into_iter().map(|(m, c)| (unpack(m), c)).collect::<Vec<(Vec<i64>, _)>>())
        } else {
            let pack = |exponents: &Exponents| {
                let mut dense = vec![0; count];
                exponents.iter().for_each(|(index, e)| dense[*index] += e);
                dense
            };
            self.terms(&sums, &others, pack).map(|terms| terms.into_iter().collect())
        };
        let Some(terms) = terms else { return whole };
        let expanded = generators.carry_back(terms, &coefficient);
        // Powers of generators can be sums again: √(x+1)² is x + 1.
        let is_final = generators.are_plain
            || expanded.iter().all(|term| {
                let is_sum = |base: &Expr, exponent: &Expr| {
                    matches!(base.kind(), Kind::Sum(..))
                        && exponent.as_number().is_some_and(|n| n.is_integer() && !n.is_negative())
                };
                match term.kind() {
                    Kind::Product(_, factors) => !factors.iter().any(|(b, e)| is_sum(b, e)),
                    Kind::Power(base, exponent) => !is_sum(base, exponent),
                    _ => true,
                }
            });
        if is_final {
            return sum(expanded);
        }
        sum(expanded.into_iter().map(|term| self.multiply_out(term)).collect::<Vec<_>>())
    }

    /// The product of all sums and other factors; `None` if that takes too much work.
    fn terms<M: Monomial>(
        &mut self,
        sums: &[Sum],
        others: &Exponents,
        pack: impl Fn(&Exponents) -> M,
    ) -> Option<Polynomial<M>> {
        let mut result = Polynomial::<M>::default();
        result.insert(pack(others), Rational::ONE);
        for factor in sums {
            let parts: Vec<(M, Rational)> =
                factor.parts.iter().map(|(exponents, c)| (pack(exponents), c.clone())).collect();
            let power = self.power(&parts, factor)?;
            result = self.multiply(&result, power.iter())?;
        }
        Some(result)
    }

    /// Take the work for so many terms with coefficients of so many bits from what is left.
    fn spend(&mut self, terms: u64, bits: u64) -> Option<()> {
        self.work_left = self.work_left.checked_sub(terms.checked_mul(1 + bits / 256)?)?;
        Some(())
    }

    fn multiply<'a, M: Monomial + 'a>(
        &mut self,
        left: &Polynomial<M>,
        right: impl ExactSizeIterator<Item = (&'a M, &'a Rational)> + Clone,
    ) -> Option<Polynomial<M>> {
        let longest = left.values().chain(right.clone().map(|(_, c)| c)).map(Rational::bits).max();
        self.spend(left.len() as u64 * right.len() as u64, longest.unwrap_or(0))?;
        let mut result = Polynomial::<M>::default();
        for (monomial, coefficient) in left {
            if self.is_spent() {
                return None;
            }
            for (other, factor) in right.clone() {
                add_term(&mut result, monomial.times(other), coefficient * factor);
            }
        }
        Some(result)
    }

    fn power<M: Monomial>(&mut self, parts: &[(M, Rational)], factor: &Sum) -> Option<Polynomial<M>> {
        let count = factor.count;
        let bits = parts.iter().map(|(_, c)| c.bits()).max().unwrap_or(0)
            + u64::from((parts.len() as u64).ilog2() + 1);
        if bits.saturating_mul(u64::from(count)) > LONGEST_COEFFICIENT {
            return None;
        }
        let compositions =
            binomial_bounded(u64::from(count) + parts.len() as u64 - 1, parts.len() as u64 - 1);
        let distinct = factor.largest_size();
        let mut result = Polynomial::<M>::default();
        if compositions <= distinct.saturating_mul(4) {
            self.spend(compositions, bits * u64::from(count))?;
            let one = parts[0].0.to_the(0);
            multinomial(parts, count, &one, &Rational::ONE, &mut result);
        } else {
            // Many compositions fall on the same monomial, as in a power of a dense polynomial in one variable.
            result.insert(parts[0].0.to_the(0), Rational::ONE);
            for _ in 0..count {
                result = self.multiply(&result, parts.iter().map(|(m, c)| (m, c)))?;
            }
        }
        Some(result)
    }
}

/// Add `(Σ parts)^count * coefficient * monomial` by the multinomial theorem, one part after the other.
fn multinomial<M: Monomial>(
    parts: &[(M, Rational)],
    count: u32,
    monomial: &M,
    coefficient: &Rational,
    result: &mut Polynomial<M>,
) {
    let [(part, factor), rest @ ..] = parts else { return };
    if rest.is_empty() {
        let power = coefficient_power(factor, count);
        add_term(result, monomial.times(&part.to_the(count)), coefficient * &power);
        return;
    }
    let mut running = coefficient.clone();
    let mut reached = monomial.clone();
    for taken in 0..=count {
        multinomial(rest, count - taken, &reached, &running, result);
        // From one binomial coefficient to the next.
        let ratio = Rational::new(count - taken, taken + 1).unwrap_or(Rational::ONE);
        running = &running * &(&ratio * factor);
        reached = reached.times(part);
    }
}

fn coefficient_power(base: &Rational, count: u32) -> Rational {
    if base.is_one() {
        return Rational::ONE;
    }
    let mut result = Rational::ONE;
    let mut square = base.clone();
    let mut left = count;
    while left > 0 {
        if left % 2 == 1 {
            result = &result * &square;
        }
        left /= 2;
        if left > 0 {
            square = &square * &square;
        }
    }
    result
}

/// `n` over `k`, or the largest number if that is beyond any budget.
fn binomial_bounded(n: u64, k: u64) -> u64 {
    let k = k.min(n - k);
    let mut result = 1u64;
    for i in 0..k {
        match result.checked_mul(n - i) {
            Some(product) if result <= LARGEST_WORK => result = product / (i + 1),
            _ => return u64::MAX,
        }
    }
    result
}

/// Exponents by generator, zeros left out.
type Exponents = Vec<(usize, i64)>;

/// A sum to a positive integer power.
struct Sum {
    parts: Vec<(Exponents, Rational)>,
    count: u32,
}

impl Sum {
    /// How many distinct monomials the power can have at most: those in the box of all exponents.
    fn largest_size(&self) -> u64 {
        let mut ranges: HashMap<usize, (i64, i64, usize)> = HashMap::new();
        for (exponents, _) in &self.parts {
            for &(index, exponent) in exponents {
                let (low, high, occurrences) = ranges.entry(index).or_insert((exponent, exponent, 0));
                (*low, *high) = ((*low).min(exponent), (*high).max(exponent));
                *occurrences += 1;
            }
        }
        ranges.values().fold(1, |size, &(low, high, occurrences)| {
            // A part without the generator has it to the power of zero.
            let (low, high) =
                if occurrences < self.parts.len() { (low.min(0), high.max(0)) } else { (low, high) };
            size.saturating_mul(high.abs_diff(low).saturating_mul(u64::from(self.count)).saturating_add(1))
        })
    }
}

/// A bound on the size of all exponents that can come up, if it is a sensible one.
fn largest_exponent(sums: &[Sum], others: &Exponents, generators: usize) -> Option<u64> {
    let mut total = vec![0u64; generators];
    for &(index, exponent) in others {
        total[index] = total[index].checked_add(exponent.unsigned_abs())?;
    }
    for sum in sums {
        let mut own = vec![0u64; generators];
        for &(index, exponent) in sum.parts.iter().flat_map(|(exponents, _)| exponents) {
            own[index] = own[index].max(exponent.unsigned_abs());
        }
        for (total, own) in total.iter_mut().zip(own) {
            *total = total.checked_add(own.checked_mul(u64::from(sum.count))?)?;
        }
    }
    total.into_iter().max().or(Some(0)).filter(|largest| *largest < 1 << 62)
}

struct Generators {
    list: Vec<Expr>,
    index: HashMap<Expr, usize>,
    /// Whether monomials in the generators are in canonical form as they are.
    are_plain: bool,
}

impl Default for Generators {
    fn default() -> Self {
        Generators { list: Vec::new(), index: HashMap::new(), are_plain: true }
    }
}

impl Generators {
    /// `base ^ exponent` as a generator and its integer exponent.
    fn exponent(&mut self, base: &Expr, exponent: &Expr) -> (usize, i64) {
        let is_number = base.as_number().is_some();
        let (generator, exponent) = match exponent.as_number().and_then(Rational::to_i64) {
            Some(integer) if !is_number => (base.clone(), integer),
            _ => (power(base, exponent), 1),
        };
        self.are_plain &= match generator.kind() {
            Kind::Symbol(_) => true,
            // Even powers of an absolute value are powers of its argument.
            Kind::Function(function, _) => *function != Function::Abs,
            _ => false,
        };
        let next = self.list.len();
        let index = *self.index.entry(generator.clone()).or_insert(next);
        if index == next {
            self.list.push(generator);
        }
        (index, exponent)
    }

    /// A term without a coefficient.
    fn exponents(&mut self, term: &Expr) -> Exponents {
        match term.kind() {
            Kind::Product(_, factors) => factors.iter().map(|(b, e)| self.exponent(b, e)).collect(),
            Kind::Power(base, exponent) => vec![self.exponent(base, exponent)],
            _ => vec![self.exponent(term, &Expr::one())],
        }
    }

    fn carry_back(&self, terms: Vec<(Vec<i64>, Rational)>, coefficient: &Rational) -> Vec<Expr> {
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by(|a, b| self.list[*a].cmp(&self.list[*b]));
        let mut integers: HashMap<i64, Expr> = HashMap::new();
        let mut integer = |value: i64| integers.entry(value).or_insert_with(|| value.into()).clone();
        terms
            .into_iter()
            .map(|(exponents, factor)| {
                let coefficient = &factor * coefficient;
                let pairs = order
                    .iter()
                    .filter(|index| exponents[**index] != 0)
                    .map(|index| (self.list[*index].clone(), integer(exponents[*index])));
                if self.are_plain {
                    from_factors(coefficient, pairs.collect())
                } else {
                    let factors: Vec<Expr> = pairs.map(|(base, exponent)| power(&base, &exponent)).collect();
                    product(factors.into_iter().chain([Expr::number(coefficient)]))
                }
            })
            .collect()
    }
}

/// A product of generators, as exponents.
trait Monomial: Clone + Eq + Hash {
    fn times(&self, other: &Self) -> Self;
    fn to_the(&self, count: u32) -> Self;
}

/// Exponents side by side in one number, as digits with a sign: they add and scale as the number does.
impl Monomial for i128 {
    fn times(&self, other: &Self) -> Self {
        self + other
    }

    fn to_the(&self, count: u32) -> Self {
        self * i128::from(count)
    }
}

impl Monomial for Vec<i64> {
    fn times(&self, other: &Self) -> Self {
        self.iter().zip(other).map(|(a, b)| a + b).collect()
    }

    fn to_the(&self, count: u32) -> Self {
        self.iter().map(|a| a * i64::from(count)).collect()
    }
}

type Polynomial<M> = HashMap<M, Rational, BuildHasherDefault<ExponentHasher>>;

fn add_term<M: Monomial>(polynomial: &mut Polynomial<M>, monomial: M, coefficient: Rational) {
    use std::collections::hash_map::Entry;
    match polynomial.entry(monomial) {
        Entry::Vacant(entry) => {
            entry.insert(coefficient);
        }
        Entry::Occupied(mut entry) => {
            let total = entry.get() + &coefficient;
            if total.is_zero() {
                entry.remove();
            } else {
                entry.insert(total);
            }
        }
    }
}

/// A quick hash of words: multiply and fold. Exponents are no place for an attack, as the work is bounded.
#[derive(Default)]
struct ExponentHasher(u64);

impl Hasher for ExponentHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}
