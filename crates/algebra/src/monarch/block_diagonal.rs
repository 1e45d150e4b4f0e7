//! Block-diagonal matrices, times panels of vectors.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{MonarchError, Scalar, expect_length};

/// Dense blocks of one size along the diagonal.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockDiagonal<T> {
    blocks: usize,
    rows: usize,
    columns: usize,
    entries: Vec<T>,
}

impl<T: Scalar> BlockDiagonal<T> {
    /// From the entries of `blocks` blocks of `rows` by `columns`, row-major, one block after the other.
    ///
    /// # Errors
    /// If there is another number of entries, or an extent is zero.
    pub fn new(blocks: usize, rows: usize, columns: usize, entries: Vec<T>) -> Result<Self, MonarchError> {
        if blocks == 0 || rows == 0 || columns == 0 {
            return Err(MonarchError::Shape(format!("{blocks} blocks of {rows} by {columns} hold nothing")));
        }
        expect_length("a block-diagonal matrix", entries.len(), blocks * rows * columns)?;
        Ok(BlockDiagonal { blocks, rows, columns, entries })
    }

    /// Number of blocks, and rows and columns of each.
    pub fn extents(&self) -> (usize, usize, usize) {
        (self.blocks, self.rows, self.columns)
    }

    /// Rows and columns of the whole matrix.
    pub fn shape(&self) -> (usize, usize) {
        (self.blocks * self.rows, self.blocks * self.columns)
    }

    /// The entries, in the order of [`BlockDiagonal::new`].
    pub fn entries(&self) -> &[T] {
        &self.entries
    }

    /// The entries, to be changed in place.
    pub fn entries_mut(&mut self) -> &mut [T] {
        &mut self.entries
    }

    /// One block, row-major.
    pub fn block(&self, index: usize) -> &[T] {
        let size = self.rows * self.columns;
        &self.entries[index * size..][..size]
    }

    /// The conjugate transpose.
    pub fn adjoint(&self) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len());
        for index in 0..self.blocks {
            let block = self.block(index);
            for column in 0..self.columns {
                entries.extend((0..self.rows).map(|row| block[row * self.columns + column].conjugate()));
            }
        }
        BlockDiagonal { blocks: self.blocks, rows: self.columns, columns: self.rows, entries }
    }

    /// The product with a panel of `width` vectors: `output = B input`; `input` has a row for each column of the matrix.
    ///
    /// # Errors
    /// If a panel has another length than its shape asks for.
    pub fn apply(&self, input: &[T], width: usize, output: &mut [T]) -> Result<(), MonarchError> {
        let (rows, columns) = self.shape();
        expect_length("the input panel", input.len(), columns * width)?;
        expect_length("the output panel", output.len(), rows * width)?;
        self.apply_from(&|block, column| block * self.columns + column, input, width, output);
        Ok(())
    }

    /// The product with a panel whose rows are fetched from wherever `source(block, column)` says; the result's rows are in
    /// order. Permuting while fetching spares a pass over the memory.
    pub(super) fn apply_from(
        &self,
        source: &(dyn Fn(usize, usize) -> usize + Sync),
        input: &[T],
        width: usize,
        output: &mut [T],
    ) {
        if width == 0 {
            return;
        }
        let arch = Arch::new();
        let per_block = self.rows * width;
        let one = |(index, output): (usize, &mut [T])| {
            let places: Vec<usize> = (0..self.columns).map(|column| source(index, column) * width).collect();
            arch.dispatch(Product { block: self.block(index), places: &places, input, width, output });
        };
        if self.entries.len() * width < PARALLEL_FROM {
            output.chunks_mut(per_block).enumerate().for_each(one);
        } else {
            output.par_chunks_mut(per_block).enumerate().for_each(one);
        }
    }

    /// The gradient of the entries from that of the product: `gradient += output_gradient · inputᴴ`, block by block.
    ///
    /// # Errors
    /// If a panel or `gradient` has another length than its shape asks for.
    pub fn accumulate_gradient(
        &self,
        input: &[T],
        output_gradient: &[T],
        width: usize,
        gradient: &mut [T],
    ) -> Result<(), MonarchError> {
        let (rows, columns) = self.shape();
        expect_length("the input panel", input.len(), columns * width)?;
        expect_length("the output's gradient", output_gradient.len(), rows * width)?;
        expect_length("the gradient", gradient.len(), self.entries.len())?;
        if width == 0 {
            return Ok(());
        }
        gradient.par_chunks_mut(self.rows * self.columns).enumerate().for_each(|(index, gradient)| {
            let input = &input[index * self.columns * width..][..self.columns * width];
            let output_gradient = &output_gradient[index * self.rows * width..][..self.rows * width];
            for (gradient, output_gradient) in
                gradient.chunks_mut(self.columns).zip(output_gradient.chunks(width))
            {
                for (gradient, input) in gradient.iter_mut().zip(input.chunks(width)) {
                    let mut sum = T::zero();
                    for (&upper, &lower) in output_gradient.iter().zip(input) {
                        sum += upper * lower.conjugate();
                    }
                    *gradient += sum;
                }
            }
        });
        Ok(())
    }
}

