//! Reading the diagnoses out of a reply.
//!
//! [`Rules::Numbered`] goes by the number that a line prints: lines may come in any order, among prose, in code fences,
//! tables, lists or JSON, and an id may be written `MaE7` or `mae 07`. Whatever cannot be read as one diagnosis of one
//! known number is classified and counts as wrong.
//!
//! [`Rules::Positional`] does what the published drivers do with `pandas.read_csv(reply, header=None, names=two)`: the
//! k-th line that is not blank belongs to the k-th test example, whatever number it prints, and a reply that cannot be
//! read so drops the whole trial. Published logs depend on it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Serialize, Serializer};

use super::records::Misconception;
use crate::answers::pattern;

/// How replies are matched to test examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rules {
    /// By the number that is printed.
    #[default]
    Numbered,
    /// By the place of the line.
    Positional,
}

/// What a reply says about a test example.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Predicted {
    /// A misconception.
    Id(Misconception),
    /// Something else: an id outside of MaE01 to MaE55, or no id.
    Label(String),
    /// Nothing.
    Missing,
    /// The number stands on several lines.
    Repeated,
    /// Its line names several misconceptions.
    Several,
    /// There is no reply, or the rules drop the whole trial.
    Failed,
}

impl Predicted {
    /// What stands in the column of a log: the id or the other label, else nothing.
    pub fn label(&self) -> String {
        match self {
            Predicted::Id(id) => id.to_string(),
            Predicted::Label(label) => label.clone(),
            _ => String::new(),
        }
    }

    /// What kind of prediction it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Predicted::Id(_) => "id",
            Predicted::Label(label) if ID.is_match(label) => "id out of range",
            Predicted::Label(_) => "no id",
            Predicted::Missing => "missing",
            Predicted::Repeated => "repeated number",
            Predicted::Several => "several ids",
            Predicted::Failed => "no reply",
        }
    }

    /// From the column of a log.
    pub fn from_label(label: &str) -> Self {
        match Misconception::from_id(label) {
            Some(id) => Predicted::Id(id),
            None if label.is_empty() => Predicted::Missing,
            None => Predicted::Label(label.to_string()),
        }
    }
}

impl Serialize for Predicted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Predicted::Id(_) | Predicted::Label(_) => serializer.serialize_str(&self.label()),
            other => serializer.collect_str(&format_args!("({})", other.kind())),
        }
    }
}

/// A reply that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says about each test example, in their order.
    pub predictions: Vec<Predicted>,
    /// Numbers with a diagnosis that no test example has.
    pub unknown: Vec<u64>,
    /// Whether the positional rules drop the trial.
    pub dropped: bool,
}

/// Reads a reply to a prompt with `count` test examples.
pub fn parse(reply: &str, count: usize, rules: Rules) -> Parsed {
    match rules {
        Rules::Numbered => numbered(reply, count),
        Rules::Positional => positional(reply, count),
    }
}

static ID: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\bMaE[\s_-]*0*(\d{1,4})\b"));
/// A number at the start of a line, perhaps behind a bullet or the word for what it numbers.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^\W*((?:(?:test|examples?|item|question|case|number|no|row|line)\b\W*)*)(\d{1,4})(?:\b|$)(.*)$",
    )
});
static ID_FIRST: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^\W*(MaE[\s_-]*\d{1,4})\W+(\d{1,4})\W*$"));
/// Several pairs of number and id on one line, with nothing else between them.
static PAIRS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)^[\s,;]*(?:\d{1,4}[\s,:;.)=>→–-]*MaE[\s_-]*\d{1,4}[\s,;.]*){2,}$"));
static PAIR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(\d{1,4})[\s,:;.)=>→–-]*(MaE[\s_-]*\d{1,4})"));
/// What may follow such a number, if no word stands before it: a sign or the id, and no further words.
static TAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)^(?:\s*[,:;.=>→–-]|\s*\)|\s*MaE|\s*$)"));
/// A short label behind a number: no sentence.
static OTHER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*[,:;=>→\t–-]+\s*(\S.{0,60})$"));

