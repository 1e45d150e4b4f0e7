//! Toeplitz matrices: constant along each diagonal, `T[i, j] = t(i − j)`.
//!
//! Products go through a circulant of twice the size and the FFT. A symmetric positive definite Toeplitz matrix is
//! factorised by the generalised Schur algorithm in its mixed hyperbolic form (Bojanczyk, Brent, de Hoog, Sweet 1995):
//! with the displacement `T − Z T Zᵀ = g gᵀ − h hᵀ` each column of the Cholesky factor is the generator `g`, which is then
//! shifted down by one place and rotated hyperbolically against `h`. It costs O(n²) and is as stable as Cholesky's.

use std::fmt;
use std::sync::Arc;

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef, Side};
use pulp::Arch;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::{Factorisation, FactorisationError, Factorise, LinearOperator};

/// A general Toeplitz matrix.
#[derive(Clone, Debug)]
pub struct Toeplitz {
    column: Vec<f64>,
    row: Vec<f64>,
    product: ToeplitzProduct,
}

impl Toeplitz {
    /// From the first column (top to bottom) and the first row (left to right); they share their first entry, which is
    /// taken from the column.
    ///
    /// # Panics
    /// If one of them is empty and the other is not.
    pub fn new(column: Vec<f64>, row: Vec<f64>) -> Self {
        assert_eq!(
            column.is_empty(),
            row.is_empty(),
            "a Toeplitz matrix without rows or columns has neither"
        );
        let product = ToeplitzProduct::new(column.len(), row.len());
        Toeplitz { column, row, product }
    }

    fn lags(&self) -> (Vec<f64>, Vec<f64>) {
        (self.column.clone(), self.row.clone())
    }
}

impl LinearOperator for Toeplitz {
    fn shape(&self) -> (usize, usize) {
        (self.column.len(), self.row.len())
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        self.product.apply(&self.column, &self.row, vector)
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        let (mut column, row) = self.lags();
        let mut transposed_column = row;
        if let (Some(a), Some(b)) = (transposed_column.first_mut(), column.first_mut()) {
            *a = *b;
        }
        ToeplitzProduct::new(transposed_column.len(), column.len()).apply(&transposed_column, &column, vector)
    }

    fn to_dense(&self) -> Mat<f64> {
        Mat::from_fn(self.column.len(), self.row.len(), |i, j| {
            if i >= j { self.column[i - j] } else { self.row[j - i] }
        })
    }
}

impl Factorise for Toeplitz {
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError> {
        let (rows, columns) = self.shape();
        if rows != columns {
            return Err(FactorisationError::NotSquare { rows, columns });
        }
        let factor = self.to_dense().partial_piv_lu();
        let upper = factor.U();
        let log_determinant = (0..rows).map(|i| upper[(i, i)].abs().ln()).sum::<f64>();
        if !log_determinant.is_finite() {
            return Err(FactorisationError::Singular);
        }
        Ok(Box::new(Lu { factor, log_determinant }))
    }
}

#[derive(Debug)]
struct Lu {
    factor: PartialPivLu<f64>,
    log_determinant: f64,
}

impl Factorisation for Lu {
    fn dimension(&self) -> usize {
        self.factor.U().nrows()
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        assert_eq!(right_side.len(), self.dimension());
        let solution = self.factor.solve(Mat::from_fn(right_side.len(), 1, |i, _| right_side[i]));
        (0..right_side.len()).map(|i| solution[(i, 0)]).collect()
    }

    fn log_determinant(&self) -> f64 {
        self.log_determinant
    }
}

/// A symmetric Toeplitz matrix, given by its first column.
#[derive(Clone, Debug)]
pub struct SymmetricToeplitz {
    column: Vec<f64>,
    product: ToeplitzProduct,
}

impl SymmetricToeplitz {
    /// From the first column.
    pub fn new(column: Vec<f64>) -> Self {
        let product = ToeplitzProduct::new(column.len(), column.len());
        SymmetricToeplitz { column, product }
    }

