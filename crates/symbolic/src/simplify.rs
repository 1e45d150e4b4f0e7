//! One normal form for expressions with roots, absolute values and symbolic powers, and the signs of constants.
//!
//! Every part that is neither rational arithmetic nor a symbol (√3, |x−1|, 2ⁿ, π) becomes a variable of its own, a
//! kernel; the rest is a rational function in symbols and kernels. Kernels that are roots fulfil kⁿ = radicand, by which
//! numerator and denominator are reduced, and denominators are freed of them. Square roots of perfect squares are taken,
//! √(a + b√c) is denested where the result has rational radicands (Landau 1992, the quadratic case), and absolute values
//! of constants are decided by rigorous intervals. Square roots of different primes are independent, so a constant made of
//! square roots of rational numbers is zero exactly if its normal form is.

use std::collections::{BTreeMap, HashMap};

use crate::expression::{Constant, Kind};
use crate::factor::rational_square_root;
use crate::formula::Budget;
use crate::interval::{Interval, Precision};
use crate::{Expr, Function, Polynomial, Rational, RationalFunction, Symbol};

/// The most terms that a product or power may have.
const MOST_TERMS: usize = 4000;
/// The largest total degree.
const LARGEST_DEGREE: i64 = 200;
/// The largest degree of single terms.
const LARGEST_SINGLE: i64 = 4096;
/// The longest coefficients, in bits.
const LONGEST_NUMBER: u64 = 1 << 14;
/// The precisions, in digits, at which signs are decided.
const DIGITS: [u32; 3] = [20, 60, 200];

impl Expr {
    /// The normal form: a quotient of polynomials without common factors in the symbols and the parts that are not
    /// rational, with roots reduced and denominators free of them where that is possible.
    ///
    /// Holds wherever both sides are defined. `None` beyond the budget in time or size, and for undefined expressions.
    pub fn simplify(&self, budget: &Budget) -> Option<Expr> {
        let mut kernels = Kernels::new(budget);
        let value = kernels.convert(self)?;
        Some(kernels.to_expr(&value))
    }

    /// A rigorous enclosure of a real constant; `None` if it has symbols, is not real or not defined, or if the
    /// precision does not tell.
    pub fn enclose(&self, precision: Precision) -> Option<Interval> {
        let power = |base: &Expr, exponent: &Expr| -> Option<Interval> {
            if let Some(number) = exponent.as_number() {
                let base = base.enclose(precision)?;
                let count = number.numerator().try_into().ok()?;
                if number.is_integer() {
                    return base.power(count, precision);
                }
                if base.is_negative() {
                    return None;
                }
                return base.root(number.denominator().try_into().ok()?, precision)?.power(count, precision);
            }
            let exponent = exponent.enclose(precision)?;
            if let Kind::Constant(Constant::E) = base.kind() {
                return exponent.exp(precision);
            }
            exponent.multiply(&base.enclose(precision)?.log(precision)?, precision)?.exp(precision)
        };
        match self.kind() {
            Kind::Number(value) => Interval::rational(value, precision),
            Kind::Constant(Constant::Pi) => Interval::pi(precision),
            Kind::Constant(Constant::E) => Interval::integer(1).exp(precision),
            Kind::Power(base, exponent) => power(base, exponent),
            Kind::Product(coefficient, factors) => {
                factors.iter().try_fold(Interval::rational(coefficient, precision)?, |product, (b, e)| {
                    product.multiply(&power(b, e)?, precision)
                })
            }
            Kind::Sum(constant, terms) => {
                terms.iter().try_fold(Interval::rational(constant, precision)?, |sum, (term, coefficient)| {
                    let coefficient = Interval::rational(coefficient, precision)?;
                    sum.add(&coefficient.multiply(&term.enclose(precision)?, precision)?, precision)
                })
            }
            Kind::Function(function, argument) => {
                let argument = argument.enclose(precision)?;
                match function {
                    Function::Sin => argument.sin(precision),
                    Function::Cos => argument.cos(precision),
                    Function::Tan => {
                        let (sine, cosine) = argument.sine_and_cosine(precision)?;
                        sine.divide(&cosine, precision)
                    }
                    Function::Asin => argument.asin(precision),
                    Function::Atan => argument.atan(precision),
                    Function::Log => argument.log(precision),
                    Function::Abs => Some(argument.absolute()),
                    _ => None,
                }
            }
            Kind::Symbol(_) | Kind::Undefined => None,
        }
    }

