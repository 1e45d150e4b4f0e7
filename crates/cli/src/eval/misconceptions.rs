//! `mathesis eval math-misconceptions`: which misconception is behind a wrong answer; a model, a lexical baseline, or logs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use mathesis_reasoning::models::{Identity, Model, Sampling};
use mathesis_reasoning::suites::misconceptions::adjudication::{
    self, Agreement, PUBLISHED, Review, agreement, read_sheet, review,
};
use mathesis_reasoning::suites::misconceptions::lexical::LexicalModel;
use mathesis_reasoning::suites::misconceptions::prompt::{Prompter, published_sampling, request};
use mathesis_reasoning::suites::misconceptions::records::{self, Item, Misconception, Statistics};
use mathesis_reasoning::suites::misconceptions::replies::Rules;
use mathesis_reasoning::suites::misconceptions::scores::{Decision, Scores, score};
use mathesis_reasoning::suites::misconceptions::transcripts::{self, Faults, Judged, Transcript};
use mathesis_reasoning::suites::misconceptions::trials::{Batch, Experiment, decisions, plan};
use mathesis_reasoning::suites::misconceptions::{logs, replies};
use mathesis_reasoning::suites::{DataFile, Kind, Setting, Settings};
use serde::Serialize;
use serde_json::Value;

use super::asking::{self, spent_json};
use super::figures::{Bar, Page, Part, Section, Table, bars};
use super::page::percent;
use super::{Arguments, RunRecord, json_text};
use crate::failure::{Failure, unreadable};
use crate::local_model::open;
use crate::progress::listen_for_interrupts;
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::report::plots::HeatMap;
use crate::run_folder::{RunFolder, check_output};

/// The name of the suite.
pub const NAME: &str = "math-misconceptions";
const ABOUT: &str = "55 misconceptions of middle-school algebra behind 220 wrong answers";
const FETCH: &str = "data.json of the repository nancyotero-projects/math-misconceptions";

fn settings(arguments: &Arguments) -> Result<Settings, Failure> {
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    let known = [
        setting(
            "experiment",
            "both",
            Kind::One(vec!["both", "cross-topic", "topic-constrained"]),
            "one prompt with all topics, one for each topic, or both",
        ),
        setting("trials", "100", Kind::Whole(1, 100_000), "trials of each experiment"),
        setting("split-seed", "20240701", Kind::Whole(0, u64::MAX), "the seed of the trials"),
        setting(
            "parser",
            "numbered",
            Kind::One(vec!["numbered", "positional"]),
            "how diagnoses are matched to test examples; positional is the published way, faults included",
        ),
        setting(
            "adjudication",
            "",
            Kind::Text,
            "filled sheets of one expert, or of two with a comma between",
        ),
        setting("temperature", "0.2", Kind::Number(0.0, 10.0), "sampling temperature"),
        setting("max-tokens", "2000", Kind::Whole(1, 1_000_000), "the longest reply, in tokens"),
    ];
    Settings::new(&known, &arguments.given_settings()?).map_err(Failure::input)
}

/// Run the suite.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = settings(arguments)?;
    if let Some(option) = arguments.foreign_option() {
        return Err(Failure::input(format!(
            "{option} has no meaning for {NAME}; --set trials=N makes it shorter"
        )));
    }
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    let start = Instant::now();
    let (items, files) = records::load(&arguments.data_folder(NAME, FETCH)?).map_err(Failure::input)?;
    let mut run = match (&arguments.model, &arguments.replies) {
        (Some(model), _) => ask(arguments, &settings, &items, model)?,
        (None, Some(path)) => Some(replay(&settings, path)?),
        (None, None) if arguments.calling.dry_run => {
            let (batches, prompts) = prompts(&settings, &items)?;
            preview(&items, &batches, &prompts);
            None
        }
        (None, None) => {
            return Err(Failure::input("--model says what is asked (or --replies what is scored)"));
        }
    };
    match &mut run {
        Some(run) => {
            run.seconds = start.elapsed().as_secs_f64();
            run.write(arguments, &settings, &items, &files)
        }
        None => Ok(()),
    }
}

