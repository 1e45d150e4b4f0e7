//! Files of records: JSON lines, JSON, TSV, CSV, Parquet and XML, perhaps compressed by gzip or Zstandard.
//!
//! What cannot be read is kept with its file and line, and never dropped.

use std::io::Read;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Origin, SuiteError};

/// One record of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where it stands.
    pub origin: Origin,
    /// Its fields by name.
    pub fields: Map<String, Value>,
}

impl Row {
    /// A field as text; numbers as they are written, 42.0 as 42.
    pub fn text(&self, name: &str) -> Result<String, String> {
        match self.fields.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number_text(number)),
            Some(_) => Err(format!("the field `{name}` is not a text or a number")),
            None => {
                let names: Vec<&str> = self.fields.keys().map(String::as_str).collect();
                Err(format!("the field `{name}` is missing; there are: {}", names.join(", ")))
            }
        }
    }
}

impl Row {
    /// A field that is a list, as texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let wrong = || format!("the field `{name}` is no list of texts");
        match self.fields.get(name) {
            Some(Value::Array(items)) => (items.iter())
                .map(|item| match item {
                    Value::String(text) => Ok(text.clone()),
                    Value::Number(number) => Ok(number_text(number)),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
            None => self.text(name).map(|text| vec![text]),
        }
    }
}

fn number_text(number: &serde_json::Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.message)
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataFile {
    /// Its name below the folder of the data.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// The BLAKE3 digest of its bytes.
    pub blake3: String,
}

/// The folder with the data of a suite, and what was read from it.
pub struct Source {
    folder: PathBuf,
    files: Vec<DataFile>,
    bad: Vec<BadRow>,
}

impl Source {
    /// A folder.
    pub fn new(folder: PathBuf) -> Self {
        Source { folder, files: Vec::new(), bad: Vec::new() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Goes on in another folder.
    pub(super) fn move_to(&mut self, folder: &Path) {
        self.folder = folder.to_path_buf();
    }

    pub(crate) fn finish(self) -> (Vec<DataFile>, Vec<BadRow>) {
        (self.files, self.bad)
    }

    /// Makes a record of every row of a table; rows of which none can be made are kept as bad ones.
    ///
    /// The table is the file `stem` with an ending (`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, these with `.gz` or `.zst`)
    /// in the folder or its folders `data` and `main`, or there all the files `stem-00000-of-00002` and so on. `columns`
    /// are the names of the columns of a TSV or CSV file without a head.
    pub fn read<T>(
        &mut self,
        stem: &str,
        columns: Option<&[&str]>,
        mut make: impl FnMut(&Row) -> Result<T, String>,
    ) -> Result<Vec<T>, SuiteError> {
        let mut made = Vec::new();
        for path in self.find(stem)? {
            self.make(&path, columns, &mut make, &mut made)?;
        }
        Ok(made)
    }

    /// The same of one file, by its name with the ending.
    pub fn read_file<T>(
        &mut self,
        name: &str,
        mut make: impl FnMut(&Row) -> Result<T, String>,
    ) -> Result<Vec<T>, SuiteError> {
        let path = self.folder.join(name);
        let mut made = Vec::new();
        self.make(&path, None, &mut make, &mut made)?;
        Ok(made)
    }

    fn make<T>(
        &mut self,
        path: &Path,
        columns: Option<&[&str]>,
        make: &mut impl FnMut(&Row) -> Result<T, String>,
        made: &mut Vec<T>,
    ) -> Result<(), SuiteError> {
        for row in self.rows(path, columns)? {
            match make(&row) {
                Ok(record) => made.push(record),
                Err(message) => self.bad.push(BadRow { origin: row.origin, message }),
            }
        }
        Ok(())
    }

    /// [`Source::read`] of a table in a folder below: `test/algebra` is the table `algebra` of the folder `test`.
    pub(super) fn read_below<T>(
        &mut self,
        path: &str,
        columns: Option<&[&str]>,
        mut make: impl FnMut(&Row) -> Result<T, String>,
    ) -> Result<Vec<T>, SuiteError> {
        let mut made = Vec::new();
        for path in self.find_below(path)? {
            self.make(&path, columns, &mut make, &mut made)?;
        }
        Ok(made)
    }

    /// Whether a table in a folder below is there.
    pub(super) fn has_below(&self, path: &str) -> bool {
        self.find_below(path).is_ok()
    }

    fn find_below(&self, path: &str) -> Result<Vec<PathBuf>, SuiteError> {
        let (folder, stem) = path.rsplit_once('/').unwrap_or(("", path));
        Source::new(self.folder.join(folder)).find(stem)
    }

    /// Whether the table is there.
    pub fn has(&self, stem: &str) -> bool {
        self.find(stem).is_ok()
    }

    /// The files of a table: one, or all its parts.
    fn find(&self, stem: &str) -> Result<Vec<PathBuf>, SuiteError> {
        for folder in ["", "data", "main"].map(|folder| self.folder.join(folder)) {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            let mut names: Vec<String> = names.collect();
            names.sort();
            if let Some(name) =
                names.iter().find(|name| split_ending(name).is_some_and(|(rest, _)| rest == stem))
            {
                return Ok(vec![folder.join(name)]);
            }
            let is_part = |name: &&String| {
                let part =
                    split_ending(name).and_then(|(rest, _)| rest.strip_prefix(stem)?.strip_prefix('-'));
                part.and_then(|part| part.split_once("-of-")).is_some_and(|(number, _)| is_digits(number))
            };
            let parts: Vec<PathBuf> = names.iter().filter(is_part).map(|name| folder.join(name)).collect();
            if !parts.is_empty() {
                return Ok(parts);
            }
        }
        Err(SuiteError::NoFile {
            folder: self.folder.clone(),
            wanted: format!("{stem}.jsonl (or .json, .csv, .tsv, .parquet, compressed or not)"),
            fetch: String::new(),
        })
    }

    /// The text of a file below the folder, decompressed.
    pub(super) fn text(&mut self, name: &str) -> Result<String, SuiteError> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Err(SuiteError::NoFile {
                folder: self.folder.clone(),
                wanted: name.into(),
                fetch: String::new(),
            });
        }
        let bytes = self.bytes(&path)?;
        let text = String::from_utf8(bytes).map_err(|error| SuiteError::File {
            path: path.clone(),
            message: format!("no UTF-8 after {} bytes", error.utf8_error().valid_up_to()),
        })?;
        Ok(text)
    }

