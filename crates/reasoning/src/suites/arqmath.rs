//! ARQMath-3 Task 1: find answers to questions of Math Stack Exchange (Mansouri et al. 2022), and the study that uses it
//! to measure language models by the answers their texts retrieve (Satpute et al. 2024).
//!
//! 100 topics, 78 of them judged with grades 0 to 3. Official scores are primed: documents that were not judged are
//! left out, repeated ones count once; nDCG' takes grades as gains, the binary measures count grades 2 and 3.
//!
//! Users bring the data: judgements, topics (XML), topic information (CSV), generated answers (six files of three
//! forms), published precisions (CSV).

use std::path::Path;

use quick_xml::events::Event;

use crate::retrieval::measures::Measure;
use crate::retrieval::{Evaluation, FileError, Judgements, Options, Run, evaluate, read_bytes, read_text};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// `A.301` to `A.400`.
    pub id: String,
    /// HTML; formulas are LaTeX in `<span class="math-container">`.
    pub title: String,
    /// HTML.
    pub question: String,
    /// The tags of the question.
    pub tags: Vec<String>,
}

impl Topic {
    /// Title and question as plain text.
    pub fn text(&self) -> String {
        plain_text(&format!("{} {}", self.title, self.question))
    }
}

/// What the organisers say about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Information {
    /// The topic.
    pub topic: String,
    /// Proof, Computation, Concept, or Proof & Concept.
    pub category: String,
    /// Low, Medium or High.
    pub difficulty: String,
    /// What the question depends on: Text, Formula or Both.
    pub dependency: String,
}

/// The answers that a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedAnswers {
    /// Topic and answer, in the order of the file; an answer can be empty.
    pub answers: Vec<(String, String)>,
    /// What a reader should know: another encoding than UTF-8, undefined bytes, empty answers; with lines.
    pub notices: Vec<String>,
}

/// Precision at ten of several systems, topic by topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Precisions {
    /// The names of the systems.
    pub systems: Vec<String>,
    /// The means that the file states.
    pub stated: Vec<f64>,
    /// Every topic with the values of the systems.
    pub topics: Vec<(String, Vec<f64>)>,
}

impl Precisions {
    /// The values of a system, topic by topic.
    pub fn of(&self, system: usize) -> Vec<f64> {
        self.topics.iter().map(|(_, values)| values[system]).collect()
    }
}

/// The official scores of a run.
#[derive(Clone, Debug)]
pub struct Scores {
    /// The primed measures: `ndcg` is nDCG', `map` mAP', `P_10` P'@10.
    pub primed: Evaluation,
    /// `judged_k`: which share of the first k documents was judged, before documents are left out.
    pub judged: Evaluation,
}

/// Judgements with grades 0 to 3. Errors: as [`Judgements::parse`].
pub fn read_judgements(path: &Path) -> Result<Judgements, FileError> {
    Judgements::read(path, 0..=3)
}

/// The official scores of a run, over the topics that it shares with the judgements, or with `complete` over all judged
/// topics.
///
/// Errors: no topic in common.
pub fn score(judgements: &Judgements, run: &Run, complete: bool) -> Result<Scores, String> {
    let options = Options { complete, ..Options::arqmath() };
    let primed = evaluate(
        judgements,
        run,
        &Measure::parse(&["official", "ndcg", "ndcg_cut", "recall", "success"])?,
        &options,
    )?;
    let judged = Options { judged_only: false, ..options };
    let judged = evaluate(judgements, run, &Measure::parse(&["judged.5,10,100,1000"])?, &judged)?;
    Ok(Scores { primed, judged })
}

/// The mean of a measure for every value of a property of the topics, with the number of topics, in order of the value.
/// Topics without information are left out.
pub fn by_property<'a>(
    values: &[(&str, f64)],
    information: &'a [Information],
    property: impl Fn(&'a Information) -> &'a str,
) -> Vec<(&'a str, usize, f64)> {
    let mut groups: std::collections::BTreeMap<&str, (usize, f64)> = Default::default();
    for (topic, value) in values {
        if let Some(information) = information.iter().find(|information| information.topic == *topic) {
            let (count, sum) = groups.entry(property(information)).or_default();
            *count += 1;
            *sum += value;
        }
    }
    groups.into_iter().map(|(name, (count, sum))| (name, count, sum / count as f64)).collect()
}

/// The topics of a file.
///
/// Errors: no well-formed XML, a topic without number, title or question, a number that comes twice, no topic.
pub fn read_topics(path: &Path) -> Result<Vec<Topic>, FileError> {
    parse_topics(&path.display().to_string(), &read_text(path)?)
}

