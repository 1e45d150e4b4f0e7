//! Dense row-major tensors and the mode product, the one contraction that tensor-product methods need.
//!
//! For a tensor `T` of shape `(n_1, ..., n_d)` and a matrix `M` of shape `(m, n_k)` the mode-k product is
//! `(T ×_k M)[i_1, ..., j, ..., i_d] = Σ_{i_k} M[j, i_k] T[i_1, ..., i_k, ..., i_d]`; the result has `m` in place of `n_k`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// A dense tensor of `f64`, row-major (the last index runs fastest).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Tensor {
    /// A tensor from its shape and its row-major values.
    ///
    /// # Panics
    /// If the number of values is not the product of the shape.
    pub fn new(shape: Vec<usize>, values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "tensor of shape {shape:?}");
        Tensor { shape, values }
    }

    /// The zero tensor.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let length = shape.iter().product();
        Tensor { shape, values: vec![0.0; length] }
    }

    /// The extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values, row-major, for writing.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// The values, taken out.
    pub fn into_values(self) -> Vec<f64> {
        self.values
    }

    /// The number of entries before, at, and after `axis` in row-major order.
    pub fn strides_around(&self, axis: usize) -> (usize, usize, usize) {
        let outer = self.shape[..axis].iter().product();
        let inner = self.shape[axis + 1..].iter().product();
        (outer, self.shape[axis], inner)
    }

    /// The mode product with `matrix` (shape `(m, shape[axis])`) along `axis`.
    ///
    /// # Panics
    /// If the matrix has not `shape[axis]` columns or `axis` does not exist.
    pub fn mode_product(&self, axis: usize, matrix: MatRef<'_, f64>, parallelism: Par) -> Tensor {
        let (outer, extent, inner) = self.strides_around(axis);
        assert_eq!(
            matrix.ncols(),
            extent,
            "mode product along axis {axis} of a tensor of shape {:?}",
            self.shape
        );
        let rows = matrix.nrows();
        let mut shape = self.shape.clone();
        shape[axis] = rows;
        let mut product = Tensor::zeros(shape);
        if inner == 1 {
            // The mode is the innermost: one product of the whole tensor, seen as an (outer, extent) matrix, with Mᵀ.
            let source = MatRef::from_row_major_slice(&self.values, outer, extent);
            let target = MatMut::from_row_major_slice_mut(&mut product.values, outer, rows);
            matmul(target, Accum::Replace, source, matrix.transpose(), 1.0, parallelism);
        } else if inner * extent > 0 {
            for (source, target) in self
                .values
                .chunks_exact(extent * inner)
                .zip(product.values.chunks_exact_mut((rows * inner).max(1)))
            {
                let source = MatRef::from_row_major_slice(source, extent, inner);
                let target = MatMut::from_row_major_slice_mut(target, rows, inner);
                matmul(target, Accum::Replace, matrix, source, 1.0, parallelism);
            }
        }
        product
    }
}

/// The mode product by the definition's sum: the reference that the tests compare [`Tensor::mode_product`] with.
pub fn mode_product_reference(tensor: &Tensor, axis: usize, matrix: MatRef<'_, f64>) -> Tensor {
    let (outer, extent, inner) = tensor.strides_around(axis);
    let rows = matrix.nrows();
    let mut shape = tensor.shape.clone();
    shape[axis] = rows;
    let mut product = Tensor::zeros(shape);
    for o in 0..outer {
        for j in 0..rows {
            for k in 0..inner {
                product.values[(o * rows + j) * inner + k] =
                    (0..extent).map(|i| matrix[(j, i)] * tensor.values[(o * extent + i) * inner + k]).sum();
            }
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::Mat;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mode_product_equals_its_definition(shape in prop::collection::vec(0usize..6, 1..4), rows in 0usize..5, seed in any::<u32>()) {
            let length: usize = shape.iter().product();
            let noise = |i: usize| ((i as f64 + 1.0) * 12.9898 + f64::from(seed) * 1e-6).sin();
            let tensor = Tensor::new(shape.clone(), (0..length).map(noise).collect());
            for axis in 0..shape.len() {
                let matrix = Mat::from_fn(rows, shape[axis], |i, j| noise(31 * i + 7 * j));
                let fast = tensor.mode_product(axis, matrix.as_ref(), Par::Seq);
                let slow = mode_product_reference(&tensor, axis, matrix.as_ref());
                prop_assert_eq!(fast.shape(), slow.shape());
                for (a, b) in fast.values().iter().zip(slow.values()) {
                    prop_assert!((a - b).abs() < 1e-12);
                }
            }
        }
    }
}
