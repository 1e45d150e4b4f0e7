//! The n-grams of texts: words by number, and an exact table of all runs of `n` words.
//!
//! The texts stand as numbers one behind the other, and the table holds where each different n-gram stands first. A
//! rolling hash finds the slot and the words decide, so that nothing depends on hashes being different.

use std::collections::HashMap;
use std::ops::ControlFlow;

/// The number of a word that no text of the table holds: no n-gram with it can be there.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The different n-grams of the texts of several sets.
pub(super) struct Ngrams {
    n: usize,
    numbers: HashMap<Box<str>, u32, foldhash::fast::FixedState>,
    /// All texts, as numbers of words.
    words: Vec<u32>,
    /// Open addressing; the length is a power of two and at least twice the number of n-grams.
    slots: Vec<Slot>,
    used: usize,
}

/// An n-gram.
#[derive(Clone, Copy)]
struct Slot {
    /// Where it stands first, or [`EMPTY`].
    place: u32,
    /// The first set that holds it.
    first: u16,
    /// The last set that was seen to hold it.
    last: u16,
}

const EMPTY: u32 = u32::MAX;

impl Ngrams {
    pub(super) fn new(n: usize) -> Self {
        Ngrams {
            n,
            numbers: HashMap::default(),
            words: Vec::new(),
            slots: vec![Slot { place: EMPTY, first: 0, last: 0 }; 1024],
            used: 0,
        }
    }

    /// The length of an n-gram.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Adds a text of a set. Sets are added one after the other. Returns the number of words, and of n-grams that the set
    /// did not hold so far; `None` if the texts together have more words than can be numbered.
    pub(super) fn add<'a>(
        &mut self,
        text: impl Iterator<Item = &'a str>,
        set: u16,
    ) -> Option<(usize, usize)> {
        let start = self.words.len();
        for word in text {
            let next = self.numbers.len() as u32;
            let number = match self.numbers.get(word) {
                Some(number) => *number,
                None => *self.numbers.entry(word.into()).or_insert(next),
            };
            self.words.push(number);
        }
        if self.words.len() >= EMPTY as usize {
            return None;
        }
        let ids = self.words[start..].to_vec();
        let mut new = 0;
        let _ = windows(&ids, self.n, |at, hash| {
            new += usize::from(self.insert(start + at, hash, set));
            ControlFlow::<()>::Continue(())
        });
        Some((ids.len(), new))
    }

    /// The numbers of the words of another text.
    pub(super) fn numbers<'a>(&self, text: impl Iterator<Item = &'a str>) -> Vec<u32> {
        text.map(|word| self.numbers.get(word).copied().unwrap_or(UNKNOWN)).collect()
    }

    /// The first set that holds an n-gram of a text, and where in the text that n-gram stands. Of several n-grams of that
    /// set the first counts.
    pub(super) fn first_set(&self, ids: &[u32]) -> Option<(u16, usize)> {
        let mut best: Option<(u16, usize)> = None;
        let _ = windows(ids, self.n, |at, hash| {
            if let Ok(slot) = self.find(&ids[at..at + self.n], hash) {
                let set = self.slots[slot].first;
                if best.is_none_or(|(known, _)| set < known) {
                    best = Some((set, at));
                }
                if set == 0 {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        best
    }

    /// The slots of the n-grams of a text that the table holds.
    pub(super) fn slots_of(&self, ids: &[u32], mut each: impl FnMut(usize)) {
        let _ = windows(ids, self.n, |at, hash| {
            if let Ok(slot) = self.find(&ids[at..at + self.n], hash) {
                each(slot);
            }
            ControlFlow::<()>::Continue(())
        });
    }

    /// The number of slots.
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Whether the set did not hold the n-gram at a place.
    fn insert(&mut self, place: usize, hash: u64, set: u16) -> bool {
        if 2 * (self.used + 1) > self.slots.len() {
            self.grow();
        }
        match self.find(&self.words[place..place + self.n], hash) {
            Ok(slot) => std::mem::replace(&mut self.slots[slot].last, set) != set,
            Err(slot) => {
                self.slots[slot] = Slot { place: place as u32, first: set, last: set };
                self.used += 1;
                true
            }
        }
    }

    /// The slot of an n-gram, or the free one where it belongs.
    fn find(&self, window: &[u32], hash: u64) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        loop {
            match self.slots[slot].place {
                EMPTY => return Err(slot),
                place if self.words[place as usize..][..self.n] == *window => return Ok(slot),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let empty = Slot { place: EMPTY, first: 0, last: 0 };
        let larger = vec![empty; 2 * self.slots.len()];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.place != EMPTY {
                let window = &self.words[slot.place as usize..][..self.n];
                if let Err(free) = self.find(window, hash(window)) {
                    self.slots[free] = slot;
                }
            }
        }
    }
}

const BASE: u64 = 0xd6e8_feb8_6659_fd93;

fn spread(word: u32) -> u64 {
    (u64::from(word) + 1).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

fn hash(window: &[u32]) -> u64 {
    window.iter().fold(0, |hash: u64, word| hash.wrapping_mul(BASE).wrapping_add(spread(*word)))
}

/// All runs of `n` known words with their hashes.
fn windows<B>(ids: &[u32], n: usize, mut each: impl FnMut(usize, u64) -> ControlFlow<B>) -> ControlFlow<B> {
    let highest = (1..n).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let (mut run, mut hash) = (0, 0u64);
    for (at, &word) in ids.iter().enumerate() {
        if word == UNKNOWN {
            (run, hash) = (0, 0);
            continue;
        }
        if run == n {
            hash = hash.wrapping_sub(spread(ids[at - n]).wrapping_mul(highest));
        } else {
            run += 1;
        }
        hash = hash.wrapping_mul(BASE).wrapping_add(spread(word));
        if run == n {
            each(at + 1 - n, hash)?;
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The table holds what a set of texts of n-grams holds, for each set of texts.
        #[test]
        fn the_table_is_a_set(
            sets in prop::collection::vec(prop::collection::vec(prop::collection::vec("[a-c]", 0..40), 0..6), 1..4),
            other in prop::collection::vec("[a-d]", 0..40),
            n in 1usize..6,
        ) {
            let mut table = Ngrams::new(n);
            let mut plain: Vec<HashSet<Vec<&str>>> = Vec::new();
            for (set, texts) in sets.iter().enumerate() {
                let mut grams = HashSet::new();
                let mut counted = 0;
                for text in texts {
                    grams.extend(text.windows(n).map(|w| w.iter().map(String::as_str).collect::<Vec<_>>()));
                    let (words, new) = table.add(text.iter().map(String::as_str), set as u16).unwrap();
                    prop_assert_eq!(words, text.len());
                    counted += new;
                }
                prop_assert_eq!(counted, grams.len());
                plain.push(grams);
            }
            let ids = table.numbers(other.iter().map(String::as_str));
            let grams: Vec<Vec<&str>> =
                other.windows(n).map(|w| w.iter().map(String::as_str).collect()).collect();
            let expected = plain.iter().position(|set| grams.iter().any(|gram| set.contains(gram)));
            let found = table.first_set(&ids);
            prop_assert_eq!(found.map(|(set, _)| usize::from(set)), expected);
            if let Some((set, at)) = found {
                prop_assert!(plain[usize::from(set)].contains(&grams[at]));
            }
            let mut shared = 0;
            table.slots_of(&ids, |_| shared += 1);
            let expected = grams.iter().filter(|gram| plain.iter().any(|set| set.contains(*gram))).count();
            prop_assert_eq!(shared, expected);
        }
    }
}
