//! The Matrix Market exchange format (Boisvert, Pozo, Remington, NISTIR 5935, 1996): sparse matrices as coordinates, vectors and dense
//! matrices as arrays; real, integer or pattern; general, symmetric or skew-symmetric.
//!
//! Read strictly: every complaint has its line. A pattern's entries are ones; entries given twice are added.

use std::fmt::Write;

use super::ReadError;
use crate::linear::Csr;
use crate::statement::{nearest, one_of};

/// A dense matrix, one column after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// The entries.
    pub values: Vec<f64>,
}

/// Reads a sparse matrix.
///
/// # Errors
/// [`ReadError`] with the line if the text is not a coordinate file of a supported kind.
pub fn read_matrix(text: &str) -> Result<Csr, ReadError> {
    let mut file = File::open(text)?;
    if file.header.format != Format::Coordinate {
        return Err(ReadError::at(1, "the file holds an array; a sparse matrix is expected (`coordinate`)"));
    }
    let [rows, columns, stored] = file.sizes("rows, columns and the number of entries")?;
    if rows.max(columns) >= 1 << 31 {
        return Err(ReadError::at(file.line, "the matrix has 2^31 rows or columns or more"));
    }
    let symmetry = file.header.symmetry;
    if symmetry != Symmetry::General && rows != columns {
        return Err(ReadError::at(
            file.line,
            format!("a symmetric matrix of {rows} rows and {columns} columns"),
        ));
    }
    let mut entries = Vec::with_capacity(stored.min(text.len() / 4));
    let pattern = file.header.field == Field::Pattern;
    for seen in 0..stored {
        let Some(words) = file.next_line() else {
            return Err(ReadError::at(file.line, format!("the file ends after {seen} of {stored} entries")));
        };
        let mut words = words.split_ascii_whitespace();
        let i = file.index(words.next(), rows, "row")?;
        let j = file.index(words.next(), columns, "column")?;
        let value = if pattern { 1.0 } else { file.number(words.next())? };
        file.ended(words.next())?;
        match symmetry {
            Symmetry::General => {}
            _ if i < j => {
                return Err(ReadError::at(
                    file.line,
                    "an entry above the diagonal; a symmetric file lists the lower triangle only",
                ));
            }
            Symmetry::Symmetric if i != j => entries.push((j, i, value)),
            Symmetry::Symmetric => {}
            Symmetry::Skew if i == j => {
                return Err(ReadError::at(file.line, "an entry on the diagonal of a skew-symmetric matrix"));
            }
            Symmetry::Skew => entries.push((j, i, -value)),
        }
        entries.push((i, j, value));
    }
    file.finished("entries", stored)?;
    Csr::from_entries(rows, columns, entries).map_err(|error| ReadError::new(error.to_string()))
}

/// Reads an array; a coordinate file with one column is read as one too.
///
/// # Errors
/// [`ReadError`] with the line if the text is no such file.
pub fn read_array(text: &str) -> Result<Array, ReadError> {
    let mut file = File::open(text)?;
    if file.header.format == Format::Coordinate {
        let matrix = read_matrix(text)?;
        let (rows, columns) = matrix.shape();
        if columns != 1 {
            return Err(ReadError::at(1, format!("a matrix of {columns} columns; a vector is expected")));
        }
        return Ok(Array { rows, columns, values: (0..rows).map(|i| matrix.entry(i, 0)).collect() });
    }
    let [rows, columns] = file.sizes("rows and columns")?;
    let symmetry = file.header.symmetry;
    if symmetry != Symmetry::General && rows != columns {
        return Err(ReadError::at(
            file.line,
            format!("a symmetric array of {rows} rows and {columns} columns"),
        ));
    }
    let count = rows.checked_mul(columns).filter(|&count| count < 1 << 40);
    let Some(count) = count else {
        return Err(ReadError::at(file.line, "the array is too large"));
    };
    if count > text.len() {
        return Err(ReadError::at(file.line, format!("the file is too short for {count} numbers")));
    }
    let mut values = vec![0.0; count];
    for j in 0..columns {
        let first = match symmetry {
            Symmetry::General => 0,
            Symmetry::Symmetric => j,
            Symmetry::Skew => j + 1,
        };
        for i in first..rows {
            let Some(words) = file.next_line() else {
                return Err(ReadError::at(
                    file.line,
                    format!("the file ends before entry ({}, {})", i + 1, j + 1),
                ));
            };
            let mut words = words.split_ascii_whitespace();
            let value = file.number(words.next())?;
            file.ended(words.next())?;
            values[j * rows + i] = value;
            match symmetry {
                Symmetry::General => {}
                Symmetry::Symmetric => values[i * rows + j] = value,
                Symmetry::Skew => values[i * rows + j] = -value,
            }
        }
    }
    file.finished("numbers", count)?;
    Ok(Array { rows, columns, values })
}

