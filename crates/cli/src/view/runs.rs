//! Finding the runs of a folder, and what the list says of each.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

/// A run in the list.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Its folder below the one that is viewed; `.` if it is that folder.
    pub name: String,
    /// What made it: `eval`, `solve`, `make` or another verb, as far as its record tells.
    pub kind: String,
    /// The suite of a benchmark, the title of a problem.
    pub title: String,
    /// The model or the method.
    pub by: String,
    /// Who judged.
    pub grader: String,
    /// When it ended.
    pub finished: String,
    /// How long it took, in seconds.
    pub seconds: Option<f64>,
    /// The accuracy of a benchmark with the ends of its interval.
    pub accuracy: Option<[f64; 3]>,
    /// How many replies of a benchmark have each verdict.
    pub verdicts: Vec<(String, u64)>,
    /// Problems and replies of a benchmark.
    pub counts: Option<[u64; 2]>,
    /// Other figures.
    pub figures: Vec<(String, String)>,
    /// Whether its items can be shown.
    pub has_items: bool,
    /// Whether there is a report.
    pub has_report: bool,
    /// What is wrong with it.
    pub wrong: Option<String>,
}

/// How deep runs are looked for below the folder.
const DEEPEST: usize = 3;

/// The runs of a folder, the last that ended first. Broken ones are among them.
pub fn list(root: &Path) -> io::Result<Vec<Summary>> {
    let mut runs = Vec::new();
    gather(root, "", 0, &mut runs)?;
    runs.sort_by(|a, b| b.finished.cmp(&a.finished).then_with(|| a.name.cmp(&b.name)));
    Ok(runs)
}

fn gather(folder: &Path, name: &str, depth: usize, runs: &mut Vec<Summary>) -> io::Result<()> {
    let holds = |file: &str| folder.join(file).is_file();
    if holds("run.json") || holds("records.jsonl") || holds("report.html") {
        runs.push(summary(folder, if name.is_empty() { "." } else { name }));
        return Ok(());
    }
    if depth == DEEPEST {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let part = entry.file_name().to_string_lossy().into_owned();
        // Links may lead out of the folder, and what is unfinished begins with a dot.
        if part.starts_with('.') || !entry.file_type()?.is_dir() {
            continue;
        }
        let name = if name.is_empty() { part } else { format!("{name}/{part}") };
        if let Err(error) = gather(&entry.path(), &name, depth + 1, runs) {
            runs.push(Summary {
                name,
                wrong: Some(format!("cannot be read: {error}")),
                ..Summary::default()
            });
        }
    }
    Ok(())
}

