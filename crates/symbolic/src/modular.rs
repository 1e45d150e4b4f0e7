//! Arithmetic and linear algebra modulo primes below 2³¹, and the way back to rational numbers.
//!
//! Exact linear algebra over the rationals is fast when it is done modulo a prime that fits a machine word: numbers
//! do not grow. A [`PrimeField`] is such a field, an [`Echelon`] the echelon form of rows that arrive one by one, from
//! which rank and null space are read. [`combine_residues`] (the Chinese remainder theorem) and
//! [`reconstruct_rational`] (Wang's algorithm) lead back: what is found is a candidate, right for all but finitely
//! many primes, and is to be verified by the caller.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::Rational;

/// The integers modulo an odd prime below 2³¹. Elements are `u32` values below the prime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimeField {
    prime: u32,
}

impl PrimeField {
    /// The field of this prime, or `None` if the number is not an odd prime below 2³¹.
    pub fn new(prime: u32) -> Option<Self> {
        (prime > 2 && prime < 1 << 31 && is_prime(prime)).then_some(PrimeField { prime })
    }

    /// The fields of the largest primes below 2³¹, in falling order, from 2³¹ − 1.
    pub fn largest() -> impl Iterator<Item = PrimeField> {
        (3..1 << 31).rev().filter_map(PrimeField::new)
    }

    /// The prime.
    pub fn prime(self) -> u32 {
        self.prime
    }

    /// `a + b`.
    pub fn add(self, a: u32, b: u32) -> u32 {
        let sum = a + b;
        if sum >= self.prime { sum - self.prime } else { sum }
    }

    /// `a - b`.
    pub fn subtract(self, a: u32, b: u32) -> u32 {
        if a >= b { a - b } else { a + self.prime - b }
    }

    /// `-a`.
    pub fn negate(self, a: u32) -> u32 {
        if a == 0 { 0 } else { self.prime - a }
    }

    /// `a * b`.
    pub fn multiply(self, a: u32, b: u32) -> u32 {
        self.reduce(u64::from(a) * u64::from(b))
    }

    /// `a` to the power of `exponent`; one for exponent zero.
    pub fn power(self, a: u32, mut exponent: u32) -> u32 {
        let (mut result, mut square) = (1, a);
        while exponent > 0 {
            if exponent % 2 == 1 {
                result = self.multiply(result, square);
            }
            square = self.multiply(square, square);
            exponent /= 2;
        }
        result
    }

    /// `1 / a`, or `None` for zero.
    pub fn inverse(self, a: u32) -> Option<u32> {
        (a != 0).then(|| {
            // Euclid's algorithm keeps `a * coefficient ≡ remainder`.
            let (mut remainder, mut next) = (i64::from(self.prime), i64::from(a));
            let (mut coefficient, mut next_coefficient) = (0_i64, 1_i64);
            while next != 0 {
                let quotient = remainder / next;
                (remainder, next) = (next, remainder - quotient * next);
                (coefficient, next_coefficient) =
                    (next_coefficient, coefficient - quotient * next_coefficient);
            }
            coefficient.rem_euclid(i64::from(self.prime)) as u32
        })
    }

    /// The class of an unsigned word.
    pub fn reduce(self, value: u64) -> u32 {
        (value % u64::from(self.prime)) as u32
    }

    /// The class of an integer.
    pub fn reduce_integer(self, value: &BigInt) -> u32 {
        value.mod_floor(&BigInt::from(self.prime)).to_u32().unwrap_or_default()
    }

    /// The class of a rational number, or `None` if the prime divides its denominator.
    pub fn reduce_rational(self, value: &Rational) -> Option<u32> {
        let denominator = self.inverse(self.reduce_integer(&value.denominator()))?;
        Some(self.multiply(self.reduce_integer(&value.numerator()), denominator))
    }
}

/// Miller and Rabin's test with bases that decide all numbers below 2³².
fn is_prime(number: u32) -> bool {
    const BASES: [u32; 3] = [2, 7, 61];
    if number < 2 || number.is_multiple_of(2) {
        return number == 2;
    }
    let modulus = u64::from(number);
    let power = |base: u32, mut exponent: u32| {
        let (mut result, mut square) = (1_u64, u64::from(base) % modulus);
        while exponent > 0 {
            if exponent % 2 == 1 {
                result = result * square % modulus;
            }
            square = square * square % modulus;
            exponent /= 2;
        }
        result
    };
    let twos = (number - 1).trailing_zeros();
    let odd = (number - 1) >> twos;
    BASES.iter().all(|&base| {
        let mut value = power(base, odd);
        if base % number == 0 || value == 1 || value == modulus - 1 {
            return true;
        }
        (1..twos).any(|_| {
            value = value * value % modulus;
            value == modulus - 1
        })
    })
}

