//! Tokenizers in the ecosystem's format, `tokenizer.json`.

use std::path::Path;

use serde_json::{Value, json};

/// A tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

/// Why there is no tokenizer, or no tokens.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(String);

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
        Ok(Tokenizer { inner })
    }

    /// A tokenizer with a token for each byte, which is its number, and after them these special tokens.
    pub fn of_bytes(special: &[&str]) -> Self {
        // The characters that stand for bytes in the format: printable ones for themselves, the others for characters after
        // Latin 1 in their order.
        let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let mut others = (256..).filter_map(char::from_u32);
        let characters = (0..256).map(|byte| match char::from_u32(byte).filter(|_| printable(byte)) {
            Some(character) => character,
            None => others.next().unwrap_or_else(|| unreachable!("characters after Latin 1")),
        });
        let vocabulary: serde_json::Map<String, Value> =
            characters.zip(0..).map(|(character, byte)| (character.to_string(), json!(byte))).collect();
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
