//! A V-cycle on coarser and coarser grids of cells, after McAdams, Sifakis, Teran, "A parallel multigrid Poisson solver for fluids
//! simulation on large grids" (2010), with face areas in place of their classes of cells.
//!
//! A coarse cell unites up to 2 x 2 x 2 cells; it has an unknown if one of them is fluid. Between two coarse cells the conductance is
//! half the sum of those of the fine faces between them: the open area over the distance, which is twice as long. Towards air the
//! distance from the centre of a cell grows from 1 to 3/2, 5/2, 9/2, ... fine cells, and the conductance falls accordingly.
//!
//! Values are interpolated trilinearly between the centres of cells; where a neighbour is solid or behind a wall its weight goes to the
//! parent (so that constants stay constants), where it is air its value is zero. Restriction is the transpose.
//!
//! All of it is in single precision, on residuals scaled to unit length: it is an approximate inverse, and half the memory to move.

use faer::Mat;
use pulp::Arch;
use rayon::prelude::*;

use super::super::LinearError;
use super::super::conjugate_gradient::Preconditioner;
use super::super::grid::{Cell, Outside, PressureGrid};
use super::super::vector::{CHUNK, norm};
use super::{chebyshev_steps, pseudo_inverse};

/// Grids of at most this many cells are solved directly.
const COARSEST: usize = 128;

/// The part of the spectrum of `D⁻¹ A`, which lies in [0, 2], that is smoothed.
const SMOOTHED: [f64; 2] = [0.3, 2.0];

/// Weights of the interpolation, in 64ths: the parent and its neighbours along one, two and three axes.
const WEIGHTS: [u8; 4] = [27, 9, 3, 1];

/// What a cell is to the interpolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Unknown,
    Solid,
    Air,
}

/// The matrix of a level, and its vectors.
#[derive(Debug)]
struct Level {
    extents: [usize; 3],
    /// Zero where there is no unknown.
    diagonal: Vec<f32>,
    /// Conductances of each cell to the next along each axis; on the finest level all are one.
    conductances: Option<[Vec<f32>; 3]>,
    /// For the interpolation from the next coarser level: the weight, in 64ths, that goes back to the parent.
    folded: Vec<u8>,
    right_side: Vec<f32>,
    values: Vec<f32>,
    spare: Vec<f32>,
}

/// The preconditioner.
#[derive(Debug)]
pub(crate) struct VCycle {
    levels: Vec<Level>,
    steps: Vec<f32>,
    /// Unknowns of the coarsest level and the pseudo-inverse of its matrix.
    coarsest: (Vec<u32>, Vec<f32>),
}

impl VCycle {
    /// Coarsens a grid; `smoothing` is the degree of the smoother.
    ///
    /// # Errors
    /// [`LinearError::Breakdown`] if the coarsest matrix is not finite.
    pub(crate) fn new(grid: &PressureGrid, smoothing: usize) -> Result<Self, LinearError> {
        let mut builder = Builder::finest(grid);
        let mut levels = Vec::new();
        while builder.kinds.len() > COARSEST && builder.extents.iter().any(|&n| n > 1) {
            let coarser = builder.coarsen(levels.len());
            levels.push(builder.level(Some(&coarser), levels.is_empty()));
            builder = coarser;
        }
        let coarsest = builder.inverse()?;
        levels.push(builder.level(None, levels.is_empty()));
        let steps = chebyshev_steps(smoothing, SMOOTHED[0], SMOOTHED[1]).iter().map(|&s| s as f32).collect();
        Ok(VCycle { levels, steps, coarsest })
    }

    /// The number of levels.
    pub(crate) fn levels(&self) -> usize {
        self.levels.len()
    }

    fn cycle(levels: &mut [Level], steps: &[f32], coarsest: &(Vec<u32>, Vec<f32>)) {
        let Some((level, coarser)) = levels.split_first_mut() else { return };
        let Some(next) = coarser.first_mut() else {
            return solve_coarsest(level, coarsest);
        };
        level.first_step(steps[0]);
        steps[1..].iter().for_each(|&step| level.step(step));
        level.residual();
        level.restrict_to(next);
        Self::cycle(coarser, steps, coarsest);
        level.add_interpolated(&coarser[0]);
        // The steps commute, so the same order after as before leaves the cycle symmetric.
        steps.iter().for_each(|&step| level.step(step));
    }
}

