//! The recipes `multilingual` (worked problems translated, paired, rendered for training) and
//! `multilingual-rejection-sampling` (further solutions from the trained model).

mod sampling;
mod translating;

pub use sampling::run as sample;
pub use translating::run as translate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_reasoning::models::calls::{Calls, Log, Options, Spending};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use super::Arguments;
use crate::eval::page::table as html_table;
use crate::failure::{Failure, unreadable};
use crate::local_model::open;
use crate::record::{FileRecord, Machine, Versions, now, seconds};
use crate::report::page::{STYLE, escape};
use crate::run_folder::RunFolder;

/// A recipe's file and what is known of the run that follows it.
struct Run<'a> {
    arguments: &'a Arguments,
    /// The name of the run.
    name: String,
}

/// A file of a run folder: its name, what it holds, its content.
type Product = (String, &'static str, Vec<u8>);

impl<'a> Run<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        let name =
            arguments.file.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
        Run { arguments, name }
    }

    /// The settings of the file.
    fn settings<T: DeserializeOwned>(&self, text: &str) -> Result<T, Failure> {
        toml::from_str(text).map_err(|error| self.wrong(error))
    }

    /// Wrong input in the recipe's file.
    fn wrong(&self, message: impl std::fmt::Display) -> Failure {
        Failure::input(format!("{}: {message}", self.arguments.file.display()))
    }

    /// A path of the recipe's file, which counts from its folder.
    fn path(&self, path: &Path) -> PathBuf {
        self.arguments.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A template of one's own: its name and text.
    fn template(&self, path: Option<&PathBuf>) -> Result<Option<(String, String)>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let path = self.path(path);
        let text = std::fs::read_to_string(&path).map_err(|error| self.wrong(unreadable(&path, &error)))?;
        Ok(Some((path.display().to_string(), text)))
    }

    /// Calls to the model of the command line, logged under `runs/calls`; a dry run leaves no log behind, so that the folder
    /// that comes with them must stay until the end.
    fn calls(&self) -> Result<(Calls, Option<TempDir>), Failure> {
        let model = self.arguments.model.as_deref();
        let model = model.ok_or_else(|| Failure::input("--model says which model is asked"))?;
        let model = open(model).map_err(Failure::input)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let name = format!("{}-{}", self.name, model.identity().model.chars().map(plain).collect::<String>());
        let folder = PathBuf::from("runs/calls").join(&name);
        let empty = match self.arguments.dry_run && !folder.exists() {
            true => Some(tempfile::tempdir().map_err(Failure::work)?),
            false => None,
        };
        let log = Log::open(empty.as_ref().map_or(folder.as_path(), |folder| folder.path()));
        let log = Arc::new(log.map_err(Failure::work)?);
        let calls = Calls::new(model, log, Options { run: name, ..Options::default() });
        Ok((calls.map_err(Failure::input)?, empty))
    }

    /// Writes the run folder and prints what came out: the rows of a table with a head.
    fn conclude(
        &self,
        settings: &impl Serialize,
        calls: &Calls,
        spent: Spending,
        result: Value,
        tables: &[(&str, Vec<Vec<String>>)],
        mut products: Vec<Product>,
    ) -> Result<(), Failure> {
        let title = format!("{} · {}", self.name, calls.model().identity().model);
        products.push(("report.html".into(), "tables", page(&title, tables).into_bytes()));
        let time = calls.status().elapsed.as_secs_f64();
        let record = serde_json::json!({
            "name": self.name,
            "settings": settings,
            "model": calls.model().identity(),
            "command": std::env::args().collect::<Vec<_>>(),
            "finished": now(),
            "seconds": time,
            "spent": {
                "calls": spent.calls,
                "input_tokens": spent.input_tokens,
                "output_tokens": spent.output_tokens,
            },
            "versions": Versions::current(),
            "machine": Machine::current(),
            "result": result,
            "files": products.iter().map(|(name, content, _)| FileRecord::new(name, content)).collect::<Vec<_>>(),
        });
        let folder = RunFolder::begin(&self.name, self.arguments.output.as_deref())?;
        for (name, _, content) in &products {
            folder.write(name, content)?;
        }
        let text = serde_json::to_string_pretty(&record).map_err(Failure::work)?;
        folder.write("run.json", text + "\n")?;
        let folder = folder.finish()?;
        if self.arguments.json {
            let mut record = record;
            record["folder"] = folder.display().to_string().into();
            println!("{}", serde_json::to_string_pretty(&record).map_err(Failure::work)?);
        } else if !self.arguments.quiet {
            for (title, rows) in tables {
                println!("{title}\n{}\n", printed(rows));
            }
            println!("{} calls, {}; {}", spent.calls, seconds(time), folder.join("report.html").display());
        }
        Ok(())
    }
}

/// A table on the terminal; its first row is the head.
fn printed(rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for (number, row) in rows.iter().enumerate() {
        if number == 0 {
            table.set_header(row);
        } else {
            table.add_row(row);
        }
    }
    table
}

fn page(title: &str, tables: &[(&str, Vec<Vec<String>>)]) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    for (title, rows) in tables {
        page += &format!("<h2>{}</h2>\n", escape(title));
        let head: Vec<&str> = rows.first().into_iter().flatten().map(String::as_str).collect();
        html_table(&mut page, &head, rows.iter().skip(1).cloned());
    }
    page + "</main>\n</body>\n</html>\n"
}

/// Records as JSON lines.
fn json_lines<T: Serialize>(records: impl IntoIterator<Item = T>) -> Result<Vec<u8>, Failure> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, &record).map_err(Failure::work)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A row of a table: a name, then cells.
fn row<const N: usize>(name: &str, cells: [String; N]) -> Vec<String> {
    std::iter::once(name.to_string()).chain(cells).collect()
}

/// A head of a table.
fn head(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// How often each kind occurred, in words.
fn counted(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

/// Ends the program after Ctrl-C: every reply is in the log already.
fn leave(done: usize, planned: usize) -> ! {
    eprintln!("{done} of {planned} are answered and kept; the same command goes on from there");
    std::process::exit(130)
}
