//! The options of each method, as they stand in the `[method]` table of a problem file, with their defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values of parameters by edge or vertex: `"1 -> 2" = 0.5` is an effect, `"2 <-> 3" = 0.2` a covariance of errors and `"1" = 2.0` a
/// variance of an error. Every edge needs a value; variances that are not given are one.
pub type ParameterTable = BTreeMap<String, f64>;

/// Options of `vanishing-ideal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct VanishingIdeal {
    /// Search all degrees up to this one.
    pub degree: usize,
    /// Refuse degrees that need a linear system with more unknowns than this; time grows with the third power.
    pub block_limit: usize,
}

impl Default for VanishingIdeal {
    fn default() -> Self {
        VanishingIdeal { degree: 3, block_limit: 2000 }
    }
}

/// Options of `covariance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Covariance {
    /// Numbers for which the covariance matrix is wanted too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ParameterTable>,
}

/// Options of `finite-to-one`: none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct FiniteToOne {}

/// Options of `test-fit`. Exactly one of `data`, `covariance` and `simulate` says what is tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TestFit {
    /// A CSV table of observations: a header with the vertices' names, in any order and among others, then one row for each
    /// observation; or a NumPy array with one column for each vertex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// A sample covariance matrix: CSV with a header of names, or a NumPy array in the order of the vertices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariance: Option<String>,
    /// The number of observations behind `covariance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Observations simulated from a graph on the same vertices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulate: Option<SimulatedFrom>,
    /// The model's constraints up to this degree are tested.
    pub degree: usize,
    /// As for `vanishing-ideal`.
    pub block_limit: usize,
    /// Reject the model if it would be rejected wrongly with at most this probability.
    pub level: f64,
}

impl Default for TestFit {
    fn default() -> Self {
        TestFit {
            data: None,
            covariance: None,
            samples: None,
            simulate: None,
            degree: 3,
            block_limit: 2000,
            level: 0.01,
        }
    }
}

/// Where simulated observations come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SimulatedFrom {
    /// The true graph; without it, the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<String>,
    /// The number of observations.
    #[serde(default = "default_samples")]
    pub samples: usize,
    /// The seed.
    #[serde(default)]
    pub seed: u64,
    /// The true parameters; without them, random ones of a stable system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ParameterTable>,
}

/// Options of `simulate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Simulate {
    /// The number of observations.
    pub samples: usize,
    /// The seed of random parameters and observations.
    pub seed: u64,
    /// The parameters; without them, random ones of a stable system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ParameterTable>,
}

fn default_samples() -> usize {
    1000
}

impl Default for Simulate {
    fn default() -> Self {
        Simulate { samples: default_samples(), seed: 0, parameters: None }
    }
}
