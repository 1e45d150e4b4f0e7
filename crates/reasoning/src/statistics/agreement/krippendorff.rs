//! Krippendorff's alpha (Krippendorff, 2019, chapter 12): agreement of any number of raters, who need not have rated
//! everything, on any of four scales.
//!
//! A unit with m >= 2 values adds each ordered pair of them to the coincidence matrix o with the weight 1 / (m - 1); units
//! with fewer values say nothing about agreement. With n_c = Σ_k o_ck and n = Σ_c n_c,
//!
//! alpha = 1 - D_o / D_e, D_o = Σ_ck o_ck δ²_ck / n, D_e = Σ_ck n_c n_k δ²_ck / (n (n - 1)).
//!
//! The matrix is kept as its entries off the diagonal, by kinds of units: units with the same values add the same. The
//! expected disagreement of the first three scales is a sum over values, not over pairs: on the ordinal scale
//! δ_ck = Σ_{g=c}^{k} n_g - (n_c + n_k)/2 is the distance of the mean ranks of c and k.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::statistics::interval::{Interval, percentiles};

/// How far apart two values are, by the scale that they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Names: δ is 1 for different ones.
    Nominal,
    /// Ranks: δ counts the values given between the two.
    Ordinal,
    /// Numbers with any zero: δ = c - k.
    Interval,
    /// Amounts, not negative: δ = (c - k) / (c + k).
    Ratio,
}

impl Scale {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Nominal => "nominal",
            Scale::Ordinal => "ordinal",
            Scale::Interval => "interval",
            Scale::Ratio => "ratio",
        }
    }
}

/// Krippendorff's alpha of units, each with one place for each rater; `None` stands for a value that was not given.
///
/// `None` where it is not defined: without a unit of two values or more, without variation (one value everywhere among
/// such units), with a value that is not finite or so large that squares of differences are not, and on the ratio scale with a negative one.
pub fn krippendorff_alpha<U: AsRef<[Option<f64>]>>(units: &[U], scale: Scale) -> Option<f64> {
    let table = Coincidences::of(units, scale)?;
    let counts = table.kind_counts(table.kind_of_unit.iter().copied());
    table.alpha(&counts)
}

/// The percentile interval of alpha over `replicates` resamples of whole units, drawn with replacement among the units
/// with two values or more. (Krippendorff's own algorithm draws pairs of values, which depend on each other within a unit.)
///
/// A resample without variation has no alpha and is left out, so that the interval is one of defined values; `None` where
/// [`krippendorff_alpha`] is, or no resample is left. A pure function of its arguments.
pub fn krippendorff_interval<U: AsRef<[Option<f64>]>>(
    units: &[U],
    scale: Scale,
    confidence: f64,
    replicates: usize,
    seed: u64,
) -> Option<Interval> {
    let table = Coincidences::of(units, scale)?;
    let drawn = &table.kind_of_unit;
    let mut random = Stream::new(&[seed]);
    let mut alphas: Vec<f64> = (0..replicates)
        .filter_map(|_| {
            let kinds = (0..drawn.len()).map(|_| drawn[random.below(drawn.len())]);
            table.alpha(&table.kind_counts(kinds))
        })
        .collect();
    (!alphas.is_empty()).then(|| percentiles(&mut alphas, confidence))
}

/// The coincidence matrix, by kinds of units.
struct Coincidences {
    scale: Scale,
    /// The values that occur, in rising order.
    values: Vec<f64>,
    kinds: Vec<Kind>,
    /// The kind of each unit with two values or more.
    kind_of_unit: Vec<u32>,
}

/// What a unit adds to the matrix.
struct Kind {
    /// How often it has each value, by place in `values`.
    marginals: Vec<(usize, f64)>,
    /// Its entries above the diagonal.
    pairs: Vec<(usize, usize, f64)>,
}

