//! A language model: an embedding, blocks of a mixer and a channel layer, a norm and a head.
//!
//! ```text
//! h = E[tokens]
//! h = h + mixer(norm(h)),  h = h + channel(norm(h))      for each block
//! logits = W_out norm(h)                                  W_out = E if the head is tied
//! ```
//!
//! [`LanguageModelConfig`] says which mixer and which channel layer each block has; adding one is a case of [`MixerConfig`] and
//! of `mixer`, or of [`ChannelConfig`] and of `channel`, and nothing else.

mod activations;
mod channel;
mod config;
mod mixer;
mod presets;

use burn::module::{Module, Param};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_networks::few_rows::rows_times_transposed;
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::linear::{Linear, LinearConfig, LinearKind, normal};
use mathesis_networks::sequence::rms_norm::RmsNorm;

pub use channel::ChannelConfig;
pub use config::{BlockConfig, ConfigError, LanguageModelConfig};
pub use mixer::MixerConfig;
pub use presets::Size;

use channel::ChannelLayer;
use mixer::{Mixer, MixerState, Prepared};

/// A language model.
#[derive(Module, Debug)]
pub struct LanguageModel {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: RmsNorm,
    /// None if it is the embedding.
    head: Option<Linear>,
    #[module(skip)]
    config: LanguageModelConfig,
}

/// A vector for each token.
#[derive(Module, Debug)]
struct Embedding {
    /// `[vocabulary, width]`.
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Block {
    mixer_norm: RmsNorm,
    mixer: Mixer,
    channel_norm: RmsNorm,
    channel: ChannelLayer,
}

/// What a model has read: a state for each block, of several rows.
#[derive(Clone, Debug)]
pub struct State {
    blocks: Vec<MixerState>,
    rows: usize,
}

impl State {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// These rows, in this order; a row may be taken more than once.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        State { blocks: self.blocks.iter().map(|block| block.select(rows)).collect(), rows: rows.len() }
    }

    /// The rows of several states of one model.
    ///
    /// # Panics
    /// If there is none, or they are states of different models.
    pub fn join(states: Vec<Self>) -> Self {
        let rows = states.iter().map(State::rows).sum();
        let mut columns: Vec<Vec<MixerState>> = Vec::new();
        for state in states {
            columns.resize_with(state.blocks.len(), Vec::new);
            for (column, block) in columns.iter_mut().zip(state.blocks) {
                column.push(block);
            }
        }
        State { blocks: columns.into_iter().map(MixerState::join).collect(), rows }
    }
}

impl LanguageModelConfig {
    /// A model with weights from the given seed: normal with the configuration's deviation, norms of one, biases of zero.
    ///
    /// # Errors
    /// If the configuration describes no model.
    pub fn init(&self, seed: u64, device: &Device) -> Result<LanguageModel, ConfigError> {
        self.check()?;
        let mut random = Sequence::new(seed);
        let (width, deviation) = (self.width, self.deviation);
        let norm = || RmsNorm::new(width, self.norm_epsilon, device);
        let embedding =
            Embedding { weight: normal([self.vocabulary, width], deviation, &mut random, device) };
        let block = |block: &BlockConfig| Block {
            mixer_norm: norm(),
            mixer: Mixer::new(&block.mixer, width, block.kind(), deviation, &mut random, device),
            channel_norm: norm(),
            channel: ChannelLayer::new(&block.channel, width, block.kind(), deviation, &mut random, device),
        };
        let blocks = self.layers().map(block).collect();
        let head = (!self.tied).then(|| self.head().init(deviation, &mut random, device));
        Ok(LanguageModel { embedding, blocks, norm: norm(), head, config: self.clone() })
    }

    /// The head, where it is not the embedding.
    fn head(&self) -> LinearConfig {
        LinearConfig { inputs: self.width, outputs: self.vocabulary, bias: false, kind: LinearKind::Dense }
    }
}

impl LanguageModel {
    /// What the model was made from.
    pub fn config(&self) -> &LanguageModelConfig {
        &self.config
    }

    /// The model with packed weights where they are of few bits: for inference. It has the same logits, and cannot be written any more.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn packed(mut self) -> Result<Self, FormatError> {
        self.blocks = self.blocks.into_iter().map(Block::packed).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The logits of the next token at every time, `[batch, time, vocabulary]`, for tokens `[batch, time]`.
    pub fn forward(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        self.logits(self.hidden(tokens, documents))
    }

    /// The normed last hidden states, `[batch, time, width]`, for tokens `[batch, time]`.
    ///
    /// # Panics
    /// If the documents are ones of rows of another shape.
    pub fn hidden(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        assert_eq!(tokens.dims(), documents.shape(), "rows and times of the documents");
        let mut prepared = Prepared::default();
        let embedded = embedding(self.embedding.weight.val(), tokens);
        let hidden = self.blocks.iter().fold(embedded, |hidden, block| {
            let mixed =
                block.mixer.forward(block.mixer_norm.forward(hidden.clone()), documents, &mut prepared);
            block.channelled(hidden + mixed)
        });
        self.norm.forward(hidden)
    }

    /// The logits of normed hidden states `[batch, time, width]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.head {
            Some(head) => head.forward(hidden),
            None => rows_times_transposed(hidden, self.embedding.weight.val()),
        }
    }

    /// The state of rows that have read nothing.
    pub fn state(&self, rows: usize, device: &Device) -> State {
        State { blocks: self.blocks.iter().map(|block| block.mixer.state(rows, device)).collect(), rows }
    }

    /// The normed hidden states of the next tokens of the rows, `[rows, time]`, from what they have read.
    ///
    /// # Panics
    /// If the state has another number of rows.
    pub fn extend(&self, tokens: Tensor<2, Int>, state: &mut State) -> Tensor<3> {
        assert_eq!(tokens.dims()[0], state.rows, "rows of the state");
        let embedded = embedding(self.embedding.weight.val(), tokens);
        let blocks = self.blocks.iter().zip(&mut state.blocks);
        let hidden = blocks.fold(embedded, |hidden, (block, state)| {
            let mixed = block.mixer.extend(block.mixer_norm.forward(hidden.clone()), state);
            block.channelled(hidden + mixed)
        });
        self.norm.forward(hidden)
    }
}

impl Block {
    fn packed(self) -> Result<Self, FormatError> {
        Ok(Block { mixer: self.mixer.packed()?, channel: self.channel.packed()?, ..self })
    }

    fn channelled(&self, hidden: Tensor<3>) -> Tensor<3> {
        let changed = self.channel.forward(self.channel_norm.forward(hidden.clone()));
        hidden + changed
    }
}

#[cfg(test)]
mod tests;
