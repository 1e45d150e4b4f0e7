//! What the page asks for, and the answers as values that become JSON.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use mathesis_reasoning::suites::compare::{Comparison, compare_indexes};
use mathesis_reasoning::suites::index::{Entry, Facets, Filter, Index, Order};
use mathesis_reasoning::suites::{Form, Record, RecordError, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::runs::{self, Summary};
use crate::eval::{options, stages, typeset};
use crate::report::page::{escape, mathml};

/// The runs of a folder, with what has been read of them.
pub struct Library {
    root: PathBuf,
    cache: PathBuf,
    indexes: Recent<Index>,
    selections: Recent<Vec<u32>>,
    comparisons: Recent<Compared>,
}

/// An answer, or why there is none.
pub type Answer<T> = Result<T, Refusal>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The question is wrong.
    Wrong(String),
    /// There is no such thing.
    Absent(String),
    /// It is there and cannot be read.
    Broken(String),
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        Refusal::Broken(error.to_string())
    }
}

/// A question; what does not matter for it is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    run: String,
    first: String,
    second: String,
    /// A [`Wanted`] as JSON.
    filter: String,
    order: String,
    from: usize,
    limit: Option<usize>,
    item: usize,
    sample: usize,
}

/// Which items the page wants to see.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    verdicts: Vec<Verdict>,
    rules: Vec<String>,
    categories: BTreeMap<String, Vec<String>>,
    scores: Option<(f64, f64)>,
    lengths: Option<(u64, u64)>,
    seconds: Option<(f64, f64)>,
    text: String,
    /// Of a comparison: only problems with other scores.
    differs: bool,
    /// Of a comparison: only problems with a sample of this verdict in the first run and that in the second.
    both: Option<(Verdict, Verdict)>,
}

/// One run.
#[derive(Serialize)]
pub struct Run {
    summary: Summary,
    /// What run.json holds.
    record: Value,
    facets: Facets,
}

/// Some items of a run.
#[derive(Serialize)]
pub struct Items {
    /// How many items the filter chooses, before any search for a text.
    total: usize,
    /// Where the next ones begin.
    next: Option<usize>,
    rows: Vec<Row>,
}

/// An item in the table.
#[derive(Serialize)]
pub struct Row {
    item: u32,
    id: String,
    verdicts: Vec<(Verdict, usize)>,
    score: f64,
    rules: Vec<String>,
    /// The longest reply in bytes.
    length: u32,
    /// How long the calls took.
    seconds: Option<f32>,
    question: String,
    reference: String,
    /// The first answer that was found.
    answer: Option<String>,
}

/// An item with its transcripts, as HTML.
#[derive(Serialize)]
pub struct Item {
    item: usize,
    id: String,
    origin: String,
    categories: BTreeMap<String, String>,
    asked: String,
    question: String,
    reference: String,
    samples: Vec<Sample>,
    /// How many samples there are.
    count: usize,
}

/// A reply with its judgement.
#[derive(Serialize)]
pub struct Sample {
    number: usize,
    verdict: Verdict,
    reason: String,
    answer: Option<String>,
    rule: Option<String>,
    /// Whether the answer is marked in the reply.
    is_marked: bool,
    length: usize,
    /// The parts of a reply that took several calls, or programs; in their place the reply may be empty.
    stages: String,
    reply: String,
}

/// Two runs, tested.
#[derive(Serialize)]
pub struct Tested {
    first: Summary,
    second: Summary,
    comparison: Comparison,
    /// How many problems have other scores.
    changed: usize,
}

/// Two runs side by side.
struct Compared {
    comparison: Comparison,
    changed: usize,
    /// The common items in the first and the second run, those first whose scores differ most.
    pairs: Vec<(u32, u32)>,
    /// The item of the second run by that of the first.
    partners: HashMap<u32, u32>,
}

/// Some problems of both runs.
#[derive(Serialize)]
pub struct Pairs {
    total: usize,
    next: Option<usize>,
    rows: Vec<(Row, Row)>,
}

