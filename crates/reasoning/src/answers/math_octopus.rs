//! MathOctopus (Chen et al. 2023): commas between digits deleted, the last number without its sign (none is 0), equal
//! to less than 0.001.

use std::sync::LazyLock;

use regex::Regex;

use super::language::ascii_digits;
use super::{Extracted, Verdict};
use crate::answers::pattern;

static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"[0-9]+(?:\.[0-9]+)?"));

pub(super) fn extract(response: &str) -> Option<Extracted> {
    let characters: Vec<char> = ascii_digits(response).chars().collect();
    let is_digit = |at: Option<&char>| at.is_some_and(char::is_ascii_digit);
    let text: String = (0..characters.len())
        .filter(|&at| {
            let between = at > 0 && is_digit(characters.get(at - 1)) && is_digit(characters.get(at + 1));
            !(characters[at] == ',' && between)
        })
        .map(|at| characters[at])
        .collect();
    let last = NUMBER.find_iter(&text).last().map(|found| found.as_str().to_string());
    Some(match last {
        Some(answer) => Extracted { answer, rule: "last number without its sign" },
        None => Extracted { answer: "0.0".into(), rule: "no number counts as zero" },
    })
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let value = |text: &str| text.trim().replace(',', "").parse::<f64>();
    match (value(gold), value(answer)) {
        (Ok(gold), Ok(answer)) if (gold - answer).abs() < 1e-3 => Verdict::equal("numbers within 0.001"),
        (Ok(_), Ok(_)) => Verdict::different("numbers 0.001 or more apart"),
        _ => Verdict::different("not a number"),
    }
}
