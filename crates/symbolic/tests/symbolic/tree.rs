//! The reference: plain trees that know nothing of canonical form.

use std::collections::BTreeMap;

use mathesis_symbolic::{Expr, Function, Rational, Symbol};
use num_bigint::BigInt;
use num_rational::Ratio;
use proptest::prelude::*;

pub const NAMES: [&str; 3] = ["x", "y", "u_xx"];

pub type Exact = Ratio<BigInt>;

#[derive(Clone, Debug)]
pub enum Tree {
    Number(i64, i64),
    Pi,
    Symbol(usize),
    Add(Vec<Tree>),
    Subtract(Box<Tree>, Box<Tree>),
    Multiply(Vec<Tree>),
    Divide(Box<Tree>, Box<Tree>),
    Negate(Box<Tree>),
    Power(Box<Tree>, (i64, i64)),
    Exp(Box<Tree>),
    Function(Function, Box<Tree>),
}

use Tree::{Add, Divide, Exp, Multiply, Negate, Number, Pi, Power, Subtract};

impl Tree {
    pub fn build(&self) -> Expr {
        match self {
            Number(n, d) => Expr::rational(*n, *d),
            Pi => Expr::pi(),
            Tree::Symbol(k) => Expr::symbol(NAMES[*k]),
            // One by one, where parsing takes all at once.
            Add(terms) => terms.iter().map(Tree::build).reduce(|a, b| a + b).unwrap(),
            Subtract(a, b) => a.build() - b.build(),
            Multiply(factors) => factors.iter().map(Tree::build).reduce(|a, b| a * b).unwrap(),
            Divide(a, b) => a.build() / b.build(),
            Negate(a) => -a.build(),
            Power(a, (n, d)) => a.build().pow(Expr::rational(*n, *d)),
            Exp(a) => a.build().exp(),
            Tree::Function(f, a) => f.apply(&a.build()),
        }
    }

    pub fn text(&self) -> String {
        let joined = |parts: &[Tree], operator: &str| {
            let parts: Vec<String> = parts.iter().map(Tree::text).collect();
            format!("({})", parts.join(operator))
        };
        match self {
            Number(n, d) => format!("({n}/{d})"),
            Pi => "π".to_string(),
            Tree::Symbol(k) => NAMES[*k].to_string(),
            Add(terms) => joined(terms, " + "),
            Subtract(a, b) => format!("({} − {})", a.text(), b.text()),
            Multiply(factors) => joined(factors, "·"),
            Divide(a, b) => format!("({}/{})", a.text(), b.text()),
            Negate(a) => format!("(-{})", a.text()),
            Power(a, (1, 2)) => format!("sqrt({})", a.text()),
            Power(a, (2, 1)) => format!("({})²", a.text()),
            Power(a, (n, d)) => format!("({})^({n}/{d})", a.text()),
            Exp(a) => format!("exp({})", a.text()),
            Tree::Function(f, a) => format!("{f}({})", a.text()),
        }
    }

    /// The value by rational arithmetic, if it is defined and found that way.
    pub fn exact(&self, point: &[Exact; 3]) -> Option<Exact> {
        let zero = Exact::from_integer(0.into());
        Some(match self {
            Number(n, d) => Exact::new((*n).into(), (*d).into()),
            Tree::Symbol(k) => point[*k].clone(),
            Add(terms) => terms.iter().map(|t| t.exact(point)).sum::<Option<Exact>>()?,
            Subtract(a, b) => a.exact(point)? - b.exact(point)?,
            Multiply(factors) => factors.iter().map(|t| t.exact(point)).product::<Option<Exact>>()?,
            Divide(a, b) => {
                let below = b.exact(point)?;
                if below == zero {
                    return None;
                }
                a.exact(point)? / below
            }
            Negate(a) => -a.exact(point)?,
            Power(a, (n, 1)) => {
                let base = a.exact(point)?;
                if *n < 0 && base == zero {
                    return None;
                }
                base.pow(*n as i32)
            }
            Tree::Function(Function::Abs, a) => {
                let value = a.exact(point)?;
                if value < zero { -value } else { value }
            }
            Tree::Function(Function::Sign, a) => {
                let value = a.exact(point)?;
                Exact::from_integer((i32::from(value > zero) - i32::from(value < zero)).into())
            }
            Pi | Power(..) | Exp(_) | Tree::Function(..) => return None,
        })
    }

