//! What is judged, and on which scale:
//!
//! ```toml
//! kind = "score"                # or "preference" or "correctness"
//! name = "proofs"               # default: the name of the file
//! items = "items.jsonl"         # beside this file; or runs = ["../runs/a", "../runs/b"]; or on the command line
//! gold = "gold.jsonl"           # lines {"id": ..., "gold": ...}; items may have `gold` themselves
//! checker = "gold"              # of runs: the verdicts of the checker are gold labels; or "rater": one more rater
//! scale = [1, 5]                # of scores: whole numbers from .. to; or
//! categories = ["wrong", "gaps", "right"]     # names, the worst first
//! metric = "ordinal"            # how ratings differ: nominal, ordinal (the default), interval, ratio
//! rubric = "..."                # what the judge is told to look at
//! template = "own.jinja"        # a prompt instead of the built-in one
//! tries = 3                     # replies to one question, as long as they are malformed
//! temperature = 0.7
//! max-tokens = 1024
//! ```

use std::path::{Path, PathBuf};

use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{Item, JudgeError, Label};
use crate::models::{Message, Request, Sampling};
use crate::statistics::agreement::Scale;
use crate::suites::json;
use crate::suites::prompt::Template;
use crate::suites::settings::hint;

/// What is asked about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Which of two replies is better.
    Preference,
    /// How good a reply is.
    Score,
    /// Whether the final answer of a reply equals the reference.
    Correctness,
}

/// What the verdicts of the checker that a run holds are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checker {
    /// Gold labels.
    Gold,
    /// One more rater.
    Rater,
}

/// What a judge may say, the worst first; of preferences: first, tie, second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Labels {
    /// Their names.
    pub names: Vec<String>,
    /// Their numbers, by which they differ on scales of numbers.
    pub values: Vec<f64>,
    /// Whether a judge writes them as numbers.
    pub are_numbers: bool,
    /// How they differ.
    #[serde(skip)]
    pub scale: Scale,
}

/// What is judged.
pub struct Task {
    /// Its name.
    pub name: String,
    /// The kind.
    pub kind: Kind,
    /// The items: a file of JSON lines, or one or two folders of runs. Empty if the task does not say.
    pub sources: Vec<PathBuf>,
    /// Gold labels in a file of their own.
    pub gold: Option<PathBuf>,
    /// What the verdicts of the checker are taken for.
    pub checker: Option<Checker>,
    /// What a judge may say.
    pub labels: Labels,
    /// How often one reply is asked for at most, as long as it is malformed.
    pub tries: usize,
    /// How the judge writes; without a seed.
    pub sampling: Sampling,
    rubric: String,
    template: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    kind: Kind,
    name: Option<String>,
    items: Option<PathBuf>,
    #[serde(default)]
    runs: Vec<PathBuf>,
    gold: Option<PathBuf>,
    checker: Option<Checker>,
    scale: Option<[i64; 2]>,
    categories: Option<Vec<String>>,
    metric: Option<Scale>,
    #[serde(default)]
    rubric: String,
    template: Option<PathBuf>,
    #[serde(default = "tries")]
    tries: usize,
    #[serde(default = "temperature")]
    temperature: f64,
    #[serde(default = "max_tokens")]
    max_tokens: u64,
}

fn tries() -> usize {
    3
}

fn temperature() -> f64 {
    0.7
}

fn max_tokens() -> u64 {
    1024
}

/// The most labels of a scale.
const MOST_LABELS: usize = 100;

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Preference, Kind::Score, Kind::Correctness];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Preference => "preference",
            Kind::Score => "score",
            Kind::Correctness => "correctness",
        }
    }

    /// The fields of an item that a template must show.
    fn shown(self) -> &'static [&'static str] {
        match self {
            Kind::Preference => &["problem", "first", "second"],
            Kind::Score => &["problem", "reply"],
            Kind::Correctness => &["reply", "reference"],
        }
    }

    fn template(self) -> &'static str {
        match self {
            Kind::Preference => include_str!("../prompts/judge-preference.jinja"),
            Kind::Score => include_str!("../prompts/judge-score.jinja"),
            Kind::Correctness => include_str!("../prompts/judge-correctness.jinja"),
        }
    }
}

