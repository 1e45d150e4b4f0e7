//! The tokens of formulae in LaTeX and plain text.

use num_bigint::BigInt;
use num_traits::{One, Pow};

use super::{Numeral, ReadError, Relation, SetOperation};
use crate::Rational;

/// The longest number that is read, in characters.
const LONGEST_NUMERAL: usize = 5000;
/// The largest power of ten in scientific notation.
const LARGEST_EXPONENT: i64 = 5000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(Numeral),
    /// A run of letters of plain text.
    Letters(String),
    /// A command without its backslash.
    Command(String),
    /// The content of `\text{...}`.
    Text(String),
    Begin(String),
    End(String),
    /// `(`, `[`, or `S` for the brace of a set.
    Open(char),
    Close(char),
    /// The braces of LaTeX.
    GroupOpen,
    GroupClose,
    Bar,
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
    Times,
    Over,
    Power,
    Subscript,
    Factorial,
    Percent,
    Degree,
    Currency(String),
    Comma,
    Colon,
    Ampersand,
    Row,
    Relation(Relation),
    Sets(SetOperation),
    /// Blank space that may matter between digits.
    Blank,
}

/// The tokens of `text`, blanks only where they stand between two numbers.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ReadError> {
    let characters: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { characters, position: 0, tokens: Vec::new(), brackets: Vec::new() };
    while lexer.position < lexer.characters.len() {
        lexer.step()?;
    }
    let tokens = lexer.tokens;
    let is_number = |token: Option<&Token>| matches!(token, Some(Token::Number(_)));
    let mut kept = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let between = at > 0 && is_number(tokens.get(at - 1)) && is_number(tokens.get(at + 1));
        if *token != Token::Blank || between {
            kept.push(token.clone());
        }
    }
    Ok(kept)
}

