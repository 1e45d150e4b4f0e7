//! `mathesis eval misconception-remediation`: help against misconceptions, as people rate it; diagnosis forms, scored.

use std::path::Path;
use std::time::Instant;

use mathesis_reasoning::models::{Identity, Message, Model, Request};
use mathesis_reasoning::suites::misconceptions::records::Misconception;
use mathesis_reasoning::suites::misconceptions::remediation::{
    Case, Condition, Diagnosis, Prompter, load, spread,
};
use mathesis_reasoning::suites::misconceptions::rubric::{self, Summary, read_sheet, summarise};
use mathesis_reasoning::suites::{Kind, Reply, Setting, Settings};
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
use crate::run_folder::{RunFolder, check_output};

/// The name of the suite.
pub const NAME: &str = "misconception-remediation";
const ABOUT: &str = "help against 55 misconceptions of middle-school algebra";
const FETCH: &str = "remediation_cases.jsonl of the repository nancyotero-projects/math-misconceptions";
const PILOT: usize = 20;

fn settings(arguments: &Arguments) -> Result<Settings, Failure> {
    let conditions: Vec<&str> = Condition::ALL.iter().map(|condition| condition.name()).collect();
    let setting = |key, default, kind, about| Setting { key, default, kind, about };
    let known = [
        setting("conditions", "baseline", Kind::Some(conditions), "how help is asked for"),
        setting("cases", "all", Kind::One(vec!["all", "pilot"]), "all 55 cases, or 20 spread over them"),
        setting(
            "ratings",
            "",
            Kind::Text,
            "filled rating sheets, with commas between them: nothing is asked",
        ),
        setting("temperature", "0.2", Kind::Number(0.0, 10.0), "sampling temperature"),
        setting("max-tokens", "2000", Kind::Whole(1, 1_000_000), "the longest reply, in tokens"),
    ];
    Settings::new(&known, &arguments.given_settings()?).map_err(Failure::input)
}

/// A reply in `records.jsonl`.
#[derive(Serialize)]
struct Record {
    case_id: Misconception,
    condition: &'static str,
    prompt: String,
    reply: Reply,
    /// The diagnosis of a form, or what is wrong with the form.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnosis: Option<Result<Diagnosis, String>>,
}

/// What came out.
#[derive(Default, Serialize)]
struct Outcome {
    replies: usize,
    /// Diagnosis forms: how many, how many can be read, how many name the misconception.
    #[serde(skip_serializing_if = "Option::is_none")]
    forms: Option<[usize; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratings: Option<Summary>,
}

/// Run the suite.
///
/// # Errors
/// Wrong input before anything is asked; [`Failure::Work`] if the calls stop before the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = settings(arguments)?;
    if let Some(option) = arguments.foreign_option() {
        return Err(Failure::input(format!("{option} has no meaning for {NAME}")));
    }
    if arguments.replies.is_some() {
        return Err(Failure::input(format!(
            "--replies has no meaning for {NAME}; ratings come by --set ratings=FILE"
        )));
    }
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    let start = Instant::now();
    if !settings.get("ratings").is_empty() {
        let ratings = ratings(settings.get("ratings"))?;
        let outcome = Outcome { ratings: Some(summarise(&ratings)), ..Outcome::default() };
        let name = super::run_name(NAME, "ratings");
        return write(arguments, &settings, &name, None, &[], &outcome, Value::Null, start);
    }
    let (cases, _) = load(&arguments.data_folder(NAME, FETCH)?).map_err(Failure::input)?;
    let prompter = Prompter::new(&cases).map_err(Failure::work)?;
    let asked = if settings.get("cases") == "pilot" { spread(&cases, PILOT) } else { cases };
    let conditions: Vec<Condition> =
        settings.list("conditions").into_iter().filter_map(Condition::from_name).collect();
    let pairs: Vec<(&Case, Condition)> =
        conditions.iter().flat_map(|&condition| asked.iter().map(move |case| (case, condition))).collect();
    let prompts: Vec<String> = (pairs.iter())
        .map(|(case, condition)| prompter.render(case, *condition))
        .collect::<Result<_, _>>()
        .map_err(Failure::work)?;
    let Some(model) = &arguments.model else {
        return match arguments.calling.dry_run {
            true => {
                println!("{} prompts; the first:\n\n{}", prompts.len(), prompts[0]);
                Ok(())
            }
            false => {
                Err(Failure::input("--model says what is asked (or --set ratings=FILE what is put together)"))
            }
        };
    };
    let model = open(model).map_err(Failure::input)?;
    let identity = Model::identity(&*model).clone();
    let name = super::run_name(NAME, &identity.model);
    let sampling = mathesis_reasoning::models::Sampling {
        temperature: settings.get("temperature").parse().ok(),
        max_tokens: settings.get("max-tokens").parse().ok(),
        seed: arguments.seed,
        ..Default::default()
    };
    let requests: Vec<Request> = (prompts.iter())
        .map(|prompt| Request::chat([Message::user(prompt)]).sampled(sampling.clone()))
        .collect();
    let line = asking::line(&arguments.calling, &name, model)?;
    if arguments.calling.dry_run {
        let calls = line.calls.estimate(&requests).calls;
        println!("{calls} calls; the first prompt:\n\n{}", prompts[0]);
        return Ok(());
    }
    listen_for_interrupts();
    let quiet = arguments.quiet || arguments.json;
    let (replies, spent) =
        asking::replies(&line.calls, &requests, (NAME, "reply"), quiet, |_, _| String::new())?;
    let records: Vec<Record> = (pairs.iter().zip(prompts).zip(replies))
        .map(|(((case, condition), prompt), reply)| Record {
            case_id: case.misconception,
            condition: condition.name(),
            prompt,
            diagnosis: (*condition == Condition::DiagnosisForm).then(|| Diagnosis::read(&reply.text)),
            reply,
        })
        .collect();
    let outcome = Outcome { replies: records.len(), forms: forms(&records), ratings: None };
    let spent = spent_json(spent, &line.currency);
    write(arguments, &settings, &name, Some(&identity), &records, &outcome, spent, start)
}

