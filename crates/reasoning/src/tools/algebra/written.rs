//! An expression as the benchmark's parser builds it: binary, unevaluated, and whether evaluation would change it.
//!
//! The benchmark parses with sympy's LaTeX grammar, which makes sums and products of two operands and leaves them as they
//! stand, except that a sign in front is multiplied in. Its tools then compare the parsed tree with the result, which is
//! evaluated: flat, sorted, like terms collected. So `x^2-3x` counts as changed by expansion (−(3x) is a product inside a
//! product) and `x^2+3x` does not. The rules below are those of sympy 1.12, from its documentation and behaviour.

use std::cmp::Ordering;

use mathesis_symbolic::formula::{Formula, NamedConstant, Operation, Sign};
use mathesis_symbolic::{Factorisation, Polynomial, Rational};

/// A tree that may not be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    Number(Rational),
    Symbol(String),
    Power(Box<Written>, Box<Written>),
    Product(Vec<Written>),
    Sum(Vec<Written>),
    /// A function with its name.
    Function(String, Vec<Written>),
}

use Written::{Function, Number, Power, Product, Sum, Symbol};

fn integer(value: i64) -> Written {
    Number(Rational::from(value))
}

impl Written {
    /// What the parser makes of a formula.
    pub(super) fn of(formula: &Formula) -> Written {
        match formula {
            Formula::Number(number) => Number(number.value.clone()),
            Formula::Symbol(name) => Symbol(name.clone()),
            Formula::Word(word) => nested(word.chars().map(|letter| Symbol(letter.to_string())).collect()),
            Formula::Constant(NamedConstant::Pi) => Symbol("pi".to_string()),
            Formula::Sum(terms) => {
                let mut result: Option<Written> = None;
                for (sign, term) in terms {
                    let term = Written::of(term);
                    result = Some(match (result, sign) {
                        (None, Sign::Minus) => negated(term),
                        (None, _) => term,
                        (Some(sum), Sign::Minus) => match term {
                            Number(value) => Sum(vec![sum, Number(-&value)]),
                            term => Sum(vec![sum, Product(vec![integer(-1), term])]),
                        },
                        (Some(sum), _) => Sum(vec![sum, term]),
                    });
                }
                result.unwrap_or_else(|| integer(0))
            }
            Formula::Product(factors) if factors.iter().any(|f| matches!(f, Formula::Inverse(_))) => {
                let mut parts = factors.iter().map(Written::of);
                let first = parts.next().unwrap_or_else(|| integer(1));
                parts.fold(first, |product, factor| Product(vec![product, factor]))
            }
            Formula::Product(factors) => nested(factors.iter().map(Written::of).collect()),
            Formula::Inverse(inner) => Power(Box::new(Written::of(inner)), Box::new(integer(-1))),
            Formula::Quotient(above, below) => {
                let inverse = Power(Box::new(Written::of(below)), Box::new(integer(-1)));
                match Written::of(above) {
                    Number(value) if value.is_one() => inverse,
                    above => Product(vec![above, inverse]),
                }
            }
            Formula::Power(base, exponent) => {
                Power(Box::new(Written::of(base)), Box::new(Written::of(exponent)))
            }
            Formula::Apply(Operation::SquareRoot, arguments) if arguments.len() == 1 => {
                let half = Rational::new(1, 2).map_or_else(|| integer(0), Number);
                Power(Box::new(Written::of(&arguments[0])), Box::new(half))
            }
            Formula::Apply(operation, arguments) => {
                Function(format!("{operation:?}"), arguments.iter().map(Written::of).collect())
            }
            other => Function("?".to_string(), other.children().into_iter().map(Written::of).collect()),
        }
    }

    /// The evaluated tree of a factored polynomial.
    pub(super) fn of_factors(factorisation: &Factorisation) -> Written {
        let mut factors: Vec<Written> = factorisation
            .factors
            .iter()
            .map(|(factor, count)| match count {
                1 => Written::of_polynomial(factor),
                _ => Power(Box::new(Written::of_polynomial(factor)), Box::new(integer(i64::from(*count)))),
            })
            .collect();
        factors.sort_by(compare);
        let content = &factorisation.content;
        if let ([_], [(factor, 1)]) = (factors.as_slice(), factorisation.factors.as_slice())
            && (content.is_one() || (-content).is_one())
        {
            return Written::of_polynomial(&factor.scale(content));
        }
        if !content.is_one() || factors.is_empty() {
            factors.insert(0, Number(content.clone()));
        }
        if factors.len() == 1 { factors.remove(0) } else { Product(factors) }
    }

