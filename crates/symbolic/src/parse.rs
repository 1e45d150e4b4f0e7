//! Reading the plain notation.
//!
//! ```text
//! sum     := product (('+' | '-') product)*
//! product := unary (('*' | '/') unary)*
//! unary   := ('+' | '-') unary | power
//! power   := postfix (('^' | '**') unary)?
//! postfix := primary superscript*
//! primary := number | name | function '(' sum ')' | '√' primary | '(' sum ')'
//! ```

use std::ops::Range;

use num_bigint::BigInt;

use crate::canonical::{power, split_coefficient};
use crate::{Expr, Function, Rational};

/// The longest text that is read, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;
/// How deep parentheses, functions, signs and exponents may nest.
const DEEPEST_NESTING: usize = 200;
/// How many bits all exact numbers of a text may have together.
const NUMBER_BITS: u64 = 1 << 17;
/// The longest piece of the text that a help repeats, in bytes.
const LONGEST_HELP: usize = 24;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong, in one line without a final stop.
    pub message: String,
    /// The bytes of the text that are at fault; empty at the end of the text where something is missing.
    pub span: Range<usize>,
    /// What could stand there instead.
    pub expected: Option<String>,
    /// How to put it right.
    pub help: Option<String>,
}

impl ParseError {
    fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        ParseError { message: message.into(), span, expected: None, help: None }
    }

    fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Read an expression.
///
/// # Errors
/// [`ParseError`] if the text is none, is too long or too deeply nested, or has no value (`1/0`).
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    let expression = parser.sum()?;
    parser.end()?;
    Ok(expression)
}

/// Read an equation `left = right`.
///
/// # Errors
/// As [`parse`], and if the text has not exactly one `=`.
pub fn parse_equation(text: &str) -> Result<(Expr, Expr), ParseError> {
    let mut parser = Parser::new(text)?;
    let left = parser.sum()?;
    if parser.peek() != Some(&Token::Equal) {
        parser.operator_missing()?;
        return Err(ParseError::new("this is an expression, not an equation", parser.span())
            .expected("`=`")
            .help("write an equation as `left = right`"));
    }
    parser.position += 1;
    if parser.peek() == Some(&Token::Equal) {
        return Err(ParseError::new("`==` is not an equation", parser.span()).help("write a single `=`"));
    }
    let right = parser.sum()?;
    if parser.peek() == Some(&Token::Equal) {
        return Err(ParseError::new("an equation has one `=`", parser.span()).expected("end of text"));
    }
    parser.end()?;
    Ok((left, right))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(Rational),
    Name,
    Plus,
    Minus,
    Times,
    Over,
    Power,
    Superscript(BigInt),
    Root,
    Open,
    Close,
    Equal,
}

fn superscript_digit(c: char) -> Option<char> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == c).and_then(|value| char::from_digit(value as u32, 10))
}

/// The tokens of a text with the bytes that they cover.
fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, ParseError> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        let length_while = |accept: &dyn Fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
        let single = first.len_utf8();
        let (token, length) = match first {
            c if c.is_whitespace() => {
                start += single;
                continue;
            }
            '+' => (Token::Plus, single),
            '-' | '−' => (Token::Minus, single),
            '*' if rest.starts_with("**") => (Token::Power, 2),
            '*' | '·' | '×' | '⋅' | '∗' => (Token::Times, single),
            '/' | '÷' | '∕' => (Token::Over, single),
            '^' => (Token::Power, single),
            '√' => (Token::Root, single),
            '(' => (Token::Open, single),
            ')' => (Token::Close, single),
            '=' => (Token::Equal, single),
            '0'..='9' | '.' => {
                let (value, length) = number(rest).map_err(|mut error| {
                    error.span = start + error.span.start..start + error.span.end;
                    error
                })?;
                (Token::Number(value), length)
            }
            c if c.is_alphabetic() || c == '_' => {
                (Token::Name, length_while(&|c| c.is_alphabetic() || c.is_ascii_digit() || c == '_'))
            }
            c if c == '⁻' || superscript_digit(c).is_some() => {
                let digits_start = if c == '⁻' { single } else { 0 };
                let digits: String = rest[digits_start..].chars().map_while(superscript_digit).collect();
                let written: usize =
                    rest[digits_start..].chars().take(digits.chars().count()).map(char::len_utf8).sum();
                if digits.is_empty() || digits.len() > 1000 {
                    return Err(ParseError::new("this exponent is not readable", start..start + single)
                        .expected("superscript digits"));
                }
                let value: BigInt = digits.parse().unwrap_or_default();
                (Token::Superscript(if c == '⁻' { -value } else { value }), digits_start + written)
            }
            c => {
                let error = ParseError::new(
                    format!("unexpected character `{}`", c.escape_debug()),
                    start..start + single,
                );
                return Err(match c {
                    '[' | ']' | '{' | '}' => error.help("write parentheses `( )`"),
                    ',' => error.help("write decimals with a point, and functions with one argument"),
                    '|' => error.help("write `abs(x)`"),
                    _ => error,
                });
            }
        };
        tokens.push((token, start..start + length));
        start += length;
    }
    Ok(tokens)
}

