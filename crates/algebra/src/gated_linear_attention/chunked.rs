//! By chunks: matrix products between a chunk and the state before it, and within the chunk between sub-chunks; only the pairs of
//! tokens in one sub-chunk are taken one by one.
//!
//! With the products of gates Λ_r from the chunk's start up to and with row r, Γ_r after r up to the chunk's end, γ over the chunk:
//! ```text
//! O = s (Q∘Λ) S + A V        A_ij = s Σ_c Q_ic K_jc Π_{j<l≤i} α_lc   (j ≤ i)        S ← diag(γ) S + (K∘Γ)ᵀ V
//! ```
//! For a query in the sub-chunk that starts at row a and a key before it, `Π_{j<l≤i} = Π_{j<l≤a} · Π_{a<l≤i}`: one factor for the key, one
//! for the query, and a matrix product. Backwards the same split serves for the gradients of queries and keys; the states before all
//! chunks are computed again.

use faer::linalg::matmul::matmul;
use faer::prelude::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};

use super::{Head, HeadGradients, Rows};
use crate::real::{Real, inner_product, vectorised};

/// Writes the output, a column for every token, and returns the state after the last one.
pub(super) fn forward<T: Real>(
    head: &Head<'_, T>,
    mut output: MatMut<'_, T>,
    chunk: usize,
    sub_chunk: usize,
) -> Vec<T> {
    let mut state = head.start();
    let mut chunk = Chunk::new(head, chunk, sub_chunk);
    let mut reach = Reach::new(&chunk);
    for index in 0..head.tokens.div_ceil(chunk.size) {
        chunk.fill(index);
        chunk.score(&mut reach);
        let columns = output.rb_mut().subcols_mut(chunk.first, chunk.tokens);
        chunk.read(columns.transpose_mut(), &state);
        chunk.advance(&mut state);
    }
    state
}

/// The gradients, from those of the output and of the state after the last token.
pub(super) fn backward<T: Real>(
    head: &Head<'_, T>,
    output_gradient: Rows<'_, T>,
    mut state_gradient: Vec<T>,
    chunk: usize,
    sub_chunk: usize,
) -> HeadGradients<T> {
    let (key, value) = head.channels();
    let mut chunk = Chunk::new(head, chunk, sub_chunk);
    let chunks = head.tokens.div_ceil(chunk.size);
    let mut states = head.start();
    states.reserve(chunks * key * value);
    let mut state = states.clone();
    for index in 1..chunks {
        chunk.fill(index - 1);
        chunk.advance(&mut state);
        states.extend_from_slice(&state);
    }
    let mut gradients = HeadGradients::zeros(head);
    let mut work = BackwardWork::new(&chunk);
    for index in (0..chunks).rev() {
        let state = &states[index * key * value..][..key * value];
        chunk.fill(index);
        chunk.score(&mut work.reach);
        work.chunk(&chunk, output_gradient, state, &mut state_gradient, &mut gradients);
    }
    gradients.state = state_gradient;
    gradients
}

fn matrix<T>(values: &[T], rows: usize, columns: usize, stride: usize) -> MatRef<'_, T> {
    MatRef::from_row_major_slice_with_stride(values, rows, columns, stride)
}

fn matrix_mut<T>(values: &mut [T], rows: usize, columns: usize, stride: usize) -> MatMut<'_, T> {
    // The constructor for rows with a stride takes the stride for that of columns in faer 0.24.
    MatMut::from_column_major_slice_with_stride_mut(values, columns, rows, stride).transpose_mut()
}

/// One chunk, and room for what is computed of it. Arrays have a row of K numbers for each token of the chunk.
struct Chunk<'a, T> {
    head: &'a Head<'a, T>,
    size: usize,
    sub_chunk: usize,
    /// The first token, and how many there are.
    first: usize,
    tokens: usize,
    gates: Vec<T>,
    /// Λ: the gates from the chunk's start up to and with the row.
    from_start: Vec<T>,
    /// Γ: the gates after the row.
    to_end: Vec<T>,
    /// γ: all gates.
    total: Vec<T>,
    /// The gates after the first row of the row's sub-chunk, up to and with the row.
    local: Vec<T>,
    /// s Q∘Λ.
    queries: Vec<T>,
    /// K∘Γ.
    keys: Vec<T>,
    /// A, a row of `size` numbers for each token.
    scores: Vec<T>,
    /// Q times `local`.
    local_queries: Vec<T>,
}

