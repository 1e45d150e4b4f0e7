//! What kind of answer it is, by its form; and the level of a question, by the forum that it stands in.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::answers::pattern;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerType {
    /// `-3`.
    Integer,
    /// `\frac{1}{2}`, `1/2`, `1\frac{1}{2}`.
    Fraction,
    /// `0.5`.
    Decimal,
    /// A number with roots, π, e or values of functions.
    Irrational,
    /// Something with a sign of equality or order.
    Equation,
    /// A formula with variables, or a number that is not worked out.
    Expression,
    /// `\{1, 2\}`.
    SetList,
    /// `(1, 2)`.
    Tuple,
    /// `1, 2`.
    List,
    /// Yes or no, true or false.
    YesNo,
    /// There is no solution.
    NoSolution,
    /// Infinitely many, or infinity.
    Infinite,
    /// `5 \text{ cm}`, `50\%`, `30^\circ`.
    NumberWithUnit,
    /// `1,000`.
    NumberWithCommas,
    /// `2:3`.
    Ratio,
    /// `n`, `x_1`.
    Variable,
    /// Words.
    String,
}

/// The four kinds of answers of training pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// A number.
    RealNumber,
    /// An equation or an order.
    Equation,
    /// Several values.
    TupleOrList,
    /// Anything else.
    String,
}

struct Patterns {
    spacing: Regex,
    word: Regex,
    integer: Regex,
    commas: Regex,
    decimal: Regex,
    fraction: Regex,
    ratio: Regex,
    unit: Regex,
    variable: Regex,
    functions: Regex,
    numeric: Regex,
    order: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let number = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:\\frac\{\d+\}\{\d+\}|/\d+)?";
    Patterns {
        spacing: pattern(r"\\[,;:! ]|\\q?quad|~"),
        word: pattern(r"[A-Za-z]{4,}|\b(?:all|any|the|odd|and|or|is|if|no)\b"),
        integer: pattern(r"^[-+]?\d+$"),
        commas: pattern(r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"),
        decimal: pattern(r"^[-+]?\d*\.\d+(?:\.\.\.|\\l?dots)?$"),
        fraction: pattern(r"^[-+]?\d*(?:\\frac\{[-+]?\d+\}\{[-+]?\d+\}|\\frac\d\d)$|^[-+]?\d+ ?/ ?\d+$"),
        ratio: pattern(r"^\d+(?:\.\d+)?(?: ?: ?\d+(?:\.\d+)?)+$"),
        unit: pattern(&format!(
            r"^(?:\\\$|€|£)?{number} ?(?:\\?%|\^\{{?\\circ\}}?|°|(?:\\text|\\mathrm|\\mbox) ?\{{.*\}}|(?:[a-z]{{1,3}}|degrees?|minutes?|hours?|seconds?|days?|meters?|metres?|inch(?:es)?|feet|units?|square units|percent|dollars|cents))(?:\^\{{?[23]\}}?)?$|^(?:\\\$|€|£) ?{number}$"
        )),
        variable: pattern(r"^-?(?:[A-Za-z]|\\[a-z]+)(?:_(?:\w|\{\w+\}))?$"),
        functions: pattern(r"\\(?:sqrt|ln|log|sin|cos|tan|cot|sec|csc|arctan|arcsin|arccos|exp|pi)|π|√"),
        numeric: pattern(
            r"\\(?:sqrt|ln|log|sin|cos|tan|cot|sec|csc|arctan|arcsin|arccos|exp|pi|frac|cdot|times|circ)|[\de+\-*/^{}()\[\]. !|π√]",
        ),
        order: pattern(
            r"\\(?:leq?|geq?|lt|gt|neq?|equiv|approx|in|mid|leqslant|geqslant|ll|gg)(?:[^A-Za-z]|$)|[=<>≤≥≠]",
        ),
    }
});

