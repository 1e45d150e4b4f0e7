//! Ternary weights times 8-bit activations, exact in integers.
//!
//! Zhu et al., "Scalable MatMul-free Language Modeling" (2024), sections on BitLinear; the quantisers are those of its public
//! code, with ties to even:
//! ```text
//! weights, one scale for the matrix:  β = max(mean|W|, 1e-5)     Wq = clip(round(W/β), −1, 1)
//! activations, one for each row:      a = max(max|x|, 1e-5)      s = 127/a     xq = clip(round(s x), −128, 127)
//! product:                            acc = Σ Wq xq (exact)      y = acc β / s
//! ```
//! Weights take two bits, code = w + 1. A block of 256 weights is 64 bytes: weight 64 s + b is in byte b, bits 2s and 2s + 1.
//! The kernels multiply the codes, which are unsigned as the instructions want it, and subtract Σ xq at the end.

use rayon::prelude::*;

use super::instruction_set::{Level, multiversion};
use super::{FormatError, InstructionSet, SharedOutput, expect_length, largest_magnitude};

/// The smallest mean or maximum that a scale is made of.
pub const SMALLEST_RANGE: f32 = 1e-5;

/// The longest row: 2 · 128 · columns stays in 32 bits.
pub const LONGEST_ROW: usize = (1 << 23) - 1;

/// Writes the ternary weights of a matrix and returns their scale β.
///
/// # Errors
/// [`FormatError::Length`] if there are not as many codes as weights, [`FormatError::NotFinite`].
pub fn quantise_weights(weights: &[f32], ternary: &mut [i8]) -> Result<f32, FormatError> {
    expect_length("the ternary weights", ternary, weights.len())?;
    largest_magnitude(weights, InstructionSet::best())?;
    let sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
    let scale = ((sum / weights.len().max(1) as f64) as f32).max(SMALLEST_RANGE);
    for (code, weight) in ternary.iter_mut().zip(weights) {
        *code = (weight / scale).round_ties_even().clamp(-1.0, 1.0) as i8;
    }
    Ok(scale)
}

/// Writes the 8-bit activations of one row and returns their scale s: x ≈ xq / s.
///
/// # Errors
/// [`FormatError::Length`] if there are not as many codes as values, [`FormatError::NotFinite`].
pub fn quantise_row(values: &[f32], codes: &mut [i8], set: InstructionSet) -> Result<f32, FormatError> {
    expect_length("the activations", codes, values.len())?;
    let scale = 127.0 / largest_magnitude(values, set)?.max(SMALLEST_RANGE);
    multiversion!(set, write_codes, (values: &[f32], scale: f32, codes: &mut [i8]));
    Ok(scale)
}

#[inline(always)]
fn write_codes(values: &[f32], scale: f32, codes: &mut [i8]) {
    for (code, value) in codes.iter_mut().zip(values) {
        // Added to 1.5 · 2^23, the unit in the last place is one: the addition rounds (ties to even), and the low byte is
        // the integer in two's complement.
        *code = ((value * scale).clamp(-128.0, 127.0) + 12_582_912.0).to_bits() as i8;
    }
}

/// 64 bytes: 256 weights, or 64 activations.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Block<T>([T; 64]);

/// Weights of a block.
const BLOCK: usize = 256;

/// All codes 1: weights of zero.
const ZERO_WEIGHTS: Block<u8> = Block([0b01_01_01_01; 64]);

/// A matrix `out × in` of −1, 0 and 1 with one scale, two bits a weight.
#[derive(Clone, Debug)]
pub struct TernaryMatrix {
    rows: usize,
    columns: usize,
    scale: f32,
    blocks: Vec<Block<u8>>,
}