impl Labels {
    fn of(names: impl IntoIterator<Item = impl ToString>, values: Vec<f64>, scale: Scale) -> Self {
        let names = names.into_iter().map(|name| name.to_string()).collect();
        Labels { names, values, are_numbers: false, scale }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Reads a label as it stands in JSON: a number where labels are numbers, else its name.
    pub fn read(&self, value: &serde_json::Value) -> Result<Label, String> {
        let found = match (value, self.are_numbers) {
            (serde_json::Value::Number(number), true) => number
                .as_i64()
                .and_then(|number| self.values.iter().position(|value| *value == number as f64)),
            (serde_json::Value::String(name), false) => self.names.iter().position(|known| known == name),
            _ => None,
        };
        found
            .map(|place| place as Label)
            .ok_or_else(|| format!("{value} is none of {}", self.names.join(", ")))
    }

    /// The name of a label.
    pub fn name(&self, label: Label) -> &str {
        &self.names[usize::from(label)]
    }

    /// The number of a label.
    pub fn value(&self, label: Label) -> f64 {
        self.values[usize::from(label)]
    }
}

impl Task {
    /// The task of a file that ends in `.toml`, or one of a kind by its name.
    ///
    /// # Errors
    /// If there is none, a key is unknown, or what it says does not fit together.
    pub fn open(name: &str) -> Result<Self, JudgeError> {
        if !name.ends_with(".toml") {
            let kinds = Kind::ALL.map(Kind::name);
            return match kinds.iter().position(|kind| *kind == name) {
                Some(at) => Task::parse(&format!("kind = \"{}\"", kinds[at]), Path::new(name)),
                None => Err(JudgeError::Name { name: name.into(), hint: hint(name, &kinds) }),
            };
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path)
            .map_err(|error| JudgeError::File { path: path.into(), message: error.to_string() })?;
        Task::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, JudgeError> {
        let wrong = |message: String| JudgeError::File { path: path.into(), message };
        let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().into()))?;
        let labels = file.labels().map_err(wrong)?;
        file.check().map_err(wrong)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (name, text) = match &file.template {
            None => (file.kind.name().to_string(), file.kind.template().to_string()),
            Some(template) => {
                let template = folder.join(template);
                let text = std::fs::read_to_string(&template).map_err(|error| JudgeError::File {
                    path: template.clone(),
                    message: error.to_string(),
                })?;
                (template.display().to_string(), text)
            }
        };
        let template = Template::new(&name, &text)?;
        let missing: Vec<&str> =
            file.kind.shown().iter().copied().filter(|field| !template.shows(field)).collect();
        if !missing.is_empty() {
            let fields =
                missing.iter().map(|field| format!("{{{{ {field} }}}}")).collect::<Vec<_>>().join(", ");
            return Err(JudgeError::File {
                path: name.into(),
                message: format!(
                    "the template does not show {fields}, without which a judge cannot say anything"
                ),
            });
        }
        let stem = path.file_stem().map_or("judge".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Task {
            name: file.name.clone().unwrap_or(stem),
            kind: file.kind,
            sources: file.items.iter().chain(&file.runs).map(|source| folder.join(source)).collect(),
            gold: file.gold.as_ref().map(|gold| folder.join(gold)),
            checker: file.checker,
            labels,
            tries: file.tries,
            sampling: Sampling {
                temperature: Some(file.temperature),
                max_tokens: Some(file.max_tokens),
                ..Sampling::default()
            },
            rubric: file.rubric.trim().to_string(),
            template,
        })
    }

    /// Whether each item is asked in both orders.
    pub fn is_swapped(&self) -> bool {
        self.kind == Kind::Preference
    }

    /// The questions about an item, for so many repeats: one, or of preferences one for each order.
    ///
    /// # Errors
    /// If the template fails.
    pub fn requests(&self, item: &Item, repeats: usize) -> Result<Vec<Request>, JudgeError> {
        let ask = |first: &str, second: &str| -> Result<Request, JudgeError> {
            let text = self.template.render(context! {
                problem => item.problem,
                reply => first,
                first,
                second,
                reference => item.reference,
                rubric => self.rubric,
                labels => self.labels.names,
                numbers => self.labels.are_numbers,
            })?;
            Ok(Request::chat([Message::user(text)]).sampled(self.sampling.clone()).times(repeats))
        };
        match &item.replies[..] {
            [first, second] => Ok(vec![ask(first, second)?, ask(second, first)?]),
            [reply, ..] => Ok(vec![ask(reply, "")?]),
            [] => Ok(Vec::new()),
        }
    }

