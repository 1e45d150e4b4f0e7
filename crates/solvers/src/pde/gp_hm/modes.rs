//! The process in its own modes: eigenvectors of each axis' covariance, truncated where they sink into the jitter.
//!
//! With `K_j = E Λ Eᵀ + ε·1` along axis j, `U = (⊗_j E_j (Λ_j + ε)^{1/2}) z` has `z ~ N(0, 1)` under the prior, and every derivative
//! is `(⊗_j K_j⁽ⁿ⁾ E_j (Λ_j + ε)^{-1/2}) z`: no near-singular matrix is ever inverted, so that the jitter may be far below the
//! 10⁻⁶ that a Cholesky factorisation of `K` needs. Modes with `λ < ε` are dropped; a smooth kernel keeps a few dozen of
//! hundreds.

use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Par, Side};
use mathesis_algebra::operator::SymmetricToeplitz;
use mathesis_algebra::tensor::Tensor;

use super::grid::{Block, Evaluation, Grid};
use super::kernel::{KernelGradient, MixtureKernel};
use super::process::{add_lag_sums, fill_toeplitz};
use crate::pde::Side as End;

/// The leading modes of one axis of one unknown's process.
struct Modes {
    /// Orders of differentiation along the axis, ascending from 0.
    orders: Vec<usize>,
    /// `λ_i + ε`, largest first.
    variances: Vec<f64>,
    /// Orthonormal eigenvectors, `(N, r)`.
    vectors: Mat<f64>,
    /// `E (Λ + ε)^{-1/2}`, `(N, r)`: from `z` to the coefficients of the kernel sections.
    coefficients: Mat<f64>,
    /// `K⁽ⁿ⁾ E (Λ + ε)^{-1/2}` for each of `orders`, `(N, r)`: from `z` to derivatives.
    maps: Vec<Mat<f64>>,
    /// The jitter ε.
    jitter: f64,
    step: f64,
}

impl Modes {
    fn map(&self, order: usize) -> &Mat<f64> {
        &self.maps[self.orders.iter().position(|&o| o == order).unwrap_or(0)]
    }

    fn rank(&self) -> usize {
        self.variances.len()
    }
}

/// Precisions of the two likelihoods.
#[derive(Clone, Copy, Debug)]
pub struct Precisions {
    /// `λ_b τ1`.
    pub condition: f64,
    /// `τ2`.
    pub equation: f64,
}

/// The unknowns' processes for one choice of kernels, reduced to their modes.
pub struct ModalProcess<'g> {
    grid: &'g Grid,
    axes: Vec<Vec<Modes>>,
    /// Where each unknown's coordinates begin in `z`; one more entry holds their number.
    starts: Vec<usize>,
    /// How much the cut through the spectrum had to be raised above the jitter to bound the number of modes; 1 if not.
    pub cut: f64,
}

/// The posterior mode of `z` and what is known there.
pub struct Fit {
    /// Coordinates in the modes of all unknowns.
    pub coordinates: Vec<f64>,
    /// Sum of squares of the conditions' residuals, and their number.
    pub conditions: (f64, usize),
    /// Sum of squares of the equations' residuals, and their number.
    pub equations: (f64, usize),
    /// Root mean square of the largest term of the equations.
    pub equation_scale: f64,
    /// Root mean square of the solution values.
    pub value_scale: f64,
    /// `½ zᵀz + ½ τ2 Σ R² + ½ λ_b τ1 Σ r²`.
    value: f64,
    cotangents: Vec<Vec<f64>>,
    /// Whether the iteration met its criterion.
    pub converged: bool,
}

/// Residuals, partial derivatives and gradient at one point.
struct Linearisation<'b> {
    blocks: Vec<(&'b Block, f64, Evaluation<'b>)>,
    value: f64,
    cotangents: Vec<Vec<f64>>,
    gradient: Vec<f64>,
    jets: Vec<Vec<f64>>,
}

