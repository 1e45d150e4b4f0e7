//! The binary from outside: examples are solved to the accuracy that they promise, wrong input is explained and leaves nothing.

mod aops_live;
mod browser;
mod check;
mod concepts;
mod eval;
mod export;
mod judge;
mod language_training;
mod multilingual;
mod perplexity;
mod regression;
mod serve;
mod view;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn mathesis(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mathesis"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary runs")
}

fn example(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../examples", name].iter().collect();
    path.display().to_string()
}

/// A complaint without its breaks to the width of the terminal.
fn unbroken(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).replace('│', " ");
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("readable").next().is_none()
}

/// Solve an example; returns what `--json` prints.
#[track_caller]
fn solved(folder: &Path, name: &str) -> Value {
    let output = mathesis(folder, &["solve", &example(name), "--json", "--quiet"]);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[track_caller]
fn assert_error_below(record: &Value, bound: f64) {
    for error in record["result"]["certificate"]["error"].as_array().expect("the exact solution is known") {
        assert!(error.as_f64().expect("a number") < bound, "{}: {error}", record["name"]);
    }
}

#[test]
#[cfg(unix)]
fn output_that_nobody_reads_ends_without_a_word() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mathesis"));
    let output = command.arg("eval").stdout(writer).output().expect("the binary runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

#[test]
fn one_dimension_gives_a_whole_run_folder() {
    let folder = TempDir::new().expect("a folder");
    let record = solved(folder.path(), "beam.toml");
    assert_error_below(&record, 1e-9);
    let run = folder.path().join("runs/beam");
    assert_eq!(record["folder"], "runs/beam");
    for file in ["run.json", "report.html", "solution.csv"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).expect("readable"))
            .expect("JSON");
    assert_eq!(saved["result"]["done"], true);
    assert_eq!(saved["method"]["name"], "collocation");
    let page = std::fs::read_to_string(run.join("report.html")).expect("readable");
    assert!(page.contains("<math") && page.contains("<svg") && !page.contains("<script"));
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "the page stands alone");
    let table = std::fs::read_to_string(run.join("solution.csv")).expect("readable");
    assert!(table.starts_with("x,w,w_exact\n"));

    // The next run of the same name gets a number, and nothing unfinished is left.
    assert_eq!(solved(folder.path(), "beam.toml")["folder"], "runs/beam-2");
    let runs = std::fs::read_dir(folder.path().join("runs")).expect("readable");
    assert_eq!(runs.count(), 2);
}

#[test]
fn the_examples_reach_their_accuracy() {
    let folder = TempDir::new().expect("a folder");
    for (name, bound) in [
        ("poisson-high-frequency.toml", 1e-5),
        ("poisson-2d.toml", 1e-5),
        ("allen-cahn.toml", 1e-6),
        ("advection.toml", 1e-5),
        ("heat.toml", 1e-5),
        ("helmholtz-periodic.toml", 1e-8),
        ("reaction-system.toml", 1e-6),
        ("rough-source.toml", 1e-3),
    ] {
        assert_error_below(&solved(folder.path(), name), bound);
    }
    assert!(folder.path().join("runs/heat/solution.npy").is_file());
    assert!(folder.path().join("runs/heat/axis-t.npy").is_file());
    assert!(folder.path().join("runs/poisson-high-frequency/spectrum.csv").is_file());
}

