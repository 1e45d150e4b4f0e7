//! What Python does where prompts and scores of lm-evaluation-harness depend on it: how values are written and read, how
//! regular expressions behave, and which random numbers are drawn.

use std::fmt::Write as _;

use fancy_regex::Regex;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use rand_mt::Mt;
use serde_json::Value as Json;

/// An environment whose templates give what Jinja gives in lm-evaluation-harness.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(|state, value, method, arguments| {
        method_of_list(value, method, arguments).unwrap_or_else(|| {
            minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
        })
    });
    environment.set_formatter(|out, _, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        out.write_str(&str(value)).map_err(Error::from)
    });
    environment.add_filter("regex_replace", regex_replace);
    environment
}

/// Methods of lists and texts that the compatibility layer does not have.
fn method_of_list(value: &Value, method: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    let argument = |at: usize| arguments.get(at).and_then(Value::as_str);
    match (value.kind(), method, arguments) {
        (ValueKind::Seq, "index", [wanted]) => {
            let found = value.try_iter().ok()?.position(|item| item == *wanted);
            let missing =
                || Error::new(ErrorKind::InvalidOperation, format!("{} is not in list", repr(wanted)));
            Some(found.map(Value::from).ok_or_else(missing))
        }
        (ValueKind::String, "removeprefix", [_]) => {
            let (text, prefix) = (value.as_str()?, argument(0)?);
            Some(Ok(text.strip_prefix(prefix).unwrap_or(text).into()))
        }
        (ValueKind::String, "removesuffix", [_]) => {
            let (text, suffix) = (value.as_str()?, argument(0)?);
            Some(Ok(text.strip_suffix(suffix).unwrap_or(text).into()))
        }
        (ValueKind::String, "index", [_]) => {
            let (text, part) = (value.as_str()?, argument(0)?);
            let missing = || Error::new(ErrorKind::InvalidOperation, "substring not found");
            Some(text.find(part).map(|at| Value::from(text[..at].chars().count())).ok_or_else(missing))
        }
        _ => None,
    }
}

/// The filter `regex_replace(pattern, replacement, count)`.
fn regex_replace(text: &str, pattern: &str, replacement: &str, options: Kwargs) -> Result<String, Error> {
    let count: Option<usize> = options.get("count")?;
    options.assert_all_used()?;
    let wrong = |message: String| Error::new(ErrorKind::InvalidOperation, message);
    let pattern = Pattern::new(pattern).map_err(wrong)?;
    let replacement = expansion(replacement).map_err(wrong)?;
    let replaced = pattern.0.try_replacen(text, count.unwrap_or(0), replacement.as_str());
    Ok(replaced.map_err(|error| wrong(error.to_string()))?.into_owned())
}

/// A replacement of Python, `\1` and `\g<name>`, in the form of the crate.
fn expansion(replacement: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut characters = replacement.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek().copied()) {
            ('$', _) => expanded.push_str("$$"),
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                let _ = write!(expanded, "${{{digit}}}");
                characters.next();
            }
            ('\\', Some('g')) => {
                characters.next();
                let rest: String = characters.by_ref().take_while(|c| *c != '>').collect();
                let name = rest.strip_prefix('<').ok_or("missing < in a group of the replacement")?;
                let _ = write!(expanded, "${{{name}}}");
            }
            ('\\', Some(other)) => {
                characters.next();
                match other {
                    'n' => expanded.push('\n'),
                    't' => expanded.push('\t'),
                    '\\' => expanded.push('\\'),
                    other => return Err(format!("bad escape \\{other} in a replacement")),
                }
            }
            (c, _) => expanded.push(c),
        }
    }
    Ok(expanded)
}

/// `str(value)`.
pub fn str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_string(),
        None => repr(value),
    }
}

