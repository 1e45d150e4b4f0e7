//! Threads in the XML dump of a question-and-answer site, such as `Posts.xml` of Stack Exchange: an element `row` for each
//! post, with the attributes `Id`, `PostTypeId` (1 a question, 2 an answer), `ParentId` of answers, `CreationDate` (UTC),
//! `Body`, and perhaps `Title`, `Tags`, `Score`, `OwnerUserId`, `OwnerDisplayName`.
//!
//! The question is post 1 and its answers follow by date. Bodies are HTML and become plain text: paragraphs, breaks and
//! items end lines, an address that is linked to is kept behind its words, pictures become attachments. The dump is read
//! twice, first for the places of all rows, then question by question, so that only the places are in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{Post, Thread};
use crate::recipes::runner::{Fate, RunError};
use crate::recipes::time::Time;
use crate::suites::Origin;
use crate::suites::arqmath::entity_text;

/// A row in the dump.
#[derive(Clone, Copy)]
struct Place {
    id: u64,
    start: u64,
    length: u32,
}

/// The threads of a dump, in the order of its questions; the line of an origin is the id of the question.
pub struct Threads {
    path: PathBuf,
    file: File,
    questions: std::vec::IntoIter<Place>,
    answers: HashMap<u64, Vec<Place>, foldhash::fast::FixedState>,
}

impl Threads {
    /// Looks through a dump.
    ///
    /// # Errors
    /// If the file cannot be read, is no XML, or a row has no `Id` or `PostTypeId`: the place is named.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let failed = |source| RunError::File { path: path.into(), source };
        let mut reader = quick_xml::Reader::from_reader(BufReader::new(File::open(path).map_err(failed)?));
        let (mut questions, mut buffer) = (Vec::new(), Vec::new());
        let mut answers: HashMap<u64, Vec<Place>, _> = HashMap::default();
        loop {
            let start = reader.buffer_position();
            let wrong = |message: String| {
                failed(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    format!("at byte {start}: {message}"),
                ))
            };
            let event = reader.read_event_into(&mut buffer).map_err(|error| wrong(error.to_string()))?;
            match &event {
                Event::Empty(row) | Event::Start(row) if row.name().as_ref() == "row" => {
                    let number = |name: &str| -> Option<u64> { attribute(row, name)?.parse().ok() };
                    let id = number("Id").ok_or_else(|| wrong("a row without `Id`".into()))?;
                    let kind =
                        number("PostTypeId").ok_or_else(|| wrong("a row without `PostTypeId`".into()))?;
                    let length = (reader.buffer_position() - start) as u32;
                    let place = Place { id, start, length };
                    match kind {
                        1 => questions.push(place),
                        2 => {
                            let parent = number("ParentId")
                                .ok_or_else(|| wrong("an answer without `ParentId`".into()))?;
                            answers.entry(parent).or_default().push(place);
                        }
                        _ => {}
                    }
                }
                Event::Eof => break,
                _ => {}
            }
            buffer.clear();
        }
        let file = File::open(path).map_err(failed)?;
        Ok(Threads { path: path.into(), file, questions: questions.into_iter(), answers })
    }

    /// The number of threads that are left.
    pub fn left(&self) -> usize {
        self.questions.len()
    }

    /// The text of a row.
    fn text(&mut self, place: Place) -> std::io::Result<String> {
        let mut bytes = vec![0; place.length as usize];
        self.file.seek(SeekFrom::Start(place.start))?;
        self.file.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(std::io::Error::other)
    }

    fn thread(&mut self, question: Place) -> Result<Fate<Thread>, RunError> {
        let origin = self.origin(question);
        let mut places = vec![question];
        places.extend(self.answers.remove(&question.id).unwrap_or_default());
        let mut thread = Thread { id: question.id.to_string(), origin, ..Thread::default() };
        let mut dated: Vec<(Time, u64, Post)> = Vec::new();
        for place in places {
            let text =
                self.text(place).map_err(|source| RunError::File { path: self.path.clone(), source })?;
            let row = match read_row(&text) {
                Ok(row) => row,
                Err(fault) => {
                    return Ok(Fate::quarantined("unreadable", format!("post {}: {fault}", place.id)));
                }
            };
            if place.id == question.id {
                (thread.title, thread.tags) = (row.title, row.tags);
            }
            dated.push((row.post.time, place.id, row.post));
        }
        // The question stays first, whatever the clocks say.
        dated[1..].sort_by_key(|(time, id, _)| (*time, *id));
        let numbered = dated.into_iter().enumerate();
        thread.posts =
            numbered.map(|(at, (_, _, post))| Post { post_number: at as u64 + 1, ..post }).collect();
        Ok(Fate::kept(thread))
    }

    fn origin(&self, question: Place) -> Origin {
        Origin { file: self.path.display().to_string(), line: question.id as usize }
    }
}

impl Iterator for Threads {
    type Item = Result<(Origin, Fate<Thread>), RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let question = self.questions.next()?;
        let origin = self.origin(question);
        Some(self.thread(question).map(|fate| (origin, fate)))
    }
}

fn attribute(row: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = row.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

struct ReadRow {
    title: String,
    tags: Vec<String>,
    post: Post,
}

fn read_row(text: &str) -> Result<ReadRow, String> {
    let mut reader = quick_xml::Reader::from_str(text);
    let row = loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Empty(row) | Event::Start(row) => break row,
            Event::Eof => return Err("no row".into()),
            _ => {}
        }
    };
    let get = |name: &str| attribute(&row, name);
    let need = |name: &str| get(name).ok_or_else(|| format!("no readable `{name}`"));
    let date = need("CreationDate")?;
    let (text, attachments) = plain(&need("Body")?);
    let tags = get("Tags").unwrap_or_default();
    let tags = tags.split(['<', '>', '|']).filter(|tag| !tag.is_empty()).map(str::to_string).collect();
    Ok(ReadRow {
        title: get("Title").unwrap_or_default(),
        tags,
        post: Post {
            post_number: 0,
            user: get("OwnerUserId").or_else(|| get("OwnerDisplayName")),
            time: Time::parse(&date).ok_or_else(|| format!("CreationDate `{date}` is no date"))?,
            text,
            attachments,
            thanks: get("Score").and_then(|score| score.parse().ok()).unwrap_or(0),
        },
    })
}

