//! Finding the final answer in a response: a box, else the last announced answer, else the last number.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::super::language::{ascii_digits, plain_number};
use super::super::{Extracted, Language};
use crate::answers::pattern;

/// The sentences that announce an answer, in all languages; a colon may follow.
const TRIGGERS: &str = r"(?x)
    final\ answer\ is | answer\ is | choice\ is | answer\ would\ be | (?:final\ )?answer\s*[:：] | (?m:^)A:
    | উত্তর\ হল | উত্তর\s*: | Antwort\ (?:lautet|ist) | Antwort\s*: | respuesta\ es | Respuesta\s*: | réponse\ est
    | Réponse\s*: | Ответ\s*[—:-] | Jibu\ ni | Jibu\s*: | సమాధానం\s*:? | คำตอบคือ | คำตอบ\s*:
    | 答えは | 答え\s*[:：] | 答案是 | 答案为 | 答案\s*[:：]";

static TRIGGER: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("(?i:{TRIGGERS})")));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d[\d,]*(?:\.\d+)?|\.\d+"));
static LEADING_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^\\?[$€£¥]?\s*([-+−]?\s*[$€£]?(?:\d[\d.,\u{a0}\u{202f}\u{2009}]*(?: \d{3}\b)*|\.\d+))")
});
// Numbers and nothing else, each comma with a blank behind it: `1,234` is one number.
static LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^([-+−]?\d+(?:\.\d+)?(?:(?:\s*[,;]\s+(?:and\s+|or\s+)?|\s+(?:and|or)\s+)[-+−]?\d+(?:\.\d+)?)+)[\s.*]*$",
    )
});
static LIST_WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s*[,;]?\s+(?:and|or)\s+"));
static TRUTH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:statement|claim|assertion|proposition|conjecture|命题|答案)\s*(?:is|为|是)\s*(not\s+)?(true|false|correct|incorrect)\b",
    )
});

/// The final answer of a response.
pub(in super::super) fn extract(response: &str, language: Option<Language>) -> Option<Extracted> {
    if let Some(answer) = boxed(response) {
        return Some(Extracted { answer: as_truth(&answer).unwrap_or(answer), rule: "box" });
    }
    if let Some(at) = response.rfind("####") {
        let line = response[at + 4..].lines().next().unwrap_or("").trim();
        if !line.is_empty() {
            let answer = leading_number(&ascii_digits(line), language).unwrap_or_else(|| line.to_string());
            return Some(Extracted { answer, rule: "####" });
        }
    }
    if let Some(found) = TRIGGER.find_iter(response).last()
        && let Some(answer) = announced(&response[found.end()..], language)
    {
        return Some(Extracted { answer, rule: "announced answer" });
    }
    if let Some(found) = TRUTH.captures_iter(response).last() {
        let is_true = found[2].eq_ignore_ascii_case("true") || found[2].eq_ignore_ascii_case("correct");
        let is_true = is_true != found.get(1).is_some();
        let answer = if is_true { "True" } else { "False" }.to_string();
        return Some(Extracted { answer, rule: "truth of the statement" });
    }
    last_number(response, language).map(|answer| Extracted { answer, rule: "last number" })
}

fn as_truth(answer: &str) -> Option<String> {
    match answer {
        "真" | "对" | "正确" => Some("True".into()),
        "假" | "错" | "错误" => Some("False".into()),
        _ => None,
    }
}

/// The content of the last box, joined with those directly before it; a last box that is not closed reaches to the end.
fn boxed(response: &str) -> Option<String> {
    // Where each box starts and ends, and its content.
    let mut boxes: Vec<(usize, usize, &str)> = Vec::new();
    let mut closing = None;
    let mut at = 0;
    while let Some((start, length)) = next_box(response, at) {
        at = start + length;
        let rest = &response[at..];
        let inner = rest.trim_start();
        let open = at + rest.len() - inner.len();
        if !inner.starts_with('{') {
            // A box without braces: the rest of the formula.
            if open > at {
                let end = inner.find(['$', '\n']).unwrap_or(inner.len());
                boxes.push((start, open + end, inner[..end].trim()));
            }
            continue;
        }
        match closing.get_or_insert_with(|| closing_braces(response)).get(&open) {
            Some(&end) => {
                boxes.push((start, end + 1, response[open + 1..end].trim()));
                at = end + 1;
            }
            // A box that is not closed may hold another one; only the last reaches to the end.
            None => {
                boxes.push((start, response.len(), response[open + 1..].trim()));
                at = open + 1;
            }
        }
    }
    let (mut start, _, last) = boxes.pop()?;
    let mut contents = vec![last];
    while let Some((before, end, content)) = boxes.pop() {
        if end > start || contents.len() > 100 || !is_joint(&response[end..start]) {
            break;
        }
        if !contents.contains(&content) {
            contents.push(content);
        }
        start = before;
    }
    contents.reverse();
    Some(contents.join(","))
}

