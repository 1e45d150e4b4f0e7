//! Tensor attention: every token weighs all ordered pairs (or longer tuples) of tokens by a score that is linear in each of them.
//!
//! Alman and Song, "How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker Computation" (ICLR
//! 2024); the derivatives are those of Liang, Shi, Song and Zhou, "Tensor Attention Training" (2024). For order k, with queries Q, k − 1
//! arrays of keys and k − 1 of values:
//! ```text
//! s_i(j₁ … j_{k−1}) = (1/d) Σ_l Q_il K₁_{j₁ l} ⋯ K_{k−1}_{j_{k−1} l}
//! T_ic = Σ_{j₁ …} e^s V₁_{j₁ c} ⋯ V_{k−1}_{j_{k−1} c} / Σ_{j₁ …} e^s
//! ```
//! Order 2 is the attention of matrices with the factor 1/d; the paper's own case is order 3. Two [`Form`]s, forwards and backwards:
//!
//! - `Exact`: all tuples, `O(nᵏ d)` time and no more memory than the operands, for scores of any size;
//! - `Expansion`: e^s by its Taylor polynomial, whose monomials fall apart into products of functions of one token each, `O(n r d)`
//!   time for r monomials, with a bound of the error. It is only for small scores: see [`Expansion`].
//!
//! Departures from the paper: its algorithm expands over all monomials of the `k d` variables, `C(k (g + d), k g)` of them at degree g;
//! here over those of d variables, `C(d + g, g)`, which is enough. Taylor's polynomial takes the place of the best one: its even
//! degrees are positive everywhere, so that no denominator vanishes. Arrays are row-major and in double precision, because
//! monomials differ by many orders of magnitude.

mod exact;
mod expansion;
mod triples;

pub use expansion::Expansion;
pub use triples::{TripleError, matching_triples};

/// The operands of one head of one document: n tokens, of which the last q ask.
#[derive(Clone, Debug)]
pub struct Operands<'a> {
    /// Channels of a query and of a key, d.
    pub channels: usize,
    /// Channels of a value and of the output.
    pub value_channels: usize,
    /// `[q, d]`.
    pub queries: &'a [f64],
    /// The k − 1 arrays of keys, each `[n, d]`.
    pub keys: Vec<&'a [f64]>,
    /// The k − 1 arrays of values, each `[n, value channels]`.
    pub values: Vec<&'a [f64]>,
    /// Whether tuples with a token after the one that asks do not count; then q is at most n.
    pub causal: bool,
    /// The score of one more tuple, whose value is zero.
    pub blank: Option<f64>,
}

/// How the function is computed.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// All tuples.
    Exact,
    /// By a polynomial.
    Expansion(&'a Expansion),
}

/// What [`forward`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// `[q, value channels]`.
    pub output: Vec<f64>,
    /// The logarithms of the denominators, `[q]`.
    pub log_normalisers: Vec<f64>,
    /// No output is further than this from the exact one, rounding apart.
    pub error_bound: f64,
}

/// Gradients of a function of the output with respect to the [`Operands`], in their shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Of the queries.
    pub queries: Vec<f64>,
    /// Of the keys.
    pub keys: Vec<Vec<f64>>,
    /// Of the values.
    pub values: Vec<Vec<f64>>,
}

/// Why operands or an expansion were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TensorAttentionError {
    /// Fewer than one array of keys, or another number of arrays of values.
    #[error("{keys} arrays of keys and {values} of values: as many of both are expected, at least 1")]
    Order {
        /// Arrays of keys.
        keys: usize,
        /// Arrays of values.
        values: usize,
    },
    /// An extent that must not be zero.
    #[error("{0} is zero")]
    Zero(&'static str),
    /// An array does not fit the others.
    #[error("{what} has {found} elements: {expected} are expected")]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: String,
    },
    /// NaN or an infinity.
    #[error("{what}: element {index} is not a finite number")]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// Index into the array.
        index: usize,
    },
    /// Tokens ask, and there is no tuple to weigh.
    #[error("{queries} queries and no keys")]
    Empty {
        /// The number of queries.
        queries: usize,
    },
    /// Scores may be larger than the polynomial is meant for.
    #[error("scores may reach {largest}: the polynomial is one for scores up to {range}")]
    Range {
        /// A bound of the scores.
        largest: f64,
        /// What the expansion was made for.
        range: f64,
    },
    /// A polynomial of odd degree, which vanishes somewhere, or so far from the exponential that nothing is known of the result.
    #[error(
        "a polynomial of degree {degree} for scores up to {range} has a relative error of {error:.2e}: an even degree and an error below 1 are expected"
    )]
    Degree {
        /// The degree.
        degree: usize,
        /// The largest score.
        range: f64,
        /// The relative error.
        error: f64,
    },
    /// No range or accuracy.
    #[error("{what} is {value}: a positive finite number is expected")]
    NotPositive {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// More monomials than allowed.
    #[error(
        "a polynomial of degree {degree} in {channels} variables has {rank} monomials: {largest} are allowed; the exact form or fewer channels are the way out"
    )]
    Rank {
        /// The degree.
        degree: usize,
        /// The number of variables.
        channels: usize,
        /// The number of monomials, or what a machine's integer can hold of it.
        rank: usize,
        /// The number that is allowed.
        largest: usize,
    },
    /// The operands are not those that an expansion or a state was made for.
    #[error("{what}: {found}, where {expected} was expected")]
    Mismatch {
        /// In which quantity.
        what: &'static str,
        /// That of the operands.
        found: usize,
        /// The other.
        expected: usize,
    },
}

