//! The acceptance figures of the misconception benchmark. Tests on the shared data say so and pass without `MATHESIS_DATA`.

use std::path::PathBuf;
use std::sync::Arc;

use mathesis_reasoning::models::calls::{Calls, Log, Options};
use mathesis_reasoning::statistics::classification::Macro;
use mathesis_reasoning::suites::Reply;
use mathesis_reasoning::suites::misconceptions::lexical::{LexicalModel, Likeness, Terms, leave_one_out};
use mathesis_reasoning::suites::misconceptions::logs;
use mathesis_reasoning::suites::misconceptions::prompt::{Prompter, published_sampling, request};
use mathesis_reasoning::suites::misconceptions::records::{self, Statistics};
use mathesis_reasoning::suites::misconceptions::remediation;
use mathesis_reasoning::suites::misconceptions::replies::Rules;
use mathesis_reasoning::suites::misconceptions::rubric::{DIMENSIONS, TAGS};
use mathesis_reasoning::suites::misconceptions::scores::{Scores, score};
use mathesis_reasoning::suites::misconceptions::transcripts::{Transcript, judge};
use mathesis_reasoning::suites::misconceptions::trials::{Experiment, plan};
use serde_json::Value;

fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("MATHESIS_DATA").map(|data| PathBuf::from(data).join("math-misconceptions"));
    match path {
        Some(path) if path.is_dir() => Some(path),
        _ => {
            println!("skipped: MATHESIS_DATA holds no math-misconceptions");
            None
        }
    }
}

#[test]
fn the_published_items_count_as_published() {
    let Some(folder) = folder() else { return };
    let (items, files) = records::load(&folder).unwrap();
    let counts = Statistics::of(&items);
    assert_eq!((counts.items, counts.misconceptions, counts.topics.len()), (220, 55, 8));
    assert_eq!(counts.topics.values().copied().collect::<Vec<_>>(), [20, 68, 32, 16, 32, 8, 16, 28]);
    assert_eq!((counts.images, counts.need_image), ([21, 29, 12], 37));
    assert_eq!((counts.no_source, counts.no_explanation), (1, 107));
    assert_eq!((files[0].name.as_str(), files[0].rows), ("data.json", 220));
    // The same below the folder of all data.
    assert_eq!(records::load(folder.parent().unwrap()).unwrap().0, items);
}

/// 220 rows like the published ones, of which one is changed.
fn rows(change: impl Fn(&mut Vec<Value>)) -> String {
    let mut rows: Vec<Value> = Vec::new();
    for id in 1..=55 {
        let topic = match id {
            1..=5 => "Number sense",
            6..=22 => "Number operations",
            23..=30 => "Ratios and proportional reasoning",
            31..=34 => "Properties of number and operations",
            35..=42 => "Patterns, relationships, and functions",
            43..=44 => "Algebraic representations",
            45..=48 => "Variables, expressions, and operations",
            _ => "Equations and inequalities",
        };
        for example in 1..=4 {
            rows.push(serde_json::json!({
                "Misconception": "m", "Misconception ID": format!("MaE{id:02}"), "Topic": topic,
                "Example Number": example, "Question": "q", "Incorrect Answer": "w", "Correct Answer": "r",
                "Question image": "", "Learner Answer image": "", "Correct Answer image": "",
                "Source": "", "Explanation": ""
            }));
        }
    }
    change(&mut rows);
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    format!("[\n{}\n]", lines.join(",\n"))
}

