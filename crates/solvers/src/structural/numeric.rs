//! Structural models in floating-point numbers: covariances by one factorisation, stability, random parameters.

use faer::Mat;
use faer::linalg::solvers::Solve;
use mathesis_algebra::random::Sequence;

use super::StructuralError;
use super::graph::MixedGraph;
use super::one_connection::Parameters;

/// Σ = (I−Λ)⁻ᵀ Ω (I−Λ)⁻¹, row-major and exactly symmetric, in O(n³) operations.
///
/// # Errors
/// [`StructuralError::Singular`] if I − Λ is singular to working precision, [`StructuralError::ParameterCount`] if there are not as
/// many parameters as vertices and edges.
pub fn covariance(graph: &MixedGraph, parameters: &Parameters<f64>) -> Result<Vec<f64>, StructuralError> {
    let size = graph.len();
    let total_effects = total_effects(graph, parameters)?;
    let errors = error_covariance(graph, parameters);
    // B = (I−Λ)⁻¹, so Σ = Bᵀ Ω B.
    let product = total_effects.transpose() * &errors * &total_effects;
    Ok((0..size * size)
        .map(|entry| {
            let (i, j) = (entry / size, entry % size);
            0.5 * (product[(i, j)] + product[(j, i)])
        })
        .collect())
}

/// (I−Λ)⁻¹: what each error contributes (row) to each variable (column).
pub(super) fn total_effects(
    graph: &MixedGraph,
    parameters: &Parameters<f64>,
) -> Result<Mat<f64>, StructuralError> {
    let size = graph.len();
    for (what, found, expected, of) in [
        ("effects", parameters.effects.len(), graph.directed().len(), "directed edges"),
        ("variances", parameters.variances.len(), size, "vertices"),
        ("correlations", parameters.correlations.len(), graph.bidirected().len(), "bidirected edges"),
    ] {
        if found != expected {
            return Err(StructuralError::ParameterCount { what, found, expected, of });
        }
    }
    let mut matrix = Mat::<f64>::identity(size, size);
    for ((tail, head), effect) in graph.directed().iter().zip(&parameters.effects) {
        matrix[(*tail, *head)] -= effect;
    }
    let factors = matrix.partial_piv_lu();
    let inverse = factors.solve(Mat::<f64>::identity(size, size));
    // The product of both norms is the condition number.
    let norm = |m: &Mat<f64>| m.norm_l2();
    let condition = norm(&matrix) * norm(&inverse);
    if !condition.is_finite() || condition > 1e14 {
        return Err(StructuralError::Singular);
    }
    Ok(inverse)
}

/// Ω.
pub(super) fn error_covariance(graph: &MixedGraph, parameters: &Parameters<f64>) -> Mat<f64> {
    let mut errors = Mat::<f64>::zeros(graph.len(), graph.len());
    for (k, variance) in parameters.variances.iter().enumerate() {
        errors[(k, k)] = *variance;
    }
    for ((i, j), correlation) in graph.bidirected().iter().zip(&parameters.correlations) {
        errors[(*i, *j)] = *correlation;
        errors[(*j, *i)] = *correlation;
    }
    errors
}

/// The spectral radius of Λ, below one exactly if the system settles to an equilibrium.
///
/// By repeated squaring: ‖Λ^(2ᵏ)‖^(1/2ᵏ) with k = 30, which is right to about 1e-8 relative; zero for acyclic graphs.
pub fn spectral_radius(graph: &MixedGraph, effects: &[f64]) -> f64 {
    let size = graph.len();
    let mut power = Mat::<f64>::zeros(size, size);
    for ((tail, head), effect) in graph.directed().iter().zip(effects) {
        power[(*tail, *head)] = *effect;
    }
    let mut logarithm = 0.0;
    for k in 0..=30 {
        let norm = power.norm_l2();
        if norm == 0.0 {
            return 0.0;
        }
        // The power's own norm is kept at one, its logarithm apart.
        logarithm += norm.ln() / f64::from(1_u32 << k);
        power = Mat::from_fn(size, size, |i, j| power[(i, j)] / norm);
        power = &power * &power;
    }
    logarithm.exp()
}

/// Random parameters of a stable system with a positive definite Ω: effects of size 0.3 to 0.9, shrunk if need be until the
/// spectral radius is at most 0.8; correlations of size 0.2 to 0.5; variances that exceed them by 0.5 to 1.5.
pub fn random_parameters(graph: &MixedGraph, seed: u64) -> Parameters<f64> {
    let mut random = Sequence::new(seed);
    let signed = |random: &mut Sequence, low: f64, high: f64| {
        let size = low + (high - low) * random.uniform();
        if random.bits() & 1 == 0 { size } else { -size }
    };
    let mut effects: Vec<f64> = graph.directed().iter().map(|_| signed(&mut random, 0.3, 0.9)).collect();
    let radius = spectral_radius(graph, &effects);
    if radius > 0.8 {
        effects.iter_mut().for_each(|effect| *effect *= 0.8 / radius);
    }
    let correlations: Vec<f64> = graph.bidirected().iter().map(|_| signed(&mut random, 0.2, 0.5)).collect();
    let mut variances: Vec<f64> = (0..graph.len()).map(|_| 0.5 + random.uniform()).collect();
    for ((i, j), correlation) in graph.bidirected().iter().zip(&correlations) {
        variances[*i] += correlation.abs();
        variances[*j] += correlation.abs();
    }
    Parameters { effects, variances, correlations }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_two_cycle_by_hand() {
        let graph = MixedGraph::numbered(2, &[(1, 2), (2, 1)], &[]).unwrap();
        let parameters =
            Parameters { effects: vec![0.5, 0.25], variances: vec![2.0, 3.0], correlations: vec![] };
        let covariance = covariance(&graph, &parameters).unwrap();
        let determinant = 1.0 - 0.125;
        let wanted = [2.0 + 3.0 / 16.0, 2.0 * 0.5 + 3.0 * 0.25, 2.0 * 0.5 + 3.0 * 0.25, 2.0 * 0.25 + 3.0];
        for (entry, numerator) in covariance.iter().zip(wanted) {
            assert!((entry - numerator / (determinant * determinant)).abs() < 1e-14);
        }
        assert!((spectral_radius(&graph, &parameters.effects) - 0.125_f64.sqrt()).abs() < 1e-7);
    }

    #[test]
    fn singular_systems_are_refused() {
        let graph = MixedGraph::numbered(2, &[(1, 2), (2, 1)], &[]).unwrap();
        let parameters =
            Parameters { effects: vec![2.0, 0.5], variances: vec![1.0; 2], correlations: vec![] };
        assert!(matches!(covariance(&graph, &parameters), Err(StructuralError::Singular)));
    }

    #[test]
    fn random_systems_are_stable() {
        let graph =
            MixedGraph::numbered(4, &[(1, 2), (2, 3), (3, 4), (4, 1), (1, 3), (3, 1)], &[(1, 2)]).unwrap();
        for seed in 0..50 {
            let parameters = random_parameters(&graph, seed);
            assert!(spectral_radius(&graph, &parameters.effects) < 0.8 + 1e-6);
            assert!(parameters.variances[0] > parameters.correlations[0].abs());
        }
        let chain = MixedGraph::numbered(3, &[(1, 2), (2, 3)], &[]).unwrap();
        assert_eq!(spectral_radius(&chain, &[5.0, 7.0]), 0.0);
    }
}
