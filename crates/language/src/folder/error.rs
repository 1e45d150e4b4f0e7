//! Why a folder cannot be read or written as a model.

use std::io;
use std::path::PathBuf;

/// Why a folder cannot be read or written as a model.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    File {
        /// `read`, `write` or the like.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is no file with weights.
    #[error("{} has no model.safetensors and no model.safetensors.index.json{}", path.display(), hint)]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What it has instead.
        hint: String,
    },
    /// A file is not JSON, or not of the form that it should have.
    #[error("{}: {message}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// What is wrong, with the line.
        message: String,
    },
    /// A key of a JSON file is missing or has a value that cannot be used.
    #[error("{}: `{key}` is {found}, expected {expected}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: String,
    },
    /// A file with weights is damaged.
    #[error("{} is not a whole safetensors file: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A tensor that the configuration asks for is not there.
    #[error("the tensor `{tensor}` {shape:?} is missing in {}", path.display())]
    Missing {
        /// Its name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The file, or the folder if it is in none.
        path: PathBuf,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error("the tensor `{tensor}` in {} has the shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// Its name.
        tensor: String,
        /// Its file.
        path: PathBuf,
        /// Its shape.
        found: Vec<usize>,
        /// What the configuration asks for.
        expected: Vec<usize>,
    },
    /// A tensor is in a number format that is not read.
    #[error("the tensor `{tensor}` in {} is of type {found}, expected F32, BF16 or F16", path.display())]
    Format {
        /// Its name.
        tensor: String,
        /// Its file.
        path: PathBuf,
        /// Its type.
        found: String,
    },
    /// A weight is infinite or not a number.
    #[error("entry {index} of the tensor `{tensor}` in {} is {value}, expected a finite number", path.display())]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Its file.
        path: PathBuf,
        /// Place in row-major order.
        index: usize,
        /// What is there.
        value: f32,
    },
    /// There are tensors that the configuration does not ask for.
    #[error("the tensor `{tensor}` in {} belongs to no part of the model{}", path.display(), others(*more))]
    Extra {
        /// The first of them.
        tensor: String,
        /// Its file.
        path: PathBuf,
        /// How many others there are.
        more: usize,
    },
    /// A tokenizer, template or model that does not fit what the rest says.
    #[error("{}: {message}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => ", nor does 1 other".into(),
        more => format!(", nor do {more} others"),
    }
}