impl AnswerType {
    /// The type of an answer, which is the content of a box.
    pub fn of(answer: &str) -> AnswerType {
        use AnswerType::*;
        let patterns = &*PATTERNS;
        let mut text = answer.replace(['$', '\n'], if answer.contains("\\$") { "$" } else { "" });
        for (from, to) in [
            ("\\left\\{", "\\{"),
            ("\\right\\}", "\\}"),
            ("\\left", ""),
            ("\\right", ""),
            ("\\displaystyle", ""),
            ("dfrac", "frac"),
            ("tfrac", "frac"),
            ("{,}", ","),
            (",\\!", ","),
        ] {
            text = text.replace(from, to);
        }
        let text = patterns.spacing.replace_all(&text, " ");
        let text = text.trim().trim_end_matches('.').trim();
        let words = words(text);
        match words.as_str() {
            "yes" | "no" | "true" | "false" => return YesNo,
            "infinite" | "infinity" | "infinitely many" | "\\infty" | "+\\infty" | "-\\infty" | "∞" => {
                return Infinite;
            }
            "none" | "\\emptyset" | "\\varnothing" | "∅" | "dne" | "impossible" | "undefined" => {
                return NoSolution;
            }
            _ if [
                "no solution",
                "no such",
                "no real",
                "no integer",
                "does not exist",
                "do not exist",
                "not possible",
            ]
            .iter()
            .any(|phrase| words.contains(phrase)) =>
            {
                return NoSolution;
            }
            _ if words.contains("infinitely many") => return Infinite,
            _ => {}
        }
        if text.starts_with("\\{") && text.ends_with("\\}") {
            return SetList;
        }
        if patterns.commas.is_match(text) {
            return NumberWithCommas;
        }
        if is_bracketed(text) && has_top_level_comma(&text[1..text.len() - 1]) {
            return Tuple;
        }
        if patterns.unit.is_match(text) && text.bytes().any(|byte| byte.is_ascii_digit()) && !is_product(text)
        {
            return NumberWithUnit;
        }
        if has_top_level_comma(text) || text.contains("\\text{ and }") || text.contains("\\text{ or }") {
            return List;
        }
        if patterns.order.is_match(text) {
            return Equation;
        }
        if patterns.integer.is_match(text) {
            return Integer;
        }
        if patterns.decimal.is_match(text) {
            return Decimal;
        }
        if patterns.fraction.is_match(text) {
            return Fraction;
        }
        if patterns.ratio.is_match(text) {
            return Ratio;
        }
        let is_constant = matches!(text.trim_start_matches('-'), "e" | "\\pi" | "π");
        if is_constant || patterns.functions.is_match(text) && is_numeric(text) {
            return Irrational;
        }
        if patterns.variable.is_match(text) {
            return Variable;
        }
        let bare = without_commands(text);
        if text.contains("\\text{") || patterns.word.is_match(&bare) || text.is_empty() {
            return String;
        }
        Expression
    }

    /// The kind of training answers that it belongs to.
    pub fn category(self) -> Category {
        use AnswerType::*;
        match self {
            Integer | Fraction | Decimal | Irrational | NumberWithUnit | NumberWithCommas | Ratio => {
                Category::RealNumber
            }
            Equation => Category::Equation,
            SetList | Tuple | List => Category::TupleOrList,
            Expression | YesNo | NoSolution | Infinite | Variable | String => Category::String,
        }
    }

    /// The name in files.
    pub fn name(self) -> std::string::String {
        let name = serde_json::to_value(self).ok();
        name.and_then(|name| name.as_str().map(str::to_string)).unwrap_or_default()
    }
}

/// The level of a question in the tables of the leaderboard, by the name of its forum.
pub fn level(forum: &str) -> &'static str {
    let forum = forum.to_lowercase();
    let levels = [
        ("olympiad", "High School Olympiad"),
        ("middle school", "Middle School"),
        ("high school", "High School"),
        ("college", "College"),
    ];
    levels.into_iter().find(|(word, _)| forum.contains(word)).map_or("Others", |(_, level)| level)
}

/// The text in lower case, the words of `\text{...}` without their frame.
fn words(text: &str) -> String {
    static FRAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\(?:text|mathrm|mbox|textbf) ?\{([^{}]*)\}"));
    FRAME.replace_all(text, "$1").trim().to_lowercase()
}

/// The text without the names of commands.
fn without_commands(text: &str) -> String {
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\[A-Za-z]+"));
    COMMAND.replace_all(text, " ").into_owned()
}

/// Whether nothing but numbers, constants, functions and signs stands in a text.
fn is_numeric(text: &str) -> bool {
    PATTERNS.numeric.replace_all(text, "").is_empty()
}

