//! The tool loop of CARP (Zhang et al. 2023, after ReAct, Yao et al. 2022): the model writes actions, tools answer.
//!
//! 1. The model is asked up to `\nOutput:`. A text with neither `Action:` nor `Final Answer:`, or one that goes on to a new
//!    question, ends the loop with the last output; one with a final answer ends it with that.
//! 2. The action is run. Where it cannot be read, its tool is none of ours (`think` is meant to be none) or refuses, the
//!    model writes the output itself: all messages but the instructions change sides, and the reply ends with its line. With
//!    feedback, the text of a tool that refuses is the output.
//! 3. After fifteen steps without an end the answer is -10000, as it is where there is no output to take.
//!
//! The published program takes a text that holds `Question`, `问题`, `End` or `解题过程` anywhere for a new question; here a
//! line has to begin with such a word. It shows outputs as Python prints them, here they look as in the exemplars. Where the
//! context overflows it goes on with a sentence that says so; here the loop ends with the last output.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::dialogue::{Asker, Interruption};
use super::super::trajectory::{Stage, ToolUse, Turn};
use super::action::{Action, shown, unwrapped};
use super::words::{Room, Words};
use crate::models::{Message, Role};
use crate::tools::algebra::{TIME, TOOLS, call};

/// The answer of a loop that comes to none.
pub(super) const NO_ANSWER: &str = "-10000";
/// Where the model stops for the tool.
pub(super) const STOP: &str = "\nOutput:";

/// How a loop is run.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The most steps.
    pub steps: usize,
    /// Loops, whose majority decides.
    pub votes: usize,
    /// Whether the model sees why a tool has no output.
    pub feedback: bool,
    /// The room for conversations.
    pub room: Room,
}

impl Options {
    /// The most calls of the model: an action and an output in each step.
    pub fn most_calls(&self) -> usize {
        2 * self.steps * self.votes
    }
}

/// A loop that has ended.
#[derive(Debug)]
pub(super) struct Transcript {
    /// What was said after the question.
    pub said: Vec<Message>,
    pub answer: String,
    /// Why it ended.
    pub ended: &'static str,
    pub tools: BTreeMap<String, ToolUse>,
}

impl Transcript {
    /// The lines of the transcript.
    pub fn text(&self) -> String {
        self.said.iter().map(Message::text).collect::<Vec<_>>().join("\n")
    }

    /// As a part of a trajectory.
    pub fn stage(&self, name: &str) -> Stage {
        let turns = self.said.iter().map(|message| Turn::of(message.role, message.text()));
        Stage {
            name: name.into(),
            ended: self.ended.into(),
            answer: Some(self.answer.clone()),
            turns: turns.collect(),
        }
    }
}

/// Runs the loop on a question, with a trial or without, as often as there are votes; the transcripts, that of the
/// majority's first one last. Answers are counted as texts; among equal counts the first decides.
///
/// # Errors
/// If a call has no reply.
pub(super) async fn run(
    asker: &mut Asker<'_>,
    words: &Words,
    options: &Options,
    question: &str,
    trial: Option<&str>,
) -> Result<Vec<Transcript>, Interruption> {
    let mut transcripts = Vec::with_capacity(options.votes);
    let sample = asker.sample;
    for vote in 0..options.votes {
        asker.sample = sample * options.votes + vote;
        let transcript = run_once(asker, words, options, question, trial).await;
        asker.sample = sample;
        transcripts.push(transcript?);
    }
    let votes = |answer: &str| transcripts.iter().filter(|other| other.answer == answer).count();
    let most = transcripts.iter().map(|transcript| votes(&transcript.answer)).max().unwrap_or(0);
    if let Some(first) = transcripts.iter().position(|transcript| votes(&transcript.answer) == most) {
        let chosen = transcripts.remove(first);
        transcripts.push(chosen);
    }
    Ok(transcripts)
}

async fn run_once(
    asker: &mut Asker<'_>,
    words: &Words,
    options: &Options,
    question: &str,
    trial: Option<&str>,
) -> Result<Transcript, Interruption> {
    let mut said: Vec<Message> = Vec::new();
    let mut tools: BTreeMap<String, ToolUse> = BTreeMap::new();
    let mut end = None;
    for _ in 0..options.steps {
        let before = words.tool_loop(question, trial, &said, options.room);
        let text = match asker.ask([before.as_slice(), &said].concat(), Some(STOP)).await {
            Err(Interruption::ContextOverflow) => {
                end = Some(("context-overflow", last_output(&said)));
                break;
            }
            text => text?,
        };
        if !text.contains("Action:") && !text.contains("Final Answer:") {
            end = Some(("no-action", last_output(&said)));
            break;
        }
        if begins_anew(&text) {
            end = Some(("new-question", last_output(&said)));
            break;
        }
        said.push(Message::assistant(&text));
        if let Some(answer) = final_answer(&text) {
            end = Some(("final-answer", answer));
            break;
        }
        let action = Action::parse(&text);
        let output = match computed(action.as_ref(), options.feedback, &mut tools) {
            Some(output) => output,
            None => {
                let before = words.tool_loop(question, trial, &said, options.room);
                match asker.ask(with_roles_swapped(&before, &said), Some("\n")).await {
                    Err(Interruption::ContextOverflow) => {
                        end = Some(("context-overflow", last_output(&said)));
                        break;
                    }
                    text => text?.trim_start_matches("Output:").trim().to_string(),
                }
            }
        };
        said.push(Message::user(format!("Output: {output}")));
        if action.is_some_and(|action| action.tool == "finish") {
            end = Some(("finish", output));
            break;
        }
    }
    let (ended, answer) = end.unwrap_or(("step-limit", NO_ANSWER.to_string()));
    Ok(Transcript { said, answer, ended, tools })
}

