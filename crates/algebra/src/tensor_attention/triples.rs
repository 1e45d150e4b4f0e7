//! A thing that tensor attention does in one layer and attention of matrices does not: to find, for every number of a sequence, whether
//! it adds up with two others (which may be itself) to a multiple of M.
//!
//! The construction is by four channels, with θ = 2πx / M:
//! ```text
//! Q = (cos θ, −cos θ, −sin θ, −sin θ)   K₁ = (cos θ, sin θ, cos θ, sin θ)   K₂ = (cos θ, sin θ, sin θ, cos θ)
//! Σ_l Q_l K₁_l K₂_l = cos(θ_i + θ_j + θ_k)
//! ```
//! A scale S makes the softmax so sharp that a pair that completes a triple outweighs the blank one, whose score is half-way between
//! that of a triple and the largest other one; all values are one, the blank's is zero.

use std::f64::consts::TAU;

use super::{Form, Operands, TensorAttentionError, forward};

/// Why numbers were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TripleError {
    /// With fewer residues than two every three numbers are a triple.
    #[error("modulus {0}: at least 2 is expected")]
    Modulus(u64),
    /// The layer refused.
    #[error(transparent)]
    Attention(#[from] TensorAttentionError),
}

/// For every number `x_i` whether there are j and k, any two places, with `x_i + x_j + x_k` a multiple of the modulus, by one
/// layer of exact tensor attention.
///
/// # Errors
/// [`TripleError`] if the modulus is below 2.
pub fn matching_triples(numbers: &[i64], modulus: u64) -> Result<Vec<bool>, TripleError> {
    if modulus < 2 {
        return Err(TripleError::Modulus(modulus));
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let pairs = (numbers.len() * numbers.len()) as f64;
    let step = (TAU / modulus as f64).cos();
    // Twice the size with which n² pairs just below a triple's score weigh as much as the blank.
    let scale = 4.0 * (100.0 * pairs).ln() / (1.0 - step);
    let (mut queries, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for &number in numbers {
        let residue = i128::from(number).rem_euclid(i128::from(modulus));
        let (sine, cosine) = (TAU * residue as f64 / modulus as f64).sin_cos();
        queries.extend([cosine, -cosine, -sine, -sine].map(|x| 4.0 * scale * x));
        first.extend([cosine, sine, cosine, sine]);
        second.extend([cosine, sine, sine, cosine]);
    }
    let ones = vec![1.0; numbers.len()];
    let operands = Operands {
        channels: 4,
        value_channels: 1,
        queries: &queries,
        keys: vec![&first, &second],
        values: vec![&ones, &ones],
        causal: false,
        blank: Some(scale * (1.0 + step) / 2.0),
    };
    let outputs = forward(&operands, Form::Exact)?;
    Ok(outputs.output.iter().map(|&y| y > 0.5).collect())
}
