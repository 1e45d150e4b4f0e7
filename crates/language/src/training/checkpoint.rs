//! Checkpoints: everything that a training goes on from, in one file (safetensors).
//!
//! The file is written under a temporary name and renamed, so that a process killed at any moment leaves the checkpoint before
//! or the new one, never a part. The batch of a step and its random numbers depend on the step alone, so the number of steps
//! done is all the state that they have.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Shape, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Evaluation, StepRecord};

/// What a training goes on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What is trained on what and how, in words; a training that says otherwise is another one.
    pub identity: String,
    /// Steps done.
    pub step: u64,
    /// The model's parameters by their paths.
    pub parameters: BTreeMap<String, TensorData>,
    /// The means of gradients and of their squares by the parameters' paths.
    pub moments: BTreeMap<String, [TensorData; 2]>,
    /// All steps so far.
    pub records: Vec<StepRecord>,
    /// All validations so far.
    pub evaluations: Vec<Evaluation>,
}

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// It is not a checkpoint, or damaged.
    #[error("{path} is no checkpoint: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The entry of the file's metadata with what is not a tensor. There is no other, so that equal checkpoints are equal files.
const STATE: &str = "training";

#[derive(Serialize, Deserialize)]
struct State {
    identity: String,
    step: u64,
    /// BLAKE3, of the two above and of all tensors.
    digest: String,
}

impl Checkpoint {
    /// Write the file; what was there is replaced only once the new one is complete.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let refuse = |reason: String| CheckpointError::Format { path: path.into(), reason };
        // As tensors, for numbers written out in digits do not keep every bit.
        let records = table(self.records.iter().map(StepRecord::row));
        let evaluations = table(self.evaluations.iter().map(Evaluation::row));
        let parameters = self.parameters.iter().map(|(name, data)| (format!("parameters/{name}"), data));
        let moments = self.moments.iter().flat_map(|(name, [first, second])| {
            [(format!("first/{name}"), first), (format!("second/{name}"), second)]
        });
        let history =
            [("history/evaluations".to_string(), &evaluations), ("history/steps".to_string(), &records)];
        let mut tensors: Vec<(String, &TensorData)> = parameters.chain(moments).chain(history).collect();
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut digest = Digest::new(&self.identity, self.step);
        let mut views = Vec::new();
        for (name, data) in &tensors {
            let format =
                format_of(data.dtype()).ok_or_else(|| refuse(format!("{name} is {:?}", data.dtype())))?;
            digest.add(name, data.as_bytes());
            let view = TensorView::new(format, data.shape().to_vec(), data.as_bytes());
            views.push((name, view.map_err(|error| refuse(error.to_string()))?));
        }
        let state = State { identity: self.identity.clone(), step: self.step, digest: digest.finish() };
        let state = serde_json::to_string(&state).map_err(|error| refuse(error.to_string()))?;
        let metadata = HashMap::from([(STATE.into(), state)]);
        let bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|error| refuse(error.to_string()))?;
        crate::files::write(path, &bytes).map_err(|error| CheckpointError::File { path: path.into(), error })
    }

    /// Read a file.
    ///
    /// # Errors
    /// If it cannot be read, is no checkpoint, or does not have the digest that it says.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let refuse = |reason: String| CheckpointError::Format { path: path.into(), reason };
        let bytes =
            std::fs::read(path).map_err(|error| CheckpointError::File { path: path.into(), error })?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| refuse(error.to_string()))?;
        let Some(text) = metadata.metadata().as_ref().and_then(|entries| entries.get(STATE)) else {
            return Err(refuse("its metadata do not say that it is one".to_string()));
        };
        let state: State = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
        let mut digest = Digest::new(&state.identity, state.step);
        let mut groups: [BTreeMap<String, TensorData>; 4] = Default::default();
        let mut views = tensors.tensors();
        views.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, view) in views {
            digest.add(&name, view.data());
            let wrong = || refuse(format!("a tensor `{name}` of format {:?}", view.dtype()));
            let (group, path) = name.split_once('/').ok_or_else(wrong)?;
            let group = GROUPS.iter().position(|known| *known == group).ok_or_else(wrong)?;
            let format = NUMBERS.iter().find(|(_, format)| *format == view.dtype()).ok_or_else(wrong)?.0;
            let shape = Shape::from(view.shape().to_vec());
            let data = TensorData::from_bytes_vec(view.data().to_vec(), shape, format);
            groups[group].insert(path.to_string(), data);
        }
        if digest.finish() != state.digest {
            return Err(refuse("it does not have the digest that it says; it has been damaged".to_string()));
        }
        let [parameters, first, mut second, history] = groups;
        let rows = |name: &str| match history.get(name) {
            Some(table) => {
                table.as_slice::<f64>().map_err(|error| refuse(format!("history/{name}: {error}")))
            }
            None => Err(refuse(format!("the tensor `history/{name}` is missing"))),
        };
        let moments = first.into_iter().map(|(name, first)| {
            let second = second.remove(&name).ok_or_else(|| refuse(format!("no second moment of {name}")))?;
            Ok((name, [first, second]))
        });
        Ok(Checkpoint {
            identity: state.identity,
            step: state.step,
            parameters,
            moments: moments.collect::<Result<_, CheckpointError>>()?,
            records: rows("steps")?.as_chunks().0.iter().map(StepRecord::of_row).collect(),
            evaluations: rows("evaluations")?.as_chunks().0.iter().map(Evaluation::of_row).collect(),
        })
    }
}

