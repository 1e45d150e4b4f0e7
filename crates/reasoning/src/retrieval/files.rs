//! The files of a TREC evaluation: relevance judgements ("qrels") and runs.
//!
//! Judgements: `topic iteration document grade`; a run: `topic Q0 document rank score tag`, further columns ignored.
//! Columns are separated by blanks; empty lines and lines that begin with `#` are skipped; line ends may be CR LF. As in
//! trec_eval the rank column is ignored: a run is ordered by score, the largest first, and equal scores by document,
//! the last in byte order first.
//!
//! Departures from trec_eval, which reads `12abc` as 12: what is no number is an error that names the line.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::ops::{Range, RangeInclusive};
use std::path::Path;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file as the caller named it.
    pub file: String,
    /// The line, from 1; 0 where it is the file as a whole.
    pub line: usize,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for FileError {}

impl FileError {
    pub(crate) fn new(file: &str, line: usize, message: impl Into<String>) -> FileError {
        FileError { file: file.to_string(), line, message: message.into() }
    }
}

/// The bytes of a file, with the path in the error.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|error| FileError::new(&path.display().to_string(), 0, error.to_string()))
}

/// The text of a file that must be UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count();
        FileError::new(&path.display().to_string(), line, "not valid UTF-8")
    })
}

/// The judged documents of a topic. Looked up for every retrieved document, hence the fast hash.
pub(crate) type Grades = HashMap<String, i64, foldhash::fast::RandomState>;

/// Relevance judgements: the judged documents of every topic with their grades.
#[derive(Clone, Debug, Default)]
pub struct Judgements {
    topics: BTreeMap<String, Grades>,
}

impl Judgements {
    /// The grades that trec_eval's documentation allows; negative ones mean pooled, but not judged.
    pub const ANY_GRADE: RangeInclusive<i64> = -127..=127;

    /// Judgements from a file; see [`Judgements::parse`].
    pub fn read(path: &Path, grades: RangeInclusive<i64>) -> Result<Judgements, FileError> {
        Judgements::parse(&path.display().to_string(), &read_text(path)?, grades)
    }

    /// Judgements from text; `file` is named in errors.
    ///
    /// Errors: a line without exactly four columns, a grade that is no whole number within `grades`, a document judged
    /// twice for a topic, no judgement at all.
    pub fn parse(file: &str, text: &str, grades: RangeInclusive<i64>) -> Result<Judgements, FileError> {
        let mut topics: BTreeMap<String, Grades> = BTreeMap::new();
        // Lines of a topic mostly follow each other; the map is asked only where the topic changes.
        let mut current: Option<(&str, Grades)> = None;
        for (index, line) in text.lines().enumerate() {
            let fail = |message: String| FileError::new(file, index + 1, message);
            if line.starts_with('#') {
                continue;
            }
            let mut columns = columns(line);
            let Some(topic) = columns.next() else { continue };
            let (Some(_), Some(document), Some(grade), None) =
                (columns.next(), columns.next(), columns.next(), columns.next())
            else {
                let found = self::columns(line).count();
                return Err(fail(format!(
                    "expected four columns (topic, iteration, document, grade), found {found}"
                )));
            };
            let grade: i64 = match grade.parse() {
                Ok(grade) if grades.contains(&grade) => grade,
                _ => {
                    let (least, largest) = (grades.start(), grades.end());
                    return Err(fail(format!("expected a grade from {least} to {largest}, found `{grade}`")));
                }
            };
            if current.as_ref().is_none_or(|(name, _)| *name != topic) {
                if let Some((name, judged)) = current.take() {
                    topics.insert(name.to_string(), judged);
                }
                current = Some((topic, topics.remove(topic).unwrap_or_default()));
            }
            let judged = &mut current.as_mut().expect("set above").1;
            if judged.insert(document.to_string(), grade).is_some() {
                return Err(fail(format!("document {document} is judged twice for topic {topic}")));
            }
        }
        if let Some((name, judged)) = current {
            topics.insert(name.to_string(), judged);
        }
        match topics.is_empty() {
            true => Err(FileError::new(file, 0, "holds no judgements")),
            false => Ok(Judgements { topics }),
        }
    }

    /// The topics in byte order.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// The judged documents of a topic with their grades, in no order.
    pub fn documents(&self, topic: &str) -> impl Iterator<Item = (&str, i64)> {
        self.topics.get(topic).into_iter().flatten().map(|(document, grade)| (document.as_str(), *grade))
    }

    pub(crate) fn of(&self, topic: &str) -> Option<&Grades> {
        self.topics.get(topic)
    }
}

