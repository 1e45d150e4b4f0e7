//! The Gaussian processes of GP-HM on the grid and the paper's objective with its gradient, by hand.
//!
//! Each unknown has its own process with covariance `K_1 ⊗ ... ⊗ K_d`, `K_j = κ_j(X_j, X_j) + jitter·I`; its values `U` on the grid
//! are free parameters. Derivatives are `∂_j^n U = K_j⁽ⁿ⁾ K_j^{-1} U` along each axis (`K⁽ⁿ⁾` without jitter). Minimised is
//!
//! `Σ_unknowns [½ log|C| + ½ vec(U)ᵀ C^{-1} vec(U)] − λ_b [½ N_b log τ1 − ½ τ1 Σ_faces r²] − [½ N_c log τ2 − ½ τ2 Σ_grid R²]`
//!
//! with `τ1 = exp(log_tau)`, `τ2 = exp(log_v)`; points where faces meet count once for each face. Every matrix is Toeplitz: its
//! kernel is evaluated at N lags, `K` is factorised by Schur's algorithm, and gradients are summed along diagonals before they
//! reach the kernel's parameters.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use mathesis_algebra::operator::{Factorisation, ToeplitzCholesky, ToeplitzProduct, lag_sums};
use mathesis_algebra::tensor::Tensor;

use super::grid::Grid;
use super::kernel::{KernelGradient, MixtureKernel};

/// All free parameters of the objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// `log τ1`, precision of the conditions.
    pub log_tau: f64,
    /// `log τ2`, precision of the equations.
    pub log_v: f64,
    /// The kernels: `kernels[unknown][axis]`.
    pub kernels: Vec<Vec<MixtureKernel>>,
    /// The solution values on the grid, one tensor for each unknown.
    pub values: Vec<Tensor>,
}

/// The objective's gradient, in the shape of [`Parameters`].
#[derive(Clone, Debug)]
pub struct Gradient {
    /// By `log τ1`.
    pub log_tau: f64,
    /// By `log τ2`.
    pub log_v: f64,
    /// By the kernels' parameters.
    pub kernels: Vec<Vec<KernelGradient>>,
    /// By the solution values.
    pub values: Vec<Tensor>,
}

/// The objective and the two sums of squares it is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objective {
    /// What is minimised.
    pub value: f64,
    /// Sum of squares of the conditions' residuals.
    pub condition_square: f64,
    /// Number of condition residuals N_b.
    pub condition_count: usize,
    /// Sum of squares of the equations' residuals.
    pub equation_square: f64,
    /// Number of equation residuals N_c.
    pub equation_count: usize,
}

impl Objective {
    /// Mean square of the conditions plus mean square of the equations: the paper's stopping criterion.
    pub fn criterion(&self) -> f64 {
        self.condition_square / self.condition_count.max(1) as f64
            + self.equation_square / self.equation_count.max(1) as f64
    }

    /// Root mean square of the equations' residuals.
    pub fn equation_rms(&self) -> f64 {
        (self.equation_square / self.equation_count.max(1) as f64).sqrt()
    }
}

/// One axis of one unknown's process: its matrices for the present kernel.
struct AxisMatrices {
    extent: usize,
    step: f64,
    orders: Vec<usize>,
    /// `κ⁽ⁿ⁾` at the lags, for each of `orders`.
    lags: Vec<Vec<f64>>,
    cholesky: ToeplitzCholesky,
    product: ToeplitzProduct,
    /// `K⁽ⁿ⁾` written out, for each of `orders` past the first; only with several axes, where products are matrix products.
    dense: Vec<Mat<f64>>,
    /// First column of `K^{-1}`.
    inverse_column: Vec<f64>,
    /// Jitter in use.
    jitter: f64,
}

/// Workspace for evaluating the objective of one problem many times.
pub struct Process<'g> {
    grid: &'g Grid,
    boundary_weight: f64,
    axes: Vec<Vec<AxisMatrices>>,
    /// Derivatives of a frozen first stage, added to those of the present one.
    offset: Option<Vec<Vec<f64>>>,
    /// How often a factorisation failed and the jitter had to be raised.
    pub jitter_raised: usize,
}

/// One application of `K⁽ⁿ⁾ K^{-1}` in the chain that makes a derivative out of values.
struct Link {
    axis: usize,
    order: usize,
    /// `K^{-1}` times what the link was given; `None` if that were the values themselves, solved once for all chains.
    solved: Option<Tensor>,
}

