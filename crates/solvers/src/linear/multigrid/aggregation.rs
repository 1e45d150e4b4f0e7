//! A V-cycle by smoothed aggregation: Vaněk, Mandel, Brezina, "Algebraic multigrid by smoothed aggregation for second and fourth order
//! elliptic problems" (1996), for matrices whose smooth errors are near to constants.
//!
//! On each level, `i` and `j` are strongly coupled if `|a_ij| ≥ θ √(a_ii a_jj)` with `θ = 0.08 / 2^level`. Unknowns whose strong
//! neighbours are all free become aggregates with these; the others join neighbouring aggregates. The tentative prolongation `P₀` has
//! the near-constant vector, cut to each aggregate and normalised, as its columns; `P = (I - ω D⁻¹ A_F) P₀`, where `A_F` has its weak
//! couplings moved to the diagonal and `ω = 4/3 / λ_max(D⁻¹ A_F)`; the coarser matrix is `Pᵀ A P`.

use mathesis_algebra::random::Sequence;
use std::borrow::Cow;

use faer::Mat;
use rayon::prelude::*;

use super::super::LinearError;
use super::super::conjugate_gradient::Preconditioner;
use super::super::csr::Csr;
use super::super::vector::norm;
use super::{chebyshev_steps, pseudo_inverse};

/// Matrices of at most this many rows are solved directly.
const COARSEST: usize = 300;
/// A level that unites fewer unknowns than this share leads nowhere.
const LEAST_COARSENING: f64 = 0.8;
const LEVELS: usize = 20;
const STRENGTH: f64 = 0.08;
/// The smoothed part of the spectrum, from this share of its largest value.
const SMOOTHED_FROM: f64 = 0.1;
/// Degree of the polynomial that stands for the solution on a coarsest level that is too large to invert.
const COARSEST_DEGREE: usize = 12;

#[derive(Debug)]
struct Level {
    matrix: Csr,
    inverse_diagonal: Vec<f64>,
    steps: Vec<f64>,
    /// From the next coarser level, and its transpose.
    transfer: Option<(Csr, Csr)>,
    right_side: Vec<f64>,
    values: Vec<f64>,
    spare: Vec<f64>,
}

/// The preconditioner.
#[derive(Debug)]
pub(crate) struct VCycle {
    levels: Vec<Level>,
    /// The pseudo-inverse of the coarsest matrix, unless that is too large.
    inverse: Option<Vec<f64>>,
}

impl VCycle {
    /// Coarsens a symmetric matrix with a diagonal that is nowhere negative; `smoothing` is the degree of the smoother.
    ///
    /// # Errors
    /// [`LinearError::Breakdown`] if a matrix is not finite.
    pub(crate) fn new(matrix: &Csr, smoothing: usize) -> Result<Self, LinearError> {
        let mut levels = Vec::new();
        let mut matrix = matrix.clone();
        let mut near_null = vec![1.0; matrix.shape().0];
        loop {
            let n = matrix.shape().0;
            let inverse_diagonal = inverse_diagonal(&matrix);
            let coarser = (n > COARSEST && levels.len() + 1 < LEVELS)
                .then(|| coarsen(&matrix, &near_null, STRENGTH / 2_f64.powi(levels.len() as i32)))
                .filter(|(prolongation, _)| (prolongation.shape().1 as f64) < LEAST_COARSENING * n as f64);
            let largest = 1.05 * largest_eigenvalue(&matrix, &inverse_diagonal);
            if !largest.is_finite() {
                return Err(LinearError::Breakdown("a coarser matrix is not finite".into()));
            }
            let degree = if coarser.is_none() && n > COARSEST { COARSEST_DEGREE } else { smoothing };
            let mut level = Level {
                steps: chebyshev_steps(degree, SMOOTHED_FROM * largest, largest),
                matrix,
                inverse_diagonal,
                transfer: None,
                right_side: vec![0.0; n],
                values: vec![0.0; n],
                spare: vec![0.0; n],
            };
            let Some((prolongation, coarse_near_null)) = coarser else {
                let inverse = if n <= COARSEST { Some(dense_inverse(&level.matrix)?) } else { None };
                levels.push(level);
                return Ok(VCycle { levels, inverse });
            };
            let restriction = prolongation.transpose();
            matrix = restriction.times(&level.matrix.times(&prolongation));
            near_null = coarse_near_null;
            level.transfer = Some((prolongation, restriction));
            levels.push(level);
        }
    }

