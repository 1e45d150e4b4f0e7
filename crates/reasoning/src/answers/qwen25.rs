//! The evaluation of Qwen2.5-Math (Yang et al. 2024): a long sequence of rewritings, numbers to 1e-4 with or without
//! a factor of 100, brackets deleted, lists element by element, equations up to sign, then algebra.

use std::sync::LazyLock;

use mathesis_symbolic::formula::{Formula, Reading, Sign};
use regex::Regex;

use super::computer_algebra::{Notation, is_close, is_zero_difference, number, parse, python_float, sides};
use super::language::{ascii_digits, number_words};
use super::{Extracted, Verdict, hendrycks};
use crate::answers::pattern;

/// Words that are deleted where no letter or digit stands beside them; their plurals too.
pub(super) const UNITS: &[&str] = &[
    "east",
    "degree",
    "mph",
    "kmph",
    "ft",
    "m sqaure",
    " m east",
    "sq m",
    "deg",
    "mile",
    "q .",
    "monkey",
    "prime",
    "ratio",
    "profit of rs",
    "rd",
    "o",
    "gm",
    "p . m",
    "lb",
    "tile",
    "per",
    "dm",
    "lt",
    "gain",
    "ab",
    "way",
    "west",
    "a .",
    "b .",
    "c .",
    "d .",
    "e .",
    "f .",
    "g .",
    "h .",
    "t",
    "a",
    "h",
    "no change",
    "men",
    "soldier",
    "pie",
    "bc",
    "excess",
    "st",
    "inches",
    "noon",
    "percent",
    "by",
    "gal",
    "kmh",
    "c",
    "acre",
    "rise",
    "a . m",
    "th",
    "π r 2",
    "sq",
    "mark",
    "l",
    "toy",
    "coin",
    "sq . m",
    "gallon",
    "° f",
    "profit",
    "minw",
    "yr",
    "women",
    "feet",
    "am",
    "pm",
    "hr",
    "cu cm",
    "square",
    "v â € ™",
    "are",
    "rupee",
    "rounds",
    "cubic",
    "cc",
    "mtr",
    "s",
    "ohm",
    "number",
    "kmph",
    "day",
    "hour",
    "minute",
    "min",
    "second",
    "man",
    "woman",
    "sec",
    "cube",
    "mt",
    "sq inch",
    "mp",
    "∏ cm ³",
    "hectare",
    "more",
    "sec",
    "unit",
    "cu . m",
    "cm 2",
    "rs .",
    "rs",
    "kg",
    "g",
    "month",
    "km",
    "m",
    "cm",
    "mm",
    "apple",
    "liter",
    "loss",
    "yard",
    "pure",
    "year",
    "increase",
    "decrease",
    "d",
    "less",
    "Surface",
    "litre",
    "pi sq m",
    "s .",
    "metre",
    "meter",
    "inch",
];

pub(super) fn extract(response: &str) -> Option<Extracted> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"-?\d*\.?\d+"));
    static LINES: LazyLock<Regex> = LazyLock::new(|| pattern(r"\n\s*"));
    let response = response.replace("ки", "");
    let after =
        |phrase: &str| response.rfind(phrase).map(|at| response[at + phrase.len()..].trim().to_string());
    let minerva = response.split_once("final answer is $").filter(|_| response.contains("$. I hope"));
    let (answer, rule) = if let Some((_, rest)) = minerva {
        (rest.split("$. I hope").next().unwrap_or(rest).trim().to_string(), "final answer sentence")
    } else if let Some(at) = response.rfind("boxed") {
        (after_box(&response[at + "boxed".len()..]), "last box")
    } else if let Some(answer) = after("he answer is") {
        (answer, "after the answer phrase")
    } else if let Some(answer) = after("final answer is") {
        (answer, "after the answer phrase")
    } else if let Some((_, rest)) = response.split_once("答案是") {
        (rest.trim().split("\n\n").next().unwrap_or(rest).trim().to_string(), "after the answer phrase")
    } else {
        let text = response.replace(',', "");
        let last = NUMBER.find_iter(&text).last().map(|found| found.as_str().to_string());
        (last.unwrap_or_default(), "last number")
    };
    let mut answer = LINES.replace_all(&answer, "").into_owned();
    if let Some(rest) = answer.strip_prefix(':') {
        answer = rest.to_string();
    }
    for end in ['.', '/'] {
        if let Some(rest) = answer.strip_suffix(end) {
            answer = rest.to_string();
        }
    }
    // A box that is not closed may reach over megabytes.
    let answer = if answer.len() > 10_000 { answer } else { stripped(&answer) };
    (!answer.is_empty()).then_some(Extracted { answer, rule })
}

