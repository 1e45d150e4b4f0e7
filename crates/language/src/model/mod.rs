//! A language model: an embedding, blocks of a mixer and a channel layer, a norm and a head.
//!
//! ```text
//! h = E[tokens]
//! h = h + mixer(norm(h)),  h = h + channel(norm(h))      for each block
//! logits = W_out norm(h)                                  W_out = E if the head is tied
//! ```
//!
//! and in the frame of M2-BERT, for models over both sides, with layer normalisation and learnt positions P:
//!
//! ```text
//! h = norm(E[tokens] + P[positions])
//! h = mixer(h),  h = norm(h + channel(h))                 for each block
//! logits = W_out norm(gelu(W h + b)) + b_out
//! ```
//!
//! Its published form adds vectors of two token types beside the positions; texts of one type have no need of them.
//!
//! [`LanguageModelConfig`] says which mixer and which channel layer each block has; adding one is a case of [`MixerConfig`] and
//! of `mixer`, or of [`ChannelConfig`] and of `channel`, and nothing else.

mod activations;
mod channel;
mod config;
mod mixer;
mod presets;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::activation::gelu;
use burn::tensor::module::embedding;
use burn::tensor::{DType, Device, Int, Tensor};
use mathesis_algebra::awake::awake;
use mathesis_algebra::number_format::FormatError;
use mathesis_algebra::random::Sequence;
use mathesis_networks::few_rows::rows_times_transposed;
use mathesis_networks::sequence::Documents;
use mathesis_networks::sequence::int8_linear::Int8Linear;
use mathesis_networks::sequence::layer_norm::LayerNorm;
use mathesis_networks::sequence::linear::{DenseStorage, Linear, LinearConfig, LinearKind, normal};
use mathesis_networks::sequence::linear_gated_recurrent_unit::LowerBounds;
use mathesis_networks::sequence::rms_norm::RmsNorm;

pub use channel::ChannelConfig;
pub use config::{BlockConfig, ConfigError, Frame, LanguageModelConfig, ParameterCounts};
pub use mixer::MixerConfig;
pub use presets::Size;

use channel::ChannelLayer;
use mixer::{Mixer, MixerState, Prepared};

/// A language model.
#[derive(Module, Debug)]
pub struct LanguageModel {
    embedding: Embedding,
    /// In the frame of M2-BERT.
    positions: Option<Positions>,
    /// Of the forget gates of several linear gated recurrent units.
    lower_bounds: Option<LowerBounds>,
    blocks: Vec<Block>,
    /// None in the frame of M2-BERT.
    norm: Option<RmsNorm>,
    /// In the frame of M2-BERT.
    transform: Option<Transform>,
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

impl Embedding {
    /// `[batch, time, width]` in single precision, or in the weights' if that is higher.
    fn of(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let embedded = embedding(self.weight.val(), tokens);
        if embedded.dtype() == DType::BF16 { embedded.cast(DType::F32) } else { embedded }
    }
}

/// A vector for each position, and the norm of its sum with the token's.
#[derive(Module, Debug)]
struct Positions {
    /// `[context, width]`.
    weight: Param<Tensor<2>>,
    norm: LayerNorm,
}

/// What is between the blocks and the head of M2-BERT, and the biases of the head.
#[derive(Module, Debug)]
struct Transform {
    dense: Linear,
    norm: LayerNorm,
    /// `[vocabulary]`.
    bias: Param<Tensor<1>>,
}

/// A mixer and a channel layer with the norms of the frame: two before them, or one after both.
#[derive(Module, Debug)]
struct Block {
    mixer_norm: Option<RmsNorm>,
    mixer: Mixer,
    channel_norm: Option<RmsNorm>,
    channel: ChannelLayer,
    output_norm: Option<LayerNorm>,
    /// The row of its forget gates among the lower bounds; the first, whose bound is zero, has none.
    bound: Option<usize>,
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
        let bert = self.frame == Frame::MonarchBert;
        let norm = || (!bert).then(|| RmsNorm::new(width, self.norm_epsilon, device));
        let layer_norm = || LayerNorm::new(width, self.norm_epsilon, device);
        let embedding =
            Embedding { weight: normal([self.vocabulary, width], deviation, &mut random, device) };
        let positions = bert.then(|| Positions {
            weight: normal([self.context, width], deviation, &mut random, device),
            norm: layer_norm(),
        });
        let bounded = self.bounded_layers();
        let mut before = 0;
        let block = |block: &BlockConfig| {
            let place = before;
            let has_bound = bounded > 0 && block.mixer.has_lower_bound();
            before += usize::from(has_bound);
            let of_channel = block.linear_of_channel();
            Block {
                mixer_norm: norm(),
                mixer: Mixer::new(&block.mixer, width, block.kind(), deviation, &mut random, device),
                channel_norm: norm(),
                channel: ChannelLayer::new(&block.channel, width, of_channel, deviation, &mut random, device),
                output_norm: bert.then(layer_norm),
                bound: (has_bound && place > 0).then_some(place),
            }
        };
        let blocks = self.layers().map(block).collect();
        let transform = bert.then(|| Transform {
            dense: self.transform().init(deviation, &mut random, device),
            norm: layer_norm(),
            bias: Param::from_tensor(Tensor::zeros([self.vocabulary], device)),
        });
        let head = (!self.tied).then(|| self.head().init(deviation, &mut random, device));
        Ok(LanguageModel {
            embedding,
            positions,
            lower_bounds: (bounded > 0).then(|| LowerBounds::new(bounded, width, device)),
            blocks,
            norm: norm(),
            transform,
            head,
            config: self.clone(),
        })
    }

