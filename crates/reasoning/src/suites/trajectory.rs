//! What happened between a question and its answer, where a strategy does more than ask once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Record, Verdict};
use crate::models::Role;

/// The way to an answer: what was asked and computed, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// The answer, if there is one. It is judged instead of what the text of the reply holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// How the answer was found.
    pub rule: String,
    /// Why it ended, in a word of the strategy.
    pub ended: String,
    /// More on that, such as the message of an exception.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What the text of the reply is.
    pub form: Form,
    /// Calls of the model.
    pub calls: usize,
    /// Calls of tools by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, ToolUse>,
    /// Its parts, in order.
    pub stages: Vec<Stage>,
}

/// What the text of a reply is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Sentences, formulas between dollar signs.
    #[default]
    Prose,
    /// Sentences with a program among them.
    Program,
    /// Lines `Action: tool("...")`, `Output: ...`, `Final Answer: ...`.
    Transcript,
}

/// How often a tool was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUse {
    /// Calls.
    pub calls: usize,
    /// Calls to which the tool had no output.
    pub refused: usize,
}

/// A part of a trajectory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What it is: `solution`, `tool check`, `text check`, `program`.
    pub name: String,
    /// Why it ended.
    pub ended: String,
    /// The answer that it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What was said, in order, without the instructions and exemplars before.
    pub turns: Vec<Turn>,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who said it: `user`, `assistant`, or `tool` for what a program or tool computed.
    pub by: String,
    /// What.
    pub text: String,
}

impl Turn {
    /// What the user or the model said.
    pub fn of(role: Role, text: impl Into<String>) -> Self {
        Turn { by: role.name().into(), text: text.into() }
    }

    /// What a program or tool computed.
    pub fn tool(text: impl Into<String>) -> Self {
        Turn { by: "tool".into(), text: text.into() }
    }
}

impl Trajectory {
    /// Why it ended, with what there is to say about it.
    pub fn end(&self) -> String {
        match self.note.is_empty() {
            true => self.ended.clone(),
            false => format!("{}: {}", self.ended, self.note),
        }
    }

    /// Counts calls of tools.
    pub fn count_tools(&mut self, tools: &BTreeMap<String, ToolUse>) {
        for (name, used) in tools {
            let count = self.tools.entry(name.clone()).or_default();
            count.calls += used.calls;
            count.refused += used.refused;
        }
    }
}

/// Counts over the trajectories of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trajectories {
    /// Replies that have one.
    pub replies: usize,
    /// Calls of the model.
    pub calls: usize,
    /// The most calls for one reply.
    pub most_calls: usize,
    /// Why they ended.
    pub ended: BTreeMap<String, EndCount>,
    /// How often parts of each name ended for each reason.
    pub stages: BTreeMap<String, BTreeMap<String, usize>>,
    /// Calls of tools by name.
    pub tools: BTreeMap<String, ToolUse>,
}

/// How often trajectories ended for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndCount {
    /// Replies.
    pub replies: usize,
    /// Right ones among them.
    pub right: usize,
}

impl Trajectories {
    /// Counts those of a graded record.
    pub fn add(&mut self, record: &Record) {
        for (reply, grade) in record.replies.iter().zip(&record.grades) {
            let Some(trajectory) = &reply.trajectory else { continue };
            self.replies += 1;
            self.calls += trajectory.calls;
            self.most_calls = self.most_calls.max(trajectory.calls);
            let end = self.ended.entry(trajectory.ended.clone()).or_default();
            end.replies += 1;
            end.right += usize::from(grade.verdict == Verdict::Right);
            for stage in &trajectory.stages {
                let ended = self.stages.entry(stage.name.clone()).or_default();
                *ended.entry(stage.ended.clone()).or_default() += 1;
            }
            for (name, used) in &trajectory.tools {
                let count = self.tools.entry(name.clone()).or_default();
                count.calls += used.calls;
                count.refused += used.refused;
            }
        }
    }
}
