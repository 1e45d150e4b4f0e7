//! LiveAoPSBench (Mahdavi et al. 2025): dated questions of a forum, so that a model can be asked what was posted after it
//! was made. The file is one that the recipe [`aops_live`](crate::recipes::aops_live) writes, or has its fields.
//!
//! Tables are made by month, level and type of answer. `windows` asks only what was posted in windows of time and sets
//! them side by side; `released`, the date of the model, tells the months (or windows) that it may have seen: those that
//! begin no later.
//!
//! References go through the extraction of the mode inside a box, as replies do.

use std::collections::BTreeMap;

use super::aggregate::CategoryScore;
use super::{BOX, Data, Kind, Metrics, Problem, Row, Setting, Settings, Source, Strategy, Suite, SuiteError};
use crate::answers::{Mode, Options};
use crate::recipes::aops_live::tags::AnswerType;
use crate::recipes::aops_live::votes::in_box;
use crate::recipes::time::{Time, Window};

pub(super) fn suite() -> Suite {
    let modes = Mode::ALL.iter().map(|mode| mode.name()).collect();
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    Suite {
        name: "aops-live".into(),
        about: "dated questions of a forum, by month (Mahdavi et al. 2025)".into(),
        folders: vec!["aops-live".into()],
        fetch: "the file benchmark.jsonl that the recipe aops-live makes (mathesis make), or one with the fields id, question, \
                answer, date and level, into the folder aops-live"
            .into(),
        needs_data: true,
        settings: vec![
            // As in the evaluation of Qwen2.5-Math, which the publication uses.
            setting("mode", "qwen25", Kind::One(modes), "the rules by which answers are found and compared"),
            setting("max-tokens", "16384", Kind::Whole(1, 1_000_000), "the longest reply, in tokens"),
            setting("temperature", "0", Kind::Number(0.0, 10.0), "sampling temperature"),
            setting("windows", "", Kind::Text, "ask these windows only: 2023-01..2024-01,2024-01..2024-09"),
            setting("released", "", Kind::Text, "when the model was made: 2024-05-13"),
        ],
        strategies: vec![Strategy::CHAIN_OF_THOUGHT, Strategy::ZERO_SHOT],
        answer_form: BOX,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let wrong = |key: &str, value: &str, expected: &str| {
        let (key, value, expected) = (key.into(), value.into(), expected.into());
        SuiteError::Setting(super::SettingError::Value { key, value, expected })
    };
    let mut windows = Vec::new();
    for text in settings.list("windows") {
        let window = Window::parse(text).ok_or_else(|| {
            wrong("windows", text, "windows such as 2023-01..2024-01, with commas between them")
        })?;
        windows.push((text.to_string(), window));
    }
    let released = match settings.get("released") {
        "" => None,
        text => Some(Time::parse(text).ok_or_else(|| wrong("released", text, "a date such as 2024-05-13"))?),
    };
    let options = Options { budget: settings.budget(), ..Options::of(settings.mode()) };
    let problems = source.read("benchmark", None, |row| problem(row, &windows, released, &options))?;
    Ok(Data { problems: problems.into_iter().flatten().collect(), ..Data::default() })
}

/// The problem of a row; none outside the windows.
fn problem(
    row: &Row,
    windows: &[(String, Window)],
    released: Option<Time>,
    options: &Options,
) -> Result<Option<Problem>, String> {
    let date = row.text("date")?;
    let date =
        Time::parse(&date).ok_or_else(|| format!("`date` is `{date}`, and no date such as 2024-01-31"))?;
    let window = windows.iter().find(|(_, window)| window.contains(date));
    if window.is_none() && !windows.is_empty() {
        return Ok(None);
    }
    let answer = row.text("answer")?;
    let mut categories = BTreeMap::from([
        ("month".to_string(), date.month()),
        ("level".into(), row.text("level").unwrap_or("Others".into())),
        ("answer-type".into(), AnswerType::of(&answer).name()),
    ]);
    if let Some((name, _)) = window {
        categories.insert(WINDOW.into(), name.clone());
    }
    if let Some(released) = released {
        let begin = match window {
            Some((_, window)) => window.from,
            None => Time::parse(&date.month()).unwrap_or(date),
        };
        let exposure = if begin <= released { "possibly seen" } else { "after release" };
        categories.insert("exposure".into(), exposure.into());
    }
    Ok(Some(Problem {
        id: row.text("id")?,
        question: row.text("question")?,
        reference: in_box(&answer, options),
        categories,
        origin: row.origin.clone(),
        ..Problem::default()
    }))
}

const WINDOW: &str = "window";

/// By how many percent of the older a newer score is lower.
pub fn drop_percent(older: f64, newer: f64) -> f64 {
    100.0 * (older - newer) / older
}

/// The scores of windows in their order, each with the percentage by which it is lower than the first.
pub fn windows(metrics: &Metrics) -> Vec<(&str, &CategoryScore, f64)> {
    let Some(category) = metrics.categories.get(WINDOW) else { return Vec::new() };
    let first = category.values.values().next().map_or(0.0, |score| score.accuracy.value);
    let scored = category.values.iter();
    scored.map(|(name, score)| (name.as_str(), score, drop_percent(first, score.accuracy.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Grader, Record, Reply, aggregate, grade};
    use super::*;

    /// The published accuracies on the sets of 2023 and 2024, and the drop between them in percent.
    const PUBLISHED: [(f64, f64, f64); 17] = [
        (34.80, 33.40, 4.02),
        (37.84, 36.15, 4.45),
        (42.36, 40.45, 4.51),
        (25.59, 24.14, 5.68),
        (12.78, 11.59, 9.30),
        (17.78, 16.03, 9.83),
        (22.08, 19.80, 10.31),
        (33.26, 29.32, 11.85),
        (22.02, 19.34, 12.16),
        (16.88, 14.76, 12.55),
        (14.35, 12.44, 13.35),
        (15.25, 13.00, 14.76),
        (16.26, 13.64, 16.16),
        (13.01, 10.85, 16.55),
        (12.67, 10.32, 18.51),
        (11.63, 9.30, 20.01),
        (6.32, 4.83, 23.62),
    ];

    #[test]
    fn published_drops_follow_from_the_published_accuracies() {
        let errors: Vec<f64> =
            PUBLISHED.iter().map(|(old, new, drop)| (drop_percent(*old, *new) - drop).abs()).collect();
        let largest = errors.iter().copied().fold(0.0, f64::max);
        println!("largest difference {largest:.4}");
        assert!(errors.iter().all(|error| *error <= 0.06), "{errors:?}");
    }

    fn loaded(lines: &[&str], given: &[(&str, &str)]) -> Result<Data, SuiteError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("benchmark.jsonl"), lines.join("\n")).unwrap();
        let suite = suite();
        let given: Vec<(String, String)> =
            given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        suite.load(folder.path(), &suite.settings(&given)?).map(|(data, _)| data)
    }

    fn line(id: usize, date: &str, answer: &str) -> String {
        let answer = answer.replace('\\', "\\\\");
        format!(
            "{{\"id\": {id}, \"question\": \"q{id}\", \"answer\": \"{answer}\", \"date\": \"{date}\", \"level\": \"College\"}}"
        )
    }

    #[test]
    fn windows_are_half_open_and_months_before_the_release_are_marked() {
        let lines: Vec<String> =
            ["2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z", "2024-08-31T23:59:59Z", "2024-09-01"]
                .iter()
                .enumerate()
                .map(|(id, date)| line(id, date, "2^{2022}"))
                .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let data =
            loaded(&lines, &[("windows", "2023-01..2024-01,2024-01..2024-09"), ("released", "2024-01-01")]);
        let category = |data: &Data, name: &str| -> Vec<String> {
            data.problems.iter().map(|problem| problem.categories[name].clone()).collect()
        };
        let data = data.unwrap();
        assert_eq!(category(&data, "window"), ["2023-01..2024-01", "2024-01..2024-09", "2024-01..2024-09"]);
        assert_eq!(category(&data, "exposure"), ["possibly seen"; 3]);
        let data = loaded(&lines, &[("released", "2024-08-31")]).unwrap();
        assert_eq!(category(&data, "month"), ["2023-12", "2024-01", "2024-08", "2024-09"]);
        assert_eq!(
            category(&data, "exposure"),
            ["possibly seen", "possibly seen", "possibly seen", "after release"]
        );
        assert_eq!(category(&data, "answer-type")[0], "expression");
        // The reference is what a box holds, not the last number of it.
        assert_eq!(data.problems[0].reference, "2^{2022}");
        for (key, value) in [("windows", "2024"), ("windows", "2024-02..2024-01"), ("released", "soon")] {
            let message = loaded(&lines, &[(key, value)]).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains(value), "{message}");
        }
        let message = loaded(&[&line(1, "yesterday", "1")], &[]).unwrap_err().to_string();
        assert!(message.contains("benchmark.jsonl:1") && message.contains("yesterday"), "{message}");
    }

    #[test]
    fn the_defaults_are_those_of_the_publication() {
        let settings = suite().settings(&[]).unwrap();
        let sampling = settings.sampling(None);
        assert_eq!(settings.mode(), Mode::Qwen25);
        assert_eq!((sampling.temperature, sampling.max_tokens), (Some(0.0), Some(16_384)));
    }

    #[test]
    fn scores_of_windows_fall_by_a_percentage() {
        let lines: Vec<String> =
            (0..8).map(|id| line(id, if id < 4 { "2023-05-01" } else { "2024-05-01" }, "7")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let data = loaded(&lines, &[("windows", "2023-01..2024-01,2024-01..2025-01")]).unwrap();
        let reply = |id: usize| {
            if [0, 1, 2, 3, 4, 5, 6].contains(&id) && id != 3 { "\\boxed{7}" } else { "\\boxed{8}" }
        };
        let mut records: Vec<Record> = (data.problems.iter().enumerate())
            .map(|(id, problem)| Record::new(problem, String::new(), None, vec![Reply::complete(reply(id))]))
            .collect();
        let grader = Grader::new(Mode::Qwen25);
        grade::grade(&mut records, &grader);
        let metrics = aggregate(&records, &grader);
        let found: Vec<(&str, f64, f64)> = windows(&metrics)
            .into_iter()
            .map(|(name, score, drop)| (name, score.accuracy.value, drop))
            .collect();
        assert_eq!(found, [("2023-01..2024-01", 0.75, 0.0), ("2024-01..2025-01", 0.75, 0.0)]);
    }
}
