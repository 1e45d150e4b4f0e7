//! Means with their standard errors and confidence intervals.
//!
//! Scores of one question are not independent: several samples of it are a *cluster*. Standard errors and intervals take
//! clusters, and independent scores are clusters of one.

use std::collections::HashMap;

use super::distributions::{normal_quantile, student_quantile};
use crate::random::Stream;

/// An interval that covers the true value with the confidence that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Scores that depend on each other: how many there are and their sum are all that the functions here need.
pub trait Cluster {
    /// The sum of the scores.
    fn sum(&self) -> f64;
    /// How many scores there are.
    fn size(&self) -> usize;
}

impl Cluster for Vec<f64> {
    fn sum(&self) -> f64 {
        self.iter().sum()
    }

    fn size(&self) -> usize {
        self.len()
    }
}

/// An independent score.
impl Cluster for f64 {
    fn sum(&self) -> f64 {
        *self
    }

    fn size(&self) -> usize {
        1
    }
}

/// A cluster of scores that are 0 or 1, in eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many are 1.
    pub right: u32,
    /// How many there are.
    pub samples: u32,
}

impl Share {
    /// The mean score; 0 without scores.
    pub fn value(self) -> f64 {
        f64::from(self.right) / f64::from(self.samples.max(1))
    }
}

impl Cluster for Share {
    fn sum(&self) -> f64 {
        f64::from(self.right)
    }

    fn size(&self) -> usize {
        self.samples as usize
    }
}

impl Interval {
    fn around(value: f64, distance: f64) -> Self {
        Interval { low: value - distance, high: value + distance }
    }

    /// Whether a value lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The mean; zero of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The interval for a share of `successes` among independent `trials` (Wilson, 1927). All of [0, 1] without trials.
pub fn wilson(successes: usize, trials: usize, confidence: f64) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z = normal_quantile(0.5 + 0.5 * confidence);
    let denominator = 1.0 + z * z / n;
    let center = (p + z * z / (2.0 * n)) / denominator;
    let distance = z / denominator * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let Interval { low, high } = Interval::around(center, distance);
    // At the ends rounding may leave a trace.
    Interval {
        low: if successes == 0 { 0.0 } else { low.max(0.0) },
        high: if successes >= trials { 1.0 } else { high.min(1.0) },
    }
}

/// The standard error of the mean of independent values: sample standard deviation / sqrt(n). Zero for fewer than two.
pub fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if values.len() < 2 {
        return 0.0;
    }
    let center = mean(values);
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

/// The standard error of the mean of all values when those of one cluster depend on each other
/// (Miller, 2024, with the correction for few clusters): sqrt(C / (C - 1) Σ_c (Σ_i (s_ci - mean))²) / n.
/// Zero for fewer than two clusters. With clusters of one it is [`standard_error`].
pub fn clustered_standard_error<C: Cluster>(clusters: &[C]) -> f64 {
    let count = clusters.len() as f64;
    let n = clusters.iter().map(C::size).sum::<usize>() as f64;
    if clusters.len() < 2 || n == 0.0 {
        return 0.0;
    }
    let center = clusters.iter().map(C::sum).sum::<f64>() / n;
    let squares: f64 =
        clusters.iter().map(|cluster| (cluster.sum() - center * cluster.size() as f64).powi(2)).sum();
    (squares * count / (count - 1.0)).sqrt() / n
}

/// The standard error of the mean over several groups, each weighted by its size, from the groups' standard errors and
/// sizes: sqrt(Σ (n_i - 1) s_i² n_i / (N - k) / N). This leaves out differences between the groups.
/// `None` unless N is larger than the number of groups k.
pub fn pooled_standard_error(groups: &[(f64, usize)]) -> Option<f64> {
    let total: usize = groups.iter().map(|(_, size)| size).sum();
    if total <= groups.len() {
        return None;
    }
    let sum: f64 =
        (groups.iter()).map(|&(error, size)| (size as f64 - 1.0) * error * error * size as f64).sum();
    Some((sum / (total - groups.len()) as f64 / total as f64).sqrt())
}

