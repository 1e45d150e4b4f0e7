//! Language models as the command line names them: by their folder, or `built-in`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use mathesis_language::built_in::{self, BuiltIn};
use mathesis_language::folder::Checkpoint;
use mathesis_language::text::Tokenizer;
use mathesis_networks::sequence::arithmetic::Arithmetic;

use crate::failure::{Failure, absent};

/// A folder of the user's, or that of the built-in model, which is there until this is dropped.
pub struct ModelFolder {
    path: PathBuf,
    _built_in: Option<BuiltIn>,
}

/// A number format in which a model's matrices are kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Weights {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bfloat16: half the memory.
    Bf16,
    /// 8 bits with a scale for each row of a matrix, a quarter of its memory; embeddings stay as they are.
    Int8,
}

impl ModelFolder {
    /// The folder of a path, or of the built-in model for its name (a folder of that name is `./built-in`).
    ///
    /// # Errors
    /// [`Failure::Input`] if there is no such folder, [`Failure::Work`] if the built-in model cannot be unpacked.
    pub fn of(model: &Path) -> Result<Self, Failure> {
        if model == Path::new(built_in::NAME) {
            let built_in = BuiltIn::unpack().map_err(Failure::work)?;
            return Ok(ModelFolder { path: built_in.folder().to_path_buf(), _built_in: Some(built_in) });
        }
        if !model.is_dir() {
            let (absent, name) = (absent("folder", model), built_in::NAME);
            return Err(Failure::input(format!(
                "{absent}; expected one with config.json and *.safetensors, or `{name}`"
            )));
        }
        Ok(ModelFolder { path: model.to_path_buf(), _built_in: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the model is called: the name of its folder, which is asked itself, so that `.` has a name too.
    pub fn name(&self) -> String {
        let whole = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        whole.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned())
    }

    /// The model for inference: computing in an arithmetic if one is given, with packed weights where they are of few bits, and with its
    /// other matrices in a number format. From then on the process keeps memory that it frees.
    ///
    /// # Errors
    /// [`Failure::Input`] if the folder is not a model's, has no tokenizer, or the model cannot be in that arithmetic.
    pub fn for_inference(
        &self,
        arithmetic: Option<Arithmetic>,
        weights: Weights,
        device: &Device,
    ) -> Result<(Checkpoint, Tokenizer), Failure> {
        mathesis_algebra::memory::keep_freed();
        let mut checkpoint = Checkpoint::read_in(&self.path, arithmetic, device).map_err(Failure::input)?;
        let model = checkpoint.model.packed().map_err(Failure::input)?;
        checkpoint.model = match weights {
            Weights::F32 => model,
            Weights::Bf16 => model.with_bfloat16_weights(),
            Weights::Int8 => model.with_int8_weights().map_err(Failure::input)?,
        };
        let tokenizer = checkpoint.tokenizer.clone();
        let tokenizer = tokenizer
            .ok_or_else(|| Failure::input(format!("{} has no tokenizer.json", self.path.display())))?;
        Ok((checkpoint, tokenizer))
    }
}