/// How long a search may take before it says how far it is.
const SEARCH: Duration = Duration::from_millis(1500);
/// The most rows of an answer.
const MOST_ROWS: usize = 500;
/// The most samples of an answer.
const MOST_SAMPLES: usize = 20;
/// The most values of a category that the page offers.
const MOST_VALUES: usize = 200;
/// Texts longer than this are shown by their two ends.
const LONGEST_TEXT: usize = 200_000;
/// The longest text that is searched for.
const LONGEST_SEARCH: usize = 1000;

impl Library {
    /// The runs below a folder, which is canonical; indexes are kept in `cache`.
    pub fn new(root: PathBuf, cache: PathBuf) -> Self {
        Library { root, cache, indexes: Recent::of(4), selections: Recent::of(8), comparisons: Recent::of(2) }
    }

    /// All runs.
    pub fn runs(&self, _: &Asked) -> Answer<Vec<Summary>> {
        runs::list(&self.root).map_err(|error| Refusal::Broken(error.to_string()))
    }

    /// One run.
    pub fn run(&self, asked: &Asked) -> Answer<Run> {
        let folder = self.folder(&asked.run)?;
        let summary = runs::summary(&folder, &asked.run);
        if let Some(wrong) = &summary.wrong {
            return Err(Refusal::Broken(wrong.clone()));
        }
        let record = fs::read(folder.join("run.json")).map_err(|error| Refusal::Broken(error.to_string()))?;
        let record = serde_json::from_slice(&record).map_err(|error| Refusal::Broken(error.to_string()))?;
        let mut facets = self.index(&asked.run)?.1.facets();
        facets.categories.iter_mut().for_each(|(_, values)| values.truncate(MOST_VALUES));
        Ok(Run { summary, record, facets })
    }

    /// Some items of a run.
    pub fn items(&self, asked: &Asked) -> Answer<Items> {
        let (key, index) = self.index(&asked.run)?;
        let wanted = asked.wanted()?;
        let order = asked.order()?;
        let key = format!("{key} {order:?} {}", asked.filter_without_text());
        let selection = self.selections.get(&key, || Ok(index.select(&wanted.filter(), order)))?;
        let (found, next) = page(&index, &selection, &wanted.text, asked)?;
        let rows = found.iter().map(|&item| row(&index, item)).collect::<Answer<_>>()?;
        Ok(Items { total: selection.len(), next, rows })
    }

    /// One item.
    pub fn item(&self, asked: &Asked) -> Answer<Item> {
        let (_, index) = self.index(&asked.run)?;
        if asked.item >= index.len() {
            return Err(Refusal::Absent(format!("the run has no item {}", asked.item)));
        }
        let record = index.read(asked.item)?;
        let graded = record.replies.iter().zip(&record.grades).enumerate();
        let samples = (graded.skip(asked.sample).take(MOST_SAMPLES))
            .map(|(number, (reply, grade))| Sample {
                number,
                verdict: grade.verdict,
                reason: grade.reason.clone(),
                answer: grade.answer.as_deref().map(formula),
                rule: grade.rule.clone(),
                is_marked: grade.span.as_ref().is_some_and(|span| reply.text.get(span.clone()).is_some()),
                length: reply.text.len(),
                stages: reply.trajectory.as_ref().map_or(String::new(), |trajectory| {
                    let mut parts = String::new();
                    stages(&mut parts, trajectory);
                    parts
                }),
                // A transcript of turns stands among the parts already.
                reply: match &reply.trajectory {
                    Some(trajectory) if trajectory.form != Form::Program => String::new(),
                    _ if !reply.options.is_empty() => {
                        let mut rows = String::new();
                        options(&mut rows, reply);
                        rows
                    }
                    _ => shown(&reply.text, grade.span.clone()),
                },
            })
            .collect();
        let asked_for = if record.prompt.is_empty() { &record.question } else { &record.prompt };
        Ok(Item {
            item: asked.item,
            origin: record.origin.to_string(),
            asked: shown(asked_for, None),
            question: shown(&record.question, None),
            reference: formula(&record.reference),
            samples,
            count: record.replies.len(),
            id: record.id,
            categories: record.categories,
        })
    }