impl Preconditioner for VCycle {
    fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        let length = norm(r);
        if !(length > 0.0 && length.is_finite()) {
            z.fill(0.0);
            return;
        }
        let scale = 1.0 / length;
        let finest = &mut self.levels[0];
        finest.right_side.par_chunks_mut(CHUNK).zip(r.par_chunks(CHUNK)).for_each(|(single, r)| {
            single.iter_mut().zip(r).for_each(|(single, r)| *single = (r * scale) as f32);
        });
        Self::cycle(&mut self.levels, &self.steps, &self.coarsest);
        let values = &self.levels[0].values;
        z.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(z, single)| {
            z.iter_mut().zip(single).for_each(|(z, single)| *z = f64::from(*single) * length);
        });
    }
}

fn solve_coarsest(level: &mut Level, (unknowns, inverse): &(Vec<u32>, Vec<f32>)) {
    let n = unknowns.len();
    level.values.fill(0.0);
    for (i, &unknown) in unknowns.iter().enumerate() {
        let row = &inverse[i * n..][..n];
        level.values[unknown as usize] =
            row.iter().zip(unknowns).map(|(a, &j)| a * level.right_side[j as usize]).sum();
    }
}

impl Level {
    /// `x = ω D⁻¹ b`: a step from zero.
    fn first_step(&mut self, step: f32) {
        let Level { values, right_side, diagonal, .. } = self;
        values
            .par_chunks_mut(CHUNK)
            .zip(right_side.par_chunks(CHUNK).zip(diagonal.par_chunks(CHUNK)))
            .for_each(|(x, (b, d))| {
                for i in 0..x.len() {
                    x[i] = step * b[i] * inverse(d[i]);
                }
            });
    }

    /// `x ← x + ω D⁻¹ (b - A x)`.
    fn step(&mut self, step: f32) {
        let mut target = std::mem::take(&mut self.spare);
        self.for_rows(&mut target, |x, sums, b, d, target| {
            for z in 0..target.len() {
                target[z] = x[z] + step * ((b[z] + sums[z]) * inverse(d[z]) - x[z]);
            }
        });
        self.spare = std::mem::replace(&mut self.values, target);
    }

    /// `b - A x`, into the spare vector.
    fn residual(&mut self) {
        let mut target = std::mem::take(&mut self.spare);
        self.for_rows(&mut target, |x, sums, b, d, target| {
            for z in 0..target.len() {
                // The sums are not zero at solid cells beside fluid ones.
                let value = b[z] + sums[z] - d[z] * x[z];
                target[z] = if d[z] > 0.0 { value } else { 0.0 };
            }
        });
        self.spare = target;
    }

    /// For each row of a target: `operation` on the row of values, of its neighbours' sums weighted by conductance, of the right side,
    /// of the diagonal, and of the target.
    fn for_rows(
        &self,
        target: &mut [f32],
        operation: impl Fn(&[f32], &[f32], &[f32], &[f32], &mut [f32]) + Sync,
    ) {
        let [nx, ny, nz] = self.extents;
        let arch = Arch::new();
        let zeros = vec![0_f32; nz];
        for_rows_of(target, nz, nz, |r, sums, target| {
            let (x, y) = (r / ny, r % ny);
            let rows = [
                (x > 0).then(|| r - ny),
                (x + 1 < nx).then(|| r + ny),
                (y > 0).then(|| r - 1),
                (y + 1 < ny).then(|| r + 1),
            ];
            let centre = &self.values[r * nz..][..nz];
            let across = rows.map(|r| r.map_or(zeros.as_slice(), |r| &self.values[r * nz..][..nz]));
            let (b, d) = (&self.right_side[r * nz..][..nz], &self.diagonal[r * nz..][..nz]);
            arch.dispatch(
                #[inline(always)]
                || {
                    match &self.conductances {
                        None => plain_sums(centre, across, sums),
                        Some([wx, wy, wz]) => {
                            let lower = [(wx, rows[0]), (wy, rows[2])]
                                .map(|(w, r)| r.map_or(zeros.as_slice(), |r| &w[r * nz..][..nz]));
                            let [upper_x, upper_y, along] = [wx, wy, wz].map(|w| &w[r * nz..][..nz]);
                            weighted_sums(
                                centre,
                                across,
                                [lower[0], upper_x, lower[1], upper_y],
                                along,
                                sums,
                            );
                        }
                    }
                    operation(centre, sums, b, d, target);
                },
            );
        });
    }

