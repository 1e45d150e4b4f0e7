//! Problem files for regressions.
//!
//! ```toml
//! title = "Wine"                      # optional
//!
//! [regression]
//! data = "wine.csv"                    # or .parquet, .npy; relative to this file
//! response = "quality"                 # a column's name, or its number counted from 1
//! columns = ["alcohol", "sulphates"]   # optional; without it, all but the response
//! intercept = true                     # optional: a column of ones
//!
//! [method]                             # optional
//! name = "sketch-and-solve"
//! ```
//!
//! Instead of `data`, a table `[regression.synthetic]` or `[regression.kronecker]` has a regression made from a seed.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::input::{Column, FileRows, Selection, open};
use super::synthetic::{Synthetic, SyntheticKronecker};
use super::{Method, SolveError};
use crate::statement::{StatementError, document, entries, nearest, one_of, only_keys, option_error, table};

/// Where the data come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// What of it is the regression.
        selection: Selection,
    },
    /// Made from a seed.
    Synthetic(Synthetic),
    /// Made from a seed, a Kronecker product.
    Kronecker(SyntheticKronecker),
}

impl Data {
    /// Open the file, if the data are in one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(&self) -> Result<Option<FileRows>, SolveError> {
        match self {
            Data::File { path, selection } => Ok(Some(open(path, selection)?)),
            _ => Ok(None),
        }
    }
}

/// A problem file, read.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The title, if the file gives one.
    pub title: Option<String>,
    /// The data.
    pub data: Data,
    /// How they are to be solved.
    pub method: Method,
    places: Places,
}

#[derive(Clone, Debug, Default)]
struct Places {
    data: Range<usize>,
    method: Range<usize>,
    options: HashMap<String, Range<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Regression {
    data: Option<Spanned<String>>,
    response: Option<Column>,
    columns: Option<Vec<Column>>,
    #[serde(default)]
    intercept: bool,
    #[serde(default = "yes")]
    header: bool,
    separator: Option<Spanned<String>>,
    synthetic: Option<Spanned<Synthetic>>,
    kronecker: Option<Spanned<SyntheticKronecker>>,
}

fn yes() -> bool {
    true
}

const SHAPE: &str =
    "[regression] with `data = \"file\"` and `response = \"column\"`, or a table [regression.synthetic]";

impl Statement {
    /// Read a problem file; `folder` is where its relative paths start. With `method`, another method than the file's is taken; the
    /// options of its `[method]` table count if they are of the same method, else the defaults do.
    ///
    /// # Errors
    /// [`StatementError`] with the place and the cause.
    pub fn parse(text: &str, folder: &Path, method: Option<&str>) -> Result<Statement, StatementError> {
        let parsed = document(text)?;
        let tables = parsed.get_ref();
        only_keys(tables, "the file", &["title", "regression", "method"])?;
        let title = match tables.get("title") {
            None => None,
            Some(value) => Some(value.get_ref().as_str().map(String::from).ok_or_else(|| {
                StatementError::new("the title is no text", value.span()).expected("a text in quotes")
            })?),
        };
        let Some(value) = tables.get("regression") else {
            return Err(StatementError::new("the file has no table [regression]", 0..0).expected(SHAPE));
        };
        let regression = Spanned::new(value.span(), table(value, "regression", SHAPE)?.clone());
        let (data, place) = read_data(regression, value.span(), folder)?;
        let (method, mut places) = read_method(tables, method)?;
        places.data = place;
        if matches!(data, Data::Kronecker(_))
            && !matches!(method, Method::SketchAndSolve(_) | Method::Auto(_))
        {
            let message = format!("method `{}` does not apply to a Kronecker product", method.name());
            return Err(StatementError::new(message, places.method).expected("`sketch-and-solve` or `auto`"));
        }
        Ok(Statement { title, data, method, places })
    }

