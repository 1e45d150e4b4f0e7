//! The items of the benchmark: worked-wrong examples of 55 misconceptions, checked row by row.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::suites::{DataFile, Origin, Row, Source, SuiteError};

/// How many misconceptions there are.
pub const MISCONCEPTIONS: usize = 55;
/// How many examples each of them has.
pub const EXAMPLES: usize = 4;

/// One of the misconceptions, MaE01 to MaE55.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Misconception(u8);

impl Misconception {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Misconception> {
        (1..=MISCONCEPTIONS as u8).map(Misconception)
    }

    /// By its number, 1 to 55.
    pub fn numbered(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| (1..=MISCONCEPTIONS as u8).contains(n)).map(Misconception)
    }

    /// By its id as the data write it, such as `MaE07`.
    pub fn from_id(id: &str) -> Option<Self> {
        let digits = id.strip_prefix("MaE").filter(|digits| digits.len() == 2)?;
        Misconception::numbered(digits.parse().ok()?)
    }

    /// Its place, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    /// The topic that it belongs to.
    pub fn topic(self) -> Topic {
        Topic::ALL.into_iter().find(|topic| self.0 <= topic.range().1).unwrap_or(Topic::Equations)
    }
}

impl fmt::Display for Misconception {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MaE{:02}", self.0)
    }
}

impl fmt::Debug for Misconception {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl Serialize for Misconception {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a misconception is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// MaE01 to MaE05.
    NumberSense,
    /// MaE06 to MaE22.
    NumberOperations,
    /// MaE23 to MaE30.
    Ratios,
    /// MaE31 to MaE34.
    Properties,
    /// MaE35 to MaE42.
    Patterns,
    /// MaE43 and MaE44.
    Representations,
    /// MaE45 to MaE48.
    Variables,
    /// MaE49 to MaE55.
    Equations,
}

impl Topic {
    /// All topics, in the order of their misconceptions.
    pub const ALL: [Topic; 8] = [
        Topic::NumberSense,
        Topic::NumberOperations,
        Topic::Ratios,
        Topic::Properties,
        Topic::Patterns,
        Topic::Representations,
        Topic::Variables,
        Topic::Equations,
    ];

    /// The name in the data. Number operations are written with a small and a large o there.
    pub fn name(self) -> &'static str {
        match self {
            Topic::NumberSense => "Number sense",
            Topic::NumberOperations => "Number operations",
            Topic::Ratios => "Ratios and proportional reasoning",
            Topic::Properties => "Properties of number and operations",
            Topic::Patterns => "Patterns, relationships, and functions",
            Topic::Representations => "Algebraic representations",
            Topic::Variables => "Variables, expressions, and operations",
            Topic::Equations => "Equations and inequalities",
        }
    }

    /// By its name, large and small letters alike.
    pub fn from_name(name: &str) -> Option<Self> {
        Topic::ALL.into_iter().find(|topic| topic.name().eq_ignore_ascii_case(name))
    }

    /// The numbers of its first and its last misconception.
    pub fn range(self) -> (u8, u8) {
        match self {
            Topic::NumberSense => (1, 5),
            Topic::NumberOperations => (6, 22),
            Topic::Ratios => (23, 30),
            Topic::Properties => (31, 34),
            Topic::Patterns => (35, 42),
            Topic::Representations => (43, 44),
            Topic::Variables => (45, 48),
            Topic::Equations => (49, 55),
        }
    }

    /// Its misconceptions, in order.
    pub fn misconceptions(self) -> impl Iterator<Item = Misconception> {
        let (first, last) = self.range();
        (first..=last).map(Misconception)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A question with a wrong answer that shows a misconception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The misconception.
    pub misconception: Misconception,
    /// Which of its four examples, from 1.
    pub example: u8,
    /// What the misconception is, in words.
    pub description: String,
    /// The question.
    pub question: String,
    /// The wrong answer.
    pub wrong: String,
    /// The right answer.
    pub right: String,
    /// The name of the picture that belongs to the question; mostly empty. The pictures are not part of the data.
    pub question_image: String,
    /// The picture of the learner's answer; mostly empty.
    pub wrong_image: String,
    /// The picture of the right answer; mostly empty.
    pub right_image: String,
    /// Where the example was published; may be empty.
    pub source: String,
    /// What the learner was thinking; may be empty.
    pub explanation: String,
}

impl Item {
    /// Its topic.
    pub fn topic(&self) -> Topic {
        self.misconception.topic()
    }

    /// Its name: `MaE07-3` is the third example of MaE07.
    pub fn name(&self) -> String {
        format!("{}-{}", self.misconception, self.example)
    }

