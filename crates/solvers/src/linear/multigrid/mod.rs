//! Multigrid V-cycles as preconditioners: on the coarser grids of a pressure grid ([`geometric`]), and by smoothed aggregation of
//! any sparse matrix ([`aggregation`]). Both smooth by the same Chebyshev polynomials and invert the coarsest matrix exactly, so a
//! cycle is a symmetric positive semi-definite map, as conjugate gradients need it.

pub(super) mod aggregation;
pub(super) mod geometric;

use faer::{Mat, Side};

use super::LinearError;

/// The steps of a polynomial smoother: `x ← x + ω_k D⁻¹ (b - A x)`, with `1/ω_k` the roots of the Chebyshev polynomial of the given
/// degree on `[least, largest]`, the part of the spectrum of `D⁻¹ A` that coarser levels cannot see.
fn chebyshev_steps(degree: usize, least: f64, largest: f64) -> Vec<f64> {
    let (centre, radius) = ((largest + least) / 2.0, (largest - least) / 2.0);
    (0..degree)
        .map(|k| {
            let angle = std::f64::consts::PI * (k as f64 + 0.5) / degree as f64;
            1.0 / (centre + radius * angle.cos())
        })
        .collect()
}

/// The pseudo-inverse of a symmetric positive semi-definite matrix, row-major; eigenvalues below `relative` times the largest count
/// as zero.
fn pseudo_inverse(matrix: &Mat<f64>, relative: f64) -> Result<Vec<f64>, LinearError> {
    let n = matrix.nrows();
    if n == 0 {
        return Ok(Vec::new());
    }
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| LinearError::Breakdown("the matrix of the coarsest level is not finite".into()))?;
    let values: Vec<f64> = (0..n).map(|i| eigen.S().column_vector()[i]).collect();
    let least = relative * values[n - 1];
    let u = eigen.U();
    let scaled = Mat::from_fn(n, n, |i, k| if values[k] > least { u[(i, k)] / values[k] } else { 0.0 });
    let inverse = &scaled * u.transpose();
    Ok((0..n * n).map(|k| inverse[(k / n, k % n)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudo_inverse_of_a_path_solves_on_the_complement_of_constants() {
        let path = Mat::from_fn(5, 5, |i, j| match i.abs_diff(j) {
            0 => {
                if i == 0 || i == 4 {
                    1.0
                } else {
                    2.0
                }
            }
            1 => -1.0,
            _ => 0.0,
        });
        let inverse = pseudo_inverse(&path, 1e-10).unwrap();
        let x = [1.0, -3.0, 0.5, 1.5, 0.0];
        let b: Vec<f64> = (0..5).map(|i| (0..5).map(|j| path[(i, j)] * x[j]).sum()).collect();
        for i in 0..5 {
            let found: f64 = (0..5).map(|j| inverse[5 * i + j] * b[j]).sum();
            assert!((found - x[i]).abs() < 1e-12);
        }
    }

    #[test]
    fn steps_make_the_chebyshev_polynomial() {
        let (least, largest) = (0.3, 2.0);
        for degree in 1..6 {
            let steps = chebyshev_steps(degree, least, largest);
            let error = |lambda: f64| steps.iter().map(|omega| 1.0 - omega * lambda).product::<f64>();
            assert!((error(0.0) - 1.0).abs() < 1e-12);
            // Equal in size at both ends, and nowhere larger between them.
            let bound = error(least).abs();
            assert!((error(largest).abs() - bound).abs() < 1e-12);
            assert!((0..=100).all(|k| error(least + 0.017 * f64::from(k)).abs() <= bound + 1e-12));
        }
    }
}
