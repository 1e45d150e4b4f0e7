//! Filters and metrics: from the texts of replies to the figures of lm-evaluation-harness.
//!
//! A filter pipeline turns the replies to a document into one text; a metric compares that with the reference. The figures are the
//! means over the documents with the standard error `s / √n`, `s²` being the sample variance. They count what was written, whatever
//! became of the reply; its verdict says more.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::options::{self, Length};
use super::super::{Ending, Grade, Record, Reply, SuiteError, Verdict};
use super::python::Pattern;
use super::yaml::{Table, Value};
use super::{Output, Task};

/// Steps that make one text of the replies to a document.
#[derive(Clone, Debug)]
pub struct Pipeline {
    name: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Regex { pattern: Pattern, select: i64, fallback: String },
    RemoveWhitespace,
    Lowercase,
    Uppercase,
    Map { texts: BTreeMap<String, String>, default: String },
    TakeFirst,
    TakeFirstK(usize),
    MajorityVote,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Metric {
    name: &'static str,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    ExactMatch { ignored: Vec<Pattern>, case: bool, punctuation: bool, numbers: bool },
    Options(Length),
    Perplexity,
}

/// A figure of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The metric.
    pub metric: String,
    /// The filter.
    pub filter: String,
    /// The figure.
    pub value: f64,
    /// Its standard error; none of fewer than two documents, or of a perplexity.
    pub standard_error: Option<f64>,
}

/// The pipelines of a task; without any, the first reply counts.
pub fn pipelines(given: Option<Value>, output: Output) -> Result<Vec<Pipeline>, SuiteError> {
    let Some(given) = given else {
        return Ok(vec![Pipeline { name: "none".into(), steps: vec![Step::TakeFirst] }]);
    };
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for item in given.list()? {
        let mut table = item.clone().table()?;
        let name = table.required("name")?.text()?.to_string();
        if pipelines.iter().any(|known| known.name == name) {
            return Err(table.wrong(format!("two filters have the name `{name}`")));
        }
        let list = table.required("filter")?;
        let steps = list
            .list()?
            .iter()
            .map(|step| Step::read(step.clone().table()?))
            .collect::<Result<Vec<_>, _>>()?;
        let is_one = |step: &Step| matches!(step, Step::TakeFirst);
        if !steps.last().is_some_and(is_one) || steps.iter().filter(|step| is_one(step)).count() > 1 {
            return Err(
                list.wrong("expected `take_first` as the last step, and nowhere else: one text is judged")
            );
        }
        if output != Output::GenerateUntil && steps.len() > 1 {
            return Err(list.wrong("likelihoods are not filtered; expected `take_first` alone"));
        }
        table.finish(&["name", "filter"], &[])?;
        pipelines.push(Pipeline { name, steps });
    }
    if pipelines.is_empty() { Err(given.wrong("the list is empty")) } else { Ok(pipelines) }
}

const STEPS: &str =
    "regex, remove_whitespace, lowercase, uppercase, map, take_first, take_first_k, majority_vote";

