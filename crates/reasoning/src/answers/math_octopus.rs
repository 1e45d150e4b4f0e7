//! MathOctopus (Chen et al. 2023): commas between digits deleted, the last number without its sign (none is 0), equal
//! to less than 0.001.
//!
//! A comma goes where a digit stands on both sides, from the left, and no digit serves two commas: "1,234,567" is one
//! number, "1,2,3" is 12 and 3. Digits of all scripts count.

use super::language::digit;
use super::{Extracted, Verdict};

pub(super) fn extract(response: &str) -> Option<Extracted> {
    let answer = match last_chain(response) {
        None => return Some(Extracted { answer: "0.0".into(), rule: "no number counts as zero" }),
        // Most answers are whole numbers.
        Some(chain) if chain.bytes().all(|byte| byte.is_ascii_digit()) => chain.to_string(),
        Some(chain) => last_number(&without_commas(chain)),
    };
    Some(Extracted { answer, rule: "last number without its sign" })
}

/// The last digits of a text with all before them that hang together by single commas and points. What stands before
/// cannot change how these are read, so that a long reply is read from its end alone.
fn last_chain(text: &str) -> Option<&str> {
    let mut backwards = text.char_indices().rev().skip_while(|(_, character)| digit(*character).is_none());
    let (mut start, last) = backwards.next()?;
    let end = start + last.len_utf8();
    let mut separated = false;
    for (at, character) in backwards {
        match character {
            ',' | '.' if !separated => separated = true,
            _ if digit(character).is_some() => (start, separated) = (at, false),
            _ => break,
        }
    }
    Some(&text[start..end])
}

/// The chain in ASCII digits, without the commas that separate thousands.
fn without_commas(chain: &str) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(chain.len());
    let mut characters = chain.chars().peekable();
    while let Some(character) = characters.next() {
        match digit(character) {
            Some(value) => {
                kept.push(b'0' + value as u8);
                if characters.next_if_eq(&',').is_some() {
                    // A chain has a digit behind every comma.
                    kept.extend(characters.next().and_then(digit).map(|value| b'0' + value as u8));
                }
            }
            None => kept.push(if character == ',' { b',' } else { b'.' }),
        }
    }
    kept
}

/// The last match of `\d+(\.\d+)?`, searched from the left, in a chain.
fn last_number(chain: &[u8]) -> String {
    let last = chain.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    let groups: Vec<&[u8]> = last.split(|byte| *byte == b'.').collect();
    // Matches take two groups each from the left.
    let pair = groups.len() - if groups.len().is_multiple_of(2) { 2 } else { 1 };
    String::from_utf8(groups[pair..].join(&b'.')).unwrap_or_default()
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let value = |text: &str| match text.trim() {
        text if text.contains(',') => text.replace(',', "").parse::<f64>(),
        text => text.parse(),
    };
    match (value(gold), value(answer)) {
        (Ok(gold), Ok(answer)) if (gold - answer).abs() < 1e-3 => Verdict::equal("numbers within 0.001"),
        (Ok(_), Ok(_)) => Verdict::different("numbers 0.001 or more apart"),
        _ => Verdict::different("not a number"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    /// The rule as it is published, on the whole text.
    fn plain(text: &str) -> Option<String> {
        let folded: String = text
            .chars()
            .map(|c| digit(c).and_then(|value| char::from_digit(value, 10)).unwrap_or(c))
            .collect();
        let joined = Regex::new("([0-9]),([0-9])").unwrap().replace_all(&folded, "$1$2").into_owned();
        let numbers = Regex::new(r"[0-9]+(\.[0-9]+)?").unwrap();
        numbers.find_iter(&joined).last().map(|found| found.as_str().to_string())
    }

    #[test]
    fn commas_points_and_digits_of_other_scripts() {
        for (text, expected) in [
            ("so 1,234,567 in all", "1234567"),
            ("1,2,3", "3"),
            ("1,23,4", "1234"),
            ("1.2.3", "3"),
            ("1.2.3.4.", "3.4"),
            ("Es sind 1.250.", "1.250"),
            ("-5", "5"),
            ("মোট ৪২টি", "42"),
            ("๑,๒๓๔.๕ บาท", "1234.5"),
            ("3，400", "400"),
            ("5. 7, x", "7"),
            ("1,,2", "2"),
        ] {
            assert_eq!(extract(text).unwrap().answer, expected, "{text}");
            assert_eq!(plain(text).unwrap(), expected, "{text}");
        }
        assert_eq!(extract("none").unwrap().answer, "0.0");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn reading_from_the_end_is_reading_all(text in "[0-9,.৪๒ a]{0,24}") {
            prop_assert_eq!(extract(&text).unwrap().answer, plain(&text).unwrap_or("0.0".into()));
        }
    }
}
