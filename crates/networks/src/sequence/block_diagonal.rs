//! Linear layers that are zero outside of blocks along the diagonal, and Monarch layers, which are two of them with a permutation
//! between: Fu et al., "Monarch Mixer" (NeurIPS 2023), and Dao et al., "Monarch" (ICML 2022).
//!
//! Its public BERT takes single block-diagonal layers in the place of the dense ones of the multilayer perceptron and calls that Monarch.
//! The two-factor layer is the rectangular one of the kernels in [`mathesis_algebra::monarch`], which the tests compare with:
//! ```text
//! z[k, q] = Σ_p w₁[k, q, p] x[k, p]        y[l, r] = z.flat[r l_count + l]        out[s l_count + l] = Σ_r w₂[l, s, r] y[l, r]
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use mathesis_algebra::random::Sequence;
use serde::{Deserialize, Serialize};

use super::linear::{constant, normal};

/// A linear layer with blocks along the diagonal.
#[derive(Module, Debug)]
pub struct BlockDiagonalLinear {
    /// `[blocks, out / blocks, in / blocks]`.
    pub weight: Param<Tensor<3>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl BlockDiagonalLinear {
    /// A layer with these blocks.
    pub fn new(weight: Param<Tensor<3>>, bias: Option<Param<Tensor<1>>>) -> Self {
        BlockDiagonalLinear { weight, bias }
    }

    /// `[.., in]` to `[.., out]`.
    ///
    /// # Panics
    /// If the last extent is not that of the weights.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let mut shape = input.dims();
        let (panel, rows) = panel(input, &self.weight.val());
        let [blocks, outputs, _] = self.weight.shape().dims();
        shape[D - 1] = blocks * outputs;
        // [blocks, rows, out / blocks] to [rows, blocks, out / blocks].
        let output = panel.matmul(self.weight.val().swap_dims(1, 2)).swap_dims(0, 1);
        let output = output.reshape([rows, blocks * outputs]).reshape(shape);
        match &self.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    }
}

/// `[.., in]` as `[blocks, rows, in / blocks]`, and the number of rows.
fn panel<const D: usize>(input: Tensor<D>, weight: &Tensor<3>) -> (Tensor<3>, usize) {
    let shape = input.dims();
    let [blocks, _, inputs] = weight.dims();
    assert_eq!(shape[D - 1], blocks * inputs, "inputs of a block-diagonal layer");
    let rows = shape[..D - 1].iter().product();
    (input.reshape([rows, blocks, inputs]).swap_dims(0, 1), rows)
}

/// The shape of a two-factor layer. Widths that the number of blocks does not divide are padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MonarchLinearConfig {
    /// The width of inputs.
    pub inputs: usize,
    /// The width of outputs.
    pub outputs: usize,
    /// Blocks of each factor (the published layer: 4).
    pub blocks: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

impl MonarchLinearConfig {
    /// A layer with random weights; those of a factor have the standard deviation `1 / √(3 fan-in)` of the published uniform ones.
    ///
    /// # Panics
    /// If there are no blocks.
    pub fn init(&self, random: &mut Sequence, device: &Device) -> MonarchLinear {
        assert!(self.blocks > 0, "a number of blocks: {self:?}");
        let (inputs, outputs) = (self.inputs.div_ceil(self.blocks), self.outputs.div_ceil(self.blocks));
        let inner = inputs.min(outputs);
        let mut factor = |rows: usize, columns: usize| {
            let deviation = (3.0 * columns as f64).sqrt().recip();
            normal([self.blocks, rows, columns], deviation, random, device)
        };
        MonarchLinear {
            first: factor(inner, inputs),
            second: factor(outputs, inner),
            bias: self.bias.then(|| constant(self.outputs, 0.0, device)),
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }
}

/// A linear layer with a Monarch matrix of two factors.
#[derive(Module, Debug)]
pub struct MonarchLinear {
    /// `[blocks, inner, in / blocks]`.
    pub first: Param<Tensor<3>>,
    /// `[blocks, out / blocks, inner]`.
    pub second: Param<Tensor<3>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    inputs: usize,
    outputs: usize,
}

impl MonarchLinear {
    /// `[.., in]` to `[.., out]`.
    ///
    /// # Panics
    /// If the last extent is not that of the weights.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let mut shape = input.dims();
        assert_eq!(shape[D - 1], self.inputs, "inputs of a Monarch layer");
        let rows = shape[..D - 1].iter().product::<usize>();
        let [blocks, inner, width] = self.first.shape().dims();
        let [_, height, _] = self.second.shape().dims();
        let (device, dtype) = (input.device(), input.dtype());
        let mut input = input.reshape([rows, self.inputs]);
        if blocks * width > self.inputs {
            let zeros = Tensor::zeros([rows, blocks * width - self.inputs], (&device, dtype));
            input = Tensor::cat(vec![input, zeros], 1);
        }
        let (panel, _) = panel(input, &self.first.val());
        let z = panel.matmul(self.first.val().swap_dims(1, 2)).swap_dims(0, 1);
        // z.flat is [rows, r, l]; the second factor wants [l, rows, r].
        let y = z.reshape([rows, inner, blocks]).permute([2, 0, 1]);
        // [l, rows, s] to [rows, s, l].
        let output = y.matmul(self.second.val().swap_dims(1, 2)).permute([1, 2, 0]);
        let output = output.reshape([rows, height * blocks]).slice([0..rows, 0..self.outputs]);
        shape[D - 1] = self.outputs;
        let output = output.reshape(shape);
        match &self.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    }
}

