//! Decontamination of files: sets of texts from any table, records streamed through.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Decontaminator, Finding, TextSet};
use crate::lines::{Batch, Lines, in_order};
use crate::suites::{Origin, Row, Source, SuiteError};

/// The fields that hold the text of a record: their texts with a blank between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The fields; none: the first of `question`, `problem`, `content`, `text`, `input`, `m_query` that is there. In TSV
    /// and CSV files without a head the number of the column, from 1.
    pub fields: Vec<String>,
}

const USUAL: [&str; 6] = ["question", "problem", "content", "text", "input", "m_query"];

impl Contents {
    /// The text of a record.
    ///
    /// # Errors
    /// If a field is missing, or no text; the fields that are there are named.
    pub fn of(&self, fields: &Map<String, Value>) -> Result<String, String> {
        let names = || fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.fields.is_empty() {
            let usual = USUAL.iter().find_map(|name| fields.get(*name)?.as_str());
            return usual
                .map(str::to_string)
                .ok_or_else(|| format!("no field is called {}; there are: {}", USUAL.join(", "), names()));
        }
        let mut content = String::new();
        for name in &self.fields {
            let text = fields
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| format!("the field `{name}` is missing or no text; there are: {}", names()))?;
            if !content.is_empty() {
                content.push(' ');
            }
            content.push_str(text);
        }
        Ok(content)
    }

    /// The names of the columns of a table without a head, if the fields are numbers of columns.
    fn columns(&self) -> Option<usize> {
        let numbers: Option<Vec<usize>> =
            self.fields.iter().map(|name| name.parse().ok().filter(|number| *number > 0)).collect();
        numbers.and_then(|numbers| numbers.into_iter().max())
    }
}

/// Why files cannot be decontaminated.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read, or has no such fields.
    #[error(transparent)]
    Set(#[from] SuiteError),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Results cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
    /// Stopped from outside.
    #[error("stopped")]
    Stopped,
}

/// Reads a set of texts: JSON lines, JSON, CSV, TSV or Parquet, compressed or not.
///
/// # Errors
/// If the file cannot be read, or rows of it have no text in the fields: all of these are named.
pub fn read_set(name: &str, path: &Path, contents: &Contents) -> Result<TextSet, FilesError> {
    let rows = rows(path, contents)?;
    let texts = rows.into_iter().map(|(_, _, text)| text).collect();
    Ok(TextSet { name: name.into(), texts })
}

/// The texts of records, each with the value of the field `by` before it (`all` without one).
///
/// # Errors
/// If a file cannot be read, or rows of it have no such text: all of these are named.
pub fn read_records(
    inputs: &[PathBuf],
    contents: &Contents,
    by: Option<&str>,
) -> Result<Vec<(String, String)>, FilesError> {
    let mut records = Vec::new();
    for path in inputs {
        let of_file = rows(path, contents)?;
        records.extend(of_file.into_iter().map(|(_, fields, text)| (group(&fields, by), text)));
    }
    Ok(records)
}

/// The value of a field as the name of a group.
fn group(fields: &Map<String, Value>, by: Option<&str>) -> String {
    match by.map(|by| fields.get(by)) {
        None => "all".into(),
        Some(Some(Value::String(text))) => text.clone(),
        Some(Some(other)) => other.to_string(),
        Some(None) => "none".into(),
    }
}

/// A row and its text.
type TextRow = (Origin, Map<String, Value>, String);

/// The rows of a table in memory, with their texts.
fn rows(path: &Path, contents: &Contents) -> Result<Vec<TextRow>, SuiteError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut source = Source::new(folder.to_path_buf());
    let columns = contents.columns();
    let names: Option<Vec<String>> = match columns {
        // As many columns as the first line has.
        Some(_) => {
            let first = first_line(path)
                .map_err(|error| SuiteError::File { path: path.into(), message: error.to_string() })?;
            let sign = if path.to_string_lossy().contains(".tsv") { '\t' } else { ',' };
            Some((1..=first.split(sign).count()).map(|number| number.to_string()).collect())
        }
        None => None,
    };
    let names: Option<Vec<&str>> = names.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let mut found = Vec::new();
    for Row { origin, fields } in source.rows(path, names.as_deref())? {
        match contents.of(&fields) {
            Ok(text) => found.push((origin, fields, text)),
            Err(message) => source.reject(origin, message),
        }
    }
    let (_, bad) = source.finish();
    if bad.is_empty() { Ok(found) } else { Err(SuiteError::BadRows(bad)) }
}

