//! DELI (Zhang et al. 2023): deliberation between tools and text.
//!
//! A first solution is written with exemplars before it. Then, at most three times: the [tool loop](super::tool_loop) replays
//! the solution with tools and comes to an answer; the model compares the solution with that transcript and writes the
//! solution anew. Where both answers are equal that is the answer; where transcript and solution are those of the turn
//! before, or the turns are used up, it is the last one of the tools.
//!
//! One check alone is an ablation. The tool check alone is one turn, as the solution stays what it is. The text check alone
//! sees no transcript and ends when the solution has the answer of the one before it, or does not change.
//!
//! What is not in the paper: a text check whose context overflows ends the deliberation, and the answer is that of the tools.

use super::super::dialogue::{Asker, Dialogue, Interruption, Solving};
use super::super::generate::Item;
use super::super::trajectory::{Form, Stage, Trajectory, Turn};
use super::super::{Ending, Problem, Reply};
use super::tool_loop::{self, NO_ANSWER, STOP, Transcript};
use super::words::Words;
use crate::answers::{self, Language, Mode};
use crate::models::calls::Calls;
use crate::models::{Message, Role};

/// Which checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    Both,
    Tool,
    Text,
}

/// The words by language: Chinese, and English for all others.
pub(super) struct Wordings {
    pub chinese: Words,
    pub english: Words,
}

impl Wordings {
    fn of(&self, problem: &Problem) -> &Words {
        match problem.language {
            Some(Language::Zh) => &self.chinese,
            _ => &self.english,
        }
    }
}

/// The tool loop alone.
pub(super) struct ToolLoop {
    pub wordings: Wordings,
    pub options: tool_loop::Options,
}

/// The tool loop and the text check in turns.
pub(super) struct Deliberation {
    pub wordings: Wordings,
    pub options: tool_loop::Options,
    pub checks: Checks,
    /// The most turns.
    pub turns: usize,
}

impl Dialogue for ToolLoop {
    fn opening(&self, problem: &Problem, _: &str) -> Vec<Message> {
        self.wordings.of(problem).tool_loop(problem.question.trim(), None, &[], self.options.room)
    }

    fn most_calls(&self) -> usize {
        self.options.most_calls()
    }

    fn solve<'a>(&'a self, calls: &'a Calls, item: &'a Item<'a>, sample: usize) -> Solving<'a> {
        Box::pin(async move {
            let mut asker = Asker::new(calls, item, sample);
            let mut trajectory = Trajectory::default();
            let words = self.wordings.of(item.problem);
            let question = item.problem.question.trim();
            let interruption = match tool_loop::run(&mut asker, words, &self.options, question, None).await {
                Ok(transcripts) => {
                    let last = note(&mut trajectory, "tool loop", &transcripts);
                    trajectory.ended = last.map_or("", |transcript| transcript.ended).into();
                    trajectory.rule = "tools".into();
                    None
                }
                Err(interruption) => Some(interruption),
            };
            conclude(trajectory, Form::Transcript, asker, interruption)
        })
    }
}

impl Dialogue for Deliberation {
    fn opening(&self, _: &Problem, prompt: &str) -> Vec<Message> {
        vec![Message::user(prompt)]
    }

    fn most_calls(&self) -> usize {
        match self.checks {
            Checks::Both => 1 + self.turns * (self.options.most_calls() + 1),
            Checks::Tool => 1 + self.options.most_calls(),
            Checks::Text => 1 + self.turns,
        }
    }

    fn solve<'a>(&'a self, calls: &'a Calls, item: &'a Item<'a>, sample: usize) -> Solving<'a> {
        Box::pin(async move {
            let mut asker = Asker::new(calls, item, sample);
            let mut trajectory = Trajectory::default();
            let done = self.deliberate(&mut asker, item, &mut trajectory).await;
            let form = match self.checks {
                Checks::Text => Form::Prose,
                _ => Form::Transcript,
            };
            conclude(trajectory, form, asker, done.err())
        })
    }
}

