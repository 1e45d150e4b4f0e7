//! The dimension of a model, and whether its parameters are finitely many for almost every covariance matrix.
//!
//! The differential of (Λ, Ω) ↦ (I−Λ)⁻ᵀ Ω (I−Λ)⁻¹ at a random point modulo a prime: with B = (I−Λ)⁻¹, a change of λ_ab changes Σ
//! by T + Tᵀ, T = Σ E_ab B, and one of ω_ab by Bᵀ (E_ab [+ E_ba]) B. Its rank is the model's dimension; full rank says that
//! almost every covariance matrix of the model comes from finitely many parameters (not: from one).
//!
//! The rank at any point is at most the true one, and at a random point it is smaller with probability of the order of
//! degree/p: so full rank is a proof, and a deficient one is looked at again at a second point for another prime.

use mathesis_algebra::random::Sequence;
use mathesis_symbolic::modular::{Echelon, PrimeField, inverse_matrix};
use serde::Serialize;

use super::graph::MixedGraph;

/// The dimension of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dimension {
    /// The number of parameters: vertices, directed and bidirected edges.
    pub parameters: usize,
    /// The generic rank of the differential: the dimension of the set of covariance matrices.
    pub rank: usize,
    /// How many independent constraints the model puts on a covariance matrix: n(n+1)/2 less the rank.
    pub codimension: usize,
}

impl Dimension {
    /// Find the dimension of a graph's model.
    pub fn of(graph: &MixedGraph) -> Self {
        let parameters = graph.parameter_count();
        let mut rank = 0;
        for (field, seed) in PrimeField::largest().take(2).zip(0..) {
            rank = rank.max(rank_at(graph, &ModularPoint::random(graph, field, &mut Sequence::new(seed))));
            if rank == parameters {
                break;
            }
        }
        let entries = graph.len() * (graph.len() + 1) / 2;
        Dimension { parameters, rank, codimension: entries - rank }
    }

    /// Whether almost every covariance matrix of the model comes from finitely many parameters.
    pub fn is_finite_to_one(&self) -> bool {
        self.rank == self.parameters
    }
}

/// Random parameters over a prime field, with the covariance matrix.
pub(super) struct ModularPoint {
    pub(super) field: PrimeField,
    size: usize,
    /// (I−Λ)⁻¹.
    total_effects: Vec<u32>,
    /// Σ, row-major.
    pub(super) covariance: Vec<u32>,
}

impl ModularPoint {
    /// Parameters that make I − Λ singular are drawn again.
    pub(super) fn random(graph: &MixedGraph, field: PrimeField, random: &mut Sequence) -> Self {
        let size = graph.len();
        loop {
            let mut matrix = vec![0; size * size];
            (0..size).for_each(|k| matrix[k * size + k] = 1);
            for (tail, head) in graph.directed() {
                matrix[tail * size + head] = field.reduce(random.bits());
            }
            let Some(total_effects) = inverse_matrix(field, &matrix, size) else { continue };
            let mut errors = vec![0; size * size];
            (0..size).for_each(|k| errors[k * size + k] = field.reduce(random.bits()));
            for (a, b) in graph.bidirected() {
                let value = field.reduce(random.bits());
                errors[a * size + b] = value;
                errors[b * size + a] = value;
            }
            let half = product(field, &errors, &total_effects, size, false);
            let covariance = product(field, &total_effects, &half, size, true);
            return ModularPoint { field, size, total_effects, covariance };
        }
    }
}

/// A·B, or Aᵀ·B.
fn product(field: PrimeField, a: &[u32], b: &[u32], size: usize, transpose: bool) -> Vec<u32> {
    let mut result = vec![0; size * size];
    for i in 0..size {
        for k in 0..size {
            let factor = if transpose { a[k * size + i] } else { a[i * size + k] };
            if factor != 0 {
                for j in 0..size {
                    let term = field.multiply(factor, b[k * size + j]);
                    result[i * size + j] = field.add(result[i * size + j], term);
                }
            }
        }
    }
    result
}

fn rank_at(graph: &MixedGraph, point: &ModularPoint) -> usize {
    let (field, size) = (point.field, point.size);
    let entries = size * (size + 1) / 2;
    let mut echelon = Echelon::new(field, entries);
    let mut row = vec![0; entries];
    // left ⊗ right + right ⊗ left, or left ⊗ left, on and above the diagonal.
    let mut insert = |left: &dyn Fn(usize) -> u32, right: &dyn Fn(usize) -> u32| {
        let mut k = 0;
        for i in 0..size {
            for j in i..size {
                row[k] = field.add(field.multiply(left(i), right(j)), field.multiply(left(j), right(i)));
                k += 1;
            }
        }
        echelon.insert(&row);
    };
    let column = |a: usize| move |i: usize| point.covariance[i * size + a];
    let effects = |b: usize| move |j: usize| point.total_effects[b * size + j];
    for (tail, head) in graph.directed() {
        insert(&column(*tail), &effects(*head));
    }
    for k in 0..size {
        // Twice the derivative, which has the same rank.
        insert(&effects(k), &effects(k));
    }
    for (a, b) in graph.bidirected() {
        insert(&effects(*a), &effects(*b));
    }
    echelon.rank()
}

