//! Candidates of the answer in a response, by groups of patterns from the most to the least certain.
//!
//! Within a group the match that ends last comes first, of those the one that starts first; the first candidate that
//! can be read is the answer, and without one the first candidate as text.

use std::sync::LazyLock;

use regex::Regex;

use super::super::Extracted;
use super::normal::{Boxes, rewritten};
use super::read;
use crate::answers::pattern;

/// The longest response that is searched, in bytes: of longer ones the end.
const LONGEST: usize = 200_000;
/// How many formulae may be joined to one list.
const MOST_JOINED: usize = 6;

/// A match with its place and what it states.
struct Candidate {
    start: usize,
    end: usize,
    answer: String,
}

/// The final answer of a response.
pub(in super::super) fn extract(response: &str) -> Option<Extracted> {
    let mut start = response.len().saturating_sub(LONGEST);
    while !response.is_char_boundary(start) {
        start += 1;
    }
    let text = &response[start..];
    let groups: [(&'static str, Search); 5] = [
        ("final answer is ... I hope", hoped),
        ("final answer is, or a box", final_or_boxed),
        ("answer with a colon", |text| announced(text, true)),
        ("answer", |text| announced(text, false)),
        ("last formula or number", anything),
    ];
    let mut fallback: Option<Extracted> = None;
    for (rule, search) in groups {
        let mut found = search(text);
        found.sort_by(|a, b| b.end.cmp(&a.end).then(a.start.cmp(&b.start)));
        // A response of nothing but unreadable formulae.
        for candidate in found.into_iter().take(200) {
            if candidate.answer.is_empty() {
                continue;
            }
            if read::value(&rewritten(&candidate.answer, Boxes::All)).is_some() {
                return Some(Extracted { answer: candidate.answer, rule });
            }
            fallback.get_or_insert(Extracted { answer: candidate.answer, rule: "first candidate, not read" });
        }
    }
    fallback
}

type Search = fn(&str) -> Vec<Candidate>;

/// A formula between delimiters: its content, whether a percent sign follows, and where all of it ends.
struct Environment<'a> {
    content: &'a str,
    percent: bool,
    end: usize,
}

/// Finds delimited formulae from left to right, and remembers which closing delimiters do not come any more.
struct Formulae<'a> {
    text: &'a str,
    /// From where on there is no closing `$$`, `\]`, and no closing `\)` before this place.
    without_dollars: usize,
    without_bracket: usize,
    without_parenthesis: usize,
}

impl<'a> Formulae<'a> {
    fn new(text: &'a str) -> Self {
        Formulae { text, without_dollars: text.len(), without_bracket: text.len(), without_parenthesis: 0 }
    }

