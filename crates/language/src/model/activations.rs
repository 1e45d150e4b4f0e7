//! What every layer of a model gives, for finding the one that goes wrong.

use burn::tensor::{Int, Tensor};
use mathesis_networks::sequence::Documents;

use super::{LanguageModel, Prepared};

impl LanguageModel {
    /// The hidden states `[batch, time, width]` after the embedding, every mixer, every channel layer and the last norm, with
    /// the names of these, for tokens `[batch, time]`.
    pub fn activations(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Vec<(String, Tensor<3>)> {
        let mut prepared = Prepared::default();
        let bounds = self.bounds();
        let mut hidden = self.embedded(tokens, documents);
        let mut outputs = vec![("embedding".to_string(), hidden.clone())];
        for (number, block) in self.blocks.iter().enumerate() {
            let bound = block.lower_bound(bounds.as_ref());
            hidden = block.mixed(hidden, |input| block.mixer.forward(input, bound, documents, &mut prepared));
            outputs.push((format!("blocks.{number}.mixer"), hidden.clone()));
            hidden = block.channelled(hidden);
            outputs.push((format!("blocks.{number}.channel"), hidden.clone()));
        }
        outputs.push(("norm".to_string(), self.normed(hidden)));
        outputs
    }
}