#[test]
fn linear_systems_come_out_as_arrays_with_their_residual() {
    let folder = TempDir::new().expect("a folder");
    let small = std::fs::read_to_string(example("pressure-sphere.toml")).expect("an example");
    let file = folder.path().join("small.toml");
    std::fs::write(&file, small.replace("64, 64, 64", "16, 12, 20")).expect("written");
    let output = mathesis(folder.path(), &["solve", "small.toml", "--json", "--quiet", "--output", "run"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    assert!(record["result"]["relative_residual"].as_f64().expect("a number") <= 1e-8);
    let bytes = std::fs::read(folder.path().join("run/solution.npy")).expect("the solution");
    let array = npyz::NpyFile::new(&bytes[..]).expect("an array");
    assert_eq!(array.shape(), [16, 12, 20]);
    let report = std::fs::read_to_string(folder.path().join("run/report.html")).expect("the report");
    assert!(report.contains("middle of y") && report.contains("Course of the solve"));

    solved(folder.path(), "bar.toml");
    let text = std::fs::read_to_string(folder.path().join("runs/bar/solution.mtx")).expect("the solution");
    let numbers: Vec<f64> = text.lines().skip(2).map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.iter().zip([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).all(|(x, exact)| (x - exact).abs() < 1e-12));
}

const TRAINING: &str = r#"
[direction-network]
weights = "small.safetensors"
cells = [6, 5, 4]
lanczos-vectors = 30
training-vectors = 12
overlap = 2
epochs = 2
"#;

#[test]
fn a_network_is_trained_and_then_solves() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("training.toml"), TRAINING).expect("written");
    let output = mathesis(folder.path(), &["train", "training.toml", "--json", "--quiet"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    assert_eq!(record["result"]["epochs"].as_array().expect("epochs").len(), 2);
    let run = folder.path().join("runs/training");
    for file in ["report.html", "losses.csv", "weights.safetensors", "plots/losses.svg"] {
        assert!(run.join(file).is_file(), "{file}");
    }

    let text =
        std::fs::read_to_string(example("pressure-deep-conjugate-directions.toml")).expect("an example");
    let text = text.replace("48, 48, 48", "12, 10, 8");
    std::fs::write(folder.path().join("embedded.toml"), &text).expect("written");
    let text = text.replace("# network = \"my-network.safetensors\"", "network = \"small.safetensors\" #");
    std::fs::write(folder.path().join("own.toml"), &text).expect("written");
    for (file, name) in [("embedded.toml", "embedded network"), ("own.toml", "small.safetensors")] {
        let output = mathesis(folder.path(), &["solve", file, "--json", "--quiet"]);
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let record: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
        assert!(record["result"]["method"].as_str().expect("a name").contains(name));
        assert!(record["result"]["relative_residual"].as_f64().expect("a number") <= 1.001e-8);
    }

    // A damaged network and a matrix that is no grid are refused; nothing is written.
    let weights = folder.path().join("small.safetensors");
    let mut bytes = std::fs::read(&weights).expect("the weights");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&weights, bytes).expect("written");
    let output = mathesis(folder.path(), &["solve", "own.toml", "--output", "none"]);
    assert_eq!(output.status.code(), Some(2));
    let message = unbroken(&output);
    assert!(message.contains("of the tensor `output.weights` is NaN"), "{message}");
    let output = mathesis(
        folder.path(),
        &["solve", &example("bar.toml"), "--method", "deep-conjugate-directions", "--output", "none"],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(unbroken(&output).contains("deep-conjugate-directions needs a grid"));
    assert!(!folder.path().join("none").exists());
}

#[test]
fn wrong_plans_for_training_are_refused() {
    let folder = TempDir::new().expect("a folder");
    for (wrong, says) in [
        (TRAINING.replace("epochs = 2", "epoch = 2"), "did you mean `epochs`?"),
        (TRAINING.replace("epochs = 2", "epochs = 0"), "`epochs` is 0"),
        (TRAINING.replace("small.safe", "nowhere/small.safe"), "does not exist"),
        (TRAINING.replace("[6, 5, 4]", "[6, 5, 0]"), "extents"),
        (TRAINING.replace("epochs = 2", "learning-rate = -1.0"), "`learning-rate` is -1"),
    ] {
        std::fs::write(folder.path().join("wrong.toml"), wrong).expect("written");
        let output = mathesis(folder.path(), &["train", "wrong.toml", "--quiet"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(says), "{says}: {message}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
    }
}

#[test]
fn an_output_folder_with_other_things_in_it_is_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let named = folder.path().join("named");
    let name = named.display().to_string();
    for _ in 0..2 {
        let output = mathesis(folder.path(), &["solve", &example("beam.toml"), "--output", &name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(table.contains("relative L2 error") && table.contains("report.html"), "{table}");
    }
    std::fs::remove_file(named.join("run.json")).expect("removable");
    let output = mathesis(folder.path(), &["solve", &example("beam.toml"), "--output", &name]);
    assert_eq!(output.status.code(), Some(2));
    assert!(named.join("report.html").is_file());
}

/// A wrong file: exit code 2, everything of `says` on standard error, nothing written.
#[track_caller]
fn refused(text: &str, arguments: &[&str], says: &[&str]) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, text).expect("writable");
    let work = TempDir::new().expect("a folder");
    let path = file.display().to_string();
    let output = mathesis(work.path(), &[&["solve", path.as_str()], arguments].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in says {
        assert!(message.contains(part), "no `{part}` in\n{message}");
    }
    assert!(output.stdout.is_empty());
    assert!(empty(work.path()), "nothing is written");
}

const GOOD: &str = "[domain]\nx = [0, 1]\n\n[equation]\nunknown = \"u\"\nequation = \"u_xx = sin(x)\"\n\n\
                    [conditions]\nx = { lower = \"u = 0\", upper = \"u = 0\" }\n\n[method]\nname = \"gp-hm\"\n";

#[test]
fn wrong_input_is_explained_with_its_place() {
    refused("[domain", &[], &["wrong.toml", "1:"]);
    refused(&GOOD.replace("sin(x)", "sin(z)"), &[], &["unknown name `z`", "wrong.toml:6:"]);
    refused(&GOOD.replace("[equation]", "[equatoin]"), &[], &["did you mean `equation`?", "wrong.toml:4:"]);
    refused(&GOOD.replace("[0, 1]", "[1, 0]"), &[], &["the domain is empty along `x`", "wrong.toml:2:"]);
    refused(&GOOD.replace(", upper = \"u = 0\"", ""), &[], &["1 condition along `x`", "wrong.toml:9:"]);
    refused(&format!("{GOOD}kernle = \"matern\"\n"), &[], &["did you mean `kernel`?", "wrong.toml:13:"]);
    // What only the method can tell is placed as well.
    refused(&format!("{GOOD}points = 2\n"), &[], &["at least 3", "wrong.toml:13:"]);
    refused(&GOOD.replace("sin(x)", "1/x"), &[], &["not finite", "wrong.toml:6:"]);
    refused(GOOD, &["--method", "colocation"], &["collocation"]);
    refused(GOOD, &["--threads", "0"], &["--threads"]);
}

#[test]
fn a_file_that_does_not_exist() {
    let folder = TempDir::new().expect("a folder");
    let output = mathesis(folder.path(), &["solve", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read nowhere.toml"));
    assert!(empty(folder.path()));
}

#[test]
fn papers_lists_what_is_implemented() {
    let folder = TempDir::new().expect("a folder");
    let output = mathesis(folder.path(), &["papers", "--json"]);
    assert!(output.status.success());
    let papers: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(papers.as_array().expect("a list").iter().any(|paper| paper["slug"] == "gp-hm"));
    let output = mathesis(folder.path(), &["papers"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("gp-hm"));
}

#[test]
fn reproduce_runs_cells_and_keeps_them() {
    let folder = TempDir::new().expect("a folder");
    let arguments = [
        "reproduce",
        "gp-hm",
        "--problems",
        "u1",
        "--methods",
        "adam-gm",
        "--adam-steps",
        "20",
        "--output",
        "out",
    ];
    let first = mathesis(folder.path(), &arguments);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let table = std::fs::read_to_string(folder.path().join("out/table.md")).expect("written");
    assert!(table.contains("| u1 | Poisson | 7e-7 | 4e-7 | adam-gm |"), "{table}");
    let second = mathesis(folder.path(), &arguments);
    assert!(String::from_utf8_lossy(&second.stderr).contains("kept from"));
    let cells = std::fs::read_to_string(folder.path().join("out/cells.jsonl")).expect("written");
    assert_eq!(cells.lines().count(), 1);
    let wrong = mathesis(folder.path(), &["reproduce", "gp-hm", "--problems", "u99"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn structural_models_give_constraints_scores_and_a_drawn_graph() {
    let folder = TempDir::new().expect("a folder");
    let record = solved(folder.path(), "structural-cycle.toml");
    assert_eq!(record["result"]["certificate"]["verified_exactly"], 2);
    assert_eq!(record["result"]["certificate"]["complete_to_degree"], 4);
    let run = folder.path().join("runs/structural-cycle");
    for (file, part) in [
        ("polynomials.txt", "sigma_1_1*"),
        ("polynomials.tex", "\\sigma_{1,1}"),
        ("polynomials.m2", "sigma_(1,1)"),
        ("polynomials.sing", "sigma(1)(1)"),
        ("plots/graph.svg", "<svg"),
    ] {
        let content = std::fs::read_to_string(run.join(file)).expect(file);
        assert!(content.contains(part), "{file}: {content}");
    }
    let record = solved(folder.path(), "structural-test-fit.toml");
    assert_eq!(record["result"]["rejected"], true);
    assert!(folder.path().join("runs/structural-test-fit/scores.csv").is_file());
    let output = mathesis(
        folder.path(),
        &["solve", &example("structural-cycle.toml"), "--json", "--quiet", "--method", "covariance"],
    );
    let record: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    let determinant = record["result"]["determinant"].as_str().expect("a text");
    assert_eq!(determinant.matches("lambda").count(), 4, "{determinant}");
}
