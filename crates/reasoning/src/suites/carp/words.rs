//! The words of the tool loop and of the two checks: system texts, questions and exemplars in a language.
//!
//! They stand in a TOML file, one for each language; `prompts/carp/en.toml` says what is in it.

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use super::super::SuiteError;
use super::super::prompt::tokens;
use crate::models::{Message, Role};

/// The words in a language.
pub(super) struct Words {
    environment: Environment<'static>,
    exemplars: Vec<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tools: String,
    text: String,
    question: String,
    exemplars: String,
}

/// How many tokens a conversation may have, the reply included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// All of them.
    pub context: u64,
    /// The longest reply.
    pub reply: u64,
}

impl Words {
    /// Reads words; `name` is the name of the file in complaints.
    ///
    /// # Errors
    /// If the file is not of the form, a template is wrong, or an exemplar does not go from a question to a solution.
    pub fn read(name: &str, text: &str) -> Result<Words, SuiteError> {
        let wrong = |message: String| SuiteError::Template { name: name.into(), message };
        let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        for (part, template) in [("tools", file.tools), ("text", file.text), ("question", file.question)] {
            let added = environment.add_template_owned(part, template);
            added.map_err(|error| wrong(format!("{part}: {error}")))?;
        }
        let mut exemplars = Vec::new();
        for (number, exemplar) in file.exemplars.split("\n===\n").enumerate() {
            let messages: Vec<Message> = exemplar.trim().split("\n//\n").map(message).collect();
            let first = messages.first().map(Message::text).unwrap_or_default();
            let last = messages.last().map(Message::text).unwrap_or_default();
            if !first.starts_with("Question:")
                || !first.contains("\nTrial:")
                || !last.starts_with("Solution:")
                || messages.len() < 3
            {
                return Err(wrong(format!(
                    "exemplar {}: expected Question and Trial, // between messages, and Solution at the end",
                    number + 1
                )));
            }
            exemplars.push(messages);
        }
        let words = Words { environment, exemplars };
        // A template that fails fails now.
        for flag in [true, false] {
            words.system("tools", flag)?;
            words.system("text", flag)?;
        }
        words.question("", "", None)?;
        Ok(words)
    }

    fn system(&self, part: &str, flag: bool) -> Result<String, SuiteError> {
        self.render(part, context! { trial => flag, transcript => flag })
    }

    fn render(&self, part: &str, values: minijinja::Value) -> Result<String, SuiteError> {
        let text = self.environment.get_template(part).and_then(|template| template.render(values));
        text.map(|text| text.trim().to_string())
            .map_err(|error| SuiteError::Template { name: part.into(), message: error.to_string() })
    }

    /// The question of the text check; without a transcript it is about the solution alone.
    fn question(
        &self,
        question: &str,
        solution: &str,
        transcript: Option<&str>,
    ) -> Result<String, SuiteError> {
        self.render("question", context! { question, solution, transcript })
    }

    /// What stands before a transcript of the tool loop: instructions, exemplars, and the question, with a trial or
    /// without. `said` is the transcript, for which there has to be room.
    pub fn tool_loop(
        &self,
        question: &str,
        trial: Option<&str>,
        said: &[Message],
        room: Room,
    ) -> Vec<Message> {
        let asked = match trial {
            Some(trial) => format!("Question: {question}\nTrial: {trial}"),
            None => format!("Question: {question}"),
        };
        let exemplar = |exemplar: &Vec<Message>| {
            let mut messages = exemplar[..exemplar.len() - 1].to_vec();
            if trial.is_none() {
                messages[0] = Message::user(before_trial(&messages[0].text()));
            }
            messages
        };
        // The templates were rendered when they were read.
        let system = self.system("tools", trial.is_some()).unwrap_or_default();
        let asked = [Message::user(asked)];
        let mut messages = self.with_exemplars(system, exemplar, [asked.as_slice(), said].concat(), room);
        messages.truncate(messages.len() - said.len());
        messages
    }

    /// The conversation of the text check.
    pub fn text_check(
        &self,
        question: &str,
        solution: &str,
        transcript: Option<&str>,
        room: Room,
    ) -> Vec<Message> {
        let exemplar = |exemplar: &Vec<Message>| {
            let first = exemplar[0].text();
            let said: Vec<String> = exemplar[1..exemplar.len() - 1].iter().map(Message::text).collect();
            let shown = transcript.map(|_| said.join("\n"));
            let corrected = exemplar[exemplar.len() - 1].text();
            let asked = self.question(
                before_trial(&first).trim_start_matches("Question:").trim(),
                first.split_once("\nTrial:").map_or("", |(_, trial)| trial).trim(),
                shown.as_deref(),
            );
            vec![
                Message::user(asked.unwrap_or_default()),
                Message::assistant(corrected.trim_start_matches("Solution:").trim()),
            ]
        };
        let system = self.system("text", transcript.is_some()).unwrap_or_default();
        let asked = self.question(question, solution, transcript).unwrap_or_default();
        self.with_exemplars(system, exemplar, vec![Message::user(asked)], room)
    }

