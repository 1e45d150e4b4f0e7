//! Convolutions as long as the sequence, channel by channel, through the FFT: causal, or over both sides.
//!
//! Fu et al., "Monarch Mixer" (NeurIPS 2023), as its public code has it. For inputs w, a kernel k of past and present and one of the future,
//! k′:
//! ```text
//! y_t = Σ_{s≤t} k_{t−s} w_s + Σ_{s>t} k′_{s−t−1} w_s
//! ```
//! Document by document it is a product of transforms of at least twice the length, `Y = K W`, so that nothing wraps around; backwards
//! `dW = conj(K) dY` and `dK = Σ conj(W) dY`. Two real channels share one complex transform.
//!
//! Arrays are `[tokens, channels]`, kernels `[length, channels]`; tokens of all documents follow each other, and no document sees another.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::real::{Real, vectorised};

/// A convolution of a number of channels.
#[derive(Clone, Copy, Debug)]
pub struct LongConvolution<'a, T> {
    /// Numbers of a token.
    pub channels: usize,
    /// Tokens of each document; they follow each other. The kernels are at least as long as the longest.
    pub lengths: &'a [usize],
    /// k, `[length, channels]`.
    pub past: &'a [T],
    /// k′, `[length, channels]`; the convolution is causal if there is none.
    pub future: Option<&'a [T]>,
}

/// Gradients in the shapes of the operands.
#[derive(Clone, Debug, PartialEq)]
pub struct LongConvolutionGradients<T> {
    /// Of the inputs.
    pub input: Vec<T>,
    /// Of k.
    pub past: Vec<T>,
    /// Of k′, if there is one.
    pub future: Option<Vec<T>>,
}

/// Why operands were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvolutionError {
    /// An array does not fit the shape.
    #[error("{what} has {found} elements, {expected} are expected")]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A document that the kernel does not reach over.
    #[error("a document has {document} tokens, the kernel {kernel}: at least as many are expected")]
    Kernel {
        /// Tokens of the document.
        document: usize,
        /// Length of the kernel.
        kernel: usize,
    },
    /// No channels.
    #[error("the number of channels is zero")]
    NoChannels,
}

