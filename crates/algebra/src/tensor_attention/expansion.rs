//! The polynomial form. With P of degree g the Taylor polynomial of e^x, the multinomial theorem gives
//! ```text
//! P(s_i(j₁ …)) = Σ_α c_α Q_i^α K₁_{j₁}^α ⋯ K_{k−1}_{j_{k−1}}^α        c_α = d^{−|α|} / Π_l α_l!,   |α| ≤ g
//! ```
//! so that the sums over tuples are products of sums over tokens (the paper's swap rule), with 1 as one more channel of values:
//! ```text
//! C_m[c, α] = Σ_j V_m[j, c] K_m[j]^α     W = C₁ ∘ ⋯ ∘ C_{k−1}     T_ic = Σ_α W[c, α] c_α Q_i^α / Σ_α W[1, α] c_α Q_i^α
//! ```
//! Causal sums run along. The gradients are derived from these equations; those of causal sums run back, taking one token after the
//! other out of the sums.
//!
//! Monomials are grouped by degree, and in a group by the last variable that they have. Those of degree t with the last variable l are
//! x_l times the monomials of degree t − 1 whose last variable is at most l, and these come first in their group: features are
//! made, and derivatives taken back, by runs of products without any table of indices.

use rayon::prelude::*;

use super::{Gradients, Operands, Outputs, TensorAttentionError, largest, score_bound};
use crate::real::vectorised;

/// Parts of the tokens whose sums are made by themselves: a fixed number, so that results do not depend on the threads.
const PARTS: usize = 16;

/// The Taylor polynomial of e^s of an even degree for scores up to a range, written out for a number of channels.
///
/// Its weights have a relative error of at most `ε = ∫₀ᴿ sᵍ eˢ ds / g!` where scores are at most R (the value at s = −R, the worst), so
/// outputs are at most `2ε / (1 − ε) · max |V₁ ⋯ V_{k−1}|` from the exact ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    channels: usize,
    degree: usize,
    range: f64,
    /// `counts[t][l]`: monomials of degree t whose last variable is at most l.
    counts: Vec<Vec<usize>>,
    pub(super) coefficients: Vec<f64>,
}

impl Expansion {
    /// The polynomial of this even degree, for scores up to `range`, of at most `largest_rank` monomials. The memory of a sequence is
    /// `8 · rank · (order − 1) · (value channels + 1)` bytes.
    ///
    /// # Errors
    /// [`TensorAttentionError`] if there are no channels, the range is not positive, the degree is odd, the error is 1 or more, or there
    /// are too many monomials.
    pub fn of_degree(
        channels: usize,
        degree: usize,
        range: f64,
        largest_rank: usize,
    ) -> Result<Self, TensorAttentionError> {
        if channels == 0 {
            return Err(TensorAttentionError::Zero("the number of channels"));
        }
        positive("the range of scores", range)?;
        let error = Self::relative_error(degree, range);
        if !degree.is_multiple_of(2) || error.is_nan() || error >= 1.0 {
            return Err(TensorAttentionError::Degree { degree, range, error });
        }
        let rank = Self::rank_of(channels, degree).unwrap_or(usize::MAX);
        if rank > largest_rank {
            return Err(TensorAttentionError::Rank { degree, channels, rank, largest: largest_rank });
        }
        let mut counts = vec![vec![1; channels]];
        let mut coefficients = vec![1.0];
        // The exponents of the last variables of the monomials of one degree.
        let mut exponents = vec![0];
        for t in 0..degree {
            let group = coefficients.len() - counts[t][channels - 1];
            let (mut count, mut next, mut next_counts) = (0, Vec::new(), Vec::new());
            for l in 0..channels {
                let before = if l == 0 || t == 0 { 0 } else { counts[t][l - 1] };
                for place in 0..counts[t][l] {
                    // Whether the variable l is in the monomial already: then it is its last one.
                    let exponent = if place >= before { exponents[place] + 1 } else { 1 };
                    next.push(exponent);
                    coefficients.push(coefficients[group + place] / (exponent as f64 * channels as f64));
                }
                count += counts[t][l];
                next_counts.push(count);
            }
            counts.push(next_counts);
            exponents = next;
        }
        Ok(Expansion { channels, degree, range, counts, coefficients })
    }

