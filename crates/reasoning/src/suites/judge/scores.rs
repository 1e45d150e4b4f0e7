//! What judges said, counted.
//!
//! A tally keeps a few bytes for each item, judge and repeat. Shares are of all items, whether or not there is a verdict
//! on them; items of one problem are a cluster. All resampling has the seed 0, so that the same verdicts give the same
//! figures.

use std::collections::HashMap;

use serde::Serialize;

use super::task::{FIRST, NO, SECOND, YES};
use super::{Item, Judgement, Kind, Label, Task};
use crate::statistics::Interval;
use crate::statistics::agreement::{
    Scale, Weights, cohen_kappa, krippendorff_alpha, krippendorff_interval, spearman,
};
use crate::statistics::interval::{Share, clustered_standard_error, mean, student_t};
use crate::statistics::paired::{McNemar, PairedDifference, mcnemar, paired_difference};
use crate::statistics::prevalence::{Corrected, Count, corrected_share};
use crate::suites::aggregate::{CONFIDENCE, Score, score};

/// The resamples of every bootstrap.
const REPLICATES: usize = 1000;

/// The name of the checker among raters.
const CHECKER: &str = "checker";

/// What judges said of the items so far.
pub struct Tally<'a> {
    task: &'a Task,
    repeats: usize,
    items: Vec<Known>,
    groups: HashMap<String, u32>,
    judges: Vec<Judge>,
}

/// What is known of an item.
struct Known {
    group: u32,
    gold: Option<Label>,
    checker: Option<Label>,
    is_asked: bool,
}

/// What a judge said.
struct Judge {
    name: String,
    /// By item.
    verdicts: Vec<Option<Label>>,
    /// By item and repeat.
    repeats: Vec<Option<Label>>,
    /// By item: how often the first and the second place was preferred.
    places: Vec<(u16, u16)>,
    tied: usize,
    consistent: usize,
    in_both_orders: usize,
    malformed: usize,
    unread: usize,
}

/// The figures of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// What was asked.
    pub kind: Kind,
    /// What could be said.
    pub labels: Vec<String>,
    /// Items.
    pub items: usize,
    /// Problems that they are cases of.
    pub problems: usize,
    /// Items with a gold label.
    pub labelled: usize,
    /// Items that were not asked about because a reply is missing.
    pub not_asked: usize,
    /// Repeats of every question.
    pub repeats: usize,
    /// The judges, in their order.
    pub judges: Vec<JudgeMetrics>,
    /// All judges together, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<JudgeMetrics>,
    /// How far raters agree, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
}

/// The figures of a judge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JudgeMetrics {
    /// Its name.
    pub name: String,
    /// Replies that were malformed.
    pub malformed: usize,
    /// Questions without any reply that could be read.
    pub unread: usize,
    /// Its verdicts.
    pub verdicts: Verdicts,
    /// Of preferences: whether it prefers a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// How far its repeats agree, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Alpha>,
    /// How far it is right, where gold labels are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// Verdicts on all items.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdicts {
    /// How often each label was given, in the order of the scale.
    pub shares: Vec<LabelShare>,
    /// Items without a verdict.
    pub none: usize,
    /// Items on which votes were tied, so that the rule of the kind decided.
    pub tied: usize,
    /// Of preferences: the first reply against the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preference>,
    /// Of numbers: their mean; none without any verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Mean>,
}

/// How often a label was given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelShare {
    /// The label.
    pub label: String,
    /// How often.
    pub items: usize,
    /// Its share of all items.
    pub share: Score,
}

/// The first replies against the second, with problems as units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preference {
    /// The mean of +1 for a win of the first, -1 for one of the second and 0 for the rest; with tests. None for fewer than
    /// two problems.
    pub difference: Option<PairedDifference>,
    /// The sign test: problems with more wins of the first, and of the second.
    pub sign: McNemar,
}

/// A mean rating.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean over items with a verdict.
    pub value: f64,
    /// Its standard error, with the items of a problem as a cluster.
    pub standard_error: f64,
    /// Its interval by Student's t.
    pub interval: Interval,
    /// Items with a verdict.
    pub items: usize,
}