    /// The place in the file that an error of the solve is about, if there is one.
    pub fn locate(&self, error: &SolveError) -> Option<StatementError> {
        let span = match error {
            SolveError::Option { key, .. } => {
                self.places.options.get(*key).unwrap_or(&self.places.method).clone()
            }
            SolveError::Breakdown(_) | SolveError::Interrupted => return None,
            _ => self.places.data.clone(),
        };
        Some(StatementError::new(error.to_string(), span))
    }
}

fn read_data(
    value: Spanned<DeTable<'_>>,
    span: Range<usize>,
    folder: &Path,
) -> Result<(Data, Range<usize>), StatementError> {
    let regression = Regression::deserialize(toml::de::Deserializer::from(value))
        .map_err(|error| option_error("[regression]", &error, span.clone()))?;
    let given = [regression.data.is_some(), regression.synthetic.is_some(), regression.kronecker.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        let message = "[regression] states its data not at all or twice";
        return Err(StatementError::new(message, span)
            .expected("one of `data = \"file\"`, [regression.synthetic], [regression.kronecker]"));
    }
    if let Some(synthetic) = regression.synthetic {
        let place = synthetic.span();
        let Synthetic { rows, columns, noise, .. } = *synthetic.get_ref();
        if rows == 0 || columns == 0 || !noise.is_finite() || noise < 0.0 {
            let message = format!("{rows} rows, {columns} columns, noise {noise}");
            return Err(StatementError::new(message, place).expected("positive numbers"));
        }
        return Ok((Data::Synthetic(synthetic.into_inner()), place));
    }
    if let Some(kronecker) = regression.kronecker {
        let place = kronecker.span();
        let SyntheticKronecker { rows, columns, noise, .. } = *kronecker.get_ref();
        let sound = (0..2).all(|k| 0 < columns[k] && columns[k] <= rows[k]);
        if !sound || !noise.is_finite() || noise < 0.0 {
            let message = format!("rows {rows:?}, columns {columns:?}, noise {noise}");
            return Err(StatementError::new(message, place)
                .expected("positive numbers, and no fewer rows than columns in each factor"));
        }
        return Ok((Data::Kronecker(kronecker.into_inner()), place));
    }
    let Some(file) = regression.data else {
        return Err(StatementError::new("[regression] has no data", span).expected(SHAPE));
    };
    let Some(response) = regression.response else {
        return Err(StatementError::new("[regression] has no response", span)
            .expected("`response = \"column\"`, or the column's number, counted from 1"));
    };
    let separator = match &regression.separator {
        None => b',',
        Some(text) => match text.get_ref().as_bytes() {
            [byte] if byte.is_ascii() => *byte,
            _ => {
                return Err(StatementError::new("the separator is not one character", text.span())
                    .expected("one character, such as \";\" or \"\\t\""));
            }
        },
    };
    let selection = Selection {
        response,
        columns: regression.columns,
        intercept: regression.intercept,
        header: regression.header,
        separator,
    };
    Ok((Data::File { path: folder.join(file.get_ref()), selection }, file.span()))
}

fn read_method(tables: &DeTable<'_>, wanted: Option<&str>) -> Result<(Method, Places), StatementError> {
    let mut places = Places::default();
    let unknown = |name: &str, span: Range<usize>| {
        StatementError::new(format!("there is no method `{name}`"), span)
            .expected(one_of(Method::NAMES))
            .suggest(nearest(name, Method::NAMES.iter().copied()))
    };
    let options = |name: &str, table: Spanned<DeTable<'_>>| -> Option<Result<Method, toml::de::Error>> {
        let options = toml::de::Deserializer::from(table);
        Some(match name {
            "sketch-and-solve" => Deserialize::deserialize(options).map(Method::SketchAndSolve),
            "refined" => Deserialize::deserialize(options).map(Method::Refined),
            "householder" => Deserialize::deserialize(options).map(Method::Householder),
            "normal-equations" => Deserialize::deserialize(options).map(Method::NormalEquations),
            "svd" => Deserialize::deserialize(options).map(Method::Svd),
            "auto" => Deserialize::deserialize(options).map(Method::Auto),
            _ => return None,
        })
    };
    let by_default = |name: &str| {
        options(name, Spanned::new(0..0, DeTable::new()))
            .and_then(Result::ok)
            .ok_or_else(|| unknown(name, 0..0))
    };
    let Some(value) = tables.get("method") else {
        return Ok((by_default(wanted.unwrap_or("auto"))?, places));
    };
    let shape = "[method] with `name = \"...\"` and the method's options";
    let mut stated = table(value, "method", shape)?.clone();
    places.method = value.span();
    for (key, value) in entries(&stated) {
        let place =
            if key.text == "name" { &mut places.method } else { places.options.entry(key.text).or_default() };
        *place = value.span();
    }
    let name = match stated.remove("name") {
        None => "auto".to_string(),
        Some(name) => name.get_ref().as_str().map(String::from).ok_or_else(|| {
            StatementError::new("the method's name is no text", name.span()).expected(one_of(Method::NAMES))
        })?,
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != name) {
        return Ok((by_default(wanted)?, Places::default()));
    }
    let method = options(&name, Spanned::new(value.span(), stated))
        .ok_or_else(|| unknown(&name, places.method.clone()))?
        .map_err(|error| option_error(&format!("method `{name}`"), &error, value.span()))?;
    Ok((method, places))
}