impl TernaryMatrix {
    /// Packs ternary weights (row-major, `rows × columns`).
    ///
    /// # Errors
    /// [`FormatError::Length`], or [`FormatError::Code`] for another weight than −1, 0 and 1;
    /// [`FormatError::Overflow`] for rows longer than [`LONGEST_ROW`].
    pub fn new(ternary: &[i8], rows: usize, columns: usize, scale: f32) -> Result<Self, FormatError> {
        expect_length("the ternary weights", ternary, rows * columns)?;
        if let Some(index) = ternary.iter().position(|w| !(-1..=1).contains(w)) {
            let found = ternary[index].into();
            let expected = "-1, 0 or 1".to_owned();
            return Err(FormatError::Code { what: "the ternary weights", index, found, expected });
        }
        expect_row(columns)?;
        let row_blocks = columns.div_ceil(BLOCK);
        let mut blocks = vec![ZERO_WEIGHTS; rows * row_blocks];
        for (index, &weight) in ternary.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let byte = &mut blocks[row * row_blocks + column / BLOCK].0[column % 64];
            let shift = column % BLOCK / 64 * 2;
            *byte = *byte & !(3 << shift) | ((weight + 1) as u8) << shift;
        }
        Ok(TernaryMatrix { rows, columns, scale, blocks })
    }

    /// Quantises and packs a matrix (row-major, `rows × columns`).
    ///
    /// # Errors
    /// [`FormatError::Length`], [`FormatError::NotFinite`], [`FormatError::Overflow`].
    pub fn quantised(weights: &[f32], rows: usize, columns: usize) -> Result<Self, FormatError> {
        expect_length("the weights", weights, rows * columns)?;
        let mut ternary = vec![0; weights.len()];
        let scale = quantise_weights(weights, &mut ternary)?;
        Self::new(&ternary, rows, columns, scale)
    }

    /// From packed bytes, as [`Self::packed`] gives them.
    ///
    /// # Errors
    /// [`FormatError::Length`] if there are not 64 bytes for each begun block of 256 weights of a row, [`FormatError::Code`]
    /// on the code 3, which stands for no weight; [`FormatError::Overflow`] for rows longer than [`LONGEST_ROW`].
    pub fn from_packed(bytes: &[u8], rows: usize, columns: usize, scale: f32) -> Result<Self, FormatError> {
        expect_length("the packed weights", bytes, rows * columns.div_ceil(BLOCK) * 64)?;
        expect_row(columns)?;
        if let Some(index) = bytes.iter().position(|byte| byte & byte >> 1 & 0b01_01_01_01 != 0) {
            let (found, expected) = (bytes[index].into(), "two-bit codes 0, 1 and 2".to_owned());
            return Err(FormatError::Code { what: "the packed weights", index, found, expected });
        }
        let blocks = bytes.chunks_exact(64).map(|chunk| Block(std::array::from_fn(|i| chunk[i]))).collect();
        Ok(TernaryMatrix { rows, columns, scale, blocks })
    }

    /// The packed bytes: 64 for each begun block of 256 weights of a row.
    pub fn packed(&self) -> Vec<u8> {
        self.blocks.iter().flat_map(|block| block.0).collect()
    }

    /// The weights, row-major.
    pub fn ternary(&self) -> Vec<i8> {
        let row_blocks = self.columns.div_ceil(BLOCK);
        let weight = |row: usize, column: usize| {
            let byte = self.blocks[row * row_blocks + column / BLOCK].0[column % 64];
            (byte >> (column % BLOCK / 64 * 2) & 3) as i8 - 1
        };
        (0..self.rows).flat_map(|row| (0..self.columns).map(move |column| weight(row, column))).collect()
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The scale β.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        size_of_val(self.blocks.as_slice())
    }

    /// The exact sums `acc = Xq Wqᵀ`, row-major `tokens × out`.
    ///
    /// # Errors
    /// [`FormatError::Mismatch`] if the operands differ in columns, [`FormatError::Length`] if `y` has not `tokens · out` elements.
    pub fn product_i32(&self, x: &ByteRows, y: &mut [i32], set: InstructionSet) -> Result<(), FormatError> {
        self.product(x, y, set, |_, sum| sum)
    }

    /// The product of the reals that weights and activations stand for, `y = acc β / s`, row-major `tokens × out`.
    ///
    /// # Errors
    /// [`FormatError::Mismatch`] if the operands differ in columns, [`FormatError::Length`] if `y` has not `tokens · out` elements.
    pub fn product_f32(&self, x: &ByteRows, y: &mut [f32], set: InstructionSet) -> Result<(), FormatError> {
        self.product(x, y, set, |token, sum| sum as f32 * (self.scale / x.scales[token]))
    }

    fn product<T: Copy + Send>(
        &self,
        x: &ByteRows,
        y: &mut [T],
        set: InstructionSet,
        finish: impl Fn(usize, i32) -> T + Sync,
    ) -> Result<(), FormatError> {
        if self.columns != x.columns {
            return Err(FormatError::Mismatch { what: "columns", left: self.columns, right: x.columns });
        }
        expect_length("the result", y, self.rows * x.rows)?;
        let output = SharedOutput::new(y);
        let tasks = self.rows.div_ceil(TASK_ROWS);
        let panel = (PANEL_BYTES / self.columns.max(1)).max(4) / 4 * 4;
        (0..tasks).into_par_iter().for_each(|task| {
            let rows = task * TASK_ROWS..self.rows.min((task + 1) * TASK_ROWS);
            for panel_start in (0..x.rows).step_by(panel) {
                let tokens = panel_start..x.rows.min(panel_start + panel);
                // SAFETY: tasks have disjoint rows.
                unsafe { self.rows_product(rows.clone(), x, tokens, &output, set, &finish) };
            }
        });
        Ok(())
    }

    /// # Safety
    /// No other task may work on the same rows.
    unsafe fn rows_product<T: Copy>(
        &self,
        rows: std::ops::Range<usize>,
        x: &ByteRows,
        tokens: std::ops::Range<usize>,
        output: &SharedOutput<'_, T>,
        set: InstructionSet,
        finish: &impl Fn(usize, i32) -> T,
    ) {
        // Sixteen rows fill a cache line of the result, which is then written at once: the lines of one column of the result
        // compete for the same few places in the caches.
        for start in rows.clone().step_by(16) {
            let end = rows.end.min(start + 16);
            let fours = start + (end - start) / 4 * 4;
            let mut token = tokens.start;
            while token + 4 <= tokens.end {
                for row in (start..fours).step_by(4) {
                    // SAFETY: the caller's.
                    unsafe { self.tile::<T, 4, 4>(row, x, token, output, set, finish) };
                }
                token += 4;
            }
            for token in token..tokens.end {
                for row in (start..fours).step_by(4) {
                    // SAFETY: the caller's.
                    unsafe { self.tile::<T, 4, 1>(row, x, token, output, set, finish) };
                }
            }
            for (row, token) in (fours..end).flat_map(|row| tokens.clone().map(move |token| (row, token))) {
                // SAFETY: the caller's.
                unsafe { self.tile::<T, 1, 1>(row, x, token, output, set, finish) };
            }
        }
    }

    /// # Safety
    /// No other task may work on the same rows.
    unsafe fn tile<T: Copy, const ROWS: usize, const COLUMNS: usize>(
        &self,
        row: usize,
        x: &ByteRows,
        token: usize,
        output: &SharedOutput<'_, T>,
        set: InstructionSet,
        finish: &impl Fn(usize, i32) -> T,
    ) {
        let blocks = self.columns.div_ceil(BLOCK);
        let w: [&[Block<u8>]; ROWS] = std::array::from_fn(|r| &self.blocks[(row + r) * blocks..][..blocks]);
        let xs: [&[Block<i8>]; COLUMNS] =
            std::array::from_fn(|c| &x.blocks[(token + c) * 4 * blocks..][..4 * blocks]);
        let sums: [[i32; COLUMNS]; ROWS] = match set.0 {
            // SAFETY: an `InstructionSet` exists only for instructions that were detected, and the slices have one and four
            // blocks for each of `blocks`.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::code_sums_avx512(w, xs, blocks) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::code_sums_avx2(w, xs, blocks) },
            _ => w.map(|w| xs.map(|x| code_sum(w, x))),
        };
        for c in 0..COLUMNS {
            for r in 0..ROWS {
                let sum = sums[r][c] - x.sums[token + c];
                // SAFETY: the caller's; the element belongs to row `row + r` of the weights.
                unsafe { output.write((token + c) * self.rows + row + r, finish(token + c, sum)) };
            }
        }
    }
}

