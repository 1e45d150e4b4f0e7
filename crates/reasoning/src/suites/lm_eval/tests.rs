use super::super::{Grader, Prompter, Record, Reply, Verdict, grade};
use super::*;
use crate::answers::Mode;

/// A task beside its files, loaded.
fn loaded(files: &[(&str, &str)], given: &[(&str, &str)]) -> Result<(Suite, Data), String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let suite =
        Suite::open(folder.path().join(files[0].0).to_str().unwrap()).map_err(|error| error.to_string())?;
    let given: Vec<_> = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let settings = suite.settings(&given).map_err(|error| error.to_string())?;
    let (data, _) = suite.load(folder.path(), &settings).map_err(|error| error.to_string())?;
    Ok((suite, data))
}

const TRAIN: &str = r#####"{"question": "1 + 1?", "answer": "one more\n#### 2"}
{"question": "2 + 2?", "answer": "#### 4"}
{"question": "3 + 3?", "answer": "#### 6"}
"#####;

const WORDS: &str = r#####"
task: words
dataset_path: json
dataset_kwargs:
  data_files:
    train: train.jsonl
    test: test.jsonl
training_split: train
fewshot_split: train
test_split: test
output_type: generate_until
description: "Sums.\n\n"
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_target: "{{answer}}"
num_fewshot: 2
generation_kwargs:
  until: ["Question:", "</s>"]
  do_sample: false
  temperature: 0.0
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    regexes_to_ignore: [",", "\\$", "(?s).*#### ", "\\.$"]
filter_list:
  - name: strict-match
    filter:
      - function: regex
        regex_pattern: "#### (\\-?[0-9\\.\\,]+)"
      - function: take_first
  - name: flexible-extract
    filter:
      - function: regex
        group_select: -1
        regex_pattern: "(-?[$0-9.,]{2,})|(-?[0-9]+)"
      - function: take_first
"#####;

#[test]
fn a_task_is_a_suite_with_its_own_prompts_and_scores() {
    let test = "{\"question\": \"10 + 2?\", \"answer\": \"#### 12\"}\n{\"question\": \"5 + 5?\", \"answer\": \"#### 10\"}\n";
    let (suite, data) =
        loaded(&[("words.yaml", WORDS), ("train.jsonl", TRAIN), ("test.jsonl", test)], &[]).unwrap();
    let settings = suite.settings(&[]).unwrap();
    let prompter = Prompter::new(&suite, suite.strategy(None).unwrap(), &settings).unwrap();
    let prompt = prompter.render(&data.problems[0], &data.exemplars).unwrap();
    // Python: Random(1234).sample(range(3), 2) is [1, 0].
    let expected = "Sums.\n\nQuestion: 2 + 2?\nAnswer: #### 4\n\nQuestion: 1 + 1?\nAnswer: one more\n#### 2\n\nQuestion: 10 + 2?\nAnswer:";
    assert_eq!(prompt, expected);
    let task = data.task.clone().unwrap();
    assert_eq!(task.sampling.stop, ["Question:", "</s>"]);
    assert_eq!((task.sampling.max_tokens, task.sampling.temperature), (Some(256), Some(0.0)));

    let replies = ["So #### 12.", "That is 10"];
    let mut records: Vec<Record> = (data.problems.iter().zip(replies))
        .map(|(problem, reply)| Record::new(problem, String::new(), None, vec![Reply::complete(reply)]))
        .collect();
    let grader = Grader { task: Some(task.clone()), ..Grader::new(Mode::Strict) };
    grade::grade(&mut records, &grader);
    let verdicts = records.iter().map(|record| record.grades[0].verdict).collect::<Vec<_>>();
    assert_eq!(verdicts, [Verdict::Right, Verdict::NoAnswer]);
    assert_eq!(records[0].grades[0].answer.as_deref(), Some("12."));
    let figures: Vec<(String, f64)> =
        task.measured(&records).into_iter().map(|figure| (figure.filter, figure.value)).collect();
    assert_eq!(figures, [("strict-match".into(), 0.5), ("flexible-extract".into(), 1.0)]);
    // Values 1 and 0: s = √½, s/√2 = ½.
    assert!((task.measured(&records)[0].standard_error.unwrap() - 0.5).abs() < 1e-12);
}