    /// The transpose of the interpolation, of the residual in the spare vector, into the coarser right side.
    fn restrict_to(&self, coarser: &mut Level) {
        let [nx, ny, nz] = self.extents;
        let [_, cy, cz] = coarser.extents;
        let arch = Arch::new();
        let diagonal = &coarser.diagonal;
        let padded = 2 * cz;
        for_rows_of(&mut coarser.right_side, cz, 2 * padded + 2, |r, scratch, target| {
            let (x, y) = (r / cy, r % cy);
            // The rows of the children and of their neighbours, united with weights 1 3 3 1 along both axes, in 16ths.
            scratch.fill(0.0);
            let (united, returned) = scratch.split_at_mut(padded + 2);
            for i in 0..4 {
                let Some(fx) = (2 * x + i).checked_sub(1).filter(|&fx| fx < nx) else { continue };
                for j in 0..4 {
                    let Some(fy) = (2 * y + j).checked_sub(1).filter(|&fy| fy < ny) else { continue };
                    let weight = [1.0, 3.0, 3.0, 1.0][i] * [1.0, 3.0, 3.0, 1.0][j] / 64.0;
                    let start = (fx * ny + fy) * nz;
                    let fine = &self.spare[start..start + nz];
                    let folded = &self.folded[start..start + nz];
                    let child = (1..3).contains(&i) && (1..3).contains(&j);
                    arch.dispatch(
                        #[inline(always)]
                        || {
                            united[1..=nz].iter_mut().zip(fine).for_each(|(u, f)| *u += weight * f);
                            if child && folded.iter().any(|&weight| weight > 0) {
                                for z in 0..nz {
                                    returned[z] += f32::from(folded[z]) / 64.0 * fine[z];
                                }
                            }
                        },
                    );
                }
            }
            let d = &diagonal[r * cz..][..cz];
            for z in 0..cz {
                let u = &united[2 * z..2 * z + 4];
                let sum = u[0] + 3.0 * (u[1] + u[2]) + u[3] + returned[2 * z] + returned[2 * z + 1];
                target[z] = if d[z] > 0.0 { sum } else { 0.0 };
            }
        });
    }

