//! The real number types that kernels are generic over.

use faer::traits::RealField;
use pulp::{Arch, Simd, WithSimd};
use rustfft::FftNum;
use rustfft::num_traits::{Float, NumAssign};

/// `f32` or `f64`, with what kernels need of them.
pub trait Real: Float + NumAssign + RealField + FftNum + Default + std::iter::Sum {
    /// Factors below this in magnitude count as zero, so that no product of a few of them is a denormal number, which
    /// processors compute slowly.
    const NEGLIGIBLE: Self;

    /// From a literal, rounded.
    fn literal(value: f64) -> Self;

    /// As a 64-bit number.
    fn widened(self) -> f64;

    /// `e^self` for `self ≤ 0`, zero where the result is negligible; without branches, so that loops over it are
    /// vectorised where the type allows.
    fn decay(self) -> Self;

    /// The sine; in single precision without branches, and wrong by at most 1.3e-7 up to [`Self::SINES_TO`].
    fn sine(self) -> Self;

    /// The cosine, likewise.
    fn cosine(self) -> Self;

    /// Up to which magnitude sines and cosines are exact to the rounding of numbers near one.
    const SINES_TO: Self;

    /// The numbers themselves if they are of single precision, for kernels that exist for these only.
    fn as_single(numbers: &[Self]) -> Option<&[f32]>;

    /// From numbers of single precision; without a copy if they are of this type.
    fn from_single(numbers: Vec<f32>) -> Vec<Self>;

    /// Zero if negligible.
    #[inline(always)]
    fn flushed(self) -> Self {
        if Float::abs(self) < Self::NEGLIGIBLE { Self::zero() } else { self }
    }
}

impl Real for f64 {
    const NEGLIGIBLE: f64 = 1e-280;

    #[inline(always)]
    fn literal(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn widened(self) -> f64 {
        self
    }

    fn as_single(_: &[f64]) -> Option<&[f32]> {
        None
    }

    fn from_single(numbers: Vec<f32>) -> Vec<f64> {
        numbers.into_iter().map(f64::from).collect()
    }

    #[inline(always)]
    fn decay(self) -> f64 {
        f64::exp(self).flushed()
    }

    const SINES_TO: f64 = f64::MAX;

    #[inline(always)]
    fn sine(self) -> f64 {
        f64::sin(self)
    }

    #[inline(always)]
    fn cosine(self) -> f64 {
        f64::cos(self)
    }
}

impl Real for f32 {
    const NEGLIGIBLE: f32 = 1e-30;

    #[inline(always)]
    fn literal(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn widened(self) -> f64 {
        self.into()
    }

    fn as_single(numbers: &[f32]) -> Option<&[f32]> {
        Some(numbers)
    }

    fn from_single(numbers: Vec<f32>) -> Vec<f32> {
        numbers
    }

    /// `2^n e^r` with n the nearest integer to `self / ln 2`, ln 2 in two parts (Cody and Waite), and the polynomial for `e^r`
    /// on `|r| ≤ ln 2 / 2` of the Cephes library; relative error below 2e-7.
    #[inline(always)]
    fn decay(self) -> f32 {
        let x = if self > -80.0 { self } else { -80.0 };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let mut p = 1.987_569_1e-4;
        for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
            p = p * r + coefficient;
        }
        let p = p * r * r + r + 1.0;
        let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        // A comparison that is false for NaN keeps it.
        let value = if self < -69.0 { 0.0 } else { p * power };
        if self.is_nan() { self } else { value }
    }

    const SINES_TO: f32 = 8192.0;

    #[inline(always)]
    fn sine(self) -> f32 {
        let shifted = self * std::f32::consts::FRAC_1_PI + ROUND;
        sine_near(self, shifted - ROUND, shifted)
    }

    /// `cos x = −sin(x − (n + 1/2) π)` for even n, and the opposite for odd ones.
    #[inline(always)]
    fn cosine(self) -> f32 {
        let shifted = self * std::f32::consts::FRAC_1_PI - 0.5 + ROUND;
        -sine_near(self, shifted - ROUND + 0.5, shifted)
    }
}

/// Added to 1.5 · 2^23, the unit in the last place is one: the addition rounds, and the low bits are the integer.
const ROUND: f32 = 12_582_912.0;

/// `sin(x − m π)`, with the opposite sign if the integer in the low bits of `parity` is odd, for m that leaves at most π/2: π in three
/// parts (Cody and Waite), and a polynomial of ours with a relative error of 6e-9.
#[inline(always)]
fn sine_near(x: f32, m: f32, parity: f32) -> f32 {
    let r = x - m * 3.140_625 - m * 9.675_026e-4 - m * 1.509_958e-7;
    let s = r * r;
    let mut p = 2.605_631e-6;
    for coefficient in [-1.980_953_8e-4, 8.333_066e-3, -0.166_666_6] {
        p = p * s + coefficient;
    }
    let sine = p * s * r + r;
    f32::from_bits(sine.to_bits() ^ parity.to_bits() << 31)
}

/// Runs a closure whose loops are compiled for the widest vectors that the machine has. Both it and what it calls must be inlined: mark
/// them `#[inline(always)]`.
///
/// A closure that changes what it borrows is called as such here. Given to `pulp` itself it would be called through `FnOnce`, a
/// function between that is compiled for the narrowest vectors.
#[inline(always)]
pub fn vectorised<R>(work: impl FnMut() -> R) -> R {
    struct Loops<F>(F);
    impl<R, F: FnMut() -> R> WithSimd for Loops<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Loops(work))
}

/// Σ aₖ bₖ over as many as both have, as independent sums, so that a loop around it uses vectors; see [`vectorised`].
#[inline(always)]
pub fn inner_product<T: Real>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut sums = [T::zero(); LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    // By halves: one after the other the sums would wait for each other.
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0] + a_rest.iter().zip(b_rest).map(|(&a, &b)| a * b).sum::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_single_precision_exponential_has_its_accuracy() {
        let mut largest = 0_f64;
        for k in 0..680_000 {
            let x = -(k as f32) * 1e-4;
            let exact = f64::from(x).exp();
            largest = largest.max((f64::from(x.decay()) / exact - 1.0).abs());
        }
        assert!(largest < 2e-7, "{largest:e}");
        assert_eq!(0_f32.decay(), 1.0);
        assert_eq!([-70_f32, -1e30, f32::NEG_INFINITY].map(Real::decay), [0.0; 3]);
        assert_eq!(Real::decay(-700_f64), 0.0);
        assert!(f32::NAN.decay().is_nan());
    }

    #[test]
    fn the_single_precision_sine_has_its_accuracy() {
        let [mut of_sine, mut of_cosine] = [0_f64; 2];
        for k in -820_000..820_000 {
            let x = k as f32 * 0.009_99;
            let exact = f64::from(x);
            of_sine = of_sine.max((f64::from(x.sine()) - exact.sin()).abs());
            of_cosine = of_cosine.max((f64::from(x.cosine()) - exact.cos()).abs());
        }
        assert!(of_sine < 1.3e-7 && of_cosine < 1.3e-7, "{of_sine:e}, {of_cosine:e}");
        for small in [0.0, 1e-30, -1e-8, 1e-3_f32] {
            assert!((small.sine() - f32::sin(small)).abs() <= 1e-7 * small.abs());
        }
        assert_eq!(0_f32.cosine(), 1.0);
        assert!([f32::NAN, f32::INFINITY].iter().all(|x| x.sine().is_nan() && x.cosine().is_nan()));
        assert_eq!((Real::sine(2_f64), Real::cosine(2_f64)), (2_f64.sin(), 2_f64.cos()));
    }
}