    /// Eigenvalues, largest first, and orthonormal eigenvectors as columns in the same order.
    ///
    /// The matrix looks the same when rows and columns are reversed, so that its eigenvectors are even or odd under reversal: two
    /// problems of half the size, a quarter of the work (Cantoni and Butler, 1976).
    ///
    /// # Errors
    /// [`FactorisationError::Singular`] if an entry is not finite.
    pub fn eigenpairs(&self) -> Result<(Vec<f64>, Mat<f64>), FactorisationError> {
        let n = self.column.len();
        if n < 2 {
            return Ok((self.column.clone(), Mat::identity(n, n)));
        }
        let (half, odd_extent) = (n / 2, n % 2 == 1);
        let t = |i: usize, j: usize| self.column[i.abs_diff(j)];
        let root = std::f64::consts::SQRT_2;
        let even = Mat::from_fn(n - half, n - half, |i, j| match (odd_extent, i == half, j == half) {
            (true, true, true) => t(half, half),
            (true, true, false) => root * t(half, j),
            (true, false, true) => root * t(i, half),
            _ => t(i, j) + t(i, n - 1 - j),
        });
        let odd = Mat::from_fn(half, half, |i, j| t(i, j) - t(i, n - 1 - j));
        let decompose = |matrix: Mat<f64>| matrix.self_adjoint_eigen(Side::Lower);
        let (even, odd) = rayon::join(|| decompose(even), || decompose(odd));
        let (Ok(even), Ok(odd)) = (even, odd) else { return Err(FactorisationError::Singular) };
        let mut order: Vec<(f64, bool, usize)> = Vec::with_capacity(n);
        order.extend((0..n - half).map(|k| (even.S().column_vector()[k], true, k)));
        order.extend((0..half).map(|k| (odd.S().column_vector()[k], false, k)));
        if order.iter().any(|(value, ..)| !value.is_finite()) {
            return Err(FactorisationError::Singular);
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut vectors = Mat::zeros(n, n);
        for (column, &(_, is_even, k)) in order.iter().enumerate() {
            let part = if is_even { even.U().col(k) } else { odd.U().col(k) };
            for i in 0..half {
                let entry = part[i] / root;
                vectors[(i, column)] = entry;
                vectors[(n - 1 - i, column)] = if is_even { entry } else { -entry };
            }
            if odd_extent && is_even {
                vectors[(half, column)] = part[half];
            }
        }
        Ok((order.into_iter().map(|(value, ..)| value).collect(), vectors))
    }
}

impl LinearOperator for SymmetricToeplitz {
    fn shape(&self) -> (usize, usize) {
        (self.column.len(), self.column.len())
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        self.product.apply(&self.column, &self.column, vector)
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        self.apply(vector)
    }

    fn to_dense(&self) -> Mat<f64> {
        let n = self.column.len();
        Mat::from_fn(n, n, |i, j| self.column[i.abs_diff(j)])
    }
}

impl Factorise for SymmetricToeplitz {
    fn factorise(&self) -> Result<Box<dyn Factorisation>, FactorisationError> {
        Ok(Box::new(ToeplitzCholesky::new(&self.column)?))
    }
}

/// The Cholesky factor of a symmetric positive definite Toeplitz matrix, computed in O(n²).
#[derive(Clone, Debug)]
pub struct ToeplitzCholesky {
    factor: Mat<f64>,
}

impl ToeplitzCholesky {
    /// Factorise the matrix with the given first column.
    ///
    /// # Errors
    /// [`FactorisationError::NotPositiveDefinite`] at the first pivot that is not positive.
    pub fn new(column: &[f64]) -> Result<Self, FactorisationError> {
        let mut cholesky = ToeplitzCholesky::zeros(column.len());
        cholesky.refactor(column)?;
        Ok(cholesky)
    }

    /// Memory for the factor of a matrix of the given dimension, to be filled by [`ToeplitzCholesky::refactor`].
    pub fn zeros(dimension: usize) -> Self {
        ToeplitzCholesky { factor: Mat::zeros(dimension, dimension) }
    }