impl Deliberation {
    async fn deliberate(
        &self,
        asker: &mut Asker<'_>,
        item: &Item<'_>,
        trajectory: &mut Trajectory,
    ) -> Result<(), Interruption> {
        let words = self.wordings.of(item.problem);
        let question = item.problem.question.trim();
        trajectory.rule = if self.checks == Checks::Text { "text" } else { "tools" }.into();
        let mut solution = asker.ask(self.opening(item.problem, &item.prompt), None).await?;
        let mut stated = note_solution(trajectory, "solution", &solution);
        if self.checks == Checks::Text {
            trajectory.answer.clone_from(&stated);
        }
        let mut before: Option<String> = None;
        for turn in 1..=self.turns {
            let mut transcript = None;
            if self.checks != Checks::Text {
                let found = tool_loop::run(asker, words, &self.options, question, Some(&solution)).await?;
                let last = note(trajectory, "tool check", &found);
                transcript = last.map(Transcript::text);
                if self.checks == Checks::Tool {
                    trajectory.ended = last.map_or("", |transcript| transcript.ended).into();
                    return Ok(());
                }
            }
            let shown = transcript.as_deref();
            let messages = words.text_check(question, &solution, shown, self.options.room);
            let corrected = match asker.ask(messages, Some(STOP)).await {
                Err(Interruption::ContextOverflow) => {
                    trajectory.ended = "context-overflow".into();
                    return Ok(());
                }
                text => text?,
            };
            let corrected_answer = note_solution(trajectory, "text check", &corrected);
            // What the answer of the text has to agree with: that of the tools, or that of the text before.
            let other = match self.checks {
                Checks::Text => {
                    trajectory.answer = corrected_answer.clone().or(trajectory.answer.take());
                    stated.as_deref()
                }
                _ => trajectory.answer.as_deref(),
            };
            if let (Some(text), Some(other)) = (corrected_answer.as_deref(), other)
                && answers::check(other, text, &answers::Options::of(Mode::Carp)).is_equal()
            {
                trajectory.ended = format!("converged-{turn}");
                return Ok(());
            }
            if corrected == solution && (self.checks == Checks::Text || before == transcript) {
                trajectory.ended = "unchanged".into();
                return Ok(());
            }
            (solution, stated, before) = (corrected, corrected_answer, transcript);
        }
        trajectory.ended = "turn-limit".into();
        Ok(())
    }
}

/// Writes a solution down; its answer.
fn note_solution(trajectory: &mut Trajectory, name: &str, solution: &str) -> Option<String> {
    let answer = answers::extract(solution, &answers::Options::of(Mode::Carp)).map(|found| found.answer);
    trajectory.stages.push(Stage {
        name: name.into(),
        ended: if answer.is_some() { "answer" } else { "no-answer" }.into(),
        answer: answer.clone(),
        turns: vec![Turn::of(Role::Assistant, solution)],
    });
    answer
}

/// Writes transcripts down; the last of them decides.
fn note<'a>(
    trajectory: &mut Trajectory,
    name: &str,
    transcripts: &'a [Transcript],
) -> Option<&'a Transcript> {
    for transcript in transcripts {
        trajectory.stages.push(transcript.stage(name));
        trajectory.count_tools(&transcript.tools);
    }
    let last = transcripts.last()?;
    trajectory.answer = Some(last.answer.clone());
    Some(last)
}

/// The reply: the last part of its form as text, or why there is none.
fn conclude(
    mut trajectory: Trajectory,
    form: Form,
    asker: Asker<'_>,
    interruption: Option<Interruption>,
) -> Result<(Reply, crate::models::calls::Spending), crate::models::calls::Stop> {
    let (ending, failure) = match interruption {
        None => (Ending::Complete, None),
        Some(Interruption::Stopped(stop)) => return Err(stop),
        Some(Interruption::ContextOverflow) => {
            trajectory.ended = "context-overflow".into();
            trajectory.answer = Some(NO_ANSWER.into());
            (Ending::Complete, None)
        }
        Some(Interruption::Refused) => {
            trajectory.ended = "refused".into();
            (Ending::Refused, None)
        }
        Some(Interruption::Failed(failure)) => {
            trajectory.ended = "failed".into();
            (Ending::Failed, Some(failure.to_string()))
        }
    };
    trajectory.form = form;
    trajectory.calls = asker.asked;
    let is_loop = |stage: &&Stage| stage.name.starts_with("tool") == (form == Form::Transcript);
    let text = trajectory
        .stages
        .iter()
        .rev()
        .find(is_loop)
        .map(|stage| stage.turns.iter().map(|turn| turn.text.as_str()).collect::<Vec<_>>().join("\n"));
    let reply = Reply {
        text: text.unwrap_or_default(),
        ending,
        failure,
        trajectory: Some(Box::new(trajectory)),
        options: Vec::new(),
    };
    Ok((reply, asker.spent))
}
