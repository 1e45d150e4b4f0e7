//! Which questions may be in the benchmark: of its window, not in other benchmarks, with a short answer, whole without a
//! figure, and one question rather than several. In this order; the first rule that a question fails is its reason.
//!
//! Words are looked for in lower case.

use super::pairs::{asks_proof, content, ends_proof};
use super::{Options, Rewritten};
use crate::decontamination::Decontaminator;
use crate::recipes::replies::boxed;
use crate::recipes::runner::{Fate, Loss};

/// The question with those solutions that may decide on its answer, or why it may not be in the benchmark.
pub fn candidate(
    mut rewritten: Rewritten,
    engine: Option<&Decontaminator>,
    options: &Options,
) -> Fate<Rewritten> {
    if !options.is_for_benchmark(rewritten.date) {
        return Fate::dropped("outside the window", rewritten.date.to_string());
    }
    let content = content(&rewritten.question, &rewritten.original);
    if let Some(finding) = engine.and_then(|engine| engine.find(&content)) {
        return Fate::dropped(finding.reason, finding.evidence);
    }
    if asks_proof(&rewritten.question) {
        return Fate::dropped("proof", "the question asks for one");
    }
    let mut losses = Vec::new();
    let texts =
        |rewrites: &[Option<String>], is: fn(&str) -> bool| rewrites.iter().flatten().any(|text| is(text));
    rewritten.solutions.retain(|solution| {
        let is_proof = texts(&solution.rewrites, ends_proof);
        if is_proof {
            losses.push(Loss::part(format!("post {}", solution.post), "proof", ""));
        }
        !is_proof
    });
    if rewritten.solutions.is_empty() {
        return Fate::dropped("proof", "all solutions end as proofs").after(losses);
    }
    let original = rewritten.original.to_lowercase();
    if let Some(word) = ["figure ", "diagram "].into_iter().find(|word| original.contains(word)) {
        return Fate::dropped("figure", word).after(losses);
    }
    rewritten.solutions.retain(|solution| {
        let has_answer = texts(&solution.rewrites, |text| boxed(text).is_some());
        if !has_answer {
            losses.push(Loss::part(format!("post {}", solution.post), "no boxed answer", ""));
        }
        has_answer
    });
    if rewritten.solutions.is_empty() {
        return Fate::dropped("no boxed answer", "").after(losses);
    }
    let question = rewritten.question.trim_start();
    let marks = question.matches('?').count();
    if marks > 2 {
        return Fate::dropped("several questions", format!("{marks} question marks")).after(losses);
    }
    if let Some(start) = ["1.", "(a"].into_iter().find(|start| question.starts_with(start)) {
        return Fate::dropped("several parts", format!("starts with {start}")).after(losses);
    }
    Fate { losses, ..Fate::kept(rewritten) }
}
