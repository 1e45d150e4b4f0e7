//! Products of two matrices of bit planes.
//!
//! With plane weights a_i and b_j and S = Σ_ij a_i b_j popcount(w_i ∘ x_j) over the K inner elements, a dot product is
//! ```text
//! both read as ±1:      ∘ = xor,  y = K A B − 2 S       (A = Σ a_i, B = Σ b_j)
//! both read as 0 and 1: ∘ = and,  y = S
//! w as 0/1, x as ±1:    ∘ = and,  y = 2 S − B Σ_k w     and the same with the operands exchanged
//! ```
//! For bipolar operands of n and m bits, A B = (2ⁿ−1)(2ᵐ−1). K is always the true length, never the padded one.

use rayon::prelude::*;

use super::super::{FormatError, InstructionSet, SharedOutput, expect_length};
use super::kernel::{Schedule, Tile, expect_bound, weighted_counts, word_counts};
use super::planes::{Activations, Encoding, LINE, Weights};

impl Weights {
    /// The exact integer product `Y = X Wᵀ`, row-major `tokens × out`; scales and offsets are not applied.
    ///
    /// # Errors
    /// [`FormatError::Mismatch`] if the operands have different numbers of columns, [`FormatError::Length`] if `y` has not
    /// `tokens · out` elements, [`FormatError::Overflow`] if a sum could leave 64 bits.
    pub fn product_i64(
        &self,
        x: &Activations,
        y: &mut [i64],
        set: InstructionSet,
    ) -> Result<(), FormatError> {
        expect_bound(self.encoding(), x.encoding(), x.shape().1, i64::MAX as u128)?;
        product(self, x, y, set, Sums::Whole, |_, _, sum| sum)
    }

    /// [`Self::product_i64`] into 32-bit integers.
    ///
    /// # Errors
    /// As for 64 bits; [`FormatError::Overflow`] if a sum could leave 32 bits (for 8 by 8 bits from 33,026 columns on).
    pub fn product_i32(
        &self,
        x: &Activations,
        y: &mut [i32],
        set: InstructionSet,
    ) -> Result<(), FormatError> {
        expect_bound(self.encoding(), x.encoding(), x.shape().1, i32::MAX as u128)?;
        product(self, x, y, set, Sums::Whole, |_, _, sum| sum as i32)
    }

    /// The real product `Y = X Wᵀ`, row-major `tokens × out`, with scales and offsets of both operands. In each group
    /// ```text
    /// y = s_w s_x Y' + s_w o_x Σ w' + o_w s_x Σ x' + K o_w o_x
    /// ```
    /// (the last three terms only where there are offsets), summed in f64 and rounded once.
    ///
    /// # Errors
    /// [`FormatError::Mismatch`] if the operands differ in columns or groups, [`FormatError::Length`] if `y` has not
    /// `tokens · out` elements.
    pub fn product_f32(
        &self,
        x: &Activations,
        y: &mut [f32],
        set: InstructionSet,
    ) -> Result<(), FormatError> {
        if self.group() != x.group() {
            return Err(FormatError::Mismatch { what: "group length", left: self.group(), right: x.group() });
        }
        let (columns, groups, group) = (x.shape().1, x.groups(), x.group());
        let offset = |offsets: &[f32], entry: usize| offsets.get(entry).map_or(0.0, |&o| f64::from(o));
        let exact = self.offsets().is_empty() && x.offsets().is_empty();
        product(self, x, y, set, Sums::Groups, |(row, column), g, sum| {
            let (w, x_entry) = (row * groups + g, column * groups + g);
            let (s_w, s_x) = (f64::from(self.scales()[w]), f64::from(x.scales()[x_entry]));
            let scaled = s_w * s_x * sum as f64;
            if exact {
                return scaled;
            }
            let (o_w, o_x) = (offset(self.offsets(), w), offset(x.offsets(), x_entry));
            let length = group.min(columns - g * group) as f64;
            scaled
                + s_w * o_x * self.sums()[w] as f64
                + o_w * s_x * x.sums()[x_entry] as f64
                + length * o_w * o_x
        })
    }
}

/// Over what one integer sum runs.
#[derive(Clone, Copy, PartialEq)]
enum Sums {
    /// A whole row.
    Whole,
    /// Each group of a row; what the groups give is added up.
    Groups,
}