/// Rows over a [`PrimeField`] in echelon form, inserted one by one.
///
/// The pivot of a row is its first non-zero column, so among the columns the pivots are the lexicographically first
/// independent ones.
#[derive(Clone, Debug)]
pub struct Echelon {
    field: PrimeField,
    columns: usize,
    /// Each row has a one at its pivot and zeros at the pivots of the rows before it.
    rows: Vec<(usize, Vec<u32>)>,
    is_reduced: bool,
}

impl Echelon {
    /// No rows yet, of this many columns.
    pub fn new(field: PrimeField, columns: usize) -> Self {
        Echelon { field, columns, rows: Vec::new(), is_reduced: true }
    }

    /// The echelon form of all `rows`, each of `columns` elements of the field.
    pub fn of_rows<'a>(field: PrimeField, columns: usize, rows: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut echelon = Echelon::new(field, columns);
        for row in rows {
            echelon.insert(row);
        }
        echelon
    }

    /// The number of independent rows inserted so far.
    pub fn rank(&self) -> usize {
        self.rows.len()
    }

    /// The pivot columns, in the order of insertion.
    pub fn pivots(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|(pivot, _)| *pivot)
    }

    /// Add a row of the declared number of columns; whether it was independent of those before.
    pub fn insert(&mut self, row: &[u32]) -> bool {
        debug_assert_eq!(row.len(), self.columns);
        let mut row = self.remainder(row);
        let Some(pivot) = row.iter().position(|entry| *entry != 0) else { return false };
        let Some(inverse) = self.field.inverse(row[pivot]) else { return false };
        row[pivot..].iter_mut().for_each(|entry| *entry = self.field.multiply(*entry, inverse));
        self.rows.push((pivot, row));
        self.is_reduced = false;
        true
    }

    /// What is left of a row when the inserted rows are subtracted so that all pivots become zero; all zeros exactly
    /// if the row depends on them.
    pub fn remainder(&self, row: &[u32]) -> Vec<u32> {
        let mut wide: Vec<u64> = row.iter().map(|entry| u64::from(*entry)).collect();
        for (pivot, other) in &self.rows {
            subtract_multiple(self.field, &mut wide, other, *pivot);
        }
        wide.into_iter().map(|entry| self.field.reduce(entry)).collect()
    }

    /// A basis of the vectors that all rows map to zero: one for each column that is no pivot, in the order of columns,
    /// with a one there, zeros in the other such columns, and so with the fewest non-zero places possible for its kind:
    /// no other vector of the null space has its places inside those of one of these.
    pub fn null_space(&mut self) -> Vec<Vec<u32>> {
        if self.rank() == self.columns {
            return Vec::new();
        }
        self.reduce();
        let mut is_pivot = vec![false; self.columns];
        self.pivots().for_each(|pivot| is_pivot[pivot] = true);
        (0..self.columns)
            .filter(|column| !is_pivot[*column])
            .map(|column| {
                let mut vector = vec![0; self.columns];
                vector[column] = 1;
                for (pivot, row) in &self.rows {
                    vector[*pivot] = self.field.negate(row[column]);
                }
                vector
            })
            .collect()
    }

    /// Make the echelon form reduced: zeros at all pivots of other rows.
    fn reduce(&mut self) {
        if self.is_reduced {
            return;
        }
        for k in (0..self.rows.len()).rev() {
            let (before, after) = self.rows.split_at_mut(k + 1);
            let row = &mut before[k].1;
            let mut wide: Vec<u64> = row.iter().map(|entry| u64::from(*entry)).collect();
            for (pivot, other) in after.iter() {
                subtract_multiple(self.field, &mut wide, other, *pivot);
            }
            row.iter_mut().zip(wide).for_each(|(entry, value)| *entry = self.field.reduce(value));
        }
        self.is_reduced = true;
    }
}

/// Subtract the multiple of `other`, which has a one at `pivot`, that makes `row` zero there. Entries of `row` are below p².
fn subtract_multiple(field: PrimeField, row: &mut [u64], other: &[u32], pivot: usize) {
    let entry = field.reduce(row[pivot]);
    row[pivot] = u64::from(entry);
    if entry == 0 {
        return;
    }
    let factor = u64::from(field.negate(entry));
    let square = u64::from(field.prime()) * u64::from(field.prime());
    for (entry, value) in row.iter_mut().zip(other) {
        // Below 2p² < 2⁶³; of it and itself less p² the smaller is below p², as a negative number wraps to a large one.
        let sum = *entry + factor * u64::from(*value);
        *entry = sum.min(sum.wrapping_sub(square));
    }
}

