//! Math-Verify 0.9.0: candidates of the answer by groups of patterns, LaTeX rewritten and read as its parser does,
//! then its eight steps of comparison. The reference and the answer do not play the same part in them.
//!
//! `extract` finds candidates, `normal` rewrites LaTeX, `read` makes values, `compare` decides. Departures: sums with
//! `\sum`, integrals, limits and undefined functions are not read, so that such formulae are compared as text; systems
//! of equations are not solved; the options of the original (rounding, relations against sets, variables renamed) have
//! their default values.

mod compare;
mod extract;
mod normal;
mod read;

pub(super) use extract::extract;

use super::Verdict;
use normal::Boxes;

/// Whether an answer equals the reference, both read as if they stood between dollars.
pub(super) fn equal(gold: &str, answer: &str) -> Verdict {
    let (gold, answer) = (normal::rewritten(gold, Boxes::All), normal::rewritten(answer, Boxes::All));
    if gold.is_empty() || answer.is_empty() {
        return Verdict::different("an empty answer never matches");
    }
    if gold == answer {
        return Verdict::equal("same text after rewriting");
    }
    match (read::value(&gold), read::value(&answer)) {
        (Some(gold), Some(answer)) if compare::equal(&gold, &answer, 0) => {
            Verdict::equal("equal by the steps of Math-Verify")
        }
        (Some(_), Some(_)) => Verdict::different("not equal by the steps of Math-Verify"),
        _ => Verdict::different("not read, and different as text"),
    }
}
