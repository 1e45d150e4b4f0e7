//! `mathesis check`: are two mathematical answers equal, and why; one pair, or a file of pairs.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use mathesis_reasoning::answers::{Language, Mode, Options, Verdict, check, extract};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::failure::Failure;

/// How many lines are judged at once.
const LINES: usize = 4096;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The reference answer, in LaTeX or plain notation.
    #[arg(required_unless_present = "batch", allow_hyphen_values = true)]
    gold: Option<String>,
    /// The answer to judge; with --extract a whole response.
    #[arg(required_unless_present = "batch", allow_hyphen_values = true)]
    answer: Option<String>,
    /// The rules: strict, or those of a published checker.
    #[arg(long, default_value = "strict", value_parser = mode)]
    mode: Mode,
    /// The language of numbers and answer sentences, for example `de`. Without: ambiguous numbers are read as in English.
    #[arg(long, value_parser = language)]
    language: Option<Language>,
    /// Find the answer in ANSWER first.
    #[arg(long)]
    extract: bool,
    /// Judge a file of JSON lines with the fields `gold` and `answer` (or `response`, whose answer is found first).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gold", "answer", "extract"])]
    batch: Option<PathBuf>,
    /// Where the lines with their verdicts go. Default: standard output.
    #[arg(long, value_name = "FILE", requires = "batch")]
    output: Option<PathBuf>,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
}

fn mode(name: &str) -> Result<Mode, String> {
    let known: Vec<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
    Mode::from_name(name).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

fn language(code: &str) -> Result<Language, String> {
    let known: Vec<&str> = Language::ALL.iter().map(|language| language.code()).collect();
    Language::from_code(code).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

/// Judge.
///
/// # Errors
/// [`Failure::Told`] (exit code 1) if the answers are not equal; wrong input if a file or a line of it cannot be read.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = Options { mode: arguments.mode, language: arguments.language, ..Options::default() };
    if let Some(path) = &arguments.batch {
        return batch(path, arguments.output.as_deref(), &options);
    }
    let (Some(gold), Some(answer)) = (&arguments.gold, &arguments.answer) else {
        return Err(Failure::input("GOLD and ANSWER are needed"));
    };
    let judged = judge(gold, answer, arguments.extract, &options);
    if arguments.json {
        println!("{}", judged.record());
    } else {
        if arguments.extract {
            match &judged.answer {
                Some(answer) => println!("answer: {answer}"),
                None => println!("answer: none found"),
            }
        }
        println!("{}: {}", word(&judged.verdict), judged.verdict.reason);
    }
    if judged.verdict.is_equal() { Ok(()) } else { Err(Failure::Told) }
}

struct Judged {
    answer: Option<String>,
    verdict: Verdict,
}

impl Judged {
    fn record(&self) -> Value {
        json!({
            "answer": self.answer,
            "verdict": self.verdict.equality,
            "reason": self.verdict.reason,
        })
    }
}

fn word(verdict: &Verdict) -> String {
    serde_json::to_value(verdict.equality)
        .ok()
        .and_then(|v| v.as_str().map(str::to_string))
        .unwrap_or_default()
}

fn judge(gold: &str, answer: &str, find: bool, options: &Options) -> Judged {
    let answer =
        if find { extract(answer, options).map(|found| found.answer) } else { Some(answer.to_string()) };
    // No answer found is an empty one.
    let verdict = check(gold, answer.as_deref().unwrap_or(""), options);
    Judged { answer, verdict }
}

/// Judge a file block by block on all cores, in order.
fn batch(path: &Path, output: Option<&Path>, options: &Options) -> Result<(), Failure> {
    let file = File::open(path)
        .map_err(|error| Failure::input(format!("cannot read {}: {error}", path.display())))?;
    let mut reader = BufReader::new(file);
    // Written under another name first, so that nothing half-written stays behind.
    let folder =
        output.map(|path| path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    let mut temporary = match (folder, output) {
        (Some(folder), Some(output)) => Some(
            tempfile::NamedTempFile::new_in(folder)
                .map_err(|error| Failure::file("write", output, &error))?,
        ),
        _ => None,
    };
    let (mut total, mut equal, mut unknown, mut bad) = (0usize, 0usize, 0usize, 0usize);
    {
        let mut writer: Box<dyn Write> = match &mut temporary {
            Some(file) => Box::new(BufWriter::new(file.as_file_mut())),
            None => Box::new(BufWriter::new(std::io::stdout().lock())),
        };
        let written = |error: std::io::Error| Failure::work(format!("cannot write the verdicts: {error}"));
        let mut number = 0usize;
        loop {
            let mut block: Vec<(usize, Vec<u8>)> = Vec::with_capacity(LINES);
            while block.len() < LINES {
                let mut line = Vec::new();
                let length = reader
                    .read_until(b'\n', &mut line)
                    .map_err(|error| Failure::file("read", path, &error))?;
                if length == 0 {
                    break;
                }
                number += 1;
                if !line.trim_ascii().is_empty() {
                    block.push((number, line));
                }
            }
            if block.is_empty() {
                break;
            }
            let results: Vec<(usize, Result<(Value, Judged), String>)> =
                block.par_iter().map(|(number, line)| (*number, judge_line(line, options))).collect();
            for (number, result) in results {
                match result {
                    Ok((mut record, judged)) => {
                        total += 1;
                        equal += usize::from(judged.verdict.is_equal());
                        unknown += usize::from(word(&judged.verdict) == "unknown");
                        if let Value::Object(fields) = &mut record {
                            fields.insert("extracted".into(), json!(judged.answer));
                            fields.insert("verdict".into(), json!(judged.verdict.equality));
                            fields.insert("reason".into(), json!(judged.verdict.reason));
                        }
                        writeln!(writer, "{record}").map_err(written)?;
                    }
                    Err(message) => {
                        bad += 1;
                        eprintln!("{}:{number}: {message}", path.display());
                    }
                }
            }
        }
        writer.flush().map_err(written)?;
    }
    if bad > 0 {
        return Err(Failure::input(format!("{bad} lines of {} could not be judged", path.display())));
    }
    if let (Some(file), Some(output)) = (temporary, output) {
        file.persist(output).map_err(|error| Failure::file("write", output, &error.error))?;
    }
    let share = if total > 0 { equal as f64 / total as f64 } else { 0.0 };
    eprintln!("{equal} of {total} equal ({:.2} %), {unknown} unknown", 100.0 * share);
    Ok(())
}

fn judge_line(line: &[u8], options: &Options) -> Result<(Value, Judged), String> {
    let record: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    let text = |key: &str| match &record[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let gold = text("gold").ok_or("the field `gold` is missing or not a text")?;
    let judged = match (text("answer"), text("response")) {
        (Some(answer), _) => judge(&gold, &answer, false, options),
        (None, Some(response)) => judge(&gold, &response, true, options),
        (None, None) => return Err("the field `answer` or `response` is missing or not a text".into()),
    };
    Ok((record, judged))
}