/// The output.
///
/// # Errors
/// [`TensorAttentionError`] if arrays do not fit each other or the form, a number is not finite, or scores are too large for the form.
pub fn forward(operands: &Operands<'_>, form: Form<'_>) -> Result<Outputs, TensorAttentionError> {
    operands.check()?;
    let outputs = match form {
        Form::Exact => exact::forward(operands),
        Form::Expansion(expansion) if operands.causal => {
            let offset = operands.tokens() - operands.asking();
            let mut state = expansion::Sums::new(operands, expansion);
            state.extend(operands, expansion, offset)?
        }
        Form::Expansion(expansion) => expansion::forward(operands, expansion)?,
    };
    // Products of finite numbers may overflow.
    expect_finite("the output", &outputs.output)?;
    Ok(outputs)
}

/// The gradients, from what [`forward`] gave for the same operands and form, and the gradient of its output. Those of an expansion are
/// the derivatives of the polynomial form itself.
///
/// # Errors
/// [`TensorAttentionError`] as for [`forward`].
pub fn backward(
    operands: &Operands<'_>,
    outputs: &Outputs,
    gradient: &[f64],
    form: Form<'_>,
) -> Result<Gradients, TensorAttentionError> {
    operands.check()?;
    let asking = operands.asking();
    expect("the output", &outputs.output, asking * operands.value_channels)?;
    expect("the log normalisers", &outputs.log_normalisers, asking)?;
    expect("the output's gradient", gradient, asking * operands.value_channels)?;
    expect_finite("the output's gradient", gradient)?;
    match form {
        Form::Exact => Ok(exact::backward(operands, outputs, gradient)),
        Form::Expansion(expansion) => expansion::backward(operands, expansion, outputs, gradient),
    }
}

/// What has been read of one document by one head, for causal attention that goes on.
#[derive(Clone, Debug)]
pub struct State {
    past: Past,
}

#[derive(Clone, Debug)]
enum Past {
    /// Nothing yet.
    Nothing,
    /// Keys and values of all tokens, for the exact form.
    Tokens { keys: Vec<Vec<f64>>, values: Vec<Vec<f64>> },
    /// Sums over all tokens: as large after a million as after one.
    Sums(expansion::Sums),
}

impl Default for State {
    fn default() -> Self {
        State { past: Past::Nothing }
    }
}

impl State {
    /// The outputs of the next tokens, each of which asks; the operands are theirs alone.
    ///
    /// # Errors
    /// [`TensorAttentionError`] as for [`forward`], and if the operands are not causal, not as many keys as queries, or not such ones as
    /// the state was made with. The state is then as before.
    pub fn extend(&mut self, next: &Operands<'_>, form: Form<'_>) -> Result<Outputs, TensorAttentionError> {
        next.check()?;
        if !next.causal || next.asking() != next.tokens() {
            let (found, expected) = (next.asking(), next.tokens());
            return Err(TensorAttentionError::Mismatch { what: "causal queries", found, expected });
        }
        match form {
            Form::Exact => self.extend_exactly(next),
            Form::Expansion(expansion) => {
                let mut sums = match &self.past {
                    Past::Sums(sums) => sums.clone(),
                    Past::Nothing => expansion::Sums::new(next, expansion),
                    Past::Tokens { keys, .. } => return Err(of_another_form(keys.len())),
                };
                let outputs = sums.extend(next, expansion, 0)?;
                expect_finite("the output", &outputs.output)?;
                self.past = Past::Sums(sums);
                Ok(outputs)
            }
        }
    }

