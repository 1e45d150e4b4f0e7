//! Incomplete Cholesky factors with the pattern of the matrix, IC(0) (Meijerink & van der Vorst 1977), and modified ones, MIC(0)
//! (Gustafsson 1978), as preconditioners.
//!
//! Column by column: with `l_jj = √d_j` and `l_ij = a_ij / l_jj`, each pair `i > k` of column `j` subtracts `l_ij l_kj` from entry
//! `(i, k)` where the pattern has it; where it has not, the modified factor subtracts `ω l_ij l_kj` from both `d_i` and `d_k`, so that
//! for ω = 1 the product of the factors has the row sums of the matrix. If a pivot is not positive, the factorisation is tried again
//! with `A + α diag(A)` for growing α (Manteuffel 1980).
//!
//! The triangular solves run in parallel by levels: an unknown's level is one more than the highest of those that it waits for. Unknowns
//! are renumbered by level, so that a level is a run of memory that depends on the runs before it alone.

use rayon::prelude::*;

use super::LinearError;
use super::conjugate_gradient::Preconditioner;
use super::csr::Csr;

/// The first shift tried after a breakdown.
const FIRST_SHIFT: f64 = 1e-3;

/// Rows of a level that a task solves; narrower levels are not worth a second task.
const ROWS: usize = 1 << 10;

/// `L Lᵀ ≈ A`, its unknowns renumbered by level.
#[derive(Debug)]
pub(super) struct IncompleteCholesky {
    /// The strict lower triangle, and its transpose.
    lower: Csr,
    upper: Csr,
    inverse_diagonal: Vec<f64>,
    /// Where each level starts, and the end of the last.
    levels: Vec<usize>,
    /// The old number of each new one, and the new of each old.
    order: Vec<u32>,
    position: Vec<u32>,
    scratch: Vec<f64>,
    /// The shift α that it took.
    pub(super) shift: f64,
}

/// A factor while it is computed: the strict lower triangle by columns, and the inverse of the diagonal.
struct Columns {
    starts: Vec<usize>,
    rows: Vec<u32>,
    values: Vec<f64>,
    inverse_diagonal: Vec<f64>,
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
        let mut factor = Columns { starts, rows, values: upper.clone(), inverse_diagonal: Vec::new() };
        let mut shift = shift;
        loop {
            let shifted = diagonal.iter().map(|d| d * (1.0 + shift)).collect();
            if factor.factorise(shifted, relaxation) {
                return Ok(factor.by_levels(shift));
            }
            if shift >= 1.0 {
                return Err(LinearError::Breakdown(
                    "the incomplete factorisation has no positive pivots even for A + diag(A); is the matrix \
                     positive definite?"
                        .into(),
                ));
            }
            shift = (2.0 * shift).max(FIRST_SHIFT);
            factor.values.copy_from_slice(&upper);
        }
    }
}

