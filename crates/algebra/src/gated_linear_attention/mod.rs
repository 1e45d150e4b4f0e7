//! Gated linear attention: a causal layer along sequences whose state, a matrix for each head, decays by a gate of its own for every key
//! channel.
//!
//! Yang, Wang, Shen, Panda, Kim, "Gated Linear Attention Transformers with Hardware-Efficient Training" (ICML 2024). For one head with
//! queries q and keys k of K numbers, values v of V, log gates g ≤ 0 of K, and a scale s:
//! ```text
//! S_t = diag(e^{g_t}) S_{t−1} + k_t v_tᵀ          o_t = s S_tᵀ q_t
//! ```
//! Three [`Form`]s of the same function, forwards and backwards:
//!
//! - `Recurrent`: token by token as above, and its reverse; what decoding does;
//! - `Parallel`: `o_i = s Σ_{j≤i} Σ_c q_ic k_jc e^{B_ic − B_jc} v_j` with B the sums of g, O(T²), a reference;
//! - `Chunked`: matrix products within chunks and between them, O(T), what training does.
//!
//! Tokens of all documents follow each other: arrays are `[tokens, heads, channels]`, states `[documents, heads, K, V]`, and no document
//! sees another. Work is shared out over documents and heads.
//!
//! A departure from the paper: the chunked form never takes exponentials of differences of the sums B. It multiplies up the gates
//! themselves, from the row of a key to that of a query or to the border of a sub-chunk. These products are at most one, like the
//! exponentials, but keep their relative accuracy in single precision however strong the decay is.

mod chunked;
mod parallel;
mod recurrent;

use faer::MatMut;
use faer::prelude::ReborrowMut;
use rayon::prelude::*;
use rustfft::num_traits::Float;

use crate::real::{Real, vectorised};

/// How the function is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Token by token.
    Recurrent,
    /// All pairs of tokens.
    Parallel,
    /// By chunks that are split into sub-chunks, both of at least one token.
    Chunked {
        /// Tokens in a chunk.
        chunk: usize,
        /// Tokens in a sub-chunk.
        sub_chunk: usize,
    },
}

impl Form {
    /// What is fast for documents of up to this many tokens: chunks of 16 to 64 tokens with sub-chunks of 16, and the recurrence for a
    /// few tokens.
    pub fn fast(longest: usize) -> Self {
        if longest < 8 {
            return Form::Recurrent;
        }
        Form::Chunked { chunk: longest.next_power_of_two().clamp(16, 64), sub_chunk: 16 }
    }
}

/// The operands.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a, T> {
    /// Number of heads.
    pub heads: usize,
    /// Channels of a query and of a key, K.
    pub key_channels: usize,
    /// Channels of a value, V.
    pub value_channels: usize,
    /// Tokens of each document; they follow each other.
    pub lengths: &'a [usize],
    /// `[tokens, heads, K]`.
    pub queries: &'a [T],
    /// `[tokens, heads, K]`.
    pub keys: &'a [T],
    /// `[tokens, heads, V]`.
    pub values: &'a [T],
    /// `[tokens, heads, K]`, at most zero; minus infinity forgets everything.
    pub log_gates: &'a [T],
    /// The scale s; the usual one is `K^{-1/2}`.
    pub scale: T,
    /// `[documents, heads, K, V]`; zero if there is none.
    pub initial_state: Option<&'a [T]>,
}

/// What [`forward`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<T> {
    /// `[tokens, heads, V]`.
    pub output: Vec<T>,
    /// The state after the last token of each document, `[documents, heads, K, V]`.
    pub final_state: Vec<T>,
}

/// Gradients of a function of the [`Outputs`] with respect to the [`Operands`], in their shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients<T> {
    /// Of the queries.
    pub queries: Vec<T>,
    /// Of the keys.
    pub keys: Vec<T>,
    /// Of the values.
    pub values: Vec<T>,
    /// Of the log gates.
    pub log_gates: Vec<T>,
    /// Of the initial state.
    pub initial_state: Vec<T>,
}

