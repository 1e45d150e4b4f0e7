//! Tasks made by rule that tell layers along sequences apart: recall and copying.

use mathesis_algebra::random::{Sequence, Stream};
use mathesis_networks::sequence::Documents;
use serde::{Deserialize, Serialize};

use super::{Batch, Side, Source};

/// Recall of several values by their keys (multi-query associative recall, MQAR; Arora and others, 2024).
///
/// A row begins with pairs of keys and values, `k₁ v₁ k₂ v₂ …`, keys drawn without replacement from `1 .. V/2 − 1` and values
/// from `V/2 .. V − 1`. Then every key is asked for once: the key of pair `j` stands at `2D + 2 gap_j`, and the label there is
/// its value. The gaps are drawn without replacement from `0 .. (n − 2D)/2 − 1`, gap `i` in proportion to
/// `a (i + 1)^(a − 1)`. All other places hold 0 and have no label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recall {
    /// Tokens in a row, `n`; even.
    pub length: usize,
    /// Pairs of a key and a value, `D`.
    pub pairs: usize,
    /// Tokens in the vocabulary, `V`; even.
    pub vocabulary: usize,
    /// How near to the pairs the queries are, `a`.
    pub power: f64,
    /// Different examples, which come in the same order again and again; without it, no two are the same.
    pub examples: Option<u64>,
}

impl Default for Recall {
    fn default() -> Self {
        Recall { length: 64, pairs: 4, vocabulary: 8192, power: 0.01, examples: None }
    }
}

/// Copying: random symbols, a separator, and the symbols again, which are to be predicted.
///
/// The separator is token 0. A row is `s₁ … s_L 0 s₁ … s_{L−1}`, of `2L` tokens, and the last `L` places have labels `s₁ … s_L`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Copying {
    /// Symbols to copy, `L`.
    pub length: usize,
    /// Tokens in the vocabulary, the separator among them.
    pub vocabulary: usize,
}

impl Default for Copying {
    fn default() -> Self {
        Copying { length: 8, vocabulary: 16 }
    }
}

/// A task that is made by rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// Recall of values by their keys. Rows to train and to test on are independent draws, as published.
    Recall(Recall),
    /// Copying. No sequence is on both sides.
    Copying(Copying),
}

impl Task {
    /// Tokens in a row.
    pub fn time(&self) -> usize {
        match self {
            Task::Recall(task) => task.length,
            Task::Copying(task) => 2 * task.length,
        }
    }

    /// Rows without end.
    ///
    /// # Errors
    /// If a number of the task is out of range, in words.
    pub fn rows(self, side: Side, batch: usize, seed: u64) -> Result<TaskRows, String> {
        match self {
            Task::Recall(Recall { length, pairs, vocabulary, power, examples }) => {
                if !length.is_multiple_of(2) || pairs == 0 || pairs > length / 4 {
                    return Err(format!(
                        "{pairs} pairs do not fit rows of {length} tokens: expected an even length, at least four times the pairs"
                    ));
                }
                if !vocabulary.is_multiple_of(2) || pairs >= vocabulary / 2 {
                    return Err(format!(
                        "{pairs} pairs do not fit a vocabulary of {vocabulary}: expected an even number above {}",
                        2 * pairs
                    ));
                }
                if !(power > 0.0 && power.is_finite()) || examples == Some(0) {
                    return Err("the power and the number of examples must be above 0".to_string());
                }
            }
            Task::Copying(Copying { length, vocabulary }) => {
                // Enough sequences for both sides.
                if length == 0 || vocabulary < 3 || (vocabulary as f64 - 1.0).powf(length as f64) < 64.0 {
                    return Err(format!(
                        "{length} symbols of a vocabulary of {vocabulary}: expected at least 64 different sequences"
                    ));
                }
            }
        }
        Ok(TaskRows { task: self, side, batch, seed })
    }
}

/// The rows of a task.
#[derive(Clone, Copy, Debug)]
pub struct TaskRows {
    task: Task,
    side: Side,
    batch: usize,
    seed: u64,
}

