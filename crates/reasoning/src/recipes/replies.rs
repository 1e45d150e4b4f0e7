//! Reading what models reply in recipes: boxes, JSON that is not quite JSON, and a second question where the first reply
//! cannot be read.

use serde_json::{Map, Number, Value};

use crate::models::calls::{Calls, Outcome, Stop};
use crate::models::{FailureKind, Message, Prompt, Request};

/// Why there is no reply that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

/// Asks for a reply that `read` accepts. Where it does not, the model is shown its reply and the reminder, once.
///
/// # Errors
/// The outer error: no call could be made. The inner one: no reply, a refusal, or two replies that cannot be read.
pub(super) async fn ask<T>(
    calls: &Calls,
    request: &Request,
    reminder: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Result<T, Fault>, Stop> {
    let mut request = request.clone();
    for is_last in [false, true] {
        let outcome = calls.ask(&request).await.outcomes.pop();
        let fault = match outcome {
            Some(Outcome::Unasked(stop)) => return Err(stop),
            Some(Outcome::Failed(failure)) if failure.kind == FailureKind::ContentFilter => {
                Fault { reason: "refused", detail: failure.message }
            }
            Some(Outcome::Failed(failure)) => Fault { reason: "no reply", detail: failure.to_string() },
            Some(Outcome::Refused(sample)) => Fault { reason: "refused", detail: beginning(&sample.text) },
            None => Fault { reason: "no reply", detail: "no sample".into() },
            Some(outcome) => match read(outcome.text()) {
                Ok(value) => return Ok(Ok(value)),
                Err(message) if is_last => {
                    let detail = format!("{message}: {}", beginning(outcome.text()));
                    Fault { reason: "unreadable reply", detail }
                }
                Err(_) => {
                    if let Prompt::Chat(messages) = &mut request.prompt {
                        // Some servers take no empty message.
                        let text =
                            if outcome.text().trim().is_empty() { "(nothing)" } else { outcome.text() };
                        messages.push(Message::assistant(text));
                        messages.push(Message::user(reminder));
                    }
                    continue;
                }
            },
        };
        return Ok(Err(fault));
    }
    unreachable!("the last reply is returned or is a fault")
}

fn beginning(text: &str) -> String {
    let short: String = text.chars().take(300).collect();
    if short.len() < text.len() { short + " ..." } else { short }
}

/// The last box of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boxed<'a> {
    /// There is none.
    Missing,
    /// It is not closed.
    Open,
    /// Its content, without white space around it.
    Closed(&'a str),
}

/// The last `\boxed{...}` of a text. Braces behind a backslash do not count.
pub(super) fn last_box(text: &str) -> Boxed<'_> {
    let Some(at) = text.rfind("\\boxed") else { return Boxed::Missing };
    let rest = text[at + "\\boxed".len()..].trim_start();
    let Some(inner) = rest.strip_prefix('{') else { return Boxed::Open };
    let (mut depth, mut is_escaped) = (1, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            // A box around a box: the inner one was found first.
            return Boxed::Closed(inner[..at].trim());
        }
    }
    Boxed::Open
}

/// The content of the last box, if it is closed and not empty.
pub(super) fn boxed(text: &str) -> Option<&str> {
    match last_box(text) {
        Boxed::Closed(content) if !content.is_empty() => Some(content),
        _ => None,
    }
}

/// The object in a reply: of the last fenced block, else of the last braces; as JSON, else as Python writes literals.
pub(super) fn object(reply: &str) -> Result<Map<String, Value>, String> {
    let fenced = reply.rmatch_indices("```").nth(1).map(|(start, _)| {
        let inner = &reply[start + 3..];
        let inner = inner.split("```").next().unwrap_or(inner);
        inner.strip_prefix("json").or(inner.strip_prefix("JSON")).unwrap_or(inner).trim()
    });
    let candidates = [fenced, outermost(reply)];
    for text in candidates.into_iter().flatten() {
        if let Ok(Value::Object(object)) = serde_json::from_str(text) {
            return Ok(object);
        }
        if let Some(Value::Object(object)) = Literal::read(text) {
            return Ok(object);
        }
    }
    Err("no JSON object".into())
}

/// The last part of a text from a brace to the one that closes it, as far outside as possible.
fn outermost(text: &str) -> Option<&str> {
    let end = text.rfind('}')?;
    let mut depth = 0;
    for (at, byte) in text.as_bytes()[..=end].iter().enumerate().rev() {
        match byte {
            b'}' => depth += 1,
            b'{' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at..=end]);
        }
    }
    None
}