    /// Adds the coarser values, interpolated.
    fn add_interpolated(&mut self, coarser: &Level) {
        let [_, ny, nz] = self.extents;
        let [cx, cy, cz] = coarser.extents;
        let Level { values, diagonal, folded, .. } = self;
        let arch = Arch::new();
        for_rows_of(values, nz, 3 * cz + 2, |r, scratch, target| {
            let (x, y) = (r / ny, r % ny);
            let rows = |fine: usize, count: usize| {
                let parent = fine / 2;
                let other = if fine.is_multiple_of(2) { parent.checked_sub(1) } else { Some(parent + 1) };
                (parent, other.filter(|&other| other < count))
            };
            let ((px, ox), (py, oy)) = (rows(x, cx), rows(y, cy));
            let coarse_row = |x: usize, y: usize| &coarser.values[(x * cy + y) * cz..][..cz];
            let (d, folded) = (&diagonal[r * nz..][..nz], &folded[r * nz..][..nz]);
            let (united, fine) = scratch.split_at_mut(cz + 2);
            arch.dispatch(
                #[inline(always)]
                || {
                    united.fill(0.0);
                    let mut unite = |weight: f32, row: &[f32]| {
                        united[1..=cz].iter_mut().zip(row).for_each(|(u, c)| *u += weight / 64.0 * c);
                    };
                    let parent = coarse_row(px, py);
                    unite(9.0, parent);
                    if let Some(ox) = ox {
                        unite(3.0, coarse_row(ox, py));
                    }
                    if let Some(oy) = oy {
                        unite(3.0, coarse_row(px, oy));
                    }
                    if let (Some(ox), Some(oy)) = (ox, oy) {
                        unite(1.0, coarse_row(ox, oy));
                    }
                    for (pair, u) in fine.chunks_exact_mut(2).zip(united.windows(3)) {
                        pair[0] = 3.0 * u[1] + u[0];
                        pair[1] = 3.0 * u[1] + u[2];
                    }
                    if folded.iter().any(|&weight| weight > 0) {
                        for z in 0..nz {
                            fine[z] += f32::from(folded[z]) / 64.0 * parent[z / 2];
                        }
                    }
                    for z in 0..nz {
                        target[z] += if d[z] > 0.0 { fine[z] } else { 0.0 };
                    }
                },
            );
        });
    }
}

/// Calls `operation` for each row of `nz` entries with its number, scratch memory of a given length (not cleared) and the row of the
/// target, many rows to a task.
fn for_rows_of(
    target: &mut [f32],
    nz: usize,
    scratch: usize,
    operation: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let rows_a_chunk = (CHUNK / nz).max(1);
    target.par_chunks_mut(rows_a_chunk * nz).enumerate().for_each_init(
        || vec![0_f32; scratch],
        |scratch, (chunk, target)| {
            for (r, target) in (chunk * rows_a_chunk..).zip(target.chunks_exact_mut(nz)) {
                operation(r, scratch, target);
            }
        },
    );
}

#[inline(always)]
fn inverse(d: f32) -> f32 {
    if d > 0.0 { 1.0 / d } else { 0.0 }
}

/// The sum of the six neighbours of each cell of a row.
#[inline(always)]
fn plain_sums(centre: &[f32], across: [&[f32]; 4], sums: &mut [f32]) {
    let n = sums.len();
    let [a, b, c, d] = across.map(|row| &row[..n]);
    for z in 0..n {
        sums[z] = a[z] + b[z] + c[z] + d[z];
    }
    for z in 1..n {
        sums[z] += centre[z - 1];
    }
    for z in 0..n - 1 {
        sums[z] += centre[z + 1];
    }
}

/// The same, each neighbour times its conductance.
#[inline(always)]
fn weighted_sums(centre: &[f32], across: [&[f32]; 4], weights: [&[f32]; 4], along: &[f32], sums: &mut [f32]) {
    let n = sums.len();
    let [a, b, c, d] = across.map(|row| &row[..n]);
    let [wa, wb, wc, wd] = weights.map(|row| &row[..n]);
    for z in 0..n {
        sums[z] = wa[z] * a[z] + wb[z] * b[z] + wc[z] * c[z] + wd[z] * d[z];
    }
    for z in 1..n {
        sums[z] += along[z - 1] * centre[z - 1];
    }
    for z in 0..n - 1 {
        sums[z] += along[z] * centre[z + 1];
    }
}

/// A level while the grid is coarsened.
struct Builder {
    extents: [usize; 3],
    outside: [[Outside; 2]; 3],
    kinds: Vec<Kind>,
    /// To the next cell along each axis.
    conductances: [Vec<f32>; 3],
    /// To air, in all directions together.
    to_air: Vec<f32>,
}