impl Columns {
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

impl Columns {
    /// Renumbers the unknowns by level.
    fn by_levels(self, shift: f64) -> IncompleteCholesky {
        let n = self.inverse_diagonal.len();
        let mut level = vec![0_usize; n];
        for j in 0..n {
            for &i in &self.rows[self.starts[j]..self.starts[j + 1]] {
                level[i as usize] = level[i as usize].max(level[j] + 1);
            }
        }
        let mut levels = vec![0; level.iter().max().map_or(0, |last| last + 1) + 1];
        level.iter().for_each(|&l| levels[l + 1] += 1);
        for l in 1..levels.len() {
            levels[l] += levels[l - 1];
        }
        let mut next = levels.clone();
        let mut order = vec![0; n];
        let position: Vec<u32> = (0..n)
            .map(|i| {
                let place = next[level[i]];
                next[level[i]] += 1;
                order[place] = i as u32;
                place as u32
            })
            .collect();
        let mut starts = Vec::with_capacity(n + 1);
        starts.push(0);
        let (mut columns, mut values) =
            (Vec::with_capacity(self.rows.len()), Vec::with_capacity(self.rows.len()));
        for &j in &order {
            for k in self.starts[j as usize]..self.starts[j as usize + 1] {
                columns.push(position[self.rows[k] as usize]);
                values.push(self.values[k]);
            }
            starts.push(columns.len());
        }
        let upper = Csr::from_sorted_rows(n, starts, columns, values);
        IncompleteCholesky {
            lower: upper.transpose(),
            upper,
            inverse_diagonal: order.iter().map(|&i| self.inverse_diagonal[i as usize]).collect(),
            levels,
            order,
            position,
            scratch: vec![0.0; n],
            shift,
        }
    }
}

impl Preconditioner for IncompleteCholesky {
    fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        let mut x = std::mem::take(&mut self.scratch);
        x.par_iter_mut().zip(&self.order).for_each(|(x, &i)| *x = r[i as usize]);
        let levels: Vec<(usize, usize)> = self.levels.windows(2).map(|pair| (pair[0], pair[1])).collect();
        for &(start, end) in &levels {
            let (known, rest) = x.split_at_mut(start);
            self.solve_level(&self.lower, start, &mut rest[..end - start], |m| known[m]);
        }
        for &(start, end) in levels.iter().rev() {
            let (rest, known) = x.split_at_mut(end);
            self.solve_level(&self.upper, start, &mut rest[start..], |m| known[m - end]);
        }
        z.par_iter_mut().zip(&self.position).for_each(|(z, &k)| *z = x[k as usize]);
        self.scratch = x;
    }
}

impl IncompleteCholesky {
    /// `x_k ← (x_k - Σ_m t_km x_m) / l_kk` for the rows of one level of a triangle.
    fn solve_level(
        &self,
        triangle: &Csr,
        start: usize,
        level: &mut [f64],
        known: impl Fn(usize) -> f64 + Sync,
    ) {
        let solve = |first: usize, part: &mut [f64]| {
            for (k, x) in (first..).zip(part) {
                let (columns, values) = triangle.row(k);
                let sum: f64 = columns.iter().zip(values).map(|(&m, value)| value * known(m as usize)).sum();
                *x = (*x - sum) * self.inverse_diagonal[k];
            }
        };
        if level.len() < 2 * ROWS {
            solve(start, level);
        } else {
            level
                .par_chunks_mut(ROWS)
                .enumerate()
                .for_each(|(chunk, part)| solve(start + chunk * ROWS, part));
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
        for k in 0..n {
            let i = factor.order[k] as usize;
            l[i][i] = 1.0 / factor.inverse_diagonal[k];
            let (columns, values) = factor.lower.row(k);
            for (&m, &value) in columns.iter().zip(values) {
                l[i][factor.order[m as usize] as usize] = value;
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
    fn solving_undoes_the_product_of_the_factors_on_wide_levels_too() {
        // One level of all unknowns in the plane x + y + z = const; 60^3 has levels of more than 2 ROWS.
        for shape in [[5, 4, 6], [60, 60, 60]] {
            let grid = PressureGrid::around_ball(&shape, Outside::Open).unwrap();
            let (matrix, _) = grid.compressed();
            let mut factor = IncompleteCholesky::new(&matrix, 0.0, 0.0).unwrap();
            let n = matrix.shape().0;
            let x: Vec<f64> = (0..n).map(|i| (0.37 * i as f64).sin()).collect();
            // b = L Lᵀ x, in the order of the levels.
            let permuted: Vec<f64> = factor.order.iter().map(|&i| x[i as usize]).collect();
            let (mut y, mut b) = (vec![0.0; n], vec![0.0; n]);
            factor.upper.multiply(&permuted, &mut y);
            (0..n).for_each(|k| y[k] += permuted[k] / factor.inverse_diagonal[k]);
            factor.lower.multiply(&y, &mut b);
            (0..n).for_each(|k| b[k] += y[k] / factor.inverse_diagonal[k]);
            let b: Vec<f64> = factor.position.iter().map(|&k| b[k as usize]).collect();
            let mut z = vec![0.0; n];
            factor.apply(&b, &mut z);
            assert!(x.iter().zip(&z).all(|(x, z)| (x - z).abs() < 1e-10));
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