impl Arguments {
    /// An option that suites of their own kind do not take, if it is given.
    pub(super) fn foreign_option(&self) -> Option<&'static str> {
        if self.limit.is_some() {
            return Some("--limit");
        }
        if self.samples.is_some_and(|samples| samples != 1) {
            return Some("--samples");
        }
        self.strategy.is_some().then_some("--strategy")
    }
}

/// A run that is to be written.
struct Run {
    name: String,
    model: Option<Identity>,
    transcripts: Vec<Transcript>,
    experiments: BTreeMap<&'static str, Judged>,
    spent: Value,
    seconds: f64,
}

/// What `metrics.json` holds of an experiment.
#[derive(Serialize)]
struct ExperimentRecord<'a> {
    scores: Scores,
    faults: &'a Faults,
    review: Option<ReviewRecord>,
}

/// Expert review.
#[derive(Serialize)]
struct ReviewRecord {
    counts: Review,
    adjusted_accuracy: f64,
    left: usize,
    agreement: Option<Agreement>,
}

fn rules(settings: &Settings) -> Rules {
    if settings.get("parser") == "positional" { Rules::Positional } else { Rules::Numbered }
}

fn prompts(settings: &Settings, items: &[Item]) -> Result<(Vec<Batch>, Vec<String>), Failure> {
    let wanted = settings.get("experiment");
    let experiments: Vec<Experiment> = (Experiment::ALL.into_iter())
        .filter(|experiment| wanted == "both" || experiment.name() == wanted)
        .collect();
    let number = |key| settings.get(key).parse::<u64>().unwrap_or_default();
    let batches = plan(items, &experiments, number("trials") as usize, number("split-seed"));
    let prompter = Prompter::new().map_err(Failure::work)?;
    let prompts = batches.iter().map(|batch| prompter.render(items, batch)).collect::<Result<_, _>>();
    Ok((batches, prompts.map_err(Failure::work)?))
}

fn preview(items: &[Item], batches: &[Batch], prompts: &[String]) {
    let counts = Statistics::of(items);
    println!(
        "items     {} of {} misconceptions in {} topics; {} need a picture",
        counts.items,
        counts.misconceptions,
        counts.topics.len(),
        counts.need_image
    );
    println!("plan      {} prompts, {} decisions", batches.len(), decisions(batches));
    println!("\nthe first prompt ({}):\n\n{}", batches[0].name(), prompts[0]);
}

/// Ask a model; `None` after a dry run.
fn ask(
    arguments: &Arguments,
    settings: &Settings,
    items: &[Item],
    model: &str,
) -> Result<Option<Run>, Failure> {
    let (batches, prompts) = prompts(settings, items)?;
    let model = match LexicalModel::open(model, items, &batches, &prompts) {
        Some(model) => model.map_err(Failure::input)?,
        None => open(model).map_err(Failure::input)?,
    };
    let identity = Model::identity(&*model).clone();
    let name = super::run_name(NAME, &identity.model);
    let sampling = Sampling {
        temperature: settings.get("temperature").parse().ok(),
        max_tokens: settings.get("max-tokens").parse().ok(),
        seed: arguments.seed,
        ..published_sampling()
    };
    let requests: Vec<_> = (batches.iter().zip(&prompts))
        .map(|(batch, prompt)| request(prompt, batch.trial, &sampling))
        .collect();
    let line = asking::line(&arguments.calling, &name, model)?;
    if arguments.calling.dry_run {
        let estimate = line.calls.estimate(&requests);
        println!(
            "calls     {}; {} replies are there already; about {} tokens to read, at most {} to write",
            estimate.calls, estimate.reused, estimate.input_tokens, estimate.output_tokens
        );
        if !line.currency.is_empty() {
            println!("cost      at most {:.4} {}", estimate.cost, line.currency);
        }
        preview(items, &batches, &prompts);
        return Ok(None);
    }
    listen_for_interrupts();
    let rules = rules(settings);
    let (mut right, mut asked) = (0, 0);
    let quiet = arguments.quiet || arguments.json;
    let (replies, spent) =
        asking::replies(&line.calls, &requests, (NAME, "prompt"), quiet, |number, reply| {
            let test = &batches[number].test;
            let predictions = replies::parse(&reply.text, test.len(), rules).predictions;
            right += (test.iter().zip(&predictions))
                .filter(|(at, predicted)| **predicted == replies::Predicted::Id(items[**at].misconception))
                .count();
            asked += test.len();
            format!("accuracy {}", percent(right as f64 / asked as f64))
        })?;
    let transcripts: Vec<Transcript> = (batches.iter().zip(prompts).zip(replies))
        .map(|((batch, prompt), reply)| Transcript {
            prompt,
            reply: Some(reply),
            ..Transcript::planned(&name, items, batch)
        })
        .collect();
    Ok(Some(Run {
        experiments: named(transcripts::judge(&transcripts, rules)),
        name,
        model: Some(identity),
        transcripts,
        spent: spent_json(spent, &line.currency),
        seconds: 0.0,
    }))
}