    /// The polynomial of the smallest degree with which outputs are at most `accuracy · max |V₁ ⋯ V_{k−1}|` from the exact ones.
    ///
    /// # Errors
    /// [`TensorAttentionError`] as for [`Self::of_degree`], or if the accuracy is not positive.
    pub fn of_accuracy(
        channels: usize,
        range: f64,
        accuracy: f64,
        largest_rank: usize,
    ) -> Result<Self, TensorAttentionError> {
        positive("the accuracy", accuracy)?;
        positive("the range of scores", range)?;
        let mut degree = 0;
        let reached = |degree| output_error(Self::relative_error(degree, range)) <= accuracy;
        while !reached(degree) && Self::rank_of(channels, degree).is_some_and(|rank| rank <= largest_rank) {
            degree += 2;
        }
        Self::of_degree(channels, degree, range, largest_rank)
    }

    /// The largest relative error of the Taylor polynomial of an even degree on `[−range, range]`.
    pub fn relative_error(degree: usize, range: f64) -> f64 {
        // ∫₀ᴿ sᵍ eˢ ds / g! as a series of positive terms.
        let mut term = (1..=degree).fold(range, |term, p| term * range / p as f64);
        let (mut sum, mut k) = (0.0, 0_usize);
        while term > 0.0 && term.is_finite() {
            let part = term / (degree + 1 + k) as f64;
            sum += part;
            if part <= 1e-17 * sum {
                return sum;
            }
            k += 1;
            term *= range / k as f64;
        }
        if term == 0.0 { sum } else { f64::INFINITY }
    }

    /// The number of monomials of at most this degree, if a machine's integer can hold it.
    pub fn rank_of(channels: usize, degree: usize) -> Option<usize> {
        (1..=degree as u128)
            .try_fold(1_u128, |rank, k| Some(rank.checked_mul(channels as u128 + k)? / k))
            .and_then(|rank| usize::try_from(rank).ok())
    }

    /// The number of monomials.
    pub fn rank(&self) -> usize {
        self.coefficients.len()
    }

    /// The coefficients c_α of the monomials, in their order.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// The degree.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The largest magnitude of scores.
    pub fn range(&self) -> f64 {
        self.range
    }

    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The largest relative error of a weight.
    pub fn error(&self) -> f64 {
        Self::relative_error(self.degree, self.range)
    }

    /// All monomials of a row.
    pub(super) fn features(&self, x: &[f64], features: &mut [f64]) {
        features[0] = 1.0;
        let (mut group, mut end) = (0, 1);
        for counts in &self.counts[..self.degree] {
            let start = end;
            for (x, &count) in x.iter().zip(counts) {
                let (made, rest) = features.split_at_mut(end);
                let from = &made[group..][..count];
                rest.iter_mut().zip(from).for_each(|(to, from)| *to = x * from);
                end += count;
            }
            group = start;
        }
    }

    /// The gradient of a row from that of its monomials, which is used up.
    fn pull(&self, x: &[f64], features: &[f64], of_features: &mut [f64], gradient: &mut [f64]) {
        let mut end = self.rank();
        for counts in self.counts[..self.degree].iter().rev() {
            let size: usize = counts.iter().sum();
            let group = end - size - counts[self.channels - 1];
            for l in (0..self.channels).rev() {
                let count = counts[l];
                end -= count;
                let (before, rest) = of_features.split_at_mut(end);
                let (before, from) = (&mut before[group..][..count], &rest[..count]);
                let parents = &features[group..][..count];
                gradient[l] += from.iter().zip(parents).map(|(g, parent)| g * parent).sum::<f64>();
                before.iter_mut().zip(from).for_each(|(to, from)| *to += x[l] * from);
            }
        }
    }

    fn refuse_other_channels(&self, operands: &Operands<'_>) -> Result<(), TensorAttentionError> {
        let (found, expected) = (operands.channels, self.channels);
        match found == expected {
            true => Ok(()),
            false => Err(TensorAttentionError::Mismatch { what: "channels", found, expected }),
        }
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), TensorAttentionError> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(TensorAttentionError::NotPositive { what, value }),
    }
}