/// `repr(value)`.
fn repr(value: &Value) -> String {
    let list = |open: &str, close: &str| {
        let items = value.try_iter().into_iter().flatten().map(|item| repr(&item));
        format!("{open}{}{close}", items.collect::<Vec<_>>().join(", "))
    };
    match value.kind() {
        ValueKind::None => "None".into(),
        ValueKind::Bool => (if value.is_true() { "True" } else { "False" }).into(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => f64::try_from(value.clone()).map_or(value.to_string(), float),
        ValueKind::Seq | ValueKind::Iterable => list("[", "]"),
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let pairs = keys.map(|key| {
                let item = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", repr(&key), repr(&item))
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// `repr` of a floating-point number.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return (if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        })
        .into();
    }
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value:?}")
}

/// `repr` of a text.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let code = u32::from(c);
                let _ = if code < 256 {
                    write!(quoted, "\\x{code:02x}")
                } else {
                    write!(quoted, "\\u{code:04x}")
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// `ast.literal_eval(text)` for lists, tuples, texts, numbers, True, False and None; `None` for anything else.
pub fn literal(text: &str) -> Option<Json> {
    let mut reader = Literal { text, at: 0 };
    let value = reader.value(0)?;
    reader.blank();
    (reader.at == text.len()).then_some(value)
}

struct Literal<'a> {
    text: &'a str,
    at: usize,
}

impl Literal<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, word: &str) -> bool {
        self.blank();
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.blank();
        if depth > 64 {
            return None;
        }
        for (word, value) in [("True", Json::Bool(true)), ("False", Json::Bool(false)), ("None", Json::Null)]
        {
            if self.take(word) {
                return Some(value);
            }
        }
        match self.rest().chars().next()? {
            '[' => self.items('[', ']', depth),
            '(' => self.items('(', ')', depth),
            quote @ ('\'' | '"') => self.string(quote).map(Json::String),
            _ => self.number(),
        }
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Option<Json> {
        self.at += open.len_utf8();
        let mut items = Vec::new();
        let mut has_comma = false;
        loop {
            if self.take(close.encode_utf8(&mut [0; 4])) {
                // Parentheses around one value are not a tuple.
                return match (open, items.len(), has_comma) {
                    ('(', 1, false) => items.pop(),
                    _ => Some(Json::Array(items)),
                };
            }
            if !items.is_empty() && !std::mem::take(&mut has_comma) {
                return None;
            }
            items.push(self.value(depth + 1)?);
            has_comma = self.take(",");
        }
    }

    fn string(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.text[self.at + 1..].char_indices();
        while let Some((offset, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.at += 1 + offset + 1;
                    return Some(text);
                }
                '\n' => return None,
                '\\' => {
                    let (_, escaped) = characters.next()?;
                    let mut code = |digits: usize| {
                        let text: String = characters.by_ref().take(digits).map(|(_, c)| c).collect();
                        u32::from_str_radix(&text, 16).ok().and_then(char::from_u32)
                    };
                    match escaped {
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        'r' => text.push('\r'),
                        'a' => text.push('\u{7}'),
                        'b' => text.push('\u{8}'),
                        'f' => text.push('\u{c}'),
                        'v' => text.push('\u{b}'),
                        'x' => text.push(code(2)?),
                        'u' => text.push(code(4)?),
                        'U' => text.push(code(8)?),
                        '\n' => {}
                        '\\' | '\'' | '"' => text.push(escaped),
                        // Python keeps the backslash of what it does not know.
                        other => text.extend(['\\', other]),
                    }
                }
                c => text.push(c),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Json> {
        let end = self.rest().find(|c: char| !(c.is_ascii_alphanumeric() || ".+-_".contains(c)));
        let word = &self.rest()[..end.unwrap_or(self.rest().len())];
        let is_plain = word.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
        let has_leading_zero = word.trim_start_matches(['-', '+']).len() > 1
            && word.trim_start_matches(['-', '+']).starts_with('0')
            && word.bytes().all(|b| b.is_ascii_digit() || b"+-".contains(&b));
        let value = match word.parse::<i64>() {
            _ if !is_plain || has_leading_zero => return None,
            Ok(whole) => whole.into(),
            Err(_) => Json::Number(serde_json::Number::from_f64(word.parse().ok()?)?),
        };
        self.at += word.len();
        Some(value)
    }
}

/// A regular expression as Python's `re` reads it.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, or not known here.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Regex::new(&translated(pattern)).map(Pattern).map_err(|error| error.to_string())
    }

    /// `re.findall`: for each match the groups, or the whole match where there is none. A text on which the search takes too
    /// many steps has no more matches.
    pub fn find_all(&self, text: &str) -> Vec<Vec<String>> {
        let groups = self.0.captures_len() - 1;
        let found = self.0.captures_iter(text).map_while(Result::ok);
        found
            .map(|found| {
                let group = |at: usize| found.get(at).map_or(String::new(), |part| part.as_str().to_string());
                if groups == 0 { vec![group(0)] } else { (1..=groups).map(group).collect() }
            })
            .collect()
    }

    /// `re.sub(pattern, "", text)`; a text on which that takes too many steps is left as it is.
    pub fn remove(&self, text: &str) -> String {
        self.0.try_replacen(text, 0, "").map_or(text.to_string(), std::borrow::Cow::into_owned)
    }
}

/// A pattern of Python for the crate: `$` also matches before a newline at the end, `\Z` is the end, and within a class `[`, `&&`,
/// `--` and `~~` have no meaning.
fn translated(pattern: &str) -> String {
    let has_lines = pattern.starts_with("(?")
        && pattern[2..].split(')').next().is_some_and(|flags| flags.contains('m') && !flags.contains(':'));
    let mut text = String::new();
    let mut characters = pattern.chars().peekable();
    // How many characters of a class are behind, if one is open.
    let mut class: Option<usize> = None;
    while let Some(c) = characters.next() {
        let inside = class;
        class = class.map(|count| count + 1);
        match (c, inside) {
            ('\\', _) => match characters.next() {
                Some('Z') if inside.is_none() => text.push_str("\\z"),
                Some(escaped) => text.extend(['\\', escaped]),
                None => text.push('\\'),
            },
            ('[', None) => {
                class = Some(0);
                text.push('[');
                if characters.peek() == Some(&'^') {
                    characters.next();
                    text.push('^');
                }
            }
            // A bracket at the beginning of a class stands for itself.
            (']', Some(0)) => text.push_str("\\]"),
            (']', Some(_)) => {
                class = None;
                text.push(']');
            }
            ('[', Some(_)) => text.push_str("\\["),
            (c @ ('&' | '~' | '-'), Some(_)) if characters.peek() == Some(&c) => {
                characters.next();
                text.extend(['\\', c, '\\', c]);
            }
            ('$', None) if !has_lines => text.push_str("(?=\\n?\\z)"),
            (c, _) => text.push(c),
        }
    }
    text
}

/// Python's `random.Random`.
pub struct Random(Mt);

impl Random {
    /// `Random(seed)`.
    pub fn new(seed: u32) -> Self {
        Random(Mt::new_with_key([seed]))
    }

    /// A whole number below `count`, which is at least 1.
    fn below(&mut self, count: usize) -> usize {
        let bits = usize::BITS - count.leading_zeros();
        loop {
            // Tables have fewer than 2³² rows.
            let drawn = (self.0.next_u32() >> (32 - bits.min(32))) as usize;
            if drawn < count {
                return drawn;
            }
        }
    }

    /// The numbers that `sample(range(population), count)` gives.
    ///
    /// # Panics
    /// If more are wanted than there are.
    pub fn sample(&mut self, population: usize, count: usize) -> Vec<usize> {
        assert!(count <= population, "a sample of {count} from {population}");
        let mut limit = 21;
        if count > 5 {
            // 4 to the least power with 4^power >= 3 count.
            let mut power = 1;
            while power < 3 * count {
                power *= 4;
            }
            limit += power;
        }
        if population <= limit {
            let mut pool: Vec<usize> = (0..population).collect();
            return (0..count)
                .map(|at| {
                    let chosen = self.below(population - at);
                    let number = pool[chosen];
                    pool[chosen] = pool[population - at - 1];
                    number
                })
                .collect();
        }
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count {
            let number = self.below(population);
            if !chosen.contains(&number) {
                chosen.push(number);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn rendered(template: &str, document: impl serde::Serialize) -> String {
        environment().render_str(template, document).unwrap()
    }

    #[test]
    fn templates_give_what_jinja_gives() {
        let document = serde_json::json!({
            "q": " Is it 3?\n", "options": ["it's", "no", 1, 2.5, null, true], "answer": "#### 1,200", "label": {"text": ["a", "b"]},
        });
        for (template, expected) in [
            ("{{q.strip()}}\nA. {{options[0]}}\n", "Is it 3?\nA. it's\n"),
            ("{{options}}", "[\"it's\", 'no', 1, 2.5, None, True]"),
            ("{{label}} {{options[-2]}}", "{'text': ['a', 'b']} None"),
            ("{{answer.split('####')[-1].strip()}}", "1,200"),
            ("{{label.text.index('b')}}", "1"),
            ("{{answer if answer is defined else target}}|{{1 == 1}}", "#### 1,200|True"),
            ("{% for o in options[:2] %}{{loop.index}}) {{o}}\n{% endfor %}", "1) it's\n2) no\n"),
            ("{{answer | regex_replace('#+ (\\\\d)', '<\\\\1>')}}", "<1>,200"),
        ] {
            assert_eq!(rendered(template, &document), expected, "{template}");
        }
        let error = environment().render_str("{{nothing}}", context! {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UndefinedError);
    }

    #[test]
    fn numbers_and_texts_are_written_as_python_writes_them() {
        for (value, expected) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (1e22, "1e+22"),
            (123456789.25, "123456789.25"),
            (-0.0, "-0.0"),
        ] {
            assert_eq!(float(value), expected);
        }
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("it's \"so\"\n\\"), "'it\\'s \"so\"\\n\\\\'");
    }

    #[test]
    fn literals_are_read_and_nothing_else() {
        let json = |text: &str| literal(text).map(|value| value.to_string());
        assert_eq!(
            json("['a', \"it's\", 1, -2.5, True, None]").unwrap(),
            "[\"a\",\"it's\",1,-2.5,true,null]"
        );
        assert_eq!(json("[]").unwrap(), "[]");
        assert_eq!(json("('a',)").unwrap(), "[\"a\"]");
        assert_eq!(json("['\\u00e9\\n\\d']").unwrap(), "[\"é\\n\\\\d\"]");
        for text in ["[x]", "[1-2]", "[1 2]", "[1", "1]", "['a'", "[01]", "[,]", "[1,,2]", ""] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_find_what_python_finds() {
        let found = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().find_all(text);
        assert_eq!(found(r"#### (\-?[0-9\.\,]+)", "a #### -1,200."), [["-1,200."]]);
        assert_eq!(
            found(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "$5, 12 and 7"),
            [["$5,", ""], ["12", ""], ["", "7"]]
        );
        assert_eq!(found("[[&&]", "[&"), [["["], ["&"]]);
        assert_eq!(found("[]a]", "a]"), [["a"], ["]"]]);
        assert_eq!(found("b$", "b\nb\n"), [["b"]]);
        assert_eq!(found("(?m)b$", "b\nb\n"), [["b"], ["b"]]);
        assert_eq!(found("(?<=is )[0-9]+", "it is 12"), [["12"]]);
        assert_eq!(Pattern::new(r"(?s).*#### ").unwrap().remove("a\n#### 5"), "5");
        assert_eq!(Pattern::new(r"\.$").unwrap().remove("5.\n"), "5\n");
        assert!(Pattern::new("(").is_err());
        // Too many steps: no match instead of an endless search.
        assert!(found(r"(a|aa)+(?=x)$", &"a".repeat(5000)).is_empty());
    }

    /// What CPython 3 draws.
    #[test]
    fn samples_are_those_of_python() {
        let mut random = Random::new(1234);
        assert_eq!(random.sample(10, 3), [7, 1, 0]);
        assert_eq!(random.sample(10, 3), [1, 0, 9]);
        assert_eq!(random.sample(10, 3), [1, 5, 3]);
        assert_eq!(random.sample(1000, 5), [17, 31, 807, 16, 354]);
        assert_eq!(random.sample(50, 8), [41, 39, 30, 48, 29, 9, 5, 11]);
    }
}
