//! The published and measured figures on the shared data sets. Without `MATHESIS_DATA` these tests say so and pass. Rows
//! with the problems of MATH, which are not among the shared data, are left out.

use std::path::PathBuf;

use mathesis_reasoning::answers::metrics::vote;
use mathesis_reasoning::answers::{Mode, Options, check, extract};
use mathesis_reasoning::decontamination::{Contents, Decontaminator, TextSet, read_set};
use mathesis_reasoning::suites::{Grader, Reply, Verdict};
use serde_json::Value;

fn file(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("MATHESIS_DATA").map(|data| PathBuf::from(data).join(name));
    match path {
        Some(path) if path.is_file() => Some(path),
        _ => {
            println!("skipped: MATHESIS_DATA holds no {name}");
            None
        }
    }
}

fn set(name: &str, path: &str, fields: &[&str]) -> Option<TextSet> {
    let fields = fields.iter().map(|field| field.to_string()).collect();
    Some(read_set(name, &file(path)?, &Contents { fields }).unwrap())
}

/// How many texts are removed for each reason, in the order of the reasons.
fn removed(records: &TextSet, engine: &Decontaminator) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for finding in records.texts.iter().filter_map(|text| engine.find(text)) {
        *counts.entry(finding.reason).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn counts_of_the_decontamination_rule() {
    let gsm8k = |split: &str| set("gsm8k", &format!("gsm8k/{split}.jsonl"), &["question"]);
    let (Some(train), Some(test)) = (gsm8k("train"), gsm8k("test")) else { return };
    let Some(svamp) = set("svamp", "math-word-problems/SVAMP.json", &["Body", "Question"]) else { return };
    let Some(msvamp) = set("msvamp", "msvamp/test_English.json", &["m_query"]) else { return };
    let Some(mgsm) = set("mgsm", "mgsm/mgsm_en.tsv", &["1"]) else { return };
    let counts = |records: &TextSet, sets: &[TextSet], n| {
        let engine = Decontaminator::new(sets, n).unwrap();
        let sizes: Vec<usize> = engine.sets().iter().map(|set| set.ngrams).collect();
        let short: Vec<usize> = engine.sets().iter().map(|set| set.short).collect();
        (removed(records, &engine), sizes, short)
    };
    let named = |name: &str, count: usize| (name.to_string(), count);
    assert_eq!(
        (train.texts.len(), test.texts.len(), svamp.texts.len(), mgsm.texts.len()),
        (7473, 1319, 1000, 250)
    );
    let sets = [test.clone(), svamp.clone()];
    assert_eq!(
        counts(&train, &sets, 10),
        (
            vec![named("gsm8k_match_10gram", 10), named("svamp_match_10gram", 1)],
            vec![49_113, 19_912],
            vec![0, 0]
        )
    );
    assert_eq!(
        counts(&train, &sets, 8),
        (
            vec![named("gsm8k_match_8gram", 70), named("svamp_match_8gram", 3)],
            vec![51_717, 19_927],
            vec![0, 0]
        )
    );
    for (n, expected) in [(13, 581), (10, 845), (8, 953)] {
        let (found, _, _) = counts(&svamp, std::slice::from_ref(&msvamp), n);
        assert_eq!(found, [named(&format!("msvamp_match_{n}gram"), expected)]);
    }
    // The first 250 problems of the test set, word for word.
    assert_eq!(counts(&mgsm, std::slice::from_ref(&test), 10).0, [named("gsm8k_match", 250)]);
}

/// The fast rule against sets of n-grams and texts in plain loops, record by record.
#[test]
fn the_engine_agrees_with_plain_sets_on_every_record() {
    let Some(train) = set("train", "gsm8k/train.jsonl", &["question"]) else { return };
    let Some(test) = set("test", "gsm8k/test.jsonl", &["question"]) else { return };
    let Some(college) = set("college", "mwpbench/college_math_ccby_gfdl.jsonl", &["question"]) else {
        return;
    };
    let n = 8;
    let grams = |text: &str| -> std::collections::HashSet<String> {
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        words.windows(n).map(|gram| gram.join(" ")).collect()
    };
    let sets = [college, test];
    let plain: Vec<_> = (sets.iter())
        .map(|set| {
            let lower: Vec<String> = set.texts.iter().map(|text| text.to_lowercase()).collect();
            let all: std::collections::HashSet<String> =
                set.texts.iter().flat_map(|text| grams(text)).collect();
            (&set.name, lower, all)
        })
        .collect();
    let engine = Decontaminator::new(&sets, n).unwrap();
    for record in train.texts.iter().step_by(5) {
        let (lower, own) = (record.to_lowercase(), grams(record));
        let text = plain.iter().find(|(_, texts, _)| texts.iter().any(|text| lower.contains(text.as_str())));
        let expected = text.map(|(name, ..)| format!("{name}_match")).or_else(|| {
            let gram = plain.iter().find(|(_, _, all)| !own.is_disjoint(all));
            gram.map(|(name, ..)| format!("{name}_match_{n}gram"))
        });
        assert_eq!(engine.find(record).map(|finding| finding.reason), expected, "{record}");
    }
}

#[test]
fn replayed_votes_have_the_published_scores() {
    let Some(path) = file("math-votes-100/votes.jsonl") else { return };
    let grader = Grader::new(Mode::Qwen25);
    let options = Options::of(Mode::Qwen25);
    let (mut right, mut majority, mut best, mut any, mut problems) = (0, 0, 0, 0, 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        // References are wrapped in a box, as the evaluation does.
        let reference =
            extract(&format!("\\boxed{{{}}}", row["gt"].as_str().unwrap()), &options).unwrap().answer;
        let codes = row["code"].as_array().unwrap();
        let grades: Vec<_> = (codes.iter())
            .map(|code| grader.grade(&reference, None, &Reply::complete(code.as_str().unwrap())))
            .collect();
        let is_right = |at: usize| grades[at].verdict == Verdict::Right;
        problems += 1;
        right += (0..8).filter(|at| is_right(*at)).count();
        any += usize::from((0..8).any(is_right));
        let answers: Vec<Option<String>> = grades.iter().map(|grade| grade.answer.clone()).collect();
        let chosen = vote(&answers, |_| 1.0, |a, b| check(a, b, &options).is_equal());
        majority += usize::from(chosen.is_some_and(is_right));
        let reward = |at: usize| row["rm_score"][at].as_f64().unwrap();
        let highest = (0..8).max_by(|a, b| reward(*a).total_cmp(&reward(*b)).then(b.cmp(a))).unwrap();
        best += usize::from(is_right(highest));
    }
    println!("{problems} problems, {right} of 800 right, maj@8 {majority}, best by reward {best}, any {any}");
    assert_eq!((problems, right, majority, best, any), (100, 728, 93, 94, 96));
}

/// How many raw references are read as something else unless they stand in a box.
#[test]
fn raw_references_need_their_box() {
    let Some(path) = file("math-answers/math_test_answers.jsonl") else { return };
    let options = Options::of(Mode::Qwen25);
    let (mut rows, mut changed) = (0, 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let raw = row["answer"].as_str().unwrap();
        let read = |text: &str| extract(text, &options).map(|found| found.answer);
        rows += 1;
        changed += usize::from(read(raw) != read(&format!("\\boxed{{{raw}}}")));
    }
    println!("{changed} of {rows} raw references are read as something else");
    assert_eq!(rows, 5000);
    assert!(changed > 500, "{changed}");
}
