//! Finite differences on a uniform grid: robust where solutions are not smooth, and sparse, so grids may be large.
//!
//! Along an axis on which its equation is of order `m` an unknown has `N` nodal values, and the equation is asked for at the
//! `N − m` positions `i + m/2`, in steps from the first node: at the nodes between the faces for even orders, half way
//! between nodes for odd ones. First-order axes thus get the box scheme (along time: Crank-Nicolson; Keller 1971),
//! second-order ones the centred formulas. Which conditions make up for the missing rows is stated in [`super::layout`].
//! Second-order axes with both conditions at one end (the wave equation's time) average the terms
//! that are not differentiated along them with weights 1/4, 1/2, 1/4 at order 2 (Newmark's method, stable for every
//! step); at order 4 they do not, and the time step must not exceed about the space step over the wave speed.
//!
//! Formulas are centred inside and one-sided next to the faces (see [`stencil`]); the sparse system is solved by LU
//! factorisation, equations that are not linear by [`super::newton`]. Grids of half and a quarter of the points give the
//! error estimate by Richardson's extrapolation with the observed rate.

mod stencil;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use faer::Mat;
use faer::linalg::solvers::Solve;
use faer::sparse::linalg::solvers::{Lu, SymbolicLu};
use faer::sparse::{SparseColMat, Triplet};
use mathesis_algebra::tensor::Tensor;

use super::layout::{Layout, OwnedCondition};
use super::newton::{self, Discretised, Evaluation, Journal, rounding_noise};
use super::options::{self};
use super::{
    Basis, Field, Method, Observer, Problem, Residual, Side, Solution, SolveError, Status, grid_coordinates,
};
use stencil::{Local, Nodes, Stencil};

/// The method, with its options.
#[derive(Clone, Debug, Default)]
pub struct FiniteDifference {
    /// The options.
    pub options: options::FiniteDifference,
}

const NAME: &str = "finite-difference";
/// Points along each axis where none are asked for, by dimension.
const DEFAULT: [usize; 3] = [2001, 129, 25];
/// The most nodal values of all unknowns together, by dimension: what the fill of the factors allows in about 4 GB.
const LARGEST: [usize; 3] = [2_000_000, 250_000, 70_000];

impl Method for FiniteDifference {
    fn name(&self) -> &'static str {
        NAME
    }

    fn solve(&self, problem: &Problem, observer: &mut dyn Observer) -> Result<Solution, SolveError> {
        let options = &self.options;
        newton::require_limits(options.tolerance, options.iterations)?;
        if options.order != 2 && options.order != 4 {
            let message = format!("{}; expected 2 or 4", options.order);
            return Err(SolveError::Option { key: "order", message });
        }
        let layout = Layout::new(problem, NAME)?;
        let points = self.points(problem, &layout)?;
        let mut journal = Journal::new(problem, observer);

        let least: Vec<usize> = (0..points.len()).map(|k| least_points(&layout, k, options.order)).collect();
        let mut grids = vec![points.clone()];
        while grids.len() < 3 {
            let finer = &grids[grids.len() - 1];
            let coarser: Vec<usize> = finer.iter().map(|n| n.div_ceil(2)).collect();
            if coarser.iter().zip(&least).any(|(n, least)| n < least) {
                break;
            }
            grids.push(coarser);
        }
        let mut levels: Vec<Vec<Field>> = Vec::new();
        let mut notes = Vec::new();
        for grid in grids.iter().skip(1).rev() {
            match solve_grid(problem, &layout, grid, options, levels.last(), &mut journal) {
                Ok((fields, outcome)) if outcome.status == Status::Interrupted => {
                    notes.push("interrupted on a coarser grid than asked for".to_string());
                    return Ok(report(fields, outcome, None, notes, options, grid, journal));
                }
                Ok((fields, outcome)) if outcome.status == Status::Converged => levels.push(fields),
                Ok(_) | Err(SolveError::Breakdown(_)) => levels.clear(),
                Err(error) => return Err(error),
            }
        }
        let (fields, outcome) = solve_grid(problem, &layout, &points, options, levels.last(), &mut journal)?;
        levels.push(fields.clone());
        let estimate = extrapolate(problem, &levels, options.order)
            .map(|e| e.max(outcome.correction).max(outcome.noise));
        if estimate.is_none() {
            notes.push("no error estimate: coarser grids could not be solved".to_string());
        }
        Ok(report(fields, outcome, estimate, notes, options, &points, journal))
    }
}