    /// The number of levels.
    pub(crate) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Entries of all levels' matrices over those of the first.
    pub(crate) fn operator_complexity(&self) -> f64 {
        let all: usize = self.levels.iter().map(|level| level.matrix.stored()).sum();
        all as f64 / self.levels[0].matrix.stored().max(1) as f64
    }

    fn cycle(levels: &mut [Level], inverse: Option<&Vec<f64>>) {
        let Some((level, coarser)) = levels.split_first_mut() else { return };
        let Some(next) = coarser.first_mut() else {
            match inverse {
                Some(inverse) => level.multiply_by(inverse),
                None => level.smooth_from_zero(),
            }
            return;
        };
        level.smooth_from_zero();
        let Some((prolongation, restriction)) = &level.transfer else { return };
        let b = &level.right_side;
        level
            .matrix
            .for_rows(&level.values, &mut level.spare, |product, i, residual| *residual = b[i] - product);
        restriction.multiply(&level.spare, &mut next.right_side);
        Self::cycle(coarser, inverse);
        prolongation.for_rows(&coarser[0].values, &mut level.values, |sum, _, value| *value += sum);
        (0..level.steps.len()).for_each(|k| level.step(k));
    }
}

impl Preconditioner for VCycle {
    fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        self.levels[0].right_side.copy_from_slice(r);
        Self::cycle(&mut self.levels, self.inverse.as_ref());
        z.copy_from_slice(&self.levels[0].values);
    }
}

impl Level {
    fn smooth_from_zero(&mut self) {
        let step = self.steps[0];
        let Level { values, right_side, inverse_diagonal, .. } = self;
        super::super::vector::multiply_entries(values, inverse_diagonal, right_side);
        values.par_iter_mut().for_each(|x| *x *= step);
        (1..self.steps.len()).for_each(|k| self.step(k));
    }

    /// `x ← x + ω D⁻¹ (b - A x)`.
    fn step(&mut self, k: usize) {
        let (step, b, d, x) = (self.steps[k], &self.right_side, &self.inverse_diagonal, &self.values);
        self.matrix.for_rows(x, &mut self.spare, |product, i, next| {
            *next = x[i] + step * d[i] * (b[i] - product);
        });
        std::mem::swap(&mut self.values, &mut self.spare);
    }

    fn multiply_by(&mut self, inverse: &[f64]) {
        let n = self.values.len();
        for (i, value) in self.values.iter_mut().enumerate() {
            *value = inverse[i * n..][..n].iter().zip(&self.right_side).map(|(a, b)| a * b).sum();
        }
    }
}

fn inverse_diagonal(matrix: &Csr) -> Vec<f64> {
    (0..matrix.shape().0)
        .map(|i| {
            let d = matrix.entry(i, i);
            if d > 0.0 { 1.0 / d } else { 0.0 }
        })
        .collect()
}

/// `λ_max(D⁻¹ A)` by the power method, to a few per cent from below.
fn largest_eigenvalue(matrix: &Csr, inverse_diagonal: &[f64]) -> f64 {
    let mut normal = Sequence::new(0);
    let mut v: Vec<f64> = inverse_diagonal.iter().map(|_| normal.normal()).collect();
    let mut next = vec![0.0; v.len()];
    let mut value = 0.0;
    for _ in 0..20 {
        let length = norm(&v);
        if length == 0.0 {
            return 1.0;
        }
        v.iter_mut().for_each(|v| *v /= length);
        matrix.for_rows(&v, &mut next, |product, i, next| *next = inverse_diagonal[i] * product);
        value = norm(&next);
        std::mem::swap(&mut v, &mut next);
    }
    if value > 0.0 { value } else { 1.0 }
}

fn dense_inverse(matrix: &Csr) -> Result<Vec<f64>, LinearError> {
    let n = matrix.shape().0;
    let mut dense = Mat::<f64>::zeros(n, n);
    for i in 0..n {
        let (columns, values) = matrix.row(i);
        columns.iter().zip(values).for_each(|(&j, &value)| dense[(i, j as usize)] = value);
    }
    pseudo_inverse(&dense, 1e-12)
}

