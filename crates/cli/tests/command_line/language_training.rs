//! `mathesis train` with a table for language models, and `mathesis generate` with what came of it.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{empty, mathesis, unbroken};

const RECORDS: &str = r#"
title = "Sums"

[language-model]
folder = "models/sums"

[language-model.data]
kind = "files"
files = ["sums.jsonl"]
validation = 0.2
time = 24
batch = 4

[language-model.tokenizer]
kind = "bpe"
vocabulary = 280

[language-model.model]
width = 16

[[language-model.model.blocks]]
mixer = { kind = "attention", heads = 2 }
channel = { kind = "swiglu", hidden = 32 }

[language-model.training]
steps = 12
validation-every = 5
checkpoint-every = 4
"#;

const ATTENTION: &str = "mixer = { kind = \"attention\", heads = 2 }";

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).expect("written");
}

fn records(folder: &Path) {
    let lines: String = (0..60)
        .map(|k| format!("{{\"prompt\": \"{k} + {}\", \"reply\": \"{}\"}}\n", k + 1, 2 * k + 1))
        .collect();
    write(folder, "sums.jsonl", &lines);
    write(folder, "sums.toml", RECORDS);
}

#[track_caller]
fn trained(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, &[&["train", "sums.toml", "--json", "--quiet"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn a_language_model_is_trained_stopped_and_goes_on() {
    let folder = TempDir::new().expect("a folder");
    records(folder.path());
    let record = trained(folder.path(), &["--steps", "8", "--threads", "1"]);
    assert_eq!((&record["result"]["iterations"], &record["result"]["resumed_at"]), (&8.into(), &0.into()));
    let model = folder.path().join("models/sums");
    let mut names: Vec<_> = std::fs::read_dir(&model)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, ["checkpoint.safetensors", "model", "training.tokens", "validation.tokens"]);
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert!(model.join("model").join(name).is_file(), "{name}");
    }
    for name in ["report.html", "steps.csv", "validations.csv", "plots/course.svg"] {
        assert!(folder.path().join("runs/sums").join(name).is_file(), "{name}");
    }

    // A checkpoint is neither taken nor thrown away without being asked.
    let output = mathesis(folder.path(), &["train", "sums.toml", "--quiet"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(unbroken(&output).contains("--resume goes on from it"), "{}", unbroken(&output));
    let resumed = trained(folder.path(), &["--resume", "--threads", "1"]);
    assert_eq!((&resumed["result"]["iterations"], &resumed["result"]["resumed_at"]), (&12.into(), &8.into()));
    let lines = |run: &str| std::fs::read_to_string(folder.path().join(run).join("steps.csv")).expect("read");
    assert_eq!(lines("runs/sums-2").lines().count(), 13);
    assert!(lines("runs/sums-2").starts_with(&lines("runs/sums")));
    let again = trained(folder.path(), &["--restart", "--threads", "1", "--steps", "8"]);
    assert_eq!(again["result"]["loss"], record["result"]["loss"]);
    assert_eq!(lines("runs/sums-3"), lines("runs/sums"));
    let output =
        mathesis(folder.path(), &["train", "sums.toml", "--restart", "--device", "processor,processor"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(unbroken(&output).contains("2 devices, but `replicas` is 1"), "{}", unbroken(&output));
    let plan = RECORDS.replacen(
        "steps = 12",
        "steps = 12\naccumulation = 3\nreplicas = 2\ngroups = [{ parameters = \"norm\", rate = 0.5 }]",
        1,
    );
    write(folder.path(), "sums.toml", &plan);
    let several = trained(folder.path(), &["--restart", "--device", "processor,processor", "--steps", "8"]);
    let one = trained(folder.path(), &["--restart", "--steps", "8", "--threads", "1"]);
    assert_eq!(several["result"]["loss"], one["result"]["loss"]);
}

#[test]
fn wrong_plans_for_language_models_are_refused() {
    let folder = TempDir::new().expect("a folder");
    for (from, to, words) in [
        ("width = 16", "widht = 16", "widht"),
        ("heads = 2", "heads = 3", "a divisor of the width, 16"),
        ("steps = 12", "stps = 12", "stps"),
        ("sums.jsonl\"]", "none.jsonl\"]", "there is no file"),
        ("vocabulary = 280", "vocabulary = 100", "expected at least 257"),
        ("steps = 12", "steps = 0", "`steps` is 0"),
        ("steps = 12", "steps = 12\nreplicas = 2", "`replicas` is 2"),
        (
            "steps = 12",
            "steps = 12\ngroups = [{ parameters = \"nrom\" }]",
            "the nearest name in one is `norm`",
        ),
        ("validation = 0.2", "validation = 1.2", "validation is 1.2"),
        ("kind = \"files\"", "kind = \"fils\"", "fils"),
        ("time = 24", "time = 24\nmasking = { part = 0.0 }", "masking.part is 0"),
        ("time = 24", "time = 24\nmasking = { prt = 0.3 }", "prt"),
        (ATTENTION, "mixer = { kind = \"monarch\", longest = 64, causal = false }", "expected `masking`"),
        (ATTENTION, "mixer = { kind = \"monarch\", longest = 23 }", "at least the context, 24"),
    ] {
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).expect("made");
        records(&inside);
        assert!(RECORDS.contains(from), "{from}");
        write(&inside, "sums.toml", &RECORDS.replacen(from, to, 1));
        let output = mathesis(&inside, &["train", "sums.toml", "--quiet"]);
        assert_eq!(output.status.code(), Some(2), "{to}: {}", unbroken(&output));
        assert!(unbroken(&output).contains(words), "{to}: {}", unbroken(&output));
        std::fs::remove_file(inside.join("sums.toml")).expect("removed");
        std::fs::remove_file(inside.join("sums.jsonl")).expect("removed");
        assert!(empty(&inside), "{to}");
        std::fs::remove_dir(&inside).expect("removed");
    }
}

#[test]
fn hidden_tokens_are_learnt_from_both_sides() {
    let folder = TempDir::new().expect("a folder");
    records(folder.path());
    let both_sides = "mixer = { kind = \"monarch\", longest = 24, causal = false, filter = { order = 8 } }
channel-linear = { block-diagonal = { blocks = 4 } }";
    let plan = RECORDS.replace(ATTENTION, both_sides).replace("time = 24", "time = 24\nmasking = {}");
    write(
        folder.path(),
        "sums.toml",
        &plan.replace("width = 16", "width = 16\nframe = \"monarch-bert\"\ntied = true"),
    );
    let record = trained(folder.path(), &["--steps", "8", "--threads", "1"]);
    let again = trained(folder.path(), &["--steps", "8", "--threads", "1", "--restart"]);
    assert!(record["result"]["loss"].is_f64());
    assert_eq!(again["result"]["loss"], record["result"]["loss"]);
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("runs/sums").join(name)).expect("read");
    assert!(read("run.json").contains("\"validation-part\": 0.15"));
    assert!(read("report.html").contains("30.0 % of tokens hidden"));
    let output = mathesis(folder.path(), &["generate", "models/sums/model", "--prompt", "7 + 8"]);
    assert_eq!(output.status.code(), Some(2), "{}", unbroken(&output));
    assert!(unbroken(&output).contains("on both sides"), "{}", unbroken(&output));
}

#[test]
fn what_was_trained_goes_on_from_prompts() {
    let folder = TempDir::new().expect("a folder");
    records(folder.path());
    let hybrid = RECORDS.replace(ATTENTION, "mixer = { kind = \"gated-linear-attention\", heads = 2 }");
    write(folder.path(), "sums.toml", &hybrid);
    trained(folder.path(), &[]);

    let generate = |arguments: &[&str]| {
        let output = mathesis(folder.path(), &[&["generate", "models/sums/model"], arguments].concat());
        assert!(output.status.success(), "{}", unbroken(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&generate(&[&["--json", "--quiet"], arguments].concat())).expect("JSON")
    };
    // The likeliest text is the same as it comes and at the end, alone and beside another prompt.
    let text = |value: &Value, answer: usize, completion: usize| -> String {
        value["answers"][answer]["completions"][completion]["text"].as_str().expect("a text").to_string()
    };
    let alone = generate(&["--quiet", "--prompt", "7 + 8", "--max-tokens", "6"]);
    let both = json(&["--prompt", "12 + 13 is", "--prompt", "7 + 8", "--max-tokens", "6"]);
    assert_eq!(both["answers"].as_array().map(Vec::len), Some(2));
    assert_eq!(text(&both, 1, 0).trim_end(), alone.trim_end());

    // Weights in half the memory.
    let half = generate(&["--quiet", "--prompt", "7 + 8", "--max-tokens", "6", "--weights", "bf16"]);
    assert!(!half.trim().is_empty());

    // Samples come from the seed.
    let drawn = |seed: &str| {
        let options = ["--prompt", "7 + 8", "--temperature", "2", "--samples", "3", "--seed", seed];
        json(&options)["answers"][0]["completions"].clone()
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    assert_eq!(drawn("1").as_array().map(Vec::len), Some(3));

    // Wrong input is told in one message.
    for (arguments, expected) in [
        (vec!["generate", "nowhere", "--prompt", "a"], "config.json"),
        (vec!["generate", "models/sums/model", "--chat", "--prompt", "a"], "chat template"),
        (vec!["generate", "models/sums/model", "--prompt", "a", "--top-p", "2"], "top-p"),
        (vec!["generate", "models/sums/model", "--prompt", "a", "--weights", "f8"], "bf16"),
        (vec!["generate", "models/sums/model"], "prompt"),
    ] {
        let output = mathesis(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", unbroken(&output));
        assert!(unbroken(&output).contains(expected), "{arguments:?}: {}", unbroken(&output));
    }
    std::fs::remove_file(folder.path().join("models/sums/model/tokenizer.json")).expect("removed");
    let output = mathesis(folder.path(), &["generate", "models/sums/model", "--prompt", "a"]);
    assert!(unbroken(&output).contains("tokenizer.json"), "{}", unbroken(&output));
}
