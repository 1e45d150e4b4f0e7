//! The polynomials that vanish on all covariance matrices of a structural model, up to a degree: its minimal constraints.
//!
//! Degree by degree and, in each, multidegree by multidegree ([`super::Multidegree`]): a polynomial of multidegree a is a combination of
//! few monomials, and vanishes on the model exactly if it does at enough random points. So, modulo a 31-bit prime:
//!
//! 1. the products of known generators with monomials span a space L, brought into echelon form;
//! 2. the monomials that are no pivots of L are evaluated at random covariance matrices of the model; a null space of that
//!    matrix means new generators;
//! 3. then null spaces of the whole block in several orders of the monomials give candidates with few terms, of which as many
//!    are chosen, shortest first, as are independent modulo L;
//! 4. they are carried back to the rationals (more primes where one is too short), checked at points modulo two other primes, and
//!    **proved** by expanding the model's rational parametrisation into them ([`super::OneConnections`]).
//!
//! What is found is complete up to the degree, not just likely: the null space modulo p cannot be smaller than the true space
//! of vanishing polynomials, and is seen to be spanned by proved ones. The paper's own search is unknown; this does its job.

use mathesis_algebra::random::Sequence;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use mathesis_symbolic::modular::{Echelon, PrimeField, combine_residues, reconstruct_rational};
use mathesis_symbolic::{Polynomial, Rational, Symbol};
use num_bigint::BigInt;
use rayon::prelude::*;
use serde::Serialize;

use super::StructuralError;
use super::dimension::{Dimension, ModularPoint};
use super::graph::MixedGraph;
use super::multidegree::{Factors, Multidegree, monomials, multidegrees, ordered_multidegrees, pairs};
use super::one_connection::{Names, OneConnections};
use crate::{Observer, Progress, Status};

/// Points in a row that must bring nothing new before a null space is believed to be complete.
const IDLE_POINTS: usize = 8;
/// Orders of the monomials in which null spaces are looked at for short polynomials.
const ORDERS: usize = 6;
/// Primes after which coefficients are given up as too long.
const MOST_PRIMES: usize = 24;

/// A polynomial of the vanishing ideal that does not follow from those of lower degree.
#[derive(Clone, Debug)]
pub struct Generator {
    /// How often each vertex occurs among its indices.
    pub multidegree: Multidegree,
    /// With coprime integer coefficients and a positive leading one, in the covariances `sigma_i_j`: all those with i ≤ j are
    /// among its variables, row by row.
    pub polynomial: Polynomial,
    /// Its terms as factors and coefficients, in lexicographic order of the factors.
    terms: Vec<(Factors, Rational)>,
}

impl Generator {
    /// The degree.
    pub fn degree(&self) -> usize {
        self.multidegree.iter().map(|count| usize::from(*count)).sum::<usize>() / 2
    }

    /// The value, and the derivatives by all σ_ij, at numbers σ_ij, i ≤ j, row by row.
    pub(super) fn value_and_gradient(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let mut value = 0.0;
        let mut gradient = vec![0.0; point.len()];
        for (factors, coefficient) in &self.terms {
            let coefficient = coefficient.to_f64();
            value += factors.iter().fold(coefficient, |product, f| product * point[usize::from(*f)]);
            for k in 0..factors.len() {
                let others = factors.iter().enumerate().filter(|(place, _)| *place != k);
                gradient[usize::from(factors[k])] +=
                    others.fold(coefficient, |product, (_, f)| product * point[usize::from(*f)]);
            }
        }
        (value, gradient)
    }
}

/// What the search of one degree has met.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DegreeReport {
    /// The degree.
    pub degree: usize,
    /// The number of multidegrees, each with a linear system of its own.
    pub multidegrees: usize,
    /// Monomials in all of them: the unknown coefficients.
    pub candidates: usize,
    /// Monomials in the largest.
    pub largest_block: usize,
    /// Minimal generators of this degree.
    pub new_generators: usize,
    /// Seconds spent.
    pub seconds: f64,
}

