//! The recipe `multilingual-rejection-sampling`: the translations of a run of `multilingual` in, further solutions of the
//! trained model out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mathesis_reasoning::answers::Language;
use mathesis_reasoning::models::Sampling;
use mathesis_reasoning::models::calls::Spending;
use mathesis_reasoning::recipes::multilingual::formulas::Strictness;
use mathesis_reasoning::recipes::multilingual::records::Instruction;
use mathesis_reasoning::recipes::multilingual::rejection_sampling::{PathCounts, Sampler, SamplingError};
use mathesis_reasoning::recipes::multilingual::translation::Translation;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Arguments;
use super::{Product, Run, head, json_lines, leave, row};
use crate::failure::{Failure, unreadable};
use crate::progress::{Monitor, listen_for_interrupts};

/// The recipe's file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    recipe: String,
    /// The folder of a run of `multilingual`.
    translations: PathBuf,
    /// The languages that are sampled; all of that run by default.
    #[serde(default)]
    languages: Vec<Language>,
    #[serde(default = "hundred")]
    samples: usize,
    #[serde(default = "usual_temperature")]
    temperature: f64,
    #[serde(default = "usual_tokens")]
    max_tokens: u64,
    #[serde(default)]
    check: Strictness,
    /// Whether questions are put in English.
    #[serde(default)]
    cross: bool,
    /// Whether prompts are messages instead of texts to be continued.
    #[serde(default)]
    chat: bool,
    #[serde(default)]
    template: Option<PathBuf>,
    #[serde(default)]
    seed: u64,
}

fn hundred() -> usize {
    100
}

fn usual_temperature() -> f64 {
    0.7
}

fn usual_tokens() -> u64 {
    600
}

/// Run the recipe.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(text: &str, arguments: &Arguments) -> Result<(), Failure> {
    let run = Run::new(arguments);
    let mut settings: Settings = run.settings(text)?;
    settings.seed = arguments.seed.unwrap_or(settings.seed);
    if settings.samples == 0 || settings.max_tokens == 0 {
        return Err(run.wrong("samples and max-tokens are at least 1"));
    }
    if !(0.0..=10.0).contains(&settings.temperature) {
        return Err(run.wrong("temperature: from 0 to 10"));
    }
    let questions = questions(&run, &settings)?;
    let own = run.template(settings.template.as_ref())?;
    let own = own.as_ref().map(|(name, text)| (name.as_str(), text.clone()));
    let sampler = Sampler {
        instruction: Instruction::new(own).map_err(Failure::input)?,
        samples: settings.samples,
        sampling: Sampling {
            temperature: Some(settings.temperature),
            max_tokens: Some(settings.max_tokens),
            seed: Some(settings.seed),
            ..Sampling::default()
        },
        strictness: settings.check,
        cross: settings.cross,
        chat: settings.chat,
    };
    let first = sampler.request(&questions[0]).map_err(Failure::input)?;
    let (calls, _log) = run.calls()?;
    if arguments.dry_run {
        let estimate = calls.estimate([&first]).times(questions.len() as f64);
        println!("questions {}, {} samples of each", questions.len(), settings.samples);
        println!(
            "tokens    about {:.0} to read, at most {:.0} to write",
            estimate.input_tokens, estimate.output_tokens
        );
        println!("\nthe first prompt:\n\n{}", first.prompt.last_text());
        return Ok(());
    }

    listen_for_interrupts();
    let mut monitor = Monitor::new(&run.name, arguments.quiet || arguments.json).counting("question");
    let mut paths: BTreeMap<Language, Vec<Translation>> = BTreeMap::new();
    let mut counts: BTreeMap<Language, PathCounts> = BTreeMap::new();
    let (mut total, mut spent, mut done) = (0, Spending::default(), 0);
    let ended = sampler.collect(&calls, &questions, |kept, of_question, cost| {
        let language = questions[done].language;
        total += kept.len();
        paths.entry(language).or_default().extend(kept);
        let count = counts.entry(language).or_default();
        *count = count.plus(of_question);
        spent = spent.plus(cost);
        done += 1;
        if monitor.show(done, questions.len(), &format!("{total} paths")).is_break() {
            monitor.finish();
            leave(done, questions.len());
        }
    });
    monitor.finish();
    ended.map_err(|error| match error {
        SamplingError::Stopped(stop) => {
            Failure::work(format!("{stop}; what was answered is kept, the same command goes on from there"))
        }
        SamplingError::Template(error) => Failure::input(error),
    })?;

    let mut products: Vec<Product> = Vec::new();
    for (language, paths) in &paths {
        products.push((
            format!("paths/{}.jsonl", language.code()),
            "paths that are kept",
            json_lines(paths)?,
        ));
    }
    let mut table =
        vec![head(&["language", "sampled", "incomplete", "wrong", "unsound", "repeated", "kept"])];
    for (language, count) in &counts {
        let PathCounts { sampled, incomplete, wrong, unsound, repeated, kept } = count;
        let cells = [sampled, incomplete, wrong, unsound, repeated, kept].map(|count| count.to_string());
        table.push(row(language.code(), cells));
    }
    run.conclude(&settings, &calls, spent, json!({ "paths": counts }), &[("Paths", table)], products)
}

/// The questions of the earlier run, language by language.
fn questions(run: &Run<'_>, settings: &Settings) -> Result<Vec<Translation>, Failure> {
    let folder = run.path(&settings.translations).join("translations");
    let languages: Vec<Language> = match settings.languages.as_slice() {
        [] => {
            let is_there = |language: &Language| folder.join(format!("{}.jsonl", language.code())).is_file();
            Language::ALL.into_iter().filter(is_there).collect()
        }
        given => given.to_vec(),
    };
    let mut questions = Vec::new();
    for language in languages {
        let path = folder.join(format!("{}.jsonl", language.code()));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| run.wrong(format!("translations: {}", unreadable(&path, &error))))?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let question = serde_json::from_str(line)
                .map_err(|error| Failure::input(format!("{}:{}: {error}", path.display(), number + 1)))?;
            questions.push(question);
        }
    }
    if questions.is_empty() {
        return Err(run.wrong(format!("translations: {} holds no translation", folder.display())));
    }
    Ok(questions)
}
