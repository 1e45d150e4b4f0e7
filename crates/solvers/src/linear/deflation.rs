//! Deflated conjugate gradients with a diagonal preconditioner (Saad, Yeung, Erhel, Guyomarc'h 2000), as in the comparison of Kaneda
//! et al. (ICML 2023): Ritz vectors `Q` of the right side with Ritz values `Λ = Qᵀ A Q` are solved for at once,
//! `x₀ = Q Λ⁻¹ Qᵀ b`, and kept out of all directions, `p ← z + β p - Q Λ⁻¹ Qᵀ A z`.

use super::conjugate_gradient::{Jacobi, Preconditioner, Stopping};
use super::lanczos::Lanczos;
use super::operator::SymmetricOperator;
use super::solution::{Iterate, Watch};
use super::vector::{add_combination, advance, dot, dots, norm, scale_and_add};
use super::{LinearError, options};
use crate::Status;

/// Solves `A x = b` for a nonzero `b` in the range.
pub(super) fn deflated(
    operator: &dyn SymmetricOperator,
    b: &[f64],
    options: &options::Deflated,
    stopping: Stopping,
    watch: &mut Watch<'_>,
) -> Result<Iterate, LinearError> {
    let n = b.len();
    let scale = norm(b);
    let ritz = Lanczos::run(operator, b, options.lanczos_steps).lowest_ritz_vectors(options.vectors)?;
    let images: Vec<Vec<f64>> = ritz
        .vectors
        .iter()
        .map(|q| {
            let mut image = vec![0.0; n];
            operator.apply(q, &mut image);
            image
        })
        .collect();

    let mut x = vec![0.0; n];
    let mut r = b.to_vec();
    let over_values = |products: Vec<f64>, sign: f64| -> Vec<f64> {
        products.iter().zip(&ritz.values).map(|(product, value)| sign * product / value).collect()
    };
    let start = over_values(dots(&ritz.vectors, b), 1.0);
    add_combination(&mut x, &start, &ritz.vectors);
    let start: Vec<f64> = start.iter().map(|c| -c).collect();
    add_combination(&mut r, &start, &images);
    let mut jacobi = Jacobi::new(operator);
    let (mut z, mut p, mut ap) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut squared = dot(&r, &r);
    let mut previous_rz = f64::INFINITY;
    let mut iterations = 0;
    let status = loop {
        let residual = squared.sqrt() / scale;
        if watch.record(iterations, residual) {
            break Status::Interrupted;
        }
        if residual <= stopping.tolerance {
            break Status::Converged;
        }
        if iterations >= stopping.iterations {
            break Status::IterationLimit;
        }
        jacobi.apply(&r, &mut z);
        let rz = dot(&r, &z);
        scale_and_add(&mut p, rz / previous_rz, &z);
        add_combination(&mut p, &over_values(dots(&images, &z), -1.0), &ritz.vectors);
        let curvature = operator.apply_and_dot(&p, &mut ap);
        if !(curvature > 0.0 && curvature.is_finite() && rz > 0.0) {
            break Status::Stalled(format!(
                "the matrix is not positive definite: pᵀ A p = {curvature:.3e} in iteration {}",
                iterations + 1
            ));
        }
        squared = advance(&mut x, &mut r, rz / curvature, &p, &ap);
        previous_rz = rz;
        iterations += 1;
    };
    let figures = vec![("Ritz vectors deflated".into(), ritz.values.len() as f64)];
    Ok(Iterate { values: x, status, iterations, notes: Vec::new(), figures })
}
