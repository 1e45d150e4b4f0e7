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

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::input::{Column, FileRows, Selection, open};
use super::synthetic::{Synthetic, SyntheticKronecker};
use super::{Method, SolveError};
use crate::statement::{MethodPlaces, MethodTable, StatementError, document, only_keys, option_error, table};

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
    method: MethodPlaces,
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
        let table = MethodTable::read(tables, Method::NAMES, "auto", method)?;
        let method = read_method(&table)?;
        let places = Places { data: place, method: table.places };
        if matches!(data, Data::Kronecker(_))
            && !matches!(method, Method::SketchAndSolve(_) | Method::Auto(_))
        {
            let message = format!("method `{}` does not apply to a Kronecker product", method.name());
            return Err(
                StatementError::new(message, places.method.method).expected("`sketch-and-solve` or `auto`")
            );
        }
        Ok(Statement { title, data, method, places })
    }

    /// The place in the file that an error of the solve is about, if there is one.
    pub fn locate(&self, error: &SolveError) -> Option<StatementError> {
        let span = match error {
            SolveError::Option { key, .. } => self.places.method.option(key),
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

fn read_method(table: &MethodTable<'_>) -> Result<Method, StatementError> {
    Ok(match table.name.as_str() {
        "sketch-and-solve" => Method::SketchAndSolve(table.options()?),
        "refined" => Method::Refined(table.options()?),
        "householder" => Method::Householder(table.options()?),
        "normal-equations" => Method::NormalEquations(table.options()?),
        "svd" => Method::Svd(table.options()?),
        _ => Method::Auto(table.options()?),
    })
}