impl Builder {
    fn finest(grid: &PressureGrid) -> Self {
        let extents = grid.extents();
        let n = grid.cells().len();
        let strides = [extents[1] * extents[2], extents[2], 1];
        let conductances = [0, 1, 2].map(|axis| {
            (0..n)
                .into_par_iter()
                .map(|i| {
                    let inside = i / strides[axis] % extents[axis] + 1 < extents[axis];
                    let open = inside && grid.is_fluid(i) && grid.is_fluid(i + strides[axis]);
                    f32::from(u8::from(open))
                })
                .collect()
        });
        let kinds = grid.cells().par_iter().map(|cell| match cell {
            Cell::Fluid => Kind::Unknown,
            Cell::Solid => Kind::Solid,
            Cell::Air => Kind::Air,
        });
        let to_air = (0..n)
            .into_par_iter()
            .map(|i| if grid.is_fluid(i) { f32::from(grid.faces_to_air(i)) } else { 0.0 });
        Builder {
            extents,
            outside: grid.spatial_outside(),
            kinds: kinds.collect(),
            conductances,
            to_air: to_air.collect(),
        }
    }

    /// The next coarser level; `depth` is 0 for the finest.
    fn coarsen(&self, depth: usize) -> Builder {
        let fine = self.extents;
        let extents = fine.map(|n| n.div_ceil(2));
        let n: usize = extents.iter().product();
        // Distances from a cell's centre to the air beyond its face: 2^depth / 2 + 1/2 fine cells.
        let distance = |depth: usize| (2_f32.powi(depth as i32) + 1.0) / 2.0;
        let towards_air = distance(depth) / distance(depth + 1);
        let children = |i: usize| {
            let place = [i / (extents[1] * extents[2]), i / extents[2] % extents[1], i % extents[2]];
            (0..8).filter_map(move |k| {
                let child = [2 * place[0] + k / 4, 2 * place[1] + k / 2 % 2, 2 * place[2] + k % 2];
                let inside = (0..3).all(|axis| child[axis] < fine[axis]);
                inside.then_some((
                    (child[0] * fine[1] + child[1]) * fine[2] + child[2],
                    [k / 4, k / 2 % 2, k % 2],
                ))
            })
        };
        let conductances = [0, 1, 2].map(|axis| {
            (0..n)
                .into_par_iter()
                .map(|i| {
                    // Only the upper children touch the next coarse cell.
                    let upper = children(i).filter(|(_, side)| side[axis] == 1);
                    upper.map(|(child, _)| self.conductances[axis][child]).sum::<f32>() / 2.0
                })
                .collect::<Vec<f32>>()
        });
        let to_air: Vec<f32> = (0..n)
            .into_par_iter()
            .map(|i| children(i).map(|(child, _)| self.to_air[child]).sum::<f32>() * towards_air)
            .collect();
        let kinds = (0..n).into_par_iter().map(|i| {
            let has = |kind| children(i).any(|(child, _)| self.kinds[child] == kind);
            if has(Kind::Unknown) {
                Kind::Unknown
            } else if has(Kind::Air) {
                Kind::Air
            } else {
                Kind::Solid
            }
        });
        Builder { extents, outside: self.outside, kinds: kinds.collect(), conductances, to_air }
    }

    fn level(&self, coarser: Option<&Builder>, finest: bool) -> Level {
        let n = self.kinds.len();
        Level {
            extents: self.extents,
            diagonal: self.diagonal(),
            conductances: (!finest).then(|| self.conductances.clone()),
            folded: coarser.map_or(Vec::new(), |coarser| self.folded(coarser)),
            right_side: vec![0.0; n],
            values: vec![0.0; n],
            spare: vec![0.0; n],
        }
    }

    fn diagonal(&self) -> Vec<f32> {
        let [_, ny, nz] = self.extents;
        let strides = [ny * nz, nz, 1];
        (0..self.kinds.len())
            .into_par_iter()
            .map(|i| {
                let mut sum = self.to_air[i];
                for (conductances, stride) in self.conductances.iter().zip(strides) {
                    // Conductances across the upper border are zero, so a row's last cell gives nothing to the next row's first.
                    sum += conductances[i] + if i >= stride { conductances[i - stride] } else { 0.0 };
                }
                sum
            })
            .collect()
    }

