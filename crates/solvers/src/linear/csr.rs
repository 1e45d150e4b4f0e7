//! Sparse matrices in compressed rows, and the symmetric ones among them with their null space.

use rayon::prelude::*;

use super::LinearError;
use super::operator::{NullSpace, SymmetricOperator};

/// Rows a task works on.
const ROWS: usize = 1 << 12;

/// A sparse matrix in compressed rows; columns ascend within a row and occur once.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    columns_count: usize,
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Csr {
    /// From entries `(row, column, value)` in any order, counted from 0; entries at the same place are added.
    ///
    /// # Errors
    /// [`LinearError::Length`] if an entry lies outside the matrix or the matrix has 2^32 columns or more.
    pub fn from_entries(
        rows: usize,
        columns: usize,
        mut entries: Vec<(u32, u32, f64)>,
    ) -> Result<Self, LinearError> {
        let large = |found| LinearError::Length { what: "a side of the matrix", expected: 1 << 31, found };
        if rows.max(columns) >= 1 << 31 {
            return Err(large(rows.max(columns)));
        }
        if let Some(&(i, j, _)) =
            entries.iter().find(|&&(i, j, _)| i as usize >= rows || j as usize >= columns)
        {
            let (expected, found) =
                if i as usize >= rows { (rows, i as usize + 1) } else { (columns, j as usize + 1) };
            return Err(LinearError::Length { what: "the matrix with all its entries", expected, found });
        }
        // A stable sort: duplicates are added in the order in which they were given.
        entries.par_sort_by_key(|&(i, j, _)| (i, j));
        entries.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        let mut starts = vec![0; rows + 1];
        for &(i, _, _) in &entries {
            starts[i as usize + 1] += 1;
        }
        for i in 0..rows {
            starts[i + 1] += starts[i];
        }
        let (columns_of, values) = entries.into_iter().map(|(_, j, value)| (j, value)).unzip();
        Ok(Csr { columns_count: columns, starts, columns: columns_of, values })
    }

    /// From rows whose columns ascend already.
    pub(super) fn from_sorted_rows(
        columns_count: usize,
        starts: Vec<usize>,
        columns: Vec<u32>,
        values: Vec<f64>,
    ) -> Self {
        debug_assert_eq!(starts.last(), Some(&columns.len()));
        debug_assert_eq!(columns.len(), values.len());
        Csr { columns_count, starts, columns, values }
    }

    /// From rows that are computed each on its own, in parallel; a row's columns need not ascend.
    pub(super) fn from_rows(columns_count: usize, rows: Vec<Vec<(u32, f64)>>) -> Self {
        let mut starts = Vec::with_capacity(rows.len() + 1);
        starts.push(0);
        let mut total = 0;
        for row in &rows {
            total += row.len();
            starts.push(total);
        }
        let (mut columns, mut values) = (Vec::with_capacity(total), Vec::with_capacity(total));
        for mut row in rows {
            row.sort_unstable_by_key(|&(column, _)| column);
            columns.extend(row.iter().map(|&(column, _)| column));
            values.extend(row.iter().map(|&(_, value)| value));
        }
        Csr { columns_count, starts, columns, values }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.starts.len() - 1, self.columns_count)
    }

    /// Stored entries.
    pub fn stored(&self) -> usize {
        self.columns.len()
    }

    /// The columns (ascending) and values of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The entry at a place, zero if it is not stored.
    pub fn entry(&self, row: usize, column: usize) -> f64 {
        let (columns, values) = self.row(row);
        columns.binary_search(&(column as u32)).map_or(0.0, |k| values[k])
    }

    /// `product = A vector`.
    ///
    /// # Panics
    /// If a slice has another length than the matrix.
    pub fn multiply(&self, vector: &[f64], product: &mut [f64]) {
        self.for_rows(vector, product, |sum, _, product| *product = sum);
    }

    /// The transpose.
    pub fn transpose(&self) -> Csr {
        let (rows, columns) = self.shape();
        let mut starts = vec![0; columns + 1];
        for &j in &self.columns {
            starts[j as usize + 1] += 1;
        }
        for j in 0..columns {
            starts[j + 1] += starts[j];
        }
        let mut next = starts.clone();
        let (mut columns_of, mut values) = (vec![0; self.stored()], vec![0.0; self.stored()]);
        for i in 0..rows {
            let (row, entries) = self.row(i);
            for (&j, &value) in row.iter().zip(entries) {
                let place = next[j as usize];
                columns_of[place] = i as u32;
                values[place] = value;
                next[j as usize] += 1;
            }
        }
        Csr { columns_count: rows, starts, columns: columns_of, values }
    }

    /// The product with another sparse matrix, row by row (Gustavson 1978).
    pub(super) fn times(&self, other: &Csr) -> Csr {
        debug_assert_eq!(self.shape().1, other.shape().0);
        let width = other.shape().1;
        let rows = self.shape().0;
        // Each task makes a run of rows in one piece: (entries of each row, columns, values).
        let pieces: Vec<(Vec<usize>, Vec<u32>, Vec<f64>)> = (0..rows.div_ceil(ROWS))
            .into_par_iter()
            .map_init(
                || vec![u32::MAX; width],
                |place, piece| {
                    let (mut lengths, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
                    let mut sums: Vec<(u32, f64)> = Vec::new();
                    for i in piece * ROWS..rows.min((piece + 1) * ROWS) {
                        self.row_of_product(i, other, place, &mut sums);
                        lengths.push(sums.len());
                        columns.extend(sums.iter().map(|&(column, _)| column));
                        values.extend(sums.iter().map(|&(_, value)| value));
                    }
                    (lengths, columns, values)
                },
            )
            .collect();
        let stored = pieces.iter().map(|piece| piece.1.len()).sum();
        let mut starts = Vec::with_capacity(rows + 1);
        let (mut columns, mut values) = (Vec::with_capacity(stored), Vec::with_capacity(stored));
        starts.push(0);
        let mut total = 0;
        for (lengths, piece_columns, piece_values) in pieces {
            for length in lengths {
                total += length;
                starts.push(total);
            }
            columns.extend(piece_columns);
            values.extend(piece_values);
        }
        Csr { columns_count: width, starts, columns, values }
    }

    /// One row of the product, its columns ascending. `place` tells where in `sums` a column is, and is all `u32::MAX` before and after.
    fn row_of_product(&self, i: usize, other: &Csr, place: &mut [u32], sums: &mut Vec<(u32, f64)>) {
        sums.clear();
        let (middle, factors) = self.row(i);
        for (&k, &factor) in middle.iter().zip(factors) {
            let (columns, values) = other.row(k as usize);
            for (&j, &value) in columns.iter().zip(values) {
                let slot = &mut place[j as usize];
                if *slot == u32::MAX {
                    *slot = sums.len() as u32;
                    sums.push((j, factor * value));
                } else {
                    sums[*slot as usize].1 += factor * value;
                }
            }
        }
        sums.iter().for_each(|&(j, _)| place[j as usize] = u32::MAX);
        sums.sort_unstable_by_key(|&(column, _)| column);
    }

    /// The matrix with each entry replaced by a function of its row, its column and itself.
    pub(super) fn map_entries(&self, map: impl Fn(usize, usize, f64) -> f64) -> Csr {
        let mut mapped = self.clone();
        for i in 0..self.shape().0 {
            for k in self.starts[i]..self.starts[i + 1] {
                mapped.values[k] = map(i, self.columns[k] as usize, self.values[k]);
            }
        }
        mapped
    }

    /// Passes each row's product with the vector, the row's number and its place in `output` to `use_product`.
    pub(super) fn for_rows(
        &self,
        vector: &[f64],
        output: &mut [f64],
        use_product: impl Fn(f64, usize, &mut f64) + Sync,
    ) {
        let (rows, columns) = self.shape();
        assert_eq!(vector.len(), columns);
        assert_eq!(output.len(), rows);
        output.par_chunks_mut(ROWS).enumerate().for_each(|(chunk, output)| {
            for (i, output) in (chunk * ROWS..).zip(output) {
                let (columns, values) = self.row(i);
                let sum = columns.iter().zip(values).map(|(&j, value)| value * vector[j as usize]).sum();
                use_product(sum, i, output);
            }
        });
    }
}

