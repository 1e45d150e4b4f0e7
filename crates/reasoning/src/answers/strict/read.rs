//! From a text to the value that it states.

use std::sync::LazyLock;

use mathesis_symbolic::Rational;
use mathesis_symbolic::formula::{Formula, Numeral, Reading, Relation, Separator, Sign};
use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::super::language::{ascii_digits, chinese_numeral, number_words, plain_number};
use super::Language;
use super::units::{self, Unit};
use crate::answers::pattern;

/// A number or an expression with what was written around it.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) formula: Formula,
    pub(super) unit: Option<Unit>,
    pub(super) percent: bool,
}

/// What an answer states.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    /// Several values without brackets.
    List(Vec<Value>),
    /// Alternatives of relations: `x < 2 or x > 5` (`true`), or conditions that hold together.
    Conditions(Vec<Formula>, bool),
    /// Values in brackets, with the brackets.
    Group(char, Vec<Value>, char),
    Set(Vec<Value>),
    /// A union, intersection or difference of sets, or a set by its letter.
    Sets(Formula),
    Matrix(Vec<Vec<Value>>),
    Relation(Formula),
    /// `x = 5`: the name and the value.
    Assignment(String, Box<Value>),
    Ratio(Vec<Formula>),
    Based(String, u32),
    Truth(bool),
    /// A letter of a multiple choice, perhaps with the value beside it.
    Choice(char, Option<Box<Value>>),
    Text(String),
}

/// How many pairs of signs around an answer are taken off.
const MOST_WRAPPERS: usize = 100;

/// An answer without what only surrounds it: dollars, boxes, full stops, emphasis, foreign digits.
pub(super) fn clean(text: &str) -> String {
    let text = ascii_digits(text.trim());
    let text = text.replace(['\n', '\r', '\t'], " ").replace("\\!", "").replace(",\\ ", ", ");
    let mut inner = text.as_str();
    let mut wrappers = 0;
    loop {
        let before = inner.len();
        inner = inner.trim();
        if wrappers < MOST_WRAPPERS {
            let unwrapped = without_wrappers(inner);
            wrappers += usize::from(unwrapped.len() < inner.len());
            inner = unwrapped;
        }
        let ends_with_stop =
            inner.len() > 1 && inner.ends_with(['.', '。', '।', ',']) && !inner.ends_with("\\,");
        if ends_with_stop && !inner.ends_with("..") && !inner.ends_with("right.") && !inner.ends_with("left.")
        {
            let mut characters = inner.chars();
            characters.next_back();
            inner = characters.as_str();
        }
        if inner.len() == before {
            return inner.to_string();
        }
    }
}

/// A text without dollars, brackets, emphasis or a box around the whole of it.
fn without_wrappers(text: &str) -> &str {
    let mut text = text;
    for (open, close) in [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**")] {
        if text.len() > open.len() + close.len()
            && let Some(inner) = text.strip_prefix(open).and_then(|text| text.strip_suffix(close))
            && !inner.replace("\\$", "").contains(open)
        {
            text = inner.trim();
        }
    }
    for wrapper in ["\\boxed", "\\fbox"] {
        if let Some(inner) = text.strip_prefix(wrapper).map(str::trim_start)
            && let Some(inner) = in_braces(inner)
        {
            text = inner;
        }
    }
    text
}

/// What stands in braces, if the text is nothing but one pair of braces with something inside.
fn in_braces(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut depth = 0i64;
    for byte in inner.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    (depth == 0).then_some(inner)
}

/// The text of an answer that is nothing but text: `\text{east}`, `\textbf{(C)}`.
fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    for command in
        ["\\text", "\\textbf", "\\mathrm", "\\mbox", "\\textit", "\\mathbf", "\\textrm", "\\mathit"]
    {
        if let Some(inner) = text.strip_prefix(command)
            && inner.starts_with('{')
            && let Some(inner) = in_braces(inner)
        {
            text = inner.trim();
        }
    }
    text
}

/// Text as text is compared: compatibility forms, case, articles, punctuation and commands dropped.
pub(super) fn normal_text(text: &str) -> String {
    static WRAPPERS: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\\(?:text|textbf|mathrm|mbox|textit|mathbf|textrm)\s*\{([^{}]*)\}"));
    let mut text: String = text.nfkc().collect::<String>().to_lowercase();
    text = WRAPPERS.replace_all(&text, " $1 ").into_owned();
    let words: String = text
        .chars()
        .map(|c| if matches!(c, '.' | ',' | '!' | '?' | '\'' | '"' | '~') { ' ' } else { c })
        .collect();
    let words: Vec<&str> =
        words.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the")).collect();
    words.join(" ")
}