fn after_box(text: &str) -> String {
    let Some(inner) = text.strip_prefix('{') else {
        return text.split('$').next().unwrap_or(text).trim().to_string();
    };
    let mut depth = 1;
    let end = inner.char_indices().find_map(|(at, character)| {
        depth += match character {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    });
    inner[..end.unwrap_or(inner.len())].to_string()
}

struct Patterns {
    array: Regex,
    last_text: Regex,
    text: Regex,
    mbox: Regex,
    zeros_inside: Regex,
    zeros_at_end: Regex,
    root: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    array: pattern(r"\\begin\{array\}\{.*?\}"),
    last_text: pattern(r"\\text\{.*?\}$"),
    text: pattern(r"\\text\{(.*?)\}"),
    mbox: pattern(r"\\mbox\{.*?\}"),
    zeros_inside: pattern(r"(\d+)\.0*([^\d])"),
    zeros_at_end: pattern(r"(\d+)\.0*$"),
    root: pattern(r"\\sqrt(\w+)"),
});

/// The rewriting of an answer.
pub(super) fn stripped(text: &str) -> String {
    let patterns = &*PATTERNS;
    let mut text = text.trim().replace('\n', "").trim_end_matches('.').replace("\\!", "");
    text = patterns.array.replace_all(&text, r"\begin{pmatrix}").replace("\\end{array}", "\\end{pmatrix}");
    for (from, to) in [
        ("bmatrix", "pmatrix"),
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\neq", "\\ne"),
        ("\\leq", "\\le"),
        ("\\geq", "\\ge"),
        ("\\left", ""),
        ("\\right", ""),
        ("\\{", "{"),
        ("\\}", "}"),
    ] {
        text = text.replace(from, to);
    }
    let without = patterns.last_text.replace_all(&text, "").trim().to_string();
    if !without.is_empty() {
        text = without;
    }
    for _ in 0..2 {
        for plural in ["", "s"] {
            for unit in UNITS {
                if let Some(without) = without_word(&text, &format!("{unit}{plural}"))
                    && !without.is_empty()
                {
                    text = without;
                }
            }
        }
    }
    for deleted in ["^{\\circ}", "^\\circ", "\\$", "$", "\\(", "\\)"] {
        text = text.replace(deleted, "");
    }
    if let Some(number) = number_words(&text) {
        text = number.to_string();
    }
    text = patterns.text.replace_all(&text, "$1").into_owned();
    for name in ["x=", "y=", "z=", "x\\in", "y\\in", "z\\in", "x\\to", "y\\to", "z\\to"] {
        text = text.replace(name, "");
    }
    for (from, to) in [
        ("\\emptyset", "{}"),
        ("(-\\infty,\\infty)", "\\mathbb{R}"),
        ("\\%", ""),
        ("%", ""),
        (" .", " 0."),
        ("{.", "{0."),
        ("infinity", "\\infty"),
    ] {
        text = text.replace(from, to);
    }
    if !text.contains("\\infty") {
        text = text.replace("inf", "\\infty");
    }
    text = text.replace("and", "").replace("\\mathbf", "");
    text = patterns.mbox.replace_all(&text, "").into_owned();
    if text.contains('j') && !text.contains('i') {
        text = text.replace('j', "i");
    }
    text = patterns.zeros_inside.replace_all(&text, "$1$2").into_owned();
    text = patterns.zeros_at_end.replace_all(&text, "$1").into_owned();
    if text.is_empty() {
        return text;
    }
    text = hendrycks::without_short_left_side(text);
    text = patterns.root.replace_all(&text, r"\sqrt{$1}").replace(' ', "");
    slashed(&hendrycks::braced_fractions(&text))
}

