//! MATH (Hendrycks et al. 2021): competition problems of seven subjects and five levels.
//!
//! The published form is a folder for each split with a folder for each subject and a JSON file for each problem; tables
//! with the same fields are read too. The reference is the last box of the solution, unless there is a field `answer`.

use super::{
    BOX, Data, Exemplar, Kind, Problem, Row, Setting, Settings, Source, Strategy, Suite, SuiteError,
};
use crate::answers::{Mode, Options, extract};

pub(super) fn suite() -> Suite {
    Suite {
        name: "math".into(),
        about: "competition problems of seven subjects and five levels (Hendrycks et al. 2021)".into(),
        folders: vec!["math".into(), "MATH".into()],
        fetch: "MATH in its published form (test/algebra/1.json and so on), or as test.jsonl or Parquet with the fields \
                problem, solution, level and type (or subject), into the folder math"
            .into(),
        needs_data: true,
        settings: vec![Setting {
            key: "split",
            default: "test",
            kind: Kind::One(vec!["test", "train"]),
            about: "which problems are asked",
        }],
        strategies: vec![Strategy::CHAIN_OF_THOUGHT, Strategy::FEW_SHOT, Strategy::ZERO_SHOT, Strategy::PROGRAM],
        answer_form: BOX,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let split = settings.get("split");
    let problems = rows(source, split)?.into_iter();
    let problems = problems.filter_map(|row| kept(source, &row, |row| problem(split, row))).collect();
    let exemplars = match rows(source, "train") {
        Ok(rows) => rows.into_iter().filter_map(|row| kept(source, &row, exemplar)).collect(),
        Err(SuiteError::NoFile { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Data { problems, exemplars, ..Data::default() })
}

fn kept<T>(source: &mut Source, row: &Row, make: impl Fn(&Row) -> Result<T, String>) -> Option<T> {
    make(row).map_err(|message| source.reject(row.origin.clone(), message)).ok()
}

/// The rows of a split: of its folders, or of its table.
fn rows(source: &mut Source, split: &str) -> Result<Vec<Row>, SuiteError> {
    let folder = source.folder().join(split);
    if !folder.is_dir() {
        return source.read(split, None, |row| Ok(row.clone()));
    }
    let list = |path: &std::path::Path| -> Result<Vec<std::path::PathBuf>, SuiteError> {
        let failed =
            |error: std::io::Error| SuiteError::File { path: path.into(), message: error.to_string() };
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
        Ok(entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect())
    };
    let mut files = Vec::new();
    for subject in list(&folder)?.into_iter().filter(|path| path.is_dir()) {
        files
            .extend(list(&subject)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")));
    }
    // By subject, then by number.
    let number =
        |path: &std::path::Path| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    files.sort_by_key(|path| (path.parent().map(std::path::Path::to_path_buf), number(path), path.clone()));
    let mut rows = Vec::with_capacity(files.len());
    for file in files {
        rows.extend(source.rows(&file, None)?);
    }
    Ok(rows)
}

fn reference(row: &Row) -> Result<String, String> {
    if let Ok(answer) = row.text("answer") {
        return Ok(answer);
    }
    let found = extract(&row.text("solution")?, &Options::of(Mode::Hendrycks));
    found.map(|found| found.answer).ok_or("the solution has no box".into())
}

fn problem(split: &str, row: &Row) -> Result<Problem, String> {
    let name = row.origin.file.strip_suffix(".json").filter(|name| name.starts_with(&format!("{split}/")));
    let mut categories = std::collections::BTreeMap::new();
    for (category, fields) in [("level", ["level", "level"]), ("subject", ["type", "subject"])] {
        if let Some(value) = fields.iter().find_map(|field| row.text(field).ok()) {
            categories.insert(category.to_string(), value.trim_start_matches("Level ").to_string());
        }
    }
    Ok(Problem {
        id: name.map_or_else(|| format!("{split}/{}", row.origin.line), str::to_string),
        question: row.text("problem")?,
        reference: reference(row)?,
        categories,
        origin: row.origin.clone(),
        ..Problem::default()
    })
}

fn exemplar(row: &Row) -> Result<Exemplar, String> {
    Ok(Exemplar {
        question: row.text("problem")?,
        solution: row.text("solution")?,
        answer: reference(row)?,
        language: None,
    })
}