/// Whether a judge prefers a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Position {
    /// Repeats with a label in both orders.
    pub in_both_orders: usize,
    /// Those whose orders say the same of the replies.
    pub consistent: usize,
    /// Replies that prefer a place.
    pub decided: usize,
    /// The share of these that prefers the first place; problems are clusters.
    pub first: Score,
    /// The exact test that both places are preferred as often: over problems in which one place was preferred more often,
    /// the first and the second. As every case is asked in both orders, a judge without bias has as many of each.
    pub test: McNemar,
}

/// Krippendorff's alpha.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Alpha {
    /// Alpha; none where it is not defined.
    pub alpha: Option<f64>,
    /// Its percentile interval from 1,000 resamples of items.
    pub interval: Option<Interval>,
    /// The scale.
    pub scale: Scale,
    /// Items with two ratings or more.
    pub items: usize,
}

/// How far raters agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The raters: judges by their verdicts, and perhaps the checker.
    pub raters: Vec<String>,
    /// All together.
    #[serde(flatten)]
    pub alpha: Alpha,
    /// Two at a time.
    pub pairs: Vec<Pair>,
}

/// Two raters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// Items that both rated.
    pub items: usize,
    /// The share of these on which they say the same; none of no items.
    pub same: Option<f64>,
    /// Cohen's kappa; none where it is not defined.
    pub kappa: Option<f64>,
    /// Kappa with quadratic weights, on scales with an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quadratic_kappa: Option<f64>,
}

/// A judge against gold labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Items with a gold label.
    pub items: usize,
    /// Counts by gold label (rows) and verdict (columns), in the order of the labels; the last column is no verdict.
    pub confusion: Vec<Vec<usize>>,
    /// The share of items with a gold label whose verdict is that label.
    pub accuracy: Score,
    /// The mean of these shares over gold labels; what is said without looking has 1 / (their number).
    pub balanced_accuracy: f64,
    /// Cohen's kappa over items with a verdict; none where it is not defined.
    pub kappa: Option<f64>,
    /// Krippendorff's alpha of judge and gold.
    pub alpha: Alpha,
    /// Of correctness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yes: Option<Yes>,
    /// Of scores with an order, if there is a verdict on an item with a gold label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
}

/// How a judge that says yes or no errs, and what its yes is worth, by the items that it was asked about. What is no yes counts as a no
/// here, so that items without a verdict stay in the denominators.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Yes {
    /// Of items whose gold label is yes, the share with a yes; none without such items.
    pub sensitivity: Option<Score>,
    /// Of items whose gold label is no, the share without a yes.
    pub specificity: Option<Score>,
    /// Items without a gold label that it was asked about.
    pub rest: usize,
    /// The share of these with a yes, as the judge says.
    pub said: Score,
    /// The share of these that is right, corrected for the errors of the judge.
    pub corrected: Option<Corrected>,
    /// Why it cannot be corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncorrected: Option<String>,
}

/// How far ratings are from gold, over items with both. Categories count as 0, 1, 2 ...
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// The mean of verdict - gold.
    pub mean: f64,
    /// The mean distance.
    pub absolute: f64,
    /// Spearman's rank correlation; none where it is not defined.
    pub spearman: Option<f64>,
    /// Kappa with quadratic weights; none where it is not defined.
    pub quadratic_kappa: Option<f64>,
}

impl<'a> Tally<'a> {
    /// Nothing yet.
    pub fn new(task: &'a Task, repeats: usize) -> Self {
        Tally { task, repeats, items: Vec::new(), groups: HashMap::new(), judges: Vec::new() }
    }

    /// What is added from now on comes from this judge.
    pub fn begin(&mut self, judge: impl Into<String>) {
        self.judges.push(Judge {
            name: judge.into(),
            verdicts: Vec::with_capacity(self.items.len()),
            repeats: Vec::new(),
            places: Vec::new(),
            tied: 0,
            consistent: 0,
            in_both_orders: 0,
            malformed: 0,
            unread: 0,
        });
    }

