//! Direct methods: Householder QR, normal equations, and singular values for deficient rank. Data in files are reduced block by block.

use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Side, get_global_parallelism};

use super::certificate::{block_rows, exact, full_rank, radii, row_norms, standard_errors};
use super::passes::{Pass, residual};
use super::rows::not_finite;
use super::triangle::{LeastNorm, Triangle, reduce, stacked};
use super::{Direct, Matrix, Rows, Solution, SolveError, Svd};
use crate::{Observer, Progress, Status};

/// Condition numbers above this make the normal equations lose more than twelve digits.
const DOUBTFUL_CONDITION: f64 = 1e6;

pub(super) fn householder(
    rows: &mut dyn Rows,
    options: &Direct,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    let d = rows.names().len();
    let block = block_rows(options.block_rows, options.memory_limit.0, d, d + 1)?;
    let (triangle, seen, seconds) = triangle_of_all(rows, block, observer)?;
    if seen < d {
        return Err(SolveError::Underdetermined { rows: seen, columns: d });
    }
    let values = triangle.singular_values()?;
    full_rank(&values, seen, d)?;
    let mut solution = finish(rows, block, &triangle, &values, "householder: QR of the whole matrix", start)?;
    solution.figures.push(("seconds-qr".to_string(), seconds));
    Ok(solution)
}

pub(super) fn normal_equations(
    rows: &mut dyn Rows,
    options: &Direct,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    let d = rows.names().len();
    let block = block_rows(options.block_rows, options.memory_limit.0, d, 1)?;
    let (mut gram, mut right, mut seen) = (Mat::<f64>::zeros(d, d), vec![0.0; d], 0);
    let planned = rows.rows_at_most().div_ceil(block);
    let mut seconds = 0.0;
    rows.visit(block, &mut |part| {
        let adding = Instant::now();
        add_gram(part.matrix, part.response, &mut gram, &mut right);
        seconds += adding.elapsed().as_secs_f64();
        seen += part.response.len();
        observe(observer, part.first / block + 1, planned)
    })?;
    if seen < d {
        return Err(SolveError::Underdetermined { rows: seen, columns: d });
    }
    let finite = (0..d).all(|j| gram[(j, j)].is_finite()) && right.iter().all(|x| x.is_finite());
    if !finite {
        return Err(not_finite(rows, block));
    }
    let Ok(cholesky) = gram.llt(Side::Lower) else {
        return Err(SolveError::Breakdown(
            "AᵀA is not positive definite to working precision: the columns are dependent, or the condition number is above 10⁸; \
             take method `householder` or, for dependent columns, `svd`"
                .to_string(),
        ));
    };
    let mut triangle =
        Triangle { factor: cholesky.L().transpose().to_owned(), right: Vec::new(), rest: f64::NAN };
    triangle.right = triangle.solve_transpose(&right);
    let values = triangle.singular_values()?;
    let mut solution = finish(rows, block, &triangle, &values, "normal equations: Cholesky of AᵀA", start)?;
    solution.figures.push(("seconds-gram".to_string(), seconds));
    let condition = solution.certificate.condition;
    if condition > DOUBTFUL_CONDITION {
        solution.notes.push(format!(
            "the condition number is {condition:.1e}, and the normal equations square it: relative errors up to {:.0e}; \
             householder or refined keep {:.0e}",
            (condition * condition * f64::EPSILON).min(1.0),
            (condition * f64::EPSILON).min(1.0)
        ));
    }
    Ok(solution)
}

pub(super) fn svd(
    rows: &mut dyn Rows,
    options: &Svd,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    if options.cutoff.is_some_and(|cutoff| !(0.0..1.0).contains(&cutoff)) {
        let message = "expected a number from 0 to 1".to_string();
        return Err(SolveError::Option { key: "cutoff", message });
    }
    let d = rows.names().len();
    let block = block_rows(options.block_rows, options.memory_limit.0, d, d + 1)?;
    let (triangle, seen, _) = triangle_of_all(rows, block, observer)?;
    let LeastNorm { x, w, values, rank } = triangle.least_norm(seen, options.cutoff)?;
    let pass = residual(rows, block, &x, None)?;
    let mut solution = solution(
        rows.names(),
        x,
        &pass,
        &w,
        &values,
        rank,
        &format!("svd: least norm, rank {rank} of {d}"),
        start,
    );
    if rank < d {
        solution.notes.push(format!(
            "the rank is {rank} of {d}: many coefficients fit equally well, these have the least norm; radii and standard errors \
             are those within the span of the rows"
        ));
    }
    Ok(solution)
}

