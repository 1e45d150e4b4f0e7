//! The tokenizer as llama.cpp knows it: `gpt2` (pairs of bytes) by its rule for words, or `llama` (SentencePiece), where a token's
//! score decides what is merged first.
//!
//! What `tokenizer.json` asks for beyond what llama.cpp does is refused. Unicode's form C, which published Qwen2 tokenizers bring
//! texts into first, is the one exception: llama.cpp takes texts as they are.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::GgufError;
use super::file::Entry;
use crate::folder::Checkpoint;
use crate::text::Tokenizer;

/// Kinds of tokens.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The rule for words of GPT-2, which `ByteLevel` with `use_regex` applies, is known by a name; these are the others that stand in
/// files, with llama.cpp's names and whether a word that is a token is taken whole.
pub(super) const WORDS: [(&str, &str, bool); 2] = [
    (
        "llama-bpe",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        true,
    ),
    (
        "qwen2",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        false,
    ),
];

/// What describes the tokenizer and the chat template of a model.
///
/// # Errors
/// If there is no tokenizer, or none that llama.cpp knows.
pub fn entries(checkpoint: &Checkpoint) -> Result<Vec<(String, Entry)>, GgufError> {
    let unknown = |message: String| GgufError::Tokenizer(message);
    let tokenizer =
        checkpoint.tokenizer.as_ref().ok_or_else(|| unknown("the model has no tokenizer.json".into()))?;
    let json: Value =
        serde_json::from_str(&tokenizer.to_json()?).map_err(|error| unknown(error.to_string()))?;
    let file = TokenizerFile { json: &json, tokenizer };
    let mut entries = file.vocabulary(checkpoint.model.config().vocabulary).map_err(unknown)?;
    entries.extend(special(checkpoint, tokenizer)?);
    if let Some(chat) = &checkpoint.chat {
        entries.push(("tokenizer.chat_template", Entry::Text(chat.source().into())));
    }
    Ok(entries.into_iter().map(|(key, entry)| (key.to_string(), entry)).collect())
}

type Entries = Vec<(&'static str, Entry)>;

/// A `tokenizer.json`.
struct TokenizerFile<'a> {
    json: &'a Value,
    tokenizer: &'a Tokenizer,
}