    /// Keeps a row that cannot be read.
    pub(crate) fn reject(&mut self, origin: Origin, message: String) {
        self.bad.push(BadRow { origin, message });
    }

    /// Says how many rows the file that was read last has.
    pub(super) fn count(&mut self, rows: usize) {
        if let Some(file) = self.files.last_mut() {
            file.rows = rows;
        }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, SuiteError> {
        let failed =
            |error: std::io::Error| SuiteError::File { path: path.into(), message: error.to_string() };
        let stored = std::fs::read(path).map_err(failed)?;
        let name = self.name(path);
        self.files.push(DataFile { name, rows: 0, blake3: blake3::hash(&stored).to_hex().to_string() });
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => {
                let mut bytes = Vec::new();
                flate2::read::MultiGzDecoder::new(stored.as_slice())
                    .read_to_end(&mut bytes)
                    .map_err(failed)?;
                Ok(bytes)
            }
            Some("zst") => zstd::decode_all(stored.as_slice()).map_err(failed),
            _ => Ok(stored),
        }
    }

    /// The rows of one file; bad ones are kept as such.
    pub(crate) fn rows(&mut self, path: &Path, columns: Option<&[&str]>) -> Result<Vec<Row>, SuiteError> {
        let file = self.name(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let form = split_ending(&name).map(|(_, form)| form);
        let bytes = self.bytes(path)?;
        let found = match form {
            Some("jsonl") => json_lines(&bytes),
            Some("json") => json(&bytes),
            Some("csv") => table(&bytes, b',', columns),
            Some("tsv") => table(&bytes, b'\t', columns),
            Some("parquet") => parquet_rows(bytes)
                .map_err(|error| SuiteError::File { path: path.into(), message: error.to_string() })?,
            _ => {
                return Err(SuiteError::File {
                    path: path.into(),
                    message: "not a known form of file".into(),
                });
            }
        };
        self.count(found.len());
        let mut rows = Vec::with_capacity(found.len());
        for (line, found) in found {
            let origin = Origin { file: file.clone(), line };
            match found {
                Ok(fields) => rows.push(Row { origin, fields }),
                Err(message) => self.bad.push(BadRow { origin, message }),
            }
        }
        Ok(rows)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file's name without its ending, and the form that the ending stands for.
fn split_ending(name: &str) -> Option<(&str, &'static str)> {
    let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
    let (stem, ending) = plain.rsplit_once('.')?;
    ["jsonl", "json", "csv", "tsv", "parquet"]
        .into_iter()
        .find(|form| *form == ending)
        .map(|form| (stem, form))
}

/// Lines with what was made of them.
type Found = Vec<(usize, Result<Map<String, Value>, String>)>;

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err("not a JSON object".into()),
    }
}

fn json_lines(bytes: &[u8]) -> Found {
    (bytes.split(|byte| *byte == b'\n').enumerate())
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(number, line)| {
            let value = serde_json::from_slice::<Value>(line).map_err(|error| message(&error));
            (number + 1, value.and_then(object))
        })
        .collect()
}

/// The message of a JSON error within one row, where the line is always the first.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().map_or(text.clone(), |what| format!("{what} (column {})", error.column()))
}