impl<'g> ModalProcess<'g> {
    /// Reduce the processes with the given kernels (`[unknown][axis]`) and jitters (likewise) to at most `most` modes in all.
    ///
    /// Returns `None` if a covariance is not finite.
    pub fn new(
        grid: &'g Grid,
        kernels: &[Vec<MixtureKernel>],
        jitter: &[Vec<f64>],
        most: usize,
    ) -> Option<Self> {
        let mut spectra = Vec::new();
        for (unknown, kernels) in kernels.iter().enumerate() {
            let mut of_unknown = Vec::new();
            for (axis, kernel) in kernels.iter().enumerate() {
                let orders = grid.orders(unknown, axis);
                let lags = kernel.lags(grid.steps[axis], grid.shape[axis], &orders);
                let (values, vectors) = SymmetricToeplitz::new(lags[0].clone()).eigenpairs().ok()?;
                of_unknown.push((orders, lags, values, vectors));
            }
            spectra.push(of_unknown);
        }
        let rank = |values: &[f64], cut: f64| values.iter().take_while(|v| **v >= cut).count().max(1);
        let mut cut = 1.0;
        loop {
            let total: usize = spectra
                .iter()
                .zip(jitter)
                .map(|(axes, jitter)| {
                    axes.iter()
                        .zip(jitter)
                        .map(|((_, _, values, _), &j)| rank(values, cut * j))
                        .product::<usize>()
                })
                .sum();
            if total <= most || grid.shape.len() == 1 {
                break;
            }
            cut *= 3.0;
        }
        let mut starts = vec![0];
        let mut axes = Vec::new();
        for (of_unknown, jitter) in spectra.into_iter().zip(jitter) {
            let modes: Vec<Modes> = of_unknown
                .into_iter()
                .zip(jitter)
                .enumerate()
                .map(|(axis, ((orders, lags, values, vectors), &jitter))| {
                    let r = rank(&values, cut * jitter);
                    Modes::new(
                        orders,
                        &lags,
                        &values[..r],
                        vectors.subcols(0, r).to_owned(),
                        jitter,
                        grid.steps[axis],
                    )
                })
                .collect();
            let size: usize = modes.iter().map(Modes::rank).product();
            starts.push(starts.last().copied().unwrap_or(0) + size);
            axes.push(modes);
        }
        Some(ModalProcess { grid, axes, starts, cut })
    }

    /// The number of modes in all.
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Number of modes of each unknown along each axis.
    pub fn ranks(&self) -> Vec<Vec<usize>> {
        self.axes.iter().map(|axes| axes.iter().map(Modes::rank).collect()).collect()
    }

    fn tensor(&self, unknown: usize, z: &[f64]) -> Tensor {
        let shape = self.axes[unknown].iter().map(Modes::rank).collect();
        Tensor::new(shape, z[self.starts[unknown]..self.starts[unknown + 1]].to_vec())
    }

    /// Every derivative of the grid for the coordinates `z`.
    fn jets(&self, z: &[f64]) -> Vec<Vec<f64>> {
        self.grid
            .derivatives
            .iter()
            .map(|derivative| {
                let mut tensor = self.tensor(derivative.unknown, z);
                for (axis, modes) in self.axes[derivative.unknown].iter().enumerate() {
                    tensor =
                        tensor.mode_product(axis, modes.map(derivative.orders[axis]).as_ref(), Par::rayon(0));
                }
                tensor.into_values()
            })
            .collect()
    }

    /// The transpose of [`ModalProcess::jets`].
    fn pull(&self, cotangents: &[Vec<f64>]) -> Vec<f64> {
        let mut z = vec![0.0; self.len()];
        for (derivative, cotangent) in self.grid.derivatives.iter().zip(cotangents) {
            let mut tensor = Tensor::new(self.grid.shape.clone(), cotangent.clone());
            for (axis, modes) in self.axes[derivative.unknown].iter().enumerate() {
                let map = modes.map(derivative.orders[axis]);
                tensor = tensor.mode_product(axis, map.transpose(), Par::rayon(0));
            }
            let start = self.starts[derivative.unknown];
            z[start..].iter_mut().zip(tensor.values()).for_each(|(z, t)| *z += t);
        }
        z
    }

