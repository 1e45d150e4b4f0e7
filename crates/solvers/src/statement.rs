//! Reading problem files: TOML whose places are not lost, so that every complaint can point at its place in the file.
//!
//! A room whose file is plain data reads it with [`read`]; one whose values are expressions walks the [`document`].

use std::collections::HashMap;
use std::ops::Range;

use mathesis_symbolic::{Expr, ParseError, Symbol, parse, parse_equation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a problem file, and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct StatementError {
    /// What is wrong.
    pub message: String,
    /// The place, in bytes of the file's text.
    pub span: Range<usize>,
    /// What should stand there.
    pub expected: Option<String>,
    /// A way out, such as the nearest valid word.
    pub help: Option<String>,
}

impl StatementError {
    /// A complaint about a place.
    pub fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        StatementError { message: message.into(), span, expected: None, help: None }
    }

    /// With what should stand there.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// With a way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With the word that is meant, if there is one.
    pub fn suggest(self, word: Option<String>) -> Self {
        match word {
            Some(word) => self.help(format!("did you mean `{word}`?")),
            None => self,
        }
    }
}

/// The document of a problem file.
///
/// # Errors
/// If the text is not TOML.
pub fn document(text: &str) -> Result<Spanned<DeTable<'_>>, StatementError> {
    DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().next().unwrap_or("not a TOML document").to_string();
        StatementError::new(message, error.span().unwrap_or(0..0)).help(
            "the file is read as TOML: [tables] of `key = value` lines, with expressions in double quotes",
        )
    })
}

/// A problem file as plain data; fields of type [`Spanned`] remember their places for later complaints.
///
/// # Errors
/// If the text is not TOML or does not fit the type: an unknown key is answered with the nearest valid one.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, StatementError> {
    document(text)?;
    toml::from_str(text).map_err(|error| option_error("the file", &error, 0..0))
}

/// The `[method]` table of a problem file: which method is asked for, with which options.
#[derive(Clone, Debug)]
pub struct MethodTable<'i> {
    /// The method's name, one of those that the room knows.
    pub name: String,
    /// Where things stand.
    pub places: MethodPlaces,
    options: Spanned<DeTable<'i>>,
}

/// Where a method and its options stand in a problem file, for complaints that arise only when the method is at work.
#[derive(Clone, Debug, Default)]
pub struct MethodPlaces {
    /// The method's name, or the table if it has none; empty if there is no table.
    pub method: Range<usize>,
    options: HashMap<String, Range<usize>>,
}

impl MethodPlaces {
    /// The place of an option, or of the method if the option is not given.
    pub fn option(&self, key: &str) -> Range<usize> {
        self.options.get(key).unwrap_or(&self.method).clone()
    }
}

impl<'i> MethodTable<'i> {
    /// The table of a document, for a room that knows the methods `names` and takes `usual` if none is named. With `wanted`,
    /// another method than the file's is taken; the options of the file count if they are of the same method, else the
    /// defaults do.
    ///
    /// # Errors
    /// If the table or its name is of the wrong kind, or no method has the name.
    pub fn read(
        document: &DeTable<'i>,
        names: &[&str],
        usual: &str,
        wanted: Option<&str>,
    ) -> Result<Self, StatementError> {
        let mut options = DeTable::new();
        let mut places = MethodPlaces::default();
        let mut name = None;
        if let Some(value) = document.get("method") {
            options =
                table(value, "method", "[method] with `name = \"...\"` and the method's options")?.clone();
            places.method = value.span();
            for (key, value) in entries(&options) {
                if key.text == "name" {
                    places.method = value.span();
                } else {
                    places.options.insert(key.text, value.span());
                }
            }
            if let Some(value) = options.remove("name") {
                let Some(word) = value.get_ref().as_str() else {
                    return Err(StatementError::new("the method's name is not a string", value.span())
                        .expected(one_of(names)));
                };
                name = Some(word.to_string());
            }
        }
        let unknown = |name: &str, span: Range<usize>| {
            StatementError::new(format!("there is no method `{name}`"), span)
                .expected(one_of(names))
                .suggest(nearest(name, names.iter().copied()))
        };
        let mut name = name.unwrap_or_else(|| usual.to_string());
        if !names.contains(&name.as_str()) {
            return Err(unknown(&name, places.method));
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted != name) {
            if !names.contains(&wanted) {
                return Err(unknown(wanted, 0..0));
            }
            name = wanted.to_string();
            options = DeTable::new();
            places.options.clear();
        }
        let options = Spanned::new(places.method.clone(), options);
        Ok(MethodTable { name, places, options })
    }

    /// The options.
    ///
    /// # Errors
    /// If they do not fit the type: an unknown option is answered with the nearest valid one.
    pub fn options<T: Deserialize<'i>>(&self) -> Result<T, StatementError> {
        T::deserialize(toml::de::Deserializer::from(self.options.clone()))
            .map_err(|error| option_error(&format!("`{}`", self.name), &error, self.places.method.clone()))
    }
}

/// A text of the file, the place of the whole value, and where the text itself starts if it stands there verbatim.
#[derive(Clone, Debug)]
pub struct Located {
    /// The text.
    pub text: String,
    /// The place of the whole value.
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
pub fn table<'a, 'i>(
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
pub fn entries<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(Located, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (Located::key(key), value)).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

/// Refuse keys that a table does not have.
pub fn only_keys(table: &DeTable<'_>, place: &str, known: &[&str]) -> Result<(), StatementError> {
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
pub fn one_or_more(
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
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    if let [word] = quoted.as_slice() { word.clone() } else { format!("one of {}", quoted.join(", ")) }
}

/// "a table", "an array".
pub fn article(type_name: &str) -> String {
    let vowel = type_name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {type_name}", if vowel { "an" } else { "a" })
}

/// A complaint of the deserialiser about a table (such as a method's options), in our words; `place` names the table.
pub fn option_error(place: &str, error: &toml::de::Error, fallback: Range<usize>) -> StatementError {
    let span = error.span().unwrap_or(fallback);
    let message = error.message();
    // The deserialiser quotes the wrong word first, then the valid ones.
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown_word = |what: &str, wrong: &str, valid: &[&str]| {
        StatementError::new(format!("{place} has no {what} `{wrong}`"), span.clone())
            .expected(one_of(valid))
            .suggest(nearest(wrong, valid.iter().copied()))
    };
    match quoted.as_slice() {
        [wrong, valid @ ..] if message.starts_with("unknown field") => unknown_word("option", wrong, valid),
        [wrong, valid @ ..] if message.starts_with("unknown variant") => unknown_word("choice", wrong, valid),
        _ if message.contains("PerAxis") => {
            StatementError::new("the option has a value of the wrong kind", span)
                .expected("a non-negative number, or a list with one for each axis")
        }
        _ => match message.split_once(", expected ") {
            Some((found, expected)) => {
                StatementError::new(found.to_string(), span).expected(expected.to_string())
            }
            None => StatementError::new(message.to_string(), span),
        },
    }
}

/// The word that is meant, if one is near enough.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    words
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_string())
}

/// "1 noun", "2 nouns".
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
