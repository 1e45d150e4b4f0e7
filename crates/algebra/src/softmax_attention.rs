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

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::few_rows;
use crate::memory::prefetch;
use crate::product::{Threads, View, product_into};
use crate::real::{Real, inner_product, vectorised};

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
                                let mean = inner_product(output, gradient);
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

/// Keys and values that are kept while a row grows, of one row, with room for more.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a, T> {
    /// Rotated keys, `[groups][capacity][width]`.
    pub keys: &'a [T],
    /// Values, in the same shape.
    pub values: &'a [T],
    /// Heads of both.
    pub groups: usize,
    /// The width of a head.
    pub width: usize,
}

/// Tokens whose keys and values a task reads.
const STRETCH: usize = 256;

/// What the next token sees: for rotated queries of its heads, `[heads][width]`, of the tokens `seen` of those that are kept; in the same shape.
/// Keys and values are read once for all heads that share them.
///
/// Sums over stretches of tokens are put together in their order, so that they do not depend on the number of threads.
///
/// # Panics
/// If the lengths do not fit each other, or nothing is seen.
pub fn next<T: Real>(queries: &[T], kept: Kept<'_, T>, seen: Range<usize>) -> Vec<T> {
    let Kept { keys, values, groups, width } = kept;
    assert!(groups > 0 && width > 0 && queries.len().is_multiple_of(groups * width), "heads of attention");
    assert!(keys.len() == values.len() && keys.len().is_multiple_of(groups * width), "keys and values");
    let (capacity, shared) = (keys.len() / (groups * width), queries.len() / (groups * width));
    assert!(!seen.is_empty() && seen.end <= capacity, "tokens that are kept are seen");
    let stretches = seen.len().div_ceil(STRETCH);
    let scale = T::literal(1.0 / (width as f64).sqrt());
    let read = |task: usize| {
        let (group, from) = (task / stretches, seen.start + task % stretches * STRETCH);
        let tokens = from..seen.end.min(from + STRETCH);
        let of_tokens = (group * capacity + tokens.start) * width..(group * capacity + tokens.end) * width;
        let (keys, values) = (&keys[of_tokens.clone()], &values[of_tokens]);
        let queries = &queries[group * shared * width..][..shared * width];
        Stretch::read(queries, keys, values, width, scale)
    };
    let tasks = groups * stretches;
    let parts: Vec<Stretch<T>> = match seen.len() * queries.len() < PARALLEL_FROM {
        true => (0..tasks).map(read).collect(),
        false => (0..tasks).into_par_iter().map(read).collect(),
    };
    let mut output = Vec::with_capacity(queries.len());
    for parts in parts.chunks(stretches) {
        for head in 0..shared {
            let largest = parts.iter().map(|part| part.largest[head]).fold(T::neg_infinity(), T::max);
            let factors = parts.iter().map(|part| (part.largest[head] - largest).decay());
            let total: T = factors.clone().zip(parts).map(|(factor, part)| factor * part.sums[head]).sum();
            let start = output.len();
            output.resize(start + width, T::zero());
            for (factor, part) in factors.zip(parts) {
                let weight = factor / total;
                let values = &part.values[head * width..][..width];
                output[start..].iter_mut().zip(values).for_each(|(output, &value)| *output += weight * value);
            }
        }
    }
    output
}