    fn linearise(&self, z: &[f64], precisions: Precisions) -> Linearisation<'g> {
        let grid = self.grid;
        let jets = self.jets(z);
        let mut blocks = Vec::new();
        let mut cotangents = vec![vec![0.0; grid.len()]; jets.len()];
        let mut value = 0.5 * dot(z, z);
        let equations = grid.equations.iter().map(|b| (b, precisions.equation));
        for (block, precision) in equations.chain(grid.conditions.iter().map(|b| (b, precisions.condition))) {
            let evaluation = block.evaluate(&jets);
            value += 0.5 * precision * dot(&evaluation.residual, &evaluation.residual);
            for (&jet, partial) in block.jets.iter().zip(evaluation.partials.iter()) {
                let pulled: Vec<f64> =
                    evaluation.residual.iter().zip(partial).map(|(r, p)| precision * r * p).collect();
                block.scatter_add(&pulled, &mut cotangents[jet]);
            }
            blocks.push((block, precision, evaluation));
        }
        let mut gradient = self.pull(&cotangents);
        gradient.iter_mut().zip(z).for_each(|(g, z)| *g += z);
        Linearisation { blocks, value, cotangents, gradient, jets }
    }

    /// `(1 + Σ precision · Jᵀ J) v` with the partial derivatives of `at`.
    fn normal_product(&self, at: &Linearisation<'_>, v: &[f64]) -> Vec<f64> {
        let jets = self.jets(v);
        let mut cotangents = vec![vec![0.0; self.grid.len()]; jets.len()];
        for (block, precision, evaluation) in &at.blocks {
            let mut change = vec![0.0; block.len()];
            for (&jet, partial) in block.jets.iter().zip(evaluation.partials.iter()) {
                let gathered = block.gather(&jets[jet]);
                change.iter_mut().zip(partial).zip(&gathered).for_each(|((c, p), g)| *c += p * g);
            }
            for (&jet, partial) in block.jets.iter().zip(evaluation.partials.iter()) {
                let pulled: Vec<f64> = change.iter().zip(partial).map(|(c, p)| precision * c * p).collect();
                block.scatter_add(&pulled, &mut cotangents[jet]);
            }
        }
        let mut product = self.pull(&cotangents);
        product.iter_mut().zip(v).for_each(|(p, v)| *p += v);
        product
    }

    /// The normal matrix: exact along one axis; along several, with the partial derivatives' products averaged over each
    /// block's points, which is exact for constant coefficients and a preconditioner otherwise.
    fn normal_matrix(&self, at: &Linearisation<'_>) -> Mat<f64> {
        let size = self.len();
        let mut normal = Mat::<f64>::identity(size, size);
        for (block, precision, evaluation) in &at.blocks {
            let jets: Vec<_> = block.jets.iter().map(|&j| self.grid.derivatives[j]).collect();
            if self.grid.shape.len() == 1 {
                let rows = block.len();
                let first = match block.face {
                    Some(face) if face.side == End::Upper => self.grid.shape[0] - 1,
                    _ => 0,
                };
                let mut jacobian = Mat::<f64>::zeros(rows, size);
                for (derivative, partial) in jets.iter().zip(evaluation.partials.iter()) {
                    let map = self.axes[derivative.unknown][0].map(derivative.orders[0]);
                    let start = self.starts[derivative.unknown];
                    for k in 0..map.ncols() {
                        for i in 0..rows {
                            jacobian[(i, start + k)] += precision.sqrt() * partial[i] * map[(first + i, k)];
                        }
                    }
                }
                normal += jacobian.transpose() * &jacobian;
                continue;
            }
            for (a, pa) in jets.iter().zip(evaluation.partials.iter()) {
                for (b, pb) in jets.iter().zip(evaluation.partials.iter()) {
                    let weight = precision * dot(pa, pb) / block.len().max(1) as f64;
                    if weight == 0.0 {
                        continue;
                    }
                    let grams: Vec<Mat<f64>> = (0..self.grid.shape.len())
                        .map(|axis| {
                            let left = self.axes[a.unknown][axis].map(a.orders[axis]);
                            let right = self.axes[b.unknown][axis].map(b.orders[axis]);
                            match block.face {
                                Some(face) if face.axis == axis => {
                                    let end = if face.side == End::Lower { 0 } else { left.nrows() - 1 };
                                    Mat::from_fn(left.ncols(), right.ncols(), |i, j| {
                                        left[(end, i)] * right[(end, j)]
                                    })
                                }
                                _ => left.transpose() * right,
                            }
                        })
                        .collect();
                    add_kronecker(
                        &mut normal,
                        self.starts[a.unknown],
                        self.starts[b.unknown],
                        weight,
                        &grams,
                    );
                }
            }
        }
        normal
    }

    /// The posterior mode of `z`: Gauss-Newton with preconditioned conjugate gradients inside, and step halving. For linear
    /// problems the second iteration is one of iterative refinement.
    pub fn fit(&self, start: Option<Vec<f64>>, precisions: Precisions) -> Option<Fit> {
        let linear = self.grid.is_linear();
        let limit = if linear { 4 } else { 40 };
        let mut z = start.filter(|z| z.len() == self.len()).unwrap_or_else(|| vec![0.0; self.len()]);
        let mut at = self.linearise(&z, precisions);
        let mut preconditioner: Option<Preconditioner> = None;
        let mut iterations = 0;
        let mut converged = false;
        let mut stale = false;
        while iterations < limit {
            iterations += 1;
            if preconditioner.is_none() || stale {
                preconditioner = Some(Preconditioner::new(self.normal_matrix(&at))?);
            }
            let Some(preconditioner) = &preconditioner else { return None };
            let (step, products) = self.conjugate_gradients(&at, preconditioner);
            stale = !linear && products > 6;
            let mut length = 1.0;
            let next = loop {
                let trial: Vec<f64> = z.iter().zip(&step).map(|(z, s)| z + length * s).collect();
                let next = self.linearise(&trial, precisions);
                if next.value.is_finite() && next.value < at.value {
                    break Some((trial, next));
                }
                length *= 0.5;
                if linear || length < 1e-4 {
                    break None;
                }
            };
            let Some((trial, next)) = next else {
                converged = iterations > 1;
                break;
            };
            let decrease = at.value - next.value;
            (z, at) = (trial, next);
            if decrease <= 1e-8 * at.value.abs() {
                converged = true;
                break;
            }
        }
        let mut fit = Fit {
            conditions: (0.0, 0),
            equations: (0.0, 0),
            equation_scale: 0.0,
            value_scale: 0.0,
            value: at.value,
            converged: converged || linear,
            cotangents: at.cotangents,
            coordinates: z,
        };
        if !fit.value.is_finite() {
            return None;
        }
        for (k, (block, _, evaluation)) in at.blocks.iter().enumerate() {
            let square = dot(&evaluation.residual, &evaluation.residual);
            if k >= self.grid.equations.len() {
                fit.conditions = (fit.conditions.0 + square, fit.conditions.1 + block.len());
                continue;
            }
            fit.equations = (fit.equations.0 + square, fit.equations.1 + block.len());
            fit.equation_scale = fit.equation_scale.max(root_mean_square(&block.source));
            for (&jet, partial) in block.jets.iter().zip(evaluation.partials.iter()) {
                let term: Vec<f64> = partial.iter().zip(&at.jets[jet]).map(|(p, j)| p * j).collect();
                fit.equation_scale = fit.equation_scale.max(root_mean_square(&term));
            }
        }
        for unknown in 0..self.axes.len() {
            let mut tensor = self.tensor(unknown, &fit.coordinates);
            for (axis, modes) in self.axes[unknown].iter().enumerate() {
                tensor = tensor.mode_product(axis, modes.maps[0].as_ref(), Par::rayon(0));
            }
            fit.value_scale = fit.value_scale.max(root_mean_square(tensor.values()));
        }
        Some(fit)
    }

    fn conjugate_gradients(
        &self,
        at: &Linearisation<'_>,
        preconditioner: &Preconditioner,
    ) -> (Vec<f64>, usize) {
        let mut solution = vec![0.0; self.len()];
        let mut residual: Vec<f64> = at.gradient.iter().map(|g| -g).collect();
        let mut z = preconditioner.apply(&residual);
        let mut direction = z.clone();
        let mut product = dot(&residual, &z);
        let target = 1e-20 * product.abs();
        let mut products = 0;
        for _ in 0..80 {
            if product.is_nan() || product <= target {
                break;
            }
            let image = self.normal_product(at, &direction);
            products += 1;
            let curvature = dot(&direction, &image);
            if curvature.is_nan() || curvature <= 0.0 {
                break;
            }
            let length = product / curvature;
            solution.iter_mut().zip(&direction).for_each(|(s, d)| *s += length * d);
            residual.iter_mut().zip(&image).for_each(|(r, i)| *r -= length * i);
            z = preconditioner.apply(&residual);
            let next = dot(&residual, &z);
            let ratio = next / product;
            direction.iter_mut().zip(&z).for_each(|(d, z)| *d = z + ratio * *d);
            product = next;
        }
        (solution, products)
    }

    /// The paper's objective at a fit, with the precisions' own terms left out (they do not depend on the kernels).
    pub fn objective(&self, fit: &Fit) -> f64 {
        let mut value = fit.value;
        for (modes, &extent) in self.axes.iter().flat_map(|axes| axes.iter().zip(&self.grid.shape)) {
            let log_determinant = modes.variances.iter().map(|v| v.ln()).sum::<f64>()
                + (extent - modes.rank()) as f64 * modes.jitter.ln();
            value += 0.5 * (self.grid.len() / extent) as f64 * log_determinant;
        }
        value
    }

    /// The gradient of the profiled objective in the kernels' parameters.
    ///
    /// At the optimum the objective is stationary in the coefficients `α = C^{-1} U`, so that its gradient is the partial one at
    /// fixed α: `½ K^{-1} + ½ α αᵀ` for the prior, and `ρ_k αᵀ` for each derivative k with cotangent `ρ_k = Σ precision·R·∂R/∂k`.
    pub fn kernel_gradient(&self, fit: &Fit, kernels: &[Vec<MixtureKernel>]) -> Vec<Vec<KernelGradient>> {
        let grid = self.grid;
        (0..self.axes.len())
            .map(|unknown| {
                let z = self.tensor(unknown, &fit.coordinates);
                (0..grid.shape.len())
                    .map(|axis| {
                        let modes = &self.axes[unknown][axis];
                        let extent = grid.shape[axis];
                        // The field with coefficients along `axis` and the given orders of differentiation along the others.
                        let partial_field = |orders: Option<&[usize; 3]>| {
                            let mut tensor = z.clone();
                            for (k, other) in self.axes[unknown].iter().enumerate() {
                                let map = match orders {
                                    Some(orders) if k != axis => other.map(orders[k]),
                                    _ => &other.coefficients,
                                };
                                tensor = tensor.mode_product(k, map.as_ref(), Par::rayon(0));
                            }
                            tensor
                        };
                        let mut cotangents = vec![vec![0.0; extent]; modes.orders.len()];
                        let columns = |scale: &dyn Fn(usize) -> f64| {
                            let r = modes.rank();
                            let entry = |p: usize| modes.vectors[(p / r, p % r)] * scale(p % r);
                            Tensor::new(vec![extent, r], (0..extent * r).map(entry).collect())
                        };
                        let multiplicity = (grid.len() / extent) as f64;
                        let scaled = columns(&|i| 1.0 / modes.variances[i]);
                        add_lag_sums(
                            &scaled,
                            &columns(&|_| 1.0),
                            0,
                            0,
                            0.5 * multiplicity,
                            &mut cotangents[0],
                        );
                        let alpha = partial_field(None);
                        add_lag_sums(&partial_field(Some(&[0; 3])), &alpha, axis, 0, 0.5, &mut cotangents[0]);
                        for (k, derivative) in grid.derivatives.iter().enumerate() {
                            if derivative.unknown != unknown {
                                continue;
                            }
                            let order = derivative.orders[axis];
                            let slot = modes.orders.iter().position(|&o| o == order).unwrap_or(0);
                            let left = Tensor::new(grid.shape.clone(), fit.cotangents[k].clone());
                            let right = partial_field(Some(&derivative.orders));
                            add_lag_sums(&left, &right, axis, order, 1.0, &mut cotangents[slot]);
                        }
                        kernels[unknown][axis].lag_gradient(modes.step, &modes.orders, &cotangents)
                    })
                    .collect()
            })
            .collect()
    }

    /// `C^{-1} U` for each unknown: the coefficients of the kernel sections.
    pub fn coefficients(&self, fit: &Fit) -> Vec<Tensor> {
        (0..self.axes.len())
            .map(|unknown| {
                let mut tensor = self.tensor(unknown, &fit.coordinates);
                for (axis, modes) in self.axes[unknown].iter().enumerate() {
                    tensor = tensor.mode_product(axis, modes.coefficients.as_ref(), Par::rayon(0));
                }
                tensor
            })
            .collect()
    }
}