/// Multiplications below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 17;

/// Vectors of a panel that are carried through a block together: a few cache lines, so that the accumulators of a row group stay in
/// registers.
const TILE: usize = 32;

/// Rows of a block that share what is read of the panel, in the kernel for single precision.
const ROWS: usize = 4;

/// The product of one block with the rows of a panel at `places`.
struct Product<'a, T> {
    block: &'a [T],
    places: &'a [usize],
    input: &'a [T],
    width: usize,
    output: &'a mut [T],
}

impl<T: Scalar> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { block, places, input, width, output } = self;
        let columns = places.len();
        let single = (T::as_single(block), T::as_single(input), T::as_single_mut(output));
        let (Some(block), Some(input), Some(output)) = single else {
            return self::panel(block, places, input, [0, width], width, output);
        };
        // As many accumulators as there are registers for, with room for a row of the panel.
        let vectors = if S::F32_LANES >= 16 { 4 } else { 2 };
        let step = vectors * S::F32_LANES;
        let whole = width / step * step;
        for start in (0..whole).step_by(step) {
            for (rows, output) in block.chunks(ROWS * columns).zip(output.chunks_mut(ROWS * width)) {
                let at = Tile { rows, columns, places, input, start, width };
                match (rows.len() / columns, vectors) {
                    (ROWS, 4) => at.product::<S, ROWS, 4>(simd, output),
                    (ROWS, _) => at.product::<S, ROWS, 2>(simd, output),
                    (_, 4) => at.one_by_one::<S, 4>(simd, output),
                    _ => at.one_by_one::<S, 2>(simd, output),
                }
            }
        }
        panel(block, places, input, [whole, width], width, output);
    }
}

/// Some rows of a block with a stretch of every vector's row.
struct Tile<'a> {
    /// `[rows][columns]`.
    rows: &'a [f32],
    columns: usize,
    places: &'a [usize],
    input: &'a [f32],
    start: usize,
    width: usize,
}

impl Tile<'_> {
    /// The product of `R` rows with `V` vectors of the machine, all sums in registers.
    #[inline(always)]
    fn product<S: Simd, const R: usize, const V: usize>(&self, simd: S, output: &mut [f32]) {
        let Tile { rows, columns, places, input, start, width } = *self;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let mut entries = [&rows[..0]; R];
        for r in 0..R {
            entries[r] = &rows[r * columns..][..places.len()];
        }
        for (column, &place) in places.iter().enumerate() {
            let line = S::as_simd_f32s(&input[place + start..][..V * S::F32_LANES]).0;
            for r in 0..R {
                let entry = simd.splat_f32s(entries[r][column]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_f32s(entry, line[v], sums[r][v]);
                }
            }
        }
        for r in 0..R {
            let line = S::as_mut_simd_f32s(&mut output[r * width + start..][..V * S::F32_LANES]).0;
            line.copy_from_slice(&sums[r]);
        }
    }

    /// The same for fewer rows, one after the other.
    #[inline(always)]
    fn one_by_one<S: Simd, const V: usize>(&self, simd: S, output: &mut [f32]) {
        for (rows, output) in self.rows.chunks(self.columns).zip(output.chunks_mut(self.width)) {
            Tile { rows, ..*self }.product::<S, 1, V>(simd, output);
        }
    }
}

