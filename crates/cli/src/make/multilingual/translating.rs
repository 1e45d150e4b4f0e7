//! The recipe `multilingual`: worked problems in, per-language translations and training records out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mathesis_reasoning::answers::Language;
use mathesis_reasoning::models::Sampling;
use mathesis_reasoning::models::calls::Spending;
use mathesis_reasoning::recipes::multilingual::contamination::TestQuestions;
use mathesis_reasoning::recipes::multilingual::formulas::Strictness;
use mathesis_reasoning::recipes::multilingual::pairs::{Arrangement, Mixture, mix};
use mathesis_reasoning::recipes::multilingual::read_items;
use mathesis_reasoning::recipes::multilingual::records::{Instruction, Lengths, Loss, Measure, records};
use mathesis_reasoning::recipes::multilingual::translation::{
    DropStatistics, Example, Item, Outcome, Quarantined, Translation, TranslationError, Translator,
};
use mathesis_reasoning::suites::Suite;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Arguments;
use super::{Product, Run, counted, head, json_lines, leave, row};
use crate::eval::percent;
use crate::failure::{Failure, unreadable};
use crate::progress::{Monitor, listen_for_interrupts};

/// The recipe's file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    recipe: String,
    /// For the draws of mixtures and, if set, for the model: sample i of a translation has seed + i.
    seed: u64,
    source: SourceTable,
    translation: TranslationTable,
    contamination: ContaminationTable,
    pairs: PairsTable,
    records: RecordsTable,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            recipe: "multilingual".into(),
            seed: 1234,
            source: SourceTable::default(),
            translation: TranslationTable::default(),
            contamination: ContaminationTable::default(),
            pairs: PairsTable::default(),
            records: RecordsTable::default(),
        }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct SourceTable {
    /// A table with `question` and `answer`; GSM8K's training part in the data folder by default.
    file: Option<PathBuf>,
    /// Only so many items, evenly spread.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct TranslationTable {
    languages: Vec<Language>,
    attempts: usize,
    check: Strictness,
    temperature: f64,
    max_tokens: u64,
    template: Option<PathBuf>,
    examples: Option<PathBuf>,
}