fn numbered(reply: &str, count: usize) -> Parsed {
    let mut found: BTreeMap<u64, Vec<Predicted>> = BTreeMap::new();
    let mut labels: BTreeMap<u64, String> = BTreeMap::new();
    // A number that stands alone belongs to the id on the next line.
    let mut pending: Option<u64> = None;
    for line in reply.lines().map(plain).filter(|line| !line.trim().is_empty()) {
        if PAIRS.is_match(&line) {
            for pair in PAIR.captures_iter(&line) {
                found.entry(number(&pair[1])).or_default().push(one(&pair[2]));
            }
            pending = None;
        } else if let Some(parts) = ID_FIRST.captures(&line) {
            found.entry(number(&parts[2])).or_default().push(one(&parts[1]));
            pending = None;
        } else if let Some(parts) = HEAD.captures(&line) {
            let (word, at, rest) = (&parts[1], number(&parts[2]), &parts[3]);
            pending = None;
            if word.is_empty() && !TAIL.is_match(rest) {
                continue;
            }
            if ID.is_match(rest) {
                found.entry(at).or_default().push(one(rest));
            } else if let Some(label) = OTHER.captures(rest) {
                labels.entry(at).or_insert_with(|| label[1].trim().to_string());
            } else if !rest.contains(char::is_alphanumeric) {
                pending = Some(at);
            }
        } else if let Some(at) = pending.take().filter(|_| ID.is_match(&line)) {
            found.entry(at).or_default().push(one(&line));
        }
    }
    let unknown = found.keys().copied().filter(|&at| at == 0 || at > count as u64).collect();
    let predictions = (1..=count as u64).map(|at| match found.remove(&at) {
        Some(mut lines) if lines.len() == 1 => lines.remove(0),
        Some(_) => Predicted::Repeated,
        None => labels.remove(&at).map_or(Predicted::Missing, Predicted::Label),
    });
    Parsed { predictions: predictions.collect(), unknown, dropped: false }
}

/// A line without the signs of tables, lists, quotations and JSON.
fn plain(line: &str) -> String {
    line.chars().map(|c| if "*`|\"'[]{}(#".contains(c) { ' ' } else { c }).collect()
}

fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

/// What a text with at least one id names.
fn one(text: &str) -> Predicted {
    let mut numbers: Vec<u64> = ID.captures_iter(text).map(|id| number(&id[1])).collect();
    numbers.dedup();
    match numbers.as_slice() {
        [number] => match Misconception::numbered(*number) {
            Some(id) => Predicted::Id(id),
            None => Predicted::Label(format!("MaE{number:02}")),
        },
        _ => Predicted::Several,
    }
}