/// The place and the length of the next box command.
fn next_box(response: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(found) = response[at..].find("box") {
        let end = at + found + "box".len();
        let before = &response[from..at + found];
        if before.ends_with("\\f") {
            return Some((at + found - 2, "\\fbox".len()));
        }
        if before.ends_with('\\') && response[end..].starts_with("ed") {
            return Some((at + found - 1, "\\boxed".len()));
        }
        at = end;
    }
    None
}

/// The places of opening braces with those of their closing ones; escaped braces do not count.
fn closing_braces(text: &str) -> HashMap<usize, usize> {
    let (mut open, mut closing) = (Vec::new(), HashMap::new());
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => {
                is_escaped = false;
                continue;
            }
            b'\\' => is_escaped = true,
            b'{' => open.push(at),
            b'}' => {
                if let Some(start) = open.pop() {
                    closing.insert(start, at);
                }
            }
            _ => {}
        }
    }
    closing
}

/// Whether what stands between two boxes makes one list of them.
fn is_joint(between: &str) -> bool {
    let words: String = between.chars().filter(|c| !matches!(c, '$' | ' ' | '\n')).collect();
    matches!(words.as_str(), "" | "," | ";" | "and" | "or" | ",and" | ",or" | "和" | "、" | "或")
}

/// The answer at the start of what follows its announcement.
fn announced(rest: &str, language: Option<Language>) -> Option<String> {
    let rest = rest.trim_start_matches([' ', ':', '：', '\u{a0}', '*', '\n', '—']).trim_start();
    let line = rest.lines().next().unwrap_or("");
    if line.is_empty() {
        return None;
    }
    // A formula between dollars.
    if let Some(inner) = line.strip_prefix('$')
        && let Some(end) = inner.find('$')
        && end > 0
    {
        return Some(inner[..end].trim().to_string());
    }
    let digits = ascii_digits(line);
    if let Some(list) = LIST.captures(&digits) {
        return Some(LIST_WORD.replace_all(&list[1], ", ").into_owned());
    }
    if let Some(number) = leading_number(&digits, language) {
        return Some(number);
    }
    let mut end = line.len();
    for stop in [". ", "。", "।", "です"] {
        if let Some(at) = line.find(stop) {
            end = end.min(at);
        }
    }
    let answer = line[..end].trim().trim_end_matches(['.', '*']).trim();
    let choice = answer.trim_start_matches('(').trim_end_matches([')', '.']);
    let mut letters = choice.chars();
    if let (Some(letter), None) = (letters.next(), letters.next())
        && letter.is_ascii_uppercase()
    {
        return Some(choice.to_string());
    }
    (!answer.is_empty()).then(|| as_truth(answer).unwrap_or_else(|| answer.to_string()))
}

/// The number at the start of a text, if no formula goes on behind it.
fn leading_number(text: &str, language: Option<Language>) -> Option<String> {
    let found = LEADING_NUMBER.captures(text)?;
    let whole = found.get(0)?;
    let rest = text[whole.end()..].trim_start();
    if rest.starts_with(['/', '*', '^', '\\', '+', '-', '=', '_', '!', '(', '%', ':', '×', '÷']) {
        return None;
    }
    if text[whole.end()..].starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let number = found.get(1)?.as_str().replace(['$', '€', '£'], "");
    let number = number.trim_end_matches(['.', ',', ' ', '\u{a0}']);
    plain_number(number, language)
}

/// The last number of a text. A hyphen after a digit or a letter is no sign.
fn last_number(response: &str, language: Option<Language>) -> Option<String> {
    let text = ascii_digits(response);
    let found = NUMBER.find_iter(&text).last()?;
    let mut before = text[..found.start()].chars().rev();
    let sign = match (before.next(), before.next()) {
        (Some('-' | '−'), Some(c)) if !c.is_alphanumeric() => "-",
        (Some('-' | '−'), None) => "-",
        _ => "",
    };
    let number = found.as_str().trim_end_matches(',');
    let number = plain_number(number, language).unwrap_or_else(|| number.replace(',', ""));
    Some(format!("{sign}{number}"))
}
