//! CARP against the published figures: statistics, expression accuracy of the worked solutions, and the replay of the
//! published tool calls, with their times.
//!
//! ```text
//! cargo run --release -p mathesis-reasoning --example carp -- DATA_FOLDER [--list]
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mathesis_reasoning::answers::{Mode, Options, check};
use mathesis_reasoning::suites::carp::replay::{Agreement, ToolCall};
use mathesis_reasoning::suites::carp::{Failures, Solution, Statistics, expression_accuracy, read_records};
use mathesis_reasoning::tools::algebra::{Argument, TOOLS, call};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("the folder of the data is missing")?;
    let is_listed = arguments.iter().any(|a| a == "--list");
    for split in ["test", "dev"] {
        let (records, bad) =
            read_records(&std::fs::read_to_string(format!("{folder}/carp_zh_{split}.json"))?);
        let statistics = Statistics::of(&records);
        println!("{split}: {} records, {} bad", records.len(), bad.len());
        for fault in &bad {
            println!("  {fault}");
        }
        for (name, (mean, largest)) in [
            ("nodes", statistics.nodes),
            ("edges", statistics.edges),
            ("targets", statistics.targets),
            ("candidates", statistics.candidates),
        ] {
            println!("  {name}: mean {mean:.3}, largest {largest}");
        }
        println!("  {} labels: {:?}", statistics.labels.len(), statistics.labels);
        if split == "test" {
            let options = Options::of(Mode::Carp);
            let equal = records.iter().filter(|r| check(&r.answer, &r.answer, &options).is_equal()).count();
            println!("  answers equal to themselves: {equal}");
            let start = Instant::now();
            let scores: Vec<_> =
                records.iter().map(|r| expression_accuracy(r, Solution::Text(&r.steps), "-10000")).collect();
            let time = start.elapsed();
            let mean = scores.iter().map(|score| score.value()).sum::<f64>() / scores.len() as f64;
            println!("  expression accuracy {mean:.6}, {:?}, {time:?}", Failures::of(&scores));
        }
    }

    let mut counts: BTreeMap<(String, Agreement), usize> = BTreeMap::new();
    let mut times: BTreeMap<String, (Duration, Duration, usize)> = BTreeMap::new();
    let calls = std::fs::read_to_string(format!("{folder}/tool_calls.jsonl"))?;
    let calls: Vec<ToolCall> = calls.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    // Once before, so that patterns are compiled.
    if let Some(first) = calls.first() {
        let _ = first.replay();
    }
    for call in &calls {
        let start = Instant::now();
        let outcome = call.replay();
        let time = start.elapsed();
        let entry = times.entry(call.tool.clone()).or_default();
        *entry = (entry.0 + time, entry.1.max(time), entry.2 + 1);
        let agreement = call.compare(&outcome);
        *counts.entry((call.tool.clone(), agreement)).or_default() += 1;
        if is_listed && !agreement.is_agreed() {
            println!("{agreement:?} {} {} {:?}", call.id, call.tool, call.args);
            println!("   published: {:?} {:?}", call.output, call.error);
            println!("   here:      {outcome:?}");
        }
    }
    let agreed: usize = counts.iter().filter(|((_, a), _)| a.is_agreed()).map(|(_, n)| n).sum();
    for ((tool, agreement), count) in &counts {
        println!("{tool:16} {agreement:?} {count}");
    }
    for (tool, (total, longest, count)) in &times {
        println!("{tool:16} mean {:?}, longest {longest:?}", *total / *count as u32);
    }
    let total: Duration = times.values().map(|(total, _, _)| *total).sum();
    println!("{agreed} of {} agree; {total:?} in all, mean {:?}", calls.len(), total / calls.len() as u32);
    for (name, input) in hostile() {
        let mut longest = (Duration::ZERO, "");
        let mut outcomes = 0;
        for tool in TOOLS {
            let text = Argument::Text(input.clone());
            let arguments = match tool {
                "solve_multi_eq" | "solve_multi_ineq" => {
                    vec![Argument::List(vec![input.clone(), "x = y".to_string()])]
                }
                "substitute" => vec![text, Argument::List(vec!["x = 2".to_string()])],
                "collect" | "partial_solve" => vec![text, Argument::Text("x".to_string())],
                "mod" | "base_conversion" => vec![text, Argument::Text("7".to_string())],
                "is_equal" => vec![text.clone(), text],
                _ => vec![text],
            };
            let start = Instant::now();
            outcomes += usize::from(call(tool, &arguments).is_ok());
            longest = longest.max((start.elapsed(), tool));
        }
        let (time, tool) = longest;
        println!(
            "hostile: {name:22} longest {time:?} ({tool}), {outcomes} of {} tools have an output",
            TOOLS.len()
        );
    }
    Ok(())
}

/// Inputs that must get an error text, and soon.
fn hostile() -> Vec<(&'static str, String)> {
    vec![
        ("unbalanced", "\\frac { 1 } { 2".to_string()),
        ("deep", format!("{}x{} = 1", "( ".repeat(5000), " )".repeat(5000))),
        ("100,000 characters", "x + ".repeat(25_000) + "1 = 0"),
        ("x^(10^9)", "x ^ { 1000000000 } - 1 = 0".to_string()),
        ("(x+1)^(10^9)", "( x + 1 ) ^ { 1000000000 } = 2".to_string()),
        ("powers of powers", "( ( ( x + y + z + 1 ) ^ { 99 } ) ^ { 99 } ) ^ { 99 } = 0".to_string()),
        ("9^9^9^9", "9 ^ { 9 ^ { 9 ^ { 9 } } } = x ^ { 2 } - x".to_string()),
        ("division by zero", "\\frac { 1 } { 0 } = x".to_string()),
        ("a quintic", "x ^ { 5 } - x - 1 = 0".to_string()),
        ("nested roots", format!("{} 2 {} = x", "\\sqrt { 2 + ".repeat(60), "}".repeat(60))),
        ("many roots", (2..40).map(|n| format!("\\sqrt {{ x + {n} }} + ")).collect::<String>() + "x = 0"),
        (
            "high degrees",
            "( x ^ { 100 } + x + 1 ) ( x ^ { 99 } + 7 x + 3 ) = ( x ^ { 3 } - 5 ) ^ { 30 }".to_string(),
        ),
        (
            "fractions in three variables",
            "\\frac { 1 } { ( x + y + z + 1 ) ^ { 12 } + x } + \\frac { x } { ( x - 2 y + 3 z + 5 ) ^ { 11 } + y } = 1".to_string(),
        ),
        ("a dense factor", "( x + y + 1 ) ^ { 18 } + ( x - y + 3 ) ^ { 17 } + 1".to_string()),
        ("many absolute values", (2..30).map(|n| format!("| x - {n} | + ")).collect::<String>() + "x = 100"),
    ]
}
