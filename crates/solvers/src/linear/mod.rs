//! Sparse symmetric systems `A x = b` with millions of unknowns: positive definite, or semi-definite with constants as null space.

mod csr;
mod direction_proposal;
mod error;
mod grid;
mod lanczos;
mod operator;
mod random;
mod training_set;
mod vector;

pub use csr::{Csr, SymmetricMatrix};
pub use direction_proposal::{DirectionProposal, IdentityProposal, InverseProposal};
pub use error::LinearError;
pub use grid::{Cell, Load, Outside, PressureGrid};
pub use operator::{NullSpace, SymmetricOperator};
pub use training_set::{RitzOptions, TrainingSet, box_training_set, ritz_training_set};
