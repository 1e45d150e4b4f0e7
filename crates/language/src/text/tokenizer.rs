//! Tokenizers in the ecosystem's format, `tokenizer.json`.

use std::path::Path;

use serde_json::{Value, json};

/// A tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    writing: Writing,
}

/// How tokens are written in the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// A character for each byte (GPT-2).
    Bytes,
    /// A mark for each space, and `<0x41>` for bytes that are no token otherwise (SentencePiece).
    Marks,
    /// As they are.
    Plain,
}

/// What stands for a space where spaces are marks.
const MARK: char = '▁';

/// Why there is no tokenizer, or no tokens.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(String);

impl TokenizerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        TokenizerError(message.into())
    }
}

impl Tokenizer {
    /// The tokenizer of a file.
    ///
    /// # Errors
    /// If it cannot be read or is not a tokenizer's.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = std::fs::read(path)
            .map_err(|error| TokenizerError(format!("cannot read {}: {error}", path.display())))?;
        Self::from_json(&bytes).map_err(|error| TokenizerError(format!("{}: {error}", path.display())))
    }

    /// The tokenizer of the content of such a file.
    ///
    /// # Errors
    /// If it is not a tokenizer's.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| TokenizerError(format!("not a tokenizer: {error}")))?;
        let writing = writing(&inner);
        Ok(Tokenizer { inner, writing })
    }

    /// A tokenizer with a token for each byte, which is its number, and after them these special tokens.
    pub fn of_bytes(special: &[&str]) -> Self {
        let vocabulary: serde_json::Map<String, Value> = byte_characters()
            .zip(0..)
            .map(|(character, byte)| (character.to_string(), json!(byte)))
            .collect();
        let added = special.iter().zip(256..).map(|(content, id)| {
            json!({
                "id": id, "content": content, "special": true,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        });
        let json = json!({
            "version": "1.0",
            "added_tokens": added.collect::<Vec<_>>(),
            "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
            "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
            "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
        });
        match Self::from_json(json.to_string().as_bytes()) {
            Ok(tokenizer) => tokenizer,
            Err(error) => unreachable!("the tokenizer of bytes: {error}"),
        }
    }

    /// The content of its file.
    ///
    /// # Errors
    /// If a part of it has no written form.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(true).map_err(|error| TokenizerError(error.to_string()))
    }

    /// One more than the greatest token.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |&last| last as usize + 1)
    }

    /// The tokens of a text; with those that the tokenizer puts around every text if `special`.
    ///
    /// # Errors
    /// If the tokenizer has no tokens for it.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding =
            self.inner.encode_fast(text, special).map_err(|error| TokenizerError(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, without those that stand for no text.
    ///
    /// # Errors
    /// If the tokenizer's decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, true).map_err(|error| TokenizerError(error.to_string()))
    }

    /// The token that is written so.
    pub fn token(&self, written: &str) -> Option<u32> {
        self.inner.token_to_id(written)
    }

    /// How a token is written in the vocabulary.
    pub fn written(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// Whether a token that is written so stands for a byte, where bytes have names.
    pub(crate) fn names_a_byte(written: &str) -> bool {
        byte_of_name(written).is_some()
    }

    /// The bytes that a token stands for within a text; none for one that stands for no text. Those of one token may be a part of
    /// a character only.
    pub fn bytes(&self, token: u32) -> Vec<u8> {
        let Some(written) = self.written(token) else { return Vec::new() };
        if let Some(added) = self.inner.get_added_tokens_decoder().get(&token) {
            return if added.special { Vec::new() } else { written.into_bytes() };
        }
        match self.writing {
            Writing::Bytes => {
                let byte = |character: char| {
                    let place = byte_characters().position(|other| other == character);
                    place.and_then(|place| u8::try_from(place).ok())
                };
                match written.chars().map(byte).collect() {
                    Some(bytes) => bytes,
                    // Not of the alphabet of bytes: decoders take such a token as it is.
                    None => written.into_bytes(),
                }
            }
            Writing::Marks => match byte_of_name(&written) {
                Some(byte) => vec![byte],
                None => written.replace(MARK, " ").into_bytes(),
            },
            Writing::Plain => written.into_bytes(),
        }
    }
}

/// The characters that stand for the bytes from 0 to 255 in tokenizers of bytes: printable ones for themselves, the others for
/// characters after Latin 1 in their order.
fn byte_characters() -> impl Iterator<Item = char> {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = (256..).filter_map(char::from_u32);
    (0..256).map(move |byte| match char::from_u32(byte).filter(|_| printable(byte)) {
        Some(character) => character,
        None => others.next().unwrap_or_else(|| unreachable!("characters after Latin 1")),
    })
}

/// The byte that `<0x41>` names.
fn byte_of_name(written: &str) -> Option<u8> {
    let digits = written.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Told by what makes text of the tokens.
fn writing(tokenizer: &tokenizers::Tokenizer) -> Writing {
    let decoder = tokenizer.get_decoder().and_then(|decoder| serde_json::to_value(decoder).ok());
    let decoder = decoder.unwrap_or_default();
    let parts = match decoder["decoders"].as_array() {
        Some(parts) => parts.as_slice(),
        None => std::slice::from_ref(&decoder),
    };
    let mark = MARK.to_string();
    let marks = |part: &Value| match part["type"].as_str() {
        Some("Metaspace") => true,
        Some("Replace") => part["pattern"]["String"] == mark.as_str(),
        _ => false,
    };
    if parts.iter().any(|part| part["type"] == "ByteLevel") {
        Writing::Bytes
    } else if parts.iter().any(marks) {
        Writing::Marks
    } else {
        Writing::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_bytes_also_within_a_character() {
        let tokenizer = Tokenizer::of_bytes(&["<s>"]);
        let text = " né\t数🧮";
        let tokens = tokenizer.encode(text, false).unwrap();
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| tokenizer.bytes(token)).collect();
        assert_eq!(bytes, text.as_bytes());
        assert_eq!((tokenizer.bytes(256), tokenizer.bytes(999)), (vec![], vec![]));
        let marks = json!({
            "version": "1.0",
            "added_tokens": [],
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                { "type": "ByteFallback" }, { "type": "Fuse" },
            ] },
            "model": {
                "type": "BPE", "byte_fallback": true, "merges": [],
                "vocab": { "<0xE6>": 0, "▁a": 1, "<0x0Q>": 2 },
            },
        });
        let marks = Tokenizer::from_json(marks.to_string().as_bytes()).unwrap();
        let bytes = |token| String::from_utf8_lossy(&marks.bytes(token)).into_owned();
        assert_eq!((marks.bytes(0), bytes(1).as_str(), bytes(2).as_str()), (vec![0xe6], " a", "<0x0Q>"));
    }

    #[test]
    fn bytes_are_tokens_and_special_tokens_follow() {
        let tokenizer = Tokenizer::of_bytes(&["<s>", "</s>"]);
        let text = "a\u{0}é\n<s>数";
        let tokens = tokenizer.encode(text, true).unwrap();
        let bytes: Vec<u32> = text.replace("<s>", "").bytes().map(u32::from).collect();
        assert_eq!(tokens.iter().copied().filter(|&token| token < 256).collect::<Vec<_>>(), bytes);
        assert_eq!((tokenizer.token("<s>"), tokenizer.token("</s>")), (Some(256), Some(257)));
        assert_eq!(tokenizer.vocabulary(), 258);
        assert_eq!(tokenizer.decode(&tokens).unwrap(), text.replace("<s>", ""));
        let again = Tokenizer::from_json(tokenizer.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(again.encode(text, false).unwrap(), tokens);
        assert!(Tokenizer::from_json(b"{}").unwrap_err().to_string().contains("not a tokenizer"));
    }
}
