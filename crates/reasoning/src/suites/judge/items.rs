//! What is judged: items of a file of JSON lines, the replies of a run, or pairs of replies of two runs. They are read one
//! after the other, as often as needed, so that there may be any number of them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::task::{FIRST, NO, SECOND, TIE, YES};
use super::{Checker, JudgeError, Kind, Label, Labels, Task};
use crate::lines::Lines;
use crate::suites::index::Index;
use crate::suites::settings::hint;
use crate::suites::{Ending, Record, RecordError, Verdict};

/// Something to be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Its name.
    pub id: String,
    /// The problem that it is a case of, by which items depend on each other; items of their own have their own name here.
    pub group: String,
    /// The text of the problem.
    pub problem: String,
    /// The reply, or the first and the second one. Empty where a reply is missing: such an item is not asked about.
    pub replies: Vec<String>,
    /// The reference answer.
    pub reference: Option<String>,
    /// What is known to be right.
    pub gold: Option<Label>,
    /// What the checker says.
    pub checker: Option<Label>,
}

/// An item with the line that it stands on, or why it cannot be read.
pub type Numbered = Result<(usize, Item), JudgeError>;

/// Items that were looked through and fit.
pub struct Items {
    from: From,
    kind: Kind,
    labels: Labels,
    gold: HashMap<String, Label>,
    checker: Option<Checker>,
    /// How many there are.
    pub count: usize,
    /// How many have a gold label.
    pub labelled: usize,
    /// Problems of only one of two runs, which are not judged.
    pub unpaired: usize,
    /// The files with the BLAKE3 digests of their bytes.
    pub files: Vec<(PathBuf, String)>,
}

enum From {
    Lines(PathBuf),
    Run(PathBuf),
    /// The records of the second run are found by their names.
    Runs(PathBuf, Box<Index>, HashMap<String, usize>),
}

impl Items {
    /// Opens the items of a task, from `sources` or, if that is empty, from those that the task names: a file of JSON lines,
    /// or folders of finished runs. All are read, and every prompt is made, before anything is asked.
    ///
    /// # Errors
    /// If files are missing, a line does not fit, a name occurs twice, or the template fails.
    pub fn open(task: &Task, sources: &[PathBuf]) -> Result<Self, JudgeError> {
        let sources = if sources.is_empty() { &task.sources } else { sources };
        let from = From::of(task.kind, sources)?;
        if task.checker.is_some() && matches!(from, From::Lines(_)) {
            return Err(JudgeError::File {
                path: sources[0].clone(),
                message: "`checker` needs runs, whose records hold verdicts".into(),
            });
        }
        let mut items = Items {
            from,
            kind: task.kind,
            labels: task.labels.clone(),
            gold: HashMap::new(),
            checker: task.checker,
            count: 0,
            labelled: 0,
            unpaired: 0,
            files: Vec::new(),
        };
        if let Some(path) = &task.gold {
            items.gold = read_gold(path, &task.labels)?;
        }
        let mut names = HashSet::new();
        let mut unknown: HashSet<&str> = items.gold.keys().map(String::as_str).collect();
        let (mut count, mut labelled) = (0, 0);
        for item in items.each()? {
            let (line, item) = item?;
            let wrong = |message: String| JudgeError::Line { path: items.path().into(), line, message };
            task.requests(&item, 1).map_err(|error| wrong(error.to_string()))?;
            unknown.remove(item.id.as_str());
            count += 1;
            labelled += usize::from(item.gold.is_some());
            if names.contains(&item.id) {
                return Err(wrong(format!("the id `{}` is there twice", item.id)));
            }
            names.insert(item.id);
        }
        let nothing = |message: &str| JudgeError::File { path: items.path().into(), message: message.into() };
        match &items.from {
            _ if count > 0 => {}
            From::Runs(..) => return Err(nothing("no problem of this run has replies in the other")),
            _ => return Err(nothing("there is nothing to judge")),
        }
        if let (Some(path), Some(id)) = (&task.gold, unknown.iter().min()) {
            return Err(JudgeError::File { path: path.clone(), message: format!("there is no item `{id}`") });
        }
        if let From::Runs(path, index, numbers) = &items.from {
            let ids = Index::build(path).map_err(wrong_record)?;
            let common = ids.ids().filter(|id| numbers.contains_key(*id)).count();
            items.unpaired = (ids.len() - common) + (index.len() - common);
        }
        (items.count, items.labelled) = (count, labelled);
        let paths = items.from.paths(sources).into_iter().chain(task.gold.clone());
        items.files =
            paths.map(|path| digest(&path).map(|digest| (path, digest))).collect::<Result<_, _>>()?;
        Ok(items)
    }

