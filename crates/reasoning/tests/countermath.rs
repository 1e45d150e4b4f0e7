//! The acceptance figures of CounterMATH. Tests on the shared data say so and pass without `MATHESIS_DATA`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mathesis_reasoning::answers::Language;
use mathesis_reasoning::models::calls::{Calls, Limits, Log, Options};
use mathesis_reasoning::models::{Request, Sample, Sampling, ScriptedModel};
use mathesis_reasoning::suites::countermath::extract::Rule;
use mathesis_reasoning::suites::countermath::judge::{self, Case, Judged, Rationales};
use mathesis_reasoning::suites::countermath::prompt::{Prompter, Style};
use mathesis_reasoning::suites::countermath::records::{Field, Statistics, add_labels, load, require_labels};
use mathesis_reasoning::suites::countermath::steps;
use serde_json::Value;

fn folder(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("MATHESIS_DATA").map(|data| PathBuf::from(data).join(name));
    match path {
        Some(path) if path.is_dir() => Some(path),
        _ => {
            println!("skipped: MATHESIS_DATA holds no {name}");
            None
        }
    }
}

#[test]
fn the_published_statements_count_as_published() {
    let Some(folder) = folder("countermath") else { return };
    let (statements, _) = load(&folder).unwrap();
    let counts = Statistics::of(&statements);
    assert_eq!((counts.statements, counts.distinct), (1216, 1215));
    let fields: Vec<(Field, usize)> =
        counts.fields.iter().map(|(field, counts)| (*field, counts[0])).collect();
    let expected = Field::ALL.into_iter().zip([444, 429, 225, 118]).collect::<Vec<_>>();
    assert_eq!(fields, expected);
    assert_eq!((format!("{:.1}", counts.english.0), counts.english.1), ("126.8".into(), 671));
    assert_eq!(format!("{:.1}", counts.chinese.0), "57.3");
    assert_eq!(counts.repeated.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    // They can be asked, and not scored.
    let message = require_labels(&statements).unwrap_err();
    assert!(
        message.contains("1216 of 1216 statements have no `judgement`, the first at statements.jsonl:1"),
        "{message}"
    );
    for language in [Language::En, Language::Zh] {
        for style in Style::ALL {
            let prompter = Prompter::new(style, language, None).unwrap();
            for statement in &statements {
                let problem = prompter.problem(statement);
                let (text, request) = prompter.request(&problem, &Sampling::default()).unwrap();
                assert!(text.contains("\\boxed{") && text.ends_with(request.prompt.last_text().as_str()));
                assert!(problem.reference.is_empty());
            }
        }
    }
}

#[test]
fn labels_come_with_the_rows_or_from_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let row = |id: usize, more: &str| {
        format!(
            "{{\"id\": {id}, \"statement\": \"s{id}\", \"chinese_statement\": \"\", \"field\": \"algebra\"{more}}}\n"
        )
    };
    write("statements.jsonl", &(row(0, ", \"judgement\": true, \"rationale\": \"r\"") + &row(1, "")));
    let (mut statements, _) = load(folder.path()).unwrap();
    assert_eq!((statements[0].judgement, statements[1].judgement), (Some(true), None));
    let message = require_labels(&statements).unwrap_err();
    assert!(
        message.contains("1 of 2 statements have no `judgement`, the first at statements.jsonl:2 (id 1)"),
        "{message}"
    );
    let labels = |text: &str, statements: &mut Vec<_>| {
        write("labels.jsonl", text);
        add_labels(statements, &folder.path().join("labels.jsonl")).map_err(|error| error.to_string())
    };
    for (text, expected) in [
        ("{\"id\": 7, \"judgement\": true}", "labels.jsonl:1: there is no statement `7`"),
        ("{\"id\": 1}", "labels.jsonl:1: the field `judgement` is missing"),
        ("{\"id\": 1, \"judgement\": \"yes\"}", "expected true or false"),
        (
            "{\"id\": 1, \"judgement\": true}\n{\"id\": 1, \"judgement\": false}",
            "labels.jsonl:2: the statement `1` has a label already",
        ),
    ] {
        let message = labels(text, &mut statements.clone()).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    labels("{\"id\": 1, \"judgement\": false, \"rationale\": \"why\"}", &mut statements).unwrap();
    assert_eq!((statements[1].judgement, statements[1].rationale.as_str()), (Some(false), "why"));
    assert_eq!(require_labels(&statements), Ok(()));

    for (text, expected) in [
        (
            row(0, "").replace("algebra", "algebraic"),
            "statements.jsonl:1: there is no field `algebraic`; did you mean `algebra`?",
        ),
        (row(0, ", \"judgement\": 1"), "judgement is 1: expected true or false"),
        (row(0, "") + &row(0, ""), "statements.jsonl:2: the id `0` is there already"),
        (row(0, "").replace("\"s0\"", "\" \""), "the field `statement` is empty"),
        (String::new(), "no problem"),
    ] {
        write("statements.jsonl", &text);
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// Boxes and sentences of the shared answer pairs that are about truth.
#[test]
fn truth_rows_of_the_answer_pairs() {
    let Some(folder) = folder("answer-pairs") else { return };
    let text = std::fs::read_to_string(folder.join("extraction.jsonl")).unwrap();
    let mut rows = 0;
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["category"] == "truth" {
            rows += 1;
            let verdict = Rule::Robust.verdict(row["response"].as_str().unwrap());
            let expected = match row["extracted"].as_str() {
                Some("True") => Some(true),
                Some("False") => Some(false),
                _ => None,
            };
            assert_eq!(verdict, expected, "{row}");
        }
    }
    assert_eq!(rows, 5);
}

/// A judge that answers by what the reply says it holds: "examples 3 consistent 1"; malformed at first where it says so.
fn scripted(sent: Arc<AtomicUsize>) -> ScriptedModel {
    ScriptedModel::new("judge", move |request, sample| {
        sent.fetch_add(1, Ordering::SeqCst);
        let text = request.prompt.last_text();
        let after = |word: &str| -> usize {
            let rest = text.split_once(word).map_or("", |(_, rest)| rest).trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("").parse().unwrap_or(0)
        };
        if sample < after("malformed ") {
            return Ok(Sample::of("I think that the examples are fine."));
        }
        let (all, agreeing) = (after("examples held "), after("of these right "));
        let verdict = match (all, agreeing) {
            (0, _) => "no-example",
            (_, 0) => "none",
            (all, agreeing) if all == agreeing => "all",
            _ => "some",
        };
        Ok(Sample::of(format!(
            "{{\"uses_example\": {}, \"n_examples\": {all}, \"n_consistent\": {agreeing}, \"verdict\": \"{verdict}\"}}",
            all > 0
        )))
    })
}

fn run(folder: &std::path::Path, requests: &[Request]) -> (Vec<Judged>, usize) {
    let sent = Arc::new(AtomicUsize::new(0));
    let model = Arc::new(scripted(sent.clone()));
    let options = Options { limits: Limits { concurrency: 16, ..Limits::default() }, ..Options::default() };
    let calls = Calls::new(model, Arc::new(Log::open(folder).unwrap()), options).unwrap();
    let mut judged = Vec::new();
    judge::judge(&calls, requests, 3, |_, one, _| judged.push(one)).unwrap();
    (judged, sent.load(Ordering::SeqCst))
}

#[test]
fn malformed_judgements_are_asked_again_and_counted() {
    let replies = [
        "examples held 2, of these right 2",
        "examples held 2, of these right 1",
        "examples held 1, of these right 0",
        "examples held 0",
        "malformed 2 examples held 1, of these right 1",
        "malformed 9 examples held 1, of these right 1",
    ];
    let cases: Vec<Case<'_>> = (replies.iter())
        .map(|reply| Case { statement: "S", judgement: false, rationale: "R", prediction: None, reply })
        .collect();
    for language in [Language::En, Language::Zh] {
        let folder = tempfile::tempdir().unwrap();
        let requests = judge::requests(&cases, language, &Sampling::default()).unwrap();
        let (judged, sent) = run(folder.path(), &requests);
        // Four replies at once, one at the third try, three in vain.
        assert_eq!(sent, 4 + 3 + 3);
        let shares = Rationales::of(&judged);
        assert_eq!((shares.replies, shares.malformed, shares.unjudged), (6, 5, 1));
        let sixths =
            [shares.examples, shares.strict, shares.loose].map(|share| (share * 6.0).round() as usize);
        assert_eq!(sixths, [4, 2, 3]);
        assert!(judged[5].judgement.is_none() && judged[5].text.starts_with("I think"));
        // Everything is in the log, malformed replies too.
        assert_eq!(run(folder.path(), &requests), (judged, 0));
    }
}

/// Three calls for each of 1,216 replies: examples, and two chunks of steps.
#[test]
fn a_whole_judging_is_resumed_where_it_stood() {
    let reply = |k: usize| {
        let steps: Vec<String> = (1..=4).map(|step| format!("{step}. step {step} of {k}")).collect();
        format!("{}\nexamples held {}, of these right {}", steps.join("\n"), k % 3, k % 2 * (k % 3))
    };
    let replies: Vec<String> = (0..1216).map(reply).collect();
    let statements: Vec<String> = (0..1216).map(|k| format!("statement {k}")).collect();
    let cases: Vec<Case<'_>> = (statements.iter().zip(&replies))
        .map(|(statement, reply)| Case {
            statement,
            judgement: true,
            rationale: "R",
            prediction: None,
            reply,
        })
        .collect();
    let mut requests = judge::requests(&cases, Language::En, &Sampling::default()).unwrap();
    for case in &cases {
        requests.extend(steps::requests(case, Language::En, &Sampling::default()).unwrap());
    }
    assert_eq!(requests.len(), 3 * 1216);
    let folder = tempfile::tempdir().unwrap();
    let (part, sent) = run(folder.path(), &requests[..1500]);
    assert_eq!((part.len(), sent), (1500, 1500));
    let (all, sent) = run(folder.path(), &requests);
    assert_eq!((all.len(), sent), (3648, 3648 - 1500));
    assert_eq!(all[..1500], part[..]);
    assert_eq!(run(folder.path(), &requests).1, 0);
    let shares = Rationales::of(&all[..1216]);
    assert!(0.0 < shares.strict && shares.strict <= shares.loose && shares.loose <= shares.examples);
}
