//! `mathesis check`: are two mathematical answers equal, and why; one pair, or a file of pairs.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mathesis_reasoning::answers::{Equality, Language, Mode, Options, Verdict, check, extract};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::failure::{Failure, unreadable};

/// How many lines, and how many bytes of them, are judged at once.
const LINES: usize = 4096;
const BYTES: usize = 1 << 24;
/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 1 << 24;

/// What a line held and how it was judged, or what is wrong with it.
type JudgedLine = Result<(Value, Judged), String>;

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
    /// The time for one comparison in the strict mode, in milliseconds. What takes longer is `unknown`.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50)]
    budget: u64,
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
    let options = Options {
        mode: arguments.mode,
        language: arguments.language,
        budget: Duration::from_millis(arguments.budget),
    };
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
        println!("{}: {}", word(judged.verdict.equality), judged.verdict.reason);
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

fn word(equality: Equality) -> &'static str {
    match equality {
        Equality::Equal => "equal",
        Equality::Different => "different",
        Equality::Unknown => "unknown",
    }
}

fn judge(gold: &str, answer: &str, find: bool, options: &Options) -> Judged {
    let answer =
        if find { extract(answer, options).map(|found| found.answer) } else { Some(answer.to_string()) };
    // No answer found is an empty one.
    let verdict = check(gold, answer.as_deref().unwrap_or(""), options);
    Judged { answer, verdict }
}

/// A line with its number, or what is wrong with it.
type Line = (usize, Result<Vec<u8>, String>);

/// The lines of a file, block by block.
struct Lines<R> {
    reader: R,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// The next lines that are not empty; none at the end of the file.
    fn block(&mut self) -> std::io::Result<Vec<Line>> {
        let (mut block, mut bytes) = (Vec::new(), 0);
        while block.len() < LINES && bytes < BYTES {
            let mut line = Vec::new();
            let limit = LONGEST_LINE as u64 + 1;
            if self.reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            self.number += 1;
            if line.len() > LONGEST_LINE {
                let is_whole = line.last() == Some(&b'\n');
                if !is_whole {
                    self.reader.skip_until(b'\n')?;
                }
                block.push((self.number, Err(format!("longer than {} MiB", LONGEST_LINE >> 20))));
            } else if !line.trim_ascii().is_empty() {
                bytes += line.len();
                block.push((self.number, Ok(line)));
            }
        }
        Ok(block)
    }
}

#[derive(Default)]
struct Counts {
    total: usize,
    equal: usize,
    unknown: usize,
    bad: usize,
}

/// Judge a file block by block on all cores, in order. Lines that cannot be judged are named and left out.
fn batch(path: &Path, output: Option<&Path>, options: &Options) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::input(unreadable(path, &error)))?;
    let mut lines = Lines { reader: BufReader::new(file), number: 0 };
    let mut counts = Counts::default();
    match output {
        None => judge_lines(path, &mut lines, &mut std::io::stdout().lock(), options, &mut counts)?,
        Some(output) => {
            // Written under another name first, so that nothing half-written stays behind.
            let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
            let written = |error: &std::io::Error| Failure::file("write", output, error);
            let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
                .map_err(|error| written(&error))?;
            judge_lines(path, &mut lines, file.as_file_mut(), options, &mut counts)?;
            file.persist(output).map_err(|error| written(&error.error))?;
        }
    }
    let Counts { total, equal, unknown, bad } = counts;
    let share = if total > 0 { equal as f64 / total as f64 } else { 0.0 };
    eprintln!("{equal} of {total} equal ({:.2} %), {unknown} unknown", 100.0 * share);
    if bad > 0 {
        return Err(Failure::input(format!("{bad} lines of {} could not be judged", path.display())));
    }
    Ok(())
}

fn judge_lines(
    path: &Path,
    lines: &mut Lines<impl BufRead>,
    output: &mut impl Write,
    options: &Options,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let mut writer = BufWriter::new(output);
    let written = |error: std::io::Error| Failure::work(format!("cannot write the verdicts: {error}"));
    loop {
        let block = lines.block().map_err(|error| Failure::file("read", path, &error))?;
        if block.is_empty() {
            return writer.flush().map_err(written);
        }
        let judged: Vec<(usize, JudgedLine)> = block
            .into_par_iter()
            .map(|(number, line)| (number, line.and_then(|line| judge_line(&line, options))))
            .collect();
        for (number, result) in judged {
            match result {
                Ok((mut record, judged)) => {
                    counts.total += 1;
                    counts.equal += usize::from(judged.verdict.is_equal());
                    counts.unknown += usize::from(judged.verdict.equality == Equality::Unknown);
                    if let Value::Object(fields) = &mut record {
                        fields.insert("extracted".into(), json!(judged.answer));
                        fields.insert("verdict".into(), json!(judged.verdict.equality));
                        fields.insert("reason".into(), json!(judged.verdict.reason));
                    }
                    writeln!(writer, "{record}").map_err(written)?;
                }
                Err(message) => {
                    counts.bad += 1;
                    eprintln!("{}:{number}: {message}", path.display());
                }
            }
        }
    }
}

fn judge_line(line: &[u8], options: &Options) -> Result<(Value, Judged), String> {
    let line = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 from byte {} of the line on", error.valid_up_to() + 1))?;
    let record: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
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
