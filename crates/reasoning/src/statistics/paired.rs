//! Two models on the same questions.
//!
//! Scores of two models on one question go up and down together, so that the difference is known better than either mean;
//! every function here takes the questions in pairs. Who compares many pairs of models must expect that one in twenty
//! differs at 5 % by chance: [`holm`] corrects for that.

use super::distributions::{fair_binomial, normal_quantile, student_above};
use super::interval::{Interval, mean, standard_error, student_t};
use crate::random::Stream;

/// McNemar's test: do two models answer the same questions right?
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct McNemar {
    /// Questions that only the first model answered right.
    pub only_first: usize,
    /// Questions that only the second model answered right.
    pub only_second: usize,
    /// The exact two-sided p-value: 2 P(X <= min) for fair coin tosses, at most 1.
    pub exact: f64,
    /// The mid-p value: the exact one less P(X = min). Less conservative, and hardly ever too small
    /// (Fagerland, Lydersen and Laake, 2013).
    pub mid: f64,
}

/// McNemar's test from the numbers of questions that only one of the two models answered right.
pub fn mcnemar(only_first: usize, only_second: usize) -> McNemar {
    let (least, discordant) = (only_first.min(only_second), only_first + only_second);
    let (at, below) = fair_binomial(least, discordant);
    let exact = (2.0 * below).min(1.0);
    // With equal counts both tails hold the middle, of which half counts in each.
    let mid = if only_first == only_second { 1.0 - 0.5 * at } else { 2.0 * below - at };
    McNemar { only_first, only_second, exact, mid: if discordant == 0 { 1.0 } else { mid } }
}

/// The difference of two means over the same questions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PairedDifference {
    /// The mean of first - second.
    pub difference: f64,
    /// Its standard error, from the differences of the questions.
    pub standard_error: f64,
    /// Its interval by Student's t.
    pub interval: Interval,
    /// The two-sided p-value of Student's paired t test.
    pub t_test: f64,
    /// The two-sided p-value of the sign permutation test.
    pub permutation: f64,
    /// The smallest true difference that a test at 5 % finds in 80 % of all repetitions, with this standard error.
    pub minimum_detectable: f64,
}

/// The difference of the means of pairs (first, second), one pair for each question. `None` for fewer than two.
pub fn paired_difference(pairs: &[(f64, f64)], confidence: f64, seed: u64) -> Option<PairedDifference> {
    if pairs.len() < 2 {
        return None;
    }
    let differences: Vec<f64> = pairs.iter().map(|(first, second)| first - second).collect();
    let (difference, error) = (mean(&differences), standard_error(&differences));
    let t_test = match (difference == 0.0, error == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        _ => 2.0 * student_above((difference / error).abs(), pairs.len() - 1),
    };
    Some(PairedDifference {
        difference,
        standard_error: error,
        interval: student_t(&differences, confidence),
        t_test,
        permutation: permutation(&differences, 10_000, seed),
        minimum_detectable: minimum_detectable_difference(error, 0.05, 0.8),
    })
}

/// The two-sided p-value of the hypothesis that each difference might as well have the other sign: the share of the sign
/// assignments whose sum is at least as far from zero. All assignments where there are at most 2^16, else `draws` of them
/// and the one seen.
pub fn permutation(differences: &[f64], draws: usize, seed: u64) -> f64 {
    let differences: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    let observed = differences.iter().sum::<f64>().abs();
    // Sums in another order differ by rounding.
    let threshold = observed - 1e-12 * differences.iter().map(|difference| difference.abs()).sum::<f64>();
    let is_extreme = |sum: f64| sum.abs() >= threshold;
    if differences.len() <= 16 {
        let all = 1u32 << differences.len();
        let extreme = (0..all)
            .filter(|signs| {
                let signed = |(i, d): (usize, &f64)| if signs >> i & 1 == 1 { -d } else { *d };
                is_extreme(differences.iter().enumerate().map(signed).sum())
            })
            .count();
        return extreme as f64 / f64::from(all);
    }
    // Differences of one size stand together, and their signs are counted at once: a million take a second.
    let mut sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let mut random = Stream::new(&[seed]);
    let extreme = (0..draws)
        .filter(|_| {
            let mut sum = 0.0;
            for block in sizes.chunks(64) {
                let signs = random.next() & (u64::MAX >> (64 - block.len()));
                if block[0] == block[block.len() - 1] {
                    sum += block[0] * (block.len() as f64 - 2.0 * f64::from(signs.count_ones()));
                } else {
                    for (i, size) in block.iter().enumerate() {
                        sum += if signs >> i & 1 == 1 { -size } else { *size };
                    }
                }
            }
            is_extreme(sum)
        })
        .count();
    (extreme + 1) as f64 / (draws + 1) as f64
}

