//! Incomplete Cholesky factors with the pattern of the matrix, IC(0) (Meijerink & van der Vorst 1977), and modified ones, MIC(0)
//! (Gustafsson 1978), as preconditioners.
//!
//! Column by column: with `l_jj = √d_j` and `l_ij = a_ij / l_jj`, each pair `i > k` of column `j` subtracts `l_ij l_kj` from entry
//! `(i, k)` where the pattern has it; where it has not, the modified factor subtracts `ω l_ij l_kj` from both `d_i` and `d_k`, so that
//! for ω = 1 the product of the factors has the row sums of the matrix. If a pivot is not positive, the factorisation is tried again
//! with `A + α diag(A)` for growing α (Manteuffel 1980).

use super::LinearError;
use super::conjugate_gradient::Preconditioner;
use super::csr::Csr;

/// The first shift tried after a breakdown.
const FIRST_SHIFT: f64 = 1e-3;

/// `L Lᵀ ≈ A`: the strict lower triangle by columns, and the inverse of the diagonal.
#[derive(Debug)]
pub(super) struct IncompleteCholesky {
    starts: Vec<usize>,
    rows: Vec<u32>,
    values: Vec<f64>,
    inverse_diagonal: Vec<f64>,
    /// The shift α that it took.
    pub(super) shift: f64,
}

impl IncompleteCholesky {
    /// Factorises a symmetric matrix; `relaxation` is ω, 0 for IC(0).
    ///
    /// # Errors
    /// [`LinearError::Breakdown`] if even `A + diag(A)` has no positive pivots.
    pub(super) fn new(matrix: &Csr, relaxation: f64, shift: f64) -> Result<Self, LinearError> {
        let n = matrix.shape().0;
        let mut starts = Vec::with_capacity(n + 1);
        starts.push(0);
        let (mut rows, mut upper) = (Vec::new(), Vec::new());
        let mut diagonal = vec![0.0; n];
        // The matrix is symmetric: column j below the diagonal is row j beyond it.
        for j in 0..n {
            let (columns, values) = matrix.row(j);
            for (&i, &value) in columns.iter().zip(values) {
                match (i as usize).cmp(&j) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => diagonal[j] = value,
                    std::cmp::Ordering::Greater => {
                        rows.push(i);
                        upper.push(value);
                    }
                }
            }
            starts.push(rows.len());
        }
        let mut factor =
            IncompleteCholesky { starts, rows, values: upper.clone(), inverse_diagonal: Vec::new(), shift };
        loop {
            let shifted = diagonal.iter().map(|d| d * (1.0 + factor.shift)).collect();
            if factor.factorise(shifted, relaxation) {
                return Ok(factor);
            }
            if factor.shift >= 1.0 {
                return Err(LinearError::Breakdown(
                    "the incomplete factorisation has no positive pivots even for A + diag(A); is the matrix \
                     positive definite?"
                        .into(),
                ));
            }
            factor.shift = (2.0 * factor.shift).max(FIRST_SHIFT);
            factor.values.copy_from_slice(&upper);
        }
    }

    /// One attempt; false at a pivot that is not positive.
    fn factorise(&mut self, mut d: Vec<f64>, relaxation: f64) -> bool {
        let n = d.len();
        self.inverse_diagonal = vec![0.0; n];
        for j in 0..n {
            let column = self.starts[j]..self.starts[j + 1];
            if d[j] == 0.0 && column.is_empty() {
                // A row of zeros: nothing to solve for.
                continue;
            }
            if !(d[j] > 0.0 && d[j].is_finite()) {
                return false;
            }
            let inverse = 1.0 / d[j].sqrt();
            self.inverse_diagonal[j] = inverse;
            self.values[column.clone()].iter_mut().for_each(|value| *value *= inverse);
            for a in column.clone() {
                let (k, l_kj) = (self.rows[a] as usize, self.values[a]);
                d[k] -= l_kj * l_kj;
                let below = self.starts[k]..self.starts[k + 1];
                for b in a + 1..column.end {
                    let (i, l_ij) = (self.rows[b], self.values[b]);
                    match self.rows[below.clone()].binary_search(&i) {
                        Ok(place) => self.values[below.start + place] -= l_ij * l_kj,
                        Err(_) => {
                            d[i as usize] -= relaxation * l_ij * l_kj;
                            d[k] -= relaxation * l_ij * l_kj;
                        }
                    }
                }
            }
        }
        true
    }
}

