//! What calculator annotations hold: sums, differences, products and quotients of decimal numbers, exactly.

use mathesis_symbolic::Rational;
use num_bigint::BigInt;

/// An arithmetic expression. Parentheses that change nothing are gone; what is left is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// A decimal number without a sign.
    Number(Rational),
    /// A sign before something.
    Negative(Box<Expression>),
    /// Two terms or more; `true`: taken off.
    Sum(Vec<(bool, Expression)>),
    /// Two factors or more; `true`: divided by.
    Product(Vec<(bool, Expression)>),
    /// A quotient rounded down, `//`.
    Floor(Box<Expression>, Box<Expression>),
}

/// The longest expression that is read, in bytes.
const LONGEST: usize = 1000;
/// The deepest nesting of parentheses and signs.
const DEEPEST: usize = 50;

impl Expression {
    /// Reads `12/60`, `.5*(3+4)`, `-2`, `+7`, `560//10`; white space may stand between the parts. `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let bytes: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        // Blanks between digits would join two numbers.
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let is_number = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.');
        let joins =
            |pair: &[&str]| is_number(pair[0].as_bytes().last()) && is_number(pair[1].as_bytes().first());
        if parts.windows(2).any(joins) {
            return None;
        }
        let mut reader = Reader { bytes: &bytes, at: 0, depth: 0 };
        let expression = reader.sum()?;
        (reader.at == bytes.len()).then_some(expression)
    }

    /// The value; `None` for a division by zero.
    pub(super) fn value(&self) -> Option<Rational> {
        match self {
            Expression::Number(number) => Some(number.clone()),
            Expression::Negative(inner) => Some(-&inner.value()?),
            Expression::Sum(terms) => terms.iter().try_fold(Rational::from(0), |sum, (negative, term)| {
                let value = term.value()?;
                Some(if *negative { &sum - &value } else { &sum + &value })
            }),
            Expression::Floor(one, other) => Some((&one.value()? * &other.value()?.reciprocal()?).floor()),
            Expression::Product(factors) => {
                factors.iter().try_fold(Rational::from(1), |product, (divides, factor)| {
                    let value = factor.value()?;
                    Some(&product * &if *divides { value.reciprocal()? } else { value })
                })
            }
        }
    }

    /// The expression up to the order of terms and of factors: sums of sums and products of products are one, and the
    /// parts of each stand in the order of their texts.
    pub(super) fn ordered(&self) -> Self {
        match self {
            Expression::Number(_) => self.clone(),
            Expression::Negative(inner) => Expression::Negative(Box::new(inner.ordered())),
            Expression::Floor(one, other) => {
                Expression::Floor(Box::new(one.ordered()), Box::new(other.ordered()))
            }
            Expression::Sum(terms) => {
                let inner = |term: &Expression| match term {
                    Expression::Sum(terms) => terms.clone(),
                    Expression::Negative(inner) => vec![(true, (**inner).clone())],
                    other => vec![(false, other.clone())],
                };
                Expression::Sum(flattened(terms, inner))
            }
            Expression::Product(factors) => {
                let inner = |factor: &Expression| match factor {
                    Expression::Product(factors) => factors.clone(),
                    other => vec![(false, other.clone())],
                };
                Expression::Product(flattened(factors, inner))
            }
        }
    }
}

/// The parts in order, with those that are of the same kind taken apart; a part that is inverted inverts its own.
fn flattened(
    parts: &[(bool, Expression)],
    inner: impl Fn(&Expression) -> Vec<(bool, Expression)>,
) -> Vec<(bool, Expression)> {
    let mut all: Vec<(bool, Expression)> = (parts.iter())
        .flat_map(|(inverted, part)| {
            let own = inner(&part.ordered());
            own.into_iter().map(move |(own, part)| (own != *inverted, part))
        })
        .collect();
    all.sort_by_cached_key(|(inverted, part)| (*inverted, part.to_string()));
    all
}

/// Numbers as fractions, parentheses around every sum, product and sign within something else.
impl std::fmt::Display for Expression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = |parts: &[(bool, Expression)], signs: [&str; 2]| {
            for (number, (inverted, part)) in parts.iter().enumerate() {
                if number > 0 || *inverted {
                    formatter.write_str(signs[usize::from(*inverted)])?;
                }
                match part {
                    Expression::Number(number) if number.is_integer() => write!(formatter, "{number}")?,
                    part => write!(formatter, "({part})")?,
                }
            }
            Ok(())
        };
        match self {
            Expression::Number(number) => write!(formatter, "{number}"),
            Expression::Negative(inner) => write!(formatter, "-({inner})"),
            Expression::Floor(one, other) => write!(formatter, "({one})//({other})"),
            Expression::Sum(terms) => parts(terms, ["+", "-"]),
            Expression::Product(factors) => parts(factors, ["*", "/"]),
        }
    }
}