/// What to do with a document that a run holds twice for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// An error, as in trec_eval.
    Refuse,
    /// The place with the largest score counts, as in the scoring of ARQMath.
    KeepFirst,
}

/// A run: the ranked documents of every topic.
#[derive(Clone, Debug)]
pub struct Run {
    tag: String,
    /// The file; topics and documents are pieces of it, so that a run of 10^7 lines costs little more than its file.
    text: String,
    entries: Vec<Entry>,
    topics: Vec<Topic>,
    repeated: usize,
}

/// 24 bytes: a run has many of them.
#[derive(Clone, Copy, Debug)]
struct Entry {
    score: f64,
    start: u64,
    length: u32,
    topic: u32,
}

#[derive(Clone, Debug)]
struct Topic {
    name: Range<usize>,
    entries: Range<usize>,
}

impl Run {
    /// A run from a file; see [`Run::parse`].
    pub fn read(path: &Path, repeated: Repeated) -> Result<Run, FileError> {
        Run::parse(&path.display().to_string(), read_text(path)?, repeated)
    }

    /// A run from text; `file` is named in errors. The tag is that of the last line.
    ///
    /// Errors: a line with fewer than six columns, a score that is no number, a repeated document where that is
    /// refused, no line at all.
    pub fn parse(file: &str, text: String, repeated: Repeated) -> Result<Run, FileError> {
        let mut entries = Vec::with_capacity(text.bytes().filter(|&byte| byte == b'\n').count() + 1);
        let mut names: Vec<Range<usize>> = Vec::new();
        let mut index: HashMap<&str, u32> = HashMap::new();
        let mut current: Option<(&str, u32)> = None;
        let mut tag = "";
        let place = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
        for (number, line) in text.split('\n').enumerate() {
            let mut columns = columns(line);
            let Some(topic) = columns.next() else { continue };
            if topic.starts_with('#') {
                continue;
            }
            let (Some(_), Some(document), Some(_), Some(score), Some(name)) =
                (columns.next(), columns.next(), columns.next(), columns.next(), columns.next())
            else {
                let found = self::columns(line).count();
                let wanted = "expected six columns (topic, Q0, document, rank, score, tag)";
                return Err(FileError::new(file, number + 1, format!("{wanted}, found {found}")));
            };
            let score = match score.parse::<f64>() {
                Ok(score) if !score.is_nan() => score,
                _ => {
                    return Err(FileError::new(
                        file,
                        number + 1,
                        format!("expected a score, found `{score}`"),
                    ));
                }
            };
            let topic = match current {
                Some((name, id)) if name == topic => id,
                _ => {
                    let id = *index.entry(topic).or_insert_with(|| {
                        names.push(place(topic)..place(topic) + topic.len());
                        names.len() as u32 - 1
                    });
                    current = Some((topic, id));
                    id
                }
            };
            entries.push(Entry {
                score,
                start: place(document) as u64,
                length: document.len() as u32,
                topic,
            });
            tag = name;
        }
        if entries.is_empty() {
            return Err(FileError::new(file, 0, "holds no ranked documents"));
        }
        let tag = tag.to_string();
        let topics = names.into_iter().map(|name| Topic { name, entries: 0..0 }).collect();
        let mut run = Run { tag, text, entries, topics, repeated: 0 };
        run.order();
        run.settle_repeated(file, repeated)?;
        Ok(run)
    }

    /// A run from `(topic, document, score)` triples, with repeated documents kept once.
    ///
    /// Errors: a name that is empty or holds blanks, a score that is not a number, no triple at all.
    pub fn new<T, D>(tag: &str, ranked: impl IntoIterator<Item = (T, D, f64)>) -> Result<Run, FileError>
    where
        T: AsRef<str>,
        D: AsRef<str>,
    {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (topic, document, score) in ranked {
            let _ = writeln!(text, "{} Q0 {} 0 {score:?} {tag}", topic.as_ref(), document.as_ref());
            if text.lines().next_back().map_or(0, |line| columns(line).count()) != 6 {
                let message =
                    format!("`{}` and `{}` must be single words", topic.as_ref(), document.as_ref());
                return Err(FileError::new(tag, 0, message));
            }
        }
        Run::parse(tag, text, Repeated::KeepFirst)
    }

