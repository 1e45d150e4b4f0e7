//! The values of scalar formulae: exact rationals, rigorous enclosures, canonical expressions.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

use super::{Budget, Formula, NamedConstant, Operation, Sign};
use crate::interval::{ComplexInterval, Interval, Precision};
use crate::{Expr, Function, Rational};

/// The longest numbers, in bits, that rational arithmetic makes here.
const LONGEST_EXACT: u64 = 1 << 18;
/// The longest fractions, in bits, that are brought into lowest terms: that takes quadratic time.
const LONGEST_FRACTION: u64 = 1 << 15;
/// The largest number whose factorial is multiplied out.
const LARGEST_FACTORIAL: u32 = 12_000;

/// Why a formula has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a scalar: a set, text, a relation, a symbol without a value...
    #[error("this is not a number")]
    NotScalar,
    /// Division by zero, a function outside its domain, or a value that cannot be enclosed.
    #[error("this has no value that can be enclosed")]
    Undefined,
    /// Too long a computation or too large a number.
    #[error("this takes more than the budget")]
    Budget,
}

type Value<T> = Result<T, ValueError>;

impl Formula {
    /// The value by rational arithmetic where symbols have these values, or `None` if that does not give it.
    pub fn exact(&self, point: &BTreeMap<String, Rational>, budget: &Budget) -> Option<Rational> {
        let value = |formula: &Formula| formula.exact(point, budget);
        if budget.is_spent() {
            return None;
        }
        match self {
            Formula::Number(number) => Some(number.value.clone()),
            Formula::Symbol(name) => point.get(name).cloned(),
            Formula::Word(word) => word
                .chars()
                .map(|letter| point.get(letter.encode_utf8(&mut [0; 4])).cloned())
                .try_fold(Rational::ONE, |product, letter| multiply(&product, &letter?)),
            Formula::Mixed(whole, part) => add(&value(whole)?, &value(part)?),
            Formula::Sum(terms) => terms.iter().try_fold(Rational::ZERO, |sum, (sign, term)| match sign {
                Sign::Plus => add(&sum, &value(term)?),
                Sign::Minus => add(&sum, &-&value(term)?),
                Sign::PlusMinus | Sign::MinusPlus => None,
            }),
            Formula::Product(factors) => {
                factors.iter().try_fold(Rational::ONE, |product, factor| multiply(&product, &value(factor)?))
            }
            Formula::Inverse(inner) => value(inner)?.reciprocal(),
            Formula::Quotient(above, below) => multiply(&value(above)?, &value(below)?.reciprocal()?),
            Formula::Power(base, exponent) => match Formula::power_of_last_letter(base, exponent) {
                Some(product) => value(&product),
                None => power(&value(base)?, &value(exponent)?),
            },
            Formula::Apply(operation, arguments) => {
                let arguments: Vec<Rational> = arguments.iter().map(value).collect::<Option<_>>()?;
                apply_exactly(*operation, &arguments)
            }
            _ => None,
        }
    }

    /// An enclosure of the value where symbols have these values.
    ///
    /// Powers are principal values, roots with a written degree the real ones where these exist.
    ///
    /// # Errors
    /// [`ValueError`] if there is no value or none that can be enclosed.
    pub fn enclose(
        &self,
        point: &BTreeMap<String, Rational>,
        precision: Precision,
        budget: &Budget,
    ) -> Value<ComplexInterval> {
        Enclosing { point, precision, budget }.value(self)
    }

    /// The canonical real expression, for scalars without `i`, `±` and infinity whose operations it has.
    pub fn to_expr(&self) -> Option<Expr> {
        self.expression(None)
    }

    /// [`Formula::to_expr`] that also gives up where the budget is spent.
    pub fn to_expr_within(&self, budget: &Budget) -> Option<Expr> {
        self.expression(Some(budget))
    }

