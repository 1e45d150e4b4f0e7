//! The edit distance of two texts in characters: insertions, deletions and substitutions, each at cost 1.
//!
//! Columns of the table are kept as bits, 64 rows a word (Myers 1999, with the blocks of Hyyrö 2003).

use std::collections::HashMap;

/// A text to which distances are measured.
pub(super) struct Wording {
    length: usize,
    /// For each character the rows in which it stands.
    rows: HashMap<char, Vec<u64>>,
}

impl Wording {
    pub(super) fn new(text: &str) -> Self {
        let length = text.chars().count();
        let mut rows: HashMap<char, Vec<u64>> = HashMap::new();
        for (row, character) in text.chars().enumerate() {
            let words = rows.entry(character).or_insert_with(|| vec![0; length.div_ceil(64)]);
            words[row / 64] |= 1 << (row % 64);
        }
        Wording { length, rows }
    }

    /// The distance to another text.
    pub(super) fn distance(&self, other: &str) -> usize {
        if self.length == 0 {
            return other.chars().count();
        }
        let words = self.length.div_ceil(64);
        let nothing = vec![0; words];
        // Whether a row of the column is one more, or one less, than the row above.
        let (mut more, mut less) = (vec![u64::MAX; words], vec![0u64; words]);
        let mut distance = self.length;
        for character in other.chars() {
            let equal = self.rows.get(&character).unwrap_or(&nothing);
            // Going right the row above is one more, at first the top row, or one less.
            let (mut right_more, mut right_less) = (1u64, 0u64);
            for word in 0..words {
                let (up, down, equal) = (more[word], less[word], equal[word]);
                let vertical = equal | down;
                let equal = equal | right_less;
                let horizontal = ((equal & up).wrapping_add(up) ^ up) | equal;
                let grows = down | !(horizontal | up);
                let shrinks = up & horizontal;
                let last = if word + 1 == words { (self.length - 1) % 64 } else { 63 };
                let (next_more, next_less) = (grows >> last & 1, shrinks >> last & 1);
                let grows = grows << 1 | right_more;
                let shrinks = shrinks << 1 | right_less;
                more[word] = shrinks | !(vertical | grows);
                less[word] = grows & vertical;
                (right_more, right_less) = (next_more, next_less);
            }
            distance = distance + right_more as usize - right_less as usize;
        }
        distance
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_distances() {
        for (one, other, expected) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("ü", "u", 1)]
        {
            assert_eq!(Wording::new(one).distance(other), expected, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn bits_count_as_the_table_does(one in "[abมี]{0,200}", other in "[abมี]{0,200}", shared in "[ab]{0,80}") {
            for (one, other) in [(one.clone(), other.clone()), (format!("{one}{shared}"), format!("{shared}{other}"))] {
                prop_assert_eq!(Wording::new(&one).distance(&other), strsim::levenshtein(&one, &other));
            }
        }
    }
}
