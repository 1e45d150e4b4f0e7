use super::*;
use crate::random::Sequence;

/// Operands that own their arrays.
#[derive(Clone)]
struct Owned {
    channels: usize,
    value_channels: usize,
    queries: Vec<f64>,
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
    causal: bool,
    blank: Option<f64>,
}

impl Owned {
    /// Numbers in [−bound, bound].
    fn draw(order: usize, tokens: usize, channels: usize, bound: f64, random: &mut Sequence) -> Self {
        let mut draw =
            |count: usize| -> Vec<f64> { (0..count).map(|_| bound * random.symmetric()).collect() };
        let queries = draw(tokens * channels);
        let mut arrays = || (1..order).map(|_| draw(tokens * channels)).collect();
        let keys = arrays();
        let values = arrays();
        Owned { channels, value_channels: channels, queries, keys, values, causal: false, blank: None }
    }

    fn operands(&self) -> Operands<'_> {
        Operands {
            channels: self.channels,
            value_channels: self.value_channels,
            queries: &self.queries,
            keys: self.keys.iter().map(Vec::as_slice).collect(),
            values: self.values.iter().map(Vec::as_slice).collect(),
            causal: self.causal,
            blank: self.blank,
        }
    }

    fn arrays(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        std::iter::once(&mut self.queries).chain(&mut self.keys).chain(&mut self.values)
    }

    /// The definition: all tuples written out, weighed by `weight(score, largest score)`.
    fn by_definition(&self, weight: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let (d, v, operands) = (self.channels, self.value_channels, self.operands());
        let (n, q) = (operands.tokens(), operands.asking());
        let order = self.keys.len();
        let mut output = Vec::new();
        for query in 0..q {
            let seen = if self.causal { n - q + query + 1 } else { n };
            let tuples: Vec<Vec<usize>> = (0..seen.pow(order as u32))
                .map(|number| (0..order).map(|m| number / seen.pow(m as u32) % seen).collect())
                .collect();
            let product = |tuple: &[usize], arrays: &[Vec<f64>], columns: usize, c: usize| -> f64 {
                tuple.iter().zip(arrays).map(|(&j, array)| array[j * columns + c]).product()
            };
            let scores: Vec<f64> = tuples
                .iter()
                .map(|tuple| {
                    let term = |l| self.queries[query * d + l] * product(tuple, &self.keys, d, l);
                    (0..d).map(term).sum::<f64>() / d as f64
                })
                .collect();
            let largest = scores.iter().copied().chain(self.blank).fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|&score| weight(score, largest)).collect();
            let blank = self.blank.map_or(0.0, |score| (score - largest).exp());
            let total = weights.iter().sum::<f64>() + blank;
            for c in 0..v {
                let pairs = tuples.iter().zip(&weights);
                let sum: f64 = pairs.map(|(tuple, w)| w * product(tuple, &self.values, v, c)).sum();
                output.push(sum / total);
            }
        }
        output
    }

    fn exact(&self) -> Vec<f64> {
        self.by_definition(|score, largest| (score - largest).exp())
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[track_caller]
fn assert_close(given: &[f64], expected: &[f64], tolerance: f64) {
    let size = expected.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let found = distance(given, expected);
    assert!(found <= tolerance * size, "{found:e} of {size:e}");
}

/// The derivatives of `Σ direction · output` against central differences at every entry.
#[track_caller]
fn assert_gradients(owned: &Owned, form: Form<'_>, tolerance: f64) {
    let mut random = Sequence::new(77);
    let outputs = forward(&owned.operands(), form).unwrap();
    let direction: Vec<f64> = outputs.output.iter().map(|_| random.symmetric()).collect();
    let found = backward(&owned.operands(), &outputs, &direction, form).unwrap();
    let loss = |owned: &Owned| -> f64 {
        let outputs = forward(&owned.operands(), form).unwrap();
        outputs.output.iter().zip(&direction).map(|(y, g)| y * g).sum()
    };
    let arrays = std::iter::once(&found.queries).chain(&found.keys).chain(&found.values);
    for (number, gradient) in arrays.enumerate() {
        assert!(gradient.iter().any(|g| *g != 0.0), "array {number}");
        for place in (0..gradient.len()).step_by((gradient.len() / 12).max(1)) {
            let step = 1e-5;
            let [up, down] = [step, -step].map(|by| {
                let mut moved = owned.clone();
                moved.arrays().nth(number).unwrap()[place] += by;
                loss(&moved)
            });
            let numeric = (up - down) / (2.0 * step);
            let error = (gradient[place] - numeric).abs() / (1.0 + numeric.abs());
            assert!(error < tolerance, "array {number}, {place}: {} for {numeric}", gradient[place]);
        }
    }
}

#[test]
fn the_exact_form_is_the_definition() {
    let mut random = Sequence::new(1);
    for (order, tokens, channels) in
        [(2, 96, 16), (2, 1, 1), (3, 96, 16), (3, 33, 4), (3, 1, 3), (3, 2, 1), (4, 17, 5), (4, 1, 2)]
    {
        let mut owned = Owned::draw(order, tokens, channels, 1.5, &mut random);
        for (causal, blank) in [(false, None), (true, None), (false, Some(0.3)), (true, Some(-2.0))] {
            if order == 3 && tokens == 96 && (causal || blank.is_some()) {
                continue;
            }
            (owned.causal, owned.blank) = (causal, blank);
            let found = forward(&owned.operands(), Form::Exact).unwrap();
            assert_close(&found.output, &owned.exact(), 1e-12);
            assert_eq!(found.error_bound, 0.0);
        }
        // Fewer values than keys, and only the last tokens ask.
        owned.value_channels = 1;
        owned.values.iter_mut().for_each(|values| values.truncate(tokens));
        owned.queries.drain(..(tokens / 2) * channels);
        let found = forward(&owned.operands(), Form::Exact).unwrap();
        assert_close(&found.output, &owned.exact(), 1e-12);
    }
}

#[test]
fn the_worked_example_comes_out() {
    let owned = Owned {
        channels: 1,
        value_channels: 1,
        queries: vec![1.0, -1.0],
        keys: vec![vec![1.0, 0.0], vec![1.0, 1.0]],
        values: vec![vec![1.0, 0.0], vec![1.0, 2.0]],
        causal: false,
        blank: None,
    };
    let e = std::f64::consts::E;
    let found = forward(&owned.operands(), Form::Exact).unwrap();
    assert_close(&found.output, &[3.0 * e / (2.0 * e + 2.0), 3.0 / e / (2.0 / e + 2.0)], 1e-14);
    let expansion = Expansion::of_degree(1, 2, 1.0, 10).unwrap();
    let found = forward(&owned.operands(), Form::Expansion(&expansion)).unwrap();
    assert_close(&found.output, &[7.5 / 7.0, 0.5], 1e-14);
    // |P(−1) e − 1| = e / 2 − 1.
    assert!((expansion.error() - (e / 2.0 - 1.0)).abs() < 1e-14);
    assert!((found.error_bound - 2.0 * 2.0 * (e / 2.0 - 1.0) / (2.0 - e / 2.0)).abs() < 1e-12);
}

#[test]
fn large_scores_do_not_overflow() {
    let mut random = Sequence::new(2);
    for order in [2, 3, 4] {
        let mut owned = Owned::draw(order, 9, 4, 1.0, &mut random);
        owned.queries.iter_mut().for_each(|q| *q *= 1e5);
        assert!(owned.operands().largest_score() > 1e4);
        for causal in [false, true] {
            owned.causal = causal;
            let found = forward(&owned.operands(), Form::Exact).unwrap();
            // Scores are rounded to 1e-12 of their size, and weights are their exponentials.
            assert_close(&found.output, &owned.exact(), 1e-10);
            let ones = vec![1.0; found.output.len()];
            let gradients = backward(&owned.operands(), &found, &ones, Form::Exact).unwrap();
            assert!(gradients.queries.iter().all(|g| g.is_finite()));
        }
    }
}

#[test]
fn exact_gradients_are_those_of_finite_differences() {
    let mut random = Sequence::new(3);
    for (order, tokens, channels) in [(2, 7, 3), (3, 7, 3), (4, 5, 2)] {
        let mut owned = Owned::draw(order, tokens, channels, 1.5, &mut random);
        for (causal, blank) in [(false, None), (true, Some(0.5))] {
            (owned.causal, owned.blank) = (causal, blank);
            assert_gradients(&owned, Form::Exact, 1e-8);
        }
        owned.queries.drain(..2 * channels);
        owned.value_channels = 1;
        owned.values.iter_mut().for_each(|values| values.truncate(tokens));
        assert_gradients(&owned, Form::Exact, 1e-8);
    }
}

#[test]
fn an_expansion_is_its_polynomial() {
    let mut random = Sequence::new(4);
    for (order, channels, degree) in [(3, 1, 2), (3, 4, 6), (2, 3, 4), (4, 2, 8), (3, 5, 4)] {
        let mut owned = Owned::draw(order, 11, channels, 1.0, &mut random);
        let expansion = Expansion::of_degree(channels, degree, 1.0, 1000).unwrap();
        assert_eq!(Some(expansion.rank()), Expansion::rank_of(channels, degree));
        // The products of features are the polynomial of the score.
        let mut features = vec![vec![0.0; expansion.rank()]; order];
        let rows = std::iter::once(&owned.queries).chain(&owned.keys).map(|array| &array[..channels]);
        let rows: Vec<&[f64]> = rows.collect();
        rows.iter().zip(&mut features).for_each(|(row, features)| expansion.features(row, features));
        let sum: f64 = (0..expansion.rank())
            .map(|alpha| expansion.coefficients[alpha] * features.iter().map(|f| f[alpha]).product::<f64>())
            .sum();
        let score = (0..channels).map(|l| rows.iter().map(|row| row[l]).product::<f64>()).sum::<f64>()
            / channels as f64;
        assert!((sum - taylor(degree, score)).abs() < 1e-13);
        for (causal, blank) in [(false, None), (true, None), (true, Some(0.2)), (false, Some(0.1))] {
            (owned.causal, owned.blank) = (causal, blank);
            let found = forward(&owned.operands(), Form::Expansion(&expansion)).unwrap();
            let expected = owned.by_definition(|score, largest| taylor(degree, score) * (-largest).exp());
            assert_close(&found.output, &expected, 1e-13);
        }
    }
}

fn taylor(degree: usize, x: f64) -> f64 {
    (1..=degree).rev().fold(1.0, |sum, p| 1.0 + sum * x / p as f64)
}

#[test]
fn errors_stay_below_their_bound_and_are_the_known_ones() {
    // Uniform numbers in [−B, B], d = 4, n = 48: errors over B², as measured with another program. Where the relative error of a
    // weight may be one or more, no expansion is made, and the polynomial is taken tuple by tuple.
    let known = [
        (1.0, 2, 2.3e-5),
        (1.0, 4, 1.2e-7),
        (1.0, 6, 3.4e-10),
        (1.0, 8, 6.7e-13),
        (1.3, 4, 1.1e-5),
        (1.3, 6, 2.4e-7),
        (1.3, 8, 3.3e-9),
        (1.3, 10, 3.2e-11),
        (1.6, 6, 9.2e-6),
        (1.6, 10, 1.4e-8),
        (2.0, 6, 8.0e-4),
        (2.0, 10, 2.5e-5),
    ];
    for (number, (bound, degree, known)) in known.into_iter().enumerate() {
        let owned = Owned::draw(3, 48, 4, bound, &mut Sequence::new(50 + number as u64));
        let exact = forward(&owned.operands(), Form::Exact).unwrap();
        let range = owned.operands().largest_score();
        let (found, error_bound) = match Expansion::of_degree(4, degree, range, 2000) {
            Ok(expansion) => {
                let found = forward(&owned.operands(), Form::Expansion(&expansion)).unwrap();
                (found.output, found.error_bound)
            }
            Err(error) => {
                assert!(bound > 1.2 && matches!(error, TensorAttentionError::Degree { .. }), "{error}");
                (
                    owned.by_definition(|score, largest| taylor(degree, score) * (-largest).exp()),
                    f64::INFINITY,
                )
            }
        };
        let error = distance(&found, &exact.output);
        assert!(error <= error_bound, "B {bound}, g {degree}: {error:e} above {error_bound:e}");
        let error = error / (bound * bound);
        println!("B {bound}, g {degree}: {error:.1e} for {known:.1e}, bound {error_bound:.1e}");
        assert!(error < 5.0 * known && error > known / 5.0, "B {bound}, g {degree}: {error:e} for {known:e}");
    }
}

#[test]
fn accuracies_that_are_asked_for_are_met() {
    let mut random = Sequence::new(6);
    for (order, bound) in [(2, 1.0), (3, 0.7), (3, 1.0), (3, 1.2), (4, 0.9)] {
        for accuracy in [1e-3, 1e-6, 1e-9] {
            for causal in [false, true] {
                let mut owned = Owned::draw(order, 12, 3, bound, &mut random);
                owned.causal = causal;
                let range = f64::powi(bound, order as i32);
                let expansion = Expansion::of_accuracy(3, range, accuracy, 10_000).unwrap();
                let found = forward(&owned.operands(), Form::Expansion(&expansion)).unwrap();
                let largest = f64::powi(bound, order as i32 - 1);
                assert!(found.error_bound <= accuracy * largest);
                let error = distance(&found.output, &forward(&owned.operands(), Form::Exact).unwrap().output);
                assert!(error <= found.error_bound + 1e-15, "{error:e} above {:e}", found.error_bound);
            }
        }
    }
}

#[test]
fn degrees_and_ranks_are_the_tabulated_ones() {
    for (channels, accuracy, degree, rank) in
        [(4, 1e-3, 6, 210), (4, 1e-6, 10, 1001), (8, 1e-3, 6, 3003), (8, 1e-6, 10, 43_758)]
    {
        let expansion = Expansion::of_accuracy(channels, 1.0, accuracy, 50_000).unwrap();
        assert_eq!((expansion.degree(), expansion.rank()), (degree, rank));
    }
    assert_eq!(Expansion::rank_of(16, 6), Some(74_613));
    assert_eq!(Expansion::rank_of(1000, 100), None);
    // The relative error is the largest on a grid.
    for (degree, range) in [(2, 0.5), (4, 1.0), (6, 1.0), (8, 3.0), (10, 2.2)] {
        let on_grid = (0..=2000)
            .map(|step| range * (f64::from(step) / 1000.0 - 1.0))
            .map(|x| (taylor(degree, x) * (-x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!((Expansion::relative_error(degree, range) / on_grid - 1.0).abs() < 1e-8);
    }
}

#[test]
fn gradients_of_an_expansion_are_its_own_and_nearly_the_exact_ones() {
    let mut random = Sequence::new(7);
    for (order, channels, degree) in [(2, 3, 4), (3, 4, 4), (4, 2, 6)] {
        let mut owned = Owned::draw(order, 9, channels, 1.0, &mut random);
        let expansion = Expansion::of_degree(channels, degree, 1.1, 1000).unwrap();
        let form = Form::Expansion(&expansion);
        for (causal, blank) in [(false, None), (true, None), (true, Some(0.3)), (false, Some(0.3))] {
            (owned.causal, owned.blank) = (causal, blank);
            assert_gradients(&owned, form, 1e-8);
            let gradients = |form| {
                let outputs = forward(&owned.operands(), form).unwrap();
                let ones = vec![1.0; outputs.output.len()];
                backward(&owned.operands(), &outputs, &ones, form).unwrap()
            };
            let (found, expected) = (gradients(form), gradients(Form::Exact));
            assert!(distance(&found.queries, &expected.queries) < 2e-4);
            assert!(distance(&found.keys[0], &expected.keys[0]) < 2e-4);
            assert!(distance(&found.values[0], &expected.values[0]) < 2e-4);
        }
        // The last tokens ask, one value channel.
        owned.queries.drain(..4 * channels);
        owned.value_channels = 1;
        owned.values.iter_mut().for_each(|values| values.truncate(9));
        for causal in [false, true] {
            owned.causal = causal;
            assert_gradients(&owned, form, 1e-8);
        }
    }
}

#[test]
fn causal_gradients_stay_accurate_on_long_sequences() {
    // Sums from which tokens are taken out again, against the gradients of the exact form.
    let mut owned = Owned::draw(3, 150, 2, 0.8, &mut Sequence::new(8));
    owned.causal = true;
    let expansion = Expansion::of_accuracy(2, 0.6, 1e-13, 1000).unwrap();
    let gradients = |form| {
        let outputs = forward(&owned.operands(), form).unwrap();
        let direction: Vec<f64> = (0..outputs.output.len()).map(|k| (k as f64).sin()).collect();
        backward(&owned.operands(), &outputs, &direction, form).unwrap()
    };
    let (found, expected) = (gradients(Form::Expansion(&expansion)), gradients(Form::Exact));
    assert_close(&found.queries, &expected.queries, 1e-10);
    for m in 0..2 {
        assert_close(&found.keys[m], &expected.keys[m], 1e-10);
        assert_close(&found.values[m], &expected.values[m], 1e-10);
    }
}

#[test]
fn reading_on_gives_the_same_as_reading_at_once() {
    let mut random = Sequence::new(9);
    for order in [2, 3, 4] {
        let mut owned = Owned::draw(order, 13, 3, 1.0, &mut random);
        owned.causal = true;
        let expansion = Expansion::of_degree(3, 4, 1.0, 1000).unwrap();
        for form in [Form::Exact, Form::Expansion(&expansion)] {
            let whole = forward(&owned.operands(), form).unwrap().output;
            let (mut state, mut output, mut from) = (State::default(), Vec::new(), 0);
            for piece in [1, 4, 1, 7] {
                let part = |array: &Vec<f64>| array[from * 3..(from + piece) * 3].to_vec();
                let next = Owned {
                    queries: part(&owned.queries),
                    keys: owned.keys.iter().map(part).collect(),
                    values: owned.values.iter().map(part).collect(),
                    ..owned.clone()
                };
                output.extend(state.extend(&next.operands(), form).unwrap().output);
                from += piece;
            }
            assert_close(&output, &whole, 1e-13);
        }
    }
}

#[test]
fn triples_are_found() {
    let mut random = Sequence::new(10);
    for (modulus, length) in [(53_u64, 10), (101, 12), (53, 32), (101, 32), (2, 5), (7, 1)] {
        let (mut positive, mut all) = (0, 0);
        for _ in 0..60 {
            let numbers: Vec<i64> = (0..length).map(|_| (random.bits() % 1000) as i64 - 500).collect();
            let found = matching_triples(&numbers, modulus).unwrap();
            for (x, found) in numbers.iter().zip(found) {
                let completes = |y: &i64| numbers.iter().any(|z| (x + y + z).rem_euclid(modulus as i64) == 0);
                let expected = numbers.iter().any(completes);
                assert_eq!(found, expected, "{x} of {numbers:?} modulo {modulus}");
                positive += usize::from(expected);
                all += 1;
            }
        }
        println!("modulus {modulus}, {length} numbers: {positive} of {all} in triples");
    }
    assert_eq!(matching_triples(&[], 5).unwrap(), []);
    // −2⁶³ and 2⁶³ − 1 leave 2 when divided by 5.
    assert_eq!(matching_triples(&[i64::MIN, i64::MAX, 1], 5).unwrap(), [true; 3]);
    assert_eq!(matching_triples(&[i64::MIN, i64::MAX], 5).unwrap(), [false; 2]);
    assert_eq!(matching_triples(&[1], 1), Err(TripleError::Modulus(1)));
}

#[test]
fn what_does_not_fit_is_refused() {
    use TensorAttentionError as E;
    let owned = Owned::draw(3, 6, 2, 1.0, &mut Sequence::new(11));
    let expansion = Expansion::of_degree(2, 4, 1.0, 100).unwrap();
    let refused = |change: &dyn Fn(&mut Owned)| {
        let mut owned = owned.clone();
        change(&mut owned);
        let errors = [Form::Exact, Form::Expansion(&expansion)]
            .map(|form| forward(&owned.operands(), form).expect_err("an error"));
        let [exact, by_expansion] = errors;
        assert_eq!(exact.to_string(), by_expansion.to_string());
        exact
    };
    assert!(matches!(refused(&|o| o.keys.clear()), E::Order { keys: 0, values: 2 }));
    assert!(matches!(refused(&|o| _ = o.values.pop()), E::Order { keys: 2, values: 1 }));
    assert!(matches!(refused(&|o| o.channels = 0), E::Zero(_)));
    assert!(matches!(refused(&|o| o.queries.truncate(11)), E::Length { found: 11, .. }));
    assert!(matches!(refused(&|o| o.keys[1].truncate(10)), E::Length { found: 10, .. }));
    assert!(matches!(refused(&|o| o.values[0].push(0.0)), E::Length { found: 13, .. }));
    assert!(matches!(refused(&|o| o.channels = 3), E::Length { .. }));
    assert!(matches!(refused(&|o| o.queries[3] = f64::NAN), E::NotFinite { index: 3, .. }));
    assert!(matches!(refused(&|o| o.keys[1][2] = f64::INFINITY), E::NotFinite { index: 2, .. }));
    assert!(matches!(refused(&|o| o.values[1][5] = f64::NAN), E::NotFinite { index: 5, .. }));
    assert!(matches!(refused(&|o| o.blank = Some(f64::NAN)), E::NotFinite { .. }));
    let no_keys = |o: &mut Owned| o.keys.iter_mut().chain(&mut o.values).for_each(Vec::clear);
    assert!(matches!(refused(&no_keys), E::Empty { queries: 6 }));
    let fewer = |o: &mut Owned| {
        o.causal = true;
        o.keys.iter_mut().chain(&mut o.values).for_each(|array| array.truncate(4));
    };
    assert!(matches!(refused(&fewer), E::Mismatch { found: 6, expected: 2, .. }));

    let mut large = owned.clone();
    large.queries.iter_mut().for_each(|q| *q *= 3.0);
    let form = Form::Expansion(&expansion);
    assert!(matches!(forward(&large.operands(), form), Err(E::Range { range: 1.0, .. })));
    large.causal = true;
    assert!(matches!(forward(&large.operands(), form), Err(E::Range { .. })));
    let other = Expansion::of_degree(3, 4, 1.0, 100).unwrap();
    let refused = forward(&owned.operands(), Form::Expansion(&other));
    assert!(matches!(refused, Err(E::Mismatch { found: 2, expected: 3, .. })));
    let outputs = forward(&owned.operands(), Form::Exact).unwrap();
    for (gradient, form) in [(vec![1.0; 11], Form::Exact), (vec![f64::NAN; 12], form)] {
        assert!(backward(&owned.operands(), &outputs, &gradient, form).is_err());
    }

    assert!(matches!(Expansion::of_degree(2, 3, 1.0, 100), Err(E::Degree { degree: 3, .. })));
    assert!(matches!(Expansion::of_degree(2, 2, 8.0, 100), Err(E::Degree { .. })));
    assert!(matches!(Expansion::of_degree(0, 2, 1.0, 100), Err(E::Zero(_))));
    assert!(matches!(Expansion::of_degree(2, 2, f64::NAN, 100), Err(E::NotPositive { .. })));
    assert!(matches!(Expansion::of_accuracy(2, 1.0, 0.0, 100), Err(E::NotPositive { .. })));
    let refused = Expansion::of_accuracy(16, 1.0, 1e-6, 10_000).unwrap_err();
    assert!(matches!(refused, E::Rank { channels: 16, largest: 10_000, .. }), "{refused}");
    assert!(matches!(Expansion::of_accuracy(4, 500.0, 1e-3, 10_000), Err(E::Rank { .. } | E::Degree { .. })));

    let mut state = State::default();
    assert!(state.extend(&owned.operands(), Form::Exact).is_err());
    let mut causal = owned.clone();
    causal.causal = true;
    state.extend(&causal.operands(), Form::Exact).unwrap();
    assert!(matches!(state.extend(&causal.operands(), form), Err(E::Mismatch { .. })));
}
