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

/// The data of the example of CARP, which stand in the folder of examples.
fn examples() -> String {
    example("")
}

#[track_caller]
fn algebra(folder: &Path, arguments: &[&str]) -> Value {
    let pupil = format!("scripted:{}", example("carp/pupil.toml"));
    let fixed = ["eval", "carp", "--data", &examples(), "--set", "language=en", "--model", &pupil, "--json"];
    let output = mathesis(folder, &[&fixed, arguments].concat());
    assert!(output.status.success(), "{}", unbroken(&output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn deliberation_shows_every_turn_and_pays_once() {
    let folder = TempDir::new().expect("a folder");
    let record = algebra(folder.path(), &["--strategy", "deli", "--output", "a"]);
    let result = &record["result"];
    let ended = |name: &str| result["trajectories"]["ended"][name]["replies"].as_u64();
    assert_eq!([ended("converged-1"), ended("converged-2"), ended("unchanged")], [Some(2), Some(1), Some(1)]);
    // 1 + 3, 1 + 3 + 3, 1 + 4 + 1, and 1 + 3 + 3 of which the last tool check repeats the one before.
    assert_eq!(result["trajectories"]["calls"], 4 + 7 + 6 + 7);
    assert_eq!(result["verdicts"]["right"], 4);
    assert_eq!(result["expressions"]["accuracy"], 1.0);
    assert_eq!(result["trajectories"]["tools"]["think"]["calls"], 1);
    let page = read(folder.path().join("a/report.html"));
    for expected in
        ["Fail@first", "tool check: final-answer", "text check", "solve_ineq", "ended converged-2"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    // The same command asks nothing and writes the same.
    let again = algebra(folder.path(), &["--strategy", "deli", "--output", "b", "--concurrency", "1"]);
    assert_eq!(again["spent"], record["spent"]);
    for file in ["metrics.json", "records.jsonl", "report.html"] {
        assert_eq!(
            read(folder.path().join("a").join(file)),
            read(folder.path().join("b").join(file)),
            "{file}"
        );
    }
    // Judged again from the records, without a model.
    let replies = folder.path().join("a/records.jsonl").display().to_string();
    let output = mathesis(
        folder.path(),
        &["eval", "carp", "--data", &examples(), "--set", "language=en", "--replies", &replies, "--json"],
    );
    let judged: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(judged["result"], record["result"]);
}

#[test]
fn the_strategies_of_carp_differ_on_the_example() {
    let folder = TempDir::new().expect("a folder");
    let first = algebra(folder.path(), &["--set", "exemplars=fixed"]);
    // Of the three wrong answers one names the expression before the last.
    assert_eq!(first["result"]["verdicts"]["right"], 1);
    let failures = &first["result"]["expressions"]["failures"];
    assert_eq!((&failures["first"], &failures["last"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(first["result"]["trajectories"], Value::Null);
    let tools = algebra(folder.path(), &["--strategy", "react"]);
    assert_eq!((&tools["result"]["verdicts"]["right"], &tools["spent"]["calls"]), (&4.into(), &10.into()));
    let dry =
        ["eval", "carp", "--data", &examples(), "--set", "language=en", "--strategy", "deli", "--dry-run"];
    let pupil = format!("scripted:{}", example("carp/pupil.toml"));
    let output = mathesis(folder.path(), &[dry.as_slice(), &["--model", &pupil]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("a sample takes at most 94") && text.contains("[user]"), "{text}");
    let wrong = ["eval", "carp", "--data", &examples(), "--model", &pupil];
    for (setting, expected) in [
        ("checks=tools", "one of both, tool, text"),
        ("exemplar=fixed", "did you mean `exemplars`?"),
        ("words=none.toml", "none.toml"),
        ("split=dev", "carp_zh_dev.jsonl"),
    ] {
        let output =
            mathesis(folder.path(), &[&wrong, &["--strategy", "deli", "--set", setting][..]].concat());
        assert_eq!(output.status.code(), Some(2), "{setting}");
        assert!(unbroken(&output).contains(expected), "{setting}: {}", unbroken(&output));
    }
}

/// Every end of a program is in the record; judging again runs none.
#[test]
#[cfg(target_os = "linux")]
fn programs_are_run_once_and_their_ends_are_told_apart() {
    let folder = TempDir::new().expect("a folder");
    let programmer = format!("scripted:{}", example("word-problems/programmer.toml"));
    let strategy = ["--strategy", "program", "--set", "seconds=1"];
    let record = run(folder.path(), &[&strategy[..], &["--model", &programmer, "--output", "a"]].concat());
    let ways = &record["result"]["trajectories"];
    let ended = |name: &str| ways["ended"][name]["replies"].as_u64().unwrap_or(0);
    let names = ["ran", "no-result", "no-program", "syntax-error", "exception", "timeout"];
    let counts = names.map(ended);
    let unavailable = ended("unavailable");
    // A syntax that the built-in interpreter does not know goes to python3, where there is one.
    if unavailable == 0 {
        assert_eq!(counts, [5, 3, 1, 1, 1, 1], "{ways}");
    } else {
        assert_eq!(counts.iter().sum::<u64>() + unavailable, 12, "{ways}");
        assert_eq!((counts[0], counts[5]), (5, 1), "{ways}");
    }
    let verdicts = &record["result"]["verdicts"];
    assert_eq!((verdicts["right"].as_u64(), verdicts["error"].as_u64()), (Some(5), Some(unavailable)));
    let rules = &record["result"]["rules"];
    for rule in ["program: printed", "program: solution()", "program: answer"] {
        assert!(rules[rule]["right"].as_u64() > Some(0), "{rule}: {rules}");
    }
    let lines = read(folder.path().join("a/records.jsonl"));
    assert!(lines.contains("NameError") || unavailable > 0, "{lines}");
    // Judging again runs nothing: what the record says of a program counts, whatever the program would say.
    let replies = folder.path().join("a/records.jsonl");
    let judge = |output: &str| {
        let path = replies.display().to_string();
        run(folder.path(), &[&strategy[..], &["--replies", &path, "--output", output]].concat())
    };
    assert_eq!(judge("b")["result"], record["result"]);
    let other = lines.replace("\"answer\":\"149\"", "\"answer\":\"150\"");
    assert_ne!(other, lines);
    std::fs::write(&replies, other).expect("writable");
    assert_eq!(judge("c")["result"]["verdicts"]["right"], 4);
}

/// A task of lm-evaluation-harness, with replies by its prompts.
#[test]
fn a_task_file_runs_with_its_own_prompts_and_figures() {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("test.jsonl", "{\"q\": \"1 + 1?\", \"a\": \"2\"}\n{\"q\": \"2 + 2?\", \"a\": \"4\"}\n");
    let task = "
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl}}
test_split: test
doc_to_text: \"Q: {{q}}\\nA:\"
doc_to_target: a
filter_list:
  - {name: number, filter: [{function: regex, regex_pattern: '[0-9]+'}, {function: take_first}]}
";
    write("sums.yaml", task);
    write("model.toml", "answers = \"answers.jsonl\"\n");
    let line =
        |prompt: &str, text: &str| serde_json::json!({"prompt": prompt, "answers": [text]}).to_string();
    write(
        "answers.jsonl",
        &[line("Q: 1 + 1?\nA:", "It is 2."), line("Q: 2 + 2?\nA:", "It is 5.")].join("\n"),
    );
    let arguments = ["eval", "sums.yaml", "--model", "scripted:model.toml", "--output", "run", "--json"];
    let output = mathesis(folder.path(), &arguments);
    assert!(output.status.success(), "{}", unbroken(&output));
    let record: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(record["result"]["accuracy"]["value"], 0.5);
    let figures: Value = serde_json::from_str(&read(folder.path().join("run/lm_eval.json"))).expect("JSON");
    assert_eq!((&figures[0]["metric"], &figures[0]["filter"]), (&"exact_match".into(), &"number".into()));
    assert_eq!((figures[0]["value"].as_f64(), figures[0]["standard_error"].as_f64()), (Some(0.5), Some(0.5)));
    // The records hold no times; a file beside them does.
    let timings = read(folder.path().join("run/timings.jsonl"));
    assert_eq!(timings.lines().count(), 2);
    assert!(!read(folder.path().join("run/records.jsonl")).contains("seconds"));

    write("wrong.yaml", &task.replace("doc_to_text:", "doc_to_txt:"));
    let output = mathesis(folder.path(), &["eval", "wrong.yaml", "--model", "scripted:model.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(unbroken(&output).contains("`doc_to_text` is missing"), "{}", unbroken(&output));
}

/// Options by their letters, scored and not written.
#[test]
fn the_likeliest_option_is_the_answer() {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    std::fs::create_dir(folder.path().join("aqua")).expect("made");
    let line = |question: &str, correct: &str| {
        serde_json::json!({"question": question, "options": ["A)5", "B)6", "C)7"], "rationale": "", "correct": correct}).to_string()
    };
    write("aqua/test.json", &[line("3 + 4?", "C"), line("3 + 3?", "A")].join("\n"));
    write("model.toml", "[[rule]]\ncontains = \"Answer:\"\nlikelihoods = [-2.5, -3.0, -0.5]\n");
    let arguments =
        ["eval", "aqua", "--data", ".", "--model", "scripted:model.toml", "--strategy", "log-likelihood"];
    let output = mathesis(folder.path(), &[&arguments[..], &["--output", "run", "--json"]].concat());
    assert!(output.status.success(), "{}", unbroken(&output));
    let record: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(record["result"]["accuracy"]["value"], 0.5);
    assert_eq!(record["result"]["options"]["by_character"]["value"], 0.5);
    let first: Value =
        serde_json::from_str(read(folder.path().join("run/records.jsonl")).lines().next().unwrap()).unwrap();
    assert_eq!(first["replies"][0]["options"][2]["log_likelihood"], -0.5);
    assert_eq!(first["grades"][0]["answer"], "C");
    assert!(read(folder.path().join("run/report.html")).contains("log-likelihood"));
    // The same command asks nothing again, and an option is one call of its own kind.
    let output = mathesis(folder.path(), &[&arguments[..], &["--samples", "2"]].concat());
    assert!(unbroken(&output).contains("likelihoods are not drawn"), "{}", unbroken(&output));
}