impl FiniteDifference {
    fn points(&self, problem: &Problem, layout: &Layout) -> Result<Vec<usize>, SolveError> {
        let dimension = problem.dimension();
        let refuse = |message: String| SolveError::Option { key: "points", message };
        let points = match &self.options.points {
            Some(points) => points
                .resolve(dimension)
                .ok_or_else(|| refuse(format!("expected one value or {dimension}, one for each axis")))?,
            None => vec![DEFAULT[dimension - 1]; dimension],
        };
        for (k, &n) in points.iter().enumerate() {
            let least = least_points(layout, k, self.options.order);
            if n < least {
                let name = problem.axes[k].name.name();
                return Err(refuse(format!("{n} points along `{name}`; at least {least} are needed")));
            }
        }
        let unknowns = problem.unknowns.len();
        let total =
            points.iter().try_fold(unknowns, |product, &n| product.checked_mul(n)).unwrap_or(usize::MAX);
        let most = LARGEST[dimension - 1];
        if total > most {
            let per_axis = (most as f64 / unknowns as f64).powf(1.0 / dimension as f64).floor();
            return Err(refuse(format!(
                "{total} nodal values; at most {most}, that is {per_axis} points along each axis, fit the factors into memory"
            )));
        }
        Ok(points)
    }
}

/// Points along an axis that the widest formula needs.
fn least_points(layout: &Layout, axis: usize, accuracy: usize) -> usize {
    let highest =
        |residual: &Residual| residual.derivatives().iter().map(|d| d.orders[axis]).max().unwrap_or(0);
    let equations = layout.equations.iter().map(|e| highest(&e.residual));
    let conditions = layout.conditions.iter().map(|c| highest(&c.residual));
    equations.chain(conditions).max().unwrap_or(0) + accuracy + 1
}

fn solve_grid(
    problem: &Problem,
    layout: &Layout,
    points: &[usize],
    options: &options::FiniteDifference,
    coarser: Option<&Vec<Field>>,
    journal: &mut Journal<'_>,
) -> Result<(Vec<Field>, newton::Outcome), SolveError> {
    let mut system = Sparse::new(problem, layout, points, options.order);
    let initial = coarser.filter(|_| !layout.is_linear()).map(|fields| {
        let axes: Vec<Vec<f64>> = system.nodes.iter().map(|n| positions(n, 0, n.count).1).collect();
        fields.iter().flat_map(|f| f.on_grid(&vec![0; points.len()], &axes).into_values()).collect()
    });
    let outcome = newton::solve(&mut system, initial, options.iterations, options.tolerance, journal);
    let outcome = outcome.map_err(|error| {
        if options.order == 4 { diagnosed(problem, layout, points, error) } else { error }
    })?;
    Ok((system.fields(&outcome.state), outcome))
}

/// A breakdown at order 4, with its reason if it is the instability of the formulas along an axis of second order with both
/// conditions at one end: order 2, which is stable there, then works on the same grid.
fn diagnosed(problem: &Problem, layout: &Layout, points: &[usize], error: SolveError) -> SolveError {
    let evolves = |k: &usize| {
        let on_axis = |side: Side| {
            layout.conditions.iter().filter(move |c| c.face.axis == *k && c.face.side == side).count()
        };
        let second = layout.orders.iter().any(|orders| orders[*k] >= 2);
        second && (on_axis(Side::Lower) == 0 || on_axis(Side::Upper) == 0)
    };
    let Some(axis) = (0..points.len()).find(evolves) else { return error };
    if points.len() == 1 || !matches!(error, SolveError::Breakdown(_)) {
        return error;
    }
    let mut stable = Sparse::new(problem, layout, points, 2);
    let evaluation = stable.evaluate(&stable.constant(0.0));
    if stable.factorise(&evaluation).is_err() {
        return error;
    }
    let name = problem.axes[axis].name.name();
    SolveError::Breakdown(format!(
        "the difference equations of order 4 are unstable with {} points along `{name}`: the step along `{name}` is too \
         long for those along the other axes; take order = 2, or more points along `{name}`",
        points[axis]
    ))
}

