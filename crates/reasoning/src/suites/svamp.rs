//! SVAMP (Patel et al. 2021): 1,000 word problems with varied wording.

use super::{ANSWER_LINE, Data, Problem, Settings, Source, Strategy, Suite, SuiteError};

pub(super) fn suite() -> Suite {
    Suite {
        name: "svamp".into(),
        about: "1,000 word problems with varied wording (Patel et al. 2021)".into(),
        folders: vec!["svamp".into(), "math-word-problems".into()],
        fetch: "SVAMP.json (github.com/arkilpatel/SVAMP) into the folder svamp".into(),
        needs_data: true,
        settings: Vec::new(),
        strategies: vec![Strategy::CHAIN_OF_THOUGHT, Strategy::ZERO_SHOT, Strategy::PROGRAM],
        answer_form: ANSWER_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, _: &Settings) -> Result<Data, SuiteError> {
    let problems = source.read("SVAMP", None, |row| {
        let (body, question) = (row.text("Body")?, row.text("Question")?);
        let body = body.trim();
        let stop = if body.ends_with(['.', '?', '!', ',']) || body.is_empty() { "" } else { "." };
        Ok(Problem {
            id: row.text("ID")?,
            question: format!("{body}{stop} {question}").trim().to_string(),
            reference: row.text("Answer")?,
            // Two records have "Common-Divison".
            categories: [("type".to_string(), row.text("Type")?.replace("Divison", "Division"))].into(),
            origin: row.origin.clone(),
            ..Problem::default()
        })
    })?;
    Ok(Data { problems, ..Data::default() })
}
