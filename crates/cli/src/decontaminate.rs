//! `mathesis decontaminate`: leave out the records that hold text of a benchmark, or show how much of a benchmark a corpus
//! holds.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use mathesis_reasoning::decontamination::{
    Contents, Counts, Decontaminator, FilesError, Overlap, Summary, TextSet, read_records, read_set, split,
};
use serde::Serialize;

use crate::failure::{Failure, absent};
use crate::progress::{Monitor, listen_for_interrupts};
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::run_folder::{RunFolder, check_output};

const EXAMPLES: &str = "\
Examples:
  mathesis decontaminate train.jsonl --against gsm8k=gsm8k/test.jsonl --against 'svamp=SVAMP.json#Body+Question'
  mathesis decontaminate pairs.jsonl --fields question+original --against math=math.jsonl --ngram 8
  mathesis decontaminate mgsm_en.tsv --fields 1 --against gsm8k=gsm8k/test.jsonl     a table without a head: column 1
  mathesis decontaminate benchmark.jsonl --overlap corpus.jsonl.zst --by month      the share of each month in a corpus

A record is left out if it contains a text of a set (lower case, as spaced), or shares a run of N words with one. Tables are
JSON lines, JSON, CSV, TSV or Parquet, compressed or not; JSON lines are streamed and may be of any size.";

/// Arguments of `decontaminate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The files with the records.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The fields that hold the text of a record, with + between them [default: question, problem, content, text,
    /// input or m_query, whichever is there first].
    #[arg(long, value_name = "FIELD+FIELD")]
    fields: Option<String>,
    /// A set of texts that no record may hold, and perhaps the fields of its texts; several sets are tried in this order.
    #[arg(long, value_name = "SET=FILE[#FIELD+FIELD]", required_unless_present = "overlap")]
    against: Vec<String>,
    /// A corpus that is searched for the records, instead of leaving any out.
    #[arg(long, value_name = "FILE[#FIELD+FIELD]", conflicts_with = "against")]
    overlap: Vec<String>,
    /// The words of an n-gram.
    #[arg(long, value_name = "N", default_value_t = 10)]
    ngram: usize,
    /// Count by the values of this field.
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
    /// The run folder [default: runs/decontaminate-FILE, with a number if that is there].
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print the result as JSON on standard output instead of a table.
    #[arg(long)]
    json: bool,
    /// Show no progress and no table.
    #[arg(short, long)]
    quiet: bool,
}

/// What `run.json` holds.
#[derive(Serialize)]
struct RunRecord<'a> {
    name: &'a str,
    files_read: &'a [PathBuf],
    fields: &'a [String],
    ngram: usize,
    sets: &'a [Summary],
    command: Vec<String>,
    finished: String,
    seconds: f64,
    versions: Versions,
    machine: Machine,
    result: &'a Counts,
    files: Vec<FileRecord>,
}

/// Decontaminate.
///
/// # Errors
/// Wrong input before anything is written; [`Failure::Work`] if a file cannot be read to its end or written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    if let Some(missing) = arguments.files.iter().find(|file| !file.is_file()) {
        return Err(Failure::input(absent("file", missing)));
    }
    let contents = fields(arguments.fields.as_deref());
    if arguments.overlap.is_empty() {
        decontaminate(arguments, &contents)
    } else {
        overlap(arguments, &contents)
    }
}

fn fields(text: Option<&str>) -> Contents {
    Contents { fields: text.map_or(Vec::new(), |text| text.split('+').map(str::to_string).collect()) }
}

/// A file and the fields behind `#`.
fn file(text: &str) -> (PathBuf, Contents) {
    match text.rsplit_once('#') {
        Some((file, names)) => (file.into(), fields(Some(names))),
        None => (text.into(), Contents::default()),
    }
}

fn failure(error: FilesError) -> Failure {
    match error {
        FilesError::Set(_) | FilesError::Read { .. } => Failure::input(error),
        FilesError::Write(_) | FilesError::Stopped => Failure::work(error),
    }
}