struct Lexer {
    characters: Vec<char>,
    position: usize,
    tokens: Vec<Token>,
    /// Whether a comma separates, for each open bracket.
    brackets: Vec<bool>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.position + ahead).copied()
    }

    fn push(&mut self, token: Token, length: usize) {
        match token {
            Token::Open(_) => self.brackets.push(true),
            Token::GroupOpen => self.brackets.push(self.brackets.last().copied().unwrap_or(false)),
            Token::Close(_) | Token::GroupClose => {
                self.brackets.pop();
            }
            _ => {}
        }
        self.tokens.push(token);
        self.position += length;
    }

    fn blank(&mut self, length: usize) {
        if self.tokens.last() != Some(&Token::Blank) {
            self.tokens.push(Token::Blank);
        }
        self.position += length;
    }

    fn step(&mut self) -> Result<(), ReadError> {
        let Some(character) = self.peek(0) else { return Ok(()) };
        let next = self.peek(1);
        let token = match character {
            '0'..='9' => return self.number(),
            '.' if next.is_some_and(|c| c.is_ascii_digit()) => return self.number(),
            '\\' => return self.command(),
            c if c.is_whitespace() || c == '~' => {
                self.blank(1);
                return Ok(());
            }
            'π' => Token::Command("pi".into()),
            '∞' => Token::Command("infty".into()),
            '√' => Token::Command("sqrt".into()),
            '²' | '³' => {
                self.push(Token::Power, 0);
                Token::Number(numeral(if character == '²' { "2" } else { "3" })?)
            }
            'ℝ' => Token::Command("R".into()),
            '∅' => Token::Command("emptyset".into()),
            c if c.is_alphabetic() => {
                let length =
                    self.characters[self.position..].iter().take_while(|c| c.is_alphabetic()).count();
                let letters = self.characters[self.position..self.position + length].iter().collect();
                self.push(Token::Letters(letters), length);
                return Ok(());
            }
            '(' => Token::Open('('),
            '[' => Token::Open('['),
            ')' => Token::Close(')'),
            ']' => Token::Close(']'),
            '{' if self.peek(1) == Some(',') && self.peek(2) == Some('}') => {
                // A thousands comma in braces that stands alone.
                self.position += 3;
                return Ok(());
            }
            '{' => Token::GroupOpen,
            '}' => Token::GroupClose,
            '|' => Token::Bar,
            '+' => Token::Plus,
            '-' | '−' | '–' => Token::Minus,
            '±' => Token::PlusMinus,
            '∓' => Token::MinusPlus,
            '*' if next == Some('*') => {
                self.push(Token::Power, 2);
                return Ok(());
            }
            '*' | '·' | '×' | '⋅' => Token::Times,
            '/' | '÷' => Token::Over,
            '^' => Token::Power,
            '_' => Token::Subscript,
            '!' if next == Some('=') => {
                self.push(Token::Relation(Relation::NotEqual), 2);
                return Ok(());
            }
            '!' => Token::Factorial,
            '%' => Token::Percent,
            '°' => Token::Degree,
            '$' | '€' | '£' | '¥' => Token::Currency(character.into()),
            ',' | ';' | '，' | '、' => Token::Comma,
            ':' => Token::Colon,
            '&' => Token::Ampersand,
            '<' | '>' if next == Some('=') => {
                let relation =
                    if character == '<' { Relation::LessOrEqual } else { Relation::GreaterOrEqual };
                self.push(Token::Relation(relation), 2);
                return Ok(());
            }
            '=' => Token::Relation(Relation::Equal),
            '<' => Token::Relation(Relation::Less),
            '>' => Token::Relation(Relation::Greater),
            '≤' => Token::Relation(Relation::LessOrEqual),
            '≥' => Token::Relation(Relation::GreaterOrEqual),
            '≠' => Token::Relation(Relation::NotEqual),
            '≈' => Token::Relation(Relation::Approximate),
            '∈' => Token::Relation(Relation::In),
            '∪' => Token::Sets(SetOperation::Union),
            '∩' => Token::Sets(SetOperation::Intersection),
            other => return Err(ReadError::Character(other)),
        };
        self.push(token, 1);
        Ok(())
    }

    /// A number: digits with thousands separators and a decimal part, perhaps a power of ten.
    fn number(&mut self) -> Result<(), ReadError> {
        let mut text = String::new();
        let mut at = self.position;
        let digits = |from: usize, characters: &[char]| {
            characters[from.min(characters.len())..].iter().take_while(|c| c.is_ascii_digit()).count()
        };
        let take = |at: &mut usize, count: usize, text: &mut String, characters: &[char]| {
            text.extend(&characters[*at..*at + count]);
            *at += count;
        };
        let whole = digits(at, &self.characters);
        take(&mut at, whole, &mut text, &self.characters);
        if (1..=3).contains(&whole) && !(whole > 1 && text.starts_with('0')) {
            // Groups of exactly three digits after the same separator.
            let separator = self.separator(at);
            if let Some(separator) = separator {
                while self.separator_is(at, &separator) && digits(at + separator.len(), &self.characters) == 3
                {
                    at += separator.len();
                    take(&mut at, 3, &mut text, &self.characters);
                }
            }
        }
        let mut has_point = false;
        if self.characters.get(at) == Some(&'.') {
            let decimals = digits(at + 1, &self.characters);
            // A full stop at the end of a number is a decimal point only for what follows it.
            if decimals > 0 {
                has_point = true;
                take(&mut at, 1 + decimals, &mut text, &self.characters);
            } else {
                at += 1;
            }
        }
        let mut exponent = String::new();
        if let Some('e' | 'E') = self.characters.get(at) {
            let signed = usize::from(matches!(self.characters.get(at + 1), Some('+' | '-')));
            let count = digits(at + 1 + signed, &self.characters);
            let after = self.characters.get(at + 1 + signed + count);
            if count > 0 && !after.is_some_and(|c| c.is_alphabetic()) {
                exponent.push('e');
                at += 1;
                take(&mut at, signed + count, &mut exponent, &self.characters);
            }
        }
        if text.len() > LONGEST_NUMERAL {
            return Err(ReadError::TooLong);
        }
        if has_point && text.starts_with('.') {
            text.insert(0, '0');
        }
        text.push_str(&exponent);
        let length = at - self.position;
        let token = Token::Number(numeral(&text)?);
        self.push(token, length);
        Ok(())
    }

    /// The thousands separator that stands at a place. A comma is one only where it cannot separate a list.
    fn separator(&self, at: usize) -> Option<Vec<char>> {
        let in_list = self.brackets.last().copied().unwrap_or(false);
        let candidates: &[&str] = &[",\\!", "{,}", "\\,", "\\ ", ",", " ", "\u{a0}", "\u{202f}", "\u{2009}"];
        candidates
            .iter()
            .filter(|candidate| !(in_list && **candidate == ","))
            .map(|candidate| candidate.chars().collect::<Vec<char>>())
            .find(|candidate| self.separator_is(at, candidate))
    }

    fn separator_is(&self, at: usize, separator: &[char]) -> bool {
        self.characters[at.min(self.characters.len())..].starts_with(separator)
    }

    fn command(&mut self) -> Result<(), ReadError> {
        let Some(next) = self.peek(1) else { return Err(ReadError::End) };
        if !next.is_ascii_alphabetic() {
            let token = match next {
                '{' => Token::Open('S'),
                '}' => Token::Close('S'),
                '\\' => Token::Row,
                '%' => Token::Percent,
                '$' => Token::Currency("$".into()),
                '|' => Token::Bar,
                ' ' | ',' | ';' | ':' | '!' | '>' | '(' | ')' | '[' | ']' | '\n' => {
                    self.blank(2);
                    return Ok(());
                }
                other => return Err(ReadError::Character(other)),
            };
            self.push(token, 2);
            return Ok(());
        }
        let length =
            self.characters[self.position + 1..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
        let name: String = self.characters[self.position + 1..self.position + 1 + length].iter().collect();
        self.position += 1 + length;
        let token = match name.as_str() {
            "text" | "mbox" | "textbf" | "textrm" | "textit" | "textnormal" | "hbox" => {
                let content = self.braced()?;
                self.push(Token::Text(content), 0);
                return Ok(());
            }
            "mathrm" | "operatorname" | "mathbf" | "mathit" | "rm" | "boldsymbol" | "mathsf" | "bf" => {
                while self.peek(0).is_some_and(char::is_whitespace) {
                    self.position += 1;
                }
                // Letters become a function's name or text; anything else is read as it stands.
                let rest = &self.characters[self.position..];
                if rest.first() == Some(&'{') {
                    let letters = rest[1..].iter().take_while(|c| c.is_alphabetic() || **c == ' ').count();
                    if letters > 0 && rest.get(1 + letters) == Some(&'}') {
                        let content: String = rest[1..1 + letters].iter().collect();
                        self.position += letters + 2;
                        let trimmed = content.trim();
                        let token = if trimmed.chars().count() == 1 || name == "operatorname" {
                            Token::Letters(trimmed.to_string())
                        } else {
                            Token::Text(content)
                        };
                        self.push(token, 0);
                    }
                }
                return Ok(());
            }
            "begin" | "end" => {
                let environment = self.braced()?;
                let environment = environment.trim_end_matches('*').to_string();
                if name == "begin" {
                    // The columns of an array.
                    if environment == "array" && self.peek(0) == Some('{') {
                        self.braced()?;
                    }
                    self.brackets.push(false);
                    Token::Begin(environment)
                } else {
                    self.brackets.pop();
                    Token::End(environment)
                }
            }
            "left" | "right" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl" | "Bigr"
            | "biggl" | "biggr" | "middle" => {
                // An invisible delimiter.
                if self.peek(0) == Some('.') && matches!(name.as_str(), "left" | "right") {
                    self.position += 1;
                }
                return Ok(());
            }
            "displaystyle" | "quad" | "qquad" | "textstyle" | "limits" | "nolimits" | "hspace" | "hfill"
            | "mathstrut" | "strut" | "enspace" | "thinspace" => {
                self.blank(0);
                return Ok(());
            }
            "lbrace" => Token::Open('S'),
            "rbrace" => Token::Close('S'),
            "langle" => Token::Open('('),
            "rangle" => Token::Close(')'),
            "lparen" => Token::Open('('),
            "rparen" => Token::Close(')'),
            "lbrack" => Token::Open('['),
            "rbrack" => Token::Close(']'),
            "vert" | "lvert" | "rvert" | "mid" => Token::Bar,
            "pm" => Token::PlusMinus,
            "mp" => Token::MinusPlus,
            "cdot" | "times" | "ast" => Token::Times,
            "div" => Token::Over,
            "circ" | "degree" | "textdegree" => Token::Degree,
            "percent" => Token::Percent,
            "pounds" => Token::Currency("£".into()),
            "colon" => Token::Colon,
            "le" | "leq" | "leqslant" | "leqq" => Token::Relation(Relation::LessOrEqual),
            "ge" | "geq" | "geqslant" | "geqq" => Token::Relation(Relation::GreaterOrEqual),
            "lt" => Token::Relation(Relation::Less),
            "gt" => Token::Relation(Relation::Greater),
            "ne" | "neq" => Token::Relation(Relation::NotEqual),
            "approx" | "simeq" => Token::Relation(Relation::Approximate),
            "equiv" => Token::Relation(Relation::Congruent),
            "in" => Token::Relation(Relation::In),
            "to" | "rightarrow" => Token::Relation(Relation::Tends),
            "cup" | "bigcup" => Token::Sets(SetOperation::Union),
            "cap" | "bigcap" => Token::Sets(SetOperation::Intersection),
            "setminus" | "backslash" | "smallsetminus" => Token::Sets(SetOperation::Difference),
            _ => Token::Command(name),
        };
        self.push(token, 0);
        Ok(())
    }

    /// The text between the braces that follow.
    fn braced(&mut self) -> Result<String, ReadError> {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.position += 1;
        }
        if self.peek(0) != Some('{') {
            return Err(ReadError::End);
        }
        let mut depth = 0usize;
        for at in self.position..self.characters.len() {
            match self.characters[at] {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let content = self.characters[self.position + 1..at].iter().collect();
                self.position = at + 1;
                return Ok(content);
            }
        }
        Err(ReadError::End)
    }
}

/// The number that plain digits, a point and `e` with an exponent say.
pub(super) fn numeral(text: &str) -> Result<Numeral, ReadError> {
    let (mantissa, exponent) = text.split_once('e').map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let mut digits = String::from(whole);
    digits.push_str(fraction.unwrap_or(""));
    let digits: BigInt = digits.parse().map_err(|_| ReadError::End)?;
    let shift: i64 = match exponent {
        Some(exponent) => exponent.parse().map_err(|_| ReadError::TooLong)?,
        None => 0,
    };
    if shift.abs() > LARGEST_EXPONENT {
        return Err(ReadError::TooLong);
    }
    let decimals = fraction.map_or(0, str::len) as i64;
    let shift = shift - decimals;
    let power: BigInt = Pow::pow(BigInt::from(10), shift.unsigned_abs());
    let value = if shift >= 0 {
        Rational::integer(digits * power)
    } else {
        Rational::new(digits, power).unwrap_or(Rational::integer(BigInt::one()))
    };
    let decimals = (fraction.is_some() || exponent.is_some()).then_some(decimals as u32);
    Ok(Numeral { value, text: text.to_string(), decimals })
}
