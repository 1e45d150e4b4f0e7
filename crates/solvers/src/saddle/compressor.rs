//! Compressors: lossy encodings of a vector of D numbers as a message of few bits.
//!
//! Two kinds. An *unbiased* compressor Q has E Q(v) = v and E‖Q(v)‖² ≤ q‖v‖² for a q ≥ 1 ([`Codec::variance`]); a *contractive* one C
//! has E‖C(v) − v‖² ≤ (1 − 1/δ)‖v‖² for a δ ≥ 1 ([`Codec::contraction`]). The messages are packed to the bit, with 32-bit floats:
//!
//! | compressor | bits | q | δ |
//! |---|---|---|---|
//! | identity | 32D | 1 | 1 |
//! | rand-k | 32k + 64 | D/k | |
//! | bernoulli | 1, or 1 + 32D with probability p | 1/p | |
//! | dithering, s levels | 32 + D(1 + ⌈log₂(s+1)⌉) | 1 + min(D/s², √D/s) | |
//! | natural | 9D | 9/8 | |
//! | top-k | k(32 + ⌈log₂ D⌉) | | D/k |
//! | scaled-sign | 32 + D | | D |
//! | scaled, of Q | as Q | | q of Q |
//!
//! A message's length is its bits rounded up to a whole byte. Numbers enter as 64-bit floats; what they lose on the way to 32 bits
//! (relative 6·10⁻⁸) is not counted in q and δ.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::random::{Purpose, Stream};

/// A compressor as it is asked for; [`Compressor::codec`] fits it to a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Compressor {
    /// 32-bit floats, nothing left out.
    Identity,
    /// k entries at random places, scaled up by D/k; the places travel as a 64-bit seed.
    RandK {
        /// k as a fraction of D, rounded to a whole number, at least 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        fraction: Option<f64>,
        /// k itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
    },
    /// The whole vector divided by p with probability p, else zero.
    Bernoulli {
        /// p, in (0, 1].
        probability: f64,
    },
    /// ℓ2 dithering (QSGD): entries rounded at random to multiples of ‖v‖/s.
    Dithering {
        /// s, at least 1.
        levels: u32,
    },
    /// Entries rounded at random to a power of two.
    Natural,
    /// The k entries largest in absolute value; of equal ones those with lower indices.
    TopK {
        /// k as a fraction of D, rounded to a whole number, at least 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        fraction: Option<f64>,
        /// k itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
    },
    /// The signs times the mean absolute value.
    ScaledSign,
    /// An unbiased compressor divided by its q, which makes it contractive.
    Scaled {
        /// The unbiased compressor.
        of: Box<Compressor>,
    },
}

/// What is wrong with a compressor or its input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompressorError {
    /// A setting out of range.
    #[error("{compressor}: {message}")]
    Setting {
        /// The compressor's name.
        compressor: &'static str,
        /// What is wrong and what is expected.
        message: String,
    },
    /// A number that has no finite 32-bit float.
    #[error("entry {index} of the vector to be sent is {value}, which is no finite 32-bit float")]
    NotFinite {
        /// Its index.
        index: usize,
        /// The number.
        value: f64,
    },
    /// A vector of another length than the codec's dimension.
    #[error("the codec is for {expected} numbers, not {found}")]
    Length {
        /// The codec's dimension.
        expected: usize,
        /// The vector's.
        found: usize,
    },
    /// A message that the codec cannot have written.
    #[error("a message of {found} bytes where {expected} were expected")]
    Message {
        /// The length that was expected.
        expected: usize,
        /// The length that came.
        found: usize,
    },
}

impl Compressor {
    /// The names under which compressors are asked for.
    pub const NAMES: &[&str] =
        &["identity", "rand-k", "bernoulli", "dithering", "natural", "top-k", "scaled-sign", "scaled"];

    /// Rand-k with k as a fraction of the dimension.
    pub fn rand_fraction(fraction: f64) -> Self {
        Compressor::RandK { fraction: Some(fraction), count: None }
    }

    /// Top-k with k as a fraction of the dimension.
    pub fn top_fraction(fraction: f64) -> Self {
        Compressor::TopK { fraction: Some(fraction), count: None }
    }

