//! Suites from the files to the scores: with a scripted model, and on the published data where `MATHESIS_DATA` holds them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mathesis_reasoning::answers::Mode;
use mathesis_reasoning::models::calls::{Calls, Limits, Log, Options};
use mathesis_reasoning::models::{Sample, ScriptedModel};
use mathesis_reasoning::suites::generate::{generate, items};
use mathesis_reasoning::suites::{
    Data, Grader, Metrics, Problem, Prompter, Record, Reply, Suite, SuiteError, Verdict, aggregate, grade,
};
use serde_json::Value;

fn given(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn example() -> String {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../examples/word-problems/suite.toml"].iter().collect();
    path.display().to_string()
}

/// A run of the example by a model, from the first call to the scores; and how often the model was asked.
fn run(log: &std::path::Path, concurrency: usize, asked: &Arc<AtomicUsize>) -> (Vec<u8>, Metrics) {
    let suite = Suite::open(&example()).unwrap();
    let settings = suite.settings(&[]).unwrap();
    let strategy = suite.strategy(None).unwrap();
    let (data, _) = suite.load(std::path::Path::new(""), &settings).unwrap();
    let prompter = Prompter::new(&suite, strategy, &settings).unwrap();
    let counter = asked.clone();
    let model = ScriptedModel::new("counting", move |request, index| {
        counter.fetch_add(1, Ordering::Relaxed);
        let length = request.prompt.last_text().len();
        Ok(Sample::of(format!("\\boxed{{{}}}", [149, 84, 2, length][(length + index) % 4])))
    });
    let options = Options {
        limits: Limits { concurrency, ..Limits::default() },
        run: "test".into(),
        ..Options::default()
    };
    let calls = Calls::new(Arc::new(model), Arc::new(Log::open(log).unwrap()), options).unwrap();
    let items = items(&data, &prompter, "", &settings.sampling(None), 4).unwrap();
    let mut records = Vec::new();
    generate(&calls, &items, &prompter, |_, record, _| records.push(record)).unwrap();
    let grader = Grader::new(Mode::Strict);
    grade::grade(&mut records, &grader);
    let mut lines = Vec::new();
    Record::write(&records, &mut lines).unwrap();
    (lines, aggregate::aggregate(&records, &grader))
}

#[test]
fn a_run_is_the_same_for_any_concurrency_and_asks_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let first = run(&folder.path().join("one"), 1, &asked);
    assert_eq!(asked.load(Ordering::Relaxed), 48);
    assert_eq!(first, run(&folder.path().join("many"), 64, &asked));
    assert_eq!(asked.load(Ordering::Relaxed), 96);
    assert_eq!(first, run(&folder.path().join("one"), 8, &asked));
    assert_eq!(asked.load(Ordering::Relaxed), 96);
    let metrics = first.1;
    assert_eq!((metrics.problems, metrics.replies, metrics.at.len()), (12, 48, 4));
    assert_eq!(metrics.accuracy.value, metrics.at[0].pass);
}

#[test]
fn the_example_is_what_it_says() {
    let suite = Suite::open(&example()).unwrap();
    let settings = suite.settings(&given(&[("shots", "2")])).unwrap();
    let (data, files) = suite.load(std::path::Path::new(""), &settings).unwrap();
    assert_eq!((data.problems.len(), data.exemplars.len(), files.len()), (12, 2, 2));
    let few = Prompter::new(&suite, suite.strategy(Some("few-shot")).unwrap(), &settings).unwrap();
    let prompt = few.render(&data.problems[0], &data.exemplars).unwrap();
    assert!(prompt.contains("Answer: 25") && prompt.contains("24 pears"), "{prompt}");
}

#[test]
fn suites_in_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.toml");
    let open = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let suite = Suite::open(path.to_str().unwrap())?;
        let settings = suite.settings(&[])?;
        suite.load(std::path::Path::new(""), &settings).map(|(data, _)| data.problems.len())
    };
    let message = |text: &str| open(text).unwrap_err().to_string();
    std::fs::write(folder.path().join("d.csv"), "question,answer\na,1\nb,2\n").unwrap();
    assert_eq!(open("name = 'own'\ndata = 'd.csv'\nrows = 2").unwrap(), 2);
    assert!(message("name = 'own'\ndata = 'd.csv'\nrows = 3").contains("2 problems instead of 3"));
    assert!(message("name = 'own'\ndata = 'd.csv'\ndat = 1").contains("unknown field `dat`"));
    assert!(message("name = 'a/b'\ndata = 'd.csv'").contains("name of a folder"));
    assert!(message("name = 'own'\ndata = 'd.csv'\nid = 'answer'\nquestion = 'q'").contains("d.csv:2: "));
    assert!(message("name = 'own'\ndata = 'none.csv'").contains("none.csv"));
    std::fs::write(folder.path().join("d.csv"), "question,answer\na,1\nb,1\n").unwrap();
    assert!(message("name = 'own'\ndata = 'd.csv'\nid = 'answer'").contains("two problems"));
}