/// An element of a result, and the sum that it is made of.
trait Element: Copy + Send {
    type Sum: Copy + Default + std::ops::AddAssign;
    fn from_sum(sum: Self::Sum) -> Self;
}

impl Element for i64 {
    type Sum = i64;
    fn from_sum(sum: i64) -> i64 {
        sum
    }
}

impl Element for i32 {
    type Sum = i32;
    fn from_sum(sum: i32) -> i32 {
        sum
    }
}

impl Element for f32 {
    type Sum = f64;
    fn from_sum(sum: f64) -> f32 {
        sum as f32
    }
}

/// Bytes of packed activations that a pass over the weights keeps in the second-level cache.
const PANEL_BYTES: usize = 256 << 10;

/// Rows of eight that a task takes at least, so that its work outweighs handing it over.
const LEAST_BLOCKS: usize = 16;

fn product<T: Element>(
    w: &Weights,
    x: &Activations,
    y: &mut [T],
    set: InstructionSet,
    sums: Sums,
    finish: impl Fn((usize, usize), usize, i64) -> T::Sum + Sync,
) -> Result<(), FormatError> {
    let ((rows, columns), (tokens, x_columns)) = (w.shape(), x.shape());
    if columns != x_columns {
        return Err(FormatError::Mismatch { what: "columns", left: columns, right: x_columns });
    }
    expect_length("the result", y, rows * tokens)?;
    if rows == 0 || tokens == 0 {
        return Ok(());
    }
    if columns == 0 {
        y.fill(T::from_sum(T::Sum::default()));
        return Ok(());
    }
    let (schedule, reading) =
        (Schedule::new(w.encoding(), x.encoding()), Reading::new(w.encoding(), x.encoding()));
    let dots = Dots { w, x, schedule, reading, set, sums, finish };
    let panel = (PANEL_BYTES / (x.plane_bytes() / tokens)).max(4) / 4 * 4;
    let output = SharedOutput::new(y);
    let blocks = rows.div_ceil(8);
    let task = |start: usize| {
        let range = start..blocks.min(start + LEAST_BLOCKS);
        for panel_start in (0..tokens).step_by(panel) {
            for pair in range.clone().step_by(2) {
                let pair = pair..range.end.min(pair + 2);
                // SAFETY: tasks have disjoint ranges of row blocks.
                unsafe { dots.blocks(pair, panel_start..tokens.min(panel_start + panel), &output) };
            }
        }
    };
    (0..blocks).into_par_iter().step_by(LEAST_BLOCKS).for_each(task);
    Ok(())
}

struct Dots<'a, F> {
    w: &'a Weights,
    x: &'a Activations,
    schedule: Schedule,
    reading: Reading,
    set: InstructionSet,
    sums: Sums,
    finish: F,
}

