//! Scores of diagnoses, for each trial and over all of them.
//!
//! A diagnosis is right if it names the id. Every decision counts, also where there is no reply. Macro averages are given
//! over the 55 true labels, and over all labels that occur, as scikit-learn's report takes them: there every odd label
//! is a class of value 0. (The published script prints right decisions divided by rows and calls it precision, and right
//! decisions divided by the number of different ids and calls it recall, which exceeds 1.)

use std::collections::BTreeMap;

use serde::Serialize;

use super::records::{MISCONCEPTIONS, Misconception, Topic};
use super::replies::Predicted;
use crate::statistics::Interval;
use crate::statistics::classification::{Classification, Macro};
use crate::statistics::interval::{bootstrap, bootstrap_of, wilson};

/// The confidence of all intervals.
const CONFIDENCE: f64 = 0.95;
/// Resamples of the bootstrap.
const REPLICATES: usize = 1000;

/// One test example and what was said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The trial.
    pub trial: usize,
    /// Which example of the misconception was asked.
    pub example: u8,
    /// The misconception.
    pub truth: Misconception,
    /// What was predicted.
    pub predicted: Predicted,
}

impl Decision {
    /// Whether the id is the right one.
    pub fn is_right(&self) -> bool {
        self.predicted == Predicted::Id(self.truth)
    }

    /// Whether the id belongs at least to the right topic.
    pub fn is_in_topic(&self) -> bool {
        matches!(self.predicted, Predicted::Id(id) if id.topic() == self.truth.topic())
    }
}

/// The scores of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Trials.
    pub trials: usize,
    /// Decisions.
    pub decisions: usize,
    /// Right ones.
    pub right: usize,
    /// Their share.
    pub accuracy: f64,
    /// Its interval from 1,000 resamples of trials, seed 0.
    pub interval: Interval,
    /// The share of decisions whose id lies in the right topic.
    pub topic_match: f64,
    /// Means over the 55 true labels.
    pub macro_true: Macro,
    /// The interval of the mean F1 over the true labels, from 1,000 resamples of trials, seed 0.
    pub macro_f1_interval: Interval,
    /// Means over all labels that occur.
    pub macro_all: Macro,
    /// By topic.
    pub topics: Vec<TopicScore>,
    /// By misconception.
    pub labels: Vec<LabelScore>,
    /// By trial.
    pub by_trial: Vec<TrialScore>,
    /// Decisions by what kind of prediction they had.
    pub kinds: BTreeMap<&'static str, usize>,
    /// What was said instead of an id of the catalogue, and how often.
    pub other_labels: BTreeMap<String, usize>,
    /// How often each misconception (row) was taken for each (column); the last column is for everything else.
    pub confusion: Vec<Vec<usize>>,
}

/// The scores of a topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopicScore {
    /// The topic.
    pub topic: Topic,
    /// Decisions.
    pub decisions: usize,
    /// The share of right ones.
    pub accuracy: f64,
    /// Its interval by Wilson, as if decisions were independent.
    pub interval: Interval,
    /// The share of decisions whose id lies in the topic.
    pub topic_match: f64,
    /// Means over the labels of the topic, predictions of all decisions counted.
    pub macro_true: Macro,
}

/// The scores of a misconception.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelScore {
    /// The misconception.
    pub misconception: Misconception,
    /// Decisions about it.
    pub decisions: usize,
    /// Precision, recall and F1.
    pub values: Macro,
}

/// The scores of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialScore {
    /// The trial.
    pub trial: usize,
    /// Decisions.
    pub decisions: usize,
    /// The share of right ones.
    pub accuracy: f64,
    /// The share of decisions whose id lies in the right topic.
    pub topic_match: f64,
    /// Means over the 55 true labels.
    pub macro_true: Macro,
    /// Means over all labels that occur.
    pub macro_all: Macro,
}

