//! A network that proposes directions for solving pressure systems on voxel grids: Kaneda et al., "A Deep Conjugate Direction
//! Method for Iteratively Solving Linear Systems" (ICML 2023), the network of its section 4 as in its published program.
//!
//! For a residual `r` of unit length the output is, ideally, any multiple of `A⁻¹ r`. All convolutions are 3×3×3 with sixteen
//! channels, zero padding and bias, and each but the first is followed by a rectifier:
//!
//! ```text
//! l = c(r)                                      linear
//! a = c(l), b = c(a)                            the first pair at full resolution
//! a = c(b) + a, b = c(a)                        further pairs
//! h = mean of b over 2×2×2 cells
//! h = c(c(h)) + h                               pairs at half the resolution
//! u = h, repeated over 2×2×2 cells, + b
//! u = c(c(u)) + u                               pairs at full resolution
//! f(r) = w·u + w₀                               for each voxel
//! ```
//!
//! Fully convolutional: a network trained on one grid runs on others. An axis with an odd number of cells is extended by one
//! layer of zeros, and the output is cut to the grid. The weights start as Keras starts them: uniform after Glorot, biases zero.
//!
//! - [`DirectionNetworkConfig`] → [`DirectionNetwork`]: to train;
//! - [`InferenceNetwork`]: the same network without automatic derivatives, in buffers that are kept;
//! - [`Weights`]: what both share, and its file;
//! - [`VoxelSystem`], [`loss`]: the self-supervised loss;
//! - [`train`].

mod inference;
mod loss;
mod training;
mod weights;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::convolution::{average_pool, convolve, upsample};

pub use inference::InferenceNetwork;
pub use loss::{VoxelSystem, loss};
pub use training::{Epoch, Training, TrainingError, TrainingOptions, TrainingProgress, train};
pub use weights::{Layer, Weights, WeightsError};

/// The shape of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectionNetworkConfig {
    /// Channels of every hidden layer (the paper: 16).
    pub channels: usize,
    /// Pairs of convolutions at full resolution before pooling, at least 1.
    pub pairs_before: usize,
    /// Pairs at half the resolution.
    pub pairs_half: usize,
    /// Pairs at full resolution after that.
    pub pairs_after: usize,
}

impl DirectionNetworkConfig {
    /// The paper's network for 64³ cells: 97 457 parameters.
    pub const PAPER_64: Self = Self { channels: 16, pairs_before: 2, pairs_half: 3, pairs_after: 2 };
    /// The paper's network for 128³ cells: 152 881 parameters.
    pub const PAPER_128: Self = Self { channels: 16, pairs_before: 3, pairs_half: 5, pairs_after: 3 };

    /// Number of convolutions.
    pub fn convolutions(&self) -> usize {
        1 + 2 * (self.pairs_before + self.pairs_half + self.pairs_after)
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        let c = self.channels;
        let hidden = self.convolutions() - 1;
        (27 * c + c) + hidden * (27 * c * c + c) + (c + 1)
    }

    /// Multiplications and additions of one application to a grid of `voxels` cells.
    pub fn operations(&self, voxels: usize) -> f64 {
        let c = self.channels as f64;
        let full = (2 * (self.pairs_before + self.pairs_after)) as f64;
        let half = (2 * self.pairs_half) as f64 / 8.0;
        voxels as f64 * (54.0 * c + (full + half) * 54.0 * c * c + 2.0 * c)
    }

    /// A network with weights from the given seed.
    pub fn init(&self, seed: u64, device: &Device) -> DirectionNetwork {
        DirectionNetwork::from_weights(&Weights::glorot(*self, seed), device)
    }
}

/// One convolution.
#[derive(Module, Debug)]
struct ConvolutionLayer {
    weights: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

impl ConvolutionLayer {
    fn forward(&self, input: Tensor<5>, rectify: bool) -> Tensor<5> {
        convolve(input, self.weights.val(), self.bias.val(), rectify)
    }
}

/// The network, to train.
#[derive(Module, Debug)]
pub struct DirectionNetwork {
    convolutions: Vec<ConvolutionLayer>,
    output_weights: Param<Tensor<2>>,
    output_bias: Param<Tensor<1>>,
    pairs_before: usize,
    pairs_half: usize,
    pairs_after: usize,
}

impl DirectionNetwork {
    /// The network with the given weights.
    pub fn from_weights(weights: &Weights, device: &Device) -> Self {
        let convolution = |layer: &Layer| ConvolutionLayer {
            weights: Param::from_data(
                TensorData::new(layer.weights.clone(), [3, 3, 3, layer.channels_in(), layer.bias.len()]),
                device,
            ),
            bias: Param::from_data(TensorData::new(layer.bias.clone(), [layer.bias.len()]), device),
        };
        let config = weights.config();
        let output = weights.output();
        Self {
            convolutions: weights.convolutions().iter().map(convolution).collect(),
            output_weights: Param::from_data(
                TensorData::new(output.weights.clone(), [config.channels, 1]),
                device,
            ),
            output_bias: Param::from_data(TensorData::new(output.bias.clone(), [1]), device),
            pairs_before: config.pairs_before,
            pairs_half: config.pairs_half,
            pairs_after: config.pairs_after,
        }
    }

