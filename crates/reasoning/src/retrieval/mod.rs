//! Retrieval: find texts for a topic, and score what was found against human judgements.
//!
//! - files: relevance judgements and runs as TREC writes them; [`measures`]: trec_eval's measures;
//!   evaluation: a run scored topic by topic and printed as trec_eval prints it
//! - [`significance`]: is one run better than another; [`fusion`]: one run from several
//! - tokens and sparse: TF-IDF and BM25 over words, characters or formula tokens
//! - [`embedding`]: texts to vectors; dense and hnsw: vectors searched by inner product, exactly or through a small-world graph

mod dense;
pub mod embedding;
mod evaluation;
mod files;
pub mod fusion;
mod hnsw;
pub mod measures;
pub mod significance;
mod sparse;
mod tokens;

pub use dense::{Vectors, search_exactly};
pub use evaluation::{Evaluation, Options, TopicFigures, evaluate, judge};
pub use files::{FileError, Judgements, Repeated, Run};
pub(crate) use files::{read_bytes, read_text};
pub use hnsw::{Graph, GraphOptions};
pub use sparse::{SparseIndex, Weighting};
pub use tokens::Tokens;
