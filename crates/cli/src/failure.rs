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

/// Why a file cannot be read, in words; if there is none, with the one whose name is nearest.
pub fn unreadable(path: impl AsRef<Path>, error: &std::io::Error) -> String {
    let path = path.as_ref();
    let nearest = match error.kind() {
        std::io::ErrorKind::NotFound => nearest(path),
        _ => String::new(),
    };
    format!("cannot read {}: {error}{nearest}", path.display())
}

/// That there is no such file or folder, in words, with the one whose name is nearest.
pub fn absent(what: &str, path: &Path) -> String {
    format!("there is no {what} {}{}", path.display(), nearest(path))
}

/// Names less alike than this are another's.
const ALIKE: f64 = 0.8;

/// "; the nearest is PATH", if beside the first part of the path that is missing something is called nearly like it.
fn nearest(path: &Path) -> String {
    let missing = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).last();
    let Some((name, parent)) = missing.and_then(|part| Some((part.file_name()?, part.parent()?))) else {
        return String::new();
    };
    let name = name.to_string_lossy();
    let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let alike = names.map(|other| (strsim::jaro_winkler(&other.to_string_lossy(), &name), other));
    // Of two that are equally near, the first in the alphabet.
    match alike
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))
    {
        Some((_, other)) => format!("; the nearest is {}", parent.join(other).display()),
        None => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = |name: &str| folder.path().join(name);
        std::fs::create_dir(inside("problems")).expect("a folder");
        std::fs::write(inside("problems/poisson.toml"), "").expect("a file");
        let told = |path: &Path| {
            let error = std::fs::read(path).expect_err("no such file");
            unreadable(path, &error)
        };
        let near = inside("problems/poison.toml");
        let text = told(&near);
        assert!(text.starts_with(&format!("cannot read {}: ", near.display())), "{text}");
        assert!(
            text.ends_with(&format!("; the nearest is {}", inside("problems/poisson.toml").display())),
            "{text}"
        );
        let text = told(&inside("problem/poisson.toml"));
        assert!(text.ends_with(&format!("; the nearest is {}", inside("problems").display())), "{text}");
        assert!(!told(&inside("wave")).contains("nearest"));
        // A folder is there, though it cannot be read as a file.
        assert!(!told(&inside("problems")).contains("nearest"));
        assert!(absent("file", &near).ends_with("poisson.toml"));
    }
}