impl Coincidences {
    fn of<U: AsRef<[Option<f64>]>>(units: &[U], scale: Scale) -> Option<Self> {
        let given = |unit: &U| -> Vec<f64> {
            // Zero has two signs and is one value.
            let mut given: Vec<f64> = unit.as_ref().iter().flatten().map(|value| value + 0.0).collect();
            given.sort_by(f64::total_cmp);
            given
        };
        let fits = |value: &f64| value.is_finite() && (scale != Scale::Ratio || *value >= 0.0);
        let mut places: HashMap<Vec<u64>, u32> = HashMap::new();
        let mut distinct: Vec<Vec<f64>> = Vec::new();
        let mut kind_of_unit = Vec::new();
        for values in units.iter().map(given) {
            if !values.iter().all(fits) {
                return None;
            }
            if values.len() > 1 {
                let bits = values.iter().map(|value| value.to_bits()).collect();
                kind_of_unit.push(*places.entry(bits).or_insert_with(|| {
                    distinct.push(values);
                    distinct.len() as u32 - 1
                }));
            }
        }
        let mut values: Vec<f64> = distinct.iter().flatten().copied().collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let kinds = distinct.iter().map(|unit| Kind::of(unit, &values)).collect();
        Some(Coincidences { scale, values, kinds, kind_of_unit })
    }

    /// How many units of each kind there are among these.
    fn kind_counts(&self, kinds: impl Iterator<Item = u32>) -> Vec<f64> {
        let mut counts = vec![0.0; self.kinds.len()];
        kinds.for_each(|kind| counts[kind as usize] += 1.0);
        counts
    }

    /// Alpha of so many units of each kind.
    fn alpha(&self, counts: &[f64]) -> Option<f64> {
        let mut marginals = vec![0.0; self.values.len()];
        for (kind, count) in self.kinds.iter().zip(counts) {
            kind.marginals.iter().for_each(|&(place, times)| marginals[place] += count * times);
        }
        let total: f64 = marginals.iter().sum();
        let places = self.places(&marginals);
        let squared = |c: usize, k: usize| match self.scale {
            Scale::Nominal => 1.0,
            Scale::Ordinal | Scale::Interval => (places[c] - places[k]).powi(2),
            Scale::Ratio => ((places[c] - places[k]) / (places[c] + places[k])).powi(2),
        };
        let mut observed = 0.0;
        for (kind, count) in self.kinds.iter().zip(counts).filter(|(_, count)| **count > 0.0) {
            let own: f64 = kind.pairs.iter().map(|&(c, k, weight)| weight * squared(c, k)).sum();
            observed += 2.0 * count * own;
        }
        let expected = match self.scale {
            Scale::Nominal => total * total - marginals.iter().map(|count| count * count).sum::<f64>(),
            // Σ_ck n_c n_k (x_c - x_k)² = 2 n Σ_c n_c (x_c - mean)²
            Scale::Ordinal | Scale::Interval => {
                let weighted = marginals.iter().zip(&places);
                let mean = weighted.clone().map(|(count, place)| count * place).sum::<f64>() / total;
                2.0 * total * weighted.map(|(count, place)| count * (place - mean).powi(2)).sum::<f64>()
            }
            Scale::Ratio => {
                let given: Vec<usize> = (0..places.len()).filter(|&c| marginals[c] > 0.0).collect();
                let above = |(at, &c): (usize, &usize)| -> f64 {
                    given[at + 1..].iter().map(|&k| marginals[c] * marginals[k] * squared(c, k)).sum()
                };
                2.0 * given.iter().enumerate().map(above).sum::<f64>()
            }
        };
        let varies = marginals.iter().filter(|count| **count > 0.0).count() > 1;
        (varies && expected > 0.0 && expected.is_finite()).then(|| 1.0 - (total - 1.0) * observed / expected)
    }

    /// The values as numbers whose differences count.
    fn places(&self, marginals: &[f64]) -> Vec<f64> {
        if self.scale != Scale::Ordinal {
            return self.values.clone();
        }
        let mut below = 0.0;
        (marginals.iter())
            .map(|count| {
                below += count;
                below - 0.5 * count
            })
            .collect()
    }
}