    /// The delimited formula, or the bare fraction of numbers, that starts at a place.
    fn at(&mut self, start: usize) -> Option<Environment<'a>> {
        let text = self.text;
        let rest = &text[start..];
        let before = text[..start].bytes().next_back();
        let (content, length) = match rest.as_bytes() {
            [b'$', b'$', ..] if before != Some(b'\\') => {
                self.display(start, "$$").or_else(|| self.dollar(start, before))?
            }
            [b'$', ..] => self.dollar(start, before)?,
            [b'\\', b'[', ..] if before != Some(b'\\') => self.display(start, "\\]")?,
            [b'\\', b'(', ..] if before != Some(b'\\') => self.parenthesis(start)?,
            [b'\\', b'f', ..] | [b'-', b'\\', b'f', ..] => fraction(rest)?,
            [first, b'[', ..] if first.is_ascii_whitespace() => {
                let inner = &rest[2..];
                let end =
                    inner.find(['\n', '[', ']']).filter(|end| *end > 0 && inner[*end..].starts_with(']'))?;
                inner[end + 1..].starts_with(char::is_whitespace).then_some(())?;
                (&inner[..end], end + 4)
            }
            _ => return None,
        };
        let mut end = start + length;
        end += text[end..].len() - text[end..].trim_start().len();
        let sign =
            ["\\%", "%", "percent", "Percent", "pct", "Pct"].into_iter().find(|s| text[end..].starts_with(s));
        Some(Environment { content, percent: sign.is_some(), end: end + sign.map_or(0, str::len) })
    }

    /// `$$...$$` or `\[...\]`, over lines.
    fn display(&mut self, start: usize, close: &str) -> Option<(&'a str, usize)> {
        let inner = &self.text[start + 2..];
        let known = if close == "$$" { &mut self.without_dollars } else { &mut self.without_bracket };
        if start >= *known {
            return None;
        }
        let Some(end) = inner.find(close) else {
            *known = start;
            return None;
        };
        (end > 0 && !inner[..end].ends_with('\\')).then_some((&inner[..end], end + 4))
    }

    /// `$...$` in one line, not behind a digit or a backslash.
    fn dollar(&self, start: usize, before: Option<u8>) -> Option<(&'a str, usize)> {
        if before.is_some_and(|byte| byte == b'\\' || byte.is_ascii_digit()) {
            return None;
        }
        let inner = &self.text[start + 1..];
        let mut from = 0;
        loop {
            let end = from + inner[from..].find(['$', '\n'])?;
            if inner[end..].starts_with('\n') {
                return None;
            }
            if !inner[..end].ends_with('\\') {
                return (end > 0).then_some((&inner[..end], end + 2));
            }
            from = end + 1;
        }
    }

    /// `\(...\)` in one line.
    fn parenthesis(&mut self, start: usize) -> Option<(&'a str, usize)> {
        if start < self.without_parenthesis {
            return None;
        }
        let inner = &self.text[start + 2..];
        let line = inner.find('\n').unwrap_or(inner.len());
        let Some(end) = inner[..line].find("\\)") else {
            self.without_parenthesis = start + 2 + line;
            return None;
        };
        (end > 0 && !inner[..end].ends_with('\\')).then_some((&inner[..end], end + 4))
    }

    /// Up to six formulae that commas, "and" or "or" join; with `boxed` all of them must hold a box.
    fn joined(&mut self, start: usize, boxed: bool) -> Option<Candidate> {
        let has_box = |content: &str| {
            let after = content.find("\\boxed{").map(|at| &content[at + "\\boxed{".len()..]);
            after.is_some_and(|after| after.rfind('}').is_some_and(|close| close > 0))
        };
        let first = self.at(start).filter(|found| !boxed || has_box(found.content))?;
        let mut end = first.end;
        let mut parts = vec![part(&first)];
        while parts.len() < MOST_JOINED {
            let rest = self.text[end..].trim_start();
            let word = [",and", ",or", "and", "or", ","].into_iter().find(|word| rest.starts_with(word));
            let Some(word) = word else { break };
            let next = rest[word.len()..].trim_start();
            let Some(found) = self.at(self.text.len() - next.len()).filter(|f| !boxed || has_box(f.content))
            else {
                break;
            };
            end = found.end;
            parts.push(part(&found));
        }
        // Not all of them can be read: the first counts.
        let is_read = |part: &String| read::value(&rewritten(part, Boxes::All)).is_some();
        let answer = if parts.len() == 1 || parts.iter().all(is_read) {
            parts.join(", ")
        } else {
            parts.into_iter().next().unwrap_or_default()
        };
        Some(Candidate { start, end, answer })
    }

    /// All formulae from left to right, none inside another.
    fn all(text: &'a str, boxed: bool) -> Vec<Candidate> {
        let (mut formulae, mut found, mut from) = (Formulae::new(text), Vec::new(), 0);
        while let Some(start) = opening(text, from) {
            match formulae.joined(start, boxed) {
                Some(candidate) => {
                    from = candidate.end.max(start + 1);
                    found.push(candidate);
                }
                None => from = start + 1,
            }
        }
        found
    }
}

/// The next place where a formula may start.
fn opening(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find(|at| match bytes[*at] {
        b'$' => true,
        b'\\' => matches!(bytes.get(at + 1), Some(b'[' | b'(' | b'f')),
        b'-' => bytes[at + 1..].starts_with(b"\\f"),
        byte => byte.is_ascii_whitespace() && bytes.get(at + 1) == Some(&b'['),
    })
}

fn part(found: &Environment<'_>) -> String {
    let text = rewritten(found.content, Boxes::All);
    if found.percent { format!("{text}\\%") } else { text }
}

/// `\frac{1}{2}` of plain numbers, outside of delimiters.
fn fraction(rest: &str) -> Option<(&str, usize)> {
    static FRACTION: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^-?\\frac\{-?\d+(?:[.,]\d+)?\}\{-?\d+(?:[.,]\d+)?\}"));
    FRACTION.find(rest).map(|found| (found.as_str(), found.end()))
}

/// What a plain number or a plain expression looks like.
const NUMBER: &str = r"(?:(?P<integer1>-?[1-9]\d{0,2}(?:[ ,]\d{3})+)(?P<decimal1>\.\d+)?|(?P<integer2>-?\d+)(?P<decimal2>[.,]\d+)|(?P<decimal3>\.\d+)|(?P<integer3>-?\d+))(?P<percent>\s*(?:%|[Pp]ercentage|[Pp]ercent|[Pp]ct))?";
const EXPRESSION: &str = r"(?P<expression>-?\(?-?\d[\d.\s+\-*×/^()÷]*[+\-*×/^()÷][\d.\s+\-*×/^()÷]+\)?)";
const BEFORE: &str = r"(?:^|\s|=)(?:\*\*)?";
const AFTER: &str = r"(?:\*\*)?(?:[.,:\s)$]|$)";
const CURRENCY: &str = r"[$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₭₮₯₰₱₲₳₴₵₶₷₸₺₻₼₾₿]?";