#[test]
fn wrong_names_and_missing_data_are_explained() {
    let message = Suite::open("gsm9k").err().unwrap().to_string();
    assert!(message.contains("gsm8k, math, mgsm"), "{message}");
    assert!(message.contains("did you mean `gsm8k`?"), "{message}");
    let suite = Suite::open("gsm8k").unwrap();
    let message = suite.strategy(Some("zero")).unwrap_err().to_string();
    assert!(message.contains("chain-of-thought, few-shot, zero-shot"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    for suite in Suite::all() {
        let settings = suite.settings(&[]).unwrap();
        let error = suite.load(folder.path(), &settings).unwrap_err();
        assert!(matches!(error, SuiteError::NoFile { .. }), "{error}");
        assert!(error.to_string().contains(&suite.fetch), "{error}");
    }
}

#[test]
fn math_is_read_from_folders_and_from_tables() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join("math").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let problem = |text: &str, answer: &str| {
        format!(
            r#"{{"problem": "{text}", "level": "Level 2", "type": "Algebra", "solution": "So $\\boxed{{{answer}}}$."}}"#
        )
    };
    write("test/algebra/10.json", &problem("ten", "\\\\frac{1}{2}"));
    write("test/algebra/9.json", &problem("nine", "3"));
    write("test/geometry/1.json", &problem("one", "4"));
    write("train.jsonl", &problem("learn", "5"));
    let suite = Suite::open("math").unwrap();
    let settings = suite.settings(&[]).unwrap();
    let (data, files) = suite.load(folder.path(), &settings).unwrap();
    let ids: Vec<&str> = data.problems.iter().map(|problem| problem.id.as_str()).collect();
    assert_eq!(ids, ["test/algebra/9", "test/algebra/10", "test/geometry/1"]);
    assert_eq!(data.problems[1].reference, "\\frac{1}{2}");
    assert_eq!(data.problems[1].categories["level"], "2");
    assert_eq!((data.exemplars.len(), files.len()), (1, 4));
    // A problem without a box is named with its file.
    write("test/geometry/2.json", r#"{"problem": "two", "solution": "no box"}"#);
    let message = suite.load(folder.path(), &settings).unwrap_err().to_string();
    assert!(message.contains("geometry/2.json:1: the solution has no box"), "{message}");
    let settings = suite.settings(&given(&[("split", "train")])).unwrap();
    assert_eq!(suite.load(folder.path(), &settings).unwrap().0.problems[0].id, "train/1");
}

/// The data folder, if it holds a set.
fn data_with(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("MATHESIS_DATA").map(PathBuf::from);
    match data {
        Some(data) if data.join(name).is_dir() => Some(data),
        _ => {
            println!("skipped: MATHESIS_DATA holds no {name}");
            None
        }
    }
}

fn loaded(data: &std::path::Path, name: &str, settings: &[(&str, &str)]) -> Data {
    let suite = Suite::open(name).unwrap();
    let settings = suite.settings(&given(settings)).unwrap();
    suite.load(data, &settings).unwrap().0
}

fn lines(path: PathBuf) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn published_sets_have_their_published_sizes() {
    if let Some(data) = data_with("gsm8k") {
        let gsm8k = loaded(&data, "gsm8k", &[]);
        assert_eq!((gsm8k.problems.len(), gsm8k.exemplars.len()), (1319, 7473));
        assert!(gsm8k.problems.iter().all(|problem| problem.reference.parse::<i64>().is_ok()));
    }
    if let Some(data) = data_with("mgsm") {
        let mgsm = loaded(&data, "mgsm", &[]);
        assert_eq!((mgsm.problems.len(), mgsm.exemplars.len()), (11 * 250, 11 * 8));
        for (number, problem) in mgsm.problems.iter().enumerate() {
            assert_eq!(problem.reference, mgsm.problems[number % 250].reference);
        }
        assert_eq!(
            loaded(&data, "mgsm", &[("languages", "de,th"), ("exemplars", "mixed")]).exemplars.len(),
            8
        );
    }
    if let Some(data) = data_with("msvamp") {
        let msvamp = loaded(&data, "msvamp", &[]).problems;
        assert_eq!(msvamp.len(), 10_000);
        assert!(
            msvamp.iter().enumerate().all(|(n, problem)| problem.reference == msvamp[n % 1000].reference)
        );
    }
    if let Some(data) = data_with("math-word-problems") {
        assert_eq!(loaded(&data, "svamp", &[]).problems.len(), 1000);
        assert_eq!(loaded(&data, "multiarith", &[]).problems.len(), 600);
        assert_eq!(loaded(&data, "asdiv", &[]).problems.len(), 2305);
        assert_eq!(loaded(&data, "asdiv", &[("subset", "arithmetic")]).problems.len(), 1218);
    }
}

fn right(problems: &[Problem], replies: &HashMap<String, String>, mode: Mode) -> usize {
    let mut records: Vec<Record> = (problems.iter())
        .map(|problem| {
            let reply = Reply::complete(&replies[&problem.id]);
            Record::new(problem, String::new(), problem.language, vec![reply])
        })
        .collect();
    let grader = Grader::new(mode);
    grade::grade(&mut records, &grader);
    aggregate::aggregate(&records, &grader).verdicts[&Verdict::Right]
}

/// The solutions that were published with GSM8K, and their published marks.
#[test]
fn recorded_solutions_of_gsm8k_get_the_published_counts() {
    let (Some(data), Some(_)) = (data_with("gsm8k"), data_with("gsm8k-model-solutions")) else { return };
    let problems = loaded(&data, "gsm8k", &[]).problems;
    let rows = lines(data.join("gsm8k-model-solutions/example_model_solutions.jsonl"));
    for (model, strict, octopus) in [
        ("6b_finetuning", 286, 291),
        ("6b_verification", 515, 515),
        ("175b_finetuning", 458, 459),
        ("175b_verification", 742, 742),
    ] {
        let by_question: HashMap<&str, &str> = (rows.iter())
            .map(|row| (row["question"].as_str().unwrap(), row[model]["solution"].as_str().unwrap()))
            .collect();
        let replies = (problems.iter())
            .map(|problem| (problem.id.clone(), by_question[problem.question.as_str()].to_string()))
            .collect();
        assert_eq!(right(&problems, &replies, Mode::Strict), strict, "{model}");
        assert_eq!(right(&problems, &replies, Mode::MathOctopus), octopus, "{model}");
    }
}

/// Eight outputs for each of 100 problems of MATH, marked by Qwen's grader: 728 right, any of eight 96.
#[test]
fn recorded_votes_of_math_get_the_published_counts() {
    let Some(data) = data_with("math-votes-100") else { return };
    let mut records: Vec<Record> = lines(data.join("math-votes-100/votes.jsonl"))
        .iter()
        .map(|row| {
            let problem = Problem {
                id: row["idx"].to_string(),
                reference: row["gt"].as_str().unwrap().into(),
                ..Problem::default()
            };
            let replies = row["code"].as_array().unwrap().iter();
            let replies = replies.map(|text| Reply::complete(text.as_str().unwrap())).collect();
            Record::new(&problem, String::new(), None, replies)
        })
        .collect();
    // Strict also accepts 10{,}000 for 10000, the only right sample of its problem.
    for (mode, expected, any) in [(Mode::Qwen25, 728, 0.96), (Mode::Strict, 729, 0.97)] {
        let grader = Grader::new(mode);
        grade::grade(&mut records, &grader);
        let metrics = aggregate::aggregate(&records, &grader);
        assert_eq!(metrics.verdicts[&Verdict::Right], expected, "{mode:?}");
        assert_eq!(metrics.at[7].pass, any, "{mode:?}");
        println!("{mode:?}: maj@8 {:?}", metrics.at[7].majority);
    }
}

/// The equations of MSVAMP, in prefix form over the numbers of the English text, give its answers.
#[test]
fn equations_of_msvamp_give_its_answers() {
    let Some(data) = data_with("msvamp") else { return };
    let number = regex::Regex::new(r"\d+(?:\.\d+)?").unwrap();
    let english = lines(data.join("msvamp/test_English.json"));
    for row in &english {
        let text = row["m_query"].as_str().unwrap();
        // A number directly behind a letter or digit is a part of a name.
        let is_free =
            |start: usize| !text[..start].ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let numbers: Vec<f64> = (number.find_iter(text))
            .filter(|found| is_free(found.start()))
            .map(|found| found.as_str().parse().unwrap())
            .collect();
        let mut stack: Vec<f64> = Vec::new();
        for token in row["equation"].as_str().unwrap().split_whitespace().rev() {
            let value = match token.strip_prefix("number") {
                Some(index) => numbers[index.parse::<usize>().unwrap()],
                None => match token.parse() {
                    Ok(value) => value,
                    Err(_) => {
                        let (left, right) = (stack.pop().unwrap(), stack.pop().unwrap());
                        match token {
                            "+" => left + right,
                            "-" => left - right,
                            "*" => left * right,
                            "/" => left / right,
                            other => panic!("{other}"),
                        }
                    }
                },
            };
            stack.push(value);
        }
        let expected: f64 = row["response"]
            .as_str()
            .map_or_else(|| row["response"].as_f64().unwrap(), |t| t.parse().unwrap());
        assert!((stack[0] - expected).abs() < 1e-9, "{row}");
    }
    let bengali = loaded(&data, "msvamp", &[("languages", "bn")]).problems;
    let native =
        bengali.iter().filter(|problem| problem.question.contains(|c| ('০'..='৯').contains(&c))).count();
    assert_eq!((english.len(), native), (1000, 757));
}
