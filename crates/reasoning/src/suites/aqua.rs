//! AQuA-RAT (Ling et al. 2017): 254 algebraic word problems with five options.

use super::problem::label;
use super::{
    Choice, Data, Exemplar, Kind, OPTION_LINE, Problem, Row, Setting, Settings, Source, Strategy, Suite,
    SuiteError,
};

pub(super) fn suite() -> Suite {
    Suite {
        name: "aqua".into(),
        about: "254 algebraic word problems with five options (Ling et al. 2017)".into(),
        folders: vec!["aqua".into(), "AQuA".into(), "qwen25-math-eval".into()],
        fetch: "test.json of AQuA-RAT, and train.json or dev.json for exemplars (github.com/google-deepmind/AQuA), or the same \
                as Parquet (deepmind/aqua_rat on Hugging Face), into the folder aqua"
            .into(),
        needs_data: true,
        settings: vec![listing()],
        strategies: vec![
            Strategy::CHAIN_OF_THOUGHT,
            Strategy::FEW_SHOT,
            Strategy::ZERO_SHOT,
            Strategy::LOG_LIKELIHOOD,
            Strategy::FEW_SHOT_LOG_LIKELIHOOD,
            Strategy::PROGRAM,
        ],
        answer_form: OPTION_LINE,
        load: Box::new(load),
    }
}

/// What the options of a problem are in its prompt.
pub(super) fn listing() -> Setting {
    Setting {
        key: "options",
        default: "letters",
        kind: Kind::One(vec!["letters", "texts"]),
        about: "letters: the options are listed in the question, and their letters scored; texts: they are not listed, and \
                their texts scored (by log-likelihood alone)",
    }
}

/// The question as it is asked, and its options: listed and scored by their letters, or scored by their texts.
pub(super) fn options(
    question: &str,
    texts: &[String],
    right: usize,
    settings: &Settings,
) -> Result<(String, Vec<Choice>), String> {
    if right >= texts.len() {
        return Err(format!(
            "there are {} options, and the right one has the number {}",
            texts.len(),
            right + 1
        ));
    }
    let is_listed = settings.get("options") != "texts";
    let mut asked = question.trim().to_string();
    let mut choices = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let (label, text) = (label(number), text.trim());
        if text.is_empty() && !is_listed {
            return Err(format!("the option {label} is empty"));
        }
        if is_listed {
            asked += &format!("\n{label}. {text}");
        }
        let text = if is_listed { label.clone() } else { text.to_string() };
        choices.push(Choice { label, continuation: format!(" {text}"), text, is_right: number == right });
    }
    Ok((asked, choices))
}

/// The number of an option by its letter.
pub(super) fn number(letter: &str) -> Result<usize, String> {
    match letter.trim().as_bytes() {
        [letter @ (b'A'..=b'Z')] => Ok(usize::from(letter - b'A')),
        _ => Err(format!("`{letter}` is no letter of an option")),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let stem = if source.has("test") { "test" } else { "aqua" };
    let problems = source.read(stem, None, |row| {
        let (question, options, right) = read(row, settings)?;
        Ok(Problem {
            id: format!("test/{}", row.origin.line),
            question,
            reference: label(right),
            options,
            origin: row.origin.clone(),
            ..Problem::default()
        })
    })?;
    let solved = ["train", "dev", "validation"].into_iter().find(|stem| source.has(stem));
    let exemplars = match solved {
        Some(stem) => source.read(stem, None, |row| exemplar(row, settings))?,
        None => Vec::new(),
    };
    Ok(Data { problems, exemplars, ..Data::default() })
}

/// Options are written with their letters, `A)5(√3 + 1)`.
fn read(row: &Row, settings: &Settings) -> Result<(String, Vec<Choice>, usize), String> {
    let texts: Vec<String> = (row.texts("options")?.into_iter().enumerate())
        .map(|(at, text)| match text.trim_start().strip_prefix(&label(at)).map(str::trim_start) {
            Some(rest) => rest.strip_prefix([')', '.', ':']).map_or(text.clone(), str::to_string),
            None => text,
        })
        .collect();
    let right = number(&row.text("correct")?)?;
    let (question, options) = options(&row.text("question")?, &texts, right, settings)?;
    Ok((question, options, right))
}

fn exemplar(row: &Row, settings: &Settings) -> Result<Exemplar, String> {
    let (question, options, right) = read(row, settings)?;
    let answer = options[right].text.clone();
    let solution = format!("{}\nAnswer: {}", row.text("rationale")?.trim(), label(right));
    Ok(Exemplar { question, solution, answer, language: None })
}

#[cfg(test)]
mod tests {
    use super::super::Suite;
    use super::*;

    const TEST: &str = r#"{"question": "What is 3 + 4?", "options": ["A)5", "B) 6", "C)7"], "rationale": "3 + 4 = 7", "correct": "C"}"#;

    fn loaded(line: &str, given: &[(&str, &str)]) -> Result<Data, SuiteError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("test.json"), format!("{line}\n{line}\n")).unwrap();
        std::fs::write(folder.path().join("dev.json"), format!("{TEST}\n")).unwrap();
        let suite = Suite::open("aqua").unwrap();
        let given: Vec<_> = given.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Ok(suite.load(folder.path(), &suite.settings(&given)?)?.0)
    }

    #[test]
    fn options_are_listed_or_scored_by_their_texts() {
        let data = loaded(TEST, &[]).unwrap();
        let problem = &data.problems[1];
        assert_eq!(problem.question, "What is 3 + 4?\nA. 5\nB. 6\nC. 7");
        assert_eq!((problem.reference.as_str(), problem.options[2].continuation.as_str()), ("C", " C"));
        assert!(problem.options[2].is_right && !problem.options[0].is_right);
        assert_eq!(data.exemplars[0].solution, "3 + 4 = 7\nAnswer: C");
        let data = loaded(TEST, &[("options", "texts")]).unwrap();
        assert_eq!(data.problems[0].question, "What is 3 + 4?");
        assert_eq!(
            (data.problems[0].options[1].text.as_str(), data.exemplars[0].answer.as_str()),
            ("6", "7")
        );
    }

    #[test]
    fn wrong_rows_are_named() {
        for (line, expected) in [
            (TEST.replace("\"C\"", "\"D\""), "there are 3 options, and the right one has the number 4"),
            (TEST.replace("\"C\"", "\"c\""), "no letter of an option"),
            (
                TEST.replace("\"options\": [\"A)5\", \"B) 6\", \"C)7\"]", "\"options\": 7"),
                "`options` is no list of texts",
            ),
        ] {
            let message = loaded(&line, &[]).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("test.json:1"), "{message}");
        }
    }
}
