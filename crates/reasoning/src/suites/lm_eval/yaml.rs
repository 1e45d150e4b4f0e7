//! YAML with the place of every value, so that what is wrong can be named by file, line and key.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use saphyr::{LoadableYamlNode, MarkedYamlOwned, ScalarOwned, YamlDataOwned};
use serde_json::{Map, Number, Value as Json};

use super::super::{SuiteError, settings};

/// A value of a task file.
#[derive(Clone, Debug)]
pub struct Value {
    place: Place,
    data: Data,
}

/// Where a value stands.
#[derive(Clone, Debug)]
struct Place {
    file: Rc<Path>,
    line: usize,
    key: String,
}

#[derive(Clone, Debug)]
enum Data {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Value>),
    Table(Table),
    /// `!function module.name`.
    Function(String),
}

/// Keys with their values.
#[derive(Clone, Debug)]
pub struct Table {
    place: Place,
    entries: Vec<(String, Value)>,
}

impl Place {
    fn wrong(&self, message: impl Into<String>) -> SuiteError {
        SuiteError::Task {
            file: self.file.to_path_buf(),
            line: self.line,
            key: self.key.clone(),
            message: message.into(),
        }
    }

    fn below(&self, line: usize, key: &str) -> Self {
        let key = match self.key.as_str() {
            "" => key.to_string(),
            above => format!("{above}.{key}"),
        };
        Place { file: self.file.clone(), line, key }
    }
}

/// The keys of a task file; those of the files that it includes are among them, unless they are given again.
///
/// # Errors
/// If a file cannot be read, is no YAML, gives a key twice, or includes itself.
pub fn read(path: &Path) -> Result<Table, SuiteError> {
    read_below(path, &mut Vec::new())
}

