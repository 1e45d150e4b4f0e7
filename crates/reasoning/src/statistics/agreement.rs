//! Do raters agree more than chance would have it?

mod krippendorff;

pub use krippendorff::{Scale, krippendorff_alpha, krippendorff_interval};

/// How much a disagreement weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Any disagreement weighs the same.
    Same,
    /// By the distance of the two categories.
    Linear,
    /// By the square of that distance.
    Quadratic,
}

/// Cohen's kappa (Cohen, 1960; weighted, 1968) of two raters over categories 0 .. `categories` in their order:
/// 1 - Σ w O / Σ w E, with O how often each pair of categories was given and E how often it would be if the raters
/// were independent with the same marginals.
///
/// `None` where it is not defined: without pairs, and where E has no disagreement, that is both raters gave one and the
/// same category to everything. Weights go by the numbers of categories, those that nobody gave included; scikit-learn
/// does the same when it is given all labels.
///
/// # Panics
/// If a category is not below `categories`.
pub fn cohen_kappa(pairs: &[(usize, usize)], categories: usize, weights: Weights) -> Option<f64> {
    let mut counts = vec![0usize; categories * categories];
    let (mut first, mut second) = (vec![0usize; categories], vec![0usize; categories]);
    for &(a, b) in pairs {
        counts[a * categories + b] += 1;
        first[a] += 1;
        second[b] += 1;
    }
    let weight = |a: usize, b: usize| match weights {
        Weights::Same => f64::from(u8::from(a != b)),
        Weights::Linear => a.abs_diff(b) as f64,
        Weights::Quadratic => (a.abs_diff(b) as f64).powi(2),
    };
    let (mut observed, mut expected) = (0.0, 0.0);
    for a in 0..categories {
        for b in 0..categories {
            observed += weight(a, b) * counts[a * categories + b] as f64;
            expected += weight(a, b) * first[a] as f64 * second[b] as f64 / pairs.len().max(1) as f64;
        }
    }
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

/// Spearman's rank correlation of pairs: Pearson's correlation of their ranks, equal values with their mean rank.
///
/// `None` where it is not defined: for fewer than two pairs, and where one side has a single value.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (first, second) = (ranks(&first), ranks(&second));
    let center = (pairs.len() as f64 + 1.0) / 2.0;
    let product =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - center) * (b - center)).sum() };
    let spread = (product(&first, &first) * product(&second, &second)).sqrt();
    (spread > 0.0).then(|| product(&first, &second) / spread)
}

/// The rank of each value from 1; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = below as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        below += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From SciPy 1.17: spearmanr of these lists.
    #[test]
    fn rank_correlation_is_that_of_scipy() {
        let a = [0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 2.0, 1.0, 0.0, 3.0, 2.0, 2.0];
        let b = [0.0, 2.0, 2.0, 3.0, 3.0, 4.0, 1.0, 1.0, 1.0, 4.0, 2.0, 0.0];
        let pairs: Vec<(f64, f64)> = a.into_iter().zip(b).collect();
        assert!((spearman(&pairs).unwrap() - SPEARMAN).abs() < 1e-14, "{:?}", spearman(&pairs));
        assert_eq!(spearman(&[(1.0, 5.0), (2.0, 7.0)]), Some(1.0));
        assert_eq!(spearman(&[(1.0, 5.0), (2.0, 5.0)]), None);
        assert_eq!(spearman(&[]), None);
    }

    const SPEARMAN: f64 = 0.7861178559366655;

    /// From scikit-learn 1.9.1: cohen_kappa_score of these lists, with labels 0 to 4.
    #[test]
    fn values_are_those_of_scikit_learn() {
        let a = [0, 1, 2, 3, 4, 4, 2, 1, 0, 3, 2, 2];
        let b = [0, 2, 2, 3, 3, 4, 1, 1, 1, 4, 2, 0];
        let pairs: Vec<(usize, usize)> = a.into_iter().zip(b).collect();
        for (weights, expected) in
            [(Weights::Same, KAPPA[0]), (Weights::Linear, KAPPA[1]), (Weights::Quadratic, KAPPA[2])]
        {
            let kappa = cohen_kappa(&pairs, 5, weights).unwrap();
            assert!((kappa - expected).abs() < 1e-12, "{weights:?}: {kappa} {expected}");
        }
    }

    const KAPPA: [f64; 3] = [0.368421052631579, 0.6037735849056602, 0.7804878048780488];

    #[test]
    fn agreement_chance_and_what_is_not_defined() {
        assert_eq!(cohen_kappa(&[(0, 0), (1, 1), (2, 2)], 3, Weights::Quadratic), Some(1.0));
        assert_eq!(cohen_kappa(&[(0, 1), (1, 0)], 2, Weights::Same), Some(-1.0));
        let independent = [(0, 0), (0, 1), (1, 0), (1, 1)];
        assert_eq!(cohen_kappa(&independent, 2, Weights::Linear), Some(0.0));
        assert_eq!(cohen_kappa(&[(1, 1), (1, 1)], 2, Weights::Same), None);
        assert_eq!(cohen_kappa(&[], 2, Weights::Same), None);
    }
}