impl<'g> Process<'g> {
    /// Workspace for `unknowns` processes on the grid.
    pub fn new(grid: &'g Grid, unknowns: usize, boundary_weight: f64, jitter: f64) -> Self {
        let axes = (0..unknowns)
            .map(|unknown| {
                (0..grid.shape.len())
                    .map(|axis| {
                        let extent = grid.shape[axis];
                        let orders = grid.orders(unknown, axis);
                        AxisMatrices {
                            extent,
                            step: grid.steps[axis],
                            lags: vec![vec![0.0; extent]; orders.len()],
                            cholesky: ToeplitzCholesky::zeros(extent),
                            product: ToeplitzProduct::new(extent, extent),
                            dense: vec![
                                Mat::zeros(extent, extent);
                                if grid.shape.len() > 1 { orders.len() - 1 } else { 0 }
                            ],
                            inverse_column: vec![0.0; extent],
                            orders,
                            jitter,
                        }
                    })
                    .collect()
            })
            .collect();
        Process { grid, boundary_weight, axes, offset: None, jitter_raised: 0 }
    }

    /// Adds fixed derivative fields (those of a frozen first stage, for each of the grid's derivatives) to the process' own.
    pub fn set_offset(&mut self, offset: Vec<Vec<f64>>) {
        self.offset = Some(offset);
    }

    /// Factorise for the given kernels. On failure the jitter is raised tenfold, up to 10⁻².
    ///
    /// # Errors
    /// The name of the failure if even that does not make the covariance positive definite.
    fn prepare(&mut self, kernels: &[Vec<MixtureKernel>]) -> Result<(), String> {
        let several = self.grid.shape.len() > 1;
        for (matrices, kernels) in self.axes.iter_mut().zip(kernels) {
            for (m, kernel) in matrices.iter_mut().zip(kernels) {
                m.lags = kernel.lags(m.step, m.extent, &m.orders);
                loop {
                    let mut column = m.lags[0].clone();
                    column[0] += m.jitter;
                    match m.cholesky.refactor(&column) {
                        Ok(()) => break,
                        Err(error) if m.jitter > 1e-3 => return Err(error.to_string()),
                        Err(_) => {
                            m.jitter *= 10.0;
                            self.jitter_raised += 1;
                        }
                    }
                }
                if several {
                    for (k, dense) in m.dense.iter_mut().enumerate() {
                        fill_toeplitz(dense, &m.lags[k + 1], m.orders[k + 1]);
                    }
                    m.inverse_column.fill(0.0);
                    m.inverse_column[0] = 1.0;
                    m.cholesky.solve_in_place(&mut [&mut m.inverse_column]);
                }
            }
        }
        Ok(())
    }

    /// `K^{-1}` along every axis, applied to the values: the coefficients of the kernel sections, for prediction.
    ///
    /// # Errors
    /// As for the objective.
    pub fn coefficients(&mut self, parameters: &Parameters) -> Result<Vec<Tensor>, String> {
        self.prepare(&parameters.kernels)?;
        let solve = |(unknown, values): (usize, &Tensor)| {
            let mut tensor = values.clone();
            for axis in 0..self.grid.shape.len() {
                tensor = self.axes[unknown][axis].solve(&tensor, axis);
            }
            tensor
        };
        Ok(parameters.values.iter().enumerate().map(solve).collect())
    }

