//! How many are positive, if the one who says so errs?
//!
//! A judge says yes to a share q of some cases. Of the positive ones it says yes to the share `sensitivity`, of the others
//! it does not say yes to the share `specificity`; both are known from cases with gold labels. Then q = p · sensitivity +
//! (1 - p) · (1 - specificity) for the share p that is positive, and
//!
//! p = (q + specificity - 1) / (sensitivity + specificity - 1)   (Rogan and Gladen, 1978).
//!
//! This holds if the judge errs on cases without labels as on those with them.

use serde::Serialize;

use super::interval::{Interval, quantile};
use crate::random::Stream;

/// How often something was said among so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How often.
    pub said: usize,
    /// Among how many.
    pub of: usize,
}

impl Count {
    /// The share; zero of nothing.
    pub fn share(self) -> f64 {
        self.said as f64 / self.of.max(1) as f64
    }

    /// The share in a resample of as many.
    fn redrawn(self, random: &mut Stream) -> f64 {
        let said = (0..self.of).filter(|_| random.below(self.of) < self.said).count();
        Count { said, ..self }.share()
    }
}

/// A share that was corrected for the errors of a judge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Corrected {
    /// The share of positive cases, within [0, 1].
    pub share: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Why a share cannot be corrected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PrevalenceError {
    /// There is nothing to correct, or nothing that tells how.
    #[error("{0}")]
    Missing(&'static str),
    /// Something is said more often than there are cases, or the confidence is not between 0 and 1.
    #[error("{0}")]
    Impossible(String),
    /// What the judge says does not depend on the truth, or speaks against it.
    #[error(
        "sensitivity {sensitivity:.3} + specificity {specificity:.3} do not exceed 1: \
         what the judge says tells nothing about the share"
    )]
    Uninformative {
        /// Of positive cases, the share with a yes.
        sensitivity: f64,
        /// Of the others, the share without.
        specificity: f64,
    },
}

/// The share of positive cases among `unlabelled`, where so many have a yes: corrected by what the judge says of cases that
/// are known to be positive, and of cases that are known not to be (each the number with a yes).
///
/// The interval is the percentile interval of `replicates` resamples of all three sets, each of its own size; it leaves out
/// no resample: one in which the judge tells nothing counts as 0 below and as 1 above. A pure function of its arguments.
///
/// # Errors
/// If one of the three sets is empty or impossible, the confidence is not between 0 and 1, or sensitivity + specificity <= 1.
pub fn corrected_share(
    positive: Count,
    negative: Count,
    unlabelled: Count,
    confidence: f64,
    replicates: usize,
    seed: u64,
) -> Result<Corrected, PrevalenceError> {
    for (set, what) in [
        (positive, "no case is labelled as positive"),
        (negative, "no case is labelled as negative"),
        (unlabelled, "no case is without a label"),
    ] {
        if set.of == 0 {
            return Err(PrevalenceError::Missing(what));
        }
        if set.said > set.of {
            let Count { said, of } = set;
            return Err(PrevalenceError::Impossible(format!(
                "{said} of {of} cases: expected no more than all"
            )));
        }
    }
    if !(confidence > 0.0 && confidence < 1.0) {
        let message = format!("the confidence is {confidence}: expected a number between 0 and 1");
        return Err(PrevalenceError::Impossible(message));
    }
    let (sensitivity, specificity) = (positive.share(), 1.0 - negative.share());
    let share = rogan_gladen(unlabelled.share(), positive.share(), negative.share())
        .ok_or(PrevalenceError::Uninformative { sensitivity, specificity })?;
    let mut random = Stream::new(&[seed]);
    let (mut low, mut high): (Vec<f64>, Vec<f64>) = (0..replicates)
        .map(|_| {
            let [hits, alarms, said] = [positive, negative, unlabelled].map(|set| set.redrawn(&mut random));
            rogan_gladen(said, hits, alarms).map_or((0.0, 1.0), |share| (share, share))
        })
        .unzip();
    low.sort_by(f64::total_cmp);
    high.sort_by(f64::total_cmp);
    let tail = 0.5 - 0.5 * confidence;
    let interval = match replicates {
        0 => Interval { low: 0.0, high: 1.0 },
        _ => Interval { low: quantile(&low, tail), high: quantile(&high, 1.0 - tail) },
    };
    Ok(Corrected { share, interval })
}