impl<T: Real> LongConvolution<'_, T> {
    /// The outputs, `[tokens, channels]`.
    ///
    /// # Errors
    /// [`ConvolutionError`] if arrays do not fit, or a document is longer than the kernels.
    pub fn forward(&self, input: &[T]) -> Result<Vec<T>, ConvolutionError> {
        self.check("the input", input)?;
        let plans = self.plans();
        let strips = self.strips(|pairs| {
            let kernels = self.kernels(&pairs);
            let mut columns = self.columns(input, &pairs);
            let (mut w, mut scratch) = (Vec::new(), Vec::new());
            for (pair, column) in columns.chunks_mut((input.len() / self.channels).max(1)).enumerate() {
                let spectra = kernels.spectra(&plans, pair);
                self.for_each_document(&plans, |tokens, plan| {
                    let column = &mut column[tokens];
                    padded(column, plan.size, &mut w);
                    transform(&plan.forward, &mut w, &mut scratch);
                    spectra[&plan.size].multiply(&mut w);
                    transform(&plan.inverse, &mut w, &mut scratch);
                    column.copy_from_slice(&w[..column.len()]);
                });
            }
            columns
        });
        Ok(self.rows(&strips))
    }

    /// The gradients, from that of the outputs.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn backward(
        &self,
        input: &[T],
        gradient: &[T],
    ) -> Result<LongConvolutionGradients<T>, ConvolutionError> {
        self.check("the input", input)?;
        self.check("the output's gradient", gradient)?;
        let plans = self.plans();
        let (tokens, lags) = (input.len() / self.channels, self.past.len() / self.channels);
        let strips = self.strips(|pairs| {
            let kernels = self.kernels(&pairs);
            let inputs = self.columns(input, &pairs);
            let mut of_input = self.columns(gradient, &pairs);
            let mut of_past = vec![Complex::default(); pairs.len() * lags];
            let mut of_future = of_past.clone();
            let (mut w, mut dy, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
            for pair in 0..pairs.len() {
                let spectra = kernels.spectra(&plans, pair);
                let columns = pair * tokens..(pair + 1) * tokens;
                let (inputs, of_input) = (&inputs[columns.clone()], &mut of_input[columns]);
                let mut sums: BTreeMap<usize, Vec<Complex<T>>> = BTreeMap::new();
                self.for_each_document(&plans, |tokens, plan| {
                    let of_input = &mut of_input[tokens.clone()];
                    padded(&inputs[tokens], plan.size, &mut w);
                    padded(of_input, plan.size, &mut dy);
                    transform(&plan.forward, &mut w, &mut scratch);
                    transform(&plan.forward, &mut dy, &mut scratch);
                    let sums = sums.entry(plan.size).or_insert_with(|| vec![Complex::default(); plan.size]);
                    add_correlations(sums, &w, &dy);
                    spectra[&plan.size].multiply_conjugate(&mut dy);
                    transform(&plan.inverse, &mut dy, &mut scratch);
                    of_input.copy_from_slice(&dy[..of_input.len()]);
                });
                let columns = pair * lags..(pair + 1) * lags;
                let (of_past, of_future) = (&mut of_past[columns.clone()], &mut of_future[columns]);
                for (size, mut sums) in sums {
                    transform(&plans[&size].inverse, &mut sums, &mut scratch);
                    let scale = T::one() / T::literal(size as f64);
                    for lag in 0..lags.min(size / 2) {
                        of_past[lag] += sums[lag] * scale;
                        of_future[lag] += sums[size - 1 - lag] * scale;
                    }
                }
            }
            [of_input, of_past, of_future]
        });
        let rows = |part: usize| {
            let parts: Vec<&[Complex<T>]> = strips.iter().map(|strip| strip[part].as_slice()).collect();
            self.rows(&parts)
        };
        Ok(LongConvolutionGradients {
            input: rows(0),
            past: rows(1),
            future: self.future.is_some().then(|| rows(2)),
        })
    }

    fn check(&self, what: &'static str, array: &[T]) -> Result<(), ConvolutionError> {
        if self.channels == 0 {
            return Err(ConvolutionError::NoChannels);
        }
        let expect = |what, found, expected| match found == expected {
            true => Ok(()),
            false => Err(ConvolutionError::Length { what, found, expected }),
        };
        expect(what, array.len(), self.lengths.iter().sum::<usize>() * self.channels)?;
        let kernel = self.past.len() / self.channels;
        expect("the kernel of the past", self.past.len(), kernel * self.channels)?;
        if let Some(future) = self.future {
            expect("the kernel of the future", future.len(), self.past.len())?;
        }
        match self.lengths.iter().find(|length| **length > kernel) {
            Some(&document) => Err(ConvolutionError::Kernel { document, kernel }),
            None => Ok(()),
        }
    }

    /// The transforms for all lengths of documents, by their size: twice the next power of two.
    fn plans(&self) -> BTreeMap<usize, Plan<T>> {
        let mut planner = FftPlanner::new();
        let sizes = self.lengths.iter().filter(|length| **length > 0).map(|length| transform_size(*length));
        let mut plans = BTreeMap::new();
        for size in sizes {
            plans.entry(size).or_insert_with(|| Plan {
                size,
                forward: planner.plan_fft_forward(size),
                inverse: planner.plan_fft_inverse(size),
            });
        }
        plans
    }

    fn for_each_document(
        &self,
        plans: &BTreeMap<usize, Plan<T>>,
        mut work: impl FnMut(Range<usize>, &Plan<T>),
    ) {
        let mut start = 0;
        for &length in self.lengths {
            if length > 0 {
                work(start..start + length, &plans[&transform_size(length)]);
            }
            start += length;
        }
    }

    /// The kernels of these pairs of channels.
    fn kernels(&self, pairs: &Range<usize>) -> Kernels<T> {
        Kernels {
            lags: self.past.len() / self.channels,
            past: self.columns(self.past, pairs),
            future: self.future.map(|future| self.columns(future, pairs)),
        }
    }

    /// What `work` makes of strips of pairs of channels, one after the other.
    fn strips<R: Send>(&self, work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
        let pairs = self.channels.div_ceil(2);
        let strip = |index: usize| work(index * STRIP..pairs.min((index + 1) * STRIP));
        (0..pairs.div_ceil(STRIP)).into_par_iter().map(strip).collect()
    }

    /// Pairs of channels of an array of rows as real and imaginary parts, `[pairs][rows]`; beside a last single channel there are zeros.
    fn columns(&self, array: &[T], pairs: &Range<usize>) -> Vec<Complex<T>> {
        let rows = array.len() / self.channels;
        let mut columns = vec![Complex::default(); pairs.len() * rows];
        let channels = 2 * pairs.start..self.channels.min(2 * pairs.end);
        for (row, values) in array.chunks_exact(self.channels).enumerate() {
            for (pair, values) in values[channels.clone()].chunks(2).enumerate() {
                let second = values.get(1).copied().unwrap_or_else(T::zero);
                columns[pair * rows + row] = Complex::new(values[0], second);
            }
        }
        columns
    }

    /// Strips of columns as rows of all channels.
    fn rows(&self, strips: &[impl AsRef<[Complex<T>]> + Sync]) -> Vec<T> {
        let pairs = self.channels.div_ceil(2);
        let rows = strips.iter().map(|strip| strip.as_ref().len()).sum::<usize>() / pairs;
        let mut all = vec![T::zero(); rows * self.channels];
        all.par_chunks_mut(BLOCK * self.channels).enumerate().for_each(|(block, all)| {
            for (strip, columns) in strips.iter().enumerate() {
                for (pair, column) in columns.as_ref().chunks_exact(rows.max(1)).enumerate() {
                    let channel = 2 * (strip * STRIP + pair);
                    let column = &column[block * BLOCK..];
                    for (row, value) in all.chunks_exact_mut(self.channels).zip(column) {
                        row[channel] = value.re;
                        if let Some(second) = row.get_mut(channel + 1) {
                            *second = value.im;
                        }
                    }
                }
            }
        });
        all
    }
}

