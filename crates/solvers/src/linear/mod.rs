//! Sparse symmetric systems `A x = b` with millions of unknowns: positive definite, or semi-definite with constants as null space.

mod cholesky;
mod conjugate_directions;
mod conjugate_gradient;
mod csr;
mod deflation;
mod direction_proposal;
mod error;
pub mod files;
mod grid;
mod incomplete_cholesky;
mod lanczos;
mod method;
mod multigrid;
mod operator;
pub mod options;
mod solution;
mod statement;
mod system;
mod training_set;
mod vector;

pub use csr::{Csr, SymmetricMatrix};
pub use direction_proposal::{DirectionProposal, IdentityProposal, InverseProposal};
pub use error::LinearError;
pub use grid::{Cell, Load, Outside, PressureGrid};
pub use method::{Method, solve};
pub use operator::{NullSpace, SymmetricOperator};
pub use solution::{HistoryPoint, Solution};
pub use statement::{Origin, Statement};
pub use system::{Matrix, System};
pub use training_set::{RitzOptions, TrainingSet, box_training_set, ritz_training_set};
