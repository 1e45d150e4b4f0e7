//! The logs that inspect writes (`.eval`): zip archives with an entry of JSON for each sample, compressed by Zstandard or
//! Deflate.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::Value;
use zip::{CompressionMethod, ZipArchive};

use super::super::{Ending, Reply};
use super::{Form, Place, RepliesError, Seen, content};

/// A log.
pub struct Log {
    path: PathBuf,
    archive: Mutex<ZipArchive<File>>,
}

/// What is read of a sample.
#[derive(Deserialize)]
struct Sample {
    id: Value,
    #[serde(default)]
    epoch: u64,
    input: Value,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    output: Output,
    #[serde(default)]
    error: Option<SampleError>,
    #[serde(default)]
    attachments: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Output {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    stop_reason: String,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct SampleError {
    message: String,
}

impl Log {
    /// Reads all samples once.
    pub fn open(path: &Path, see: &mut dyn FnMut(Seen)) -> Result<Self, RepliesError> {
        let file = File::open(path)
            .map_err(|error| RepliesError::File { path: path.display().to_string(), error })?;
        let mut archive = ZipArchive::new(file).map_err(|error| content(path, "the archive", error))?;
        let mut samples = 0;
        for number in 0..archive.len() {
            let Some(Ok(name)) = archive.name_for_index(number).map(|name| name.map(|name| name.to_string()))
            else {
                continue;
            };
            if !(name.starts_with("samples/") && name.ends_with(".json")) {
                continue;
            }
            samples += 1;
            let sample = read(&mut archive, number).map_err(|message| content(path, &name, message))?;
            see(Seen {
                name: format!("sample {}", sample.id),
                questions: sample.questions(),
                sample: sample.epoch,
                place: Place::Entry(number),
            });
        }
        if samples == 0 {
            return Err(content(
                path,
                "the archive",
                "it holds no samples/*.json, so it is no log of inspect",
            ));
        }
        Ok(Log { path: path.into(), archive: Mutex::new(archive) })
    }
}

impl Form for Log {
    fn has_names(&self) -> bool {
        false
    }

    fn read(&self, place: &Place) -> Result<(String, Vec<Reply>), RepliesError> {
        let Place::Entry(number) = place else { return Ok((String::new(), Vec::new())) };
        let mut archive = self.archive.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let sample = read(&mut archive, *number);
        let sample = sample.map_err(|message| content(&self.path, format!("entry {number}"), message))?;
        Ok((sample.prompt(), vec![sample.reply()]))
    }
}

/// Samples larger than this, unpacked, are no samples.
const LARGEST: u64 = 1 << 30;

fn read(archive: &mut ZipArchive<File>, number: usize) -> Result<Sample, String> {
    let mut entry = archive.by_index_raw(number).map_err(|error| error.to_string())?;
    if entry.encrypted() {
        return Err("it is encrypted".into());
    }
    let method = entry.compression();
    let mut packed = Vec::new();
    entry.read_to_end(&mut packed).map_err(|error| error.to_string())?;
    let unpacked = |reader: &mut dyn Read| {
        let mut text = Vec::new();
        reader.take(LARGEST).read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok::<_, String>(text)
    };
    let text = match method {
        CompressionMethod::Stored => packed,
        CompressionMethod::DEFLATE => unpacked(&mut flate2::read::DeflateDecoder::new(&packed[..]))?,
        CompressionMethod::ZSTD => {
            let mut decoder =
                zstd::stream::read::Decoder::new(&packed[..]).map_err(|error| error.to_string())?;
            unpacked(&mut decoder)?
        }
        other => return Err(format!("it is compressed by {other}, which is not known")),
    };
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

impl Sample {
    /// The input: a text, or the messages of the user.
    fn questions(&self) -> Vec<String> {
        match &self.input {
            Value::String(text) => vec![self.resolved(text)],
            Value::Array(messages) => messages
                .iter()
                .filter(|message| message["role"] == "user")
                .map(|message| self.text(&message["content"]))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The last message of the user, which is what the model was asked.
    fn prompt(&self) -> String {
        let asked = self.messages.iter().rev().find(|message| message.role == "user");
        asked.map_or_else(|| self.questions().join("\n"), |message| self.text(&message.content))
    }

    fn reply(&self) -> Reply {
        let failed = |message: &str| Reply {
            ending: Ending::Failed,
            failure: Some(message.to_string()),
            ..Reply::complete("")
        };
        match (&self.error, self.output.choices.first()) {
            (Some(error), _) => failed(&error.message),
            (None, None) => failed("the log holds no output"),
            (None, Some(choice)) => {
                let ending = match choice.stop_reason.as_str() {
                    "max_tokens" | "model_length" => Ending::Truncated,
                    "content_filter" => Ending::Refused,
                    _ => Ending::Complete,
                };
                Reply { ending, ..Reply::complete(self.text(&choice.message.content)) }
            }
        }
    }

    /// The text of a content: itself, or its parts that are texts.
    fn text(&self, content: &Value) -> String {
        match content {
            Value::String(text) => self.resolved(text),
            Value::Array(parts) => {
                let texts = parts.iter().filter(|part| part["type"] == "text");
                let texts = texts.filter_map(|part| part["text"].as_str());
                texts.map(|text| self.resolved(text)).collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        }
    }

    /// Long or repeated texts stand among the attachments.
    fn resolved(&self, text: &str) -> String {
        let attached = text.strip_prefix("attachment://").and_then(|name| self.attachments.get(name));
        attached.map_or(text, String::as_str).to_string()
    }
}