/// The vanishing ideal up to a degree.
#[derive(Clone, Debug)]
pub struct VanishingIdeal {
    /// Minimal generators by rising degree; all are proved to vanish on the model.
    pub generators: Vec<Generator>,
    /// What was searched, completely, degree by degree.
    pub degrees: Vec<DegreeReport>,
    /// The model's dimension.
    pub dimension: Dimension,
    /// The number of independent constraints among the generators near a general covariance matrix of the model: once it is
    /// the codimension, they cut out the model there; below it, generators of higher degree are missing.
    pub independent_constraints: usize,
    /// Whether the degree bound was reached.
    pub status: Status,
}

/// Search the vanishing ideal of a graph's model up to a degree.
///
/// # Errors
/// [`StructuralError::BlockLimit`] before any search if a multidegree has more than `block_limit` monomials;
/// [`StructuralError::TooManyPaths`] if the graph is too large for exact expansion; [`StructuralError::Degree`] if the degree is not 1 to 60,
/// or the graph has more than 22 vertices.
pub fn search(
    graph: &MixedGraph,
    degree: usize,
    block_limit: usize,
    observer: &mut dyn Observer,
) -> Result<VanishingIdeal, StructuralError> {
    let size = graph.len();
    // Multidegrees and positions of covariances are kept in bytes.
    if !(1..=60).contains(&degree) || size > 22 {
        return Err(StructuralError::Degree { degree, size });
    }
    for degree in 1..=degree {
        for multidegree in ordered_multidegrees(size, degree) {
            if monomials(&multidegree, block_limit.saturating_add(1)).len() > block_limit {
                return Err(StructuralError::BlockLimit { degree, multidegree, limit: block_limit });
            }
        }
    }
    let model = Model::new(graph)?;
    let mut ideal = VanishingIdeal {
        generators: Vec::new(),
        degrees: Vec::new(),
        dimension: Dimension::of(graph),
        independent_constraints: 0,
        status: Status::Converged,
    };
    'degrees: for degree in 1..=degree {
        let start = Instant::now();
        let blocks = multidegrees(size, degree);
        let mut report = DegreeReport {
            degree,
            multidegrees: blocks.len(),
            candidates: 0,
            largest_block: 0,
            new_generators: 0,
            seconds: 0.0,
        };
        let largest = ordered_multidegrees(size, degree)
            .iter()
            .map(|a| monomials(a, usize::MAX).len())
            .max()
            .unwrap_or(0);
        let first = Points::random(graph, model.fields[0], largest + IDLE_POINTS, 0);
        let mut found = Vec::new();
        let (mut done, planned) = (0, blocks.len());
        for chunk in blocks.chunks(512) {
            let results: Vec<Result<Block, StructuralError>> = chunk
                .par_iter()
                .map(|multidegree| model.search_block(multidegree, &ideal.generators, &first))
                .collect();
            for block in results {
                let block = block?;
                report.candidates += block.monomials;
                report.largest_block = report.largest_block.max(block.monomials);
                found.extend(block.generators);
            }
            done += chunk.len();
            let progress = Progress { iteration: done, planned, residual: None, error: None };
            if observer.progress(progress).is_break() {
                ideal.status = Status::Interrupted;
                break 'degrees;
            }
        }
        report.new_generators = found.len();
        report.seconds = start.elapsed().as_secs_f64();
        ideal.generators.extend(found);
        ideal.degrees.push(report);
    }
    ideal.independent_constraints = model.independent_constraints(&ideal.generators);
    Ok(ideal)
}

struct Block {
    monomials: usize,
    generators: Vec<Generator>,
}

/// A graph's model with what the search needs of it.
struct Model<'a> {
    graph: &'a MixedGraph,
    names: Names,
    pairs: Vec<(usize, usize)>,
    numerators: BTreeMap<Symbol, Polynomial>,
    fields: Vec<PrimeField>,
}

/// Random covariance matrices of a model over a prime field: for each its entries by pair.
struct Points {
    field: PrimeField,
    covariances: Vec<Vec<u32>>,
}

impl Points {
    fn random(graph: &MixedGraph, field: PrimeField, count: usize, seed: u64) -> Self {
        let mut random = Sequence::new(seed);
        let pairs = pairs(graph.len());
        let covariances = (0..count)
            .map(|_| {
                let point = ModularPoint::random(graph, field, &mut random);
                pairs.iter().map(|(i, j)| point.covariance[i * graph.len() + j]).collect()
            })
            .collect();
        Points { field, covariances }
    }
}

