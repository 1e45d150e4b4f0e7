//! How much of a set of records stands in a corpus: the share of records, and of n-grams, that the corpus holds too.
//!
//! The records are indexed, and the corpus is streamed past them, so that it may be of any size.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::files::each_line;
use super::ngrams::Ngrams;
use super::tokens::{lower, words};
use super::{Contents, DecontaminationError, FilesError};

/// Records by group, such as the month, and which of their n-grams a corpus was seen to hold.
pub struct Overlap {
    ngrams: Ngrams,
    seen: Vec<AtomicBool>,
    /// Each record: its group and the slots of its n-grams.
    records: Vec<(usize, Vec<u32>)>,
    groups: Vec<String>,
}

/// The overlap of one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverlapGroup {
    /// Records.
    pub records: usize,
    /// Records of which the corpus holds an n-gram.
    pub touched: usize,
    /// The share of these, in percent.
    pub percent: f64,
    /// Different n-grams.
    pub ngrams: usize,
    /// Those that the corpus holds.
    pub shared: usize,
}

impl Overlap {
    /// Records, each with the name of its group and its text.
    ///
    /// # Errors
    /// If `n` is out of range, or there are too many words.
    pub fn new(records: &[(String, String)], n: usize) -> Result<Self, DecontaminationError> {
        if !(1..=1000).contains(&n) {
            return Err(DecontaminationError::Words(n));
        }
        let mut ngrams = Ngrams::new(n);
        for (_, text) in records {
            ngrams.add(words(&lower(text)), 0).ok_or_else(|| {
                DecontaminationError::TooLarge("more than four thousand million words".into())
            })?;
        }
        let groups: Vec<String> = {
            let names: std::collections::BTreeSet<&String> = records.iter().map(|(group, _)| group).collect();
            names.into_iter().cloned().collect()
        };
        let records = (records.iter())
            .map(|(group, text)| {
                let mut slots = Vec::new();
                ngrams.slots_of(&ngrams.numbers(words(&lower(text))), |slot| slots.push(slot as u32));
                (groups.binary_search(group).unwrap_or_default(), slots)
            })
            .collect();
        let seen = std::iter::repeat_with(AtomicBool::default).take(ngrams.capacity()).collect();
        Ok(Overlap { ngrams, seen, records, groups })
    }

    /// A text of the corpus; from any thread.
    pub fn see(&self, text: &str) {
        let ids = self.ngrams.numbers(words(&lower(text)));
        self.ngrams.slots_of(&ids, |slot| self.seen[slot].store(true, Ordering::Relaxed));
    }

    /// The texts of a corpus in files; `each` sees how many there were. Returns how many lines hold no such text.
    ///
    /// # Errors
    /// If a file cannot be read, or `each` says so.
    pub fn see_files(
        &self,
        corpus: &[PathBuf],
        contents: &Contents,
        mut each: impl FnMut(usize) -> Result<(), FilesError>,
    ) -> Result<usize, FilesError> {
        let (mut count, mut unreadable) = (0, 0);
        let work = |bytes: &[u8]| {
            let text = serde_json::from_slice(bytes).ok().and_then(|fields| contents.of(&fields).ok());
            text.map(|text| self.see(&text)).is_some()
        };
        each_line(corpus, contents, work, |_, _, is_text| {
            count += 1;
            unreadable += usize::from(!is_text);
            each(count)
        })?;
        Ok(unreadable)
    }

    /// The overlap by group.
    pub fn groups(&self) -> BTreeMap<String, OverlapGroup> {
        let is_seen = |slot: &u32| self.seen[*slot as usize].load(Ordering::Relaxed);
        let mut found = BTreeMap::new();
        for (number, name) in self.groups.iter().enumerate() {
            let of_group =
                || self.records.iter().filter(|(group, _)| *group == number).map(|(_, slots)| slots);
            let records = of_group().count();
            let touched = of_group().filter(|slots| slots.iter().any(is_seen)).count();
            let different: HashSet<u32> = of_group().flatten().copied().collect();
            let group = OverlapGroup {
                records,
                touched,
                percent: 100.0 * touched as f64 / records as f64,
                ngrams: different.len(),
                shared: different.iter().filter(|slot| is_seen(slot)).count(),
            };
            found.insert(name.clone(), group);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_counted_by_group() {
        let records =
            [("2024-01", "a b c d"), ("2024-01", "x y z"), ("2024-02", "A b c e"), ("2024-02", "a b")];
        let records = records.map(|(group, text)| (group.to_string(), text.to_string()));
        let overlap = Overlap::new(&records, 3).unwrap();
        overlap.see("0 B  c D 1");
        overlap.see("a b");
        let groups = overlap.groups();
        let january = &groups["2024-01"];
        assert_eq!((january.records, january.touched, january.percent), (2, 1, 50.0));
        assert_eq!((january.ngrams, january.shared), (3, 1));
        assert_eq!((groups["2024-02"].touched, groups["2024-02"].ngrams), (0, 2));
        overlap.see("a b c");
        let groups = overlap.groups();
        assert_eq!(
            (groups["2024-01"].shared, groups["2024-02"].touched, groups["2024-02"].shared),
            (2, 1, 1)
        );
    }
}
