//! What a model is asked in a trial.

use minijinja::context;
use serde::Serialize;

use super::records::{Item, Misconception, Topic};
use super::trials::Batch;
use crate::models::{Message, Request, Sampling};
use crate::suites::SuiteError;
use crate::suites::prompt::Template;

/// The role that the model is given.
pub const SYSTEM: &str = "You are an expert in mathematics and in how it is learnt.";

/// How the published run sampled: temperature 0.2, at most 2,000 tokens, no frequency penalty.
pub fn published_sampling() -> Sampling {
    Sampling {
        temperature: Some(0.2),
        max_tokens: Some(2000),
        frequency_penalty: Some(0.0),
        ..Sampling::default()
    }
}

/// Makes the prompts of batches.
pub struct Prompter {
    template: Template,
}

/// What the template sees of an item; of a test example it shows question and answer alone.
#[derive(Serialize)]
struct Shown<'a> {
    question: &'a str,
    wrong: &'a str,
    misconception: Misconception,
    description: &'a str,
    topic: Topic,
}

impl Prompter {
    /// The prompts in the words of this project.
    pub fn new() -> Result<Self, SuiteError> {
        let template = Template::new("misconceptions", include_str!("../prompts/misconceptions.jinja"))?;
        Ok(Prompter { template })
    }

    /// The text that asks a batch.
    pub fn render(&self, items: &[Item], batch: &Batch) -> Result<String, SuiteError> {
        let shown = |places: &[usize]| -> Vec<Shown<'_>> {
            let shown = places.iter().map(|&at| &items[at]).map(|item| Shown {
                question: item.question.trim(),
                wrong: item.wrong.trim(),
                misconception: item.misconception,
                description: item.description.trim(),
                topic: item.topic(),
            });
            shown.collect()
        };
        self.template.render(context! { train => shown(&batch.train), test => shown(&batch.test) })
    }
}

/// The request that sends a prompt. A trial is a sample of its own, also where two trials happen to ask the same.
pub fn request(prompt: &str, trial: usize, sampling: &Sampling) -> Request {
    let messages = vec![Message::system(SYSTEM), Message::user(prompt)];
    Request { first_sample: trial, ..Request::chat(messages).sampled(sampling.clone()) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::items;
    use super::super::trials::{Experiment, trial};
    use super::*;

    #[test]
    fn test_examples_come_without_right_answer_diagnosis_and_topic() {
        let items = items();
        let prompter = Prompter::new().unwrap();
        for batch in trial(&items, Experiment::TopicConstrained, 3, 1) {
            let text = prompter.render(&items, &batch).unwrap();
            let (train, test) = text.split_once("\nTest examples\n").unwrap();
            for &at in &batch.train {
                let item = &items[at];
                for shown in [&item.question, &item.wrong, &item.description, &item.misconception.to_string()]
                {
                    assert!(train.contains(shown.as_str()), "{shown}");
                }
                assert!(train.contains(item.topic().name()));
            }
            for &at in &batch.test {
                let item = &items[at];
                assert!(test.contains(&item.question) && test.contains(&item.wrong));
                for hidden in [&item.right, &item.description, item.topic().name(), "MaE"] {
                    assert!(!test.contains(hidden), "{hidden}");
                }
            }
            let numbers: Vec<String> =
                (1..=batch.test.len()).map(|number| format!("\n{number}.\n")).collect();
            assert!(numbers.iter().all(|number| test.contains(number)));
        }
    }
}
