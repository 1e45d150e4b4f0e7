//! Random numbers from seeds, the same on every machine.
//!
//! A [`Sequence`] is drawn in order. A [`Stream`] is addressed instead: its number `k` is a hash of the stream's key and `k`. What
//! depends on a stream is then the same whatever the order and the number of threads in which it is computed, and a row of a
//! random matrix needs no other row. The hash of both is SplitMix64's finaliser (Steele, Lea, Flood 2014, in Stafford's variant 13),
//! applied twice so that streams whose keys differ by a multiple of the increment do not overlap.

/// A sequence of independent random numbers with random access.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: u64,
    salt: u64,
}

const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream of a number, one of many of a seed.
    pub fn new(seed: u64, number: u64) -> Self {
        let key = mix(mix(seed.wrapping_add(INCREMENT)) ^ number.wrapping_mul(INCREMENT));
        Stream { key, salt: mix(key ^ 0x5851_f42d_4c95_7f2d) }
    }

    /// 64 random bits.
    pub fn bits(self, k: u64) -> u64 {
        mix(mix(self.key.wrapping_add(k.wrapping_mul(INCREMENT))) ^ self.salt)
    }

    /// Uniform in the open interval (0, 1).
    pub fn uniform(self, k: u64) -> f64 {
        ((self.bits(k) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// 1 or −1.
    pub fn sign(self, k: u64) -> f64 {
        if (self.bits(k / 64) >> (k % 64)) & 1 == 0 { 1.0 } else { -1.0 }
    }

    /// Uniform in `0..bound`, up to a bias of `bound / 2^64`.
    pub fn below(self, k: u64, bound: u64) -> u64 {
        ((u128::from(self.bits(k)) * u128::from(bound)) >> 64) as u64
    }

    /// Standard normal, by the Box–Muller transform: numbers `2k` and `2k + 1` share their two uniform numbers.
    pub fn normal(self, k: u64) -> f64 {
        let (cosine, sine) = self.normal_pair(k / 2);
        if k.is_multiple_of(2) { cosine } else { sine }
    }

    /// The standard normal numbers `2k` and `2k + 1`.
    pub fn normal_pair(self, k: u64) -> (f64, f64) {
        let radius = (-2.0 * self.uniform(2 * k).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform(2 * k + 1)).sin_cos();
        (radius * cosine, radius * sine)
    }

    /// A uniformly random permutation of `0..count` (Fisher and Yates).
    pub fn permutation(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u64, last as u64 + 1) as usize);
        }
        order
    }
}

/// Random numbers that are drawn one after the other: the SplitMix64 generator.
#[derive(Clone, Debug)]
pub struct Sequence {
    state: u64,
    spare_normal: Option<f64>,
}

impl Sequence {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Sequence { state: seed, spare_normal: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [-1, 1).
    pub fn symmetric(&mut self) -> f64 {
        2.0 * self.uniform() - 1.0
    }

    /// Two standard normal numbers, by the Box–Muller transform.
    pub fn normal_pair(&mut self) -> (f64, f64) {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        (radius * cosine, radius * sine)
    }

    /// Standard normal; the second of each pair is kept for the next call.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        let (normal, spare) = self.normal_pair();
        self.spare_normal = Some(spare);
        normal
    }

    /// A uniformly random permutation of `0..count` (Fisher and Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, (self.bits() % (last as u64 + 1)) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_those_of_splitmix64_and_have_the_moments() {
        // The first outputs of the reference generator for the seed 1234567.
        let mut sequence = Sequence::new(1_234_567);
        assert_eq!(
            [sequence.bits(), sequence.bits()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
        let mut normal = Sequence::new(7);
        let sample: Vec<f64> = (0..100_000).map(|_| normal.normal()).collect();
        let moment = |k: i32| sample.iter().map(|x| x.powi(k)).sum::<f64>() / sample.len() as f64;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.02);
        assert!(moment(3).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.1);
        let symmetric: Vec<f64> = (0..10_000).map(|_| sequence.symmetric()).collect();
        assert!(symmetric.iter().all(|x| (-1.0..1.0).contains(x)) && symmetric.iter().any(|x| *x < -0.9));
        assert_ne!(Sequence::new(1).bits(), Sequence::new(2).bits());
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let stream = Stream::new(1, 2);
        let count = 100_000u64;
        let mean = |f: &dyn Fn(u64) -> f64| (0..count).map(f).sum::<f64>() / count as f64;
        // Five standard deviations of the means.
        assert!((mean(&|k| stream.uniform(k)) - 0.5).abs() < 5e-3);
        assert!(mean(&|k| stream.sign(k)).abs() < 1.6e-2);
        assert!(mean(&|k| stream.normal(k)).abs() < 1.6e-2);
        assert!((mean(&|k| stream.normal(k).powi(2)) - 1.0).abs() < 2.3e-2);
        assert!((mean(&|k| stream.normal(k).powi(4)) - 3.0).abs() < 0.16);
        assert!((mean(&|k| stream.below(k, 10) as f64) - 4.5).abs() < 5e-2);
        // Neighbours and streams of neighbouring numbers are uncorrelated.
        assert!(mean(&|k| stream.normal(k) * stream.normal(k + 1)).abs() < 1.6e-2);
        assert!(mean(&|k| stream.normal(k) * Stream::new(1, 3).normal(k)).abs() < 1.6e-2);
    }

    #[test]
    fn permutations_are_permutations() {
        for count in [0, 1, 2, 17, 1000] {
            for mut order in [Stream::new(3, 0).permutation(count), Sequence::new(3).permutation(count)] {
                if count > 10 {
                    assert!(order.iter().enumerate().any(|(i, k)| i != *k));
                }
                order.sort_unstable();
                assert!(order.iter().enumerate().all(|(i, k)| i == *k));
            }
        }
    }
}