    /// The weights, in 64ths, of coarse neighbours that are solid or behind a wall.
    fn folded(&self, coarser: &Builder) -> Vec<u8> {
        let [_, ny, nz] = self.extents;
        let coarse = coarser.extents;
        (0..self.kinds.len())
            .into_par_iter()
            .map(|i| {
                if self.kinds[i] != Kind::Unknown {
                    return 0;
                }
                let place = [i / (ny * nz), i / nz % ny, i % nz];
                let mut sum = 0;
                for k in 1..8_usize {
                    let steps = [k / 4, k / 2 % 2, k % 2];
                    let mut neighbour = Some(0);
                    let mut beyond_open = false;
                    for axis in 0..3 {
                        let parent = place[axis] / 2;
                        let at = match (steps[axis], place[axis] % 2) {
                            (0, _) => Some(parent),
                            (_, 0) => parent.checked_sub(1),
                            _ => Some(parent + 1).filter(|&at| at < coarse[axis]),
                        };
                        if at.is_none() {
                            beyond_open |= self.outside[axis][place[axis] % 2] == Outside::Open;
                        }
                        neighbour = neighbour.zip(at).map(|(index, at)| index * coarse[axis] + at);
                    }
                    let fold = match neighbour {
                        Some(j) => coarser.kinds[j] == Kind::Solid,
                        None => !beyond_open,
                    };
                    if fold {
                        sum += WEIGHTS[steps.iter().sum::<usize>()];
                    }
                }
                sum
            })
            .collect()
    }

