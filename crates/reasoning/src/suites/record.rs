//! The record of a problem in a run: what was asked, what was replied, how it was judged. One JSON line each.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::carp::ExpressionFlow;
use super::{Grade, OptionScore, Origin, Problem, Trajectory};
use crate::answers::Language;
use crate::models::calls::Outcome;

/// A problem in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The name of the problem.
    pub id: String,
    /// Where the problem comes from.
    pub origin: Origin,
    /// What tables are made of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, String>,
    /// The language of the replies, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The text of the problem.
    pub question: String,
    /// The reference answer.
    pub reference: String,
    /// The expressions of the worked solution, where they are annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expressions: Option<ExpressionFlow>,
    /// What the model was asked.
    pub prompt: String,
    /// What it replied, one for each sample.
    pub replies: Vec<Reply>,
    /// How the replies were judged: one for each, or none as long as they are not.
    #[serde(default)]
    pub grades: Vec<Grade>,
}

impl Record {
    /// A problem that was asked.
    pub fn new(problem: &Problem, prompt: String, language: Option<Language>, replies: Vec<Reply>) -> Self {
        Record {
            id: problem.id.clone(),
            origin: problem.origin.clone(),
            categories: problem.categories.clone(),
            language,
            question: problem.question.clone(),
            reference: problem.reference.clone(),
            expressions: problem.expressions.clone(),
            prompt,
            replies,
            grades: Vec::new(),
        }
    }
}

/// What the model replied, or why it did not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text; what there was of it, if it is not complete.
    pub text: String,
    /// How it ended.
    #[serde(default)]
    pub ending: Ending,
    /// Why there is no reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How the strategy came to it, where it did more than ask once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trajectory: Option<Box<Trajectory>>,
    /// How likely each option is, where nothing was written; `text` is the name of the likeliest one then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionScore>,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Of itself, or at a stop text; perhaps without any text.
    #[default]
    Complete,
    /// At the token limit.
    Truncated,
    /// The model or its provider refused.
    Refused,
    /// There is no reply.
    Failed,
}

impl Reply {
    /// A complete reply.
    pub fn complete(text: impl Into<String>) -> Self {
        Reply {
            text: text.into(),
            ending: Ending::Complete,
            failure: None,
            trajectory: None,
            options: Vec::new(),
        }
    }

    /// What became of a call. `None` if it was not made because the run had stopped.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let ending = match outcome {
            Outcome::Answered(_) | Outcome::Empty(_) => Ending::Complete,
            Outcome::Truncated(_) => Ending::Truncated,
            Outcome::Refused(_) => Ending::Refused,
            // A provider that refuses the prompt does so by a failure.
            Outcome::Failed(failure) if failure.kind == crate::models::FailureKind::ContentFilter => {
                Ending::Refused
            }
            Outcome::Failed(_) => Ending::Failed,
            Outcome::Unasked(_) => return None,
        };
        let failure = match outcome {
            Outcome::Failed(failure) => Some(failure.to_string()),
            _ => None,
        };
        Some(Reply {
            text: outcome.text().to_string(),
            ending,
            failure,
            trajectory: None,
            options: Vec::new(),
        })
    }
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(String, std::io::Error),
    /// A line is no record.
    #[error("{file}:{line}: {message}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Record {
    /// Reads the records of a file of JSON lines.
    pub fn read(path: &Path) -> Result<Vec<Record>, RecordError> {
        Record::each(path)?.collect()
    }

    /// The records of a file of JSON lines, one after the other.
    pub fn each(path: &Path) -> Result<impl Iterator<Item = Result<Record, RecordError>>, RecordError> {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| RecordError::File(name.clone(), error))?;
        let read = move |number: usize, line: std::io::Result<Vec<u8>>| {
            let line = line.map_err(|error| RecordError::File(name.clone(), error))?;
            if line.trim_ascii().is_empty() {
                return Ok(None);
            }
            let wrong = |message: String| RecordError::Line { file: name.clone(), line: number + 1, message };
            let record: Record = serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
            if !record.grades.is_empty() && record.grades.len() != record.replies.len() {
                return Err(wrong("not as many grades as replies".into()));
            }
            Ok(Some(record))
        };
        let lines = std::io::BufReader::new(file).split(b'\n').enumerate();
        Ok(lines.filter_map(move |(number, line)| read(number, line).transpose()))
    }

    /// Writes records as JSON lines.
    pub fn write(records: &[Record], mut to: impl Write) -> std::io::Result<()> {
        for record in records {
            serde_json::to_writer(&mut to, record)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Failure, FailureKind, Sample};

    #[test]
    fn records_come_back_from_files_and_bad_lines_are_named() {
        let record =
            Record::new(&Problem::default(), "1 + 1?".into(), Some(Language::De), vec![Reply::complete("2")]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let mut bytes = Vec::new();
        Record::write(&[record.clone(), record.clone()], &mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Record::read(&path).unwrap(), [record.clone(), record]);
        bytes.extend(b"\n{\"id\": 1}\n");
        std::fs::write(&path, &bytes).unwrap();
        let message = Record::read(&path).unwrap_err().to_string();
        assert!(message.contains("records.jsonl:4: "), "{message}");
        assert!(Record::read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn calls_become_replies_and_failures_stay_apart() {
        let sample = Sample::of("2");
        let ending = |outcome| Reply::of(&outcome).map(|reply| reply.ending);
        assert_eq!(ending(Outcome::Answered(sample.clone())), Some(Ending::Complete));
        assert_eq!(ending(Outcome::Empty(Sample::of(""))), Some(Ending::Complete));
        assert_eq!(ending(Outcome::Truncated(sample.clone())), Some(Ending::Truncated));
        assert_eq!(ending(Outcome::Refused(sample)), Some(Ending::Refused));
        let failed = |kind| Outcome::Failed(Failure::new(kind, "why"));
        assert_eq!(ending(failed(FailureKind::ContentFilter)), Some(Ending::Refused));
        assert_eq!(ending(failed(FailureKind::Server)), Some(Ending::Failed));
        assert_eq!(Reply::of(&failed(FailureKind::Server)).unwrap().failure.unwrap(), "server: why");
        let stop = crate::models::calls::Stop::Budget(crate::models::calls::Cap::Calls);
        assert_eq!(ending(Outcome::Unasked(stop)), None);
    }
}