    /// -1, 0 or 1: the sign of a real constant, rigorously; `None` if it is not real or not decided.
    pub fn sign_of_constant(&self, budget: &Budget) -> Option<i32> {
        let enclosed = |expression: &Expr, digits: u32| {
            let interval = expression.enclose(Precision::digits(digits))?;
            if interval.is_positive() {
                Some(1)
            } else if interval.is_negative() {
                Some(-1)
            } else {
                interval.is_exactly_zero().then_some(0)
            }
        };
        if let Some(number) = self.as_number() {
            return Some(if number.is_zero() { 0 } else { 1 - 2 * i32::from(number.is_negative()) });
        }
        if let Some(sign) = enclosed(self, DIGITS[0]) {
            return Some(sign);
        }
        let simple = self.simplify(budget)?;
        if simple.is_zero() {
            return Some(0);
        }
        DIGITS.iter().take_while(|_| !budget.is_spent()).find_map(|digits| enclosed(&simple, *digits))
    }

    /// This with every part for which `replacement` has something else replaced by it, from the outside in, and
    /// everything above brought into canonical form again.
    pub fn replace_parts(&self, replacement: &mut impl FnMut(&Expr) -> Option<Expr>) -> Expr {
        if let Some(replaced) = replacement(self) {
            return replaced;
        }
        let mut power =
            |(b, e): &(Expr, Expr)| b.replace_parts(replacement).pow(e.replace_parts(replacement));
        match self.kind() {
            Kind::Number(_) | Kind::Constant(_) | Kind::Symbol(_) | Kind::Undefined => self.clone(),
            Kind::Power(base, exponent) => power(&(base.clone(), exponent.clone())),
            Kind::Function(function, argument) => function.apply(&argument.replace_parts(replacement)),
            Kind::Product(coefficient, factors) => {
                let factors: Vec<Expr> = factors.iter().map(power).collect();
                Expr::product(std::iter::once(Expr::number(coefficient.clone())).chain(factors))
            }
            Kind::Sum(constant, terms) => Expr::sum(
                std::iter::once(Expr::number(constant.clone())).chain(
                    terms
                        .iter()
                        .map(|(term, c)| term.replace_parts(replacement) * Expr::number(c.clone()))
                        .collect::<Vec<_>>(),
                ),
            ),
        }
    }

    /// The largest n, in absolute value, with which `pattern`ⁿ is among the factors of this, numbers aside: 2 for x²y³ and
    /// xy, 2 for x^(2a+b) and x^a, 0 if it is not. `None` if the pattern has no factors but numbers.
    pub fn factor_powers(&self, pattern: &Expr) -> Option<i64> {
        let factors = |e: &Expr| match e.kind() {
            Kind::Product(_, factors) => factors.clone(),
            Kind::Power(base, exponent) => vec![(base.clone(), exponent.clone())],
            Kind::Number(_) | Kind::Undefined => Vec::new(),
            _ => vec![(e.clone(), Expr::one())],
        };
        let own = factors(self);
        let mut count: Option<i64> = None;
        for (base, exponent) in factors(pattern) {
            let (unit, term) = crate::canonical::split_coefficient(&exponent.terms()[0]);
            // The multiples of the exponent among those of the same base.
            let found =
                own.iter().filter(|(other, _)| *other == base).flat_map(|(_, e)| e.terms()).find_map(|e| {
                    let (multiple, rest) = crate::canonical::split_coefficient(&e);
                    let ratio = &multiple * &unit.reciprocal()?;
                    let whole = if ratio.is_negative() { -&(-&ratio).floor() } else { ratio.floor() };
                    (rest == term).then(|| whole.to_i64()).flatten()
                });
            let found = found.unwrap_or(0);
            count = Some(match count {
                None => found,
                Some(count) if count.signum() == found.signum() => {
                    if count.abs() < found.abs() {
                        count
                    } else {
                        found
                    }
                }
                Some(_) => 0,
            });
        }
        count
    }