/// The triangle of all rows, their number, and the seconds spent in QR alone (without reading and copying).
fn triangle_of_all(
    rows: &mut dyn Rows,
    block: usize,
    observer: &mut dyn Observer,
) -> Result<(Triangle, usize, f64), SolveError> {
    let d = rows.names().len();
    let mut upper = Mat::<f64>::zeros(0, d + 1);
    let (mut seen, mut seconds) = (0, 0.0);
    let planned = rows.rows_at_most().div_ceil(block);
    rows.visit(block, &mut |part| {
        let full = stacked(&upper, part.matrix, part.response);
        let reducing = Instant::now();
        upper = reduce(full, get_global_parallelism());
        seconds += reducing.elapsed().as_secs_f64();
        seen += part.response.len();
        observe(observer, part.first / block + 1, planned)
    })?;
    let triangle = Triangle::of(upper);
    if triangle.is_finite() { Ok((triangle, seen, seconds)) } else { Err(not_finite(rows, block)) }
}

fn observe(observer: &mut dyn Observer, iteration: usize, planned: usize) -> Result<(), SolveError> {
    let progress = Progress { iteration, planned, residual: None, error: None };
    if observer.progress(progress).is_break() { Err(SolveError::Interrupted) } else { Ok(()) }
}

/// Adds the lower triangle of `AᵀA`, and `Aᵀb`.
fn add_gram(matrix: Matrix<'_>, response: &[f64], gram: &mut Mat<f64>, right: &mut [f64]) {
    /// Rows that are multiplied together.
    const ROWS: usize = 1 << 13;
    let d = matrix.columns();
    match matrix {
        Matrix::Sparse(sparse) => {
            for (i, b) in response.iter().enumerate() {
                let entries = || sparse.col_idx_of_row_raw(i).iter().zip(sparse.val_of_row(i));
                for (j, x) in entries() {
                    right[*j] += x * b;
                    for (k, y) in entries().filter(|(k, _)| *k <= j) {
                        gram[(*j, *k)] += x * y;
                    }
                }
            }
        }
        Matrix::Dense(dense) => {
            let mut copy = Vec::new();
            for start in (0..response.len()).step_by(ROWS) {
                let part = dense.part(start..response.len().min(start + ROWS));
                let values = part.as_double().unwrap_or_else(|| {
                    copy.resize(part.rows() * d, 0.0);
                    for (i, row) in copy.chunks_exact_mut(d).enumerate() {
                        part.copy_scaled(i, 0..d, 1.0, row);
                    }
                    &copy
                });
                let values = MatRef::from_row_major_slice(values, part.rows(), d);
                let b =
                    MatRef::from_column_major_slice(&response[start..start + part.rows()], part.rows(), 1);
                triangular::matmul(
                    gram.as_mut(),
                    BlockStructure::TriangularLower,
                    Accum::Add,
                    values.transpose(),
                    BlockStructure::Rectangular,
                    values,
                    BlockStructure::Rectangular,
                    1.0,
                    get_global_parallelism(),
                );
                matmul(
                    faer::MatMut::from_column_major_slice_mut(&mut *right, d, 1),
                    Accum::Add,
                    values.transpose(),
                    b,
                    1.0,
                    get_global_parallelism(),
                );
            }
        }
    }
}

/// The solution of full rank from a triangle, with its certificate.
fn finish(
    rows: &mut dyn Rows,
    block: usize,
    triangle: &Triangle,
    values: &[f64],
    method: &str,
    start: Instant,
) -> Result<Solution, SolveError> {
    let x = triangle.solution();
    let pass = residual(rows, block, &x, None)?;
    let w = triangle.inverse();
    Ok(solution(rows.names(), x, &pass, &w, values, values.len(), method, start))
}

#[allow(clippy::too_many_arguments)] // the parts of a solution
fn solution(
    names: Vec<String>,
    coefficients: Vec<f64>,
    pass: &Pass,
    w: &Mat<f64>,
    values: &[f64],
    rank: usize,
    method: &str,
    start: Instant,
) -> Solution {
    let guarantee = "nothing is random; the radii bound rounding, from the gradient measured at the returned coefficients";
    let certificate = exact(pass, w, values, rank, guarantee);
    let norms = row_norms(w);
    let residual = pass.square.sqrt();
    let radius = radii(&norms, certificate.optimality.unwrap_or(0.0) * residual, 1.0);
    Solution {
        method: method.to_string(),
        names,
        coefficients,
        radius_linf: radius.iter().copied().fold(0.0, f64::max),
        radius_coordinate: radius,
        deviation: Vec::new(),
        standard_error: standard_errors(&norms, residual, pass.rows, rank),
        rows: pass.rows,
        certificate,
        sketch: None,
        status: Status::Converged,
        iterations: 0,
        history: Vec::new(),
        figures: Vec::new(),
        notes: Vec::new(),
        elapsed: start.elapsed(),
    }
}
