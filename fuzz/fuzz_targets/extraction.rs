//! Every mode finds an answer in any response, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mathesis_reasoning::answers::{Language, Mode, Options, extract};

fuzz_target!(|text: &str| {
    for mode in Mode::ALL {
        for language in [None, Some(Language::De)] {
            let _ = extract(text, &Options { mode, language, ..Options::default() });
        }
    }
});
