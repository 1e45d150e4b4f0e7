//! Matrix products whose scalar products are L-Mul and whose sums are ordinary additions, and attention made of them.
//!
//! Sums run over the inner index in order, so that results depend neither on the instructions nor on the number of threads.

use rayon::prelude::*;

use super::super::float8::{E4M3, E5M2, Overflow};
use super::super::instruction_set::multiversion;
use super::super::{FormatError, InstructionSet, expect_length};
use super::{Form, LMul, round_mantissa};

/// In which format a sum is kept between additions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accumulation {
    /// f32.
    #[default]
    F32,
    /// Rounded to E4M3 after each addition (overflow to NaN).
    E4M3,
    /// Rounded to E5M2 after each addition (overflow to infinity).
    E5M2,
}

/// An operand of a product: a row-major matrix, taken as it is or transposed.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The entries, row-major.
    pub entries: &'a [f32],
    /// Whether the transpose takes part in the product.
    pub transposed: bool,
}

impl<'a> Side<'a> {
    /// The matrix as it is.
    pub fn plain(entries: &'a [f32]) -> Self {
        Side { entries, transposed: false }
    }

    /// The transpose of the matrix.
    pub fn transposed(entries: &'a [f32]) -> Self {
        Side { entries, transposed: true }
    }
}

/// Storage of a product's rounded and transposed operands and of attention's scores. It grows to what the largest use needs.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    left: Vec<f32>,
    right: Vec<f32>,
    scores: Vec<f32>,
}

/// `C = A B` with A of m × k, B of k × n (after transposition) and C of m × n, products by L-Mul.
///
/// # Errors
/// [`FormatError::Length`] if a slice does not fit the shape.
#[allow(
    clippy::too_many_arguments,
    reason = "the operands, the shape and the arithmetic of a matrix product"
)]
pub fn matrix_product(
    multiplication: &LMul<f32>,
    accumulation: Accumulation,
    a: Side<'_>,
    b: Side<'_>,
    (m, k, n): (usize, usize, usize),
    c: &mut [f32],
    scratch: &mut Scratch,
    set: InstructionSet,
) -> Result<(), FormatError> {
    expect_length("the left factor", a.entries, m * k)?;
    expect_length("the right factor", b.entries, k * n)?;
    expect_length("the product", c, m * n)?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    prepare(a, m, k, multiplication.kept, &mut scratch.left);
    prepare(b, k, n, multiplication.kept, &mut scratch.right);
    let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
    let special = !(finite(&scratch.left) && finite(&scratch.right));
    let (a, b) = (&scratch.left, &scratch.right);
    c.par_chunks_mut(ROWS * n).enumerate().for_each(|(block, c)| {
        let a = &a[block * ROWS * k..][..c.len() / n * k];
        let multiplication = *multiplication;
        macro_rules! rows {
            ($formula:literal, $special:literal) => {
                multiversion!(
                    set, [const F: bool, const S: bool] [$formula, $special], rows_product,
                    (multiplication: LMul<f32>, accumulation: Accumulation, a: &[f32], b: &[f32], n: usize, c: &mut [f32])
                )
            };
        }
        match (multiplication.form, special) {
            (Form::Formula, false) => rows!(true, false),
            (Form::Formula, true) => rows!(true, true),
            (Form::Integer, false) => rows!(false, false),
            (Form::Integer, true) => rows!(false, true),
        }
    });
    Ok(())
}