impl<'a, T: Real> Chunk<'a, T> {
    fn new(head: &'a Head<'a, T>, size: usize, sub_chunk: usize) -> Self {
        let size = size.min(head.tokens.max(1));
        let (key, _) = head.channels();
        let rows = || vec![T::zero(); size * key];
        Chunk {
            head,
            size,
            sub_chunk,
            first: 0,
            tokens: 0,
            gates: rows(),
            from_start: rows(),
            to_end: rows(),
            total: vec![T::zero(); key],
            local: rows(),
            queries: rows(),
            keys: rows(),
            scores: vec![T::zero(); size * size],
            local_queries: rows(),
        }
    }

    fn values(&self) -> MatRef<'a, T> {
        let values = self.head.values;
        matrix(values.from(self.first), self.tokens, values.width, values.stride)
    }

    /// Takes up the chunk of this number: its gates and their products.
    fn fill(&mut self, index: usize) {
        self.first = index * self.size;
        self.tokens = self.size.min(self.head.tokens - self.first);
        vectorised(
            #[inline(always)]
            || self.fill_rows(),
        );
    }

    #[inline(always)]
    fn fill_rows(&mut self) {
        let (key, _) = self.head.channels();
        let scale = self.head.scale;
        for row in 0..self.tokens {
            let rows = row * key..(row + 1) * key;
            let log_gates = self.head.log_gates.row(self.first + row);
            let queries = self.head.queries.row(self.first + row);
            let gates = &mut self.gates[rows.clone()];
            for (gate, log_gate) in gates.iter_mut().zip(log_gates) {
                *gate = log_gate.decay();
            }
            if row == 0 {
                self.from_start[rows.clone()].copy_from_slice(gates);
            } else {
                multiply_previous(&mut self.from_start, gates, row);
            }
            if row % self.sub_chunk == 0 {
                self.local[rows.clone()].fill(T::one());
            } else {
                multiply_previous(&mut self.local, gates, row);
            }
            let targets = self.queries[rows.clone()].iter_mut().zip(&self.from_start[rows.clone()]);
            for ((target, product), query) in targets.zip(queries) {
                *target = scale * *query * *product;
            }
            let targets = self.local_queries[rows.clone()].iter_mut().zip(&self.local[rows]);
            for ((target, product), query) in targets.zip(queries) {
                *target = *query * *product;
            }
        }
        self.total.fill(T::one());
        for row in (0..self.tokens).rev() {
            let rows = row * key..(row + 1) * key;
            self.to_end[rows.clone()].copy_from_slice(&self.total);
            let keys = self.head.keys.row(self.first + row);
            for ((target, product), key) in self.keys[rows.clone()].iter_mut().zip(&self.total).zip(keys) {
                *target = *product * *key;
            }
            for (product, gate) in self.total.iter_mut().zip(&self.gates[rows]) {
                *product = (*product * *gate).flushed();
            }
        }
    }

    /// Fills in A.
    fn score(&mut self, reach: &mut Reach<T>) {
        let (key, _) = self.head.channels();
        let (size, scale) = (self.size, self.head.scale);
        self.scores.fill(T::zero());
        for start in (0..self.tokens).step_by(self.sub_chunk) {
            let end = self.tokens.min(start + self.sub_chunk);
            if start > 0 {
                reach.move_to(self, start);
                let scores = matrix_mut(&mut self.scores[start * size..], end - start, start, size);
                let queries = matrix(&self.local_queries[start * key..], end - start, key, key);
                let keys = matrix(&reach.keys, start, key, key);
                matmul(scores, Accum::Replace, queries, keys.transpose(), scale, Par::Seq);
            }
            vectorised(
                #[inline(always)]
                || {
                    let (decayed, products) = (&mut reach.decayed[..key], &mut reach.products[..key]);
                    for j in start..end {
                        decayed.copy_from_slice(self.head.keys.row(self.first + j));
                        for i in j..end {
                            if i > j {
                                for (decayed, gate) in decayed.iter_mut().zip(&self.gates[i * key..]) {
                                    *decayed = (*decayed * *gate).flushed();
                                }
                            }
                            let queries = self.head.queries.row(self.first + i);
                            for ((product, decayed), query) in products.iter_mut().zip(&*decayed).zip(queries)
                            {
                                *product = *decayed * *query;
                            }
                            self.scores[i * size + j] = scale * sum_up(products);
                        }
                    }
                },
            );
        }
    }

    /// `O = s (Q∘Λ) S + A V`.
    fn read(&self, mut output: MatMut<'_, T>, state: &[T]) {
        let (key, value) = self.head.channels();
        let queries = matrix(&self.queries, self.tokens, key, key);
        let state = matrix(state, key, value, value);
        matmul(output.rb_mut(), Accum::Replace, queries, state, T::one(), Par::Seq);
        // The first half of the rows sees nothing of the second.
        let (values, half) = (self.head.values, self.tokens.div_ceil(2));
        for (start, end) in [(0, half), (half, self.tokens)] {
            let scores = matrix(&self.scores[start * self.size..], end - start, end, self.size);
            let values = matrix(values.from(self.first), end, value, values.stride);
            let output = output.rb_mut().subrows_mut(start, end - start);
            matmul(output, Accum::Add, scores, values, T::one(), Par::Seq);
        }
    }

    /// `S ← diag(γ) S + (K∘Γ)ᵀ V`.
    fn advance(&self, state: &mut [T]) {
        let (key, value) = self.head.channels();
        scale_rows(state, &self.total, value);
        let state = matrix_mut(state, key, value, value);
        let keys = matrix(&self.keys, self.tokens, key, key);
        matmul(state, Accum::Add, keys.transpose(), self.values(), T::one(), Par::Seq);
    }
}