impl TokenizerFile<'_> {
    /// The tokens with their kinds, and what is merged; padded to as many as the model has.
    fn vocabulary(&self, count: usize) -> Result<Entries, String> {
        let model = &self.json["model"];
        if model["type"] != "BPE" {
            return Err(format!("`model.type` is {}, expected \"BPE\"", model["type"]));
        }
        for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
            if !(model[key].is_null() || model[key] == "" || model[key] == 0.0) {
                return Err(format!("`model.{key}` is {}, expected none", model[key]));
            }
        }
        let mut tokens: Vec<String> = (0..count).map(|token| format!("[PAD{token}]")).collect();
        let mut kinds = vec![UNUSED; count];
        let of_bytes = self.has("decoder", "ByteLevel");
        let vocabulary = model["vocab"].as_object().ok_or("`model.vocab` is not there")?;
        for (written, token) in vocabulary {
            let token = token.as_u64().and_then(|token| usize::try_from(token).ok());
            let token =
                token.filter(|&token| token < count).ok_or_else(|| format!("`{written}` is no token"))?;
            tokens[token].clone_from(written);
            kinds[token] = match () {
                () if model["unk_token"] == written.as_str() => UNKNOWN,
                () if !of_bytes && Tokenizer::names_a_byte(written) => BYTE,
                () => NORMAL,
            };
        }
        for added in self.json["added_tokens"].as_array().into_iter().flatten() {
            let token = added["id"].as_u64().and_then(|token| usize::try_from(token).ok());
            let (Some(token), Some(content)) =
                (token.filter(|&token| token < count), added["content"].as_str())
            else {
                return Err(format!("the added token {added} is no token"));
            };
            for key in ["lstrip", "rstrip", "single_word"] {
                if added[key] == true {
                    return Err(format!("the added token `{content}` has `{key}`, expected false"));
                }
            }
            tokens[token] = content.to_string();
            if kinds[token] != UNKNOWN {
                kinds[token] = if added["special"] == true { CONTROL } else { USER_DEFINED };
            }
        }
        let merges = merges(&model["merges"])?;
        let mut entries =
            if of_bytes { self.of_bytes(&merges)? } else { self.of_marks(&tokens, &kinds, &merges)? };
        entries.push(("tokenizer.ggml.tokens", Entry::Texts(tokens)));
        entries.push(("tokenizer.ggml.token_type", Entry::Wholes(kinds)));
        if let Some(unknown) = model["unk_token"].as_str().and_then(|unknown| self.tokenizer.token(unknown)) {
            entries.push(("tokenizer.ggml.unknown_token_id", Entry::Whole(unknown)));
        }
        Ok(entries)
    }

    /// Pairs of bytes: the order of the merges, and the rule for words, which no merge crosses.
    fn of_bytes(&self, merges: &[[&str; 2]]) -> Result<Entries, String> {
        let normalizer = &self.json["normalizer"];
        if !(normalizer.is_null() || normalizer["type"] == "NFC") {
            return Err(format!("`normalizer` is {normalizer}, expected null or NFC"));
        }
        let parts = parts(&self.json["pre_tokenizer"], "pretokenizers");
        let ignores = self.json["model"]["ignore_merges"] == true;
        let bytes = |part: &Value, words: bool| {
            part["type"] == "ByteLevel" && part["add_prefix_space"] != true && part["use_regex"] == words
        };
        let digits = |part: &Value| part["type"] == "Digits" && part["individual_digits"] == true;
        let splits = |part: &Value, words: &str| {
            part["type"] == "Split"
                && part["pattern"] == json!({ "Regex": words })
                && part["behavior"] == "Isolated"
                && part["invert"] != true
        };
        let name = match parts {
            [one] if bytes(one, true) && !ignores => Some("gpt-2"),
            // Without merges it does not matter what they do not cross.
            [one] if bytes(one, false) && merges.is_empty() => Some("gpt-2"),
            [first, last] if digits(first) && bytes(last, true) && !ignores => Some("smollm"),
            [first, last] if bytes(last, false) => WORDS
                .iter()
                .find(|(_, words, whole)| splits(first, words) && *whole == ignores)
                .map(|(name, ..)| *name),
            _ => None,
        };
        let name = name.ok_or_else(|| {
            format!(
                "`pre_tokenizer` is {} (ignore_merges: {ignores}), expected the rule for words of GPT-2, with or without \
                 single digits before it, of Llama 3, or of Qwen2",
                self.json["pre_tokenizer"]
            )
        })?;
        let merges = merges.iter().map(|[left, right]| format!("{left} {right}")).collect();
        Ok(vec![
            ("tokenizer.ggml.model", Entry::Text("gpt2".into())),
            ("tokenizer.ggml.pre", Entry::Text(name.into())),
            ("tokenizer.ggml.merges", Entry::Texts(merges)),
        ])
    }

    /// SentencePiece: what is merged is any pair that makes a token, the one with the highest score first.
    fn of_marks(&self, tokens: &[String], kinds: &[i32], merges: &[[&str; 2]]) -> Result<Entries, String> {
        let model = &self.json["model"];
        if model["byte_fallback"] != true {
            return Err("it has neither tokens for all bytes (ByteLevel) nor `byte_fallback`".into());
        }
        let prepends = |part: &Value| part["type"] == "Prepend" && part["prepend"] == "▁";
        let replaces = |part: &Value| {
            part["type"] == "Replace" && part["pattern"] == json!({ "String": " " }) && part["content"] == "▁"
        };
        let normalizer = parts(&self.json["normalizer"], "normalizers");
        let prefix = match normalizer {
            [first, last] if prepends(first) && replaces(last) => true,
            [one] if replaces(one) => false,
            _ => {
                let found = &self.json["normalizer"];
                return Err(format!("`normalizer` is {found}, expected one that makes ▁ of spaces"));
            }
        };
        if !self.json["pre_tokenizer"].is_null() {
            let found = &self.json["pre_tokenizer"];
            return Err(format!("`pre_tokenizer` is {found}, expected null for a tokenizer with ▁"));
        }
        let scores = scores(tokens, kinds, merges)?;
        Ok(vec![
            ("tokenizer.ggml.model", Entry::Text("llama".into())),
            ("tokenizer.ggml.pre", Entry::Text("default".into())),
            ("tokenizer.ggml.scores", Entry::Reals(scores)),
            ("tokenizer.ggml.add_space_prefix", Entry::Flag(prefix)),
        ])
    }

    fn has(&self, key: &str, kind: &str) -> bool {
        parts(&self.json[key], "decoders").iter().any(|part| part["type"] == kind)
    }
}