/// The scores of decisions.
pub fn score(decisions: &[Decision]) -> Scores {
    let mut trials: BTreeMap<usize, Vec<&Decision>> = BTreeMap::new();
    for decision in decisions {
        trials.entry(decision.trial).or_default().push(decision);
    }
    let all: Vec<&Decision> = decisions.iter().collect();
    let classes = classification(all.iter().copied());
    let mut kinds = BTreeMap::new();
    let mut other_labels = BTreeMap::new();
    let mut confusion = vec![vec![0; MISCONCEPTIONS + 1]; MISCONCEPTIONS];
    for decision in decisions {
        *kinds.entry(decision.predicted.kind()).or_insert(0) += 1;
        if let Predicted::Label(label) = &decision.predicted {
            *other_labels.entry(label.clone()).or_insert(0) += 1;
        }
        let column = match &decision.predicted {
            Predicted::Id(id) => id.index(),
            _ => MISCONCEPTIONS,
        };
        confusion[decision.truth.index()][column] += 1;
    }
    let rights: Vec<Vec<f64>> = (trials.values())
        .map(|trial| trial.iter().map(|decision| f64::from(u8::from(decision.is_right()))).collect())
        .collect();
    let counts: Vec<Counts> = trials.values().map(|trial| Counts::of(trial)).collect();
    Scores {
        trials: trials.len(),
        decisions: decisions.len(),
        right: decisions.iter().filter(|decision| decision.is_right()).count(),
        accuracy: share(&all, Decision::is_right),
        interval: bootstrap(&rights, CONFIDENCE, REPLICATES, 0),
        topic_match: share(&all, Decision::is_in_topic),
        macro_true: over_true(&classes),
        macro_f1_interval: bootstrap_of(counts.len(), CONFIDENCE, REPLICATES, 0, |drawn| {
            Counts::mean_f1(drawn.iter().map(|&at| &counts[at]))
        }),
        macro_all: classes.macro_over_all(),
        topics: Topic::ALL.into_iter().map(|topic| topic_score(topic, &all, &classes)).collect(),
        labels: Misconception::all().map(|id| label_score(id, &all, &classes)).collect(),
        by_trial: trials.into_iter().map(|(trial, decisions)| trial_score(trial, &decisions)).collect(),
        kinds,
        other_labels,
        confusion,
    }
}

fn share(decisions: &[&Decision], is: fn(&Decision) -> bool) -> f64 {
    decisions.iter().filter(|decision| is(decision)).count() as f64 / decisions.len().max(1) as f64
}

fn classification<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Classification<String> {
    Classification::of(decisions.map(|decision| (decision.truth.to_string(), decision.predicted.label())))
}

fn over_true(classes: &Classification<String>) -> Macro {
    classes.macro_over(&Misconception::all().map(|id| id.to_string()).collect::<Vec<_>>())
}

fn topic_score(topic: Topic, decisions: &[&Decision], classes: &Classification<String>) -> TopicScore {
    let own: Vec<&Decision> =
        decisions.iter().copied().filter(|decision| decision.truth.topic() == topic).collect();
    let right = own.iter().filter(|decision| decision.is_right()).count();
    TopicScore {
        topic,
        decisions: own.len(),
        accuracy: share(&own, Decision::is_right),
        interval: wilson(right, own.len(), CONFIDENCE),
        topic_match: share(&own, Decision::is_in_topic),
        macro_true: classes.macro_over(&topic.misconceptions().map(|id| id.to_string()).collect::<Vec<_>>()),
    }
}

fn label_score(id: Misconception, decisions: &[&Decision], classes: &Classification<String>) -> LabelScore {
    let count = classes.count(&id.to_string());
    LabelScore {
        misconception: id,
        decisions: decisions.iter().filter(|decision| decision.truth == id).count(),
        values: Macro { precision: count.precision(), recall: count.recall(), f1: count.f1() },
    }
}

