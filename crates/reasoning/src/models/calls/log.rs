//! The log of calls: every reply that was paid for, on disk before anyone sees it.
//!
//! A folder holds `calls.sqlite` (SQLite in WAL mode) and `calls.lock`. One process writes, any number read at the same
//! time. All writes go through one thread, which commits what has come in since its last commit, up to 256 entries: a
//! write is acknowledged when its commit is on disk. Both tables only grow at their ends, since random insertions into an
//! index on disk would rewrite a page each; the index from sample keys to replies is in memory, rebuilt when the log is
//! opened.
//!
//! Crash contract: after `kill -9` or a power failure at any instant every acknowledged reply is found again. A reply that
//! had not been acknowledged may be lost, and its call is made again.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::oneshot;

use super::budget::Spending;
use super::key::Key;

/// The log of calls in a folder, open for writing.
pub struct Log {
    path: PathBuf,
    index: Arc<RwLock<Index>>,
    readers: Mutex<Vec<Connection>>,
    writer: Option<Sender<Written>>,
    thread: Option<JoinHandle<()>>,
    _lock: File,
}

/// What can be found without reading the disk.
struct Index {
    places: HashMap<Key, Place, KeyHash>,
    dead: HashSet<Key>,
}

/// Keys are digests already: eight bytes of one are as good as a hash of all.
#[derive(Clone, Copy, Default)]
struct KeyHash;

impl BuildHasher for KeyHash {
    type Hasher = FirstBytes;

    fn build_hasher(&self) -> FirstBytes {
        FirstBytes(0)
    }
}

struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length of the array, which comes before it.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An entry, and whom to tell that it is on disk.
type Written = (Entry, oneshot::Sender<Result<(), LogError>>);

/// Where a sample is: which reply, and which sample of it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) reply: i64,
    pub(super) sample: u32,
}

/// A request that has no answer, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The key of its first sample.
    pub key: Key,
    /// The question in canonical JSON.
    pub question: String,
    /// The kind of the failure.
    pub reason: String,
    /// What the last failure said.
    pub message: String,
}

/// Something to be kept.
pub(super) enum Entry {
    /// A reply, with the keys of its samples and what it cost. `reservation` is no longer reserved.
    Reply {
        keys: Vec<Key>,
        question: Arc<str>,
        reply: Vec<u8>,
        run: Arc<str>,
        spent: Spending,
        reservation: Option<i64>,
    },
    /// The worst that a call may cost, to be kept before it is sent.
    Reservation { id: i64, run: Arc<str>, worst: Spending },
    /// A reserved call was not paid for.
    Release { id: i64 },
    /// A request that has no answer.
    Dead(DeadLetter),
    /// A request that had no answer has one now.
    Revived { key: Key },
}

/// Why the log cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The folder cannot be made, or a file in it not opened.
    #[error("cannot open the log of calls in {path}: {message}")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Another process writes to the log.
    #[error("another process is writing to the log of calls in {path}")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// An entry could not be written: the disk is full, or fails.
    #[error("cannot write to the log of calls: {message}")]
    Write {
        /// Why.
        message: String,
    },
    /// An entry could not be read.
    #[error("cannot read the log of calls: {message}")]
    Read {
        /// Why.
        message: String,
    },
}

impl Log {
    /// The most entries of one commit.
    const GROUP: usize = 256;