    /// Reads a judge's reply: one JSON object with `verdict` and perhaps `reason`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, reply: &str) -> Result<Label, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Said {
            #[serde(rename = "reason")]
            _reason: Option<String>,
            verdict: serde_json::Value,
        }
        let said: Said = serde_json::from_str(json::unfenced(reply)).map_err(|error| error.to_string())?;
        self.labels.read(&said.verdict)
    }

    /// Puts verdicts on one item together, and says whether they were tied: those of repeats, or those of judges. What is
    /// missing has no vote; without any vote there is no verdict.
    ///
    /// Scores take the median; of two middle ones the lower, which is a tie if they differ. Scores without an order, preferences and correctness
    /// take the label with the most votes; a tie is "tie" for preferences, "no" for correctness, and for scores the tied
    /// category that the task names first.
    pub fn together(&self, verdicts: impl IntoIterator<Item = Option<Label>>) -> (Option<Label>, bool) {
        let mut votes: Vec<Label> = verdicts.into_iter().flatten().collect();
        votes.sort_unstable();
        if votes.is_empty() {
            return (None, false);
        }
        if self.kind == Kind::Score && self.labels.scale != Scale::Nominal {
            let (low, high) = (votes[(votes.len() - 1) / 2], votes[votes.len() / 2]);
            return (Some(low), low != high);
        }
        let counts: Vec<(Label, usize)> =
            votes.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len())).collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let mut leading = counts.iter().filter(|(_, count)| *count == most).map(|(label, _)| *label);
        let first = leading.next();
        match (leading.next().is_some(), self.kind) {
            (true, Kind::Preference) => (Some(TIE), true),
            (is_tied, _) => (first, is_tied),
        }
    }
}

/// The labels of preferences.
pub(super) const FIRST: Label = 0;
pub(super) const TIE: Label = 1;
pub(super) const SECOND: Label = 2;
/// The labels of correctness.
pub(super) const NO: Label = 0;
pub(super) const YES: Label = 1;

