//! Softmax attention with rotary position codes: Vaswani et al., "Attention Is All You Need" (2017), equation 1, forwards
//! and backwards, for heads that stand beside each other in rows.
//!
//! ```text
//! q'ₜ = R_t qₜ / √d,  k'ₛ = R_s kₛ                R_t rotates the pairs (i, i + d/2) by the angles of the token t
//! pₜₛ = exp(q'ₜ·k'ₛ) / Σ_u exp(q'ₜ·k'ᵤ)           over the tokens that t sees, itself among them
//! oₜ  = Σ_s pₜₛ vₛ
//! ```
//!
//! Some queries at a time are multiplied with all keys that they see, so that only `[64, time]` weights exist at once for a thread.
//! The derivative computes them again: with `aₜₛ = pₜₛ (dₜ·vₛ − dₜ·oₜ)` for the gradient `d` of `o`, those of `q'`, `k'` and `v` are
//! `Σ_s aₜₛ k'ₛ`, `Σ_t aₜₛ q'ₜ` and `Σ_t pₜₛ dₜ` (Dao et al., "FlashAttention", 2022, appendix B.2).

use std::ops::Range;

use rayon::prelude::*;

use crate::product::{Threads, View, product_into};
use crate::real::{Real, vectorised};

/// Queries that are multiplied with keys at once.
const TILE: usize = 64;

/// What attention is among: its shape, and for every token which tokens it sees and by which angles it is rotated.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a, T> {
    /// Tokens in a row.
    pub time: usize,
    /// Heads of the queries, a multiple of `groups`.
    pub heads: usize,
    /// Heads of keys and values.
    pub groups: usize,
    /// The even width of a head.
    pub width: usize,
    /// The tokens that each token sees, `[rows][time]`: itself, and what is beside it; neither bound falls within a row. One row is
    /// for all.
    pub seen: &'a [Range<usize>],
    /// The cosines of the angles, `[rows][time][width / 2]`; one row is for all.
    pub cosines: &'a [T],
    /// The sines.
    pub sines: &'a [T],
}

/// Gradients of queries, keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients<T> {
    /// Of the queries.
    pub queries: Vec<T>,
    /// Of the keys.
    pub keys: Vec<T>,
    /// Of the values.
    pub values: Vec<T>,
}

/// What each query sees, `[rows][time][heads][width]`, for queries of that shape and for keys and values `[rows][time][groups][width]`.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn forward<T: Real>(setting: &Setting<'_, T>, queries: &[T], keys: &[T], values: &[T]) -> Vec<T> {
    setting.check(queries, keys, values);
    let Setting { time, heads, groups, width, .. } = *setting;
    let mut output = vec![T::zero(); queries.len()];
    if output.is_empty() {
        return output;
    }
    let (queries, keys) = setting.rotated(queries, keys);
    let (wide, narrow) = (heads * width, groups * width);
    // Tiles never reach from one row into the next: each row is cut by itself.
    let tiles: Vec<&mut [T]> =
        output.chunks_mut(time * wide).flat_map(|row| row.chunks_mut(TILE * wide)).collect();
    let in_row = time.div_ceil(TILE);
    tiles.into_par_iter().enumerate().for_each_init(Vec::new, |weights, (tile, output)| {
        let place = Place { row: tile / in_row, from: tile % in_row * TILE, count: output.len() / wide };
        let seen = setting.seen(place);
        let [queries_at, keys_at] =
            [(place.row * time + place.from) * wide, (place.row * time + seen.start) * narrow];
        for head in 0..heads {
            let group = head / (heads / groups) * width;
            let queries = &queries[queries_at + head * width..];
            setting.weights(place, queries, &keys[keys_at + group..], weights);
            product_into(
                View::new(weights, [place.count, seen.len()]),
                View::with_stride(&values[keys_at + group..], [seen.len(), width], narrow),
                T::one(),
                false,
                &mut output[head * width..],
                wide,
                Threads::One,
            );
        }
    });
    output
}

