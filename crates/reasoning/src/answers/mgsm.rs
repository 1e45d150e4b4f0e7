//! MGSM (Shi et al. 2022) as in simple-evals: the text after the last answer prefix of the language, commas deleted,
//! the last number without its sign, zeros after the point dropped, equal as text.
//!
//! [`native_answer`] is the strict filter of the native chains of thought instead: the answer sentence of the language.

use std::sync::LazyLock;

use regex::Regex;

use super::language::ascii_digits;
use super::{Extracted, Language, Verdict};
use crate::answers::pattern;

static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9]+\.?[0-9]*"));

/// The word before the colon that announces an answer.
fn prefix(language: Language) -> &'static str {
    match language {
        Language::En => "Answer",
        Language::Bn => "উত্তর",
        Language::De => "Antwort",
        Language::Es => "Respuesta",
        Language::Fr => "Réponse",
        Language::Ja => "答え",
        Language::Ru => "Ответ",
        Language::Sw => "Jibu",
        Language::Te => "సమాధానం",
        Language::Th => "คำตอบ",
        Language::Zh => "答案",
    }
}

pub(super) fn extract(response: &str, language: Option<Language>) -> Option<Extracted> {
    let prefix = prefix(language.unwrap_or(Language::En));
    let at = response.rfind(prefix)?;
    let text = ascii_digits(&response[at + prefix.len()..]).replace(',', "");
    let answer = NUMBER.find_iter(&text).last()?.as_str();
    Some(Extracted { answer: without_zeros(answer), rule: "last number after the answer prefix" })
}

fn without_zeros(number: &str) -> String {
    match number.split_once('.') {
        Some(_) => number.trim_end_matches('0').trim_end_matches('.').to_string(),
        None => number.to_string(),
    }
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let plain = |text: &str| without_zeros(&text.trim().replace(',', ""));
    if plain(gold) == plain(answer) {
        Verdict::equal("same number as text")
    } else {
        Verdict::different("different numbers as text")
    }
}

/// The answer sentence of the native chain-of-thought exemplars; Bengali is configured with the English sentence.
fn sentence(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Bn | Language::En => ("The answer is ", ""),
        Language::De => ("Die Antwort lautet ", ""),
        Language::Es => ("La respuesta es ", ""),
        Language::Fr => ("La réponse est ", ""),
        Language::Ru => ("Ответ — ", ""),
        Language::Sw => ("Jibu ni ", ""),
        Language::Te => ("సమాధానం ", ""),
        Language::Th => ("คำตอบคือ ", ""),
        Language::Ja => ("答えは", "です。"),
        Language::Zh => ("答案是 ", "。"),
    }
}

/// The number in the first answer sentence of the native exemplars: `-?[0-9.,]+`, a final full stop dropped.
pub fn native_answer(response: &str, language: Language) -> Option<String> {
    let (before, after) = sentence(language);
    let mut rest = response;
    while let Some(at) = rest.find(before) {
        rest = &rest[at + before.len()..];
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let length = digits.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
        let number = &rest[..rest.len() - digits.len() + length];
        if length > 0 && rest[number.len()..].starts_with(after) {
            return Some(number.trim_end_matches('.').replace(',', ""));
        }
    }
    None
}