    /// Opens the log of a folder, both made if need be.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        let failed = |message: String| LogError::Open { path: folder.into(), message };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join("calls.lock"));
        let lock = lock.map_err(|error| failed(format!("calls.lock: {error}")))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(LogError::InUse { path: folder.into() }),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(format!("calls.lock: {error}"))),
        }
        let path = folder.join("calls.sqlite");
        let connection = open_writer(&path).map_err(|error| failed(format!("calls.sqlite: {error}")))?;
        let index = read_index(&connection).map_err(|error| failed(format!("calls.sqlite: {error}")))?;
        let index = Arc::new(RwLock::new(index));
        let (writer, entries) = channel();
        let thread = std::thread::Builder::new()
            .name("log of calls".into())
            .spawn({
                let index = index.clone();
                move || write(connection, &index, &entries)
            })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Log {
            path,
            index,
            readers: Mutex::default(),
            writer: Some(writer),
            thread: Some(thread),
            _lock: lock,
        })
    }

    /// The number of samples in the log.
    pub fn len(&self) -> usize {
        self.index.read().expect("no panic while writing").places.len()
    }

    /// Whether the log holds no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The requests that have no answer, in the order of their failures.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, LogError> {
        self.reading(|connection| {
            connection
                .prepare("SELECT key, question, reason, message FROM dead ORDER BY rowid")?
                .query_map([], |row| {
                    Ok(DeadLetter {
                        key: Key(row.get(0)?),
                        question: row.get(1)?,
                        reason: row.get(2)?,
                        message: row.get(3)?,
                    })
                })?
                .collect()
        })
    }

    /// Where a sample is, if it is known.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        self.index.read().expect("no panic while writing").places.get(key).copied()
    }

    /// Whether any request has no answer.
    pub(super) fn has_dead_letters(&self) -> bool {
        !self.index.read().expect("no panic while writing").dead.is_empty()
    }

    /// Whether a request has no answer.
    pub(super) fn is_dead(&self, key: &Key) -> bool {
        self.index.read().expect("no panic while writing").dead.contains(key)
    }

    /// The bytes of a reply, and what it cost.
    pub(super) fn reply(&self, place: Place) -> Result<(Vec<u8>, Spending), LogError> {
        self.reading(|connection| {
            connection
                .prepare_cached(
                    "SELECT reply, input_tokens, output_tokens, cost, microseconds FROM replies WHERE id = ?1",
                )?
                .query_row([place.reply], |row| {
                    let microseconds = row.get::<_, Option<i64>>(4)?.unwrap_or(0).max(0) as u64;
                    Ok((row.get(0)?, Spending { microseconds, ..spending(row, 1, 1)? }))
                })
        })
    }

    /// What a run has spent: its replies, and what is reserved for calls that nobody will settle any more.
    pub(super) fn spent(&self, run: &str) -> Result<Spending, LogError> {
        self.reading(|connection| {
            connection.query_row(
                "SELECT sum(n), sum(input_tokens), sum(output_tokens), sum(cost) FROM
                   (SELECT calls AS n, input_tokens, output_tokens, cost FROM spent WHERE run = ?1
                    UNION ALL
                    SELECT 1 AS n, input_tokens, output_tokens, cost FROM reservations WHERE run = ?1)",
                [run],
                |row| spending(row, 1, row.get::<_, Option<i64>>(0)?.unwrap_or(0) as u64),
            )
        })
    }

    /// The largest number of a reservation.
    pub(super) fn last_reservation(&self) -> Result<i64, LogError> {
        self.reading(|connection| {
            connection
                .query_row("SELECT max(id) FROM reservations", [], |row| row.get::<_, Option<i64>>(0))
                .map(|id| id.unwrap_or(0))
        })
    }

    /// Writes an entry; done when it is on disk.
    pub(super) async fn write(&self, entry: Entry) -> Result<(), LogError> {
        let ended = || LogError::Write { message: "its thread has ended".into() };
        let (done, acknowledged) = oneshot::channel();
        self.writer.as_ref().ok_or_else(ended)?.send((entry, done)).map_err(|_| ended())?;
        acknowledged.await.map_err(|_| ended())?
    }

    fn reading<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        let failed = |error: rusqlite::Error| LogError::Read { message: error.to_string() };
        let idle = self.readers.lock().expect("no panic while reading").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path).map_err(failed)?,
        };
        let result = read(&connection).map_err(failed);
        self.readers.lock().expect("no panic while reading").push(connection);
        result
    }
}

