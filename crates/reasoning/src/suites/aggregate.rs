//! The third stage: scores of graded records.
//!
//! The score of a question is the share of its samples that are right; the accuracy is the mean over the questions. With
//! one sample of each its interval is Wilson's; with several the samples of one question depend on each other, and the
//! interval is that of Student's t over the questions.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::carp::{Accuracy, ExpressionScores};
use super::options::{OptionScores, OptionTally};
use super::{Grader, Record, Trajectories, Verdict};
use crate::statistics::Interval;
use crate::statistics::interval::{Share, bootstrap, clustered_standard_error, mean, student_t, wilson};
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
    /// Scores by likelihood, where options were scored and nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<OptionScores>,
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

/// The scores of a run, added up record by record, so that a run of any length takes a few bytes for each problem.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    shares: Vec<Share>,
    verdicts: BTreeMap<Verdict, usize>,
    rules: BTreeMap<String, RuleCount>,
    /// The numbers of the problems by category and value.
    categories: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
    /// The sums of maj@k for k = 1 ..; as long as the shortest record.
    votes: Option<Vec<f64>>,
    options: OptionTally,
    expressions: Vec<Accuracy>,
    trajectories: Trajectories,
}

/// maj@k of a graded record for k = 1 ..: what [`Tally::add`] needs besides it. `grader` is the one that judged.
pub fn votes(record: &Record, grader: &Grader) -> Vec<f64> {
    if record.grades.len() < 2 {
        return vec![0.0; record.grades.len()];
    }
    let (classes, missing) = answer_classes(record, grader);
    majority_at_k(&classes, missing)
}

impl Tally {
    /// Adds a graded record with its votes.
    pub fn add(&mut self, record: &Record, votes: &[f64]) {
        let number = self.shares.len() as u32;
        self.shares.push(share(record));
        for grade in &record.grades {
            *self.verdicts.entry(grade.verdict).or_default() += 1;
            if let Some(rule) = &grade.rule {
                if !self.rules.contains_key(rule) {
                    self.rules.insert(rule.clone(), RuleCount::default());
                }
                let count = self.rules.get_mut(rule).expect("just put there");
                count.found += 1;
                count.right += usize::from(grade.verdict == Verdict::Right);
            }
        }
        self.options.add(record);
        self.expressions.extend(record.grades.iter().filter_map(|grade| grade.expressions.clone()));
        self.trajectories.add(record);
        for (category, value) in &record.categories {
            let values = self.categories.entry(category.clone()).or_default();
            values.entry(value.clone()).or_default().push(number);
        }
        let sums = self.votes.get_or_insert_with(|| vec![0.0; votes.len()]);
        sums.truncate(votes.len());
        sums.iter_mut().zip(votes).for_each(|(sum, vote)| *sum += vote);
    }

    /// The share of right replies so far.
    pub fn accuracy(&self) -> Score {
        score(&self.shares)
    }

    /// How many records there are.
    pub fn problems(&self) -> usize {
        self.shares.len()
    }

    /// All scores.
    pub fn metrics(&self, grader: &Grader) -> Metrics {
        let categories = (self.categories.iter())
            .map(|(category, values)| {
                let values: BTreeMap<String, CategoryScore> = (values.iter())
                    .map(|(value, numbers)| {
                        let shares: Vec<Share> =
                            numbers.iter().map(|&number| self.shares[number as usize]).collect();
                        let accuracy = score(&shares);
                        (value.clone(), CategoryScore { problems: shares.len(), accuracy })
                    })
                    .collect();
                let means: Vec<f64> = values.values().map(|score| score.accuracy.value).collect();
                (category.clone(), Category { mean: mean(&means), values })
            })
            .collect();
        let mut verdicts: BTreeMap<Verdict, usize> =
            Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
        verdicts.extend(&self.verdicts);
        let drawn = bootstrap(&self.shares, CONFIDENCE, REPLICATES, 0);
        Metrics {
            grader: grader.name(),
            problems: self.shares.len(),
            replies: verdicts.values().sum(),
            accuracy: self.accuracy(),
            bootstrap: Interval { low: drawn.low.max(0.0), high: drawn.high.min(1.0) },
            verdicts,
            rules: self.rules.clone(),
            at: self.at(),
            categories,
            options: self.options.scores(self.shares.len()),
            expressions: ExpressionScores::of(&self.expressions),
            trajectories: (self.trajectories.replies > 0).then(|| self.trajectories.clone()),
        }
    }

    /// The scores at every number of samples that all questions have; none for fewer than two.
    fn at(&self) -> Vec<ScoreAt> {
        let most = self.shares.iter().map(|share| share.samples as usize).min().unwrap_or(0);
        if most < 2 {
            return Vec::new();
        }
        // Many questions have equally many samples and right ones.
        let mut kinds: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for share in &self.shares {
            *kinds.entry((share.samples as usize, share.right as usize)).or_default() += 1.0;
        }
        let problems = self.shares.len() as f64;
        let average = |score: &dyn Fn(usize, usize) -> Option<f64>| {
            kinds.iter().filter_map(|(&(n, c), count)| Some(score(n, c)? * count)).sum::<f64>() / problems
        };
        let votes = self.votes.as_deref().unwrap_or_default();
        (1..=most)
            .map(|k| ScoreAt {
                k,
                pass: average(&|n, c| pass_at_k(n, c, k)),
                all_right: average(&|n, c| all_right_at_k(n, c, k)),
                g_pass_half: average(&|n, c| g_pass_at_k(n, c, k, 0.5)),
                mean_g_pass: average(&|n, c| mean_g_pass_at_k(n, c, k)),
                majority: votes.get(k - 1).map(|sum| sum / problems),
            })
            .collect()
    }
}

/// How many replies to a question are right.
pub fn share(record: &Record) -> Share {
    let right = record.grades.iter().filter(|grade| grade.verdict == Verdict::Right).count();
    Share { right: right as u32, samples: record.grades.len() as u32 }
}

/// The share of right replies among those of some questions.
pub fn score(shares: &[Share]) -> Score {
    let (right, samples) = shares.iter().fold((0, 0), |(right, samples), share| {
        (right + share.right as usize, samples + share.samples as usize)
    });
    let interval = if shares.iter().all(|share| share.samples <= 1) {
        wilson(right, samples, CONFIDENCE)
    } else {
        let Interval { low, high } = student_t(shares, CONFIDENCE);
        Interval { low: low.max(0.0), high: high.min(1.0) }
    };
    let value = if samples == 0 { 0.0 } else { right as f64 / samples as f64 };
    Score { value, standard_error: clustered_standard_error(shares), interval }
}

/// The scores of graded records. `grader` is the one that judged them; votes need it.
pub fn aggregate(records: &[Record], grader: &Grader) -> Metrics {
    let votes: Vec<Vec<f64>> = records.par_iter().map(|record| votes(record, grader)).collect();
    let mut tally = Tally::default();
    records.iter().zip(&votes).for_each(|(record, votes)| tally.add(record, votes));
    tally.metrics(grader)
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
