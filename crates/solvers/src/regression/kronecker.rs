//! Regression on a Kronecker product `A₁ ⊗ A₂`, sketched factor by factor ([`TensorSrht`]): the product is never formed.

use std::time::Instant;

use faer::{Mat, MatRef};
use mathesis_algebra::operator::LinearOperator;
use mathesis_algebra::sketch::{DenseRows, TensorSrht};

use super::certificate::{
    dense, epsilon, full_rank, preconditioned_norm, row_norms, standard_errors, student_multiple,
};
use super::sketched::{admissible_rows, check_probability, default_rows};
use super::triangle::{Triangle, stacked};
use super::{Certificate, SketchAndSolve, SketchFacts, SketchKind, Solution, SolveError};
use crate::{Observer, Progress, Status};

/// `min ‖(A₁ ⊗ A₂) x − b‖₂`. Row `(i₁, i₂)` of the product is number `i₁ n₂ + i₂`, coefficient `(j₁, j₂)` is number `j₁ d₂ + j₂`.
#[derive(Clone, Copy, Debug)]
pub struct KroneckerProblem<'a> {
    /// `A₁`, n₁ by d₁.
    pub first: DenseRows<'a>,
    /// `A₂`, n₂ by d₂.
    pub second: DenseRows<'a>,
    /// `b`, of n₁ n₂ entries.
    pub response: &'a [f64],
}

/// Sketch and solve with a TensorSRHT; of the options, `sketch`, `block-rows`, `true-residual` and `memory-limit` do not apply.
///
/// # Errors
/// [`SolveError`] if shapes or options do not fit, entries are not finite, or a factor has not full column rank.
pub fn solve_kronecker(
    problem: KroneckerProblem<'_>,
    options: &SketchAndSolve,
    observer: &mut dyn Observer,
) -> Result<Solution, SolveError> {
    let start = Instant::now();
    check_probability(options.delta)?;
    if !(options.epsilon > 0.0 && options.epsilon < 1.0) {
        let message = format!("{} is out of range, expected a number between 0 and 1", options.epsilon);
        return Err(SolveError::Option { key: "epsilon", message });
    }
    let KroneckerProblem { first, second, response } = problem;
    let ([n1, n2], [d1, d2]) = ([first.rows(), second.rows()], [first.columns(), second.columns()]);
    let (n, d) = (n1 * n2, d1 * d2);
    if n == 0 || d == 0 {
        return Err(SolveError::Empty { rows: n, columns: d });
    }
    if response.len() != n {
        return Err(SolveError::Lengths { rows: n, response: response.len() });
    }
    if n1 < d1 || n2 < d2 {
        return Err(SolveError::Underdetermined { rows: n, columns: d });
    }
    check_finite(&problem)?;
    let wanted = options.rows.unwrap_or_else(|| default_rows(d, options.epsilon, options.delta).max(d + 2));
    let m = admissible_rows(SketchKind::Srht, wanted, d)?;

    let sketching = Instant::now();
    let sketch = TensorSrht::new(m, [n1, n2], options.seed);
    let product = sketch.apply_product(first, second);
    let right = sketch.apply(response);
    let seconds_sketch = sketching.elapsed().as_secs_f64();
    let progress = Progress { iteration: 1, planned: 2, residual: None, error: None };
    if observer.progress(progress).is_break() {
        return Err(SolveError::Interrupted);
    }

    let solving = Instant::now();
    let triangle = Triangle::of(stacked(&Mat::zeros(0, 0), dense(&product, m, d), &right));
    drop(product);
    let values = triangle.singular_values()?;
    full_rank(&values, m, d)?;
    let x = triangle.solution();
    let w = triangle.inverse();
    let norms = row_norms(&w);
    let seconds_solve = solving.elapsed().as_secs_f64();

    // R = B − A₁ X A₂ᵀ and its gradient A₁ᵀ R A₂.
    let (one, two) = (full(first), full(second));
    let coefficients = MatRef::from_row_major_slice(&x, d1, d2);
    let rest = MatRef::from_row_major_slice(response, n1, n2) - &one * coefficients * two.transpose();
    let gradient = one.transpose() * &rest * &two;
    let gradient: Vec<f64> = (0..d).map(|k| gradient[(k / d2, k % d2)]).collect();
    let norm = rest.norm_l2();
    let size = response.iter().map(|b| b * b).sum::<f64>().sqrt();

    let deviation: Vec<f64> =
        norms.iter().map(|norm| norm * triangle.rest / ((m - d) as f64).sqrt()).collect();
    let multiple = student_multiple(d, options.delta, m - d);
    let epsilon = epsilon(d, m, options.delta);
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    Ok(Solution {
        method: format!("sketch-and-solve of a Kronecker product, tensor-srht of {m} rows"),
        names: (0..d).map(|k| format!("x{}_{}", k / d2 + 1, k % d2 + 1)).collect(),
        radius_coordinate: deviation.iter().map(|z| multiple * z).collect(),
        radius_linf: epsilon * norm / ((d as f64).sqrt() * values[d - 1]),
        standard_error: standard_errors(&norms, norm, n, d),
        deviation,
        rows: n,
        certificate: Certificate {
            guarantee: format!(
                "a-posteriori radii, empirical for this sketch: the tensor transform was seen to be as accurate as a plain srht, and no \
                 bound for the given number of rows is claimed. They may fail with probability {} for all coefficients together",
                options.delta
            ),
            failure_probability: options.delta,
            residual: Some(norm),
            relative_residual: Some(ratio(norm, size)),
            optimality: Some(ratio(preconditioned_norm(&w, &gradient), norm)),
            smallest_singular_value: values[d - 1],
            condition: values[0] / values[d - 1],
            rank: d,
        },
        sketch: Some(SketchFacts {
            sketch: "tensor-srht".to_string(),
            rows: m,
            order: n1.next_power_of_two() * n2.next_power_of_two(),
            seed: options.seed,
            epsilon,
            singular_values: (values[d - 1], values[0]),
            seconds_sketch,
            seconds_solve,
        }),
        coefficients: x,
        status: Status::Converged,
        iterations: 0,
        history: Vec::new(),
        figures: vec![("sketched-residual".to_string(), triangle.rest)],
        notes: Vec::new(),
        elapsed: start.elapsed(),
    })
}

fn full(matrix: DenseRows<'_>) -> Mat<f64> {
    Mat::from_fn(matrix.rows(), matrix.columns(), |i, j| matrix.get(i, j))
}

fn check_finite(problem: &KroneckerProblem<'_>) -> Result<(), SolveError> {
    for (name, matrix) in [("the first factor", problem.first), ("the second factor", problem.second)] {
        for i in 0..matrix.rows() {
            for j in 0..matrix.columns() {
                if !matrix.get(i, j).is_finite() {
                    let column = format!("column {} of {name}", j + 1);
                    return Err(SolveError::NotFinite { row: i + 1, column });
                }
            }
        }
    }
    match problem.response.iter().position(|b| !b.is_finite()) {
        Some(i) => Err(SolveError::NotFinite { row: i + 1, column: "the response".to_string() }),
        None => Ok(()),
    }
}
