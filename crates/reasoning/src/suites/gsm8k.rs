//! GSM8K (Cobbe et al. 2021): 1,319 grade-school word problems, and 7,473 to learn from.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    ANSWER_LINE, Data, Exemplar, Kind, Problem, Row, Setting, Settings, Source, Strategy, Suite, SuiteError,
};

pub(super) fn suite() -> Suite {
    Suite {
        name: "gsm8k".into(),
        about: "1,319 grade-school word problems (Cobbe et al. 2021)".into(),
        folders: vec!["gsm8k".into()],
        fetch: "train and test of GSM8K, as train.jsonl and test.jsonl (github.com/openai/grade-school-math) or Parquet \
                (openai/gsm8k on Hugging Face), into the folder gsm8k"
            .into(),
        needs_data: true,
        settings: vec![Setting {
            key: "split",
            default: "test",
            kind: Kind::One(vec!["test", "train"]),
            about: "which problems are asked",
        }],
        strategies: vec![Strategy::CHAIN_OF_THOUGHT, Strategy::FEW_SHOT, Strategy::ZERO_SHOT, Strategy::PROGRAM],
        answer_form: ANSWER_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let split = settings.get("split");
    let problems = source.read(split, None, |row| problem(split, row))?;
    let exemplars = if source.has("train") { source.read("train", None, exemplar)? } else { Vec::new() };
    Ok(Data { problems, exemplars, ..Data::default() })
}

/// The solution and, behind `####`, the answer without thousands separators.
fn parts(row: &Row) -> Result<(String, String), String> {
    let text = row.text("answer")?;
    let (solution, answer) =
        text.rsplit_once("####").ok_or("the field `answer` has no line `#### number`")?;
    Ok((solution.trim().to_string(), answer.trim().replace(',', "")))
}

fn problem(split: &str, row: &Row) -> Result<Problem, String> {
    let (_, reference) = parts(row)?;
    Ok(Problem {
        id: format!("{split}/{}", row.origin.line),
        question: row.text("question")?,
        reference,
        origin: row.origin.clone(),
        ..Problem::default()
    })
}

static ANNOTATION: LazyLock<Regex> = LazyLock::new(|| Regex::new("<<[^>]*>>").expect("a constant"));

fn exemplar(row: &Row) -> Result<Exemplar, String> {
    let (solution, answer) = parts(row)?;
    // The annotations are for calculators.
    let steps = ANNOTATION.replace_all(&solution, "");
    let solution = format!("{steps}\nAnswer: {answer}");
    Ok(Exemplar { question: row.text("question")?, solution, answer, language: None })
}
