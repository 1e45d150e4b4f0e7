//! An index over the `records.jsonl` of a run: where each record stands, and what a reader chooses records by.
//!
//! A run of a million samples is a file of gigabytes; the index takes some 50 bytes for each sample and is kept as a file of
//! its own, which [`Index::open`] reads in a fraction of a second as long as the records have not changed. Records themselves
//! are read one at a time. `building` makes an index of the records, `kept` keeps it as a file.

mod building;
mod kept;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::{Ending, Record, RecordError, Reply, Verdict};

/// Where the records of a run are, and what is known of them without reading them.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    path: PathBuf,
    stamp: Stamp,
    names: Names,
    places: Vec<u64>,
    lengths: Vec<u64>,
    replies: Vec<u64>,
    /// The first sample of each record, and the number of all samples.
    first_samples: Vec<u32>,
    /// The end of each name in `ids`.
    id_ends: Vec<u32>,
    ids: String,
    /// The value of each category by record; 0: none, else its place among the names from 1.
    categories: Vec<Vec<u32>>,
    verdicts: Vec<Verdict>,
    /// The rule of each sample: 0: none, else its place among the names from 1.
    rules: Vec<u32>,
    reply_lengths: Vec<u32>,
    /// How long the calls of each record took, in seconds; negative where that is not known.
    seconds: Vec<f32>,
}

/// What tells whether the records, or the times beside them, have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    nanoseconds: u64,
    times: Option<(u64, u64)>,
}

/// A line of the times beside the records of a run, in the order of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The name of the problem.
    pub id: String,
    /// How long the calls took that the replies came from, all together, in seconds: from sending to the whole reply.
    pub seconds: f64,
}

impl Timing {
    /// The file of the times, beside the records. They are apart, so that the same replies give the same records.
    pub const FILE: &str = "timings.jsonl";
}

/// What numbers in the columns stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    categories: Vec<(String, Vec<String>)>,
    rules: Vec<String>,
}

/// What the index knows of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The name of the problem.
    pub id: &'a str,
    /// The verdicts of its samples.
    pub verdicts: &'a [Verdict],
    /// The rules that found answers in them; `None` where none did.
    pub rules: Vec<Option<&'a str>>,
    /// The lengths of the replies in bytes; at most 4 GiB.
    pub lengths: &'a [u32],
    /// The categories of the problem.
    pub categories: Vec<(&'a str, &'a str)>,
    /// A digest of the replies.
    pub replies: u64,
    /// How long its calls took in seconds, where that is known.
    pub seconds: Option<f32>,
}

impl Entry<'_> {
    /// The share of samples that are right.
    pub fn score(&self) -> f64 {
        share_right(self.verdicts)
    }
}

/// Which records to choose. What is empty chooses all; a record is chosen if **one** of its samples has all of verdict, rule
/// and length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// Rules; the empty name stands for no answer found.
    pub rules: Vec<String>,
    /// Lengths of a reply, in bytes.
    pub lengths: Option<(u64, u64)>,
    /// Values by category; the empty value stands for problems without it.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Shares of right samples, ends included.
    pub scores: Option<(f64, f64)>,
    /// The time of the calls in seconds, ends included; records whose time is not known are not among them.
    pub seconds: Option<(f64, f64)>,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those with the worst verdict first, as in reports.
    #[default]
    Failures,
    /// As in the file.
    File,
    /// By the share of right samples, lowest first.
    Score,
    /// By the longest reply, longest first.
    Length,
    /// By the time of the calls, longest first.
    Time,
}

/// How many records or samples there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facets {
    /// Samples by verdict.
    pub verdicts: Vec<(Verdict, usize)>,
    /// Samples by rule with how many of them are right; the empty name: no answer found.
    pub rules: Vec<(String, usize, usize)>,
    /// Problems by category and value.
    pub categories: Vec<(String, Vec<(String, usize)>)>,
    /// The longest reply, in bytes.
    pub longest: u32,
    /// The longest time of the calls of a record, in seconds, if any is known.
    pub slowest: Option<f32>,
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The records that hold the text, in the order of the candidates.
    pub records: Vec<u32>,
    /// How many candidates have been looked at.
    pub searched: usize,
}

