//! The one-connection rule: covariances of a linear structural equation model as sums over paths and cycles of its graph.
//!
//! Adhikari, Gross, Härkönen and Tsigaridas, arXiv 2210.00239; re-derived, as only the paper's abstract could be read.
//! With Σ = (I−Λ)⁻ᵀ Ω (I−Λ)⁻¹, where λ_ij belongs to the edge i → j (row the tail, column the head):
//!
//! ```text
//! det(I−Λ) = Z(V),    Z(S)  = Σ over sets of vertex-disjoint directed cycles inside S of Π (−w(c)),   w(c) = Π λ
//! A_ij = adj(I−Λ)_ij        = Σ over simple directed paths P from i to j of w(P) Z(V ∖ V(P))
//! det(I−Λ)² σ_ij = N_ij     = Σ over k = l and k ↔ l, both orders, of ω_kl A_ki A_lj
//! ```
//!
//! On acyclic graphs Z = 1 and this is the trek rule. The sums are over exponentially many paths, so this is for exact
//! results on small graphs; numbers are found by [`super::numeric`].

use std::collections::HashMap;

use mathesis_symbolic::{Polynomial, RationalFunction, Symbol};

use super::StructuralError;
use super::graph::MixedGraph;

/// Steps along paths and cycles after which a graph is refused: some ten seconds.
const LARGEST_WORK: u64 = 2_000_000;

/// What the rule calculates with: a commutative ring.
pub trait Weight: Clone {
    /// Zero.
    fn zero() -> Self;
    /// One.
    fn one() -> Self;
    /// The sum.
    fn plus(&self, other: &Self) -> Self;
    /// The product.
    fn times(&self, other: &Self) -> Self;
    /// The difference.
    fn minus(&self, other: &Self) -> Self;
}

impl Weight for f64 {
    fn zero() -> Self {
        0.0
    }
    fn one() -> Self {
        1.0
    }
    fn plus(&self, other: &Self) -> Self {
        self + other
    }
    fn times(&self, other: &Self) -> Self {
        self * other
    }
    fn minus(&self, other: &Self) -> Self {
        self - other
    }
}

impl Weight for Polynomial {
    fn zero() -> Self {
        Polynomial::zero()
    }
    fn one() -> Self {
        Polynomial::one()
    }
    fn plus(&self, other: &Self) -> Self {
        self + other
    }
    fn times(&self, other: &Self) -> Self {
        self * other
    }
    fn minus(&self, other: &Self) -> Self {
        self - other
    }
}

/// A model's parameters, in the order of the graph's vertices and edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<W> {
    /// λ, one for each directed edge.
    pub effects: Vec<W>,
    /// ω_ii, one for each vertex.
    pub variances: Vec<W>,
    /// ω_ij, one for each bidirected edge.
    pub correlations: Vec<W>,
}

/// The determinant and the cofactors of I − Λ, and the numerators of the covariances.
#[derive(Clone, Debug)]
pub struct OneConnections<W> {
    size: usize,
    /// det(I − Λ).
    pub determinant: W,
    /// adj(I − Λ), row-major.
    pub cofactors: Vec<W>,
    /// det(I − Λ)² Σ, row-major and symmetric.
    pub numerators: Vec<W>,
}