    /// Two runs, tested.
    pub fn comparison(&self, asked: &Asked) -> Answer<Tested> {
        let summary = |name: &str| Ok::<_, Refusal>(runs::summary(&self.folder(name)?, name));
        let (first, second) = (summary(&asked.first)?, summary(&asked.second)?);
        let (_, compared) = self.compared(asked)?;
        Ok(Tested { first, second, comparison: compared.comparison.clone(), changed: compared.changed })
    }

    /// Some problems of both runs, those first whose scores differ most.
    pub fn pairs(&self, asked: &Asked) -> Answer<Pairs> {
        let ([first, second], compared) = self.compared(asked)?;
        let wanted = asked.wanted()?;
        let key = format!("{:?} {}", (&asked.first, &asked.second), asked.filter_without_text());
        let fits = |pair: &(u32, u32)| {
            let (one, other) = (first.entry(pair.0 as usize), second.entry(pair.1 as usize));
            let both = |(a, b): (Verdict, Verdict)| {
                one.verdicts.iter().zip(other.verdicts).any(|pair| pair == (&a, &b))
            };
            (!wanted.differs || one.score() != other.score()) && wanted.both.is_none_or(both)
        };
        let selection = self.selections.get(&key, || {
            Ok((0..compared.pairs.len() as u32).filter(|&at| fits(&compared.pairs[at as usize])).collect())
        })?;
        // Texts are looked for in the first run, which tells the same problems.
        let items: Vec<u32> = selection.iter().map(|&at| compared.pairs[at as usize].0).collect();
        let (found, next) = page(&first, &items, &wanted.text, asked)?;
        let rows = (found.iter())
            .map(|item| Ok((row(&first, *item)?, row(&second, compared.partners[item])?)))
            .collect::<Answer<_>>()?;
        Ok(Pairs { total: selection.len(), next, rows })
    }

    fn compared(&self, asked: &Asked) -> Answer<([Arc<Index>; 2], Arc<Compared>)> {
        let (first_key, first) = self.index(&asked.first)?;
        let (second_key, second) = self.index(&asked.second)?;
        let compared = self.comparisons.get(&format!("{first_key} {second_key}"), || {
            let mut comparison = compare_indexes(&first, &second, 0);
            let changed = std::mem::take(&mut comparison.changed).len();
            let places: HashMap<&str, u32> = second.ids().zip(0..).collect();
            let common = first.ids().zip(0..).filter_map(|(id, at)| Some((at, *places.get(id)?)));
            let mut pairs: Vec<(u32, u32)> = common.collect();
            let distance = |pair: &(u32, u32)| {
                (first.entry(pair.0 as usize).score() - second.entry(pair.1 as usize).score()).abs()
            };
            pairs.sort_by_cached_key(|pair| std::cmp::Reverse(distance(pair).to_bits()));
            Ok(Compared { comparison, changed, partners: pairs.iter().copied().collect(), pairs })
        })?;
        if compared.pairs.is_empty() {
            return Err(Refusal::Wrong("the runs have no problem in common".into()));
        }
        Ok(([first, second], compared))
    }

    /// The index of a run, and what names it as it is now.
    fn index(&self, run: &str) -> Answer<(String, Arc<Index>)> {
        let path = self.folder(run)?.join("records.jsonl");
        let metadata = fs::metadata(&path)
            .map_err(|_| Refusal::Absent(format!("the run {run} has no records.jsonl: no items to show")))?;
        let key = format!("{} {} {:?}", path.display(), metadata.len(), metadata.modified().ok());
        let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        let cache = self.cache.join(format!("{}.index", &name[..32]));
        let index = self.indexes.get(&key, || Ok(Index::open(&path, &cache)?))?;
        Ok((key, index))
    }

    /// The folder of a run.
    fn folder(&self, run: &str) -> Answer<PathBuf> {
        let folder = self.inside(run)?;
        if folder.is_dir() { Ok(folder) } else { Err(Refusal::Absent(format!("there is no run {run}"))) }
    }

