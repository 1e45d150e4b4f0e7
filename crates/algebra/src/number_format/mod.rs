//! Number formats with few bits, and matrix products in them.
//!
//! Each format has a plain definition, a quantiser where it is a format for real numbers, and a product that the tests
//! compare with the definition. Matrices are row-major slices; a packed operand owns its storage, and refilling it
//! allocates nothing once it has grown to its size.
//!
//! | module | values | product |
//! |---|---|---|
//! | [`bipolar`] | odd integers −(2ⁿ−1)..2ⁿ−1, n = 1..8, as bit planes | XOR or AND and population count, exact |
//! | [`ternary`] | −1, 0, 1 with one scale, two bits each | with 8-bit integers, exact |
//! | [`int8`] | 8-bit integers with a scale for each row | with single precision, for a few rows |
//! | [`l_mul`] | any binary floating-point format | multiplication replaced by an integer addition |
//! | [`float8`] | the 8-bit floats E4M3 and E5M2 | (used by `l_mul`) |
//!
//! [`bit_linear`] is the layer of networks with ternary weights, forwards and backwards.
//!
//! A product takes the [`InstructionSet`] it may use. Results do not depend on it, nor on the number of threads.

pub mod bipolar;
pub mod bit_linear;
pub mod float8;
pub mod int8;
pub mod l_mul;
pub mod ternary;

mod instruction_set;

pub use instruction_set::InstructionSet;

/// Why a format or a product refused its input.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// A number of bits that the format does not have.
    #[error("{found} bits: a width from 1 to {largest} is expected")]
    Bits {
        /// The width that was asked for.
        found: u32,
        /// The largest width.
        largest: u32,
    },
    /// A slice that does not fit the shape that was given with it.
    #[error("{what} has {found} elements, {expected} are expected")]
    Length {
        /// Which slice.
        what: &'static str,
        /// The number of elements that fits.
        expected: usize,
        /// The number of elements found.
        found: usize,
    },
    /// NaN or an infinity where a finite number is needed.
    #[error("{what}: element {index} is not finite")]
    NotFinite {
        /// Which slice.
        what: &'static str,
        /// Index into the slice.
        index: usize,
    },
    /// A code or an integer outside the format.
    #[error("{what}: {found} at index {index}; expected {expected}")]
    Code {
        /// Which slice.
        what: &'static str,
        /// Index into the slice.
        index: usize,
        /// The value found there.
        found: i64,
        /// What is valid there.
        expected: String,
    },
    /// A group length for which no kernel exists.
    #[error(
        "groups of {found} elements: a positive multiple of 64, or at least the row length {columns}, is expected"
    )]
    Group {
        /// The length that was asked for.
        found: usize,
        /// The row length.
        columns: usize,
    },
    /// Two operands that do not fit together.
    #[error("the operands differ in {what}: {left} and {right}")]
    Mismatch {
        /// In which quantity.
        what: &'static str,
        /// That of the left operand.
        left: usize,
        /// That of the right operand.
        right: usize,
    },
    /// The sum of a row could leave the integer type of the result.
    #[error(
        "a sum can reach {bound}, the result type holds {limit}; take the 64-bit product or shorter rows"
    )]
    Overflow {
        /// The largest magnitude that a sum can reach.
        bound: u128,
        /// The largest magnitude that the type holds.
        limit: u128,
    },
}

/// `Ok` if the slice has the expected length.
fn expect_length<T>(what: &'static str, slice: &[T], expected: usize) -> Result<(), FormatError> {
    match slice.len() {
        found if found == expected => Ok(()),
        found => Err(FormatError::Length { what, expected, found }),
    }
}

/// The largest magnitude of finite values; zero for none.
fn largest_magnitude(values: &[f32], set: InstructionSet) -> Result<f32, FormatError> {
    let bits = instruction_set::multiversion!(set, largest_magnitude_bits, (values: &[f32]) -> u32);
    match f32::from_bits(bits) {
        largest if largest.is_finite() => Ok(largest),
        _ => {
            let index = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
            Err(FormatError::NotFinite { what: "the values", index })
        }
    }
}

/// As a bit pattern: patterns of magnitudes are ordered like the magnitudes, NaN above all.
#[inline(always)]
fn largest_magnitude_bits(values: &[f32]) -> u32 {
    values.iter().fold(0, |largest, value| largest.max(value.to_bits() & 0x7FFF_FFFF))
}

/// A result matrix that several tasks write disjoint elements of.
///
/// The rows of a product are those of one operand and the tasks split the other, so that what a task writes is not a
/// contiguous slice.
struct SharedOutput<'a, T> {
    pointer: *mut T,
    length: usize,
    slice: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: the only access is `write`, whose callers keep to disjoint elements.
unsafe impl<T: Send> Sync for SharedOutput<'_, T> {}

impl<'a, T: Copy> SharedOutput<'a, T> {
    fn new(slice: &'a mut [T]) -> Self {
        SharedOutput { pointer: slice.as_mut_ptr(), length: slice.len(), slice: std::marker::PhantomData }
    }

    /// # Safety
    /// No two tasks may write the same element while the value is shared.
    unsafe fn write(&self, index: usize, value: T) {
        assert!(index < self.length);
        // SAFETY: the index is inside the exclusively borrowed slice, and no other task writes this element.
        unsafe { self.pointer.add(index).write(value) }
    }
}

#[cfg(test)]
mod random {
    //! Random numbers for the tests of this folder: xorshift64* and the Box-Muller transform.

    pub struct Random(u64);

    impl Random {
        pub fn new(seed: u64) -> Self {
            Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
        }

        pub fn bits(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
        }

        pub fn uniform(&mut self) -> f64 {
            ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        pub fn normal(&mut self) -> f64 {
            let (radius, angle) = (self.uniform(), self.uniform());
            (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
        }

        pub fn normals(&mut self, count: usize) -> Vec<f32> {
            (0..count).map(|_| self.normal() as f32).collect()
        }

        pub fn codes(&mut self, count: usize, bits: u32) -> Vec<u8> {
            (0..count).map(|_| (self.bits() >> (64 - bits)) as u8).collect()
        }
    }
}