impl<F> Dots<'_, F> {
    /// Blocks of eight rows of the weights against a range of tokens. Two blocks fill a cache line of the result, which is
    /// then written at once: the lines of one column of the result compete for the same few places in the caches.
    ///
    /// # Safety
    /// No other task may work on the same rows.
    unsafe fn blocks<T: Element>(
        &self,
        blocks: std::ops::Range<usize>,
        tokens: std::ops::Range<usize>,
        output: &SharedOutput<'_, T>,
    ) where
        F: Fn((usize, usize), usize, i64) -> T::Sum,
    {
        let mut token = tokens.start;
        while token + 4 <= tokens.end {
            for block in blocks.clone() {
                // SAFETY: the caller's.
                unsafe {
                    self.tile::<T, 4, 4>(8 * block, token, output);
                    self.tile::<T, 4, 4>(8 * block + 4, token, output);
                }
            }
            token += 4;
        }
        for block in blocks {
            for token in token..tokens.end {
                // SAFETY: the caller's.
                unsafe { self.tile::<T, 8, 1>(8 * block, token, output) };
            }
        }
    }

    /// # Safety
    /// No other task may work on the same rows.
    unsafe fn tile<T: Element, const ROWS: usize, const COLUMNS: usize>(
        &self,
        row: usize,
        token: usize,
        output: &SharedOutput<'_, T>,
    ) where
        F: Fn((usize, usize), usize, i64) -> T::Sum,
    {
        let (w, x) = (self.w, self.x);
        let ((rows, columns), blocks) = (w.shape(), w.line_blocks());
        let (group, groups) = match self.sums {
            Sums::Whole => (columns, 1),
            Sums::Groups => (w.group(), w.groups()),
        };
        let mut totals = [[T::Sum::default(); COLUMNS]; ROWS];
        for g in 0..groups {
            let (start, end) = (g * group, columns.min((g + 1) * group));
            let lines = start / LINE..if end == columns { blocks } else { end.div_ceil(LINE) };
            let left = &w.lines()[w.line(row / 8 * 8, lines.start)..];
            let right = std::array::from_fn(|c| &x.lines()[x.line(token + c, lines.start)..]);
            let counts: [[i64; COLUMNS]; ROWS] = if start % LINE == 0 && (end % LINE == 0 || end == columns) {
                let tile = Tile { left, first: row % 8, right, blocks: lines.len() };
                weighted_counts(&tile, &self.schedule, self.set)
            } else {
                let words = start % LINE / 64..(end - lines.start * LINE).div_ceil(64);
                std::array::from_fn(|r| {
                    right.map(|right| word_counts(left, row % 8 + r, right, words.clone(), &self.schedule))
                })
            };
            for r in 0..ROWS.min(rows.saturating_sub(row)) {
                for c in 0..COLUMNS {
                    let entry = (row + r, token + c);
                    let sum = self.reading.dot(
                        counts[r][c],
                        end - start,
                        || self.sum(w.sums(), row + r, w.groups(), g),
                        || self.sum(x.sums(), token + c, x.groups(), g),
                    );
                    totals[r][c] += (self.finish)(entry, g, sum);
                }
            }
        }
        for c in 0..COLUMNS {
            for r in 0..ROWS.min(rows.saturating_sub(row)) {
                // SAFETY: the caller's; the element belongs to row `row + r` of the weights.
                unsafe { output.write((token + c) * rows + row + r, T::from_sum(totals[r][c])) };
            }
        }
    }

    /// The sum of the integers of a row, over what one sum runs.
    fn sum(&self, sums: &[i64], row: usize, groups: usize, group: usize) -> i64 {
        match self.sums {
            Sums::Groups => sums[row * groups + group],
            Sums::Whole => sums[row * groups..][..groups].iter().sum(),
        }
    }
}

/// How a dot product is read from the weighted counts S (see the head of this file):
/// `(constant · K + factor · S − w_factor · Σ w − x_factor · Σ x) / 2^halvings`.
struct Reading {
    constant: i64,
    factor: i64,
    w_factor: i64,
    x_factor: i64,
    halvings: u32,
}

impl Reading {
    fn new(w: Encoding, x: Encoding) -> Self {
        let sum = |encoding: Encoding| -> i64 {
            (0..encoding.planes()).map(|plane| i64::from(encoding.plane_weight(plane))).sum()
        };
        let halvings = w.halvings() + x.halvings();
        let (constant, factor, w_factor, x_factor) = match (w.is_signed_plane(), x.is_signed_plane()) {
            (true, true) => (sum(w) * sum(x), -2, 0, 0),
            (false, false) => (0, 1, 0, 0),
            (false, true) => (0, 2, sum(x), 0),
            (true, false) => (0, 2, 0, sum(w)),
        };
        Reading { constant, factor, w_factor, x_factor, halvings }
    }