/// What some of the next tokens see: rotated queries `[heads][tokens][width]`, each of the tokens of those that are kept that stand at
/// its place in `seen`; in the same shape.
///
/// # Panics
/// If the lengths do not fit each other, or a query sees nothing.
pub fn following<T: Real>(queries: &[T], kept: Kept<'_, T>, seen: &[Range<usize>]) -> Vec<T> {
    let Kept { keys, values, groups, width } = kept;
    let count = seen.len();
    assert!(groups > 0 && width > 0 && count > 0, "heads and tokens of attention");
    assert!(queries.len().is_multiple_of(groups * count * width), "heads of attention");
    assert!(keys.len() == values.len() && keys.len().is_multiple_of(groups * width), "keys and values");
    let (capacity, shared) = (keys.len() / (groups * width), queries.len() / (groups * count * width));
    assert!(
        seen.iter().all(|seen| !seen.is_empty() && seen.end <= capacity),
        "tokens that are kept are seen"
    );
    let scale = T::literal(1.0 / (width as f64).sqrt());
    let mut output = vec![T::zero(); queries.len()];
    // Tiles never reach from one head into the next: each is cut by itself.
    let tiles: Vec<&mut [T]> =
        output.chunks_mut(count * width).flat_map(|head| head.chunks_mut(TILE * width)).collect();
    let in_head = count.div_ceil(TILE);
    tiles.into_par_iter().enumerate().for_each_init(Vec::new, |weights, (tile, output)| {
        let (head, from) = (tile / in_head, tile % in_head * TILE);
        let seen = &seen[from..from + output.len() / width];
        let (first, end) =
            seen.iter().fold((capacity, 0), |(first, end), seen| (first.min(seen.start), end.max(seen.end)));
        let within = (head / shared * capacity + first) * width..(head / shared * capacity + end) * width;
        let shape = [end - first, width];
        weights.resize(seen.len() * shape[0], T::zero());
        let queries =
            View::new(&queries[(head * count + from) * width..][..output.len()], [seen.len(), width]);
        let keys = View::new(&keys[within.clone()], shape).transposed();
        product_into(queries, keys, scale, false, weights, shape[0], Threads::One);
        for (weights, seen) in weights.chunks_exact_mut(shape[0]).zip(seen) {
            softmax_within(weights, seen.start - first..seen.end - first);
        }
        let (weights, values) =
            (View::new(weights, [seen.len(), shape[0]]), View::new(&values[within], shape));
        product_into(weights, values, T::one(), false, output, width, Threads::One);
    });
    output
}

/// Multiplications below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 18;

/// What some queries see of a stretch of tokens: `Σ exp(score − largest)`, and the values with these weights.
struct Stretch<T> {
    largest: Vec<T>,
    sums: Vec<T>,
    values: Vec<T>,
}

impl<T: Real> Stretch<T> {
    fn read(queries: &[T], keys: &[T], values: &[T], width: usize, scale: T) -> Self {
        let (heads, tokens) = (queries.len() / width, keys.len() / width);
        let mut weights = vec![T::zero(); heads * tokens];
        for (token, products) in inner_products(queries, keys, width).chunks_exact(heads).enumerate() {
            for (head, &product) in products.iter().enumerate() {
                weights[head * tokens + token] = scale * product;
            }
        }
        let of_head = |scores: &mut [T]| {
            vectorised(
                #[inline(always)]
                || exponentials(&mut *scores),
            )
        };
        let (largest, sums) = weights.chunks_exact_mut(tokens).map(of_head).unzip();
        Stretch { largest, sums, values: weighted_sums(&weights, values, width) }
    }
}

/// Of all keys with all queries, `[tokens][heads]`.
fn inner_products<T: Real>(queries: &[T], keys: &[T], width: usize) -> Vec<T> {
    if let (Some(queries), Some(keys)) = (T::as_single(queries), T::as_single(keys)) {
        let mut products = vec![0.0; keys.len() / width * (queries.len() / width)];
        few_rows::transposed_product(queries, width, keys, &mut products);
        return T::from_single(products);
    }
    let of_key = |key| queries.chunks_exact(width).map(move |query| inner_product(query, key));
    keys.chunks_exact(width).flat_map(of_key).collect()
}

/// The sums of values `[tokens][width]` with weights `[heads][tokens]`, `[heads][width]`.
fn weighted_sums<T: Real>(weights: &[T], values: &[T], width: usize) -> Vec<T> {
    let tokens = values.len() / width;
    let length = weights.len() / tokens * width;
    if let (Some(weights), Some(values)) = (T::as_single(weights), T::as_single(values)) {
        let mut sums = vec![0.0; length];
        Arch::new().dispatch(WeightedSums { weights, values, width, sums: &mut sums });
        return T::from_single(sums);
    }
    let mut sums = vec![T::zero(); length];
    for (weights, sums) in weights.chunks_exact(tokens).zip(sums.chunks_exact_mut(width)) {
        for (&weight, value) in weights.iter().zip(values.chunks_exact(width)) {
            sums.iter_mut().zip(value).for_each(|(sum, &value)| *sum += weight * value);
        }
    }
    sums
}