/// The relative L2 error of the last of up to three levels, by the rate at which the levels approach each other.
fn extrapolate(problem: &Problem, levels: &[Vec<Field>], order: usize) -> Option<f64> {
    let dimension = problem.dimension();
    let count = [1000, 120, 40][dimension - 1];
    // Off the nodes, so that what interpolation adds is seen too.
    let axes: Vec<Vec<f64>> = problem.axes.iter().map(|axis| axis.uniform_points(count)).collect();
    let values: Vec<Vec<Tensor>> = levels
        .iter()
        .rev()
        .map(|fields| fields.iter().map(|f| f.on_grid(&vec![0; dimension], &axes)).collect())
        .collect();
    let distance = |a: &Tensor, b: &Tensor| -> f64 {
        a.values().iter().zip(b.values()).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
    };
    let finest = values.first()?;
    let coarser = values.get(1)?;
    let best_rate = 2f64.powi(order as i32);
    let mut worst = 0.0_f64;
    for (u, field) in finest.iter().enumerate() {
        let size = field.values().iter().map(|v| v * v).sum::<f64>().sqrt();
        let last = distance(field, &coarser[u]);
        let rate = match values.get(2) {
            Some(coarsest) if last > 0.0 => distance(&coarser[u], &coarsest[u]) / last,
            _ => 2.0,
        };
        let error = last / (rate.clamp(1.5, best_rate) - 1.0);
        worst = worst.max(if size > 0.0 { error / size } else { error });
    }
    Some(worst)
}

fn report(
    fields: Vec<Field>,
    outcome: newton::Outcome,
    estimate: Option<f64>,
    mut notes: Vec<String>,
    options: &options::FiniteDifference,
    points: &[usize],
    journal: Journal<'_>,
) -> Solution {
    let sizes: Vec<String> = points.iter().map(ToString::to_string).collect();
    notes.insert(0, format!("{} points, formulas of order {}", sizes.join(" x "), options.order));
    Solution {
        method: format!("{NAME} (order {})", options.order),
        fields,
        status: outcome.status,
        iterations: journal.iterations,
        error_estimate: estimate.filter(|e| e.is_finite()),
        elapsed: journal.elapsed(),
        history: journal.history,
        spectra: Vec::new(),
        notes,
        figures: vec![("rounding".to_string(), outcome.correction)],
    }
}

/// The formulas along one axis, one for each position.
type Formulas = Arc<Vec<Stencil>>;

/// One equation or condition at its points.
struct Block {
    residual: Residual,
    label: String,
    equation: bool,
    coordinates: Vec<Vec<f64>>,
    /// For each of the residual's derivatives the formulas along the axes.
    jets: Vec<Vec<Formulas>>,
}

/// A problem in nodal values.
struct Sparse {
    nodes: Vec<Nodes>,
    names: Vec<String>,
    unknowns: usize,
    blocks: Vec<Block>,
    accuracy: usize,
    linear: bool,
    stretch: f64,
    symbolic: Option<SymbolicLu<usize>>,
    factors: Option<(Lu<usize, f64>, Vec<f64>)>,
}

/// `count` positions from `first` (in half steps) on, and their coordinates.
fn positions(nodes: &Nodes, first: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    let positions: Vec<f64> = (0..count).map(|i| i as f64 + 0.5 * first as f64).collect();
    let coordinates = positions.iter().map(|p| nodes.coordinate(*p)).collect();
    (positions, coordinates)
}

