//! Two graded runs over the same problems: two models, two prompts, or two graders of the same replies.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::aggregate::CONFIDENCE;
use super::index::{Entry, Index, replies_digest, share_right};
use super::{Record, Verdict};
use crate::statistics::interval::mean;
use crate::statistics::paired::{McNemar, PairedDifference, holm, mcnemar, paired_difference};

/// What two runs have in common, and where they differ.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Problems of both runs; only these are compared.
    pub common: usize,
    /// Problems of the first run alone.
    pub only_first: usize,
    /// Problems of the second run alone.
    pub only_second: usize,
    /// The accuracy of the first run on the common problems.
    pub first: f64,
    /// The accuracy of the second run on them.
    pub second: f64,
    /// The difference first - second, from the differences of the problems. `None` for fewer than two problems.
    pub difference: Option<PairedDifference>,
    /// McNemar's test, if both runs have one sample of each problem.
    pub mcnemar: Option<McNemar>,
    /// Whether both runs judge the same replies, so that only the graders differ.
    pub same_replies: bool,
    /// How often a sample had the first verdict in one run and the second in the other.
    pub verdicts: Vec<(Verdict, Verdict, usize)>,
    /// The problems whose scores differ, those with the largest difference first.
    pub changed: Vec<Changed>,
}

/// A problem whose scores differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// The problem.
    pub id: String,
    /// Its score in the first run.
    pub first: f64,
    /// Its score in the second run.
    pub second: f64,
}

/// A problem in a run, as far as comparisons go.
pub(super) struct Graded<'a> {
    pub(super) id: &'a str,
    pub(super) verdicts: Cow<'a, [Verdict]>,
    /// A digest of the replies.
    pub(super) replies: u64,
}

impl<'a> From<Entry<'a>> for Graded<'a> {
    fn from(entry: Entry<'a>) -> Self {
        Graded { id: entry.id, verdicts: Cow::Borrowed(entry.verdicts), replies: entry.replies }
    }
}

/// p-values of comparisons of many runs with the first, corrected for their number (Holm): by sign permutation, in the order
/// given; 1 for what could not be tested.
pub fn corrected(comparisons: &[Comparison]) -> Vec<f64> {
    let p = |comparison: &Comparison| comparison.difference.map_or(1.0, |paired| paired.permutation);
    holm(&comparisons.iter().map(p).collect::<Vec<_>>())
}

/// Compares two graded runs, problem by problem; `seed` is for the permutation test.
pub fn compare(first: &[Record], second: &[Record], seed: u64) -> Comparison {
    fn graded(records: &[Record]) -> Vec<Graded<'_>> {
        (records.iter())
            .map(|record| Graded {
                id: &record.id,
                verdicts: record.grades.iter().map(|grade| grade.verdict).collect(),
                replies: replies_digest(&record.replies),
            })
            .collect()
    }
    compared(&graded(first), &graded(second), seed)
}

/// Compares two runs by their indexes: the same as [`compare`] of their records.
pub fn compare_indexes(first: &Index, second: &Index, seed: u64) -> Comparison {
    fn graded(index: &Index) -> Vec<Graded<'_>> {
        (0..index.len()).map(|number| index.entry(number).into()).collect()
    }
    compared(&graded(first), &graded(second), seed)
}

