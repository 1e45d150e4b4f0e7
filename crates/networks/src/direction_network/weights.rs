//! The weights of a direction network, apart from what computes with them, and their file (safetensors).

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::DirectionNetworkConfig;
use mathesis_algebra::random::Sequence;

/// The key of the configuration in a file's metadata.
const CONFIGURATION: &str = "direction-network";
/// Networks beyond this are refused, so that a damaged file cannot ask for all memory.
const LARGEST: usize = 1024;

/// One layer: a convolution, `[3][3][3][in][out]`, or the last layer, `[in][out]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The weights, the output fastest.
    pub weights: Vec<f32>,
    /// One entry for each output.
    pub bias: Vec<f32>,
}

impl Layer {
    /// Channels of a convolution's input.
    pub(super) fn channels_in(&self) -> usize {
        self.weights.len() / (27 * self.bias.len()).max(1)
    }
}

/// All weights of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    config: DirectionNetworkConfig,
    convolutions: Vec<Layer>,
    output: Layer,
}

/// Why a file is not a direction network's.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read or written.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// It is not a safetensors file.
    #[error("not a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// It does not tell the network's shape.
    #[error("the metadata has no valid entry `direction-network` with the network's shape: {0}")]
    Configuration(String),
    /// A tensor is not there.
    #[error("the tensor `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape or number format.
    #[error("the tensor `{name}` is {found}, expected {expected}")]
    Shape {
        /// Its name.
        name: String,
        /// Number format and shape that the configuration asks for.
        expected: String,
        /// Those of the file.
        found: String,
    },
    /// A weight is infinite or not a number.
    #[error("entry {index} of the tensor `{name}` is {value}, expected a finite number")]
    NotFinite {
        /// The tensor's name.
        name: String,
        /// Place in row-major order.
        index: usize,
        /// What is there.
        value: f32,
    },
}

impl Weights {
    /// Random weights, uniform within `±√(6 / (inputs + outputs))` (Glorot), and biases of zero.
    pub fn glorot(config: DirectionNetworkConfig, seed: u64) -> Self {
        let mut random = Sequence::new(seed);
        let mut layers = shapes(&config).into_iter().map(|(_, shape)| {
            let (inputs, outputs) = (shape[shape.len() - 2], shape[shape.len() - 1]);
            let taps: usize = shape[..shape.len() - 2].iter().product();
            let bound = (6.0 / (taps * (inputs + outputs)) as f64).sqrt();
            let weights = (0..taps * inputs * outputs).map(|_| (bound * random.symmetric()) as f32).collect();
            Layer { weights, bias: vec![0.0; outputs] }
        });
        let convolutions = layers.by_ref().take(config.convolutions()).collect();
        let output = layers.next().unwrap_or_else(|| unreachable!("the output follows the convolutions"));
        Self { config, convolutions, output }
    }

    /// The given layers.
    ///
    /// # Panics
    /// If they have not the shapes of the configuration.
    pub fn from_layers(config: DirectionNetworkConfig, convolutions: Vec<Layer>, output: Layer) -> Self {
        let expected = shapes(&config);
        assert_eq!(convolutions.len() + 1, expected.len(), "number of layers");
        for (layer, (name, shape)) in convolutions.iter().chain([&output]).zip(expected) {
            assert_eq!(layer.weights.len(), shape.iter().product::<usize>(), "weights of {name}");
            assert_eq!(layer.bias.len(), shape[shape.len() - 1], "bias of {name}");
        }
        Self { config, convolutions, output }
    }

    /// The network's shape.
    pub fn config(&self) -> DirectionNetworkConfig {
        self.config
    }

    /// The convolutions in the order in which they are applied.
    pub fn convolutions(&self) -> &[Layer] {
        &self.convolutions
    }

    /// The linear layer at the end.
    pub fn output(&self) -> &Layer {
        &self.output
    }

