//! `mathesis compare`: runs of one benchmark, problem by problem; or two graders of one run, reply by reply.

use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_reasoning::answers::Mode;
use mathesis_reasoning::suites::compare::{Comparison, compare_indexes, corrected};
use mathesis_reasoning::suites::index::Index;
use mathesis_reasoning::suites::{self, Grade, Grader, Record};

use crate::eval::percent;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  mathesis compare runs/gsm8k-A runs/gsm8k-B                paired tests of two runs
  mathesis compare runs/gsm8k-A runs/gsm8k-B runs/gsm8k-C   several with the first: p-values corrected for their number
  mathesis compare runs/gsm8k-A --modes strict,qwen25       two graders of the same replies, and their rules";

/// Arguments of `compare`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The folder of a run of `mathesis eval`.
    first: PathBuf,
    /// Folders of other runs on the same problems: of another model or prompt, or the same replies judged otherwise.
    #[arg(required_unless_present = "modes")]
    others: Vec<PathBuf>,
    /// Judge the replies of the run by the rules of two modes, and compare these.
    #[arg(long, value_name = "MODE,MODE", conflicts_with = "others")]
    modes: Option<String>,
    /// The seed of the permutation test.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// List at most so many problems whose scores differ.
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    /// Print the comparison as JSON.
    #[arg(long)]
    json: bool,
}

/// Compare.
///
/// # Errors
/// Wrong input if a folder holds no records, or the runs have no problem in common.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(modes) = &arguments.modes {
        return audit(arguments, modes);
    }
    let open = |folder: &Path| Index::build(&records(folder)?).map_err(Failure::input);
    let first = open(&arguments.first)?;
    let mut comparisons = Vec::new();
    for other in &arguments.others {
        let comparison = compare_indexes(&first, &open(other)?, arguments.seed);
        if comparison.common == 0 {
            let [one, other] = [&arguments.first, other].map(|folder| folder.display());
            return Err(Failure::input(format!("the runs {one} and {other} have no problem in common")));
        }
        comparisons.push(comparison);
    }
    if let [comparison] = &comparisons[..] {
        if arguments.json {
            return print_json(comparison);
        }
        print(comparison, [&arguments.first, &arguments.others[0]].map(|folder| folder.display()), arguments);
        return Ok(());
    }
    if arguments.json {
        return print_json(&comparisons);
    }
    print_many(&comparisons, arguments);
    Ok(())
}

/// The records of a run.
fn records(folder: &Path) -> Result<PathBuf, Failure> {
    let path = if folder.is_dir() { folder.join("records.jsonl") } else { folder.to_path_buf() };
    match path.exists() {
        true => Ok(path),
        false => Err(Failure::input(format!("{} is no run of `mathesis eval`", folder.display()))),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value).map_err(Failure::work)?);
    Ok(())
}

fn audit(arguments: &Arguments, modes: &str) -> Result<(), Failure> {
    let grader = |name: &str| {
        Mode::from_name(name.trim()).map(Grader::new).ok_or_else(|| {
            let known = Mode::ALL.map(Mode::name).join(", ");
            Failure::input(format!("--modes {modes}: there is no mode `{}`; there are {known}", name.trim()))
        })
    };
    let graders = modes.split(',').map(grader).collect::<Result<Vec<_>, _>>()?;
    let [first, second] = &graders[..] else {
        return Err(Failure::input(format!("--modes {modes}: expected two modes with a comma between them")));
    };
    let path = records(&arguments.first)?;
    let records = Record::each(&path).map_err(Failure::input)?;
    let audit = suites::audit::audit(records, [first, second], arguments.show, arguments.seed);
    let audit = audit.map_err(Failure::input)?;
    if audit.comparison.common == 0 {
        return Err(Failure::input(format!("{} holds no records", arguments.first.display())));
    }
    if arguments.json {
        return print_json(&audit);
    }
    let quiet = Arguments { show: 0, ..arguments.clone() };
    print(&audit.comparison, [&audit.first, &audit.second], &quiet);
    let mut table = new_table();
    table.set_header([
        "rule of the first",
        "of the second",
        "replies",
        "same answer",
        "only first right",
        "only second",
    ]);
    for pair in &audit.rules {
        let [first, second] = [&pair.first, &pair.second].map(|rule| rule.as_deref().unwrap_or("none"));
        let counts =
            [pair.replies, pair.same_answer, pair.only_first, pair.only_second].map(|n| n.to_string());
        table.add_row([first, second].into_iter().map(str::to_string).chain(counts));
    }
    println!("\n{table}");
    if !audit.differing.is_empty() {
        let mut table = new_table();
        table.set_header(["problem", "reference", "first", "second"]);
        for differing in &audit.differing {
            let found = |grade: &Grade| {
                format!("{}: {}", grade.verdict.name(), grade.answer.as_deref().unwrap_or("–"))
            };
            let id = match differing.sample {
                0 => differing.id.clone(),
                sample => format!("{} ({})", differing.id, sample + 1),
            };
            table.add_row([
                id,
                differing.reference.clone(),
                found(&differing.first),
                found(&differing.second),
            ]);
        }
        println!("\n{table}");
        and_more(audit.differing_in_all, audit.differing.len());
    }
    Ok(())
}