impl Default for TranslationTable {
    fn default() -> Self {
        use Language::{Bn, De, En, Es, Fr, Ja, Ru, Sw, Th, Zh};
        TranslationTable {
            languages: vec![En, Sw, Zh, Bn, De, Es, Fr, Ja, Ru, Th],
            attempts: 3,
            check: Strictness::Strict,
            temperature: 0.3,
            max_tokens: 2048,
            template: None,
            examples: None,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct ContaminationTable {
    /// Suites whose problems must stay unseen.
    against: Vec<String>,
    /// The length of n-grams in words.
    n: usize,
}

impl Default for ContaminationTable {
    fn default() -> Self {
        ContaminationTable { against: vec!["gsm8k".into(), "mgsm".into()], n: 10 }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct PairsTable {
    /// A file of records for each.
    arrangements: Vec<Arrangement>,
    temperature: f64,
    total: Option<usize>,
}

impl Default for PairsTable {
    fn default() -> Self {
        let arrangements = vec![Arrangement::Parallel, Arrangement::Cross];
        PairsTable { arrangements, temperature: 1.0, total: None }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct RecordsTable {
    template: Option<PathBuf>,
    loss: Loss,
    measure: Measure,
    /// The most tokens of a record.
    limit: usize,
}

impl Default for RecordsTable {
    fn default() -> Self {
        RecordsTable { template: None, loss: Loss::Reply, measure: Measure::Estimate, limit: 512 }
    }
}

/// Run the recipe.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(text: &str, arguments: &Arguments) -> Result<(), Failure> {
    let run = Run::new(arguments);
    let mut settings: Settings = run.settings(text)?;
    settings.seed = arguments.seed.unwrap_or(settings.seed);
    check(&run, &settings)?;
    let (items, unseen, left_out) = items(&run, &settings)?;
    let own = run.template(settings.translation.template.as_ref())?;
    let own = own.as_ref().map(|(name, text)| (name.as_str(), text.clone()));
    let mut translator = Translator::new(own, &unseen).map_err(Failure::input)?;
    translator.examples = examples(&run, settings.translation.examples.as_deref())?;
    translator.attempts = settings.translation.attempts;
    translator.strictness = settings.translation.check;
    translator.sampling = Sampling {
        temperature: Some(settings.translation.temperature),
        max_tokens: Some(settings.translation.max_tokens),
        seed: Some(settings.seed),
        ..Sampling::default()
    };
    let own = run.template(settings.records.template.as_ref())?;
    let own = own.as_ref().map(|(name, text)| (name.as_str(), text.clone()));
    let instruction = Instruction::new(own).map_err(Failure::input)?;
    instruction.render(&items[0].question, Language::En).map_err(Failure::input)?;

    let languages = &settings.translation.languages;
    let (calls, _log) = run.calls()?;
    if arguments.dry_run {
        let Some(language) = languages.iter().find(|language| **language != Language::En) else {
            return Err(run.wrong("no language but English: there is nothing to ask"));
        };
        let first = translator.request(&items[0], *language).map_err(Failure::input)?;
        let estimate = calls.estimate([&first]).times((items.len() * (languages.len() - 1)) as f64);
        println!("items     {}, and {} that share text with test questions", items.len(), left_out.len());
        println!("languages {}", languages.iter().map(|l| l.code()).collect::<Vec<_>>().join(", "));
        println!("calls     about {:.0} for first translations", estimate.calls);
        println!(
            "tokens    about {:.0} to read, at most {:.0} to write",
            estimate.input_tokens, estimate.output_tokens
        );
        println!("\nthe first prompt:\n\n{}", first.prompt.last_text());
        return Ok(());
    }

    listen_for_interrupts();
    let planned = items.len() * languages.len();
    let mut monitor = Monitor::new(&run.name, arguments.quiet || arguments.json).counting("translation");
    let mut made =
        Made { translations: languages.iter().map(|l| (*l, Vec::new())).collect(), ..Made::default() };
    let mut done = 0;
    let ended = translator.translate(&calls, &items, languages, |outcome, spent| {
        made.add(outcome, spent);
        done += 1;
        if monitor.show(done, planned, &format!("{} in quarantine", made.quarantined.len())).is_break() {
            monitor.finish();
            leave(done, planned);
        }
    });
    monitor.finish();
    ended.map_err(|error| match error {
        TranslationError::Stopped(stop) => {
            Failure::work(format!("{stop}; what was answered is kept, the same command goes on from there"))
        }
        TranslationError::Template(error) => Failure::input(error),
    })?;
    write(&run, &settings, &calls, &made, &left_out, &instruction)
}

/// What cannot be read off the types.
fn check(run: &Run<'_>, settings: &Settings) -> Result<(), Failure> {
    let Settings { source, translation, contamination, pairs, records, .. } = settings;
    let mut languages = translation.languages.clone();
    languages.sort();
    languages.dedup();
    let wrong = [
        (source.limit == Some(0), "source.limit = 0 leaves no item"),
        (languages.is_empty(), "translation.languages names no language"),
        (languages.len() < translation.languages.len(), "translation.languages names a language twice"),
        (translation.attempts == 0, "translation.attempts = 0: at least 1"),
        (!(0.0..=10.0).contains(&translation.temperature), "translation.temperature: from 0 to 10"),
        (translation.max_tokens == 0, "translation.max-tokens = 0: at least 1"),
        (contamination.n == 0, "contamination.n = 0: at least 1"),
        (pairs.arrangements.is_empty(), "pairs.arrangements names no arrangement: parallel, cross or both"),
        (pairs.temperature.is_nan() || pairs.temperature <= 0.0, "pairs.temperature: above 0, perhaps inf"),
        (pairs.total == Some(0), "pairs.total = 0 leaves no pair"),
        (records.limit == 0, "records.limit = 0 leaves no record"),
    ];
    match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, message)) => Err(run.wrong(message)),
        None => Ok(()),
    }
}

/// An item that is left out, and what it shares with a test question.
#[derive(Serialize)]
struct LeftOut {
    id: String,
    question: String,
    reason: String,
}

/// The items that share nothing with test questions, the check, and those that do.
fn items(run: &Run<'_>, settings: &Settings) -> Result<(Vec<Item>, TestQuestions, Vec<LeftOut>), Failure> {
    let data = std::env::var_os("MATHESIS_DATA").filter(|data| !data.is_empty()).map(PathBuf::from);
    let needs = |what: &str| run.wrong(format!("{what} needs the data folder that MATHESIS_DATA names"));
    let file = match (&settings.source.file, &data) {
        (Some(file), _) => run.path(file),
        (None, Some(data)) => data.join("gsm8k/train.jsonl"),
        (None, None) => return Err(needs("GSM8K, as there is no source.file,")),
    };
    let (mut items, _) = read_items(&file).map_err(Failure::input)?;
    if let Some(limit) = settings.source.limit.filter(|limit| *limit < items.len()) {
        items = (0..limit).map(|number| items[number * items.len() / limit].clone()).collect();
    }
    let mut unseen = TestQuestions::new(settings.contamination.n);
    for name in &settings.contamination.against {
        let suite =
            Suite::open(name).map_err(|error| run.wrong(format!("contamination.against: {error}")))?;
        let data = data.as_deref().ok_or_else(|| needs(&format!("contamination.against = {name}")))?;
        let suite_settings = suite.settings(&[]).map_err(Failure::input)?;
        let (loaded, _) = suite.load(data, &suite_settings).map_err(Failure::input)?;
        for problem in &loaded.problems {
            unseen.add(&problem.question, problem.language.unwrap_or(Language::En));
        }
    }
    let (mut kept, mut left_out) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        let shared =
            [&item.question, &item.answer].into_iter().find_map(|text| unseen.leak(text, Language::En));
        match shared {
            Some(reason) => left_out.push(LeftOut { id: item.id, question: item.question, reason }),
            None => kept.push(item),
        }
    }
    if kept.is_empty() {
        return Err(run.wrong("all items share text with test questions"));
    }
    Ok((kept, unseen, left_out))
}

fn examples(run: &Run<'_>, file: Option<&Path>) -> Result<Vec<Example>, Failure> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let path = run.path(file);
    let text = std::fs::read_to_string(&path).map_err(|error| run.wrong(unreadable(&path, &error)))?;
    (text.lines().enumerate())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| Failure::input(format!("{}:{}: {error}", path.display(), number + 1)))
        })
        .collect()
}