    /// A file of a run.
    pub fn file(&self, path: &str) -> Answer<PathBuf> {
        let file = self.inside(path)?;
        if file.is_file() { Ok(file) } else { Err(Refusal::Absent(format!("there is no file {path}"))) }
    }

    /// What a path below the root leads to; links that lead out of it are refused as `..` is.
    fn inside(&self, path: &str) -> Answer<PathBuf> {
        let outside = || Refusal::Wrong(format!("{path} lies outside of the folder that is viewed"));
        let mut parts = Path::new(path).components();
        if path.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        let found = self.root.join(path).canonicalize();
        let found = found.map_err(|_| Refusal::Absent(format!("there is no {path}")))?;
        if found.starts_with(&self.root) { Ok(found) } else { Err(outside()) }
    }
}

impl Asked {
    fn wanted(&self) -> Answer<Wanted> {
        if self.filter.is_empty() {
            return Ok(Wanted::default());
        }
        let wanted: Wanted =
            serde_json::from_str(&self.filter).map_err(|error| Refusal::Wrong(format!("filter: {error}")))?;
        if wanted.text.len() > LONGEST_SEARCH {
            return Err(Refusal::Wrong(format!("the text is longer than {LONGEST_SEARCH} bytes")));
        }
        Ok(wanted)
    }

    /// The filter as far as the index answers it.
    fn filter_without_text(&self) -> String {
        match serde_json::from_str::<Value>(&self.filter) {
            Ok(Value::Object(mut filter)) => {
                filter.remove("text");
                Value::Object(filter).to_string()
            }
            _ => String::new(),
        }
    }

    fn order(&self) -> Answer<Order> {
        match self.order.as_str() {
            "" | "failures" => Ok(Order::Failures),
            "file" => Ok(Order::File),
            "score" => Ok(Order::Score),
            "length" => Ok(Order::Length),
            "time" => Ok(Order::Time),
            other => {
                Err(Refusal::Wrong(format!("order: {other}; there are failures, file, score, length, time")))
            }
        }
    }
}

impl Wanted {
    fn filter(&self) -> Filter {
        Filter {
            verdicts: self.verdicts.clone(),
            rules: self.rules.clone(),
            lengths: self.lengths,
            categories: self.categories.clone(),
            scores: self.scores,
            seconds: self.seconds,
        }
    }
}

/// A page of items among those selected that hold a text, and where the next begins.
fn page(index: &Index, selection: &[u32], text: &str, asked: &Asked) -> Answer<(Vec<u32>, Option<usize>)> {
    let from = asked.from.min(selection.len());
    let limit = asked.limit.unwrap_or(100).clamp(1, MOST_ROWS);
    let rest = &selection[from..];
    let (found, searched) = if text.is_empty() {
        let shown = &rest[..limit.min(rest.len())];
        (shown.to_vec(), shown.len())
    } else {
        let found = index.search(rest, text, limit, Instant::now() + SEARCH)?;
        (found.records, found.searched)
    };
    let next = from + searched;
    Ok((found, (next < selection.len()).then_some(next)))
}

fn row(index: &Index, item: u32) -> Answer<Row> {
    let entry = index.entry(item as usize);
    let score = entry.score();
    let Entry { id, verdicts, rules, lengths, seconds, .. } = entry;
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    verdicts.iter().for_each(|verdict| *counts.entry(*verdict).or_default() += 1);
    let mut names: Vec<String> = rules.into_iter().flatten().map(str::to_string).collect();
    names.sort();
    names.dedup();
    let Record { question, reference, grades, .. } = index.read(item as usize)?;
    Ok(Row {
        item,
        id: id.to_string(),
        verdicts: counts.into_iter().rev().collect(),
        score,
        rules: names,
        length: lengths.iter().copied().max().unwrap_or(0),
        seconds,
        question: beginning(&question, 240),
        reference: beginning(&reference, 80),
        answer: grades.iter().find_map(|grade| grade.answer.as_deref()).map(|answer| beginning(answer, 80)),
    })
}

fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// An answer as HTML: typeset if it is written as a formula.
fn formula(answer: &str) -> String {
    let bare = answer.trim_matches('$');
    if bare.len() < 400 && bare.contains(['\\', '^', '_']) {
        mathml(bare)
    } else {
        escape(&beginning(answer, 400))
    }
}

/// A text as HTML with a part of it marked; of a text of enormous length the two ends.
fn shown(text: &str, marked: Option<std::ops::Range<usize>>) -> String {
    if text.len() <= LONGEST_TEXT {
        return typeset(text, marked);
    }
    let boundary = |at: usize| (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let (head, tail) = (boundary(LONGEST_TEXT / 2), boundary(text.len() - LONGEST_TEXT / 2));
    let within = |from: usize, to: usize| {
        let span = marked.clone()?;
        (span.start >= from && span.end <= to).then(|| span.start - from..span.end - from)
    };
    format!(
        "{}<p class=\"gap\">… {} bytes are left out here; records.jsonl has them …</p>{}",
        typeset(&text[..head], within(0, head)),
        tail - head,
        typeset(&text[tail..], within(tail, text.len()))
    )
}

/// The values that were asked for last; each is made once, by whoever asks first.
struct Recent<T> {
    most: usize,
    kept: Mutex<Vec<Kept<T>>>,
}

type Kept<T> = (String, Arc<OnceLock<Answer<Arc<T>>>>);

impl<T> Recent<T> {
    fn of(most: usize) -> Self {
        Recent { most, kept: Mutex::default() }
    }

    fn get(&self, key: &str, make: impl FnOnce() -> Answer<T>) -> Answer<Arc<T>> {
        let kept = || self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let cell = {
            let mut kept = kept();
            let found = match kept.iter().position(|(known, _)| known == key) {
                Some(at) => kept.remove(at),
                None => (key.to_string(), Arc::default()),
            };
            let cell = found.1.clone();
            kept.insert(0, found);
            kept.truncate(self.most);
            cell
        };
        let made = cell.get_or_init(|| make().map(Arc::new)).clone();
        if made.is_err() {
            kept().retain(|(known, _)| known != key);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_show_their_ends_and_keep_the_mark() {
        let text = format!("{}ü42 is it", "a".repeat(3 * LONGEST_TEXT));
        let at = text.find("42").unwrap();
        let html = shown(&text, Some(at..at + 2));
        assert!(
            html.contains("<mark>42</mark> is it") && html.contains("bytes are left out"),
            "{}",
            html.len()
        );
        assert!(html.len() < LONGEST_TEXT + 200);
        assert_eq!(shown("a 42", Some(2..4)), "a <mark>42</mark>");
    }

    #[test]
    fn formulas_are_typeset_and_words_are_not() {
        assert!(formula("\\frac{1}{2}").contains("<math"));
        assert_eq!(formula("<b> 12"), "&lt;b&gt; 12");
    }

    #[test]
    fn paths_outside_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("runs");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/run.json"), "{}").unwrap();
        fs::write(folder.path().join("secret"), "").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("a/link")).unwrap();
        let library = Library::new(root.canonicalize().unwrap(), folder.path().join("cache"));
        assert!(library.file("a/run.json").is_ok() && library.folder("a").is_ok());
        for path in ["../secret", "a/../../secret", "/etc/passwd", "", "a/link"] {
            assert!(matches!(library.file(path), Err(Refusal::Wrong(_))), "{path}");
        }
        assert!(matches!(library.file("a"), Err(Refusal::Absent(_))));
        assert!(matches!(library.folder("b"), Err(Refusal::Absent(_))));
    }

    #[test]
    fn what_failed_is_tried_again_and_what_was_made_is_kept() {
        let recent: Recent<u32> = Recent::of(2);
        assert!(recent.get("a", || Err(Refusal::Wrong("no".into()))).is_err());
        assert_eq!(*recent.get("a", || Ok(1)).unwrap(), 1);
        assert_eq!(*recent.get("a", || Ok(2)).unwrap(), 1);
        recent.get("b", || Ok(3)).unwrap();
        recent.get("c", || Ok(4)).unwrap();
        assert_eq!(*recent.get("a", || Ok(5)).unwrap(), 5);
    }
}
