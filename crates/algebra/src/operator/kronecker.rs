//! Kronecker products `A_1 ⊗ ... ⊗ A_d` and sums `A_1 ⊕ ... ⊕ A_d = Σ_k I ⊗ ... ⊗ A_k ⊗ ... ⊗ I`, kept as their factors.
//!
//! Vectors are row-major tensors: the last factor acts on the index that runs fastest.

use faer::{Mat, Par, Side};

use super::{Factorisation, FactorisationError, Factorise, LinearOperator};
use crate::tensor::Tensor;

/// The Kronecker product of square or rectangular factors.
#[derive(Debug)]
pub struct KroneckerProduct<A> {
    factors: Vec<A>,
}

impl<A: LinearOperator> KroneckerProduct<A> {
    /// From its factors, outermost first.
    pub fn new(factors: Vec<A>) -> Self {
        KroneckerProduct { factors }
    }
}

impl<A: LinearOperator> LinearOperator for KroneckerProduct<A> {
    fn shape(&self) -> (usize, usize) {
        self.factors.iter().map(LinearOperator::shape).fold((1, 1), |(r, c), (n, m)| (r * n, c * m))
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let shape = self.factors.iter().map(|a| a.shape().1).collect();
        let mut tensor = Tensor::new(shape, vector.to_vec());
        for (axis, factor) in self.factors.iter().enumerate() {
            tensor = along_fibres(&tensor, axis, factor.shape().0, |fibre| factor.apply(fibre));
        }
        tensor.into_values()
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        let shape = self.factors.iter().map(|a| a.shape().0).collect();
        let mut tensor = Tensor::new(shape, vector.to_vec());
        for (axis, factor) in self.factors.iter().enumerate() {
            tensor = along_fibres(&tensor, axis, factor.shape().1, |fibre| factor.apply_transpose(fibre));
        }
        tensor.into_values()
    }
}

impl<A: Factorise> Factorise for KroneckerProduct<A> {
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError> {
        let factors = self.factors.iter().map(Factorise::factorise).collect::<Result<_, _>>()?;
        Ok(Box::new(FactorisedProduct { factors }))
    }
}

#[derive(Debug)]
struct FactorisedProduct {
    factors: Vec<Box<dyn Factorisation>>,
}

impl Factorisation for FactorisedProduct {
    fn dimension(&self) -> usize {
        self.factors.iter().map(|f| f.dimension()).product()
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        let shape = self.factors.iter().map(|f| f.dimension()).collect();
        let mut tensor = Tensor::new(shape, right_side.to_vec());
        for (axis, factor) in self.factors.iter().enumerate() {
            tensor = along_fibres(&tensor, axis, factor.dimension(), |fibre| factor.solve(fibre));
        }
        tensor.into_values()
    }

    fn log_determinant(&self) -> f64 {
        // det(A ⊗ B) = det(A)^m det(B)^n for A of dimension n and B of dimension m.
        let dimension = self.dimension();
        self.factors.iter().map(|f| (dimension / f.dimension().max(1)) as f64 * f.log_determinant()).sum()
    }
}

/// Applies `map` to every fibre of the tensor along `axis`.
fn along_fibres(tensor: &Tensor, axis: usize, extent: usize, map: impl Fn(&[f64]) -> Vec<f64>) -> Tensor {
    let (outer, old, inner) = tensor.strides_around(axis);
    let mut shape = tensor.shape().to_vec();
    shape[axis] = extent;
    let mut result = Tensor::zeros(shape);
    let mut fibre = vec![0.0; old];
    for o in 0..outer {
        for k in 0..inner {
            for (i, entry) in fibre.iter_mut().enumerate() {
                *entry = tensor.values()[(o * old + i) * inner + k];
            }
            for (i, value) in map(&fibre).into_iter().enumerate() {
                result.values_mut()[(o * extent + i) * inner + k] = value;
            }
        }
    }
    result
}

/// The Kronecker sum of symmetric factors, for example a Laplacian on a tensor grid.
#[derive(Clone, Debug)]
pub struct KroneckerSum {
    factors: Vec<Mat<f64>>,
}

impl KroneckerSum {
    /// From its symmetric factors, outermost first. Only their lower triangles are read when they are factorised.
    ///
    /// # Panics
    /// If a factor is not square.
    pub fn new(factors: Vec<Mat<f64>>) -> Self {
        assert!(factors.iter().all(|f| f.nrows() == f.ncols()), "the factors of a Kronecker sum are square");
        KroneckerSum { factors }
    }

    fn extents(&self) -> Vec<usize> {
        self.factors.iter().map(Mat::nrows).collect()
    }
}

impl LinearOperator for KroneckerSum {
    fn shape(&self) -> (usize, usize) {
        let dimension = self.extents().iter().product();
        (dimension, dimension)
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let tensor = Tensor::new(self.extents(), vector.to_vec());
        let mut sum = vec![0.0; vector.len()];
        for (axis, factor) in self.factors.iter().enumerate() {
            let product = tensor.mode_product(axis, factor.as_ref(), Par::Seq);
            sum.iter_mut().zip(product.values()).for_each(|(s, p)| *s += p);
        }
        sum
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        let transposed =
            KroneckerSum { factors: self.factors.iter().map(|f| f.transpose().to_owned()).collect() };
        transposed.apply(vector)
    }
}

