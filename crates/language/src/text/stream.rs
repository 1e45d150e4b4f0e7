//! Text that grows token by token, in pieces that never end within a character.

use super::{Tokenizer, TokenizerError};

/// What a decoder writes for bytes that are not, or not yet, a character.
const REPLACEMENT: char = '\u{fffd}';

/// The text of tokens that come one by one. The pieces add up to the text of all tokens.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    tokens: Vec<u32>,
    /// Where the tokens begin that the next piece is decoded with: some decoders treat the first tokens of a text in their own way.
    from: usize,
    /// Up to where tokens have been given out.
    to: usize,
    given: String,
}

impl TextStream {
    /// A stream with no tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add a token; returns the text that is now certain, which may be empty.
    ///
    /// # Errors
    /// If the tokenizer's decoder fails.
    pub fn push(&mut self, token: u32, tokenizer: &Tokenizer) -> Result<String, TokenizerError> {
        self.tokens.push(token);
        let before = tokenizer.decode(&self.tokens[self.from..self.to])?;
        let now = tokenizer.decode(&self.tokens[self.from..])?;
        if now.len() <= before.len() || now.ends_with(REPLACEMENT) || !now.starts_with(&before) {
            return Ok(String::new());
        }
        let piece = now[before.len()..].to_string();
        (self.from, self.to) = (self.to, self.tokens.len());
        self.given.push_str(&piece);
        Ok(piece)
    }

    /// What is left when no more tokens come: the rest of the text, with replacements for bytes that are no character.
    ///
    /// # Errors
    /// If the tokenizer's decoder fails.
    pub fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String, TokenizerError> {
        let all = tokenizer.decode(&self.tokens)?;
        let rest = all.strip_prefix(self.given.as_str()).unwrap_or_default().to_string();
        self.given.push_str(&rest);
        self.to = self.tokens.len();
        Ok(rest)
    }

    /// All tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_characters_and_add_up() {
        let tokenizer = Tokenizer::of_bytes(&[]);
        let text = "naïve 数学 🧮, end";
        let tokens = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokens.len(), text.len(), "a token for each byte");
        let mut stream = TextStream::new();
        let pieces: Vec<String> =
            tokens.iter().map(|&token| stream.push(token, &tokenizer).unwrap()).collect();
        assert_eq!(pieces.iter().filter(|piece| !piece.is_empty()).count(), text.chars().count());
        assert_eq!(pieces.concat(), text);
        assert_eq!(stream.finish(&tokenizer).unwrap(), "");
        assert_eq!(stream.tokens(), tokens);
    }

    #[test]
    fn a_character_that_never_ends_is_replaced_at_the_end() {
        let tokenizer = Tokenizer::of_bytes(&[]);
        let tokens = tokenizer.encode("a🧮", false).unwrap();
        let mut stream = TextStream::new();
        let pieces: String =
            tokens[..3].iter().map(|&token| stream.push(token, &tokenizer).unwrap()).collect();
        assert_eq!(pieces, "a");
        assert_eq!(stream.finish(&tokenizer).unwrap(), tokenizer.decode(&tokens[1..3]).unwrap());
    }
}
