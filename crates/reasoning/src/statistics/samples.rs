//! Several samples of one question: what the score would be if `k` of the `n` samples had been drawn.
//!
//! All are expectations over the subsets of `k` out of `n` samples, by exact formulas; the score of a benchmark is the
//! mean over its questions. They are `None` unless 1 <= k <= n and c <= n, for c right samples: a score at k is never
//! made up from fewer samples.

pub use crate::answers::metrics::pass_at_k;

/// pass^k: the probability that all `k` samples are right, C(c, k) / C(n, k).
pub fn all_right_at_k(samples: usize, correct: usize, k: usize) -> Option<f64> {
    right_tail(samples, correct, k, k)
}

/// G-Pass@k(t) (Liu et al. 2024): the probability that at least max(⌈k t⌉, 1) of `k` samples are right. `threshold` is
/// t, in [0, 1].
pub fn g_pass_at_k(samples: usize, correct: usize, k: usize, threshold: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&threshold) {
        return None;
    }
    right_tail(samples, correct, k, ((k as f64 * threshold).ceil() as usize).max(1))
}

/// mG-Pass@k (Liu et al. 2024): (2/k) Σ_{i = ⌈k/2⌉ + 1 .. k} P(at least i of k samples are right).
pub fn mean_g_pass_at_k(samples: usize, correct: usize, k: usize) -> Option<f64> {
    let tails: Option<Vec<f64>> =
        (k.div_ceil(2) + 1..=k).map(|least| right_tail(samples, correct, k, least)).collect();
    if k == 0 || k > samples || correct > samples {
        return None;
    }
    Some(2.0 / k as f64 * tails?.iter().sum::<f64>())
}

/// The probability that at least `least` of `k` samples out of `n` with `correct` right ones are right: the tail of the
/// hypergeometric distribution.
fn right_tail(samples: usize, correct: usize, k: usize, least: usize) -> Option<f64> {
    if k == 0 || k > samples || correct > samples {
        return None;
    }
    let (lowest, highest) = (k.saturating_sub(samples - correct), k.min(correct));
    // Weights relative to that of the mode, each from its neighbour's, so that nothing overflows.
    let mode = ((k + 1) * (correct + 1) / (samples + 2)).clamp(lowest, highest);
    let up = |j: usize| ((correct - j) * (k - j)) as f64 / ((j + 1) * (samples + j + 1 - correct - k)) as f64;
    let (mut total, mut tail) = (0.0, 0.0);
    let mut add = |j: usize, weight: f64| {
        total += weight;
        tail += if j >= least { weight } else { 0.0 };
    };
    add(mode, 1.0);
    let mut weight = 1.0;
    for j in mode..highest {
        weight *= up(j);
        add(j + 1, weight);
    }
    weight = 1.0;
    for j in (lowest..mode).rev() {
        weight /= up(j);
        add(j, weight);
    }
    Some(tail / total)
}

/// Samples with equal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerClass {
    /// How many samples gave this answer.
    pub samples: usize,
    /// Whether the answer is right.
    pub correct: bool,
}

/// The most samples for which [`majority_at_k`] is computed: binomial coefficients of more do not fit.
pub const MOST_VOTING_SAMPLES: usize = 1000;

