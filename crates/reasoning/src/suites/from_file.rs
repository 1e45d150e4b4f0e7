//! A suite in a file:
//!
//! ```toml
//! name = "word-problems"
//! about = "twelve word problems"
//! data = "problems.jsonl"        # beside this file: JSON lines, JSON, CSV, TSV or Parquet
//! question = "question"          # the fields; these are the defaults
//! answer = "answer"
//! solution = "solution"          # for exemplars
//! id = "id"                      # default: the line
//! categories = ["topic"]         # fields that make tables; default: none
//! exemplars = "solved.jsonl"     # default: none, and no few-shot prompts
//! licence = "CC0-1.0"            # shown; default: not stated
//! rows = 12                      # if given, the data must have as many problems
//! ```

use std::path::Path;

use serde::Deserialize;

use super::{ANSWER_LINE, Data, Exemplar, Problem, Row, Source, Strategy, Suite, SuiteError};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    about: String,
    data: String,
    #[serde(default = "question")]
    question: String,
    #[serde(default = "answer")]
    answer: String,
    #[serde(default = "solution")]
    solution: String,
    id: Option<String>,
    #[serde(default)]
    categories: Vec<String>,
    exemplars: Option<String>,
    licence: Option<String>,
    rows: Option<usize>,
}

fn question() -> String {
    "question".into()
}

fn answer() -> String {
    "answer".into()
}

fn solution() -> String {
    "solution".into()
}

/// Reads a suite. Its data are read when it is loaded, from beside the file.
pub fn read(path: &Path) -> Result<Suite, SuiteError> {
    let wrong = |message: String| SuiteError::File { path: path.into(), message };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let file: File =
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_string()))?;
    if file.name.is_empty() || file.name.contains(['/', '\\']) {
        return Err(wrong(format!("name = \"{}\" cannot be the name of a folder", file.name)));
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut strategies = vec![Strategy::CHAIN_OF_THOUGHT, Strategy::ZERO_SHOT, Strategy::PROGRAM];
    if file.exemplars.is_some() {
        strategies.push(Strategy::FEW_SHOT);
    }
    let licence =
        file.licence.as_deref().map_or("licence not stated".into(), |licence| format!("licence {licence}"));
    Ok(Suite {
        name: file.name.clone(),
        about: format!("{} ({licence})", file.about),
        folders: Vec::new(),
        fetch: format!("the files that {} names", path.display()),
        needs_data: false,
        settings: Vec::new(),
        strategies,
        answer_form: ANSWER_LINE,
        load: Box::new(move |source, _| load(&file, &folder, source)),
    })
}

fn load(file: &File, folder: &Path, source: &mut Source) -> Result<Data, SuiteError> {
    source.move_to(folder);
    let problems = source.read_file(&file.data, |row| problem(file, row))?;
    if let Some(expected) = file.rows.filter(|expected| *expected != problems.len()) {
        let message = format!("{} problems instead of {expected}", problems.len());
        return Err(SuiteError::File { path: folder.join(&file.data), message });
    }
    let exemplars = match &file.exemplars {
        Some(name) => source.read_file(name, |row| {
            Ok(Exemplar {
                question: row.text(&file.question)?,
                solution: row.text(&file.solution)?,
                answer: row.text(&file.answer)?,
                language: None,
            })
        })?,
        None => Vec::new(),
    };
    Ok(Data { problems, exemplars, ..Data::default() })
}

fn problem(file: &File, row: &Row) -> Result<Problem, String> {
    let mut categories = std::collections::BTreeMap::new();
    for category in &file.categories {
        categories.insert(category.clone(), row.text(category)?);
    }
    Ok(Problem {
        id: file.id.as_ref().map_or(Ok(row.origin.line.to_string()), |field| row.text(field))?,
        question: row.text(&file.question)?,
        reference: row.text(&file.answer)?,
        categories,
        origin: row.origin.clone(),
        ..Problem::default()
    })
}
