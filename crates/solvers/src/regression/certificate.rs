//! Radii of single coefficients, from what a solve has at hand.

use faer::Mat;
use mathesis_algebra::sketch::DenseRows;

use super::passes::Pass;
use super::{Certificate, Matrix, SolveError};

/// `√(2 ln(2d/δ) d/m)`: the ε for which m rows suffice by the rule of the Gaussian sketch, all coefficients together.
pub(super) fn epsilon(d: usize, m: usize, delta: f64) -> f64 {
    (2.0 * (2.0 * d as f64 / delta).ln() * d as f64 / m as f64).sqrt()
}

/// A multiple of the deviation that none of d variables of Student's law with ν degrees of freedom exceeds, but with
/// probability δ: the Gaussian bound `z = √(2 ln(2d/δ))`, carried over by Wallace's (1959) approximation.
pub(super) fn student_multiple(d: usize, delta: f64, freedom: usize) -> f64 {
    let nu = freedom as f64;
    let z = (2.0 * (2.0 * d as f64 / delta).ln()).sqrt() * (8.0 * nu + 3.0) / (8.0 * nu + 1.0);
    (nu * (z * z / nu).exp_m1()).sqrt()
}

/// The norms of the rows of `W`, where `(AᵀA)⁺ = W Wᵀ`, exactly or nearly.
pub(super) fn row_norms(w: &Mat<f64>) -> Vec<f64> {
    let mut squares = vec![0.0; w.nrows()];
    for column in w.col_iter() {
        squares.iter_mut().zip(column.iter()).for_each(|(s, x)| *s += x * x);
    }
    squares.into_iter().map(f64::sqrt).collect()
}

/// `‖Wᵀ g‖`.
pub(super) fn preconditioned_norm(w: &Mat<f64>, gradient: &[f64]) -> f64 {
    w.col_iter()
        .map(|column| column.iter().zip(gradient).map(|(w, g)| w * g).sum::<f64>().powi(2))
        .sum::<f64>()
        .sqrt()
}

/// `|x_j − x*_j| = |e_jᵀ (AᵀA)⁻¹ g| ≤ stretch² ‖Wᵀe_j‖ ‖Wᵀg‖` with the gradient `g = Aᵀ(b − Ax)`, where `(AᵀA)⁻¹ ≤ stretch² W Wᵀ`.
pub(super) fn radii(norms: &[f64], gradient_norm: f64, stretch: f64) -> Vec<f64> {
    norms.iter().map(|norm| stretch * stretch * norm * gradient_norm).collect()
}

/// Standard errors of the coefficients of a linear model, `‖r‖/√(n − d)` times the norms; empty without spare rows.
pub(super) fn standard_errors(norms: &[f64], residual: f64, rows: usize, rank: usize) -> Vec<f64> {
    if rows <= rank {
        return Vec::new();
    }
    norms.iter().map(|norm| norm * residual / ((rows - rank) as f64).sqrt()).collect()
}

/// A certificate for coefficients without randomness in them; the pass has `r = b − A x` and `Aᵀ r`.
pub(super) fn exact(pass: &Pass, w: &Mat<f64>, values: &[f64], rank: usize, guarantee: &str) -> Certificate {
    let residual = pass.square.sqrt();
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    Certificate {
        guarantee: guarantee.to_string(),
        failure_probability: 0.0,
        residual: Some(residual),
        relative_residual: Some(ratio(residual, pass.response_square.sqrt())),
        optimality: Some(ratio(preconditioned_norm(w, &pass.product), residual)),
        smallest_singular_value: values[rank - 1],
        condition: values[0] / values[rank - 1],
        rank,
    }
}

/// The rank that singular values (falling) have to a cutoff, or to machine precision for a matrix of these rows.
pub(super) fn rank(values: &[f64], rows: usize, cutoff: Option<f64>) -> usize {
    let cutoff = cutoff.unwrap_or(f64::EPSILON * rows.max(values.len()) as f64);
    let largest = values.first().copied().unwrap_or(0.0);
    values.iter().filter(|value| **value > cutoff * largest).count()
}

/// The complaint if the rank is not full.
pub(super) fn full_rank(values: &[f64], rows: usize, columns: usize) -> Result<(), SolveError> {
    let rank = rank(values, rows, None);
    if rank == columns {
        return Ok(());
    }
    let largest = values.first().copied().unwrap_or(0.0);
    let smallest = if largest > 0.0 { values.last().copied().unwrap_or(0.0) / largest } else { 0.0 };
    Err(SolveError::RankDeficient { rank, columns, smallest })
}

/// Rows to read at a time so that a block takes a quarter of the memory, or as many as are asked for; at least `least`.
pub(super) fn block_rows(
    asked: Option<usize>,
    memory: usize,
    columns: usize,
    least: usize,
) -> Result<usize, SolveError> {
    if asked == Some(0) {
        let message = "blocks have at least one row".to_string();
        return Err(SolveError::Option { key: "block-rows", message });
    }
    let rows = asked.unwrap_or(memory / 4 / (8 * (columns + 1)));
    // The largest multiple of the alignment that fits, and at least one.
    Ok((rows / least).max(1) * least)
}

/// A row-major matrix in memory, seen as a block.
pub(super) fn dense(values: &[f64], rows: usize, columns: usize) -> Matrix<'_> {
    Matrix::Dense(DenseRows::new(values, rows, columns))
}
