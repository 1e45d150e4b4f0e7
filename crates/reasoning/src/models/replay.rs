//! Recording what a model replies to a file, and replaying it without the model.
//!
//! A record is a JSONL file: a first line `{"identity": ...}`, then lines `{"key": ..., "reply": ...}` in the order of
//! the replies; the key is the BLAKE3 digest of the request in canonical form, the reply the bytes that the model sent
//! (as text; bytes that are no UTF-8 are not replies that can be read, and are not recorded). A torn last line is cut off.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::canonical::digest;
use super::{Answer, Failure, FailureKind, Identity, Model, Request, Sending};

/// A model whose replies are written to a file.
pub struct RecordModel {
    model: Arc<dyn Model>,
    path: PathBuf,
    file: Mutex<File>,
}

impl RecordModel {
    /// Records `model` to a file, after what the file already holds. The file must hold a record of the same model.
    pub fn open(model: Arc<dyn Model>, path: &Path) -> Result<Self, RecordError> {
        let unusable = |source| RecordError::File { path: path.into(), source };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unusable)?;
        file.try_lock().map_err(|error| RecordError::File { path: path.into(), source: error.into() })?;
        let end = match read(path)? {
            Some(record) if record.identity != *model.identity() => {
                return Err(RecordError::OtherModel { path: path.into(), recorded: record.identity.model });
            }
            Some(record) => record.end,
            None => 0,
        };
        file.set_len(end).map_err(unusable)?;
        file.seek(SeekFrom::End(0)).map_err(unusable)?;
        if end == 0 {
            let first = serde_json::to_string(&Head { identity: model.identity().clone() })
                .expect("an identity has no maps");
            writeln!(file, "{first}").map_err(unusable)?;
        }
        Ok(RecordModel { model, path: path.into(), file: Mutex::new(file) })
    }
}

impl Model for RecordModel {
    fn identity(&self) -> &Identity {
        self.model.identity()
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        Box::pin(async move {
            let reply = self.model.send(request).await?;
            if let Ok(text) = std::str::from_utf8(&reply) {
                let entry = Entry { key: digest(request), reply: text.into() };
                let mut line = serde_json::to_vec(&entry).expect("an entry has no maps");
                line.push(b'\n');
                let mut file = self.file.lock().expect("no panic while writing");
                file.write_all(&line).map_err(|error| {
                    Failure::new(
                        FailureKind::Rejected,
                        format!("cannot record to {}: {error}", self.path.display()),
                    )
                })?;
            }
            Ok(reply)
        })
    }

    fn read(&self, request: &Request, reply: &[u8]) -> Result<Answer, Failure> {
        self.model.read(request, reply)
    }

    fn most_samples(&self) -> usize {
        self.model.most_samples()
    }
}

/// A model that gives the recorded replies of another, under its identity.
///
/// A request that was recorded several times gets the last reply that was recorded. One that was not recorded fails with
/// [`FailureKind::NotRecorded`].
pub struct ReplayModel {
    identity: Identity,
    replies: HashMap<String, String>,
    reader: fn(&Request, &[u8]) -> Result<Answer, Failure>,
}

impl ReplayModel {
    /// Reads a record.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let record = read(path)?.ok_or_else(|| RecordError::Invalid {
            path: path.into(),
            line: 1,
            message: "no record starts here".into(),
        })?;
        let reader = match record.identity.provider.as_str() {
            super::open_ai::PROVIDER => super::open_ai::read,
            _ => |_: &Request, reply: &[u8]| super::read_answer(reply),
        };
        Ok(ReplayModel { identity: record.identity, replies: record.replies, reader })
    }
}

impl Model for ReplayModel {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn send<'a>(&'a self, request: &'a Request) -> Sending<'a> {
        let reply =
            self.replies.get(&digest(request)).map(|reply| reply.as_bytes().to_vec()).ok_or_else(|| {
                Failure::new(FailureKind::NotRecorded, "the record does not hold this request")
            });
        Box::pin(std::future::ready(reply))
    }

    fn read(&self, request: &Request, reply: &[u8]) -> Result<Answer, Failure> {
        (self.reader)(request, reply)
    }
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read or written, or another process records to it.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a record.
    #[error("{path}, line {line}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The file is a record of another model.
    #[error("{path} is a record of another model ({recorded})")]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The model that was recorded.
        recorded: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    identity: Identity,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: String,
    reply: String,
}

struct Record {
    identity: Identity,
    replies: HashMap<String, String>,
    /// The length of the file up to the end of the last whole line.
    end: u64,
}

/// The record in a file; `None` if the file holds no whole line.
fn read(path: &Path) -> Result<Option<Record>, RecordError> {
    let unusable = |source| RecordError::File { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(unusable)?);
    let mut record: Option<Record> = None;
    let (mut line, mut number, mut end) = (String::new(), 0, 0);
    while file.read_line(&mut line).map_err(unusable)? > 0 && line.ends_with('\n') {
        number += 1;
        end += line.len() as u64;
        let invalid = |error: serde_json::Error| RecordError::Invalid {
            path: path.into(),
            line: number,
            message: error.to_string(),
        };
        match &mut record {
            None => {
                let Head { identity } = serde_json::from_str(&line).map_err(invalid)?;
                record = Some(Record { identity, replies: HashMap::new(), end });
            }
            Some(record) => {
                let Entry { key, reply } = serde_json::from_str(&line).map_err(invalid)?;
                record.replies.insert(key, reply);
                record.end = end;
            }
        }
        line.clear();
    }
    Ok(record)
}
