//! The pressure Poisson equation on a grid of fluid, solid and air cells, as in Kaneda et al., "A Deep Conjugate Direction Method
//! for Iteratively Solving Linear Systems" (ICML 2023), section 2.
//!
//! For a fluid cell `i`, over its neighbours `j` (six in space, four in the plane):
//!
//! ```text
//! (A p)_i = Σ_j  p_i - p_j   if j is fluid
//!                p_i         if j is air or an open outside (p = 0 there)
//!                0           if j is solid or a closed wall
//! ```
//!
//! The scale 1/h² is dropped. Rows and columns of other cells are zero; vectors keep one entry for every cell, zero there.
//! On a connected component of fluid that touches neither air nor an open outside, constants are mapped to zero.

use mathesis_algebra::random::Sequence;
use pulp::Arch;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::operator::{NullSpace, SymmetricOperator};
use super::vector::{CHUNK, dot_chunk};
use super::{Csr, LinearError};

/// What fills a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cell {
    /// Fluid: the pressure here is unknown.
    Fluid,
    /// Solid: nothing flows through its faces.
    Solid,
    /// Air: the pressure here is zero.
    Air,
}

/// What is beyond a face of the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// Air: pressure zero (Dirichlet).
    #[default]
    Open,
    /// A wall (Neumann).
    Closed,
}

/// The built-in right sides (minus the divergence of a velocity, or a test load).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Minus the divergence of a unit flow along the last axis that is cut to zero on the faces of solids and on closed walls.
    FlowPastObstacle,
    /// One at the fluid cell number ⌊n/3⌋ of n, zero elsewhere.
    PointSource,
    /// Independent standard normal numbers on the fluid cells.
    WhiteNoise,
}

/// The matrix of the pressure equation, never written out: one byte for each cell.
#[derive(Clone, Debug)]
pub struct PressureGrid {
    shape: Vec<usize>,
    /// The shape in space; a plane is one layer, its two axes the last ones, with closed walls before and behind.
    extents: [usize; 3],
    outside: [[Outside; 2]; 3],
    cells: Vec<Cell>,
    /// The matrix's diagonal; zero exactly on cells that are not fluid.
    diagonal: Vec<u8>,
    fluid_cells: usize,
    components: usize,
    null_space: NullSpace,
    notes: Vec<String>,
    /// One row of zeros: the neighbours of a row at the border.
    zeros: Vec<f64>,
}

impl PressureGrid {
    /// A grid of the given shape (two or three extents), its cells in C order (last axis fastest), and for each axis what is
    /// beyond its lower and its upper face.
    ///
    /// Fluid cells with no flow through any face become solid, with a note.
    ///
    /// # Errors
    /// [`LinearError`] if the shape is no grid, a list has the wrong length or no fluid cell is left.
    pub fn new(shape: &[usize], cells: Vec<Cell>, outside: &[[Outside; 2]]) -> Result<Self, LinearError> {
        let count = cell_count(shape)?;
        if cells.len() != count {
            return Err(LinearError::Length {
                what: "the list of cells",
                expected: count,
                found: cells.len(),
            });
        }
        if outside.len() != shape.len() {
            return Err(LinearError::Length {
                what: "the list of outer faces",
                expected: shape.len(),
                found: outside.len(),
            });
        }
        let (extents, outside) = match (shape, outside) {
            (&[x, y, z], &[a, b, c]) => ([x, y, z], [a, b, c]),
            _ => ([1, shape[0], shape[1]], [[Outside::Closed; 2], outside[0], outside[1]]),
        };
        let mut grid = PressureGrid {
            shape: shape.to_vec(),
            extents,
            outside,
            cells,
            diagonal: Vec::new(),
            fluid_cells: 0,
            components: 0,
            null_space: NullSpace::default(),
            notes: Vec::new(),
            zeros: vec![0.0; extents[2]],
        };
        grid.diagonal = grid.count_faces();
        grid.close_isolated_cells();
        grid.fluid_cells = grid.diagonal.par_iter().filter(|&&d| d > 0).count();
        if grid.fluid_cells == 0 {
            return Err(LinearError::Empty(": no cell of the grid is fluid with an open face"));
        }
        grid.find_components();
        Ok(grid)
    }