/// Attention of one head with products by L-Mul: `softmax(Q Kᵀ / √d) V`, all matrices `tokens × d` (row-major). The soft-max
/// is ordinary f32 arithmetic. With `causal`, a token sees itself and those before it.
///
/// # Errors
/// [`FormatError::Length`] if a slice does not fit the shape.
#[allow(clippy::too_many_arguments, reason = "the operands, the shape and the arithmetic of attention")]
pub fn attention(
    multiplication: &LMul<f32>,
    accumulation: Accumulation,
    (q, k, v): (&[f32], &[f32], &[f32]),
    (tokens, d): (usize, usize),
    causal: bool,
    h: &mut [f32],
    scratch: &mut Scratch,
    set: InstructionSet,
) -> Result<(), FormatError> {
    let mut scores = std::mem::take(&mut scratch.scores);
    scores.resize(tokens * tokens, 0.0);
    let (shape, k) = ((tokens, d, tokens), Side::transposed(k));
    let product =
        matrix_product(multiplication, accumulation, Side::plain(q), k, shape, &mut scores, scratch, set);
    let product = product.and_then(|()| {
        let scale = 1.0 / (d as f32).sqrt();
        for (token, row) in scores.chunks_exact_mut(tokens.max(1)).enumerate() {
            let seen = if causal { token + 1 } else { tokens };
            row[seen..].fill(0.0);
            softmax(&mut row[..seen], scale);
        }
        let shape = (tokens, tokens, d);
        let (a, v) = (Side::plain(&scores), Side::plain(v));
        matrix_product(multiplication, accumulation, a, v, shape, h, scratch, set)
    });
    scratch.scores = scores;
    product
}

fn softmax(row: &mut [f32], scale: f32) {
    let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = ((*value - largest) * scale).exp();
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
}

/// Copies an operand row-major as it takes part, its mantissas rounded.
fn prepare(side: Side<'_>, rows: usize, columns: usize, kept: u32, copy: &mut Vec<f32>) {
    let round =
        |value: f32| if kept < 23 { f32::from_bits(round_mantissa(value.to_bits(), kept)) } else { value };
    copy.clear();
    if !side.transposed {
        copy.extend(side.entries.iter().map(|&value| round(value)));
        return;
    }
    copy.resize(rows * columns, 0.0);
    for (column, entries) in side.entries.chunks_exact(rows.max(1)).enumerate() {
        for (row, &value) in entries.iter().enumerate() {
            copy[row * columns + column] = round(value);
        }
    }
}

/// Rows of C that share what is read of B.
const ROWS: usize = 4;

/// Columns of C whose sums are kept together.
const COLUMNS: usize = 32;

#[inline(always)]
fn rows_product<const FORMULA: bool, const SPECIAL: bool>(
    multiplication: LMul<f32>,
    accumulation: Accumulation,
    a: &[f32],
    b: &[f32],
    n: usize,
    c: &mut [f32],
) {
    match accumulation {
        Accumulation::F32 => sums::<FORMULA, SPECIAL>(multiplication, |sum| sum, a, b, n, c),
        Accumulation::E4M3 => {
            sums::<FORMULA, SPECIAL>(multiplication, |sum| E4M3::round(sum, Overflow::Infinity), a, b, n, c)
        }
        Accumulation::E5M2 => {
            sums::<FORMULA, SPECIAL>(multiplication, |sum| E5M2::round(sum, Overflow::Infinity), a, b, n, c)
        }
    }
}

