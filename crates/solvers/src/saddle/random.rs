//! Random numbers that are a function of their place: seed, purpose, worker and iteration.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a block
//! cipher over a counter. A draw therefore depends on nothing that another thread or process does, which is what makes runs
//! reproducible for any transport.

/// What a stream of random numbers is for; streams of different purposes never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// The data of a generated problem.
    Data = 1,
    /// A compressor's choices.
    Compression,
    /// The indices that a Rand-k message's seed stands for.
    Indices,
    /// The refresh coin.
    Coin,
    /// Which workers take part.
    Participation,
    /// Which components of a finite sum are evaluated.
    Batch,
    /// Starting vectors of power iterations and points of measurement.
    Measurement,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of a seed, a purpose, a worker (below 2²⁴) and an iteration.
    pub fn new(seed: u64, purpose: Purpose, worker: usize, iteration: u64) -> Self {
        let place = ((purpose as u32) << 24) | (worker as u32 & 0x00ff_ffff);
        Stream {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, place, iteration as u32, (iteration >> 32) as u32],
            block: [0; 4],
            used: 4,
        }
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// 64 random bits.
    pub fn long(&mut self) -> u64 {
        u64::from(self.word()) | (u64::from(self.word()) << 32)
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.long() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Uniform among 0, ..., `count` − 1 (without bias); `count` is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        let count = count.max(1) as u64;
        // Products below 2⁶⁴ mod count are those that would favour small results.
        let threshold = count.wrapping_neg() % count;
        loop {
            let product = u128::from(self.long()) * u128::from(count);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Standard normal, by the polar form of Box and Muller.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// A vector of standard normal numbers.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// `count` of the numbers 0, ..., `total` − 1 without replacement, uniform among all such sets (Floyd), ascending.
    pub fn subset(&mut self, count: usize, total: usize) -> Vec<usize> {
        let count = count.min(total);
        let mut chosen = vec![false; total];
        for last in total - count..total {
            let candidate = self.below(last + 1);
            let index = if chosen[candidate] { last } else { candidate };
            chosen[index] = true;
        }
        (0..total).filter(|index| chosen[*index]).collect()
    }
}

/// Ten rounds of Philox4x32.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let first = u64::from(counter[0]) * 0xD251_1F53;
        let second = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        // Known answers of the Random123 distribution.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn streams_depend_on_every_coordinate_and_repeat() {
        let first = |seed, purpose, worker, iteration| Stream::new(seed, purpose, worker, iteration).long();
        let base = first(1, Purpose::Coin, 2, 3);
        assert_eq!(base, first(1, Purpose::Coin, 2, 3));
        for other in [
            first(2, Purpose::Coin, 2, 3),
            first(1, Purpose::Data, 2, 3),
            first(1, Purpose::Coin, 3, 3),
            first(1, Purpose::Coin, 2, 4),
            first(1 << 40, Purpose::Coin, 2, 3),
            first(1, Purpose::Coin, 2, 3 << 40),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn subsets_are_uniform() {
        let mut counts = std::collections::HashMap::new();
        for draw in 0..60_000 {
            let subset = Stream::new(5, Purpose::Indices, 0, draw).subset(2, 4);
            assert_eq!(subset.len(), 2);
            *counts.entry(subset).or_insert(0usize) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Each of the six pairs: 10 000 expected, standard deviation 91.
        assert!(counts.values().all(|count| count.abs_diff(10_000) < 460), "{counts:?}");
        assert_eq!(Stream::new(0, Purpose::Indices, 0, 0).subset(0, 0), Vec::<usize>::new());
        assert_eq!(Stream::new(0, Purpose::Indices, 0, 0).subset(3, 3), vec![0, 1, 2]);
    }

    #[test]
    fn normal_numbers_have_the_moments() {
        let values = Stream::new(9, Purpose::Data, 0, 0).normals(100_000);
        let moment = |power: i32| values.iter().map(|v| v.powi(power)).sum::<f64>() / values.len() as f64;
        assert!(moment(1).abs() < 0.015 && (moment(2) - 1.0).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.15);
    }
}
