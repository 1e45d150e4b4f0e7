//! Operators of variational inequalities: F = (1/M) Σ_m F_m, of which worker m evaluates F_m alone.
//!
//! A saddle point min_x max_y f(x, y) is the case z = (x, y), F = (∇_x f, −∇_y f).
//!
//! - [`Bilinear`]: bilinear saddle points, with and without regularisation, and matrix games;
//! - [`RobustRegression`]: least squares against a bounded perturbation of the data;
//! - [`Minty`]: a family that is not monotone but has a Minty solution;
//! - anything else through the trait [`Operator`].

mod bilinear;
mod constants;
mod minty;
mod robust_regression;

pub use bilinear::Bilinear;
pub use constants::Constants;
pub use minty::Minty;
pub use robust_regression::RobustRegression;

pub(super) use constants::Known;

/// The operator of a distributed variational inequality.
pub trait Operator: Send + Sync {
    /// D.
    fn dimension(&self) -> usize;

    /// M, at least 1.
    fn workers(&self) -> usize;

    /// Write F_m(z) for worker m = 0, ..., M − 1; `z` and `value` have D entries.
    fn evaluate(&self, worker: usize, z: &[f64], value: &mut [f64]);

    /// r, if F_m is the mean of r components that can be evaluated one by one.
    fn components(&self, worker: usize) -> usize {
        let _ = worker;
        1
    }

    /// Write F_{m,i}(z) for component i = 0, ..., r − 1.
    fn evaluate_component(&self, worker: usize, component: usize, z: &[f64], value: &mut [f64]) {
        let _ = component;
        self.evaluate(worker, z, value);
    }

    /// The constants that are known; the others are measured where they are needed.
    fn constants(&self) -> Constants {
        Constants::default()
    }

    /// The solution of the problem without constraints, F(z) = 0, where it can be had directly.
    fn root(&self) -> Option<Vec<f64>> {
        None
    }

    /// Write F(z), the mean over all workers, summed in their order.
    fn mean(&self, z: &[f64], value: &mut [f64]) {
        let mut part = vec![0.0; value.len()];
        value.fill(0.0);
        for worker in 0..self.workers() {
            self.evaluate(worker, z, &mut part);
            value.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
        }
        let count = self.workers() as f64;
        value.iter_mut().for_each(|sum| *sum /= count);
    }
}
