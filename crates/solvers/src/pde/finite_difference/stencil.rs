//! Difference formulas on equally spaced nodes, and the piecewise polynomials through nodal values.
//!
//! Weights by Fornberg's recursion (1988, Generation of finite difference formulas on arbitrarily spaced grids).

use faer::Mat;
use mathesis_algebra::tensor::Tensor;

use crate::pde::Basis;

/// Weights on consecutive nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Stencil {
    /// The nodes, by index.
    pub nodes: Vec<usize>,
    /// Their weights.
    pub weights: Vec<f64>,
}

/// The nodes of one axis; their positions are counted in steps from the first.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// How many; on a periodic axis the end, which repeats the first, is not counted.
    pub count: usize,
    /// Their distance.
    pub step: f64,
    /// The first node's coordinate.
    pub lower: f64,
    /// Whether the last is followed by the first.
    pub periodic: bool,
}

impl Nodes {
    /// The coordinate of a position.
    pub fn coordinate(&self, position: f64) -> f64 {
        self.lower + self.step * position
    }

    /// A formula for the derivative of order `derivative` at `position`, of order `accuracy`.
    ///
    /// It is centred where the nodes allow, and one node wider where they do not.
    pub fn derivative(&self, position: f64, derivative: usize, accuracy: usize) -> Stencil {
        let at_node = position.fract() == 0.0;
        // Symmetric formulas gain an order where the parity of nodes and derivative is right.
        let width = match (at_node, derivative) {
            (true, 0) => 1,
            (true, _) => 2 * derivative.div_ceil(2) + accuracy - 1,
            (false, _) => accuracy + 2 * (derivative / 2),
        };
        let start = position.ceil() - (width / 2) as f64;
        let fits = self.periodic || (start >= 0.0 && start + width as f64 <= self.count as f64);
        let width = if fits { width } else { width.max(derivative + accuracy) };
        self.window(position, derivative, width)
    }

    /// The derivative of order `derivative` at `position` of the polynomial through the `width` nearest nodes.
    pub fn window(&self, position: f64, derivative: usize, width: usize) -> Stencil {
        let width = width.min(self.count);
        let mut start = (position - 0.5 * (width as f64 - 1.0)).round();
        if !self.periodic {
            start = start.clamp(0.0, (self.count - width) as f64);
        }
        let offsets: Vec<f64> = (0..width).map(|i| start + i as f64 - position).collect();
        let scale = self.step.powi(-(derivative as i32));
        let weights = fornberg(&offsets, derivative).into_iter().map(|w| w * scale).collect();
        let count = self.count as i64;
        let nodes = (0..width).map(|i| (start as i64 + i as i64).rem_euclid(count) as usize).collect();
        Stencil { nodes, weights }
    }
}

/// Weights of the derivative of order `derivative` at 0 for values at `offsets`.
fn fornberg(offsets: &[f64], derivative: usize) -> Vec<f64> {
    let n = offsets.len();
    let mut weights = vec![vec![0.0; derivative + 1]; n];
    weights[0][0] = 1.0;
    let mut c1 = 1.0;
    for i in 1..n {
        let mut c2 = 1.0;
        let highest = i.min(derivative);
        for j in 0..i {
            let c3 = offsets[i] - offsets[j];
            c2 *= c3;
            if j + 1 == i {
                for k in (1..=highest).rev() {
                    weights[i][k] =
                        c1 * (k as f64 * weights[i - 1][k - 1] - offsets[i - 1] * weights[i - 1][k]) / c2;
                }
                weights[i][0] = -c1 * offsets[i - 1] * weights[i - 1][0] / c2;
            }
            for k in (1..=highest).rev() {
                weights[j][k] = (offsets[i] * weights[j][k] - k as f64 * weights[j][k - 1]) / c3;
            }
            weights[j][0] *= offsets[i] / c3;
        }
        c1 = c2;
    }
    weights.into_iter().map(|w| w[derivative]).collect()
}

/// Formulas applied along one axis: the result has one entry for each formula there.
pub fn apply(stencils: &[Stencil], tensor: &Tensor, axis: usize) -> Tensor {
    let (outer, extent, inner) = tensor.strides_around(axis);
    let mut shape = tensor.shape().to_vec();
    shape[axis] = stencils.len();
    let mut result = Tensor::zeros(shape);
    let (source, target) = (tensor.values(), result.values_mut());
    for o in 0..outer {
        for (r, stencil) in stencils.iter().enumerate() {
            let row = &mut target[(o * stencils.len() + r) * inner..][..inner];
            for (&node, &weight) in stencil.nodes.iter().zip(&stencil.weights) {
                let from = &source[(o * extent + node) * inner..][..inner];
                row.iter_mut().zip(from).for_each(|(t, s)| *t += weight * s);
            }
        }
    }
    result
}

/// The piecewise polynomial through nodal values, each piece through the `width` nearest nodes.
#[derive(Clone, Debug)]
pub struct Local {
    /// The nodes.
    pub nodes: Nodes,
    /// Nodes that each piece goes through.
    pub width: usize,
}

impl Local {
    fn stencils(&self, points: &[f64], order: usize) -> Vec<Stencil> {
        let position = |x: &f64| (x - self.nodes.lower) / self.nodes.step;
        points.iter().map(|x| self.nodes.window(position(x), order, self.width)).collect()
    }
}

impl Basis for Local {
    fn len(&self) -> usize {
        self.nodes.count
    }

    fn matrix(&self, points: &[f64], order: usize) -> Mat<f64> {
        let mut matrix = Mat::zeros(points.len(), self.nodes.count);
        for (i, stencil) in self.stencils(points, order).iter().enumerate() {
            for (&node, &weight) in stencil.nodes.iter().zip(&stencil.weights) {
                matrix[(i, node)] += weight;
            }
        }
        matrix
    }

    fn apply(&self, points: &[f64], order: usize, coefficients: &Tensor, axis: usize) -> Tensor {
        apply(&self.stencils(points, order), coefficients, axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A formula of order p for the derivative of order q is exact for polynomials of degree p + q − 1.
    #[test]
    fn formulas_are_exact_for_polynomials() {
        let nodes = Nodes { count: 17, step: 0.25, lower: -1.0, periodic: false };
        for accuracy in [2, 4] {
            for derivative in 0..=4 {
                for half in 0..33 {
                    let position = 0.5 * f64::from(half);
                    let stencil = nodes.derivative(position, derivative, accuracy);
                    for degree in 0..accuracy + derivative {
                        let x = nodes.coordinate(position);
                        let falling: f64 = (0..derivative).map(|k| degree as f64 - k as f64).product();
                        let exact = if degree < derivative {
                            0.0
                        } else {
                            falling * x.powi((degree - derivative) as i32)
                        };
                        let value: f64 = stencil
                            .nodes
                            .iter()
                            .zip(&stencil.weights)
                            .map(|(&n, w)| w * nodes.coordinate(n as f64).powi(degree as i32))
                            .sum();
                        assert!(
                            (value - exact).abs() < 1e-8 * (1.0 + exact.abs()) * 4f64.powi(derivative as i32),
                            "order {accuracy}, derivative {derivative}, position {position}, degree {degree}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn formulas_wrap_around_a_periodic_axis() {
        let nodes = Nodes { count: 8, step: 1.0, lower: 0.0, periodic: true };
        let stencil = nodes.derivative(0.0, 2, 2);
        assert_eq!(stencil.nodes, [7, 0, 1]);
        assert_eq!(stencil.weights, [1.0, -2.0, 1.0]);
    }
}
