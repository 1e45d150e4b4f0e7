//! The weights of a folder: safetensors files, one or several with an index, mapped into memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::FolderError;
use super::json;

/// The file of weights that are in one.
const SINGLE: &str = "model.safetensors";
/// The file that says where weights are that are in several.
const INDEX: &str = "model.safetensors.index.json";
/// Bytes before the header of a safetensors file: its length.
const LENGTH: usize = 8;

/// How weights are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberFormat {
    /// 32 bits, as they are.
    #[default]
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits.
    F16,
}

impl NumberFormat {
    /// The name in a configuration file.
    pub(super) fn name(self) -> &'static str {
        match self {
            NumberFormat::F32 => "float32",
            NumberFormat::Bf16 => "bfloat16",
            NumberFormat::F16 => "float16",
        }
    }
}

/// All tensors of a folder.
pub(super) struct Tensors {
    folder: PathBuf,
    files: Vec<(PathBuf, Mmap)>,
    entries: BTreeMap<String, Entry>,
    asked: BTreeSet<String>,
}

/// Where a tensor is.
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: std::ops::Range<usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Tensors {
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        let index = folder.join(INDEX);
        let single = folder.join(SINGLE);
        let mut tensors = Tensors {
            folder: folder.to_path_buf(),
            files: Vec::new(),
            entries: BTreeMap::new(),
            asked: BTreeSet::new(),
        };
        if single.is_file() {
            tensors.add(single)?;
            return Ok(tensors);
        }
        if !index.is_file() {
            return Err(no_weights(folder));
        }
        let Index { weight_map } = json::read(&index)?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        for name in names {
            // An index names files of its own folder.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(json::unfit(&index, "weight_map", name, "names of files in the same folder"));
            }
            tensors.add(folder.join(name))?;
        }
        for (tensor, file) in &weight_map {
            let there =
                tensors.entries.get(tensor).is_some_and(|entry| tensors.files[entry.file].0.ends_with(file));
            if !there {
                let path = folder.join(file);
                return Err(FolderError::Missing { tensor: tensor.clone(), shape: Vec::new(), path });
            }
        }
        Ok(tensors)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), FolderError> {
        let unreadable = |error| FolderError::File { action: "read", path: path.clone(), error };
        let file = File::open(&path).map_err(unreadable)?;
        // SAFETY: the map is read only. A program that shortens the file while it is mapped makes reads fault; as with every
        // program that maps checkpoints, the files must be left alone while a model is loaded.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let damaged = |message: String| FolderError::Damaged { path: path.clone(), message };
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| damaged(error.to_string()))?;
        let number = self.files.len();
        for (name, info) in metadata.tensors() {
            let start = LENGTH + header;
            let entry = Entry {
                file: number,
                dtype: info.dtype,
                shape: info.shape.clone(),
                bytes: start + info.data_offsets.0..start + info.data_offsets.1,
            };
            if self.entries.insert(name.clone(), entry).is_some() {
                return Err(damaged(format!("the tensor `{name}` is in another file too")));
            }
        }
        self.files.push((path, map));
        Ok(())
    }

    /// The numbers of a tensor.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FolderError> {
        let Some(entry) = self.entries.get(name) else {
            let path = if self.files.len() == 1 { self.files[0].0.clone() } else { self.folder.clone() };
            return Err(FolderError::Missing { tensor: name.to_string(), shape: shape.to_vec(), path });
        };
        let (path, map) = &self.files[entry.file];
        let (tensor, path) = (name.to_string(), path.clone());
        if entry.shape != shape {
            let (found, expected) = (entry.shape.clone(), shape.to_vec());
            return Err(FolderError::Shape { tensor, path, found, expected });
        }
        let bytes = &map[entry.bytes.clone()];
        let numbers: Vec<f32> = match entry.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect(),
            Dtype::BF16 => {
                bytes.as_chunks().0.iter().map(|&number| bf16::from_le_bytes(number).to_f32()).collect()
            }
            Dtype::F16 => {
                bytes.as_chunks().0.iter().map(|&number| f16::from_le_bytes(number).to_f32()).collect()
            }
            other => return Err(FolderError::Format { tensor, path, found: format!("{other:?}") }),
        };
        if let Some(index) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(FolderError::NotFinite { tensor, path, index, value: numbers[index] });
        }
        self.asked.insert(tensor);
        Ok(numbers)
    }

    /// That there is no tensor that has not been read, but for ones that hold no weights of the model.
    pub fn check_all_read(&self, without_weights: impl Fn(&str) -> bool) -> Result<(), FolderError> {
        let mut left =
            self.entries.iter().filter(|(name, _)| !self.asked.contains(*name) && !without_weights(name));
        match left.next() {
            None => Ok(()),
            Some((name, entry)) => Err(FolderError::Extra {
                tensor: name.clone(),
                path: self.files[entry.file].0.clone(),
                more: left.count(),
            }),
        }
    }
}

fn no_weights(folder: &Path) -> FolderError {
    let other = |name: &str| name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".gguf");
    let found = fs::read_dir(folder).ok().and_then(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| other(name)).min()
    });
    let hint = found.map_or(String::new(), |name| format!("; weights as in {name} are not read"));
    FolderError::NoWeights { path: folder.to_path_buf(), hint }
}

/// A tensor to be written.
pub(crate) struct Written {
    pub name: String,
    pub shape: Vec<usize>,
    pub numbers: Vec<f32>,
    pub format: NumberFormat,
}

impl View for &Written {
    fn dtype(&self) -> Dtype {
        match self.format {
            NumberFormat::F32 => Dtype::F32,
            NumberFormat::Bf16 => Dtype::BF16,
            NumberFormat::F16 => Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let numbers = self.numbers.iter();
        Cow::Owned(match self.format {
            NumberFormat::F32 => numbers.flat_map(|number| number.to_le_bytes()).collect(),
            NumberFormat::Bf16 => numbers.flat_map(|&number| bf16::from_f32(number).to_le_bytes()).collect(),
            NumberFormat::F16 => numbers.flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        let width = if self.format == NumberFormat::F32 { 4 } else { 2 };
        width * self.numbers.len()
    }
}

/// Write tensors to files of at most `largest` bytes of weights each (but at least one tensor); several get an index.
pub(super) fn write(folder: &Path, tensors: &[Written], largest: usize) -> Result<(), FolderError> {
    let mut shards: Vec<Vec<&Written>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in tensors {
        let bytes = View::data_len(&tensor);
        if filled > 0 && filled + bytes > largest {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push(tensor);
        }
    }
    let count = shards.len();
    let mut places = BTreeMap::new();
    for (number, shard) in shards.into_iter().enumerate() {
        let file = if count == 1 {
            SINGLE.to_string()
        } else {
            format!("model-{:05}-of-{count:05}.safetensors", number + 1)
        };
        places.extend(shard.iter().map(|tensor| (tensor.name.clone(), file.clone())));
        let path = folder.join(&file);
        // What the ecosystem's readers ask for.
        let metadata = [("format".to_string(), "pt".to_string())].into();
        let views = shard.iter().map(|tensor| (&tensor.name, *tensor));
        safetensors::serialize_to_file(views, Some(metadata), &path).map_err(|error| {
            let error = std::io::Error::other(error.to_string());
            FolderError::File { action: "write", path: path.clone(), error }
        })?;
    }
    if count == 1 {
        return Ok(());
    }
    let total: usize = tensors.iter().map(|tensor| View::data_len(&tensor)).sum();
    let index = serde_json::json!({ "metadata": { "total_size": total }, "weight_map": places });
    json::write(&folder.join(INDEX), &index)
}
