//! Linear recurrences along sequences, channel by channel: `h_t = f_t h_{t−1} + i_t`.
//!
//! The mixer of gated linear recurrent units (Qin et al., "Hierarchically Gated Recurrent Neural Network for Sequence Modeling",
//! NeurIPS 2023; Zhu et al., "Scalable MatMul-free Language Modeling", 2024). Two forms: step by step; and by chunks, which are computed
//! from zero side by side, with the products `F_t` of the decays since the chunk's start, and then corrected by `F_t` times what the chunk
//! before leaves. The public code sums up logarithms of the decays there; products need no logarithm of zero.
//!
//! Backwards the gradient runs the same recurrence from the end: `x_t = dh_t + f_{t+1} x_{t+1}`, with `di_t = x_t` and `df_t = x_t h_{t−1}`.
//!
//! Arrays are `[tokens, channels]`; tokens of all documents follow each other, and no document sees another.

use rayon::prelude::*;

use crate::real::{Real, vectorised};

/// How the recurrence is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Token by token.
    Stepwise,
    /// By chunks of this many tokens, at least one.
    Chunked(usize),
}

/// The operands.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a, T> {
    /// Numbers of a token.
    pub channels: usize,
    /// Tokens of each document; they follow each other.
    pub lengths: &'a [usize],
    /// f, `[tokens, channels]`.
    pub decays: &'a [T],
    /// i, `[tokens, channels]`.
    pub inputs: &'a [T],
    /// The state before each document, `[documents, channels]`; zero if there is none.
    pub initial_state: Option<&'a [T]>,
}

/// Gradients in the shapes of the operands.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrenceGradients<T> {
    /// Of the decays.
    pub decays: Vec<T>,
    /// Of the inputs.
    pub inputs: Vec<T>,
    /// Of the states before the documents.
    pub initial_state: Vec<T>,
}

/// Why operands were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecurrenceError {
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
    /// No channels, or chunks without tokens.
    #[error("{0} is zero")]
    Zero(&'static str),
}

/// The states, `[tokens, channels]`.
///
/// # Errors
/// [`RecurrenceError`] if arrays do not fit.
pub fn forward<T: Real>(recurrence: &Recurrence<'_, T>, form: Form) -> Result<Vec<T>, RecurrenceError> {
    recurrence.check(form)?;
    let mut states = vec![T::zero(); recurrence.inputs.len()];
    recurrence.for_each_document(&mut states, |document, states| {
        document.scan(states, recurrence.channels, form, Direction::Forwards);
    });
    Ok(states)
}

/// The gradients, from the states that [`forward`] gave and their gradient.
///
/// # Errors
/// [`RecurrenceError`] if arrays do not fit.
pub fn backward<T: Real>(
    recurrence: &Recurrence<'_, T>,
    states: &[T],
    gradient: &[T],
    form: Form,
) -> Result<RecurrenceGradients<T>, RecurrenceError> {
    recurrence.check(form)?;
    expect("the states", states, recurrence.inputs.len())?;
    expect("the gradient", gradient, recurrence.inputs.len())?;
    let channels = recurrence.channels;
    // x_t = dh_t + f_{t+1} x_{t+1}: the decay of a token is that of the next one, and nothing follows the last.
    let mut inputs = vec![T::zero(); gradient.len()];
    let reversed = Recurrence { inputs: gradient, initial_state: None, ..*recurrence };
    reversed.for_each_document(&mut inputs, |document, x| {
        document.scan(x, channels, form, Direction::Backwards);
    });
    let mut decays = vec![T::zero(); gradient.len()];
    let mut initial_state = vec![T::zero(); recurrence.lengths.len() * channels];
    let zeros = vec![T::zero(); channels];
    let mut token = 0;
    for (number, &length) in recurrence.lengths.iter().enumerate() {
        if length == 0 {
            continue;
        }
        let first =
            recurrence.initial_state.map_or(zeros.as_slice(), |s| &s[number * channels..][..channels]);
        let rows = token * channels..(token + length) * channels;
        let before = |row: usize| match row {
            0 => first,
            _ => &states[rows.start + (row - 1) * channels..][..channels],
        };
        decays[rows.clone()].par_chunks_mut(channels).with_min_len(64).enumerate().for_each(
            |(row, decays)| {
                let x = &inputs[rows.start + row * channels..][..channels];
                for ((decay, x), before) in decays.iter_mut().zip(x).zip(before(row)) {
                    *decay = *x * *before;
                }
            },
        );
        for c in 0..channels {
            initial_state[number * channels + c] = recurrence.decays[rows.start + c] * inputs[rows.start + c];
        }
        token += length;
    }
    Ok(RecurrenceGradients { decays, inputs, initial_state })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forwards,
    Backwards,
}