    /// The objective, its gradient, and the grid's derivatives (with the offset).
    ///
    /// # Errors
    /// A text if a covariance cannot be factorised or a value is not finite.
    pub fn evaluate(
        &mut self,
        parameters: &Parameters,
    ) -> Result<(Objective, Gradient, Vec<Vec<f64>>), String> {
        self.prepare(&parameters.kernels)?;
        let grid = self.grid;
        let dimension = grid.shape.len();
        let one_axis = dimension == 1;

        // K_j^{-1} U for every axis; with one axis the first column of K^{-1} comes along in the same pass.
        let mut solved: Vec<Vec<Tensor>> = Vec::with_capacity(self.axes.len());
        for (matrices, values) in self.axes.iter_mut().zip(&parameters.values) {
            if one_axis {
                let m = &mut matrices[0];
                let mut right_side = values.clone();
                m.inverse_column.fill(0.0);
                m.inverse_column[0] = 1.0;
                m.cholesky.solve_in_place(&mut [right_side.values_mut(), &mut m.inverse_column]);
                solved.push(vec![right_side]);
            } else {
                solved.push((0..dimension).map(|axis| matrices[axis].solve(values, axis)).collect());
            }
        }

        // Forward: every derivative as a chain of links.
        let mut jets: Vec<Vec<f64>> = Vec::with_capacity(grid.derivatives.len());
        let mut chains: Vec<Vec<Link>> = Vec::with_capacity(grid.derivatives.len());
        for derivative in &grid.derivatives {
            let unknown = derivative.unknown;
            let mut links: Vec<Link> = Vec::new();
            let mut field: Option<Tensor> = None;
            for axis in (0..dimension).filter(|&k| derivative.orders[k] > 0) {
                let matrices = &self.axes[unknown][axis];
                let order = derivative.orders[axis];
                let (next, kept) = match &field {
                    None => (matrices.derivative(&solved[unknown][axis], axis, order, false), None),
                    Some(field) => {
                        let p = matrices.solve(field, axis);
                        (matrices.derivative(&p, axis, order, false), Some(p))
                    }
                };
                links.push(Link { axis, order, solved: kept });
                field = Some(next);
            }
            jets.push(
                field.map_or_else(|| parameters.values[unknown].values().to_vec(), Tensor::into_values),
            );
            chains.push(links);
        }
        if let Some(offset) = &self.offset {
            for (jet, fixed) in jets.iter_mut().zip(offset) {
                jet.iter_mut().zip(fixed).for_each(|(j, f)| *j += f);
            }
        }

        // Likelihoods and their cotangents on the derivatives.
        let (tau1, tau2) = (parameters.log_tau.exp(), parameters.log_v.exp());
        let mut objective = Objective::default();
        let mut cotangents = vec![vec![0.0; grid.len()]; jets.len()];
        let blocks = grid.equations.iter().map(|b| (b, tau2, false));
        for (block, precision, is_condition) in
            blocks.chain(grid.conditions.iter().map(|b| (b, self.boundary_weight * tau1, true)))
        {
            let evaluation = block.evaluate(&jets);
            let square: f64 = evaluation.residual.iter().map(|r| r * r).sum();
            if is_condition {
                objective.condition_square += square;
                objective.condition_count += block.len();
            } else {
                objective.equation_square += square;
                objective.equation_count += block.len();
            }
            for (&jet, partial) in block.jets.iter().zip(evaluation.partials.iter()) {
                let pulled: Vec<f64> =
                    evaluation.residual.iter().zip(partial).map(|(r, p)| precision * r * p).collect();
                block.scatter_add(&pulled, &mut cotangents[jet]);
            }
        }
        let (n_b, n_c) = (objective.condition_count as f64, objective.equation_count as f64);
        objective.value =
            -self.boundary_weight * 0.5 * (n_b * parameters.log_tau - tau1 * objective.condition_square)
                - 0.5 * (n_c * parameters.log_v - tau2 * objective.equation_square);
        let mut gradient = Gradient {
            log_tau: self.boundary_weight * 0.5 * (tau1 * objective.condition_square - n_b),
            log_v: 0.5 * (tau2 * objective.equation_square - n_c),
            kernels: Vec::with_capacity(self.axes.len()),
            values: Vec::with_capacity(self.axes.len()),
        };

        for (unknown, matrices) in self.axes.iter().enumerate() {
            let values = &parameters.values[unknown];
            // Prior: ½ log|C| + ½ <U, W>, W = C^{-1} U.
            let mut whitened = solved[unknown][0].clone();
            for axis in 1..dimension {
                whitened = matrices[axis].solve(&whitened, axis);
            }
            let quadratic: f64 = values.values().iter().zip(whitened.values()).map(|(u, w)| u * w).sum();
            let log_determinant: f64 =
                matrices.iter().map(|m| (grid.len() / m.extent) as f64 * m.cholesky.log_determinant()).sum();
            objective.value += 0.5 * (log_determinant + quadratic);

            // Backward. `left[j]` collects what stands left of (K_j^{-1} U)ᵀ in ∂/∂K_j, with opposite sign: ½W + Σ q.
            let mut by_values = whitened.clone();
            let mut left: Vec<Tensor> = (0..dimension)
                .map(|_| {
                    let halves = whitened.values().iter().map(|w| 0.5 * w).collect();
                    Tensor::new(whitened.shape().to_vec(), halves)
                })
                .collect();
            let mut lag_cotangents: Vec<Vec<Vec<f64>>> =
                matrices.iter().map(|m| vec![vec![0.0; m.extent]; m.orders.len()]).collect();
            for (k, _) in grid.derivatives.iter().enumerate().filter(|(_, d)| d.unknown == unknown) {
                let mut cotangent = Tensor::new(grid.shape.clone(), std::mem::take(&mut cotangents[k]));
                for link in chains[k].iter().rev() {
                    let m = &matrices[link.axis];
                    let p = link.solved.as_ref().unwrap_or(&solved[unknown][link.axis]);
                    let slot = m.orders.iter().position(|&o| o == link.order).unwrap_or(0);
                    add_lag_sums(
                        &cotangent,
                        p,
                        link.axis,
                        link.order,
                        1.0,
                        &mut lag_cotangents[link.axis][slot],
                    );
                    let transposed = m.derivative(&cotangent, link.axis, link.order, true);
                    let q = m.solve(&transposed, link.axis);
                    match &link.solved {
                        None => add(&mut left[link.axis], &q),
                        Some(p) => add_lag_sums(&q, p, link.axis, 0, -1.0, &mut lag_cotangents[link.axis][0]),
                    }
                    cotangent = q;
                }
                add(&mut by_values, &cotangent);
            }
            let mut by_kernels = Vec::with_capacity(dimension);
            for (axis, m) in matrices.iter().enumerate() {
                add_lag_sums(
                    &left[axis],
                    &solved[unknown][axis],
                    axis,
                    0,
                    -1.0,
                    &mut lag_cotangents[axis][0],
                );
                let multiplicity = (grid.len() / m.extent) as f64;
                let sums = m.cholesky.inverse_diagonal_sums(&m.inverse_column);
                for (l, (cotangent, sum)) in lag_cotangents[axis][0].iter_mut().zip(&sums).enumerate() {
                    *cotangent += multiplicity * if l == 0 { 0.5 * sum } else { *sum };
                }
                by_kernels.push(parameters.kernels[unknown][axis].lag_gradient(
                    m.step,
                    &m.orders,
                    &lag_cotangents[axis],
                ));
            }
            gradient.kernels.push(by_kernels);
            gradient.values.push(by_values);
        }
        if !objective.value.is_finite() {
            return Err("the objective is not finite".to_string());
        }
        Ok((objective, gradient, jets))
    }
}

