//! Collocation on tensor structure: one unknown in two or three dimensions, each condition in derivatives normal to its
//! face with constant coefficients (Dirichlet, Neumann, Robin, initial values).
//!
//! Along axis `k` the conditions are rows `B_k` on the coefficients, `B_k ×_k U = H_k`. With `R_k` a right inverse and
//! `Z_k` a basis of the null space of `B_k`, `U = U_c + (Z_1 ⊗ ... ⊗ Z_d) Y` meets them for every `Y`; `U_c` is built
//! axis after axis, `U_c ← U_c + R_k (H_k − B_k U_c)`, the axis of highest precedence last. `Y` has as many entries as
//! there are inner points, so the equations alone determine it.
//!
//! Linearised equations are solved by restarted GMRES (Saad, Schultz 1986), preconditioned on the right with the Kronecker
//! sum `Σ_k A_k ⊗ (M_j for j ≠ k)`, where `M_k` are the values at the inner points and `A_k` the equation's terms with
//! derivatives along axis `k` only, their coefficients averaged over the other axes. For separable equations (Poisson,
//! Helmholtz, heat, wave, advection) the preconditioner is the operator itself and GMRES ends after one step; that is
//! the tensor-product solver of Lynch, Rice, Thomas 1964 and Haidvogel, Zang 1979, and with complex Schur
//! forms in place of eigenvectors, where these are close to dependent, that of Bartels, Stewart 1972.

use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatMut, MatRef, Par, c64};
use mathesis_algebra::tensor::Tensor;

use super::basis::Spectral;
use super::bordered::{basis, series};
use super::schur::complex_schur;
use crate::pde::layout::{Layout, OwnedCondition};
use crate::pde::newton::{Discretised, Evaluation, not_finite_at, rounding_noise};
use crate::pde::{Basis, Field, Problem, Residual, Side, SolveError, grid_coordinates};

/// Steps between restarts of GMRES, and the restarts.
const KRYLOV: usize = 60;
const RESTARTS: usize = 3;
/// The relative residual at which GMRES ends; Newton's polishing does the rest.
const INNER_TOLERANCE: f64 = 1e-9;

/// A problem of one unknown in reduced coefficients `Y`.
#[derive(Debug)]
pub struct Reduced {
    /// The basis along each axis.
    pub bases: Vec<Arc<Spectral>>,
    names: Vec<String>,
    residual: Residual,
    label: String,
    coordinates: Vec<Vec<f64>>,
    shape: Vec<usize>,
    null_spaces: Vec<Mat<f64>>,
    /// The coefficients along each axis that `Y` holds unchanged.
    free: Vec<Vec<usize>>,
    /// Coefficients that meet the conditions.
    particular: Tensor,
    /// Its derivatives at the inner points.
    particular_jets: Vec<Vec<f64>>,
    /// For each of the equation's derivatives the matrices from `Y` to values along the axes.
    jets: Vec<Vec<Mat<f64>>>,
    values: Vec<Mat<f64>>,
    partials: Vec<Vec<f64>>,
    stretch: f64,
    preconditioner: Option<KroneckerSolver>,
}

/// A condition as a row `Σ_r weights[r] ∂^r` at an end of its axis, or `None` if it is not of that form.
fn normal_form(
    problem: &Problem,
    condition: &OwnedCondition,
    others: &[Vec<f64>],
) -> Option<NormalCondition> {
    let axis = condition.face.axis;
    if !condition.residual.is_linear() {
        return None;
    }
    let derivatives = condition.residual.derivatives();
    if derivatives.iter().any(|d| d.orders.iter().enumerate().any(|(k, order)| k != axis && *order > 0)) {
        return None;
    }
    let upper = condition.face.side == Side::Upper;
    let mut axes = others.to_vec();
    axes[axis] = vec![if upper { problem.axes[axis].upper.1 } else { problem.axes[axis].lower.1 }];
    let coordinates = grid_coordinates(&axes);
    let slices: Vec<&[f64]> = coordinates.iter().map(Vec::as_slice).collect();
    let zeros = vec![vec![0.0; coordinates[0].len()]; derivatives.len()];
    let zeros: Vec<&[f64]> = zeros.iter().map(Vec::as_slice).collect();
    let mut outputs = condition.residual.evaluate(&slices, &zeros);
    let constant = outputs.remove(0);
    let mut weights = Vec::new();
    for (derivative, partial) in derivatives.iter().zip(&outputs) {
        let (low, high) =
            partial.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let constant = high - low <= 1e-14 * high.abs().max(low.abs());
        if !constant {
            return None;
        }
        weights.push((derivative.orders[axis], partial[0]));
    }
    let right_side = constant.into_iter().map(|v| -v).collect();
    Some(NormalCondition { place: axes[axis][0], weights, right_side, coordinates })
}

