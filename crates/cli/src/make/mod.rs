//! `mathesis make`: problems and data sets by a recipe that a file states; a run folder with records out.

mod aops_live;
mod counterexamples;
mod multilingual;

use std::path::PathBuf;

use serde::Deserialize;

use crate::failure::{Failure, unreadable};
use crate::run_folder::check_output;

const EXAMPLES: &str = "\
The key `recipe` of the file says which recipe it is; the book has a page for each.";

/// Arguments of `make`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The file that states the recipe.
    pub file: PathBuf,
    /// The model that stages ask: openai:MODEL or openai:MODEL@URL, scripted:FILE, replay:FILE or record:FILE,NAME.
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// The run folder; one of an earlier run is replaced, a folder with anything else in it is refused.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Draw random numbers from this seed instead of the file's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Check everything, show what the run would take, and ask nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as JSON on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Show no progress and no table.
    #[arg(short, long)]
    pub quiet: bool,
}

/// A recipe: it is given the text of its file, and the arguments.
type Recipe = fn(&str, &Arguments) -> Result<(), Failure>;

/// The recipes by name.
const RECIPES: &[(&str, Recipe)] = &[
    ("aops-live", aops_live::run),
    ("counterexamples", counterexamples::run),
    ("multilingual", multilingual::translate),
    ("multilingual-rejection-sampling", multilingual::sample),
];

/// The only key that all recipes share.
#[derive(Deserialize)]
struct Head {
    recipe: String,
}

/// Make what a recipe says.
///
/// # Errors
/// Wrong input before anything is asked or written; [`Failure::Work`] if the work stops before the end.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.display();
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::input(unreadable(&arguments.file, &error)))?;
    let head: Head = toml::from_str(&text).map_err(|error| Failure::input(format!("{file}: {error}")))?;
    let names: Vec<&str> = RECIPES.iter().map(|(name, _)| *name).collect();
    let Some((_, recipe)) = RECIPES.iter().find(|(name, _)| *name == head.recipe) else {
        return Err(Failure::input(format!(
            "{file}: there is no recipe `{}`; there are {}",
            head.recipe,
            names.join(", ")
        )));
    };
    if let Some(output) = &arguments.output {
        check_output(output)?;
    }
    recipe(&text, arguments)
}