    /// Whether a picture would be needed to see the question or the learner's answer.
    pub fn needs_image(&self) -> bool {
        !self.question_image.is_empty() || !self.wrong_image.is_empty()
    }
}

/// What the items count up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Items.
    pub items: usize,
    /// Misconceptions.
    pub misconceptions: usize,
    /// Items by topic.
    pub topics: BTreeMap<Topic, usize>,
    /// Items with a picture of the question, of the learner's answer, of the right answer.
    pub images: [usize; 3],
    /// Items that need a picture of question or learner's answer.
    pub need_image: usize,
    /// Items without a source.
    pub no_source: usize,
    /// Items without an explanation.
    pub no_explanation: usize,
}

impl Statistics {
    /// Of these items.
    pub fn of(items: &[Item]) -> Self {
        let count = |is: &dyn Fn(&Item) -> bool| items.iter().filter(|item| is(item)).count();
        let mut topics = BTreeMap::new();
        for item in items {
            *topics.entry(item.topic()).or_insert(0) += 1;
        }
        let ids: std::collections::BTreeSet<Misconception> =
            items.iter().map(|item| item.misconception).collect();
        Statistics {
            items: items.len(),
            misconceptions: ids.len(),
            topics,
            images: [
                count(&|item| !item.question_image.is_empty()),
                count(&|item| !item.wrong_image.is_empty()),
                count(&|item| !item.right_image.is_empty()),
            ],
            need_image: count(&Item::needs_image),
            no_source: count(&|item| item.source.is_empty()),
            no_explanation: count(&|item| item.explanation.is_empty()),
        }
    }
}

/// The items of `data.json` below a data folder, or in a folder that holds the file itself, and the file.
///
/// # Errors
/// If the file is missing; if rows have a field missing, an id or an example number out of range, a topic that
/// contradicts the id, or an example that is there already; if a misconception has not all its examples. All rows at
/// fault are named.
pub fn load(data: &Path) -> Result<(Vec<Item>, Vec<DataFile>), SuiteError> {
    let below = data.join("math-misconceptions");
    let mut source = Source::new(if below.is_dir() { below } else { data.to_path_buf() });
    let rows = source.read("data", None, |row| Ok((row.origin.clone(), item(row)?)));
    let rows = rows.map_err(|error| match error {
        SuiteError::NoFile { folder, .. } => SuiteError::NoFile {
            folder,
            wanted: "data.json".into(),
            fetch: "data.json of the repository nancyotero-projects/math-misconceptions".into(),
        },
        other => other,
    })?;
    let mut seen: BTreeMap<(Misconception, u8), Origin> = BTreeMap::new();
    let mut items = Vec::with_capacity(rows.len());
    for (origin, item) in rows {
        match seen.get(&(item.misconception, item.example)) {
            Some(first) => {
                let message = format!("{} is there already, at {first}", item.name());
                source.reject(origin, message);
            }
            None => {
                seen.insert((item.misconception, item.example), origin);
                items.push(item);
            }
        }
    }
    let (files, bad) = source.finish();
    if !bad.is_empty() {
        return Err(SuiteError::BadRows(bad));
    }
    let missing: Vec<String> = Misconception::all()
        .flat_map(|id| (1..=EXAMPLES as u8).map(move |example| (id, example)))
        .filter(|key| !seen.contains_key(key))
        .map(|(id, example)| format!("{id}-{example}"))
        .collect();
    if !missing.is_empty() {
        return Err(SuiteError::File {
            path: data.to_path_buf(),
            message: format!("examples are missing: {}", missing.join(", ")),
        });
    }
    Ok((items, files))
}

fn item(row: &Row) -> Result<Item, String> {
    let id = row.text("Misconception ID")?;
    let misconception = Misconception::from_id(&id)
        .ok_or_else(|| format!("Misconception ID `{id}`: expected MaE01 to MaE{MISCONCEPTIONS}"))?;
    let topic = row.text("Topic")?;
    if Topic::from_name(&topic) != Some(misconception.topic()) {
        return Err(format!("topic `{topic}` of {id}: expected `{}`", misconception.topic()));
    }
    let example = row.text("Example Number")?;
    let number = example.parse().ok().filter(|number| (1..=EXAMPLES as u8).contains(number));
    let filled = |name: &str| match row.text(name)? {
        text if text.trim().is_empty() => Err(format!("the field `{name}` is empty")),
        text => Ok(text),
    };
    Ok(Item {
        misconception,
        example: number
            .ok_or_else(|| format!("Example Number {example} of {id}: expected 1 to {EXAMPLES}"))?,
        description: filled("Misconception")?,
        question: filled("Question")?,
        wrong: filled("Incorrect Answer")?,
        right: filled("Correct Answer")?,
        question_image: row.text("Question image")?,
        wrong_image: row.text("Learner Answer image")?,
        right_image: row.text("Correct Answer image")?,
        source: row.text("Source")?,
        explanation: row.text("Explanation")?,
    })
}
