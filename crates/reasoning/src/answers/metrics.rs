//! Counting: accuracy, pass@k, votes, macro F1.

use std::collections::BTreeSet;

/// The share of `true`; zero of nothing.
pub fn accuracy(correct: &[bool]) -> f64 {
    if correct.is_empty() {
        return 0.0;
    }
    correct.iter().filter(|correct| **correct).count() as f64 / correct.len() as f64
}

/// The unbiased estimate of pass@k from `samples` answers of which `correct` are right (Chen et al. 2021):
/// `1 - C(n - c, k) / C(n, k)`. `None` unless `1 <= k <= samples` and `correct <= samples`.
pub fn pass_at_k(samples: usize, correct: usize, k: usize) -> Option<f64> {
    if k == 0 || k > samples || correct > samples {
        return None;
    }
    if samples - correct < k {
        return Some(1.0);
    }
    // C(n - c, k) / C(n, k) = Π (1 - k / i) over i = n - c + 1 .. n
    let none = (samples - correct + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product::<f64>();
    Some(1.0 - none)
}

/// The answer with the most weight, by classes of equal answers: the index of the first member of the class. Missing
/// answers do not vote; the class seen first wins a tie. `None` if nothing votes.
pub fn vote<T>(
    answers: &[Option<T>],
    weight: impl Fn(usize) -> f64,
    mut is_equal: impl FnMut(&T, &T) -> bool,
) -> Option<usize> {
    let mut classes: Vec<(usize, &T, f64)> = Vec::new();
    for (at, answer) in answers.iter().enumerate() {
        let Some(answer) = answer else { continue };
        match classes.iter_mut().find(|(_, known, _)| is_equal(known, answer)) {
            Some(class) => class.2 += weight(at),
            None => classes.push((at, answer, weight(at))),
        }
    }
    let mut best: Option<(usize, f64)> = None;
    for (first, _, total) in classes {
        if best.is_none_or(|(_, most)| total > most) {
            best = Some((first, total));
        }
    }
    best.map(|(first, _)| first)
}

/// The mean over all labels of `2 TP / (2 TP + FP + FN)`; zero of nothing. Pairs are (reference, prediction).
pub fn macro_f1<T: Ord>(pairs: &[(T, T)]) -> f64 {
    let labels: BTreeSet<&T> =
        pairs.iter().flat_map(|(reference, predicted)| [reference, predicted]).collect();
    if labels.is_empty() {
        return 0.0;
    }
    let score = |label: &T| {
        let count = |condition: fn(bool, bool) -> bool| {
            pairs
                .iter()
                .filter(|(reference, predicted)| condition(reference == label, predicted == label))
                .count()
        };
        let both = count(|reference, predicted| reference && predicted) as f64;
        let wrong = count(|reference, predicted| reference != predicted) as f64;
        if both == 0.0 { 0.0 } else { 2.0 * both / (2.0 * both + wrong) }
    };
    labels.iter().map(|label| score(label)).sum::<f64>() / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_is_the_share_of_subsets_with_a_right_answer() {
        // Of the 10 pairs out of 5 samples, 3 right: only the pair of the two wrong ones fails.
        assert!((pass_at_k(5, 3, 2).unwrap() - 0.9).abs() < 1e-12);
        assert_eq!(pass_at_k(5, 0, 5), Some(0.0));
        assert_eq!(pass_at_k(5, 1, 5), Some(1.0));
        assert_eq!(pass_at_k(5, 1, 6), None);
        for correct in 0..=7 {
            assert!((pass_at_k(7, correct, 1).unwrap() - correct as f64 / 7.0).abs() < 1e-12);
        }
    }

    #[test]
    fn votes_go_to_classes_and_the_first_wins_a_tie() {
        let answers = [Some("1"), Some("2"), Some("2.0"), None, Some("1.0"), Some("3")];
        let equal = |a: &&str, b: &&str| a.parse::<f64>() == b.parse::<f64>();
        assert_eq!(vote(&answers, |_| 1.0, equal), Some(0));
        assert_eq!(vote(&answers, |at| if at == 2 { 1.5 } else { 1.0 }, equal), Some(1));
        assert_eq!(vote(&[None::<&str>], |_| 1.0, equal), None);
    }

    #[test]
    fn macro_f1_weighs_all_labels_alike() {
        let pairs = [("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("b", "c")];
        // a: 4 / 5, b: 2 / 4, c: 0
        assert!((macro_f1(&pairs) - (0.8 + 0.5) / 3.0).abs() < 1e-12);
        assert_eq!(macro_f1::<u8>(&[]), 0.0);
    }
}