/// A literal of Python: dictionaries, lists, tuples, texts in either quotes, numbers, None, True, False; also with commas
/// at the end, and the JSON words null, true, false.
struct Literal<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Literal<'a> {
    fn read(text: &'a str) -> Option<Value> {
        let mut literal = Literal { rest: text, depth: 0 };
        let value = literal.value()?;
        literal.rest.trim().is_empty().then_some(value)
    }

    fn take(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.rest = self.rest.trim_start();
        if self.depth > 64 {
            return None;
        }
        self.depth += 1;
        let value = match self.rest.chars().next()? {
            '{' => self.dictionary()?,
            '[' => self.list('[', ']')?,
            '(' => self.list('(', ')')?,
            '\'' | '"' => Value::String(self.text()?),
            _ => self.word()?,
        };
        self.depth -= 1;
        Some(value)
    }

    fn dictionary(&mut self) -> Option<Value> {
        let mut members = Map::new();
        self.take('{');
        while !self.take('}') {
            self.rest = self.rest.trim_start();
            let key = self.text()?;
            if !self.take(':') {
                return None;
            }
            members.insert(key, self.value()?);
            if !self.take(',') && !self.rest.trim_start().starts_with('}') {
                return None;
            }
        }
        Some(Value::Object(members))
    }

    fn list(&mut self, open: char, close: char) -> Option<Value> {
        let mut elements = Vec::new();
        self.take(open);
        while !self.take(close) {
            elements.push(self.value()?);
            if !self.take(',') && !self.rest.trim_start().starts_with(close) {
                return None;
            }
        }
        Some(Value::Array(elements))
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|sign| matches!(sign, '\'' | '"'))?;
        let mut text = String::new();
        let mut characters = self.rest[1..].char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    sign @ ('\\' | '\'' | '"') => text.push(sign),
                    other => text.extend(['\\', other]),
                },
                sign if sign == quote => {
                    self.rest = &self.rest[1 + at + 1..];
                    return Some(text);
                }
                other => text.push(other),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Value> {
        let end =
            self.rest.find(|c: char| !(c.is_alphanumeric() || "+-._".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" | "null" => Some(Value::Null),
            "True" | "true" => Some(true.into()),
            "False" | "false" => Some(false.into()),
            _ => match word.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => word.parse().ok().and_then(Number::from_f64).map(Value::Number),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_decides() {
        for (text, expected) in [
            ("", Boxed::Missing),
            ("boxed{1}", Boxed::Missing),
            ("\\boxed{0} or rather \\boxed{ 1 }.", Boxed::Closed("1")),
            ("\\boxed{0} \\boxed{1", Boxed::Open),
            ("\\boxed 1", Boxed::Open),
            ("\\boxed{\\frac{1}{2}}", Boxed::Closed("\\frac{1}{2}")),
            ("\\boxed{\\{1, 2\\}}", Boxed::Closed("\\{1, 2\\}")),
            ("\\boxed{a \\{ b}", Boxed::Closed("a \\{ b")),
            ("\\boxed {}", Boxed::Closed("")),
        ] {
            assert_eq!(last_box(text), expected, "{text}");
        }
        assert_eq!((boxed("\\boxed{}"), boxed("\\boxed{7}")), (None, Some("7")));
    }

    #[test]
    fn objects_are_read_strictly_then_leniently() {
        let expected = serde_json::json!({"answers": [{"user": "o'b", "post_number": 3}]});
        for reply in [
            "Summary.\n```json\n{\"answers\": [{\"user\": \"o'b\", \"post_number\": 3}]}\n```",
            "Set {a} first.\n```\n{\"answers\": [{\"user\": \"o'b\", \"post_number\": 3}]}\n```\nThat is all.",
            "{x}: {\"answers\": [{\"user\": \"o'b\", \"post_number\": 3}]} done",
            "```json\n{'answers': [{'user': 'o\\'b', 'post_number': 3,},],}\n```",
            "```python\n{'answers': ({'user': \"o'b\", 'post_number': 3},)}\n``` {'answers': ({'user': \"o'b\", 'post_number': 3},)}",
        ] {
            assert_eq!(object(reply).map(Value::Object), Ok(expected.clone()), "{reply}");
        }
        let literal = |text: &str| Literal::read(text);
        assert_eq!(
            literal("[None, True, -1.5, 'a\\nb']"),
            Some(serde_json::json!([null, true, -1.5, "a\nb"]))
        );
        for wrong in ["", "{'a': }", "[1 2]", "{'a': 1} x", "__import__('os')", "[1, foo]", "'a", "{1: 2}"] {
            assert_eq!(literal(wrong), None, "{wrong}");
        }
        assert_eq!(literal(&"[".repeat(100_000)), None);
        for reply in ["", "no answers", "```json\n{\"answers\": [\n```", "```json\n[1]\n```", "}{"] {
            assert!(object(reply).is_err(), "{reply}");
        }
    }
}
