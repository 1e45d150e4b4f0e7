//! Multilingual rejection sampling (xRFT): several solutions of each training question from the trained model itself, of
//! which those are kept that are right and different.
//!
//! A path is kept if its last number is the answer, every annotation holds in rational numbers, and no other path of the
//! question has the same sequence of formulas; of those with one sequence the path stays whose wording is farthest, by
//! edit distance, from the reference and what is kept already. The published number of samples and temperature are
//! unknown; the defaults, 100 at temperature 0.7, are those recalled of the rejection sampling that it extends (Yuan et al.
//! 2023).

use serde::{Deserialize, Serialize};

use super::edit_distance::Wording;
use super::formulas::{Finding, Strictness, check_solution, equations};
use super::records::Instruction;
use super::translation::Translation;
use crate::models::calls::{Calls, Outcome, Spending, Stop};
use crate::models::{Message, Request, Sampling};
use crate::suites::SuiteError;

/// How paths are sampled and chosen.
pub struct Sampler {
    /// The prompt, the same as in training.
    pub instruction: Instruction,
    /// Paths of each question. Default: 100.
    pub samples: usize,
    /// How the model writes. Default: temperature 0.7, at most 600 tokens.
    pub sampling: Sampling,
    /// The formula check. Default: strict.
    pub strictness: Strictness,
    /// Whether the question is put in English, as in cross training. Default: no.
    pub cross: bool,
    /// Whether the prompt is a message of a conversation instead of a text to be continued. Default: no.
    pub chat: bool,
}

impl Sampler {
    /// The defaults with a prompt.
    pub fn new(instruction: Instruction) -> Self {
        Sampler {
            instruction,
            samples: 100,
            sampling: Sampling { temperature: Some(0.7), max_tokens: Some(600), ..Sampling::default() },
            strictness: Strictness::Strict,
            cross: false,
            chat: false,
        }
    }
}

/// What became of the paths of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathCounts {
    /// Paths that were asked for.
    pub sampled: usize,
    /// Without a complete reply.
    pub incomplete: usize,
    /// With another last number than the answer, or none.
    pub wrong: usize,
    /// With the right answer and a formula that does not hold, or digits that must not be there.
    pub unsound: usize,
    /// Right and sound, with the formulas of another one that is kept, or the reference itself.
    pub repeated: usize,
    /// Kept.
    pub kept: usize,
}

impl PathCounts {
    /// Both together.
    pub fn plus(self, other: PathCounts) -> PathCounts {
        PathCounts {
            sampled: self.sampled + other.sampled,
            incomplete: self.incomplete + other.incomplete,
            wrong: self.wrong + other.wrong,
            unsound: self.unsound + other.unsound,
            repeated: self.repeated + other.repeated,
            kept: self.kept + other.kept,
        }
    }
}