/// Whether every condition is linear, in derivatives normal to its face, with constant coefficients (seen at a few points).
pub fn applies(problem: &Problem, layout: &Layout) -> bool {
    let few: Vec<Vec<f64>> = problem.axes.iter().map(|axis| axis.uniform_points(7)).collect();
    layout.conditions.iter().all(|condition| normal_form(problem, condition, &few).is_some())
}

struct NormalCondition {
    place: f64,
    weights: Vec<(usize, f64)>,
    right_side: Vec<f64>,
    coordinates: Vec<Vec<f64>>,
}

impl Reduced {
    /// Lay out the problem with `inner[k]` inner points along axis `k`, or `None` if it is not of this kind.
    ///
    /// # Errors
    /// If data on a face are not finite.
    pub fn new(problem: &Problem, layout: &Layout, inner: &[usize]) -> Result<Option<Self>, SolveError> {
        let dimension = problem.dimension();
        if problem.unknowns.len() != 1 || dimension < 2 {
            return Ok(None);
        }
        let names: Vec<String> = problem.axes.iter().map(|axis| axis.name.name().to_string()).collect();
        let bases: Vec<Arc<Spectral>> =
            (0..dimension).map(|k| Arc::new(basis(problem, layout, 0, k, inner[k]))).collect();
        let outer: Vec<Vec<f64>> = bases.iter().map(|b| b.outer_points(b.len())).collect();
        let mut particular = Tensor::zeros(bases.iter().map(|b| b.len()).collect());
        let (mut null_spaces, mut free) = (Vec::new(), Vec::new());
        let mut borders = Vec::new();
        for k in 0..dimension {
            let conditions: Vec<&OwnedCondition> =
                layout.conditions.iter().filter(|c| c.face.axis == k).collect();
            let mut rows = Mat::<f64>::zeros(conditions.len(), bases[k].len());
            let mut data = Vec::new();
            for (i, condition) in conditions.iter().enumerate() {
                let Some(normal) = normal_form(problem, condition, &outer) else { return Ok(None) };
                if let Some(p) = normal.right_side.iter().position(|v| !v.is_finite()) {
                    return Err(not_finite_at(&names, &condition.label, &normal.coordinates, p));
                }
                for (order, weight) in normal.weights {
                    let row = bases[k].matrix(&[normal.place], order);
                    for j in 0..row.ncols() {
                        rows[(i, j)] += weight * row[(0, j)];
                    }
                }
                data.push(normal.right_side);
            }
            let Some(split) = split_by_conditions(&rows) else { return Ok(None) };
            null_spaces.push(split.null_space);
            free.push(split.free);
            borders.push((rows, split.right_inverse, data));
        }
        let mut order: Vec<usize> = (0..dimension).collect();
        order.sort_by_key(|&k| std::cmp::Reverse(layout.precedence[k]));
        for k in order {
            let (rows, inverse, data) = &borders[k];
            if data.is_empty() {
                continue;
            }
            let wanted = face_coefficients(&bases, &outer, k, data);
            let given = particular.mode_product(k, rows.as_ref(), Par::rayon(0));
            let missing: Vec<f64> = wanted.values().iter().zip(given.values()).map(|(w, g)| w - g).collect();
            let missing = Tensor::new(wanted.shape().to_vec(), missing);
            let lift = missing.mode_product(k, inverse.as_ref(), Par::rayon(0));
            particular.values_mut().iter_mut().zip(lift.values()).for_each(|(p, l)| *p += l);
        }
        let points: Vec<Vec<f64>> = (0..dimension).map(|k| bases[k].inner_points(inner[k])).collect();
        let equation = &layout.equations[0];
        let mut jets = Vec::new();
        let mut particular_jets = Vec::new();
        for derivative in equation.residual.derivatives() {
            let full: Vec<Mat<f64>> =
                (0..dimension).map(|k| bases[k].matrix(&points[k], derivative.orders[k])).collect();
            let mut value = particular.clone();
            for (k, matrix) in full.iter().enumerate() {
                value = value.mode_product(k, matrix.as_ref(), Par::rayon(0));
            }
            particular_jets.push(value.into_values());
            jets.push(full.iter().zip(&null_spaces).map(|(m, z)| m * z).collect());
        }
        let values = (0..dimension).map(|k| bases[k].matrix(&points[k], 0) * &null_spaces[k]).collect();
        Ok(Some(Reduced {
            bases,
            names,
            residual: equation.residual.clone(),
            label: equation.label.clone(),
            coordinates: grid_coordinates(&points),
            shape: inner.to_vec(),
            null_spaces,
            free,
            particular,
            particular_jets,
            jets,
            values,
            partials: Vec::new(),
            stretch: 1.0,
            preconditioner: None,
        }))
    }

