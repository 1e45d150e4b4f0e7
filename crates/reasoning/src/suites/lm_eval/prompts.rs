//! Prompts of documents: templates, solved documents before the one that is asked, delimiters between them.

use minijinja::Environment;
use minijinja::value::Value as Jinja;
use serde_json::{Map, Value as Json};

use super::super::problem::label;
use super::super::{Choice, SuiteError};
use super::Output;
use super::python::{self, Random};
use super::yaml::{Table, Value};

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    fields: Map<String, Json>,
    value: Jinja,
}

impl Document {
    /// A document with these columns.
    pub fn new(fields: Map<String, Json>) -> Self {
        let value = Jinja::from_serialize(&fields);
        Document { fields, value }
    }
}

/// What makes prompts of documents.
#[derive(Debug)]
pub struct Prompts {
    environment: Environment<'static>,
    description: Option<Field>,
    asked: Turn,
    solved: Turn,
    /// How many solved documents stand before each.
    pub few_shot: usize,
    /// What stands between them, as the task says; also where generation ends without stop texts.
    pub delimiter: String,
    /// What stands between them.
    example_delimiter: String,
    is_first_n: bool,
    /// Which of the solved documents may be chosen, if not all.
    indices: Option<Vec<usize>>,
    /// Whether the asked document itself has to be left out.
    leaves_out: bool,
    output: Output,
}

/// A question with its answer.
#[derive(Clone, Debug)]
struct Turn {
    text: Field,
    target: Target,
    choices: Option<Choices>,
    prefix: Option<Field>,
    target_delimiter: String,
}

/// A column's name or a template.
#[derive(Clone, Debug)]
struct Field {
    key: String,
    source: String,
}

/// The right answer.
#[derive(Clone, Debug)]
enum Target {
    Number(i64),
    Field(Field),
    List(Vec<Json>),
}

/// The possible answers.
#[derive(Clone, Debug)]
enum Choices {
    List(Vec<String>),
    Field(Field),
}

/// A document as it is asked.
pub struct Asked {
    /// The whole prompt.
    pub prompt: String,
    /// Its last question.
    pub question: String,
    /// The right answers.
    pub targets: Vec<String>,
    /// Whether the document states them as a list.
    pub is_list: bool,
    /// The possible answers, where they are scored.
    pub options: Vec<Choice>,
}

/// Chooses solved documents, for one document after the other.
pub struct Sampler<'a> {
    random: Random,
    solved: Vec<&'a Document>,
    shots: usize,
}

/// The prompts of a task, its own solved documents, and the split that has others.
pub type PromptsAndSolved = (Prompts, Option<Vec<Document>>, Option<String>);

