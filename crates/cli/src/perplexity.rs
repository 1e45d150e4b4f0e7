//! `mathesis perplexity`: how well a language model predicts a text.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use mathesis_language::data::Source;
use mathesis_language::data::windows::Windows;
use mathesis_language::folder::Checkpoint;
use mathesis_language::training::{Evaluation, evaluate_by_position};
use mathesis_networks::sequence::arithmetic::Arithmetic;
use serde_json::json;

use crate::device::DeviceArgument;
use crate::failure::{Failure, unreadable};
use crate::model_folder::{ModelFolder, Weights};
use crate::run::use_threads;

const EXAMPLES: &str = "\
Examples:
  mathesis perplexity MODEL text.txt
  mathesis perplexity MODEL text.txt --arithmetic w4a8 --json
  mathesis perplexity MODEL book.txt --time 4096 --positions 512

MODEL is a folder with config.json, *.safetensors and tokenizer.json. The text is cut into rows of the model's context; every
token but the first is predicted once, from what is before it in its row.";

/// Arguments of `perplexity`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model's folder, or `built-in`.
    model: PathBuf,
    /// A text.
    text: PathBuf,
    /// Compute in this arithmetic: f32, bf16, l-mul:K, l-mul:K:attention or wNaM.
    #[arg(long, value_name = "A")]
    arithmetic: Option<Arithmetic>,
    /// How the model's matrices are kept in memory.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Weights::F32)]
    weights: Weights,
    /// Tokens in a row [default: the model's context].
    #[arg(long, value_name = "N")]
    time: Option<NonZeroUsize>,
    /// Rows that are read together.
    #[arg(long, value_name = "N", default_value = "8")]
    rows: NonZeroUsize,
    /// Also tell the perplexity of the first N positions of rows, of the next N, and so on.
    #[arg(long, value_name = "N")]
    positions: Option<NonZeroUsize>,
    /// Take no more than this many tokens, from the beginning.
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// Threads to use [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgument,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Read the model and the text, and tell.
///
/// # Errors
/// [`Failure::Input`] if the folder is not a model's or the text has nothing to predict.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    use_threads(arguments.threads)?;
    let text = std::fs::read_to_string(&arguments.text)
        .map_err(|error| Failure::input(unreadable(&arguments.text, &error)))?;
    let folder = ModelFolder::of(&arguments.model)?;
    let (Checkpoint { model, .. }, tokenizer) =
        folder.for_inference(arguments.arithmetic, arguments.weights, &arguments.device.open()?)?;
    if !model.config().is_causal() {
        let model = arguments.model.display();
        return Err(Failure::input(format!(
            "{model} sees both sides of a token, so it predicts nothing: expected a model whose mixers are all causal"
        )));
    }
    let mut tokens = tokenizer.encode(&text, true).map_err(Failure::input)?;
    tokens.truncate(arguments.tokens.unwrap_or(usize::MAX));
    let config = model.config();
    let time = arguments.time.map_or(config.context, NonZeroUsize::get);
    let windows = Windows::new(tokens, time, arguments.rows.get(), config.vocabulary)
        .map_err(|error| Failure::input(format!("{}: {error}", arguments.text.display())))?;
    let start = Instant::now();
    let batches = windows.batches().unwrap_or(0);
    let positions = arguments.positions.unwrap_or(NonZeroUsize::MAX);
    let parts = evaluate_by_position(&model, &windows, batches, positions, 0);
    let seconds = start.elapsed().as_secs_f64();
    let found = Evaluation::of_all(&parts);
    if !found.loss.is_finite() {
        return Err(Failure::work("the loss is not a finite number"));
    }
    let (perplexity, bytes) = (found.loss.exp(), text.len() as f64);
    // The last part may be shorter.
    let begins = (0..time).step_by(positions.get().min(time));
    let by_position: Vec<_> = match arguments.positions {
        Some(step) => {
            let places = begins.map(|from| (from, from.saturating_add(step.get()).min(time)));
            places.zip(&parts).filter(|(_, part)| part.places > 0).collect()
        }
        None => Vec::new(),
    };
    if arguments.json {
        let mut record = json!({
            "perplexity": perplexity,
            "loss": found.loss,
            "accuracy": found.accuracy,
            "tokens": found.places,
            "seconds": seconds,
        });
        if arguments.positions.is_some() {
            let part = |&((from, to), part): &((usize, usize), &Evaluation)| json!({"from": from, "to": to, "perplexity": part.loss.exp(), "loss": part.loss, "tokens": part.places});
            record["positions"] = by_position.iter().map(part).collect();
        }
        println!("{}", serde_json::to_string_pretty(&record).map_err(Failure::work)?);
    } else {
        println!("perplexity {perplexity:.4} of {} tokens (loss {:.5})", found.places, found.loss);
        println!("right      {:.2} %", 100.0 * found.accuracy);
        if arguments.tokens.is_none() {
            let bits = found.loss / std::f64::consts::LN_2 * found.places as f64 / bytes;
            println!("bits       {bits:.4} a byte");
        }
        for ((from, to), part) in by_position {
            let places = format!("positions {from} to {}", to - 1);
            println!("{places:<24} perplexity {:.4} of {} tokens", part.loss.exp(), part.places);
        }
        println!("time       {seconds:.1} s");
    }
    Ok(())
}