/// The smallest true difference that a two-sided test at `level` finds with probability `power`:
/// (z_{1 - level/2} + z_power) · standard error.
pub fn minimum_detectable_difference(standard_error: f64, level: f64, power: f64) -> f64 {
    (normal_quantile(1.0 - 0.5 * level) + normal_quantile(power)) * standard_error
}

/// p-values corrected for their number (Holm, 1979), in the order given: the chance that any of the hypotheses that hold
/// is rejected stays below the level.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, at) in order.into_iter().enumerate() {
        largest = largest.max((p_values[at] * (p_values.len() - rank) as f64).min(1.0));
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mcnemar_counts_tosses_as_extreme() {
        for n in 0..=14u32 {
            for first in 0..=n {
                let second = n - first;
                let gap = first.abs_diff(second);
                let (mut extreme, mut equal) = (0.0, 0.0);
                for tosses in 0..1u32 << n {
                    let heads = tosses.count_ones();
                    let here = heads.abs_diff(n - heads);
                    extreme += f64::from(u8::from(here >= gap));
                    equal += f64::from(u8::from(here == gap));
                }
                let all = f64::from(1u32 << n);
                let test = mcnemar(first as usize, second as usize);
                assert!((test.exact - extreme / all).abs() < 1e-13, "{first} {second}");
                // Half of the outcomes that are just as extreme, both sides together.
                let mid = if n == 0 { 1.0 } else { (extreme - 0.5 * equal) / all };
                assert!((test.mid - mid).abs() < 1e-13, "{first} {second} {} {mid}", test.mid);
            }
        }
    }

    #[test]
    fn for_right_and_wrong_the_permutation_test_is_mcnemars() {
        for (first, second) in [(3, 9), (5, 5), (1, 12), (0, 0)] {
            let mut differences = vec![0.0; 20];
            differences.extend(vec![1.0; first]);
            differences.extend(vec![-1.0; second]);
            let p = permutation(&differences, 0, 0);
            assert!((p - mcnemar(first, second).exact).abs() < 1e-13);
        }
        // Drawn: close to it.
        let mut differences = vec![1.0; 60];
        differences.extend(vec![-1.0; 40]);
        let (p, exact) = (permutation(&differences, 20_000, 1), mcnemar(60, 40).exact);
        assert!((p - exact).abs() < 0.006, "{p} {exact}");
    }

    #[test]
    fn a_difference_has_the_error_of_its_pairs() {
        // Differences 1, 0, 0, 1: mean 1/2, sample variance 1/3.
        let pairs = [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0)];
        let compared = paired_difference(&pairs, 0.95, 0).unwrap();
        assert_eq!(compared.difference, 0.5);
        assert!((compared.standard_error - (1.0f64 / 12.0).sqrt()).abs() < 1e-15);
        // t = sqrt(3) with 3 degrees of freedom: p = 1 - 2/π (θ + sin θ cos θ), θ = π/4.
        let expected = 1.0 - 2.0 / std::f64::consts::PI * (std::f64::consts::FRAC_PI_4 + 0.5);
        assert!((compared.t_test - expected).abs() < 1e-14);
        assert_eq!(compared.permutation, 0.5);
        assert!(compared.interval.contains(0.5));
        assert_eq!(paired_difference(&pairs[..1], 0.95, 0), None);
        let same = paired_difference(&[(1.0, 1.0); 5], 0.95, 0).unwrap();
        assert_eq!((same.t_test, same.permutation, same.minimum_detectable), (1.0, 1.0, 0.0));
    }

    #[test]
    fn the_minimum_detectable_difference_is_2_8_standard_errors() {
        let value = minimum_detectable_difference(1.0, 0.05, 0.8);
        assert!((value - (1.959963984540054 + 0.8416212335729143)).abs() < 1e-13);
    }

    proptest! {
        #[test]
        fn holm_keeps_the_order_and_never_lowers(p_values in prop::collection::vec(0.0..1.0f64, 0..9)) {
            let corrected = holm(&p_values);
            for (a, p) in p_values.iter().enumerate() {
                prop_assert!(corrected[a] >= *p && corrected[a] <= 1.0);
                for (b, q) in p_values.iter().enumerate() {
                    prop_assert!(p > q || corrected[a] <= corrected[b]);
                }
            }
        }
    }
}
