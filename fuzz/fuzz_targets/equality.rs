//! Two texts, separated by a line break, are compared in the mode that the first character names; the strict mode is
//! reflexive and symmetric.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mathesis_reasoning::answers::{Equality, Mode, Options, check};

fuzz_target!(|text: &str| {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return };
    let mode = Mode::ALL[first as usize % Mode::ALL.len()];
    let (gold, answer) = characters.as_str().split_once('\n').unwrap_or((characters.as_str(), "1"));
    let options = Options { budget: Duration::from_millis(10), ..Options::of(mode) };
    let verdict = check(gold, answer, &options);
    if mode == Mode::Strict {
        let back = check(answer, gold, &options);
        let decided = [verdict.equality, back.equality];
        assert!(decided.contains(&Equality::Unknown) || verdict.equality == back.equality, "not symmetric");
        assert!(gold.trim().is_empty() || check(gold, gold, &options).is_equal(), "not reflexive");
    }
});
