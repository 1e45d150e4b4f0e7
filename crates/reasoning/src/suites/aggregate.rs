//! The third stage: scores of graded records.
//!
//! The score of a question is the share of its samples that are right; the accuracy is the mean over the questions. With
//! one sample of each its interval is Wilson's; with several the samples of one question depend on each other, and the
//! interval is that of Student's t over the questions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::carp::ExpressionScores;
use super::{Grader, Record, Trajectories, Verdict};
use crate::statistics::Interval;
use crate::statistics::interval::{bootstrap, clustered_standard_error, mean, student_t, wilson};
use crate::statistics::samples::{
    AnswerClass, all_right_at_k, g_pass_at_k, majority_at_k, mean_g_pass_at_k, pass_at_k,
};

/// The confidence of all intervals.
pub const CONFIDENCE: f64 = 0.95;

/// How many resamples the bootstrap draws.
pub const REPLICATES: usize = 2000;

/// The scores of a run. They depend on the records and the grader alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Which grader judged.
    pub grader: String,
    /// The problems.
    pub problems: usize,
    /// The replies.
    pub replies: usize,
    /// The share of replies that are right.
    pub accuracy: Score,
    /// The percentile interval of the accuracy from 2,000 resamples of the questions, seed 0.
    pub bootstrap: Interval,
    /// How many replies there are of each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// How many answers each rule found, and how many of these are right.
    pub rules: BTreeMap<String, RuleCount>,
    /// Scores at 1 to k samples, if there are several of each question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<ScoreAt>,
    /// Scores by category.
    pub categories: BTreeMap<String, Category>,
    /// How far solutions come, where the expressions of the worked ones are annotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expressions: Option<ExpressionScores>,
    /// What strategies did that do more than ask once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trajectories: Option<Trajectories>,
}

/// A share of right replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The share.
    pub value: f64,
    /// Its standard error, with the samples of a question as a cluster.
    pub standard_error: f64,
    /// Its interval: Wilson's for one sample of each question, Student's t for several.
    pub interval: Interval,
}

/// What a rule found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// Answers found.
    pub found: usize,
    /// Right ones among them.
    pub right: usize,
}

/// Scores if only `k` of the samples had been drawn: means over the questions of exact expectations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreAt {
    /// The number of samples.
    pub k: usize,
    /// pass@k: at least one is right.
    pub pass: f64,
    /// pass^k: all are right.
    pub all_right: f64,
    /// G-Pass@k(1/2): at least half are right.
    pub g_pass_half: f64,
    /// mG-Pass@k.
    pub mean_g_pass: f64,
    /// maj@k: the majority is right; answers with equally many votes count with their average correctness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<f64>,
}

/// The scores of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// Scores by its values.
    pub values: BTreeMap<String, CategoryScore>,
    /// The mean over its values, each with the same weight.
    pub mean: f64,
}

/// The scores of one value of a category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryScore {
    /// The problems.
    pub problems: usize,
    /// The share of right replies.
    pub accuracy: Score,
}

/// The share of right replies among graded records.
pub fn score(records: &[&Record]) -> Score {
    let clusters: Vec<Vec<f64>> = records.iter().map(|record| scores(record)).collect();
    let all: Vec<f64> = clusters.iter().flatten().copied().collect();
    let single = clusters.iter().all(|cluster| cluster.len() <= 1);
    let interval = if single {
        wilson(all.iter().filter(|score| **score == 1.0).count(), all.len(), CONFIDENCE)
    } else {
        let Interval { low, high } = student_t(&clusters, CONFIDENCE);
        Interval { low: low.max(0.0), high: high.min(1.0) }
    };
    Score { value: mean(&all), standard_error: clustered_standard_error(&clusters), interval }
}

/// 1 for every right reply, 0 for every other.
pub(super) fn scores(record: &Record) -> Vec<f64> {
    record.grades.iter().map(|grade| f64::from(u8::from(grade.verdict == Verdict::Right))).collect()
}