fn trial_score(trial: usize, decisions: &[&Decision]) -> TrialScore {
    let classes = classification(decisions.iter().copied());
    TrialScore {
        trial,
        decisions: decisions.len(),
        accuracy: share(decisions, Decision::is_right),
        topic_match: share(decisions, Decision::is_in_topic),
        macro_true: over_true(&classes),
        macro_all: classes.macro_over_all(),
    }
}

/// How often every true label was named by both, and by either, in a trial: what the bootstrap adds up.
struct Counts {
    both: [u32; MISCONCEPTIONS],
    either: [u32; MISCONCEPTIONS],
}

impl Counts {
    fn of(decisions: &[&Decision]) -> Self {
        let mut counts = Counts { both: [0; MISCONCEPTIONS], either: [0; MISCONCEPTIONS] };
        for decision in decisions {
            counts.both[decision.truth.index()] += u32::from(decision.is_right());
            counts.either[decision.truth.index()] += 1;
            if let Predicted::Id(id) = decision.predicted {
                counts.either[id.index()] += 1;
            }
        }
        counts
    }

    /// F1 = 2 TP / (references + predictions), meaned over the labels.
    fn mean_f1<'a>(counts: impl Iterator<Item = &'a Counts>) -> f64 {
        let (mut both, mut either) = ([0u32; MISCONCEPTIONS], [0u32; MISCONCEPTIONS]);
        for one in counts {
            for k in 0..MISCONCEPTIONS {
                both[k] += one.both[k];
                either[k] += one.either[k];
            }
        }
        let f1 = |k: usize| if both[k] == 0 { 0.0 } else { f64::from(2 * both[k]) / f64::from(either[k]) };
        (0..MISCONCEPTIONS).map(f1).sum::<f64>() / MISCONCEPTIONS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(trial: usize, truth: u64, label: &str) -> Decision {
        let truth = Misconception::numbered(truth).unwrap();
        Decision { trial, example: 1, truth, predicted: Predicted::from_label(label) }
    }

    #[test]
    fn every_decision_counts_and_odd_labels_are_classes_of_their_own() {
        let decisions = [
            decision(0, 1, "MaE01"),
            decision(0, 2, "MaE01"),
            decision(0, 6, "MaE00"),
            decision(1, 1, "MaE01"),
            decision(1, 2, "MaE06"),
            decision(1, 6, ""),
        ];
        let scores = score(&decisions);
        assert_eq!((scores.trials, scores.decisions, scores.right), (2, 6, 2));
        assert_eq!((scores.accuracy, scores.topic_match), (1.0 / 3.0, 0.5));
        // MaE01: precision 2/3, recall 1; MaE02 and MaE06 nothing; 55 labels, or MaE01, 02, 06, 00 and the empty one.
        assert!((scores.macro_true.f1 - 0.8 / 55.0).abs() < 1e-15);
        assert!((scores.macro_all.f1 - 0.8 / 5.0).abs() < 1e-15);
        assert!((scores.macro_all.precision - 2.0 / 3.0 / 5.0).abs() < 1e-15);
        assert_eq!(scores.kinds, BTreeMap::from([("id", 4), ("id out of range", 1), ("missing", 1)]));
        assert_eq!(scores.other_labels, BTreeMap::from([("MaE00".to_string(), 1)]));
        assert_eq!((scores.confusion[0][0], scores.confusion[1][5], scores.confusion[5][55]), (2, 1, 2));
        assert_eq!(scores.confusion.iter().flatten().sum::<usize>(), 6);
        assert_eq!((scores.topics[0].decisions, scores.topics[0].accuracy), (4, 0.5));
        assert_eq!(scores.by_trial[1].accuracy, 1.0 / 3.0);
        let all: Vec<&Decision> = decisions.iter().collect();
        let once = Counts::mean_f1([&Counts::of(&all)].into_iter());
        assert!((once - scores.macro_true.f1).abs() < 1e-15);
        assert!(scores.macro_f1_interval.contains(scores.macro_true.f1));
        assert_eq!(score(&[]).decisions, 0);
    }
}
