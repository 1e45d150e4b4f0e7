//! All tuples, query by query, with a softmax that runs along.
//!
//! A tuple's first members are walked one by one, keeping the products of queries and keys, and of values, so far; the last members
//! are taken all at once. Derivatives, with P the weights and D_i = Σ_c dT_ic T_ic:
//! ```text
//! dP = Σ_c dT_ic V₁ ⋯ V_{k−1}     dS = P (dP − D_i) / d
//! ```
//! and each operand's is the sum of dS (or P dT for values) times the product of the others.

use rayon::prelude::*;

use super::{Gradients, Operands, Outputs};
use crate::real::vectorised;

/// Parts of the queries whose gradients are summed by themselves: a fixed number, so that results do not depend on the threads.
const PARTS: usize = 16;

pub(super) fn forward(operands: &Operands<'_>) -> Outputs {
    let tables = Tables::new(operands);
    let (d, v) = (operands.channels, operands.value_channels);
    let mut output = vec![0.0; operands.asking() * v];
    let mut log_normalisers = vec![0.0; operands.asking()];
    let ones = vec![1.0; v];
    let queries = operands.queries.par_chunks(d);
    let rows = output.par_chunks_mut(v).zip(&mut log_normalisers).zip(queries).enumerate();
    rows.for_each_init(
        || Walk::new(&tables, false),
        |walk, (number, ((output, log_normaliser), query))| {
            walk.begin(query, &ones, tables.seen(number));
            let mut row = Running::new(operands.blank, v);
            walk.sum(0, &mut row);
            output.iter_mut().zip(&row.numerators).for_each(|(y, sum)| *y = sum / row.denominator);
            *log_normaliser = row.largest + row.denominator.ln();
        },
    );
    Outputs { output, log_normalisers, error_bound: 0.0 }
}

pub(super) fn backward(operands: &Operands<'_>, outputs: &Outputs, gradient: &[f64]) -> Gradients {
    let tables = Tables::new(operands);
    let (d, v, q) = (operands.channels, operands.value_channels, operands.asking());
    let part = q.div_ceil(PARTS).max(1);
    let parts: Vec<Pulled> = (0..q)
        .step_by(part)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|from| {
            let mut pulled = Pulled::new(operands);
            let mut walk = Walk::new(&tables, true);
            for number in from..(from + part).min(q) {
                let of_output = &gradient[number * v..][..v];
                let output = &outputs.output[number * v..][..v];
                walk.begin(&operands.queries[number * d..][..d], of_output, tables.seen(number));
                let mean = of_output.iter().zip(output).map(|(g, y)| g * y).sum();
                walk.pull(0, outputs.log_normalisers[number], mean, &mut pulled);
                pulled.queries.extend_from_slice(&walk.factor_gradients[..d]);
            }
            pulled
        })
        .collect();
    Pulled::gathered(parts, operands)
}

/// What all queries share.
struct Tables<'a> {
    operands: &'a Operands<'a>,
    /// The last array of keys and that of values, `[channels, n]`, so that loops run along tokens.
    last_keys: Vec<f64>,
    last_values: Vec<f64>,
}

impl<'a> Tables<'a> {
    fn new(operands: &'a Operands<'a>) -> Self {
        let last = operands.keys.len() - 1;
        Tables {
            operands,
            last_keys: transposed(operands.keys[last], operands.channels),
            last_values: transposed(operands.values[last], operands.value_channels),
        }
    }

    /// How many tokens the query of this number sees.
    fn seen(&self, number: usize) -> usize {
        let n = self.operands.tokens();
        if self.operands.causal { n - self.operands.asking() + number + 1 } else { n }
    }
}

fn transposed(array: &[f64], columns: usize) -> Vec<f64> {
    let rows = array.len() / columns;
    (0..columns).flat_map(|column| (0..rows).map(move |row| array[row * columns + column])).collect()
}

/// Numerators and denominator of one query, in units of `e^largest`.
struct Running {
    largest: f64,
    denominator: f64,
    numerators: Vec<f64>,
}