    /// `(Z_1 ⊗ ... ⊗ Z_d) Y`.
    fn expand(&self, state: &[f64]) -> Tensor {
        let mut tensor = Tensor::new(self.shape.clone(), state.to_vec());
        for (k, z) in self.null_spaces.iter().enumerate() {
            tensor = tensor.mode_product(k, z.as_ref(), Par::rayon(0));
        }
        tensor
    }

    /// The coefficients in the bases.
    pub fn coefficients(&self, state: &[f64]) -> Tensor {
        let mut tensor = self.expand(state);
        tensor.values_mut().iter_mut().zip(self.particular.values()).for_each(|(t, p)| *t += p);
        tensor
    }

    /// The state whose function has the given leading coefficients (zero beyond them), as far as the conditions allow.
    pub fn restrict(&self, coefficients: &Tensor) -> Vec<f64> {
        let mut tensor = coefficients.clone();
        tensor.values_mut().iter_mut().zip(self.particular.values()).for_each(|(t, p)| *t -= p);
        for (k, free) in self.free.iter().enumerate() {
            let choose =
                Mat::from_fn(free.len(), tensor.shape()[k], |i, j| f64::from(u8::from(free[i] == j)));
            tensor = tensor.mode_product(k, choose.as_ref(), Par::rayon(0));
        }
        tensor.into_values()
    }

    /// The derivatives of `(⊗ Z) Y` at the inner points.
    fn derivatives(&self, state: &[f64]) -> Vec<Vec<f64>> {
        let tensor = Tensor::new(self.shape.clone(), state.to_vec());
        self.jets
            .iter()
            .map(|matrices| {
                let mut value = tensor.clone();
                for (k, matrix) in matrices.iter().enumerate() {
                    value = value.mode_product(k, matrix.as_ref(), Par::rayon(0));
                }
                value.into_values()
            })
            .collect()
    }

    /// The derivatives of the solution at the inner points.
    fn solution_derivatives(&self, state: &[f64]) -> Vec<Vec<f64>> {
        let mut jets = self.derivatives(state);
        for (jet, particular) in jets.iter_mut().zip(&self.particular_jets) {
            jet.iter_mut().zip(particular).for_each(|(j, p)| *j += p);
        }
        jets
    }

    fn apply_jacobian(&self, direction: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; direction.len()];
        for (partial, jet) in self.partials.iter().zip(self.derivatives(direction)) {
            for ((sum, p), j) in product.iter_mut().zip(partial).zip(jet) {
                *sum += p * j;
            }
        }
        product
    }

    /// The matrices `A_k` of the Kronecker sum that stands for the linearised equation.
    fn averaged_terms(&self) -> Vec<Mat<f64>> {
        let dimension = self.shape.len();
        let mut terms: Vec<Mat<f64>> = self.shape.iter().map(|&n| Mat::zeros(n, n)).collect();
        for ((partial, matrices), derivative) in
            self.partials.iter().zip(&self.jets).zip(self.residual.derivatives())
        {
            let active: Vec<usize> = (0..dimension).filter(|&k| derivative.orders[k] > 0).collect();
            let total_mean = partial.iter().sum::<f64>() / partial.len() as f64;
            let mut add = |k: usize, offset: f64| {
                let means = axis_means(partial, &self.shape, k);
                for j in 0..self.shape[k] {
                    for i in 0..self.shape[k] {
                        terms[k][(i, j)] += (means[i] - offset) * matrices[k][(i, j)];
                    }
                }
            };
            match active[..] {
                // A potential: its mean once, its variation along each axis there.
                [] => (0..dimension).for_each(|k| add(k, if k == 0 { 0.0 } else { total_mean })),
                [k] => add(k, 0.0),
                // Mixed derivatives are left to GMRES.
                _ => {}
            }
        }
        terms
    }
}

