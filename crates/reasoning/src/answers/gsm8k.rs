//! GSM8K (Cobbe et al. 2021), the official rule: the first `#### number`, commas deleted, equal as text.

use std::sync::LazyLock;

use regex::Regex;

use super::{Extracted, Verdict};

static ANSWER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"#### (-?[0-9.,]+)").ok());

pub(super) fn extract(response: &str) -> Option<Extracted> {
    let found = ANSWER.as_ref()?.captures(response)?;
    Some(Extracted { answer: found[1].replace(',', ""), rule: "#### number" })
}

pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    if gold.trim().replace(',', "") == answer.trim().replace(',', "") {
        Verdict::equal("same text without commas")
    } else {
        Verdict::different("different text without commas")
    }
}