/// Why sampling stopped.
#[derive(Debug, thiserror::Error)]
pub enum SamplingError {
    /// The calls stopped.
    #[error(transparent)]
    Stopped(#[from] Stop),
    /// The template is wrong.
    #[error(transparent)]
    Template(#[from] SuiteError),
}

impl Sampler {
    /// The request for the paths of a question.
    ///
    /// # Errors
    /// If the template fails.
    pub fn request(&self, question: &Translation) -> Result<Request, SuiteError> {
        let text = if self.cross { &question.english } else { &question.question };
        let prompt = self.instruction.render(text, question.language)?;
        let request =
            if self.chat { Request::chat([Message::user(prompt)]) } else { Request::completion(prompt) };
        Ok(request.sampled(self.sampling.clone()).times(self.samples))
    }

    /// Samples the paths of all questions and hands those kept over in order, each as the question with another solution,
    /// with the counts and what the calls cost.
    ///
    /// # Errors
    /// If the calls stop before the end, or the template fails; the same run goes on from the log of the calls.
    pub fn collect(
        &self,
        calls: &Calls,
        questions: &[Translation],
        mut each: impl FnMut(Vec<Translation>, PathCounts, Spending),
    ) -> Result<(), SamplingError> {
        let (mut is_stopped, mut wrong) = (false, None);
        calls.run(
            questions,
            async |question| Ok((question, calls.ask(&self.request(question)?).await)),
            |_, result: Result<_, SuiteError>| match result {
                Ok((_, answers)) if answers.outcomes.iter().any(|o| matches!(o, Outcome::Unasked(_))) => {
                    is_stopped = true;
                }
                Ok((question, answers)) => {
                    let (kept, counts) = self.choose(question, &answers.outcomes);
                    each(kept, counts, answers.spent);
                }
                Err(error) => wrong = wrong.take().or(Some(error)),
            },
        );
        match (wrong, calls.status().stop) {
            (Some(error), _) => Err(SamplingError::Template(error)),
            (None, Some(stop)) if is_stopped => Err(SamplingError::Stopped(stop)),
            _ => Ok(()),
        }
    }

    /// The paths that are kept.
    fn choose(&self, question: &Translation, outcomes: &[Outcome]) -> (Vec<Translation>, PathCounts) {
        let mut counts = PathCounts { sampled: outcomes.len(), ..PathCounts::default() };
        let mut sound: Vec<&str> = Vec::new();
        for outcome in outcomes {
            let Outcome::Answered(sample) = outcome else {
                counts.incomplete += 1;
                continue;
            };
            let path = sample.text.trim();
            // The model has learnt to end with the line of the reference, whose number is written as in English.
            let findings = check_solution(path, &question.answer, self.strictness);
            if findings.iter().any(|finding| matches!(finding, Finding::LastNumber(_) | Finding::NoNumber)) {
                counts.wrong += 1;
            } else if !findings.is_empty() {
                counts.unsound += 1;
            } else {
                sound.push(path);
            }
        }
        let kept = different(&question.answer, &sound, self.strictness);
        counts.kept = kept.len();
        counts.repeated = sound.len() - kept.len();
        let paths =
            kept.into_iter().map(|at| Translation { answer: sound[at].to_string(), ..question.clone() });
        (paths.collect(), counts)
    }
}

/// Of solutions that hold, one for each sequence of formulas, by their places: the sequences in the order in which they occur
/// first, and for each the solution with the largest sum of edit distances to the reference and to those chosen before; of
/// equally far ones the first. The reference itself is never chosen.
pub fn different(reference: &str, solutions: &[&str], strictness: Strictness) -> Vec<usize> {
    let mut sequences: Vec<(Vec<String>, Vec<usize>)> = Vec::new();
    for (at, solution) in
        solutions.iter().enumerate().filter(|(_, solution)| solution.trim() != reference.trim())
    {
        let Some(formulas) = equations(solution, strictness) else { continue };
        match sequences.iter_mut().find(|(known, _)| *known == formulas) {
            Some((_, places)) => places.push(at),
            None => sequences.push((formulas, vec![at])),
        }
    }
    let mut wordings = vec![Wording::new(reference)];
    let mut chosen = Vec::with_capacity(sequences.len());
    for (_, places) in sequences {
        let distance =
            |at: &usize| -> usize { wordings.iter().map(|wording| wording.distance(solutions[*at])).sum() };
        // The last of equal maxima is taken, so the first is put last.
        let farthest =
            if places.len() == 1 { Some(places[0]) } else { places.into_iter().rev().max_by_key(distance) };
        if let Some(at) = farthest {
            wordings.push(Wording::new(solutions[at]));
            chosen.push(at);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Language;
    use crate::models::calls::{Log, Options};
    use crate::models::{Sample, ScriptedModel};

    const REFERENCE: &str = "Sie hat <<48/2=24>>24, also <<48+24=72>>72.\n#### 72";

    #[test]
    fn one_path_for_each_sequence_of_formulas_and_the_most_different_one() {
        let paths = [
            REFERENCE,
            "Sie hat <<48/2=24>>24, also <<48+24=72>>72!\n#### 72",
            "Im Mai waren es <<48/2=24>>24 Stück, zusammen mit April <<48+24=72>>72.\n#### 72",
            "Das sind <<48*1.5=72>>72.\n#### 72",
            "Sie hat <<48/2=24>>24, also <<24+48=72>>72.\n#### 72",
        ];
        assert_eq!(different(REFERENCE, &paths, Strictness::Strict), [2, 3, 4]);
        // Up to the order of terms the last one is another wording of the first.
        assert_eq!(different(REFERENCE, &paths, Strictness::Lenient), [2, 3]);
        // Equally far: the first.
        assert_eq!(different("ab", &["ac", "ad"], Strictness::Strict), [0]);
        assert!(different(REFERENCE, &[], Strictness::Strict).is_empty());
    }

    #[test]
    fn only_right_and_sound_paths_pass() {
        let paths = [
            "Das sind <<48*1.5=72>>72.\n#### 72",
            "Das sind <<48*1.5=72>>72, ja.\n#### 72",
            "Das sind <<48*2=96>>96.\n#### 7,2",
            "Das sind <<48*1.6=72>>72.\n#### 72",
            "keine Ahnung",
            "",
            REFERENCE,
        ];
        let model = ScriptedModel::new("trained", move |request, index| {
            assert!(request.prompt.last_text().contains("German"));
            Ok(Sample::of(paths[index % paths.len()]))
        });
        let folder = tempfile::tempdir().unwrap();
        let log = std::sync::Arc::new(Log::open(folder.path()).unwrap());
        let calls = Calls::new(std::sync::Arc::new(model), log, Options::default()).unwrap();
        let question = Translation {
            id: "1".into(),
            language: Language::De,
            question: "Wie viele?".into(),
            answer: REFERENCE.into(),
            english: "How many?".into(),
            attempts: 1,
        };
        let sampler = Sampler { samples: 7, ..Sampler::new(Instruction::new(None).unwrap()) };
        let mut results = Vec::new();
        sampler
            .collect(&calls, std::slice::from_ref(&question), |kept, counts, _| results.push((kept, counts)))
            .unwrap();
        let (kept, counts) = results.remove(0);
        let expected = PathCounts { sampled: 7, incomplete: 1, wrong: 2, unsound: 1, repeated: 2, kept: 1 };
        assert_eq!(counts, expected);
        assert_eq!(kept, [Translation { answer: paths[1].into(), ..question }]);
    }
}