/// One document.
struct Document<'a, T> {
    decays: &'a [T],
    inputs: &'a [T],
    initial_state: Option<&'a [T]>,
}

impl<T: Real> Recurrence<'_, T> {
    fn check(&self, form: Form) -> Result<(), RecurrenceError> {
        if self.channels == 0 {
            return Err(RecurrenceError::Zero("the number of channels"));
        }
        if form == Form::Chunked(0) {
            return Err(RecurrenceError::Zero("the length of a chunk"));
        }
        let expected = self.lengths.iter().sum::<usize>() * self.channels;
        expect("the inputs", self.inputs, expected)?;
        expect("the decays", self.decays, expected)?;
        match self.initial_state {
            Some(state) => expect("the initial state", state, self.lengths.len() * self.channels),
            None => Ok(()),
        }
    }

    fn for_each_document(&self, results: &mut [T], work: impl Fn(&Document<'_, T>, &mut [T]) + Sync) {
        let mut tasks = Vec::with_capacity(self.lengths.len());
        let (mut rest, mut start) = (results, 0);
        for (number, length) in self.lengths.iter().enumerate() {
            let size = length * self.channels;
            let (results, after) = rest.split_at_mut(size);
            let document = Document {
                decays: &self.decays[start..start + size],
                inputs: &self.inputs[start..start + size],
                initial_state: self.initial_state.map(|s| &s[number * self.channels..][..self.channels]),
            };
            tasks.push((document, results));
            (rest, start) = (after, start + size);
        }
        if self.inputs.len() < PARALLEL_FROM {
            tasks.into_iter().for_each(|(document, results)| work(&document, results));
        } else {
            tasks.into_par_iter().for_each(|(document, results)| work(&document, results));
        }
    }
}

/// Multiplications below which threads cost more than they bring.
const PARALLEL_FROM: usize = 1 << 16;