/// What the list says of a run, broken or not.
pub fn summary(folder: &Path, name: &str) -> Summary {
    let has_records = folder.join("records.jsonl").is_file();
    let mut summary = Summary {
        name: name.to_string(),
        has_items: has_records,
        has_report: folder.join("report.html").is_file(),
        ..Summary::default()
    };
    let record = match read(&folder.join("run.json")) {
        Ok(record) => record,
        Err(wrong) => {
            summary.wrong = Some(wrong);
            return summary;
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let result = &record["result"];
    summary.finished = text(&record["finished"]);
    summary.seconds = record["seconds"].as_f64().or(result["seconds"].as_f64());
    if record["suite"].is_string() {
        summary.kind = "eval".into();
        summary.title = text(&record["suite"]);
        summary.by = match record["model"]["model"].as_str() {
            Some(model) => model.to_string(),
            None => format!("replies of {}", record["replies"].as_str().unwrap_or("a file")),
        };
        summary.grader = text(&result["grader"]);
        let accuracy = &result["accuracy"];
        let share = |value: &Value| value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        summary.accuracy = share(&accuracy["value"]).map(|value| {
            let end = |name: &str, without| share(&accuracy["interval"][name]).unwrap_or(without);
            [value, end("low", 0.0), end("high", 1.0)]
        });
        if let Some(verdicts) = result["verdicts"].as_object() {
            summary.verdicts = (mathesis_reasoning::suites::Verdict::ALL.iter())
                .filter_map(|verdict| Some((verdict.name().into(), verdicts.get(verdict.name())?.as_u64()?)))
                .collect();
        }
        summary.counts = result["problems"].as_u64().zip(result["replies"].as_u64()).map(|(p, r)| [p, r]);
        if !has_records {
            summary.wrong = Some("records.jsonl is missing: there are no items to show".into());
        } else if summary.accuracy.is_none() {
            summary.wrong = Some("run.json holds no accuracy".into());
        }
        return summary;
    }
    summary.has_items = false;
    summary.kind = match (record["recipe"].is_null(), record["problem"].is_null()) {
        (false, _) => "make".into(),
        (true, false) => "solve".into(),
        (true, true) => record["verb"].as_str().unwrap_or("run").into(),
    };
    let named = [&record["title"], &record["recipe"], &record["name"]];
    summary.title = named.iter().find_map(|value| value.as_str()).unwrap_or(name).to_string();
    let method = [&result["method"], &record["method"]["name"], &record["model"]["model"]];
    summary.by = method.iter().find_map(|value| value.as_str()).unwrap_or_default().to_string();
    summary.figures = figures(result);
    if !summary.has_report {
        summary.wrong = Some("report.html is missing".into());
    }
    summary
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "run.json is missing".to_string(),
        _ => format!("run.json cannot be read: {error}"),
    })?;
    let record: Value =
        serde_json::from_slice(&text).map_err(|error| format!("run.json is broken: {error}"))?;
    if record.is_object() { Ok(record) } else { Err("run.json is no record of a run".into()) }
}

/// The first plain figures of a result, besides those that have a place of their own.
fn figures(result: &Value) -> Vec<(String, String)> {
    let Some(entries) = result.as_object() else { return Vec::new() };
    let shown = |value: &Value| match value {
        Value::Number(number) if number.is_f64() => number.as_f64().map(crate::record::figure),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if text.len() <= 40 => Some(text.clone()),
        _ => None,
    };
    (entries.iter())
        .filter(|(name, _)| !matches!(name.as_str(), "method" | "seconds" | "done" | "notes"))
        .filter_map(|(name, value)| Some((name.replace('_', " "), shown(value)?)))
        .take(4)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_and_broken_ones_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let metrics = r#"{"accuracy": {"value": 0.5, "interval": {"low": 0.2, "high": 0.8}}, "problems": 2, "replies": 2,
            "grader": "strict 1", "verdicts": {"right": 1, "wrong": 1}}"#;
        let run =
            format!(r#"{{"suite": "s", "model": {{"model": "m"}}, "finished": "2", "result": {metrics}}}"#);
        write("good/run.json", &run);
        write("good/records.jsonl", "");
        write("deep/er/run.json", r#"{"problem": {}, "title": "T", "result": {"method": "M", "x": 0.25}}"#);
        write("deep/er/report.html", "");
        write("half/run.json", &run);
        write("broken/run.json", "{");
        write("lost/records.jsonl", "");
        write("calls/calls.sqlite", "");
        write(".unfinished-x/run.json", &run);
        let runs = list(folder.path()).unwrap();
        let run = |name: &str| runs.iter().find(|run| run.name == name).unwrap();
        assert_eq!(runs.len(), 5);
        let good = run("good");
        assert_eq!((good.accuracy, good.counts, &*good.by), (Some([0.5, 0.2, 0.8]), Some([2, 2]), "m"));
        assert_eq!((good.wrong.as_deref(), good.has_items), (None, true));
        let deep = run("deep/er");
        assert_eq!((&*deep.kind, &*deep.title, &*deep.by), ("solve", "T", "M"));
        assert_eq!(deep.figures, [("x".to_string(), "0.25".to_string())]);
        for (name, wrong) in
            [("half", "records.jsonl is missing"), ("broken", "is broken"), ("lost", "run.json is missing")]
        {
            assert!(run(name).wrong.as_ref().unwrap().contains(wrong), "{name}");
        }
        // A folder that is a run itself.
        assert_eq!(list(&folder.path().join("good")).unwrap()[0].name, ".");
    }
}