fn named(judged: BTreeMap<Experiment, Judged>) -> BTreeMap<&'static str, Judged> {
    judged.into_iter().map(|(experiment, judged)| (experiment.name(), judged)).collect()
}

/// Score a log of decisions, or the transcripts of a run.
fn replay(settings: &Settings, path: &Path) -> Result<Run, Failure> {
    let is_log = path.extension().is_some_and(|ending| ending == "csv");
    let stem = match is_log {
        true => path.file_stem(),
        false => path.parent().and_then(Path::file_name).or(path.file_stem()),
    };
    let stem = stem.map_or("replies".into(), |stem| stem.to_string_lossy().into_owned());
    let stem = stem.strip_prefix(&format!("{NAME}-")).unwrap_or(&stem).to_string();
    let (transcripts, experiments) = if is_log {
        let decisions = logs::read(path).map_err(Failure::input)?;
        let name = match settings.get("experiment") {
            "cross-topic" => "cross-topic",
            "topic-constrained" => "topic-constrained",
            _ => "replayed",
        };
        (Vec::new(), BTreeMap::from([(name, Judged { decisions, faults: Faults::default() })]))
    } else {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::input(unreadable(path, &error)))?;
        let transcripts = transcripts::read(&text)
            .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        let judged = named(transcripts::judge(&transcripts, rules(settings)));
        (transcripts, judged)
    };
    let name = super::run_name(NAME, &format!("{stem}-replayed"));
    Ok(Run { name, model: None, transcripts, experiments, spent: Value::Null, seconds: 0.0 })
}

impl Run {
    fn write(
        &self,
        arguments: &Arguments,
        settings: &Settings,
        items: &[Item],
        data: &[DataFile],
    ) -> Result<(), Failure> {
        let mut records: BTreeMap<&str, ExperimentRecord<'_>> = BTreeMap::new();
        for (name, judged) in &self.experiments {
            let review = self.review(&judged.decisions, settings.get("adjudication"))?;
            let scores = score(&judged.decisions);
            records.insert(name, ExperimentRecord { scores, faults: &judged.faults, review });
        }
        let folder = RunFolder::begin(&self.name, arguments.output.as_deref())?;
        let mut files = vec![
            FileRecord::new("report.html", "tables, confusion and bars"),
            FileRecord::new("metrics.json", "the scores: the same for the same replies"),
        ];
        let mut write = |name: String, content: &str, bytes: Vec<u8>| {
            files.push(FileRecord::new(&name, content));
            folder.write(&name, bytes)
        };
        let model = self.model.as_ref().map_or("", |model| model.model.as_str());
        if !self.transcripts.is_empty() {
            let lines: Result<Vec<String>, _> = self.transcripts.iter().map(serde_json::to_string).collect();
            let lines = lines.map_err(Failure::work)?.join("\n") + "\n";
            write(
                "records.jsonl".into(),
                "a line for each prompt: the plan, the prompt, the reply",
                lines.into(),
            )?;
        }
        for (name, judged) in &self.experiments {
            let record = &records[name];
            let log = logs::write(&judged.decisions, model).map_err(Failure::work)?;
            write(format!("decisions-{name}.csv"), "a row for each decision, as published logs are", log)?;
            let sheet = adjudication::sheet(items, &judged.decisions).map_err(Failure::work)?;
            write(
                format!("adjudication-{name}.csv"),
                "the wrong decisions, to be judged by an expert",
                sheet,
            )?;
            let tables = [
                ("topics", "scores by topic", topics(&record.scores)),
                ("misconceptions", "scores by misconception", labels(&record.scores)),
                ("trials", "scores by trial", trials(&record.scores)),
                ("confusion", "how often each was taken for each", confusion(&record.scores)),
            ];
            for (table, content, rows) in tables {
                write(format!("{table}-{name}.csv"), content, rows.csv().into())?;
            }
        }
        folder.write("metrics.json", json_text(&records)?)?;
        folder.write("report.html", self.page(settings, &records)?.html())?;
        let run = RunRecord {
            name: &self.name,
            suite: NAME,
            about: ABOUT,
            strategy: settings.get("experiment"),
            settings: settings.values(),
            data,
            model: self.model.as_ref(),
            replies: arguments.replies.as_ref().map(|path| path.display().to_string()),
            limit: None,
            samples: 1,
            seed: arguments.seed,
            command: std::env::args().collect(),
            finished: now(),
            seconds: self.seconds,
            spent: self.spent.clone(),
            versions: Versions::current(),
            machine: Machine::current(),
            result: &records,
            files,
        };
        folder.write("run.json", json_text(&run)?)?;
        let folder = folder.finish()?;
        asking::print((arguments.json, arguments.quiet), &run, &folder, || self.summary(&records, &folder))
    }