/// The error of an output in units of the largest product of values; infinite where the weights' is one or more.
fn output_error(relative: f64) -> f64 {
    if relative < 1.0 { 2.0 * relative / (1.0 - relative) } else { f64::INFINITY }
}

/// The largest numbers of every channel, from which the range of scores and the error follow.
#[derive(Clone, Debug)]
struct Extremes {
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl Extremes {
    fn of(operands: &Operands<'_>) -> Self {
        let of = |arrays: &[&[f64]], columns| arrays.iter().map(|array| largest(array, columns)).collect();
        Extremes {
            keys: of(&operands.keys, operands.channels),
            values: of(&operands.values, operands.value_channels),
        }
    }

    fn rise(&mut self, other: Extremes) {
        let rise = |to: &mut [Vec<f64>], from: Vec<Vec<f64>>| {
            let pairs = to.iter_mut().flatten().zip(from.into_iter().flatten());
            pairs.for_each(|(to, from)| *to = from.max(*to));
        };
        rise(&mut self.keys, other.keys);
        rise(&mut self.values, other.values);
    }

    /// A bound of the outputs' error.
    fn error_bound(&self, queries: &[f64], expansion: &Expansion) -> Result<f64, TensorAttentionError> {
        let score = score_bound(&largest(queries, expansion.channels), self.keys.iter().cloned());
        // A bound of tokens at its very border may be above it by rounding.
        if score > expansion.range * (1.0 + 1e-12) {
            return Err(TensorAttentionError::Range { largest: score, range: expansion.range });
        }
        let channels = self.values[0].len();
        let product = |channel: usize| self.values.iter().map(|values| values[channel]).product::<f64>();
        let value = (0..channels).map(product).fold(0.0, f64::max);
        Ok(output_error(Expansion::relative_error(expansion.degree, score)) * value)
    }
}

/// `y += x · from`.
#[inline(always)]
fn add_row(y: &mut [f64], x: f64, from: &[f64]) {
    y.iter_mut().zip(from).for_each(|(y, from)| *y += x * from);
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum::<f64>() + rest
}

/// A value's channels with the one more, 1.
fn channel(values: &[f64], channel: usize) -> f64 {
    values.get(channel).copied().unwrap_or(1.0)
}

/// The products of all sums but one; of all if there is no such one.
fn product_but(sums: &[Vec<f64>], left_out: usize, product: &mut [f64]) {
    product.fill(1.0);
    for (number, sum) in sums.iter().enumerate() {
        if number != left_out {
            product.iter_mut().zip(sum).for_each(|(product, sum)| *product *= sum);
        }
    }
}

const NONE: usize = usize::MAX;

/// The sums over all tokens, for each array of keys `[value channels + 1, rank]`.
fn totals(operands: &Operands<'_>, expansion: &Expansion) -> Vec<Vec<f64>> {
    let (d, v, rank) = (operands.channels, operands.value_channels, expansion.rank());
    let part = operands.tokens().div_ceil(PARTS).max(1);
    let of_array = |(keys, values): (&&[f64], &&[f64])| {
        let parts = keys.par_chunks(part * d).zip(values.par_chunks(part * v)).map(|(keys, values)| {
            let (mut sums, mut features) = (vec![0.0; (v + 1) * rank], vec![0.0; rank]);
            for (key, value) in keys.chunks_exact(d).zip(values.chunks_exact(v)) {
                expansion.features(key, &mut features);
                vectorised(
                    #[inline(always)]
                    || {
                        for (c, sums) in sums.chunks_exact_mut(rank).enumerate() {
                            add_row(sums, channel(value, c), &features);
                        }
                    },
                );
            }
            sums
        });
        let mut total = vec![0.0; (v + 1) * rank];
        for sums in parts.collect::<Vec<_>>() {
            add_row(&mut total, 1.0, &sums);
        }
        total
    };
    operands.keys.iter().zip(&operands.values).map(of_array).collect()
}

/// The features of a query, times the coefficients.
fn query_features(expansion: &Expansion, query: &[f64], features: &mut [f64]) {
    expansion.features(query, features);
    features.iter_mut().zip(&expansion.coefficients).for_each(|(x, c)| *x *= c);
}

/// The output of one query from the products of sums; returns the logarithm of the denominator.
fn answer(features: &[f64], products: &[f64], blank: Option<f64>, output: &mut [f64]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            let rank = features.len();
            let denominator = dot(features, &products[output.len() * rank..]) + blank.map_or(0.0, f64::exp);
            for (y, products) in output.iter_mut().zip(products.chunks_exact(rank)) {
                *y = dot(features, products) / denominator;
            }
            denominator.ln()
        },
    )
}