pub(super) fn compared(first: &[Graded<'_>], second: &[Graded<'_>], seed: u64) -> Comparison {
    let by_id: HashMap<&str, &Graded<'_>> = second.iter().map(|graded| (graded.id, graded)).collect();
    let common: Vec<(&Graded<'_>, &Graded<'_>)> =
        first.iter().filter_map(|graded| Some((graded, *by_id.get(graded.id)?))).collect();
    let pairs: Vec<(f64, f64)> =
        common.iter().map(|(a, b)| (share_right(&a.verdicts), share_right(&b.verdicts))).collect();
    let single = common.iter().all(|(a, b)| a.verdicts.len() == 1 && b.verdicts.len() == 1);
    let only = |better: fn(&(f64, f64)) -> bool| pairs.iter().filter(|pair| better(pair)).count();
    let mut verdicts: BTreeMap<(Verdict, Verdict), usize> = BTreeMap::new();
    for (a, b) in &common {
        for (one, other) in a.verdicts.iter().zip(b.verdicts.iter()) {
            *verdicts.entry((*one, *other)).or_default() += 1;
        }
    }
    let mut changed: Vec<Changed> = (common.iter().zip(&pairs))
        .filter(|(_, (first, second))| first != second)
        .map(|((graded, _), &(first, second))| Changed { id: graded.id.to_string(), first, second })
        .collect();
    changed.sort_by(|a, b| (b.first - b.second).abs().total_cmp(&(a.first - a.second).abs()));
    let (firsts, seconds): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Comparison {
        common: common.len(),
        only_first: first.len() - common.len(),
        only_second: second.len().saturating_sub(common.len()),
        first: mean(&firsts),
        second: mean(&seconds),
        difference: paired_difference(&pairs, CONFIDENCE, seed),
        mcnemar: single.then(|| mcnemar(only(|(a, b)| a > b), only(|(a, b)| a < b))),
        same_replies: common.iter().all(|(a, b)| a.replies == b.replies),
        verdicts: verdicts.into_iter().map(|((one, other), count)| (one, other, count)).collect(),
        changed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Grader, Problem, Reply, grade};
    use super::*;
    use crate::answers::Mode;

    fn run(replies: &[(&str, &str)], mode: Mode) -> Vec<Record> {
        let mut records: Vec<Record> = (replies.iter())
            .map(|(id, reply)| {
                let problem = Problem { id: id.to_string(), reference: "0.50".into(), ..Problem::default() };
                Record::new(&problem, "?".into(), None, vec![Reply::complete(*reply)])
            })
            .collect();
        grade::grade(&mut records, &Grader::new(mode));
        records
    }

    #[test]
    fn problems_are_matched_by_their_names() {
        let first = run(
            &[("a", "\\boxed{1/2}"), ("b", "\\boxed{1}"), ("c", "\\boxed{0.5}"), ("d", "?")],
            Mode::Strict,
        );
        let second = run(
            &[("e", "\\boxed{1/2}"), ("c", "\\boxed{5}"), ("b", "no"), ("a", "\\boxed{.5}")],
            Mode::Strict,
        );
        let comparison = compare(&first, &second, 0);
        assert_eq!((comparison.common, comparison.only_first, comparison.only_second), (3, 1, 1));
        assert_eq!((comparison.first, comparison.second), (2.0 / 3.0, 1.0 / 3.0));
        assert_eq!(comparison.changed, [Changed { id: "c".into(), first: 1.0, second: 0.0 }]);
        let test = comparison.mcnemar.unwrap();
        assert_eq!((test.only_first, test.only_second, test.exact), (1, 0, 1.0));
        assert!(comparison.verdicts.contains(&(Verdict::Wrong, Verdict::NoAnswer, 1)));
        assert!(!comparison.same_replies);
    }

    #[test]
    fn two_graders_of_the_same_replies_make_a_table_of_disagreement() {
        let replies = [("a", "\\boxed{1/2}"), ("b", "\\boxed{0.50}"), ("c", "\\boxed{7}")];
        let comparison = compare(&run(&replies, Mode::Strict), &run(&replies, Mode::Hendrycks), 0);
        assert!(comparison.same_replies);
        let expected = [
            (Verdict::Right, Verdict::Right, 1),
            (Verdict::Right, Verdict::Wrong, 1),
            (Verdict::Wrong, Verdict::Wrong, 1),
        ];
        assert_eq!(comparison.verdicts, expected);
        assert_eq!(compare(&[], &[], 0).difference, None);
    }
}