fn decontaminate(arguments: &Arguments, contents: &Contents) -> Result<(), Failure> {
    let mut sets: Vec<TextSet> = Vec::new();
    for text in &arguments.against {
        let (name, place) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Failure::input(format!("--against {text}: expected SET=FILE")))?;
        let (path, fields) = file(place);
        let set = read_set(name, &path, &fields).map_err(failure)?;
        // Files of one name are one set.
        match sets.iter_mut().find(|known| known.name == name) {
            Some(known) => known.texts.extend(set.texts),
            None => sets.push(set),
        }
    }
    let start = Instant::now();
    let engine = Decontaminator::new(&sets, arguments.ngram).map_err(Failure::input)?;
    drop(sets);
    let stem = arguments.files[0].file_stem().map_or("records".into(), |stem| stem.to_string_lossy());
    let name = format!("decontaminate-{}", stem.split('.').next().unwrap_or(&stem));
    let folder = RunFolder::begin(&name, arguments.output.as_deref())?;
    let (mut kept, mut removed) =
        (BufWriter::new(folder.create("kept.jsonl")?), BufWriter::new(folder.create("removed.jsonl")?));
    listen_for_interrupts();
    let mut monitor = Monitor::new("decontaminate", arguments.quiet || arguments.json).counting("record");
    let by = arguments.by.as_deref();
    let counts =
        split(&arguments.files, contents, by, &engine, &mut kept, &mut removed, |counts| {
            match counts.records % 4096 {
                0 => monitor.show(counts.records, counts.records, &format!("{} left out", counts.found())),
                _ => ControlFlow::Continue(()),
            }
        });
    monitor.finish();
    let counts = counts.map_err(failure)?;
    let files = [
        ("kept.jsonl", "the records without a finding, as they were"),
        (
            "removed.jsonl",
            "the others, each with its reason, what it has in common with the set, and its place",
        ),
    ];
    let record = RunRecord {
        name: &name,
        files_read: &arguments.files,
        fields: &contents.fields,
        ngram: arguments.ngram,
        sets: engine.sets(),
        command: std::env::args().collect(),
        finished: now(),
        seconds: start.elapsed().as_secs_f64(),
        versions: Versions::current(),
        machine: Machine::current(),
        result: &counts,
        files: files.iter().map(|(name, content)| FileRecord::new(name, content)).collect(),
    };
    let mut value = serde_json::to_value(&record).map_err(Failure::work)?;
    folder.write("run.json", serde_json::to_string_pretty(&value).map_err(Failure::work)? + "\n")?;
    let folder = folder.finish()?;
    if arguments.json {
        value["folder"] = folder.display().to_string().into();
        println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    } else if !arguments.quiet {
        let mut rows = vec![["records".to_string(), counts.records.to_string()]];
        rows.push(["kept".into(), counts.kept.to_string()]);
        rows.extend(counts.reasons.iter().map(|(reason, count)| [reason.clone(), count.to_string()]));
        if counts.unreadable > 0 {
            rows.push(["unreadable".into(), counts.unreadable.to_string()]);
        }
        for set in engine.sets() {
            let short =
                format!("{} texts, {} of them shorter than {} words", set.texts, set.short, arguments.ngram);
            rows.push([format!("set {}", set.name), format!("{short}; {} n-grams", set.ngrams)]);
        }
        for (value, group) in &counts.groups {
            let percent = 100.0 * group.found as f64 / group.records as f64;
            rows.push([value.clone(), format!("{} of {} found, {percent:.2} %", group.found, group.records)]);
        }
        rows.push(["time".into(), seconds(record.seconds)]);
        rows.push(["written".into(), folder.display().to_string()]);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).add_rows(rows);
        println!("{table}");
    }
    std::io::stdout().flush().map_err(Failure::work)
}

fn overlap(arguments: &Arguments, contents: &Contents) -> Result<(), Failure> {
    let records = read_records(&arguments.files, contents, arguments.by.as_deref()).map_err(failure)?;
    if records.is_empty() {
        return Err(Failure::input("the files hold no record"));
    }
    let overlap = Overlap::new(&records, arguments.ngram).map_err(Failure::input)?;
    listen_for_interrupts();
    let mut monitor = Monitor::new("overlap", arguments.quiet || arguments.json).counting("text");
    let mut unreadable = 0;
    for text in &arguments.overlap {
        let (path, fields) = file(text);
        let seen = overlap.see_files(&[path], &fields, |count| {
            match count % 4096 == 0 && monitor.show(count, count, "").is_break() {
                true => Err(FilesError::Stopped),
                false => Ok(()),
            }
        });
        unreadable += seen.map_err(failure)?;
    }
    monitor.finish();
    let groups = overlap.groups();
    if arguments.json {
        let value = serde_json::json!({"ngram": arguments.ngram, "unreadable": unreadable, "groups": groups});
        println!("{}", serde_json::to_string_pretty(&value).map_err(Failure::work)?);
    } else if !arguments.quiet {
        println!("{}", overlap_table(arguments.by.as_deref().unwrap_or("all"), &groups));
        if unreadable > 0 {
            println!("{unreadable} lines of the corpus hold no such text");
        }
    }
    Ok(())
}

fn overlap_table(
    by: &str,
    groups: &BTreeMap<String, mathesis_reasoning::decontamination::OverlapGroup>,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([by, "records", "found in the corpus", "%", "n-grams", "of these in the corpus"]);
    for (value, group) in groups {
        table.add_row([
            value.clone(),
            group.records.to_string(),
            group.touched.to_string(),
            format!("{:.2}", group.percent),
            group.ngrams.to_string(),
            group.shared.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
