//! Rotary position codes: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021), equation 34, in the
//! arrangement of Llama, where entry `i` of a head is rotated together with entry `i + d/2`.
//!
//! At position `p` the pair `i` is rotated by the angle `p fᵢ` with `fᵢ = θ^(-2i/d)`. [`RotaryScaling`] changes the frequencies for
//! contexts that are longer than those of the training:
//!
//! - linear: `fᵢ / s` (Chen et al., "Extending Context Window of Large Language Models via Positional Interpolation", 2023);
//! - dynamic: for `n` tokens, more than the context `c` of the training, `θ` becomes `θ (s n/c - (s - 1))^(d/(d-2))`;
//! - llama3: frequencies whose wave is long against the context are divided by `s`, those whose wave is short are kept, and
//!   between them the two are blended;
//! - yarn: Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models" (2023), section 3.2 and equation 22:
//!   blended by the number of turns in the context, and both codes multiplied by a factor.
//!
//! Angles are computed in single precision, as the programs do with which the published models were trained: at far positions the
//! rounding of the angle is part of the model.

use std::f64::consts::PI;

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RotaryConfig {
    /// The base θ (RoFormer: 10 000).
    #[serde(default = "theta")]
    pub theta: f64,
    /// How they are changed for long contexts.
    #[serde(default)]
    pub scaling: RotaryScaling,
}

fn theta() -> f64 {
    RotaryConfig::default().theta
}

impl Default for RotaryConfig {
    fn default() -> Self {
        RotaryConfig { theta: 10_000.0, scaling: RotaryScaling::None }
    }
}

/// How frequencies are changed for long contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum RotaryScaling {
    /// Not at all.
    #[default]
    None,
    /// All divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// By the length of the row that is read. What was read before is not rotated again when a row grows, so beyond the context
    /// the parts of a row do not add up to the row.
    Dynamic {
        /// The factor.
        factor: f64,
        /// Tokens of the training.
        context: usize,
    },
    /// By wavelength.
    Llama3 {
        /// The factor of long waves.
        factor: f64,
        /// A wave is long if it has fewer turns than this in the context.
        low_turns: f64,
        /// A wave is short if it has more turns than this in the context.
        high_turns: f64,
        /// Tokens of the training.
        context: usize,
    },
    /// By turns in the context, between `slow_turns` and `fast_turns`.
    Yarn {
        /// The factor of long waves.
        factor: f64,
        /// Tokens of the training.
        context: usize,
        /// Waves with more turns are kept (the paper's β, 32).
        fast_turns: f64,
        /// Waves with fewer turns are divided by the factor (the paper's α, 1).
        slow_turns: f64,
        /// What the codes are multiplied by; [`RotaryScaling::yarn_factor`] is the paper's.
        attention_factor: f64,
        /// Whether the ends of the blend are rounded to whole pairs.
        truncate: bool,
    },
}

impl RotaryScaling {
    /// YaRN's factor of the codes for a context that is `factor` times as long: the square root of equation 22's `1/t`.
    pub fn yarn_factor(factor: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 }
    }
}

