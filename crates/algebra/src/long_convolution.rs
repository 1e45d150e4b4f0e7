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

use crate::real::Real;

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
        let strips = self.strips(|channels| {
            let mut output = vec![T::zero(); input.len() / self.channels * channels.len()];
            for pair in pairs(&channels) {
                let spectra = self.kernel_spectra(&plans, &pair);
                self.for_each_document(&plans, |tokens, plan| {
                    let mut w = self.gather(input, tokens.clone(), &pair, plan.size);
                    plan.forward.process(&mut w);
                    multiply(&mut w, &spectra[&plan.size]);
                    plan.inverse.process(&mut w);
                    scatter(&mut output, &w, tokens, &pair, &channels);
                });
            }
            output
        });
        Ok(self.join(&strips, input.len()))
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
        let kernel = self.past.len() / self.channels;
        let strips = self.strips(|channels| {
            let width = channels.len();
            let mut of_input = vec![T::zero(); input.len() / self.channels * width];
            let mut of_past = vec![T::zero(); kernel * width];
            let mut of_future = vec![T::zero(); kernel * width];
            for pair in pairs(&channels) {
                let spectra = self.kernel_spectra(&plans, &pair);
                let mut sums: BTreeMap<usize, [Vec<Complex<T>>; 2]> = BTreeMap::new();
                self.for_each_document(&plans, |tokens, plan| {
                    let mut w = self.gather(input, tokens.clone(), &pair, plan.size);
                    let mut dy = self.gather(gradient, tokens.clone(), &pair, plan.size);
                    plan.forward.process(&mut w);
                    plan.forward.process(&mut dy);
                    let zeros = || [(); 2].map(|()| vec![Complex::default(); plan.size]);
                    let sums = sums.entry(plan.size).or_insert_with(zeros);
                    for f in 0..plan.size {
                        let (a, b) = separate(&w, f);
                        let (da, db) = separate(&dy, f);
                        sums[0][f] += a.conj() * da;
                        sums[1][f] += b.conj() * db;
                    }
                    multiply_conjugate(&mut dy, &spectra[&plan.size]);
                    plan.inverse.process(&mut dy);
                    scatter(&mut of_input, &dy, tokens, &pair, &channels);
                });
                for (size, [first, second]) in sums {
                    // Both are spectra of real sequences: one transform brings both back.
                    let i = Complex::new(T::zero(), T::one());
                    let mut both: Vec<_> = first.iter().zip(&second).map(|(a, b)| *a + i * *b).collect();
                    plans[&size].inverse.process(&mut both);
                    let scale = T::one() / T::literal(size as f64);
                    for (k, channel) in pair.clone().enumerate() {
                        let value = |index: usize| if k == 0 { both[index].re } else { both[index].im };
                        let column = channel - channels.start;
                        for lag in 0..kernel.min(size / 2) {
                            of_past[lag * width + column] += scale * value(lag);
                            of_future[lag * width + column] += scale * value(size - 1 - lag);
                        }
                    }
                }
            }
            StripGradients { input: of_input, past: of_past, future: of_future }
        });
        let part = |select: fn(&StripGradients<T>) -> &Vec<T>, length: usize| {
            let parts: Vec<&[T]> = strips.iter().map(|strip| select(strip).as_slice()).collect();
            self.join(&parts, length)
        };
        Ok(LongConvolutionGradients {
            input: part(|strip| &strip.input, input.len()),
            past: part(|strip| &strip.past, self.past.len()),
            future: self.future.map(|future| part(|strip| &strip.future, future.len())),
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

    /// For every size of a transform the spectra of the kernels of a pair of channels, over the size. A kernel of half the size is
    /// enough: no lag of a document that fits is longer.
    fn kernel_spectra(
        &self,
        plans: &BTreeMap<usize, Plan<T>>,
        pair: &Range<usize>,
    ) -> BTreeMap<usize, [Vec<Complex<T>>; 2]> {
        let kernel = self.past.len() / self.channels;
        let spectrum = |plan: &Plan<T>| {
            let reach = kernel.min(plan.size / 2);
            let mut k = self.gather(self.past, 0..reach, pair, plan.size);
            if let Some(future) = self.future {
                let future = self.gather(future, 0..reach, pair, reach);
                for (lag, value) in future.into_iter().enumerate() {
                    k[plan.size - 1 - lag] += value;
                }
            }
            plan.forward.process(&mut k);
            let scale = T::one() / T::literal(plan.size as f64);
            let (a, b) = (0..plan.size)
                .map(|f| {
                    let (a, b) = separate(&k, f);
                    (a * scale, b * scale)
                })
                .unzip();
            [a, b]
        };
        plans.iter().map(|(size, plan)| (*size, spectrum(plan))).collect()
    }

    /// A pair of channels of these tokens as real and imaginary parts, padded with zeros.
    fn gather(&self, array: &[T], tokens: Range<usize>, pair: &Range<usize>, size: usize) -> Vec<Complex<T>> {
        let mut values = Vec::with_capacity(size);
        for token in tokens {
            let row = &array[token * self.channels..][pair.clone()];
            values.push(Complex::new(row[0], row.get(1).copied().unwrap_or_else(T::zero)));
        }
        values.resize(size, Complex::default());
        values
    }

    /// What `work` makes of the strips of channels, one after the other.
    fn strips<R: Send>(&self, work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
        let count = self.channels.div_ceil(STRIP);
        let strip = |index: usize| work(index * STRIP..self.channels.min((index + 1) * STRIP));
        (0..count).into_par_iter().map(strip).collect()
    }

    /// Strips of rows, one array for each, as rows of all channels.
    fn join(&self, strips: &[impl AsRef<[T]> + Sync], length: usize) -> Vec<T> {
        let mut all = vec![T::zero(); length];
        all.par_chunks_mut(self.channels).with_min_len(64).enumerate().for_each(|(row, all)| {
            for (target, strip) in all.chunks_mut(STRIP).zip(strips) {
                target.copy_from_slice(&strip.as_ref()[row * target.len()..][..target.len()]);
            }
        });
        all
    }
}

/// The gradients of a strip of channels.
struct StripGradients<T> {
    input: Vec<T>,
    past: Vec<T>,
    future: Vec<T>,
}

/// Channels that a task takes, of a cache line at least; an even number.
const STRIP: usize = 16;

/// The transforms of one size.
struct Plan<T> {
    size: usize,
    forward: Arc<dyn Fft<T>>,
    inverse: Arc<dyn Fft<T>>,
}

fn transform_size(length: usize) -> usize {
    2 * length.next_power_of_two()
}

fn pairs(channels: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = channels.end;
    channels.clone().step_by(2).map(move |first| first..end.min(first + 2))
}

/// The spectra of real and imaginary part of what `z` is the spectrum of, at one frequency.
#[inline(always)]
fn separate<T: Real>(z: &[Complex<T>], f: usize) -> (Complex<T>, Complex<T>) {
    let (here, there) = (z[f], z[(z.len() - f) % z.len()].conj());
    let half = T::literal(0.5);
    let difference = here - there;
    ((here + there) * half, Complex::new(difference.im, -difference.re) * half)
}

/// Multiplies the spectra of a pair of channels by those of its kernels.
fn multiply<T: Real>(z: &mut [Complex<T>], [a, b]: &[Vec<Complex<T>>; 2]) {
    for_each_pair(z, |f, x, y| (a[f] * x, b[f] * y));
}

/// Multiplies them by the conjugates.
fn multiply_conjugate<T: Real>(z: &mut [Complex<T>], [a, b]: &[Vec<Complex<T>>; 2]) {
    for_each_pair(z, |f, x, y| (a[f].conj() * x, b[f].conj() * y));
}

fn for_each_pair<T: Real>(
    z: &mut [Complex<T>],
    change: impl Fn(usize, Complex<T>, Complex<T>) -> (Complex<T>, Complex<T>),
) {
    let i = Complex::new(T::zero(), T::one());
    let size = z.len();
    for f in 0..=size / 2 {
        let (x, y) = separate(z, f);
        let (x, y) = change(f, x, y);
        z[f] = x + i * y;
        // The spectra of real sequences at the opposite frequency are conjugates.
        z[(size - f) % size] = x.conj() + i * y.conj();
    }
}

fn scatter<T: Real>(
    strip: &mut [T],
    values: &[Complex<T>],
    tokens: Range<usize>,
    pair: &Range<usize>,
    channels: &Range<usize>,
) {
    let (width, column) = (channels.len(), pair.start - channels.start);
    for (token, value) in tokens.zip(values) {
        let row = &mut strip[token * width + column..][..pair.len()];
        row[0] = value.re;
        if let Some(second) = row.get_mut(1) {
            *second = value.im;
        }
    }
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