    /// Factorise another matrix of the same dimension in the same memory.
    ///
    /// # Errors
    /// As [`ToeplitzCholesky::new`]; the old factor is then lost.
    pub fn refactor(&mut self, column: &[f64]) -> Result<(), FactorisationError> {
        let n = self.factor.nrows();
        assert_eq!(column.len(), n);
        let failure = |pivot| FactorisationError::NotPositiveDefinite { pivot, dimension: n };
        let Some(&diagonal) = column.first() else { return Ok(()) };
        if diagonal.is_nan() || diagonal <= 0.0 {
            return Err(failure(0));
        }
        let root = diagonal.sqrt();
        // g: the generator that becomes the columns of the factor; h: the other one, kept aligned with g's rows.
        let mut g: Vec<f64> = column.iter().map(|t| t / root).collect();
        let mut h = g.clone();
        h[0] = 0.0;
        let arch = Arch::new();
        for k in 0..n {
            write_column(&mut self.factor, k, &g[..n - k]);
            if k + 1 == n {
                break;
            }
            // After the shift, row k+1 of g is its old row k: g[0] against h[k+1] = h[1].
            let reflection = h[1] / g[0];
            let square = 1.0 - reflection * reflection;
            if square.is_nan() || square <= 0.0 {
                return Err(failure(k + 1));
            }
            let cosine = square.sqrt();
            let (scaled, length) = (1.0 / cosine, n - k - 1);
            arch.dispatch(|| rotate(&mut g[..length], &mut h[..length + 1], reflection, cosine, scaled));
        }
        Ok(())
    }

    /// The lower triangular factor `L` with `L Lᵀ = T`; entries above the diagonal are zero.
    pub fn factor(&self) -> MatRef<'_, f64> {
        self.factor.as_ref()
    }

    /// Replace several right sides by their solutions, passing over the factor once for all of them.
    pub fn solve_in_place(&self, right_sides: &mut [&mut [f64]]) {
        let n = self.factor.nrows();
        let arch = Arch::new();
        for j in 0..n {
            let column = self.column_below(j);
            for b in right_sides.iter_mut() {
                let (head, tail) = b[j..].split_at_mut(1);
                head[0] /= column[0];
                let x = head[0];
                arch.dispatch(|| subtract_multiple(tail, &column[1..], x));
            }
        }
        for j in (0..n).rev() {
            let column = self.column_below(j);
            for b in right_sides.iter_mut() {
                let sum = arch.dispatch(|| dot(&column[1..], &b[j + 1..]));
                b[j] = (b[j] - sum) / column[0];
            }
        }
    }

    /// The traces along the diagonals of the inverse: entry `l` is `Σ_{i−j=l} (T^{-1})[i, j]`, from the first column `x` of
    /// the inverse by the Gohberg-Semencul formula, O(n²) without forming it.
    pub fn inverse_diagonal_sums(&self, first_column: &[f64]) -> Vec<f64> {
        // T^{-1} = (1/x_0) (X Xᵀ − Y Yᵀ), X lower triangular Toeplitz with column (x_0, x_1, ...), Y with (0, x_{n−1}, ..., x_1).
        // Along diagonal l, Σ_i (X Xᵀ)[i+l, i] = Σ_{k} (n − l − k) x_{k+l} x_k, and likewise for Y.
        let n = first_column.len();
        let Some(&x0) = first_column.first() else { return Vec::new() };
        let x = first_column;
        let mut y = vec![0.0; n];
        for k in 1..n {
            y[k] = x[n - k];
        }
        // Split the weight (n − l − k) into (n − k')·1 with k' = k + l, so that each sum is a plain correlation.
        let weighted =
            |v: &[f64]| -> Vec<f64> { v.iter().enumerate().map(|(k, v)| (n - k) as f64 * v).collect() };
        let (wx, wy) = (weighted(x), weighted(&y));
        let arch = Arch::new();
        (0..n)
            .map(|l| {
                let sum_x = arch.dispatch(|| dot(&wx[l..], &x[..n - l]));
                let sum_y = arch.dispatch(|| dot(&wy[l..], &y[..n - l]));
                (sum_x - sum_y) / x0
            })
            .collect()
    }

    fn column_below(&self, j: usize) -> &[f64] {
        let column = self.factor.col(j);
        &column.try_as_col_major().map_or(&[][..], |c| c.as_slice())[j..]
    }
}

impl Factorisation for ToeplitzCholesky {
    fn dimension(&self) -> usize {
        self.factor.nrows()
    }

    fn solve(&self, right_side: &[f64]) -> Vec<f64> {
        assert_eq!(right_side.len(), self.dimension());
        let mut solution = right_side.to_vec();
        self.solve_in_place(&mut [&mut solution]);
        solution
    }

    fn log_determinant(&self) -> f64 {
        2.0 * (0..self.dimension()).map(|i| self.factor[(i, i)].ln()).sum::<f64>()
    }
}

