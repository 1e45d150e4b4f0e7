//! An action in a transcript: the call that a model wrote, and the output as it is shown to the model.

use std::sync::LazyLock;

use regex::Regex;

use crate::answers::pattern;
use crate::tools::algebra::{Argument, Output};

/// A call of a tool as a model wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// The name of the tool, which may be none of ours.
    pub tool: String,
    pub arguments: Vec<Argument>,
}

impl Action {
    /// The call `name(...)` behind the last `Action:` of a text. Its arguments are literals: quoted texts, whole numbers,
    /// and lists of these. A backslash stands for itself, so that a quoted text ends at the next such quotation mark.
    /// `None` if there is no such call.
    pub fn parse(text: &str) -> Option<Action> {
        static CALL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\w+)\((.*)\)"));
        let behind = &text[text.rfind("Action:")? + "Action:".len()..];
        let call = CALL.captures(behind)?;
        let mut literals = Literals { rest: call[2].trim_start() };
        let arguments = literals.sequence(None)?;
        literals.rest.is_empty().then(|| Action { tool: call[1].to_string(), arguments })
    }
}

/// What is left of a sequence of literals.
struct Literals<'a> {
    rest: &'a str,
}

impl<'a> Literals<'a> {
    /// Literals with commas between them up to the closing sign, or to the end where there is none.
    fn sequence(&mut self, close: Option<char>) -> Option<Vec<Argument>> {
        let mut found = Vec::new();
        loop {
            match close {
                Some(sign) if self.take(sign) => return Some(found),
                None if self.rest.is_empty() => return Some(found),
                _ => {}
            }
            found.push(self.literal()?);
            // A comma, unless the sequence ends here.
            let ends = close.map_or(self.rest.is_empty(), |sign| self.rest.starts_with(sign));
            if !ends && !self.take(',') {
                return None;
            }
        }
    }

    fn literal(&mut self) -> Option<Argument> {
        if let Some(text) = self.quoted() {
            return Some(Argument::Text(text.to_string()));
        }
        for (open, close) in [('[', ']'), ('(', ')')] {
            if self.take(open) {
                let items = self.sequence(Some(close))?.into_iter().map(|item| match item {
                    Argument::Text(text) => Some(text),
                    Argument::List(_) => None,
                });
                return items.collect::<Option<Vec<String>>>().map(Argument::List);
            }
        }
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let count = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        (count > 0).then(|| {
            let length = self.rest.len() - digits.len() + count;
            let (number, rest) = self.rest.split_at(length);
            self.rest = rest.trim_start();
            Argument::Text(number.to_string())
        })
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let mark = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (text, rest) = self.rest[1..].split_once(mark)?;
        self.rest = rest.trim_start();
        Some(text)
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.rest.strip_prefix(sign);
        self.rest = found.map_or(self.rest, str::trim_start);
        found.is_some()
    }
}

/// An output as it stands behind `Output:`, in the notation of the exemplars: `["x = 1"]`, `{"x": ["x = 1"]}`, with
/// backslashes as they are.
pub(super) fn shown(output: &Output) -> String {
    let list = |items: &[String]| {
        let items: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
        format!("[{}]", items.join(", "))
    };
    match output {
        Output::Text(text) => text.clone(),
        Output::List(items) => list(items),
        Output::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(symbol, items)| format!("\"{symbol}\": {}", list(items))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// An output as an answer: a list of one element is that element.
pub(super) fn unwrapped(output: &str) -> String {
    let text = output.trim().trim_matches(['.', '。']).trim();
    let mut literals = Literals { rest: text };
    match literals.literal() {
        Some(Argument::List(mut items)) if items.len() == 1 && literals.rest.is_empty() => items.remove(0),
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Argument {
        Argument::Text(text.into())
    }

    fn list(items: &[&str]) -> Argument {
        Argument::List(items.iter().map(|item| item.to_string()).collect())
    }

    #[test]
    fn calls_are_read_with_their_literals() {
        let arguments = |line: &str| Action::parse(line).map(|action| action.arguments);
        assert_eq!(
            Action::parse("First.\nAction: solve_eq(\"\\frac { x } { 2 } = 1\")\n"),
            Some(Action { tool: "solve_eq".into(), arguments: vec![text("\\frac { x } { 2 } = 1")] })
        );
        assert_eq!(
            arguments("Action: substitute('a - b', [\"a = 1\", 'b = 2', ])"),
            Some(vec![text("a - b"), list(&["a = 1", "b = 2"])])
        );
        assert_eq!(
            arguments("Action: base_conversion(\"204_5\", 10)"),
            Some(vec![text("204_5"), text("10")])
        );
        assert_eq!(
            arguments("Action: solve_multi_eq((\"x = 1\", \"y = 2\"))"),
            Some(vec![list(&["x = 1", "y = 2"])])
        );
        assert_eq!(arguments("Action: finish()"), Some(vec![]));
        // The last action counts.
        assert_eq!(Action::parse("Action: f(1)\nAction: g(2)").unwrap().tool, "g");
    }

    #[test]
    fn what_is_no_call_of_literals_is_none() {
        for wrong in [
            "solve_eq(\"x = 1\")",
            "Action: solve_eq x = 1",
            "Action: solve_eq(x = 1)",
            "Action: solve_eq(\"x = 1)",
            "Action: solve_eq(expand(\"x\"))",
            "Action: substitute(\"x\", [[\"x = 1\"]])",
            "Action: f(\"a\" \"b\")",
            "Action: f(\"a\",, \"b\")",
            "Action: f([\"a\")",
            "Action: f(-)",
            "Action: f(\"a\"\n)",
            "",
        ] {
            assert_eq!(Action::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn outputs_are_shown_as_in_the_exemplars_and_single_ones_are_unwrapped() {
        let items = |items: &[&str]| items.iter().map(|item| item.to_string()).collect::<Vec<_>>();
        assert_eq!(shown(&Output::List(items(&["x = 1", "x = 2"]))), "[\"x = 1\", \"x = 2\"]");
        let map = Output::Map([("x".to_string(), items(&["x = 1"]))].into());
        assert_eq!(shown(&map), "{\"x\": [\"x = 1\"]}");
        assert_eq!(unwrapped(" [\"x = \\frac { 1 } { 2 }\"]."), "x = \\frac { 1 } { 2 }");
        assert_eq!(unwrapped("['x = 1']"), "x = 1");
        assert_eq!(unwrapped("[\"x = 1\", \"x = 2\"]"), "[\"x = 1\", \"x = 2\"]");
        assert_eq!(unwrapped("[ 1 , 2 )"), "[ 1 , 2 )");
        assert_eq!(unwrapped("3。"), "3");
    }
}
