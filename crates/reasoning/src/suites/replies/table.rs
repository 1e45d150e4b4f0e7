//! Tables: CSV with a column of replies, and one of names or questions.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::super::Reply;
use super::{Form, Place, RepliesError, Seen, bytes, content};

/// A table.
pub struct Table {
    path: PathBuf,
    /// The column of the replies.
    reply: usize,
    /// Whether there is a column of names.
    has_names: bool,
}

const REPLIES: [&str; 7] =
    ["reply", "response", "completion", "output", "generation", "prediction", "model_output"];
const NAMES: [&str; 2] = ["id", "problem_id"];
const QUESTIONS: [&str; 4] = ["question", "problem", "input", "prompt"];

impl Table {
    /// Reads all rows once.
    pub fn open(path: &Path, see: &mut dyn FnMut(Seen)) -> Result<Self, RepliesError> {
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            content(path, format!("line {line}"), error)
        };
        let file = File::open(path)
            .map_err(|error| RepliesError::File { path: path.display().to_string(), error })?;
        let mut rows = csv::ReaderBuilder::new().from_reader(file);
        let head = rows.headers().map_err(wrong)?.clone();
        let column = |names: &[&str]| {
            let name = |cell: &str| cell.trim_start_matches('\u{feff}').trim().to_lowercase();
            names.iter().find_map(|wanted| head.iter().position(|cell| name(cell) == *wanted))
        };
        let form = |message: String| RepliesError::Form { path: path.display().to_string(), message };
        let Some(reply) = column(&REPLIES) else {
            return Err(form(format!("a table has no column of replies ({})", REPLIES.join(", "))));
        };
        let (names, questions) = (column(&NAMES), column(&QUESTIONS));
        let Some(named) = names.or(questions) else {
            return Err(form(format!(
                "a table has neither a column of names ({}) nor of questions ({})",
                NAMES.join(", "),
                QUESTIONS.join(", ")
            )));
        };
        let (mut row, mut number) = (csv::StringRecord::new(), 0);
        loop {
            let start = rows.position().byte();
            if !rows.read_record(&mut row).map_err(wrong)? {
                return Ok(Table { path: path.into(), reply, has_names: names.is_some() });
            }
            number += 1;
            see(Seen {
                name: row[named].trim().to_string(),
                questions: questions.map(|column| row[column].to_string()).into_iter().collect(),
                sample: number,
                place: Place::Bytes(start..rows.position().byte()),
            });
        }
    }
}

impl Form for Table {
    fn has_names(&self) -> bool {
        self.has_names
    }

    fn read(&self, place: &Place) -> Result<(String, Vec<Reply>), RepliesError> {
        let bytes = bytes(&self.path, place)?;
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
        let row = rows.records().next().transpose();
        let row = row.map_err(|error| content(&self.path, "it has changed", error))?;
        let reply = row.as_ref().and_then(|row| row.get(self.reply)).unwrap_or_default();
        Ok((String::new(), vec![Reply::complete(reply)]))
    }
}
