//! Stages over records in files: every stage reads JSON lines and writes JSON lines, and can be stopped at any moment.
//!
//! A [`Runner`] has a folder, and for a stage `questions` in it
//!
//! | file | content |
//! |---|---|
//! | `questions.jsonl` | the records that the stage made |
//! | `questions.dropped.jsonl` | what did not pass: id, origin, reason, detail |
//! | `questions.quarantine.jsonl` | what could not be decided, with the whole record, to be looked at or fed again |
//! | `questions.json` | the counts, and the identity of the stage |
//!
//! The identity is the digest of the stage's name, version and settings and of the identity of its input. A stage whose
//! report has its identity is done and is not run again; a stage with another identity is run anew, and so are all behind
//! it. While a stage runs, its files end in `.part`, and `questions.progress.json` says up to which line of the input
//! they are complete: a stage that was killed goes on from there. What a stage writes depends on its input alone, in
//! order, so that the files are byte by byte the same however often it was killed and by however many threads it was run.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lines::{Line, Lines, in_order};
use crate::models::calls::{Calls, Stop};
use crate::suites::Origin;

/// What stages work on.
pub trait Record: Serialize + DeserializeOwned + Send {
    /// Its name, unique in its file and the same in every run.
    fn id(&self) -> &str;
    /// Where what it was made of stands.
    fn origin(&self) -> &Origin;
}

/// A step of a recipe.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name, which its files have.
    pub name: &'static str,
    /// The version of its code: it goes up when the same record may have another fate.
    pub version: u32,
    /// All else that the fate of a record depends on: options, templates, models, other data.
    pub settings: Value,
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Fate<O> {
    /// The records made of it: none, one or several.
    pub kept: Vec<O>,
    /// What was lost: the record as a whole, or parts of it.
    pub losses: Vec<Loss>,
}

/// Something that goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Whether it failed a rule, or could not be decided.
    pub kind: LossKind,
    /// The rule.
    pub reason: Cow<'static, str>,
    /// The part, such as `post 3`; none: the whole record.
    pub part: Option<String>,
    /// The value that decided.
    pub detail: String,
}

/// Kinds of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// A rule says that it does not belong into the result.
    Dropped,
    /// It could not be decided: to be looked at.
    Quarantined,
}

impl<O> Fate<O> {
    /// One record is made.
    pub fn kept(record: O) -> Self {
        Fate { kept: vec![record], losses: Vec::new() }
    }

    /// The record fails a rule.
    pub fn dropped(reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Fate { kept: Vec::new(), losses: vec![Loss::of(LossKind::Dropped, reason, detail)] }
    }

    /// It cannot be decided what becomes of the record.
    pub fn quarantined(reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Fate { kept: Vec::new(), losses: vec![Loss::of(LossKind::Quarantined, reason, detail)] }
    }

    /// The same with losses of parts before its own.
    pub fn after(self, mut losses: Vec<Loss>) -> Self {
        losses.extend(self.losses);
        Fate { kept: self.kept, losses }
    }
}

impl Loss {
    fn of(kind: LossKind, reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Loss { kind, reason: reason.into(), part: None, detail: detail.into() }
    }

    /// A part of a record that fails a rule.
    pub fn part(part: String, reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Loss { part: Some(part), ..Loss::of(LossKind::Dropped, reason, detail) }
    }
}

/// What a stage did. `records` = `kept` + `dropped` + `quarantined`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage.
    pub stage: String,
    /// Its identity.
    pub identity: String,
    /// Records read.
    pub records: usize,
    /// Records of which at least one was made.
    pub kept: usize,
    /// Records that failed a rule.
    pub dropped: usize,
    /// Records that could not be decided.
    pub quarantined: usize,
    /// Records made.
    pub made: usize,
    /// Lost records by reason.
    pub reasons: BTreeMap<String, usize>,
    /// Lost parts of records by reason.
    pub parts: BTreeMap<String, usize>,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Its counts so far.
    pub report: &'a StageReport,
    /// The share of the input that was read; none where that is not known.
    pub share: Option<f64>,
}

