//! Lipschitz and strong-monotonicity constants: those that an operator states, and measured ones for the rest.

use faer::{Mat, Side};

use super::Operator;
use super::bilinear::spectral_norm;
use crate::saddle::random::{Purpose, Stream};

/// What an operator knows of itself; what it leaves out is measured from Jacobian matrices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constants {
    /// L of F.
    pub lipschitz: Option<f64>,
    /// L_m of each F_m.
    pub workers: Option<Vec<f64>>,
    /// Of each worker, the largest Lipschitz constant of a component.
    pub components: Option<Vec<f64>>,
    /// μ: ⟨F(u) − F(v), u − v⟩ ≥ μ‖u − v‖²; 0 if F is monotone and no more.
    pub strong_monotonicity: Option<f64>,
    /// L in the norms of the entropy set-up: from ‖·‖₁ of each simplex to ‖·‖_∞.
    pub entropy_lipschitz: Option<f64>,
}

/// All constants, stated or measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub lipschitz: f64,
    pub workers: Vec<f64>,
    pub components: Vec<f64>,
    pub strong_monotonicity: f64,
    pub entropy_lipschitz: f64,
    /// Whether a constant is only the largest of those at a few points, because F is not affine.
    pub estimated: bool,
}

/// The largest dimension for which Jacobian matrices are written out.
const LARGEST_MEASURED: usize = 400;

impl Known {
    /// The constants of an operator near a point; `None` if some are missing and D is too large to measure them.
    pub fn of(operator: &dyn Operator, near: &[f64]) -> Option<Known> {
        let stated = operator.constants();
        let workers = operator.workers();
        let mut estimated = false;
        let mut measure = |evaluate: &dyn Fn(&[f64], &mut [f64])| -> Option<Measured> {
            let measured = Measured::of(evaluate, near)?;
            estimated |= !measured.affine;
            Some(measured)
        };
        let mut whole = None;
        if stated.lipschitz.is_none() || stated.strong_monotonicity.is_none() {
            whole = measure(&|z, value| operator.mean(z, value));
        }
        let lipschitz = stated.lipschitz.or(whole.as_ref().map(|whole| whole.lipschitz))?;
        let strong_monotonicity = stated
            .strong_monotonicity
            .or(whole.as_ref().map(|whole| whole.strong_monotonicity))
            .unwrap_or(0.0);
        let own = match stated.workers {
            Some(own) if own.len() == workers => own,
            _ => (0..workers)
                .map(|m| measure(&|z, value| operator.evaluate(m, z, value)).map(|own| own.lipschitz))
                .collect::<Option<Vec<f64>>>()?,
        };
        let components = match stated.components {
            Some(components) if components.len() == workers => components,
            _ => (0..workers)
                .map(|m| {
                    if operator.components(m) == 1 {
                        return Some(own[m]);
                    }
                    (0..operator.components(m)).try_fold(0.0, |largest: f64, i| {
                        let evaluate =
                            |z: &[f64], value: &mut [f64]| operator.evaluate_component(m, i, z, value);
                        measure(&evaluate).map(|one| largest.max(one.lipschitz))
                    })
                })
                .collect::<Option<Vec<f64>>>()?,
        };
        // The Euclidean constant serves, since ‖·‖_∞ ≤ ‖·‖₂ ≤ ‖·‖₁.
        let entropy_lipschitz = stated.entropy_lipschitz.unwrap_or(lipschitz);
        Some(Known { lipschitz, workers: own, components, strong_monotonicity, entropy_lipschitz, estimated })
    }
}

struct Measured {
    lipschitz: f64,
    strong_monotonicity: f64,
    affine: bool,
}

impl Measured {
    /// Norm and least eigenvalue of the symmetric part of Jacobian matrices (central differences) at a point and two others about it.
    fn of(evaluate: &dyn Fn(&[f64], &mut [f64]), near: &[f64]) -> Option<Measured> {
        let d = near.len();
        if d == 0 || d > LARGEST_MEASURED {
            return None;
        }
        let jacobian = |at: &[f64]| {
            let scale = at.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
            let h = 1e-5 * scale;
            let (mut above, mut below) = (vec![0.0; d], vec![0.0; d]);
            let mut z = at.to_vec();
            let mut matrix = Mat::zeros(d, d);
            for j in 0..d {
                z[j] = at[j] + h;
                evaluate(&z, &mut above);
                z[j] = at[j] - h;
                evaluate(&z, &mut below);
                z[j] = at[j];
                (0..d).for_each(|i| matrix[(i, j)] = (above[i] - below[i]) / (2.0 * h));
            }
            matrix
        };
        let mut points = vec![near.to_vec()];
        for k in 0..2 {
            let shift = Stream::new(0, Purpose::Measurement, 0, k).normals(d);
            points.push(near.iter().zip(&shift).map(|(z, s)| z + s).collect());
        }
        let first = jacobian(near);
        let (mut lipschitz, mut monotone, mut affine) = (0.0_f64, f64::INFINITY, true);
        for (k, point) in points.iter().enumerate() {
            let matrix = if k == 0 { first.clone() } else { jacobian(point) };
            if !matrix.is_all_finite() {
                return None;
            }
            affine &= (&matrix - &first).norm_max() <= 1e-5 * first.norm_max();
            lipschitz = lipschitz.max(spectral_norm(matrix.as_ref()));
            let symmetric = (&matrix + matrix.transpose()) * faer::Scale(0.5);
            let least = symmetric.self_adjoint_eigenvalues(Side::Lower).ok()?.first().copied()?;
            monotone = monotone.min(least);
        }
        // What is below the accuracy of the differences is no strong monotonicity.
        let strong_monotonicity = if monotone > 1e-6 * lipschitz { monotone } else { 0.0 };
        Some(Measured { lipschitz, strong_monotonicity, affine })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bilinear;
    use super::*;

    /// An operator that states nothing.
    struct Reticent(Bilinear);

    impl Operator for Reticent {
        fn dimension(&self) -> usize {
            self.0.dimension()
        }
        fn workers(&self) -> usize {
            self.0.workers()
        }
        fn evaluate(&self, worker: usize, z: &[f64], value: &mut [f64]) {
            self.0.evaluate(worker, z, value);
        }
        fn components(&self, worker: usize) -> usize {
            self.0.components(worker)
        }
        fn evaluate_component(&self, worker: usize, component: usize, z: &[f64], value: &mut [f64]) {
            self.0.evaluate_component(worker, component, z, value);
        }
    }

    #[test]
    fn measured_constants_are_the_stated_ones() {
        let problem = Bilinear::positive_semidefinite(6, 3, 2, 0.4, 5.0, 7);
        let stated = Known::of(&problem, &[0.0; 12]).unwrap();
        let measured = Known::of(&Reticent(problem), &[0.0; 12]).unwrap();
        assert!(!measured.estimated);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * b.abs();
        assert!(near(measured.lipschitz, stated.lipschitz));
        assert!(near(measured.strong_monotonicity, 0.4));
        assert!(measured.workers.iter().zip(&stated.workers).all(|(a, b)| near(*a, *b)));
        assert!(measured.components.iter().zip(&stated.components).all(|(a, b)| near(*a, *b)));
    }
}
