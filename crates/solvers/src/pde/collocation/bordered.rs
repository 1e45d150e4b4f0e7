//! Collocation with a dense matrix: any problem of moderate size.
//!
//! The equations are asked for at the `Π n_k` inner points; conditions are further rows, at the points of their faces
//! that [`Layout`] says. Unknown `u` has `n_k + m_{u,k}` coefficients along axis `k`, so the matrix is square.

use std::collections::HashMap;
use std::sync::Arc;

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, Par};
use mathesis_algebra::tensor::Tensor;

use super::basis::Spectral;
use crate::pde::layout::Layout;
use crate::pde::newton::{Discretised, Evaluation, not_finite_at, rounding_noise};
use crate::pde::{Basis, Field, Problem, Residual, Side, SolveError, Term, grid_coordinates};

/// Which points along an axis a block of rows is asked for at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Points {
    Inner,
    Outer(usize),
    End(bool),
}

/// One equation or condition at its points.
#[derive(Debug)]
pub struct Block {
    residual: Residual,
    label: String,
    equation: bool,
    coordinates: Vec<Vec<f64>>,
    /// For each of the residual's derivatives the matrices along the axes.
    jets: Vec<Vec<Arc<Mat<f64>>>>,
}

/// A problem in coefficients.
#[derive(Debug)]
pub struct Bordered {
    /// The bases of each unknown.
    pub bases: Vec<Vec<Arc<Spectral>>>,
    names: Vec<String>,
    blocks: Vec<Block>,
    offsets: Vec<usize>,
    linear: bool,
    stretch: f64,
    factors: Option<Factors>,
}

/// A solution of this size for rows of size one means a singular matrix.
const LARGEST_GROWTH: f64 = 1e12;

#[derive(Debug)]
struct Factors {
    lu: PartialPivLu<f64>,
    scales: Vec<f64>,
}

/// The number of unknowns in all for `inner[k]` inner points along axis `k`.
pub fn unknown_count(layout: &Layout, inner: &[usize]) -> usize {
    layout.orders.iter().map(|orders| orders.iter().zip(inner).map(|(m, n)| m + n).product::<usize>()).sum()
}

/// The basis of unknown `unknown` along axis `k` with `inner` inner points.
pub fn basis(problem: &Problem, layout: &Layout, unknown: usize, k: usize, inner: usize) -> Spectral {
    let (axis, order) = (&problem.axes[k], layout.orders[unknown][k]);
    if axis.periodic {
        Spectral::fourier(axis.lower.1, axis.length(), inner)
    } else {
        Spectral::chebyshev(axis.lower.1, axis.length(), inner + order, order)
    }
}

impl Bordered {
    /// Lay out the problem with `inner[k]` inner points along axis `k`.
    pub fn new(problem: &Problem, layout: &Layout, inner: &[usize]) -> Self {
        let dimension = problem.dimension();
        let bases: Vec<Vec<Arc<Spectral>>> = (0..problem.unknowns.len())
            .map(|u| (0..dimension).map(|k| Arc::new(basis(problem, layout, u, k, inner[k]))).collect())
            .collect();
        let locate = |k: usize, points: Points| match points {
            Points::Inner => bases[0][k].inner_points(inner[k]),
            Points::Outer(count) => bases[0][k].outer_points(count),
            Points::End(upper) => vec![if upper { problem.axes[k].upper.1 } else { problem.axes[k].lower.1 }],
        };
        let mut cache: HashMap<(usize, usize, usize, Points), Arc<Mat<f64>>> = HashMap::new();
        let mut block = |residual: &Residual, label: &str, equation: bool, points: &[Points]| {
            let axes: Vec<Vec<f64>> = (0..dimension).map(|k| locate(k, points[k])).collect();
            let jets = residual
                .derivatives()
                .iter()
                .map(|d| {
                    (0..dimension)
                        .map(|k| {
                            let key = (d.unknown, k, d.orders[k], points[k]);
                            let matrix = || Arc::new(bases[d.unknown][k].matrix(&axes[k], d.orders[k]));
                            cache.entry(key).or_insert_with(matrix).clone()
                        })
                        .collect()
                })
                .collect();
            let coordinates = grid_coordinates(&axes);
            Block { residual: residual.clone(), label: label.to_string(), equation, coordinates, jets }
        };
        let mut blocks = Vec::new();
        for equation in &layout.equations {
            blocks.push(block(&equation.residual, &equation.label, true, &vec![Points::Inner; dimension]));
        }
        for condition in &layout.conditions {
            let axis = condition.face.axis;
            let points: Vec<Points> = (0..dimension)
                .map(|k| {
                    if k == axis {
                        Points::End(condition.face.side == Side::Upper)
                    } else if layout.reaches_edges(axis, k) {
                        Points::Outer(bases[condition.unknown][k].len())
                    } else {
                        Points::Inner
                    }
                })
                .collect();
            blocks.push(block(&condition.residual, &condition.label, false, &points));
        }
        let mut offsets = vec![0];
        for bases in &bases {
            offsets.push(offsets[offsets.len() - 1] + bases.iter().map(|b| b.len()).product::<usize>());
        }
        Bordered {
            names: problem.axes.iter().map(|axis| axis.name.name().to_string()).collect(),
            bases,
            blocks,
            offsets,
            linear: layout.is_linear(),
            stretch: 1.0,
            factors: None,
        }
    }

