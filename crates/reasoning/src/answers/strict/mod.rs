//! The strict mode: are the two answers equal as mathematics?
//!
//! `read` makes values of texts, `compare` decides about values, `scalar` about numbers and expressions, `sets` about
//! sets of real numbers, `units` knows units, and `extract` finds the answer in a response.

mod compare;
mod extract;
mod read;
pub(super) mod scalar;
pub(super) mod sets;
mod units;

use std::time::Duration;

use mathesis_symbolic::formula::Budget;

pub(super) use extract::extract;

use super::{Language, Options, Verdict};

fn unlimited() -> Budget {
    Budget::new(Duration::from_secs(1))
}

/// Whether two answers are equal.
pub(super) fn equal(gold: &str, answer: &str, options: &Options) -> Verdict {
    let budget = Budget::new(options.budget);
    let (left, right) = (gold.trim(), answer.trim());
    if left.is_empty() || right.is_empty() {
        return Verdict::different("an empty answer never matches");
    }
    if left == right {
        return Verdict::equal("identical text");
    }
    let (left, right) = (read::clean(left), read::clean(right));
    if left.is_empty() || right.is_empty() {
        return Verdict::different("an empty answer never matches");
    }
    if left == right {
        return Verdict::equal("identical after cleaning");
    }
    if decimal_comma(&left, &right, options.language) || decimal_comma(&right, &left, options.language) {
        return Verdict::equal("decimal comma");
    }
    let left_value = read::value(&left, options.language);
    let right_value = read::value(&right, options.language);
    let verdict = compare::values(&left_value, &right_value, &budget);
    verdict.unwrap_or_else(|| {
        if read::normal_text(&left) == read::normal_text(&right) {
            Verdict::equal("same text")
        } else if budget.is_spent() {
            Verdict::unknown("time budget")
        } else {
            Verdict::different("different kinds of answers")
        }
    })
}

/// `1,5` against `1.5`: a comma that can only be meant as a decimal point, as the other side has one there.
fn decimal_comma(point: &str, comma: &str, language: Option<Language>) -> bool {
    language.is_none()
        && comma.matches(',').count() == 1
        && point.matches('.').count() == 1
        && comma.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '-')
        && comma.replace(',', ".") == point
}