/// maj@k for k = 1 .. n: the expected score of the majority vote among `k` samples.
///
/// `missing` samples have no answer and do not vote. **Ties**: if several answers have the most votes, the score is the
/// average correctness of these answers; without any vote it is 0. Empty above [`MOST_VOTING_SAMPLES`] samples.
///
/// Subsets are counted by the highest number of votes m. With the classes taken one after the other, `count[s][t]` is the
/// number of subsets of `s` samples in which `t` classes have m votes and none has more, and `right[s][t]` the same with
/// each subset weighted by how many of these `t` are right; the score is Σ_m Σ_t right[k][t] / t / C(n, k).
pub fn majority_at_k(classes: &[AnswerClass], missing: usize) -> Vec<f64> {
    let n = classes.iter().map(|class| class.samples).sum::<usize>() + missing;
    if n > MOST_VOTING_SAMPLES {
        return Vec::new();
    }
    let choose = |size: usize| {
        let mut row = vec![1.0; size + 1];
        for k in 1..=size {
            row[k] = row[k - 1] * (size - k + 1) as f64 / k as f64;
        }
        row
    };
    let of_class: Vec<Vec<f64>> = classes.iter().map(|class| choose(class.samples)).collect();
    let of_missing = choose(missing);
    let mut scores = vec![0.0; n + 1];
    let highest = classes.iter().map(|class| class.samples).max().unwrap_or(0);
    for most in 1..=highest {
        // A tie of t classes takes t · most samples.
        let mut ties = 0;
        let mut taken = 0;
        let mut count = vec![vec![1.0]];
        let mut right = vec![vec![0.0]];
        for (class, choose) in classes.iter().zip(&of_class) {
            let can_tie = class.samples >= most;
            let (next_taken, next_ties) = (taken + class.samples.min(most), ties + usize::from(can_tie));
            let mut next_count = vec![vec![0.0; next_ties + 1]; next_taken + 1];
            let mut next_right = next_count.clone();
            for s in 0..=taken {
                for t in 0..=ties {
                    let (subsets, weighted) = (count[s][t], right[s][t]);
                    if subsets == 0.0 {
                        continue;
                    }
                    for votes in 0..=class.samples.min(most - 1) {
                        next_count[s + votes][t] += subsets * choose[votes];
                        next_right[s + votes][t] += weighted * choose[votes];
                    }
                    if can_tie {
                        let weighted = if class.correct { weighted + subsets } else { weighted };
                        next_count[s + most][t + 1] += subsets * choose[most];
                        next_right[s + most][t + 1] += weighted * choose[most];
                    }
                }
            }
            (count, right, taken, ties) = (next_count, next_right, next_taken, next_ties);
        }
        for (s, row) in right.iter().enumerate() {
            let score: f64 = row.iter().enumerate().skip(1).map(|(t, weighted)| weighted / t as f64).sum();
            for (silent, ways) in of_missing.iter().enumerate() {
                scores[s + silent] += score * ways;
            }
        }
    }
    let all = choose(n);
    (1..=n).map(|k| scores[k] / all[k]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The mean of a score over all subsets of k out of n.
    fn over_subsets(n: usize, k: usize, score: impl Fn(&[usize]) -> f64) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for mask in 0u32..1 << n {
            if mask.count_ones() as usize == k {
                let chosen: Vec<usize> = (0..n).filter(|i| mask >> i & 1 == 1).collect();
                sum += score(&chosen);
                count += 1.0;
            }
        }
        sum / count
    }

    #[test]
    fn scores_at_k_are_means_over_subsets() {
        for n in 1..=8 {
            for c in 0..=n {
                for k in 1..=n {
                    let right = |chosen: &[usize]| chosen.iter().filter(|i| **i < c).count();
                    let share = |least: usize| {
                        over_subsets(n, k, |chosen| f64::from(u8::from(right(chosen) >= least)))
                    };
                    let close = |value: Option<f64>, expected: f64| {
                        let value = value.unwrap();
                        assert!((value - expected).abs() < 1e-12, "{n} {c} {k}: {value} {expected}");
                    };
                    close(pass_at_k(n, c, k), share(1));
                    close(all_right_at_k(n, c, k), share(k));
                    for threshold in [0.0, 0.25, 0.5, 0.75, 1.0] {
                        let least = ((k as f64 * threshold).ceil() as usize).max(1);
                        close(g_pass_at_k(n, c, k, threshold), share(least));
                    }
                    let sum: f64 = (k.div_ceil(2) + 1..=k).map(share).sum();
                    close(mean_g_pass_at_k(n, c, k), 2.0 * sum / k as f64);
                }
            }
        }
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!(all_right_at_k(3, 1, 4), None);
        assert_eq!(all_right_at_k(3, 1, 0), None);
        assert_eq!(g_pass_at_k(3, 4, 1, 0.5), None);
        assert_eq!(g_pass_at_k(3, 1, 1, 1.5), None);
        assert_eq!(mean_g_pass_at_k(3, 1, 0), None);
        assert_eq!(mean_g_pass_at_k(3, 1, 1), Some(0.0));
        assert_eq!(majority_at_k(&[], 0), Vec::<f64>::new());
        assert_eq!(majority_at_k(&[], 2), [0.0, 0.0]);
        assert!(majority_at_k(&[AnswerClass { samples: 1001, correct: true }], 0).is_empty());
    }

    #[test]
    fn large_numbers_of_samples_do_not_overflow() {
        let half = all_right_at_k(100_000, 50_000, 1).unwrap();
        assert!((half - 0.5).abs() < 1e-12);
        assert!((g_pass_at_k(100_000, 50_000, 1001, 0.5).unwrap() - 0.5).abs() < 1e-9);
        let classes =
            [AnswerClass { samples: 501, correct: true }, AnswerClass { samples: 499, correct: false }];
        let scores = majority_at_k(&classes, 0);
        assert!((scores[0] - 0.501).abs() < 1e-12);
        assert!((scores[999] - 1.0).abs() < 1e-12);
        assert!(scores.iter().all(|score| (0.5..=1.0 + 1e-9).contains(score)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn majority_is_the_mean_over_subsets(
            labels in prop::collection::vec(0..5usize, 1..10), correct in prop::collection::vec(any::<bool>(), 5)
        ) {
            // Label 4 is a missing answer.
            let class = |label| AnswerClass {
                samples: labels.iter().filter(|l| **l == label).count(), correct: correct[label]
            };
            let classes: Vec<AnswerClass> = (0..4).map(class).collect();
            let scores = majority_at_k(&classes, class(4).samples);
            for k in 1..=labels.len() {
                let expected = over_subsets(labels.len(), k, |chosen| {
                    let votes: Vec<usize> =
                        (0..4).map(|label| chosen.iter().filter(|i| labels[**i] == label).count()).collect();
                    let most = votes.iter().copied().max().unwrap_or(0);
                    let tied: Vec<usize> = (0..4).filter(|l| most > 0 && votes[*l] == most).collect();
                    let right = tied.iter().filter(|l| correct[**l]).count();
                    if tied.is_empty() { 0.0 } else { right as f64 / tied.len() as f64 }
                });
                prop_assert!((scores[k - 1] - expected).abs() < 1e-12, "{} {}", scores[k - 1], expected);
            }
        }
    }
}
