//! One convolution layer: weights arranged in blocks of sixteen output channels, its application and its gradients.

use rayon::prelude::*;

use super::kernels::{self, BLOCK, Instructions, OuterProducts, Plane};
use super::volume::Volume;

/// What happens to `convolution + bias` before it is stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Replace negative values by zero.
    pub rectify: bool,
    /// Add this afterwards; it has the shape of the output.
    pub residual: Option<&'a Volume>,
}

/// A 3×3×3 convolution with bias, zero padding and stride 1.
#[derive(Clone, Debug)]
pub struct Convolution {
    channels_in: usize,
    channels_out: usize,
    /// `[block of outputs][27][in][16]`, zero where the last block has no output.
    weights: Vec<f32>,
    /// `[block of outputs][16]`.
    bias: Vec<[f32; BLOCK]>,
    instructions: Instructions,
}

impl Convolution {
    /// The layer with the given weights, `[x][y][z][in][out]`, and bias.
    ///
    /// # Panics
    /// If there are not `27 · in · out` weights with as many outputs as `bias` has entries.
    pub fn new(channels_in: usize, weights: &[f32], bias: &[f32]) -> Self {
        let channels_out = bias.len();
        assert_eq!(weights.len(), 27 * channels_in * channels_out, "weights of a convolution");
        let blocks = channels_out.div_ceil(BLOCK);
        let window = 27 * channels_in;
        let mut blocked = vec![0.0; blocks * window * BLOCK];
        let mut blocked_bias = vec![[0.0; BLOCK]; blocks];
        for block in 0..blocks {
            let outputs = block * BLOCK..channels_out.min((block + 1) * BLOCK);
            for k in 0..window {
                let target = &mut blocked[(block * window + k) * BLOCK..][..outputs.len()];
                target.copy_from_slice(&weights[k * channels_out..][outputs.clone()]);
            }
            blocked_bias[block][..outputs.len()].copy_from_slice(&bias[outputs]);
        }
        let instructions = Instructions::detect();
        Self { channels_in, channels_out, weights: blocked, bias: blocked_bias, instructions }
    }