impl Kind {
    /// Of a unit with these values, in rising order.
    fn of(unit: &[f64], values: &[f64]) -> Self {
        let place = |value: f64| values.partition_point(|other| *other < value);
        let marginals: Vec<(usize, f64)> =
            unit.chunk_by(|a, b| a == b).map(|equal| (place(equal[0]), equal.len() as f64)).collect();
        let others = unit.len() as f64 - 1.0;
        let pairs = (marginals.iter().enumerate())
            .flat_map(|(at, &(c, one))| {
                marginals[at + 1..].iter().map(move |&(k, other)| (c, k, one * other / others))
            })
            .collect();
        Kind { marginals, pairs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCALES: [Scale; 4] = [Scale::Nominal, Scale::Ordinal, Scale::Interval, Scale::Ratio];

    /// The worked example with missing values: observers by units; 0 stands for a value that was not given.
    const PUBLISHED: [[u8; 12]; 4] = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ];

    fn published() -> Vec<Vec<Option<f64>>> {
        let value = |given: u8| (given > 0).then(|| f64::from(given));
        (0..12).map(|unit| PUBLISHED.iter().map(|observer| value(observer[unit])).collect()).collect()
    }

    /// Nominal, ordinal, interval and ratio; published as 0.743, 0.815, 0.849 and 0.797. The digits are those of the package
    /// krippendorff 0.9.0.
    const ALPHAS: [f64; 4] = [0.743421052631579, 0.8153875037548814, 0.8491071428571428, 0.7974027747116121];

    #[test]
    fn the_published_example_has_its_values() {
        for (scale, expected) in SCALES.into_iter().zip(ALPHAS) {
            let alpha = krippendorff_alpha(&published(), scale).unwrap();
            assert!((alpha - expected).abs() < 1e-14, "{scale:?}: {alpha} {expected}");
        }
        assert_eq!(ALPHAS.map(|alpha| format!("{alpha:.3}")), ["0.743", "0.815", "0.849", "0.797"]);
    }

    /// 1 - D_o / D_e by the definition: over all pairs of values within units, and over all pairs of values.
    fn by_definition(units: &[Vec<Option<f64>>], scale: Scale) -> Option<f64> {
        let pairable: Vec<Vec<f64>> = (units.iter())
            .map(|unit| unit.iter().flatten().copied().collect::<Vec<f64>>())
            .filter(|unit| unit.len() > 1)
            .collect();
        let all: Vec<f64> = pairable.iter().flatten().copied().collect();
        let squared = |c: f64, k: f64| match scale {
            _ if c == k => 0.0,
            Scale::Nominal => 1.0,
            Scale::Interval => (c - k).powi(2),
            Scale::Ratio => ((c - k) / (c + k)).powi(2),
            Scale::Ordinal => {
                let (low, high) = (c.min(k), c.max(k));
                let between = all.iter().filter(|value| (low..=high).contains(*value)).count() as f64;
                let ends = all.iter().filter(|value| **value == low || **value == high).count() as f64;
                (between - ends / 2.0).powi(2)
            }
        };
        let pairs = |values: &[f64]| -> f64 {
            let one = |(i, c): (usize, &f64)| -> f64 {
                let others = values.iter().enumerate().filter(|(j, _)| *j != i);
                others.map(|(_, k)| squared(*c, *k)).sum()
            };
            values.iter().enumerate().map(one).sum()
        };
        let n = all.len() as f64;
        let observed: f64 =
            pairable.iter().map(|unit| pairs(unit) / (unit.len() as f64 - 1.0)).sum::<f64>() / n;
        let expected = pairs(&all) / (n * (n - 1.0));
        (expected > 0.0).then(|| 1.0 - observed / expected)
    }

    fn units() -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
        let value = prop::option::weighted(0.8, (0..6u8).prop_map(f64::from));
        (1..6usize).prop_flat_map(move |raters| {
            prop::collection::vec(prop::collection::vec(value.clone(), raters), 0..14)
        })
    }