struct Plain {
    hoped: Regex,
    is: Regex,
    colon: Regex,
    answer: Regex,
    expression: Regex,
    number: Regex,
}

static PLAIN: LazyLock<Plain> = LazyLock::new(|| {
    let expression = format!("(?:{BEFORE}{EXPRESSION}{AFTER})");
    let number = format!("(?:{BEFORE}{CURRENCY}{NUMBER})");
    let either = format!("(?:{expression}|{number})");
    Plain {
        hoped: pattern(&format!(r"(?i:final answer is):?\s*{either}\.?\s?I hope")),
        is: pattern(&format!(r"(?i:final answer.{{0,100}}?)\s+is:?{either}")),
        colon: pattern(&format!(r"(?i:answer):(?:.{{0,100}}=\s*|.{{0,50}}?){either}")),
        answer: pattern(&format!(r"(?i:answer)(?:.{{0,100}}=\s*|.{{0,50}}?){either}")),
        expression: pattern(&expression),
        number: pattern(&number),
    }
});

/// The plain numbers and expressions that a pattern finds; with `ends` none that an equals sign follows.
fn plain(text: &str, pattern: &Regex, ends: bool, found: &mut Vec<Candidate>) {
    for captures in pattern.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        if ends && text[whole.end()..].trim_start().starts_with('=') {
            continue;
        }
        let group = |names: &[&str]| names.iter().find_map(|n| captures.name(n)).map_or("", |m| m.as_str());
        let integer = group(&["integer1", "integer2", "integer3"]).replace([',', ' '], "");
        let decimal = group(&["decimal1", "decimal2", "decimal3"]).replace(',', ".");
        let mut answer = group(&["expression"]).trim().replace('\n', " ");
        if !integer.is_empty() || !decimal.is_empty() {
            let digits = integer.trim_start_matches('0');
            answer = format!("{}{decimal}", if digits.is_empty() { "0" } else { digits });
        }
        if captures.name("percent").is_some() {
            answer.push_str("\\%");
        }
        found.push(Candidate { start: whole.start(), end: whole.end(), answer });
    }
}

/// The formulae that follow a phrase, at most `distance` characters behind it.
fn following(text: &str, phrase: &Regex, distance: usize, found: &mut Vec<Candidate>) {
    let mut formulae = Formulae::new(text);
    let mut from = 0;
    while let Some(whole) = phrase.find_at(text, from) {
        from = whole.end();
        let places = text[whole.end()..].char_indices().map(|(at, _)| whole.end() + at).take(distance + 1);
        for at in places {
            if let Some(candidate) = formulae.joined(at, false) {
                from = candidate.end;
                found.push(Candidate { start: whole.start(), ..candidate });
                break;
            }
        }
    }
}

fn hoped(text: &str) -> Vec<Candidate> {
    static PHRASE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i:final answer is):?\s*"));
    let mut found = Vec::new();
    following(text, &PHRASE, 0, &mut found);
    found.retain(|candidate| {
        let rest = &text[candidate.end..];
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        rest.strip_prefix(char::is_whitespace).unwrap_or(rest).starts_with("I hope")
    });
    plain(text, &PLAIN.hoped, false, &mut found);
    found
}

fn final_or_boxed(text: &str) -> Vec<Candidate> {
    static PHRASE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i:final answer)(?s:.{0,100}?)\s+is:?\s*"));
    let mut found = Formulae::all(text, true);
    following(text, &PHRASE, 0, &mut found);
    plain(text, &PLAIN.is, false, &mut found);
    // Bare boxes: from the first to the last closing brace, of which the last box counts.
    if let (Some(start), Some(close)) = (text.find("\\boxed{"), text.rfind('}'))
        && close > start + "\\boxed{".len()
    {
        let answer = rewritten(&text[start..=close], Boxes::Last);
        found.push(Candidate { start, end: close + 1, answer });
    }
    found
}

fn announced(text: &str, colon: bool) -> Vec<Candidate> {
    static COLON: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i:answer):"));
    static PHRASE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i:answer)"));
    let mut found = Vec::new();
    let (phrase, number) = if colon { (&COLON, &PLAIN.colon) } else { (&PHRASE, &PLAIN.answer) };
    following(text, phrase, 50, &mut found);
    plain(text, number, true, &mut found);
    found
}

fn anything(text: &str) -> Vec<Candidate> {
    let mut found = Formulae::all(text, false);
    plain(text, &PLAIN.expression, false, &mut found);
    plain(text, &PLAIN.number, false, &mut found);
    found
}