/// Pairs of channels that a task takes: those of a cache line.
const STRIP: usize = 8;
/// Rows that are put together at a time.
const BLOCK: usize = 64;

/// The transforms of one size.
struct Plan<T> {
    size: usize,
    forward: Arc<dyn Fft<T>>,
    inverse: Arc<dyn Fft<T>>,
}

fn transform_size(length: usize) -> usize {
    2 * length.next_power_of_two()
}

fn transform<T: Real>(plan: &Arc<dyn Fft<T>>, values: &mut [Complex<T>], scratch: &mut Vec<Complex<T>>) {
    let needed = plan.get_inplace_scratch_len();
    if scratch.len() < needed {
        scratch.resize(needed, Complex::default());
    }
    plan.process_with_scratch(values, &mut scratch[..needed]);
}

/// Values, and zeros up to the size.
fn padded<T: Real>(values: &[Complex<T>], size: usize, target: &mut Vec<Complex<T>>) {
    target.clear();
    target.extend_from_slice(values);
    target.resize(size, Complex::default());
}

/// Of some pairs of channels, `[pairs][lags]`.
struct Kernels<T> {
    lags: usize,
    past: Vec<Complex<T>>,
    future: Option<Vec<Complex<T>>>,
}

impl<T: Real> Kernels<T> {
    /// The spectra of a pair for every size of a transform. A kernel of half the size is enough: no lag of a document that fits is
    /// longer.
    fn spectra(&self, plans: &BTreeMap<usize, Plan<T>>, pair: usize) -> BTreeMap<usize, Spectra<T>> {
        let (mut kernel, mut scratch) = (Vec::new(), Vec::new());
        let mut spectra = |plan: &Plan<T>| {
            let reach = pair * self.lags..pair * self.lags + self.lags.min(plan.size / 2);
            padded(&self.past[reach.clone()], plan.size, &mut kernel);
            if let Some(future) = &self.future {
                for (place, &value) in kernel.iter_mut().rev().zip(&future[reach]) {
                    *place += value;
                }
            }
            transform(&plan.forward, &mut kernel, &mut scratch);
            Spectra::new(&kernel)
        };
        plans.iter().map(|(size, plan)| (*size, spectra(plan))).collect()
    }
}