/// Writes a matrix; of one that equals its transpose the lower triangle.
pub fn write_matrix(matrix: &Csr) -> String {
    let (rows, columns) = matrix.shape();
    let symmetric = rows == columns && *matrix == matrix.transpose();
    let entries = || {
        (0..rows).flat_map(move |i| {
            let (columns, values) = matrix.row(i);
            columns
                .iter()
                .zip(values)
                .map(move |(&j, &value)| (i, j as usize, value))
                .filter(move |&(i, j, _)| !symmetric || j <= i)
        })
    };
    let kind = if symmetric { "symmetric" } else { "general" };
    let mut text =
        format!("%%MatrixMarket matrix coordinate real {kind}\n{rows} {columns} {}\n", entries().count());
    for (i, j, value) in entries() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} {value:e}", i + 1, j + 1);
    }
    text
}

/// Writes a vector as an array of one column.
pub fn write_vector(values: &[f64]) -> String {
    let mut text = format!("%%MatrixMarket matrix array real general\n{} 1\n", values.len());
    for value in values {
        let _ = writeln!(text, "{value:e}");
    }
    text
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Coordinate,
    Array,
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Number,
    Pattern,
}

#[derive(Clone, Copy, PartialEq)]
enum Symmetry {
    General,
    Symmetric,
    Skew,
}

struct Header {
    format: Format,
    field: Field,
    symmetry: Symmetry,
}

/// The lines of a file after its header, without comments and empty lines.
struct File<'a> {
    header: Header,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    /// The line last read, from 1.
    line: usize,
}

impl<'a> File<'a> {
    fn open(text: &'a str) -> Result<Self, ReadError> {
        let mut lines = text.lines().enumerate();
        let first = lines.next().map_or("", |(_, line)| line).to_ascii_lowercase();
        let words: Vec<&str> = first.split_ascii_whitespace().collect();
        let &["%%matrixmarket", object, format, field, symmetry] = words.as_slice() else {
            return Err(ReadError::at(
                1,
                "expected `%%MatrixMarket matrix coordinate|array real|integer|pattern general|symmetric|skew-symmetric`",
            ));
        };
        word(object, &[("matrix", ())])?;
        let format = word(format, &[("coordinate", Format::Coordinate), ("array", Format::Array)])?;
        if field == "complex" || symmetry == "hermitian" {
            return Err(ReadError::at(1, "complex matrices are not supported, only real ones"));
        }
        let numbers = [("real", Field::Number), ("integer", Field::Number), ("pattern", Field::Pattern)];
        let field = word(field, &numbers[..if format == Format::Array { 2 } else { 3 }])?;
        let symmetry = word(
            symmetry,
            &[
                ("general", Symmetry::General),
                ("symmetric", Symmetry::Symmetric),
                ("skew-symmetric", Symmetry::Skew),
            ],
        )?;
        Ok(File { header: Header { format, field, symmetry }, lines, line: 1 })
    }

    fn next_line(&mut self) -> Option<&'a str> {
        for (number, line) in self.lines.by_ref() {
            self.line = number + 1;
            let line = line.trim_ascii();
            if !line.is_empty() && !line.starts_with('%') {
                return Some(line);
            }
        }
        None
    }

    fn sizes<const N: usize>(&mut self, what: &str) -> Result<[usize; N], ReadError> {
        let line = self.next_line().unwrap_or("");
        let numbers: Vec<usize> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let words = line.split_ascii_whitespace().count();
        match <[usize; N]>::try_from(numbers) {
            Ok(sizes) if words == N => Ok(sizes),
            _ => Err(ReadError::at(self.line, format!("`{line}`: expected {what}"))),
        }
    }

    /// An index, from 1 in the file, from 0 here.
    fn index(&self, word: Option<&str>, count: usize, what: &str) -> Result<u32, ReadError> {
        let word = word.ok_or_else(|| ReadError::at(self.line, format!("the {what} is missing")))?;
        match word.parse::<usize>() {
            Ok(index) if (1..=count).contains(&index) => Ok(index as u32 - 1),
            _ => Err(ReadError::at(self.line, format!("`{word}` is no {what} from 1 to {count}"))),
        }
    }

    fn number(&self, word: Option<&str>) -> Result<f64, ReadError> {
        let word = word.ok_or_else(|| ReadError::at(self.line, "the value is missing"))?;
        word.parse().map_err(|_| ReadError::at(self.line, format!("`{word}` is not a number")))
    }

    fn ended(&self, word: Option<&str>) -> Result<(), ReadError> {
        match word {
            Some(word) => Err(ReadError::at(self.line, format!("`{word}` is one word too many"))),
            None => Ok(()),
        }
    }

    fn finished(&mut self, what: &str, count: usize) -> Result<(), ReadError> {
        match self.next_line() {
            Some(_) => Err(ReadError::at(self.line, format!("more {what} than the {count} announced"))),
            None => Ok(()),
        }
    }
}

