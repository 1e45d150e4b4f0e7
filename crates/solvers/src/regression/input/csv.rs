//! Comma-separated values.

use std::fs::File;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder, Trim};

use super::{InputError, Picks, Place, Source, numbered, unreadable};
use crate::regression::Table;

pub(super) struct Csv {
    path: Place,
    header: bool,
    separator: u8,
    names: Vec<String>,
    rows_at_most: usize,
    reader: Reader<File>,
    record: ByteRecord,
}

impl Csv {
    pub(super) fn open(path: &Path, header: bool, separator: u8) -> Result<Self, InputError> {
        let mut reader = reader(path, header, separator)?;
        // Without a header line the reader's headers are the first row, which stays to be read.
        let first = reader.headers().map_err(|error| unreadable(path, error))?.clone();
        let names = if header { first.iter().map(String::from).collect() } else { numbered(first.len()) };
        let length = std::fs::metadata(path).map_err(|error| unreadable(path, error))?.len() as usize;
        // An entry takes a character and a separator at least.
        let rows_at_most = (length + 1) / (2 * first.len().max(1));
        let record = ByteRecord::new();
        Ok(Csv { path: path.to_path_buf(), header, separator, names, rows_at_most, reader, record })
    }

    fn number(&self, j: usize) -> Result<f64, InputError> {
        let entry = self.record.get(j).unwrap_or_default();
        let parsed = std::str::from_utf8(entry).ok().and_then(|text| text.trim().parse().ok());
        parsed.ok_or_else(|| {
            let text = String::from_utf8_lossy(entry);
            let what = if text.trim().is_empty() {
                "the value is missing, expected a number".to_string()
            } else {
                let shown: String = text.chars().take(30).collect();
                format!("`{shown}` is not a number")
            };
            let line = self.record.position().map_or(0, csv::Position::line);
            InputError::Entry {
                path: self.path.display().to_string(),
                line,
                column: self.names[j].clone(),
                what,
            }
        })
    }
}

fn reader(path: &Path, header: bool, separator: u8) -> Result<Reader<File>, InputError> {
    ReaderBuilder::new()
        .has_headers(header)
        .delimiter(separator)
        .trim(Trim::All)
        .from_path(path)
        .map_err(|error| unreadable(path, error))
}

impl Source for Csv {
    fn columns(&self) -> &[String] {
        &self.names
    }

    fn rows_at_most(&self) -> usize {
        self.rows_at_most
    }

    fn restart(&mut self) -> Result<(), InputError> {
        self.reader = reader(&self.path, self.header, self.separator)?;
        Ok(())
    }

    fn read(&mut self, picks: &Picks, count: usize, rows: &mut Table) -> Result<usize, InputError> {
        for done in 0..count {
            let more = self.reader.read_byte_record(&mut self.record);
            if !more.map_err(|error| unreadable(&self.path, error))? {
                return Ok(done);
            }
            for j in &picks.matrix {
                rows.matrix.push(self.number(*j)?);
            }
            if picks.intercept {
                rows.matrix.push(1.0);
            }
            rows.response.push(self.number(picks.response)?);
        }
        Ok(count)
    }
}
