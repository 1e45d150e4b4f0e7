//! Do data obey a model's constraints: z scores of vanishing polynomials at a sample covariance matrix.
//!
//! For Gaussian observations the entries of the sample covariance matrix S of N observations have covariances
//! Cov(S_ij, S_kl) = (σ_ik σ_jl + σ_il σ_jk)/(N−1), so by the delta method a polynomial f that vanishes on the model has at S about a normal
//! distribution with mean zero and variance ∇fᵀ Cov ∇f. Its score is z = f(S)/√(∇fᵀ Cov ∇f), with S in place of Σ.
//! Scores do not change when variables are rescaled, so all is done with the correlation matrix.

use serde::Serialize;

use super::StructuralError;
use super::multidegree::pairs;
use super::vanishing_ideal::Generator;

/// The covariance matrix of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleCovariance {
    size: usize,
    matrix: Vec<f64>,
    samples: usize,
}

/// How well data obey one constraint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Score {
    /// The polynomial's value at the sample correlation matrix.
    pub value: f64,
    /// Its standard error there.
    pub standard_error: f64,
    /// The value in standard errors: beyond about 4, the constraint does not hold.
    pub z: f64,
    /// The probability of a score as large as that if the constraint holds.
    pub p: f64,
}

impl SampleCovariance {
    /// Of a covariance matrix, row-major, and the number of observations behind it.
    ///
    /// # Errors
    /// [`StructuralError::Data`] unless the matrix is finite, symmetric and has positive variances, and there are at least two
    /// observations.
    pub fn new(size: usize, matrix: Vec<f64>, samples: usize) -> Result<Self, StructuralError> {
        let refuse = |message: String| Err(StructuralError::Data(message));
        if matrix.len() != size * size {
            return refuse(format!(
                "the covariance matrix has {} entries; expected {size} × {size}",
                matrix.len()
            ));
        }
        if samples < 2 {
            return refuse(format!("there are {samples} observations; expected at least 2"));
        }
        for i in 0..size {
            if !(matrix[i * size + i].is_finite() && matrix[i * size + i] > 0.0) {
                return refuse(format!(
                    "the variance of variable {} is {}; expected a positive number",
                    i + 1,
                    matrix[i * size + i]
                ));
            }
            for j in 0..i {
                let (lower, upper) = (matrix[i * size + j], matrix[j * size + i]);
                let scale = (matrix[i * size + i] * matrix[j * size + j]).sqrt();
                if !((lower - upper).abs() <= 1e-6 * scale && lower.abs() <= scale * (1.0 + 1e-9)) {
                    return refuse(format!(
                        "the entries {upper} and {lower} at ({}, {}) are no covariance of these variances",
                        j + 1,
                        i + 1
                    ));
                }
            }
        }
        Ok(SampleCovariance { size, matrix, samples })
    }

    /// Of observations, row-major with `size` columns; with the divisor N − 1.
    ///
    /// # Errors
    /// [`StructuralError::Data`] for fewer than two rows, numbers that are not finite and constant columns.
    pub fn of_observations(size: usize, rows: &[f64]) -> Result<Self, StructuralError> {
        let samples = rows.len() / size.max(1);
        if samples < 2 {
            return Err(StructuralError::Data(format!(
                "there are {samples} observations; expected at least 2"
            )));
        }
        let mut means = vec![0.0; size];
        for row in rows.chunks_exact(size) {
            means.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / samples as f64);
        }
        let mut matrix = vec![0.0; size * size];
        for row in rows.chunks_exact(size) {
            for i in 0..size {
                for j in 0..=i {
                    matrix[i * size + j] += (row[i] - means[i]) * (row[j] - means[j]) / (samples - 1) as f64;
                }
            }
        }
        for i in 0..size {
            for j in 0..i {
                matrix[j * size + i] = matrix[i * size + j];
            }
        }
        Self::new(size, matrix, samples)
    }

    /// The matrix, row-major.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// The number of observations.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The score of a constraint.
    pub fn score(&self, generator: &Generator) -> Score {
        let n = self.size;
        let correlation = |i: usize, j: usize| {
            self.matrix[i * n + j] / (self.matrix[i * n + i] * self.matrix[j * n + j]).sqrt()
        };
        let pairs = pairs(n);
        let point: Vec<f64> = pairs.iter().map(|(i, j)| correlation(*i, *j)).collect();
        let (value, gradient) = generator.value_and_gradient(&point);
        let mut variance = 0.0;
        for (a, (i, j)) in pairs.iter().enumerate().filter(|(a, _)| gradient[*a] != 0.0) {
            for (b, (k, l)) in pairs.iter().enumerate() {
                let joint =
                    correlation(*i, *k) * correlation(*j, *l) + correlation(*i, *l) * correlation(*j, *k);
                variance += gradient[a] * gradient[b] * joint;
            }
        }
        let standard_error = (variance.max(0.0) / (self.samples - 1) as f64).sqrt();
        let z = if value == 0.0 { 0.0 } else { value / standard_error };
        Score { value, standard_error, z, p: two_sided(z) }
    }
}