impl<T: Real> Document<'_, T> {
    fn scan(&self, states: &mut [T], channels: usize, form: Form, direction: Direction) {
        let zeros = vec![T::zero(); channels];
        let start = self.initial_state.unwrap_or(&zeros);
        let chunk = match form {
            Form::Chunked(chunk) if chunk * channels < states.len() => chunk * channels,
            _ => return self.steps(0, states, channels, start, direction),
        };
        states.par_chunks_mut(chunk).enumerate().for_each(|(index, states)| {
            self.steps(index * chunk, states, channels, &zeros, direction);
        });
        // The chunks in the order of the recurrence; each takes what the one before it left.
        let mut carry = start.to_vec();
        let count = states.len().div_ceil(chunk);
        for step in 0..count {
            let index = if direction == Direction::Forwards { step } else { count - 1 - step };
            let end = states.len().min((index + 1) * chunk);
            let states = &mut states[index * chunk..end];
            vectorised(
                #[inline(always)]
                || self.correct(index * chunk, states, channels, &carry, direction),
            );
            let last = if direction == Direction::Forwards { states.len() - channels } else { 0 };
            carry.copy_from_slice(&states[last..][..channels]);
        }
    }

    /// The decay that leads into the token at this place from the one before it in the direction; none into the first one.
    #[inline(always)]
    fn decay(&self, place: usize, channels: usize, direction: Direction) -> Option<&[T]> {
        match direction {
            Direction::Forwards => Some(&self.decays[place..][..channels]),
            Direction::Backwards => self.decays.get(place + channels..place + 2 * channels),
        }
    }

    /// The states of tokens from `offset` on, from the state before them.
    fn steps(&self, offset: usize, states: &mut [T], channels: usize, start: &[T], direction: Direction) {
        vectorised(
            #[inline(always)]
            || {
                let count = states.len() / channels;
                let mut state = start.to_vec();
                for step in 0..count {
                    let row = if direction == Direction::Forwards { step } else { count - 1 - step };
                    let place = offset + row * channels;
                    if let Some(decays) = self.decay(place, channels, direction) {
                        for (state, decay) in state.iter_mut().zip(decays) {
                            *state *= *decay;
                        }
                    }
                    for (state, input) in state.iter_mut().zip(&self.inputs[place..][..channels]) {
                        *state += *input;
                    }
                    states[row * channels..][..channels].copy_from_slice(&state);
                }
            },
        );
    }

    /// Adds to the states of a chunk what the chunk before it left, decayed.
    #[inline(always)]
    fn correct(&self, offset: usize, states: &mut [T], channels: usize, carry: &[T], direction: Direction) {
        let count = states.len() / channels;
        let mut rest = carry.to_vec();
        for step in 0..count {
            let row = if direction == Direction::Forwards { step } else { count - 1 - step };
            if let Some(decays) = self.decay(offset + row * channels, channels, direction) {
                for (rest, decay) in rest.iter_mut().zip(decays) {
                    *rest = (*rest * *decay).flushed();
                }
            }
            for (state, rest) in states[row * channels..][..channels].iter_mut().zip(&rest) {
                *state += *rest;
            }
        }
    }
}

