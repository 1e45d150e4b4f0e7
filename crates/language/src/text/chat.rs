//! Chats as text: the templates that come with models, which are written for Python's Jinja.
//!
//! Rendered as the ecosystem does it: blocks trimmed, loop controls, methods of Python's texts, lists and dictionaries,
//! `tojson` as Python writes JSON, `raise_exception`, `strftime_now` (in universal time), and values printed as Python prints them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or another word that the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// What makes a text of a chat.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    /// The source with only such blocks as are known here.
    known: String,
    /// The texts of special tokens by their names, such as `bos_token`.
    special: BTreeMap<String, String>,
}

/// Why a chat has no text.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The template refuses the chat.
    #[error("the chat template refuses these messages: {0}")]
    Refused(String),
    /// The template is not one, or fails.
    #[error("the chat template fails: {0}")]
    Failed(String),
}

/// The beginning of an error that the template itself raises.
const RAISED: &str = "raised: ";
const NAME: &str = "chat";

impl ChatTemplate {
    /// A template with the texts of the special tokens that it may name.
    ///
    /// # Errors
    /// If it is not a template.
    pub fn new(source: &str, special: BTreeMap<String, String>) -> Result<Self, ChatError> {
        let template = ChatTemplate { source: source.to_string(), known: with_known_blocks(source), special };
        template.environment(0)?;
        Ok(template)
    }

    /// The template itself.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a chat; with the beginning of an answer if `answer`.
    ///
    /// # Errors
    /// If the template refuses the messages or fails.
    pub fn render(&self, messages: &[Message], answer: bool) -> Result<String, ChatError> {
        self.render_values(Value::from_serialize(messages), Value::UNDEFINED, answer)
    }

    /// The text of a chat whose messages, and tools if there are any, are values of any form that the template knows.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_values(&self, messages: Value, tools: Value, answer: bool) -> Result<String, ChatError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let environment = self.environment(now)?;
        let tools = if tools.is_undefined() { Value::from(()) } else { tools };
        let chat = context! {
            messages, tools, documents => (), add_generation_prompt => answer,
            ..Value::from_serialize(&self.special)
        };
        let rendered = environment.get_template(NAME).and_then(|template| template.render(chat));
        rendered.map_err(|error| match error.detail().and_then(|detail| detail.strip_prefix(RAISED)) {
            Some(raised) => ChatError::Refused(raised.to_string()),
            None => failed(&error),
        })
    }

    fn environment(&self, now: u64) -> Result<Environment<'_>, ChatError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, _, value| out.write_str(&printed(value)).map_err(Into::into));
        environment.add_filter("tojson", to_json);
        environment.add_filter("string", |value: Value| printed(&value));
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
        });
        environment.add_function("strftime_now", move |format: String| formatted_time(&format, now));
        environment.add_template(NAME, &self.known).map_err(|error| failed(&error))?;
        Ok(environment)
    }
}

fn failed(error: &minijinja::Error) -> ChatError {
    ChatError::Failed(format!("{error:#}"))
}

/// `{% generation %}` marks what a model is trained on and leaves no trace in the text: a block that is always there.
fn with_known_blocks(source: &str) -> String {
    let mut known = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let tag = &rest[start + 2..start + length];
        let inner = tag.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']);
        let other = match inner.trim() {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        known.push_str(&rest[..start + 2]);
        match other {
            Some(other) => known.push_str(&tag.replace(inner.trim(), other)),
            None => known.push_str(tag),
        }
        known.push_str("%}");
        rest = &rest[start + length + 2..];
    }
    known + rest
}

/// A value as Python prints it.
fn printed(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.to_string(),
        _ => represented(value),
    }
}