/// The parts of a sequence, or what stands there alone.
fn parts<'a>(value: &'a Value, list: &str) -> &'a [Value] {
    match value[list].as_array() {
        Some(parts) => parts,
        None if value.is_null() => &[],
        None => std::slice::from_ref(value),
    }
}

/// The merges, in either of the two forms of the file.
fn merges(value: &Value) -> Result<Vec<[&str; 2]>, String> {
    let list = value.as_array().ok_or("`model.merges` is not there")?;
    list.iter().map(|merge| pair(merge).ok_or_else(|| format!("the merge {merge} is none"))).collect()
}

fn pair(merge: &Value) -> Option<[&str; 2]> {
    match merge {
        Value::String(text) => {
            let (left, right) = text.split_once(' ')?;
            Some([left, right])
        }
        Value::Array(pair) => match pair.as_slice() {
            [left, right] => Some([left.as_str()?, right.as_str()?]),
            _ => None,
        },
        _ => None,
    }
}

/// Scores with which the same is merged in the same order.
///
/// SentencePiece knows no merges, only tokens: every pair that makes a token is merged. So all of them must be among the merges, and
/// those that make the same token must follow each other.
fn scores(tokens: &[String], kinds: &[i32], merges: &[[&str; 2]]) -> Result<Vec<f32>, String> {
    let (mut ranks, mut last) = (HashMap::new(), String::new());
    let mut pairs = HashSet::new();
    for pair @ [left, right] in merges {
        let merged = format!("{left}{right}");
        pairs.insert(*pair);
        if merged != last {
            let rank = ranks.len();
            if ranks.insert(merged.clone(), rank).is_some() {
                return Err(format!("the merges that make `{merged}` do not follow each other"));
            }
        }
        last = merged;
    }
    let normal: HashSet<&str> = tokens
        .iter()
        .zip(kinds)
        .filter(|&(_, &kind)| kind == NORMAL)
        .map(|(token, _)| token.as_str())
        .collect();
    for token in &normal {
        for (place, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(place);
            if normal.contains(left) && normal.contains(right) && !pairs.contains(&[left, right]) {
                return Err(format!("`{left}` and `{right}` make a token, and no merge joins them"));
            }
        }
    }
    Ok(tokens.iter().map(|token| ranks.get(token).map_or(0.0, |&rank| -1.0 - rank as f32)).collect())
}

/// The tokens at the ends of texts.
fn special(checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Result<Entries, GgufError> {
    let named = |key: &str| {
        let value = checkpoint.tokenizer_settings.get(key)?;
        tokenizer.token(value.as_str().or(value["content"].as_str())?)
    };
    let mut ends = checkpoint.generation.end.clone();
    if ends.is_empty() {
        ends.extend(named("eos_token"));
    }
    let Some(&end) = ends.first() else {
        return Err(GgufError::Tokenizer(
            "no token ends an answer (eos_token_id in generation_config.json, eos_token in tokenizer_config.json)".into(),
        ));
    };
    const ENDS: [&str; 3] =
        ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
    if ends.len() > ENDS.len() {
        return Err(GgufError::Tokenizer(format!("{} tokens end an answer, expected at most 3", ends.len())));
    }
    // Where no token begins texts its place must not be empty: llama.cpp would take some other token for it.
    let begin = checkpoint.generation.begin.or_else(|| named("bos_token")).unwrap_or(end);
    let (plain, whole) = (tokenizer.encode("a", false)?, tokenizer.encode("a", true)?);
    let around = whole.windows(plain.len().max(1)).position(|window| window == plain);
    let around = around.map(|place| (&whole[..place], &whole[place + plain.len()..]));
    let (begins, ended) = match around {
        Some((before, after))
            if [&[][..], &[begin]].contains(&before) && [&[][..], &[end]].contains(&after) =>
        {
            (!before.is_empty(), !after.is_empty())
        }
        _ => {
            let message =
                format!("it puts {whole:?} around a text {plain:?}, expected {begin} and {end} at most");
            return Err(GgufError::Tokenizer(message));
        }
    };
    let mut entries: Entries = ENDS.into_iter().zip(ends.iter().map(|&end| Entry::Whole(end))).collect();
    entries.extend([
        ("tokenizer.ggml.bos_token_id", Entry::Whole(begin)),
        ("tokenizer.ggml.add_bos_token", Entry::Flag(begins)),
        ("tokenizer.ggml.add_eos_token", Entry::Flag(ended)),
    ]);
    if let Some(padding) = named("pad_token") {
        entries.push(("tokenizer.ggml.padding_token_id", Entry::Whole(padding)));
    }
    Ok(entries)
}
