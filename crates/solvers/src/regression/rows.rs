//! The data of a regression: rows of `[A | b]`, shown in order, as often as a method wants to see them.

use faer::sparse::SparseRowMatRef;
use mathesis_algebra::sketch::DenseRows;

use super::SolveError;

/// A block of rows of the matrix.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// All entries, row-major, in double or single precision.
    Dense(DenseRows<'a>),
    /// The entries that are not zero, by rows.
    Sparse(SparseRowMatRef<'a, usize, f64>),
}

impl Matrix<'_> {
    /// Rows.
    pub fn rows(&self) -> usize {
        match self {
            Matrix::Dense(rows) => rows.rows(),
            Matrix::Sparse(rows) => rows.nrows(),
        }
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        match self {
            Matrix::Dense(rows) => rows.columns(),
            Matrix::Sparse(rows) => rows.ncols(),
        }
    }
}

/// Consecutive rows of the matrix and of the response.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The number of the first row.
    pub first: usize,
    /// The rows of the matrix.
    pub matrix: Matrix<'a>,
    /// The response, one for each row.
    pub response: &'a [f64],
}

/// What sees the blocks.
pub type Visitor<'v> = dyn FnMut(Block<'_>) -> Result<(), SolveError> + 'v;

/// Rows that can be seen in order, from the first to the last, several times.
pub trait Rows {
    /// The names of the columns of the matrix, in order.
    fn names(&self) -> Vec<String>;

    /// The number of rows, or a bound above it where only reading all of them would tell.
    fn rows_at_most(&self) -> usize;

    /// Whether all rows are in memory and come in a single block.
    fn in_memory(&self) -> bool;

    /// Show all rows in order, in blocks of `block_rows` of which only the last is shorter; rows in memory come in one block.
    ///
    /// # Errors
    /// If rows cannot be read, and what the visitor answers.
    fn visit(&mut self, block_rows: usize, visitor: &mut Visitor<'_>) -> Result<(), SolveError>;
}

/// A matrix and a response that lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct MatrixProblem<'a> {
    matrix: Matrix<'a>,
    response: &'a [f64],
}

impl<'a> MatrixProblem<'a> {
    /// A dense matrix.
    ///
    /// # Errors
    /// If the response has not one entry for each row.
    pub fn dense(matrix: DenseRows<'a>, response: &'a [f64]) -> Result<Self, SolveError> {
        Self::new(Matrix::Dense(matrix), response)
    }

    /// A sparse matrix. It is sketched as it is by `count-sketch`, `osnap`, `gaussian` and `sign`; for the other sketches it is
    /// written out, with a note.
    ///
    /// # Errors
    /// If the response has not one entry for each row.
    pub fn sparse(matrix: SparseRowMatRef<'a, usize, f64>, response: &'a [f64]) -> Result<Self, SolveError> {
        Self::new(Matrix::Sparse(matrix), response)
    }

    fn new(matrix: Matrix<'a>, response: &'a [f64]) -> Result<Self, SolveError> {
        if matrix.rows() != response.len() {
            return Err(SolveError::Lengths { rows: matrix.rows(), response: response.len() });
        }
        Ok(MatrixProblem { matrix, response })
    }
}

impl Rows for MatrixProblem<'_> {
    fn names(&self) -> Vec<String> {
        (0..self.matrix.columns()).map(|j| format!("x{}", j + 1)).collect()
    }

    fn rows_at_most(&self) -> usize {
        self.response.len()
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn visit(&mut self, _: usize, visitor: &mut Visitor<'_>) -> Result<(), SolveError> {
        visitor(Block { first: 0, matrix: self.matrix, response: self.response })
    }
}

/// A dense matrix, a response and names, owned: what files and generators give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub names: Vec<String>,
    /// The matrix, row-major, with as many columns as there are names.
    pub matrix: Vec<f64>,
    /// The response, one for each row.
    pub response: Vec<f64>,
}

impl Table {
    /// The matrix.
    pub fn rows(&self) -> DenseRows<'_> {
        DenseRows::new(&self.matrix, self.response.len(), self.names.len())
    }
}

impl Rows for Table {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn rows_at_most(&self) -> usize {
        self.response.len()
    }

    fn in_memory(&self) -> bool {
        true
    }

    fn visit(&mut self, _: usize, visitor: &mut Visitor<'_>) -> Result<(), SolveError> {
        if self.matrix.len() != self.response.len() * self.names.len() {
            return Err(SolveError::Lengths {
                rows: self.matrix.len() / self.names.len().max(1),
                response: self.response.len(),
            });
        }
        visitor(Block { first: 0, matrix: Matrix::Dense(self.rows()), response: &self.response })
    }
}

/// The complaint about the first entry that is not finite, after sums have come out not finite.
pub(super) fn not_finite(rows: &mut dyn Rows, block_rows: usize) -> SolveError {
    let names = rows.names();
    let found = rows.visit(block_rows, &mut |block| {
        for i in 0..block.response.len() {
            let entry = match block.matrix {
                Matrix::Dense(rows) => (0..rows.columns()).find(|j| !rows.get(i, *j).is_finite()),
                Matrix::Sparse(rows) => rows
                    .col_idx_of_row_raw(i)
                    .iter()
                    .zip(rows.val_of_row(i))
                    .find(|(_, x)| !x.is_finite())
                    .map(|(j, _)| *j),
            };
            let response = (!block.response[i].is_finite()).then(|| "the response".to_string());
            if let Some(column) = entry.map(|j| format!("column `{}`", names[j])).or(response) {
                return Err(SolveError::NotFinite { row: block.first + i + 1, column });
            }
        }
        Ok(())
    });
    found.err().unwrap_or_else(|| {
        SolveError::Breakdown("the sums overflow: scale the columns and the response".to_string())
    })
}