/// Means over all other axes.
fn axis_means(values: &[f64], shape: &[usize], axis: usize) -> Vec<f64> {
    let inner: usize = shape[axis + 1..].iter().product();
    let mut means = vec![0.0; shape[axis]];
    for (p, v) in values.iter().enumerate() {
        means[p / inner % shape[axis]] += v;
    }
    let count = (values.len() / shape[axis]) as f64;
    means.iter_mut().for_each(|m| *m /= count);
    means
}

/// The coefficients along an axis, split by the conditions on it.
struct Split {
    right_inverse: Mat<f64>,
    null_space: Mat<f64>,
    free: Vec<usize>,
}

/// A right inverse of `rows` and a basis of its null space, or `None` if the rows are dependent.
///
/// Pivots are sought among the first columns only, where the low polynomials are: the null space then holds the unit
/// vectors of all other coefficients, corrected by pivots.
fn split_by_conditions(rows: &Mat<f64>) -> Option<Split> {
    let (m, n) = (rows.nrows(), rows.ncols());
    if m == 0 {
        let null_space = Mat::identity(n, n);
        return Some(Split { right_inverse: Mat::zeros(n, 0), null_space, free: (0..n).collect() });
    }
    let mut work = rows.clone();
    let mut pivots = Vec::new();
    let candidates = (2 * m + 2).min(n);
    for i in 0..m {
        let scale = (0..candidates).map(|j| rows[(i, j)].abs()).fold(0.0, f64::max);
        let best = (0..candidates)
            .filter(|j| !pivots.contains(j))
            .max_by(|&a, &b| work[(i, a)].abs().total_cmp(&work[(i, b)].abs()))?;
        let independent = work[(i, best)].abs() > 1e-12 * scale;
        if !independent {
            return None;
        }
        for other in i + 1..m {
            let factor = work[(other, best)] / work[(i, best)];
            for j in 0..n {
                work[(other, j)] -= factor * work[(i, j)];
            }
        }
        pivots.push(best);
    }
    let free: Vec<usize> = (0..n).filter(|j| !pivots.contains(j)).collect();
    let square = Mat::from_fn(m, m, |i, j| rows[(i, pivots[j])]);
    let lu = square.partial_piv_lu();
    let inverse = lu.solve(Mat::<f64>::identity(m, m));
    let rest = lu.solve(Mat::from_fn(m, free.len(), |i, j| rows[(i, free[j])]));
    let mut right_inverse = Mat::zeros(n, m);
    let mut null_space = Mat::zeros(n, free.len());
    for (i, &p) in pivots.iter().enumerate() {
        for j in 0..m {
            right_inverse[(p, j)] = inverse[(i, j)];
        }
        for j in 0..free.len() {
            null_space[(p, j)] = -rest[(i, j)];
        }
    }
    for (j, &f) in free.iter().enumerate() {
        null_space[(f, j)] = 1.0;
    }
    Some(Split { right_inverse, null_space, free })
}

/// The conditions' right sides on the faces of `axis`, given at the outer points, as coefficients: shape as the solution's with
/// the number of conditions in place of the extent along `axis`.
fn face_coefficients(bases: &[Arc<Spectral>], outer: &[Vec<f64>], axis: usize, data: &[Vec<f64>]) -> Tensor {
    let mut shape: Vec<usize> = bases.iter().map(|b| b.len()).collect();
    shape[axis] = data.len();
    let inner: usize = shape[axis + 1..].iter().product();
    let outermost: usize = shape[..axis].iter().product();
    let mut values = Vec::with_capacity(shape.iter().product());
    for o in 0..outermost {
        for row in data {
            values.extend_from_slice(&row[o * inner..(o + 1) * inner]);
        }
    }
    let mut tensor = Tensor::new(shape, values);
    if tensor.values().iter().all(|v| *v == 0.0) {
        return tensor;
    }
    for k in (0..bases.len()).filter(|&k| k != axis) {
        let matrix = bases[k].matrix(&outer[k], 0);
        let inverse = matrix.partial_piv_lu().solve(Mat::<f64>::identity(matrix.nrows(), matrix.nrows()));
        tensor = tensor.mode_product(k, inverse.as_ref(), Par::rayon(0));
    }
    tensor
}

