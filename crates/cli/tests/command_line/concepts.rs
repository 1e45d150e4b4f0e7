//! The suites on misconceptions and counterexamples, and the recipe for proofs, from outside.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{mathesis, unbroken};

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, arguments);
    assert!(output.status.success(), "{}", unbroken(&output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], expected: &str) {
    let output = mathesis(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{}", unbroken(&output));
    assert!(unbroken(&output).contains(expected), "{}", unbroken(&output));
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("writable");
}

fn items() -> String {
    let topic = |id: usize| match id {
        1..=5 => "Number sense",
        6..=22 => "Number operations",
        23..=30 => "Ratios and proportional reasoning",
        31..=34 => "Properties of number and operations",
        35..=42 => "Patterns, relationships, and functions",
        43..=44 => "Algebraic representations",
        45..=48 => "Variables, expressions, and operations",
        _ => "Equations and inequalities",
    };
    let rows: Vec<Value> = (1..=55)
        .flat_map(|id| (1..=4).map(move |example| (id, example)))
        .map(|(id, example)| {
            json!({"Misconception": format!("m{id}"), "Misconception ID": format!("MaE{id:02}"),
                "Topic": topic(id), "Example Number": example, "Question": format!("What is word{id} + {example}?"),
                "Incorrect Answer": format!("word{id}"), "Correct Answer": "r", "Question image": "",
                "Learner Answer image": "", "Correct Answer image": "", "Source": "", "Explanation": ""})
        })
        .collect();
    Value::from(rows).to_string()
}

#[test]
fn misconceptions_run_replay_and_are_reviewed() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    write(at, "data.json", &items());
    let eval = |more: &[&str]| {
        let start = ["eval", "math-misconceptions", "--data", ".", "--json", "--set", "trials=3"];
        run(at, &[&start, more].concat())
    };
    let first = eval(&["--model", "lexical:words", "-o", "first"]);
    // Every pair of examples shares a word that no other misconception has.
    for experiment in ["cross-topic", "topic-constrained"] {
        let scores = &first["result"][experiment]["scores"];
        assert_eq!((scores["decisions"].as_u64(), scores["right"].as_u64()), (Some(165), Some(165)));
    }
    let lines = std::fs::read_to_string(at.join("first/records.jsonl")).expect("records");
    assert_eq!(lines.lines().count(), 3 + 24);
    let again = eval(&["--model", "lexical:words", "-o", "second"]);
    assert_eq!(again["result"], first["result"]);
    let replayed = eval(&["--replies", "first/records.jsonl", "--set", "parser=positional"]);
    assert_eq!(replayed["result"], first["result"]);

    // A log with one wrong decision, and what an expert says of it.
    let log = std::fs::read_to_string(at.join("first/decisions-cross-topic.csv")).expect("a log");
    let changed = log.replacen(",MaE01,lexical-words", ",MaE02,lexical-words", 1);
    let wrong = changed.lines().map(|line| {
        if line.contains(",MaE02,lexical-words") && line.contains(",MaE01,") {
            line.replace(",True,", ",False,") + "\n"
        } else {
            line.to_string() + "\n"
        }
    });
    write(at, "log.csv", &wrong.collect::<String>());
    let scored = eval(&["--replies", "log.csv", "-o", "scored"]);
    assert_eq!(scored["result"]["replayed"]["scores"]["right"], 164);
    let sheet = std::fs::read_to_string(at.join("scored/adjudication-replayed.csv")).expect("a sheet");
    assert_eq!(sheet.lines().count(), 2);
    let filled = sheet.trim_end().strip_suffix(",").expect("two empty cells").to_string() + "yes,\n";
    write(at, "filled.csv", &filled);
    let reviewed = eval(&["--replies", "log.csv", "--set", "adjudication=filled.csv"]);
    assert_eq!(reviewed["result"]["replayed"]["review"]["adjusted_accuracy"], 1.0);

    let common = ["eval", "math-misconceptions", "--data", "."];
    for (more, expected) in [
        (["--model", "lexical:letters"], "expected lexical:words or lexical:characters"),
        (["--set", "trails=3"], "did you mean `trials`?"),
        (["--limit", "3"], "--limit has no meaning"),
        (["--replies", "data.json"], "line 1"),
    ] {
        refused(at, &[&common[..], &more].concat(), expected);
    }
    write(at, "data.json", &items().replacen("Number sense", "Number nonsense", 1));
    refused(
        at,
        &["eval", "math-misconceptions", "--data", ".", "--dry-run"],
        "data.json:1: topic `Number nonsense`",
    );
}

