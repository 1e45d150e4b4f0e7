//! Minerva (Lewkowycz et al. 2022) as in lm-eval 0.4.13: words that look like units deleted, LaTeX rewritten, then
//! equal as text or the difference of both, read by sympy's LaTeX parser, simplifies to zero.

use std::sync::LazyLock;

use mathesis_symbolic::formula::{Formula, NamedConstant};
use regex::Regex;

use super::computer_algebra::{Notation, is_zero_difference, parse};
use super::{Extracted, Verdict};
use crate::answers::pattern;

const WORDS: &str = "square|ways|integers|dollars|mph|inches|ft|hours|km|units|sue|points|feet|minutes|digits|cents|\
                     degrees|cm|gm|pounds|meters|meals|edges|students|childrentickets|multiples";

pub(super) fn extract(response: &str) -> Option<Extracted> {
    let response = format!("{response}I hope it is correct.");
    const START: &str = "Final Answer: The final answer is";
    let at = response.find(START)? + START.len();
    let line = &response[at..];
    let end = line.find('\n').unwrap_or(line.len());
    // The end is `. I hope`, with anything for the point.
    let hope = line[..end].find("I hope it is correct")?;
    let before = line[..hope].trim_end();
    let answer = before.strip_suffix('.').unwrap_or(before).trim().to_string();
    Some(Extracted { answer, rule: "final answer sentence" })
}

fn normalised(text: &str) -> String {
    static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"\b(?:{WORDS})\b")));
    static LETTERS: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"\\[A-Za-z]+|{WORDS}")));
    static STEPS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
        [
            (r"(.*?)(\$)(.*?)(\$)(.*)", "$$$3$$"),
            (r"\\text\{(.*?)\}", "$1"),
            (r"\\textbf\{(.*?)\}", "$1"),
            (r"\\overline\{(.*?)\}", "$1"),
            (r"\\boxed\{(.*)\}", "$1"),
            (r"frac([^{])(.)", "frac{$1}{$2}"),
            (r"sqrt([^{\[])", "sqrt{$1}"),
            (r"\$", ""),
        ]
        .into_iter()
        .map(|(text, with)| (pattern(text), with))
        .collect()
    });
    static THOUSANDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^-?\d{1,3}(?:,\d{3})+$"));
    let mut text = WORD.replace_all(text.rsplit('=').next().unwrap_or(text), "").into_owned();
    for (from, to) in [
        ("an ", ""),
        ("a ", ""),
        (".$", "$"),
        ("\\$", ""),
        ("\\ ", ""),
        (" ", ""),
        ("mbox", "text"),
        (",\\text{and}", ","),
        ("\\text{and}", ","),
        ("\\text{m}", "\\text{}"),
    ] {
        text = text.replace(from, to);
    }
    // The words again, but not inside the names of commands.
    text = LETTERS
        .replace_all(
            &text,
            |found: &regex::Captures<'_>| {
                if found[0].starts_with('\\') { found[0].to_string() } else { String::new() }
            },
        )
        .into_owned();
    for removed in [
        "\\ldots",
        "\\dots",
        "\\text{s}",
        "\\text{.}",
        "\\text{\ns}",
        "\\text{}^2",
        "\\text{}^3",
        "\\text{\n}",
        "\\text{}",
        "\\mathrm{th}",
        "^\\circ",
        "^{\\circ}",
        "\\;",
        ",\\!",
        "{,}",
        "\"",
    ] {
        text = text.replace(removed, "");
    }
    for (pattern, with) in STEPS.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    if THOUSANDS.is_match(&text) { text.replace(',', "") } else { text }
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let (gold, answer) = (normalised(gold), normalised(answer));
    if gold.trim() == answer.trim() {
        return if gold.trim().is_empty() {
            Verdict::different("an empty answer never matches")
        } else {
            Verdict::equal("same text after rewriting")
        };
    }
    let is_infinity = |part: &Formula| matches!(part, Formula::Constant(NamedConstant::Infinity));
    match (parse(&gold, Notation::Latex), parse(&answer, Notation::Latex)) {
        // Infinity minus infinity is no number.
        (Some(gold), _) if gold.any(&is_infinity) => Verdict::different("infinity"),
        (Some(gold), Some(answer)) if is_zero_difference(&gold, &answer) => {
            Verdict::equal("equal by algebra")
        }
        (Some(_), Some(_)) => Verdict::different("not equal by algebra"),
        _ => Verdict::different("not parsed"),
    }
}
