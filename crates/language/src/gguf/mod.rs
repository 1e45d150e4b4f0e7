//! Models as GGUF files, for llama.cpp and what is built on it.
//!
//! Written are the architectures that it knows by the names `llama` (also for Mistral) and `qwen2`, with the tokenizer and the chat
//! template. What it would read as another model than it is, other mixers, windows shorter than the context, a rotation or a
//! tokenizer that it does not know, is refused: a file that is written gives the same tokens and, but for rounding, the same
//! logits.
//!
//! Two arrangements differ. `llama` rotates neighbouring entries of a head together, where the ecosystem's folders rotate entry
//! `i` with entry `i + d/2`: rows of the query and key matrices, and their biases, are put in the other order. Llama 3's change of
//! the frequencies is a tensor of divisors.

mod architecture;
mod file;
mod tokenizer;

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use burn::module::Module;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::folder::{Checkpoint, NumberFormat, Take, Written};
use crate::text::TokenizerError;
use architecture::Architecture;
use file::{Encoding, Entry, Header, Tensor};

/// How matrices are written; vectors are always in 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// 32 bits, as they are.
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits.
    #[default]
    F16,
    /// 8 bits, and a scale for each 32 numbers of a row; where a row is no multiple of 32 long, 16 bits.
    Q8,
}

/// Why no file is written.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// llama.cpp has no such model.
    #[error("llama.cpp has no such model: {0}")]
    Architecture(String),
    /// llama.cpp has no such tokenizer, or there is none.
    #[error("llama.cpp has no such tokenizer: {0}")]
    Tokenizer(String),
    /// A weight is too large for the format.
    #[error(
        "entry {index} of the tensor `{tensor}` is {value}, which is more than 16 bits can hold; write it as bf16 or f32"
    )]
    Large {
        /// The tensor.
        tensor: String,
        /// Place in row-major order.
        index: usize,
        /// What is there.
        value: f32,
    },
    /// The tokenizer fails.
    #[error("{0}")]
    Text(#[from] TokenizerError),
    /// The file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Write a model with its tokenizer and chat template under a name that programs show. The file is there once it is whole.
///
/// # Errors
/// If llama.cpp has no such model or tokenizer, or the file cannot be written.
pub fn write(checkpoint: &Checkpoint, name: &str, weights: Weights, path: &Path) -> Result<(), GgufError> {
    let architecture = Architecture::of(checkpoint.model.config()).map_err(GgufError::Architecture)?;
    let mut entries = vec![
        ("general.architecture".to_string(), Entry::Text(architecture.name().into())),
        ("general.name".into(), Entry::Text(name.into())),
        ("general.file_type".into(), Entry::Whole(weights.file_type())),
        ("general.quantization_version".into(), Entry::Whole(2)),
    ];
    entries.extend(architecture.entries());
    entries.extend(tokenizer::entries(checkpoint)?);

    let mut take = Take::with(NumberFormat::F32);
    checkpoint.model.visit(&mut take);
    let mut written = take.tensors;
    for tensor in &mut written {
        architecture.rename(tensor);
    }
    written.extend(architecture.more());
    let tensors: Vec<Tensor> = written
        .iter()
        .map(|tensor| Tensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            encoding: weights.encoding(&tensor.shape),
        })
        .collect();

    let failed = |error| GgufError::File { path: path.to_path_buf(), error };
    let file = files::temporary_beside(path).map_err(failed)?;
    let mut out = BufWriter::new(&file);
    let header = Header { entries: &entries, tensors: &tensors };
    header.write(&mut out).map_err(failed)?;
    for (tensor, numbers) in tensors.iter().zip(&written) {
        let bytes = encoded(tensor, numbers)?;
        out.write_all(&bytes).and_then(|()| file::align(&mut out, bytes.len())).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    drop(out);
    files::keep(file, path).map_err(failed)
}

impl Weights {
    /// What stands in files for most of their weights being so.
    fn file_type(self) -> u32 {
        match self {
            Weights::F32 => 0,
            Weights::F16 => 1,
            Weights::Q8 => 7,
            Weights::Bf16 => 32,
        }
    }

    fn encoding(self, shape: &[usize]) -> Encoding {
        let row = shape.last().copied().unwrap_or(0);
        match self {
            _ if shape.len() < 2 => Encoding::F32,
            Weights::F32 => Encoding::F32,
            Weights::Bf16 => Encoding::Bf16,
            Weights::Q8 if row.is_multiple_of(BLOCK) => Encoding::Q8,
            Weights::F16 | Weights::Q8 => Encoding::F16,
        }
    }
}

/// Numbers that share a scale.
const BLOCK: usize = 32;

fn encoded(tensor: &Tensor, written: &Written) -> Result<Vec<u8>, GgufError> {
    let numbers = &written.numbers;
    let mut bytes = Vec::with_capacity(tensor.bytes());
    match tensor.encoding {
        Encoding::F32 => bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
        Encoding::Bf16 => {
            bytes.extend(numbers.iter().flat_map(|&number| bf16::from_f32(number).to_le_bytes()));
        }
        Encoding::F16 => {
            for (index, &value) in numbers.iter().enumerate() {
                let number = f16::from_f32(value);
                if !number.is_finite() {
                    return Err(GgufError::Large { tensor: tensor.name.clone(), index, value });
                }
                bytes.extend(number.to_le_bytes());
            }
        }
        Encoding::Q8 => {
            for (block, numbers) in numbers.chunks(BLOCK).enumerate() {
                let greatest = numbers.iter().fold(0.0_f32, |greatest, number| greatest.max(number.abs()));
                let scale = greatest / 127.0;
                let stored = f16::from_f32(scale);
                if !stored.is_finite() {
                    let (index, tensor) = (block * BLOCK, tensor.name.clone());
                    return Err(GgufError::Large { tensor, index, value: greatest });
                }
                bytes.extend(stored.to_le_bytes());
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                bytes.extend(numbers.iter().map(|number| (number * inverse).round() as i8 as u8));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
