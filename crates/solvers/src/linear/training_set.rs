//! Right sides to train the network of deep conjugate directions with: Kaneda et al. (ICML 2023), section 4 and the released
//! data-set program.
//!
//! 1. `m` steps of Lanczos with full re-orthogonalisation from `v = A w`, `w` standard normal (so that `v` lies in the range):
//!    orthonormal rows `W`, tridiagonal `T`.
//! 2. `T = Q diag(ρ) Qᵀ`, ascending; the Ritz vectors are the rows of `Qᵀ W`; those with `ρ < 1e-8` are dropped.
//! 3. Each training vector is `b = Σ_j c_j q_j / ‖Σ_j c_j q_j‖` with `c_j ~ N(0, 1)`, nine times as large for the first
//!    `m/2 + θ` Ritz vectors that remain: the smooth modes, which conjugate gradients resolve last.
//!
//! Departures: float64 until the vectors are stored; a Lanczos process that has exhausted the space stops early with a note. For
//! the empty box [`box_training_set`] takes exact eigenvectors, products of sines and cosines, in place of Ritz vectors.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use mathesis_algebra::random::Sequence;
use mathesis_algebra::tensor::Tensor;
use rayon::prelude::*;

use super::LinearError;
use super::grid::{Outside, PressureGrid};
use super::lanczos::Lanczos;
use super::operator::SymmetricOperator;

/// Training vectors that are combined at a time.
const BATCH: usize = 64;

/// How a training set is made.
#[derive(Clone, Debug, PartialEq)]
pub struct RitzOptions {
    /// Lanczos vectors `m` (the paper: 10 000).
    pub lanczos_vectors: usize,
    /// Training vectors (the paper: 20 000).
    pub vectors: usize,
    /// `θ`: Ritz vectors beyond the lower half that are weighted as the lower half (the paper: 500).
    pub overlap: usize,
    /// Bytes that may be used at most.
    pub memory: u64,
}

impl Default for RitzOptions {
    /// A size for small grids: 500 Lanczos vectors, 2000 training vectors, an overlap of 25, 8 GB.
    fn default() -> Self {
        RitzOptions { lanczos_vectors: 500, vectors: 2000, overlap: 25, memory: 8_000_000_000 }
    }
}

/// Unit vectors on a grid.
#[derive(Clone, Debug)]
pub struct TrainingSet {
    /// One vector after another, each with one entry for every cell of the grid in C order.
    pub values: Vec<f32>,
    /// Entries of a vector: cells of the grid.
    pub dimension: usize,
    /// The Ritz values or eigenvalues of the modes that the vectors are made of, ascending.
    pub spectrum: Vec<f64>,
    /// Remarks.
    pub notes: Vec<String>,
}

impl TrainingSet {
    /// The number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimension.max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A vector.
    pub fn vector(&self, index: usize) -> &[f32] {
        &self.values[index * self.dimension..][..self.dimension]
    }
}

/// Random combinations of the Ritz vectors of a grid's matrix.
///
/// # Errors
/// [`LinearError::Option`] if a number is zero, [`LinearError::Memory`] if more memory would be needed than is allowed.
pub fn ritz_training_set(
    grid: &PressureGrid,
    options: &RitzOptions,
    seed: u64,
) -> Result<TrainingSet, LinearError> {
    let n = grid.dimension();
    let steps = options.lanczos_vectors.min(n);
    check(options, n, steps as u64 * (n + 3 * steps) as u64)?;
    let mut normal = Sequence::new(seed);
    let w: Vec<f64> = (0..n).map(|i| if grid.is_fluid(i) { normal.normal() } else { 0.0 }).collect();
    let mut start = vec![0.0; n];
    grid.apply(&w, &mut start);
    let lanczos = Lanczos::run(grid, &start, steps);
    let m = lanczos.len();
    let (ritz_values, q) = lanczos.eigenpairs()?;

    let mut notes = Vec::new();
    if m < options.lanczos_vectors {
        notes.push(format!("the Lanczos process has exhausted the space after {m} vectors"));
    }
    let dropped = ritz_values.iter().take_while(|&&rho| rho < 1e-8).count();
    if dropped > 0 {
        notes.push(format!("Ritz vectors left out because their values are below 1e-8: {dropped}"));
    }
    // The combination Σ_j c_j q_j = Wᵀ (Q c): the Ritz vectors themselves are never formed.
    let spectrum = ritz_values[dropped..].to_vec();
    let q = q.get(.., dropped..);
    let emphasised = m / 2 + options.overlap;
    let mut values = vec![0_f32; options.vectors * n];
    for output in values.chunks_mut(BATCH * n) {
        let count = output.len() / n;
        let coefficients = draw(spectrum.len(), count, emphasised, &mut normal);
        let mut in_lanczos = Mat::zeros(m, count);
        matmul(in_lanczos.as_mut(), Accum::Replace, q, &coefficients, 1.0, Par::rayon(0));
        let mut combined = Mat::zeros(n, count);
        matmul(combined.as_mut(), Accum::Replace, lanczos.vectors(), &in_lanczos, 1.0, Par::rayon(0));
        store_units(combined.as_ref(), output);
    }
    Ok(TrainingSet { values, dimension: n, spectrum, notes })
}