/// The values of monomials, sorted, at one point; what a monomial has in common with the one before is not multiplied again.
fn evaluate<'a>(field: PrimeField, monomials: impl Iterator<Item = &'a Factors>, point: &[u32]) -> Vec<u32> {
    let mut previous: &[u8] = &[];
    let mut products: Vec<u32> = vec![1];
    monomials
        .map(|factors| {
            let common = previous.iter().zip(factors.iter()).take_while(|(a, b)| a == b).count();
            products.truncate(common + 1);
            for factor in &factors[common..] {
                let product = field.multiply(products[products.len() - 1], point[usize::from(*factor)]);
                products.push(product);
            }
            previous = factors;
            products[products.len() - 1]
        })
        .collect()
}

impl<'a> Model<'a> {
    fn new(graph: &'a MixedGraph) -> Result<Self, StructuralError> {
        let names = Names::new(graph);
        let rule = OneConnections::symbolic(graph)?;
        let pairs = pairs(graph.len());
        let numerators =
            pairs.iter().map(|(i, j)| (names.covariance(*i, *j), rule.numerator(*i, *j).clone())).collect();
        let fields = PrimeField::largest().take(MOST_PRIMES).collect();
        Ok(Model { graph, names, pairs, numerators, fields })
    }

    fn search_block(
        &self,
        multidegree: &Multidegree,
        generators: &[Generator],
        points: &Points,
    ) -> Result<Block, StructuralError> {
        let field = points.field;
        let monomials = monomials(multidegree, usize::MAX);
        let count = monomials.len();
        let known = self.known_space(field, multidegree, &monomials, generators);
        let mut is_pivot = vec![false; count];
        known.pivots().for_each(|pivot| is_pivot[pivot] = true);
        let free: Vec<&Factors> =
            monomials.iter().zip(&is_pivot).filter(|(_, p)| !**p).map(|(m, _)| m).collect();
        let values = |point: &Vec<u32>| evaluate(field, free.iter().copied(), point);
        let new = free.len() - null_space_of(field, free.len(), points, values).rank();
        let mut block = Block { monomials: count, generators: Vec::new() };
        if new > 0 {
            for candidate in self.shortest_candidates(&monomials, &known, points, new) {
                block.generators.push(self.prove(multidegree, &monomials, &candidate)?);
            }
        }
        Ok(block)
    }

    /// The span of all generators times monomials in a multidegree.
    fn known_space(
        &self,
        field: PrimeField,
        multidegree: &[u8],
        columns: &[Factors],
        generators: &[Generator],
    ) -> Echelon {
        let mut echelon = Echelon::new(field, columns.len());
        let mut cofactors: HashMap<Multidegree, Vec<Factors>> = HashMap::new();
        let mut product = Vec::new();
        for generator in generators {
            let difference: Option<Multidegree> =
                multidegree.iter().zip(&generator.multidegree).map(|(a, b)| a.checked_sub(*b)).collect();
            let Some(difference) = difference else { continue };
            let coefficients: Vec<u32> =
                generator.terms.iter().map(|(_, c)| field.reduce_rational(c).unwrap_or(0)).collect();
            let cofactors = cofactors
                .entry(difference)
                .or_insert_with_key(|difference| monomials(difference, usize::MAX));
            for cofactor in cofactors.iter() {
                let mut row = vec![0; columns.len()];
                for ((factors, _), coefficient) in generator.terms.iter().zip(&coefficients) {
                    merge(factors, cofactor, &mut product);
                    if let Ok(column) = columns.binary_search_by(|m| m.as_ref().cmp(&product)) {
                        row[column] = *coefficient;
                    }
                }
                echelon.insert(&row);
                if echelon.rank() == columns.len() {
                    return echelon;
                }
            }
        }
        echelon
    }

