//! Names of models, as they stand on a command line.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Model, OpenAiError, OpenAiModel, OpenAiOptions, RecordError, RecordModel, ReplayModel, ScriptError,
    ScriptedModel,
};

/// Opens the model that a name stands for:
///
/// | name | model |
/// |---|---|
/// | `openai:MODEL` | a model of OpenAI, or of the server that `OPENAI_BASE_URL` names; the key is in `OPENAI_API_KEY` |
/// | `openai:MODEL@URL` | a model of the OpenAI-compatible server at a base URL such as `http://localhost:8000/v1`; no key |
/// | `openai:MODEL@URL?key=VARIABLE` | the same, with the key from an environment variable |
/// | `scripted:FILE` | a script, see [`ScriptedModel::from_file`] |
/// | `record:FILE,NAME` | another model, recorded to a file |
/// | `replay:FILE` | a record |
///
/// After the `?` stand settings with `&` between them: `key=VARIABLE`, `revision=TEXT` (keeps answers of other weights
/// apart), `timeout=SECONDS` for a reply (600), `samples=N` (the most that the server gives for one request, where it
/// does not take any number).
pub fn open(name: &str) -> Result<Arc<dyn Model>, OpenError> {
    let unknown = || OpenError::Name {
        name: name.into(),
        message: "expected openai:MODEL[@URL], scripted:FILE, replay:FILE or record:FILE,NAME".into(),
    };
    let (kind, rest) = name.split_once(':').ok_or_else(unknown)?;
    if rest.is_empty() {
        return Err(unknown());
    }
    match kind {
        "openai" => {
            let options = open_ai_options(rest, |variable| std::env::var(variable).ok())
                .map_err(|message| OpenError::Name { name: name.into(), message })?;
            Ok(Arc::new(OpenAiModel::new(options)?))
        }
        "scripted" => Ok(Arc::new(ScriptedModel::from_file(Path::new(rest))?)),
        "replay" => Ok(Arc::new(ReplayModel::open(Path::new(rest))?)),
        "record" => {
            let (file, name) = rest.split_once(',').ok_or_else(unknown)?;
            Ok(Arc::new(RecordModel::open(open(name)?, Path::new(file))?))
        }
        _ => Err(unknown()),
    }
}

/// Why a name stands for no usable model.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The name does not follow the grammar.
    #[error("`{name}` names no model: {message}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A script cannot be used.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A client cannot be made.
    #[error(transparent)]
    OpenAi(#[from] OpenAiError),
}

const OPENAI: &str = "https://api.openai.com/v1";

/// What `MODEL[@URL][?settings]` means. A model's name may hold `@`, `:` and `/`; the URL starts at the last `@http`.
fn open_ai_options(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<OpenAiOptions, String> {
    let (text, settings) = match text.rsplit_once('?') {
        Some((text, settings)) => (text, settings),
        None => (text, ""),
    };
    let at = text.rfind("@http://").or_else(|| text.rfind("@https://"));
    let (model, url) = match at {
        Some(at) => (&text[..at], Some(text[at + 1..].to_string())),
        None => (text, None),
    };
    if model.is_empty() {
        return Err("the name of the model is empty".into());
    }
    // The general key goes only where the environment itself sends it: a URL given by hand may be anybody's.
    let key = url.is_none().then(|| "OPENAI_API_KEY".to_string());
    let elsewhere = || variable("OPENAI_BASE_URL").filter(|url| !url.is_empty());
    let url = url.or_else(elsewhere).unwrap_or_else(|| OPENAI.into());
    // A server of one's own needs no key.
    let key = key.filter(|key| url == OPENAI || variable(key).is_some());
    let mut options = OpenAiOptions { key_variable: key, ..OpenAiOptions::new(url, model) };
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is no setting"))?;
        let number = || value.parse::<u64>().ok().filter(|number| *number > 0);
        match name {
            "key" => options.key_variable = Some(value.into()),
            "revision" => options.revision = Some(value.into()),
            "timeout" => {
                let seconds = number().ok_or_else(|| format!("timeout={value} is no number of seconds"))?;
                options.timeout = Duration::from_secs(seconds);
            }
            "samples" => {
                let most = number().ok_or_else(|| format!("samples={value} is no number above 0"))?;
                options.most_samples = most as usize;
            }
            _ => return Err(format!("`{name}` is none of key, revision, timeout, samples")),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str, environment: &[(&str, &str)]) -> OpenAiOptions {
        let variable = |name: &str| {
            environment.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.to_string())
        };
        open_ai_options(text, variable).unwrap()
    }

    #[test]
    fn names_of_models_may_hold_any_sign() {
        let parsed = options("qwen2.5:7b@http://localhost:11434/v1", &[]);
        assert_eq!(
            (parsed.model.as_str(), parsed.base_url.as_str()),
            ("qwen2.5:7b", "http://localhost:11434/v1")
        );
        let parsed = options("org/m@2024@https://host/v1?revision=3&timeout=7&samples=1&key=OTHER", &[]);
        assert_eq!((parsed.model.as_str(), parsed.base_url.as_str()), ("org/m@2024", "https://host/v1"));
        assert_eq!((parsed.revision.as_deref(), parsed.key_variable.as_deref()), (Some("3"), Some("OTHER")));
        assert_eq!((parsed.timeout.as_secs(), parsed.most_samples), (7, 1));
    }

    /// A key for one server is never sent to another that was named by hand.
    #[test]
    fn the_general_key_goes_only_to_the_general_server() {
        let key = |text: &str, environment: &[(&str, &str)]| options(text, environment).key_variable;
        let set = ("OPENAI_API_KEY", "sk");
        let own = ("OPENAI_BASE_URL", "http://localhost/v1");
        assert_eq!(key("m", &[]).as_deref(), Some("OPENAI_API_KEY"));
        assert_eq!(key("m@http://localhost/v1", &[set]), None);
        assert_eq!(key("m", &[set, own]).as_deref(), Some("OPENAI_API_KEY"));
        assert_eq!(key("m", &[own]), None);
        assert_eq!(options("m", &[own]).base_url, "http://localhost/v1");
    }

    #[test]
    fn wrong_names_are_explained() {
        for (name, expected) in [
            ("gpt", "expected openai"),
            ("other:gpt", "expected openai"),
            ("openai:", "expected openai"),
            ("openai:@http://localhost/v1", "is empty"),
            ("openai:m@http://localhost/v1?timeout=0", "timeout=0"),
            ("openai:m@http://localhost/v1?colour=red", "`colour` is none of"),
            ("openai:m@http://user:word@localhost/v1", "environment"),
            ("openai:m@http://localhost/v1?key=MATHESIS_KEY_THAT_IS_NOT_SET", "is not set"),
            ("scripted:nowhere.toml", "cannot read nowhere.toml"),
            ("replay:nowhere.jsonl", "cannot use nowhere.jsonl"),
            ("record:calls.jsonl", "expected openai"),
        ] {
            let message = open(name).err().expect(name).to_string();
            assert!(message.contains(expected), "{name}: {message}");
            assert!(!message.contains("word@"), "{message}");
        }
    }
}
