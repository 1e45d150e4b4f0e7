//! Judging, counting and writing records while others are still asked, so that a run of any length fits into memory.
//!
//! Records wait in a file without a name, which is gone if the program is killed; a run that has ended gets its folder.

use std::fs::File;
use std::io::{BufWriter, Seek};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use mathesis_reasoning::suites::Record;
use mathesis_reasoning::suites::aggregate::{Score, Tally};
use mathesis_reasoning::suites::index::{Index, Timing};
use rayon::prelude::*;

/// The judged records of a run, on disk, and their scores.
pub struct Recorded {
    lines: File,
    /// How long the calls of each record took, as lines of JSON; empty where nothing was asked.
    times: Vec<u8>,
    /// The scores.
    pub tally: Tally,
}

/// How many samples may wait to be judged before asking has to wait.
const MOST_WAITING: usize = 1 << 16;
/// How many records are judged together.
const TOGETHER: usize = 256;

impl Recorded {
    /// No records yet. They wait on the disk of the folder that the run is going to have.
    pub fn new(output: Option<&Path>) -> std::io::Result<Self> {
        let parent = match output.and_then(Path::parent) {
            Some(parent) if parent.is_dir() => parent,
            Some(_) => Path::new("."),
            None => Path::new("runs"),
        };
        let parent = if parent.is_dir() { parent } else { Path::new(".") };
        Ok(Recorded { lines: tempfile::tempfile_in(parent)?, times: Vec::new(), tally: Tally::default() })
    }

    /// Judges and writes the records that `ask` keeps, in their order, on all cores while it goes on. It also sees the scores
    /// so far. `judge` grades a record and returns its votes; `samples` is how many there are of each problem.
    pub fn with<T>(
        self,
        judge: impl Fn(&mut Record) -> Vec<f64> + Sync,
        samples: usize,
        ask: impl FnOnce(&dyn Fn(Record), &Mutex<Tally>) -> T,
    ) -> (T, std::io::Result<Self>) {
        let Recorded { lines, times, tally } = self;
        let tally = Mutex::new(tally);
        let (send, receive) = sync_channel((MOST_WAITING / samples.max(1)).max(2));
        let (asked, written) = std::thread::scope(|scope| {
            let (judge, counted) = (&judge, &tally);
            let writer = scope.spawn(move || write(judge, receive, lines, counted));
            // The writer says itself why it takes no more.
            let asked = ask(&|record| drop(send.send(record)), &tally);
            drop(send);
            (asked, writer.join())
        });
        let written = written.unwrap_or_else(|_| Err(std::io::Error::other("the grader failed")));
        let tally = tally.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        (asked, written.map(|lines| Recorded { lines, times, tally }))
    }

    /// Says how long the calls of the records took, as lines of [`Timing`].
    pub fn timed(self, times: Vec<u8>) -> Self {
        Recorded { times, ..self }
    }

    /// Whether times are known.
    pub fn is_timed(&self) -> bool {
        !self.times.is_empty()
    }

    /// Copies the records to a file, and times to one beside it; returns its index.
    pub fn copy_to(&self, path: &Path) -> std::io::Result<Index> {
        let mut lines = &self.lines;
        lines.rewind()?;
        std::io::copy(&mut lines, &mut File::create(path)?)?;
        if self.is_timed() {
            std::fs::write(path.with_file_name(Timing::FILE), &self.times)?;
        }
        Index::build(path).map_err(std::io::Error::other)
    }
}

/// The accuracy so far, if there is any record.
pub fn accuracy(tally: &Mutex<Tally>) -> Option<Score> {
    let tally = tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    (tally.problems() > 0).then(|| tally.accuracy())
}

fn write(
    judge: &(impl Fn(&mut Record) -> Vec<f64> + Sync),
    records: Receiver<Record>,
    lines: File,
    tally: &Mutex<Tally>,
) -> std::io::Result<File> {
    let mut lines = BufWriter::with_capacity(1 << 20, lines);
    while let Ok(first) = records.recv() {
        let mut together: Vec<Record> =
            std::iter::once(first).chain(records.try_iter()).take(TOGETHER).collect();
        let votes: Vec<Vec<f64>> = together.par_iter_mut().map(judge).collect();
        Record::write(&together, &mut lines)?;
        let mut tally = tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        together.iter().zip(&votes).for_each(|(record, votes)| tally.add(record, votes));
    }
    lines.into_inner().map_err(std::io::IntoInnerError::into_error)
}
