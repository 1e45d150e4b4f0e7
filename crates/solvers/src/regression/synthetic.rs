//! Regressions made from a seed, to try methods on.

use faer::sparse::{SparseRowMat, Triplet};
use mathesis_algebra::random::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Table;

/// The kind of a synthetic regression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Independent standard normal entries.
    Gaussian,
    /// The identity on top of zeros, and a response of spikes below it: sparse sketches put a whole spike on one coefficient.
    Adversarial,
    /// Normal entries that fade like 1/i with the row's number i: the first rows have nearly all of the leverage.
    Coherent,
}

/// A synthetic regression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Synthetic {
    /// The kind.
    #[serde(default = "gaussian")]
    pub kind: Kind,
    /// Rows n.
    pub rows: usize,
    /// Columns d.
    pub columns: usize,
    /// Deviation of the response from the matrix times the true coefficients; no meaning for `adversarial`.
    #[serde(default = "one")]
    pub noise: f64,
    /// Spikes of an `adversarial` response; absent: 3 rows/(2 columns), what ⌈3m/d⌉ is for m = rows/2.
    pub spikes: Option<usize>,
    /// The seed.
    #[serde(default)]
    pub seed: u64,
}

fn gaussian() -> Kind {
    Kind::Gaussian
}

fn one() -> f64 {
    1.0
}

impl Synthetic {
    /// The matrix and the response. The true coefficients of all but `adversarial` (where they are zero) are standard normal.
    pub fn table(&self) -> Table {
        let (n, d) = (self.rows, self.columns);
        let names = (0..d).map(|j| format!("x{}", j + 1)).collect();
        if self.kind == Kind::Adversarial {
            let matrix = (0..n * d).map(|k| f64::from(u8::from(k / d == k % d))).collect();
            return Table { names, matrix, response: self.spikes() };
        }
        let [entries, truth, noise] = [1, 2, 3].map(|number| Stream::new(self.seed, number));
        let matrix: Vec<f64> = (0..n * d)
            .into_par_iter()
            .map(|k| {
                let fading = if self.kind == Kind::Coherent { 1.0 / (1.0 + (k / d) as f64) } else { 1.0 };
                fading * entries.normal(k as u64)
            })
            .collect();
        let truth: Vec<f64> = (0..d).map(|j| truth.normal(j as u64)).collect();
        let response = (0..n)
            .into_par_iter()
            .map(|i| {
                let row = &matrix[i * d..(i + 1) * d];
                let fit: f64 = row.iter().zip(&truth).map(|(a, x)| a * x).sum();
                fit + self.noise * noise.normal(i as u64)
            })
            .collect();
        Table { names, matrix, response }
    }

    /// The matrix of an `adversarial` regression without its zeros, and the response.
    pub fn adversarial_sparse(&self) -> (SparseRowMat<usize, f64>, Vec<f64>) {
        let ones: Vec<_> = (0..self.rows.min(self.columns)).map(|j| Triplet::new(j, j, 1.0)).collect();
        let matrix = SparseRowMat::try_new_from_triplets(self.rows, self.columns, &ones);
        (matrix.expect("each entry lies in the matrix and is stated once"), self.spikes())
    }

    /// The response of an `adversarial` regression.
    fn spikes(&self) -> Vec<f64> {
        let (n, d) = (self.rows, self.columns);
        let spikes = self.spikes.unwrap_or((3 * n).div_ceil(2 * d)).clamp(1, n.saturating_sub(d).max(1));
        let mut response = vec![0.0; n];
        response.iter_mut().skip(d).take(spikes).for_each(|b| *b = 1.0 / (spikes as f64).sqrt());
        response
    }
}

/// A synthetic regression on a Kronecker product: normal factors, normal coefficients, normal noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SyntheticKronecker {
    /// Rows of the two factors.
    pub rows: [usize; 2],
    /// Columns of the two factors.
    pub columns: [usize; 2],
    /// Deviation of the response from the product times the true coefficients.
    #[serde(default = "one")]
    pub noise: f64,
    /// The seed.
    #[serde(default)]
    pub seed: u64,
}

impl SyntheticKronecker {
    /// The factors, row-major, and the response.
    pub fn factors(&self) -> ([Vec<f64>; 2], Vec<f64>) {
        let ([n1, n2], [d1, d2]) = (self.rows, self.columns);
        let stream = |number, count: usize| -> Vec<f64> {
            let stream = Stream::new(self.seed, number);
            (0..count).map(|k| stream.normal(k as u64)).collect()
        };
        let (one, two) = (stream(1, n1 * d1), stream(2, n2 * d2));
        let (truth, noise) = (stream(3, d1 * d2), stream(4, n1 * n2));
        // A₁ X, then the rows of it times A₂ᵀ.
        let half: Vec<f64> = (0..n1 * d2)
            .map(|k| (0..d1).map(|j| one[k / d2 * d1 + j] * truth[j * d2 + k % d2]).sum())
            .collect();
        let response = (0..n1 * n2)
            .map(|k| {
                let (i, l) = (k / n2, k % n2);
                let fit: f64 = (0..d2).map(|j| half[i * d2 + j] * two[l * d2 + j]).sum();
                fit + self.noise * noise[k]
            })
            .collect();
        ([one, two], response)
    }
}
