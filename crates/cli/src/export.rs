//! `mathesis export`: a language model in a folder as a file for another program.

use std::path::PathBuf;

use burn::tensor::Device;
use mathesis_language::folder::Checkpoint;
use mathesis_language::gguf::{self, GgufError, Weights};

use crate::failure::Failure;
use crate::model_folder::ModelFolder;

const EXAMPLES: &str = "\
Examples:
  mathesis export MODEL model.gguf                    for llama.cpp, 16 bits a weight
  mathesis export MODEL small.gguf --weights q8-0     8 bits

MODEL is a folder with config.json, *.safetensors and tokenizer.json. What llama.cpp would read as another model is
refused.";

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model's folder, or `built-in`.
    model: PathBuf,
    /// The file, whose name ends in .gguf; one that is there is replaced.
    file: PathBuf,
    /// How matrices are written; vectors are always in 32 bits.
    #[arg(long, value_enum, default_value_t = Format::F16)]
    weights: Format,
    /// The model's name in the file [default: that of its folder].
    #[arg(long)]
    name: Option<String>,
    /// Do not tell what was written.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// 32 bits, as they are.
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits.
    F16,
    /// 8 bits with a scale for each 32 numbers.
    #[value(name = "q8-0", alias = "q8_0")]
    Q8,
}

/// Export.
///
/// # Errors
/// [`Failure::Input`] if the folder is not a model's, or the file cannot hold it; [`Failure::Work`] if it cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { model, file, .. } = arguments;
    if file.extension().is_none_or(|extension| extension != "gguf") {
        return Err(Failure::input(format!("{}: expected a name that ends in .gguf", file.display())));
    }
    let folder = ModelFolder::of(model)?;
    let checkpoint = Checkpoint::read(folder.path(), &Device::flex()).map_err(Failure::input)?;
    let name = arguments.name.clone().unwrap_or_else(|| folder.name());
    let weights = match arguments.weights {
        Format::F32 => Weights::F32,
        Format::Bf16 => Weights::Bf16,
        Format::F16 => Weights::F16,
        Format::Q8 => Weights::Q8,
    };
    gguf::write(&checkpoint, &name, weights, file).map_err(|error| match error {
        GgufError::File { .. } => Failure::work(error),
        _ => Failure::input(format!("{}: {error}", model.display())),
    })?;
    if !arguments.quiet {
        let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        println!("{}: {:.1} MB", file.display(), bytes as f64 / 1e6);
    }
    Ok(())
}