    /// The name under which it is asked for.
    pub fn name(&self) -> &'static str {
        match self {
            Compressor::Identity => "identity",
            Compressor::RandK { .. } => "rand-k",
            Compressor::Bernoulli { .. } => "bernoulli",
            Compressor::Dithering { .. } => "dithering",
            Compressor::Natural => "natural",
            Compressor::TopK { .. } => "top-k",
            Compressor::ScaledSign => "scaled-sign",
            Compressor::Scaled { .. } => "scaled",
        }
    }

    /// The compressor for vectors of `dimension` numbers.
    ///
    /// # Errors
    /// [`CompressorError::Setting`] if a setting is out of range or does not fit the dimension.
    pub fn codec(&self, dimension: usize) -> Result<Codec, CompressorError> {
        let refusal = |message: String| CompressorError::Setting { compressor: self.name(), message };
        let kept = |fraction: &Option<f64>, count: &Option<usize>| match (fraction, count) {
            (Some(fraction), None) if *fraction > 0.0 && *fraction <= 1.0 => {
                Ok(((fraction * dimension as f64).round() as usize).clamp(1.min(dimension), dimension))
            }
            (Some(fraction), None) => {
                Err(refusal(format!("`fraction` is {fraction}; expected a number above 0 and at most 1")))
            }
            (None, Some(count)) if (1..=dimension).contains(count) => Ok(*count),
            (None, Some(count)) => {
                Err(refusal(format!("`count` is {count}; expected 1 to {dimension}, the dimension")))
            }
            _ => Err(refusal("expected one of `fraction` and `count`".to_string())),
        };
        let rule = match self {
            Compressor::Identity => Rule::Identity,
            Compressor::RandK { fraction, count } => Rule::RandK { kept: kept(fraction, count)? },
            Compressor::Bernoulli { probability } if *probability > 0.0 && *probability <= 1.0 => {
                Rule::Bernoulli { probability: *probability }
            }
            Compressor::Bernoulli { probability } => {
                let message = format!("`probability` is {probability}; expected a number above 0, at most 1");
                return Err(refusal(message));
            }
            Compressor::Dithering { levels: 0 } => {
                return Err(refusal("`levels` is 0; expected at least 1".to_string()));
            }
            Compressor::Dithering { levels } => Rule::Dithering { levels: *levels },
            Compressor::Natural => Rule::Natural,
            Compressor::TopK { fraction, count } => Rule::TopK { kept: kept(fraction, count)? },
            Compressor::ScaledSign => Rule::ScaledSign,
            Compressor::Scaled { of } => {
                let inner = of.codec(dimension)?;
                let q = inner.variance().ok_or_else(|| {
                    refusal(format!("`of` is {}; expected an unbiased compressor", of.name()))
                })?;
                return Ok(Codec { divisor: Some(q), ..inner });
            }
        };
        Ok(Codec { dimension, rule, divisor: None })
    }
}

/// A compressor for vectors of one dimension: writes messages and reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    dimension: usize,
    rule: Rule,
    /// q, if the values are divided by it (Q/q).
    divisor: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Identity,
    RandK { kept: usize },
    Bernoulli { probability: f64 },
    Dithering { levels: u32 },
    Natural,
    TopK { kept: usize },
    ScaledSign,
}

/// An encoded vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// How many of the vector's numbers, whole or rounded, are in it; norms, indices and seeds are not counted.
    pub numbers: usize,
}

impl Codec {
    /// D.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// q of an unbiased compressor.
    pub fn variance(&self) -> Option<f64> {
        if self.divisor.is_some() {
            return None;
        }
        let d = self.dimension as f64;
        Some(match self.rule {
            Rule::Identity => 1.0,
            Rule::RandK { kept } => (d / kept as f64).max(1.0),
            Rule::Bernoulli { probability } => 1.0 / probability,
            Rule::Dithering { levels } => {
                let s = f64::from(levels);
                1.0 + (d / (s * s)).min(d.sqrt() / s)
            }
            Rule::Natural => 9.0 / 8.0,
            Rule::TopK { .. } | Rule::ScaledSign => return None,
        })
    }

    /// δ of a contractive compressor.
    pub fn contraction(&self) -> Option<f64> {
        if self.divisor.is_some() {
            return self.divisor;
        }
        let d = self.dimension as f64;
        match self.rule {
            Rule::Identity => Some(1.0),
            Rule::TopK { kept } => Some((d / kept as f64).max(1.0)),
            Rule::ScaledSign => Some(d.max(1.0)),
            _ => None,
        }
    }

    /// Bits of a message on average (on every run, except for `bernoulli`).
    pub fn bits(&self) -> f64 {
        let d = self.dimension as f64;
        match self.rule {
            Rule::Identity => 32.0 * d,
            Rule::RandK { kept } => 32.0 * kept as f64 + 64.0,
            Rule::Bernoulli { probability } => 1.0 + 32.0 * d * probability,
            Rule::Dithering { levels } => 32.0 + d * (1.0 + f64::from(level_bits(levels))),
            Rule::Natural => 9.0 * d,
            Rule::TopK { kept } => kept as f64 * (32.0 + f64::from(index_bits(self.dimension))),
            Rule::ScaledSign => 32.0 + d,
        }
    }