#[test]
fn rows_that_cannot_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let load = |text: String| {
        std::fs::write(folder.path().join("data.json"), text).unwrap();
        records::load(folder.path()).map(|(items, _)| items.len()).map_err(|error| error.to_string())
    };
    assert_eq!(load(rows(|_| {})), Ok(220));
    type Change = fn(&mut Vec<Value>);
    let cases: [(Change, &str); 9] = [
        (
            |rows| drop(rows[6].as_object_mut().unwrap().remove("Question")),
            "data.json:8: the field `Question` is missing",
        ),
        (
            |rows| rows[6]["Incorrect Answer"] = " ".into(),
            "data.json:8: the field `Incorrect Answer` is empty",
        ),
        (
            |rows| rows[6]["Example Number"] = 5.into(),
            "data.json:8: Example Number 5 of MaE02: expected 1 to 4",
        ),
        (|rows| rows.push(rows[6].clone()), "data.json:222: MaE02-3 is there already, at data.json:8"),
        (
            |rows| rows[6]["Misconception ID"] = "MaE56".into(),
            "data.json:8: Misconception ID `MaE56`: expected MaE01",
        ),
        (|rows| rows[6]["Misconception ID"] = "MaE2".into(), "data.json:8: Misconception ID `MaE2`"),
        (
            |rows| rows[6]["Topic"] = "Equations and inequalities".into(),
            "data.json:8: topic `Equations and inequalities` of MaE02: expected `Number sense`",
        ),
        (|rows| rows[6]["Misconception ID"] = "MaE40".into(), "of MaE40: expected `Patterns"),
        (|rows| drop(rows.remove(6)), "examples are missing: MaE02-3"),
    ];
    for (change, expected) in cases {
        let message = load(rows(change)).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    std::fs::remove_file(folder.path().join("data.json")).unwrap();
    assert!(records::load(folder.path()).unwrap_err().to_string().contains("no data.json"));
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 0.0006, "{value} for {expected}");
}

fn macros(found: Macro, [precision, recall, f1]: [f64; 3]) {
    near(found.precision, precision);
    near(found.recall, recall);
    near(found.f1, f1);
}

fn topics(scores: &Scores, expected: [f64; 8]) {
    for (topic, expected) in scores.topics.iter().zip(expected) {
        near(topic.accuracy, expected);
    }
}

#[test]
fn published_logs_score_as_recomputed() {
    let Some(folder) = folder() else { return };
    let scores = |name: &str| score(&logs::read(&folder.join(name)).unwrap());

    let first = scores("experiment_1_gpt-4-turbo_100iters.csv");
    assert_eq!((first.right, first.decisions, first.trials), (2830, 5500, 100));
    let (over_true, over_all) = (first.macro_true, first.macro_all);
    macros(over_true, [0.497, 0.515, 0.497]);
    macros(over_all, [0.488, 0.505, 0.488]);
    topics(&first, [0.616, 0.693, 0.339, 0.515, 0.4425, 0.315, 0.435, 0.394]);
    assert_eq!(first.other_labels, [("MaE00".to_string(), 4)].into());
    assert!(first.interval.contains(first.accuracy) && first.macro_f1_interval.contains(over_true.f1));

    let second = scores("experiment_2_gpt-4-turbo_100iters.csv");
    assert_eq!((second.right, second.decisions, second.trials), (3224, 4400, 80));
    let (over_true, over_all) = (second.macro_true, second.macro_all);
    macros(over_true, [0.742, 0.733, 0.728]);
    macros(over_all, [0.681, 0.672, 0.667]);
    topics(&second, [0.770, 0.826, 0.484, 0.834, 0.628, 0.969, 0.769, 0.736]);
    let invalid = [
        ("Correct", 33),
        ("Incorrect Diagnosis", 1),
        ("No Misconception ID applicable", 3),
        ("None", 13),
        ("correct", 2),
    ];
    assert_eq!(second.other_labels, invalid.map(|(label, count)| (label.to_string(), count)).into());
}

#[test]
fn logs_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    let read = |rows: &str| {
        let header = "Misconception ID,Example Number,Topic,Predicted Diagnosis,Trial,Correct";
        std::fs::write(&path, format!("{header}\n{rows}")).unwrap();
        logs::read(&path).map(|decisions| decisions.len()).map_err(|error| error.to_string())
    };
    assert_eq!(read("MaE01,1,Number sense,MaE01,0,True\nMaE02,4,Number sense,,0,False\n"), Ok(2));
    for (rows, expected) in [
        (
            "MaE01,1,Number sense,MaE02,0,True\n",
            "log.csv:2: Correct is True, but MaE01 was diagnosed as `MaE02`",
        ),
        ("MaE01,1,Number operations,MaE02,0,False\n", "log.csv:2: topic `Number operations` of MaE01"),
        ("MaE01,9,Number sense,MaE02,0,False\n", "example `9`"),
        ("MaE01,1,Number sense,MaE02,first,False\n", "trial `first`"),
        ("MaE01,1\n", "log.csv"),
        ("", "no decisions"),
    ] {
        let message = read(rows).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    std::fs::write(&path, "a,b\n1,2\n").unwrap();
    let message = logs::read(&path).unwrap_err().to_string();
    assert!(message.contains("no column `Misconception ID`; there are a, b"), "{message}");
}