    /// A grid without obstacles, with the same outside on all faces.
    ///
    /// # Errors
    /// As [`PressureGrid::new`].
    pub fn empty(shape: &[usize], outside: Outside) -> Result<Self, LinearError> {
        let count = cell_count(shape)?;
        Self::new(shape, vec![Cell::Fluid; count], &vec![[outside; 2]; shape.len()])
    }

    /// A grid around a solid ball: cells whose centre is nearer than a fifth of the smallest extent to the grid's centre.
    ///
    /// # Errors
    /// As [`PressureGrid::new`].
    pub fn around_ball(shape: &[usize], outside: Outside) -> Result<Self, LinearError> {
        Self::new(shape, ball(shape)?, &vec![[outside; 2]; shape.len()])
    }

    /// The shape: two or three extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What is beyond the lower and the upper face of each axis.
    pub fn outside(&self) -> &[[Outside; 2]] {
        &self.outside[3 - self.shape.len()..]
    }

    /// The cells in C order.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The matrix's diagonal: zero exactly on the cells that are not fluid, at most 6.
    pub fn diagonal_bytes(&self) -> &[u8] {
        &self.diagonal
    }

    /// Whether the pressure of a cell (its index in C order) is unknown.
    pub fn is_fluid(&self, cell: usize) -> bool {
        self.diagonal[cell] > 0
    }

    /// The number of fluid cells: of unknowns.
    pub fn fluid_cells(&self) -> usize {
        self.fluid_cells
    }

    /// The number of connected components of the fluid.
    pub fn components(&self) -> usize {
        self.components
    }

    /// Remarks on the grid, such as cells that became solid.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Sets a vector to zero on the cells that are not fluid.
    ///
    /// # Panics
    /// If the vector has another length than there are cells.
    pub fn mask(&self, vector: &mut [f64]) {
        assert_eq!(vector.len(), self.diagonal.len());
        vector.par_chunks_mut(CHUNK).zip(self.diagonal.par_chunks(CHUNK)).for_each(|(values, diagonal)| {
            for (value, &d) in values.iter_mut().zip(diagonal) {
                if d == 0 {
                    *value = 0.0;
                }
            }
        });
    }

    /// A built-in right side; on components where the matrix is singular its mean is subtracted.
    pub fn right_side(&self, load: Load, seed: u64) -> Vec<f64> {
        let mut b = match load {
            Load::FlowPastObstacle => self.blocked_flow(),
            Load::PointSource => {
                let mut b = vec![0.0; self.cells.len()];
                let fluid = (0..self.cells.len()).filter(|&i| self.is_fluid(i)).nth(self.fluid_cells / 3);
                if let Some(cell) = fluid {
                    b[cell] = 1.0;
                }
                b
            }
            Load::WhiteNoise => {
                let mut normal = Sequence::new(seed);
                self.diagonal.iter().map(|&d| if d > 0 { normal.normal() } else { 0.0 }).collect()
            }
        };
        self.null_space.project(&mut b);
        b
    }

    /// The matrix of the fluid cells alone, and the cell of each of its rows.
    pub fn compressed(&self) -> (Csr, Vec<u32>) {
        let cells: Vec<u32> = (0..self.cells.len() as u32).filter(|&i| self.is_fluid(i as usize)).collect();
        let mut row_of = vec![u32::MAX; self.cells.len()];
        for (row, &cell) in cells.iter().enumerate() {
            row_of[cell as usize] = row as u32;
        }
        let mut starts = Vec::with_capacity(cells.len() + 1);
        starts.push(0);
        let mut columns = Vec::with_capacity(7 * cells.len());
        let mut values = Vec::with_capacity(7 * cells.len());
        for &cell in &cells {
            let mut neighbours = [None; 7];
            let place = self.place(cell as usize);
            for axis in 0..3 {
                neighbours[axis] = self.neighbour(place, axis, 0);
                neighbours[6 - axis] = self.neighbour(place, axis, 1);
            }
            for (k, neighbour) in neighbours.into_iter().enumerate() {
                if k == 3 {
                    columns.push(row_of[cell as usize]);
                    values.push(f64::from(self.diagonal[cell as usize]));
                } else if let Some(j) = neighbour.filter(|&j| self.is_fluid(j)) {
                    columns.push(row_of[j]);
                    values.push(-1.0);
                }
            }
            starts.push(columns.len());
        }
        (Csr::from_sorted_rows(cells.len(), starts, columns, values), cells)
    }

