//! The 18 mathematical and scientific subjects of MMLU (Hendrycks et al. 2021): 3,018 questions with four options.

use std::collections::BTreeMap;

use super::aqua::{listing, number, options};
use super::problem::label;
use super::{
    Choice, Data, Exemplar, Kind, OPTION_LINE, Problem, Row, Setting, Settings, Source, Strategy, Suite,
    SuiteError,
};

/// The subjects that the authors count as STEM.
const SUBJECTS: [&str; 18] = [
    "abstract_algebra",
    "astronomy",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "electrical_engineering",
    "elementary_mathematics",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_mathematics",
    "high_school_physics",
    "high_school_statistics",
    "machine_learning",
];

/// The columns of the published tables, which have no head.
const COLUMNS: [&str; 6] = ["question", "A", "B", "C", "D", "answer"];

pub(super) fn suite() -> Suite {
    Suite {
        name: "mmlu-stem".into(),
        about: "3,018 questions of 18 subjects with four options (Hendrycks et al. 2021)".into(),
        folders: vec!["mmlu".into(), "mmlu-stem".into(), "qwen25-math-eval".into()],
        fetch: "the folders test and dev of MMLU's data.tar (github.com/hendrycks/test), or tables test and dev with the fields \
                question, subject, choices and answer (cais/mmlu on Hugging Face, config all), into the folder mmlu"
            .into(),
        needs_data: true,
        settings: vec![
            listing(),
            Setting {
                key: "subjects",
                default: "",
                kind: Kind::Some(SUBJECTS.to_vec()),
                about: "which subjects are asked; default: all",
            },
            Setting { key: "shots", default: "5", kind: Kind::Whole(0, 100), about: "exemplars in few-shot prompts" },
        ],
        strategies: vec![
            Strategy::LOG_LIKELIHOOD,
            Strategy::FEW_SHOT_LOG_LIKELIHOOD,
            Strategy::CHAIN_OF_THOUGHT,
            Strategy::FEW_SHOT,
            Strategy::ZERO_SHOT,
        ],
        answer_form: OPTION_LINE,
        load: Box::new(load),
    }
}

fn load(source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let chosen = settings.list("subjects");
    let subjects: Vec<&str> =
        SUBJECTS.into_iter().filter(|subject| chosen.is_empty() || chosen.contains(subject)).collect();
    let mut solved: BTreeMap<String, Vec<Exemplar>> = BTreeMap::new();
    let shots = settings.shots();
    each(source, "dev", &subjects, true, |subject, row| {
        let exemplars = solved.entry(subject.to_string()).or_default();
        if exemplars.len() < shots {
            exemplars.push(exemplar(row, settings)?);
        }
        Ok(())
    })?;
    // Exemplars that are chosen for a problem stand in the prompt with the first one last.
    solved.values_mut().for_each(|exemplars| exemplars.reverse());
    let mut problems = Vec::new();
    each(source, "test", &subjects, false, |subject, row| {
        let (question, options, right) = read(row, settings)?;
        problems.push(Problem {
            id: format!("{subject}/{}", row.origin.line),
            question,
            reference: label(right),
            options,
            categories: [("subject".to_string(), subject.to_string())].into(),
            exemplars: solved.get(subject).cloned().unwrap_or_default(),
            origin: row.origin.clone(),
            ..Problem::default()
        });
        Ok(())
    })?;
    // Those of all subjects, so that it is known that there are any.
    let exemplars = solved.into_values().flatten().collect();
    Ok(Data { problems, exemplars, ..Data::default() })
}