    /// So many vanishing polynomials modulo the first prime, independent modulo the known ones, with few terms.
    fn shortest_candidates(
        &self,
        monomials: &[Factors],
        known: &Echelon,
        points: &Points,
        wanted: usize,
    ) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for index in 0..ORDERS {
            let order = column_order(index, monomials.len());
            for (free, vector) in ordered_null_space(points, monomials, &order) {
                let terms = vector.iter().filter(|entry| **entry != 0).count();
                candidates.push((terms, Candidate { order: index, free, vector }));
            }
        }
        candidates.sort_by_key(|(terms, _)| *terms);
        let mut span = known.clone();
        let mut chosen = Vec::new();
        for (_, candidate) in candidates {
            if chosen.len() < wanted && span.insert(&candidate.vector) {
                chosen.push(candidate);
            }
        }
        chosen
    }

    /// Carry a candidate back to the rationals and prove that it vanishes.
    fn prove(
        &self,
        multidegree: &Multidegree,
        monomials: &[Factors],
        candidate: &Candidate,
    ) -> Result<Generator, StructuralError> {
        let order = column_order(candidate.order, monomials.len());
        let mut residues: Vec<BigInt> = candidate.vector.iter().map(|entry| BigInt::from(*entry)).collect();
        let mut modulus = BigInt::from(self.fields[0].prime());
        for used in 1..self.fields.len() {
            let rational: Option<Vec<Rational>> =
                residues.iter().map(|residue| reconstruct_rational(residue, &modulus)).collect();
            if let Some(coefficients) = rational
                && self.vanishes_modulo_others(monomials, &coefficients, used)
            {
                let generator = self.generator(multidegree, monomials, coefficients);
                if generator.polynomial.substitute(&self.numerators).is_zero() {
                    return Ok(generator);
                }
            }
            // One prime was too small for the coefficients: the same vector modulo the next.
            let field = self.fields[used];
            let points = Points::random(self.graph, field, monomials.len() + IDLE_POINTS, used as u64);
            let vector = ordered_null_space(&points, monomials, &order)
                .into_iter()
                .find_map(|(free, vector)| (free == candidate.free).then_some(vector));
            let Some(vector) = vector else { continue };
            for (residue, value) in residues.iter_mut().zip(vector) {
                *residue = combine_residues(residue, &modulus, value, field);
            }
            modulus *= field.prime();
        }
        Err(StructuralError::NotProved { multidegree: multidegree.clone() })
    }

    /// Whether a polynomial is zero at random points modulo two primes that were not used to find it.
    fn vanishes_modulo_others(&self, monomials: &[Factors], coefficients: &[Rational], used: usize) -> bool {
        self.fields.iter().rev().filter(|field| !self.fields[..used].contains(field)).take(2).all(|field| {
            let reduced: Option<Vec<u32>> = coefficients.iter().map(|c| field.reduce_rational(c)).collect();
            let Some(reduced) = reduced else { return true };
            let points = Points::random(self.graph, *field, 4, 1000);
            points.covariances.iter().all(|point| {
                let values = evaluate(*field, monomials.iter(), point);
                values.iter().zip(&reduced).fold(0, |sum, (v, c)| field.add(sum, field.multiply(*v, *c))) == 0
            })
        })
    }

    fn generator(
        &self,
        multidegree: &Multidegree,
        monomials: &[Factors],
        coefficients: Vec<Rational>,
    ) -> Generator {
        let variables = self.pairs.iter().map(|(i, j)| self.names.covariance(*i, *j)).collect();
        let exponents = |factors: &Factors| {
            let mut exponents = vec![0; self.pairs.len()];
            factors.iter().for_each(|factor| exponents[usize::from(*factor)] += 1);
            exponents
        };
        let terms: Vec<(&Factors, Rational)> =
            monomials.iter().zip(coefficients).filter(|(_, c)| !c.is_zero()).collect();
        let whole = Polynomial::from_terms(&variables, terms.iter().map(|(f, c)| (exponents(f), c.clone())));
        let polynomial = whole.primitive_part();
        // What the primitive part was divided by.
        let scale = whole.leading_coefficient().reciprocal().map(|r| &polynomial.leading_coefficient() * &r);
        let scale = scale.unwrap_or_else(|| Rational::from(1));
        let terms = terms.into_iter().map(|(factors, c)| (factors.clone(), &c * &scale)).collect();
        Generator { multidegree: multidegree.clone(), polynomial, terms }
    }

    /// The rank of the generators' derivatives at a random covariance matrix of the model.
    fn independent_constraints(&self, generators: &[Generator]) -> usize {
        let field = self.fields[0];
        let points = Points::random(self.graph, field, 1, 77);
        let point = &points.covariances[0];
        let mut echelon = Echelon::new(field, self.pairs.len());
        for generator in generators {
            let mut gradient = vec![0; self.pairs.len()];
            for (factors, coefficient) in &generator.terms {
                let coefficient = field.reduce_rational(coefficient).unwrap_or(0);
                for k in 0..factors.len() {
                    let others = factors.iter().enumerate().filter(|(place, _)| *place != k);
                    let value =
                        others.fold(coefficient, |v, (_, f)| field.multiply(v, point[usize::from(*f)]));
                    let entry = &mut gradient[usize::from(factors[k])];
                    *entry = field.add(*entry, value);
                }
            }
            echelon.insert(&gradient);
        }
        echelon.rank()
    }
}