/// From the shares with a yes: of all, of the positive, of the negative. `None` where the last two do not differ the right way.
fn rogan_gladen(said: f64, hits: f64, alarms: f64) -> Option<f64> {
    (hits > alarms).then(|| ((said - alarms) / (hits - alarms)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(said: usize, of: usize) -> Count {
        Count { said, of }
    }

    proptest! {
        /// Without noise the share comes back as it was.
        #[test]
        fn the_correction_inverts_the_errors(p in 0.0..=1.0f64, hits in 0.5..=1.0f64, alarms in 0.0..0.49f64) {
            let said = p * hits + (1.0 - p) * alarms;
            prop_assert!((rogan_gladen(said, hits, alarms).unwrap() - p).abs() < 1e-12);
        }
    }

    #[test]
    fn by_hand_and_at_the_ends() {
        // (0.5 - 0.1) / (0.9 - 0.1)
        let found = corrected_share(count(45, 50), count(5, 50), count(100, 200), 0.95, 500, 1).unwrap();
        assert!((found.share - 0.5).abs() < 1e-15 && found.interval.contains(0.5), "{found:?}");
        assert!(found.interval.low > 0.35 && found.interval.high < 0.65, "{found:?}");
        assert_eq!(
            found,
            corrected_share(count(45, 50), count(5, 50), count(100, 200), 0.95, 500, 1).unwrap()
        );
        let none = corrected_share(count(45, 50), count(25, 50), count(10, 200), 0.95, 500, 1).unwrap();
        assert_eq!((none.share, none.interval.low), (0.0, 0.0));
        let perfect = corrected_share(count(9, 9), count(0, 9), count(30, 40), 0.95, 500, 1).unwrap();
        assert_eq!(perfect.share, 0.75);
        // Hardly better than chance, on few cases: the interval says that nothing is known.
        let weak = corrected_share(count(3, 5), count(2, 5), count(20, 40), 0.95, 500, 1).unwrap();
        assert_eq!((weak.interval.low, weak.interval.high), (0.0, 1.0));
    }

    #[test]
    fn a_judge_that_tells_nothing_is_an_error() {
        let always = corrected_share(count(50, 50), count(50, 50), count(9, 10), 0.95, 100, 0).unwrap_err();
        assert_eq!(always, PrevalenceError::Uninformative { sensitivity: 1.0, specificity: 0.0 });
        assert!(always.to_string().contains("do not exceed 1"), "{always}");
        let missing = |sets: [Count; 3]| {
            corrected_share(sets[0], sets[1], sets[2], 0.95, 100, 0).unwrap_err().to_string()
        };
        assert!(missing([count(0, 0), count(0, 5), count(1, 2)]).contains("as positive"));
        assert!(missing([count(5, 5), count(0, 0), count(1, 2)]).contains("as negative"));
        assert!(missing([count(5, 5), count(0, 5), count(0, 0)]).contains("without a label"));
    }

    /// 95 % intervals cover the truth about as often as they say.
    #[test]
    fn intervals_cover_the_true_share() {
        let (p, hits, alarms) = (0.3, 0.85, 0.2);
        let mut random = Stream::new(&[8]);
        let mut draw = |probability: f64, of: usize| {
            count((0..of).filter(|_| random.uniform() < probability).count(), of)
        };
        let covered = (0..300)
            .filter(|seed| {
                let sets = (draw(hits, 80), draw(alarms, 120), draw(p * hits + (1.0 - p) * alarms, 400));
                corrected_share(sets.0, sets.1, sets.2, 0.95, 300, *seed).unwrap().interval.contains(p)
            })
            .count();
        assert!((270..=296).contains(&covered), "{covered} of 300");
    }
}