#[test]
fn remediation_is_asked_rated_and_put_together() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let items: Vec<Value> = serde_json::from_str(&items()).expect("items");
    let cases: String = items
        .chunks(4)
        .map(|of| {
            let case = json!({"misconception_id": of[0]["Misconception ID"], "topic": of[0]["Topic"],
                "misconception": "m", "student_work_pattern":
                [{"activity_or_question": "q", "student_incorrect_response": "w"}]});
            format!("{case}\n")
        })
        .collect();
    write(at, "remediation_cases.jsonl", &cases);
    let form = json!({"predicted_misconception_id": "MaE01", "predicted_misconception_label": "x",
        "diagnosis_rationale": "y", "confidence": 1});
    let script = format!(
        "[[rule]]\ncontains = \"catalogue\"\nanswers = ['{form}']\n[[rule]]\nanswers = [\"Draw a picture.\"]\n"
    );
    write(at, "teacher.toml", &script);
    let start = ["eval", "misconception-remediation", "--data", ".", "--json"];
    let more =
        ["--model", "scripted:teacher.toml", "-o", "asked", "--set", "conditions=baseline,diagnosis-form"];
    let asked = run(at, &[&start[..], &more].concat());
    assert_eq!((&asked["result"]["replies"], &asked["result"]["forms"]), (&110.into(), &json!([55, 55, 1])));
    let sheet = std::fs::read_to_string(at.join("asked/ratings.csv")).expect("a sheet");
    let rated: Vec<String> = (sheet.lines().enumerate())
        .map(|(k, line)| match k {
            0 => line.to_string(),
            _ => {
                let row = line.split(',').take(3).collect::<Vec<_>>().join(",");
                format!("{row},ada,{}{}", format!("{},", k % 5 + 1).repeat(8), vec!["no"; 13].join(","))
            }
        })
        .collect();
    write(at, "ada.csv", &rated.join("\n"));
    write(at, "bo.csv", &rated.join("\n").replace(",ada,", ",bo,"));
    let rated = run(at, &[&start[..], &["--set", "ratings=ada.csv,bo.csv"]].concat());
    let ratings = &rated["result"]["ratings"];
    assert_eq!((&ratings["ratings"], &ratings["agreement"][0]["quadratic"]), (&110.into(), &1.0.into()));
    assert_eq!(ratings["conditions"]["baseline"]["overall"], 3.0);
}