/// The share of right verdicts; 0 of none.
pub(super) fn share_right(verdicts: &[Verdict]) -> f64 {
    let right = verdicts.iter().filter(|verdict| **verdict == Verdict::Right).count();
    right as f64 / verdicts.len().max(1) as f64
}

/// A digest of replies: the same for the same replies.
pub(super) fn replies_digest(replies: &[Reply]) -> u64 {
    digest(replies.iter().map(|reply| (reply.text.as_str(), reply.ending, reply.failure.as_deref())))
}

fn digest<'a>(replies: impl Iterator<Item = (&'a str, Ending, Option<&'a str>)>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for (text, ending, failure) in replies {
        for part in [text, failure.unwrap_or_default()] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&[ending as u8]);
    }
    let bytes: [u8; 32] = hasher.finalize().into();
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

impl Index {
    /// The number of records.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The number of samples of all records.
    pub fn samples(&self) -> usize {
        self.verdicts.len()
    }

    /// The names of the problems, in the order of the file.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.id(number))
    }

    fn id(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.id_ends[number - 1] as usize };
        &self.ids[start..self.id_ends[number] as usize]
    }

    fn samples_of(&self, number: usize) -> Range<usize> {
        self.first_samples[number] as usize..self.first_samples[number + 1] as usize
    }

    /// What is known of a record.
    ///
    /// # Panics
    /// If there is no record of this number.
    pub fn entry(&self, number: usize) -> Entry<'_> {
        let samples = self.samples_of(number);
        Entry {
            id: self.id(number),
            verdicts: &self.verdicts[samples.clone()],
            rules: self.rules[samples.clone()].iter().map(|&rule| named(&self.names.rules, rule)).collect(),
            lengths: &self.reply_lengths[samples],
            categories: (self.names.categories.iter().zip(&self.categories))
                .filter_map(|((category, values), column)| {
                    Some((category.as_str(), named(values, column[number])?))
                })
                .collect(),
            replies: self.replies[number],
            seconds: self.time_of(number),
        }
    }

    fn time_of(&self, number: usize) -> Option<f32> {
        self.seconds.get(number).copied().filter(|seconds| *seconds >= 0.0)
    }

    /// The numbers of the records that a filter chooses, in an order.
    pub fn select(&self, filter: &Filter, order: Order) -> Vec<u32> {
        let mut verdicts = [filter.verdicts.is_empty(); Verdict::ALL.len()];
        filter.verdicts.iter().for_each(|verdict| verdicts[*verdict as usize] = true);
        let rules = chosen(&filter.rules, &self.names.rules);
        let categories: Vec<(Option<&Vec<u32>>, Vec<bool>)> = (filter.categories.iter())
            .map(|(category, values)| {
                match self.names.categories.iter().position(|(name, _)| name == category) {
                    Some(at) => (Some(&self.categories[at]), chosen(values, &self.names.categories[at].1)),
                    None => (None, chosen(values, &[])),
                }
            })
            .collect();
        let by_sample = !(filter.verdicts.is_empty() && filter.rules.is_empty() && filter.lengths.is_none());
        let is_chosen = |&number: &u32| {
            let number = number as usize;
            let fits = |sample: usize| {
                let length = u64::from(self.reply_lengths[sample]);
                verdicts[self.verdicts[sample] as usize]
                    && rules[self.rules[sample] as usize]
                    && filter.lengths.is_none_or(|(low, high)| (low..=high).contains(&length))
            };
            let score = || share_right(&self.verdicts[self.samples_of(number)]);
            categories.iter().all(|(column, values)| values[column.map_or(0, |c| c[number] as usize)])
                && filter.scores.is_none_or(|(low, high)| (low..=high).contains(&score()))
                && filter.seconds.is_none_or(|(low, high)| {
                    self.time_of(number).is_some_and(|seconds| (low..=high).contains(&f64::from(seconds)))
                })
                && (!by_sample || self.samples_of(number).any(fits))
        };
        let mut numbers: Vec<u32> = (0..self.len() as u32).filter(is_chosen).collect();
        let verdicts_of = |number: u32| &self.verdicts[self.samples_of(number as usize)];
        let worst = |&number: &u32| {
            let worst = verdicts_of(number).iter().copied().max().unwrap_or(Verdict::Error);
            std::cmp::Reverse(worst)
        };
        let longest = |&number: &u32| {
            let lengths = &self.reply_lengths[self.samples_of(number as usize)];
            std::cmp::Reverse(lengths.iter().copied().max().unwrap_or(0))
        };
        match order {
            Order::File => {}
            Order::Failures => numbers.sort_by_key(worst),
            Order::Score => {
                numbers.sort_by(|a, b| share_right(verdicts_of(*a)).total_cmp(&share_right(verdicts_of(*b))))
            }
            Order::Length => numbers.sort_by_key(longest),
            Order::Time => {
                let time = |number: u32| self.time_of(number as usize).unwrap_or(-1.0);
                numbers.sort_by(|a, b| time(*b).total_cmp(&time(*a)));
            }
        }
        numbers
    }

    /// How many there are of each kind.
    pub fn facets(&self) -> Facets {
        let mut verdicts = [0; Verdict::ALL.len()];
        let mut rules = vec![(0, 0); self.names.rules.len() + 1];
        for (verdict, rule) in self.verdicts.iter().zip(&self.rules) {
            verdicts[*verdict as usize] += 1;
            let count: &mut (usize, usize) = &mut rules[*rule as usize];
            count.0 += 1;
            count.1 += usize::from(*verdict == Verdict::Right);
        }
        let categories = (self.names.categories.iter().zip(&self.categories))
            .map(|((category, values), column)| {
                let mut counts = vec![0; values.len() + 1];
                column.iter().for_each(|value| counts[*value as usize] += 1);
                let counts = std::iter::once("").chain(values.iter().map(String::as_str)).zip(counts);
                let mut counts: Vec<(String, usize)> =
                    counts.filter(|(_, count)| *count > 0).map(|(v, n)| (v.to_string(), n)).collect();
                counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                (category.clone(), counts)
            })
            .collect();
        let names = std::iter::once("").chain(self.names.rules.iter().map(String::as_str));
        let mut rules: Vec<(String, usize, usize)> = (names.zip(rules))
            .filter(|(_, (found, _))| *found > 0)
            .map(|(name, (found, right))| (name.to_string(), found, right))
            .collect();
        rules.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Facets {
            verdicts: Verdict::ALL.into_iter().map(|verdict| (verdict, verdicts[verdict as usize])).collect(),
            rules,
            categories,
            longest: self.reply_lengths.iter().copied().max().unwrap_or(0),
            slowest: self.seconds.iter().copied().filter(|seconds| *seconds >= 0.0).max_by(f32::total_cmp),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If there is none of this number, or the file has changed.
    pub fn read(&self, number: usize) -> Result<Record, RecordError> {
        let line = self.line(&mut self.file()?, number)?;
        serde_json::from_slice(&line).map_err(|error| RecordError::Line {
            file: self.path.display().to_string(),
            line: number + 1,
            message: error.to_string(),
        })
    }

    /// The records among `candidates` whose name, question, reference, prompt or replies hold a text, in any case: until
    /// `most` are found, all are searched, or the time is up.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn search(
        &self,
        candidates: &[u32],
        text: &str,
        most: usize,
        until: Instant,
    ) -> Result<Found, RecordError> {
        // Records hold text as JSON writes it, between quotes.
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let (Some(raw), Some(plain)) = (quoted.get(1..quoted.len() - 1).and_then(literal), literal(text))
        else {
            return Ok(Found { records: Vec::new(), searched: candidates.len() });
        };
        let holds = |line: &[u8]| {
            std::str::from_utf8(line).is_ok_and(|line| raw.is_match(line))
                && serde_json::from_slice::<Record>(line).is_ok_and(|record| {
                    let Record { id, question, reference, prompt, replies, .. } = &record;
                    let own = [id, question, reference, prompt];
                    own.into_iter().chain(replies.iter().map(|reply| &reply.text)).any(|t| plain.is_match(t))
                })
        };
        let mut file = self.file()?;
        let mut found = Found { records: Vec::new(), searched: 0 };
        while found.searched < candidates.len() && found.records.len() < most && Instant::now() < until {
            let mut lines = Vec::new();
            let mut bytes = 0;
            for &number in &candidates[found.searched..] {
                if bytes > BLOCK {
                    break;
                }
                let line = self.line(&mut file, number as usize)?;
                bytes += line.len();
                lines.push((number, line));
            }
            let hits: Vec<bool> = lines.par_iter().map(|(_, line)| holds(line)).collect();
            for ((number, _), hit) in lines.iter().zip(hits) {
                if found.records.len() == most {
                    break;
                }
                found.searched += 1;
                if hit {
                    found.records.push(*number);
                }
            }
        }
        Ok(found)
    }

    fn file(&self) -> Result<File, RecordError> {
        let failed = |error| RecordError::File(self.path.display().to_string(), error);
        if Stamp::of(&self.path)? != self.stamp {
            return Err(failed(std::io::Error::other("it has changed since it was opened")));
        }
        File::open(&self.path).map_err(failed)
    }

    fn line(&self, file: &mut File, number: usize) -> Result<Vec<u8>, RecordError> {
        let failed = |error| RecordError::File(self.path.display().to_string(), error);
        let (Some(&at), Some(&length)) = (self.places.get(number), self.lengths.get(number)) else {
            return Err(failed(std::io::Error::other(format!("there is no record {number}"))));
        };
        let mut line = vec![0; length as usize];
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        file.read_exact(&mut line).map_err(failed)?;
        Ok(line)
    }
}