    fn of_polynomial(polynomial: &Polynomial) -> Written {
        let mut terms: Vec<Written> = polynomial
            .terms()
            .map(|(exponents, coefficient)| {
                let powers = polynomial.variables().iter().zip(exponents).filter(|(_, e)| **e > 0);
                let mut factors: Vec<Written> = powers
                    .map(|(variable, exponent)| {
                        let symbol = Symbol(variable.name().to_string());
                        match exponent {
                            1 => symbol,
                            _ => Power(Box::new(symbol), Box::new(integer(i64::from(*exponent)))),
                        }
                    })
                    .collect();
                factors.sort_by(compare);
                if !coefficient.is_one() || factors.is_empty() {
                    factors.insert(0, Number(coefficient.clone()));
                }
                if factors.len() == 1 { factors.remove(0) } else { Product(factors) }
            })
            .collect();
        terms.sort_by(compare);
        if terms.len() == 1 { terms.remove(0) } else { Sum(terms) }
    }

    fn children(&self) -> Vec<&Written> {
        match self {
            Number(_) | Symbol(_) => Vec::new(),
            Power(base, exponent) => vec![base, exponent],
            Product(parts) | Sum(parts) | Function(_, parts) => parts.iter().collect(),
        }
    }

    /// Whether evaluating this node alone, its parts being what they are, gives the same node.
    fn is_evaluated_here(&self) -> bool {
        let is_sorted =
            |parts: &[Written]| parts.windows(2).all(|pair| compare(&pair[0], &pair[1]) == Ordering::Less);
        match self {
            Number(_) | Symbol(_) | Function(..) => true,
            Power(base, exponent) => {
                let is_integer = matches!(exponent.as_ref(), Number(e) if e.is_integer());
                let is_trivial = matches!(exponent.as_ref(), Number(e) if e.is_zero() || e.is_one());
                let is_combined = matches!(base.as_ref(), Number(_) | Power(..) | Product(_));
                !(is_trivial || is_integer && is_combined)
            }
            Product(parts) => {
                let numbers = parts.iter().filter(|part| matches!(part, Number(_))).count();
                let leading = match &parts[0] {
                    Number(value) => !value.is_one() && !value.is_zero(),
                    _ => numbers == 0,
                };
                let bases: Vec<&Written> = parts.iter().map(Written::base).collect();
                let are_distinct = (0..bases.len()).all(|k| !bases[..k].contains(&bases[k]));
                numbers <= 1
                    && leading
                    && are_distinct
                    && is_sorted(parts)
                    && !parts.iter().any(|part| matches!(part, Product(_)))
            }
            Sum(parts) => {
                let numbers = parts.iter().filter(|part| matches!(part, Number(_))).count();
                let terms: Vec<Written> = parts.iter().map(Written::without_coefficient).collect();
                let are_distinct = (0..terms.len()).all(|k| !terms[..k].contains(&terms[k]));
                numbers <= 1
                    && are_distinct
                    && is_sorted(parts)
                    && !parts.iter().any(|part| matches!(part, Sum(_)))
            }
        }
    }

    /// Whether the whole tree is as evaluation would leave it.
    pub(super) fn is_evaluated(&self) -> bool {
        self.is_evaluated_here() && self.children().into_iter().all(Written::is_evaluated)
    }

    /// Whether expansion changes some product or power; sums are not looked at for themselves.
    pub(super) fn is_changed_by_expansion(&self) -> bool {
        let here = match self {
            Product(parts) => {
                // Numerator and denominator are made anew.
                let is_made_anew = |part: &Written| matches!(part, Power(..)) && !part.is_evaluated_here();
                !self.is_evaluated_here() || parts.iter().any(|p| matches!(p, Sum(_)) || is_made_anew(p))
            }
            Power(base, exponent) => {
                let integer = match exponent.as_ref() {
                    Number(value) if value.is_integer() => Some(value),
                    _ => None,
                };
                matches!(exponent.as_ref(), Sum(_))
                    || (integer.is_some() && matches!(base.as_ref(), Product(_)))
                    || (integer.is_some_and(|e| *e > Rational::from(1)) && matches!(base.as_ref(), Sum(_)))
            }
            _ => false,
        };
        here || self.children().into_iter().any(Written::is_changed_by_expansion)
    }