/// The probability that a standard normal number is at least |z| away from zero: erfc(|z|/√2).
fn two_sided(z: f64) -> f64 {
    let x = z.abs();
    if x.is_nan() {
        return f64::NAN;
    }
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x < 4.0 {
        // The integral of the density from 0 to x is φ(x)·(x + x³/3 + x⁵/(3·5) + ...).
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term > 1e-17 * sum && k < 200.0 {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        return (1.0 - 2.0 * density * sum).max(0.0);
    }
    // Laplace's continued fraction for the tail: φ(x)/(x + 1/(x + 2/(x + ...))).
    let fraction = (1..=60).rev().fold(x, |fraction, k| x + f64::from(k) / fraction);
    2.0 * density / fraction
}

#[cfg(test)]
mod tests {
    use super::super::graph::MixedGraph;
    use super::super::numeric::{covariance, random_parameters};
    use super::super::simulation::simulate;
    use super::super::vanishing_ideal::search;
    use super::*;
    use crate::Silent;

    #[test]
    fn normal_probabilities() {
        for (z, p) in [
            (0.0, 1.0),
            (1.0, 0.317_310_507_862_914_1),
            (1.96, 0.049_995_790_296_440_9),
            (-3.0, 0.002_699_796_063_260_19),
            (4.0, 6.334_248_366_623_99e-5),
            (6.0, 1.973_175_290_075_4e-9),
        ] {
            assert!((two_sided(z) - p).abs() <= 1e-9 * p, "{z}: {} instead of {p}", two_sided(z));
        }
        assert!((two_sided(3.999_999) / two_sided(4.0) - 1.0).abs() < 1e-4);
    }

    /// Item 5 of the specification's list.
    #[test]
    fn the_four_cycle_accepts_its_own_data_and_rejects_a_chord() {
        let edges = [(1, 2), (2, 3), (3, 4), (4, 1)];
        let cycle = MixedGraph::numbered(4, &edges, &[]).unwrap();
        let ideal = search(&cycle, 3, 100, &mut Silent).unwrap();
        assert_eq!(ideal.generators.len(), 2);
        let scores = |graph: &MixedGraph, parameters| {
            let rows = simulate(graph, &parameters, 10_000, 11).unwrap();
            let sample = SampleCovariance::of_observations(4, &rows).unwrap();
            ideal.generators.iter().map(|g| sample.score(g)).collect::<Vec<Score>>()
        };
        for seed in 0..5 {
            let own = scores(&cycle, random_parameters(&cycle, seed));
            assert!(own.iter().all(|score| score.z.abs() < 4.0), "{own:?}");
        }
        let chord = MixedGraph::numbered(4, &[(1, 2), (2, 3), (3, 4), (4, 1), (1, 3)], &[]).unwrap();
        let mut parameters = random_parameters(&chord, 1);
        parameters.effects = vec![0.6, 0.6, 0.6, 0.6, 0.5];
        let other = scores(&chord, parameters);
        assert!(other.iter().any(|score| score.z.abs() > 6.0), "{other:?}");
    }

    #[test]
    fn scores_of_many_samples_have_unit_variance_and_do_not_change_with_units() {
        let graph = MixedGraph::numbered(4, &[(1, 2), (2, 3), (3, 4)], &[]).unwrap();
        let ideal = search(&graph, 2, 100, &mut Silent).unwrap();
        let parameters = random_parameters(&graph, 5);
        let generator = &ideal.generators[0];
        let mut squares = 0.0;
        let trials = 400;
        for seed in 0..trials {
            let rows = simulate(&graph, &parameters, 500, seed).unwrap();
            let score = SampleCovariance::of_observations(4, &rows).unwrap().score(generator);
            squares += score.z * score.z;
            if seed == 0 {
                let scaled: Vec<f64> =
                    rows.iter().enumerate().map(|(k, x)| x * [1e3, 0.2, 7.0, 1e-4][k % 4]).collect();
                let other = SampleCovariance::of_observations(4, &scaled).unwrap().score(generator);
                assert!((other.z - score.z).abs() < 1e-8 * score.z.abs().max(1.0));
            }
        }
        let variance = squares / trials as f64;
        assert!((0.75..1.3).contains(&variance), "{variance}");
        let exact = SampleCovariance::new(4, covariance(&graph, &parameters).unwrap(), 1000).unwrap();
        assert!(exact.score(generator).z.abs() < 1e-9);
    }

    #[test]
    fn bad_data_are_refused() {
        let refused = |size, matrix: Vec<f64>, samples| SampleCovariance::new(size, matrix, samples).is_err();
        assert!(refused(2, vec![1.0; 3], 10));
        assert!(refused(1, vec![1.0], 1));
        assert!(refused(1, vec![0.0], 10));
        assert!(refused(1, vec![f64::NAN], 10));
        assert!(refused(2, vec![1.0, 0.5, 0.4, 1.0], 10));
        assert!(refused(2, vec![1.0, 1.5, 1.5, 1.0], 10));
        assert!(refused(2, vec![1.0, f64::NAN, f64::NAN, 1.0], 10));
        assert!(SampleCovariance::of_observations(2, &[1.0, 2.0]).is_err());
        assert!(SampleCovariance::of_observations(2, &[1.0, 2.0, 1.0, 3.0]).is_err(), "a constant column");
    }
}
