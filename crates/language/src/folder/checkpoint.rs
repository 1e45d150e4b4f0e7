//! All that is in a folder: the model, and what makes text of its tokens.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use mathesis_networks::sequence::arithmetic::Arithmetic;
use serde_json::{Map, Value, json};

use super::json::{self as files, Keys};
use super::{CONFIGURATION, FolderError, NumberFormat, read_model_in, write_model};
use crate::generation::Sampling;
use crate::model::LanguageModel;
use crate::text::{ChatTemplate, Tokenizer};

const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_SETTINGS: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";
const GENERATION: &str = "generation_config.json";

/// A model with its tokenizer, its chat template and the settings that it is meant to be sampled with.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model.
    pub model: LanguageModel,
    /// Its tokenizer, if there is one.
    pub tokenizer: Option<Tokenizer>,
    /// How chats are written, if it is told.
    pub chat: Option<ChatTemplate>,
    /// How it is meant to be sampled.
    pub generation: GenerationDefaults,
    /// `tokenizer_config.json` as it was, to be written again.
    pub(crate) tokenizer_settings: Map<String, Value>,
}

/// The settings of `generation_config.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationDefaults {
    /// Tokens at which answers end.
    pub end: Vec<u32>,
    /// The token with which texts begin.
    pub begin: Option<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The most tokens of an answer.
    pub max_tokens: Option<usize>,
}

impl Checkpoint {
    /// A model with nothing beside it.
    pub fn new(model: LanguageModel) -> Self {
        Checkpoint {
            model,
            tokenizer: None,
            chat: None,
            generation: GenerationDefaults::default(),
            tokenizer_settings: Map::new(),
        }
    }

    /// All that is in a folder.
    ///
    /// # Errors
    /// What in the folder is missing, damaged or does not fit; see [`FolderError`].
    pub fn read(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        Self::read_in(folder, None, device)
    }

    /// All that is in a folder, with all blocks of the model in an arithmetic if one is given.
    ///
    /// # Errors
    /// As [`Self::read`], and if the model cannot be in that arithmetic.
    pub fn read_in(
        folder: &Path,
        arithmetic: Option<Arithmetic>,
        device: &Device,
    ) -> Result<Self, FolderError> {
        // The small files first: what is wrong with them is told before much is read.
        let path = folder.join(TOKENIZER);
        let unfit = |path: &Path, message: String| FolderError::Unfit { path: path.to_path_buf(), message };
        let tokenizer = if path.is_file() {
            Some(Tokenizer::read(&path).map_err(|error| unfit(&path, error.to_string()))?)
        } else {
            None
        };
        let tokenizer_settings: Map<String, Value> =
            files::read_if_there(&folder.join(TOKENIZER_SETTINGS))?.unwrap_or_default();
        let chat = chat_template(folder, &tokenizer_settings)?;
        let generation = generation_defaults(folder)?;
        let model = read_model_in(folder, arithmetic, device)?;
        let vocabulary = model.config().vocabulary;
        if let Some(tokens) =
            tokenizer.as_ref().map(Tokenizer::vocabulary).filter(|&tokens| tokens > vocabulary)
        {
            let message = format!("the tokenizer has {tokens} tokens, the model only {vocabulary}");
            return Err(unfit(&path, message));
        }
        Ok(Checkpoint { model, tokenizer, chat, generation, tokenizer_settings })
    }

    /// Write all to a folder that is absent or empty; nothing is left behind if it fails.
    ///
    /// # Errors
    /// If there is something in the folder, or a file cannot be written.
    pub fn write(&self, folder: &Path, format: NumberFormat) -> Result<(), FolderError> {
        let unwritable =
            |action, path: &Path, error| FolderError::File { action, path: path.to_path_buf(), error };
        if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let error = std::io::Error::other("the folder is not empty");
            return Err(unwritable("write", folder, error));
        }
        let parent =
            folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|error| unwritable("create", parent, error))?;
        // Beside the target, so that the rename stays on one file system.
        let temporary = tempfile::Builder::new()
            .prefix(".unfinished-")
            .tempdir_in(parent)
            .map_err(|error| unwritable("create a folder in", parent, error))?;
        self.write_files(temporary.path(), format)?;
        super::open_to_all(temporary.path());
        std::fs::rename(temporary.path(), folder).map_err(|error| unwritable("write", folder, error))?;
        // Its content has moved away; forget it without an attempt to delete it.
        let _ = temporary.keep();
        Ok(())
    }

    fn write_files(&self, folder: &Path, format: NumberFormat) -> Result<(), FolderError> {
        write_model(&self.model, folder, format)?;
        if let Some(tokenizer) = &self.tokenizer {
            let path = folder.join(TOKENIZER);
            let json = tokenizer
                .to_json()
                .map_err(|error| FolderError::Unfit { path: path.clone(), message: error.to_string() })?;
            files::write_text(&path, &json)?;
            let mut settings = self.tokenizer_settings.clone();
            // Without a class the ecosystem's readers do not know what to make of the file.
            settings.entry("tokenizer_class").or_insert("PreTrainedTokenizerFast".into());
            settings.remove("chat_template");
            files::write(&folder.join(TOKENIZER_SETTINGS), &settings)?;
        }
        if let Some(chat) = &self.chat {
            files::write_text(&folder.join(CHAT_TEMPLATE), chat.source())?;
        }
        files::write(&folder.join(GENERATION), &self.generation.written())
    }
}

