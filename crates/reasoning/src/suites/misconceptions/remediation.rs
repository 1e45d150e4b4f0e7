//! Remediation: given a pattern of wrong answers, recommend help. A case for every misconception, seven ways to ask.
//!
//! The pattern of a case is its questions with wrong answers; only [`Condition::KnownMisconception`] is told what the
//! misconception is. [`Condition::DiagnosisForm`] asks for a diagnosis as JSON, which is scored; the other replies are
//! rated by people, see [`rubric`](super::rubric).

use std::path::Path;

use minijinja::context;
use serde::{Deserialize, Serialize};

use super::records::{MISCONCEPTIONS, Misconception, Topic};
use crate::suites::prompt::Template;
use crate::suites::{DataFile, Row, Source, SuiteError};

/// A misconception with a pupil's work that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The misconception.
    pub misconception: Misconception,
    /// What it is, in words.
    pub description: String,
    /// Questions with wrong answers.
    pub pattern: Vec<Work>,
}

/// A question with a wrong answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The question or activity.
    #[serde(rename(deserialize = "activity_or_question"))]
    pub question: String,
    /// What the pupil answered.
    #[serde(rename(deserialize = "student_incorrect_response"))]
    pub answer: String,
}

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// What is misunderstood, a short explanation, one activity.
    Baseline,
    /// Misconception, evidence, why, recommendation, activity.
    DiagnosisFirst,
    /// The misconception is given.
    KnownMisconception,
    /// Principle, activity or representation, note for the teacher.
    ResearchAligned,
    /// Written to the pupil.
    StudentFacing,
    /// Written to the teacher.
    TeacherFacing,
    /// The id as JSON, with the whole catalogue to choose from.
    DiagnosisForm,
}

impl Condition {
    /// All of them.
    pub const ALL: [Condition; 7] = [
        Condition::Baseline,
        Condition::DiagnosisFirst,
        Condition::KnownMisconception,
        Condition::ResearchAligned,
        Condition::StudentFacing,
        Condition::TeacherFacing,
        Condition::DiagnosisForm,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Baseline => "baseline",
            Condition::DiagnosisFirst => "diagnosis-first",
            Condition::KnownMisconception => "known-misconception",
            Condition::ResearchAligned => "research-aligned",
            Condition::StudentFacing => "student-facing",
            Condition::TeacherFacing => "teacher-facing",
            Condition::DiagnosisForm => "diagnosis-form",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Condition::ALL.into_iter().find(|condition| condition.name() == name)
    }
}

/// The cases of `remediation_cases.jsonl` below a data folder, or in a folder that holds the file itself.
///
/// # Errors
/// If the file is missing, or rows are no cases, or a misconception has two or none; all rows at fault are named.
pub fn load(data: &Path) -> Result<(Vec<Case>, Vec<DataFile>), SuiteError> {
    let below = data.join("math-misconceptions");
    let mut source = Source::new(if below.is_dir() { below } else { data.to_path_buf() });
    let rows = source.read("remediation_cases", None, |row| Ok((row.origin.clone(), case(row)?)))?;
    let mut cases: Vec<Case> = Vec::new();
    for (origin, case) in rows {
        if cases.iter().any(|other| other.misconception == case.misconception) {
            source.reject(origin, format!("{} has a case already", case.misconception));
        } else {
            cases.push(case);
        }
    }
    let (files, bad) = source.finish();
    if !bad.is_empty() {
        return Err(SuiteError::BadRows(bad));
    }
    if cases.len() != MISCONCEPTIONS {
        let message = format!("{} cases, expected {MISCONCEPTIONS}", cases.len());
        return Err(SuiteError::File { path: data.to_path_buf(), message });
    }
    cases.sort_by_key(|case| case.misconception);
    Ok((cases, files))
}

fn case(row: &Row) -> Result<Case, String> {
    let id = row.text("misconception_id")?;
    let misconception = Misconception::from_id(&id)
        .ok_or_else(|| format!("`{id}`: expected MaE01 to MaE{MISCONCEPTIONS}"))?;
    let topic = row.text("topic")?;
    if Topic::from_name(&topic) != Some(misconception.topic()) {
        return Err(format!("topic `{topic}` of {id}: expected `{}`", misconception.topic()));
    }
    let pattern = row.fields.get("student_work_pattern").cloned().unwrap_or_default();
    let pattern: Vec<Work> =
        serde_json::from_value(pattern).map_err(|error| format!("student_work_pattern: {error}"))?;
    if pattern.is_empty() {
        return Err("student_work_pattern is empty".into());
    }
    Ok(Case { misconception, description: row.text("misconception")?, pattern })
}