    /// The unknowns, and the pseudo-inverse of the matrix.
    fn inverse(&self) -> Result<(Vec<u32>, Vec<f32>), LinearError> {
        let diagonal = self.diagonal();
        let unknowns: Vec<u32> = (0..diagonal.len() as u32).filter(|&i| diagonal[i as usize] > 0.0).collect();
        let [_, ny, nz] = self.extents;
        let strides = [ny * nz, nz, 1];
        let n = unknowns.len();
        let mut matrix = Mat::<f64>::zeros(n, n);
        for (a, &i) in unknowns.iter().enumerate() {
            let i = i as usize;
            matrix[(a, a)] = f64::from(diagonal[i]);
            for (conductances, stride) in self.conductances.iter().zip(strides) {
                if conductances[i] > 0.0
                    && let Ok(b) = unknowns.binary_search(&((i + stride) as u32))
                {
                    matrix[(a, b)] = -f64::from(conductances[i]);
                    matrix[(b, a)] = -f64::from(conductances[i]);
                }
            }
        }
        let inverse = pseudo_inverse(&matrix, 1e-6)?;
        Ok((unknowns, inverse.into_iter().map(|v| v as f32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::{Load, SymmetricOperator};

    /// A plain trilinear interpolation with folding, cell by cell.
    fn plain_interpolation(fine: &Builder, coarser: &Builder, values: &[f32]) -> Vec<f64> {
        let [_, ny, nz] = fine.extents;
        let [cx, cy, cz] = coarser.extents.map(|n| n as i64);
        let fine_diagonal = fine.diagonal();
        let mut result = vec![0.0; fine.kinds.len()];
        for i in 0..result.len() {
            if fine_diagonal[i] == 0.0 {
                continue;
            }
            let place = [i / (ny * nz), i / nz % ny, i % nz].map(|p| p as i64);
            let parent = place.map(|p| p / 2);
            let value = |at: [i64; 3]| f64::from(values[((at[0] * cy + at[1]) * cz + at[2]) as usize]);
            for k in 0..8 {
                let steps = [k / 4, k / 2 % 2, k % 2];
                let mut at = parent;
                let mut weight = 1.0;
                let mut wall = false;
                let mut open = false;
                for axis in 0..3 {
                    weight *= if steps[axis] == 1 { 0.25 } else { 0.75 };
                    at[axis] += steps[axis] * if place[axis] % 2 == 0 { -1 } else { 1 };
                    let count = [cx, cy, cz][axis];
                    if at[axis] < 0 || at[axis] >= count {
                        match fine.outside[axis][usize::from(at[axis] >= count)] {
                            Outside::Open => open = true,
                            Outside::Closed => wall = true,
                        }
                    }
                }
                result[i] += weight
                    * match () {
                        () if open => 0.0,
                        () if wall => value(parent),
                        () => match coarser.kinds[((at[0] * cy + at[1]) * cz + at[2]) as usize] {
                            Kind::Unknown => value(at),
                            Kind::Solid => value(parent),
                            Kind::Air => 0.0,
                        },
                    };
            }
        }
        result
    }

    #[test]
    fn interpolation_is_trilinear_and_restriction_its_transpose() {
        for (shape, outside) in
            [([7, 6, 9], Outside::Open), ([6, 8, 5], Outside::Closed), ([1, 12, 11], Outside::Closed)]
        {
            let cells = crate::linear::grid::ball(&shape).unwrap();
            let grid =
                PressureGrid::new(&shape, cells, &[[outside, Outside::Open], [outside; 2], [outside; 2]])
                    .unwrap();
            let fine = Builder::finest(&grid);
            let coarse = fine.coarsen(0);
            let (mut level, mut next) = (fine.level(Some(&coarse), true), coarse.level(None, false));
            for (i, (value, d)) in next.values.iter_mut().zip(&next.diagonal).enumerate() {
                *value = if *d > 0.0 { (0.9 * i as f32).sin() } else { 0.0 };
            }
            level.values.fill(0.0);
            level.add_interpolated(&next);
            let expected = plain_interpolation(&fine, &coarse, &next.values);
            for (found, expected) in level.values.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6);
            }
            for (i, (value, d)) in level.spare.iter_mut().zip(&level.diagonal).enumerate() {
                *value = if *d > 0.0 { (1.3 * i as f32).cos() } else { 0.0 };
            }
            level.restrict_to(&mut next);
            let left: f64 = level.spare.iter().zip(&expected).map(|(a, b)| f64::from(*a) * b).sum();
            let right: f64 =
                next.right_side.iter().zip(&next.values).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((left - right).abs() < 1e-4, "{left} {right}");
        }
    }

    #[test]
    fn steps_are_those_of_the_grid_matrix() {
        let grid = PressureGrid::around_ball(&[9, 8, 10], Outside::Open).unwrap();
        let builder = Builder::finest(&grid);
        let coarse = builder.coarsen(0);
        // The conductances of the finest level, written out, give the same matrix as the plain sums.
        for finest in [true, false] {
            let mut level = builder.level(Some(&coarse), finest);
            let b = grid.right_side(Load::WhiteNoise, 1);
            let x = grid.right_side(Load::WhiteNoise, 2);
            level.right_side.iter_mut().zip(&b).for_each(|(s, b)| *s = *b as f32);
            level.values.iter_mut().zip(&x).for_each(|(s, x)| *s = *x as f32);
            level.residual();
            let mut product = vec![0.0; x.len()];
            grid.apply(&x, &mut product);
            for i in 0..x.len() {
                assert!((f64::from(level.spare[i]) - (b[i] - product[i])).abs() < 1e-5);
            }
            level.step(0.7);
            for i in 0..x.len() {
                let d = grid.diagonal_bytes()[i];
                let moved = if d > 0 { x[i] + 0.7 * (b[i] - product[i]) / f64::from(d) } else { 0.0 };
                assert!((f64::from(level.values[i]) - moved).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn cycles_are_symmetric() {
        for outside in [Outside::Open, Outside::Closed] {
            let grid = PressureGrid::around_ball(&[17, 12, 15], outside).unwrap();
            let mut cycle = VCycle::new(&grid, 2).unwrap();
            let (a, b) = (grid.right_side(Load::WhiteNoise, 1), grid.right_side(Load::WhiteNoise, 2));
            let (mut za, mut zb) = (vec![0.0; a.len()], vec![0.0; a.len()]);
            cycle.apply(&a, &mut za);
            cycle.apply(&b, &mut zb);
            let dot = crate::linear::vector::dot;
            let (left, right) = (dot(&za, &b), dot(&a, &zb));
            assert!((left - right).abs() < 1e-4 * dot(&za, &a), "{left} {right}");
            assert!(dot(&za, &a) > 0.0);
        }
    }
}