impl RotaryConfig {
    /// The frequencies of the pairs of a head of even width, for rows of `length` tokens, and the factor of the codes.
    pub fn frequencies(&self, width: usize, length: usize) -> (Vec<f64>, f64) {
        let pairs = width / 2;
        let exponent = |pair: usize| 2.0 * pair as f64 / width as f64;
        let powers = |theta: f64| (0..pairs).map(move |pair| theta.powf(-exponent(pair)));
        match self.scaling {
            RotaryScaling::None => (powers(self.theta).collect(), 1.0),
            RotaryScaling::Linear { factor } => (powers(self.theta).map(|f| f / factor).collect(), 1.0),
            RotaryScaling::Dynamic { factor, context } => {
                let stretch = factor * length.max(context) as f64 / context as f64 - (factor - 1.0);
                let theta = self.theta * stretch.powf(width as f64 / (width as f64 - 2.0));
                (powers(theta).collect(), 1.0)
            }
            RotaryScaling::Llama3 { factor, low_turns, high_turns, context } => {
                let scaled = |frequency: f64| {
                    let turns = context as f64 * frequency / (2.0 * PI);
                    if turns > high_turns {
                        frequency
                    } else if turns < low_turns {
                        frequency / factor
                    } else {
                        let kept = (turns - low_turns) / (high_turns - low_turns);
                        (1.0 - kept) * frequency / factor + kept * frequency
                    }
                };
                (powers(self.theta).map(scaled).collect(), 1.0)
            }
            RotaryScaling::Yarn { factor, context, fast_turns, slow_turns, attention_factor, truncate } => {
                // The pair, as a real number, that turns this often in the context.
                let pair_of = |turns: f64| {
                    width as f64 * (context as f64 / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
                };
                let (mut low, mut high) = (pair_of(fast_turns), pair_of(slow_turns));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                (low, high) = (low.max(0.0), high.min(width as f64 - 1.0));
                if low == high {
                    high += 0.001;
                }
                let blended = |(pair, frequency): (usize, f64)| {
                    let scaled = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    frequency / factor * scaled + frequency * (1.0 - scaled)
                };
                (powers(self.theta).enumerate().map(blended).collect(), attention_factor)
            }
        }
    }
}

impl RotaryConfig {
    /// The cosines and the sines, both times the factor of the codes, of the angles of all pairs of a head of even `width`, position by
    /// position.
    pub fn codes(&self, width: usize, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let length = positions.iter().max().map_or(0, |last| last + 1);
        let (frequencies, factor) = self.frequencies(width, length);
        let (mut cosines, mut sines) = (Vec::new(), Vec::new());
        for &position in positions {
            for &frequency in &frequencies {
                let (sine, cosine) = (position as f32 * frequency as f32).sin_cos();
                cosines.push(cosine * factor as f32);
                sines.push(sine * factor as f32);
            }
        }
        (cosines, sines)
    }
}

/// The rotations of some positions.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// `[rows, 1, time, width / 2]`, with one row if all are the same.
    cosines: Tensor<4>,
    sines: Tensor<4>,
}

impl Rotation {
    /// The rotations of a head of even `width` at positions that are given row by row, `time` for each. A single row is for all.
    pub fn new(
        config: &RotaryConfig,
        width: usize,
        positions: &[usize],
        time: usize,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let (cosines, sines) = config.codes(width, positions);
        Rotation::of_codes([cosines, sines], width, time, device, dtype)
    }

    /// The same by cosines and sines of [`RotaryConfig::codes`].
    pub(super) fn of_codes(
        codes: [Vec<f32>; 2],
        width: usize,
        time: usize,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let rows = codes[0].len() / (time * width / 2).max(1);
        let tensor =
            |codes| Tensor::from_data(TensorData::new(codes, [rows, 1, time, width / 2]), (device, dtype));
        let [cosines, sines] = codes.map(tensor);
        Rotation { cosines, sines }
    }

    /// Rotated `[batch, heads, time, width]`.
    pub fn apply(&self, heads: Tensor<4>) -> Tensor<4> {
        let half = heads.dims()[3] / 2;
        let first = heads.clone().narrow(3, 0, half);
        let second = heads.narrow(3, half, half);
        let (cosines, sines) = (self.cosines.clone(), self.sines.clone());
        Tensor::cat(
            vec![
                first.clone() * cosines.clone() - second.clone() * sines.clone(),
                second * cosines + first * sines,
            ],
            3,
        )
    }
}

#[cfg(test)]
mod tests {
    use mathesis_algebra::random::Sequence;

    use super::*;
    use crate::sequence::testing::{assert_close, draw, values};

