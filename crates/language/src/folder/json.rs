//! JSON files with errors that name the file, and the keys of their objects.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::FolderError;

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    let text = fs::read_to_string(path).map_err(|error| FolderError::File {
        action: "read",
        path: path.to_path_buf(),
        error,
    })?;
    serde_json::from_str(&text)
        .map_err(|error| FolderError::Json { path: path.to_path_buf(), message: error.to_string() })
}

/// The file, or nothing where there is none.
pub(super) fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FolderError> {
    if path.is_file() { read(path).map(Some) } else { Ok(None) }
}

pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), FolderError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| FolderError::Json { path: path.to_path_buf(), message: error.to_string() })?;
    write_text(path, &(text + "\n"))
}

pub(super) fn write_text(path: &Path, text: &str) -> Result<(), FolderError> {
    fs::write(path, text).map_err(|error| FolderError::File {
        action: "write",
        path: path.to_path_buf(),
        error,
    })
}

/// A key whose value cannot be used.
pub(super) fn unfit(path: &Path, key: &str, found: &str, expected: &str) -> FolderError {
    FolderError::Key {
        path: path.to_path_buf(),
        key: key.to_string(),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

/// The keys of an object; a value of `null` is as if the key were not there.
pub(super) struct Keys<'a> {
    pub path: PathBuf,
    /// The keys that lead to the object, with a dot after each.
    pub place: String,
    pub object: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The object under a key.
    pub fn inner(&self, key: &str) -> Result<Option<Keys<'a>>, FolderError> {
        let inner = |object| Keys { path: self.path.clone(), place: format!("{}{key}.", self.place), object };
        self.optional(key, "an object", |value| value.as_object().map(inner))
    }

    /// What `read` makes of the value.
    ///
    /// # Errors
    /// If there is a value of which it makes nothing.
    pub fn optional<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FolderError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.wrong(key, expected)),
        }
    }

    pub fn whole(&self, key: &str) -> Result<Option<usize>, FolderError> {
        self.optional(key, "a whole number", |value| value.as_u64()?.try_into().ok())
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, FolderError> {
        self.optional(key, "a number", Value::as_f64)
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, FolderError> {
        self.optional(key, "true or false", Value::as_bool)
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, FolderError> {
        self.optional(key, "a text", Value::as_str)
    }

    /// A value that must be there.
    pub fn needed<T>(
        &self,
        key: &str,
        value: Result<Option<T>, FolderError>,
        expected: &str,
    ) -> Result<T, FolderError> {
        value?.ok_or_else(|| self.wrong(key, expected))
    }

    pub fn needed_whole(&self, key: &str) -> Result<usize, FolderError> {
        self.needed(key, self.whole(key), "a whole number")
    }

    /// The error of a key.
    pub fn wrong(&self, key: &str, expected: &str) -> FolderError {
        let found = self.get(key).map_or("not there".to_string(), Value::to_string);
        unfit(&self.path, &format!("{}{key}", self.place), &found, expected)
    }
}
