//! The options of each method, as they stand in the `[method]` table of a problem file, with their defaults.

use serde::{Deserialize, Serialize};

/// A setting that is the same along every axis, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerAxis<T> {
    /// The same along every axis.
    All(T),
    /// One for each axis, in the order of the `[domain]` table.
    Each(Vec<T>),
}

impl<T: Clone> PerAxis<T> {
    /// The setting for each of `dimension` axes, or `None` if their number is another.
    pub fn resolve(&self, dimension: usize) -> Option<Vec<T>> {
        match self {
            PerAxis::All(value) => Some(vec![value.clone(); dimension]),
            PerAxis::Each(values) => (values.len() == dimension).then(|| values.clone()),
        }
    }
}

/// The covariance of the Gaussian process along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    /// Student-t mixture spectrum: Matérn-5/2 envelopes times cosines (GP-HM-StM).
    StudentMixture,
    /// Gaussian mixture spectrum: Gaussian envelopes times cosines (GP-HM-GM).
    GaussianMixture,
    /// The same sum without cosines: Matérn-5/2 (baseline).
    Matern,
    /// The same sum without cosines: squared exponential (baseline).
    SquaredExponential,
}

/// How the Gaussian process of `gp-hm` is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inference {
    /// The paper's: Adam on all parameters and all solution values together.
    Adam,
    /// Ours: the solution values are eliminated in closed form (Gauss-Newton where the equation is not linear), and only
    /// the kernel parameters are optimised.
    Profiled,
}

/// Options of `gp-hm`; defaults are the paper's where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GpHm {
    /// The covariance.
    pub kernel: Kernel,
    /// How it is fitted.
    pub inference: Inference,
    /// Grid points along each axis, both ends included; at least 3.
    pub points: PerAxis<usize>,
    /// Components Q of the mixture; at least 1.
    pub components: usize,
    /// Largest initial frequency F, in cycles per unit length: the initial frequencies are spread over [0, F].
    pub frequency_scale: PerAxis<f64>,
    /// Weight λ_b of the boundary likelihood.
    pub boundary_weight: f64,
    /// Adam updates.
    pub steps: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Stop when mean boundary square + mean residual square is below this; 0 never stops early.
    pub tolerance: f64,
    /// Fraction of the steps after which the first process is frozen and a second one (Matérn-5/2, one component) is
    /// added to it; absent: one stage. One-dimensional problems only.
    pub change_point: Option<f64>,
    /// Moments at which the error is evaluated, equally spaced over the steps.
    pub checkpoints: usize,
    /// Added to the diagonal of every covariance matrix; absent: 10⁻⁶ with `adam` (the paper's), 10⁻¹² of the variance with
    /// `profiled`.
    pub jitter: Option<f64>,
    /// Evaluations of the profiled objective, at most.
    pub evaluations: usize,
}

impl Default for GpHm {
    fn default() -> Self {
        GpHm {
            kernel: Kernel::StudentMixture,
            inference: Inference::Profiled,
            points: PerAxis::All(400),
            components: 30,
            frequency_scale: PerAxis::All(20.0),
            boundary_weight: 200.0,
            steps: 100_000,
            learning_rate: 0.01,
            tolerance: 0.0,
            change_point: None,
            checkpoints: 20,
            jitter: None,
            evaluations: 60,
        }
    }
}

/// Options of `collocation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Collocation {
    /// Points along each axis; absent: doubled from a small number until the estimated error meets `tolerance`.
    pub points: Option<PerAxis<usize>>,
    /// Asked relative error.
    pub tolerance: f64,
    /// Newton iterations at most on each grid, and as many again by continuation and by undamped steps where that fails.
    pub iterations: usize,
}

impl Default for Collocation {
    fn default() -> Self {
        Collocation { points: None, tolerance: 1e-8, iterations: 50 }
    }
}

/// Options of `finite-difference`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FiniteDifference {
    /// Points along each axis, both ends included; absent: chosen by the dimension.
    pub points: Option<PerAxis<usize>>,
    /// Order of accuracy, 2 or 4.
    pub order: usize,
    /// Newton stops when the update is below this, relative to the solution.
    pub tolerance: f64,
    /// Newton iterations at most on each grid, and as many again by continuation and by undamped steps where that fails.
    pub iterations: usize,
}

impl Default for FiniteDifference {
    fn default() -> Self {
        FiniteDifference { points: None, order: 4, tolerance: 1e-10, iterations: 50 }
    }
}

/// Options of `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Auto {
    /// Asked relative error.
    pub tolerance: f64,
}

impl Default for Auto {
    fn default() -> Self {
        Auto { tolerance: 1e-6 }
    }
}