    /// The extents in space, the first one 1 for a plane.
    pub(super) fn extents(&self) -> [usize; 3] {
        self.extents
    }

    /// What is beyond the faces in space.
    pub(super) fn spatial_outside(&self) -> [[Outside; 2]; 3] {
        self.outside
    }

    /// Faces of a fluid cell to air or to an open outside.
    pub(super) fn faces_to_air(&self, cell: usize) -> u8 {
        let place = self.place(cell);
        let mut faces = 0;
        for axis in 0..3 {
            for side in 0..2 {
                faces += u8::from(match self.neighbour(place, axis, side) {
                    Some(j) => self.cells[j] == Cell::Air,
                    None => self.outside[axis][side] == Outside::Open,
                });
            }
        }
        faces
    }

    fn place(&self, cell: usize) -> [usize; 3] {
        let [_, ny, nz] = self.extents;
        [cell / (ny * nz), cell / nz % ny, cell % nz]
    }

    /// The neighbour along an axis, downwards (0) or upwards (1), if it is in the grid.
    fn neighbour(&self, mut place: [usize; 3], axis: usize, side: usize) -> Option<usize> {
        if side == 0 {
            place[axis] = place[axis].checked_sub(1)?;
        } else {
            place[axis] += 1;
            if place[axis] == self.extents[axis] {
                return None;
            }
        }
        let [_, ny, nz] = self.extents;
        Some((place[0] * ny + place[1]) * nz + place[2])
    }

    /// The diagonal: faces of each fluid cell that are not closed.
    fn count_faces(&self) -> Vec<u8> {
        (0..self.cells.len())
            .into_par_iter()
            .map(|cell| {
                if self.cells[cell] != Cell::Fluid {
                    return 0;
                }
                let place = self.place(cell);
                let mut faces = 0;
                for axis in 0..3 {
                    for side in 0..2 {
                        faces += u8::from(match self.neighbour(place, axis, side) {
                            Some(j) => self.cells[j] != Cell::Solid,
                            None => self.outside[axis][side] == Outside::Open,
                        });
                    }
                }
                faces
            })
            .collect()
    }

    fn close_isolated_cells(&mut self) {
        let mut isolated = 0;
        for (cell, &d) in self.cells.iter_mut().zip(&self.diagonal) {
            if *cell == Cell::Fluid && d == 0 {
                *cell = Cell::Solid;
                isolated += 1;
            }
        }
        if isolated > 0 {
            let (noun, verb) = if isolated == 1 { ("cell", "is") } else { ("cells", "are") };
            self.notes
                .push(format!("{isolated} fluid {noun} with no flow through any face {verb} taken as solid"));
        }
    }

    /// Flood fill; a component is singular if none of its cells touches air or an open outside.
    fn find_components(&mut self) {
        let mut labels = vec![NullSpace::NONE; self.cells.len()];
        let (mut sizes, mut singular) = (Vec::new(), Vec::new());
        let mut stack = Vec::new();
        for start in 0..self.cells.len() {
            if !self.is_fluid(start) || labels[start] != NullSpace::NONE {
                continue;
            }
            let label = sizes.len() as u32;
            let (mut size, mut closed) = (0, true);
            labels[start] = label;
            stack.push(start);
            while let Some(cell) = stack.pop() {
                size += 1;
                let place = self.place(cell);
                let mut fluid_faces = 0;
                for axis in 0..3 {
                    for side in 0..2 {
                        let Some(j) = self.neighbour(place, axis, side).filter(|&j| self.is_fluid(j)) else {
                            continue;
                        };
                        fluid_faces += 1;
                        if labels[j] == NullSpace::NONE {
                            labels[j] = label;
                            stack.push(j);
                        }
                    }
                }
                closed &= fluid_faces == self.diagonal[cell];
            }
            sizes.push(size);
            singular.push(closed);
        }
        self.components = sizes.len();
        self.null_space = NullSpace::new(labels, &sizes, &singular);
    }

