//! Observations of a structural model with Gaussian errors.

use faer::{Mat, Side};
use mathesis_algebra::random::Sequence;

use super::StructuralError;
use super::graph::MixedGraph;
use super::numeric::{error_covariance, spectral_radius, total_effects};
use super::one_connection::Parameters;

/// Independent observations, row-major with one column for each vertex: X = (I−Λ)⁻ᵀ ε with ε Gaussian of covariance Ω.
///
/// # Errors
/// [`StructuralError::Singular`], [`StructuralError::NotPositiveDefinite`] or [`StructuralError::ParameterCount`].
pub fn simulate(
    graph: &MixedGraph,
    parameters: &Parameters<f64>,
    samples: usize,
    seed: u64,
) -> Result<Vec<f64>, StructuralError> {
    let size = graph.len();
    let effects = total_effects(graph, parameters)?;
    let factor = error_covariance(graph, parameters)
        .llt(Side::Lower)
        .map_err(|_| StructuralError::NotPositiveDefinite)?;
    // A row of standard normal numbers z becomes the row (L z)ᵀ B of observations.
    let transform = factor.L().transpose() * &effects;
    let mut random = Sequence::new(seed);
    let normal = Mat::from_fn(size, samples, |_, _| random.normal_pair().0);
    let observations = transform.transpose() * &normal;
    Ok((0..samples)
        .flat_map(|row| (0..size).map(move |k| (k, row)))
        .map(|place| observations[place])
        .collect())
}

/// A warning if the system does not settle: its covariances then describe no equilibrium.
pub fn stability_warning(graph: &MixedGraph, parameters: &Parameters<f64>) -> Option<String> {
    let radius = spectral_radius(graph, &parameters.effects);
    (radius >= 1.0).then(|| {
        format!("the spectral radius of Λ is {radius:.3}, not below 1: the feedback does not settle to an equilibrium")
    })
}

#[cfg(test)]
mod tests {
    use super::super::fit::SampleCovariance;
    use super::super::numeric;
    use super::*;

    #[test]
    fn sample_covariances_approach_the_models() {
        let graph = MixedGraph::numbered(4, &[(1, 2), (2, 3), (3, 1), (3, 4)], &[(1, 4)]).unwrap();
        let parameters = numeric::random_parameters(&graph, 3);
        let exact = numeric::covariance(&graph, &parameters).unwrap();
        let samples = 40_000;
        let rows = simulate(&graph, &parameters, samples, 4).unwrap();
        let sample = SampleCovariance::of_observations(4, &rows).unwrap();
        for i in 0..4 {
            for j in 0..4 {
                let (s, wanted) = (sample.matrix()[i * 4 + j], exact[i * 4 + j]);
                let variance = exact[i * 4 + i] * exact[j * 4 + j] + wanted * wanted;
                assert!(
                    (s - wanted).abs() < 5.0 * (variance / samples as f64).sqrt(),
                    "{i} {j}: {s} {wanted}"
                );
            }
        }
        assert_eq!(simulate(&graph, &parameters, 10, 4).unwrap(), rows[..40], "a seed determines the rows");
        assert!(simulate(&graph, &parameters, 0, 4).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_simulated() {
        let graph = MixedGraph::numbered(2, &[], &[(1, 2)]).unwrap();
        let wild = Parameters { effects: vec![], variances: vec![1.0, 1.0], correlations: vec![1.5] };
        assert!(matches!(simulate(&graph, &wild, 5, 0), Err(StructuralError::NotPositiveDefinite)));
        let feedback = MixedGraph::numbered(2, &[(1, 2), (2, 1)], &[]).unwrap();
        let strong = Parameters { effects: vec![2.0, 2.0], variances: vec![1.0; 2], correlations: vec![] };
        assert!(stability_warning(&feedback, &strong).unwrap().contains("2.000"));
        assert!(stability_warning(&feedback, &numeric::random_parameters(&feedback, 1)).is_none());
    }
}