/// A single part as it is, several as a sum or product.
fn one_or(
    mut parts: Vec<(bool, Expression)>,
    of: impl Fn(Vec<(bool, Expression)>) -> Expression,
) -> Expression {
    if parts.len() == 1 { parts.remove(0).1 } else { of(parts) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn next_is(&mut self, byte: u8) -> bool {
        let is_next = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn sum(&mut self) -> Option<Expression> {
        let mut terms = vec![(false, self.product()?)];
        loop {
            if self.next_is(b'+') {
                terms.push((false, self.product()?));
            } else if self.next_is(b'-') {
                terms.push((true, self.product()?));
            } else {
                return Some(one_or(terms, Expression::Sum));
            }
        }
    }

    fn product(&mut self) -> Option<Expression> {
        let mut factors = vec![(false, self.signed()?)];
        loop {
            if self.next_is(b'*') {
                factors.push((false, self.signed()?));
            } else if self.next_is(b'/') {
                if self.next_is(b'/') {
                    let all = one_or(std::mem::take(&mut factors), Expression::Product);
                    factors.push((false, Expression::Floor(Box::new(all), Box::new(self.signed()?))));
                } else {
                    factors.push((true, self.signed()?));
                }
            } else {
                return Some(one_or(factors, Expression::Product));
            }
        }
    }

    fn signed(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let read = if self.next_is(b'-') {
            Some(Expression::Negative(Box::new(self.signed()?)))
        } else if self.next_is(b'+') {
            self.signed()
        } else if self.next_is(b'(') {
            let inner = self.sum()?;
            self.next_is(b')').then_some(inner)
        } else {
            self.number()
        };
        self.depth -= 1;
        read
    }

    fn number(&mut self) -> Option<Expression> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let number = decimal(std::str::from_utf8(&rest[..length]).ok()?)?;
        self.at += length;
        Some(Expression::Number(number))
    }
}

/// The value of `12`, `0.5`, `.5`, `3.`; `None` for anything else.
pub(super) fn decimal(text: &str) -> Option<Rational> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = BigInt::from(10).pow(fraction.len() as u32);
    Rational::new(digits.parse::<BigInt>().ok()?, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        Expression::parse(text)
            .and_then(|expression| expression.value())
            .map_or("-".into(), |v| v.to_string())
    }

    fn ordered(text: &str) -> String {
        Expression::parse(text).unwrap().ordered().to_string()
    }

    #[test]
    fn values_are_exact() {
        for (text, expected) in [
            ("12/60", "1/5"),
            (".1+0.2", "3/10"),
            ("100-50-30-15", "5"),
            ("2*(3+4)/7", "2"),
            ("-3 - -4", "1"),
            ("6/2/3", "1"),
            ("3.", "3"),
            ("+30+46", "76"),
            ("2*7//4*3", "9"),
            ("-7//2", "-4"),
            ("7///2", "-"),
            ("7//0", "-"),
            ("((1))", "1"),
            ("1/3+1/3+1/3", "1"),
            ("1/(2-2)", "-"),
            ("", "-"),
            ("1 2", "-"),
            ("1,200*2", "-"),
            ("2(3)", "-"),
            ("1..2", "-"),
            (".", "-"),
            ("5*", "-"),
            ("(5", "-"),
            ("৫+1", "-"),
            ("2^3", "-"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        assert_eq!(value(&"(".repeat(100_000)), "-");
        assert_eq!(value(&format!("{}1", "-".repeat(900))), "-");
    }

    #[test]
    fn only_the_order_of_terms_and_factors_is_forgotten() {
        for (one, other) in [
            ("2+3*4", "4*3+2"),
            ("100-50-30", "100-30-50"),
            ("2*6/3", "2/3*6"),
            ("(1+2)+3", "3+(2+1)"),
            ("10-(2+3)", "10-3-2"),
            ("8/(2*2)", "8/2/2"),
            ("0.50*4", "4*.5"),
        ] {
            assert_eq!(ordered(one), ordered(other));
            assert_ne!(Expression::parse(one).unwrap(), Expression::parse(other).unwrap(), "{one} {other}");
        }
        for (one, other) in
            [("5-3", "3-5"), ("6/2", "2/6"), ("2*3", "2+3"), ("2*3+4", "2*(3+4)"), ("6/3*2", "6/(3*2)")]
        {
            assert_ne!(ordered(one), ordered(other));
        }
        assert_eq!(Expression::parse("(3) + 0.50"), Expression::parse("3+.5"));
    }
}
