//! All pairs of tokens, with exponentials of differences of the sums of log gates: O(T²), for comparison.

use faer::MatMut;

use super::{Head, HeadGradients, Rows, column};
use crate::real::Real;

/// Writes the output, a column for every token, and returns the state after the last one.
pub(super) fn forward<T: Real>(head: &Head<'_, T>, mut columns: MatMut<'_, T>) -> Vec<T> {
    let (key, value) = head.channels();
    let sums = sums(head);
    let start = head.start();
    for i in 0..head.tokens {
        let output = column(&mut columns, i);
        for c in 0..key {
            let weight = head.scale * head.queries.row(i)[c] * sums[i * key + c].decay();
            accumulate(output, weight, &start[c * value..][..value]);
        }
        for j in 0..=i {
            let score: T = (0..key)
                .map(|c| head.queries.row(i)[c] * head.keys.row(j)[c] * between(&sums, key, i, j, c))
                .sum();
            accumulate(output, head.scale * score, head.values.row(j));
        }
    }
    last_state(head, &sums, start)
}

/// The gradients, from those of the output and of the state after the last token.
pub(super) fn backward<T: Real>(
    head: &Head<'_, T>,
    output_gradient: Rows<'_, T>,
    mut state_gradient: Vec<T>,
) -> HeadGradients<T> {
    let (key, value) = head.channels();
    let mut gradients = HeadGradients::zeros(head);
    if head.tokens == 0 {
        gradients.state = state_gradient;
        return gradients;
    }
    let sums = sums(head);
    let start = head.start();
    let last = head.tokens - 1;
    // With the gate's gradient from the last state: dg_t = Σ_{i≥t} (q dq − k dk)_i + rowsum(S_T dS_T).
    let final_state = last_state(head, &sums, start.clone());
    let mut tail: Vec<T> = (0..key)
        .map(|c| dot(&final_state[c * value..][..value], &state_gradient[c * value..][..value]))
        .collect();
    for i in 0..head.tokens {
        let output = output_gradient.row(i);
        let (queries, keys) = (head.queries.row(i), head.keys.row(i));
        for c in 0..key {
            let from_start = head.scale * sums[i * key + c].decay();
            gradients.queries[i * key + c] += from_start * dot(output, &start[c * value..][..value]);
            accumulate(&mut gradients.state[c * value..][..value], from_start * queries[c], output);
            let to_end = between(&sums, key, last, i, c);
            let state_gradient = &state_gradient[c * value..][..value];
            gradients.keys[i * key + c] += to_end * dot(head.values.row(i), state_gradient);
            accumulate(&mut gradients.values[i * value..][..value], to_end * keys[c], state_gradient);
        }
        for j in 0..=i {
            let score_gradient = head.scale * dot(output, head.values.row(j));
            let mut score = T::zero();
            for c in 0..key {
                let decay = between(&sums, key, i, j, c);
                let (query, other) = (queries[c], head.keys.row(j)[c]);
                score += query * other * decay;
                gradients.queries[i * key + c] += score_gradient * other * decay;
                gradients.keys[j * key + c] += score_gradient * query * decay;
            }
            accumulate(&mut gradients.values[j * value..][..value], head.scale * score, output);
        }
    }
    for i in (0..head.tokens).rev() {
        for c in 0..key {
            let place = i * key + c;
            tail[c] += head.queries.row(i)[c] * gradients.queries[place];
            tail[c] -= head.keys.row(i)[c] * gradients.keys[place];
            gradients.log_gates[place] = tail[c];
        }
    }
    for c in 0..key {
        let decay = sums[last * key + c].decay();
        let row = c * value..(c + 1) * value;
        accumulate(&mut gradients.state[row.clone()], decay, &state_gradient[row]);
    }
    state_gradient.clear();
    gradients
}

/// `Σ_{j≤t} g_j`, `[tokens, K]`.
fn sums<T: Real>(head: &Head<'_, T>) -> Vec<T> {
    let mut sum = vec![T::zero(); head.keys.width];
    let mut sums = Vec::with_capacity(head.tokens * sum.len());
    for token in 0..head.tokens {
        for (sum, gate) in sum.iter_mut().zip(head.log_gates.row(token)) {
            *sum += *gate;
        }
        sums.extend_from_slice(&sum);
    }
    sums
}

/// `e^{B_ic − B_jc}`. Equal tokens are apart, so that sums of minus infinity do no harm there.
#[inline(always)]
fn between<T: Real>(sums: &[T], key: usize, i: usize, j: usize, c: usize) -> T {
    if i == j { T::one() } else { (sums[i * key + c] - sums[j * key + c]).decay() }
}

fn last_state<T: Real>(head: &Head<'_, T>, sums: &[T], mut state: Vec<T>) -> Vec<T> {
    let (key, value) = head.channels();
    let Some(last) = head.tokens.checked_sub(1) else { return state };
    for c in 0..key {
        let row = &mut state[c * value..][..value];
        let decay = sums[last * key + c].decay();
        row.iter_mut().for_each(|state| *state *= decay);
        for j in 0..head.tokens {
            accumulate(row, head.keys.row(j)[c] * between(sums, key, last, j, c), head.values.row(j));
        }
    }
    state
}

fn accumulate<T: Real>(target: &mut [T], weight: T, source: &[T]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target += weight * *source;
    }
}

fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(a, b)| *a * *b).sum()
}
