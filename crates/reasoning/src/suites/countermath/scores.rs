//! Accuracy and macro F1, over all statements and by field.
//!
//! False is class 0, True class 1, and a reply without a verdict class 2. Macro F1 is the mean over the classes that
//! occur in reference or prediction, as scikit-learn takes it: the first reply without a verdict turns a mean over two
//! classes into one over three, whose third has F1 0. So the F1 over {False, True} and the number of such replies are
//! given beside it, and the F1 of always saying True.

use serde::Serialize;

use super::extract::Rule;
use super::records::Field;
use crate::statistics::Interval;
use crate::statistics::classification::Classification;
use crate::statistics::interval::{bootstrap_of, wilson};
use crate::suites::{Ending, Grade, Reply, Verdict};

const CONFIDENCE: f64 = 0.95;
const REPLICATES: usize = 1000;
const UNPARSED: u8 = 2;

/// A statement with its label, and what a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The field of the statement.
    pub field: Field,
    /// Whether it is true.
    pub truth: bool,
    /// What the reply says, if it says anything.
    pub predicted: Option<bool>,
}

/// What a reply says by a rule. A reply that failed says nothing.
pub fn verdict(rule: Rule, reply: &Reply) -> Option<bool> {
    if reply.ending == Ending::Failed { None } else { rule.verdict(&reply.text) }
}

/// The grade of a reply to a statement that is true or not, so that runs can be compared statement by statement.
pub fn grade(rule: Rule, truth: bool, reply: &Reply) -> Grade {
    let predicted = verdict(rule, reply);
    let verdict = match (predicted, reply.ending) {
        (Some(said), _) if said == truth => Verdict::Right,
        (Some(_), _) => Verdict::Wrong,
        (None, Ending::Failed) => Verdict::Error,
        (None, Ending::Refused) => Verdict::Refused,
        (None, Ending::Truncated) => Verdict::Truncated,
        (None, Ending::Complete) => Verdict::NoAnswer,
    };
    let word = |said: bool| if said { "True" } else { "False" }.to_string();
    Grade {
        verdict,
        answer: predicted.map(word),
        rule: predicted.map(|_| rule.name().to_string()),
        span: None,
        expressions: None,
        reason: match predicted {
            Some(_) => "the verdict is compared".into(),
            None => "the rule finds no verdict".into(),
        },
    }
}

/// What replies say where labels are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Replies.
    pub replies: usize,
    /// Those that say True: they agree with always saying so.
    pub said_true: usize,
    /// Those that say False.
    pub said_false: usize,
    /// Those without a verdict.
    pub unparsed: usize,
}

impl Said {
    /// Counted over verdicts.
    pub fn of(verdicts: impl IntoIterator<Item = Option<bool>>) -> Self {
        let mut said = Said::default();
        for verdict in verdicts {
            said.replies += 1;
            *match verdict {
                Some(true) => &mut said.said_true,
                Some(false) => &mut said.said_false,
                None => &mut said.unparsed,
            } += 1;
        }
        said
    }
}

/// The scores of replies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Over all statements, which is not the mean over fields.
    pub all: GroupScores,
    /// By field; fields without statements are left out.
    pub fields: Vec<(Field, GroupScores)>,
}

/// The scores of a group of statements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupScores {
    /// Statements.
    pub statements: usize,
    /// Right verdicts.
    pub right: usize,
    /// Their share.
    pub accuracy: f64,
    /// Its interval by Wilson.
    pub accuracy_interval: Interval,
    /// The mean F1 over the classes that occur.
    pub macro_f1: f64,
    /// Its interval from 1,000 resamples of statements, seed 0.
    pub macro_f1_interval: Interval,
    /// The mean F1 over False and True.
    pub f1_of_two: f64,
    /// F1 of False and of True.
    pub f1: [f64; 2],
    /// Replies without a verdict.
    pub unparsed: usize,
    /// Replies that say True, and those that say False.
    pub said: [usize; 2],
    /// The mean F1 over the classes that occur, if every reply said True.
    pub always_true: f64,
}

/// The scores of these decisions.
pub fn score(decisions: &[Decision]) -> Scores {
    let of = |field: Field| -> Vec<Decision> {
        decisions.iter().copied().filter(|decision| decision.field == field).collect()
    };
    let fields = Field::ALL.into_iter().map(|field| (field, of(field)));
    Scores {
        all: group(decisions),
        fields: fields.filter(|(_, own)| !own.is_empty()).map(|(field, own)| (field, group(&own))).collect(),
    }
}