impl Modes {
    fn new(
        orders: Vec<usize>,
        lags: &[Vec<f64>],
        values: &[f64],
        vectors: Mat<f64>,
        jitter: f64,
        step: f64,
    ) -> Self {
        let (extent, rank) = (vectors.nrows(), values.len());
        let variances: Vec<f64> = values.iter().map(|v| v + jitter).collect();
        let coefficients = Mat::from_fn(extent, rank, |i, k| vectors[(i, k)] / variances[k].sqrt());
        let maps = orders
            .iter()
            .zip(lags)
            .map(|(&order, lags)| {
                if order == 0 {
                    return Mat::from_fn(extent, rank, |i, k| vectors[(i, k)] * variances[k].sqrt());
                }
                let mut matrix = Mat::zeros(extent, extent);
                fill_toeplitz(&mut matrix, lags, order);
                &matrix * &coefficients
            })
            .collect();
        Modes { orders, variances, vectors, coefficients, maps, jitter, step }
    }
}

/// Adds `weight · ⊗ grams` to the block of `matrix` that begins at `(row, column)`.
fn add_kronecker(matrix: &mut Mat<f64>, row: usize, column: usize, weight: f64, grams: &[Mat<f64>]) {
    let mut product = Mat::from_fn(1, 1, |_, _| weight);
    let Some((last, outer)) = grams.split_last() else { return };
    for gram in outer {
        let (r, c) = (gram.nrows(), gram.ncols());
        product = Mat::from_fn(product.nrows() * r, product.ncols() * c, |i, j| {
            product[(i / r, j / c)] * gram[(i % r, j % c)]
        });
    }
    let (r, c) = (last.nrows(), last.ncols());
    for b in 0..product.ncols() {
        for j in 0..c {
            let mut target = matrix.col_mut(column + b * c + j);
            for a in 0..product.nrows() {
                let factor = product[(a, b)];
                for i in 0..r {
                    target[row + a * r + i] += factor * last[(i, j)];
                }
            }
        }
    }
}

