//! Convolutions of a few taps along sequences, channel by channel: what lets a mixer see the tokens just before (Dao et al., "Hungry Hungry
//! Hippos", ICLR 2023, section 3, the shift; Gu and Dao, "Mamba", 2023, section 3.4).
//!
//! `y_t = Σ_{lag < K} w_lag ∘ x_{t − lag}`, without what is before the document. With the gradient `g` of `y` those of `x` and `w` are
//! `Σ_lag w_lag ∘ g_{t + lag}`, within the document, and `Σ_t g_t ∘ x_{t − lag}`.

use burn::backend::DispatchTensor;
use burn::tensor::{Tensor, TensorData, s};
use mathesis_algebra::real::{Real, vectorised};
use rayon::prelude::*;

use super::Documents;
use super::gated_linear_attention::document_lengths;
use crate::operation::{Array, ArrayGradients, SliceOperation, apply_to_two};

/// The convolution of `[batch, time, channels]` with taps `[K, channels]`, the one of the token itself first.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn short_convolution(input: Tensor<3>, taps: Tensor<2>, documents: &Documents) -> Tensor<3> {
    let [batch, time, channels] = input.dims();
    assert_eq!(documents.shape(), [batch, time], "documents of a short convolution");
    assert_eq!(taps.dims()[1], channels, "channels of a short convolution");
    let operation = Convolve { lengths: document_lengths(documents) };
    apply_to_two(operation, [input.into_dispatch(), taps.into_dispatch()])
}

/// The same for the next tokens, `[batch, time, channels]`, of rows whose last `K − 1` tokens are `[batch, K − 1, channels]`, zeros where
/// there were none. Gives the output and the last tokens after these.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn extend_short_convolution(
    input: Tensor<3>,
    taps: Tensor<2>,
    recent: Tensor<3>,
) -> (Tensor<3>, Tensor<3>) {
    let [batch, time, _] = input.dims();
    let before = recent.dims()[1];
    assert_eq!(before + 1, taps.dims()[0], "the last tokens that a short convolution needs");
    let all = if before == 0 { input } else { Tensor::cat(vec![recent, input], 1) };
    let output = short_convolution(all.clone(), taps, &Documents::whole(batch, before + time));
    (output.slice(s![.., before.., ..]), all.slice(s![.., time.., ..]))
}

#[derive(Clone, Debug)]
struct Convolve {
    lengths: Vec<usize>,
}

/// Tokens that a task works on.
const CHUNK: usize = 256;

impl Convolve {
    /// Where each token's document begins and ends.
    fn bounds(&self) -> Vec<[usize; 2]> {
        let mut start = 0;
        let of_document = |&length: &usize| {
            let bounds = [start, start + length];
            start += length;
            std::iter::repeat_n(bounds, length)
        };
        self.lengths.iter().flat_map(of_document).collect()
    }
}

impl SliceOperation<2> for Convolve {
    const NEEDS_RESULT: bool = false;

