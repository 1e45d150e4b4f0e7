//! The times of judging, as one line of JSON; `bench/answers` compares them with Math-Verify's.
//!
//! Arguments: the files `math_test_answers.jsonl` and `votes.jsonl`.

use std::time::Instant;

use mathesis_reasoning::answers::{Options, check, extract};
use rayon::prelude::*;
use serde_json::{Value, json};

fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file is readable");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn timed<T>(work: impl Fn() -> T) -> (f64, T) {
    let mut times = Vec::new();
    let mut result = None;
    for _ in 0..5 {
        let start = Instant::now();
        result = Some(work());
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (times[2], result.expect("five rounds"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [answers, votes] = arguments.as_slice() else { panic!("two files are needed") };
    let options = Options::default();
    let answers: Vec<String> =
        lines(answers).iter().map(|line| line["answer"].as_str().unwrap_or_default().to_string()).collect();
    let written: Vec<String> =
        answers.iter().map(|a| format!("${}$ ", a.replace("\\frac", "\\dfrac"))).collect();
    let (identical, count) = timed(|| answers.iter().filter(|a| check(a, a, &options).is_equal()).count());
    let pairs = || answers.iter().zip(&written);
    let (read, read_count) = timed(|| pairs().filter(|(a, b)| check(a, b, &options).is_equal()).count());
    let samples: Vec<(String, String)> = lines(votes)
        .iter()
        .flat_map(|row| {
            let gold = row["gt"].as_str().unwrap_or_default().to_string();
            let texts = row["code"].as_array().cloned().unwrap_or_default();
            texts.into_iter().map(move |text| (gold.clone(), text.as_str().unwrap_or_default().to_string()))
        })
        .collect();
    let judge = |(gold, text): &(String, String)| {
        extract(text, &options).is_some_and(|found| check(gold, &found.answer, &options).is_equal())
    };
    let (outputs, correct) = timed(|| samples.iter().filter(|sample| judge(sample)).count());
    let start = Instant::now();
    let full =
        (0..400usize).into_par_iter().map(|_| samples.iter().filter(|s| judge(s)).count()).sum::<usize>();
    let full_time = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "identical_s": identical, "identical": count,
            "rewritten_s": read, "rewritten": read_count,
            "outputs_s": outputs, "outputs_correct": correct,
            "full_scale_s": full_time, "full_scale_samples": 400 * samples.len(), "full_scale_correct": full,
        })
    );
}
