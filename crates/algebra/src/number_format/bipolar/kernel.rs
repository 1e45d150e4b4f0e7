//! Weighted population counts of plane pairs, the inner loop of a product.
//!
//! A [`Schedule`] lists the pairs (i, j) of planes by falling weight. A kernel walks it by Horner's rule: before pairs of
//! weight 2^t it doubles its sums as often as t has fallen, so that one accumulator for each entry of the result serves all pairs.

use super::super::instruction_set::Level;
use super::super::{FormatError, InstructionSet};
use super::Encoding;
use super::planes::Line;

/// How two bits are combined before they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    Xor,
    And,
}

/// One pair of planes.
#[derive(Clone, Copy, Debug)]
struct Step {
    left: usize,
    right: usize,
    doublings: u32,
    negative: bool,
    /// The exponent of the pair's weight.
    exponent: u32,
    /// Whether no earlier step reads this plane of the left operand.
    first: bool,
}

/// The pairs of planes of a product, by falling weight.
#[derive(Debug)]
pub(super) struct Schedule {
    combine: Combine,
    left_planes: usize,
    right_planes: usize,
    /// By falling weight.
    steps: Vec<Step>,
    /// The same steps in the order in which the planes of the left operand lie in memory.
    steps_in_memory: Vec<Step>,
    last_doublings: u32,
}

impl Schedule {
    pub(super) fn new(left: Encoding, right: Encoding) -> Self {
        let combine = match left.is_signed_plane() && right.is_signed_plane() {
            true => Combine::Xor,
            false => Combine::And,
        };
        let mut pairs: Vec<(u32, bool, usize, usize)> = (0..left.planes())
            .flat_map(|i| (0..right.planes()).map(move |j| (i, j)))
            .map(|(i, j)| {
                let weight = left.plane_weight(i) * right.plane_weight(j);
                (weight.unsigned_abs().trailing_zeros(), weight < 0, i, j)
            })
            .collect();
        pairs.sort_by(|a, b| b.cmp(a));
        let mut steps = Vec::with_capacity(pairs.len());
        let mut exponent = pairs.first().map_or(0, |pair| pair.0);
        for (power, negative, left, right) in pairs {
            let first = steps.iter().all(|step: &Step| step.left != left);
            steps.push(Step { left, right, doublings: exponent - power, negative, exponent: power, first });
            exponent = power;
        }
        let mut steps_in_memory = steps.clone();
        steps_in_memory.sort_by_key(|step| (step.left, step.right));
        Schedule {
            combine,
            left_planes: left.planes(),
            right_planes: right.planes(),
            steps,
            steps_in_memory,
            last_doublings: exponent,
        }
    }
}

/// `ROWS` rows of a block of eight from row `first`, and a count of 512-element blocks to sum over.
pub(super) struct Tile<'a, const COLUMNS: usize> {
    /// Lines of the left operand from its first 512-element block and plane 0.
    pub(super) left: &'a [Line],
    /// The first of the rows inside the block of eight.
    pub(super) first: usize,
    /// For each column, lines of the right operand from its first 512-element block and plane 0.
    pub(super) right: [&'a [Line]; COLUMNS],
    /// 512-element blocks.
    pub(super) blocks: usize,
}

/// The weighted counts `Σ_ij a_i b_j popcount(w_i ∘ x_j)` of all rows and columns of a tile.
pub(super) fn weighted_counts<const ROWS: usize, const COLUMNS: usize>(
    tile: &Tile<'_, COLUMNS>,
    schedule: &Schedule,
    set: InstructionSet,
) -> [[i64; COLUMNS]; ROWS] {
    assert!(tile.first + ROWS <= 8);
    assert!(tile.left.len() >= tile.blocks * schedule.left_planes * 8);
    assert!(tile.right.iter().all(|lines| lines.len() >= tile.blocks * schedule.right_planes));
    match (set.0, schedule.combine) {
        // SAFETY (all four): an `InstructionSet` exists only for instructions that were detected, and the lengths that the
        // kernels rely on are asserted above.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Combine::Xor) => unsafe { x86::counts_avx512::<ROWS, COLUMNS, true>(tile, schedule) },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Combine::And) => unsafe {
            x86::counts_avx512::<ROWS, COLUMNS, false>(tile, schedule)
        },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Combine::Xor) => unsafe { x86::counts_avx2::<ROWS, COLUMNS, true>(tile, schedule) },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, Combine::And) => unsafe { x86::counts_avx2::<ROWS, COLUMNS, false>(tile, schedule) },
        _ => std::array::from_fn(|row| {
            std::array::from_fn(|column| {
                word_counts(tile.left, tile.first + row, tile.right[column], 0..8 * tile.blocks, schedule)
            })
        }),
    }
}