/// The product for the vectors from one to another of `width`, in plain loops; inlined into the dispatch they are compiled for the
/// vector instructions of the machine.
#[inline(always)]
fn panel<T: Scalar>(
    block: &[T],
    places: &[usize],
    input: &[T],
    [from, to]: [usize; 2],
    width: usize,
    output: &mut [T],
) {
    let columns = places.len();
    let rows = block.len() / columns;
    let mut start = from;
    while start + TILE <= to {
        let mut row = 0;
        while row + 2 <= rows {
            let mut sums = [[T::zero(); TILE]; 2];
            let (upper, lower) =
                (&block[row * columns..][..columns], &block[(row + 1) * columns..][..columns]);
            for ((&place, &upper), &lower) in places.iter().zip(upper).zip(lower) {
                let input = &input[place + start..][..TILE];
                for k in 0..TILE {
                    sums[0][k] += upper * input[k];
                    sums[1][k] += lower * input[k];
                }
            }
            output[row * width + start..][..TILE].copy_from_slice(&sums[0]);
            output[(row + 1) * width + start..][..TILE].copy_from_slice(&sums[1]);
            row += 2;
        }
        if row < rows {
            let mut sums = [T::zero(); TILE];
            for (&place, &entry) in places.iter().zip(&block[row * columns..][..columns]) {
                let input = &input[place + start..][..TILE];
                for k in 0..TILE {
                    sums[k] += entry * input[k];
                }
            }
            output[row * width + start..][..TILE].copy_from_slice(&sums);
        }
        start += TILE;
    }
    if start < to {
        for (row, entries) in block.chunks(columns).enumerate() {
            let output = &mut output[row * width + start..row * width + to];
            output.fill(T::zero());
            for (&place, &entry) in places.iter().zip(entries) {
                for (output, &input) in output.iter_mut().zip(&input[place + start..place + to]) {
                    *output += entry * input;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::monarch::square::tests::random;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn the_product_is_that_of_the_written_out_matrix(
            blocks in 1..4_usize, rows in 1..8_usize, columns in 1..8_usize, width in 0..70_usize, seed in 0..1000_u64,
        ) {
            let matrix = BlockDiagonal::new(blocks, rows, columns, random(blocks * rows * columns, seed)).expect("fits");
            let input = random(blocks * columns * width, seed + 1);
            let mut output = vec![7.0; blocks * rows * width];
            matrix.apply(&input, width, &mut output).expect("fits");
            for index in 0..blocks {
                for row in 0..rows {
                    for k in 0..width {
                        let expected: f64 = (0..columns)
                            .map(|c| matrix.block(index)[row * columns + c] * input[(index * columns + c) * width + k])
                            .sum();
                        prop_assert!((output[(index * rows + row) * width + k] - expected).abs() < 1e-13);
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn single_precision_is_double_precision_rounded(
            blocks in 1..4_usize, rows in 1..11_usize, columns in 1..40_usize, width in 0..200_usize, seed in 0..1000_u64,
        ) {
            let entries = random(blocks * rows * columns, seed);
            let input = random(blocks * columns * width, seed + 1);
            let rounded = |numbers: &[f64]| -> Vec<f32> { numbers.iter().map(|&number| number as f32).collect() };
            let single = BlockDiagonal::new(blocks, rows, columns, rounded(&entries)).expect("fits");
            let double = BlockDiagonal::new(blocks, rows, columns, entries).expect("fits");
            let mut given = vec![7.0; blocks * rows * width];
            single.apply(&rounded(&input), width, &mut given).expect("fits");
            let mut expected = vec![7.0; blocks * rows * width];
            double.apply(&input, width, &mut expected).expect("fits");
            for (given, expected) in given.iter().zip(&expected) {
                prop_assert!((f64::from(*given) - expected).abs() < 1e-5 * columns as f64);
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(matches!(
            BlockDiagonal::new(2, 3, 4, vec![0.0; 23]),
            Err(MonarchError::Length { found: 23, .. })
        ));
        assert!(BlockDiagonal::<f64>::new(0, 3, 4, vec![]).is_err());
        let matrix = BlockDiagonal::new(2, 3, 4, vec![0.0; 24]).expect("fits");
        assert!(matrix.apply(&[0.0; 8], 1, &mut [0.0; 7]).is_err());
        assert!(matrix.apply(&[0.0; 9], 1, &mut [0.0; 6]).is_err());
    }
}