/// The keys of a chunk as seen from the first row of a sub-chunk, which moves from one sub-chunk to the next.
struct Reach<T> {
    /// The gates after a row up to and with that first row.
    gates: Vec<T>,
    /// The keys times these.
    keys: Vec<T>,
    /// Rows for the pairs of tokens within a sub-chunk.
    decayed: Vec<T>,
    products: Vec<T>,
}

impl<T: Real> Reach<T> {
    fn new(chunk: &Chunk<'_, T>) -> Self {
        let (key, _) = chunk.head.channels();
        let rows = |count: usize| vec![T::zero(); count * key];
        Reach { gates: rows(chunk.size), keys: rows(chunk.size), decayed: rows(1), products: rows(1) }
    }

    fn move_to(&mut self, chunk: &Chunk<'_, T>, start: usize) {
        vectorised(
            #[inline(always)]
            || self.move_rows(chunk, start),
        );
    }

    #[inline(always)]
    fn move_rows(&mut self, chunk: &Chunk<'_, T>, start: usize) {
        let (key, _) = chunk.head.channels();
        let previous = start - chunk.sub_chunk;
        for row in (previous..start).rev() {
            let (rows, after) = self.gates.split_at_mut((row + 1) * key);
            let gates = &chunk.gates[(row + 1) * key..][..key];
            let here = &mut rows[row * key..];
            if row + 1 == start {
                here.copy_from_slice(gates);
                continue;
            }
            for ((product, after), gate) in here.iter_mut().zip(after).zip(gates) {
                *product = (*after * *gate).flushed();
            }
        }
        let (before, across) = self.gates.split_at_mut(previous * key);
        for row in before.chunks_mut(key) {
            for (product, across) in row.iter_mut().zip(&across[..key]) {
                *product = (*product * *across).flushed();
            }
        }
        let rows = self.keys.chunks_mut(key).zip(self.gates.chunks(key)).take(start);
        for (row, (keys, gates)) in rows.enumerate() {
            let originals = chunk.head.keys.row(chunk.first + row);
            for ((key, original), gate) in keys.iter_mut().zip(originals).zip(gates) {
                *key = *original * *gate;
            }
        }
    }
}

/// Room for the gradients of a chunk: rows of K numbers.
struct BackwardWork<T> {
    size: usize,
    key: usize,
    /// The gradient of A.
    scores: Vec<T>,
    /// Gradients of queries and keys from the state, and from other tokens of the chunk.
    query_from_state: Vec<T>,
    key_from_state: Vec<T>,
    query_from_chunk: Vec<T>,
    key_from_chunk: Vec<T>,
    product: Vec<T>,
    reach: Reach<T>,
}

impl<T: Real> BackwardWork<T> {
    fn new(chunk: &Chunk<'_, T>) -> Self {
        let (size, (key, _)) = (chunk.size, chunk.head.channels());
        let rows = || vec![T::zero(); size * key];
        BackwardWork {
            size,
            key,
            scores: vec![T::zero(); size * size],
            query_from_state: rows(),
            key_from_state: rows(),
            query_from_chunk: rows(),
            key_from_chunk: rows(),
            product: rows(),
            reach: Reach::new(chunk),
        }
    }