/// So many cases, evenly spread over the catalogue: 20 of them are a pilot.
pub fn spread(cases: &[Case], count: usize) -> Vec<Case> {
    let count = count.min(cases.len());
    (0..count).map(|number| cases[number * cases.len() / count].clone()).collect()
}

/// Makes the prompts of cases. The catalogue is that of `cases`.
pub struct Prompter {
    template: Template,
    catalogue: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    id: Misconception,
    description: String,
}

impl Prompter {
    /// With the catalogue of all cases.
    pub fn new(cases: &[Case]) -> Result<Self, SuiteError> {
        let entry =
            |case: &Case| Entry { id: case.misconception, description: case.description.trim().to_string() };
        Ok(Prompter {
            template: Template::new("remediation", include_str!("../prompts/remediation.jinja"))?,
            catalogue: cases.iter().map(entry).collect(),
        })
    }

    /// The text that asks for help in a case.
    pub fn render(&self, case: &Case, condition: Condition) -> Result<String, SuiteError> {
        self.template.render(context! {
            condition => condition.name(),
            topic => case.misconception.topic(),
            pattern => case.pattern,
            description => case.description.trim(),
            catalogue => self.catalogue,
        })
    }
}

/// A diagnosis as the form has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// The id.
    pub predicted_misconception_id: String,
    /// The misconception in words.
    pub predicted_misconception_label: String,
    /// Why.
    pub diagnosis_rationale: String,
    /// From 0 to 1.
    pub confidence: f64,
}

impl Diagnosis {
    /// Reads a filled form: one JSON object, perhaps in a code fence.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(reply: &str) -> Result<Diagnosis, String> {
        let form: Diagnosis =
            serde_json::from_str(crate::suites::json::unfenced(reply)).map_err(|error| error.to_string())?;
        match (0.0..=1.0).contains(&form.confidence) {
            true => Ok(form),
            false => Err(format!("confidence {}: expected 0 to 1", form.confidence)),
        }
    }

    /// The misconception that it names, if there is one of this id.
    pub fn misconception(&self) -> Option<Misconception> {
        Misconception::from_id(self.predicted_misconception_id.trim())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn cases() -> Vec<Case> {
        Misconception::all()
            .map(|misconception| Case {
                misconception,
                description: format!("secret {misconception}"),
                pattern: vec![Work { question: "1/2 + 1/3?".into(), answer: "2/5".into() }; 2],
            })
            .collect()
    }

    #[test]
    fn every_condition_shows_the_pattern_and_only_one_the_misconception() {
        let cases = cases();
        let prompter = Prompter::new(&cases).unwrap();
        let mut texts = std::collections::BTreeSet::new();
        for condition in Condition::ALL {
            assert_eq!(Condition::from_name(condition.name()), Some(condition));
            let text = prompter.render(&cases[6], condition).unwrap();
            assert!(text.contains("Task 2: 1/2 + 1/3?\nPupil's answer: 2/5"), "{text}");
            assert!(text.contains("Number operations"));
            let told = text.matches("secret").count();
            let expected = match condition {
                Condition::KnownMisconception => 1,
                Condition::DiagnosisForm => 55,
                _ => 0,
            };
            assert_eq!(told, expected, "{text}");
            texts.insert(text);
        }
        assert_eq!(texts.len(), 7);
    }

    #[test]
    fn a_pilot_is_spread_over_the_catalogue() {
        let pilot = spread(&cases(), 20);
        assert_eq!(pilot.len(), 20);
        let topics: std::collections::BTreeSet<Topic> =
            pilot.iter().map(|case| case.misconception.topic()).collect();
        assert!(topics.len() >= 7, "{topics:?}");
        assert_eq!(spread(&cases(), 100).len(), 55);
        assert!(spread(&[], 20).is_empty());
    }

    #[test]
    fn forms_are_read_strictly() {
        let form = |id: &str, confidence: &str| {
            format!(
                "{{\"predicted_misconception_id\": \"{id}\", \"predicted_misconception_label\": \"x\", \
                 \"diagnosis_rationale\": \"y\", \"confidence\": {confidence}}}"
            )
        };
        let read = Diagnosis::read(&format!("```json\n{}\n```", form("MaE07", "0.5"))).unwrap();
        assert_eq!(read.misconception().unwrap().to_string(), "MaE07");
        assert_eq!(Diagnosis::read(&form("MaE77", "1")).unwrap().misconception(), None);
        for wrong in [form("MaE07", "1.5"), form("MaE07", "\"high\""), "MaE07".into(), "{}".into()] {
            assert!(Diagnosis::read(&wrong).is_err(), "{wrong}");
        }
    }
}