    /// What the filled sheets say about decisions.
    fn review(&self, decisions: &[Decision], sheets: &str) -> Result<Option<ReviewRecord>, Failure> {
        let mut read = Vec::new();
        for path in sheets.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            let text =
                std::fs::read_to_string(path).map_err(|error| Failure::input(unreadable(path, &error)))?;
            let judgements =
                read_sheet(&text, decisions).map_err(|error| Failure::input(format!("{path}: {error}")))?;
            read.push(judgements);
        }
        let Some(first) = read.first() else { return Ok(None) };
        let counts = review(decisions, first);
        Ok(Some(ReviewRecord {
            adjusted_accuracy: counts.adjusted_accuracy(),
            left: counts.left(),
            agreement: read.get(1).map(|second| agreement(first, second)),
            counts,
        }))
    }

    fn page(
        &self,
        settings: &Settings,
        records: &BTreeMap<&str, ExperimentRecord<'_>>,
    ) -> Result<Page, Failure> {
        let accuracies: Vec<String> =
            (records.iter()).map(|(name, record)| format!("{name}: {}", accuracy(&record.scores))).collect();
        let mut sections = Vec::new();
        for (name, record) in records {
            sections.extend(experiment_sections(name, record)?);
        }
        sections.push(published_reviews());
        let model = self.model.as_ref().map_or("replayed", |model| model.model.as_str());
        let settings: Vec<String> = (settings.values().iter())
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        Ok(Page {
            title: format!("{NAME} · {model}"),
            verdict: accuracies.join("; "),
            about: format!("{ABOUT}; {}", settings.join(", ")),
            sections,
        })
    }

    fn summary(&self, records: &BTreeMap<&str, ExperimentRecord<'_>>, folder: &Path) -> comfy_table::Table {
        let mut rows = Vec::new();
        for (name, record) in records {
            let scores = &record.scores;
            rows.push(vec![name.to_string(), accuracy(scores)]);
            let macros = scores.macro_true;
            rows.push(vec![
                "  macro".into(),
                format!(
                    "P {:.3}, R {:.3}, F1 {:.3} over the 55 labels; F1 {:.3} over all {} labels",
                    macros.precision,
                    macros.recall,
                    macros.f1,
                    scores.macro_all.f1,
                    label_count(scores)
                ),
            ]);
            rows.push(vec!["  topic match".into(), percent(scores.topic_match)]);
            rows.push(vec!["  predictions".into(), kinds(record)]);
            for topic in &scores.topics {
                rows.push(vec![format!("  {}", topic.topic), percent(topic.accuracy)]);
            }
            if let Some(review) = &record.review {
                rows.push(vec!["  adjusted".into(), adjusted(review)]);
            }
        }
        rows.push(vec!["time".into(), seconds(self.seconds)]);
        rows.push(vec!["report".into(), folder.join("report.html").display().to_string()]);
        asking::table(rows)
    }
}

