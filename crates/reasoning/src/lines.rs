//! Files of lines that are larger than memory: read in batches, worked on by all cores, handed over in order.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

/// A batch ends with the line that makes it larger than this.
const BATCH: usize = 4 << 20;

/// Longer lines are cut here: what is cut cannot be read as JSON, and no memory holds it.
pub(crate) const LONGEST_LINE: usize = 64 << 20;

/// The lines of a file, decompressed.
pub(crate) struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: usize,
    offset: u64,
}

/// A line that is not blank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// The bytes before its end, line break included, in the decompressed file.
    pub(crate) end: u64,
    /// The line without its break.
    pub(crate) bytes: &'a [u8],
}

/// Some lines.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    lines: Vec<(usize, u64, Range<usize>)>,
}

impl Batch {
    /// Adds a line that comes from elsewhere.
    pub(crate) fn push(&mut self, number: usize, line: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.lines.push((number, 0, start..self.bytes.len()));
    }

    fn line(&self, (number, end, range): &(usize, u64, Range<usize>)) -> Line<'_> {
        Line { number: *number, end: *end, bytes: &self.bytes[range.clone()] }
    }
}

impl Lines {
    /// Opens a file; one that ends in `.gz` or `.zst` is decompressed.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let reader: Box<dyn BufRead + Send> = match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))),
            Some("zst") => Box::new(BufReader::new(zstd::Decoder::new(file)?)),
            _ => Box::new(BufReader::with_capacity(1 << 18, file)),
        };
        Ok(Lines { reader, number: 0, offset: 0 })
    }

    /// Opens a file that is not compressed behind so many lines and bytes.
    pub(crate) fn open_behind(path: &Path, number: usize, offset: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Lines { reader: Box::new(BufReader::with_capacity(1 << 18, file)), number, offset })
    }

    /// Passes over the lines up to an offset.
    pub(crate) fn skip_to(&mut self, offset: u64) -> std::io::Result<()> {
        let mut line = Vec::new();
        while self.offset < offset && self.read(&mut line)? {
            line.clear();
        }
        Ok(())
    }

    /// The number of the line that was read last, from 1.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The bytes that were read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads one line without its break; `false` at the end of the file.
    pub(crate) fn read(&mut self, into: &mut Vec<u8>) -> std::io::Result<bool> {
        let start = into.len();
        let mut read = (&mut self.reader).take(LONGEST_LINE as u64).read_until(b'\n', into)?;
        if read == 0 {
            return Ok(false);
        }
        if into.last() == Some(&b'\n') {
            into.pop();
        } else if into.len() - start == LONGEST_LINE {
            // The rest of the line is passed over without being kept.
            loop {
                let buffer = self.reader.fill_buf()?;
                let end = buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
                let passed = end.unwrap_or(buffer.len());
                self.reader.consume(passed);
                read += passed;
                if end.is_some() || passed == 0 {
                    break;
                }
            }
        }
        self.number += 1;
        self.offset += read as u64;
        Ok(true)
    }

    /// The next lines that are not blank; `None` at the end of the file.
    pub(crate) fn batch(&mut self) -> std::io::Result<Option<Batch>> {
        let mut batch = Batch { bytes: Vec::with_capacity(BATCH + (BATCH >> 3)), lines: Vec::new() };
        while batch.bytes.len() < BATCH {
            let start = batch.bytes.len();
            if !self.read(&mut batch.bytes)? {
                break;
            }
            if !batch.bytes[start..].trim_ascii().is_empty() {
                batch.lines.push((self.number, self.offset, start..batch.bytes.len()));
            }
        }
        Ok((!batch.bytes.is_empty()).then_some(batch))
    }
}

/// Does `work` for every line of all batches on all cores, and hands what came out to `each` in order. The next batch is
/// read meanwhile.
///
/// # Errors
/// The first error of reading or of `each`, which ends the work.
pub(crate) fn in_order<R: Send, E: From<std::io::Error> + Send>(
    mut next: impl FnMut() -> std::io::Result<Option<Batch>> + Send,
    work: impl Fn(Line<'_>) -> R + Sync,
    mut each: impl FnMut(Line<'_>, R) -> Result<(), E>,
) -> Result<(), E> {
    let mut current = next()?;
    while let Some(batch) = current {
        let (following, results) = rayon::join(&mut next, || {
            // A few lines at a time, so that a batch of long ones is shared out as well as one of short ones.
            let lines = batch.lines.par_iter().with_max_len(64);
            lines.map(|line| work(batch.line(line))).collect::<Vec<R>>()
        });
        for (line, result) in batch.lines.iter().zip(results) {
            each(batch.line(line), result)?;
        }
        current = following?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_in_order_with_their_places_from_any_form() {
        let folder = tempfile::tempdir().unwrap();
        let text: String =
            (0..20_000).map(|number| format!("{number}{}\n", "x".repeat(number % 900))).collect();
        let text = format!("\n \n{text}last");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.jsonl"), &text).unwrap();
        let mut gz =
            flate2::write::GzEncoder::new(File::create(path("a.jsonl.gz")).unwrap(), Default::default());
        gz.write_all(text.as_bytes()).unwrap();
        gz.finish().unwrap();
        std::fs::write(path("a.jsonl.zst"), zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
            let mut lines = Lines::open(&path(name)).unwrap();
            let mut seen = Vec::new();
            in_order::<_, std::io::Error>(
                || lines.batch(),
                |line| line.bytes.len(),
                |line, length| {
                    assert_eq!(line.bytes.len(), length);
                    seen.push((line.number, line.end, line.bytes.to_vec()));
                    Ok(())
                },
            )
            .unwrap();
            let expected: Vec<&str> = text.lines().skip(2).collect();
            assert_eq!(seen.len(), expected.len());
            assert!(seen.iter().zip(&expected).all(|(found, line)| found.2 == line.as_bytes()));
            assert_eq!((seen[0].0, seen.last().unwrap().1), (3, text.len() as u64));
            // From the middle on.
            let (number, end, _) = &seen[7000];
            let mut lines = Lines::open(&path(name)).unwrap();
            lines.skip_to(*end).unwrap();
            assert_eq!(lines.number, *number);
            let mut line = Vec::new();
            assert!(lines.read(&mut line).unwrap());
            assert_eq!(line, seen[7001].2);
        }
    }

    #[test]
    fn endless_lines_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut bytes = vec![b'x'; LONGEST_LINE + 1000];
        bytes.extend(b"\nnext");
        std::fs::write(&path, &bytes).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut line = Vec::new();
        assert!(lines.read(&mut line).unwrap());
        assert_eq!(line.len(), LONGEST_LINE);
        line.clear();
        assert!(lines.read(&mut line).unwrap());
        assert_eq!(line, b"next");
        assert!(!lines.read(&mut line).unwrap());
    }
}