    fn extend_exactly(&mut self, next: &Operands<'_>) -> Result<Outputs, TensorAttentionError> {
        let nothing = || vec![Vec::new(); next.keys.len()];
        let (mut keys, mut values) = match &self.past {
            Past::Nothing => (nothing(), nothing()),
            Past::Tokens { keys, values } => (keys.clone(), values.clone()),
            Past::Sums(_) => return Err(of_another_form(next.keys.len())),
        };
        if keys.len() != next.keys.len() {
            let (found, expected) = (next.keys.len(), keys.len());
            return Err(TensorAttentionError::Mismatch { what: "arrays of keys", found, expected });
        }
        let grow = |old: &mut [Vec<f64>], new: &[&[f64]]| {
            old.iter_mut().zip(new).for_each(|(old, new)| old.extend_from_slice(new));
        };
        grow(&mut keys, &next.keys);
        grow(&mut values, &next.values);
        let all = Operands {
            keys: keys.iter().map(Vec::as_slice).collect(),
            values: values.iter().map(Vec::as_slice).collect(),
            ..next.clone()
        };
        let outputs = forward(&all, Form::Exact)?;
        self.past = Past::Tokens { keys, values };
        Ok(outputs)
    }
}

fn of_another_form(arrays: usize) -> TensorAttentionError {
    TensorAttentionError::Mismatch {
        what: "the state of another form; arrays of keys",
        found: arrays,
        expected: 0,
    }
}

impl Operands<'_> {
    /// The number of tokens, n.
    pub fn tokens(&self) -> usize {
        self.keys.first().map_or(0, |keys| keys.len() / self.channels.max(1))
    }

    /// The number of tokens that ask, q.
    pub fn asking(&self) -> usize {
        self.queries.len() / self.channels.max(1)
    }

    /// A bound of the magnitude of all scores: `(1/d) Σ_l max|Q_l| Π_m max|K_m,l|`.
    pub fn largest_score(&self) -> f64 {
        let keys = self.keys.iter().map(|keys| largest(keys, self.channels));
        score_bound(&largest(self.queries, self.channels), keys)
    }

    fn check(&self) -> Result<(), TensorAttentionError> {
        let (d, v) = (self.channels, self.value_channels);
        if self.keys.is_empty() || self.keys.len() != self.values.len() {
            return Err(TensorAttentionError::Order { keys: self.keys.len(), values: self.values.len() });
        }
        for (what, extent) in [("the number of channels", d), ("the number of value channels", v)] {
            if extent == 0 {
                return Err(TensorAttentionError::Zero(what));
            }
        }
        for (what, array) in [("the array of queries", self.queries), ("an array of keys", self.keys[0])] {
            if !array.len().is_multiple_of(d) {
                let expected = format!("a multiple of the {d} channels");
                return Err(TensorAttentionError::Length { what, found: array.len(), expected });
            }
        }
        let (n, q) = (self.tokens(), self.asking());
        for keys in &self.keys {
            expect("an array of keys", keys, n * d)?;
            expect_finite("an array of keys", keys)?;
        }
        for values in &self.values {
            expect("an array of values", values, n * v)?;
            expect_finite("an array of values", values)?;
        }
        expect_finite("the array of queries", self.queries)?;
        if self.causal && q > n {
            return Err(TensorAttentionError::Mismatch { what: "causal queries", found: q, expected: n });
        }
        if let Some(blank) = self.blank {
            expect_finite("the blank tuple's score", &[blank])?;
        }
        match q > 0 && n == 0 && self.blank.is_none() {
            true => Err(TensorAttentionError::Empty { queries: q }),
            false => Ok(()),
        }
    }
}

fn expect(what: &'static str, array: &[f64], expected: usize) -> Result<(), TensorAttentionError> {
    match array.len() {
        found if found == expected => Ok(()),
        found => Err(TensorAttentionError::Length { what, found, expected: expected.to_string() }),
    }
}

fn expect_finite(what: &'static str, array: &[f64]) -> Result<(), TensorAttentionError> {
    match array.iter().position(|number| !number.is_finite()) {
        Some(index) => Err(TensorAttentionError::NotFinite { what, index }),
        None => Ok(()),
    }
}

/// The largest magnitude in every column.
fn largest(array: &[f64], columns: usize) -> Vec<f64> {
    let mut largest = vec![0.0; columns];
    for row in array.chunks_exact(columns) {
        largest.iter_mut().zip(row).for_each(|(most, x)| *most = x.abs().max(*most));
    }
    largest
}

/// The bound of scores from the largest queries and keys of every channel.
fn score_bound(queries: &[f64], keys: impl Iterator<Item = Vec<f64>>) -> f64 {
    let mut products = queries.to_vec();
    for keys in keys {
        products.iter_mut().zip(keys).for_each(|(product, key)| *product *= key);
    }
    products.iter().sum::<f64>() / queries.len() as f64
}

#[cfg(test)]
mod tests;