/// The spectra A and B of the kernels of a pair of channels, at half of the frequencies; at the others they are the conjugates of these.
///
/// What has the spectrum Z of two real sequences x + iy is to become that of `a ∗ x + i b ∗ y`. With `Z*(f) = conj(Z(−f))` the spectrum of x
/// is `(Z + Z*)/2` and i times that of y `(Z − Z*)/2`, so that the product is `(A + B)/2 Z + (A − B)/2 Z*`.
struct Spectra<T> {
    /// `(A + B)/2`, over the size.
    means: Vec<Complex<T>>,
    /// `(A − B)/2`, over the size.
    halves: Vec<Complex<T>>,
}

impl<T: Real> Spectra<T> {
    /// From the spectrum of `a + ib`.
    fn new(both: &[Complex<T>]) -> Self {
        let scale = T::one() / T::literal(2.0 * both.len() as f64);
        let at = |f: usize| {
            let (a, b) = separate(both, f);
            ((a + b) * scale, (a - b) * scale)
        };
        let (means, halves) = (0..=both.len() / 2).map(at).unzip();
        Spectra { means, halves }
    }

    fn multiply(&self, z: &mut [Complex<T>]) {
        vectorised(
            #[inline(always)]
            || self.multiply_by(z, T::one()),
        );
    }

    /// By the conjugates.
    fn multiply_conjugate(&self, z: &mut [Complex<T>]) {
        vectorised(
            #[inline(always)]
            || self.multiply_by(z, -T::one()),
        );
    }

    /// With this sign before imaginary parts of the spectra.
    #[inline(always)]
    fn multiply_by(&self, z: &mut [Complex<T>], sign: T) {
        let half = z.len() / 2;
        let signed = |c: Complex<T>| Complex::new(c.re, sign * c.im);
        for f in [0, half] {
            z[f] = signed(self.means[f]) * z[f] + signed(self.halves[f]) * z[f].conj();
        }
        let (low, high) = z.split_at_mut(half);
        let spectra = self.means[1..half].iter().zip(&self.halves[1..half]);
        for ((here, there), (&mean, &half)) in
            low[1..].iter_mut().zip(high[1..].iter_mut().rev()).zip(spectra)
        {
            let (mean, half, x, y) = (signed(mean), signed(half), *here, *there);
            *here = mean * x + half * y.conj();
            *there = mean.conj() * y + half.conj() * x.conj();
        }
    }
}

/// Adds `conj(W₁) D₁ + i conj(W₂) D₂` for the spectra of the two real sequences in each.
fn add_correlations<T: Real>(sums: &mut [Complex<T>], w: &[Complex<T>], d: &[Complex<T>]) {
    let i = Complex::new(T::zero(), T::one());
    for (f, sum) in sums.iter_mut().enumerate() {
        let ((a, b), (da, db)) = (separate(w, f), separate(d, f));
        *sum += a.conj() * da + i * (b.conj() * db);
    }
}