impl File {
    fn labels(&self) -> Result<Labels, String> {
        if self.kind != Kind::Score {
            for (key, is_given) in [
                ("scale", self.scale.is_some()),
                ("categories", self.categories.is_some()),
                ("metric", self.metric.is_some()),
            ] {
                if is_given {
                    return Err(format!("`{key}` has no meaning for the kind {}", self.kind.name()));
                }
            }
        }
        // A tie lies between the two.
        match self.kind {
            Kind::Preference => {
                return Ok(Labels::of(["first", "tie", "second"], vec![1.0, 0.0, -1.0], Scale::Ordinal));
            }
            Kind::Correctness => return Ok(Labels::of(["no", "yes"], vec![0.0, 1.0], Scale::Nominal)),
            Kind::Score => {}
        }
        let scale = self.metric.unwrap_or(Scale::Ordinal);
        match (&self.categories, self.scale) {
            (Some(_), Some(_)) => Err("`scale` and `categories` exclude each other".into()),
            (Some(names), None) => {
                if !(2..=MOST_LABELS).contains(&names.len()) {
                    return Err(format!(
                        "`categories` has {} names: expected 2 to {MOST_LABELS}",
                        names.len()
                    ));
                }
                let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
                if let Some((_, name)) = twice {
                    return Err(format!("`categories` names {name:?} twice"));
                }
                if matches!(scale, Scale::Interval | Scale::Ratio) {
                    return Err("categories are no numbers: `metric` is nominal or ordinal".into());
                }
                Ok(Labels::of(names, (0..names.len()).map(|place| place as f64).collect(), scale))
            }
            (None, range) => {
                let [low, high] = range.unwrap_or([1, 5]);
                let wide = high.checked_sub(low).is_some_and(|wide| (1..MOST_LABELS as i64).contains(&wide));
                if !wide {
                    return Err(format!(
                        "scale = [{low}, {high}]: expected from .. to, with 2 to {MOST_LABELS} numbers"
                    ));
                }
                if scale == Scale::Ratio && low < 0 {
                    return Err(format!("scale = [{low}, {high}]: ratios of negative numbers mean nothing"));
                }
                let values = (low..=high).map(|value| value as f64).collect();
                Ok(Labels { are_numbers: true, ..Labels::of(low..=high, values, scale) })
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.items.is_some() && !self.runs.is_empty() {
            return Err("`items` and `runs` exclude each other".into());
        }
        if self.checker.is_some() && self.kind == Kind::Score {
            return Err("the checker says right or wrong: `checker` has no meaning for scores".into());
        }
        if self.gold.is_some() && self.checker == Some(Checker::Gold) {
            return Err("`gold` and `checker = \"gold\"` exclude each other".into());
        }
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.contains(['/', '\\'])) {
            return Err("`name` cannot be the name of a folder".into());
        }
        if !(1..=100).contains(&self.tries) {
            return Err(format!("tries = {}: expected 1 to 100", self.tries));
        }
        if !(0.0..=10.0).contains(&self.temperature) {
            return Err(format!("temperature = {}: expected 0 to 10", self.temperature));
        }
        if self.max_tokens == 0 {
            return Err("max-tokens = 0: the judge could say nothing".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Task, String> {
        Task::parse(text, Path::new("folder/task.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn wrong_tasks_are_explained() {
        for (text, expected) in [
            ("", "missing field `kind`"),
            ("kind = 'prefer'", "unknown variant `prefer`"),
            ("kind = 'preference'\nitem = 'a'", "unknown field `item`"),
            ("kind = 'preference'\nscale = [1, 5]", "`scale` has no meaning"),
            ("kind = 'score'\nscale = [5, 1]", "scale = [5, 1]"),
            ("kind = 'score'\nscale = [-9223372036854775807, 9223372036854775807]", "scale = ["),
            ("kind = 'score'\ncategories = ['a']", "1 names"),
            ("kind = 'score'\ncategories = ['a', 'b', 'a']", "\"a\" twice"),
            ("kind = 'score'\ncategories = ['a', 'b']\nscale = [1, 2]", "exclude each other"),
            ("kind = 'score'\ncategories = ['a', 'b']\nmetric = 'interval'", "no numbers"),
            ("kind = 'score'\nscale = [-1, 2]\nmetric = 'ratio'", "negative"),
            ("kind = 'score'\nchecker = 'gold'", "no meaning for scores"),
            ("kind = 'correctness'\nitems = 'a'\nruns = ['b']", "exclude each other"),
            ("kind = 'correctness'\ngold = 'a'\nchecker = 'gold'", "exclude each other"),
            ("kind = 'correctness'\ntries = 0", "tries = 0"),
            ("kind = 'correctness'\ntemperature = nan", "temperature"),
            ("kind = 'correctness'\nmax-tokens = 0", "max-tokens"),
            ("kind = 'correctness'\nname = 'a/b'", "name of a folder"),
            ("kind = 'correctness'\ntemplate = 'none.jinja'", "folder/none.jinja"),
        ] {
            let message = parse(text).err().expect(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        let message = Task::open("preferences").err().expect("no such task").to_string();
        assert!(message.contains("did you mean `preference`?"), "{message}");
        let task = parse("kind = 'score'\nitems = 'a.jsonl'\ngold = 'g.jsonl'").unwrap();
        assert_eq!((task.name.as_str(), task.labels.len()), ("task", 5));
        assert_eq!((task.sources, task.gold), (vec!["folder/a.jsonl".into()], Some("folder/g.jsonl".into())));
    }

    #[test]
    fn templates_must_show_what_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jinja");
        std::fs::write(&path, "{{ problem }} {{ first }}").unwrap();
        let text = format!("kind = 'preference'\ntemplate = '{}'", path.display());
        let message = parse(&text).err().unwrap();
        assert!(message.contains("does not show {{ second }}"), "{message}");
        std::fs::write(&path, "{{ problem }} {{ first }} {{ second }} {{ third }}").unwrap();
        let item = Item { replies: vec!["a".into(), "b".into()], ..Item::default() };
        assert!(parse(&text).unwrap().requests(&item, 1).is_err());
        std::fs::write(&path, "{{ problem }}: {{ first }} or {{ second }}?").unwrap();
        let requests = parse(&text).unwrap().requests(&item, 2).unwrap();
        let texts: Vec<String> = requests.iter().map(|request| request.prompt.last_text()).collect();
        assert_eq!((texts, requests[0].samples), (vec![": a or b?".into(), ": b or a?".into()], 2));
    }

    #[test]
    fn built_in_prompts_show_everything() {
        let item = |replies: &[&str]| Item {
            problem: "What is <1> + 1?".into(),
            replies: replies.iter().map(|reply| reply.to_string()).collect(),
            reference: Some("the sum".into()),
            ..Item::default()
        };
        for (text, item, expected) in [
            ("kind = 'preference'", item(&["x", "y"]), "\"tie\""),
            ("kind = 'correctness'", item(&["x"]), "\"yes\""),
            ("kind = 'score'", item(&["x"]), "from 1 (worst) to 5 (best)"),
            ("kind = 'score'\ncategories = ['bad', 'good']\nrubric = 'Be kind.'", item(&["x"]), "bad, good"),
        ] {
            let task = parse(text).unwrap();
            let asked = task.requests(&item, 1).unwrap()[0].prompt.last_text();
            for part in ["What is <1> + 1?", "the sum", "x", expected] {
                assert!(asked.contains(part), "{text}: {asked}");
            }
            assert_eq!(asked.contains("Be kind."), text.contains("rubric"));
            let bare = Item { reference: None, ..item };
            if task.kind != Kind::Correctness {
                assert!(!task.requests(&bare, 1).unwrap()[0].prompt.last_text().contains("Reference"));
            }
        }
    }

    #[test]
    fn replies_are_read_strictly() {
        let score = parse("kind = 'score'\nscale = [0, 3]").unwrap();
        assert_eq!(score.read("{\"verdict\": 3}"), Ok(3));
        assert_eq!(score.read("```json\n{\"reason\": \"so\", \"verdict\": 0}\n```"), Ok(0));
        for bad in [
            "{\"verdict\": 4}",
            "{\"verdict\": \"3\"}",
            "{\"verdict\": 2.5}",
            "{\"verdict\": 3, \"verdict\": 2}",
            "{\"verdict\": 3, \"sure\": true}",
            "{\"reason\": \"so\"}",
            "I say {\"verdict\": 3}",
            "3",
            "",
        ] {
            assert!(score.read(bad).is_err(), "{bad}");
        }
        let preference = parse("kind = 'preference'").unwrap();
        assert_eq!(preference.read("{\"verdict\": \"second\"}"), Ok(SECOND));
        assert!(preference.read("{\"verdict\": \"First\"}").is_err());
    }

    #[test]
    fn verdicts_are_put_together_by_the_rule_of_the_kind() {
        let preference = parse("kind = 'preference'").unwrap();
        assert_eq!(preference.together([Some(FIRST), Some(SECOND), Some(FIRST)]), (Some(FIRST), false));
        assert_eq!(preference.together([Some(FIRST), Some(SECOND)]), (Some(TIE), true));
        assert_eq!(preference.together([Some(SECOND), None]), (Some(SECOND), false));
        assert_eq!(preference.together([None, None]), (None, false));
        let correctness = parse("kind = 'correctness'").unwrap();
        assert_eq!(correctness.together([Some(YES), Some(NO)]), (Some(NO), true));
        assert_eq!(correctness.together([Some(YES), Some(NO), Some(YES)]), (Some(YES), false));
        let score = parse("kind = 'score'").unwrap();
        assert_eq!(score.together([Some(4), Some(0), Some(1)]), (Some(1), false));
        assert_eq!(score.together([Some(4), Some(1)]), (Some(1), true));
        let named = parse("kind = 'score'\ncategories = ['a', 'b', 'c']\nmetric = 'nominal'").unwrap();
        assert_eq!(named.together([Some(2), Some(1), Some(2), Some(1), Some(0)]), (Some(1), true));
    }
}