/// The topics in XML text; `file` is named in errors.
pub fn parse_topics(file: &str, text: &str) -> Result<Vec<Topic>, FileError> {
    let line_of = |place: u64| 1 + text.bytes().take(place as usize).filter(|&byte| byte == b'\n').count();
    let mut reader = quick_xml::Reader::from_str(text);
    let mut topics: Vec<Topic> = Vec::new();
    let mut current: Option<Topic> = None;
    let mut field = String::new();
    let mut content = String::new();
    loop {
        let place = reader.buffer_position();
        let fail = |message: String| FileError::new(file, line_of(place), message);
        match reader
            .read_event()
            .map_err(|error| FileError::new(file, line_of(reader.error_position()), error.to_string()))?
        {
            Event::Start(element) if element.name().as_ref() == "Topic" => {
                let number =
                    element.attributes().flatten().find(|attribute| attribute.key.as_ref() == "number");
                let id = number.map(|attribute| attribute.value.into_owned());
                let id = id
                    .filter(|id| !id.is_empty())
                    .ok_or_else(|| fail("a topic without `number`".to_string()))?;
                if topics.iter().any(|topic| topic.id == id) {
                    return Err(fail(format!("topic {id} comes twice")));
                }
                current = Some(Topic { id, title: String::new(), question: String::new(), tags: Vec::new() });
            }
            Event::Start(element) => {
                field = element.name().as_ref().to_string();
                content.clear();
            }
            Event::Text(piece) => content.push_str(&piece),
            Event::CData(piece) => content.push_str(&piece),
            Event::GeneralRef(entity) => {
                let unknown = || fail(format!("unknown entity `&{};`", &*entity));
                let text = entity_text(&entity).ok_or_else(unknown)?;
                content.push_str(&text);
            }
            Event::End(element) => {
                if let Some(topic) = current.as_mut().filter(|_| element.name().as_ref() == field.as_str()) {
                    match field.as_str() {
                        "Title" => topic.title = std::mem::take(&mut content),
                        "Question" => topic.question = std::mem::take(&mut content),
                        "Tags" => topic.tags = content.split(',').map(|tag| tag.trim().to_string()).collect(),
                        _ => {}
                    }
                }
                if element.name().as_ref() == "Topic"
                    && let Some(topic) = current.take()
                {
                    if topic.title.is_empty() || topic.question.is_empty() {
                        return Err(fail(format!("topic {} has no title or no question", topic.id)));
                    }
                    topics.push(topic);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match topics.is_empty() || current.is_some() {
        true => Err(FileError::new(file, 0, "holds no topic, or ends within one")),
        false => Ok(topics),
    }
}

/// HTML without its tags, each of which becomes a blank, and with its entities decoded.
pub fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(place) = rest.find(['<', '&']) {
        text.push_str(&rest[..place]);
        rest = &rest[place..];
        let end = rest.find(if rest.starts_with('<') { '>' } else { ';' });
        match end {
            Some(end) if rest.starts_with('<') => {
                text.push(' ');
                rest = &rest[end + 1..];
            }
            Some(end) if end <= 32 && entity_text(&rest[1..end]).is_some() => {
                text.push_str(&entity_text(&rest[1..end]).unwrap_or_default());
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
    text
}

/// What an entity stands for: `lt`, `#60`, `#x3c`, or a name of HTML 5.
pub(crate) fn entity_text(name: &str) -> Option<String> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).map(String::from);
    }
    quick_xml::escape::resolve_html5_entity(name).map(str::to_string)
}

/// The organisers' information on topics: a CSV file with the columns Topic, Category, Difficulty and Dependency.
///
/// Errors: a missing column, a row of another length, a topic that comes twice.
pub fn read_information(path: &Path) -> Result<Vec<Information>, FileError> {
    let (header, rows) = read_table(path, &read_text(path)?, b',')?;
    let column = |name: &str| {
        let place = header.iter().position(|other| other == name);
        place.ok_or_else(|| FileError::new(&path.display().to_string(), 1, format!("no column `{name}`")))
    };
    let places = [column("Topic")?, column("Category")?, column("Difficulty")?, column("Dependency")?];
    let mut information: Vec<Information> = Vec::new();
    for (line, row) in rows {
        let [topic, category, difficulty, dependency] = places.map(|place| row[place].clone());
        if information.iter().any(|other| other.topic == topic) {
            return Err(FileError::new(
                &path.display().to_string(),
                line,
                format!("topic {topic} comes twice"),
            ));
        }
        information.push(Information { topic, category, difficulty, dependency });
    }
    Ok(information)
}

/// The published precisions at ten: a CSV file with Topic, QuestionID and a column a system, whose first row `Average`
/// states the means.
///
/// Errors: another form, a value that is no number from 0 to 1.
pub fn read_precisions(path: &Path) -> Result<Precisions, FileError> {
    let name = path.display().to_string();
    let (header, rows) = read_table(path, &read_text(path)?, b',')?;
    if header.len() < 3 || header[0] != "Topic" {
        return Err(FileError::new(&name, 1, "expected the columns Topic, QuestionID and one a system"));
    }
    let mut precisions = Precisions { systems: header[2..].to_vec(), stated: Vec::new(), topics: Vec::new() };
    for (line, row) in rows {
        let value = |text: &String| match text.trim().parse::<f64>() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
            _ => Err(FileError::new(&name, line, format!("expected a number from 0 to 1, found `{text}`"))),
        };
        let values: Vec<f64> = row[2..].iter().map(value).collect::<Result<_, _>>()?;
        match row[0] == "Average" {
            true => precisions.stated = values,
            false => precisions.topics.push((row[0].clone(), values)),
        }
    }
    Ok(precisions)
}

/// The answers that a model wrote, from a file of two columns, topic and answer, separated by tabs or commas (whichever
/// comes first in the file), with CSV quotes and perhaps the header `Column1,Column2`.
///
/// A file that is not UTF-8 is read as Windows-1252, which the notices say.
///
/// Errors: a row of other than two columns, a topic that is not `A.` and a number or that comes twice, no row.
pub fn read_answers(path: &Path) -> Result<GeneratedAnswers, FileError> {
    let name = path.display().to_string();
    let mut notices = Vec::new();
    let text = match String::from_utf8(read_bytes(path)?) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&b| b == b'\n')
                .count();
            notices.push(format!("{name}:{line}: not UTF-8; the file is read as Windows-1252"));
            let text: String = error.as_bytes().iter().map(|&byte| windows_1252(byte)).collect();
            for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains('\u{fffd}')) {
                let count = line.matches('\u{fffd}').count();
                notices
                    .push(format!("{name}:{}: {count} bytes that Windows-1252 does not define", index + 1));
            }
            text
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let separator = text.bytes().find(|byte| matches!(byte, b'\t' | b',')).unwrap_or(b'\t');
    let mut answers: Vec<(String, String)> = Vec::new();
    for (line, row) in rows(&name, text, separator)? {
        let fail = |message: String| FileError::new(&name, line, message);
        let [topic, answer] = row.as_slice() else {
            return Err(fail(format!("expected two columns (topic, answer), found {}", row.len())));
        };
        let topic = topic.trim();
        if answers.is_empty() && topic == "Column1" {
            continue;
        }
        let number = topic.strip_prefix("A.").is_some_and(|rest| rest.parse::<u32>().is_ok());
        if !number {
            return Err(fail(format!("expected a topic as A.301, found `{topic}`")));
        }
        if answers.iter().any(|(other, _)| other == topic) {
            return Err(fail(format!("topic {topic} is answered twice")));
        }
        if answer.trim().is_empty() {
            notices.push(format!("{name}:{line}: the answer to {topic} is empty"));
        }
        answers.push((topic.to_string(), answer.clone()));
    }
    match answers.is_empty() {
        true => Err(FileError::new(&name, 0, "holds no answers")),
        false => Ok(GeneratedAnswers { answers, notices }),
    }
}