/// The text without the places of a word that has no letter or digit beside it; `None` if there is none. As in the
/// original, where it is a regular expression `(^|\W)word($|\W)`, a dot in the word matches anything, and the characters
/// beside one place do not count for the next.
fn without_word(text: &str, word: &str) -> Option<String> {
    let is_literal = !word.contains('.');
    if is_literal && !text.contains(word) {
        return None;
    }
    let word: Vec<char> = word.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let is_beside = |at: usize| text.get(at).is_none_or(|c| !(c.is_alphanumeric() || *c == '_'));
    let is_at = |at: usize| {
        let part = text.get(at..at + word.len());
        part.is_some_and(|part| part.iter().zip(&word).all(|(c, w)| c == w || *w == '.'))
            && is_beside(at + word.len())
    };
    let (mut kept, mut at, mut is_found) = (String::new(), 0, false);
    while at < text.len() {
        let before = if at == 0 && is_at(0) {
            0
        } else if is_beside(at) && is_at(at + 1) {
            1
        } else {
            kept.push(text[at]);
            at += 1;
            continue;
        };
        is_found = true;
        let end = (at + before + word.len() + 1).min(text.len());
        kept.extend(&text[at..at + before]);
        kept.extend(&text[at + before + word.len()..end]);
        at = end;
    }
    is_found.then_some(kept)
}

fn slashed(text: &str) -> String {
    let is_side = |part: &str| {
        part.contains("sqrt") || part.parse::<i64>().is_ok_and(|value| value.to_string() == part)
    };
    match text.split_once('/') {
        Some((above, below)) if !below.contains('/') && is_side(above) && is_side(below) => {
            format!("\\frac{{{above}}}{{{below}}}")
        }
        _ => text.to_string(),
    }
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let (gold, answer) = (stripped(gold), stripped(answer));
    if math_equal(&answer, &gold, 0) {
        Verdict::equal("equal after rewriting, as numbers, or by algebra")
    } else {
        Verdict::different("neither as text nor as numbers nor by algebra")
    }
}

fn digits(text: &str) -> Option<f64> {
    let text = text.replace(',', "");
    python_float(&text).or_else(|| {
        let number = text.strip_suffix('%')?;
        python_float(number.strip_suffix('\\').unwrap_or(number)).map(|value| value / 100.0)
    })
}

fn choice(text: &str) -> Option<String> {
    static CHOICE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(A|B|C|D|E)\b"));
    CHOICE.find_iter(&text.to_uppercase()).last().map(|found| found.as_str().to_string())
}

fn is_bracketed(text: &str, open: char, close: char) -> bool {
    text.starts_with(open) && text.ends_with(close)
}

fn is_list(text: &str) -> bool {
    text.starts_with(['(', '[']) && text.chars().skip(2).any(|c| matches!(c, ')' | ']'))
}