/// Where every token is seen.
pub(super) fn forward(
    operands: &Operands<'_>,
    expansion: &Expansion,
) -> Result<Outputs, TensorAttentionError> {
    expansion.refuse_other_channels(operands)?;
    let error_bound = Extremes::of(operands).error_bound(operands.queries, expansion)?;
    let (d, v, rank) = (operands.channels, operands.value_channels, expansion.rank());
    let mut products = vec![0.0; (v + 1) * rank];
    product_but(&totals(operands, expansion), NONE, &mut products);
    let mut output = vec![0.0; operands.asking() * v];
    let mut log_normalisers = vec![0.0; operands.asking()];
    let rows = output.par_chunks_mut(v).zip(&mut log_normalisers).zip(operands.queries.par_chunks(d));
    rows.for_each_init(
        || vec![0.0; rank],
        |features, ((output, log_normaliser), query)| {
            query_features(expansion, query, features);
            *log_normaliser = answer(features, &products, operands.blank, output);
        },
    );
    Ok(Outputs { output, log_normalisers, error_bound })
}

/// Sums over the tokens so far.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    sums: Vec<Vec<f64>>,
    extremes: Extremes,
}

impl Sums {
    pub fn new(operands: &Operands<'_>, expansion: &Expansion) -> Self {
        let zeros = |columns: usize| vec![vec![0.0; columns]; operands.keys.len()];
        let (d, v) = (operands.channels, operands.value_channels);
        Sums {
            sums: zeros((v + 1) * expansion.rank()),
            extremes: Extremes { keys: zeros(d), values: zeros(v) },
        }
    }

    /// Reads the tokens; those from `offset` on ask.
    pub fn extend(
        &mut self,
        operands: &Operands<'_>,
        expansion: &Expansion,
        offset: usize,
    ) -> Result<Outputs, TensorAttentionError> {
        expansion.refuse_other_channels(operands)?;
        let (d, v, rank) = (operands.channels, operands.value_channels, expansion.rank());
        let found = (operands.keys.len(), (v + 1) * rank);
        let expected = (self.sums.len(), self.sums[0].len());
        for (what, found, expected) in
            [("arrays of keys", found.0, expected.0), ("sums of an array", found.1, expected.1)]
        {
            if found != expected {
                return Err(TensorAttentionError::Mismatch { what, found, expected });
            }
        }
        self.extremes.rise(Extremes::of(operands));
        let error_bound = self.extremes.error_bound(operands.queries, expansion)?;
        let mut output = vec![0.0; operands.asking() * v];
        let mut log_normalisers = vec![0.0; operands.asking()];
        let (mut features, mut products) = (vec![0.0; rank], vec![0.0; (v + 1) * rank]);
        for token in 0..operands.tokens() {
            self.change(operands, expansion, token, 1.0, &mut features);
            if let Some(number) = token.checked_sub(offset) {
                product_but(&self.sums, NONE, &mut products);
                query_features(expansion, &operands.queries[number * d..][..d], &mut features);
                let output = &mut output[number * v..][..v];
                log_normalisers[number] = answer(&features, &products, operands.blank, output);
            }
        }
        Ok(Outputs { output, log_normalisers, error_bound })
    }

