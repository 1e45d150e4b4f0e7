//! Problems with their reference answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::carp::ExpressionFlow;
use crate::answers::Language;

/// A problem with its reference answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name, unique in the suite and stable.
    pub id: String,
    /// The text.
    pub question: String,
    /// The text in English, where the suite has it and the problem is in another language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub english: Option<String>,
    /// The reference answer.
    pub reference: String,
    /// The language of the text, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What tables are made of: topic, level, grade ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, String>,
    /// The expressions of its worked solution, where they are annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expressions: Option<ExpressionFlow>,
    /// Exemplars that were chosen for it, the best first, instead of those of the suite.
    #[serde(skip)]
    pub exemplars: Vec<Exemplar>,
    /// What there is to choose from, in problems of multiple choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// The prompt, where it is ready as it comes and no template makes it.
    #[serde(skip)]
    pub prompt: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// One of several answers of a problem of multiple choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name: A, B, C and so on.
    pub label: String,
    /// What is counted as its length.
    pub text: String,
    /// What follows the prompt if it is chosen, white space included.
    pub continuation: String,
    /// Whether it is right.
    #[serde(default)]
    pub is_right: bool,
}

/// The name of option `number`, from 0: A to Z, then numbers.
pub(super) fn label(number: usize) -> String {
    match u8::try_from(number) {
        Ok(number) if number < 26 => char::from(b'A' + number).to_string(),
        _ => (number + 1).to_string(),
    }
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, below the folder of the data.
    pub file: String,
    /// The line, from 1; in Parquet files the row.
    pub line: usize,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// A solved problem, to be shown in a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Exemplar {
    /// The text.
    pub question: String,
    /// The solution with its last sentence, which states the answer.
    pub solution: String,
    /// The answer alone.
    pub answer: String,
    /// The language.
    #[serde(skip)]
    pub language: Option<Language>,
}