    fn path(&self) -> &Path {
        match &self.from {
            From::Lines(path) | From::Run(path) | From::Runs(path, ..) => path,
        }
    }

    /// The items in their order, each with the line that it begins on.
    ///
    /// # Errors
    /// If the file cannot be read; and for each line that does not fit.
    pub fn each(&self) -> Result<Box<dyn Iterator<Item = Numbered> + '_>, JudgeError> {
        match &self.from {
            From::Lines(path) => {
                let failed = |error: std::io::Error| file_error(path, &error);
                let mut lines = Lines::open(path).map_err(failed)?;
                let mut line = Vec::new();
                Ok(Box::new(std::iter::from_fn(move || {
                    loop {
                        line.clear();
                        match lines.read(&mut line) {
                            Ok(false) => return None,
                            Ok(true) if line.trim_ascii().is_empty() => {}
                            Ok(true) => {
                                let number = lines.number();
                                let item = self.item_of_line(&line).map_err(|message| JudgeError::Line {
                                    path: path.clone(),
                                    line: number,
                                    message,
                                });
                                return Some(item.map(|item| (number, item)));
                            }
                            Err(error) => return Some(Err(failed(error))),
                        }
                    }
                })))
            }
            From::Run(path) | From::Runs(path, ..) => {
                let records = Record::each(path).map_err(wrong_record)?;
                Ok(Box::new(records.enumerate().flat_map(move |(number, record)| {
                    let items = match record.map_err(wrong_record) {
                        Ok(record) => self.items_of_record(path, number + 1, &record),
                        Err(error) => vec![Err(error)],
                    };
                    items.into_iter().map(move |item| item.map(|item| (number + 1, item)))
                })))
            }
        }
    }

    fn item_of_line(&self, line: &[u8]) -> Result<Item, String> {
        let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let replies: &[&str] = match self.kind {
            Kind::Preference => &["first", "second"],
            Kind::Score | Kind::Correctness => &["reply"],
        };
        let known = [&["id", "group", "problem", "reference", "gold"], replies].concat();
        if let Some(strange) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("unknown field `{strange}`; {}", hint(strange, &known)));
        }
        let optional = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{name}` is {other}: expected a text")),
        };
        let needed = |name: &str| optional(name)?.ok_or_else(|| format!("the field `{name}` is missing"));
        let id = needed("id")?;
        let reference = match self.kind {
            Kind::Correctness => Some(needed("reference")?),
            Kind::Preference | Kind::Score => optional("reference")?,
        };
        let own = match fields.get("gold") {
            None | Some(Value::Null) => None,
            Some(value) => Some(self.labels.read(value).map_err(|message| format!("gold: {message}"))?),
        };
        let other = self.gold.get(&id).copied();
        if own.is_some() && other.is_some() {
            return Err(format!("`{id}` has a gold label here and in the file of gold labels"));
        }
        Ok(Item {
            group: optional("group")?.unwrap_or_else(|| id.clone()),
            problem: needed("problem")?,
            replies: replies.iter().map(|name| needed(name)).collect::<Result<_, _>>()?,
            reference,
            gold: own.or(other),
            checker: None,
            id,
        })
    }

    /// The samples of a record, each an item; or its pairs with those of the other run.
    fn items_of_record(&self, path: &Path, line: usize, record: &Record) -> Vec<Result<Item, JudgeError>> {
        let other = match &self.from {
            From::Runs(_, index, numbers) => match numbers.get(&record.id) {
                None => return Vec::new(),
                Some(number) => match index.read(*number) {
                    Ok(other) => Some(other),
                    Err(error) => return vec![Err(wrong_record(error))],
                },
            },
            _ => None,
        };
        let sides: Vec<&Record> = std::iter::once(record).chain(&other).collect();
        let ungraded = |side: &&Record| side.grades.len() != side.replies.len();
        if self.checker.is_some() && sides.iter().any(ungraded) {
            let message = match sides.first().is_some_and(ungraded) {
                true => "the record holds no verdicts of the checker".to_string(),
                false => {
                    format!("the record `{}` of the other run holds no verdicts of the checker", record.id)
                }
            };
            return vec![Err(JudgeError::Line { path: path.into(), line, message })];
        }
        let samples = sides.iter().map(|side| side.replies.len()).min().unwrap_or(0);
        let item = |sample: usize| {
            let id = match sample {
                0 => record.id.clone(),
                sample => format!("{} ({})", record.id, sample + 1),
            };
            let replies: Vec<_> = sides.iter().map(|side| &side.replies[sample]).collect();
            let is_missing = replies.iter().any(|reply| reply.ending == Ending::Failed);
            let right: Option<Vec<bool>> = (sides.iter())
                .map(|side| match side.grades.get(sample)?.verdict {
                    Verdict::Error => None,
                    verdict => Some(verdict == Verdict::Right),
                })
                .collect();
            let checked = match (self.kind, right.as_deref()) {
                (Kind::Preference, Some([one, other])) if one != other => {
                    Some(if *one { FIRST } else { SECOND })
                }
                (Kind::Preference, Some([_, _])) => Some(TIE),
                (Kind::Correctness, Some([right])) => Some(if *right { YES } else { NO }),
                _ => None,
            };
            let is_gold = self.checker == Some(Checker::Gold);
            Item {
                gold: if is_gold { checked } else { self.gold.get(&id).copied() },
                checker: checked.filter(|_| self.checker == Some(Checker::Rater)),
                id,
                group: record.id.clone(),
                problem: record.question.clone(),
                replies: match is_missing {
                    true => Vec::new(),
                    false => replies.iter().map(|reply| reply.text.clone()).collect(),
                },
                reference: Some(record.reference.clone()),
            }
        };
        (0..samples).map(|sample| Ok(item(sample))).collect()
    }
}

impl From {
    fn of(kind: Kind, sources: &[PathBuf]) -> Result<Self, JudgeError> {
        let records = |folder: &Path| {
            let path = folder.join("records.jsonl");
            match path.is_file() {
                true => Ok(path),
                false => Err(JudgeError::File {
                    path: folder.into(),
                    message: "the folder holds no run: there is no records.jsonl".into(),
                }),
            }
        };
        let wrong =
            |path: &Path, message: &str| JudgeError::File { path: path.into(), message: message.into() };
        match (sources, kind) {
            ([], _) => Err(wrong(
                Path::new(kind.name()),
                "there is nothing to judge: name a file of items, or folders of runs",
            )),
            ([path], Kind::Preference) if path.is_dir() => {
                Err(wrong(path, "a preference is one of two replies: name two runs"))
            }
            ([folder], _) if folder.is_dir() => Ok(From::Run(records(folder)?)),
            ([path], _) if path.exists() => Ok(From::Lines(path.clone())),
            ([path], _) => Err(wrong(path, "there is no such file or folder")),
            ([first, second], Kind::Preference) => {
                let (first, second) = (records(first)?, records(second)?);
                let index = Index::build(&second).map_err(wrong_record)?;
                let numbers = index.ids().map(str::to_string).zip(0..).collect();
                Ok(From::Runs(first, Box::new(index), numbers))
            }
            ([_, other, ..], _) => {
                let most = if kind == Kind::Preference { "two runs" } else { "one run" };
                Err(wrong(other, &format!("a task of the kind {} judges {most} at most", kind.name())))
            }
        }
    }

    /// The files that are read.
    fn paths(&self, sources: &[PathBuf]) -> Vec<PathBuf> {
        match self {
            From::Lines(path) | From::Run(path) => vec![path.clone()],
            From::Runs(..) => sources.iter().map(|folder| folder.join("records.jsonl")).collect(),
        }
    }
}

/// Lines {"id": ..., "gold": ...}.
fn read_gold(path: &Path, labels: &Labels) -> Result<HashMap<String, Label>, JudgeError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        id: String,
        gold: Value,
    }
    let mut lines = Lines::open(path).map_err(|error| file_error(path, &error))?;
    let mut gold = HashMap::new();
    let mut line = Vec::new();
    while lines.read(&mut line).map_err(|error| file_error(path, &error))? {
        if !line.trim_ascii().is_empty() {
            let number = lines.number();
            let wrong = |message: String| JudgeError::Line { path: path.into(), line: number, message };
            let Line { id, gold: label } =
                serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
            let label = labels.read(&label).map_err(|message| wrong(format!("gold: {message}")))?;
            if gold.contains_key(&id) {
                return Err(wrong(format!("the id `{id}` is there twice")));
            }
            gold.insert(id, label);
        }
        line.clear();
    }
    Ok(gold)
}

fn digest(path: &Path) -> Result<String, JudgeError> {
    let mut hasher = blake3::Hasher::new();
    let read = std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    read.map_err(|error| file_error(path, &error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn file_error(path: &Path, error: &std::io::Error) -> JudgeError {
    JudgeError::File { path: path.into(), message: error.to_string() }
}

fn wrong_record(error: RecordError) -> JudgeError {
    match error {
        RecordError::File(file, error) => file_error(Path::new(&file), &error),
        RecordError::Line { file, line, message } => JudgeError::Line { path: file.into(), line, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Mode;
    use crate::suites::{Grader, Problem, Reply, grade};

    fn task(folder: &Path, text: &str) -> Task {
        let path = folder.join("task.toml");
        std::fs::write(&path, text).unwrap();
        Task::open(path.to_str().unwrap()).unwrap()
    }

    fn all(items: &Items) -> Vec<Item> {
        items.each().unwrap().map(|item| item.unwrap().1).collect()
    }

    #[test]
    fn lines_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let task = task(at, "kind = 'correctness'\nitems = 'items.jsonl'");
        let good =
            "{\"id\": \"a\", \"problem\": \"p\", \"reply\": \"r\", \"reference\": \"1\", \"gold\": \"yes\"}";
        for (line, expected) in [
            ("{", "items.jsonl:3: "),
            (good, "items.jsonl:3: the id `a` is there twice"),
            (
                "{\"id\": \"b\", \"problem\": \"p\", \"reply\": \"r\"}",
                "items.jsonl:3: the field `reference` is missing",
            ),
            ("{\"id\": \"b\", \"reply\": \"r\", \"reference\": \"1\"}", "the field `problem` is missing"),
            ("{\"id\": \"b\", \"problem\": 7, \"reply\": \"r\", \"reference\": \"1\"}", "`problem` is 7"),
            ("{\"id\": \"b\", \"problm\": \"p\"}", "did you mean `problem`?"),
            (
                "{\"id\": \"b\", \"problem\": \"p\", \"reply\": \"r\", \"reference\": \"1\", \"gold\": \"right\"}",
                "items.jsonl:3: gold: \"right\" is none of no, yes",
            ),
        ] {
            std::fs::write(at.join("items.jsonl"), format!("{good}\n\n{line}\n")).unwrap();
            let message = Items::open(&task, &[]).err().expect(line).to_string();
            assert!(message.contains(expected), "{line}: {message}");
        }
        std::fs::write(at.join("items.jsonl"), "\n").unwrap();
        assert!(Items::open(&task, &[]).err().unwrap().to_string().contains("nothing to judge"));
        std::fs::write(at.join("items.jsonl"), good).unwrap();
        let items = Items::open(&task, &[]).unwrap();
        assert_eq!((items.count, items.labelled, items.files[0].1.len()), (1, 1, 64));
        assert_eq!(all(&items)[0].gold, Some(YES));
        for sources in [vec!["none.jsonl"], vec!["."], vec!["items.jsonl", "items.jsonl"]] {
            let sources: Vec<PathBuf> = sources.iter().map(|source| at.join(source)).collect();
            assert!(Items::open(&task, &sources).is_err());
        }
    }

    #[test]
    fn gold_labels_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let task = task(at, "kind = 'score'\nitems = 'items.jsonl'\ngold = 'gold.jsonl'");
        let line = |id: &str, gold: &str| {
            format!("{{\"id\": \"{id}\", \"problem\": \"p\", \"reply\": \"r\"{gold}}}\n")
        };
        std::fs::write(at.join("items.jsonl"), line("a", "") + &line("b", ", \"gold\": 2")).unwrap();
        for (gold, expected) in [
            ("{\"id\": \"a\", \"gold\": 6}", "gold.jsonl:1: gold: 6 is none of 1, 2, 3, 4, 5"),
            ("{\"id\": \"c\", \"gold\": 5}", "there is no item `c`"),
            ("{\"id\": \"b\", \"gold\": 5}", "items.jsonl:2: `b` has a gold label here and"),
            (
                "{\"id\": \"a\", \"gold\": 5}\n{\"id\": \"a\", \"gold\": 5}",
                "gold.jsonl:2: the id `a` is there twice",
            ),
        ] {
            std::fs::write(at.join("gold.jsonl"), gold).unwrap();
            let message = Items::open(&task, &[]).err().expect(gold).to_string();
            assert!(message.contains(expected), "{gold}: {message}");
        }
        std::fs::write(at.join("gold.jsonl"), "{\"id\": \"a\", \"gold\": 5}").unwrap();
        let items = Items::open(&task, &[]).unwrap();
        assert_eq!(all(&items).iter().map(|item| item.gold).collect::<Vec<_>>(), [Some(4), Some(1)]);
    }

    fn write_run(folder: &Path, replies: &[(&str, &[&str])], is_graded: bool) {
        let mut records: Vec<Record> = (replies.iter())
            .map(|(id, replies)| {
                let problem = Problem { id: id.to_string(), reference: "0.5".into(), ..Problem::default() };
                let reply = |text: &&str| match *text {
                    "lost" => Reply { ending: Ending::Failed, ..Reply::complete("") },
                    text => Reply::complete(text),
                };
                Record::new(&problem, "?".into(), None, replies.iter().map(reply).collect())
            })
            .collect();
        if is_graded {
            grade::grade(&mut records, &Grader::new(Mode::Strict));
        }
        std::fs::create_dir_all(folder).unwrap();
        Record::write(&records, std::fs::File::create(folder.join("records.jsonl")).unwrap()).unwrap();
    }

    #[test]
    fn runs_are_judged_alone_and_in_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write_run(
            &at.join("a"),
            &[("p", &["\\boxed{1/2}", "\\boxed{7}"]), ("q", &["lost", "?"]), ("r", &["?", "?"])],
            true,
        );
        write_run(
            &at.join("b"),
            &[("s", &["?"]), ("q", &["?", "\\boxed{0.5}"]), ("p", &["\\boxed{2}"])],
            true,
        );
        write_run(&at.join("c"), &[("p", &["?"])], false);

        let single = task(at, "kind = 'correctness'\nruns = ['a']\nchecker = 'gold'");
        let items = Items::open(&single, &[]).unwrap();
        let found: Vec<_> = all(&items)
            .into_iter()
            .map(|item| (item.id, item.group, item.gold, item.replies.len()))
            .collect();
        let expected = [
            ("p", "p", Some(YES), 1),
            ("p (2)", "p", Some(NO), 1),
            ("q", "q", None, 0),
            ("q (2)", "q", Some(NO), 1),
            ("r", "r", Some(NO), 1),
            ("r (2)", "r", Some(NO), 1),
        ];
        let expected: Vec<_> = (expected.iter())
            .map(|(id, group, gold, count)| (id.to_string(), group.to_string(), *gold, *count))
            .collect();
        assert_eq!((found, items.labelled), (expected, 5));
        let ungraded = Items::open(&single, &[at.join("c")]).err().unwrap().to_string();
        assert!(ungraded.contains("records.jsonl:1: the record holds no verdicts"), "{ungraded}");

        let pairs = task(at, "kind = 'preference'\nchecker = 'rater'");
        let items = Items::open(&pairs, &[at.join("a"), at.join("b")]).unwrap();
        let found: Vec<_> = all(&items).into_iter().map(|item| (item.id, item.checker, item.gold)).collect();
        let expected = [
            ("p".to_string(), Some(FIRST), None),
            ("q".into(), None, None),
            ("q (2)".into(), Some(SECOND), None),
        ];
        assert_eq!((found, items.unpaired, items.labelled), (expected.to_vec(), 2, 0));
        let one = Items::open(&pairs, &[at.join("a")]).err().unwrap().to_string();
        assert!(one.contains("name two runs"), "{one}");
        write_run(&at.join("d"), &[("z", &["?"])], true);
        let none = Items::open(&pairs, &[at.join("a"), at.join("d")]).err().unwrap().to_string();
        assert!(none.contains("no problem of this run"), "{none}");
    }
}