    /// Adds a token, or takes it out.
    fn change(
        &mut self,
        operands: &Operands<'_>,
        expansion: &Expansion,
        token: usize,
        sign: f64,
        features: &mut [f64],
    ) {
        let (d, v, rank) = (operands.channels, operands.value_channels, expansion.rank());
        for (sums, (keys, values)) in self.sums.iter_mut().zip(operands.keys.iter().zip(&operands.values)) {
            expansion.features(&keys[token * d..][..d], features);
            let value = &values[token * v..][..v];
            vectorised(
                #[inline(always)]
                || {
                    for (c, sums) in sums.chunks_exact_mut(rank).enumerate() {
                        add_row(sums, sign * channel(value, c), features);
                    }
                },
            );
        }
    }
}

/// What one query gives back to its features, and to the products of sums.
struct Answered<'a> {
    features: &'a [f64],
    /// The gradients of the numerators and of the denominator.
    slopes: Vec<f64>,
}

impl<'a> Answered<'a> {
    fn new(features: &'a [f64], outputs: &Outputs, gradient: &[f64], number: usize) -> Self {
        let v = gradient.len() / outputs.log_normalisers.len();
        let denominator = outputs.log_normalisers[number].exp();
        let (output, gradient) = (&outputs.output[number * v..][..v], &gradient[number * v..][..v]);
        let mut slopes: Vec<f64> = gradient.iter().map(|g| g / denominator).collect();
        slopes.push(-slopes.iter().zip(output).map(|(g, y)| g * y).sum::<f64>());
        Answered { features, slopes }
    }

    /// The gradient of the query.
    fn query(&self, expansion: &Expansion, query: &[f64], products: &[f64], scratch: &mut [f64]) -> Vec<f64> {
        let rank = self.features.len();
        scratch.fill(0.0);
        for (slope, products) in self.slopes.iter().zip(products.chunks_exact(rank)) {
            add_row(scratch, *slope, products);
        }
        scratch.iter_mut().zip(&expansion.coefficients).for_each(|(g, c)| *g *= c);
        let mut plain = vec![0.0; rank];
        expansion.features(query, &mut plain);
        let mut gradient = vec![0.0; query.len()];
        expansion.pull(query, &plain, scratch, &mut gradient);
        gradient
    }

    /// Adds the gradient of the products of sums.
    fn products(&self, to: &mut [f64]) {
        for (slope, to) in self.slopes.iter().zip(to.chunks_exact_mut(self.features.len())) {
            add_row(to, *slope, self.features);
        }
    }
}

/// The gradients of a key and a value from that of the sums that they are in.
fn token_gradients(
    expansion: &Expansion,
    key: &[f64],
    value: &[f64],
    of_sums: &[f64],
    [features, scratch]: [&mut [f64]; 2],
    (of_key, of_value): (&mut [f64], &mut [f64]),
) {
    expansion.features(key, features);
    scratch.fill(0.0);
    vectorised(
        #[inline(always)]
        || {
            for (c, of_sums) in of_sums.chunks_exact(features.len()).enumerate() {
                add_row(scratch, channel(value, c), of_sums);
                if let Some(of_value) = of_value.get_mut(c) {
                    *of_value = dot(features, of_sums);
                }
            }
        },
    );
    expansion.pull(key, features, scratch, of_key);
}

pub(super) fn backward(
    operands: &Operands<'_>,
    expansion: &Expansion,
    outputs: &Outputs,
    gradient: &[f64],
) -> Result<Gradients, TensorAttentionError> {
    expansion.refuse_other_channels(operands)?;
    Extremes::of(operands).error_bound(operands.queries, expansion)?;
    let zeros = |arrays: &[&[f64]]| arrays.iter().map(|array| vec![0.0; array.len()]).collect();
    let mut gradients = Gradients {
        queries: vec![0.0; operands.queries.len()],
        keys: zeros(&operands.keys),
        values: zeros(&operands.values),
    };
    let sums = totals(operands, expansion);
    match operands.causal {
        false => whole_backward(operands, expansion, sums, outputs, gradient, &mut gradients),
        true => causal_backward(operands, expansion, sums, outputs, gradient, &mut gradients),
    }
    Ok(gradients)
}