/// A sparse matrix that is symmetric, with its connected components and its null space of constants.
#[derive(Clone, Debug)]
pub struct SymmetricMatrix {
    csr: Csr,
    diagonal: Vec<f64>,
    components: usize,
    null_space: NullSpace,
}

impl SymmetricMatrix {
    /// Checks a matrix and finds its components: those whose rows all sum to zero (a row without entries among them) are singular.
    ///
    /// # Errors
    /// [`LinearError`] if the matrix is empty, not square, not finite, or differs from its transpose by more than 1e-12 of its
    /// diagonal's scale.
    pub fn new(csr: Csr) -> Result<Self, LinearError> {
        let (rows, columns) = csr.shape();
        if rows != columns {
            return Err(LinearError::NotSquare { rows, columns });
        }
        if rows == 0 {
            return Err(LinearError::Empty(": the matrix has no rows"));
        }
        check_entries(&csr)?;
        let diagonal = (0..rows).map(|i| csr.entry(i, i)).collect();
        let (labels, sizes, singular) = connected_components(&csr);
        let components = sizes.len();
        Ok(SymmetricMatrix {
            null_space: NullSpace::new(labels, &sizes, &singular),
            csr,
            diagonal,
            components,
        })
    }

    /// A matrix that is known to be symmetric, with what is known of it.
    pub(super) fn trusted(csr: Csr, components: usize, null_space: NullSpace) -> Self {
        let diagonal = (0..csr.shape().0).map(|i| csr.entry(i, i)).collect();
        SymmetricMatrix { csr, diagonal, components, null_space }
    }