type Row = (usize, Vec<String>);

/// Header and rows of a CSV file in which all rows have one length; rows with their lines.
fn read_table(path: &Path, text: &str, separator: u8) -> Result<(Vec<String>, Vec<Row>), FileError> {
    let name = path.display().to_string();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = rows(&name, text, separator)?.into_iter();
    let (_, header) = rows.next().ok_or_else(|| FileError::new(&name, 0, "is empty"))?;
    let rows: Vec<Row> = rows.collect();
    match rows.iter().find(|(_, row)| row.len() != header.len()) {
        Some((line, row)) => {
            let message = format!("expected {} columns, found {}", header.len(), row.len());
            Err(FileError::new(&name, *line, message))
        }
        None => Ok((header, rows)),
    }
}

fn rows(file: &str, text: &str, separator: u8) -> Result<Vec<Row>, FileError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, |position| position.line() as usize);
            FileError::new(file, line, error.to_string())
        })?;
        let line = record.position().map_or(0, |position| position.line() as usize);
        Ok((line, record.iter().map(str::to_string).collect()))
    };
    reader.records().map(row).collect()
}

/// A byte in Windows-1252: ISO 8859-1 but for 0x80 to 0x9F. U+FFFD for the five bytes that it does not define.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}',
        '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte) - 0x80],
        byte => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_plain() {
        assert_eq!(plain_text("<p>1 &lt; 2 &amp;&nbsp;x</p>"), " 1 < 2 &\u{a0}x ");
        assert_eq!(plain_text("a & b; c < d"), "a & b; c < d");
        assert_eq!(plain_text("&#60;&#x3e;&#xffffffff;&unheard;"), "<>&#xffffffff;&unheard;");
    }

    #[test]
    fn topics_name_what_is_missing() {
        let topic = "<Topics><Topic number=\"A.1\"><Title>a &amp;lt; b</Title>\n<Question>c</Question></Topic></Topics>";
        let topics = parse_topics("t", topic).unwrap();
        assert_eq!((topics[0].title.as_str(), topics[0].text().as_str()), ("a &lt; b", "a < b c"));
        let error = parse_topics("t", &topic.replace("<Question>c</Question>", "")).unwrap_err();
        assert_eq!(error.to_string(), "t:2: topic A.1 has no title or no question");
        for bad in
            ["", "<Topics>", "<Topics><Topic number=\"A.1\"></Topics>", &topic.replace("&amp;", "&unheard;")]
        {
            assert!(parse_topics("t", bad).is_err(), "{bad}");
        }
    }
}