    /// Whether a symbol occurs.
    pub fn contains(&self, symbol: &Symbol) -> bool {
        let mut found = self.as_symbol() == Some(symbol);
        self.for_each_child(|child| found = found || child.contains(symbol));
        found
    }
}

/// A part that is treated as a variable.
pub(crate) struct Kernel {
    pub(crate) symbol: Symbol,
    pub(crate) value: Expr,
    /// kⁿ = radicand.
    pub(crate) root: Option<(u32, RationalFunction)>,
}

/// The kernels met so far.
pub(crate) struct Kernels<'a> {
    pub(crate) list: Vec<Kernel>,
    index: HashMap<Expr, usize>,
    budget: &'a Budget,
}

impl<'a> Kernels<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Self {
        Kernels { list: Vec::new(), index: HashMap::new(), budget }
    }

    /// The normal form of an expression as a rational function in symbols and kernels.
    pub(crate) fn convert(&mut self, expression: &Expr) -> Option<RationalFunction> {
        let value = self.rational(expression)?;
        self.reduce(value)
    }

    /// The value of a rational function with the kernels put back.
    pub(crate) fn to_expr(&self, value: &RationalFunction) -> Expr {
        self.polynomial_to_expr(value.numerator()) / self.polynomial_to_expr(value.denominator())
    }

    pub(crate) fn polynomial_to_expr(&self, polynomial: &Polynomial) -> Expr {
        let values: BTreeMap<Symbol, Expr> =
            self.list.iter().map(|kernel| (kernel.symbol.clone(), kernel.value.clone())).collect();
        polynomial.to_expr().substitute(&values)
    }

    fn rational(&mut self, expression: &Expr) -> Option<RationalFunction> {
        if self.budget.is_spent() {
            return None;
        }
        let number = |value: &Rational| RationalFunction::from(Polynomial::constant(value.clone()));
        match expression.kind() {
            Kind::Number(value) if value.bits() > LONGEST_NUMBER => None,
            Kind::Number(value) => Some(number(value)),
            Kind::Symbol(symbol) => Some(Polynomial::variable(symbol.clone()).into()),
            Kind::Constant(_) => Some(self.kernel(expression, None)),
            Kind::Undefined => None,
            Kind::Power(base, exponent) => self.power(base, exponent),
            Kind::Product(coefficient, factors) => {
                factors.iter().try_fold(number(coefficient), |product, (base, exponent)| {
                    checked_product(&product, &self.power(base, exponent)?)
                })
            }
            Kind::Sum(constant, terms) => {
                terms.iter().try_fold(number(constant), |sum, (term, coefficient)| {
                    let term = checked_product(&self.rational(term)?, &number(coefficient))?;
                    let (a, b) = (sum.denominator(), term.denominator());
                    let is_short = a.len() * b.len() * (sum.numerator().len() + term.numerator().len());
                    (is_short <= MOST_TERMS * 16).then(|| &sum + &term)
                })
            }
            Kind::Function(Function::Abs, argument) => {
                let argument = self.convert(argument)?;
                let inner = self.to_expr(&argument);
                if inner.symbols().is_empty() {
                    let is_negative = inner.sign_of_constant(self.budget)? < 0;
                    return Some(if is_negative { -&argument } else { argument });
                }
                // The absolute value of a product is the product of those of its factors.
                match Function::Abs.apply(&inner).kind() {
                    Kind::Product(coefficient, factors) => {
                        factors.iter().try_fold(number(coefficient), |product, (base, exponent)| {
                            let factor = base.pow(exponent);
                            let factor = match base.kind() {
                                Kind::Function(Function::Abs, inner) => {
                                    let kernel = self.absolute(inner)?;
                                    integer_power(&kernel, exponent.as_number()?)?
                                }
                                _ => self.rational(&factor)?,
                            };
                            checked_product(&product, &factor)
                        })
                    }
                    Kind::Function(Function::Abs, inner) => self.absolute(inner),
                    _ => self.rational(&Function::Abs.apply(&inner)),
                }
            }
            Kind::Function(function, argument) => {
                let argument = argument.simplify(self.budget)?;
                let value = function.apply(&argument);
                match value.kind() {
                    Kind::Function(..) => Some(self.kernel(&value, None)),
                    _ => self.rational(&value),
                }
            }
        }
    }

    /// |u|, whose square is u².
    fn absolute(&mut self, argument: &Expr) -> Option<RationalFunction> {
        let square = {
            let value = self.rational(argument)?;
            checked_product(&value, &value)?
        };
        Some(self.kernel(&Function::Abs.apply(argument), Some((2, square))))
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Option<RationalFunction> {
        if let Some(number) = exponent.as_number() {
            if number.is_integer() {
                let base = self.convert(base)?;
                return integer_power(&base, number);
            }
            let degree: u32 = number.denominator().try_into().ok()?;
            let root = self.root(base, degree)?;
            return integer_power(&root, &Rational::integer(number.numerator()));
        }
        // b^(Σ c t) = Π (b^t)^c with integer c; prime powers as powers of the prime.
        let (base, exponent) = match base.as_number().and_then(prime_root) {
            Some((prime, count)) => (Expr::integer(prime), exponent.simplify(self.budget)? * count),
            None => (base.simplify(self.budget)?, exponent.simplify(self.budget)?),
        };
        let terms = exponent.expand_in_time(u64::MAX, self.budget).terms();
        terms.iter().try_fold(Polynomial::one().into(), |product, term| {
            let factor = match term.as_number() {
                Some(_) => self.rational(&base.pow(term))?,
                None => {
                    let (coefficient, rest) = crate::canonical::split_coefficient(term);
                    let part = &rest * Rational::new(1, coefficient.denominator())?;
                    let value = base.pow(part);
                    match value.kind() {
                        Kind::Power(..) => {
                            let kernel = self.kernel(&value, None);
                            integer_power(&kernel, &Rational::integer(coefficient.numerator()))?
                        }
                        _ => self.rational(&base.pow(term))?,
                    }
                }
            };
            checked_product(&product, &factor)
        })
    }

    /// `base` to the power of 1/n.
    fn root(&mut self, base: &Expr, degree: u32) -> Option<RationalFunction> {
        let radicand = self.convert(base)?;
        let base = self.to_expr(&radicand);
        let exponent = Rational::new(1, degree)?;
        if degree == 2 {
            if let Some(root) = self.denest(&radicand) {
                return self.rational(&root);
            }
            if !base.symbols().is_empty()
                && let Some(root) = self.square_root(&radicand)
            {
                return Some(root);
            }
        }
        self.root_factors(&base.pow(Expr::number(exponent)))
    }

    /// A root that is taken no further: its factors, each a kernel or rational.
    fn root_factors(&mut self, root: &Expr) -> Option<RationalFunction> {
        let factors = match root.kind() {
            Kind::Product(coefficient, factors) => {
                let mut all = vec![(Expr::number(coefficient.clone()), Expr::one())];
                all.extend(factors.iter().cloned());
                all
            }
            Kind::Power(base, exponent) => vec![(base.clone(), exponent.clone())],
            _ => vec![(root.clone(), Expr::one())],
        };
        factors.iter().try_fold(Polynomial::one().into(), |product, (base, exponent)| {
            let number = exponent.as_number()?;
            let factor = if number.is_integer() {
                self.power(base, exponent)?
            } else {
                let degree: u32 = number.denominator().try_into().ok()?;
                let radicand = self.convert(base)?;
                let value = base.pow(Expr::number(Rational::new(1, degree)?));
                let kernel = self.kernel(&value, Some((degree, radicand)));
                integer_power(&kernel, &Rational::integer(number.numerator()))?
            };
            checked_product(&product, &factor)
        })
    }

    /// √(A + B√c) as √((A+d)/2) ± √((A−d)/2) with d² = A² − B²c, for rational A, B, c, d.
    fn denest(&self, radicand: &RationalFunction) -> Option<Expr> {
        let polynomial = radicand.as_polynomial()?;
        let (mut a, mut b, mut square) = (Rational::ZERO, None, Rational::ONE);
        for (exponents, coefficient) in polynomial.terms() {
            if exponents.iter().all(|e| *e == 0) {
                a = coefficient.clone();
                continue;
            }
            if b.replace(coefficient.clone()).is_some() {
                return None;
            }
            for (variable, exponent) in polynomial.variables().iter().zip(exponents).filter(|(_, e)| **e > 0)
            {
                let (degree, radicand) = self.list.iter().find(|k| k.symbol == *variable)?.root.as_ref()?;
                if *degree != 2 || *exponent != 1 {
                    return None;
                }
                square = &square * &radicand.as_polynomial()?.as_constant()?;
            }
        }
        let b = b?;
        let d = rational_square_root(&(&(&a * &a) - &(&(&b * &b) * &square)))?;
        let half = Rational::half();
        let parts = [&(&a + &d) * &half, &(&a - &d) * &half];
        if parts.iter().any(Rational::is_negative) {
            return None;
        }
        let [first, second] = parts.map(|part| Expr::number(part).sqrt());
        Some(if b.is_negative() { first - second } else { first + second })
    }

    /// √(N/D) = Π |pᵢ|^⌊eᵢ/2⌋ √(c Π pᵢ) / |D| with N·D = c Π pᵢ^eᵢ.
    fn square_root(&mut self, radicand: &RationalFunction) -> Option<RationalFunction> {
        let product = radicand.numerator() * radicand.denominator();
        let factorisation = product.factor(self.budget)?;
        let mut outside = Expr::one();
        let mut inside = Expr::number(factorisation.content.clone());
        for (factor, count) in &factorisation.factors {
            let factor = self.polynomial_to_expr(factor);
            outside = outside * factor.pow(i64::from(count / 2)).abs();
            if count % 2 == 1 {
                inside = inside * factor;
            }
        }
        let denominator = self.polynomial_to_expr(radicand.denominator()).abs();
        let root = self.root_factors(&inside.expand_in_time(u64::MAX, self.budget).sqrt())?;
        let outside = self.rational(&(outside / denominator))?;
        checked_product(&outside, &root)
    }

    fn kernel(&mut self, value: &Expr, root: Option<(u32, RationalFunction)>) -> RationalFunction {
        let next = self.list.len();
        let index = *self.index.entry(value.clone()).or_insert(next);
        if index == next {
            let symbol = Symbol::new(&format!("~{next:04}"));
            self.list.push(Kernel { symbol, value: value.clone(), root });
        }
        Polynomial::variable(self.list[index].symbol.clone()).into()
    }

    /// Powers of roots reduced, denominators freed of them.
    fn reduce(&self, value: RationalFunction) -> Option<RationalFunction> {
        let mut value = value;
        for _ in 0..4 {
            let numerator = self.reduce_polynomial(value.numerator())?;
            let denominator = self.reduce_polynomial(value.denominator())?;
            let next = self.rationalise(numerator.divide(&denominator)?)?;
            if next == value {
                break;
            }
            value = next;
        }
        Some(value)
    }

    /// Σ cⱼ kʲ = Σ cⱼ r^⌊j/n⌋ k^(j mod n) for every root kⁿ = r.
    fn reduce_polynomial(&self, polynomial: &Polynomial) -> Option<RationalFunction> {
        let mut value: RationalFunction = polynomial.clone().into();
        for kernel in self.list.iter().rev() {
            let Some((degree, radicand)) = &kernel.root else { continue };
            if value.numerator().degree_in(&kernel.symbol) < *degree {
                continue;
            }
            let denominator = RationalFunction::from(value.denominator().clone());
            let mut sum = RationalFunction::from(Polynomial::zero());
            for (j, coefficient) in value.numerator().coefficients(&kernel.symbol).into_iter().enumerate() {
                let j = j as u32;
                let root = Polynomial::variable(kernel.symbol.clone()).pow(j % degree);
                let power = integer_power(radicand, &Rational::from(i64::from(j / degree)))?;
                sum = &sum + &checked_product(&power, &(&coefficient * &root).into())?;
            }
            value = sum.divide(&denominator)?;
        }
        Some(value)
    }

    /// The denominator d = a + bk freed of a root kⁿ = r: d Σ aⁿ⁻¹⁻ⁱ (−bk)ⁱ = aⁿ − (−b)ⁿ r.
    fn rationalise(&self, value: RationalFunction) -> Option<RationalFunction> {
        let mut value = value;
        for kernel in self.list.iter().rev() {
            let Some((degree, _)) = &kernel.root else { continue };
            let coefficients = value.denominator().coefficients(&kernel.symbol);
            let root = Polynomial::variable(kernel.symbol.clone());
            let factor = match coefficients.as_slice() {
                [a, b] => (0..*degree).fold(Polynomial::zero(), |sum, i| {
                    &sum + &(&a.pow(degree - 1 - i) * &(&-b * &root).pow(i))
                }),
                [first, middle @ .., _] if first.is_zero() && middle.iter().all(Polynomial::is_zero) => {
                    root.pow(degree - coefficients.len() as u32 + 1)
                }
                _ => continue,
            };
            let denominator = self.reduce_polynomial(&(value.denominator() * &factor))?;
            if denominator.is_zero() {
                continue;
            }
            let numerator = self.reduce_polynomial(&(value.numerator() * &factor))?;
            value = numerator.divide(&denominator)?;
        }
        Some(value)
    }
}

