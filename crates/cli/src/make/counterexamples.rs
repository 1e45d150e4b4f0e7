//! `recipe = "counterexamples"`: from theorem-proof pairs, those that work by an example or a counterexample.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mathesis_reasoning::models::calls::{Calls, Log, Options};
use mathesis_reasoning::models::{Model, Sampling};
use mathesis_reasoning::recipes::counterexamples::{
    Example, Finding, Proof, Selected, THRESHOLD, estimated_tokens, export, find, requests, select,
};
use serde::{Deserialize, Serialize};

use super::Arguments;
use crate::failure::{Failure, unreadable};
use crate::local_model::open;
use crate::progress::{Monitor, interrupted, listen_for_interrupts};
use crate::record::now;
use crate::run_folder::RunFolder;

/// The file of the recipe.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    recipe: String,
    /// JSON lines with `id`, `statement` and `proof`, beside the file of the recipe.
    proofs: PathBuf,
    /// The points of the rule stage from which a proof is taken.
    #[serde(default = "threshold")]
    threshold: i32,
    /// The tokens of a record above which it is flagged.
    #[serde(default = "limit")]
    limit: usize,
    /// Replies of the model to one proof, as long as they are malformed.
    #[serde(default = "tries")]
    tries: usize,
    /// Sampling temperature of the model.
    #[serde(default)]
    temperature: f64,
    /// The longest reply of the model, in tokens.
    #[serde(default = "max_tokens")]
    max_tokens: u64,
}

fn threshold() -> i32 {
    THRESHOLD
}

fn limit() -> usize {
    1024
}

fn tries() -> usize {
    3
}

fn max_tokens() -> u64 {
    4096
}

/// What came out, for `run.json`.
#[derive(Serialize)]
struct Counts {
    proofs: usize,
    taken_by_rules: usize,
    /// Malformed replies of the model, and proofs of which none could be read.
    malformed: usize,
    unread: usize,
    records: usize,
    too_long: usize,
    most_tokens: usize,
}

/// A line of `decisions.jsonl`.
#[derive(Serialize)]
struct Decision<'a> {
    id: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
    taken_by_rules: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_by_model: Option<bool>,
}

/// Make the records.
///
/// # Errors
/// Wrong input before anything is asked or written; [`Failure::Work`] if the calls stop before the end.
pub fn run(text: &str, arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.display();
    let recipe: Recipe = toml::from_str(text).map_err(|error| Failure::input(format!("{file}: {error}")))?;
    let proofs = read(&arguments.file.parent().unwrap_or(Path::new("")).join(&recipe.proofs))?;
    let findings: Vec<Finding> = proofs.iter().map(find).collect();
    let taken: Vec<Proof> = (proofs.iter().zip(&findings))
        .filter(|(_, finding)| finding.points >= recipe.threshold)
        .map(|(proof, _)| proof.clone())
        .collect();
    if arguments.dry_run {
        println!(
            "{} of {} proofs are taken by the rules; the model is asked about these",
            taken.len(),
            proofs.len()
        );
        return Ok(());
    }
    let selected = match &arguments.model {
        Some(model) => Some(ask(arguments, &recipe, model, &taken)?),
        None => None,
    };
    let plain = |proof: &Proof| (proof.id.clone(), proof.statement.clone(), proof.proof.clone());
    let records: Vec<(String, String, String)> = match &selected {
        None => taken.iter().map(plain).collect(),
        Some(selected) => (taken.iter().zip(selected))
            .filter_map(|(proof, selected)| {
                let selection = selected.selection.as_ref().filter(|one| one.by_counterexample)?;
                Some((proof.id.clone(), selection.statement.clone(), selection.rationale.clone()))
            })
            .collect(),
    };
    let examples = export(records, recipe.limit, estimated_tokens);
    let counts = Counts {
        proofs: proofs.len(),
        taken_by_rules: taken.len(),
        malformed: selected.iter().flatten().map(|one| one.malformed).sum(),
        unread: selected.iter().flatten().filter(|one| one.selection.is_none()).count(),
        records: examples.len(),
        too_long: examples.iter().filter(|example| example.too_long).count(),
        most_tokens: examples.iter().map(|example| example.tokens).max().unwrap_or(0),
    };
    let by_model = |id: &str| {
        let at = taken.iter().position(|proof| proof.id == id)?;
        selected.as_ref()?[at].selection.as_ref().map(|selection| selection.by_counterexample)
    };
    let decisions: Vec<Decision<'_>> = (proofs.iter().zip(&findings))
        .map(|(proof, finding)| Decision {
            id: &proof.id,
            finding,
            taken_by_rules: finding.points >= recipe.threshold,
            taken_by_model: by_model(&proof.id),
        })
        .collect();
    write(arguments, &recipe, &counts, &decisions, &examples)
}