    /// β: bits of the dense vector over expected bits of a message.
    pub fn saving(&self) -> f64 {
        if self.dimension == 0 { 1.0 } else { 32.0 * self.dimension as f64 / self.bits() }
    }

    /// Write a vector.
    ///
    /// # Errors
    /// If it has another length or an entry without a finite 32-bit float, such as NaN.
    pub fn encode(&self, vector: &[f64], stream: &mut Stream) -> Result<Message, CompressorError> {
        if vector.len() != self.dimension {
            return Err(CompressorError::Length { expected: self.dimension, found: vector.len() });
        }
        if let Some((index, value)) = vector.iter().enumerate().find(|(_, v)| !(**v as f32).is_finite()) {
            return Err(CompressorError::NotFinite { index, value: *value });
        }
        let mut packed = Packed::default();
        let numbers = match self.rule {
            Rule::Identity => {
                vector.iter().for_each(|v| packed.float(*v as f32));
                vector.len()
            }
            Rule::RandK { kept } => {
                let seed = stream.long();
                packed.write(seed & 0xffff_ffff, 32);
                packed.write(seed >> 32, 32);
                for index in self.places(seed, kept) {
                    packed.float(vector[index] as f32);
                }
                kept
            }
            Rule::Bernoulli { probability } => {
                let sent = stream.uniform() < probability;
                packed.write(u64::from(sent), 1);
                if sent {
                    vector.iter().for_each(|v| packed.float(*v as f32));
                }
                if sent { vector.len() } else { 0 }
            }
            Rule::Dithering { levels } => {
                let norm = round_up(norm(vector)).min(f32::MAX);
                packed.float(norm);
                for v in vector {
                    // |v|/norm ≤ 1 because the norm was rounded up, so the level is at most s.
                    let place = if norm > 0.0 { v.abs() / f64::from(norm) * f64::from(levels) } else { 0.0 };
                    let level = place.floor() + f64::from(stream.uniform() < place - place.floor());
                    packed.write(u64::from(v.is_sign_negative()), 1);
                    packed.write((level as u64).min(u64::from(levels)), level_bits(levels));
                }
                vector.len()
            }
            Rule::Natural => {
                for (index, v) in vector.iter().enumerate() {
                    packed.write(u64::from(v.is_sign_negative()), 1);
                    let exponent = power_of_two(v.abs(), stream.uniform())
                        .ok_or(CompressorError::NotFinite { index, value: *v })?;
                    packed.write(exponent, 8);
                }
                vector.len()
            }
            Rule::TopK { kept } => {
                for index in largest(vector, kept) {
                    packed.float(vector[index] as f32);
                    packed.write(index as u64, index_bits(self.dimension));
                }
                kept
            }
            Rule::ScaledSign => {
                let mean = vector.iter().map(|v| v.abs()).sum::<f64>() / self.dimension.max(1) as f64;
                packed.float((mean as f32).min(f32::MAX));
                vector.iter().for_each(|v| packed.write(u64::from(v.is_sign_negative()), 1));
                vector.len()
            }
        };
        Ok(Message { bytes: packed.bytes, numbers })
    }

    /// Read a message: the value of the compressor. Returns how many of the vector's numbers were in it, as in [`Message::numbers`].
    ///
    /// # Errors
    /// If the message has a length that [`Codec::encode`] never gives, or the output another one than the dimension.
    pub fn decode(&self, bytes: &[u8], output: &mut [f64]) -> Result<usize, CompressorError> {
        if output.len() != self.dimension {
            return Err(CompressorError::Length { expected: self.dimension, found: output.len() });
        }
        let (mut bits, mut numbers) = (self.bits(), self.dimension);
        match self.rule {
            Rule::Bernoulli { .. } if bytes.first().is_some_and(|first| first & 1 == 1) => {
                bits = 1.0 + 32.0 * self.dimension as f64;
            }
            Rule::Bernoulli { .. } => (bits, numbers) = (1.0, 0),
            Rule::RandK { kept } | Rule::TopK { kept } => numbers = kept,
            _ => {}
        }
        let expected = (bits / 8.0).ceil() as usize;
        if bytes.len() != expected {
            return Err(CompressorError::Message { expected, found: bytes.len() });
        }
        let mut packed = Reader { bytes, position: 0 };
        match self.rule {
            Rule::Identity => output.iter_mut().for_each(|v| *v = packed.float()),
            Rule::RandK { kept } => {
                let seed = packed.read(32) | (packed.read(32) << 32);
                let scale = self.dimension as f64 / kept as f64;
                output.fill(0.0);
                for index in self.places(seed, kept) {
                    output[index] = packed.float() * scale;
                }
            }
            Rule::Bernoulli { probability } => {
                if packed.read(1) == 1 {
                    output.iter_mut().for_each(|v| *v = packed.float() / probability);
                } else {
                    output.fill(0.0);
                }
            }
            Rule::Dithering { levels } => {
                let unit = packed.float() / f64::from(levels);
                for v in output.iter_mut() {
                    let sign = packed.sign();
                    *v = sign * unit * packed.read(level_bits(levels)) as f64;
                }
            }
            Rule::Natural => {
                for v in output.iter_mut() {
                    let sign = packed.sign();
                    let exponent = packed.read(8) as i32;
                    *v = if exponent == 0 { 0.0 } else { sign * 2f64.powi(exponent - 127) };
                }
            }
            Rule::TopK { kept } => {
                output.fill(0.0);
                for _ in 0..kept {
                    let value = packed.float();
                    let index = packed.read(index_bits(self.dimension)) as usize;
                    // A damaged message may name a place beyond the end; it must not end the program.
                    if let Some(place) = output.get_mut(index) {
                        *place = value;
                    }
                }
            }
            Rule::ScaledSign => {
                let scale = packed.float();
                output.iter_mut().for_each(|v| *v = packed.sign() * scale);
            }
        }
        if let Some(divisor) = self.divisor {
            output.iter_mut().for_each(|v| *v /= divisor);
        }
        Ok(numbers)
    }