fn accuracy(scores: &Scores) -> String {
    let interval = scores.interval;
    format!(
        "{} of {} decisions in {} trials, {} ({} to {})",
        scores.right,
        scores.decisions,
        scores.trials,
        percent(scores.accuracy),
        percent(interval.low),
        percent(interval.high)
    )
}

/// How many labels occur in references and predictions.
fn label_count(scores: &Scores) -> usize {
    let named = Misconception::all().filter(|id| {
        let row = scores.confusion[id.index()].iter().sum::<usize>();
        let column: usize = scores.confusion.iter().map(|row| row[id.index()]).sum();
        row + column > 0
    });
    let silent = scores.kinds.iter().any(|(kind, _)| !matches!(*kind, "id" | "id out of range" | "no id"));
    named.count() + scores.other_labels.len() + usize::from(silent)
}

fn kinds(record: &ExperimentRecord<'_>) -> String {
    let mut parts: Vec<String> =
        record.scores.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let faults = record.faults;
    for (name, count) in [
        ("unknown numbers", faults.unknown_numbers),
        ("prompts without reply", faults.failed_batches),
        ("trials dropped by the positional rules, all of them counted as wrong", faults.dropped_trials),
    ] {
        if count > 0 {
            parts.push(format!("{name} {count}"));
        }
    }
    parts.join(", ")
}

fn adjusted(review: &ReviewRecord) -> String {
    let counts = &review.counts;
    let mut text = format!(
        "{}: {} exact + {} accepted of {}; {} need a picture, {} are left",
        percent(review.adjusted_accuracy),
        counts.exact,
        counts.accepted,
        counts.total,
        counts.picture,
        review.left
    );
    if let Some(agreement) = &review.agreement {
        text += &format!("; two experts agree on {}", percent(agreement.share));
        if let Some(kappa) = agreement.kappa {
            text += &format!(", kappa {kappa:.3}");
        }
    }
    text
}

fn experiment_sections(name: &str, record: &ExperimentRecord<'_>) -> Result<Vec<Section>, Failure> {
    let scores = &record.scores;
    let mut figures = Table::new(["", "precision", "recall", "F1"]);
    for (over, macros) in [("55 true labels", scores.macro_true), ("all labels", scores.macro_all)] {
        let values = [macros.precision, macros.recall, macros.f1].map(|value| format!("{value:.4}"));
        figures.row([over.to_string()].into_iter().chain(values));
    }
    let f1 = scores.macro_f1_interval;
    let mut words = vec![
        accuracy(scores) + ", interval from 1,000 resamples of trials",
        format!("mean F1 over the true labels: {:.4} to {:.4}", f1.low, f1.high),
        format!("{} of the diagnoses lie in the right topic", percent(scores.topic_match)),
        format!("predictions: {}", kinds(record)),
    ];
    if !scores.other_labels.is_empty() {
        let labels: Vec<String> =
            scores.other_labels.iter().map(|(label, count)| format!("`{label}` {count}")).collect();
        words.push(format!("other labels: {}", labels.join(", ")));
    }
    words.extend(record.review.as_ref().map(|review| format!("expert review: {}", adjusted(review))));
    let drawing = bars(&topic_bars(scores));
    let ids: Vec<f64> = (1..=scores.confusion.len()).map(|id| id as f64).collect();
    let map = HeatMap {
        title: "decisions".into(),
        names: ["true".into(), "named".into()],
        axes: [&ids, &ids],
        // A row of the confusion, that is a true misconception, is a column of the map.
        values: scores.confusion.iter().flat_map(|row| row[..ids.len()].iter().map(|&n| n as f64)).collect(),
        logarithmic: false,
        range: None,
    };
    let section = |title: &str, parts| Section { heading: format!("{name}: {title}"), parts };
    let mut first: Vec<Part> = words.into_iter().map(Part::Words).collect();
    first.push(Part::Table(figures));
    Ok(vec![
        section("figures", first),
        section(
            "topics",
            vec![
                Part::Drawing(drawing, "accuracy by topic, with 95 % intervals by Wilson".into()),
                Part::Table(topics(scores)),
            ],
        ),
        section(
            "confusion",
            vec![
                Part::Drawing(
                    map.draw()?,
                    "how often each misconception was taken for each, MaE01 to MaE55".into(),
                ),
                Part::Words("the most frequent confusions".into()),
                Part::Table(frequent_confusions(scores)),
            ],
        ),
        section("misconceptions", vec![Part::Table(labels(scores))]),
        section("trials", vec![Part::Folded("every trial".into(), trials(scores).csv())]),
    ])
}