/// Random combinations of exact eigenvectors of a grid without obstacles: a documented substitute for Ritz vectors that needs no
/// memory for a basis.
///
/// `lanczos_vectors` eigenvectors are chosen as Lanczos would find them, densest at both ends of the spectrum: those with
/// eigenvalues next to `λ_min + (λ_max - λ_min) (1 - cos(π (j + ½)/m))/2`. Their coefficients are weighted as for Ritz vectors.
///
/// # Errors
/// As [`ritz_training_set`], and [`LinearError::NotApplicable`] if a cell is not fluid.
pub fn box_training_set(
    shape: &[usize],
    outside: &[[Outside; 2]],
    options: &RitzOptions,
    seed: u64,
) -> Result<TrainingSet, LinearError> {
    let cells = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n)).unwrap_or(usize::MAX);
    let grid_error = || LinearError::Extents { found: format!("{shape:?}") };
    if !matches!(shape.len(), 2 | 3) || cells == 0 || cells >= 1 << 31 {
        return Err(grid_error());
    }
    if outside.len() != shape.len() {
        return Err(LinearError::Length {
            what: "the list of outer faces",
            expected: shape.len(),
            found: outside.len(),
        });
    }
    check(options, cells, 4 * cells as u64)?;
    let axes: Vec<(Vec<f64>, Mat<f64>)> =
        shape.iter().zip(outside).map(|(&n, &faces)| axis_modes(n, faces)).collect::<Result<_, _>>()?;

    // All modes, ascending; the constant of a closed box is not in the range and left out.
    let mut modes: Vec<(f64, usize)> = (0..cells)
        .map(|mode| {
            let (mut rest, mut sum) = (mode, 0.0);
            for (axis, &n) in axes.iter().zip(shape).rev() {
                sum += axis.0[rest % n];
                rest /= n;
            }
            (sum, mode)
        })
        .filter(|&(value, _)| value >= 1e-8)
        .collect();
    modes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let modes = nearest_to_both_ends(&modes, options.lanczos_vectors);

    let mut normal = Sequence::new(seed);
    let emphasised = modes.len() / 2 + options.overlap;
    let mut values = vec![0_f32; options.vectors * cells];
    for output in values.chunks_mut(cells) {
        let coefficients = draw(modes.len(), 1, emphasised, &mut normal);
        let mut spectrum = vec![0.0; cells];
        for (j, &(_, mode)) in modes.iter().enumerate() {
            spectrum[mode] = coefficients[(j, 0)];
        }
        let mut tensor = Tensor::new(shape.to_vec(), spectrum);
        for (k, (_, vectors)) in axes.iter().enumerate() {
            tensor = tensor.mode_product(k, vectors.as_ref(), Par::rayon(0));
        }
        store_units(MatRef::from_column_major_slice(tensor.values(), cells, 1), output);
    }
    let spectrum = modes.iter().map(|&(value, _)| value).collect();
    Ok(TrainingSet { values, dimension: cells, spectrum, notes: Vec::new() })
}

/// Refuses empty sets and too large ones; `work` numbers are held beside the set itself.
fn check(options: &RitzOptions, dimension: usize, work: u64) -> Result<(), LinearError> {
    for (key, value) in [("lanczos-vectors", options.lanczos_vectors), ("training-vectors", options.vectors)]
    {
        if value == 0 {
            return Err(LinearError::Option { key, message: "must be at least 1".into() });
        }
    }
    let set = 4 * options.vectors as u64 * dimension as u64;
    let batch = 8 * BATCH as u64 * dimension as u64;
    let needed = set + batch + 8 * work;
    if needed > options.memory {
        return Err(LinearError::Memory {
            what: format!(
                "a training set of {} vectors from {} Lanczos vectors on {dimension} cells",
                options.vectors, options.lanczos_vectors
            ),
            needed,
            allowed: options.memory,
        });
    }
    Ok(())
}

/// Columns of normal coefficients, nine times as large for the first `emphasised` modes.
fn draw(modes: usize, count: usize, emphasised: usize, normal: &mut Sequence) -> Mat<f64> {
    let mut coefficients = Mat::zeros(modes, count);
    for k in 0..count {
        for j in 0..modes {
            coefficients[(j, k)] = if j < emphasised { 9.0 } else { 1.0 } * normal.normal();
        }
    }
    coefficients
}

/// Stores columns, scaled to unit length.
fn store_units(columns: MatRef<'_, f64>, output: &mut [f32]) {
    output.par_chunks_mut(columns.nrows()).enumerate().for_each(|(k, output)| {
        let column = columns.col(k);
        let length = column.norm_l2();
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        output.iter_mut().zip(column.iter()).for_each(|(out, value)| *out = (value * scale) as f32);
    });
}

