//! `judge` from outside, on the examples that need no server.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{empty, example, mathesis, unbroken};

fn judge(name: &str) -> String {
    format!("scripted:{}", example(&format!("judging/{name}.toml")))
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, &[&["judge", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", unbroken(&output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn two_judges_are_calibrated_corrected_and_compared() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let task = example("judging/equal.toml");
    let (lenient, exact) = (judge("lenient"), judge("exact"));
    let both = [&task as &str, "--judge", &lenient, "--judge", &exact, "--repeats", "3"];
    let record = run(at, &[&both[..], &["--output", "a"]].concat());
    let judges = &record["result"]["judges"];
    assert_eq!(
        (record["result"]["items"].as_u64(), record["result"]["labelled"].as_u64()),
        (Some(24), Some(14))
    );
    let yes = |judge: usize| &judges[judge]["calibration"]["yes"];
    // Of 10 replies without a label 6 are right; the lenient judge accepts two that are rounded or too long.
    assert_eq!((yes(0)["said"]["value"].as_f64(), yes(1)["said"]["value"].as_f64()), (Some(0.8), Some(0.5)));
    for judge in [0, 1] {
        let interval = &yes(judge)["corrected"]["interval"];
        let (low, high) = (interval["low"].as_f64().unwrap(), interval["high"].as_f64().unwrap());
        assert!(low <= 0.6 && 0.6 <= high, "{interval}");
        assert!((yes(judge)["corrected"]["share"].as_f64().unwrap() - 0.6).abs() < 0.11, "{}", yes(judge));
    }
    // Malformed once, asked for again.
    assert_eq!((judges[0]["malformed"].as_u64(), judges[0]["unread"].as_u64()), (Some(1), Some(0)));
    assert!(judges[1]["repeats"]["alpha"].as_f64().unwrap() < 1.0);
    assert_eq!(record["result"]["agreement"]["raters"], json!(["lenient", "exact"]));
    assert_eq!(record["spent"][0]["calls"].as_u64(), Some(25));
    assert_eq!(read(at.join("a/verdicts.jsonl")).lines().count(), 48);
    let first: Value =
        serde_json::from_str(read(at.join("a/verdicts.jsonl")).lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["id"], &first["verdict"], &first["gold"]),
        (&"half".into(), &"yes".into(), &"yes".into())
    );
    assert_eq!(first["repeats"].as_array().unwrap().len(), 3);
    let page = read(at.join("a/report.html"));
    assert!(page.contains("sensitivity") && !page.contains("<script") && !page.contains("http://localhost"));

    // The same command asks nothing and writes the same, with any number of calls at once.
    let output = mathesis(at, &[&["judge"], &both[..], &["--dry-run"]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("lenient: 0 calls, 72 replies are there already"), "{told}");
    assert!(told.contains("the first prompt (half)") && told.contains("Write 50 %"), "{told}");
    run(at, &[&both[..], &["--output", "b", "--concurrency", "1"]].concat());
    run(at, &[&both[..], &["--run", "c", "--calls", "other"]].concat());
    for other in ["b", "c"] {
        for file in ["metrics.json", "verdicts.jsonl", "report.html"] {
            assert_eq!(read(at.join("a").join(file)), read(at.join(other).join(file)), "{other}/{file}");
        }
    }
    let output = mathesis(at, &[&["judge"], &both[..]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in
        ["yes, corrected", "sensitivity", "repeats agree", "alpha", "kappa", "all judges together"]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn a_hasty_judge_is_seen_to_prefer_the_first_place() {
    let folder = TempDir::new().expect("a folder");
    let record = run(folder.path(), &[&example("judging/better.toml"), "--judge", &judge("hasty")]);
    let hasty = &record["result"]["judges"][0];
    let position = &hasty["position"];
    assert_eq!((position["in_both_orders"].as_u64(), position["consistent"].as_u64()), (Some(8), Some(4)));
    // 4 cases say the first in both orders, 3 the right one in both, and 1 a tie.
    assert_eq!(
        (position["decided"].as_u64(), position["first"]["value"].as_f64()),
        (Some(14), Some(11.0 / 14.0))
    );
    assert_eq!((&position["test"]["only_first"], &position["test"]["exact"]), (&4.into(), &0.125.into()));
    let counts: Vec<_> =
        hasty["verdicts"]["shares"].as_array().unwrap().iter().map(|share| share["items"].as_u64()).collect();
    assert_eq!(counts, [Some(1), Some(5), Some(2)]);
    assert_eq!(hasty["calibration"]["accuracy"]["value"].as_f64(), Some(0.625));
}

/// The replies of a benchmark, judged for correctness and in pairs, with the checker as gold and as a rater.
#[test]
fn finished_runs_are_judged() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let pupil = format!("scripted:{}", example("word-problems/pupil.toml"));
    let suite = example("word-problems/suite.toml");
    for samples in ["1", "2"] {
        let arguments =
            ["eval", &suite, "--model", &pupil, "--samples", samples, "--output", samples, "--quiet"];
        assert!(mathesis(at, &arguments).status.success());
    }
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).expect("written");
    write("yes.toml", "[[rule]]\nanswers = ['{\"verdict\": \"yes\"}']\n");
    write("tie.toml", "[[rule]]\nanswers = ['{\"verdict\": \"tie\"}']\n");
    write("task.toml", "kind = 'correctness'\nruns = ['1']\nchecker = 'gold'\n");
    let record = run(at, &["task.toml", "--judge", "scripted:yes.toml", "--output", "judged"]);
    let calibration = &record["result"]["judges"][0]["calibration"];
    // 7 of 12 are right; whoever says yes to all finds these and none of the others.
    assert_eq!(calibration["confusion"], json!([[0, 5, 0], [0, 7, 0]]));
    assert_eq!(calibration["balanced_accuracy"].as_f64(), Some(0.5));
    write("pairs.toml", "kind = 'preference'\nchecker = 'rater'\n");
    let record = run(at, &["pairs.toml", "1", "2", "--judge", "scripted:tie.toml"]);
    assert_eq!(record["result"]["items"].as_u64(), Some(12));
    assert_eq!(record["result"]["agreement"]["pairs"][0]["same"].as_f64(), Some(1.0));
    let record = run(at, &["correctness", "2", "--judge", "scripted:yes.toml"]);
    let counts = ["items", "problems", "labelled"].map(|name| record["result"][name].as_u64());
    assert_eq!(counts, [Some(24), Some(12), Some(0)]);
    assert_eq!(record["folder"], "runs/correctness-judged");
}

#[test]
fn wrong_input_is_explained_and_nothing_is_asked() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let (equal, lenient) = (example("judging/equal.toml"), judge("lenient"));
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).expect("written");
    let refused = |arguments: &[&str], expected: &str| {
        let output = mathesis(at, &[&["judge"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", unbroken(&output));
        assert!(unbroken(&output).contains(expected), "{arguments:?}: {}", unbroken(&output));
    };
    refused(&[&equal], "--judge <MODEL>");
    refused(&[&equal, "--judge", "gpt"], "names no model");
    refused(&[&equal, "--judge", &lenient, "--repeats", "0"], "0 is not in 1..=1000");
    refused(&[&equal, "--judge", &lenient, "--judge", &lenient], "the same judge as");
    refused(&["equal", "--judge", &lenient], "no task is called `equal`");
    refused(&["correctness", "--judge", &lenient], "nothing to judge");
    refused(&["correctness", "none", "--judge", &lenient], "no such file");
    refused(&["correctness", ".", "--judge", &lenient], "no records.jsonl");
    assert!(empty(at));
    write("task.toml", "kind = 'score'\ncategores = ['a', 'b']\n");
    refused(&["task.toml", "--judge", &lenient], "unknown field `categores`");
    write("task.toml", "kind = 'score'\nitems = 'items.jsonl'\ncategories = ['bad', 'good']\n");
    let line = |gold: &str| {
        format!("{{\"id\": \"a\", \"problem\": \"p\", \"reply\": \"r\", \"gold\": \"{gold}\"}}\n")
    };
    write("items.jsonl", &(line("good") + &line("bad")));
    refused(&["task.toml", "--judge", &lenient], "items.jsonl:2: the id `a` is there twice");
    write("items.jsonl", &line("better"));
    refused(&["task.toml", "--judge", &lenient], "gold: \"better\" is none of bad, good");
    write("items.jsonl", "{\"id\": \"a\", \"problem\": \"p\"}\n");
    refused(&["task.toml", "--judge", &lenient], "items.jsonl:1: the field `reply` is missing");
    write("own.jinja", "{{ problem }}");
    write("task.toml", "kind = 'score'\nitems = 'items.jsonl'\ntemplate = 'own.jinja'\n");
    refused(&["task.toml", "--judge", &lenient], "does not show {{ reply }}");
    assert!(!at.join("runs").exists());
}

/// Killed in the middle, the same command goes on, and ends as if nothing had been.
#[test]
fn a_killed_run_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let items: String = (0..120)
        .map(|number| json!({"id": format!("{number}"), "problem": format!("p{number}"), "reply": "1", "reference": "1"}))
        .map(|item| format!("{item}\n"))
        .collect();
    std::fs::write(at.join("items.jsonl"), items).expect("written");
    let script = "latency = 0.03\n[[rule]]\nanswers = ['{\"verdict\": \"yes\"}']\n";
    std::fs::write(at.join("slow.toml"), script).expect("written");
    let arguments = |output: &'static str, calls: &'static str, concurrency: &'static str| {
        [
            "judge",
            "correctness",
            "items.jsonl",
            "--judge",
            "scripted:slow.toml",
            "--quiet",
            "--output",
            output,
            "--calls",
            calls,
            "--concurrency",
            concurrency,
        ]
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_mathesis"))
        .args(arguments("killed", "calls", "1"))
        .current_dir(at)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let begun = Instant::now();
    let written =
        || std::fs::metadata(at.join("calls/judge-slow/calls.sqlite-wal")).map_or(0, |file| file.len());
    while written() < 300_000 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(!at.join("killed").exists());
    let dry = [&arguments("killed", "calls", "1")[..], &["--dry-run"]].concat();
    let told = String::from_utf8_lossy(&mathesis(at, &dry).stdout).into_owned();
    let there = told.split(" calls, ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    assert!(there.is_some_and(|there| (1..120).contains(&there)), "{told}");
    assert!(told.contains(&format!("slow: {} calls", 120 - there.unwrap())), "{told}");
    assert!(mathesis(at, &arguments("killed", "calls", "64")).status.success());
    assert!(mathesis(at, &arguments("whole", "others", "64")).status.success());
    for file in ["metrics.json", "verdicts.jsonl"] {
        assert_eq!(read(at.join("killed").join(file)), read(at.join("whole").join(file)), "{file}");
    }
}