/// As scikit-learn 1.9.1 finds them, see bench/misconceptions.
#[test]
fn lexical_baselines_left_one_out() {
    let Some(folder) = folder() else { return };
    let (items, _) = records::load(&folder).unwrap();
    let counts = |terms| {
        let likeness = Likeness::of(&items, terms);
        (leave_one_out(&items, &likeness, false), leave_one_out(&items, &likeness, true))
    };
    assert_eq!(counts(Terms::Characters), (96, 121));
    assert_eq!(counts(Terms::Words), (76, 100));
}

/// The whole way: plan, prompts, a model behind the call layer, parser, scores; and again without a call.
#[test]
fn a_lexical_model_runs_like_any_other_and_resumes() {
    let Some(folder) = folder() else { return };
    let (items, _) = records::load(&folder).unwrap();
    let batches = plan(&items, &Experiment::ALL, 20, 20_240_701);
    let prompter = Prompter::new().unwrap();
    let prompts: Vec<String> = batches.iter().map(|batch| prompter.render(&items, batch).unwrap()).collect();
    let requests: Vec<_> = (batches.iter().zip(&prompts))
        .map(|(batch, prompt)| request(prompt, batch.trial, &published_sampling()))
        .collect();
    let log = tempfile::tempdir().unwrap();
    let run = |requests: &[_]| {
        let model = LexicalModel::new(&items, Terms::Characters, &batches, &prompts);
        let log = Arc::new(Log::open(log.path()).unwrap());
        let calls = Calls::new(Arc::new(model), log, Options::default()).unwrap();
        let mut replies = Vec::new();
        calls.run(
            requests,
            async |request| calls.ask(request).await,
            |_, answers| replies.push(Reply::of(&answers.outcomes[0]).unwrap()),
        );
        (replies, calls.status().sent)
    };
    let (part, sent) = run(&requests[..50]);
    assert_eq!((part.len(), sent), (50, 50));
    let (replies, sent) = run(&requests);
    assert_eq!((replies.len(), sent), (180, 130));
    assert_eq!(run(&requests), (replies.clone(), 0));

    let transcripts: Vec<Transcript> = (batches.iter().zip(replies))
        .map(|(batch, reply)| Transcript { reply: Some(reply), ..Transcript::planned("run", &items, batch) })
        .collect();
    let likeness = Likeness::of(&items, Terms::Characters);
    for rules in [Rules::Numbered, Rules::Positional] {
        let judged = judge(&transcripts, rules);
        for (experiment, judged) in &judged {
            let of = batches.iter().filter(|batch| batch.experiment == *experiment);
            let direct: usize = of
                .map(|batch| {
                    let diagnoses = likeness.diagnoses(&items, batch);
                    let right = batch.test.iter().zip(diagnoses);
                    right.filter(|(at, diagnosis)| items[**at].misconception == *diagnosis).count()
                })
                .sum();
            let scores = score(&judged.decisions);
            assert_eq!((scores.decisions, scores.right), (1100, direct), "{experiment:?}");
            // One shown example instead of three: about .36 and .47.
            let expected = if *experiment == Experiment::CrossTopic { 0.358 } else { 0.469 };
            assert!((scores.accuracy - expected).abs() < 0.05, "{experiment:?} {}", scores.accuracy);
        }
    }
}

#[test]
fn remediation_cases_and_rubric_are_the_published_ones() {
    let Some(folder) = folder() else { return };
    let (cases, _) = remediation::load(&folder).unwrap();
    assert_eq!(cases.len(), 55);
    let prompter = remediation::Prompter::new(&cases).unwrap();
    for case in &cases {
        assert!((3..=4).contains(&case.pattern.len()));
        for condition in remediation::Condition::ALL {
            let text = prompter.render(case, condition).unwrap();
            assert!(text.contains(case.pattern[0].answer.trim()));
        }
    }
    let schema = std::fs::read_to_string(folder.join("remediation_scoring_schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["dimensions"], serde_json::json!(DIMENSIONS));
    assert_eq!(schema["tags"], serde_json::json!(TAGS));
    assert_eq!((&schema["score_min"], &schema["score_max"]), (&1.into(), &5.into()));
}
