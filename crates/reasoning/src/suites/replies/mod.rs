//! Replies that are there already, to be judged without asking a model: of our own runs, and of other programs.
//!
//! | content | recognised by |
//! |---|---|
//! | records of a run | JSON lines with `replies` that are objects |
//! | plain replies | JSON lines with `id` and `replies` that are texts |
//! | samples of lm-eval (0.4) | JSON lines with `doc` and `resps` |
//! | a log of inspect (`.eval`) | a zip archive with `samples/` |
//! | a table | anything else: CSV with a head |
//!
//! Problems are found by their names in records, plain replies and tables; the numbers that other harnesses give to their
//! samples mean nothing here, so their samples are found by the text of the question, white space aside. The file is read
//! once to see what it holds, then replies are read as they are needed.

mod inspect;
mod lines;
mod table;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Problem, Reply};

/// A file with replies.
pub struct Replies {
    path: PathBuf,
    form: Box<dyn Form>,
    groups: Vec<Group>,
    by_id: HashMap<String, usize>,
}

/// The replies to one problem: where they stand, in the order of the samples.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<Place>);

/// Which replies belong to which problem.
#[derive(Clone, Debug)]
pub struct Matched {
    /// One for each problem; empty where there are none.
    pub places: Vec<Places>,
    /// The names of problems without replies.
    pub missing: Vec<String>,
    /// Replies to something else, in words.
    pub strange: Option<String>,
}

/// Why replies cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RepliesError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Something in it is not as expected.
    #[error("{path}: {place}: {message}")]
    Content {
        /// The file.
        path: String,
        /// The line or entry.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The file as a whole is nothing that is known.
    #[error(
        "{path}: {message}; expected the records of a run, JSON lines with `id` and `replies`, samples of lm-eval, a log \
         of inspect (.eval), or CSV"
    )]
    Form {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
}

/// A piece of a file that holds replies.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Bytes of the file.
    Bytes(Range<u64>),
    /// An entry of an archive.
    Entry(usize),
}

/// A form of files.
trait Form: Send + Sync {
    /// Whether names of problems in the file are those of the suite.
    fn has_names(&self) -> bool;
    /// The prompt, where it is known, and the replies of a piece.
    fn read(&self, place: &Place) -> Result<(String, Vec<Reply>), RepliesError>;
}

/// What was seen of a piece when the file was first read.
struct Seen {
    /// What the file calls the problem: pieces of one name belong together.
    name: String,
    /// Texts that may be the question.
    questions: Vec<String>,
    /// The number of the sample.
    sample: u64,
    place: Place,
}

/// The pieces of one problem.
struct Group {
    name: String,
    questions: Vec<u64>,
    pieces: Vec<(u64, Place)>,
}

