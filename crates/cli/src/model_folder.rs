//! The folder that a language model's name on the command line stands for.

use std::path::{Path, PathBuf};

use mathesis_language::built_in::{self, BuiltIn};
use mathesis_language::folder::FolderError;

/// A folder of the user's, or that of the built-in model, which is there until this is dropped.
pub enum ModelFolder {
    /// A folder of the user's.
    Given(PathBuf),
    /// That of the built-in model.
    BuiltIn(BuiltIn),
}

impl ModelFolder {
    /// The folder of a path, or of the built-in model for its name (a folder of that name is `./built-in`).
    ///
    /// # Errors
    /// If the built-in model cannot be unpacked.
    pub fn of(model: &Path) -> Result<Self, FolderError> {
        if model == Path::new(built_in::NAME) {
            return Ok(ModelFolder::BuiltIn(BuiltIn::unpack()?));
        }
        Ok(ModelFolder::Given(model.to_path_buf()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            ModelFolder::Given(path) => path,
            ModelFolder::BuiltIn(model) => model.folder(),
        }
    }
}
