//! Any text is a formula or an error, and a formula has values or none.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mathesis_symbolic::formula::{Budget, Formula, Reading};
use mathesis_symbolic::interval::Precision;

fuzz_target!(|text: &str| {
    for (mixed_numbers, imaginary_unit) in [(true, true), (false, false)] {
        let Ok(formula) = Formula::read(text, Reading { mixed_numbers, imaginary_unit }) else { continue };
        let (point, budget) = (BTreeMap::new(), Budget::new(Duration::from_millis(50)));
        let exact = formula.exact(&point, &budget);
        let enclosure = formula.enclose(&point, Precision::digits(30), &budget);
        let _ = formula.to_expr();
        if let (Some(exact), Ok(enclosure)) = (exact, enclosure) {
            let value = mathesis_symbolic::interval::ComplexInterval::rational(&exact, Precision::digits(60));
            assert!(value.is_none_or(|value| value.overlaps(&enclosure)), "an enclosure misses the exact value");
        }
    }
});
