//! Two texts, separated by a line break, are compared in every mode; the strict mode is reflexive and symmetric.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mathesis_reasoning::answers::{Equality, Mode, Options, check};

fuzz_target!(|text: &str| {
    let (gold, answer) = text.split_once('\n').unwrap_or((text, "1"));
    for mode in Mode::ALL {
        let options = Options::of(mode);
        let verdict = check(gold, answer, &options);
        if mode == Mode::Strict {
            let back = check(answer, gold, &options);
            let decided = [verdict.equality, back.equality];
            assert!(decided.contains(&Equality::Unknown) || verdict.equality == back.equality, "not symmetric");
            assert!(gold.trim().is_empty() || check(gold, gold, &options).is_equal(), "not reflexive");
        }
    }
});
