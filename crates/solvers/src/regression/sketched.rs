//! Sketch and solve: `x' = argmin ‖S A x − S b‖₂` for a random sketch `S` of m rows (Song, Ye, Yin, Zhang 2023).
//!
//! The paper's statement is `|x'_j − x*_j| ≤ (ε/√d) ‖Ax*−b‖ / σ_min(A)` for every j with `m = ε⁻² d polylog(n/δ)` rows of a dense sketch. Its
//! proof has a gap (see [`super::SketchKind::guarantee`]), so the radii reported here are a-posteriori: from Student's law, which is exact
//! for the Gaussian sketch, `x'_j − x*_j = ẑ_j t_{m−d}` with `ẑ_j = √[(AᵀSᵀSA)⁻¹]_jj ‖Sb − SAx'‖ / √(m − d)`.

use std::time::Instant;

use faer::Mat;

use super::certificate::{
    block_rows, dense, epsilon, full_rank, preconditioned_norm, rank, row_norms, standard_errors,
    student_multiple,
};
use super::passes::residual;
use super::rows::not_finite;
use super::triangle::{LeastNorm, Triangle, stacked};
use super::{
    Certificate, Direct, Matrix, Method, Rows, SketchAndSolve, SketchFacts, SketchKind, Solution, SolveError,
};
use crate::{Observer, Progress, Status};

/// The triangle of a sketched problem.
pub(super) struct Sketched {
    pub(super) triangle: Triangle,
    /// Rows of the data.
    pub(super) rows: usize,
    /// Singular values of the sketched matrix, falling.
    pub(super) values: Vec<f64>,
    pub(super) facts: SketchFacts,
    pub(super) notes: Vec<String>,
}

/// What is sketched and how.
pub(super) struct Request {
    pub(super) kind: SketchKind,
    pub(super) rows: usize,
    pub(super) seed: u64,
    pub(super) delta: f64,
    pub(super) block_rows: Option<usize>,
    pub(super) memory: usize,
    /// Whether deficient rank is let through.
    pub(super) least_norm: bool,
}

/// The number of rows that the paper's rule asks for: the next even number above `d/ε² max(1, ln(d/δ)/4)`.
pub(super) fn default_rows(d: usize, epsilon: f64, delta: f64) -> usize {
    let d = d as f64;
    let rows = d / (epsilon * epsilon) * (d / delta).ln().max(4.0) / 4.0;
    (rows.ceil() as usize).next_multiple_of(2)
}

/// The rows that a sketch can have, from the wanted ones.
pub(super) fn admissible_rows(kind: SketchKind, rows: usize, d: usize) -> Result<usize, SolveError> {
    if rows <= d {
        let message = format!(
            "a sketch of {rows} rows does not determine {d} coefficients: expected at least {}",
            d + 1
        );
        return Err(SolveError::Option { key: "rows", message });
    }
    if let SketchKind::Osnap(nonzeros) = kind
        && nonzeros > rows
    {
        let message =
            format!("osnap({nonzeros}) has more entries in a column than the sketch has rows ({rows})");
        return Err(SolveError::Option { key: "sketch", message });
    }
    Ok(if kind == SketchKind::GaussianPooling { rows.next_power_of_two() } else { rows })
}

pub(super) fn check_probability(delta: f64) -> Result<(), SolveError> {
    if delta > 0.0 && delta < 1.0 {
        return Ok(());
    }
    let message = format!("{delta} is no probability, expected a number between 0 and 1");
    Err(SolveError::Option { key: "delta", message })
}