impl Running {
    fn new(blank: Option<f64>, channels: usize) -> Self {
        let (largest, denominator) = blank.map_or((f64::NEG_INFINITY, 0.0), |score| (score, 1.0));
        Running { largest, denominator, numerators: vec![0.0; channels] }
    }

    fn raise(&mut self, largest: f64) {
        if largest > self.largest {
            let factor = (self.largest - largest).exp();
            self.denominator *= factor;
            self.numerators.iter_mut().for_each(|sum| *sum *= factor);
            self.largest = largest;
        }
    }
}

/// One query's way through the tuples.
struct Walk<'a> {
    tables: &'a Tables<'a>,
    seen: usize,
    /// Query times keys so far, `[level, d]`, and values so far, `[level, value channels]`.
    factors: Vec<f64>,
    products: Vec<f64>,
    /// Their gradients, if asked for.
    factor_gradients: Vec<f64>,
    product_gradients: Vec<f64>,
    /// For every last member: scores, then weights; and derivatives.
    weights: Vec<f64>,
    slopes: Vec<f64>,
}

impl<'a> Walk<'a> {
    fn new(tables: &'a Tables<'a>, backwards: bool) -> Self {
        let operands = tables.operands;
        let (levels, n) = (operands.keys.len(), operands.tokens());
        let back = |length| vec![0.0; if backwards { length } else { 0 }];
        Walk {
            tables,
            seen: 0,
            factors: vec![0.0; levels * operands.channels],
            products: vec![0.0; levels * operands.value_channels],
            factor_gradients: back(levels * operands.channels),
            product_gradients: back(levels * operands.value_channels),
            weights: vec![0.0; n],
            slopes: back(n),
        }
    }

    fn begin(&mut self, query: &[f64], product: &[f64], seen: usize) {
        self.seen = seen;
        self.factors[..query.len()].copy_from_slice(query);
        self.products[..product.len()].copy_from_slice(product);
    }

    /// Take this token as the member of this level.
    fn descend(&mut self, level: usize, token: usize) {
        let operands = self.tables.operands;
        let step = |stack: &mut [f64], array: &[f64], width: usize| {
            let (before, after) = stack.split_at_mut((level + 1) * width);
            let member = &array[token * width..][..width];
            for ((after, before), x) in after.iter_mut().zip(&before[level * width..]).zip(member) {
                *after = before * x;
            }
        };
        step(&mut self.factors, operands.keys[level], operands.channels);
        step(&mut self.products, operands.values[level], operands.value_channels);
    }

    /// The scores of all last members.
    fn score(&mut self) {
        let (d, n) = (self.tables.operands.channels, self.tables.operands.tokens());
        let level = self.tables.operands.keys.len() - 1;
        let (scores, factors) = (&mut self.weights[..self.seen], &self.factors[level * d..]);
        let keys = &self.tables.last_keys;
        vectorised(
            #[inline(always)]
            || {
                scores.fill(0.0);
                for (channel, factor) in factors.iter().enumerate() {
                    let factor = factor / d as f64;
                    let keys = &keys[channel * n..];
                    scores.iter_mut().zip(keys).for_each(|(score, key)| *score += factor * key);
                }
            },
        );
    }