fn expect<T>(what: &'static str, array: &[T], expected: usize) -> Result<(), RecurrenceError> {
    match array.len() {
        found if found == expected => Ok(()),
        found => Err(RecurrenceError::Length { what, found, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Sequence;

    struct Example<T> {
        lengths: Vec<usize>,
        decays: Vec<T>,
        inputs: Vec<T>,
        initial_state: Vec<T>,
        gradient: Vec<T>,
    }

    const CHANNELS: usize = 5;

    fn example(seed: u64, lengths: &[usize]) -> Example<f64> {
        let mut random = Sequence::new(seed);
        let tokens: usize = lengths.iter().sum();
        let mut normals = |count: usize| -> Vec<f64> { (0..count).map(|_| random.normal()).collect() };
        Example {
            lengths: lengths.to_vec(),
            // Zero and one are decays too.
            decays: normals(tokens * CHANNELS)
                .into_iter()
                .map(|x| match x {
                    x if x < -1.5 => 0.0,
                    x if x > 1.5 => 1.0,
                    x => 1.0 / (1.0 + (-3.0 * x).exp()),
                })
                .collect(),
            inputs: normals(tokens * CHANNELS),
            initial_state: normals(lengths.len() * CHANNELS),
            gradient: normals(tokens * CHANNELS),
        }
    }

    impl<T: Real> Example<T> {
        fn recurrence(&self) -> Recurrence<'_, T> {
            Recurrence {
                channels: CHANNELS,
                lengths: &self.lengths,
                decays: &self.decays,
                inputs: &self.inputs,
                initial_state: Some(&self.initial_state),
            }
        }

        fn results(&self, form: Form) -> [Vec<f64>; 4] {
            let states = forward(&self.recurrence(), form).expect("fits");
            let gradients = backward(&self.recurrence(), &states, &self.gradient, form).expect("fits");
            [states, gradients.decays, gradients.inputs, gradients.initial_state]
                .map(|values| values.into_iter().map(Real::widened).collect())
        }
    }

    /// The recurrence in its plainest form.
    fn naive(e: &Example<f64>) -> [Vec<f64>; 4] {
        let [mut states, mut decays, mut inputs] = [(); 3].map(|()| vec![0.0; e.inputs.len()]);
        let mut initial = vec![0.0; e.initial_state.len()];
        let mut token = 0;
        for (document, &length) in e.lengths.iter().enumerate() {
            for c in 0..CHANNELS {
                let start = e.initial_state[document * CHANNELS + c];
                let at = |t: usize| (token + t) * CHANNELS + c;
                let mut h = start;
                for t in 0..length {
                    h = e.decays[at(t)] * h + e.inputs[at(t)];
                    states[at(t)] = h;
                }
                let mut dh = 0.0;
                for t in (0..length).rev() {
                    dh += e.gradient[at(t)];
                    inputs[at(t)] = dh;
                    decays[at(t)] = dh * if t == 0 { start } else { states[at(t - 1)] };
                    dh *= e.decays[at(t)];
                }
                initial[document * CHANNELS + c] = dh;
            }
            token += length;
        }
        [states, decays, inputs, initial]
    }

    fn error(found: &[f64], expected: &[f64]) -> f64 {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(f64::MIN_POSITIVE, |s, x| s.max(x.abs()));
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
    }

    #[test]
    fn both_forms_are_the_recurrence() {
        for lengths in [vec![1], vec![127], vec![128], vec![129], vec![1000], vec![3, 0, 300, 1], vec![]] {
            let example = example(11, &lengths);
            let narrow = |values: &[f64]| values.iter().map(|x| *x as f32).collect();
            let single: Example<f32> = Example {
                lengths: lengths.clone(),
                decays: narrow(&example.decays),
                inputs: narrow(&example.inputs),
                initial_state: narrow(&example.initial_state),
                gradient: narrow(&example.gradient),
            };
            let expected = naive(&example);
            for form in [Form::Stepwise, Form::Chunked(128), Form::Chunked(7), Form::Chunked(1)] {
                for (found, expected) in example.results(form).iter().zip(&expected) {
                    assert!(error(found, expected) <= 1e-12, "{form:?} {lengths:?}");
                }
                for (found, expected) in single.results(form).iter().zip(&expected) {
                    assert!(error(found, expected) <= 2e-5, "{form:?} {lengths:?}");
                }
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut e = example(12, &[6, 3]);
        let [_, decays, inputs, initial] = e.results(Form::Chunked(2));
        let loss =
            |e: &Example<f64>| -> f64 { naive(e)[0].iter().zip(&e.gradient).map(|(h, g)| h * g).sum() };
        for (array, gradient) in [decays, inputs, initial].iter().enumerate() {
            for (index, gradient) in gradient.iter().enumerate() {
                let mut moved = |by: f64| {
                    let values = [&mut e.decays, &mut e.inputs, &mut e.initial_state];
                    let [a, b, c] = values;
                    [a, b, c][array][index] += by;
                    let value = loss(&e);
                    [&mut e.decays, &mut e.inputs, &mut e.initial_state][array][index] -= by;
                    value
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((difference - gradient).abs() <= 1e-6, "{array} {index}: {gradient} {difference}");
            }
        }
    }

    #[test]
    fn wrong_operands_are_refused() {
        let e = example(13, &[4]);
        let recurrence = e.recurrence();
        assert_eq!(
            forward(&Recurrence { lengths: &[5], ..recurrence }, Form::Stepwise),
            Err(RecurrenceError::Length { what: "the inputs", found: 20, expected: 25 })
        );
        assert!(forward(&recurrence, Form::Chunked(0)).is_err());
        assert!(forward(&Recurrence { channels: 0, ..recurrence }, Form::Stepwise).is_err());
        assert!(backward(&recurrence, &[0.0; 20], &[0.0; 19], Form::Stepwise).is_err());
    }
}
