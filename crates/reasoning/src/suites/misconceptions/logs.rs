//! Logs of decisions: a CSV file with a row for each, as the published drivers write it and as runs here do.
//!
//! Columns: `Misconception ID`, `Example Number`, `Topic`, `Predicted Diagnosis`, `Trial`, and `Correct` where it is
//! there; others are ignored.

use std::path::Path;

use super::records::{EXAMPLES, Misconception, Topic};
use super::replies::Predicted;
use super::scores::Decision;
use crate::suites::{BadRow, Origin, SuiteError};

/// Reads a log.
///
/// # Errors
/// If the file cannot be read or a column is missing; if rows hold an id, a topic, an example or a trial that cannot be,
/// or call a decision correct that is not: all of these rows are named.
pub fn read(path: &Path) -> Result<Vec<Decision>, SuiteError> {
    let failed = |message: String| SuiteError::File { path: path.to_path_buf(), message };
    let mut reader = csv::Reader::from_path(path).map_err(|error| failed(error.to_string()))?;
    let headers = reader.headers().map_err(|error| failed(error.to_string()))?.clone();
    let place = |name: &str| headers.iter().position(|header| header.trim() == name);
    let column = |name: &str| {
        let names: Vec<&str> = headers.iter().filter(|header| !header.is_empty()).collect();
        place(name).ok_or_else(|| failed(format!("no column `{name}`; there are {}", names.join(", "))))
    };
    let columns = Columns {
        id: column("Misconception ID")?,
        example: column("Example Number")?,
        topic: column("Topic")?,
        predicted: column("Predicted Diagnosis")?,
        trial: column("Trial")?,
        correct: place("Correct"),
    };
    let file = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let (mut decisions, mut bad) = (Vec::new(), Vec::new());
    for row in reader.records() {
        let line = match &row {
            Ok(row) => row.position().map_or(0, csv::Position::line),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        match row.map_err(|error| error.to_string()).and_then(|row| decision(&row, &columns)) {
            Ok(decision) => decisions.push(decision),
            Err(message) => {
                bad.push(BadRow { origin: Origin { file: file.clone(), line: line as usize }, message });
            }
        }
    }
    match bad.is_empty() {
        true if decisions.is_empty() => Err(failed("no decisions".into())),
        true => Ok(decisions),
        false => Err(SuiteError::BadRows(bad)),
    }
}

/// Writes a log.
pub fn write(decisions: &[Decision], model: &str) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["", "Misconception ID", "Example Number", "Topic", "Predicted Diagnosis", "Model", "Trial"];
    writer.write_record(header.iter().chain(&["Correct", "Kind"]))?;
    for (number, decision) in decisions.iter().enumerate() {
        writer.write_record([
            number.to_string().as_str(),
            &decision.truth.to_string(),
            &decision.example.to_string(),
            decision.truth.topic().name(),
            &decision.predicted.label(),
            model,
            &decision.trial.to_string(),
            if decision.is_right() { "True" } else { "False" },
            decision.predicted.kind(),
        ])?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

struct Columns {
    id: usize,
    example: usize,
    topic: usize,
    predicted: usize,
    trial: usize,
    correct: Option<usize>,
}

fn decision(row: &csv::StringRecord, columns: &Columns) -> Result<Decision, String> {
    let text = |column: usize| row.get(column).unwrap_or("").trim();
    let id = text(columns.id);
    let truth = Misconception::from_id(id).ok_or_else(|| format!("`{id}` is no misconception"))?;
    let topic = text(columns.topic);
    if Topic::from_name(topic) != Some(truth.topic()) {
        return Err(format!("topic `{topic}` of {id}: expected `{}`", truth.topic()));
    }
    let example = text(columns.example);
    let known = example.parse().ok().filter(|number| (1..=EXAMPLES as u8).contains(number));
    let trial = text(columns.trial);
    let decision = Decision {
        trial: trial.parse().map_err(|_| format!("trial `{trial}` is no number"))?,
        example: known.ok_or_else(|| format!("example `{example}`: expected 1 to {EXAMPLES}"))?,
        truth,
        predicted: Predicted::from_label(text(columns.predicted)),
    };
    let expected = if decision.is_right() { "True" } else { "False" };
    match columns.correct.map(text) {
        Some(correct) if correct != expected => {
            Err(format!("Correct is {correct}, but {id} was diagnosed as `{}`", decision.predicted.label()))
        }
        _ => Ok(decision),
    }
}