impl Sparse {
    fn new(problem: &Problem, layout: &Layout, points: &[usize], accuracy: usize) -> Self {
        let dimension = problem.dimension();
        let nodes: Vec<Nodes> = problem
            .axes
            .iter()
            .zip(points)
            .map(|(axis, &count)| Nodes {
                count,
                step: axis.length() / if axis.periodic { count } else { count - 1 } as f64,
                lower: axis.lower.1,
                periodic: axis.periodic,
            })
            .collect();
        let conditions_at = |unknown: usize, k: usize, side: Side| {
            let matches =
                |c: &&OwnedCondition| c.unknown == unknown && c.face.axis == k && c.face.side == side;
            layout.conditions.iter().filter(matches).count()
        };
        let mut cache: HashMap<_, Formulas> = HashMap::new();
        // Along each axis: the first position in half steps, how many, and whether undifferentiated terms are averaged.
        let mut block = |residual: &Residual,
                         label: &str,
                         equation: bool,
                         places: &[(usize, usize, bool)]| {
            let axes: Vec<Vec<f64>> =
                (0..dimension).map(|k| positions(&nodes[k], places[k].0, places[k].1).1).collect();
            let jets = residual
                .derivatives()
                .iter()
                .map(|d| {
                    (0..dimension)
                        .map(|k| {
                            let (first, count, averaged) = places[k];
                            let averaged = averaged && d.orders[k] == 0;
                            let formulas = || {
                                let formula = |p: &f64| {
                                    if averaged {
                                        let nodes = (0..3).map(|i| *p as usize + i - 1).collect();
                                        return Stencil { nodes, weights: vec![0.25, 0.5, 0.25] };
                                    }
                                    nodes[k].derivative(*p, d.orders[k], accuracy)
                                };
                                Arc::new(positions(&nodes[k], first, count).0.iter().map(formula).collect())
                            };
                            cache
                                .entry((k, d.orders[k], first, count, averaged))
                                .or_insert_with(formulas)
                                .clone()
                        })
                        .collect()
                })
                .collect();
            let coordinates = grid_coordinates(&axes);
            Block { residual: residual.clone(), label: label.to_string(), equation, coordinates, jets }
        };
        let mut blocks = Vec::new();
        for equation in &layout.equations {
            let places: Vec<(usize, usize, bool)> = (0..dimension)
                .map(|k| {
                    let order = layout.orders[equation.unknown][k];
                    let one_sided = order == 2 && conditions_at(equation.unknown, k, Side::Lower) != 1;
                    (order, points[k] - order, one_sided && accuracy == 2)
                })
                .collect();
            blocks.push(block(&equation.residual, &equation.label, true, &places));
        }
        for condition in &layout.conditions {
            let axis = condition.face.axis;
            let places: Vec<(usize, usize, bool)> = (0..dimension)
                .map(|k| {
                    if k == axis {
                        let node = if condition.face.side == Side::Lower { 0 } else { points[k] - 1 };
                        (2 * node, 1, false)
                    } else if layout.reaches_edges(axis, k) {
                        (0, points[k], false)
                    } else {
                        let lower = conditions_at(condition.unknown, k, Side::Lower);
                        (2 * lower, points[k] - layout.orders[condition.unknown][k], false)
                    }
                })
                .collect();
            blocks.push(block(&condition.residual, &condition.label, false, &places));
        }
        Sparse {
            names: problem.axes.iter().map(|axis| axis.name.name().to_string()).collect(),
            unknowns: problem.unknowns.len(),
            nodes,
            blocks,
            accuracy,
            linear: layout.is_linear(),
            stretch: 1.0,
            symbolic: None,
            factors: None,
        }
    }

    fn shape(&self) -> Vec<usize> {
        self.nodes.iter().map(|n| n.count).collect()
    }

    fn tensors(&self, state: &[f64]) -> Vec<Tensor> {
        let count = state.len() / self.unknowns;
        state.chunks_exact(count).map(|values| Tensor::new(self.shape(), values.to_vec())).collect()
    }

    fn triplets(&self, evaluation: &Evaluation) -> (Vec<Triplet<usize, usize, f64>>, Vec<f64>) {
        let shape = self.shape();
        let per_unknown: usize = shape.iter().product();
        let strides: Vec<usize> = (0..shape.len()).map(|k| shape[k + 1..].iter().product()).collect();
        let mut entries = Vec::new();
        let mut scales = Vec::with_capacity(self.len());
        let mut columns: Vec<(usize, f64)> = Vec::new();
        let mut row = 0;
        for (block, partials) in self.blocks.iter().zip(&evaluation.partials) {
            let heights: Vec<usize> = (0..shape.len())
                .map(|k| block.jets.first().map_or(1, |formulas| formulas[k].len()))
                .collect();
            for p in 0..block.coordinates[0].len() {
                columns.clear();
                for ((formulas, derivative), partial) in
                    block.jets.iter().zip(block.residual.derivatives()).zip(partials)
                {
                    let first = columns.len();
                    columns.push((derivative.unknown * per_unknown, partial[p]));
                    let mut inner: usize = heights.iter().product();
                    for (k, formulas) in formulas.iter().enumerate() {
                        inner /= heights[k];
                        let formula = &formulas[p / inner % heights[k]];
                        let partly: Vec<(usize, f64)> = columns.drain(first..).collect();
                        for (column, weight) in partly {
                            for (&node, &w) in formula.nodes.iter().zip(&formula.weights) {
                                columns.push((column + node * strides[k], weight * w));
                            }
                        }
                    }
                }
                columns.sort_unstable_by_key(|(column, _)| *column);
                columns.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.1 += next.1;
                    }
                    same
                });
                let scale = columns.iter().fold(0.0_f64, |m, (_, v)| m.max(v.abs()));
                scales.push(scale);
                entries.extend(columns.iter().map(|&(column, v)| Triplet::new(row, column, v / scale)));
                row += 1;
            }
        }
        (entries, scales)
    }
}

