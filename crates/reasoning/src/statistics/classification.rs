//! Classes named by a reference and by a prediction: precision, recall and F1 of each, and their means.
//!
//! With TP, FP and FN of a class c: precision TP / (TP + FP), recall TP / (TP + FN), F1 the harmonic mean of the two,
//! which is 2 TP / (2 TP + FP + FN); 0/0 is 0. A macro average is the plain mean over labels, and depends on which: over
//! every label that occurs in reference or prediction, as scikit-learn takes it when none are named, a single odd
//! prediction adds a class of value 0.

use std::collections::BTreeMap;

use serde::Serialize;

/// How often every label was named rightly, wrongly, and not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification<L: Ord> {
    labels: BTreeMap<L, Count>,
}

/// How often a label was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// By both.
    pub both: usize,
    /// By the prediction alone.
    pub predicted: usize,
    /// By the reference alone.
    pub referred: usize,
}

/// Means over labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Macro {
    /// The mean precision.
    pub precision: f64,
    /// The mean recall.
    pub recall: f64,
    /// The mean of the F1 values, which is not the F1 of the means.
    pub f1: f64,
}

impl Count {
    /// The share of its predictions that are right; 0 without any.
    pub fn precision(self) -> f64 {
        ratio(self.both, self.both + self.predicted)
    }

    /// The share of its references that are found; 0 without any.
    pub fn recall(self) -> f64 {
        ratio(self.both, self.both + self.referred)
    }

    /// The harmonic mean of precision and recall; 0 where both are.
    pub fn f1(self) -> f64 {
        ratio(2 * self.both, 2 * self.both + self.predicted + self.referred)
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl<L: Ord> Classification<L> {
    /// Counted over pairs (reference, prediction).
    pub fn of(pairs: impl IntoIterator<Item = (L, L)>) -> Self {
        let mut labels: BTreeMap<L, Count> = BTreeMap::new();
        for (reference, predicted) in pairs {
            if reference == predicted {
                labels.entry(reference).or_default().both += 1;
            } else {
                labels.entry(reference).or_default().referred += 1;
                labels.entry(predicted).or_default().predicted += 1;
            }
        }
        Classification { labels }
    }

    /// The labels that occur, in order, with their counts.
    pub fn labels(&self) -> impl Iterator<Item = (&L, Count)> {
        self.labels.iter().map(|(label, count)| (label, *count))
    }

    /// The counts of a label; zeros if it does not occur.
    pub fn count(&self, label: &L) -> Count {
        self.labels.get(label).copied().unwrap_or_default()
    }

    /// Means over every label that occurs in reference or prediction; zeros of nothing.
    pub fn macro_over_all(&self) -> Macro {
        mean(self.labels.values().copied())
    }

    /// Means over these labels, whether they occur or not; zeros of nothing.
    pub fn macro_over<'a>(&self, labels: impl IntoIterator<Item = &'a L>) -> Macro
    where
        L: 'a,
    {
        mean(labels.into_iter().map(|label| self.count(label)))
    }
}

fn mean(counts: impl Iterator<Item = Count>) -> Macro {
    let (mut sum, mut number) = (Macro::default(), 0usize);
    for count in counts {
        sum.precision += count.precision();
        sum.recall += count.recall();
        sum.f1 += count.f1();
        number += 1;
    }
    let of = |sum: f64| if number == 0 { 0.0 } else { sum / number as f64 };
    Macro { precision: of(sum.precision), recall: of(sum.recall), f1: of(sum.f1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::macro_f1;
    use super::*;

    #[test]
    fn values_are_those_worked_out_by_hand() {
        let pairs = [("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("b", "c")];
        let classes = Classification::of(pairs);
        let a = classes.count(&"a");
        assert_eq!((a.precision(), a.recall(), a.f1()), (1.0, 2.0 / 3.0, 0.8));
        let all = classes.macro_over_all();
        assert!((all.precision - 0.5).abs() < 1e-15, "{all:?}");
        assert!((all.recall - (2.0 / 3.0 + 0.5) / 3.0).abs() < 1e-15);
        assert!((all.f1 - (0.8 + 0.5) / 3.0).abs() < 1e-15);
        let named = classes.macro_over(&["a", "b", "d"]);
        assert!((named.f1 - (0.8 + 0.5) / 3.0).abs() < 1e-15);
        assert_eq!(Classification::<u8>::of([]).macro_over_all(), Macro::default());
    }

    proptest! {
        /// The direct count of every label by itself.
        #[test]
        fn the_mean_of_f1_is_that_of_the_plain_count(pairs in prop::collection::vec((0..5u8, 0..5u8), 0..60)) {
            let fast = Classification::of(pairs.clone()).macro_over_all().f1;
            prop_assert!((fast - macro_f1(&pairs)).abs() < 1e-14);
        }
    }
}