/// The determinant of a square matrix over the field, row-major.
pub fn determinant(field: PrimeField, matrix: &[u32], size: usize) -> u32 {
    let mut rows: Vec<Vec<u32>> = matrix.chunks(size.max(1)).map(<[u32]>::to_vec).collect();
    let mut result = 1;
    for k in 0..size {
        let Some(pivot) = (k..size).find(|row| rows[*row][k] != 0) else { return 0 };
        if pivot != k {
            rows.swap(pivot, k);
            result = field.negate(result);
        }
        result = field.multiply(result, rows[k][k]);
        let Some(inverse) = field.inverse(rows[k][k]) else { return 0 };
        let (above, below) = rows.split_at_mut(k + 1);
        for row in below {
            let factor = field.multiply(row[k], inverse);
            for column in k..size {
                row[column] = field.subtract(row[column], field.multiply(factor, above[k][column]));
            }
        }
    }
    result
}

/// The inverse of a square matrix over the field, row-major; `None` if it is singular.
pub fn inverse_matrix(field: PrimeField, matrix: &[u32], size: usize) -> Option<Vec<u32>> {
    let width = 2 * size;
    let mut rows = vec![0_u32; size * width];
    for i in 0..size {
        rows[i * width..i * width + size].copy_from_slice(&matrix[i * size..(i + 1) * size]);
        rows[i * width + size + i] = 1;
    }
    for k in 0..size {
        let pivot = (k..size).find(|row| rows[row * width + k] != 0)?;
        if pivot != k {
            (0..width).for_each(|column| rows.swap(pivot * width + column, k * width + column));
        }
        let inverse = field.inverse(rows[k * width + k])?;
        (k..width).for_each(|c| rows[k * width + c] = field.multiply(rows[k * width + c], inverse));
        for i in (0..size).filter(|i| *i != k) {
            let factor = rows[i * width + k];
            if factor != 0 {
                for c in k..width {
                    let product = field.multiply(factor, rows[k * width + c]);
                    rows[i * width + c] = field.subtract(rows[i * width + c], product);
                }
            }
        }
    }
    Some(rows.chunks(width.max(1)).flat_map(|row| row[size..].iter().copied()).collect())
}

/// The number modulo `modulus * p` that is `residue` modulo `modulus` and `value` modulo p, the prime of `field`, which must
/// not divide the modulus.
pub fn combine_residues(residue: &BigInt, modulus: &BigInt, value: u32, field: PrimeField) -> BigInt {
    let difference = field.subtract(value, field.reduce_integer(residue));
    let inverse = field.inverse(field.reduce_integer(modulus)).unwrap_or_default();
    residue + modulus * BigInt::from(field.multiply(difference, inverse))
}