    /// Instructions, as many exemplars as there is room for, and the rest. The instructions are a message of the user.
    fn with_exemplars(
        &self,
        system: String,
        exemplar: impl Fn(&Vec<Message>) -> Vec<Message>,
        rest: Vec<Message>,
        room: Room,
    ) -> Vec<Message> {
        let mut messages = vec![Message::user(system)];
        let mut used = conversation_tokens(&messages) + conversation_tokens(&rest);
        for shown in self.exemplars.iter().map(exemplar) {
            used += conversation_tokens(&shown);
            if used + room.reply >= room.context {
                break;
            }
            messages.extend(shown);
        }
        messages.extend(rest);
        messages
    }
}

/// A message of an exemplar: what begins with Question or Output is the user's.
fn message(text: &str) -> Message {
    let role = match text.starts_with("Question") || text.starts_with("Output") {
        true => Role::User,
        false => Role::Assistant,
    };
    Message { role, ..Message::user(text.trim()) }
}

fn before_trial(text: &str) -> &str {
    text.split_once("\nTrial:").map_or(text, |(question, _)| question)
}

/// About how many tokens messages have: four more for each of them.
fn conversation_tokens(messages: &[Message]) -> u64 {
    messages.iter().map(|message| tokens(&message.text()) + 4).sum()
}

#[cfg(test)]
mod tests {
    use super::super::action::{Action, shown};
    use super::*;
    use crate::tools::algebra::call;

    pub(crate) const FILES: [&str; 2] =
        [include_str!("../prompts/carp/zh.toml"), include_str!("../prompts/carp/en.toml")];
    const WIDE: Room = Room { context: 4090, reply: 512 };

    fn all() -> impl Iterator<Item = Words> {
        FILES.into_iter().map(|file| Words::read("words", file).unwrap())
    }

    /// The exemplars show what the tools do, not what somebody believes that they do.
    #[test]
    fn outputs_of_the_exemplars_are_those_of_the_tools() {
        for words in all() {
            assert_eq!(words.exemplars.len(), 5);
            let mut checked = 0;
            for pair in words.exemplars.iter().flat_map(|exemplar| exemplar.windows(2)) {
                let (said, output) = (pair[0].text(), pair[1].text());
                if !output.starts_with("Output:") {
                    continue;
                }
                let action = Action::parse(&said).unwrap();
                if action.tool != "think" {
                    let found = call(&action.tool, &action.arguments).unwrap();
                    assert_eq!(format!("Output: {}", shown(&found)), output, "{said}");
                    checked += 1;
                }
            }
            assert_eq!(checked, 7);
        }
    }

    #[test]
    fn roles_and_trials_are_as_published() {
        let words = all().next().unwrap();
        let messages = words.tool_loop("Q", Some("T"), &[], WIDE);
        assert_eq!(messages[0].role, Role::User);
        assert!(messages[0].text().contains("Trial:") && messages[0].text().contains("partial_solve("));
        let roles: Vec<Role> = messages[1..5].iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
        assert_eq!(messages.last().unwrap().text(), "Question: Q\nTrial: T");
        assert!(messages.iter().all(|message| !message.text().contains("Solution:")));
        let plain = words.tool_loop("Q", None, &[], WIDE);
        assert_eq!(plain.len(), messages.len());
        assert!(plain.iter().all(|message| !message.text().contains("Trial:")));
        let check = words.text_check("Q", "S", Some("Action: f(1)\nOutput: 1"), WIDE);
        assert_eq!(check.len(), 12);
        assert!(check[2].text().contains("答案是：") && !check[2].text().starts_with("Solution"));
        assert!(check[11].text().contains("Output: 1"));
        let alone = words.text_check("Q", "S", None, WIDE);
        assert!(alone.iter().all(|message| !message.text().contains("Output:")));
    }

    #[test]
    fn exemplars_go_where_there_is_no_room() {
        let words = all().next().unwrap();
        let count = |context, said: &[Message]| {
            words.tool_loop("Q", Some("T"), said, Room { context, reply: 512 }).len()
        };
        let whole = count(4090, &[]);
        assert!(whole > count(1600, &[]), "{whole}");
        assert_eq!(count(10, &[]), 2);
        // A long transcript takes their place.
        let said = vec![Message::assistant("x + 1 ".repeat(500)), Message::user("Output: 1")];
        assert!(count(2500, &said) < count(2500, &[]));
    }

    #[test]
    fn wrong_files_are_named() {
        for (from, to, expected) in [
            ("text = ", "texts = ", "unknown field"),
            ("{% endif %}", "", "tools"),
            ("{{ solution }}", "{{ sollution }}", "undefined"),
            ("\nTrial: 去括号", "\n去括号", "exemplar 1"),
            ("Solution: 两式", "两式", "exemplar 2"),
        ] {
            let error = Words::read("mine.toml", &FILES[0].replace(from, to)).err().expect(from).to_string();
            assert!(error.contains(expected), "{from}: {error}");
        }
    }
}