/// The scores of graded records. `grader` is the one that judged them; votes need it.
pub fn aggregate(records: &[Record], grader: &Grader) -> Metrics {
    let all: Vec<&Record> = records.iter().collect();
    let mut verdicts: BTreeMap<Verdict, usize> =
        Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
    let mut rules: BTreeMap<String, RuleCount> = BTreeMap::new();
    let mut values: BTreeMap<&str, BTreeMap<&str, Vec<&Record>>> = BTreeMap::new();
    for record in records {
        for grade in &record.grades {
            *verdicts.entry(grade.verdict).or_default() += 1;
            if let Some(rule) = &grade.rule {
                let count = rules.entry(rule.clone()).or_default();
                count.found += 1;
                count.right += usize::from(grade.verdict == Verdict::Right);
            }
        }
        for (category, value) in &record.categories {
            values.entry(category).or_default().entry(value).or_default().push(record);
        }
    }
    let categories = (values.into_iter())
        .map(|(category, values)| {
            let values: BTreeMap<String, CategoryScore> = (values.into_iter())
                .map(|(value, records)| {
                    (value.to_string(), CategoryScore { problems: records.len(), accuracy: score(&records) })
                })
                .collect();
            let shares: Vec<f64> = values.values().map(|score| score.accuracy.value).collect();
            (category.to_string(), Category { mean: mean(&shares), values })
        })
        .collect();
    let clusters: Vec<Vec<f64>> = records.iter().map(scores).collect();
    let drawn = bootstrap(&clusters, CONFIDENCE, REPLICATES, 0);
    Metrics {
        grader: grader.name(),
        problems: records.len(),
        replies: verdicts.values().sum(),
        accuracy: score(&all),
        bootstrap: Interval { low: drawn.low.max(0.0), high: drawn.high.min(1.0) },
        verdicts,
        rules,
        at: scores_at(records, grader),
        categories,
        expressions: ExpressionScores::of(records),
        trajectories: Trajectories::of(records),
    }
}

/// The scores at every number of samples that all questions have; none for fewer than two.
fn scores_at(records: &[Record], grader: &Grader) -> Vec<ScoreAt> {
    let most = records.iter().map(|record| record.grades.len()).min().unwrap_or(0);
    if most < 2 {
        return Vec::new();
    }
    let counts: Vec<(usize, usize)> = (records.iter())
        .map(|record| (record.grades.len(), scores(record).iter().filter(|score| **score == 1.0).count()))
        .collect();
    let majorities: Vec<Vec<f64>> = records
        .par_iter()
        .map(|record| {
            let (classes, missing) = answer_classes(record, grader);
            majority_at_k(&classes, missing)
        })
        .collect();
    let average = |score: &dyn Fn(usize, usize) -> Option<f64>| {
        mean(&counts.iter().filter_map(|&(n, c)| score(n, c)).collect::<Vec<_>>())
    };
    (1..=most)
        .map(|k| {
            let votes: Option<Vec<f64>> =
                majorities.iter().map(|scores| scores.get(k - 1).copied()).collect();
            ScoreAt {
                k,
                pass: average(&|n, c| pass_at_k(n, c, k)),
                all_right: average(&|n, c| all_right_at_k(n, c, k)),
                g_pass_half: average(&|n, c| g_pass_at_k(n, c, k, 0.5)),
                mean_g_pass: average(&|n, c| mean_g_pass_at_k(n, c, k)),
                majority: votes.map(|scores| mean(&scores)),
            }
        })
        .collect()
}