/// Heads whose sums are kept in registers together.
const MOST_HEADS: usize = 4;

/// The sums of values `[tokens][width]` with weights `[heads][tokens]`.
struct WeightedSums<'a> {
    weights: &'a [f32],
    values: &'a [f32],
    width: usize,
    /// `[heads][width]`.
    sums: &'a mut [f32],
}

impl WithSimd for WeightedSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let WeightedSums { weights, values, width, sums } = self;
        let tokens = values.len() / width;
        let heads = weights.chunks(MOST_HEADS * tokens).zip(sums.chunks_mut(MOST_HEADS * width));
        for (weights, sums) in heads {
            match sums.len() / width {
                1 => sums_of_heads::<S, 1>(simd, weights, values, width, sums),
                2 => sums_of_heads::<S, 2>(simd, weights, values, width, sums),
                3 => sums_of_heads::<S, 3>(simd, weights, values, width, sums),
                _ => sums_of_heads::<S, MOST_HEADS>(simd, weights, values, width, sums),
            }
        }
    }
}

/// Two vectors of the sums of each head at a time, in registers for all tokens.
#[inline(always)]
fn sums_of_heads<S: Simd, const H: usize>(
    simd: S,
    weights: &[f32],
    values: &[f32],
    width: usize,
    sums: &mut [f32],
) {
    let tokens = values.len() / width;
    for from in (0..width).step_by(2 * S::F32_LANES) {
        let first = from..width.min(from + S::F32_LANES);
        let second = first.end..width.min(first.end + S::F32_LANES);
        let mut partial = [[simd.splat_f32s(0.0); 2]; H];
        for (token, value) in values.chunks_exact(width).enumerate() {
            soon(&value[first.start..second.end]);
            let value = [load(simd, &value[first.clone()]), load(simd, &value[second.clone()])];
            for head in 0..H {
                let weight = simd.splat_f32s(weights[head * tokens + token]);
                for part in 0..2 {
                    partial[head][part] = simd.mul_add_f32s(weight, value[part], partial[head][part]);
                }
            }
        }
        for head in 0..H {
            let sums = &mut sums[head * width..][..width];
            simd.partial_store_f32s(&mut sums[first.clone()], partial[head][0]);
            simd.partial_store_f32s(&mut sums[second.clone()], partial[head][1]);
        }
    }
}

/// At most a vector of numbers, with zeros after them.
#[inline(always)]
fn load<S: Simd>(simd: S, numbers: &[f32]) -> S::f32s {
    match S::as_simd_f32s(numbers) {
        ([whole], _) => *whole,
        (_, rest) => simd.partial_load_f32s(rest),
    }
}

/// Bytes between what is read of keys and values and what is asked for.
const PREFETCH: usize = 1 << 14;

/// Asks for what follows some numbers at that distance.
#[inline(always)]
fn soon<T>(numbers: &[T]) {
    for line in numbers.chunks(64 / size_of::<T>()) {
        prefetch(line.as_ptr().wrapping_byte_add(PREFETCH));
    }
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
            softmax_within(weights, of_query.start - seen.start..of_query.end - seen.start);
        }
    }
}

/// Softmax of the scores of the tokens that are seen; the weights of the others are zero.
fn softmax_within<T: Real>(scores: &mut [T], seen: Range<usize>) {
    let (before, rest) = scores.split_at_mut(seen.start);
    let (seen, after) = rest.split_at_mut(seen.len());
    before.fill(T::zero());
    after.fill(T::zero());
    vectorised(
        #[inline(always)]
        || softmax(seen),
    );
}

/// Independent partial results, so that loops over them use vectors.
const LANES: usize = 16;

#[inline(always)]
fn softmax<T: Real>(scores: &mut [T]) {
    let (_, sum) = exponentials(scores);
    let factor = T::one() / sum;
    for score in scores {
        *score *= factor;
    }
}

