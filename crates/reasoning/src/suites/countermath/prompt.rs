//! What a model is asked about a statement.

use std::path::Path;

use minijinja::context;

use super::records::Statement;
use crate::answers::Language;
use crate::models::{Message, Request, Sampling};
use crate::suites::prompt::Template;
use crate::suites::{Problem, SuiteError};

/// How the argument is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Step by step.
    ChainOfThought,
    /// Step by step, with concrete examples.
    Hint,
}

impl Style {
    /// Both.
    pub const ALL: [Style; 2] = [Style::ChainOfThought, Style::Hint];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Style::ChainOfThought => "chain-of-thought",
            Style::Hint => "hint",
        }
    }

    /// What the model is told before it reads the statement, in English or Chinese.
    pub fn instruction(self, language: Language) -> &'static str {
        match (self, language) {
            (Style::ChainOfThought, Language::Zh) => {
                "下面给出一个数学命题。请一步一步地推理，判断它是真还是假，并在最后用 \\boxed{真} 或 \\boxed{假} 写出结论。"
            }
            (Style::Hint, Language::Zh) => {
                "下面给出一个数学命题。请一步一步地推理，用具体的例子来论证，判断它是真还是假，并在最后用 \\boxed{真} 或 \\boxed{假} 写出结论。"
            }
            (Style::ChainOfThought, _) => {
                "You are given a mathematical statement. Reason step by step about whether it is true or false. End with your \
                 verdict in a box: \\boxed{True} or \\boxed{False}."
            }
            (Style::Hint, _) => {
                "You are given a mathematical statement. Reason step by step about whether it is true or false, and argue with \
                 concrete examples. End with your verdict in a box: \\boxed{True} or \\boxed{False}."
            }
        }
    }
}

/// Makes requests of statements.
pub struct Prompter {
    style: Style,
    language: Language,
    template: Option<Template>,
}

impl Prompter {
    /// In English, or in Chinese for [`Language::Zh`]. With a template the prompt is one text to be continued, as models
    /// without a chat form need it; it sees `instruction` and `statement`.
    ///
    /// # Errors
    /// If the template cannot be read.
    pub fn new(style: Style, language: Language, template: Option<&Path>) -> Result<Self, SuiteError> {
        let template = match template {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| SuiteError::File { path: path.into(), message: error.to_string() })?;
                Some(Template::new(&path.display().to_string(), &text)?)
            }
        };
        Ok(Prompter { style, language, template })
    }

    /// A statement as the problem that is asked. Without a judgement its reference is empty.
    pub fn problem(&self, statement: &Statement) -> Problem {
        let question = match self.language {
            Language::Zh => &statement.chinese,
            _ => &statement.english,
        };
        Problem {
            id: statement.id.clone(),
            question: question.clone(),
            english: (self.language == Language::Zh).then(|| statement.english.clone()),
            reference: match statement.judgement {
                Some(true) => "True".into(),
                Some(false) => "False".into(),
                None => String::new(),
            },
            language: Some(self.language),
            categories: [("field".to_string(), statement.field.name().to_string())].into(),
            origin: statement.origin.clone(),
            ..Problem::default()
        }
    }

    /// The text of the prompt and the request that asks it.
    ///
    /// # Errors
    /// If the template fails, or the statement has no text in the language.
    pub fn request(&self, problem: &Problem, sampling: &Sampling) -> Result<(String, Request), SuiteError> {
        let statement = problem.question.trim();
        if statement.is_empty() {
            let message = format!("the statement {} has no Chinese text", problem.id);
            return Err(SuiteError::Template { name: "chinese".into(), message });
        }
        let instruction = self.style.instruction(self.language);
        let (text, request) = match &self.template {
            Some(template) => {
                let text = template.render(context! { instruction, statement })?;
                (text.clone(), Request::completion(text))
            }
            None => {
                let messages = vec![Message::system(instruction), Message::user(statement)];
                (format!("{instruction}\n\n{statement}"), Request::chat(messages))
            }
        };
        Ok((text, request.sampled(sampling.clone())))
    }
}