    /// The layer whose application to the gradient of the output is the gradient of the input: taps reversed, input and
    /// output channels exchanged, no bias. `weights` are `[x][y][z][in][out]` of the forward layer.
    ///
    /// # Panics
    /// If there are not `27 · in · out` weights.
    pub fn adjoint(channels_in: usize, channels_out: usize, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), 27 * channels_in * channels_out, "weights of a convolution");
        let mut reversed = vec![0.0; weights.len()];
        for tap in 0..27 {
            for i in 0..channels_in {
                for o in 0..channels_out {
                    reversed[((26 - tap) * channels_out + o) * channels_in + i] =
                        weights[(tap * channels_in + i) * channels_out + o];
                }
            }
        }
        Self::new(channels_out, &reversed, &vec![0.0; channels_in])
    }

    /// The same layer with the given instructions.
    ///
    /// # Panics
    /// If the machine does not have them.
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        assert!(Instructions::available().contains(&instructions), "{instructions:?} on this machine");
        self.instructions = instructions;
        self
    }

    /// Channels of the input.
    pub fn channels_in(&self) -> usize {
        self.channels_in
    }

    /// Channels of the output.
    pub fn channels_out(&self) -> usize {
        self.channels_out
    }

    /// Multiplications and additions of one application to `voxels` voxels, those with the padding counted.
    pub fn operations(&self, voxels: usize) -> f64 {
        2.0 * 27.0 * (self.channels_in * self.channels_out * voxels) as f64
    }

    /// Writes the layer's output to `output`, whose halo is left as it is.
    ///
    /// # Panics
    /// If the input has no halo of one, or if grids or channels do not fit each other.
    pub fn apply(&self, input: &Volume, output: &mut Volume, epilogue: Epilogue<'_>) {
        let cells = input.cells();
        assert_eq!(input.halo(), 1, "halo of a convolution's input");
        assert_eq!(input.channels(), self.channels_in, "channels of a convolution's input");
        let expected = (input.batch(), cells, self.channels_out);
        assert_eq!((output.batch(), output.cells(), output.channels()), expected, "output of a convolution");
        if let Some(residual) = epilogue.residual {
            assert_eq!((residual.batch(), residual.cells(), residual.channels()), expected, "residual");
        }
        if self.channels_out == 0 || expected.0 * cells.iter().product::<usize>() == 0 {
            return;
        }
        let (plane, row) = output.strides();
        let (first, halo) = (output.first_in_plane(), output.halo());
        let planes = cells[0] + 2 * halo;
        output.raw_mut().par_chunks_exact_mut(plane).enumerate().for_each(|(index, output)| {
            let (batch, x) = (index / planes, index % planes);
            if (halo..halo + cells[0]).contains(&x) {
                self.apply_plane(input, batch, x - halo, epilogue, &mut output[first..], row);
            }
        });
    }

    fn apply_plane(
        &self,
        input: &Volume,
        batch: usize,
        x: usize,
        epilogue: Epilogue<'_>,
        output: &mut [f32],
        row: usize,
    ) {
        let cells = input.cells();
        let input_strides = input.strides();
        let start = input.plane_start(batch, x) - input_strides.0;
        for (block, bias) in self.bias.iter().enumerate() {
            let offset = block * BLOCK;
            let window = 27 * self.channels_in * BLOCK;
            let plane = Plane {
                input: &input.raw()[start..],
                input_strides,
                channels_in: self.channels_in,
                weights: &self.weights[block * window..(block + 1) * window],
                bias,
                cells: (cells[1], cells[2]),
                rectify: epilogue.rectify,
                residual: epilogue.residual.map(|residual| {
                    let start = residual.plane_start(batch, x) + residual.first_in_plane() + offset;
                    (&residual.raw()[start..], residual.strides().1, self.channels_out)
                }),
                output_strides: (row, self.channels_out),
                lanes: BLOCK.min(self.channels_out - offset),
            };
            kernels::convolve_plane(self.instructions, plane, &mut output[offset..]);
        }
    }

    /// The gradients with respect to weights, `[x][y][z][in][out]`, and bias, given input and gradient of the output.
    ///
    /// # Panics
    /// If the input has no halo of one, or if the grids do not fit each other.
    pub fn parameter_gradients(
        input: &Volume,
        output_gradient: &Volume,
        instructions: Instructions,
    ) -> (Vec<f32>, Vec<f32>) {
        let (cells, batch) = (input.cells(), input.batch());
        assert_eq!(input.halo(), 1, "halo of a convolution's input");
        assert_eq!((output_gradient.batch(), output_gradient.cells()), (batch, cells), "gradient's grids");
        assert!(Instructions::available().contains(&instructions), "{instructions:?} on this machine");
        let (channels_in, channels_out) = (input.channels(), output_gradient.channels());
        let blocks = channels_out.div_ceil(BLOCK);
        let window = 27 * channels_in * BLOCK;
        let planes = batch * cells[0];
        if blocks * planes == 0 {
            return (vec![0.0; 27 * channels_in * channels_out], vec![0.0; channels_out]);
        }
        // Groups of planes do not depend on the number of threads, so neither do the sums.
        let group = planes.div_ceil(GROUPS);
        let partial: Vec<(Vec<f32>, Vec<f32>)> = (0..planes.div_ceil(group))
            .into_par_iter()
            .map(|index| {
                let mut weights = vec![0.0; blocks * window];
                let mut bias = vec![0.0; channels_out];
                let mut block_copy = Vec::new();
                for plane in index * group..planes.min((index + 1) * group) {
                    let (b, x) = (plane / cells[0], plane % cells[0]);
                    for block in 0..blocks {
                        copy_block(output_gradient, (b, x), block, &mut block_copy, &mut bias);
                        for tap in 0..9 {
                            let (plane_stride, row) = input.strides();
                            let start = input.plane_start(b, x) + tap / 3 * plane_stride + tap % 3 * row;
                            let products = OuterProducts {
                                input: &input.raw()[start - plane_stride..],
                                input_row: row,
                                channels_in,
                                gradient: &block_copy,
                                gradient_strides: (cells[2] * BLOCK, BLOCK),
                                cells: (cells[1], cells[2]),
                            };
                            let taps = 3 * channels_in * BLOCK;
                            let sums = &mut weights[block * window + tap * taps..][..taps];
                            kernels::add_outer_products(instructions, products, sums);
                        }
                    }
                }
                (weights, bias)
            })
            .collect();
        let mut weights = vec![0.0; 27 * channels_in * channels_out];
        let mut bias = vec![0.0; channels_out];
        for (partial_weights, partial_bias) in partial {
            for (index, &value) in partial_weights.iter().enumerate() {
                let (block, k, lane) = (index / window, index % window / BLOCK, index % BLOCK);
                let output = block * BLOCK + lane;
                if output < channels_out {
                    weights[k * channels_out + output] += value;
                }
            }
            bias.iter_mut().zip(partial_bias).for_each(|(sum, value)| *sum += value);
        }
        (weights, bias)
    }
}

/// Sums that are made apart from each other and added in order.
const GROUPS: usize = 16;