/// Scores become `exp(score − largest)`; returns the largest and the sum.
#[inline(always)]
fn exponentials<T: Real>(scores: &mut [T]) -> (T, T) {
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
    (largest, sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Sequence;

    /// In both precisions, over several tiles, each with a range of its own, as the same tokens one by one.
    #[test]
    fn some_next_tokens_see_what_each_alone_sees() {
        fn check<T: Real>(tolerance: f64) {
            let mut random = Sequence::new(3);
            for (groups, shared, width, capacity, count, window) in
                [(1, 1, 2, 1, 1, 9), (2, 3, 6, 150, 130, 400), (3, 1, 16, 300, 65, 40), (1, 4, 64, 90, 7, 1)]
            {
                let mut draw = |count: usize| -> Vec<T> {
                    (0..count).map(|_| T::literal(2.0 * random.normal())).collect()
                };
                let queries = draw(groups * shared * count * width);
                let (keys, values) = (draw(groups * capacity * width), draw(groups * capacity * width));
                let kept = Kept { keys: &keys, values: &values, groups, width };
                let seen: Vec<Range<usize>> = (capacity - count..capacity)
                    .map(|place| (place + 1_usize).saturating_sub(window)..place + 1)
                    .collect();
                let given = following(&queries, kept, &seen);
                for (token, seen) in seen.into_iter().enumerate() {
                    let of_token = |numbers: &[T]| -> Vec<T> {
                        let heads = numbers.chunks(count * width);
                        heads.flat_map(|head| &head[token * width..][..width]).copied().collect()
                    };
                    let alone = next(&of_token(&queries), kept, seen);
                    for (given, alone) in of_token(&given).into_iter().zip(alone) {
                        assert!((given - alone).widened().abs() < tolerance, "{given:?} for {alone:?}");
                    }
                }
            }
        }
        check::<f64>(1e-12);
        check::<f32>(1e-5);
    }

    /// In both precisions, over several stretches, with heads that share keys, and with numbers that are not seen around.
    #[test]
    fn the_next_token_sees_what_is_kept() {
        let mut random = Sequence::new(1);
        for (groups, shared, width, capacity, seen) in
            [(1, 1, 2, 1, 0..1), (2, 3, 5, 40, 3..37), (3, 2, 64, 700, 10..700), (2, 1, 16, 3000, 0..2999)]
        {
            let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| 2.0 * random.normal()).collect() };
            let queries = draw(groups * shared * width);
            let (keys, values) = (draw(groups * capacity * width), draw(groups * capacity * width));
            let given = next(&queries, Kept { keys: &keys, values: &values, groups, width }, seen.clone());
            let mut expected = Vec::new();
            for (head, query) in queries.chunks(width).enumerate() {
                let at = |token: usize| (head / shared * capacity + token) * width;
                let score = |token: usize| -> f64 {
                    let pairs = query.iter().zip(&keys[at(token)..][..width]);
                    pairs.map(|(q, k)| q * k).sum::<f64>() / (width as f64).sqrt()
                };
                let largest = seen.clone().map(score).fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = seen.clone().map(|token| (score(token) - largest).exp()).collect();
                let total: f64 = weights.iter().sum();
                expected.extend((0..width).map(|k| {
                    let sum =
                        seen.clone().zip(&weights).map(|(token, weight)| weight * values[at(token) + k]);
                    sum.sum::<f64>() / total
                }));
            }
            let close = |given: f64, expected: f64, tolerance: f64| {
                assert!((given - expected).abs() < tolerance, "{given} for {expected}");
            };
            given.iter().zip(&expected).for_each(|(&given, &expected)| close(given, expected, 1e-12));
            let single =
                |numbers: &[f64]| -> Vec<f32> { numbers.iter().map(|&number| number as f32).collect() };
            let (keys, values) = (single(&keys), single(&values));
            let kept = Kept { keys: &keys, values: &values, groups, width };
            let given = next(&single(&queries), kept, seen.clone());
            given.iter().zip(&expected).for_each(|(&given, &expected)| close(given.into(), expected, 1e-4));
        }
    }
}
