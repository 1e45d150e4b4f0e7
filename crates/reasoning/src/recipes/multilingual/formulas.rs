//! The formula check: do the calculator annotations `<<expression=value>>` of a solution hold, and are they those of the
//! solution that it translates?
//!
//! Both sides of an annotation are read and computed in rational numbers. A translation passes if its annotations, as a
//! multiset of (expression, value), and its last number are those of the source.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use mathesis_symbolic::Rational;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::arithmetic::{Expression, decimal};
use crate::answers::pattern;
use crate::answers::{ascii_digits, digit};

/// What counts as the same formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strictness {
    /// The same numbers and operations in the same order, in ASCII, and no digits of another script anywhere.
    #[default]
    Strict,
    /// The order of terms in a sum and of factors in a product is free, × · ÷ − and full-width signs count as * / -, and
    /// digits of another script may stand outside of formulas and the last number.
    Lenient,
}

/// What is wrong with a solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "what")]
pub enum Finding {
    /// `<<` without `>>` before the next one.
    #[error("an annotation is not closed: {0}")]
    Unclosed(String),
    /// Not `expression=value`, or a division by zero.
    #[error("an annotation cannot be computed: {0}")]
    Unreadable(String),
    /// The sides differ.
    #[error("the sides of an annotation differ: {0}")]
    Unequal(String),
    /// The source has it, or has it more often.
    #[error("the annotation {0} is missing")]
    Missing(String),
    /// The source does not have it, or has it less often.
    #[error("the annotation {0} is not in the source")]
    Added(String),
    /// There is no number at all.
    #[error("there is no number")]
    NoNumber,
    /// The last number is another one.
    #[error("the last number is {0}")]
    LastNumber(String),
    /// Digits of another script.
    #[error("digits of another script: {0}")]
    Digits(String),
}

impl Finding {
    /// The kind, for tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Finding::Unclosed(_) => "unclosed",
            Finding::Unreadable(_) => "unreadable",
            Finding::Unequal(_) => "unequal",
            Finding::Missing(_) => "missing",
            Finding::Added(_) => "added",
            Finding::NoNumber => "no-number",
            Finding::LastNumber(_) => "last-number",
            Finding::Digits(_) => "digits",
        }
    }
}

/// What is wrong with the translation of a solution; nothing if it passes.
pub fn check_translation(source: &str, translation: &str, strictness: Strictness) -> Vec<Finding> {
    let mut findings = Vec::new();
    // How often each formula is there, the source's counted down. The text is as the first of them has it.
    let mut counts: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for (text, change, findings) in [(translation, 1, &mut findings), (source, -1, &mut Vec::new())] {
        for annotation in annotations(text) {
            match annotation.and_then(|annotation| Equation::read(annotation, strictness)) {
                Ok(equation) => {
                    counts.entry(equation.formula).or_insert_with(|| (0, equation.text)).0 += change;
                }
                Err(finding) => findings.push(finding),
            }
        }
    }
    for (_, (count, text)) in counts {
        match count {
            0 => {}
            1.. => findings.push(Finding::Added(text)),
            _ => findings.push(Finding::Missing(text)),
        }
    }
    findings.extend(other_digits(translation, strictness));
    findings.extend(other_last_number(last_number(source).map(|(value, _)| value), translation));
    findings
}

/// What is wrong with a solution by itself, and with its last number beside the answer; nothing if it passes.
pub fn check_solution(solution: &str, answer: &str, strictness: Strictness) -> Vec<Finding> {
    let mut findings: Vec<Finding> = (annotations(solution))
        .filter_map(|annotation| annotation.and_then(|text| Equation::read(text, strictness)).err())
        .collect();
    findings.extend(other_digits(solution, strictness));
    findings.extend(other_last_number(last_number(answer).map(|(value, _)| value), solution));
    findings
}

