//! The statements of the benchmark, with or without labels.
//!
//! The authors withdrew labels and rationales from the head of their repository; they can come from a file of their own.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::suites::{DataFile, Origin, Row, Source, SuiteError};

/// A field of mathematics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Real analysis.
    RealAnalysis,
    /// Functional analysis.
    FunctionalAnalysis,
    /// Topology.
    Topology,
    /// Algebra.
    Algebra,
}

impl Field {
    /// All of them.
    pub const ALL: [Field; 4] =
        [Field::RealAnalysis, Field::FunctionalAnalysis, Field::Topology, Field::Algebra];

    /// The name in the data.
    pub fn name(self) -> &'static str {
        match self {
            Field::RealAnalysis => "real_analysis",
            Field::FunctionalAnalysis => "functional_analysis",
            Field::Topology => "topology",
            Field::Algebra => "algebra",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name: the `id` of the row, else the number of its line from 0.
    pub id: String,
    /// In English.
    pub english: String,
    /// In Chinese, the original.
    pub chinese: String,
    /// Its field.
    pub field: Field,
    /// Whether it is true, where that is known.
    pub judgement: Option<bool>,
    /// Why, in English; empty where it is not known.
    pub rationale: String,
    /// Why, in Chinese; empty where it is not known.
    pub chinese_rationale: String,
    /// Where it stands.
    pub origin: Origin,
}

/// What statements count up to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Statements.
    pub statements: usize,
    /// By field: statements, true ones, false ones.
    pub fields: BTreeMap<Field, [usize; 3]>,
    /// Characters of the English text: mean and largest.
    pub english: (f64, usize),
    /// Characters of the Chinese text: mean and largest.
    pub chinese: (f64, usize),
    /// Different English texts.
    pub distinct: usize,
    /// The names of statements with the same English text.
    pub repeated: Vec<Vec<String>>,
}

impl Statistics {
    /// Of these statements; means of nothing are zero.
    pub fn of(statements: &[Statement]) -> Self {
        let lengths = |text: fn(&Statement) -> &str| {
            let lengths: Vec<usize> = statements.iter().map(|one| text(one).chars().count()).collect();
            let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
            (mean, lengths.into_iter().max().unwrap_or(0))
        };
        let mut fields: BTreeMap<Field, [usize; 3]> = BTreeMap::new();
        let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for statement in statements {
            let counts = fields.entry(statement.field).or_default();
            counts[0] += 1;
            counts[1] += usize::from(statement.judgement == Some(true));
            counts[2] += usize::from(statement.judgement == Some(false));
            texts.entry(&statement.english).or_default().push(statement.id.clone());
        }
        Statistics {
            statements: statements.len(),
            fields,
            english: lengths(|one| &one.english),
            chinese: lengths(|one| &one.chinese),
            distinct: texts.len(),
            repeated: texts.into_values().filter(|ids| ids.len() > 1).collect(),
        }
    }
}

/// The statements of `statements.jsonl` (or `countermath*.jsonl` by another `stem`) below a data folder, or in a folder
/// that holds the file itself.
///
/// # Errors
/// If the file is missing; if rows lack a text or have an unknown field, a judgement that is not a boolean, or an id that
/// is there already: all of these are named.
pub fn load(data: &Path) -> Result<(Vec<Statement>, Vec<DataFile>), SuiteError> {
    let below = data.join("countermath");
    let mut source = Source::new(if below.is_dir() { below } else { data.to_path_buf() });
    let stem = ["statements", "countermath_ver1.1", "countermath"]
        .into_iter()
        .find(|stem| source.has(stem))
        .unwrap_or("statements");
    let rows = source.read(stem, None, statement).map_err(|error| match error {
        SuiteError::NoFile { folder, .. } => SuiteError::NoFile {
            folder,
            wanted: "statements.jsonl or countermath_ver1.1.jsonl".into(),
            fetch: FETCH.into(),
        },
        other => other,
    })?;
    let mut seen: HashMap<String, Origin> = HashMap::new();
    for row in &rows {
        match seen.get(&row.id) {
            Some(first) => {
                source
                    .reject(row.origin.clone(), format!("the id `{}` is there already, at {first}", row.id));
            }
            None => drop(seen.insert(row.id.clone(), row.origin.clone())),
        }
    }
    match source.finish() {
        (_, bad) if !bad.is_empty() => Err(SuiteError::BadRows(bad)),
        _ if rows.is_empty() => Err(SuiteError::Empty),
        (files, _) => Ok((rows, files)),
    }
}

/// What to fetch for the suite.
pub const FETCH: &str = "the statements of the repository THUKElab/COUNTERMATH";

fn statement(row: &Row) -> Result<Statement, String> {
    let optional = |name: &str| match row.fields.get(name) {
        None | Some(serde_json::Value::Null) => Ok(String::new()),
        Some(_) => row.text(name),
    };
    let filled = |name: &str| match row.text(name)? {
        text if text.trim().is_empty() => Err(format!("the field `{name}` is empty")),
        text => Ok(text),
    };
    let field = row.text("field")?;
    let id = match row.fields.contains_key("id") {
        true => row.text("id")?,
        false => (row.origin.line - 1).to_string(),
    };
    Ok(Statement {
        id,
        english: filled("statement")?,
        chinese: optional("chinese_statement")?,
        field: Field::from_name(&field).ok_or_else(|| {
            let known: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
            format!("there is no field `{field}`; {}", crate::suites::settings::hint(&field, &known))
        })?,
        judgement: judgement(row)?,
        rationale: optional("rationale")?,
        chinese_rationale: optional("chinese_rationale")?,
        origin: row.origin.clone(),
    })
}

fn judgement(row: &Row) -> Result<Option<bool>, String> {
    match row.fields.get("judgement") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(format!("judgement is {other}: expected true or false")),
    }
}

/// Takes judgements and rationales from a file of JSON lines with `id`, `judgement`, and perhaps `rationale` and
/// `chinese_rationale`.
///
/// # Errors
/// If the file cannot be read, or rows have no judgement or the id of no statement, or one that was there: all are named.
pub fn add_labels(statements: &mut [Statement], path: &Path) -> Result<(), SuiteError> {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut source = Source::new(folder);
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let places: HashMap<String, usize> =
        statements.iter().enumerate().map(|(at, statement)| (statement.id.clone(), at)).collect();
    let mut labelled = std::collections::HashSet::new();
    source.read_file(&name, |row| {
        let id = row.text("id")?;
        let at = *places.get(&id).ok_or_else(|| format!("there is no statement `{id}`"))?;
        if !labelled.insert(at) {
            return Err(format!("the statement `{id}` has a label already"));
        }
        let statement = &mut statements[at];
        statement.judgement = Some(judgement(row)?.ok_or("the field `judgement` is missing")?);
        for (name, text) in
            [("rationale", &mut statement.rationale), ("chinese_rationale", &mut statement.chinese_rationale)]
        {
            if row.fields.contains_key(name) {
                *text = row.text(name)?;
            }
        }
        Ok(())
    })?;
    match source.finish() {
        (_, bad) if !bad.is_empty() => Err(SuiteError::BadRows(bad)),
        _ => Ok(()),
    }
}

/// That every statement can be scored.
///
/// # Errors
/// How many have no judgement, and which is the first.
pub fn require_labels(statements: &[Statement]) -> Result<(), String> {
    let missing: Vec<&Statement> =
        statements.iter().filter(|statement| statement.judgement.is_none()).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} of {} statements have no `judgement`, the first at {} (id {}): they can be predicted, not scored",
            missing.len(),
            statements.len(),
            first.origin,
            first.id
        )),
    }
}
