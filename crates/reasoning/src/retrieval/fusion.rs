//! One run from several.
//!
//! Weighted sum: each run's scores are mapped to [0, 1] per topic (min-max; a run whose scores are all equal gives 1),
//! and a document's score is the weighted sum over the runs that hold it. Reciprocal rank (Cormack, Clarke and Büttcher
//! 2009): a document's score is the sum over runs of 1 / (k + rank).

use std::collections::HashMap;

use super::files::{FileError, Run};

/// The weighted sum of runs after min-max normalisation.
///
/// Errors: no run, a weight that is not finite.
pub fn weighted_sum(tag: &str, runs: &[(&Run, f64)]) -> Result<Run, FileError> {
    if let Some((_, weight)) = runs.iter().find(|(_, weight)| !weight.is_finite()) {
        return Err(FileError::new(tag, 0, format!("{weight} is not a weight")));
    }
    fuse(tag, runs.iter().map(|(run, weight)| (*run, *weight)), |run, topic, weight, add| {
        let (mut least, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
        run.ranking(topic).for_each(|(_, score)| (least, largest) = (least.min(score), largest.max(score)));
        for (document, score) in run.ranking(topic) {
            let share = if largest > least { (score - least) / (largest - least) } else { 1.0 };
            add(document, weight * share);
        }
    })
}

/// Reciprocal rank fusion; `k` is 60 in the paper.
///
/// Errors: no run, a negative k.
pub fn reciprocal_rank(tag: &str, runs: &[&Run], k: f64) -> Result<Run, FileError> {
    if k.is_nan() || k < 0.0 {
        return Err(FileError::new(tag, 0, format!("k must not be negative, and is {k}")));
    }
    fuse(tag, runs.iter().map(|run| (*run, 1.0)), |run, topic, _, add| {
        for (rank, (document, _)) in run.ranking(topic).enumerate() {
            add(document, 1.0 / (k + (rank + 1) as f64));
        }
    })
}

/// A run whose first `depth` documents of each topic are put in the order of new scores, the largest first; those after
/// them stay. The scores of the result fall from 0 by 1 a rank.
///
/// Errors: none but those of an empty run.
pub fn reorder(
    tag: &str,
    run: &Run,
    depth: usize,
    score: impl Fn(&str, &str) -> f64,
) -> Result<Run, FileError> {
    let mut ranked = Vec::new();
    for topic in run.topics() {
        let mut documents: Vec<&str> = run.ranking(topic).map(|(document, _)| document).collect();
        let depth = depth.min(documents.len());
        // Stable: equal scores keep their order.
        documents[..depth].sort_by(|a, b| score(topic, b).total_cmp(&score(topic, a)));
        ranked.extend(
            documents.into_iter().enumerate().map(|(rank, document)| (topic, document, -(rank as f64))),
        );
    }
    Run::new(tag, ranked)
}

fn fuse<'a>(
    tag: &str,
    runs: impl Iterator<Item = (&'a Run, f64)>,
    score: impl Fn(&'a Run, &str, f64, &mut dyn FnMut(&'a str, f64)),
) -> Result<Run, FileError> {
    let mut scores: HashMap<(&str, &str), f64> = HashMap::new();
    for (run, weight) in runs {
        for topic in run.topics() {
            score(run, topic, weight, &mut |document, value| {
                *scores.entry((topic, document)).or_default() += value
            });
        }
    }
    Run::new(tag, scores.into_iter().map(|((topic, document), score)| (topic, document, score)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> (Run, Run) {
        let first = Run::new("first", [("1", "a", 3.0), ("1", "b", 2.0), ("1", "c", 1.0)]).unwrap();
        let second = Run::new("second", [("1", "c", 0.9), ("1", "d", 0.9), ("2", "e", -1.0)]).unwrap();
        (first, second)
    }

    #[test]
    fn scores_are_normalised_and_weighed() {
        let (first, second) = runs();
        let fused = weighted_sum("both", &[(&first, 0.4), (&second, 0.6)]).unwrap();
        let ranking: Vec<(&str, f64)> = fused.ranking("1").collect();
        assert_eq!(ranking, [("d", 0.6), ("c", 0.6), ("a", 0.4), ("b", 0.2)]);
        assert_eq!(fused.ranking("2").collect::<Vec<_>>(), [("e", 0.6)]);
    }

    #[test]
    fn reciprocal_ranks_are_added() {
        let (first, second) = runs();
        let fused = reciprocal_rank("both", &[&first, &second], 60.0).unwrap();
        let ranking: Vec<(&str, f64)> = fused.ranking("1").collect();
        assert_eq!(ranking[0], ("c", 1.0 / 63.0 + 1.0 / 62.0));
        assert_eq!(ranking.len(), 4);
        assert!(reciprocal_rank("none", &[], 60.0).is_err());
    }

    #[test]
    fn only_the_first_documents_are_reordered() {
        let (first, _) = runs();
        let other = reorder("other", &first, 2, |_, document| {
            f64::from(document == "b") + f64::from(document == "c")
        })
        .unwrap();
        assert_eq!(other.ranking("1").map(|(document, _)| document).collect::<Vec<_>>(), ["b", "a", "c"]);
    }
}