/// Eigenvalues (ascending) and eigenvectors (columns) of the one-dimensional matrix along an axis.
fn axis_modes(n: usize, faces: [Outside; 2]) -> Result<(Vec<f64>, Mat<f64>), LinearError> {
    let mut matrix = Mat::<f64>::zeros(n, n);
    for i in 0..n {
        let lower = i > 0 || faces[0] == Outside::Open;
        let upper = i + 1 < n || faces[1] == Outside::Open;
        matrix[(i, i)] = f64::from(u8::from(lower)) + f64::from(u8::from(upper));
        if i > 0 {
            matrix[(i, i - 1)] = -1.0;
            matrix[(i - 1, i)] = -1.0;
        }
    }
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| LinearError::Breakdown("the eigenvalues along an axis are not finite".into()))?;
    Ok(((0..n).map(|i| eigen.S().column_vector()[i]).collect(), eigen.U().to_owned()))
}

/// At most `count` of the ascending modes, each once, as dense towards both ends as the points of Chebyshev.
fn nearest_to_both_ends(modes: &[(f64, usize)], count: usize) -> Vec<(f64, usize)> {
    let (Some(first), Some(last)) = (modes.first(), modes.last()) else { return Vec::new() };
    let count = count.min(modes.len());
    let mut chosen = Vec::with_capacity(count);
    let mut next = 0;
    for j in 0..count {
        let angle = std::f64::consts::PI * (j as f64 + 0.5) / count as f64;
        let target = first.0 + (last.0 - first.0) * (1.0 - angle.cos()) / 2.0;
        // Enough modes must stay for the targets to come.
        let latest = modes.len() - (count - j);
        let place = next + modes[next..=latest].partition_point(|mode| mode.0 < target);
        let place = place.min(latest);
        chosen.push(modes[place]);
        next = place + 1;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::vector::norm;

    fn single(set: &TrainingSet, index: usize) -> Vec<f64> {
        set.vector(index).iter().map(|&v| f64::from(v)).collect()
    }

    #[test]
    fn ritz_values_of_the_whole_space_are_the_eigenvalues() {
        let outside = [[Outside::Open; 2], [Outside::Open, Outside::Closed], [Outside::Open; 2]];
        let shape = [3, 4, 5];
        let grid = PressureGrid::new(&shape, vec![crate::linear::Cell::Fluid; 60], &outside).unwrap();
        let options = RitzOptions { lanczos_vectors: 100, vectors: 3, ..Default::default() };
        let ritz = ritz_training_set(&grid, &options, 1).unwrap();
        let exact = box_training_set(&shape, &outside, &options, 1).unwrap();
        // Lanczos finds each multiple eigenvalue once.
        for rho in &ritz.spectrum {
            assert!(exact.spectrum.iter().any(|value| (value - rho).abs() < 1e-9), "{rho}");
        }
        assert_eq!(exact.spectrum.len(), 60);
        assert_eq!((ritz.len(), exact.len()), (3, 3));
    }

    #[test]
    fn vectors_are_units_on_the_fluid_and_smooth() {
        let grid = PressureGrid::around_ball(&[12, 12, 12], Outside::Closed).unwrap();
        let options = RitzOptions { lanczos_vectors: 60, vectors: 5, overlap: 3, memory: 10_000_000 };
        let set = ritz_training_set(&grid, &options, 3).unwrap();
        for k in 0..5 {
            let b = single(&set, k);
            assert!((norm(&b) - 1.0).abs() < 1e-6);
            assert!((0..b.len()).all(|i| grid.is_fluid(i) || b[i] == 0.0));
            // In the range of the singular matrix: the mean vanishes.
            assert!(b.iter().sum::<f64>().abs() < 1e-4);
            let mut product = vec![0.0; b.len()];
            assert!(grid.apply_and_dot(&b, &mut product) < 6.0, "white noise has about 6");
        }
        assert_ne!(single(&set, 0), single(&set, 1));
        assert_eq!(ritz_training_set(&grid, &options, 3).unwrap().values, set.values);
    }

    #[test]
    fn a_set_beyond_the_memory_is_refused() {
        let grid = PressureGrid::empty(&[16, 16, 16], Outside::Open).unwrap();
        let options = RitzOptions { lanczos_vectors: 400, vectors: 10, overlap: 3, memory: 1_000_000 };
        let error = ritz_training_set(&grid, &options, 3).unwrap_err();
        assert!(matches!(error, LinearError::Memory { needed, .. } if needed > 8 * 400 * 4096), "{error}");
        let none = RitzOptions { vectors: 0, ..options };
        assert!(matches!(ritz_training_set(&grid, &none, 3), Err(LinearError::Option { .. })));
        assert!(box_training_set(&[4], &[[Outside::Open; 2]], &RitzOptions::default(), 0).is_err());
    }
}
