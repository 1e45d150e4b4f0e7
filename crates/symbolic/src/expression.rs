//! The expression tree: what an expression can be, when two are equal, and how they are ordered.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::Arc;

use num_bigint::BigInt;

use crate::canonical::{power, product, sum};
use crate::print::written_terms;
use crate::{Function, Rational, Symbol};

/// An exact real expression in canonical form.
///
/// Every way of building one (operators, functions, [`parse`](crate::parse)) brings it into canonical form by steps
/// that hold for all real values of its symbols wherever both sides are defined, so expressions that these steps make
/// alike are equal in the sense of `==`: `x + x == 2*x`. Symbols stand for real numbers. Clones share the tree.
#[derive(Clone)]
pub struct Expr(Arc<Node>);

struct Node {
    hash: u64,
    kind: Kind,
}

/// What an expression is. The invariants are kept by the `canonical` and `function` modules.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Number(Rational),
    Constant(Constant),
    Symbol(Symbol),
    /// A power that is neither a number nor a product; `exp(x)` is the power `e^x`.
    Power(Expr, Expr),
    /// A function other than `exp` and `sqrt`, which are powers.
    Function(Function, Expr),
    /// `coefficient * Π base^exponent`, sorted, with a coefficient other than one or at least two factors. Sums among
    /// the bases of integer powers have content one and a positive leading coefficient.
    Product(Rational, Vec<(Expr, Expr)>),
    /// `constant + Σ coefficient * term`, sorted by term; no term has a coefficient of its own.
    Sum(Rational, Vec<(Expr, Rational)>),
    /// No value at all: `1/0`, and whatever contains it.
    Undefined,
}

/// The constants that are not rational.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Constant {
    E,
    Pi,
}

impl Constant {
    pub(crate) fn value(self) -> f64 {
        match self {
            Constant::E => std::f64::consts::E,
            Constant::Pi => std::f64::consts::PI,
        }
    }
}