fn add(target: &mut Tensor, source: &Tensor) {
    target.values_mut().iter_mut().zip(source.values()).for_each(|(t, s)| *t += s);
}

/// Writes `K⁽ⁿ⁾` out from its lags: antisymmetric for odd orders.
pub fn fill_toeplitz(matrix: &mut Mat<f64>, lags: &[f64], order: usize) {
    let below = if order % 2 == 1 { -1.0 } else { 1.0 };
    for j in 0..lags.len() {
        for i in 0..j {
            matrix[(i, j)] = below * lags[j - i];
        }
        for i in j..lags.len() {
            matrix[(i, j)] = lags[i - j];
        }
        if order % 2 == 1 {
            matrix[(j, j)] = 0.0;
        }
    }
}

impl AxisMatrices {
    /// `K^{-1}` along `axis`.
    fn solve(&self, tensor: &Tensor, axis: usize) -> Tensor {
        let mut result = tensor.clone();
        let (outer, extent, inner) = tensor.strides_around(axis);
        if outer * inner == 1 {
            self.cholesky.solve_in_place(&mut [result.values_mut()]);
            return result;
        }
        let factor = self.cholesky.factor();
        let solve = |mut right_side: MatMut<'_, f64>| {
            solve_lower_triangular_in_place(factor, right_side.as_mut(), Par::rayon(0));
            solve_upper_triangular_in_place(factor.transpose(), right_side.as_mut(), Par::rayon(0));
        };
        if inner == 1 {
            solve(MatMut::from_column_major_slice_mut(result.values_mut(), extent, outer));
        } else {
            for chunk in result.values_mut().chunks_exact_mut(extent * inner) {
                solve(MatMut::from_row_major_slice_mut(chunk, extent, inner));
            }
        }
        result
    }

    /// `K⁽ⁿ⁾` (or its transpose) along `axis`.
    fn derivative(&self, tensor: &Tensor, axis: usize, order: usize, transposed: bool) -> Tensor {
        let slot = self.orders.iter().position(|&o| o == order).unwrap_or(0);
        let odd = order % 2 == 1;
        let (outer, _, inner) = tensor.strides_around(axis);
        if outer * inner == 1 {
            let lags = &self.lags[slot];
            let mut values = if odd {
                let mut column = lags.clone();
                column[0] = 0.0;
                let row: Vec<f64> = column.iter().map(|c| -c).collect();
                self.product.apply(&column, &row, tensor.values())
            } else {
                self.product.apply(lags, lags, tensor.values())
            };
            if odd && transposed {
                values.iter_mut().for_each(|v| *v = -*v);
            }
            return Tensor::new(tensor.shape().to_vec(), values);
        }
        let matrix = self.dense[slot - 1].as_ref();
        tensor.mode_product(axis, if transposed { matrix.transpose() } else { matrix }, Par::rayon(0))
    }
}