/// The records that a stage made, in a file.
#[derive(Debug)]
pub struct Stored<T> {
    path: PathBuf,
    identity: String,
    records: PhantomData<fn() -> T>,
}

impl<T: Record> Stored<T> {
    /// The file, a record a line.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all records into memory.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(&self) -> Result<Vec<T>, RunError> {
        let failed = |source| RunError::File { path: self.path.clone(), source };
        let mut lines = Lines::open(&self.path).map_err(failed)?;
        let (mut records, mut line) = (Vec::new(), Vec::new());
        while lines.read(&mut line).map_err(failed)? {
            records.push(parse(&self.path, records.len() + 1, &line)?);
            line.clear();
        }
        Ok(records)
    }
}

/// Why a recipe does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the folder is not as a stage wrote it.
    #[error("{path}:{line}: {message}; remove the folder to begin anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Another process works in the folder.
    #[error("another run works in {0}")]
    Busy(PathBuf),
    /// No more calls can be made; what was reached is kept.
    #[error("{0}")]
    Stopped(#[from] Stop),
    /// Stopped from outside; what was reached is kept.
    #[error("stopped")]
    Interrupted,
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

type Watch<'a> = Box<dyn FnMut(&Progress<'_>) -> ControlFlow<()> + Send + 'a>;

/// Runs stages one after the other.
pub struct Runner<'a> {
    folder: PathBuf,
    every: Duration,
    watch: Watch<'a>,
    reports: Vec<StageReport>,
    _lock: File,
}