impl Discretised for Reduced {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn is_linear(&self) -> bool {
        self.residual.is_linear()
    }

    fn stretch(&mut self, factor: f64) {
        self.stretch = factor;
    }

    fn constant(&self, value: f64) -> Vec<f64> {
        let mut coefficients = Tensor::zeros(self.particular.shape().to_vec());
        coefficients.values_mut()[0] = value;
        if value == 0.0 { vec![0.0; self.len()] } else { self.restrict(&coefficients) }
    }

    fn evaluate(&self, state: &[f64]) -> Evaluation {
        let jets = self.solution_derivatives(state);
        let coordinates: Vec<&[f64]> = self.coordinates.iter().map(Vec::as_slice).collect();
        let mut outputs = self.residual.evaluate_stretched(&coordinates, &jets, self.stretch);
        let residual = outputs.remove(0);
        let square: f64 = residual.iter().map(|r| r * r).sum();
        let equation_rms = (square / residual.len().max(1) as f64).sqrt();
        Evaluation { residual, equation_rms, partials: vec![outputs] }
    }

    fn factorise(&mut self, evaluation: &Evaluation) -> Result<(), SolveError> {
        self.partials = evaluation.partials[0].clone();
        self.preconditioner = Some(KroneckerSolver::new(&self.averaged_terms(), &self.values)?);
        Ok(())
    }

    fn solve(&self, right_side: &[f64]) -> Result<Vec<f64>, SolveError> {
        let Some(preconditioner) = &self.preconditioner else {
            return Err(SolveError::Breakdown("no factorisation".to_string()));
        };
        gmres(|y| self.apply_jacobian(y), |r| preconditioner.solve(r), right_side)
    }

    fn norm(&self, difference: &[f64]) -> f64 {
        norm(series(&self.bases, &self.expand(difference)).values())
    }

    fn state_norm(&self, state: &[f64]) -> f64 {
        norm(series(&self.bases, &self.coefficients(state)).values())
    }

    fn fields(&self, state: &[f64]) -> Vec<Field> {
        let bases = self.bases.iter().map(|b| b.clone() as Arc<dyn Basis>).collect();
        vec![Field::new(bases, self.coefficients(state))]
    }

    fn noise(&self, state: &[f64]) -> Vec<f64> {
        let jets = self.solution_derivatives(state);
        let jets: Vec<&[f64]> = jets.iter().map(Vec::as_slice).collect();
        rounding_noise(&self.residual, &self.coordinates, &jets)
    }