impl Step {
    fn read(mut table: Table) -> Result<Self, SuiteError> {
        let function = table.required("function")?;
        let mut known: Vec<&str> = Vec::new();
        let step = match function.text()? {
            "regex" => {
                known.extend(["regex_pattern", "group_select", "fallback"]);
                let pattern = match table.take("regex_pattern") {
                    Some(value) => pattern(&value)?,
                    None => Pattern::new(r"#### (\-?[0-9\.\,]+)").map_err(|error| table.wrong(error))?,
                };
                let select = match table.take("group_select") {
                    Some(value) => value.as_whole().ok_or_else(|| value.wrong("expected a whole number"))?,
                    None => 0,
                };
                let fallback = match table.take("fallback") {
                    Some(value) => value.text()?.to_string(),
                    None => "[invalid]".into(),
                };
                Step::Regex { pattern, select, fallback }
            }
            "remove_whitespace" => Step::RemoveWhitespace,
            "lowercase" => Step::Lowercase,
            "uppercase" => Step::Uppercase,
            "take_first" => Step::TakeFirst,
            "majority_vote" => Step::MajorityVote,
            "take_first_k" => {
                known.push("k");
                let count = table.required("k")?;
                match count.count()? {
                    0 => return Err(count.wrong("expected a whole number from 1")),
                    k => Step::TakeFirstK(k as usize),
                }
            }
            "map" => {
                known.extend(["mapping_dict", "default_value"]);
                let text = |value: &Value| value.text().map(String::from);
                let texts = match table.take("mapping_dict") {
                    Some(value) => (value.table()?.entries().iter())
                        .map(|(key, value)| Ok((key.clone(), text(value)?)))
                        .collect::<Result<_, SuiteError>>()?,
                    None => BTreeMap::new(),
                };
                let default = table.take("default_value").map(|value| text(&value)).transpose()?;
                Step::Map { texts, default: default.unwrap_or("None".into()) }
            }
            other => return Err(function.wrong(format!("`{other}` is not followed; there are {STEPS}"))),
        };
        table.finish(&known, &[])?;
        Ok(step)
    }

    /// One text by a step that takes texts one by one, and whether something was found in it.
    fn one(&self, text: &str) -> (String, bool) {
        match self {
            Step::Regex { pattern, select, fallback } => match chosen(&pattern.find_all(text), *select) {
                Some(found) => (found, true),
                None => (fallback.clone(), false),
            },
            Step::RemoveWhitespace => (text.trim().into(), true),
            Step::Lowercase => (text.to_lowercase(), true),
            Step::Uppercase => (text.to_uppercase(), true),
            Step::Map { texts, default } => (texts.get(text).unwrap_or(default).clone(), true),
            Step::TakeFirst | Step::TakeFirstK(_) | Step::MajorityVote => (text.into(), true),
        }
    }
}

/// The match that is asked for, from the end if the number is negative: its first group that is not empty, or none.
fn chosen(matches: &[Vec<String>], select: i64) -> Option<String> {
    let at = if select < 0 { matches.len() as i64 + select } else { select };
    // Where lm-eval fails for a number beyond the matches, nothing is found.
    let groups = matches.get(usize::try_from(at).ok()?)?;
    let found = match groups.as_slice() {
        [only] => only,
        groups => groups.iter().find(|group| !group.is_empty())?,
    };
    Some(found.trim().to_string())
}

fn pattern(value: &Value) -> Result<Pattern, SuiteError> {
    Pattern::new(value.text()?)
        .map_err(|error| value.wrong(format!("the regular expression cannot be read: {error}")))
}

impl Pipeline {
    /// The text that the replies to a document come to.
    fn apply(&self, replies: &[&str]) -> String {
        let mut texts: Vec<String> = replies.iter().map(|text| text.to_string()).collect();
        for step in &self.steps {
            match step {
                Step::TakeFirst => texts.truncate(1),
                Step::TakeFirstK(k) => texts.truncate(*k),
                Step::MajorityVote => texts = most_frequent(&texts).into_iter().collect(),
                step => texts.iter_mut().for_each(|text| *text = step.one(text).0),
            }
        }
        texts.into_iter().next().unwrap_or_default()
    }

    /// What is found in one reply.
    fn extract(&self, reply: &str) -> Option<String> {
        self.steps.iter().try_fold(reply.to_string(), |text, step| {
            let (text, is_found) = step.one(&text);
            is_found.then_some(text)
        })
    }
}

/// The most frequent text, the first of equally frequent ones.
fn most_frequent(texts: &[String]) -> Option<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    texts.iter().for_each(|text| *counts.entry(text).or_default() += 1);
    let most = counts.values().copied().max()?;
    texts.iter().find(|text| counts[text.as_str()] == most).cloned()
}

