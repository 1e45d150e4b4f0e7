//! Times parsing, expansion, differentiation and evaluation, one JSON line for each task, with values by which
//! another system's results can be compared. See `bench/symbolic`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use mathesis_symbolic::{Expr, Program, Symbol, parse};

const POINTS: usize = 1_000_000;

/// The median of several runs, in seconds.
fn median<T>(mut run: impl FnMut() -> T) -> f64 {
    let mut seconds = Vec::new();
    let begin = Instant::now();
    while seconds.len() < 5 || (begin.elapsed().as_secs_f64() < 1.0 && seconds.len() < 200) {
        let start = Instant::now();
        black_box(run());
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn report(task: &str, operation: &str, text: &str, seconds: f64, values: &[f64]) {
    let values: Vec<String> = values.iter().map(|value| format!("{value:e}")).collect();
    println!(
        r#"{{"task": "{task}", "operation": "{operation}", "text": "{text}", "seconds": {seconds:e}, "values": [{}]}}"#,
        values.join(", ")
    );
}

fn value(expression: &Expr) -> f64 {
    let point = BTreeMap::from([("x", 0.7), ("y", -0.4), ("z", 0.3)].map(|(name, v)| (Symbol::new(name), v)));
    expression.evaluate_f64(&point).unwrap_or(f64::NAN)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let terms: Vec<String> =
        (1..=20).map(|k| format!("sin({k}*x*y)*exp(-x^2/{k})*log(y^2 + {k} + 1)^2/({k}*x^2 + 1)")).collect();
    let nested = format!("sqrt(1 + ({})^2)", terms.join(" + "));

    report("parse, 20 nested terms", "parse", &nested, median(|| parse(&nested)), &[value(&parse(&nested)?)]);

    for (task, text) in [
        ("expand a power", "(x + y + z + 1)^15"),
        ("expand a product", "(x + y + z + 1)^8*(x - y + 2*z - 3)^8"),
        ("expand a dense power", "(1 + x + x^2 + x^3 + x^4 + x^5 + x^6 + x^7)^10"),
    ] {
        let expression = parse(text)?;
        let expanded = expression.expand();
        let seconds = median(|| expression.expand());
        report(task, "expand", text, seconds, &[value(&expanded), expanded.terms().len() as f64]);
    }

    let (expression, x) = (parse(&nested)?, Symbol::new("x"));
    let first = expression.differentiate(&x);
    report(
        "differentiate, 20 nested terms",
        "differentiate",
        &nested,
        median(|| expression.differentiate(&x)),
        &[value(&first)],
    );

    for (task, text) in [
        ("evaluate a polynomial", "x^5*y^3 - 3*x^4*y + 7*x^2*y^2/3 - x*y^5 + 2*x - y/7 + 1/2"),
        ("evaluate sines", "sin(100*x)*cos(3*y) + sin(x*y)"),
        ("evaluate functions", "exp(-x^2 - y^2)*sin(10*x)/(1 + x^2) + log(1 + y^2)*sqrt(x^2 + y^2)"),
    ] {
        let expression = parse(text)?;
        let variables = [Symbol::new("x"), Symbol::new("y")];
        let program = Program::compile(&[expression], &variables)?;
        let xs: Vec<f64> = (0..POINTS).map(|i| i as f64 / POINTS as f64 * 4.0 - 2.0).collect();
        let ys: Vec<f64> =
            (0..POINTS).map(|i| (i * 7919 % POINTS) as f64 / POINTS as f64 * 4.0 - 2.0).collect();
        let mut output = vec![0.0; POINTS];
        for threads in [1, rayon::current_num_threads()] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let seconds = pool.install(|| median(|| program.evaluate(&[&xs, &ys], &mut [&mut output])));
            let values: Vec<f64> = output.iter().step_by(POINTS / 50).copied().collect();
            report(&format!("{task}, threads: {threads}"), "evaluate", text, seconds, &values);
        }
    }
    Ok(())
}
