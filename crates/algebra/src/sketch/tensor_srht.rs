//! An SRHT for Kronecker products: `S = P (H₁D₁ ⊗ H₂D₂) / √m`, `P` picks `m` pairs of rows `(i, j)` uniformly with replacement.
//!
//! Row `r` of `S (A₁ ⊗ A₂)` is `(H₁D₁A₁)[i_r, :] ⊗ (H₂D₂A₂)[j_r, :]`, so the product of the factors is never formed; `S b` picks the
//! entries `(i_r, j_r)` of `H₁D₁ B D₂H₂` for `b` read as a row-major `n₁` by `n₂` matrix `B`. It costs
//! `Σ_k n_k d_k log n_k + n₁n₂ log(n₁n₂) + m d₁d₂`.

use rayon::prelude::*;

use super::DenseRows;
use crate::hadamard;
use crate::operator::LinearOperator;
use crate::random::Stream;

/// A drawn transform for Kronecker products of two factors.
#[derive(Clone, Debug)]
pub struct TensorSrht {
    columns: [usize; 2],
    orders: [usize; 2],
    pub(super) samples: Vec<(usize, usize)>,
    pub(super) signs: [Stream; 2],
}

impl TensorSrht {
    /// `rows` (m) by `columns[0] · columns[1]`, drawn from a seed.
    ///
    /// # Panics
    /// If there are no columns.
    pub fn new(rows: usize, columns: [usize; 2], seed: u64) -> Self {
        assert!(columns[0] > 0 && columns[1] > 0, "both factors have rows");
        let orders = columns.map(usize::next_power_of_two);
        let picks = Stream::new(seed, 1);
        let pick = |k: usize, order: usize| picks.below(k as u64, order as u64) as usize;
        let samples = (0..rows).map(|r| (pick(2 * r, orders[0]), pick(2 * r + 1, orders[1]))).collect();
        TensorSrht { columns, orders, samples, signs: [Stream::new(seed, 2), Stream::new(seed, 3)] }
    }

    /// `S (A₁ ⊗ A₂)`, row-major of `m` by `d₁ d₂`.
    ///
    /// # Panics
    /// If the factors have other numbers of rows than the sketch is for.
    pub fn apply_product(&self, first: DenseRows<'_>, second: DenseRows<'_>) -> Vec<f64> {
        let (one, two) = (self.transformed(0, first), self.transformed(1, second));
        let (d1, d2) = (first.columns(), second.columns());
        let scale = self.scale();
        let mut product = vec![0.0; self.samples.len() * d1 * d2];
        if d1 * d2 > 0 {
            product.par_chunks_exact_mut(d1 * d2).zip(&self.samples).for_each(|(row, (i, j))| {
                for (target, x) in row.chunks_exact_mut(d2).zip(&one[i * d1..(i + 1) * d1]) {
                    let source = &two[j * d2..(j + 1) * d2];
                    target.iter_mut().zip(source).for_each(|(t, y)| *t = scale * x * y);
                }
            });
        }
        product
    }

    /// `H D A` for one factor, row-major of its order by its columns.
    fn transformed(&self, factor: usize, matrix: DenseRows<'_>) -> Vec<f64> {
        assert_eq!(matrix.rows(), self.columns[factor], "a factor has the rows that the sketch is for");
        let columns = matrix.columns();
        let mut values = vec![0.0; self.orders[factor] * columns];
        for i in 0..matrix.rows() {
            let target = &mut values[i * columns..(i + 1) * columns];
            matrix.copy_scaled(i, 0..columns, self.signs[factor].sign(i as u64), target);
        }
        hadamard::transform(&mut values, columns);
        values
    }

    fn scale(&self) -> f64 {
        1.0 / (self.samples.len() as f64).sqrt()
    }
}

impl LinearOperator for TensorSrht {
    fn shape(&self) -> (usize, usize) {
        (self.samples.len(), self.columns[0] * self.columns[1])
    }

    fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let [n1, n2] = self.columns;
        assert_eq!(vector.len(), n1 * n2);
        let [o1, o2] = self.orders;
        // H₁ D₁ B, then the rows of the result through H₂ D₂: transforms down the columns, and along the rows.
        let mut values = self.transformed(0, DenseRows::new(vector, n1, n2));
        let mut wide = vec![0.0; o1 * o2];
        wide.par_chunks_exact_mut(o2).zip(values.par_chunks_exact_mut(n2)).for_each(|(row, source)| {
            for (j, (target, x)) in row.iter_mut().zip(source).enumerate() {
                *target = self.signs[1].sign(j as u64) * *x;
            }
            hadamard::transform_cached(row, o2);
        });
        self.samples.iter().map(|(i, j)| self.scale() * wide[i * o2 + j]).collect()
    }

    fn apply_transpose(&self, vector: &[f64]) -> Vec<f64> {
        assert_eq!(vector.len(), self.samples.len());
        let ([n1, n2], [o1, o2]) = (self.columns, self.orders);
        let mut wide = vec![0.0; o1 * o2];
        for ((i, j), x) in self.samples.iter().zip(vector) {
            wide[i * o2 + j] += self.scale() * x;
        }
        hadamard::transform(&mut wide, o2);
        wide.truncate(n1 * o2);
        wide.par_chunks_exact_mut(o2).for_each(|row| hadamard::transform_cached(row, o2));
        (0..n1 * n2)
            .map(|k| {
                let (i, j) = (k / n2, k % n2);
                self.signs[0].sign(i as u64) * self.signs[1].sign(j as u64) * wide[i * o2 + j]
            })
            .collect()
    }
}
