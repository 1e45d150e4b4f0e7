//! CARP (Zhang et al. 2023): blanks, commas and signs of percent and dollars deleted, then equal as text or by algebra;
//! an equation equals its right side.

use std::sync::LazyLock;

use mathesis_symbolic::formula::{Formula, NamedConstant, Relation};
use regex::Regex;

use super::computer_algebra::{Notation, is_zero_difference, parse, sides};
use super::{Extracted, Verdict, strict};
use crate::answers::pattern;

pub(super) fn extract(response: &str) -> Option<Extracted> {
    let behind = |phrase: &str| {
        let (_, answer) = response.rsplit_once(phrase)?;
        let answer = answer.trim().trim_end_matches(['.', '。']).to_string();
        Some(Extracted { answer, rule: "after the answer phrase" })
    };
    if let Some(found) = ["答案是：", "The answer is: "].into_iter().find_map(behind) {
        return Some(found);
    }
    if response.contains("\\boxed") {
        return strict::extract(response, None);
    }
    ["答案为", "答案是:"].into_iter().find_map(behind)
}

fn cleaned(text: &str) -> String {
    cleaned_keeping_commas(text).replace(',', "")
}

fn cleaned_keeping_commas(text: &str) -> String {
    static STEPS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
        [
            (r"\\+", r"\"),
            (r"\^\s?\((.*?)\)", "^{$1}"),
            (r"\\frac\s?(\d)\s?(\d+)", r"\frac{$1}{$2}"),
            (r"\\log_\s?(\d)\s?(\d+)", r"\log_{$1}{$2}"),
            (r"\\frac\s?\{(.*?)\}\s?(\d)", r"\frac{$1}{$2}"),
            (r"\\frac\s?(\d)\s?\{(.*?)\}", r"\frac{$1}{$2}"),
            (r"\\sqrt\s?(\d)", r"\sqrt{$1}"),
            (r"sqrt\s?\((\d+)\)", r"\sqrt{$1}"),
            (r"sqrt\s?\((.*?)\)", r"\sqrt{$1}"),
        ]
        .into_iter()
        .map(|(text, with)| (pattern(text), with))
        .collect()
    });
    let mut text = text.to_string();
    for (from, to) in [
        (" . ", "."),
        (". ", "."),
        ("**", "^"),
        ("\\pm", ""),
        ("*", "\\times "),
        ("\\\\", "\\"),
        ("\\ne ", "\\neq "),
        ("!=", "\\neq"),
        (">=", "\\ge"),
        ("<=", "\\le"),
        ("≠", "\\neq"),
        ("dfrac", "frac"),
        ("tfrac", "frac"),
        ("\\$", ""),
        ("$", ""),
        ("\\%", ""),
        ("%", ""),
        ("\\!", ""),
        ("^\\circ", "\\times \\pi / 180"),
        ("//", "/"),
        ("\"", ""),
    ] {
        text = text.replace(from, to);
    }
    for (pattern, with) in STEPS.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text.replace(" sqrt", "\\sqrt").replace("\\left", "").replace("\\right.", "").replace("\\right", "")
}

/// The formula that the benchmark's parser makes of a text, every letter a symbol; `None` where it fails.
pub(crate) fn read(text: &str) -> Option<Formula> {
    let text = cleaned_keeping_commas(text);
    // No letters make a word or the name of a function there: they are set apart, commands left whole.
    let mut apart = String::with_capacity(text.len() + 8);
    let (mut is_command, mut is_after_letter) = (false, false);
    for c in text.chars() {
        is_command = c == '\\' || (is_command && c.is_ascii_alphabetic());
        if is_after_letter && c.is_ascii_alphabetic() && !is_command {
            apart.push(' ');
        }
        is_after_letter = c.is_ascii_alphabetic();
        apart.push(c);
    }
    parse(&apart, Notation::LatexTwice)
}

/// Whether two formulae have the same free symbols and the same value, or are the same relation.
pub(crate) fn is_same(left: &Formula, right: &Formula) -> bool {
    if left == right {
        return true;
    }
    if left.symbols() != right.symbols() {
        return false;
    }
    match (sides(left), sides(right)) {
        (Some((a, b, relation)), Some((c, d, other))) => {
            let is_same_order = relation == other && is_zero_difference(a, c) && is_zero_difference(b, d);
            let is_turned = || is_zero_difference(a, d) && is_zero_difference(b, c);
            is_same_order || (Some(relation) == other.mirrored() && is_turned())
        }
        (None, None) => is_zero_difference(left, right),
        _ => false,
    }
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let (gold, answer) = (cleaned(gold), cleaned(answer));
    if gold.replace(' ', "") == answer.replace(' ', "") {
        return Verdict::equal("same text after rewriting");
    }
    let read = |text: &str| {
        let formula = parse(text, Notation::LatexTwice)?;
        Some(formula.replace(&|part| match part {
            Formula::Symbol(name) if name == "i" => Some(Formula::Constant(NamedConstant::I)),
            Formula::Symbol(name) if name == "pi" => Some(Formula::Constant(NamedConstant::Pi)),
            _ => None,
        }))
    };
    let (Some(gold), Some(answer)) = (read(&gold), read(&answer)) else {
        return Verdict::different("not parsed");
    };
    let is_value_of = |equation: &Formula, number: &Formula| match sides(equation) {
        Some((_, right, Relation::Equal)) => {
            right.symbols().is_empty() && number.symbols().is_empty() && is_zero_difference(right, number)
        }
        _ => false,
    };
    if is_value_of(&gold, &answer) || is_value_of(&answer, &gold) {
        return Verdict::equal("right side of an equation");
    }
    if gold.symbols() != answer.symbols() {
        return Verdict::different("different symbols");
    }
    let is_equal = match (sides(&gold), sides(&answer)) {
        (Some((a, b, relation)), Some((c, d, other))) => {
            (relation == other && is_zero_difference(a, c) && is_zero_difference(b, d))
                || (Some(relation) == other.mirrored()
                    && relation != Relation::Equal
                    && is_zero_difference(a, d)
                    && is_zero_difference(b, c))
        }
        _ => gold == answer || is_zero_difference(&gold, &answer),
    };
    if is_equal { Verdict::equal("equal by algebra") } else { Verdict::different("not equal by algebra") }
}