const GROUPS: [&str; 4] = ["parameters", "first", "second", "history"];

fn table<const N: usize>(rows: impl Iterator<Item = [f64; N]>) -> TensorData {
    let values: Vec<f64> = rows.flatten().collect();
    let count = values.len() / N;
    TensorData::new(values, [count, N])
}

const NUMBERS: [(DType, Dtype); 4] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
];

fn format_of(number: DType) -> Option<Dtype> {
    NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, format)| *format)
}

/// The digest of the state and of all tensors.
struct Digest(blake3::Hasher);

impl Digest {
    fn new(identity: &str, step: u64) -> Self {
        let mut digest = Digest(blake3::Hasher::new());
        digest.add(identity, &step.to_le_bytes());
        digest
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.update(name.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }

    fn finish(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Checkpoint {
        let data = |values: Vec<f32>, shape: Vec<usize>| TensorData::new(values, shape);
        let flat = |a: f32| data(vec![a, -0.0, f32::MIN_POSITIVE / 2.0], vec![3]);
        Checkpoint {
            identity: "this".to_string(),
            step: 12,
            parameters: BTreeMap::from([
                ("b.weight".to_string(), data(vec![1.5, 2.5, -3.0, 0.1], vec![2, 2])),
                ("a".to_string(), data(vec![1e-30], vec![1])),
            ]),
            moments: BTreeMap::from([
                ("a".to_string(), [flat(0.1), flat(0.2)]),
                ("b.weight".to_string(), [flat(0.3), flat(0.4)]),
            ]),
            records: vec![StepRecord {
                step: 12,
                loss: 0.1 + 0.2,
                gradient_norm: 1e-9,
                learning_rate: 1.0 / 3.0,
                tokens: 40,
            }],
            evaluations: vec![Evaluation { step: 10, loss: 1.0 / 7.0, accuracy: 0.25, places: 4 }],
        }
    }

    #[test]
    fn a_file_gives_back_every_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let checkpoint = example();
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        example().save(&path).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x15;
            std::fs::write(&path, &bad).unwrap();
            if let Ok(read) = Checkpoint::load(&path) {
                // Blanks of the header may change without a change of what it says.
                assert_eq!(read, example(), "byte {at}");
            }
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(Checkpoint::load(&path), Err(CheckpointError::Format { .. })));
        }
        assert!(matches!(Checkpoint::load(&folder.path().join("none")), Err(CheckpointError::File { .. })));
    }
}
