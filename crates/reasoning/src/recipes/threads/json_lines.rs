//! Threads in JSON lines, one a line:
//!
//! ```json
//! {"id": 17, "title": "A sum", "category": "High School Math", "tags": ["algebra"], "crawled": "2024-09-01T00:00:00Z",
//!  "posts": [{"post_number": 1, "user": "ada", "time": "2024-01-31T12:30:00Z", "text": "Find $1+2$.",
//!             "attachments": [], "thanks": 0}]}
//! ```
//!
//! `id` (or `topic_id`) may be a number or a text; `post_number` defaults to the place in the list, counted from 1;
//! times are texts or seconds since 1970; only `id`, `posts`, `time` and `text` must be there, and other fields are passed
//! over. Where a thread was crawled more than once, the copy with the newest `crawled` counts, and of equally new ones
//! the last.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::{Post, Thread};
use crate::lines::{Lines, in_order};
use crate::recipes::runner::{Fate, RunError};
use crate::recipes::time::Time;
use crate::suites::Origin;

#[derive(Deserialize)]
struct File {
    #[serde(alias = "topic_id", deserialize_with = "text_or_number")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    difficulty: Option<f64>,
    posts: Vec<FilePost>,
}

#[derive(Deserialize)]
struct FilePost {
    #[serde(default)]
    post_number: Option<u64>,
    #[serde(default)]
    user: Option<String>,
    time: Time,
    text: String,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default)]
    thanks: i64,
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(i64),
        Text(String),
    }
    Ok(match Id::deserialize(deserializer)? {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text,
    })
}

/// The newest copies of threads that an archive holds more than once.
#[derive(Debug, Default)]
pub struct Crawls {
    files: Vec<String>,
    /// By the digest of the id: when the copy that counts was crawled, and where it stands.
    newest: HashMap<u128, (i64, u32, u32), foldhash::fast::FixedState>,
}