/// Rows of weights that a task takes, so that its work outweighs handing it over.
const TASK_ROWS: usize = 128;

/// Bytes of activations that a pass over the weights keeps in the second-level cache.
const PANEL_BYTES: usize = 256 << 10;

/// Rows of 8-bit activations, each with its scale.
#[derive(Clone, Debug, Default)]
pub struct ByteRows {
    rows: usize,
    columns: usize,
    blocks: Vec<Block<i8>>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl ByteRows {
    /// No rows, to be filled by [`Self::quantise`].
    pub fn empty() -> Self {
        Self::default()
    }

    /// Quantises a matrix (row-major, `rows × columns`) into this one's storage, each row with its own scale. After an error
    /// the contents are unspecified, but safe to use.
    ///
    /// # Errors
    /// [`FormatError::Length`], [`FormatError::NotFinite`] (the index counts from the start of the row), and
    /// [`FormatError::Overflow`] for rows longer than [`LONGEST_ROW`].
    pub fn quantise(
        &mut self,
        values: &[f32],
        rows: usize,
        columns: usize,
        set: InstructionSet,
    ) -> Result<(), FormatError> {
        expect_length("the values", values, rows * columns)?;
        self.fill(
            rows,
            columns,
            set,
            || (),
            |row, (), codes| quantise_row(&values[row * columns..][..columns], codes, set),
        )
    }

    /// Quantises a matrix whose rows are made when they are needed: `write` writes a row of this number. The matrix is never in
    /// memory as a whole.
    ///
    /// # Errors
    /// As [`Self::quantise`].
    pub fn quantise_rows(
        &mut self,
        rows: usize,
        columns: usize,
        set: InstructionSet,
        write: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<(), FormatError> {
        self.fill(
            rows,
            columns,
            set,
            || vec![0.0; columns],
            |row, buffer, codes| {
                write(row, buffer);
                quantise_row(buffer, codes, set)
            },
        )
    }

    fn fill<B: Send>(
        &mut self,
        rows: usize,
        columns: usize,
        set: InstructionSet,
        buffer: impl Fn() -> B + Sync + Send,
        quantise: impl Fn(usize, &mut B, &mut [i8]) -> Result<f32, FormatError> + Sync + Send,
    ) -> Result<(), FormatError> {
        expect_row(columns)?;
        (self.rows, self.columns) = (rows, columns);
        let row_blocks = columns.div_ceil(BLOCK) * 4;
        self.blocks.resize(rows * row_blocks, Block([0; 64]));
        self.scales.resize(rows, 1.0);
        self.sums.resize(rows, 0);
        if columns == 0 {
            self.sums.fill(0);
            return Ok(());
        }
        let fill_row = |buffer: &mut B, (row, ((blocks, scale), sum)): (usize, ByteRow<'_>)| {
            let codes = blocks.as_flattened_mut();
            *scale = quantise(row, buffer, &mut codes[..columns])?;
            codes[columns..].fill(0);
            let codes = &codes[..columns];
            *sum = multiversion!(set, byte_sum, (codes: &[i8]) -> i32);
            Ok(())
        };
        if rows == 1 {
            // One row: handing it to another thread costs more than the work.
            let row = ((self.blocks.as_mut_slice(), &mut self.scales[0]), &mut self.sums[0]);
            return fill_row(&mut buffer(), (0, row));
        }
        self.blocks
            .par_chunks_mut(row_blocks)
            .zip(&mut self.scales)
            .zip(&mut self.sums)
            .enumerate()
            .try_for_each_init(buffer, fill_row)
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The 8-bit integers, row-major.
    pub fn codes(&self) -> Vec<i8> {
        let stride = self.columns.div_ceil(BLOCK) * BLOCK;
        let padded = self.blocks.as_flattened();
        (0..self.rows).flat_map(|row| padded[row * stride..][..self.columns].iter().copied()).collect()
    }

    /// The scale s of each row: x ≈ xq / s.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }
}

/// The blocks, scale and sum of a row.
type ByteRow<'a> = ((&'a mut [Block<i8>], &'a mut f32), &'a mut i32);

#[inline(always)]
fn byte_sum(codes: &[i8]) -> i32 {
    codes.iter().map(|&code| i32::from(code)).sum()
}

trait Flatten<T> {
    fn as_flattened(&self) -> &[T];
    fn as_flattened_mut(&mut self) -> &mut [T];
}

impl<T> Flatten<T> for [Block<T>] {
    fn as_flattened(&self) -> &[T] {
        // SAFETY: a block is an array of 64 elements without padding (64 one-byte elements, aligned to 64).
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), 64 * self.len()) }
    }

    fn as_flattened_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), 64 * self.len()) }
    }
}