/// Why operands were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttentionError {
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
    /// The documents are longer or shorter than the array of values, all together.
    #[error("the documents have {documents} tokens together, the values {values}")]
    Documents {
        /// Tokens of all documents.
        documents: usize,
        /// Tokens of the values.
        values: usize,
    },
    /// A gate above one lets the state grow without bound.
    #[error("log gate {index} is {value}: at most 0 is expected")]
    PositiveGate {
        /// Its index.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// NaN, or an infinity where a finite number is needed.
    #[error("{what}: element {index} is not a finite number")]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// Index into the array.
        index: usize,
    },
    /// Heads without channels, or chunks without tokens.
    #[error("{0} is zero")]
    Zero(&'static str),
}

/// The outputs and the final states.
///
/// # Errors
/// [`AttentionError`] if arrays do not fit, a log gate is positive, or a number is not finite.
pub fn forward<T: Real>(operands: &Operands<'_, T>, form: Form) -> Result<Outputs<T>, AttentionError> {
    operands.check(form)?;
    let mut output = vec![T::zero(); operands.values.len()];
    let views = columns_of_heads(&mut output, operands);
    let states = operands.for_each_head(views, |head, _, output| match form {
        Form::Recurrent => recurrent::forward(head, output),
        Form::Parallel => parallel::forward(head, output),
        Form::Chunked { chunk, sub_chunk } => chunked::forward(head, output, chunk, sub_chunk),
    });
    let outputs = Outputs { output, final_state: states.concat() };
    // Whatever is not finite spreads to the outputs: the operands, which are larger, are looked through only then.
    if !(all_finite(&outputs.output) && all_finite(&outputs.final_state)) {
        operands.check_numbers()?;
    }
    Ok(outputs)
}

/// The gradients, from that of the output, `[tokens, heads, V]`, and of the final state if something depends on it.
///
/// # Errors
/// [`AttentionError`] as for [`forward`], or if a gradient does not fit.
pub fn backward<T: Real>(
    operands: &Operands<'_, T>,
    output_gradient: &[T],
    final_state_gradient: Option<&[T]>,
    form: Form,
) -> Result<Gradients<T>, AttentionError> {
    operands.check(form)?;
    expect("the output's gradient", output_gradient, operands.values.len())?;
    if let Some(gradient) = final_state_gradient {
        expect("the final state's gradient", gradient, operands.state_size())?;
    }
    let (heads, key, value) = (operands.heads, operands.key_channels, operands.value_channels);
    let nothing = vec![(); operands.lengths.len() * operands.heads];
    let parts = operands.for_each_head(nothing, |head, place, ()| {
        let start = (place.token * heads + place.head) * value;
        let output = Rows { values: output_gradient, start, stride: heads * value, width: value };
        let state = match final_state_gradient {
            Some(gradient) => gradient[place.state * key * value..][..key * value].to_vec(),
            None => vec![T::zero(); key * value],
        };
        match form {
            Form::Recurrent => recurrent::backward(head, output, state),
            Form::Parallel => parallel::backward(head, output, state),
            Form::Chunked { chunk, sub_chunk } => chunked::backward(head, output, state, chunk, sub_chunk),
        }
    });
    let collect = |part: fn(&HeadGradients<T>) -> &Vec<T>, width: usize| {
        let parts: Vec<&[T]> = parts.iter().map(|p| part(p).as_slice()).collect();
        interleaved(&parts, operands.lengths, heads, width)
    };
    let gradients = Gradients {
        queries: collect(|p| &p.queries, key),
        keys: collect(|p| &p.keys, key),
        values: collect(|p| &p.values, value),
        log_gates: collect(|p| &p.log_gates, key),
        initial_state: parts.iter().flat_map(|p| p.state.iter().copied()).collect(),
    };
    if !(all_finite(&gradients.queries) && all_finite(&gradients.keys) && all_finite(&gradients.values)) {
        operands.check_numbers()?;
        expect_finite("the output's gradient", output_gradient)?;
    }
    Ok(gradients)
}

/// The rows of one head of one document in an array.
#[derive(Clone, Copy, Debug)]
struct Rows<'a, T> {
    values: &'a [T],
    start: usize,
    stride: usize,
    width: usize,
}

impl<'a, T> Rows<'a, T> {
    #[inline(always)]
    fn row(&self, token: usize) -> &'a [T] {
        &self.values[self.start + token * self.stride..][..self.width]
    }

    /// The rows from `first` on, as an array of rows with this stride.
    fn from(&self, first: usize) -> &'a [T] {
        &self.values[self.start + first * self.stride..]
    }
}