/// A vector of a null space, by the order of columns and the free column that it belongs to.
struct Candidate {
    order: usize,
    free: usize,
    vector: Vec<u32>,
}

/// The columns in the order of their numbers, then in the opposite one, then in random ones.
fn column_order(index: usize, count: usize) -> Vec<usize> {
    match index {
        0 => (0..count).collect(),
        1 => (0..count).rev().collect(),
        _ => Sequence::new(index as u64).permutation(count),
    }
}

/// The echelon form of values at points, as far as they bring something new.
fn null_space_of(
    field: PrimeField,
    columns: usize,
    points: &Points,
    values: impl Fn(&Vec<u32>) -> Vec<u32>,
) -> Echelon {
    let mut echelon = Echelon::new(field, columns);
    let mut idle = 0;
    for point in &points.covariances {
        if echelon.rank() == columns || idle == IDLE_POINTS {
            break;
        }
        idle = if echelon.insert(&values(point)) { 0 } else { idle + 1 };
    }
    echelon
}

/// The null space of all monomials with columns in an order: for each vector its free column and its entries by monomial.
fn ordered_null_space(points: &Points, monomials: &[Factors], order: &[usize]) -> Vec<(usize, Vec<u32>)> {
    let values = |point: &Vec<u32>| {
        let plain = evaluate(points.field, monomials.iter(), point);
        order.iter().map(|column| plain[*column]).collect()
    };
    let mut echelon = null_space_of(points.field, monomials.len(), points, values);
    let vectors = echelon.null_space();
    vectors
        .into_iter()
        .map(|vector| {
            // The free column is the last place that is not zero: all others are pivots before it.
            let free = vector.iter().rposition(|entry| *entry != 0).map_or(0, |place| order[place]);
            let mut by_monomial = vec![0; monomials.len()];
            vector.iter().zip(order).for_each(|(entry, column)| by_monomial[*column] = *entry);
            (free, by_monomial)
        })
        .collect()
}

/// The factors of a product, in order.
fn merge(a: &[u8], b: &[u8], product: &mut Vec<u8>) {
    product.clear();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if j == b.len() || (i < a.len() && a[i] <= b[j]) {
            product.push(a[i]);
            i += 1;
        } else {
            product.push(b[j]);
            j += 1;
        }
    }
}

/// All vanishing polynomials of one multidegree by exact expansion: the plain reference for the search above.
///
/// Each monomial's numerator is written out in the parameters, and the rational linear system "every coefficient is zero" is solved.
///
/// # Errors
/// [`StructuralError::TooManyPaths`] if the graph has too many paths and cycles.
pub fn vanishing_polynomials_by_expansion(
    graph: &MixedGraph,
    multidegree: &[u8],
) -> Result<Vec<Polynomial>, StructuralError> {
    let model = Model::new(graph)?;
    let monomials = monomials(multidegree, usize::MAX);
    // Unlikely monomials of the parameters first: each row is one of them.
    let mut rows: BTreeMap<Vec<(Symbol, u32)>, Vec<Rational>> = BTreeMap::new();
    for (column, factors) in monomials.iter().enumerate() {
        let product = factors.iter().fold(Polynomial::one(), |product, factor| {
            let (i, j) = model.pairs[usize::from(*factor)];
            &product * &model.numerators[&model.names.covariance(i, j)]
        });
        for (exponents, coefficient) in product.terms() {
            let mut key: Vec<(Symbol, u32)> = product
                .variables()
                .iter()
                .cloned()
                .zip(exponents.iter().copied())
                .filter(|(_, e)| *e > 0)
                .collect();
            key.sort();
            let row = rows.entry(key).or_insert_with(|| vec![Rational::from(0); monomials.len()]);
            row[column] = coefficient.clone();
        }
    }
    Ok(rational_null_space(rows.into_values().collect(), monomials.len())
        .into_iter()
        .map(|vector| model.generator(&multidegree.to_vec(), &monomials, vector).polynomial)
        .collect())
}

