//! `mathesis papers`: the published methods, from the descriptions of their experiments.

use comfy_table::{ContentArrangement, Table, presets};

use crate::experiments;
use crate::failure::Failure;

/// Arguments of `papers`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

/// Print the list.
///
/// # Errors
/// If an embedded description is damaged.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let papers = experiments::papers()?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&papers).map_err(Failure::work)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some((terminal_size::Width(width), _)) = terminal_size::terminal_size() {
        table.set_width(width);
    }
    table.set_header(["paper", "title", "state", "code", "page"]);
    for paper in &papers {
        table.add_row([
            &paper.slug,
            &format!("{} ({})", paper.title, paper.published),
            &paper.state,
            &paper.code,
            &paper.page,
        ]);
    }
    println!("{table}");
    Ok(())
}
