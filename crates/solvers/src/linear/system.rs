//! What is to be solved: a matrix of either kind with a right side.

use super::csr::SymmetricMatrix;
use super::grid::PressureGrid;
use super::operator::SymmetricOperator;
use super::vector::norm;
use super::{LinearError, NullSpace};

/// Up to this share of its norm outside the range, a right side is taken to be in it but for rounding.
const ROUNDING: f64 = 1e-10;

/// The matrix of a system.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// The pressure equation on a grid, never written out.
    Grid(PressureGrid),
    /// A sparse symmetric matrix.
    Sparse(SymmetricMatrix),
}

impl Matrix {
    /// As the iterations see it.
    pub fn operator(&self) -> &dyn SymmetricOperator {
        match self {
            Matrix::Grid(grid) => grid,
            Matrix::Sparse(matrix) => matrix,
        }
    }

    /// The number of unknowns.
    pub fn unknowns(&self) -> usize {
        match self {
            Matrix::Grid(grid) => grid.fluid_cells(),
            Matrix::Sparse(matrix) => matrix.dimension(),
        }
    }

    /// The number of connected components.
    pub fn components(&self) -> usize {
        match self {
            Matrix::Grid(grid) => grid.components(),
            Matrix::Sparse(matrix) => matrix.components(),
        }
    }

    /// Constants that the matrix maps to zero.
    pub fn null_space(&self) -> &NullSpace {
        self.operator().null_space()
    }

    /// Sets a vector to zero where the matrix has no unknowns.
    pub(super) fn mask(&self, vector: &mut [f64]) {
        if let Matrix::Grid(grid) = self {
            grid.mask(vector);
        }
    }
}

/// A linear system `A x = b`, checked: lengths, finite values, no negative curvature in sight, `b` in the range of `A`.
#[derive(Clone, Debug)]
pub struct System {
    matrix: Matrix,
    right_side: Vec<f64>,
    notes: Vec<String>,
}

impl System {
    /// A system; on a grid the right side has one entry for each cell.
    ///
    /// With `project`, a right side that has no solution is replaced by the nearest one that has (with a note).
    ///
    /// # Errors
    /// [`LinearError`] if the right side has the wrong length, is not finite, or lies outside the range of a singular matrix, and if
    /// a diagonal entry shows that the matrix is not positive semi-definite.
    pub fn new(matrix: Matrix, mut right_side: Vec<f64>, project: bool) -> Result<Self, LinearError> {
        let n = matrix.operator().dimension();
        if right_side.len() != n {
            return Err(LinearError::Length { what: "the right side", expected: n, found: right_side.len() });
        }
        if let Some(i) = right_side.iter().position(|b| !b.is_finite()) {
            return Err(LinearError::NotFinite {
                what: "the right side",
                place: format!("entry {} (counted from 1)", i + 1),
                value: right_side[i],
            });
        }
        check_diagonal(&matrix)?;
        let before = norm(&right_side);
        let mut inside = right_side.clone();
        matrix.mask(&mut inside);
        let off_fluid = norm(&difference(&right_side, &inside)) / before.max(f64::MIN_POSITIVE);
        if !project {
            if off_fluid > ROUNDING {
                return Err(LinearError::OutsideRange {
                    component: "cells that are not fluid".into(),
                    relative: off_fluid,
                });
            }
            matrix.null_space().check_range(&inside, ROUNDING)?;
        }
        matrix.null_space().project(&mut inside);
        let mut notes = Vec::new();
        let removed = norm(&difference(&right_side, &inside)) / before.max(f64::MIN_POSITIVE);
        if removed > ROUNDING {
            notes.push(format!(
                "the right side was projected onto the range of the matrix; {removed:.2e} of its norm was removed"
            ));
        }
        std::mem::swap(&mut right_side, &mut inside);
        let singular = matrix.null_space().dimension();
        if singular > 0 {
            notes.push(format!(
                "the matrix is singular: constants are undetermined on {}; there the solution has mean zero",
                crate::statement::counted(singular, "connected component")
            ));
        }
        if matrix.components() > 1 {
            notes.push(format!("the system falls into {} independent components", matrix.components()));
        }
        if let Matrix::Grid(grid) = &matrix {
            notes.extend(grid.notes().iter().cloned());
        }
        Ok(System { matrix, right_side, notes })
    }

    /// The matrix.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The right side, in the range of the matrix.
    pub fn right_side(&self) -> &[f64] {
        &self.right_side
    }

    /// Remarks on the system.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// A positive semi-definite matrix has no negative diagonal entry, and zeros in a row whose diagonal entry is zero.
fn check_diagonal(matrix: &Matrix) -> Result<(), LinearError> {
    let Matrix::Sparse(sparse) = matrix else { return Ok(()) };
    for (i, &d) in sparse.diagonal().iter().enumerate() {
        let (columns, values) = sparse.csr().row(i);
        let beside = columns.iter().zip(values).find(|&(&j, &value)| j as usize != i && value != 0.0);
        let row = i + 1;
        match beside {
            _ if d < 0.0 => {
                return Err(LinearError::NotPositiveDefinite(format!(
                    "diagonal entry {row} is {d}; if all are negative, solve with -A and -b"
                )));
            }
            Some((&j, value)) if d == 0.0 => {
                return Err(LinearError::NotPositiveDefinite(format!(
                    "diagonal entry {row} is zero but entry ({row}, {}) is {value}",
                    j + 1
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
