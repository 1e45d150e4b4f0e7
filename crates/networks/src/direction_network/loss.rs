//! The self-supervised loss: how much of a residual one exact step along the proposed direction leaves.

use burn::tensor::{Device, Tensor, TensorData};

use super::DirectionNetwork;
use crate::convolution::convolve;

/// The pressure system of a voxel grid, as the loss sees it: `A q = d ⊙ q - m ⊙ N(m ⊙ q)` where `d` is the diagonal, `m` is one on fluid
/// cells and zero elsewhere, and `N` adds up the six neighbours.
#[derive(Clone, Debug)]
pub struct VoxelSystem {
    /// Cells along x, y and z.
    pub cells: [usize; 3],
    /// The matrix's diagonal, one entry for each cell in C order; zero exactly off the fluid.
    pub diagonal: Vec<f32>,
    /// Whether constants on the fluid are a null space; directions are then made free of their mean.
    pub singular: bool,
}

impl VoxelSystem {
    /// A copy on a device.
    ///
    /// # Panics
    /// If the diagonal has not one entry for each cell.
    pub(super) fn to(&self, device: &Device) -> SystemTensors {
        let [x, y, z] = self.cells;
        assert_eq!(self.diagonal.len(), x * y * z, "a diagonal entry for each cell");
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [1, x, y, z, 1]), device);
        let mask: Vec<f32> = self.diagonal.iter().map(|&d| if d == 0.0 { 0.0 } else { 1.0 }).collect();
        let mut neighbours = vec![0.0_f32; 27];
        for tap in [4, 10, 12, 14, 16, 22] {
            neighbours[tap] = 1.0;
        }
        let fluid = mask.iter().sum::<f32>();
        SystemTensors {
            diagonal: tensor(self.diagonal.clone()),
            mask: tensor(mask),
            neighbours: Tensor::from_data(TensorData::new(neighbours, [3, 3, 3, 1, 1]), device),
            zero: Tensor::zeros([1], device),
            singular: self.singular.then_some(fluid),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct SystemTensors {
    diagonal: Tensor<5>,
    mask: Tensor<5>,
    neighbours: Tensor<5>,
    zero: Tensor<1>,
    /// The number of fluid cells, if constants are a null space.
    singular: Option<f32>,
}

impl SystemTensors {
    fn apply(&self, q: Tensor<5>) -> Tensor<5> {
        let sums = convolve(q.clone(), self.neighbours.clone(), self.zero.clone(), false);
        q * self.diagonal.clone() - sums * self.mask.clone()
    }

    /// The loss of a batch, a tensor with one entry.
    pub fn loss(&self, network: &DirectionNetwork, b: Tensor<5>) -> Tensor<1> {
        let [batch, x, y, z, _] = b.dims();
        let flat = |tensor: Tensor<5>| tensor.reshape([batch, x * y * z]);
        let mut q = network.forward(b.clone()) * self.mask.clone();
        if let Some(fluid) = self.singular {
            let mean = flat(q.clone()).sum_dim(1).div_scalar(fluid).reshape([batch, 1, 1, 1, 1]);
            q = (q - mean) * self.mask.clone();
        }
        let image = flat(self.apply(q.clone()));
        let (q, b) = (flat(q), flat(b));
        let step = (q.clone() * b.clone()).sum_dim(1) / (q * image.clone()).sum_dim(1);
        let left = b - image * step;
        (left.clone() * left).sum_dim(1).mean()
    }
}

/// The mean over unit vectors `b` `[batch, x, y, z, 1]` of
///
/// ```text
/// ‖b - α A q‖²,   q = f(b),   α = qᵀ b / qᵀ A q
/// ```
///
/// which lies between 0 and 1 for the better part; derivatives run through α.
///
/// # Panics
/// If the grid of `b` is not that of the system.
pub fn loss(network: &DirectionNetwork, system: &VoxelSystem, b: Tensor<5>) -> Tensor<1> {
    assert_eq!(b.dims()[1..4], system.cells, "the system's cells");
    system.to(&b.device()).loss(network, b)
}

#[cfg(test)]
mod tests {
    use mathesis_algebra::convolution::reference::{self, Shape};

    use super::*;
    use crate::direction_network::{DirectionNetworkConfig, Layer, Weights};
    use mathesis_algebra::random::Sequence;

    /// The loss with plain loops in double precision.
    fn exact(
        config: DirectionNetworkConfig,
        layers: &[(Vec<f64>, Vec<f64>)],
        system: &VoxelSystem,
        b: &[f64],
    ) -> f64 {
        let (cells, c) = (system.cells, config.channels);
        let n: usize = cells.iter().product();
        let at = |cells: [usize; 3], x: usize, y: usize, z: usize| (x * cells[1] + y) * cells[2] + z;
        let mut next = layers.iter();
        let mut convolution = |input: &[f64], cells: [usize; 3], rectify: bool| -> Vec<f64> {
            let (weights, bias) = next.next().expect("a layer");
            let shape = Shape {
                batch: 1,
                cells,
                channels_in: input.len() / cells.iter().product::<usize>(),
                channels_out: c,
            };
            let output = reference::convolve(shape, input, weights, bias);
            output.into_iter().map(|v| if rectify { v.max(0.0) } else { v }).collect()
        };
        let add = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x + y).collect() };
        let mut full = convolution(b, cells, false);
        let mut a = convolution(&full, cells, true);
        full = convolution(&a, cells, true);
        for _ in 1..config.pairs_before {
            a = add(&convolution(&full, cells, true), &a);
            full = convolution(&a, cells, true);
        }
        let coarse = cells.map(|n| n / 2);
        let mut half = vec![0.0; n / 8 * c];
        for (x, y, z) in (0..n).map(|i| (i / (cells[1] * cells[2]), i / cells[2] % cells[1], i % cells[2])) {
            for k in 0..c {
                half[at(coarse, x / 2, y / 2, z / 2) * c + k] += full[at(cells, x, y, z) * c + k] / 8.0;
            }
        }
        for _ in 0..config.pairs_half {
            let inner = convolution(&half, coarse, true);
            half = add(&convolution(&inner, coarse, true), &half);
        }
        for (x, y, z) in (0..n).map(|i| (i / (cells[1] * cells[2]), i / cells[2] % cells[1], i % cells[2])) {
            for k in 0..c {
                full[at(cells, x, y, z) * c + k] += half[at(coarse, x / 2, y / 2, z / 2) * c + k];
            }
        }
        for _ in 0..config.pairs_after {
            let inner = convolution(&full, cells, true);
            full = add(&convolution(&inner, cells, true), &full);
        }
        let (weights, bias) = &layers[layers.len() - 1];
        let fluid = |i: usize| system.diagonal[i] != 0.0;
        let mut q: Vec<f64> = (0..n)
            .map(|i| (0..c).map(|k| full[i * c + k] * weights[k]).sum::<f64>() + bias[0])
            .enumerate()
            .map(|(i, v)| if fluid(i) { v } else { 0.0 })
            .collect();
        if system.singular {
            let mean = q.iter().sum::<f64>() / (0..n).filter(|&i| fluid(i)).count() as f64;
            q.iter_mut().enumerate().for_each(|(i, v)| {
                if fluid(i) {
                    *v -= mean
                }
            });
        }
        let mut image = vec![0.0; n];
        for i in (0..n).filter(|&i| fluid(i)) {
            let p = [i / (cells[1] * cells[2]), i / cells[2] % cells[1], i % cells[2]];
            image[i] = f64::from(system.diagonal[i]) * q[i];
            for axis in 0..3 {
                for up in [false, true] {
                    let mut other = p;
                    other[axis] = if up { p[axis] + 1 } else { p[axis].wrapping_sub(1) };
                    if other[axis] < cells[axis] {
                        image[i] -= q[at(cells, other[0], other[1], other[2])];
                    }
                }
            }
        }
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let step = dot(&q, b) / dot(&q, &image);
        b.iter().zip(&image).map(|(b, a)| (b - step * a).powi(2)).sum()
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let config = DirectionNetworkConfig { channels: 3, pairs_before: 2, pairs_half: 1, pairs_after: 1 };
        let cells = [4, 4, 6];
        let mut random = Sequence::new(8);
        // A box with one solid cell, open and closed.
        for singular in [false, true] {
            let solid = 29;
            let diagonal: Vec<f32> = (0..96_usize)
                .map(|i| {
                    let p = [i / 24, i / 6 % 4, i % 6];
                    let mut count = 0;
                    for axis in 0..3 {
                        for up in [false, true] {
                            let mut other = p;
                            other[axis] = if up { p[axis] + 1 } else { p[axis].wrapping_sub(1) };
                            // Below zero wraps around to far beyond the box.
                            count += usize::from(if other[axis] < cells[axis] {
                                (other[0] * 4 + other[1]) * 6 + other[2] != solid
                            } else {
                                !singular
                            });
                        }
                    }
                    if i == solid { 0.0 } else { count as f32 }
                })
                .collect();
            let system = VoxelSystem { cells, diagonal, singular };
            let mut weights = Weights::glorot(config, 2);
            // Biases off zero, so that nothing sits on the rectifier's corner.
            let mut shifted = |layer: &Layer| Layer {
                weights: layer.weights.clone(),
                bias: layer.bias.iter().map(|_| 0.1 * random.symmetric() as f32).collect(),
            };
            let (layers, output) =
                (weights.convolutions().iter().map(&mut shifted).collect(), shifted(weights.output()));
            weights = Weights::from_layers(config, layers, output);
            let mut b: Vec<f64> =
                (0..96).map(|i| if i == solid { 0.0 } else { random.symmetric() }).collect();
            let mean = b.iter().sum::<f64>() / 95.0;
            b.iter_mut().enumerate().for_each(|(i, v)| {
                if i != solid {
                    *v -= mean
                }
            });
            let length = b.iter().map(|v| v * v).sum::<f64>().sqrt();
            let b: Vec<f64> = b.iter().map(|v| f64::from((v / length) as f32)).collect();

            let device = Device::flex().autodiff();
            let network = DirectionNetwork::from_weights(&weights, &device);
            let single: Vec<f32> = b.iter().map(|&v| v as f32).collect();
            let data = TensorData::new(single, [1, cells[0], cells[1], cells[2], 1]);
            let value = loss(&network, &system, Tensor::from_data(data, &device));
            let gradients = value.backward();
            let value = f64::from(value.into_scalar::<f32>());

            let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };
            let layers: Vec<(Vec<f64>, Vec<f64>)> = weights
                .convolutions()
                .iter()
                .chain([weights.output()])
                .map(|layer| (wide(&layer.weights), wide(&layer.bias)))
                .collect();
            assert!((value - exact(config, &layers, &system, &b)).abs() < 1e-5);
            let gradient_of = |layer: usize| -> (Vec<f32>, Vec<f32>) {
                let take = |data: Option<TensorData>| data.expect("a gradient").iter::<f32>().collect();
                if let Some(layer) = network.convolutions.get(layer) {
                    (
                        take(layer.weights.val().grad(&gradients).map(|g| g.into_data())),
                        take(layer.bias.val().grad(&gradients).map(|g| g.into_data())),
                    )
                } else {
                    (
                        take(network.output_weights.val().grad(&gradients).map(|g| g.into_data())),
                        take(network.output_bias.val().grad(&gradients).map(|g| g.into_data())),
                    )
                }
            };
            for layer in 0..layers.len() {
                let (of_weights, of_bias) = gradient_of(layer);
                let scale = of_weights.iter().fold(0_f32, |scale, g| scale.max(g.abs()));
                assert!(scale > 0.0, "layer {layer} has a gradient");
                let step = 1e-6;
                let places = (0..of_weights.len()).step_by(7).map(|k| (k, true));
                for (k, in_weights) in places.chain((0..of_bias.len()).map(|k| (k, false))) {
                    let moved = |by: f64| {
                        let mut layers = layers.clone();
                        let target = &mut layers[layer];
                        if in_weights {
                            target.0[k] += by
                        } else {
                            target.1[k] += by
                        }
                        exact(config, &layers, &system, &b)
                    };
                    let difference = (moved(step) - moved(-step)) / (2.0 * step);
                    let gradient = f64::from(if in_weights { of_weights[k] } else { of_bias[k] });
                    let error = (difference - gradient).abs();
                    let close = error <= 1e-4 * f64::from(scale).max(difference.abs());
                    assert!(close, "layer {layer}, entry {k}: {gradient} for {difference}");
                }
            }
        }
    }
}