/// The prolongation, and the near-constant vector of the coarser level.
fn coarsen(matrix: &Csr, near_null: &[f64], strength: f64) -> (Csr, Vec<f64>) {
    let n = matrix.shape().0;
    let filtered = filter(matrix, strength);
    let (aggregate, count) = aggregates(&filtered);
    let mut squared = vec![0.0; count];
    for i in 0..n {
        if aggregate[i] != FREE {
            squared[aggregate[i] as usize] += near_null[i] * near_null[i];
        }
    }
    let coarse: Vec<f64> = squared.iter().map(|s: &f64| s.sqrt()).collect();
    let mut starts = Vec::with_capacity(n + 1);
    starts.push(0);
    let (mut columns, mut values) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for i in 0..n {
        if aggregate[i] != FREE {
            columns.push(aggregate[i]);
            values.push(near_null[i] / coarse[aggregate[i] as usize]);
        }
        starts.push(columns.len());
    }
    let tentative = Csr::from_sorted_rows(count, starts, columns, values);

    let inverse_diagonal = inverse_diagonal(&filtered);
    let omega = 4.0 / 3.0 / largest_eigenvalue(&filtered, &inverse_diagonal);
    // I - ω D⁻¹ A_F
    let smoother =
        filtered.map_entries(|i, j, value| f64::from(u8::from(i == j)) - omega * inverse_diagonal[i] * value);
    (smoother.times(&tentative), coarse)
}

/// The matrix without its weak couplings, which are added to the diagonal.
fn filter(matrix: &Csr, strength: f64) -> Cow<'_, Csr> {
    let n = matrix.shape().0;
    let diagonal: Vec<f64> = (0..n).map(|i| matrix.entry(i, i)).collect();
    let strong = |i: usize, j: usize, value: f64| {
        value != 0.0 && value * value >= strength * strength * diagonal[i] * diagonal[j]
    };
    let all_strong = (0..n).into_par_iter().all(|i| {
        let (columns, values) = matrix.row(i);
        columns.iter().zip(values).all(|(&j, &value)| j as usize == i || strong(i, j as usize, value))
    });
    if all_strong {
        return Cow::Borrowed(matrix);
    }
    let rows = (0..n)
        .into_par_iter()
        .map(|i| {
            let (columns, values) = matrix.row(i);
            let mut on_diagonal = diagonal[i];
            let mut row = Vec::with_capacity(columns.len());
            for (&j, &value) in columns.iter().zip(values) {
                let j = j as usize;
                if j == i {
                    continue;
                }
                if strong(i, j, value) {
                    row.push((j as u32, value));
                } else {
                    on_diagonal += value;
                }
            }
            // A diagonal that the weak couplings would eat up stays as it was.
            row.push((i as u32, if on_diagonal > 0.1 * diagonal[i] { on_diagonal } else { diagonal[i] }));
            row
        })
        .collect();
    Cow::Owned(Csr::from_rows(n, rows))
}

/// The label of an unknown that belongs to no aggregate: it is not coupled to anything.
const FREE: u32 = u32::MAX;

/// The aggregate of each unknown, and their number.
fn aggregates(strong: &Csr) -> (Vec<u32>, usize) {
    let n = strong.shape().0;
    let neighbours = |i: usize| strong.row(i).0.iter().map(|&j| j as usize).filter(move |&j| j != i);
    let mut aggregate = vec![FREE; n];
    let mut count = 0;
    // Whole neighbourhoods.
    for i in 0..n {
        let mut any = false;
        if aggregate[i] == FREE
            && neighbours(i).all(|j| {
                any = true;
                aggregate[j] == FREE
            })
            && any
        {
            aggregate[i] = count;
            neighbours(i).for_each(|j| aggregate[j] = count);
            count += 1;
        }
    }
    // The rest joins the neighbouring aggregate to which it is coupled most.
    let whole = aggregate.clone();
    for i in 0..n {
        if aggregate[i] == FREE {
            let (columns, values) = strong.row(i);
            aggregate[i] = columns
                .iter()
                .zip(values)
                .filter(|&(&j, _)| j as usize != i && whole[j as usize] != FREE)
                .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
                .map_or(FREE, |(&j, _)| whole[j as usize]);
        }
    }
    // What has no neighbouring aggregate makes new ones.
    for i in 0..n {
        if aggregate[i] == FREE && neighbours(i).next().is_some() {
            aggregate[i] = count;
            for j in neighbours(i) {
                if aggregate[j] == FREE {
                    aggregate[j] = count;
                }
            }
            count += 1;
        }
    }
    (aggregate, count as usize)
}
