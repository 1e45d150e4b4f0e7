//! Tasks of lm-evaluation-harness: their YAML read as a suite, with the same prompts byte for byte and the same scores.
//!
//! A task is data where it can be: templates, regular expressions and named rules are followed; Python functions (`!function`) are not, and
//! are refused by file, line and key like everything that is not known here, before anything is asked. `yaml` reads values with their places,
//! `python` does what Python and Jinja do, `prompts` makes prompts of documents, and `scores` judges replies: filters, then metrics.
//!
//! Followed is version 0.4.13 (github.com/EleutherAI/lm-evaluation-harness): its documented keys, and where these leave a choice, what it does.

mod prompts;
mod python;
mod scores;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{Choice, Data, Kind, Problem, Row, Setting, Settings, Source, Strategy, Suite, SuiteError};
use crate::models::Sampling;
use prompts::{Document, Prompts};
use scores::{Metric, Pipeline};
use yaml::{Table, Value};

pub use scores::{Measured, TaskTally};

/// How an imported task is judged, and how its replies are made.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: String,
    sampling: Sampling,
    /// Samples of each document.
    pub repeats: usize,
    output: Output,
    pipelines: Vec<Pipeline>,
    metrics: Vec<Metric>,
    /// Whether references are lists of texts, one of which has to be met.
    has_several_targets: bool,
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Task {
    /// How the model writes: as it is set, and where nothing is as the task says.
    pub fn sampling(&self, set: Sampling) -> Sampling {
        let own = &self.sampling;
        Sampling {
            temperature: set.temperature.or(own.temperature),
            top_p: set.top_p.or(own.top_p),
            max_tokens: set.max_tokens.or(own.max_tokens),
            stop: if set.stop.is_empty() { own.stop.clone() } else { set.stop },
            more: own.more.clone(),
            ..set
        }
    }
}

/// What the model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    GenerateUntil,
    MultipleChoice,
    LogLikelihood,
}

/// Where the documents are.
#[derive(Clone, Debug)]
enum Files {
    /// By split, as the task names them.
    Named(Vec<(String, Vec<PathBuf>)>),
    /// Tables with the names of the splits in a folder.
    Folder(PathBuf),
    /// The same in the data folder.
    Data,
}

/// A task file that has been checked.
struct Checked {
    name: String,
    files: Files,
    /// The dataset's name, and that of its configuration.
    dataset: (String, Option<String>),
    split: String,
    few_shot_split: Option<String>,
    /// The split from which few-shot documents come where none is named.
    fallback_split: String,
    samples: Option<Vec<Document>>,
    prompts: Prompts,
    task: Task,
}

const KEYS: &[&str] = &[
    "include",
    "task",
    "dataset_path",
    "dataset_name",
    "dataset_kwargs",
    "training_split",
    "validation_split",
    "test_split",
    "fewshot_split",
    "fewshot_config",
    "num_fewshot",
    "description",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "gen_prefix",
    "target_delimiter",
    "fewshot_delimiter",
    "output_type",
    "generation_kwargs",
    "repeats",
    "filter_list",
    "metric_list",
];
/// What changes neither prompts nor scores.
const IGNORED: &[&str] = &[
    "task_alias",
    "tag",
    "group",
    "metadata",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "unsafe_code",
];
/// What is known and not followed.
const REFUSED: &[&str] = &[
    "process_docs",
    "process_results",
    "doc_to_image",
    "doc_to_audio",
    "custom_dataset",
    "use_prompt",
    "class",
    "task_list",
];

/// Reads a task as a suite; its documents are read when it is loaded.
///
/// # Errors
/// What is wrong with the file, by line and key.
pub fn read(path: &Path) -> Result<Suite, SuiteError> {
    let checked = check(path)?;
    let (dataset, name) = (&checked.dataset, checked.name.clone());
    let last = dataset.0.rsplit('/').next().unwrap_or_default().to_string();
    let needs_data = matches!(checked.files, Files::Data);
    let mut folders = Vec::new();
    if needs_data {
        folders.extend(dataset.1.iter().map(|config| format!("{last}/{config}")));
        folders.push(last.clone());
    }
    let strategies = match checked.task.output {
        Output::GenerateUntil => vec![Strategy::TASK, Strategy::TASK_CHAT],
        Output::MultipleChoice | Output::LogLikelihood => vec![Strategy::TASK_OPTIONS],
    };
    let few_shot = checked.prompts.few_shot;
    // What the task says holds where nothing is set.
    let setting = |key, kind, about| Setting { key, default: "", kind, about };
    let settings = vec![
        setting("shots", Kind::Whole(0, 100), "solved documents in each prompt; default: as the task says"),
        setting(
            "max-tokens",
            Kind::Whole(1, 1_000_000),
            "the longest reply, in tokens; default: as the task says",
        ),
    ];
    Ok(Suite {
        about: format!(
            "task of lm-evaluation-harness, {few_shot} solved documents in each prompt ({})",
            path.display()
        ),
        fetch: format!(
            "the splits of {} (such as test.jsonl or test.parquet) into the folder {last}",
            dataset.0
        ),
        folders,
        needs_data,
        settings,
        strategies,
        answer_form: "",
        load: Box::new(move |source, settings| load(&checked, source, settings)),
        name,
    })
}

