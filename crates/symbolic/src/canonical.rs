//! Canonical form: the only places where sums, products and powers are made.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed};

use crate::assumption::{is_nonnegative, is_positive, is_real};
use crate::expression::{Constant, Kind};
use crate::{Expr, Function, Rational};

/// The sum of `terms`: flattened, like terms collected, sorted.
pub(crate) fn sum(terms: impl IntoIterator<Item = Expr>) -> Expr {
    let mut constants = Vec::new();
    let mut parts = Vec::new();
    for term in terms {
        match term.kind() {
            Kind::Undefined => return term,
            Kind::Number(value) => constants.push(value.clone()),
            Kind::Sum(constant, terms) => {
                constants.push(constant.clone());
                parts.extend(terms.iter().cloned());
            }
            _ => {
                let (coefficient, rest) = split_coefficient(&term);
                parts.push((rest, coefficient));
            }
        }
    }
    parts.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut terms: Vec<(Expr, Rational)> = Vec::with_capacity(parts.len());
    for group in parts.chunk_by(|(a, _), (b, _)| a == b) {
        let coefficient = match group {
            [(_, only)] => only.clone(),
            _ => Rational::sum(group.iter().map(|(_, coefficient)| coefficient.clone()).collect()),
        };
        if !coefficient.is_zero() {
            terms.push((group[0].0.clone(), coefficient));
        }
    }
    sorted_sum(Rational::sum(constants), terms)
}

/// `constant + Σ coefficient * term` of sorted, distinct terms with coefficients other than zero.
fn sorted_sum(constant: Rational, mut terms: Vec<(Expr, Rational)>) -> Expr {
    match terms.len() {
        0 => Expr::number(constant),
        1 if constant.is_zero() => match terms.pop() {
            Some((term, coefficient)) => scaled(&coefficient, &term),
            None => Expr::zero(),
        },
        _ => Expr::from_kind(Kind::Sum(constant, terms)),
    }
}

/// `expression` as a rational coefficient times the rest. Sums keep their coefficients inside.
pub(crate) fn split_coefficient(expression: &Expr) -> (Rational, Expr) {
    match expression.kind() {
        Kind::Number(value) => (value.clone(), Expr::one()),
        Kind::Product(coefficient, factors) if !coefficient.is_one() => {
            (coefficient.clone(), from_factors(Rational::ONE, factors.clone()))
        }
        _ => (Rational::ONE, expression.clone()),
    }
}

/// A number times an expression, distributed over a sum.
pub(crate) fn scaled(factor: &Rational, expression: &Expr) -> Expr {
    if factor.is_one() {
        return expression.clone();
    }
    if expression.is_undefined() {
        return expression.clone();
    }
    if factor.is_zero() {
        return Expr::zero();
    }
    match expression.kind() {
        Kind::Number(value) => Expr::number(factor * value),
        Kind::Product(coefficient, factors) => from_factors(factor * coefficient, factors.clone()),
        Kind::Power(base, exponent) => {
            Expr::from_kind(Kind::Product(factor.clone(), vec![(base.clone(), exponent.clone())]))
        }
        Kind::Sum(constant, terms) => Expr::from_kind(Kind::Sum(
            factor * constant,
            terms.iter().map(|(term, coefficient)| (term.clone(), factor * coefficient)).collect(),
        )),
        _ => Expr::from_kind(Kind::Product(factor.clone(), vec![(expression.clone(), Expr::one())])),
    }
}

/// A product of sorted factors that are in canonical form already.
pub(crate) fn from_factors(coefficient: Rational, mut factors: Vec<(Expr, Expr)>) -> Expr {
    match factors.len() {
        0 => Expr::number(coefficient),
        1 if coefficient.is_one()
            || matches!(factors[0].0.kind(), Kind::Sum(..)) && factors[0].1.is_one() =>
        {
            match factors.pop() {
                Some((base, exponent)) if exponent.is_one() => scaled(&coefficient, &base),
                Some((base, exponent)) => Expr::from_kind(Kind::Power(base, exponent)),
                None => Expr::one(),
            }
        }
        _ => Expr::from_kind(Kind::Product(coefficient, factors)),
    }
}

/// The product of `factors`: flattened, powers of equal bases collected, numbers multiplied, sorted.
pub(crate) fn product(factors: impl IntoIterator<Item = Expr>) -> Expr {
    let mut numbers = Vec::new();
    let mut pairs = Vec::new();
    for factor in factors {
        if factor.is_undefined() {
            return factor;
        }
        take_apart(&factor, &mut numbers, &mut pairs);
    }
    // Powers of numbers are split into an integer, a root and a power with a symbolic exponent: 2^n √2 2^x. They are
    // kept apart here, or that split would be undone.
    let key = |(base, exponent): &(Expr, Expr)| match (base.as_number(), exponent.as_number()) {
        (None, _) => 0,
        (Some(_), Some(value)) if value.is_integer() => 1,
        (Some(_), Some(_)) => 2,
        (Some(_), None) => 3,
    };
    loop {
        pairs.sort_by(|a, b| (&a.0, key(a)).cmp(&(&b.0, key(b))));
        if pairs.windows(2).all(|pair| pair[0].0 != pair[1].0 || key(&pair[0]) != key(&pair[1])) {
            break;
        }
        let mut collected = Vec::with_capacity(pairs.len());
        for group in pairs.chunk_by(|a, b| a.0 == b.0 && key(a) == key(b)) {
            if let [pair] = group {
                collected.push(pair.clone());
                continue;
            }
            let power = power(&group[0].0, &sum(group.iter().map(|(_, exponent)| exponent.clone())));
            if power.is_undefined() {
                return power;
            }
            take_apart(&power, &mut numbers, &mut collected);
        }
        pairs = collected;
    }
    let coefficient = Rational::product(numbers);
    if coefficient.is_zero() { Expr::zero() } else { from_factors(coefficient, pairs) }
}

