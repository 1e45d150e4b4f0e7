//! Texts and records in files, and the token files that are made of them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use mathesis_algebra::random::Stream;
use serde::Deserialize;

use super::token_file::{TokenFile, TokenFileError, TokenWriter};
use crate::text::{Tokenizer, TokenizerError};

/// A text, or a reply with the prompt that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What is given; empty for a text.
    pub prompt: String,
    /// What a model is to say.
    pub text: String,
}

/// Why there are no documents, or no tokens of them.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file could not be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// A line of a file is no record.
    #[error("{path}, line {line}: {reason}; expected an object with `text`, or with `prompt` and `reply`")]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer has no tokens for a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The token file could not be written.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
}

/// A line of a file of records.
#[derive(Deserialize)]
struct Record {
    text: Option<String>,
    #[serde(alias = "question")]
    prompt: Option<String>,
    #[serde(alias = "solution")]
    reply: Option<String>,
}

/// The documents of a file: of one whose name ends in `.jsonl` a record a line, `text` or `prompt` (or `question`) and `reply`
/// (or `solution`), other keys being left alone; of any other the whole as one text.
///
/// # Errors
/// If the file cannot be opened; while going through it, if it cannot be read or a line is no record.
pub fn documents(
    path: &Path,
) -> Result<Box<dyn Iterator<Item = Result<Document, CorpusError>> + Send>, CorpusError> {
    let owned = path.to_path_buf();
    let failed = |path: &Path, error| CorpusError::File { path: path.to_path_buf(), error };
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, error))?;
        return Ok(Box::new(std::iter::once(Ok(Document { prompt: String::new(), text }))));
    }
    let file = File::open(path).map_err(|error| failed(path, error))?;
    let lines = BufReader::new(file).lines().zip(1..);
    Ok(Box::new(lines.filter_map(move |(line, number)| match line {
        Err(error) => Some(Err(failed(&owned, error))),
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(document(&line).map_err(|reason| CorpusError::Record {
            path: owned.clone(),
            line: number,
            reason,
        })),
    })))
}

fn document(line: &str) -> Result<Document, String> {
    let record: Record = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match record {
        Record { text: Some(text), prompt: None, reply: None } => {
            Ok(Document { prompt: String::new(), text })
        }
        Record { text: None, prompt: Some(prompt), reply: Some(text) } => Ok(Document { prompt, text }),
        Record { text: Some(_), .. } => Err("`text` beside `prompt` or `reply`".to_string()),
        Record { prompt: None, reply: None, .. } => Err("no `text`".to_string()),
        Record { prompt: None, .. } => Err("no `prompt`".to_string()),
        Record { reply: None, .. } => Err("no `reply`".to_string()),
    }
}

/// The prompt as a model sees it: with a line's end between it and the reply.
pub fn prompt_text(prompt: &str) -> String {
    if prompt.is_empty() { String::new() } else { format!("{prompt}\n") }
}

/// Which documents are set aside for validation: this part of records, chosen by their text, so that copies are on one side,
/// and the last part of every plain text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetAside(pub f64);

