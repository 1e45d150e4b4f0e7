//! Matrices as packed bit planes.
//!
//! A line is 512 consecutive elements of one plane of one row: eight 64-bit words, lowest bit first. The lines of a matrix
//! lie in the order `[row block][512-element block][plane][row of the block]`, so that a kernel reads all planes of its rows
//! from one stretch of memory. Weights come in blocks of eight rows, activations (which are few, often one) in blocks of one.
//! Rows are padded to whole lines and row blocks with zero bits, which neither XOR against zero bits nor AND counts.

use rayon::prelude::*;

use super::super::instruction_set::{Level, multiversion};
use super::super::{FormatError, InstructionSet, expect_length};
use super::quantise::{scale_with, write_codes};
use super::{BitWidth, Quantiser};

/// 512 bits of one plane.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u64; 8]);

/// Elements of a line.
pub(super) const LINE: usize = 512;

/// What the planes of a code stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Plane i is ±2ⁱ: the odd integers from −(2ⁿ−1) to 2ⁿ−1.
    Bipolar(BitWidth),
    /// Plane i is 0 or 2ⁱ: 0 to 2ⁿ−1.
    Unsigned(BitWidth),
    /// As unsigned, but the top plane is 0 or −2ⁿ⁻¹: −2ⁿ⁻¹ to 2ⁿ⁻¹−1.
    TwosComplement(BitWidth),
    /// −1, 0 and 1 as two masks: plane 0 marks the ones, plane 1 the minus ones.
    TernaryMasks,
    /// −1, 0 and 1 as half the sum of two planes of ±1: both set, one set (plane 0), none set.
    TernaryPair,
}

impl Encoding {
    /// The number of planes, which is also the number of bits that an element takes.
    pub fn planes(self) -> usize {
        match self {
            Encoding::Bipolar(width) | Encoding::Unsigned(width) | Encoding::TwosComplement(width) => {
                width.bits() as usize
            }
            Encoding::TernaryMasks | Encoding::TernaryPair => 2,
        }
    }

    /// The integer that a code stands for; `None` for a code without a meaning.
    pub fn value(self, code: u8) -> Option<i32> {
        if u32::from(code) >> self.planes() != 0 {
            return None;
        }
        let unsigned = i32::from(code);
        match (self, code) {
            (Encoding::Bipolar(width), _) => Some(width.value(code)),
            (Encoding::Unsigned(_), _) => Some(unsigned),
            (Encoding::TwosComplement(width), _) => {
                Some(unsigned - if code >> (width.bits() - 1) == 1 { 1 << width.bits() } else { 0 })
            }
            (Encoding::TernaryMasks, 0) | (Encoding::TernaryPair, 1) => Some(0),
            (Encoding::TernaryMasks, 1) | (Encoding::TernaryPair, 3) => Some(1),
            (Encoding::TernaryMasks, 2) | (Encoding::TernaryPair, 0) => Some(-1),
            (Encoding::TernaryMasks | Encoding::TernaryPair, _) => None,
        }
    }

    /// The code of an integer; `None` for one that the encoding does not have.
    pub fn code(self, integer: i32) -> Option<u8> {
        (0..=u8::MAX).find(|&code| self.value(code) == Some(integer))
    }

    /// The weight of each plane; a negative one for planes that are subtracted.
    pub(super) fn plane_weight(self, plane: usize) -> i32 {
        match self {
            Encoding::TwosComplement(width) if plane + 1 == width.bits() as usize => -(1 << plane),
            Encoding::Bipolar(_) | Encoding::Unsigned(_) | Encoding::TwosComplement(_) => 1 << plane,
            Encoding::TernaryMasks => 1 - 2 * plane as i32,
            Encoding::TernaryPair => 1,
        }
    }

    /// Whether a bit is read as ±1 (else as 0 or 1).
    pub(super) fn is_signed_plane(self) -> bool {
        matches!(self, Encoding::Bipolar(_) | Encoding::TernaryPair)
    }

    /// How often the weighted sum of the planes has to be halved.
    pub(super) fn halvings(self) -> u32 {
        u32::from(self == Encoding::TernaryPair)
    }

    /// The largest magnitude of a value.
    pub(super) fn largest(self) -> i32 {
        match self {
            Encoding::Bipolar(width) | Encoding::Unsigned(width) => width.largest(),
            Encoding::TwosComplement(width) => 1 << (width.bits() - 1),
            Encoding::TernaryMasks | Encoding::TernaryPair => 1,
        }
    }
}