/// Add the numbers and the powers that make up `factor`.
fn take_apart(factor: &Expr, numbers: &mut Vec<Rational>, pairs: &mut Vec<(Expr, Expr)>) {
    match factor.kind() {
        Kind::Number(value) => numbers.push(value.clone()),
        Kind::Product(coefficient, factors) => {
            if !coefficient.is_one() {
                numbers.push(coefficient.clone());
            }
            pairs.extend(factors.iter().cloned());
        }
        Kind::Power(base, exponent) => pairs.push((base.clone(), exponent.clone())),
        Kind::Sum(..) => {
            let content = signed_content(factor);
            pairs.push((without_content(factor, &content), Expr::one()));
            if !content.is_one() {
                numbers.push(content);
            }
        }
        _ => pairs.push((factor.clone(), Expr::one())),
    }
}

/// The number by which a sum is divided to have coprime integer coefficients, the leading one positive.
fn signed_content(sum: &Expr) -> Rational {
    let Kind::Sum(constant, terms) = sum.kind() else { return Rational::ONE };
    let coefficients: Vec<Rational> = std::iter::once(constant)
        .filter(|c| !c.is_zero())
        .chain(terms.iter().map(|(_, coefficient)| coefficient))
        .cloned()
        .collect();
    let content = Rational::common_content(coefficients).unwrap_or(Rational::ONE);
    if terms.first().is_some_and(|(_, leading)| leading.is_negative()) { -&content } else { content }
}

fn without_content(sum: &Expr, content: &Rational) -> Expr {
    match content.reciprocal() {
        Some(factor) => scaled(&factor, sum),
        None => sum.clone(),
    }
}

/// Whether the canonical form of `-expression` is the simpler of the two; exactly one of them says so unless it is zero.
pub(crate) fn is_written_with_minus(expression: &Expr) -> bool {
    match expression.kind() {
        Kind::Number(value) => value.is_negative(),
        Kind::Product(coefficient, _) => coefficient.is_negative(),
        Kind::Sum(_, terms) => terms.first().is_some_and(|(_, leading)| leading.is_negative()),
        _ => false,
    }
}

/// `base ^ exponent`.
pub(crate) fn power(base: &Expr, exponent: &Expr) -> Expr {
    if base.is_undefined() || exponent.is_undefined() {
        return Expr::undefined();
    }
    let number = exponent.as_number();
    match number {
        Some(value) if value.is_zero() => return Expr::one(),
        Some(value) if value.is_one() => return base.clone(),
        _ => {}
    }
    let is_integer = number.is_some_and(Rational::is_integer);
    let unevaluated = || Expr::from_kind(Kind::Power(base.clone(), exponent.clone()));
    match base.kind() {
        Kind::Number(value) => number_power(value, exponent),
        Kind::Constant(Constant::E) => exponential(exponent),
        Kind::Power(inner, inner_exponent) => {
            let total = || product([inner_exponent.clone(), exponent.clone()]);
            if is_integer || (is_positive(inner) && is_real(inner_exponent)) {
                power(inner, &total())
            } else if number.is_some() && inner_exponent.as_number().is_some_and(Rational::is_even_integer) {
                power(&Function::Abs.apply(inner), &total())
            } else {
                unevaluated()
            }
        }
        Kind::Product(coefficient, factors) if is_integer => product(
            std::iter::once(power(&Expr::number(coefficient.clone()), exponent))
                .chain(factors.iter().map(|(b, e)| power(b, &product([e.clone(), exponent.clone()])))),
        ),
        Kind::Product(coefficient, factors) => {
            // Only factors that cannot be negative may leave a root.
            let mut outside = Vec::new();
            let mut inside = vec![Expr::number(if coefficient.is_negative() {
                Rational::small(-1)
            } else {
                Rational::ONE
            })];
            if !coefficient.abs().is_one() {
                outside.push(power(&Expr::number(coefficient.abs()), exponent));
            }
            for (b, e) in factors {
                let factor = power(b, e);
                if is_nonnegative(&factor) {
                    outside.push(power(&factor, exponent));
                } else {
                    inside.push(factor);
                }
            }
            if outside.is_empty() {
                return unevaluated();
            }
            outside.push(power(&product(inside), exponent));
            product(outside)
        }
        Kind::Sum(..) => {
            let content = signed_content(base);
            let content = if is_integer { content } else { content.abs() };
            if content.is_one() {
                return unevaluated();
            }
            let rest = Expr::from_kind(Kind::Power(without_content(base, &content), exponent.clone()));
            product([power(&Expr::number(content), exponent), rest])
        }
        Kind::Function(Function::Abs, inner) if number.is_some_and(Rational::is_even_integer) => {
            power(inner, exponent)
        }
        _ => unevaluated(),
    }
}