fn check(path: &Path) -> Result<Checked, SuiteError> {
    let mut table = yaml::read(path)?;
    for key in REFUSED {
        if let Some(value) = table.take(key) {
            // A function is refused in its own words.
            value.json()?;
            return Err(value.wrong("this key is not followed: documents are asked and judged as they are"));
        }
    }
    let name = match table.take("task") {
        Some(value) => {
            let name = value.text()?;
            if name.is_empty() || name.contains(['/', '\\']) {
                return Err(value.wrong("expected a text that can be the name of a folder"));
            }
            name.to_string()
        }
        None => path.file_stem().map_or("task".into(), |stem| stem.to_string_lossy().into_owned()),
    };
    let output = match table.take("output_type") {
        None => Output::GenerateUntil,
        Some(value) => match value.text()? {
            "generate_until" => Output::GenerateUntil,
            "multiple_choice" => Output::MultipleChoice,
            "loglikelihood" => Output::LogLikelihood,
            other => {
                let known = "generate_until, multiple_choice, loglikelihood";
                return Err(value.wrong(format!("`{other}` is not followed; there are {known}")));
            }
        },
    };
    let split_names = ["training_split", "validation_split", "test_split", "fewshot_split"];
    let mut splits = Vec::new();
    for key in split_names {
        splits.push(table.take(key).map(|value| value.text().map(String::from)).transpose()?);
    }
    let [training, validation, test, few_shot_split] = splits.as_slice() else { unreachable!("four keys") };
    let Some(split) = test.clone().or(validation.clone()) else {
        return Err(table
            .wrong("`test_split` or `validation_split` says which documents are asked; neither is there"));
    };
    let fallback_split = training.clone().or(validation.clone()).unwrap_or_else(|| split.clone());
    let (files, dataset) = files(&mut table, path)?;
    let (prompts, samples, own_split) =
        Prompts::read(&mut table, few_shot_split.clone(), test.as_deref(), output)?;
    let sampling = sampling(&mut table, output, &prompts.delimiter)?;
    let repeats = match table.take("repeats") {
        None => 1,
        Some(value) => match value.count()? {
            count @ 1..=1000 => count as usize,
            _ => return Err(value.wrong("expected a whole number from 1 to 1000")),
        },
    };
    let pipelines = scores::pipelines(table.take("filter_list"), output)?;
    let metrics = scores::metrics(table.take("metric_list"), output)?;
    table.finish(KEYS, IGNORED)?;
    let task = Task {
        name: name.clone(),
        sampling,
        repeats,
        output,
        pipelines,
        metrics,
        has_several_targets: false,
    };
    Ok(Checked {
        name,
        files,
        dataset,
        split,
        few_shot_split: own_split,
        fallback_split,
        samples,
        prompts,
        task,
    })
}