fn read_below(path: &Path, above: &mut Vec<PathBuf>) -> Result<Table, SuiteError> {
    let unreadable = |message: String| SuiteError::File { path: path.into(), message };
    let whole = path.canonicalize().map_err(|error| unreadable(error.to_string()))?;
    if above.contains(&whole) {
        return Err(unreadable("the file includes itself".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let file: Rc<Path> = path.into();
    let top = |line| Place { file: file.clone(), line, key: String::new() };
    let documents = MarkedYamlOwned::load_from_str(&text)
        .map_err(|error| top(error.marker().line()).wrong(error.info().to_string()))?;
    let [document] = documents.as_slice() else {
        return Err(top(1).wrong(format!("{} documents, expected one", documents.len())));
    };
    let mut table = convert(document, top(document.span.start.line()))?.table()?;
    let Some(includes) = table.take("include") else { return Ok(table) };
    above.push(whole);
    let mut merged: Vec<(String, Value)> = Vec::new();
    for include in includes.one_or_list() {
        let name = include.text()?;
        let included = path.parent().unwrap_or(Path::new("")).join(name);
        let included = read_below(&included, above).map_err(|error| match error {
            SuiteError::File { path, message } if path.ends_with(name) => {
                include.wrong(format!("cannot include {}: {message}", path.display()))
            }
            other => other,
        })?;
        included.entries.into_iter().for_each(|entry| put(&mut merged, entry));
    }
    above.pop();
    table.entries.into_iter().for_each(|entry| put(&mut merged, entry));
    Ok(Table { place: table.place, entries: merged })
}

fn put(entries: &mut Vec<(String, Value)>, entry: (String, Value)) {
    entries.retain(|(key, _)| *key != entry.0);
    entries.push(entry);
}

fn convert(node: &MarkedYamlOwned, place: Place) -> Result<Value, SuiteError> {
    let data = match &node.data {
        YamlDataOwned::Value(ScalarOwned::Null) => Data::Null,
        YamlDataOwned::Value(ScalarOwned::Boolean(value)) => Data::Boolean(*value),
        YamlDataOwned::Value(ScalarOwned::Integer(value)) => Data::Number((*value).into()),
        YamlDataOwned::Value(ScalarOwned::FloatingPoint(value)) => match Number::from_f64(value.0) {
            Some(number) => Data::Number(number),
            None => return Err(place.wrong(format!("{value} is no finite number"))),
        },
        YamlDataOwned::Value(ScalarOwned::String(text)) => Data::Text(text.clone()),
        YamlDataOwned::Representation(text, _, _) => Data::Text(text.clone()),
        YamlDataOwned::Sequence(items) => Data::List(
            (items.iter().enumerate())
                .map(|(number, item)| {
                    convert(item, place.below(item.span.start.line(), &(number + 1).to_string()))
                })
                .collect::<Result<_, _>>()?,
        ),
        YamlDataOwned::Mapping(pairs) => {
            let entries = pairs.iter().map(|(key, value)| {
                let line = key.span.start.line();
                let name = match convert(key, place.below(line, "key"))?.data {
                    Data::Text(name) => name,
                    Data::Number(number) => number.to_string(),
                    Data::Boolean(value) => value.to_string(),
                    _ => return Err(place.below(line, "key").wrong("a key that is no text")),
                };
                let value = convert(value, place.below(line, &name))?;
                Ok((name, value))
            });
            Data::Table(Table { entries: entries.collect::<Result<_, _>>()?, place: place.clone() })
        }
        YamlDataOwned::Tagged(tag, inner) if tag.suffix == "function" => {
            match convert(inner, place.clone())?.data {
                Data::Text(name) => Data::Function(name),
                _ => return Err(place.wrong("`!function` without the name of a function")),
            }
        }
        YamlDataOwned::Tagged(tag, _) => {
            return Err(place.wrong(format!("the tag !{} has no meaning here", tag.suffix)));
        }
        YamlDataOwned::Alias(_) | YamlDataOwned::BadValue => {
            return Err(place.wrong("a value that cannot be read"));
        }
    };
    Ok(Value { place, data })
}

impl Value {
    /// An error about this value.
    pub fn wrong(&self, message: impl Into<String>) -> SuiteError {
        self.place.wrong(message)
    }

    fn expected(&self, what: &str) -> SuiteError {
        let found = match &self.data {
            Data::Null => "nothing",
            Data::Boolean(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Table(_) => "keys with values",
            Data::Function(name) => {
                return self.wrong(format!(
                    "`!function {name}`: Python functions are not run; expected {what}, such as a template"
                ));
            }
        };
        self.wrong(format!("expected {what}, found {found}"))
    }

    /// Whether nothing is given.
    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// A text.
    pub fn text(&self) -> Result<&str, SuiteError> {
        match &self.data {
            Data::Text(text) => Ok(text),
            _ => Err(self.expected("a text")),
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_whole(&self) -> Option<i64> {
        match &self.data {
            Data::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// True or false.
    pub fn boolean(&self) -> Result<bool, SuiteError> {
        match &self.data {
            Data::Boolean(value) => Ok(*value),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A number.
    pub fn number(&self) -> Result<f64, SuiteError> {
        match &self.data {
            Data::Number(number) => number.as_f64().ok_or_else(|| self.expected("a number")),
            // YAML 1.1 takes 1e-3 for a text, as lm-eval does.
            Data::Text(text) => text.parse().map_err(|_| self.expected("a number")),
            _ => Err(self.expected("a number")),
        }
    }

    /// A whole number that is not negative.
    pub fn count(&self) -> Result<u64, SuiteError> {
        match &self.data {
            Data::Number(number) => number.as_u64().ok_or_else(|| self.expected("a whole number from 0")),
            _ => Err(self.expected("a whole number from 0")),
        }
    }

    /// A list.
    pub fn list(&self) -> Result<&[Value], SuiteError> {
        match &self.data {
            Data::List(items) => Ok(items),
            _ => Err(self.expected("a list")),
        }
    }

    /// The items of a list, or what is none as the only one.
    pub fn one_or_list(&self) -> Vec<&Value> {
        match &self.data {
            Data::List(items) => items.iter().collect(),
            _ => vec![self],
        }
    }

    /// Keys with values.
    pub fn table(self) -> Result<Table, SuiteError> {
        match self.data {
            Data::Table(table) => Ok(table),
            _ => Err(self.expected("keys with values")),
        }
    }

    /// The keys with values, if it is such.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The same as JSON.
    pub fn json(&self) -> Result<Json, SuiteError> {
        Ok(match &self.data {
            Data::Null => Json::Null,
            Data::Boolean(value) => Json::Bool(*value),
            Data::Number(number) => Json::Number(number.clone()),
            Data::Text(text) => Json::String(text.clone()),
            Data::List(items) => Json::Array(items.iter().map(Value::json).collect::<Result<_, _>>()?),
            Data::Table(table) => Json::Object(table.json()?),
            Data::Function(_) => return Err(self.expected("a value")),
        })
    }
}

impl Table {
    /// Takes the value of a key out; a null is as good as none.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(at).1).filter(|value| !value.is_null())
    }

    /// The same of a key that has to be there.
    pub fn required(&mut self, key: &str) -> Result<Value, SuiteError> {
        self.take(key).ok_or_else(|| self.place.wrong(format!("the key `{key}` is missing")))
    }

    /// An error about the table as a whole.
    pub fn wrong(&self, message: impl Into<String>) -> SuiteError {
        self.place.wrong(message)
    }

    /// The values in their order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The keys with their values.
    pub fn entries(&self) -> &[(String, Value)] {
        &self.entries
    }

    /// The same as JSON.
    pub fn json(&self) -> Result<Map<String, Json>, SuiteError> {
        self.entries.iter().map(|(key, value)| Ok((key.clone(), value.json()?))).collect()
    }

    /// Nothing may be left but `ignored` keys.
    ///
    /// # Errors
    /// The first key that is left, with the nearest of those that are `known`.
    pub fn finish(self, known: &[&str], ignored: &[&str]) -> Result<(), SuiteError> {
        let left =
            self.entries.iter().find(|(key, value)| !ignored.contains(&key.as_str()) && !value.is_null());
        let Some((key, value)) = left else { return Ok(()) };
        let names: Vec<&str> = known.iter().chain(ignored).copied().collect();
        Err(value.wrong(format!("there is no key `{key}`; {}", settings::hint(key, &names))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        read(&folder.path().join(files[0].0)).map_err(|error| error.to_string())
    }

    #[test]
    fn values_keep_their_places() {
        let mut table =
            written(&[("a.yaml", "task: a\nlist:\n  - x: 1\n    y: !function utils.f\n")]).unwrap();
        let list = table.take("list").unwrap();
        let mut item = list.list().unwrap()[0].clone().table().unwrap();
        assert_eq!(item.take("x").unwrap().count().unwrap(), 1);
        let message = item.take("y").unwrap().text().unwrap_err().to_string();
        assert!(
            message.contains("a.yaml:4: list.1.y: `!function utils.f`: Python functions are not run"),
            "{message}"
        );
    }

    #[test]
    fn included_keys_come_first_and_own_keys_win() {
        let base = "task: base\nnum_fewshot: 3\nprocess_docs: !function utils.f\n";
        let mut table = written(&[
            ("a.yaml", "include: base.yaml\ntask: own\nprocess_docs: null\n"),
            ("base.yaml", base),
        ])
        .unwrap();
        assert_eq!(table.take("task").unwrap().text().unwrap(), "own");
        assert_eq!(table.take("num_fewshot").unwrap().count().unwrap(), 3);
        assert!(table.take("process_docs").is_none());
        let message = written(&[("a.yaml", "include: a.yaml\n")]).unwrap_err();
        assert!(message.contains("includes itself"), "{message}");
        let message = written(&[("a.yaml", "task: x\ninclude: none.yaml\n")]).unwrap_err();
        assert!(message.contains("a.yaml:2: include: cannot include"), "{message}");
    }

    #[test]
    fn what_is_no_task_is_named_by_line() {
        for (text, expected) in [
            ("task: a\ntask: b\n", "a.yaml:2"),
            ("task: [1, 2\n", "a.yaml:"),
            ("- 1\n- 2\n", "expected keys with values, found a list"),
            ("task: !other x\n", "a.yaml:1: task: the tag !other has no meaning here"),
        ] {
            let message = written(&[("a.yaml", text)]).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let table = written(&[("a.yaml", "task: a\ndoc_to_txt: x\n")]).unwrap();
        let message = table.finish(&["task", "doc_to_text"], &["task"]).unwrap_err().to_string();
        assert!(
            message
                .contains("a.yaml:2: doc_to_txt: there is no key `doc_to_txt`; did you mean `doc_to_text`?"),
            "{message}"
        );
    }
}