/// One head of one document.
#[derive(Clone, Copy, Debug)]
struct Head<'a, T> {
    tokens: usize,
    queries: Rows<'a, T>,
    keys: Rows<'a, T>,
    values: Rows<'a, T>,
    log_gates: Rows<'a, T>,
    scale: T,
    initial_state: Option<&'a [T]>,
}

impl<T: Real> Head<'_, T> {
    /// K and V.
    fn channels(&self) -> (usize, usize) {
        (self.keys.width, self.values.width)
    }

    /// The initial state, `[K, V]`.
    fn start(&self) -> Vec<T> {
        let (key, value) = self.channels();
        self.initial_state.map_or_else(|| vec![T::zero(); key * value], <[T]>::to_vec)
    }
}

/// The gradients of one head of one document; rows follow each other.
#[derive(Debug)]
struct HeadGradients<T> {
    queries: Vec<T>,
    keys: Vec<T>,
    values: Vec<T>,
    log_gates: Vec<T>,
    state: Vec<T>,
}

impl<T: Real> HeadGradients<T> {
    fn zeros(head: &Head<'_, T>) -> Self {
        let (key, value) = head.channels();
        let zeros = |width: usize| vec![T::zero(); head.tokens * width];
        HeadGradients {
            queries: zeros(key),
            keys: zeros(key),
            values: zeros(value),
            log_gates: zeros(key),
            state: vec![T::zero(); key * value],
        }
    }
}

/// Where a head of a document is: its first token, the number of the head, and that of its state.
struct Place {
    token: usize,
    head: usize,
    state: usize,
}

impl<T: Real> Operands<'_, T> {
    fn state_size(&self) -> usize {
        self.lengths.len() * self.heads * self.key_channels * self.value_channels
    }

    fn check(&self, form: Form) -> Result<(), AttentionError> {
        let (chunk, sub_chunk) = match form {
            Form::Chunked { chunk, sub_chunk } => (chunk, sub_chunk),
            _ => (1, 1),
        };
        for (what, extent) in [
            ("the number of heads", self.heads),
            ("the number of key channels", self.key_channels),
            ("the number of value channels", self.value_channels),
            ("the length of a chunk", chunk),
            ("the length of a sub-chunk", sub_chunk),
        ] {
            if extent == 0 {
                return Err(AttentionError::Zero(what));
            }
        }
        let documents: usize = self.lengths.iter().sum();
        let row = self.heads * self.value_channels;
        if documents * row != self.values.len() {
            return Err(AttentionError::Documents { documents, values: self.values.len() / row });
        }
        let keys = documents * self.heads * self.key_channels;
        expect("the queries", self.queries, keys)?;
        expect("the keys", self.keys, keys)?;
        expect("the log gates", self.log_gates, keys)?;
        if let Some(state) = self.initial_state {
            expect("the initial state", state, self.state_size())?;
        }
        if !all(self.log_gates, |gate| gate <= T::zero()) {
            let index =
                self.log_gates.iter().position(|gate| gate.is_nan() || *gate > T::zero()).unwrap_or(0);
            let value = self.log_gates[index].widened();
            return Err(match value.is_nan() {
                true => AttentionError::NotFinite { what: "the log gates", index },
                false => AttentionError::PositiveGate { index, value },
            });
        }
        Ok(())
    }

    /// That all operands but the gates are finite.
    fn check_numbers(&self) -> Result<(), AttentionError> {
        expect_finite("the queries", self.queries)?;
        expect_finite("the keys", self.keys)?;
        expect_finite("the values", self.values)?;
        self.initial_state.map_or(Ok(()), |state| expect_finite("the initial state", state))
    }

    /// The results for all heads of the first document, then for those of the second, and so on, each made with an extra of its own.
    fn for_each_head<E: Send, R: Send>(
        &self,
        extras: Vec<E>,
        work: impl Fn(&Head<'_, T>, Place, E) -> R + Sync,
    ) -> Vec<R> {
        let (key, value) = (self.key_channels, self.value_channels);
        let starts: Vec<usize> = self
            .lengths
            .iter()
            .scan(0, |next, length| Some(std::mem::replace(next, *next + length)))
            .collect();
        let one = |(state, extra): (usize, E)| {
            let (document, head) = (state / self.heads, state % self.heads);
            let token = starts[document];
            let rows = |values, width| {
                let stride = self.heads * width;
                Rows { values, start: token * stride + head * width, stride, width }
            };
            let operands = Head {
                tokens: self.lengths[document],
                queries: rows(self.queries, key),
                keys: rows(self.keys, key),
                values: rows(self.values, value),
                log_gates: rows(self.log_gates, key),
                scale: self.scale,
                initial_state: self.initial_state.map(|states| &states[state * key * value..][..key * value]),
            };
            work(&operands, Place { token, head, state }, extra)
        };
        if self.values.len() * key < PARALLEL_FROM {
            return extras.into_iter().enumerate().map(one).collect();
        }
        extras.into_par_iter().enumerate().map(one).collect()
    }
}