/// The weighted counts of one row and column over a range of 64-bit words: the plain reference, and the kernel of groups
/// that are not whole lines.
pub(super) fn word_counts(
    left: &[Line],
    row: usize,
    right: &[Line],
    words: std::ops::Range<usize>,
    schedule: &Schedule,
) -> i64 {
    let mut sum = 0;
    for step in &schedule.steps {
        sum <<= step.doublings;
        let count: i64 = words
            .clone()
            .map(|word| {
                let (block, word) = (word / 8, word % 8);
                let w = left[(block * schedule.left_planes + step.left) * 8 + row].0[word];
                let x = right[block * schedule.right_planes + step.right].0[word];
                i64::from(match schedule.combine {
                    Combine::Xor => (w ^ x).count_ones(),
                    Combine::And => (w & x).count_ones(),
                })
            })
            .sum();
        sum += if step.negative { -count } else { count };
    }
    sum << schedule.last_doublings
}

/// The largest magnitude of a sum over `columns` products, if it fits the limit.
pub(super) fn expect_bound(
    left: Encoding,
    right: Encoding,
    columns: usize,
    limit: u128,
) -> Result<(), FormatError> {
    let largest = |encoding: Encoding| encoding.largest().unsigned_abs() as u128;
    let bound = columns as u128 * largest(left) * largest(right);
    if bound <= limit { Ok(()) } else { Err(FormatError::Overflow { bound, limit }) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Line, Schedule, Tile};

    /// # Safety
    /// The tile's slices are as long as [`super::weighted_counts`] asserts.
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    pub(super) unsafe fn counts_avx512<const ROWS: usize, const COLUMNS: usize, const XOR: bool>(
        tile: &Tile<'_, COLUMNS>,
        schedule: &Schedule,
    ) -> [[i64; COLUMNS]; ROWS] {
        let zero = _mm512_setzero_si512();
        let mut sums = [[zero; COLUMNS]; ROWS];
        let (left_stride, right_stride) = (8 * schedule.left_planes, schedule.right_planes);
        // Loops over the sums have constant bounds and indices, without which the compiler keeps the sums in memory.
        let (w_start, x_start) = (tile.left.as_ptr().wrapping_add(tile.first), tile.right.map(<[_]>::as_ptr));
        let combine = |w: *const Line, x: __m512i| {
            // SAFETY: block · stride + plane · 8 + row is below the lengths that the caller guarantees, and lines are aligned.
            let w = unsafe { _mm512_load_si512(w.cast()) };
            _mm512_popcnt_epi64(if XOR { _mm512_xor_si512(w, x) } else { _mm512_and_si512(w, x) })
        };
        if COLUMNS == 1 {
            // The weights are read once, from memory: take their lines in order, and shift each count to its weight.
            for block in 0..tile.blocks {
                for step in &schedule.steps_in_memory {
                    let w = w_start.wrapping_add(left_stride * block + 8 * step.left);
                    let x = x_start[0].wrapping_add(right_stride * block + step.right);
                    // SAFETY: as above.
                    let x = unsafe { _mm512_load_si512(x.cast()) };
                    let exponent = _mm_cvtsi32_si128(step.exponent as i32);
                    for row in 0..ROWS {
                        let count = _mm512_sll_epi64(combine(w.wrapping_add(row), x), exponent);
                        sums[row][0] = match step.negative {
                            true => _mm512_sub_epi64(sums[row][0], count),
                            false => _mm512_add_epi64(sums[row][0], count),
                        };
                    }
                }
            }
        } else {
            // The operands are in the caches: Horner's rule saves the shift.
            for step in &schedule.steps {
                let doublings = _mm_cvtsi32_si128(step.doublings as i32);
                let flip = _mm512_set1_epi64(-i64::from(step.negative));
                for row in 0..ROWS {
                    for column in 0..COLUMNS {
                        sums[row][column] = negate_if(_mm512_sll_epi64(sums[row][column], doublings), flip);
                    }
                }
                let mut w = w_start.wrapping_add(8 * step.left);
                let mut x = x_start.map(|lines| lines.wrapping_add(step.right));
                for _ in 0..tile.blocks {
                    // SAFETY: as above.
                    let xs = x.map(|line| unsafe { _mm512_load_si512(line.cast()) });
                    for row in 0..ROWS {
                        for column in 0..COLUMNS {
                            let count = combine(w.wrapping_add(row), xs[column]);
                            sums[row][column] = _mm512_add_epi64(sums[row][column], count);
                        }
                    }
                    w = w.wrapping_add(left_stride);
                    x = x.map(|line| line.wrapping_add(right_stride));
                }
                for row in 0..ROWS {
                    for column in 0..COLUMNS {
                        sums[row][column] = negate_if(sums[row][column], flip);
                    }
                }
            }
            // Weights may have a common power of two, which the last doublings restore.
            let last = _mm_cvtsi32_si128(schedule.last_doublings as i32);
            for row in 0..ROWS {
                for column in 0..COLUMNS {
                    sums[row][column] = _mm512_sll_epi64(sums[row][column], last);
                }
            }
        }
        const { assert!((ROWS * COLUMNS).is_multiple_of(8)) };
        let mut result = [[0; COLUMNS]; ROWS];
        for start in (0..ROWS * COLUMNS).step_by(8) {
            let eight = std::array::from_fn(|i| sums[(start + i) / COLUMNS][(start + i) % COLUMNS]);
            let mut totals = [0; 8];
            // SAFETY: eight 64-bit lanes fill the array.
            unsafe { _mm512_storeu_si512(totals.as_mut_ptr().cast(), totals_of(eight)) };
            for (i, total) in totals.into_iter().enumerate() {
                result[(start + i) / COLUMNS][(start + i) % COLUMNS] = total;
            }
        }
        result
    }

    /// −v where all bits of `flip` are set, v where none is.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn negate_if(v: __m512i, flip: __m512i) -> __m512i {
        _mm512_sub_epi64(_mm512_xor_si512(v, flip), flip)
    }

    /// The sums of the lanes of eight vectors, in their order.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn totals_of(v: [__m512i; 8]) -> __m512i {
        // Each 128-bit lane holds a part of the sum of two vectors.
        let pair = |a, b| _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        // Neighbouring 128-bit lanes of each of two vectors are added.
        let lanes =
            |a, b| _mm512_add_epi64(_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xDD>(a, b));
        let [a, b, c, d] = [pair(v[0], v[1]), pair(v[2], v[3]), pair(v[4], v[5]), pair(v[6], v[7])];
        lanes(lanes(a, b), lanes(c, d))
    }

    /// # Safety
    /// The tile's slices are as long as [`super::weighted_counts`] asserts.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn counts_avx2<const ROWS: usize, const COLUMNS: usize, const XOR: bool>(
        tile: &Tile<'_, COLUMNS>,
        schedule: &Schedule,
    ) -> [[i64; COLUMNS]; ROWS] {
        let mut result = [[0; COLUMNS]; ROWS];
        let (left_stride, right_stride) = (8 * schedule.left_planes, schedule.right_planes);
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let mut sum = _mm256_setzero_si256();
                for step in &schedule.steps {
                    let w = tile.left.as_ptr().wrapping_add(8 * step.left + tile.first + row);
                    let x = tile.right[column].as_ptr().wrapping_add(step.right);
                    // SAFETY: block · stride + plane (· 8 + row) is below the lengths that the caller guarantees.
                    let count = unsafe { count_pair::<XOR>(w, left_stride, x, right_stride, tile.blocks) };
                    if COLUMNS == 1 && step.first {
                        // Weights are read once, a row of a block at a time, a pattern that the processor does not foresee:
                        // ask for the same row of the next block. Prefetching has no effect on what is not memory.
                        for block in tile.blocks..2 * tile.blocks {
                            _mm_prefetch::<_MM_HINT_T0>(w.wrapping_add(block * left_stride).cast());
                        }
                    }
                    sum = _mm256_sll_epi64(sum, _mm_cvtsi32_si128(step.doublings as i32));
                    sum = match step.negative {
                        true => _mm256_sub_epi64(sum, count),
                        false => _mm256_add_epi64(sum, count),
                    };
                }
                let halves = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
                let total = _mm_extract_epi64(halves, 0) + _mm_extract_epi64(halves, 1);
                result[row][column] = total << schedule.last_doublings;
            }
        }
        result
    }

    /// The bits set in `w ∘ x` over strided lines, in four parts, by Harley and Seal's carry-save adders: eight vectors are added bitwise
    /// into ones, twos, fours and eights, and only the eights are counted inside the loop.
    ///
    /// # Safety
    /// `w + k · left_stride` and `x + k · right_stride` can be read for k below `blocks`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn count_pair<const XOR: bool>(
        w: *const Line,
        left_stride: usize,
        x: *const Line,
        right_stride: usize,
        blocks: usize,
    ) -> __m256i {
        let half = |block: usize, half: usize| {
            let w = w.wrapping_add(block * left_stride).cast::<__m256i>().wrapping_add(half);
            let x = x.wrapping_add(block * right_stride).cast::<__m256i>().wrapping_add(half);
            // SAFETY: the caller guarantees the lines; each is two aligned vectors.
            let (w, x) = unsafe { (_mm256_load_si256(w), _mm256_load_si256(x)) };
            if XOR { _mm256_xor_si256(w, x) } else { _mm256_and_si256(w, x) }
        };
        let zero = _mm256_setzero_si256();
        let (mut ones, mut twos, mut fours, mut eights) = (zero, zero, zero, zero);
        let whole = blocks / 4 * 4;
        for block in (0..whole).step_by(4) {
            let (carry0, carry1, carry2, carry3);
            (ones, carry0) = carry_save(ones, half(block, 0), half(block, 1));
            (ones, carry1) = carry_save(ones, half(block + 1, 0), half(block + 1, 1));
            (ones, carry2) = carry_save(ones, half(block + 2, 0), half(block + 2, 1));
            (ones, carry3) = carry_save(ones, half(block + 3, 0), half(block + 3, 1));
            let (double0, double1, eight);
            (twos, double0) = carry_save(twos, carry0, carry1);
            (twos, double1) = carry_save(twos, carry2, carry3);
            (fours, eight) = carry_save(fours, double0, double1);
            eights = _mm256_add_epi64(eights, population(eight));
        }
        let mut total = _mm256_slli_epi64(eights, 3);
        if whole > 0 {
            total = _mm256_add_epi64(total, _mm256_slli_epi64(population(fours), 2));
            total = _mm256_add_epi64(total, _mm256_slli_epi64(population(twos), 1));
            total = _mm256_add_epi64(total, population(ones));
        }
        for block in whole..blocks {
            total = _mm256_add_epi64(total, population(half(block, 0)));
            total = _mm256_add_epi64(total, population(half(block, 1)));
        }
        total
    }

    /// Adds three bits in each position: the low and the high bit of the sum.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn carry_save(a: __m256i, b: __m256i, c: __m256i) -> (__m256i, __m256i) {
        let half = _mm256_xor_si256(a, b);
        let carry = _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(half, c));
        (_mm256_xor_si256(half, c), carry)
    }

    /// The bits set in each 64-bit lane, by a table of the counts of the 16 nibbles.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn population(v: __m256i) -> __m256i {
        let table = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let nibble = _mm256_set1_epi8(0x0F);
        let low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble));
        let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
        _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256())
    }
}