/// HTML as plain text, and the addresses of its pictures.
fn plain(html: &str) -> (String, Vec<String>) {
    const ENDS_LINE: [&str; 12] =
        ["p", "/p", "br", "br/", "/li", "pre", "/pre", "/blockquote", "hr", "/h1", "/h2", "/h3"];
    let (mut text, mut attachments) = (String::with_capacity(html.len()), Vec::new());
    let mut link = None;
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_tag = rest.starts_with('<')
            && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match rest.find(if is_tag { '>' } else { ';' }) {
            Some(end) if is_tag => {
                let tag = &rest[1..end];
                let name = tag.split([' ', '\n']).next().unwrap_or(tag).to_ascii_lowercase();
                match name.as_str() {
                    "a" => link = address(tag, "href"),
                    "/a" => {
                        if let Some(link) = link.take().filter(|link| !text.ends_with(link.as_str())) {
                            text.push_str(&format!(" ({link})"));
                        }
                    }
                    "img" => attachments.extend(address(tag, "src")),
                    name if ENDS_LINE.contains(&name) && !text.is_empty() && !text.ends_with('\n') => {
                        text.push('\n')
                    }
                    _ => {}
                }
                rest = &rest[end + 1..];
            }
            Some(end) if end <= 32 && !is_tag && rest.starts_with('&') => {
                match entity_text(&rest[1..end]) {
                    Some(character) => text.push_str(&character),
                    None => text.push_str(&rest[..=end]),
                }
                rest = &rest[end + 1..];
            }
            // A sign that begins nothing.
            _ => {
                text.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    (text.trim().to_string(), attachments)
}

fn address(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    rest.split('"').next().map(|address| address.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<posts>
  <row Id="4" PostTypeId="2" ParentId="9" CreationDate="2024-01-03T00:00:00.000" Score="2" Body="&lt;p&gt;Second&lt;/p&gt;" OwnerDisplayName="gone" />
  <row Id="9" PostTypeId="1" CreationDate="2024-01-01T00:00:00.000" Score="-1" OwnerUserId="7" Title="A &amp; B" Tags="&lt;sums&gt;&lt;real-analysis&gt;" Body="&lt;p&gt;Is $1 &amp;lt; 2$ &amp;amp; so?&#xA;See &lt;a href=&quot;http://x.org/?a=1&amp;amp;b=2&quot;&gt;here&lt;/a&gt;.&lt;/p&gt;&#xA;&lt;p&gt;&lt;img src=&quot;f.png&quot;&gt; if a&lt;b&lt;/p&gt;" />
  <row Id="10" PostTypeId="2" ParentId="9" CreationDate="2024-01-02T00:00:00.000" Score="5" Body="First" OwnerUserId="8" />
  <row Id="11" PostTypeId="5" CreationDate="2024-01-02T00:00:00.000" Body="a tag" />
  <row Id="12" PostTypeId="2" ParentId="99" CreationDate="2024-01-02T00:00:00.000" Body="to nothing" />
  <row Id="13" PostTypeId="1" CreationDate="someday" Body="when?" />
</posts>
"#;

    fn threads(dump: &str) -> Result<Vec<(Origin, Fate<Thread>)>, RunError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Posts.xml");
        std::fs::write(&path, dump).unwrap();
        Threads::open(&path)?.collect()
    }

    #[test]
    fn answers_are_gathered_and_bodies_become_text() {
        let fates = threads(DUMP).unwrap();
        assert_eq!(fates.len(), 2);
        let thread = &fates[0].1.kept[0];
        assert_eq!((thread.id.as_str(), thread.title.as_str(), thread.origin.line), ("9", "A & B", 9));
        assert_eq!(thread.tags, ["sums", "real-analysis"]);
        let posts: Vec<(u64, Option<&str>, i64)> =
            thread.posts.iter().map(|post| (post.post_number, post.user.as_deref(), post.thanks)).collect();
        assert_eq!(posts, [(1, Some("7"), -1), (2, Some("8"), 5), (3, Some("gone"), 2)]);
        let question = &thread.posts[0];
        assert_eq!(question.text, "Is $1 < 2$ & so?\nSee here (http://x.org/?a=1&b=2).\n\n if a");
        assert_eq!(
            (question.attachments.as_slice(), thread.date()),
            (&["f.png".to_string()][..], Time(1_704_067_200))
        );
        assert_eq!((thread.posts[1].text.as_str(), thread.posts[2].text.as_str()), ("First", "Second"));
        assert_eq!(fates[1].1.losses[0].detail, "post 13: CreationDate `someday` is no date");
    }

    #[test]
    fn what_is_no_dump_is_named_with_its_place() {
        for (dump, expected) in [
            ("<posts><row PostTypeId=\"1\" /></posts>", "at byte 7: a row without `Id`"),
            ("<posts><row Id=\"1\" PostTypeId=\"2\" /></posts>", "without `ParentId`"),
            ("<posts><row Id=\"1\" ", "at byte 7"),
            ("<posts></rows>", "at byte"),
        ] {
            let message = threads(dump).expect_err(dump).to_string();
            assert!(message.contains(expected), "{dump}: {message}");
        }
    }
}