fn truth(text: &str) -> Option<bool> {
    match text.trim_end_matches('.').to_lowercase().as_str() {
        "true" | "yes" | "真" | "对" | "正确" | "是" => Some(true),
        "false" | "no" | "假" | "错" | "错误" | "否" => Some(false),
        _ => None,
    }
}

fn integer(value: u64) -> Value {
    let numeral = Numeral { value: Rational::integer(value), text: value.to_string(), decimals: None };
    Value::Scalar(Scalar { formula: Formula::Number(numeral), unit: None, percent: false })
}

/// The value that a cleaned text states.
pub(super) fn value(text: &str, language: Option<Language>) -> Value {
    let plain = unwrapped(text);
    if let Some(truth) = truth(plain) {
        return Value::Truth(truth);
    }
    if let Some(choice) = choice(text, plain) {
        return choice;
    }
    if let Some(number) = number_words(plain).or_else(|| chinese_numeral(plain)) {
        return integer(number);
    }
    if let Some((digits, base)) = based(plain) {
        return Value::Based(digits, base);
    }
    if is_clock(plain) || is_phrase(plain) {
        return Value::Text(normal_text(plain));
    }
    let number = plain_number(plain, language);
    let source = number.as_deref().unwrap_or(if is_numeric(plain) { plain } else { text });
    match Formula::read(source, Reading::default()) {
        Ok(Formula::Text(text)) => Value::Text(normal_text(&text)),
        Ok(formula) => from_formula(&formula),
        Err(_) => Value::Text(normal_text(text)),
    }
}

fn is_numeric(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit())
        && !text.contains('\\')
        && text.chars().all(|c| c.is_ascii_digit() || "+-*/^.,()% ".contains(c))
}

/// A label of a multiple choice, with or without the value: `(C)`, `C.`, `\textbf{(D)}\ 9`, `B) 42`.
fn choice(text: &str, plain: &str) -> Option<Value> {
    let mut characters = plain.chars().filter(|c| !matches!(c, '(' | ')' | '.' | ':' | '*'));
    let (first, second) = (characters.next()?, characters.next());
    if first.is_ascii_uppercase() && second.is_none() && plain.len() <= 6 {
        return Some(Value::Choice(first, None));
    }
    static LABEL: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:\\text(?:bf)?\{\s*\(([A-J])\)\s*\}|\(([A-J])\)|([A-J])[.):])(?:\\[ ,;:]|\\q?quad|[ ~:])*(\S.*)$",
        )
    });
    let found = LABEL.captures(text)?;
    let label = found.get(1).or(found.get(2)).or(found.get(3))?.as_str().chars().next()?;
    let inner = found.get(4)?.as_str();
    // One level only: the value beside a label is no labelled value again.
    let inner = match Formula::read(inner, Reading::default()) {
        Ok(formula) => from_formula(&formula),
        Err(_) => Value::Text(normal_text(inner)),
    };
    Some(Value::Choice(label, Some(Box::new(inner))))
}

/// A numeral with a base: `204_5`, `1A_{16}`, `\text{BEE}_{16}`.
fn based(text: &str) -> Option<(String, u32)> {
    let (digits, base) = text.rsplit_once('_')?;
    let base: u32 = base.trim_matches(['{', '}', ' ']).parse().ok().filter(|base| (2..=36).contains(base))?;
    let digits: String = digits.replace("\\text", "").chars().filter(|c| !"{} ".contains(*c)).collect();
    let is_numeral = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base.max(10)));
    (is_numeral && digits.chars().any(|c| c.is_ascii_digit())).then(|| (digits.to_uppercase(), base))
}

/// A time of day: minutes that are written with two digits and are a whole or a leading zero.
fn is_clock(text: &str) -> bool {
    let lower = text.to_lowercase();
    let time = lower.trim_end_matches(['a', 'p', 'm', '.', ' ']);
    let Some((hours, minutes)) = time.split_once(':') else { return false };
    let is_digits =
        |part: &str| part.len() <= 2 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    is_digits(hours)
        && is_digits(minutes)
        && (time.len() < lower.len() || (minutes.len() == 2 && minutes.starts_with('0')))
}

/// Words rather than letters of algebra.
fn is_phrase(text: &str) -> bool {
    let is_words = text.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '\'' | ',' | '.'));
    let longest =
        text.split(|c: char| !c.is_alphabetic()).map(|word| word.chars().count()).max().unwrap_or(0);
    let is_name = ["infinity", "infty", "sqrt"].iter().any(|name| text.contains(name));
    is_words && longest >= 4 && !is_name
}

