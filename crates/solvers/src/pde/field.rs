//! A function on the box as a sum of tensor products: every method's solution, evaluated in one way.
//!
//! `u(x_1, ..., x_d) = Σ_terms Σ_{i_1...i_d} c[i_1, ..., i_d] φ¹_{i_1}(x_1) ... φᵈ_{i_d}(x_d)`; a method says what its one-dimensional
//! functions `φ` are (polynomials, trigonometric functions, kernel sections, local interpolants).

use std::fmt::Debug;
use std::sync::Arc;

use faer::{Mat, Par};
use mathesis_algebra::tensor::Tensor;

/// A finite set of functions of one variable.
pub trait Basis: Debug + Send + Sync {
    /// How many functions.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The matrix with entries `φ_j^{(order)}(points[i])`, shape `(points.len(), self.len())`.
    fn matrix(&self, points: &[f64], order: usize) -> Mat<f64>;

    /// The mode product of `coefficients` with that matrix along `axis`; bases whose matrix is sparse do without it.
    fn apply(&self, points: &[f64], order: usize, coefficients: &Tensor, axis: usize) -> Tensor {
        coefficients.mode_product(axis, self.matrix(points, order).as_ref(), Par::rayon(0))
    }
}

/// One tensor-product term: a basis for each axis and their coefficients.
#[derive(Clone, Debug)]
pub struct Term {
    /// One basis for each axis.
    pub bases: Vec<Arc<dyn Basis>>,
    /// Coefficients, of shape `(bases[0].len(), ..., bases[d-1].len())`.
    pub coefficients: Tensor,
}

/// One unknown's solution.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// The terms; their sum is the function.
    pub terms: Vec<Term>,
}

impl Field {
    /// A field of one term.
    pub fn new(bases: Vec<Arc<dyn Basis>>, coefficients: Tensor) -> Self {
        Field { terms: vec![Term { bases, coefficients }] }
    }

    /// The derivative of the given `orders` on the tensor grid of `axes`; the result has shape `(axes[0].len(), ...)`.
    pub fn on_grid(&self, orders: &[usize], axes: &[Vec<f64>]) -> Tensor {
        let shape: Vec<usize> = axes.iter().map(Vec::len).collect();
        let mut total = Tensor::zeros(shape);
        for term in &self.terms {
            let mut value = term.coefficients.clone();
            for (k, basis) in term.bases.iter().enumerate() {
                value = basis.apply(&axes[k], orders.get(k).copied().unwrap_or(0), &value, k);
            }
            for (t, v) in total.values_mut().iter_mut().zip(value.values()) {
                *t += v;
            }
        }
        total
    }

    /// The derivative of the given `orders` at single points, each of as many coordinates as there are axes.
    pub fn at_points(&self, orders: &[usize], points: &[Vec<f64>]) -> Vec<f64> {
        points
            .iter()
            .map(|point| {
                let axes: Vec<Vec<f64>> = point.iter().map(|&x| vec![x]).collect();
                self.on_grid(orders, &axes).values()[0]
            })
            .collect()
    }
}