/// The interval mean ± t · standard error, t of Student's distribution with clusters - 1 degrees of freedom. All real
/// numbers for fewer than two clusters.
pub fn student_t<C: Cluster>(clusters: &[C], confidence: f64) -> Interval {
    if clusters.len() < 2 {
        return Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let n = clusters.iter().map(C::size).sum::<usize>().max(1);
    let center = clusters.iter().map(C::sum).sum::<f64>() / n as f64;
    let t = student_quantile(0.5 + 0.5 * confidence, clusters.len() - 1);
    Interval::around(center, t * clustered_standard_error(clusters))
}

/// The percentile interval of the means of `replicates` resamples of whole clusters (Efron, 1979). A pure function of its
/// arguments. All real numbers without values.
pub fn bootstrap<C: Cluster>(clusters: &[C], confidence: f64, replicates: usize, seed: u64) -> Interval {
    // Clusters of one kind count the same: a million of them are drawn from a small table that stays in the cache.
    let mut kinds: Vec<(f64, usize)> = Vec::new();
    let mut known: HashMap<(u64, usize), u32> = HashMap::new();
    let drawn: Vec<u32> = (clusters.iter().filter(|cluster| cluster.size() > 0))
        .map(|cluster| {
            let (sum, size) = (cluster.sum(), cluster.size());
            *known.entry((sum.to_bits(), size)).or_insert_with(|| {
                kinds.push((sum, size));
                kinds.len() as u32 - 1
            })
        })
        .collect();
    if drawn.is_empty() || replicates == 0 {
        return Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let narrow: Option<Vec<u8>> = drawn.iter().map(|&kind| u8::try_from(kind).ok()).collect();
    let mut means = match narrow {
        Some(drawn) => resampled_means(&drawn, &kinds, replicates, seed),
        None => resampled_means(&drawn, &kinds, replicates, seed),
    };
    percentiles(&mut means, confidence)
}

/// The percentile interval of any statistic: of `replicates` resamples of `count` things, each given by the numbers of
/// the things drawn. A pure function of its arguments. All real numbers without things.
pub fn bootstrap_of(
    count: usize,
    confidence: f64,
    replicates: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Interval {
    if count == 0 || replicates == 0 {
        return Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let mut random = Stream::new(&[seed]);
    let mut drawn = vec![0; count];
    let mut values: Vec<f64> = (0..replicates)
        .map(|_| {
            drawn.fill_with(|| random.below(count));
            statistic(&drawn)
        })
        .collect();
    percentiles(&mut values, confidence)
}

/// What lies between the tails of values.
pub(super) fn percentiles(values: &mut [f64], confidence: f64) -> Interval {
    values.sort_by(f64::total_cmp);
    let tail = 0.5 - 0.5 * confidence;
    Interval { low: quantile(values, tail), high: quantile(values, 1.0 - tail) }
}

/// The means of resamples of clusters that are given by the numbers of their kinds: sum and size.
fn resampled_means<K: Copy + Into<u32>>(
    drawn: &[K],
    kinds: &[(f64, usize)],
    replicates: usize,
    seed: u64,
) -> Vec<f64> {
    let mut random = Stream::new(&[seed]);
    (0..replicates)
        .map(|_| {
            let (mut sum, mut count) = (0.0, 0);
            for _ in 0..drawn.len() {
                let kind: u32 = drawn[random.below(drawn.len())].into();
                let (one, size) = kinds[kind as usize];
                sum += one;
                count += size;
            }
            sum / count as f64
        })
        .collect()
}

/// The quantile of sorted values, linear between neighbours (type 7 of Hyndman and Fan, 1996).
pub(super) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let at = probability * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ones(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|value| vec![*value]).collect()
    }

    #[test]
    fn wilson_solves_its_equation() {
        // The ends are the shares p0 for which the observed share lies z standard errors of p0 away.
        let z = normal_quantile(0.975);
        for n in [1, 2, 7, 30, 250, 1319] {
            for successes in [0, 1, n / 3, n / 2, n - 1, n] {
                let p = successes as f64 / n as f64;
                let interval = wilson(successes, n, 0.95);
                for end in [interval.low, interval.high] {
                    let distance = (p - end).powi(2) - z * z * end * (1.0 - end) / n as f64;
                    assert!(distance.abs() < 1e-14, "{successes} of {n}: {interval:?}");
                }
                assert!(interval.contains(p));
                let mirrored = wilson(n - successes, n, 0.95);
                assert!((mirrored.low - (1.0 - interval.high)).abs() < 1e-14);
            }
        }
        assert_eq!(wilson(0, 0, 0.95), Interval { low: 0.0, high: 1.0 });
    }

    proptest! {
        #[test]
        fn clusters_of_one_are_independent_values(values in prop::collection::vec(0.0..1.0f64, 0..40)) {
            let error = clustered_standard_error(&ones(&values));
            prop_assert!((error - standard_error(&values)).abs() < 1e-14);
        }

        #[test]
        fn copies_add_no_information(values in prop::collection::vec(0.0..1.0f64, 2..20), copies in 1..9usize) {
            let clusters: Vec<Vec<f64>> = values.iter().map(|value| vec![*value; copies]).collect();
            prop_assert!((clustered_standard_error(&clusters) - standard_error(&values)).abs() < 1e-13);
            let (one, many) = (student_t(&ones(&values), 0.9), student_t(&clusters, 0.9));
            prop_assert!((one.low - many.low).abs() < 1e-12 && (one.high - many.high).abs() < 1e-12);
        }

        /// Clusters of one size give the standard error of the means of the clusters.
        #[test]
        fn equal_clusters_count_by_their_means(
            clusters in prop::collection::vec(prop::collection::vec(0.0..1.0f64, 3), 2..20)
        ) {
            let means: Vec<f64> = clusters.iter().map(|cluster| mean(cluster)).collect();
            prop_assert!((clustered_standard_error(&clusters) - standard_error(&means)).abs() < 1e-13);
        }
    }

    #[test]
    fn pooling_equal_groups_is_pooling_their_variances() {
        // Two groups of 3 with sample variance 1: pooled variance 1, standard error sqrt(1 / 6).
        let error = (1.0f64 / 3.0).sqrt();
        assert!(
            (pooled_standard_error(&[(error, 3), (error, 3)]).unwrap() - (1.0f64 / 6.0).sqrt()).abs() < 1e-15
        );
        assert_eq!(pooled_standard_error(&[(0.0, 1), (0.0, 1)]), None);
        assert_eq!(pooled_standard_error(&[]), None);
    }

    #[test]
    fn the_bootstrap_approaches_the_closed_form() {
        let mut random = Stream::new(&[3]);
        let clusters: Vec<Vec<f64>> = (0..400)
            .map(|_| {
                let easiness = random.uniform();
                (0..4).map(|_| f64::from(u8::from(random.uniform() < easiness))).collect()
            })
            .collect();
        let (closed, drawn) = (student_t(&clusters, 0.95), bootstrap(&clusters, 0.95, 20_000, 1));
        let width = closed.high - closed.low;
        assert!((closed.low - drawn.low).abs() < 0.03 * width, "{closed:?} {drawn:?}");
        assert!((closed.high - drawn.high).abs() < 0.03 * width, "{closed:?} {drawn:?}");
        assert_eq!(drawn, bootstrap(&clusters, 0.95, 20_000, 1));
        assert_ne!(drawn, bootstrap(&clusters, 0.95, 20_000, 2));
        assert_eq!(bootstrap::<Share>(&[], 0.95, 10, 1).high, f64::INFINITY);
    }

    #[test]
    fn shares_count_as_their_scores() {
        let mut random = Stream::new(&[9]);
        let shares: Vec<Share> = (0..500)
            .map(|_| {
                let samples = 1 + random.below(30) as u32;
                Share { right: random.below(samples as usize + 1) as u32, samples }
            })
            .collect();
        let scores: Vec<Vec<f64>> = (shares.iter())
            .map(|share| (0..share.samples).map(|i| f64::from(u8::from(i < share.right))).collect())
            .collect();
        assert_eq!(student_t(&shares, 0.95), student_t(&scores, 0.95));
        // More than 256 kinds.
        assert_eq!(bootstrap(&shares, 0.9, 200, 4), bootstrap(&scores, 0.9, 200, 4));
        let sums: Vec<(f64, usize)> =
            shares.iter().map(|share| (f64::from(share.right), share.samples as usize)).collect();
        let mut drawn = Stream::new(&[4]);
        let mut means: Vec<f64> = (0..200)
            .map(|_| {
                let resample: Vec<_> = (0..500).map(|_| sums[drawn.below(500)]).collect();
                let (sum, size) = resample.iter().fold((0.0, 0), |(a, b), (c, d)| (a + c, b + d));
                sum / size as f64
            })
            .collect();
        means.sort_by(f64::total_cmp);
        assert_eq!(bootstrap(&shares, 0.9, 200, 4).low, quantile(&means, 0.5 - 0.5 * 0.9));
    }

    /// All 27 resamples of three values, equally often.
    #[test]
    fn bootstrap_means_are_means_of_resamples() {
        let drawn = bootstrap(&ones(&[0.0, 1.0, 5.0]), 1.0, 5000, 7);
        assert_eq!(drawn, Interval { low: 0.0, high: 5.0 });
        // The lowest 1/27 of the means are 0, the next 3/27 are 1/3.
        let drawn = bootstrap(&ones(&[0.0, 1.0, 5.0]), 1.0 - 2.0 * 0.09, 20_000, 7);
        assert!((drawn.low - 1.0 / 3.0).abs() < 1e-12, "{drawn:?}");
    }
}