/// The samples of a question by equal answers: the right ones are one class, each other answer joins the first class
/// whose first answer it equals. Samples without a reply that counts do not vote.
fn answer_classes(record: &Record, grader: &Grader) -> (Vec<AnswerClass>, usize) {
    let mut right = 0;
    let mut wrong: Vec<(&str, usize)> = Vec::new();
    let mut missing = 0;
    for grade in &record.grades {
        match (grade.verdict, &grade.answer) {
            (Verdict::Right, _) => right += 1,
            (Verdict::Wrong, Some(answer)) => {
                let known = wrong.iter().position(|(known, _)| known == answer).or_else(|| {
                    wrong.iter().position(|(known, _)| grader.agree(known, answer, record.language))
                });
                match known {
                    Some(at) => wrong[at].1 += 1,
                    None => wrong.push((answer, 1)),
                }
            }
            _ => missing += 1,
        }
    }
    let mut classes: Vec<AnswerClass> =
        wrong.into_iter().map(|(_, samples)| AnswerClass { samples, correct: false }).collect();
    if right > 0 {
        classes.push(AnswerClass { samples: right, correct: true });
    }
    (classes, missing)
}

#[cfg(test)]
mod tests {
    use super::super::{Ending, Problem, Reply, grade};
    use super::*;
    use crate::answers::Mode;

    fn record(id: &str, topic: &str, replies: &[&str]) -> Record {
        let problem = Problem {
            id: id.into(),
            reference: "0.5".into(),
            categories: [("topic".to_string(), topic.to_string())].into(),
            ..Problem::default()
        };
        let replies = replies.iter().map(|text| match *text {
            "cut" => Reply { ending: Ending::Truncated, ..Reply::complete("1/2") },
            text => Reply::complete(text),
        });
        Record::new(&problem, "?".into(), None, replies.collect())
    }

    fn metrics(mut records: Vec<Record>) -> Metrics {
        let grader = Grader::new(Mode::Strict);
        grade::grade(&mut records, &grader);
        aggregate(&records, &grader)
    }

    #[test]
    fn every_reply_counts_in_the_denominator() {
        let metrics = metrics(vec![
            record("a", "x", &["\\boxed{1/2}"]),
            record("b", "x", &["\\boxed{2/4}"]),
            record("c", "y", &["no idea"]),
            record("d", "y", &["cut"]),
            record("e", "y", &["it is 7"]),
        ]);
        assert_eq!((metrics.problems, metrics.replies, metrics.accuracy.value), (5, 5, 0.4));
        assert_eq!(metrics.accuracy.interval, wilson(2, 5, 0.95));
        let count = |verdict| metrics.verdicts[&verdict];
        assert_eq!(Verdict::ALL.map(count), [2, 1, 1, 1, 0, 0]);
        assert_eq!(metrics.rules["box"], RuleCount { found: 2, right: 2 });
        assert_eq!(metrics.rules["last number"].right, 0);
        let topic = &metrics.categories["topic"];
        assert_eq!((topic.values["x"].accuracy.value, topic.values["y"].problems, topic.mean), (1.0, 3, 0.5));
        assert!(metrics.at.is_empty());
    }

    #[test]
    fn samples_of_a_question_are_a_cluster_and_vote_by_equality() {
        let replies = ["\\boxed{1/2}", "\\boxed{0.5}", "\\boxed{3}", "\\boxed{6/2}", "\\boxed{3.0}", "cut"];
        let metrics = metrics(vec![record("a", "x", &replies), record("b", "x", &["\\boxed{1/2}"; 6])]);
        assert_eq!(metrics.accuracy.value, 8.0 / 12.0);
        // Question scores 1/3 and 1: half of their distance.
        assert!((metrics.accuracy.standard_error - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(metrics.at.len(), 6);
        let last = &metrics.at[5];
        assert_eq!((last.pass, last.all_right), (1.0, 0.5));
        // Of the first question 3 votes of 5 are for 3.
        assert_eq!(last.majority, Some(0.5));
        assert!((metrics.at[0].majority.unwrap() - (2.0 / 6.0 + 1.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn metrics_come_back_from_json() {
        let metrics = metrics(vec![record("a", "x", &["1/2", "3"]), record("b", "y", &["1", "2"])]);
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
    }
}