fn write_column(factor: &mut Mat<f64>, k: usize, values: &[f64]) {
    if let Some(column) = factor.col_mut(k).try_as_col_major_mut() {
        column.as_slice_mut()[k..].copy_from_slice(values);
    }
}

/// One hyperbolic rotation, in place: `g` is already thought of as shifted by one, so `g[i]` meets `h[i + 1]`; on return `h[i]`
/// holds the new row `i + 1`, which realigns the two.
#[inline(always)]
fn rotate(g: &mut [f64], h: &mut [f64], reflection: f64, cosine: f64, scaled: f64) {
    for i in 0..g.len() {
        let rotated = (g[i] - reflection * h[i + 1]) * scaled;
        h[i] = cosine * h[i + 1] - reflection * rotated;
        g[i] = rotated;
    }
}

#[inline(always)]
fn subtract_multiple(target: &mut [f64], source: &[f64], factor: f64) {
    for (t, s) in target.iter_mut().zip(source) {
        *t -= factor * s;
    }
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight partial sums, so that the reduction vectorises.
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let mut sums = [0.0; 8];
    let (blocks_a, blocks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = blocks_a.remainder().iter().zip(blocks_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in blocks_a.zip(blocks_b) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// Planned FFTs for products with Toeplitz matrices of one shape, for use with many different matrices.
#[derive(Clone)]
pub struct ToeplitzProduct {
    rows: usize,
    columns: usize,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
}

impl fmt::Debug for ToeplitzProduct {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ToeplitzProduct({} x {})", self.rows, self.columns)
    }
}

impl ToeplitzProduct {
    /// Plan for matrices of `rows` by `columns`.
    pub fn new(rows: usize, columns: usize) -> Self {
        let length = (rows + columns).next_power_of_two().max(2);
        let mut planner = FftPlanner::new();
        ToeplitzProduct {
            rows,
            columns,
            forward: planner.plan_fft_forward(length),
            inverse: planner.plan_fft_inverse(length),
        }
    }

    /// The product of the Toeplitz matrix with the given first column and row (the row's first entry is not read) with a
    /// vector.
    ///
    /// # Panics
    /// If a slice has another length than planned for.
    pub fn apply(&self, column: &[f64], row: &[f64], vector: &[f64]) -> Vec<f64> {
        assert_eq!((column.len(), row.len(), vector.len()), (self.rows, self.columns, self.columns));
        if self.rows == 0 {
            return Vec::new();
        }
        let length = self.forward.len();
        // Two real sequences in one complex transform: the circulant's column in the real part, the vector in the imaginary.
        let mut packed = vec![Complex::new(0.0, 0.0); length];
        for (p, c) in packed.iter_mut().zip(column) {
            p.re = *c;
        }
        for k in 1..self.columns {
            packed[length - k].re = row[k];
        }
        for (p, v) in packed.iter_mut().zip(vector) {
            p.im = *v;
        }
        self.forward.process(&mut packed);
        let mut product = vec![Complex::new(0.0, 0.0); length];
        for k in 0..length {
            let (a, b) = (packed[k], packed[(length - k) % length].conj());
            let (circulant, transformed) = ((a + b) * 0.5, (a - b) * Complex::new(0.0, -0.5));
            product[k] = circulant * transformed;
        }
        self.inverse.process(&mut product);
        product[..self.rows].iter().map(|p| p.re / length as f64).collect()
    }
}

/// The sums along the diagonals of `x yᵀ` (both of length n): entry `l` of the first result is `Σ_i x[i+l] y[i]`, of the second
/// `Σ_i x[i] y[i+l]`.
pub fn lag_sums(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = x.len();
    let arch = Arch::new();
    arch.dispatch(|| {
        (
            (0..n).map(|l| dot(&x[l..], &y[..n - l])).collect(),
            (0..n).map(|l| dot(&x[..n - l], &y[l..])).collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
        let scale = b.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= tolerance * scale)
    }

    fn positive_definite(n: usize, decay: f64, frequency: f64) -> Vec<f64> {
        (0..n)
            .map(|i| {
                let r = i as f64;
                (-decay * r).exp() * (frequency * r).cos() + if i == 0 { 0.1 } else { 0.0 }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn product_equals_the_written_out_matrix(
            column in prop::collection::vec(-1.0..1.0f64, 1..40), row in prop::collection::vec(-1.0..1.0f64, 1..40)
        ) {
            let operator = Toeplitz::new(column.clone(), row.clone());
            let matrix = operator.to_dense();
            let x: Vec<f64> = (0..row.len()).map(|i| (i as f64).sin()).collect();
            let y: Vec<f64> = (0..column.len()).map(|i| (i as f64).cos()).collect();
            let expected: Vec<f64> =
                (0..column.len()).map(|i| (0..row.len()).map(|j| matrix[(i, j)] * x[j]).sum()).collect();
            let expected_transposed: Vec<f64> =
                (0..row.len()).map(|j| (0..column.len()).map(|i| matrix[(i, j)] * y[i]).sum()).collect();
            prop_assert!(close(&operator.apply(&x), &expected, 1e-13));
            prop_assert!(close(&operator.apply_transpose(&y), &expected_transposed, 1e-13));
        }

        #[test]
        fn schur_factor_is_the_cholesky_factor(n in 1usize..60, decay in 0.05..2.0f64, frequency in 0.0..3.0f64) {
            let column = positive_definite(n, decay, frequency);
            let operator = SymmetricToeplitz::new(column.clone());
            let dense = crate::operator::Dense(operator.to_dense());
            let (fast, slow) = (operator.factorise().unwrap(), dense.factorise().unwrap());
            prop_assert!((fast.log_determinant() - slow.log_determinant()).abs() < 1e-9 * n as f64);
            let b: Vec<f64> = (0..n).map(|i| (1.3 * i as f64).sin()).collect();
            prop_assert!(close(&fast.solve(&b), &slow.solve(&b), 1e-9));
            // Diagonal sums of the inverse against the inverse itself.
            let cholesky = ToeplitzCholesky::new(&column).unwrap();
            let mut unit = vec![0.0; n];
            unit[0] = 1.0;
            let sums = cholesky.inverse_diagonal_sums(&cholesky.solve(&unit));
            let mut expected = vec![0.0; n];
            for j in 0..n {
                let mut e = vec![0.0; n];
                e[j] = 1.0;
                let inverse_column = slow.solve(&e);
                for i in j..n {
                    expected[i - j] += inverse_column[i];
                }
            }
            prop_assert!(close(&sums, &expected, 1e-8));
        }

        #[test]
        fn lag_sums_are_sums_along_diagonals(x in prop::collection::vec(-1.0..1.0f64, 0..40)) {
            let y: Vec<f64> = x.iter().map(|v| (5.0 * v).sin()).collect();
            let (below, above) = lag_sums(&x, &y);
            for l in 0..x.len() {
                let expected: f64 = (0..x.len() - l).map(|i| x[i + l] * y[i]).sum();
                prop_assert!((below[l] - expected).abs() < 1e-12);
                let expected: f64 = (0..x.len() - l).map(|i| x[i] * y[i + l]).sum();
                prop_assert!((above[l] - expected).abs() < 1e-12);
            }
        }
    }

    proptest! {
        #[test]
        fn eigenpairs_diagonalise(n in 0usize..24, decay in 0.05..2.0f64, frequency in 0.0..3.0f64) {
            let operator = SymmetricToeplitz::new(positive_definite(n, decay, frequency));
            let (values, vectors) = operator.eigenpairs().unwrap();
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
            let matrix = operator.to_dense();
            for i in 0..n {
                for j in 0..n {
                    let rebuilt: f64 = (0..n).map(|k| vectors[(i, k)] * values[k] * vectors[(j, k)]).sum();
                    let gram: f64 = (0..n).map(|k| vectors[(k, i)] * vectors[(k, j)]).sum();
                    prop_assert!((rebuilt - matrix[(i, j)]).abs() < 1e-12);
                    prop_assert!((gram - f64::from(u8::from(i == j))).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn indefinite_matrices_are_refused() {
        assert_eq!(
            ToeplitzCholesky::new(&[1.0, 2.0, 0.0]).unwrap_err(),
            FactorisationError::NotPositiveDefinite { pivot: 1, dimension: 3 }
        );
        assert!(ToeplitzCholesky::new(&[f64::NAN, 0.0]).is_err());
        assert!(ToeplitzCholesky::new(&[]).is_ok());
        assert_eq!(
            Toeplitz::new(vec![1.0, 1.0], vec![1.0, 1.0]).factorise().unwrap_err(),
            FactorisationError::Singular
        );
    }
}