impl Drop for Log {
    /// Waits until everything is written.
    fn drop(&mut self) {
        self.writer = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // A full synchronisation makes a commit safe from a power failure too; its cost is shared by the group.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY;
         CREATE TABLE IF NOT EXISTS replies (
             id INTEGER PRIMARY KEY, question TEXT NOT NULL, reply BLOB NOT NULL, run TEXT NOT NULL,
             input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost INTEGER NOT NULL,
             unix_time INTEGER NOT NULL, microseconds INTEGER);
         CREATE TABLE IF NOT EXISTS samples (
             id INTEGER PRIMARY KEY, key BLOB NOT NULL, reply INTEGER NOT NULL, sample INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS reservations (
             id INTEGER PRIMARY KEY, run TEXT NOT NULL,
             input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS dead (
             key BLOB PRIMARY KEY, question TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,
             unix_time INTEGER NOT NULL);",
    )?;
    // What runs have spent, so that it is known without reading all replies. Logs of earlier versions have no such table.
    let has_sums = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'spent'";
    if connection.query_row(has_sums, [], |row| row.get::<_, i64>(0))? == 0 {
        connection.execute_batch(
            "BEGIN;
             CREATE TABLE spent (
                 run TEXT PRIMARY KEY, calls INTEGER NOT NULL,
                 input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost INTEGER NOT NULL);
             INSERT INTO spent SELECT run, count(*), sum(input_tokens), sum(output_tokens), sum(cost)
                 FROM replies GROUP BY run;
             COMMIT;",
        )?;
    }
    // Logs of earlier versions know no times.
    let has_times = "SELECT count(*) FROM pragma_table_info('replies') WHERE name = 'microseconds'";
    if connection.query_row(has_times, [], |row| row.get::<_, i64>(0))? == 0 {
        connection.execute_batch("ALTER TABLE replies ADD COLUMN microseconds INTEGER")?;
    }
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Mapped pages need neither a system call nor a copy; a part of them is enough, as all that are read count as memory in use.
    connection.pragma_update(None, "mmap_size", 1i64 << 26)?;
    Ok(connection)
}

/// The last reply of each sample, and the requests without one.
fn read_index(connection: &Connection) -> rusqlite::Result<Index> {
    let count: i64 = connection.query_row("SELECT ifnull(max(id), 0) FROM samples", [], |row| row.get(0))?;
    let mut places = HashMap::with_capacity_and_hasher(usize::try_from(count).unwrap_or(0), KeyHash);
    let mut statement = connection.prepare("SELECT key, reply, sample FROM samples ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        places.insert(Key(row.get(0)?), Place { reply: row.get(1)?, sample: row.get(2)? });
    }
    let mut statement = connection.prepare("SELECT key FROM dead")?;
    let dead = statement.query_map([], |row| Ok(Key(row.get(0)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Index { places, dead })
}

/// Numbers of tokens and a cost in three columns from `first` on; sums over no rows are 0.
fn spending(row: &rusqlite::Row<'_>, first: usize, calls: u64) -> rusqlite::Result<Spending> {
    let number =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0).max(0) as u64);
    Ok(Spending {
        calls,
        input_tokens: number(first)?,
        output_tokens: number(first + 1)?,
        cost: number(first + 2)?,
        microseconds: 0,
    })
}

/// Writes what comes in, in groups, until nobody can send any more.
fn write(mut connection: Connection, index: &RwLock<Index>, entries: &Receiver<Written>) {
    while let Ok(first) = entries.recv() {
        let group: Vec<Written> = std::iter::once(first).chain(entries.try_iter()).take(Log::GROUP).collect();
        let result = commit(&mut connection, group.iter().map(|(entry, _)| entry))
            .map_err(|error| LogError::Write { message: error.to_string() });
        if let Ok(found) = &result {
            let mut index = index.write().expect("no panic while reading");
            index.places.extend(found.iter().copied());
            for (entry, _) in &group {
                match entry {
                    Entry::Dead(letter) => {
                        index.dead.insert(letter.key);
                    }
                    Entry::Revived { key } => {
                        index.dead.remove(key);
                    }
                    _ => {}
                }
            }
        }
        for (_, done) in group {
            // Whoever gave up waiting finds the entry in the log the next time.
            let _ = done.send(result.as_ref().map(|_| ()).map_err(LogError::clone));
        }
    }
}

/// Writes a group of entries, all or none, and returns the places of the new samples.
fn commit<'a>(
    connection: &mut Connection,
    group: impl Iterator<Item = &'a Entry>,
) -> rusqlite::Result<Vec<(Key, Place)>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
    let mut found = Vec::new();
    let mut spendings: HashMap<Arc<str>, Spending> = HashMap::new();
    let transaction = connection.transaction()?;
    for entry in group {
        match entry {
            Entry::Reply { keys, question, reply, run, spent, reservation } => {
                transaction
                    .prepare_cached("INSERT INTO replies VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                    .execute(params![
                        question,
                        reply,
                        run,
                        column(spent.input_tokens),
                        column(spent.output_tokens),
                        column(spent.cost),
                        now,
                        column(spent.microseconds)
                    ])?;
                let id = transaction.last_insert_rowid();
                let sum = spendings.entry(run.clone()).or_default();
                *sum = sum.plus(Spending { calls: 1, ..*spent });
                for (sample, key) in (0..).zip(keys) {
                    transaction
                        .prepare_cached("INSERT INTO samples VALUES (NULL, ?1, ?2, ?3)")?
                        .execute(params![key.0, id, sample])?;
                    found.push((*key, Place { reply: id, sample }));
                }
                if let Some(reservation) = reservation {
                    release(&transaction, *reservation)?;
                }
            }
            Entry::Reservation { id, run, worst } => {
                transaction.prepare_cached("INSERT INTO reservations VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
                    params![
                        id,
                        run,
                        column(worst.input_tokens),
                        column(worst.output_tokens),
                        column(worst.cost)
                    ],
                )?;
            }
            Entry::Release { id } => release(&transaction, *id)?,
            Entry::Dead(letter) => {
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO dead VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![letter.key.0, letter.question, letter.reason, letter.message, now])?;
            }
            Entry::Revived { key } => {
                transaction.prepare_cached("DELETE FROM dead WHERE key = ?1")?.execute([key.0])?;
            }
        }
    }
    for (run, spent) in spendings {
        transaction
            .prepare_cached(
                "INSERT INTO spent VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (run) DO UPDATE SET
                     calls = calls + excluded.calls, input_tokens = input_tokens + excluded.input_tokens,
                     output_tokens = output_tokens + excluded.output_tokens, cost = cost + excluded.cost",
            )?
            .execute(params![
                run,
                column(spent.calls),
                column(spent.input_tokens),
                column(spent.output_tokens),
                column(spent.cost)
            ])?;
    }
    transaction.commit()?;
    Ok(found)
}