    /// Adds the judgement of the present judge on the next item. All judges have the same items in the same order.
    ///
    /// # Panics
    /// If no judge has begun.
    pub fn add(&mut self, item: &Item, judgement: &Judgement) {
        let judge = self.judges.last_mut().expect("a judge has begun");
        if judge.verdicts.len() == self.items.len() {
            let next = self.groups.len() as u32;
            let group = match self.groups.get(&item.group) {
                Some(group) => *group,
                None => *self.groups.entry(item.group.clone()).or_insert(next),
            };
            let is_asked = !item.replies.is_empty();
            self.items.push(Known { group, gold: item.gold, checker: item.checker, is_asked });
        }
        judge.verdicts.push(judgement.verdict);
        judge.tied += usize::from(judgement.is_tied);
        let repeats = judgement.repeats.iter().map(|repeat| repeat.verdict);
        judge.repeats.extend(repeats.chain(std::iter::repeat(None)).take(self.repeats));
        let mut places = (0, 0);
        for repeat in &judgement.repeats {
            for said in &repeat.said {
                judge.malformed += said.malformed;
                judge.unread += usize::from(said.label.is_none());
                if self.task.kind == Kind::Preference {
                    places.0 += u16::from(said.label == Some(FIRST));
                    places.1 += u16::from(said.label == Some(SECOND));
                }
            }
            if let Some(is_consistent) = repeat.is_consistent() {
                judge.in_both_orders += 1;
                judge.consistent += usize::from(is_consistent);
            }
        }
        judge.places.push(places);
    }

    /// The figures of all that was added.
    pub fn metrics(&self) -> Metrics {
        let together = (self.judges.len() > 1).then(|| self.together());
        let judges = self.judges.iter().map(|judge| {
            let position = (self.task.kind == Kind::Preference).then(|| self.position(judge));
            let repeats = (self.repeats > 1).then(|| {
                let units: Vec<Vec<Option<f64>>> =
                    judge.repeats.chunks(self.repeats).map(|labels| self.values(labels)).collect();
                self.alpha(&units)
            });
            JudgeMetrics {
                name: judge.name.clone(),
                malformed: judge.malformed,
                unread: judge.unread,
                verdicts: self.verdicts(&judge.verdicts, judge.tied),
                position,
                repeats,
                calibration: self.calibration(&judge.verdicts),
            }
        });
        Metrics {
            kind: self.task.kind,
            labels: self.task.labels.names.clone(),
            items: self.items.len(),
            problems: self.groups.len(),
            labelled: self.items.iter().filter(|item| item.gold.is_some()).count(),
            not_asked: self.items.iter().filter(|item| !item.is_asked).count(),
            repeats: self.repeats,
            judges: judges.collect(),
            together,
            agreement: self.agreement(),
        }
    }

    fn together(&self) -> JudgeMetrics {
        let voted = (0..self.items.len())
            .map(|item| self.task.together(self.judges.iter().map(|judge| judge.verdicts[item])));
        let (verdicts, tied): (Vec<Option<Label>>, Vec<bool>) = voted.unzip();
        JudgeMetrics {
            name: "all judges together".into(),
            malformed: self.judges.iter().map(|judge| judge.malformed).sum(),
            unread: self.judges.iter().map(|judge| judge.unread).sum(),
            verdicts: self.verdicts(&verdicts, tied.into_iter().filter(|is_tied| *is_tied).count()),
            position: None,
            repeats: None,
            calibration: self.calibration(&verdicts),
        }
    }

    fn values(&self, labels: &[Option<Label>]) -> Vec<Option<f64>> {
        labels.iter().map(|label| label.map(|label| self.task.labels.value(label))).collect()
    }

    fn alpha(&self, units: &[Vec<Option<f64>>]) -> Alpha {
        let scale = self.task.labels.scale;
        Alpha {
            alpha: krippendorff_alpha(units, scale),
            interval: krippendorff_interval(units, scale, CONFIDENCE, REPLICATES, 0),
            scale,
            items: units.iter().filter(|unit| unit.iter().flatten().count() > 1).count(),
        }
    }

    /// Of the items for which `part` says anything, the share for which it says yes, by problems.
    fn share_of(&self, part: impl Fn(usize) -> Option<bool>) -> Score {
        let mut shares = vec![Share::default(); self.groups.len()];
        for (number, item) in self.items.iter().enumerate() {
            if let Some(is_part) = part(number) {
                let share = &mut shares[item.group as usize];
                share.samples += 1;
                share.right += u32::from(is_part);
            }
        }
        shares.retain(|share| share.samples > 0);
        score(&shares)
    }