impl SetAside {
    /// What of a document is to train on, and what is set aside.
    pub fn split(self, document: Document) -> [Option<Document>; 2] {
        let SetAside(part) = self;
        if document.prompt.is_empty() {
            let mut at = ((1.0 - part) * document.text.len() as f64) as usize;
            while !document.text.is_char_boundary(at) {
                at += 1;
            }
            let (training, aside) = document.text.split_at(at);
            let text = |text: &str| {
                (!text.is_empty()).then(|| Document { prompt: String::new(), text: text.to_string() })
            };
            return [text(training), text(aside)];
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(document.prompt.as_bytes()).update(document.text.as_bytes());
        let mut key = [0; 8];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        if Stream::new(u64::from_le_bytes(key), 0).uniform(0) < part {
            [None, Some(document)]
        } else {
            [Some(document), None]
        }
    }
}

/// Write the tokens of documents, each with an end token, to a file; a file of the same origin is left as it is.
/// The origin tells apart what token files are made from.
///
/// # Errors
/// If a document cannot be read or has no tokens, or the file cannot be written.
pub fn write_tokens(
    path: &Path,
    tokenizer: &Tokenizer,
    end: u32,
    origin: [u8; 32],
    documents: impl Iterator<Item = Result<Document, CorpusError>>,
) -> Result<TokenFile, CorpusError> {
    if let Ok(file) = TokenFile::open(path)
        && file.origin() == origin
        && file.verify().is_ok()
    {
        return Ok(file);
    }
    let mut writer = TokenWriter::create(path, tokenizer.vocabulary() as u32, origin)?;
    for document in documents {
        let Document { prompt, text } = document?;
        let prompt = tokenizer.encode(&prompt_text(&prompt), false)?;
        let mut reply = tokenizer.encode(&text, false)?;
        reply.push(end);
        writer.add(&prompt, &reply)?;
    }
    writer.finish()?;
    Ok(TokenFile::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn texts_and_records_are_read_and_wrong_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a.txt", "One\nand two.");
        let all = |path: &Path| documents(path).unwrap().collect::<Result<Vec<_>, _>>();
        let text = |text: &str| Document { prompt: String::new(), text: text.to_string() };
        assert_eq!(all(&path).unwrap(), [text("One\nand two.")]);
        let lines = "{\"text\": \"a\"}\n\n{\"question\": \"b\", \"solution\": \"c\", \"id\": 3}\n";
        let path = write(folder.path(), "b.jsonl", lines);
        let reply = Document { prompt: "b".to_string(), text: "c".to_string() };
        assert_eq!(all(&path).unwrap(), [text("a"), reply]);
        for (line, reason) in [
            ("{\"prompt\": \"x\"}", "no `reply`"),
            ("7", "line 2"),
            ("{\"text\": \"x\", \"reply\": \"y\"}", "beside"),
        ] {
            let path = write(folder.path(), "c.jsonl", &format!("{{\"text\": \"a\"}}\n{line}\n"));
            let message = all(&path).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("c.jsonl, line 2"), "{message}");
        }
        assert!(documents(&folder.path().join("none.txt")).is_err());
    }

    #[test]
    fn what_is_set_aside_is_apart() {
        let aside = SetAside(0.25);
        let text = Document { prompt: String::new(), text: "abcdéfgh".to_string() };
        let [training, test] = aside.split(text).map(|document| document.map(|document| document.text));
        assert_eq!((training.as_deref(), test.as_deref()), (Some("abcdé"), Some("fgh")));
        let record = |k: usize| Document { prompt: format!("What is {k}?"), text: k.to_string() };
        let count = (0..1000).filter(|&k| aside.split(record(k))[1].is_some()).count();
        assert!((200..300).contains(&count), "{count}");
        assert_eq!(aside.split(record(7)), aside.split(record(7)));
        assert_eq!(SetAside(0.0).split(record(7))[1], None);
    }

    #[test]
    fn token_files_hold_the_documents_and_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.tokens");
        let tokenizer = Tokenizer::of_bytes(&["<|end|>"]);
        let make = |origin: u8, text: &str| {
            let document = Document { prompt: "ab".to_string(), text: text.to_string() };
            write_tokens(&path, &tokenizer, 256, [origin; 32], std::iter::once(Ok(document))).unwrap()
        };
        let tokens = |file: &TokenFile| (0..file.tokens()).map(|k| file.token(k)).collect::<Vec<_>>();
        let file = make(1, "c");
        assert_eq!((tokens(&file), file.document(0)), (vec![97, 98, 10, 99, 256], (0..5, 3)));
        assert_eq!(tokens(&make(1, "other")), tokens(&file));
        assert_eq!(make(2, "other").tokens(), 9);
    }
}
