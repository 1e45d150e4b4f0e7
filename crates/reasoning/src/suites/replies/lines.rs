//! JSON lines: records of a run, plain replies, and the samples that lm-eval logs with `--log_samples`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Record, Reply};
use super::{Form, Place, RepliesError, Seen, bytes, content};

/// A file of JSON lines.
pub struct Lines {
    path: PathBuf,
    /// Whether the lines are samples of lm-eval.
    is_lm_eval: bool,
}

/// A line of replies that did not come from a run of ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    id: String,
    replies: Vec<String>,
}

/// A sample of lm-eval: for each request of the document its replies.
#[derive(Deserialize)]
struct Sample {
    doc_id: u64,
    doc: Value,
    #[serde(default)]
    arguments: Value,
    resps: Vec<Vec<Value>>,
}

/// What a line holds.
enum Line {
    Plain(Plain),
    Record(Box<Record>),
    Sample(Sample),
}

/// The fields in which data sets have their questions.
const QUESTIONS: [&str; 8] =
    ["question", "problem", "input", "query", "prompt", "text", "Question", "Problem"];

impl Lines {
    /// Reads all lines once.
    pub fn open(path: &Path, see: &mut dyn FnMut(Seen)) -> Result<Self, RepliesError> {
        let failed = |error| RepliesError::File { path: path.display().to_string(), error };
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
        let (mut line, mut at, mut number) = (Vec::new(), 0, 0);
        let mut names = HashSet::new();
        let mut is_lm_eval = false;
        loop {
            line.clear();
            let length = file.read_until(b'\n', &mut line).map_err(failed)? as u64;
            if length == 0 {
                return Ok(Lines { path: path.into(), is_lm_eval });
            }
            let place = Place::Bytes(at..at + length);
            (at, number) = (at + length, number + 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let wrong = |message: String| content(path, format!("line {number}"), message);
            let (name, questions) = match read(&line, number == 1).map_err(wrong)? {
                Line::Plain(Plain { id, .. }) => (id, Vec::new()),
                Line::Record(record) => (record.id, Vec::new()),
                Line::Sample(sample) => {
                    is_lm_eval = true;
                    let name = format!("document {}", sample.doc_id);
                    // A line for each filter, all with the same replies.
                    if !names.insert(name.clone()) {
                        continue;
                    }
                    see(Seen { name, questions: sample.questions(), sample: 0, place });
                    continue;
                }
            };
            if !names.insert(name.clone()) {
                return Err(wrong(format!("`{name}` is there twice")));
            }
            see(Seen { name, questions, sample: 0, place });
        }
    }
}

impl Form for Lines {
    fn has_names(&self) -> bool {
        !self.is_lm_eval
    }

    fn read(&self, place: &Place) -> Result<(String, Vec<Reply>), RepliesError> {
        let changed = |message: String| content(&self.path, "it has changed", message);
        Ok(match read(&bytes(&self.path, place)?, false).map_err(changed)? {
            Line::Plain(line) => (String::new(), line.replies.into_iter().map(Reply::complete).collect()),
            Line::Record(record) => (record.prompt, record.replies),
            Line::Sample(sample) => sample.replies(),
        })
    }
}

fn read(line: &[u8], is_first: bool) -> Result<Line, String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let plain = match serde_json::from_slice::<Plain>(line) {
        Ok(plain) => return Ok(Line::Plain(plain)),
        Err(error) => error,
    };
    if plain.is_eof() && is_first {
        return Err("not a line of JSON; a JSON log of inspect becomes a log that is read here by `inspect log convert \
                    --to eval`"
            .into());
    }
    match serde_json::from_slice::<Record>(line) {
        Ok(record) => Ok(Line::Record(Box::new(record))),
        Err(record) => match serde_json::from_slice::<Sample>(line) {
            Ok(sample) => Ok(Line::Sample(sample)),
            Err(sample) => Err(format!(
                "neither `id` and `replies` ({plain}) nor a record of a run ({record}) nor a sample of lm-eval ({sample})"
            )),
        },
    }
}

impl Sample {
    /// The texts of the document that may be its question.
    fn questions(&self) -> Vec<String> {
        let empty = Map::new();
        let fields = self.doc.as_object().unwrap_or(&empty);
        let known = QUESTIONS.iter().filter_map(|name| fields.get(*name)?.as_str());
        let known: Vec<String> = known.map(str::to_string).collect();
        if !known.is_empty() {
            return known;
        }
        fields.values().filter_map(|value| value.as_str()).map(str::to_string).collect()
    }

    fn replies(self) -> (String, Vec<Reply>) {
        let prompt = match &self.arguments {
            // Newer versions name the arguments; older ones list them.
            Value::Object(requests) => requests.values().next().map(|arguments| &arguments["arg_0"]),
            Value::Array(requests) => requests.first().map(|arguments| &arguments[0]),
            _ => None,
        };
        let prompt = prompt.and_then(Value::as_str).unwrap_or_default().to_string();
        let text = |reply: Value| match reply {
            Value::String(text) => text,
            other => other.to_string(),
        };
        (prompt, self.resps.into_iter().flatten().map(|reply| Reply::complete(text(reply))).collect())
    }
}