    fn verdicts(&self, verdicts: &[Option<Label>], tied: usize) -> Verdicts {
        let labels = &self.task.labels;
        let shares = (0..labels.len() as Label).map(|label| LabelShare {
            label: labels.name(label).to_string(),
            items: verdicts.iter().filter(|verdict| **verdict == Some(label)).count(),
            share: self.share_of(|item| Some(verdicts[item] == Some(label))),
        });
        Verdicts {
            shares: shares.collect(),
            none: verdicts.iter().filter(|verdict| verdict.is_none()).count(),
            tied,
            preference: (self.task.kind == Kind::Preference).then(|| self.preference(verdicts)),
            mean: labels.are_numbers.then(|| self.mean(verdicts)).flatten(),
        }
    }

    fn preference(&self, verdicts: &[Option<Label>]) -> Preference {
        let mut groups = vec![(0.0, 0.0, 0.0); self.groups.len()];
        for (item, verdict) in self.items.iter().zip(verdicts) {
            let (first, second, items) = &mut groups[item.group as usize];
            *items += 1.0;
            match *verdict {
                Some(FIRST) => *first += 1.0,
                Some(SECOND) => *second += 1.0,
                _ => {}
            }
        }
        let pairs: Vec<(f64, f64)> =
            groups.iter().map(|(first, second, items)| (first / items, second / items)).collect();
        let more = |is: fn(&(f64, f64)) -> bool| pairs.iter().filter(|pair| is(pair)).count();
        Preference {
            difference: paired_difference(&pairs, CONFIDENCE, 0),
            sign: mcnemar(more(|(first, second)| first > second), more(|(first, second)| first < second)),
        }
    }

    fn mean(&self, verdicts: &[Option<Label>]) -> Option<Mean> {
        let mut groups: Vec<Vec<f64>> = vec![Vec::new(); self.groups.len()];
        for (item, verdict) in self.items.iter().zip(verdicts) {
            groups[item.group as usize].extend(verdict.map(|label| self.task.labels.value(label)));
        }
        groups.retain(|values| !values.is_empty());
        let items: usize = groups.iter().map(Vec::len).sum();
        (items > 0).then(|| Mean {
            value: groups.iter().flatten().sum::<f64>() / items as f64,
            standard_error: clustered_standard_error(&groups),
            interval: student_t(&groups, CONFIDENCE),
            items,
        })
    }

    fn position(&self, judge: &Judge) -> Position {
        let mut groups = vec![(0u32, 0u32); self.groups.len()];
        for (item, places) in self.items.iter().zip(&judge.places) {
            let group = &mut groups[item.group as usize];
            group.0 += u32::from(places.0);
            group.1 += u32::from(places.1);
        }
        let decided: Vec<Share> = (groups.iter())
            .map(|(first, second)| Share { right: *first, samples: first + second })
            .filter(|share| share.samples > 0)
            .collect();
        let more = |is: fn(&(u32, u32)) -> bool| groups.iter().filter(|group| is(group)).count();
        Position {
            in_both_orders: judge.in_both_orders,
            consistent: judge.consistent,
            decided: decided.iter().map(|share| share.samples as usize).sum(),
            first: score(&decided),
            test: mcnemar(more(|(first, second)| first > second), more(|(first, second)| first < second)),
        }
    }

    fn agreement(&self) -> Option<Agreement> {
        let mut raters: Vec<(&str, Vec<Option<Label>>)> =
            self.judges.iter().map(|judge| (judge.name.as_str(), judge.verdicts.clone())).collect();
        if self.items.iter().any(|item| item.checker.is_some()) {
            raters.push((CHECKER, self.items.iter().map(|item| item.checker).collect()));
        }
        if raters.len() < 2 {
            return None;
        }
        let units: Vec<Vec<Option<f64>>> = (0..self.items.len())
            .map(|item| {
                let labels: Vec<Option<Label>> = raters.iter().map(|(_, labels)| labels[item]).collect();
                self.values(&labels)
            })
            .collect();
        let mut pairs = Vec::new();
        for (number, (first, ours)) in raters.iter().enumerate() {
            for (second, theirs) in &raters[number + 1..] {
                let both = labels_of_both(ours, theirs);
                pairs.push(Pair {
                    first: first.to_string(),
                    second: second.to_string(),
                    items: both.len(),
                    same: (!both.is_empty())
                        .then(|| both.iter().filter(|(a, b)| a == b).count() as f64 / both.len() as f64),
                    kappa: self.kappa(&both, Weights::Same),
                    quadratic_kappa: self.quadratic_kappa(&both),
                });
            }
        }
        let raters = raters.iter().map(|(name, _)| name.to_string()).collect();
        Some(Agreement { raters, alpha: self.alpha(&units), pairs })
    }

