//! An operator that is not monotone but has a Minty solution: ⟨F(z), z − z*⟩ ≥ 0 for all z.
//!
//! F_m(z) = ρ(u)·(ε I + S_m)u + c_m with u = z − z*, skew-symmetric S_m, Σ_m c_m = 0 and the positive factor
//! ρ(u) = 1 + ¾ sin(log(1 + ‖u‖²)). Then ⟨F(z), u⟩ = ε ρ(u)‖u‖² ≥ 0, while along a ray t ↦ ρ(tu)t falls wherever
//! 1 + ¾(sin s + 2 cos s·‖u‖²/(1 + ‖u‖²)) < 0 for s = log(1 + ‖u‖²).

use super::{Constants, Operator};
use crate::saddle::random::{Purpose, Stream};

/// ρ oscillates by this much.
const AMPLITUDE: f64 = 0.75;

/// The operator; D is even, and S_m turns the planes of coordinates (2i, 2i + 1) by speeds of its own.
#[derive(Clone, Debug)]
pub struct Minty {
    solution: Vec<f64>,
    /// Of each worker: the speeds of the planes.
    speeds: Vec<Vec<f64>>,
    /// Of each worker: c_m.
    shifts: Vec<Vec<f64>>,
    strength: f64,
}

impl Minty {
    /// `planes` planes (D = 2·planes), speeds uniform in [½, 1½], ε = `strength`, a standard normal solution.
    ///
    /// # Errors
    /// What is wrong, if a size is zero or ε is negative or not finite.
    pub fn generated(planes: usize, workers: usize, strength: f64, seed: u64) -> Result<Self, String> {
        if planes == 0 || workers == 0 {
            return Err(format!("{planes} planes and {workers} workers; expected at least one of each"));
        }
        if !(strength >= 0.0 && strength.is_finite()) {
            return Err(format!("the strength is {strength}; expected a finite number, at least 0"));
        }
        let solution = Stream::new(seed, Purpose::Data, workers, 0).normals(2 * planes);
        let mut speeds = Vec::new();
        let mut shifts: Vec<Vec<f64>> = Vec::new();
        for worker in 0..workers {
            let mut stream = Stream::new(seed, Purpose::Data, worker, 0);
            speeds.push((0..planes).map(|_| 0.5 + stream.uniform()).collect());
            shifts.push(stream.normals(2 * planes));
        }
        for i in 0..2 * planes {
            let mean = shifts.iter().map(|c| c[i]).sum::<f64>() / workers as f64;
            shifts.iter_mut().for_each(|c| c[i] -= mean);
        }
        Ok(Minty { solution, speeds, shifts, strength })
    }
}

impl Operator for Minty {
    fn dimension(&self) -> usize {
        self.solution.len()
    }

    fn workers(&self) -> usize {
        self.speeds.len()
    }

    fn evaluate(&self, worker: usize, z: &[f64], value: &mut [f64]) {
        let square: f64 = z.iter().zip(&self.solution).map(|(z, s)| (z - s) * (z - s)).sum();
        let factor = 1.0 + AMPLITUDE * square.ln_1p().sin();
        for (i, speed) in self.speeds[worker].iter().enumerate() {
            let u = [z[2 * i] - self.solution[2 * i], z[2 * i + 1] - self.solution[2 * i + 1]];
            let shift = &self.shifts[worker][2 * i..2 * i + 2];
            value[2 * i] = factor * (self.strength * u[0] + speed * u[1]) + shift[0];
            value[2 * i + 1] = factor * (self.strength * u[1] - speed * u[0]) + shift[1];
        }
    }

    /// ρ ≤ 1 + a and ‖∇ρ‖‖u‖ ≤ 2a, so L_m ≤ (1 + 3a)·max |ε + i·speed|. Nothing is monotone.
    fn constants(&self) -> Constants {
        let bound = |speeds: &[f64]| {
            let fastest = speeds.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
            (1.0 + 3.0 * AMPLITUDE) * self.strength.hypot(fastest)
        };
        let planes = self.speeds[0].len();
        let mean: Vec<f64> = (0..planes)
            .map(|i| self.speeds.iter().map(|s| s[i]).sum::<f64>() / self.speeds.len() as f64)
            .collect();
        let workers: Vec<f64> = self.speeds.iter().map(|speeds| bound(speeds)).collect();
        Constants {
            lipschitz: Some(bound(&mean)),
            components: Some(workers.clone()),
            workers: Some(workers),
            strong_monotonicity: Some(0.0),
            entropy_lipschitz: None,
        }
    }

    fn root(&self) -> Option<Vec<f64>> {
        Some(self.solution.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_is_minty_and_the_operator_not_monotone() {
        let problem = Minty::generated(3, 2, 0.2, 5).unwrap();
        let value = |z: &[f64]| {
            let mut value = vec![0.0; 6];
            problem.mean(z, &mut value);
            value
        };
        let lipschitz = problem.constants().lipschitz.unwrap();
        let mut falls = false;
        for k in 0..200 {
            let direction = Stream::new(k, Purpose::Measurement, 0, 0).normals(6);
            let at = |t: f64| -> Vec<f64> {
                problem.solution.iter().zip(&direction).map(|(s, d)| s + t * d).collect()
            };
            let t = 0.05 * (k + 1) as f64;
            let (near, far) = (at(t), at(t + 0.01));
            let (f_near, f_far) = (value(&near), value(&far));
            let minty: f64 = (0..6).map(|i| f_near[i] * (near[i] - problem.solution[i])).sum();
            assert!(minty >= 0.0);
            let product: f64 = (0..6).map(|i| (f_far[i] - f_near[i]) * (far[i] - near[i])).sum();
            falls |= product < 0.0;
            let norm =
                |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
            assert!(norm(&f_far, &f_near) <= lipschitz * norm(&far, &near) * (1.0 + 1e-9));
        }
        assert!(falls);
        assert!(value(&problem.solution).iter().all(|v| v.abs() < 1e-12));
    }
}