    /// A copy of its weights.
    pub fn weights(&self) -> Weights {
        let config = DirectionNetworkConfig {
            channels: self.output_weights.val().dims()[0],
            pairs_before: self.pairs_before,
            pairs_half: self.pairs_half,
            pairs_after: self.pairs_after,
        };
        let layer = |layer: &ConvolutionLayer| Layer {
            weights: values(layer.weights.val()),
            bias: values(layer.bias.val()),
        };
        let output =
            Layer { weights: values(self.output_weights.val()), bias: values(self.output_bias.val()) };
        Weights::from_layers(config, self.convolutions.iter().map(layer).collect(), output)
    }

    /// Directions `[batch, x, y, z, 1]` for residuals `[batch, x, y, z, 1]`.
    pub fn forward(&self, residual: Tensor<5>) -> Tensor<5> {
        let [batch, nx, ny, nz, _] = residual.dims();
        let mut layers = self.convolutions.iter();
        let mut next = |input: Tensor<5>, rectify| match layers.next() {
            Some(layer) => layer.forward(input, rectify),
            None => unreachable!("a layer for every convolution of the configuration"),
        };
        let mut b = next(even(residual), false);
        let mut a = next(b, true);
        b = next(a.clone(), true);
        for _ in 1..self.pairs_before {
            a = next(b, true) + a;
            b = next(a.clone(), true);
        }
        let mut half = average_pool(b.clone());
        for _ in 0..self.pairs_half {
            let inner = next(half.clone(), true);
            half = next(inner, true) + half;
        }
        let mut full = upsample(half) + b;
        for _ in 0..self.pairs_after {
            let inner = next(full.clone(), true);
            full = next(inner, true) + full;
        }
        let [_, x, y, z, channels] = full.dims();
        let flat = full.reshape([batch * x * y * z, channels]);
        let output = flat.matmul(self.output_weights.val()) + self.output_bias.val().reshape([1, 1]);
        let output = output.reshape([batch, x, y, z, 1]);
        if [x, y, z] == [nx, ny, nz] { output } else { output.slice([0..batch, 0..nx, 0..ny, 0..nz, 0..1]) }
    }
}

/// Extended by zeros to even numbers of cells.
fn even(tensor: Tensor<5>) -> Tensor<5> {
    (1..4).fold(tensor, |tensor, axis| {
        let mut layer = tensor.dims();
        if layer[axis] % 2 == 0 {
            return tensor;
        }
        layer[axis] = 1;
        let zeros = Tensor::zeros(layer, &tensor.device());
        Tensor::cat(vec![tensor, zeros], axis)
    })
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_networks_have_their_numbers_of_parameters() {
        for (config, parameters, layers) in
            [(DirectionNetworkConfig::PAPER_64, 97_457, 15), (DirectionNetworkConfig::PAPER_128, 152_881, 23)]
        {
            assert_eq!((config.parameters(), config.convolutions()), (parameters, layers));
            let network = config.init(1, &Device::flex());
            assert_eq!(network.num_params(), parameters);
            assert_eq!(network.weights(), Weights::glorot(config, 1));
        }
        // The 64-network: 32 GFLOP an application at 64³.
        let operations = DirectionNetworkConfig::PAPER_64.operations(64 * 64 * 64);
        assert!((31e9..33e9).contains(&operations), "{operations}");
    }

    #[test]
    fn both_networks_agree_on_any_grid() {
        for (config, cells) in [
            (DirectionNetworkConfig::PAPER_64, [8, 6, 10]),
            (DirectionNetworkConfig::PAPER_128, [5, 7, 3]),
            (
                DirectionNetworkConfig { channels: 5, pairs_before: 1, pairs_half: 0, pairs_after: 1 },
                [1, 2, 9],
            ),
        ] {
            let weights = Weights::glorot(config, 3);
            let mut random = mathesis_algebra::random::Sequence::new(4);
            let residual: Vec<f32> =
                (0..cells.iter().product::<usize>()).map(|_| random.symmetric() as f32).collect();
            let data = TensorData::new(residual.clone(), [1, cells[0], cells[1], cells[2], 1]);
            let device = Device::flex();
            let network = DirectionNetwork::from_weights(&weights, &device);
            let expected = values(network.forward(Tensor::from_data(data, &device)));
            let mut fast = InferenceNetwork::new(&weights);
            let scale = expected.iter().fold(0_f32, |scale, value| scale.max(value.abs()));
            for _ in 0..2 {
                let mut direction = vec![0.0; residual.len()];
                fast.apply(cells, &residual, &mut direction);
                for (a, b) in direction.iter().zip(&expected) {
                    assert!((a - b).abs() <= 1e-5 * scale, "{a} for {b} on {cells:?}");
                }
            }
        }
    }
}