    /// The head, where it is not the embedding.
    fn head(&self) -> LinearConfig {
        LinearConfig { inputs: self.width, outputs: self.vocabulary, bias: false, kind: self.head }
    }

    /// The linear layer before the head in the frame of M2-BERT.
    fn transform(&self) -> LinearConfig {
        LinearConfig { inputs: self.width, outputs: self.width, bias: true, kind: LinearKind::Dense }
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
        self.blocks = packed(self.blocks, DenseStorage::Kept)?;
        Ok(self)
    }

    /// The model with packed weights where they are of few bits, and in 8 bits where they are a dense matrix, the head among them: for
    /// inference. Embeddings stay as they are, as do small matrices of gates and filters. It cannot be written any more.
    ///
    /// # Errors
    /// [`FormatError`] if a weight is not finite.
    pub fn with_int8_weights(mut self) -> Result<Self, FormatError> {
        self.blocks = packed(self.blocks, DenseStorage::Int8)?;
        self.head = Some(match self.head {
            Some(head) => head.packed(DenseStorage::Int8)?,
            None => Linear::Int8(Int8Linear::new(self.embedding.weight.val(), None)?),
        });
        Ok(self)
    }

    /// The logits of the next token at every time, `[batch, time, vocabulary]`, for tokens `[batch, time]`.
    pub fn forward(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        self.logits(self.hidden(tokens, documents))
    }

    /// The normed last hidden states, `[batch, time, width]`, for tokens `[batch, time]`.
    ///
    /// # Panics
    /// If the documents are ones of rows of another shape, or are longer than learnt positions or filters of a mixer reach.
    pub fn hidden(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        let mut prepared = Prepared::default();
        let bounds = self.bounds();
        let hidden = self.blocks.iter().fold(self.embedded(tokens, documents), |hidden, block| {
            let bound = block.lower_bound(bounds.as_ref());
            let mix = |input| block.mixer.forward(input, bound, documents, &mut prepared);
            block.channelled(block.mixed(hidden, mix))
        });
        self.normed(hidden)
    }

