//! Linear structural equation models of mixed graphs: exact covariances, dimension, constraints, and their tests on data.
//!
//! The variables satisfy X = ΛᵀX + ε with Cov ε = Ω, where λ_ij (row the tail, column the head) is free for each directed edge
//! i → j and ω_ij for each bidirected edge i ↔ j; so Σ = (I−Λ)⁻ᵀ Ω (I−Λ)⁻¹. The directed part may have cycles: feedback.
//!
//! - [`MixedGraph`]: the graph, read from a notation of arrows or from DOT;
//! - [`OneConnections`]: covariances as rational functions, by paths and cycles; [`numeric`]: in numbers;
//! - [`Dimension`]: is the parametrisation finite-to-one, and how many constraints are there; *generic identifiability* is a
//!   stronger property, which is not decided here;
//! - [`vanishing_ideal`]: the constraints themselves, up to a degree, each proved;
//! - [`fit`]: do data obey them; [`simulation`]: data that do;
//! - [`Statement`], [`solve`]: all of this from a problem file.

mod dimension;
pub mod fit;
mod graph;
mod method;
mod multidegree;
mod notation;
pub mod numeric;
mod one_connection;
pub mod options;
pub mod simulation;
mod statement;
pub mod vanishing_ideal;

pub use dimension::{Dimension, census_of_simple_graphs};
pub use graph::{GraphError, LARGEST_GRAPH, MixedGraph};
pub use method::{Covariances, Finding, Solution, solve};
pub use multidegree::Multidegree;
pub use notation::Vertices;
pub use one_connection::{Names, OneConnections, Parameters, Weight, symbolic_parameters};
pub use statement::{MethodChoice, Statement};

/// Why a structural model could not be treated.
#[derive(Debug, thiserror::Error)]
pub enum StructuralError {
    /// The sums over paths and cycles are too long.
    #[error(
        "the graph has too many paths and cycles for exact sums (more than {0} steps); expected about 8 vertices if \
         densely joined, 12 if sparsely"
    )]
    TooManyPaths(u64),
    /// Parameters that do not fit the graph.
    #[error("there are {found} {what}; expected {expected}, one for each of the {of}")]
    ParameterCount {
        /// Which parameters.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
        /// What they belong to.
        of: &'static str,
    },
    /// I − Λ has no inverse.
    #[error("I − Λ is singular for these parameters: a feedback loop has gain one")]
    Singular,
    /// Ω is no covariance matrix.
    #[error(
        "Ω is not positive definite for these parameters; expected variances that outweigh the correlations"
    )]
    NotPositiveDefinite,
    /// A degree bound or a size out of range.
    #[error(
        "degree {degree} on {size} vertices is out of range; expected degrees 1 to 60 on at most 22 vertices"
    )]
    Degree {
        /// The degree asked for.
        degree: usize,
        /// The number of vertices.
        size: usize,
    },
    /// A linear system that would be too large.
    #[error(
        "degree {degree} needs a linear system of more than {limit} unknowns, for the multidegree ({}); expected a smaller \
         degree or a larger block-limit",
        list(multidegree)
    )]
    BlockLimit {
        /// The degree.
        degree: usize,
        /// The multidegree whose block is too large.
        multidegree: Multidegree,
        /// The limit.
        limit: usize,
    },
    /// A candidate that could not be proved: its coefficients are too long for the primes in use.
    #[error(
        "a polynomial of multidegree ({}) was found modulo primes but could not be proved",
        list(multidegree)
    )]
    NotProved {
        /// Its multidegree.
        multidegree: Multidegree,
    },
    /// Data that do not fit the graph or cannot be read.
    #[error("{0}")]
    Data(String),
}

fn list(multidegree: &Multidegree) -> String {
    multidegree.iter().map(u8::to_string).collect::<Vec<String>>().join(", ")
}