impl Crawls {
    /// Looks through an archive. Lines that cannot be read are passed over here; [`thread`] names them.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(files: &[PathBuf]) -> Result<Self, RunError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(alias = "topic_id", deserialize_with = "text_or_number")]
            id: String,
            #[serde(default)]
            crawled: Option<Time>,
        }
        let mut crawls = Crawls::default();
        for (number, path) in files.iter().enumerate() {
            let failed = |source| RunError::File { path: path.clone(), source };
            crawls.files.push(name(path));
            let mut lines = Lines::open(path).map_err(failed)?;
            in_order::<_, std::io::Error>(
                || lines.batch(),
                |line| {
                    serde_json::from_slice::<Head>(line.bytes)
                        .ok()
                        .map(|head| (digest(&head.id), head.crawled))
                },
                |line, head| {
                    if let Some((id, crawled)) = head {
                        let copy =
                            (crawled.map_or(i64::MIN, |time| time.0), number as u32, line.number as u32);
                        let known = crawls.newest.entry(id).or_insert(copy);
                        *known = copy.max(*known);
                    }
                    Ok(())
                },
            )
            .map_err(failed)?;
        }
        Ok(crawls)
    }

    /// The number of different threads.
    pub fn threads(&self) -> usize {
        self.newest.len()
    }

    fn counts(&self, id: &str, origin: &Origin) -> bool {
        self.newest.get(&digest(id)).is_none_or(|(_, file, line)| {
            *line as usize == origin.line && self.files.get(*file as usize) == Some(&origin.file)
        })
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn digest(id: &str) -> u128 {
    let hash = blake3::hash(id.as_bytes());
    u128::from_le_bytes(hash.as_bytes()[..16].try_into().expect("sixteen bytes"))
}

/// The thread in a line. A line that holds none goes to quarantine, an older copy is dropped.
pub fn thread(crawls: &Crawls, origin: &Origin, line: &[u8]) -> Fate<Thread> {
    let file: File = match serde_json::from_slice(line) {
        Ok(file) => file,
        Err(error) => return Fate::quarantined("unreadable", error.to_string()),
    };
    let post = |(number, post): (usize, FilePost)| Post {
        post_number: post.post_number.unwrap_or(number as u64 + 1),
        user: post.user.filter(|user| !user.is_empty()),
        time: post.time,
        text: post.text,
        attachments: post.attachments,
        thanks: post.thanks,
    };
    let thread = Thread {
        id: file.id,
        origin: origin.clone(),
        title: file.title.unwrap_or_default(),
        tags: file.tags,
        category: file.category.unwrap_or_default(),
        difficulty: file.difficulty,
        posts: file.posts.into_iter().enumerate().map(post).collect(),
    };
    if let Some(fault) = thread.fault() {
        return Fate::quarantined("unreadable", fault);
    }
    if !crawls.counts(&thread.id, origin) {
        return Fate::dropped("older copy", format!("{} was crawled again later", thread.id));
    }
    Fate::kept(thread)
}

/// The first threads of an archive that count.
pub(crate) fn first(crawls: &Crawls, files: &[PathBuf], most: usize) -> Result<Vec<Thread>, RunError> {
    let mut threads = Vec::new();
    for path in files {
        let failed = |source| RunError::File { path: path.clone(), source };
        let (mut lines, mut line, mut number) = (Lines::open(path).map_err(failed)?, Vec::new(), 0);
        while threads.len() < most && lines.read(&mut line).map_err(failed)? {
            number += 1;
            let origin = Origin { file: name(path), line: number };
            threads.extend(thread(crawls, &origin, &line).kept);
            line.clear();
        }
    }
    Ok(threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(lines: &[&str]) -> Vec<Fate<Thread>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let crawls = Crawls::read(std::slice::from_ref(&path)).unwrap();
        let origin = |line| Origin { file: name(&path), line };
        (lines.iter().enumerate())
            .map(|(at, line)| thread(&crawls, &origin(at + 1), line.as_bytes()))
            .collect()
    }

    #[test]
    fn of_repeated_crawls_the_newest_counts() {
        let line = |id: &str, crawled: &str| {
            format!("{{\"id\": {id}, \"crawled\": {crawled}, \"posts\": [{{\"time\": 1, \"text\": \"a\"}}]}}")
        };
        let lines = [
            line("1", "5"),
            line("\"1\"", "\"1970-01-01T00:00:07Z\""),
            line("1", "6"),
            line("2", "null"),
            line("2", "null"),
            line("3", "1"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let fates = imported(&lines);
        let kept: Vec<usize> = fates.iter().map(|fate| fate.kept.len()).collect();
        assert_eq!(kept, [0, 1, 0, 0, 1, 1]);
        assert_eq!(fates[0].losses[0].reason, "older copy");
        let thread = &fates[1].kept[0];
        assert_eq!((thread.id.as_str(), thread.origin.line, thread.posts[0].post_number), ("1", 2, 1));
    }

    #[test]
    fn what_is_no_thread_goes_to_quarantine() {
        for (line, expected) in [
            ("{\"id\": 1", "EOF"),
            ("[]", "invalid length"),
            ("{\"posts\": []}", "missing field `id`"),
            ("{\"id\": 1, \"posts\": []}", "no post"),
            ("{\"id\": \"\", \"posts\": [{\"time\": 1, \"text\": \"a\"}]}", "id is empty"),
            ("{\"id\": 1, \"posts\": [{\"time\": \"soon\", \"text\": \"a\"}]}", "a date such as"),
            ("{\"id\": 1, \"posts\": [{\"time\": 1}]}", "missing field `text`"),
            (
                "{\"id\": 1, \"posts\": [{\"time\": 1, \"text\": \"a\", \"post_number\": 2},{\"time\": 1, \"text\": \"a\"}]}",
                "two posts have the number 2",
            ),
        ] {
            let fate = imported(&[line]).remove(0);
            assert!(fate.kept.is_empty() && fate.losses[0].reason == "unreadable", "{line}");
            assert!(fate.losses[0].detail.contains(expected), "{line}: {}", fate.losses[0].detail);
        }
        let invalid = thread(&Crawls::default(), &Origin::default(), b"{\"id\": \"\xff\"}");
        assert_eq!(invalid.losses[0].reason, "unreadable");
    }
}
