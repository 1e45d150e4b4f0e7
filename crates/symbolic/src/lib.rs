//! Exact mathematics: expressions over arbitrary-precision rationals and what one does with them.
//!
//! - [`Expr`]: real expressions, kept in canonical form, over [`Symbol`]s and [`Rational`] numbers.
//! - [`parse`] and [`parse_equation`] read the plain notation; `Display` writes it and [`Expr::to_latex`] LaTeX.
//! - [`Expr::differentiate`], [`Expr::substitute`] and [`Expr::expand`] are the calculus and the algebra.
//! - [`Expr::evaluate_exact`] and [`Expr::evaluate_f64`] give the value at one point.
//! - [`Program`] carries expressions into arrays of `f64`: compiled once, evaluated block by block.
//! - [`Polynomial`] and [`RationalFunction`] are the algebra of sparse polynomials in several variables: exact division,
//!   greatest common divisors, substitution, and the syntax of computer algebra systems.
//! - [`modular`] is linear algebra modulo word-size primes, and the way back to rational numbers.
//! - [`Polynomial::factor`], [`RationalFunction::partial_fractions`] and [`Expr::simplify`] take apart and tidy up;
//!   [`solve`] solves equations, inequalities and systems over the real numbers.
//! - [`formula`] reads LaTeX and plain text as it is written, and finds the values of its scalars.
//! - [`interval`] encloses real and complex values rigorously, to any number of digits.
//!
//! The inside: `canonical` is the only module that makes sums, products and powers, `function` the only one that
//! makes functions, and `assumption` knows about signs.

mod assumption;
mod calculus;
mod canonical;
mod evaluate;
mod expand;
mod expression;
mod factor;
pub mod formula;
mod function;
pub mod interval;
mod latex;
pub mod modular;
mod number;
mod parse;
mod partial_fractions;
mod polynomial;
mod print;
mod program;
mod rational_function;
mod simplify;
pub mod solve;
mod symbol;

pub use evaluate::EvaluateError;
pub use expression::Expr;
pub use factor::Factorisation;
pub use function::Function;
pub use number::Rational;
pub use parse::{ParseError, parse, parse_equation};
pub use polynomial::{NotPolynomial, Notation, Polynomial};
pub use program::{CompileError, Program};
pub use rational_function::RationalFunction;
pub use symbol::Symbol;