    fn expression(&self, budget: Option<&Budget>) -> Option<Expr> {
        if budget.is_some_and(Budget::is_spent) {
            return None;
        }
        let value = |formula: &Formula| formula.expression(budget);
        let one_of = |items: &[Formula]| match items {
            [only] => value(only),
            _ => None,
        };
        Some(match self {
            Formula::Number(number) => Expr::number(number.value.clone()),
            Formula::Symbol(name) => Expr::symbol(name.as_str()),
            Formula::Word(word) => {
                Expr::product(word.chars().map(|letter| Expr::symbol(&*letter.encode_utf8(&mut [0; 4]))))
            }
            Formula::Constant(NamedConstant::Pi) => Expr::pi(),
            Formula::Constant(NamedConstant::E) => Expr::e(),
            Formula::Mixed(whole, part) => value(whole)? + value(part)?,
            Formula::Sum(terms) => Expr::sum(
                terms
                    .iter()
                    .map(|(sign, term)| match sign {
                        Sign::Plus => value(term),
                        Sign::Minus => Some(-value(term)?),
                        _ => None,
                    })
                    .collect::<Option<Vec<_>>>()?,
            ),
            Formula::Product(factors) => {
                Expr::product(factors.iter().map(value).collect::<Option<Vec<_>>>()?)
            }
            Formula::Inverse(inner) => value(inner)?.pow(-1),
            Formula::Quotient(above, below) => value(above)? / value(below)?,
            Formula::Power(base, exponent) => match Formula::power_of_last_letter(base, exponent) {
                Some(product) => value(&product)?,
                None => value(base)?.pow(value(exponent)?),
            },
            Formula::Apply(operation, arguments) => {
                if let (Operation::Log, [base, argument]) = (operation, arguments.as_slice()) {
                    return Some(value(argument)?.log() / value(base)?.log());
                }
                let argument = one_of(arguments)?;
                let reciprocal = |value: Expr| value.pow(-1);
                match operation {
                    Operation::Sin => argument.sin(),
                    Operation::Cos => argument.cos(),
                    Operation::Tan => argument.tan(),
                    Operation::Cot => reciprocal(argument.tan()),
                    Operation::Sec => reciprocal(argument.cos()),
                    Operation::Csc => reciprocal(argument.sin()),
                    Operation::Asin => argument.asin(),
                    Operation::Acos => argument.acos(),
                    Operation::Atan => argument.atan(),
                    Operation::Sinh => argument.sinh(),
                    Operation::Cosh => argument.cosh(),
                    Operation::Tanh => argument.tanh(),
                    Operation::Exp => argument.exp(),
                    Operation::Log => Function::Log.apply(&argument),
                    Operation::SquareRoot => argument.sqrt(),
                    Operation::Absolute => argument.abs(),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

fn length(value: &Rational) -> u64 {
    value.bits()
}

fn add(left: &Rational, right: &Rational) -> Option<Rational> {
    let total = length(left) + length(right);
    let is_short = total <= LONGEST_FRACTION || (left.is_integer() && right.is_integer());
    (is_short && total <= LONGEST_EXACT * 2).then(|| left + right)
}

fn multiply(left: &Rational, right: &Rational) -> Option<Rational> {
    let total = length(left) + length(right);
    // One over a long number is in lowest terms after one division.
    let is_short = total <= LONGEST_FRACTION || (left.is_integer() && right.is_integer()) || left.is_one();
    (is_short && total <= LONGEST_EXACT).then(|| left * right)
}

/// A rational power, if it is rational and not too long.
fn power(base: &Rational, exponent: &Rational) -> Option<Rational> {
    if let Some(result) = base.checked_power(exponent) {
        return Some(result);
    }
    if !exponent.is_integer() {
        // An exact root, as of 8^(2/3).
        if base.is_negative() {
            return None;
        }
        let degree = exponent.denominator().to_u32().filter(|degree| *degree <= 64)?;
        let root = exact_root(base, degree)?;
        return power(&root, &Rational::integer(exponent.numerator()));
    }
    if base.is_zero() {
        return None;
    }
    let count = exponent.numerator().to_i64()?;
    let times = u32::try_from(count.unsigned_abs()).ok()?;
    if length(base).checked_mul(u64::from(times))? > LONGEST_EXACT {
        return None;
    }
    let (above, below) = (Pow::pow(base.numerator(), times), Pow::pow(base.denominator(), times));
    // Powers of coprime numbers are coprime, but making the fraction checks that in quadratic time.
    if !below.is_one() && below.bits() + above.bits() > LONGEST_FRACTION {
        return None;
    }
    if count < 0 {
        if above.bits() > LONGEST_FRACTION {
            return None;
        }
        return Rational::new(below, above);
    }
    Rational::new(above, below)
}

fn exact_root(value: &Rational, degree: u32) -> Option<Rational> {
    let root = |number: BigInt| {
        let root = number.nth_root(degree);
        (Pow::pow(root.clone(), degree) == number).then_some(root)
    };
    if length(value) > LONGEST_FRACTION || degree == 0 || (value.is_negative() && degree.is_even()) {
        return None;
    }
    Rational::new(root(value.numerator())?, root(value.denominator())?)
}

/// The product of the whole numbers from one to another, halves of them first: the factors of long products are equally long.
fn product_of_range(from: u32, to: u32) -> BigInt {
    if to - from < 8 {
        return (from..=to).map(BigInt::from).product();
    }
    let middle = from + (to - from) / 2;
    product_of_range(from, middle) * product_of_range(middle + 1, to)
}

fn factorial(n: u32) -> BigInt {
    if n < 2 { BigInt::one() } else { product_of_range(2, n) }
}

fn apply_exactly(operation: Operation, arguments: &[Rational]) -> Option<Rational> {
    let integers = || -> Option<Vec<BigInt>> {
        arguments.iter().map(|value| value.is_integer().then(|| value.numerator())).collect()
    };
    match (operation, arguments) {
        (Operation::Absolute, [x]) => Some(x.abs()),
        (Operation::Floor, [x]) => Some(x.floor()),
        (Operation::Ceiling, [x]) => Some(-&(-x).floor()),
        (Operation::SquareRoot, [x]) => exact_root(x, 2),
        (Operation::Root, [degree, x]) => {
            exact_root(x, degree.is_integer().then(|| degree.numerator().to_u32())??)
        }
        (Operation::Factorial, [n]) => {
            let n = n.is_integer().then(|| n.numerator().to_u32())??;
            (n <= LARGEST_FACTORIAL).then(|| Rational::integer(factorial(n)))
        }
        (Operation::Binomial, [_, k]) => {
            let values = integers()?;
            let (n, k) = (values[0].to_u32()?, k.is_integer().then(|| values[1].to_i64())??);
            if k < 0 || k > i64::from(n) {
                return Some(Rational::ZERO);
            }
            let k = u32::try_from(k).ok()?.min(n - u32::try_from(k).ok()?);
            if k > 4096 {
                return None;
            }
            if k == 0 {
                return Some(Rational::ONE);
            }
            Some(Rational::integer(product_of_range(n - k + 1, n) / factorial(k)))
        }
        (Operation::Maximum, [_, ..]) => arguments.iter().max().cloned(),
        (Operation::Minimum, [_, ..]) => arguments.iter().min().cloned(),
        (Operation::GreatestCommonDivisor, [_, ..]) => {
            let values = integers()?;
            // As of fractions: quadratic time.
            if values.iter().any(|value| value.bits() > LONGEST_FRACTION) {
                return None;
            }
            Some(Rational::integer(values.into_iter().fold(BigInt::zero(), |a, b| a.gcd(&b))))
        }
        (Operation::LeastCommonMultiple, [_, ..]) => {
            let values = integers()?;
            if values.iter().map(BigInt::bits).sum::<u64>() > LONGEST_FRACTION {
                return None;
            }
            Some(Rational::integer(values.into_iter().fold(BigInt::one(), |a, b| a.lcm(&b)).abs()))
        }
        (Operation::Exp, [x]) if x.is_zero() => Some(Rational::ONE),
        (Operation::Log, [x]) if x.is_one() => Some(Rational::ZERO),
        (Operation::Sin | Operation::Tan | Operation::Sinh | Operation::Tanh, [x]) if x.is_zero() => {
            Some(Rational::ZERO)
        }
        (Operation::Cos | Operation::Cosh | Operation::Sec, [x]) if x.is_zero() => Some(Rational::ONE),
        (Operation::Log, [base, x]) => exact_logarithm(base, x),
        _ => None,
    }
}

/// `log_base x` for powers of a whole base.
fn exact_logarithm(base: &Rational, x: &Rational) -> Option<Rational> {
    if !base.is_integer() || base <= &Rational::ONE || length(x) > 4096 || x <= &Rational::ZERO {
        return None;
    }
    let (number, sign) = if x.is_integer() { (x.numerator(), 1) } else { (x.denominator(), -1) };
    if sign < 0 && !x.numerator().is_one() {
        return None;
    }
    let base = base.numerator();
    let (mut rest, mut count) = (number, 0i64);
    while !rest.is_one() {
        let (quotient, remainder) = rest.div_rem(&base);
        if !remainder.is_zero() {
            return None;
        }
        rest = quotient;
        count += 1;
    }
    Some(Rational::from(sign * count))
}

struct Enclosing<'a> {
    point: &'a BTreeMap<String, Rational>,
    precision: Precision,
    budget: &'a Budget,
}

impl Enclosing<'_> {
    fn value(&self, formula: &Formula) -> Value<ComplexInterval> {
        let precision = self.precision;
        if self.budget.is_spent() {
            return Err(ValueError::Budget);
        }
        let defined = |value: Option<ComplexInterval>| value.ok_or(ValueError::Undefined);
        let rational = |value: &Rational| defined(ComplexInterval::rational(value, precision));
        let one = || ComplexInterval::from_real(Interval::integer(1));
        match formula {
            Formula::Number(number) => rational(&number.value),
            Formula::Symbol(name) => rational(self.point.get(name).ok_or(ValueError::NotScalar)?),
            Formula::Word(word) => word.chars().try_fold(one(), |product, letter| {
                let letter = self.point.get(letter.encode_utf8(&mut [0; 4])).ok_or(ValueError::NotScalar)?;
                defined(product.multiply(&rational(letter)?, precision))
            }),
            Formula::Constant(NamedConstant::Pi) => {
                defined(Interval::pi(precision).map(ComplexInterval::from_real))
            }
            Formula::Constant(NamedConstant::E) => {
                defined(Interval::integer(1).exp(precision).map(ComplexInterval::from_real))
            }
            Formula::Constant(NamedConstant::I) => Ok(ComplexInterval::imaginary_unit()),
            Formula::Constant(NamedConstant::Infinity) => Err(ValueError::NotScalar),
            Formula::Mixed(whole, part) => defined(self.value(whole)?.add(&self.value(part)?, precision)),
            Formula::Sum(terms) => {
                let mut sum = ComplexInterval::from_real(Interval::zero());
                for (sign, term) in terms {
                    let term = self.value(term)?;
                    let term = match sign {
                        Sign::Plus => term,
                        Sign::Minus => term.negate(),
                        Sign::PlusMinus | Sign::MinusPlus => return Err(ValueError::NotScalar),
                    };
                    sum = defined(sum.add(&term, precision))?;
                }
                Ok(sum)
            }
            Formula::Product(factors) => {
                let mut product = one();
                for factor in factors {
                    product = defined(product.multiply(&self.value(factor)?, precision))?;
                }
                Ok(product)
            }
            Formula::Inverse(inner) => defined(one().divide(&self.value(inner)?, precision)),
            Formula::Quotient(above, below) => {
                defined(self.value(above)?.divide(&self.value(below)?, precision))
            }
            Formula::Power(base, exponent) => {
                if let Some(product) = Formula::power_of_last_letter(base, exponent) {
                    return self.value(&product);
                }
                let value = self.value(base)?;
                let exact = exponent.exact(self.point, self.budget);
                match exact.filter(Rational::is_integer).map(|n| n.numerator().to_i64()) {
                    Some(Some(count)) => defined(value.integer_power(count, precision)),
                    Some(None) => Err(ValueError::Undefined),
                    None => self.general_power(&value, exponent),
                }
            }
            Formula::Apply(operation, arguments) => {
                if let Some(value) = formula.exact(self.point, self.budget) {
                    return rational(&value);
                }
                let values: Vec<ComplexInterval> =
                    arguments.iter().map(|argument| self.value(argument)).collect::<Value<_>>()?;
                self.apply(*operation, arguments, &values)
            }
            _ => Err(ValueError::NotScalar),
        }
    }

    fn general_power(&self, base: &ComplexInterval, exponent: &Formula) -> Value<ComplexInterval> {
        let precision = self.precision;
        // Roots of real numbers that are not negative need no logarithm, and zero has none.
        if let Some(real) = base.as_real()
            && !real.is_negative()
            && let Some(exact) = exponent.exact(self.point, self.budget)
            && let (Some(count), Some(degree)) = (exact.numerator().to_i64(), exact.denominator().to_u32())
            && degree <= 64
            && let Some(root) = real.root(degree, precision)
        {
            let value = root.power(count, precision).map(ComplexInterval::from_real);
            return value.ok_or(ValueError::Undefined);
        }
        base.power(&self.value(exponent)?, precision).ok_or(ValueError::Undefined)
    }

    fn apply(
        &self,
        operation: Operation,
        arguments: &[Formula],
        values: &[ComplexInterval],
    ) -> Value<ComplexInterval> {
        let precision = self.precision;
        let real = |at: usize| values.get(at).and_then(ComplexInterval::as_real);
        let of_real = |function: fn(&Interval, Precision) -> Option<Interval>| {
            function(real(0)?, precision).map(ComplexInterval::from_real)
        };
        let one = ComplexInterval::from_real(Interval::integer(1));
        let two = ComplexInterval::from_real(Interval::integer(2));
        let Some(x) = values.first() else { return Err(ValueError::Undefined) };
        let value = match operation {
            Operation::Sin => x.sine_and_cosine(precision).map(|(sine, _)| sine),
            Operation::Cos => x.sine_and_cosine(precision).map(|(_, cosine)| cosine),
            Operation::Tan => x.sine_and_cosine(precision).and_then(|(s, c)| s.divide(&c, precision)),
            Operation::Cot => x.sine_and_cosine(precision).and_then(|(s, c)| c.divide(&s, precision)),
            Operation::Sec => x.sine_and_cosine(precision).and_then(|(_, c)| one.divide(&c, precision)),
            Operation::Csc => x.sine_and_cosine(precision).and_then(|(s, _)| one.divide(&s, precision)),
            Operation::Asin => of_real(Interval::asin),
            Operation::Acos => of_real(|x, precision| {
                let quarter = Interval::pi(precision)?.divide(&Interval::integer(2), precision)?;
                quarter.subtract(&x.asin(precision)?, precision)
            }),
            Operation::Atan => of_real(Interval::atan),
            Operation::Exp => x.exp(precision),
            Operation::Sinh | Operation::Cosh | Operation::Tanh => {
                let (forth, back) = (x.exp(precision), x.negate().exp(precision));
                forth.zip(back).and_then(|(forth, back)| {
                    let sum = forth.add(&back, precision)?;
                    let difference = forth.add(&back.negate(), precision)?;
                    match operation {
                        Operation::Sinh => difference.divide(&two, precision),
                        Operation::Cosh => sum.divide(&two, precision),
                        _ => difference.divide(&sum, precision),
                    }
                })
            }
            Operation::Log => match values {
                [x] => x.log(precision),
                [base, x] => {
                    x.log(precision).zip(base.log(precision)).and_then(|(x, base)| x.divide(&base, precision))
                }
                _ => None,
            },
            Operation::SquareRoot => x.square_root(precision),
            Operation::Root => {
                let degree = arguments[0].exact(self.point, self.budget);
                let degree = degree.filter(Rational::is_integer).and_then(|n| n.numerator().to_u32());
                match (degree.filter(|n| (1..=64).contains(n)), real(1), values.get(1)) {
                    (Some(degree), Some(real), _) if !(real.is_negative() && degree.is_even()) => {
                        real.root(degree, precision).map(ComplexInterval::from_real)
                    }
                    (_, _, Some(radicand)) => {
                        one.divide(x, precision).and_then(|power| radicand.power(&power, precision))
                    }
                    _ => None,
                }
            }
            Operation::Absolute => x.absolute(precision),
            Operation::Floor => real(0).and_then(Interval::floor).map(ComplexInterval::from_real),
            Operation::Ceiling => real(0)
                .and_then(|x| x.negate().floor())
                .map(|below| ComplexInterval::from_real(below.negate())),
            _ => None,
        };
        value.ok_or(ValueError::Undefined)
    }
}