fn ratings(paths: &str) -> Result<Vec<rubric::Rating>, Failure> {
    let mut ratings = Vec::new();
    for path in paths.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::input(unreadable(path, &error)))?;
        ratings.extend(read_sheet(&text).map_err(|error| Failure::input(format!("{path}: {error}")))?);
    }
    Ok(ratings)
}

fn forms(records: &[Record]) -> Option<[usize; 3]> {
    let forms: Vec<(&Record, &Result<Diagnosis, String>)> =
        records.iter().filter_map(|record| Some((record, record.diagnosis.as_ref()?))).collect();
    let read = forms.iter().filter(|(_, form)| form.is_ok()).count();
    let right = forms.iter().filter(|(record, form)| {
        form.as_ref().is_ok_and(|form| form.misconception() == Some(record.case_id))
    });
    (!forms.is_empty()).then(|| [forms.len(), read, right.count()])
}

#[expect(clippy::too_many_arguments, reason = "the parts of one run record")]
fn write(
    arguments: &Arguments,
    settings: &Settings,
    name: &str,
    model: Option<&Identity>,
    records: &[Record],
    outcome: &Outcome,
    spent: Value,
    start: Instant,
) -> Result<(), Failure> {
    let folder = RunFolder::begin(name, arguments.output.as_deref())?;
    let mut files = vec![FileRecord::new("report.html", "tables and replies")];
    if !records.is_empty() {
        let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
        folder.write("records.jsonl", lines.map_err(Failure::work)?.join("\n") + "\n")?;
        files.push(FileRecord::new("records.jsonl", "a line for each prompt with its reply"));
        let replies: Vec<(Misconception, Condition, &str)> = (records.iter())
            .filter(|record| record.diagnosis.is_none())
            .filter_map(|record| {
                Some((record.case_id, Condition::from_name(record.condition)?, record.reply.text.as_str()))
            })
            .collect();
        folder.write("ratings.csv", rubric::sheet(&replies).map_err(Failure::work)?)?;
        files.push(FileRecord::new("ratings.csv", "a sheet to be filled by a rater"));
    }
    folder.write("metrics.json", json_text(outcome)?)?;
    files.push(FileRecord::new("metrics.json", "what came out"));
    folder.write("report.html", page(name, records, outcome).html())?;
    let run = RunRecord {
        name,
        suite: NAME,
        about: ABOUT,
        strategy: settings.get("conditions"),
        settings: settings.values(),
        data: &[],
        model,
        replies: None,
        limit: None,
        samples: 1,
        seed: arguments.seed,
        command: std::env::args().collect(),
        finished: now(),
        seconds: start.elapsed().as_secs_f64(),
        spent,
        versions: Versions::current(),
        machine: Machine::current(),
        result: outcome,
        files,
    };
    folder.write("run.json", json_text(&run)?)?;
    let folder = folder.finish()?;
    asking::print((arguments.json, arguments.quiet), &run, &folder, || summary(outcome, run.seconds, &folder))
}

