//! The normaliser of MATH (Hendrycks et al. 2021): equal if a fixed sequence of rewritings makes the texts equal.
//!
//! No value is ever computed. Where the original raises an exception, the raw texts are compared.

use super::{Extracted, Verdict};

/// The last box by counting all braces; `\fbox` where there is no `\boxed`.
pub(super) fn extract(response: &str) -> Option<Extracted> {
    if let Some(at) = response.rfind("\\boxed ") {
        let rest = &response[at + "\\boxed ".len()..];
        let answer = rest.split('$').next().unwrap_or(rest).to_string();
        return Some(Extracted { answer, rule: "text after the box command" });
    }
    let start = response.rfind("\\boxed").or_else(|| response.rfind("\\fbox"))?;
    let text = &response[start..];
    let mut depth = 0i64;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    let inner = text[..at].strip_prefix("\\boxed{")?;
                    return Some(Extracted { answer: inner.to_string(), rule: "last box" });
                }
            }
            _ => {}
        }
    }
    None
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let is_equal = match (normalised(gold), normalised(answer)) {
        (Some(gold), Some(answer)) => gold == answer,
        _ => gold == answer,
    };
    if is_equal {
        Verdict::equal("same text after rewriting")
    } else {
        Verdict::different("different text after rewriting")
    }
}

/// The rewritten text; `None` where the original fails.
pub(super) fn normalised(text: &str) -> Option<String> {
    let mut text = text.replace('\n', "").replace("\\!", "").replace("\\\\", "\\");
    text =
        text.replace("tfrac", "frac").replace("dfrac", "frac").replace("\\left", "").replace("\\right", "");
    text = text.replace("^{\\circ}", "").replace("^\\circ", "").replace("\\$", "");
    // A unit: text behind the number.
    if text.contains("\\text{ ") {
        let mut parts = text.split("\\text{ ");
        let before = parts.next()?.to_string();
        if parts.count() != 1 {
            return None;
        }
        text = before;
    }
    text = text.replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.");
    if text.is_empty() {
        return Some(text);
    }
    text = braced_roots(&without_short_left_side(text))?;
    text = text.replace(' ', "");
    text = braced_fractions(&text);
    if text == "0.5" {
        text = "\\frac{1}{2}".into();
    }
    Some(slashed_fraction(&text))
}

/// A zero before a leading point, and of `x=5` the right side.
pub(super) fn without_short_left_side(mut text: String) -> String {
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    match text.split_once('=') {
        Some((left, right)) if !right.contains('=') && left.chars().count() <= 2 => right.to_string(),
        _ => text,
    }
}

/// `\sqrt3` becomes `\sqrt{3}`, for one character.
fn braced_roots(text: &str) -> Option<String> {
    let mut parts = text.split("\\sqrt");
    let mut result = parts.next()?.to_string();
    for part in parts {
        result.push_str("\\sqrt");
        let first = part.chars().next()?;
        if first == '{' {
            result.push_str(part);
        } else {
            result.push_str(&format!("{{{first}}}{}", &part[first.len_utf8()..]));
        }
    }
    Some(result)
}

/// `\frac12` becomes `\frac{1}{2}`, `\frac1{72}` becomes `\frac{1}{72}`.
pub(super) fn braced_fractions(text: &str) -> String {
    let mut parts = text.split("\\frac");
    let mut result = parts.next().unwrap_or_default().to_string();
    for part in parts {
        result.push_str("\\frac");
        if part.starts_with('{') {
            result.push_str(part);
            continue;
        }
        let mut characters = part.chars();
        let (Some(above), Some(below)) = (characters.next(), characters.next()) else {
            return text.to_string();
        };
        let rest = characters.as_str();
        if below == '{' {
            result.push_str(&format!("{{{above}}}{below}{rest}"));
        } else {
            result.push_str(&format!("{{{above}}}{{{below}}}{rest}"));
        }
    }
    result
}

/// `3/4` of canonical integers becomes `\frac{3}{4}`.
fn slashed_fraction(text: &str) -> String {
    let is_canonical = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" && part == "0" || !digits.starts_with('0'))
    };
    match text.split_once('/') {
        Some((above, below)) if is_canonical(above) && is_canonical(below) => {
            format!("\\frac{{{above}}}{{{below}}}")
        }
        _ => text.to_string(),
    }
}