    fn not_finite(&self, evaluation: &Evaluation) -> SolveError {
        let all = std::iter::once(&evaluation.residual).chain(&evaluation.partials[0]);
        for values in all {
            if let Some(p) = values.iter().position(|v| !v.is_finite()) {
                return not_finite_at(&self.names, &self.label, &self.coordinates, p);
            }
        }
        SolveError::Breakdown("the discretised equations are not finite".to_string())
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Solves `Σ_k (A_k ⊗ ⊗_{j≠k} M_j) y = f`.
#[derive(Debug)]
struct KroneckerSolver {
    shape: Vec<usize>,
    /// `P_k⁻¹ M_k⁻¹` with `M_k⁻¹ A_k = P_k T_k P_k⁻¹`.
    forward: Vec<Mat<c64>>,
    /// `P_k`.
    backward: Vec<Mat<c64>>,
    /// `T_k`, row-major upper triangles.
    triangles: Vec<Triangle>,
}

#[derive(Debug)]
struct Triangle {
    diagonal: Vec<c64>,
    /// The rows right of the diagonal; absent if the form is diagonal.
    rows: Option<Vec<Vec<c64>>>,
}

impl KroneckerSolver {
    fn new(terms: &[Mat<f64>], values: &[Mat<f64>]) -> Result<Self, SolveError> {
        let failed = || SolveError::Breakdown("an eigenvalue iteration did not converge".to_string());
        let mut solver = KroneckerSolver {
            shape: values.iter().map(Mat::nrows).collect(),
            forward: Vec::new(),
            backward: Vec::new(),
            triangles: Vec::new(),
        };
        for (a, m) in terms.iter().zip(values) {
            let n = m.nrows();
            let lu = m.partial_piv_lu();
            let mass_inverse = lu.solve(Mat::<f64>::identity(n, n));
            let matrix = lu.solve(a);
            if !(matrix.norm_l2().is_finite() && mass_inverse.norm_l2().is_finite()) {
                return Err(SolveError::Breakdown(
                    "the conditions along an axis depend on each other".to_string(),
                ));
            }
            let mass_inverse = Mat::from_fn(n, n, |i, j| c64::new(mass_inverse[(i, j)], 0.0));
            let diagonal = matrix.eigen().ok().and_then(|eigen| {
                let vectors = eigen.U().to_owned();
                let inverse = vectors.partial_piv_lu().solve(Mat::<c64>::identity(n, n));
                let condition = vectors.norm_l2() * inverse.norm_l2() / n as f64;
                let values = eigen.S().column_vector();
                let diagonal = (0..n).map(|i| values[i]).collect();
                (condition < 1e5).then_some((Triangle { diagonal, rows: None }, vectors, inverse))
            });
            let (triangle, vectors, inverse) = match diagonal {
                Some(found) => found,
                None => {
                    let (t, q) = complex_schur(matrix.as_ref()).ok_or_else(failed)?;
                    let rows = (0..n).map(|i| (i + 1..n).map(|j| t[(i, j)]).collect()).collect();
                    let diagonal = (0..n).map(|i| t[(i, i)]).collect();
                    let adjoint = q.adjoint().to_owned();
                    (Triangle { diagonal, rows: Some(rows) }, q, adjoint)
                }
            };
            solver.forward.push(&inverse * &mass_inverse);
            solver.backward.push(vectors);
            solver.triangles.push(triangle);
        }
        solver.refuse_singular()?;
        Ok(solver)
    }

    /// A vanishing sum of eigenvalues means a function that the equation and the conditions do not see.
    fn refuse_singular(&self) -> Result<(), SolveError> {
        let largest = self.triangles.iter().flat_map(|t| &t.diagonal).map(|l| l.norm()).fold(0.0, f64::max);
        let mut sums = vec![c64::new(0.0, 0.0)];
        for triangle in &self.triangles {
            sums = sums.iter().flat_map(|s| triangle.diagonal.iter().map(move |l| s + l)).collect();
        }
        if sums.iter().any(|s| s.norm().is_nan() || s.norm() <= 1e-14 * largest) {
            return Err(SolveError::Breakdown(
                "the discretised equations are singular: the conditions determine the solution only up to a function \
                 that satisfies the homogeneous problem"
                    .to_string(),
            ));
        }
        Ok(())
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        let mut values: Vec<c64> = right_side.iter().map(|&v| c64::new(v, 0.0)).collect();
        for (k, matrix) in self.forward.iter().enumerate() {
            values = complex_mode_product(&values, &self.shape, k, matrix.as_ref());
        }
        self.back_substitute(0, &mut values, c64::new(0.0, 0.0));
        for (k, matrix) in self.backward.iter().enumerate() {
            values = complex_mode_product(&values, &self.shape, k, matrix.as_ref());
        }
        values.into_iter().map(|v| v.re).collect()
    }

    /// Solve `(shift + T_axis + T_{axis+1} + ...) y = values` in place.
    fn back_substitute(&self, axis: usize, values: &mut [c64], shift: c64) {
        if axis == self.shape.len() {
            values[0] /= shift;
            return;
        }
        let inner: usize = self.shape[axis + 1..].iter().product();
        let triangle = &self.triangles[axis];
        for i in (0..self.shape[axis]).rev() {
            let (head, tail) = values.split_at_mut((i + 1) * inner);
            let row = &mut head[i * inner..];
            if let Some(rows) = &triangle.rows {
                for (factor, known) in rows[i].iter().zip(tail.chunks_exact(inner)) {
                    row.iter_mut().zip(known).for_each(|(r, y)| *r -= factor * y);
                }
            }
            self.back_substitute(axis + 1, row, shift + triangle.diagonal[i]);
        }
    }
}

fn complex_mode_product(values: &[c64], shape: &[usize], axis: usize, matrix: MatRef<'_, c64>) -> Vec<c64> {
    let n = shape[axis];
    let inner: usize = shape[axis + 1..].iter().product();
    let mut product = vec![c64::new(0.0, 0.0); values.len()];
    let one = c64::new(1.0, 0.0);
    if inner == 1 {
        let source = MatRef::from_row_major_slice(values, values.len() / n, n);
        let target = MatMut::from_row_major_slice_mut(&mut product, values.len() / n, n);
        matmul(target, Accum::Replace, source, matrix.transpose(), one, Par::rayon(0));
    } else {
        for (source, target) in values.chunks_exact(n * inner).zip(product.chunks_exact_mut(n * inner)) {
            let source = MatRef::from_row_major_slice(source, n, inner);
            let target = MatMut::from_row_major_slice_mut(target, n, inner);
            matmul(target, Accum::Replace, matrix, source, one, Par::rayon(0));
        }
    }
    product
}

/// Restarted GMRES with right preconditioning: `operator(preconditioner(z)) = right_side`.
fn gmres(
    operator: impl Fn(&[f64]) -> Vec<f64>,
    preconditioner: impl Fn(&[f64]) -> Vec<f64>,
    right_side: &[f64],
) -> Result<Vec<f64>, SolveError> {
    let goal = INNER_TOLERANCE * norm(right_side);
    let mut solution = vec![0.0; right_side.len()];
    let mut residual = right_side.to_vec();
    let mut previous = f64::INFINITY;
    for _ in 0..RESTARTS {
        let size = norm(&residual);
        if size <= goal {
            return Ok(solution);
        }
        if size.is_nan() || size >= 0.5 * previous {
            break;
        }
        previous = size;
        let mut basis = vec![residual.iter().map(|r| r / size).collect::<Vec<f64>>()];
        let mut directions: Vec<Vec<f64>> = Vec::new();
        let mut columns: Vec<Vec<f64>> = Vec::new();
        let mut rotations: Vec<(f64, f64)> = Vec::new();
        let mut reduced = vec![size];
        for step in 0..KRYLOV {
            let direction = preconditioner(&basis[step]);
            let mut next = operator(&direction);
            directions.push(direction);
            let mut column = Vec::with_capacity(step + 2);
            for vector in &basis {
                let product: f64 = vector.iter().zip(&next).map(|(a, b)| a * b).sum();
                next.iter_mut().zip(vector).for_each(|(n, v)| *n -= product * v);
                column.push(product);
            }
            let length = norm(&next);
            for (i, &(c, s)) in rotations.iter().enumerate() {
                let (a, b) = (column[i], column[i + 1]);
                (column[i], column[i + 1]) = (c * a + s * b, c * b - s * a);
            }
            let hypotenuse = column[step].hypot(length);
            if !(hypotenuse.is_finite() && hypotenuse > 0.0) {
                break;
            }
            let (c, s) = (column[step] / hypotenuse, length / hypotenuse);
            column[step] = hypotenuse;
            rotations.push((c, s));
            reduced.push(-s * reduced[step]);
            reduced[step] *= c;
            columns.push(column);
            if reduced[step + 1].abs() <= goal || length <= 1e-15 * hypotenuse {
                break;
            }
            basis.push(next.iter().map(|n| n / length).collect());
        }
        let count = columns.len();
        let mut weights = vec![0.0; count];
        for i in (0..count).rev() {
            let known: f64 = (i + 1..count).map(|j| columns[j][i] * weights[j]).sum();
            weights[i] = (reduced[i] - known) / columns[i][i];
        }
        for (weight, direction) in weights.iter().zip(&directions) {
            solution.iter_mut().zip(direction).for_each(|(x, d)| *x += weight * d);
        }
        residual = operator(&solution).iter().zip(right_side).map(|(a, b)| b - a).collect();
    }
    let reached = norm(&residual) / norm(right_side);
    // A residual that cannot be reduced further by rounding is still a useful correction.
    if reached <= 1e-3 && solution.iter().all(|x| x.is_finite()) {
        return Ok(solution);
    }
    Err(SolveError::Breakdown(format!(
        "the inner iteration (GMRES with a tensor-product preconditioner) stops at the relative residual {reached:.1e}"
    )))
}