fn topic_bars(scores: &Scores) -> Vec<Bar> {
    (scores.topics.iter())
        .map(|topic| Bar {
            name: topic.topic.name().into(),
            value: topic.accuracy,
            low: topic.interval.low,
            high: topic.interval.high,
        })
        .collect()
}

fn topics(scores: &Scores) -> Table {
    let mut table =
        Table::new(["topic", "decisions", "accuracy", "topic match", "precision", "recall", "F1"]);
    for topic in &scores.topics {
        let macros = topic.macro_true;
        let values = [topic.accuracy, topic.topic_match, macros.precision, macros.recall, macros.f1];
        let values = values.map(|value| format!("{value:.4}"));
        table.row([topic.topic.to_string(), topic.decisions.to_string()].into_iter().chain(values));
    }
    table
}

fn labels(scores: &Scores) -> Table {
    let mut table = Table::new(["misconception", "decisions", "precision", "recall", "F1"]);
    for label in &scores.labels {
        let values = [label.values.precision, label.values.recall, label.values.f1];
        let values = values.map(|value| format!("{value:.4}"));
        table.row([label.misconception.to_string(), label.decisions.to_string()].into_iter().chain(values));
    }
    table
}

fn trials(scores: &Scores) -> Table {
    let mut table =
        Table::new(["trial", "decisions", "accuracy", "topic match", "macro P", "macro R", "macro F1"]);
    for trial in &scores.by_trial {
        let macros = trial.macro_true;
        let values = [trial.accuracy, trial.topic_match, macros.precision, macros.recall, macros.f1];
        let values = values.map(|value| format!("{value:.4}"));
        table.row([trial.trial.to_string(), trial.decisions.to_string()].into_iter().chain(values));
    }
    table
}

fn confusion(scores: &Scores) -> Table {
    let ids: Vec<String> = Misconception::all().map(|id| id.to_string()).collect();
    let header = std::iter::once("true".to_string()).chain(ids.clone()).chain(["other".into()]);
    let mut table = Table::new(header);
    for (id, row) in ids.iter().zip(&scores.confusion) {
        table.row(std::iter::once(id.clone()).chain(row.iter().map(usize::to_string)));
    }
    table
}

fn frequent_confusions(scores: &Scores) -> Table {
    let ids: Vec<Misconception> = Misconception::all().collect();
    let mut pairs: Vec<(usize, Misconception, Misconception)> = Vec::new();
    for truth in &ids {
        for named in ids.iter().filter(|named| *named != truth) {
            pairs.push((scores.confusion[truth.index()][named.index()], *truth, *named));
        }
    }
    pairs.sort_by_key(|(count, truth, named)| (std::cmp::Reverse(*count), *truth, *named));
    let mut table = Table::new(["true", "named", "times"]);
    for (count, truth, named) in pairs.into_iter().filter(|(count, _, _)| *count > 0).take(20) {
        table.row([truth.to_string(), named.to_string(), count.to_string()]);
    }
    table
}

/// The expert tables of the paper, with what follows from their counts.
fn published_reviews() -> Section {
    let mut table = Table::new([
        "experiment",
        "decisions",
        "exact",
        "accepted",
        "adjusted",
        "picture needed",
        "left",
        "left as published",
    ]);
    for published in PUBLISHED {
        let review = published.review;
        let share = |count: usize| format!("{count} ({:.2} %)", 100.0 * review.share(count));
        table.row([
            published.name.to_string(),
            review.total.to_string(),
            share(review.exact),
            share(review.accepted),
            share(review.adjusted()),
            share(review.picture),
            share(review.left()),
            share(published.left),
        ]);
    }
    let mut parts = vec![Part::Table(table)];
    parts.extend(PUBLISHED.iter().filter_map(|published| published.discrepancy()).map(Part::Words));
    Section { heading: "the expert review of the paper, recomputed".into(), parts }
}