    /// The coefficients of each unknown.
    pub fn tensors(&self, state: &[f64]) -> Vec<Tensor> {
        self.bases
            .iter()
            .zip(self.offsets.windows(2))
            .map(|(bases, range)| {
                Tensor::new(bases.iter().map(|b| b.len()).collect(), state[range[0]..range[1]].to_vec())
            })
            .collect()
    }
}

/// The coefficients of the orthogonal series, whose squares add up to the size of the function.
pub fn series(bases: &[Arc<Spectral>], coefficients: &Tensor) -> Tensor {
    let mut series = coefficients.clone();
    for (k, basis) in bases.iter().enumerate() {
        series = basis.series(&series, k);
    }
    series
}

impl Block {
    /// The residual's derivatives at the points.
    fn derivatives(&self, tensors: &[Tensor]) -> Vec<Vec<f64>> {
        self.jets
            .iter()
            .zip(self.residual.derivatives())
            .map(|(matrices, derivative)| {
                let mut value = tensors[derivative.unknown].clone();
                for (k, matrix) in matrices.iter().enumerate() {
                    value = value.mode_product(k, matrix.as_ref().as_ref(), Par::rayon(0));
                }
                value.into_values()
            })
            .collect()
    }
}

impl Discretised for Bordered {
    fn len(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    fn is_linear(&self) -> bool {
        self.linear
    }

    fn stretch(&mut self, factor: f64) {
        self.stretch = factor;
    }

    fn constant(&self, value: f64) -> Vec<f64> {
        let mut state = vec![0.0; self.len()];
        for &offset in &self.offsets[..self.bases.len()] {
            // The first basis function along every axis is the constant 1.
            state[offset] = value;
        }
        state
    }

    fn evaluate(&self, state: &[f64]) -> Evaluation {
        let tensors = self.tensors(state);
        let outputs = self.blocks.iter().map(|block| {
            let jets = block.derivatives(&tensors);
            let coordinates: Vec<&[f64]> = block.coordinates.iter().map(Vec::as_slice).collect();
            let factor = if block.equation { self.stretch } else { 1.0 };
            (block.equation, block.residual.evaluate_stretched(&coordinates, &jets, factor))
        });
        Evaluation::gather(self.len(), outputs)
    }

    fn factorise(&mut self, evaluation: &Evaluation) -> Result<(), SolveError> {
        self.factors = None;
        let total = self.len();
        let mut matrix = Mat::<f64>::zeros(total, total);
        let mut row = 0;
        for (block, partials) in self.blocks.iter().zip(&evaluation.partials) {
            let points = block.coordinates[0].len();
            for ((matrices, derivative), partial) in
                block.jets.iter().zip(block.residual.derivatives()).zip(partials)
            {
                let offset = self.offsets[derivative.unknown];
                let columns: Vec<usize> = matrices.iter().map(|m| m.ncols()).collect();
                let count: usize = columns.iter().product();
                let heights: Vec<usize> = matrices.iter().map(|m| m.nrows()).collect();
                for c in 0..count {
                    let places = unravel(c, &columns);
                    let column = matrix.col_mut(offset + c).try_as_col_major_mut().map(|c| c.as_slice_mut());
                    let Some(column) = column else { continue };
                    let target = &mut column[row..row + points];
                    let first = matrices[0].col(places[0]);
                    match matrices.len() {
                        1 => (0..points).for_each(|p| target[p] += partial[p] * first[p]),
                        2 => {
                            let second = matrices[1].col(places[1]);
                            for p in 0..points {
                                target[p] += partial[p] * first[p / heights[1]] * second[p % heights[1]];
                            }
                        }
                        _ => {
                            let (second, third) = (matrices[1].col(places[1]), matrices[2].col(places[2]));
                            for p in 0..points {
                                let (i, rest) =
                                    (p / (heights[1] * heights[2]), p % (heights[1] * heights[2]));
                                target[p] += partial[p]
                                    * first[i]
                                    * second[rest / heights[2]]
                                    * third[rest % heights[2]];
                            }
                        }
                    }
                }
            }
            row += points;
        }
        let mut scales = vec![0.0_f64; total];
        for j in 0..total {
            for i in 0..total {
                scales[i] = scales[i].max(matrix[(i, j)].abs());
            }
        }
        if scales.contains(&0.0) {
            return Err(SolveError::Breakdown(
                "the equations do not determine the solution: a row of the matrix is zero".to_string(),
            ));
        }
        for j in 0..total {
            for i in 0..total {
                matrix[(i, j)] /= scales[i];
            }
        }
        let lu = matrix.partial_piv_lu();
        // Rows of size one that a solution of moderate size cannot meet betray a singular matrix. The size is that of the
        // function: coefficients of high functions are small in well-posed problems too.
        let mut probe = Mat::from_fn(total, 1, |i, _| ((i + 1) as f64 * 12.9898).sin());
        lu.solve_in_place(&mut probe);
        let probe: Vec<f64> = (0..total).map(|i| probe[(i, 0)]).collect();
        let growth = self.norm(&probe);
        if growth.is_nan() || growth >= LARGEST_GROWTH {
            return Err(SolveError::Breakdown(
                "the discretised equations are singular: the conditions do not determine the solution, or \
                 contradict it"
                    .to_string(),
            ));
        }
        self.factors = Some(Factors { lu, scales });
        Ok(())
    }

    fn solve(&self, right_side: &[f64]) -> Result<Vec<f64>, SolveError> {
        let Some(Factors { lu, scales }) = &self.factors else {
            return Err(SolveError::Breakdown("no factorisation".to_string()));
        };
        let mut column = Mat::from_fn(right_side.len(), 1, |i, _| right_side[i] / scales[i]);
        lu.solve_in_place(&mut column);
        let solution: Vec<f64> = (0..right_side.len()).map(|i| column[(i, 0)]).collect();
        if solution.iter().any(|x| !x.is_finite()) {
            return Err(SolveError::Breakdown("the discretised equations are singular".to_string()));
        }
        Ok(solution)
    }

    fn norm(&self, difference: &[f64]) -> f64 {
        let tensors = self.tensors(difference);
        let squares = self
            .bases
            .iter()
            .zip(&tensors)
            .map(|(bases, tensor)| series(bases, tensor).values().iter().map(|c| c * c).sum::<f64>());
        squares.sum::<f64>().sqrt()
    }

    fn fields(&self, state: &[f64]) -> Vec<Field> {
        self.bases
            .iter()
            .zip(self.tensors(state))
            .map(|(bases, coefficients)| Field {
                terms: vec![Term {
                    bases: bases.iter().map(|b| b.clone() as Arc<dyn Basis>).collect(),
                    coefficients,
                }],
            })
            .collect()
    }

    fn noise(&self, state: &[f64]) -> Vec<f64> {
        let tensors = self.tensors(state);
        let mut noise = Vec::with_capacity(state.len());
        for block in &self.blocks {
            let jets = block.derivatives(&tensors);
            let jets: Vec<&[f64]> = jets.iter().map(Vec::as_slice).collect();
            noise.extend(rounding_noise(&block.residual, &block.coordinates, &jets));
        }
        noise
    }

    fn not_finite(&self, evaluation: &Evaluation) -> SolveError {
        let mut row = 0;
        for (block, partials) in self.blocks.iter().zip(&evaluation.partials) {
            let points = block.coordinates[0].len();
            let values = std::iter::once(&evaluation.residual[row..row + points])
                .chain(partials.iter().map(Vec::as_slice));
            for values in values {
                if let Some(p) = values.iter().position(|v| !v.is_finite()) {
                    return not_finite_at(&self.names, &block.label, &block.coordinates, p);
                }
            }
            row += points;
        }
        SolveError::Breakdown("the discretised equations are not finite".to_string())
    }
}

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut places = vec![0; shape.len()];
    for k in (0..shape.len()).rev() {
        places[k] = index % shape[k];
        index /= shape[k];
    }
    places
}