/// The rational number n/d with |n| and d at most √(modulus/2) and `n ≡ residue * d`, if there is one; it is unique.
pub fn reconstruct_rational(residue: &BigInt, modulus: &BigInt) -> Option<Rational> {
    let bound = (modulus / BigInt::from(2)).sqrt();
    let (mut remainder, mut next) = (modulus.clone(), residue.mod_floor(modulus));
    let (mut coefficient, mut next_coefficient) = (BigInt::zero(), BigInt::one());
    while next > bound {
        let quotient = &remainder / &next;
        (remainder, next) = (next.clone(), remainder - &quotient * next);
        (coefficient, next_coefficient) =
            (next_coefficient.clone(), coefficient - quotient * next_coefficient);
    }
    if next_coefficient.is_zero() || next_coefficient.abs() > bound || !next.gcd(&next_coefficient).is_one() {
        return None;
    }
    Rational::new(next, next_coefficient)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field() -> PrimeField {
        PrimeField::new(2_147_483_647).unwrap()
    }

    #[test]
    fn primes_are_told_from_other_numbers() {
        let sieve: Vec<u32> = (2..2000_u32).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
        assert_eq!((0..2000).filter(|n| is_prime(*n)).collect::<Vec<_>>(), sieve);
        assert!(PrimeField::new(2).is_none() && PrimeField::new(9).is_none());
        assert!(PrimeField::new(4_294_967_291).is_none(), "a prime above 2^31");
        let largest: Vec<u32> = PrimeField::largest().take(3).map(PrimeField::prime).collect();
        assert_eq!(largest, [2_147_483_647, 2_147_483_629, 2_147_483_587]);
    }

    #[test]
    fn a_small_null_space() {
        let field = PrimeField::new(7).unwrap();
        let mut echelon = Echelon::of_rows(field, 3, [&[1, 2, 3][..], &[2, 4, 6], &[0, 0, 0]]);
        assert_eq!(echelon.rank(), 1);
        assert_eq!(echelon.null_space(), vec![vec![5, 1, 0], vec![4, 0, 1]]);
        assert_eq!(Echelon::new(field, 2).null_space(), vec![vec![1, 0], vec![0, 1]]);
        assert!(Echelon::new(field, 0).null_space().is_empty());
    }

    #[test]
    fn fractions_come_back_from_several_primes() {
        let wanted = Rational::new(-123_456_789_012_345_i64, 987_654_321_098_i64).unwrap();
        let (mut residue, mut modulus) = (BigInt::zero(), BigInt::one());
        for field in PrimeField::largest().take(4) {
            let value = field.reduce_rational(&wanted).unwrap();
            residue = combine_residues(&residue, &modulus, value, field);
            modulus *= field.prime();
        }
        assert_eq!(reconstruct_rational(&residue, &modulus), Some(wanted));
    }

    proptest! {
        #[test]
        fn field_laws(a in 0..2_147_483_647_u32, b in 0..2_147_483_647_u32, c in 0..2_147_483_647_u32) {
            let f = field();
            prop_assert_eq!(f.multiply(a, f.add(b, c)), f.add(f.multiply(a, b), f.multiply(a, c)));
            prop_assert_eq!(f.add(f.subtract(a, b), b), a);
            prop_assert_eq!(f.add(a, f.negate(a)), 0);
            prop_assert_eq!(f.power(a, 3), f.multiply(a, f.multiply(a, a)));
            if let Some(inverse) = f.inverse(a) {
                prop_assert_eq!(f.multiply(a, inverse), 1);
            }
        }

        #[test]
        fn small_fractions_come_back_from_one_prime(n in -30_000_i64..30_000, d in 1_i64..30_000) {
            let wanted = Rational::new(n, d).unwrap();
            let residue = field().reduce_rational(&wanted).unwrap();
            prop_assert_eq!(reconstruct_rational(&residue.into(), &field().prime().into()), Some(wanted));
        }

        #[test]
        fn null_spaces_are_annihilated_and_complete(
            rows in 0..7_usize, columns in 1..9_usize, rank in 0..5_usize, seed in any::<u64>(), small in any::<bool>(),
        ) {
            // Rows that are combinations of `rank` ones; a small prime makes accidental zeros common.
            let f = if small { PrimeField::new(5).unwrap() } else { field() };
            let mut state = seed;
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                f.reduce(state >> 33)
            };
            let basis: Vec<Vec<u32>> = (0..rank).map(|_| (0..columns).map(|_| draw()).collect()).collect();
            let matrix: Vec<Vec<u32>> = (0..rows)
                .map(|_| {
                    let factors: Vec<u32> = (0..rank).map(|_| draw()).collect();
                    (0..columns)
                        .map(|c| basis.iter().zip(&factors).fold(0, |s, (b, x)| f.add(s, f.multiply(b[c], *x))))
                        .collect()
                })
                .collect();
            let mut echelon = Echelon::of_rows(f, columns, matrix.iter().map(Vec::as_slice));
            let null_space = echelon.null_space();
            prop_assert_eq!(echelon.rank() + null_space.len(), columns);
            prop_assert!(echelon.rank() <= rank.min(rows));
            for vector in &null_space {
                for row in &matrix {
                    let dot = row.iter().zip(vector).fold(0, |s, (a, b)| f.add(s, f.multiply(*a, *b)));
                    prop_assert_eq!(dot, 0);
                }
            }
            for row in &matrix {
                prop_assert!(echelon.remainder(row).iter().all(|entry| *entry == 0));
            }
        }

        #[test]
        fn inverses_and_determinants(size in 0..6_usize, seed in any::<u64>()) {
            let f = field();
            let mut state = seed;
            let matrix: Vec<u32> = (0..size * size)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    f.reduce(state >> 62)
                })
                .collect();
            match inverse_matrix(f, &matrix, size) {
                None => prop_assert_eq!(determinant(f, &matrix, size), 0),
                Some(inverse) => {
                    let product = f.multiply(determinant(f, &matrix, size), determinant(f, &inverse, size));
                    prop_assert_eq!(product, 1);
                    for i in 0..size {
                        for j in 0..size {
                            let entry = (0..size).fold(0, |s, k| {
                                f.add(s, f.multiply(matrix[i * size + k], inverse[k * size + j]))
                            });
                            prop_assert_eq!(entry, u32::from(i == j));
                        }
                    }
                }
            }
        }
    }
}
