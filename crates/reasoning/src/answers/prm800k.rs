//! The grader of PRM800K (Lightman et al. 2023): correct if the normaliser of MATH says so, or if its own rewriting
//! makes the texts equal, or if all elements of a tuple are equal by algebra. Fractions must be in lowest terms.

use std::sync::LazyLock;

use regex::Regex;

use super::computer_algebra::{Notation, is_zero_difference, parse, python_float};
use super::{Verdict, hendrycks};
use crate::answers::pattern;

struct Patterns {
    text: Regex,
    units: Vec<Regex>,
    circle: Regex,
    thin_comma: Regex,
    minus: Regex,
    mixed: Regex,
    comma: Regex,
    fraction: Regex,
    large_power: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    const UNITS: [&str; 16] = [
        "degree",
        "cm",
        "centimeter",
        "meter",
        "mile",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "month",
        "year",
        "foot",
        "feet",
        "inch",
        "yard",
    ];
    let units: Vec<Regex> =
        UNITS.iter().map(|unit| pattern(&format!(r"{unit}(es)?(s)? *(\^[0-9]+)?"))).collect();
    Patterns {
        text: pattern(r"^\\text\{(.+?)\}$"),
        units,
        circle: pattern(r"\^ *\\circ"),
        thin_comma: pattern(r",\\! *"),
        minus: pattern("- *"),
        mixed: pattern("([0-9]) +([0-9])"),
        comma: pattern(r"(\d)(,)(\d\d\d)($|\D)"),
        fraction: pattern(r"^-?[0-9]+.?/0*[1-9][0-9]*.?$"),
        large_power: pattern(r"\^[0-9]+\^|\^[0-9][0-9]+"),
    }
});

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let patterns = &*PATTERNS;
    let of_math = |text: &str| {
        let inner =
            patterns.text.captures(text.trim()).map_or(text.trim().to_string(), |found| found[1].to_string());
        let inner = inner.trim().to_string();
        hendrycks::normalised(&inner).unwrap_or(inner)
    };
    if of_math(gold) == of_math(answer) {
        return Verdict::equal("same text after the rewriting of MATH");
    }
    let (gold, answer) = (normalised(gold, patterns), normalised(answer, patterns));
    if gold == answer {
        return Verdict::equal("same text after rewriting");
    }
    if answer.is_empty() {
        return Verdict::different("empty");
    }
    let (golds, answers) = (elements(&gold, patterns), elements(&answer, patterns));
    if golds.len() > 1
        && (gold.chars().next() != answer.chars().next() || gold.chars().last() != answer.chars().last())
    {
        return Verdict::different("different brackets");
    }
    if golds.len() != answers.len() || golds.is_empty() {
        return Verdict::different("different numbers of elements");
    }
    let is_equal = golds.iter().zip(&answers).all(|(gold, answer)| {
        if patterns.fraction.is_match(gold) && patterns.fraction.is_match(answer) {
            gold == answer
        } else if integer(gold, patterns).is_some() != integer(answer, patterns).is_some() {
            false
        } else {
            is_equal_by_algebra(gold, answer, patterns)
        }
    });
    if is_equal { Verdict::equal("equal by algebra") } else { Verdict::different("not equal by algebra") }
}

fn is_equal_by_algebra(gold: &str, answer: &str, patterns: &Patterns) -> bool {
    let expression = format!("({gold})-({answer})");
    let names = expression.replace("sqrt", "").replace("frac", "");
    let mut letters: Vec<char> = names.chars().filter(|c| c.is_alphabetic()).collect();
    letters.sort_unstable();
    letters.dedup();
    let is_refused =
        expression.contains("^{") || expression.contains("^(") || patterns.large_power.is_match(&expression);
    if letters.len() > 2 || is_refused {
        return false;
    }
    match (parse(gold, Notation::Plain), parse(answer, Notation::Plain)) {
        (Some(gold), Some(answer)) => is_zero_difference(&gold, &answer),
        _ => false,
    }
}

fn without_commas(text: &str, patterns: &Patterns) -> String {
    let mut text = text.to_string();
    loop {
        let next = patterns.comma.replace_all(&text, "$1$3$4").into_owned();
        if next == text {
            return text;
        }
        text = next;
    }
}

fn integer(text: &str, patterns: &Patterns) -> Option<f64> {
    let value = python_float(&without_commas(text, patterns))?;
    (value.is_finite() && (value - value.round()).abs() <= 1e-7).then_some(value)
}

fn elements(text: &str, patterns: &Patterns) -> Vec<String> {
    let text = without_commas(text, patterns);
    let is_bracket = |c: char| matches!(c, '(' | ')' | '[' | ']');
    let characters: Vec<char> = text.chars().collect();
    match characters.as_slice() {
        [] => Vec::new(),
        [first, inner @ .., last]
            if !inner.is_empty()
                && is_bracket(*first)
                && is_bracket(*last)
                && !inner.iter().any(|c| is_bracket(*c)) =>
        {
            inner.iter().collect::<String>().split(',').map(|part| part.trim().to_string()).collect()
        }
        _ => vec![text],
    }
}