/// The decimal number that `text` begins with, exactly, and its length.
fn number(text: &str) -> Result<(Rational, usize), ParseError> {
    let digits_from = |start: usize| {
        text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |length| start + length)
    };
    let whole_end = digits_from(0);
    let mut end = whole_end;
    let mut fraction = "";
    if text[end..].starts_with('.') {
        let fraction_end = digits_from(end + 1);
        fraction = &text[end + 1..fraction_end];
        end = fraction_end;
        if end == 1 {
            return Err(ParseError::new("a number needs digits", 0..1).expected("a digit"));
        }
    }
    let mut exponent = 0i64;
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let digits_end = digits_from(end + 1 + sign);
        if digits_end > end + 1 + sign {
            exponent = text[end + 1..digits_end].parse().unwrap_or(i64::MAX);
            end = digits_end;
        }
    }
    if text[end..].starts_with('.') {
        return Err(ParseError::new("a number has one decimal point", end..end + 1));
    }
    let too_long = || ParseError::new("this number has too many digits", 0..end);
    let digits = format!("{}{fraction}", &text[..whole_end]);
    // Four bits hold a decimal digit.
    let longest = NUMBER_BITS as usize / 4;
    if digits.len() > longest {
        return Err(too_long());
    }
    let mantissa = Rational::integer(digits.parse::<BigInt>().map_err(|_| too_long())?);
    if mantissa.is_zero() {
        return Ok((mantissa, end));
    }
    let shift = exponent.saturating_sub(fraction.len() as i64);
    if shift.unsigned_abs() > longest as u64 {
        return Err(too_long());
    }
    let scale = num_traits::pow(BigInt::from(10), shift.unsigned_abs() as usize);
    let scale = Rational::integer(scale);
    let scale = if shift < 0 { scale.reciprocal().unwrap_or(Rational::ONE) } else { scale };
    Ok((&mantissa * &scale, end))
}

/// What a name followed by a parenthesis stands for.
fn function(name: &str) -> Option<fn(&Expr) -> Expr> {
    macro_rules! table {
        ($($text:literal => $method:ident),*) => {
            match name { $($text => Some(Expr::$method),)* _ => None }
        };
    }
    table!(
        "sin" => sin, "cos" => cos, "tan" => tan, "asin" => asin, "acos" => acos, "atan" => atan,
        "sinh" => sinh, "cosh" => cosh, "tanh" => tanh, "exp" => exp, "log" => log, "ln" => log,
        "sqrt" => sqrt, "abs" => abs, "sign" => sign
    )
}