/// A prime number as the base of a power with an exponent above one.
fn prime_root(number: &Rational) -> Option<(i64, i64)> {
    let mut rest = number.to_i64().filter(|n| *n > 1)?;
    let prime = (2..=1000).find(|d| rest % d == 0)?;
    let mut count = 0;
    while rest % prime == 0 {
        rest /= prime;
        count += 1;
    }
    (rest == 1).then_some((prime, count))
}

fn degree(value: &RationalFunction) -> i64 {
    let degree = |p: &Polynomial| i64::from(p.degree().unwrap_or(0));
    degree(value.numerator()).max(degree(value.denominator()))
}

/// A product, unless it is too long.
fn checked_product(a: &RationalFunction, b: &RationalFunction) -> Option<RationalFunction> {
    let length = |f: &RationalFunction| f.numerator().len().max(f.denominator().len());
    let is_single = |f: &RationalFunction| f.numerator().len() <= 1 && f.denominator().len() <= 1;
    let longest_degree = if is_single(a) && is_single(b) { LARGEST_SINGLE } else { LARGEST_DEGREE };
    if length(a) * length(b) > MOST_TERMS || degree(a) + degree(b) > longest_degree {
        return None;
    }
    let product = a * b;
    let bits = |p: &Polynomial| p.terms().map(|(_, c)| c.bits()).max().unwrap_or(0);
    (bits(product.numerator()).max(bits(product.denominator())) <= LONGEST_NUMBER).then_some(product)
}

