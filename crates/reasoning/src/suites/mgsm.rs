//! MGSM (Shi et al. 2022): 250 problems of GSM8K in eleven languages, with eight exemplars in each.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    ANSWER_LINE, Data, Exemplar, Kind, Problem, Setting, Settings, Source, Strategy, Suite, SuiteError,
};
use crate::answers::Language;

pub(super) fn suite() -> Suite {
    Suite {
        name: "mgsm".into(),
        about: "250 word problems in eleven languages (Shi et al. 2022)".into(),
        folders: vec!["mgsm".into()],
        fetch: "mgsm_bn.tsv to mgsm_zh.tsv (github.com/google-research/url-nlp, folder mgsm) into the folder mgsm; for \
                few-shot prompts also exemplars.json: {\"number_answers\": [..], \"exemplars\": {\"de\": {\"1\": {\"q\": \
                .., \"a\": ..}}}}"
            .into(),
        needs_data: true,
        settings: vec![
            Setting {
                key: "languages",
                default: "bn,de,en,es,fr,ja,ru,sw,te,th,zh",
                kind: Kind::Some(Language::ALL.iter().map(|language| language.code()).collect()),
                about: "the languages that are asked",
            },
            Setting {
                key: "exemplars",
                default: "native",
                kind: Kind::One(vec!["native", "english", "mixed"]),
                about: "the language of exemplars: that of the problem, English, or one language after the other",
            },
        ],
        strategies: vec![
            Strategy::NATIVE,
            Strategy::ENGLISH,
            Strategy::CROSS,
            Strategy::FEW_SHOT,
            Strategy::ZERO_SHOT,
            Strategy::PROGRAM,
        ],
        answer_form: ANSWER_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let mut read = |code: &str| {
        let language = Language::from_code(code);
        source.read(&format!("mgsm_{code}"), Some(&["question", "answer"]), |row| {
            Ok(Problem {
                id: format!("{code}/{}", row.origin.line),
                question: row.text("question")?,
                reference: number(row.text("answer")?)?,
                language,
                categories: [("language".to_string(), code.to_string())].into(),
                origin: row.origin.clone(),
                ..Problem::default()
            })
        })
    };
    let english = read("en")?;
    let mut problems = Vec::new();
    for code in settings.list("languages") {
        let mut translated = if code == "en" { english.clone() } else { read(code)? };
        for problem in &mut translated {
            // Line i is the same problem in all files.
            problem.english = english
                .iter()
                .find(|other| other.origin.line == problem.origin.line)
                .map(|other| other.question.clone());
        }
        problems.extend(translated);
    }
    let exemplars = match source.text("exemplars.json") {
        Ok(text) => exemplars(&text, settings.get("exemplars"))
            .map_err(|message| SuiteError::File { path: source.folder().join("exemplars.json"), message })?,
        Err(SuiteError::NoFile { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Data { problems, exemplars, ..Data::default() })
}

/// A reference answer without thousands separators.
fn number(text: String) -> Result<String, String> {
    let plain = text.trim().replace(',', "");
    if plain.parse::<f64>().is_ok() { Ok(plain) } else { Err(format!("the answer `{text}` is no number")) }
}

#[derive(Deserialize)]
struct File {
    number_answers: Vec<serde_json::Number>,
    exemplars: BTreeMap<String, BTreeMap<String, Solved>>,
}

#[derive(Deserialize)]
struct Solved {
    q: String,
    a: String,
}

fn exemplars(text: &str, which: &str) -> Result<Vec<Exemplar>, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let solved = |code: &str, number: usize, language| {
        let solved = file.exemplars.get(code)?.get(&(number + 1).to_string())?;
        Some(Exemplar {
            question: unlabelled(&solved.q).to_string(),
            solution: unlabelled(&solved.a).to_string(),
            answer: file.number_answers[number].to_string(),
            language,
        })
    };
    let codes: Vec<&String> = file.exemplars.keys().collect();
    let numbers = 0..file.number_answers.len();
    Ok(match which {
        "english" => numbers.filter_map(|number| solved("en", number, None)).collect(),
        "mixed" if codes.is_empty() => Vec::new(),
        "mixed" => numbers.filter_map(|number| solved(codes[number % codes.len()], number, None)).collect(),
        _ => (codes.into_iter())
            .flat_map(|code| {
                let language = Language::from_code(code);
                numbers.clone().filter_map(move |number| solved(code, number, language)).collect::<Vec<_>>()
            })
            .collect(),
    })
}

/// A text without the label before its first colon ("Question:", "Step-by-Step Answer:").
fn unlabelled(text: &str) -> &str {
    match text.find([':', '：']) {
        Some(at) if text[..at].chars().count() <= 30 => text[at..].trim_start_matches([':', '：']).trim(),
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_taken_off() {
        assert_eq!(unlabelled("Frage: Wie viele?"), "Wie viele?");
        assert_eq!(unlabelled("問題：3時"), "3時");
        assert_eq!(unlabelled("no label"), "no label");
    }
}
