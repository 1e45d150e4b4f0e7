//! GSM8K (Cobbe et al. 2021), the official rule: the first `#### number`, commas deleted, equal as text.

use std::sync::LazyLock;

use regex::Regex;

use super::{Extracted, Verdict};
use crate::answers::pattern;

static ANSWER: LazyLock<Regex> = LazyLock::new(|| pattern(r"#### (-?[0-9.,]+)"));

pub(super) fn extract(response: &str) -> Option<Extracted> {
    let found = ANSWER.captures(response)?;
    Some(Extracted { answer: found[1].replace(',', ""), rule: "#### number" })
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    if gold.trim().replace(',', "") == answer.trim().replace(',', "") {
        Verdict::equal("same text without commas")
    } else {
        Verdict::different("different text without commas")
    }
}
