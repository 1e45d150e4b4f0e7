//! How a command ends when it does not end well: what is printed, and the exit code.

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use mathesis_solvers::statement::StatementError;
use miette::{Diagnostic, LabeledSpan, NamedSource, Report, SourceCode};

/// Why a command does not end with exit code 0.
#[derive(Debug)]
pub enum Failure {
    /// The input was wrong; nothing has been written. Exit code 2.
    Input(Report),
    /// The work failed. Exit code 1.
    Work(Report),
    /// The work failed and everything there is to say has been said. Exit code 1.
    Told,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Input(report) | Failure::Work(report) => write!(f, "{report}"),
            Failure::Told => write!(f, "told already"),
        }
    }
}

impl Failure {
    /// Wrong input, explained in one line.
    pub fn input(message: impl std::fmt::Display) -> Self {
        Failure::Input(miette::miette!("{message}"))
    }

    /// Failed work, explained in one line.
    pub fn work(message: impl std::fmt::Display) -> Self {
        Failure::Work(miette::miette!("{message}"))
    }

    /// A file that could not be read or written.
    pub fn file(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Failure::work(format!("cannot {action} {}: {error}", path.display()))
    }

    /// A complaint about a problem file, with the place in it.
    pub fn statement(error: StatementError, file: &str, text: &str) -> Self {
        Failure::Input(Report::new(Complaint {
            label: error.expected.map_or("here".to_string(), |expected| format!("expected {expected}")),
            message: error.message,
            help: error.help,
            span: visible(error.span, text),
            file: NamedSource::new(file, text.to_string()).with_language("toml"),
        }))
    }

    /// Say it on standard error.
    pub fn print(&self) {
        match self {
            Failure::Input(report) | Failure::Work(report) => eprintln!("{report:?}"),
            Failure::Told => {}
        }
    }

    /// What the shell gets to see.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Input(_) => 2,
            Failure::Work(_) | Failure::Told => 1,
        })
    }
}

/// A span that lies in the text and covers at least one character where there is one. A table's span ends before its first
/// key, so a long span is cut at its first line.
fn visible(span: Range<usize>, text: &str) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line = text.get(start..end).and_then(|part| part.find('\n')).map_or(end, |length| start + length);
    let end = line.max(start);
    if end > start {
        return start..end;
    }
    match text.get(start..).and_then(|rest| rest.chars().next()) {
        Some(character) => start..start + character.len_utf8(),
        None => start..start,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Complaint {
    message: String,
    label: String,
    help: Option<String>,
    span: Range<usize>,
    file: NamedSource<String>,
}

impl Diagnostic for Complaint {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.file)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(self.label.clone()), self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}
