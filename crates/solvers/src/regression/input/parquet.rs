//! Parquet files, a row group at a time; plain columns of numbers, uncompressed or packed by Snappy or Zstandard.

use std::fs::File;
use std::path::Path;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{InputError, Picks, Place, Source, unreadable};
use crate::regression::Table;

pub(super) struct Parquet {
    path: Place,
    reader: SerializedFileReader<File>,
    names: Vec<String>,
    rows: usize,
    /// The next row group to be opened.
    next_group: usize,
    /// Rows before the one that is read next.
    done: usize,
    /// Readers of the picked columns in the open row group, the response last, and its rows that are left.
    open: Option<(Vec<ColumnReader>, usize)>,
}

impl Parquet {
    pub(super) fn open(path: &Path) -> Result<Self, InputError> {
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let reader = SerializedFileReader::new(file).map_err(|error| unreadable(path, error))?;
        let metadata = reader.metadata().file_metadata();
        let schema = metadata.schema_descr();
        if let Some(nested) = schema.columns().iter().find(|column| column.max_rep_level() > 0) {
            let what = format!("column `{}` holds lists, expected numbers", nested.name());
            return Err(InputError::Unsuitable { path: path.display().to_string(), what });
        }
        let names = schema.columns().iter().map(|column| column.path().string()).collect();
        let rows = metadata.num_rows().max(0) as usize;
        Ok(Parquet { path: path.to_path_buf(), reader, names, rows, next_group: 0, done: 0, open: None })
    }

    /// The column `j` of the open row group's next `count` rows.
    fn column(&self, j: usize, reader: &mut ColumnReader, count: usize) -> Result<Vec<f64>, InputError> {
        let read = match reader {
            ColumnReader::DoubleColumnReader(reader) => numbers(reader, count, |x| *x),
            ColumnReader::FloatColumnReader(reader) => numbers(reader, count, |x| f64::from(*x)),
            ColumnReader::Int32ColumnReader(reader) => numbers(reader, count, |x| f64::from(*x)),
            ColumnReader::Int64ColumnReader(reader) => numbers(reader, count, |x| *x as f64),
            ColumnReader::BoolColumnReader(reader) => numbers(reader, count, |x| f64::from(u8::from(*x))),
            _ => {
                let what = format!("column `{}` holds no numbers", self.names[j]);
                return Err(InputError::Unsuitable { path: self.path.display().to_string(), what });
            }
        };
        let (values, missing) = read.map_err(|error| unreadable(&self.path, error))?;
        match missing {
            None => Ok(values),
            Some(row) => Err(InputError::Entry {
                path: self.path.display().to_string(),
                line: (self.done + row + 1) as u64,
                column: self.names[j].clone(),
                what: "the value is missing, expected a number".to_string(),
            }),
        }
    }
}

/// The next `count` values of a column, and the first row among them that has none.
fn numbers<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    number: impl Fn(&T::T) -> f64,
) -> parquet::errors::Result<(Vec<f64>, Option<usize>)> {
    let (mut values, mut levels) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut records = 0;
    while records < count {
        let (more, _, _) = reader.read_records(count - records, Some(&mut levels), None, &mut values)?;
        if more == 0 {
            break;
        }
        records += more;
    }
    // A value is there where its level is the highest; columns that must have values have no levels.
    let highest = levels.iter().copied().max().unwrap_or(0).max(1);
    let missing = if values.len() < records { levels.iter().position(|l| *l < highest) } else { None };
    Ok((values.iter().map(number).collect(), missing))
}

impl Source for Parquet {
    fn columns(&self) -> &[String] {
        &self.names
    }

    fn rows_at_most(&self) -> usize {
        self.rows
    }

    fn restart(&mut self) -> Result<(), InputError> {
        (self.next_group, self.done, self.open) = (0, 0, None);
        Ok(())
    }

    fn read(&mut self, picks: &Picks, count: usize, rows: &mut Table) -> Result<usize, InputError> {
        let places: Vec<usize> = picks.matrix.iter().copied().chain([picks.response]).collect();
        let (mut readers, left) = loop {
            match self.open.take() {
                Some((readers, left)) if left > 0 => break (readers, left),
                _ if self.next_group == self.reader.num_row_groups() => return Ok(0),
                _ => {
                    let group = self
                        .reader
                        .get_row_group(self.next_group)
                        .map_err(|error| unreadable(&self.path, error))?;
                    let readers = places
                        .iter()
                        .map(|j| group.get_column_reader(*j))
                        .collect::<Result<Vec<_>, _>>()
                        .map_err(|error| unreadable(&self.path, error))?;
                    self.next_group += 1;
                    self.open = Some((readers, group.metadata().num_rows().max(0) as usize));
                }
            }
        };
        let count = count.min(left);
        let mut columns = Vec::with_capacity(places.len());
        for (j, reader) in places.iter().zip(&mut readers) {
            let values = self.column(*j, reader, count)?;
            if values.len() != count {
                return Err(unreadable(&self.path, format!("column `{}` ends early", self.names[*j])));
            }
            columns.push(values);
        }
        let response = columns.pop().unwrap_or_default();
        for i in 0..count {
            rows.matrix.extend(columns.iter().map(|column| column[i]));
            if picks.intercept {
                rows.matrix.push(1.0);
            }
        }
        rows.response.extend(response);
        self.done += count;
        self.open = Some((readers, left - count));
        Ok(count)
    }
}
