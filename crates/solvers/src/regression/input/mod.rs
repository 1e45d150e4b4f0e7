//! Regressions from files: CSV, Parquet and NumPy arrays, read in blocks of rows as often as a method passes over them.

mod csv;
mod npy;
mod parquet;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rows::Visitor;
use super::{Block, Matrix, Rows, SolveError, Table};
use crate::statement::nearest;
use mathesis_algebra::sketch::DenseRows;

/// Why a file cannot be read as a regression.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The ending of the file's name is not one of those that are read.
    #[error("{path}: expected a file that ends in .csv, .parquet or .npy")]
    Format {
        /// The file.
        path: String,
    },
    /// There is no such column.
    #[error("{path} has no column {column}{help}")]
    NoColumn {
        /// The file.
        path: String,
        /// The column that was asked for.
        column: String,
        /// The columns there are, or the nearest.
        help: String,
    },
    /// An entry that is missing or no number.
    #[error("{path}, line {line}, column `{column}`: {what}")]
    Entry {
        /// The file.
        path: String,
        /// The line of a text file, counted from 1; the row of others.
        line: u64,
        /// The column's name.
        column: String,
        /// What is wrong.
        what: String,
    },
    /// The file is of a shape or type that is not read.
    #[error("{path}: {what}")]
    Unsuitable {
        /// The file.
        path: String,
        /// What is wrong, what is expected.
        what: String,
    },
}

/// A column, by name or by number, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// By number, counted from 1.
    Number(usize),
    /// By name.
    Name(String),
}

/// What of a file is the regression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The response.
    pub response: Column,
    /// The columns of the matrix; absent: all but the response.
    pub columns: Option<Vec<Column>>,
    /// Whether a column of ones is added, named `intercept`.
    pub intercept: bool,
    /// Whether the first line of a CSV file has the names; else columns are named `x1`, `x2`, ...
    pub header: bool,
    /// What separates the entries of a CSV file.
    pub separator: u8,
}

/// One kind of file, positioned at some row.
trait Source: Send {
    /// The names of all columns.
    fn columns(&self) -> &[String];
    /// The number of rows or a bound above it.
    fn rows_at_most(&self) -> usize;
    /// Go back to the first row.
    fn restart(&mut self) -> Result<(), InputError>;
    /// Append up to `count` further rows; returns how many there were.
    fn read(&mut self, picks: &Picks, count: usize, rows: &mut Table) -> Result<usize, InputError>;
}

/// Which columns of a file are read.
#[derive(Clone, Debug)]
struct Picks {
    matrix: Vec<usize>,
    response: usize,
    intercept: bool,
}

/// A regression in a file.
pub struct FileRows {
    source: Box<dyn Source>,
    picks: Picks,
    names: Vec<String>,
}

/// Open a file; its ending says what it is.
///
/// # Errors
/// [`InputError`] if it cannot be read or has not the selected columns.
pub fn open(path: &Path, selection: &Selection) -> Result<FileRows, InputError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let source: Box<dyn Source> = match ending.as_deref() {
        Some("csv") => Box::new(csv::Csv::open(path, selection.header, selection.separator)?),
        Some("parquet") => Box::new(parquet::Parquet::open(path)?),
        Some("npy") => Box::new(npy::Npy::open(path)?),
        _ => return Err(InputError::Format { path: path.display().to_string() }),
    };
    let find = |column: &Column| find(path, source.columns(), column);
    let response = find(&selection.response)?;
    let matrix = match &selection.columns {
        Some(columns) => columns.iter().map(find).collect::<Result<Vec<_>, _>>()?,
        None => (0..source.columns().len()).filter(|j| *j != response).collect(),
    };
    let mut names: Vec<String> = matrix.iter().map(|j| source.columns()[*j].clone()).collect();
    if selection.intercept {
        names.push("intercept".to_string());
    }
    Ok(FileRows { source, picks: Picks { matrix, response, intercept: selection.intercept }, names })
}

fn find(path: &Path, names: &[String], column: &Column) -> Result<usize, InputError> {
    let missing = |column: String, help: String| InputError::NoColumn {
        path: path.display().to_string(),
        column,
        help,
    };
    match column {
        Column::Number(number) if (1..=names.len()).contains(number) => Ok(number - 1),
        Column::Number(number) => {
            Err(missing(number.to_string(), format!(": expected 1 to {}", names.len())))
        }
        Column::Name(name) => names.iter().position(|known| known == name).ok_or_else(|| {
            let help = match nearest(name, names.iter().map(String::as_str)) {
                Some(word) => format!("; did you mean `{word}`?"),
                None if names.len() <= 30 => format!(": expected one of {}", names.join(", ")),
                None => format!("; it has {} columns, {}, {}, ...", names.len(), names[0], names[1]),
            };
            missing(format!("`{name}`"), help)
        }),
    }
}

impl FileRows {
    /// Bytes that the rows take in memory, at most.
    pub fn bytes_at_most(&self) -> usize {
        self.source.rows_at_most().saturating_mul(8 * (self.names.len() + 1))
    }

    /// All rows, in memory.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn load(mut self) -> Result<Table, SolveError> {
        let mut table = Table { names: self.names.clone(), ..Table::default() };
        self.source.restart()?;
        while self.source.read(&self.picks, super::passes::BLOCK_ROWS, &mut table)? > 0 {}
        Ok(table)
    }
}

impl Rows for FileRows {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn rows_at_most(&self) -> usize {
        self.source.rows_at_most()
    }

    fn in_memory(&self) -> bool {
        false
    }

    fn visit(&mut self, block_rows: usize, visitor: &mut Visitor<'_>) -> Result<(), SolveError> {
        self.source.restart()?;
        let mut block = Table { names: self.names.clone(), ..Table::default() };
        let mut first = 0;
        loop {
            block.matrix.clear();
            block.response.clear();
            // A source may stop early, at the end of its own blocks: blocks are filled all the same.
            while block.response.len() < block_rows {
                let wanted = block_rows - block.response.len();
                if self.source.read(&self.picks, wanted, &mut block)? == 0 {
                    break;
                }
            }
            let count = block.response.len();
            if count == 0 {
                return Ok(());
            }
            let matrix = DenseRows::new(&block.matrix, count, self.names.len());
            visitor(Block { first, matrix: Matrix::Dense(matrix), response: &block.response })?;
            first += count;
            if count < block_rows {
                return Ok(());
            }
        }
    }
}

/// The complaint that a file cannot be read.
fn unreadable(path: &Path, cause: impl ToString) -> InputError {
    InputError::Unreadable { path: path.display().to_string(), cause: cause.to_string() }
}

/// The names of columns that have none.
fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|j| format!("x{j}")).collect()
}

/// The file of a path that was opened before.
type Place = PathBuf;
