//! Word problems as lines of JSON: `cargo run --example word_problems -- training 5 1` for five of the seed 1 to train on.

use mathesis_language::data::Side;
use mathesis_language::data::word_problems::word_problem;
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [side, count, seed] => match (side.as_str(), count.parse::<u64>(), seed.parse::<u64>()) {
            ("training", Ok(count), Ok(seed)) => Some((Side::Training, count, seed)),
            ("test", Ok(count), Ok(seed)) => Some((Side::Test, count, seed)),
            _ => None,
        },
        _ => None,
    };
    let Some((side, count, seed)) = parsed else {
        eprintln!("expected: training|test, how many, seed");
        std::process::exit(2);
    };
    for number in 0..count {
        let problem = word_problem(seed, side, number);
        let line = json!({
            "id": format!("{}-{number}", problem.template),
            "question": problem.question,
            "solution": problem.solution,
            "answer": problem.answer,
        });
        println!("{line}");
    }
}