fn math_equal(answer: &str, gold: &str, depth: usize) -> bool {
    if depth > 8 {
        return false;
    }
    if answer.trim().to_lowercase() == gold.trim().to_lowercase() {
        return true;
    }
    if matches!(gold, "A" | "B" | "C" | "D" | "E") && choice(answer).as_deref() == Some(gold) {
        return true;
    }
    if let (Some(a), Some(g)) = (digits(answer), digits(gold))
        && [g / 100.0, g, g * 100.0].iter().any(|g| is_close(*g, a, 1e-4))
    {
        return true;
    }
    if answer.is_empty() {
        return false;
    }
    let (answer, mut gold) = (answer.trim().to_string(), gold.trim().to_string());
    if answer.contains("pmatrix") && !gold.contains("pmatrix") {
        gold = match (gold.find('{'), gold.rfind('}')) {
            (Some(start), Some(end)) if start < end && gold[start..end].contains(',') => {
                let inner = gold[start..=end].trim_matches(['{', '}']).replace(',', "\\");
                format!("\\begin{{pmatrix}}{inner}\\end{{pmatrix}}")
            }
            _ => String::new(),
        };
    }
    let (mut a, mut g) = (answer.clone(), gold.clone());
    let brackets = ['[', ']', '(', ')'];
    if (is_bracketed(&a, '[', ']') && !is_bracketed(&g, '(', ')'))
        || (is_bracketed(&a, '(', ')') && !is_bracketed(&g, '[', ']'))
    {
        (a, g) = (a.trim_matches(brackets).to_string(), g.trim_matches(brackets).to_string());
    }
    let without = |text: &str| text.replace(['{', '}', '(', ')'], "").to_lowercase();
    if without(&a) == without(&g) {
        return true;
    }
    if is_list(&answer) && is_list(&gold) {
        let parts = |text: &str| -> Vec<String> {
            let inner: String = text.chars().skip(1).collect();
            let inner = inner.char_indices().last().map_or("", |(at, _)| &inner[..at]).to_string();
            inner.split(',').map(str::to_string).collect()
        };
        let (a, g) = (parts(&answer), parts(&gold));
        return a.len() == g.len() && a.iter().zip(&g).all(|(a, g)| math_equal(a, g, depth + 1));
    }
    let rows = |text: &str| -> Option<Vec<Vec<String>>> {
        let inner = text.strip_prefix("\\begin{pmatrix}")?.strip_suffix("\\end{pmatrix}")?;
        let rows = inner.split("\\\\").map(str::trim).filter(|row| !row.is_empty());
        Some(rows.map(|row| row.split('&').map(str::to_string).collect()).collect())
    };
    if let (Some(a), Some(g)) = (rows(&answer), rows(&gold)) {
        return a.len() == g.len()
            && a.iter().zip(&g).all(|(a, g)| {
                a.len() == g.len() && a.iter().zip(g).all(|(a, g)| math_equal(a, g, depth + 1))
            });
    }
    let equals = |text: &str| text.matches('=').count();
    let short = |text: &str| -> Option<String> {
        let (left, right) = text.split_once('=')?;
        (equals(text) == 1 && left.trim().chars().count() <= 2).then(|| right.to_string())
    };
    if equals(&answer) == 1 && equals(&gold) == 1 {
        let difference = |text: &str| {
            text.split_once('=').map(|(left, right)| format!("{} - ({})", left.trim(), right.trim()))
        };
        return match (difference(&answer), difference(&gold)) {
            (Some(a), Some(g)) => symbolic_equal(&a, &g) || symbolic_equal(&format!("-({a})"), &g),
            _ => false,
        };
    }
    if let (Some(value), 0) = (short(&answer), equals(&gold)) {
        return math_equal(&value, &gold, depth + 1);
    }
    if let (Some(value), 0) = (short(&gold), equals(&answer)) {
        return math_equal(&answer, &value, depth + 1);
    }
    symbolic_equal(&answer, &gold)
}

fn symbolic_equal(answer: &str, gold: &str) -> bool {
    // Braces with several things in them are sets of Python.
    let set = |text: &str| match Formula::read(text, Reading::default()) {
        Ok(Formula::Set(items)) => Some(items),
        _ => None,
    };
    if let (Some(a), Some(g)) = (set(answer), set(gold)) {
        let is_in =
            |item: &Formula, items: &[Formula]| items.iter().any(|other| is_zero_difference(item, other));
        return a.iter().all(|item| is_in(item, &g)) && g.iter().all(|item| is_in(item, &a));
    }
    let read = |text: &str| {
        let text = ascii_digits(text);
        parse(&text, Notation::Latex).or_else(|| parse(&text, Notation::Plain))
    };
    let (Some(a), Some(g)) = (read(answer), read(gold)) else { return false };
    if is_zero_difference(&a, &g) {
        return true;
    }
    if let (Some((b, c, _)), Some((h, k, _))) = (sides(&a), sides(&g)) {
        let difference =
            |x: &Formula, y: &Formula| Formula::Sum(vec![(Sign::Plus, x.clone()), (Sign::Minus, y.clone())]);
        // The sign of an inequality does not count: |left - right| is compared.
        return is_zero_difference(&difference(b, c), &difference(h, k))
            || is_zero_difference(&difference(b, c), &difference(k, h));
    }
    matches!((number(&a), number(&g)), (Some(a), Some(g)) if is_close(a, g, 1e-4))
}
