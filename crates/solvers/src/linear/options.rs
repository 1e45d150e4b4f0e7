//! The options of each method, as they stand in the `[method]` table of a problem file, with their defaults.
//!
//! All iterations share two: `tolerance`, the relative residual `‖b - A x‖ / ‖b‖` at which they stop, and `iterations`, at most.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Options of `conjugate-gradient` and of `jacobi`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConjugateGradient {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
}

impl Default for ConjugateGradient {
    fn default() -> Self {
        ConjugateGradient { tolerance: 1e-6, iterations: 10_000 }
    }
}

/// Options of `incomplete-cholesky`: the factor has the pattern of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IncompleteCholesky {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
    /// Added to the diagonal before factorising, relative to it; it grows by itself until all pivots are positive.
    pub shift: f64,
}

impl Default for IncompleteCholesky {
    fn default() -> Self {
        IncompleteCholesky { tolerance: 1e-6, iterations: 10_000, shift: 0.0 }
    }
}

/// Options of `modified-incomplete-cholesky`: what the pattern has no room for is moved to the diagonal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModifiedIncompleteCholesky {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
    /// As for `incomplete-cholesky`.
    pub shift: f64,
    /// The share that is moved: from 0 (not modified) to 1 (row sums are kept).
    pub relaxation: f64,
}

impl Default for ModifiedIncompleteCholesky {
    fn default() -> Self {
        ModifiedIncompleteCholesky { tolerance: 1e-6, iterations: 10_000, shift: 0.0, relaxation: 0.97 }
    }
}

/// Options of `multigrid` and of `algebraic-multigrid`: one V-cycle as the preconditioner of conjugate gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Multigrid {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
    /// Degree of the Chebyshev polynomial that smooths before and after each coarse correction; 1 to 8.
    pub smoothing: usize,
}

impl Default for Multigrid {
    fn default() -> Self {
        Multigrid { tolerance: 1e-6, iterations: 500, smoothing: 2 }
    }
}

/// Options of `deflated`: conjugate gradients with a diagonal preconditioner, Ritz vectors of the right side projected out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deflated {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
    /// Ritz vectors; at least 1.
    pub vectors: usize,
    /// Lanczos steps from the right side that the Ritz vectors are taken from; at least as many.
    pub lanczos_steps: usize,
}

impl Default for Deflated {
    fn default() -> Self {
        Deflated { tolerance: 1e-6, iterations: 10_000, vectors: 16, lanczos_steps: 16 }
    }
}

/// Options of `cholesky`: sparse and direct, the reference for small systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cholesky {
    /// The relative residual at which the solution counts as converged; the factorisation does not depend on it.
    pub tolerance: f64,
    /// Unknowns at most: the factor of a grid in space outgrows the memory soon.
    pub unknowns: usize,
}

impl Default for Cholesky {
    fn default() -> Self {
        Cholesky { tolerance: 1e-6, unknowns: 200_000 }
    }
}

/// Options of `deep-conjugate-directions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeepConjugateDirections {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
    /// The file of the network that proposes directions.
    pub network: Option<PathBuf>,
    /// Previous directions that a new one is made conjugate to.
    pub previous_directions: usize,
}

impl Default for DeepConjugateDirections {
    fn default() -> Self {
        DeepConjugateDirections { tolerance: 1e-6, iterations: 1000, network: None, previous_directions: 2 }
    }
}

/// Options of `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Auto {
    /// Relative residual to stop at; at least 0, below 1.
    pub tolerance: f64,
    /// Iterations at most.
    pub iterations: usize,
}

impl Default for Auto {
    fn default() -> Self {
        Auto { tolerance: 1e-6, iterations: 10_000 }
    }
}