/// Where the documents are, and what the dataset is called.
fn files(table: &mut Table, path: &Path) -> Result<(Files, (String, Option<String>)), SuiteError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let found = |name: &str| {
        // As lm-eval takes it, from where the program runs; else beside the task.
        let here = PathBuf::from(name);
        if here.exists() { here } else { folder.join(name) }
    };
    let dataset = table.required("dataset_path")?;
    let name = dataset.text()?.to_string();
    let config = table.take("dataset_name").map(|value| value.text().map(String::from)).transpose()?;
    let kwargs = table.take("dataset_kwargs");
    let mut named: Vec<(String, Vec<PathBuf>)> = Vec::new();
    if let Some(kwargs) = kwargs {
        let mut kwargs = kwargs.table()?;
        let list = |value: &Value| {
            let files = value.one_or_list().into_iter().map(|file| {
                let path = found(file.text()?);
                match path.is_file() {
                    true => Ok(path),
                    false => Err(file.wrong(format!("there is no file {}", path.display()))),
                }
            });
            files.collect::<Result<Vec<_>, SuiteError>>()
        };
        if let Some(files) = kwargs.take("data_files") {
            match files.as_table() {
                Some(splits) => {
                    for (split, files) in splits.entries() {
                        named.push((split.clone(), list(files)?));
                    }
                }
                // Without names all is the split `train`.
                None => named.push(("train".into(), list(&files)?)),
            }
        }
        kwargs.finish(&["data_files"], &["trust_remote_code"])?;
    }
    let is_local = matches!(name.as_str(), "json" | "csv" | "parquet");
    let files = match (is_local, named.is_empty()) {
        (true, false) => Files::Named(named),
        (true, true) => {
            return Err(dataset.wrong(format!("`{name}` needs `dataset_kwargs` with `data_files`")));
        }
        (false, false) => return Err(dataset.wrong("`data_files` go with json, csv or parquet")),
        (false, true) if found(&name).is_dir() => Files::Folder(found(&name)),
        (false, true) => Files::Data,
    };
    Ok((files, (name, config)))
}

/// How the model writes, with what lm-eval takes where a task says nothing.
fn sampling(table: &mut Table, output: Output, delimiter: &str) -> Result<Sampling, SuiteError> {
    let mut sampling = Sampling {
        temperature: Some(0.0),
        max_tokens: Some(256),
        stop: vec![delimiter.to_string()],
        ..Sampling::default()
    };
    let Some(value) = table.take("generation_kwargs") else { return Ok(sampling) };
    if output != Output::GenerateUntil {
        return Err(value.wrong("these go with `output_type: generate_until`"));
    }
    let mut given = value.table()?;
    if let Some(until) = given.take("until") {
        let texts = until.one_or_list().into_iter().map(|text| text.text().map(String::from));
        sampling.stop = texts.collect::<Result<Vec<_>, _>>()?;
        sampling.stop.retain(|text| !text.is_empty());
    }
    if let Some(value) = given.take("temperature") {
        let temperature = value.number()?;
        if !(0.0..=10.0).contains(&temperature) {
            return Err(value.wrong("expected a number from 0 to 10"));
        }
        sampling.temperature = Some(temperature);
    }
    for key in ["max_gen_toks", "max_tokens"] {
        if let Some(value) = given.take(key) {
            match value.count()? {
                0 => return Err(value.wrong("expected a whole number from 1")),
                count => sampling.max_tokens = Some(count),
            }
        }
    }
    if let Some(value) = given.take("top_p") {
        let share = value.number()?;
        if !(0.0..=1.0).contains(&share) {
            return Err(value.wrong("expected a number from 0 to 1"));
        }
        sampling.top_p = Some(share);
    }
    if let Some(value) = given.take("top_k") {
        sampling.more.insert("top_k".into(), value.count()?.into());
    }
    // The temperature says whether anything is drawn.
    if let Some(value) = given.take("do_sample") {
        value.boolean()?;
    }
    given.finish(
        &["until", "temperature", "max_gen_toks", "max_tokens", "top_p", "top_k", "do_sample"],
        &[],
    )?;
    Ok(sampling)
}

fn load(checked: &Checked, source: &mut Source, settings: &Settings) -> Result<Data, SuiteError> {
    let documents = read_split(&checked.files, &checked.split, source)?;
    if documents.is_empty() {
        return Err(SuiteError::Empty);
    }
    let shots = match settings.get("shots") {
        "" => checked.prompts.few_shot,
        given => given.parse().unwrap_or(0),
    };
    let solved: Vec<Document> = match (&checked.few_shot_split, &checked.samples) {
        _ if shots == 0 => Vec::new(),
        (Some(split), _) if *split == checked.split => documents.iter().map(|(_, d)| d.clone()).collect(),
        (Some(split), _) => read_split(&checked.files, split, source)?.into_iter().map(|(_, d)| d).collect(),
        (None, Some(samples)) => samples.clone(),
        (None, None) if checked.fallback_split == checked.split => {
            documents.iter().map(|(_, d)| d.clone()).collect()
        }
        (None, None) => {
            read_split(&checked.files, &checked.fallback_split, source)?.into_iter().map(|(_, d)| d).collect()
        }
    };
    let mut sampler = checked.prompts.sampler(&solved, shots);
    let mut problems = Vec::with_capacity(documents.len());
    let mut has_several_targets = false;
    for (number, (origin, document)) in documents.iter().enumerate() {
        let wrong =
            |message: String| SuiteError::BadRows(vec![super::BadRow { origin: origin.clone(), message }]);
        let asked = checked.prompts.ask(document, &mut sampler).map_err(wrong)?;
        let several = asked.targets.len() != 1 || asked.is_list;
        if number == 0 {
            has_several_targets = several;
        }
        let reference = match (checked.task.output, has_several_targets) {
            (Output::GenerateUntil, true) => Json::from(asked.targets.clone()).to_string(),
            _ => asked.targets.first().cloned().unwrap_or_default(),
        };
        let options: Vec<Choice> = asked.options;
        problems.push(Problem {
            id: format!("{}/{number}", checked.split),
            question: asked.question,
            reference,
            options,
            prompt: Some(asked.prompt),
            origin: origin.clone(),
            ..Problem::default()
        });
    }
    let task = Task { has_several_targets, ..checked.task.clone() };
    Ok(Data { problems, exemplars: Vec::new(), task: Some(Arc::new(task)) })
}

