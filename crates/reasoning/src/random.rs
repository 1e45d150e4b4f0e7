//! Random numbers that depend on named inputs only: the same for any order of calls and any number of threads.

/// A sequence of random numbers given by a key.
pub(crate) struct Stream {
    state: u64,
}

impl Stream {
    /// The sequence of a seed, as SplitMix64 is published.
    pub(crate) fn seeded(seed: u64) -> Self {
        Stream { state: seed }
    }

    pub(crate) fn new(key: &[u64]) -> Self {
        let mut stream = Stream::seeded(0);
        for &word in key {
            stream.state = stream.next() ^ word;
        }
        stream
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform among 0 .. `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