/// One pass over the rows, and the factorisation of the sketch.
pub(super) fn sketch(
    rows: &mut dyn Rows,
    request: &Request,
    observer: &mut dyn Observer,
) -> Result<Sketched, SolveError> {
    let (n, d, m) = (rows.rows_at_most(), rows.names().len(), request.rows);
    let mut notes = Vec::new();
    let mut block = block_rows(request.block_rows, request.memory, d, 1)?;
    let mut sketch = request.kind.draw(m, n, if rows.in_memory() { n } else { block }, request.seed);
    if !rows.in_memory() {
        // Working memory: a block, the sketch as it grows and its copy for QR, and partial sums of at most 256 MB.
        block = block_rows(request.block_rows, request.memory, d, sketch.alignment())?;
        let sums = 8 * m * (d + 1);
        let needed = 8 * block * (d + 1) + 3 * sums + (32 * sums).min(1 << 28);
        if needed > request.memory {
            let message = format!(
                "a sketch of {m} rows of {d} columns with blocks of {block} rows takes {}: expected at least that much",
                super::Bytes(needed)
            );
            return Err(SolveError::Option { key: "memory-limit", message });
        }
        if request.kind == SketchKind::GaussianPooling {
            sketch = request.kind.draw(m, n, block, request.seed);
            notes.push(format!(
                "each block of {block} rows has an independent pooled transform: unbiased, but the theorem is for one transform of \
                 all rows"
            ));
        }
        notes.push(format!(
            "streamed in blocks of {block} rows; working memory at most {}",
            super::Bytes(needed)
        ));
    }
    let start = Instant::now();
    let (mut product, mut right) = (vec![0.0; m * d], vec![0.0; m]);
    let mut seen = 0;
    let planned = n.div_ceil(block).max(1);
    let mut written_out = false;
    rows.visit(block, &mut |part| {
        match part.matrix {
            Matrix::Dense(matrix) => sketch.accumulate(part.first, matrix, &mut product),
            Matrix::Sparse(matrix) => match sketch.apply_sparse(matrix) {
                Some(sketched) => product = sketched,
                None => {
                    written_out = true;
                    let mut full = vec![0.0; matrix.nrows() * d];
                    for i in 0..matrix.nrows() {
                        for (j, x) in matrix.col_idx_of_row_raw(i).iter().zip(matrix.val_of_row(i)) {
                            full[i * d + j] += x;
                        }
                    }
                    let Matrix::Dense(full) = dense(&full, matrix.nrows(), d) else { return Ok(()) };
                    sketch.accumulate(part.first, full, &mut product);
                }
            },
        }
        let Matrix::Dense(response) = dense(part.response, part.response.len(), 1) else { return Ok(()) };
        sketch.accumulate(part.first, response, &mut right);
        seen += part.response.len();
        let progress = Progress { iteration: part.first / block + 1, planned, residual: None, error: None };
        if observer.progress(progress).is_break() { Err(SolveError::Interrupted) } else { Ok(()) }
    })?;
    if written_out {
        notes.push(format!(
            "the sparse matrix was written out: {} has no way that spares its zeros",
            request.kind
        ));
    }
    if seen < d {
        return Err(SolveError::Underdetermined { rows: seen, columns: d });
    }
    if !right.iter().chain(&product).all(|x| x.is_finite()) {
        return Err(not_finite(rows, block));
    }
    let seconds_sketch = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let augmented = stacked(&Mat::zeros(0, 0), dense(&product, m, d), &right);
    drop(product);
    let triangle = Triangle::of(augmented);
    if !triangle.is_finite() {
        return Err(not_finite(rows, block));
    }
    let values = triangle.singular_values()?;
    if !request.least_norm {
        full_rank(&values, m, d)?;
    }
    let order = match request.kind {
        SketchKind::Srht => n.next_power_of_two(),
        SketchKind::GaussianPooling => {
            let chunk = if rows.in_memory() { n } else { block.min(n) };
            m * chunk.div_ceil(m).max(mathesis_algebra::sketch::GaussianPooling::POOL).next_power_of_two()
        }
        _ => n,
    };
    Ok(Sketched {
        rows: seen,
        facts: SketchFacts {
            sketch: request.kind.to_string(),
            rows: m,
            order,
            seed: request.seed,
            epsilon: epsilon(d, m, request.delta),
            singular_values: (values[d - 1], values[0]),
            seconds_sketch,
            seconds_solve: start.elapsed().as_secs_f64(),
        },
        values,
        triangle,
        notes,
    })
}

/// QR of the whole matrix instead, where a sketch would not be smaller than the data.
pub(super) fn fall_back(
    rows: &mut dyn Rows,
    m: usize,
    block_rows: Option<usize>,
    memory_limit: super::Bytes,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let note = format!(
        "a sketch of {m} rows is no smaller than the data ({} rows): solved by householder instead",
        rows.rows_at_most()
    );
    observer.note(&note);
    let direct = Method::Householder(Direct { block_rows, memory_limit });
    direct.solve(rows, observer).map(|solution| solution.with_note(note))
}