#[cfg(test)]
mod tests {
    use mathesis_algebra::monarch::RectangularMonarch;

    use super::*;
    use crate::sequence::linear::{LinearConfig, LinearKind};
    use crate::sequence::testing::{assert_close, assert_gradients, double, draw, shaken, values};

    #[test]
    fn blocks_are_those_of_a_dense_matrix_with_its_gradients() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(1);
        for (inputs, outputs, blocks) in [(6, 4, 2), (5, 10, 5), (3, 7, 1)] {
            let kind = LinearKind::BlockDiagonal { blocks };
            let config = LinearConfig { inputs, outputs, bias: true, kind };
            let layer = config.init(1.0, &mut random, &device);
            assert_eq!(layer.num_params(), config.parameters());
            let layer = shaken(layer, &mut random);
            let input: Tensor<3> = draw([2, 3, inputs], &mut random, &device);
            assert_gradients(&layer, input.clone(), |layer, input| layer.forward(input));
            let crate::sequence::linear::Linear::BlockDiagonal(parts) = &layer else { panic!("blocks") };
            let (weight, bias) =
                (values(parts.weight.val()), values(parts.bias.as_ref().expect("bias").val()));
            let (height, width) = (outputs / blocks, inputs / blocks);
            let expected: Vec<f64> = values(input.clone())
                .chunks(inputs)
                .flat_map(|x| {
                    let (weight, bias) = (&weight, &bias);
                    (0..outputs).map(move |o| {
                        let block = o / height;
                        (0..width).map(|c| weight[o * width + c] * x[block * width + c]).sum::<f64>()
                            + bias[o]
                    })
                })
                .collect();
            assert_close(&values(layer.forward(input)), &expected, 1e-12);
        }
    }

    #[test]
    fn two_factors_are_the_rectangular_monarch_matrix() {
        let device = Device::flex().autodiff();
        let mut random = Sequence::new(2);
        for (inputs, outputs, blocks) in [(8, 12, 4), (12, 8, 4), (9, 9, 3), (7, 5, 2), (5, 11, 3)] {
            let config = MonarchLinearConfig { inputs, outputs, blocks, bias: false };
            let layer = double(config.init(&mut random, &device));
            let input: Tensor<3> = draw([1, 3, inputs], &mut random, &device);
            assert_gradients(&layer, input.clone(), |layer, input| layer.forward(input));
            let factor = |weight: &Param<Tensor<3>>| {
                let [blocks, rows, columns] = weight.shape().dims();
                let entries = values(weight.val());
                mathesis_algebra::monarch::BlockDiagonal::new(blocks, rows, columns, entries).expect("fits")
            };
            let matrix = RectangularMonarch::new(factor(&layer.first), factor(&layer.second)).expect("fits");
            let [_, _, width] = layer.first.shape().dims();
            let expected: Vec<f64> = values(input.clone())
                .chunks(inputs)
                .flat_map(|x| {
                    let mut padded = x.to_vec();
                    padded.resize(blocks * width, 0.0);
                    let mut y = matrix.apply(&padded, 1).expect("fits");
                    y.truncate(outputs);
                    y
                })
                .collect();
            assert_close(&values(layer.forward(input)), &expected, 1e-12);
        }
    }
}