/// The part of an array `[tokens, heads, V]` that each head of each document owns: `[V, tokens]`, a column for every token.
fn columns_of_heads<'a, T: Real>(array: &'a mut [T], operands: &Operands<'_, T>) -> Vec<MatMut<'a, T>> {
    let (heads, value) = (operands.heads, operands.value_channels);
    let tokens = array.len() / (heads * value);
    let mut rest = MatMut::from_column_major_slice_mut(array, heads * value, tokens);
    let mut views = Vec::with_capacity(operands.lengths.len() * heads);
    for &length in operands.lengths {
        let (mut document, after) = rest.split_at_col_mut(length);
        for _ in 0..heads {
            let (head, others) = document.split_at_row_mut(value);
            views.push(head);
            document = others;
        }
        rest = after;
    }
    views
}

/// The numbers of a token in such a part.
#[inline(always)]
fn column<'a, T>(output: &'a mut MatMut<'_, T>, token: usize) -> &'a mut [T] {
    let column = output.rb_mut().col_mut(token).try_as_col_major_mut();
    column.map_or(&mut [], |column| column.as_slice_mut())
}

/// Multiplications below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 16;

fn expect<T>(what: &'static str, array: &[T], expected: usize) -> Result<(), AttentionError> {
    match array.len() {
        found if found == expected => Ok(()),
        found => Err(AttentionError::Length { what, found, expected }),
    }
}

fn expect_finite<T: Real>(what: &'static str, array: &[T]) -> Result<(), AttentionError> {
    match array.iter().position(|value| !Float::is_finite(*value)) {
        Some(index) => Err(AttentionError::NotFinite { what, index }),
        None => Ok(()),
    }
}

fn all_finite<T: Real>(array: &[T]) -> bool {
    all(array, |value| Float::is_finite(value))
}

/// Whether all numbers are valid, without a branch for each of them.
fn all<T: Real>(array: &[T], valid: impl Fn(T) -> bool + Sync) -> bool {
    const LANES: usize = 16;
    array.par_chunks(1 << 15).all(|part| {
        let mut invalid = [0_u32; LANES];
        vectorised(
            #[inline(always)]
            || {
                let (lanes, rest) = part.as_chunks::<LANES>();
                for values in lanes {
                    for k in 0..LANES {
                        invalid[k] |= u32::from(!valid(values[k]));
                    }
                }
                invalid[0] |= u32::from(!rest.iter().all(|value| valid(*value)));
            },
        );
        invalid == [0; LANES]
    })
}

/// Rows of the heads of each document, one array for each, as one array `[tokens, heads, width]`.
fn interleaved<T: Real>(
    parts: &[impl AsRef<[T]> + Sync],
    lengths: &[usize],
    heads: usize,
    width: usize,
) -> Vec<T> {
    let mut all = vec![T::zero(); lengths.iter().sum::<usize>() * heads * width];
    let mut rest = all.as_mut_slice();
    for (parts, length) in parts.chunks(heads).zip(lengths) {
        let (document, after) = std::mem::take(&mut rest).split_at_mut(length * heads * width);
        rest = after;
        document.par_chunks_mut(heads * width).with_min_len(256).enumerate().for_each(|(token, row)| {
            for (row, part) in row.chunks_mut(width).zip(parts) {
                row.copy_from_slice(&part.as_ref()[token * width..][..width]);
            }
        });
    }
    all
}

#[cfg(test)]
mod tests;