    /// The matrix.
    pub fn csr(&self) -> &Csr {
        &self.csr
    }

    /// The number of connected components.
    pub fn components(&self) -> usize {
        self.components
    }
}

impl SymmetricOperator for SymmetricMatrix {
    fn dimension(&self) -> usize {
        self.diagonal.len()
    }

    fn apply(&self, vector: &[f64], product: &mut [f64]) {
        self.csr.multiply(vector, product);
    }

    fn apply_and_dot(&self, vector: &[f64], product: &mut [f64]) -> f64 {
        self.csr.multiply(vector, product);
        super::vector::dot(vector, product)
    }

    fn diagonal(&self) -> Vec<f64> {
        self.diagonal.clone()
    }

    fn null_space(&self) -> &NullSpace {
        &self.null_space
    }
}

/// All entries finite, and the matrix equal to its transpose up to rounding.
fn check_entries(csr: &Csr) -> Result<(), LinearError> {
    let rows = csr.shape().0;
    let fault = (0..rows).into_par_iter().find_map_first(|i| {
        let (columns, values) = csr.row(i);
        columns.iter().zip(values).find_map(|(&j, &value)| {
            let (row, column) = (i + 1, j as usize + 1);
            if !value.is_finite() {
                let place = format!("({row}, {column})");
                return Some(LinearError::NotFinite { what: "the matrix", place, value });
            }
            let mirrored = csr.entry(j as usize, i);
            let scale = value.abs().max(mirrored.abs());
            ((value - mirrored).abs() > 1e-12 * scale).then_some(LinearError::NotSymmetric {
                row,
                column,
                value,
                mirrored,
            })
        })
    });
    fault.map_or(Ok(()), Err)
}

/// A label for each row, and for each label its rows' number and whether all their sums are zero.
fn connected_components(csr: &Csr) -> (Vec<u32>, Vec<usize>, Vec<bool>) {
    let rows = csr.shape().0;
    let mut labels = vec![NullSpace::NONE; rows];
    let (mut sizes, mut singular) = (Vec::new(), Vec::new());
    let mut stack = Vec::new();
    for start in 0..rows {
        if labels[start] != NullSpace::NONE {
            continue;
        }
        let label = sizes.len() as u32;
        let (mut size, mut sums_vanish) = (0, true);
        labels[start] = label;
        stack.push(start);
        while let Some(i) = stack.pop() {
            size += 1;
            let (columns, values) = csr.row(i);
            let sum: f64 = values.iter().sum();
            sums_vanish &= sum.abs() <= 1e-12 * values.iter().map(|v| v.abs()).sum::<f64>();
            for (&j, &value) in columns.iter().zip(values) {
                if value != 0.0 && labels[j as usize] == NullSpace::NONE {
                    labels[j as usize] = label;
                    stack.push(j as usize);
                }
            }
        }
        sizes.push(size);
        singular.push(sums_vanish);
    }
    (labels, sizes, singular)
}