    /// The value in floating point, and the largest size that came up on the way.
    pub fn float(&self, point: &[f64; 3]) -> (f64, f64) {
        let unary = |a: &Tree, f: &dyn Fn(f64) -> f64| {
            let (value, largest) = a.float(point);
            (f(value), largest)
        };
        let fold = |parts: &[Tree], f: &dyn Fn(f64, f64) -> f64| {
            parts
                .iter()
                .map(|part| part.float(point))
                .reduce(|(a, m), (b, n)| (f(a, b), m.max(n).max(f(a, b).abs())))
                .unwrap()
        };
        let binary = |a: &Tree, b: &Tree, f: &dyn Fn(f64, f64) -> f64| {
            let ((a, m), (b, n)) = (a.float(point), b.float(point));
            (f(a, b), m.max(n))
        };
        let (value, largest) = match self {
            Number(n, d) => (*n as f64 / *d as f64, 1.0),
            Pi => (std::f64::consts::PI, 1.0),
            Tree::Symbol(k) => (point[*k], 1.0),
            Add(terms) => fold(terms, &|a, b| a + b),
            Subtract(a, b) => binary(a, b, &|a, b| a - b),
            Multiply(factors) => fold(factors, &|a, b| a * b),
            Divide(a, b) => {
                let (value, largest) = binary(a, b, &|a, b| a / b);
                (value, largest.max(1.0 / b.float(point).0.abs()))
            }
            Negate(a) => unary(a, &|a| -a),
            Power(a, (n, 1)) => {
                let (value, largest) = unary(a, &|a| a.powi(*n as i32));
                (value, if *n < 0 { largest.max(1.0 / a.float(point).0.abs()) } else { largest })
            }
            // Roots and inverse functions lose half the digits at the edge of their domains.
            Power(a, (n, d)) => {
                let (value, largest) = unary(a, &|a| a.powf(*n as f64 / *d as f64));
                (value, largest.max(1.0 / a.float(point).0.abs()))
            }
            Exp(a) => unary(a, &f64::exp),
            Tree::Function(f, a) => {
                let (value, largest) = unary(a, &|a| f.value(a));
                let x = a.float(point).0;
                let edge = match f {
                    Function::Asin | Function::Acos => 1.0 / (1.0 - x.abs()).abs(),
                    Function::Log => 1.0 / x.abs(),
                    _ => 0.0,
                };
                (value, largest.max(edge))
            }
        };
        (value, if value.is_nan() { f64::INFINITY } else { largest.max(value.abs()) })
    }
}

/// The difference that rounding can explain where intermediate values are up to `largest`, or `None` if the
/// comparison would say nothing.
pub fn tolerance(largest: f64) -> Option<f64> {
    (largest < 1e4).then(|| 1e-12 * largest.powi(2).max(1.0))
}

fn leaves() -> BoxedStrategy<Tree> {
    prop_oneof![
        3 => (0..3usize).prop_map(Tree::Symbol),
        2 => (-6..=6i64, 1..=4i64).prop_map(|(n, d)| Number(n, d)),
    ]
    .boxed()
}

fn arithmetic(inner: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    let boxed = inner.clone().prop_map(Box::new);
    prop_oneof![
        3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Add),
        3 => proptest::collection::vec(inner, 2..4).prop_map(Multiply),
        1 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Subtract(a, b)),
        1 => boxed.clone().prop_map(Negate),
        1 => (boxed, 0..=3i64).prop_map(|(a, n)| Power(a, (n, 1))),
    ]
    .boxed()
}

fn rational(inner: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    let boxed = inner.clone().prop_map(Box::new);
    prop_oneof![
        6 => arithmetic(inner),
        1 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Divide(a, b)),
        1 => (boxed.clone(), -3..=3i64).prop_map(|(a, n)| Power(a, (n, 1))),
        1 => boxed.clone().prop_map(|a| Tree::Function(Function::Abs, a)),
        1 => boxed.prop_map(|a| Tree::Function(Function::Sign, a)),
    ]
    .boxed()
}

/// Polynomials in the three symbols.
pub fn polynomials() -> BoxedStrategy<Tree> {
    leaves().prop_recursive(3, 16, 3, |inner| arithmetic(inner.boxed())).boxed()
}

/// What rational arithmetic can evaluate.
pub fn rational_trees() -> BoxedStrategy<Tree> {
    leaves().prop_recursive(4, 24, 3, |inner| rational(inner.boxed())).boxed()
}

/// Expressions with elementary functions, without jumps.
pub fn elementary_trees() -> BoxedStrategy<Tree> {
    let leaves = prop_oneof![8 => leaves(), 1 => Just(Pi)];
    leaves
        .prop_recursive(4, 24, 3, |inner| {
            let boxed = inner.clone().prop_map(Box::new).boxed();
            let functions = Function::ALL.into_iter().filter(|f| *f != Function::Sign).collect::<Vec<_>>();
            let exponents = vec![(1, 2), (-1, 2), (1, 3), (2, 3), (3, 2), (-2, 3), (2, 1), (-1, 1)];
            prop_oneof![
                4 => arithmetic(inner.boxed()),
                1 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Divide(a, b)),
                1 => (boxed.clone(), proptest::sample::select(exponents)).prop_map(|(a, e)| Power(a, e)),
                1 => boxed.clone().prop_map(Exp),
                3 => (proptest::sample::select(functions), boxed).prop_map(|(f, a)| Tree::Function(f, a)),
            ]
        })
        .boxed()
}

pub fn exact_point() -> impl Strategy<Value = [Exact; 3]> {
    proptest::array::uniform3((-20..=20i64, 1..=9i64).prop_map(|(n, d)| Exact::new(n.into(), d.into())))
}

pub fn float_point() -> impl Strategy<Value = [f64; 3]> {
    proptest::array::uniform3((-3000..3000i32).prop_map(|n| f64::from(n) / 1024.0 + 1e-4))
}

pub fn symbols() -> Vec<Symbol> {
    NAMES.iter().map(|name| Symbol::new(name)).collect()
}

pub fn rationals(point: &[Exact; 3]) -> BTreeMap<Symbol, Rational> {
    let values = point.iter().map(|v| Rational::new(v.numer().clone(), v.denom().clone()).unwrap());
    symbols().into_iter().zip(values).collect()
}

pub fn floats(point: &[f64; 3]) -> BTreeMap<Symbol, f64> {
    symbols().into_iter().zip(point.iter().copied()).collect()
}

pub fn to_exact(value: &Rational) -> Exact {
    Exact::new(value.numerator(), value.denominator())
}
