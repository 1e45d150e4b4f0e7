//! Replays (gold, prediction, expected) triples in the strict and in the math-verify mode, and prints every deviation.
//!
//! Argument: the file that `bench/answers/math_verify_triples.py` writes.

use mathesis_reasoning::answers::{Mode, Options, check, extract};
use serde_json::Value;

fn main() {
    let path = std::env::args().nth(1).expect("a file of triples");
    let text = std::fs::read_to_string(path).expect("the file is readable");
    let triples: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    for mode in [Mode::Strict, Mode::MathVerify] {
        let options = Options::of(mode);
        let mut agreed = 0;
        for triple in &triples {
            let field = |name: &str| triple[name].as_str().unwrap_or_default();
            let answer =
                |text: &str| extract(text, &options).map_or_else(|| text.to_string(), |found| found.answer);
            // A whole text in dollars is an answer as it stands.
            let found = |text: &str| {
                let inner = text.trim().trim_matches('$');
                let is_answer = mode == Mode::Strict && !inner.contains('$') && !inner.contains("boxed");
                if is_answer && inner.len() + 2 <= text.len() { inner.to_string() } else { answer(text) }
            };
            let (gold, answer) = (found(field("gold")), found(field("answer")));
            let verdict = check(&gold, &answer, &options);
            if Some(verdict.is_equal()) == triple["expected"].as_bool() {
                agreed += 1;
            } else {
                println!("{} {}: {gold:?} | {answer:?}: {}", mode.name(), triple["id"], verdict.reason);
            }
        }
        println!("{}: {agreed} of {}", mode.name(), triples.len());
    }
}
