//! Texts to vectors. A language model's vectors come from a file ([`super::Vectors::read`]); what is here needs no model.

use super::dense::Vectors;
use super::tokens::Tokens;

/// What turns texts into vectors whose inner product says how alike they are.
pub trait Embedding {
    /// One row a text. Errors: what the model says.
    fn embed(&self, texts: &[&str]) -> Result<Vectors, String>;
}

/// Signed feature hashing (Weinberger et al. 2009): every token adds sign(h) (1 + ln f) at the place h mod dimension, h
/// its hash and f its count; rows have unit norm.
#[derive(Clone, Copy, Debug)]
pub struct HashedTokens {
    /// How texts are cut.
    pub tokens: Tokens,
    /// The length of the vectors, from 1.
    pub dimension: usize,
}

impl Embedding for HashedTokens {
    fn embed(&self, texts: &[&str]) -> Result<Vectors, String> {
        let mut values = vec![0.0; texts.len() * self.dimension];
        for (row, text) in values.chunks_exact_mut(self.dimension.max(1)).zip(texts) {
            let mut hashes: Vec<u64> = self.tokens.of(text).iter().map(|token| hash(token)).collect();
            hashes.sort_unstable();
            for same in hashes.chunk_by(|a, b| a == b) {
                let weight = 1.0 + (same.len() as f32).ln();
                let sign = if same[0] >> 63 == 0 { 1.0 } else { -1.0 };
                row[(same[0] % self.dimension as u64) as usize] += sign * weight;
            }
        }
        let mut vectors = Vectors::new(self.dimension, values)?;
        vectors.normalise();
        Ok(vectors)
    }
}

/// FNV-1a, and a mixing step so that all bits depend on all bytes.
fn hash(token: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = token.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
