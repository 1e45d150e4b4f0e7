//! Replays (gold, prediction, expected) triples and prints every deviation: in the strict mode, in the math-verify mode,
//! and with the extraction of the latter and the comparison of the former.
//!
//! Argument: the file that `bench/answers/math_verify_triples.py` writes.

use mathesis_reasoning::answers::{Mode, Options, check, extract};
use serde_json::Value;

fn main() {
    let path = std::env::args().nth(1).expect("a file of triples");
    let text = std::fs::read_to_string(path).expect("the file is readable");
    let triples: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let rules = [
        ("strict", Mode::Strict, Mode::Strict),
        ("math-verify", Mode::MathVerify, Mode::MathVerify),
        ("strict on answers found by math-verify", Mode::MathVerify, Mode::Strict),
    ];
    for (name, extraction, equality) in rules {
        let mut agreed = 0;
        for triple in &triples {
            let found = |field: &str| {
                let text = triple[field].as_str().unwrap_or_default();
                // A text in dollars is an answer as it stands.
                let inner = text.trim().trim_matches('$');
                let is_answer =
                    extraction == Mode::Strict && !inner.contains('$') && !inner.contains("boxed");
                if is_answer && inner.len() + 2 <= text.len() {
                    return inner.to_string();
                }
                extract(text, &Options::of(extraction)).map_or_else(|| text.to_string(), |found| found.answer)
            };
            let (gold, answer) = (found("gold"), found("answer"));
            let verdict = check(&gold, &answer, &Options::of(equality));
            if Some(verdict.is_equal()) == triple["expected"].as_bool() {
                agreed += 1;
            } else {
                println!("{name} {}: {gold:?} | {answer:?}: {}", triple["id"], verdict.reason);
            }
        }
        println!("{name}: {agreed} of {}", triples.len());
    }
}
