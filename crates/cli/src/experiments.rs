//! The experiments embedded into the binary: `experiments/<paper>/experiment.toml` and the files beside it.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

include!(concat!(env!("OUT_DIR"), "/experiments.rs"));

/// What every `experiment.toml` says about its paper; what else it holds is for the paper's own experiment.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Paper {
    /// The name under which `reproduce` takes it.
    pub slug: String,
    /// The paper's title.
    pub title: String,
    /// Where and when it was published.
    pub published: String,
    /// How far it is carried out here.
    pub state: String,
    /// Where in the code.
    pub code: String,
    /// The page of the book.
    pub page: String,
}

/// The text of an embedded file.
pub fn file(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// All papers that have an experiment, by slug.
///
/// # Errors
/// If an embedded description is damaged, which the tests exclude.
pub fn papers() -> Result<Vec<Paper>, Failure> {
    FILES
        .iter()
        .filter(|(name, _)| name.ends_with("/experiment.toml"))
        .map(|(name, text)| toml::from_str(text).map_err(|error| Failure::work(format!("{name}: {error}"))))
        .collect()
}