impl Preconditioner for IncompleteCholesky {
    fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        let n = r.len();
        z.copy_from_slice(r);
        for j in 0..n {
            let y = z[j] * self.inverse_diagonal[j];
            z[j] = y;
            for k in self.starts[j]..self.starts[j + 1] {
                z[self.rows[k] as usize] -= self.values[k] * y;
            }
        }
        for j in (0..n).rev() {
            let mut sum = z[j];
            for k in self.starts[j]..self.starts[j + 1] {
                sum -= self.values[k] * z[self.rows[k] as usize];
            }
            z[j] = sum * self.inverse_diagonal[j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::{Outside, PressureGrid};

    fn factor_times_transpose(factor: &IncompleteCholesky) -> Vec<Vec<f64>> {
        let n = factor.inverse_diagonal.len();
        let mut l = vec![vec![0.0; n]; n];
        for j in 0..n {
            l[j][j] = 1.0 / factor.inverse_diagonal[j];
            for k in factor.starts[j]..factor.starts[j + 1] {
                l[factor.rows[k] as usize][j] = factor.values[k];
            }
        }
        (0..n).map(|i| (0..n).map(|j| (0..n).map(|k| l[i][k] * l[j][k]).sum()).collect()).collect()
    }

    #[test]
    fn factors_agree_with_the_matrix_on_its_pattern() {
        let (matrix, _) = PressureGrid::around_ball(&[5, 4, 6], Outside::Open).unwrap().compressed();
        let product = factor_times_transpose(&IncompleteCholesky::new(&matrix, 0.0, 0.0).unwrap());
        for i in 0..matrix.shape().0 {
            let (columns, values) = matrix.row(i);
            for (&j, value) in columns.iter().zip(values) {
                assert!((product[i][j as usize] - value).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn modified_factors_keep_row_sums() {
        let (matrix, _) = PressureGrid::empty(&[4, 5, 3], Outside::Open).unwrap().compressed();
        let product = factor_times_transpose(&IncompleteCholesky::new(&matrix, 1.0, 0.0).unwrap());
        for i in 0..matrix.shape().0 {
            let sum: f64 = matrix.row(i).1.iter().sum();
            assert!((product[i].iter().sum::<f64>() - sum).abs() < 1e-12);
        }
    }

    #[test]
    fn a_dense_pattern_gives_the_exact_factor() {
        let entries = [(0, 0, 4.0), (0, 1, 1.0), (0, 2, -2.0), (1, 1, 3.0), (1, 2, 0.5), (2, 2, 5.0)];
        let mirrored = entries.iter().filter(|e| e.0 != e.1).map(|&(i, j, v)| (j, i, v));
        let matrix = Csr::from_entries(3, 3, entries.iter().copied().chain(mirrored).collect()).unwrap();
        let mut factor = IncompleteCholesky::new(&matrix, 0.0, 0.0).unwrap();
        let (x, mut b, mut z) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
        matrix.multiply(&x, &mut b);
        factor.apply(&b, &mut z);
        assert!(x.iter().zip(&z).all(|(x, z)| (x - z).abs() < 1e-14));
    }

    #[test]
    fn breakdown_is_answered_by_a_shift_or_named() {
        // Positive definite, but IC(0) breaks down (Kershaw 1978).
        let rows =
            [[3.0, -2.0, 0.0, 2.0], [-2.0, 3.0, -2.0, 0.0], [0.0, -2.0, 3.0, -2.0], [2.0, 0.0, -2.0, 3.0]];
        let entries = |rows: &[[f64; 4]; 4]| {
            let place = |k: u32| (k / 4, k % 4, rows[k as usize / 4][k as usize % 4]);
            (0..16).map(place).filter(|e| e.2 != 0.0).collect::<Vec<_>>()
        };
        let matrix = Csr::from_entries(4, 4, entries(&rows)).unwrap();
        let factor = IncompleteCholesky::new(&matrix, 0.0, 0.0).unwrap();
        assert!(factor.shift > 0.0);
        let mut indefinite = rows;
        indefinite[2][2] = -3.0;
        let matrix = Csr::from_entries(4, 4, entries(&indefinite)).unwrap();
        assert!(matches!(IncompleteCholesky::new(&matrix, 0.0, 0.0), Err(LinearError::Breakdown(_))));
    }
}
