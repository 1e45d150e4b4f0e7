//! `eval` and `compare` from outside, on the example that needs no data and no server.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{empty, example, mathesis, unbroken};

fn suite() -> String {
    example("word-problems/suite.toml")
}

fn pupil() -> String {
    format!("scripted:{}", example("word-problems/pupil.toml"))
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, &[&["eval", &suite(), "--json"], arguments].concat());
    assert!(output.status.success(), "{}", unbroken(&output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn the_example_runs_and_every_outcome_is_there() {
    let folder = TempDir::new().expect("a folder");
    let record = run(folder.path(), &["--model", &pupil()]);
    let verdicts = &record["result"]["verdicts"];
    let counts =
        ["right", "wrong", "no-answer", "truncated", "refused", "error"].map(|name| verdicts[name].as_u64());
    assert_eq!(counts.map(Option::unwrap), [7, 2, 1, 1, 1, 0]);
    assert_eq!(
        (record["folder"].as_str(), record["spent"]["calls"].as_u64()),
        (Some("runs/word-problems-pupil"), Some(11))
    );
    let runs = folder.path().join("runs/word-problems-pupil");
    assert_eq!(read(runs.join("records.jsonl")).lines().count(), 12);
    let page = read(runs.join("report.html"));
    assert!(
        page.contains("<math")
            && page.contains("<mark>")
            && !page.contains("<script")
            && !page.contains("http://")
    );
    // Failures come first.
    assert!(page.find("</span> roots <").unwrap() < page.find("</span> pears <").unwrap());
}

#[test]
fn the_same_replies_give_the_same_files_and_other_rules_ask_nothing() {
    let folder = TempDir::new().expect("a folder");
    run(folder.path(), &["--model", &pupil(), "--samples", "2", "--concurrency", "1", "--output", "a"]);
    run(folder.path(), &["--model", &pupil(), "--samples", "2", "--calls", "other", "--output", "b"]);
    let path = |name: &str| folder.path().join(name);
    for file in ["metrics.json", "records.jsonl", "report.html"] {
        assert_eq!(read(path("a").join(file)), read(path("b").join(file)), "{file}");
    }
    let replies = path("a/records.jsonl").display().to_string();
    let judged = run(folder.path(), &["--replies", &replies, "--set", "mode=hendrycks", "--output", "c"]);
    assert_eq!(judged["model"], Value::Null);
    let output = mathesis(folder.path(), &["compare", "a", "c", "--json"]);
    let comparison: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(comparison["same_replies"], true);
    assert!(comparison["first"].as_f64() > comparison["second"].as_f64());
    let output = mathesis(folder.path(), &["compare", "a", "b"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("+0.00 points"), "{output:?}");
}

/// Replies of the pupil, judged by two modes and set beside themselves.
#[test]
fn several_runs_and_two_graders_are_compared() {
    let folder = TempDir::new().expect("a folder");
    for samples in ["1", "2"] {
        run(folder.path(), &["--model", &pupil(), "--samples", samples, "--output", samples]);
    }
    let told = |arguments: &[&str]| {
        let output = mathesis(folder.path(), arguments);
        assert!(output.status.success(), "{}", unbroken(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let many = told(&["compare", "1", "2", "1"]);
    assert!(many.contains("2 comparisons") && many.contains("corrected"), "{many}");
    let many: Value = serde_json::from_str(&told(&["compare", "1", "2", "1", "--json"])).expect("JSON");
    assert_eq!((many[0]["common"].as_u64(), many[1]["same_replies"].as_bool()), (Some(12), Some(true)));

    let audit = told(&["compare", "2", "--modes", "strict,hendrycks"]);
    assert!(audit.contains("announced answer") && audit.contains("right: 149"), "{audit}");
    let audit: Value =
        serde_json::from_str(&told(&["compare", "2", "--modes", "strict,hendrycks", "--json"]))
            .expect("JSON");
    let rules = audit["rules"].as_array().expect("pairs of rules");
    assert_eq!(rules.iter().filter_map(|pair| pair["replies"].as_u64()).sum::<u64>(), 24);
    for (arguments, expected) in [
        (vec!["compare", "1"], "required"),
        (vec!["compare", "1", "none"], "none is no run"),
        (vec!["compare", "1", "--modes", "strict"], "expected two modes"),
        (vec!["compare", "1", "--modes", "strict,strikt"], "there is no mode `strikt`"),
        (vec!["compare", "1", "2", "--modes", "strict,qwen25"], "cannot be used"),
    ] {
        let output = mathesis(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(unbroken(&output).contains(expected), "{arguments:?}: {}", unbroken(&output));
    }
}

/// What lm-eval and inspect write themselves; `bench/imports` makes the logs.
#[test]
fn logs_of_other_harnesses_are_judged() {
    let Some(logs) = std::env::var_os("MATHESIS_PEER_LOGS") else {
        println!("skipped: MATHESIS_PEER_LOGS does not name a folder with logs of bench/imports");
        return;
    };
    let folder = TempDir::new().expect("a folder");
    // Of "Answer: 2, 3" the strict mode takes the number alone: two replies are wrong.
    for (name, expected) in [("lm-eval.jsonl", [22, 2, 0, 0, 0]), ("inspect.eval", [20, 2, 0, 1, 1])] {
        let log = Path::new(&logs).join(name).display().to_string();
        let record = run(folder.path(), &["--replies", &log, "--output", name]);
        let verdicts = &record["result"]["verdicts"];
        let counts =
            ["right", "wrong", "no-answer", "truncated", "refused"].map(|name| verdicts[name].as_u64());
        assert_eq!(counts.map(Option::unwrap), expected, "{name}");
    }
}

#[test]
fn a_dry_run_shows_the_first_prompt_and_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let output = mathesis(
        folder.path(),
        &["eval", &suite(), "--model", &pupil(), "--dry-run", "--set", "stop=\n\n", "--samples", "3"],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in ["24 pears", "stop = \"\\n\\n\"", "12, 3 samples of each", "tokens"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(empty(folder.path()));
}

#[test]
fn wrong_input_is_explained_and_nothing_is_asked() {
    let folder = TempDir::new().expect("a folder");
    let suite = suite();
    let pupil = pupil();
    for (arguments, expected) in [
        (vec!["gsm9k", "--model", &pupil], "no suite is called `gsm9k`"),
        (vec![&suite], "--model says what is asked"),
        (vec![&suite, "--model", "gpt"], "names no model"),
        (vec![&suite, "--model", &pupil, "--set", "temprature=1"], "did you mean `temperature`?"),
        (vec![&suite, "--model", &pupil, "--set", "mode"], "expected KEY=VALUE"),
        (vec![&suite, "--model", &pupil, "--strategy", "few"], "no strategy `few`"),
        (vec![&suite, "--model", &pupil, "--limit", "0"], "leaves no problem"),
        (vec!["gsm8k", "--model", &pupil, "--data", "."], "no test.jsonl"),
        (vec![&suite, "--replies", "none.jsonl"], "none.jsonl"),
    ] {
        let output = mathesis(folder.path(), &[vec!["eval"], arguments.clone()].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", unbroken(&output));
        assert!(unbroken(&output).contains(expected), "{arguments:?}: {}", unbroken(&output));
    }
    assert!(empty(folder.path()));
}
