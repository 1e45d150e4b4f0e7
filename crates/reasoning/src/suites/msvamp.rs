//! MSVAMP (Chen et al. 2023): 1,000 problems of SVAMP in ten languages.

use super::{ANSWER_LINE, Data, Kind, Problem, Setting, Settings, Source, Strategy, Suite, SuiteError};
use crate::answers::Language;

/// The languages with the names that the files have.
const FILES: [(&str, &str); 10] = [
    ("bn", "Bengali"),
    ("de", "German"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fr", "French"),
    ("ja", "Japanese"),
    ("ru", "Russian"),
    ("sw", "Swahili"),
    ("th", "Thai"),
    ("zh", "Chinese"),
];

pub(super) fn suite() -> Suite {
    Suite {
        name: "msvamp".into(),
        about: "1,000 word problems in ten languages (Chen et al. 2023)".into(),
        folders: vec!["msvamp".into()],
        fetch:
            "test_Bengali.json to test_Thai.json (github.com/microsoft/MathOctopus) into the folder msvamp"
                .into(),
        needs_data: true,
        settings: vec![Setting {
            key: "languages",
            default: "bn,de,en,es,fr,ja,ru,sw,th,zh",
            kind: Kind::Some(FILES.map(|(code, _)| code).to_vec()),
            about: "the languages that are asked",
        }],
        strategies: vec![
            Strategy::NATIVE,
            Strategy::ENGLISH,
            Strategy::CROSS,
            Strategy::ZERO_SHOT,
            Strategy::PROGRAM,
        ],
        answer_form: ANSWER_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let mut problems = Vec::new();
    for code in settings.list("languages") {
        let Some((_, name)) = FILES.iter().find(|(known, _)| *known == code) else { continue };
        problems.extend(source.read(&format!("test_{name}"), None, |row| {
            Ok(Problem {
                id: format!("{code}/{}", row.origin.line),
                question: row.text("m_query")?,
                english: row.text("query").ok(),
                reference: row.text("response")?,
                language: Language::from_code(code),
                categories: [("language".to_string(), code.to_string())].into(),
                origin: row.origin.clone(),
                ..Problem::default()
            })
        })?);
    }
    Ok(Data { problems, ..Data::default() })
}