impl Block {
    /// The residual's derivatives at the points.
    fn derivatives(&self, tensors: &[Tensor]) -> Vec<Vec<f64>> {
        self.jets
            .iter()
            .zip(self.residual.derivatives())
            .map(|(formulas, derivative)| {
                let mut value = tensors[derivative.unknown].clone();
                for (k, formulas) in formulas.iter().enumerate() {
                    value = stencil::apply(formulas, &value, k);
                }
                value.into_values()
            })
            .collect()
    }
}

impl Discretised for Sparse {
    fn len(&self) -> usize {
        self.unknowns * self.shape().iter().product::<usize>()
    }

    fn is_linear(&self) -> bool {
        self.linear
    }

    fn stretch(&mut self, factor: f64) {
        self.stretch = factor;
    }

    fn constant(&self, value: f64) -> Vec<f64> {
        vec![value; self.len()]
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
        let singular = || {
            SolveError::Breakdown(
                "the difference equations are singular: the conditions do not determine the solution"
                    .to_string(),
            )
        };
        let total = self.len();
        let (entries, scales) = self.triplets(evaluation);
        if scales.contains(&0.0) {
            return Err(singular());
        }
        let matrix = SparseColMat::try_new_from_triplets(total, total, &entries)
            .map_err(|e| SolveError::Breakdown(format!("the sparse matrix could not be built: {e:?}")))?;
        drop(entries);
        let failed = |e| SolveError::Breakdown(format!("the sparse factorisation failed: {e:?}"));
        let symbolic = match &self.symbolic {
            Some(symbolic) => symbolic.clone(),
            None => SymbolicLu::try_new(matrix.symbolic()).map_err(failed)?,
        };
        let lu = Lu::try_new_with_symbolic(symbolic.clone(), matrix.as_ref()).map_err(|_| singular())?;
        // One step of inverse iteration: a singular matrix shows as a huge solution.
        let mut probe = Mat::from_fn(total, 1, |i, _| ((i + 1) as f64 * 12.9898).sin());
        let size = probe.norm_l2();
        lu.solve_in_place(&mut probe);
        let growth = probe.norm_l2() / size;
        if growth.is_nan() || growth >= 1e15 {
            return Err(singular());
        }
        self.symbolic = Some(symbolic);
        self.factors = Some((lu, scales));
        Ok(())
    }

    fn solve(&self, right_side: &[f64]) -> Result<Vec<f64>, SolveError> {
        let Some((lu, scales)) = &self.factors else {
            return Err(SolveError::Breakdown("no factorisation".to_string()));
        };
        let mut column = Mat::from_fn(right_side.len(), 1, |i, _| right_side[i] / scales[i]);
        lu.solve_in_place(&mut column);
        let solution: Vec<f64> = (0..right_side.len()).map(|i| column[(i, 0)]).collect();
        if solution.iter().any(|x| !x.is_finite()) {
            return Err(SolveError::Breakdown("the difference equations are singular".to_string()));
        }
        Ok(solution)
    }

    fn norm(&self, difference: &[f64]) -> f64 {
        (difference.iter().map(|v| v * v).sum::<f64>() / difference.len().max(1) as f64).sqrt()
    }

    fn fields(&self, state: &[f64]) -> Vec<Field> {
        let bases: Vec<Arc<dyn Basis>> = self
            .nodes
            .iter()
            // Wide enough for derivatives of order 4, and for the formulas' order in the second ones.
            .map(|nodes| Arc::new(Local { nodes: nodes.clone(), width: self.accuracy + 3 }) as Arc<dyn Basis>)
            .collect();
        self.tensors(state).into_iter().map(|values| Field::new(bases.clone(), values)).collect()
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
            let rows = std::iter::once(&evaluation.residual[row..row + points]);
            for values in rows.chain(partials.iter().map(Vec::as_slice)) {
                if let Some(p) = values.iter().position(|v| !v.is_finite()) {
                    return newton::not_finite_at(&self.names, &block.label, &block.coordinates, p);
                }
            }
            row += points;
        }
        SolveError::Breakdown("the difference equations are not finite".to_string())
    }
}
