//! Decontamination: find records that hold a benchmark's text, or a run of `n` words of one.
//!
//! The rule is that of AoPS-Instruct (Mahdavi et al. 2025, taken over from earlier code-model projects), exactly:
//!
//! 1. a record is found by a set if it contains one of its texts, both in lower case, as they are spaced: `<set>_match`;
//! 2. else if one of its n-grams is among those of the set, words being what stands between white space:
//!    `<set>_match_<n>gram`.
//!
//! The first rule is tried with all sets before the second; of several sets the first in the list counts. A text with
//! fewer than `n` words has no n-gram, so that it is found by the first rule alone.
//!
//! The first rule is one pass of an Aho-Corasick automaton over all texts of all sets, the second one pass of a rolling
//! hash over a table of all n-grams, whose words are compared.

mod files;
mod ngrams;
mod overlap;
mod tokens;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde::Serialize;

pub use files::{Contents, Counts, FilesError, Group, read_records, read_set, split};
pub use overlap::{Overlap, OverlapGroup};

use ngrams::Ngrams;
use tokens::{lower, words};

/// The texts of a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextSet {
    /// Its name in reasons.
    pub name: String,
    /// Its texts.
    pub texts: Vec<String>,
}

/// What is known of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its texts.
    pub texts: usize,
    /// Those with fewer words than an n-gram.
    pub short: usize,
    /// Its different n-grams.
    pub ngrams: usize,
}

/// Sets of texts, ready to be looked for.
pub struct Decontaminator {
    sets: Vec<Summary>,
    texts: AhoCorasick,
    /// The set of each text.
    set_of_text: Vec<u16>,
    /// Each text as it was given, for the evidence.
    originals: Vec<Box<str>>,
    ngrams: Ngrams,
}

/// Why a record is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The number of the set in the list.
    pub set: usize,
    /// The reason: `<set>_match`, or `<set>_match_<n>gram`.
    pub reason: String,
    /// The text or the n-gram that the record has in common with the set.
    pub evidence: String,
}

/// Why texts cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecontaminationError {
    /// n-grams of no words, or of more than 1,000.
    #[error("an n-gram has 1 to 1000 words, not {0}")]
    Words(usize),
    /// A set without any text.
    #[error("the set `{0}` has no text")]
    Empty(String),
    /// A text of nothing but white space, which almost every record contains.
    #[error("text {number} of the set `{set}` is blank: every record would contain it")]
    Blank {
        /// The set.
        set: String,
        /// The number of the text, from 1.
        number: usize,
    },
    /// Two sets have one name.
    #[error("two sets are called `{0}`")]
    SameName(String),
    /// More than can be numbered.
    #[error("the sets are too large: {0}")]
    TooLarge(String),
}

impl Decontaminator {
    /// Makes sets of texts ready to be looked for, by their texts and their n-grams.
    ///
    /// # Errors
    /// If `n` is out of range, a set is empty, a text is blank, or two sets have one name.
    pub fn new(sets: &[TextSet], n: usize) -> Result<Self, DecontaminationError> {
        if !(1..=1000).contains(&n) {
            return Err(DecontaminationError::Words(n));
        }
        if sets.len() > usize::from(u16::MAX) {
            return Err(DecontaminationError::TooLarge(format!("{} sets", sets.len())));
        }
        let mut ngrams = Ngrams::new(n);
        let (mut lowered, mut set_of_text, mut originals) = (Vec::new(), Vec::new(), Vec::new());
        let mut summaries: Vec<Summary> = Vec::with_capacity(sets.len());
        for (number, set) in sets.iter().enumerate() {
            if summaries.iter().any(|known| known.name == set.name) {
                return Err(DecontaminationError::SameName(set.name.clone()));
            }
            if set.texts.is_empty() {
                return Err(DecontaminationError::Empty(set.name.clone()));
            }
            let mut summary = Summary { name: set.name.clone(), texts: set.texts.len(), short: 0, ngrams: 0 };
            for (at, text) in set.texts.iter().enumerate() {
                let lower = lower(text);
                let (length, new) = ngrams.add(words(&lower), number as u16).ok_or_else(|| {
                    DecontaminationError::TooLarge("more than four thousand million words".into())
                })?;
                if length == 0 {
                    return Err(DecontaminationError::Blank { set: set.name.clone(), number: at + 1 });
                }
                summary.short += usize::from(length < n);
                summary.ngrams += new;
                lowered.push(lower);
                originals.push(text.as_str().into());
                set_of_text.push(number as u16);
            }
            summaries.push(summary);
        }
        let texts = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&lowered)
            .map_err(|error| DecontaminationError::TooLarge(error.to_string()))?;
        Ok(Decontaminator { sets: summaries, texts, set_of_text, originals, ngrams })
    }

    /// The sets.
    pub fn sets(&self) -> &[Summary] {
        &self.sets
    }

    /// Words of an n-gram.
    pub fn n(&self) -> usize {
        self.ngrams.n()
    }

    /// A digest of all texts of all sets, in their order.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (text, set) in self.originals.iter().zip(&self.set_of_text) {
            hasher.update(&set.to_le_bytes());
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Why a record with this content is found; `None` if it has nothing in common with any set.
    pub fn find(&self, content: &str) -> Option<Finding> {
        let lower = lower(content);
        self.contained(&lower).or_else(|| self.shared(&lower))
    }

    /// The first rule.
    fn contained(&self, lower: &str) -> Option<Finding> {
        let mut best: Option<(u16, usize)> = None;
        for found in self.texts.find_overlapping_iter(lower) {
            let text = found.pattern().as_usize();
            let set = self.set_of_text[text];
            if best.is_none_or(|(known, _)| set < known) {
                best = Some((set, text));
            }
            if set == 0 {
                break;
            }
        }
        best.map(|(set, text)| Finding {
            set: usize::from(set),
            reason: format!("{}_match", self.sets[usize::from(set)].name),
            evidence: self.originals[text].to_string(),
        })
    }

    /// The second rule.
    fn shared(&self, lower: &str) -> Option<Finding> {
        let ids = self.ngrams.numbers(words(lower));
        let (set, at) = self.ngrams.first_set(&ids)?;
        let gram: Vec<&str> = words(lower).skip(at).take(self.n()).collect();
        Some(Finding {
            set: usize::from(set),
            reason: format!("{}_match_{}gram", self.sets[usize::from(set)].name, self.n()),
            evidence: gram.join(" "),
        })
    }
}