/// The formulas of a solution in order, in a form in which the same formulas are the same text; `None` if one of them
/// does not hold or cannot be read.
pub fn equations(solution: &str, strictness: Strictness) -> Option<Vec<String>> {
    annotations(solution)
        .map(|annotation| Some(Equation::read(annotation.ok()?, strictness).ok()?.formula))
        .collect()
}

/// The texts between `<<` and `>>`.
fn annotations(text: &str) -> impl Iterator<Item = Result<&str, Finding>> {
    text.split("<<").skip(1).map(|rest| match rest.split_once(">>") {
        Some((annotation, _)) => Ok(annotation),
        None => Err(Finding::Unclosed(rest.chars().take(40).collect())),
    })
}

/// An annotation that holds.
struct Equation {
    /// As it is written.
    text: String,
    /// As it is compared.
    formula: String,
}

impl Equation {
    fn read(text: &str, strictness: Strictness) -> Result<Self, Finding> {
        let unreadable = || Finding::Unreadable(text.to_string());
        let plain = match strictness {
            Strictness::Strict => text.to_string(),
            Strictness::Lenient => text.chars().map(plain_sign).collect(),
        };
        let (expression, value) = plain.split_once('=').ok_or_else(unreadable)?;
        let expression = Expression::parse(expression).ok_or_else(unreadable)?;
        let computed = expression.value().ok_or_else(unreadable)?;
        let value = Expression::parse(value).and_then(|value| value.value()).ok_or_else(unreadable)?;
        if computed != value {
            return Err(Finding::Unequal(text.to_string()));
        }
        let expression = match strictness {
            Strictness::Strict => expression,
            Strictness::Lenient => expression.ordered(),
        };
        Ok(Equation { text: text.to_string(), formula: format!("{expression}={value}") })
    }
}

/// An operation sign as a calculator has it.
fn plain_sign(character: char) -> char {
    match character {
        '×' | '·' | '⋅' | '∙' => '*',
        '÷' => '/',
        '−' | '–' => '-',
        _ if digit(character).is_some() => character,
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(character as u32 - 0xfee0).unwrap_or(character),
        _ => character,
    }
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+"));

/// The last number of a text, commas between thousands dropped, a minus directly before it counted unless it stands
/// behind something that can be subtracted from; and whether it has digits of another script.
fn last_number(text: &str) -> Option<(Rational, bool)> {
    // One character for each, so that places agree.
    let folded = ascii_digits(text);
    let found = NUMBER.find_iter(&folded).last()?;
    let value = decimal(&found.as_str().replace(',', ""))?;
    let before = folded[..found.start()].strip_suffix(['-', '−']);
    let is_negative = before
        .is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '.')));
    let characters = |end: usize| folded[..end].chars().count();
    let (skip, take) = (characters(found.start()), found.as_str().chars().count());
    let is_foreign = text.chars().skip(skip).take(take).any(is_foreign_digit);
    Some((if is_negative { -&value } else { value }, is_foreign))
}

fn is_foreign_digit(character: char) -> bool {
    !character.is_ascii() && digit(character).is_some()
}

/// Digits of another script where they must not be.
fn other_digits(text: &str, strictness: Strictness) -> Option<Finding> {
    let found: String = text.chars().filter(|character| is_foreign_digit(*character)).take(10).collect();
    let matters = match strictness {
        Strictness::Strict => !found.is_empty(),
        // Those in annotations cannot be read anyway.
        Strictness::Lenient => last_number(text).is_some_and(|(_, is_foreign)| is_foreign),
    };
    matters.then_some(Finding::Digits(found))
}