/// The spectra of real and imaginary part of what `z` is the spectrum of, at one frequency.
#[inline(always)]
fn separate<T: Real>(z: &[Complex<T>], f: usize) -> (Complex<T>, Complex<T>) {
    let (here, there) = (z[f], z[(z.len() - f) % z.len()].conj());
    let half = T::literal(0.5);
    let difference = here - there;
    ((here + there) * half, Complex::new(difference.im, -difference.re) * half)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Sequence;

    struct Example {
        channels: usize,
        lengths: Vec<usize>,
        kernels: [Vec<f64>; 2],
        both: bool,
        input: Vec<f64>,
        gradient: Vec<f64>,
    }

    impl Example {
        fn random(seed: u64, channels: usize, lengths: &[usize], longer: usize, both: bool) -> Self {
            let mut random = Sequence::new(seed);
            let kernel = lengths.iter().max().copied().unwrap_or(0) + longer;
            let tokens: usize = lengths.iter().sum();
            let mut normals = |count: usize| -> Vec<f64> { (0..count).map(|_| random.normal()).collect() };
            Example {
                channels,
                lengths: lengths.to_vec(),
                kernels: [normals(kernel * channels), normals(kernel * channels)],
                both,
                input: normals(tokens * channels),
                gradient: normals(tokens * channels),
            }
        }

        fn convolution(&self) -> LongConvolution<'_, f64> {
            LongConvolution {
                channels: self.channels,
                lengths: &self.lengths,
                past: &self.kernels[0],
                future: self.both.then_some(&self.kernels[1]),
            }
        }

        /// The sums of the definition, and the gradients of `⟨y, dy⟩`: of the input, k and k′.
        fn direct(&self) -> [Vec<f64>; 4] {
            let c = self.channels;
            let [mut y, mut dw] = [(); 2].map(|()| vec![0.0; self.input.len()]);
            let mut dk = [vec![0.0; self.kernels[0].len()], vec![0.0; self.kernels[1].len()]];
            let mut start = 0;
            for &length in &self.lengths {
                for t in 0..length {
                    for s in 0..length {
                        let (kernel, lag) = if s <= t { (0, t - s) } else { (1, s - t - 1) };
                        if kernel == 1 && !self.both {
                            continue;
                        }
                        for channel in 0..c {
                            let (at, from) = ((start + t) * c + channel, (start + s) * c + channel);
                            let k = self.kernels[kernel][lag * c + channel];
                            y[at] += k * self.input[from];
                            dw[from] += k * self.gradient[at];
                            dk[kernel][lag * c + channel] += self.input[from] * self.gradient[at];
                        }
                    }
                }
                start += length;
            }
            let [past, future] = dk;
            [y, dw, past, future]
        }
    }

    fn error(found: &[f64], expected: &[f64]) -> f64 {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(f64::MIN_POSITIVE, |s, x| s.max(x.abs()));
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
    }

    fn compare(e: &Example) -> Result<(), TestCaseError> {
        let [y, dw, past, future] = e.direct();
        let convolution = e.convolution();
        prop_assert!(error(&convolution.forward(&e.input).expect("fits"), &y) <= 1e-12);
        let found = convolution.backward(&e.input, &e.gradient).expect("fits");
        prop_assert!(error(&found.input, &dw) <= 1e-12);
        prop_assert!(error(&found.past, &past) <= 1e-12);
        if e.both {
            prop_assert!(error(&found.future.expect("both sides"), &future) <= 1e-12);
        } else {
            prop_assert!(found.future.is_none());
        }
        let narrow = |values: &[f64]| values.iter().map(|x| *x as f32).collect::<Vec<f32>>();
        let [past, future] = e.kernels.each_ref().map(|kernel| narrow(kernel));
        let single = LongConvolution {
            channels: e.channels,
            lengths: &e.lengths,
            past: &past,
            future: e.both.then_some(future.as_slice()),
        };
        let found = single.forward(&narrow(&e.input)).expect("fits");
        let found: Vec<f64> = found.into_iter().map(f64::from).collect();
        prop_assert!(error(&found, &y) <= 1e-5);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_is_the_direct_sum_with_its_gradients(
            channels in 1..20_usize, lengths in prop::collection::vec(0..40_usize, 0..4), longer in 0..30_usize,
            both: bool, seed: u64,
        ) {
            compare(&Example::random(seed, channels, &lengths, longer, both))?;
        }
    }

    #[test]
    fn long_sequences_are_the_direct_sum() {
        for length in [1000, 1024, 1025] {
            compare(&Example::random(1, 3, &[length], 0, true)).expect("equal");
        }
    }

    #[test]
    fn wrong_operands_are_refused() {
        let e = Example::random(2, 3, &[4, 6], 0, false);
        let convolution = e.convolution();
        assert_eq!(
            LongConvolution { lengths: &[3, 7], ..convolution }.forward(&e.input),
            Err(ConvolutionError::Kernel { document: 7, kernel: 6 })
        );
        assert!(matches!(convolution.forward(&e.input[1..]), Err(ConvolutionError::Length { .. })));
        assert!(LongConvolution { future: Some(&[0.0]), ..convolution }.forward(&e.input).is_err());
        assert!(LongConvolution { channels: 0, ..convolution }.forward(&e.input).is_err());
    }
}