/// A JSON array of objects, one object, or, as some sets have it under this ending, JSON lines.
fn json(bytes: &[u8]) -> Found {
    let start = bytes.trim_ascii_start();
    if start.first() != Some(&b'[') {
        return match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => vec![(1, object(value))],
            Err(_) => json_lines(bytes),
        };
    }
    let mut at = bytes.len() - start.len() + 1;
    let (mut line, mut counted) = (1, 0);
    let mut found = Vec::new();
    loop {
        at += bytes[at..].len() - bytes[at..].trim_ascii_start().len();
        line += bytes[counted..at].iter().filter(|byte| **byte == b'\n').count();
        counted = at;
        match bytes.get(at) {
            Some(b']') => return found,
            Some(b',') if !found.is_empty() => {
                at += 1;
                continue;
            }
            None => {
                found.push((line, Err("the array is not closed".into())));
                return found;
            }
            _ => {}
        }
        let mut values = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                found.push((line, object(value)));
                at += values.byte_offset();
            }
            Some(Err(error)) => {
                // Behind the mistake the limits of the rows are lost.
                found.push((
                    line + error.line() - 1,
                    Err(format!("{error}; the rest of the file is not read")),
                ));
                return found;
            }
            None => return found,
        }
    }
}

fn table(bytes: &[u8], delimiter: u8, columns: Option<&[&str]>) -> Found {
    let mut reader = csv::ReaderBuilder::new();
    // Quotes mean nothing in tab-separated files.
    reader.delimiter(delimiter).has_headers(false).flexible(true).quoting(delimiter == b',');
    let mut names: Option<Vec<String>> =
        columns.map(|columns| columns.iter().map(|column| column.to_string()).collect());
    let mut found = Vec::new();
    for record in reader.from_reader(bytes).into_byte_records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, |position| position.line() as usize);
                found.push((line, Err(error.to_string())));
                continue;
            }
        };
        let line = record.position().map_or(0, |position| position.line() as usize);
        let cells: Result<Vec<String>, String> = record
            .iter()
            .map(|cell| String::from_utf8(cell.to_vec()).map_err(|_| "not UTF-8".to_string()))
            .collect();
        let row = cells.and_then(|cells| match &names {
            None => Err(cells.join("\u{0}")),
            Some(names) if names.len() == cells.len() => {
                Ok(names.iter().cloned().zip(cells.into_iter().map(Value::String)).collect())
            }
            Some(names) => Err(format!("{} columns instead of {}", cells.len(), names.len())),
        });
        match (&names, row) {
            // The first record names the columns.
            (None, Err(head)) => {
                names = Some(head.split('\u{0}').map(|name| name.trim().to_string()).collect())
            }
            (_, row) => found.push((line, row)),
        }
    }
    found
}