fn forms_text([all, read, right]: [usize; 3]) -> String {
    let share = percent(right as f64 / all.max(1) as f64);
    format!("{right} of {all} name the misconception ({share}); {} cannot be read", all - read)
}

fn summary(outcome: &Outcome, time: f64, folder: &Path) -> comfy_table::Table {
    let mut rows = vec![vec!["replies".to_string(), outcome.replies.to_string()]];
    rows.extend(outcome.forms.map(|forms| vec!["forms".to_string(), forms_text(forms)]));
    if let Some(ratings) = &outcome.ratings {
        rows.push(vec!["ratings".into(), format!("{} by {}", ratings.ratings, ratings.raters.join(", "))]);
        for (condition, summary) in &ratings.conditions {
            rows.push(vec![condition.to_string(), format!("{:.2} of 5", summary.overall)]);
        }
    }
    rows.push(vec!["time".into(), seconds(time)]);
    rows.push(vec!["report".into(), folder.join("report.html").display().to_string()]);
    asking::table(rows)
}

fn page(name: &str, records: &[Record], outcome: &Outcome) -> Page {
    let mut sections = Vec::new();
    if let Some(ratings) = &outcome.ratings {
        sections.extend(rating_sections(ratings));
    }
    let transcripts: Vec<Part> = (records.iter())
        .map(|record| {
            let title = format!("{} · {}", record.case_id, record.condition);
            Part::Folded(title, format!("{}\n\n— reply —\n\n{}", record.prompt, record.reply.text))
        })
        .collect();
    if !transcripts.is_empty() {
        sections.push(Section { heading: "replies".into(), parts: transcripts });
    }
    let verdict = match (&outcome.ratings, outcome.forms) {
        (Some(ratings), _) => format!("{} ratings by {} raters", ratings.ratings, ratings.raters.len()),
        (None, Some(forms)) => format!("forms: {}", forms_text(forms)),
        (None, None) => format!("{} replies, to be rated in ratings.csv", outcome.replies),
    };
    Page { title: name.into(), verdict, about: ABOUT.into(), sections }
}

fn rating_sections(ratings: &Summary) -> Vec<Section> {
    let conditions: Vec<&str> = ratings.conditions.keys().copied().collect();
    let header = |first: &str| {
        Table::new(std::iter::once(first.to_string()).chain(conditions.iter().map(ToString::to_string)))
    };
    let (mut dimensions, mut tags) = (header("dimension"), header("tag"));
    for (k, name) in rubric::DIMENSIONS.iter().enumerate() {
        let cells = ratings.conditions.values().map(|summary| {
            let (_, mean, error) = summary.dimensions[k];
            format!("{mean:.2} ± {error:.2}")
        });
        dimensions.row(std::iter::once(name.to_string()).chain(cells));
    }
    for (k, name) in rubric::TAGS.iter().enumerate() {
        let cells = ratings.conditions.values().map(|summary| percent(summary.tags[k].1));
        tags.row(std::iter::once(name.to_string()).chain(cells));
    }
    let mut agreement = Table::new(["dimension", "pairs of raters", "kappa, linear", "kappa, quadratic"]);
    let kappa = |value: Option<f64>| value.map_or("not defined".into(), |value| format!("{value:.3}"));
    for row in &ratings.agreement {
        agreement.row([row.dimension.into(), row.pairs.to_string(), kappa(row.linear), kappa(row.quadratic)]);
    }
    let overall: Vec<Bar> = (ratings.conditions.iter())
        .map(|(name, summary)| Bar {
            name: format!("{name}: {:.2} of 5", summary.overall),
            value: (summary.overall - 1.0) / 4.0,
            low: (summary.overall - 1.0) / 4.0,
            high: (summary.overall - 1.0) / 4.0,
        })
        .collect();
    let caption = "the mean over all dimensions, as a share of the way from 1 to 5";
    vec![
        Section {
            heading: "ratings".into(),
            parts: vec![Part::Drawing(bars(&overall), caption.into()), Part::Table(dimensions)],
        },
        Section { heading: "tags".into(), parts: vec![Part::Table(tags)] },
        Section { heading: "agreement of raters".into(), parts: vec![Part::Table(agreement)] },
    ]
}