/// Several runs against the first.
fn print_many(comparisons: &[Comparison], arguments: &Arguments) {
    let mut table = new_table();
    table.set_header(["run", "accuracy", "first there", "difference", "95 % interval", "p", "corrected"]);
    let points = |value: f64| format!("{:+.2}", 100.0 * value);
    let rows = arguments.others.iter().zip(comparisons).zip(corrected(comparisons));
    for ((folder, comparison), corrected) in rows {
        let tested = comparison.difference.map_or([String::new(), String::new(), String::new()], |paired| {
            let interval = format!("{} to {}", points(-paired.interval.high), points(-paired.interval.low));
            [points(-paired.difference), interval, format!("{:.4}", paired.permutation)]
        });
        let [difference, interval, p] = tested;
        let (accuracy, first) = (percent(comparison.second), percent(comparison.first));
        let name = folder.display().to_string();
        table.add_row([name, accuracy, first, difference, interval, p, format!("{corrected:.4}")]);
    }
    println!("first  {}\n\n{table}\n", arguments.first.display());
    println!(
        "{} comparisons: the last column is p corrected for their number (Holm), by sign permutation.",
        comparisons.len()
    );
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn and_more(all: usize, shown: usize) {
    if all > shown {
        println!("and {} more", all - shown);
    }
}

fn print(comparison: &Comparison, names: [impl std::fmt::Display; 2], arguments: &Arguments) {
    let mut table = new_table();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_string(), value]);
    };
    let [first, second] = names;
    row("first", format!("{}  {first}", percent(comparison.first)));
    row("second", format!("{}  {second}", percent(comparison.second)));
    let (only_first, only_second) = (comparison.only_first, comparison.only_second);
    row(
        "problems",
        format!(
            "{} in both, {only_first} only in the first, {only_second} only in the second",
            comparison.common
        ),
    );
    if let Some(paired) = &comparison.difference {
        let points = |value: f64| format!("{:+.2}", 100.0 * value);
        row(
            "difference",
            format!(
                "{} points, 95 % interval {} to {}, standard error {:.2}",
                points(paired.difference),
                points(paired.interval.low),
                points(paired.interval.high),
                100.0 * paired.standard_error
            ),
        );
        row(
            "p",
            format!("{:.4} by sign permutation, {:.4} by Student's t", paired.permutation, paired.t_test),
        );
        if let Some(test) = &comparison.mcnemar {
            row(
                "McNemar",
                format!(
                    "{} only by the first, {} only by the second: p = {:.4} exact, {:.4} mid-p",
                    test.only_first, test.only_second, test.exact, test.mid
                ),
            );
        }
        let least = 100.0 * paired.minimum_detectable;
        row("detectable", format!("{least:.2} points, with a power of 80 % at 5 %"));
    }
    if comparison.same_replies {
        row("replies", "the same in both: only the graders differ".into());
    }
    println!("{table}\n");
    let mut table = new_table();
    table.set_header(["first", "second", "replies"]);
    for (one, other, count) in &comparison.verdicts {
        table.add_row([one.name(), other.name(), &count.to_string()]);
    }
    println!("{table}");
    if !comparison.changed.is_empty() && arguments.show > 0 {
        println!();
        let mut table = new_table();
        table.set_header(["problem", "first", "second"]);
        for changed in comparison.changed.iter().take(arguments.show) {
            table.add_row([&changed.id, &percent(changed.first), &percent(changed.second)]);
        }
        println!("{table}");
        and_more(comparison.changed.len(), arguments.show.min(comparison.changed.len()));
    }
}