/// Hands over the rows of a part with their subjects: a table for each of them, or one of all.
fn each(
    source: &mut Source,
    part: &str,
    subjects: &[&str],
    is_optional: bool,
    mut with: impl FnMut(&str, &Row) -> Result<(), String>,
) -> Result<(), SuiteError> {
    let table = |subject: &str| format!("{part}/{subject}_{part}");
    if source.has_below(&table(SUBJECTS[0])) {
        for subject in subjects {
            source.read_below(&table(subject), Some(&COLUMNS), |row| with(subject, row))?;
        }
        return Ok(());
    }
    let whole = match part {
        "test" if !source.has("test") => "mmlu_stem",
        part => part,
    };
    if is_optional && !source.has(whole) {
        return Ok(());
    }
    source.read(whole, None, |row| {
        let subject = row.text("subject").or_else(|_| row.text("type"))?;
        if subjects.contains(&subject.as_str()) { with(&subject, row) } else { Ok(()) }
    })?;
    Ok(())
}

fn read(row: &Row, settings: &Settings) -> Result<(String, Vec<Choice>, usize), String> {
    let (texts, right) = match row.fields.contains_key("choices") {
        true => {
            let right = row.text("answer")?;
            let right = right
                .parse()
                .map_err(|_| format!("the field `answer` is {right}, no number of an option"))?;
            (row.texts("choices")?, right)
        }
        false => {
            let texts = ["A", "B", "C", "D"].iter().map(|letter| row.text(letter));
            (texts.collect::<Result<Vec<_>, _>>()?, number(&row.text("answer")?)?)
        }
    };
    let (question, options) = options(&row.text("question")?, &texts, right, settings)?;
    Ok((question, options, right))
}

fn exemplar(row: &Row, settings: &Settings) -> Result<Exemplar, String> {
    let (question, options, right) = read(row, settings)?;
    let answer = options[right].text.clone();
    Ok(Exemplar { question, solution: format!("Answer: {}", label(right)), answer, language: None })
}

#[cfg(test)]
mod tests {
    use super::super::{Prompter, Suite};
    use super::*;

    #[test]
    fn published_tables_and_one_table_of_all_give_the_same_problems() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for part in ["test", "dev"] {
            std::fs::create_dir(path(part)).unwrap();
            for subject in SUBJECTS {
                let table = "\"Is 2 even, or odd?\",odd,even,both,neither,B\nWhat is 1 + 1?,1,2,3,4,B\n";
                std::fs::write(path(&format!("{part}/{subject}_{part}.csv")), table).unwrap();
            }
        }
        let suite = Suite::open("mmlu-stem").unwrap();
        let settings = suite.settings(&[("shots".into(), "2".into())]).unwrap();
        let (data, _) = suite.load(folder.path(), &settings).unwrap();
        assert_eq!(data.problems.len(), 36);
        let problem = &data.problems[0];
        assert_eq!(problem.question, "Is 2 even, or odd?\nA. odd\nB. even\nC. both\nD. neither");
        let strategy = suite.strategy(Some("few-shot-log-likelihood")).unwrap();
        let prompt =
            Prompter::new(&suite, strategy, &settings).unwrap().render(problem, &data.exemplars).unwrap();
        assert!(prompt.starts_with("What is 1 + 1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\nIs 2"), "{prompt}");
        assert!(prompt.ends_with("D. neither\nAnswer:"), "{prompt}");

        let line = |subject: &str| {
            format!(
                "{{\"question\": \"Is 2 even, or odd?\", \"subject\": \"{subject}\", \"choices\": [\"odd\", \"even\", \"both\", \"neither\"], \"answer\": 1}}\n"
            )
        };
        let other = tempfile::tempdir().unwrap();
        let lines = [line("astronomy"), line("anatomy"), line("machine_learning")].concat();
        std::fs::write(other.path().join("test.jsonl"), lines).unwrap();
        let (data, _) = suite.load(other.path(), &settings).unwrap();
        assert_eq!(data.problems.len(), 2);
        assert_eq!(data.problems[0].question, problem.question);
        let settings = suite.settings(&[("subjects".into(), "astronomy".into())]).unwrap();
        assert_eq!(suite.load(other.path(), &settings).unwrap().0.problems.len(), 1);
    }
}