    /// `b = -(w_{k+1} - w_k)` on fluid cells for face velocities `w` along the last axis: 1, but 0 on faces of solids and on
    /// closed walls.
    fn blocked_flow(&self) -> Vec<f64> {
        (0..self.cells.len())
            .into_par_iter()
            .map(|cell| {
                if !self.is_fluid(cell) {
                    return 0.0;
                }
                let place = self.place(cell);
                let face = |side: usize| {
                    let open = match self.neighbour(place, 2, side) {
                        Some(j) => self.cells[j] != Cell::Solid,
                        None => self.outside[2][side] == Outside::Open,
                    };
                    f64::from(u8::from(open))
                };
                face(0) - face(1)
            })
            .collect()
    }

    /// The product in chunks of rows, each followed by its share of `vectorᵀ A vector` if that is wanted.
    fn product(&self, vector: &[f64], product: &mut [f64], with_dot: bool) -> f64 {
        assert_eq!(vector.len(), self.diagonal.len());
        assert_eq!(product.len(), self.diagonal.len());
        let [nx, ny, nz] = self.extents;
        let rows_a_chunk = (CHUNK / nz).max(1);
        let arch = Arch::new();
        let row = |r: usize| &vector[r * nz..][..nz];
        let partial: Vec<f64> = product
            .par_chunks_mut(rows_a_chunk * nz)
            .enumerate()
            .map(|(chunk, product)| {
                let first = chunk * rows_a_chunk;
                let mut sum = 0.0;
                for (r, product) in (first..).zip(product.chunks_exact_mut(nz)) {
                    let (x, y) = (r / ny, r % ny);
                    let zeros = self.zeros.as_slice();
                    let across = [
                        if x > 0 { row(r - ny) } else { zeros },
                        if x + 1 < nx { row(r + ny) } else { zeros },
                        if y > 0 { row(r - 1) } else { zeros },
                        if y + 1 < ny { row(r + 1) } else { zeros },
                    ];
                    let diagonal = &self.diagonal[r * nz..][..nz];
                    sum += arch.dispatch(
                        #[inline(always)]
                        || {
                            stencil_row(diagonal, row(r), across, product);
                            if with_dot { dot_chunk(row(r), product) } else { 0.0 }
                        },
                    );
                }
                sum
            })
            .collect();
        partial.iter().sum()
    }
}

impl SymmetricOperator for PressureGrid {
    fn dimension(&self) -> usize {
        self.diagonal.len()
    }

    /// The vector must be zero on the cells that are not fluid; see [`PressureGrid::mask`].
    fn apply(&self, vector: &[f64], product: &mut [f64]) {
        self.product(vector, product, false);
    }

    fn apply_and_dot(&self, vector: &[f64], product: &mut [f64]) -> f64 {
        self.product(vector, product, true)
    }

    fn diagonal(&self) -> Vec<f64> {
        self.diagonal.iter().map(|&d| f64::from(d)).collect()
    }

    fn null_space(&self) -> &NullSpace {
        &self.null_space
    }
}

