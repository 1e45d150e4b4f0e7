//! What the iterations need of a matrix: products into given memory, the diagonal, and the null space if there is one.

use std::fmt::Debug;

use rayon::prelude::*;

use super::LinearError;
use super::vector::CHUNK;

/// A symmetric matrix as the iterations see it.
///
/// An operator may act on a subspace, such as the vectors that vanish off the fluid cells of a grid; then vectors given to it lie
/// in that subspace and so do its products.
pub trait SymmetricOperator: Debug + Send + Sync {
    /// The length of its vectors.
    fn dimension(&self) -> usize;

    /// `product = A vector`.
    ///
    /// # Panics
    /// If a slice has another length than the dimension.
    fn apply(&self, vector: &[f64], product: &mut [f64]);

    /// `product = A vector`, and `vectorᵀ A vector`.
    ///
    /// # Panics
    /// If a slice has another length than the dimension.
    fn apply_and_dot(&self, vector: &[f64], product: &mut [f64]) -> f64;

    /// The diagonal.
    fn diagonal(&self) -> Vec<f64>;

    /// The vectors that are mapped to zero, as far as they are known.
    fn null_space(&self) -> &NullSpace;
}

/// The null space of a matrix with zero row sums on some connected components: constants on each of those.
#[derive(Clone, Debug, Default)]
pub struct NullSpace {
    /// For each unknown the component of zero row sums that it belongs to, or [`NullSpace::NONE`]; empty if there is none.
    labels: Vec<u32>,
    /// Unknowns in each of these components.
    sizes: Vec<usize>,
    /// Position of each of these components among all connected components, from 1, in the order of their first unknowns.
    positions: Vec<usize>,
}

impl NullSpace {
    /// The label of unknowns outside.
    pub(super) const NONE: u32 = u32::MAX;

    /// From labels of all connected components: keeps those that are singular.
    pub(super) fn new(mut labels: Vec<u32>, sizes: &[usize], singular: &[bool]) -> Self {
        if !singular.contains(&true) {
            return NullSpace::default();
        }
        let kept: Vec<usize> = (0..sizes.len()).filter(|&c| singular[c]).collect();
        let mut renumbered = vec![Self::NONE; sizes.len()];
        for (new, &old) in kept.iter().enumerate() {
            renumbered[old] = new as u32;
        }
        labels.par_iter_mut().for_each(|label| {
            *label = renumbered.get(*label as usize).copied().unwrap_or(Self::NONE);
        });
        NullSpace {
            labels,
            sizes: kept.iter().map(|&c| sizes[c]).collect(),
            positions: kept.iter().map(|c| c + 1).collect(),
        }
    }

    /// Its dimension: the number of singular components.
    pub fn dimension(&self) -> usize {
        self.sizes.len()
    }

    /// Subtracts from a vector its mean on each singular component: the orthogonal projection onto the range.
    pub fn project(&self, vector: &mut [f64]) {
        if self.sizes.is_empty() {
            return;
        }
        let means: Vec<f64> = self.sums(vector).iter().zip(&self.sizes).map(|(s, &n)| s / n as f64).collect();
        vector.par_chunks_mut(CHUNK).zip(self.labels.par_chunks(CHUNK)).for_each(|(values, labels)| {
            for (value, &label) in values.iter_mut().zip(labels) {
                if label != Self::NONE {
                    *value -= means[label as usize];
                }
            }
        });
    }

    /// The same for those unknowns alone that are listed; they are all that belong to any component.
    pub(super) fn restricted(&self, unknowns: &[u32]) -> NullSpace {
        if self.sizes.is_empty() {
            return NullSpace::default();
        }
        let labels = unknowns.iter().map(|&i| self.labels[i as usize]).collect();
        NullSpace { labels, sizes: self.sizes.clone(), positions: self.positions.clone() }
    }

    /// The first unknown of each singular component.
    pub(super) fn first_unknowns(&self) -> Vec<usize> {
        let mut first = vec![usize::MAX; self.sizes.len()];
        for (i, &label) in self.labels.iter().enumerate().rev() {
            if label != Self::NONE {
                first[label as usize] = i;
            }
        }
        first
    }

    /// Refuses a right side that is outside the range by more than `tolerance` of its norm.
    pub(super) fn check_range(&self, right_side: &[f64], tolerance: f64) -> Result<(), LinearError> {
        let norm = super::vector::norm(right_side);
        let worst = self
            .sums(right_side)
            .iter()
            .zip(&self.sizes)
            .map(|(sum, &size)| sum.abs() / (size as f64).sqrt() / norm.max(f64::MIN_POSITIVE))
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match worst {
            Some((worst, relative)) if relative > tolerance => Err(LinearError::OutsideRange {
                component: format!(
                    "connected component {} ({} unknowns)",
                    self.positions[worst], self.sizes[worst]
                ),
                relative,
            }),
            _ => Ok(()),
        }
    }

    fn sums(&self, vector: &[f64]) -> Vec<f64> {
        let add = |mut sums: Vec<f64>, (values, labels): (&[f64], &[u32])| {
            for (value, &label) in values.iter().zip(labels) {
                if label != Self::NONE {
                    sums[label as usize] += value;
                }
            }
            sums
        };
        let zero = || vec![0.0; self.sizes.len()];
        // Chunks in parallel pay while a chunk is longer than the list of sums.
        if self.sizes.len() > 64 {
            return add(zero(), (vector, &self.labels));
        }
        let chunks: Vec<Vec<f64>> = vector
            .par_chunks(CHUNK)
            .zip(self.labels.par_chunks(CHUNK))
            .map(|chunk| add(zero(), chunk))
            .collect();
        chunks.into_iter().fold(zero(), |mut sums, chunk| {
            sums.iter_mut().zip(chunk).for_each(|(s, c)| *s += c);
            sums
        })
    }
}
