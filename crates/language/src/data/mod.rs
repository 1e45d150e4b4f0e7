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

    /// The sum of the weights.
    pub fn weight(&self) -> f64 {
        self.weights.iter().map(|&weight| f64::from(weight)).sum()
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