/// A matrix as packed bit planes, with what is needed to read its integers as reals: entry (r, k) is
/// `scale · integer + offset` with a scale and an offset for each row, or for each group of columns of a row.
#[derive(Clone, Debug)]
pub struct PlaneMatrix<const BLOCK: usize> {
    encoding: Encoding,
    rows: usize,
    columns: usize,
    group: usize,
    lines: Vec<Line>,
    scales: Vec<f32>,
    offsets: Vec<f32>,
    sums: Vec<i64>,
}

/// The operand whose rows are the columns of the result: `out × in`, packed once.
pub type Weights = PlaneMatrix<8>;

/// The operand whose rows are the rows of the result: `tokens × in`, packed for each product.
pub type Activations = PlaneMatrix<1>;

impl<const BLOCK: usize> PlaneMatrix<BLOCK> {
    /// An empty matrix to be filled by [`Self::quantise`].
    pub fn empty() -> Self {
        PlaneMatrix {
            encoding: Encoding::TernaryPair,
            rows: 0,
            columns: 0,
            group: 1,
            lines: Vec::new(),
            scales: Vec::new(),
            offsets: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Packs codes (row-major, `rows × columns`), all scales 1 and offsets 0.
    ///
    /// # Errors
    /// [`FormatError::Length`] or [`FormatError::Code`].
    pub fn from_codes(
        encoding: Encoding,
        rows: usize,
        columns: usize,
        codes: &[u8],
    ) -> Result<Self, FormatError> {
        expect_length("the codes", codes, rows * columns)?;
        if let Some(index) = codes.iter().position(|&code| encoding.value(code).is_none()) {
            let expected = format!("a code of {encoding:?}");
            return Err(FormatError::Code { what: "the codes", index, found: codes[index].into(), expected });
        }
        let mut matrix = Self::empty();
        matrix.reshape(encoding, rows, columns, None)?;
        matrix.scales.fill(1.0);
        let set = InstructionSet::best();
        matrix.fill(
            |row, _, range, _, buffer| {
                buffer.copy_from_slice(&codes[row * columns..][range]);
                Ok(())
            },
            set,
        )?;
        Ok(matrix)
    }

    /// Packs integers (row-major, `rows × columns`), all scales 1 and offsets 0.
    ///
    /// # Errors
    /// [`FormatError::Length`], or [`FormatError::Code`] for an integer that the encoding does not have.
    pub fn from_integers(
        encoding: Encoding,
        rows: usize,
        columns: usize,
        integers: &[i16],
    ) -> Result<Self, FormatError> {
        let code = |(index, &integer): (usize, &i16)| {
            encoding.code(integer.into()).ok_or_else(|| FormatError::Code {
                what: "the integers",
                index,
                found: integer.into(),
                expected: format!("an integer of {encoding:?}"),
            })
        };
        let codes: Vec<u8> = integers.iter().enumerate().map(code).collect::<Result<_, _>>()?;
        Self::from_codes(encoding, rows, columns, &codes)
    }

    /// Packs signed integers of n bits, read as `scale · integer + zero` for each row, as bipolar ones of n bits without
    /// loss: scales s/2 and offsets z − s/2.
    ///
    /// # Errors
    /// [`FormatError::Length`] or [`FormatError::Code`].
    pub fn from_signed(
        width: BitWidth,
        rows: usize,
        columns: usize,
        integers: &[i8],
        scales: &[f32],
        zeros: &[f32],
    ) -> Result<Self, FormatError> {
        let codes: Vec<u8> =
            integers.iter().map(|&integer| width.code_of_signed(integer)).collect::<Result<_, _>>()?;
        let matrix = Self::from_codes(Encoding::Bipolar(width), rows, columns, &codes)?;
        let halves: Vec<f32> = scales.iter().map(|s| s / 2.0).collect();
        let offsets: Vec<f32> = zeros.iter().zip(scales).map(|(z, s)| z - s / 2.0).collect();
        matrix.with_scales(&halves)?.with_offsets(&offsets)
    }

    /// Quantises and packs a matrix (row-major, `rows × columns`).
    ///
    /// # Errors
    /// As [`Self::quantise`].
    pub fn quantised(
        quantiser: Quantiser,
        values: &[f32],
        rows: usize,
        columns: usize,
    ) -> Result<Self, FormatError> {
        let mut matrix = Self::empty();
        matrix.quantise(quantiser, values, rows, columns)?;
        Ok(matrix)
    }

    /// Quantises and packs another matrix (row-major, `rows × columns`) into this one's storage. After an error the contents
    /// are unspecified, but safe to use.
    ///
    /// # Errors
    /// [`FormatError::Length`], [`FormatError::NotFinite`] (the index counts from the start of the group) or [`FormatError::Group`].
    pub fn quantise(
        &mut self,
        quantiser: Quantiser,
        values: &[f32],
        rows: usize,
        columns: usize,
    ) -> Result<(), FormatError> {
        self.quantise_with(quantiser, values, rows, columns, InstructionSet::best())
    }

    /// [`Self::quantise`] with chosen instructions.
    ///
    /// # Errors
    /// As [`Self::quantise`].
    pub fn quantise_with(
        &mut self,
        quantiser: Quantiser,
        values: &[f32],
        rows: usize,
        columns: usize,
        set: InstructionSet,
    ) -> Result<(), FormatError> {
        expect_length("the values", values, rows * columns)?;
        let Quantiser { width, rule, group } = quantiser;
        self.reshape(Encoding::Bipolar(width), rows, columns, group)?;
        let group = self.group;
        self.fill(
            |row, scale, range, group_start, buffer| {
                let row = &values[row * columns..][..columns];
                if range.start == group_start {
                    *scale =
                        scale_with(&row[group_start..columns.min(group_start + group)], width, rule, set)?;
                }
                write_codes(&row[range], width, *scale, buffer, set);
                Ok(())
            },
            set,
        )
    }

    /// With other scales, one for each row and group (row-major).
    ///
    /// # Errors
    /// [`FormatError::Length`].
    pub fn with_scales(mut self, scales: &[f32]) -> Result<Self, FormatError> {
        expect_length("the scales", scales, self.rows * self.groups())?;
        self.scales.copy_from_slice(scales);
        Ok(self)
    }

    /// With offsets, one for each row and group (row-major).
    ///
    /// # Errors
    /// [`FormatError::Length`].
    pub fn with_offsets(mut self, offsets: &[f32]) -> Result<Self, FormatError> {
        expect_length("the offsets", offsets, self.rows * self.groups())?;
        self.offsets = offsets.to_vec();
        Ok(self)
    }

    /// What the codes stand for.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Groups of a row.
    pub fn groups(&self) -> usize {
        self.columns.div_ceil(self.group)
    }

    /// Elements of a group: the columns where rows are not divided.
    pub fn group(&self) -> usize {
        self.group
    }

    /// The scales, one for each row and group (row-major).
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The offsets, one for each row and group (row-major), or none where all are zero.
    pub fn offsets(&self) -> &[f32] {
        &self.offsets
    }

    /// Bytes of the planes, padding included: planes/8 for each element of a matrix with multiples of 8 (or, for
    /// activations, any number of) rows and of 512 columns.
    pub fn plane_bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// Bytes of scales, offsets and row sums.
    pub fn side_bytes(&self) -> usize {
        size_of_val(self.scales.as_slice())
            + size_of_val(self.offsets.as_slice())
            + size_of_val(self.sums.as_slice())
    }

    /// The codes, row-major.
    pub fn codes(&self) -> Vec<u8> {
        let index = |row, column| (self.line(row, column / LINE), (column / 64) % 8, column % 64);
        let code = |row, column| {
            let (line, word, bit) = index(row, column);
            (0..self.encoding.planes())
                .map(|plane| ((self.lines[line + plane * BLOCK].0[word] >> bit & 1) as u8) << plane)
                .sum()
        };
        (0..self.rows).flat_map(|row| (0..self.columns).map(move |column| code(row, column))).collect()
    }

    /// The matrix as reals, row-major.
    pub fn dequantise(&self) -> Vec<f32> {
        let columns = self.columns.max(1);
        let real = |(index, code): (usize, u8)| {
            let entry = index / columns * self.groups() + index % columns / self.group;
            let integer = self.encoding.value(code).unwrap_or(0);
            self.scales[entry] * integer as f32 + self.offsets.get(entry).unwrap_or(&0.0)
        };
        self.codes().into_iter().enumerate().map(real).collect()
    }

    /// The sum of the integers of each row and group (row-major).
    pub(super) fn sums(&self) -> &[i64] {
        &self.sums
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Lines of a plane of a row.
    pub(super) fn line_blocks(&self) -> usize {
        self.columns.div_ceil(LINE)
    }

    /// The index of the line of a row's plane 0 in a 512-element block.
    pub(super) fn line(&self, row: usize, block: usize) -> usize {
        ((row / BLOCK * self.line_blocks() + block) * self.encoding.planes()) * BLOCK + row % BLOCK
    }

    fn reshape(
        &mut self,
        encoding: Encoding,
        rows: usize,
        columns: usize,
        group: Option<usize>,
    ) -> Result<(), FormatError> {
        let group = match group {
            Some(found) if found == 0 || (found % 64 != 0 && found < columns) => {
                return Err(FormatError::Group { found, columns });
            }
            Some(found) if found < columns => found,
            _ => columns.max(1),
        };
        (self.encoding, self.rows, self.columns, self.group) = (encoding, rows, columns, group);
        let lines = rows.div_ceil(BLOCK) * self.line_blocks() * encoding.planes() * BLOCK;
        // Everything below is overwritten but the padding rows, so that only those have to be cleared.
        self.lines.resize(lines, Line::default());
        if !rows.is_multiple_of(BLOCK) {
            let last = self.line(rows - rows % BLOCK, 0);
            self.lines[last..].fill(Line::default());
        }
        self.scales.resize(rows * self.groups(), 0.0);
        self.sums.resize(rows * self.groups(), 0);
        self.offsets.clear();
        Ok(())
    }

    /// Fills all planes and sums. `write(row, scale, range, group start, codes)` gives the codes of a range of columns of a
    /// row, which lies inside one group; ranges of a row come in order.
    fn fill<F>(&mut self, write: F, set: InstructionSet) -> Result<(), FormatError>
    where
        F: Fn(usize, &mut f32, std::ops::Range<usize>, usize, &mut [u8]) -> Result<(), FormatError> + Sync,
    {
        let (encoding, rows, columns, group) = (self.encoding, self.rows, self.columns, self.group);
        let (groups, planes, blocks) = (self.groups(), encoding.planes(), self.line_blocks());
        if rows == 0 || columns == 0 {
            return Ok(());
        }
        let fill_block = |(index, ((lines, scales), sums)): (usize, RowBlock<'_>)| {
            sums.fill(0);
            for local in 0..BLOCK.min(rows - index * BLOCK) {
                for block in 0..blocks {
                    let mut codes = Codes([0; LINE]);
                    let end = columns.min((block + 1) * LINE);
                    let mut start = block * LINE;
                    while start < end {
                        let this = start / group;
                        let stop = end.min((this + 1) * group);
                        let piece = &mut codes.0[start % LINE..][..stop - start];
                        let entry = local * groups + this;
                        write(index * BLOCK + local, &mut scales[entry], start..stop, this * group, piece)?;
                        sums[entry] += sum_of(encoding, piece, set);
                        start = stop;
                    }
                    let lines = &mut lines[block * planes * BLOCK + local..];
                    transpose(&codes, planes, set, |plane, line| lines[plane * BLOCK] = line);
                }
            }
            Ok(())
        };
        let (lines, side) = (blocks * planes * BLOCK, groups * BLOCK);
        if rows <= BLOCK {
            // One block: handing it to another thread costs more than the work.
            return fill_block((0, ((&mut self.lines, &mut self.scales), &mut self.sums)));
        }
        self.lines
            .par_chunks_mut(lines)
            .zip(self.scales.par_chunks_mut(side))
            .zip(self.sums.par_chunks_mut(side))
            .enumerate()
            .try_for_each(fill_block)
    }
}

/// The lines, scales and sums of a block of rows.
type RowBlock<'a> = ((&'a mut [Line], &'a mut [f32]), &'a mut [i64]);

/// The codes of a 512-element block.
#[repr(align(64))]
struct Codes([u8; LINE]);

/// The sum of the integers of valid codes.
fn sum_of(encoding: Encoding, codes: &[u8], set: InstructionSet) -> i64 {
    match encoding {
        Encoding::Bipolar(width) => {
            let sum = multiversion!(set, byte_sum, (codes: &[u8]) -> u32);
            2 * i64::from(sum) - codes.len() as i64 * i64::from(width.largest())
        }
        _ => codes.iter().map(|&code| i64::from(encoding.value(code).unwrap_or(0))).sum(),
    }
}

#[inline(always)]
fn byte_sum(codes: &[u8]) -> u32 {
    codes.iter().map(|&code| u32::from(code)).sum()
}

/// Splits 512 codes into lines of their planes.
fn transpose(codes: &Codes, planes: usize, set: InstructionSet, mut write: impl FnMut(usize, Line)) {
    for plane in 0..planes {
        let line = match set.0 {
            // SAFETY: an `InstructionSet` exists only for instructions that were detected.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { transpose_avx2(codes, plane) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { transpose_avx512(codes, plane) },
            _ => transpose_baseline(codes, plane),
        };
        write(plane, line);
    }
}

fn transpose_baseline(codes: &Codes, plane: usize) -> Line {
    let byte = |codes: &[u8]| {
        // The multiplication adds copies of the word such that bit 8k of it lands in bit 56 + k, for k = 0..8.
        let word = u64::from_le_bytes(std::array::from_fn(|k| codes[k]));
        ((word >> plane) & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    Line(std::array::from_fn(|w| (0..8).map(|k| byte(&codes.0[64 * w + 8 * k..]) << (8 * k)).sum()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn transpose_avx2(codes: &Codes, plane: usize) -> Line {
    use std::arch::x86_64::*;
    let shift = _mm_cvtsi32_si128(7 - plane as i32);
    let half = |start: usize| {
        // SAFETY: 32 bytes from `start`, a multiple of 32 below 512, are inside the aligned array.
        let bytes = unsafe { _mm256_load_si256(codes.0.as_ptr().add(start).cast()) };
        // The shift brings the bit to the top of its byte; what crosses a byte's border lands below the top.
        u64::from(_mm256_movemask_epi8(_mm256_sll_epi16(bytes, shift)) as u32)
    };
    Line(std::array::from_fn(|word| half(64 * word) | half(64 * word + 32) << 32))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_avx512(codes: &Codes, plane: usize) -> Line {
    use std::arch::x86_64::*;
    let bit = _mm512_set1_epi8((1u8 << plane) as i8);
    Line(std::array::from_fn(|word| {
        // SAFETY: 64 bytes from 64 · word, word < 8, are inside the aligned array.
        let bytes = unsafe { _mm512_load_si512(codes.0.as_ptr().add(64 * word).cast()) };
        _mm512_test_epi8_mask(bytes, bit)
    }))
}

#[cfg(test)]
mod tests {
    use super::super::super::random::Random;
    use super::super::ScaleRule;
    use super::*;

    fn width(bits: u32) -> BitWidth {
        BitWidth::new(bits).unwrap()
    }

    #[test]
    fn the_worked_example_has_its_packed_words() {
        let w = Weights::from_codes(Encoding::Bipolar(width(2)), 1, 4, &[0, 1, 2, 3]).unwrap();
        assert_eq!((w.lines[0].0[0], w.lines[8].0[0]), (0b1010, 0b1100));
        let x = Activations::from_codes(Encoding::Bipolar(width(1)), 1, 4, &[1, 0, 1, 1]).unwrap();
        assert_eq!(x.lines[0].0[0], 0b1101);
    }

    #[test]
    fn codes_survive_packing() {
        let mut random = Random::new(2);
        for bits in 1..=8 {
            for (rows, columns) in [(0, 5), (3, 0), (1, 1), (7, 63), (8, 64), (9, 65), (17, 512), (2, 1100)] {
                let codes = random.codes(rows * columns, bits);
                let encoding = Encoding::Bipolar(width(bits));
                assert_eq!(Weights::from_codes(encoding, rows, columns, &codes).unwrap().codes(), codes);
                let x = Activations::from_codes(encoding, rows, columns, &codes).unwrap();
                assert_eq!(x.codes(), codes);
                for row in 0..if columns > 0 { rows } else { 0 } {
                    let values = codes[row * columns..][..columns].iter().map(|&c| width(bits).value(c));
                    assert_eq!(x.sums()[row], values.map(i64::from).sum::<i64>());
                }
            }
        }
    }

    #[test]
    fn values_and_codes_of_every_encoding_are_inverse() {
        let mut encodings = vec![Encoding::TernaryMasks, Encoding::TernaryPair];
        for bits in 1..=8 {
            let width = width(bits);
            encodings.extend([
                Encoding::Bipolar(width),
                Encoding::Unsigned(width),
                Encoding::TwosComplement(width),
            ]);
        }
        for encoding in encodings {
            for code in 0..=255u8 {
                if let Some(value) = encoding.value(code) {
                    assert_eq!(encoding.code(value), Some(code));
                    assert!(value.abs() <= encoding.largest());
                    let by_planes: i32 = (0..encoding.planes())
                        .map(|plane| {
                            let bit = i32::from(code >> plane & 1);
                            encoding.plane_weight(plane)
                                * if encoding.is_signed_plane() { 2 * bit - 1 } else { bit }
                        })
                        .sum();
                    assert_eq!(i64::from(by_planes), i64::from(value) << encoding.halvings());
                }
            }
        }
    }

    #[test]
    fn all_instruction_sets_pack_alike_and_refilling_leaves_nothing_behind() {
        let mut random = Random::new(3);
        for bits in [1, 3, 8] {
            for (rows, columns, group) in [(1, 700, None), (11, 1000, Some(64)), (3, 1536, Some(512))] {
                let values = random.normals(rows * columns);
                let quantiser = Quantiser { width: width(bits), rule: ScaleRule::Maximum, group };
                let mut expected = Weights::empty();
                expected.quantise_with(quantiser, &values, rows, columns, InstructionSet::BASELINE).unwrap();
                for set in InstructionSet::available() {
                    let mut other =
                        Weights::from_codes(Encoding::Unsigned(width(8)), 40, 3000, &[255; 120_000]).unwrap();
                    other.quantise_with(quantiser, &values, rows, columns, set).unwrap();
                    assert_eq!(other.lines.len(), expected.lines.len());
                    assert!(other.lines.iter().zip(&expected.lines).all(|(a, b)| a.0 == b.0), "{set}");
                    assert_eq!((&other.scales, &other.sums), (&expected.scales, &expected.sums));
                }
            }
        }
    }

    #[test]
    fn a_group_has_the_scale_of_its_own_elements() {
        let values = Random::new(4).normals(2 * 300);
        let quantiser = Quantiser { width: width(3), rule: ScaleRule::Maximum, group: Some(128) };
        let matrix = Weights::quantised(quantiser, &values, 2, 300).unwrap();
        assert_eq!(matrix.groups(), 3);
        let last = &values[300 + 256..600];
        let largest = last.iter().fold(0f32, |largest, v| largest.max(v.abs()));
        assert_eq!(matrix.scales()[5], largest / 7.0);
        for (index, (value, real)) in values.iter().zip(matrix.dequantise()).enumerate() {
            let scale = matrix.scales()[index / 300 * 3 + index % 300 / 128];
            assert!((value - real).abs() <= scale * 1.0001);
        }
    }

    #[test]
    fn wrong_input_is_an_error() {
        let bipolar = Encoding::Bipolar(width(2));
        assert!(matches!(Weights::from_codes(bipolar, 2, 2, &[0; 3]), Err(FormatError::Length { .. })));
        assert!(matches!(
            Weights::from_codes(bipolar, 1, 2, &[0, 4]),
            Err(FormatError::Code { index: 1, found: 4, .. })
        ));
        assert!(Weights::from_codes(Encoding::TernaryMasks, 1, 1, &[3]).is_err());
        assert!(Weights::from_integers(bipolar, 1, 1, &[0]).is_err());
        let quantiser = Quantiser { group: Some(100), ..Quantiser::rows(width(2)) };
        assert!(matches!(
            Weights::quantised(quantiser, &[0.0; 200], 1, 200),
            Err(FormatError::Group { found: 100, columns: 200 })
        ));
        assert!(Weights::quantised(Quantiser::rows(width(2)), &[f32::NAN; 20], 20, 1).is_err());
    }

    #[test]
    fn memory_is_the_planes_and_the_scales() {
        let matrix = Weights::quantised(Quantiser::rows(width(3)), &vec![1.0; 64 * 1024], 64, 1024).unwrap();
        assert_eq!(matrix.plane_bytes(), 64 * 1024 * 3 / 8);
        assert_eq!(matrix.side_bytes(), 64 * (4 + 8));
    }
}