/// One row of the product: the centre row, its four neighbours across, and the neighbours along the row.
///
/// The vector is zero off the fluid, so the sum over fluid neighbours is the sum over all.
#[inline(always)]
fn stencil_row(diagonal: &[u8], centre: &[f64], across: [&[f64]; 4], product: &mut [f64]) {
    let n = product.len();
    let [a, b, c, d] = across.map(|row| &row[..n]);
    let (diagonal, centre) = (&diagonal[..n], &centre[..n]);
    let entry = |z: usize, along: f64| {
        let value = f64::from(diagonal[z]) * centre[z] - (a[z] + b[z] + c[z] + d[z] + along);
        if diagonal[z] == 0 { 0.0 } else { value }
    };
    if n == 1 {
        product[0] = entry(0, 0.0);
        return;
    }
    product[0] = entry(0, centre[1]);
    for z in 1..n - 1 {
        product[z] = entry(z, centre[z - 1] + centre[z + 1]);
    }
    product[n - 1] = entry(n - 1, centre[n - 2]);
}

/// The number of cells of a shape.
fn cell_count(shape: &[usize]) -> Result<usize, LinearError> {
    shape
        .iter()
        .try_fold(1_usize, |count, &n| count.checked_mul(n))
        .filter(|&count| matches!(shape.len(), 2 | 3) && count > 0 && count < 1 << 31)
        .ok_or_else(|| LinearError::Extents { found: format!("{shape:?}") })
}

