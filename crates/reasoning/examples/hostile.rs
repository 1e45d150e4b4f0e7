//! Hostile texts in every mode: the longest comparison, the longest extraction, and the peak memory of the process.
//!
//! Memory is what Linux reports as `VmHWM`; invalid UTF-8 is read as a command line or a file would, with replacement.

use std::time::{Duration, Instant};

use mathesis_reasoning::answers::{Mode, Options, check, extract};

fn hostile() -> Vec<(&'static str, String)> {
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        ("a million opening braces", "{".repeat(1_000_000)),
        ("a million nested braces", "{".repeat(500_000) + &"}".repeat(500_000)),
        ("\\frac without arguments", "\\frac".into()),
        ("many \\frac without arguments", "\\frac".repeat(1900)),
        ("10^(10^9)", "10^(10^9)".into()),
        ("10^{10^{9}} against itself plus one", "10^{10^{9}}+1".into()),
        ("a megabyte without an answer", "lorem ipsum ".repeat(87_400)),
        ("a megabyte of dollars", "$ ".repeat(500_000)),
        ("a megabyte of opening brackets", "\\[ \\( ".repeat(170_000)),
        ("bytes that are not UTF-8", String::from_utf8_lossy(&bytes).into_owned()),
        ("backtracking: a^n b", "a".repeat(9_000) + "!"),
        ("many letters with blanks", "a ".repeat(4_900)),
        ("many different factors", (0..2000).map(|n| format!("a_{n} ")).collect()),
        ("many terms", (0..1500).map(|n| format!("+a_{n}")).collect()),
        ("many sines", "\\sin x+".repeat(1_200) + "x"),
        ("backtracking: answer answer ...", "answer: final answer is ".repeat(40_000)),
        ("backtracking: 1 + 1 + ...", "1+".repeat(4_900) + "="),
        ("backtracking: \\text{ \\text{ ...", "\\text{ and ".repeat(900)),
        ("boxes that are not closed", "\\boxed{".repeat(140_000)),
        ("nested roots", "\\sqrt{".repeat(190) + "2" + &"}".repeat(190)),
        ("a tower of powers", "9^".repeat(100) + "9"),
        ("nested factorials", "((((10^9)!)!)!)!".into()),
    ]
}

/// The peak memory of this process in MiB, as Linux reports it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}

fn main() {
    let (mut compared, mut extracted) = ((Duration::ZERO, String::new()), (Duration::ZERO, String::new()));
    for (name, text) in hostile() {
        for mode in Mode::ALL {
            let options = Options::of(mode);
            let before = peak();
            let start = Instant::now();
            extract(&text, &options);
            let time = start.elapsed();
            if time > extracted.0 {
                extracted = (time, format!("{name}, {}", mode.name()));
            }
            for (gold, answer) in [(text.as_str(), "1"), ("10^{10^9}", text.as_str())] {
                let start = Instant::now();
                check(gold, answer, &options);
                let time = start.elapsed();
                if mode == Mode::Strict && time > Duration::from_millis(50) {
                    println!("over the budget: {name}: {time:?}");
                }
                if mode != Mode::Strict && time > Duration::from_secs(1) {
                    println!("slow: {name}, {}: {time:?}", mode.name());
                }
                if time > compared.0 {
                    compared = (time, format!("{name}, {}", mode.name()));
                }
            }
            if peak() > before + 4 {
                println!("memory: {name}, {}: {} to {} MiB", mode.name(), before, peak());
            }
        }
    }
    println!(
        "longest comparison {:?} ({}), longest extraction {:?} ({})",
        compared.0, compared.1, extracted.0, extracted.1
    );
    println!("peak memory: {} MiB", peak());
}