    fn kappa(&self, both: &[(usize, usize)], weights: Weights) -> Option<f64> {
        cohen_kappa(both, self.task.labels.len(), weights)
    }

    fn quadratic_kappa(&self, both: &[(usize, usize)]) -> Option<f64> {
        let is_ordered = self.task.labels.scale != Scale::Nominal;
        is_ordered.then(|| self.kappa(both, Weights::Quadratic)).flatten()
    }

    fn calibration(&self, verdicts: &[Option<Label>]) -> Option<Calibration> {
        let gold: Vec<Option<Label>> = self.items.iter().map(|item| item.gold).collect();
        let items = gold.iter().flatten().count();
        if items == 0 {
            return None;
        }
        let labels = &self.task.labels;
        let mut confusion = vec![vec![0; labels.len() + 1]; labels.len()];
        for (gold, verdict) in gold.iter().zip(verdicts) {
            if let Some(gold) = gold {
                confusion[usize::from(*gold)][verdict.map_or(labels.len(), usize::from)] += 1;
            }
        }
        let recalls: Vec<f64> = (confusion.iter().enumerate())
            .filter_map(|(label, row)| {
                let all: usize = row.iter().sum();
                (all > 0).then(|| row[label] as f64 / all as f64)
            })
            .collect();
        let both = labels_of_both(&gold, verdicts);
        let units: Vec<Vec<Option<f64>>> =
            gold.iter().zip(verdicts).map(|(gold, verdict)| self.values(&[*gold, *verdict])).collect();
        let is_ordered_score = self.task.kind == Kind::Score && labels.scale != Scale::Nominal;
        Some(Calibration {
            items,
            confusion,
            accuracy: self.share_of(|item| gold[item].map(|gold| verdicts[item] == Some(gold))),
            balanced_accuracy: mean(&recalls),
            kappa: self.kappa(&both, Weights::Same),
            alpha: self.alpha(&units),
            yes: (self.task.kind == Kind::Correctness).then(|| self.yes(&gold, verdicts)),
            errors: (is_ordered_score && !both.is_empty()).then(|| self.errors(&both)),
        })
    }

    fn yes(&self, gold: &[Option<Label>], verdicts: &[Option<Label>]) -> Yes {
        let says = |item: usize| verdicts[item] == Some(YES);
        let is_part = |item: usize, label: Option<Label>| self.items[item].is_asked && gold[item] == label;
        let count = |label: Option<Label>| {
            let of = (0..gold.len()).filter(|item| is_part(*item, label));
            Count { said: of.clone().filter(|item| says(*item)).count(), of: of.count() }
        };
        let [positive, negative, rest] = [Some(YES), Some(NO), None].map(count);
        let rate = |label: Label, yes: bool| {
            let found = self.share_of(|item| is_part(item, Some(label)).then(|| says(item) == yes));
            (count(Some(label)).of > 0).then_some(found)
        };
        let corrected = corrected_share(positive, negative, rest, CONFIDENCE, REPLICATES, 0);
        Yes {
            sensitivity: rate(YES, true),
            specificity: rate(NO, false),
            rest: rest.of,
            said: self.share_of(|item| is_part(item, None).then(|| says(item))),
            uncorrected: corrected.as_ref().err().map(ToString::to_string),
            corrected: corrected.ok(),
        }
    }

    fn errors(&self, both: &[(usize, usize)]) -> Errors {
        let value = |label: usize| self.task.labels.values[label];
        let values: Vec<(f64, f64)> = both.iter().map(|(gold, said)| (value(*gold), value(*said))).collect();
        let differences: Vec<f64> = values.iter().map(|(gold, said)| said - gold).collect();
        let distances: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
        Errors {
            mean: mean(&differences),
            absolute: mean(&distances),
            spearman: spearman(&values),
            quadratic_kappa: self.quadratic_kappa(both),
        }
    }
}

/// The pairs of what both said.
fn labels_of_both(first: &[Option<Label>], second: &[Option<Label>]) -> Vec<(usize, usize)> {
    let both = first.iter().zip(second).filter_map(|(a, b)| a.zip(*b));
    both.map(|(a, b)| (usize::from(a), usize::from(b))).collect()
}
