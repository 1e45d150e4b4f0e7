//! Writing polynomials: the plain notation of expressions, LaTeX, and the input syntax of computer algebra systems.

use std::fmt;

use super::Polynomial;
use crate::{Expr, Rational, Symbol};

/// How a polynomial is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `2*x_1^2 - y/3`, which [`parse`](crate::parse) reads.
    Plain,
    /// `2 x_{1}^{2} - \frac{1}{3} y`, for mathematics mode.
    Latex,
    /// Macaulay2, where a name with numbers behind underscores is an indexed variable: `s_1_2` is written `s_(1,2)`.
    Macaulay2,
    /// Singular; the same names are written `s(1)(2)`.
    Singular,
}

impl Notation {
    /// A variable's name as this notation writes it.
    ///
    /// Names that a computer algebra system cannot read lose the characters that are not ASCII letters or digits.
    pub fn name(self, symbol: &Symbol) -> String {
        match self {
            Notation::Plain => symbol.name().to_string(),
            Notation::Latex => Expr::symbol(symbol).to_latex(),
            Notation::Macaulay2 | Notation::Singular => {
                let mut parts = symbol.name().split('_');
                let base: String =
                    parts.next().unwrap_or("").chars().filter(char::is_ascii_alphanumeric).collect();
                let indices: Vec<&str> = parts.collect();
                let are_numbers =
                    indices.iter().all(|i| !i.is_empty() && i.chars().all(|c| c.is_ascii_digit()));
                if indices.is_empty() {
                    base
                } else if !are_numbers {
                    symbol.name().chars().filter(char::is_ascii_alphanumeric).collect()
                } else if self == Notation::Singular {
                    format!("{base}({})", indices.join(")("))
                } else if let [index] = indices.as_slice() {
                    format!("{base}_{index}")
                } else {
                    format!("{base}_({})", indices.join(","))
                }
            }
        }
    }

    fn power(self, name: &str, exponent: u32) -> String {
        match self {
            _ if exponent == 1 => name.to_string(),
            Notation::Latex => format!("{name}^{{{exponent}}}"),
            _ => format!("{name}^{exponent}"),
        }
    }

    fn number(self, value: &Rational) -> String {
        if self == Notation::Latex && !value.is_integer() {
            format!("\\frac{{{}}}{{{}}}", value.numerator(), value.denominator())
        } else {
            value.to_string()
        }
    }
}

impl Polynomial {
    /// This in a notation, terms in falling graded lexicographic order.
    pub fn write(&self, notation: Notation) -> String {
        if self.is_zero() {
            return "0".to_string();
        }
        let names: Vec<String> = self.variables.iter().map(|v| notation.name(v)).collect();
        let mut text = String::new();
        for (index, (exponents, coefficient)) in self.terms().enumerate() {
            text += match (index, coefficient.is_negative()) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            let magnitude = coefficient.abs();
            let mut factors: Vec<String> = names
                .iter()
                .zip(exponents)
                .filter(|(_, exponent)| **exponent > 0)
                .map(|(name, exponent)| notation.power(name, *exponent))
                .collect();
            if factors.is_empty() || !magnitude.is_one() {
                factors.insert(0, notation.number(&magnitude));
            }
            text += &factors.join(if notation == Notation::Latex { " " } else { "*" });
        }
        text
    }

    /// This in LaTeX, for mathematics mode.
    pub fn to_latex(&self) -> String {
        self.write(Notation::Latex)
    }
}

impl fmt::Display for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(Notation::Plain))
    }
}

impl fmt::Debug for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