/// By Gauss and Jordan.
fn rational_null_space(mut rows: Vec<Vec<Rational>>, columns: usize) -> Vec<Vec<Rational>> {
    let mut pivots = Vec::new();
    for column in 0..columns {
        let rank = pivots.len();
        let Some(found) = (rank..rows.len()).find(|row| !rows[*row][column].is_zero()) else { continue };
        rows.swap(rank, found);
        let Some(inverse) = rows[rank][column].reciprocal() else { continue };
        let pivot_row: Vec<Rational> = rows[rank].iter().map(|entry| entry * &inverse).collect();
        for (k, row) in rows.iter_mut().enumerate() {
            if k != rank && !row[column].is_zero() {
                let factor = -&row[column];
                row.iter_mut().zip(&pivot_row).for_each(|(entry, p)| *entry = &*entry + &(&factor * p));
            }
        }
        rows[rank] = pivot_row;
        pivots.push(column);
    }
    (0..columns)
        .filter(|column| !pivots.contains(column))
        .map(|free| {
            let mut vector = vec![Rational::from(0); columns];
            vector[free] = Rational::from(1);
            pivots.iter().zip(&rows).for_each(|(pivot, row)| vector[*pivot] = -&row[free]);
            vector
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::one_connection::tests::random_graph;
    use super::*;
    use crate::Silent;

    fn found(
        size: usize,
        directed: &[(usize, usize)],
        bidirected: &[(usize, usize)],
        degree: usize,
    ) -> VanishingIdeal {
        let graph = MixedGraph::numbered(size, directed, bidirected).unwrap();
        search(&graph, degree, 2000, &mut Silent).unwrap()
    }

    fn counts(ideal: &VanishingIdeal) -> Vec<usize> {
        ideal.degrees.iter().map(|report| report.new_generators).collect()
    }

    /// Counts of the specification's table, in degrees that take little time.
    #[test]
    fn known_numbers_of_generators() {
        let verma = found(4, &[(1, 2), (1, 3), (2, 3), (3, 4)], &[(2, 4)], 4);
        assert_eq!(counts(&verma), [0, 0, 0, 1]);
        assert_eq!(verma.generators[0].polynomial.len(), 8);
        let cycle = found(4, &[(1, 2), (2, 3), (3, 4), (4, 1)], &[], 4);
        assert_eq!(counts(&cycle), [0, 0, 2, 0]);
        assert!(cycle.generators.iter().all(|g| g.polynomial.len() == 6 && g.degree() == 3));
        assert_eq!((cycle.dimension.codimension, cycle.independent_constraints), (2, 2));
        let tail = found(4, &[(1, 2), (2, 3), (3, 1), (3, 4)], &[], 4);
        assert_eq!(counts(&tail), [0, 3, 0, 0]);
        let instrument = found(4, &[(1, 2), (2, 1), (3, 1), (4, 2)], &[], 3);
        assert_eq!(counts(&instrument), [1, 0, 1]);
        assert_eq!(instrument.generators[0].polynomial.to_string(), "sigma_3_4");
        assert_eq!(counts(&found(3, &[(1, 2), (2, 3)], &[(2, 3)], 4)), [0; 4]);
        assert_eq!(counts(&found(1, &[], &[], 3)), [0; 3]);
        assert_eq!(counts(&found(4, &[], &[(1, 2), (2, 3), (3, 4), (1, 4)], 2)), [2, 0]);
    }

    #[test]
    fn two_minors_of_the_four_cycle() {
        // det Σ_{123,134} is one of both cubics.
        let cycle = found(4, &[(1, 2), (2, 3), (3, 4), (4, 1)], &[], 3);
        let minor = |rows: [usize; 3], columns: [usize; 3]| {
            let entry = |r: usize, c: usize| {
                Polynomial::variable(format!("sigma_{}_{}", r.min(c), r.max(c)).as_str())
            };
            let mut sum = Polynomial::zero();
            for (order, sign) in [
                ([0, 1, 2], 1),
                ([1, 2, 0], 1),
                ([2, 0, 1], 1),
                ([0, 2, 1], -1),
                ([1, 0, 2], -1),
                ([2, 1, 0], -1),
            ] {
                let term =
                    (0..3).fold(Polynomial::constant(sign), |p, k| &p * &entry(rows[k], columns[order[k]]));
                sum = &sum + &term;
            }
            sum
        };
        for wanted in [minor([1, 2, 3], [1, 3, 4]), minor([1, 2, 4], [2, 3, 4])] {
            assert!(cycle.generators.iter().any(|g| g.polynomial == wanted || g.polynomial == -&wanted));
        }
    }

    /// The search by evaluation against exact expansion: the dimension of all vanishing polynomials, multidegree by
    /// multidegree, is that of generators times monomials.
    #[test]
    fn the_search_equals_exact_expansion() {
        let mut random = Sequence::new(9);
        for k in 0..12 {
            let size = 3 + k % 2;
            let graph = random_graph(&mut random, size, 0.3);
            let degree = if size == 3 { 4 } else { 3 };
            let ideal = search(&graph, degree, 2000, &mut Silent).unwrap();
            let model = Model::new(&graph).unwrap();
            for degree in 1..=degree {
                for multidegree in multidegrees(size, degree) {
                    let exact = vanishing_polynomials_by_expansion(&graph, &multidegree).unwrap();
                    let columns = monomials(&multidegree, usize::MAX);
                    let span = model.known_space(model.fields[0], &multidegree, &columns, &ideal.generators);
                    assert_eq!(span.rank(), exact.len(), "{} at {multidegree:?}", graph.edges_text());
                    for polynomial in exact {
                        assert!(polynomial.substitute(&model.numerators).is_zero());
                    }
                }
            }
        }
    }

    #[test]
    fn coefficients_beyond_one_prime_are_carried_back() {
        // A made-up block: two monomials whose values are in a ratio with long terms need several primes, which random models
        // do not offer; so the steps are tried on numbers.
        let wanted = Rational::new(-123_456_789_123_i64, 1_000_003).unwrap();
        let (mut residue, mut modulus) = (BigInt::from(0), BigInt::from(1));
        let mut used = 0;
        for field in PrimeField::largest() {
            residue = combine_residues(&residue, &modulus, field.reduce_rational(&wanted).unwrap(), field);
            modulus *= field.prime();
            used += 1;
            if reconstruct_rational(&residue, &modulus).as_ref() == Some(&wanted) {
                break;
            }
        }
        assert_eq!(used, 3);
    }

    #[test]
    fn limits_name_the_offender() {
        let graph = MixedGraph::numbered(4, &[(1, 2)], &[]).unwrap();
        let error = search(&graph, 6, 40, &mut Silent).unwrap_err();
        assert!(matches!(&error, StructuralError::BlockLimit { degree: 6, limit: 40, .. }), "{error}");
        assert!(error.to_string().contains("more than 40"), "{error}");
        assert!(search(&graph, 0, 50, &mut Silent).is_err());
        assert!(search(&graph, 61, 50, &mut Silent).is_err());
    }

    #[test]
    fn an_interrupted_search_keeps_whole_degrees() {
        struct Impatient(usize);
        impl Observer for Impatient {
            fn progress(&mut self, _: Progress) -> std::ops::ControlFlow<()> {
                self.0 += 1;
                if self.0 > 3 {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            }
        }
        let graph = MixedGraph::numbered(4, &[(1, 2), (2, 3), (3, 4), (4, 1)], &[]).unwrap();
        let ideal = search(&graph, 5, 2000, &mut Impatient(0)).unwrap();
        assert_eq!(ideal.status, Status::Interrupted);
        assert_eq!(counts(&ideal), [0, 0, 2]);
    }
}