    fn forward<T: Real>(&self, [input, taps]: [Array<'_, T>; 2]) -> (Vec<T>, Vec<usize>) {
        let (channels, bounds) = (input.shape[2], self.bounds());
        let mut output = vec![T::zero(); input.values.len()];
        output.par_chunks_mut(CHUNK * channels.max(1)).enumerate().for_each(|(chunk, output)| {
            for (token, output) in (chunk * CHUNK..).zip(output.chunks_exact_mut(channels)) {
                let lags = taps.values.chunks_exact(channels).take(token - bounds[token][0] + 1);
                for (lag, weights) in lags.enumerate() {
                    add_products(output, weights, &input.values[(token - lag) * channels..][..channels]);
                }
            }
        });
        (output, input.shape.to_vec())
    }

    fn backward<T: Real>(
        &self,
        [input, taps]: [Array<'_, T>; 2],
        _: Array<'_, T>,
        gradient: &[T],
        _: [bool; 2],
    ) -> ArrayGradients<T, 2> {
        let (channels, bounds) = (input.shape[2], self.bounds());
        let mut of_input = vec![T::zero(); input.values.len()];
        // Sums over tokens are taken task by task and added in order, so that they do not depend on the number of threads.
        let of_taps: Vec<Vec<T>> = of_input
            .par_chunks_mut(CHUNK * channels.max(1))
            .enumerate()
            .map(|(chunk, of_input)| {
                let mut of_taps = vec![T::zero(); taps.values.len()];
                for (token, of_input) in (chunk * CHUNK..).zip(of_input.chunks_exact_mut(channels)) {
                    let [start, end] = bounds[token];
                    let at = |token: usize| token * channels..(token + 1) * channels;
                    let lags = taps.values.chunks_exact(channels).zip(of_taps.chunks_exact_mut(channels));
                    for (lag, (weights, of_weights)) in lags.enumerate() {
                        if token + lag < end {
                            add_products(of_input, weights, &gradient[at(token + lag)]);
                        }
                        if token >= start + lag {
                            add_products(of_weights, &gradient[at(token)], &input.values[at(token - lag)]);
                        }
                    }
                }
                of_taps
            })
            .collect();
        let mut total = vec![T::zero(); taps.values.len()];
        for part in of_taps {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
        [Some(of_input), Some(total)]
    }

    /// Lag by lag, over the tokens of all documents as one row.
    fn composition<const D: usize>(&self, [input, taps]: [DispatchTensor; 2]) -> Tensor<D> {
        let (input, taps) = (Tensor::<3>::from_dispatch(input), Tensor::<2>::from_dispatch(taps));
        let (shape, [lags, channels]) = (input.dims(), taps.dims());
        let (device, dtype) = (input.device(), input.dtype());
        let tokens = shape[0] * shape[1];
        let rows = input.reshape([tokens, channels]);
        let positions =
            self.bounds().into_iter().enumerate().map(|(token, [start, _])| (token - start) as f32);
        let positions = TensorData::new(positions.collect::<Vec<f32>>(), [tokens, 1]);
        let positions = Tensor::<2>::from_data(positions, (&device, dtype));
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let mut output = rows.clone() * taps.clone().narrow(0, 0, 1);
        for lag in 1..lags.min(longest) {
            let nothing = Tensor::zeros([lag, channels], (&device, dtype));
            let delayed = Tensor::cat(vec![nothing, rows.clone().narrow(0, 0, tokens - lag)], 0);
            let outside = positions.clone().lower_elem(lag as f64).expand([tokens, channels]);
            output = output + delayed.mask_fill(outside, 0.0) * taps.clone().narrow(0, lag, 1);
        }
        Tensor::from_dispatch(output.reshape(shape).into_dispatch())
    }
}

/// `sum += a ∘ b`.
fn add_products<T: Real>(sum: &mut [T], a: &[T], b: &[T]) {
    vectorised(
        #[inline(always)]
        || {
            for ((sum, &a), &b) in sum.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::tensor::Device;
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_close, assert_composition, assert_gradients, draw, values};

    #[derive(Module, Debug)]
    struct Layer {
        taps: Param<Tensor<2>>,
    }

    fn layer(taps: usize, channels: usize, random: &mut Sequence, device: &Device) -> Layer {
        Layer { taps: Param::from_tensor(draw([taps, channels], random, device)) }
    }

    #[test]
    fn output_and_gradients_are_those_of_the_sum() {
        let (device, mut random) = (Device::flex().autodiff(), Sequence::new(1));
        // Over a border of tasks in the longer one.
        for (time, starts) in [(7, vec![vec![0, 1, 5], vec![0]]), (300, vec![vec![0, 254], vec![0, 2, 259]])]
        {
            for taps in [1, 2, 4] {
                let layer = layer(taps, 3, &mut random, &device);
                let input: Tensor<3> = draw([2, time, 3], &mut random, &device);
                let documents = Documents::new(time, starts.clone()).unwrap();
                let (x, w) = (values(input.clone()), values(layer.taps.val()));
                let mut expected = vec![0.0; x.len()];
                for (row, starts) in starts.iter().enumerate() {
                    for token in 0..time {
                        let start = *starts.iter().rfind(|&&start| start <= token).unwrap();
                        for (lag, channel) in (0..taps).flat_map(|lag| (0..3).map(move |c| (lag, c))) {
                            if token >= start + lag {
                                let at = |token: usize| (row * time + token) * 3 + channel;
                                expected[at(token)] += w[lag * 3 + channel] * x[at(token - lag)];
                            }
                        }
                    }
                }
                let forward = |layer: &Layer, input| short_convolution(input, layer.taps.val(), &documents);
                assert_close(&values(forward(&layer, input.clone())), &expected, 1e-13);
                assert_gradients(&layer, input, forward);
            }
        }
    }

    #[test]
    fn extending_gives_the_same_as_all_times_at_once() {
        let (device, mut random) = (Device::flex(), Sequence::new(2));
        for taps in [1, 2, 4] {
            let layer = layer(taps, 3, &mut random, &device);
            let input: Tensor<3> = draw([2, 11, 3], &mut random, &device);
            let whole = short_convolution(input.clone(), layer.taps.val(), &Documents::whole(2, 11));
            let mut recent = Tensor::zeros([2, taps - 1, 3], (&device, input.dtype()));
            let (mut from, mut parts) = (0, Vec::new());
            for piece in [1, 1, 2, 6, 1] {
                let next = input.clone().narrow(1, from, piece);
                let (output, after) = extend_short_convolution(next, layer.taps.val(), recent);
                parts.push(output);
                (recent, from) = (after, from + piece);
            }
            assert_close(&values(Tensor::cat(parts, 1)), &values(whole), 1e-13);
        }
    }

    #[test]
    fn the_composition_is_the_operation() {
        let (device, mut random) = (Device::flex(), Sequence::new(3));
        for (rows, lengths) in [(1, vec![1]), (2, vec![2, 5, 7]), (1, vec![1, 1, 3])] {
            for taps in [1, 2, 4] {
                let time = lengths.iter().sum::<usize>() / rows;
                let input: Tensor<3> = draw([rows, time, 3], &mut random, &device);
                let taps: Tensor<2> = draw([taps, 3], &mut random, &device);
                let operands = [input.into_dispatch(), taps.into_dispatch()];
                assert_composition::<2, 3>(&Convolve { lengths: lengths.clone() }, operands, 1e-13);
            }
        }
    }
}