    /// Whether a non-polynomial is left alone by factorisation: not a sum, and evaluated but for exponents.
    pub(super) fn is_single_factor(&self) -> bool {
        match self {
            Sum(_) => false,
            Power(base, _) => base.is_evaluated() && self.is_evaluated_here(),
            other => other.is_evaluated(),
        }
    }

    fn base(&self) -> &Written {
        match self {
            Power(base, _) => base,
            other => other,
        }
    }

    fn without_coefficient(&self) -> Written {
        match self {
            Product(parts) if matches!(parts[0], Number(_)) => match &parts[1..] {
                [single] => single.clone(),
                rest => Product(rest.to_vec()),
            },
            other => other.clone(),
        }
    }
}

/// Products as the grammar nests them: a (b (c d)).
fn nested(mut factors: Vec<Written>) -> Written {
    let Some(last) = factors.pop() else { return integer(1) };
    factors.into_iter().rev().fold(last, |product, factor| Product(vec![factor, product]))
}

/// A sign in front, which is multiplied in: into the number of a product, into each term of a sum.
fn negated(term: Written) -> Written {
    match term {
        Number(value) => Number(-&value),
        Product(mut parts) => {
            match &parts[0] {
                Number(value) if (-value).is_one() => {
                    parts.remove(0);
                }
                Number(value) => parts[0] = Number(-value),
                _ => parts.insert(0, integer(-1)),
            }
            if parts.len() == 1 { parts.remove(0) } else { Product(parts) }
        }
        Sum(parts) => {
            let mut flat = Vec::new();
            let mut stack: Vec<Written> = parts.into_iter().rev().collect();
            while let Some(part) = stack.pop() {
                match part {
                    Sum(inner) => stack.extend(inner.into_iter().rev()),
                    other => flat.push(negated(other)),
                }
            }
            flat.sort_by(compare);
            Sum(flat)
        }
        other => Product(vec![integer(-1), other]),
    }
}

/// The order of operands: numbers, symbols, powers, products, sums, functions; then by length, then part by part.
fn compare(a: &Written, b: &Written) -> Ordering {
    let rank = |tree: &Written| match tree {
        Number(_) => 0,
        Symbol(_) => 1,
        Power(..) => 2,
        Product(_) => 3,
        Sum(_) => 4,
        Function(..) => 5,
    };
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Number(a), Number(b)) => a.cmp(b),
        (Symbol(a), Symbol(b)) | (Function(a, _), Function(b, _)) if a != b => a.cmp(b),
        _ => {
            let (a, b) = (a.children(), b.children());
            let differing = a.iter().zip(&b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            a.len().cmp(&b.len()).then(differing.unwrap_or(Ordering::Equal))
        }
    })
}

#[cfg(test)]
mod tests {
    use mathesis_symbolic::formula::Reading;

    use super::*;

    fn written(text: &str) -> Written {
        Written::of(&Formula::read(text, Reading { mixed_numbers: false, imaginary_unit: false }).unwrap())
    }

    #[test]
    fn what_expansion_changes() {
        for text in ["x^2-3x", "-x^4y", "2(a-b)+5", "(a-b)^2", "3^{x+3y}", "2xy", "y^3 x"] {
            assert!(written(text).is_changed_by_expansion(), "{text}");
        }
        for text in ["x^2+3x+9", "-(a+b)+5", "2-x+x^2", "x^{2a}", "(x+y)^y", "x y^3", "m^{-1}+n^0"] {
            assert!(!written(text).is_changed_by_expansion(), "{text}");
        }
    }

    #[test]
    fn what_is_evaluated() {
        assert!(written("m^2+n^2").is_evaluated());
        assert!(!written("x-5").is_evaluated());
        assert!(!written("2^m*2^6").is_evaluated());
    }
}
