//! MultiArith (Roy and Roth 2015): 600 word problems of several steps.

use super::{ANSWER_LINE, Data, Problem, Settings, Source, Strategy, Suite, SuiteError};

pub(super) fn suite() -> Suite {
    Suite {
        name: "multiarith".into(),
        about: "600 word problems of several steps (Roy and Roth 2015)".into(),
        folders: vec!["multiarith".into(), "math-word-problems".into()],
        fetch:
            "multiarith.jsonl with lines {\"input\": .., \"target\": ..} (github.com/QwenLM/Qwen2.5-Math, \
                evaluation/data/mawps) into the folder multiarith"
                .into(),
        needs_data: true,
        settings: Vec::new(),
        strategies: vec![Strategy::CHAIN_OF_THOUGHT, Strategy::ZERO_SHOT, Strategy::PROGRAM],
        answer_form: ANSWER_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, _: &Settings) -> Result<Data, SuiteError> {
    let problems = source.read("multiarith", None, |row| {
        Ok(Problem {
            id: row.origin.line.to_string(),
            question: row.text("input")?,
            reference: row.text("target")?,
            origin: row.origin.clone(),
            ..Problem::default()
        })
    })?;
    Ok(Data { problems, ..Data::default() })
}
