//! An index as a file: one line of JSON (what it is an index of, with a digest of what follows), and then columns of numbers,
//! little-endian.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::super::{RecordError, Verdict};
use super::{Index, Names, Stamp, Timing};

/// It goes up when the form of the file changes.
const VERSION: u32 = 2;

/// The longest first line of an index.
const LONGEST_HEAD: u64 = 1 << 30;

/// The first line of an index.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    stamp: Stamp,
    records: usize,
    samples: usize,
    names: Names,
    blake3: String,
}

impl Index {
    /// The index of a file of records: that in `cache` if it is one of this file as it is now, else a new one, which is
    /// kept there if that can be written.
    ///
    /// # Errors
    /// If the records cannot be read; the line is named.
    pub fn open(path: &Path, cache: &Path) -> Result<Self, RecordError> {
        let stamp = Stamp::of(path)?;
        if let Some(index) = File::open(cache).ok().and_then(|file| Index::load(path, &stamp, file)) {
            return Ok(index);
        }
        let index = Index::build(path)?;
        // Where it cannot be kept it is made again the next time.
        let _ = index.save(cache);
        Ok(index)
    }

    /// Writes the index under a temporary name and renames it.
    fn save(&self, to: &Path) -> std::io::Result<()> {
        let mut body = Vec::new();
        put(&mut body, &self.places, u64::to_le_bytes);
        put(&mut body, &self.lengths, u64::to_le_bytes);
        put(&mut body, &self.replies, u64::to_le_bytes);
        put(&mut body, &self.first_samples[1..], u32::to_le_bytes);
        put(&mut body, &self.id_ends, u32::to_le_bytes);
        self.categories.iter().for_each(|column| put(&mut body, column, u32::to_le_bytes));
        put(&mut body, &self.verdicts, |verdict| [verdict as u8]);
        put(&mut body, &self.rules, u32::to_le_bytes);
        put(&mut body, &self.reply_lengths, u32::to_le_bytes);
        put(&mut body, &self.seconds, f32::to_le_bytes);
        body.extend_from_slice(self.ids.as_bytes());
        let head = Head {
            version: VERSION,
            stamp: self.stamp.clone(),
            records: self.len(),
            samples: self.samples(),
            names: self.names.clone(),
            blake3: blake3::hash(&body).to_hex().to_string(),
        };
        let folder = to.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let temporary = to.with_extension(format!("{}.unfinished", std::process::id()));
        let written = File::create(&temporary).and_then(|mut file| {
            serde_json::to_writer(&mut file, &head)?;
            file.write_all(b"\n")?;
            file.write_all(&body)
        });
        let renamed = written.and_then(|()| std::fs::rename(&temporary, to));
        if renamed.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        renamed
    }

    /// The index in a file, if it is one of records with this stamp and whole.
    pub(super) fn load(path: &Path, stamp: &Stamp, file: File) -> Option<Self> {
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        // A file of something else may have no line.
        file.by_ref().take(LONGEST_HEAD).read_until(b'\n', &mut line).ok()?;
        let head: Head = serde_json::from_slice(&line).ok()?;
        if head.version != VERSION || head.stamp != *stamp {
            return None;
        }
        let mut body = Vec::new();
        file.read_to_end(&mut body).ok()?;
        if blake3::hash(&body).to_hex().as_str() != head.blake3 {
            return None;
        }
        let (body, records, samples) = (&mut &body[..], head.records, head.samples);
        let mut index = Index::empty(path, head.stamp);
        index.places = take(body, records, u64::from_le_bytes)?;
        index.lengths = take(body, records, u64::from_le_bytes)?;
        index.replies = take(body, records, u64::from_le_bytes)?;
        index.first_samples.extend(take(body, records, u32::from_le_bytes)?);
        index.id_ends = take(body, records, u32::from_le_bytes)?;
        for _ in &head.names.categories {
            index.categories.push(take(body, records, u32::from_le_bytes)?);
        }
        let verdict = |[number]: [u8; 1]| Verdict::ALL[usize::from(number) % Verdict::ALL.len()];
        index.verdicts = take(body, samples, verdict)?;
        index.rules = take(body, samples, u32::from_le_bytes)?;
        index.reply_lengths = take(body, samples, u32::from_le_bytes)?;
        index.seconds = take(body, records, f32::from_le_bytes)?;
        index.ids = std::str::from_utf8(body).ok()?.to_string();
        index.names = head.names;
        Some(index)
    }
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self, RecordError> {
        let of = |path: &Path| {
            let metadata = std::fs::metadata(path)?;
            let modified = metadata.modified()?;
            let nanoseconds = modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
            Ok((metadata.len(), nanoseconds))
        };
        let (bytes, nanoseconds) =
            of(path).map_err(|error| RecordError::File(path.display().to_string(), error))?;
        Ok(Stamp { bytes, nanoseconds, times: of(&path.with_file_name(Timing::FILE)).ok() })
    }
}

/// Appends a column.
fn put<T: Copy, const N: usize>(to: &mut Vec<u8>, column: &[T], bytes: impl Fn(T) -> [u8; N]) {
    to.reserve(N * column.len());
    column.iter().for_each(|value| to.extend_from_slice(&bytes(*value)));
}

/// Takes a column off the front.
fn take<T, const N: usize>(from: &mut &[u8], count: usize, value: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (column, rest) = from.split_at_checked(count.checked_mul(N)?)?;
    *from = rest;
    Some(column.chunks_exact(N).map(|bytes| value(bytes.try_into().expect("N bytes"))).collect())
}