    #[test]
    fn codes_are_rotations_of_pairs_by_position_times_frequency() {
        let device = Device::flex();
        let mut random = Sequence::new(1);
        let config = RotaryConfig { theta: 100.0, ..RotaryConfig::default() };
        let (width, positions) = (6, [0, 5, 2, 7]);
        let heads: Tensor<4> = draw([2, 3, 2, width], &mut random, &device);
        let rotation = Rotation::new(&config, width, &positions, 2, &device, DType::F64);
        let given = values(rotation.apply(heads.clone()));
        let mut reference = values(heads);
        for (row, head) in reference.chunks_mut(width).enumerate() {
            let position = positions[row / 6 * 2 + row % 2] as f64;
            for pair in 0..3 {
                let angle = position * 100_f64.powf(-2.0 * pair as f64 / 6.0);
                let (a, b) = (head[pair], head[pair + 3]);
                head[pair] = a * angle.cos() - b * angle.sin();
                head[pair + 3] = b * angle.cos() + a * angle.sin();
            }
        }
        assert_close(&given, &reference, 1e-6);
    }

    /// Values of the published formulas in other arrangements of the same mathematics.
    #[test]
    fn scaled_frequencies_have_their_limits() {
        let frequencies =
            |scaling, length| RotaryConfig { theta: 10_000.0, scaling }.frequencies(64, length).0;
        let plain = frequencies(RotaryScaling::None, 1);
        assert_close(&[plain[0], plain[16], plain[31]], &[1.0, 0.01, 10_000_f64.powf(-62.0 / 64.0)], 1e-12);
        let linear = frequencies(RotaryScaling::Linear { factor: 4.0 }, 1);
        assert_close(&linear, &plain.iter().map(|f| f / 4.0).collect::<Vec<_>>(), 1e-15);

        // Up to the context nothing changes; beyond it the last pair turns as if positions were divided by s n/c - s + 1.
        let dynamic = RotaryScaling::Dynamic { factor: 2.0, context: 512 };
        assert_eq!(frequencies(dynamic, 512), plain);
        let longer = frequencies(dynamic, 2048);
        assert_eq!(longer[0], 1.0);
        assert_close(&[plain[31] / longer[31]], &[2.0 * 4.0 - 1.0], 1e-9);

        let llama = RotaryScaling::Llama3 { factor: 8.0, low_turns: 1.0, high_turns: 4.0, context: 1024 };
        let (mut kept, mut divided, mut between) = (0, 0, 0);
        for (scaled, plain) in frequencies(llama, 1).iter().zip(&plain) {
            let turns = 1024.0 * plain / (2.0 * PI);
            if turns > 4.0 {
                assert_eq!(scaled, plain);
                kept += 1;
            } else if turns < 1.0 {
                assert_eq!(*scaled, plain / 8.0);
                divided += 1;
            } else {
                // The share of the plain frequency is a line in the number of turns from 0 to 1.
                let share = (scaled - plain / 8.0) / (plain - plain / 8.0);
                assert!((share - (turns - 1.0) / 3.0).abs() < 1e-12);
                between += 1;
            }
        }
        assert!(kept > 10 && divided > 5 && between > 2, "{kept} {divided} {between}");

        let yarn = |truncate| RotaryScaling::Yarn {
            factor: 4.0,
            context: 2048,
            fast_turns: 32.0,
            slow_turns: 1.0,
            attention_factor: RotaryScaling::yarn_factor(4.0),
            truncate,
        };
        let mut last = 2.0;
        for (pair, (scaled, plain)) in frequencies(yarn(false), 1).iter().zip(&plain).enumerate() {
            let (turns, share) = (2048.0 * plain / (2.0 * PI), (scaled / plain - 0.25) / 0.75);
            assert!(share <= last + 1e-12, "the share of the plain frequency falls");
            assert!(turns < 32.0 || (share - 1.0).abs() < 1e-12, "pair {pair} is fast");
            assert!(turns > 1.0 || share.abs() < 1e-12, "pair {pair} is slow");
            last = share;
        }
        assert_ne!(frequencies(yarn(true), 1), frequencies(yarn(false), 1));
        let (_, factor) = RotaryConfig { theta: 10_000.0, scaling: yarn(true) }.frequencies(64, 1);
        assert_close(&[factor], &[0.1 * 4_f64.ln() + 1.0], 1e-15);
        assert_eq!(RotaryScaling::yarn_factor(0.5), 1.0);
    }
}