/// Cholesky factorisation of the normal matrix, scaled to a unit diagonal.
struct Preconditioner {
    scale: Vec<f64>,
    factor: Llt<f64>,
}

impl Preconditioner {
    fn new(mut normal: Mat<f64>) -> Option<Self> {
        let n = normal.nrows();
        let scale: Vec<f64> = (0..n).map(|i| 1.0 / normal[(i, i)].sqrt()).collect();
        if scale.iter().any(|s| !s.is_finite()) {
            return None;
        }
        for j in 0..n {
            for i in 0..n {
                normal[(i, j)] *= scale[i] * scale[j];
            }
        }
        // Rounding may cost the product its definiteness: a ridge as small as succeeds, which conjugate gradients then undo.
        let mut ridge = 1e-15;
        loop {
            for i in 0..n {
                normal[(i, i)] = 1.0 + ridge;
            }
            if let Ok(factor) = normal.llt(Side::Lower) {
                return Some(Preconditioner { scale, factor });
            }
            ridge *= 10.0;
            if ridge > 1e-3 {
                return None;
            }
        }
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let scaled = Mat::from_fn(vector.len(), 1, |i, _| vector[i] * self.scale[i]);
        let solved = self.factor.solve(scaled);
        (0..vector.len()).map(|i| solved[(i, 0)] * self.scale[i]).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn root_mean_square(values: &[f64]) -> f64 {
    (dot(values, values) / values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use mathesis_symbolic::{Symbol, parse, parse_equation};

    use super::*;
    use crate::pde::options::Kernel;
    use crate::pde::{Axis, Condition, Face, Problem};

    fn problem(axes: &[&str], equation: &str) -> Problem {
        let (left, right) = parse_equation("u = sin(4*x)").unwrap();
        let bound = |x: f64| (parse(&x.to_string()).unwrap(), x);
        let faces = (0..axes.len()).flat_map(|axis| [End::Lower, End::Upper].map(|side| Face { axis, side }));
        Problem {
            axes: axes
                .iter()
                .map(|name| Axis {
                    name: Symbol::new(name),
                    lower: bound(0.0),
                    upper: bound(1.0),
                    periodic: false,
                })
                .collect(),
            unknowns: vec![Symbol::new("u")],
            equations: vec![parse_equation(equation).unwrap()],
            conditions: faces
                .map(|face| Condition { face, residual: left.clone() - right.clone() })
                .collect(),
            exact: None,
        }
    }

    fn kernels(dimension: usize, change: f64) -> Vec<Vec<MixtureKernel>> {
        let kernel = |axis: usize| MixtureKernel {
            family: Kernel::StudentMixture,
            log_weights: vec![0.1 + change * 0.3, -0.5 - change],
            log_inverse_scales: vec![1.0 - 0.7 * change + 0.2 * axis as f64, 1.3 + change],
            frequencies: vec![0.1 + 0.5 * change, 0.8 - 0.4 * change],
        };
        vec![(0..dimension).map(kernel).collect()]
    }

    /// With all modes kept, the profiled objective is the paper's at the best values, and its gradient is its slope.
    #[test]
    fn profiled_objective_and_gradient() {
        for (axes, equation) in [
            (&["x"][..], "u_xx + u*(u^2-1) = cos(3*x)"),
            (&["x"][..], "u_xx + x*u_x = cos(3*x)"),
            (&["x", "y"][..], "u_xx + u_yy + (1+x)*u = x*y"),
        ] {
            let problem = problem(axes, equation);
            let shape = vec![if axes.len() == 1 { 24 } else { 7 }; axes.len()];
            let grid = Grid::new(&problem, &shape).unwrap();
            let precisions = Precisions { condition: 300.0, equation: 2.0 };
            let jitter = vec![vec![1e-7; axes.len()]];
            let at = |change: f64| {
                let kernels = kernels(axes.len(), change);
                let process = ModalProcess::new(&grid, &kernels, &jitter, 10_000).unwrap();
                let fit = process.fit(None, precisions).unwrap();
                let gradient = process.kernel_gradient(&fit, &kernels);
                (process.objective(&fit), gradient, process.coefficients(&fit), kernels)
            };
            let (value, gradient, coefficients, kernels) = at(0.0);
            // The paper's objective at these values, less the terms of the precisions alone.
            let mut paper = crate::pde::gp_hm::process::Process::new(&grid, 1, 1.0, 1e-7);
            let mut values = coefficients[0].clone();
            for (axis, kernel) in kernels[0].iter().enumerate() {
                let n = shape[axis];
                let covariance = Mat::from_fn(n, n, |i, j| {
                    kernel.derivative_at(i.abs_diff(j) as f64 * grid.steps[axis], 0)
                        + if i == j { 1e-7 } else { 0.0 }
                });
                values = values.mode_product(axis, covariance.as_ref(), Par::Seq);
            }
            let parameters = crate::pde::gp_hm::process::Parameters {
                log_tau: precisions.condition.ln(),
                log_v: precisions.equation.ln(),
                kernels,
                values: vec![values],
            };
            let (objective, ..) = paper.evaluate(&parameters).unwrap();
            let precision_terms = 0.5 * objective.condition_count as f64 * precisions.condition.ln()
                + 0.5 * objective.equation_count as f64 * precisions.equation.ln();
            let expected = objective.value + precision_terms;
            assert!((value - expected).abs() < 1e-6 * expected.abs(), "{equation}: {value} {expected}");

            let h = 1e-4;
            let numeric = (at(h).0 - at(-h).0) / (2.0 * h);
            let analytic: f64 = gradient[0]
                .iter()
                .map(|g| {
                    0.3 * g.log_weights[0] - g.log_weights[1] - 0.7 * g.log_inverse_scales[0]
                        + g.log_inverse_scales[1]
                        + 0.5 * g.frequencies[0]
                        - 0.4 * g.frequencies[1]
                })
                .sum();
            assert!(
                (analytic - numeric).abs() < 1e-4 * numeric.abs().max(1.0),
                "{equation}: {analytic} {numeric}"
            );
        }
    }
}
