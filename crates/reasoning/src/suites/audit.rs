//! Two graders of the same replies: where they disagree, and which of their rules find different answers.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::compare::{Comparison, Graded, compared};
use super::{Grade, Grader, Record, RecordError, Verdict};

/// Two graders of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The first grader.
    pub first: String,
    /// The second grader.
    pub second: String,
    /// The scores by both, tested, and how often their verdicts meet.
    pub comparison: Comparison,
    /// The rules that found the answers, the most frequent first.
    pub rules: Vec<RulePair>,
    /// Replies with different verdicts or answers: the first of them.
    pub differing: Vec<Differing>,
    /// How many there are in all.
    pub differing_in_all: usize,
}

/// Replies in which one rule of the first grader and one of the second found the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RulePair {
    /// The rule of the first grader; none if it found no answer.
    pub first: Option<String>,
    /// The rule of the second grader.
    pub second: Option<String>,
    /// How many replies there are.
    pub replies: usize,
    /// In how many of them both found the same text.
    pub same_answer: usize,
    /// How many are right for the first grader alone.
    pub only_first: usize,
    /// How many are right for the second grader alone.
    pub only_second: usize,
}

/// A reply that the graders do not judge alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differing {
    /// The problem.
    pub id: String,
    /// The number of the sample, from 0.
    pub sample: usize,
    /// The reference answer.
    pub reference: String,
    /// What the first grader says.
    pub first: Grade,
    /// What the second grader says.
    pub second: Grade,
}

/// How many records are judged together.
const TOGETHER: usize = 256;

/// Judges the records by both graders, whatever grades they have, and lists at most `most` differing replies; `seed` is for
/// the permutation test.
///
/// # Errors
/// The first record that cannot be read.
pub fn audit(
    records: impl Iterator<Item = Result<Record, RecordError>>,
    [first, second]: [&Grader; 2],
    most: usize,
    seed: u64,
) -> Result<Audit, RecordError> {
    let mut records = records.peekable();
    let mut rules: BTreeMap<(Option<String>, Option<String>), RulePair> = BTreeMap::new();
    let (mut differing, mut differing_in_all) = (Vec::new(), 0);
    let mut verdicts: Vec<(String, [Vec<Verdict>; 2])> = Vec::new();
    while records.peek().is_some() {
        let together: Vec<Record> = records.by_ref().take(TOGETHER).collect::<Result<_, _>>()?;
        let grade = |record: &Record, grader: &Grader| -> Vec<Grade> {
            let grade = |reply| grader.grade(&record.reference, record.language, reply);
            record.replies.iter().map(grade).collect()
        };
        let graded: Vec<[Vec<Grade>; 2]> =
            together.par_iter().map(|record| [first, second].map(|grader| grade(record, grader))).collect();
        for (record, graded) in together.into_iter().zip(graded) {
            let of = |grades: &Vec<Grade>| grades.iter().map(|grade| grade.verdict).collect();
            verdicts.push((record.id.clone(), graded.each_ref().map(of)));
            let [ones, others] = graded;
            for (sample, (one, other)) in ones.into_iter().zip(others).enumerate() {
                let pair = rules.entry((one.rule.clone(), other.rule.clone())).or_default();
                let is_right = |grade: &Grade| grade.verdict == Verdict::Right;
                pair.replies += 1;
                pair.same_answer += usize::from(one.answer.is_some() && one.answer == other.answer);
                pair.only_first += usize::from(is_right(&one) && !is_right(&other));
                pair.only_second += usize::from(is_right(&other) && !is_right(&one));
                if one.verdict == other.verdict && one.answer == other.answer {
                    continue;
                }
                differing_in_all += 1;
                if differing.len() < most {
                    let (id, reference) = (record.id.clone(), record.reference.clone());
                    differing.push(Differing { id, sample, reference, first: one, second: other });
                }
            }
        }
    }
    let side = |side: usize| -> Vec<Graded<'_>> {
        // The replies are the same, so one digest does for all.
        verdicts.iter().map(|(id, of)| Graded { id, verdicts: (&of[side]).into(), replies: 0 }).collect()
    };
    let mut rules: Vec<RulePair> =
        rules.into_iter().map(|((first, second), pair)| RulePair { first, second, ..pair }).collect();
    rules.sort_by_key(|pair| std::cmp::Reverse(pair.replies));
    let comparison = compared(&side(0), &side(1), seed);
    Ok(Audit { first: first.name(), second: second.name(), comparison, rules, differing, differing_in_all })
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::{Problem, Reply, grade};
    use super::*;
    use crate::answers::Mode;

    #[test]
    fn an_audit_counts_what_two_gradings_say() {
        let replies = ["\\boxed{1/2}", "\\boxed{0.50}", "it is 0.5", "no idea", "\\boxed{7} and 0.5"];
        let records: Vec<Record> = (replies.iter().enumerate())
            .map(|(number, reply)| {
                let problem =
                    Problem { id: format!("p{number}"), reference: "0.50".into(), ..Problem::default() };
                Record::new(&problem, "?".into(), None, vec![Reply::complete(*reply); 2])
            })
            .collect();
        let graders = [Grader::new(Mode::Strict), Grader::new(Mode::Hendrycks)];
        let audit = audit(records.iter().cloned().map(Ok), [&graders[0], &graders[1]], 3, 5).unwrap();
        let graded = graders.each_ref().map(|grader| {
            let mut records = records.clone();
            grade::grade(&mut records, grader);
            records
        });
        let text = |comparison: &Comparison| serde_json::to_string(comparison).unwrap();
        assert_eq!(text(&audit.comparison), text(&compare(&graded[0], &graded[1], 5)));
        assert_eq!(audit.rules.iter().map(|pair| pair.replies).sum::<usize>(), 10);
        let last_number =
            audit.rules.iter().find(|pair| pair.first.as_deref() == Some("last number")).unwrap();
        assert_eq!(
            (last_number.second.as_deref(), last_number.only_first, last_number.same_answer),
            (None, 2, 0)
        );
        // 1/2 is right for one alone, and "it is 0.5" is found by one alone.
        assert_eq!((audit.differing_in_all, audit.differing.len()), (4, 3));
        assert_eq!((audit.differing[0].id.as_str(), audit.differing[1].sample), ("p0", 1));
        let failed = std::iter::once(Err(RecordError::File("x".into(), std::io::Error::other("y"))));
        assert!(super::audit(failed, [&graders[0], &graders[1]], 3, 5).is_err());
    }
}