/// Adds `scale` times the sums of `left_(axis) right_(axis)ᵀ` along its diagonals to the cotangent of `κ⁽ⁿ⁾` at the lags: both
/// diagonals at distance l hold `κ⁽ⁿ⁾(l h)`, with opposite signs for odd n.
pub fn add_lag_sums(
    left: &Tensor,
    right: &Tensor,
    axis: usize,
    order: usize,
    scale: f64,
    target: &mut [f64],
) {
    let (outer, extent, inner) = left.strides_around(axis);
    let sign = if order % 2 == 1 { -1.0 } else { 1.0 };
    if outer * inner == 1 {
        let (below, above) = lag_sums(left.values(), right.values());
        if sign > 0.0 {
            target[0] += scale * below[0];
        }
        for l in 1..extent {
            target[l] += scale * (below[l] + sign * above[l]);
        }
        return;
    }
    let mut outer_product = Mat::<f64>::zeros(extent, extent);
    if inner == 1 {
        let l = MatRef::from_column_major_slice(left.values(), extent, outer);
        let r = MatRef::from_column_major_slice(right.values(), extent, outer);
        matmul(outer_product.as_mut(), Accum::Replace, l, r.transpose(), 1.0, Par::rayon(0));
    } else {
        let blocks =
            left.values().chunks_exact(extent * inner).zip(right.values().chunks_exact(extent * inner));
        for (l, r) in blocks {
            let l = MatRef::from_row_major_slice(l, extent, inner);
            let r = MatRef::from_row_major_slice(r, extent, inner);
            matmul(outer_product.as_mut(), Accum::Add, l, r.transpose(), 1.0, Par::rayon(0));
        }
    }
    for j in 0..extent {
        for i in 0..j {
            target[j - i] += scale * sign * outer_product[(i, j)];
        }
        if sign > 0.0 {
            target[0] += scale * outer_product[(j, j)];
        }
        for i in j + 1..extent {
            target[i - j] += scale * outer_product[(i, j)];
        }
    }
}

#[cfg(test)]
mod tests {
    use faer::linalg::solvers::Solve;
    use mathesis_symbolic::{Symbol, parse, parse_equation};

    use super::*;
    use crate::pde::options::Kernel;
    use crate::pde::{Axis, Condition, Face, Problem, Side};

    fn problem(
        axes: &[(&str, f64, f64)],
        unknowns: &[&str],
        equations: &[&str],
        conditions: &[&str],
    ) -> Problem {
        let bound = |x: f64| (parse(&x.to_string()).unwrap(), x);
        let mut on_faces = Vec::new();
        for axis in 0..axes.len() {
            for side in [Side::Lower, Side::Upper] {
                for condition in conditions {
                    let (left, right) = parse_equation(condition).unwrap();
                    on_faces.push(Condition { face: Face { axis, side }, residual: left - right });
                }
            }
        }
        Problem {
            axes: axes
                .iter()
                .map(|&(name, lower, upper)| Axis {
                    name: Symbol::new(name),
                    lower: bound(lower),
                    upper: bound(upper),
                    periodic: false,
                })
                .collect(),
            unknowns: unknowns.iter().map(|u| Symbol::new(u)).collect(),
            equations: equations.iter().map(|e| parse_equation(e).unwrap()).collect(),
            conditions: on_faces,
            exact: None,
        }
    }