/// The gradients of queries, keys and values from the output and its gradient.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn backward<T: Real>(
    setting: &Setting<'_, T>,
    [queries, keys, values]: [&[T]; 3],
    output: &[T],
    gradient: &[T],
) -> Gradients<T> {
    setting.check(queries, keys, values);
    assert_eq!([output.len(), gradient.len()], [queries.len(); 2], "numbers of the output");
    let Setting { time, heads, groups, width, .. } = *setting;
    let (mut of_queries, mut of_keys) = (vec![T::zero(); queries.len()], vec![T::zero(); keys.len()]);
    let mut of_values = of_keys.clone();
    if queries.is_empty() {
        return Gradients { queries: of_queries, keys: of_keys, values: of_values };
    }
    let (queries, keys) = setting.rotated(queries, keys);
    let (wide, narrow, shared) = (heads * width, groups * width, heads / groups);
    let rows = queries.len() / (time * wide);
    // By row and group: gradients of the rotated queries `[shared][time][width]`, of the rotated keys, and of the values.
    let parts: Vec<[Vec<T>; 3]> = (0..rows * groups)
        .into_par_iter()
        .map(|part| {
            let (row, group) = (part / groups, part % groups * width);
            let mut of_queries = vec![T::zero(); shared * time * width];
            let [mut of_keys, mut of_values] = [(); 2].map(|()| vec![T::zero(); time * width]);
            let (mut weights, mut scores) = (Vec::new(), Vec::new());
            for from in (0..time).step_by(TILE) {
                let place = Place { row, from, count: TILE.min(time - from) };
                let seen = setting.seen(place);
                let shape = [place.count, seen.len()];
                let keys_at = (row * time + seen.start) * narrow + group;
                let keys_seen = View::with_stride(&keys[keys_at..], [seen.len(), width], narrow);
                let values_seen = View::with_stride(&values[keys_at..], [seen.len(), width], narrow);
                let within = seen.start * width..seen.end * width;
                for of_group in 0..shared {
                    let head = group * shared + of_group * width;
                    let queries_at = (row * time + from) * wide + head;
                    let queries_here = View::with_stride(&queries[queries_at..], [place.count, width], wide);
                    let gradient_here =
                        View::with_stride(&gradient[queries_at..], [place.count, width], wide);
                    setting.weights(place, &queries[queries_at..], &keys[keys_at..], &mut weights);
                    product_into(
                        View::new(&weights, shape).transposed(),
                        gradient_here,
                        T::one(),
                        true,
                        &mut of_values[within.clone()],
                        width,
                        Threads::One,
                    );
                    scores.resize(weights.len(), T::zero());
                    let values = values_seen.transposed();
                    product_into(gradient_here, values, T::one(), false, &mut scores, shape[1], Threads::One);
                    let rows = (0..place.count).map(|query| queries_at + query * wide);
                    let lines = scores.chunks_exact_mut(shape[1]).zip(weights.chunks_exact(shape[1]));
                    for ((scores, weights), at) in lines.zip(rows) {
                        let (output, gradient) = (&output[at..at + width], &gradient[at..at + width]);
                        vectorised(
                            #[inline(always)]
                            || {
                                let mean = dot(output, gradient);
                                for (score, &weight) in scores.iter_mut().zip(weights) {
                                    *score = weight * (*score - mean);
                                }
                            },
                        );
                    }
                    let scores = View::new(&scores, shape);
                    let of_queries = &mut of_queries[(of_group * time + from) * width..];
                    product_into(scores, keys_seen, T::one(), false, of_queries, width, Threads::One);
                    let of_keys = &mut of_keys[within.clone()];
                    product_into(
                        scores.transposed(),
                        queries_here,
                        T::one(),
                        true,
                        of_keys,
                        width,
                        Threads::One,
                    );
                }
            }
            [of_queries, of_keys, of_values]
        })
        .collect();
    let scale = setting.scale();
    of_queries.par_chunks_mut(wide).enumerate().for_each(|(token, heads)| {
        let (row, at) = (token / time, token % time);
        for (head, target) in heads.chunks_exact_mut(width).enumerate() {
            let part =
                &parts[row * groups + head / shared][0][(head % shared * time + at) * width..][..width];
            setting.rotate(token, [T::one(), -T::one()], scale, part, target);
        }
    });
    of_keys.par_chunks_mut(narrow).zip(of_values.par_chunks_mut(narrow)).enumerate().for_each(
        |(token, (of_keys, of_values))| {
            let (row, at) = (token / time, token % time);
            let targets = of_keys.chunks_exact_mut(width).zip(of_values.chunks_exact_mut(width));
            for (group, (of_key, of_value)) in targets.enumerate() {
                let [_, keys, values] = &parts[row * groups + group];
                let here = at * width..(at + 1) * width;
                setting.rotate(token, [T::one(), -T::one()], T::one(), &keys[here.clone()], of_key);
                of_value.copy_from_slice(&values[here]);
            }
        },
    );
    Gradients { queries: of_queries, keys: of_keys, values: of_values }
}

/// Some queries that follow each other in a row.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    from: usize,
    count: usize,
}

