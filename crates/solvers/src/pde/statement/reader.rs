//! Walking a TOML document without losing where things stand: every complaint can point at its place in the file.

use std::ops::Range;

use mathesis_symbolic::{Expr, ParseError, Symbol, parse, parse_equation};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{StatementError, nearest};

/// A text of the file, the place of the whole value, and where the text itself starts if it stands there verbatim.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub text: String,
    pub span: Range<usize>,
    start: Option<usize>,
}

impl Located {
    /// The text of a value of the document: strings as they are, numbers as they are written.
    pub fn new(document: &str, value: &Spanned<DeValue<'_>>, what: &str) -> Result<Located, StatementError> {
        let span = value.span();
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Float(number) => number.as_str().replace('_', ""),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| {
                    StatementError::new(format!("the number of {what} is too large"), span.clone())
                        .expected("a number or an expression in quotes")
                })?
                .to_string(),
            other => {
                return Err(StatementError::new(
                    format!("{what} is {}, not a number or an expression", article(other.type_str())),
                    span,
                )
                .expected("a number or an expression in quotes"));
            }
        };
        // A text without escapes stands in the file as it is, somewhere behind the opening quotes.
        let start = document
            .get(span.clone())
            .and_then(|raw| raw.find(text.as_str()))
            .map(|shift| span.start + shift);
        Ok(Located { text, span, start })
    }

    /// A key of the document.
    pub fn key(key: &Spanned<std::borrow::Cow<'_, str>>) -> Located {
        Located { text: key.get_ref().to_string(), span: key.span(), start: None }
    }

    /// The place in the file of a part of the text.
    pub fn at(&self, inner: Range<usize>) -> Range<usize> {
        let inside = inner.start <= inner.end && inner.end <= self.text.len();
        match self.start {
            Some(start) if inside => start + inner.start..start + inner.end,
            _ => self.span.clone(),
        }
    }

    /// The place in the file of the first occurrence of a name in the text, as a whole word.
    pub fn word(&self, word: &str) -> Range<usize> {
        let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
        self.text
            .match_indices(word)
            .map(|(start, _)| start..start + word.len())
            .find(|place| {
                !self.text[..place.start].ends_with(part_of_name)
                    && !self.text[place.end..].starts_with(part_of_name)
            })
            .map_or(self.span.clone(), |place| self.at(place))
    }

    /// The text as an expression.
    pub fn expression(&self) -> Result<Expr, StatementError> {
        parse(&self.text).map_err(|error| self.misread(&error))
    }

    /// The text as an equation, `(left, right)`.
    pub fn equation(&self) -> Result<(Expr, Expr), StatementError> {
        parse_equation(&self.text).map_err(|error| self.misread(&error))
    }

    /// The text as a name, if the expression parser reads it as one.
    pub fn name(&self) -> Option<Symbol> {
        let symbol = Symbol::new(&self.text);
        let plain = self.text.starts_with(|c: char| c.is_ascii_alphabetic())
            && self.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let read = plain.then(|| parse(&self.text).ok()).flatten()?;
        (read == Expr::symbol(symbol.clone())).then_some(symbol)
    }

    fn misread(&self, error: &ParseError) -> StatementError {
        let mut complaint = StatementError::new(error.message.clone(), self.at(error.span.clone()));
        complaint.expected = error.expected.clone();
        complaint.help = error.help.clone();
        complaint
    }
}

/// A table of the document, where one is expected.
pub(super) fn table<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    name: &str,
    shape: &str,
) -> Result<&'a DeTable<'i>, StatementError> {
    value.get_ref().as_table().ok_or_else(|| {
        StatementError::new(
            format!("`{name}` is {}, not a table", article(value.get_ref().type_str())),
            value.span(),
        )
        .expected(shape)
    })
}

/// The entries of a table in the order of the file.
pub(super) fn entries<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(Located, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (Located::key(key), value)).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

/// Refuse keys that a table does not have.
pub(super) fn only_keys(table: &DeTable<'_>, place: &str, known: &[&str]) -> Result<(), StatementError> {
    for (key, _) in entries(table) {
        if !known.contains(&key.text.as_str()) {
            return Err(StatementError::new(format!("{place} has no key `{}`", key.text), key.span)
                .expected(one_of(known))
                .suggest(nearest(&key.text, known.iter().copied())));
        }
    }
    Ok(())
}

/// A string, or a list of strings.
pub(super) fn one_or_more(
    document: &str,
    value: &Spanned<DeValue<'_>>,
    what: &str,
) -> Result<Vec<Located>, StatementError> {
    match value.get_ref().as_array() {
        None => Ok(vec![Located::new(document, value, what)?]),
        Some(values) => values.iter().map(|value| Located::new(document, value, what)).collect(),
    }
}

/// "one of `a`, `b`", or "`a`".
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    if let [word] = quoted.as_slice() { word.clone() } else { format!("one of {}", quoted.join(", ")) }
}

pub(super) fn article(type_name: &str) -> String {
    let vowel = type_name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {type_name}", if vowel { "an" } else { "a" })
}