/// Count the simple mixed graphs on `size` vertices, and those among them that are finite-to-one: all, by the theorem.
///
/// There are 4^(n(n−1)/2) of them: each pair is joined by an edge of one of three kinds or not. In parallel.
pub fn census_of_simple_graphs(size: usize) -> (u64, u64) {
    use rayon::prelude::*;
    let pairs: Vec<(usize, usize)> = (0..size).flat_map(|i| (i + 1..size).map(move |j| (i, j))).collect();
    let names: Vec<String> = (1..=size).map(|k| k.to_string()).collect();
    let count = 1_u64 << (2 * pairs.len());
    let finite = (0..count)
        .into_par_iter()
        .filter(|code| {
            let kind = |k: usize| code >> (2 * k) & 3;
            let of_kind = |wanted: u64| {
                pairs.iter().enumerate().filter(move |(k, _)| kind(*k) == wanted).map(|(_, pair)| *pair)
            };
            let directed = of_kind(1).chain(of_kind(2).map(|(i, j)| (j, i)));
            MixedGraph::new(names.clone(), directed, of_kind(3))
                .is_ok_and(|graph| Dimension::of(&graph).is_finite_to_one())
        })
        .count() as u64;
    (count, finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension(size: usize, directed: &[(usize, usize)], bidirected: &[(usize, usize)]) -> Dimension {
        Dimension::of(&MixedGraph::numbered(size, directed, bidirected).unwrap())
    }

    #[test]
    fn known_dimensions() {
        let cycle = dimension(4, &[(1, 2), (2, 3), (3, 4), (4, 1)], &[]);
        assert_eq!(cycle, Dimension { parameters: 8, rank: 8, codimension: 2 });
        // The instrumental variable: a bow, yet identifiable.
        let instrument = dimension(3, &[(1, 2), (2, 3)], &[(2, 3)]);
        assert!(instrument.is_finite_to_one());
        assert_eq!(instrument.codimension, 0);
        // The plain bow has more parameters than entries.
        let bow = dimension(2, &[(1, 2)], &[(1, 2)]);
        assert_eq!((bow.parameters, bow.rank), (4, 3));
        assert!(!bow.is_finite_to_one());
        assert_eq!(dimension(1, &[], &[]), Dimension { parameters: 1, rank: 1, codimension: 0 });
    }

    /// Item 3 of the specification's list, without its time.
    #[test]
    fn all_simple_graphs_on_four_vertices_are_finite_to_one() {
        assert_eq!(census_of_simple_graphs(1), (1, 1));
        assert_eq!(census_of_simple_graphs(3), (64, 64));
        assert_eq!(census_of_simple_graphs(4), (4096, 4096));
    }

    /// The differential, by differences in floating-point numbers.
    #[test]
    fn ranks_agree_with_differences() {
        use super::super::numeric::{covariance, random_parameters};
        use super::super::one_connection::tests::random_graph;
        let mut random = Sequence::new(5);
        for k in 0..60 {
            let graph = random_graph(&mut random, 1 + k % 5, 0.35);
            let point = random_parameters(&graph, k as u64);
            let base: Vec<f64> = [&point.effects, &point.variances, &point.correlations]
                .into_iter()
                .flatten()
                .copied()
                .collect();
            let entries = graph.len() * graph.len();
            let at = |values: &[f64]| {
                let (effects, rest) = values.split_at(point.effects.len());
                let (variances, correlations) = rest.split_at(point.variances.len());
                let parameters = super::super::one_connection::Parameters {
                    effects: effects.to_vec(),
                    variances: variances.to_vec(),
                    correlations: correlations.to_vec(),
                };
                covariance(&graph, &parameters).unwrap()
            };
            let step = 1e-5;
            let mut jacobian = faer::Mat::<f64>::zeros(entries, base.len());
            for p in 0..base.len() {
                let (mut up, mut down) = (base.clone(), base.clone());
                up[p] += step;
                down[p] -= step;
                for (e, (u, d)) in at(&up).iter().zip(at(&down)).enumerate() {
                    jacobian[(e, p)] = (u - d) / (2.0 * step);
                }
            }
            let values = jacobian.singular_values().unwrap();
            let rank = values.iter().filter(|value| **value > 1e-7 * values[0]).count();
            assert_eq!(rank, Dimension::of(&graph).rank, "{}", graph.edges_text());
        }
    }
}