    fn noise(k: usize) -> f64 {
        ((k as f64 + 1.0) * 12.9898).sin()
    }

    fn parameters(grid: &Grid, unknowns: usize, family: Kernel) -> Parameters {
        Parameters {
            log_tau: 0.3,
            log_v: -0.4,
            kernels: (0..unknowns)
                .map(|u| {
                    (0..grid.shape.len())
                        .map(|axis| MixtureKernel {
                            family,
                            log_weights: (0..3).map(|q| 0.3 * noise(q + 5 * axis + 17 * u)).collect(),
                            log_inverse_scales: (0..3)
                                .map(|q| 1.5 + 0.5 * noise(q + 7 * axis + 31))
                                .collect(),
                            frequencies: (0..3).map(|q| q as f64 + 0.3 * noise(q + 3 * axis)).collect(),
                        })
                        .collect()
                })
                .collect(),
            values: (0..unknowns)
                .map(|u| {
                    Tensor::new(grid.shape.clone(), (0..grid.len()).map(|p| noise(p + 1000 * u)).collect())
                })
                .collect(),
        }
    }

    const FAMILIES: [Kernel; 4] =
        [Kernel::StudentMixture, Kernel::GaussianMixture, Kernel::Matern, Kernel::SquaredExponential];

    /// `[f(x + h) − f(x − h)] / 2h` of the objective along one parameter.
    fn slope(
        process: &mut Process<'_>,
        at: &Parameters,
        h: f64,
        change: impl Fn(&mut Parameters, f64),
    ) -> f64 {
        let (mut up, mut down) = (at.clone(), at.clone());
        change(&mut up, h);
        change(&mut down, -h);
        (process.evaluate(&up).unwrap().0.value - process.evaluate(&down).unwrap().0.value) / (2.0 * h)
    }

    #[test]
    fn gradient_equals_finite_differences() {
        let cases = [
            problem(&[("x", 0.0, 1.0)], &["u"], &["u_xx + u*(u^2-1) = sin(3*x)"], &["u = x"]),
            problem(&[("x", 0.0, 1.0), ("y", 0.0, 1.0)], &["u"], &["u_xx + u_yy + u_xy = x*y"], &["u = x"]),
            problem(&[("x", 0.0, 1.0)], &["u", "v"], &["u_xx + v = x", "v_x - u*v = 1"], &["u = 0", "v = x"]),
            problem(&[("x", 0.0, 1.0), ("t", 0.0, 2.0)], &["u"], &["2*u_x + u_t = 0"], &["u = x"]),
        ];
        for (case, problem) in cases.iter().enumerate() {
            let shape = [7, 6];
            let grid = Grid::new(problem, &shape[..problem.axes.len()]).unwrap();
            for family in FAMILIES {
                let mut process = Process::new(&grid, problem.unknowns.len(), 200.0, 1e-2);
                let at = parameters(&grid, problem.unknowns.len(), family);
                let (_, gradient, _) = process.evaluate(&at).unwrap();
                let mut pairs = vec![
                    (gradient.log_tau, slope(&mut process, &at, 1e-5, |p, h| p.log_tau += h)),
                    (gradient.log_v, slope(&mut process, &at, 1e-5, |p, h| p.log_v += h)),
                ];
                for u in 0..problem.unknowns.len() {
                    for p in [0, 3, grid.len() - 1] {
                        let numeric = slope(&mut process, &at, 1e-5, |q, h| q.values[u].values_mut()[p] += h);
                        pairs.push((gradient.values[u].values()[p], numeric));
                    }
                    for (axis, g) in gradient.kernels[u].iter().enumerate() {
                        for q in 0..3 {
                            pairs.push((
                                g.log_weights[q],
                                slope(&mut process, &at, 1e-5, |p, h| p.kernels[u][axis].log_weights[q] += h),
                            ));
                            pairs.push((
                                g.log_inverse_scales[q],
                                slope(&mut process, &at, 1e-5, |p, h| {
                                    p.kernels[u][axis].log_inverse_scales[q] += h
                                }),
                            ));
                            pairs.push((
                                g.frequencies[q],
                                slope(&mut process, &at, 1e-5, |p, h| p.kernels[u][axis].frequencies[q] += h),
                            ));
                        }
                    }
                }
                let scale = pairs.iter().fold(0.0_f64, |m, (a, _)| m.max(a.abs()));
                for (k, (analytic, numeric)) in pairs.iter().enumerate() {
                    assert!(
                        (analytic - numeric).abs() < 1e-5 * analytic.abs().max(1e-4 * scale),
                        "case {case}, {family:?}, parameter {k}: {analytic} against {numeric}"
                    );
                }
            }
        }
    }