impl<W: Weight> OneConnections<W> {
    /// Evaluate the rule.
    ///
    /// # Errors
    /// [`StructuralError::TooManyPaths`] if the graph has too many paths and cycles,
    /// [`StructuralError::ParameterCount`] if there are not as many parameters as vertices and edges.
    pub fn new(graph: &MixedGraph, parameters: &Parameters<W>) -> Result<Self, StructuralError> {
        let size = graph.len();
        check_count("effects", parameters.effects.len(), graph.directed().len(), "directed edges")?;
        check_count("variances", parameters.variances.len(), size, "vertices")?;
        check_count(
            "correlations",
            parameters.correlations.len(),
            graph.bidirected().len(),
            "bidirected edges",
        )?;
        let mut walker = Walker::new(graph, &parameters.effects);
        let all = if size == 64 { u64::MAX } else { (1 << size) - 1 };
        let determinant = walker.cycle_sum(all)?;
        let mut cofactors = vec![W::zero(); size * size];
        for tail in 0..size {
            let row = &mut cofactors[tail * size..(tail + 1) * size];
            walker.path_sums(tail, all & !(1 << tail), &W::one(), row)?;
        }
        let mut numerators = vec![W::zero(); size * size];
        for i in 0..size {
            for j in i..size {
                let product = |k: usize, l: usize| cofactors[k * size + i].times(&cofactors[l * size + j]);
                let mut sum = W::zero();
                for (k, variance) in parameters.variances.iter().enumerate() {
                    sum = sum.plus(&variance.times(&product(k, k)));
                }
                for ((k, l), correlation) in graph.bidirected().iter().zip(&parameters.correlations) {
                    let both = product(*k, *l).plus(&product(*l, *k));
                    sum = sum.plus(&correlation.times(&both));
                }
                numerators[j * size + i] = sum.clone();
                numerators[i * size + j] = sum;
            }
        }
        Ok(OneConnections { size, determinant, cofactors, numerators })
    }

    /// det(I − Λ)² σ_ij.
    pub fn numerator(&self, i: usize, j: usize) -> &W {
        &self.numerators[i * self.size + j]
    }
}

fn check_count(
    what: &'static str,
    found: usize,
    expected: usize,
    of: &'static str,
) -> Result<(), StructuralError> {
    if found == expected {
        Ok(())
    } else {
        Err(StructuralError::ParameterCount { what, found, expected, of })
    }
}

/// Walks along directed edges, with Z(S) remembered for each set S.
struct Walker<'a, W> {
    /// For each vertex the heads of its edges, with their weights.
    successors: Vec<Vec<(usize, &'a W)>>,
    cycle_sums: HashMap<u64, W>,
    work: u64,
}

impl<'a, W: Weight> Walker<'a, W> {
    fn new(graph: &MixedGraph, effects: &'a [W]) -> Self {
        let mut successors = vec![Vec::new(); graph.len()];
        for ((tail, head), weight) in graph.directed().iter().zip(effects) {
            successors[*tail].push((*head, weight));
        }
        Walker { successors, cycle_sums: HashMap::new(), work: 0 }
    }

    fn step(&mut self) -> Result<(), StructuralError> {
        self.work += 1;
        if self.work > LARGEST_WORK { Err(StructuralError::TooManyPaths(LARGEST_WORK)) } else { Ok(()) }
    }

    /// Z(S) = Z(S ∖ v) − Σ over cycles c through v inside S of w(c) Z(S ∖ c), where v is the lowest vertex of S.
    fn cycle_sum(&mut self, set: u64) -> Result<W, StructuralError> {
        if set == 0 {
            return Ok(W::one());
        }
        if let Some(known) = self.cycle_sums.get(&set) {
            return Ok(known.clone());
        }
        let start = set.trailing_zeros() as usize;
        let rest = set & (set - 1);
        let mut cycles = Vec::new();
        self.cycles(start, start, rest, &W::one(), &mut cycles)?;
        let mut sum = self.cycle_sum(rest)?;
        for (left, weight) in cycles {
            sum = sum.minus(&weight.times(&self.cycle_sum(left)?));
        }
        self.cycle_sums.insert(set, sum.clone());
        Ok(sum)
    }

    /// The cycles that go on from a path from `start` to `end` inside `left`: what they leave of it, and their weights.
    fn cycles(
        &mut self,
        start: usize,
        end: usize,
        left: u64,
        weight: &W,
        found: &mut Vec<(u64, W)>,
    ) -> Result<(), StructuralError> {
        self.step()?;
        for k in 0..self.successors[end].len() {
            let (head, factor) = self.successors[end][k];
            if head == start {
                found.push((left, weight.times(factor)));
            } else if left >> head & 1 == 1 {
                self.cycles(start, head, left & !(1 << head), &weight.times(factor), found)?;
            }
        }
        Ok(())
    }

