//! Training of language models.
//!
//! [`train`] takes a [`CausalModel`] through the batches of a [`Source`](crate::data::Source): softmax and
//! [`cross_entropy`](cross_entropy::cross_entropy) in one pass, with the head where that can be ([`linear_cross_entropy`]), [`Adamw`] in one pass, a [`Schedule`], and a
//! [`Checkpoint`] every so many steps, from which a training goes on bit by bit as if it had never stopped.

mod adamw;
mod checkpoint;
mod course;
pub mod cross_entropy;
mod diagnosis;
pub mod linear_cross_entropy;
pub mod parameters;
mod replicas;
mod schedule;

pub use adamw::{Adamw, AdamwOptions, Moments, ParameterGroup, gradient_norm, gradient_norms};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use course::{
    Evaluation, StepRecord, Storage, Trained, TrainingError, TrainingOptions, TrainingProgress, evaluate,
    evaluate_by_position, train, train_on,
};
pub use diagnosis::Culprit;
pub use schedule::{Course, Schedule};

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use mathesis_networks::sequence::Documents;

use crate::data::Targets;
use crate::model::LanguageModel;

/// A model that gives, for every place of rows of tokens, logits of the token that is to be predicted there: of the one that comes next;
/// or, if the data hide tokens and what they predict is the place's own, a model over both sides.
pub trait CausalModel: Module {
    /// Tokens that it knows.
    fn vocabulary(&self) -> usize;

    /// The logits `[batch, time, vocabulary]` of tokens `[batch, time]`. Those at a place depend on no other document, and on no later
    /// place where data have the next token as their target.
    fn forward(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3>;

    /// The sum of the cross-entropies of the logits with the targets, each times its weight, `[1]`.
    fn loss(&self, tokens: Tensor<2, Int>, documents: &Documents, targets: Targets) -> Tensor<1> {
        let places = documents.shape().iter().product();
        let logits = targets.rows_of(self.forward(tokens, documents).reshape([places, self.vocabulary()]));
        cross_entropy::cross_entropy(logits, targets.tokens, targets.weights)
    }

    /// What each layer gives, `[batch, time, width]` under its name, in the order in which they follow each other.
    fn activations(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Vec<(String, Tensor<3>)>;
}

impl CausalModel for LanguageModel {
    fn vocabulary(&self) -> usize {
        self.config().vocabulary
    }

    fn forward(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        LanguageModel::forward(self, tokens, documents)
    }

    fn loss(&self, tokens: Tensor<2, Int>, documents: &Documents, targets: Targets) -> Tensor<1> {
        let hidden = self.hidden(tokens, documents);
        let [batch, time, width] = hidden.dims();
        // The head is the largest matrix of a small model: where nothing is to be predicted it is left out.
        let hidden = targets.rows_of(hidden.reshape([batch * time, width]));
        match self.head_matrix() {
            Some(matrix) => {
                linear_cross_entropy::linear_cross_entropy(hidden, matrix, targets.tokens, targets.weights)
            }
            None => {
                let logits = self.logits(hidden.unsqueeze::<3>()).squeeze_dim::<2>(0);
                cross_entropy::cross_entropy(logits, targets.tokens, targets.weights)
            }
        }
    }

    fn activations(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Vec<(String, Tensor<3>)> {
        LanguageModel::activations(self, tokens, documents)
    }
}
