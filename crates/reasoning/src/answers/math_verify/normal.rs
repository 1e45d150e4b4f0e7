//! The rewriting of LaTeX before it is read.

use std::sync::LazyLock;

use regex::Regex;

use super::super::qwen25::UNITS;
use crate::answers::pattern;

/// Which boxes of a text count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Boxes {
    /// All of them, joined with commas.
    All,
    /// The last one and those that belong to it.
    Last,
}

/// Words that this checker knows as units and Qwen's does not.
const MORE_UNITS: &str =
    "integerpoint|sue|digit|pound|meal|edge|student|children ticket|multiple|m square|cent";

/// Rewritings in their order.
static STEPS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\\mathrm\{T\}", "T"),
        (r"\\mathrm\{d\}|\{\\rm d\}", "d"),
        (r"\\mathrm\{th\}|\\!\s*|\\text\s*\{\s*\}|\\?\$|\\displaystyle", ""),
        (r#"(^|[^\\])["']"#, "$1"),
        (r"\\math(?:rm|it|bf)\b|\\text(?:normal|bf|it|rm)\b", r"\text"),
        (r"\\[dtc]frac", r"\frac"),
        (r"\s\.", " 0."),
        (r"\{\.", "{0."),
        (r"~=", r"\approx"),
        (r"\s*\{\s*,\s*\}", ","),
        (r",?\s*\\text\{\s*(?:and|or)\s*\}", ","),
        (r",?\\ldots", " "),
        (r"\\text\{(?:percentage|percent|pct)\}", r"\%"),
        (r"\s*\b(?:percentage|percent|pct)\b", r"\%"),
        (r"([^\\a-zA-Z]|^)inf(?:inity)?", r"$1\infty "),
        (r" sqrt", r"\sqrt"),
        (r"(^|[^\\])\\\s", "$1 "),
        (r"[\n\t]", " "),
    ]
    .into_iter()
    .map(|(text, with)| (pattern(text), with))
    .collect()
});

/// Operators that are not written as LaTeX wants them.
static OPERATORS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\^\s?\((.*?)\)", "^{$1}"),
        (r"\\?sqrt\s?\((.*?)\)", r"\sqrt{$1}"),
        (r"\\frac\s?(\d)\s?(\d+)", r"\frac{$1}{$2}"),
        (r"\\log_\s?(\d)\s?(\d+)", r"\log_{$1}{$2}"),
        (r"\\frac\s?\{(.*?)\}\s?(\d)", r"\frac{$1}{$2}"),
        (r"\\frac\s?(\d)\s?\{(.*?)\}", r"\frac{$1}{$2}"),
        (r"\\sqrt\s?(\d)", r"\sqrt{$1}"),
    ]
    .into_iter()
    .map(|(text, with)| (pattern(text), with))
    .collect()
});

static UNIT: LazyLock<Regex> = LazyLock::new(|| {
    // As in Qwen's list, the dots of these words match anything.
    let words: Vec<&str> = UNITS.iter().copied().filter(|unit| !matches!(*unit, "a" | "percent")).collect();
    pattern(&format!(r"([\d}}\s])\s*(?:{}|{MORE_UNITS})(?:s|es)?\s*$", words.join("|")))
});

/// The text as it is read.
pub(super) fn rewritten(text: &str, boxes: Boxes) -> String {
    let mut text = boxed(text, boxes).unwrap_or_else(|| text.to_string());
    for (pattern, with) in STEPS.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text = commas_for_words(&text);
    if !text.contains("matrix") && text.contains("\\\\") {
        text = single_backslashes(&text);
    }
    text = without_unit(&text);
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    if text == "0.5" {
        text = "\\frac{1}{2}".into();
    }
    for (pattern, with) in OPERATORS.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text.trim().to_string()
}

/// The content of the boxes, found from the right; `None` without a box.
fn boxed(text: &str, boxes: Boxes) -> Option<String> {
    let mut contents: Vec<&str> = Vec::new();
    let (mut end, mut later_start) = (text.len(), None);
    while let Some(start) = text[..end].rfind("\\boxed").max(text[..end].rfind("\\fbox")) {
        let command = if text[start..].starts_with("\\boxed") { "\\boxed" } else { "\\fbox" };
        let rest = &text[start + command.len()..end];
        let inner = rest.trim_start();
        let at = start + command.len() + rest.len() - inner.len();
        let close = if inner.starts_with('{') { closing(inner) } else { None };
        let Some(close) = close else {
            // Without braces, or not closed: the rest, if it is the last box.
            if contents.is_empty() && !inner.is_empty() {
                contents.push(inner);
            }
            break;
        };
        let content = inner[1..close].trim();
        if let (Boxes::Last, Some(later), Some(next)) = (boxes, later_start, contents.last())
            && !belongs(&text[at + close + 1..later], content != *next)
        {
            break;
        }
        if contents.last() != Some(&content) {
            contents.push(content);
        }
        (end, later_start) = (start, Some(start));
        if contents.len() > 1000 {
            break;
        }
    }
    contents.reverse();
    (!contents.is_empty()).then(|| contents.join(","))
}

/// Whether a box belongs to the next one, by what stands between them.
fn belongs(between: &str, is_other: bool) -> bool {
    static WORDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(?:and|or)\b|,|;"));
    let length = between.chars().take(70).count();
    length < 10 || (is_other && length < 70 && WORDS.is_match(between))
}

/// The place of the brace that closes the one at the start; all braces count.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    text.bytes().enumerate().find_map(|(at, byte)| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => return None,
        }
        (depth == 0).then_some(at)
    })
}

/// `12 and 13` and `2 or 3` as lists with commas.
fn commas_for_words(text: &str) -> String {
    static WORDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(^|[^a-zA-Z])(,?\s*)(?:and|or)($|[^a-zA-Z])"));
    static COMMA: LazyLock<Regex> = LazyLock::new(|| pattern(r",?\s*\x00"));
    if !WORDS.is_match(text) {
        return text.to_string();
    }
    let marked = WORDS.replace_all(text, "$1$2\0$3");
    let marked = WORDS.replace_all(&marked, "$1$2\0$3").into_owned();
    COMMA.replace_all(&marked, ",").into_owned()
}

/// Two backslashes before a letter as one.
fn single_backslashes(text: &str) -> String {
    static DOUBLED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\\\([a-zA-Z])"));
    DOUBLED.replace_all(text, r"\$1").into_owned()
}

/// The text without a unit at its end, if something remains.
fn without_unit(text: &str) -> String {
    static EXPONENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:\^\d|\{\^\d\})$"));
    let mut text = text.to_string();
    let without = EXPONENT.replace(&text, "");
    if without.ends_with('}')
        && let Some(start) = without.find("\\text{").into_iter().chain(without.find("\\mbox{")).min()
    {
        let kept = without[..start].trim().to_string();
        if !kept.is_empty() {
            text = kept;
        }
    }
    for _ in 0..2 {
        let kept = UNIT.replace(&text, "$1").into_owned();
        if !kept.is_empty() {
            text = kept;
        }
    }
    text
}
