//! Models in folders as the ecosystem keeps them: `config.json` and `*.safetensors`, and beside them the tokenizer, the chat template
//! and the settings for sampling.
//!
//! Weights are in one file or in several with an index, in 32 or 16 bits; they are mapped into memory and become single precision.
//! The layers of Llama, Qwen2 and Mistral have the names that other programs know. What does not fit, a missing, misshapen or
//! left-over tensor, a damaged file, a setting that is not known, is one error that names the file and the tensor or the key.

mod architecture;
mod checkpoint;
mod error;
mod json;
mod names;
mod tensors;

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use mathesis_networks::sequence::arithmetic::Arithmetic;

pub use checkpoint::{Checkpoint, GenerationDefaults};
pub use error::FolderError;
pub use tensors::NumberFormat;

use crate::model::{LanguageModel, LanguageModelConfig};
pub(crate) use names::Take;
pub(crate) use tensors::Written;

use names::Fill;
use tensors::Tensors;

const CONFIGURATION: &str = "config.json";
/// The bytes of weights from which on they are written to several files.
const LARGEST_FILE: usize = 5_000_000_000;

/// The configuration of the model in a folder.
///
/// # Errors
/// If there is none, or it asks for what no model here has.
pub fn read_config(folder: &Path) -> Result<LanguageModelConfig, FolderError> {
    let path = folder.join(CONFIGURATION);
    architecture::read(&path, &json::read(&path)?)
}

/// The model in a folder.
///
/// # Errors
/// What in the folder is missing, damaged or does not fit; see [`FolderError`].
pub fn read_model(folder: &Path, device: &Device) -> Result<LanguageModel, FolderError> {
    read_model_in(folder, None, device)
}

/// The model in a folder, with all blocks in an arithmetic if one is given.
///
/// # Errors
/// As [`read_model`], and if the model cannot be in that arithmetic.
pub fn read_model_in(
    folder: &Path,
    arithmetic: Option<Arithmetic>,
    device: &Device,
) -> Result<LanguageModel, FolderError> {
    let mut config = read_config(folder)?;
    if let Some(arithmetic) = arithmetic {
        config = config.in_arithmetic(arithmetic);
    }
    let mut tensors = Tensors::open(folder)?;
    let unfit = |message: String| FolderError::Unfit { path: folder.join(CONFIGURATION), message };
    let model = config.init(0, device).map_err(|error| unfit(error.to_string()))?;
    let mut fill = Fill::from(&mut tensors);
    let model = model.map(&mut fill);
    if let Some(error) = fill.error {
        return Err(error);
    }
    // Old Llamas keep their frequencies, and some models with a tied head the head.
    let without_weights =
        |name: &str| name.ends_with("rotary_emb.inv_freq") || config.tied && name == "lm_head.weight";
    tensors.check_all_read(without_weights)?;
    Ok(model)
}

/// Write a model to a folder that exists.
///
/// # Errors
/// If a file cannot be written, or weights are packed.
pub fn write_model(model: &LanguageModel, folder: &Path, format: NumberFormat) -> Result<(), FolderError> {
    if model.num_params() != model.config().parameters() {
        let message = "a model with packed weights cannot be written: the one that it was packed from can";
        return Err(FolderError::Unfit { path: folder.to_path_buf(), message: message.into() });
    }
    let mut take = Take::with(format);
    model.visit(&mut take);
    tensors::write(folder, &take.tensors, LARGEST_FILE)?;
    json::write(&folder.join(CONFIGURATION), &architecture::written(model.config(), format))
}

/// A temporary folder is private to its owner; a model's is an ordinary one.
fn open_to_all(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755));
    }
}

#[cfg(test)]
mod tests;
