//! Regressions from the command line: the examples, the run folder, wrong input, and a small part of the experiment.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::{example, mathesis};

/// Solve with these arguments; returns what `--json` prints.
#[track_caller]
fn solved(folder: &Path, arguments: &[&str]) -> Value {
    let output = mathesis(folder, &[&["solve"], arguments, &["--json", "--quiet"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn columns(folder: &Path, run: &str) -> Vec<(String, f64, f64)> {
    let text =
        std::fs::read_to_string(folder.join("runs").join(run).join("coefficients.csv")).expect("written");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("name,value,radius,deviation,standard_error"));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split(',').collect();
            (parts[0].to_string(), parts[1].parse().expect("a number"), parts[2].parse().expect("a number"))
        })
        .collect()
}

#[test]
fn a_sketched_example_is_within_its_radii_of_the_direct_solution() {
    let folder = TempDir::new().expect("a folder");
    let file = example("regression-synthetic.toml");
    let record = solved(folder.path(), &[&file]);
    assert_eq!(record["result"]["sketch"]["sketch"], "srht");
    assert!(record["result"]["certificate"]["guarantee"].as_str().expect("text").contains("empirical"));
    let run = folder.path().join("runs/regression-synthetic");
    let page = std::fs::read_to_string(run.join("report.html")).expect("written");
    assert!(page.contains("<svg") && page.contains("has a gap"), "the report says what is proved");
    let sketched = columns(folder.path(), "regression-synthetic");
    solved(folder.path(), &[&file, "--method", "householder"]);
    let exact = columns(folder.path(), "regression-synthetic-2");
    assert_eq!(sketched.len(), 50);
    for ((_, x, radius), (_, y, _)) in sketched.iter().zip(&exact) {
        assert!((x - y).abs() <= *radius && *radius < 0.2, "{x} {y} {radius}");
    }
    let refined = solved(folder.path(), &[&file, "--method", "refined"]);
    assert!(refined["result"]["iterations"].as_u64().expect("a number") > 3);
    assert!(folder.path().join("runs/regression-synthetic-3/history.csv").is_file());
    let same = solved(folder.path(), &[&file]);
    let other = solved(folder.path(), &[&file, "--seed", "9"]);
    assert_eq!(same["result"]["certificate"]["residual"], record["result"]["certificate"]["residual"]);
    assert_ne!(other["result"]["certificate"]["residual"], record["result"]["certificate"]["residual"]);
    assert_eq!(other["seed"], 9);
}

#[test]
fn the_other_examples_are_solved() {
    let folder = TempDir::new().expect("a folder");
    solved(folder.path(), &[&example("regression-csv.toml")]);
    let names: Vec<String> =
        columns(folder.path(), "regression-csv").into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, ["temperature", "rain", "price", "weekend", "intercept"]);
    let record = solved(folder.path(), &[&example("regression-kronecker.toml")]);
    assert_eq!(record["result"]["sketch"]["sketch"], "tensor-srht");
}

#[test]
fn wrong_input_is_explained_with_its_place() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("data.csv"), "a,b,y\n1,2,3\n2,oops,4\n4,1,9\n").expect("writable");
    let refused = |text: &str, says: &[&str]| {
        std::fs::write(folder.path().join("wrong.toml"), text).expect("writable");
        let output = mathesis(folder.path(), &["solve", "wrong.toml"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        // Long messages are wrapped.
        let plain = message.split(|c: char| c.is_whitespace() || c == '│').filter(|w| !w.is_empty());
        let plain = plain.collect::<Vec<_>>().join(" ");
        for part in says {
            assert!(plain.contains(part), "no `{part}` in\n{message}");
        }
        assert!(!folder.path().join("runs").exists(), "nothing is written");
    };
    let good = "[regression]\ndata = \"data.csv\"\nresponse = \"y\"\n";
    refused(good, &["line 3, column `b`: `oops` is not a number", "wrong.toml:2:"]);
    refused(&good.replace("\"y\"", "\"z\""), &["no column `z`"]);
    refused(&good.replace("data.csv", "date.csv"), &["cannot read"]);
    refused(&good.replace("response", "respons"), &["did you mean `response`?"]);
    refused(&format!("{good}[method]\nname = \"sketch\"\n"), &["no method `sketch`"]);
    let synthetic =
        "[regression.synthetic]\nrows = 100\ncolumns = 5\n[method]\nname = \"sketch-and-solve\"\n";
    refused(&format!("{synthetic}rows = 3\n"), &["at least 6", "wrong.toml:6:"]);
    refused(&format!("{synthetic}sketch = \"srth\"\n"), &["did you mean srht?"]);
}

#[test]
fn the_experiment_runs_in_parts() {
    let folder = TempDir::new().expect("a folder");
    let arguments =
        ["reproduce", "linf-regression", "--parts", "counterexample", "--draws", "2", "--output", "out"];
    let first = mathesis(folder.path(), &arguments);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let table = std::fs::read_to_string(folder.path().join("out/table.md")).expect("written");
    assert!(table.contains("| counterexample 1000 | square root of M | 1001 | 1 | 0.0025063 |"), "{table}");
    let cells = std::fs::read_to_string(folder.path().join("out/cells.jsonl")).expect("written");
    let second = mathesis(folder.path(), &arguments);
    assert!(second.status.success());
    assert_eq!(std::fs::read_to_string(folder.path().join("out/cells.jsonl")).expect("written"), cells);
}