    #[test]
    fn kronecker_objective_equals_a_dense_evaluation() {
        let problem =
            problem(&[("x", 0.0, 1.0), ("y", 0.0, 2.0)], &["u"], &["u_xx + u_yy = sin(x)*y"], &["u = x*y"]);
        let n = 12;
        let grid = Grid::new(&problem, &[n, n]).unwrap();
        let at = parameters(&grid, 1, Kernel::GaussianMixture);
        let (objective, ..) = Process::new(&grid, 1, 200.0, 1e-6).evaluate(&at).unwrap();

        let matrix = |axis: usize, order: usize, jitter: f64| {
            let kernel = &at.kernels[0][axis];
            Mat::from_fn(n, n, |i, j| {
                kernel.derivative_at((grid.axes[axis][i] - grid.axes[axis][j]).abs(), order)
                    + if i == j { jitter } else { 0.0 }
            })
        };
        let kron = |a: &Mat<f64>, b: &Mat<f64>| {
            Mat::from_fn(n * n, n * n, |i, j| a[(i / n, j / n)] * b[(i % n, j % n)])
        };
        let (k1, k2) = (matrix(0, 0, 1e-6), matrix(1, 0, 1e-6));
        let c = kron(&k1, &k2);
        let u = Mat::from_fn(n * n, 1, |p, _| at.values[0].values()[p]);
        let factor = c.llt(faer::Side::Lower).unwrap();
        let weights = factor.solve(&u);
        let laplacian = kron(&matrix(0, 2, 0.0), &k2) + kron(&k1, &matrix(1, 2, 0.0));
        let derivative = &laplacian * &weights;
        let log_determinant: f64 = (0..n * n).map(|i| 2.0 * factor.L()[(i, i)].ln()).sum();
        let quadratic = (u.transpose() * &weights)[(0, 0)];
        let (mut equation, mut boundary) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                let (x, y, p) = (grid.axes[0][i], grid.axes[1][j], i * n + j);
                equation += (derivative[(p, 0)] - x.sin() * y).powi(2);
                let ends = [i == 0, i + 1 == n, j == 0, j + 1 == n].iter().filter(|e| **e).count() as f64;
                boundary += ends * (u[(p, 0)] - x * y).powi(2);
            }
        }
        let (tau1, tau2) = (at.log_tau.exp(), at.log_v.exp());
        let (n_b, n_c) = (4.0 * n as f64, (n * n) as f64);
        let expected = 0.5 * log_determinant + 0.5 * quadratic
            - 200.0 * (0.5 * n_b * at.log_tau - 0.5 * tau1 * boundary)
            - (0.5 * n_c * at.log_v - 0.5 * tau2 * equation);
        assert_eq!(objective.condition_count, 4 * n);
        assert!((objective.value - expected).abs() < 1e-9 * expected.abs(), "{} {expected}", objective.value);
    }

    #[test]
    fn a_covariance_that_is_not_positive_definite_never_yields_nan() {
        let problem = problem(&[("x", 0.0, 1.0)], &["u"], &["u_xx = x"], &["u = x"]);
        let grid = Grid::new(&problem, &[200]).unwrap();
        let mut process = Process::new(&grid, 1, 200.0, 1e-30);
        let mut at = parameters(&grid, 1, Kernel::SquaredExponential);
        at.kernels[0][0].log_inverse_scales = vec![-9.0; 3];
        let (objective, gradient, jets) = process.evaluate(&at).unwrap();
        assert!(process.jitter_raised > 0);
        assert!(objective.value.is_finite() && jets.iter().flatten().all(|v| v.is_finite()));
        assert!(gradient.values[0].values().iter().all(|v| v.is_finite()));
        at.kernels[0][0].log_weights[0] = f64::NAN;
        assert!(process.evaluate(&at).is_err());
    }
}