impl Prompts {
    /// Takes the keys of prompts out of a task; also its own solved documents, and the split of others.
    pub fn read(
        table: &mut Table,
        few_shot_split: Option<String>,
        test_split: Option<&str>,
        output: Output,
    ) -> Result<PromptsAndSolved, SuiteError> {
        let mut environment = python::environment();
        let mut field = |value: Value, name: &str| Field::read(&value, name, &mut environment);
        let asked_text = field(table.required("doc_to_text")?, "doc_to_text")?;
        let target = table.required("doc_to_target")?;
        let asked_target = Target::read(&target, |value| field(value, "doc_to_target"))?;
        let asked_choices = match table.take("doc_to_choice") {
            Some(value) => Some(Choices::read(&value, |value| field(value, "doc_to_choice"))?),
            None if output == Output::MultipleChoice => {
                return Err(table.wrong("`output_type: multiple_choice` needs the key `doc_to_choice`"));
            }
            None => None,
        };
        let prefix = table.take("gen_prefix").map(|value| field(value, "gen_prefix")).transpose()?;
        let description = table.take("description").filter(|value| value.as_text() != Some(""));
        let description = description.map(|value| field(value, "description")).transpose()?;
        let mut text = |key: &str, default: &str| match table.take(key) {
            Some(value) => value.text().map(String::from),
            None => Ok(default.to_string()),
        };
        let target_delimiter = text("target_delimiter", " ")?;
        let delimiter = text("fewshot_delimiter", "\n\n")?;
        let mut example_delimiter = delimiter.clone();
        let few_shot = match table.take("num_fewshot") {
            Some(value) => match value.count()? {
                count @ 0..=100 => count as usize,
                _ => return Err(value.wrong("expected a whole number from 0 to 100")),
            },
            None => 0,
        };
        let asked =
            Turn { text: asked_text, target: asked_target, choices: asked_choices, prefix, target_delimiter };
        let mut solved = asked.clone();
        let (mut is_first_n, mut indices, mut samples, mut split) = (false, None, None, few_shot_split);
        if let Some(config) = table.take("fewshot_config") {
            let mut config = config.table()?;
            if let Some(value) = config.take("sampler") {
                is_first_n = match value.text()? {
                    "default" => false,
                    "first_n" => true,
                    other => {
                        return Err(
                            value.wrong(format!("`{other}` is not followed; there are default, first_n"))
                        );
                    }
                };
            }
            if let Some(value) = config.take("split") {
                split = Some(value.text()?.to_string());
            }
            if let Some(value) = config.take("samples") {
                let documents = value.list()?.iter().map(|item| {
                    let table = item.as_table().ok_or_else(|| item.wrong("expected keys with values"))?;
                    Ok(Document::new(table.json()?))
                });
                samples = Some(documents.collect::<Result<Vec<_>, SuiteError>>()?);
            }
            if let Some(value) = config.take("fewshot_indices") {
                let numbers = value.list()?.iter().map(|item| item.count().map(|count| count as usize));
                indices = Some(numbers.collect::<Result<Vec<_>, _>>()?);
            }
            if let Some(value) = config.take("doc_to_text") {
                solved.text = field(value, "fewshot_config.doc_to_text")?;
            }
            if let Some(value) = config.take("doc_to_target") {
                solved.target = Target::read(&value, |value| field(value, "fewshot_config.doc_to_target"))?;
            }
            if let Some(value) = config.take("doc_to_choice") {
                let choices = Choices::read(&value, |value| field(value, "fewshot_config.doc_to_choice"))?;
                solved.choices = Some(choices);
            }
            if let Some(value) = config.take("gen_prefix") {
                solved.prefix = Some(field(value, "fewshot_config.gen_prefix")?);
            }
            if let Some(value) = config.take("target_delimiter") {
                solved.target_delimiter = value.text()?.to_string();
            }
            if let Some(value) = config.take("fewshot_delimiter") {
                example_delimiter = value.text()?.to_string();
            }
            let known = [
                "sampler",
                "split",
                "samples",
                "fewshot_indices",
                "doc_to_text",
                "doc_to_target",
                "doc_to_choice",
                "gen_prefix",
                "target_delimiter",
                "fewshot_delimiter",
            ];
            config.finish(&known, &[])?;
        }
        let prompts = Prompts {
            environment,
            description,
            asked,
            solved,
            few_shot,
            delimiter,
            example_delimiter,
            is_first_n,
            indices,
            leaves_out: split.as_deref() == test_split,
            output,
        };
        Ok((prompts, samples, split))
    }