fn release(transaction: &rusqlite::Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM reservations WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// A number as SQLite holds it.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::super::block_on;
    use super::*;

    fn key(number: u64) -> Key {
        Key(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn reply(number: u64) -> Entry {
        Entry::Reply {
            keys: vec![key(number)],
            question: format!("question {number}").into(),
            reply: format!("reply {number}, {}", "x".repeat(400)).into_bytes(),
            run: "run".into(),
            spent: Spending { calls: 1, input_tokens: 100, output_tokens: number, cost: 7, microseconds: 9 },
            reservation: None,
        }
    }

    fn written(log: &Log, entries: impl Iterator<Item = Entry>) -> Result<(), LogError> {
        block_on(async {
            let writes: Vec<_> = entries.map(|entry| log.write(entry)).collect();
            futures_util::future::join_all(writes).await.into_iter().collect()
        })
    }

    #[test]
    fn what_was_written_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        written(&log, (0..1000).map(reply)).unwrap();
        // A second reply under a key takes the place of the first.
        let Entry::Reply { question, run, spent, .. } = reply(3) else { unreachable!() };
        let (keys, later) = (vec![key(3), key(2000)], b"later".to_vec());
        written(
            &log,
            [Entry::Reply { keys, question, reply: later, run, spent, reservation: None }].into_iter(),
        )
        .unwrap();
        let mut log = log;
        for _ in 0..2 {
            assert_eq!(log.len(), 1001);
            let place = log.find(&key(999)).unwrap();
            let (bytes, spent) = log.reply(place).unwrap();
            assert!(bytes.starts_with(b"reply 999,"));
            assert_eq!(spent.microseconds, 9);
            assert_eq!((spent.calls, spent.input_tokens, spent.output_tokens, spent.cost), (1, 100, 999, 7));
            assert_eq!(log.reply(log.find(&key(3)).unwrap()).unwrap().0, b"later");
            assert_eq!(log.find(&key(2000)).unwrap().sample, 1);
            assert!(log.find(&key(1000)).is_none());
            assert_eq!(log.spent("run").unwrap().calls, 1001);
            assert_eq!(log.spent("other").unwrap(), Spending::default());
            drop(log);
            log = Log::open(folder.path()).unwrap();
        }
    }

    #[test]
    fn logs_of_earlier_versions_are_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.sqlite");
        drop(open_writer(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "ALTER TABLE replies DROP COLUMN microseconds; DROP TABLE spent;
                 INSERT INTO replies VALUES (NULL, 'q', 'r', 'run', 1, 2, 3, 4), (NULL, 'q', 'r', 'run', 1, 2, 3, 4);",
            )
            .unwrap();
        drop(connection);
        let log = Log::open(folder.path()).unwrap();
        written(&log, [reply(1)].into_iter()).unwrap();
        let spent = log.spent("run").unwrap();
        assert_eq!((spent.calls, spent.input_tokens, spent.output_tokens, spent.cost), (3, 102, 5, 13));
        assert_eq!(log.reply(log.find(&key(1)).unwrap()).unwrap().1.microseconds, 9);
    }

    /// A call that was under way when its process ended counts with its worst case.
    #[test]
    fn reservations_count_until_they_are_settled() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        let worst = Spending { calls: 1, input_tokens: 10, output_tokens: 20, cost: 30, microseconds: 0 };
        let reserve = |id| Entry::Reservation { id, run: "run".into(), worst };
        written(&log, [reserve(1), reserve(2), reserve(3), Entry::Release { id: 1 }].into_iter()).unwrap();
        let Entry::Reply { keys, question, reply, run, .. } = reply(0) else { unreachable!() };
        let spent = Spending { calls: 1, input_tokens: 1, output_tokens: 2, cost: 3, microseconds: 0 };
        written(&log, [Entry::Reply { keys, question, reply, run, spent, reservation: Some(2) }].into_iter())
            .unwrap();
        let expected = Spending { calls: 2, input_tokens: 11, output_tokens: 22, cost: 33, microseconds: 0 };
        assert_eq!(log.spent("run").unwrap(), expected);
        assert_eq!(log.last_reservation().unwrap(), 3);
    }

    #[test]
    fn dead_letters_are_kept_until_revived() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        let letter = |number| DeadLetter {
            key: key(number),
            question: "question".into(),
            reason: "timeout".into(),
            message: "no reply".into(),
        };
        written(&log, [Entry::Dead(letter(1)), Entry::Dead(letter(2))].into_iter()).unwrap();
        written(&log, [Entry::Revived { key: key(1) }].into_iter()).unwrap();
        let mut log = log;
        for _ in 0..2 {
            assert_eq!(log.dead_letters().unwrap(), [letter(2)]);
            assert!(log.is_dead(&key(2)) && !log.is_dead(&key(1)));
            drop(log);
            log = Log::open(folder.path()).unwrap();
        }
    }

    #[test]
    fn one_process_writes_and_others_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        assert!(matches!(Log::open(folder.path()), Err(LogError::InUse { .. })));
        written(&log, (0..10).map(reply)).unwrap();
        let reader = open_reader(&folder.path().join("calls.sqlite")).unwrap();
        let count =
            || reader.query_row("SELECT count(*) FROM replies", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(), 10);
        written(&log, (10..20).map(reply)).unwrap();
        assert_eq!(count(), 20);
    }

    /// A full disk is an error of the entries that did not fit; what was acknowledged stays.
    #[test]
    fn a_full_disk_is_an_error_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.sqlite");
        let connection = open_writer(&path).unwrap();
        connection.execute_batch("PRAGMA max_page_count = 50").unwrap();
        let index = Arc::new(RwLock::new(read_index(&connection).unwrap()));
        let (writer, entries) = channel();
        let thread = std::thread::spawn({
            let index = index.clone();
            move || write(connection, &index, &entries)
        });
        let mut acknowledged = Vec::new();
        let mut error = None;
        for number in 0..600 {
            let (done, result) = oneshot::channel();
            writer.send((reply(number), done)).unwrap();
            match result.blocking_recv().unwrap() {
                Ok(()) => acknowledged.push(number),
                Err(full) => error = Some(full.to_string()),
            }
        }
        drop(writer);
        thread.join().unwrap();
        let error = error.expect("600 replies do not fit into 50 pages");
        assert!(error.contains("full"), "{error}");
        assert!(!acknowledged.is_empty());
        let log = Log::open(folder.path()).unwrap();
        assert_eq!(log.len(), acknowledged.len());
        assert!(acknowledged.iter().all(|number| log.find(&key(*number)).is_some()));
    }

    /// A power failure may leave the end of the write-ahead file torn: what was committed before it is there.
    #[test]
    fn a_torn_write_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        for group in 0..5 {
            written(&log, (20 * group..20 * (group + 1)).map(reply)).unwrap();
        }
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let (database, ahead) = (read("calls.sqlite"), read("calls.sqlite-wal"));
        let mut counts = Vec::new();
        for eighths in 0..=8 {
            let copy = tempfile::tempdir().unwrap();
            std::fs::write(copy.path().join("calls.sqlite"), &database).unwrap();
            let torn = &ahead[..ahead.len() * eighths / 8];
            std::fs::write(copy.path().join("calls.sqlite-wal"), torn).unwrap();
            let log = Log::open(copy.path()).unwrap();
            counts.push(log.len());
            for number in 0..log.len() as u64 {
                let (bytes, _) = log.reply(log.find(&key(number)).unwrap()).unwrap();
                assert!(bytes.starts_with(format!("reply {number},").as_bytes()));
            }
            written(&log, [reply(1000)].into_iter()).unwrap();
        }
        assert!(counts.is_sorted() && counts[0] == 0 && counts[8] == 100, "{counts:?}");
        assert!((1..100).contains(&counts[4]), "{counts:?}");
    }

    #[test]
    fn files_that_are_no_log_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("calls.sqlite"), "something else, and more than a few bytes of it")
            .unwrap();
        let message = Log::open(folder.path()).err().unwrap().to_string();
        assert!(message.contains("calls.sqlite"), "{message}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Log::open(&file), Err(LogError::Open { .. })));
    }

    /// The rates of the log, for a release build: `cargo test --release -p mathesis-reasoning speed_of_the_log -- --ignored
    /// --nocapture`. The folder is made in `TMPDIR`.
    #[test]
    #[ignore = "a measurement"]
    fn speed_of_the_log() {
        const ENTRIES: u64 = 500_000;
        const LOOKUPS: u64 = 2_000_000;
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        let begin = std::time::Instant::now();
        block_on(async {
            let next = std::sync::atomic::AtomicU64::new(0);
            let writer = || async {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= ENTRIES {
                        break;
                    }
                    log.write(reply(number)).await.unwrap();
                }
            };
            futures_util::future::join_all((0..512).map(|_| writer())).await;
        });
        println!("acknowledged writes: {:.0} a second", ENTRIES as f64 / begin.elapsed().as_secs_f64());
        drop(log);
        let begin = std::time::Instant::now();
        let log = Log::open(folder.path()).unwrap();
        println!("opened with {} samples in {:.3} s", log.len(), begin.elapsed().as_secs_f64());
        for threads in [1, 2] {
            let begin = std::time::Instant::now();
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let log = &log;
                    scope.spawn(move || {
                        for number in 0..LOOKUPS / threads {
                            let number = (number * threads + thread).wrapping_mul(7919) % ENTRIES;
                            let place = log.find(&key(number)).unwrap();
                            assert!(log.reply(place).unwrap().0.len() > 400);
                        }
                    });
                }
            });
            println!(
                "replies read with {threads} threads: {:.0} a second",
                LOOKUPS as f64 / begin.elapsed().as_secs_f64()
            );
            let begin = std::time::Instant::now();
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let log = &log;
                    scope.spawn(move || {
                        for number in 0..LOOKUPS / threads {
                            let number = (number * threads + thread).wrapping_mul(7919) % (2 * ENTRIES);
                            assert_eq!(log.find(&key(number)).is_some(), number < ENTRIES);
                        }
                    });
                }
            });
            println!(
                "keys looked up with {threads} threads: {:.0} a second",
                LOOKUPS as f64 / begin.elapsed().as_secs_f64()
            );
        }
    }
}
