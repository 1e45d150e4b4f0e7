//! Times arithmetic of polynomials, one JSON line for each task, with the number of terms and the value of the result at one point
//! modulo a prime, by which other systems' results can be compared. See `bench/symbolic`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mathesis_symbolic::modular::PrimeField;
use mathesis_symbolic::{Polynomial, Symbol};

const NAMES: [&str; 5] = ["x", "y", "z", "u", "v"];

/// The median of several runs, in seconds.
fn median<T>(mut run: impl FnMut() -> T) -> f64 {
    let mut seconds = Vec::new();
    let begin = Instant::now();
    while seconds.len() < 3 || (begin.elapsed().as_secs_f64() < 1.0 && seconds.len() < 100) {
        let start = Instant::now();
        black_box(run());
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn report(task: &str, seconds: f64, result: &Polynomial) {
    let value = PrimeField::new(2_147_483_647).and_then(|field| {
        let point: Vec<u32> = result
            .variables()
            .iter()
            .map(|v| NAMES.iter().position(|name| *name == v.name()).map_or(0, |k| 3 + 2 * k as u32))
            .collect();
        result.evaluate_modular(field, &point)
    });
    let value = value.map_or("null".to_string(), |value| value.to_string());
    println!(r#"{{"task": "{task}", "seconds": {seconds:e}, "terms": {}, "value": {value}}}"#, result.len());
}

/// The sum of pseudo-random terms, the same in every system.
fn random(terms: usize, variables: usize, degree: u32, mut seed: u64) -> Polynomial {
    let mut draw = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let names: Arc<[Symbol]> = NAMES[..variables].iter().map(|name| Symbol::new(name)).collect();
    let list: Vec<(Vec<u32>, i64)> = (0..terms)
        .map(|_| {
            let exponents = (0..variables).map(|_| draw(u64::from(degree) + 1) as u32).collect();
            (exponents, draw(199) as i64 - 99)
        })
        .collect();
    Polynomial::from_terms(&names, list.into_iter().map(|(exponents, c)| (exponents, c.into())))
}

fn main() {
    let sum = NAMES[..4].iter().fold(Polynomial::one(), |sum, name| &sum + &Polynomial::variable(*name));
    let dense = sum.pow(12);
    let next = &dense + &Polynomial::one();
    report("multiply, dense: 1820 terms by 1820", median(|| &dense * &next), &(&dense * &next));
    let (a, b) = (random(1000, 5, 30, 1), random(1000, 5, 30, 2));
    let product = &a * &b;
    report("multiply, sparse: 1000 terms by 1000", median(|| &a * &b), &product);
    if let Some(quotient) = product.divide_exactly(&a) {
        report("divide exactly, sparse: 1e6 terms by 1000", median(|| product.divide_exactly(&a)), &quotient);
    }
    let (a, b, c) = (random(20, 3, 5, 3), random(20, 3, 5, 4), random(20, 3, 5, 5));
    let (left, right) = (&a * &c, &b * &c);
    report("gcd, 3 variables, 20 terms common", median(|| left.gcd(&right)), &left.gcd(&right));
    let (a, b, c) = (random(8, 5, 3, 6), random(8, 5, 3, 7), random(8, 5, 3, 8));
    let (left, right) = (&a * &c, &b * &c);
    report("gcd, 5 variables, 8 terms common", median(|| left.gcd(&right)), &left.gcd(&right));
    let (left, right) = (random(60, 4, 5, 9), random(60, 4, 5, 10));
    report("gcd, 4 variables, coprime", median(|| left.gcd(&right)), &left.gcd(&right));
}