/// The template of `chat_template.jinja`, or of the tokenizer's settings.
fn chat_template(folder: &Path, settings: &Map<String, Value>) -> Result<Option<ChatTemplate>, FolderError> {
    let (file, path) = (folder.join(CHAT_TEMPLATE), folder.join(TOKENIZER_SETTINGS));
    let (source, path) = if file.is_file() {
        let source = std::fs::read_to_string(&file).map_err(|error| FolderError::File {
            action: "read",
            path: file.clone(),
            error,
        })?;
        (source, file)
    } else {
        match settings.get("chat_template") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(source)) => (source.clone(), path),
            // Several with names, of which one is for chats without tools.
            Some(Value::Array(named)) => {
                let default = named.iter().find(|template| template["name"] == "default");
                match default.and_then(|template| template["template"].as_str()) {
                    Some(source) => (source.to_string(), path),
                    None => {
                        let expected = "a list with a template of the name `default`";
                        return Err(files::unfit(&path, "chat_template", "a list without it", expected));
                    }
                }
            }
            Some(other) => {
                return Err(files::unfit(&path, "chat_template", &other.to_string(), "a template's text"));
            }
        }
    };
    let more: Map<String, Value> = files::read_if_there(&folder.join(SPECIAL_TOKENS))?.unwrap_or_default();
    let mut special = BTreeMap::new();
    for (name, value) in settings.iter().chain(&more).filter(|(name, _)| name.ends_with("_token")) {
        // A text, or an object with the text and how it is found.
        if let Some(text) = value.as_str().or(value["content"].as_str()) {
            special.entry(name.clone()).or_insert_with(|| text.to_string());
        }
    }
    let template = ChatTemplate::new(&source, special)
        .map_err(|error| FolderError::Unfit { path, message: error.to_string() })?;
    Ok(Some(template))
}

fn generation_defaults(folder: &Path) -> Result<GenerationDefaults, FolderError> {
    let path = folder.join(GENERATION);
    let settings: Option<Map<String, Value>> = files::read_if_there(&path)?;
    // Older folders tell the tokens at the ends in the model's file only.
    let (path, object) = match settings {
        Some(object) => (path, object),
        None => (folder.join(CONFIGURATION), files::read(&folder.join(CONFIGURATION))?),
    };
    let keys = Keys { path, place: String::new(), object: &object };
    let token = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let end = keys.optional("eos_token_id", "a token or a list of tokens", |value| match value {
        Value::Array(list) => list.iter().map(token).collect(),
        value => Some(vec![token(value)?]),
    })?;
    let plain = Sampling::default();
    let samples = keys.flag("do_sample")?.unwrap_or(false);
    let sampling = Sampling {
        temperature: if samples { keys.number("temperature")?.unwrap_or(1.0) } else { 0.0 },
        top_k: keys.whole("top_k")?.filter(|&most| samples && most > 0),
        top_p: keys.number("top_p")?.filter(|&part| samples && part < 1.0),
        min_p: keys.number("min_p")?.filter(|_| samples),
        repetition_penalty: keys.number("repetition_penalty")?.unwrap_or(plain.repetition_penalty),
    };
    Ok(GenerationDefaults {
        end: end.unwrap_or_default(),
        begin: keys.optional("bos_token_id", "a token", token)?,
        sampling,
        max_tokens: keys.whole("max_new_tokens")?,
    })
}

impl GenerationDefaults {
    fn written(&self) -> Value {
        let Sampling { temperature, top_k, top_p, min_p, repetition_penalty } = self.sampling;
        let mut object = Map::new();
        let mut insert = |key: &str, value: Value| {
            if !value.is_null() {
                object.insert(key.to_string(), value);
            }
        };
        insert("eos_token_id", if self.end.is_empty() { Value::Null } else { json!(self.end) });
        insert("bos_token_id", json!(self.begin));
        insert("max_new_tokens", json!(self.max_tokens));
        insert("do_sample", json!(temperature > 0.0));
        if temperature > 0.0 {
            insert("temperature", json!(temperature));
            insert("top_k", json!(top_k));
            insert("top_p", json!(top_p));
            insert("min_p", json!(min_p));
        }
        if repetition_penalty != 1.0 {
            insert("repetition_penalty", json!(repetition_penalty));
        }
        Value::Object(object)
    }
}