    /// Adds the gradients of a chunk; `state_gradient` is that of the state after it, and becomes that of the one before it.
    fn chunk(
        &mut self,
        chunk: &Chunk<'_, T>,
        output_gradient: Rows<'_, T>,
        state: &[T],
        state_gradient: &mut [T],
        gradients: &mut HeadGradients<T>,
    ) {
        let (head, tokens, key) = (chunk.head, chunk.tokens, self.key);
        let (_, value) = head.channels();
        let output =
            matrix(output_gradient.from(chunk.first), tokens, output_gradient.width, output_gradient.stride);
        let values = chunk.values();
        let one = T::one();

        let scores = matrix_mut(&mut self.scores, tokens, tokens, self.size);
        matmul(scores, Accum::Replace, output, values.transpose(), head.scale, Par::Seq);
        let from_state = matrix_mut(&mut self.query_from_state, tokens, key, key);
        let state_matrix = matrix(state, key, value, value);
        matmul(from_state, Accum::Replace, output, state_matrix.transpose(), head.scale, Par::Seq);
        let from_state = matrix_mut(&mut self.key_from_state, tokens, key, key);
        let state_gradient_matrix = matrix(state_gradient, key, value, value);
        matmul(from_state, Accum::Replace, values, state_gradient_matrix.transpose(), one, Par::Seq);

        let mut value_gradient =
            matrix_mut(&mut gradients.values[chunk.first * value..][..tokens * value], tokens, value, value);
        let a = matrix(&chunk.scores, tokens, tokens, self.size);
        matmul(value_gradient.rb_mut(), Accum::Replace, a.transpose(), output, one, Par::Seq);
        let keys = matrix(&chunk.keys, tokens, key, key);
        matmul(value_gradient, Accum::Add, keys, state_gradient_matrix, one, Par::Seq);

        self.within(chunk);
        vectorised(
            #[inline(always)]
            || self.collect(chunk, state, state_gradient, gradients),
        );

        scale_rows(state_gradient, &chunk.total, value);
        let state_gradient = matrix_mut(state_gradient, key, value, value);
        let queries = matrix(&chunk.queries, tokens, key, key);
        matmul(state_gradient, Accum::Add, queries.transpose(), output, one, Par::Seq);
    }

    /// Gradients of queries and keys by other tokens of the chunk.
    fn within(&mut self, chunk: &Chunk<'_, T>) {
        let (head, key, size, tokens) = (chunk.head, self.key, self.size, chunk.tokens);
        self.query_from_chunk.fill(T::zero());
        self.key_from_chunk.fill(T::zero());
        for start in (0..tokens).step_by(chunk.sub_chunk) {
            let end = tokens.min(start + chunk.sub_chunk);
            let rows = end - start;
            if start > 0 {
                self.reach.move_to(chunk, start);
                let scores = matrix(&self.scores[start * size..], rows, start, size);
                let keys = matrix(&self.reach.keys, start, key, key);
                let product = matrix_mut(&mut self.product, rows, key, key);
                matmul(product, Accum::Replace, scores, keys, T::one(), Par::Seq);
                add_products(
                    &mut self.query_from_chunk[start * key..end * key],
                    &self.product,
                    &chunk.local[start * key..],
                );
                let queries = matrix(&chunk.local_queries[start * key..], rows, key, key);
                let product = matrix_mut(&mut self.product, start, key, key);
                matmul(product, Accum::Replace, scores.transpose(), queries, T::one(), Par::Seq);
                add_products(&mut self.key_from_chunk[..start * key], &self.product, &self.reach.gates);
            }
            vectorised(
                #[inline(always)]
                || {
                    let decayed = &mut self.reach.decayed[..key];
                    for j in start..end {
                        decayed.fill(T::one());
                        let keys = &head.keys.row(chunk.first + j)[..key];
                        let of_key = &mut self.key_from_chunk[j * key..][..key];
                        for i in j + 1..end {
                            let score = self.scores[i * size + j];
                            let gates = &chunk.gates[i * key..][..key];
                            let queries = &head.queries.row(chunk.first + i)[..key];
                            let of_query = &mut self.query_from_chunk[i * key..][..key];
                            for c in 0..key {
                                let decay = (decayed[c] * gates[c]).flushed();
                                decayed[c] = decay;
                                of_query[c] += score * keys[c] * decay;
                                of_key[c] += score * queries[c] * decay;
                            }
                        }
                    }
                },
            );
        }
    }

