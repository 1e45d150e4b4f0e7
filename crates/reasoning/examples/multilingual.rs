//! Times of the last-number rule, and the report over languages of stored replies, for comparisons with other programs
//! (`bench/multilingual`).
//!
//! `last-number FILE ROUNDS`: JSON lines with `reference` and `reply`, judged over and over on one core; times are those that the
//! core spent on it, which other work on the machine hardly changes.
//! `languages FILE`: the same lines with `item` and `language`, as a report over languages.

use std::time::Instant;

use mathesis_reasoning::answers::{Language, Mode, Options, check, extract};
use mathesis_reasoning::suites::languages::languages;
use mathesis_reasoning::suites::{Grader, Problem, Record, Reply, grade};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    item: usize,
    language: Option<Language>,
    reference: String,
    reply: String,
}

/// The seconds that this thread has been on a core, where the system tells (Linux).
fn on_core() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let lines = |path: &str| -> Vec<Line> {
        let text = std::fs::read_to_string(path).expect("the file is readable");
        text.lines().map(|line| serde_json::from_str(line).expect("a line as described")).collect()
    };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["last-number", file, rounds] => {
            let lines = lines(file);
            let rounds: usize = rounds.parse().expect("a number of rounds");
            let run = |mode: Mode, rounds: usize| {
                let options = Options::of(mode);
                let mut right = 0;
                let (start, before) = (Instant::now(), on_core());
                for _ in 0..rounds {
                    for line in &lines {
                        right +=
                            usize::from(extract(&line.reply, &options).is_some_and(|found| {
                                check(&line.reference, &found.answer, &options).is_equal()
                            }));
                    }
                }
                let wall = start.elapsed().as_secs_f64();
                (on_core().zip(before).map_or(wall, |(now, before)| now - before), wall, right)
            };
            run(Mode::MathOctopus, 1);
            let (seconds, wall, right) = run(Mode::MathOctopus, rounds);
            let (strict_seconds, _, strict_right) = run(Mode::Strict, 4);
            let options = Options::of(Mode::MathOctopus);
            let answers: Vec<Option<String>> =
                lines.iter().map(|line| extract(&line.reply, &options).map(|found| found.answer)).collect();
            println!(
                "{}",
                json!({
                    "replies": rounds * lines.len(), "seconds": seconds, "wall_seconds": wall, "right": right, "answers": answers,
                    "strict_replies": 4 * lines.len(), "strict_seconds": strict_seconds, "strict_right": strict_right,
                })
            );
        }
        ["languages", file] => {
            let mut records: Vec<Record> = (lines(file).into_iter())
                .map(|line| {
                    let code = line.language.expect("a language").code();
                    let problem = Problem {
                        id: format!("{code}/{}", line.item),
                        reference: line.reference,
                        language: line.language,
                        categories: [("language".to_string(), code.to_string())].into(),
                        ..Problem::default()
                    };
                    Record::new(&problem, String::new(), line.language, vec![Reply::complete(line.reply)])
                })
                .collect();
            grade::grade(&mut records, &Grader::new(Mode::MathOctopus));
            let scores: Vec<f64> =
                records.iter().map(|r| f64::from(u8::from(r.grades[0].verdict.name() == "right"))).collect();
            println!("{}", json!({ "scores": scores, "report": languages(&records) }));
        }
        _ => panic!("last-number FILE ROUNDS, or languages FILE"),
    }
}
