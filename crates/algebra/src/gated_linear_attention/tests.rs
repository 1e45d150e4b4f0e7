use half::bf16;
use proptest::prelude::*;

use super::*;
use crate::random::Sequence;

/// Operands that own their arrays.
#[derive(Clone)]
struct Example<T> {
    heads: usize,
    key: usize,
    value: usize,
    lengths: Vec<usize>,
    queries: Vec<T>,
    keys: Vec<T>,
    values: Vec<T>,
    log_gates: Vec<T>,
    initial_state: Vec<T>,
    output_gradient: Vec<T>,
    state_gradient: Vec<T>,
}

impl Example<f64> {
    /// Normal operands; log gates `ln σ(x) / normaliser`, as the layer makes them.
    fn random(seed: u64, lengths: &[usize], heads: usize, [key, value]: [usize; 2], normaliser: f64) -> Self {
        let mut random = Sequence::new(seed);
        let tokens: usize = lengths.iter().sum();
        let mut normals = |count: usize| -> Vec<f64> { (0..count).map(|_| random.normal()).collect() };
        let states = lengths.len() * heads * key * value;
        Example {
            heads,
            key,
            value,
            lengths: lengths.to_vec(),
            queries: normals(tokens * heads * key),
            keys: normals(tokens * heads * key),
            values: normals(tokens * heads * value),
            log_gates: normals(tokens * heads * key)
                .iter()
                .map(|x| -(-x).exp().ln_1p() / normaliser)
                .collect(),
            initial_state: normals(states),
            output_gradient: normals(tokens * heads * value),
            state_gradient: normals(states),
        }
    }

    fn arrays(&mut self) -> [&mut Vec<f64>; 5] {
        [&mut self.queries, &mut self.keys, &mut self.values, &mut self.log_gates, &mut self.initial_state]
    }

    /// `⟨output, its gradient⟩ + ⟨final state, its gradient⟩`, whose gradients are the ones to check.
    fn loss(&self) -> f64 {
        let outputs = self.forward(Form::Recurrent);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(&outputs.output, &self.output_gradient) + dot(&outputs.final_state, &self.state_gradient)
    }
}

impl<T: Real> Example<T> {
    fn operands(&self) -> Operands<'_, T> {
        Operands {
            heads: self.heads,
            key_channels: self.key,
            value_channels: self.value,
            lengths: &self.lengths,
            queries: &self.queries,
            keys: &self.keys,
            values: &self.values,
            log_gates: &self.log_gates,
            scale: T::literal((self.key as f64).powf(-0.5)),
            initial_state: Some(&self.initial_state),
        }
    }

    fn forward(&self, form: Form) -> Outputs<T> {
        forward(&self.operands(), form).expect("valid operands")
    }

    fn backward(&self, form: Form) -> Gradients<T> {
        backward(&self.operands(), &self.output_gradient, Some(&self.state_gradient), form)
            .expect("valid operands")
    }

    fn map<U>(&self, f: impl Fn(T) -> U) -> Example<U> {
        let map = |values: &[T]| values.iter().map(|value| f(*value)).collect();
        Example {
            heads: self.heads,
            key: self.key,
            value: self.value,
            lengths: self.lengths.clone(),
            queries: map(&self.queries),
            keys: map(&self.keys),
            values: map(&self.values),
            log_gates: map(&self.log_gates),
            initial_state: map(&self.initial_state),
            output_gradient: map(&self.output_gradient),
            state_gradient: map(&self.state_gradient),
        }
    }
}