pub(super) fn solve(
    rows: &mut dyn Rows,
    options: &SketchAndSolve,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    check_probability(options.delta)?;
    if !(options.epsilon > 0.0 && options.epsilon < 1.0) {
        let message = format!("{} is out of range, expected a number between 0 and 1", options.epsilon);
        return Err(SolveError::Option { key: "epsilon", message });
    }
    let (n, d) = (rows.rows_at_most(), rows.names().len());
    if n < d {
        return Err(SolveError::Underdetermined { rows: n, columns: d });
    }
    let wanted = options.rows.unwrap_or_else(|| default_rows(d, options.epsilon, options.delta).max(d + 2));
    let m = admissible_rows(options.sketch, wanted, d)?;
    if m >= n {
        return fall_back(rows, m, options.block_rows, options.memory_limit, observer);
    }
    let request = Request {
        kind: options.sketch,
        rows: m,
        seed: options.seed,
        delta: options.delta,
        block_rows: options.block_rows,
        memory: options.memory_limit.0,
        least_norm: options.least_norm,
    };
    let Sketched { triangle, rows: seen, values, mut facts, mut notes } = sketch(rows, &request, observer)?;

    let solving = Instant::now();
    let rank = rank(&values, m, None);
    let (x, w) = if rank == d {
        (triangle.solution(), triangle.inverse())
    } else {
        notes.push(format!(
            "the sketch has rank {rank} of {d}: these coefficients have the least norm among those that fit it, and the radii hold within \
             the span of its rows only"
        ));
        let LeastNorm { x, w, .. } = triangle.least_norm(m, None)?;
        (x, w)
    };
    let norms = row_norms(&w);
    let scale = triangle.rest / ((m - d) as f64).sqrt();
    let deviation: Vec<f64> = norms.iter().map(|norm| norm * scale).collect();
    let multiple = student_multiple(d, options.delta, m - d);
    facts.seconds_solve += solving.elapsed().as_secs_f64();

    // ‖Ax' − b‖: measured in one more pass, or estimated from the sketched residual, which lacks d of m degrees of freedom.
    let mut certificate = Certificate {
        guarantee: format!(
            "a-posteriori radii, {}. They may fail with probability {} for all coefficients together",
            options.sketch.guarantee(),
            options.delta
        ),
        failure_probability: options.delta,
        residual: None,
        relative_residual: None,
        optimality: None,
        smallest_singular_value: values[rank - 1],
        condition: values[0] / values[rank - 1],
        rank,
    };
    let estimated = triangle.rest * (m as f64 / (m - d) as f64).sqrt();
    let mut norm = estimated;
    if rows.in_memory() || options.true_residual {
        let block = block_rows(options.block_rows, options.memory_limit.0, d, 1)?;
        let pass = residual(rows, block, &x, None)?;
        norm = pass.square.sqrt();
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        certificate.residual = Some(norm);
        certificate.relative_residual = Some(ratio(norm, pass.response_square.sqrt()));
        certificate.optimality = Some(ratio(preconditioned_norm(&w, &pass.product), norm));
    } else {
        notes.push(
            "the residual was not measured (true-residual = false): it is estimated by the sketch"
                .to_string(),
        );
    }
    if m - d < 30 {
        notes.push(format!(
            "m − d = {} is small: the radii are wide, and rougher for sketches other than gaussian",
            m - d
        ));
    }
    Ok(Solution {
        method: format!("sketch-and-solve, {} of {m} rows", options.sketch),
        names: rows.names(),
        radius_coordinate: deviation.iter().map(|z| multiple * z).collect(),
        radius_linf: facts.epsilon * norm / ((d as f64).sqrt() * values[rank - 1]),
        standard_error: standard_errors(&norms, norm, seen, rank),
        deviation,
        coefficients: x,
        rows: seen,
        certificate,
        figures: vec![
            ("sketched-residual".to_string(), triangle.rest),
            ("estimated-residual".to_string(), estimated),
            ("radius-multiple".to_string(), multiple),
        ],
        sketch: Some(facts),
        status: Status::Converged,
        iterations: 0,
        history: Vec::new(),
        notes,
        elapsed: start.elapsed(),
    })
}