impl Factorise for KroneckerSum {
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError> {
        let mut vectors = Vec::new();
        let mut eigenvalues = vec![0.0];
        for factor in &self.factors {
            let eigen = factor.self_adjoint_eigen(Side::Lower).map_err(|_| FactorisationError::Singular)?;
            let values = eigen.S();
            let values: Vec<f64> = (0..factor.nrows()).map(|i| values.column_vector()[i]).collect();
            eigenvalues = eigenvalues.iter().flat_map(|a| values.iter().map(move |b| a + b)).collect();
            vectors.push(eigen.U().to_owned());
        }
        let largest = eigenvalues.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        if eigenvalues.iter().any(|v| v.abs() <= 1e-14 * largest || !v.is_finite()) {
            return Err(FactorisationError::Singular);
        }
        Ok(Box::new(DiagonalisedSum { vectors, eigenvalues }))
    }
}

/// `(Q_1 ⊗ ... ⊗ Q_d) diag(sums of eigenvalues) (Q_1 ⊗ ... ⊗ Q_d)ᵀ`.
#[derive(Debug)]
struct DiagonalisedSum {
    vectors: Vec<Mat<f64>>,
    eigenvalues: Vec<f64>,
}

impl Factorisation for DiagonalisedSum {
    fn dimension(&self) -> usize {
        self.eigenvalues.len()
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        let mut tensor = Tensor::new(self.vectors.iter().map(Mat::nrows).collect(), right_side.to_vec());
        for (axis, q) in self.vectors.iter().enumerate() {
            tensor = tensor.mode_product(axis, q.transpose(), Par::Seq);
        }
        tensor.values_mut().iter_mut().zip(&self.eigenvalues).for_each(|(x, value)| *x /= value);
        for (axis, q) in self.vectors.iter().enumerate() {
            tensor = tensor.mode_product(axis, q.as_ref(), Par::Seq);
        }
        tensor.into_values()
    }

    fn log_determinant(&self) -> f64 {
        self.eigenvalues.iter().map(|v| v.abs().ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Dense, SymmetricToeplitz};

    fn kronecker(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
        let (p, q) = (b.nrows(), b.ncols());
        Mat::from_fn(a.nrows() * p, a.ncols() * q, |i, j| a[(i / p, j / q)] * b[(i % p, j % q)])
    }

    fn assert_close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() < 1e-9, "{x} {y}");
        }
    }

    #[test]
    fn product_agrees_with_the_written_out_matrix() {
        for (n, m) in [(1, 1), (3, 5), (6, 2), (7, 8)] {
            let toeplitz = |n: usize, f: f64| {
                let column = (0..n).map(|i| (-0.4 * i as f64).exp() * (f * i as f64).cos()).collect();
                SymmetricToeplitz::new(column)
            };
            let factors = vec![toeplitz(n, 0.3), toeplitz(m, 1.1)];
            let dense = Dense(kronecker(&factors[0].to_dense(), &factors[1].to_dense()));
            let product = KroneckerProduct::new(factors);
            assert_eq!(product.shape(), dense.shape());
            let x: Vec<f64> = (0..n * m).map(|i| (i as f64 * 0.7).sin()).collect();
            assert_close(&product.apply(&x), &dense.apply(&x));
            assert_close(&product.apply_transpose(&x), &dense.apply_transpose(&x));
            let (fast, slow) = (product.factorise().unwrap(), dense.factorise().unwrap());
            assert_close(&fast.solve(&x), &slow.solve(&x));
            assert!((fast.log_determinant() - slow.log_determinant()).abs() < 1e-9);
        }
    }

    #[test]
    fn sum_agrees_with_the_written_out_matrix() {
        let symmetric = |n: usize, shift: f64| {
            Mat::from_fn(n, n, |i, j| {
                if i == j {
                    2.0 + shift
                } else if i.abs_diff(j) == 1 {
                    -1.0
                } else {
                    0.0
                }
            })
        };
        for (n, m) in [(1, 1), (4, 3), (5, 9)] {
            let (a, b) = (symmetric(n, 0.1), symmetric(m, 0.5));
            let left = kronecker(&a, &Mat::identity(m, m));
            let right = kronecker(&Mat::identity(n, n), &b);
            let dense = Dense(&left + &right);
            let sum = KroneckerSum::new(vec![a, b]);
            let x: Vec<f64> = (0..n * m).map(|i| (i as f64 * 0.3).cos()).collect();
            assert_close(&sum.apply(&x), &dense.apply(&x));
            assert_close(&sum.apply_transpose(&x), &dense.apply_transpose(&x));
            let (fast, slow) = (sum.factorise().unwrap(), dense.factorise().unwrap());
            assert_close(&fast.solve(&x), &slow.solve(&x));
            assert!((fast.log_determinant() - slow.log_determinant()).abs() < 1e-9);
        }
        let singular = KroneckerSum::new(vec![Mat::<f64>::zeros(2, 2), Mat::zeros(3, 3)]);
        assert_eq!(singular.factorise().unwrap_err(), FactorisationError::Singular);
    }
}
