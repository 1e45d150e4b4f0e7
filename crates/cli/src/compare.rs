//! `mathesis compare`: two runs of one benchmark, problem by problem.

use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use mathesis_reasoning::suites::Record;
use mathesis_reasoning::suites::compare::{Comparison, compare};

use crate::eval::percent;
use crate::failure::Failure;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of a run of `mathesis eval`.
    first: PathBuf,
    /// The folder of another run on the same problems: of another model or prompt, or the same replies judged otherwise.
    second: PathBuf,
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
    let read = |folder: &Path| {
        let path = if folder.is_dir() { folder.join("records.jsonl") } else { folder.to_path_buf() };
        if !path.exists() {
            return Err(Failure::input(format!("{} is no run of `mathesis eval`", folder.display())));
        }
        Record::read(&path).map_err(Failure::input)
    };
    let (first, second) = (read(&arguments.first)?, read(&arguments.second)?);
    let comparison = compare(&first, &second, arguments.seed);
    if comparison.common == 0 {
        return Err(Failure::input("the runs have no problem in common"));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&comparison).map_err(Failure::work)?);
        return Ok(());
    }
    print(&comparison, arguments);
    Ok(())
}

fn print(comparison: &Comparison, arguments: &Arguments) {
    let new = || {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table
    };
    let mut table = new();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_string(), value]);
    };
    row("first", format!("{}  {}", percent(comparison.first), arguments.first.display()));
    row("second", format!("{}  {}", percent(comparison.second), arguments.second.display()));
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
    let mut table = new();
    table.set_header(["first", "second", "replies"]);
    for (one, other, count) in &comparison.verdicts {
        table.add_row([one.name(), other.name(), &count.to_string()]);
    }
    println!("{table}");
    if !comparison.changed.is_empty() {
        println!();
        let mut table = new();
        table.set_header(["problem", "first", "second"]);
        for changed in comparison.changed.iter().take(arguments.show) {
            table.add_row([&changed.id, &percent(changed.first), &percent(changed.second)]);
        }
        println!("{table}");
        let more = comparison.changed.len().saturating_sub(arguments.show);
        if more > 0 {
            println!("and {more} more");
        }
    }
}