impl<'a> Runner<'a> {
    /// Works in a folder, which is made if it is not there. `watch` sees every record go by, and can stop the work.
    ///
    /// # Errors
    /// If the folder cannot be used, or another process works in it.
    pub fn open(
        folder: &Path,
        watch: impl FnMut(&Progress<'_>) -> ControlFlow<()> + Send + 'a,
    ) -> Result<Self, RunError> {
        let failed = |source| RunError::File { path: folder.into(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join(".lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(RunError::Busy(folder.into())),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Runner {
            folder: folder.into(),
            every: Duration::from_secs(2),
            watch: Box::new(watch),
            reports: Vec::new(),
            _lock: lock,
        })
    }

    /// How often it is kept how far a stage is. Default: every two seconds.
    pub fn keeping_every(self, every: Duration) -> Self {
        Runner { every, ..self }
    }

    /// The reports of the stages so far, in their order.
    pub fn reports(&self) -> &[StageReport] {
        &self.reports
    }

    /// A first stage: the lines of files from outside. `work` gets each line that is not blank with its place, on any
    /// thread; a line without an id of its own is called by its place.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the work is stopped.
    pub fn read<O: Record>(
        &mut self,
        stage: &Stage,
        files: &[PathBuf],
        work: impl Fn(&Origin, &[u8]) -> Fate<O> + Sync,
    ) -> Result<Stored<O>, RunError> {
        let digests: Vec<String> = files.iter().map(|path| digest(path)).collect::<Result<_, _>>()?;
        let identity = identity(stage, &digests);
        self.stream(stage, identity, files, |file, line| {
            let origin = Origin { file: files[file].display().to_string(), line: line.number };
            let fate = work(&origin, line.bytes);
            Ok(Ready::of(&origin.to_string(), &origin, line.bytes, &fate))
        })
    }

    /// A first stage: what is made of files from outside in another way, in order. The iterator is the same for the same
    /// files.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the work is stopped.
    pub fn collect<O: Record>(
        &mut self,
        stage: &Stage,
        files: &[PathBuf],
        made: impl Iterator<Item = Result<(Origin, Fate<O>), RunError>>,
    ) -> Result<Stored<O>, RunError> {
        let digests: Vec<String> = files.iter().map(|path| digest(path)).collect::<Result<_, _>>()?;
        let identity = identity(stage, &digests);
        if let Some(stored) = self.done(stage, &identity)? {
            return Ok(stored);
        }
        let mut writing = Writing::open(&self.folder, stage, identity, self.every)?;
        let behind = writing.state.report.records;
        for (number, item) in made.enumerate().skip(behind) {
            let (origin, fate) = item?;
            let ready = Ready::of(&origin.to_string(), &origin, b"null", &fate);
            writing.put(0, number + 1, 0, &ready)?;
            if (self.watch)(&Progress { report: &writing.state.report, share: None }).is_break() {
                writing.keep(false)?;
                return Err(RunError::Interrupted);
            }
        }
        self.conclude(writing)
    }

    /// A stage that computes: `work` on every record, on all cores.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the work is stopped.
    pub fn map<I: Record, O: Record>(
        &mut self,
        stage: &Stage,
        input: &Stored<I>,
        work: impl Fn(I) -> Fate<O> + Sync,
    ) -> Result<Stored<O>, RunError> {
        let identity = identity(stage, std::slice::from_ref(&input.identity));
        self.stream(stage, identity, std::slice::from_ref(&input.path), |_, line| {
            let record: I = parse(&input.path, line.number, line.bytes)?;
            let (id, origin) = (record.id().to_string(), record.origin().clone());
            Ok(Ready::of(&id, &origin, line.bytes, &work(record)))
        })
    }

    /// A stage that asks a model: `work` on every record, many at once, at the pace of `calls`. Records are written in
    /// order up to the first for which no call could be made.
    ///
    /// # Errors
    /// If a file cannot be read or written, calls cannot go on, or the work is stopped.
    pub fn ask<I: Record, O: Record>(
        &mut self,
        stage: &Stage,
        input: &Stored<I>,
        calls: &Calls,
        work: impl AsyncFn(I) -> Result<Fate<O>, Stop>,
    ) -> Result<Stored<O>, RunError> {
        let identity = identity(stage, std::slice::from_ref(&input.identity));
        if let Some(stored) = self.done(stage, &identity)? {
            return Ok(stored);
        }
        let mut writing = Writing::open(&self.folder, stage, identity, self.every)?;
        let failed = |source| RunError::File { path: input.path.clone(), source };
        let (line, offset) = (writing.state.line, writing.state.offset);
        let mut lines = Lines::open_behind(&input.path, line, offset).map_err(failed)?;
        let size = input.path.metadata().map_err(failed)?.len();
        let (stop, error) = (Cell::new(false), RefCell::new(None));
        let watch = &mut self.watch;
        let mut number = line;
        let items = std::iter::from_fn(|| {
            let mut bytes = Vec::new();
            let read = match stop.get() {
                true => Ok(false),
                false => lines.read(&mut bytes).map_err(failed),
            };
            number += 1;
            let item = read.and_then(|more| match more {
                true => Ok(Some((number, lines.offset(), parse::<I>(&input.path, number, &bytes)?, bytes))),
                false => Ok(None),
            });
            item.unwrap_or_else(|problem| {
                stop.set(true);
                error.borrow_mut().get_or_insert(problem);
                None
            })
        });
        calls.run(
            items,
            async |(number, end, record, bytes): (usize, u64, I, Vec<u8>)| {
                let (id, origin) = (record.id().to_string(), record.origin().clone());
                let fate = work(record).await?;
                Ok((number, end, Ready::of(&id, &origin, &bytes, &fate)))
            },
            |_, result: Result<_, Stop>| {
                // Behind the first record that has no fate nothing is written, so that the files stay whole.
                if error.borrow().is_some() {
                    return;
                }
                let put = result.map_err(RunError::Stopped).and_then(|(number, end, ready)| {
                    writing.put(0, number, end, &ready)?;
                    let share = Some(end as f64 / size.max(1) as f64);
                    match watch(&Progress { report: &writing.state.report, share }) {
                        ControlFlow::Continue(()) => Ok(()),
                        // What is in flight is still finished and written.
                        ControlFlow::Break(()) => {
                            stop.set(true);
                            Ok(())
                        }
                    }
                });
                if let Err(problem) = put {
                    stop.set(true);
                    *error.borrow_mut() = Some(problem);
                }
            },
        );
        if let Some(problem) = error.into_inner() {
            writing.keep(false)?;
            return Err(problem);
        }
        if stop.get() {
            writing.keep(false)?;
            return Err(RunError::Interrupted);
        }
        self.conclude(writing)
    }

    fn stream<O: Record>(
        &mut self,
        stage: &Stage,
        identity: String,
        files: &[PathBuf],
        work: impl Fn(usize, Line<'_>) -> Result<Ready, RunError> + Sync,
    ) -> Result<Stored<O>, RunError> {
        if let Some(stored) = self.done(stage, &identity)? {
            return Ok(stored);
        }
        let mut writing = Writing::open(&self.folder, stage, identity, self.every)?;
        let first = writing.state.file;
        for (file, path) in files.iter().enumerate().skip(first) {
            let failed = |source| RunError::File { path: path.clone(), source };
            let (line, offset) =
                if file == first { (writing.state.line, writing.state.offset) } else { (0, 0) };
            let size = path.metadata().map_err(failed)?.len();
            let compressed = path.extension().is_some_and(|ending| ending == "gz" || ending == "zst");
            let mut lines = if compressed {
                let mut lines = Lines::open(path).map_err(failed)?;
                lines.skip_to(offset).map_err(failed)?;
                lines
            } else {
                Lines::open_behind(path, line, offset).map_err(failed)?
            };
            let watch = &mut self.watch;
            let outcome = in_order::<_, RunError>(
                || lines.batch(),
                |line| work(file, line),
                |line, ready| {
                    writing.put(file, line.number, line.end, &ready?)?;
                    let share = (!compressed).then(|| line.end as f64 / size.max(1) as f64);
                    match watch(&Progress { report: &writing.state.report, share }) {
                        ControlFlow::Continue(()) => Ok(()),
                        ControlFlow::Break(()) => Err(RunError::Interrupted),
                    }
                },
            );
            match outcome {
                Ok(()) => {}
                Err(RunError::Interrupted) => {
                    writing.keep(false)?;
                    return Err(RunError::Interrupted);
                }
                Err(RunError::Io(source)) => return Err(failed(source)),
                Err(other) => return Err(other),
            }
        }
        self.conclude(writing)
    }

    /// What the stage made, if it is done.
    fn done<O>(&mut self, stage: &Stage, identity: &str) -> Result<Option<Stored<O>>, RunError> {
        let path = self.folder.join(format!("{}.json", stage.name));
        let Some(report) = read_json::<StageReport>(&path)?.filter(|report| report.identity == identity)
        else {
            return Ok(None);
        };
        // Of a process that was killed just before it removed it.
        remove(&self.folder.join(format!("{}.progress.json", stage.name)))?;
        self.reports.push(report);
        Ok(Some(self.stored(stage.name, identity)))
    }

    fn conclude<O>(&mut self, writing: Writing) -> Result<Stored<O>, RunError> {
        let report = writing.finish()?;
        let stored = self.stored(&report.stage, &report.identity);
        self.reports.push(report);
        Ok(stored)
    }

    fn stored<O>(&self, name: &str, identity: &str) -> Stored<O> {
        let path = self.folder.join(format!("{name}.jsonl"));
        Stored { path, identity: identity.into(), records: PhantomData }
    }
}

fn parse<T: DeserializeOwned>(path: &Path, line: usize, bytes: &[u8]) -> Result<T, RunError> {
    serde_json::from_slice(bytes).map_err(|error| RunError::Damaged {
        path: path.into(),
        line,
        message: error.to_string(),
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RunError> {
    match std::fs::read(path) {
        // What cannot be read is as good as not there: the stage is run anew.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RunError::File { path: path.into(), source }),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RunError> {
    let failed = |source| RunError::File { path: path.into(), source };
    let temporary = path.with_extension("json.new");
    let mut bytes = serde_json::to_vec_pretty(value).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    let mut file = File::create(&temporary).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

fn digest(path: &Path) -> Result<String, RunError> {
    let failed = |source| RunError::File { path: path.into(), source };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).map_err(failed)?).map_err(failed)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The identity of a stage on an input.
fn identity(stage: &Stage, input: &[String]) -> String {
    let content = serde_json::json!([stage.name, stage.version, stage.settings, input]);
    blake3::hash(content.to_string().as_bytes()).to_hex().to_string()
}

/// The lines that a record leads to.
struct Ready {
    lines: [Vec<u8>; 3],
    made: usize,
    lost: Vec<(Cow<'static, str>, bool)>,
    /// Whether the record is quarantined, if none was made of it.
    quarantined: bool,
}

/// The files of a stage, by their endings.
const ENDINGS: [&str; 3] = ["jsonl", "dropped.jsonl", "quarantine.jsonl"];

#[derive(Serialize)]
struct LossLine<'a> {
    id: &'a str,
    origin: &'a Origin,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    detail: &'a str,
}

impl Ready {
    fn of<O: Serialize>(id: &str, origin: &Origin, raw: &[u8], fate: &Fate<O>) -> Self {
        let mut lines = [const { Vec::new() }; 3];
        for record in &fate.kept {
            serde_json::to_writer(&mut lines[0], record).expect("records have text keys and finite numbers");
            lines[0].push(b'\n');
        }
        for loss in &fate.losses {
            let Loss { kind, reason, part, detail } = loss;
            let line = LossLine { id, origin, reason, part: part.as_deref(), detail };
            let to = &mut lines[if *kind == LossKind::Dropped { 1 } else { 2 }];
            serde_json::to_writer(&mut *to, &line).expect("a line of texts");
            if *kind == LossKind::Quarantined {
                to.pop();
                to.extend(b",\"record\":");
                // What is no JSON stands there as a text, of which the beginning must do.
                match serde_json::from_slice::<serde::de::IgnoredAny>(raw) {
                    Ok(_) => to.extend(raw.trim_ascii()),
                    Err(_) => {
                        let text = String::from_utf8_lossy(&raw[..raw.len().min(100_000)]);
                        serde_json::to_writer(&mut *to, &text).expect("a text");
                    }
                }
                to.push(b'}');
            }
            to.push(b'\n');
        }
        let whole = |loss: &&Loss| loss.part.is_none();
        Ready {
            lines,
            made: fate.kept.len(),
            lost: fate.losses.iter().map(|loss| (loss.reason.clone(), loss.part.is_none())).collect(),
            quarantined: fate.losses.iter().filter(whole).any(|loss| loss.kind == LossKind::Quarantined),
        }
    }
}

/// How far a stage is, as it is kept on the disk.
#[derive(Serialize, Deserialize)]
struct State {
    /// The file of the input, from 0.
    file: usize,
    /// Its lines that are done, and their bytes.
    line: usize,
    offset: u64,
    /// The lengths of the three files.
    lengths: [u64; 3],
    /// Whether all is done but the names of the files.
    finished: bool,
    report: StageReport,
}

/// The files of a stage that is running.
struct Writing {
    folder: PathBuf,
    name: &'static str,
    files: [BufWriter<File>; 3],
    state: State,
    every: Duration,
    kept: Instant,
}

impl Writing {
    /// Goes on where the stage stands, or begins it.
    fn open(folder: &Path, stage: &Stage, identity: String, every: Duration) -> Result<Self, RunError> {
        let name = stage.name;
        let kept: Option<State> = read_json(&folder.join(format!("{name}.progress.json")))?;
        let state = match kept.filter(|state| state.report.identity == identity) {
            Some(state) => state,
            None => {
                // The report of another identity goes first: from here on the stage is not done.
                for ending in ["json", "progress.json"].into_iter().chain(ENDINGS) {
                    remove(&folder.join(format!("{name}.{ending}")))?;
                }
                let report = StageReport { stage: name.into(), identity, ..StageReport::default() };
                State { file: 0, line: 0, offset: 0, lengths: [0; 3], finished: false, report }
            }
        };
        let open = |ending: &str, length: u64| -> Result<BufWriter<File>, RunError> {
            let path = folder.join(format!("{name}.{ending}.part"));
            let failed = |source| RunError::File { path: path.clone(), source };
            // Of a stage that has finished some files may have their names already.
            if state.finished && !path.exists() {
                std::fs::rename(folder.join(format!("{name}.{ending}")), &path).map_err(failed)?;
            }
            let mut file =
                File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
            if file.metadata().map_err(failed)?.len() < length {
                let message = "shorter than it was".into();
                return Err(RunError::Damaged { path, line: 0, message });
            }
            file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length))).map_err(failed)?;
            Ok(BufWriter::with_capacity(1 << 18, file))
        };
        let mut files = Vec::with_capacity(3);
        for (ending, length) in ENDINGS.into_iter().zip(state.lengths) {
            files.push(open(ending, length)?);
        }
        let files = <[_; 3]>::try_from(files).map_err(|_| std::io::Error::other("three files"))?;
        Ok(Writing { folder: folder.into(), name, files, state, every, kept: Instant::now() })
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }

    /// Writes what a line of the input led to.
    fn put(&mut self, file: usize, line: usize, end: u64, ready: &Ready) -> Result<(), RunError> {
        for (at, bytes) in ready.lines.iter().enumerate() {
            self.files[at]
                .write_all(bytes)
                .map_err(|source| RunError::File { path: self.path(ENDINGS[at]), source })?;
            self.state.lengths[at] += bytes.len() as u64;
        }
        (self.state.file, self.state.line, self.state.offset) = (file, line, end);
        let report = &mut self.state.report;
        report.records += 1;
        report.made += ready.made;
        let count = match (ready.made, ready.quarantined) {
            (0, true) => &mut report.quarantined,
            (0, false) => &mut report.dropped,
            _ => &mut report.kept,
        };
        *count += 1;
        for (reason, is_whole) in &ready.lost {
            let counts = if *is_whole { &mut report.reasons } else { &mut report.parts };
            match counts.get_mut(reason.as_ref()) {
                Some(count) => *count += 1,
                None => _ = counts.insert(reason.to_string(), 1),
            }
        }
        if self.kept.elapsed() >= self.every {
            self.keep(false)?;
        }
        Ok(())
    }

    /// Keeps how far the stage is. The files go first, so that the state never says more than they hold.
    fn keep(&mut self, finished: bool) -> Result<(), RunError> {
        for at in 0..3 {
            let written = self.files[at].flush().and_then(|()| self.files[at].get_ref().sync_data());
            written.map_err(|source| RunError::File { path: self.path(ENDINGS[at]), source })?;
        }
        self.state.finished = finished;
        write_json(&self.path("progress.json"), &self.state)?;
        self.kept = Instant::now();
        Ok(())
    }

    fn finish(mut self) -> Result<StageReport, RunError> {
        self.keep(true)?;
        for ending in ENDINGS {
            let path = self.path(ending);
            std::fs::rename(self.path(&format!("{ending}.part")), &path)
                .map_err(|source| RunError::File { path, source })?;
        }
        write_json(&self.path("json"), &self.state.report)?;
        remove(&self.path("progress.json"))?;
        Ok(self.state.report)
    }
}

fn remove(path: &Path) -> Result<(), RunError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(RunError::File { path: path.into(), source })
        }
        _ => Ok(()),
    }
}
