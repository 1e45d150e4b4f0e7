//! Trials: which examples are shown with their diagnosis, and which are to be diagnosed.
//!
//! A trial shuffles the items; of every misconception the first one met is shown (train) and the last one met is asked
//! (test), in the order of meeting from either end, as the published drivers do it. With four examples of each the two
//! always differ. The shuffle of a trial depends on the seed, the experiment and the number of the trial alone.

use serde::{Deserialize, Serialize};

use super::records::{Item, Misconception, Topic};
use crate::random::Stream;

/// How the items of a trial are put into prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Experiment {
    /// One prompt with all topics.
    CrossTopic,
    /// A prompt for each topic.
    TopicConstrained,
}

impl Experiment {
    /// Both.
    pub const ALL: [Experiment; 2] = [Experiment::CrossTopic, Experiment::TopicConstrained];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Experiment::CrossTopic => "cross-topic",
            Experiment::TopicConstrained => "topic-constrained",
        }
    }
}

/// What one prompt asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The experiment.
    pub experiment: Experiment,
    /// The trial, from 0.
    pub trial: usize,
    /// The topic of a topic-constrained prompt.
    pub topic: Option<Topic>,
    /// The items that are shown with their diagnosis, by their place in the list.
    pub train: Vec<usize>,
    /// The items that are asked.
    pub test: Vec<usize>,
}

impl Batch {
    /// Its name: experiment, trial and topic, by which a run is resumed.
    pub fn name(&self) -> String {
        let topic = self.topic.map_or(String::new(), |topic| {
            let (first, last) = topic.range();
            format!("-MaE{first:02}-{last:02}")
        });
        format!("{}-{:03}{topic}", self.experiment.name(), self.trial)
    }
}

/// The batches of one trial.
pub fn trial(items: &[Item], experiment: Experiment, trial: usize, seed: u64) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    let mut random = Stream::new(&[seed, experiment as u64, trial as u64]);
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
    let train = first_of_each(items, order.iter().copied());
    let test = first_of_each(items, order.iter().rev().copied());
    let of_topic = |topic: Option<Topic>, all: &[usize]| -> Vec<usize> {
        let is_of = |at: &&usize| topic.is_none_or(|topic| items[**at].topic() == topic);
        all.iter().filter(is_of).copied().collect()
    };
    let topics = match experiment {
        Experiment::CrossTopic => vec![None],
        Experiment::TopicConstrained => Topic::ALL.into_iter().map(Some).collect(),
    };
    (topics.into_iter())
        .map(|topic| Batch {
            experiment,
            trial,
            topic,
            train: of_topic(topic, &train),
            test: of_topic(topic, &test),
        })
        .collect()
}

/// The batches of trials 0 .. `trials` of these experiments, one experiment after the other.
pub fn plan(items: &[Item], experiments: &[Experiment], trials: usize, seed: u64) -> Vec<Batch> {
    (experiments.iter())
        .flat_map(|&experiment| (0..trials).flat_map(move |number| trial(items, experiment, number, seed)))
        .collect()
}

/// How many decisions these batches ask for.
pub fn decisions(batches: &[Batch]) -> usize {
    batches.iter().map(|batch| batch.test.len()).sum()
}

fn first_of_each(items: &[Item], order: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut met = std::collections::BTreeSet::<Misconception>::new();
    order.filter(|&at| met.insert(items[at].misconception)).collect()
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::super::tests::items;
    use super::*;

    #[test]
    fn the_whole_plan_has_900_batches_and_11_000_decisions() {
        let items = items();
        let plan = plan(&items, &Experiment::ALL, 100, 20_240_701);
        assert_eq!((plan.len(), decisions(&plan)), (900, 11_000));
        let names: std::collections::BTreeSet<String> = plan.iter().map(Batch::name).collect();
        assert_eq!(names.len(), 900);
        for batch in &plan {
            let ids = |places: &[usize]| -> std::collections::BTreeSet<Misconception> {
                places.iter().map(|&at| items[at].misconception).collect()
            };
            assert!(batch.train.iter().all(|at| !batch.test.contains(at)), "{}", batch.name());
            assert_eq!(ids(&batch.train), ids(&batch.test));
            let expected: Vec<Misconception> = match batch.topic {
                Some(topic) => topic.misconceptions().collect(),
                None => Misconception::all().collect(),
            };
            assert_eq!(ids(&batch.train).into_iter().collect::<Vec<_>>(), expected);
            assert_eq!((batch.train.len(), batch.test.len()), (expected.len(), expected.len()));
        }
    }

    /// Each of the 12 ordered pairs (shown, asked) of the four examples is equally likely.
    #[test]
    fn ordered_pairs_of_examples_are_equally_frequent() {
        let items = items();
        let trials = 10_000;
        let mut counts = vec![[[0u32; 4]; 4]; 55];
        for number in 0..trials {
            for batch in trial(&items, Experiment::CrossTopic, number, 1) {
                for (train, test) in pairs(&items, &batch) {
                    let id = items[train].misconception.index();
                    counts[id][usize::from(items[train].example) - 1]
                        [usize::from(items[test].example) - 1] += 1;
                }
            }
        }
        // 660 counts of which one in 370 lies beyond 3 sigma by chance: the share beyond is judged, and none beyond 4.5.
        let p = 1.0 / 12.0;
        let sigma = (trials as f64 * p * (1.0 - p)).sqrt();
        let mut beyond = 0;
        for count in
            counts.iter().flat_map(|table| (0..16).filter(|k| k / 4 != k % 4).map(|k| table[k / 4][k % 4]))
        {
            let distance = (f64::from(count) - trials as f64 * p).abs() / sigma;
            assert!(distance < 4.5, "{distance} sigma");
            beyond += usize::from(distance > 3.0);
        }
        assert!(beyond <= 7, "{beyond} of 660 beyond 3 sigma");
        // Over all misconceptions together every pair lies within 3 sigma of 1/12.
        let total = 55.0 * trials as f64;
        for train in 0..4 {
            for test in (0..4).filter(|&test| test != train) {
                let count: u32 = counts.iter().map(|table| table[train][test]).sum();
                let distance = (f64::from(count) - total * p).abs() / (total * p * (1.0 - p)).sqrt();
                assert!(distance < 3.0, "{train} {test}: {distance} sigma");
            }
        }
        assert!(counts.iter().all(|table| (0..4).all(|k| table[k][k] == 0)));
    }

    #[test]
    fn a_trial_depends_on_seed_experiment_and_number_alone() {
        let items = items();
        let whole = plan(&items, &Experiment::ALL, 20, 7);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let keys: Vec<(Experiment, usize)> =
                Experiment::ALL.into_iter().flat_map(|e| (0..20).map(move |n| (e, n))).collect();
            let parts: Vec<Vec<Batch>> =
                pool.install(|| keys.par_iter().map(|&(e, n)| trial(&items, e, n, 7)).collect());
            assert_eq!(parts.concat(), whole);
        }
        assert_ne!(plan(&items, &Experiment::ALL, 20, 8), whole);
    }

    fn pairs(items: &[Item], batch: &Batch) -> Vec<(usize, usize)> {
        let asked = |train: usize| {
            batch.test.iter().copied().find(|&test| items[test].misconception == items[train].misconception)
        };
        batch.train.iter().filter_map(|&train| Some((train, asked(train)?))).collect()
    }
}
