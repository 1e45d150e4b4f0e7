//! What a solved problem hands over to be recorded, shown and reported, whichever room of the solvers it comes from.

use mathesis_solvers::Status;
use serde::Serialize;
use serde_json::{Map, Value};

/// A solved problem, ready for the run folder, the report and the summary.
pub struct Outcome {
    /// The problem's title, if its file gives one.
    pub title: Option<String>,
    /// The problem for `run.json`, such that it could be stated again from it.
    pub problem: Value,
    /// The method with all its options, defaults included, for `run.json`.
    pub method: Value,
    /// The seed that the run has used.
    pub seed: u64,
    /// What came out, for `run.json`.
    pub result: ResultRecord,
    /// How far to trust the result, in one line.
    pub verdict: Verdict,
    /// The problem as the report states it.
    pub statement: Vec<StatementRow>,
    /// The figures that are shown, besides method, status, iterations and time.
    pub facts: Vec<Fact>,
    /// The drawings; their sections come in the order in which they first occur.
    pub figures: Vec<Figure>,
    /// The tables; each stands in its section, after the drawings.
    pub tables: Vec<TableRecord>,
    /// Remarks on the statement and on the solve.
    pub notes: Vec<String>,
    /// The files of the run folder besides the report, the record and the drawings.
    pub files: Vec<Artefact>,
}

/// What `run.json` says of every result, with the room's own entries among them.
#[derive(Clone, Debug, Serialize)]
pub struct ResultRecord {
    /// The method as it calls itself, with its variant.
    pub method: String,
    /// How it ended.
    pub status: Status,
    /// Whether that counts as done; if not, the exit code is 1.
    pub done: bool,
    /// Iterations done, for methods that iterate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Seconds spent in solving.
    pub seconds: f64,
    /// What only this room has: its certificate above all.
    #[serde(flatten)]
    pub details: Map<String, Value>,
    /// Remarks of the method.
    pub notes: Vec<String>,
}

/// How good a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As asked.
    Good,
    /// Done, but to be looked at.
    Doubtful,
    /// Not done.
    Bad,
}

/// One line that says how far to trust a result.
pub struct Verdict {
    /// Its colour.
    pub tone: Tone,
    /// The line.
    pub text: String,
}

/// One line of the problem's statement in the report.
pub struct StatementRow {
    /// What it is; empty if it goes on with the row before.
    pub label: String,
    /// The line.
    pub content: Content,
}

/// What a statement row holds.
pub enum Content {
    /// A formula.
    Latex(String),
    /// Words.
    Text(String),
}

impl StatementRow {
    /// A row with a formula in LaTeX.
    pub fn latex(label: &str, latex: impl Into<String>) -> Self {
        StatementRow { label: label.to_string(), content: Content::Latex(latex.into()) }
    }

    /// A row in words.
    pub fn text(label: &str, text: impl Into<String>) -> Self {
        StatementRow { label: label.to_string(), content: Content::Text(text.into()) }
    }
}

/// One figure that is shown.
pub struct Fact {
    /// Its name.
    pub name: String,
    /// Its value, written out.
    pub value: String,
    /// What it means, for the report.
    pub note: String,
    /// Whether the summary on the terminal shows it too.
    pub brief: bool,
}

impl Fact {
    /// A figure for the summary and the report.
    pub fn brief(name: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Self {
        Fact { name: name.into(), value: value.into(), note: note.into(), brief: true }
    }

    /// A figure for the report alone.
    pub fn full(name: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Self {
        Fact { brief: false, ..Fact::brief(name, value, note) }
    }
}

/// One drawing and where it belongs.
pub struct Figure {
    /// File name without ending.
    pub name: String,
    /// The heading of its section in the report.
    pub section: &'static str,
    /// What it shows, in a sentence.
    pub caption: String,
    /// The drawings as SVG, side by side if there are several.
    pub drawings: Vec<String>,
}

/// One table and where it belongs.
pub struct TableRecord {
    /// The heading of its section in the report.
    pub section: &'static str,
    /// What it shows, in a sentence.
    pub caption: String,
    /// The columns' names.
    pub header: Vec<String>,
    /// The rows, as long as the header.
    pub rows: Vec<Vec<String>>,
}

/// One file of the run folder.
pub struct Artefact {
    /// Its name.
    pub name: String,
    /// What it holds, in a few words.
    pub description: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl Artefact {
    /// A file, what it holds, and its content.
    pub fn new(name: impl Into<String>, description: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Artefact { name: name.into(), description: description.into(), content: content.into() }
    }
}