    fn dot(
        &self,
        count: i64,
        length: usize,
        w_sum: impl FnOnce() -> i64,
        x_sum: impl FnOnce() -> i64,
    ) -> i64 {
        let mut twice = self.constant * length as i64 + self.factor * count;
        if self.w_factor != 0 {
            twice -= self.w_factor * w_sum();
        }
        if self.x_factor != 0 {
            twice -= self.x_factor * x_sum();
        }
        twice >> self.halvings
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::random::Random;
    use super::super::{Affine, BitWidth, Quantiser, ScaleRule};
    use super::*;

    fn width(bits: u32) -> BitWidth {
        BitWidth::new(bits).unwrap()
    }

    fn bipolar(bits: u32) -> Encoding {
        Encoding::Bipolar(width(bits))
    }

    /// The triple loop.
    fn naive(w: &[i32], x: &[i32], columns: usize, rows: usize, tokens: usize) -> Vec<i64> {
        let dot = |t: usize, r: usize| {
            let (w, x) = (&w[r * columns..][..columns], &x[t * columns..][..columns]);
            w.iter().zip(x).map(|(&a, &b)| i64::from(a * b)).sum()
        };
        (0..tokens).flat_map(|t| (0..rows).map(move |r| (t, r))).map(|(t, r)| dot(t, r)).collect()
    }

    fn integers(encoding: Encoding, codes: &[u8]) -> Vec<i32> {
        codes.iter().map(|&code| encoding.value(code).unwrap()).collect()
    }

    /// Compares the products of all instruction sets with the triple loop.
    fn check(a: Encoding, b: Encoding, rows: usize, tokens: usize, columns: usize, random: &mut Random) {
        let mut codes = |encoding: Encoding, count: usize| -> Vec<u8> {
            let all: Vec<u8> = (0..=255).filter(|&code| encoding.value(code).is_some()).collect();
            (0..count).map(|_| all[(random.bits() >> 32) as usize % all.len()]).collect()
        };
        let (w_codes, x_codes) = (codes(a, rows * columns), codes(b, tokens * columns));
        let w = Weights::from_codes(a, rows, columns, &w_codes).unwrap();
        let x = Activations::from_codes(b, tokens, columns, &x_codes).unwrap();
        let expected = naive(&integers(a, &w_codes), &integers(b, &x_codes), columns, rows, tokens);
        for set in InstructionSet::available() {
            let (mut y, mut narrow) = (vec![-1; rows * tokens], vec![-1; rows * tokens]);
            w.product_i64(&x, &mut y, set).unwrap();
            assert_eq!(y, expected, "{a:?} {b:?} {rows} {tokens} {columns} {set}");
            w.product_i32(&x, &mut narrow, set).unwrap();
            assert!(narrow.iter().zip(&expected).all(|(&n, &e)| i64::from(n) == e));
        }
    }

    const EXTENTS: [usize; 4] = [1, 3, 17, 64];
    const COLUMNS: [usize; 10] = [1, 31, 32, 33, 63, 64, 77, 512, 4096, 11008];

    #[test]
    fn products_equal_the_triple_loop() {
        // Every pair of widths meets every number of columns; the extents take turns (the long rows with the smaller ones).
        let mut random = Random::new(5);
        let mut turn = 0;
        for n in 1..=8 {
            for m in 1..=8 {
                for columns in COLUMNS {
                    let extents = if columns > 600 { &EXTENTS[..2] } else { &EXTENTS[..] };
                    let (rows, tokens) =
                        (extents[turn % extents.len()], extents[turn / extents.len() % extents.len()]);
                    turn += 1;
                    check(bipolar(n), bipolar(m), rows, tokens, columns, &mut random);
                }
            }
        }
    }

    #[test]
    #[ignore = "minutes; the full grid of which `products_equal_the_triple_loop` takes a part"]
    fn all_products_equal_the_triple_loop() {
        let mut random = Random::new(6);
        for (n, m) in (1..=8).flat_map(|n| (1..=8).map(move |m| (n, m))) {
            for (rows, tokens) in EXTENTS.iter().flat_map(|&r| EXTENTS.map(|t| (r, t))) {
                for columns in COLUMNS {
                    check(bipolar(n), bipolar(m), rows, tokens, columns, &mut random);
                }
            }
        }
    }

    #[test]
    fn planes_of_zeros_and_ones_and_both_ternary_modes_equal_the_triple_loop() {
        let mut random = Random::new(7);
        let encodings = |bits: u32| {
            [
                bipolar(bits),
                Encoding::Unsigned(width(bits)),
                Encoding::TwosComplement(width(bits)),
                Encoding::TernaryMasks,
                Encoding::TernaryPair,
            ]
        };
        for (n, m) in [(1, 1), (2, 8), (8, 3), (4, 4)] {
            for a in encodings(n) {
                for b in encodings(m) {
                    for (rows, tokens, columns) in [(1, 1, 1), (9, 5, 77), (8, 4, 513), (3, 1, 2600)] {
                        check(a, b, rows, tokens, columns, &mut random);
                    }
                }
            }
        }
    }

    #[test]
    fn empty_products_are_empty_or_zero() {
        for (rows, tokens, columns) in [(0, 3, 5), (3, 0, 5), (3, 2, 0)] {
            let w = Weights::from_codes(bipolar(3), rows, columns, &vec![1; rows * columns]).unwrap();
            let x = Activations::from_codes(bipolar(2), tokens, columns, &vec![1; tokens * columns]).unwrap();
            let mut y = vec![7; rows * tokens];
            w.product_i64(&x, &mut y, InstructionSet::best()).unwrap();
            assert_eq!(y, vec![0; rows * tokens]);
            let mut y = vec![7.0; rows * tokens];
            w.product_f32(&x, &mut y, InstructionSet::best()).unwrap();
            assert_eq!(y, vec![0.0; rows * tokens]);
        }
    }

    #[test]
    fn extreme_patterns_reach_the_bound() {
        for (n, m) in [(1, 1), (3, 4), (8, 8)] {
            for columns in [1, 77, 512, 4096] {
                let bound = columns as i64 * i64::from(width(n).largest() * width(m).largest());
                let product = |w: u8, x: u8| {
                    let w = Weights::from_codes(bipolar(n), 1, columns, &vec![w; columns]).unwrap();
                    let x = Activations::from_codes(bipolar(m), 1, columns, &vec![x; columns]).unwrap();
                    let mut y = [0];
                    w.product_i64(&x, &mut y, InstructionSet::best()).unwrap();
                    y[0]
                };
                let (ones_n, ones_m) = (width(n).largest() as u8, width(m).largest() as u8);
                assert_eq!(product(ones_n, ones_m), bound);
                assert_eq!(product(0, 0), bound);
                assert_eq!(product(0, ones_m), -bound);
            }
        }
    }

    #[test]
    fn the_worked_example() {
        let w = Weights::from_codes(bipolar(2), 1, 4, &[0, 1, 2, 3]).unwrap();
        let x = Activations::from_codes(bipolar(1), 1, 4, &[1, 0, 1, 1]).unwrap();
        let mut y = [0];
        w.product_i32(&x, &mut y, InstructionSet::best()).unwrap();
        assert_eq!(y, [2]);
    }

    #[test]
    fn a_sum_that_could_overflow_is_refused() {
        let product = |columns: usize| {
            let w = Weights::from_codes(bipolar(8), 1, columns, &vec![255; columns]).unwrap();
            let x = Activations::from_codes(bipolar(8), 1, columns, &vec![255; columns]).unwrap();
            let mut y = [0];
            w.product_i32(&x, &mut y, InstructionSet::best()).map(|()| y[0])
        };
        assert_eq!(product(33_025), Ok(33_025 * 255 * 255));
        assert!(matches!(product(33_026), Err(FormatError::Overflow { .. })));
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let w = Weights::from_codes(bipolar(1), 2, 3, &[0; 6]).unwrap();
        let x = Activations::from_codes(bipolar(1), 1, 4, &[0; 4]).unwrap();
        let set = InstructionSet::best();
        assert!(matches!(
            w.product_i32(&x, &mut [0; 2], set),
            Err(FormatError::Mismatch { left: 3, right: 4, .. })
        ));
        let x = Activations::from_codes(bipolar(1), 1, 3, &[0; 3]).unwrap();
        assert!(matches!(w.product_i32(&x, &mut [0; 3], set), Err(FormatError::Length { expected: 2, .. })));
    }

    proptest! {
        #[test]
        fn laws_of_the_product(
            n in 1u32..9, m in 1u32..9, rows in 1usize..12, tokens in 1usize..7, columns in 1usize..700, seed: u64,
        ) {
            let mut random = Random::new(seed);
            let (w, x) = (random.codes(rows * columns, n), random.codes(tokens * columns, m));
            let product = |n: u32, w: &[u8], m: u32, x: &[u8], columns: usize| {
                let (rows, tokens) = (w.len() / columns, x.len() / columns);
                let w = Weights::from_codes(bipolar(n), rows, columns, w).unwrap();
                let x = Activations::from_codes(bipolar(m), tokens, columns, x).unwrap();
                let mut y = vec![0; rows * tokens];
                w.product_i64(&x, &mut y, InstructionSet::best()).unwrap();
                y
            };
            let y = product(n, &w, m, &x, columns);
            let complement: Vec<u8> = x.iter().map(|code| !code & width(m).largest() as u8).collect();
            let negated: Vec<i64> = y.iter().map(|v| -v).collect();
            prop_assert_eq!(product(n, &w, m, &complement, columns), negated);
            let swapped = product(m, &x, n, &w, columns);
            for (r, t) in (0..rows).flat_map(|r| (0..tokens).map(move |t| (r, t))) {
                prop_assert_eq!(y[t * rows + r], swapped[r * tokens + t]);
            }
            let with_ones = |codes: &[u8], ones: i32| -> Vec<u8> {
                codes.chunks(columns).flat_map(|row| row.iter().copied().chain([ones as u8])).collect()
            };
            let (ones_n, ones_m) = (width(n).largest(), width(m).largest());
            let longer = product(n, &with_ones(&w, ones_n), m, &with_ones(&x, ones_m), columns + 1);
            for (a, b) in longer.iter().zip(&y) {
                prop_assert_eq!(a - b, i64::from(ones_n * ones_m));
            }
        }

        #[test]
        fn real_products_equal_those_of_the_dequantised_operands(
            n in 1u32..9, m in 1u32..9, rows in 1usize..12, tokens in 1usize..7, columns in 1usize..1300,
            group in prop::sample::select(vec![None, Some(64), Some(128), Some(512), Some(1024)]), offsets: bool, seed: u64,
        ) {
            let mut random = Random::new(seed);
            let quantiser = |bits| Quantiser { width: width(bits), rule: ScaleRule::Mean, group };
            let mut w =
                Weights::quantised(quantiser(n), &random.normals(rows * columns), rows, columns).unwrap();
            let mut x =
                Activations::quantised(quantiser(m), &random.normals(tokens * columns), tokens, columns).unwrap();
            if offsets {
                w = w.clone().with_offsets(&random.normals(rows * w.groups())).unwrap();
                x = x.clone().with_offsets(&random.normals(tokens * x.groups())).unwrap();
            }
            let (wr, xr) = (w.dequantise(), x.dequantise());
            for set in InstructionSet::available() {
                let mut y = vec![0.0; rows * tokens];
                w.product_f32(&x, &mut y, set).unwrap();
                for (t, r) in (0..tokens).flat_map(|t| (0..rows).map(move |r| (t, r))) {
                    let terms = (0..columns)
                        .map(|k| f64::from(wr[r * columns + k]) * f64::from(xr[t * columns + k]));
                    let (sum, size) = terms.fold((0.0, 0.0), |(s, z), term| (s + term, z + term.abs()));
                    prop_assert!((f64::from(y[t * rows + r]) - sum).abs() <= 1e-6 * size, "{set}");
                }
            }
        }

        #[test]
        fn signed_integers_multiply_as_their_bipolar_reading(
            bits in 2u32..9, rows in 1usize..10, columns in 1usize..600, seed: u64,
        ) {
            let mut random = Random::new(seed);
            let half = 1i32 << (bits - 1);
            let integers: Vec<i8> =
                random.codes(rows * columns, bits).iter().map(|&c| (i32::from(c) - half) as i8).collect();
            let (scales, zeros) = (random.normals(rows), random.normals(rows));
            let w = Weights::from_signed(width(bits), rows, columns, &integers, &scales, &zeros).unwrap();
            let x = Activations::quantised(Quantiser::rows(width(8)), &random.normals(columns), 1, columns).unwrap();
            let xr = x.dequantise();
            let mut y = vec![0.0; rows];
            w.product_f32(&x, &mut y, InstructionSet::best()).unwrap();
            for r in 0..rows {
                let reading = Affine { scale: scales[r].into(), offset: zeros[r].into() };
                let terms = (0..columns)
                    .map(|k| reading.real(integers[r * columns + k].into()) * f64::from(xr[k]));
                let (sum, size) = terms.fold((0.0, 0.0), |(s, z), term| (s + term, z + term.abs()));
                prop_assert!((f64::from(y[r]) - sum).abs() <= 1e-5 * size);
            }
        }
    }
}