#[test]
fn options_are_scored_behind_the_prompt() {
    let task = "
task: choice
dataset_path: csv
dataset_kwargs: {data_files: {test: test.csv}}
test_split: test
output_type: multiple_choice
doc_to_text: \"{{q.strip()}}\\nAnswer:\"
doc_to_choice: \"{{[a, b]}}\"
doc_to_target: label
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}]
";
    let table = "q,a,b,label\n 1 + 1? ,two,it's three,0\nx,\"éé\",y,1\n";
    let (_, data) = loaded(&[("choice.yml", task), ("test.csv", table)], &[]).unwrap();
    let problem = &data.problems[0];
    assert_eq!(problem.prompt.as_deref(), Some("1 + 1?\nAnswer:"));
    let options: Vec<(&str, bool)> =
        problem.options.iter().map(|option| (option.continuation.as_str(), option.is_right)).collect();
    assert_eq!(options, [(" two", true), (" it's three", false)]);
    assert_eq!(data.problems[1].reference, "B");
}

#[test]
fn documents_with_several_targets_are_met_by_one_of_them() {
    let task = "
task: several
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl}}
test_split: test
doc_to_text: q
doc_to_target: answers
repeats: 3
filter_list:
  - name: vote
    filter: [{function: regex, regex_pattern: '[a-z]+'}, {function: majority_vote}, {function: take_first}]
";
    let lines =
        "{\"q\": \"Who?\", \"answers\": [\"a\", \"b\"]}\n{\"q\": \"Who else?\", \"answers\": [\"c\"]}\n";
    let (_, data) = loaded(&[("several.yaml", task), ("test.jsonl", lines)], &[]).unwrap();
    let task = data.task.clone().unwrap();
    assert_eq!((task.repeats, data.problems[0].reference.as_str()), (3, "[\"a\",\"b\"]"));
    let record = |number: usize, replies: &[&str]| {
        Record::new(
            &data.problems[number],
            String::new(),
            None,
            replies.iter().map(|text| Reply::complete(*text)).collect(),
        )
    };
    let records = [record(0, &["a 1", "b 2", "b"]), record(1, &["b", "c", "d"])];
    assert_eq!(task.measured(&records)[0].value, 0.5);
    assert_eq!(task.grade(&records[1].reference, &Reply::complete("c")).verdict, Verdict::Right);
}

#[test]
fn what_is_not_followed_is_named_by_file_line_and_key() {
    let test = "{\"question\": \"x\", \"answer\": \"1\"}\n";
    for (from, to, expected) in [
        (
            "description:",
            "process_docs: !function utils.f\ndescription:",
            "words.yaml:12: process_docs: `!function utils.f`",
        ),
        (
            "doc_to_target: \"{{answer}}\"",
            "doc_to_target: !function utils.f",
            "doc_to_target: `!function utils.f`",
        ),
        (
            "num_fewshot: 2",
            "num_fewshots: 2",
            "words.yaml:15: num_fewshots: there is no key `num_fewshots`; did you mean `num_fewshot`?",
        ),
        ("num_fewshot: 2", "num_fewshot: many", "num_fewshot: expected a whole number from 0"),
        ("{{question}}", "{{question", "doc_to_text: the template cannot be read"),
        ("{{question}}", "{{problem}}", "test.jsonl:1: `doc_to_text`"),
        ("temperature: 0.0", "temperature: hot", "generation_kwargs.temperature: expected a number"),
        ("do_sample: false", "seed: 1", "generation_kwargs.seed: there is no key `seed`"),
        ("metric: exact_match", "metric: bleu", "metric_list.1.metric: `bleu` is not followed here"),
        ("aggregation: mean", "aggregation: median", "metric_list.1.aggregation: expected mean"),
        (
            "function: regex\n",
            "function: regexp\n",
            "filter_list.1.filter.1.function: `regexp` is not followed",
        ),
        ("\"#### (", "\"#### ((", "the regular expression cannot be read"),
        (
            "output_type: generate_until",
            "output_type: loglikelihood_rolling",
            "output_type: `loglikelihood_rolling` is not followed",
        ),
        ("output_type: generate_until", "output_type: multiple_choice", "needs the key `doc_to_choice`"),
        ("test: test.jsonl", "test: none.jsonl", "dataset_kwargs.data_files.test: there is no file"),
        ("test_split: test\n", "test_split: tests\n", "split `tests` (`data_files` has train, test)"),
        ("test_split: test\n", "", "`test_split` or `validation_split`"),
        ("num_fewshot: 2", "num_fewshot: 4", "4 solved documents are wanted, there are 3"),
    ] {
        let text = WORDS.replacen(from, to, 1);
        assert_ne!(text, WORDS, "{from}");
        let loaded = loaded(&[("words.yaml", &text), ("train.jsonl", TRAIN), ("test.jsonl", test)], &[]);
        let message = loaded.err().expect(expected);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
