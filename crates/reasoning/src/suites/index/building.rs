//! An index made of the records: each is skimmed for what readers choose by, on all cores.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;

use super::super::{Ending, RecordError, Verdict};
use super::{BLOCK, Index, Names, Stamp, Timing, digest};

impl Index {
    /// Reads all records of a file, on all cores.
    ///
    /// # Errors
    /// If they cannot be read; the line is named.
    pub fn build(path: &Path) -> Result<Self, RecordError> {
        let name = path.display().to_string();
        let failed = |error| RecordError::File(name.clone(), error);
        let mut index = Index::empty(path, Stamp::of(path)?);
        let mut interned = Interned::default();
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
        let (mut at, mut number) = (0, 0);
        loop {
            let mut lines: Vec<(usize, u64, Vec<u8>)> = Vec::new();
            let mut bytes = 0;
            while bytes < BLOCK {
                let mut line = Vec::new();
                let length = file.read_until(b'\n', &mut line).map_err(failed)?;
                if length == 0 {
                    break;
                }
                number += 1;
                if !line.trim_ascii().is_empty() {
                    lines.push((number, at, line));
                }
                at += length as u64;
                bytes += length;
            }
            if bytes == 0 {
                break;
            }
            let read: Vec<Result<Brief, RecordError>> = (lines.par_iter())
                .map(|(number, at, line)| {
                    Brief::read(*at, line).map_err(|message| RecordError::Line {
                        file: name.clone(),
                        line: *number,
                        message,
                    })
                })
                .collect();
            for brief in read {
                index.push(brief?, &mut interned);
            }
        }
        index.seconds = times(path, &index);
        Ok(index)
    }

    pub(super) fn empty(path: &Path, stamp: Stamp) -> Self {
        Index {
            path: path.into(),
            stamp,
            names: Names::default(),
            places: Vec::new(),
            lengths: Vec::new(),
            replies: Vec::new(),
            first_samples: vec![0],
            id_ends: Vec::new(),
            ids: String::new(),
            categories: Vec::new(),
            verdicts: Vec::new(),
            rules: Vec::new(),
            reply_lengths: Vec::new(),
            seconds: Vec::new(),
        }
    }

    fn push(&mut self, brief: Brief, interned: &mut Interned) {
        let number = self.places.len();
        self.places.push(brief.at);
        self.lengths.push(brief.length);
        self.replies.push(brief.replies);
        self.ids.push_str(&brief.id);
        self.id_ends.push(self.ids.len() as u32);
        for (category, value) in brief.categories {
            let column = match self.names.categories.iter().position(|(name, _)| *name == category) {
                Some(column) => column,
                None => {
                    self.names.categories.push((category, Vec::new()));
                    self.categories.push(vec![0; number]);
                    interned.values.push(HashMap::new());
                    self.categories.len() - 1
                }
            };
            let names = &mut self.names.categories[column].1;
            let value = place(value, names, &mut interned.values[column]);
            self.categories[column].push(value);
        }
        for column in &mut self.categories {
            column.resize(number + 1, 0);
        }
        for (verdict, rule, length) in brief.samples {
            self.verdicts.push(verdict);
            self.rules.push(rule.map_or(0, |rule| place(rule, &mut self.names.rules, &mut interned.rules)));
            self.reply_lengths.push(length);
        }
        self.first_samples.push(self.verdicts.len() as u32);
    }
}

/// The times beside a file of records, for each of these. Without such a file, and where a line is none or of another record, the
/// time is not known: they are not worth an error.
fn times(records: &Path, index: &Index) -> Vec<f32> {
    let mut seconds = vec![-1.0; index.len()];
    let Ok(file) = File::open(records.with_file_name(Timing::FILE)) else { return seconds };
    for (number, line) in BufReader::with_capacity(1 << 20, file).split(b'\n').enumerate().take(index.len()) {
        let Ok(line) = line else { break };
        if let Ok(timing) = serde_json::from_slice::<Timing>(&line)
            && timing.id == index.id(number)
            && timing.seconds >= 0.0
        {
            seconds[number] = timing.seconds as f32;
        }
    }
    seconds
}

/// The places of names that have occurred, while an index is made.
#[derive(Default)]
struct Interned {
    rules: HashMap<String, u32>,
    values: Vec<HashMap<String, u32>>,
}

/// The place of a name from 1, a new one if it has not occurred.
fn place(name: String, names: &mut Vec<String>, known: &mut HashMap<String, u32>) -> u32 {
    *known.entry(name).or_insert_with_key(|name| {
        names.push(name.clone());
        names.len() as u32
    })
}

/// What the index keeps of a record.
struct Brief {
    at: u64,
    length: u64,
    id: String,
    categories: BTreeMap<String, String>,
    replies: u64,
    samples: Vec<(Verdict, Option<String>, u32)>,
}

/// As much of a record as the index needs.
#[derive(Deserialize)]
struct Skimmed<'a> {
    id: String,
    #[serde(default)]
    categories: BTreeMap<String, String>,
    #[serde(borrow)]
    replies: Vec<SkimmedReply<'a>>,
    #[serde(default)]
    grades: Vec<SkimmedGrade>,
}

#[derive(Deserialize)]
struct SkimmedReply<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    ending: Ending,
    #[serde(default)]
    failure: Option<String>,
}

#[derive(Deserialize)]
struct SkimmedGrade {
    verdict: Verdict,
    #[serde(default)]
    rule: Option<String>,
}

impl Brief {
    fn read(at: u64, line: &[u8]) -> Result<Self, String> {
        let Skimmed { id, categories, replies, grades } =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if replies.len() != grades.len() {
            return Err(match grades.len() {
                0 => "the replies are not graded".into(),
                _ => "not as many grades as replies".into(),
            });
        }
        let digest = digest(replies.iter().map(|r| (&*r.text, r.ending, r.failure.as_deref())));
        let samples = (replies.iter().zip(grades))
            .map(|(reply, grade)| {
                (grade.verdict, grade.rule, u32::try_from(reply.text.len()).unwrap_or(u32::MAX))
            })
            .collect();
        Ok(Brief { at, length: line.len() as u64, id, categories, replies: digest, samples })
    }
}
