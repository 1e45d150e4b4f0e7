//! The recipe `aops-live` and decontamination from outside.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{empty, example, mathesis, unbroken};

/// A folder with the example in it, as a checkout has it.
fn checkout() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let place = folder.path().join("examples/aops-live");
    std::fs::create_dir_all(&place).unwrap();
    for name in ["recipe.toml", "threads.jsonl", "known.jsonl", "first.toml", "second.toml"] {
        std::fs::copy(example(&format!("aops-live/{name}")), place.join(name)).unwrap();
    }
    folder
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, arguments);
    assert!(output.status.success(), "{}", unbroken(&output));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn the_example_makes_pairs_and_a_benchmark_that_can_be_asked() {
    let folder = checkout();
    let path = folder.path();
    let output = mathesis(path, &["make", "examples/aops-live/recipe.toml", "--dry-run"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("threads    7") && text.contains("Find the least integer"),
        "{text}"
    );
    assert!(!path.join("runs").exists());

    let record = json(path, &["make", "examples/aops-live/recipe.toml", "--json"]);
    let results = &record["results"];
    let counts = ["training", "validation", "test", "benchmark"].map(|name| results[name].as_u64().unwrap());
    assert_eq!(counts, [2, 2, 3, 1], "{record:#}");
    let reasons = |stage: usize| record["stages"][stage]["reasons"].clone();
    assert_eq!(reasons(1)["not a question"], 1);
    assert_eq!(reasons(4)["known_match"], 1);
    assert_eq!((&reasons(5)["figure"], &reasons(5)["outside the window"]), (&1.into(), &3.into()));
    assert_eq!(reasons(6)["tie"], 1);
    let run = path.join("runs/recipe");
    let item: Value = serde_json::from_slice(&std::fs::read(run.join("benchmark.jsonl")).unwrap()).unwrap();
    assert_eq!(
        (&item["answer"], &item["month"], &item["level"]),
        (&"31".into(), &"2024-02".into(), &"High School".into())
    );
    assert!(std::fs::read_to_string(run.join("report.html")).unwrap().contains("known_match"));

    // The benchmark is asked, and a reply that is right is right.
    std::fs::write(path.join("pupil.toml"), "[[rule]]\nanswers = ['It is \\boxed{31}.']\n").unwrap();
    let asked = json(
        path,
        &[
            "eval",
            "aops-live",
            "--data",
            "runs/recipe",
            "--model",
            "scripted:pupil.toml",
            "--set",
            "released=2024-03-01",
            "--json",
        ],
    );
    assert_eq!(asked["result"]["accuracy"]["value"], 1.0);
    assert_eq!(asked["result"]["categories"]["exposure"]["values"]["possibly seen"]["problems"], 1);

    // Again: the stages are there.
    let again = json(path, &["make", "examples/aops-live/recipe.toml", "--json"]);
    assert_eq!(again["stages"], record["stages"]);
}

#[test]
fn wrong_recipes_are_explained() {
    let folder = checkout();
    let path = folder.path();
    for (text, expected) in [
        ("recipe = 'aops'", "no recipe `aops`"),
        ("recipe = 'aops-live'", "expected either `threads`"),
        ("recipe = 'aops-live'\nthreads = ['none.jsonl']", "there is no file"),
        ("recipe = 'aops-live'\nthreads = ['threads.jsonl']", "no model for `questions`"),
        ("recipe = 'aops-live'\nthreads = ['threads.jsonl']\n[options]\nmood = 1", "unknown field `mood`"),
        (
            "recipe = 'aops-live'\nthreads = ['threads.jsonl']\n[options]\ntest-from = 'soon'",
            "a date such as",
        ),
        (
            "recipe = 'aops-live'\nthreads = ['threads.jsonl']\n[training]\nagainst = [{set = 'a', file = 'threads.jsonl'}]",
            "there are:",
        ),
    ] {
        std::fs::write(path.join("examples/aops-live/wrong.toml"), text).unwrap();
        let output = mathesis(path, &["make", "examples/aops-live/wrong.toml"]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let message = unbroken(&output);
        assert!(message.contains(expected), "{text}: {message}");
    }
    assert!(!path.join("runs").exists());
}

#[test]
fn records_are_decontaminated_and_overlap_is_shown() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    let data = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = data.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let records = file(
        "records.jsonl",
        "{\"question\": \"one two three four\", \"month\": \"2024-01\"}\n{\"question\": \"five six\", \"month\": \"2024-02\"}\n",
    );
    let set = file("set.csv", "Body,Question\nzero one two three,nine\n");
    let against = format!("set={set}#Body+Question");
    let record = json(
        path,
        &["decontaminate", &records, "--against", &against, "--ngram", "3", "--by", "month", "--json"],
    );
    assert_eq!(record["result"]["reasons"]["set_match_3gram"], 1);
    assert_eq!(
        (&record["sets"][0]["ngrams"], &record["result"]["groups"]["2024-02"]["found"]),
        (&3.into(), &0.into())
    );
    let kept = std::fs::read_to_string(path.join("runs/decontaminate-records/kept.jsonl")).unwrap();
    assert!(kept.contains("five six") && !kept.contains("one two"));
    let corpus = format!("{set}#Body");
    let overlap = json(
        path,
        &["decontaminate", &records, "--overlap", &corpus, "--ngram", "3", "--by", "month", "--json"],
    );
    let january = &overlap["groups"]["2024-01"];
    assert_eq!(
        (&january["touched"], &january["ngrams"], &january["shared"]),
        (&1.into(), &2.into(), &1.into())
    );

    let other = TempDir::new().expect("a folder");
    for (arguments, expected) in [
        (vec!["decontaminate", "none.jsonl", "--against", &against], "there is no file none.jsonl"),
        (vec!["decontaminate", &records, "--against", &set], "expected SET=FILE"),
        (vec!["decontaminate", &records, "--against", &against, "--ngram", "0"], "1 to 1000 words"),
        (
            vec!["decontaminate", &records, "--against", &against[..against.len() - 1]],
            "there are: Body, Question",
        ),
    ] {
        let output = mathesis(other.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = unbroken(&output);
        assert!(message.contains(expected), "{message}");
    }
    assert!(empty(other.path()));
}