fn normalised(text: &str, patterns: &Patterns) -> String {
    let mut text = patterns.text.captures(text).map_or(text.to_string(), |found| found[1].to_string());
    for (from, to) in [
        ("\\%", "%"),
        ("\\$", "$"),
        ("$", ""),
        ("%", ""),
        (" or ", " , "),
        (" and ", " , "),
        ("million", "*10^6"),
        ("billion", "*10^9"),
        ("trillion", "*10^12"),
    ] {
        text = text.replace(from, to);
    }
    for unit in &patterns.units {
        text = unit.replace_all(&text, "").into_owned();
    }
    text = patterns.circle.replace_all(&text, "").into_owned();
    if text.starts_with('{') && text.ends_with('}') && text.len() >= 2 {
        text = text[1..text.len() - 1].to_string();
    }
    text = patterns.thin_comma.replace_all(&text, "").into_owned();
    if let Some(value) =
        python_float(&text).filter(|value| value.is_finite() && (value - value.round()).abs() <= 1e-7)
    {
        text = format!("{:.0}", value.round() + 0.0);
    }
    if text.contains('\\') {
        text = unicode_text(&text);
    }
    text = patterns.minus.replace_all(&text, "-").into_owned();
    text = patterns.mixed.replace_all(&text, "$1+$2").into_owned();
    text = text.replace([' ', '{', '}'], "").to_lowercase();
    if let Some(value) = integer(&text, patterns) {
        text = format!("{:.0}", value.trunc() + 0.0);
    }
    text
}

/// LaTeX as plain text with Unicode symbols, as the converter of the original writes it.
fn unicode_text(text: &str) -> String {
    let text = text.replace("\\tfrac", "\\frac").replace("\\dfrac", "\\frac").replace("\\frac", " \\frac");
    let characters: Vec<char> = text.chars().collect();
    let mut result = String::new();
    convert(&characters, &mut 0, &mut result, false, 0);
    for (from, to) in [("√", "sqrt"), ("π", "pi"), ("∞", "inf"), ("∪", "U"), ("·", "*"), ("×", "*")]
    {
        result = result.replace(from, to);
    }
    result.trim().to_string()
}

/// Convert up to the end, or up to the brace that closes the group.
fn convert(characters: &[char], at: &mut usize, result: &mut String, in_group: bool, depth: usize) {
    while let Some(&character) = characters.get(*at) {
        *at += 1;
        match character {
            '}' if in_group => return,
            '{' if depth < 100 => convert(characters, at, result, true, depth + 1),
            '{' | '}' | '$' => {}
            '\\' => {
                let length = characters[*at..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
                let name: String = characters[*at..*at + length].iter().collect();
                *at += length;
                if length == 0 {
                    match characters.get(*at) {
                        Some(',' | ';' | ' ' | ':') => result.push(' '),
                        Some('\\') => result.push(';'),
                        Some('!') | None => {}
                        Some(other) => result.push(*other),
                    }
                    *at += 1;
                    continue;
                }
                command(&name, characters, at, result, depth);
            }
            '~' | '&' => result.push(' '),
            other => result.push(other),
        }
    }
}

fn argument(characters: &[char], at: &mut usize, depth: usize) -> String {
    while characters.get(*at) == Some(&' ') {
        *at += 1;
    }
    let mut result = String::new();
    match characters.get(*at) {
        Some('{') if depth < 100 => {
            *at += 1;
            convert(characters, at, &mut result, true, depth + 1);
        }
        Some('\\') if depth < 100 => {
            let length = characters[*at + 1..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
            let name: String = characters[*at + 1..*at + 1 + length].iter().collect();
            *at += 1 + length;
            command(&name, characters, at, &mut result, depth + 1);
        }
        Some(other) => {
            result.push(*other);
            *at += 1;
        }
        None => {}
    }
    result
}

fn command(name: &str, characters: &[char], at: &mut usize, result: &mut String, depth: usize) {
    if depth > 100 {
        return;
    }
    match name {
        "frac" => {
            let above = argument(characters, at, depth + 1);
            let below = argument(characters, at, depth + 1);
            result.push_str(&format!("{above}/{below}"));
        }
        "sqrt" => {
            if characters.get(*at) == Some(&'[')
                && let Some(end) = characters[*at..].iter().position(|c| *c == ']')
            {
                *at += end + 1;
            }
            let inner = argument(characters, at, depth + 1);
            result.push_str(&format!("√({inner})"));
        }
        "text" | "textbf" | "mathrm" | "mbox" | "overline" | "mathbf" | "textit" | "boxed" => {
            result.push_str(&argument(characters, at, depth + 1))
        }
        "begin" | "end" => {
            let environment = argument(characters, at, depth + 1);
            // A matrix is written in brackets of its own.
            result.push_str(match (name, environment.contains("matrix")) {
                ("begin", true) => "[ ",
                (_, true) => " ]",
                _ => "",
            });
        }
        "left" | "right" | "displaystyle" | "quad" => {}
        _ => {
            let symbol = match name {
                "pi" => "π",
                "infty" => "∞",
                "cup" => "∪",
                "cdot" => "·",
                "times" => "×",
                "le" | "leq" => "≤",
                "ge" | "geq" => "≥",
                "ne" | "neq" => "≠",
                "pm" => "±",
                "in" => "∈",
                "emptyset" => "∅",
                "alpha" => "α",
                "beta" => "β",
                "theta" => "θ",
                "approx" => "≈",
                "setminus" => "∖",
                "circ" => "∘",
                other => {
                    // Names of functions are kept, unknown commands dropped.
                    const FUNCTIONS: [&str; 14] = [
                        "sin", "cos", "tan", "cot", "sec", "csc", "ln", "log", "exp", "arcsin", "arccos",
                        "arctan", "min", "max",
                    ];
                    if FUNCTIONS.contains(&other) {
                        result.push_str(other);
                    }
                    // A blank after a function's name belongs to the name.
                    while characters.get(*at) == Some(&' ') {
                        *at += 1;
                    }
                    return;
                }
            };
            result.push_str(symbol);
        }
    }
}