fn whole_backward(
    operands: &Operands<'_>,
    expansion: &Expansion,
    sums: Vec<Vec<f64>>,
    outputs: &Outputs,
    gradient: &[f64],
    gradients: &mut Gradients,
) {
    let (d, v, rank) = (operands.channels, operands.value_channels, expansion.rank());
    let mut products = vec![0.0; (v + 1) * rank];
    product_but(&sums, NONE, &mut products);
    let part = operands.asking().div_ceil(PARTS).max(1);
    let parts =
        gradients.queries.par_chunks_mut(part * d).zip(operands.queries.par_chunks(part * d)).enumerate();
    let parts = parts.map(|(number, (of_queries, queries))| {
        let mut of_products = vec![0.0; (v + 1) * rank];
        let (mut features, mut scratch) = (vec![0.0; rank], vec![0.0; rank]);
        let rows = of_queries.chunks_exact_mut(d).zip(queries.chunks_exact(d)).enumerate();
        for (place, (of_query, query)) in rows {
            query_features(expansion, query, &mut features);
            let answered = Answered::new(&features, outputs, gradient, number * part + place);
            of_query.copy_from_slice(&answered.query(expansion, query, &products, &mut scratch));
            answered.products(&mut of_products);
        }
        of_products
    });
    let mut of_products = vec![0.0; (v + 1) * rank];
    for part in parts.collect::<Vec<_>>() {
        add_row(&mut of_products, 1.0, &part);
    }
    for m in 0..sums.len() {
        // The products are not needed any more.
        product_but(&sums, m, &mut products);
        products.iter_mut().zip(&of_products).for_each(|(of_sum, of_product)| *of_sum *= of_product);
        let tokens = operands.keys[m].par_chunks(d).zip(operands.values[m].par_chunks(v));
        let to = gradients.keys[m].par_chunks_mut(d).zip(gradients.values[m].par_chunks_mut(v));
        tokens.zip(to).for_each_init(
            || (vec![0.0; rank], vec![0.0; rank]),
            |(features, scratch), ((key, value), to)| {
                token_gradients(expansion, key, value, &products, [features, scratch], to);
            },
        );
    }
}

fn causal_backward(
    operands: &Operands<'_>,
    expansion: &Expansion,
    sums: Vec<Vec<f64>>,
    outputs: &Outputs,
    gradient: &[f64],
    gradients: &mut Gradients,
) {
    let (d, v, rank) = (operands.channels, operands.value_channels, expansion.rank());
    let offset = operands.tokens() - operands.asking();
    let mut of_sums: Vec<Vec<f64>> = sums.iter().map(|sum| vec![0.0; sum.len()]).collect();
    let mut sums = Sums { sums, extremes: Extremes { keys: Vec::new(), values: Vec::new() } };
    let (mut features, mut scratch) = (vec![0.0; rank], vec![0.0; rank]);
    let (mut products, mut of_products) = (vec![0.0; (v + 1) * rank], vec![0.0; (v + 1) * rank]);
    for token in (0..operands.tokens()).rev() {
        if let Some(number) = token.checked_sub(offset) {
            let query = &operands.queries[number * d..][..d];
            product_but(&sums.sums, NONE, &mut products);
            query_features(expansion, query, &mut features);
            let answered = Answered::new(&features, outputs, gradient, number);
            let of_query = answered.query(expansion, query, &products, &mut scratch);
            gradients.queries[number * d..][..d].copy_from_slice(&of_query);
            of_products.fill(0.0);
            answered.products(&mut of_products);
            for (m, of_sum) in of_sums.iter_mut().enumerate() {
                product_but(&sums.sums, m, &mut products);
                let pairs = products.iter().zip(&of_products);
                of_sum
                    .iter_mut()
                    .zip(pairs)
                    .for_each(|(to, (others, of_product))| *to += others * of_product);
            }
        }
        for (m, of_sum) in of_sums.iter().enumerate() {
            let (key, value) = (&operands.keys[m][token * d..][..d], &operands.values[m][token * v..][..v]);
            let to = (&mut gradients.keys[m][token * d..][..d], &mut gradients.values[m][token * v..][..v]);
            token_gradients(expansion, key, value, of_sum, [&mut features, &mut scratch], to);
        }
        sums.change(operands, expansion, token, -1.0, &mut features);
    }
}