/// All results by name.
fn named<T: Real>(outputs: Outputs<T>, gradients: Gradients<T>) -> [(&'static str, Vec<f64>); 7] {
    let widen = |values: Vec<T>| values.into_iter().map(Real::widened).collect();
    [
        ("output", widen(outputs.output)),
        ("final state", widen(outputs.final_state)),
        ("queries' gradient", widen(gradients.queries)),
        ("keys' gradient", widen(gradients.keys)),
        ("values' gradient", widen(gradients.values)),
        ("log gates' gradient", widen(gradients.log_gates)),
        ("initial state's gradient", widen(gradients.initial_state)),
    ]
}

fn largest_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(f64::MIN_POSITIVE, |s, b| s.max(b.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

fn mean_error(a: &[f64], b: &[f64]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let error = squares(&mut a.iter().zip(b).map(|(a, b)| a - b));
    (error / squares(&mut b.iter().copied()).max(f64::MIN_POSITIVE)).sqrt()
}

#[test]
fn the_three_forms_are_one_function_with_one_gradient() {
    let mut worst = (0.0, String::new());
    for tokens in [1, 15, 63, 64, 65, 1000] {
        for (key, value) in [(8, 12), (60, 24), (64, 33), (100, 20)] {
            for normaliser in [0.1, 1.0, 16.0] {
                let example = Example::random(tokens as u64, &[tokens], 1, [key, value], normaliser);
                let results = |form| named(example.forward(form), example.backward(form));
                let expected = results(Form::Recurrent);
                // All pairs of a thousand tokens are slow: for one K.
                let mut forms = vec![Form::Parallel];
                forms.retain(|_| tokens < 1000 || key == 8);
                for chunk in [16, 32, 64] {
                    forms.extend([8, 16].map(|sub_chunk| Form::Chunked { chunk, sub_chunk }));
                }
                for form in forms {
                    for ((name, found), (_, expected)) in results(form).iter().zip(&expected) {
                        let error = largest_error(found, expected);
                        let case = format!(
                            "{form:?} {name}, T {tokens}, K {key}, normaliser {normaliser}: {error:.1e}"
                        );
                        assert!(error <= 1e-11, "{case}");
                        if error > worst.0 {
                            worst = (error, case);
                        }
                    }
                }
            }
        }
    }
    println!("largest relative error: {}", worst.1);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for normaliser in [0.5, 4.0] {
        let mut example = Example::random(7, &[9, 4], 2, [3, 5], normaliser);
        let gradients = named(
            example.forward(Form::Recurrent),
            example.backward(Form::Chunked { chunk: 4, sub_chunk: 2 }),
        );
        for array in 0..5 {
            let (name, gradient) = &gradients[2 + array];
            for (index, gradient) in gradient.iter().enumerate() {
                let step = 1e-5;
                let mut moved = |by: f64| {
                    example.arrays()[array][index] += by;
                    let loss = example.loss();
                    example.arrays()[array][index] -= by;
                    loss
                };
                // Log gates are at most zero; those of the examples are below −1e-5.
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                assert!(
                    (difference - gradient).abs() <= 1e-5 * gradient.abs().max(1.0),
                    "{name} {index}: {gradient} for {difference}"
                );
            }
        }
    }
}

/// The shapes on which the public library is tested, with fewer heads in the larger ones.
const GRID: [(usize, usize, usize, [usize; 2]); 6] = [
    (1, 63, 1, [64, 64]),
    (2, 1024, 2, [60, 60]),
    (1, 1024, 2, [100, 128]),
    (1, 512, 1, [320, 64]),
    (1, 256, 1, [512, 128]),
    (2, 2048, 2, [64, 64]),
];

#[test]
fn single_precision_keeps_its_accuracy() {
    let mut worst = [(0.0, String::new()), (0.0, String::new())];
    for (batch, tokens, heads, channels) in GRID {
        for normaliser in [0.1, 1.0, 10.0] {
            let example = Example::random(tokens as u64, &vec![tokens; batch], heads, channels, normaliser);
            // What is compared is the computation: both start from the rounded numbers.
            let narrow = example.map(|x| x as f32);
            let brain = example.map(|x| bf16::from_f64(x).to_f32());
            for (kind, (rounded, limit)) in [(narrow, 2e-6), (brain, 5e-3)].into_iter().enumerate() {
                if kind == 1 && normaliser != 1.0 {
                    continue;
                }
                let wide = rounded.map(f64::from);
                let expected = named(wide.forward(Form::Recurrent), wide.backward(Form::Recurrent));
                let form = Form::fast(tokens);
                let found = named(rounded.forward(form), rounded.backward(form));
                for ((name, mut found), (_, expected)) in found.into_iter().zip(expected) {
                    if kind == 1 {
                        found.iter_mut().for_each(|x| *x = bf16::from_f64(*x).to_f64());
                    }
                    let error = mean_error(&found, &expected);
                    let case =
                        format!("{name}, T {tokens}, {channels:?}, normaliser {normaliser}: {error:.1e}");
                    assert!(error <= limit, "{case}");
                    if error > worst[kind].0 {
                        worst[kind] = (error, case);
                    }
                }
            }
        }
    }
    println!("largest errors, f32: {}; bf16: {}", worst[0].1, worst[1].1);
}

#[test]
fn extreme_gates_give_numbers() {
    for gate in [-50.0, 0.0, f32::NEG_INFINITY] {
        let mut example = Example::random(3, &[130], 1, [16, 8], 1.0).map(|x| x as f32);
        example.log_gates.fill(gate);
        let form = Form::fast(130);
        for ((name, found), (_, expected)) in named(example.forward(form), example.backward(form))
            .iter()
            .zip(named(example.forward(Form::Recurrent), example.backward(Form::Recurrent)))
        {
            assert!(found.iter().all(|x| x.is_finite()), "{name} with {gate}");
            assert!(mean_error(found, &expected) < 1e-5 || name.starts_with("log"), "{name} with {gate}");
        }
    }
}

#[test]
fn wrong_operands_are_refused() {
    let example = Example::random(5, &[3, 2], 2, [4, 3], 1.0);
    let fails = |change: &dyn Fn(&mut Example<f64>)| {
        let mut changed = example.clone();
        change(&mut changed);
        forward(&changed.operands(), Form::fast(3)).expect_err("refused")
    };
    assert_eq!(fails(&|e| e.log_gates[7] = 0.5), AttentionError::PositiveGate { index: 7, value: 0.5 });
    assert_eq!(
        fails(&|e| e.log_gates[2] = f64::NAN),
        AttentionError::NotFinite { what: "the log gates", index: 2 }
    );
    assert_eq!(
        fails(&|e| e.values[4] = f64::NAN),
        AttentionError::NotFinite { what: "the values", index: 4 }
    );
    assert_eq!(fails(&|e| e.lengths = vec![3, 3]), AttentionError::Documents { documents: 6, values: 5 });
    assert_eq!(
        fails(&|e| e.key = 5),
        AttentionError::Length { what: "the queries", found: 40, expected: 50 }
    );
    assert_eq!(fails(&|e| e.heads = 0), AttentionError::Zero("the number of heads"));
    assert_eq!(
        forward(&example.operands(), Form::Chunked { chunk: 16, sub_chunk: 0 }),
        Err(AttentionError::Zero("the length of a sub-chunk"))
    );
    assert!(matches!(
        backward(&example.operands(), &[0.0; 3], None, Form::Recurrent),
        Err(AttentionError::Length { what: "the output's gradient", found: 3, expected: 30 })
    ));
    let message = fails(&|e| e.log_gates[7] = 0.5).to_string();
    assert_eq!(message, "log gate 7 is 0.5: at most 0 is expected");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn packed_documents_are_separate_sequences(
        lengths in prop::collection::vec(0..40_usize, 1..4), heads in 1..3_usize, seed: u64,
        chunk in 1..20_usize, sub_chunk in 1..9_usize,
    ) {
        let form = Form::Chunked { chunk, sub_chunk };
        let (key, value) = (5, 3);
        let packed = Example::random(seed, &lengths, heads, [key, value], 1.0);
        let together = named(packed.forward(form), packed.backward(form));
        let mut apart: Vec<Vec<f64>> = vec![Vec::new(); 7];
        let mut first = 0;
        for (document, &length) in lengths.iter().enumerate() {
            let cut = |values: &[f64], width: usize| values[first * width..(first + length) * width].to_vec();
            let states = heads * key * value;
            let state = |values: &[f64]| values[document * states..][..states].to_vec();
            let one = Example {
                lengths: vec![length],
                queries: cut(&packed.queries, heads * key),
                keys: cut(&packed.keys, heads * key),
                values: cut(&packed.values, heads * value),
                log_gates: cut(&packed.log_gates, heads * key),
                initial_state: state(&packed.initial_state),
                output_gradient: cut(&packed.output_gradient, heads * value),
                state_gradient: state(&packed.state_gradient),
                ..packed.clone()
            };
            for (all, (_, part)) in apart.iter_mut().zip(named(one.forward(Form::Recurrent), one.backward(Form::Recurrent))) {
                all.extend(part);
            }
            first += length;
        }
        for ((name, together), apart) in together.iter().zip(&apart) {
            prop_assert!(largest_error(together, apart) < 1e-11, "{}", name);
        }
    }
}