/// The output of a tool; `None` where the model has to write it. A call takes less than a tenth of a second and is made
/// where it is: on threads of their own many of them would share the processor, and their time limit with it. One that
/// runs out of time is made again, as it may have waited for another program; what it says decides what is asked next.
fn computed(
    action: Option<&Action>,
    feedback: bool,
    tools: &mut BTreeMap<String, ToolUse>,
) -> Option<String> {
    let known = |action: &&Action| TOOLS.contains(&action.tool.as_str()) || action.tool == "subs";
    let name = match action {
        None => "malformed action",
        Some(action) if action.tool == "think" || known(&action) => &action.tool,
        Some(_) => "unknown tool",
    };
    let used = tools.entry(name.to_string()).or_default();
    used.calls += 1;
    let action = action.filter(known)?;
    let begun = Instant::now();
    let mut outcome = call(&action.tool, &action.arguments);
    if outcome.is_err() && begun.elapsed() >= TIME {
        outcome = call(&action.tool, &action.arguments);
    }
    match outcome {
        Ok(output) => Some(shown(&output)),
        Err(error) => {
            used.refused += 1;
            feedback.then(|| error.to_string())
        }
    }
}

/// The conversation in which the model plays the user: the instructions stay as they are.
fn with_roles_swapped(before: &[Message], said: &[Message]) -> Vec<Message> {
    let swapped = before.iter().skip(1).chain(said).map(|message| {
        let role = match message.role {
            Role::User => Role::Assistant,
            Role::Assistant => Role::User,
            Role::System => Role::System,
        };
        Message { role, ..message.clone() }
    });
    before.first().cloned().into_iter().chain(swapped).collect()
}

fn begins_anew(text: &str) -> bool {
    const WORDS: [&str; 6] = ["Question", "问题", "题目", "解题过程", "End", "Trial"];
    text.lines().any(|line| WORDS.iter().any(|word| line.trim_start().starts_with(word)))
}

/// What stands behind the last `Final Answer:`, or in the box there.
fn final_answer(text: &str) -> Option<String> {
    let (_, answer) = text.rsplit_once("Final Answer:")?;
    let answer = match answer.split_once("\\boxed{") {
        Some((_, inside)) => closed(inside).unwrap_or(inside),
        None => answer,
    };
    let answer = answer.replace('$', "");
    Some(answer.trim().trim_matches(['.', '。', ':', '：']).trim().to_string())
}

/// The text before the brace that closes one that was opened before it.
fn closed(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    for (place, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(&text[..place]),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The last output as an answer.
fn last_output(said: &[Message]) -> String {
    let outputs = said.iter().rev().map(Message::text);
    let last = outputs.filter_map(|text| text.strip_prefix("Output:").map(unwrapped)).next();
    last.filter(|text| !text.is_empty()).unwrap_or(NO_ANSWER.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_answers_lose_signs_around_them() {
        assert_eq!(final_answer("Final Answer: $x = 3$。").as_deref(), Some("x = 3"));
        assert_eq!(final_answer("So.\nFinal Answer: - 2 .").as_deref(), Some("- 2"));
        assert_eq!(final_answer("Final Answer: $\\boxed{\\frac{1}{2}}$").as_deref(), Some("\\frac{1}{2}"));
        assert_eq!(final_answer("Action: f(1)"), None);
    }

    #[test]
    fn only_lines_begin_anew() {
        assert!(begins_anew("Final Answer: 3\n\nQuestion: what is"));
        assert!(begins_anew("问题: 若"));
        assert!(!begins_anew("Action: think(\"这个问题的条件\")"));
        assert!(!begins_anew("Action: think(\"the End of it\")"));
    }

    #[test]
    fn the_instructions_keep_their_side() {
        let before = [Message::user("instructions"), Message::user("Question: a")];
        let swapped = with_roles_swapped(&before, &[Message::assistant("Action: f(1)")]);
        let roles: Vec<Role> = swapped.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    }

    #[test]
    fn without_an_output_there_is_no_answer() {
        assert_eq!(last_output(&[Message::assistant("Action: f(1)")]), NO_ANSWER);
        let said =
            [Message::user("Output: 1"), Message::user("Output: [\"x = 2\"]"), Message::assistant("a")];
        assert_eq!(last_output(&said), "x = 2");
    }
}