/// The rule as it is written down, in plain loops over texts and sets of n-grams: what the fast one is compared with.
#[cfg(test)]
pub(crate) fn plain_reason(sets: &[TextSet], n: usize, content: &str) -> Option<String> {
    use std::collections::HashSet;
    let grams = |text: &str| -> HashSet<String> {
        let lower = lower(text);
        let words: Vec<&str> = words(&lower).collect();
        words.windows(n).map(|gram| gram.join(" ")).collect()
    };
    let content_lower = lower(content);
    let contains = |set: &&TextSet| set.texts.iter().any(|text| content_lower.contains(lower(text).as_str()));
    if let Some(set) = sets.iter().find(contains) {
        return Some(format!("{}_match", set.name));
    }
    let own = grams(content);
    let shares = |set: &&TextSet| set.texts.iter().any(|text| !grams(text).is_disjoint(&own));
    sets.iter().find(shares).map(|set| format!("{}_match_{n}gram", set.name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets(given: &[(&str, &[&str])]) -> Vec<TextSet> {
        let set = |(name, texts): &(&str, &[&str])| TextSet {
            name: name.to_string(),
            texts: texts.iter().map(|text| text.to_string()).collect(),
        };
        given.iter().map(set).collect()
    }

    #[test]
    fn texts_come_before_ngrams_and_sets_in_their_order() {
        let sets = sets(&[
            ("a", &["one two three four five"]),
            ("b", &["Two  Three", "three four five", "NINE"]),
            ("c", &["nine ten", "two three four"]),
        ]);
        let engine = Decontaminator::new(&sets, 3).unwrap();
        let reason = |text: &str| engine.find(text).map(|finding| finding.reason);
        // Of set a an n-gram only, but a text of set c is contained.
        assert_eq!(reason("x two THREE four!").as_deref(), Some("c_match"));
        assert_eq!(reason("x two three\tfour").as_deref(), Some("a_match_3gram"));
        assert_eq!(reason("ONE Two three Four five").as_deref(), Some("a_match"));
        // Contained within words, and only as it is spaced.
        assert_eq!(reason("undertwo  threefold").as_deref(), Some("b_match"));
        assert_eq!(reason("two three"), None);
        assert_eq!(reason("canine tents").as_deref(), Some("b_match"));
        assert_eq!(reason(""), None);
        let summary: Vec<(usize, usize, usize)> =
            engine.sets().iter().map(|set| (set.texts, set.short, set.ngrams)).collect();
        assert_eq!(summary, [(1, 0, 3), (3, 2, 1), (2, 1, 1)]);
        assert_eq!(engine.find("x two three\tfour").unwrap().evidence, "two three four");
        assert_eq!(engine.find("a NINE").unwrap().evidence, "NINE");
    }

    #[test]
    fn wrong_sets_are_named() {
        let wrong = |given, n| Decontaminator::new(&sets(given), n).err().unwrap().to_string();
        assert!(wrong(&[("a", &["x"])], 0).contains("1 to 1000"));
        assert!(wrong(&[("a", &[])], 3).contains("`a` has no text"));
        assert!(wrong(&[("a", &["x", " \u{a0}"])], 3).contains("text 2 of the set `a`"));
        assert!(wrong(&[("a", &["x"]), ("a", &["y"])], 3).contains("two sets"));
    }

    proptest! {
        #[test]
        fn the_fast_rule_is_the_plain_one(
            given in prop::collection::vec(prop::collection::vec("[a-cA-CΣσ]{1,2}( {1,2}[a-cΣ]{1,2}){0,5}", 1..4), 1..4),
            contents in prop::collection::vec("[a-dA-DΣ\u{a0}\n]{0,2}( {1,2}[a-cΣ]{1,2}){0,12}", 1..6),
            n in 1usize..5,
        ) {
            let sets: Vec<TextSet> = given
                .into_iter()
                .enumerate()
                .map(|(number, texts)| TextSet { name: number.to_string(), texts })
                .collect();
            let engine = Decontaminator::new(&sets, n).unwrap();
            for content in &contents {
                let found = engine.find(content).map(|finding| finding.reason);
                prop_assert_eq!(found, plain_reason(&sets, n, content));
            }
        }
    }
}