impl Source for TaskRows {
    fn batch(&self, number: u64) -> Batch {
        let time = self.task.time();
        let (mut tokens, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..self.batch as u64 {
            let mut number = number * self.batch as u64 + row;
            if let Task::Recall(Recall { examples: Some(examples), .. }) = self.task {
                number %= examples;
            }
            // Streams of even numbers are to train on.
            let stream = Stream::new(self.seed, 2 * number + u64::from(self.side == Side::Test));
            let row = match self.task {
                Task::Recall(task) => task.row(stream),
                Task::Copying(task) => task.row(stream, self.side),
            };
            for (token, label) in row {
                tokens.push(token);
                targets.push(label.unwrap_or(0));
                weights.push(if label.is_some() { 1.0 } else { 0.0 });
            }
        }
        Batch {
            tokens,
            targets,
            weights,
            documents: Documents::whole(self.batch, time),
            origin: format!("batch {number} of the task"),
        }
    }

    fn batches(&self) -> Option<u64> {
        match self.task {
            Task::Recall(task) => task.examples.map(|examples| examples.div_ceil(self.batch as u64)),
            Task::Copying(_) => None,
        }
    }

    fn vocabulary(&self) -> usize {
        match self.task {
            Task::Recall(task) => task.vocabulary,
            Task::Copying(task) => task.vocabulary,
        }
    }

    fn digest(&self) -> String {
        format!("{self:?}")
    }
}

/// A token and its label.
type Labelled = (u32, Option<u32>);

impl Recall {
    fn row(&self, stream: Stream) -> Vec<Labelled> {
        let mut random = Sequence::new(stream.bits(0));
        let half = self.vocabulary / 2;
        let keys = distinct(&mut random, half - 1, self.pairs);
        let values = distinct(&mut random, half, self.pairs);
        let mut row = vec![(0, None); self.length];
        // Drawing one after the other with these probabilities is taking the earliest of exponential clocks with these rates.
        let mut clocks: Vec<(f64, usize)> = (0..(self.length - 2 * self.pairs) / 2)
            .map(|gap| {
                let rate = self.power * ((gap + 1) as f64).powf(self.power - 1.0);
                (-(1.0 - random.uniform()).ln() / rate, gap)
            })
            .collect();
        clocks.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in 0..self.pairs {
            let (key, value) = (1 + keys[pair] as u32, (half + values[pair]) as u32);
            row[2 * pair].0 = key;
            row[2 * pair + 1].0 = value;
            row[2 * self.pairs + 2 * clocks[pair].1] = (key, Some(value));
        }
        row
    }
}

/// Different numbers below a bound, in random order (the first steps of Fisher and Yates' shuffle, on the places that move).
fn distinct(random: &mut Sequence, bound: usize, count: usize) -> Vec<usize> {
    let mut moved = std::collections::HashMap::new();
    (0..count)
        .map(|k| {
            let place = k + (random.bits() % (bound - k) as u64) as usize;
            let first = moved.get(&k).copied().unwrap_or(k);
            moved.insert(place, first).unwrap_or(place)
        })
        .collect()
}

impl Copying {
    fn row(&self, stream: Stream, side: Side) -> Vec<Labelled> {
        let mut random = Sequence::new(stream.bits(0));
        let symbols: Vec<u32> = loop {
            let symbols: Vec<u32> =
                (0..self.length).map(|_| 1 + (random.bits() % (self.vocabulary as u64 - 1)) as u32).collect();
            if Side::of(symbols.iter().map(|&symbol| u64::from(symbol))) == side {
                break symbols;
            }
        };
        let first = symbols.iter().map(|&symbol| (symbol, None));
        let again = std::iter::once(0).chain(symbols.iter().copied()).zip(symbols.iter().map(|&s| Some(s)));
        first.chain(again).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(task: Task, side: Side) -> TaskRows {
        task.rows(side, 16, 5).unwrap()
    }

    #[test]
    fn recall_is_as_published() {
        let task = Recall { length: 64, pairs: 4, vocabulary: 8192, ..Recall::default() };
        let source = rows(Task::Recall(task), Side::Training);
        let mut gaps = [0; 28];
        for number in 0..40 {
            let batch = source.batch(number);
            assert_eq!(batch, source.batch(number));
            for row in 0..16 {
                let place = |k: usize| {
                    (batch.tokens[64 * row + k], batch.targets[64 * row + k], batch.weights[64 * row + k])
                };
                let pairs: Vec<(u32, u32)> = (0..4).map(|j| (place(2 * j).0, place(2 * j + 1).0)).collect();
                for (j, (key, value)) in pairs.iter().enumerate() {
                    assert!((1..4096).contains(key) && (4096..8192).contains(value));
                    assert!(pairs[..j].iter().all(|(k, v)| k != key && v != value));
                }
                let mut asked = Vec::new();
                for k in 0..64 {
                    let (token, target, weight) = place(k);
                    if weight == 0.0 {
                        assert!(k < 8 || token == 0);
                        continue;
                    }
                    assert!(weight == 1.0 && k >= 8 && k % 2 == 0);
                    assert!(pairs.contains(&(token, target)));
                    asked.push(token);
                    gaps[(k - 8) / 2] += 1;
                }
                asked.sort_unstable();
                asked.dedup();
                assert_eq!(asked.len(), 4);
            }
        }
        // With a = 0.01 the first gap is chosen first with probability 1 / Σ (i + 1)^-0.99 = 0.252, and so the most often.
        assert!(gaps[0] > 400 && gaps[0] > 2 * gaps[4] && gaps[27] < 120, "{gaps:?}");
    }

    #[test]
    fn the_first_gap_has_its_probability() {
        let task = Recall { length: 20, pairs: 1, vocabulary: 8, power: 0.5, ..Recall::default() };
        let mut counts = [0.0_f64; 9];
        let total = 20_000;
        for k in 0..total {
            let row = task.row(Stream::new(3, k));
            let place = row.iter().position(|(_, label)| label.is_some()).unwrap();
            counts[(place - 2) / 2] += 1.0;
        }
        let weights: Vec<f64> = (1..=9).map(|i| f64::from(i).powf(-0.5)).collect();
        let sum: f64 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(weights) {
            let p = weight / sum;
            let deviation = (p * (1.0 - p) * total as f64).sqrt();
            assert!((count - p * total as f64).abs() < 5.0 * deviation, "{counts:?}");
        }
    }

    #[test]
    fn copying_repeats_the_symbols_and_keeps_the_sides_apart() {
        let task = Task::Copying(Copying { length: 3, vocabulary: 8 });
        let sequences = |side| -> std::collections::HashSet<Vec<u32>> {
            (0..20)
                .flat_map(|number| {
                    let batch = rows(task, side).batch(number);
                    (0..16).map(move |row| batch.tokens[6 * row..][..3].to_vec())
                })
                .collect()
        };
        let (training, test) = (sequences(Side::Training), sequences(Side::Test));
        assert!(training.len() > 100 && test.len() > 10 && training.is_disjoint(&test));
        let batch = rows(task, Side::Test).batch(0);
        assert_eq!(batch.tokens[..3], batch.targets[3..6]);
        assert_eq!((batch.tokens[3], &batch.tokens[4..6]), (0, &batch.tokens[..2]));
        assert_eq!(batch.weights[..6], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn tasks_that_do_not_fit_are_refused() {
        let recall = |length, pairs, vocabulary| {
            Task::Recall(Recall { length, pairs, vocabulary, ..Recall::default() }).rows(Side::Test, 1, 0)
        };
        assert!(recall(16, 4, 12).is_ok());
        for (length, pairs, vocabulary) in [(15, 2, 12), (16, 5, 12), (16, 0, 12), (16, 4, 8), (16, 4, 11)] {
            assert!(recall(length, pairs, vocabulary).is_err());
        }
        assert!(Task::Copying(Copying { length: 1, vocabulary: 9 }).rows(Side::Test, 1, 0).is_err());
    }
}