impl<T: Real> Setting<'_, T> {
    fn check(&self, queries: &[T], keys: &[T], values: &[T]) {
        let Setting { time, heads, groups, width, .. } = *self;
        assert!(
            heads > 0 && groups > 0 && heads.is_multiple_of(groups) && width > 0 && width.is_multiple_of(2),
            "heads of attention"
        );
        let rows = if time == 0 { 0 } else { queries.len() / (time * heads * width) };
        assert_eq!(queries.len(), rows * time * heads * width, "whole rows of queries");
        let of_keys = rows * time * groups * width;
        assert_eq!([keys.len(), values.len()], [of_keys; 2], "keys and values for all queries");
        for (given, each) in [
            (self.seen.len(), time),
            (self.cosines.len(), time * width / 2),
            (self.sines.len(), time * width / 2),
        ] {
            assert!(given == each || given == rows * each, "a setting of {rows} rows or of one");
        }
        for row in self.seen.chunks_exact(time.max(1)) {
            assert!(row.iter().enumerate().all(|(token, seen)| seen.contains(&token)), "a token sees itself");
            assert!(row.iter().all(|seen| seen.end <= time), "tokens of the row are seen");
            assert!(
                row.is_sorted_by_key(|seen| seen.start) && row.is_sorted_by_key(|seen| seen.end),
                "later tokens see later ones"
            );
        }
    }

    fn scale(&self) -> T {
        T::literal(1.0 / (self.width as f64).sqrt())
    }

    fn of_row<'b, U>(&self, all: &'b [U], row: usize, each: usize) -> &'b [U] {
        if all.len() == each { all } else { &all[row * each..(row + 1) * each] }
    }

    /// The tokens that any of the queries sees.
    fn seen(&self, place: Place) -> Range<usize> {
        let row = self.of_row(self.seen, place.row, self.time);
        row[place.from].start..row[place.from + place.count - 1].end
    }

    /// Rotated queries, divided by the root of the width, and rotated keys.
    fn rotated(&self, queries: &[T], keys: &[T]) -> (Vec<T>, Vec<T>) {
        let turned = |all: &[T], heads: usize, factor: T| {
            let mut turned = vec![T::zero(); all.len()];
            turned
                .par_chunks_mut(heads * self.width)
                .zip(all.par_chunks(heads * self.width))
                .enumerate()
                .for_each(|(token, (target, source))| {
                    let heads = target.chunks_exact_mut(self.width).zip(source.chunks_exact(self.width));
                    for (target, source) in heads {
                        self.rotate(token, [T::one(), T::one()], factor, source, target);
                    }
                });
            turned
        };
        (turned(queries, self.heads, self.scale()), turned(keys, self.groups, T::one()))
    }

    /// `factor` times a head, rotated by the angles of a token, counted through all rows; `senses` are `[1, -1]` for the transposed
    /// rotation.
    fn rotate(&self, token: usize, senses: [T; 2], factor: T, source: &[T], target: &mut [T]) {
        let half = self.width / 2;
        let token = if self.cosines.len() == self.time * half { token % self.time } else { token };
        let (cosines, sines) = (&self.cosines[token * half..][..half], &self.sines[token * half..][..half]);
        let ((first, second), (to_first, to_second)) = (source.split_at(half), target.split_at_mut(half));
        vectorised(
            #[inline(always)]
            || {
                for pair in 0..half {
                    let (cosine, sine) =
                        (factor * cosines[pair] * senses[0], factor * sines[pair] * senses[1]);
                    to_first[pair] = first[pair] * cosine - second[pair] * sine;
                    to_second[pair] = second[pair] * cosine + first[pair] * sine;
                }
            },
        );
    }

    /// The weights `[queries][tokens seen by any]` of one head; zero where a token is not seen. The slices begin with the first query
    /// and the first key.
    fn weights(&self, place: Place, queries: &[T], keys: &[T], weights: &mut Vec<T>) {
        let seen = self.seen(place);
        weights.resize(place.count * seen.len(), T::zero());
        product_into(
            View::with_stride(queries, [place.count, self.width], self.heads * self.width),
            View::with_stride(keys, [seen.len(), self.width], self.groups * self.width).transposed(),
            T::one(),
            false,
            weights,
            seen.len(),
            Threads::One,
        );
        let of_queries = &self.of_row(self.seen, place.row, self.time)[place.from..];
        for (weights, of_query) in weights.chunks_exact_mut(seen.len()).zip(of_queries) {
            let (before, rest) = weights.split_at_mut(of_query.start - seen.start);
            let (seen, after) = rest.split_at_mut(of_query.len());
            before.fill(T::zero());
            after.fill(T::zero());
            vectorised(
                #[inline(always)]
                || softmax(seen),
            );
        }
    }
}

/// Independent partial results, so that loops over them use vectors.
const LANES: usize = 16;

#[inline(always)]
fn softmax<T: Real>(scores: &mut [T]) {
    let mut largest = [T::neg_infinity(); LANES];
    let greater = |a: T, b: T| if b > a { b } else { a };
    let (blocks, rest) = scores.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            largest[lane] = greater(largest[lane], block[lane]);
        }
    }
    let largest = largest.iter().chain(rest).fold(T::neg_infinity(), |a, &b| greater(a, b));
    let mut sums = [T::zero(); LANES];
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            block[lane] = (block[lane] - largest).decay();
            sums[lane] += block[lane];
        }
    }
    let mut sum = sums.iter().copied().sum::<T>();
    for score in rest {
        *score = (*score - largest).decay();
        sum += *score;
    }
    let factor = T::one() / sum;
    for score in scores {
        *score *= factor;
    }
}

#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().copied().sum::<T>() + a_rest.iter().zip(b_rest).map(|(&a, &b)| a * b).sum::<T>()
}