/// What a word of the header means.
fn word<T: Copy>(word: &str, known: &[(&str, T)]) -> Result<T, ReadError> {
    let words: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    known.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let near = nearest(word, words.iter().copied())
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        ReadError::at(1, format!("`{word}`: expected {}{near}", one_of(&words)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn matrices_and_vectors_survive_the_round_trip(
            entries in prop::collection::vec((0..7u32, 0..5u32, -1e10..1e10f64), 0..20), symmetric in any::<bool>()
        ) {
            let matrix = if symmetric {
                let mirrored = entries.iter().flat_map(|&(i, j, v)| [(i, j, v), (j, i, v)]).collect();
                Csr::from_entries(7, 7, mirrored).unwrap()
            } else {
                Csr::from_entries(7, 5, entries.clone()).unwrap()
            };
            prop_assert_eq!(&read_matrix(&write_matrix(&matrix)).unwrap(), &matrix);
            let values: Vec<f64> = entries.iter().map(|e| e.2).collect();
            prop_assert_eq!(read_array(&write_vector(&values)).unwrap().values, values);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(%%MatrixMarket matrix (coordinate|array) real (general|symmetric)\n)?[0-9 .\n%a-]*") {
            let _ = (read_matrix(&text), read_array(&text));
        }
    }

    #[test]
    fn kinds_mean_what_they_say() {
        let pattern =
            "%%MatrixMarket matrix coordinate pattern symmetric\n% a comment\n\n3 3 3\n1 1\n2 1\n3 3\n";
        let matrix = read_matrix(pattern).unwrap();
        assert_eq!(
            (matrix.entry(0, 1), matrix.entry(1, 0), matrix.entry(2, 2), matrix.stored()),
            (1.0, 1.0, 1.0, 4)
        );
        let skew = "%%MatrixMarket MATRIX Coordinate integer skew-symmetric\n2 2 1\n2 1 5\n";
        let matrix = read_matrix(skew).unwrap();
        assert_eq!((matrix.entry(1, 0), matrix.entry(0, 1)), (5.0, -5.0));
        let array = read_array("%%MatrixMarket matrix array real symmetric\n2 2\n1\n2\n3\n").unwrap();
        assert_eq!(array.values, [1.0, 2.0, 2.0, 3.0]);
        let twice = "%%MatrixMarket matrix coordinate real general\n1 1 2\n1 1 2\n1 1 3\n";
        assert_eq!(read_matrix(twice).unwrap().entry(0, 0), 5.0);
    }

    #[test]
    fn complaints_name_the_line() {
        let head = "%%MatrixMarket matrix coordinate real general\n% note\n";
        for (text, line, part) in [
            ("hello", 1, "%%MatrixMarket"),
            ("%%MatrixMarket matrix coordinat real general\n", 1, "did you mean `coordinate`"),
            ("%%MatrixMarket matrix coordinate complex general\n", 1, "complex"),
            (&format!("{head}2 2\n"), 3, "expected rows"),
            (&format!("{head}2 2 2\n1 1 1\n"), 4, "1 of 2 entries"),
            (&format!("{head}2 2 1\n1 3 1\n"), 4, "no column from 1 to 2"),
            (&format!("{head}2 2 1\n0 1 1\n"), 4, "no row"),
            (&format!("{head}2 2 1\n1 1 x\n"), 4, "`x` is not a number"),
            (&format!("{head}2 2 1\n1 1 1 1\n"), 4, "too many"),
            (&format!("{head}2 2 1\n1 1 1\n2 2 1\n"), 5, "more entries"),
            ("%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 1\n", 3, "above the diagonal"),
        ] {
            let error = read_matrix(text).unwrap_err();
            assert_eq!(error.line, Some(line), "{error}");
            assert!(error.message.contains(part), "{error}");
        }
    }
}
