//! Numbers as languages write them: native digits, separators, number words, Chinese numerals.

/// A language that decides how numbers and answer sentences are written. The names are ISO 639-1 codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Language {
    Bn,
    De,
    En,
    Es,
    Fr,
    Ja,
    Ru,
    Sw,
    Te,
    Th,
    Zh,
}

impl Language {
    /// All languages.
    pub const ALL: [Language; 11] = [
        Language::Bn,
        Language::De,
        Language::En,
        Language::Es,
        Language::Fr,
        Language::Ja,
        Language::Ru,
        Language::Sw,
        Language::Te,
        Language::Th,
        Language::Zh,
    ];

    /// The language of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The ISO 639-1 code.
    pub fn code(self) -> &'static str {
        match self {
            Language::Bn => "bn",
            Language::De => "de",
            Language::En => "en",
            Language::Es => "es",
            Language::Fr => "fr",
            Language::Ja => "ja",
            Language::Ru => "ru",
            Language::Sw => "sw",
            Language::Te => "te",
            Language::Th => "th",
            Language::Zh => "zh",
        }
    }

    fn has_decimal_comma(self) -> bool {
        matches!(self, Language::De | Language::Es | Language::Fr | Language::Ru)
    }
}

/// The first digits of the decimal digit runs of Unicode that occur in writing today.
const ZEROS: [char; 14] = [
    '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{ff10}',
];

/// The value of a decimal digit of any script.
pub(crate) fn digit(character: char) -> Option<u32> {
    if character.is_ascii() {
        return character.to_digit(10);
    }
    ZEROS.iter().map(|zero| (character as u32).wrapping_sub(*zero as u32)).find(|value| *value < 10)
}

/// Digits of all scripts as ASCII digits, full-width forms as ASCII.
pub(crate) fn ascii_digits(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            c if c.is_ascii() => c,
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(character as u32 - 0xfee0).unwrap_or(character),
            '\u{3000}' => ' ',
            _ => digit(character).and_then(|value| char::from_digit(value, 10)).unwrap_or(character),
        })
        .collect()
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// A text that is one number, with a decimal point and without separators; `None` if it is none or a list.
///
/// A language decides what a lone point or comma is. Without one, of two different separators the last is the decimal
/// point, a comma before groups of exactly three digits separates thousands, and a single point is a decimal point.
/// A single comma before any other number of digits is left to the caller.
pub(crate) fn plain_number(text: &str, language: Option<Language>) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.chars().next()? {
        '-' | '−' => ("-", &text[text.chars().next()?.len_utf8()..]),
        '+' => ("", &text[1..]),
        _ => ("", text),
    };
    let digits = digits.trim_start();
    let is_number = digits.chars().all(|c| c.is_ascii_digit() || is_blank(c) || c == ',' || c == '.');
    if !is_number || !digits.chars().any(|c| c.is_ascii_digit()) || digits.contains(", ") {
        return None;
    }
    let is_grouped = |text: &str, separator: char| {
        let mut groups = text.split(separator);
        let first = groups.next().unwrap_or_default();
        (1..=3).contains(&first.len())
            && first.bytes().all(|b| b.is_ascii_digit())
            && groups.all(|group| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit()))
    };
    // Blanks can only separate thousands.
    let mut plain = digits.to_string();
    if plain.contains(is_blank) {
        let whole: String = plain.chars().map(|c| if is_blank(c) { ' ' } else { c }).collect();
        let end = whole.find(['.', ',']).unwrap_or(whole.len());
        if !is_grouped(&whole[..end], ' ') {
            return None;
        }
        plain = whole.replace(' ', "");
    }
    let (points, commas) = (plain.matches('.').count(), plain.matches(',').count());
    let decimal = match (points, commas) {
        (0, 0) => None,
        _ if points > 0 && commas > 0 => {
            let last = if plain.rfind('.') > plain.rfind(',') { '.' } else { ',' };
            (plain.matches(last).count() == 1).then_some(last)?;
            Some(last)
        }
        (0, _) if language.is_some_and(Language::has_decimal_comma) => {
            if commas == 1 {
                Some(',')
            } else {
                None
            }
        }
        (0, _) => {
            if !is_grouped(&plain, ',') {
                return None;
            }
            None
        }
        (1, _) if language.is_some_and(Language::has_decimal_comma) && is_grouped(&plain, '.') => None,
        (1, _) => Some('.'),
        _ => {
            if !is_grouped(&plain, '.') {
                return None;
            }
            None
        }
    };
    let (whole, fraction) = match decimal {
        Some(point) => plain.rsplit_once(point)?,
        None => (plain.as_str(), ""),
    };
    let separator = if whole.contains(',') { ',' } else { '.' };
    if whole.contains([',', '.']) && !is_grouped(whole, separator) {
        return None;
    }
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { &whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// The value of English number words: "seven", "twenty-one", "three hundred and five".
pub(crate) fn number_words(text: &str) -> Option<u64> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    if text.len() > 100 || !text.chars().all(|c| c.is_ascii_alphabetic() || c == ' ' || c == '-') {
        return None;
    }
    let lower = text.to_lowercase().replace('-', " ");
    let (mut total, mut group, mut any) = (0u64, 0u64, false);
    for word in lower.split_whitespace() {
        let small = SMALL.iter().position(|known| *known == word).map(|value| value as u64);
        let tens = TENS.iter().position(|known| *known == word).map(|value| 10 * (value as u64 + 2));
        match (small.or(tens), word) {
            (Some(value), _) => group = group.checked_add(value)?,
            (None, "hundred") => group = group.max(1).checked_mul(100)?,
            (None, "thousand" | "million" | "billion") => {
                let scale = match word {
                    "thousand" => 1_000,
                    "million" => 1_000_000,
                    _ => 1_000_000_000,
                };
                total = total.checked_add(group.max(1).checked_mul(scale)?)?;
                group = 0;
            }
            (None, "and") if any => continue,
            _ => return None,
        }
        any = true;
    }
    any.then(|| total.checked_add(group))?
}

/// The value of a Chinese numeral: 十八, 三百零五, 二万.
pub(crate) fn chinese_numeral(text: &str) -> Option<u64> {
    if text.is_empty() || text.chars().count() > 30 {
        return None;
    }
    let (mut total, mut section, mut pending) = (0u64, 0u64, None::<u64>);
    for character in text.chars() {
        if let Some(value) = "零一二三四五六七八九".chars().position(|c| c == character) {
            pending = Some(value as u64);
            continue;
        }
        let unit = match character {
            '两' => {
                pending = Some(2);
                continue;
            }
            '〇' => continue,
            '十' => 10,
            '百' => 100,
            '千' => 1000,
            '万' | '亿' => {
                let scale = if character == '万' { 10_000 } else { 100_000_000 };
                let whole = total.checked_add(section)?.checked_add(pending.take().unwrap_or(0))?;
                total = whole.checked_mul(scale)?;
                section = 0;
                continue;
            }
            _ => return None,
        };
        section = section.checked_add(pending.take().unwrap_or(1).checked_mul(unit)?)?;
    }
    total.checked_add(section)?.checked_add(pending.unwrap_or(0))
}