    fn sum(&mut self, level: usize, row: &mut Running) {
        if level + 1 < self.tables.operands.keys.len() {
            for token in 0..self.seen {
                self.descend(level, token);
                self.sum(level + 1, row);
            }
            return;
        }
        self.score();
        let weights = &mut self.weights[..self.seen];
        row.raise(weights.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        weights.iter_mut().for_each(|weight| *weight = (*weight - row.largest).exp());
        row.denominator += weights.iter().sum::<f64>();
        let (v, n) = (self.tables.operands.value_channels, self.tables.operands.tokens());
        let products = &self.products[level * v..];
        for (channel, (sum, product)) in row.numerators.iter_mut().zip(products).enumerate() {
            *sum += product * dot(weights, &self.tables.last_values[channel * n..]);
        }
    }

    /// Adds the gradients of keys and values, and leaves those of this level's products.
    fn pull(&mut self, level: usize, log_normaliser: f64, mean: f64, pulled: &mut Pulled) {
        let operands = self.tables.operands;
        let (d, v, n) = (operands.channels, operands.value_channels, operands.tokens());
        if level + 1 < operands.keys.len() {
            self.factor_gradients[level * d..][..d].fill(0.0);
            self.product_gradients[level * v..][..v].fill(0.0);
            for token in 0..self.seen {
                self.descend(level, token);
                self.pull(level + 1, log_normaliser, mean, pulled);
                let ascend =
                    |gradients: &mut [f64], stack: &[f64], array: &[f64], to: &mut [f64], width: usize| {
                        let (before, after) = gradients.split_at_mut((level + 1) * width);
                        let (member, to) =
                            (&array[token * width..][..width], &mut to[token * width..][..width]);
                        for channel in 0..width {
                            to[channel] += after[channel] * stack[level * width + channel];
                            before[level * width + channel] += after[channel] * member[channel];
                        }
                    };
                let to = &mut pulled.keys[level];
                ascend(&mut self.factor_gradients, &self.factors, operands.keys[level], to, d);
                let to = &mut pulled.values[level];
                ascend(&mut self.product_gradients, &self.products, operands.values[level], to, v);
            }
            return;
        }
        self.score();
        let (weights, slopes) = (&mut self.weights[..self.seen], &mut self.slopes[..self.seen]);
        let (factors, products) = (&self.factors[level * d..][..d], &self.products[level * v..][..v]);
        weights.iter_mut().for_each(|weight| *weight = (*weight - log_normaliser).exp());
        slopes.fill(-mean);
        for (channel, product) in products.iter().enumerate() {
            add(slopes, *product, &self.tables.last_values[channel * n..]);
            add(&mut pulled.values[level][channel * n..][..self.seen], *product, weights);
            self.product_gradients[level * v + channel] =
                dot(weights, &self.tables.last_values[channel * n..]);
        }
        slopes.iter_mut().zip(weights).for_each(|(slope, weight)| *slope *= *weight / d as f64);
        for (channel, factor) in factors.iter().enumerate() {
            add(&mut pulled.keys[level][channel * n..][..self.seen], *factor, slopes);
            self.factor_gradients[level * d + channel] = dot(slopes, &self.tables.last_keys[channel * n..]);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            // Eight sums, which may be held in one vector.
            let mut sums = [0.0; 8];
            let (a, b) = (a.chunks_exact(8), b[..a.len()].chunks_exact(8));
            let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
            for (a, b) in a.zip(b) {
                (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
            }
            sums.iter().sum::<f64>() + rest
        },
    )
}

fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    vectorised(
        #[inline(always)]
        || to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from),
    );
}

/// The gradients of some queries, and what they add to those of keys and values; of the last arrays transposed.
struct Pulled {
    queries: Vec<f64>,
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl Pulled {
    fn new(operands: &Operands<'_>) -> Self {
        let zeros = |arrays: &[&[f64]]| arrays.iter().map(|array| vec![0.0; array.len()]).collect();
        Pulled { queries: Vec::new(), keys: zeros(&operands.keys), values: zeros(&operands.values) }
    }

    fn gathered(parts: Vec<Self>, operands: &Operands<'_>) -> Gradients {
        let mut all = Pulled::new(operands);
        let sum = |to: &mut [Vec<f64>], from: &[Vec<f64>]| {
            to.iter_mut().zip(from).for_each(|(to, from)| add(to, 1.0, from));
        };
        for part in parts {
            all.queries.extend(part.queries);
            sum(&mut all.keys, &part.keys);
            sum(&mut all.values, &part.values);
        }
        let (last, n) = (operands.keys.len() - 1, operands.tokens());
        if n > 0 {
            all.keys[last] = transposed(&all.keys[last], n);
            all.values[last] = transposed(&all.values[last], n);
        }
        Gradients { queries: all.queries, keys: all.keys, values: all.values }
    }
}