fn parquet_rows(bytes: Vec<u8>) -> Result<Found, parquet::errors::ParquetError> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes))?;
    let mut found = Vec::new();
    for (number, row) in reader.get_row_iter(None)?.enumerate() {
        let fields = row.map_err(|error| error.to_string()).map(|row| {
            row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>()
        });
        found.push((number + 1, fields));
    }
    Ok(found)
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float(value) => f64::from(*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(text) => text.clone().into(),
        Field::Group(row) => {
            Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
        }
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(name: &str, content: &[u8], columns: Option<&[&str]>) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let mut source = Source::new(folder.path().into());
        let made = source.read("rows", columns, |row| row.text("a").map(|a| format!("{} {a}", row.origin)));
        let (files, bad) = source.finish();
        assert_eq!(files.len(), 1);
        (made.unwrap(), bad.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rows_are_read_from_every_form_with_their_lines() {
        let lines = b"{\"a\": 1}\n\n{\"a\": \"x\"}\n";
        let expected = |name: &str, lines: [usize; 2]| {
            [format!("{name}:{} 1", lines[0]), format!("{name}:{} x", lines[1])]
        };
        assert_eq!(read("rows.jsonl", lines, None).0, expected("rows.jsonl", [1, 3]));
        // Some sets have JSON lines under the ending of JSON.
        assert_eq!(read("rows.json", lines, None).0, expected("rows.json", [1, 3]));
        let array = b"[\n{\"a\": 1.0},\n\n{\n\"a\": \"x\"}\n]";
        assert_eq!(read("rows.json", array, None).0, expected("rows.json", [2, 4]));
        assert_eq!(read("rows.json", b"{\n\"a\": 1}", None).0, ["rows.json:1 1"]);
        assert_eq!(read("rows.csv", b"a,b\n1,\"two\nlines\"\nx,3\n", None).0, expected("rows.csv", [2, 4]));
        assert_eq!(read("rows.tsv", b"1\t\"2\nx\t3\n", Some(&["a", "b"])).0, expected("rows.tsv", [1, 2]));

        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(lines).unwrap();
        assert_eq!(
            read("rows.jsonl.gz", &encoder.finish().unwrap(), None).0,
            expected("rows.jsonl.gz", [1, 3])
        );
        let compressed = zstd::encode_all(lines.as_slice(), 3).unwrap();
        assert_eq!(read("rows.jsonl.zst", &compressed, None).0, expected("rows.jsonl.zst", [1, 3]));
    }

    #[test]
    fn parquet_files_of_several_parts_are_one_table() {
        use parquet::data_type::{ByteArray, ByteArrayType};
        use parquet::file::writer::SerializedFileWriter;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let schema =
            parquet::schema::parser::parse_message_type("message rows { REQUIRED BYTE_ARRAY a (UTF8); }");
        let schema = std::sync::Arc::new(schema.unwrap());
        for (part, text) in [(0, "x"), (1, "y")] {
            let file =
                std::fs::File::create(folder.path().join(format!("data/rows-0000{part}-of-00002.parquet")))
                    .unwrap();
            let mut writer = SerializedFileWriter::new(file, schema.clone(), Default::default()).unwrap();
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let values = [ByteArray::from(text), ByteArray::from("z")];
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
            writer.close().unwrap();
        }
        let mut source = Source::new(folder.path().into());
        let made =
            source.read("rows", None, |row| Ok(format!("{} {}", row.origin.line, row.text("a")?))).unwrap();
        assert_eq!(made, ["1 x", "2 z", "1 y", "2 z"]);
        std::fs::write(folder.path().join("data/rows-00000-of-00002.parquet"), b"PAR1 nothing").unwrap();
        assert!(Source::new(folder.path().into()).read("rows", None, |_| Ok(())).is_err());
    }

    #[test]
    fn bad_rows_are_named_and_none_is_lost() {
        let (good, bad) =
            read("rows.jsonl", b"{\"a\": 1}\n{\"a\": \n{\"b\": 1}\n[1]\n\xff\n{\"a\": 2}", None);
        assert_eq!(good, ["rows.jsonl:1 1", "rows.jsonl:6 2"]);
        assert_eq!(bad.len(), 4);
        for (line, expected) in
            [(2, "EOF"), (4, "not a JSON object"), (5, "(column"), (3, "`a` is missing; there are: b")]
        {
            let start = format!("rows.jsonl:{line}: ");
            assert!(bad.iter().any(|bad| bad.starts_with(&start) && bad.contains(expected)), "{bad:?}");
        }
        let (good, bad) = read("rows.tsv", b"1\t2\n3\n4\t5\t6\n", Some(&["a", "b"]));
        assert_eq!((good.len(), bad.len()), (1, 2));
        assert!(bad[0].starts_with("rows.tsv:2: 1 columns"), "{bad:?}");
        let (good, bad) = read("rows.json", b"[{\"a\": 1},\n{\"a\": }]", None);
        assert_eq!(good, ["rows.json:1 1"]);
        assert!(bad[0].starts_with("rows.json:2: "), "{bad:?}");
        let (_, bad) = read("rows.json", b"[{\"a\": 1}", None);
        assert!(bad[0].contains("not closed"), "{bad:?}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::new(folder.path().into()).read("rows", None, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("no rows.jsonl"), "{error}");
    }
}