fn expect_row(columns: usize) -> Result<(), FormatError> {
    if columns <= LONGEST_ROW {
        return Ok(());
    }
    Err(FormatError::Overflow { bound: 256 * columns as u128, limit: i32::MAX as u128 })
}

/// Σ code · x over a row: the reference of the vector kernels.
fn code_sum(w: &[Block<u8>], x: &[Block<i8>]) -> i32 {
    let mut sum = 0;
    for (w, x) in w.iter().zip(x.chunks_exact(4)) {
        for (s, x) in x.iter().enumerate() {
            for (&byte, &x) in w.0.iter().zip(&x.0) {
                sum += i32::from(byte >> (2 * s) & 3) * i32::from(x);
            }
        }
    }
    sum
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Block;

    /// # Safety
    /// Each row of weights has `blocks` blocks, each row of activations four times as many.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn code_sums_avx512<const ROWS: usize, const COLUMNS: usize>(
        w: [&[Block<u8>]; ROWS],
        x: [&[Block<i8>]; COLUMNS],
        blocks: usize,
    ) -> [[i32; COLUMNS]; ROWS] {
        let mut sums = [[_mm512_setzero_si512(); COLUMNS]; ROWS];
        let low_bits = _mm512_set1_epi8(3);
        let (w, x) = (w.map(<[_]>::as_ptr), x.map(<[_]>::as_ptr));
        for block in 0..blocks {
            // SAFETY: the block is below the lengths that the caller guarantees, and blocks are aligned.
            let mut codes = w.map(|w| unsafe { _mm512_load_si512(w.wrapping_add(block).cast()) });
            for s in 0..4 {
                // SAFETY: as above.
                let xs = x.map(|x| unsafe { _mm512_load_si512(x.wrapping_add(4 * block + s).cast()) });
                for row in 0..ROWS {
                    let code = _mm512_and_si512(codes[row], low_bits);
                    codes[row] = _mm512_srli_epi16(codes[row], 2);
                    for column in 0..COLUMNS {
                        sums[row][column] = _mm512_dpbusd_epi32(sums[row][column], code, xs[column]);
                    }
                }
            }
        }
        let mut result = [[0; COLUMNS]; ROWS];
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                result[row][column] = _mm512_reduce_add_epi32(sums[row][column]);
            }
        }
        result
    }

    /// # Safety
    /// Each row of weights has `blocks` blocks, each row of activations four times as many.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn code_sums_avx2<const ROWS: usize, const COLUMNS: usize>(
        w: [&[Block<u8>]; ROWS],
        x: [&[Block<i8>]; COLUMNS],
        blocks: usize,
    ) -> [[i32; COLUMNS]; ROWS] {
        let (low_bits, ones) = (_mm256_set1_epi8(3), _mm256_set1_epi16(1));
        let mut result = [[0; COLUMNS]; ROWS];
        for column in 0..COLUMNS {
            let x = x[column].as_ptr().cast::<__m256i>();
            let mut sums = [_mm256_setzero_si256(); ROWS];
            for block in 0..blocks {
                // Pairs of products are at most 2 · 2 · 128 = 512 in magnitude; eight of them stay in 16 bits.
                let mut pairs = [_mm256_setzero_si256(); ROWS];
                for half in 0..2 {
                    // SAFETY: the block is below the lengths that the caller guarantees; a block is two aligned vectors.
                    let mut codes = w.map(|w| unsafe {
                        _mm256_load_si256(w.as_ptr().wrapping_add(block).cast::<__m256i>().wrapping_add(half))
                    });
                    for s in 0..4 {
                        // SAFETY: as above.
                        let xs = unsafe { _mm256_load_si256(x.wrapping_add(8 * block + 2 * s + half)) };
                        for row in 0..ROWS {
                            let code = _mm256_and_si256(codes[row], low_bits);
                            codes[row] = _mm256_srli_epi16(codes[row], 2);
                            pairs[row] = _mm256_add_epi16(pairs[row], _mm256_maddubs_epi16(code, xs));
                        }
                    }
                }
                for row in 0..ROWS {
                    sums[row] = _mm256_add_epi32(sums[row], _mm256_madd_epi16(pairs[row], ones));
                }
            }
            for row in 0..ROWS {
                let lanes: [i32; 8] = {
                    let mut lanes = [0; 8];
                    // SAFETY: eight 32-bit lanes fill the array.
                    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sums[row]) };
                    lanes
                };
                result[row][column] = lanes.iter().sum();
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bipolar::{Activations, BitWidth, Encoding, Weights};
    use super::super::random::Random;
    use super::*;

    fn ternaries(random: &mut Random, count: usize) -> Vec<i8> {
        (0..count).map(|_| ((random.bits() >> 33) % 3) as i8 - 1).collect()
    }

    fn naive(w: &[i8], x: &[i8], columns: usize) -> Vec<i32> {
        let dot = |w: &[i8], x: &[i8]| w.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
        x.chunks(columns).flat_map(|x| w.chunks(columns).map(move |w| dot(w, x))).collect()
    }

    fn check(rows: usize, tokens: usize, columns: usize, random: &mut Random) {
        let w = ternaries(random, rows * columns);
        let matrix = TernaryMatrix::new(&w, rows, columns, 0.37).unwrap();
        let values = random.normals(tokens * columns);
        for set in InstructionSet::available() {
            let mut x = ByteRows::empty();
            x.quantise(&values, tokens, columns, set).unwrap();
            let expected = naive(&w, &x.codes(), columns);
            let (mut sums, mut y) = (vec![0; rows * tokens], vec![0.0; rows * tokens]);
            matrix.product_i32(&x, &mut sums, set).unwrap();
            assert_eq!(sums, expected, "{rows} {tokens} {columns} {set}");
            matrix.product_f32(&x, &mut y, set).unwrap();
            for (index, (&y, &sum)) in y.iter().zip(&expected).enumerate() {
                let definition = f64::from(sum) * f64::from(0.37f32) / f64::from(x.scales[index / rows]);
                assert!((f64::from(y) - definition).abs() <= 1e-6 * definition.abs());
            }
        }
    }

    #[test]
    fn products_equal_the_triple_loop() {
        let mut random = Random::new(11);
        let shapes =
            [(1, 1, 1), (3, 2, 77), (5, 5, 255), (4, 4, 256), (9, 6, 257), (17, 3, 1000), (130, 9, 64)];
        for (rows, tokens, columns) in shapes {
            check(rows, tokens, columns, &mut random);
        }
        for (columns, rows) in [(768, 768), (2048, 5632), (2560, 32000)] {
            check(rows, 1, columns, &mut random);
        }
    }

    #[test]
    fn fake_quantised_floats_give_the_same_product() {
        let (rows, tokens, columns) = (24, 5, 300);
        let mut random = Random::new(12);
        let (weights, values) = (random.normals(rows * columns), random.normals(tokens * columns));
        let matrix = TernaryMatrix::quantised(&weights, rows, columns).unwrap();
        let mut x = ByteRows::empty();
        x.quantise(&values, tokens, columns, InstructionSet::best()).unwrap();
        let mut y = vec![0.0; rows * tokens];
        matrix.product_f32(&x, &mut y, InstructionSet::best()).unwrap();
        let beta = (weights.iter().map(|w| f64::from(w.abs())).sum::<f64>() / weights.len() as f64) as f32;
        for (index, y) in y.iter().enumerate() {
            let (t, r) = (index / rows, index % rows);
            let row = &values[t * columns..][..columns];
            let s = 127.0 / row.iter().fold(0f32, |a, v| a.max(v.abs())).max(1e-5);
            let terms = (0..columns).map(|k| {
                let w = (weights[r * columns + k] / beta).round_ties_even().clamp(-1.0, 1.0) * beta;
                f64::from(w) * f64::from((s * row[k]).round_ties_even().clamp(-128.0, 127.0) / s)
            });
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            assert!((f64::from(*y) - sum).abs() <= 1e-6 * size, "{y} {sum}");
        }
    }

    #[test]
    fn bit_planes_give_the_same_product() {
        let (rows, tokens, columns) = (10, 6, 700);
        let mut random = Random::new(13);
        let w = ternaries(&mut random, rows * columns);
        let mut x = ByteRows::empty();
        x.quantise(&random.normals(tokens * columns), tokens, columns, InstructionSet::best()).unwrap();
        let mut expected = vec![0; rows * tokens];
        let matrix = TernaryMatrix::new(&w, rows, columns, 1.0).unwrap();
        matrix.product_i32(&x, &mut expected, InstructionSet::best()).unwrap();
        let integers = |codes: &[i8]| -> Vec<i16> { codes.iter().map(|&c| c.into()).collect() };
        let byte = Encoding::TwosComplement(BitWidth::new(8).unwrap());
        let x = Activations::from_integers(byte, tokens, columns, &integers(&x.codes())).unwrap();
        for encoding in [Encoding::TernaryMasks, Encoding::TernaryPair] {
            let w = Weights::from_integers(encoding, rows, columns, &integers(&w)).unwrap();
            let mut y = vec![0; rows * tokens];
            w.product_i32(&x, &mut y, InstructionSet::best()).unwrap();
            assert_eq!(y, expected);
        }
    }

    #[test]
    fn ties_go_to_even() {
        // The mean magnitude of the weights is 1, so that 0.5 and −0.5 are ties (to 0) and 1.5 is clipped to 1.
        let mut ternary = [9; 6];
        assert_eq!(quantise_weights(&[0.5, -0.5, 1.5, -1.5, 0.75, 1.25], &mut ternary), Ok(1.0));
        assert_eq!(ternary, [0, 0, 1, -1, 1, 1]);
        // A maximum of 127 has the scale 1.
        for set in InstructionSet::available() {
            let mut codes = [0; 8];
            let row = [127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -127.0];
            assert_eq!(quantise_row(&row, &mut codes, set), Ok(1.0));
            assert_eq!(codes, [127, 0, 2, 2, 0, -2, -2, -127]);
        }
    }

    #[test]
    fn zeros_have_the_smallest_range() {
        let (mut ternary, mut codes) = ([9; 3], [9; 3]);
        assert_eq!(quantise_weights(&[0.0; 3], &mut ternary), Ok(SMALLEST_RANGE));
        assert_eq!(quantise_row(&[0.0; 3], &mut codes, InstructionSet::best()), Ok(127.0 / SMALLEST_RANGE));
        assert_eq!((ternary, codes), ([0; 3], [0; 3]));
    }

    #[test]
    fn wrong_input_is_an_error() {
        assert!(matches!(
            TernaryMatrix::new(&[0, 2], 1, 2, 1.0),
            Err(FormatError::Code { index: 1, found: 2, .. })
        ));
        let packed = TernaryMatrix::new(&[1, 0, -1], 1, 3, 1.0).unwrap().packed();
        assert!(matches!(
            TernaryMatrix::from_packed(&packed[..63], 1, 3, 1.0),
            Err(FormatError::Length { expected: 64, found: 63, .. })
        ));
        let mut broken = packed.clone();
        broken[7] |= 0b1100;
        assert!(matches!(
            TernaryMatrix::from_packed(&broken, 1, 3, 1.0),
            Err(FormatError::Code { index: 7, .. })
        ));
        let mut x = ByteRows::empty();
        assert!(x.quantise(&[1.0, f32::NAN], 1, 2, InstructionSet::best()).is_err());
        x.quantise(&[1.0, 2.0], 1, 2, InstructionSet::best()).unwrap();
        let matrix = TernaryMatrix::new(&[1, 0, -1], 1, 3, 1.0).unwrap();
        assert!(matches!(
            matrix.product_i32(&x, &mut [0], InstructionSet::best()),
            Err(FormatError::Mismatch { .. })
        ));
        assert!(matches!(
            x.quantise(&[], 0, LONGEST_ROW + 1, InstructionSet::best()),
            Err(FormatError::Overflow { .. })
        ));
    }

    proptest! {
        #[test]
        fn weights_survive_packing(rows in 0usize..6, columns in 0usize..600, seed: u64) {
            let w = ternaries(&mut Random::new(seed), rows * columns);
            let matrix = TernaryMatrix::new(&w, rows, columns, 0.5).unwrap();
            prop_assert_eq!(&matrix.ternary(), &w);
            let again = TernaryMatrix::from_packed(&matrix.packed(), rows, columns, 0.5).unwrap();
            prop_assert_eq!(again.ternary(), w);
            prop_assert_eq!(matrix.bytes(), rows * columns.div_ceil(256) * 64);
        }

        #[test]
        fn all_instruction_sets_quantise_by_the_definition(row in prop::collection::vec(-50f32..50.0, 0..300)) {
            let largest = row.iter().fold(0f32, |a, v| a.max(v.abs())).max(1e-5);
            let scale = 127.0 / largest;
            let expected: Vec<i8> =
                row.iter().map(|v| (scale * v).round_ties_even().clamp(-128.0, 127.0) as i8).collect();
            for set in InstructionSet::available() {
                let mut codes = vec![0; row.len()];
                prop_assert_eq!(quantise_row(&row, &mut codes, set), Ok(scale));
                prop_assert_eq!(&codes, &expected);
            }
        }
    }
}