/// The metrics of a task; without any, those that lm-eval takes.
pub fn metrics(given: Option<Value>, output: Output) -> Result<Vec<Metric>, SuiteError> {
    let exact = || Metric {
        name: "exact_match",
        rule: Rule::ExactMatch { ignored: Vec::new(), case: false, punctuation: false, numbers: false },
    };
    let acc = |name, length| Metric { name, rule: Rule::Options(length) };
    let perplexity = || Metric { name: "perplexity", rule: Rule::Perplexity };
    let Some(given) = given else {
        return Ok(match output {
            Output::GenerateUntil => vec![exact()],
            Output::MultipleChoice => vec![acc("acc", Length::One), acc("acc_norm", Length::Characters)],
            Output::LogLikelihood => vec![perplexity(), acc("acc", Length::One)],
        });
    };
    let mut metrics = Vec::new();
    for item in given.list()? {
        let mut table = item.clone().table()?;
        let name = table.required("metric")?;
        let mut known = vec!["metric", "aggregation", "higher_is_better"];
        let metric = match (name.text()?, output) {
            ("exact_match", Output::GenerateUntil) => {
                known.extend(["regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers"]);
                let ignored = match table.take("regexes_to_ignore") {
                    Some(list) => list.list()?.iter().map(pattern).collect::<Result<_, _>>()?,
                    None => Vec::new(),
                };
                let mut is_set = |key: &str| table.take(key).map_or(Ok(false), |value| value.boolean());
                let (case, punctuation) = (is_set("ignore_case")?, is_set("ignore_punctuation")?);
                Metric {
                    name: "exact_match",
                    rule: Rule::ExactMatch { ignored, case, punctuation, numbers: is_set("ignore_numbers")? },
                }
            }
            ("acc", Output::MultipleChoice | Output::LogLikelihood) => acc("acc", Length::One),
            ("acc_norm", Output::MultipleChoice) => acc("acc_norm", Length::Characters),
            ("acc_bytes", Output::MultipleChoice) => acc("acc_bytes", Length::Bytes),
            ("perplexity", Output::LogLikelihood) => perplexity(),
            (other, output) => {
                let there = match output {
                    Output::GenerateUntil => "exact_match",
                    Output::MultipleChoice => "acc, acc_norm, acc_bytes",
                    Output::LogLikelihood => "acc, perplexity",
                };
                return Err(name.wrong(format!("`{other}` is not followed here; there are {there}")));
            }
        };
        if let Some(value) = table.take("aggregation") {
            let expected = if metric.name == "perplexity" { "perplexity" } else { "mean" };
            if value.text()? != expected {
                return Err(value.wrong(format!("expected {expected}")));
            }
        }
        if let Some(value) = table.take("higher_is_better") {
            value.boolean()?;
        }
        table.finish(&known, &[])?;
        metrics.push(metric);
    }
    if metrics.is_empty() { Err(given.wrong("the list is empty")) } else { Ok(metrics) }
}

impl Rule {
    /// Whether a text is one of the references.
    fn matches(&self, text: &str, references: &[String]) -> bool {
        let text = self.normal(text);
        references.iter().any(|reference| self.normal(reference) == text)
    }

    fn normal(&self, text: &str) -> String {
        let Rule::ExactMatch { ignored, case, punctuation, numbers } = self else { return text.into() };
        let mut text = ignored.iter().fold(text.to_string(), |text, pattern| pattern.remove(&text));
        if *case {
            text = text.to_lowercase();
        }
        text.retain(|c| !(*punctuation && c.is_ascii_punctuation() || *numbers && c.is_ascii_digit()));
        text
    }
}