fn first_line(path: &Path) -> std::io::Result<String> {
    let mut line = Vec::new();
    Lines::open(path)?.read(&mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// How many records were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records read.
    pub records: usize,
    /// Records without a finding.
    pub kept: usize,
    /// Records found, by reason.
    pub reasons: BTreeMap<String, usize>,
    /// Lines that are no records with such fields.
    pub unreadable: usize,
    /// By the value of the field that was asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
}

/// Counts of the records with one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Records.
    pub records: usize,
    /// Records found.
    pub found: usize,
}

impl Counts {
    /// Records found.
    pub fn found(&self) -> usize {
        self.reasons.values().sum()
    }
}

/// What stands before a record that is left out.
#[derive(Serialize)]
struct Removed<'a> {
    origin: Origin,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// A line that is no record.
#[derive(Serialize)]
struct Unreadable {
    origin: Origin,
    reason: &'static str,
    message: String,
    line: String,
}

/// Splits the records of files: those without a finding are written to `kept` as they stand, those with one to `removed`
/// with the reason, the evidence and the place they come from; lines that cannot be read go there too, with the reason
/// `unreadable`. JSON lines are streamed, other tables read as a whole. `by` names a field by whose values is counted.
/// `progress` sees the counts and may stop the work.
///
/// # Errors
/// If a file cannot be read or written, or the work is stopped.
pub fn split(
    inputs: &[PathBuf],
    contents: &Contents,
    by: Option<&str>,
    engine: &Decontaminator,
    mut kept: impl Write,
    mut removed: impl Write,
    mut progress: impl FnMut(&Counts) -> ControlFlow<()>,
) -> Result<Counts, FilesError> {
    let mut counts = Counts::default();
    let work = |bytes: &[u8]| -> Result<(Option<Finding>, Option<String>), String> {
        let fields: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let content = contents.of(&fields)?;
        Ok((engine.find(&content), by.map(|_| group(&fields, by))))
    };
    each_line(inputs, contents, work, |origin, bytes, result| {
        counts.records += 1;
        match result {
            Err(message) => {
                counts.unreadable += 1;
                let line = String::from_utf8_lossy(&bytes[..bytes.len().min(10_000)]).into_owned();
                write_line(&mut removed, &Unreadable { origin, reason: "unreadable", message, line })?;
            }
            Ok((finding, group)) => {
                if let Some(group) = group {
                    let group = counts.groups.entry(group).or_default();
                    group.records += 1;
                    group.found += usize::from(finding.is_some());
                }
                match finding {
                    None => {
                        counts.kept += 1;
                        kept.write_all(bytes)?;
                        kept.write_all(b"\n")?;
                    }
                    Some(finding) => {
                        *counts.reasons.entry(finding.reason.clone()).or_default() += 1;
                        // The record stands in the line as it was.
                        let mut line = serde_json::to_vec(&Removed { origin, finding: &finding })
                            .map_err(std::io::Error::from)?;
                        line.pop();
                        line.extend(b",\"record\":");
                        line.extend(bytes.trim_ascii());
                        line.extend(b"}\n");
                        removed.write_all(&line)?;
                    }
                }
            }
        }
        match progress(&counts) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(FilesError::Stopped),
        }
    })?;
    kept.flush()?;
    removed.flush()?;
    Ok(counts)
}

fn write_line(mut to: impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut to, value)?;
    to.write_all(b"\n")
}