    /// The places that the seed of a Rand-k message stands for, ascending.
    fn places(&self, seed: u64, kept: usize) -> Vec<usize> {
        Stream::new(seed, Purpose::Indices, 0, 0).subset(kept, self.dimension)
    }
}

/// ⌈log₂(s+1)⌉: bits of a level 0, ..., s.
fn level_bits(levels: u32) -> u32 {
    32 - levels.leading_zeros()
}

/// ⌈log₂ D⌉: bits of an index below D.
fn index_bits(dimension: usize) -> u32 {
    dimension.saturating_sub(1).checked_ilog2().map_or(0, |bits| bits + 1)
}

fn norm(vector: &[f64]) -> f64 {
    let scale = vector.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if scale == 0.0 {
        return 0.0;
    }
    scale * vector.iter().map(|v| (v / scale) * (v / scale)).sum::<f64>().sqrt()
}

/// The least 32-bit float that is not below a non-negative number.
fn round_up(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) < value { nearest.next_up() } else { nearest }
}

/// A non-negative number rounded at random, without bias, to zero or a power of two from 2⁻¹²⁶ to 2¹²⁷: the exponent plus 127, and 0
/// for zero; `None` above that range. Below 2⁻¹²⁶ the choice is between zero and 2⁻¹²⁶, where q = 9/8 does not hold.
fn power_of_two(value: f64, uniform: f64) -> Option<u64> {
    let least = 2f64.powi(-126);
    if value < least {
        return Some(u64::from(uniform < value / least));
    }
    // A normal number's exponent, read off its bits.
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let excess = value / 2f64.powi(exponent) - 1.0;
    let exponent = exponent + i32::from(uniform < excess);
    (exponent <= 127).then_some((exponent + 127) as u64)
}

/// Indices of the `kept` entries largest in absolute value, ascending.
fn largest(vector: &[f64], kept: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..vector.len()).collect();
    if kept < order.len() {
        // Non-negative floats order like their bits.
        order.select_nth_unstable_by_key(kept, |index| (Reverse(vector[*index].abs().to_bits()), *index));
        order.truncate(kept);
    }
    order.sort_unstable();
    order
}

/// Bits behind each other, low ones first.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    /// Bits used of the last byte, 0 if it is full.
    used: u32,
}

impl Packed {
    fn write(&mut self, mut value: u64, mut bits: u32) {
        while bits > 0 {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let taken = bits.min(8 - self.used);
            let part = (value & ((1 << taken) - 1)) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= part << self.used;
            }
            self.used = (self.used + taken) % 8;
            value >>= taken;
            bits -= taken;
        }
    }

    fn float(&mut self, value: f32) {
        if self.used == 0 {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        } else {
            self.write(u64::from(value.to_bits()), 32);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    fn read(&mut self, bits: u32) -> u64 {
        let mut value = 0;
        let mut have = 0;
        while have < bits {
            let used = (self.position % 8) as u32;
            let taken = (bits - have).min(8 - used);
            let byte = u64::from(self.bytes.get(self.position / 8).copied().unwrap_or(0));
            value |= ((byte >> used) & ((1 << taken) - 1)) << have;
            have += taken;
            self.position += taken as usize;
        }
        value
    }

    fn float(&mut self) -> f64 {
        f64::from(f32::from_bits(self.read(32) as u32))
    }

    fn sign(&mut self) -> f64 {
        if self.read(1) == 1 { -1.0 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests;
