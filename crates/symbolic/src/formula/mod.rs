//! Formulae as they are written: LaTeX or plain text in, a syntax tree out, and the values of its scalars.
//!
//! A [`Formula`] keeps what was written apart from what it means: `2/4` is not `1/2`, `\{1,1\}` has two elements, and
//! `1.50` knows its digits. [`Formula::read`] accepts the mathematics of school and competition answers in LaTeX and
//! in plain text, also mixed. What a scalar formula means is found in three ways: [`Formula::exact`] by rational
//! arithmetic, [`Formula::enclose`] by rigorous complex intervals, and [`Formula::to_expr`] as a canonical
//! real expression. All three, and reading, respect a [`Budget`].

mod budget;
mod read;
mod token;
mod value;

use std::collections::BTreeSet;

pub use budget::Budget;
pub use read::{ReadError, Reading};
pub use value::ValueError;

use crate::Rational;

/// The deepest nesting that is read.
pub const LARGEST_DEPTH: usize = 200;

/// A number as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeral {
    /// What it is worth.
    pub value: Rational,
    /// The digits as they stand, without separators.
    pub text: String,
    /// The number of digits after the decimal point; `None` without a point (and an exponent).
    pub decimals: Option<u32>,
}

/// How a term enters a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `±`
    PlusMinus,
    /// `∓`
    MinusPlus,
}

/// A constant with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedConstant {
    /// The circle's constant.
    Pi,
    /// The base of the natural logarithm.
    E,
    /// The imaginary unit.
    I,
    /// Infinity.
    Infinity,
}

/// An operation of a fixed number of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Exp,
    /// Natural without, of a base with a first argument.
    Log,
    SquareRoot,
    /// Degree, then radicand.
    Root,
    Absolute,
    Floor,
    Ceiling,
    Factorial,
    /// `n` over `k`.
    Binomial,
    Maximum,
    Minimum,
    GreatestCommonDivisor,
    LeastCommonMultiple,
}

/// A relation between two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Relation {
    Equal,
    Approximate,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    /// `x \to 3`
    Tends,
    /// `\equiv`
    Congruent,
}

impl Relation {
    /// What holds with the sides exchanged; `None` for relations between unlike things.
    pub fn mirrored(self) -> Option<Relation> {
        Some(match self {
            Relation::Less => Relation::Greater,
            Relation::Greater => Relation::Less,
            Relation::LessOrEqual => Relation::GreaterOrEqual,
            Relation::GreaterOrEqual => Relation::LessOrEqual,
            Relation::Equal | Relation::NotEqual | Relation::Approximate => self,
            Relation::In | Relation::Tends | Relation::Congruent => return None,
        })
    }

    /// What holds between both sides times a number of this sign: inequalities turn around where it is negative.
    pub fn times_sign(self, sign: i32) -> Relation {
        self.mirrored().filter(|_| sign < 0).unwrap_or(self)
    }
}

/// An operation on sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetOperation {
    Union,
    Intersection,
    Difference,
}

/// What separates the items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// A comma or a semicolon.
    Comma,
    /// The word "and".
    And,
    /// The word "or".
    Or,
}

/// A formula as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// A number.
    Number(Numeral),
    /// A whole number directly before a fraction, `3\frac12`: their sum.
    Mixed(Box<Formula>, Box<Formula>),
    /// A numeral with a base: its digits and the base.
    Based(String, u32),
    /// A named constant.
    Constant(NamedConstant),
    /// A letter, with its subscript: `x_1`, `alpha`.
    Symbol(String),
    /// Several letters in a row that are not a known name.
    Word(String),
    /// Text inside a formula: `\text{...}`.
    Text(String),
    /// Terms with their signs. A negative number is a sum of one term.
    Sum(Vec<(Sign, Formula)>),
    /// Factors.
    Product(Vec<Formula>),
    /// One over something, for `a / b`.
    Inverse(Box<Formula>),
    /// A fraction, `\frac{a}{b}`.
    Quotient(Box<Formula>, Box<Formula>),
    /// A power. That of a [`Word`](Formula::Word) is a unit's, or belongs to the last letter alone.
    Power(Box<Formula>, Box<Formula>),
    /// An operation with its arguments.
    Apply(Operation, Vec<Formula>),
    /// Something in percent.
    Percent(Box<Formula>),
    /// Something in degrees.
    Degrees(Box<Formula>),
    /// Something with a currency sign.
    Currency(String, Box<Formula>),
    /// Several things without brackets.
    List(Vec<Formula>, Separator),
    /// Several things, or none, in brackets; the brackets need not match: `[0, 1)`.
    Group(char, Vec<Formula>, char),
    /// A set with its elements written out.
    Set(Vec<Formula>),
    /// A set by its letter: `R` for the real numbers.
    NamedSet(char),
    /// The rows of a matrix.
    Matrix(Vec<Vec<Formula>>),
    /// `a < b <= c`: one more side than relations.
    Chain(Vec<Formula>, Vec<Relation>),
    /// Operands and the operations between them, from the left.
    Sets(Vec<Formula>, Vec<SetOperation>),
    /// `a : b : c`
    Ratio(Vec<Formula>),
}