/// A pattern that matches a text in any case; `None` for texts of enormous length.
fn literal(text: &str) -> Option<Regex> {
    RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build().ok()
}

/// How many bytes of records are read before they are looked at together.
const BLOCK: usize = 8 << 20;

fn named(names: &[String], place: u32) -> Option<&str> {
    Some(names[(place as usize).checked_sub(1)?].as_str())
}

/// For each place, 0 included, whether its name is among those wanted; all are if none is.
fn chosen(wanted: &[String], names: &[String]) -> Vec<bool> {
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    std::iter::once("").chain(names.iter().map(String::as_str)).map(is_wanted).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::compare::{compare, compare_indexes};
    use super::super::{Grader, Problem, grade};
    use super::*;
    use crate::answers::Mode;

    fn records() -> Vec<Record> {
        let record = |id: &str, topic: &str, replies: &[&str]| {
            let categories = [("topic".to_string(), topic.to_string())];
            let problem = Problem {
                id: id.into(),
                question: format!("Half of {id}?"),
                reference: "0.5".into(),
                categories: categories.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
                ..Problem::default()
            };
            let replies = replies.iter().map(|text| match *text {
                "cut" => Reply { ending: Ending::Truncated, ..Reply::complete("1/2") },
                text => Reply::complete(text),
            });
            Record::new(&problem, "?".into(), None, replies.collect())
        };
        let mut records = vec![
            record("a", "halves", &["\\boxed{1/2}", "\\boxed{0.5}"]),
            record("b", "", &["\\boxed{1/2}", "no idea"]),
            record("ü", "halves", &["a long reply that ends in 7", "\\boxed{7} \"Größe\"\n"]),
            record("d", "others", &["cut"]),
            record("e", "others", &[]),
        ];
        grade::grade(&mut records, &Grader::new(Mode::Strict));
        records
    }

    fn written(folder: &Path, records: &[Record]) -> PathBuf {
        let path = folder.join("records.jsonl");
        let mut lines = b"\n".to_vec();
        Record::write(records, &mut lines).unwrap();
        std::fs::write(&path, lines).unwrap();
        path
    }

    #[test]
    fn records_are_chosen_and_read_as_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        let records = records();
        let index = Index::build(&written(folder.path(), &records)).unwrap();
        assert_eq!((index.len(), index.samples()), (5, 7));
        for (number, record) in records.iter().enumerate() {
            assert_eq!(&index.read(number).unwrap(), record);
            let entry = index.entry(number);
            assert_eq!(entry.id, record.id);
            assert_eq!(entry.verdicts.to_vec(), record.grades.iter().map(|g| g.verdict).collect::<Vec<_>>());
            assert_eq!(entry.replies, replies_digest(&record.replies));
        }
        let all = |filter: &Filter| index.select(filter, Order::File);
        let verdicts = |verdicts: &[Verdict]| Filter { verdicts: verdicts.to_vec(), ..Filter::default() };
        assert_eq!(all(&Filter::default()), [0, 1, 2, 3, 4]);
        assert_eq!(all(&verdicts(&[Verdict::Right])), [0, 1]);
        assert_eq!(all(&verdicts(&[Verdict::Truncated, Verdict::NoAnswer])), [1, 3]);
        // One sample must have both.
        let both = Filter { rules: vec!["last number".into()], ..verdicts(&[Verdict::Wrong]) };
        assert_eq!(all(&both), [2]);
        let none = Filter { rules: vec![String::new()], ..Filter::default() };
        assert_eq!(all(&none), [1]);
        let topic = |values: &[&str]| Filter {
            categories: [("topic".to_string(), values.iter().map(|v| v.to_string()).collect())].into(),
            ..Filter::default()
        };
        assert_eq!(all(&topic(&["halves"])), [0, 2]);
        assert_eq!(all(&topic(&["", "others"])), [1, 3, 4]);
        assert_eq!(all(&topic(&["thirds"])), [] as [u32; 0]);
        assert_eq!(all(&Filter { scores: Some((0.5, 0.9)), ..Filter::default() }), [1]);
        assert_eq!(all(&Filter { lengths: Some((20, 100)), ..Filter::default() }), [2]);
        assert_eq!(index.select(&Filter::default(), Order::Failures), [4, 3, 1, 2, 0]);
        assert_eq!(index.select(&Filter::default(), Order::Score), [2, 3, 4, 1, 0]);
        assert_eq!(index.select(&Filter::default(), Order::Length)[0], 2);
        let facets = index.facets();
        assert_eq!(facets.verdicts.iter().map(|(_, count)| count).sum::<usize>(), 7);
        assert_eq!(facets.categories[0].1, [("halves".into(), 2), ("others".into(), 2), (String::new(), 1)]);
        assert!(facets.rules.contains(&("box".into(), 4, 3)), "{:?}", facets.rules);
        assert!(index.read(5).is_err());
    }

    #[test]
    fn times_stand_beside_the_records_and_change_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let (path, cache) = (written(folder.path(), &records()), folder.path().join("cache.index"));
        let index = Index::open(&path, &cache).unwrap();
        assert_eq!((index.entry(0).seconds, index.facets().slowest), (None, None));
        let some = Filter { seconds: Some((0.5, 2.0)), ..Filter::default() };
        assert_eq!(index.select(&some, Order::File), [] as [u32; 0]);
        // One line is no line, one is of another record.
        let lines = "{\"id\":\"a\",\"seconds\":1.5}\n?\n{\"id\":\"ü\",\"seconds\":0.25}\n{\"id\":\"x\",\"seconds\":9}\n{\"id\":\"e\",\"seconds\":2}\n";
        std::fs::write(folder.path().join(Timing::FILE), lines).unwrap();
        for _ in 0..2 {
            let index = Index::open(&path, &cache).unwrap();
            let seconds: Vec<Option<f32>> = (0..5).map(|number| index.entry(number).seconds).collect();
            assert_eq!(seconds, [Some(1.5), None, Some(0.25), None, Some(2.0)]);
            assert_eq!(index.select(&some, Order::File), [0, 4]);
            assert_eq!(index.select(&Filter::default(), Order::Time), [4, 0, 2, 1, 3]);
            assert_eq!(index.facets().slowest, Some(2.0));
            assert_eq!(index.read(2).unwrap().id, "ü");
        }
    }

    #[test]
    fn texts_are_found_in_any_case_and_a_search_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::build(&written(folder.path(), &records())).unwrap();
        let later = Instant::now() + std::time::Duration::from_secs(60);
        let found = |text: &str| index.search(&[4, 2, 1, 0], text, 10, later).unwrap();
        assert_eq!(found("größe").records, [2]);
        assert_eq!(found("\"GRÖSSE").records, [] as [u32; 0]);
        assert_eq!(found("\\BOXED{1").records, [1, 0]);
        assert_eq!(found("half of b").records, [1]);
        // Words of the format are in every line, and in no text.
        assert_eq!(found("replies"), Found { records: vec![], searched: 4 });
        let first = index.search(&[4, 2, 1, 0], "half", 3, later).unwrap();
        assert_eq!(first, Found { records: vec![4, 2, 1], searched: 3 });
        let none = index.search(&[4, 2], "half", 3, Instant::now()).unwrap();
        assert_eq!(none.searched, 0);
    }

    #[test]
    fn an_index_is_kept_until_the_records_change_and_a_broken_one_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, cache) = (written(folder.path(), &records()), folder.path().join("deep/cache.index"));
        let built = Index::open(&path, &cache).unwrap();
        assert_eq!(built, Index::build(&path).unwrap());
        let stamp = Stamp::of(&path).unwrap();
        let kept = || Index::load(&path, &stamp, File::open(&cache).unwrap());
        assert_eq!(kept().unwrap(), built);
        let mut bytes = std::fs::read(&cache).unwrap();
        for at in [10, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            std::fs::write(&cache, &bytes).unwrap();
            assert!(kept().is_none(), "byte {at}");
            bytes[at] ^= 1;
        }
        assert_eq!(Index::open(&path, &cache).unwrap(), built);
        assert_eq!(kept().unwrap(), built);
        written(folder.path(), &records()[..2]);
        assert!(built.read(0).unwrap_err().to_string().contains("has changed"));
        assert_eq!(Index::open(&path, &cache).unwrap().len(), 2);
        // A folder that cannot be written costs only time.
        let nowhere = path.join("cache.index");
        assert_eq!(Index::open(&path, &nowhere).unwrap().len(), 2);
    }

    #[test]
    fn comparisons_by_index_are_those_of_the_records() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let first = records();
        let mut second = records();
        second.remove(3);
        second[1].grades[0].verdict = Verdict::Wrong;
        let indexes =
            [(0, &first), (1, &second)].map(|(at, r)| Index::build(&written(folders[at].path(), r)).unwrap());
        let text = |comparison| serde_json::to_string(&comparison).unwrap();
        let by_index = compare_indexes(&indexes[0], &indexes[1], 3);
        assert!(by_index.same_replies && by_index.common == 4 && !by_index.changed.is_empty());
        assert_eq!(text(by_index), text(compare(&first, &second, 3)));
    }

    #[test]
    fn bad_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), &records());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"id\": 3}}\n")).unwrap();
        let message = Index::build(&path).unwrap_err().to_string();
        assert!(message.contains("records.jsonl:7: "), "{message}");
        let mut ungraded = records();
        ungraded[0].grades.clear();
        let path = written(folder.path(), &ungraded);
        assert!(
            Index::build(&path).unwrap_err().to_string().contains("records.jsonl:2: the replies are not")
        );
        assert!(Index::build(&folder.path().join("none")).is_err());
    }
}