/// The cells of a grid around a solid ball whose radius is a fifth of the smallest extent.
pub(super) fn ball(shape: &[usize]) -> Result<Vec<Cell>, LinearError> {
    let count = cell_count(shape)?;
    let radius = shape.iter().copied().min().unwrap_or(0) as f64 / 5.0;
    Ok((0..count)
        .map(|cell| {
            let (mut rest, mut squared) = (cell, 0.0);
            for &n in shape.iter().rev() {
                squared += ((rest % n) as f64 - (n - 1) as f64 / 2.0).powi(2);
                rest /= n;
            }
            if squared < radius * radius { Cell::Solid } else { Cell::Fluid }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, cell by cell.
    fn plain_product(grid: &PressureGrid, p: &[f64]) -> Vec<f64> {
        let shape: Vec<i64> = grid.shape().iter().map(|&n| n as i64).collect();
        let index = |place: &[i64]| place.iter().zip(&shape).fold(0, |index, (i, n)| index * n + i) as usize;
        let mut product = vec![0.0; p.len()];
        for cell in 0..p.len() {
            if grid.cells()[cell] != Cell::Fluid {
                continue;
            }
            let (mut rest, mut place) = (cell as i64, vec![0; shape.len()]);
            for k in (0..shape.len()).rev() {
                place[k] = rest % shape[k];
                rest /= shape[k];
            }
            for axis in 0..shape.len() {
                for (side, step) in [-1, 1].into_iter().enumerate() {
                    let mut other = place.clone();
                    other[axis] += step;
                    let inside = (0..shape[axis]).contains(&other[axis]);
                    product[cell] += match () {
                        () if !inside && grid.outside()[axis][side] == Outside::Open => p[cell],
                        () if !inside => 0.0,
                        () => match grid.cells()[index(&other)] {
                            Cell::Fluid => p[cell] - p[index(&other)],
                            Cell::Air => p[cell],
                            Cell::Solid => 0.0,
                        },
                    };
                }
            }
        }
        product
    }

    fn random_grid(shape: &[usize], seed: u64, faces: u8) -> Option<PressureGrid> {
        let mut normal = Sequence::new(seed);
        let cells = (0..shape.iter().product())
            .map(|_| match normal.normal() {
                x if x > 1.2 => Cell::Air,
                x if x < -0.6 => Cell::Solid,
                _ => Cell::Fluid,
            })
            .collect();
        let face = |k: usize| if faces >> k & 1 == 1 { Outside::Open } else { Outside::Closed };
        let outside: Vec<_> = (0..shape.len()).map(|k| [face(2 * k), face(2 * k + 1)]).collect();
        PressureGrid::new(shape, cells, &outside).ok()
    }

    proptest! {
        #[test]
        fn product_compressed_matrix_and_definition_agree(
            shape in prop::collection::vec(1usize..7, 2..=3), seed in 0..1000u64, faces in 0..64u8
        ) {
            let Some(grid) = random_grid(&shape, seed, faces) else { return Ok(()) };
            let mut p = grid.right_side(Load::WhiteNoise, seed + 1);
            grid.mask(&mut p);
            let mut product = vec![f64::NAN; p.len()];
            let energy = grid.apply_and_dot(&p, &mut product);
            let expected = plain_product(&grid, &p);
            let (matrix, cells) = grid.compressed();
            let matrix = super::super::SymmetricMatrix::new(matrix).unwrap();
            prop_assert_eq!(matrix.components(), grid.components());
            prop_assert_eq!(matrix.null_space().dimension(), grid.null_space().dimension());
            let short: Vec<f64> = cells.iter().map(|&c| p[c as usize]).collect();
            let mut short_product = vec![f64::NAN; short.len()];
            matrix.apply(&short, &mut short_product);
            for i in 0..p.len() {
                prop_assert!((product[i] - expected[i]).abs() < 1e-13);
            }
            for (k, &cell) in cells.iter().enumerate() {
                prop_assert!((short_product[k] - expected[cell as usize]).abs() < 1e-13);
            }
            let direct: f64 = p.iter().zip(&expected).map(|(p, e)| p * e).sum();
            prop_assert!((energy - direct).abs() < 1e-11);
            prop_assert!(energy >= -1e-12);
        }

        #[test]
        fn projection_makes_products_and_right_sides_orthogonal_to_the_null_space(seed in 0..1000u64) {
            let Some(grid) = random_grid(&[5, 6], seed, 0) else { return Ok(()) };
            for load in [Load::FlowPastObstacle, Load::PointSource, Load::WhiteNoise] {
                let b = grid.right_side(load, seed);
                prop_assert!(grid.null_space().check_range(&b, 1e-12).is_ok() || b.iter().all(|&b| b.abs() < 1e-15));
                let mut again = b.clone();
                grid.null_space().project(&mut again);
                prop_assert!(b.iter().zip(&again).all(|(b, a)| (b - a).abs() < 1e-14));
            }
        }
    }

    #[test]
    fn isolated_cells_become_solid_with_a_note() {
        let mut cells = vec![Cell::Solid; 27];
        cells[13] = Cell::Fluid;
        cells[0] = Cell::Fluid;
        let grid = PressureGrid::new(&[3, 3, 3], cells.clone(), &[[Outside::Open; 2]; 3]).unwrap();
        assert_eq!((grid.fluid_cells(), grid.components()), (1, 1));
        assert!(grid.notes()[0].starts_with("1 fluid cell with no flow"));
        assert_eq!(grid.diagonal_bytes()[0], 3);
        let error = PressureGrid::new(&[3, 3, 3], cells, &[[Outside::Closed; 2]; 3]).unwrap_err();
        assert!(matches!(error, LinearError::Empty(_)));
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(PressureGrid::empty(&[4], Outside::Open).is_err());
        assert!(PressureGrid::empty(&[4, 0, 4], Outside::Open).is_err());
        assert!(PressureGrid::empty(&[usize::MAX, 2, 4], Outside::Open).is_err());
        assert!(PressureGrid::new(&[2, 2], vec![Cell::Fluid; 5], &[[Outside::Open; 2]; 2]).is_err());
        assert!(PressureGrid::new(&[2, 2], vec![Cell::Fluid; 4], &[[Outside::Open; 2]; 3]).is_err());
    }

    #[test]
    fn a_ball_has_the_radius_of_a_fifth() {
        let grid = PressureGrid::around_ball(&[20, 20, 20], Outside::Open).unwrap();
        let expected = 4.0 / 3.0 * std::f64::consts::PI * 64.0;
        let solid = (8000 - grid.fluid_cells()) as f64;
        assert!((solid / expected - 1.0).abs() < 0.1, "{solid} cells");
        let b = grid.right_side(Load::FlowPastObstacle, 0);
        // What is pushed into the obstacle on one side is pulled out on the other.
        assert_eq!(b.iter().sum::<f64>(), 0.0);
        assert!(b.contains(&1.0) && b.contains(&-1.0));
    }
}