/// The documents of a split, each with all columns of the table.
fn read_split(
    files: &Files,
    split: &str,
    source: &mut Source,
) -> Result<Vec<(super::Origin, Document)>, SuiteError> {
    let row = |row: &Row| Ok((row.origin.clone(), row.fields.clone()));
    let mut rows: Vec<(super::Origin, Map<String, Json>)> = Vec::new();
    let mut is_text = false;
    match files {
        Files::Named(splits) => {
            let Some((_, paths)) = splits.iter().find(|(name, _)| name == split) else {
                let known: Vec<&str> = splits.iter().map(|(name, _)| name.as_str()).collect();
                return Err(SuiteError::NoFile {
                    folder: source.folder().to_path_buf(),
                    wanted: format!("split `{split}` (`data_files` has {})", known.join(", ")),
                    fetch: "nothing: the task names its files".into(),
                });
            };
            source.move_to(Path::new(""));
            for path in paths {
                let name = path.to_string_lossy();
                is_text |= [".csv", ".tsv"].iter().any(|ending| name.contains(ending));
                rows.extend(source.read_file(&name, row)?);
            }
        }
        Files::Folder(folder) => {
            source.move_to(folder);
            rows = source.read(split, None, row)?;
        }
        Files::Data => rows = source.read(split, None, row)?,
    }
    let mut columns: Vec<String> = Vec::new();
    for (_, fields) in &rows {
        for name in fields.keys() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
    }
    for (_, fields) in &mut rows {
        for column in &columns {
            fields.entry(column.as_str()).or_insert(Json::Null);
        }
    }
    if is_text {
        columns.iter().for_each(|column| infer(column, &mut rows));
    }
    Ok(rows.into_iter().map(|(origin, fields)| (origin, Document::new(fields))).collect())
}

/// Gives the texts of a column of a table without types their type, as the reader of lm-eval's tables does: whole numbers, numbers, truth
/// values, or texts; what is empty is nothing.
fn infer(column: &str, rows: &mut [(super::Origin, Map<String, Json>)]) {
    let text = |fields: &Map<String, Json>| match fields.get(column) {
        Some(Json::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let texts: Vec<Option<String>> = rows.iter().map(|(_, fields)| text(fields)).collect();
    let all = |fits: &dyn Fn(&str) -> bool| texts.iter().flatten().all(|text| fits(text.trim()));
    let has_gaps = texts.iter().any(Option::is_none);
    let is_whole = !has_gaps && all(&|text| text.parse::<i64>().is_ok());
    let is_number = all(&|text| {
        text.parse::<f64>().is_ok_and(f64::is_finite)
            && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
    });
    let is_truth = !has_gaps && all(&|text| matches!(text, "True" | "False" | "true" | "false"));
    let value = |text: &str| -> Json {
        let trimmed = text.trim();
        match trimmed.parse::<i64>() {
            Ok(whole) if is_whole => whole.into(),
            _ if is_number => trimmed.parse::<f64>().map_or(Json::Null, Json::from),
            _ if is_truth => (trimmed.eq_ignore_ascii_case("true")).into(),
            _ => text.into(),
        }
    };
    for ((_, fields), text) in rows.iter_mut().zip(&texts) {
        fields.insert(column.to_string(), text.as_deref().map_or(Json::Null, value));
    }
}

#[cfg(test)]
mod tests;