    /// The weights in a file's bytes.
    ///
    /// # Errors
    /// [`WeightsError`], which names the tensor that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let refuse = |reason: String| WeightsError::Configuration(reason);
        let text = metadata.metadata().as_ref().and_then(|entries| entries.get(CONFIGURATION));
        let text = text.ok_or_else(|| refuse("it is missing".into()))?;
        let config: DirectionNetworkConfig =
            serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let DirectionNetworkConfig { channels, pairs_before, pairs_half, pairs_after } = config;
        if channels == 0
            || pairs_before == 0
            || [channels, pairs_before, pairs_half, pairs_after].iter().any(|&n| n > LARGEST)
        {
            return Err(refuse(format!(
                "channels and pairs-before must be at least 1 and no number above {LARGEST}: {text}"
            )));
        }
        let tensors = SafeTensors::deserialize(bytes)?;
        let mut layers = Vec::new();
        for (name, shape) in shapes(&config) {
            let weights = read(&tensors, &format!("{name}.weights"), &shape)?;
            let bias = read(&tensors, &format!("{name}.bias"), &shape[shape.len() - 1..])?;
            layers.push(Layer { weights, bias });
        }
        let output = layers.pop().unwrap_or_else(|| unreachable!("the output follows the convolutions"));
        Ok(Self { config, convolutions: layers, output })
    }

    /// The weights in a file.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), and if the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        Self::from_bytes(&std::fs::read(path)?)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`WeightsError::Format`] if the tensors cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let mut tensors = Vec::new();
        let layers = self.convolutions.iter().chain([&self.output]);
        for (layer, (name, shape)) in layers.zip(shapes(&self.config)) {
            let bias = shape[shape.len() - 1..].to_vec();
            tensors.push((format!("{name}.weights"), shape, little_endian(&layer.weights)));
            tensors.push((format!("{name}.bias"), bias, little_endian(&layer.bias)));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let config =
            serde_json::to_string(&self.config).map_err(|e| WeightsError::Configuration(e.to_string()))?;
        Ok(safetensors::serialize(views, Some(HashMap::from([(CONFIGURATION.to_string(), config)])))?)
    }

    /// Writes a file; what was there is replaced only once the new one is complete.
    ///
    /// # Errors
    /// [`WeightsError::File`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&self.to_bytes()?)?;
        file.as_file().sync_all()?;
        #[cfg(unix)]
        {
            // Temporary files are private; this one is to be as readable as any.
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Name and shape of every layer's weights.
fn shapes(config: &DirectionNetworkConfig) -> Vec<(String, Vec<usize>)> {
    let c = config.channels;
    let convolutions = (0..config.convolutions()).map(|k| {
        let channels_in = if k == 0 { 1 } else { c };
        (format!("convolution.{k}"), vec![3, 3, 3, channels_in, c])
    });
    convolutions.chain([("output".to_string(), vec![c, 1])]).collect()
}

fn read(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
    let Ok(tensor) = tensors.tensor(name) else { return Err(WeightsError::Missing { name: name.into() }) };
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        return Err(WeightsError::Shape {
            name: name.into(),
            expected: format!("F32 {shape:?}"),
            found: format!("{:?} {:?}", tensor.dtype(), tensor.shape()),
        });
    }
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(WeightsError::NotFinite { name: name.into(), index, value: values[index] }),
        None => Ok(values),
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: DirectionNetworkConfig =
        DirectionNetworkConfig { channels: 3, pairs_before: 1, pairs_half: 1, pairs_after: 0 };

    #[test]
    fn a_file_gives_back_what_was_saved() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("network.safetensors");
        let weights = Weights::glorot(SMALL, 5);
        weights.save(&path).expect("written");
        weights.save(&path).expect("replaced");
        assert_eq!(Weights::load(&path).expect("read"), weights);
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
        assert!(matches!(Weights::load(&folder.path().join("none")), Err(WeightsError::File(_))));
    }

    #[test]
    fn a_wrong_file_is_refused_by_name() {
        let write = |config: &str, tensors: Vec<(String, Vec<usize>, Vec<f32>)>| {
            let bytes: Vec<_> =
                tensors.iter().map(|(name, shape, values)| (name, shape, little_endian(values))).collect();
            let views = bytes.iter().map(|(name, shape, bytes)| {
                (name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("a view"))
            });
            let metadata = HashMap::from([(CONFIGURATION.to_string(), config.to_string())]);
            safetensors::serialize(views, Some(metadata)).expect("a file")
        };
        let good: Vec<_> = shapes(&SMALL)
            .into_iter()
            .flat_map(|(name, shape)| {
                let (count, outputs) = (shape.iter().product(), shape[shape.len() - 1]);
                [
                    (format!("{name}.weights"), shape, vec![0.5; count]),
                    (format!("{name}.bias"), vec![outputs], vec![0.5; outputs]),
                ]
            })
            .collect();
        let config = serde_json::to_string(&SMALL).expect("text");
        assert!(Weights::from_bytes(&write(&config, good.clone())).is_ok());
        let message = |bytes: &[u8]| Weights::from_bytes(bytes).expect_err("refused").to_string();

        let mut bad = good.clone();
        bad.retain(|(name, ..)| name != "convolution.2.bias");
        assert_eq!(message(&write(&config, bad)), "the tensor `convolution.2.bias` is missing");
        let mut bad = good.clone();
        bad[1].1 = vec![3, 1];
        assert_eq!(
            message(&write(&config, bad)),
            "the tensor `convolution.0.bias` is F32 [3, 1], expected F32 [3]"
        );
        let mut bad = good.clone();
        bad[2].2[7] = f32::NAN;
        assert_eq!(
            message(&write(&config, bad)),
            "entry 7 of the tensor `convolution.1.weights` is NaN, expected a finite number"
        );
        assert!(message(&write("{}", good.clone())).contains("`direction-network`"));
        assert!(message(&write(&config.replace(":3,", ":99999,"), good)).contains("1024"));
        assert!(message(b"something else").starts_with("not a safetensors file"));
    }
}