#[test]
fn statements_are_predicted_scored_judged_and_compared() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let row = |id: usize, more: &str| {
        let field = ["algebra", "topology"][id % 2];
        format!(
            "{{\"id\": {id}, \"statement\": \"claim {id}\", \"chinese_statement\": \"命题{id}\", \"field\": \"{field}\"{more}}}\n"
        )
    };
    write(at, "statements.jsonl", &(0..8).map(|id| row(id, "")).collect::<String>());
    let labels =
        (0..8).map(|id| format!("{{\"id\": {id}, \"judgement\": {}, \"rationale\": \"r\"}}\n", id != 3));
    write(at, "labels.jsonl", &labels.collect::<String>());
    let model = "[[rule]]\ncontains = \"claim 3\"\nanswers = [\"1. Take 0. 2. So \\\\boxed{\\\\text{False}}\"]\n\
                 [[rule]]\ncontains = \"claim 5\"\nanswers = [\"Hm.\"]\n[[rule]]\nanswers = [\"\\\\boxed{True}\"]\n";
    write(at, "prover.toml", model);
    write(at, "always.toml", "[[rule]]\nanswers = [\"\\\\boxed{True}\"]\n");
    let judge = "[[rule]]\ncontains = \"newest steps\"\nanswers = [\"CORRECT\"]\n\
        [[rule]]\ncontains = \"Take 0\"\nanswers = ['{\"uses_example\": true, \"n_examples\": 1, \"n_consistent\": 1, \"verdict\": \"all\"}']\n\
        [[rule]]\nanswers = ['{\"uses_example\": false, \"n_examples\": 0, \"n_consistent\": 0, \"verdict\": \"no-example\"}']\n";
    write(at, "judge.toml", judge);

    let common = ["eval", "countermath", "--data", "."];
    refused(
        at,
        &[&common[..], &["--model", "scripted:prover.toml"]].concat(),
        "8 of 8 statements have no `judgement`",
    );
    let start = [&common[..], &["--json", "--model"]].concat();
    let predicted = run(
        at,
        &[&start[..], &["scripted:prover.toml", "--set", "mode=predict", "-o", "predicted"]].concat(),
    );
    let said = &predicted["result"]["said"];
    assert_eq!(said["robust"]["all"], json!({"replies": 8, "said_true": 6, "said_false": 1, "unparsed": 1}));
    // The published rule does not read a text in a box.
    assert_eq!(said["api"]["all"]["unparsed"], 2);
    let scored = [
        "scripted:prover.toml",
        "--set",
        "labels=labels.jsonl",
        "--set",
        "judge=scripted:judge.toml",
        "--set",
        "second-judge=scripted:judge.toml",
        "--set",
        "step-judge=yes",
        "-o",
        "scored",
    ];
    let scored = run(at, &[&start[..], &scored].concat());
    let result = &scored["result"];
    let robust = &result["scores"]["robust"]["all"];
    assert_eq!((&robust["right"], &robust["unparsed"]), (&7.into(), &1.into()));
    // F1 of False 1, of True 12/13, of no verdict 0.
    assert!((robust["macro_f1"].as_f64().unwrap() - (1.0 + 12.0 / 13.0) / 3.0).abs() < 1e-12);
    let shares = &result["judged"]["rationales"];
    assert_eq!(
        (&shares["examples"], &shares["strict"], &shares["loose"]),
        (&0.125.into(), &0.125.into(), &0.125.into())
    );
    assert_eq!(
        (&result["judged"]["steps"]["right"], &result["judged"]["second"][2]["examples"]),
        (&1.0.into(), &1.0.into())
    );

    let always = ["scripted:always.toml", "--set", "labels=labels.jsonl", "-o", "always"];
    let always = run(at, &[&start[..], &always].concat());
    assert_eq!(always["result"]["scores"]["robust"]["all"]["right"], 7);
    let compared = run(at, &["compare", "scored", "always", "--json"]);
    assert_eq!(
        (&compared["mcnemar"]["only_first"], &compared["mcnemar"]["only_second"]),
        (&1.into(), &1.into())
    );
    let replayed = run(
        at,
        &[
            "eval",
            "countermath",
            "--data",
            ".",
            "--json",
            "--replies",
            "scored/records.jsonl",
            "--set",
            "labels=labels.jsonl",
            "--set",
            "extraction=api",
        ],
    );
    assert_eq!(replayed["result"]["scores"], result["scores"]);
    refused(
        at,
        &[&common[..], &["--set", "mode=predict", "--set", "judge=scripted:judge.toml", "--dry-run"]]
            .concat(),
        "a judge needs the label",
    );
}

#[test]
fn proofs_by_counterexample_are_made_records() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    let proofs = json!({"id": "a", "statement": "Not every continuous function is differentiable.",
        "proof": "Consider the function f(x) = |x|. It is continuous, but not differentiable at 0."})
    .to_string()
        + "\n"
        + &json!({"id": "b", "statement": "There are infinitely many primes.",
        "proof": "Assume there are finitely many. Their product plus one has another prime divisor, a contradiction."})
        .to_string();
    write(at, "proofs.jsonl", &proofs);
    write(at, "recipe.toml", "recipe = \"counterexamples\"\nproofs = \"proofs.jsonl\"\n");
    let made = run(at, &["make", "recipe.toml", "--json", "-o", "rules"]);
    assert_eq!((&made["result"]["proofs"], &made["result"]["records"]), (&2.into(), &1.into()));
    let selection = json!({"by_counterexample": true, "statement": "s", "rationale": "r"});
    write(at, "selector.toml", &format!("[[rule]]\nanswers = ['{selection}']\n"));
    let made =
        run(at, &["make", "recipe.toml", "--json", "-o", "model", "--model", "scripted:selector.toml"]);
    assert_eq!((&made["result"]["records"], &made["result"]["malformed"]), (&1.into(), &0.into()));
    let record = std::fs::read_to_string(at.join("model/records.jsonl")).expect("records");
    assert!(record.contains("\"statement\":\"s\"") && record.contains("\"too_long\":false"), "{record}");
    write(at, "recipe.toml", "recipe = \"counterexamples\"\nproofs = \"proofs.jsonl\"\ntreshold = 1\n");
    refused(at, &["make", "recipe.toml"], "treshold");
    write(at, "recipe.toml", "recipe = \"counterexample\"\n");
    refused(at, &["make", "recipe.toml"], "there is no recipe `counterexample`");
}