    /// Chooses among solved documents, `shots` for each asked one.
    pub fn sampler<'a>(&self, solved: &'a [Document], shots: usize) -> Sampler<'a> {
        let solved = match &self.indices {
            Some(indices) => indices.iter().filter_map(|&at| solved.get(at)).collect(),
            None => solved.iter().collect(),
        };
        // The seed of lm-eval's few-shot documents.
        Sampler { random: Random::new(1234), solved, shots }
    }

    /// The prompt of the next document.
    ///
    /// # Errors
    /// What is wrong with the document: a column is missing, a template fails, an answer has another type.
    pub fn ask(&self, document: &Document, sampler: &mut Sampler<'_>) -> Result<Asked, String> {
        let mut prompt = String::new();
        if let Some(description) = &self.description {
            prompt += &self.text(description, document)?;
        }
        for solved in self.chosen(document, sampler)? {
            prompt += &self.example(solved)?;
        }
        let choices = self.choices(&self.asked, document)?;
        let question = self.question(&self.asked, document, choices.is_some())?;
        let prefix = self.prefix(&self.asked, document)?;
        prompt += &question;
        if let Some(prefix) = &prefix {
            if requires_delimiter(&question, prefix) {
                prompt += &self.asked.target_delimiter;
            }
            prompt += prefix;
        }
        let target = self.target(&self.asked, document, choices.is_some())?;
        let text = |value: &Json| python::str(&Jinja::from_serialize(value));
        let (targets, is_list) = match &target {
            Json::Array(items) => (items.iter().map(text).collect(), true),
            value => (vec![text(value)], false),
        };
        let delimiter = &self.asked.target_delimiter;
        let option = |number: usize, text: &String, is_right: bool| Choice {
            label: label(number),
            continuation: format!("{delimiter}{text}"),
            text: text.clone(),
            is_right,
        };
        let mut targets: Vec<String> = targets;
        let options = match (self.output, &choices) {
            (Output::GenerateUntil, Some(choices)) => {
                let at =
                    target.as_i64().and_then(|at| usize::try_from(at).ok()).and_then(|at| choices.get(at));
                targets = vec![at.ok_or("`doc_to_target` is no number of one of `doc_to_choice`")?.clone()];
                Vec::new()
            }
            (Output::GenerateUntil, None) => Vec::new(),
            (Output::MultipleChoice, _) => {
                let choices = choices.unwrap_or_default();
                if choices.iter().any(String::is_empty) && delimiter.is_empty() {
                    return Err("an option is empty".into());
                }
                let golds: Vec<Option<usize>> = match &target {
                    Json::Array(items) => items.iter().map(|item| number_of(item, &choices)).collect(),
                    value => vec![number_of(value, &choices)],
                };
                targets = golds.iter().flatten().map(|&at| label(at)).collect();
                let right = |number: usize| golds.contains(&Some(number));
                choices.iter().enumerate().map(|(number, text)| option(number, text, right(number))).collect()
            }
            // The text alone, without a delimiter.
            (Output::LogLikelihood, _) => {
                let text = targets.first().cloned().unwrap_or_default();
                if text.is_empty() {
                    return Err("`doc_to_target` is empty".into());
                }
                vec![Choice { label: label(0), continuation: text.clone(), text, is_right: true }]
            }
        };
        Ok(Asked { prompt, question, targets, is_list, options })
    }

    /// The solved documents before one.
    fn chosen<'a>(
        &self,
        document: &Document,
        sampler: &mut Sampler<'a>,
    ) -> Result<Vec<&'a Document>, String> {
        let (shots, solved) = (sampler.shots, &sampler.solved);
        if shots == 0 {
            return Ok(Vec::new());
        }
        let is_other = |other: &&&Document| !self.leaves_out || other.fields != document.fields;
        let too_few = |there: usize| format!("{shots} solved documents are wanted, there are {there}");
        if self.is_first_n {
            let others: Vec<&Document> = solved.iter().filter(is_other).copied().take(shots).collect();
            return if others.len() == shots { Ok(others) } else { Err(too_few(others.len())) };
        }
        let drawn = if self.leaves_out { shots + 1 } else { shots };
        if drawn > solved.len() {
            return Err(too_few(solved.len()));
        }
        let numbers = sampler.random.sample(solved.len(), drawn);
        let mut others: Vec<&Document> =
            numbers.iter().map(|&at| solved[at]).filter(|other| is_other(&other)).take(shots).collect();
        if others.len() < shots {
            // Equal documents were drawn twice.
            let pool: Vec<&Document> = solved.iter().filter(is_other).copied().collect();
            if pool.len() < shots {
                return Err(too_few(pool.len()));
            }
            others = sampler.random.sample(pool.len(), shots).iter().map(|&at| pool[at]).collect();
        }
        Ok(others)
    }

    /// A solved document.
    fn example(&self, document: &Document) -> Result<String, String> {
        let turn = &self.solved;
        let choices = self.choices(turn, document)?;
        let question = self.question(turn, document, choices.is_some())?;
        let prefix = self.prefix(turn, document)?;
        let target = match self.target(turn, document, choices.is_some())? {
            Json::Array(items) => items.into_iter().next().ok_or("`doc_to_target` is an empty list")?,
            value => value,
        };
        let answer = match (&target, &choices) {
            (Json::Number(number), Some(choices)) => {
                let at = number.as_i64().and_then(|at| usize::try_from(at).ok());
                let chosen = at.and_then(|at| choices.get(at));
                chosen
                    .ok_or_else(|| {
                        format!("`doc_to_target` is {number}, there are {} options", choices.len())
                    })?
                    .clone()
            }
            (Json::String(text), _) => text.clone(),
            (other, _) => {
                return Err(format!("`doc_to_target` of a solved document is {other}, expected a text"));
            }
        };
        if answer.is_empty() {
            // Without an answer nothing but the question stands there.
            let Some(prefix) = prefix else { return Ok(question) };
            let delimiter =
                if requires_delimiter(&question, &prefix) { turn.target_delimiter.as_str() } else { "" };
            return Ok(question + delimiter + &prefix);
        }
        let delimiter = match &prefix {
            Some(prefix) if !requires_delimiter(&question, prefix) => "",
            _ => &turn.target_delimiter,
        };
        let answer = match prefix.filter(|prefix| !prefix.is_empty()) {
            Some(prefix) if requires_delimiter(&prefix, &answer) => format!("{prefix} {answer}"),
            Some(prefix) => prefix + &answer,
            None => answer,
        };
        Ok(question + delimiter + &answer + &self.example_delimiter)
    }

    fn prefix(&self, turn: &Turn, document: &Document) -> Result<Option<String>, String> {
        let text = turn.prefix.as_ref().map(|prefix| self.text(prefix, document)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn question(&self, turn: &Turn, document: &Document, has_choices: bool) -> Result<String, String> {
        let text = self.text(&turn.text, document)?;
        if has_choices && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err("`doc_to_text` gives a number: tasks with several inputs are not followed".into());
        }
        Ok(text)
    }

    fn choices(&self, turn: &Turn, document: &Document) -> Result<Option<Vec<String>>, String> {
        let wrong = || "`doc_to_choice` is no list of texts".to_string();
        let texts = |value: &Json| match value {
            Json::Array(items) => {
                let text = |item: &Json| item.as_str().map(String::from).ok_or_else(wrong);
                items.iter().map(text).collect::<Result<Vec<_>, _>>()
            }
            _ => Err(wrong()),
        };
        Ok(Some(match &turn.choices {
            None => return Ok(None),
            Some(Choices::List(list)) => list.clone(),
            Some(Choices::Field(field)) => match document.fields.get(&field.source) {
                Some(value) => texts(value)?,
                None => texts(&python::literal(&self.text(field, document)?).ok_or_else(wrong)?)?,
            },
        }))
    }

    /// The right answer as the task has it: a number where it is one of the options, a text, or a list.
    fn target(&self, turn: &Turn, document: &Document, has_choices: bool) -> Result<Json, String> {
        let field = match &turn.target {
            Target::Number(number) => return Ok((*number).into()),
            Target::List(items) => return Ok(items.clone().into()),
            Target::Field(field) => field,
        };
        if let Some(value) = document.fields.get(&field.source) {
            return Ok(value.clone());
        }
        let text = self.text(field, document)?;
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_number && has_choices {
            return Ok(text.parse::<i64>().map_or(Json::String(text), Json::from));
        }
        if text.len() >= 2 && text.starts_with('[') && text.ends_with(']') {
            return Ok(python::literal(&text).unwrap_or(Json::String(text)));
        }
        Ok(Json::String(text))
    }

    /// The text of a column, or what a template makes of a document.
    fn text(&self, field: &Field, document: &Document) -> Result<String, String> {
        if let Some(value) = document.fields.get(&field.source) {
            return match value {
                Json::String(text) => Ok(text.clone()),
                _ => Err(format!("the column `{}` of `{}` is no text", field.source, field.key)),
            };
        }
        let template = self.environment.get_template(&field.key).map_err(|error| error.to_string())?;
        template.render(&document.value).map_err(|error| {
            let columns: Vec<&str> = document.fields.keys().map(String::as_str).collect();
            format!("`{}`: {error}; the columns are {}", field.key, columns.join(", "))
        })
    }
}