    /// Add to each entry of `row` the paths that end there and go on from a path of this weight to `end`.
    fn path_sums(&mut self, end: usize, left: u64, weight: &W, row: &mut [W]) -> Result<(), StructuralError> {
        self.step()?;
        row[end] = row[end].plus(&weight.times(&self.cycle_sum(left)?));
        for k in 0..self.successors[end].len() {
            let (head, factor) = self.successors[end][k];
            if left >> head & 1 == 1 {
                self.path_sums(head, left & !(1 << head), &weight.times(factor), row)?;
            }
        }
        Ok(())
    }
}

/// The names of parameters and covariances: `lambda_1_2`, `omega_1_1`, `sigma_1_2`, with the vertices' own names where
/// these are made of letters and digits, else with their numbers.
#[derive(Clone, Debug)]
pub struct Names {
    labels: Vec<String>,
}

impl Names {
    /// The names for a graph.
    pub fn new(graph: &MixedGraph) -> Self {
        let plain = graph.names().iter().all(|name| name.chars().all(char::is_alphanumeric));
        let labels =
            if plain { graph.names().to_vec() } else { (1..=graph.len()).map(|k| k.to_string()).collect() };
        Names { labels }
    }

    /// The same for the vertices' numbers, which every computer algebra system can read.
    pub fn numbered(graph: &MixedGraph) -> Self {
        Names { labels: (1..=graph.len()).map(|k| k.to_string()).collect() }
    }

    fn symbol(&self, letter: &str, i: usize, j: usize) -> Symbol {
        Symbol::new(&format!("{letter}_{}_{}", self.labels[i], self.labels[j]))
    }

    /// λ_ij.
    pub fn effect(&self, tail: usize, head: usize) -> Symbol {
        self.symbol("lambda", tail, head)
    }

    /// ω_ij, the same for both orders.
    pub fn error(&self, i: usize, j: usize) -> Symbol {
        self.symbol("omega", i.min(j), i.max(j))
    }

    /// σ_ij, the same for both orders.
    pub fn covariance(&self, i: usize, j: usize) -> Symbol {
        self.symbol("sigma", i.min(j), i.max(j))
    }
}

/// The parameters as variables.
pub fn symbolic_parameters(graph: &MixedGraph, names: &Names) -> Parameters<Polynomial> {
    Parameters {
        effects: graph.directed().iter().map(|(i, j)| Polynomial::variable(names.effect(*i, *j))).collect(),
        variances: (0..graph.len()).map(|i| Polynomial::variable(names.error(i, i))).collect(),
        correlations: graph
            .bidirected()
            .iter()
            .map(|(i, j)| Polynomial::variable(names.error(*i, *j)))
            .collect(),
    }
}

impl OneConnections<Polynomial> {
    /// The rule in the parameters as variables.
    ///
    /// # Errors
    /// [`StructuralError::TooManyPaths`] if the graph has too many paths and cycles.
    pub fn symbolic(graph: &MixedGraph) -> Result<Self, StructuralError> {
        Self::new(graph, &symbolic_parameters(graph, &Names::new(graph)))
    }

