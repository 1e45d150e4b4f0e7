//! Least squares against a bounded perturbation of the data:
//! min over ‖w‖ ≤ R_w, max over ‖δ‖ ≤ R_δ of (1/2N) Σ_i (wᵀ(x_i + δ) − y_i)² + (λ/2)‖w‖² − (β/2)‖δ‖².
//!
//! The function is concave in δ where β ≥ ‖w‖², so with β ≥ R_w² the operator is monotone on the balls.

use super::{Constants, Operator};
use crate::saddle::random::{Purpose, Stream};

/// The regression, with the rows of the data shared out over the workers; z = (w, δ), D = 2d. A component is one row.
#[derive(Clone, Debug)]
pub struct RobustRegression {
    /// Of each worker: its rows x_i and targets y_i.
    rows: Vec<Vec<(Vec<f64>, f64)>>,
    features: usize,
    ridge: f64,
    penalty: f64,
    weight_radius: f64,
    perturbation_radius: f64,
}

impl RobustRegression {
    /// From the rows of each worker (all of the same number of features d, the same number of rows each), λ, β, R_w and R_δ.
    ///
    /// # Errors
    /// What is wrong, if shapes differ or a setting is out of range.
    pub fn new(
        rows: Vec<Vec<(Vec<f64>, f64)>>,
        ridge: f64,
        penalty: f64,
        weight_radius: f64,
        perturbation_radius: f64,
    ) -> Result<Self, String> {
        let features = rows.first().and_then(|own| own.first()).map_or(0, |(x, _)| x.len());
        let count = rows.first().map_or(0, Vec::len);
        if features == 0 {
            return Err("there are no data; expected at least one row with one feature a worker".to_string());
        }
        for (worker, own) in rows.iter().enumerate() {
            if own.len() != count {
                return Err(format!(
                    "worker {worker} has {} rows; expected {count} as the first has",
                    own.len()
                ));
            }
            let good = |(x, y): &(Vec<f64>, f64)| {
                x.len() == features && x.iter().all(|v| v.is_finite()) && y.is_finite()
            };
            if let Some(row) = own.iter().position(|row| !good(row)) {
                return Err(format!(
                    "row {row} of worker {worker} is not {features} finite features and a target"
                ));
            }
        }
        for (name, value) in [("regularisation", ridge), ("penalty", penalty)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("the {name} is {value}; expected a finite number, at least 0"));
            }
        }
        for (name, value) in [("weight radius", weight_radius), ("perturbation radius", perturbation_radius)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err(format!("the {name} is {value}; expected a finite number above 0"));
            }
        }
        if penalty < weight_radius * weight_radius {
            return Err(format!(
                "the penalty {penalty} is below the square of the weight radius {weight_radius}, so the problem is not \
                 concave in the perturbation"
            ));
        }
        Ok(RobustRegression { rows, features, ridge, penalty, weight_radius, perturbation_radius })
    }

    /// Standard normal features, weights of norm ½R_w, noise of standard deviation 0.1.
    ///
    /// # Errors
    /// As [`RobustRegression::new`].
    pub fn generated(
        features: usize,
        workers: usize,
        rows: usize,
        (ridge, penalty): (f64, f64),
        (weight_radius, perturbation_radius): (f64, f64),
        seed: u64,
    ) -> Result<Self, String> {
        let mut truth = Stream::new(seed, Purpose::Data, workers, 0).normals(features);
        let norm = truth.iter().map(|w| w * w).sum::<f64>().sqrt();
        truth.iter_mut().for_each(|w| *w *= 0.5 * weight_radius / norm.max(f64::MIN_POSITIVE));
        let data = (0..workers)
            .map(|m| {
                let mut stream = Stream::new(seed, Purpose::Data, m, 0);
                (0..rows)
                    .map(|_| {
                        let x = stream.normals(features);
                        let y = x.iter().zip(&truth).map(|(x, w)| x * w).sum::<f64>() + 0.1 * stream.normal();
                        (x, y)
                    })
                    .collect()
            })
            .collect();
        Self::new(data, ridge, penalty, weight_radius, perturbation_radius)
    }

    /// R_w and R_δ.
    pub fn radii(&self) -> (f64, f64) {
        (self.weight_radius, self.perturbation_radius)
    }

    fn add(&self, (x, y): &(Vec<f64>, f64), scale: f64, z: &[f64], value: &mut [f64]) {
        let d = self.features;
        let (w, delta) = z.split_at(d);
        let residual = (0..d).map(|i| w[i] * (x[i] + delta[i])).sum::<f64>() - y;
        for i in 0..d {
            value[i] += scale * residual * (x[i] + delta[i]);
            value[d + i] -= scale * residual * w[i];
        }
    }

    fn regularise(&self, z: &[f64], value: &mut [f64]) {
        let d = self.features;
        for i in 0..d {
            value[i] = self.ridge * z[i];
            value[d + i] = self.penalty * z[d + i];
        }
    }

    /// A Lipschitz constant on the balls of the mean over rows with ‖x‖ ≤ a and |y| ≤ b: with r = R_w, c = a + R_δ, the blocks of the
    /// Jacobian matrix have norms at most c² + λ, (rc + b) + rc and max(β, r²).
    fn bound(&self, rows: &mut dyn Iterator<Item = &(Vec<f64>, f64)>) -> f64 {
        let (mut largest, mut target) = (0.0_f64, 0.0_f64);
        for (x, y) in rows {
            largest = largest.max(x.iter().map(|x| x * x).sum::<f64>().sqrt());
            target = target.max(y.abs());
        }
        let (r, c) = (self.weight_radius, largest + self.perturbation_radius);
        let (first, cross, last) = (c * c + self.ridge, 2.0 * r * c + target, self.penalty.max(r * r));
        // The norm of the 2 × 2 matrix of the blocks' norms.
        let mean = 0.5 * (first + last);
        mean + (0.5 * (first - last)).hypot(cross)
    }
}