impl Expr {
    pub(crate) fn from_kind(kind: Kind) -> Self {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        Expr(Arc::new(Node { hash: hasher.finish(), kind }))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The address of the shared tree, the same for all clones while one of them lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// An integer.
    pub fn integer(value: impl Into<BigInt>) -> Self {
        Self::number(Rational::integer(value))
    }

    /// `numerator / denominator`; undefined if the denominator is zero.
    pub fn rational(numerator: impl Into<BigInt>, denominator: impl Into<BigInt>) -> Self {
        Rational::new(numerator, denominator).map_or_else(Self::undefined, Self::number)
    }

    /// A rational number.
    pub fn number(value: Rational) -> Self {
        Self::from_kind(Kind::Number(value))
    }

    /// A symbol.
    pub fn symbol(symbol: impl Into<Symbol>) -> Self {
        Self::from_kind(Kind::Symbol(symbol.into()))
    }

    /// The circle's constant.
    pub fn pi() -> Self {
        Self::from_kind(Kind::Constant(Constant::Pi))
    }

    /// The base of the natural logarithm.
    pub fn e() -> Self {
        Self::from_kind(Kind::Constant(Constant::E))
    }

    /// The expression without a value, such as `1/0`; whatever contains it equals it, and it evaluates to NaN.
    pub fn undefined() -> Self {
        Self::from_kind(Kind::Undefined)
    }

    pub(crate) fn zero() -> Self {
        Self::number(Rational::ZERO)
    }

    pub(crate) fn one() -> Self {
        Self::number(Rational::ONE)
    }

    /// The value, if this is a rational number.
    pub fn as_number(&self) -> Option<&Rational> {
        match self.kind() {
            Kind::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The symbol, if this is one.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match self.kind() {
            Kind::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    /// Whether this is the number zero. An expression that vanishes identically need not be: see [`Expr::expand`].
    pub fn is_zero(&self) -> bool {
        self.as_number().is_some_and(Rational::is_zero)
    }

    /// Whether this has no value; see [`Expr::undefined`].
    pub fn is_undefined(&self) -> bool {
        matches!(self.kind(), Kind::Undefined)
    }

    pub(crate) fn is_one(&self) -> bool {
        self.as_number().is_some_and(Rational::is_one)
    }

    /// This to the power of `exponent`.
    pub fn pow(&self, exponent: impl Into<Expr>) -> Self {
        power(self, &exponent.into())
    }

    /// The sum of all `terms`; faster than adding one by one.
    pub fn sum(terms: impl IntoIterator<Item = Expr>) -> Self {
        sum(terms)
    }

    /// The product of all `factors`; faster than multiplying one by one.
    pub fn product(factors: impl IntoIterator<Item = Expr>) -> Self {
        product(factors)
    }

    /// The square root.
    pub fn sqrt(&self) -> Self {
        power(self, &Expr::number(Rational::half()))
    }

    /// The exponential function.
    pub fn exp(&self) -> Self {
        power(&Expr::e(), self)
    }

    /// The summands of a sum; of anything else, this alone.
    pub fn terms(&self) -> Vec<Expr> {
        match self.kind() {
            Kind::Sum(constant, terms) => written_terms(constant, terms),
            _ => vec![self.clone()],
        }
    }

    /// All expressions directly inside this one, exponents of one included.
    pub(crate) fn for_each_child(&self, mut visit: impl FnMut(&Expr)) {
        match self.kind() {
            Kind::Number(_) | Kind::Constant(_) | Kind::Symbol(_) | Kind::Undefined => {}
            Kind::Power(base, exponent) => {
                visit(base);
                visit(exponent);
            }
            Kind::Function(_, argument) => visit(argument),
            Kind::Product(_, factors) => factors.iter().for_each(|(base, exponent)| {
                visit(base);
                visit(exponent);
            }),
            Kind::Sum(_, terms) => terms.iter().for_each(|(term, _)| visit(term)),
        }
    }

    /// The symbols that occur. Constants are not symbols.
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        fn collect(expression: &Expr, seen: &mut HashSet<usize>, symbols: &mut BTreeSet<Symbol>) {
            if let Kind::Symbol(symbol) = expression.kind() {
                symbols.insert(symbol.clone());
            } else if Arc::strong_count(&expression.0) == 1 || seen.insert(expression.address()) {
                expression.for_each_child(|child| collect(child, seen, symbols));
            }
        }
        let mut symbols = BTreeSet::new();
        collect(self, &mut HashSet::new(), &mut symbols);
        symbols
    }

    /// This with every symbol of `replacements` replaced, all at once: replacements are not searched again.
    pub fn substitute(&self, replacements: &BTreeMap<Symbol, Expr>) -> Self {
        self.rebuild(&mut HashMap::new(), &|leaf| match leaf.kind() {
            Kind::Symbol(symbol) => replacements.get(symbol).cloned(),
            _ => None,
        })
    }

    /// This with its leaves replaced and everything above them brought into canonical form again.
    fn rebuild(&self, known: &mut HashMap<usize, Expr>, replace: &impl Fn(&Expr) -> Option<Expr>) -> Self {
        if let Some(result) = known.get(&self.address()) {
            return result.clone();
        }
        let result = match self.kind() {
            Kind::Number(_) | Kind::Constant(_) | Kind::Symbol(_) | Kind::Undefined => {
                return replace(self).unwrap_or_else(|| self.clone());
            }
            Kind::Power(base, exponent) => {
                power(&base.rebuild(known, replace), &exponent.rebuild(known, replace))
            }
            Kind::Function(function, argument) => function.apply(&argument.rebuild(known, replace)),
            Kind::Product(coefficient, factors) => {
                product(std::iter::once(Expr::number(coefficient.clone())).chain(factors.iter().map(
                    |(base, exponent)| {
                        power(&base.rebuild(known, replace), &exponent.rebuild(known, replace))
                    },
                )))
            }
            Kind::Sum(constant, terms) => sum(std::iter::once(Expr::number(constant.clone()))
                .chain(terms.iter().map(|(term, c)| term.rebuild(known, replace) * Expr::number(c.clone())))),
        };
        known.insert(self.address(), result.clone());
        result
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.kind == other.0.kind)
    }
}

impl Eq for Expr {}

impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for Expr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A total order that depends on the structure alone, not on when or where an expression was built.
impl Ord for Expr {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.kind.cmp(&other.0.kind) }
    }
}

impl From<&str> for Symbol {
    fn from(name: &str) -> Self {
        Symbol::new(name)
    }
}

impl From<&Symbol> for Symbol {
    fn from(symbol: &Symbol) -> Self {
        symbol.clone()
    }
}

impl From<i32> for Expr {
    fn from(value: i32) -> Self {
        Expr::number(value.into())
    }
}

impl From<i64> for Expr {
    fn from(value: i64) -> Self {
        Expr::number(value.into())
    }
}

impl From<Rational> for Expr {
    fn from(value: Rational) -> Self {
        Expr::number(value)
    }
}

impl From<Symbol> for Expr {
    fn from(symbol: Symbol) -> Self {
        Expr::symbol(symbol)
    }
}

impl From<&Symbol> for Expr {
    fn from(symbol: &Symbol) -> Self {
        Expr::symbol(symbol)
    }
}

impl From<&Expr> for Expr {
    fn from(expression: &Expr) -> Self {
        expression.clone()
    }
}

impl Neg for &Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        product([Expr::integer(-1), self.clone()])
    }
}

impl Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        -&self
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, |$left:ident, $right:ident| $result:expr) => {
        impl<T: Into<Expr>> $trait<T> for Expr {
            type Output = Expr;

            fn $method(self, right: T) -> Expr {
                let ($left, $right) = (self, right.into());
                $result
            }
        }

        impl<T: Into<Expr>> $trait<T> for &Expr {
            type Output = Expr;

            fn $method(self, right: T) -> Expr {
                self.clone().$method(right)
            }
        }
    };
}

operator!(Add, add, |left, right| sum([left, right]));
operator!(Sub, sub, |left, right| sum([left, -right]));
operator!(Mul, mul, |left, right| product([left, right]));
operator!(Div, div, |left, right| product([left, power(&right, &Expr::integer(-1))]));