/// The value of a formula.
pub(super) fn from_formula(formula: &Formula) -> Value {
    match formula {
        Formula::List(items, separator) => {
            let is_condition = |item: &Formula| match item {
                Formula::Chain(..) => assignment(item).is_none(),
                _ => false,
            };
            if items.iter().any(is_condition) && items.iter().all(|item| matches!(item, Formula::Chain(..))) {
                return Value::Conditions(items.clone(), *separator == Separator::Or);
            }
            list(items)
        }
        Formula::Group(open, items, close) => {
            Value::Group(*open, items.iter().map(from_formula).collect(), *close)
        }
        Formula::Set(items) => match list(items) {
            Value::List(items) => Value::Set(items),
            single => Value::Set(vec![single]),
        },
        Formula::NamedSet(_) | Formula::Sets(..) => Value::Sets(formula.clone()),
        Formula::Matrix(rows) => {
            Value::Matrix(rows.iter().map(|row| row.iter().map(from_formula).collect()).collect())
        }
        Formula::Ratio(parts) => Value::Ratio(parts.clone()),
        Formula::Based(digits, base) => Value::Based(digits.clone(), *base),
        Formula::Text(text) => Value::Text(normal_text(text)),
        Formula::Chain(sides, relations) => {
            if let ([_, set], [Relation::In]) = (sides.as_slice(), relations.as_slice()) {
                return from_formula(set);
            }
            if let ([_, value], [Relation::Tends]) = (sides.as_slice(), relations.as_slice()) {
                return from_formula(value);
            }
            assignment(formula).unwrap_or_else(|| Value::Relation(formula.clone()))
        }
        _ => {
            let choices = formula.sign_choices();
            if choices.len() > 1 {
                return Value::List(choices.iter().map(scalar).collect());
            }
            scalar(formula)
        }
    }
}

fn list(items: &[Formula]) -> Value {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match from_formula(item) {
            // What ± stands for belongs to the list.
            Value::List(inner) => values.extend(inner),
            value => values.push(value),
        }
    }
    if values.len() == 1 { values.remove(0) } else { Value::List(values) }
}

fn scalar(formula: &Formula) -> Value {
    if let Formula::Percent(inner) = formula {
        return Value::Scalar(Scalar { formula: inner.as_ref().clone(), unit: None, percent: true });
    }
    if let Formula::Sum(terms) = formula
        && let [(sign @ (Sign::Minus | Sign::Plus), Formula::Percent(inner))] = terms.as_slice()
    {
        let formula = Formula::Sum(vec![(*sign, inner.as_ref().clone())]);
        return Value::Scalar(Scalar { formula, unit: None, percent: true });
    }
    if let Formula::Product(factors) = formula
        && let Some((Formula::Percent(last), rest)) = factors.split_last()
    {
        let mut factors = rest.to_vec();
        factors.push(last.as_ref().clone());
        return Value::Scalar(Scalar { formula: Formula::Product(factors), unit: None, percent: true });
    }
    let (number, unit) = units::split(formula);
    Value::Scalar(Scalar { formula: number, unit, percent: false })
}

/// `x = 5`, `f(x) = x^2`, `(x, y) = (1, 2)`, `x = 5 + 6 = 11`: a name and the last side.
fn assignment(chain: &Formula) -> Option<Value> {
    let Formula::Chain(sides, relations) = chain else { return None };
    if !relations.iter().all(|relation| matches!(relation, Relation::Equal | Relation::Approximate)) {
        return None;
    }
    let (first, last) = (sides.first()?, sides.last()?);
    let name = match first {
        Formula::Symbol(name) => name.clone(),
        Formula::Text(text) | Formula::Word(text) => text.trim().to_string(),
        Formula::Product(factors) => match factors.as_slice() {
            [Formula::Symbol(function), Formula::Symbol(_) | Formula::Group(..) | Formula::Number(_)]
                if matches!(
                    function.as_str(),
                    "f" | "g" | "h" | "F" | "G" | "P" | "p" | "q" | "a" | "S" | "T"
                ) =>
            {
                format!("{function}()")
            }
            _ => return None,
        },
        Formula::Group('(', names, ')') => match last {
            Formula::Group('(', values, ')')
                if names.len() == values.len()
                    && names.iter().all(|name| matches!(name, Formula::Symbol(_))) =>
            {
                return Some(Value::List(
                    names
                        .iter()
                        .zip(values)
                        .map(|(name, value)| match name {
                            Formula::Symbol(name) => {
                                Value::Assignment(name.clone(), Box::new(from_formula(value)))
                            }
                            _ => from_formula(value),
                        })
                        .collect(),
                ));
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Value::Assignment(name, Box::new(from_formula(last))))
}