    /// The name that the run gives itself.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The topics in byte order.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|topic| &self.text[topic.name.clone()])
    }

    /// The documents of a topic with their scores, the best first; none for a topic that the run does not hold.
    pub fn ranking(&self, topic: &str) -> impl ExactSizeIterator<Item = (&str, f64)> {
        let place = self.topics.binary_search_by(|other| self.text[other.name.clone()].cmp(topic));
        let entries = place.map_or(0..0, |place| self.topics[place].entries.clone());
        self.entries[entries].iter().map(|entry| (self.document(entry), entry.score))
    }

    /// Whether the run holds a topic.
    pub fn has(&self, topic: &str) -> bool {
        self.topics.binary_search_by(|other| self.text[other.name.clone()].cmp(topic)).is_ok()
    }

    /// How many places were dropped because their document stood higher up in the same topic.
    pub fn dropped(&self) -> usize {
        self.repeated
    }

    /// Writes the run in its file format, ranks from 1, at most `depth` documents a topic.
    pub fn write(&self, mut out: impl Write, depth: usize) -> io::Result<()> {
        for topic in self.topics() {
            for (rank, (document, score)) in self.ranking(topic).take(depth).enumerate() {
                writeln!(out, "{topic} Q0 {document} {} {score:?} {}", rank + 1, self.tag)?;
            }
        }
        Ok(())
    }

    fn document(&self, entry: &Entry) -> &str {
        &self.text[entry.start as usize..entry.start as usize + entry.length as usize]
    }

    /// Sorts the topics by name and the documents of each by score and name, both falling.
    fn order(&mut self) {
        let mut by_name: Vec<u32> = (0..self.topics.len() as u32).collect();
        by_name.sort_unstable_by_key(|&id| &self.text[self.topics[id as usize].name.clone()]);
        let mut place = vec![0; by_name.len()];
        for (new, &old) in by_name.iter().enumerate() {
            place[old as usize] = new as u32;
        }
        self.topics = by_name.iter().map(|&old| self.topics[old as usize].clone()).collect();
        self.entries.iter_mut().for_each(|entry| entry.topic = place[entry.topic as usize]);
        if !self.entries.is_sorted_by_key(|entry| entry.topic) {
            self.entries.sort_by_key(|entry| entry.topic);
        }
        self.mark_topics();
        let text = self.text.as_bytes();
        let name = |entry: &Entry| &text[entry.start as usize..entry.start as usize + entry.length as usize];
        for topic in &self.topics {
            let entries = &mut self.entries[topic.entries.clone()];
            // Scores alone first: names are looked at only where scores are equal.
            entries.sort_unstable_by(|a, b| b.score.partial_cmp(&a.score).expect("checked to be numbers"));
            for equal in entries.chunk_by_mut(|a, b| a.score == b.score).filter(|equal| equal.len() > 1) {
                equal.sort_unstable_by(|a, b| name(b).cmp(name(a)));
            }
        }
    }

    fn mark_topics(&mut self) {
        let mut start = 0;
        for (id, topic) in self.topics.iter_mut().enumerate() {
            let length = self.entries[start..].partition_point(|entry| entry.topic as usize == id);
            topic.entries = start..start + length;
            start += length;
        }
    }

    fn settle_repeated(&mut self, file: &str, repeated: Repeated) -> Result<(), FileError> {
        let mut drop: Vec<usize> = Vec::new();
        let hasher = foldhash::fast::RandomState::default();
        let mut hashes: Vec<u64> = Vec::new();
        for topic in &self.topics {
            // Most topics repeat nothing, which sorted hashes show fastest.
            let names = || topic.entries.clone().map(|place| (place, self.document(&self.entries[place])));
            hashes.clear();
            hashes.extend(names().map(|(_, name)| hasher.hash_one(name)));
            hashes.sort_unstable();
            if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
                let mut seen = HashSet::new();
                drop.extend(names().filter(|(_, name)| !seen.insert(*name)).map(|(place, _)| place));
            }
        }
        if let (Some(&place), Repeated::Refuse) = (drop.first(), repeated) {
            let entry = &self.entries[place];
            let before = &self.text.as_bytes()[..entry.start as usize];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            let topic = &self.text[self.topics[entry.topic as usize].name.clone()];
            let message = format!("document {} stands twice in topic {topic}", self.document(entry));
            return Err(FileError::new(file, line, message));
        }
        if !drop.is_empty() {
            let (mut place, mut next) = (0, drop.iter().peekable());
            self.entries.retain(|_| {
                let dropped = next.next_if(|&&other| other == place).is_some();
                place += 1;
                !dropped
            });
            self.mark_topics();
        }
        self.repeated = drop.len();
        Ok(())
    }
}

/// The words of a line, separated by blanks.
fn columns(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace()
}
