//! `mathesis check`: one pair, and files of pairs.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::unbroken;

/// The binary with a budget that a busy machine cannot spend.
fn mathesis(folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    super::mathesis(folder, &[arguments, &["--budget", "20000"]].concat())
}

fn code(arguments: &[&str]) -> (i32, String) {
    let folder = TempDir::new().expect("a folder");
    let output = mathesis(folder.path(), &[&["check"], arguments].concat());
    (output.status.code().expect("an exit code"), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn the_exit_code_is_the_verdict() {
    let (equal, reason) = code(&["\\frac{3}{4}", "0.75"]);
    assert_eq!((equal, reason.as_str()), (0, "equal: same rational number\n"));
    assert_eq!(code(&["x>5", "x<5"]).0, 1);
    assert_eq!(code(&["-3", "-3"]).0, 0);
    assert_eq!(code(&["0.5", "0.50", "--mode", "hendrycks"]).0, 1);
    assert_eq!(code(&["9\\%", "9", "--mode", "math-verify"]).0, 0);
    assert_eq!(code(&["1500", "1.500", "--language", "de"]).0, 0);
    assert_eq!(code(&["1500", "1.500"]).0, 1);
    let (found, lines) = code(&["42", "so it is \\boxed{42}.", "--extract"]);
    assert_eq!(found, 0);
    assert!(lines.starts_with("answer: 42\n"), "{lines}");
    let (_, record) = code(&["42", "no number", "--extract", "--json"]);
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!((&record["answer"], &record["verdict"]), (&Value::Null, &"different".into()));
}

#[test]
fn wrong_arguments_are_explained() {
    let folder = TempDir::new().expect("a folder");
    for arguments in
        [&["check", "1"][..], &["check", "1", "2", "--mode", "guess"], &["check", "--batch", "none.jsonl"]]
    {
        let output = mathesis(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    let output = mathesis(folder.path(), &["check", "1", "2", "--mode", "guess"]);
    assert!(unbroken(&output).contains("math-verify"), "{}", unbroken(&output));
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf8_is_wrong_input() {
    use std::os::unix::ffi::OsStrExt;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mathesis"))
        .arg("check")
        .arg("1")
        .arg(std::ffi::OsStr::from_bytes(b"\xff\xfe"))
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(unbroken(&output).to_lowercase().contains("utf-8"), "{}", unbroken(&output));
}

#[test]
fn a_file_is_judged_in_order_on_all_cores() {
    let folder = TempDir::new().expect("a folder");
    let line = |n: usize| match n % 3 {
        0 => format!("{{\"id\": {n}, \"gold\": \"{n}/2\", \"answer\": \"\\\\frac{{{n}}}{{2}}\"}}\n"),
        1 => format!("{{\"id\": {n}, \"gold\": {n}, \"response\": \"The answer is {n}.\"}}\n\n"),
        _ => format!("{{\"id\": {n}, \"gold\": \"{n}\", \"answer\": \"x\"}}\n"),
    };
    fs::write(folder.path().join("pairs.jsonl"), (0..9999).map(line).collect::<String>()).expect("written");
    let output = mathesis(folder.path(), &["check", "--batch", "pairs.jsonl", "--output", "judged.jsonl"]);
    assert!(output.status.success(), "{}", unbroken(&output));
    assert!(unbroken(&output).starts_with("6666 of 9999 equal"), "{}", unbroken(&output));
    let judged = fs::read_to_string(folder.path().join("judged.jsonl")).expect("written");
    for (n, line) in judged.lines().enumerate() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(record["id"], n);
        assert_eq!(record["verdict"], if n % 3 == 2 { "different" } else { "equal" }, "{line}");
    }
    assert_eq!(judged.lines().count(), 9999);
}

#[test]
fn bad_lines_are_named_and_the_rest_is_judged() {
    let folder = TempDir::new().expect("a folder");
    let mut bytes =
        b"{\"gold\": \"1\", \"answer\": \"1\"}\n{\"gold\": \"1\"\n{\"gold\": \"\xff\"}\n".to_vec();
    bytes.extend(b"{\"gold\": \"2\"}\n[]\n{\"gold\": \"2\", \"answer\": \"4/2\"}");
    fs::write(folder.path().join("pairs.jsonl"), bytes).expect("written");
    let output = mathesis(folder.path(), &["check", "--batch", "pairs.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    let complaints = unbroken(&output);
    for complaint in [
        "pairs.jsonl:2: not JSON",
        "pairs.jsonl:3: not UTF-8 from byte 11",
        "pairs.jsonl:4: the field `answer` or `response`",
        "pairs.jsonl:5: the field `gold`",
        "2 of 2 equal",
        "4 lines of pairs.jsonl could not be judged",
    ] {
        assert!(complaints.contains(complaint), "{complaint} is not in {complaints}");
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
}