/// Copies sixteen channels of a plane next to each other, with zeros where there are fewer, and adds them up in `bias`.
fn copy_block(
    gradient: &Volume,
    (batch, x): (usize, usize),
    block: usize,
    copy: &mut Vec<f32>,
    bias: &mut [f32],
) {
    let [_, ny, nz] = gradient.cells();
    let channels = gradient.channels();
    let outputs = block * BLOCK..channels.min((block + 1) * BLOCK);
    copy.clear();
    copy.resize(ny * nz * BLOCK, 0.0);
    let mut sums = [0.0; BLOCK];
    for y in 0..ny {
        let source = gradient.row(batch, x, y);
        let target = &mut copy[y * nz * BLOCK..(y + 1) * nz * BLOCK];
        for (source, target) in source.chunks_exact(channels).zip(target.chunks_exact_mut(BLOCK)) {
            target[..outputs.len()].copy_from_slice(&source[outputs.clone()]);
            sums.iter_mut().zip(target).for_each(|(sum, value)| *sum += *value);
        }
    }
    bias[outputs].iter_mut().zip(sums).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, Shape};
    use super::*;

    /// Numbers in [-1, 1] that look random.
    fn draw(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn double(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&value| f64::from(value)).collect()
    }

    fn assert_close(fast: &[f32], exact: &[f64], terms: usize) {
        assert_eq!(fast.len(), exact.len());
        let tolerance = 1e-6 * (1.0 + terms as f64).sqrt() * 4.0;
        for (index, (a, b)) in fast.iter().zip(exact).enumerate() {
            assert!((f64::from(*a) - b).abs() <= tolerance, "entry {index}: {a} for {b}");
        }
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let channels = || prop_oneof![Just(1_usize), Just(16), 1_usize..20, Just(33)];
        (0_usize..3, 0_usize..5, 0_usize..5, 0_usize..21, channels(), channels()).prop_map(
            |(batch, x, y, z, channels_in, channels_out)| Shape {
                batch,
                cells: [x, y, z],
                channels_in,
                channels_out,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_blocked_layer_is_the_reference(shape in shapes(), seed in 0_u64..1000, halo in 0_usize..2) {
            let Shape { batch, cells, channels_in, channels_out } = shape;
            let voxels = batch * cells.iter().product::<usize>();
            let input = draw(voxels * channels_in, seed);
            let weights = draw(27 * channels_in * channels_out, seed + 1);
            let bias = draw(channels_out, seed + 2);
            let residual = draw(voxels * channels_out, seed + 3);
            let plain = reference::convolve(shape, &double(&input), &double(&weights), &double(&bias));
            let fused: Vec<f64> =
                plain.iter().zip(&residual).map(|(value, &add)| value.max(0.0) + f64::from(add)).collect();
            let volume = Volume::surrounded(batch, cells, channels_in, &input);
            let added = Volume::from_values(batch, cells, channels_out, residual);
            for instructions in Instructions::available() {
                let layer = Convolution::new(channels_in, &weights, &bias).with_instructions(instructions);
                let mut output = Volume::zeros(batch, cells, channels_out, halo);
                layer.apply(&volume, &mut output, Epilogue::default());
                assert_close(&output.clone().into_values(), &plain, 27 * channels_in);
                layer.apply(&volume, &mut output, Epilogue { rectify: true, residual: Some(&added) });
                assert_close(&output.clone().into_values(), &fused, 27 * channels_in);
                if halo == 1 {
                    let again = Volume::surrounded(batch, cells, channels_out, &output.clone().into_values());
                    prop_assert!(again == output, "the halo stays zero");
                }
            }
        }

        #[test]
        fn the_gradients_are_those_of_the_reference(shape in shapes(), seed in 0_u64..1000) {
            let Shape { batch, cells, channels_in, channels_out } = shape;
            let voxels = batch * cells.iter().product::<usize>();
            let input = draw(voxels * channels_in, seed);
            let weights = draw(27 * channels_in * channels_out, seed + 1);
            let gradient = draw(voxels * channels_out, seed + 2);
            let exact = reference::input_gradient(shape, &double(&weights), &double(&gradient));
            let (exact_weights, exact_bias) =
                reference::parameter_gradients(shape, &double(&input), &double(&gradient));
            let surrounded = Volume::surrounded(batch, cells, channels_in, &input);
            let surrounded_gradient = Volume::surrounded(batch, cells, channels_out, &gradient);
            for instructions in Instructions::available() {
                let adjoint =
                    Convolution::adjoint(channels_in, channels_out, &weights).with_instructions(instructions);
                let mut output = Volume::zeros(batch, cells, channels_in, 0);
                adjoint.apply(&surrounded_gradient, &mut output, Epilogue::default());
                assert_close(&output.into_values(), &exact, 27 * channels_out);
                let (fast_weights, fast_bias) =
                    Convolution::parameter_gradients(&surrounded, &surrounded_gradient, instructions);
                assert_close(&fast_weights, &exact_weights, voxels);
                assert_close(&fast_bias, &exact_bias, voxels);
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let (cells, channels) = ([9, 7, 13], 16);
        let volume = Volume::surrounded(2, cells, channels, &draw(2 * 9 * 7 * 13 * 16, 1));
        let gradient = Volume::surrounded(2, cells, channels, &draw(2 * 9 * 7 * 13 * 16, 2));
        let run = |threads: usize| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
            pool.install(|| Convolution::parameter_gradients(&volume, &gradient, Instructions::detect()))
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn a_number_that_is_none_passes_the_rectifier() {
        let mut input = Volume::zeros(1, [1, 1, 9], 1, 1);
        input.row_mut(0, 0, 0)[4] = f32::NAN;
        for instructions in Instructions::available() {
            let layer = Convolution::new(1, &[1.0; 27 * 16], &[0.0; 16]).with_instructions(instructions);
            let mut output = Volume::zeros(1, [1, 1, 9], 16, 0);
            layer.apply(&input, &mut output, Epilogue { rectify: true, residual: None });
            let bad = output.into_values().iter().filter(|value| value.is_nan()).count();
            assert_eq!(bad, 3 * 16, "{instructions:?}");
        }
    }
}