impl Operator for RobustRegression {
    fn dimension(&self) -> usize {
        2 * self.features
    }

    fn workers(&self) -> usize {
        self.rows.len()
    }

    fn evaluate(&self, worker: usize, z: &[f64], value: &mut [f64]) {
        self.regularise(z, value);
        let scale = 1.0 / self.rows[worker].len() as f64;
        self.rows[worker].iter().for_each(|row| self.add(row, scale, z, value));
    }

    fn components(&self, worker: usize) -> usize {
        self.rows[worker].len()
    }

    fn evaluate_component(&self, worker: usize, component: usize, z: &[f64], value: &mut [f64]) {
        self.regularise(z, value);
        self.add(&self.rows[worker][component], 1.0, z, value);
    }

    fn constants(&self) -> Constants {
        let workers: Vec<f64> = self.rows.iter().map(|own| self.bound(&mut own.iter())).collect();
        let lipschitz = self.bound(&mut self.rows.iter().flatten());
        let spare = (self.penalty - self.weight_radius * self.weight_radius).max(0.0);
        Constants {
            lipschitz: Some(lipschitz),
            components: Some(workers.clone()),
            workers: Some(workers),
            strong_monotonicity: Some(self.ridge.min(spare)),
            entropy_lipschitz: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_the_gradient_and_monotone_with_its_constant() {
        let problem = RobustRegression::generated(4, 2, 6, (0.1, 1.5), (1.0, 0.5), 3).unwrap();
        let objective = |z: &[f64]| {
            let mut sum = 0.0;
            for (x, y) in problem.rows.iter().flatten() {
                let residual = (0..4).map(|i| z[i] * (x[i] + z[4 + i])).sum::<f64>() - y;
                sum += residual * residual / 24.0;
            }
            let square = |part: &[f64]| part.iter().map(|v| v * v).sum::<f64>();
            sum + 0.05 * square(&z[..4]) - 0.75 * square(&z[4..])
        };
        let point = |k: u64| {
            let mut z = Stream::new(k, Purpose::Measurement, 0, 0).normals(8);
            for (part, radius) in z.chunks_mut(4).zip([1.0, 0.5]) {
                let norm = part.iter().map(|v| v * v).sum::<f64>().sqrt();
                part.iter_mut().for_each(|v| *v *= radius / norm);
            }
            z
        };
        let value = |z: &[f64]| {
            let mut value = vec![0.0; 8];
            problem.mean(z, &mut value);
            value
        };
        let z = point(1);
        let gradient = value(&z);
        for i in 0..8 {
            let shifted = |h: f64| {
                let mut z = z.clone();
                z[i] += h;
                objective(&z)
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            let expected = if i < 4 { slope } else { -slope };
            assert!((gradient[i] - expected).abs() < 1e-7, "{i}");
        }
        let constants = problem.constants();
        for k in 0..50 {
            let (u, v) = (point(2 * k), point(2 * k + 1));
            let (fu, fv) = (value(&u), value(&v));
            let square: f64 = u.iter().zip(&v).map(|(a, b)| (a - b) * (a - b)).sum();
            let product: f64 = (0..8).map(|i| (fu[i] - fv[i]) * (u[i] - v[i])).sum();
            let difference: f64 = fu.iter().zip(&fv).map(|(a, b)| (a - b) * (a - b)).sum();
            assert!(product >= constants.strong_monotonicity.unwrap() * square - 1e-9);
            assert!(difference.sqrt() <= constants.lipschitz.unwrap() * square.sqrt());
        }
    }

    #[test]
    fn settings_without_concavity_are_refused() {
        assert!(RobustRegression::generated(4, 2, 6, (0.1, 0.5), (1.0, 0.5), 3).is_err());
        assert!(RobustRegression::generated(0, 2, 6, (0.1, 1.5), (1.0, 0.5), 3).is_err());
        assert!(RobustRegression::generated(4, 2, 0, (0.1, 1.5), (1.0, 0.5), 3).is_err());
    }
}
