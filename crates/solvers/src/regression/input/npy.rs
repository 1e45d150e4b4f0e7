//! NumPy arrays of two dimensions, in row-major order; read in pieces, never mapped as a whole.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use npyz::{DType, NpyFile, Order};

use super::{InputError, Picks, Place, Source, numbered, unreadable};
use crate::regression::Table;

pub(super) struct Npy {
    path: Place,
    names: Vec<String>,
    rows: usize,
    next: usize,
    entry: Entry,
    data_start: u64,
    file: BufReader<File>,
    bytes: Vec<u8>,
}

/// The types of entries that are read, little-endian.
#[derive(Clone, Copy)]
enum Entry {
    Double,
    Single,
    Long,
    Int,
}

impl Entry {
    fn size(self) -> usize {
        match self {
            Entry::Double | Entry::Long => 8,
            Entry::Single | Entry::Int => 4,
        }
    }

    /// The value of an entry's bytes.
    fn value(self, bytes: &[u8]) -> f64 {
        let eight = || <[u8; 8]>::try_from(bytes).unwrap_or_default();
        let four = || <[u8; 4]>::try_from(bytes).unwrap_or_default();
        match self {
            Entry::Double => f64::from_le_bytes(eight()),
            Entry::Single => f64::from(f32::from_le_bytes(four())),
            Entry::Long => i64::from_le_bytes(eight()) as f64,
            Entry::Int => f64::from(i32::from_le_bytes(four())),
        }
    }
}

impl Npy {
    pub(super) fn open(path: &Path) -> Result<Self, InputError> {
        let unsuitable = |what: String| InputError::Unsuitable { path: path.display().to_string(), what };
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let npy = NpyFile::new(BufReader::new(file)).map_err(|error| unreadable(path, error))?;
        let &[rows, columns] = npy.shape() else {
            let dimensions = npy.shape().len();
            return Err(unsuitable(format!(
                "an array of {dimensions} dimensions, expected 2 (rows, columns)"
            )));
        };
        if npy.order() != Order::C {
            let what = "in column-major order, expected row-major (numpy.ascontiguousarray makes it so)";
            return Err(unsuitable(what.to_string()));
        }
        let entry = match npy.dtype() {
            DType::Plain(kind) => match kind.to_string().as_str() {
                "<f8" => Some(Entry::Double),
                "<f4" => Some(Entry::Single),
                "<i8" => Some(Entry::Long),
                "<i4" => Some(Entry::Int),
                _ => None,
            },
            _ => None,
        };
        let Some(entry) = entry else {
            let kind = npy.dtype().descr();
            return Err(unsuitable(format!("entries of type {kind}, expected <f8, <f4, <i8 or <i4")));
        };
        let mut file = npy.into_inner();
        let data_start = file.stream_position().map_err(|error| unreadable(path, error))?;
        Ok(Npy {
            path: path.to_path_buf(),
            names: numbered(columns as usize),
            rows: rows as usize,
            next: 0,
            entry,
            data_start,
            file,
            bytes: Vec::new(),
        })
    }
}

impl Source for Npy {
    fn columns(&self) -> &[String] {
        &self.names
    }

    fn rows_at_most(&self) -> usize {
        self.rows
    }

    fn restart(&mut self) -> Result<(), InputError> {
        self.next = 0;
        self.file.seek(SeekFrom::Start(self.data_start)).map_err(|error| unreadable(&self.path, error))?;
        Ok(())
    }

    fn read(&mut self, picks: &Picks, count: usize, rows: &mut Table) -> Result<usize, InputError> {
        /// Bytes that are read at a time.
        const PIECE: usize = 1 << 22;
        let size = self.entry.size();
        let width = size * self.names.len();
        let count = count.min(self.rows - self.next).min((PIECE / width.max(1)).max(1));
        self.bytes.resize(count * width, 0);
        self.file.read_exact(&mut self.bytes).map_err(|error| unreadable(&self.path, error))?;
        for row in self.bytes.chunks_exact(width.max(1)) {
            let value = |j: usize| self.entry.value(&row[j * size..(j + 1) * size]);
            rows.matrix.extend(picks.matrix.iter().map(|j| value(*j)));
            if picks.intercept {
                rows.matrix.push(1.0);
            }
            rows.response.push(value(picks.response));
        }
        self.next += count;
        Ok(count)
    }
}