/// Does `work` for every record of files on all cores, and hands what came out to `each` in order.
pub(super) fn each_line<R: Send>(
    inputs: &[PathBuf],
    contents: &Contents,
    work: impl Fn(&[u8]) -> R + Sync,
    mut each: impl FnMut(Origin, &[u8], R) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    for path in inputs {
        let file = path.display().to_string();
        let mut each =
            |number, bytes: &[u8], result| each(Origin { file: file.clone(), line: number }, bytes, result);
        if is_json_lines(path) {
            let failed = |source| FilesError::Read { path: path.clone(), source };
            let mut lines = Lines::open(path).map_err(failed)?;
            in_order::<_, FilesError>(
                || lines.batch(),
                |line| work(line.bytes),
                |line, result| each(line.number, line.bytes, result),
            )
            .map_err(|error| match error {
                FilesError::Write(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                    failed(source)
                }
                other => other,
            })?;
        } else {
            let mut batch = Batch::default();
            for (origin, fields, _) in rows(path, contents)? {
                batch.push(origin.line, &serde_json::to_vec(&fields).map_err(std::io::Error::from)?);
            }
            let mut all = Some(batch);
            in_order::<_, FilesError>(
                || Ok(all.take()),
                |line| work(line.bytes),
                |line, result| each(line.number, line.bytes, result),
            )?;
        }
    }
    Ok(())
}

fn is_json_lines(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    plain.ends_with(".jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("set.tsv"), "one two three\t1\nfour five six\t2\n").unwrap();
        let text = "{\"id\": 1, \"question\":\"a b c\", \"month\": 1}\n\
                    {\"id\": 2, \"question\":\"x One Two threefold\", \"month\": 1}\n\
                    not json\n{\"text\": \"zero four five\", \"month\": 2}\n{\"id\": 5}\n";
        std::fs::write(path("records.jsonl"), text).unwrap();
        let column = Contents { fields: vec!["1".into()] };
        let set = read_set("set", &path("set.tsv"), &column).unwrap();
        assert_eq!(set.texts, ["one two three", "four five six"]);
        let engine = Decontaminator::new(&[set], 2).unwrap();
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        let counts = split(
            &[path("records.jsonl")],
            &Contents::default(),
            Some("month"),
            &engine,
            &mut kept,
            &mut removed,
            |_| ControlFlow::Continue(()),
        )
        .unwrap();
        assert_eq!((counts.records, counts.kept, counts.found(), counts.unreadable), (5, 1, 2, 2));
        assert_eq!(counts.groups["1"], Group { records: 2, found: 1 });
        assert_eq!(String::from_utf8(kept).unwrap(), text.lines().next().unwrap().to_string() + "\n");
        let removed = String::from_utf8(removed).unwrap();
        let reasons: Vec<Value> = removed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let reason = |at: usize| reasons[at]["reason"].as_str().unwrap().to_string();
        assert_eq!(
            [reason(0), reason(1), reason(2), reason(3)],
            ["set_match", "unreadable", "set_match_2gram", "unreadable"]
        );
        assert_eq!((&reasons[0]["record"]["id"], &reasons[0]["origin"]["line"]), (&2.into(), &2.into()));
        assert_eq!(reasons[2]["evidence"], "four five");
        assert!(reasons[3]["message"].as_str().unwrap().contains("there are: id"));
        // Other tables, and what is wrong with sets.
        std::fs::write(path("records.csv"), "Body,Question\nfour,five\n").unwrap();
        let both = Contents { fields: vec!["Body".into(), "Question".into()] };
        let mut kept = Vec::new();
        let counts = split(&[path("records.csv")], &both, None, &engine, &mut kept, std::io::sink(), |_| {
            ControlFlow::Continue(())
        });
        assert_eq!(counts.unwrap().found(), 1);
        let error = read_set("set", &path("records.csv"), &Contents::default()).unwrap_err().to_string();
        assert!(error.contains("records.csv:2") && error.contains("there are: Body, Question"), "{error}");
    }
}