    /// σ_ij as a rational function in lowest terms.
    pub fn covariance(&self, i: usize, j: usize) -> RationalFunction {
        // det² is taken away one factor at a time: most often the first goes, and divisors stay short.
        let over = |f: RationalFunction| {
            RationalFunction::new(Polynomial::one(), self.determinant.clone()).map(|d| &f * &d)
        };
        let once = over(self.numerator(i, j).clone().into());
        once.and_then(over).unwrap_or_else(|| Polynomial::zero().into())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use mathesis_algebra::random::Sequence;
    use mathesis_symbolic::parse;

    use super::super::numeric;
    use super::*;

    /// Random mixed graphs, cycles, two-cycles and bows included.
    pub(crate) fn random_graph(random: &mut Sequence, size: usize, density: f64) -> MixedGraph {
        let (mut directed, mut bidirected) = (Vec::new(), Vec::new());
        for i in 0..size {
            for j in 0..size {
                if i != j && random.uniform() < density {
                    directed.push((i, j));
                }
                if i < j && random.uniform() < density {
                    bidirected.push((i, j));
                }
            }
        }
        MixedGraph::new((1..=size).map(|k| k.to_string()).collect(), directed, bidirected).unwrap()
    }

    #[test]
    fn the_two_cycle() {
        let graph = MixedGraph::numbered(2, &[(1, 2), (2, 1)], &[]).unwrap();
        let rule = OneConnections::symbolic(&graph).unwrap();
        let read = |text: &str| Polynomial::from_expr(&parse(text).unwrap()).unwrap();
        assert_eq!(rule.determinant, read("1 - lambda_1_2*lambda_2_1"));
        assert_eq!(*rule.numerator(0, 1), read("omega_1_1*lambda_1_2 + omega_2_2*lambda_2_1"));
        assert_eq!(*rule.numerator(0, 0), read("omega_1_1 + omega_2_2*lambda_2_1^2"));
        let sigma = rule.covariance(0, 1);
        assert_eq!(*sigma.denominator(), read("(1 - lambda_1_2*lambda_2_1)^2"));
    }

    /// Item 1 of the specification's list, in numbers.
    #[test]
    fn the_rule_equals_linear_algebra_in_numbers() {
        let mut random = Sequence::new(1);
        for k in 0..1200 {
            let size = 1 + k % 8;
            let density = if size > 6 { 0.15 } else { 0.3 };
            let graph = random_graph(&mut random, size, density);
            let parameters = numeric::random_parameters(&graph, k as u64);
            let rule = OneConnections::new(&graph, &parameters).unwrap();
            let covariance = numeric::covariance(&graph, &parameters).unwrap();
            let scale = covariance.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            for (entry, numerator) in covariance.iter().zip(&rule.numerators) {
                let by_rule = numerator / (rule.determinant * rule.determinant);
                assert!((entry - by_rule).abs() <= 1e-9 * scale, "{}", graph.edges_text());
            }
        }
    }

    /// Item 1 in polynomials: the Leibniz determinant, and adj(I−Λ)·(I−Λ) = det(I−Λ)·I.
    #[test]
    fn the_rule_equals_linear_algebra_exactly() {
        let mut random = Sequence::new(2);
        for k in 0..150 {
            let size = 1 + k % 5;
            let graph = random_graph(&mut random, size, 0.4);
            let names = Names::new(&graph);
            let rule = OneConnections::symbolic(&graph).unwrap();
            let matrix: Vec<Polynomial> = (0..size * size)
                .map(|entry| {
                    let (i, j) = (entry / size, entry % size);
                    let effect = graph.directed().contains(&(i, j));
                    match (i == j, effect) {
                        (true, _) => Polynomial::one(),
                        (_, true) => -Polynomial::variable(names.effect(i, j)),
                        _ => Polynomial::zero(),
                    }
                })
                .collect();
            assert_eq!(rule.determinant, leibniz(&matrix, size, 0, &mut vec![false; size]));
            for i in 0..size {
                for j in 0..size {
                    let entry = Polynomial::sum(
                        (0..size).map(|m| &rule.cofactors[i * size + m] * &matrix[m * size + j]),
                    );
                    assert_eq!(entry, if i == j { rule.determinant.clone() } else { Polynomial::zero() });
                }
            }
        }
    }

    /// The determinant by expansion along rows.
    fn leibniz(matrix: &[Polynomial], size: usize, row: usize, used: &mut Vec<bool>) -> Polynomial {
        if row == size {
            return Polynomial::one();
        }
        let mut sum = Polynomial::zero();
        let mut sign = false;
        for column in 0..size {
            if used[column] {
                continue;
            }
            let entry = &matrix[row * size + column];
            if !entry.is_zero() {
                used[column] = true;
                let minor = entry * &leibniz(matrix, size, row + 1, used);
                used[column] = false;
                sum = if sign { &sum - &minor } else { &sum + &minor };
            }
            sign = !sign;
        }
        sum
    }

    /// On acyclic graphs the rule is the trek rule: sums over pairs of directed paths, here by powers of Λ.
    #[test]
    fn the_trek_rule_on_acyclic_graphs() {
        let mut random = Sequence::new(3);
        for k in 0..60 {
            let size = 1 + k % 5;
            let cyclic = random_graph(&mut random, size, 0.6);
            let directed: Vec<(usize, usize)> =
                cyclic.directed().iter().copied().filter(|(tail, head)| tail < head).collect();
            let graph =
                MixedGraph::new(cyclic.names().to_vec(), directed, cyclic.bidirected().iter().copied())
                    .unwrap();
            let names = Names::new(&graph);
            let rule = OneConnections::symbolic(&graph).unwrap();
            assert_eq!(rule.determinant, Polynomial::one());
            // Σ over k of Λᵏ, which ends as no path is longer than the number of vertices.
            let mut paths = vec![Polynomial::zero(); size * size];
            let mut power: Vec<Polynomial> =
                (0..size * size).map(|e| Polynomial::constant(i64::from(e / size == e % size))).collect();
            for _ in 0..size {
                paths.iter_mut().zip(&power).for_each(|(sum, entry)| *sum = &*sum + entry);
                let mut next = vec![Polynomial::zero(); size * size];
                for (tail, head) in graph.directed() {
                    for i in 0..size {
                        let step =
                            &power[i * size + tail] * &Polynomial::variable(names.effect(*tail, *head));
                        next[i * size + head] = &next[i * size + head] + &step;
                    }
                }
                power = next;
            }
            for i in 0..size {
                for j in 0..size {
                    let trek = |k: usize, l: usize| {
                        let error = Polynomial::variable(names.error(k, l));
                        &error * &(&paths[k * size + i] * &paths[l * size + j])
                    };
                    let loops = Polynomial::sum((0..size).map(|k| trek(k, k)));
                    let bows = graph.bidirected().iter().map(|(k, l)| &trek(*k, *l) + &trek(*l, *k));
                    assert_eq!(*rule.numerator(i, j), &loops + &Polynomial::sum(bows));
                    assert_eq!(rule.covariance(i, j).as_polynomial(), Some(rule.numerator(i, j)));
                }
            }
        }
    }

    #[test]
    fn large_and_wrong_input_is_refused() {
        let size = 14;
        let all: Vec<(usize, usize)> =
            (0..size * size).map(|e| (e / size, e % size)).filter(|(i, j)| i != j).collect();
        let graph = MixedGraph::new((0..size).map(|k| k.to_string()).collect(), all, []).unwrap();
        let parameters = numeric::random_parameters(&graph, 0);
        assert!(matches!(OneConnections::new(&graph, &parameters), Err(StructuralError::TooManyPaths(_))));
        let small = MixedGraph::numbered(2, &[(1, 2)], &[]).unwrap();
        let wrong = Parameters { effects: vec![], variances: vec![1.0; 2], correlations: vec![] };
        assert!(matches!(OneConnections::new(&small, &wrong), Err(StructuralError::ParameterCount { .. })));
        assert_eq!(
            Names::new(&MixedGraph::new(vec!["a b".into()], [], []).unwrap()).covariance(0, 0).name(),
            "sigma_1_1"
        );
    }

    #[test]
    fn long_cycles() {
        for size in [2, 3, 7, 12] {
            let edges: Vec<(usize, usize)> = (1..=size).map(|k| (k, k % size + 1)).collect();
            let graph = MixedGraph::numbered(size, &edges, &[]).unwrap();
            let rule = OneConnections::symbolic(&graph).unwrap();
            assert_eq!(rule.determinant.len(), 2);
            assert_eq!(rule.numerator(0, 0).len(), size);
        }
    }
}
