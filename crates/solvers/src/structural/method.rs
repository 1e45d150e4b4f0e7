//! What can be asked of a structural model, and what comes back.

use std::time::{Duration, Instant};

use mathesis_symbolic::{Polynomial, RationalFunction};
use serde::Serialize;

use super::fit::{SampleCovariance, Score};
use super::graph::MixedGraph;
use super::one_connection::{OneConnections, Parameters};
use super::statement::{MethodChoice, Source, Statement};
use super::vanishing_ideal::{VanishingIdeal, search};
use super::{Dimension, StructuralError, numeric, simulation};
use crate::{Observer, Status};

/// A question about a structural model, answered.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The method's name.
    pub method: &'static str,
    /// What was found.
    pub finding: Finding,
    /// The model's dimension.
    pub dimension: Dimension,
    /// How the work ended.
    pub status: Status,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Time spent.
    pub elapsed: Duration,
}

/// What a method finds.
#[derive(Clone, Debug)]
pub enum Finding {
    /// By `covariance`.
    Covariances(Covariances),
    /// By `vanishing-ideal`.
    Ideal(VanishingIdeal),
    /// By `finite-to-one`: the dimension is all.
    FiniteToOne,
    /// By `test-fit`.
    Fit {
        /// The constraints.
        ideal: VanishingIdeal,
        /// One score for each generator.
        scores: Vec<Score>,
        /// Whether the model is rejected at the level that was asked for, by the largest score (Bonferroni).
        rejected: bool,
        /// What was tested.
        sample: SampleCovariance,
    },
    /// By `simulate`.
    Simulation {
        /// The parameters.
        parameters: Parameters<f64>,
        /// Observations, row-major with one column for each vertex.
        rows: Vec<f64>,
        /// The model's covariance matrix, row-major.
        covariance: Vec<f64>,
    },
}

/// Exact covariances.
#[derive(Clone, Debug)]
pub struct Covariances {
    /// det(I − Λ).
    pub determinant: Polynomial,
    /// σ_ij in lowest terms, row by row for i ≤ j.
    pub entries: Vec<((usize, usize), RationalFunction)>,
    /// The matrix for the parameters that were asked for, row-major.
    pub values: Option<Vec<f64>>,
    /// How far the rule is from linear algebra in floating-point numbers.
    pub check: Check,
}

/// The rule against one LU factorisation, at random stable parameters.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// The largest difference of an entry of Σ, relative to its largest entry.
    pub largest_difference: f64,
    /// How many points it was taken at.
    pub points: usize,
}

/// Answer what a problem file asks.
///
/// # Errors
/// [`StructuralError`] if the graph, the options or the data do not allow it.
pub fn solve(statement: &Statement, observer: &mut dyn Observer) -> Result<Solution, StructuralError> {
    let start = Instant::now();
    let graph = &statement.graph;
    let mut notes = Vec::new();
    let mut status = Status::Converged;
    let finding = match &statement.method {
        MethodChoice::FiniteToOne(_) => Finding::FiniteToOne,
        MethodChoice::Covariance(_) => {
            Finding::Covariances(covariances(graph, statement.parameters.as_ref(), &mut notes)?)
        }
        MethodChoice::VanishingIdeal(options) => {
            let ideal = search(graph, options.degree, options.block_limit, observer)?;
            status = ideal.status.clone();
            Finding::Ideal(ideal)
        }
        MethodChoice::TestFit(options) => {
            let sample = sample(statement, &mut notes)?;
            let ideal = search(graph, options.degree, options.block_limit, observer)?;
            status = ideal.status.clone();
            let scores: Vec<Score> =
                ideal.generators.iter().map(|generator| sample.score(generator)).collect();
            let least = scores.iter().map(|score| score.p).fold(f64::INFINITY, f64::min);
            let rejected = least * scores.len() as f64 <= options.level;
            if scores.is_empty() {
                notes.push(format!(
                    "the model has no constraints up to degree {}: nothing was tested",
                    options.degree
                ));
            }
            Finding::Fit { ideal, scores, rejected, sample }
        }
        MethodChoice::Simulate(options) => {
            let parameters = statement.parameters.clone();
            let parameters = parameters.unwrap_or_else(|| numeric::random_parameters(graph, options.seed));
            notes.extend(simulation::stability_warning(graph, &parameters));
            // Another seed than the random parameters have.
            let rows =
                simulation::simulate(graph, &parameters, options.samples, options.seed.wrapping_add(1))?;
            let covariance = numeric::covariance(graph, &parameters)?;
            Finding::Simulation { parameters, rows, covariance }
        }
    };
    Ok(Solution {
        method: statement.method.name(),
        finding,
        dimension: Dimension::of(graph),
        status,
        notes,
        elapsed: start.elapsed(),
    })
}

fn covariances(
    graph: &MixedGraph,
    parameters: Option<&Parameters<f64>>,
    notes: &mut Vec<String>,
) -> Result<Covariances, StructuralError> {
    let rule = OneConnections::symbolic(graph)?;
    let size = graph.len();
    let entries = (0..size)
        .flat_map(|i| (i..size).map(move |j| (i, j)))
        .map(|(i, j)| ((i, j), rule.covariance(i, j)))
        .collect();
    let values = match parameters {
        None => None,
        Some(parameters) => {
            notes.extend(simulation::stability_warning(graph, parameters));
            Some(numeric::covariance(graph, parameters)?)
        }
    };
    let points = 5;
    let mut largest_difference = 0.0_f64;
    for seed in 0..points {
        let random = numeric::random_parameters(graph, seed);
        let by_rule = OneConnections::new(graph, &random)?;
        let by_factors = numeric::covariance(graph, &random)?;
        let scale = by_factors.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        for (numerator, entry) in by_rule.numerators.iter().zip(&by_factors) {
            let difference = numerator / (by_rule.determinant * by_rule.determinant) - entry;
            largest_difference = largest_difference.max(difference.abs() / scale);
        }
    }
    let check = Check { largest_difference, points: points as usize };
    Ok(Covariances { determinant: rule.determinant, entries, values, check })
}

fn sample(statement: &Statement, notes: &mut Vec<String>) -> Result<SampleCovariance, StructuralError> {
    match &statement.source {
        Some(Source::Sample(sample)) => Ok(sample.clone()),
        Some(Source::Simulated { graph, parameters, samples, seed }) => {
            let random;
            let parameters = match parameters {
                Some(parameters) => parameters,
                None => {
                    random = numeric::random_parameters(graph, *seed);
                    &random
                }
            };
            notes.extend(simulation::stability_warning(graph, parameters));
            let rows = simulation::simulate(graph, parameters, *samples, seed.wrapping_add(1))?;
            SampleCovariance::of_observations(graph.len(), &rows)
        }
        None => Err(StructuralError::Data("there are no data to test".to_string())),
    }
}
