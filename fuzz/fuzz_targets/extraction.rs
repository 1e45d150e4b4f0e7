//! The mode that the first character names finds an answer in any response, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mathesis_reasoning::answers::{Language, Mode, Options, extract};

fuzz_target!(|text: &str| {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return };
    let choice = first as usize;
    let mode = Mode::ALL[choice % Mode::ALL.len()];
    let language = (choice / Mode::ALL.len() % 2 == 1).then_some(Language::De);
    let _ = extract(characters.as_str(), &Options { mode, language, ..Options::default() });
});