/// A number to the power of anything but zero and one.
fn number_power(base: &Rational, exponent: &Expr) -> Expr {
    let unevaluated = || Expr::from_kind(Kind::Power(Expr::number(base.clone()), exponent.clone()));
    if base.is_one() {
        return Expr::one();
    }
    match exponent.kind() {
        Kind::Number(value) if base.is_zero() => {
            if value.is_negative() {
                Expr::undefined()
            } else {
                Expr::zero()
            }
        }
        Kind::Number(value) if value.is_integer() => match base.checked_power(value) {
            Some(result) => Expr::number(result),
            None if base.is_negative() => {
                let size = power(&Expr::number(base.abs()), exponent);
                if value.is_even_integer() { size } else { -size }
            }
            None => unevaluated(),
        },
        Kind::Number(value) => {
            let whole = value.floor();
            let fraction = value - &whole;
            let whole = power(&Expr::number(base.clone()), &Expr::number(whole));
            if base.is_negative() {
                let root = Kind::Power(Expr::number(base.clone()), Expr::number(fraction));
                return product([whole, Expr::from_kind(root)]);
            }
            let numerator = prime_powers(base.numerator()).into_iter();
            let denominator = prime_powers(base.denominator()).into_iter().map(|(p, count)| (p, -count));
            let roots = numerator.chain(denominator).flat_map(|(prime, count)| {
                let exponent = &fraction * &Rational::integer(count);
                let whole = exponent.floor();
                let fraction = &exponent - &whole;
                let prime = Expr::integer(prime);
                let whole = power(&prime, &Expr::number(whole));
                let root = if fraction.is_zero() {
                    Expr::one()
                } else {
                    Expr::from_kind(Kind::Power(prime, Expr::number(fraction)))
                };
                [whole, root]
            });
            product(std::iter::once(whole).chain(roots))
        }
        Kind::Sum(constant, terms) if !constant.is_zero() && !base.is_zero() => {
            let rest = sorted_sum(Rational::ZERO, terms.clone());
            let base = Expr::number(base.clone());
            product([power(&base, &Expr::number(constant.clone())), power(&base, &rest)])
        }
        _ if base.numerator().is_one() => power(&Expr::integer(base.denominator()), &-exponent),
        _ => unevaluated(),
    }
}

/// `e ^ exponent` for any exponent but zero and one; logarithms in it become powers.
fn exponential(exponent: &Expr) -> Expr {
    let of_logarithm = |term: &Expr, coefficient: &Rational| match term.kind() {
        Kind::Function(Function::Log, argument) => Some(power(argument, &Expr::number(coefficient.clone()))),
        _ => None,
    };
    let unevaluated = || Expr::from_kind(Kind::Power(Expr::e(), exponent.clone()));
    if let Kind::Sum(constant, terms) = exponent.kind() {
        let mut factors = Vec::new();
        let mut rest = Vec::with_capacity(terms.len());
        for (term, coefficient) in terms {
            match of_logarithm(term, coefficient) {
                Some(factor) => factors.push(factor),
                None => rest.push((term.clone(), coefficient.clone())),
            }
        }
        if factors.is_empty() {
            return unevaluated();
        }
        factors.push(power(&Expr::e(), &sorted_sum(constant.clone(), rest)));
        return product(factors);
    }
    let (coefficient, rest) = split_coefficient(exponent);
    of_logarithm(&rest, &coefficient).unwrap_or_else(unevaluated)
}

/// A positive integer as powers of coprime integers that are no powers themselves: its small primes and what remains.
fn prime_powers(mut number: BigInt) -> Vec<(BigInt, BigInt)> {
    const LARGEST_DIVISOR: u32 = 1000;
    let mut powers = Vec::new();
    for divisor in (2..=LARGEST_DIVISOR).filter(|d| *d == 2 || d % 2 == 1) {
        if number.is_one() {
            break;
        }
        let divisor = BigInt::from(divisor);
        let mut count = 0u32;
        loop {
            let (quotient, remainder) = number.div_rem(&divisor);
            if remainder != BigInt::ZERO {
                break;
            }
            number = quotient;
            count += 1;
        }
        if count > 0 {
            powers.push((divisor, count.into()));
        }
    }
    if number > BigInt::one() {
        let mut count = BigInt::one();
        // What remains has no divisor up to 1000, so a root of 10 or more bits.
        for degree in [2u32, 3, 5, 7, 11, 13, 17, 19, 23] {
            while u64::from(degree) * 9 < number.bits() && number.is_positive() {
                let root = number.nth_root(degree);
                if num_traits::Pow::pow(&root, degree) != number {
                    break;
                }
                number = root;
                count *= degree;
            }
        }
        powers.push((number, count));
    }
    powers
}
