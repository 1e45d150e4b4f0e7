//! The two operators without hidden structure: a full symmetric positive definite or rectangular matrix, and a diagonal.

use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Side};

use super::{Factorisation, FactorisationError, Factorise, LinearOperator};

/// A full matrix. It multiplies in any shape; it factorises (Cholesky) when it is symmetric positive definite.
#[derive(Clone, Debug)]
pub struct Dense(pub Mat<f64>);

impl LinearOperator for Dense {
    fn shape(&self) -> (usize, usize) {
        (self.0.nrows(), self.0.ncols())
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        multiply(&self.0, vector)
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.0.nrows());
        (0..self.0.ncols()).map(|j| self.0.col(j).iter().zip(vector).map(|(a, x)| a * x).sum()).collect()
    }

    fn to_dense(&self) -> Mat<f64> {
        self.0.clone()
    }
}

fn multiply(matrix: &Mat<f64>, vector: &[f64]) -> Vec<f64> {
    assert_eq!(vector.len(), matrix.ncols());
    let mut product = vec![0.0; matrix.nrows()];
    for (j, &x) in vector.iter().enumerate() {
        for (y, a) in product.iter_mut().zip(matrix.col(j).iter()) {
            *y += a * x;
        }
    }
    product
}

impl Factorise for Dense {
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError> {
        let (rows, columns) = self.shape();
        if rows != columns {
            return Err(FactorisationError::NotSquare { rows, columns });
        }
        match self.0.llt(Side::Lower) {
            Ok(factor) => Ok(Box::new(Cholesky(factor))),
            Err(faer::linalg::cholesky::llt::factor::LltError::NonPositivePivot { index }) => {
                Err(FactorisationError::NotPositiveDefinite { pivot: index, dimension: rows })
            }
        }
    }
}

#[derive(Debug)]
struct Cholesky(Llt<f64>);

impl Factorisation for Cholesky {
    fn dimension(&self) -> usize {
        self.0.L().nrows()
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        assert_eq!(right_side.len(), self.dimension());
        let solution = self.0.solve(Mat::from_fn(right_side.len(), 1, |i, _| right_side[i]));
        (0..right_side.len()).map(|i| solution[(i, 0)]).collect()
    }

    fn log_determinant(&self) -> f64 {
        2.0 * (0..self.dimension()).map(|i| self.0.L()[(i, i)].ln()).sum::<f64>()
    }
}

/// A diagonal matrix, given by its diagonal.
#[derive(Clone, Debug)]
pub struct Diagonal(pub Vec<f64>);

impl LinearOperator for Diagonal {
    fn shape(&self) -> (usize, usize) {
        (self.0.len(), self.0.len())
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.0.len());
        self.0.iter().zip(vector).map(|(d, x)| d * x).collect()
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        self.apply(vector)
    }
}

impl Factorise for Diagonal {
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError> {
        if self.0.iter().any(|d| *d == 0.0 || !d.is_finite()) {
            return Err(FactorisationError::Singular);
        }
        Ok(Box::new(DiagonalInverse(self.0.clone())))
    }
}

#[derive(Debug)]
struct DiagonalInverse(Vec<f64>);

impl Factorisation for DiagonalInverse {
    fn dimension(&self) -> usize {
        self.0.len()
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        assert_eq!(right_side.len(), self.0.len());
        right_side.iter().zip(&self.0).map(|(b, d)| b / d).collect()
    }

    fn log_determinant(&self) -> f64 {
        self.0.iter().map(|d| d.abs().ln()).sum()
    }
}