/// The number of the option that an answer names, by number or by text.
fn number_of(answer: &Json, choices: &[String]) -> Option<usize> {
    match answer {
        Json::String(text) => choices.iter().position(|choice| choice == text),
        Json::Number(number) => {
            let at = number.as_i64()?;
            // Negative numbers count from the end in the list of options, and never equal a prediction.
            usize::try_from(at).ok().filter(|at| *at < choices.len())
        }
        _ => None,
    }
}

/// Whether neither end has white space.
fn requires_delimiter(before: &str, after: &str) -> bool {
    let ends = before.chars().next_back().is_none_or(char::is_whitespace);
    !ends && !after.starts_with(char::is_whitespace)
}

impl Field {
    fn read(value: &Value, name: &str, environment: &mut Environment<'static>) -> Result<Self, SuiteError> {
        let source = value.text()?.to_string();
        environment
            .add_template_owned(name.to_string(), source.clone())
            .map_err(|error| value.wrong(format!("the template cannot be read: {error}")))?;
        Ok(Field { key: name.into(), source })
    }
}

impl Target {
    fn read(
        value: &Value,
        field: impl FnOnce(Value) -> Result<Field, SuiteError>,
    ) -> Result<Self, SuiteError> {
        if let Some(number) = value.as_whole() {
            return Ok(Target::Number(number));
        }
        if let Json::Array(items) = value.json()? {
            return Ok(Target::List(items));
        }
        Ok(Target::Field(field(value.clone())?))
    }
}

impl Choices {
    fn read(
        value: &Value,
        field: impl FnOnce(Value) -> Result<Field, SuiteError>,
    ) -> Result<Self, SuiteError> {
        let texts: Vec<&Value> = match value.as_table() {
            Some(table) => table.values().collect(),
            None if value.as_text().is_some() => return Ok(Choices::Field(field(value.clone())?)),
            None => value.list()?.iter().collect(),
        };
        let text = |item: &Value| match item.as_text() {
            // YAML 1.1, which lm-eval reads, takes these words for truth values.
            Some(word) if matches!(word.to_lowercase().as_str(), "yes" | "no" | "on" | "off") => {
                Ok(word.to_string())
            }
            Some(text) => Ok(text.to_string()),
            None => Err(item.wrong("expected a text; put it in quotes")),
        };
        Ok(Choices::List(texts.into_iter().map(text).collect::<Result<_, _>>()?))
    }
}