impl Replies {
    /// Reads a file and sees what it holds; its form is told by its content.
    ///
    /// # Errors
    /// If it cannot be read, or any of it is not as its form has it: the line is named.
    pub fn open(path: &Path) -> Result<Self, RepliesError> {
        let failed = |error| RepliesError::File { path: path.display().to_string(), error };
        let mut beginning = Vec::new();
        File::open(path).map_err(failed)?.take(1 << 16).read_to_end(&mut beginning).map_err(failed)?;
        let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&beginning).trim_ascii_start();
        let form_error =
            |message: &str| RepliesError::Form { path: path.display().to_string(), message: message.into() };
        let mut replies =
            Replies { path: path.into(), form: Box::new(Nothing), groups: Vec::new(), by_id: HashMap::new() };
        let mut see = |seen: Seen| replies.add(seen);
        let form: Box<dyn Form> = match text.first() {
            None => return Err(form_error("the file is empty")),
            Some(b'[') => return Err(form_error("one JSON array, not lines")),
            Some(b'{') => Box::new(lines::Lines::open(path, &mut see)?),
            _ if text.starts_with(b"PK\x03\x04") => Box::new(inspect::Log::open(path, &mut see)?),
            _ => Box::new(table::Table::open(path, &mut see)?),
        };
        replies.form = form;
        for group in &mut replies.groups {
            group.pieces.sort_by_key(|(sample, _)| *sample);
        }
        Ok(replies)
    }

    fn add(&mut self, seen: Seen) {
        let at = *self.by_id.entry(seen.name).or_insert_with_key(|name| {
            self.groups.push(Group { name: name.clone(), questions: Vec::new(), pieces: Vec::new() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        if group.questions.is_empty() {
            group.questions = seen.questions.iter().map(|question| digest(question)).collect();
        }
        group.pieces.push((seen.sample, seen.place));
    }

    /// Finds the replies to each problem.
    pub fn of(&self, problems: &[Problem]) -> Matched {
        let mut by_question: HashMap<u64, VecDeque<usize>> = HashMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            for question in &group.questions {
                by_question.entry(*question).or_default().push_back(at);
            }
        }
        let mut is_taken = vec![false; self.groups.len()];
        let mut matched = Matched { places: Vec::new(), missing: Vec::new(), strange: None };
        for problem in problems {
            let named = if self.form.has_names() { self.by_id.get(&problem.id).copied() } else { None };
            // Of problems with the same text each takes the next of its replies.
            let found = named.or_else(|| {
                let groups = by_question.get_mut(&digest(&problem.question))?;
                std::iter::from_fn(|| groups.pop_front()).find(|&at| !is_taken[at])
            });
            matched.places.push(match found {
                Some(at) => {
                    is_taken[at] = true;
                    Places(self.groups[at].pieces.iter().map(|(_, place)| place.clone()).collect())
                }
                None => {
                    matched.missing.push(problem.id.clone());
                    Places::default()
                }
            });
        }
        matched.strange =
            is_taken.iter().position(|taken| !taken).map(|at| format!("`{}`", self.groups[at].name));
        matched
    }

    /// The prompt, where it is known, and the replies to a problem.
    ///
    /// # Errors
    /// If the file has changed.
    pub fn read(&self, places: &Places) -> Result<(String, Vec<Reply>), RepliesError> {
        let (mut asked, mut replies) = (String::new(), Vec::new());
        for place in &places.0 {
            let (prompt, mut more) = self.form.read(place)?;
            if asked.is_empty() {
                asked = prompt;
            }
            replies.append(&mut more);
        }
        Ok((asked, replies))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file that has not been looked at.
struct Nothing;

impl Form for Nothing {
    fn has_names(&self) -> bool {
        false
    }

    fn read(&self, _: &Place) -> Result<(String, Vec<Reply>), RepliesError> {
        Ok((String::new(), Vec::new()))
    }
}

/// What is the same for texts that differ in white space alone.
fn digest(text: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for word in text.split_whitespace() {
        hasher.update(word.as_bytes()).update(b" ");
    }
    let bytes: [u8; 32] = hasher.finalize().into();
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

/// Some bytes of a file.
fn bytes(path: &Path, place: &Place) -> Result<Vec<u8>, RepliesError> {
    let failed = |error| RepliesError::File { path: path.display().to_string(), error };
    let Place::Bytes(range) = place else { return Ok(Vec::new()) };
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn content(path: &Path, place: impl std::fmt::Display, message: impl std::fmt::Display) -> RepliesError {
    RepliesError::Content {
        path: path.display().to_string(),
        place: place.to_string(),
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::*;

    fn problems() -> Vec<Problem> {
        let problem = |id: &str, question: &str| Problem {
            id: id.into(),
            question: question.into(),
            ..Problem::default()
        };
        vec![problem("a", "What is  1 + 1?"), problem("b", "Same?"), problem("c", "Same?")]
    }

    fn opened(content: &[u8]) -> Result<Replies, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replies");
        std::fs::write(&path, content).unwrap();
        let replies = Replies::open(&path).map_err(|error| error.to_string());
        // The folder stays for reading.
        let _ = folder.keep();
        replies
    }

    fn texts(replies: &Replies) -> Vec<Vec<String>> {
        let matched = replies.of(&problems());
        assert_eq!(matched.missing, [] as [String; 0]);
        let read = |places| replies.read(places).unwrap().1;
        matched.places.iter().map(|p| read(p).into_iter().map(|reply| reply.text).collect()).collect()
    }

    #[test]
    fn plain_lines_are_found_by_name() {
        let text = "{\"id\": \"b\", \"replies\": [\"2\", \"3\"]}\n\n{\"id\": \"a\", \"replies\": [\"1\"]}\n{\"id\": \"c\", \"replies\": []}";
        let replies = opened(text.as_bytes()).unwrap();
        assert_eq!(texts(&replies), [vec!["1"], vec!["2", "3"], vec![]]);
        let matched = replies.of(&problems()[..1]);
        assert_eq!(matched.strange.as_deref(), Some("`b`"));
        let matched = replies.of(&[Problem { id: "z".into(), question: "?".into(), ..Problem::default() }]);
        assert_eq!(matched.missing, ["z"]);
    }

    #[test]
    fn samples_of_lm_eval_are_found_by_the_question() {
        // The numbers of documents are not names: 0 and 1 are b and c here, which have the same text.
        let line = |id: u32, question: &str, replies: &str| {
            format!(
                "{{\"doc_id\": {id}, \"doc\": {{\"question\": \"{question}\", \"answer\": \"#### 1\"}}, \"target\": \"1\", \
                 \"arguments\": {{\"gen_args_0\": {{\"arg_0\": \"Q: {question}\", \"arg_1\": {{}}}}}}, \"resps\": [{replies}], \
                 \"filtered_resps\": [\"1\"], \"filter\": \"strict\"}}\n"
            )
        };
        let text = line(0, "Same?", "[\"x\", \"y\"]")
            + &line(1, "Same? ", "[\"z\"]")
            + &line(2, "What is 1 + 1?", "[\"w\"]");
        let replies = opened(text.as_bytes()).unwrap();
        assert_eq!(texts(&replies), [vec!["w"], vec!["x", "y"], vec!["z"]]);
        let matched = replies.of(&problems());
        assert_eq!(replies.read(&matched.places[0]).unwrap().0, "Q: What is 1 + 1?");
        // The same document again for another filter is the same reply.
        let twice = text.clone() + &line(2, "What is 1 + 1?", "[\"w\"]").replace("strict", "flexible");
        assert_eq!(texts(&opened(twice.as_bytes()).unwrap())[0], ["w"]);
    }

    #[test]
    fn tables_need_a_reply_and_a_name_or_a_question() {
        let text = "question,reply,id\n\"Wh,at?\",\"say \"\"1\"\"\nand go\",a\n?,2,b\n?,3,b\n?,,c\n";
        assert_eq!(
            texts(&opened(text.as_bytes()).unwrap()),
            [vec!["say \"1\"\nand go"], vec!["2", "3"], vec![""]]
        );
        let text = "Question;Response\nWhat is 1 + 1?;2\n";
        assert!(opened(text.as_bytes()).err().unwrap().contains("no column of replies"));
        let text = "Question,Response\nWhat is 1 + 1?,2\n";
        let matched = opened(text.as_bytes()).unwrap().of(&problems()[..1]);
        assert_eq!(matched.missing.len(), 0);
        assert!(opened(b"a,b\n1,2\n").err().unwrap().contains("no column of replies"));
        assert!(opened(b"id,reply\n1\n").err().unwrap().contains("record"));
    }

    #[test]
    fn wrong_files_are_explained() {
        for (content, expected) in [
            ("", "the file is empty"),
            ("[1]", "one JSON array"),
            ("{\"x\": 1}", "neither"),
            (
                "{\"id\": \"a\", \"replies\": [\"1\"]}\n{\"id\": \"a\", \"replies\": [\"1\"]}",
                "line 2: `a` is there twice",
            ),
            ("{\"id\": \"a\", \"replies\": [\"1\"]}\n{\"id\": 1}", "line 2: neither"),
            ("{\n \"eval\": {}}", "a JSON log of inspect"),
            ("PK\u{3}\u{4}junk", "archive"),
        ] {
            let message = opened(content.as_bytes()).err().expect(content);
            assert!(message.contains(expected), "{content}: {message}");
        }
    }

    #[test]
    fn endings_of_inspect_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.eval");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        let mut entry = |name: &str, text: &str| {
            let stored =
                zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            archive.start_file(name, stored).unwrap();
            std::io::Write::write_all(&mut archive, text.as_bytes()).unwrap();
        };
        entry("header.json", "{}");
        for (epoch, reply) in [
            (2, r#""output": {"choices": [{"message": {"content": "cut"}, "stop_reason": "max_tokens"}]}"#),
            (
                1,
                r#""output": {"choices": [{"message": {"content": [{"type": "text", "text": "1"}]}, "stop_reason": "stop"}]}"#,
            ),
            (3, r#""output": {"choices": []}, "error": {"message": "lost"}"#),
            (
                4,
                r#""output": {"choices": [{"message": {"content": "attachment://7"}, "stop_reason": "content_filter"}]}, "attachments": {"7": "no"}"#,
            ),
        ] {
            entry(
                &format!("samples/1_epoch_{epoch}.json"),
                &format!(
                    r#"{{"id": 1, "epoch": {epoch}, "input": [{{"role": "user", "content": "What is 1 + 1?"}}], {reply}}}"#
                ),
            );
        }
        archive.finish().unwrap();
        let replies = Replies::open(&path).unwrap();
        let matched = replies.of(&problems()[..1]);
        let read = replies.read(&matched.places[0]).unwrap().1;
        let endings: Vec<(&str, Ending)> = read.iter().map(|reply| (&*reply.text, reply.ending)).collect();
        assert_eq!(
            endings,
            [
                ("1", Ending::Complete),
                ("cut", Ending::Truncated),
                ("", Ending::Failed),
                ("no", Ending::Refused)
            ]
        );
        assert_eq!(read[2].failure.as_deref(), Some("lost"));
    }
}