fn positional(reply: &str, count: usize) -> Parsed {
    let lines: Vec<&str> = reply.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(std::io::Cursor::new(lines.join("\n")));
    let rows: Vec<csv::StringRecord> = reader.records().flatten().collect();
    // Two columns have names; further ones in the first line become an index in front of them.
    let width = rows.first().map_or(2, |row| row.len().max(2));
    let diagnosis = |row: &csv::StringRecord| row.get(width - 1).map(|field| field.trim().to_string());
    let dropped =
        rows.iter().any(|row| row.len() > width) || !rows.iter().any(|row| diagnosis(row).is_some());
    let prediction = |at: usize| match rows.get(at).and_then(diagnosis) {
        _ if dropped => Predicted::Failed,
        Some(label) => Predicted::from_label(&label),
        None => Predicted::Missing,
    };
    Parsed { predictions: (0..count).map(prediction).collect(), unknown: Vec::new(), dropped }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Predictions in short: the number of the id, or what else it is.
    fn short(reply: &str, count: usize, rules: Rules) -> String {
        let parsed = parse(reply, count, rules);
        let mut words: Vec<String> = (parsed.predictions.iter())
            .map(|predicted| match predicted {
                Predicted::Id(id) => (id.index() + 1).to_string(),
                Predicted::Label(label) => format!("<{label}>"),
                other => other.kind().split(' ').next().unwrap_or_default().to_string(),
            })
            .collect();
        words.extend(parsed.unknown.iter().map(|number| format!("?{number}")));
        words.extend(parsed.dropped.then(|| "dropped".to_string()));
        words.join(" ")
    }

    #[test]
    fn every_way_to_reply_is_classified() {
        for (reply, expected) in [
            ("1, MaE07\n2, MaE12\n3, MaE55", "7 12 55"),
            ("3, MaE55\n1, MaE07\n2, MaE12", "7 12 55"),
            (
                "Here are the 3 diagnoses (MaE01 to MaE55):\n\n1,MaE07\n2,MaE12\n3,MaE55\n\nI hope that helps.",
                "7 12 55",
            ),
            ("```csv\n1,MaE07\n2,MaE12\n3,MaE55\n```", "7 12 55"),
            ("test number, misconception id\n1,MaE7\n2,mae12\n3,MAE-55", "7 12 55"),
            ("1. MaE07\n2) MaE12\n(3) MaE 55", "7 12 55"),
            ("- Test example 1: **MaE07**\n- Test example 2: **MaE12**\n- #3 → MaE55", "7 12 55"),
            ("| 1 | MaE07 |\n|---|---|\n| 2 | MaE12 |\n| 3 | MaE55 |", "7 12 55"),
            ("{\"1\": \"MaE07\", \"2\": \"MaE12\", \"3\": \"MaE55\"}", "7 12 55"),
            ("1, MaE07; 2, MaE12; 3, MaE55", "7 12 55"),
            ("1.\nMaE07\nTest 2:\nMaE12\n\n3\nMaE55", "7 12 55"),
            ("MaE07, 1\nMaE12, 2\nMaE55, 3", "7 12 55"),
            ("1, MaE07 (adds 1/2 and 3/4 wrongly)\n2, MaE12, topic 5\n3, MaE55", "7 12 55"),
            ("1, MaE07\n2, MaE12 or MaE13\n3, MaE55", "7 several 55"),
            ("1, MaE07\n2, MaE12 (MaE12 again)\n3, MaE55", "7 12 55"),
            ("1, MaE07\n3, MaE55", "7 missing 55"),
            ("1, MaE07\n2, MaE12\n2, MaE13\n3, MaE55", "7 repeated 55"),
            ("1, MaE07\n2, MaE12\n2, MaE12\n3, MaE55", "7 repeated 55"),
            ("1, MaE07\n2, MaE12\n4, MaE55\n0, MaE01", "7 12 missing ?0 ?4"),
            ("1, MaE00\n2, MaE56\n3, None", "<MaE00> <MaE56> <None>"),
            (
                "1, No Misconception ID applicable\n2: Correct\n3, MaE055",
                "<No Misconception ID applicable> <Correct> 55",
            ),
            (
                "1. First I look at the fractions.\n2. Then at the rest.\n1, MaE07\n2, MaE12\n3, MaE55",
                "7 12 55",
            ),
            ("", "missing missing missing"),
            ("I cannot tell.", "missing missing missing"),
            ("1/3 of them are MaE07, I think", "missing missing missing"),
            ("2 of the answers show MaE07", "missing missing missing"),
            ("Test 3 (the one with 1/2): MaE07", "missing missing 7"),
            ("99999999999999999999, MaE01", "missing missing missing"),
        ] {
            assert_eq!(short(reply, 3, Rules::Numbered), expected, "{reply}");
        }
    }

    #[test]
    fn the_positional_rules_have_the_published_faults() {
        for (reply, expected) in [
            ("1, MaE07\n2, MaE12\n3, MaE55", "7 12 55"),
            // Matched by the place of the line, not by the number on it.
            ("3, MaE55\n1, MaE07\n2, MaE12", "55 7 12"),
            ("1, MaE07\n3, MaE55", "7 55 missing"),
            ("1, MaE07\n\n  \n2, MaE12\n3, MaE55\n4, MaE01", "7 12 55"),
            // A line of prose takes a place.
            ("```\n1,MaE07\n2,MaE12\n3,MaE55\n```", "missing 7 12"),
            ("1, MaE7\n2, MaE00\n3, None", "<MaE7> <MaE00> <None>"),
            ("1, MaE07\n2,\n3, MaE55", "7 missing 55"),
            // Further columns in the first line become an index; in a later line they end the trial.
            ("Test 1, 1, MaE07\nTest 2, 2, MaE12\nTest 3, 3, MaE55", "7 12 55"),
            ("1, MaE07\n2, MaE12, perhaps\n3, MaE55", "no no no dropped"),
            ("", "no no no dropped"),
            ("I cannot tell.", "no no no dropped"),
        ] {
            assert_eq!(short(reply, 3, Rules::Positional), expected, "{reply}");
        }
    }
}