/// The proofs of a file.
fn read(path: &Path) -> Result<Vec<Proof>, Failure> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Failure::input(unreadable(path, &error)))?;
    let mut proofs: Vec<Proof> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| Failure::input(format!("{file}:{}: {message}", number + 1));
        let proof: Proof = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if !seen.insert(proof.id.clone()) {
            return Err(wrong(format!("the id `{}` is there already", proof.id)));
        }
        proofs.push(proof);
    }
    match proofs.is_empty() {
        true => Err(Failure::input(format!("{file} holds no proof"))),
        false => Ok(proofs),
    }
}

/// Ask a model about the proofs that the rules take.
fn ask(
    arguments: &Arguments,
    recipe: &Recipe,
    model: &str,
    taken: &[Proof],
) -> Result<Vec<Selected>, Failure> {
    let model = open(model).map_err(Failure::input)?;
    let name = format!("counterexamples-{}", Model::identity(&*model).model.replace(['/', ':'], "-"));
    let log = Log::open(&PathBuf::from("runs/calls").join(&name)).map_err(Failure::work)?;
    let options = Options { run: name, ..Options::default() };
    let calls = Calls::new(model, Arc::new(log), options).map_err(Failure::input)?;
    let sampling = Sampling {
        temperature: Some(recipe.temperature),
        max_tokens: Some(recipe.max_tokens),
        seed: arguments.seed,
        ..Sampling::default()
    };
    let requests = requests(taken, &sampling).map_err(Failure::work)?;
    listen_for_interrupts();
    let mut monitor = Monitor::new("counterexamples", arguments.quiet || arguments.json).counting("proof");
    let mut selected = Vec::with_capacity(taken.len());
    let done = select(&calls, &requests, recipe.tries, |number, one, _| {
        selected.push(one);
        let _ = monitor.show(number + 1, requests.len(), "");
        if interrupted() {
            monitor.finish();
            eprintln!("{} of {} are answered and kept", number + 1, requests.len());
            std::process::exit(130);
        }
    });
    monitor.finish();
    done.map_err(|stop| Failure::work(format!("{stop}; what was answered is kept")))?;
    Ok(selected)
}

fn write(
    arguments: &Arguments,
    recipe: &Recipe,
    counts: &Counts,
    decisions: &[Decision<'_>],
    examples: &[Example],
) -> Result<(), Failure> {
    fn lines<T: Serialize>(values: impl IntoIterator<Item = T>) -> Result<String, Failure> {
        let lines: Result<Vec<String>, _> =
            values.into_iter().map(|value| serde_json::to_string(&value)).collect();
        Ok(lines.map_err(Failure::work)?.iter().map(|line| format!("{line}\n")).collect())
    }
    let stem = arguments.file.file_stem().map_or("counterexamples".into(), |stem| stem.to_string_lossy());
    let folder = RunFolder::begin(&stem, arguments.output.as_deref())?;
    folder.write("decisions.jsonl", lines(decisions)?)?;
    folder.write("records.jsonl", lines(examples)?)?;
    folder.write("conversations.jsonl", lines(examples.iter().map(Example::conversation))?)?;
    let run = serde_json::json!({
        "name": stem, "recipe": recipe, "model": arguments.model, "seed": arguments.seed, "finished": now(),
        "result": counts,
    });
    folder.write("run.json", serde_json::to_string_pretty(&run).map_err(Failure::work)? + "\n")?;
    let folder = folder.finish()?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&run).map_err(Failure::work)?);
    } else if !arguments.quiet {
        println!("proofs    {}, {} taken by the rules", counts.proofs, counts.taken_by_rules);
        println!(
            "records   {}, of which {} exceed {} tokens (the longest has about {})",
            counts.records, counts.too_long, recipe.limit, counts.most_tokens
        );
        if arguments.model.is_some() {
            println!("model     {} malformed replies, {} proofs unread", counts.malformed, counts.unread);
        }
        println!("folder    {}", folder.display());
    }
    Ok(())
}
