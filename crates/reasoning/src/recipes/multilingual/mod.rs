//! Word problems in many languages, for training (MathOctopus: Chen et al. 2023).
//!
//! From worked English problems to what a trainer reads, each step a small part:
//!
//! 1. [`contamination`]: problems that share text with test questions are left out;
//! 2. [`translation`]: a model translates; what fails the [`formulas`] check is translated again, then put into quarantine;
//! 3. [`pairs`]: question and reply in one language (parallel), or the question in English (cross), mixed over languages;
//! 4. [`records`]: prompts, masks, lengths;
//! 5. [`rejection_sampling`]: further solutions from the trained model itself (xRFT).
//!
//! The English annotations and counts are those of GSM8K. Prompts are our own words: the published ones are unknown.

mod arithmetic;
pub mod contamination;
mod edit_distance;
pub mod formulas;
pub mod pairs;
pub mod records;
pub mod rejection_sampling;
pub mod translation;

use std::path::Path;

use translation::Item;

use crate::suites::{DataFile, Source, SuiteError};

/// Reads worked problems from the rows `question` and `answer` of a table, such as GSM8K's `train.jsonl`; the ids are
/// `train/1` and so on.
///
/// # Errors
/// If the file or rows of it cannot be read: all of these are named.
pub fn read_items(file: &Path) -> Result<(Vec<Item>, Vec<DataFile>), SuiteError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or(&name).to_string();
    let mut source = Source::new(folder.to_path_buf());
    let items = source.read_file(&name, |row| {
        let (question, answer) = (row.text("question")?, row.text("answer")?);
        if question.trim().is_empty() || answer.trim().is_empty() {
            return Err("the question or the answer is empty".into());
        }
        Ok(Item { id: format!("{stem}/{}", row.origin.line), question, answer })
    });
    let (files, bad) = source.finish();
    if !bad.is_empty() {
        return Err(SuiteError::BadRows(bad));
    }
    let items = items?;
    if items.is_empty() {
        return Err(SuiteError::Empty);
    }
    Ok((items, files))
}
