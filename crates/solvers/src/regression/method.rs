//! The choice of a method, and why a regression cannot be solved at all.

use serde::Serialize;

use super::{Auto, Direct, Refined, Rows, SketchAndSolve, Solution, Svd, direct, refined, sketched};
use crate::Observer;

/// Why a regression could not be solved. (Not converging is a status of the solution, not an error.)
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// No rows or no columns.
    #[error("there is nothing to solve: {rows} rows and {columns} columns")]
    Empty {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// The response does not fit the matrix.
    #[error("the matrix has {rows} rows and the response {response} entries")]
    Lengths {
        /// Rows of the matrix.
        rows: usize,
        /// Entries of the response.
        response: usize,
    },
    /// Fewer rows than coefficients.
    #[error(
        "{rows} rows do not determine {columns} coefficients: give more rows or fewer columns, or take method `svd`, which \
         gives the solution of least norm"
    )]
    Underdetermined {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// The columns depend on each other.
    #[error(
        "the columns are linearly dependent: numerical rank {rank} of {columns} (smallest singular value {smallest:.1e} of \
         the largest); leave columns out, or take method `svd`, which gives the solution of least norm"
    )]
    RankDeficient {
        /// Numerical rank.
        rank: usize,
        /// Columns of the matrix.
        columns: usize,
        /// The smallest singular value over the largest.
        smallest: f64,
    },
    /// An entry that is no finite number.
    #[error("row {row}, {column}: not a finite number")]
    NotFinite {
        /// The row, counted from 1.
        row: usize,
        /// The column, in words.
        column: String,
    },
    /// An option that is out of range or does not fit the data.
    #[error("option `{key}`: {message}")]
    Option {
        /// The option's name as in the `[method]` table.
        key: &'static str,
        /// What is wrong, what is expected.
        message: String,
    },
    /// The data cannot be read.
    #[error(transparent)]
    Input(#[from] super::input::InputError),
    /// Stopped from outside before there was anything to return.
    #[error("stopped before the first pass over the data was over")]
    Interrupted,
    /// The linear algebra broke down and no finite solution exists to return.
    #[error("{0}")]
    Breakdown(String),
}

/// How a regression is solved, with the options.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Method {
    /// Solve the sketched regression.
    SketchAndSolve(SketchAndSolve),
    /// Solve to full accuracy by LSQR, preconditioned by a sketch.
    Refined(Refined),
    /// Householder QR.
    Householder(Direct),
    /// Cholesky of the normal equations.
    NormalEquations(Direct),
    /// Singular values, for deficient rank.
    Svd(Svd),
    /// The machine's choice.
    Auto(Auto),
}

impl Method {
    /// The names in the `[method]` table.
    pub const NAMES: &[&str] =
        &["sketch-and-solve", "refined", "householder", "normal-equations", "svd", "auto"];

    /// The name in the `[method]` table.
    pub fn name(&self) -> &'static str {
        match self {
            Method::SketchAndSolve(_) => "sketch-and-solve",
            Method::Refined(_) => "refined",
            Method::Householder(_) => "householder",
            Method::NormalEquations(_) => "normal-equations",
            Method::Svd(_) => "svd",
            Method::Auto(_) => "auto",
        }
    }

    /// The seed of the random sketch, where there is one.
    pub fn seed(&self) -> Option<u64> {
        match self {
            Method::SketchAndSolve(options) => Some(options.seed),
            Method::Refined(options) => Some(options.seed),
            Method::Auto(options) => Some(options.seed),
            _ => None,
        }
    }

    /// The same method with another seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        match &mut self {
            Method::SketchAndSolve(options) => options.seed = seed,
            Method::Refined(options) => options.seed = seed,
            Method::Auto(options) => options.seed = seed,
            _ => {}
        }
        self
    }

    /// Bytes that the method may take.
    pub fn memory_limit(&self) -> usize {
        match self {
            Method::SketchAndSolve(options) => options.memory_limit.0,
            Method::Refined(options) => options.memory_limit.0,
            Method::Householder(options) | Method::NormalEquations(options) => options.memory_limit.0,
            Method::Svd(options) => options.memory_limit.0,
            Method::Auto(options) => options.memory_limit.0,
        }
    }

    /// Solve.
    ///
    /// # Errors
    /// [`SolveError`] if the data cannot be read or do not determine the coefficients, or an option is out of range.
    pub fn solve(&self, rows: &mut dyn Rows, observer: &mut dyn Observer) -> Result<Solution, SolveError> {
        let columns = rows.names().len();
        if columns == 0 || rows.rows_at_most() == 0 {
            return Err(SolveError::Empty { rows: rows.rows_at_most(), columns });
        }
        match self {
            Method::SketchAndSolve(options) => sketched::solve(rows, options, observer),
            Method::Refined(options) => refined::solve(rows, options, observer),
            Method::Householder(options) => direct::householder(rows, options, observer),
            Method::NormalEquations(options) => direct::normal_equations(rows, options, observer),
            Method::Svd(options) => direct::svd(rows, options, observer),
            Method::Auto(options) => choose(rows, options, observer),
        }
    }
}

/// The machine's choice: direct methods where they are cheap, else a preconditioned iteration; singular values where the rank
/// is deficient.
fn choose(rows: &mut dyn Rows, options: &Auto, observer: &mut dyn Observer) -> Result<Solution, SolveError> {
    let (n, d) = (rows.rows_at_most(), rows.names().len());
    let direct = Direct { memory_limit: options.memory_limit, ..Direct::default() };
    let svd = Svd { memory_limit: options.memory_limit, ..Svd::default() };
    if n < d {
        let note = format!("fewer rows ({n}) than coefficients ({d}): the solution of least norm, by svd");
        return Method::Svd(svd).solve(rows, observer).map(|solution| solution.with_note(note));
    }
    // QR takes 2 n d² operations; a sketch and its refinement some tens of passes, of 4 n d operations each, and 8 d³.
    let (qr, refined) = (2.0 * (n * d) as f64 * d as f64, 200.0 * (n * d) as f64 + 8.0 * (d as f64).powi(3));
    let (method, note) = if qr <= refined.max(1e9) {
        (Method::Householder(direct), "few enough coefficients for QR of the whole matrix: householder")
    } else {
        let refined =
            Refined { seed: options.seed, memory_limit: options.memory_limit, ..Refined::default() };
        (Method::Refined(refined), "many rows and coefficients: LSQR preconditioned by a sketch (refined)")
    };
    match method.solve(rows, observer) {
        Err(error @ SolveError::RankDeficient { .. }) => {
            let note = format!("{} found that {error}; svd is taken", method.name());
            Method::Svd(svd).solve(rows, observer).map(|solution| solution.with_note(note))
        }
        solved => solved.map(|solution| solution.with_note(note.to_string())),
    }
}