/// Macro F1 over the classes that occur in reference or prediction, as scikit-learn's `f1_score(average="macro")`.
pub fn macro_f1(pairs: impl IntoIterator<Item = (bool, Option<bool>)>) -> f64 {
    classes(pairs).macro_over_all().f1
}

fn classes(pairs: impl IntoIterator<Item = (bool, Option<bool>)>) -> Classification<u8> {
    let class = |predicted: Option<bool>| predicted.map_or(UNPARSED, u8::from);
    Classification::of(pairs.into_iter().map(|(truth, predicted)| (u8::from(truth), class(predicted))))
}

fn group(decisions: &[Decision]) -> GroupScores {
    let pairs = || decisions.iter().map(|decision| (decision.truth, decision.predicted));
    let classes = classes(pairs());
    let count = |predicted| decisions.iter().filter(|decision| decision.predicted == predicted).count();
    let right = decisions.iter().filter(|decision| decision.predicted == Some(decision.truth)).count();
    GroupScores {
        statements: decisions.len(),
        right,
        accuracy: right as f64 / decisions.len().max(1) as f64,
        accuracy_interval: wilson(right, decisions.len(), CONFIDENCE),
        macro_f1: classes.macro_over_all().f1,
        macro_f1_interval: bootstrap_of(decisions.len(), CONFIDENCE, REPLICATES, 0, |drawn| {
            macro_f1(drawn.iter().map(|&at| (decisions[at].truth, decisions[at].predicted)))
        }),
        f1_of_two: classes.macro_over(&[0, 1]).f1,
        f1: [classes.count(&0).f1(), classes.count(&1).f1()],
        unparsed: count(None),
        said: [count(Some(true)), count(Some(false))],
        always_true: macro_f1(pairs().map(|(truth, _)| (truth, Some(true)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels with the counts of the data: 398/46, 364/65, 209/16, 97/21.
    fn labels() -> Vec<(Field, bool)> {
        let counts = [398, 46, 364, 65, 209, 16, 97, 21];
        (Field::ALL.into_iter().zip(counts.chunks(2)))
            .flat_map(|(field, counts)| {
                let of = move |truth, count| std::iter::repeat_n((field, truth), count);
                of(true, counts[0]).chain(of(false, counts[1]))
            })
            .collect()
    }

    fn scored(predict: impl Fn(usize, bool) -> Option<bool>) -> Scores {
        let decision = |(k, (field, truth)): (usize, (Field, bool))| Decision {
            field,
            truth,
            predicted: predict(k, truth),
        };
        score(&labels().into_iter().enumerate().map(decision).collect::<Vec<_>>())
    }

    #[test]
    fn constants_that_follow_from_the_counts() {
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-4, "{value} {expected}");
        let always = scored(|_, _| Some(true));
        near(always.all.macro_f1, 0.4676);
        near(always.all.accuracy, 0.8783);
        for ((_, field), (f1, accuracy)) in
            always.fields.iter().zip([(0.4727, 0.8964), (0.4590, 0.8485), (0.4816, 0.9289), (0.4512, 0.8220)])
        {
            near(field.macro_f1, f1);
            near(field.accuracy, accuracy);
            assert_eq!((field.always_true, field.unparsed), (field.macro_f1, 0));
        }
        let one_silent = scored(|k, _| (k > 0).then_some(true));
        near(one_silent.all.macro_f1, 0.3116);
        assert!(one_silent.all.f1_of_two > 0.467 && one_silent.all.unparsed == 1);
        near(scored(|k, truth| (k > 0).then_some(truth)).all.macro_f1, 0.6665);
        let right = scored(|_, truth| Some(truth));
        assert_eq!((right.all.macro_f1, right.all.f1_of_two, right.all.right), (1.0, 1.0, 1216));
        assert!(always.all.macro_f1_interval.contains(always.all.macro_f1));
        assert_eq!(score(&[]).all.statements, 0);
    }

    /// A field may hold one class alone.
    #[test]
    fn only_classes_that_occur_are_meaned() {
        assert_eq!(macro_f1([(true, Some(true)), (true, Some(true))]), 1.0);
        assert_eq!(macro_f1([(true, None), (true, None)]), 0.0);
        assert!((macro_f1([(true, Some(true)), (true, None)]) - 1.0 / 3.0).abs() < 1e-15);
    }
}
