//! Token by token, and back.

use faer::MatMut;

use super::{Head, HeadGradients, Rows, column};
use crate::real::{Real, vectorised};

/// Writes the output, a column for every token, and returns the state after the last one.
pub(super) fn forward<T: Real>(head: &Head<'_, T>, mut output: MatMut<'_, T>) -> Vec<T> {
    let mut state = head.start();
    vectorised(
        #[inline(always)]
        || {
            for token in 0..head.tokens {
                let output = column(&mut output, token);
                step(
                    head,
                    token,
                    &mut state,
                    #[inline(always)]
                    |_, query, state| {
                        let query = query * head.scale;
                        for (output, state) in output.iter_mut().zip(state) {
                            *output += query * *state;
                        }
                    },
                );
            }
        },
    );
    state
}

/// The state after `token`, row by row; `read` sees the channel, its query and its row.
#[inline(always)]
fn step<T: Real>(
    head: &Head<'_, T>,
    token: usize,
    state: &mut [T],
    mut read: impl FnMut(usize, T, &mut [T]),
) {
    let (queries, keys, gates) = (head.queries.row(token), head.keys.row(token), head.log_gates.row(token));
    let values = head.values.row(token);
    for (channel, row) in state.chunks_mut(values.len()).enumerate() {
        let (gate, key) = (gates[channel].decay(), keys[channel]);
        for (state, value) in row.iter_mut().zip(values) {
            *state = gate * *state + key * *value;
        }
        read(channel, queries[channel], row);
    }
}

/// The gradients, from those of the output and of the state after the last token.
pub(super) fn backward<T: Real>(
    head: &Head<'_, T>,
    output_gradient: Rows<'_, T>,
    mut state_gradient: Vec<T>,
) -> HeadGradients<T> {
    let (key, value) = head.channels();
    let mut gradients = HeadGradients::zeros(head);
    vectorised(
        #[inline(always)]
        || {
            // Every state is needed: S_t for the query of t, S_{t−1} for its gate.
            let mut states = head.start();
            let mut state = states.clone();
            for token in 0..head.tokens {
                step(head, token, &mut state, |_, _, _| {});
                states.extend_from_slice(&state);
            }
            for token in (0..head.tokens).rev() {
                let (before, after) = states[token * key * value..].split_at(key * value);
                let output = output_gradient.row(token);
                let (queries, keys) = (head.queries.row(token), head.keys.row(token));
                let (gates, values) = (head.log_gates.row(token), head.values.row(token));
                let value_gradient = &mut gradients.values[token * value..][..value];
                for channel in 0..key {
                    let place = token * key + channel;
                    let row = channel * value..(channel + 1) * value;
                    let state_gradient = &mut state_gradient[row.clone()];
                    let (before, after) = (&before[row.clone()], &after[row]);
                    let query = head.scale * queries[channel];
                    let (key, gate) = (keys[channel], gates[channel].decay());
                    let (mut of_query, mut of_key, mut of_gate) = (T::zero(), T::zero(), T::zero());
                    for k in 0..value {
                        of_query += after[k] * output[k];
                        let gradient = state_gradient[k] + query * output[k];
                        of_key += gradient * values[k];
                        value_gradient[k] += gradient * key;
                        of_gate += gradient * before[k];
                        state_gradient[k] = gate * gradient;
                    }
                    gradients.queries[place] = head.scale * of_query;
                    gradients.keys[place] = of_key;
                    gradients.log_gates[place] = gate * of_gate;
                }
            }
        },
    );
    gradients.state = state_gradient;
    gradients
}
