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
    /// Where it comes from.
    pub origin: Origin,
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