/// A last number other than the expected one; a source without any number expects nothing.
fn other_last_number(expected: Option<Rational>, text: &str) -> Option<Finding> {
    let expected = expected?;
    match last_number(text) {
        None => Some(Finding::NoNumber),
        Some((value, _)) => {
            (value != expected).then(|| Finding::LastNumber(format!("{value}, not {expected}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "She sold 48/2 = <<48/2=24>>24 in May.\nIn all 48+24 = <<48+24=72>>72.\n#### 72";

    fn kinds(translation: &str, strictness: Strictness) -> Vec<&'static str> {
        check_translation(SOURCE, translation, strictness).iter().map(Finding::kind).collect()
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        use Strictness::{Lenient, Strict};
        for (translation, strict, lenient) in [
            ("Im Mai <<48/2=24>>24.\nZusammen <<48+24=72>>72.\n#### 72", vec![], vec![]),
            ("Zusammen <<48+24=72>>72, davon <<48 / 2 = 24.0>>24.\n#### 72", vec![], vec![]),
            ("<<48/2=24>>24. <<24+48=72>>72.\n#### 72", vec!["added", "missing"], vec![]),
            (
                "<<48÷2=24>>24. <<48＋24=72>>72.\n#### 72",
                vec!["unreadable", "unreadable", "missing", "missing"],
                vec![],
            ),
            ("<<48/2=24>>24.\n#### 72", vec!["missing"], vec!["missing"]),
            ("<<48/2=24>>24. <<48/2=24>> <<48+24=72>>72.\n#### 72", vec!["added"], vec!["added"]),
            (
                "<<2/48=24>>24. <<48+24=72>>72.\n#### 72",
                vec!["unequal", "missing"],
                vec!["unequal", "missing"],
            ),
            ("<<48/2=24>>24. <<48+24=72.\n#### 72", vec!["unclosed", "missing"], vec!["unclosed", "missing"]),
            ("<<48/2=24>>24. <<48+24=72>>72.\n#### 71", vec!["last-number"], vec!["last-number"]),
            ("<<48/2=24>>24. <<48+24=72>>72.\n#### -72", vec!["last-number"], vec!["last-number"]),
            ("<<48/2=24>>২৪. <<48+24=72>>72.\n#### 72", vec!["digits"], vec![]),
            ("<<48/2=24>>24. <<48+24=72>>72.\n#### ৭২", vec!["digits"], vec!["digits"]),
            (
                "<<৪৮/2=24>>24. <<48+24=72>>72.\n#### 72",
                vec!["unreadable", "missing", "digits"],
                vec!["unreadable", "missing"],
            ),
            ("", vec!["missing", "missing", "no-number"], vec!["missing", "missing", "no-number"]),
        ] {
            assert_eq!(kinds(translation, Strict), strict, "{translation}");
            assert_eq!(kinds(translation, Lenient), lenient, "{translation}");
        }
    }

    #[test]
    fn a_solution_is_checked_by_itself() {
        let kinds = |solution| -> Vec<&str> {
            check_solution(solution, "1,250", Strictness::Strict).iter().map(Finding::kind).collect()
        };
        assert_eq!(kinds("<<1000+250=1250>>1250\n#### 1250"), [""; 0]);
        assert_eq!(kinds("<<1000+250=1251>>1251\n#### 1,250."), ["unequal"]);
        assert_eq!(kinds("<<10%*2=0.2>> #### 1.250"), ["unreadable", "last-number"]);
        assert_eq!(equations("a <<2*3=6>>6 b <<6+1=7>>", Strictness::Strict).unwrap(), ["2*3=6", "6+1=7"]);
        assert_eq!(
            equations("a <<3*2=6>>6", Strictness::Lenient),
            equations("<<2*3=6>>", Strictness::Lenient)
        );
        assert_eq!(equations("a <<2*3=7>>", Strictness::Strict), None);
        assert_eq!(equations("none", Strictness::Strict), Some(Vec::new()));
    }

    #[test]
    fn the_last_number_has_its_sign_and_no_separators() {
        let last = |text| last_number(text).map(|(value, _)| value.to_string()).unwrap_or_default();
        for (text, expected) in [
            ("#### -5", "-5"),
            ("10-5", "5"),
            ("#### 12,345", "12345"),
            ("1, 2", "2"),
            ("0.5.", "1/2"),
            ("$.75", "3/4"),
            ("−3", "-3"),
            ("๑๒", "12"),
            ("no", ""),
        ] {
            assert_eq!(last(text), expected, "{text}");
        }
    }
}