#[inline(always)]
fn sums<const FORMULA: bool, const SPECIAL: bool>(
    multiplication: LMul<f32>,
    round: impl Fn(f32) -> f32,
    a: &[f32],
    b: &[f32],
    n: usize,
    c: &mut [f32],
) {
    let rows = c.len() / n;
    let k = a.len() / rows;
    let multiply = |x: f32, y: f32| {
        f32::from_bits(multiplication.fields.multiply::<FORMULA, SPECIAL>(x.to_bits(), y.to_bits()))
    };
    let mut start = 0;
    while start < n {
        let width = COLUMNS.min(n - start);
        let mut sums = [[0.0f32; COLUMNS]; ROWS];
        for inner in 0..k {
            // Short tiles at the right edge are filled up with zeros, so that the inner loop has a fixed length.
            let mut line = [0.0f32; COLUMNS];
            line[..width].copy_from_slice(&b[inner * n + start..][..width]);
            for (row, sums) in sums.iter_mut().enumerate().take(rows) {
                let x = a[row * k + inner];
                for (sum, &y) in sums.iter_mut().zip(&line) {
                    *sum = round(*sum + multiply(x, y));
                }
            }
        }
        for (row, sums) in sums.iter().enumerate().take(rows) {
            c[row * n + start..][..width].copy_from_slice(&sums[..width]);
        }
        start += width;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::random::Random;
    use super::*;

    fn product(
        multiplication: &LMul<f32>,
        a: Side<'_>,
        b: Side<'_>,
        shape: (usize, usize, usize),
    ) -> Vec<f32> {
        let mut c = vec![f32::NAN; shape.0 * shape.2];
        let (mut scratch, set) = (Scratch::default(), InstructionSet::best());
        matrix_product(multiplication, Accumulation::F32, a, b, shape, &mut c, &mut scratch, set).unwrap();
        c
    }

    fn exact(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let dot =
            |i: usize, j: usize| (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum();
        (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| dot(i, j)).collect()
    }

    fn relative_error(approximate: &[f32], exact: &[f64]) -> f64 {
        let error: f64 = approximate.iter().zip(exact).map(|(&a, e)| (f64::from(a) - e).powi(2)).sum();
        (error / exact.iter().map(|e| e * e).sum::<f64>()).sqrt()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_equal_the_triple_loop(
            m in 0usize..10, k in 0usize..12, n in 0usize..70, bits in 1u32..24, formula: bool, special in 0..3,
            accumulation in prop::sample::select(vec![Accumulation::F32, Accumulation::E4M3, Accumulation::E5M2]),
            (at, bt) in any::<(bool, bool)>(), seed: u64,
        ) {
            let mut random = Random::new(seed);
            let (mut a, b) = (random.normals(m * k), random.normals(k * n));
            if special == 1 && !a.is_empty() {
                a[0] = f32::INFINITY;
            }
            let form = if formula { Form::Formula } else { Form::Integer };
            let multiplication = LMul::rounded(bits, form, Overflow::Infinity).unwrap();
            let transpose = |matrix: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
            };
            let (a_t, b_t) = (transpose(&a, m, k), transpose(&b, k, n));
            let a_side = if at { Side::transposed(&a_t) } else { Side::plain(&a) };
            let b_side = if bt { Side::transposed(&b_t) } else { Side::plain(&b) };
            for set in InstructionSet::available() {
                let mut c = vec![f32::NAN; m * n];
                let mut scratch = Scratch::default();
                matrix_product(&multiplication, accumulation, a_side, b_side, (m, k, n), &mut c, &mut scratch, set)
                    .unwrap();
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let mut sum = 0.0f32;
                    for p in 0..k {
                        sum += multiplication.multiply(a[i * k + p], b[p * n + j]);
                        sum = match accumulation {
                            Accumulation::F32 => sum,
                            Accumulation::E4M3 => E4M3::from_f32(sum, Overflow::Infinity).to_f32(),
                            Accumulation::E5M2 => E5M2::from_f32(sum, Overflow::Infinity).to_f32(),
                        };
                    }
                    let found = c[i * n + j];
                    prop_assert!(found == sum || found.is_nan() && sum.is_nan(), "{found} {sum} {set}");
                }
            }
        }
    }

    #[test]
    fn slices_that_do_not_fit_are_errors() {
        let multiplication = LMul::new(Form::Integer, Overflow::Infinity);
        let (mut scratch, set) = (Scratch::default(), InstructionSet::best());
        let side = Side::plain(&[1.0, 2.0]);
        let mut c = [0.0; 4];
        let mut run = |shape, c: &mut [f32]| {
            matrix_product(&multiplication, Accumulation::F32, side, side, shape, c, &mut scratch, set)
        };
        assert!(run((2, 1, 2), &mut c).is_ok());
        assert!(run((2, 1, 2), &mut c[..3]).is_err());
        assert!(run((2, 2, 2), &mut c).is_err());
    }

    #[test]
    fn errors_of_gaussian_products_are_the_measured_ones() {
        let shape = (256, 128, 256);
        for seed in 1..=3 {
            let mut random = Random::new(seed);
            let (a, b) = (random.normals(256 * 128), random.normals(128 * 256));
            let reference = exact(&a, &b, shape);
            for (bits, expected) in [(3, 0.0698), (4, 0.0625), (5, 0.0326), (6, 0.0317), (23, 0.0314)] {
                let multiplication = LMul::rounded(bits, Form::Integer, Overflow::Infinity).unwrap();
                let error = relative_error(
                    &product(&multiplication, Side::plain(&a), Side::plain(&b), shape),
                    &reference,
                );
                assert!((error / expected - 1.0).abs() < 0.05, "{bits} bits: {error}, expected {expected}");
            }
            let rounded = |values: &[f32], round: fn(f32) -> f32| -> Vec<f32> {
                values.iter().map(|&v| round(v)).collect()
            };
            let e4m3 = |v: &[f32]| rounded(v, |v| E4M3::round(v, Overflow::Saturate));
            let e5m2 = |v: &[f32]| rounded(v, |v| E5M2::round(v, Overflow::Saturate));
            let single = |values: Vec<f64>| -> Vec<f32> { values.iter().map(|&v| v as f32).collect() };
            for (a, b, expected) in [(e4m3(&a), e4m3(&b), 0.0374), (e5m2(&a), e5m2(&b), 0.0743)] {
                let error = relative_error(&single(exact(&a, &b, shape)), &reference);
                assert!((error / expected - 1.0).abs() < 0.05, "{error}, expected {expected}");
            }
        }
    }

    fn exact_attention(q: &[f32], k: &[f32], v: &[f32], n: usize, d: usize, causal: bool) -> Vec<f64> {
        let k_t: Vec<f32> = (0..d).flat_map(|p| (0..n).map(move |j| k[j * d + p])).collect();
        let mut scores = exact(q, &k_t, (n, d, n));
        for (i, row) in scores.chunks_exact_mut(n).enumerate() {
            row.iter_mut().for_each(|s| *s = (*s / (d as f64).sqrt()).exp());
            if causal {
                row[i + 1..].fill(0.0);
            }
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|s| *s /= sum);
        }
        let h = |i: usize, p: usize| (0..n).map(|j| scores[i * n + j] * f64::from(v[j * d + p])).sum();
        (0..n).flat_map(|i| (0..d).map(move |p| (i, p))).map(|(i, p)| h(i, p)).collect()
    }

    #[test]
    fn errors_of_attention_are_the_measured_ones() {
        let (n, d) = (192, 64);
        let (set, mut scratch) = (InstructionSet::best(), Scratch::default());
        let mut means = [0.0; 4];
        for seed in 1..=3 {
            let mut random = Random::new(seed);
            let [q, k, v] = [(); 3].map(|()| random.normals(n * d));
            let reference = exact_attention(&q, &k, &v, n, d, false);
            for (mean, bits) in means.iter_mut().zip(3..=6) {
                let multiplication = LMul::rounded(bits, Form::Integer, Overflow::Infinity).unwrap();
                let mut h = vec![0.0; n * d];
                let operands = (&q[..], &k[..], &v[..]);
                let f32_sums = Accumulation::F32;
                attention(&multiplication, f32_sums, operands, (n, d), false, &mut h, &mut scratch, set)
                    .unwrap();
                *mean += relative_error(&h, &reference) / 3.0;
            }
        }
        for (mean, expected) in means.into_iter().zip([0.131, 0.124, 0.047, 0.046]) {
            assert!((mean / expected - 1.0).abs() < 0.05, "{mean}, expected {expected}");
        }
    }

    #[test]
    fn causal_attention_sees_no_later_token() {
        let (n, d) = (9, 8);
        let mut random = Random::new(31);
        let [q, k, v] = [(); 3].map(|()| random.normals(n * d));
        let reference = exact_attention(&q, &k, &v, n, d, true);
        let multiplication = LMul::new(Form::Integer, Overflow::Infinity);
        let (mut h, mut scratch, set) = (vec![0.0; n * d], Scratch::default(), InstructionSet::best());
        let operands = (&q[..], &k[..], &v[..]);
        attention(&multiplication, Accumulation::F32, operands, (n, d), true, &mut h, &mut scratch, set)
            .unwrap();
        assert!(relative_error(&h, &reference) < 0.1);
        // The first token sees itself alone, with weight one, and one times a value is the value inflated.
        for (h, &v) in h.iter().zip(&v[..d]) {
            assert_eq!(*h, multiplication.multiply(1.0, v));
        }
    }
}