fn integer_power(base: &RationalFunction, exponent: &Rational) -> Option<RationalFunction> {
    let exponent = i32::try_from(exponent.to_i64()?).ok()?;
    let size = i64::from(exponent.unsigned_abs());
    let (n, d) = (base.numerator(), base.denominator());
    let is_single = n.len() <= 1 && d.len() <= 1;
    let terms = n.len().max(d.len()) as f64;
    let variables = n.variables().len().max(d.variables().len()) as i32;
    // The power has at most as many terms as monomials of its degree.
    let degree = degree(base).checked_mul(size)?;
    let longest = if is_single { LARGEST_SINGLE } else { LARGEST_DEGREE };
    let monomials = (degree as f64 + 1.0).powi(variables).min(terms.powf(size as f64));
    let bits = |p: &Polynomial| p.terms().map(|(_, c)| c.bits()).max().unwrap_or(0);
    let length = bits(n).max(bits(d)).saturating_sub(1).saturating_mul(size as u64);
    if degree > longest || (!is_single && monomials > MOST_TERMS as f64) || length > LONGEST_NUMBER {
        return None;
    }
    base.pow(exponent)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::parse;

    fn simple(text: &str) -> String {
        let budget = Budget::new(Duration::from_secs(5));
        parse(text).unwrap().simplify(&budget).map_or("none".to_string(), |value| value.to_string())
    }

    #[test]
    fn roots_are_reduced_and_denominators_freed() {
        assert_eq!(simple("1/(2 + sqrt(3))"), "-sqrt(3) + 2");
        assert_eq!(simple("(4 + sqrt(7))*(4 - sqrt(7))"), "9");
        assert_eq!(simple("sqrt(3 + 2*sqrt(2))"), "sqrt(2) + 1");
        assert_eq!(simple("sqrt(3 - 2*sqrt(2))"), "sqrt(2) - 1");
        assert_eq!(simple("sqrt(5 + 2*sqrt(6))"), simple("sqrt(2) + sqrt(3)"));
        assert_eq!(simple("1/(2^(1/3) - 1)"), simple("2^(2/3) + 2^(1/3) + 1"));
        assert_eq!(simple("sqrt(2)*sqrt(3) - sqrt(6)"), "0");
        assert_eq!(simple("abs(1 - sqrt(2))"), "sqrt(2) - 1");
        assert_eq!(simple("1/(sqrt(2) + sqrt(3) + sqrt(5)) - (2*sqrt(3) + 3*sqrt(2) - sqrt(30))/12"), "0");
    }

    #[test]
    fn parameters() {
        assert_eq!(simple("(x^2 - 9)/(x + 3)"), "x - 3");
        assert_eq!(simple("sqrt(a^2 - 2*a + 1)"), "abs(a - 1)");
        assert_eq!(simple("abs(m)^2 - m^2"), "0");
        assert_eq!(simple("2^(m + 1)/2^m"), "2");
        assert_eq!(simple("27^x/3^(3*x)"), "1");
        assert_eq!(simple("(x + 1)^100000"), "none");
        assert_eq!(simple("x^1000000000 - 1"), "none");
        assert_eq!(simple("x^3000*x"), "x^3001");
    }

    #[test]
    fn signs_are_rigorous() {
        let budget = Budget::new(Duration::from_secs(5));
        let sign = |text: &str| parse(text).unwrap().sign_of_constant(&budget);
        assert_eq!(sign("sqrt(2) + sqrt(3) - sqrt(5 + 2*sqrt(6))"), Some(0));
        assert_eq!(sign("pi - 355/113"), Some(-1));
        assert_eq!(sign("sqrt(-1)"), None);
        assert_eq!(sign("x"), None);
    }
}
