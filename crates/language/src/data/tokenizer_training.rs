//! Tokenizers learnt from texts: pairs of bytes that occur often become tokens (byte-level BPE; Sennrich and others, 2016).

use tokenizers::AddedToken;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::text::{Tokenizer, TokenizerError};

/// What a tokenizer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerOptions<'a> {
    /// Tokens at most, the special ones and 256 for bytes among them.
    pub vocabulary: usize,
    /// Whether every digit is a token of its own, which makes calculation easier to learn.
    pub split_digits: bool,
    /// Tokens that stand for no text; the first ones.
    pub special: &'a [&'a str],
}

/// A tokenizer for texts such as these. The same texts give the same tokenizer.
///
/// # Errors
/// If the vocabulary has no place for all bytes and special tokens.
pub fn train_tokenizer(
    texts: impl Iterator<Item = String> + Send,
    options: TokenizerOptions<'_>,
) -> Result<Tokenizer, TokenizerError> {
    let least = 256 + options.special.len();
    if options.vocabulary < least {
        let message = format!("a vocabulary of {} tokens, expected at least {least}", options.vocabulary);
        return Err(TokenizerError::new(message));
    }
    let refuse = |error: tokenizers::Error| TokenizerError::new(format!("no tokenizer was made: {error}"));
    let bytes = ByteLevel::new(false, true, true);
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    let splitter = if options.split_digits {
        let digits = PreTokenizerWrapper::Digits(Digits::new(true));
        PreTokenizerWrapper::Sequence(Sequence::new(vec![digits, PreTokenizerWrapper::ByteLevel(bytes)]))
    } else {
        PreTokenizerWrapper::ByteLevel(bytes)
    };
    tokenizer.with_pre_tokenizer(Some(splitter));
    tokenizer.with_decoder(Some(DecoderWrapper::ByteLevel(bytes)));
    let special = options.special.iter().map(|token| AddedToken::from(*token, true)).collect();
    let trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(options.vocabulary)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special)
        .build();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), texts).map_err(refuse)?;
    Tokenizer::from_json(tokenizer.to_string(false).map_err(refuse)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_pairs_become_tokens_and_text_comes_back() {
        let texts = || (0..200).map(|k| format!("The number is {}, and the number stays.", 11 * k));
        let options = TokenizerOptions { vocabulary: 300, split_digits: true, special: &["<|end|>"] };
        let tokenizer = train_tokenizer(texts(), options).unwrap();
        // These few words are whole tokens before the vocabulary is full.
        assert!((260..300).contains(&tokenizer.vocabulary()));
        assert_eq!(tokenizer.token("<|end|>"), Some(0));
        let full = TokenizerOptions { vocabulary: 265, ..options };
        assert_eq!(train_tokenizer(texts(), full).unwrap().vocabulary(), 265);
        let text = "The number is 1234, é\n数.";
        let tokens = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
        assert!(tokens.len() < text.len() - 8, "{tokens:?}");
        // A digit, whatever stands beside it, is one token.
        let digits: Vec<u32> =
            "0123456789".chars().map(|c| tokenizer.encode(&c.to_string(), false).unwrap()[0]).collect();
        assert_eq!(tokenizer.encode("73", false).unwrap(), [digits[7], digits[3]]);
        assert_eq!(tokens.iter().filter(|token| digits.contains(token)).count(), 4);
        let whole = TokenizerOptions { split_digits: false, ..options };
        assert_eq!(
            train_tokenizer((0..50).map(|_| "1234".to_string()), whole)
                .unwrap()
                .encode("1234", false)
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            train_tokenizer(texts(), options).unwrap().to_json().unwrap(),
            tokenizer.to_json().unwrap()
        );
        let small = TokenizerOptions { vocabulary: 256, ..options };
        assert!(train_tokenizer(texts(), small).unwrap_err().to_string().contains("257"));
    }
}
