//! The acceptance figures on the shared data sets. Without `MATHESIS_DATA` these tests say so and pass.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use mathesis_reasoning::answers::{Language, Mode, Options, check, extract, mgsm};
use serde_json::Value;

/// The strict mode with a budget that a busy machine cannot spend.
fn patient() -> Options {
    Options { budget: Duration::from_secs(20), ..Options::default() }
}

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

fn lines(path: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn strict_verdicts_on_the_pairs() {
    let Some(folder) = folder("answer-pairs") else { return };
    let (mut agreed, mut accepted) = (0, Vec::new());
    let options = patient();
    for pair in lines(folder.join("equality.jsonl")) {
        let (gold, answer) = (pair["gold"].as_str().unwrap(), pair["pred"].as_str().unwrap());
        let verdict = check(gold, answer, &options);
        let back = check(answer, gold, &options);
        assert_eq!(verdict.equality, back.equality, "not symmetric: {gold} | {answer}");
        if verdict.is_equal() == pair["equal"].as_bool().unwrap() {
            agreed += 1;
        } else {
            println!("{}: {gold} | {answer}: {verdict:?}", pair["id"]);
            if verdict.is_equal() {
                accepted.push(pair["id"].clone());
            }
        }
        if !gold.is_empty() {
            assert!(check(gold, gold, &options).is_equal());
        }
    }
    println!("strict: {agreed} of 258");
    assert!(accepted.is_empty(), "wrongly accepted: {accepted:?}");
    assert!(agreed >= 250, "{agreed}");
}

#[test]
fn strict_extraction() {
    let Some(folder) = folder("answer-pairs") else { return };
    let mut right = 0;
    for case in lines(folder.join("extraction.jsonl")) {
        let language = Language::from_code(case["lang"].as_str().unwrap());
        let options = Options { language, ..patient() };
        let found = extract(case["response"].as_str().unwrap(), &options);
        let answer = found.as_ref().map(|found| found.answer.as_str());
        if answer == case["extracted"].as_str() {
            right += 1;
        } else {
            println!("{}: {} -> {found:?}", case["id"], case["response"]);
        }
    }
    assert_eq!(right, 57);
}

#[test]
fn compatible_verdicts() {
    let Some(folder) = folder("answer-pairs") else { return };
    let verdicts: HashMap<String, Value> = lines(folder.join("checker-verdicts.jsonl"))
        .into_iter()
        .map(|verdict| (verdict["id"].as_str().unwrap().to_string(), verdict))
        .collect();
    let pairs = lines(folder.join("equality.jsonl"));
    let mut short = Vec::new();
    for (name, least) in COMPATIBLE {
        let Some((mode, key)) = mode_and_key(name) else { continue };
        let mut agreed = 0;
        for pair in &pairs {
            let (gold, answer) = (pair["gold"].as_str().unwrap(), pair["pred"].as_str().unwrap());
            let verdict = check(gold, answer, &Options::of(mode));
            let expected = verdicts[pair["id"].as_str().unwrap()][key].as_bool().unwrap();
            if verdict.is_equal() == expected {
                agreed += 1;
            } else {
                println!("{name} {}: {gold} | {answer}: {verdict:?}", pair["id"]);
            }
        }
        println!("{name}: {agreed} of 258");
        if agreed < least {
            short.push((name, agreed));
        }
    }
    assert!(short.is_empty(), "{short:?}");
}

const COMPATIBLE: [(&str, usize); 6] = [
    ("hendrycks", 258),
    ("prm800k", 253),
    ("qwen25", 253),
    ("minerva", 253),
    ("carp", 253),
    ("math-verify", 253),
];

fn mode_and_key(name: &str) -> Option<(Mode, &str)> {
    let key = match name {
        "minerva" => "minerva_lm_eval",
        "math-verify" => "math_verify",
        other => other,
    };
    Mode::from_name(name).map(|mode| (mode, key))
}

#[test]
fn references_equal_themselves() {
    let Some(folder) = folder("math-answers") else { return };
    let options = patient();
    let mut count = 0;
    let mut differently_spaced = 0;
    for line in lines(folder.join("math_test_answers.jsonl")) {
        let answer = line["answer"].as_str().unwrap();
        count += usize::from(check(answer, answer, &options).is_equal());
        // A form that is not identical: everything must be read.
        let other = format!("${}$ ", answer.replace("\\frac", "\\dfrac"));
        let verdict = check(answer, &other, &options);
        differently_spaced += usize::from(verdict.is_equal());
        if !verdict.is_equal() {
            println!("{answer} | {other}: {verdict:?}");
        }
    }
    println!("identical {count}, in dollars with \\dfrac {differently_spaced}");
    assert_eq!(count, 5000);
    assert!(differently_spaced >= 4990, "{differently_spaced}");
}

#[test]
fn grade_school_solutions() {
    let Some(folder) = folder("gsm8k-model-solutions") else { return };
    let models = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"];
    let (mut last_line, mut octopus, mut strict) = ([0; 4], [0; 4], [0; 4]);
    for row in lines(folder.join("example_model_solutions.jsonl")) {
        let truth = row["ground_truth"].as_str().unwrap();
        let gold = extract(truth, &Options::of(Mode::Gsm8k));
        let gold = match gold {
            Some(gold) => gold.answer,
            None => extract(truth, &patient()).unwrap().answer,
        };
        for (at, model) in models.iter().enumerate() {
            let solution = row[model]["solution"].as_str().unwrap();
            if let Some(answer) = solution.lines().last().and_then(|line| line.strip_prefix("A:")) {
                last_line[at] +=
                    usize::from(check(&gold, answer.trim(), &Options::of(Mode::Gsm8k)).is_equal());
            }
            let options = Options::of(Mode::MathOctopus);
            let answer = extract(solution, &options).unwrap().answer;
            octopus[at] += usize::from(check(&gold, &answer, &options).is_equal());
            if let Some(found) = extract(solution, &patient()) {
                strict[at] += usize::from(check(&gold, &found.answer, &patient()).is_equal());
            }
        }
    }
    println!("last line {last_line:?}, MathOctopus {octopus:?}, strict {strict:?}");
    assert_eq!(last_line, [286, 515, 458, 742]);
    assert_eq!(octopus, [291, 515, 459, 742]);
    assert_eq!(strict, [286, 515, 458, 742]);
}

#[test]
fn native_answer_sentences() {
    let Some(folder) = folder("mgsm") else { return };
    let text = std::fs::read_to_string(folder.join("exemplars.json")).unwrap();
    let exemplars: Value = serde_json::from_str(&text).unwrap();
    let golds: Vec<String> =
        exemplars["number_answers"].as_array().unwrap().iter().map(|number| number.to_string()).collect();
    for language in Language::ALL {
        let (mut native, mut strict) = (0, 0);
        for (at, gold) in golds.iter().enumerate() {
            let answer = exemplars["exemplars"][language.code()][(at + 1).to_string()]["a"].as_str().unwrap();
            native += usize::from(mgsm::native_answer(answer, language).as_ref() == Some(gold));
            let options = Options { language: Some(language), ..patient() };
            let found = extract(answer, &options).unwrap().answer;
            strict += usize::from(check(gold, &found, &options).is_equal());
        }
        let expected = match language {
            Language::Bn => 0,
            Language::De => 7,
            Language::Ja => 5,
            _ => 8,
        };
        println!("{}: native {native}, strict {strict}", language.code());
        assert_eq!((native, strict), (expected, 8), "{}", language.code());
    }
}

#[test]
fn sampled_solutions() {
    let Some(folder) = folder("math-votes-100") else { return };
    let options = patient();
    let (mut correct, mut agreed, mut votes) = (0, 0, 0);
    for row in lines(folder.join("votes.jsonl")) {
        let gold = row["gt"].as_str().unwrap();
        let found: Vec<Option<String>> = row["code"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| extract(text.as_str().unwrap(), &options).map(|found| found.answer))
            .collect();
        for (at, answer) in found.iter().enumerate() {
            let is_right = answer.as_ref().is_some_and(|answer| check(gold, answer, &options).is_equal());
            correct += usize::from(is_right);
            if is_right == row["score"][at].as_bool().unwrap() {
                agreed += 1;
            } else {
                println!("{gold} | {answer:?}: {is_right}");
            }
        }
        let is_equal = |a: &String, b: &String| check(a, b, &options).is_equal();
        // Equality is transitive on the answers of one problem.
        for a in found.iter().flatten() {
            for b in found.iter().flatten().filter(|b| is_equal(a, b)) {
                for c in found.iter().flatten().filter(|c| is_equal(b, c)) {
                    assert!(is_equal(a, c), "{a} | {b} | {c}");
                }
            }
        }
        if let Some(chosen) = mathesis_reasoning::answers::metrics::vote(&found, |_| 1.0, is_equal) {
            votes += usize::from(
                found[chosen].as_ref().is_some_and(|answer| check(gold, answer, &options).is_equal()),
            );
        }
    }
    println!("correct {correct}, as stored {agreed} of 800, majority {votes}");
    assert!(agreed >= 795);
}