    /// The logits of normed hidden states `[batch, time, width]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        let hidden = match &self.transform {
            Some(transform) => transform.norm.forward(gelu(transform.dense.forward(hidden))),
            None => hidden,
        };
        let logits = match &self.head {
            Some(head) => head.forward(hidden),
            None => rows_times_transposed(hidden, self.embedding.weight.val()),
        };
        match &self.transform {
            Some(transform) => logits + transform.bias.val().unsqueeze(),
            None => logits,
        }
    }

    /// The matrix `[vocabulary, width]` that the logits are products with, if they are nothing else.
    pub(crate) fn head_matrix(&self) -> Option<Tensor<2>> {
        match &self.head {
            _ if self.transform.is_some() => None,
            None => Some(self.embedding.weight.val()),
            Some(Linear::Dense(layer)) if layer.bias.is_none() => Some(layer.weight.val()),
            Some(_) => None,
        }
    }

    /// The model for inference with the embedding and the matrices of dense linear layers rounded to bfloat16: half the memory, and half of
    /// what is read for a token. All else is computed as before, in single precision.
    pub fn with_bfloat16_weights(self) -> Self {
        self.map(&mut Rounding(Vec::new()))
    }

    /// The state of rows that have read nothing.
    ///
    /// # Panics
    /// When it is extended, if the model is not [causal](LanguageModelConfig::is_causal).
    pub fn state(&self, rows: usize, device: &Device) -> State {
        State { blocks: self.blocks.iter().map(|block| block.mixer.state(rows, device)).collect(), rows }
    }

    /// The normed hidden states of the next tokens of the rows, `[rows, time]`, from what they have read.
    ///
    /// # Panics
    /// If the state has another number of rows, the model is not causal, or a row grows longer than filters of a mixer reach.
    pub fn extend(&self, tokens: Tensor<2, Int>, state: &mut State) -> Tensor<3> {
        assert_eq!(tokens.dims()[0], state.rows, "rows of the state");
        assert!(self.config.is_causal(), "a model over both sides has no next tokens");
        awake(|| {
            let embedded = self.embedding.of(tokens);
            let bounds = self.bounds();
            let blocks = self.blocks.iter().zip(&mut state.blocks);
            let hidden = blocks.fold(embedded, |hidden, (block, state)| {
                let bound = block.lower_bound(bounds.as_ref());
                block.channelled(block.mixed(hidden, |input| block.mixer.extend(input, bound, state)))
            });
            self.normed(hidden)
        })
    }

    /// What the first block reads.
    fn embedded(&self, tokens: Tensor<2, Int>, documents: &Documents) -> Tensor<3> {
        assert_eq!(tokens.dims(), documents.shape(), "rows and times of the documents");
        let device = tokens.device();
        let embedded = self.embedding.of(tokens);
        match &self.positions {
            Some(positions) => {
                let (longest, context) = (documents.longest(), self.config.context);
                assert!(longest <= context, "a document of {longest} tokens, {context} positions");
                let codes = embedding(positions.weight.val(), documents.positions(&device));
                positions.norm.forward(embedded + codes)
            }
            None => embedded,
        }
    }

    /// The lower bounds of forget gates, `[layers, width]`, for those layers that have such gates.
    fn bounds(&self) -> Option<Tensor<2>> {
        self.lower_bounds.as_ref().map(LowerBounds::bounds)
    }

    fn normed(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        }
    }
}

/// Rounds matrices to bfloat16 where they are only multiplied with or looked up in; has the types of the modules that it is in.
struct Rounding(Vec<String>);

impl ModuleMapper for Rounding {
    fn enter_module(&mut self, _: &str, kind: &str) {
        self.0.push(kind.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.0.pop();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let kind = self.0.last().map_or("", |kind| kind.trim_start_matches("Struct:"));
        if D == 2 && ["Embedding", "DenseLinear"].contains(&kind) {
            parameter.map(|matrix| matrix.cast(DType::BF16))
        } else {
            parameter
        }
    }
}

fn packed(blocks: Vec<Block>, dense: DenseStorage) -> Result<Vec<Block>, FormatError> {
    blocks.into_iter().map(|block| block.packed(dense)).collect()
}

impl Block {
    fn packed(self, dense: DenseStorage) -> Result<Self, FormatError> {
        Ok(Block { mixer: self.mixer.packed(dense)?, channel: self.channel.packed(dense)?, ..self })
    }

    /// That of its forget gates, `[width]`.
    fn lower_bound(&self, bounds: Option<&Tensor<2>>) -> Option<Tensor<1>> {
        let (bounds, row) = (bounds?, self.bound?);
        let [_, width] = bounds.dims();
        Some(bounds.clone().slice([row..row + 1, 0..width]).reshape([width]))
    }

    fn mixed(&self, hidden: Tensor<3>, mix: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        match &self.mixer_norm {
            Some(norm) => hidden.clone() + mix(norm.forward(hidden)),
            None => mix(hidden),
        }
    }

    fn channelled(&self, hidden: Tensor<3>) -> Tensor<3> {
        let input = match &self.channel_norm {
            Some(norm) => norm.forward(hidden.clone()),
            None => hidden.clone(),
        };
        let hidden = hidden + self.channel.forward(input);
        match &self.output_norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        }
    }
}

#[cfg(test)]
mod tests;