fn nearest_function(name: &str) -> Option<&'static str> {
    let names = Function::ALL.iter().map(|f| f.name()).chain(["exp", "ln", "sqrt"]);
    let name = name.to_lowercase();
    names
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 2 && 2 * distance <= known.len() && name.chars().count() > 1)
        .map(|(_, known)| known)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    position: usize,
    depth: usize,
    bits: u64,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > LONGEST_TEXT {
            let message = format!("the text is longer than {LONGEST_TEXT} bytes");
            return Err(ParseError::new(message, 0..text.len()));
        }
        Ok(Parser { text, tokens: tokens(text)?, position: 0, depth: 0, bits: 0 })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position).map(|(token, _)| token)
    }

    /// The bytes of the current token, or the end of the text.
    fn span(&self) -> Range<usize> {
        self.span_of(self.position)
    }

    fn span_of(&self, position: usize) -> Range<usize> {
        self.tokens.get(position).map_or(self.text.len()..self.text.len(), |(_, span)| span.clone())
    }

    /// The bytes from the token at `start` to the last one read.
    fn span_from(&self, start: usize) -> Range<usize> {
        self.span_of(start).start..self.span_of(self.position.saturating_sub(1)).end
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth == DEEPEST_NESTING {
            let message = format!("this nests deeper than {DEEPEST_NESTING} levels");
            return Err(ParseError::new(message, self.span()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Count the digits of an exact result against the limit for the whole text.
    fn weighed(&mut self, expression: Expr, span: Range<usize>) -> Result<Expr, ParseError> {
        self.bits += split_coefficient(&expression).0.bits();
        if self.bits > NUMBER_BITS {
            return Err(ParseError::new("the exact numbers up to here have too many digits", span));
        }
        Ok(expression)
    }

    fn sum(&mut self) -> Result<Expr, ParseError> {
        let mut terms = vec![self.product()?];
        loop {
            let is_minus = match self.peek() {
                Some(Token::Plus) => false,
                Some(Token::Minus) => true,
                _ => break,
            };
            self.position += 1;
            let term = self.product()?;
            terms.push(if is_minus { -term } else { term });
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Expr::sum(terms) })
    }

    fn product(&mut self) -> Result<Expr, ParseError> {
        let mut factors = vec![self.unary()?];
        loop {
            let is_division = match self.peek() {
                Some(Token::Times) => false,
                Some(Token::Over) => true,
                _ => break,
            };
            self.position += 1;
            let start = self.position;
            let factor = self.unary()?;
            factors.push(if is_division {
                if factor.is_zero() {
                    return Err(ParseError::new("division by zero", self.span_from(start)));
                }
                power(&factor, &Expr::integer(-1))
            } else {
                factor
            });
        }
        Ok(if factors.len() == 1 { factors.remove(0) } else { Expr::product(factors) })
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        match self.peek() {
            Some(Token::Minus) => {
                self.position += 1;
                Ok(-self.nested(Self::unary)?)
            }
            Some(Token::Plus) => {
                self.position += 1;
                self.nested(Self::unary)
            }
            _ => self.power(),
        }
    }

    fn power(&mut self) -> Result<Expr, ParseError> {
        let start = self.position;
        let mut base = self.primary()?;
        while let Some(Token::Superscript(exponent)) = self.peek() {
            let exponent = Expr::integer(exponent.clone());
            self.position += 1;
            base = self.raised(&base, &exponent, start)?;
        }
        if self.peek() != Some(&Token::Power) {
            return Ok(base);
        }
        self.position += 1;
        let exponent = self.nested(Self::unary)?;
        self.raised(&base, &exponent, start)
    }

    fn raised(&mut self, base: &Expr, exponent: &Expr, start: usize) -> Result<Expr, ParseError> {
        let result = power(base, exponent);
        let span = self.span_from(start);
        if result.is_undefined() {
            return Err(ParseError::new("division by zero", span));
        }
        self.weighed(result, span)
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let span = self.span();
        match self.peek() {
            Some(Token::Number(value)) => {
                let value = Expr::number(value.clone());
                self.position += 1;
                self.weighed(value, span)
            }
            Some(Token::Open) => {
                self.position += 1;
                let inner = self.nested(Self::sum)?;
                self.close(span)?;
                Ok(inner)
            }
            Some(Token::Root) => {
                self.position += 1;
                let start = self.position;
                let radicand = self.nested(Self::primary)?;
                self.raised(&radicand, &Expr::number(Rational::half()), start)
            }
            Some(Token::Name) => {
                self.position += 1;
                self.name(span)
            }
            Some(Token::Superscript(_)) => Err(ParseError::new("this exponent has no base", span)
                .expected("a number, a name, a function or `(`")),
            Some(token) => {
                let what = if *token == Token::Close {
                    "nothing stands before `)`"
                } else {
                    "an operand is missing"
                };
                Err(ParseError::new(what, span).expected("a number, a name, a function or `(`"))
            }
            None => Err(ParseError::new("the text ends where an operand should follow", span)
                .expected("a number, a name, a function or `(`")),
        }
    }

    fn close(&mut self, opened: Range<usize>) -> Result<(), ParseError> {
        if self.peek() == Some(&Token::Close) {
            self.position += 1;
            return Ok(());
        }
        self.operator_missing()?;
        match self.peek() {
            None => Err(ParseError::new("this parenthesis is not closed", opened).expected("`)`")),
            Some(_) => {
                Err(ParseError::new("unexpected text inside parentheses", self.span()).expected("`)`"))
            }
        }
    }

    fn name(&mut self, span: Range<usize>) -> Result<Expr, ParseError> {
        let name = &self.text[span.clone()];
        let is_call = self.peek() == Some(&Token::Open);
        match (function(name), is_call) {
            (Some(function), true) => {
                let opened = self.span();
                let start = self.position;
                self.position += 1;
                let argument = self.nested(Self::sum)?;
                self.close(opened)?;
                let result = function(&argument);
                if result.is_undefined() {
                    let argument = &self.text[self.span_from(start)];
                    let message = format!("`{name}{argument}` is not defined");
                    return Err(ParseError::new(message, span.start..self.span_from(start).end));
                }
                Ok(result)
            }
            (Some(_), false) => {
                let error =
                    ParseError::new(format!("the function `{name}` has no argument"), span).expected("`(`");
                Err(match self.peek() {
                    Some(Token::Power | Token::Superscript(_)) => {
                        error.help(format!("write the power after the argument: `{name}(x)^2`"))
                    }
                    Some(Token::Name | Token::Number(_)) => {
                        let argument = &self.text[self.span()];
                        error.help(format!("write `{name}({argument})`"))
                    }
                    _ => error.help(format!("write `{name}(x)`")),
                })
            }
            (None, true) => {
                let error = ParseError::new(format!("`{name}` is not a function"), span)
                    .expected("an operator or a known function");
                Err(match nearest_function(name) {
                    Some(known) => error.help(format!("did you mean `{known}`?")),
                    None => {
                        error.help(format!("write `{name}*{}` to multiply", self.operand_text(self.position)))
                    }
                })
            }
            (None, false) => Ok(match name {
                "pi" | "π" => Expr::pi(),
                "e" => Expr::e(),
                _ => Expr::symbol(name),
            }),
        }
    }

    /// An error if an operand follows, where only an operator can.
    fn operator_missing(&self) -> Result<(), ParseError> {
        let Some(Token::Number(_) | Token::Name | Token::Open | Token::Root) = self.peek() else {
            return Ok(());
        };
        let left = self.operand_text_before(self.position);
        let right = self.operand_text(self.position);
        let mut error = ParseError::new("an operator is missing here", self.span())
            .expected("an operator")
            .help(format!("write `{left}*{right}`"));
        // Between two adjacent operands the fault lies at the second one; multiplication is never implied.
        if let Some(Token::Number(_)) = self.peek()
            && left.ends_with(')')
        {
            error.help = Some(format!("write `*{right}` to multiply or `^{right}` for a power"));
        }
        Err(error)
    }

    /// The number, name or parenthesis that ends before a token, shortened if it is long.
    fn operand_text_before(&self, position: usize) -> &str {
        let Some(last) = position.checked_sub(1) else { return "…" };
        let mut depth = 0usize;
        for at in (0..=last).rev() {
            match self.tokens[at].0 {
                Token::Close => depth += 1,
                Token::Open => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                let start = self.span_of(at).start;
                let text = &self.text[start..self.span_of(last).end];
                return if text.len() <= LONGEST_HELP { text } else { "(…)" };
            }
        }
        "(…)"
    }

    /// The operand that starts at a token, shortened if it is long.
    fn operand_text(&self, position: usize) -> &str {
        let start = self.span_of(position).start;
        let mut end = self.span_of(position).end;
        let opening = (position..self.tokens.len())
            .take(2)
            .find(|&at| self.tokens[at].0 == Token::Open)
            .filter(|&at| at == position || function(&self.text[self.span_of(position)]).is_some());
        if let Some(opening) = opening {
            let mut depth = 0usize;
            for (token, span) in &self.tokens[opening..] {
                match token {
                    Token::Open => depth += 1,
                    Token::Close => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 {
                    end = span.end;
                    break;
                }
            }
            if end - start > LONGEST_HELP || depth > 0 {
                return "(…)";
            }
        }
        if end - start > LONGEST_HELP { "…" } else { &self.text[start..end] }
    }

    fn end(&self) -> Result<(), ParseError> {
        self.operator_missing()?;
        match self.peek() {
            None => Ok(()),
            Some(Token::Close) => Err(ParseError::new("this parenthesis was never opened", self.span())
                .expected("an operator or end of text")),
            Some(Token::Equal) => Err(ParseError::new("this is an equation, not an expression", self.span())
                .expected("an operator or end of text")),
            Some(_) => {
                Err(ParseError::new("unexpected text", self.span()).expected("an operator or end of text"))
            }
        }
    }
}