    fn same(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-11 * a.abs().max(1.0),
            (a, b) => a == b,
        }
    }

    proptest! {
        #[test]
        fn alpha_is_one_less_observed_by_expected_disagreement(units in units()) {
            for scale in SCALES {
                let (fast, plain) = (krippendorff_alpha(&units, scale), by_definition(&units, scale));
                prop_assert!(same(fast, plain), "{:?}: {:?} {:?}", scale, fast, plain);
            }
        }

        #[test]
        fn who_rated_names_and_units_of_measurement_do_not_count(
            units in units(), turn in 0..6usize, slope in 0.1..9.0f64, shift in -5.0..5.0f64
        ) {
            let map = |with: &dyn Fn(f64) -> f64| -> Vec<Vec<Option<f64>>> {
                units.iter().map(|unit| unit.iter().map(|value| value.map(with)).collect()).collect()
            };
            let turned: Vec<Vec<Option<f64>>> = (units.iter())
                .map(|unit| {
                    let mut unit = unit.clone();
                    let by = turn % unit.len();
                    unit.rotate_left(by);
                    unit
                })
                .collect();
            for scale in SCALES {
                let alpha = krippendorff_alpha(&units, scale);
                prop_assert!(same(alpha, krippendorff_alpha(&turned, scale)));
            }
            let renamed = map(&|value| (value * 5.0 + 2.0) % 7.0);
            prop_assert!(same(
                krippendorff_alpha(&units, Scale::Nominal),
                krippendorff_alpha(&renamed, Scale::Nominal)
            ));
            let cubed = map(&|value| value.powi(3));
            prop_assert!(same(
                krippendorff_alpha(&units, Scale::Ordinal),
                krippendorff_alpha(&cubed, Scale::Ordinal)
            ));
            let moved = map(&|value| slope * value + shift);
            prop_assert!(same(
                krippendorff_alpha(&units, Scale::Interval),
                krippendorff_alpha(&moved, Scale::Interval)
            ));
            let scaled = map(&|value| slope * value);
            prop_assert!(same(
                krippendorff_alpha(&units, Scale::Ratio),
                krippendorff_alpha(&scaled, Scale::Ratio)
            ));
        }
    }

    #[test]
    fn what_is_not_defined_has_no_alpha() {
        let nominal = |units: &[Vec<Option<f64>>]| krippendorff_alpha(units, Scale::Nominal);
        assert_eq!(nominal(&[]), None);
        // Values that cannot be paired.
        assert_eq!(nominal(&[vec![Some(1.0), None], vec![None, Some(2.0)]]), None);
        // No variation among those that can.
        assert_eq!(nominal(&[vec![Some(1.0), Some(1.0)], vec![Some(2.0), None]]), None);
        assert_eq!(nominal(&[vec![Some(f64::NAN), Some(1.0)]]), None);
        let negative = [vec![Some(-1.0), Some(1.0)], vec![Some(1.0), Some(1.0)]];
        assert_eq!(krippendorff_alpha(&negative, Scale::Ratio), None);
        assert!(krippendorff_alpha(&negative, Scale::Interval).is_some());
        assert_eq!(krippendorff_interval(&[vec![Some(1.0), Some(1.0)]], Scale::Nominal, 0.95, 100, 0), None);
        // One unit of two values: observed and expected disagreement are the same.
        assert_eq!(nominal(&[vec![Some(1.0), Some(2.0)]]), Some(0.0));
        let agreed = [vec![Some(0.0), Some(-0.0)], vec![Some(1.0), Some(1.0)]];
        assert_eq!(nominal(&agreed), Some(1.0));
    }

    /// Of units of two raters in large numbers alpha is near kappa with the marginals of both together, which is Scott's pi.
    #[test]
    fn the_interval_covers_the_value_of_many_units() {
        let mut random = Stream::new(&[5]);
        let mut draw = |count: usize| -> Vec<Vec<Option<f64>>> {
            (0..count)
                .map(|_| {
                    let truth = random.below(3);
                    let mut rate = || match random.uniform() < 0.7 {
                        true => truth,
                        false => random.below(3),
                    };
                    vec![Some(rate() as f64), Some(rate() as f64)]
                })
                .collect()
        };
        let many = draw(200_000);
        // Both name the truth with 0.7 + 0.1: agreement 0.7² + (1 - 0.7²) / 3 against 1/3 by chance.
        let alpha = krippendorff_alpha(&many, Scale::Nominal).unwrap();
        assert!((alpha - 0.49).abs() < 0.01, "{alpha}");
        let covered = (0..100)
            .filter(|seed| {
                let few = draw(80);
                let interval = krippendorff_interval(&few, Scale::Nominal, 0.95, 200, *seed).unwrap();
                interval.contains(0.49)
            })
            .count();
        assert!((86..=100).contains(&covered), "{covered}");
        let few = draw(60);
        let interval = |seed| krippendorff_interval(&few, Scale::Ordinal, 0.95, 100, seed);
        assert_eq!(interval(1), interval(1));
        assert_ne!(interval(1), interval(2));
    }
}
