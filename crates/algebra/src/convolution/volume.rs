//! A batch of voxel grids with channels, stored channels-last.

/// A batch of grids of voxels with some channels each, `[batch][x][y][z][channel]`, possibly inside a halo of zeros.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    batch: usize,
    cells: [usize; 3],
    channels: usize,
    halo: usize,
    values: Vec<f32>,
}

impl Volume {
    /// Zeros, inside `halo` layers of cells (0 or 1) on every side that stay zero.
    pub fn zeros(batch: usize, cells: [usize; 3], channels: usize, halo: usize) -> Self {
        let padded: usize = cells.iter().map(|n| n + 2 * halo).product();
        Self { batch, cells, channels, halo, values: vec![0.0; batch * padded * channels] }
    }

    /// The given values without a halo.
    ///
    /// # Panics
    /// If there are not `batch · cells · channels` values.
    pub fn from_values(batch: usize, cells: [usize; 3], channels: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), batch * cells.iter().product::<usize>() * channels, "values of a volume");
        Self { batch, cells, channels, halo: 0, values }
    }

    /// A copy of the given values inside a halo of one cell.
    ///
    /// # Panics
    /// If there are not `batch · cells · channels` values.
    pub fn surrounded(batch: usize, cells: [usize; 3], channels: usize, values: &[f32]) -> Self {
        let mut volume = Self::zeros(batch, cells, channels, 1);
        volume.fill_from(values);
        volume
    }

    /// Overwrites all cells inside the halo.
    ///
    /// # Panics
    /// If there are not `batch · cells · channels` values.
    pub fn fill_from(&mut self, values: &[f32]) {
        let [nx, ny, nz] = self.cells;
        let row = nz * self.channels;
        assert_eq!(values.len(), self.batch * nx * ny * row, "values of a volume");
        if row == 0 {
            return;
        }
        for (index, source) in values.chunks_exact(row).enumerate() {
            let (batch, x, y) = (index / (nx * ny), index / ny % nx, index % ny);
            self.row_mut(batch, x, y).copy_from_slice(source);
        }
    }

    /// The cells inside the halo, `[batch][x][y][z][channel]`.
    pub fn into_values(self) -> Vec<f32> {
        if self.halo == 0 {
            return self.values;
        }
        let [nx, ny, nz] = self.cells;
        let mut values = Vec::with_capacity(self.batch * nx * ny * nz * self.channels);
        for batch in 0..self.batch {
            for x in 0..nx {
                for y in 0..ny {
                    values.extend_from_slice(self.row(batch, x, y));
                }
            }
        }
        values
    }

    /// Number of grids.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Cells along x, y and z, without the halo.
    pub fn cells(&self) -> [usize; 3] {
        self.cells
    }

    /// Values for each cell.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Layers of zeros around the grid: 0 or 1.
    pub fn halo(&self) -> usize {
        self.halo
    }

    /// The values of the cells with the given x and y, `[z][channel]`.
    ///
    /// # Panics
    /// If the position is outside the grid.
    pub fn row(&self, batch: usize, x: usize, y: usize) -> &[f32] {
        let start = self.row_start(batch, x, y);
        &self.values[start..start + self.cells[2] * self.channels]
    }

    /// As [`row`](Self::row), to write.
    ///
    /// # Panics
    /// If the position is outside the grid.
    pub fn row_mut(&mut self, batch: usize, x: usize, y: usize) -> &mut [f32] {
        let start = self.row_start(batch, x, y);
        &mut self.values[start..start + self.cells[2] * self.channels]
    }

    /// All values, with those of the halo.
    pub(super) fn raw(&self) -> &[f32] {
        &self.values
    }

    /// As [`raw`](Self::raw), to write.
    pub(super) fn raw_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Values between neighbours along x (a plane), and along y (a row).
    pub(super) fn strides(&self) -> (usize, usize) {
        let row = (self.cells[2] + 2 * self.halo) * self.channels;
        ((self.cells[1] + 2 * self.halo) * row, row)
    }

    /// Index of the first value of the plane with the given x, halo rows of that plane included.
    pub(super) fn plane_start(&self, batch: usize, x: usize) -> usize {
        (batch * (self.cells[0] + 2 * self.halo) + x + self.halo) * self.strides().0
    }

    /// Index within a plane of the first cell inside the halo.
    pub(super) fn first_in_plane(&self) -> usize {
        self.halo * (self.strides().1 + self.channels)
    }

    fn row_start(&self, batch: usize, x: usize, y: usize) -> usize {
        assert!(batch < self.batch && x < self.cells[0] && y < self.cells[1], "a row inside the volume");
        self.plane_start(batch, x) + self.first_in_plane() + y * self.strides().1
    }
}