    /// Puts the parts of the gradients together, and sums up those of the gates: what a gate decays is what tokens before it leave
    /// to tokens from it on.
    #[inline(always)]
    fn collect(
        &mut self,
        chunk: &Chunk<'_, T>,
        state: &[T],
        state_gradient: &[T],
        gradients: &mut HeadGradients<T>,
    ) {
        let (head, key) = (chunk.head, self.key);
        let value = head.values.width;
        let rows = chunk.first * key..(chunk.first + chunk.tokens) * key;
        let of_queries = &mut gradients.queries[rows.clone()];
        let of_keys = &mut gradients.keys[rows.clone()];
        let of_gates = &mut gradients.log_gates[rows];
        let mut sum: Vec<T> = (0..key)
            .map(|c| {
                chunk.total[c]
                    * inner_product(&state[c * value..][..value], &state_gradient[c * value..][..value])
            })
            .collect();
        let sum = &mut sum[..key];
        for row in 0..chunk.tokens {
            let rows = row * key..(row + 1) * key;
            let queries = &head.queries.row(chunk.first + row)[..key];
            let keys = &head.keys.row(chunk.first + row)[..key];
            let score = self.scores[row * self.size + row];
            let (of_keys, of_gates) = (&mut of_keys[rows.clone()], &mut of_gates[rows.clone()]);
            let (from_state, to_end) = (&self.key_from_state[rows.clone()], &chunk.to_end[rows.clone()]);
            let from_chunk = &self.key_from_chunk[rows.clone()];
            for c in 0..key {
                let from_state = from_state[c] * to_end[c];
                of_keys[c] = from_state + from_chunk[c] + score * queries[c];
                of_gates[c] = sum[c];
                sum[c] += from_state * keys[c];
            }
            let of_queries = &mut of_queries[rows.clone()];
            let from_state = &self.query_from_state[rows.clone()];
            let from_start = &chunk.from_start[rows.clone()];
            let from_others = &mut self.query_from_chunk[rows];
            for c in 0..key {
                from_others[c] += from_state[c] * from_start[c];
                of_queries[c] = from_others[c] + score * keys[c];
            }
        }
        sum.fill(T::zero());
        for row in (0..chunk.tokens).rev() {
            let rows = row * key..(row + 1) * key;
            let queries = &head.queries.row(chunk.first + row)[..key];
            let keys = &head.keys.row(chunk.first + row)[..key];
            let of_gates = &mut of_gates[rows.clone()];
            let from_others = &self.query_from_chunk[rows.clone()];
            let from_chunk = &self.key_from_chunk[rows];
            for c in 0..key {
                sum[c] += queries[c] * from_others[c] - keys[c] * from_chunk[c];
                of_gates[c] += sum[c];
            }
        }
    }
}

/// Sets a row of products to the one above times the gates.
#[inline(always)]
fn multiply_previous<T: Real>(products: &mut [T], gates: &[T], row: usize) {
    let key = gates.len();
    let (above, here) = products.split_at_mut(row * key);
    for ((product, above), gate) in here.iter_mut().zip(&above[(row - 1) * key..]).zip(gates) {
        *product = (*above * *gate).flushed();
    }
}

fn add_products<T: Real>(target: &mut [T], a: &[T], b: &[T]) {
    vectorised(
        #[inline(always)]
        || {
            for ((target, a), b) in target.iter_mut().zip(a).zip(b) {
                *target += *a * *b;
            }
        },
    );
}

fn scale_rows<T: Real>(matrix: &mut [T], factors: &[T], width: usize) {
    vectorised(
        #[inline(always)]
        || {
            for (row, factor) in matrix.chunks_mut(width).zip(factors) {
                for entry in row {
                    *entry *= *factor;
                }
            }
        },
    );
}

/// The sum of numbers, by halves; they are overwritten. Every step is a loop along two slices, which is vectorised.
#[inline(always)]
fn sum_up<T: Real>(numbers: &mut [T]) -> T {
    let mut length = numbers.len();
    while length > 8 {
        let half = length / 2;
        let (lower, upper) = numbers[..length].split_at_mut(length - half);
        for (lower, upper) in lower.iter_mut().zip(upper) {
            *lower += *upper;
        }
        length -= half;
    }
    numbers[..length].iter().copied().sum()
}