/// Whether what looks like a number with a unit is a product with a variable, such as `2x` or `3n^2`.
fn is_product(text: &str) -> bool {
    const UNITS: [&str; 24] = [
        "cm", "mm", "m", "km", "g", "kg", "s", "h", "l", "ml", "in", "ft", "mi", "hr", "min", "sec", "mph",
        "lb", "oz", "deg", "rad", "pm", "am", "yd",
    ];
    let tail: String = text
        .chars()
        .rev()
        .take_while(|c| c.is_ascii_alphabetic())
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let letters = match text.rfind(['^']) {
        Some(at) => text[..at]
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
        None => tail,
    };
    let is_command = text.contains(&format!("\\{letters}"));
    // A single letter is a unit only behind a blank.
    let is_apart = text.contains(&format!(" {letters}"));
    !letters.is_empty()
        && !is_command
        && letters.len() <= 3
        && !(UNITS.contains(&letters.as_str()) && (letters.len() > 1 || is_apart))
}

/// Whether one pair of brackets encloses the text.
fn is_bracketed(text: &str) -> bool {
    let mut depth = 0;
    let end = text.char_indices().find_map(|(at, character)| {
        depth += match character {
            '(' | '[' => 1,
            ')' | ']' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    });
    text.starts_with(['(', '[']) && end == Some(text.len() - 1)
}

fn has_top_level_comma(text: &str) -> bool {
    let mut depth = 0;
    text.chars().any(|character| {
        depth += match character {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        depth == 0 && matches!(character, ',' | ';')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_told_by_its_form() {
        use AnswerType::*;
        for (expected, answers) in [
            (Integer, &["7", "-12", "$ 2024 $", "+3"][..]),
            (Fraction, &["\\frac{1}{2}", "-\\dfrac{3}{4}", "3/4", "1\\frac{2}{3}", "\\frac12"]),
            (Decimal, &["0.5", "-3.14", ".25", "0.333..."]),
            (
                Irrational,
                &[
                    "\\sqrt{2}",
                    "2\\pi",
                    "\\frac{1+\\sqrt{5}}{2}",
                    "e",
                    "\\ln 2",
                    "\\pi - 3",
                    "e^{2\\pi}",
                    "\\sin 1",
                ],
            ),
            (Equation, &["x = 3", "y = 2x + 1", "x \\le 2", "f(x)=x^2", "n \\equiv 1 \\pmod 4", "a<b"]),
            (
                Expression,
                &["x^2 + 1", "2^{2022}", "n(n+1)", "\\binom{10}{3}", "2x", "3n^2", "\\frac{a}{b}", "5!"],
            ),
            (SetList, &["\\{1, 2\\}", "\\left\\{ x : x > 0 \\right\\}", "\\{3\\}"]),
            (Tuple, &["(1, 2)", "\\left(0, \\frac{1}{2}\\right)", "[0, 1]", "(x, y, z)"]),
            (List, &["1, 2", "(1, 2), (2, 1)", "\\frac{1}{2}; 3", "2 \\text{ and } 3"]),
            (YesNo, &["\\text{Yes}", "No", "true", "\\text{False}"]),
            (
                NoSolution,
                &["\\text{no solution}", "\\emptyset", "No solutions", "\\text{There are no real solutions}"],
            ),
            (Infinite, &["\\infty", "\\text{infinitely many}", "-\\infty", "infinite"]),
            (
                NumberWithUnit,
                &[
                    "5 \\text{ cm}",
                    "50\\%",
                    "30^\\circ",
                    "12 cm",
                    "3 \\text{ cm}^2",
                    "\\$5",
                    "7 hours",
                    "90^{\\circ}",
                ],
            ),
            (NumberWithCommas, &["1,000", "12{,}345", "1,234,567.5"]),
            (Ratio, &["2:3", "1 : 2 : 3"]),
            (Variable, &["n", "x_1", "k_{n}", "\\alpha", "-a"]),
            (String, &["\\text{odd numbers}", "all primes", "Alice wins", "", "\\text{A}"]),
        ] {
            for answer in answers {
                assert_eq!(AnswerType::of(answer), expected, "{answer}");
            }
        }
        assert_eq!(NumberWithUnit.name(), "number_with_unit");
        assert_eq!(SetList.category(), Category::TupleOrList);
    }

    #[test]
    fn levels_are_those_of_the_leaderboard() {
        for (forum, expected) in [
            ("Middle School Math", "Middle School"),
            ("High School Math", "High School"),
            ("High School Olympiads", "High School Olympiad"),
            ("College Math", "College"),
            ("Contests & Programs", "Others"),
            ("", "Others"),
        ] {
            assert_eq!(level(forum), expected);
        }
    }
}
