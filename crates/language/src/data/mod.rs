//! What language models are trained on.
//!
//! - [`corpus`]: texts and records in files;
//! - [`tokenizer_training`]: tokenizers learnt from texts;
//! - [`token_file`]: tokens of documents in one file that is mapped into memory;
//! - [`packing`]: documents put into rows of equal length, none of which sees another;
//! - [`masking`]: tokens of such rows hidden, to be found from both sides;
//! - [`windows`]: one text in rows, for perplexity;
//! - [`synthetic`]: recall and copying, made by rule;
//! - [`word_problems`]: arithmetic and algebra in words, made by rule, with worked solutions.
//!
//! Whatever a model is trained on is a [`Source`]: its batch of a number depends on nothing but the number, so that a training
//! goes on from any step without a state of its own.

pub mod corpus;
pub mod masking;
pub mod packing;
pub mod synthetic;
pub mod token_file;
pub mod tokenizer_training;
pub mod windows;
pub mod word_problems;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mathesis_networks::sequence::Documents;

/// Rows of tokens with what is to be predicted at each.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch][time]`.
    pub tokens: Vec<u32>,
    /// The token to predict at each place; anything where the weight is 0.
    pub targets: Vec<u32>,
    /// How much each place counts in the loss.
    pub weights: Vec<f32>,
    /// Where documents begin, which also says how many rows of how many tokens there are.
    pub documents: Documents,
    /// Where the rows come from, for messages.
    pub origin: String,
}

impl Batch {
    /// The tokens, `[batch, time]`.
    pub fn inputs(&self, device: &Device) -> Tensor<2, Int> {
        whole_numbers(&self.tokens, self.documents.shape(), device)
    }

    /// The targets, `[batch · time]`.
    pub fn flat_targets(&self, device: &Device) -> Tensor<1, Int> {
        whole_numbers(&self.targets, [self.targets.len()], device)
    }

    /// The weights, `[batch · time]`.
    pub fn flat_weights(&self, device: &Device) -> Tensor<1> {
        Tensor::from_data(TensorData::new(self.weights.clone(), [self.weights.len()]), device)
    }

    /// What is to be predicted, without the places that count for nothing if they are many: as where a prompt is hidden from the loss, or
    /// only answers of a recall are asked for.
    pub fn scored(&self, device: &Device) -> Targets {
        let count = self.weights.len();
        let places: Vec<usize> = (0..count).filter(|&place| self.weights[place] != 0.0).collect();
        if places.is_empty() || 4 * places.len() > 3 * count {
            let (tokens, weights) = (self.flat_targets(device), self.flat_weights(device));
            return Targets { places: None, tokens, weights };
        }
        let tokens: Vec<u32> = places.iter().map(|&place| self.targets[place]).collect();
        let weights: Vec<f32> = places.iter().map(|&place| self.weights[place]).collect();
        let places: Vec<u32> = places.into_iter().map(|place| place as u32).collect();
        let shape = [places.len()];
        Targets {
            places: Some(whole_numbers(&places, shape, device)),
            tokens: whole_numbers(&tokens, shape, device),
            weights: Tensor::from_data(TensorData::new(weights, shape), device),
        }
    }

    /// The sum of the weights.
    pub fn weight(&self) -> f64 {
        self.weights.iter().map(|&weight| f64::from(weight)).sum()
    }
}

/// What is to be predicted at places of a batch.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Which of the places `[batch · time]` they are, `[scored]`, in order; none: all of them.
    pub places: Option<Tensor<1, Int>>,
    /// The tokens to predict, `[scored]`; anything where the weight is 0.
    pub tokens: Tensor<1, Int>,
    /// How much each counts in the loss, `[scored]`.
    pub weights: Tensor<1>,
}

impl Targets {
    /// The rows of the places, `[scored, width]`, among those of all, `[batch · time, width]`.
    pub fn rows_of(&self, rows: Tensor<2>) -> Tensor<2> {
        match &self.places {
            Some(places) => rows.select(0, places.clone()),
            None => rows,
        }
    }
}

fn whole_numbers<const D: usize>(numbers: &[u32], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let numbers: Vec<i64> = numbers.iter().map(|&number| i64::from(number)).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Batches to train or to validate on.
pub trait Source: Sync {
    /// The batch of a number, the same whenever it is asked for. There is one for every number.
    fn batch(&self, number: u64) -> Batch;

    /// Batches after which all data have been seen once, for data that have an end.
    fn batches(&self) -> Option<u64>;

    /// All tokens are below this number.
    fn vocabulary(&self) -> usize;

    /// Distinguishes these data from others that a training might be continued on by mistake.
    fn digest(&self) -> String;
}

/// To which side an example belongs. Which side that is follows from the example itself, so no example is on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// To train on.
    Training,
    /// To test on: one in ten.
    Test,
}

impl Side {
    /// The side of an example that consists of these numbers.
    pub fn of(example: impl IntoIterator<Item = u64>) -> Side {
        let mut hash = 0;
        for number in example {
            hash = mathesis_algebra::random::Stream::new(hash, number).bits(0);
        }
        if hash % 10 == 0 { Side::Test } else { Side::Training }
    }
}