/// A value as Python prints it within another.
fn represented(value: &Value) -> String {
    let items = |value: &Value| value.try_iter().map(|items| items.collect::<Vec<_>>()).unwrap_or_default();
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        ValueKind::String => {
            let text = value.to_string();
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut quoted = String::from(quote);
            for character in text.chars() {
                match character {
                    '\n' => quoted.push_str("\\n"),
                    '\r' => quoted.push_str("\\r"),
                    '\t' => quoted.push_str("\\t"),
                    '\\' => quoted.push_str("\\\\"),
                    other if other == quote => quoted.extend(['\\', other]),
                    other => quoted.push(other),
                }
            }
            quoted + &quote.to_string()
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<String> = items(value).iter().map(represented).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let entry = |key: &Value| {
                let item = value.get_item(key).unwrap_or_default();
                format!("{}: {}", represented(key), represented(&item))
            };
            format!("{{{}}}", items(value).iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// JSON as Python's `json.dumps` writes it.
fn to_json(value: Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = JsonStyle {
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        between: match (&separators, indent) {
            (Some(separators), _) if separators.len() == 2 => separators[0].clone(),
            (_, Some(_)) => ",".into(),
            (_, None) => ", ".into(),
        },
        after_key: match &separators {
            Some(separators) if separators.len() == 2 => separators[1].clone(),
            _ => ": ".into(),
        },
        indent,
    };
    options.assert_all_used()?;
    let mut json = String::new();
    style.write(&value, 0, &mut json)?;
    Ok(Value::from_safe_string(json))
}

struct JsonStyle {
    ascii: bool,
    sorted: bool,
    between: String,
    after_key: String,
    indent: Option<usize>,
}

impl JsonStyle {
    fn write(&self, value: &Value, depth: usize, json: &mut String) -> Result<(), minijinja::Error> {
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => json.push_str("null"),
            ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::String => self.write_text(&value.to_string(), json),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_all(['[', ']'], &items, depth, json, |item, json| {
                    self.write(item, depth + 1, json)
                })?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                self.write_all(['{', '}'], &keys, depth, json, |key, json| {
                    self.write_text(&key.to_string(), json);
                    json.push_str(&self.after_key);
                    self.write(&value.get_item(key)?, depth + 1, json)
                })?;
            }
            _ => json.push_str(&value.to_string()),
        }
        Ok(())
    }

    fn write_all(
        &self,
        [open, close]: [char; 2],
        items: &[Value],
        depth: usize,
        json: &mut String,
        write: impl Fn(&Value, &mut String) -> Result<(), minijinja::Error>,
    ) -> Result<(), minijinja::Error> {
        json.push(open);
        let line = |depth: usize, json: &mut String| {
            if let Some(indent) = self.indent.filter(|_| !items.is_empty()) {
                json.push('\n');
                json.extend(std::iter::repeat_n(' ', indent * depth));
            }
        };
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                json.push_str(&self.between);
            }
            line(depth + 1, json);
            write(item, json)?;
        }
        line(depth, json);
        json.push(close);
        Ok(())
    }

    fn write_text(&self, text: &str, json: &mut String) {
        json.push('"');
        for character in text.chars() {
            match character {
                '"' => json.push_str("\\\""),
                '\\' => json.push_str("\\\\"),
                '\n' => json.push_str("\\n"),
                '\r' => json.push_str("\\r"),
                '\t' => json.push_str("\\t"),
                '\u{8}' => json.push_str("\\b"),
                '\u{c}' => json.push_str("\\f"),
                other if u32::from(other) < 0x20 || self.ascii && !other.is_ascii() => {
                    let mut units = [0; 2];
                    for unit in other.encode_utf16(&mut units) {
                        json.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                other => json.push(other),
            }
        }
        json.push('"');
    }
}

/// A time in seconds since 1970 as C's `strftime` writes it, in universal time and English.
fn formatted_time(format: &str, seconds: u64) -> Result<String, minijinja::Error> {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (name, weekday) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('Y') => text.push_str(&year.to_string()),
            Some('y') => text.push_str(&format!("{:02}", year % 100)),
            Some('m') => text.push_str(&format!("{month:02}")),
            Some('d') => text.push_str(&format!("{day:02}")),
            Some('e') => text.push_str(&format!("{day:2}")),
            Some('B') => text.push_str(name),
            Some('b' | 'h') => text.push_str(&name[..3]),
            Some('A') => text.push_str(weekday),
            Some('a') => text.push_str(&weekday[..3]),
            Some('H') => text.push_str(&format!("{hour:02}")),
            Some('I') => text.push_str(&format!("{:02}", (hour + 11) % 12 + 1)),
            Some('p') => text.push_str(if hour < 12 { "AM" } else { "PM" }),
            Some('M') => text.push_str(&format!("{minute:02}")),
            Some('S') => text.push_str(&format!("{:02}", second % 60)),
            Some('F') => text.push_str(&format!("{year}-{month:02}-{day:02}")),
            Some('T') => text.push_str(&format!("{hour:02}:{minute:02}:{:02}", second % 60)),
            Some('Z') => text.push_str("UTC"),
            Some('%') => text.push('%'),
            other => {
                let other = other.map_or(String::new(), String::from);
                let message = format!("strftime_now: `%{other}` is not known");
                return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
            }
        }
    }
    Ok(text)
}

/// Year, month and day of a number of days since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if left < length {
            return (year, month, left + 1);
        }
        left -= length;
    }
    unreachable!("a day of the year lies in a month")
}

#[cfg(test)]
mod tests;