impl Formula {
    /// All formulae directly inside this one.
    pub fn children(&self) -> Vec<&Formula> {
        match self {
            Formula::Number(_)
            | Formula::Based(..)
            | Formula::Constant(_)
            | Formula::Symbol(_)
            | Formula::Word(_)
            | Formula::Text(_)
            | Formula::NamedSet(_) => Vec::new(),
            Formula::Sum(terms) => terms.iter().map(|(_, term)| term).collect(),
            Formula::Inverse(inner)
            | Formula::Percent(inner)
            | Formula::Degrees(inner)
            | Formula::Currency(_, inner) => vec![inner],
            Formula::Mixed(left, right) | Formula::Quotient(left, right) | Formula::Power(left, right) => {
                vec![left, right]
            }
            Formula::Product(items)
            | Formula::Apply(_, items)
            | Formula::List(items, _)
            | Formula::Group(_, items, _)
            | Formula::Set(items)
            | Formula::Chain(items, _)
            | Formula::Sets(items, _)
            | Formula::Ratio(items) => items.iter().collect(),
            Formula::Matrix(rows) => rows.iter().flatten().collect(),
        }
    }

    /// This with its children replaced, one by one.
    fn map(&self, replace: &mut impl FnMut(&Formula) -> Formula) -> Formula {
        let mut boxed = |inner: &Formula| Box::new(replace(inner));
        match self {
            Formula::Mixed(left, right) => Formula::Mixed(boxed(left), boxed(right)),
            Formula::Quotient(left, right) => Formula::Quotient(boxed(left), boxed(right)),
            Formula::Power(left, right) => Formula::Power(boxed(left), boxed(right)),
            Formula::Inverse(inner) => Formula::Inverse(boxed(inner)),
            Formula::Percent(inner) => Formula::Percent(boxed(inner)),
            Formula::Degrees(inner) => Formula::Degrees(boxed(inner)),
            Formula::Currency(sign, inner) => Formula::Currency(sign.clone(), boxed(inner)),
            Formula::Sum(terms) => {
                Formula::Sum(terms.iter().map(|(sign, term)| (*sign, replace(term))).collect())
            }
            Formula::Product(items) => Formula::Product(items.iter().map(replace).collect()),
            Formula::Apply(operation, items) => {
                Formula::Apply(*operation, items.iter().map(replace).collect())
            }
            Formula::List(items, separator) => Formula::List(items.iter().map(replace).collect(), *separator),
            Formula::Group(open, items, close) => {
                Formula::Group(*open, items.iter().map(replace).collect(), *close)
            }
            Formula::Set(items) => Formula::Set(items.iter().map(replace).collect()),
            Formula::Chain(items, relations) => {
                Formula::Chain(items.iter().map(replace).collect(), relations.clone())
            }
            Formula::Sets(items, operations) => {
                Formula::Sets(items.iter().map(replace).collect(), operations.clone())
            }
            Formula::Ratio(items) => Formula::Ratio(items.iter().map(replace).collect()),
            Formula::Matrix(rows) => {
                Formula::Matrix(rows.iter().map(|row| row.iter().map(&mut *replace).collect()).collect())
            }
            leaf => leaf.clone(),
        }
    }

    /// The letters of a word as a product of symbols.
    pub(crate) fn product_of_letters(word: &str) -> Formula {
        Formula::Product(word.chars().map(|letter| Formula::Symbol(letter.to_string())).collect())
    }

    /// What `ax^2` means where it is a product: a power of bare letters belongs to the last one. It is read as the power of the
    /// word because `cm^2` is one.
    fn power_of_last_letter(base: &Formula, exponent: &Formula) -> Option<Formula> {
        let Formula::Word(word) = base else { return None };
        let Formula::Product(mut letters) = Formula::product_of_letters(word) else { return None };
        let last = letters.pop()?;
        letters.push(Formula::Power(Box::new(last), Box::new(exponent.clone())));
        Some(Formula::Product(letters))
    }

    /// This with every part for which `replacement` has something else replaced by it, from the outside in.
    pub fn replace(&self, replacement: &impl Fn(&Formula) -> Option<Formula>) -> Formula {
        replacement(self).unwrap_or_else(|| self.map(&mut |child| child.replace(replacement)))
    }

    /// The names of the symbols that occur; letters of words count one by one.
    pub fn symbols(&self) -> BTreeSet<String> {
        fn collect(formula: &Formula, symbols: &mut BTreeSet<String>) {
            match formula {
                Formula::Symbol(name) => {
                    symbols.insert(name.clone());
                }
                Formula::Word(word) => symbols.extend(word.chars().map(String::from)),
                _ => formula.children().into_iter().for_each(|child| collect(child, symbols)),
            }
        }
        let mut symbols = BTreeSet::new();
        collect(self, &mut symbols);
        symbols
    }

    /// Whether something inside, or this, fulfils a condition.
    pub fn any(&self, condition: &impl Fn(&Formula) -> bool) -> bool {
        condition(self) || self.children().into_iter().any(|child| child.any(condition))
    }

    /// The one or two formulae that `±` stands for: first with the upper, then with the lower signs.
    pub fn sign_choices(&self) -> Vec<Formula> {
        fn choose(formula: &Formula, upper: bool) -> Formula {
            let chosen = formula.map(&mut |child| choose(child, upper));
            match chosen {
                Formula::Sum(terms) => Formula::Sum(
                    terms
                        .into_iter()
                        .map(|(sign, term)| {
                            let sign = match (sign, upper) {
                                (Sign::PlusMinus, true) | (Sign::MinusPlus, false) => Sign::Plus,
                                (Sign::PlusMinus, false) | (Sign::MinusPlus, true) => Sign::Minus,
                                (sign, _) => sign,
                            };
                            (sign, term)
                        })
                        .collect(),
                ),
                other => other,
            }
        }
        let is_double = |formula: &Formula| match formula {
            Formula::Sum(terms) => {
                terms.iter().any(|(sign, _)| matches!(sign, Sign::PlusMinus | Sign::MinusPlus))
            }
            _ => false,
        };
        if self.any(&is_double) { vec![choose(self, true), choose(self, false)] } else { vec![self.clone()] }
    }
}