/// What translating made.
#[derive(Default)]
struct Made {
    translations: BTreeMap<Language, Vec<Translation>>,
    quarantined: Vec<Quarantined>,
    statistics: BTreeMap<Language, DropStatistics>,
    spent: Spending,
}

impl Made {
    fn add(&mut self, outcome: Outcome, spent: Spending) {
        self.spent = self.spent.plus(spent);
        let language = match &outcome {
            Outcome::Translated(translation) => translation.language,
            Outcome::Quarantined(quarantined) => quarantined.language,
        };
        self.statistics.entry(language).or_default().add(&outcome);
        match outcome {
            Outcome::Translated(translation) => {
                self.translations.entry(language).or_default().push(translation);
            }
            Outcome::Quarantined(quarantined) => self.quarantined.push(quarantined),
        }
    }
}

fn write(
    run: &Run<'_>,
    settings: &Settings,
    calls: &mathesis_reasoning::models::calls::Calls,
    made: &Made,
    left_out: &[LeftOut],
    instruction: &Instruction,
) -> Result<(), Failure> {
    let mut products: Vec<Product> = Vec::new();
    for (language, translations) in &made.translations {
        let name = format!("translations/{}.jsonl", language.code());
        products.push((name, "translations that passed", json_lines(translations)?));
    }
    products.push((
        "quarantine.jsonl".into(),
        "translations given up, with every attempt and what is wrong with it",
        json_lines(&made.quarantined)?,
    ));
    products.push((
        "left-out.jsonl".into(),
        "items that share text with test questions",
        json_lines(left_out)?,
    ));

    let RecordsTable { loss, measure, limit, .. } = settings.records;
    let mut lengths: BTreeMap<&str, BTreeMap<Language, Lengths>> = BTreeMap::new();
    for &arrangement in &settings.pairs.arrangements {
        let PairsTable { temperature, total, .. } = settings.pairs;
        let mixture = Mixture { arrangement, temperature, total, seed: settings.seed };
        let pairs = mix(&made.translations, &mixture);
        let (kept, of_languages) =
            records(&pairs, instruction, loss, &measure, limit).map_err(Failure::input)?;
        let name = arrangement.name();
        products.push((format!("{name}.jsonl"), "records for training", json_lines(&kept)?));
        lengths.insert(name, of_languages);
    }

    let mut drops = vec![head(&[
        "language",
        "items",
        "translated",
        "dropped",
        "share",
        "asked",
        "reasons, once an attempt",
    ])];
    for (language, statistics) in &made.statistics {
        let counts = [statistics.items, statistics.translated, statistics.dropped].map(|n| n.to_string());
        let [items, translated, dropped] = counts;
        let (share, asked) = (percent(statistics.dropped_share()), statistics.asked.to_string());
        let cells = [items, translated, dropped, share, asked, counted(&statistics.reasons)];
        drops.push(row(language.code(), cells));
    }
    let mut table =
        vec![head(&["records", "language", "kept", "too long", "mean", "median", "95 %", "longest"])];
    for (name, lengths) in &lengths {
        for (language, lengths) in lengths {
            let Lengths { records, too_long, mean, median, percentile_95, longest } = lengths;
            let [kept, too_long, median, high, longest] =
                [records, too_long, median, percentile_95, longest].map(|n| n.to_string());
            let cells = [language.code().into(), kept, too_long, format!("{mean:.1}"), median, high, longest];
            table.push(row(name, cells));
        }
    }
    let result = json!({ "left_out": left_out.len(), "translations": made.statistics, "lengths": lengths });
    let tables = [("Translations", drops), ("Lengths of records, in tokens", table)];
    run.conclude(settings, calls, made.spent, result, &tables, products)
}