impl Task {
    /// Judges a reply by the first filter and the first metric. What was cut, refused or lost has its own verdict.
    pub fn grade(&self, reference: &str, reply: &Reply) -> Grade {
        let pipeline = self.pipelines.first();
        let found = match reply.ending {
            Ending::Failed => None,
            _ => pipeline.and_then(|pipeline| pipeline.extract(&reply.text)),
        };
        let (verdict, reason) = match (reply.ending, &found) {
            (Ending::Failed, _) => (Verdict::Error, reply.failure.clone().unwrap_or("no reply".into())),
            (Ending::Refused, _) => (Verdict::Refused, "the model or its provider refused".into()),
            (Ending::Truncated, _) => (Verdict::Truncated, "cut at the token limit".into()),
            (Ending::Complete, None) => (Verdict::NoAnswer, "the filter finds nothing".into()),
            (Ending::Complete, Some(text)) => {
                let is_match = self
                    .metrics
                    .first()
                    .is_some_and(|metric| metric.rule.matches(text, &self.references(reference)));
                match is_match {
                    true => (Verdict::Right, "exact match".into()),
                    false => (Verdict::Wrong, "no exact match".into()),
                }
            }
        };
        let span = found.as_ref().filter(|text| !text.is_empty()).and_then(|text| {
            let start = reply.text.rfind(text.as_str())?;
            Some(start..start + text.len())
        });
        let rule = found.as_ref().and(pipeline).map(|pipeline| pipeline.name.clone());
        Grade { verdict, answer: found, rule, span, reason, expressions: None }
    }

    /// The references that the text of one stands for.
    fn references(&self, reference: &str) -> Vec<String> {
        let list = || match serde_json::from_str(reference) {
            Ok(Json::Array(items)) => {
                Some(items.iter().filter_map(Json::as_str).map(String::from).collect::<Vec<_>>())
            }
            _ => None,
        };
        let several =
            if self.has_several_targets && self.output == Output::GenerateUntil { list() } else { None };
        several.unwrap_or_else(|| vec![reference.to_string()])
    }

    /// The figures of the task for its records.
    pub fn measured<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Vec<Measured> {
        let mut tally = TaskTally::new(self);
        records.into_iter().for_each(|record| tally.add(record));
        tally.measured()
    }
}

/// The figures of a task, added up record by record.
pub struct TaskTally<'a> {
    task: &'a Task,
    /// For each metric and filter the values of the documents.
    values: Vec<Vec<f64>>,
}

impl<'a> TaskTally<'a> {
    /// No records yet.
    pub fn new(task: &'a Task) -> Self {
        TaskTally { task, values: vec![Vec::new(); task.metrics.len() * task.pipelines.len()] }
    }

    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        let texts: Vec<&str> = record.replies.iter().map(|reply| reply.text.as_str()).collect();
        let references = self.task.references(&record.reference);
        let scored = record.replies.first().map_or(&[][..], |reply| reply.options.as_slice());
        let mut values = self.values.iter_mut();
        for pipeline in &self.task.pipelines {
            let text = match self.task.output {
                Output::GenerateUntil => pipeline.apply(&texts),
                Output::MultipleChoice | Output::LogLikelihood => String::new(),
            };
            for metric in &self.task.metrics {
                let value = match &metric.rule {
                    rule @ Rule::ExactMatch { .. } => f64::from(u8::from(rule.matches(&text, &references))),
                    Rule::Options(length) => f64::from(u8::from(options::is_right(scored, *length))),
                    Rule::Perplexity => {
                        scored.first().map_or(f64::NEG_INFINITY, |option| option.log_likelihood)
                    }
                };
                if let Some(values) = values.next() {
                    values.push(value);
                }
            }
        }
    }

    /// The figures.
    pub fn measured(&self) -> Vec<Measured> {
        let metrics = self
            .task
            .pipelines
            .iter()
            .flat_map(|pipeline| self.task.metrics.iter().map(move |metric| (pipeline, metric)));
        let figures = metrics.zip(&self.values).map(|((pipeline, metric), values)| {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let is_perplexity = matches!(metric.rule, Rule::Perplexity);
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            Measured {
                metric: metric.name.into(),
                filter: pipeline.name.clone(),
                value: if is_perplexity { (-mean).exp() } else { mean },
                standard_error: (values.len() > 1 && !is_perplexity).then(|| (variance / count).sqrt()),
            }
        });
        figures.collect()
    }
}
