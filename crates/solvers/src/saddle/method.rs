//! The methods by name, with their options as they stand in the `[method]` table of a problem file.

use serde::{Deserialize, Serialize};

use super::compressor::Compressor;

/// Which method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Korpelevich's method in one process.
    Extragradient,
    /// Popov's past extragradient (optimistic descent-ascent) in one process: one evaluation an iteration.
    Optimistic,
    /// Nemirovski's mirror-prox in one process: extragradient with the entropy's geometry on simplices.
    MirrorProx,
    /// Extragradient with uncompressed communication.
    DistributedExtragradient,
    /// Extragradient with every F_m(z) compressed by an unbiased compressor: the rival that stalls.
    CompressedExtragradient,
    /// Descent-ascent with contractive compressors and error feedback, no extrapolation: the other rival.
    ErrorFeedbackDescentAscent,
    /// MASHA1: unbiased compressors, variance reduction.
    Masha1,
    /// MASHA2: contractive compressors with error feedback, no constraints.
    Masha2,
}

impl Algorithm {
    /// The names under which methods are asked for.
    pub const NAMES: &[&str] = &[
        "extragradient",
        "optimistic",
        "mirror-prox",
        "distributed-extragradient",
        "compressed-extragradient",
        "error-feedback-descent-ascent",
        "masha1",
        "masha2",
    ];

    /// The name under which it is asked for.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The method of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        use Algorithm::*;
        [
            Extragradient,
            Optimistic,
            MirrorProx,
            DistributedExtragradient,
            CompressedExtragradient,
            ErrorFeedbackDescentAscent,
            Masha1,
            Masha2,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name() == name)
    }

    /// Whether it runs without workers.
    pub fn is_local(self) -> bool {
        matches!(self, Algorithm::Extragradient | Algorithm::Optimistic | Algorithm::MirrorProx)
    }

    /// Whether it has a point w at which F is known exactly.
    pub fn has_reference_point(self) -> bool {
        matches!(self, Algorithm::Masha1 | Algorithm::Masha2)
    }

    /// Whether its compressors must be unbiased (`Some(true)`) or contractive (`Some(false)`), or it has none.
    pub fn unbiased(self) -> Option<bool> {
        match self {
            Algorithm::Masha1 | Algorithm::CompressedExtragradient => Some(true),
            Algorithm::Masha2 | Algorithm::ErrorFeedbackDescentAscent => Some(false),
            _ => None,
        }
    }
}

/// Where the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Threads of this process.
    Threads,
    /// Processes that `mpirun` has started.
    Mpi,
}

/// What is driven below the tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// ‖z − z*‖/‖z*‖, where the solution is known.
    Distance,
    /// The natural residual ‖z − prox_h(z − F(z))‖ over its value at the start.
    Residual,
    /// The gap max_u ⟨F(z), z − u⟩ over the set: the duality gap of a matrix game.
    Gap,
}

/// How the step of `masha2` follows from the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepRule {
    /// `step-factor`·√(1−τ)/L, which works in practice and is halved if it does not.
    #[default]
    Practical,
    /// min{(1−τ)/8μ, √(1−τ)/(165 δ_worker δ_server L̂)}, L̂² the mean of L_m².
    Theory,
}

/// A method with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Method {
    /// Which.
    pub name: Algorithm,
    /// What workers send through; absent: identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_compressor: Option<Compressor>,
    /// What the server sends through; absent: identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_compressor: Option<Compressor>,
    /// The step γ; absent: from the constants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// What the step from the constants is multiplied by. Absent: ½ (of 1/L for extragradient, of √(1−τ)/C_q for `masha1`; 1 is the
    /// theory's limit of both), ⅓ for `optimistic`, 1 for `mirror-prox`, ¼ (of √(1−τ)/L) for `masha2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_factor: Option<f64>,
    /// How the step of `masha2` follows from the constants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_rule: Option<StepRule>,
    /// τ of `masha1` and `masha2`: w moves with probability 1 − τ. Absent: 1 − 1/β, β the bits that the workers' compressor saves; ½
    /// without compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tau: Option<f64>,
    /// `masha1`: how many of the workers take part in an ordinary iteration; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<usize>,
    /// `masha1`: how many components of F_m are drawn in an ordinary iteration; absent: all of F_m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Iterations at most.
    #[serde(default = "default_iterations")]
    pub iterations: usize,
    /// The target ends the solve below this; 0 never does.
    #[serde(default = "default_tolerance")]
    pub tolerance: f64,
    /// What is driven below the tolerance; absent: the distance to the solution if it is known, else the gap if the set is bounded, else the
    /// residual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Iterations between measurements, at which the solve may end; absent: a thousandth of `iterations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_every: Option<usize>,
    /// Seed of all random choices.
    #[serde(default)]
    pub seed: u64,
    /// Where the workers are; absent: in processes where `mpirun` has started several, else in threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Seconds without a message after which a worker counts as lost.
    #[serde(default = "default_timeout")]
    pub timeout: f64,
}

fn default_iterations() -> usize {
    100_000
}

fn default_tolerance() -> f64 {
    1e-6
}

fn default_timeout() -> f64 {
    60.0
}

impl Method {
    /// A method with its default options.
    pub fn new(name: Algorithm) -> Self {
        Method {
            name,
            worker_compressor: None,
            server_compressor: None,
            step: None,
            step_factor: None,
            step_rule: None,
            tau: None,
            participants: None,
            batch: None,
            iterations: default_iterations(),
            tolerance: default_tolerance(),
            target: None,
            record_every: None,
            seed: 0,
            transport: None,
            timeout: default_timeout(),
        }
    }
}
